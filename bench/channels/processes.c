/* SPDX-License-Identifier: MIT */
/*
 * Several publishers that are processes of their own, on one core, to one subscriber on the other. Each
 * waits as weir does by default: one that is held up gives the core to the next.
 */
#include "channels.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/error.h>

struct process {
    pid_t pid;
    int orders[2], answers[2]; /* pipes: how many messages to send; a byte when they are sent */
};

struct processes {
    struct many many; /* the subscriber's books; of the publishers none but in its process */
    struct process at[PUBLISHERS_MAX];
};

static void need_bytes(ssize_t bytes, size_t wanted)
{
    if (bytes != (ssize_t)wanted)
        give_up("a publishing process: it has ended");
}

/* Sends as many as it is told, until nobody tells it any more. */
static void publish(struct processes *processes, unsigned which, const char *name)
{
    struct many *many = &processes->many;
    const struct process *process = &processes->at[which];
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    uint64_t messages;
    char done = 0;
    options.ring_bytes = many->player->work.ring_bytes;
    if (weir_publisher_open(&publisher, name, &options) != 0)
        give_up("weir: %s", weir_last_error());
    need_bytes(write(process->answers[1], &done, 1), 1);
    while (read(process->orders[0], &messages, sizeof messages) == sizeof messages) {
        if (weir_publisher_wait_subscribers(publisher, 1, WEIR_NEVER) != 0)
            give_up("weir: %s", weir_last_error());
        for (; messages > 0; messages--)
            many_send(many, publisher, which);
        need_bytes(write(process->answers[1], &done, 1), 1);
    }
    weir_publisher_close(publisher);
    _exit(0);
}

static void start(struct processes *processes, unsigned which, const char *name)
{
    struct process *process = &processes->at[which];
    if (pipe(process->orders) != 0 || pipe(process->answers) != 0)
        give_up("pipe: %m");
    process->pid = fork();
    if (process->pid < 0)
        give_up("fork: %m");
    if (process->pid == 0) {
        for (unsigned i = 0; i <= which; i++) /* so that an end of its own orders is seen */
            close(processes->at[i].orders[1]);
        publish(processes, which, name);
    }
    close(process->orders[0]);
    close(process->answers[1]);
}

/* Until each has said once that it is done. */
static void wait_all(const struct processes *processes)
{
    char done;
    for (unsigned i = 0; i < processes->many.count; i++)
        need_bytes(read(processes->at[i].answers[0], &done, 1), 1);
}

static void send_all(void *state, uint64_t messages)
{
    struct processes *processes = state;
    for (unsigned i = 0; i < processes->many.count; i++) {
        uint64_t share = (messages + processes->many.count - 1 - i) / processes->many.count;
        need_bytes(write(processes->at[i].orders[1], &share, sizeof share), sizeof share);
    }
    wait_all(processes);
}

static void receive_all(void *state, uint64_t messages)
{
    many_receive(&((struct processes *)state)->many, messages);
}

static void *open_processes(struct player *player)
{
    static struct processes processes;
    char name[64];
    processes =
        (struct processes){ .many = { .player = player, .count = player->work.publishers } };
    snprintf(name, sizeof name, "%s/processes", player->channel);
    for (unsigned i = 0; player->role == 0 && i < processes.many.count; i++)
        start(&processes, i, name);
    if (player->role == 0)
        wait_all(&processes);
    meet(player);
    if (player->role == 1)
        many_subscribe(&processes.many, name, 0);
    meet(player);
    return &processes;
}

static void close_processes(void *state)
{
    struct processes *processes = state;
    struct player *player = processes->many.player;
    meet(player);
    weir_subscriber_close(processes->many.subscriber);
    for (unsigned i = 0; player->role == 0 && i < processes->many.count; i++) {
        int status;
        close(processes->at[i].orders[1]);
        if (waitpid(processes->at[i].pid, &status, 0) != processes->at[i].pid || status != 0)
            give_up("a publishing process has failed");
        close(processes->at[i].answers[0]);
    }
}

const struct transport transport_processes = { .name = "publishing processes",
                                               .open = open_processes,
                                               .send = send_all,
                                               .receive = receive_all,
                                               .close = close_processes };
