/* SPDX-License-Identifier: MIT */
/*
 * Goal: a memfd arrives over a Unix socket as it was sent, and whatever else arrives instead is
 *       refused with its code, without a descriptor that stays open.
 * Method: both ends in one process or in two; every kind of socket; messages made by hand.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };

static void pair(int type, int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
}

static struct weir_segment *make(const char *text)
{
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_create(&segment, weir_memfd(), 10000, NULL), 0);
    strcpy(weir_segment_data(segment), text);
    return segment;
}

/* --- as it should be -------------------------------------------------------------------- */

static void receive_and_answer(void *argument)
{
    struct weir_segment *segment = NULL;
    CHECK_RESULT(weir_segment_receive(&segment, *(int *)argument, 10000, NULL), 0);
    CHECK(strcmp(weir_segment_data(segment), "question") == 0);
    CHECK(weir_segment_size(segment) == 10000);
    CHECK(fcntl(weir_segment_fd(segment), F_GETFD) == FD_CLOEXEC);
    strcpy(weir_segment_data(segment), "answer");
    weir_segment_close(segment);
}

static void test_over_every_socket(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        int ends[2];
        struct weir_segment *segment = make("question");
        pair(types[i], ends);
        assert_result(weir_segment_send(ends[0], segment), 0);
        in_child(receive_and_answer, &ends[1]);
        assert_string_equal(weir_segment_data(segment), "answer");
        weir_segment_close(segment);
        close(ends[0]);
        close(ends[1]);
    }
}

static void test_the_sender_may_go_at_once(void **state)
{
    (void)state;
    int ends[2];
    struct weir_segment *received = NULL;
    pair(SOCK_STREAM, ends);
    struct weir_segment *segment = make("left behind");
    assert_result(weir_segment_send(ends[0], segment), 0);
    weir_segment_close(segment);
    close(ends[0]);
    assert_result(weir_segment_receive(&received, ends[1], 0, NULL), 0);
    assert_string_equal(weir_segment_data(received), "left behind");
    weir_segment_close(received);
    received = NULL;
    expect_refused(weir_segment_receive(&received, ends[1], 0, NULL), -EPIPE, "closed");
    close(ends[1]);
}

static void test_several_in_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        int ends[2];
        char text[32];
        pair(types[i], ends);
        for (int n = 0; n < 8; n++) {
            snprintf(text, sizeof text, "number %d", n);
            struct weir_segment *segment = make(text);
            assert_result(weir_segment_send(ends[0], segment), 0);
            weir_segment_close(segment);
        }
        for (int n = 0; n < 8; n++) {
            struct weir_segment *segment = NULL;
            snprintf(text, sizeof text, "number %d", n);
            assert_result(weir_segment_receive(&segment, ends[1], 0, NULL), 0);
            assert_string_equal(weir_segment_data(segment), text);
            weir_segment_close(segment);
        }
        close(ends[0]);
        close(ends[1]);
    }
}

/* Linux 6.5; older headers lack the name. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* A receiver that asked for the sender's pidfd gets one with each message: it does not stay open. */
static void test_a_pidfd_comes_along(void **state)
{
    (void)state;
    int ends[2], on = 1;
    struct weir_segment *received = NULL;
    pair(SOCK_SEQPACKET, ends);
    bool is_known = setsockopt(ends[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0;
    struct weir_segment *segment = make("sent");
    unsigned descriptors = descriptors_now();
    for (int i = 0; i < 3; i++) {
        assert_result(weir_segment_send(ends[0], segment), 0);
        assert_result(weir_segment_receive(&received, ends[1], 0, NULL), 0);
        assert_string_equal(weir_segment_data(received), "sent");
        weir_segment_close(received);
        assert_int_equal(descriptors_now(), descriptors);
    }
    weir_segment_close(segment);
    close(ends[0]);
    close(ends[1]);
    if (!is_known)
        skip();
}

/* Sent on by who received it; a receiver that asked for credentials; one writer. */
static void test_on_and_on(void **state)
{
    (void)state;
    int ends[2], on = 1;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL, *second = NULL, *third = NULL;
    pair(SOCK_STREAM, ends);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    options.flags = WEIR_SEGMENT_ONE_WRITER;
    assert_result(weir_segment_create(&segment, weir_memfd(), 100, &options), 0);
    strcpy(weir_segment_data(segment), "on");
    assert_result(weir_segment_send(ends[0], segment), 0);
    options.flags = WEIR_SEGMENT_READ_ONLY;
    assert_result(weir_segment_receive(&second, ends[1], 0, &options), 0);
    assert_result(weir_segment_send(ends[0], second), 0);
    assert_result(weir_segment_receive(&third, ends[1], 0, &options), 0);
    assert_string_equal(weir_segment_data(third), "on");
    assert_result(weir_segment_send(ends[0], third), 0);
    struct weir_segment *writer = NULL;
    expect_refused(weir_segment_receive(&writer, ends[1], 0, NULL), -EACCES, "sealed");
    assert_null(writer);
    weir_segment_close(segment);
    weir_segment_close(second);
    weir_segment_close(third);
    close(ends[0]);
    close(ends[1]);
}

/* --- by hand ---------------------------------------------------------------------------- */

static void send_by_hand(int socket, size_t bytes, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(250 * sizeof(int))];
    } control = { .bytes = { 0 } };
    char payload[200] = { 0 };
    struct iovec vector = { payload, bytes };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    assert_int_equal(sendmsg(socket, &message, 0), (ssize_t)bytes);
}

struct garbage_row {
    int type;
    size_t bytes, count; /* of the message: bytes and descriptors */
    bool is_memfd;       /* sealed, as it should be; else an open pipe */
    int result;
    const char *word;
};

static const struct garbage_row garbage_rows[] = {
    { SOCK_STREAM, 1, 0, true, -EPROTO, "0 descriptors" },
    { SOCK_STREAM, 1, 2, true, -EPROTO, "2 descriptors" },
    { SOCK_STREAM, 1, 250, true, -EPROTO, "250 descriptors" },
    { SOCK_STREAM, 1, 1, false, -EPROTO, "no memfd" },
    { SOCK_STREAM, 1, 1, true, 0, "" }, /* any byte will do: other programs send theirs */
    { SOCK_SEQPACKET, 0, 0, true, -EPIPE, "closed" },
    { SOCK_SEQPACKET, 0, 1, true, -EPROTO, "no byte" },
    { SOCK_SEQPACKET, 200, 1, true, -EPROTO, "several bytes" },
    { SOCK_SEQPACKET, 200, 0, true, -EPROTO, "several bytes" },
    { SOCK_DGRAM, 2, 1, true, -EPROTO, "several bytes" },
    { SOCK_DGRAM, 1, 250, false, -EPROTO, "250 descriptors" },
    { SOCK_DGRAM, 1, 0, false, -EPROTO, "0 descriptors" },
};

static void test_garbage(void **state)
{
    (void)state;
    struct weir_segment *sealed = make("sealed");
    int pipe_ends[2], fds[250];
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    for (size_t i = 0; i < ARRAY_SIZE(garbage_rows); i++) {
        const struct garbage_row *row = &garbage_rows[i];
        struct weir_segment *segment = NULL;
        int ends[2];
        pair(row->type, ends);
        for (size_t n = 0; n < ARRAY_SIZE(fds); n++)
            fds[n] = row->is_memfd ? weir_segment_fd(sealed) : pipe_ends[0];
        unsigned descriptors = descriptors_now();
        send_by_hand(ends[0], row->bytes, fds, row->count);
        int result = weir_segment_receive(&segment, ends[1], 0, NULL);
        if (result != row->result)
            print_error("row %zu: ", i);
        assert_result(result, row->result);
        assert_true(result == 0 || strstr(weir_last_error(), row->word));
        assert_true((segment != NULL) == (result == 0));
        weir_segment_close(segment);
        assert_int_equal(descriptors_now(), descriptors);
        /* The socket still serves. */
        segment = NULL;
        assert_result(weir_segment_send(ends[0], sealed), 0);
        assert_result(weir_segment_receive(&segment, ends[1], 0, NULL), 0);
        weir_segment_close(segment);
        close(ends[0]);
        close(ends[1]);
    }
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    weir_segment_close(sealed);
}

/* A socket with bytes that nobody fetches, and for which its last close is to wait. Its other end is in the listener. */
static int lingering_socket(int *open_listener)
{
    const struct linger long_time = { 1, 30 };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    static char bytes[1 << 16];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(full, (struct sockaddr *)&address, length) != 0)
        skip(); /* no loopback in this namespace */
    while (send(full, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
    assert_int_equal(setsockopt(full, SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time), 0);
    *open_listener = listener;
    return full;
}

static void test_a_socket_that_lingers(void **state)
{
    (void)state;
    int ends[2], listener, full = lingering_socket(&listener);
    struct weir_segment *segment = NULL;
    pair(SOCK_STREAM, ends);
    send_by_hand(ends[0], 1, &full, 1);
    struct timespec before, after;
    close(full); /* the message has the last one */
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    expect_refused(weir_segment_receive(&segment, ends[1], 0, NULL), -EPROTO, "no memfd");
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    assert_true(after.tv_sec - before.tv_sec < 15);
    close(ends[0]);
    close(ends[1]);
    close(listener);
}

static void test_options_are_looked_at_first(void **state)
{
    (void)state;
    int ends[2];
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = make("kept"), *received = NULL;
    pair(SOCK_STREAM, ends);
    assert_result(weir_segment_send(ends[0], segment), 0);
    options.flags = 1 << 9;
    expect_refused(weir_segment_receive(&received, ends[1], 0, &options), -EINVAL, "0x200");
    options.flags = 0;
    options.semaphores = 1;
    expect_refused(weir_segment_receive(&received, ends[1], 0, &options), -EINVAL, "semaphores");
    assert_null(received);
    assert_result(weir_segment_receive(&received, ends[1], 0, NULL), 0);
    assert_string_equal(weir_segment_data(received), "kept");
    weir_segment_close(received);
    weir_segment_close(segment);
    close(ends[0]);
    close(ends[1]);
}

/* --- sockets ---------------------------------------------------------------------------- */

static void interrupt(int number)
{
    (void)number;
}

static void test_sockets(void **state)
{
    (void)state;
    int ends[2], inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct weir_segment *segment = make("x"), *received = NULL;
    int memfd = weir_segment_fd(segment);
    expect_refused(weir_segment_send(memfd, segment), -ENOTSOCK, "no socket");
    expect_refused(weir_segment_send(-1, segment), -EBADF, "no socket");
    expect_refused(weir_segment_receive(&received, memfd, 0, NULL), -ENOTSOCK, "no socket");
    expect_refused(weir_segment_receive(&received, -1, 0, NULL), -EBADF, "no socket");
    if (inet >= 0) {
        expect_refused(weir_segment_send(inet, segment), -EINVAL, "Unix socket");
        expect_refused(weir_segment_receive(&received, inet, 0, NULL), -EINVAL, "Unix socket");
        close(inet);
    }
    int lonely = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(weir_segment_send(lonely, segment) == -ENOTCONN);
    close(lonely);
    /* Nothing there: at once, after a while, after a signal. */
    struct timeval soon = { 0, 10000 }, never = { 0, 0 };
    struct sigaction action = { .sa_handler = interrupt }, before;
    struct itimerval in_a_moment = { { 0, 10000 }, { 0, 10000 } }, off = { { 0, 0 }, { 0, 0 } };
    pair(SOCK_STREAM, ends);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    expect_refused(weir_segment_receive(&received, ends[1], 0, NULL), -EAGAIN, "not now");
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    expect_refused(weir_segment_receive(&received, ends[1], 0, NULL), -EAGAIN, "not now");
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never), 0);
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &in_a_moment, NULL);
    int result = weir_segment_receive(&received, ends[1], 0, NULL);
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &before, NULL);
    expect_refused(result, -EINTR, "signal");
    /* A full one, then nobody at the other end: no SIGPIPE. */
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    while ((result = weir_segment_send(ends[0], segment)) == 0)
        ;
    expect_refused(result, -EAGAIN, "not now");
    close(ends[1]);
    expect_refused(weir_segment_send(ends[0], segment), -EPIPE, "closed");
    close(ends[0]);
    assert_null(received);
    weir_segment_close(segment);
}

/* Nobody at the other end, or no other end at all: told as such by every sort of socket. */
static void test_no_other_side(void **state)
{
    (void)state;
    int ends[2];
    struct weir_segment *received = NULL;
    struct weir_segment *segment = make("nobody");
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        pair(types[i], ends);
        close(ends[1]);
        expect_refused(weir_segment_send(ends[0], segment), -EPIPE, "closed");
        close(ends[0]);
        int alone = socket(AF_UNIX, types[i], 0);
        assert_true(alone >= 0);
        expect_refused(weir_segment_send(alone, segment), -ENOTCONN, "not connected");
        if (types[i] != SOCK_DGRAM) /* that one may yet get a name, and a message */
            expect_refused(weir_segment_receive(&received, alone, 0, NULL), -ENOTCONN,
                           "not connected");
        close(alone);
    }
    assert_null(received);
    weir_segment_close(segment);
}

static void test_only_memfds(void **state)
{
    (void)state;
    int ends[2];
    struct weir_segment_options options = persistent_options();
    struct weir_segment *sysv, *posix;
    struct weir_ref ref = weir_by_posix(posix_name("pass"));
    pair(SOCK_STREAM, ends);
    assert_result(weir_segment_create(&sysv, weir_private(), 1, NULL), 0);
    assert_result(weir_segment_create(&posix, ref, 1, &options), 0);
    expect_refused(weir_segment_send(ends[0], sysv), -EOPNOTSUPP, "weir_memfd()");
    expect_refused(weir_segment_send(ends[0], posix), -EOPNOTSUPP, "weir_memfd()");
    weir_segment_close(sysv);
    weir_segment_close(posix);
    assert_result(weir_segment_remove(ref), 0);
    close(ends[0]);
    close(ends[1]);
}

static void receive_without_room(void *argument)
{
    struct weir_segment *segment = NULL;
    struct rlimit limit;
    unsigned descriptors = descriptors_now();
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_RESULT(weir_segment_receive(&segment, *(int *)argument, 0, NULL), -EMFILE);
    CHECK(strstr(weir_last_error(), "ulimit -n") && segment == NULL);
    limit.rlim_cur = before;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(descriptors_now() == descriptors);
}

static void send_too_many(void *argument)
{
    const int *ends = argument;
    struct weir_segment *segment;
    struct rlimit limit = { 20, 20 };
    int result = 0;
    become(OTHER_UID);
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 1, NULL), 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < 50 && result == 0; i++)
        result = weir_segment_send(ends[0], segment);
    CHECK_RESULT(result, -ETOOMANYREFS);
    CHECK(strstr(weir_last_error(), "on their way"));
}

static void test_limits(void **state)
{
    (void)state;
    int ends[2];
    struct weir_segment *segment = make("lost");
    pair(SOCK_STREAM, ends);
    assert_result(weir_segment_send(ends[0], segment), 0);
    in_child(receive_without_room, &ends[1]);
    weir_segment_close(segment);
    if (has_other_users())
        in_child(send_too_many, ends);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, files_begin, files_check)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_over_every_socket),
        TEST(test_the_sender_may_go_at_once),
        TEST(test_several_in_their_order),
        TEST(test_a_pidfd_comes_along),
        TEST(test_on_and_on),
        TEST(test_garbage),
        TEST(test_a_socket_that_lingers),
        TEST(test_options_are_looked_at_first),
        TEST(test_sockets),
        TEST(test_no_other_side),
        TEST(test_only_memfds),
        TEST(test_limits),
    };
    return cmocka_run_group_tests_name("pass", tests, fixture_start, fixture_end);
}
