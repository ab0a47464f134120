/* SPDX-License-Identifier: MIT */
/* Read-write locks: the places of those that read. */
#include "sync/rwlock_count.h"

#include <errno.h>

#include "base/error.h"

/* Inside this file: there is no place of ours. */
#define NONE 1000

/* How often a count of this process's is looked for before there is none. */
#define LOOKS 1000

/* A place of this process's that can count: 0, NONE, or -EOVERFLOW. */
static int count_own(struct weir__rwlock *handle, uint64_t self, uint32_t *at)
{
    for (uint32_t i = 0; i < handle->readers; i++) {
        struct weir__owned *place = weir__rwlock_place(handle, i);
        if (weir__owner(weir__rwlock_load_place(place)) != self)
            continue;
        if (weir__rwlock_count_up(place, self)) {
            /* Relaxed: as in weir__rwlock_hint(). */
            atomic_store_explicit(&handle->hint, i, memory_order_relaxed);
            *at = i;
            return 0;
        }
        if ((weir__rwlock_load_place(place) & WEIR__RWLOCK_COUNT) == WEIR__RWLOCK_COUNT)
            return weir__fail(EOVERFLOW, "this process holds %u read locks: no more can be counted",
                              WEIR_RWLOCK_READS_MAX);
    }
    return NONE;
}

enum vacancy { FREE, DEAD, IDLE, VACANCIES };

static bool is_vacant(const struct weir__owned *place, uint64_t word, enum vacancy which)
{
    switch (which) {
    case FREE:
        return word == 0;
    case DEAD:
        return word != 0 && weir__owned_is_dead(place, word);
    default:
        /* One without its name yet is left to who has just claimed it: he would name it after us. */
        return (word & WEIR__RWLOCK_COUNT) == 0 && weir__owned_is_named(place, word);
    }
}

/*
 * We have claimed the place. If the name that stands there is ours already, as from a former claim, another
 * thread may have let the place go by now, and another process have taken it: then the name that
 * it has written stays. One that is another's is changed from exactly that, and only while the place is
 * ours: without our name nobody takes it from us.
 */
static void name_place(struct weir__owned *place, uint64_t self)
{
    uint64_t own = weir__self()->name;
    /* Acquire [rwlock.name]: whose it is was written to the word before. Pairs with the exchange. */
    uint64_t name = atomic_load_explicit(&place->name, memory_order_acquire);
    if (name != own && weir__owner(weir__rwlock_load_place(place)) == self)
        /* Release [rwlock.name]: the word, then the name. Pairs with the load. */
        atomic_compare_exchange_strong_explicit(&place->name, &name, own, memory_order_release,
                                                memory_order_relaxed);
}

static bool claim(struct weir__rwlock *handle, uint64_t self, enum vacancy which, uint32_t *at)
{
    for (uint32_t i = 0; i < handle->readers; i++) {
        struct weir__owned *place = weir__rwlock_place(handle, i);
        uint64_t word = weir__rwlock_load_place(place);
        *at = i;
        /* Another thread of ours may have come first. */
        if (weir__owner(word) == self && weir__rwlock_count_up(place, self))
            return true;
        if (!is_vacant(place, word, which) || !weir__rwlock_move(place, &word, self | 1))
            continue;
        /* CRASH rwlock.unnamed */
        name_place(place, self);
        /* Relaxed: as in weir__rwlock_hint(). */
        atomic_store_explicit(&handle->hint, i, memory_order_relaxed);
        return true;
    }
    return false;
}

static bool claim_any(struct weir__rwlock *handle, uint64_t self, uint32_t *at)
{
    for (int which = FREE; which < VACANCIES; which++) {
        if (claim(handle, self, (enum vacancy)which, at))
            return true;
    }
    return false;
}

/* 0: one place does not count, so that it may be taken. */
static uint64_t sum_owners(struct weir__rwlock *handle)
{
    uint64_t sum = 1;
    for (uint32_t i = 0; i < handle->readers; i++) {
        /* Sequentially consistent [rwlock.place]: the looks at all, one after the other. Pairs with
         * weir__rwlock_move(). */
        uint64_t word = atomic_load(&weir__rwlock_place(handle, i)->word);
        if ((word & WEIR__RWLOCK_COUNT) == 0)
            return 0;
        sum = weir__owners_sum(sum, word);
    }
    return sum;
}

int weir__rwlock_count(struct weir__rwlock *handle, uint64_t self, uint32_t *at)
{
    uint64_t before, owners = 0;
    *at = weir__rwlock_hint(handle);
    if (weir__rwlock_count_up(weir__rwlock_place(handle, *at), self))
        return 0;
    int result = count_own(handle, self, at);
    if (result != NONE)
        return result;
    for (int look = 0; look < WEIR__OWNERS_LOOKS; look++) {
        if (claim_any(handle, self, at))
            return 0;
        before = owners;
        owners = sum_owners(handle);
        if (owners != 0 && owners == before)
            break;
    }
    result = count_own(handle, self, at);
    return result != NONE ? result : -ENOSPC;
}

int weir__rwlock_full(const struct weir__rwlock *handle)
{
    return weir__fail(ENOSPC,
                      "the lock is made for %u processes that read at the same time, and as many "
                      "do: make it with more",
                      handle->readers);
}

static bool uncount_once(struct weir__rwlock *handle, uint64_t self, uint32_t first)
{
    if (weir__rwlock_count_down(handle->shm, weir__rwlock_place(handle, first), self))
        return true;
    for (uint32_t i = 0; i < handle->readers; i++) {
        if (weir__rwlock_count_down(handle->shm, weir__rwlock_place(handle, i), self))
            return true;
    }
    return false;
}

bool weir__rwlock_uncount(struct weir__rwlock *handle, uint64_t self, uint32_t first)
{
    for (int look = 0; look < LOOKS; look++) {
        if (uncount_once(handle, self, first))
            return true;
        weir__cpu_relax();
    }
    return false;
}
