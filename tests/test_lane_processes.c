/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is committed crosses from one process to another, whoever is killed, and no wake is
 * lost. Method: both sides in two processes, one of which waits, floods or is killed; all of it also
 * (--without-membarrier) where both must fence instead.
 */
#include "in_time.h"
#include "pair.h"
#include "silence.h"

#include <errno.h>
#include <signal.h>

static void meet_and_kill(struct companion *companion)
{
    companion_meet(companion);
    assert_int_equal(kill(companion->pid, SIGKILL), 0);
    companion_end(companion);
}

/* What a publisher of so many messages had sent when it was killed; then, until its death is told. */
static int64_t outlive_publisher(void *argument)
{
    int count = *(int *)argument;
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_start(&companion, pair_publish_and_wait, &count);
    if (count == 0) { /* it waits until its lane is attached */
        assert_result(weir_subscriber_wait_publisher(subscriber, SOON), 0);
        meet_and_kill(&companion);
    }
    for (int i = 0; i < count; i++) {
        assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
        if (i == 0)
            meet_and_kill(&companion);
        assert_memory_equal(message.data, &i, sizeof i);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
    }
    int64_t before_ns = weir_now_ns();
    assert_result(weir_subscriber_take_until(subscriber, &message, SOON), -EPIPE);
    int64_t took_ns = weir_now_ns() - before_ns;
    weir_subscriber_close(subscriber);
    return took_ns;
}

static void test_killed_publisher(void **state)
{
    (void)state;
    for (int count = 0; count < 300; count += 37)
        expect_in_time(outlive_publisher, &count, SECOND_NS);
}

static void subscribe_and_wait(struct companion *companion, void *argument)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, SOON), 0);
    companion_arrive(companion);
}

/* A full ring; then, until there is room because its reader is dead. */
static int64_t outlive_subscriber(void *unused)
{
    static unsigned char bytes[1000];
    struct weir_publisher *publisher;
    struct companion companion;
    (void)unused;
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    companion_start(&companion, subscribe_and_wait, NULL);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    /* It takes one message, and holds it: the ring fills up behind it. */
    int result;
    while ((result = weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, NOW)) == 0)
        ;
    assert_result(result, -EAGAIN);
    companion_meet(&companion);
    assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0,
                                            weir_deadline_ns(SECOND_NS / 10)),
                  -ETIMEDOUT);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, SOON), 0);
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_result(weir_publisher_wait_taken(publisher, SOON), -EPIPE);
    weir_publisher_close(publisher);
    return took_ns;
}

static void test_killed_subscriber(void **state)
{
    (void)state;
    expect_in_time(outlive_subscriber, NULL, SECOND_NS);
}

#define SLOW_NS INT64_C(100000000) /* half a slice */
enum { ROUNDS = 500, SLOW_MAX = 5 };

/* Answers each message of "there" with one on "back"; both sides sleep each time. */
static void echo(struct companion *companion, void *argument)
{
    struct weir_channel_options options = *(struct weir_channel_options *)argument;
    struct weir_subscriber *there;
    struct weir_publisher *back;
    struct weir_message message;
    CHECK_RESULT(weir_subscriber_open(&there, "there", &options), 0);
    CHECK_RESULT(weir_publisher_open(&back, "back", &options), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(back, 1, SOON), 0);
    companion_arrive(companion);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(weir_subscriber_take_until(there, &message, SOON), 0);
        CHECK_RESULT(weir_publisher_send(back, message.data, message.size_bytes), 0);
        CHECK_RESULT(weir_subscriber_release(there, &message), 0);
    }
    CHECK_RESULT(weir_publisher_wait_taken(back, SOON), 0);
    weir_subscriber_close(there);
    weir_publisher_close(back);
}

/* A wake that is lost costs a slice of 200 ms; a machine that is busy holds up a round or two for as long. */
static void ping_pong(const struct weir_channel_options *options)
{
    struct weir_channel_options copy = *options;
    struct companion companion;
    struct weir_publisher *there;
    struct weir_subscriber *back;
    struct weir_message message;
    assert_result(weir_publisher_open(&there, "there", options), 0);
    assert_result(weir_subscriber_open(&back, "back", options), 0);
    companion_start(&companion, echo, &copy);
    assert_result(weir_publisher_wait_subscribers(there, 1, SOON), 0);
    /* Attaches the lane of "back", so that its publisher sees us. */
    assert_result(weir_subscriber_wait_publisher(back, SOON), 0);
    companion_meet(&companion);
    companion_release(&companion);
    unsigned slow = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t before_ns = weir_now_ns();
        assert_result(weir_publisher_send(there, &i, sizeof i), 0);
        assert_result(weir_subscriber_take_until(back, &message, SOON), 0);
        assert_memory_equal(message.data, &i, sizeof i);
        assert_result(weir_subscriber_release(back, &message), 0);
        slow += weir_now_ns() - before_ns > SLOW_NS;
    }
    assert_in_range(slow, 0, SLOW_MAX);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(there);
    weir_subscriber_close(back);
}

static void test_no_wake_is_lost(void **state)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)state;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    ping_pong(&options);
    options.flags = 0;
    ping_pong(&options);
}

static void test_flood_of_one_that_leaves_at_once(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 200000;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_start(&companion, pair_flood, &count);
    for (int i = 0; i < count; i++) {
        assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
        const uint64_t *words = message.data;
        assert_int_equal(message.size_bytes, (i * 7 % 64 + 1) * 8);
        for (size_t k = 0; k < message.size_bytes / 8; k++)
            if (words[k] != (uint64_t)i)
                fail_msg("message %d is torn at word %zu", i, k);
        assert_int_equal(message.sequence, i);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
    }
    assert_result(weir_subscriber_take_until(subscriber, &message, SOON), -ENODATA);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(subscriber);
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_killed_publisher),
        PAIR_TEST(test_killed_subscriber),
        PAIR_TEST(test_no_wake_is_lost),
        PAIR_TEST(test_flood_of_one_that_leaves_at_once),
    };
    if (!silence_begin(argument_count, arguments))
        return 77;
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
