/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_ONCE_H
#define WEIR_SYNC_ONCE_H

/*
 * A mutex, and a word that says that it is done.
 *
 *   field   | who writes it              | under what
 *   --------+----------------------------+--------------------------------------
 *   mutex   | see sync/mutex.h           |
 *   done    | who holds the mutex        | 0 -> DONE, once
 *
 *   done | mutex              | state                                   | moved on by
 *   -----+--------------------+-----------------------------------------+----------------------------------
 *   0    | free               | nobody has begun, or it was abandoned   | begin: held, BEGUN
 *   0    | held               | somebody builds                         | end: DONE, then unlock;
 *        |                    |                                         | abandon: unlock
 *   0    | its holder is dead | half-built                              | the next begin: held, and told so
 *   DONE | any                | done; nobody waits for the mutex        | -
 *
 * O1: done is DONE only when somebody has built it all.
 * O2: nobody waits longer than a slice when it is done: who waits for the mutex looks at done once a slice,
 *     and before it says that its deadline is over. Who has built it may be stopped before it lets go.
 */

#include <stdint.h>

#include <weir/once.h>

#include "base/atomics.h"

#define WEIR__ONCE_DONE UINT32_C(1)

struct weir__once_shm {
    struct weir_mutex mutex;
    weir__atomic_u32 done;
    uint32_t reserved; /* 0 */
};

_Static_assert(sizeof(struct weir__once_shm) == sizeof(struct weir_once), "once");

#endif
