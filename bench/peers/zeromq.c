/* SPDX-License-Identifier: MIT */
/* ZeroMQ: a PAIR socket over ipc://. Its thread shares the core of the process that it serves. */
#include "peers.h"

#include <stdio.h>
#include <zmq.h>

#define LANE_NAME "ZeroMQ PAIR"

enum { QUEUE_MAX = 1000 }; /* messages, its default */

struct lane {
    struct player *player;
    uint64_t sent, received;
    void *context, *socket;
};

static void need(int is_good, const char *what)
{
    if (!is_good)
        give_up("zeromq: %s: %s", what, zmq_strerror(zmq_errno()));
}

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    need(zmq_send(lane->socket, data, size, 0) == (int)size, "send");
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    need(zmq_recv(lane->socket, data, size, 0) == (int)size, "recv");
}

#include "lane/copying.h"
#include "lane/loops.h"

/* No more memory than the ring has, where a message is large. */
static int queue_of(const struct work *work)
{
    uint64_t count = work->ring_bytes / work->size_bytes;
    return count < 2 ? 2 : count < QUEUE_MAX ? (int)count : QUEUE_MAX;
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    int messages = queue_of(&player->work), none = 0;
    char address[64]; /* in the abstract namespace */
    snprintf(address, sizeof address, "ipc://@weir/%s", player->channel);
    lane = (struct lane){ .player = player, .context = zmq_ctx_new() };
    lane.socket = zmq_socket(lane.context, ZMQ_PAIR);
    need(lane.socket != NULL, "socket");
    need(zmq_setsockopt(lane.socket, ZMQ_SNDHWM, &messages, sizeof messages) == 0 &&
             zmq_setsockopt(lane.socket, ZMQ_RCVHWM, &messages, sizeof messages) == 0 &&
             zmq_setsockopt(lane.socket, ZMQ_LINGER, &none, sizeof none) == 0,
         "setsockopt");
    if (player->role == 0)
        need(zmq_bind(lane.socket, address) == 0, "bind");
    meet(player);
    if (player->role == 1)
        need(zmq_connect(lane.socket, address) == 0, "connect");
    return &lane;
}

static void close_lane(void *state)
{
    const struct lane *lane = state;
    meet(lane->player);
    zmq_close(lane->socket);
    zmq_ctx_term(lane->context);
}

const struct transport transport_zeromq = {
    .name = LANE_NAME,
    .slowness = 32,
    .open = open_lane,
    LANE_CALLS,
};
