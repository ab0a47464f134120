/* SPDX-License-Identifier: MIT */
/* Boost.Interprocess: two message queues in POSIX shared memory, one there and one back. */
#include "peers.h"

#include <stdio.h>
#include <string.h>

#include "boost_queue.h"

#define LANE_NAME "Boost message_queue"

enum { QUEUE_MAX = 1024 }; /* messages */

struct lane {
    struct player *player;
    uint64_t sent, received;
    bool is_polled;
    void *out, *in;
};

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    int result;
    while ((result = boost_queue_send(lane->out, data, size, lane->is_polled)) != 0)
        if (result < 0)
            give_up("boost: cannot send");
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    int result;
    while ((result = boost_queue_receive(lane->in, data, size, lane->is_polled)) != 0)
        if (result < 0)
            give_up("boost: cannot receive");
}

#include "lane/copying.h"
#include "lane/loops.h"

/* As much memory as the ring has, in slots of one size. */
static size_t queue_of(const struct work *work)
{
    uint64_t count = work->ring_bytes / work->size_bytes;
    return count < 2 ? 2 : count < QUEUE_MAX ? (size_t)count : QUEUE_MAX;
}

/* The driver makes both; the names go once both have them open. */
static void *open_queue(const struct player *player, const char *way)
{
    char name[64];
    void *queue;
    snprintf(name, sizeof name, "weir-%s-%s", player->channel + strlen("bench/"), way);
    if (player->role == 0) {
        queue = boost_queue_create(name, queue_of(&player->work), player->work.size_bytes);
    } else {
        queue = boost_queue_open(name);
        boost_queue_remove(name);
    }
    if (!queue)
        give_up("boost: there is no queue");
    return queue;
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    bool is_driver = player->role == 0;
    if (!is_driver)
        meet(player);
    void *there = open_queue(player, "there"), *back = open_queue(player, "back");
    if (is_driver)
        meet(player);
    lane = (struct lane){ .player = player,
                          .is_polled = player->work.kind == ROUND_TRIP,
                          .out = is_driver ? there : back,
                          .in = is_driver ? back : there };
    return &lane;
}

static void close_lane(void *state)
{
    const struct lane *lane = state;
    boost_queue_close(lane->out);
    boost_queue_close(lane->in);
}

const struct transport transport_boost = {
    .name = LANE_NAME,
    .slowness = 16,
    .open = open_lane,
    LANE_CALLS,
};
