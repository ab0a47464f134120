/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_BARRIER_H
#define WEIR_SYNC_BARRIER_H

/*
 * A barrier in memory.
 *
 *   field               | who writes it      | under what
 *   --------------------+--------------------+--------------------------------------------------
 *   geometry            | the first init     | see sync/geometry.h
 *   round               | anyone             | compare-and-swap, as in the table below
 *   ended               | anyone             | see sync/event.h: a round has ended, or may
 *   place[].word        | anyone             | compare-and-swap, as in the table below
 *   place[].name        | its party          | see sync/owner.h
 *
 * The round's word:
 *
 *   bits 63..32  which round is under way
 *   bits 31..13  how many changes (joins, withdrawals) there were, modulo 2^19
 *   bits 12..0   how many dead parties the round before went on without
 *
 *   from    | to              | by
 *   --------+-----------------+--------------------------------------------------------------
 *   r, c, m | r + 1, c, m'    | the first party that, since it read r, c, m, has found every place
 *           |                 | arrived, left or gone: m' of them gone
 *   r, c, m | r, c + 1, m     | who has joined, before it says so; who withdraws at its deadline
 *
 * A place's word: a party (its identity, and in the low 13 bits the round that it has arrived at,
 * modulo 2^13), or without an owner one of EMPTY (0), LEFT and GONE:
 *
 *   from                  | to            | by
 *   ----------------------+---------------+-----------------------------------------------------
 *   EMPTY, LEFT, GONE     | P, r - 1      | join, while r is under way
 *   D, any: D is dead     | P, r - 1      | join of one that asked the kernel for D
 *   P, not r              | P, r          | wait: P arrives
 *   P, r                  | P, r - 1      | wait: P withdraws, at its deadline
 *   P, any                | LEFT          | leave
 *   D, not r: D is dead   | GONE          | one that waits, and asked the kernel for D
 *
 * B1: a round ends by one step, of one party, and what it went on without stands in the same word:
 *     so all get the same number. No round can end twice before a party that arrived has seen it,
 *     since the next one waits for that party.
 * B2: from the return of join no round ends without the joiner: it has changed the round's word
 *     since it stands in its place, so the step of one that had looked before fails. The same holds
 *     for one that withdraws: either it was counted, and gets the result, or nobody goes on.
 * B3: a place whose owner is dead and has not arrived becomes GONE before a round ends without it; so
 *     the kernel is asked for a death once, and an old round's number in its word is never taken for
 *     the present one when it comes round.
 * B4: the owner of a word that is not its own is changed by a compare-and-swap alone, from exactly the
 *     word that was asked for.
 * B5: each that arrives looks at all places afterwards, with a full fence between: so the last one
 *     sees that all have come. If it dies before it says so, the others look after a slice.
 * B6: join is refused when two looks in a row have found the same living parties in all places
 *     (owner.h), or each of 16 looks others.
 *
 * The number of changes comes round after 524,288 joins and withdrawals between the first load of
 * one step and its compare-and-swap; the round's after 4,294,967,296 rounds.
 *
 * CRASH barrier.joining: in its place, join has not returned: a party that has not arrived.
 * CRASH barrier.arrived: it counts for this round, and is missing in the next.
 * CRASH barrier.withdrawing: not arrived, dead.
 * CRASH barrier.gone: the place is GONE, the round has not ended: any other ends it.
 * CRASH barrier.unwoken: the round has ended, the wake is missing: who sleeps looks after its slice.
 */

#include <weir/barrier.h>

#include "sync/event.h"
#include "sync/owner.h"

#define WEIR__BARRIER_EMPTY UINT64_C(0)
#define WEIR__BARRIER_LEFT UINT64_C(1)
#define WEIR__BARRIER_GONE UINT64_C(2)

struct weir__barrier_place {
    struct weir__owned owned;
    uint64_t reserved[6]; /* 0 */
};

struct weir__barrier_shm {
    weir__atomic_u64 geometry;
    weir__atomic_u64 round;
    struct weir__event_shm ended;
    uint64_t reserved[5]; /* 0 */
    struct weir__barrier_place place[];
};

_Static_assert(sizeof(struct weir__barrier_shm) == 64, "a barrier");
_Static_assert(sizeof(struct weir__barrier_place) == 64, "a place");

/* What the handle is: of one process, used by all of its threads. Nothing in it changes. */
struct weir__barrier {
    struct weir__barrier_shm *shm;
    uint32_t parties; /* checked */
    uint32_t reserved[5];
};

_Static_assert(sizeof(struct weir__barrier) <= sizeof(struct weir_barrier), "barrier");

#endif
