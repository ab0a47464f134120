/* SPDX-License-Identifier: MIT */
/*
 * Goal: each kind of item of a wait set is ready exactly when its header says, and the set's
 *       descriptor with it; items, handles and sets come and go in any order.
 * Method: each in turn, in one process; the wake-ups by io_uring where it is to be had, and
 *         (--without-io-uring, --without-waitv) by a thread, and by one that looks.
 */
#include "crowd.h"
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "channel/wait.h"

static struct weir_wait_set *set;
static struct weir_wait_event events[16];

/* Whose ring, so many times, comes while a set arms: behind the announcement. */
static struct weir_publisher *late_ringer;
static unsigned late_rings;

void __real_weir__sleep_order(void);
void __wrap_weir__sleep_order(void);

void __wrap_weir__sleep_order(void)
{
    __real_weir__sleep_order();
    if (late_rings == 0)
        return;
    late_rings--;
    weir__wake(&late_ringer->waker, weir__side_stats(&late_ringer->side));
}

static int set_up(void **state)
{
    (void)state;
    return weir_wait_set_open(&set, NULL);
}

static int tear_down(void **state)
{
    weir_wait_set_close(set);
    return crowd_check(state);
}

static struct weir_publisher *publisher_of(const char *name)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_result(weir_publisher_open(&publisher, name, &options), 0);
    return publisher;
}

static struct weir_subscriber *subscriber_of(const char *name)
{
    struct weir_subscriber *subscriber = NULL;
    assert_result(weir_subscriber_open(&subscriber, name, NULL), 0);
    return subscriber;
}

static void send_one(struct weir_publisher *publisher)
{
    assert_result(weir_publisher_send_until(publisher, "message", 8, 0, NOW), 0);
}

static int take(struct weir_subscriber *subscriber)
{
    char data[1024];
    return weir_subscriber_receive_until(subscriber, data, sizeof data, NULL, NOW);
}

static int wait_within(int64_t ns)
{
    return weir_wait_set_wait_until(set, events, ARRAY_SIZE(events),
                                    ns == 0 ? 0 : weir_deadline_ns(ns));
}

/* Exactly this one is ready, and still so. */
static void expect(uint64_t token, uint32_t kind)
{
    for (int i = 0; i < 2; i++) {
        assert_result(wait_within(i == 0 ? 5000 * MS_NS : 0), 1);
        assert_int_equal(events[0].token, token);
        assert_int_equal(events[0].kind, kind);
    }
}

static void expect_nothing(void)
{
    assert_result(wait_within(NOW), -EAGAIN);
    assert_result(wait_within(30 * MS_NS), -ETIMEDOUT);
}

static bool is_readable(int descriptor, int within_ms)
{
    struct pollfd entry = { descriptor, POLLIN, 0 };
    int found = poll(&entry, 1, within_ms);
    assert_true(found >= 0);
    return found == 1;
}

/* Within the time the set's descriptor says so, and a wait agrees: the slices alone do not count. */
static bool becomes_ready(int descriptor, int64_t within_ns)
{
    int64_t until_ns = weir_deadline_ns(within_ns);
    do {
        if (!is_readable(descriptor, 20))
            continue;
        int result = wait_within(NOW);
        if (result > 0)
            return true;
        assert_result(result, -EAGAIN);
    } while (weir_now_ns() < until_ns);
    return false;
}

static void test_subscriber(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = subscriber_of("one");
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 11), 0);
    expect_nothing();
    struct weir_publisher *publisher = publisher_of("one");
    expect(11, WEIR_WAIT_SUBSCRIBER); /* another has come */
    assert_result(take(subscriber), -EAGAIN);
    expect_nothing();
    for (int i = 0; i < 100; i++) {
        send_one(publisher);
        if (i % 3 == 0)
            send_one(publisher);
        expect(11, WEIR_WAIT_SUBSCRIBER);
        assert_result(take(subscriber), 0);
        if (i % 3 == 0) {
            expect(11, WEIR_WAIT_SUBSCRIBER);
            assert_result(take(subscriber), 0);
        }
        if (i % 10 == 0)
            expect_nothing();
    }
    send_one(publisher);
    weir_publisher_close(publisher);
    expect(11, WEIR_WAIT_SUBSCRIBER);
    assert_result(take(subscriber), 0);
    expect(11, WEIR_WAIT_SUBSCRIBER);
    assert_result(take(subscriber), -ENODATA);
    expect_nothing();
    weir_subscriber_close(subscriber);
    assert_result(weir_wait_set_remove(set, 0), -ENOENT);
    expect_nothing();
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
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    assert_result(weir_wait_set_add_publisher(set, publisher, 12), 0);
    int descriptor = weir_wait_set_fd(set);
    expect_nothing(); /* nothing was refused */
    assert_false(becomes_ready(descriptor, 300 * MS_NS));
    for (int i = 0; i < 3; i++) {
        assert_result(fill(publisher), -EAGAIN);
        assert_true(is_readable(descriptor, 0)); /* for it to be armed */
        expect_nothing();
        assert_result(take(subscriber), 0);
        assert_result(take(subscriber), 0);
        assert_true(becomes_ready(descriptor, 100 * MS_NS));
        expect(12, WEIR_WAIT_PUBLISHER);
        send_one(publisher);
        expect_nothing();
    }
    /* Of a wait for subscribers, likewise. */
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), -EAGAIN);
    expect_nothing();
    struct weir_subscriber *second = subscriber_of("one");
    expect(12, WEIR_WAIT_PUBLISHER);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    expect_nothing();
    assert_result(weir_publisher_subscribers(publisher), 2);
    assert_result(weir_subscriber_publishers(second), 1);
    weir_subscriber_close(second);
    assert_result(weir_publisher_subscribers(publisher), 1);
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_publishers(subscriber), 0);
    weir_subscriber_close(subscriber);
}

static void test_descriptors(void **state)
{
    (void)state;
    int ends[2], counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t count = 1;
    char byte;
    assert_int_equal(pipe(ends), 0);
    assert_result(weir_wait_set_add_fd(set, ends[0], POLLIN, 1), 0);
    assert_result(weir_wait_set_add_fd(set, ends[0], POLLIN, 1), -EEXIST);
    assert_result(weir_wait_set_add_fd(set, counter, POLLIN, 2), 1);
    assert_result(weir_wait_set_add_fd(set, -1, POLLIN, 2), -EBADF);
    assert_result(weir_wait_set_add_fd(set, ends[1], UINT32_MAX, 2), -EINVAL);
    assert_result(weir_wait_set_add_fd(set, weir_wait_set_fd(set), POLLIN, 2), -EINVAL);
    expect_nothing();
    assert_int_equal(write(ends[1], "x", 1), 1);
    expect(1, WEIR_WAIT_FD);
    assert_int_equal(events[0].what, POLLIN);
    assert_int_equal(write(counter, &count, sizeof count), sizeof count);
    assert_result(wait_within(NOW), 2);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    expect(2, WEIR_WAIT_FD);
    /* Each has its turn, also where there is room for one alone. */
    assert_int_equal(write(ends[1], "x", 1), 1);
    unsigned told[3] = { 0 };
    for (int i = 0; i < 40; i++) {
        assert_result(weir_wait_set_wait_until(set, events, 1, NOW), 1);
        told[events[0].token]++;
    }
    assert_in_range(told[1], 10, 30);
    assert_int_equal(told[1] + told[2], 40);
    assert_result(weir_wait_set_remove(set, 0), 0);
    assert_result(weir_wait_set_remove(set, 0), -ENOENT);
    expect(2, WEIR_WAIT_FD);
    assert_result(weir_wait_set_remove(set, 1), 0);
    expect_nothing();
    assert_result(weir_wait_set_add_fd(set, ends[1], POLLOUT, 3), 0);
    close(ends[0]);
    expect(3, WEIR_WAIT_FD);
    assert_true(events[0].what & POLLERR);
    assert_result(weir_wait_set_remove(set, 0), 0);
    close(ends[1]);
    close(counter);
}

static void test_timers(void **state)
{
    (void)state;
    int64_t start_ns = weir_now_ns();
    assert_result(weir_wait_set_add_timer(set, -1, 0, 1), -EINVAL);
    assert_result(weir_wait_set_add_timer(set, WEIR_NEVER, 0, 1), -EINVAL);
    assert_result(weir_wait_set_add_timer(set, weir_deadline_ns(60 * MS_NS), 0, 1), 0);
    assert_result(weir_wait_set_add_timer(set, weir_deadline_ns(20 * MS_NS), 20 * MS_NS, 2), 1);
    assert_result(wait_within(NOW), -EAGAIN);
    uint64_t expirations = 0;
    bool has_first = false;
    while (expirations < 10 || !has_first) {
        int count = wait_within(5000 * MS_NS);
        assert_in_range(count, 1, 2);
        for (int i = 0; i < count; i++) {
            assert_int_equal(events[i].kind, WEIR_WAIT_TIMER);
            assert_true(events[i].expirations > 0);
            if (events[i].token == 2) {
                expirations += events[i].expirations;
            } else {
                assert_false(has_first); /* once */
                has_first = true;
                assert_true(weir_now_ns() - start_ns >= 60 * MS_NS);
            }
        }
    }
    assert_true(weir_now_ns() - start_ns >= (int64_t)expirations * 20 * MS_NS);
    assert_result(weir_wait_set_remove(set, 0), -ENOENT);
    assert_result(weir_wait_set_remove(set, 1), 0);
    assert_result(weir_wait_set_add_timer(set, 0, 0, 3), 0); /* at once */
    assert_result(wait_within(NOW), 1);
    expect_nothing();
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
        publishers[i] = publisher_of(name);
        subscribers[i] = subscriber_of(name);
        send_one(publishers[i]);
        assert_result(weir_wait_set_add_subscriber(set, subscribers[i], (uint64_t)i), i);
    }
    assert_result(weir_wait_set_add_fd(set, counter, POLLIN, CHANNELS), CHANNELS);
    for (int i = 0; i < WAITS; i++) {
        assert_result(weir_wait_set_wait_until(set, events, 2, NOW), 2);
        assert_true(events[0].token != events[1].token);
        told[events[0].token]++;
        told[events[1].token]++;
        if (i % 4 == 0) /* a while for the descriptor to be due */
            while (weir_now_ns() % (200 * 1000) > 1000)
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
    };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    const uint32_t both = WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS;
    struct weir_segment *segment;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int result = weir_wait_set_add_members(set, "one", &rows[i], both, 1);
        if (result != -EINVAL)
            print_error("row %zu\n", i);
        assert_result(result, -EINVAL);
        assert_true(strlen(weir_last_error()) > 10);
    }
    assert_result(weir_segment_open(&segment, weir_by_name("one"), 0, NULL), -ENOENT);
    struct weir_publisher *publisher = publisher_of("one"); /* of a channel that is reliable */
    options.delivery = WEIR_DELIVERY_LOSSY;
    assert_result(weir_wait_set_add_members(set, "one", &options, both, 1), -EINVAL);
    options.delivery = WEIR_DELIVERY_RELIABLE;
    options.flags = WEIR_CHANNEL_PERSISTENT;
    assert_result(weir_wait_set_add_members(set, "one", &options, both, 1), -EINVAL);
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    assert_result(weir_wait_set_add_members(set, "one", &options, both, 1), 0);
    weir_publisher_close(publisher);
}

static void test_members(void **state)
{
    (void)state;
    const uint32_t both = WEIR_WAIT_PUBLISHERS | WEIR_WAIT_SUBSCRIBERS;
    assert_result(weir_wait_set_add_members(set, "one", NULL, 0, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(set, "one", NULL, 4, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(set, "", NULL, both, 5), -EINVAL);
    assert_result(weir_wait_set_add_members(set, "one", NULL, both, 5), 0);
    assert_result(weir_wait_set_add_members(set, "one", NULL, WEIR_WAIT_SUBSCRIBERS, 6), 1);
    assert_result(wait_within(NOW), 2); /* at once: how many are there */
    assert_int_equal(events[0].publishers + events[0].subscribers, 0);
    expect_nothing();
    struct weir_publisher *publisher = publisher_of("one");
    assert_result(wait_within(5000 * MS_NS), 1);
    assert_int_equal(events[0].token, 5);
    assert_int_equal(events[0].kind, WEIR_WAIT_MEMBERS);
    assert_int_equal(events[0].what, WEIR_WAIT_PUBLISHERS);
    assert_int_equal(events[0].publishers, 1);
    expect_nothing();
    struct weir_subscriber *subscribers[2] = { subscriber_of("one"), subscriber_of("one") };
    assert_result(wait_within(5000 * MS_NS), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(events[i].what, WEIR_WAIT_SUBSCRIBERS);
        assert_int_equal(events[i].subscribers, 2);
        assert_int_equal(events[i].publishers, events[i].token == 5);
    }
    expect_nothing();
    weir_subscriber_close(subscribers[0]);
    weir_subscriber_close(subscriber_of("one")); /* come and gone */
    assert_result(wait_within(5000 * MS_NS), 2);
    assert_int_equal(events[1].subscribers, 1);
    expect_nothing();
    weir_subscriber_close(subscriber_of("one"));
    expect_nothing();
    weir_subscriber_close(subscribers[1]);
    weir_publisher_close(publisher);
    assert_result(wait_within(5000 * MS_NS), 2);
    expect_nothing();
}

/* The set in poll: once nothing is ready, for each that becomes so; whatever is done meanwhile. */
static void test_as_descriptor(void **state)
{
    (void)state;
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    int descriptor = weir_wait_set_fd(set), outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    assert_true(descriptor >= 0);
    assert_int_equal(weir_wait_set_fd(set), descriptor);
    assert_true(is_readable(descriptor, 0)); /* before the first wait */
    assert_result(wait_within(NOW), -EAGAIN);
    assert_false(is_readable(descriptor, 300)); /* an empty set has no slices */
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    assert_true(is_readable(descriptor, 0)); /* something has come in */
    assert_result(wait_within(NOW), -EAGAIN);
    assert_false(is_readable(descriptor, 0));
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, descriptor, &event), 0);
    for (int i = 0; i < 100; i++) {
        send_one(publisher);
        assert_int_equal(epoll_wait(outer, &event, 1, 5000), 1);
        assert_true(is_readable(descriptor, 0));
        if (i % 2)
            assert_result(wait_within(NOW), 1);
        if (i % 3 == 0) { /* also by calls that sleep, of which the set knows nothing */
            send_one(publisher);
            assert_result(take(subscriber), 0);
        }
        assert_result(take(subscriber), 0);
        assert_result(
            weir_subscriber_receive_until(subscriber, NULL, 0, NULL, weir_deadline_ns(MS_NS / 10)),
            -ETIMEDOUT);
        assert_true(is_readable(descriptor, 0)); /* until a wait says otherwise */
        while (wait_within(NOW) != -EAGAIN)
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
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    int descriptor = weir_wait_set_fd(set), own = weir_subscriber_fd(subscriber);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    for (int i = 0; i < 20; i++) {
        while (take(subscriber) != -EAGAIN)
            ;
        while (wait_within(NOW) != -EAGAIN)
            ;
        if (i % 2)
            assert_result(weir_subscriber_receive_until(subscriber, NULL, 0, NULL,
                                                        weir_deadline_ns(MS_NS / 10)),
                          -ETIMEDOUT);
        int64_t start_ns = weir_now_ns();
        send_one(publisher);
        assert_true(is_readable(own, 5000));
        assert_true(is_readable(descriptor, 5000));
        if (!SANITIZED) /* not by a slice */
            assert_true(weir_now_ns() - start_ns < 150 * MS_NS);
        assert_result(wait_within(NOW), 1);
    }
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
    late_ringer = publisher_of("one");
    subscriber = subscriber_of("one");
    int descriptor = weir_wait_set_fd(set);
    assert_result(weir_publisher_wait_subscribers(late_ringer, 1, NOW), 0);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    for (unsigned i = 0; i < 30; i++) {
        late_rings = i % 3 == 2 ? 50 : i % 3;
        do
            while (wait_within(NOW) != -EAGAIN)
                ;
        while (late_rings > 0 || is_readable(descriptor, 0));
        int64_t start_ns = weir_now_ns();
        send_one(late_ringer);
        assert_true(is_readable(descriptor, 5000));
        if (!SANITIZED) /* not by a slice */
            assert_true(weir_now_ns() - start_ns < 150 * MS_NS);
        assert_result(wait_within(NOW), 1);
        assert_result(take(subscriber), 0);
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
        struct weir_publisher *publisher = publisher_of("one");
        struct weir_subscriber *subscriber = subscriber_of("one");
        int counters[3], told = 0;
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
        int item = weir_wait_set_add_subscriber(set, subscriber, 1);
        assert_result(wait_within(30 * MS_NS), -ETIMEDOUT); /* it is armed */
        for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
            counters[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
            assert_true(weir_wait_set_add_fd(set, counters[i], POLLIN, 2) > 0);
        }
        publisher->waker.rung = atomic_load(&subscriber->page->epoch);
        send_one(publisher);
        int64_t until_ns = weir_deadline_ns(2 * SECOND_NS);
        while (told == 0 && weir_now_ns() < until_ns) {
            int count = weir_wait_set_wait_until(set, events, room, NOW);
            assert_true(count > 0);
            for (int i = 0; i < count; i++)
                told += events[i].token == 1;
        }
        assert_int_equal(told, 1);
        assert_result(weir_wait_set_remove(set, (uint32_t)item), 0);
        for (uint32_t i = 1; i <= ARRAY_SIZE(counters); i++) {
            assert_result(weir_wait_set_remove(set, (uint32_t)item + i), 0);
            close(counters[i - 1]);
        }
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
    }
}

/* One handle in two sets; closed in the middle, it is in none. */
static void test_handles(void **state)
{
    (void)state;
    struct weir_wait_set *other;
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    assert_result(weir_wait_set_open(&other, NULL), 0);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), -EEXIST);
    assert_result(weir_wait_set_add_subscriber(other, subscriber, 2), 0);
    assert_result(weir_wait_set_add_publisher(other, publisher, 3), 1);
    int descriptors[2] = { weir_wait_set_fd(set), weir_wait_set_fd(other) };
    for (int i = 0; i < 10; i++) {
        expect_nothing();
        assert_result(weir_wait_set_wait_until(other, events, 1, NOW), -EAGAIN);
        send_one(publisher);
        assert_true(is_readable(descriptors[0], 100));
        assert_true(is_readable(descriptors[1], 100));
        expect(1, WEIR_WAIT_SUBSCRIBER);
        assert_result(weir_wait_set_wait_until(other, events, 1, NOW), 1);
        assert_int_equal(events[0].token, 2);
        assert_result(take(subscriber), 0);
    }
    expect_nothing();
    send_one(publisher);
    weir_subscriber_close(subscriber);
    expect_nothing();
    assert_result(weir_wait_set_wait_until(other, events, 1, NOW), -EAGAIN);
    assert_result(weir_wait_set_remove(set, 0), -ENOENT);
    /* Its number is another's now; and the set may go before a handle. */
    subscriber = subscriber_of("one");
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 4), 0);
    expect_nothing();
    send_one(publisher);
    expect(4, WEIR_WAIT_SUBSCRIBER);
    weir_wait_set_close(other);
    assert_result(weir_wait_set_remove(set, 0), 0);
    expect_nothing();
    assert_result(take(subscriber), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void use_parents_set(void *argument)
{
    struct weir_subscriber *subscriber = argument;
    struct weir_wait_set *own;
    CHECK_RESULT(wait_within(NOW), -ECHILD);
    CHECK_RESULT(weir_wait_set_fd(set), -ECHILD);
    CHECK_RESULT(weir_wait_set_remove(set, 0), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_subscriber(set, subscriber, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_fd(set, 0, POLLIN, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_timer(set, 0, 0, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_death(set, 0, 0, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_add_members(set, "one", NULL, 1, 9), -ECHILD);
    CHECK_RESULT(weir_wait_set_open(&own, NULL), 0);
    CHECK_RESULT(weir_wait_set_add_subscriber(own, subscriber, 9), -ECHILD);
    weir_subscriber_close(subscriber); /* the child's copy: also in the set's */
    weir_wait_set_close(set);
    CHECK_RESULT(weir_wait_set_add_timer(own, 0, 0, 9), 0);
    CHECK_RESULT(weir_wait_set_wait_until(own, events, 1, NOW), 1);
    weir_wait_set_close(own);
}

static void test_fork(void **state)
{
    (void)state;
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    int counter = eventfd(0, EFD_CLOEXEC);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    assert_result(weir_wait_set_add_fd(set, counter, POLLIN, 2), 1);
    assert_result(weir_wait_set_add_timer(set, weir_deadline_ns(MS_NS), MS_NS, 3), 2);
    assert_result(wait_within(50 * MS_NS), 1);
    assert_result(weir_wait_set_remove(set, 2), 0);
    expect_nothing();
    in_child(use_parents_set, subscriber);
    expect_nothing();
    assert_int_equal(eventfd_write(counter, 1), 0);
    expect(2, WEIR_WAIT_FD); /* the child took nothing out of the parent's */
    assert_result(weir_wait_set_remove(set, 1), 0);
    send_one(publisher);
    expect(1, WEIR_WAIT_SUBSCRIBER);
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
    const struct itimerval soon = { .it_value = { 0, 30000 } };
    struct weir_subscriber *subscriber = subscriber_of("one");
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
        assert_result(wait_within(5000 * MS_NS), -EINTR);
        expect_nothing();
    }
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
    assert_result(weir_wait_set_wait_until(set, events, 0, NOW), -EINVAL);
    assert_result(weir_wait_set_remove(set, UINT32_MAX), -ENOENT);
    /* Without a file: each says so, and the set is as it was. */
    struct weir_subscriber *subscriber = subscriber_of("one");
    struct rlimit before, none;
    int last = dup(0);
    close(last);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)last;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_result(weir_wait_set_open(&other, NULL), -EMFILE);
    assert_result(weir_wait_set_add_timer(set, 0, 0, 1), -EMFILE);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_null(other);
    expect_nothing();
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    weir_subscriber_close(subscriber);
}

/* The thread that waited last has ended, and with it what the kernel waited for in its place. */
static void *wait_once(void *argument)
{
    (void)argument;
    assert_result(wait_within(NOW), -EAGAIN);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct weir_publisher *publisher = publisher_of("one");
    struct weir_subscriber *subscriber = subscriber_of("one");
    pthread_t thread;
    int descriptor = weir_wait_set_fd(set);
    assert_result(weir_wait_set_add_subscriber(set, subscriber, 1), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wait_once, NULL), 0);
        pthread_join(thread, NULL);
        if (i % 2) { /* readable, for whatever reason: a wait here arms anew */
            while (is_readable(descriptor, 0) && wait_within(NOW) == -EAGAIN)
                ;
        }
        send_one(publisher);
        assert_true(becomes_ready(descriptor, 5000 * MS_NS));
        expect(1, WEIR_WAIT_SUBSCRIBER);
        assert_result(take(subscriber), 0);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

int main(int argument_count, char **arguments)
{
    bool is_looking = argument_count > 1 && strcmp(arguments[1], "--without-waitv") == 0;
    if (argument_count > 1 && !forbid_call(SYS_io_uring_setup, EPERM))
        return 77;
    if (is_looking && !forbid_call(449, ENOSYS))
        return 77;
#define WAIT_SET_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WAIT_SET_TEST(test_subscriber),
        WAIT_SET_TEST(test_publisher),
        WAIT_SET_TEST(test_descriptors),
        WAIT_SET_TEST(test_timers),
        WAIT_SET_TEST(test_turns),
        WAIT_SET_TEST(test_members_options),
        WAIT_SET_TEST(test_members),
        WAIT_SET_TEST(test_as_descriptor),
        WAIT_SET_TEST(test_own_calls),
        WAIT_SET_TEST(test_handles),
        WAIT_SET_TEST(test_fork),
        WAIT_SET_TEST(test_signal),
        WAIT_SET_TEST(test_errors),
        WAIT_SET_TEST(test_threads),
        WAIT_SET_TEST(test_lost_ring_in_a_crowd),
        WAIT_SET_TEST(test_ring_while_it_arms),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
