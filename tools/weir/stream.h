/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_STREAM_H
#define WEIR_TOOL_STREAM_H

/*
 * The stream under 'weir send' and 'weir recv': two channels.
 *
 *   NAME                  sender to receiver: HELLO, DATA..., then END or FAIL
 *   NAME.back-0123abcd    receiver to sender: READY, then DONE or FAIL
 *
 * How they meet. Whoever has subscribed to NAME is greeted with HELLO, which says how the
 * way back is called: by a random number, another one for each sender. The receiver
 * publishes there, and only then releases HELLO; so a sender that finds HELLO released, and
 * nobody on the way back, knows that the receiver came later than HELLO, or is none, and
 * greets again. A receiver passes over everything before a HELLO: it is of a transfer that
 * it has no part in.
 *
 *   sender                                 receiver
 *   publishes at NAME, subscribes to back  subscribes to NAME
 *   waits for a subscriber, sends HELLO    takes HELLO
 *                                          publishes at back, releases HELLO
 *   attaches back                          waits until back is attached, sends READY
 *   DATA...                                writes each DATA out, then releases it
 *   END, with the sum of the bytes         closes its output, sends DONE
 *   DONE: everything has arrived
 *
 * Each side holds the other one to the pair that it has met: the receiver by its lane, whose
 * end or death it is told before anything of a successor; the sender by the way back, where
 * nobody else publishes. READY is not released before the sender leaves: so the receiver's
 * second thread, which waits for that, learns of its end while the first is busy elsewhere.
 *
 * Threads: one for each side's calls; stream_watch() may run in another, and then the
 * way back is that one's until it has returned: stream_accept() and the receiver's
 * stream_fail() come after it. Results: 0 or above, or -errno:
 *   -EBUSY      somebody else is this name's sender (receiver)
 *   -ETIMEDOUT  the other side did not come by the deadline
 *   -EPIPE      the other side was killed, or left without a word
 *   -ECANCELED  the other side failed and said so: stream_peer_error()
 *   -EUCLEAN    what the other side wrote cannot be true
 *   -EBADMSG    there is a channel under this name, but no stream
 *   -EPROTONOSUPPORT  a stream of another version
 *   -EINTR      *stopped is not 0; without that, signals change nothing
 * and those of weir_publisher_open(), for which weir_last_error() has the sentence.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

enum stream_role { STREAM_SENDER, STREAM_RECEIVER };

/* What the other side can fail with, and no errno says; above all of them. */
enum stream_failure {
    STREAM_SAME_FILE = 0x4001, /* receiver: it would write to what the sender reads */
    STREAM_SHORT_FILE,         /* sender: its file has become shorter */
};

/* The regular file that is sent: who would write to it learns so before anything is emptied. */
struct stream_file {
    uint64_t device, inode; /* inode 0: it is none */
};

struct stream {
    enum stream_role role;
    const char *name;
    const atomic_int *stopped;
    struct weir_publisher *publisher;   /* sender: at NAME; receiver: at the way back */
    struct weir_subscriber *subscriber; /* the other one */
    uint64_t expected;                  /* bytes that will come, for display; 0: not known */
    struct stream_file file;            /* the sender's */
    uint64_t total;                     /* bytes committed or taken */
    void *loan;                         /* sender: to be read into, or NULL */
    bool has_ended;                     /* sender: END is committed; receiver: it was taken */

    /* Receiver: messages taken and not released, oldest first. */
    struct weir_message held[WEIR_HOLDS_MAX];
    unsigned held_first, held_count;
    int ahead; /* what the look ahead has found: 0: nothing yet; 1: END; or the error */

    atomic_int word; /* sender: what the receiver said: 0: nothing; 1: DONE; or the error */
    atomic_int peer_error;
};

/*
 * Takes the role of stream->role under stream->name and waits for the other side until the
 * deadline, as weir_deadline_ns() gives it. One that has come by then has a moment more to
 * answer. stream_leave() in any case.
 */
int stream_join(struct stream *stream, int64_t deadline_ns);

/* The other side sees an end without a word, unless everything was accepted. */
void stream_leave(struct stream *stream);

/* Sender: where to read the next bytes to, at most *bytes. The same until it is committed. */
int stream_loan(struct stream *stream, void **data, size_t *bytes);

/* Sender: so many bytes of the loan, 1 at least, go to the receiver. */
int stream_commit(struct stream *stream, size_t bytes);

/* Sender: that was all. Success is what stream_verdict() says after stream_watch(). */
int stream_end(struct stream *stream);

/* Sender, when stream_watch() has returned: 0: the receiver has everything. */
int stream_verdict(const struct stream *stream);

/* Receiver: 1: *data and *bytes are to be written; 0: that was all. */
int stream_next(struct stream *stream, const void **data, size_t *bytes);

/* Receiver: the bytes of stream_next() are written. */
int stream_release(struct stream *stream);

/* Receiver, after the end: everything is where it belongs. */
void stream_accept(struct stream *stream);

/* Either side: tells the other one that it failed with this errno, or enum stream_failure. */
void stream_fail(struct stream *stream, int error);

/*
 * Either side, when stream_watch() has returned: 0 as long as it is worth going on: receiver,
 * all that was sent may be there already. -EPIPE, -ECANCELED, -EUCLEAN.
 */
int stream_peer(struct stream *stream);

/* After -ECANCELED: what the other side failed with: an errno, or enum stream_failure. */
int stream_peer_error(const struct stream *stream);

/*
 * For another thread: returns when the other side is gone, has failed or has accepted; or
 * after a signal, if *leaving.
 */
void stream_watch(struct stream *stream, const atomic_bool *leaving);

#endif
