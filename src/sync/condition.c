/* SPDX-License-Identifier: MIT */
/*
 * A condition is an event; its state is what the mutex guards.
 *
 *   waiter, with the mutex        signaller
 *   1 the state is not ready      1 lock, change the state, unlock
 *   2 prepare: the bit, ticket    2 notify: the bit? count on, wake
 *   3 unlock
 *   4 wait while ticket
 *   5 lock
 *
 * C1: a change after the waiter's look (1) needs the mutex, so it comes after the unlock (3), and
 *     so does the signal after it: it finds the bit of 2, and counts on from the ticket.
 *
 * CRASH condition.unsignalled: the state has changed, the signal is missing: a slice ends the wait.
 * CRASH condition.taken: who was woken is killed before it has looked: as above, for the others.
 */
#include <weir/condition.h>

#include <errno.h>
#include <stddef.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/event.h"
#include "sync/mutex.h"

static int check_mutex(struct weir_mutex *mutex)
{
    struct weir__mutex_shm *shm = (struct weir__mutex_shm *)(void *)mutex;
    uint64_t word;
    if (!mutex || (uintptr_t)mutex % _Alignof(struct weir__mutex_shm) != 0)
        return weir__fail(EINVAL, "mutex %p: it must be there, and aligned to 8 bytes",
                          (const void *)mutex);
    if (!weir__mutex_is_ours(shm, &word))
        return weir__fail_plain(EPERM, "this thread does not hold the mutex");
    if (word & WEIR__MUTEX_INHERITED)
        return weir__fail_plain(EBUSY, "the mutex was inherited: weir_mutex_consistent() first, or "
                                       "the wait's unlock would give it up");
    /* Relaxed: the holder's own. */
    if (atomic_load_explicit(&shm->depth, memory_order_relaxed) > 0)
        return weir__fail_plain(EBUSY, "this thread holds the mutex more than once");
    return 0;
}

/* Which may be NULL, or misplaced: the event's own check says so. */
static struct weir_event *event_of(struct weir_condition *condition)
{
    return (struct weir_event *)(void *)condition;
}

int weir_condition_wait_until(struct weir_condition *condition, struct weir_mutex *mutex,
                              int64_t deadline_ns)
{
    uint32_t ticket;
    int result = check_mutex(mutex);
    if (result == 0)
        result = weir_event_prepare(event_of(condition), &ticket);
    if (result != 0)
        return result;
    weir_mutex_unlock(mutex);
    int waited =
        weir__event_wait((struct weir__event_shm *)(void *)&condition->event, ticket, deadline_ns);
    result = weir_mutex_lock(mutex);
    if (result == 0 && waited == -ETIMEDOUT)
        return weir__fail_plain(ETIMEDOUT, "nobody has signalled the condition by the deadline");
    return result;
}

int weir_condition_wait(struct weir_condition *condition, struct weir_mutex *mutex)
{
    return weir_condition_wait_until(condition, mutex, WEIR_NEVER);
}

int weir_condition_signal(struct weir_condition *condition)
{
    return weir_event_notify(event_of(condition));
}

int weir_condition_broadcast(struct weir_condition *condition)
{
    return weir_event_notify_all(event_of(condition));
}
