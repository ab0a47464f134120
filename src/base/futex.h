/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_FUTEX_H
#define WEIR_BASE_FUTEX_H

/* futex(2) between processes, and membarrier(2). */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

/*
 * Sleeps while *word is value, timeout_ns at most. 0: woken, or *word was
 * something else, or for no reason; -ETIMEDOUT; -EINTR.
 */
int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, int64_t timeout_ns);

/*
 * Sleeps so long: 0; or -EINTR, for a signal. clock_nanosleep(3) would be a cancellation point, and no wait of
 * weir's is one.
 */
int weir__nap(int64_t timeout_ns);

/* Wakes all who sleep on word. */
void weir__futex_wake(weir__atomic_u32 *word);

/* Of these, who have none of 32 bits to wait for, and whose bits meet mask (not 0). */
void weir__futex_wake_bits(weir__atomic_u32 *word, uint32_t mask);

/* Wakes one of them. true: there was one. */
bool weir__futex_wake_one(weir__atomic_u32 *word);

/* From now on weir__membarrier() of any process reaches the threads of this one. */
bool weir__membarrier_register(void);

/*
 * A full fence in the caller, and in every registered process that is running. false:
 * the kernel, or a filter, does not allow it.
 */
bool weir__membarrier(void);

#endif
