/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_WAIT_H
#define WEIR_CHANNEL_WAIT_H

/*
 * Sleeping and waking (docs/lane.md, "Sleeping and waking").
 *
 *   waiter                                 waker
 *   1 bell = doorbell                      commit (release)
 *   2 epoch += 1, in its own memory        load the epoch; the same as before: done
 *   3 membarrier                           else doorbell += 1, futex wake
 *   4 look once more
 *   5 futex wait while doorbell is bell, a slice at most
 *
 * The waker's commit may still be on its way out of the core when it loads the epoch.
 * The barrier of 3 falls between two of its instructions: before the load, and then the
 * load sees the new epoch; or after it, and then 4 sees the commit. Where membarrier is
 * not to be had, both sides fence.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"
#include "base/slice.h"
#include "base/yield.h"
#include "channel/stats.h"

/*
 * While the other side copies a large message, we wait longer than spin_ns, but less than a sleep
 * costs. So the default spin is extended by the time of two copies of the bytes moved since the last
 * wait, at so many bytes a ns; and by so much at most. Spinning costs no more than moving has cost.
 */
#define WEIR__SPIN_BYTES_A_NS 8
#define WEIR__SPIN_MORE_NS INT64_C(100000)

/* The waiting side. */
struct weir__waiter {
    weir__atomic_u32 *doorbell;    /* in the directory: others ring it */
    weir__atomic_u32 *epoch;       /* in this side's own memory: others read it */
    weir__atomic_u32 *needs_fence; /* likewise */
    int64_t spin_ns;               /* before it sleeps; WEIR__SLICE_NS or more: it never sleeps */
    bool is_by_default;            /* spin_ns is: so it may be longer */
    int64_t more_ns;               /* the next spin, by so much */
    uint64_t moved;                /* bytes, by the wait before */
    struct weir__stats_shm *stats; /* in this side's own memory; NULL: not counted */
    int64_t asked_ns;         /* when the kernel was asked for others' lives: see sleep_once() */
    struct weir__yield yield; /* whether whom it waits for needs this core; private */
    bool is_idle; /* it slept a whole slice, and nobody rang: it looks no more before it is rung */
};

/* A wait is next; bytes moved until now, from any number on. */
static inline void weir__waiter_moved(struct weir__waiter *waiter, uint64_t moved)
{
    uint64_t more_ns = (moved - waiter->moved) / WEIR__SPIN_BYTES_A_NS;
    waiter->is_idle &= moved == waiter->moved;
    if (!waiter->is_by_default)
        more_ns = 0;
    waiter->more_ns = more_ns < WEIR__SPIN_MORE_NS ? (int64_t)more_ns : WEIR__SPIN_MORE_NS;
    waiter->moved = moved;
}

/* The waking side's memory of one waiter. */
struct weir__waker {
    const weir__atomic_u32 *epoch; /* weir__nobody_epoch: nobody to wake */
    uint32_t rung;                 /* the epoch that was rung for last */
    bool must_fence;               /* no membarrier falls between our commit and our load */
    weir__atomic_u32 *doorbell;
    const weir__atomic_u32 *needs_fence; /* the waiter's */
};

enum weir__waited {
    WEIR__WAITED_READY = 0, /* is_ready said so */
    WEIR__WAITED_SLICE = 1, /* time to ask the kernel whether the other side lives */
};

/* What a sleep begins with: 1 to 3 above. 4 and 5 are the caller's. */
struct weir__sleep {
    uint32_t bell;  /* sleep while the doorbell is this */
    uint32_t epoch; /* and be rung for this */
};
struct weir__sleep weir__sleep_begin(const struct weir__waiter *waiter);

/*
 * The same in two steps, for several waiters at once: 1 and 2 of each; then 3, once for all. false:
 * membarrier has been forbidden since they joined; then each says so.
 */
struct weir__sleep weir__sleep_announce(const struct weir__waiter *waiter);
bool weir__sleep_order(void);
void weir__sleep_ask_for_fences(const struct weir__waiter *waiter);

/*
 * Waits until is_ready(argument), which must be cheap and change nothing that others see.
 * deadline_ns: 0 looks once. Returns enum weir__waited, -EAGAIN (deadline_ns 0),
 * -ETIMEDOUT or -EINTR: without a sentence, as whoever waits may look again, and succeed.
 */
int weir__wait(struct weir__waiter *waiter, bool (*is_ready)(void *argument), void *argument,
               int64_t deadline_ns);

/* Rings a doorbell, whoever sleeps on it. */
void weir__ring(weir__atomic_u32 *doorbell) __attribute__((cold));

/*
 * Rings for one epoch: a ring that comes late, for a message that was found without it, does
 * not disturb the next sleep of who waits with the bit of its epoch. Others hear it as well.
 */
void weir__ring_for(weir__atomic_u32 *doorbell, uint32_t epoch) __attribute__((cold));

static inline uint32_t weir__epoch_bit(uint32_t epoch)
{
    return UINT32_C(1) << epoch % 32;
}

/* Always 0, so that a wake need not ask whether there is anybody. */
extern const weir__atomic_u32 weir__nobody_epoch;

/* Between a commit and the load of an epoch. */
static inline void weir__wake_order(bool must_fence)
{
    if (__builtin_expect(must_fence, 0))
        atomic_thread_fence(memory_order_seq_cst); /* in place of the waiter's membarrier */
    else
        atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps the order, too */
}

/* The epoch, once the order is kept. Another one than was rung for: the waiter sleeps, or is about to. */
static inline uint32_t weir__waker_epoch(const struct weir__waker *waker)
{
    /* Relaxed [sleep.epoch]: ordered after our commit by the waiter's membarrier. Pairs with
     * weir__sleep_announce(). */
    return atomic_load_explicit(waker->epoch, memory_order_relaxed);
}

/* After a commit: rings if the waiter has begun to sleep since the last ring. stats: who counts. */
static inline void weir__wake(struct weir__waker *waker, struct weir__stats_shm *stats)
{
    weir__wake_order(waker->must_fence);
    uint32_t epoch = weir__waker_epoch(waker);
    if (__builtin_expect(epoch != waker->rung, 0)) {
        waker->rung = epoch;
        weir__ring_for(waker->doorbell, epoch);
        weir__count(&stats->wakes);
        /* Relaxed: a filter may have come over the waiter since it was met. Until this is read a slice
         * makes up for a wake that is lost. Pairs with weir__sleep_ask_for_fences(). */
        waker->must_fence |= atomic_load_explicit(waker->needs_fence, memory_order_relaxed) != 0;
    }
}

#endif
