/* SPDX-License-Identifier: MIT */
/*
 * Goal: a semaphore's units are what was posted less what was taken, through threads, processes and
 *       deaths; each call has the results that its header says, and costs what it says.
 * Method: actors (actor.h) that wait, post and are killed; a filter that kills at any system call;
 *       a crowd that passes units on, whose sum is counted.
 */
#include "actor.h"
#include "fixture.h"
#include "silence.h"
#include "tracer.h"
#include "usage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/semaphore.h>

#define MS WEIR_MILLISECOND_NS

enum { SOON_MS = 20000, BOUND_MS = SANITIZED ? 3000 : 1000 };

static struct board {
    struct weir_semaphore semaphore, back;
    uint64_t written;
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

static int wait_one(void *unused)
{
    (void)unused;
    return weir_semaphore_wait(&board->semaphore);
}

static int post(void *unused)
{
    (void)unused;
    return weir_semaphore_post(&board->semaphore);
}

static int wait_for(void *argument)
{
    return weir_semaphore_wait_until(&board->semaphore, weir_deadline_ns(*(int64_t *)argument));
}

/* --- results ----------------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    static uint32_t room[8];
    struct weir_semaphore *odd = (struct weir_semaphore *)(uintptr_t)((char *)room + 2);
    (void)state;
    assert_int_equal(sizeof(struct weir_semaphore), 16);
    assert_int_equal(_Alignof(struct weir_semaphore), 4);
    assert_result(weir_semaphore_init(&board->semaphore, WEIR_SEMAPHORE_MAX + 1), -EINVAL);
    assert_result(weir_semaphore_init(&board->semaphore, UINT32_MAX), -EINVAL);
    for (int i = 0; i < 2; i++) {
        struct weir_semaphore *bad = i ? odd : NULL;
        assert_result(weir_semaphore_init(bad, 1), -EINVAL);
        assert_result(weir_semaphore_post(bad), -EINVAL);
        assert_result(weir_semaphore_wait(bad), -EINVAL);
        assert_result(weir_semaphore_try_wait(bad), -EINVAL);
        assert_result(weir_semaphore_wait_until(bad, WEIR_NEVER), -EINVAL);
        assert_result(weir_semaphore_value(bad), -EINVAL);
    }
    assert_true(all_bytes(room, sizeof room, 0));
}

static void test_it_counts(void **state)
{
    (void)state;
    assert_result(weir_semaphore_value(&board->semaphore), 0);
    assert_result(weir_semaphore_try_wait(&board->semaphore), -EAGAIN);
    assert_result(weir_semaphore_wait_until(&board->semaphore, 0), -EAGAIN);
    assert_result(weir_semaphore_wait_until(&board->semaphore, 1), -ETIMEDOUT);
    assert_result(weir_semaphore_wait_until(&board->semaphore, -1), -ETIMEDOUT);
    int64_t deadline_ns = weir_deadline_ns(20 * MS);
    assert_result(weir_semaphore_wait_until(&board->semaphore, deadline_ns), -ETIMEDOUT);
    assert_true(weir_now_ns() >= deadline_ns);
    for (int i = 1; i <= 5; i++) {
        assert_result(weir_semaphore_post(&board->semaphore), 0);
        assert_result(weir_semaphore_value(&board->semaphore), i);
    }
    assert_result(weir_semaphore_wait(&board->semaphore), 0);
    assert_result(weir_semaphore_try_wait(&board->semaphore), 0);
    assert_result(weir_semaphore_wait_until(&board->semaphore, 0), 0);
    assert_result(weir_semaphore_wait_until(&board->semaphore, 1), 0); /* there is one */
    assert_result(weir_semaphore_wait_until(&board->semaphore, WEIR_NEVER), 0);
    assert_result(weir_semaphore_value(&board->semaphore), 0);
}

static void test_its_bounds(void **state)
{
    (void)state;
    memset(&board->semaphore, 0x5a, sizeof board->semaphore);
    assert_result(weir_semaphore_init(&board->semaphore, WEIR_SEMAPHORE_MAX - 1), 0);
    assert_result(weir_semaphore_post(&board->semaphore), 0);
    assert_int_equal(weir_semaphore_value(&board->semaphore), (int)WEIR_SEMAPHORE_MAX);
    assert_result(weir_semaphore_post(&board->semaphore), -EOVERFLOW);
    assert_int_equal(weir_semaphore_value(&board->semaphore), (int)WEIR_SEMAPHORE_MAX);
    assert_result(weir_semaphore_init(&board->semaphore, 3), 0);
    assert_result(weir_semaphore_post_many(&board->semaphore, 0), -EINVAL);
    assert_result(weir_semaphore_post_many(&board->semaphore, WEIR_SEMAPHORE_MAX - 2), -EOVERFLOW);
    assert_result(weir_semaphore_post_many(&board->semaphore, UINT32_MAX), -EOVERFLOW);
    assert_int_equal(weir_semaphore_value(&board->semaphore), 3); /* none of them */
    assert_result(weir_semaphore_post_many(&board->semaphore, WEIR_SEMAPHORE_MAX - 3), 0);
    assert_int_equal(weir_semaphore_value(&board->semaphore), (int)WEIR_SEMAPHORE_MAX);
    assert_result(weir_semaphore_wait(&board->semaphore), 0);
    assert_int_equal(weir_semaphore_value(&board->semaphore), (int)WEIR_SEMAPHORE_MAX - 1);
    memset(&board->semaphore, 0x5a, sizeof board->semaphore);
    assert_result(weir_semaphore_init(&board->semaphore, 0), 0);
    assert_true(all_bytes(&board->semaphore, sizeof board->semaphore, 0));
}

static void test_value_of_read_only_memory(void **state)
{
    (void)state;
    assert_result(weir_semaphore_init(&board->semaphore, 3), 0);
    assert_int_equal(mprotect(board, sizeof *board, PROT_READ), 0);
    assert_result(weir_semaphore_value(&board->semaphore), 3);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void pass_one(struct actor *waiter)
{
    static int64_t forever = -1;
    actor_tell(waiter, wait_one, NULL);
    actor_see_asleep(waiter);
    assert_int_equal(actor_answer(waiter, 0), ACTOR_WAITS);
    assert_result(post(NULL), 0);
    assert_int_equal(actor_answer(waiter, SOON_MS), 0);
    actor_tell(waiter, wait_for, &forever);
    actor_see_asleep(waiter);
    assert_result(post(NULL), 0);
    assert_int_equal(actor_answer(waiter, SOON_MS), 0);
    assert_result(weir_semaphore_value(&board->semaphore), 0);
}

static void test_a_thread_waits(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start_thread(&waiter);
    pass_one(&waiter);
    actor_end(&waiter);
}

static void test_a_process_waits(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    pass_one(&waiter);
    actor_end(&waiter);
}

static void ignore(int number)
{
    (void)number;
}

static void test_a_signal_ends_a_wait(void **state)
{
    struct sigaction action = { .sa_handler = ignore }, before;
    struct actor waiter;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    actor_start(&waiter);
    actor_tell(&waiter, wait_one, NULL);
    int result = ACTOR_WAITS;
    while (result == ACTOR_WAITS) { /* between two slices it may go by */
        actor_see_asleep(&waiter);
        assert_int_equal(kill(waiter.pid, SIGUSR1), 0);
        result = actor_answer(&waiter, 100);
    }
    assert_int_equal(result, -EINTR);
    assert_true(waiter.sentence[0] != 0);
    assert_result(weir_semaphore_value(&board->semaphore), 0);
    actor_end(&waiter);
    sigaction(SIGUSR1, &before, NULL);
}

enum { WAITERS = 4 };

static void post_one_by_one(void)
{
    for (int i = 0; i < WAITERS; i++)
        assert_result(post(NULL), 0);
}

static void post_all_at_once(void)
{
    assert_result(weir_semaphore_post_many(&board->semaphore, WAITERS), 0);
}

/* All sleep, and as many units are posted: whether the last has come after a slice. */
static bool is_one_late(struct actor *waiters, void (*post_to_all)(void))
{
    for (int i = 0; i < WAITERS; i++) {
        actor_tell(&waiters[i], wait_one, NULL);
        actor_see_asleep(&waiters[i]);
    }
    int64_t before_ns = weir_now_ns();
    post_to_all();
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(actor_answer(&waiters[i], SOON_MS), 0);
    return weir_now_ns() - before_ns > 50 * MS;
}

/* As many units as sleepers: each is woken for one, whether they come one by one or all at once. */
static void test_each_sleeper_is_woken(void **state)
{
    enum { ROUNDS = 9, LATE = 4 };
    struct actor waiters[WAITERS];
    int late_by_one = 0, late_at_once = 0;
    (void)state;
    for (int i = 0; i < WAITERS; i++)
        actor_start(&waiters[i]);
    for (int round = 0; round < ROUNDS; round++) {
        late_by_one += is_one_late(waiters, post_one_by_one);
        late_at_once += is_one_late(waiters, post_all_at_once);
    }
    assert_in_range(late_by_one, 0, LATE);
    assert_in_range(late_at_once, 0, LATE);
    assert_result(weir_semaphore_value(&board->semaphore), 0);
    for (int i = 0; i < WAITERS; i++)
        actor_end(&waiters[i]);
}

/* --- deaths ------------------------------------------------------------------------------------- */

static void test_a_waiter_is_killed(void **state)
{
    struct actor dead, stopped, waiter;
    (void)state;
    actor_start(&dead);
    actor_start(&stopped);
    actor_start(&waiter);
    actor_tell(&dead, wait_one, NULL);
    actor_see_asleep(&dead);
    actor_tell(&stopped, wait_one, NULL);
    actor_see_asleep(&stopped);
    actor_tell(&waiter, wait_one, NULL);
    actor_see_asleep(&waiter);
    actor_kill(&dead);
    actor_stop(&stopped); /* the wake goes to this one, who takes nothing now */
    assert_result(post(NULL), 0);
    assert_int_equal(actor_answer(&waiter, BOUND_MS), 0);
    assert_result(weir_semaphore_value(&board->semaphore), 0);
    actor_continue(&stopped);
    assert_int_equal(actor_answer(&stopped, 300), ACTOR_WAITS);
    assert_result(post(NULL), 0);
    assert_int_equal(actor_answer(&stopped, BOUND_MS), 0);
    actor_end(&stopped);
    actor_end(&waiter);
}

/* What a dead one took is gone, and is there again when somebody posts it. */
static void test_a_unit_dies_with_its_taker(void **state)
{
    struct actor taker;
    (void)state;
    assert_result(weir_semaphore_init(&board->semaphore, 1), 0);
    actor_start(&taker);
    assert_int_equal(actor_ask(&taker, wait_one, NULL), 0);
    actor_kill(&taker);
    assert_result(weir_semaphore_try_wait(&board->semaphore), -EAGAIN);
    assert_result(weir_semaphore_post(&board->semaphore), 0);
    assert_result(weir_semaphore_try_wait(&board->semaphore), 0);
}

/* --- a unit that has been taken, and the memory ------------------------------------------------------ */

static void post_one(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_semaphore_post(&board->semaphore), 0);
}

/* Halted as soon as its unit is there. By what bit ever: the memory is full of bits, then. */
static void post_into_another_use(int filling)
{
    pid_t poster = tracee_start(NULL, post_one, NULL);
    while (weir_semaphore_value(&board->semaphore) == 0)
        tracee_step_instruction(poster);
    assert_result(weir_semaphore_try_wait(&board->semaphore), 0);
    memset(&board->semaphore, filling, sizeof board->semaphore);
    assert_int_equal(tracee_finish(poster), 0);
    assert_true(all_bytes(&board->semaphore, sizeof board->semaphore, filling));
    assert_result(weir_semaphore_init(&board->semaphore, 0), 0);
}

static void test_who_has_a_unit_may_use_the_memory(void **state)
{
    static const int fillings[] = { 0xff, 0x55, 0x01, 0x00 };
    struct actor waiters[2];
    (void)state;
    if (!tracer_works())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(fillings); i++) {
        post_into_another_use(fillings[i]);
        /* Those who slept have left their mark. */
        for (int count = 1; count <= 2; count++) {
            for (int k = 0; k < count; k++) {
                actor_start(&waiters[k]);
                actor_tell(&waiters[k], wait_one, NULL);
                actor_see_asleep(&waiters[k]);
            }
            for (int k = 0; k < count; k++)
                actor_kill(&waiters[k]);
            post_into_another_use(fillings[i]);
        }
    }
}

/* --- what it costs ------------------------------------------------------------------------------ */

/* argument: it finds none, and must sleep. */
static void use_without_calls(void *argument)
{
    forbid_calls();
    for (int i = 0; i < 1000; i++)
        if (weir_semaphore_post(&board->semaphore) != 0 ||
            weir_semaphore_wait(&board->semaphore) != 0 ||
            weir_semaphore_try_wait(&board->semaphore) != -EAGAIN)
            syscall(SYS_exit_group, 1);
    if (argument)
        weir_semaphore_wait(&board->semaphore);
    syscall(SYS_exit_group, 0);
}

static void test_no_system_call(void **state)
{
    (void)state;
    int status = status_in_child(use_without_calls, board);
    if (SANITIZED || COUNTED || (WIFEXITED(status) && WEXITSTATUS(status) == 77))
        skip();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    assert_result(weir_semaphore_init(&board->semaphore, 0), 0);
    assert_int_equal(status_in_child(use_without_calls, NULL), 0);
}

/* The only one that slept: the posts after the one that woke it find nobody to call the kernel for. */
static void test_who_was_woken_leaves_no_mark(void **state)
{
    struct actor waiter;
    (void)state;
    int status = status_in_child(use_without_calls, NULL);
    if (SANITIZED || COUNTED || (WIFEXITED(status) && WEXITSTATUS(status) == 77))
        skip();
    actor_start(&waiter);
    for (int round = 0; round < 2; round++) {
        pass_one(&waiter);
        assert_int_equal(status_in_child(use_without_calls, NULL), 0);
    }
    actor_end(&waiter);
}

/* Those who died asleep are counted as sleepers, and no longer than a few posts. */
static void test_the_dead_leave_no_mark_for_ever(void **state)
{
    enum { DEAD = 3 };
    struct actor dead[DEAD];
    (void)state;
    int status = status_in_child(use_without_calls, NULL);
    if (SANITIZED || COUNTED || (WIFEXITED(status) && WEXITSTATUS(status) == 77))
        skip();
    for (int i = 0; i < DEAD; i++) {
        actor_start(&dead[i]);
        actor_tell(&dead[i], wait_one, NULL);
        actor_see_asleep(&dead[i]);
    }
    for (int i = 0; i < DEAD; i++)
        actor_kill(&dead[i]);
    for (int i = 0; i < DEAD; i++) {
        assert_result(post(NULL), 0);
        assert_result(weir_semaphore_try_wait(&board->semaphore), 0);
    }
    assert_int_equal(status_in_child(use_without_calls, NULL), 0);
}

enum { IDLE_SECONDS = 2 };

static int wait_idle(void *unused)
{
    int64_t idle_ns = IDLE_SECONDS * WEIR_SECOND_NS;
    (void)unused;
    struct usage usage = usage_now();
    int result = wait_for(&idle_ns);
    usage = usage_since(usage);
    printf("           idle %d s: %ld wake-ups, %lld us\n", IDLE_SECONDS, usage.sleeps,
           usage.cpu_us);
    fflush(stdout);
    if (result != -ETIMEDOUT || usage.sleeps < IDLE_SECONDS)
        return 1;
    if (!THREAD_SANITIZED && usage.sleeps > 10 * IDLE_SECONDS)
        return 2;
    return SANITIZED || COUNTED || usage.cpu_us <= 500 * IDLE_SECONDS + 500 ? 0 : 3;
}

static void test_a_waiter_costs_next_to_nothing(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    /* What else runs on the machine adds to its time, and takes none away: the least of a few counts. */
    int result = 3;
    for (int attempt = 0; result == 3 && attempt < 3; attempt++)
        result = actor_ask(&waiter, wait_idle, NULL);
    assert_int_equal(result, 0);
    actor_end(&waiter);
}

/* --- many --------------------------------------------------------------------------------------- */

enum { CROWD = 4, TURNS = SANITIZED ? 1000 : 10000 };

static int pass_on(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        if (weir_semaphore_wait(&board->semaphore) != 0)
            return 1;
        board
            ->written++; /* one unit: one at a time; and what was written before the post is seen */
        if (weir_semaphore_post(&board->semaphore) != 0)
            return 2;
    }
    return 0;
}

static void crowd(void (*start)(struct actor *))
{
    int64_t before_ns = weir_now_ns();
    assert_result(weir_semaphore_init(&board->semaphore, 1), 0);
    actors_do(start, CROWD, pass_on);
    assert_int_equal(board->written, CROWD * TURNS);
    assert_result(weir_semaphore_value(&board->semaphore), 1);
    assert_true((weir_now_ns() - before_ns) / (CROWD * TURNS) < 2 * MS);
}

static void test_a_crowd_of_processes(void **state)
{
    (void)state;
    crowd(actor_start);
}

static void test_a_crowd_of_threads(void **state)
{
    (void)state;
    crowd(actor_start_thread);
}

/* To and fro: each side sleeps until the other has posted. */
static int answer_posts(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS / 10; i++)
        if (weir_semaphore_wait(&board->semaphore) != 0 || weir_semaphore_post(&board->back) != 0)
            return 1;
    return 0;
}

static void test_to_and_fro(void **state)
{
    struct actor other;
    (void)state;
    actor_start(&other);
    int64_t before_ns = weir_now_ns();
    actor_tell(&other, answer_posts, NULL);
    for (int i = 0; i < TURNS / 10; i++) {
        assert_result(weir_semaphore_post(&board->semaphore), 0);
        assert_result(weir_semaphore_wait(&board->back), 0);
    }
    assert_int_equal(actor_answer(&other, SOON_MS), 0);
    assert_true((weir_now_ns() - before_ns) / (TURNS / 10) < 10 * MS);
    actor_end(&other);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_it_counts),
        TEST(test_its_bounds),
        TEST(test_value_of_read_only_memory),
        TEST(test_a_thread_waits),
        TEST(test_a_process_waits),
        TEST(test_a_signal_ends_a_wait),
        TEST(test_each_sleeper_is_woken),
        TEST(test_a_waiter_is_killed),
        TEST(test_a_unit_dies_with_its_taker),
        TEST(test_no_system_call),
        TEST(test_who_was_woken_leaves_no_mark),
        TEST(test_the_dead_leave_no_mark_for_ever),
        TEST(test_who_has_a_unit_may_use_the_memory),
        TEST(test_a_waiter_costs_next_to_nothing),
        TEST(test_a_crowd_of_processes),
        TEST(test_a_crowd_of_threads),
        TEST(test_to_and_fro),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
