/* SPDX-License-Identifier: MIT */
/*
 * Goal: nothing is sent past a subscriber that is known and has not attached the publisher's lane yet, whatever
 *       the publisher did meanwhile: it begins where it came.
 * Method: handles of one process; shmat(2) is replaced by one before which, of a lane, the publisher has its
 *         turn: the subscriber stands in its place then, with its page, and has no lane.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/shm.h>

#include <weir/channel.h>

#include "channel/publisher.h"

void *__real_shmat(int id, const void *address, int flags);
void *__wrap_shmat(int id, const void *address, int flags);

#define NOW INT64_C(0)

enum { RING = 64 << 10, BYTES = 10000, OVER_THE_END = 16000, SMALL = 100 };

static void (*before_lane)(void);
static int result_before; /* of what the publisher sent then */

void *__wrap_shmat(int id, const void *address, int flags)
{
    struct shmid_ds about;
    if (before_lane && shmctl(id, IPC_STAT, &about) == 0 && about.shm_segsz >= RING) {
        void (*act)(void) = before_lane;
        before_lane = NULL;
        act();
    }
    return __real_shmat(id, address, flags);
}

static unsigned char data[OVER_THE_END];
static struct weir_publisher *publisher;
static struct weir_subscriber *first, *second;

static void receive_from(struct weir_subscriber *subscriber, size_t size_bytes)
{
    struct weir_message message;
    assert_result(weir_subscriber_receive_until(subscriber, data, sizeof data, &message, NOW), 0);
    assert_int_equal(message.size_bytes, size_bytes);
}

static int send_one(size_t size_bytes)
{
    return weir_publisher_send_until(publisher, data, size_bytes, 0, NOW);
}

static int open_all(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = RING;
    result_before = 1;
    assert_result(weir_publisher_open(&publisher, "credit", &options), 0);
    assert_result(weir_subscriber_open(&first, "credit", NULL), 0);
    for (int i = 0; i < 6; i++) { /* so far that no large one fits before the ring's end */
        assert_result(send_one(BYTES), 0);
        receive_from(first, BYTES);
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    weir_publisher_close(publisher);
    weir_subscriber_close(first);
    weir_subscriber_close(second);
    return 0;
}

/* A wait in vain beside a loan, which is given back. */
static void wait_and_send(int (*wait)(struct weir_publisher *publisher))
{
    assert_result(wait(publisher), -EAGAIN);
    weir_publisher_abandon(publisher);
    result_before = send_one(SMALL);
}

static int wait_for_two(struct weir_publisher *waiting)
{
    return weir_publisher_wait_subscribers(waiting, 2, NOW);
}

static int wait_until_taken(struct weir_publisher *waiting)
{
    return weir_publisher_wait_taken(waiting, NOW);
}

static void only_send(void)
{
    result_before = send_one(SMALL);
}

static void wait_for_two_and_send(void)
{
    wait_and_send(wait_for_two);
}

static void wait_until_taken_and_send(void)
{
    wait_and_send(wait_until_taken);
}

/* A pad stands before it. */
static void lend_over_the_end(void)
{
    void *at;
    assert_result(weir_publisher_loan_until(publisher, OVER_THE_END, &at, NOW), 0);
    assert_true(weir__publisher_written(publisher) < publisher->tail);
}

/* It came, and the publisher did so; nothing was sent; what is sent now arrives at both. */
static void assert_waited_for(void (*meanwhile)(void))
{
    before_lane = meanwhile;
    assert_result(weir_subscriber_open(&second, "credit", NULL), 0);
    assert_int_equal(result_before, -EAGAIN);
    assert_result(send_one(SMALL), 0);
    receive_from(first, SMALL);
    receive_from(second, SMALL);
}

static void test_a_send(void **state)
{
    (void)state;
    assert_waited_for(only_send);
}

static void test_a_wait_for_subscribers_beside_a_loan(void **state)
{
    (void)state;
    lend_over_the_end();
    assert_waited_for(wait_for_two_and_send);
}

static void test_a_wait_until_all_is_taken_beside_a_loan(void **state)
{
    (void)state;
    lend_over_the_end();
    assert_waited_for(wait_until_taken_and_send);
}

#define CREDIT_TEST(function) cmocka_unit_test_setup_teardown(function, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CREDIT_TEST(test_a_send),
        CREDIT_TEST(test_a_wait_for_subscribers_beside_a_loan),
        CREDIT_TEST(test_a_wait_until_all_is_taken_beside_a_loan),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
