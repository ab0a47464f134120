/* SPDX-License-Identifier: MIT */
/*
 * talk OUT IN - two programs talk, line by line: one loop, one thread, three descriptors
 *
 * Lines of the standard input are published on the channel OUT; what comes on the channel IN
 * is printed. In one terminal: talk left right; in another: talk right left.
 *
 * The rule of both sides: try; and poll the descriptor while the answer is -EAGAIN.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#define NOW 0 /* as a deadline: never wait */

struct talk {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    char line[4096]; /* read, and not sent yet */
    size_t length;
    bool is_met;   /* somebody has subscribed: before that, lines would go to nobody */
    bool has_said; /* all that we had to say is sent */
    bool has_heard;
};

/* Sends what there is. Returns 0: all is sent; -EAGAIN: poll; else the end. */
static int say(struct talk *talk)
{
    int result = talk->is_met ? 0 : weir_publisher_wait_subscribers(talk->publisher, 1, NOW);
    talk->is_met = result == 0;
    if (result == 0 && talk->length > 0)
        result = weir_publisher_send_until(talk->publisher, talk->line, talk->length, 0, NOW);
    if (result == 0)
        talk->length = 0;
    return result;
}

/* Takes and prints until nothing is there: -EAGAIN; -ENODATA: the other has said all. */
static int hear(struct talk *talk)
{
    struct weir_message message;
    int result;
    while ((result = weir_subscriber_take_until(talk->subscriber, &message, NOW)) == 0) {
        fwrite(message.data, 1, message.size_bytes, stdout);
        weir_subscriber_release(talk->subscriber, &message);
    }
    fflush(stdout);
    return result;
}

/* At the end of the input, says so. */
static int read_input(struct talk *talk)
{
    ssize_t got = read(STDIN_FILENO, talk->line, sizeof talk->line);
    talk->length = got > 0 ? (size_t)got : 0;
    talk->has_said = got <= 0;
    return talk->has_said ? weir_publisher_end(talk->publisher) : 0;
}

static int loop(struct talk *talk)
{
    enum { INPUT, PUBLISHER, SUBSCRIBER, ALL };
    const int fds[ALL] = { STDIN_FILENO, weir_publisher_fd(talk->publisher),
                           weir_subscriber_fd(talk->subscriber) };
    if (fds[PUBLISHER] < 0 || fds[SUBSCRIBER] < 0)
        return -1;
    while (!talk->has_said || !talk->has_heard) {
        struct pollfd polls[ALL] = { { 0 } };
        int result = talk->has_said ? 0 : say(talk);
        bool is_refused = result == -EAGAIN;
        if (result != 0 && !is_refused)
            return result;
        bool is_wanted[ALL] = { !is_refused && !talk->has_said, is_refused, !talk->has_heard };
        for (int i = 0; i < ALL; i++) /* poll passes over negative ones */
            polls[i] = (struct pollfd){ .fd = is_wanted[i] ? fds[i] : -1, .events = POLLIN };
        if (poll(polls, ALL, -1) < 0 && errno != EINTR)
            return -errno;
        result = polls[SUBSCRIBER].revents ? hear(talk) : -EAGAIN;
        talk->has_heard |= result == -ENODATA;
        if (result != -EAGAIN && result != -ENODATA)
            return result;
        if (polls[INPUT].revents && (result = read_input(talk)) != 0)
            return result;
    }
    return 0;
}

int main(int count, char **arguments)
{
    struct talk talk = { 0 };
    if (count != 3)
        return fprintf(stderr, "usage: talk OUT IN\n"), 2;
    int result = weir_publisher_open(&talk.publisher, arguments[1], NULL);
    if (result == 0)
        result = weir_subscriber_open(&talk.subscriber, arguments[2], NULL);
    if (result == 0)
        result = loop(&talk);
    if (result != 0)
        fprintf(stderr, "talk: %s\n", weir_last_error());
    weir_publisher_close(talk.publisher);
    weir_subscriber_close(talk.subscriber);
    return result == 0 ? 0 : 1;
}
