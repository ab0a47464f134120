/* SPDX-License-Identifier: MIT */
/*
 * talk publish|publish-and-stay|subscribe NAME COUNT - one side of a channel, to be built for
 * two processors and to talk from one to the other. subscribe checks every byte, and prints
 * how the lane came to its end; publish-and-stay waits to be killed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#define SOON weir_deadline_ns(INT64_C(60000000000))

enum { MESSAGE_BYTES_MAX = 5000 };

static int give_up(const char *what)
{
    fprintf(stderr, "talk: %s: %s\n", what, weir_last_error());
    return 1;
}

static size_t fill(unsigned char *bytes, unsigned long index)
{
    size_t size_bytes = index * 37 % MESSAGE_BYTES_MAX;
    for (size_t i = 0; i < size_bytes; i++)
        bytes[i] = (unsigned char)(index * 31 + i * 7 + (i >> 8));
    return size_bytes;
}

static int publish(const char *name, unsigned long count, int stays)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = WEIR_RING_BYTES_MIN; /* it is full again and again: both sides wait */
    if (weir_publisher_open(&publisher, name, &options) != 0 ||
        weir_publisher_wait_subscribers(publisher, 1, SOON) != 0)
        return give_up("no subscriber");
    for (unsigned long i = 0; i < count; i++) {
        size_t size_bytes = fill(bytes, i);
        if (weir_publisher_send_until(publisher, bytes, size_bytes, i & 0xffff, SOON) != 0)
            return give_up("send");
    }
    if (stays) {
        puts("published");
        fflush(stdout);
        pause();
    }
    weir_publisher_close(publisher);
    return 0;
}

static int subscribe(const char *name, unsigned long count)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    struct weir_subscriber *subscriber;
    struct weir_message message;
    unsigned long taken = 0;
    int result;
    if (weir_subscriber_open(&subscriber, name, NULL) != 0)
        return give_up("open");
    while ((result = weir_subscriber_take_until(subscriber, &message, SOON)) == 0) {
        size_t size_bytes = fill(bytes, taken);
        if (message.size_bytes != size_bytes || message.type != (taken & 0xffff) ||
            message.sequence != taken || memcmp(message.data, bytes, size_bytes) != 0)
            return give_up("another message than was sent");
        weir_subscriber_release(subscriber, &message);
        taken++;
    }
    weir_subscriber_close(subscriber);
    printf("%lu messages, then %s\n", taken, weir_strerror_name(result));
    return taken == count && (result == -ENODATA || result == -EPIPE) ? 0 : give_up("the end");
}

int main(int count, char **arguments)
{
    if (count == 4 && strcmp(arguments[1], "publish") == 0)
        return publish(arguments[2], strtoul(arguments[3], NULL, 10), 0);
    if (count == 4 && strcmp(arguments[1], "publish-and-stay") == 0)
        return publish(arguments[2], strtoul(arguments[3], NULL, 10), 1);
    if (count == 4 && strcmp(arguments[1], "subscribe") == 0)
        return subscribe(arguments[2], strtoul(arguments[3], NULL, 10));
    fputs("usage: talk publish|publish-and-stay|subscribe NAME COUNT\n", stderr);
    return 2;
}
