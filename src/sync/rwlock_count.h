/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_RWLOCK_COUNT_H
#define WEIR_SYNC_RWLOCK_COUNT_H

/*
 * How many read locks this process holds, in the places of a read-write lock. One compare-and-swap
 * counts in the place that it has; what is to be done when that is not the one, is in rwlock_count.c.
 */

#include "sync/rwlock.h"

#define WEIR__RWLOCK_COUNT WEIR_IDENTITY_SESSION_MAX

_Static_assert(WEIR_RWLOCK_READS_MAX == WEIR__RWLOCK_COUNT, "the count fits");

static inline struct weir__owned *weir__rwlock_place(struct weir__rwlock *handle, uint32_t index)
{
    return &handle->shm->place[index].owned;
}

static inline uint32_t weir__rwlock_hint(struct weir__rwlock *handle)
{
    /* Relaxed: a hint, and below readers whoever wrote it last. */
    return atomic_load_explicit(&handle->hint, memory_order_relaxed);
}

static inline uint64_t weir__rwlock_load_place(const struct weir__owned *place)
{
    /* Relaxed [rwlock.place]: a guess for the compare-and-swap. Pairs with weir__rwlock_move(). */
    return atomic_load_explicit(&place->word, memory_order_relaxed);
}

static inline bool weir__rwlock_move(struct weir__owned *place, uint64_t *from, uint64_t to)
{
    /* Sequentially consistent [rwlock.place]: up, then the look at writer; and down, what was read
     * before it, and then the look at who waits. Pairs with load_place(). */
    return atomic_compare_exchange_strong_explicit(&place->word, from, to, memory_order_seq_cst,
                                                   memory_order_relaxed);
}

/* false: the place is another's, or counts no further. */
static inline bool weir__rwlock_count_up(struct weir__owned *place, uint64_t self)
{
    uint64_t word = weir__rwlock_load_place(place);
    while (weir__owner(word) == self && (word & WEIR__RWLOCK_COUNT) < WEIR__RWLOCK_COUNT) {
        if (weir__rwlock_move(place, &word, word + 1))
            return true;
    }
    return false;
}

/* false: the place is another's, or at 0. */
static inline bool weir__rwlock_count_down(struct weir__rwlock_shm *shm, struct weir__owned *place,
                                           uint64_t self)
{
    uint64_t word = weir__rwlock_load_place(place);
    do {
        if (weir__owner(word) != self || (word & WEIR__RWLOCK_COUNT) == 0)
            return false;
    } while (!weir__rwlock_move(place, &word, word - 1));
    /* CRASH rwlock.undrained */
    if (__builtin_expect((word & WEIR__RWLOCK_COUNT) == 1 && weir__event_is_waited(&shm->drained),
                         0))
        weir__event_wake_all(&shm->drained);
    return true;
}

/*
 * Counts one read lock more for this process, whoever writes. 0, -EOVERFLOW; or -ENOSPC, without a
 * sentence: what is counted elsewhere need not be of those who read. While somebody writes, or waits to, it
 * is of those who come, see a writer, and go.
 */
int weir__rwlock_count(struct weir__rwlock *handle, uint64_t self, uint32_t *at);
/* The sentence. */
int weir__rwlock_full(const struct weir__rwlock *handle);

/*
 * Takes one read lock of this process's back, wherever it is counted: another thread may have taken
 * the one that we counted for its own, and left us one in another place. Such counts may move behind
 * a look and before it, so that one look finds none although there is one: hence several. false: there
 * is none.
 *
 * Who counted and does not read, since a writer came, begins where it counted: a count in a place that
 * the writer has passed already is one that is to be taken back, and there it is found. Elsewhere it
 * would be that of one who reads.
 */
bool weir__rwlock_uncount(struct weir__rwlock *handle, uint64_t self, uint32_t first);

#endif
