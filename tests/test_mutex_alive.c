/* SPDX-License-Identifier: MIT */
/*
 * Goal: a holder that lives is never robbed: stopped, out of sight, of another namespace or user, or
 *       where the kernel does not tell; processes that never forked from one another share a mutex.
 * Method: actors (actor.h) in another IPC namespace, as another user, behind a filter; an executed
 *       program that attaches by name.
 */
#include "mutex_acts.h"
#include "silence.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t half_a_second = 500 * MS;

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

static ino_t namespace_now(void)
{
    struct stat entry;
    return stat("/proc/thread-self/ns/ipc", &entry) == 0 ? entry.st_ino : 0;
}

/* One namespace after the other, which stay, until the number's last 10 bits are the test's again. */
static int leave_far(void *from)
{
    enum { LAST = 1023, MOST = 2000 };
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) != 0)
        return -errno;
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    for (int i = 0; i < MOST; i++) {
        if (unshare(CLONE_NEWIPC) != 0 ||
            open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC) < 0)
            return -errno;
        if ((namespace_now() & LAST) == (*(ino_t *)from & LAST))
            return 0;
    }
    return -ENOENT;
}

static void test_a_holder_of_a_namespace_far_away(void **state)
{
    struct actor holder;
    ino_t here = namespace_now();
    (void)state;
    actor_start(&holder);
    if (actor_ask(&holder, leave_far, &here) != 0) {
        print_message("so many IPC namespaces are not allowed here\n");
        actor_end(&holder);
        skip();
    }
    assert_int_equal(actor_ask(&holder, lock, NULL), 0);
    assert_result(weir_mutex_try_lock(&board->mutex), -EAGAIN);
    assert_result(lock_for(&half_a_second), -ETIMEDOUT);
    assert_int_equal(actor_ask(&holder, unlock, NULL), 0);
    actor_end(&holder);
}

/* There, this process's user and group have another number. */
static int leave_user_namespace(void *unused)
{
    (void)unused;
    return enter_user_namespace(5, 5, 0);
}

/* There, its own numbers are those that they were here, and it sees no other's. */
static int leave_user_namespace_alone(void *unused)
{
    (void)unused;
    return enter_user_namespace(geteuid(), getegid(), 0);
}

/*
 * What a uid is called in a namespace is no sign of a death; and a death is seen from any. has_own: it made its
 * identity before it left.
 */
static void ask_from_another_user_namespace(bool has_own)
{
    struct actor here, there;
    actor_start(&here);
    actor_start(&there);
    if (has_own)
        assert_int_equal(actor_ask(&there, identity, NULL), 0);
    if (actor_ask(&there, leave_user_namespace, NULL) != 0) {
        print_message("no user namespace of its own is allowed here\n");
        actor_end(&here);
        actor_end(&there);
        skip();
    }
    assert_int_equal(actor_ask(&here, lock, NULL), 0);
    assert_refused(&there, try_lock, NULL, -EAGAIN);
    assert_refused(&there, lock_for, &half_a_second, -ETIMEDOUT);
    assert_int_equal(actor_ask(&here, unlock, NULL), 0);
    assert_int_equal(actor_ask(&there, lock, NULL), 0);
    assert_refused(&here, try_lock, NULL, -EAGAIN);
    assert_refused(&here, lock_for, &half_a_second, -ETIMEDOUT);
    assert_int_equal(actor_ask(&there, unlock, NULL), 0);
    assert_int_equal(actor_ask(&here, lock, NULL), 0);
    actor_kill(&here);
    assert_int_equal(actor_ask(&there, lock, NULL), WEIR_OWNER_DIED);
    actor_kill(&there);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

static void test_a_waiter_of_another_user_namespace(void **state)
{
    (void)state;
    ask_from_another_user_namespace(false);
}

static void test_a_waiter_left_the_user_namespace(void **state)
{
    (void)state;
    ask_from_another_user_namespace(true);
}

static int become_another(void *unused)
{
    (void)unused;
    setenv("WEIR_DIR", fixture_path("other"), 1);
    return (mkdir(fixture_path("other"), 0700) == 0 || errno == EEXIST) &&
                   chown(fixture_path("other"), OTHER_UID, OTHER_UID) == 0
               ? setresuid(OTHER_UID, OTHER_UID, OTHER_UID)
               : -errno;
}

/* Asked for by its number, which was right where this process came from. */
static int other_life(void *unused)
{
    (void)unused;
    return weir_life(weir_mutex_owner(&board->mutex), OTHER_UID);
}

/* Whoever it is: all that such a one shows of itself there is 65534, nobody. */
static void test_another_user_than_who_left(void **state)
{
    struct actor here, there;
    (void)state;
    if (!has_other_users())
        skip();
    actor_start(&here);
    actor_start(&there);
    assert_int_equal(actor_ask(&here, become_another, NULL), 0);
    assert_int_equal(actor_ask(&here, lock, NULL), 0);
    assert_int_equal(actor_ask(&there, identity, NULL), 0);
    assert_refused(&there, try_lock, NULL, -EAGAIN);
    if (actor_ask(&there, leave_user_namespace_alone, NULL) != 0) {
        print_message("no user namespace of its own is allowed here\n");
        actor_end(&here);
        actor_end(&there);
        skip();
    }
    assert_refused(&there, try_lock, NULL, -EAGAIN);
    assert_refused(&there, lock_for, &half_a_second, -ETIMEDOUT);
    assert_int_equal(actor_ask(&there, other_life, NULL), WEIR_LIFE_ALIVE);
    actor_kill(&here);
    assert_int_equal(actor_ask(&there, lock, NULL), WEIR_OWNER_DIED);
    actor_kill(&there);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    make_good();
}

static int go_behind_a_filter(void *error)
{
    if (geteuid() == 0 && setresuid(OTHER_UID, OTHER_UID, OTHER_UID) != 0)
        return 77; /* root would be answered by IPC_STAT */
    return forbid_stat_any((unsigned)*(int *)error) ? 0 : 77;
}

static void test_a_waiter_behind_a_filter(void **state)
{
    static int errors[] = { EPERM, EINVAL, ENOSYS };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct actor filtered;
        actor_start(&filtered);
        assert_int_equal(actor_ask(&filtered, identity, NULL), 0);
        if (actor_ask(&filtered, go_behind_a_filter, &errors[i]) == 77) {
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

/* The same, of one that was free: the word names us, and whose thread has it is not written yet. */
static void test_taken_by_another_thread(void **state)
{
    uint64_t own;
    (void)state;
    assert_result(weir_identity(&own), 0);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    atomic_store(&inside()->owned.word, own);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stopped_holder_is_never_robbed),
        TEST(test_a_waiter_left_the_namespace),
        TEST(test_a_waiter_of_another_namespace),
        TEST(test_a_holder_of_another_namespace),
        TEST(test_a_holder_of_a_namespace_far_away),
        TEST(test_a_waiter_of_another_user_namespace),
        TEST(test_a_waiter_left_the_user_namespace),
        TEST(test_another_user_than_who_left),
        TEST(test_a_waiter_behind_a_filter),
        TEST(test_another_users_beacon),
        TEST(test_inherited_by_another_thread),
        TEST(test_taken_by_another_thread),
        TEST(test_strangers),
    };
    this_program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--hold") == 0)
        return hold_by_name(argv[2]);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
