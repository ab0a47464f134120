/* SPDX-License-Identifier: MIT */
/*
 * Goal: the descriptors of a subscriber of several publishers, and of a publisher of several
 *       subscribers, are readable exactly while the call would not wait, as the header says.
 * Method: poll after each step, in one process.
 */
#include "crowd.h"
#include "fixture.h"
#include "readable.h"
#include "unrun.h"

#include <errno.h>
#include <unistd.h>

/* Readable soon, and still so. */
static bool stays_readable(int descriptor)
{
    return is_readable(descriptor, 5000) && is_readable(descriptor, 0);
}

/* Longer than the thread's slice. */
static bool is_quiet(int descriptor)
{
    return !is_readable(descriptor, 250);
}

/* What may stand there once for nothing: another who has come, or one that has left. */
static void settle(struct weir_subscriber *subscriber)
{
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
}

static void test_subscriber(void **state)
{
    (void)state;
    struct weir_publisher *publishers[3];
    struct weir_subscriber *subscriber = crowd_subscriber();
    int descriptor = weir_subscriber_fd(subscriber);
    assert_true(descriptor >= 0);
    settle(subscriber);
    assert_true(is_quiet(descriptor));
    for (int i = 0; i < 3; i++) {
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_true(stays_readable(descriptor)); /* another has come */
        settle(subscriber);
        assert_true(is_quiet(descriptor));
    }
    for (uint32_t i = 0; i < 9; i++) {
        assert_int_equal(crowd_send(publishers[i % 3], i % 3, 64, NOW), 0);
        assert_true(stays_readable(descriptor));
        if (i % 2) /* of another one, too */
            assert_int_equal(crowd_send(publishers[(i + 1) % 3], (i + 1) % 3, 64, NOW), 0);
        assert_result(crowd_take(subscriber, 0, NOW), 0);
        if (i % 2) {
            assert_true(stays_readable(descriptor));
            assert_result(crowd_take(subscriber, 0, NOW), 0);
        }
        settle(subscriber);
        assert_true(is_quiet(descriptor));
    }
    /* That one of them goes is not the end. */
    weir_publisher_close(publishers[1]);
    settle(subscriber);
    assert_true(is_quiet(descriptor));
    assert_int_equal(crowd_send(publishers[2], 2, 64, NOW), 0);
    weir_publisher_close(publishers[2]);
    assert_true(stays_readable(descriptor));
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    settle(subscriber);
    assert_true(is_quiet(descriptor));
    weir_publisher_close(publishers[0]);
    assert_true(stays_readable(descriptor));
    assert_result(crowd_take(subscriber, 0, NOW), -ENODATA);
    settle(subscriber);
    assert_true(is_quiet(descriptor));
    weir_subscriber_close(subscriber);
}

/* Who waits for a publisher has a descriptor for its messages afterwards, and for it where none has come. */
static void test_subscriber_and_its_publisher(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    int descriptor = weir_subscriber_fd(subscriber);
    assert_true(descriptor >= 0);
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), -EAGAIN);
    assert_true(is_quiet(descriptor));
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_true(stays_readable(descriptor));
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    assert_true(is_quiet(descriptor));
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_true(stays_readable(descriptor));
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    assert_true(stays_readable(descriptor)); /* the message is there still */
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void publish_and_wait(void *argument)
{
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    (void)argument;
    CHECK_RESULT(crowd_send(publisher, 9, 64, weir_deadline_ns(10 * SECOND_NS)), 0);
    atomic_store(&board->ready, 1);
    crowd_await(&board->words[0], 1);
}

/* One is killed beside another, which lives: no end. Then the last one is killed. */
static void test_subscriber_and_death(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    int descriptor = weir_subscriber_fd(subscriber);
    pid_t pids[2];
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&board->ready, 0);
        atomic_store(&board->sure[9], 0);
        atomic_store(&board->seen[0][9].first, 0);
        pids[i] = crowd_fork(publish_and_wait, NULL);
        int result;
        while ((result = crowd_take(subscriber, 0, NOW)) == -EAGAIN)
            assert_true(is_readable(descriptor, 10000));
        assert_result(result, 0);
        crowd_await_ready(1);
    }
    crowd_kill(pids[0]);
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    while (weir_subscriber_publishers(subscriber) > 2 && weir_now_ns() < until_ns)
        if (is_readable(descriptor, 100))
            settle(subscriber);
    assert_int_equal(weir_subscriber_publishers(subscriber), 2);
    until_ns = weir_deadline_ns(800 * MS_NS); /* some slices more */
    while (weir_now_ns() < until_ns)
        if (is_readable(descriptor, 100))
            settle(subscriber);
    assert_true(is_quiet(descriptor));
    weir_publisher_close(publisher);
    while (is_readable(descriptor, 300))
        settle(subscriber);
    crowd_kill(pids[1]);
    struct unrun unrun;
    int64_t begun_ns = weir_now_ns();
    unrun_begin(&unrun, &(pid_t){ getpid() }, 1);
    int result = -EAGAIN;
    while (result == -EAGAIN && weir_now_ns() - begun_ns < 20 * SECOND_NS)
        if (is_readable(descriptor, 100))
            result = crowd_take(subscriber, 0, NOW);
    assert_result(result, -EPIPE);
    assert_true(weir_now_ns() - begun_ns - unrun_ns(&unrun) < SECOND_NS);
    weir_subscriber_close(subscriber);
}

static int fill(struct weir_publisher *publisher)
{
    int result;
    do
        result = crowd_send(publisher, 1, 1000, NOW);
    while (result == 0);
    return result;
}

static void drain(struct weir_subscriber *subscriber, unsigned number)
{
    while (crowd_take(subscriber, number, NOW) == 0)
        ;
}

/* Room: the slowest of three says when; or it goes. */
static void test_publisher_and_room(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscribers[3];
    int descriptor = weir_publisher_fd(publisher);
    assert_true(descriptor >= 0);
    assert_true(stays_readable(descriptor));
    for (int i = 0; i < 3; i++)
        subscribers[i] = crowd_subscriber();
    assert_result(fill(publisher), -EAGAIN);
    assert_true(is_quiet(descriptor));
    drain(subscribers[1], 1);
    assert_true(is_quiet(descriptor));
    drain(subscribers[0], 0);
    assert_true(is_quiet(descriptor));
    drain(subscribers[2], 2);
    assert_true(stays_readable(descriptor));

    assert_result(fill(publisher), -EAGAIN);
    drain(subscribers[0], 0);
    drain(subscribers[1], 1);
    assert_true(is_quiet(descriptor));
    weir_subscriber_close(subscribers[2]);
    assert_true(stays_readable(descriptor));
    assert_int_equal(crowd_send(publisher, 1, 1000, NOW), 0);

    assert_result(fill(publisher), -EAGAIN);
    assert_true(is_quiet(descriptor));
    subscribers[2] = crowd_subscriber(); /* which the next call meets */
    assert_true(stays_readable(descriptor));
    assert_result(fill(publisher), -EAGAIN);
    assert_true(is_quiet(descriptor));
    for (int i = 0; i < 3; i++)
        weir_subscriber_close(subscribers[i]);
    assert_true(stays_readable(descriptor)); /* nobody to wait for */
    weir_publisher_close(publisher);
}

static void test_publisher_and_others(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscribers[3];
    int descriptor = weir_publisher_fd(publisher);
    for (uint32_t i = 0; i < 3; i++) {
        assert_result(weir_publisher_wait_subscribers(publisher, 3, NOW), -EAGAIN);
        assert_true(is_quiet(descriptor));
        subscribers[i] = crowd_subscriber();
        if (i < 2 && stays_readable(descriptor)) /* another has come: the next call meets it */
            assert_result(weir_publisher_wait_subscribers(publisher, i + 1, NOW), 0);
    }
    assert_true(stays_readable(descriptor));
    assert_result(weir_publisher_wait_subscribers(publisher, 3, NOW), 0);
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(is_quiet(descriptor));
        assert_result(crowd_take(subscribers[i], i, NOW), 0);
    }
    assert_true(stays_readable(descriptor));
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    for (int i = 0; i < 3; i++)
        weir_subscriber_close(subscribers[i]);
    weir_publisher_close(publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_subscriber),           CROWD_TEST(test_subscriber_and_its_publisher),
        CROWD_TEST(test_subscriber_and_death), CROWD_TEST(test_publisher_and_room),
        CROWD_TEST(test_publisher_and_others),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
