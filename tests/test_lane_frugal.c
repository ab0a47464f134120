/* SPDX-License-Identifier: MIT */
/*
 * Goal: two sides that have met allocate nothing more and take no lock, whatever is called and whatever
 *       it says: what a message needs was there with the open, and with the meeting. Who meets a
 *       newcomer allocates in that one call; a handle with a descriptor takes its own lock, as often a
 *       call whatever the call moves, and the other side none.
 * Method: in place of the C library's functions stand some that count: allocations of all
 *       threads, locks of the one that calls. With --without-io-uring a thread serves the descriptor alone.
 */
#include "fixture.h"
#include "sides.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/channel.h>

#include "base/atomics.h"

static weir__atomic_u32 allocations;
static _Thread_local unsigned locks;

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
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, bytes);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks++;
    return __real_pthread_mutex_lock(mutex);
}

enum { LAPS = 3, SHORT_NS = 300000, LARGE_BYTES = 9000 };

static unsigned char bytes[WEIR_RING_BYTES_MIN];

static int64_t soon(void)
{
    return weir_deadline_ns(SHORT_NS);
}

static void forget(void)
{
    atomic_store(&allocations, 0);
    locks = 0;
}

static void expect_nothing(void)
{
    assert_int_equal(atomic_load(&allocations), 0);
    assert_int_equal(locks, 0);
}

/* Until it is full, and refused: at once, and after a sleep. */
static void send_all(struct weir_publisher *publisher, unsigned turn)
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
static void take_all(struct weir_subscriber *subscriber)
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

static struct weir_publisher *open_publisher(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_result(weir_publisher_open(&publisher, "frugal", &options), 0);
    return publisher;
}

static struct weir_subscriber *open_subscriber(void)
{
    struct weir_subscriber *subscriber;
    assert_result(weir_subscriber_open(&subscriber, "frugal", NULL), 0);
    return subscriber;
}

static void open_both(struct weir_publisher **publisher, struct weir_subscriber **subscriber)
{
    forget();
    *publisher = open_publisher();
    *subscriber = open_subscriber();
    assert_true(atomic_load(&allocations) > 0); /* the method itself */
    assert_result(weir_publisher_wait_subscribers(*publisher, 1, 0), 0);
    forget();
}

static void close_both(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_no_allocation_and_no_lock(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    open_both(&publisher, &subscriber);
    for (unsigned i = 0; i < LAPS; i++) {
        send_all(publisher, i);
        take_all(subscriber);
    }
    assert_result(weir_publisher_wait_taken(publisher, 0), 0);
    assert_result(weir_publisher_end(publisher), 0);
    assert_result(weir_subscriber_take_until(subscriber, &(struct weir_message){ 0 }, 0), -ENODATA);
    expect_nothing();
    close_both(publisher, subscriber);
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* So many locks a call takes at most, where it moves one message or many. */
enum { LOCKS_A_CALL = 3 };

static void expect_locks(unsigned most)
{
    assert_in_range(locks, 0, most);
    locks = 0;
}

/* Of the calls of the other side none takes one. */
static void test_a_subscribers_descriptor(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    open_both(&publisher, &subscriber);
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    assert_true(atomic_load(&allocations) > 0);
    forget();
    for (unsigned i = 0; i < LAPS; i++) {
        send_all(publisher, i);
        assert_int_equal(locks, 0);
        take_all(subscriber);
        assert_true(locks > 0);
        locks = 0;
    }
    assert_result(weir_publisher_wait_taken(publisher, 0), 0);
    expect_nothing();
    close_both(publisher, subscriber);
}

static void test_the_locks_of_a_subscribers_calls(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct weir_message messages[8];
    (void)state;
    open_both(&publisher, &subscriber);
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    for (int i = 0; i < 60; i++)
        assert_result(weir_publisher_send_until(publisher, bytes, 800, 0, 0), 0);
    forget();
    for (int i = 0; i < 8; i++) {
        assert_result(weir_subscriber_take_until(subscriber, &messages[i], 0), 0);
        expect_locks(LOCKS_A_CALL);
    }
    for (int i = 8; i > 0; i--) {
        assert_result(weir_subscriber_release(subscriber, &messages[i - 1]), 0);
        expect_locks(LOCKS_A_CALL);
    }
    for (int i = 0; i < 4; i++) {
        assert_result(weir_subscriber_take_many_until(subscriber, messages, 8, 0), 8);
        expect_locks(LOCKS_A_CALL);
        assert_result(weir_subscriber_release_many(subscriber, messages, 8), 0);
        expect_locks(LOCKS_A_CALL);
    }
    for (int i = 40; i < 60; i++) {
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0), 0);
        expect_locks(LOCKS_A_CALL);
    }
    assert_result(weir_subscriber_take_until(subscriber, messages, 0), -EAGAIN);
    expect_locks(LOCKS_A_CALL);
    assert_result(weir_subscriber_take_until(subscriber, messages, soon()), -ETIMEDOUT);
    expect_locks(LOCKS_A_CALL);
    expect_nothing();
    close_both(publisher, subscriber);
}

/* One that is refused takes the lock, and the next one, which looks; no other one does. */
static void test_a_publishers_descriptor(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    open_both(&publisher, &subscriber);
    assert_true(weir_publisher_fd(publisher) >= 0);
    assert_true(atomic_load(&allocations) > 0);
    for (unsigned i = 0; i < LAPS; i++) {
        forget();
        send_all(publisher, i);
        assert_true(locks > 0);
        locks = 0;
        take_all(subscriber);
        assert_int_equal(locks, 0);
        assert_result(weir_publisher_send_until(publisher, bytes, 800, 0, 0), 0);
        expect_locks(1);
        for (int sent = 0; sent < 30; sent++)
            assert_result(weir_publisher_send_until(publisher, bytes, 800, 0, 0), 0);
        assert_int_equal(locks, 0);
        take_all(subscriber);
        expect_nothing();
    }
    close_both(publisher, subscriber);
}

/* --- who comes ---------------------------------------------------------------------------------- */

/* Both have something for the one who reads. */
static void send_of_two(struct weir_publisher *first, struct weir_publisher *second, unsigned turn)
{
    send_all(first, turn);
    send_all(second, turn + 1);
}

/* The other publisher has nothing to do with it; subscriber and comer meet in one call of each. */
static void test_a_publisher_that_comes(void **state)
{
    struct weir_publisher *publisher, *comer;
    struct weir_subscriber *subscriber;
    (void)state;
    open_both(&publisher, &subscriber);
    for (unsigned i = 0; i < LAPS; i++) {
        comer = open_publisher();
        forget();
        send_all(publisher, i);
        expect_nothing();
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, 0), 0);
        assert_true(atomic_load(&allocations) > 0);
        forget();
        take_all(subscriber);
        expect_nothing();
        assert_result(weir_publisher_wait_subscribers(comer, 1, 0), 0);
        assert_true(atomic_load(&allocations) > 0);
        forget();
        for (unsigned lap = 0; lap < LAPS; lap++) {
            send_of_two(publisher, comer, lap);
            take_all(subscriber);
        }
        expect_nothing();
        weir_publisher_close(comer);
        send_all(publisher, i);
        take_all(subscriber);
        expect_nothing();
    }
    close_both(publisher, subscriber);
}

/* It meets who is there with its open; the publisher meets it in one call. */
static void test_a_subscriber_that_comes(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber, *comer;
    (void)state;
    open_both(&publisher, &subscriber);
    for (unsigned i = 0; i < LAPS; i++) {
        comer = open_subscriber();
        forget();
        assert_result(weir_subscriber_take_until(subscriber, &(struct weir_message){ 0 }, 0),
                      -EAGAIN);
        expect_nothing();
        assert_result(weir_publisher_send_until(publisher, bytes, 100, 0, 0), 0);
        assert_true(atomic_load(&allocations) > 0);
        forget();
        for (unsigned lap = 0; lap < LAPS; lap++) {
            send_all(publisher, lap);
            take_all(subscriber);
            take_all(comer);
        }
        expect_nothing();
        weir_subscriber_close(comer);
        send_all(publisher, i);
        take_all(subscriber);
        expect_nothing();
    }
    close_both(publisher, subscriber);
}

int main(int argument_count, char **arguments)
{
    if (!sides_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_no_allocation_and_no_lock, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_subscribers_descriptor, fixture_check_alive),
        cmocka_unit_test_teardown(test_the_locks_of_a_subscribers_calls, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_publishers_descriptor, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_publisher_that_comes, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_subscriber_that_comes, fixture_check_alive),
    };
    return cmocka_run_group_tests_name("lane_frugal", tests, fixture_start_alive, fixture_end);
}
