/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever is ready is told at once, by a wait and by the set's descriptor; a ring that is
 *       late, or lost, costs a slice at most; and slices are not made for nobody.
 * Method: rings in the midst of arming, beside a handle's own calls, and none at all; by all ways to
 *       be woken up (waiting.h).
 */
#include "readable.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/identity.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "channel/wait.h"

/* Whose ring, so many times, comes while a set arms: behind the announcement. */
static struct weir_publisher *late_ringer;
static unsigned late_rings;

bool __real_weir__sleep_order(void);
bool __wrap_weir__sleep_order(void);

bool __wrap_weir__sleep_order(void)
{
    bool is_done = __real_weir__sleep_order();
    if (late_rings > 0) {
        late_rings--;
        weir__wake(&late_ringer->waker, weir__side_stats(&late_ringer->side));
    }
    return is_done;
}

/* The set in poll: once nothing is ready, for each that becomes so; whatever is done meanwhile. */
static void test_as_descriptor(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    int descriptor = weir_wait_set_fd(waiting_set), outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    assert_true(descriptor >= 0);
    assert_int_equal(weir_wait_set_fd(waiting_set), descriptor);
    assert_true(is_readable(descriptor, 0)); /* before the first wait */
    assert_result(waiting_within(NOW), -EAGAIN);
    assert_false(is_readable(descriptor, 300)); /* an empty set has no slices */
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    assert_true(is_readable(descriptor, 0)); /* something has come in */
    assert_result(waiting_within(NOW), -EAGAIN);
    assert_false(is_readable(descriptor, 0));
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, descriptor, &event), 0);
    for (int i = 0; i < 100; i++) {
        waiting_send(publisher);
        assert_int_equal(epoll_wait(outer, &event, 1, 5000), 1);
        assert_true(is_readable(descriptor, 0));
        if (i % 2)
            assert_result(waiting_within(NOW), 1);
        if (i % 3 == 0) { /* also by calls that sleep, of which the set knows nothing */
            waiting_send(publisher);
            assert_result(waiting_take(subscriber), 0);
        }
        assert_result(waiting_take(subscriber), 0);
        assert_result(
            weir_subscriber_receive_until(subscriber, NULL, 0, NULL, weir_deadline_ns(MS_NS / 10)),
            -ETIMEDOUT);
        assert_true(is_readable(descriptor, 0)); /* until a wait says otherwise */
        while (waiting_within(NOW) != -EAGAIN)
            ;
        assert_result(
            weir_subscriber_receive_until(subscriber, NULL, 0, NULL, weir_deadline_ns(MS_NS / 10)),
            -ETIMEDOUT);
    }
    close(outer);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* A message after the set was armed, and after a call of the handle's own has slept: told at once. */
static void test_own_calls(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    int descriptor = weir_wait_set_fd(waiting_set), own = weir_subscriber_fd(subscriber);
    unsigned late = 0;
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    for (int i = 0; i < 20; i++) {
        while (waiting_take(subscriber) != -EAGAIN)
            ;
        waiting_settle(waiting_set);
        if (i % 2)
            assert_result(weir_subscriber_receive_until(subscriber, NULL, 0, NULL,
                                                        weir_deadline_ns(MS_NS / 10)),
                          -ETIMEDOUT);
        int64_t start_ns = weir_now_ns();
        waiting_send(publisher);
        assert_true(is_readable(own, 5000));
        late += weir_now_ns() - start_ns > 50 * MS_NS;
        assert_true(waiting_is_rung(waiting_set));
        assert_true(is_readable(descriptor, 0));
        assert_result(waiting_within(NOW), 1);
    }
    if (!SANITIZED) /* by slices three of four would be, a busy machine's are few */
        assert_in_range(late, 0, 3);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/*
 * A ring while the set arms, for a message that was found without it: the next message is heard at
 * once. Also where somebody rings again and again.
 */
static void test_ring_while_it_arms(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = NULL;
    late_ringer = waiting_publisher("one");
    subscriber = waiting_subscriber("one");
    int descriptor = weir_wait_set_fd(waiting_set);
    assert_result(weir_publisher_wait_subscribers(late_ringer, 1, NOW), 0);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    for (unsigned i = 0; i < 30; i++) {
        late_rings = i % 3 == 2 ? 50 : i % 3;
        do
            while (waiting_within(NOW) != -EAGAIN)
                ;
        while (late_rings > 0 || is_readable(descriptor, 0));
        waiting_send(late_ringer);
        assert_true(waiting_is_rung(waiting_set));
        assert_true(is_readable(descriptor, 0));
        assert_result(waiting_within(NOW), 1);
        assert_result(waiting_take(subscriber), 0);
    }
    weir_publisher_close(late_ringer);
    weir_subscriber_close(subscriber);
}

/*
 * A message for which nobody has rung, since its publisher was killed before it did, is found by a
 * slice, although descriptors that are always ready take all the room.
 */
static void test_lost_ring_in_a_crowd(void **state)
{
    (void)state;
    for (size_t room = 1; room <= 2; room++) {
        struct weir_publisher *publisher = waiting_publisher("one");
        struct weir_subscriber *subscriber = waiting_subscriber("one");
        int counters[3], told = 0;
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
        int item = weir_wait_set_add_subscriber(waiting_set, subscriber, 1);
        assert_result(waiting_within(30 * MS_NS), -ETIMEDOUT); /* it is armed */
        for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
            counters[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
            assert_true(weir_wait_set_add_fd(waiting_set, counters[i], POLLIN, 2) > 0);
        }
        publisher->waker.rung = atomic_load(subscriber->side.waiter.epoch);
        waiting_send(publisher);
        int64_t until_ns = weir_deadline_ns(2 * SECOND_NS);
        while (told == 0 && weir_now_ns() < until_ns) {
            int count = weir_wait_set_wait_until(waiting_set, waiting_events, room, NOW);
            assert_true(count > 0);
            for (int i = 0; i < count; i++)
                told += waiting_events[i].token == 1;
        }
        assert_int_equal(told, 1);
        assert_result(weir_wait_set_remove(waiting_set, (uint32_t)item), 0);
        for (uint32_t i = 1; i <= ARRAY_SIZE(counters); i++) {
            assert_result(weir_wait_set_remove(waiting_set, (uint32_t)item + i), 0);
            close(counters[i - 1]);
        }
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
    }
}

/* Whether the set wakes for slices, although nothing becomes ready. */
static bool has_slices(int descriptor)
{
    while (waiting_within(NOW) != -EAGAIN || is_readable(descriptor, 0))
        ;
    return is_readable(descriptor, 450);
}

/* In a child. */
static void show_identity(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    atomic_store(&board->words[0], identity);
    for (;;)
        pause();
}

static void add_an_end(void)
{
    pid_t pid = crowd_fork(show_identity, NULL);
    crowd_await(&board->words[0], 1);
    assert_result(weir_wait_set_add_death(waiting_set, atomic_load(&board->words[0]), getuid(), 4),
                  2);
    crowd_kill(pid);
}

/* In a child. */
static void let_go(void *argument)
{
    weir_subscriber_close(argument);
    weir_wait_set_close(waiting_set);
}

/*
 * Slices go as long as there is anybody to ask for, and not with descriptors and timers alone; for
 * another one they go again. That a child of fork lets go of what is the parent's changes nothing.
 */
static void test_slices(void **state)
{
    (void)state;
    int counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        descriptor = weir_wait_set_fd(waiting_set);
    assert_result(weir_wait_set_add_fd(waiting_set, counter, POLLIN, 2), 0);
    assert_result(
        weir_wait_set_add_timer(waiting_set, weir_deadline_ns(1000 * SECOND_NS), SECOND_NS, 3), 1);
    assert_false(has_slices(descriptor));
    for (int i = 0; i < 2; i++) {
        struct weir_subscriber *subscriber = waiting_subscriber("one");
        int item = weir_wait_set_add_subscriber(waiting_set, subscriber, 1);
        assert_result(item, 2);
        assert_true(has_slices(descriptor));
        crowd_end(crowd_fork(let_go, subscriber));
        assert_true(has_slices(descriptor));
        if (i == 0)
            assert_result(weir_wait_set_remove(waiting_set, (uint32_t)item), 0);
        weir_subscriber_close(subscriber);
        assert_false(has_slices(descriptor));
    }
    /* With the end of a process that is told, its item is gone. */
    add_an_end();
    assert_true(waiting_becomes_ready(descriptor, 5000 * MS_NS));
    assert_int_equal(waiting_events[0].kind, WEIR_WAIT_DEATH);
    assert_false(has_slices(descriptor));
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    close(counter);
}

int main(int argument_count, char **arguments)
{
    if (!waiting_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_as_descriptor),
        WAITING_TEST(test_own_calls),
        WAITING_TEST(test_lost_ring_in_a_crowd),
        WAITING_TEST(test_ring_while_it_arms),
        WAITING_TEST(test_slices),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
