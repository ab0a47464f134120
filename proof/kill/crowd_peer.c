/* SPDX-License-Identifier: MIT */
/* What a member of two publishers and two subscribers does; it checks every message that it sees. */
#include "member.h"
#include "words.h"

#include <errno.h>

static const struct weir_channel_options two_and_two = { .size = sizeof two_and_two,
                                                         .flags = WEIR_CHANNEL_SLEEP_ONLY,
                                                         .ring_bytes = WEIR_RING_BYTES_MIN,
                                                         .publishers_max = 2,
                                                         .subscribers_max = 2 };

_Static_assert(CROWD_STREAMS == STREAMS_MAX, "each stream has its accounts");

static bool is_lossy;
static unsigned last_stream; /* of the message noted last */

static int be_sender(const struct order *order)
{
    struct weir_channel_options options = two_and_two;
    bool waits_for_nobody = order->size_bytes == WAITS_FOR_NOBODY;
    options.lag_max_bytes = waits_for_nobody ? 4096 : 0;
    if (waits_for_nobody)
        accounts->crowd.may_miss = true;
    return member_publish(order, "crowd", &options);
}

static int be_taker(const struct order *order)
{
    struct weir_channel_options options = two_and_two;
    is_lossy = order->size_bytes == LOSSY_ONE;
    options.delivery = is_lossy ? WEIR_DELIVERY_LOSSY : WEIR_DELIVERY_RELIABLE;
    options.start = order->size_bytes == FROM_OLDEST ? WEIR_START_OLDEST
                    : order->size_bytes == FROM_BACK ? WEIR_START_BACK
                                                     : WEIR_START_NOW;
    options.start_back = order->size_bytes == FROM_BACK ? BACK_MESSAGES : 0;
    return member_subscribe(order, "crowd", &options);
}

static int see_takers(const struct order *order)
{
    return weir_publisher_wait_subscribers(member.publisher, order->count,
                                           weir_deadline_ns(order->wait_ns));
}

static int post(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0; i++)
        result = member_send(order, false);
    return result;
}

/* Whole, and the one that follows what it had and what it is told that it missed. */
static void note(const uint64_t *words, const struct weir_message *message)
{
    struct crowd_state *crowd = &accounts->crowd;
    unsigned stream = (unsigned)(words[0] >> 32), number = (unsigned)words[0];
    unsigned missed = (unsigned)message->missed;
    if (!member_is_whole(words, message))
        return;
    if (number >= accounts->stream[stream].begun)
        return (void)peer_broken("message %u of type %u is not what it says", number,
                                 message->type);
    if (missed > (is_lossy || crowd->may_miss ? number : 0))
        return (void)peer_broken("message %u says that %u were missed", number, missed);
    struct crowd_seen *seen = &crowd->seen[peer_self][stream];
    if (seen->first == 0)
        seen->first = number - missed + 1;
    else if (seen->next + missed != number)
        return (void)peer_broken("message %u of stream %u, with %u missed, instead of %u", number,
                                 stream, missed, seen->next);
    seen->next = number + 1;
    atomic_fetch_add(&crowd->missed[peer_self], missed);
    last_stream = stream;
    reply.count++;
}

static int receive_one(const struct order *order)
{
    int result = member_receive(order, note);
    if (result == -EOVERFLOW)
        atomic_fetch_add(&accounts->crowd.evictions[peer_self], 1);
    return result;
}

static int fetch(const struct order *order)
{
    int result = 0;
    for (unsigned i = 0; i < order->count && result == 0 && reply.result != BROKEN; i++)
        result = order->verb == FETCH ? receive_one(order) : member_take(order, note);
    return result;
}

static int fetch_until(const struct order *order)
{
    const struct crowd_seen *seen = accounts->crowd.seen[peer_self];
    int result = 0;
    unsigned in_vain = 0;
    while (reply.result != BROKEN) {
        if (order->verb == FETCH_UP_TO && seen[order->size_bytes].next >= order->count)
            return 0;
        result = receive_one(order);
        if (result == 0 || result == -EOVERFLOW)
            in_vain = 0;
        else if (result != -EAGAIN ||
                 ++in_vain == 3) /* a look may be used up by who came or went */
            break;
    }
    return result == -EAGAIN && order->verb == FETCH_ALL ? 0 : result;
}

/* What was held is still what it was, unless its publisher has not waited. */
static int give_all_back(const struct order *order)
{
    for (unsigned i = 0; i < member.held_count; i++) {
        const uint64_t *words = member.held[i].data;
        unsigned last = (unsigned)member.held[i].size_bytes / 8 - 1;
        bool is_whole =
            (unsigned)words[0] == member.held[i].sequence &&
            words[last] == words_at((unsigned)(words[0] >> 32), (unsigned)words[0], last);
        if (!is_whole && weir_subscriber_check(member.subscriber, &member.held[i]) == 0)
            return peer_broken("message %u has changed while it was held",
                               (unsigned)member.held[i].sequence);
    }
    peer_enter(order);
    int result = weir_subscriber_release_many(member.subscriber, member.held, member.held_count);
    peer_leave(order);
    member.held_count = 0;
    return result;
}

act *const crowd_acts[VERBS] = { CROWD_VERBS(VERB_ACT) };
