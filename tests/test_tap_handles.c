/* SPDX-License-Identifier: MIT */
/*
 * Goal: a tap's handle is of the process that opened it, and of the IPC namespace where that was; and a
 *       receive is no place to be cancelled at.
 * Method: children, one of them with its parent's pid, and threads that leave the namespace, or are
 *       cancelled.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum { NOW = 0 };

static void open_both(struct weir_publisher **publisher, struct weir_tap **tap)
{
    assert_result(weir_publisher_open(publisher, "lane", NULL), 0);
    assert_result(weir_tap_open(tap, "lane", NULL), 0);
}

static void use_in_child(void *argument)
{
    uint64_t got;
    CHECK_RESULT(weir_tap_receive_until(argument, &got, sizeof got, NULL, NOW), -ECHILD);
    weir_tap_close(argument);
}

static void test_a_child(void **state)
{
    struct weir_publisher *publisher;
    struct weir_tap *tap;
    (void)state;
    open_both(&publisher, &tap);
    in_child(use_in_child, tap);
    weir_tap_close(tap);
    weir_publisher_close(publisher);
}

static void in_a_later_namespace(void *tap)
{
    CHECK(getpid() == 1);
    use_in_child(tap);
}

static void tap_as_first_process(void *unused)
{
    struct weir_publisher *publisher;
    struct weir_tap *tap;
    (void)unused;
    CHECK(getpid() == 1);
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    CHECK_RESULT(weir_publisher_send_until(publisher, "x", 1, 0, NOW), 0);
    CHECK_RESULT(weir_tap_open(&tap, "lane", NULL), 0);
    CHECK(unshare(CLONE_NEWPID) == 0);
    CHECK(status_in_child(in_a_later_namespace, tap) == 0);
    weir_tap_close(tap);
    weir_publisher_close(publisher);
}

static void in_a_namespace(void *unused)
{
    CHECK(unshare(CLONE_NEWPID) == 0);
    CHECK(status_in_child(tap_as_first_process, unused) == 0);
}

/* Which may not be allowed here. */
static void leave(void *which)
{
    if (unshare(*(int *)which) != 0)
        _exit(1);
}

/* A child may have its parent's pid: it has not got the lanes all the same. */
static void test_a_child_of_the_same_pid(void **state)
{
    (void)state;
    if (status_in_child(leave, &(int){ CLONE_NEWPID }) != 0)
        skip();
    in_child(in_a_namespace, NULL);
}

static void *look_from_elsewhere(void *tap)
{
    struct weir_publisher *other;
    uint64_t got;
    CHECK_RESULT(weir_publisher_open(&other, "lane", NULL), 0);
    CHECK_RESULT(weir_publisher_send_until(other, "8 bytes", 8, 0, NOW), 0);
    CHECK(unshare(CLONE_NEWIPC) == 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EXDEV);
    return other;
}

static void tap_from_elsewhere(void *unused)
{
    struct weir_publisher *publisher;
    struct weir_tap *tap;
    pthread_t thread;
    void *other;
    uint64_t got;
    (void)unused;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    CHECK_RESULT(weir_tap_open(&tap, "lane", NULL), 0);
    CHECK(pthread_create(&thread, NULL, look_from_elsewhere, tap) == 0);
    CHECK(pthread_join(thread, &other) == 0);
    CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), 0);
    weir_tap_close(tap);
    weir_publisher_close(other);
    weir_publisher_close(publisher);
}

/* Where other segments, or none, have the publishers' ids: nobody is taken for a stranger, or gone. */
static void test_a_thread_in_another_namespace(void **state)
{
    (void)state;
    if (status_in_child(leave, &(int){ CLONE_NEWIPC }) != 0)
        skip();
    in_child(tap_from_elsewhere, NULL);
}

static void publish_twice(struct companion *companion, void *unused)
{
    struct weir_publisher *publisher;
    (void)unused;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(weir_publisher_send_until(publisher, "8 bytes", 8, 0, NOW), 0);
        companion_arrive(companion);
    }
    weir_publisher_close(publisher);
}

/* Longer than until the kernel is asked for who is silent. */
static void *wait_elsewhere(void *tap)
{
    uint64_t got;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    for (int i = 0; i < 2; i++)
        CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL,
                                            weir_deadline_ns(300 * WEIR_MILLISECOND_NS)),
                     -ETIMEDOUT);
    return NULL;
}

/* By a process that has no identity yet, and would have none that is of this namespace. */
static void tap_a_silent_one(void *unused)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct companion companion;
    struct weir_tap *tap;
    pthread_t thread;
    uint64_t got;
    (void)unused;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    companion_start(&companion, publish_twice, NULL);
    companion_meet(&companion);
    options.start = WEIR_START_OLDEST;
    CHECK_RESULT(weir_tap_open(&tap, "lane", &options), 0);
    CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), 0);
    CHECK(pthread_create(&thread, NULL, wait_elsewhere, tap) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    companion_release(&companion);
    companion_meet(&companion);
    CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), 0);
    companion_release(&companion);
    CHECK(companion_end(&companion) == 0);
    weir_tap_close(tap);
}

/* Nor is one that is silent taken for dead there. */
static void test_a_silent_one_in_another_namespace(void **state)
{
    (void)state;
    if (status_in_child(leave, &(int){ CLONE_NEWIPC }) != 0)
        skip();
    in_child(tap_a_silent_one, NULL);
}

static bool was_told;

static void *receive_cancelled(void *tap)
{
    uint64_t got;
    pthread_cancel(pthread_self());
    CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, weir_deadline_ns(3000000)),
                 -ETIMEDOUT);
    was_told = true;
    pthread_testcancel();
    return NULL;
}

/* A wait is no place to be cancelled at. */
static void test_a_thread_is_cancelled(void **state)
{
    struct weir_publisher *publisher;
    struct weir_tap *tap;
    pthread_t thread;
    uint64_t got;
    void *end;
    (void)state;
    open_both(&publisher, &tap);
    assert_int_equal(pthread_create(&thread, NULL, receive_cancelled, tap), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, PTHREAD_CANCELED);
    assert_true(was_told);
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EAGAIN);
    weir_tap_close(tap);
    weir_publisher_close(publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_child),
        cmocka_unit_test(test_a_child_of_the_same_pid),
        cmocka_unit_test(test_a_thread_in_another_namespace),
        cmocka_unit_test(test_a_silent_one_in_another_namespace),
        cmocka_unit_test(test_a_thread_is_cancelled),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
