/* SPDX-License-Identifier: MIT */
/*
 * Goal: a SIGKILL at any system call of create, open, close, remove, send or receive of a POSIX
 *       segment or a memfd leaves the whole object or nothing, and no memory; and whichever single
 *       system call fails, the call tells it and has changed nothing.
 * Method: a traced child that is killed, or whose call is made to fail, at its n-th stop, for every n;
 *       then /dev/shm, its free room and the other end of the socket are looked at.
 */
#include "files.h"
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TEST_SIZE 5000

/* What a child leaves to its acts, and to the test. */
static struct weir_segment *segment;
static int ends[2] = { -1, -1 };
static uint64_t room_before;

/* What the child's call gave; shared by fork. */
static struct {
    volatile int result;
    volatile int told;
} * outcome;
#define NO_RESULT 4711

static void record(int result)
{
    outcome->told = weir_last_error()[0] != 0;
    outcome->result = result;
}

static uint64_t room_now(void)
{
    struct statvfs room;
    assert_int_equal(statvfs("/dev/shm", &room), 0);
    return room.f_bfree;
}

static struct weir_ref ref(void)
{
    return weir_by_posix(posix_name("kill"));
}

/* --- acts ------------------------------------------------------------------------------- */

static void create_posix(void *argument)
{
    struct weir_segment_options options = persistent_options();
    (void)argument;
    options.mode = 0640;
    options.flags = WEIR_SEGMENT_PREFAULT;
    record(weir_segment_create(&segment, ref(), TEST_SIZE, &options));
}

static void create_or_open_posix(void *argument)
{
    struct weir_segment_options options = persistent_options();
    (void)argument;
    options.mode = 0640;
    record(weir_segment_create_or_open(&segment, ref(), TEST_SIZE, &options));
}

static void open_posix(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    (void)argument;
    options.flags = WEIR_SEGMENT_PREFAULT;
    record(weir_segment_open(&segment, ref(), TEST_SIZE, &options));
}

static void close_it(void *argument)
{
    (void)argument;
    weir_segment_close(segment);
    record(0);
}

static void create_and_close(void *argument)
{
    create_posix(argument);
    close_it(argument);
}

static void remove_posix(void *argument)
{
    (void)argument;
    record(weir_segment_remove(ref()));
}

static void create_memfd(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    (void)argument;
    options.flags = WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_PREFAULT;
    record(weir_segment_create(&segment, weir_memfd(), TEST_SIZE, &options));
    if (outcome->result == 0)
        memcpy(weir_segment_data(segment), "sent", 5);
}

static void send_memfd(void *argument)
{
    (void)argument;
    record(weir_segment_send(ends[0], segment));
}

static void receive_memfd(void *argument)
{
    struct weir_segment *received = NULL;
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    int result = weir_segment_receive(&received, ends[1], TEST_SIZE, &options);
    record(result);
    CHECK((received != NULL) == (result == 0));
    CHECK(result != 0 || strcmp(weir_segment_data(received), "sent") == 0);
}

static void open_memfd(void *argument)
{
    struct weir_segment *opened = NULL;
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    int result =
        weir_segment_open(&opened, weir_by_fd(weir_segment_fd(segment)), TEST_SIZE, &options);
    record(result);
    CHECK((opened != NULL) == (result == 0));
}

/* --- checks ----------------------------------------------------------------------------- */

static void at_place(bool condition, const char *text)
{
    if (!condition) {
        walk_print_place();
        print_error("%s; result %d, %u files, room %ld\n", text, outcome->result, posix_now(),
                    (long)(room_now() - room_before));
    }
    assert_true(condition);
}
#define AT_PLACE(condition) at_place((condition), #condition)

/* The whole object, or none; and then the next one can make it. */
static void expect_whole_or_nothing(void)
{
    struct stat found;
    bool is_there = stat(posix_path("kill"), &found) == 0;
    AT_PLACE(posix_now() == is_there);
    if (is_there) {
        AT_PLACE(found.st_size == TEST_SIZE && found.st_blocks * 512 >= TEST_SIZE);
        AT_PLACE((found.st_mode & 07777) == 0640 && found.st_nlink == 1);
        AT_PLACE(weir_segment_remove(ref()) == 0);
    }
    AT_PLACE(room_now() == room_before);
    AT_PLACE(weir_collect(0, NULL, NULL) == 0); /* there is nothing that would need it */
    create_posix(NULL);
    AT_PLACE(outcome->result == 0);
    weir_segment_close(segment);
    AT_PLACE(weir_segment_remove(ref()) == 0);
    AT_PLACE(room_now() == room_before);
}

static void stage(void *argument)
{
    (void)argument;
    outcome->result = NO_RESULT;
    outcome->told = 0;
    room_before = room_now();
}

static void after_kill(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    expect_whole_or_nothing();
}

static void test_posix(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*prepare)(void *), (*act)(void *);
    } rows[] = {
        { "create", NULL, create_posix },
        { "create_or_open", NULL, create_or_open_posix },
        { "open", create_and_close, open_posix },
        { "close", create_posix, close_it },
        { "remove", create_and_close, remove_posix },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct walk walk = { rows[i].what, stage, rows[i].prepare, rows[i].act, after_kill, NULL };
        unsigned stops = walk_stops(&walk);
        print_message("           POSIX, %s: killed at %u stops\n", rows[i].what, stops);
        assert_true(stops >= 2);
        weir_segment_remove(ref()); /* of the round that came to its end */
    }
}

/* --- memfd ------------------------------------------------------------------------------ */

/* The round that came to its end leaves them to the next one. */
static void close_pair(void)
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

static void stage_pair(void *argument)
{
    stage(argument);
    close_pair();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

static void stage_sent(void *argument)
{
    stage_pair(argument);
    create_memfd(argument);
    send_memfd(argument);
    weir_segment_close(segment);
    assert_int_equal(outcome->result, 0);
    outcome->result = NO_RESULT;
}

/* The survivor finds the whole message or none. */
static void after_send(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    close(ends[0]);
    ends[0] = -1;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *received = NULL;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    int result = weir_segment_receive(&received, ends[1], TEST_SIZE, &options);
    AT_PLACE(result == 0 || result == -EPIPE);
    AT_PLACE(result != 0 || strcmp(weir_segment_data(received), "sent") == 0);
    weir_segment_close(received);
}

/* The next receiver finds the message, or it was the dead one's; what follows arrives. */
static void after_receive(pid_t child, void *argument)
{
    tracee_kill(child);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *received = NULL;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    create_memfd(argument);
    memcpy(weir_segment_data(segment), "next", 5);
    AT_PLACE(weir_segment_send(ends[0], segment) == 0);
    weir_segment_close(segment);
    AT_PLACE(weir_segment_receive(&received, ends[1], TEST_SIZE, &options) == 0);
    bool is_next = strcmp(weir_segment_data(received), "next") == 0;
    AT_PLACE(is_next || strcmp(weir_segment_data(received), "sent") == 0);
    weir_segment_close(received);
    received = NULL;
    close(ends[0]);
    ends[0] = -1;
    int result = weir_segment_receive(&received, ends[1], TEST_SIZE, &options);
    AT_PLACE(result == (is_next ? -EPIPE : 0));
    AT_PLACE(is_next || strcmp(weir_segment_data(received), "next") == 0);
    weir_segment_close(received);
}

static void test_memfd(void **state)
{
    (void)state;
    struct walk send = { "send", stage_pair, create_memfd, send_memfd, after_send, NULL };
    struct walk receive = { "receive", stage_sent, NULL, receive_memfd, after_receive, NULL };
    unsigned sends = walk_stops(&send), receives = walk_stops(&receive);
    print_message("           memfd: killed at %u stops of send, %u of receive\n", sends, receives);
    assert_true(sends >= 4 && receives >= 10);
}

/* --- a call that fails ------------------------------------------------------------------ */

static const int errors[] = { ENOMEM, EACCES, EIO };
static int error_now;
static unsigned failed_calls, failed_results;

static void fail_and_finish(pid_t child)
{
    failed_calls += tracee_fail_call(child, error_now);
    AT_PLACE(tracee_finish(child) == 0);
    AT_PLACE(outcome->result != NO_RESULT);
    AT_PLACE(outcome->result >= 0 || outcome->told);
    failed_results += outcome->result < 0;
}

static void after_create(pid_t child, void *argument)
{
    (void)argument;
    fail_and_finish(child);
    AT_PLACE((outcome->result >= 0) == (posix_now() == 1));
    expect_whole_or_nothing();
}

static void after_remove(pid_t child, void *argument)
{
    (void)argument;
    fail_and_finish(child);
    AT_PLACE((outcome->result < 0) == (posix_now() == 1));
    expect_whole_or_nothing();
}

static void after_open(pid_t child, void *argument)
{
    (void)argument;
    fail_and_finish(child);
    AT_PLACE(posix_now() == 1);
    expect_whole_or_nothing();
}

static void after_memfd(pid_t child, void *argument)
{
    (void)argument;
    fail_and_finish(child);
}

static void test_failing_calls(void **state)
{
    (void)state;
    struct walk walks[] = {
        { "POSIX create", stage, NULL, create_posix, after_create, NULL },
        { "POSIX create_or_open", stage, NULL, create_or_open_posix, after_create, NULL },
        { "POSIX open", stage, create_and_close, open_posix, after_open, NULL },
        { "POSIX remove", stage, create_and_close, remove_posix, after_remove, NULL },
        { "memfd create", stage, NULL, create_memfd, after_memfd, NULL },
        { "memfd open", stage, create_memfd, open_memfd, after_memfd, NULL },
        { "memfd send", stage_pair, create_memfd, send_memfd, after_memfd, NULL },
        { "memfd receive", stage_sent, NULL, receive_memfd, after_memfd, NULL },
    };
    if (SANITIZED || !tracer_can_fail_calls())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(walks); i++) {
        failed_calls = failed_results = 0;
        for (size_t j = 0; j < ARRAY_SIZE(errors); j++) {
            error_now = errors[j];
            walk_stops(&walks[i]);
            weir_segment_remove(ref()); /* of the round that came to its end */
        }
        print_message("           %s: %u calls failed, %u of them were told\n", walks[i].what,
                      failed_calls, failed_results);
        assert_true(failed_calls > 0 && failed_results > 0);
    }
}

static int check(void **state)
{
    close_pair();
    return files_check(state);
}

static int start(void **state)
{
    outcome = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    posix_name("kill"); /* the names are this process's, and its children's */
    return outcome == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_posix, files_begin, files_check),
        cmocka_unit_test_setup_teardown(test_memfd, files_begin, check),
        cmocka_unit_test_setup_teardown(test_failing_calls, files_begin, check),
    };
    const char *isolated = getenv("WEIR_ISOLATED");
    if (!tracer_works() || !isolated || strcmp(isolated, "1") != 0) {
        fprintf(stderr, "no tracing, or no /dev/shm of its own: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests_name("backend_kill", tests, start, fixture_end);
}
