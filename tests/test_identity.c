/* SPDX-License-Identifier: MIT */
/*
 * Goal: an identity answers exactly as long as its process lives, whatever forks,
 * executes, stops, changes its namespace or lies. Method: real processes, each
 * case's life asked for from outside of it, and a filter that forbids the question.
 */
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <pthread.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <weir/collect.h>

#include "segment/identity.h"

/* Shared by a test and its children. */
struct board {
    uint64_t identity[4];
};
static struct board *board;

static int set_up(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(board, 0, sizeof *board);
    (void)state;
    return board == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    munmap(board, sizeof *board);
    return fixture_check(state);
}

static void announce_and_wait(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_identity(&board->identity[0]), 0);
    companion_arrive(companion);
}

static void same_for_all_threads_and_calls(void *unused)
{
    uint64_t first, second;
    struct shmid_ds found;
    (void)unused;
    CHECK_RESULT(weir_identity(&first), 0);
    CHECK_RESULT(weir_identity(&second), 0);
    CHECK(first == second && first != WEIR_IDENTITY_NOBODY);
    CHECK((first & WEIR_IDENTITY_SESSION_MAX) == 0);
    CHECK_RESULT(weir_life(first, geteuid()), WEIR_LIFE_ALIVE);
    CHECK_RESULT(weir_life(first | 5, geteuid()), WEIR_LIFE_ALIVE);
    struct weir__beacon beacon = weir__identity_unpack(first);
    CHECK(weir__identity_pack(&beacon) == first);
    CHECK(shmctl(beacon.id, SHM_STAT_ANY, &found) == beacon.id);
    CHECK(found.shm_nattch == 1 && (found.shm_perm.mode & 0777) == 0);
    CHECK((found.shm_perm.mode & SHM_DEST) && found.shm_segsz == beacon.size_bytes);
}

static void test_beacon(void **state)
{
    (void)state;
    in_child(same_for_all_threads_and_calls, NULL);
    assert_int_equal(weir_life(WEIR_IDENTITY_NOBODY, geteuid()), WEIR_LIFE_DEAD);
}

static void kill_and_ask(void *unused)
{
    struct companion companion;
    (void)unused;
    companion_start(&companion, announce_and_wait, NULL);
    companion_meet(&companion);
    uint64_t identity = board->identity[0];
    CHECK_RESULT(weir_life(identity, geteuid()), WEIR_LIFE_ALIVE);
    CHECK(kill(companion.pid, SIGSTOP) == 0);
    int status;
    CHECK(waitpid(companion.pid, &status, WUNTRACED) == companion.pid && WIFSTOPPED(status));
    CHECK_RESULT(weir_life(identity, geteuid()), WEIR_LIFE_ALIVE);
    /* The pair names it, not the id, and the kernel confirms whose it is. */
    struct weir__beacon other = weir__identity_unpack(identity);
    other.size_bytes = other.size_bytes % WEIR__BEACON_SIZE_MAX + 1;
    CHECK_RESULT(weir_life(weir__identity_pack(&other), geteuid()), WEIR_LIFE_DEAD);
    CHECK_RESULT(weir_life(identity, OTHER_UID), WEIR_LIFE_DEAD);
    CHECK(kill(companion.pid, SIGKILL) == 0);
    CHECK(waitpid(companion.pid, &status, 0) == companion.pid);
    CHECK_RESULT(weir_life(identity, geteuid()), WEIR_LIFE_DEAD);
}

static void test_alive_stopped_dead(void **state)
{
    (void)state;
    in_child(kill_and_ask, NULL);
}

/* A child that never asks for an identity must not prolong its parent's. */
static void parent_of_a_survivor(struct companion *companion, void *argument)
{
    int *pipe_ends = argument;
    CHECK_RESULT(weir_identity(&board->identity[0]), 0);
    pid_t survivor = fork();
    if (survivor == 0) {
        char byte;
        close(pipe_ends[1]);
        CHECK_RESULT(weir_identity(&board->identity[1]), 0);
        companion_arrive(companion);
        CHECK(read(pipe_ends[0], &byte, 1) == 0); /* lives until the test closes its end */
        _exit(0);
    }
    waitpid(survivor, NULL, 0);
}

static void child_does_not_prolong(void *unused)
{
    struct companion companion;
    int pipe_ends[2], status;
    (void)unused;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && pipe(pipe_ends) == 0);
    companion_start(&companion, parent_of_a_survivor, pipe_ends);
    companion_meet(&companion);
    CHECK(board->identity[0] != board->identity[1] && board->identity[1] != 0);
    CHECK(kill(companion.pid, SIGKILL) == 0 && waitpid(companion.pid, &status, 0) > 0);
    CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_DEAD);
    companion_release(&companion);
    CHECK_RESULT(weir_life(board->identity[1], geteuid()), WEIR_LIFE_ALIVE);
    close(pipe_ends[1]);
    CHECK(waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_RESULT(weir_life(board->identity[1], geteuid()), WEIR_LIFE_DEAD);
}

static void test_fork(void **state)
{
    (void)state;
    in_child(child_does_not_prolong, NULL);
}

/*
 * The calls that make a beacon, each of them a point where another thread may
 * fork: before the one that the count names, a child is made that lives until
 * the pipe's writers are gone. These stand in front of the C library's.
 */
static int calls_until_fork;
static int storm_pipe[2];

static void point(void)
{
    char byte;
    if (calls_until_fork == 0 || --calls_until_fork != 0)
        return;
    if (fork() == 0) {
        close(storm_pipe[1]);
        _exit(read(storm_pipe[0], &byte, 1) == 0 ? 0 : 1);
    }
}

int shmget(key_t key, size_t size, int flags)
{
    point();
    return (int)syscall(SYS_shmget, key, size, flags);
}

void *shmat(int id, const void *address, int flags)
{
    point();
    return (void *)syscall(SYS_shmat, id, address, flags);
}

int shmctl(int id, int command, struct shmid_ds *found)
{
    point();
    return (int)syscall(SYS_shmctl, id, command, found);
}

int madvise(void *memory, size_t length, int advice)
{
    point();
    return (int)syscall(SYS_madvise, memory, length, advice);
}

static void maker_with_a_fork(struct companion *companion, void *argument)
{
    calls_until_fork = *(int *)argument;
    CHECK_RESULT(weir_identity(&board->identity[0]), 0);
    board->identity[1] = (uint64_t)calls_until_fork;
    calls_until_fork = 0;
    companion_arrive(companion);
}

static void fork_while_made(void *unused)
{
    bool was_forked = true;
    int points = 0;
    (void)unused;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (int count = 1; was_forked; count++) {
        struct companion companion;
        int status;
        CHECK(pipe(storm_pipe) == 0);
        companion_start(&companion, maker_with_a_fork, &count);
        close(storm_pipe[0]);
        companion_meet(&companion);
        was_forked = board->identity[1] == 0;
        points += was_forked;
        CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_ALIVE);
        CHECK(kill(companion.pid, SIGKILL) == 0 && waitpid(companion.pid, &status, 0) > 0);
        /* The child that was forked meanwhile lives, and does not keep the beacon. */
        CHECK(!was_forked || waitpid(-1, &status, WNOHANG) == 0);
        CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_DEAD);
        close(companion.to_child);
        close(companion.from_child);
        close(storm_pipe[1]);
        while (waitpid(-1, &status, 0) > 0)
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK(points >= 8); /* shmget, shmat, the advice, the controls: all were met */
}

static void test_fork_while_the_beacon_is_made(void **state)
{
    (void)state;
    in_child(fork_while_made, NULL);
}

static void execute_another(struct companion *companion, void *argument)
{
    int *pipe_ends = argument;
    (void)companion;
    CHECK_RESULT(weir_identity(&board->identity[0]), 0);
    dup2(pipe_ends[0], 0);
    dup2(pipe_ends[3], 1);
    close(pipe_ends[1]);
    close(pipe_ends[2]);
    execlp("cat", "cat", (char *)NULL);
    _exit(9);
}

static void exec_ends_it(void *unused)
{
    struct companion companion;
    int pipe_ends[4], status;
    char byte = 'x';
    (void)unused;
    CHECK(pipe(pipe_ends) == 0 && pipe(pipe_ends + 2) == 0);
    companion_start(&companion, execute_another, pipe_ends);
    close(pipe_ends[0]);
    close(pipe_ends[3]);
    CHECK(write(pipe_ends[1], &byte, 1) == 1 && read(pipe_ends[2], &byte, 1) == 1);
    CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_DEAD);
    CHECK(kill(companion.pid, 0) == 0); /* the process is there: another program */
    close(pipe_ends[1]);
    CHECK(waitpid(companion.pid, &status, 0) == companion.pid);
}

static void test_exec(void **state)
{
    (void)state;
    in_child(exec_ends_it, NULL);
}

static void unshared(void *unused)
{
    uint64_t own;
    struct companion companion;
    char here[PATH_MAX], there[PATH_MAX];
    (void)unused;
    companion_start(&companion, announce_and_wait, NULL);
    companion_meet(&companion);
    CHECK_RESULT(weir_identity(&own), 0);
    CHECK_RESULT(weir_run_directory(here, sizeof here), 0);
    if (unshare(CLONE_NEWIPC) == 0) {
        CHECK_RESULT(weir_run_directory(there, sizeof there), 0);
        CHECK(strcmp(here, there) != 0);
        CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_UNKNOWN);
        CHECK_RESULT(weir_life(own, geteuid()), WEIR_LIFE_UNKNOWN);
        CHECK_RESULT(weir_identity(&own), -EXDEV);
    }
    companion_release(&companion);
    companion_end(&companion);
}

static void test_other_namespace(void **state)
{
    (void)state;
    in_child(unshared, NULL);
}

static void as_another_user(void *unused)
{
    struct companion companion;
    (void)unused;
    companion_start(&companion, announce_and_wait, NULL);
    companion_meet(&companion);
    struct weir__beacon beacon = weir__identity_unpack(board->identity[0]);
    uint32_t owner = geteuid();
    CHECK(setresgid(OTHER_UID, OTHER_UID, OTHER_UID) == 0);
    CHECK(setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == 0);
    CHECK(setenv("WEIR_DIR", fixture_path("other"), 1) == 0);
    /* May ask, may not prolong. */
    CHECK_RESULT(weir_life(board->identity[0], owner), WEIR_LIFE_ALIVE);
    CHECK(shmat(beacon.id, NULL, SHM_RDONLY) == (void *)-1 && errno == EACCES);
    companion_release(&companion);
    companion_end(&companion);
    CHECK_RESULT(weir_life(board->identity[0], owner), WEIR_LIFE_DEAD);
}

static void test_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(fixture_path("other"), 0700), 0);
    assert_int_equal(chown(fixture_path("other"), OTHER_UID, OTHER_UID), 0);
    in_child(as_another_user, NULL);
}

static void *identify_cancelled(void *unused)
{
    uint64_t identity;
    pthread_cancel(pthread_self());
    CHECK_RESULT(weir_identity(&identity), 0);
    pthread_testcancel();
    return unused;
}

static void cancelled(void *unused)
{
    uint64_t identity;
    pthread_t thread;
    void *end;
    (void)unused;
    alarm(20);
    CHECK(pthread_create(&thread, NULL, identify_cancelled, NULL) == 0);
    CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
    CHECK_RESULT(weir_identity(&identity), 0);
}

/* A thread that is cancelled while it makes the identity leaves it to the others. */
static void test_a_thread_is_cancelled(void **state)
{
    (void)state;
    in_child(cancelled, NULL);
}

static bool was_told;

static void *ask_for_limits_cancelled(void *unused)
{
    struct weir_limits limits = { .size = sizeof limits };
    pthread_cancel(pthread_self());
    CHECK_RESULT(weir_limits(&limits), 0);
    was_told = true;
    pthread_testcancel();
    return unused;
}

/* What opens a file and closes it is no place to be cancelled at: it would stay open. */
static void test_limits_are_no_place_to_be_cancelled_at(void **state)
{
    pthread_t thread;
    void *end;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_limits_cancelled, NULL), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, PTHREAD_CANCELED);
    assert_true(was_told);
}

static void filtered(void *argument)
{
    int error = *(int *)argument;
    struct companion companion;
    uint64_t own;
    int status;
    companion_start(&companion, announce_and_wait, NULL);
    companion_meet(&companion);
    CHECK_RESULT(weir_identity(&own), 0);
    uint32_t owner = geteuid();
    if (owner == 0) /* root would be answered by IPC_STAT, which asks for a right */
        CHECK(setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == 0);
    CHECK(forbid_stat_any((unsigned)error));
    /* Alive or dead, the kernel does not tell, so nothing is taken away. */
    CHECK_RESULT(weir_life(board->identity[0], owner), WEIR_LIFE_UNKNOWN);
    companion_release(&companion);
    CHECK(waitpid(companion.pid, &status, 0) == companion.pid);
    CHECK_RESULT(weir_life(board->identity[0], owner), WEIR_LIFE_UNKNOWN);
}

static void test_filter(void **state)
{
    int errors[] = { EPERM, EINVAL, ENOSYS };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        in_child(filtered, &errors[i]);
}

static void filtered_but_root(void *argument)
{
    struct companion companion;
    uint64_t own;
    int status;
    companion_start(&companion, announce_and_wait, NULL);
    companion_meet(&companion);
    CHECK(forbid_stat_any(*(int *)argument));
    CHECK_RESULT(weir_identity(&own), 0);
    CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_ALIVE);
    companion_release(&companion);
    CHECK(waitpid(companion.pid, &status, 0) == companion.pid);
    CHECK_RESULT(weir_life(board->identity[0], geteuid()), WEIR_LIFE_DEAD);
}

/* IPC_STAT tells root as much; EINVAL is also what an old kernel says to a call it does not know. */
static void test_without_stat_any(void **state)
{
    int errors[] = { EPERM, EINVAL, ENOSYS };
    (void)state;
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        in_child(filtered_but_root, &errors[i]);
}

/* A former owner's name beside the next one's word must not be taken for that one's. */
static void test_a_name_fits_its_owner_alone(void **state)
{
    uint64_t drawn = 1;
    (void)state;
    for (int i = 0; i < 1000000; i++) {
        drawn = drawn * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t one = drawn & ~WEIR_IDENTITY_SESSION_MAX;
        drawn = drawn * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t other = drawn & ~WEIR_IDENTITY_SESSION_MAX;
        uint64_t name = weir__identity_name(one, 1000);
        assert_true(weir__identity_name_fits(name, one));
        assert_false(weir__identity_name_fits(name, other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beacon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_alive_stopped_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fork_while_the_beacon_is_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exec, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_namespace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_thread_is_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits_are_no_place_to_be_cancelled_at, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_filter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_stat_any, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_fits_its_owner_alone, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
