/* SPDX-License-Identifier: MIT */
/*
 * market_feed READERS QUOTES HZ - prices, so many a second, to all who keep up
 *
 * It waits until so many READERS are there. While the ring has room it waits for nobody; once a
 * reader holds it up and is LAG_MAX_BYTES behind, it is evicted: the feed goes on, and the reader
 * is told. So one slow reader does not slow the market down for the others, and none is left to
 * believe that it has seen everything.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/weir.h>

#include "quote.h"

#define RING_BYTES (UINT64_C(1) << 20)
#define LAG_MAX_BYTES (RING_BYTES / 4)

static int quote(struct weir_publisher *publisher, uint64_t number)
{
    static const char symbols[][8] = { "ACME", "GLOBEX", "INITECH", "HOOLI" };
    static int64_t prices[4] = { 10000000, 20000000, 30000000, 40000000 };
    uint64_t which = number % 4;
    prices[which] += rand() % 2001 - 1000; /* a walk; whose, does not matter */
    struct quote quote = { .number = number, .bid = prices[which] - 50, .ask = prices[which] + 50 };
    snprintf(quote.symbol, sizeof quote.symbol, "%s", symbols[which]);
    return weir_publisher_send(publisher, &quote, sizeof quote);
}

/* At most so many a second since start: a sleep for each would be too coarse, and is not needed. */
static void pace(const struct timespec *start, uint64_t number, double hz)
{
    if (number % 32 != 0)
        return;
    double due = (double)start->tv_sec + (double)start->tv_nsec / 1e9 + (double)number / hz;
    struct timespec then = { .tv_sec = (time_t)due };
    then.tv_nsec = (long)((due - (double)then.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
        ;
}

int main(int count, char **arguments)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = RING_BYTES;
    options.lag_max_bytes = LAG_MAX_BYTES;
    struct timespec start;
    double hz = count == 4 ? strtod(arguments[3], NULL) : 0;
    if (!(hz > 0))
        return fprintf(stderr, "usage: market_feed READERS QUOTES HZ\n"), 2;
    uint64_t quotes = strtoull(arguments[2], NULL, 10);
    int result = weir_publisher_open(&publisher, "market", &options);
    if (result == 0)
        result = weir_publisher_wait_subscribers(
            publisher, (uint32_t)strtoul(arguments[1], NULL, 10), WEIR_NEVER);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; i < quotes && result == 0; i++) {
        pace(&start, i, hz);
        result = quote(publisher, i);
    }
    if (result != 0)
        return fprintf(stderr, "market_feed: %s\n", weir_last_error()), 1;
    weir_publisher_close(publisher);
}
