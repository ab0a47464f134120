/* SPDX-License-Identifier: MIT */
/* How a sender and a receiver meet; stream.h has the picture. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <weir/clock.h>

#include "stream_parts.h"

/*
 * For a role that is taken: its owner may be just ending. Killed a moment ago, it is not dead
 * before the kernel says so; a partner of it sees that up to a slice of 200 ms later, and leaves.
 */
#define GRACE_NS WEIR_SECOND_NS
#define GRACE_STEP_NS (2 * WEIR_MILLISECOND_NS)

/* What one who has come may take to answer when the deadline is near. */
#define ANSWER_NS WEIR_SECOND_NS

/* Who waits for an answer looks so often whether the one that it greeted lives. */
#define LOOK_NS (200 * WEIR_MILLISECOND_NS)

/* So many who release a HELLO without an answer, one after the other, are no receivers. */
#define STRANGERS_MAX 5

#define NAME_BYTES_MAX 200

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static int64_t later(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

/* The way back of a long name begins with as much of it as there is room for. */
static void name_back(const struct stream *stream, uint64_t number, char name[NAME_BYTES_MAX + 1])
{
    char tail[32];
    int length = snprintf(tail, sizeof tail, ".back-%08llx", (unsigned long long)number);
    snprintf(name, NAME_BYTES_MAX + 1, "%.*s%s", NAME_BYTES_MAX - length, stream->name, tail);
}

static int open_role(struct stream *stream)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = STREAM_RING_BYTES;
    options.publishers_max = options.subscribers_max = 1;
    options.spin_ns = STREAM_SPIN_NS;
    return stream->role == STREAM_SENDER
               ? weir_publisher_open(&stream->publisher, stream->name, &options)
               : weir_subscriber_open(&stream->subscriber, stream->name, &options);
}

static int claim_role(struct stream *stream, int64_t deadline_ns)
{
    const struct timespec step = { 0, GRACE_STEP_NS };
    int64_t until_ns = earlier(deadline_ns, weir_deadline_ns(GRACE_NS));
    for (;;) {
        int result = open_role(stream);
        if (result == -EINVAL && weir_name_check(stream->name) == 0)
            return -EBADMSG; /* for other numbers than ours */
        if (result != -EBUSY || weir_now_ns() >= until_ns)
            return result;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &step, NULL);
        if (atomic_load(stream->stopped))
            return -EINTR;
    }
}

/*
 * The sender
 */

static int open_back_to_listen(struct stream *stream, struct stream_hello *hello)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char name[NAME_BYTES_MAX + 1];
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -errno;
    *hello = (struct stream_hello){ STREAM_MAGIC, stream->expected, number, stream->file };
    options.flags = WEIR_CHANNEL_SLEEP_ONLY; /* it is the second thread that waits there */
    options.publishers_max = options.subscribers_max = 1;
    name_back(stream, number, name);
    return weir_subscriber_open(&stream->subscriber, name, &options);
}

static int await_subscriber(struct stream *stream, int64_t deadline_ns)
{
    int result;
    do
        result = weir_publisher_wait_subscribers(stream->publisher, 1, deadline_ns);
    while (stream_again(stream, result));
    return result;
}

static int send_hello(struct stream *stream, const struct stream_hello *hello, int64_t deadline_ns)
{
    int result;
    do
        result = weir_publisher_send_until(stream->publisher, hello, sizeof *hello, STREAM_HELLO,
                                           deadline_ns);
    while (stream_again(stream, result));
    return result;
}

/* 0: it is answered. 1: it was released without an answer. -EPIPE: nobody is there, or has died. */
static int greet(struct stream *stream, const struct stream_hello *hello, int64_t deadline_ns)
{
    int result = send_hello(stream, hello, deadline_ns);
    while (result == 0) {
        int taken = weir_publisher_wait_taken(stream->publisher, 0);
        int64_t look_ns = weir_deadline_ns(LOOK_NS);
        if (taken == 0) /* by then the answer is there, if there is one */
            return weir_subscriber_wait_publisher(stream->subscriber, 0) == 0 ? 0 : 1;
        if (taken != -EAGAIN)
            return taken;
        result = weir_subscriber_wait_publisher(stream->subscriber, earlier(look_ns, deadline_ns));
        if (result == 0)
            return 0;
        if (stream_again(stream, result) || (result == -ETIMEDOUT && weir_now_ns() < deadline_ns))
            result = 0;
    }
    return result;
}

static int meet_receiver(struct stream *stream, int64_t deadline_ns)
{
    struct stream_hello hello;
    int strangers = 0;
    int result = open_back_to_listen(stream, &hello);
    if (result != 0)
        return result;
    while (strangers < STRANGERS_MAX) {
        /* At the deadline one that is just coming is greeted, too. */
        int came = await_subscriber(stream, deadline_ns);
        if (came != 0 && came != -ETIMEDOUT)
            return came;
        result = greet(stream, &hello, later(deadline_ns, weir_deadline_ns(ANSWER_NS)));
        if (result == 0 || (result < 0 && result != -EPIPE))
            return result;
        if (came == -ETIMEDOUT)
            return came;
        strangers += result;
    }
    return -EBADMSG;
}

/*
 * The receiver
 */

static bool is_of_a_stream(const struct weir_message *message)
{
    return message->type >= STREAM_HELLO && message->type <= STREAM_FAIL;
}

/* 0: *hello is the next HELLO, which is held. -EPIPE: a sender ended before. */
static int take_hello(struct stream *stream, struct stream_hello *hello, int64_t deadline_ns)
{
    struct weir_message *message = &stream->held[0];
    for (;;) {
        int result = weir_subscriber_take_until(stream->subscriber, message, deadline_ns);
        if (stream_again(stream, result))
            continue;
        if (result != 0)
            return result == -ENODATA ? -EPIPE : result;
        if (!is_of_a_stream(message))
            return -EBADMSG;
        if (message->type == STREAM_HELLO)
            break;
        weir_subscriber_release(stream->subscriber, message);
    }
    if (message->size_bytes < sizeof hello->magic)
        return -EBADMSG;
    memcpy(hello, message->data,
           message->size_bytes < sizeof *hello ? message->size_bytes : sizeof *hello);
    return hello->magic == STREAM_MAGIC && message->size_bytes == sizeof *hello ? 0
                                                                                : -EPROTONOSUPPORT;
}

/* -EPIPE: the sender is gone, or has another receiver. */
static int answer(struct stream *stream, const struct stream_hello *hello, int64_t deadline_ns)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char name[NAME_BYTES_MAX + 1];
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.publishers_max = options.subscribers_max = 1;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    name_back(stream, hello->back & UINT32_MAX, name);
    int result = weir_publisher_open(&stream->publisher, name, &options);
    weir_subscriber_release(stream->subscriber, &stream->held[0]);
    if (result != 0)
        return result == -EBUSY ? -EPIPE : result;
    do /* nothing to be taken yet: until it is attached */
        result = weir_publisher_wait_taken(stream->publisher, deadline_ns);
    while (stream_again(stream, result));
    if (result == 0)
        result = weir_publisher_send_until(stream->publisher, NULL, 0, STREAM_READY, deadline_ns);
    if (result != 0) {
        weir_publisher_close(stream->publisher);
        stream->publisher = NULL;
    }
    return result;
}

static int meet_sender(struct stream *stream, int64_t deadline_ns)
{
    struct stream_hello hello = { 0 };
    for (;;) {
        int result = weir_subscriber_wait_publisher(stream->subscriber, deadline_ns);
        int64_t answer_ns = later(deadline_ns, weir_deadline_ns(ANSWER_NS));
        if (stream_again(stream, result))
            continue;
        if (result == 0)
            result = take_hello(stream, &hello, answer_ns);
        if (result == 0)
            result = answer(stream, &hello, answer_ns);
        if (result != -EPIPE) {
            stream->expected = hello.expected;
            stream->file = hello.file;
            return result;
        }
    }
}

int stream_join(struct stream *stream, int64_t deadline_ns)
{
    int result = claim_role(stream, deadline_ns);
    if (result != 0)
        return result;
    return stream->role == STREAM_SENDER ? meet_receiver(stream, deadline_ns)
                                         : meet_sender(stream, deadline_ns);
}

void stream_leave(struct stream *stream)
{
    /* The sender's lane before its way back, the end of which has the receiver look there. */
    weir_publisher_close(stream->publisher);
    weir_subscriber_close(stream->subscriber);
    stream->publisher = NULL;
    stream->subscriber = NULL;
}
