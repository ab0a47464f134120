/* SPDX-License-Identifier: MIT */
/* A System V message queue: msgget(2), msgsnd(2), msgrcv(2). */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#define LANE_NAME "System V messages"

enum { THERE = 1, BACK = 2 };

struct lane {
    struct player *player;
    uint64_t sent, received;
    int id, flags;
    long out, in; /* the types of what goes and comes */
    struct {
        long type;
        char bytes[];
    } * message;
};

static int queue = -1; /* of the driver, who removes it */

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    lane->message->type = lane->out;
    memcpy(lane->message->bytes, data, size);
    while (msgsnd(lane->id, lane->message, size, lane->flags) != 0)
        if (errno != EAGAIN)
            give_up("msgsnd: %s", strerror(errno));
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    ssize_t result;
    while ((result = msgrcv(lane->id, lane->message, size, lane->in, lane->flags)) < 0)
        if (errno != ENOMSG)
            give_up("msgrcv: %s", strerror(errno));
    memcpy(data, lane->message->bytes, (size_t)result);
}

#include "lane/copying.h"
#include "lane/loops.h"

uint64_t peers_sysv_message_most(void)
{
    struct msginfo info;
    return msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&info) >= 0 ? (uint64_t)info.msgmax : 0;
}

static void remove_queue(void)
{
    if (queue >= 0)
        msgctl(queue, IPC_RMID, NULL);
    queue = -1;
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    bool is_driver = player->role == 0;
    if (is_driver) {
        queue = msgget(IPC_PRIVATE, 0600);
        if (queue < 0)
            give_up("msgget: %s", strerror(errno));
        atexit(remove_queue);
        player->board->ids[0] = queue;
    }
    meet(player);
    lane = (struct lane){ .player = player,
                          .id = player->board->ids[0],
                          .flags = player->work.kind == ROUND_TRIP ? IPC_NOWAIT : 0,
                          .out = is_driver ? THERE : BACK,
                          .in = is_driver ? BACK : THERE,
                          .message = malloc(sizeof *lane.message + player->work.size_bytes) };
    if (!lane.message)
        give_up("no memory for a message");
    return &lane;
}

static void close_lane(void *state)
{
    const struct lane *lane = state;
    meet(lane->player);
    remove_queue();
    free(lane->message);
}

const struct transport transport_sysv_messages = {
    .name = LANE_NAME,
    .slowness = 32,
    .open = open_lane,
    LANE_CALLS,
};
