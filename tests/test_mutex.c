/* SPDX-License-Identifier: MIT */
/*
 * Goal: each call of a mutex has the results, the errors and the sentences that its header says,
 *       for threads, for processes that forked and for those that did not, and costs what it says.
 * Method: actors (actor.h), each told what to do in the test's order; who waits is seen asleep
 *       before anything else is done; a filter that kills at any system call.
 */
#include "actor.h"
#include "fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/mutex.h>

#include "sync/mutex.h"

#define MS WEIR_MILLISECOND_NS
#define LONG_PAST INT64_C(1)

enum { SOON_MS = 20000, WOKEN_MS = 100 };

static struct board {
    struct weir_mutex mutex;
    uint64_t identity;
    int64_t counter;
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

/* --- what actors do -------------------------------------------------------------------------- */

static int lock(void *unused)
{
    (void)unused;
    return weir_mutex_lock(&board->mutex);
}

static int try_lock(void *unused)
{
    (void)unused;
    return weir_mutex_try_lock(&board->mutex);
}

static int lock_for(void *argument)
{
    return weir_mutex_lock_until(&board->mutex, weir_deadline_ns(*(int64_t *)argument));
}

static int lock_until(void *argument)
{
    return weir_mutex_lock_until(&board->mutex, *(int64_t *)argument);
}

static int unlock(void *unused)
{
    (void)unused;
    return weir_mutex_unlock(&board->mutex);
}

static int consistent(void *unused)
{
    (void)unused;
    return weir_mutex_consistent(&board->mutex);
}

static int64_t now = 0, long_past = LONG_PAST, never = WEIR_NEVER, negative = -5,
               twenty_ms = 20 * MS;

/* An error, and a sentence of this call that says something. */
#define assert_refused(actor, act, argument, error)                                                \
    do {                                                                                           \
        assert_int_equal(actor_ask(actor, act, argument), error);                                  \
        assert_true((actor)->sentence[0] != 0);                                                    \
    } while (0)

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

static int identity(void *unused)
{
    (void)unused;
    return weir_identity(&board->identity);
}

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

/* --- waking ----------------------------------------------------------------------------------- */

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

/* Whether it has got it; any other answer than that, or none yet, is wrong. */
static bool takes_it(struct actor *actor)
{
    int result = actor_answer(actor, 1);
    if (result != ACTOR_WAITS)
        assert_int_equal(result, 0);
    return result == 0;
}

enum { HANDOVERS = 15, SLEEPERS = 3 };

/*
 * Several sleep; each unlock hands over to one of them, who unlocks for the next. A slice of
 * 200 ms would repair a wake that is missing: so the time is what tells, its median.
 */
static void test_each_sleeper_is_woken(void **state)
{
    struct actor sleepers[SLEEPERS];
    int64_t took_ns[HANDOVERS * SLEEPERS];
    unsigned count = 0;
    (void)state;
    for (int i = 0; i < SLEEPERS; i++)
        actor_start(&sleepers[i]);
    for (int round = 0; round < HANDOVERS; round++) {
        bool has_it[SLEEPERS] = { false };
        assert_result(weir_mutex_lock(&board->mutex), 0);
        for (int i = 0; i < SLEEPERS; i++) {
            actor_tell(&sleepers[i], lock, NULL);
            actor_see_asleep(&sleepers[i]);
        }
        nanosleep(&(struct timespec){ 0, 10 * MS },
                  NULL); /* their first slices are over: short ones */
        int64_t before_ns = weir_now_ns();
        assert_result(weir_mutex_unlock(&board->mutex), 0);
        for (int woken = 0; woken < SLEEPERS; woken++) {
            int found = -1;
            while (found < 0 && weir_now_ns() - before_ns < 20 * WEIR_SECOND_NS)
                for (int i = 0; i < SLEEPERS && found < 0; i++)
                    if (!has_it[i] && takes_it(&sleepers[i]))
                        found = i;
            assert_true(found >= 0);
            took_ns[count++] = weir_now_ns() - before_ns;
            has_it[found] = true;
            before_ns = weir_now_ns();
            assert_int_equal(actor_ask(&sleepers[found], unlock, NULL), 0);
        }
    }
    for (int i = 0; i < SLEEPERS; i++)
        actor_end(&sleepers[i]);
    qsort(took_ns, count, sizeof took_ns[0], compare_times);
    print_message("           handed over after %lld us, three quarters within %lld us\n",
                  (long long)took_ns[count / 2] / 1000, (long long)took_ns[count * 3 / 4] / 1000);
    assert_true(took_ns[count / 2] < WOKEN_MS / 2 * MS);
    assert_true(took_ns[count * 3 / 4] < WOKEN_MS * MS);
}

/* --- what it costs ---------------------------------------------------------------------------- */

/* From here on every system call but the end kills. */
static void forbid_calls(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = { ARRAY_SIZE(rules), rules };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        _exit(77);
}

static void lock_without_calls(void *argument)
{
    uint64_t own;
    struct weir_mutex recursive;
    CHECK_RESULT(weir_identity(&own), 0);
    CHECK_RESULT(weir_mutex_init(&recursive, WEIR_MUTEX_RECURSIVE), 0);
    CHECK_RESULT(weir_mutex_lock(&board->mutex), 0); /* the first of this thread */
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
    forbid_calls();
    for (int i = 0; i < 1000; i++) {
        if (weir_mutex_lock(&board->mutex) != 0 || weir_mutex_unlock(&board->mutex) != 0 ||
            weir_mutex_try_lock(&board->mutex) != 0 || weir_mutex_unlock(&board->mutex) != 0 ||
            weir_mutex_lock_until(&board->mutex, WEIR_NEVER) != 0 ||
            weir_mutex_unlock(&board->mutex) != 0 || weir_mutex_lock(&recursive) != 0 ||
            weir_mutex_lock(&recursive) != 0 || weir_mutex_unlock(&recursive) != 0 ||
            weir_mutex_unlock(&recursive) != 0)
            syscall(SYS_exit_group, 5);
    }
    if (argument)
        syscall(SYS_getppid);
    syscall(SYS_exit_group, 0);
}

static void test_no_system_call(void **state)
{
    (void)state;
    int status = status_in_child(lock_without_calls, board); /* with one that must be found */
    if (SANITIZED || COUNTED || (WIFEXITED(status) && WEXITSTATUS(status) == 77)) {
        print_message("no seccomp filter here, or builds that make calls of their own\n");
        skip();
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    assert_int_equal(status_in_child(lock_without_calls, NULL), 0);
}

enum { IDLE_SECONDS = 3 };

static int64_t used_us(const struct rusage *usage)
{
    return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * INT64_C(1000000) +
           usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

static int wait_idle(void *unused)
{
    struct rusage before, after;
    (void)unused;
    getrusage(RUSAGE_SELF, &before);
    int result =
        weir_mutex_lock_until(&board->mutex, weir_deadline_ns(IDLE_SECONDS * WEIR_SECOND_NS));
    getrusage(RUSAGE_SELF, &after);
    long wakeups = after.ru_nvcsw - before.ru_nvcsw;
    long long time_us = used_us(&after) - used_us(&before);
    printf("           idle %d s: %ld wake-ups, %lld us\n", IDLE_SECONDS, wakeups, time_us);
    fflush(stdout);
    if (result != -ETIMEDOUT)
        return 1;
    if (wakeups < IDLE_SECONDS || (!THREAD_SANITIZED && wakeups > 10 * IDLE_SECONDS))
        return 2;
    /* Half a millisecond a second, and a bit for the begin. */
    return SANITIZED || COUNTED || time_us <= 500 * IDLE_SECONDS + 500 ? 0 : 3;
}

static void test_a_waiter_costs_next_to_nothing(void **state)
{
    struct actor other;
    (void)state;
    actor_start(&other);
    assert_int_equal(actor_ask(&other, identity, NULL), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_int_equal(actor_ask(&other, wait_idle, NULL), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    actor_end(&other);
}

/* --- many ------------------------------------------------------------------------------------- */

enum { TURNS = SANITIZED ? 3000 : 30000, CROWD = 4 };

static int count_up(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        if (weir_mutex_lock(&board->mutex) != 0)
            return 1;
        board->counter++;
        if (weir_mutex_unlock(&board->mutex) != 0)
            return 2;
    }
    return 0;
}

static void crowd(void (*start)(struct actor *))
{
    struct actor actors[CROWD];
    for (int i = 0; i < CROWD; i++)
        start(&actors[i]);
    for (int i = 0; i < CROWD; i++)
        actor_tell(&actors[i], count_up, NULL);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(actor_answer(&actors[i], SOON_MS), 0);
    for (int i = 0; i < CROWD; i++)
        actor_end(&actors[i]);
    assert_int_equal(board->counter, CROWD * TURNS);
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    crowd(actor_start);
}

static void test_one_thread_at_a_time(void **state)
{
    (void)state;
    crowd(actor_start_thread);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
        TEST(test_each_sleeper_is_woken),
        TEST(test_no_system_call),
        TEST(test_a_waiter_costs_next_to_nothing),
        TEST(test_one_at_a_time),
        TEST(test_one_thread_at_a_time),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
