/* SPDX-License-Identifier: MIT */
/*
 * Goal: the descriptors of both sides are readable exactly while a call would not wait, also
 * after a death and a lost ring; they cost nothing while nothing happens, and leave nothing.
 * Method: each turn in order, with both sides here; then with another process that is killed,
 * or silenced; then a loop that lives on poll alone.
 */
#include "in_time.h"
#include "sides.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "channel/wait.h"
#include "silence.h"
#include "usage.h"

/* A loan that is out may have left a pad in the ring: no message. */
static void test_pad_alone_is_no_message(void **state)
{
    void *data;
    (void)state;
    sides_open();
    sides.fd = weir_subscriber_fd(sides.subscriber);
    uint64_t at = 0, size = 10000, record = size + 8;
    for (; at + record <= WEIR_RING_BYTES_MIN; at += record) {
        assert_result(sides_send(size), 0);
        assert_true(sides_fd_is_readable(5000));
        sides_take_one();
        assert_result(weir_subscriber_receive_until(sides.subscriber, NULL, 0, NULL, NOW), -EAGAIN);
    }
    assert_result(weir_publisher_loan_until(sides.publisher, size, &data, NOW), 0);
    assert_false(sides_fd_is_readable(300));
    assert_result(weir_publisher_commit(sides.publisher, size, 0), 0);
    assert_true(sides_fd_is_readable(5000));
    sides_take_one();
    sides_close();
}

/* Cancelled from its beginning, it is ended by the first call that ends such threads. */
static void *take_cancelled(void *argument)
{
    pthread_cancel(pthread_self());
    assert_result(weir_subscriber_receive_until(sides.subscriber, NULL, 0, NULL, NOW), 0);
    assert_result(weir_subscriber_receive_until(sides.subscriber, NULL, 0, NULL, NOW), -EAGAIN);
    *(bool *)argument = true;
    pthread_testcancel();
    return NULL;
}

/* A worker that is cancelled leaves the descriptor to who closes the handle. */
static void test_cancelled_thread(void **state)
{
    pthread_t thread;
    void *result;
    bool is_through = false;
    (void)state;
    sides_open();
    sides.fd = weir_subscriber_fd(sides.subscriber);
    assert_result(sides_send(0), 0);
    assert_true(sides_fd_is_readable(5000));
    assert_int_equal(pthread_create(&thread, NULL, take_cancelled, &is_through), 0);
    pthread_join(thread, &result);
    assert_true(is_through);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_result(weir_subscriber_receive_until(sides.subscriber, NULL, 0, NULL, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    assert_result(sides_send(0), 0);
    assert_true(sides_fd_is_readable(5000));
    sides_close();
}

static void use_in_child(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_fd(sides.publisher), -ECHILD);
    CHECK_RESULT(weir_subscriber_fd(sides.subscriber), -ECHILD);
    CHECK_RESULT(sides_send(8), -ECHILD);
    weir_publisher_close(sides.publisher);
    weir_subscriber_close(sides.subscriber);
}

static void test_fork(void **state)
{
    (void)state;
    sides_open();
    sides_fill(1000);
    in_child(use_in_child, NULL);
    assert_false(sides_fd_is_readable(0));
    sides_take_one();
    sides_take_one(); /* one for the pad */
    assert_true(sides_fd_is_readable(5000));
    sides_close();
}

/* The other side goes through the motions, and nobody is rung: a slice makes up for it. */
static void send_silently(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(sides.publisher, 1, SOON), 0);
    companion_arrive(companion);
    if (!silence())
        _exit(77);
    CHECK_RESULT(sides_send(8), 0);
    companion_arrive(companion);
}

/* From now on, until the descriptor is readable, which it becomes in any case. */
static int64_t until_readable(void)
{
    int64_t before_ns = weir_now_ns();
    assert_true(sides_fd_is_readable(20000));
    return weir_now_ns() - before_ns;
}

static int64_t lose_ring_of_a_publisher(void *unused)
{
    struct companion companion;
    struct weir_message message;
    (void)unused;
    companion_start(&companion, send_silently, NULL);
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides.fd = weir_subscriber_fd(sides.subscriber);
    assert_result(weir_subscriber_wait_publisher(sides.subscriber, SOON), 0);
    companion_meet(&companion); /* attached */
    do
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
    while (sides_fd_is_readable(0));
    companion_release(&companion);
    companion_meet(&companion);
    int64_t took_ns = until_readable();
    sides_take_one();
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(sides.subscriber);
    return took_ns;
}

static void test_lost_ring_of_a_publisher(void **state)
{
    (void)state;
    expect_in_time(lose_ring_of_a_publisher, NULL, SECOND_NS);
}

static void take_silently(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    companion_arrive(companion);
    if (!silence())
        _exit(77);
    sides_take_one();
    sides_take_one(); /* one for the pad */
    companion_arrive(companion);
}

static int64_t lose_ring_of_a_subscriber(void *unused)
{
    struct companion companion;
    (void)unused;
    sides_open_publisher();
    companion_start(&companion, take_silently, NULL);
    companion_meet(&companion);
    sides_fill(8000);
    companion_release(&companion);
    companion_meet(&companion);
    int64_t took_ns = until_readable();
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(sides.publisher);
    return took_ns;
}

static void test_lost_ring_of_a_subscriber(void **state)
{
    (void)state;
    expect_in_time(lose_ring_of_a_subscriber, NULL, SECOND_NS);
}

static void publish(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
    companion_arrive(companion);
}

/* Attached, and armed a moment ago: from now on, a slice. With a ring, the pidfd is open. */
static void await_attached(void)
{
    struct weir_message message;
    const int64_t deadline_ns = SOON;
    do {
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        assert_true(weir_now_ns() < deadline_ns);
    } while (sides_fd_is_readable(0));
    while (sides_rings() > 0 && sides_files("pidfd") == 0)
        assert_true(weir_now_ns() < deadline_ns);
}

/* One publisher: how long it was dead when that was noticed; the least of all. */
static int64_t notice_death(void *argument)
{
    int64_t *least_ns = argument;
    struct companion companion;
    struct weir_message message;
    companion_start(&companion, publish, NULL);
    companion_meet(&companion);
    await_attached();
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    int64_t took_ns = until_readable();
    *least_ns = took_ns < *least_ns ? took_ns : *least_ns;
    companion_end(&companion);
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EPIPE);
    assert_false(sides_fd_is_readable(0));
    return took_ns;
}

/*
 * By a pidfd where there is a ring of io_uring: from the death, and not from the end of the slice
 * that began when the publisher was attached.
 */
static void test_publisher_that_is_killed(void **state)
{
    enum { KILLS = 5 };
    int64_t least_ns = INT64_MAX;
    (void)state;
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides.fd = weir_subscriber_fd(sides.subscriber);
    for (int i = 0; i < KILLS; i++)
        expect_in_time(notice_death, &least_ns, SECOND_NS);
    print_message("noticed after %lld us at least\n", (long long)least_ns / 1000);
    if (sides_rings() > 0)
        assert_in_range(least_ns, 0, WEIR__SLICE_NS / 2);
    weir_subscriber_close(sides.subscriber);
}

/* Until it is killed: comes when it is told to, and goes. */
static void come_and_go(struct companion *companion, void *argument)
{
    (void)argument;
    for (;;) {
        companion_arrive(companion);
        CHECK_RESULT(weir_publisher_open(&sides.publisher, "lane", &small_ring), 0);
        companion_arrive(companion);
        weir_publisher_close(sides.publisher);
    }
}

/* Its pidfd is closed when it has gone, though it lives on. */
static void await_gone(void)
{
    struct weir_message message;
    const int64_t deadline_ns = SOON;
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -ENODATA);
    while (sides_files("pidfd") > 0) {
        assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
        assert_true(weir_now_ns() < deadline_ns);
    }
}

/* Two by turns: there is one pidfd at most, whoever is there. */
static void test_publishers_by_turns(void **state)
{
    enum { TURNS = 10 };
    struct companion companions[2];
    (void)state;
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides.fd = weir_subscriber_fd(sides.subscriber);
    for (int i = 0; i < 2; i++) {
        companion_start(&companions[i], come_and_go, NULL);
        companion_meet(&companions[i]);
    }
    for (int i = 0; i < TURNS; i++) {
        struct companion *companion = &companions[i % 2];
        companion_release(companion);
        companion_meet(companion);
        await_attached();
        assert_in_range(sides_files("pidfd"), 0, 1);
        companion_release(companion);
        companion_meet(companion);
        await_gone();
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kill(companions[i].pid, SIGKILL), 0);
        assert_int_equal(companion_end(&companions[i]), SIGKILL);
    }
    weir_subscriber_close(sides.subscriber);
}

/*
 * Two loops that live on poll alone
 */

enum { LOOP_MESSAGES = 20000, STOP_EACH = 2000 };

static size_t size_of(unsigned number)
{
    return number % 97 == 0 ? 16000 : number * 31 % 900;
}

/* Waits; a readiness that is lost is made up for by a slice only, and so counts as slow. */
static bool wait_readable(unsigned *slow)
{
    int64_t before_ns = weir_now_ns();
    bool is = sides_fd_is_readable(20000);
    *slow += weir_now_ns() - before_ns > SIDES_SLOW_MS * INT64_C(1000000);
    return is;
}

static void take_by_poll(struct companion *companion, void *argument)
{
    struct weir_message message;
    unsigned got = 0, slow = 0;
    int result = 0;
    (void)companion, (void)argument;
    CHECK_RESULT(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides.fd = weir_subscriber_fd(sides.subscriber);
    while (result != -ENODATA) {
        CHECK(wait_readable(&slow));
        while ((result = weir_subscriber_take_until(sides.subscriber, &message, NOW)) == 0) {
            CHECK(message.size_bytes == size_of(got));
            got++;
            CHECK_RESULT(weir_subscriber_release(sides.subscriber, &message), 0);
        }
        CHECK(result == -EAGAIN || result == -ENODATA);
    }
    CHECK(got == LOOP_MESSAGES);
    CHECK(slow < 20);
    weir_subscriber_close(sides.subscriber);
}

static void test_loops(void **state)
{
    struct companion companion;
    unsigned waits = 0, slow = 0;
    int result;
    (void)state;
    if (THREAD_SANITIZED) {
        print_message("the thread sanitizer ends a child of threads that starts a thread\n");
        skip();
    }
    sides_open_publisher();
    companion_start(&companion, take_by_poll, NULL);
    while ((result = weir_publisher_wait_subscribers(sides.publisher, 1, NOW)) == -EAGAIN)
        assert_true(sides_fd_is_readable(20000));
    assert_result(result, 0);
    for (unsigned number = 0; number < LOOP_MESSAGES; number++) {
        /* A subscriber that is stopped lets the ring fill, however fast it is. */
        if (number % STOP_EACH == 0)
            assert_int_equal(kill(companion.pid, SIGSTOP), 0);
        while ((result = sides_send(size_of(number))) != 0) {
            assert_result(result, -EAGAIN);
            assert_int_equal(kill(companion.pid, SIGCONT), 0);
            assert_true(wait_readable(&slow));
            waits++;
        }
    }
    assert_result(weir_publisher_end(sides.publisher), 0);
    while ((result = weir_publisher_wait_taken(sides.publisher, NOW)) == -EAGAIN)
        assert_true(wait_readable(&slow));
    assert_int_equal(companion_end(&companion), 0);
    print_message("%u waits for room, %u of them slow\n", waits, slow);
    assert_true(waits >= LOOP_MESSAGES / STOP_EACH);
    assert_true(slow < 20);
    weir_publisher_close(sides.publisher);
}

/*
 * Nothing happens
 */

/*
 * At most 10 wake-ups a second; of CPU no more than what ten seconds may cost. What else runs on the
 * machine adds to that, and takes none away: the least of a few counts.
 */
static void expect_idle(const char *what)
{
    enum { IDLE_MS = 3000, CPU_US = 5000, ATTEMPTS = 3 };
    for (int attempt = 1;; attempt++) {
        struct usage usage = usage_now();
        assert_false(sides_fd_is_readable(IDLE_MS));
        usage = usage_since(usage);
        print_message("%s, armed for %d s: %ld wake-ups, %lld us\n", what, IDLE_MS / 1000,
                      usage.sleeps, usage.cpu_us);
        assert_true(usage.sleeps >= 1);
        if (!THREAD_SANITIZED) /* which has a thread of its own, that wakes up, too */
            assert_in_range(usage.sleeps, 1, IDLE_MS / 100);
        if (SANITIZED || usage.cpu_us <= CPU_US)
            return;
        assert_true(attempt < ATTEMPTS);
    }
}

static void test_idle(void **state)
{
    struct weir_message message;
    struct companion companion;
    (void)state;
    sides_open_publisher();
    companion_start(&companion, sides_subscribe, NULL);
    companion_meet(&companion);
    sides_fill(1000);
    expect_idle("a publisher");
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(sides.publisher);
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides.fd = weir_subscriber_fd(sides.subscriber);
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), -EAGAIN);
    expect_idle("a subscriber");
    weir_subscriber_close(sides.subscriber);
}

int main(int argument_count, char **arguments)
{
    if (!sides_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        SIDES_TEST(test_publisher_that_is_killed),
        SIDES_TEST(test_publishers_by_turns),
        SIDES_TEST(test_pad_alone_is_no_message),
        SIDES_TEST(test_cancelled_thread),
        SIDES_TEST(test_fork),
        SIDES_TEST(test_lost_ring_of_a_publisher),
        SIDES_TEST(test_lost_ring_of_a_subscriber),
        SIDES_TEST(test_loops),
        SIDES_TEST(test_idle),
    };
    return cmocka_run_group_tests(tests, sides_start, fixture_end);
}
