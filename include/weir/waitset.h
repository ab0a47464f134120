/* SPDX-License-Identifier: MIT */
#ifndef WEIR_WAITSET_H
#define WEIR_WAITSET_H

/*
 * A wait set: one call that waits for many things, in one thread. Subscribers, publishers,
 * descriptors, timers, deaths of processes, and who comes to a channel and goes; and the set is a
 * descriptor itself, for poll, epoll and event loops.
 *
 *     weir_wait_set_open(&set, NULL);
 *     weir_wait_set_add_subscriber(set, orders, 1);
 *     weir_wait_set_add_fd(set, STDIN_FILENO, POLLIN, 2);
 *     for (;;) {
 *         struct weir_wait_event events[8];
 *         int count = weir_wait_set_wait_until(set, events, 8, WEIR_NEVER);
 *         for (int i = 0; i < count; i++)
 *             serve(events[i].token);
 *     }
 *
 * When an item is ready.
 *
 *   item       | ready                                        | until
 *   -----------+----------------------------------------------+------------------------------
 *   subscriber | a take would not wait; and once when another | a take says -EAGAIN
 *              | publisher has come, or one of several has    |
 *              | gone, of which that take says -EAGAIN        |
 *   publisher  | its last call was refused (-EAGAIN,          | a call of it is not refused,
 *              | -ETIMEDOUT, -EINTR), and would not wait now  | or is refused again
 *   descriptor | poll(2) would say so                         | poll(2) would not
 *   timer      | it has expired since it was told of          | it is told
 *   death      | the process is dead                          | it is told: then the item is gone
 *   members    | who is there is not what was told last       | it is told
 *
 * So what is not done with an event is told again by the next wait, but for the last three. A
 * publisher to which nothing was refused is never ready: send, and wait only when that is
 * refused. A timer without interval expires once, and its item is gone when that is told.
 *
 * A latest value cannot be in a set, and has no descriptor: nobody is told of each version, since readers
 * leave no trace. In a loop, ask for weir_latest_version() by a timer of the set; or let the writer
 * send a message to a channel behind each write, as a bell, and have its subscriber in the set.
 *
 * Of more ready items than there is room for, each has its turn.
 *
 * Cost. A wait that finds a channel ready looks at memory alone; at descriptors then once in
 * 100 microseconds. What has been found empty, and slept for, is looked at again when its
 * doorbell has been rung: one load for each such channel. To sleep costs a few system calls, with
 * however many channels; who publishes pays one to wake. Where the kernel allows it (io_uring with
 * futex waits, Linux 6.7), and descriptors and memory do when the set first sleeps, whoever
 * publishes wakes the set; else a thread of the library does (FUTEX_WAITV, Linux 5.16, up to 127
 * channels, of which those whose publishers and subscribers are asked for count twice), which costs one more wake-up; and else that thread looks once a millisecond. Where no
 * thread is to be had either (RLIMIT_NPROC, a cgroup's pids.max) the waits go on all the same: then
 * the set itself looks once a millisecond, and tries for a thread again five times a second.
 * Asleep, the set wakes five times a second, however large it is, to ask for the dead and to repair
 * wake-ups that were lost with whoever should have given them; a set of descriptors and timers
 * alone does not. That costs some system calls for each member of each channel that its handles have met: with
 * 100 channels of a publisher each, 1 ms of a core's time a second.
 *
 * Threads. A set, and the handles in it, are one thread's at a time. When another thread than before waits, one
 * call of the former one may end with EINTR without a signal, as weir_wait_set_close() says it of the closing
 * one; when it goes on from there, to a third or back, once more, and from then on a thread of the library
 * wakes the set, and nobody is interrupted: but with more than 127 channels, where it is at each such turn.
 *
 * Handles. A handle may be in several sets, and be used by any of its calls at any time, its own
 * descriptor, too. One that is closed is in no set any more. A descriptor is to be removed before
 * it is closed.
 *
 * Fork. A child must not use the set of its parent: every call of it there that can fail gives
 * -ECHILD; close frees the child's copy.
 *
 * Signals. No call is async-signal-safe.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_wait_set;

/* Items of a set, at most. */
#define WEIR_WAIT_ITEMS_MAX 65536

enum weir_wait_set_flags {
    WEIR_WAIT_SET_SLEEP_ONLY = 1 << 0, /* never spin */
};

/* Start from WEIR_WAIT_SET_OPTIONS; NULL means exactly that. */
struct weir_wait_set_options {
    uint32_t size;        /* sizeof(struct weir_wait_set_options) */
    uint32_t flags;       /* enum weir_wait_set_flags */
    uint32_t spin_ns;     /* how long to look at channels before sleeping; 0: 20 µs; a fifth of a
                             second at most. Descriptors, timers and deaths are seen meanwhile. As
                             in weir-channel.h(3), it may give the core away instead */
    uint32_t reserved[5]; /* 0 */
};

#define WEIR_WAIT_SET_OPTIONS                                                                      \
    {                                                                                              \
        sizeof(struct weir_wait_set_options), 0, 0,                                                \
        {                                                                                          \
            0, 0, 0, 0, 0                                                                          \
        }                                                                                          \
    }

enum weir_wait_kind {
    WEIR_WAIT_SUBSCRIBER = 1,
    WEIR_WAIT_PUBLISHER = 2,
    WEIR_WAIT_FD = 3,
    WEIR_WAIT_TIMER = 4,
    WEIR_WAIT_DEATH = 5,
    WEIR_WAIT_MEMBERS = 6,
};

/* Of which members to be told; several together. */
enum weir_wait_roles {
    WEIR_WAIT_PUBLISHERS = 1 << 0,
    WEIR_WAIT_SUBSCRIBERS = 1 << 1,
};

/* What is ready. */
struct weir_wait_event {
    uint64_t token; /* what was given with the item */
    uint32_t item;  /* its number */
    uint32_t kind;  /* enum weir_wait_kind */
    uint32_t
        what; /* of a descriptor: POLLIN and the like; of members: the roles that have changed */
    uint32_t reserved;
    uint64_t expirations; /* of a timer: since it was told of last, 1 at least */
    /* Of members: how many are there now; 0 of a role that was not asked for. */
    uint32_t publishers, subscribers;
};

/*
 * weir_wait_set_open() - make a wait set
 *
 * set: receives it; untouched on failure. options: may be NULL.
 *
 * Returns: 0. Errors: -EINVAL, -EMFILE, -ENFILE, -ENOSPC (epoll_ctl(2)), -ENOMEM, those of weir_identity().
 * Blocking: never. Threads: any.
 */
WEIR_EXPORT int weir_wait_set_open(struct weir_wait_set **set,
                                   const struct weir_wait_set_options *options);

/*
 * weir_wait_set_close() - end a wait set
 *
 * Handles and descriptors that were in it stay open. set: NULL is allowed. Never fails. Soon
 * afterwards, some ten milliseconds mostly, one call of this thread may end with EINTR without a
 * signal, as the kernel takes an io_uring from it: epoll_wait(2), a socket's with a timeout,
 * semop(2), and with them weir_semset_wait_until() and weir_segment_receive(); poll(2), futex(2),
 * and with them the other calls of weir do not. Call again, as after a signal.
 */
WEIR_EXPORT void weir_wait_set_close(struct weir_wait_set *set);

/*
 * weir_wait_set_add_subscriber() - wait for messages
 *
 * subscriber: once in a set. token: comes back with each event.
 *
 * Returns: the item's number, 0 or more, the lowest that is free.
 * Errors: -EEXIST (it is in this set), -EINVAL, -ENOSPC (WEIR_WAIT_ITEMS_MAX are in it, or as many as
 *     epoll_ctl(2) allows), -ENOMEM, -ECHILD, -EMFILE or -ENFILE (the first subscriber, publisher, death or
 *     members of a set takes a descriptor, which stays until the set is closed: it wakes it for slices).
 * Blocking: never. Threads: see above.
 */
WEIR_EXPORT int weir_wait_set_add_subscriber(struct weir_wait_set *set,
                                             struct weir_subscriber *subscriber, uint64_t token);

/*
 * weir_wait_set_add_publisher() - wait until what was refused would not be any more
 *
 * publisher: once in a set; what its last call was refused is waited for, see
 * weir_publisher_fd(). token: comes back with each event.
 *
 * Returns: as weir_wait_set_add_subscriber().
 */
WEIR_EXPORT int weir_wait_set_add_publisher(struct weir_wait_set *set,
                                            struct weir_publisher *publisher, uint64_t token);

/*
 * weir_wait_set_add_fd() - wait for a descriptor
 *
 * fd: of a pipe, a socket, an eventfd, another wait set; not of a regular file (-EPERM). events:
 * POLLIN, POLLOUT, POLLPRI, POLLRDHUP; POLLERR and POLLHUP are always told. token: comes back
 * with each event.
 *
 * Returns: as weir_wait_set_add_subscriber(). Errors: also -EBADF, -EPERM, -ELOOP: see epoll_ctl(2).
 */
WEIR_EXPORT int weir_wait_set_add_fd(struct weir_wait_set *set, int fd, uint32_t events,
                                     uint64_t token);

/*
 * weir_wait_set_add_timer() - wait for a time
 *
 * first_ns: when, as weir_deadline_ns() gives it; what is past, be it 0, expires at once. interval_ns:
 * from then on again and again, also those that are past: from now on is weir_deadline_ns(interval_ns)
 * as first_ns; 0: once, and its item is gone when that is told. token: comes back with each event.
 *
 * Returns: as weir_wait_set_add_subscriber(). Errors: also -EINVAL (negative, or never), -EMFILE.
 */
WEIR_EXPORT int weir_wait_set_add_timer(struct weir_wait_set *set, int64_t first_ns,
                                        int64_t interval_ns, uint64_t token);

/*
 * weir_wait_set_add_death() - wait for the end of a process
 *
 * identity, uid: as weir_life() takes them. token: comes with the event, once: the item is gone
 * with it. It comes at once where the kernel shows the process's pid here and there is a descriptor to
 * be had for it; else, or when it has executed another program, within a fifth of a second of its end.
 *
 * Returns: as weir_wait_set_add_subscriber(); also for one that is dead already.
 * Errors: also -EPERM (the kernel does not tell this thread whether it lives).
 */
WEIR_EXPORT int weir_wait_set_add_death(struct weir_wait_set *set, uint64_t identity, uint32_t uid,
                                        uint64_t token);

/*
 * weir_wait_set_add_members() - be told who comes to a channel and goes
 *
 * name: of the channel; the caller becomes no member of it. If it is not there, it is made, as its
 * first publisher would: give the options that the publishers have.
 * options: as of weir_publisher_open(), may be NULL: all of them are checked, and those are used
 * that say what the channel is, and whom to trust. roles: enum weir_wait_roles. token: comes back
 * with each event.
 *
 * The first event comes at once, and tells how many are there. Then one comes when another
 * publisher or subscriber is there than the last one told of, or not there any more: who has come
 * and gone between two waits is not told of. One who leaves, or comes, is told of at once; one who
 * was killed within a fifth of a second, or sooner, when another notices.
 *
 * Returns: as weir_wait_set_add_subscriber(). Errors: also -EINVAL (roles; options; the channel was
 *     made for other numbers, another delivery, or not to stay), -EPROTOTYPE (it is for another type),
 *     -EPROTO (the name is of something else), -EPROTONOSUPPORT (a channel of another layout),
 *     -EUCLEAN (its directory cannot be true), and those of weir_segment_create_or_open().
 * Blocking: never waits for a process.
 */
WEIR_EXPORT int weir_wait_set_add_members(struct weir_wait_set *set, const char *name,
                                          const struct weir_channel_options *options,
                                          uint32_t roles, uint64_t token);

/*
 * weir_wait_set_remove() - wait for something no more
 *
 * item: its number.
 *
 * Returns: 0; -ENOENT (no such item: a death that was told of, a timer that expired, a handle
 *     that was closed), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_wait_set_remove(struct weir_wait_set *set, uint32_t item);

/*
 * weir_wait_set_wait_until() - wait until something is ready
 *
 * events: receives up to count of them, one an item; count: 1 to 2,147,483,647. What else is ready the
 * next wait tells. deadline_ns: as
 * weir_deadline_ns() gives it; WEIR_NEVER waits for ever, 0 not at all.
 *
 * Returns: how many, 1 to count.
 * Errors: -EAGAIN (nothing is ready, deadline_ns 0), -ETIMEDOUT, -EINTR (a handler ran while it
 *     slept, and nothing is ready; one that runs while it spins, or in the moment between two sleeps,
 *     is not noticed: have a signalfd(2) or a pipe in the set, give a deadline, or use
 *     weir_wait_set_fd() and ppoll(2)), -EINVAL (an argument; or poll(2) refuses, since RLIMIT_NOFILE
 *     is 0 by now), -ECHILD. That nobody can be had to wake the set, for want of threads or memory, is
 *     no error: see "Cost" above.
 * Blocking: until something is ready or the deadline. An empty set waits as well. Threads: see above.
 * Cancellation: it is a cancellation point. Who is cancelled there (deferred, as threads are unless they say
 *     otherwise) leaves a set that another thread may wait with, or close; a descriptor of the process may stay
 *     open until its end, and what is told once, of a timer, a death or members, may have been told to nobody.
 */
WEIR_EXPORT int weir_wait_set_wait_until(struct weir_wait_set *set, struct weir_wait_event *events,
                                         size_t count, int64_t deadline_ns);

/*
 * weir_wait_set_fd() - the set as a descriptor, for poll, epoll and event loops
 *
 * Once a wait has found nothing (-EAGAIN, -ETIMEDOUT), it is readable (POLLIN) when something has
 * become ready, and stays so until a wait finds nothing again, whatever is done with the handles
 * meanwhile; before the first wait it is readable. So: poll it, wait with deadline 0 until that
 * says -EAGAIN, poll again. It is also readable for nothing: five times a second while there are
 * channels, deaths or members in the set, for that wait to ask for the dead; once a millisecond where
 * nobody can be had to wake it (see "Cost" above); and when the thread that waited last has ended. Do
 * not read, write or close it; it lives until weir_wait_set_close(). With it a wait that finds nothing
 * costs a few system calls.
 *
 * Returns: the descriptor, the same at each call; -ECHILD. Blocking: never. Fork: the child has the
 *     descriptor, of which it is to make no use.
 */
WEIR_EXPORT int weir_wait_set_fd(struct weir_wait_set *set);

#ifdef __cplusplus
}
#endif
#endif
