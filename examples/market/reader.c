/* SPDX-License-Identifier: MIT */
/*
 * market_reader [MICROSECONDS] - follows the prices; with an argument, thinks so long about each
 *
 * Evicted, it says so, and goes on with what is quoted from then on: a real one would ask for the
 * present prices first, since it does not know those that it has missed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/weir.h>

#include "quote.h"

struct reader {
    uint64_t read, missed, evicted;
    uint64_t next; /* number of the quote that is due */
    struct timespec thought;
};

/* Returns 0, or -EBADMSG for a quote that cannot be the next one. */
static int follow(struct reader *reader, const struct weir_message *message,
                  const struct quote *quote)
{
    reader->missed += message->missed;
    reader->next += message->missed;
    if (message->size_bytes != sizeof *quote || quote->number != reader->next++)
        return -EBADMSG;
    reader->read++;
    if (reader->thought.tv_nsec > 0)
        nanosleep(&reader->thought, NULL);
    return 0;
}

int main(int count, char **arguments)
{
    struct reader reader = { 0 };
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct quote quote;
    reader.thought.tv_nsec = count > 1 ? strtol(arguments[1], NULL, 10) * 1000 : 0;
    int result = weir_subscriber_open(&subscriber, "market", NULL);
    while (result == 0) {
        /* A copy: where it lies, the feed may write again if we are evicted. */
        result =
            weir_subscriber_receive_until(subscriber, &quote, sizeof quote, &message, WEIR_NEVER);
        if (result == 0) {
            result = follow(&reader, &message, &quote);
        } else if (result == -EOVERFLOW) {
            reader.evicted++;
            result = 0;
        }
    }
    if (result != -ENODATA)
        return fprintf(stderr, "market_reader: %s\n",
                       result == -EBADMSG ? "a quote is lost" : weir_last_error()),
               1;
    weir_subscriber_close(subscriber);
    printf("%" PRIu64 " read, %" PRIu64 " missed, evicted %" PRIu64 " times\n", reader.read,
           reader.missed, reader.evicted);
}
