/* SPDX-License-Identifier: MIT */
#include "sync/event.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/futex.h"
#include "sync/sleep.h"
#include "sync/spin.h"

int weir__event_wait_word(const weir__atomic_u32 *word, uint32_t value, int64_t slice_ns,
                          int64_t deadline_ns)
{
    int turns = weir__spin_turns();
    for (int turn = 0; turn < turns && turn < WEIR__SPIN_TURNS; turn++) {
        /* Acquire [event.count]: what was changed before the notification. Pairs with count_on(). */
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return 0;
        weir__cpu_relax();
    }
    return weir__sleep_slice(word, value, slice_ns, deadline_ns);
}

int weir__event_wait(struct weir__event_shm *event, uint32_t ticket, int64_t deadline_ns)
{
    weir__spin_begin();
    int result = weir__event_wait_slice(event, ticket, WEIR__SLICE_NS, deadline_ns);
    return result == 1 ? 0 : result;
}

/* One notification more, if somebody waits. false: nobody does any more. */
static bool count_on(struct weir__event_shm *event, uint32_t clear, uint32_t *now)
{
    /* Relaxed [event.count]: only a first guess for the compare-and-swap below. */
    uint32_t word = atomic_load_explicit(&event->word, memory_order_relaxed);
    do {
        if ((word & WEIR__EVENT_WAITED) == 0)
            return false;
        *now = (word + 2) & ~clear;
        /* Release [event.count]: the change before its notification. Pairs with
         * weir__event_wait_word(). */
    } while (!atomic_compare_exchange_weak_explicit(&event->word, &word, *now, memory_order_release,
                                                    memory_order_relaxed));
    return true;
}

void weir__event_wake_one(struct weir__event_shm *event)
{
    uint32_t now;
    if (!count_on(event, 0, &now))
        return;
    /* CRASH event.unwoken */
    if (weir__futex_wake_one(&event->word))
        return;
    /* Relaxed [event.word]: it orders nothing. Pairs with weir__event_prepare(). */
    if (atomic_compare_exchange_strong_explicit(&event->word, &now, (now + 2) & ~WEIR__EVENT_WAITED,
                                                memory_order_relaxed, memory_order_relaxed)) {
        /* CRASH event.unwoken */
        weir__futex_wake(&event->word); /* E1 */
    }
}

void weir__event_wake_all(struct weir__event_shm *event)
{
    uint32_t now;
    if (count_on(event, WEIR__EVENT_WAITED, &now))
        weir__futex_wake(&event->word);
}

/* --- the public calls ---------------------------------------------------------------------- */

static int check(const struct weir_event *event)
{
    if (event && (uintptr_t)event % _Alignof(struct weir__event_shm) == 0)
        return 0;
    return weir__fail(EINVAL, "event %p: it must be there, and aligned to 4 bytes",
                      (const void *)event);
}

static struct weir__event_shm *shared(struct weir_event *event)
{
    return (struct weir__event_shm *)(void *)event;
}

int weir_event_prepare(struct weir_event *event, uint32_t *ticket)
{
    int result = check(event);
    if (result != 0)
        return result;
    if (!ticket)
        return weir__fail_plain(EINVAL, "no place for the ticket");
    *ticket = weir__event_prepare(shared(event));
    return 0;
}

int weir_event_wait_until(struct weir_event *event, uint32_t ticket, int64_t deadline_ns)
{
    int result = check(event);
    if (result != 0)
        return result;
    result = weir__event_wait(shared(event), ticket, deadline_ns);
    if (result == -ETIMEDOUT)
        return weir__fail_plain(ETIMEDOUT, "nobody has notified the event by the deadline");
    return result == 0 ? 0 : weir__fail_plain(-result, "a signal arrived while waiting");
}

int weir_event_wait(struct weir_event *event, uint32_t ticket)
{
    return weir_event_wait_until(event, ticket, WEIR_NEVER);
}

int weir_event_notify(struct weir_event *event)
{
    int result = check(event);
    if (result == 0)
        weir__event_notify(shared(event));
    return result;
}

int weir_event_notify_all(struct weir_event *event)
{
    int result = check(event);
    if (result == 0)
        weir__event_notify_all(shared(event));
    return result;
}
