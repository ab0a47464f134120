/* SPDX-License-Identifier: MIT */
/*
 * Goal: nothing behind the end of the ring is read or written. Method: records that end exactly
 * there, by each of the ways that know a lap of the ring; segments stand between guard pages.
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

#define RECORD_BYTES 16

/* One of them is larger, so that no turn of 8 KiB ends with the ring; but a record still does. */
#define LARGER 511
#define LARGER_BYTES 24

static size_t size_of(uint64_t number)
{
    return number == LARGER ? LARGER_BYTES : sizeof number;
}

static uint64_t take(struct weir_subscriber *subscriber)
{
    struct weir_message message;
    uint64_t number;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    memcpy(&number, message.data, sizeof number);
    assert_int_equal(message.size_bytes, size_of(number));
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    return number;
}

static uint64_t take_many(struct weir_subscriber *subscriber)
{
    struct weir_message messages[2];
    uint64_t number;
    assert_result(weir_subscriber_take_many_until(subscriber, messages, 2, NOW), 1);
    memcpy(&number, messages[0].data, sizeof number);
    assert_result(weir_subscriber_release_many(subscriber, messages, 1), 0);
    return number;
}

static uint64_t copy(struct weir_subscriber *subscriber)
{
    uint64_t words[LARGER_BYTES / 8];
    assert_result(weir_subscriber_receive_until(subscriber, words, sizeof words, NULL, NOW), 0);
    return words[0];
}

static void publish(struct weir_publisher *publisher, uint64_t number)
{
    const uint64_t words[LARGER_BYTES / 8] = { number };
    assert_result(weir_publisher_send(publisher, words, size_of(number)), 0);
}

static void publish_in_place(struct weir_publisher *publisher, uint64_t number)
{
    void *place;
    assert_result(weir_publisher_loan_until(publisher, size_of(number), &place, NOW), 0);
    memcpy(place, &number, sizeof number);
    assert_result(weir_publisher_commit(publisher, size_of(number), 0), 0);
}

/* Each message by itself: the subscriber comes to the end of the ring, and finds nothing. */
static void test_one_by_one(void **state)
{
    static uint64_t (*const ways[])(struct weir_subscriber *) = { take, take_many, copy };
    struct weir_message none;
    (void)state;
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        struct pair pair;
        pair_open(&pair);
        for (uint64_t sent = 0; sent < WEIR_RING_BYTES_MIN / RECORD_BYTES * 3; sent++) {
            (sent % 2 ? publish : publish_in_place)(pair.publisher, sent);
            assert_int_equal(ways[way](pair.subscriber), sent);
            assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -EAGAIN);
        }
        pair_close(&pair);
    }
}

/* In rows: it comes there while there is more. */
static void test_in_rows(void **state)
{
    static uint64_t (*const ways[])(struct weir_subscriber *) = { take, copy };
    (void)state;
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        struct pair pair;
        uint64_t sent = 0, received = 0;
        pair_open(&pair);
        for (int row = 0; row < 60; row++) {
            for (int i = 0; i < 1000; i++)
                publish(pair.publisher, sent++);
            while (received < sent)
                assert_int_equal(ways[way](pair.subscriber), received++);
        }
        pair_close(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { PAIR_TEST(test_one_by_one), PAIR_TEST(test_in_rows) };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
