/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher whose process has had the same session before is taken for nobody but itself:
 *       what its slot's former lane was to a subscriber, it is not.
 * Method: the count of sessions is set to where the next one comes round, which takes 8,192 joinings
 *         otherwise; the subscriber has looked at nothing meanwhile.
 */
#include "liar.h"
#include "pair.h"

#include <errno.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

enum { NUMBERS = 3 };

static struct pair pair;
static struct weir_channel_options options;
static uint64_t former; /* the owner of the first lane */
static uint64_t count;  /* of the sessions, when that came */

static void open_former(void)
{
    count = atomic_load(&weir__sessions);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    if (count == 0) /* it was the first of all, and the count begins at random */
        count = atomic_load(&weir__sessions) - 1;
    former = pair.publisher->side.me;
}

static void open_subscriber(enum weir_delivery delivery)
{
    struct weir_channel_options its = options;
    its.delivery = delivery;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", &its), 0);
}

/*
 * The first publisher leaves, and another one comes to its slot, with the same session; one came
 * between, since none takes a slot that shows what could be taken for its own.
 */
static void come_round(void)
{
    uint32_t slot = pair.publisher->side.number;
    weir_publisher_close(pair.publisher);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    weir_publisher_close(pair.publisher);
    atomic_store(&weir__sessions, count + WEIR_IDENTITY_SESSION_MAX + 1);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    assert_int_equal(pair.publisher->side.me, former);
    assert_int_equal(pair.publisher->side.number, slot);
}

static void send_numbers(void)
{
    for (uint64_t i = 0; i < NUMBERS; i++)
        assert_result(weir_publisher_send_until(pair.publisher, &i, sizeof i, 0, NOW), 0);
}

static void expect_numbers(void)
{
    for (uint64_t i = 0; i < NUMBERS; i++) {
        struct weir_message message;
        uint64_t got = UINT64_MAX;
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, &got, sizeof got, &message, NOW), 0);
        assert_int_equal(got, i);
        assert_int_equal(message.missed, 0);
    }
}

/* What is sent waits until the subscriber has attached this lane. */
static void expect_waiting(void)
{
    uint64_t number = 0;
    assert_result(weir_publisher_send_until(pair.publisher, &number, sizeof number, 0, NOW),
                  -EAGAIN);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  -EAGAIN);
    send_numbers();
    expect_numbers();
}

static int set_up(void **state)
{
    (void)state;
    options = (struct weir_channel_options)WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    return 0;
}

static void test_attached(void **state)
{
    (void)state;
    open_former();
    open_subscriber(WEIR_DELIVERY_RELIABLE);
    come_round();
    expect_waiting();
    pair_close(&pair);
}

static void test_refused(void **state)
{
    uint64_t number = 7;
    (void)state;
    open_former();
    open_subscriber(WEIR_DELIVERY_RELIABLE);
    assert_result(weir_publisher_send_until(pair.publisher, &number, sizeof number, 0, NOW), 0);
    atomic_store((weir__atomic_u64 *)(void *)pair.publisher->ring, 12345); /* no header */
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  -EUCLEAN);
    come_round();
    expect_waiting();
    pair_close(&pair);
}

/* One that evicts waits for nobody, but knows what nobody has taken. */
static void test_finished(void **state)
{
    uint64_t number = 7;
    (void)state;
    open_former();
    open_subscriber(WEIR_DELIVERY_RELIABLE);
    assert_result(weir_publisher_send_until(pair.publisher, &number, sizeof number, 0, NOW), 0);
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  0);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  -ENODATA);
    options.lag_max_bytes = WEIR_RING_BYTES_MIN / 4;
    come_round();
    assert_result(weir_publisher_send_until(pair.publisher, &number, sizeof number, 0, NOW), 0);
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    pair_close(&pair);
}

/* Who is not waited for reads from its begin what has come since. */
static void test_lossy(void **state)
{
    (void)state;
    open_former();
    open_subscriber(WEIR_DELIVERY_LOSSY);
    come_round();
    send_numbers();
    expect_numbers();
    pair_close(&pair);
}

static void test_tapped(void **state)
{
    struct weir_tap *tap;
    uint64_t got;
    (void)state;
    open_former();
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    come_round();
    send_numbers();
    /* The look that leaves the former lane. */
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EAGAIN);
    for (uint64_t i = 0; i < NUMBERS; i++) {
        got = UINT64_MAX;
        assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), 0);
        assert_int_equal(got, i);
    }
    weir_tap_close(tap);
    weir_publisher_close(pair.publisher);
}

/* Two lanes at once, of one session: what is held of the one is no wall in the other. */
static void test_held(void **state)
{
    struct weir_publisher *other;
    struct weir_message message;
    uint64_t number = 7;
    (void)state;
    open_former();
    open_subscriber(WEIR_DELIVERY_RELIABLE);
    atomic_store(&weir__sessions, count + WEIR_IDENTITY_SESSION_MAX + 1);
    assert_result(weir_publisher_open(&other, "lane", &options), 0);
    assert_int_equal(other->side.me, former);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  -EAGAIN);
    assert_result(weir_publisher_send_until(pair.publisher, &number, sizeof number, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
                  -EAGAIN);
    for (int i = 0; i < 2; i++) {
        assert_result(weir_publisher_send_until(other, &number, sizeof number, 0, NOW), 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, &number, sizeof number, NULL, NOW),
            -EAGAIN);
    }
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(other, 1, NOW), 0);
    assert_int_equal(pair.publisher->wall_count, 1);
    assert_int_equal(other->wall_count, 2);
    weir_publisher_close(other);
    pair_close(&pair);
}

/* One that went, and another one that came: that is told. */
static void test_told_of(void **state)
{
    struct weir_wait_set *set;
    struct weir_wait_event event;
    (void)state;
    open_former();
    assert_result(weir_wait_set_open(&set, NULL), 0);
    assert_result(weir_wait_set_add_members(set, "lane", NULL, WEIR_WAIT_PUBLISHERS, 0), 0);
    assert_result(weir_wait_set_wait_until(set, &event, 1, NOW), 1);
    assert_result(weir_wait_set_wait_until(set, &event, 1, NOW), -EAGAIN);
    come_round();
    assert_result(weir_wait_set_wait_until(set, &event, 1, NOW), 1);
    assert_int_equal(event.what, WEIR_WAIT_PUBLISHERS);
    assert_int_equal(event.publishers, 1);
    weir_wait_set_close(set);
    weir_publisher_close(pair.publisher);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, fixture_check_alive)
    const struct CMUnitTest tests[] = {
        TEST(test_attached), TEST(test_refused), TEST(test_finished), TEST(test_lossy),
        TEST(test_tapped),   TEST(test_held),    TEST(test_told_of),
    };
    return cmocka_run_group_tests_name("lane_sessions", tests, fixture_start_alive, fixture_end);
}
