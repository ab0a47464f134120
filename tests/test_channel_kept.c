/* SPDX-License-Identifier: MIT */
/*
 * Goal: at every moment so much of a ring is kept for who comes late as channel.h promises, for
 *       messages of each length, alike, mixed and in batches, with nobody who reads them, and
 *       behind a reader that is always a ring behind.
 * Method: after each message a look for the oldest place, as a joiner does it.
 */
#include "fixture.h"
#include "lossy.h"

#include <errno.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

enum { RING = 64 << 10, LONGEST = RING / 4 - 8, LAPS = 8, BATCH = RING / 10 };

static const unsigned char payload[LONGEST];
static struct weir_publisher *publisher;
static struct weir_subscriber *slow; /* NULL: nobody */
static struct weir__lane lane;       /* as one who joins sees the publisher's */
static uint64_t least;               /* that was kept, since the ring was full */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The promise: of records so long, and so many bytes that become visible at once. */
static uint64_t promised(uint64_t record, uint64_t at_once)
{
    return RING - larger(RING / 8, record) - larger(RING / 8, 2 * record) - 2 * at_once;
}

static void look(void)
{
    struct weir__mark mark = { 0, 0 };
    assert_int_equal(weir__lane_pick(&lane, WEIR__PICK_OLDEST, 0, &mark), 0);
    uint64_t committed = publisher->batch_header ? publisher->batch_start : publisher->tail;
    assert_true(mark.position <= committed);
    if (publisher->tail >= 2 * RING && committed - mark.position < least)
        least = committed - mark.position;
}

static bool send(size_t size_bytes)
{
    int result = weir_publisher_send_until(publisher, payload, size_bytes, 0, NOW);
    look();
    assert_true(result == 0 || (result == -EAGAIN && slow));
    return result == 0;
}

static void read_some(uint64_t count)
{
    struct weir_message message;
    for (; slow && count > 0; count--) {
        if (weir_subscriber_take_until(slow, &message, NOW) != 0)
            return;
        assert_result(weir_subscriber_release(slow, &message), 0);
    }
}

/* Each time a message finds no room, one is read. */
static void alike(size_t size_bytes)
{
    while (publisher->tail < LAPS * RING)
        if (!send(size_bytes))
            read_some(1);
}

/* Up to so long; each time there is no room, some are read. */
static void mixed(size_t size_bytes)
{
    uint64_t seed = size_bytes;
    while (publisher->tail < LAPS * RING)
        if (!send(crowd_draw(&seed, size_bytes + 1)))
            read_some(1 + crowd_draw(&seed, 20));
}

static void in_batches(size_t size_bytes)
{
    uint64_t seed = size_bytes;
    while (publisher->tail < LAPS * RING) {
        uint64_t count = crowd_draw(&seed, BATCH / (size_bytes + 16) + 1);
        assert_result(weir_publisher_batch_begin(publisher), 0);
        while (count > 0 && send(size_bytes))
            count--;
        assert_result(weir_publisher_batch_end(publisher), 0);
        look();
        if (count > 0 || !send(size_bytes))
            read_some(1 + crowd_draw(&seed, 20));
    }
}

static void keeps(void (*fill)(size_t), size_t size_bytes, bool is_read)
{
    uint64_t record = (8 + size_bytes + 7) / 8 * 8;
    publisher = lossy_publisher(RING, 0);
    slow = is_read ? lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0) : NULL;
    assert_result(weir_publisher_wait_subscribers(publisher, is_read, NOW), 0);
    lane = (struct weir__lane){ .shm = publisher->lane,
                                .ring = weir__ring_of((void *)publisher->lane, RING, 0) };
    least = UINT64_MAX;
    fill(size_bytes);
    uint64_t at_least = promised(record, fill == in_batches ? BATCH : 0);
    if (least < at_least)
        print_error("%zu bytes, %s: %llu kept, %llu promised\n", size_bytes,
                    is_read ? "read" : "unread", (unsigned long long)least,
                    (unsigned long long)at_least);
    assert_true(least >= at_least);
    weir_subscriber_close(slow);
    weir_publisher_close(publisher);
}

static void test_of_each_length(void **state)
{
    (void)state;
    size_t stride = SANITIZED ? 37 * 8 : 8;
    for (size_t size_bytes = 1; size_bytes <= LONGEST; size_bytes += size_bytes < 16 ? 1 : stride)
        for (unsigned is_read = 0; is_read <= 1; is_read++) {
            keeps(alike, size_bytes, is_read);
            keeps(mixed, size_bytes, is_read);
            keeps(in_batches, size_bytes, is_read);
        }
}

/* What channel.h says in words; and the longest message. */
static void test_the_promise(void **state)
{
    (void)state;
    assert_int_equal(promised(RING / 16, 0), RING / 4 * 3);
    assert_int_equal(promised(16, 0), RING / 4 * 3);
    assert_int_equal(promised(RING / 8, 0), RING / 8 * 5);
    assert_int_equal(promised(RING / 4, 0), RING / 4);
    for (unsigned is_read = 0; is_read <= 1; is_read++) {
        keeps(alike, RING / 16 - 8, is_read);
        keeps(alike, RING / 8 - 8, is_read);
        keeps(alike, LONGEST, is_read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { CROWD_TEST(test_of_each_length),
                                        CROWD_TEST(test_the_promise) };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
