/* SPDX-License-Identifier: MIT */
#ifndef WEIR_MUTEX_H
#define WEIR_MUTEX_H

/*
 * A mutex between processes, in memory that they share: a lock that survives whoever holds it.
 *
 * It lies in any memory that all of them have mapped for writing: a weir segment, shmget(2),
 * shm_open(3), memfd_create(2), or MAP_SHARED from before fork(2). Bytes of 0 are a mutex that
 * nobody holds, so a fresh segment needs no initialiser, and no one waits for one:
 *
 *     struct account { struct weir_mutex mutex; int64_t cents; };
 *
 * The holder is named in the lock word itself, by its identity (see <weir/identity.h>). When the
 * kernel says that it is dead, the next one gets the lock and is told: WEIR_OWNER_DIED. What the
 * lock guards may be half-written then. Repair it, then say so: weir_mutex_consistent(). Whoever
 * unlocks without having said so gives the mutex up: from then on every lock is -ENOTRECOVERABLE.
 *
 *     int result = weir_mutex_lock(&account->mutex);
 *     if (result < 0)
 *         return result;
 *     if (result == WEIR_OWNER_DIED) {
 *         repair(account);
 *         weir_mutex_consistent(&account->mutex);
 *     }
 *
 * Ownership is a thread's: another thread of the process waits as another process does. Death is
 * a process's: a thread that ends and holds a lock leaves it held, as long as its process lives.
 *
 *   holder ...                        | the others
 *   ----------------------------------+-------------------------------------------------------
 *   killed, exits, executes a program | wait until the kernel has released it, a fifth of a
 *                                     | second more at most; the next one gets WEIR_OWNER_DIED
 *   stopped (SIGSTOP, a debugger)     | wait: it is alive, and never robbed
 *   forks                             | nothing changes; the child does not hold it (-EPERM)
 *   cannot be asked for (another IPC  | wait: nobody is declared dead on an answer that may
 *   namespace, a filter)              | mean anything else; but see below
 *
 * Which IPC namespace a holder is in, it writes down right after it has taken the mutex. One of
 * another namespace that is halted (stopped, or off its processor) in the few instructions between
 * would be taken for dead by who asks just then. Who cannot rule that out shares a mutex within one
 * IPC namespace alone.
 *
 * A process that is killed while it waits, or between unlocking and waking the next, costs the
 * others a fifth of a second at most.
 *
 * Progress: free of deadlock; not fair: one that comes may be faster than one that slept.
 * An uncontended lock and unlock makes no system call (but the first of a process, which makes
 * its identity). A waiter looks for a moment, then sleeps, and looks five times a second.
 *
 * Priority inheritance is not offered: the kernel's (FUTEX_LOCK_PI) needs the holder's thread id
 * in the word, which means nothing in another PID namespace and is reused after a death. Keep the
 * sections short, give all who share a mutex the same priority, or let real-time threads use
 * weir_mutex_try_lock().
 *
 * Who may write the mutex may block everybody who uses it. Nobody can make a call read or write
 * outside of it.
 *
 * The memory may serve for something else when nobody waits for the mutex, and its last unlock has returned, or
 * somebody has locked it since: that unlock then reads and writes nothing there any more. (Who sleeps
 * on a word of what stands there then may be woken for nothing.)
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process;
 * weir_mutex_init() alone wants nobody else there yet.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 40 bytes, aligned to 8. On a cache line (64 bytes) of its own it is fastest. */
struct weir_mutex {
    uint64_t opaque[5];
};

enum weir_mutex_flags {
    WEIR_MUTEX_RECURSIVE = 1 << 0, /* its holder may lock it again; as many unlocks let it go */
};

/*
 * weir_mutex_init() - make a mutex that nobody holds
 *
 * mutex: the memory, whatever stands there. flags: enum weir_mutex_flags; 0 is a mutex that
 * checks: locking it twice is -EDEADLK. Zeroed memory is such a mutex without this call.
 *
 * Only before others use it: a lock that is held is forgotten.
 *
 * Returns: 0. Errors: -EINVAL (flags not known; mutex NULL or not aligned to 8).
 * Blocking: never. Threads: alone on this mutex. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_mutex_init(struct weir_mutex *mutex, uint32_t flags);

/*
 * weir_mutex_lock() - lock it, however long that takes
 *
 * mutex: the mutex.
 *
 * Returns: 0; WEIR_OWNER_DIED: locked, and the former holder died with it: repair what it guards,
 *     then weir_mutex_consistent(). As long as nobody has said so, every next holder after a
 *     death is told again.
 * Errors: -EDEADLK (this thread holds it already), -ENOTRECOVERABLE (given up),
 *     -EOVERFLOW (a recursive one, held 4,294,967,296 times), -EINVAL (NULL, not aligned to 8), and
 *     those of weir_identity() at the first call of a process. Nothing is held then.
 * Blocking: until it is free, or its holder dead. A signal's handler runs, then it waits on.
 * Threads: any. Fork: a child holds nothing of what its parent held.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_mutex_lock(struct weir_mutex *mutex);

/*
 * weir_mutex_try_lock() - lock it if that needs no waiting
 *
 * mutex: the mutex. One whose holder is dead is locked: it asks the kernel, when it is held.
 *
 * Returns: as weir_mutex_lock().
 * Errors: -EAGAIN (somebody who lives holds it), and those of weir_mutex_lock().
 * Blocking: never. Threads: any. Fork: as lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_mutex_try_lock(struct weir_mutex *mutex);

/*
 * weir_mutex_lock_until() - lock it before a deadline
 *
 * mutex: the mutex. deadline_ns: from weir_deadline_ns(); WEIR_NEVER waits for ever, 0 is try.
 *
 * Returns: as weir_mutex_lock().
 * Errors: -ETIMEDOUT, and those of weir_mutex_lock(); -EAGAIN with a deadline of 0.
 * Blocking: until the deadline. Threads: any. Fork: as lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_mutex_lock_until(struct weir_mutex *mutex, int64_t deadline_ns);

/*
 * weir_mutex_unlock() - let it go
 *
 * mutex: a mutex that this thread holds. After WEIR_OWNER_DIED without weir_mutex_consistent() it
 * is given up: everybody who waits for it, or locks it later, gets -ENOTRECOVERABLE.
 *
 * Returns: 0. Errors: -EPERM (this thread does not hold it); -EINVAL.
 * Blocking: never. Threads: the holder. Fork: a child cannot unlock for its parent.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_mutex_unlock(struct weir_mutex *mutex);

/*
 * weir_mutex_consistent() - what it guards is repaired
 *
 * mutex: a mutex that this thread holds, got with WEIR_OWNER_DIED. It is as any other from now on.
 *
 * Returns: 0. Errors: -EPERM (this thread does not hold it), -EINVAL (nobody died with it; NULL, not aligned).
 * Blocking: never. Threads: the holder. Fork: as unlock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_mutex_consistent(struct weir_mutex *mutex);

/*
 * weir_mutex_owner() - who holds it
 *
 * mutex: the mutex; may be in memory that is mapped for reading only.
 *
 * Returns: the identity of the process that holds it at this moment, to ask weir_life() for;
 *     WEIR_IDENTITY_NOBODY when it is free or given up.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_mutex_owner(const struct weir_mutex *mutex);

/*
 * weir_mutex_check() - whether this can be a mutex
 *
 * mutex: memory that may be one, with whatever there is in it; may be mapped for reading only. For
 * memory that others may use for something else: a segment that is known by its key and its size.
 *
 * Nothing in a mutex says that it is one, since bytes of 0 are a new one: the result 0 is no proof. Text
 * is told apart. Other data is not where all 40 bytes stand as in some state of a mutex. In the first 8 bytes
 * that is 0, a multiple of 8,192 (the address of a page, say), or one with 1 to 3 more; or 4, with a
 * name in the second 8. There it is 0, or a number with one of the bits 20 to 47 set (most addresses
 * have one). In the 4 at 24 and the 4 at 28 it is 0, or there is 1 in the last, which makes the mutex
 * recursive; and 0 in all others, but where a thread holds it.
 *
 * While others lock and unlock it, it is a mutex at every moment; so it is when its holder has died
 * or is stopped, at any instruction. While it is initialised it need not be. Nothing is written.
 *
 * Returns: 0: it can be one.
 * Errors: -EUCLEAN (it cannot: the sentence says what contradicts what; or somebody has written over
 *     one), -EINVAL (NULL, not aligned to 8).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_mutex_check(const struct weir_mutex *mutex);

#ifdef __cplusplus
}
#endif
#endif
