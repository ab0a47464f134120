/* SPDX-License-Identifier: MIT */
/* The transfer over a stream's two channels; stream.h says how, stream_join.c how they meet. */
#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "stream_parts.h"

/* How long a failing sender waits for room to say so. */
#define LAST_WORD_NS (100 * WEIR_MILLISECOND_NS)

/* A signal that does not stop us is no reason to give up. */
bool stream_again(const struct stream *stream, int result)
{
    return result == -EINTR && atomic_load(stream->stopped) == 0;
}

static bool is_end(int result)
{
    return result == -EPIPE || result == -ENODATA;
}

/* The errno that a FAIL tells. */
static int failed(struct stream *stream, const struct weir_message *message)
{
    uint32_t error = 0;
    if (message->size_bytes == sizeof error)
        memcpy(&error, message->data, sizeof error);
    if (error == 0 || error > INT16_MAX)
        return -EUCLEAN;
    atomic_store(&stream->peer_error, (int)error);
    return -ECANCELED;
}

/*
 * The sender
 */

int stream_loan(struct stream *stream, void **data, size_t *bytes)
{
    int result = 0;
    while (!stream->loan) {
        result = stream_peer(stream);
        if (result == 0)
            result = weir_publisher_loan_until(stream->publisher, STREAM_CHUNK_BYTES, &stream->loan,
                                               WEIR_NEVER);
        if (result != 0 && !stream_again(stream, result))
            return result;
    }
    *data = stream->loan;
    *bytes = STREAM_CHUNK_BYTES;
    return 0;
}

int stream_commit(struct stream *stream, size_t bytes)
{
    stream->loan = NULL;
    stream->total += bytes;
    return weir_publisher_commit(stream->publisher, bytes, STREAM_DATA);
}

/* A word that stands for itself: in the loan if there is one, which always has room. */
static int say(struct stream *stream, uint32_t type, const void *word, size_t bytes)
{
    int64_t deadline_ns = weir_deadline_ns(LAST_WORD_NS);
    int result;
    if (!stream->loan) {
        do
            result = weir_publisher_send_until(stream->publisher, word, bytes, type, deadline_ns);
        while (result == -EINTR);
        return result;
    }
    if (bytes)
        memcpy(stream->loan, word, bytes);
    stream->loan = NULL;
    return weir_publisher_commit(stream->publisher, bytes, type);
}

int stream_end(struct stream *stream)
{
    void *data;
    size_t bytes;
    int result = stream_loan(stream, &data, &bytes);
    if (result == 0)
        result = say(stream, STREAM_END, &stream->total, sizeof stream->total);
    stream->has_ended = result == 0;
    return result;
}

int stream_verdict(const struct stream *stream)
{
    int word = atomic_load(&stream->word);
    return word == 1 ? (stream->has_ended ? 0 : -EUCLEAN) : word;
}

static int take_word(struct stream *stream)
{
    struct weir_message message;
    int result = weir_subscriber_take(stream->subscriber, &message);
    if (result != 0)
        return is_end(result) ? -EPIPE : result;
    switch (message.type) {
    case STREAM_READY: /* kept: see stream.h */
        return message.sequence == 0 ? 0 : -EUCLEAN;
    case STREAM_DONE:
        return 1;
    case STREAM_FAIL:
        return failed(stream, &message);
    default:
        return -EUCLEAN;
    }
}

/*
 * The receiver
 */

static struct weir_message *held_at(struct stream *stream, unsigned index)
{
    return &stream->held[(stream->held_first + index) % WEIR_HOLDS_MAX];
}

/* One message more into the queue; or why not. */
static int take(struct stream *stream, int64_t deadline_ns)
{
    int result = weir_subscriber_take_until(stream->subscriber, held_at(stream, stream->held_count),
                                            deadline_ns);
    if (result != 0)
        return is_end(result) ? -EPIPE : result;
    stream->held_count++;
    return 0;
}

/* The oldest that is held, taken if there is none. */
static int oldest(struct stream *stream, const struct weir_message **message)
{
    int result = 0;
    if (stream->held_count == 0)
        do
            result = take(stream, WEIR_NEVER);
        while (stream_again(stream, result));
    *message = held_at(stream, 0);
    return result;
}

static int end(struct stream *stream, const struct weir_message *message)
{
    uint64_t total = 0;
    if (message->size_bytes == sizeof total)
        memcpy(&total, message->data, sizeof total);
    stream->has_ended = message->size_bytes == sizeof total && total == stream->total;
    return stream->has_ended ? 0 : -EUCLEAN;
}

int stream_next(struct stream *stream, const void **data, size_t *bytes)
{
    for (;;) {
        const struct weir_message *message;
        int result = oldest(stream, &message);
        if (result != 0)
            return result;
        switch (message->type) {
        case STREAM_HELLO: /* once more, from a sender that had not seen the answer yet */
            result = stream->total == 0 ? stream_release(stream) : -EUCLEAN;
            break;
        case STREAM_DATA:
            stream->total += message->size_bytes;
            *data = message->data;
            *bytes = message->size_bytes;
            return message->size_bytes > 0 ? 1 : -EUCLEAN;
        case STREAM_END:
            return end(stream, message);
        case STREAM_FAIL:
            return failed(stream, message);
        default:
            return -EUCLEAN;
        }
        if (result != 0)
            return result;
    }
}

int stream_release(struct stream *stream)
{
    int result = weir_subscriber_release(stream->subscriber, held_at(stream, 0));
    stream->held_first = (stream->held_first + 1) % WEIR_HOLDS_MAX;
    stream->held_count--;
    return result;
}

void stream_accept(struct stream *stream)
{
    /* Should it not arrive: everything is here, whoever is left to hear it. */
    say(stream, STREAM_DONE, NULL, 0);
}

/* The sender is gone: what stands behind the message that is being written? */
static int look_ahead(struct stream *stream)
{
    while (stream->ahead == 0) {
        int result = stream->held_count == WEIR_HOLDS_MAX ? -EPIPE : take(stream, 0);
        if (result == -EAGAIN || result == -EINTR)
            return 0; /* the kernel has not said so here; soon */
        if (result != 0) {
            stream->ahead = result;
        } else {
            const struct weir_message *last = held_at(stream, stream->held_count - 1);
            if (last->type == STREAM_END)
                stream->ahead = 1;
            else if (last->type == STREAM_FAIL)
                stream->ahead = failed(stream, last);
        }
    }
    return stream->ahead < 0 ? stream->ahead : 0;
}

/*
 * Both
 */

void stream_fail(struct stream *stream, int error)
{
    uint32_t word = (uint32_t)error;
    /* Should it not arrive: we leave, which the other side sees as well. */
    say(stream, STREAM_FAIL, &word, sizeof word);
}

int stream_peer(struct stream *stream)
{
    if (stream->role == STREAM_RECEIVER)
        return look_ahead(stream);
    int word = atomic_load(&stream->word);
    return word == 1 ? -EUCLEAN : word; /* nobody has everything before the end */
}

int stream_peer_error(const struct stream *stream)
{
    return atomic_load(&stream->peer_error);
}

void stream_watch(struct stream *stream, const atomic_bool *leaving)
{
    int result;
    do
        result = stream->role == STREAM_SENDER
                     ? take_word(stream)
                     : weir_publisher_wait_taken(stream->publisher, WEIR_NEVER);
    while (!atomic_load(leaving) &&
           (result == -EINTR || (result == 0 && stream->role == STREAM_SENDER)));
    if (result != -EINTR)
        atomic_store(&stream->word, result);
}
