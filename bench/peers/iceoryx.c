/* SPDX-License-Identifier: MIT */
/*
 * iceoryx, the one in C++, by its C binding: a publisher and a subscriber in each process. A chunk
 * is loaned from a pool of RouDi's, filled and published; taken, copied and released. Round trips
 * poll; others wait in a wait set for what has not come. No message is lost: a publisher whose
 * subscriber's queue is full waits, which it does by sched_yield().
 */
#include "peers.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>
#include <iceoryx_binding_c/wait_set.h>

#include "daemon.h"

#define LANE_NAME "iceoryx"

enum { QUEUE_MAX = 256 }; /* chunks: the default, and the most */

struct lane {
    struct player *player;
    uint64_t sent, received;
    iox_pub_t publisher;
    iox_sub_t subscriber;
    iox_ws_t wait_set; /* NULL: it polls */
    iox_pub_storage_t publisher_storage;
    iox_sub_storage_t subscriber_storage;
    iox_ws_storage_t wait_set_storage;
};

static struct daemon roudi;

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    void *chunk;
    enum iox_AllocationResult result = iox_pub_loan_chunk(lane->publisher, &chunk, (uint32_t)size);
    if (result != AllocationResult_SUCCESS)
        give_up("iceoryx: no chunk (%d)", (int)result);
    memcpy(chunk, data, size);
    iox_pub_publish_chunk(lane->publisher, chunk);
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    const void *chunk;
    enum iox_ChunkReceiveResult result;
    while ((result = iox_sub_take_chunk(lane->subscriber, &chunk)) != ChunkReceiveResult_SUCCESS) {
        iox_notification_info_t info;
        uint64_t missed;
        if (result != ChunkReceiveResult_NO_CHUNK_AVAILABLE)
            give_up("iceoryx: no message (%d)", (int)result);
        if (lane->wait_set)
            iox_ws_wait(lane->wait_set, &info, 1, &missed);
    }
    memcpy(data, chunk, size);
    iox_sub_release_chunk(lane->subscriber, chunk);
}

#include "lane/copying.h"
#include "lane/loops.h"

/* No more messages than the ring has, where they are large: so many have room in RouDi's pools. */
static uint64_t queue_of(const struct work *work)
{
    uint64_t count = work->ring_bytes / work->size_bytes;
    return count < 2 ? 2 : count < QUEUE_MAX ? count : QUEUE_MAX;
}

static void open_ports(struct lane *lane, const char *out, const char *in)
{
    const struct player *player = lane->player;
    iox_pub_options_t publishing;
    iox_sub_options_t subscribing;
    iox_pub_options_init(&publishing);
    iox_sub_options_init(&subscribing);
    publishing.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
    subscribing.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
    subscribing.queueCapacity = queue_of(&player->work);
    lane->publisher =
        iox_pub_init(&lane->publisher_storage, "weir", player->channel, out, &publishing);
    lane->subscriber =
        iox_sub_init(&lane->subscriber_storage, "weir", player->channel, in, &subscribing);
    if (player->work.kind == ROUND_TRIP)
        return;
    lane->wait_set = iox_ws_init(&lane->wait_set_storage);
    if (iox_ws_attach_subscriber_state(lane->wait_set, lane->subscriber, SubscriberState_HAS_DATA,
                                       0, NULL) != WaitSetResult_SUCCESS)
        give_up("iceoryx: the subscriber does not go into the wait set");
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    char name[64];
    bool is_driver = player->role == 0;
    lane = (struct lane){ .player = player };
    /* Always the same: what a killed one has left in /tmp the next one clears away. */
    snprintf(name, sizeof name, "weir-peers-%u", player->role);
    iox_set_loglevel(Iceoryx_LogLevel_Error);
    iox_runtime_init(name);
    open_ports(&lane, is_driver ? "there" : "back", is_driver ? "back" : "there");
    while (iox_sub_get_subscription_state(lane.subscriber) != SubscribeState_SUBSCRIBED ||
           !iox_pub_has_subscribers(lane.publisher))
        sched_yield();
    meet(player);
    return &lane;
}

static void close_lane(void *state)
{
    struct lane *lane = state;
    meet(lane->player);
    if (iox_sub_has_lost_chunks(lane->subscriber))
        give_up("iceoryx: messages were lost");
    if (lane->wait_set)
        iox_ws_deinit(lane->wait_set);
    iox_sub_deinit(lane->subscriber);
    iox_pub_deinit(lane->publisher);
}

/*
 * RouDi wakes ten times a second, and no message goes through it: it needs no rest. That it lets go
 * of who is silent for 1.5 s is turned off: a machine with much to do would end the measurement.
 */
bool peers_iceoryx_start(void)
{
    static char path[] = WEIR_ICEORYX_ROUDI, monitoring[] = "--monitoring-mode=off";
    char *const arguments[] = { path, monitoring, NULL };
    return daemon_start(&roudi, &(struct daemon_plan){ .arguments = arguments,
                                                       .end_signal = SIGTERM,
                                                       .ready_text = "RouDi is ready" });
}

void peers_iceoryx_end(void)
{
    daemon_end(&roudi);
}

const struct transport transport_iceoryx = {
    .name = LANE_NAME,
    .slowness = 8,
    .open = open_lane,
    LANE_CALLS,
};
