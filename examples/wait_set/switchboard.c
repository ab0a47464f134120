/* SPDX-License-Identifier: MIT */
/*
 * switchboard CHANNEL... - who speaks, who comes and who goes, on several channels at once
 *
 * One loop, one thread, one call that waits: for the messages of each channel, for its publishers,
 * for a line of the standard input ("quit"; or the identity of a process, as a hexadecimal
 * number, to be told of its death), and for a second to pass. Try it with: weir pub CHANNEL.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

enum { CHANNELS_MAX = 64, INPUT = 1000, CLOCK, DEATH, MEMBERS /* and the channel's number */ };

static struct weir_wait_set *set;
static struct weir_subscriber *subscribers[CHANNELS_MAX];
static char **names;
static unsigned long messages;
static uint64_t seconds;

/* Takes and prints until nothing is there. */
static void hear(unsigned number)
{
    struct weir_message message;
    int result;
    while ((result = weir_subscriber_take_until(subscribers[number], &message, 0)) == 0) {
        printf("%s: %.*s\n", names[number], (int)message.size_bytes, (const char *)message.data);
        messages++;
        weir_subscriber_release(subscribers[number], &message);
    }
    if (result == -EPIPE)
        printf("%s: the last publisher was killed\n", names[number]);
}

/* false: it was told to end, or the input has. */
static bool read_input(void)
{
    char line[128];
    if (!fgets(line, sizeof line, stdin))
        return false;
    uint64_t identity = strtoull(line, NULL, 16);
    if (identity != 0 && weir_wait_set_add_death(set, identity, WEIR_UID_ANY, DEATH) < 0)
        fprintf(stderr, "switchboard: %s\n", weir_last_error());
    return strncmp(line, "quit", 4) != 0;
}

static bool serve(const struct weir_wait_event *event)
{
    if (event->token == INPUT)
        return read_input();
    if (event->token == CLOCK)
        seconds += event->expirations;
    else if (event->token == DEATH)
        printf("a process has died\n");
    else if (event->token >= MEMBERS)
        printf("%s: %u publishers\n", names[event->token - MEMBERS], event->publishers);
    else
        hear((unsigned)event->token);
    fflush(stdout);
    return true;
}

static int add_all(unsigned count)
{
    const int64_t second_ns = 1000000000;
    int result = weir_wait_set_open(&set, NULL);
    for (unsigned i = 0; i < count && result >= 0; i++) {
        result = weir_subscriber_open(&subscribers[i], names[i], NULL);
        if (result == 0)
            result = weir_wait_set_add_subscriber(set, subscribers[i], i);
        if (result >= 0)
            result =
                weir_wait_set_add_members(set, names[i], NULL, WEIR_WAIT_PUBLISHERS, MEMBERS + i);
    }
    if (result >= 0)
        result = weir_wait_set_add_fd(set, STDIN_FILENO, POLLIN, INPUT);
    if (result >= 0)
        result = weir_wait_set_add_timer(set, weir_deadline_ns(second_ns), second_ns, CLOCK);
    return result;
}

int main(int count, char **arguments)
{
    struct weir_wait_event events[16];
    bool is_on = true;
    if (count < 2 || count - 1 > CHANNELS_MAX)
        return fprintf(stderr, "usage: switchboard CHANNEL...\n"), 2;
    names = arguments + 1;
    setvbuf(stdin, NULL, _IONBF, 0); /* what it had read ahead, no descriptor would tell of */
    int result = add_all((unsigned)count - 1);
    while (is_on && result >= 0) {
        result = weir_wait_set_wait_until(set, events, 16, WEIR_NEVER);
        for (int i = 0; i < result && is_on; i++)
            is_on = serve(&events[i]);
        if (result == -EINTR)
            result = 0;
    }
    if (result < 0)
        fprintf(stderr, "switchboard: %s\n", weir_last_error());
    for (int i = 0; i < count - 1; i++)
        weir_subscriber_close(subscribers[i]);
    weir_wait_set_close(set);
    if (result >= 0)
        printf("%lu messages in %llu seconds\n", messages, (unsigned long long)seconds);
    return result < 0 ? 1 : 0;
}
