/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CONDITION_H
#define WEIR_CONDITION_H

/*
 * A condition between processes: wait, with a mutex, until what it guards is as you want it. Bytes
 * of 0 are a condition that nobody waits for.
 *
 *     waiter                                                signaller
 *     int result = lock(queue);                             int result = lock(queue);
 *     while (result == 0 && queue->count == 0)              if (result == 0) {
 *         result = mend(queue, weir_condition_wait(             queue->count++;
 *                      &queue->filled, &queue->mutex));         weir_mutex_unlock(&queue->mutex);
 *     if (result == 0) {                                        weir_condition_signal(&queue->filled);
 *         queue->count--;                                   }
 *         weir_mutex_unlock(&queue->mutex);
 *     }
 *
 * where lock(queue) is mend(queue, weir_mutex_lock(&queue->mutex)), and mend() makes whole what somebody left
 * who died with the mutex: without that the next unlock would give it up for ever.
 *
 *     static int mend(struct queue *queue, int result)
 *     {
 *         if (result != WEIR_OWNER_DIED)
 *             return result;
 *         repair(queue);
 *         return weir_mutex_consistent(&queue->mutex);
 *     }
 *
 * The state changes with the mutex held; the signal may come before or after the unlock.
 *
 * A wait may end for no reason, and does five times a second, so the loop stays. This is what
 * makes it survive deaths: a signaller that was killed between the change and the signal, and a
 * waiter that was killed or stopped with the wake-up that another one could have used, cost a
 * fifth of a second at most. No wake-up is lost otherwise.
 *
 * When another process died with the mutex while this one waited, the wait returns
 * WEIR_OWNER_DIED: the mutex is held, repair and weir_mutex_consistent(); a wait before that is -EBUSY.
 *
 * Progress: signal and broadcast never wait, and while nobody waits make no system call; but two at most of
 * the first one after a wait that ended by itself.
 *
 * Concurrency: every call may run at the same time as every other. Each wait on one condition may
 * use another mutex, as far as the state that it looks at is guarded.
 *
 * The memory may serve for something else only when every call has returned, in all processes: who signals
 * after its unlock does so when others may have seen the change already.
 */

#include <stdint.h>

#include <weir/event.h>
#include <weir/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 8 bytes, aligned to 4. */
struct weir_condition {
    struct weir_event event;
};

/*
 * weir_condition_wait() - let the mutex go, wait for a signal, lock it again
 *
 * condition: the condition. mutex: held by this thread, once. Between the unlock and the wait no
 * signal is lost.
 *
 * Returns: 0, or WEIR_OWNER_DIED as weir_mutex_lock() says it. The mutex is held: look at the state.
 * Errors: -EPERM (this thread does not hold the mutex), -EBUSY (it holds it more than once, or
 *     inherited it and has not called weir_mutex_consistent()), -EINVAL (NULL, not aligned),
 *     -ENOTRECOVERABLE (the mutex was given up meanwhile, and is not held any more).
 * Blocking: a fifth of a second, and then for the mutex. A signal's handler ends it with 0.
 * Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_condition_wait(struct weir_condition *condition, struct weir_mutex *mutex);

/*
 * weir_condition_wait_until() - the same, before a deadline
 *
 * condition, mutex: as in weir_condition_wait(). deadline_ns: from weir_deadline_ns().
 *
 * One that has slept to the deadline gives 0: look at the state, and the next wait says -ETIMEDOUT.
 *
 * Returns: 0, WEIR_OWNER_DIED (also when the deadline has passed).
 * Errors: -ETIMEDOUT (the deadline had passed before it could sleep, one of 0 always has: most waits
 *     of weir have another code for that; the mutex is held again, as after success), and those of
 *     weir_condition_wait().
 * Blocking: a fifth of a second, the deadline at most, and then for the mutex.
 * Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_condition_wait_until(struct weir_condition *condition,
                                          struct weir_mutex *mutex, int64_t deadline_ns);

/*
 * weir_condition_signal() - wake one that waits
 *
 * condition: the condition.
 *
 * Returns: 0. Errors: -EINVAL.
 * Blocking: never. Threads: any, with the mutex or without. Fork: any.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_condition_signal(struct weir_condition *condition);

/*
 * weir_condition_broadcast() - wake all that wait
 *
 * condition: the condition.
 *
 * Returns: 0. Errors: -EINVAL.
 * Blocking: never. Threads: any, with the mutex or without. Fork: any.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_condition_broadcast(struct weir_condition *condition);

#ifdef __cplusplus
}
#endif
#endif
