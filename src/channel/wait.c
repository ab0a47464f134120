/* SPDX-License-Identifier: MIT */
#include "channel/wait.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/futex.h"

/* Between two looks at the clock while spinning. */
#define SPINS_PER_LOOK 64

const weir__atomic_u32 weir__nobody_epoch;

static void ring(weir__atomic_u32 *doorbell, uint32_t mask)
{
    /* Release [slot.doorbell]: nothing is carried by it; whoever is woken looks for itself. Pairs
     * with weir__sleep_announce(). */
    atomic_fetch_add_explicit(doorbell, 1, memory_order_release);
    /* CRASH sleep.unwoken: a slice makes up for it. */
    weir__futex_wake_bits(doorbell, mask);
}

void weir__ring(weir__atomic_u32 *doorbell)
{
    ring(doorbell, UINT32_MAX);
}

void weir__ring_for(weir__atomic_u32 *doorbell, uint32_t epoch)
{
    ring(doorbell, weir__epoch_bit(epoch));
}

static bool spin(const struct weir__waiter *waiter, bool (*is_ready)(void *), void *argument,
                 int64_t deadline_ns)
{
    int64_t now_ns = weir_now_ns(), until_ns = deadline_ns;
    int64_t spin_ns = waiter->spin_ns + waiter->more_ns;
    if (spin_ns > WEIR__SLICE_NS)
        spin_ns = WEIR__SLICE_NS;
    if (spin_ns < until_ns - now_ns)
        until_ns = now_ns + spin_ns;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (is_ready(argument))
                return true;
            weir__cpu_relax();
        }
    } while (weir_now_ns() < until_ns);
    return false;
}

/* Before a sleep. Whether it has become ready. */
static bool look_for_a_moment(struct weir__waiter *waiter, bool (*is_ready)(void *), void *argument,
                              int64_t deadline_ns)
{
    if (waiter->spin_ns == 0 || waiter->is_idle)
        return false;
    if (weir__yield_is_learnt(&waiter->yield)) /* whom we wait for may need our core */
        return weir__yield_and_look(&waiter->yield, is_ready, argument,
                                    deadline_ns - weir_now_ns());
    if (!spin(waiter, is_ready, argument, deadline_ns))
        return false;
    weir__yield_looked(&waiter->yield);
    return true;
}

struct weir__sleep weir__sleep_announce(const struct weir__waiter *waiter)
{
    struct weir__sleep sleep;
    /* Acquire [slot.doorbell]. Pairs with ring(). */
    sleep.bell = atomic_load_explicit(waiter->doorbell, memory_order_acquire);
    /* Relaxed [sleep.epoch]: this process alone writes it, in one thread or two; the fences below
     * order it before the look. Pairs with weir__waker_epoch(). */
    sleep.epoch = atomic_fetch_add_explicit(waiter->epoch, 1, memory_order_relaxed) + 1;
    return sleep;
}

bool weir__sleep_order(void)
{
    bool is_done = weir__membarrier();
    atomic_thread_fence(memory_order_seq_cst);
    return is_done;
}

void weir__sleep_ask_for_fences(const struct weir__waiter *waiter)
{
    /* Relaxed: whoever rings next reads it. Pairs with weir__wake(). */
    if (atomic_load_explicit(waiter->needs_fence, memory_order_relaxed) == 0)
        atomic_store_explicit(waiter->needs_fence, 1, memory_order_relaxed);
}

struct weir__sleep weir__sleep_begin(const struct weir__waiter *waiter)
{
    struct weir__sleep sleep = weir__sleep_announce(waiter);
    if (!weir__sleep_order())
        weir__sleep_ask_for_fences(waiter);
    return sleep;
}

static void begin_sleep(struct weir__stats_shm *stats)
{
    if (!stats)
        return;
    weir__count(&stats->sleeps);
    weir__state(&stats->asleep, 1);
}

/* Who only sleeps learns nothing from it. */
static void note_sleep(struct weir__waiter *waiter, bool has_come, int64_t slept_ns)
{
    if (waiter->spin_ns > 0)
        weir__yield_slept(&waiter->yield, has_come, slept_ns);
}

/*
 * A slice at most, and no longer than until the kernel was asked for lives a slice ago: who is rung for nothing
 * just before that would else sleep for another whole one.
 */
static int64_t slice_left(const struct weir__waiter *waiter, int64_t now_ns)
{
    int64_t left_ns = waiter->asked_ns + WEIR__SLICE_NS - now_ns;
    return left_ns > 0 && left_ns < WEIR__SLICE_NS ? left_ns : WEIR__SLICE_NS;
}

static int sleep_once(struct weir__waiter *waiter, bool (*is_ready)(void *), void *argument,
                      int64_t deadline_ns)
{
    uint32_t bell = weir__sleep_begin(waiter).bell;
    if (is_ready(argument)) {
        note_sleep(waiter, true, 0);
        return WEIR__WAITED_READY;
    }
    /* CRASH sleep.epoch: the epoch stays; it costs a waker one ring. */
    int64_t begun_ns = weir_now_ns(), left_ns = deadline_ns - begun_ns;
    if (left_ns <= 0)
        return -ETIMEDOUT;
    begin_sleep(waiter->stats);
    int64_t slice_ns = slice_left(waiter, begun_ns);
    int result = weir__futex_wait(waiter->doorbell, bell, left_ns < slice_ns ? left_ns : slice_ns);
    if (waiter->stats)
        weir__state(&waiter->stats->asleep, 0);
    bool has_come = is_ready(argument);
    waiter->is_idle = !has_come && result == -ETIMEDOUT && left_ns >= WEIR__SLICE_NS;
    note_sleep(waiter, has_come, weir_now_ns() - begun_ns);
    if (has_come)
        return WEIR__WAITED_READY;
    return result == -EINTR ? -EINTR : WEIR__WAITED_SLICE;
}

int weir__wait(struct weir__waiter *waiter, bool (*is_ready)(void *), void *argument,
               int64_t deadline_ns)
{
    if (is_ready(argument))
        return WEIR__WAITED_READY;
    if (deadline_ns == 0)
        return -EAGAIN;
    if (weir_now_ns() >= deadline_ns)
        return -ETIMEDOUT;
    if (waiter->stats)
        weir__count(&waiter->stats->waits);
    if (look_for_a_moment(waiter, is_ready, argument, deadline_ns))
        return WEIR__WAITED_READY;
    if (waiter->spin_ns >= WEIR__SLICE_NS)
        return WEIR__WAITED_SLICE;
    return sleep_once(waiter, is_ready, argument, deadline_ns);
}
