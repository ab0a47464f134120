/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BARRIER_H
#define WEIR_BARRIER_H

/*
 * A barrier between processes: n parties work in rounds, and nobody begins the next round before all
 * have finished this one. A party that dies is reported, not waited for.
 *
 * It lies in memory that all have mapped for writing, aligned to 64 bytes, which was zeroed when
 * it was made, as a fresh segment is. Each process makes a handle, which is its own, and joins:
 *
 *     uint64_t bytes = weir_barrier_bytes(4);
 *     struct weir_barrier barrier;
 *     uint32_t party;
 *     result = weir_barrier_init(memory, bytes, 4);          any number of processes, at any time
 *     result = weir_barrier_open(&barrier, memory, bytes);   each process
 *     result = weir_barrier_join(&barrier, &party);
 *
 *     while (work(party)) {
 *         int missing = weir_barrier_wait(&barrier, party);
 *         if (missing < 0)
 *             return missing;
 *         if (missing > 0)
 *             take_over();                                   so many parties are dead
 *     }
 *     weir_barrier_leave(&barrier, party);
 *
 * The number is the same for all parties of a round. A party that died after it had arrived counts
 * from the next round on. The round goes on without the dead, each time, until somebody joins in
 * their place.
 *
 *   a place ...                       | the round
 *   ----------------------------------+-------------------------------------------------------
 *   that nobody has joined yet        | waits for it
 *   whose party is killed, exits      | goes on without it, when the kernel has released it, a
 *   or executes a program             | fifth of a second later at most, and says so
 *   whose party is stopped (SIGSTOP,  | waits for it: it is alive
 *   a debugger), or cannot be asked   |
 *   for (another IPC namespace)       |
 *   whose party has left              | goes on without it, and does not count it
 *
 * Which IPC namespace a party is in, it writes down right after it has taken its place: one of another
 * namespace that is halted in the few instructions between would be taken for dead by who asks just then.
 *
 * Who joins later, in the place of a dead one or one that has left, takes part in the round that is
 * under way: no round ends without it from then on.
 *
 * A party is a place of a process: one thread at a time waits for it, and threads that are parties
 * each join. A thread that ends leaves its party there, and the others wait for it as long as its process
 * lives. A child of fork is no party.
 *
 * Progress: a round in which all arrive while the others still look makes no system call (but the
 * first of a process, which makes its identity). A waiter looks for a moment, then sleeps, and
 * looks five times a second: a process that was killed at any instruction delays the others by a
 * fifth of a second at most. What a party wrote before it arrived is visible to all after the wait.
 *
 * Who ends a round looks at all places before; when anybody has joined or withdrawn since (at its
 * deadline; with 0, by each poll), the end fails. These changes are counted modulo 524,288: if who ends it
 * is stopped, or kept off its processor, between the two, and just so many changes or a multiple are
 * made in this round before it goes on, the round ends early: not all who have joined or withdrawn
 * have arrived.
 *
 * Who may write the memory may block everybody who uses it, or let them go on. Nobody can make a call
 * read or write outside of it.
 *
 * Concurrency: every call may run at the same time as every other, from any thread or process.
 * weir_barrier_open() alone wants nobody else at this handle.
 *
 * The memory may serve for something else only when every call has returned, in all processes: who ends
 * a round, or leaves, looks who waits when others may have gone on already.
 */

#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many parties there may be. */
#define WEIR_BARRIER_PARTIES_MAX UINT32_C(4096)

/* A handle: of one process, made by weir_barrier_open(). Not in shared memory. */
struct weir_barrier {
    uint64_t opaque[4];
};

/*
 * weir_barrier_bytes() - how much memory a barrier takes
 *
 * parties: how many, 1 to WEIR_BARRIER_PARTIES_MAX. 64 bytes each, and 64 in front.
 *
 * Returns: the bytes; 0 when parties is out of its range.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_barrier_bytes(uint32_t parties);

/*
 * weir_barrier_init() - make a barrier in zeroed memory
 *
 * memory: aligned to 64; zeroed, or a barrier already. bytes: how many there are,
 * weir_barrier_bytes() or more. parties: as there.
 *
 * Any number of processes may call it, at any time: the first makes it, the others find it. One
 * that is used stays as it is.
 *
 * Returns: 0: it is there. Errors: -EINVAL (memory NULL or not aligned, parties, too few bytes; or
 *     it is there with another number of parties), -EPROTO (something else stands there),
 *     -EPROTONOSUPPORT (made by a weir with another layout), -EUCLEAN (an impossible number of
 *     parties).
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_barrier_init(void *memory, uint64_t bytes, uint32_t parties);

/*
 * weir_barrier_open() - a handle for this process
 *
 * barrier: receives it. memory, bytes: where it is, and how much is mapped there.
 *
 * Returns: 0. Errors: -ENOENT (zeroed, nobody has called weir_barrier_init() yet), -EINVAL (NULL, not
 *     aligned; or it needs more bytes than there are), -EPROTO (no barrier),
 *     -EPROTONOSUPPORT (another layout), -EUCLEAN (an impossible number of parties).
 * Blocking: never. Threads: alone on this handle. Fork: the child's copy is the child's.
 * Signals: async-signal-safe, unless it fails.
 */
WEIR_EXPORT int weir_barrier_open(struct weir_barrier *barrier, void *memory, uint64_t bytes);

/*
 * weir_barrier_join() - become a party
 *
 * barrier: the handle. party: receives which: 0 to the number of parties less 1. A place that nobody
 * has had is taken first, then one that was left, or whose party is dead.
 *
 * Returns: 0; WEIR_OWNER_DIED: in the place of a dead one: what it did in its last round may be half
 *     done.
 * Errors: -ENOSPC (all are taken by processes that live, or each of 16 looks found that others were
 *     faster), -EINVAL (no handle, party NULL), and those of
 *     weir_identity() at the first call of a process.
 * Blocking: never. Threads: any. Fork: a child joins for itself. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_barrier_join(struct weir_barrier *barrier, uint32_t *party);

/*
 * weir_barrier_wait() - arrive, and wait until all have
 *
 * barrier: the handle. party: this process's, of weir_barrier_join().
 *
 * Returns: how many dead parties this round went on without; 0: all have come that are parties.
 * Errors: -EPERM (this process is not that party), -EBUSY (another thread waits or leaves as it), -EUCLEAN
 *     (the count of rounds jumped: somebody else has written it, or two threads have waited as one party, or
 *     one has left as it, which is not found as -EBUSY each time), -EINVAL (no handle, party out of range).
 * Blocking: until all have arrived, or are dead. A signal's handler runs, then it waits on.
 * Threads: one at a time for each party. Fork: a child is not its parent's party.
 * Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_barrier_wait(struct weir_barrier *barrier, uint32_t party);

/*
 * weir_barrier_wait_until() - the same, before a deadline
 *
 * barrier, party: as in weir_barrier_wait(). deadline_ns: from weir_deadline_ns(); WEIR_NEVER waits for
 * ever; 0 arrives, looks once, and asks the kernel for those that have not come.
 *
 * Returns: as weir_barrier_wait().
 * Errors: -ETIMEDOUT (at the deadline; the party has not arrived, and the others wait for it), -EAGAIN
 *     (the same with a deadline of 0), and those of weir_barrier_wait().
 * Blocking: until the deadline. Threads: as wait. Fork: as wait. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_barrier_wait_until(struct weir_barrier *barrier, uint32_t party,
                                        int64_t deadline_ns);

/*
 * weir_barrier_leave() - be a party no more
 *
 * barrier: the handle. party: this process's. The others go on without it, and do not count it.
 *
 * Returns: 0. Errors: -EPERM (this process is not that party), -EBUSY (another thread of it arrives,
 *     withdraws or leaves as the same party at this moment), -EINVAL (no handle, party out of range).
 * Blocking: never. Threads: any, when none waits as this party. Fork: a child cannot leave for its
 * parent. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_barrier_leave(struct weir_barrier *barrier, uint32_t party);

/*
 * weir_barrier_owner() - who a party is
 *
 * barrier: the handle. party: which.
 *
 * Returns: the identity of its process, to ask weir_life() for; WEIR_IDENTITY_NOBODY: nobody has joined,
 *     it has left, its death was noticed, or party is out of range.
 * Blocking: never. Threads: any. Fork: any. Signals: async-signal-safe.
 */
WEIR_EXPORT uint64_t weir_barrier_owner(const struct weir_barrier *barrier, uint32_t party);

#ifdef __cplusplus
}
#endif
#endif
