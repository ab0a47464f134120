/* SPDX-License-Identifier: MIT */
/*
 * Goal: each kind of item of a wait set is ready exactly when its header says; items come and go in
 *       any order, and each error is clear.
 * Method: each in turn, in one process, by all ways to be woken up (waiting.h).
 */
#include "readable.h"
#include "usage.h"
#include "waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "channel/publisher.h"

static void test_subscriber(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 11), 0);
    waiting_expect_nothing();
    struct weir_publisher *publisher = waiting_publisher("one");
    waiting_expect(11, WEIR_WAIT_SUBSCRIBER); /* another has come */
    assert_result(waiting_take(subscriber), -EAGAIN);
    waiting_expect_nothing();
    for (int i = 0; i < 100; i++) {
        waiting_send(publisher);
        if (i % 3 == 0)
            waiting_send(publisher);
        waiting_expect(11, WEIR_WAIT_SUBSCRIBER);
        assert_result(waiting_take(subscriber), 0);
        if (i % 3 == 0) {
            waiting_expect(11, WEIR_WAIT_SUBSCRIBER);
            assert_result(waiting_take(subscriber), 0);
        }
        if (i % 10 == 0)
            waiting_expect_nothing();
    }
    waiting_send(publisher);
    weir_publisher_close(publisher);
    waiting_expect(11, WEIR_WAIT_SUBSCRIBER);
    assert_result(waiting_take(subscriber), 0);
    waiting_expect(11, WEIR_WAIT_SUBSCRIBER);
    assert_result(waiting_take(subscriber), -ENODATA);
    waiting_expect_nothing();
    weir_subscriber_close(subscriber);
    assert_result(weir_wait_set_remove(waiting_set, 0), -ENOENT);
    waiting_expect_nothing();
}

static int fill(struct weir_publisher *publisher)
{
    char data[1000] = { 0 };
    int result;
    do
        result = weir_publisher_send_until(publisher, data, sizeof data, 0, NOW);
    while (result == 0);
    return result;
}

static void test_publisher(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    assert_result(weir_wait_set_add_publisher(waiting_set, publisher, 12), 0);
    int descriptor = weir_wait_set_fd(waiting_set);
    waiting_expect_nothing(); /* nothing was refused */
    assert_false(waiting_becomes_ready(descriptor, 300 * MS_NS));
    for (int i = 0; i < 3; i++) {
        assert_result(fill(publisher), -EAGAIN);
        assert_true(is_readable(descriptor, 0)); /* for it to be armed */
        waiting_expect_nothing();
        waiting_settle(waiting_set);
        assert_result(waiting_take(subscriber), 0);
        assert_result(waiting_take(subscriber), 0);
        assert_true(waiting_is_rung(waiting_set));
        assert_true(waiting_becomes_ready(descriptor, 5000 * MS_NS));
        waiting_expect(12, WEIR_WAIT_PUBLISHER);
        waiting_send(publisher);
        waiting_expect_nothing();
    }
    /* Of a wait for subscribers, likewise. */
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), -EAGAIN);
    waiting_expect_nothing();
    struct weir_subscriber *second = waiting_subscriber("one");
    waiting_expect(12, WEIR_WAIT_PUBLISHER);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    waiting_expect_nothing();
    assert_result(weir_publisher_subscribers(publisher), 2);
    assert_result(weir_subscriber_publishers(second), 1);
    weir_subscriber_close(second);
    assert_result(weir_publisher_subscribers(publisher), 1);
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_publishers(subscriber), 0);
    weir_subscriber_close(subscriber);
}

/* One that is readable was removed: it makes the set's descriptor readable no more, and may come again. */
static void expect_gone(int fd)
{
    int descriptor = weir_wait_set_fd(waiting_set);
    waiting_expect_nothing();
    assert_false(is_readable(descriptor, 0));
    assert_true(is_readable(fd, 0));
    assert_result(weir_wait_set_add_fd(waiting_set, fd, POLLIN, 4), 0);
    waiting_expect(4, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
}

static void test_descriptors(void **state)
{
    (void)state;
    int ends[2], counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t count = 1;
    char byte;
    assert_int_equal(pipe(ends), 0);
    assert_result(weir_wait_set_add_fd(waiting_set, ends[0], POLLIN, 1), 0);
    assert_result(weir_wait_set_add_fd(waiting_set, ends[0], POLLIN, 1), -EEXIST);
    assert_result(weir_wait_set_add_fd(waiting_set, counter, POLLIN, 2), 1);
    assert_result(weir_wait_set_add_fd(waiting_set, -1, POLLIN, 2), -EBADF);
    assert_result(weir_wait_set_add_fd(waiting_set, INT_MAX, POLLIN, 2), -EBADF);
    assert_result(weir_wait_set_add_fd(waiting_set, ends[1], UINT32_MAX, 2), -EINVAL);
    assert_result(weir_wait_set_add_fd(waiting_set, weir_wait_set_fd(waiting_set), POLLIN, 2),
                  -EINVAL);
    waiting_expect_nothing();
    assert_int_equal(write(ends[1], "x", 1), 1);
    waiting_expect(1, WEIR_WAIT_FD);
    assert_int_equal(waiting_events[0].what, POLLIN);
    assert_int_equal(write(counter, &count, sizeof count), sizeof count);
    assert_result(waiting_within(NOW), 2);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    waiting_expect(2, WEIR_WAIT_FD);
    /* Each has its turn, also where there is room for one alone. */
    assert_int_equal(write(ends[1], "x", 1), 1);
    unsigned told[3] = { 0 };
    for (int i = 0; i < 40; i++) {
        assert_result(weir_wait_set_wait_until(waiting_set, waiting_events, 1, NOW), 1);
        told[waiting_events[0].token]++;
    }
    assert_in_range(told[1], 10, 30);
    assert_int_equal(told[1] + told[2], 40);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    assert_result(weir_wait_set_remove(waiting_set, 0), -ENOENT);
    waiting_expect(2, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(waiting_set, 1), 0);
    waiting_expect_nothing();
    expect_gone(counter);
    assert_result(weir_wait_set_add_fd(waiting_set, ends[1], POLLOUT, 3), 0);
    close(ends[0]);
    waiting_expect(3, WEIR_WAIT_FD);
    assert_true(waiting_events[0].what & POLLERR);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    close(ends[1]);
    close(counter);
}

/* Closed before it was removed: its number may be another one's by then, which stays. */
static void test_a_descriptor_is_closed_first(void **state)
{
    (void)state;
    int first = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_fd(waiting_set, first, POLLIN, 1), 0);
    close(first);
    int second = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(second, first);
    assert_result(weir_wait_set_add_fd(waiting_set, second, POLLIN, 2), 1);
    waiting_expect(2, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    waiting_expect(2, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(waiting_set, 1), 0);
    waiting_expect_nothing();
    close(second);
}

/* Closed first, and open as a copy: what epoll goes on saying of it is none of the item that follows. */
static void test_a_descriptor_is_open_elsewhere(void **state)
{
    (void)state;
    int first = eventfd(1, EFD_CLOEXEC), copy = dup(first);
    assert_result(weir_wait_set_add_fd(waiting_set, first, POLLIN, 1), 0);
    close(first);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    int second = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_fd(waiting_set, second, POLLIN, 2), 0);
    waiting_expect_nothing();
    assert_int_equal(eventfd_write(second, 1), 0);
    waiting_expect(2, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    close(second);
    close(copy);
}

/* Each of the events that may be asked for is told, and no other one. */
static void test_a_socket_that_is_shut(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_result(weir_wait_set_add_fd(waiting_set, ends[0], EPOLLRDHUP, 1), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    waiting_expect_nothing();
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    waiting_expect(1, WEIR_WAIT_FD);
    assert_int_equal(waiting_events[0].what, EPOLLRDHUP);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    close(ends[0]);
    close(ends[1]);
}

/* How many descriptors an epoll set has; one that has been closed, but is open elsewhere, too. */
static int epoll_members(int epoll)
{
    char path[64], line[256];
    int count = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        count += strncmp(line, "tfd:", 4) == 0;
    fclose(file);
    return count;
}

/* The set's own descriptors may get the number, too: a timer's, and the one of its slices. */
static void test_a_descriptor_of_the_set_follows(void **state)
{
    (void)state;
    int first = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_fd(waiting_set, first, POLLIN, 1), 0);
    close(first);
    assert_result(weir_wait_set_add_timer(waiting_set, weir_deadline_ns(MS_NS), 0, 2), 1);
    assert_true(fcntl(first, F_GETFD) >= 0);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    assert_result(waiting_within(5000 * MS_NS), 1);
    assert_int_equal(waiting_events[0].kind, WEIR_WAIT_TIMER);
    first = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_fd(waiting_set, first, POLLIN, 1), 0);
    close(first);
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, WEIR_WAIT_PUBLISHERS, 3), 1);
    assert_true(fcntl(first, F_GETFD) >= 0);
    int slices = epoll_members(weir_wait_set_fd(waiting_set));
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    assert_int_equal(epoll_members(weir_wait_set_fd(waiting_set)), slices);
}

static void test_timers(void **state)
{
    (void)state;
    int64_t start_ns = weir_now_ns();
    assert_result(weir_wait_set_add_timer(waiting_set, -1, 0, 1), -EINVAL);
    assert_result(weir_wait_set_add_timer(waiting_set, WEIR_NEVER, 0, 1), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "nor the first time WEIR_NEVER"));
    assert_result(weir_wait_set_add_timer(waiting_set, weir_deadline_ns(1000 * SECOND_NS), 0, 1),
                  0);
    assert_result(waiting_within(NOW), -EAGAIN);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    assert_result(weir_wait_set_add_timer(waiting_set, weir_deadline_ns(60 * MS_NS), 0, 1), 0);
    assert_result(weir_wait_set_add_timer(waiting_set, weir_deadline_ns(20 * MS_NS), 20 * MS_NS, 2),
                  1);
    uint64_t expirations = 0;
    bool has_first = false;
    while (expirations < 10 || !has_first) {
        int count = waiting_within(5000 * MS_NS);
        assert_in_range(count, 1, 2);
        for (int i = 0; i < count; i++) {
            assert_int_equal(waiting_events[i].kind, WEIR_WAIT_TIMER);
            assert_true(waiting_events[i].expirations > 0);
            if (waiting_events[i].token == 2) {
                expirations += waiting_events[i].expirations;
            } else {
                assert_false(has_first); /* once */
                has_first = true;
                assert_true(weir_now_ns() - start_ns >= 60 * MS_NS);
            }
        }
    }
    assert_true(weir_now_ns() - start_ns >= (int64_t)expirations * 20 * MS_NS);
    assert_result(weir_wait_set_remove(waiting_set, 0), -ENOENT);
    assert_result(weir_wait_set_remove(waiting_set, 1), 0);
    assert_result(weir_wait_set_add_timer(waiting_set, 0, 0, 3), 0); /* at once */
    assert_result(waiting_within(NOW), 1);
    waiting_expect_nothing();
    /* All that have passed meanwhile come as one event, and are counted. */
    start_ns = weir_now_ns();
    assert_result(weir_wait_set_add_timer(waiting_set, start_ns - 100 * MS_NS, 10 * MS_NS, 4), 0);
    assert_result(waiting_within(NOW), 1);
    assert_true(waiting_events[0].expirations >= 11);
    int64_t late_ns = weir_now_ns() - start_ns;
    assert_true(waiting_events[0].expirations <= 11 + (uint64_t)(late_ns / (10 * MS_NS)));
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
}

/* Of what is always ready and more than there is room for, each has its turn. */
static void test_turns(void **state)
{
    (void)state;
    enum { CHANNELS = 5, WAITS = 600 };
    struct weir_publisher *publishers[CHANNELS];
    struct weir_subscriber *subscribers[CHANNELS];
    unsigned told[CHANNELS + 1] = { 0 };
    int counter = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < CHANNELS; i++) {
        char name[16];
        snprintf(name, sizeof name, "turn%d", i);
        publishers[i] = waiting_publisher(name);
        subscribers[i] = waiting_subscriber(name);
        waiting_send(publishers[i]);
        assert_result(weir_wait_set_add_subscriber(waiting_set, subscribers[i], (uint64_t)i), i);
    }
    assert_result(weir_wait_set_add_fd(waiting_set, counter, POLLIN, CHANNELS), CHANNELS);
    for (int i = 0; i < WAITS; i++) {
        assert_result(weir_wait_set_wait_until(waiting_set, waiting_events, 2, NOW), 2);
        assert_true(waiting_events[0].token != waiting_events[1].token);
        told[waiting_events[0].token]++;
        told[waiting_events[1].token]++;
        if (i % 4 > 0)
            continue;
        int64_t due_ns = weir_now_ns() + 200 * 1000; /* the descriptor's turn */
        while (weir_now_ns() < due_ns)
            ;
    }
    for (unsigned i = 0; i <= CHANNELS; i++)
        assert_in_range(told[i], WAITS / 10, WAITS);
    for (int i = 0; i < CHANNELS; i++) {
        weir_publisher_close(publishers[i]);
        weir_subscriber_close(subscribers[i]);
    }
    close(counter);
}

/* What no publisher could open is refused here, too, and no channel is made. */
static void test_members_options(void **state)
{
    const struct weir_channel_options rows[] = {
        { .size = 4 },
        { .size = sizeof rows[0], .flags = 1 << 15 },
        { .size = sizeof rows[0], .flags = WEIR_CHANNEL_SPIN_ONLY | WEIR_CHANNEL_SLEEP_ONLY },
        { .size = sizeof rows[0], .mode = 0777 },
        { .size = sizeof rows[0], .trust = 99 },
        { .size = sizeof rows[0], .ring_bytes = 65535 },
        { .size = sizeof rows[0], .publishers_max = WEIR_CHANNEL_MEMBERS_MAX + 1 },
        { .size = sizeof rows[0], .subscribers_max = WEIR_CHANNEL_MEMBERS_MAX + 1 },
        { .size = sizeof rows[0], .delivery = WEIR_DELIVERY_LOSSY + 1 },
        { .size = sizeof rows[0], .start = WEIR_START_BACK + 1 },
        { .size = sizeof rows[0], .type_bytes = 8 },
        { .size = sizeof rows[0], .reserved = { 0, 1 } },
        { .size = sizeof rows[0], .ring_bytes = 65536, .lag_max_bytes = 65537 },
        { .size = sizeof rows[0], .ring_bytes = 65536, .type_name = "t", .type_bytes = 16377 },
    };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    const uint32_t both = WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS;
    struct weir_segment *segment;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int result = weir_wait_set_add_members(waiting_set, "one", &rows[i], both, 1);
        if (result != -EINVAL)
            print_error("row %zu\n", i);
        assert_result(result, -EINVAL);
        assert_true(strlen(weir_last_error()) > 10);
    }
    assert_result(weir_segment_open(&segment, weir_by_name("one"), 0, NULL), -ENOENT);
    struct weir_publisher *publisher = waiting_publisher("one"); /* of a channel that is reliable */
    options.delivery = WEIR_DELIVERY_LOSSY;
    assert_result(weir_wait_set_add_members(waiting_set, "one", &options, both, 1), -EINVAL);
    options.delivery = WEIR_DELIVERY_RELIABLE;
    options.flags = WEIR_CHANNEL_PERSISTENT;
    assert_result(weir_wait_set_add_members(waiting_set, "one", &options, both, 1), -EINVAL);
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    assert_result(weir_wait_set_add_members(waiting_set, "one", &options, both, 1), 0);
    weir_publisher_close(publisher);
}

static void test_members(void **state)
{
    (void)state;
    const uint32_t both = WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS;
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, 0, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, 4, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(waiting_set, "", NULL, both, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, both, 5), 0);
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, WEIR_WAIT_SUBSCRIBERS, 6), 1);
    assert_result(waiting_within(NOW), 2); /* at once: how many are there */
    assert_int_equal(waiting_events[0].publishers + waiting_events[0].subscribers, 0);
    waiting_expect_nothing();
    struct weir_publisher *publisher = waiting_publisher("one");
    assert_result(waiting_within(5000 * MS_NS), 1);
    assert_int_equal(waiting_events[0].token, 5);
    assert_int_equal(waiting_events[0].kind, WEIR_WAIT_MEMBERS);
    assert_int_equal(waiting_events[0].what, WEIR_WAIT_PUBLISHERS);
    assert_int_equal(waiting_events[0].publishers, 1);
    waiting_expect_nothing();
    struct weir_subscriber *subscribers[2] = { waiting_subscriber("one"),
                                               waiting_subscriber("one") };
    assert_result(waiting_within(5000 * MS_NS), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waiting_events[i].what, WEIR_WAIT_SUBSCRIBERS);
        assert_int_equal(waiting_events[i].subscribers, 2);
        assert_int_equal(waiting_events[i].publishers, waiting_events[i].token == 5);
    }
    waiting_expect_nothing();
    weir_subscriber_close(subscribers[0]);
    weir_subscriber_close(waiting_subscriber("one")); /* come and gone */
    assert_result(waiting_within(5000 * MS_NS), 2);
    assert_int_equal(waiting_events[1].subscribers, 1);
    waiting_expect_nothing();
    weir_subscriber_close(waiting_subscriber("one"));
    waiting_expect_nothing();
    weir_subscriber_close(subscribers[1]);
    weir_publisher_close(publisher);
    assert_result(waiting_within(5000 * MS_NS), 2);
    waiting_expect_nothing();
}

/* One who was killed when it had given its place back, and had not said so, is missed after a slice. */
static void test_members_that_left_without_a_word(void **state)
{
    (void)state;
    struct weir_publisher *publisher = waiting_publisher("one");
    const struct weir__side *side = &publisher->side;
    weir__atomic_u64 *owner = &weir__side_own(side)->at[side->number].owner;
    assert_result(weir_wait_set_add_members(waiting_set, "one", NULL, WEIR_WAIT_PUBLISHERS, 5), 0);
    assert_result(waiting_within(NOW), 1);
    assert_int_equal(waiting_events[0].publishers, 1);
    waiting_expect_nothing();
    uint64_t was = atomic_exchange(owner, 0);
    assert_result(waiting_within(5000 * MS_NS), 1);
    assert_int_equal(waiting_events[0].publishers, 0);
    waiting_expect_nothing();
    atomic_store(owner, was);
    assert_result(waiting_within(5000 * MS_NS), 1);
    weir_publisher_close(publisher);
    assert_result(waiting_within(5000 * MS_NS), 1);
    waiting_expect_nothing();
}

/*
 * However long it is to spin, it does so for a slice at most; and in the midst of it timers, descriptors
 * and slices are seen, as if it slept.
 */
static void test_long_spin(void **state)
{
    (void)state;
    const struct itimerspec soon = { .it_value = { 0, 20 * MS_NS } };
    struct weir_wait_set_options options = WEIR_WAIT_SET_OPTIONS;
    struct weir_wait_set *set = NULL;
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    options.spin_ns = UINT32_MAX; /* more than 4 seconds */
    assert_result(weir_wait_set_open(&set, &options), 0);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    int64_t start_ns = weir_now_ns();
    assert_result(weir_wait_set_add_timer(set, weir_deadline_ns(20 * MS_NS), 0, 2), 1);
    assert_result(weir_wait_set_wait_until(set, waiting_events, 4, WEIR_NEVER), 1);
    assert_int_equal(waiting_events[0].token, 2);
    assert_result(weir_wait_set_add_fd(set, fd, POLLIN, 3), 1);
    assert_int_equal(timerfd_settime(fd, 0, &soon, NULL), 0);
    assert_result(weir_wait_set_wait_until(set, waiting_events, 4, WEIR_NEVER), 1);
    assert_int_equal(waiting_events[0].token, 3);
    assert_true(weir_now_ns() - start_ns < 3 * SECOND_NS); /* sooner than one such spin would end */
    assert_result(weir_wait_set_remove(set, 1), 0);
    close(fd);
    struct usage before = usage_now();
    assert_result(weir_wait_set_wait_until(set, waiting_events, 4, weir_deadline_ns(SECOND_NS)),
                  -ETIMEDOUT);
    assert_true(usage_since(before).cpu_us < 500000);
    weir_wait_set_close(set);
    weir_subscriber_close(subscriber);
}

static void test_errors(void **state)
{
    (void)state;
    struct weir_wait_set *other = NULL;
    struct weir_wait_set_options options = WEIR_WAIT_SET_OPTIONS;
    options.size--;
    assert_result(weir_wait_set_open(&other, &options), -EINVAL);
    options.size++;
    options.flags = 2;
    assert_result(weir_wait_set_open(&other, &options), -EINVAL);
    options.flags = 0;
    options.reserved[4] = 1;
    assert_result(weir_wait_set_open(&other, &options), -EINVAL);
    assert_null(other);
    assert_result(weir_wait_set_wait_until(waiting_set, waiting_events, 0, NOW), -EINVAL);
    assert_result(weir_wait_set_remove(waiting_set, UINT32_MAX), -ENOENT);
    /* Without a file: each says so, and the set is as it was. */
    struct weir_subscriber *subscriber = waiting_subscriber("one");
    struct rlimit before, none;
    int last = dup(0);
    close(last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)last;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_result(weir_wait_set_open(&other, NULL), -EMFILE);
    assert_result(weir_wait_set_add_timer(waiting_set, 0, 0, 1), -EMFILE);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(other);
    waiting_expect_nothing();
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    /* The first alone needs one, for good. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_result(weir_wait_set_remove(waiting_set, 0), 0);
    assert_result(weir_wait_set_add_subscriber(waiting_set, subscriber, 1), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    weir_subscriber_close(subscriber);
}

int main(int argument_count, char **arguments)
{
    if (!waiting_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        WAITING_TEST(test_subscriber),
        WAITING_TEST(test_publisher),
        WAITING_TEST(test_a_descriptor_is_closed_first),
        WAITING_TEST(test_a_descriptor_is_open_elsewhere),
        WAITING_TEST(test_a_descriptor_of_the_set_follows),
        WAITING_TEST(test_a_socket_that_is_shut),
        WAITING_TEST(test_descriptors),
        WAITING_TEST(test_timers),
        WAITING_TEST(test_turns),
        WAITING_TEST(test_members),
        WAITING_TEST(test_members_options),
        WAITING_TEST(test_members_that_left_without_a_word),
        WAITING_TEST(test_errors),
        WAITING_TEST(test_long_spin),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
