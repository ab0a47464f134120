/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PUBLISHER_H
#define WEIR_PUBLISHER_H

/*
 * Publishers of a channel. <weir/channel.h> says what a channel is, and what holds for all of these
 * calls: delivery, progress, threads, fork, signals, types, trust.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/channel_options.h>
#include <weir/clock.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_publisher;

/*
 * weir_publisher_open() - become a publisher of a channel
 *
 * publisher: receives the handle; untouched on failure. name: of the channel, see
 * weir_name_check(). options: may be NULL.
 *
 * Returns: 0.
 * Errors: -EBUSY (the channel was made for so many publishers, and they all live), -EINVAL (options;
 *     it was made for other numbers than they say; a ring too small for the channel's type),
 *     -EPROTOTYPE (see "Types" in <weir/channel.h>), -EPROTO (the name is of something else),
 *     -EPROTONOSUPPORT (a channel of another layout), -EUCLEAN (its directory cannot be true), -EPERM
 *     (the effective uid is not what it was when this process first used weir: others would ask the kernel
 *     for the wrong one; or options.trust leaves this process's own user out), -ENOMEM, those of
 *     weir_segment_create_or_open() and weir_identity().
 * Blocking: never waits for a process; makes and prefaults the ring.
 * Threads: any. Fork: see <weir/channel.h>. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_publisher_open(struct weir_publisher **publisher, const char *name,
                                    const struct weir_channel_options *options);

/*
 * weir_publisher_close() - leave the channel
 *
 * What was committed stays with the subscribers. A loan is abandoned; what an
 * open batch still holds back is as if never sent. publisher: NULL is allowed. Never fails. No
 * call may be made with it afterwards: undefined, as with what free(3) was given.
 *
 * Blocking: a fifth of a second at most, while a lossy subscriber that was there before the last
 * message (or any, of a publisher with options.lag_max_bytes) has not attached this publisher's
 * ring yet, as when both have just come, or while a subscriber writes nonsense: it reads the rest by itself. For one of the same process
 * 2 ms, since the caller may be whom it waits for. One that does not attach it
 * in that time, or whose publisher is killed or exits without this call, never learns of them.
 * Signals make it neither shorter nor longer.
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
 *     weir_publisher_max_bytes(), or another size than the channel's type has), -EINVAL (type; a
 *     loan is out), -EPIPE (after weir_publisher_end()), -EUCLEAN (a subscriber writes nonsense; or,
 *     where the call would wait, another one has this publisher's place: see <weir/channel.h>),
 *     -ENOMEM, -EMFILE, -ENFILE (a subscriber has come, and cannot be met now: see "Scarce memory"
 *     there), -EXDEV (likewise, from another IPC namespace: see "Namespaces" there), -ECHILD; and,
 *     once for each subscriber, which is not waited for from then on: -EPROTO (what it shows is no
 *     subscriber's page), -EPERM or -EACCES (it is not to be trusted, or not to be attached: see
 *     "Strangers" in <weir/channel.h>). Each time, as long as it is there: -EPERM or -EACCES (this
 *     process has become another user since it opened the channel, or may not ask the kernel any more
 *     who it is: see there).
 * Blocking: while the ring has no room because of the slowest subscriber, or while one has not
 *     attached this publisher's ring: one that waits does so at once, any other by its next call or the
 *     one behind it (so one that is open and is not used, be it that its last publisher has ended, holds up
 *     each that comes: close it; and see "Both sides in one thread" in <weir/channel.h>); never when nobody
 *     has subscribed.
 */
WEIR_EXPORT int weir_publisher_send_until(struct weir_publisher *publisher, const void *data,
                                          size_t size_bytes, uint32_t type, int64_t deadline_ns);

/*
 * weir_publisher_send() - weir_publisher_send_until() with type 0, waiting for ever
 *
 * Returns: as weir_publisher_send_until(), but never -EAGAIN or -ETIMEDOUT.
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
 *     weir_publisher_send_until(), of the first message; nothing was sent then. 2,147,483,647 at
 *     most are sent.
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
 * Returns: 0; -EINVAL (no loan, as in a second commit; too large; type), -EMSGSIZE (another size
 *     than the channel's type has: the loan stays out), -ECHILD. Blocking: never.
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
 * Its places are the publisher's again, and what was written there may be overwritten by the next call.
 * Never fails; without a loan it does nothing. Blocking: never.
 */
WEIR_EXPORT void weir_publisher_abandon(struct weir_publisher *publisher);

/*
 * weir_publisher_batch_begin() - hold back what is sent from now on
 *
 * Messages are written into the ring and become visible all at once, with
 * weir_publisher_batch_end(); or earlier, when the room that it knows of is spent or somebody has come,
 * and with weir_publisher_wait_subscribers() and weir_publisher_wait_taken(). One commit for
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
 * there. Else the kernel is asked first who of them lives: who was killed before the call does not
 * count. An open batch is committed before it waits.
 *
 * Returns: 0; -EINVAL (count: the channel was made for fewer), -EAGAIN (fewer are there,
 *     deadline_ns 0), -ETIMEDOUT, -EINTR, -ECHILD; -EUCLEAN, -EPROTO, -EPERM, -EACCES, -ENOMEM,
 *     -EMFILE, -ENFILE, -EXDEV: see weir_publisher_send_until(). Blocking: see deadline_ns.
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
 * Returns: how many; -ECHILD. Blocking: never; makes no system call. Threads: see <weir/channel.h>.
 */
WEIR_EXPORT int weir_publisher_subscribers(const struct weir_publisher *publisher);

/*
 * weir_publisher_wait_taken() - wait until every subscriber has released every message
 *
 * Lossy subscribers are not asked: 0 if there are only such. An open batch is committed
 * before it waits.
 *
 * Returns: 0; -EPIPE (nobody is there: and nobody was, be it that nothing was sent; or the last to
 *     leave or die had not released all: one that has come since is asked for what it has received,
 *     not for what the former had), -EAGAIN
 *     (something is not released, deadline_ns 0), -ETIMEDOUT, -EINTR, -ECHILD; -EUCLEAN, -EPROTO,
 *     -EPERM, -EACCES, -ENOMEM, -EMFILE, -ENFILE, -EXDEV: see weir_publisher_send_until(). Blocking:
 *     see deadline_ns.
 */
WEIR_EXPORT int weir_publisher_wait_taken(struct weir_publisher *publisher, int64_t deadline_ns);

/*
 * weir_publisher_fd() - a descriptor for poll, epoll and event loops
 *
 * What is refused for now (-EAGAIN, and -ETIMEDOUT and -EINTR alike) is what it stands for:
 * after a send, loan, wait_subscribers or wait_taken that was refused, it becomes readable
 * (POLLIN) as soon as the same call would not wait: there is room for a message of that
 * size, the subscribers are attached, everything is released; or nobody is there to wait for,
 * the channel has failed, or another subscriber has come, whom the next call meets. Then it stays
 * so until the next of these calls, though that may have to wait again by then, as when a subscriber
 * has left meanwhile. (Where subscribers hold messages, each release makes it readable once, be it
 * enough or not. Of a subscriber that was killed it learns within a fifth of a second; calls with
 * deadline 0 ask once in that time.) After any of these calls that was not refused, and before the first, it is
 * readable: try. (A send_many that found room for a part of its messages alone was refused.) (One that is wrong by itself, -EINVAL or -EMSGSIZE, leaves it as it is.) So a loop
 * that has something to send tries, and polls only while it is refused.
 *
 * Do not read, write or close it; it lives until weir_publisher_close(). With it a call
 * that is refused, and the next one, cost a few system calls, and a thread of the library
 * waits in your place; what is not refused costs nothing.
 *
 * Returns: the descriptor, the same at each call; -EMFILE, -ENFILE, -EAGAIN (no thread can be made), -ENOMEM,
 *     -ECHILD. Blocking: never. Fork: the child has the descriptor, and nobody who makes it
 *     readable for the child. Signals: the thread takes none.
 */
WEIR_EXPORT int weir_publisher_fd(struct weir_publisher *publisher);

#ifdef __cplusplus
}
#endif
#endif
