/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ONCE_H
#define WEIR_ONCE_H

/*
 * Once: something in shared memory is made by exactly one of several processes, and the others
 * wait for it; also when the one that began is killed. Bytes of 0 are "not done yet".
 *
 *     int result = weir_once_begin(&shared->once);
 *     if (result > 0) {                   (this process is the one; half of it may be there
 *         build(shared);                   already, if result is WEIR_OWNER_DIED)
 *         weir_once_end(&shared->once);
 *     }
 *
 * After weir_once_end() every begin returns 0 at once, with what was built before visible.
 *
 * Deaths: of who builds, at any point before the end: the next begin returns WEIR_OWNER_DIED.
 * Of who waits: nothing. In weir_once_abandon(): as before it (WEIR_OWNER_DIED), or as after it
 * (WEIR_ONCE_BEGUN), and who waits begins within a fifth of a second.
 * In weir_once_end(): as before it (killed: WEIR_OWNER_DIED; stopped: the others wait), or as after
 * it, and who waits sees that it is done within a fifth of a second.
 * Progress: as weir_mutex. Once it is done, begin is a load.
 * Concurrency: begin, begin_until and check may run at the same time as everything, from any thread or
 * process. end and abandon are of the one thread that has begun, once; the begins of others may run
 * beside them: they go on when it has ended, or one of them begins when it was abandoned.
 *
 * The memory may serve for something else only when every call has returned, in all processes: weir_once_end()
 * lets others go when they may have seen already that it is done.
 */

#include <stdint.h>

#include <weir/mutex.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Success with news, of weir_once_begin(): it is this thread's to do. */
#define WEIR_ONCE_BEGUN 1

/* 48 bytes, aligned to 8. */
struct weir_once {
    struct weir_mutex mutex;
    uint32_t opaque[2];
};

/*
 * weir_once_begin() - is it done, or is it mine to do?
 *
 * once: the object.
 *
 * Returns: 0: it is done. WEIR_ONCE_BEGUN: do it, then weir_once_end(). WEIR_OWNER_DIED: the
 *     same, and the former one died in the midst of it.
 * Errors: -EDEADLK (this thread is doing it), those of weir_identity(), -EINVAL.
 * Blocking: while another one does it. A signal's handler runs, then it waits on.
 * Threads: any. Fork: a child of who does it does not do it. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_once_begin(struct weir_once *once);

/*
 * weir_once_begin_until() - the same, before a deadline
 *
 * once: the object. deadline_ns: from weir_deadline_ns(); 0 does not wait.
 *
 * Returns: as weir_once_begin().
 * Errors: -ETIMEDOUT, -EAGAIN with a deadline of 0, and those of weir_once_begin().
 * Blocking: until the deadline. Threads: any. Fork: as begin. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_once_begin_until(struct weir_once *once, int64_t deadline_ns);

/*
 * weir_once_end() - it is done
 *
 * once: begun by this thread.
 *
 * Returns: 0. Errors: -EPERM (not begun by this thread), -EINVAL.
 * Blocking: never. Threads: who began. Fork: as begin. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_once_end(struct weir_once *once);

/*
 * weir_once_abandon() - it could not be done: let the next one try
 *
 * once: begun by this thread. The next begin returns WEIR_ONCE_BEGUN: take away what is half done
 * before.
 *
 * Returns: 0. Errors: -EPERM (not begun by this thread), -EINVAL.
 * Blocking: never. Threads: who began. Fork: as begin. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_once_abandon(struct weir_once *once);

/*
 * weir_once_check() - whether this can be a once
 *
 * once: memory that may be one, with whatever there is in it; may be mapped for reading only.
 *
 * As weir_mutex_check(). Memory of 0 alone is one that nobody has begun; one that is done shows the
 * trace of who has done it. Nothing is written.
 *
 * Returns: 0: it can be one, done or not.
 * Errors: -EUCLEAN (it cannot: the sentence says what contradicts what), -EINVAL (NULL, not aligned
 *     to 8).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_once_check(const struct weir_once *once);

#ifdef __cplusplus
}
#endif
#endif
