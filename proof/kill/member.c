/* SPDX-License-Identifier: MIT */
#include "member.h"

#include <errno.h>

#include "words.h"

struct member member;

int member_publish(const struct order *order, const char *channel,
                   const struct weir_channel_options *options)
{
    peer_enter(order);
    int result = weir_publisher_open(&member.publisher, channel, options);
    peer_leave(order);
    member.stream = reply.stream = atomic_fetch_add(&accounts->streams, 1) % STREAMS_MAX;
    member.next_number = 0;
    return result;
}

int member_subscribe(const struct order *order, const char *channel,
                     const struct weir_channel_options *options)
{
    member.held_count = 0;
    peer_enter(order);
    int result = weir_subscriber_open(&member.subscriber, channel, options);
    peer_leave(order);
    return result;
}

int member_send(const struct order *order, bool is_polling)
{
    static uint64_t words[MOST_BYTES / 8];
    struct stream *stream = &accounts->stream[member.stream];
    unsigned number = member.next_number;
    unsigned size_bytes = order->size_bytes ? order->size_bytes : words_size(number);
    int result;
    words_fill(words, size_bytes, member.stream, number);
    int64_t before_ns = weir_now_ns();
    int64_t deadline_ns = is_polling ? 0 : peer_deadline(order, before_ns);
    peer_enter(order);
    stream->begun = number + 1;
    do
        result = weir_publisher_send_until(member.publisher, words, size_bytes, number & 0xffff,
                                           deadline_ns);
    while (is_polling && result == -EAGAIN && weir_now_ns() < before_ns + order->wait_ns);
    if (result == 0)
        stream->committed = number + 1;
    peer_leave(order);
    if (result == 0)
        member.next_number++;
    else
        stream->begun = number;
    reply.count += result == 0;
    return peer_timed(order, before_ns, result);
}

bool member_is_whole(const uint64_t *words, const struct weir_message *message)
{
    unsigned stream = (unsigned)(words[0] >> 32), number = (unsigned)words[0];
    if (message->size_bytes < LEAST_BYTES || message->size_bytes > MOST_BYTES ||
        stream >= STREAMS_MAX || number != message->sequence ||
        message->type != (number & 0xffff)) {
        peer_broken("message %u of type %u is not what it says", (unsigned)message->sequence,
                    message->type);
        return false;
    }
    for (unsigned i = 0; i < message->size_bytes / 8; i++)
        if (words[i] != words_at(stream, number, i)) {
            peer_broken("message %u is torn at word %u", number, i);
            return false;
        }
    return true;
}

int member_receive(const struct order *order, member_note *note)
{
    static uint64_t copy[MOST_BYTES / 8];
    struct weir_message message;
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result =
        weir_subscriber_receive_until(member.subscriber, copy, sizeof copy, &message, deadline_ns);
    peer_leave(order);
    if (result == 0)
        note(copy, &message);
    return peer_timed(order, before_ns, result);
}

int member_take(const struct order *order, member_note *note)
{
    struct weir_message message = { .size_bytes = 0 };
    int64_t before_ns = weir_now_ns(), deadline_ns = peer_deadline(order, before_ns);
    peer_enter(order);
    int result = weir_subscriber_take_until(member.subscriber, &message, deadline_ns);
    peer_leave(order);
    if (result == 0) {
        note(message.data, &message);
        member.held[member.held_count++] = message;
    }
    return peer_timed(order, before_ns, result);
}

int member_end(const struct order *order)
{
    peer_enter(order);
    accounts->stream[member.stream].ends = 1;
    int result = weir_publisher_end(member.publisher);
    peer_leave(order);
    return result;
}

int member_close(const struct order *order)
{
    peer_enter(order);
    if (member.publisher)
        accounts->stream[member.stream].ends = 1;
    weir_publisher_close(member.publisher);
    weir_subscriber_close(member.subscriber);
    peer_leave(order);
    member.publisher = NULL;
    member.subscriber = NULL;
    return 0;
}
