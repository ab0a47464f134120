/* SPDX-License-Identifier: MIT */
/*
 * What one process measures by itself. Subscribers that are awake and do not read cost the
 * publisher what any awake subscriber costs it, a look at a line that does not change; so they
 * stand in the publisher's process, and take what there is between the runs, which each fill
 * less than a ring.
 */
#include "channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>

#include "lane/ticks.h"
#include "values.h"

enum { SUBSCRIBERS_MAX = WEIR_CHANNEL_MEMBERS_DEFAULT, BYTES = 64, RUNS = 8 };

/* Room for all messages of a run; it is in the cache. */
#define RING_BYTES (UINT64_C(256) << 10)
#define RUN_MAX (RING_BYTES / (BYTES + 8) / 2)

static struct weir_publisher *publisher;
static struct weir_subscriber *subscribers[SUBSCRIBERS_MAX];

static void need(int result)
{
    if (result != 0)
        give_up("weir: %s", weir_last_error());
}

static void enter(unsigned count)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char name[64];
    snprintf(name, sizeof name, "bench/alone-%d", (int)getpid());
    options.ring_bytes = RING_BYTES;
    need(weir_publisher_open(&publisher, name, &options));
    for (unsigned i = 0; i < count; i++)
        need(weir_subscriber_open(&subscribers[i], name, NULL));
    need(weir_publisher_wait_subscribers(publisher, count, WEIR_NEVER));
}

static void leave(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        weir_subscriber_close(subscribers[i]);
    weir_publisher_close(publisher);
}

static void drain(unsigned count, uint64_t messages)
{
    unsigned char bytes[BYTES];
    struct weir_message message;
    for (unsigned i = 0; i < count; i++)
        for (uint64_t j = 0; j < messages; j++)
            need(weir_subscriber_receive_until(subscribers[i], bytes, sizeof bytes, &message, 0));
}

/* ns a message, the best of some runs. */
static double cost(const struct alone *alone, unsigned count)
{
    uint64_t messages = alone->messages < RUN_MAX ? alone->messages : RUN_MAX;
    const unsigned char bytes[BYTES] = { 1 };
    double best = 1e9;
    enter(count);
    for (int run = 0; run < RUNS; run++) {
        uint64_t before = ticks();
        for (uint64_t i = 0; i < messages; i++)
            need(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, 0));
        double each = (double)(ticks() - before) / alone->ticks_per_ns / (double)messages;
        best = each < best ? each : best;
        drain(count, messages);
    }
    leave(count);
    return best;
}

void row_of_values(struct row *row, double *values, unsigned count)
{
    row->is_alone = true;
    row->pairs = row->rounds = count;
    row->value = values_median(values, count);
    row->lowest = values[0];
    row->highest = values[count - 1];
}

void measure_awake(const struct alone *alone, unsigned count, struct row *row)
{
    double values[ALONE_ROUNDS_MAX];
    for (unsigned i = 0; i < alone->rounds; i++) {
        double one = cost(alone, 1);
        values[i] = count == 1 ? one : (cost(alone, count) - one) / (count - 1);
    }
    row_of_values(row, values, alone->rounds);
}

void measure_cost(const struct alone *alone, unsigned count, struct row *row)
{
    double values[ALONE_ROUNDS_MAX];
    for (unsigned i = 0; i < alone->rounds; i++)
        values[i] = cost(alone, count);
    row_of_values(row, values, alone->rounds);
}

void measure_join(const struct alone *alone, unsigned others, struct row *row)
{
    enum { JOINS = 20 };
    double values[ALONE_ROUNDS_MAX];
    enter(others);
    for (unsigned i = 0; i < alone->rounds; i++) {
        char name[64];
        snprintf(name, sizeof name, "bench/alone-%d", (int)getpid());
        int64_t before_ns = weir_now_ns();
        for (int join = 0; join < JOINS; join++) {
            struct weir_subscriber *subscriber;
            need(weir_subscriber_open(&subscriber, name, NULL));
            weir_subscriber_close(subscriber);
        }
        values[i] = (double)(weir_now_ns() - before_ns) / JOINS / 1000;
    }
    leave(others);
    row_of_values(row, values, alone->rounds);
}
