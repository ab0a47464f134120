/* SPDX-License-Identifier: MIT */
/*
 * fan_in_sensor SENSOR COUNT [HZ] - one of many publishers of the channel "sensors"
 *
 * It knows nothing of the others: each has a ring of its own. Without HZ it measures as fast as
 * the hub takes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/weir.h>

#include "reading.h"

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Instants that are given in advance do not drift, however long a send takes. */
static void wait_until(int64_t time_ns)
{
    struct timespec then = { time_ns / 1000000000, time_ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
        ;
}

static int measure(struct weir_publisher *publisher, uint32_t sensor, uint32_t count, double hz)
{
    int64_t start_ns = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        if (hz > 0)
            wait_until(start_ns + (int64_t)(i * 1e9 / hz));
        struct reading reading = { sensor, i, now_ns(), 20 + sensor + (i % 100) / 100.0 };
        int result = weir_publisher_send(publisher, &reading, sizeof reading);
        if (result != 0)
            return result;
    }
    return 0;
}

int main(int count, char **arguments)
{
    struct weir_publisher *publisher;
    if (count < 3 || strtoul(arguments[1], NULL, 10) >= SENSORS_MAX)
        return fprintf(stderr, "usage: fan_in_sensor SENSOR COUNT [HZ]\n"), 2;
    int result = weir_publisher_open(&publisher, "sensors", NULL);
    if (result == 0)
        result = weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER);
    if (result == 0)
        result = measure(publisher, (uint32_t)strtoul(arguments[1], NULL, 10),
                         (uint32_t)strtoul(arguments[2], NULL, 10),
                         count > 3 ? strtod(arguments[3], NULL) : 0);
    if (result != 0)
        return fprintf(stderr, "fan_in_sensor: %s\n", weir_last_error()), 1;
    weir_publisher_close(publisher); /* what was sent stays with the hub */
}
