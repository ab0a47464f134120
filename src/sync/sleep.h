/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_SLEEP_H
#define WEIR_SYNC_SLEEP_H

/*
 * Sleeping on a word of shared memory. Nobody sleeps longer than a slice without a look: who
 * should wake us may be killed before it does.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/clock.h>

#include "base/atomics.h"

#define WEIR__SLEEP_SLICE_NS INT64_C(200000000)

/* The first sleep of a wait: if the one it is for was dead before, nobody will wake us. */
#define WEIR__SLEEP_FIRST_NS INT64_C(2000000)

/*
 * For the loop around a sleep: one that is woken again and again, and finds nothing, sees its
 * deadline here. 0 is always over.
 */
static inline bool weir__is_over(int64_t deadline_ns)
{
    return deadline_ns != WEIR_NEVER && weir_now_ns() >= deadline_ns;
}

/*
 * Sleeps while *word is value; a slice at most. The word may lie in memory that may only be read.
 * deadline_ns: WEIR_NEVER, or of CLOCK_MONOTONIC.
 *
 * 0: look again (woken, the word was something else, the slice is over, or for no reason);
 * -ETIMEDOUT: the deadline has passed; -EINTR: a signal. Without a sentence.
 */
int weir__sleep(const weir__atomic_u32 *word, uint32_t value, int64_t deadline_ns);

/* The same with another slice. 1: the slice is over, and nobody has woken us. */
int weir__sleep_slice(const weir__atomic_u32 *word, uint32_t value, int64_t slice_ns,
                      int64_t deadline_ns);

#endif
