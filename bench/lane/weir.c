/* SPDX-License-Identifier: MIT */
/* weir, as anybody uses it: its public calls alone. */
#include "lane.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>

#ifndef LANE_NAME /* bench/against compiles this file again, for another library */
#define LANE_NAME "weir"
#endif
#define LANE_HAS_MANY

struct lane {
    struct player *player;
    uint64_t sent, received;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct weir_message message;

    /* Of a batch. */
    unsigned burst; /* messages that are copied at once */
    struct weir_outgoing outgoing[BATCH];
    void *places[BATCH];
    struct weir_message messages[BATCH];
};

static inline void need(int result)
{
    if (__builtin_expect(result != 0, 0))
        give_up("weir: %s", weir_last_error());
}

static inline void lane_put(struct lane *lane, const void *data, size_t size)
{
    need(weir_publisher_send(lane->publisher, data, size));
}

static inline void *lane_loan(struct lane *lane, size_t size)
{
    void *data;
    need(weir_publisher_loan_until(lane->publisher, size, &data, WEIR_NEVER));
    return data;
}

static inline void lane_commit(struct lane *lane, size_t size)
{
    need(weir_publisher_commit(lane->publisher, size, 0));
}

static inline void lane_get(struct lane *lane, void *data, size_t size)
{
    need(weir_subscriber_receive_until(lane->subscriber, data, size, NULL, WEIR_NEVER));
}

static inline const void *lane_take(struct lane *lane, size_t *size)
{
    need(weir_subscriber_take(lane->subscriber, &lane->message));
    *size = lane->message.size_bytes;
    return lane->message.data;
}

static inline void lane_release(struct lane *lane)
{
    need(weir_subscriber_release(lane->subscriber, &lane->message));
}

static inline void lane_begin(struct lane *lane)
{
    need(weir_publisher_batch_begin(lane->publisher));
}

static inline void lane_end(struct lane *lane)
{
    need(weir_publisher_batch_end(lane->publisher));
}

/* How many, of a call that gives that. */
static inline unsigned need_some(int result)
{
    if (__builtin_expect(result <= 0, 0))
        give_up("weir: %s", weir_last_error());
    return (unsigned)result;
}

static inline void lane_put_many(struct lane *lane, unsigned count)
{
    if (weir_publisher_send_many_until(lane->publisher, lane->outgoing, count, WEIR_NEVER) !=
        (int)count)
        give_up("weir: %s", weir_last_error());
}

static inline unsigned lane_loan_many(struct lane *lane, size_t size, unsigned count)
{
    return need_some(
        weir_publisher_loan_many_until(lane->publisher, size, lane->places, count, WEIR_NEVER));
}

static inline void *lane_place(struct lane *lane, unsigned index)
{
    return lane->places[index];
}

static inline void lane_commit_many(struct lane *lane, unsigned count)
{
    need(weir_publisher_commit_many(lane->publisher, NULL, NULL, count));
}

static inline unsigned lane_get_many(struct lane *lane, unsigned most)
{
    return need_some(weir_subscriber_receive_many_until(lane->subscriber, lane->player->sink,
                                                        lane->burst * lane->player->work.size_bytes,
                                                        lane->messages, most, WEIR_NEVER));
}

static inline unsigned lane_take_many(struct lane *lane, unsigned most)
{
    return need_some(
        weir_subscriber_take_many_until(lane->subscriber, lane->messages, most, WEIR_NEVER));
}

static inline const void *lane_found(const struct lane *lane, unsigned index, size_t *size)
{
    *size = lane->messages[index].size_bytes;
    return lane->messages[index].data;
}

static inline void lane_release_many(struct lane *lane, unsigned count)
{
    need(weir_subscriber_release_many(lane->subscriber, lane->messages, count));
}

#include "loops.h"

static void *open_lane(struct player *player)
{
    static _Alignas(64) struct lane lane; /* which entries straddle a line is not left to chance */
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char there[64], back[64];
    snprintf(there, sizeof there, "%s/there-" LANE_NAME, player->channel);
    snprintf(back, sizeof back, "%s/back-" LANE_NAME, player->channel);
    options.ring_bytes = player->work.ring_bytes;
    if (player->work.kind == ASLEEP)
        options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    else if (!player->is_default_wait)
        options.flags = WEIR_CHANNEL_SPIN_ONLY;
    lane = (struct lane){ .player = player, .burst = burst_of(player->work.size_bytes) };
    for (unsigned i = 0; i < lane.burst; i++)
        lane.outgoing[i] = (struct weir_outgoing){
            .data = player->source + i * player->work.size_bytes,
            .size_bytes = player->work.size_bytes,
        };
    bool is_driver = player->role == 0;
    need(weir_publisher_open(&lane.publisher, is_driver ? there : back, &options));
    meet(player); /* a subscriber that opens now is attached by its open */
    need(weir_subscriber_open(&lane.subscriber, is_driver ? back : there, &options));
    meet(player);
    need(weir_publisher_wait_subscribers(lane.publisher, 1, WEIR_NEVER));
    return &lane;
}

static void close_lane(void *state)
{
    struct lane *lane = state;
    meet(lane->player);
    weir_subscriber_close(lane->subscriber);
    weir_publisher_close(lane->publisher);
}

const struct transport transport_weir = {
    .name = LANE_NAME,
    .open = open_lane,
    LANE_CALLS,
};
