/* SPDX-License-Identifier: MIT */
/*
 * Goal: what one side does in the middle of the other's look is not missed: the last message
 *       and the end that follows it at once. And who sleeps is woken at once.
 * Method: a subscriber that looks at an empty lane is halted after 0, 3, 6 ... instructions;
 *       meanwhile the publisher sends one message and ends, or leaves, by turns. Then it goes on.
 *       The same with a tap; and with one that polls, and one message. And one that sleeps, as the kernel says,
 *       tells when it has its message. See trail.h. All of it also (--without-membarrier) where both must
 *       fence instead.
 */
#include "asleep.h"
#include "fixture.h"
#include "silence.h"
#include "tracer.h"
#include "trail.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>
#include <weir/tap.h>

#include "base/atomics.h"

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(INT64_C(20000000000))

enum { INSTRUCTIONS_MAX = 60000, STRIDE = 3, WAKES = 20 };

static struct board {
    weir__atomic_u32 looks;    /* of the child, that are over */
    weir__atomic_u32 taken;    /* messages */
    weir__atomic_u64 taken_ns; /* when the last one was */
    weir__atomic_u64 poll_ns;  /* how long the longest poll took */
} * board;

static struct weir_subscriber *subscriber;

static void subscribe(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
}

static int look(struct weir_message *message)
{
    int result;
    do {
        result = weir_subscriber_take_until(subscriber, message, NOW);
        /* Relaxed: a number alone. */
        atomic_fetch_add_explicit(&board->looks, 1, memory_order_relaxed);
    } while (result == -EAGAIN);
    return result;
}

static void take_one_and_the_end(void *argument)
{
    struct weir_message message, none;
    (void)argument;
    CHECK_RESULT(look(&message), 0);
    CHECK(message.sequence == 0 && message.size_bytes == 4);
    CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
    CHECK_RESULT(look(&none), -ENODATA);
    weir_subscriber_close(subscriber);
}

/* Its first look is over. */
static bool has_looked(void)
{
    return board->looks != 0;
}

static void subscribe_to_poll(void *argument)
{
    subscribe(argument);
    CHECK(weir_subscriber_fd(subscriber) >= 0);
}

/* Looks; and as long as there is nothing, polls. */
static void take_by_poll(void *argument)
{
    struct weir_message message;
    struct pollfd poll_fd = { .fd = weir_subscriber_fd(subscriber), .events = POLLIN };
    (void)argument;
    while (weir_subscriber_take_until(subscriber, &message, NOW) == -EAGAIN) {
        atomic_fetch_add_explicit(&board->looks, 1, memory_order_relaxed);
        int64_t before_ns = weir_now_ns();
        CHECK(poll(&poll_fd, 1, 20000) == 1);
        atomic_store_explicit(&board->poll_ns, (uint64_t)(weir_now_ns() - before_ns),
                              memory_order_relaxed);
    }
    CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
    weir_subscriber_close(subscriber);
}

/* A publisher, and a child that stands before its first look. */
static pid_t start_child(struct weir_publisher **publisher, void (*prepare)(void *),
                         void (*act)(void *))
{
    assert_result(weir_publisher_open(publisher, "lane", NULL), 0);
    board->looks = 0;
    board->poll_ns = 0;
    pid_t child = tracee_start(prepare, act, NULL);
    assert_result(weir_publisher_wait_subscribers(*publisher, 1, SOON), 0);
    return child;
}

/* The first look, of which nobody is in the middle. */
static void record(struct trail *trail, void (*prepare)(void *), void (*act)(void *))
{
    struct weir_publisher *publisher;
    pid_t child = start_child(&publisher, prepare, act);
    trail_record(trail, child, INSTRUCTIONS_MAX, has_looked);
    tracee_kill(child);
    weir_publisher_close(publisher);
}

static bool lead(const struct trail *trail, pid_t child, unsigned instructions)
{
    return trail ? trail_follow(trail, child, instructions, has_looked)
                 : trail_step(child, instructions, has_looked);
}

/* Whether the child was still in its first look when the publisher sent; is_slow: a slice was it
 * that made the descriptor readable. */
static bool send_after(unsigned instructions, const struct trail *trail, bool *is_slow)
{
    struct weir_publisher *publisher;
    pid_t child = start_child(&publisher, subscribe_to_poll, take_by_poll);
    bool is_first = lead(trail, child, instructions);
    assert_result(weir_publisher_send_until(publisher, "news", 4, 0, NOW), 0);
    assert_int_equal(tracee_finish(child), 0);
    *is_slow = board->poll_ns > 100000000;
    weir_publisher_close(publisher);
    return is_first;
}

/* A message that is missed shows at the end of a slice, in dozens of moments one after another. */
static void test_a_message_comes_while_it_arms(void **state)
{
    struct trail trail = { .at = NULL };
    unsigned strayed = 0, slow = 0;
    (void)state;
    if (SANITIZED || !tracer_works()) {
        print_message("nobody may trace here, or sanitizers make twenty instructions of one\n");
        skip();
    }
    record(&trail, subscribe_to_poll, take_by_poll);
    /* The moments that matter are hundreds. */
    for (unsigned instructions = 0; instructions < trail.count; instructions += 4 * STRIDE) {
        bool is_slow;
        if (!send_after(instructions, &trail, &is_slow)) {
            strayed++;
            send_after(instructions, NULL, &is_slow);
        }
        slow += is_slow;
    }
    print_message("           %u instructions, strayed %u times, slow %u times\n", trail.count,
                  strayed, slow);
    assert_true(trail.count > 100);
    assert_true(slow < 5);
    trail_free(&trail);
}

/* Whether the child was still in its first look when the publisher ended. */
static bool end_after(unsigned instructions, const struct trail *trail, bool leaves)
{
    struct weir_publisher *publisher;
    pid_t child = start_child(&publisher, subscribe, take_one_and_the_end);
    bool is_first = lead(trail, child, instructions);
    assert_result(weir_publisher_send_until(publisher, "last", 4, 0, NOW), 0);
    if (leaves)
        weir_publisher_close(publisher);
    else
        assert_result(weir_publisher_end(publisher), 0);
    int status = tracee_finish(child);
    if (status != 0)
        print_error("after %u instructions\n", instructions);
    assert_int_equal(status, 0);
    if (!leaves)
        weir_publisher_close(publisher);
    return is_first;
}

static void test_the_end_comes_in_the_middle(void **state)
{
    struct trail trail = { .at = NULL };
    unsigned strayed = 0;
    bool leaves = false;
    (void)state;
    if (SANITIZED || !tracer_works()) {
        print_message("nobody may trace here, or sanitizers make twenty instructions of one\n");
        skip();
    }
    end_after(
        0, NULL,
        leaves); /* What is linked at the first call (lazily, libc's) is by then, so that all go the same way. */
    record(&trail, subscribe, take_one_and_the_end);
    for (unsigned instructions = 0; instructions < trail.count; instructions += STRIDE) {
        if (!end_after(instructions, &trail, leaves)) {
            strayed++;
            end_after(instructions, NULL, leaves);
        }
        leaves = !leaves;
    }
    print_message("           %u instructions, strayed %u times\n", trail.count, strayed);
    assert_true(trail.count > 100);
    trail_free(&trail);
}

/* --- a tap, which has no end to tell of -------------------------------------------------------- */

static struct weir_tap *tap;

static void open_tap(void *argument)
{
    char none[4];
    (void)argument;
    CHECK_RESULT(weir_tap_open(&tap, "lane", NULL), 0);
    CHECK_RESULT(weir_tap_receive_until(tap, none, sizeof none, NULL, NOW), -EAGAIN);
}

/* In the first look, or else in the second, which begins when the message is there. */
static void tap_one(void *argument)
{
    char bytes[4];
    (void)argument;
    int result = weir_tap_receive_until(tap, bytes, sizeof bytes, NULL, NOW);
    atomic_fetch_add_explicit(&board->looks, 1, memory_order_relaxed);
    if (result == -EAGAIN)
        result = weir_tap_receive_until(tap, bytes, sizeof bytes, NULL, NOW);
    CHECK_RESULT(result, 0);
    CHECK(memcmp(bytes, "last", 4) == 0);
    weir_tap_close(tap);
}

/* Stands before its look. */
static pid_t start_tap(struct weir_publisher **publisher)
{
    assert_result(weir_publisher_open(publisher, "lane", NULL), 0);
    board->looks = 0;
    return tracee_start(open_tap, tap_one, NULL);
}

/* Whether the tap was still in its first look when the publisher ended. */
static bool end_while_tapped(unsigned instructions, const struct trail *trail)
{
    struct weir_publisher *publisher;
    pid_t child = start_tap(&publisher);
    bool is_first = lead(trail, child, instructions);
    assert_result(weir_publisher_send_until(publisher, "last", 4, 0, NOW), 0);
    assert_result(weir_publisher_end(publisher), 0);
    int status = tracee_finish(child);
    if (status != 0)
        print_error("after %u instructions\n", instructions);
    assert_int_equal(status, 0);
    weir_publisher_close(publisher);
    return is_first;
}

static void test_the_end_comes_while_a_tap_looks(void **state)
{
    struct trail trail = { .at = NULL };
    struct weir_publisher *publisher;
    unsigned strayed = 0;
    (void)state;
    if (SANITIZED || !tracer_works()) {
        print_message("nobody may trace here, or sanitizers make twenty instructions of one\n");
        skip();
    }
    end_while_tapped(0, NULL); /* as above */
    pid_t child = start_tap(&publisher);
    trail_record(&trail, child, INSTRUCTIONS_MAX, has_looked);
    tracee_kill(child);
    weir_publisher_close(publisher);
    for (unsigned instructions = 0; instructions < trail.count; instructions += STRIDE)
        if (!end_while_tapped(instructions, &trail)) {
            strayed++;
            end_while_tapped(instructions, NULL);
        }
    print_message("           %u instructions, strayed %u times\n", trail.count, strayed);
    assert_true(trail.count > 100);
    trail_free(&trail);
}

static void take_asleep(void *argument)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_message message;
    (void)argument;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &options), 0);
    for (unsigned i = 0; i < WAKES; i++) {
        CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, SOON), 0);
        atomic_store_explicit(&board->taken_ns, (uint64_t)weir_now_ns(), memory_order_relaxed);
        /* Release: the time. */
        atomic_fetch_add_explicit(&board->taken, 1, memory_order_release);
        CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
    }
    weir_subscriber_close(subscriber);
}

/* Unrung it would sleep on to the end of its slice of 200 ms: for half of one on the average. */
static void test_who_sleeps_is_woken(void **state)
{
    struct weir_publisher *publisher;
    int64_t slept_ns = 0;
    int status;
    (void)state;
    assert_result(weir_publisher_open(&publisher, "lane", NULL), 0);
    board->taken = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take_asleep(NULL);
        _exit(0);
    }
    assert_true(child > 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    for (unsigned i = 1; i <= WAKES; i++) {
        see_asleep(child);
        int64_t before_ns = weir_now_ns();
        assert_result(weir_publisher_send_until(publisher, "wake", 4, 0, SOON), 0);
        /* Acquire: the time. */
        while (atomic_load_explicit(&board->taken, memory_order_acquire) != i)
            sched_yield();
        slept_ns += (int64_t)board->taken_ns - before_ns;
    }
    print_message("           woken after %lld us on the average\n",
                  (long long)slept_ns / WAKES / 1000);
    assert_true(slept_ns < WAKES * INT64_C(50000000));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    weir_publisher_close(publisher);
}

static int moments_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_comes_in_the_middle),
        cmocka_unit_test(test_the_end_comes_while_a_tap_looks),
        cmocka_unit_test(test_a_message_comes_while_it_arms),
        cmocka_unit_test(test_who_sleeps_is_woken),
    };
    if (!silence_begin(argument_count, arguments))
        return 77;
    return cmocka_run_group_tests(tests, moments_start, fixture_end);
}
