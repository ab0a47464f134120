/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEMSET_H
#define WEIR_SEMSET_H

/*
 * System V semaphore sets (semget, semop, semctl), made right.
 *
 * The textbook creates a set and then gives it its first values, in two calls:
 * who opens it in between works on zeros, and when the creator dies in between
 * everybody waits for ever. Here a set is never seen without its values:
 *
 *   by name      published complete, in one step, under its name
 *   by ftok, key one more semaphore stands behind the n that the caller asked
 *                for; it says whether the values are set, and the kernel hands
 *                the initialiser's part to the next one if the initialiser dies
 *                (WEIR_SEMSET_PLAIN leaves it out, to meet other programs)
 *   by id        opens, never creates; waits for no values: one by ftok or key that is just being made
 *                shows zeros, and that one semaphore more
 *   private      for fork
 *
 * The kernel counts no users of a set, so a set is never ephemeral: it stays
 * until weir_semset_remove(). For one that vanishes with its users, ask for
 * options.semaphores of a segment (<weir/segment.h>).
 *
 * WEIR_SEM_UNDO: the kernel takes the caller's operation back when the process
 * ends, by whatever way. That makes it right for what a process *holds* (a
 * lock, a seat), and wrong for what it *hands over*:
 *   - a producer's posts would be taken back at its exit, and so would a
 *     consumer's waits: messages appear twice or never;
 *   - one-sided use adds up, and fails with -ERANGE at about 32,767 units;
 *   - weir_semset_set_value() forgets the undo of that semaphore everywhere;
 *   - a child of fork starts without any; threads of a process share theirs;
 *   - the value never goes below 0: an undo that would is cut short.
 *
 * Progress: waiters of a set are served as the kernel orders them (in order of
 * arrival, except that operations which can proceed overtake those which
 * cannot). A waiter returns with -EIDRM when the set is removed. A process may
 * be killed at any instruction; what it held without UNDO stays taken.
 *
 * Threads: all functions may be called by any number of threads at once, but close
 * is the last use of its handle. remove ends no handle: calls with one are -EIDRM afterwards, and
 * it is still to be closed. Signals: the operations (op, wait, post and their forms), value, set_value and
 * stat are async-signal-safe while they succeed; create, open, close and remove are not.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/ref.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_semset;

/* The largest value of a semaphore, and the smallest is 0. */
#define WEIR_SEM_VALUE_MAX 32767

enum weir_sem_flags {
    WEIR_SEM_UNDO = 1 << 0, /* taken back by the kernel at the end of this process (SEM_UNDO) */
};

enum weir_semset_flags {
    WEIR_SEMSET_PLAIN = 1 << 0, /* by ftok or key: exactly n semaphores, as plain programs make
                                   them; "ready" is then sem_otime != 0, and an open waits for it
                                   until options.deadline_ns. Nobody takes over: if its creator dies
                                   before that, or never makes a semop, each open is -ETIMEDOUT
                                   until weir_semset_remove(). To be used where other programs use
                                   the key, since of theirs a set of two or more semaphores that are
                                   all 0 is not told from one of weir's that is just being made */
};

/* Start from WEIR_SEMSET_OPTIONS; NULL means exactly that. */
struct weir_semset_options {
    uint32_t size;       /* sizeof(struct weir_semset_options) */
    uint32_t mode;       /* create only: read and alter bits (0666), the owner has both; 0: 0600 */
    uint32_t flags;      /* enum weir_semset_flags */
    uint32_t trust;      /* enum weir_trust of <weir/ref.h>; open only */
    uint32_t trust_uid;  /* for WEIR_TRUST_UID */
    uint32_t reserved;   /* 0 */
    int64_t deadline_ns; /* open by ftok or key: how long to wait for another process that is just
                            setting the values (weir_now_ns() time); 0 means one second */
};

#define WEIR_SEMSET_OPTIONS                                                                        \
    {                                                                                              \
        sizeof(struct weir_semset_options), 0, 0, 0, 0, 0, 0                                       \
    }

/* One operation of several: as struct sembuf, with the signs of semop(2). */
struct weir_sem_op {
    uint16_t index; /* which semaphore, from 0 */
    int16_t change; /* above 0: add. Below 0: wait until it can be taken off. 0: wait for zero */
    uint32_t flags; /* enum weir_sem_flags */
};

struct weir_semset_stat {
    uint32_t size;       /* set to sizeof(struct weir_semset_stat) before the call */
    uint32_t key;        /* sem_perm.__key */
    int32_t id;          /* the System V identifier */
    uint32_t uid, gid;   /* owner */
    uint32_t cuid, cgid; /* creator; nobody can change these */
    uint32_t mode;       /* permission bits */
    uint32_t count;      /* semaphores that the user has */
    uint32_t sem_nsems;  /* semaphores in the kernel's set: count, and one more if weir added it */
    int64_t sem_otime;   /* the last semop, in seconds since 1970; 0: never */
    int64_t sem_ctime;   /* the creation, or the last SETVAL, SETALL or IPC_SET */
};

/*
 * weir_semset_create() - make a set with its first values
 *
 * set: receives the handle; untouched on failure. ref: what it is called; not
 * an id. count: 1 to SEMMSL, and 65,535 at most; by ftok or key, without WEIR_SEMSET_PLAIN, one less
 * than either. values: count first values of 0 to WEIR_SEM_VALUE_MAX, or NULL for all 0.
 * options: may be NULL.
 *
 * Returns: 0.
 * Errors: -EEXIST, -EINVAL (name, key, count, mode, options, another kind of reference), -ERANGE (a
 *     value above 32,767), -E2BIG (count too large), -ENOSPC (SEMMNI sets or SEMMNS semaphores in
 *     use), -EACCES, -ENOMEM, -EIDRM (removed while it was made), -EBUSY, -ENOSYS (by name: no /proc), -ENFILE,
 *     -EPROTONOSUPPORT (by name: a record of another layout), those of weir_segment_create() for the
 *     run directory and of weir_ftok(). By ftok or key, where the kernel lacks memory or a filter forbids a call in
 *     the midst, the set may stay, half made: the next weir_semset_create_or_open() finishes it, and
 *     weir_semset_remove() takes it away.
 * Blocking: never waits for a process. Fork: the child may use the handle.
 * Source: semget(2), semctl(2); W. R. Stevens, UNIX Network Programming 2, 11.
 */
WEIR_EXPORT int weir_semset_create(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                                   const uint16_t *values,
                                   const struct weir_semset_options *options);

/*
 * weir_semset_open() - use a set that exists
 *
 * count: how many the caller needs; 0: whatever it has.
 *
 * Returns: 0.
 * Errors: -ENOENT, -EINVAL (fewer than count; name, key, options, a private set), -EACCES (a set that
 *     weir has made by ftok or key: who may not read it cannot open it either, nor, while its values
 *     are set, who may not alter it; any other opens, and its operations are -EACCES), -EPERM (the trust
 *     policy refuses its creator or owner; by name also what is said there of records), -EPROTO (the
 *     name is of another kind, or no set of weir's is under the key: try WEIR_SEMSET_PLAIN),
 *     -ETIMEDOUT (by key: its creator has not set the values by the deadline), -ENOTRECOVERABLE (by
 *     key: its creator died before it set them, or has not begun to by the deadline; create_or_open
 *     takes over), -EIDRM, -ENOMEM, -ENAMETOOLONG, -EUCLEAN (by name: its record is corrupt, or the
 *     set is of another size), -EPROTONOSUPPORT (by name: a record of another layout), -EMFILE,
 *     -ENFILE, -ENOSYS (by name: no /proc), those of weir_segment_open() for the run directory and of
 *     weir_ftok().
 * Blocking: by key, until the deadline of options at most. Fork: may be used.
 */
WEIR_EXPORT int weir_semset_open(struct weir_semset **set, struct weir_ref ref, uint32_t count,
                                 const struct weir_semset_options *options);

/*
 * weir_semset_create_or_open() - open it, or make it if it is not there
 *
 * ref: not an id. count: 1 or more. Exactly one of several callers sets the values, also when one dies
 * meanwhile; but see WEIR_SEMSET_PLAIN.
 *
 * That it is there, or that its creator has died, is no error.
 *
 * Returns: WEIR_CREATED (1) for the one who set the values, else 0.
 * Errors: -ENOENT (only ftok's file, or the directory above the one that WEIR_DIR names), -EIDRM
 *     (removed again and again), and those of weir_semset_create() and weir_semset_open().
 * Blocking: as weir_semset_open(). Fork: may be used.
 */
WEIR_EXPORT int weir_semset_create_or_open(struct weir_semset **set, struct weir_ref ref,
                                           uint32_t count, const uint16_t *values,
                                           const struct weir_semset_options *options);

/*
 * weir_semset_close() - let go of the handle; the set stays
 *
 * set: the handle; NULL is allowed. Not one from weir_segment_semset().
 * Never fails. What was done with WEIR_SEM_UNDO stays until the process ends.
 */
WEIR_EXPORT void weir_semset_close(struct weir_semset *set);

/*
 * weir_semset_remove() - take the set out of the kernel
 *
 * ref: what it is called; not weir_private(). Every waiter returns -EIDRM.
 *
 * Returns: 0.
 * Errors: -ENOENT, -EPERM (neither its owner, nor its creator, nor root), -EINVAL, -EPROTO (the name
 *     is of something else), -ENAMETOOLONG, -EACCES, -EROFS, -EUCLEAN, -EPROTONOSUPPORT (by name: a
 *     record of another layout), -ENOTDIR, -ELOOP (by name: the run directory's path), -EMFILE, -ENFILE,
 *     -ENOSYS (by name: no /proc), those of weir_ftok().
 * Blocking: never. Source: semctl(2) IPC_RMID.
 */
WEIR_EXPORT int weir_semset_remove(struct weir_ref ref);

/*
 * weir_semset_op() - several operations, all at once or none
 *
 * ops: count operations on this set, 1 to 500, and to SEMOPM where that is less, done in their order as
 * one step: the caller waits until all can be done.
 *
 * Returns: 0.
 * Errors: -EINTR (a signal handler ran, or the process was stopped and goes on,
 *     handlers or not; or a wait set or subscriber was closed just before, see
 *     weir_wait_set_close(); nothing was done), -EIDRM (removed),
 *     -ERANGE (a value or an undo would exceed 32,767), -E2BIG (count too large),
 *     -EINVAL (index, count, flags), -EACCES, -ENOMEM (no room for undo).
 * Blocking: until done. Source: semop(2).
 */
WEIR_EXPORT int weir_semset_op(struct weir_semset *set, const struct weir_sem_op *ops,
                               size_t count);

/*
 * weir_semset_try_op() - weir_semset_op() that never waits
 *
 * Returns: 0; -EAGAIN (it would wait); else as weir_semset_op(), but never -EINTR.
 * Blocking: never. Source: semop(2) with IPC_NOWAIT.
 */
WEIR_EXPORT int weir_semset_try_op(struct weir_semset *set, const struct weir_sem_op *ops,
                                   size_t count);

/*
 * weir_semset_op_until() - weir_semset_op() with a deadline
 *
 * deadline_ns: absolute, as weir_deadline_ns() gives it.
 *
 * Returns: 0; -ETIMEDOUT; else as weir_semset_op(). A deadline in the past
 *     still succeeds when nothing has to be waited for.
 * Blocking: until done or the deadline. Source: semtimedop(2).
 */
WEIR_EXPORT int weir_semset_op_until(struct weir_semset *set, const struct weir_sem_op *ops,
                                     size_t count, int64_t deadline_ns);

/*
 * weir_semset_wait() - take one unit of one semaphore (P, down)
 *
 * index: 0 to count-1. flags: enum weir_sem_flags.
 *
 * Returns: 0, or as weir_semset_op(), but never -E2BIG. Blocking: until there is a unit.
 */
WEIR_EXPORT int weir_semset_wait(struct weir_semset *set, uint32_t index, uint32_t flags);

/*
 * weir_semset_try_wait() - take one unit if there is one
 *
 * Returns: 0; -EAGAIN (there is none); else as weir_semset_op(), but never -EINTR or -E2BIG.
 * Blocking: never.
 */
WEIR_EXPORT int weir_semset_try_wait(struct weir_semset *set, uint32_t index, uint32_t flags);

/*
 * weir_semset_wait_until() - take one unit, until a deadline
 *
 * Returns: 0; -ETIMEDOUT; else as weir_semset_op(). Blocking: to the deadline.
 */
WEIR_EXPORT int weir_semset_wait_until(struct weir_semset *set, uint32_t index, uint32_t flags,
                                       int64_t deadline_ns);

/*
 * weir_semset_post() - give one unit (V, up) and wake who waits for it
 *
 * Returns: 0, or as weir_semset_op(), but never -EINTR or -E2BIG; -ERANGE (it has 32,767). Blocking: never.
 */
WEIR_EXPORT int weir_semset_post(struct weir_semset *set, uint32_t index, uint32_t flags);

/*
 * weir_semset_value() - the present value of one semaphore
 *
 * Old as soon as it is returned: for display, and for what only the caller
 * changes.
 *
 * Returns: 0 to 32,767; -EINVAL (index), -EIDRM, -EACCES.
 * Blocking: never. Source: semctl(2) GETVAL.
 */
WEIR_EXPORT int weir_semset_value(struct weir_semset *set, uint32_t index);

/*
 * weir_semset_set_value() - set one semaphore, whatever it was
 *
 * Forgets every process's WEIR_SEM_UNDO on it, and wakes who can go on.
 *
 * Returns: 0; -ERANGE (value above 32,767), -EINVAL, -EIDRM, -EACCES.
 * Blocking: never. Source: semctl(2) SETVAL.
 */
WEIR_EXPORT int weir_semset_set_value(struct weir_semset *set, uint32_t index, uint32_t value);

/* In C++ a function may hide a struct of its name; the struct is then called struct, as in C. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

/*
 * weir_semset_stat() - all that the kernel knows of the set
 *
 * stat: stat->size says how much the caller knows of the struct.
 *
 * Returns: 0; -EINVAL, -EIDRM, -EACCES. Source: semctl(2) IPC_STAT.
 */
WEIR_EXPORT int weir_semset_stat(struct weir_semset *set, struct weir_semset_stat *stat);

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif
#endif
