/* SPDX-License-Identifier: MIT */
/*
 * fan_in_hub SENSORS - takes what all sensors say, and tells of each how much and how it was
 *
 * One call takes many readings, of whichever sensor, in place. Sensors come, go and are killed as
 * they like; each one's readings come in order, and those that were sent come. Ends when the last
 * sensor has gone and SENSORS of them were there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "reading.h"

struct sensor {
    uint32_t next; /* number of the reading that is due */
    double sum;
};

struct hub {
    struct sensor sensors[SENSORS_MAX];
    uint32_t seen;
};

/* Returns 0, or -EBADMSG for what no sensor of ours says. */
static int note(struct hub *hub, const struct weir_message *message)
{
    const struct reading *reading = message->data;
    if (message->size_bytes != sizeof *reading || reading->sensor >= SENSORS_MAX)
        return -EBADMSG;
    struct sensor *sensor = &hub->sensors[reading->sensor];
    if (reading->number != sensor->next)
        return -EBADMSG; /* lost, doubled or out of order: it does not happen */
    hub->seen += sensor->next++ == 0;
    sensor->sum += reading->value;
    return 0;
}

static int collect(struct weir_subscriber *subscriber, struct hub *hub, uint32_t wanted)
{
    struct weir_message messages[WEIR_HOLDS_MAX];
    for (;;) {
        int got = weir_subscriber_take_many_until(subscriber, messages, WEIR_HOLDS_MAX, WEIR_NEVER);
        if ((got == -ENODATA || got == -EPIPE) && hub->seen < wanted)
            continue; /* none is there now; more will come */
        if (got < 0)
            return got == -ENODATA || got == -EPIPE ? 0 : got;
        int result = 0;
        for (int i = 0; i < got && result == 0; i++)
            result = note(hub, &messages[i]);
        weir_subscriber_release_many(subscriber, messages, (size_t)got);
        if (result != 0)
            return result;
    }
}

int main(int count, char **arguments)
{
    static struct hub hub;
    struct weir_subscriber *subscriber;
    if (count != 2)
        return fprintf(stderr, "usage: fan_in_hub SENSORS\n"), 2;
    int result = weir_subscriber_open(&subscriber, "sensors", NULL);
    if (result == 0)
        result = collect(subscriber, &hub, (uint32_t)strtoul(arguments[1], NULL, 10));
    if (result != 0)
        return fprintf(stderr, "fan_in_hub: %s\n",
                       result == -EBADMSG ? "a reading that cannot be" : weir_last_error()),
               1;
    weir_subscriber_close(subscriber);
    for (uint32_t i = 0; i < SENSORS_MAX; i++)
        if (hub.sensors[i].next > 0)
            printf("sensor %u: %u readings, mean %.2f\n", i, hub.sensors[i].next,
                   hub.sensors[i].sum / hub.sensors[i].next);
}
