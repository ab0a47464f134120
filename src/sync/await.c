/* SPDX-License-Identifier: MIT */
#include "sync/await.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/yield.h"
#include "sync/sleep.h"
#include "sync/spin.h"

/* Who is waited for may need this core. */
static int look_after_yield(const struct weir__await *how, void *waiter)
{
    int64_t away_ns = weir__yield_away();
    int result = how->glance(waiter);
    weir__spin_yielded(result != WEIR__NOT_YET, away_ns);
    return result;
}

static int look_for_a_moment(const struct weir__await *how, void *waiter, int64_t deadline_ns)
{
    int result = how->look(waiter), turn = 0;
    for (int turns = weir__spin_turns(); turn < turns && result == WEIR__NOT_YET; turn++) {
        weir__cpu_relax();
        result = how->glance(waiter);
    }
    if (result != WEIR__NOT_YET)
        weir__spin_caught(turn);
    else if (weir__spin_yields(deadline_ns - weir_now_ns()))
        result = look_after_yield(how, waiter);
    return result;
}

/*
 * Announces itself, looks once more, and sleeps: how the look went. *slept, when that was in vain: as
 * weir__event_wait_slice().
 */
static int look_and_sleep(const struct weir__await *how, void *waiter,
                          struct weir__event_shm *event, int64_t slice_ns, int64_t deadline_ns,
                          int *slept)
{
    uint32_t ticket = how->prepare ? how->prepare(waiter) : weir__event_prepare(event);
    int result = how->look(waiter);
    if (result != WEIR__NOT_YET)
        return result;
    int64_t begun_ns = weir_now_ns();
    *slept = how->sleep ? how->sleep(waiter, ticket, slice_ns, deadline_ns)
                        : weir__event_wait_slice(event, ticket, slice_ns, deadline_ns);
    weir__spin_slept(weir_now_ns() - begun_ns);
    return result;
}

int weir__await(const struct weir__await *how, void *waiter, struct weir__event_shm *event,
                int64_t deadline_ns)
{
    struct weir__asking asking = { 0 };
    weir__spin_begin();
    if (how->ask)
        asking = weir__asking_begin();
    while (!weir__is_over(deadline_ns)) {
        int slept = 0, result = look_for_a_moment(how, waiter, deadline_ns);
        if (result != WEIR__NOT_YET)
            return result;
        int64_t slice_ns = how->ask ? weir__asking_slice(&asking) : WEIR__SLICE_NS;
        result = look_and_sleep(how, waiter, event, slice_ns, deadline_ns, &slept);
        if (how->stirs)
            how->stirs(waiter, result == WEIR__NOT_YET && slept == 0);
        if (result != WEIR__NOT_YET)
            return result;
        if (slept == -EINTR && how->ends_by_signal)
            return slept;
        if (how->ask && weir__asking_is_due(&asking))
            result = how->ask(waiter);
        if (result != WEIR__NOT_YET)
            return result;
    }
    return how->ask ? how->ask(waiter) : how->look(waiter);
}
