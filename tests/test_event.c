/* SPDX-License-Identifier: MIT */
/*
 * Goal: no notification of an event is lost between a waiter's look and its sleep, whoever dies;
 *       each call has the results that its header says, and costs what it says.
 * Method: actors (actor.h) told to prepare, wait and notify in every order that matters; threads
 *       that pass a number to and fro, in which a lost wake would be a slice of 200 ms.
 */
#include "actor.h"
#include "fixture.h"
#include "given.h"
#include "silence.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/event.h>

#include "base/atomics.h"

#define MS WEIR_MILLISECOND_NS

enum { SOON_MS = 20000, SLICE_MS = 200, BOUND_MS = SANITIZED ? 3000 : 1000 };

static struct board {
    struct weir_event event;
    weir__atomic_u32 state;
    uint32_t turn;
} * board;

static int set_up(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(board, sizeof *board);
}

/* --- what actors do --------------------------------------------------------------------------- */

static uint32_t ticket; /* each process has its own */

static int prepare(void *unused)
{
    (void)unused;
    return weir_event_prepare(&board->event, &ticket);
}

/* How long a wait took, in milliseconds; or its error. */
static int timed_wait(void *argument)
{
    int64_t before_ns = weir_now_ns();
    int result = argument ? weir_event_wait_until(&board->event, ticket, *(int64_t *)argument)
                          : weir_event_wait(&board->event, ticket);
    return result < 0 ? result : (int)((weir_now_ns() - before_ns) / MS);
}

/* The same for a bound from above: without the time in which the machine did not run it. */
static int given_wait(void *argument)
{
    int64_t stood_ns = given_stood_ns();
    int took_ms = timed_wait(argument);
    int stood_ms = (int)((given_stood_ns() - stood_ns) / MS);
    if (took_ms < 0)
        return took_ms;
    return took_ms > stood_ms ? took_ms - stood_ms : 0;
}

/* The loop of the header, until the state is not 0: milliseconds. */
static int wait_for_state(void *unused)
{
    int64_t before_ns = weir_now_ns();
    (void)unused;
    while (atomic_load(&board->state) == 0) {
        int result = weir_event_prepare(&board->event, &ticket);
        if (result != 0)
            return result;
        if (atomic_load(&board->state) != 0)
            break;
        result = weir_event_wait(&board->event, ticket);
        if (result != 0)
            return result;
    }
    return (int)((weir_now_ns() - before_ns) / MS);
}

static int notify(void *unused)
{
    (void)unused;
    return weir_event_notify(&board->event);
}

/* Its slice may be over before anybody has seen it asleep: then once more. */
static void prepare_and_sleep(struct actor *waiter)
{
    for (;;) {
        assert_int_equal(actor_ask(waiter, prepare, NULL), 0);
        actor_tell(waiter, timed_wait, NULL);
        if (actor_is_seen_asleep(waiter))
            return;
        assert_in_range(actor_answer(waiter, SOON_MS), SLICE_MS - 5, SOON_MS);
    }
}

/* Nothing ends it but its slice. A busy machine adds to that: the least of a few counts. */
static void wait_for_a_slice(int64_t *deadline_ns)
{
    int took_ms = INT_MAX;
    for (int attempt = 0; took_ms > BOUND_MS && attempt < 3; attempt++) {
        assert_result(prepare(NULL), 0);
        took_ms = timed_wait(deadline_ns);
        assert_in_range(took_ms, SLICE_MS - 5, SOON_MS);
    }
    assert_in_range(took_ms, SLICE_MS - 5, BOUND_MS);
}

/* --- results ---------------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    static uint32_t room[8];
    struct weir_event *odd = (struct weir_event *)(uintptr_t)((char *)room + 2);
    (void)state;
    assert_int_equal(sizeof(struct weir_event), 8);
    assert_int_equal(_Alignof(struct weir_event), 4);
    for (int i = 0; i < 2; i++) {
        struct weir_event *bad = i ? odd : NULL;
        assert_result(weir_event_prepare(bad, &ticket), -EINVAL);
        assert_result(weir_event_wait(bad, 0), -EINVAL);
        assert_result(weir_event_wait_until(bad, 0, WEIR_NEVER), -EINVAL);
        assert_result(weir_event_notify(bad), -EINVAL);
        assert_result(weir_event_notify_all(bad), -EINVAL);
    }
    struct weir_event *good = (struct weir_event *)(void *)room;
    assert_result(weir_event_prepare(good, NULL), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "ticket"));
    assert_true(all_bytes(room, sizeof room, 0));
}

static void test_a_notification_after_the_ticket_ends_the_wait(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        int took_ms = INT_MAX; /* the least of a few, as above */
        for (int attempt = 0; took_ms > SLICE_MS / 2 && attempt < 3; attempt++) {
            assert_result(prepare(NULL), 0);
            assert_result(all ? weir_event_notify_all(&board->event) : notify(NULL), 0);
            took_ms = timed_wait(NULL);
            assert_in_range(took_ms, 0, SOON_MS);
        }
        assert_in_range(took_ms, 0, SLICE_MS / 2);
        wait_for_a_slice(NULL); /* a ticket is good for what comes after it only */
    }
    /* Nobody has prepared: nothing is written. */
    struct weir_event fresh = { .opaque = { 0 } };
    assert_result(weir_event_notify(&fresh), 0);
    assert_result(weir_event_notify_all(&fresh), 0);
    assert_true(all_bytes(&fresh, sizeof fresh, 0));
}

static void test_deadlines(void **state)
{
    int64_t past[] = { 0, 1, -5 };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(past); i++) {
        assert_result(prepare(NULL), 0);
        assert_result(timed_wait(&past[i]), -ETIMEDOUT);
    }
    int64_t soon = weir_deadline_ns(30 * MS);
    assert_result(prepare(NULL), 0);
    assert_true(timed_wait(&soon) >= 0); /* before the slice's end: look again ... */
    assert_true(weir_now_ns() >= soon);
    assert_result(prepare(NULL), 0);
    assert_result(timed_wait(&soon), -ETIMEDOUT); /* ... and then it is over */
    int64_t never = WEIR_NEVER;
    wait_for_a_slice(&never);
}

static void ignore(int number)
{
    (void)number;
}

static void test_a_signal_ends_a_wait(void **state)
{
    struct sigaction action = { .sa_handler = ignore }, before;
    struct actor waiter;
    int result = 0;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    actor_start(&waiter);
    /* The slice may end before the signal comes. */
    for (int i = 0; i < 20 && result != -EINTR; i++) {
        prepare_and_sleep(&waiter);
        assert_int_equal(kill(waiter.pid, SIGUSR1), 0);
        result = actor_answer(&waiter, SOON_MS);
    }
    assert_int_equal(result, -EINTR);
    assert_true(waiter.sentence[0] != 0);
    actor_end(&waiter);
    sigaction(SIGUSR1, &before, NULL);
}

/* --- who is woken ------------------------------------------------------------------------------ */

enum { WAITERS = 4 };

/* Every waiter that sleeps, and each that has prepared only, is told by notify_all at once. */
static void test_all_are_woken(void **state)
{
    struct actor waiters[WAITERS];
    int late = 0;
    (void)state;
    for (int i = 0; i < WAITERS; i++) {
        actor_start(&waiters[i]);
        assert_int_equal(actor_ask(&waiters[i], prepare, NULL), 0);
    }
    for (int round = 0; round < 9; round++) {
        for (int i = 1; i < WAITERS; i++)
            prepare_and_sleep(&waiters[i]);
        assert_int_equal(actor_ask(&waiters[0], prepare, NULL), 0);
        int64_t before_ns = weir_now_ns();
        assert_result(weir_event_notify_all(&board->event), 0);
        for (int i = 1; i < WAITERS; i++)
            assert_true(actor_answer(&waiters[i], SOON_MS) >= 0);
        assert_in_range(actor_ask(&waiters[0], given_wait, NULL), 0, SLICE_MS / 2);
        late += weir_now_ns() - before_ns > SLICE_MS / 4 * MS;
    }
    assert_in_range(late, 0, 4);
    for (int i = 0; i < WAITERS; i++)
        actor_end(&waiters[i]);
}

/* One notification a waiter: each wakes one of those that sleep, as long as there are any. */
static void test_one_is_woken_each_time(void **state)
{
    struct actor waiters[WAITERS];
    int late = 0;
    (void)state;
    for (int i = 0; i < WAITERS; i++)
        actor_start(&waiters[i]);
    for (int round = 0; round < 9; round++) {
        for (int i = 0; i < WAITERS; i++)
            prepare_and_sleep(&waiters[i]);
        int64_t before_ns = weir_now_ns();
        for (int i = 0; i < WAITERS; i++)
            assert_result(notify(NULL), 0);
        for (int i = 0; i < WAITERS; i++)
            assert_true(actor_answer(&waiters[i], SOON_MS) >= 0);
        late += weir_now_ns() - before_ns > SLICE_MS / 4 * MS;
    }
    assert_in_range(late, 0, 4);
    for (int i = 0; i < WAITERS; i++)
        actor_end(&waiters[i]);
}

/* The one that is woken stands still: the others see the change within their slice. */
static void test_who_is_woken_stands(void **state)
{
    struct actor first, second;
    (void)state;
    actor_start(&first);
    actor_start(&second);
    actor_tell(&first, wait_for_state, NULL);
    actor_see_asleep(&first);
    actor_tell(&second, wait_for_state, NULL);
    actor_see_asleep(&second);
    actor_stop(&first);
    atomic_store(&board->state, 1);
    assert_result(notify(NULL), 0);
    assert_true(actor_answer(&second, BOUND_MS) >= 0);
    actor_continue(&first);
    assert_true(actor_answer(&first, BOUND_MS) >= 0);
    actor_end(&first);
    actor_end(&second);
}

/* The change is made, and who should notify is dead. A waiter that is killed harms nobody. */
static void test_deaths(void **state)
{
    struct actor waiter, dead;
    (void)state;
    actor_start(&waiter);
    actor_start(&dead);
    actor_tell(&dead, wait_for_state, NULL);
    actor_see_asleep(&dead);
    actor_kill(&dead);
    actor_tell(&waiter, wait_for_state, NULL);
    actor_see_asleep(&waiter);
    atomic_store(&board->state, 1);
    assert_true(actor_answer(&waiter, BOUND_MS) >= 0);
    atomic_store(&board->state, 0);
    actor_tell(&waiter, wait_for_state, NULL);
    actor_see_asleep(&waiter);
    atomic_store(&board->state, 1);
    assert_result(notify(NULL), 0);
    assert_true(actor_answer(&waiter, BOUND_MS) >= 0);
    actor_end(&waiter);
}

/* --- what it costs ----------------------------------------------------------------------------- */

/* argument: somebody has prepared, so that a notification must make a call. */
static void notify_without_calls(void *argument)
{
    forbid_calls();
    for (int i = 0; i < 100; i++)
        if (weir_event_notify(&board->event) != 0 || weir_event_notify_all(&board->event) != 0)
            syscall(SYS_exit_group, 1);
    if (argument && weir_event_prepare(&board->event, &ticket) == 0)
        weir_event_notify(&board->event);
    syscall(SYS_exit_group, 0);
}

static void test_no_system_call_while_nobody_waits(void **state)
{
    (void)state;
    int status = status_in_child(notify_without_calls, board);
    if (SANITIZED || COUNTED || (WIFEXITED(status) && WEXITSTATUS(status) == 77))
        skip();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    memset(&board->event, 0, sizeof board->event);
    assert_int_equal(status_in_child(notify_without_calls, NULL), 0);
}

/* --- many turns -------------------------------------------------------------------------------- */

enum { TURNS = SANITIZED ? 500 : 5000 };

/* state is whose turn it is: 0 or 1. turn is plain memory that goes with it. */
static int take_turns(void *argument)
{
    uint32_t mine = *(uint32_t *)argument, own;
    for (int i = 0; i < TURNS; i++) {
        while (atomic_load_explicit(&board->state, memory_order_acquire) != mine) {
            if (weir_event_prepare(&board->event, &own) != 0)
                return 1;
            if (atomic_load_explicit(&board->state, memory_order_acquire) == mine)
                break;
            if (weir_event_wait(&board->event, own) != 0)
                return 2;
        }
        board->turn++;
        atomic_store_explicit(&board->state, !mine, memory_order_release);
        if (weir_event_notify(&board->event) != 0)
            return 3;
    }
    return 0;
}

static void turns(void (*start)(struct actor *))
{
    static uint32_t numbers[2] = { 0, 1 };
    struct actor actors[2];
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < 2; i++) {
        start(&actors[i]);
        actor_tell(&actors[i], take_turns, &numbers[i]);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(actor_answer(&actors[i], SOON_MS), 0);
    for (int i = 0; i < 2; i++)
        actor_end(&actors[i]);
    assert_int_equal(board->turn, 2 * TURNS);
    int64_t each_ns = (weir_now_ns() - before_ns) / (2 * TURNS);
    print_message("           a turn in %lld us\n", (long long)each_ns / 1000);
    assert_true(each_ns < 10 * MS);
}

static void test_turns_of_processes(void **state)
{
    (void)state;
    turns(actor_start);
}

static void test_turns_of_threads(void **state)
{
    (void)state;
    turns(actor_start_thread);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_a_notification_after_the_ticket_ends_the_wait),
        TEST(test_deadlines),
        TEST(test_a_signal_ends_a_wait),
        TEST(test_all_are_woken),
        TEST(test_one_is_woken_each_time),
        TEST(test_who_is_woken_stands),
        TEST(test_deaths),
        TEST(test_no_system_call_while_nobody_waits),
        TEST(test_turns_of_processes),
        TEST(test_turns_of_threads),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
