/* SPDX-License-Identifier: MIT */
#ifndef WEIR_EVENT_H
#define WEIR_EVENT_H

/*
 * An event (an "event count"): sleep until something in shared memory has changed, whatever it
 * is, without losing a wake-up and without a lock. It lies in memory that all have mapped for
 * writing; bytes of 0 are an event.
 *
 *     waiter                                       who changes the state
 *     while (!ready(state)) {                      change(state);
 *         uint32_t ticket;                         weir_event_notify_all(&event);
 *         weir_event_prepare(&event, &ticket);
 *         if (ready(state))
 *             break;
 *         weir_event_wait(&event, ticket);
 *     }
 *
 * What state means is yours: read and write it with atomics (acquire to read, release to write).
 * Either the change is visible at the second look, or the notification ends the wait.
 *
 * A wait may end for no reason, and does five times a second: the process that should have
 * notified may have been killed between the change and the call. So the loop stays.
 *
 * Deaths: of a waiter, at any point: costs the next notification a system call or two. Of a notifier
 * between the change and the call: the waiters see the change within a fifth of a second.
 * A notification that wakes one reaches one that sleeps, perhaps a stopped one: the others look
 * within a fifth of a second, too.
 *
 * Progress: prepare and notify never wait. While nobody has prepared, notify is a fence and a
 * load, without a system call; the first one after a wait that ended by itself, or a ticket that was not used,
 * makes one, or two.
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process.
 *
 * The memory may serve for something else only when every call has returned, in all processes: who changes
 * the state notifies when others may have seen the change already. <weir/semaphore.h> is free of that.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 8 bytes, aligned to 4. */
struct weir_event {
    uint32_t opaque[2];
};

/*
 * weir_event_prepare() - say that this thread is about to sleep
 *
 * event: the event. ticket: receives what weir_event_wait() needs. Look at the state after this
 * call: a change before it is seen then, one after it ends the wait. A ticket that is not used
 * costs nothing but the next notifier a system call or two.
 *
 * Returns: 0. Errors: -EINVAL (event NULL or not aligned, ticket NULL: nobody is said to sleep).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_event_prepare(struct weir_event *event, uint32_t *ticket);

/*
 * weir_event_wait() - sleep until a notification after the ticket
 *
 * event: the event. ticket: of weir_event_prepare(), used once.
 *
 * Returns: 0: look at the state again. Errors: -EINTR (a signal; not one that comes in the microsecond before it
 *     sleeps), -EINVAL.
 * Blocking: a fifth of a second at most. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_event_wait(struct weir_event *event, uint32_t ticket);

/*
 * weir_event_wait_until() - the same, before a deadline
 *
 * event: the event. ticket: of weir_event_prepare(). deadline_ns: from weir_deadline_ns().
 *
 * Returns: 0: look at the state again, also when it has slept to the deadline: the next wait says -ETIMEDOUT.
 * Errors: -ETIMEDOUT (the deadline had passed before it could sleep, so that the look behind the
 *     ticket was the last; one of 0 always has, for which most waits of weir have another code),
 *     -EINTR, -EINVAL.
 * Blocking: a fifth of a second at most. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_event_wait_until(struct weir_event *event, uint32_t ticket,
                                      int64_t deadline_ns);

/*
 * weir_event_notify() - the state has changed: wake one
 *
 * event: the event. Wakes one of those that sleep, and everybody who has prepared and does not
 * sleep yet.
 *
 * Returns: 0. Errors: -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_event_notify(struct weir_event *event);

/*
 * weir_event_notify_all() - the state has changed: wake all
 *
 * event: the event.
 *
 * Returns: 0. Errors: -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_event_notify_all(struct weir_event *event);

#ifdef __cplusplus
}
#endif
#endif
