/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SUBSCRIBER_H
#define WEIR_SUBSCRIBER_H

/*
 * Subscribers of a channel. <weir/channel.h> says what a channel is, and what holds for all of
 * these calls: delivery, progress, threads, fork, signals, types, trust.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/channel_options.h>
#include <weir/clock.h>
#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_subscriber;

/*
 * weir_subscriber_open() - become a subscriber of a channel
 *
 * Messages that are committed from now on are received: it returns when the ring of every
 * publisher that is there is attached. With options.start those before as well: what is kept is at
 * least three quarters of the ring of each publisher that is there, if no message has more than a
 * sixteenth of it less 8 bytes; three fifths if none has more than an eighth less 8; a quarter with
 * the longest. Batches, and calls for many, cost twice what they commit at once; what is held takes
 * its room. Of one that has gone only while its slot is not another's and somebody still has its
 * ring. Who is lossy, or not waited for, and is
 * overtaken by a publisher again and again while it looks for that place, begins now instead, and
 * its first message says how many it has missed since. Publishers that come later are read
 * from their first message on. Parameters, results and
 * behaviour as weir_publisher_open(); ring_bytes must be valid or 0, and is not used.
 *
 * Publishers that are there and not for us are told by the takes that follow.
 *
 * Returns: 0; -EBUSY (the channel was made for so many subscribers, and they all live); else as
 *     weir_publisher_open().
 */
WEIR_EXPORT int weir_subscriber_open(struct weir_subscriber **subscriber, const char *name,
                                     const struct weir_channel_options *options);

/*
 * weir_subscriber_close() - leave the channel
 *
 * Messages that are held are invalid afterwards; and no call may be made with it: undefined, as with
 * what free(3) was given. subscriber: NULL is allowed. If it had a descriptor
 * (weir_subscriber_fd()), one call of this thread may end with EINTR soon afterwards without a
 * signal: see weir_wait_set_close().
 */
WEIR_EXPORT void weir_subscriber_close(struct weir_subscriber *subscriber);

/*
 * weir_subscriber_wait_publisher() - wait until a publisher is there
 *
 * What it commits from now on is received. deadline_ns: as weir_deadline_ns() gives it;
 * WEIR_NEVER waits for ever, 0 not at all.
 *
 * Returns: 0, also when it has ended since, or was killed: the next take tells that; else
 *     -EAGAIN, -ETIMEDOUT, -EINTR, -ECHILD, -ENOMEM, -EMFILE, -ENFILE (no room for a publisher's ring:
 *     at once, whatever the deadline), -EXDEV, -EUCLEAN (as a take), and what
 *     weir_subscriber_take_until() gives once of a publisher. Blocking: see deadline_ns.
 */
WEIR_EXPORT int weir_subscriber_wait_publisher(struct weir_subscriber *subscriber,
                                               int64_t deadline_ns);

/*
 * weir_subscriber_publishers() - how many publishers are there
 *
 * As weir_publisher_subscribers(). One that has said weir_publisher_end() counts until it closes.
 *
 * Returns: how many; -ECHILD. Blocking: never; makes no system call. Threads: see <weir/channel.h>.
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
 *     publisher has said that this was all, or has left; told once: the next call waits for
 *     another), -EPIPE (the last publisher was killed, or ended without
 *     weir_publisher_close(); told once: the next call waits for another),
 *     -EOVERFLOW (a publisher with options.lag_max_bytes has not waited for us; told once: the next
 *     message says how many were missed; never of a lossy subscriber), -ENOBUFS
 *     (WEIR_HOLDS_MAX are held), -ECHILD, -EUCLEAN (nothing is there, and another one has this
 *     subscriber's place: see <weir/channel.h>; each time), -ENOMEM (no room to attach the ring of a
 *     publisher, which waits for us until there is: told at once, and then by each call that finds
 *     nothing else, if it is not to wait, or has waited 200 ms; the others are read on), -EMFILE,
 *     -ENFILE (likewise: no descriptor to ask who it is), -EXDEV (a publisher has come, and the
 *     calling thread is in another IPC namespace: each time); and, once for each publisher, which is
 *     left alone from then on: -EUCLEAN (it writes nonsense; or it could not know of us, and has
 *     overwritten what was to be read), -EPROTO (what it shows is no lane), -EPERM or
 *     -EACCES (one of us is not to be trusted by the other, or not to be attached: see "Strangers"
 *     in <weir/channel.h>).
 *
 * Of several publishers that have messages each has its turn, 8 KiB or a message long. That one
 * of them ends, while others are there, is not told; nor that of one that came and went without a message
 * between two looks. When an end is told, -ENODATA or -EPIPE,
 * message->missed says how many messages were overwritten behind the last ones that were taken, of all
 * publishers that have gone since one was told before; all else of it is 0.
 * Blocking: until a message or the deadline.
 */
WEIR_EXPORT int weir_subscriber_take_until(struct weir_subscriber *subscriber,
                                           struct weir_message *message, int64_t deadline_ns);

/*
 * weir_subscriber_take() - weir_subscriber_take_until(), waiting for ever
 *
 * Returns: as weir_subscriber_take_until(), but never -EAGAIN or -ETIMEDOUT.
 */
WEIR_EXPORT int weir_subscriber_take(struct weir_subscriber *subscriber,
                                     struct weir_message *message);

/*
 * weir_subscriber_delivery() - how it is treated, by its own options or by the channel's
 *
 * Returns: WEIR_DELIVERY_RELIABLE or WEIR_DELIVERY_LOSSY. Blocking: never. Threads: any. Signals:
 *     safe.
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
 * message: as this subscriber's take gave it. Another one's, or a former handle's, names a message by
 * its place: it is given back if this one holds it, too.
 *
 * Returns: 0; -EINVAL (it is not held: released twice, or taken by another subscriber), -ECHILD.
 *     Blocking: never.
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
 * Returns: how many: 1 to count; 0 for a count of 0. Errors: as weir_subscriber_take_until().
 *     Nothing was taken then. What is wrong, or ends, behind a message is told by the next call.
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
 * Returns: 0; -EINVAL (one is not held, or stands there twice: then none was released), -ECHILD.
 *     Blocking: never.
 */
WEIR_EXPORT int weir_subscriber_release_many(struct weir_subscriber *subscriber,
                                             const struct weir_message *messages, size_t count);

/*
 * weir_subscriber_fd() - a descriptor for poll, epoll and event loops
 *
 * Readable (POLLIN) while a take would not wait: a message is there, or the last publisher has
 * ended or was killed; and once when another has come, or one of several has gone: a take with
 * deadline 0 attaches its ring, or leaves it, and may say -EAGAIN. After a take that says -EAGAIN
 * it is not readable until there is something again. Do not read, write or close it; it lives
 * until weir_subscriber_close(). With it a take or receive that finds nothing, and the next one,
 * cost a few system calls; without it, none. While WEIR_HOLDS_MAX messages are held and others are
 * there it stays readable, though a take says -ENOBUFS: release some before the next poll, which would
 * return at once.
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
 * When the handle goes to another thread, by a call there that finds nothing, one call of the former thread may
 * end with EINTR without a signal: see weir_wait_set_close(). When it goes on from there, to a third or back,
 * once more, and then the library's thread serves it for good: so one thread is the fastest.
 *
 * Returns: the descriptor, the same at each call; -EMFILE, -ENFILE, -EAGAIN (no thread can be made), -ENOMEM,
 *     -ECHILD. Blocking: never. Fork: the child has the descriptor, and nobody who makes it
 *     readable for the child. Signals: the thread takes none.
 */
WEIR_EXPORT int weir_subscriber_fd(struct weir_subscriber *subscriber);

/*
 * weir_subscriber_receive_until() - copy the next message out and release it
 *
 * data, capacity_bytes: where it goes. message: receives what it is, may be NULL;
 * message->data is data. It needs no hold: it goes on where WEIR_HOLDS_MAX are held. Where each
 * message that is there is overwritten while it is copied, which its publisher does to a lossy
 * subscriber and to one behind options.lag_max_bytes, it ends at the deadline as if there were none,
 * and without one goes on until one is whole.
 *
 * Returns: 0; -EMSGSIZE (it does not fit: message->size_bytes says what is needed,
 *     and it stays the next one); else as weir_subscriber_take_until(), but never -ENOBUFS.
 */
WEIR_EXPORT int weir_subscriber_receive_until(struct weir_subscriber *subscriber, void *data,
                                              size_t capacity_bytes, struct weir_message *message,
                                              int64_t deadline_ns);

/*
 * weir_subscriber_receive() - weir_subscriber_receive_until(), waiting for ever
 *
 * data, capacity_bytes: where the message goes.
 *
 * Returns: as weir_subscriber_receive_until(), but never -EAGAIN or -ETIMEDOUT.
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
