/* SPDX-License-Identifier: MIT */
/*
 * Goal: who enters a time namespace in which the clock is behind still notices that the other side was killed.
 * Method: a process asks for lives, goes back by half of the time that the clock shows, and looks on, while the
 *         other one is killed. Where it may not, the test is skipped.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEW_TIME 0x80 /* CLONE_NEWTIME; newer than the headers of some */
#define SOON weir_deadline_ns(20 * SECOND_NS)

/* Ends the process with 77 where it may not. */
static int clock_behind(void)
{
    int result = unshare(NEW_TIME);
    FILE *offsets = result == 0 ? fopen("/proc/self/timens_offsets", "we") : NULL;
    if (!offsets)
        _exit(77);
    fprintf(offsets, "monotonic -%lld 0\n", (long long)(weir_now_ns() / SECOND_NS / 2));
    int space =
        fclose(offsets) == 0 ? open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC) : -1;
    if (space < 0)
        _exit(77);
    return space;
}

static void publish(void *unused)
{
    (void)unused;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    atomic_fetch_add(&board->ready, 1);
    for (;;)
        pause();
}

static void look_on(void *unused)
{
    (void)unused;
    int space = clock_behind(), result;
    struct weir_subscriber *subscriber = crowd_subscriber();
    CHECK_RESULT(weir_subscriber_wait_publisher(subscriber, SOON), 0);
    CHECK_RESULT(crowd_take(subscriber, 0, NOW), -EAGAIN); /* and it has asked */
    int64_t before_ns = weir_now_ns();
    CHECK(setns(space, NEW_TIME) == 0);
    CHECK(weir_now_ns() < before_ns);
    atomic_store(&board->words[0], 1);
    int64_t until_ns = SOON;
    while ((result = crowd_take(subscriber, 0, NOW)) == -EAGAIN && weir_now_ns() < until_ns)
        sched_yield();
    CHECK_RESULT(result, -EPIPE);
    weir_subscriber_close(subscriber);
}

static void test_a_clock_that_went_back(void **state)
{
    (void)state;
    pid_t publisher = crowd_fork(publish, NULL), subscriber = crowd_fork(look_on, NULL);
    crowd_await_ready(1);
    crowd_await(&board->words[0], 1);
    crowd_kill(publisher);
    crowd_end(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CROWD_TEST(test_a_clock_that_went_back) };
    int status;
    pid_t child = fork();
    if (child == 0) {
        int space = clock_behind();
        _exit(setns(space, NEW_TIME) == 0
                  ? 0
                  : 77); /* not of a process with a thread, say a sanitizer's */
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return 77;
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
