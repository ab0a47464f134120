/* SPDX-License-Identifier: MIT */
/*
 * Goal: a process that has closed its standard descriptors, as daemons do, prints into nothing: no
 *       descriptor that the library keeps has one of their numbers.
 * Method: a child closes 0, 1 and 2, makes one of each that keeps descriptors, and looks.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"

static void check_standard_are_closed(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

static void keep_segments(void *argument)
{
    struct weir_segment_options persistent = persistent_options();
    struct weir_segment *segment, *opened;
    const char *name = posix_name("kept");
    int sockets[2];
    (void)argument;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix(name), 64, &persistent), 0);
    check_standard_are_closed();
    CHECK_RESULT(weir_segment_open(&opened, weir_by_posix(name), 0, NULL), 0);
    check_standard_are_closed();
    weir_segment_close(opened);
    CHECK_RESULT(weir_segment_remove(weir_by_posix(name)), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 64, NULL), 0);
    check_standard_are_closed();
    CHECK_RESULT(weir_segment_open(&opened, weir_by_fd(weir_segment_fd(segment)), 0, NULL), 0);
    check_standard_are_closed();
    weir_segment_close(opened);
    CHECK_RESULT(weir_segment_send(sockets[0], segment), 0);
    CHECK_RESULT(weir_segment_receive(&opened, sockets[1], 0, NULL), 0);
    check_standard_are_closed();
    weir_segment_close(opened);
    weir_segment_close(segment);
}

static void test_segments(void **state)
{
    (void)state;
    in_child(keep_segments, NULL);
}

static void keep_waits(void *argument)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct weir_wait_set *set;
    struct weir_wait_event event;
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    CHECK_RESULT(weir_publisher_open(&publisher, "kept", NULL), 0);
    CHECK_RESULT(weir_subscriber_open(&subscriber, "kept", NULL), 0);
    CHECK(weir_publisher_fd(publisher) > STDERR_FILENO);
    CHECK(weir_subscriber_fd(subscriber) > STDERR_FILENO);
    CHECK_RESULT(weir_wait_set_open(&set, NULL), 0);
    CHECK(weir_wait_set_fd(set) > STDERR_FILENO);
    CHECK_RESULT(weir_wait_set_add_timer(set, weir_deadline_ns(60000000000), 0, 1), 0);
    CHECK_RESULT(weir_wait_set_add_subscriber(set, subscriber, 2), 1);
    CHECK_RESULT(weir_wait_set_add_death(set, identity, geteuid(), 3), 2);
    CHECK_RESULT(weir_wait_set_wait_until(set, &event, 1, weir_deadline_ns(1000000)), -ETIMEDOUT);
    check_standard_are_closed();
    weir_wait_set_close(set);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void test_waits(void **state)
{
    (void)state;
    in_child(keep_waits, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_segments, fixture_check),
        cmocka_unit_test_teardown(test_waits, fixture_check),
    };
    return cmocka_run_group_tests_name("kept", tests, fixture_start, fixture_end);
}
