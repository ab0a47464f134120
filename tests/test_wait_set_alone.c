/* SPDX-License-Identifier: MIT */
/*
 * Goal: where nobody can wait in a wait set's place (no io_uring, and no thread or no memory for one's
 *       list) it goes on, by itself: a wait lasts as long as it was asked to, what becomes ready is
 *       told without a slice, the set's descriptor is quiet between looks; and once somebody can wait,
 *       he does.
 * Method: in place of the ring's opening, the thread's start and its wait stand functions that fail as
 *       they are told to. What becomes ready does so in the moment in which the set falls asleep.
 */
#include "readable.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>

#include "base/bells_thread.h"
#include "base/uring_queue.h"
#include "waitset/set.h"

static bool has_ring, has_thread, has_room;
static unsigned starts; /* of threads, tried */
static unsigned asks;   /* slices, as an item sees them */
static unsigned sleeps;
static struct weir_publisher *sender; /* sends in the next sleep */

/* What the linker puts in place of these: see CMakeLists.txt. */
int __wrap_weir__uring_queue_open(struct weir__uring_queue *queue, unsigned entries, int eventfd);
int __real_weir__uring_queue_open(struct weir__uring_queue *queue, unsigned entries, int eventfd);
int __wrap_weir__bells_thread_start(struct weir__bells_thread **thread, int eventfd);
int __real_weir__bells_thread_start(struct weir__bells_thread **thread, int eventfd);
int __wrap_weir__bells_thread_wait(struct weir__bells_thread *thread,
                                   const struct weir__bell *bells, uint32_t count);
int __real_weir__bells_thread_wait(struct weir__bells_thread *thread,
                                   const struct weir__bell *bells, uint32_t count);
void __wrap_weir__item_ask(struct weir__item *item);
void __real_weir__item_ask(struct weir__item *item);
int __wrap_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals);
int __real_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals);

int __wrap_weir__uring_queue_open(struct weir__uring_queue *queue, unsigned entries, int eventfd)
{
    int result = __real_weir__uring_queue_open(queue, entries, eventfd);
    return has_ring ? result : -EPERM;
}

int __wrap_weir__bells_thread_start(struct weir__bells_thread **thread, int eventfd)
{
    starts++;
    return has_thread ? __real_weir__bells_thread_start(thread, eventfd) : -EAGAIN;
}

int __wrap_weir__bells_thread_wait(struct weir__bells_thread *thread,
                                   const struct weir__bell *bells, uint32_t count)
{
    return has_room ? __real_weir__bells_thread_wait(thread, bells, count) : -ENOMEM;
}

void __wrap_weir__item_ask(struct weir__item *item)
{
    asks++;
    __real_weir__item_ask(item);
}

int __wrap_ppoll(struct pollfd *entries, nfds_t count, const struct timespec *time,
                 const sigset_t *signals)
{
    sleeps++;
    if (sender)
        waiting_send(sender);
    sender = NULL;
    return __real_ppoll(entries, count, time, signals);
}

static void allow(bool ring, bool thread, bool room)
{
    has_ring = ring;
    has_thread = thread;
    has_room = room;
}

static void enter(struct weir_publisher **publisher, struct weir_subscriber **subscriber)
{
    *publisher = waiting_publisher("one");
    *subscriber = waiting_subscriber("one");
    assert_result(weir_publisher_wait_subscribers(*publisher, 1, NOW), 0);
    assert_result(weir_wait_set_add_subscriber(waiting_set, *subscriber, 1), 0);
    while (waiting_take(*subscriber) != -EAGAIN)
        ;
}

static void leave(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/*
 * A message comes while the set sleeps, again and again. How often it was told without a slice; one
 * or another may come in that very moment.
 */
static unsigned count_told_at_once(struct weir_publisher *publisher,
                                   struct weir_subscriber *subscriber)
{
    unsigned count = 0;
    for (int i = 0; i < 10; i++) {
        sender = publisher;
        asks = 0;
        assert_result(waiting_within(5000 * MS_NS), 1);
        assert_int_equal(waiting_events[0].token, 1);
        count += asks == 0;
        assert_null(sender);
        assert_result(waiting_take(subscriber), 0);
    }
    return count;
}

static void expect_to_serve(struct weir_publisher *publisher, struct weir_subscriber *subscriber)
{
    assert_result(waiting_within(30 * MS_NS), -ETIMEDOUT);
    assert_result(waiting_within(30 * MS_NS), -ETIMEDOUT);
    assert_true(count_told_at_once(publisher, subscriber) > 0);
}

static void test_nobody_waits(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    enter(&publisher, &subscriber);
    allow(false, false, true);
    expect_to_serve(publisher, subscriber);
    leave(publisher, subscriber);
}

static void test_no_room_for_the_list(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    enter(&publisher, &subscriber);
    allow(false, true, false);
    expect_to_serve(publisher, subscriber);
    leave(publisher, subscriber);
}

static void *serve_elsewhere(void *argument)
{
    struct weir_publisher *publisher = argument;
    struct weir_subscriber *subscriber = NULL;
    for (uint32_t i = 0; i < waiting_set->room; i++)
        if (waiting_set->items[i])
            subscriber = waiting_set->items[i]->subscriber;
    expect_to_serve(publisher, subscriber);
    return NULL;
}

/* Armed already, by whatever there is; then in another thread, where a ring would be a new one. */
static void test_nobody_any_more(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    pthread_t thread;
    enter(&publisher, &subscriber);
    allow(true, true, true);
    assert_result(waiting_within(30 * MS_NS), -ETIMEDOUT);
    assert_true(waiting_set->items[0]->is_armed);
    allow(false, false, false);
    assert_int_equal(pthread_create(&thread, NULL, serve_elsewhere, publisher), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    leave(publisher, subscriber);
}

/* A wait says that there is nothing, and the descriptor is quiet: at some moment, for so long. */
static bool becomes_quiet(int descriptor, int for_ms)
{
    for (int64_t until_ns = weir_deadline_ns(10 * SECOND_NS); weir_now_ns() < until_ns;) {
        assert_result(waiting_within(NOW), -EAGAIN);
        if (!is_readable(descriptor, for_ms))
            return true;
    }
    return false;
}

/* The set in poll. */
static void test_descriptor(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    int descriptor = weir_wait_set_fd(waiting_set);
    unsigned at_once = 0;
    enter(&publisher, &subscriber);
    allow(false, false, true);
    for (int i = 0; i < 10; i++) {
        assert_true(becomes_quiet(descriptor, 0));
        waiting_send(publisher);
        asks = 0;
        do
            assert_true(is_readable(descriptor, 5000));
        while (waiting_within(NOW) == -EAGAIN);
        at_once += asks == 0;
        assert_result(waiting_take(subscriber), 0);
    }
    assert_true(at_once > 0);
    /* What is in the set no more is not looked for. */
    weir_subscriber_close(subscriber);
    assert_true(becomes_quiet(descriptor, 450));
    weir_publisher_close(publisher);
}

/* Threads are to be had again: the set has one within a slice, and looks no more. */
static void test_somebody_again(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    int descriptor = weir_wait_set_fd(waiting_set);
    enter(&publisher, &subscriber);
    allow(false, false, true);
    for (starts = 0; starts < 3;) /* it tries again */
        assert_result(waiting_within(MS_NS), -ETIMEDOUT);
    assert_false(waiting_set->items[0]->is_armed);
    allow(false, true, true);
    while (!waiting_set->items[0]->is_armed)
        assert_result(waiting_within(MS_NS), -ETIMEDOUT);
    assert_true(becomes_quiet(descriptor, 100));
    assert_true(count_told_at_once(publisher, subscriber) > 0);
    leave(publisher, subscriber);
}

/* Deaths are asked for by slices, however often it looks; and it sleeps between looks. */
static void test_slices(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    enter(&publisher, &subscriber);
    allow(false, false, true);
    assert_result(waiting_within(MS_NS), -ETIMEDOUT);
    int64_t start_ns = weir_now_ns();
    for (asks = sleeps = 0; asks < 3;)
        assert_result(waiting_within(20 * MS_NS), -ETIMEDOUT);
    int64_t took_ns = weir_now_ns() - start_ns;
    assert_true(took_ns >= 2 * WEIR__SLICE_NS);
    assert_true(sleeps < took_ns / MS_NS * 2 + 100);
    leave(publisher, subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_nobody_waits),    WAITING_TEST(test_no_room_for_the_list),
        WAITING_TEST(test_nobody_any_more), WAITING_TEST(test_descriptor),
        WAITING_TEST(test_somebody_again),  WAITING_TEST(test_slices),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
