/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_PERMITS_H
#define WEIR_SYNC_PERMITS_H

/*
 * Permits in memory.
 *
 *   field               | who writes it      | under what
 *   --------------------+--------------------+--------------------------------------------------
 *   geometry            | the first init     | see sync/geometry.h
 *   returned            | anyone             | see sync/event.h: a permit has come back
 *   permit[].word       | anyone             | compare-and-swap, as in the table below
 *   permit[].name       | its holder         | see sync/owner.h
 *
 * A permit's word is its holder's identity; the 13 low bits are 0.
 *
 *   from          | to | by
 *   --------------+----+------------------------------------------------------------------
 *   0             | O  | take
 *   D: D is dead  | O  | take of one that asked the kernel for D: WEIR_OWNER_DIED
 *   O             | 0  | release, by a thread of O; then one that waits is woken
 *
 * P1: a permit has one owner at most, and whoever's it is stands in it: the step that takes it names
 *     the holder. There is no count beside the permits that could differ from them.
 * P2: the owner of a word that is not its own is changed by a compare-and-swap alone, from exactly
 *     the word that was asked for; so a verdict that comes late fails.
 * P3: nobody sleeps longer than a slice while a permit is free, or a dead one's.
 * P4: a permit is refused, at once or at a deadline, when two looks in a row have found the same living
 *     processes in all of them, or each of 16 looks others, as in B6. (Words name processes: one that gives
 *     a permit back and takes the one before it, and does the same in the other look, is not told from one
 *     that holds both.)
 *
 * Permits stand close together, four to a cache line: a search for a free one in a pool that is nearly
 * used up reads a quarter of the lines. Each process begins its search elsewhere, so that
 * processes meet in a line only when the pool is small or nearly used up.
 *
 * CRASH permits.unnamed: taken, the name is the former holder's: see owned.unnamed.
 * CRASH permits.unwoken: released, the wake is missing: a waiter finds it after its slice.
 */

#include <weir/permits.h>

#include "sync/event.h"
#include "sync/owner.h"

struct weir__permits_shm {
    weir__atomic_u64 geometry;
    struct weir__event_shm returned;
    uint64_t reserved[6]; /* 0 */
    struct weir__owned permit[];
};

_Static_assert(sizeof(struct weir__permits_shm) == 64, "permits");
_Static_assert(sizeof(struct weir__owned) == 16, "a permit");

/* What the handle is: of one process, used by all of its threads. */
struct weir__permits {
    struct weir__permits_shm *shm;
    uint32_t count;        /* checked */
    weir__atomic_u32 hint; /* where the next search begins; below count */
    uint64_t reserved[2];
};

_Static_assert(sizeof(struct weir__permits) <= sizeof(struct weir_permits), "permits");

#endif
