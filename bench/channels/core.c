/* SPDX-License-Identifier: MIT */
/*
 * Two processes that share a core: there and back, with the time that one waits by default, and by a
 * pipe. Neither can run while the other looks for its answer.
 */
#include "channels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/clock.h>
#include <weir/error.h>

#include "values.h"

enum { TRIPS = 2000, TRIPS_FIRST = 200 };

/* One side's ends. */
struct talk {
    bool is_answering;
    int in, out;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    uint64_t number; /* of the last message that came */
};

static void need(int result)
{
    if (result < 0)
        give_up("weir: %s", weir_last_error());
}

static void send_by_weir(struct talk *talk, uint64_t number)
{
    need(weir_publisher_send(talk->publisher, &number, sizeof number));
}

static uint64_t receive_by_weir(struct talk *talk)
{
    uint64_t number;
    need(weir_subscriber_receive(talk->subscriber, &number, sizeof number));
    return number;
}

static void send_by_pipe(struct talk *talk, uint64_t number)
{
    if (write(talk->out, &number, sizeof number) != sizeof number)
        give_up("write: %s", strerror(errno));
}

static uint64_t receive_by_pipe(struct talk *talk)
{
    uint64_t number;
    if (read(talk->in, &number, sizeof number) != sizeof number)
        give_up("read: %s", strerror(errno));
    return number;
}

/* µs a trip; the one who answers does not need to know. */
static double trips(struct talk *talk, unsigned count, void (*put)(struct talk *, uint64_t),
                    uint64_t (*get)(struct talk *))
{
    int64_t begun_ns = weir_now_ns();
    for (unsigned i = 0; i < count; i++) {
        if (!talk->is_answering)
            put(talk, talk->number + 1);
        if (get(talk) != ++talk->number)
            give_up("on one core: a message is not the next one");
        if (talk->is_answering)
            put(talk, talk->number);
    }
    return (double)(weir_now_ns() - begun_ns) / count / 1000;
}

/* Both ways in turn, so that whatever else the core does falls on both. Returns weir's time ÷ the pipe's. */
static double round_of_trips(struct talk *talk)
{
    trips(talk, TRIPS_FIRST, send_by_weir,
          receive_by_weir); /* it is learnt that the core is shared */
    double by_weir = trips(talk, TRIPS, send_by_weir, receive_by_weir);
    double by_pipe = trips(talk, TRIPS, send_by_pipe, receive_by_pipe);
    return by_weir / by_pipe;
}

static void open_talk(struct talk *talk, const int pipes[2][2], int main_pid)
{
    char there[64], back[64];
    bool is_answering = talk->is_answering;
    snprintf(there, sizeof there, "bench/core-%d/there", main_pid);
    snprintf(back, sizeof back, "bench/core-%d/back", main_pid);
    talk->in = pipes[is_answering ? 0 : 1][0];
    talk->out = pipes[is_answering ? 1 : 0][1];
    need(weir_publisher_open(&talk->publisher, is_answering ? back : there, NULL));
    need(weir_subscriber_open(&talk->subscriber, is_answering ? there : back, NULL));
    need(weir_publisher_wait_subscribers(talk->publisher, 1, WEIR_NEVER));
}

static void close_talk(struct talk *talk)
{
    weir_publisher_close(talk->publisher);
    weir_subscriber_close(talk->subscriber);
}

/* The caller is pinned, and so is its child. */
void measure_core(const struct alone *alone, unsigned count, struct row *row)
{
    double values[ALONE_ROUNDS_MAX];
    int pipes[2][2], main_pid = getpid();
    if (pipe(pipes[0]) != 0 || pipe(pipes[1]) != 0)
        give_up("pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        give_up("fork: %s", strerror(errno));
    struct talk talk = { .is_answering = child == 0 };
    open_talk(&talk, (const int(*)[2])pipes, main_pid);
    for (unsigned i = 0; i < alone->rounds; i++)
        values[i] = round_of_trips(&talk);
    close_talk(&talk);
    if (child == 0)
        _exit(0);
    for (int i = 0; i < 4; i++)
        close(pipes[i / 2][i % 2]);
    if (waitpid(child, NULL, 0) != child)
        give_up("waitpid: %s", strerror(errno));
    (void)count;
    row_of_values(row, values, alone->rounds);
}
