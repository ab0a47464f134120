/* SPDX-License-Identifier: MIT */
/*
 * Goal: a member that may not call membarrier(2) any more, by a filter that came over it since its open, says
 *       so when it sleeps, and whoever rings it puts the fence from then on: else a wake-up could be lost
 *       at each sleep.
 * Method: a child opens, forbids itself the call, and waits; that it sleeps is asked of the kernel. What
 *         the other side has learnt stands in its handle.
 */
#include "asleep.h"
#include "crowd.h"
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <sys/wait.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

#define SOON weir_deadline_ns(20 * SECOND_NS)

enum { BYTES = 512 };

static void forbid_membarrier(void)
{
    CHECK(forbid_call(SYS_membarrier, EPERM));
}

static void wait_for_messages(void *unused)
{
    (void)unused;
    struct weir_subscriber *subscriber = crowd_subscriber();
    CHECK_RESULT(weir_subscriber_wait_publisher(subscriber, SOON), 0);
    atomic_fetch_add(&board->ready, 1);
    crowd_await(&board->words[1], 1);
    forbid_membarrier();
    for (int i = 0; i < 3; i++) {
        atomic_store(&board->words[0], (uint64_t)i + 1);
        CHECK_RESULT(crowd_take(subscriber, 0, SOON), 0);
    }
    weir_subscriber_close(subscriber);
}

static void test_a_subscriber(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    pid_t child = crowd_fork(wait_for_messages, NULL);
    crowd_await_ready(1);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    assert_false(publisher->must_fence);
    atomic_store(&board->words[1], 1);
    for (uint64_t i = 0; i < 3; i++) {
        crowd_await(&board->words[0], i + 1);
        see_asleep(child);
        assert_int_equal(crowd_send(publisher, 0, BYTES, NOW), 0);
        assert_true(publisher->must_fence && publisher->is_special);
        assert_int_equal(publisher->live->quick_stop, 0);
    }
    crowd_end(child);
    weir_publisher_close(publisher);
}

static void wait_for_room(void *unused)
{
    (void)unused;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    atomic_fetch_add(&board->ready, 1);
    forbid_membarrier();
    while (crowd_send(publisher, 0, BYTES, NOW) == 0)
        ;
    atomic_store(&board->words[0], 1);
    CHECK_RESULT(crowd_send(publisher, 0, BYTES, SOON), 0);
    atomic_store(&board->words[0], 2);
    weir_publisher_close(publisher);
}

static void test_a_publisher(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    pid_t child = crowd_fork(wait_for_room, NULL);
    assert_result(weir_subscriber_wait_publisher(subscriber, SOON), 0);
    crowd_await(&board->words[0], 1);
    assert_false(subscriber->lanes[0]->waker.must_fence);
    see_asleep(child);
    while (atomic_load(&board->words[0]) < 2 && subscriber->lane_count > 0) {
        int result = crowd_take(subscriber, 0, NOW);
        assert_true(result == 0 || result == -EAGAIN || result == -ENODATA);
        if (result == 0) {
            assert_true(subscriber->lanes[0]->waker.must_fence);
            assert_int_equal(subscriber->lanes[0]->usual_stop, 0);
        }
    }
    crowd_end(child);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_a_subscriber),
        CROWD_TEST(test_a_publisher),
    };
    if (!can_forbid_call(SYS_membarrier))
        return 77;
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
