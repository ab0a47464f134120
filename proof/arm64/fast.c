/* SPDX-License-Identifier: MIT */
/*
 * Both sides of a channel, awake, send, lend and take some hundred messages, in each way that there
 * is: what is executed of these calls is looked at by the script beside this file.
 *
 * First small messages, which the calls serve by themselves: alike, and of any size; then what has functions of
 * its own: larger ones, batches, several at once, messages that are held meanwhile, a second subscriber, and
 * a channel whose messages have a type.
 */
#include <stdio.h>

#include <weir/weir.h>

enum { LAPS = 300, ALIKE = 24, SMALL = 100, BYTES = 400, MANY = 4 };

static unsigned char bytes[MANY * BYTES];

/* A message each way, of so many bytes. */
static int each_way(struct weir_publisher *publisher, struct weir_subscriber *subscriber,
                    size_t size_bytes)
{
    struct weir_message message;
    void *loan;
    int result = weir_publisher_send_until(publisher, bytes, size_bytes, 0, 0);
    if (result == 0)
        result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0);
    if (result == 0)
        result = weir_publisher_loan_until(publisher, size_bytes, &loan, 0);
    if (result == 0)
        result = weir_publisher_commit(publisher, size_bytes, 0);
    if (result == 0)
        result = weir_subscriber_take_until(subscriber, &message, 0);
    if (result == 0)
        result = weir_subscriber_release(subscriber, &message);
    return result;
}

/* One is held while the next one is received; and the two of a batch at once. */
static int held(struct weir_publisher *publisher, struct weir_subscriber *subscriber,
                size_t size_bytes)
{
    struct weir_message first, second;
    int result = weir_publisher_batch_begin(publisher);
    for (int i = 0; i < 4 && result == 0; i++)
        result = weir_publisher_send_until(publisher, bytes, size_bytes, 0, 0);
    if (result == 0)
        result = weir_publisher_batch_end(publisher);
    if (result == 0)
        result = weir_subscriber_take_until(subscriber, &first, 0);
    if (result == 0)
        result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0);
    if (result == 0)
        result = weir_subscriber_release(subscriber, &first);
    if (result == 0)
        result = weir_subscriber_take_until(subscriber, &first, 0);
    if (result == 0)
        result = weir_subscriber_take_until(subscriber, &second, 0);
    if (result == 0)
        result = weir_subscriber_release(subscriber, &second);
    if (result == 0)
        result = weir_subscriber_release(subscriber, &first);
    return result;
}

/* Several in one call. */
static int many(struct weir_publisher *publisher, struct weir_subscriber *subscriber,
                size_t size_bytes)
{
    const struct weir_outgoing outgoing[MANY] = { { bytes, size_bytes, 0 },
                                                  { bytes, size_bytes, 1 },
                                                  { bytes, size_bytes, 2 },
                                                  { bytes, size_bytes, 3 } };
    struct weir_message messages[MANY];
    void *loans[MANY];
    int result = weir_publisher_send_many_until(publisher, outgoing, MANY, 0);
    if (result > 0)
        result = weir_subscriber_receive_many_until(subscriber, bytes, sizeof bytes, messages,
                                                    (size_t)result, 0);
    if (result > 0)
        result = weir_publisher_loan_many_until(publisher, size_bytes, loans, MANY, 0);
    if (result > 0)
        result = weir_publisher_commit_many(publisher, NULL, NULL, (size_t)result);
    if (result == 0)
        result = weir_subscriber_take_many_until(subscriber, messages, MANY, 0);
    if (result > 0)
        result = weir_subscriber_release_many(subscriber, messages, (size_t)result);
    return result;
}

static int go(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    int result = 0;
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = each_way(publisher, subscriber, ALIKE);
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = each_way(publisher, subscriber, i % SMALL);
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = each_way(publisher, subscriber, SMALL + i % (BYTES - SMALL));
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = held(publisher, subscriber, i % BYTES);
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = many(publisher, subscriber, i % BYTES);
    return result;
}

/* Two subscribers; neither is asleep. */
static int go_together(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    struct weir_subscriber *other;
    int result = weir_subscriber_open(&other, "fast", NULL);
    if (result != 0)
        return result;
    for (unsigned i = 0; i < LAPS && result == 0; i++) {
        result = weir_publisher_send_until(publisher, bytes, i % BYTES, 0, 0);
        if (result == 0)
            result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0);
        if (result == 0)
            result = weir_subscriber_receive_until(other, bytes, sizeof bytes, NULL, 0);
    }
    weir_subscriber_close(other);
    return result;
}

/* All messages have one size: each is compared with it. */
static int go_typed(void)
{
    const struct weir_channel_options options = { .size = sizeof options,
                                                  .type_name = "fast",
                                                  .type_bytes = SMALL };
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    int result = weir_publisher_open(&publisher, "fast-typed", &options);
    if (result == 0)
        result = weir_subscriber_open(&subscriber, "fast-typed", &options);
    for (unsigned i = 0; i < LAPS && result == 0; i++)
        result = each_way(publisher, subscriber, SMALL);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    return result;
}

/* A small ring: its laps end, and a reader's turns, in the midst of each of these ways. */
int main(void)
{
    const struct weir_channel_options small = { .size = sizeof small,
                                                .ring_bytes = WEIR_RING_BYTES_MIN };
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    if (weir_publisher_open(&publisher, "fast", &small) != 0 ||
        weir_subscriber_open(&subscriber, "fast", NULL) != 0 || go(publisher, subscriber) != 0 ||
        go_together(publisher, subscriber) != 0 || go_typed() != 0) {
        fprintf(stderr, "fast: %s\n", weir_last_error());
        return 1;
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    return 0;
}
