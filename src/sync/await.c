/* SPDX-License-Identifier: MIT */
#include "sync/await.h"

#include <errno.h>

#include "sync/sleep.h"
#include "sync/spin.h"

static int look_for_a_moment(const struct weir__await *how, void *waiter)
{
    int result = how->look(waiter);
    for (int turn = 0; turn < WEIR__SPIN_TURNS && result == WEIR__NOT_YET; turn++) {
        weir__cpu_relax();
        result = how->glance(waiter);
    }
    return result;
}

int weir__await(const struct weir__await *how, void *waiter, struct weir__event_shm *event,
                int64_t deadline_ns)
{
    struct weir__asking asking = weir__asking_begin();
    while (!weir__is_over(deadline_ns)) {
        int result = look_for_a_moment(how, waiter);
        if (result != WEIR__NOT_YET)
            return result;
        uint32_t ticket = weir__event_prepare(event);
        result = how->look(waiter);
        if (result != WEIR__NOT_YET)
            return result;
        int64_t slice_ns = how->ask ? weir__asking_slice(&asking) : WEIR__SLEEP_SLICE_NS;
        int slept = weir__event_wait_slice(event, ticket, slice_ns, deadline_ns);
        if (slept == -EINTR && how->ends_by_signal)
            return slept;
        if (how->ask && weir__asking_is_due(&asking))
            result = how->ask(waiter);
        if (result != WEIR__NOT_YET)
            return result;
    }
    return how->ask ? how->ask(waiter) : how->look(waiter);
}
