/* SPDX-License-Identifier: MIT */
/*
 * stranger LIE NAME - the other side of a 'weir send' or 'weir recv', as it should not be.
 *
 *   publish    messages of another program, until nobody takes them any more
 *   subscribe  takes and releases whatever comes, and answers nothing
 *   version    a sender of another version of weir
 *   sum        a sender that says at the end that it has sent another number of bytes
 *   twice      a sender that leaves in the middle, and comes back to go on from there
 *   early      a receiver that has everything before the end
 *   unread     a receiver that says it has failed, with no errno
 *   many       a publisher of a channel for more than one of each
 *
 * Exits with 0 when it has got as far as it meant to.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "stream_parts.h"

#define SOON weir_deadline_ns(20 * WEIR_SECOND_NS)
#define BACK 1

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static const char *name;

/* A stream's channel is for one of each; "many" is of a channel for more. */
static struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;

static int check(int result)
{
    if (result != 0)
        fprintf(stderr, "stranger: %s\n", weir_last_error());
    return result != 0;
}

static int send_message(uint32_t type, const void *data, size_t bytes)
{
    return check(weir_publisher_send_until(publisher, data, bytes, type, SOON));
}

static int publish(void)
{
    int result = check(weir_publisher_open(&publisher, name, &options)) ||
                 check(weir_publisher_wait_subscribers(publisher, 1, SOON)) ||
                 send_message(0, "hello", 5);
    if (result == 0)
        weir_publisher_wait_taken(publisher, SOON);
    return result;
}

/* A sender's way to the first byte; magic: of which version. */
static int greet(uint64_t magic)
{
    struct stream_hello hello = { magic, 0, BACK, { 0, 0 } };
    char back[256];
    snprintf(back, sizeof back, "%s.back-%08x", name, BACK);
    return check(weir_subscriber_open(&subscriber, back, &options)) ||
           check(weir_publisher_open(&publisher, name, &options)) ||
           check(weir_publisher_wait_subscribers(publisher, 1, SOON)) ||
           send_message(STREAM_HELLO, &hello, sizeof hello);
}

static int send_wrongly(bool twice)
{
    struct weir_message message;
    uint64_t sum = twice ? 10 : 6;
    int result = greet(STREAM_MAGIC) || check(weir_subscriber_wait_publisher(subscriber, SOON)) ||
                 send_message(STREAM_DATA, "hello", 5);
    if (result == 0 && twice) {
        weir_publisher_close(publisher);
        result = check(weir_publisher_open(&publisher, name, &options)) ||
                 send_message(STREAM_DATA, "hello", 5);
    }
    if (result == 0)
        result = send_message(STREAM_END, &sum, sizeof sum);
    while (result == 0 && weir_subscriber_take_until(subscriber, &message, SOON) == 0)
        if (message.type == STREAM_DONE)
            result = check(1);
    return result;
}

static int receive_wrongly(bool answers, uint32_t word)
{
    struct weir_message message;
    char back[256];
    struct stream_hello hello;
    if (check(weir_subscriber_open(&subscriber, name, &options)) ||
        check(weir_subscriber_take_until(subscriber, &message, SOON)))
        return 1;
    memcpy(&hello, message.data, sizeof hello);
    snprintf(back, sizeof back, "%s.back-%08x", name, (unsigned)hello.back);
    if (answers && check(weir_publisher_open(&publisher, back, &options)))
        return 1;
    if (answers && (check(weir_subscriber_release(subscriber, &message)) ||
                    check(weir_publisher_wait_subscribers(publisher, 1, SOON)) ||
                    send_message(STREAM_READY, NULL, 0) || send_message(word, NULL, 0)))
        return 1;
    do
        weir_subscriber_release(subscriber, &message);
    while (weir_subscriber_take_until(subscriber, &message, SOON) == 0);
    return 0;
}

static int run(const char *lie)
{
    if (strcmp(lie, "many") != 0)
        options.publishers_max = options.subscribers_max = 1;
    if (strcmp(lie, "publish") == 0)
        return publish();
    if (strcmp(lie, "many") == 0) /* nobody is to come */
        return check(weir_publisher_open(&publisher, name, &options)) || pause();
    if (strcmp(lie, "subscribe") == 0)
        return receive_wrongly(false, 0);
    if (strcmp(lie, "version") == 0)
        return greet(STREAM_MAGIC + 1) ||
               check(weir_publisher_wait_taken(publisher, SOON) != -EPIPE);
    if (strcmp(lie, "sum") == 0 || strcmp(lie, "twice") == 0)
        return send_wrongly(strcmp(lie, "twice") == 0);
    if (strcmp(lie, "early") == 0)
        return receive_wrongly(true, STREAM_DONE);
    if (strcmp(lie, "unread") == 0)
        return receive_wrongly(true, STREAM_FAIL);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    name = argv[2];
    int result = run(argv[1]);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    return result;
}
