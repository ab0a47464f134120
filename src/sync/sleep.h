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
#include "base/slice.h"

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
 * When the kernel is to be asked whether those we wait for live: soon, then once a slice. By the clock,
 * and not when a wait has lasted its slice: signals end waits, and wakes that were meant for others,
 * again and again.
 */
struct weir__asking {
    int64_t next_ns;
};

static inline struct weir__asking weir__asking_begin(void)
{
    return (struct weir__asking){ weir_now_ns() + WEIR__SLEEP_FIRST_NS };
}

/* How long to sleep until then. */
static inline int64_t weir__asking_slice(const struct weir__asking *asking)
{
    int64_t left_ns = asking->next_ns - weir_now_ns();
    return left_ns > 1 ? left_ns : 1;
}

static inline bool weir__asking_is_due(struct weir__asking *asking)
{
    int64_t now_ns = weir_now_ns();
    if (now_ns < asking->next_ns)
        return false;
    asking->next_ns = now_ns + WEIR__SLICE_NS;
    return true;
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
