/* SPDX-License-Identifier: MIT */
/* One publisher, or several in one process that take turns, to one subscriber in another. */
#include "channels.h"

#include <stdio.h>
#include <string.h>

#include <weir/channel.h>
#include <weir/error.h>

enum { TURN = 16 };

static inline void need(int result)
{
    if (__builtin_expect(result != 0, 0))
        give_up("weir: %s", weir_last_error());
}

inline void many_send(struct many *many, struct weir_publisher *publisher, uint64_t which)
{
    size_t size = many->player->work.size_bytes;
    unsigned char *bytes = many->player->source;
    uint64_t number = many->sent[which]++;
    memcpy(bytes, &which, 8);
    memcpy(bytes + size - 8, &number, 8);
    need(weir_publisher_send(publisher, bytes, size));
}

static void send_all(void *state, uint64_t messages)
{
    struct many *many = state;
    for (uint64_t i = 0; i < messages; i++) {
        uint64_t which = i / TURN % many->count;
        many_send(many, many->publishers[which], which);
    }
}

void many_receive(struct many *many, uint64_t messages)
{
    size_t size = many->player->work.size_bytes;
    unsigned char *bytes = many->player->sink;
    for (uint64_t i = 0; i < messages; i++) {
        uint64_t which, number;
        need(weir_subscriber_receive_until(many->subscriber, bytes, size, NULL, WEIR_NEVER));
        memcpy(&which, bytes, 8);
        memcpy(&number, bytes + size - 8, 8);
        if (which >= many->count || number != many->received[which]++)
            give_up("%u publishers: a message is not the next one of its publisher", many->count);
    }
}

static void receive_all(void *state, uint64_t messages)
{
    many_receive(state, messages);
}

void many_subscribe(struct many *many, const char *name, uint32_t flags)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.flags = flags;
    need(weir_subscriber_open(&many->subscriber, name, &options));
}

static void *open_members(struct player *player, struct many *many, unsigned count,
                          const char *suffix)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char name[64];
    snprintf(name, sizeof name, "%s/%s", player->channel, suffix);
    *many = (struct many){ .player = player, .count = count };
    options.flags = WEIR_CHANNEL_SPIN_ONLY;
    options.ring_bytes = player->work.ring_bytes;
    for (unsigned i = 0; player->role == 0 && i < count; i++)
        need(weir_publisher_open(&many->publishers[i], name, &options));
    meet(player);
    if (player->role == 1)
        many_subscribe(many, name, WEIR_CHANNEL_SPIN_ONLY);
    meet(player);
    for (unsigned i = 0; player->role == 0 && i < count; i++)
        need(weir_publisher_wait_subscribers(many->publishers[i], 1, WEIR_NEVER));
    return many;
}

static void *open_one(struct player *player)
{
    static struct many many;
    return open_members(player, &many, 1, "one");
}

static void *open_many(struct player *player)
{
    static struct many many;
    return open_members(player, &many, player->work.publishers, "many");
}

static void close_many(void *state)
{
    struct many *many = state;
    meet(many->player);
    weir_subscriber_close(many->subscriber);
    for (unsigned i = 0; i < many->count; i++)
        weir_publisher_close(many->publishers[i]);
}

const struct transport transport_one = { .name = "1 publisher",
                                         .open = open_one,
                                         .send = send_all,
                                         .receive = receive_all,
                                         .close = close_many };

const struct transport transport_many = { .name = "publishers",
                                          .open = open_many,
                                          .send = send_all,
                                          .receive = receive_all,
                                          .close = close_many };
