/* SPDX-License-Identifier: MIT */
#ifndef WEIR_RWLOCK_H
#define WEIR_RWLOCK_H

/*
 * A read-write lock between processes: many read at once, or one writes. It survives all of them:
 * a reader that dies is taken out, a writer that dies is told of.
 *
 * It lies in memory that all have mapped for writing, aligned to 64 bytes, which was zeroed when
 * it was made, as a fresh segment is. Each process makes a handle, which is its own:
 *
 *     uint64_t bytes = weir_rwlock_bytes(16);      16 processes may read at the same time
 *     struct weir_rwlock lock;
 *     result = weir_rwlock_init(memory, bytes, 16);          any number of processes, at any time
 *     result = weir_rwlock_open(&lock, memory, bytes);       each process
 *
 *     result = weir_rwlock_read_lock(&lock);                 a reader
 *     if (result < 0)
 *         return result;
 *     ...
 *     weir_rwlock_read_unlock(&lock);
 *
 *     result = weir_rwlock_write_lock(&lock);                a writer
 *     if (result < 0)
 *         return result;
 *     if (result == WEIR_OWNER_DIED) {
 *         repair(table);
 *         weir_rwlock_consistent(&lock);
 *     }
 *     ...
 *     weir_rwlock_write_unlock(&lock);
 *
 * All threads of a process may use one handle, or each its own. There is nothing to close: forget
 * the handle. A child of fork uses the copy that it has.
 *
 * A reader has a cache line of its own, so that readers do not slow each other down. It names
 * its process and counts its read locks. Reading is a process's: any thread of it may unlock.
 * Writing is a thread's.
 *
 *   who dies                            | the others
 *   ------------------------------------+-------------------------------------------------------
 *   a process that reads                | a writer waits until the kernel has released it, a fifth
 *                                       | of a second more at most. Nobody is told: it wrote nothing
 *   one that waits to write             | those behind it wait until the kernel has released it, a
 *                                       | fifth of a second more at most. Nobody is told
 *   one that writes                     | those who wait see it when the kernel has released it, a
 *                                       | fifth of a second later at most; those who come, after
 *                                       | 2 ms, and who only tries, at once.
 *                                       | The next writer gets WEIR_OWNER_DIED. Who wants to read
 *                                       | gets -EOWNERDEAD and holds nothing: take it for writing,
 *                                       | repair, weir_rwlock_consistent(), then perhaps
 *                                       | weir_rwlock_downgrade()
 *   one that repairs                    | as one that writes
 *   one in an unlock: it has let go,    | who sleeps finds it free a fifth of a second later at most;
 *   and has not woken who waits         | nobody is told of a death
 *
 * As long as one that lives repairs, readers wait for it. A writer that was told and unlocks
 * without weir_rwlock_consistent() gives the lock up: whoever waits for it, or locks it later, for
 * reading or writing, gets -ENOTRECOVERABLE. As nobody holds it then, unlocks, weir_rwlock_downgrade() and
 * weir_rwlock_consistent() are -EPERM.
 * Stopped processes (SIGSTOP, a debugger) are alive, and waited for; so is one that cannot be
 * asked for (another IPC namespace, a filter). But which namespace it is in, a process writes down
 * right after it has taken a place or the write lock: one of another namespace that is halted in the
 * few instructions between would be taken for dead by who asks just then. A child of fork holds
 * nothing of its parent's.
 *
 * Writers go first: from the moment that one waits, new readers wait until it has written. So a
 * thread that reads must not lock again for reading: a writer may have come between the two, and
 * would wait for the first while the second waits for the writer. Nor may it lock for writing
 * before it has unlocked: it would wait for itself. Writers that follow each other without a gap
 * keep readers out as long as they do.
 *
 * Progress: free of deadlock for who keeps to that; not fair. An uncontended lock or unlock makes
 * no system call; but the first of a process, which makes its identity, and a read lock of one that
 * finds no place that is nobody's: it asks the kernel for the holders of places, a call or three for
 * each, and keeps the place that it gets until another process has taken it. Read lock and unlock are
 * one compare-and-swap each on the process's own line, and a look at one that writers write. A
 * write lock looks at one line for each place.
 *
 * Who may write the memory may block everybody who uses it. Nobody can make a call read or write
 * outside of it: the number of places is checked once, at weir_rwlock_open(), and kept in the handle.
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process.
 * weir_rwlock_open() alone wants nobody else at this handle.
 *
 * The memory may serve for something else only when every call has returned, in all processes: an unlock
 * looks who waits when another may have the lock already.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many processes may read at the same time, at most. */
#define WEIR_RWLOCK_READERS_MAX UINT32_C(4096)

/* How many read locks a process may hold at the same time. */
#define WEIR_RWLOCK_READS_MAX UINT32_C(8191)

/* A handle: of one process, made by weir_rwlock_open(). Not in shared memory. */
struct weir_rwlock {
    uint64_t opaque[4];
};

/*
 * weir_rwlock_bytes() - how much memory a lock takes
 *
 * readers: how many processes may read at the same time, 1 to WEIR_RWLOCK_READERS_MAX. More may
 * use the lock; a process that does not read leaves its place to others. Threads of one process
 * whose first read locks come at the same moment may take two, until one of them is at 0. 64 bytes
 * each, and 128 in front. As many places as processes are fastest: each keeps its own then.
 *
 * Returns: the bytes; 0 when readers is out of its range.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_rwlock_bytes(uint32_t readers);

/*
 * weir_rwlock_init() - make a lock in zeroed memory
 *
 * memory: aligned to 64; zeroed, or a lock already. bytes: how many there are, weir_rwlock_bytes()
 * or more. readers: as there.
 *
 * Any number of processes may call it, at any time: the first makes it, the others find it. One
 * that is used stays as it is.
 *
 * Returns: 0: it is there. Errors: -EINVAL (memory NULL or not aligned, readers, too few bytes; or
 *     it is there with another number of readers), -EPROTO (something else stands there),
 *     -EPROTONOSUPPORT (made by a weir with another layout), -EUCLEAN (a lock
 *     with an impossible number of readers).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_rwlock_init(void *memory, uint64_t bytes, uint32_t readers);

/*
 * weir_rwlock_open() - a handle for this process
 *
 * lock: receives it. memory, bytes: where the lock is, and how much is mapped there.
 *
 * Returns: 0. Errors: -ENOENT (zeroed, nobody has called weir_rwlock_init() yet), -EINVAL (NULL, not
 *     aligned; or the lock needs more bytes than there are), -EPROTO (no lock),
 *     -EPROTONOSUPPORT (another layout), -EUCLEAN (a lock with an impossible number of readers).
 * Blocking: never. Threads: alone on this handle. Fork: the child's copy is the child's.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_rwlock_open(struct weir_rwlock *lock, void *memory, uint64_t bytes);

/*
 * weir_rwlock_read_lock() - lock it for reading, however long that takes
 *
 * lock: the handle.
 *
 * Returns: 0. Errors: -EOWNERDEAD (the last writer died and nobody has repaired yet: take it for
 *     writing), -ENOTRECOVERABLE (given up), -ENOSPC (every place is taken by a process that
 *     lives and reads, or each of 16 looks found that others were faster: make it with more),
 *     -EOVERFLOW (this process holds WEIR_RWLOCK_READS_MAX), -EDEADLK (this thread writes), -EINVAL
 *     (no handle), and those of weir_identity() at the first call of a process. Nothing is held then.
 * Blocking: while somebody writes, or waits to. A signal's handler runs, then it waits on.
 * Threads: any. Fork: a child holds nothing of what its parent held.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_read_lock(struct weir_rwlock *lock);

/*
 * weir_rwlock_try_read_lock() - lock it for reading if that needs no waiting
 *
 * lock: the handle. It asks the kernel for a writer that is in the way, whether it is dead.
 *
 * Returns: 0. Errors: -EAGAIN (somebody writes, or waits to), and those of weir_rwlock_read_lock().
 * Blocking: never. Threads: any. Fork: as read lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_try_read_lock(struct weir_rwlock *lock);

/*
 * weir_rwlock_read_lock_until() - lock it for reading before a deadline
 *
 * lock: the handle. deadline_ns: from weir_deadline_ns(); WEIR_NEVER waits for ever, 0 is try.
 *
 * Returns: 0. Errors: -ETIMEDOUT, and those of weir_rwlock_read_lock(); -EAGAIN with a deadline of 0.
 * Blocking: until the deadline. Threads: any. Fork: as read lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_read_lock_until(struct weir_rwlock *lock, int64_t deadline_ns);

/*
 * weir_rwlock_read_unlock() - this reader is done
 *
 * lock: the handle; any thread of the process that locked.
 *
 * Returns: 0. Errors: -EPERM (this process does not hold it for reading), -EINVAL.
 * Blocking: never. Threads: any of the process. Fork: a child cannot unlock for its parent.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_read_unlock(struct weir_rwlock *lock);

/*
 * weir_rwlock_write_lock() - lock it for writing, however long that takes
 *
 * lock: the handle.
 *
 * Returns: 0; WEIR_OWNER_DIED: locked, and a former writer died in its writing: repair, then
 *     weir_rwlock_consistent(). As long as nobody has said so, every next writer is told again.
 * Errors: -EDEADLK (this thread writes already), -ENOTRECOVERABLE (given up), -EINVAL (no handle),
 *     and those of weir_identity() at the first call of a process. Nothing is held then.
 * Blocking: until the others are out, or dead. A signal's handler runs, then it waits on.
 * Threads: any. Fork: a child holds nothing of what its parent held.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_write_lock(struct weir_rwlock *lock);

/*
 * weir_rwlock_try_write_lock() - lock it for writing if that needs no waiting
 *
 * lock: the handle. It asks the kernel for those in the way, whether they are dead.
 *
 * Returns: as weir_rwlock_write_lock().
 * Errors: -EAGAIN (somebody who lives reads or writes), and those of weir_rwlock_write_lock().
 * Blocking: never. Threads: any. Fork: as write lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_try_write_lock(struct weir_rwlock *lock);

/*
 * weir_rwlock_write_lock_until() - lock it for writing before a deadline
 *
 * lock: the handle. deadline_ns: from weir_deadline_ns(); WEIR_NEVER waits for ever, 0 is try.
 *
 * Returns: as weir_rwlock_write_lock().
 * Errors: -ETIMEDOUT, and those of weir_rwlock_write_lock(); -EAGAIN with a deadline of 0.
 * Blocking: until the deadline. Threads: any. Fork: as write lock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_write_lock_until(struct weir_rwlock *lock, int64_t deadline_ns);

/*
 * weir_rwlock_write_unlock() - this writer is done
 *
 * lock: the handle; by the thread that locked. After WEIR_OWNER_DIED without
 * weir_rwlock_consistent() the lock is given up: everybody who waits for it, or locks it later, gets
 * -ENOTRECOVERABLE.
 *
 * Returns: 0. Errors: -EPERM (this thread does not write), -EINVAL.
 * Blocking: never. Threads: the writer. Fork: a child cannot unlock for its parent.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_write_unlock(struct weir_rwlock *lock);

/*
 * weir_rwlock_downgrade() - from writing to reading, with nobody between
 *
 * lock: the handle; by the thread that writes. It reads from then on, as after
 * weir_rwlock_read_lock(); others may read, too.
 *
 * Returns: 0. Errors: -EPERM (this thread does not write), -EBUSY (it was told WEIR_OWNER_DIED and has
 *     not called weir_rwlock_consistent()), -ENOSPC (every place is taken by a process that came
 *     to read, and was stopped, or is kept off its processor, before it saw the writer), -EOVERFLOW (this
 *     process holds WEIR_RWLOCK_READS_MAX), -EINVAL (no handle). It writes still, then.
 * Blocking: waits for nobody. Before -ENOSPC it gives its processor away 1,000 times, and asks the
 *     kernel for each
 * place: a millisecond where there is one place, about as much for each where there are many.
 * Threads: the writer. Fork: as unlock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_downgrade(struct weir_rwlock *lock);

/*
 * weir_rwlock_consistent() - what it guards is repaired
 *
 * lock: the handle; by the thread that writes and was told WEIR_OWNER_DIED.
 *
 * Returns: 0. Errors: -EPERM (this thread does not write), -EINVAL (nobody died in writing; no handle).
 * Blocking: never. Threads: the writer. Fork: as unlock. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_rwlock_consistent(struct weir_rwlock *lock);

/*
 * weir_rwlock_writer() - who writes, or is the next to
 *
 * lock: the handle.
 *
 * Returns: the identity of the process that writes at this moment, or waits for the readers to
 *     leave; to ask weir_life() for. WEIR_IDENTITY_NOBODY: none.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_rwlock_writer(const struct weir_rwlock *lock);

/*
 * weir_rwlock_readers() - how many read locks are held
 *
 * lock: the handle.
 *
 * Returns: how many there are at this moment, those of dead processes that nobody has met yet, and of those who
 *     come just now and see a writer, included; -EINVAL (no handle).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_rwlock_readers(const struct weir_rwlock *lock);

#ifdef __cplusplus
}
#endif
#endif
