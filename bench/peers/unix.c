/* SPDX-License-Identifier: MIT */
/* A stream socket of the Unix domain. */
#include "peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LANE_NAME "Unix stream socket"

struct lane {
    struct player *player;
    uint64_t sent, received;
    int fd;
};

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t result = send(lane->fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
        if (result < 0 && errno != EAGAIN)
            give_up("socket: cannot be written: %s", strerror(errno));
        done += result > 0 ? (size_t)result : 0;
    }
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t result = recv(lane->fd, (char *)data + done, size - done, 0);
        if (result == 0 || (result < 0 && errno != EAGAIN))
            give_up("socket: cannot be read: %s", strerror(errno));
        done += result > 0 ? (size_t)result : 0;
    }
}

#include "lane/copying.h"
#include "lane/loops.h"

/* In the abstract namespace: it has no file to be left behind. */
static socklen_t address_of(const struct player *player, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int length =
        snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", player->channel);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int must(int result, const char *what)
{
    if (result < 0)
        give_up("socket: %s: %s", what, strerror(errno));
    return result;
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    struct sockaddr_un address;
    socklen_t length = address_of(player, &address);
    int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    lane = (struct lane){ .player = player, .fd = fd };
    if (player->role == 0) {
        must(bind(fd, (struct sockaddr *)&address, length), "bind");
        must(listen(fd, 1), "listen");
        meet(player);
        lane.fd = must(accept(fd, NULL, NULL), "accept");
        close(fd);
    } else {
        meet(player);
        must(connect(fd, (struct sockaddr *)&address, length), "connect");
    }
    if (player->work.kind == ROUND_TRIP)
        must(fcntl(lane.fd, F_SETFL, O_NONBLOCK), "fcntl");
    return &lane;
}

static void close_lane(void *state)
{
    const struct lane *lane = state;
    close(lane->fd);
}

const struct transport transport_unix = {
    .name = LANE_NAME,
    .slowness = 32,
    .open = open_lane,
    LANE_CALLS,
};
