/* SPDX-License-Identifier: MIT */
/* Two POSIX message queues: mq_open(3), one there and one back. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>

#define LANE_NAME "POSIX messages"

enum { MESSAGES = 10 }; /* what /proc/sys/fs/mqueue/msg_max allows anybody, by default */

struct lane {
    struct player *player;
    uint64_t sent, received;
    mqd_t out, in;
};

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    while (mq_send(lane->out, data, size, 0) != 0)
        if (errno != EAGAIN)
            give_up("mq_send: %s", strerror(errno));
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    while (mq_receive(lane->in, data, size, NULL) < 0)
        if (errno != EAGAIN)
            give_up("mq_receive: %s", strerror(errno));
}

#include "lane/copying.h"
#include "lane/loops.h"

uint64_t peers_posix_message_most(void)
{
    unsigned long long most = 0;
    FILE *file = fopen("/proc/sys/fs/mqueue/msgsize_max", "re");
    if (file && fscanf(file, "%llu", &most) != 1)
        most = 0;
    if (file)
        fclose(file);
    return most;
}

/* The driver makes both, and removes the names once both have them open. */
static mqd_t open_queue(const struct player *player, const char *way)
{
    struct mq_attr attributes = { .mq_maxmsg = MESSAGES,
                                  .mq_msgsize = (long)player->work.size_bytes };
    int flags = O_RDWR | O_CLOEXEC | (player->role == 0 ? O_CREAT | O_EXCL : 0) |
                (player->work.kind == ROUND_TRIP ? O_NONBLOCK : 0);
    char name[64];
    snprintf(name, sizeof name, "/weir-%s-%s", player->channel + strlen("bench/"), way);
    mqd_t queue = mq_open(name, flags, 0600, &attributes);
    if (queue < 0)
        give_up("mq_open: %s", strerror(errno));
    if (player->role == 1)
        mq_unlink(name);
    return queue;
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    if (player->role == 1)
        meet(player);
    mqd_t there = open_queue(player, "there"), back = open_queue(player, "back");
    if (player->role == 0)
        meet(player);
    bool is_driver = player->role == 0;
    lane = (struct lane){ .player = player,
                          .out = is_driver ? there : back,
                          .in = is_driver ? back : there };
    return &lane;
}

static void close_lane(void *state)
{
    const struct lane *lane = state;
    mq_close(lane->out);
    mq_close(lane->in);
}

const struct transport transport_posix_messages = {
    .name = LANE_NAME,
    .slowness = 32,
    .open = open_lane,
    LANE_CALLS,
};
