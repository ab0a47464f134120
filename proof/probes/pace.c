/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long the messages of a stream wait before they are read, which goes at a pace of its own: a reader that has
 * caught up with it looks away for a moment (base/away.h). Method: a publisher on one core stamps a message each so
 * many ns, a subscriber on another one reads the clock as it takes it; several rates, several times. A round in which the
 * publisher could not keep its pace says so: there messages came as fast as they could. With --spin, slower ones, and
 * readers that look for so long before they sleep (spin_ns): what that costs them of a core, and how often they slept.
 *
 *   pace [--spin] [MILLISECONDS OF EACH ROUND]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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
    uint32_t spin_ns; /* of the subscriber; 0: by default */
    bool is_spin_shown;
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

/* Of the calling process: how much of a core it had, and how often it gave it up by itself. */
static void show_spin(const struct stream *stream, double elapsed_ns)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    double used_ns = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
    printf(", spins %3u us: %3.0f %% of a core, %.2f sleeps a message", stream->spin_ns / 1000,
           used_ns / elapsed_ns * 100, (double)usage.ru_nvcsw / (double)stream->messages);
}

static void show(const struct stream *stream, float *waited_ns, int late_in_thousand,
                 double elapsed_ns)
{
    size_t count = stream->messages;
    qsort(waited_ns, count, sizeof *waited_ns, compare);
    printf("%7.3f M/s: p50 %6.0f p90 %6.0f p99 %6.0f ns", 1000 / stream->interval_ns,
           (double)waited_ns[count / 2], (double)waited_ns[count * 9 / 10],
           (double)waited_ns[count * 99 / 100]);
    if (stream->is_spin_shown)
        show_spin(stream, elapsed_ns);
    puts(late_in_thousand > 100 ? "  as fast as it could" : "");
}

static int subscribe(const struct stream *stream, int told)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct weir_message message;
    float *waited_ns = calloc(stream->messages, sizeof *waited_ns);
    size_t count = 0;
    int in_thousand;
    cpus_pin(stream->cpus[1]);
    options.spin_ns = stream->spin_ns;
    if (!waited_ns || weir_subscriber_open(&subscriber, stream->name, &options) != 0)
        return fail();
    uint64_t began = ticks();
    while (count < stream->messages && weir_subscriber_take(subscriber, &message) == 0) {
        const struct stamped *stamped = message.data;
        waited_ns[count++] = (float)((double)(ticks() - stamped->at) / stream->ticks_per_ns);
        if (weir_subscriber_release(subscriber, &message) != 0)
            return fail();
    }
    double elapsed_ns = (double)(ticks() - began) / stream->ticks_per_ns;
    weir_subscriber_close(subscriber);
    if (count != stream->messages || read(told, &in_thousand, sizeof in_thousand) <= 0)
        return fail();
    show(stream, waited_ns, in_thousand, elapsed_ns);
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

static int rounds_of(struct stream *stream, double rate, long milliseconds)
{
    stream->interval_ns = 1000 / rate;
    stream->messages = (size_t)(rate * 1000 * (double)milliseconds) + 1;
    for (int round = 0; round < ROUNDS; round++)
        if (round_of(stream) != 0)
            return 1;
    return 0;
}

static int paces(struct stream *stream, long milliseconds)
{
    static const double rates[] = { 0.5, 1, 2, 5, 7, 10, 15, 20, 30 }; /* million a second */
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (rounds_of(stream, rates[i], milliseconds) != 0)
            return 1;
    return 0;
}

static int spins(struct stream *stream, long milliseconds)
{
    static const double gaps_us[] = { 5, 10, 15, 30, 60, 150, 1000 };
    static const uint32_t spins_ns[] = { 1, 5000, 10000, 20000, 50000, 100000 };
    stream->is_spin_shown = true;
    for (size_t i = 0; i < sizeof gaps_us / sizeof *gaps_us; i++)
        for (size_t j = 0; j < sizeof spins_ns / sizeof *spins_ns; j++) {
            stream->spin_ns = spins_ns[j];
            if (rounds_of(stream, 1 / gaps_us[i], milliseconds) != 0)
                return 1;
        }
    return 0;
}

int main(int count, char **arguments)
{
    bool has_spin = count > 1 && strcmp(arguments[1], "--spin") == 0;
    long milliseconds = count > 1 + has_spin ? strtol(arguments[1 + has_spin], NULL, 10) : 400;
    struct stream stream = { .ticks_per_ns = ticks_per_ns() };
    if (milliseconds < 1 || milliseconds > 10000)
        return fprintf(stderr, "usage: pace [--spin] [MILLISECONDS OF EACH ROUND]\n"), 2;
    if (!cpus_choose(stream.cpus))
        return printf("pace: two cores are needed\n"), 0;
    snprintf(stream.name, sizeof stream.name, "pace.%d", (int)getpid());
    return has_spin ? spins(&stream, milliseconds) : paces(&stream, milliseconds);
}
