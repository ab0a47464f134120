/* SPDX-License-Identifier: MIT */
/*
 * Goal: a subscriber, a publisher and a wait set that have learnt that looks are in vain (base/yield.h) give
 *       the core away, and neither look nor sleep, if what they wait for has come by then.
 * Method: handles of one process; the yield is replaced by one in which the other side does its part.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>

#include <weir/clock.h>
#include <weir/waitset.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "waitset/set.h"

#define SOON (weir_now_ns() + 20 * SECOND_NS)

enum { LEFT = 50, BYTES = 512 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static void (*other_side)(void);
static int yields;

int64_t __wrap_weir__yield_away(void);

int64_t __wrap_weir__yield_away(void)
{
    yields++;
    other_side();
    return 0;
}

static void send_one(void)
{
    assert_int_equal(crowd_send(publisher, 0, BYTES, NOW), 0);
}

static void take_all(void)
{
    while (crowd_take(subscriber, 0, NOW) == 0)
        ;
}

static void open_both(void)
{
    publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    subscriber = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    yields = 0;
}

static void close_both(void)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void assert_yielded(const struct weir__yield *yield, const struct weir__stats_shm *stats,
                           uint64_t sleeps)
{
    assert_int_equal(yields, 1);
    assert_int_equal(yield->left, LEFT - 1);
    assert_int_equal(atomic_load(&stats->sleeps), sleeps);
}

static void learnt(struct weir__yield *yield)
{
    *yield = (struct weir__yield){ .credit = 1, .left = LEFT };
}

static void test_a_subscriber_yields(void **state)
{
    (void)state;
    open_both();
    const struct weir__stats_shm *stats = weir__side_stats(&subscriber->side);
    uint64_t sleeps = atomic_load(&stats->sleeps);
    send_one();
    take_all(); /* it has a lane, whose next message it could look for */
    learnt(&subscriber->side.waiter.yield);
    other_side = send_one;
    assert_result(crowd_take(subscriber, 0, SOON), 0);
    assert_yielded(&subscriber->side.waiter.yield, stats, sleeps);
    close_both();
}

static void test_a_publisher_yields(void **state)
{
    (void)state;
    open_both();
    const struct weir__stats_shm *stats = weir__side_stats(&publisher->side);
    uint64_t sleeps = atomic_load(&stats->sleeps);
    while (crowd_send(publisher, 0, BYTES, NOW) == 0)
        ;
    learnt(&publisher->side.waiter.yield);
    other_side = take_all;
    assert_int_equal(crowd_send(publisher, 0, BYTES, SOON), 0);
    assert_yielded(&publisher->side.waiter.yield, stats, sleeps);
    take_all();
    close_both();
}

/* By it the next spin is longer (channel/wait.h), where the options do not say how long it is. */
static void test_a_wait_knows_what_was_moved(void **state)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *other;
    (void)state;
    open_both();
    while (crowd_send(publisher, 0, BYTES, NOW) == 0)
        ;
    assert_true(publisher->side.waiter.is_by_default);
    assert_int_equal(publisher->side.waiter.moved, publisher->tail);
    take_all();
    assert_true(subscriber->side.waiter.is_by_default);
    assert_int_equal(subscriber->side.waiter.moved, subscriber->lanes[0]->head);
    assert_true(subscriber->side.waiter.more_ns > 0);
    close_both();
    for (int i = 0; i < 2; i++) {
        options.spin_ns = i == 0 ? 1000 : 0;
        options.flags = i == 0 ? 0 : WEIR_CHANNEL_SPIN_ONLY;
        assert_result(weir_subscriber_open(&other, CHANNEL, &options), 0);
        assert_false(other->side.waiter.is_by_default);
        weir_subscriber_close(other);
    }
}

static void test_a_wait_set_yields(void **state)
{
    struct weir_wait_event event;
    struct weir_wait_set *set;
    (void)state;
    open_both();
    take_all();
    assert_result(weir_wait_set_open(&set, NULL), 0);
    assert_true(weir_wait_set_add_subscriber(set, subscriber, 7) >= 0);
    while (weir_wait_set_wait_until(set, &event, 1, NOW) > 0) /* what there was at the beginning */
        take_all();
    learnt(&set->yield);
    yields = 0;
    other_side = send_one;
    assert_int_equal(weir_wait_set_wait_until(set, &event, 1, SOON), 1);
    assert_int_equal(event.token, 7);
    assert_int_equal(yields, 1);
    assert_int_equal(set->yield.left, LEFT - 1);
    take_all();
    weir_wait_set_close(set);
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_a_subscriber_yields),
        CROWD_TEST(test_a_publisher_yields),
        CROWD_TEST(test_a_wait_knows_what_was_moved),
        CROWD_TEST(test_a_wait_set_yields),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
