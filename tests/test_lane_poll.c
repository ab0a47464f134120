/* SPDX-License-Identifier: MIT */
/*
 * Goal: a subscriber's descriptor is readable exactly while there is something to take or to learn.
 * Method: poll between each two steps; then a loop that lives on poll alone, a death, a fork.
 */
#include "in_time.h"
#include "pair.h"
#include "readable.h"

#include <errno.h>
#include <signal.h>

static void test_descriptor_tells_exactly(void **state)
{
    struct pair pair;
    struct weir_message message;
    (void)state;
    pair_open(&pair);
    int fd = weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    assert_int_equal(weir_subscriber_fd(pair.subscriber), fd);
    for (int i = 0; i < 200; i++) {
        assert_false(is_readable(fd, 0));
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_true(is_readable(fd, 5000));
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
        assert_true(is_readable(fd, 0)); /* one is still there */
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        assert_result(weir_subscriber_receive_until(pair.subscriber, &i, sizeof i, NULL, NOW), 0);
    }
    assert_false(is_readable(fd, 0));
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_true(is_readable(fd, 5000));
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    assert_false(is_readable(fd, 0));
    weir_publisher_close(pair.publisher);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_true(is_readable(fd, 5000)); /* a publisher has come: a call attaches its lane */
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_false(is_readable(fd, 0));
    pair_close(&pair);
}

static int64_t outlive_publisher(void *unused)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 1;
    (void)unused;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    int fd = weir_subscriber_fd(subscriber);
    companion_start(&companion, pair_publish_and_wait, &count);
    assert_true(is_readable(fd, 20000)); /* it has come */
    assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
    companion_meet(&companion);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    assert_false(is_readable(fd, 0));
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns();
    assert_true(is_readable(fd, 20000));
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPIPE);
    assert_false(is_readable(fd, 0));
    weir_subscriber_close(subscriber);
    return took_ns;
}

static void test_descriptor_and_a_killed_publisher(void **state)
{
    (void)state;
    expect_in_time(outlive_publisher, NULL, SECOND_NS);
}

/* Driven by poll alone: a readiness that is lost shows as a poll that times out. */
static void test_descriptor_drives_a_loop(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 20000, got = 0, result;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    int fd = weir_subscriber_fd(subscriber);
    companion_start(&companion, pair_flood, &count);
    do {
        assert_true(is_readable(fd, 20000));
        while ((result = weir_subscriber_take_until(subscriber, &message, NOW)) == 0) {
            assert_int_equal(message.sequence, got++);
            assert_result(weir_subscriber_release(subscriber, &message), 0);
        }
    } while (result == -EAGAIN);
    assert_result(result, -ENODATA);
    assert_int_equal(got, count);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(subscriber);
}

static void close_with_descriptor(void *argument)
{
    struct pair *pair = argument;
    CHECK_RESULT(weir_subscriber_fd(pair->subscriber), -ECHILD);
    weir_subscriber_close(pair->subscriber);
}

static void test_descriptor_and_fork(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair);
    int fd = weir_subscriber_fd(pair.subscriber);
    in_child(close_with_descriptor, &pair);
    assert_result(weir_publisher_send(pair.publisher, "x", 1), 0);
    assert_true(is_readable(fd, 5000));
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_descriptor_tells_exactly),
        PAIR_TEST(test_descriptor_and_a_killed_publisher),
        PAIR_TEST(test_descriptor_drives_a_loop),
        PAIR_TEST(test_descriptor_and_fork),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
