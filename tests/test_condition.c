/* SPDX-License-Identifier: MIT */
/*
 * Goal: no signal of a condition is lost between the unlock and the sleep; a wait always comes back
 *       with the mutex, or says that it has not; deaths of waiters, signallers and holders cost a
 *       slice at most. Each call has the results that its header says.
 * Method: actors (actor.h) around one counter and one mutex; a queue that a crowd goes through.
 */
#include "actor.h"
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/condition.h>

#define MS WEIR_MILLISECOND_NS

enum { SOON_MS = 20000, SLICE_MS = 200, BOUND_MS = SANITIZED ? 3000 : 1000 };

static struct board {
    struct weir_mutex mutex;
    struct weir_condition filled, emptied;
    int count;
    unsigned put, got;
    uint64_t sum;
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

static int lock(void *unused)
{
    (void)unused;
    return weir_mutex_lock(&board->mutex);
}

static int unlock(void *unused)
{
    (void)unused;
    return weir_mutex_unlock(&board->mutex);
}

static int wait_once(void *unused)
{
    (void)unused;
    return weir_condition_wait(&board->filled, &board->mutex);
}

static int wait_for(void *argument)
{
    return weir_condition_wait_until(&board->filled, &board->mutex,
                                     weir_deadline_ns(*(int64_t *)argument));
}

/* Slice after slice, until something else comes. */
static int lock_and_wait(void *unused)
{
    int result = lock(unused);
    while (result == 0)
        result = wait_once(unused);
    return result;
}

/* The header's loop: takes one, and keeps the mutex. */
static int take(void *unused)
{
    (void)unused;
    int result = weir_mutex_lock(&board->mutex);
    while (result == 0 && board->count == 0)
        result = weir_condition_wait(&board->filled, &board->mutex);
    if (result >= 0)
        board->count--;
    return result;
}

static int take_and_unlock(void *unused)
{
    int result = take(unused);
    return result == 0 ? weir_mutex_unlock(&board->mutex) : result;
}

/* The change, without the signal. */
static void fill(int count)
{
    assert_result(weir_mutex_lock(&board->mutex), 0);
    board->count += count;
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

#define assert_refused(actor, act, argument, error)                                                \
    do {                                                                                           \
        assert_int_equal(actor_ask(actor, act, argument), error);                                  \
        assert_true((actor)->sentence[0] != 0);                                                    \
    } while (0)

/* --- results ----------------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    static uint32_t room[16];
    struct weir_condition *odd = (struct weir_condition *)(uintptr_t)((char *)room + 2);
    struct weir_mutex *odd_mutex = (struct weir_mutex *)(uintptr_t)((char *)room + 4);
    (void)state;
    assert_int_equal(sizeof(struct weir_condition), 8);
    assert_int_equal(_Alignof(struct weir_condition), 4);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    for (int i = 0; i < 2; i++) {
        struct weir_condition *bad = i ? odd : NULL;
        assert_result(weir_condition_signal(bad), -EINVAL);
        assert_result(weir_condition_broadcast(bad), -EINVAL);
        assert_result(weir_condition_wait(bad, &board->mutex), -EINVAL);
        assert_result(weir_condition_wait_until(bad, &board->mutex, 0), -EINVAL);
    }
    assert_result(weir_condition_wait(&board->filled, NULL), -EINVAL);
    assert_result(weir_condition_wait(&board->filled, odd_mutex), -EINVAL);
    /* Nothing has changed: it is held, once. */
    assert_result(weir_mutex_lock(&board->mutex), -EDEADLK);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_true(all_bytes(&board->filled, sizeof board->filled, 0));
}

static void test_who_may_not_wait(void **state)
{
    struct actor other;
    (void)state;
    actor_start_thread(&other);
    assert_result(weir_condition_wait(&board->filled, &board->mutex), -EPERM);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_refused(&other, wait_once, NULL, -EPERM);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    actor_end(&other);
    /* Held twice: one unlock would not let it go. */
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_condition_wait(&board->filled, &board->mutex), -EBUSY);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    int64_t soon = 0;
    assert_result(wait_for(&soon), -ETIMEDOUT); /* once: it may */
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
    /* Inherited: the unlock would give it up. */
    actor_start(&other);
    assert_int_equal(actor_ask(&other, lock, NULL), 0);
    actor_kill(&other);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(weir_condition_wait(&board->filled, &board->mutex), -EBUSY);
    assert_result(weir_mutex_consistent(&board->mutex), 0);
    assert_result(wait_for(&soon), -ETIMEDOUT);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

static void test_deadlines(void **state)
{
    (void)state;
    assert_result(weir_mutex_lock(&board->mutex), 0);
    int64_t past[] = { 0, 1, -5 };
    for (size_t i = 0; i < ARRAY_SIZE(past); i++)
        assert_result(weir_condition_wait_until(&board->filled, &board->mutex, past[i]),
                      -ETIMEDOUT);
    int64_t deadline_ns = weir_deadline_ns(30 * MS);
    int result = 0;
    while (result == 0)
        result = weir_condition_wait_until(&board->filled, &board->mutex, deadline_ns);
    assert_result(result, -ETIMEDOUT);
    assert_true(weir_now_ns() >= deadline_ns);
    /*
     * Held, as after success. A wait without a deadline comes back after a slice. A busy machine adds
     * to it: the least of a few counts.
     */
    int64_t took_ms = SOON_MS;
    for (int attempt = 0; took_ms > BOUND_MS && attempt < 3; attempt++) {
        int64_t before_ns = weir_now_ns();
        assert_result(wait_once(NULL), 0);
        took_ms = (weir_now_ns() - before_ns) / MS;
        assert_true(took_ms >= SLICE_MS - 5);
    }
    assert_in_range(took_ms, SLICE_MS - 5, BOUND_MS);
    assert_result(weir_mutex_lock(&board->mutex), -EDEADLK);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

static void ignore(int number)
{
    (void)number;
}

/* Its slice may be over before anybody has seen it asleep: then once more. */
static void wait_asleep(struct actor *waiter)
{
    int64_t before_ns = weir_now_ns();
    actor_tell(waiter, wait_once, NULL);
    while (!actor_is_seen_asleep(waiter)) {
        assert_int_equal(actor_answer(waiter, SOON_MS), 0);
        assert_true(weir_now_ns() - before_ns >= (SLICE_MS - 5) * MS);
        before_ns = weir_now_ns();
        actor_tell(waiter, wait_once, NULL);
    }
}

static void test_a_signal_ends_a_wait_well(void **state)
{
    struct sigaction action = { .sa_handler = ignore }, before;
    struct actor waiter;
    int quick = 0;
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    actor_start(&waiter);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(actor_ask(&waiter, lock, NULL), 0);
        wait_asleep(&waiter);
        int64_t before_ns = weir_now_ns();
        assert_int_equal(kill(waiter.pid, SIGUSR1), 0);
        assert_int_equal(actor_answer(&waiter, SOON_MS), 0);
        quick += weir_now_ns() - before_ns < SLICE_MS / 2 * MS;
        assert_int_equal(actor_ask(&waiter, unlock, NULL), 0);
    }
    assert_true(quick > 5);
    actor_end(&waiter);
    sigaction(SIGUSR1, &before, NULL);
}

/* --- signals are not lost ------------------------------------------------------------------------ */

/* before_unlock: the signal comes while the signaller holds the mutex, or after. */
static void signal_one(struct actor *waiter, bool before_unlock)
{
    int late = 0;
    for (int i = 0; i < 15; i++) {
        actor_tell(waiter, take_and_unlock, NULL);
        actor_see_asleep(waiter);
        int64_t before_ns = weir_now_ns();
        assert_result(weir_mutex_lock(&board->mutex), 0);
        board->count++;
        if (before_unlock)
            assert_result(weir_condition_signal(&board->filled), 0);
        assert_result(weir_mutex_unlock(&board->mutex), 0);
        if (!before_unlock)
            assert_result(weir_condition_signal(&board->filled), 0);
        assert_int_equal(actor_answer(waiter, SOON_MS), 0);
        late += weir_now_ns() - before_ns > SLICE_MS / 4 * MS;
    }
    assert_in_range(late, 0, 7);
}

static void test_a_process_is_signalled(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    signal_one(&waiter, false);
    signal_one(&waiter, true);
    actor_end(&waiter);
}

static void test_a_thread_is_signalled(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start_thread(&waiter);
    signal_one(&waiter, false);
    signal_one(&waiter, true);
    actor_end(&waiter);
}

enum { WAITERS = 4 };

static void test_broadcast(void **state)
{
    struct actor waiters[WAITERS];
    int late = 0;
    (void)state;
    for (int i = 0; i < WAITERS; i++)
        actor_start(&waiters[i]);
    for (int round = 0; round < 9; round++) {
        for (int i = 0; i < WAITERS; i++) {
            actor_tell(&waiters[i], take_and_unlock, NULL);
            actor_see_asleep(&waiters[i]);
        }
        int64_t before_ns = weir_now_ns();
        fill(WAITERS);
        assert_result(weir_condition_broadcast(&board->filled), 0);
        for (int i = 0; i < WAITERS; i++)
            assert_int_equal(actor_answer(&waiters[i], SOON_MS), 0);
        assert_int_equal(board->count, 0);
        late += weir_now_ns() - before_ns > SLICE_MS / 4 * MS;
    }
    assert_in_range(late, 0, 4);
    for (int i = 0; i < WAITERS; i++)
        actor_end(&waiters[i]);
}

/* --- deaths ---------------------------------------------------------------------------------------- */

/* Who should signal is dead after its change: a slice, and it is found. */
static void test_a_signaller_died(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    actor_tell(&waiter, take_and_unlock, NULL);
    actor_see_asleep(&waiter);
    fill(1);
    assert_int_equal(actor_answer(&waiter, BOUND_MS), 0);
    actor_end(&waiter);
}

/* At the end of its slice it has the mutex for a moment: not then. */
static void stop_without_the_mutex(struct actor *actor)
{
    actor_stop(actor);
    while (weir_mutex_owner(&board->mutex) != WEIR_IDENTITY_NOBODY) {
        actor_continue(actor);
        actor_see_asleep(actor);
        actor_stop(actor);
    }
}

/* Who has the signal stands still, or is dead: the other one takes what there is. */
static void test_a_waiter_dies_with_the_signal(void **state)
{
    struct actor first, second;
    (void)state;
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        actor_start(&first);
        actor_start(&second);
        actor_tell(&first, take_and_unlock, NULL);
        actor_see_asleep(&first);
        actor_tell(&second, take_and_unlock, NULL);
        actor_see_asleep(&second);
        stop_without_the_mutex(&first);
        fill(1);
        assert_result(weir_condition_signal(&board->filled), 0);
        if (is_killed)
            actor_kill(&first);
        assert_int_equal(actor_answer(&second, BOUND_MS), 0);
        if (!is_killed) {
            actor_continue(&first);
            fill(1);
            assert_result(weir_condition_signal(&board->filled), 0);
            assert_int_equal(actor_answer(&first, BOUND_MS), 0);
            actor_end(&first);
        }
        actor_end(&second);
    }
}

/* The deadline is over each time; until another one has the mutex in between. */
static int wait_in_vain(void *unused)
{
    int result;
    (void)unused;
    do
        result = weir_condition_wait_until(&board->filled, &board->mutex, 1);
    while (result == -ETIMEDOUT);
    return result;
}

/* Of a deadline and a death the death is told: the mutex is held, and what it guards is to be repaired. */
static void test_a_holder_dies_after_the_deadline(void **state)
{
    struct actor waiter, holder;
    (void)state;
    actor_start(&waiter);
    actor_start(&holder);
    assert_int_equal(actor_ask(&waiter, lock, NULL), 0);
    actor_tell(&waiter, wait_in_vain, NULL);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_kill(&holder);
    assert_int_equal(actor_answer(&waiter, SOON_MS), WEIR_OWNER_DIED);
    assert_int_equal(actor_ask(&waiter, unlock, NULL), 0); /* given up */
    assert_result(weir_mutex_try_lock(&board->mutex), -ENOTRECOVERABLE);
    actor_end(&waiter);
}

/* Another one dies with the mutex while this one waits: it is told, and holds the mutex. */
static void test_a_holder_dies_meanwhile(void **state)
{
    struct actor waiter, holder;
    (void)state;
    actor_start(&waiter);
    actor_start(&holder);
    actor_tell(&waiter, lock_and_wait, NULL);
    actor_see_asleep(&waiter);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    assert_result(weir_condition_signal(&board->filled), 0);
    assert_int_equal(actor_answer(&waiter, 300), ACTOR_WAITS); /* for the mutex */
    actor_kill(&holder);
    assert_int_equal(actor_answer(&waiter, BOUND_MS), WEIR_OWNER_DIED);
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
    assert_int_equal(actor_ask(&waiter, unlock, NULL), 0); /* given up */
    assert_result(weir_mutex_try_lock(&board->mutex), -ENOTRECOVERABLE);
    actor_end(&waiter);
}

static void test_given_up_meanwhile(void **state)
{
    struct actor waiter, holder;
    (void)state;
    actor_start(&waiter);
    actor_start(&holder);
    actor_tell(&waiter, lock_and_wait, NULL);
    actor_see_asleep(&waiter);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_kill(&holder);
    int result = weir_mutex_lock_until(&board->mutex, weir_deadline_ns(BOUND_MS * MS));
    if (result == -ETIMEDOUT) { /* its slice ended just then, and it is the heir itself */
        assert_int_equal(actor_answer(&waiter, BOUND_MS), WEIR_OWNER_DIED);
    } else {
        assert_result(result, WEIR_OWNER_DIED);
        assert_result(weir_mutex_unlock(&board->mutex), 0);
        assert_result(weir_condition_broadcast(&board->filled), 0);
        assert_int_equal(actor_answer(&waiter, BOUND_MS), -ENOTRECOVERABLE);
        assert_true(waiter.sentence[0] != 0);
        assert_refused(&waiter, unlock, NULL, -EPERM);
    }
    actor_end(&waiter);
}

/* --- many ------------------------------------------------------------------------------------------ */

enum { ITEMS = SANITIZED ? 1500 : 15000, ROOM = 3 };

static int put_all(void *unused)
{
    (void)unused;
    for (unsigned i = 1; i <= ITEMS; i++) {
        if (weir_mutex_lock(&board->mutex) != 0)
            return 1;
        while (board->count == ROOM)
            if (weir_condition_wait(&board->emptied, &board->mutex) != 0)
                return 2;
        board->count++;
        board->put++;
        board->sum += i;
        if (weir_mutex_unlock(&board->mutex) != 0 || weir_condition_signal(&board->filled) != 0)
            return 3;
    }
    return 0;
}

static int get_all(void *unused)
{
    (void)unused;
    for (unsigned i = 1; i <= ITEMS; i++) {
        if (weir_mutex_lock(&board->mutex) != 0)
            return 1;
        while (board->count == 0)
            if (weir_condition_wait(&board->filled, &board->mutex) != 0)
                return 2;
        board->count--;
        board->got++;
        board->sum -= i;
        /* The signal before the unlock, here. */
        if (weir_condition_signal(&board->emptied) != 0 || weir_mutex_unlock(&board->mutex) != 0)
            return 3;
    }
    return 0;
}

static void crowd(void (*start)(struct actor *))
{
    struct actor actors[4];
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < 4; i++)
        start(&actors[i]);
    for (int i = 0; i < 4; i++)
        actor_tell(&actors[i], i % 2 ? put_all : get_all, NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(actor_answer(&actors[i], 2 * SOON_MS), 0);
    for (int i = 0; i < 4; i++)
        actor_end(&actors[i]);
    assert_int_equal(board->count, 0);
    assert_int_equal(board->put, 2 * ITEMS);
    assert_int_equal(board->got, 2 * ITEMS);
    assert_true(board->sum == 0);
    print_message("           an item in %lld us\n",
                  (long long)((weir_now_ns() - before_ns) / (2 * ITEMS) / 1000));
    /* A signal that is lost costs up to 200 ms. */
    assert_true((weir_now_ns() - before_ns) / (2 * ITEMS) < 2 * MS);
}

static void test_a_queue_of_processes(void **state)
{
    (void)state;
    crowd(actor_start);
}

static void test_a_queue_of_threads(void **state)
{
    (void)state;
    crowd(actor_start_thread);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_who_may_not_wait),
        TEST(test_deadlines),
        TEST(test_a_signal_ends_a_wait_well),
        TEST(test_a_process_is_signalled),
        TEST(test_a_thread_is_signalled),
        TEST(test_broadcast),
        TEST(test_a_signaller_died),
        TEST(test_a_waiter_dies_with_the_signal),
        TEST(test_a_holder_dies_after_the_deadline),
        TEST(test_a_holder_dies_meanwhile),
        TEST(test_given_up_meanwhile),
        TEST(test_a_queue_of_processes),
        TEST(test_a_queue_of_threads),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
