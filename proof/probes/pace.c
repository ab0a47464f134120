/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long the messages of a stream wait before they are read, which goes at a pace of its own: a reader that has
 * caught up with it looks away for a moment (base/away.h). Method: a publisher on one core stamps a message each so
 * many ns, a subscriber on another one reads the clock as it takes it; several rates, several times. A round in which the
 * publisher could not keep its pace says so: there messages came as fast as they could.
 *
 *   pace [MILLISECONDS OF EACH ROUND]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "cpus.h"
#include "lane/ticks.h"

#define ROUNDS 3
#define LATE_NS 2000

struct stamped {
    uint64_t at;
    unsigned char rest[56];
};

struct stream {
    char name[64];
    int cpus[2];
    double ticks_per_ns;
    size_t messages;
    double interval_ns;
};

static int fail(void)
{
    fprintf(stderr, "pace: %s\n", weir_last_error());
    return 1;
}

/* Tells how many of a thousand messages were due long before they were sent. */
static int publish(const struct stream *stream, int told)
{
    struct weir_publisher *publisher;
    struct stamped message = { .at = 0 };
    size_t late = 0;
    cpus_pin(stream->cpus[0]);
    if (weir_publisher_open(&publisher, stream->name, NULL) != 0 ||
        weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER) != 0)
        return fail();
    double due = (double)ticks(), interval = stream->interval_ns * stream->ticks_per_ns;
    for (size_t i = 0; i < stream->messages; i++, due += interval) {
        while ((double)(message.at = ticks()) < due)
            ;
        late += (double)message.at - due > LATE_NS * stream->ticks_per_ns;
        if (weir_publisher_send(publisher, &message, sizeof message) != 0)
            return fail();
    }
    int in_thousand = (int)(late * 1000 / stream->messages);
    if (weir_publisher_end(publisher) != 0 ||
        weir_publisher_wait_taken(publisher, WEIR_NEVER) != 0 ||
        write(told, &in_thousand, sizeof in_thousand) != sizeof in_thousand)
        return fail();
    weir_publisher_close(publisher);
    return 0;
}

static int compare(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static int subscribe(const struct stream *stream, int told)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    float *waited_ns = calloc(stream->messages, sizeof *waited_ns);
    size_t count = 0;
    int in_thousand;
    cpus_pin(stream->cpus[1]);
    if (!waited_ns || weir_subscriber_open(&subscriber, stream->name, NULL) != 0)
        return fail();
    while (count < stream->messages && weir_subscriber_take(subscriber, &message) == 0) {
        const struct stamped *stamped = message.data;
        waited_ns[count++] = (float)((double)(ticks() - stamped->at) / stream->ticks_per_ns);
        if (weir_subscriber_release(subscriber, &message) != 0)
            return fail();
    }
    weir_subscriber_close(subscriber);
    if (count != stream->messages || read(told, &in_thousand, sizeof in_thousand) <= 0)
        return fail();
    qsort(waited_ns, count, sizeof *waited_ns, compare);
    printf("%5.1f M/s: p50 %6.0f p90 %6.0f p99 %6.0f ns%s\n", 1000 / stream->interval_ns,
           (double)waited_ns[count / 2], (double)waited_ns[count * 9 / 10],
           (double)waited_ns[count * 99 / 100], in_thousand > 100 ? "  as fast as it could" : "");
    free(waited_ns);
    return 0;
}

/* Both sides as children, so that each round begins alike. */
static int round_of(const struct stream *stream)
{
    int told[2], status, failed = 0;
    if (pipe(told) != 0)
        return 1;
    for (int side = 0; side < 2; side++) {
        fflush(stdout);
        if (fork() != 0)
            continue;
        int result = side == 0 ? publish(stream, told[1]) : subscribe(stream, told[0]);
        fflush(stdout);
        _exit(result);
    }
    close(told[0]);
    close(told[1]);
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

int main(int count, char **arguments)
{
    static const double rates[] = { 0.5, 1, 2, 5, 7, 10, 15, 20, 30 }; /* million a second */
    long milliseconds = count > 1 ? strtol(arguments[1], NULL, 10) : 400;
    struct stream stream = { .ticks_per_ns = ticks_per_ns() };
    if (milliseconds < 1 || milliseconds > 10000)
        return fprintf(stderr, "usage: pace [MILLISECONDS OF EACH ROUND]\n"), 2;
    if (!cpus_choose(stream.cpus))
        return printf("pace: two cores are needed\n"), 0;
    snprintf(stream.name, sizeof stream.name, "pace.%d", (int)getpid());
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        for (int round = 0; round < ROUNDS; round++) {
            stream.interval_ns = 1000 / rates[i];
            stream.messages = (size_t)(rates[i] * 1000 * (double)milliseconds);
            if (round_of(&stream) != 0)
                return 1;
        }
    return 0;
}
