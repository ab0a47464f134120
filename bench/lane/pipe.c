/* SPDX-License-Identifier: MIT */
/* A pipe: round trips poll it awake, other traffic waits in the kernel. */
#include "lane.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LANE_NAME "pipe"

struct lane {
    struct player *player;
    uint64_t sent, received;
    int out, in;
};

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t result = write(lane->out, (const char *)data + done, size - done);
        if (result < 0 && errno != EAGAIN)
            give_up("pipe: cannot be written (%d)", errno);
        done += result > 0 ? (size_t)result : 0;
    }
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t result = read(lane->in, (char *)data + done, size - done);
        if (result == 0 || (result < 0 && errno != EAGAIN))
            give_up("pipe: cannot be read (%d)", errno);
        done += result > 0 ? (size_t)result : 0;
    }
}

#include "copying.h"
#include "loops.h"

static void *open_lane(struct player *player)
{
    static struct lane lane;
    const int *out = player->role == 0 ? player->pipe_there : player->pipe_back;
    const int *in = player->role == 0 ? player->pipe_back : player->pipe_there;
    lane = (struct lane){ .player = player, .out = out[1], .in = in[0] };
    fcntl(lane.out, F_SETPIPE_SZ, 1 << 20); /* where it is not allowed, the pipe is smaller */
    int flags = player->work.kind == ROUND_TRIP ? O_NONBLOCK : 0;
    if (fcntl(lane.out, F_SETFL, flags) != 0 || fcntl(lane.in, F_SETFL, flags) != 0)
        give_up("pipe: fcntl fails (%d)", errno);
    return &lane;
}

static void close_lane(void *state)
{
    (void)state;
}

const struct transport transport_pipe = {
    .name = LANE_NAME,
    .slowness = 16,
    .open = open_lane,
    LANE_CALLS,
};
