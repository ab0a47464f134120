/* SPDX-License-Identifier: MIT */
/* What a peer does with a channel; it checks every message that it sees. */
#include "member.h"
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

static unsigned read_stream;
static uint32_t read_session; /* of the messages read; 0: none yet */
static unsigned loan_bytes, loan_count;
static uint64_t payload[BATCH_MAX][MOST_BYTES / 8];

static void fill(uint64_t *words, unsigned size_bytes, unsigned number)
{
    words_fill(words, size_bytes, member.stream, number);
}

/* Whole, of one publisher, and just the one that follows. */
static void note(const uint64_t *words, const struct weir_message *message)
{
    if (!member_is_whole(words, message))
        return;
    unsigned stream = (unsigned)(words[0] >> 32);
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
    return member_publish(order, "lane", &small_ring);
}

static int open_subscriber(const struct order *order)
{
    read_session = 0;
    return member_subscribe(order, "lane", &small_ring);
}

static int send_many(const struct order *order)
{
    int result = 0;
    /* In turns: one that waits asleep, one that asks again and again. */
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = member_send(order, order->verb == FILL || (order->wait_ns == BOUND_NS && (i & 1)));
    return result;
}

static int loan(const struct order *order)
{
    void *data;
    loan_bytes = order->size_bytes;
    peer_enter(order);
    int result = weir_publisher_loan_until(member.publisher, loan_bytes, &data, 0);
    peer_leave(order);
    if (result == 0)
        fill(data, loan_bytes, member.next_number);
    return result;
}

static int commit(const struct order *order)
{
    struct stream *stream = &accounts->stream[member.stream];
    peer_enter(order);
    stream->begun = member.next_number + 1;
    int result = weir_publisher_commit(member.publisher, loan_bytes, member.next_number & 0xffff);
    stream->committed = member.next_number + 1;
    peer_leave(order);
    member.next_number++;
    return result;
}

static int batch(const struct order *order)
{
    struct stream *stream = &accounts->stream[member.stream];
    for (unsigned i = 0; i < order->count; i++)
        fill(payload[i], order->size_bytes, member.next_number + i);
    peer_enter(order);
    int result = weir_publisher_batch_begin(member.publisher);
    stream->begun = member.next_number + order->count;
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = weir_publisher_send_until(member.publisher, payload[i], order->size_bytes,
                                           (member.next_number + i) & 0xffff, 0);
    if (result == 0)
        result = weir_publisher_batch_end(member.publisher);
    stream->committed = member.next_number + order->count;
    peer_leave(order);
    member.next_number += order->count;
    return result;
}

static int send_burst(const struct order *order)
{
    struct stream *stream = &accounts->stream[member.stream];
    struct weir_outgoing messages[BATCH_MAX];
    for (unsigned i = 0; i < order->count; i++) {
        fill(payload[i], order->size_bytes, member.next_number + i);
        messages[i] = (struct weir_outgoing){ payload[i], order->size_bytes,
                                              (member.next_number + i) & 0xffff };
    }
    peer_enter(order);
    stream->begun = member.next_number + order->count;
    int result = weir_publisher_send_many_until(member.publisher, messages, order->count, 0);
    stream->committed = member.next_number + order->count;
    peer_leave(order);
    member.next_number += order->count;
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
    int result =
        weir_publisher_loan_many_until(member.publisher, loan_bytes, places, order->count, 0);
    loan_count = result < 0 ? 0 : (unsigned)result;
    for (unsigned i = 0; i < loan_count; i++)
        fill(places[i], part_of_loan(i), member.next_number + i);
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static int commit_many(const struct order *order)
{
    struct stream *stream = &accounts->stream[member.stream];
    size_t sizes[BATCH_MAX];
    uint32_t types[BATCH_MAX];
    for (unsigned i = 0; i < loan_count; i++) {
        sizes[i] = part_of_loan(i);
        types[i] = (member.next_number + i) & 0xffff;
    }
    peer_enter(order);
    stream->begun = member.next_number + loan_count;
    int result = weir_publisher_commit_many(member.publisher, sizes, types, loan_count);
    stream->committed = member.next_number + loan_count;
    peer_leave(order);
    member.next_number += loan_count;
    return result;
}

static int wait_for(const struct order *order)
{
    int64_t before_ns = weir_now_ns(), deadline_ns = before_ns + order->wait_ns;
    peer_enter(order);
    int result = order->verb == WAIT_TAKEN
                     ? weir_publisher_wait_taken(member.publisher, deadline_ns)
                     : weir_publisher_wait_subscribers(member.publisher, 1, deadline_ns);
    peer_leave(order);
    return peer_timed(order, before_ns, result);
}

/* What ends a stream. An end before its first message has no number. */
static void note_end(int result)
{
    if (read_session == 0)
        return;
    accounts->stream[read_stream].end = result;
    read_session = 0;
}

static void release_at(const struct order *order, unsigned index)
{
    struct weir_message message = member.held[index];
    member_is_whole(message.data, &message);
    peer_enter(order);
    int result = weir_subscriber_release(member.subscriber, &message);
    peer_leave(order);
    if (result != 0 && reply.result != BROKEN)
        peer_broken("release gives %u for a message that is held, number %u", (unsigned)-result,
                    (unsigned)message.sequence);
    memmove(member.held + index, member.held + index + 1,
            (--member.held_count - index) * sizeof member.held[0]);
}

static int take(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0 && reply.result != BROKEN; i++)
        result = member_take(order, note);
    return result;
}

static int release(const struct order *order)
{
    for (unsigned i = 0; i < order->count && member.held_count > 0 && reply.result != BROKEN; i++)
        release_at(order, order->size_bytes);
    return 0;
}

static int receive(const struct order *order)
{
    return member_receive(order, note);
}

static int take_many(const struct order *order)
{
    struct weir_message messages[BATCH_MAX];
    peer_enter(order);
    int result = weir_subscriber_take_many_until(member.subscriber, messages, order->count, 0);
    peer_leave(order);
    for (int i = 0; i < result; i++) {
        note(messages[i].data, &messages[i]);
        member.held[member.held_count++] = messages[i];
    }
    return result == (int)order->count ? 0 : result < 0 ? result : -EAGAIN;
}

static int release_many(const struct order *order)
{
    struct weir_message *first = &member.held[order->size_bytes];
    for (unsigned i = 0; i < order->count; i++)
        member_is_whole(first[i].data, &first[i]);
    peer_enter(order);
    int result = weir_subscriber_release_many(member.subscriber, first, order->count);
    peer_leave(order);
    member.held_count -= order->count;
    memmove(first, first + order->count, (member.held_count - order->size_bytes) * sizeof *first);
    return result;
}

static int receive_many(const struct order *order)
{
    struct weir_message messages[BATCH_MAX];
    peer_enter(order);
    int result = weir_subscriber_receive_many_until(member.subscriber, payload, sizeof payload,
                                                    messages, order->count, 0);
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
    int result = member_take(order, note);
    if (result == 0)
        release_at(order, member.held_count - 1);
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
    int result = weir_subscriber_fd(member.subscriber);
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
