/* SPDX-License-Identifier: MIT */
/*
 * Goal: two sides that have met allocate nothing more and take no lock, whatever is called and whatever
 *       it says: what a message needs was there with the open, and with the meeting.
 * Method: in place of the C library's functions stand some that count.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/channel.h>

static unsigned counted;

/* What the linker puts in place of these: see CMakeLists.txt. */
void *__wrap_malloc(size_t bytes);
void *__real_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);

void *__wrap_malloc(size_t bytes)
{
    counted++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    counted++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    counted++;
    return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    counted++;
    return __real_aligned_alloc(alignment, bytes);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    counted++;
    return __real_pthread_mutex_lock(mutex);
}

enum { LAPS = 3, SHORT_NS = 300000, LARGE_BYTES = 9000 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static unsigned char bytes[WEIR_RING_BYTES_MIN];

static int64_t soon(void)
{
    return weir_deadline_ns(SHORT_NS);
}

/* Until it is full, and refused: at once, and after a sleep. */
static void send_all(unsigned turn)
{
    const struct weir_outgoing many[3] = { { bytes, 100, 1 }, { bytes, 0, 2 }, { bytes, 7, 3 } };
    void *place;
    int result = 0;
    assert_true(weir_publisher_batch_begin(publisher) == 0);
    assert_true(weir_publisher_send_many_until(publisher, many, 3, 0) == 3);
    assert_true(weir_publisher_batch_end(publisher) == 0);
    for (unsigned i = turn; result == 0; i++) {
        result = weir_publisher_send_until(publisher, bytes, i % 4 * 3000, 0, 0);
        if (result == 0)
            result = weir_publisher_loan_until(publisher, LARGE_BYTES, &place, 0);
        if (result == 0 && i % 3 == 0)
            weir_publisher_abandon(publisher);
        else if (result == 0)
            result = weir_publisher_commit(publisher, i % 5 * 1000, 0);
    }
    assert_true(result == -EAGAIN);
    assert_true(weir_publisher_send_until(publisher, bytes, LARGE_BYTES, 0, soon()) == -ETIMEDOUT);
    assert_true(weir_publisher_wait_taken(publisher, soon()) == -ETIMEDOUT);
    assert_true(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, 0) == -EMSGSIZE);
}

/* All of it, in each way; some are kept meanwhile, and released in another order. */
static void take_all(void)
{
    struct weir_message kept[4], many[8];
    int result = 0;
    for (int i = 0; i < 4; i++)
        assert_true(weir_subscriber_take_until(subscriber, &kept[i], 0) == 0);
    while (result >= 0) {
        result = weir_subscriber_take_many_until(subscriber, many, 8, 0);
        if (result > 0)
            result = weir_subscriber_release_many(subscriber, many, (size_t)result);
        if (result == 0)
            result = weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0);
    }
    assert_true(result == -EAGAIN);
    assert_true(weir_subscriber_take_until(subscriber, &many[0], soon()) == -ETIMEDOUT);
    for (int i = 4; i > 0; i--)
        assert_true(weir_subscriber_release(subscriber, &kept[i - 1]) == 0);
    assert_true(weir_subscriber_release(subscriber, &kept[0]) == -EINVAL);
}

static void test_no_allocation_and_no_lock(void **state)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)state;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    counted = 0;
    assert_result(weir_publisher_open(&publisher, "frugal", &options), 0);
    assert_result(weir_subscriber_open(&subscriber, "frugal", NULL), 0);
    assert_true(counted > 0); /* the method itself */
    assert_result(weir_publisher_wait_subscribers(publisher, 1, 0), 0);
    counted = 0;
    for (unsigned i = 0; i < LAPS; i++) {
        send_all(i);
        take_all();
    }
    assert_result(weir_publisher_wait_taken(publisher, 0), 0);
    assert_result(weir_publisher_end(publisher), 0);
    assert_result(weir_subscriber_take_until(subscriber, &(struct weir_message){ 0 }, 0), -ENODATA);
    assert_int_equal(counted, 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_no_allocation_and_no_lock, fixture_check_alive),
    };
    return cmocka_run_group_tests_name("lane_frugal", tests, fixture_start_alive, fixture_end);
}
