/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_URING_H
#define WEIR_BASE_URING_H

/*
 * One futex wait that the kernel does in our place, by io_uring: an eventfd becomes readable
 * when the word is woken, signalled by the waker itself. No thread stands in between.
 *
 *   state    | completions of the wait | the eventfd
 *   ---------+-------------------------+--------------------------------------
 *   idle     | none to come            | as the caller left it
 *   waiting  | one, when it is woken   | becomes readable with it
 *   over     | there                   | readable
 *
 * A ring is one thread's, whose task work is deferred: it disturbs no call of that thread.
 * When that thread ends, the kernel ends the wait, and another thread's call says so
 * (-EEXIST): it opens a ring of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

struct weir__uring;

/*
 * 0; -ENOSYS, -EPERM, -EINVAL and the like: the kernel, a filter or the administrator
 * (kernel.io_uring_disabled) does not allow it, or has no futex waits (Linux 6.7).
 */
int weir__uring_open(struct weir__uring **uring, int eventfd);

/* Lets go. What still waits ends when no child of fork has the ring open, either. */
void weir__uring_close(struct weir__uring *uring);

/*
 * A new wait in place of the former: while *word is value, for wakes whose bits meet mask.
 * The eventfd is cleared. 1: waiting; 0: over already, as the word was woken, or is not
 * value any more; else -errno: whatever still waits leaves the eventfd alone, and the ring is
 * of no more use.
 */
int weir__uring_wait(struct weir__uring *uring, const weir__atomic_u32 *word, uint32_t value,
                     uint32_t mask);

#endif
