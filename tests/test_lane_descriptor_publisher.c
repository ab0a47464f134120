/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher's descriptor is readable exactly while the call that was refused would not wait,
 * also after its subscriber has left, or died.
 * Method: each turn in order, with both sides here; then with another process that is killed.
 */
#include "sides.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

#include "channel/descriptor.h"
#include "channel/publisher.h"

/* For each size: not readable as soon as refused, readable as soon as there is room. */
static void test_room(void **state)
{
    static const size_t sizes[] = { 0, 8, 1000, 16000 };
    (void)state;
    sides_open();
    assert_true(sides_fd_is_readable(0));
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned count = sides_fill(sizes[i]);
        assert_true(count > 2);
        for (int turn = 0; turn < 50; turn++) {
            assert_false(sides_fd_is_readable(0));
            sides_take_one();
            unsigned taken = 1;
            while (taken < count && !sides_fd_is_readable(sizes[i] > 8 ? 20 : 1000)) {
                assert_result(sides_send(sizes[i]), -EAGAIN); /* a pad takes the room of several */
                sides_take_one();
                taken++;
            }
            assert_true(sides_fd_is_readable(0));
            assert_result(sides_send(sizes[i]), 0);
            assert_true(sides_fd_is_readable(0));
            sides_fill(sizes[i]);
        }
        while (weir_publisher_wait_taken(sides.publisher, NOW) == -EAGAIN)
            sides_take_one();
    }
    sides_close();
}

/* It stands for the call that was refused, and not for a smaller message. */
static void test_room_for_what_was_refused(void **state)
{
    void *data;
    (void)state;
    sides_open();
    size_t most = weir_publisher_max_bytes(sides.publisher);
    unsigned count = sides_fill(1000);
    assert_result(sides_send(most), -EAGAIN);
    for (int i = 0; i < 4; i++)
        sides_take_one();
    assert_false(sides_fd_is_readable(300)); /* longer than a slice, too */
    assert_result(sides_send(1000), 0);
    assert_true(sides_fd_is_readable(0)); /* nothing is refused any more */
    assert_result(weir_publisher_loan_until(sides.publisher, most, &data, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    for (unsigned i = 4; i < count + 1; i++)
        sides_take_one();
    assert_true(sides_fd_is_readable(5000));
    assert_result(weir_publisher_loan_until(sides.publisher, most, &data, NOW), 0);
    assert_result(weir_publisher_commit(sides.publisher, most, 0), 0);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

/* Who has ended waits for no room any more, whatever it was refused before. */
static void test_the_end_of_what_was_refused(void **state)
{
    (void)state;
    sides_open();
    sides_fill(1000);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_publisher_end(sides.publisher), 0);
    assert_true(sides_fd_is_readable(0));
    assert_result(sides_send(1000), -EPIPE);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

static void test_waiting_for_a_subscriber(void **state)
{
    int result;
    (void)state;
    sides_open_publisher();
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(300));
    assert_result(sides_send(8), 0); /* to nobody; that is not refused */
    assert_true(sides_fd_is_readable(0));
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    do
        assert_true(sides_fd_is_readable(5000));
    while ((result = weir_publisher_wait_subscribers(sides.publisher, 1, NOW)) == -EAGAIN);
    assert_result(result, 0);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

static void test_waiting_until_all_is_taken(void **state)
{
    struct weir_message message;
    (void)state;
    sides_open();
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), 0);
    assert_result(sides_send(8), 0);
    assert_result(weir_publisher_end(sides.publisher), 0);
    assert_true(sides_fd_is_readable(0));
    assert_result(weir_publisher_wait_taken(sides.publisher, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), 0);
    assert_false(sides_fd_is_readable(300));
    assert_result(weir_subscriber_release(sides.subscriber, &message), 0);
    assert_true(sides_fd_is_readable(5000));
    assert_result(weir_publisher_wait_taken(sides.publisher, NOW), 0);
    sides_close();
}

static void test_subscriber_that_leaves(void **state)
{
    (void)state;
    sides_open();
    sides_fill(1000);
    assert_false(sides_fd_is_readable(0));
    weir_subscriber_close(sides.subscriber);
    assert_true(sides_fd_is_readable(5000)); /* nobody is there to wait for */
    assert_result(sides_send(1000), 0);
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides_fill(1000);
    assert_false(sides_fd_is_readable(300));
    sides_take_one();
    assert_true(sides_fd_is_readable(5000));
    sides_close();
}

static void test_subscriber_that_is_killed(void **state)
{
    struct companion companion;
    (void)state;
    sides_open_publisher();
    companion_start(&companion, sides_subscribe, NULL);
    companion_meet(&companion);
    sides_fill(1000);
    assert_false(sides_fd_is_readable(300));
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    assert_true(sides_fd_is_readable(1000));
    assert_result(sides_send(1000), 0);
    weir_publisher_close(sides.publisher);
}

static atomic_uint looks, asks;

static bool look_in_vain(void *unused)
{
    (void)unused;
    atomic_fetch_add(&looks, 1);
    return false;
}

static bool ask_in_vain(void *unused)
{
    (void)unused;
    atomic_fetch_add(&asks, 1);
    return false;
}

/* Rung for nothing, again and again, the thread looks, and asks for lives once a slice all the same. */
static void test_rings_for_nothing(void **state)
{
    struct weir__descriptor *descriptor;
    char view = 0;
    (void)state;
    sides_open();
    const struct weir__descriptor_watch watch = { .waiter = &sides.publisher->side.waiter,
                                                  .is_ready = look_in_vain,
                                                  .ask = ask_in_vain,
                                                  .view_bytes = sizeof view };
    assert_int_equal(weir__descriptor_open(&descriptor, &watch), 0);
    int64_t begun_ns = weir_now_ns();
    weir__descriptor_arm(descriptor, &view, sizeof view, false);
    for (int i = 0; i < 100; i++) {
        unsigned before = atomic_load(&looks);
        while (atomic_load(&looks) < before + 3) /* around one sleep of the thread at least */
            weir__ring(watch.waiter->doorbell);
    }
    unsigned slices = (unsigned)((weir_now_ns() - begun_ns) / WEIR__SLICE_NS) + 1;
    weir__descriptor_close(descriptor, true);
    assert_true(atomic_load(&asks) <= slices);
    sides_close();
}

int main(int argument_count, char **arguments)
{
    if (!sides_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        SIDES_TEST(test_room),
        SIDES_TEST(test_room_for_what_was_refused),
        SIDES_TEST(test_the_end_of_what_was_refused),
        SIDES_TEST(test_waiting_for_a_subscriber),
        SIDES_TEST(test_waiting_until_all_is_taken),
        SIDES_TEST(test_subscriber_that_leaves),
        SIDES_TEST(test_subscriber_that_is_killed),
        SIDES_TEST(test_rings_for_nothing),
    };
    return cmocka_run_group_tests(tests, sides_start, fixture_end);
}
