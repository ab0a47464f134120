/* SPDX-License-Identifier: MIT */
/*
 * Goal: what one side does in the middle of the other's look is not missed: the last message
 *       and the end that follows it at once.
 * Method: a subscriber that looks at an empty lane is halted after 0, 3, 6 ... instructions;
 *       meanwhile the publisher sends one message and ends, or leaves, by turns. Then it goes on.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <weir/channel.h>

#include "base/atomics.h"

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(INT64_C(20000000000))

/* Each step takes two system calls. Sanitizers multiply the instructions, too. */
enum { MOMENTS_MAX = 20000, STRIDE = SANITIZED ? 61 : 3 };

static struct board {
    weir__atomic_u32 looks; /* of the child, that are over */
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

static void step(pid_t child)
{
    int status = -1;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGTRAP);
}

/* Whether the child was still in its first look when the publisher ended. */
static bool end_after(unsigned instructions, bool leaves)
{
    struct weir_publisher *publisher;
    assert_result(weir_publisher_open(&publisher, "lane", NULL), 0);
    board->looks = 0;
    pid_t child = tracee_start(subscribe, take_one_and_the_end, NULL);
    assert_result(weir_publisher_wait_subscriber(publisher, SOON), 0);
    for (unsigned i = 0; i < instructions; i++)
        step(child);
    bool is_first = board->looks == 0;
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
    unsigned instructions = 0;
    bool leaves = false;
    (void)state;
    if (!tracer_works())
        skip();
    while (end_after(instructions, leaves)) {
        instructions += STRIDE;
        leaves = !leaves;
        assert_true(instructions < MOMENTS_MAX * STRIDE);
    }
    print_message("           %u instructions\n", instructions);
    assert_true(instructions > 100);
}

static int moments_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_comes_in_the_middle),
    };
    return cmocka_run_group_tests(tests, moments_start, fixture_end);
}
