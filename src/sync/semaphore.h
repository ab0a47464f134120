/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_SEMAPHORE_H
#define WEIR_SYNC_SEMAPHORE_H

/*
 * A value, and how many sleep while it is 0.
 *
 *   field   | who writes it | under what
 *   --------+---------------+----------------------------------------------------------
 *   value   | anyone        | compare-and-swap, as in the table below
 *   asleep  | anyone        | add 1 before a sleep; subtract 1 behind one that no post has ended, and before
 *           |               | a unit is taken without one; a post takes off whom it wakes. A hint
 *
 * The value is a futex: how many units there are, and in bit 31 WAITED: somebody sleeps, perhaps.
 *
 *   from      | to                | by
 *   ----------+-------------------+--------------------------------------------------------
 *   n > 0     | n - 1             | wait; WAITED stays as it is
 *   0         | 0, WAITED         | one that is about to sleep
 *   n         | n + count         | post
 *   n, WAITED | n + count         | post; then it wakes all
 *   n, WAITED | n + 1, WAITED     | post of one, when asleep says that several sleep; then it wakes one
 *
 * S1: the value is what was posted, and the initial value, less what was taken.
 * S2: nobody sleeps longer than a slice while the value is above 0. One sleeps while the word is 0,
 *     WAITED and nothing else, and while somebody sleeps WAITED is set, or whoever has cleared it is about
 *     to wake all.
 * S3: a post touches the memory no more from the moment on at which its units are there, so that who
 *     takes one may put the memory to another use: the kernel, which is asked to wake at that address,
 *     reads and writes nothing there. Whoever sleeps at what stands there then is woken for nothing.
 * S4: nor does a wait from the moment on at which it has taken its unit.
 */

#include <weir/semaphore.h>

#include "base/atomics.h"

#define WEIR__SEMAPHORE_WAITED UINT32_C(0x80000000)

_Static_assert(WEIR_SEMAPHORE_MAX == WEIR__SEMAPHORE_WAITED - 1, "a value, and the bit");

struct weir__semaphore_shm {
    weir__atomic_u32 value;
    weir__atomic_u32 asleep;
    uint32_t reserved[2]; /* 0 */
};

_Static_assert(sizeof(struct weir__semaphore_shm) == sizeof(struct weir_semaphore), "semaphore");

#endif
