/* SPDX-License-Identifier: MIT */
/*
 * Goal: each call of a mutex has the results, the errors and the sentences that its header says, for
 *       threads, for processes that forked, and under signals.
 * Method: actors (actor.h), each told what to do in the test's order; who waits is seen asleep
 *       before anything else is done.
 */
#include "mutex_acts.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_PAST INT64_C(1)

static int64_t now = 0, long_past = LONG_PAST, never = WEIR_NEVER, negative = -5,
               earliest = INT64_MIN, twenty_ms = 20 * MS;

/* --- one thread ------------------------------------------------------------------------------ */

static void test_arguments(void **state)
{
    static uint64_t room[8];
    struct weir_mutex *odd = (struct weir_mutex *)(uintptr_t)((char *)room + 4);
    (void)state;
    assert_int_equal(sizeof(struct weir_mutex), 40);
    assert_int_equal(_Alignof(struct weir_mutex), 8);
    assert_result(weir_mutex_init(NULL, 0), -EINVAL);
    assert_result(weir_mutex_init(odd, 0), -EINVAL);
    assert_result(weir_mutex_init(&board->mutex, 2), -EINVAL);
    assert_result(weir_mutex_init(&board->mutex, UINT32_MAX), -EINVAL);
    for (int i = 0; i < 2; i++) {
        struct weir_mutex *bad = i ? odd : NULL;
        assert_result(weir_mutex_lock(bad), -EINVAL);
        assert_int_equal(weir_mutex_owner(bad), WEIR_IDENTITY_NOBODY);
        assert_result(weir_mutex_try_lock(bad), -EINVAL);
        assert_result(weir_mutex_lock_until(bad, WEIR_NEVER), -EINVAL);
        assert_result(weir_mutex_unlock(bad), -EINVAL);
        assert_result(weir_mutex_consistent(bad), -EINVAL);
    }
    assert_true(all_bytes(room, sizeof room, 0));
}

static void test_zeros_are_a_mutex(void **state)
{
    uint64_t own;
    (void)state;
    assert_result(weir_identity(&own), 0);
    assert_true(weir_mutex_owner(&board->mutex) == WEIR_IDENTITY_NOBODY);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_true(weir_mutex_owner(&board->mutex) == own);
    assert_int_equal(weir_life(weir_mutex_owner(&board->mutex), geteuid()), WEIR_LIFE_ALIVE);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_true(weir_mutex_owner(&board->mutex) == WEIR_IDENTITY_NOBODY);
    /* Whatever stands there: init makes one. */
    memset(&board->mutex, 0x5a, sizeof board->mutex);
    assert_result(weir_mutex_init(&board->mutex, 0), 0);
    assert_true(all_bytes(&board->mutex, sizeof board->mutex, 0));
    assert_result(weir_mutex_try_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_lock_until(&board->mutex, 0), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    /* Free: a deadline that has passed does not matter. */
    assert_result(weir_mutex_lock_until(&board->mutex, LONG_PAST), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

static void test_it_checks(void **state)
{
    (void)state;
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
    assert_result(weir_mutex_consistent(&board->mutex), -EPERM);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_lock(&board->mutex), -EDEADLK);
    assert_result(weir_mutex_try_lock(&board->mutex), -EDEADLK);
    assert_result(weir_mutex_lock_until(&board->mutex, 0), -EDEADLK);
    assert_result(weir_mutex_lock_until(&board->mutex, WEIR_NEVER), -EDEADLK);
    assert_result(weir_mutex_consistent(&board->mutex), -EINVAL);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
}

static void test_recursive(void **state)
{
    struct actor other;
    (void)state;
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    actor_start(&other);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_try_lock(&board->mutex), 0);
    assert_result(weir_mutex_lock_until(&board->mutex, 0), 0);
    for (int i = 0; i < 3; i++) {
        assert_refused(&other, try_lock, NULL, -EAGAIN);
        assert_refused(&other, unlock, NULL, -EPERM);
        assert_result(weir_mutex_unlock(&board->mutex), 0);
    }
    assert_int_equal(actor_ask(&other, lock, NULL), 0);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
    assert_int_equal(actor_ask(&other, unlock, NULL), 0);
    actor_end(&other);
}

static void test_recursive_counts_no_further(void **state)
{
    struct weir__mutex_shm *inside = (struct weir__mutex_shm *)&board->mutex;
    int result = 0, times = 0;
    (void)state;
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    /* The way there takes a minute; so it is put near its end. */
    atomic_store(&inside->depth, UINT32_MAX - 3);
    while (times < 5 && (result = weir_mutex_lock(&board->mutex)) == 0)
        times++;
    assert_result(result, -EOVERFLOW);
    assert_in_range(times, 2, 3);
    assert_result(weir_mutex_try_lock(&board->mutex), -EOVERFLOW);
    /* Still held, and let go as often as it was locked. */
    atomic_store(&inside->depth, (uint32_t)times);
    for (int i = 0; i <= times; i++)
        assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
}

/* One object, two addresses: it is the same mutex. */
static void test_two_mappings(void **state)
{
    int memory = memfd_create("mutex", MFD_CLOEXEC);
    (void)state;
    assert_true(memory >= 0);
    assert_int_equal(ftruncate(memory, 4096), 0);
    struct weir_mutex *first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    struct weir_mutex *second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    const struct weir_mutex *read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, 0);
    assert_true(first != MAP_FAILED && second != MAP_FAILED && read_only != MAP_FAILED);
    assert_result(weir_mutex_lock(first), 0);
    assert_result(weir_mutex_lock(second), -EDEADLK);
    assert_true(weir_mutex_owner(read_only) != WEIR_IDENTITY_NOBODY);
    assert_result(weir_mutex_unlock(second), 0);
    assert_true(weir_mutex_owner(read_only) == WEIR_IDENTITY_NOBODY);
    munmap(first, 4096);
    munmap(second, 4096);
    munmap((void *)(uintptr_t)read_only, 4096);
    close(memory);
}

/* --- two owners: threads of a process, and processes ------------------------------------------ */

static void contend(struct actor *other)
{
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_refused(other, try_lock, NULL, -EAGAIN);
    assert_refused(other, lock_until, &now, -EAGAIN);
    assert_refused(other, lock_until, &long_past, -ETIMEDOUT);
    assert_refused(other, lock_until, &negative, -ETIMEDOUT);
    assert_refused(other, lock_until, &earliest, -ETIMEDOUT);
    int64_t before_ns = weir_now_ns();
    assert_refused(other, lock_for, &twenty_ms, -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= twenty_ms);
    assert_refused(other, unlock, NULL, -EPERM);
    assert_refused(other, consistent, NULL, -EPERM);
    actor_tell(other, lock, NULL);
    actor_see_asleep(other);
    assert_int_equal(actor_answer(other, 0), ACTOR_WAITS);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(other, SOON_MS), 0);
    /* Now it is the other's. */
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
    assert_int_equal(actor_ask(other, unlock, NULL), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    actor_tell(other, lock_until, &never);
    actor_see_asleep(other);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(other, SOON_MS), 0);
    assert_int_equal(actor_ask(other, unlock, NULL), 0);
}

static void test_two_threads(void **state)
{
    struct actor other;
    (void)state;
    actor_start_thread(&other);
    contend(&other);
    actor_end(&other);
}

static void test_two_processes(void **state)
{
    struct actor other;
    (void)state;
    actor_start(&other);
    contend(&other);
    actor_end(&other);
}

/* A thread that ends leaves the lock held, and none of those that come after is taken for it. */
static void test_a_thread_ends(void **state)
{
    struct actor thread;
    (void)state;
    actor_start_thread(&thread);
    assert_int_equal(actor_ask(&thread, lock, NULL), 0);
    actor_end(&thread);
    for (int i = 0; i < 30; i++) {
        actor_start_thread(&thread);
        assert_refused(&thread, unlock, NULL, -EPERM);
        assert_refused(&thread, try_lock, NULL, -EAGAIN);
        actor_end(&thread);
    }
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
}

/* --- fork ------------------------------------------------------------------------------------- */

static void test_child_of_a_holder(void **state)
{
    struct actor child;
    uint64_t own;
    (void)state;
    assert_result(weir_identity(&own), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    actor_start(&child);
    assert_refused(&child, unlock, NULL, -EPERM);
    assert_refused(&child, consistent, NULL, -EPERM);
    assert_refused(&child, try_lock, NULL, -EAGAIN);
    assert_true(weir_mutex_owner(&board->mutex) == own);
    actor_tell(&child, lock, NULL);
    actor_see_asleep(&child);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(&child, SOON_MS), 0);
    assert_int_equal(actor_ask(&child, identity, NULL), 0);
    assert_true(board->identity != own);
    assert_true(weir_mutex_owner(&board->mutex) == board->identity);
    actor_kill(&child);
    /* The child's death is the child's: the parent is told, and has its own identity. */
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(weir_mutex_consistent(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

/* In the child: forks in the midst of it; what is the parent's is not the child's. */
static int lock_and_fork(void *unused)
{
    int status = -1;
    (void)unused;
    if (weir_mutex_lock(&board->mutex) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0)
        _exit(weir_mutex_unlock(&board->mutex) == -EPERM &&
                      weir_mutex_try_lock(&board->mutex) == -EAGAIN
                  ? 0
                  : 1);
    if (waitpid(child, &status, 0) != child || status != 0)
        return -2;
    return weir_mutex_unlock(&board->mutex);
}

static void test_a_holder_forks(void **state)
{
    struct actor holder;
    (void)state;
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock_and_fork, NULL), 0);
    actor_end(&holder);
}

/* --- signals ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals_seen;

static void see_signal(int number)
{
    (void)number;
    signals_seen++;
}

static int lock_with_signals(void *unused)
{
    struct sigaction action = { .sa_handler = see_signal }; /* without SA_RESTART */
    (void)unused;
    signals_seen = 0;
    sigaction(SIGUSR1, &action, NULL);
    int result = weir_mutex_lock(&board->mutex);
    return result == 0 ? 100 + (int)signals_seen : result;
}

static void test_a_signal_does_not_end_a_wait(void **state)
{
    struct actor other;
    (void)state;
    actor_start(&other);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    actor_tell(&other, lock_with_signals, NULL);
    actor_see_asleep(&other);
    assert_int_equal(kill(other.pid, SIGUSR1), 0);
    assert_int_equal(actor_answer(&other, 300), ACTOR_WAITS);
    actor_see_asleep(&other);
    assert_int_equal(kill(other.pid, SIGUSR1), 0);
    assert_int_equal(actor_answer(&other, 300), ACTOR_WAITS);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(&other, SOON_MS), 102);
    assert_int_equal(actor_ask(&other, unlock, NULL), 0);
    actor_end(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_zeros_are_a_mutex),
        TEST(test_it_checks),
        TEST(test_recursive),
        TEST(test_recursive_counts_no_further),
        TEST(test_two_mappings),
        TEST(test_two_threads),
        TEST(test_two_processes),
        TEST(test_a_thread_ends),
        TEST(test_child_of_a_holder),
        TEST(test_a_holder_forks),
        TEST(test_a_signal_does_not_end_a_wait),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
