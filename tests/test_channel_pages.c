/* SPDX-License-Identifier: MIT */
/*
 * Goal: where the epoch and the entries stand in a page depends on the subscriber's slot; all who
 *       look there agree, in every slot and with every publisher.
 * Method: more subscribers than a page has lines; what one gives back is read by its publisher and
 *       by an inspection; of all doorbells each publisher rings that of the one whose epoch is new.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>

#include <weir/inspect.h>

#include "channel/layout.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"

enum { PUBLISHERS_MAX = 70, SUBSCRIBERS_MAX = 40 };

static struct {
    unsigned publishers, subscribers;
    struct weir_publisher *publisher[PUBLISHERS_MAX];
    struct weir_subscriber *subscriber[SUBSCRIBERS_MAX];
} all;

static void open_all(unsigned publishers, unsigned subscribers)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = all.publishers = publishers;
    options.subscribers_max = all.subscribers = subscribers;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    for (unsigned i = 0; i < subscribers; i++)
        assert_result(weir_subscriber_open(&all.subscriber[i], CHANNEL, &options), 0);
    for (unsigned i = 0; i < publishers; i++)
        assert_result(weir_publisher_open(&all.publisher[i], CHANNEL, &options), 0);
    for (unsigned i = 0; i < subscribers; i++) /* attached */
        assert_result(crowd_take(all.subscriber[i], i, NOW), -EAGAIN);
}

static void close_all(void)
{
    for (unsigned i = 0; i < all.publishers; i++)
        weir_publisher_close(all.publisher[i]);
    for (unsigned i = 0; i < all.subscribers; i++)
        weir_subscriber_close(all.subscriber[i]);
}

/* From publisher i so many messages: i + 1. */
static void exchange(void)
{
    for (unsigned i = 0; i < all.publishers; i++)
        for (unsigned count = 0; count <= i; count++)
            assert_int_equal(crowd_send(all.publisher[i], i, 16, NOW), 0);
    unsigned messages = all.publishers * (all.publishers + 1) / 2;
    for (unsigned i = 0; i < all.subscribers; i++)
        for (unsigned count = 0; count < messages; count++)
            assert_result(crowd_take(all.subscriber[i], i, NOW), 0);
}

static int check_member(const struct weir_channel_member *member, void *argument)
{
    unsigned *seen = argument;
    if (member->role != WEIR_MEMBER_SUBSCRIBER)
        return 0;
    assert_int_equal(member->reading_count, all.publishers);
    for (unsigned i = 0; i < all.publishers; i++) {
        assert_int_equal(member->readings[i].publisher, i);
        assert_int_equal(member->readings[i].state, WEIR_READING_ATTACHED);
        assert_int_equal(member->readings[i].released_messages, i + 1);
    }
    assert_int_equal(member->is_exact, 1);
    assert_int_equal(member->released_messages, all.publishers * (all.publishers + 1) / 2);
    *seen += 1;
    return 0;
}

static uint32_t rings_of(unsigned subscriber)
{
    return atomic_load(all.subscriber[subscriber]->side.waiter.doorbell);
}

static uint32_t rings_of_all(void)
{
    uint32_t rings = 0;
    for (unsigned i = 0; i < all.subscribers; i++)
        rings += rings_of(i);
    return rings;
}

/* One is about to sleep: each publisher's next message rings for it, once, and for nobody else. */
static void check_rings(unsigned subscriber)
{
    uint32_t before = rings_of(subscriber), before_all = rings_of_all();
    weir__sleep_begin(&all.subscriber[subscriber]->side.waiter);
    for (unsigned i = 0; i < all.publishers; i++) {
        assert_int_equal(crowd_send(all.publisher[i], i, 16, NOW), 0);
        assert_int_equal(crowd_send(all.publisher[i], i, 16, NOW), 0);
        assert_int_equal(rings_of(subscriber) - before, i + 1);
        assert_int_equal(rings_of_all() - before_all, i + 1);
    }
}

static void check_all(unsigned publishers, unsigned subscribers)
{
    unsigned seen = 0;
    open_all(publishers, subscribers);
    exchange();
    for (unsigned i = 0; i < publishers; i++)
        assert_result(weir_publisher_wait_taken(all.publisher[i], NOW), 0);
    assert_result(weir_inspect_channel(CHANNEL, check_member, &seen), 0);
    assert_int_equal(seen, subscribers);
    for (unsigned i = 0; i < subscribers; i++)
        check_rings(i);
    close_all();
}

/* Fewer entries than the fewest lines have room for. */
static void test_few_publishers(void **state)
{
    (void)state;
    assert_true(weir__page_lines(5) == WEIR__PAGE_LINES_MIN);
    check_all(5, SUBSCRIBERS_MAX);
}

static void test_many_publishers(void **state)
{
    (void)state;
    assert_true(weir__page_lines(PUBLISHERS_MAX) < SUBSCRIBERS_MAX);
    check_all(PUBLISHERS_MAX, SUBSCRIBERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_few_publishers),
        CROWD_TEST(test_many_publishers),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
