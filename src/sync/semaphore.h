/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_SEMAPHORE_H
#define WEIR_SYNC_SEMAPHORE_H

/*
 * A value, and an event for who finds it 0.
 *
 *   field   | who writes it | under what
 *   --------+---------------+----------------------------------------------------------
 *   value   | anyone        | compare-and-swap: n -> n + count (post), n -> n - 1, n > 0 (wait)
 *   asleep  | anyone        | add 1 before a sleep, subtract 1 behind it; a hint
 *   event   | anyone        | see sync/event.h
 *
 * S1: the value is what was posted, and the initial value, less what was taken.
 * S2: nobody sleeps longer than a slice while the value is above 0.
 */

#include <weir/semaphore.h>

#include "base/atomics.h"
#include "sync/event.h"

struct weir__semaphore_shm {
    weir__atomic_u32 value;
    weir__atomic_u32 asleep;
    struct weir__event_shm event;
};

_Static_assert(sizeof(struct weir__semaphore_shm) == sizeof(struct weir_semaphore), "semaphore");

#endif
