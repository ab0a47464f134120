/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_H
#define WEIR_CHANNEL_H

/*
 * A channel: messages from any number of publishers to any number of subscribers, each publisher
 * through a ring of its own, at the speed of the memory. Every subscriber gets every message.
 * Anyone may start first; anyone may leave and come back.
 *
 * Ordering and delivery. What was committed while a subscriber was attached is
 * delivered to it once, whole, and in the order of its publisher, whoever is killed afterwards;
 * between the messages of two publishers there is no order. A
 * publisher may exit, or die, the instant after its commit. What is committed
 * while nobody has subscribed is gone: weir_publisher_wait_subscribers() waits for
 * somebody. A channel is reliable, unless it is made otherwise: a publisher that finds its ring full
 * waits (or says -EAGAIN, or -ETIMEDOUT); nothing is dropped. Its slowest subscriber sets the pace.
 * A subscriber that is lossy (options.delivery) holds nobody up: what it does not read in time is
 * overwritten, and the next message says how many it missed (message.missed); so is a reliable one
 * told by a publisher that waits for nobody (options.lag_max_bytes).
 * A send does not tell that subscribers have gone: weir_publisher_wait_taken() does.
 *
 * Progress. While both sides are awake, sending and taking make no system call,
 * no read-modify-write and no full fence. Who waits spins for options.spin_ns,
 * then sleeps; the other side pays one system call to wake it, once a sleep. A side
 * that is killed at any instruction never holds the others up: the survivors learn
 * it from the kernel within a second. A side that is stopped (SIGSTOP) is alive.
 *
 * Threads. A handle is one thread's at a time: give it from one to another with a
 * lock, or open a channel for each. close ends the handle.
 *
 * Fork. A child must not use the handle of its parent: every call of it there
 * that can fail gives -ECHILD, and none does harm; close frees the child's copy.
 *
 * Many at once. The calls named _many do the work of a call for each message with one commit,
 * one look at what lies there, one release: what is small goes several times as fast. They
 * return how many, as sendmmsg() and recvmmsg() do; a reason that comes after the first message
 * is told by the next call. Mix them with the others as you like.
 *
 * Lifetime. Who opens a channel that is not there makes it. It goes with its last member, by
 * whatever way that goes; unless it was made with WEIR_CHANNEL_PERSISTENT: then it stays
 * until weir_segment_remove(), 'weir rm' or the next start of the machine. What stays is the
 * channel: for how many it is, its delivery, its type, its mode. Messages never do: they are in the
 * memory of their publisher, and live as long as that, or a subscriber that has it attached. Who
 * opens one that is there for the time being with this flag gets -EINVAL; without it, either is
 * opened. Members of a channel that was removed go on, and do not meet who comes later.
 *
 * Types. Who makes a channel may say what its messages are: options.type_name, and
 * options.type_bytes if all have one size. Who opens it later with a type must say the same, name
 * and size, else -EPROTOTYPE; and so must who comes with a type to a channel that has none, since
 * there anything may be sent. Who gives no type is let in, and takes the channel's. With a
 * size, a message of another one is not sent (-EMSGSIZE), and a publisher whose message has
 * another one all the same has written nonsense (-EUCLEAN). weir compares names; that both
 * programs mean the same by it is theirs to see to.
 *
 * Signals. No call is async-signal-safe. Waiting calls return -EINTR when a handler
 * ran while they slept; nothing was sent or taken then (an open batch may have been
 * committed, to make room). A handler that runs while a call spins is not noticed: with
 * WEIR_CHANNEL_SPIN_ONLY never, so give such calls a deadline.
 *
 * Trust. Lengths and flags that others write are read once and checked: who writes
 * nonsense makes calls of others say -EUCLEAN (a subscriber's once, and it leaves that
 * publisher alone from then on), and never reach memory that is not theirs. The payload
 * of a message that was taken in place is still the publisher's memory: copy what
 * you check and then use.
 *
 * Who may do what to whom. A channel is open to who may read and write its directory, a named
 * segment with the options.mode, and the group, of who made it: 0600 for one user, 0660 for a
 * group; who can use the run directory finds it. Each member makes a private
 * segment, which it alone writes: a publisher its ring, a subscriber its page; the others
 * need to read it, so each member gives the same options.mode. Users who have a group in
 * common: WEIR_DIR names a setgid directory of the group (mode 2770), and all open with mode 0660,
 * WEIR_CHANNEL_SET_GID and its gid, and WEIR_TRUST_DIRECTORY or WEIR_TRUST_ANYONE.
 *
 *                              | another's memory | another's messages  | another's progress
 *   ---------------------------+------------------+---------------------+----------------------
 *   any other user             | never            | never               | never
 *   a subscriber               | never            | never               | holds up each publisher
 *                              |                  |                     | that takes it, by not
 *                              |                  |                     | releasing
 *   a publisher                | never            | its own, taken in   | never
 *                              |                  | place, until they   |
 *                              |                  | are released        |
 *   who may write the          | never            | by freeing a place  | may put others out of
 *   directory                  |                  | that is not his:    | their places, and take
 *                              |                  | what is read there  | all places
 *                              |                  | may be overwritten  |
 *
 * Strangers. Members that cannot meet, since one does not trust the other or may not read its
 * memory, go on without each other, and hold up nobody. A subscriber is told of such a publisher
 * once, by a take, and gets nothing from it; a publisher of such a subscriber once, by a send (or
 * loan, or wait), which has sent nothing then, and not at all if it is the subscriber alone that
 * refuses. Neither counts in weir_publisher_wait_subscribers() and weir_publisher_wait_taken().
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/clock.h>
#include <weir/export.h>
#include <weir/ref.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_publisher;
struct weir_subscriber;

enum weir_channel_flags {
    WEIR_CHANNEL_SPIN_ONLY = 1 << 0,  /* never sleep: a core spins while it waits */
    WEIR_CHANNEL_SLEEP_ONLY = 1 << 1, /* never spin */
    WEIR_CHANNEL_PERSISTENT = 1 << 2, /* the channel stays: see "Lifetime" above */
    WEIR_CHANNEL_SET_GID = 1 << 3,    /* what this side creates is given to options.gid */
};

/* Ring sizes, in bytes: powers of two. */
#define WEIR_RING_BYTES_MIN (UINT64_C(64) << 10)
#define WEIR_RING_BYTES_DEFAULT (UINT64_C(1) << 20)

/* Publishers, and subscribers, of a channel: unless its maker says otherwise, and at most. */
#define WEIR_CHANNEL_MEMBERS_DEFAULT 64
#define WEIR_CHANNEL_MEMBERS_MAX 4096

/* Takes that a subscriber may hold at once. */
#define WEIR_HOLDS_MAX 64

/* How a subscriber is treated that does not keep up. */
enum weir_delivery {
    WEIR_DELIVERY_CHANNEL = 0,  /* as the channel was made */
    WEIR_DELIVERY_RELIABLE = 1, /* the publisher waits for it, see options.lag_max_bytes */
    WEIR_DELIVERY_LOSSY = 2,    /* it misses messages, and learns how many: message.missed */
};

/* Where a subscriber begins with the publishers that are there when it opens. */
enum weir_start {
    WEIR_START_NOW = 0,    /* with what is committed from now on */
    WEIR_START_OLDEST = 1, /* with the oldest that is kept, see weir_subscriber_open() */
    WEIR_START_BACK = 2,   /* with the last options.start_back messages of each publisher */
};

/* Options of both sides. Start from WEIR_CHANNEL_OPTIONS; NULL means exactly that. */
struct weir_channel_options {
    uint32_t size;       /* sizeof(struct weir_channel_options) */
    uint32_t flags;      /* enum weir_channel_flags */
    uint32_t mode;       /* of what this side creates; 0 means 0600 */
    uint32_t trust;      /* enum weir_trust: whom to meet */
    uint32_t trust_uid;  /* for WEIR_TRUST_UID */
    uint32_t spin_ns;    /* how long to spin before sleeping; 0 means the default, 20 µs */
    uint64_t ring_bytes; /* publisher: a power of two from WEIR_RING_BYTES_MIN; 0 means
                            WEIR_RING_BYTES_DEFAULT. The memory is there before open returns */
    /* For how many the channel is made, to WEIR_CHANNEL_MEMBERS_MAX; 0 takes it as it is, or makes
     * it for WEIR_CHANNEL_MEMBERS_DEFAULT. Of one that is there for others: -EINVAL. */
    uint32_t publishers_max, subscribers_max;
    /* enum weir_delivery. A subscriber's is its own; a publisher's is the channel's, if it makes
     * it: -EINVAL if it is there with the other one. Who makes it otherwise makes it reliable. */
    uint32_t delivery;
    uint32_t start;      /* subscriber: enum weir_start */
    uint64_t start_back; /* subscriber: for WEIR_START_BACK */
    /* Publisher: 0 waits for reliable subscribers for ever. Else, once the ring is full, one that
     * is so many bytes behind, or half the ring, is not waited for: see -EOVERFLOW of
     * weir_subscriber_take_until(). ring_bytes at most. */
    uint64_t lag_max_bytes;
    /* What the messages are: see "Types" above. NULL: of no type, or whatever the channel has. */
    const char *type_name;
    uint32_t type_bytes;  /* of each message; 0: any size. Not without a name */
    uint32_t gid;         /* for WEIR_CHANNEL_SET_GID */
    uint64_t reserved[2]; /* 0 */
};

#define WEIR_CHANNEL_OPTIONS                                                                       \
    {                                                                                              \
        sizeof(struct weir_channel_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0,       \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/* Longest type_name, in bytes, without the closing NUL. */
#define WEIR_TYPE_NAME_MAX 63

/*
 * The messages are of this C type: WEIR_CHANNEL_TYPE(&options, struct point). Its name as it is
 * written there, and its size.
 */
#define WEIR_CHANNEL_TYPE(options, ...)                                                            \
    ((void)((options)->type_name = #__VA_ARGS__,                                                   \
            (options)->type_bytes = (uint32_t)sizeof(__VA_ARGS__)))

/* A message, as the subscriber sees it. */
struct weir_message {
    const void *data;  /* aligned to 8 bytes */
    size_t size_bytes; /* 0 is allowed */
    uint64_t sequence; /* of its publisher's messages, from 0: a gap only where some were missed */
    uint32_t type;     /* what the publisher gave: 0 to 65,535 */
    uint32_t
        session; /* this subscriber's number for its publisher: from 1, another for each joining */
    uint64_t position; /* weir's: where it lies */
    uint64_t missed;   /* of its publisher, before this one, since the last one that was taken */
};

/* A message to be sent with others. */
struct weir_outgoing {
    const void *data;  /* may be NULL if there are 0 bytes */
    size_t size_bytes; /* 0 is allowed */
    uint32_t type;     /* 0 to 65,535 */
};

/*
 * weir_publisher_open() - become a publisher of a channel
 *
 * publisher: receives the handle; untouched on failure. name: of the channel, see
 * weir_name_check(). options: may be NULL.
 *
 * Returns: 0.
 * Errors: -EBUSY (the channel has as many living publishers as it was made for), -EINVAL (also:
 *     it was made for other numbers than options say; a ring too small for the channel's type),
 *     -EPROTOTYPE (see "Types" above), -EPERM (the effective uid
 *     is not what it was when this process first used weir: others would ask the kernel
 *     for the wrong one), those of weir_segment_create_or_open() and weir_identity().
 * Blocking: never waits for a process; makes and prefaults the ring.
 * Threads: any. Fork: see above. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_publisher_open(struct weir_publisher **publisher, const char *name,
                                    const struct weir_channel_options *options);

/*
 * weir_publisher_close() - leave the channel
 *
 * What was committed stays with the subscribers. A loan is abandoned; what an
 * open batch still holds back is as if never sent. publisher: NULL is allowed. Never fails.
 *
 * Blocking: a fifth of a second at most, while a lossy subscriber that was there before the last
 * message (or any, of a publisher with options.lag_max_bytes) has not attached this publisher's
 * ring yet, as when both have just come: it reads the rest by itself. For one of the same process
 * 2 ms, since the caller may be whom it waits for. One that does not attach it
 * in that time, or whose publisher is killed or exits without this call, never learns of them.
 */
WEIR_EXPORT void weir_publisher_close(struct weir_publisher *publisher);

/*
 * weir_publisher_max_bytes() - the largest message, in bytes
 *
 * Returns: a quarter of the ring less 8, and 4 GiB less 16 at most. Threads: any. Signals: safe.
 */
WEIR_EXPORT size_t weir_publisher_max_bytes(const struct weir_publisher *publisher);

/*
 * weir_publisher_send_until() - copy a message into the ring and commit it
 *
 * data, size_bytes: the message; 0 bytes are allowed. type: 0 to 65,535.
 * deadline_ns: as weir_deadline_ns() gives it; WEIR_NEVER waits for ever, 0 not at
 * all.
 *
 * Returns: 0.
 * Errors: -EAGAIN (no room, deadline_ns 0), -ETIMEDOUT, -EINTR, -EMSGSIZE (above
 *     weir_publisher_max_bytes(), or another size than the channel's type has), -EINVAL (type; a loan is out), -EPIPE (after
 *     weir_publisher_end()), -EUCLEAN (a subscriber writes nonsense), -ECHILD; and, once for each
 *     subscriber, which is not waited for from then on: -EPROTO (what it
 *     shows is no subscriber's page), -EPERM or -EACCES (it is not to be trusted, or not to
 *     be attached: see "Strangers" above). Each time, as long as it is there: -EPERM or -EACCES,
 *     when this process has become another user since it opened the channel.
 * Blocking: while the ring has no room because of the slowest subscriber, or while one that has
 *     just come is attaching; never when nobody has subscribed.
 */
WEIR_EXPORT int weir_publisher_send_until(struct weir_publisher *publisher, const void *data,
                                          size_t size_bytes, uint32_t type, int64_t deadline_ns);

/*
 * weir_publisher_send() - weir_publisher_send_until() with type 0, waiting for ever
 *
 * Returns: as weir_publisher_send_until(), but -EAGAIN and -ETIMEDOUT.
 */
WEIR_EXPORT int weir_publisher_send(struct weir_publisher *publisher, const void *data,
                                    size_t size_bytes);

/*
 * weir_publisher_send_many_until() - copy messages into the ring and commit them at once
 *
 * messages: count of them, sent in this order; 0 is allowed. deadline_ns: as
 * weir_publisher_send_until(). They are a batch: all become visible together, or, where the
 * ring has no room for more of them, those first that it has room for. In a batch that is open
 * they are a part of it.
 *
 * Returns: how many were sent, from the first on. Fewer than count: the next call, with the
 *     rest, tells why, if it is so still. If the first was not sent, the reason: as
 *     weir_publisher_send_until(), of the first message; nothing was sent then. 2,147,483,647 at most are sent.
 * Blocking: as weir_publisher_send_until(), for each.
 */
WEIR_EXPORT int weir_publisher_send_many_until(struct weir_publisher *publisher,
                                               const struct weir_outgoing *messages, size_t count,
                                               int64_t deadline_ns);

/*
 * weir_publisher_loan_until() - room for a message, to be written in place
 *
 * size_bytes: the most that it will have. data: receives where, aligned to 8 bytes;
 * its former contents are undefined. One loan at a time: -EINVAL for a second.
 *
 * Returns: as weir_publisher_send_until(). Blocking: likewise.
 */
WEIR_EXPORT int weir_publisher_loan_until(struct weir_publisher *publisher, size_t size_bytes,
                                          void **data, int64_t deadline_ns);

/*
 * weir_publisher_commit() - the loan becomes a message
 *
 * size_bytes: at most what was asked for. type: 0 to 65,535.
 *
 * Returns: 0; -EINVAL (no loan, too large, type), -EMSGSIZE (another size than the channel's type
 *     has: the loan stays out), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_publisher_commit(struct weir_publisher *publisher, size_t size_bytes,
                                      uint32_t type);

/*
 * weir_publisher_loan_many_until() - room for several messages, to be written in place
 *
 * size_bytes: the most that each will have. data: receives where each may be written, count
 * places at most, aligned to 8 bytes. This is one loan: none may be out, and it ends with
 * weir_publisher_commit_many(), with weir_publisher_commit(), which makes a message of the first
 * place alone, or with weir_publisher_abandon().
 *
 * Returns: how many places: 1 to count. Fewer where the ring ends, or its room that we know of:
 *     commit those, and ask again (in a batch, for all to become visible at once). 0 for a count
 *     of 0. Errors: as weir_publisher_loan_until().
 * Blocking: as weir_publisher_loan_until(), for the first place.
 */
WEIR_EXPORT int weir_publisher_loan_many_until(struct weir_publisher *publisher, size_t size_bytes,
                                               void **data, size_t count, int64_t deadline_ns);

/*
 * weir_publisher_commit_many() - the first places of the loan become messages, all at once
 *
 * sizes_bytes: of each; NULL: what was asked for. types: of each; NULL: 0. count: of the places
 * that weir_publisher_loan_many_until() gave, the first ones; those behind are abandoned, and
 * with 0 all. Messages stand without gaps: one that is shorter than its place, by 8 bytes or
 * more, has those behind it moved, which costs a copy of each.
 *
 * Returns: 0; -EINVAL (no loan of many, more than it has, a size, a type: the loan stays out),
 *     -EMSGSIZE (as weir_publisher_commit()), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_publisher_commit_many(struct weir_publisher *publisher,
                                           const size_t *sizes_bytes, const uint32_t *types,
                                           size_t count);

/*
 * weir_publisher_abandon() - give the loan back, without a trace
 *
 * Never fails; without a loan it does nothing. Blocking: never.
 */
WEIR_EXPORT void weir_publisher_abandon(struct weir_publisher *publisher);

/*
 * weir_publisher_batch_begin() - hold back what is sent from now on
 *
 * Messages are written into the ring and become visible all at once, with
 * weir_publisher_batch_end(); or earlier, when the ring has no room for more of them, and
 * with weir_publisher_wait_subscribers() and weir_publisher_wait_taken(). One commit for
 * many messages is faster than one for each. Loans may be made and committed in a batch.
 *
 * Returns: 0; -EINVAL (a batch is open, or a loan is out), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_publisher_batch_begin(struct weir_publisher *publisher);

/*
 * weir_publisher_batch_end() - commit the batch
 *
 * Returns: 0; -EINVAL (no batch is open, or a loan is out), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_publisher_batch_end(struct weir_publisher *publisher);

/*
 * weir_publisher_end() - say that this was all
 *
 * A subscriber's calls give -ENODATA once it has taken what is there, if no other publisher is
 * left. Nothing can
 * be sent afterwards (-EPIPE).
 *
 * Returns: 0, the second time, too; -EINVAL (a loan or batch is out), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_publisher_end(struct weir_publisher *publisher);

/*
 * weir_publisher_wait_subscribers() - wait until subscribers are attached
 *
 * count: how many, at least; more than the channel was made for: -EINVAL. 0 only meets who is
 * there.
 *
 * Returns: 0; -EINVAL, -EAGAIN, -ETIMEDOUT, -EINTR, -EUCLEAN, -EPROTO, -EPERM, -EACCES, -ECHILD:
 *     see weir_publisher_send_until(). Blocking: see deadline_ns.
 */
WEIR_EXPORT int weir_publisher_wait_subscribers(struct weir_publisher *publisher, uint32_t count,
                                                int64_t deadline_ns);

/*
 * weir_publisher_subscribers() - how many subscribers are there
 *
 * Those that have joined and not left, whether they have attached this publisher's ring yet or
 * not. One that was killed counts until somebody has noticed it: a fifth of a second, where
 * anybody waits.
 *
 * Returns: how many; -ECHILD. Blocking: never; makes no system call. Threads: see above.
 */
WEIR_EXPORT int weir_publisher_subscribers(const struct weir_publisher *publisher);

/*
 * weir_publisher_wait_taken() - wait until every subscriber has released every message
 *
 * Lossy subscribers are not asked: 0 if there are only such.
 *
 * Returns: 0; -EPIPE (nobody is there, and the last to leave or die had not released all: one
 *     that has come since is asked for what it has received, not for what the former had), and
 *     as weir_publisher_wait_subscribers().
 */
WEIR_EXPORT int weir_publisher_wait_taken(struct weir_publisher *publisher, int64_t deadline_ns);

/*
 * weir_publisher_fd() - a descriptor for poll, epoll and event loops
 *
 * What is refused for now (-EAGAIN, and -ETIMEDOUT and -EINTR alike) is what it stands for:
 * after a send, loan, wait_subscribers or wait_taken that was refused, it is readable
 * (POLLIN) exactly while the same call would not wait: there is room for a message of that
 * size, the subscribers are attached, everything is released; or nobody is there to wait for,
 * the channel has failed, or another subscriber has come, whom the next call meets. After
 * any of these calls that was not refused, and before the first, it is readable: try. So a
 * loop that has something to send tries, and polls only while it is refused.
 *
 * Do not read, write or close it; it lives until weir_publisher_close(). With it a call
 * that is refused, and the next one, cost a few system calls, and a thread of the library
 * waits in your place; what is not refused costs nothing.
 *
 * Returns: the descriptor, the same at each call; -EMFILE, -EAGAIN (no thread), -ENOMEM,
 *     -ECHILD. Blocking: never. Fork: the child has the descriptor, and nobody who makes it
 *     readable for the child. Signals: the thread takes none.
 */
WEIR_EXPORT int weir_publisher_fd(struct weir_publisher *publisher);

/*
 * weir_subscriber_open() - become a subscriber of a channel
 *
 * Messages that are committed from now on are received: it returns when the ring of every
 * publisher that is there is attached. With options.start those before as well: what is kept is at
 * least three quarters of the ring of each publisher that is there, if no message has more than a
 * sixteenth of it less 8 bytes; five eighths if none has more than an eighth less 8; a quarter with
 * the longest. Batches, and calls for many, cost twice what they commit at once; what is held takes
 * its room. Of one that has gone only while its slot is not another's and somebody still has its
 * ring. Who is lossy, or not waited for, and is
 * overtaken by a publisher again and again while it looks for that place, begins now instead, and its
 * first message says how many it has missed since. Publishers that come later are read
 * from their first message on. Parameters, results and
 * behaviour as weir_publisher_open(); ring_bytes must be valid or 0, and is not used.
 *
 * Publishers that are there and not for us are told by the takes that follow.
 *
 * Returns: 0; -EBUSY (the channel has as many living subscribers as it was made for); else as
 *     weir_publisher_open().
 */
WEIR_EXPORT int weir_subscriber_open(struct weir_subscriber **subscriber, const char *name,
                                     const struct weir_channel_options *options);

/*
 * weir_subscriber_close() - leave the channel
 *
 * Messages that are held are invalid afterwards. subscriber: NULL is allowed.
 */
WEIR_EXPORT void weir_subscriber_close(struct weir_subscriber *subscriber);

/*
 * weir_subscriber_wait_publisher() - wait until a publisher is there
 *
 * What it commits from now on is received. deadline_ns: as weir_deadline_ns() gives it;
 * WEIR_NEVER waits for ever, 0 not at all.
 *
 * Returns: 0, also when it has ended since, or was killed: the next take tells that; else
 *     -EAGAIN, -ETIMEDOUT, -EINTR, -ECHILD, and what weir_subscriber_take_until() gives once of a
 *     publisher. Blocking: see deadline_ns.
 */
WEIR_EXPORT int weir_subscriber_wait_publisher(struct weir_subscriber *subscriber,
                                               int64_t deadline_ns);

/*
 * weir_subscriber_publishers() - how many publishers are there
 *
 * As weir_publisher_subscribers(). One that has said weir_publisher_end() counts until it closes.
 *
 * Returns: how many; -ECHILD. Blocking: never; makes no system call. Threads: see above.
 */
WEIR_EXPORT int weir_subscriber_publishers(const struct weir_subscriber *subscriber);

/*
 * weir_subscriber_take_until() - the next message, in place
 *
 * message: receives it; valid until weir_subscriber_release() or close, also when its
 * publisher is gone. Up to WEIR_HOLDS_MAX may be held, and released in any order. The ring of a
 * publisher that waits for us goes round 16 of them, which may take a quarter of it: they cost
 * nobody more than their room, however long they are held. Whatever else is held stops it a
 * ring later. One message that is kept is in nobody's way; many leave gaps, which are too short for
 * the longest messages: those wait until one is released. (Their publisher's -EAGAIN and
 * -ETIMEDOUT say so, in weir_last_error().) The call that looks around does it, at
 * the latest the one that finds nothing: who takes, and never calls again, stops it all the same.
 * deadline_ns: as weir_deadline_ns() gives it; WEIR_NEVER waits for ever, 0 not at
 * all.
 *
 * Returns: 0.
 * Errors: -EAGAIN (no message, deadline_ns 0), -ETIMEDOUT, -EINTR, -ENODATA (the last
 *     publisher has said that this was all, or has left; the next call waits for
 *     another), -EPIPE (the last publisher was killed; likewise), -EOVERFLOW (a publisher with
 *     options.lag_max_bytes has not waited for us, told once: the next message says how many were
 *     missed; never of a lossy subscriber), -ENOBUFS
 *     (WEIR_HOLDS_MAX are held), -ECHILD; and, once for each publisher, which is left alone from
 *     then on: -EUCLEAN (it writes nonsense), -EPROTO (what it shows is no lane), -EPERM or
 *     -EACCES (one of us is not to be trusted by the other, or not to be attached: see "Strangers"
 *     above).
 *
 * Of several publishers that have messages each has its turn, 8 KiB or a message long. That one
 * of them ends, while others are there, is not told.
 * Blocking: until a message or the deadline.
 */
WEIR_EXPORT int weir_subscriber_take_until(struct weir_subscriber *subscriber,
                                           struct weir_message *message, int64_t deadline_ns);

/*
 * weir_subscriber_take() - weir_subscriber_take_until(), waiting for ever
 *
 * Returns: as weir_subscriber_take_until(), but -EAGAIN and -ETIMEDOUT.
 */
WEIR_EXPORT int weir_subscriber_take(struct weir_subscriber *subscriber,
                                     struct weir_message *message);

/*
 * weir_subscriber_delivery() - how it is treated, by its own options or by the channel's
 *
 * Returns: WEIR_DELIVERY_RELIABLE or WEIR_DELIVERY_LOSSY. Blocking: never. Threads: any. Signals: safe.
 */
WEIR_EXPORT enum weir_delivery weir_subscriber_delivery(const struct weir_subscriber *subscriber);

/*
 * weir_subscriber_check() - whether a message that is held is still what it was
 *
 * A lossy subscriber's, and one of a publisher with options.lag_max_bytes, may be overwritten
 * while it is held. What was read of it before this call says 0 can be believed.
 *
 * Returns: 0: it is whole until now; always, where the publisher waits for us. -EOVERFLOW: it was
 *     overwritten, or may be at this moment: forget what was read. -EINVAL (it is not held),
 *     -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_subscriber_check(struct weir_subscriber *subscriber,
                                      const struct weir_message *message);

/*
 * weir_subscriber_release() - give a message back
 *
 * Returns: 0; -EINVAL when it is not held (released twice), -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_subscriber_release(struct weir_subscriber *subscriber,
                                        const struct weir_message *message);

/*
 * weir_subscriber_take_many_until() - the next messages, in place
 *
 * messages: receives up to count of them, as weir_subscriber_take_until() gives each. Waits for
 * the first; those behind it are taken as far as they are there, and as WEIR_HOLDS_MAX allows.
 * deadline_ns: as weir_subscriber_take_until().
 *
 * Returns: how many: 1 to count; 0 for a count of 0. Errors: as weir_subscriber_take_until(); nothing
 *     was taken then. What is wrong, or ends, behind a message is told by the next call.
 * Blocking: until a message or the deadline.
 */
WEIR_EXPORT int weir_subscriber_take_many_until(struct weir_subscriber *subscriber,
                                                struct weir_message *messages, size_t count,
                                                int64_t deadline_ns);

/*
 * weir_subscriber_release_many() - give messages back
 *
 * messages: count of them, each held, in any order; in that of their takes it is fastest.
 *
 * Returns: 0; -EINVAL when one is not held, or stands there twice: then none was released;
 *     -ECHILD. Blocking: never.
 */
WEIR_EXPORT int weir_subscriber_release_many(struct weir_subscriber *subscriber,
                                             const struct weir_message *messages, size_t count);

/*
 * weir_subscriber_fd() - a descriptor for poll, epoll and event loops
 *
 * Readable (POLLIN) while a take would not wait: a message is there, or the last publisher has
 * ended or was killed; and once when another has come, or one of several has gone: a take with
 * deadline 0 attaches its ring, or leaves it, and may say -EAGAIN. After a take that says -EAGAIN it is not readable until there is
 * something again. Do not read, write or close it; it lives until weir_subscriber_close().
 * With it a take or receive that finds nothing, and the next one, cost a few system calls;
 * without it, none.
 *
 * Where the kernel allows it (io_uring with futex waits, Linux 6.7) whoever publishes makes
 * it readable; else a thread of the library does, which costs one more wake-up. Beside
 * io_uring that thread only looks for deaths and for publishers that were stopped or killed
 * before they woke anybody: 200 ms later at most, deaths at once where the pid is visible.
 * io_uring does not look at the ring, so the descriptor may be readable once for nothing:
 * when the thread that called last has ended, to whom the wait belonged; when this side has
 * just joined; when a publisher was interrupted on the way from its message to its
 * wake-up, and the message was taken meanwhile; and when one who may write the channel's
 * directory lies. Take with deadline 0, and poll again after -EAGAIN.
 *
 * Returns: the descriptor, the same at each call; -EMFILE, -EAGAIN (no thread), -ENOMEM,
 *     -ECHILD. Blocking: never. Fork: the child has the descriptor, and nobody who makes it
 *     readable for the child. Signals: the thread takes none.
 */
WEIR_EXPORT int weir_subscriber_fd(struct weir_subscriber *subscriber);

/*
 * weir_subscriber_receive_until() - copy the next message out and release it
 *
 * data, capacity_bytes: where it goes. message: receives what it is, may be NULL;
 * message->data is data.
 *
 * Returns: 0; -EMSGSIZE (it does not fit: message->size_bytes says what is needed,
 *     and it stays the next one); else as weir_subscriber_take_until().
 */
WEIR_EXPORT int weir_subscriber_receive_until(struct weir_subscriber *subscriber, void *data,
                                              size_t capacity_bytes, struct weir_message *message,
                                              int64_t deadline_ns);

/*
 * weir_subscriber_receive() - weir_subscriber_receive_until(), waiting for ever
 *
 * data, capacity_bytes: where the message goes.
 *
 * Returns: as weir_subscriber_receive_until(), but -EAGAIN and -ETIMEDOUT.
 */
WEIR_EXPORT int weir_subscriber_receive(struct weir_subscriber *subscriber, void *data,
                                        size_t capacity_bytes);

/*
 * weir_subscriber_receive_many_until() - copy the next messages out and release them
 *
 * data, capacity_bytes: where they go, one behind the other, each from a multiple of 8 bytes on.
 * messages: receives what they are, up to count: messages[i].data is where it went, and they
 * stay yours. Waits for the first; those behind it are copied as far as they are there, and fit.
 *
 * Returns: how many: 1 to count; 0 for a count of 0. -EMSGSIZE: the first does not fit
 *     (messages[0].size_bytes says what is needed, and it stays the next one); else as
 *     weir_subscriber_take_many_until().
 */
WEIR_EXPORT int weir_subscriber_receive_many_until(struct weir_subscriber *subscriber, void *data,
                                                   size_t capacity_bytes,
                                                   struct weir_message *messages, size_t count,
                                                   int64_t deadline_ns);

#ifdef __cplusplus
}
#endif
#endif
