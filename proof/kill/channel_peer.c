/* SPDX-License-Identifier: MIT */
/* What a peer does with a channel; it checks every message that it sees. */
#include "act.h"
#include "words.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define BATCH_MAX 8

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .flags = WEIR_CHANNEL_SLEEP_ONLY,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN,
                                                        .publishers_max = 1,
                                                        .subscribers_max = 1 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static struct weir_message held[WEIR_HOLDS_MAX];
static unsigned held_count;
static unsigned own_stream, read_stream;
static uint32_t read_session; /* of the messages read; 0: none yet */
static unsigned next_number;  /* of the next to be sent */
static unsigned loan_bytes, loan_count;
static uint64_t payload[BATCH_MAX][MOST_BYTES / 8];

static void fill(uint64_t *words, unsigned size_bytes, unsigned number)
{
    words_fill(words, size_bytes, own_stream, number);
}

/* Whole, of one publisher, and just the one that follows. */
static void check_words(const void *data, const struct weir_message *message)
{
    const uint64_t *words = data;
    unsigned stream = (unsigned)(words[0] >> 32), number = (unsigned)words[0];
    if (message->size_bytes < LEAST_BYTES || message->size_bytes > MOST_BYTES ||
        stream >= STREAMS_MAX || number != message->sequence || message->type != (number & 0xffff))
        return (void)peer_broken("message %u of type %u is not what it says",
                                 (unsigned)message->sequence, message->type);
    for (unsigned i = 0; i < message->size_bytes / 8; i++)
        if (words[i] != words_at(stream, number, i))
            return (void)peer_broken("message %u is torn at word %u", number, i);
}

static void note(const void *data, const struct weir_message *message)
{
    check_words(data, message);
    if (reply.result == BROKEN)
        return;
    unsigned stream = (unsigned)(*(const uint64_t *)data >> 32);
    unsigned number = (unsigned)message->sequence;
    struct stream *read = &accounts->stream[stream];
    if (message->session != read_session) {
        read_session = message->session;
        read->first = read->next = number;
    } else if (stream != read_stream) {
        return (void)peer_broken("streams %u and %u in one session", read_stream, stream);
    }
    read_stream = stream;
    if (number != read->next)
        return (void)peer_broken("message %u instead of %u", number, read->next);
    read->next = number + 1;
    reply.count++;
    reply.stream = stream;
}

static int open_publisher(const struct order *order)
{
    peer_enter(order);
    int result = weir_publisher_open(&publisher, "lane", &small_ring);
    peer_leave(order);
    own_stream = reply.stream = atomic_fetch_add(&accounts->streams, 1) % STREAMS_MAX;
    next_number = 0;
    return result;
}

static int open_subscriber(const struct order *order)
{
    read_session = 0;
    held_count = 0;
    peer_enter(order);
    int result = weir_subscriber_open(&subscriber, "lane", &small_ring);
    peer_leave(order);
    return result;
}

/* One message, within wait_ns; polling when is_polling. */
static int send_one(const struct order *order, bool is_polling)
{
    struct stream *stream = &accounts->stream[own_stream];
    unsigned size_bytes = order->size_bytes ? order->size_bytes : words_size(next_number);
    int result;
    fill(payload[0], size_bytes, next_number);
    int64_t before_ns = weir_now_ns();
    int64_t deadline_ns = is_polling || order->wait_ns == 0 ? 0 : before_ns + order->wait_ns;
    peer_enter(order);
    stream->begun = next_number + 1;
    do
        result = weir_publisher_send_until(publisher, payload[0], size_bytes, next_number & 0xffff,
                                           deadline_ns);
    while (is_polling && result == -EAGAIN && weir_now_ns() < before_ns + order->wait_ns);
    if (result == 0)
        stream->committed = next_number + 1;
    peer_leave(order);
    if (result == 0)
        next_number++;
    else
        stream->begun = next_number;
    reply.count += result == 0;
    return peer_timed(order, before_ns, result);
}

static int send_many(const struct order *order)
{
    int result = 0;
    /* In turns: one that waits asleep, one that asks again and again. */
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = send_one(order, order->verb == FILL || (order->wait_ns == BOUND_NS && (i & 1)));
    return result;
}

static int loan(const struct order *order)
{
    void *data;
    loan_bytes = order->size_bytes;
    peer_enter(order);
    int result = weir_publisher_loan_until(publisher, loan_bytes, &data, 0);
    peer_leave(order);
    if (result == 0)
        fill(data, loan_bytes, next_number);
    return result;
}

static int commit(const struct order *order)
{
    struct stream *stream = &accounts->stream[own_stream];
    peer_enter(order);
    stream->begun = next_number + 1;
    int result = weir_publisher_commit(publisher, loan_bytes, next_number & 0xffff);
    stream->committed = next_number + 1;
    peer_leave(order);
    next_number++;
    return result;
}

static int batch(const struct order *order)
{
    struct stream *stream = &accounts->stream[own_stream];
    for (unsigned i = 0; i < order->count; i++)
        fill(payload[i], order->size_bytes, next_number + i);
    peer_enter(order);
    int result = weir_publisher_batch_begin(publisher);
    stream->begun = next_number + order->count;
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = weir_publisher_send_until(publisher, payload[i], order->size_bytes,
                                           (next_number + i) & 0xffff, 0);
    if (result == 0)
        result = weir_publisher_batch_end(publisher);
    stream->committed = next_number + order->count;
    peer_leave(order);
    next_number += order->count;
    return result;
}

static int send_burst(const struct order *order)
{
    struct stream *stream = &accounts->stream[own_stream];
    struct weir_outgoing messages[BATCH_MAX];
    for (unsigned i = 0; i < order->count; i++) {
        fill(payload[i], order->size_bytes, next_number + i);
        messages[i] =
            (struct weir_outgoing){ payload[i], order->size_bytes, (next_number + i) & 0xffff };
    }
    peer_enter(order);
    stream->begun = next_number + order->count;
    int result = weir_publisher_send_many_until(publisher, messages, order->count, 0);
    stream->committed = next_number + order->count;
    peer_leave(order);
    next_number += order->count;
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static unsigned part_of_loan(unsigned index)
{
    return index % 2 ? loan_bytes / 2 : loan_bytes;
}

static int loan_many(const struct order *order)
{
    void *places[BATCH_MAX];
    loan_bytes = order->size_bytes;
    int result = weir_publisher_loan_many_until(publisher, loan_bytes, places, order->count, 0);
    loan_count = result < 0 ? 0 : (unsigned)result;
    for (unsigned i = 0; i < loan_count; i++)
        fill(places[i], part_of_loan(i), next_number + i);
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static int commit_many(const struct order *order)
{
    struct stream *stream = &accounts->stream[own_stream];
    size_t sizes[BATCH_MAX];
    uint32_t types[BATCH_MAX];
    for (unsigned i = 0; i < loan_count; i++) {
        sizes[i] = part_of_loan(i);
        types[i] = (next_number + i) & 0xffff;
    }
    peer_enter(order);
    stream->begun = next_number + loan_count;
    int result = weir_publisher_commit_many(publisher, sizes, types, loan_count);
    stream->committed = next_number + loan_count;
    peer_leave(order);
    next_number += loan_count;
    return result;
}

static int wait_for(const struct order *order)
{
    int64_t before_ns = weir_now_ns(), deadline_ns = before_ns + order->wait_ns;
    peer_enter(order);
    int result = order->verb == WAIT_TAKEN
                     ? weir_publisher_wait_taken(publisher, deadline_ns)
                     : weir_publisher_wait_subscribers(publisher, 1, deadline_ns);
    peer_leave(order);
    return peer_timed(order, before_ns, result);
}

static int end(const struct order *order)
{
    peer_enter(order);
    accounts->stream[own_stream].ends = 1;
    int result = weir_publisher_end(publisher);
    peer_leave(order);
    return result;
}

static int close_it(const struct order *order)
{
    bool has_publisher = publisher != NULL;
    peer_enter(order);
    if (has_publisher)
        accounts->stream[own_stream].ends = 1;
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    peer_leave(order);
    publisher = NULL;
    subscriber = NULL;
    return 0;
}

/* What ends a stream. An end before its first message has no number. */
static void note_end(int result)
{
    if (read_session == 0)
        return;
    accounts->stream[read_stream].end = result;
    read_session = 0;
}

static int take_one(const struct order *order)
{
    struct weir_message message = { .size_bytes = 0 };
    int64_t before_ns = weir_now_ns();
    peer_enter(order);
    int result = weir_subscriber_take_until(subscriber, &message,
                                            order->wait_ns ? before_ns + order->wait_ns : 0);
    peer_leave(order);
    if (result == 0) {
        note(message.data, &message);
        held[held_count++] = message;
    }
    return peer_timed(order, before_ns, result);
}

static void release_at(const struct order *order, unsigned index)
{
    struct weir_message message = held[index];
    check_words(message.data, &message);
    peer_enter(order);
    int result = weir_subscriber_release(subscriber, &message);
    peer_leave(order);
    if (result != 0 && reply.result != BROKEN)
        peer_broken("release gives %u for a message that is held, number %u", (unsigned)-result,
                    (unsigned)message.sequence);
    memmove(held + index, held + index + 1, (--held_count - index) * sizeof held[0]);
}

static int take(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0 && reply.result != BROKEN; i++)
        result = take_one(order);
    return result;
}

static int release(const struct order *order)
{
    for (unsigned i = 0; i < order->count && held_count > 0 && reply.result != BROKEN; i++)
        release_at(order, order->size_bytes);
    return 0;
}

static int receive(const struct order *order)
{
    struct weir_message message;
    static uint64_t copy[MOST_BYTES / 8];
    int64_t before_ns = weir_now_ns();
    peer_enter(order);
    int result = weir_subscriber_receive_until(subscriber, copy, sizeof copy, &message,
                                               order->wait_ns ? before_ns + order->wait_ns : 0);
    peer_leave(order);
    if (result == 0)
        note(copy, &message);
    return peer_timed(order, before_ns, result);
}

static int take_many(const struct order *order)
{
    struct weir_message messages[BATCH_MAX];
    peer_enter(order);
    int result = weir_subscriber_take_many_until(subscriber, messages, order->count, 0);
    peer_leave(order);
    for (int i = 0; i < result; i++) {
        note(messages[i].data, &messages[i]);
        held[held_count++] = messages[i];
    }
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static int release_many(const struct order *order)
{
    struct weir_message *first = &held[order->size_bytes];
    for (unsigned i = 0; i < order->count; i++)
        check_words(first[i].data, &first[i]);
    peer_enter(order);
    int result = weir_subscriber_release_many(subscriber, first, order->count);
    peer_leave(order);
    held_count -= order->count;
    memmove(first, first + order->count, (held_count - order->size_bytes) * sizeof *first);
    return result;
}

static int receive_many(const struct order *order)
{
    struct weir_message messages[BATCH_MAX];
    peer_enter(order);
    int result = weir_subscriber_receive_many_until(subscriber, payload, sizeof payload, messages,
                                                    order->count, 0);
    peer_leave(order);
    for (int i = 0; i < result; i++)
        note(messages[i].data, &messages[i]);
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static bool is_end(int result)
{
    return result == -ENODATA || result == -EPIPE;
}

/* Copies and takes in turns. */
static int read_one(const struct order *order, unsigned turn)
{
    if (turn & 1)
        return receive(order);
    int result = take_one(order);
    if (result == 0)
        release_at(order, held_count - 1);
    return result;
}

static int read_messages(const struct order *order)
{
    unsigned found = 0, ends = 0;
    int result = 0;
    int64_t until_ns = weir_now_ns() + BOUND_NS;
    for (unsigned turn = 0; reply.result != BROKEN; turn++) {
        if (order->verb == READ && found == order->count)
            return 0;
        result = read_one(order, turn);
        if (result == 0) {
            found += read_stream == order->size_bytes;
            continue;
        }
        if (is_end(result))
            note_end(result);
        if (is_end(result) && order->verb == READ && ends++ < 4)
            continue;
        if (result == -EAGAIN && order->verb == READ_END && weir_now_ns() < until_ns)
            continue;
        break;
    }
    return result;
}

static int arm_descriptor(const struct order *order)
{
    peer_enter(order);
    int result = weir_subscriber_fd(subscriber);
    peer_leave(order);
    struct pollfd wait = { .fd = result, .events = POLLIN };
    return result < 0 ? result : poll(&wait, 1, 0) < 0 ? -errno : 0;
}

static int collect(const struct order *order)
{
    peer_enter(order);
    int result = weir_collect(0, NULL, NULL);
    peer_leave(order);
    return result < 0 ? result : 0;
}

act *const channel_acts[VERBS] = { CHANNEL_VERBS(VERB_ACT) };
