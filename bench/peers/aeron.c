/* SPDX-License-Identifier: MIT */
/*
 * Aeron IPC: two streams, one there and one back, each with an exclusive publication. Its media
 * driver opens them, and moves the limit up to which a publisher may write.
 */
#include "peers.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <aeron_agent.h>
#include <aeronc.h>

#include "daemon.h"

#define LANE_NAME "Aeron IPC"
#define CHANNEL "aeron:ipc"

enum { FRAGMENTS = 10, STREAM_THERE = 1001, STREAM_BACK = 1002 }; /* as in its samples */

enum { DRIVER_TIMEOUT_MS = 600000 };

/* What one does that finds nothing to do. */
struct idling {
    aeron_idle_strategy_func_t idle;
    void *state;
};

struct lane {
    struct player *player;
    uint64_t sent, received, arrived;
    aeron_context_t *context;
    aeron_t *client;
    aeron_exclusive_publication_t *publication;
    aeron_subscription_t *subscription;
    aeron_fragment_assembler_t *assembler;
    struct idling sending, receiving;
};

static struct daemon driver;
static char directory[64], directory_option[80];

static void need(bool is_good, const char *what)
{
    if (!is_good)
        give_up("aeron: %s: %s", what, aeron_errmsg());
}

static void lane_put(struct lane *lane, const void *data, size_t size)
{
    bool has_idled = false;
    int64_t result;
    while ((result = aeron_exclusive_publication_offer(lane->publication, data, size, NULL, NULL)) <
           0) {
        need(result == AERON_PUBLICATION_BACK_PRESSURED || result == AERON_PUBLICATION_ADMIN_ACTION,
             "offer");
        lane->sending.idle(lane->sending.state, 0);
        has_idled = true;
    }
    if (has_idled)
        lane->sending.idle(lane->sending.state, 1);
}

/* Of two that talk in turn no more than one message is on its way: it is the one that arrives. */
static void lane_get(struct lane *lane, void *data, size_t size);

#include "lane/copying.h"
#include "lane/loops.h"

static void take(void *state, const uint8_t *data, size_t size, aeron_header_t *header)
{
    struct lane *lane = state;
    (void)header;
    if (size != lane->player->work.size_bytes)
        give_up("aeron: message %llu has %zu bytes", (unsigned long long)lane->arrived, size);
    memcpy(lane->player->sink, data, size);
    if (lane->player->work.kind == ONE_WAY)
        check_stamp(lane->player->sink, size, lane->arrived);
    lane->arrived++;
}

static void await(struct lane *lane, uint64_t arrived)
{
    while (lane->arrived < arrived) {
        int fragments = aeron_subscription_poll(
            lane->subscription, aeron_fragment_assembler_handler, lane->assembler, FRAGMENTS);
        need(fragments >= 0, "poll");
        lane->receiving.idle(lane->receiving.state, fragments);
    }
}

static void lane_get(struct lane *lane, void *data, size_t size)
{
    (void)data; /* the sink */
    (void)size;
    await(lane, lane->arrived + 1);
}

/* One poll hands on up to ten messages: take() copies each, and looks at it. */
static void receive_stream(void *state, uint64_t messages)
{
    struct lane *lane = state;
    await(lane, lane->arrived + messages);
    lane->received += messages;
}

/* Round trips spin, as in its samples. Who has to leave its core to others backs off: spins, yields,
 * and then sleeps for longer and longer, up to 1 ms. These are the driver's defaults. */
static struct idling make_idling(enum kind kind)
{
    struct idling idling = { .idle = aeron_idle_strategy_busy_spinning_idle };
    if (kind == ROUND_TRIP)
        return idling;
    idling.idle = aeron_idle_strategy_backoff_idle;
    need(aeron_idle_strategy_backoff_state_init(
             &idling.state, AERON_IDLE_STRATEGY_BACKOFF_MAX_SPINS,
             AERON_IDLE_STRATEGY_BACKOFF_MAX_YIELDS, AERON_IDLE_STRATEGY_BACKOFF_MIN_PARK_PERIOD_NS,
             AERON_IDLE_STRATEGY_BACKOFF_MAX_PARK_PERIOD_NS) == 0,
         "idle strategy");
    return idling;
}

static void publish(struct lane *lane, int32_t stream)
{
    aeron_async_add_exclusive_publication_t *asked;
    int result;
    need(aeron_async_add_exclusive_publication(&asked, lane->client, CHANNEL, stream) == 0,
         "publication");
    while ((result = aeron_async_add_exclusive_publication_poll(&lane->publication, asked)) == 0)
        sched_yield();
    need(result > 0, "publication");
}

static void subscribe(struct lane *lane, int32_t stream)
{
    aeron_async_add_subscription_t *asked;
    int result;
    need(aeron_async_add_subscription(&asked, lane->client, CHANNEL, stream, NULL, NULL, NULL,
                                      NULL) == 0,
         "subscription");
    while ((result = aeron_async_add_subscription_poll(&lane->subscription, asked)) == 0)
        sched_yield();
    need(result > 0, "subscription");
}

static void wake_driver(void *state)
{
    (void)state;
    kill(driver.pid, SIGCONT);
}

static void rest_driver(void *state)
{
    (void)state;
    kill(driver.pid, SIGSTOP);
}

/* What it writes into is in memory before the first message, as weir's rings are. */
static void *open_lane(struct player *player)
{
    static struct lane lane;
    bool is_driver = player->role == 0;
    lane = (struct lane){ .player = player,
                          .sending = make_idling(player->work.kind),
                          .receiving = make_idling(player->work.kind) };
    if (is_driver)
        wake_driver(&lane);
    meet(player);
    need(aeron_context_init(&lane.context) == 0 &&
             aeron_context_set_dir(lane.context, directory) == 0 &&
             aeron_context_set_driver_timeout_ms(lane.context, DRIVER_TIMEOUT_MS) == 0 &&
             aeron_context_set_pre_touch_mapped_memory(lane.context, true) == 0 &&
             aeron_init(&lane.client, lane.context) == 0 && aeron_start(lane.client) == 0 &&
             aeron_fragment_assembler_create(&lane.assembler, take, &lane) == 0,
         "client");
    publish(&lane, is_driver ? STREAM_THERE : STREAM_BACK);
    subscribe(&lane, is_driver ? STREAM_BACK : STREAM_THERE);
    while (!aeron_exclusive_publication_is_connected(lane.publication) ||
           aeron_subscription_image_count(lane.subscription) != 1)
        sched_yield();
    meet(player);
    if (is_driver)
        rest_driver(&lane);
    return &lane;
}

static void close_lane(void *state)
{
    struct lane *lane = state;
    if (lane->player->role == 0)
        wake_driver(lane);
    meet(lane->player);
    aeron_exclusive_publication_close(lane->publication, NULL, NULL);
    aeron_subscription_close(lane->subscription, NULL, NULL);
    aeron_close(lane->client);
    aeron_context_close(lane->context);
    aeron_fragment_assembler_delete(lane->assembler);
    meet(lane->player);
}

/*
 * One thread, as for who has no network, that idles as it does by default. What is closed it gives
 * back at once: each stream takes 192 MiB. Who rests for long is not taken for dead.
 */
bool peers_aeron_start(void)
{
    static char path[] = WEIR_AERON_DRIVER, mode[] = "-Daeron.threading.mode=SHARED",
                clean[] = "-Daeron.dir.delete.on.shutdown=true",
                linger[] = "-Daeron.publication.linger.timeout=100ms",
                alive[] = "-Daeron.client.liveness.timeout=600s",
                unblock[] = "-Daeron.publication.unblock.timeout=900s";
    char *const arguments[] = { path, mode, clean, linger, alive, unblock, directory_option, NULL };
    char file[80];
    snprintf(directory, sizeof directory, "/dev/shm/weir-peers-%d", (int)getpid());
    snprintf(directory_option, sizeof directory_option, "-Daeron.dir=%s", directory);
    snprintf(file, sizeof file, "%s/cnc.dat", directory);
    return daemon_start(
        &driver,
        &(struct daemon_plan){ .arguments = arguments, .end_signal = SIGINT, .ready_file = file });
}

void peers_aeron_end(void)
{
    daemon_end(&driver);
}

const struct transport transport_aeron = {
    .name = LANE_NAME,
    .open = open_lane,
    .send = run_send,
    .receive = receive_stream,
    .ping = run_ping,
    .pong = run_pong,
    .close = close_lane,
    .wake = wake_driver,
    .rest = rest_driver,
};
