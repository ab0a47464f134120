/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEMAPHORE_H
#define WEIR_SEMAPHORE_H

/*
 * A counting semaphore between processes: post adds one, wait takes one, or waits until there is
 * one. Anybody posts, anybody waits. Bytes of 0 are a semaphore of value 0, as a message to wait
 * for begins; weir_semaphore_init() gives it another.
 *
 * It counts and names nobody: a unit that was taken by a process that died is gone, unless
 * somebody posts it. For a pool of things that holders take and give back, use <weir/permits.h>:
 * there, what a dead one held comes back.
 *
 * Deaths: of a waiter before it has its unit: nothing is lost; who was woken and killed before it
 * took the unit leaves it to the others, who look within a fifth of a second. Of a poster: it has
 * posted or it has not; if it died before it woke somebody, the unit is found within a fifth of a
 * second.
 *
 * Progress: post never waits. A wait that finds a unit, and a post while nobody waits, make no
 * system call, but for one of the first post after a wait that slept and was ended by no post (a deadline,
 * a signal, a death). Not fair: who comes may be faster than who slept.
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process;
 * weir_semaphore_init() alone wants nobody else there yet.
 *
 * The last wait may be the end of it: who has taken the last unit that is ever posted may give the memory
 * to another use at once ("the answer has come" in a block of a <weir/pool.h>), if nobody waits for one more,
 * be it until a deadline. A post whose unit has been taken, and a wait that has taken its own, read and write
 * nothing there any more, though their calls may not have returned yet.
 * (One that sleeps on a word of what stands there then may be woken for nothing.)
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Highest value. */
#define WEIR_SEMAPHORE_MAX UINT32_C(0x7fffffff)

/* 16 bytes, aligned to 4. */
struct weir_semaphore {
    uint32_t opaque[4];
};

/*
 * weir_semaphore_init() - a semaphore with a value
 *
 * semaphore: the memory, whatever stands there. value: 0 to WEIR_SEMAPHORE_MAX.
 *
 * Returns: 0. Errors: -EINVAL (value; NULL, not aligned).
 * Blocking: never. Threads: alone on this semaphore. Fork: any.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_init(struct weir_semaphore *semaphore, uint32_t value);

/*
 * weir_semaphore_post() - add one
 *
 * semaphore: the semaphore. Wakes one of those that wait.
 *
 * Returns: 0. Errors: -EOVERFLOW (it has WEIR_SEMAPHORE_MAX), -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_post(struct weir_semaphore *semaphore);

/*
 * weir_semaphore_post_many() - give several at once
 *
 * As that many posts, but that all of them are there at the same moment, or none when they do not fit.
 * Whoever sleeps is woken; those that find nothing sleep again.
 *
 * semaphore: the semaphore. count: 1 to WEIR_SEMAPHORE_MAX.
 *
 * Returns: 0. Errors: -EOVERFLOW (it would be above WEIR_SEMAPHORE_MAX; nothing was given), -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_post_many(struct weir_semaphore *semaphore, uint32_t count);

/*
 * weir_semaphore_wait() - take one, however long that takes
 *
 * semaphore: the semaphore. What was written before the post is visible after it.
 *
 * Returns: 0. Errors: -EINTR (a signal; not one that comes while it spins, or in the moment between
 *     two sleeps of a long wait: give a wait that a signal is to end a deadline), -EINVAL.
 * Blocking: until there is one. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_semaphore_wait(struct weir_semaphore *semaphore);

/*
 * weir_semaphore_try_wait() - take one if there is one
 *
 * semaphore: the semaphore.
 *
 * Returns: 0. Errors: -EAGAIN (it is 0), -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_try_wait(struct weir_semaphore *semaphore);

/*
 * weir_semaphore_wait_until() - take one before a deadline
 *
 * semaphore: the semaphore. deadline_ns: from weir_deadline_ns(); 0 is try_wait.
 *
 * Returns: 0. Errors: -ETIMEDOUT, -EAGAIN with a deadline of 0, -EINTR, -EINVAL.
 * Blocking: until the deadline. Threads: any. Fork: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_semaphore_wait_until(struct weir_semaphore *semaphore, int64_t deadline_ns);

/*
 * weir_semaphore_value() - how many there are
 *
 * semaphore: the semaphore; may be in memory that is mapped for reading only.
 *
 * Returns: the value at this moment, 0 to WEIR_SEMAPHORE_MAX. Errors: -EINVAL.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_value(const struct weir_semaphore *semaphore);

/*
 * weir_semaphore_check() - whether this can be a semaphore
 *
 * semaphore: memory that may be one, with whatever there is in it; may be mapped for reading only.
 *
 * As weir_mutex_check(), and it can tell less: every number is a value. What has something in the
 * last 8 bytes, or 2,147,483,648 or more in the second 4, is none; all else is one, whoever has
 * written it. Who puts a semaphore where others may have put something else had better lay a struct
 * weir_once beside it, and ask weir_once_check() too. Nothing is written.
 *
 * Returns: 0: it can be one.
 * Errors: -EUCLEAN (it cannot: the sentence says why), -EINVAL (NULL, not aligned to 4).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_semaphore_check(const struct weir_semaphore *semaphore);

#ifdef __cplusplus
}
#endif
#endif
