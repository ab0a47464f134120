/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_RWLOCK_H
#define WEIR_SYNC_RWLOCK_H

/*
 * A read-write lock in memory.
 *
 *   field               | who writes it      | under what
 *   --------------------+--------------------+--------------------------------------------------
 *   geometry            | the first init     | see sync/geometry.h
 *   writer              | writers            | a mutex, see sync/mutex.h: its holder writes, or waits
 *                       |                    | for the readers to leave
 *   state               | who holds writer   | a store, as in the table below
 *   drained             | anyone             | see sync/event.h: a process reads no more
 *   released            | anyone             | the same: nobody holds writer
 *   place[].word        | anyone             | compare-and-swap, as in the table below
 *   place[].name        | its process        | see sync/owner.h
 *
 * A place's word: a process (its identity), and in the low 13 bits how many read locks it holds.
 *
 *   from                  | to        | by
 *   ----------------------+-----------+---------------------------------------------------------
 *   0                     | P, 1      | read lock of one that has no place
 *   D, any: D is dead     | P, 1      | the same, when none is free; it asked the kernel for D
 *   Q, 0                  | P, 1      | the same, when all live: Q does not read, and finds another
 *   P, k                  | P, k + 1  | read lock
 *   P, k + 1              | P, k      | read unlock; or the read lock sees a writer, and takes it back
 *   D, k + 1: D is dead   | 0         | a writer that asked the kernel for D
 *
 * The state:
 *
 *   from               | to                  | by the holder of writer
 *   -------------------+---------------------+---------------------------------------------------
 *   0                  | WRITING             | write lock, when all places are at 0
 *   WRITING, any       | WRITING, INHERITED  | the same: WEIR_OWNER_DIED
 *   WRITING, INHERITED | WRITING             | consistent
 *   WRITING            | 0                   | write unlock, downgrade; then writer is let go
 *   WRITING, INHERITED | LOST                | write unlock; then writer is let go
 *
 * So whether the dead one had begun to write stands in the state, and not in the mutex: that one is
 * made consistent at once. One that died while it waited for readers, or after it had finished, is no
 * news; and a writer that was to inherit and reached its deadline lets go without a loss.
 *
 * R1: while a place of a living process counts above 0 and that one has not seen a writer since,
 *     nobody writes. Both sides store first, then look, with a full fence between: the reader its
 *     count, then writer; the writer writer, then the places. One of them sees the other. A reader
 *     that sees a writer takes its count back: writers go first.
 * R2: writer is nobody's and state is 0, WRITING or LOST: free; its last holder let go at its deadline
 *     where a former one had died in writing; given up. Only a reader that has counted may conclude
 *     this from the state: to it, state is what the last holder left.
 * R3: the owner of a word that is not its own is changed by a compare-and-swap alone, from exactly the
 *     word that was asked for (D), or from one that holds nothing (Q, 0).
 * R4: nobody sleeps longer than a slice when what it waits for has happened.
 * R5: a read lock is refused for want of a place when two looks in a row have found the same living
 *     processes reading in all of them, or each of 16 looks others, as in B6; and nobody writes or waits
 *     to. Else they are counts that are taken back: a reader waits for the writer, and a writer that is to
 *     read looks again, 1,000 times, and lets others run between.
 *
 * Two threads of a process that come at the same moment may take two places; each counts, and the
 * one that is found no more is left to others as soon as it is at 0.
 *
 * CRASH rwlock.counted: the reader has counted and not looked yet: a dead reader.
 * CRASH rwlock.unnamed: the place is taken, the name is another's: see owned.unnamed.
 * CRASH rwlock.undrained: the count is 0, the wake is missing: the writer looks after a slice.
 * CRASH rwlock.announced: holds writer, waits for readers, state as before: no news.
 * CRASH rwlock.writing: WEIR_OWNER_DIED, -EOWNERDEAD.
 * CRASH rwlock.finished: state is 0 or LOST, writer is still held: taken over, no news.
 * CRASH rwlock.unreleased: writer is let go, the wake is missing: readers look after a slice.
 */

#include <stdbool.h>

#include <weir/rwlock.h>

#include "sync/await.h"
#include "sync/event.h"
#include "sync/mutex.h"
#include "sync/owner.h"

#define WEIR__RWLOCK_WRITING UINT32_C(1)
#define WEIR__RWLOCK_INHERITED UINT32_C(2)
#define WEIR__RWLOCK_LOST UINT32_C(4)

struct weir__rwlock_place {
    struct weir__owned owned;
    uint64_t reserved[6]; /* 0 */
};

struct weir__rwlock_shm {
    /* What a reader looks at, in one cache line that only writers write. */
    weir__atomic_u64 geometry;
    struct weir_mutex writer;
    weir__atomic_u32 state;
    uint32_t reserved; /* 0 */
    struct weir__event_shm drained;
    /* The next. */
    struct weir__event_shm released;
    uint64_t reserved_too[7]; /* 0 */
    struct weir__rwlock_place place[];
};

_Static_assert(sizeof(struct weir__rwlock_shm) == 128, "a lock");
_Static_assert(sizeof(struct weir__rwlock_place) == 64, "a place");

/* What the handle is: of one process, used by all of its threads. */
struct weir__rwlock {
    struct weir__rwlock_shm *shm;
    uint32_t readers;      /* places; checked */
    weir__atomic_u32 hint; /* which is this process's, perhaps; below readers */
    uint64_t reserved[2];
};

_Static_assert(sizeof(struct weir__rwlock) <= sizeof(struct weir_rwlock), "rwlock");

static inline struct weir__rwlock *weir__rwlock_handle(const struct weir_rwlock *lock)
{
    return (struct weir__rwlock *)(uintptr_t)lock;
}

static inline bool weir__rwlock_is_closed(const struct weir_rwlock *lock)
{
    return !lock || !weir__rwlock_handle(lock)->shm;
}

int weir__rwlock_closed(void);
int weir__rwlock_lost(void);

static inline struct weir__mutex_shm *weir__rwlock_writer(struct weir__rwlock_shm *shm)
{
    return (struct weir__mutex_shm *)(void *)&shm->writer;
}

/* Whether this thread holds writer. */
static inline bool weir__rwlock_is_ours(struct weir__rwlock_shm *shm)
{
    uint64_t word;
    return weir__mutex_is_ours(weir__rwlock_writer(shm), &word);
}

/* Lets writer go, which this thread holds, and wakes the readers that wait for it. */
void weir__rwlock_release(struct weir__rwlock_shm *shm);

#endif
