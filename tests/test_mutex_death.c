/* SPDX-License-Identifier: MIT */
/*
 * Goal: a dead holder's lock goes to the next, who is told, however it died and whoever asks; a
 *       living one is never robbed, stopped or out of sight; what is given up is so for everybody.
 * Method: actors (actor.h) that are killed, exit, execute and stop while they hold or wait; some
 *       in another IPC namespace, as another user, or behind a filter, where the kernel does not tell.
 */
#include "actor.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/mutex.h>

#include "sync/mutex.h"

#define MS WEIR_MILLISECOND_NS

/* "A fifth of a second at most" once the kernel has released it; and what a busy machine adds. */
enum { SOON_MS = 20000, BOUND_MS = SANITIZED ? 3000 : 1000 };

static struct board {
    struct weir_mutex mutex;
    uint64_t identity;
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

static struct weir__mutex_shm *inside(void)
{
    return (struct weir__mutex_shm *)(void *)&board->mutex;
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

static int identity(void *unused)
{
    (void)unused;
    return weir_identity(&board->identity);
}

static int leave(void *unused)
{
    (void)unused;
    _exit(0);
}

static int execute(void *unused)
{
    (void)unused;
    execlp("sleep", "sleep", "1000", (char *)NULL);
    return -errno;
}

static int64_t half_a_second = 500 * MS, brief = MS / 2;

#define assert_refused(actor, act, argument, error)                                                \
    do {                                                                                           \
        assert_int_equal(actor_ask(actor, act, argument), error);                                  \
        assert_true((actor)->sentence[0] != 0);                                                    \
    } while (0)

static void die_holding(void)
{
    struct actor holder;
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_kill(&holder);
}

/* This process holds what was inherited: repairs it. */
static void make_good(void)
{
    assert_result(weir_mutex_consistent(&board->mutex), 0);
    assert_result(weir_mutex_consistent(&board->mutex), -EINVAL);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

/* --- the holder dies -------------------------------------------------------------------------- */

static void test_killed(void **state)
{
    (void)state;
    die_holding();
    int64_t before_ns = weir_now_ns();
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_true(weir_now_ns() - before_ns < BOUND_MS * MS);
    make_good();
}

static void test_killed_and_tried(void **state)
{
    (void)state;
    die_holding();
    assert_result(weir_mutex_try_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
    die_holding();
    assert_result(weir_mutex_lock_until(&board->mutex, 0), WEIR_OWNER_DIED);
    make_good();
    die_holding();
    assert_result(weir_mutex_lock_until(&board->mutex, weir_deadline_ns(BOUND_MS * MS)),
                  WEIR_OWNER_DIED);
    make_good();
}

/* Whoever comes with short deadlines only, or with one that has passed, gets it as well. */
static void test_killed_and_short_deadlines(void **state)
{
    int result = -ETIMEDOUT;
    (void)state;
    die_holding();
    int64_t until_ns = weir_deadline_ns(BOUND_MS * MS);
    while (result == -ETIMEDOUT && weir_now_ns() < until_ns)
        result = lock_for(&brief);
    assert_result(result, WEIR_OWNER_DIED);
    make_good();
    die_holding();
    assert_result(weir_mutex_lock_until(&board->mutex, 1), WEIR_OWNER_DIED);
    make_good();
}

static void test_killed_while_others_sleep(void **state)
{
    struct actor holder, sleepers[3];
    int told = 0;
    (void)state;
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    for (int i = 0; i < 3; i++) {
        actor_start(&sleepers[i]);
        actor_tell(&sleepers[i], lock, NULL);
        actor_see_asleep(&sleepers[i]);
    }
    actor_kill(&holder);
    int64_t killed_ns = weir_now_ns();
    /* One is told; when it has repaired, the others get a sound one. */
    for (int left = 3; left > 0;) {
        for (int i = 0; i < 3; i++) {
            int result = sleepers[i].is_gone ? ACTOR_WAITS : actor_answer(&sleepers[i], 2);
            if (result == ACTOR_WAITS)
                continue;
            assert_int_equal(result, left == 3 ? WEIR_OWNER_DIED : 0);
            if (result == WEIR_OWNER_DIED)
                assert_int_equal(actor_ask(&sleepers[i], consistent, NULL), 0);
            told += result == WEIR_OWNER_DIED;
            assert_int_equal(actor_ask(&sleepers[i], unlock, NULL), 0);
            actor_end(&sleepers[i]);
            left--;
        }
        assert_true(weir_now_ns() - killed_ns < 2 * BOUND_MS * MS);
    }
    assert_int_equal(told, 1);
}

static void test_exits(void **state)
{
    struct actor holder;
    int status;
    (void)state;
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_tell(&holder, leave, NULL);
    assert_int_equal(waitpid(holder.pid, &status, 0), holder.pid);
    holder.is_gone = true;
    actor_end(&holder);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

/* The process is there: another program, which knows of nothing. */
static void test_executes(void **state)
{
    struct actor holder, waiter;
    (void)state;
    actor_start(&holder);
    actor_start(&waiter);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_tell(&waiter, lock, NULL);
    actor_see_asleep(&waiter);
    actor_tell(&holder, execute, NULL);
    assert_int_equal(actor_answer(&waiter, SOON_MS), WEIR_OWNER_DIED);
    assert_int_equal(kill(holder.pid, 0), 0);
    actor_kill(&holder);
    assert_int_equal(actor_ask(&waiter, consistent, NULL), 0);
    assert_int_equal(actor_ask(&waiter, unlock, NULL), 0);
    actor_end(&waiter);
}

/* A child that lives does not prolong its parent's life. */
static int lock_and_leave_a_child(void *unused)
{
    (void)unused;
    int result = weir_mutex_lock(&board->mutex);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, 0);
        sleep(1000);
        _exit(0);
    }
    board->identity = (uint64_t)child;
    return result;
}

static void test_its_child_lives(void **state)
{
    struct actor holder;
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    actor_start(&holder);
    assert_int_equal(actor_ask(&holder, lock_and_leave_a_child, NULL), 0);
    pid_t child = (pid_t)board->identity;
    actor_kill(&holder);
    assert_int_equal(kill(child, 0), 0);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* As long as nobody has said that it is repaired, everyone after a death is told. */
static void test_inherited_again_and_again(void **state)
{
    (void)state;
    die_holding();
    for (int i = 0; i < 3; i++) {
        struct actor heir;
        actor_start(&heir);
        assert_int_equal(actor_ask(&heir, lock, NULL), WEIR_OWNER_DIED);
        actor_kill(&heir);
    }
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
    /* Repaired, and then its holder dies: told, too. */
    die_holding();
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

/* How often the dead one had locked it is forgotten. */
static void test_recursive_and_killed(void **state)
{
    struct actor holder;
    (void)state;
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    actor_start(&holder);
    for (int i = 0; i < 3; i++)
        assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_kill(&holder);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_true(weir_mutex_lock(&board->mutex) >= 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_mutex_consistent(&board->mutex), 0); /* still held */
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_true(weir_mutex_owner(&board->mutex) == WEIR_IDENTITY_NOBODY);
}

static void test_given_up(void **state)
{
    struct actor sleepers[3];
    (void)state;
    die_holding();
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    for (int i = 0; i < 3; i++) {
        actor_start(&sleepers[i]);
        actor_tell(&sleepers[i], lock, NULL);
        actor_see_asleep(&sleepers[i]);
    }
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(actor_answer(&sleepers[i], SOON_MS), -ENOTRECOVERABLE);
        assert_true(sleepers[i].sentence[0] != 0);
    }
    assert_true(weir_now_ns() - before_ns < BOUND_MS * MS);
    assert_true(weir_mutex_owner(&board->mutex) == WEIR_IDENTITY_NOBODY);
    assert_result(weir_mutex_lock(&board->mutex), -ENOTRECOVERABLE);
    assert_result(weir_mutex_try_lock(&board->mutex), -ENOTRECOVERABLE);
    assert_result(weir_mutex_lock_until(&board->mutex, WEIR_NEVER), -ENOTRECOVERABLE);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
    assert_result(weir_mutex_consistent(&board->mutex), -EPERM);
    for (int i = 0; i < 3; i++) {
        assert_refused(&sleepers[i], lock, NULL, -ENOTRECOVERABLE);
        actor_end(&sleepers[i]);
    }
    assert_result(weir_mutex_init(&board->mutex, 0), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

/* --- who waits -------------------------------------------------------------------------------- */

static void test_a_waiter_is_killed(void **state)
{
    struct actor waiter, other;
    (void)state;
    actor_start(&waiter);
    actor_start(&other);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    actor_tell(&waiter, lock, NULL);
    actor_tell(&other, lock, NULL);
    actor_see_asleep(&waiter);
    actor_see_asleep(&other);
    actor_kill(&waiter);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(&other, BOUND_MS), 0);
    assert_int_equal(actor_ask(&other, unlock, NULL), 0);
    actor_end(&other);
}

/* The one that is woken is killed, or stands still, before it can take the lock. */
static void test_who_is_woken_stands(void **state)
{
    struct actor first, second;
    (void)state;
    actor_start(&first);
    actor_start(&second);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    actor_tell(&first, lock, NULL);
    actor_see_asleep(&first);
    actor_tell(&second, lock, NULL);
    actor_see_asleep(&second);
    actor_stop(&first);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(&second, BOUND_MS), 0);
    assert_int_equal(actor_ask(&second, unlock, NULL), 0);
    actor_continue(&first);
    assert_int_equal(actor_answer(&first, BOUND_MS), 0);
    assert_int_equal(actor_ask(&first, unlock, NULL), 0);
    actor_end(&first);
    actor_end(&second);
}

static void ignore(int number)
{
    (void)number;
}

/* A timer that fires more often than a waiter's slice ends, but for the first, which is short. */
static int lock_under_a_timer(void *unused)
{
    struct sigaction action = { .sa_handler = ignore };
    struct itimerval often = { { 0, 300 }, { 0, 20000 } }, off = { { 0, 0 }, { 0, 0 } };
    (void)unused;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    int result = weir_mutex_lock(&board->mutex);
    setitimer(ITIMER_REAL, &off, NULL);
    return result;
}

static void test_a_waiter_with_a_timer(void **state)
{
    struct actor holder, waiter;
    (void)state;
    actor_start(&holder);
    actor_start(&waiter);
    assert_int_equal(actor_ask(&waiter, identity, NULL), 0);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_tell(&waiter, lock_under_a_timer, NULL);
    assert_int_equal(actor_answer(&waiter, 100), ACTOR_WAITS);
    actor_kill(&holder);
    assert_int_equal(actor_answer(&waiter, 2 * BOUND_MS), WEIR_OWNER_DIED);
    actor_end(&waiter);
}

/* --- who is not dead -------------------------------------------------------------------------- */

static void test_a_stopped_holder_is_never_robbed(void **state)
{
    struct actor holder, waiter;
    (void)state;
    actor_start(&holder);
    actor_start(&waiter);
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    actor_stop(&holder);
    assert_refused(&waiter, try_lock, NULL, -EAGAIN);
    assert_refused(&waiter, lock_for, &half_a_second, -ETIMEDOUT);
    actor_tell(&waiter, lock, NULL);
    assert_int_equal(actor_answer(&waiter, 700), ACTOR_WAITS);
    actor_continue(&holder);
    assert_int_equal(actor_ask(&holder, unlock, NULL), 0);
    assert_int_equal(actor_answer(&waiter, SOON_MS), 0);
    assert_int_equal(actor_ask(&waiter, unlock, NULL), 0);
    actor_end(&holder);
    actor_end(&waiter);
}

static int leave_namespace(void *unused)
{
    (void)unused;
    return unshare(CLONE_NEWIPC) == 0 ? 0 : -errno;
}

/* has_own: it made its identity before it left; else in the other namespace. */
static void ask_from_elsewhere(bool has_own)
{
    struct actor holder, stranger;
    actor_start(&holder);
    actor_start(&stranger);
    if (has_own)
        assert_int_equal(actor_ask(&stranger, identity, NULL), 0);
    if (actor_ask(&stranger, leave_namespace, NULL) != 0) {
        print_message("no IPC namespace of its own is allowed here\n");
        actor_end(&holder);
        actor_end(&stranger);
        skip();
    }
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    uint64_t owner = weir_mutex_owner(&board->mutex);
    for (int i = 0; i < 2; i++) {
        int result = actor_ask(&stranger, try_lock, NULL);
        assert_true(result == -EAGAIN || result == -EXDEV);
        result = actor_ask(&stranger, lock_for, &half_a_second);
        assert_true(result == -ETIMEDOUT || result == -EXDEV);
        assert_true(weir_mutex_owner(&board->mutex) == owner);
        if (i == 0) /* alive at first, then dead: nobody there can tell */
            actor_kill(&holder);
    }
    actor_end(&stranger);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

static void test_a_waiter_left_the_namespace(void **state)
{
    (void)state;
    ask_from_elsewhere(true);
}

static void test_a_waiter_of_another_namespace(void **state)
{
    (void)state;
    ask_from_elsewhere(false);
}

/* The other way round: who holds it lives in another namespace, and is asked for from here. */
static void test_a_holder_of_another_namespace(void **state)
{
    struct actor holder;
    (void)state;
    actor_start(&holder);
    if (actor_ask(&holder, leave_namespace, NULL) != 0) {
        actor_end(&holder);
        skip();
    }
    int result = actor_ask(&holder, lock, NULL);
    if (result == 0) {
        assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
        assert_result(lock_for(&half_a_second), -ETIMEDOUT);
        assert_int_equal(actor_ask(&holder, unlock, NULL), 0);
    } else {
        assert_int_equal(result, -EXDEV);
    }
    actor_end(&holder);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

/* From here on this process's SHM_STAT_ANY fails with the error. */
static int forbid_stat_any(void *argument)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SHM_STAT_ANY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t) * (int *)argument),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };
    if (geteuid() == 0 && setresuid(OTHER_UID, OTHER_UID, OTHER_UID) != 0)
        return 77; /* root would be answered by IPC_STAT */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
               ? 0
               : 77;
}

static void test_a_waiter_behind_a_filter(void **state)
{
    static int errors[] = { EPERM, EINVAL, ENOSYS };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct actor filtered;
        actor_start(&filtered);
        assert_int_equal(actor_ask(&filtered, identity, NULL), 0);
        if (actor_ask(&filtered, forbid_stat_any, &errors[i]) == 77) {
            actor_end(&filtered);
            skip();
        }
        die_holding();
        uint64_t owner = weir_mutex_owner(&board->mutex);
        assert_refused(&filtered, try_lock, NULL, -EAGAIN);
        assert_refused(&filtered, lock_for, &half_a_second, -ETIMEDOUT);
        assert_true(weir_mutex_owner(&board->mutex) == owner);
        actor_end(&filtered);
        assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
        make_good();
    }
}

/* Another user who has made id and size of the dead one's beacon come round: it is not that one. */
static int become_another(void *unused)
{
    (void)unused;
    setenv("WEIR_DIR", fixture_path("other"), 1);
    return mkdir(fixture_path("other"), 0700) == 0 &&
                   chown(fixture_path("other"), OTHER_UID, OTHER_UID) == 0
               ? setresuid(OTHER_UID, OTHER_UID, OTHER_UID)
               : -errno;
}

static void test_another_users_beacon(void **state)
{
    struct actor liar;
    (void)state;
    if (!has_other_users())
        skip();
    actor_start(&liar);
    assert_int_equal(actor_ask(&liar, become_another, NULL), 0);
    assert_int_equal(actor_ask(&liar, identity, NULL), 0);
    /* As if a process of ours had held it with this identity, and died. */
    atomic_store(&inside()->owned.word, board->identity);
    atomic_store(&inside()->owned.name, weir__identity_name(board->identity, geteuid()));
    assert_result(weir_mutex_try_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
    /* And if it was that user's, it lives. */
    atomic_store(&inside()->owned.word, board->identity);
    atomic_store(&inside()->owned.name, weir__identity_name(board->identity, OTHER_UID));
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
    actor_kill(&liar);
    assert_result(weir_mutex_try_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

/*
 * A thread of ours has just inherited: the word names us, and the thread is still the dead one's,
 * whose number may be this thread's as well, since both came of one fork.
 */
static void test_inherited_by_another_thread(void **state)
{
    uint64_t own;
    (void)state;
    assert_result(weir_identity(&own), 0);
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    die_holding();
    assert_true(atomic_load(&inside()->thread) != 0);
    atomic_store(&inside()->owned.word, own | WEIR__MUTEX_INHERITED | WEIR__MUTEX_WAITED);
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
    assert_result(weir_mutex_unlock(&board->mutex), -EPERM);
}

/* --- processes that did not fork from one another ---------------------------------------------- */

static const char *this_program;

/* What the executed program does: attaches by name, locks, says so, and stays. */
static int hold_by_name(const char *name)
{
    struct weir_segment *segment;
    char byte;
    int result = weir_segment_open(&segment, weir_by_name(name), 0, NULL);
    if (result == 0)
        result = weir_mutex_lock(weir_segment_data(segment));
    if (write(1, &result, sizeof result) != sizeof result || read(0, &byte, 1) < 0)
        return 1;
    result = weir_mutex_unlock(weir_segment_data(segment));
    weir_segment_close(segment);
    return result == 0 ? 0 : 2;
}

static pid_t execute_holder(int *to, int *from)
{
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(down[0], 0);
        dup2(up[1], 1);
        execl(this_program, this_program, "--hold", "shared", (char *)NULL);
        _exit(9);
    }
    close(down[0]);
    close(up[1]);
    *to = down[1];
    *from = up[0];
    return child;
}

static void test_strangers(void **state)
{
    struct weir_segment *segment;
    int to, from, result = -1, status;
    (void)state;
    assert_result(weir_segment_create(&segment, weir_by_name("shared"), 4096, NULL), 0);
    struct weir_mutex *mutex = weir_segment_data(segment);
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        pid_t child = execute_holder(&to, &from);
        assert_int_equal(read(from, &result, sizeof result), sizeof result);
        assert_int_equal(result, 0);
        assert_result(weir_mutex_try_lock(mutex), -EAGAIN);
        assert_result(weir_mutex_lock_until(mutex, weir_deadline_ns(300 * MS)), -ETIMEDOUT);
        if (is_killed)
            assert_int_equal(kill(child, SIGKILL), 0);
        close(to);
        assert_result(weir_mutex_lock(mutex), is_killed ? WEIR_OWNER_DIED : 0);
        if (is_killed)
            assert_result(weir_mutex_consistent(mutex), 0);
        assert_result(weir_mutex_unlock(mutex), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(is_killed ? WIFSIGNALED(status) : status == 0);
        close(from);
    }
    weir_segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed),
        TEST(test_killed_and_tried),
        TEST(test_killed_and_short_deadlines),
        TEST(test_killed_while_others_sleep),
        TEST(test_exits),
        TEST(test_executes),
        TEST(test_its_child_lives),
        TEST(test_inherited_again_and_again),
        TEST(test_recursive_and_killed),
        TEST(test_given_up),
        TEST(test_a_waiter_is_killed),
        TEST(test_who_is_woken_stands),
        TEST(test_a_waiter_with_a_timer),
        TEST(test_a_stopped_holder_is_never_robbed),
        TEST(test_a_waiter_left_the_namespace),
        TEST(test_a_waiter_of_another_namespace),
        TEST(test_a_holder_of_another_namespace),
        TEST(test_a_waiter_behind_a_filter),
        TEST(test_another_users_beacon),
        TEST(test_inherited_by_another_thread),
        TEST(test_strangers),
    };
    this_program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        return hold_by_name(argv[2]);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
