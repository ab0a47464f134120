/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PERMITS_H
#define WEIR_PERMITS_H

/*
 * Permits: a counting semaphore whose units have names. There are n of them, numbered from 0; who
 * takes one is told which, and gives that one back. So a permit is at once the right to one of n
 * things (a buffer of a pool, a connection, a core), and a record of who has it: when its holder
 * dies, it comes back.
 *
 * They lie in memory that all have mapped for writing, aligned to 64 bytes, which was zeroed when
 * it was made, as a fresh segment is. Each process makes a handle, which is its own:
 *
 *     uint64_t bytes = weir_permits_bytes(8);
 *     struct weir_permits permits;
 *     uint32_t index;
 *     result = weir_permits_init(memory, bytes, 8);          any number of processes, at any time
 *     result = weir_permits_open(&permits, memory, bytes);   each process
 *
 *     result = weir_permits_take(&permits, &index);
 *     if (result < 0)
 *         return result;
 *     if (result == WEIR_OWNER_DIED)
 *         clean(&buffer[index]);
 *     ...
 *     weir_permits_release(&permits, index);
 *
 * All threads of a process may use one handle, or each its own. There is nothing to close: forget
 * the handle.
 *
 * A permit is a process's: any thread of it may release it, and a thread that ends keeps it taken.
 *
 *   holder ...                        | the others
 *   ----------------------------------+-------------------------------------------------------
 *   killed, exits, executes a program | its permits are given out when no other is free, as soon
 *                                     | as the kernel has released it, and a fifth of a second
 *                                     | later at most; with WEIR_OWNER_DIED
 *   stopped (SIGSTOP, a debugger)     | wait: it is alive, and never robbed
 *   forks                             | nothing changes; the child holds none (-EPERM)
 *   cannot be asked for (another IPC  | wait: nobody is declared dead on an answer that may
 *   namespace, a filter)              | mean anything else; but see below
 *
 * Which IPC namespace a holder is in, it writes down right after it has taken the permit. One of
 * another namespace that is halted (stopped, or off its processor) in the few instructions between
 * would be taken for dead by who asks just then, and its permit be given out: share permits within one
 * IPC namespace where that cannot be ruled out.
 *
 * WEIR_OWNER_DIED is said to who takes the permit. If that one dies in turn, it is said to the next;
 * a release says that the thing is whole.
 *
 * Progress: free of deadlock; not fair: one that comes may be faster than one that slept. Taking
 * one that is free and releasing it makes no system call (but the first of a process, which makes
 * its identity). Nothing that was killed at any instruction leaves a permit that nobody has.
 * A process that was killed after it released one and before it woke a waiter, or that was woken and
 * is killed or stopped before it has taken it, costs those who wait a fifth of a second.
 *
 * Where who waits and who posts are different processes, as for messages, there is no holder to
 * name: that is <weir/semaphore.h>.
 *
 * Who may write the memory may block everybody who uses it, and give a permit to two. Nobody can
 * make a call read or write outside of it, or return an index that is not below n.
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process.
 * weir_permits_open() alone wants nobody else at this handle.
 *
 * The memory may serve for something else only when every call has returned, in all processes: a release
 * looks who waits when the permit may be another's already.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many permits there may be. */
#define WEIR_PERMITS_MAX UINT32_C(65536)

/* A handle: of one process, made by weir_permits_open(). Not in shared memory. */
struct weir_permits {
    uint64_t opaque[4];
};

/*
 * weir_permits_bytes() - how much memory they take
 *
 * count: how many permits, 1 to WEIR_PERMITS_MAX. 16 bytes each, and 64 in front, in multiples of 64.
 *
 * Returns: the bytes; 0 when count is out of its range.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_permits_bytes(uint32_t count);

/*
 * weir_permits_init() - make permits in zeroed memory
 *
 * memory: aligned to 64; zeroed, or permits already. bytes: how many there are,
 * weir_permits_bytes() or more. count: as there.
 *
 * Any number of processes may call it, at any time: the first makes them, the others find them.
 * Those that are used stay as they are.
 *
 * Returns: 0: they are there. Errors: -EINVAL (memory NULL or not aligned, count, too few bytes; or
 *     they are there with another count), -EPROTO (something else stands there),
 *     -EPROTONOSUPPORT (made by a weir with another layout), -EUCLEAN (an impossible count).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_permits_init(void *memory, uint64_t bytes, uint32_t count);

/*
 * weir_permits_open() - a handle for this process
 *
 * permits: receives it. memory, bytes: where they are, and how much is mapped there.
 *
 * Returns: 0. Errors: -ENOENT (zeroed, nobody has called weir_permits_init() yet), -EINVAL (NULL, not
 *     aligned; or they need more bytes than there are), -EPROTO (no permits),
 *     -EPROTONOSUPPORT (another layout), -EUCLEAN (an impossible count).
 * Blocking: never. Threads: alone on this handle. Fork: the child's copy is the child's.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_permits_open(struct weir_permits *permits, void *memory, uint64_t bytes);

/*
 * weir_permits_take() - take one, however long that takes
 *
 * permits: the handle. index: receives which: 0 to the count less 1.
 *
 * Returns: 0; WEIR_OWNER_DIED: taken, and its former holder died with it: look after the thing that
 *     it stands for.
 * Errors: -EINVAL (no handle, index NULL), and those of weir_identity() at the first call of a
 *     process. Nothing is taken then.
 * Blocking: until one is free, or a dead one's. A signal's handler runs, then it waits on.
 * Threads: any. Fork: a child holds nothing of what its parent held.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_permits_take(struct weir_permits *permits, uint32_t *index);

/*
 * weir_permits_try_take() - take one if that needs no waiting
 *
 * permits, index: as in weir_permits_take(). When none is free, it asks the kernel for the holders.
 *
 * Returns: as weir_permits_take().
 * Errors: -EAGAIN (all are held by processes that live: two looks in a row found the same ones, or each of
 *     16 looks others), and those of weir_permits_take().
 * Blocking: never. Threads: any. Fork: as take. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_permits_try_take(struct weir_permits *permits, uint32_t *index);

/*
 * weir_permits_take_until() - take one before a deadline
 *
 * permits, index: as in weir_permits_take(). deadline_ns: from weir_deadline_ns(); WEIR_NEVER waits for
 * ever, 0 is try.
 *
 * Returns: as weir_permits_take().
 * Errors: -ETIMEDOUT, and those of weir_permits_take(); -EAGAIN with a deadline of 0.
 * Blocking: until the deadline. Threads: any. Fork: as take. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_permits_take_until(struct weir_permits *permits, uint32_t *index,
                                        int64_t deadline_ns);

/*
 * weir_permits_release() - give one back
 *
 * permits: the handle. index: which; this process holds it.
 *
 * Returns: 0. Errors: -EPERM (this process does not hold it), -EINVAL (no handle, index not below
 *     the count).
 * Blocking: never. Threads: any of the process. Fork: a child cannot release for its parent.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_permits_release(struct weir_permits *permits, uint32_t index);

/*
 * weir_permits_value() - how many can be taken
 *
 * permits: the handle.
 *
 * Returns: how many are free, or held by the dead, at this moment; -EINVAL (no handle).
 * Blocking: never: a few system calls for each holder. Threads: any. Fork: any.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_permits_value(const struct weir_permits *permits);

/*
 * weir_permits_owner() - who holds one
 *
 * permits: the handle. index: which.
 *
 * Returns: the identity of the process that holds it at this moment, to ask weir_life() for;
 *     WEIR_IDENTITY_NOBODY when it is free, or index not below the count.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_permits_owner(const struct weir_permits *permits, uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
