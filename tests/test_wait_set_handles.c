/* SPDX-License-Identifier: MIT */
/*
 * Goal: handles and sets are closed in any order, a child of fork touches nothing of its parent's,
 *       and a wait may go from thread to thread, or end by a signal.
 * Method: each in turn, in one process, by all ways to be woken up (waiting.h).
 */
#include "readable.h"
#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

/* One handle in two sets; closed in the middle, it is in none. */
static void test_handles(void **state)
{
    (void)state;
    struct weir_wait_set *other;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    assert_result(weir_wait_set_open(&other, NULL), 0);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), -EEXIST);
    assert_result(weir_wait_set_add_subscriber(other, subscriber, 2), 0);
    assert_result(weir_wait_set_add_publisher(other, publisher, 3), 1);
    int descriptors[2] = { weir_wait_set_fd(waiting_set), weir_wait_set_fd(other) };
    for (int i = 0; i < 10; i++) {
        waiting_expect_nothing();
        assert_result(weir_wait_set_wait_until(other, waiting_events, 1, NOW), -EAGAIN);
        waiting_settle(waiting_set);
        waiting_settle(other);
        waiting_send(publisher);
        assert_true(waiting_is_rung(waiting_set));
        assert_true(waiting_is_rung(other));
        assert_true(is_readable(descriptors[0], 0));
        assert_true(is_readable(descriptors[1], 0));
        waiting_expect(1, WEIR_WAIT_SUBSCRIBER);
        assert_result(weir_wait_set_wait_until(other, waiting_events, 1, NOW), 1);
        assert_int_equal(waiting_events[0].token, 2);
        assert_result(waiting_take(subscriber), 0);
    }
    waiting_expect_nothing();
    waiting_send(publisher);
    weir_subscriber_close(subscriber);
    waiting_expect_nothing();
    assert_result(weir_wait_set_wait_until(other, waiting_events, 1, NOW), -EAGAIN);
    assert_result(weir_wait_set_remove(waiting_set, 0), -ENOENT);
    /* Its number is another's now; and the set may go before a handle. */
    subscriber = waiting_subscriber("one");
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 4), 0);
    waiting_expect_nothing();
    waiting_send(publisher);
    waiting_expect(4, WEIR_WAIT_SUBSCRIBER);
    weir_wait_set_close(other);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    waiting_expect_nothing();
    assert_result(waiting_take(subscriber), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void use_parents_set(void *argument)
{
    struct weir_subscriber *subscriber = argument;
    struct weir_wait_set *own;
    CHECK_RESULT(waiting_within(NOW), -ECHILD);
    CHECK_RESULT(weir_wait_set_fd(waiting_set), -ECHILD);
    CHECK_RESULT(weir_wait_set_remove(waiting_set, 0), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_subscriber(waiting_set, subscriber, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_fd(waiting_set, 0, POLLIN, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_timer(waiting_set, 0, 0, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_death(waiting_set, 0, 0, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_members(waiting_set, "one", NULL, 1, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_open(&own, NULL), 0);
    CHECK_RESULT(weir_wait_set_add_subscriber(own, subscriber, 9), -ECHILD);
    weir_subscriber_close(subscriber); /* the child's copy: also in the set's */
    weir_wait_set_close(waiting_set);
    CHECK_RESULT(weir_wait_set_add_timer(own, 0, 0, 9), 0);
    CHECK_RESULT(weir_wait_set_wait_until(own, waiting_events, 1, NOW), 1);
    weir_wait_set_close(own);
}

static void test_fork(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    int counter = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    assert_result(weir_wait_set_add_fd(waiting_set, counter, POLLIN, 2), 1);
    assert_result(weir_wait_set_add_timer(waiting_set, weir_deadline_ns(MS_NS), MS_NS, 3), 2);
    assert_result(waiting_within(50 * MS_NS), 1);
    assert_result(weir_wait_set_remove(waiting_set, 2), 0);
    waiting_expect_nothing();
    in_child(use_parents_set, subscriber);
    waiting_expect_nothing();
    assert_int_equal(eventfd_write(counter, 1), 0);
    waiting_expect(2, WEIR_WAIT_FD); /* the child took nothing out of the parent's */
    assert_result(weir_wait_set_remove(waiting_set, 1), 0);
    waiting_send(publisher);
    waiting_expect(1, WEIR_WAIT_SUBSCRIBER);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    close(counter);
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_signal(void **state)
{
    (void)state;
    const struct sigaction action = { .sa_handler = on_alarm };
    /* Again and again: the first one may come before the wait has begun. */
    const struct itimerval soon = { .it_value = { 0, 30000 }, .it_interval = { 0, 30000 } };
    const struct itimerval never = { .it_value = { 0, 0 } };
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_result(waiting_within(5000 * MS_NS), -EINTR);
        assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
        waiting_expect_nothing();
    }
    weir_subscriber_close(subscriber);
}

static int signalled_fd; /* what the handler makes readable */

static void on_alarm_write(int number)
{
    const uint64_t one = 1;
    int saved_errno = errno;
    (void)number;
    if (write(signalled_fd, &one, sizeof one) < 0)
        abort();
    errno = saved_errno;
}

/* What a handler makes ready in the midst of a sleep is told by that wait: EINTR is for nothing else. */
static void test_signal_that_makes_ready(void **state)
{
    (void)state;
    const struct sigaction action = { .sa_handler = on_alarm_write };
    const struct itimerval soon = { .it_value = { 0, 30000 } };
    uint64_t count;
    signalled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_result(weir_wait_set_add_fd(waiting_set, signalled_fd, POLLIN, 1), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_result(waiting_within(5000 * MS_NS), 1);
        assert_int_equal(waiting_events[0].token, 1);
        assert_int_equal(read(signalled_fd, &count, sizeof count), sizeof count);
        waiting_expect_nothing();
    }
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    close(signalled_fd);
}

/* The thread that waited last has ended, and with it what the kernel waited for in its place. */
static void *wait_once(void *argument)
{
    (void)argument;
    assert_result(waiting_within(NOW), -EAGAIN);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    pthread_t thread;
    int descriptor = weir_wait_set_fd(waiting_set);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wait_once, NULL), 0);
        pthread_join(thread, NULL);
        if (i % 2) { /* readable, for whatever reason: a wait here arms anew */
            while (is_readable(descriptor, 0) && waiting_within(NOW) == -EAGAIN)
                ;
        }
        waiting_send(publisher);
        assert_true(waiting_becomes_ready(descriptor, 5000 * MS_NS));
        waiting_expect(1, WEIR_WAIT_SUBSCRIBER);
        assert_result(waiting_take(subscriber), 0);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/*
 * Cancelled
 */

enum { PLACES_MAX = 8 };

static struct place {
    void *start;
    size_t bytes;
} places[PLACES_MAX];

/* Where this process has memory of an io_uring. */
static unsigned find_rings(void)
{
    char line[512];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        uintptr_t start, end;
        if (!strstr(line, "[io_uring]") || sscanf(line, "%zx-%zx", &start, &end) != 2)
            continue;
        assert_true(count < PLACES_MAX);
        memcpy(&places[count].start, &start, sizeof start);
        places[count++].bytes = end - start;
    }
    fclose(maps);
    return count;
}

static void *wait_for_a_moment(void *set)
{
    struct weir_wait_event event;
    assert_result(weir_wait_set_wait_until(set, &event, 1, weir_deadline_ns(20 * MS_NS)),
                  -ETIMEDOUT);
    return NULL;
}

static void *wait_cancelled(void *set)
{
    struct weir_wait_event event;
    pthread_cancel(pthread_self());
    weir_wait_set_wait_until(set, &event, 1, weir_deadline_ns(20 * SECOND_NS));
    return NULL;
}

/* Cancelled, where the other thread's ring is just closed: the close unmaps nothing of others. */
static void test_cancelled(void **state)
{
    (void)state;
    if (SANITIZED) /* it takes the frames that a cancellation leaves for live ones */
        skip();
    struct weir_wait_set *set;
    struct weir_subscriber *subscribers[] = { waiting_subscriber("one"),
                                              waiting_subscriber("two") };
    pthread_t thread;
    void *end, *mine[PLACES_MAX];
    assert_result(weir_wait_set_open(&set, NULL), 0);
    assert_result(weir_wait_set_add_subscriber(set, subscribers[0], 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_a_moment, set), 0);
    pthread_join(thread, NULL);
    unsigned count = find_rings();
    assert_result(weir_wait_set_add_subscriber(set, subscribers[1], 2), 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_cancelled, set), 0);
    pthread_join(thread, &end);
    assert_ptr_equal(end, PTHREAD_CANCELED);
    for (unsigned i = 0; i < count; i++) /* where there is nothing any more */
        mine[i] = mmap(places[i].start, places[i].bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    weir_wait_set_close(set);
    for (unsigned i = 0; i < count; i++) {
        if (mine[i] == MAP_FAILED)
            continue;
        assert_int_equal(msync(mine[i], places[i].bytes, MS_ASYNC), 0); /* it is mapped */
        munmap(mine[i], places[i].bytes);
    }
    weir_subscriber_close(subscribers[0]);
    weir_subscriber_close(subscribers[1]);
}

/*
 * To and fro
 */

enum { HANDOVERS = 6 };

static pthread_barrier_t turn;

static struct {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
} both;

/* A message, and a wait that finds nothing: its thread is the one that hears the next. */
static void take_turn(void)
{
    waiting_send(both.publisher);
    assert_true(is_readable(weir_wait_set_fd(waiting_set), 5000));
    waiting_expect(1, WEIR_WAIT_SUBSCRIBER);
    assert_result(waiting_take(both.subscriber), 0);
    while (waiting_within(NOW) != -EAGAIN)
        ;
}

/* Takes its turn, and then does something else that a signal would end. */
static void *wait_to_and_fro(void *argument)
{
    struct epoll_event event;
    unsigned *interrupted = argument;
    int silence = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < HANDOVERS; i++) {
        take_turn();
        pthread_barrier_wait(&turn);
        *interrupted += epoll_wait(silence, &event, 1, 60) == -1;
        pthread_barrier_wait(&turn);
    }
    close(silence);
    return NULL;
}

/* A set that goes to and fro interrupts each of its threads once at most, and nobody then. */
static void test_to_and_fro(void **state)
{
    (void)state;
    unsigned interrupted = 0;
    pthread_t thread;
    both.publisher = waiting_publisher("one");
    both.subscriber = waiting_subscriber("one");
    assert_result(waiting_take(both.subscriber), -EAGAIN);
    assert_result(weir_wait_set_add_subscriber(waiting_set, both.subscriber, 1), 0);
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, wait_to_and_fro, &interrupted), 0);
    for (int i = 0; i < HANDOVERS; i++) {
        pthread_barrier_wait(&turn);
        take_turn();
        pthread_barrier_wait(&turn);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&turn);
    assert_true(interrupted <= 1);
    assert_int_equal(find_rings(), 0);
    weir_publisher_close(both.publisher);
    weir_subscriber_close(both.subscriber);
}

int main(int argument_count, char **arguments)
{
    if (!waiting_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_handles),    WAITING_TEST(test_fork),
        WAITING_TEST(test_signal),     WAITING_TEST(test_signal_that_makes_ready),
        WAITING_TEST(test_threads),    WAITING_TEST(test_cancelled),
        WAITING_TEST(test_to_and_fro),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
