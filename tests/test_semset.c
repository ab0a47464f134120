/* SPDX-License-Identifier: MIT */
/*
 * Goal: every function of <weir/semset.h> does what its comment says, and every error it lists
 *       comes, with nothing acquired.
 * Method: each kind of reference in turn; the kernel's own view by semctl(2); waiters are seen in the kernel's count before they are woken.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/semset.h"

#define TEST_KEY 0x5e3a5e75u

static const uint16_t first_values[3] = { 4, 0, 32767 };

static struct weir_ref by_ftok(void)
{
    const char *path = fixture_path("semset-ftok");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return weir_by_ftok(path, 'S');
}

static struct weir_semset *make(struct weir_ref ref)
{
    struct weir_semset *set = NULL;
    assert_result(weir_semset_create(&set, ref, 3, first_values, NULL), 0);
    return set;
}

static int id_of(struct weir_semset *set)
{
    struct weir_semset_stat stat = { .size = sizeof stat };
    assert_result(weir_semset_stat(set, &stat), 0);
    return stat.id;
}

static void end(struct weir_semset *set)
{
    assert_result(weir_semset_remove(weir_by_id(id_of(set))), 0);
    weir_semset_close(set);
}

/* --- creation and opening --------------------------------------------------------------- */

static void check_by(struct weir_ref ref, uint32_t extra)
{
    struct weir_semset *set = make(ref), *other = NULL;
    struct weir_semset_stat stat = { .size = sizeof stat };
    struct semid_ds kernel;
    assert_result(weir_semset_stat(set, &stat), 0);
    assert_int_equal(stat.size, sizeof stat);
    assert_int_equal(stat.count, 3);
    assert_int_equal(stat.sem_nsems, 3 + extra);
    assert_int_equal(stat.mode, 0600);
    assert_int_equal(stat.uid, geteuid());
    assert_int_equal(stat.cuid, geteuid());
    assert_int_equal(semctl(stat.id, 0, IPC_STAT, (union weir__semun){ .buf = &kernel }), 0);
    assert_int_equal(kernel.sem_nsems, 3 + extra);
    assert_true(stat.sem_otime == kernel.sem_otime && stat.sem_ctime == kernel.sem_ctime);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(weir_semset_value(set, i), first_values[i]);
    assert_result(weir_semset_value(set, 3), -EINVAL);
    assert_result(weir_semset_post(set, 3, 0), -EINVAL);
    assert_result(weir_semset_set_value(set, 3, 0), -EINVAL);

    /* By its id it is the same, with as many semaphores. */
    assert_result(weir_semset_open(&other, weir_by_id(stat.id), 3, NULL), 0);
    assert_result(weir_semset_wait(set, 0, 0), 0);
    assert_int_equal(weir_semset_value(other, 0), 3);
    assert_result(weir_semset_value(other, 3), -EINVAL);
    weir_semset_close(other);

    if (ref.by != WEIR_BY_NONE) {
        struct weir_semset *untouched = (struct weir_semset *)&stat;
        assert_result(weir_semset_create(&untouched, ref, 3, NULL, NULL), -EEXIST);
        assert_ptr_equal(untouched, &stat);
        assert_result(weir_semset_open(&untouched, ref, 4, NULL), -EINVAL);
        assert_ptr_equal(untouched, &stat);
        assert_result(weir_semset_open(&other, ref, 0, NULL), 0);
        weir_semset_close(other);
        /* It exists: its values stay as they are. */
        assert_result(weir_semset_create_or_open(&other, ref, 3, first_values, NULL), 0);
        assert_int_equal(weir_semset_value(other, 0), 3);
        weir_semset_close(other);
        assert_result(weir_semset_remove(ref), 0);
        assert_result(weir_semset_remove(ref), -ENOENT);
        assert_result(weir_semset_open(&other, ref, 0, NULL), -ENOENT);
        assert_result(weir_semset_create_or_open(&other, ref, 3, first_values, NULL), WEIR_CREATED);
        assert_int_equal(weir_semset_value(other, 0), 4);
        weir_semset_close(other);
        assert_result(weir_semset_remove(ref), 0);
    } else {
        assert_result(weir_semset_remove(ref), -EINVAL);
        assert_result(weir_semset_remove(weir_by_id(stat.id)), 0);
    }
    assert_result(weir_semset_stat(set, &stat), -EIDRM);
    assert_result(weir_semset_value(set, 0), -EIDRM);
    assert_result(weir_semset_set_value(set, 0, 1), -EIDRM);
    assert_result(weir_semset_post(set, 0, 0), -EIDRM);
    weir_semset_close(set);
}

static void by_name(void **state)
{
    (void)state;
    check_by(weir_by_name("a/set"), 0);
}

static void by_key(void **state)
{
    (void)state;
    check_by(weir_by_key(TEST_KEY), 1);
}

static void by_ftok_of_a_file(void **state)
{
    (void)state;
    check_by(by_ftok(), 1);
}

static void private_for_fork(void **state)
{
    (void)state;
    check_by(weir_private(), 0);
}

static void by_id_opens_only(void **state)
{
    struct weir_semset *set = NULL;
    (void)state;
    assert_result(weir_semset_create(&set, weir_by_id(1), 1, NULL, NULL), -EINVAL);
    assert_result(weir_semset_create_or_open(&set, weir_by_id(1), 1, NULL, NULL), -EINVAL);
    assert_result(weir_semset_open(&set, weir_by_id(123456), 1, NULL), -ENOENT);
    assert_result(weir_semset_open(&set, weir_by_id(-1), 1, NULL), -ENOENT);
    assert_result(weir_semset_open(&set, weir_private(), 1, NULL), -EINVAL);
    assert_result(weir_semset_remove(weir_by_id(123456)), -ENOENT);
}

static void references_of_no_kind_are_refused(void **state)
{
    struct weir_semset *set = NULL;
    (void)state;
    for (uint32_t by = 0; by <= WEIR_BY_NONE + 1; by += WEIR_BY_NONE + 1) {
        struct weir_ref ref = weir_by_name("set");
        ref.by = by;
        assert_result(weir_semset_create(&set, ref, 1, NULL, NULL), -EINVAL);
        assert_non_null(strstr(weir_last_error(), "cannot be used here"));
        assert_result(weir_semset_open(&set, ref, 1, NULL), -EINVAL);
        assert_result(weir_semset_create_or_open(&set, ref, 1, NULL, NULL), -EINVAL);
        assert_result(weir_semset_remove(ref), -EINVAL);
        assert_non_null(strstr(weir_last_error(), "cannot be used here"));
    }
    assert_result(weir_semset_remove(weir_private()), -EINVAL);
}

static void bad_arguments_are_refused(void **state)
{
    static const uint16_t too_large[2] = { 0, 32768 };
    struct weir_limits limits = { .size = sizeof limits };
    struct weir_semset *set = NULL;
    (void)state;
    assert_result(weir_limits(&limits), 0);
    const struct {
        struct weir_ref ref;
        uint32_t count;
        const uint16_t *values;
        struct weir_semset_options options;
        int expected;
    } rows[] = {
#define OPTIONS(...) { .size = sizeof(struct weir_semset_options), __VA_ARGS__ }
        { weir_by_key(TEST_KEY), 0, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_by_key(TEST_KEY), (uint32_t)limits.semmsl, NULL, OPTIONS(.mode = 0), -E2BIG },
        { weir_private(), (uint32_t)limits.semmsl + 1, NULL, OPTIONS(.mode = 0), -E2BIG },
        { weir_by_name("n"), UINT32_MAX, NULL, OPTIONS(.mode = 0), -E2BIG },
        { weir_by_name("n"), 2, too_large, OPTIONS(.mode = 0), -ERANGE },
        { weir_private(), 2, too_large, OPTIONS(.mode = 0), -ERANGE },
        { weir_by_key(TEST_KEY), 2, too_large, OPTIONS(.mode = 0), -ERANGE },
        { weir_private(), 1, NULL, OPTIONS(.mode = 0400), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.mode = 01600), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.mode = 0700), -EINVAL },
        { weir_by_key(0), 1, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_by_key(UINT32_MAX), 1, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_by_ftok("/no/such/file", 1), 1, NULL, OPTIONS(.mode = 0), -ENOENT },
        { weir_by_ftok("/", 0), 1, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_by_name(""), 1, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_by_name("a/../b"), 1, NULL, OPTIONS(.mode = 0), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.flags = 2), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.flags = WEIR_SEMSET_PLAIN), -EINVAL },
        { weir_by_name("n"), 1, NULL, OPTIONS(.flags = WEIR_SEMSET_PLAIN), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.trust = 4), -EINVAL },
        { weir_by_key(TEST_KEY), 1, NULL, OPTIONS(.trust = WEIR_TRUST_DIRECTORY), -EINVAL },
        { weir_private(), 1, NULL, OPTIONS(.reserved = 1), -EINVAL },
        { weir_private(), 1, NULL, { .size = 8 }, -EINVAL },
        { { .by = 77 }, 1, NULL, OPTIONS(.mode = 0), -EINVAL },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int result =
            weir_semset_create(&set, rows[i].ref, rows[i].count, rows[i].values, &rows[i].options);
        if (result != rows[i].expected)
            print_error("row %zu\n", i);
        assert_result(result, rows[i].expected);
        assert_result(weir_semset_create_or_open(&set, rows[i].ref, rows[i].count, rows[i].values,
                                                 &rows[i].options),
                      rows[i].expected);
        assert_true(strlen(weir_last_error()) > 10);
    }
    /* Of a later release, whose field is used; and unused. */
    struct {
        struct weir_semset_options options;
        uint64_t added;
    } later = { .options = WEIR_SEMSET_OPTIONS, .added = 1 };
    later.options.size = sizeof later;
    assert_result(weir_semset_open(&set, weir_by_name("n"), 1, &later.options), -EINVAL);
    later.added = 0;
    assert_result(weir_semset_open(&set, weir_by_name("n"), 1, &later.options), -ENOENT);
    assert_null(set);
}

static void a_name_is_of_one_kind(void **state)
{
    struct weir_segment *segment;
    struct weir_semset *set = NULL;
    (void)state;
    assert_result(weir_segment_create(&segment, weir_by_name("x"), 1, NULL), 0);
    assert_result(weir_semset_open(&set, weir_by_name("x"), 1, NULL), -EPROTO);
    assert_result(weir_semset_create(&set, weir_by_name("x"), 1, NULL, NULL), -EEXIST);
    assert_result(weir_semset_create_or_open(&set, weir_by_name("x"), 1, NULL, NULL), -EPROTO);
    assert_result(weir_semset_remove(weir_by_name("x")), -EPROTO);
    weir_segment_close(segment);
    set = make(weir_by_name("x"));
    assert_result(weir_segment_open(&segment, weir_by_name("x"), 1, NULL), -EPROTO);
    weir_semset_close(set);
    assert_result(weir_semset_remove(weir_by_name("x")), 0);
}

static void a_set_removed_behind_its_name_is_no_more(void **state)
{
    struct weir_semset *set = make(weir_by_name("x")), *other = NULL;
    (void)state;
    assert_int_equal(semctl(id_of(set), 0, IPC_RMID), 0);
    assert_result(weir_semset_open(&other, weir_by_name("x"), 1, NULL), -ENOENT);
    weir_semset_close(set);
    set = make(weir_by_name("x"));
    weir_semset_close(set);
    assert_result(weir_semset_remove(weir_by_name("x")), 0);
}

static void success_leaves_the_last_sentence(void **state)
{
    struct weir_semset *set;
    (void)state;
    assert_result(weir_semset_remove(weir_by_id(123456)), -ENOENT);
    char *before = strdup(weir_last_error());
    assert_result(weir_semset_create_or_open(&set, weir_by_key(TEST_KEY), 1, NULL, NULL), 1);
    assert_result(weir_semset_post(set, 0, 0), 0);
    assert_string_equal(weir_last_error(), before);
    free(before);
    end(set);
}

/* --- operations ------------------------------------------------------------------------- */

static void operations(void **state)
{
    struct weir_semset *set = make(weir_private());
    (void)state;
    assert_result(weir_semset_try_wait(set, 1, 0), -EAGAIN);
    assert_result(weir_semset_post(set, 1, 0), 0);
    assert_result(weir_semset_try_wait(set, 1, 0), 0);
    assert_result(weir_semset_wait(set, 0, 0), 0);
    assert_int_equal(weir_semset_value(set, 0), 3);
    assert_result(weir_semset_set_value(set, 0, 9), 0);
    assert_int_equal(weir_semset_value(set, 0), 9);
    /* A deadline in the past takes what is there, and only that. */
    assert_result(weir_semset_wait_until(set, 0, 0, 0), 0);
    assert_result(weir_semset_wait_until(set, 0, 0, INT64_MIN), 0);
    assert_result(weir_semset_wait_until(set, 1, 0, 0), -ETIMEDOUT);
    assert_result(weir_semset_wait_until(set, 1, 0, INT64_MIN), -ETIMEDOUT);
    int64_t start_ns = weir_now_ns();
    assert_result(weir_semset_wait_until(set, 1, 0, start_ns + 5000000), -ETIMEDOUT);
    assert_true(weir_now_ns() >= start_ns + 5000000);
    end(set);
}

static void several_at_once_or_none(void **state)
{
    struct weir_semset *set = make(weir_private());
    struct weir_sem_op both[2] = { { 0, -1, 0 }, { 1, -1, 0 } };
    struct weir_sem_op order[3] = { { 1, 0, 0 }, { 1, 2, 0 }, { 1, -1, 0 } };
    (void)state;
    assert_result(weir_semset_try_op(set, both, 2), -EAGAIN);
    assert_int_equal(weir_semset_value(set, 0), 4);
    assert_result(weir_semset_op_until(set, both, 2, weir_now_ns() + 1000000), -ETIMEDOUT);
    assert_result(weir_semset_op_until(set, both, 2, INT64_MIN), -ETIMEDOUT);
    assert_int_equal(weir_semset_value(set, 0), 4);
    assert_result(weir_semset_op(set, order, 3), 0);
    assert_int_equal(weir_semset_value(set, 1), 1);
    assert_result(weir_semset_op(set, both, 2), 0);
    assert_int_equal(weir_semset_value(set, 0), 3);
    assert_int_equal(weir_semset_value(set, 1), 0);
    end(set);
}

static void errors_of_operations(void **state)
{
    struct weir_semset *set = make(weir_private());
    struct weir_semset_stat stat = { .size = 4 };
    struct weir_sem_op many[501];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct weir_sem_op){ 1, 1, 0 };
    assert_result(weir_semset_op(set, many, 500), 0);
    assert_int_equal(weir_semset_value(set, 1), 500);
    assert_result(weir_semset_op(set, many, 501), -E2BIG);
    assert_non_null(strstr(weir_last_error(), "500"));
    assert_result(weir_semset_op(set, many, 0), -EINVAL);
    many[3].index = 3;
    assert_result(weir_semset_op(set, many, 5), -EINVAL);
    assert_int_equal(weir_semset_value(set, 1), 500);
    assert_result(weir_semset_post(set, 1, 2), -EINVAL);
    assert_result(weir_semset_wait(set, 70000, 0), -EINVAL);
    /* 32,767 is the end, for a value and for what is to be undone. */
    assert_result(weir_semset_post(set, 2, 0), -ERANGE);
    assert_int_equal(weir_semset_value(set, 2), 32767);
    assert_result(weir_semset_set_value(set, 0, 32768), -ERANGE);
    assert_result(weir_semset_set_value(set, 0, 32767), 0);
    assert_result(weir_semset_stat(set, &stat), -EINVAL);
    end(set);
}

static void one_sided_undo_adds_up(void *argument)
{
    struct weir_semset *set = argument;
    struct weir_sem_op swing[2] = { { 1, 1, WEIR_SEM_UNDO }, { 1, -1, 0 } };
    int result = 0, done = 0;
    while (result == 0 && done < 40000) {
        result = weir_semset_op(set, swing, 2);
        done += result == 0;
    }
    CHECK_RESULT(result, -ERANGE);
    CHECK(done == 32767 || done == 32768);
}

static void undo_has_a_limit(void **state)
{
    struct weir_semset *set = make(weir_private());
    (void)state;
    in_child(one_sided_undo_adds_up, set);
    end(set);
}

/* Until so many wait for semaphore index to rise; the test's time limit is the deadline. */
static void await_waiters(struct weir_semset *set, int index, int count)
{
    while (semctl(set->id, index, GETNCNT) != count)
        sched_yield();
}

static void wait_for_removal(struct companion *companion, void *argument)
{
    companion_arrive(companion);
    CHECK_RESULT(weir_semset_wait(argument, 1, 0), -EIDRM);
}

static void removal_wakes_waiters(void **state)
{
    struct weir_semset *set = make(weir_private());
    struct companion waiter;
    (void)state;
    companion_start(&waiter, wait_for_removal, set);
    companion_meet(&waiter);
    companion_release(&waiter);
    await_waiters(set, 1, 1);
    assert_result(weir_semset_remove(weir_by_id(id_of(set))), 0);
    assert_int_equal(companion_end(&waiter), 0);
    weir_semset_close(set);
}

static void wait_once(struct companion *companion, void *argument)
{
    companion_arrive(companion);
    CHECK_RESULT(weir_semset_wait_until(argument, 1, 0, WEIR_NEVER), 0);
}

static void a_post_wakes_one_waiter(void **state)
{
    struct weir_semset *set = make(weir_private());
    struct companion waiter;
    (void)state;
    companion_start(&waiter, wait_once, set);
    companion_meet(&waiter);
    companion_release(&waiter);
    await_waiters(set, 1, 1);
    assert_result(weir_semset_post(set, 1, 0), 0);
    assert_int_equal(companion_end(&waiter), 0);
    assert_int_equal(weir_semset_value(set, 1), 0);
    end(set);
}

static void ignore_alarm(int signal_number)
{
    (void)signal_number;
}

static void interrupted(void *argument)
{
    struct weir_semset *set = argument;
    struct sigaction action = { .sa_handler = ignore_alarm, .sa_flags = SA_RESTART };
    struct itimerval every = { { 0, 10000 }, { 0, 10000 } };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    struct weir_sem_op both[2] = { { 0, -1, 0 }, { 1, -1, 0 } };
    CHECK_RESULT(weir_semset_op(set, both, 2), -EINTR);
    CHECK_RESULT(weir_semset_wait_until(set, 1, 0, weir_now_ns() + 5000000000), -EINTR);
    CHECK_RESULT(weir_semset_value(set, 0), 4);
}

static void a_signal_ends_a_wait(void **state)
{
    struct weir_semset *set = make(weir_private());
    (void)state;
    in_child(interrupted, set);
    end(set);
}

static void take_and_die(void *argument)
{
    struct weir_semset *set = argument;
    CHECK_RESULT(weir_semset_wait(set, 0, WEIR_SEM_UNDO), 0);
    CHECK_RESULT(weir_semset_wait(set, 0, 0), 0);
    CHECK_RESULT(weir_semset_post(set, 1, WEIR_SEM_UNDO), 0);
    raise(SIGKILL);
}

static void undo_comes_with_death(void **state)
{
    struct weir_semset *set = make(weir_private());
    (void)state;
    int status = status_in_child(take_and_die, set);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(weir_semset_value(set, 0), 3); /* one came back, one did not */
    assert_int_equal(weir_semset_value(set, 1), 0);
    end(set);
}

static void set_and_die(void *argument)
{
    struct weir_semset *set = argument;
    CHECK_RESULT(weir_semset_wait(set, 0, WEIR_SEM_UNDO), 0);
    CHECK_RESULT(weir_semset_set_value(set, 0, 10), 0);
    raise(SIGKILL);
}

static void set_value_forgets_undo(void **state)
{
    struct weir_semset *set = make(weir_private());
    (void)state;
    status_in_child(set_and_die, set);
    assert_int_equal(weir_semset_value(set, 0), 10);
    end(set);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(by_name),
        TEST(by_key),
        TEST(by_ftok_of_a_file),
        TEST(private_for_fork),
        TEST(by_id_opens_only),
        TEST(references_of_no_kind_are_refused),
        TEST(bad_arguments_are_refused),
        TEST(a_name_is_of_one_kind),
        TEST(a_set_removed_behind_its_name_is_no_more),
        TEST(success_leaves_the_last_sentence),
        TEST(operations),
        TEST(several_at_once_or_none),
        TEST(errors_of_operations),
        TEST(undo_has_a_limit),
        TEST(removal_wakes_waiters),
        TEST(a_post_wakes_one_waiter),
        TEST(a_signal_ends_a_wait),
        TEST(undo_comes_with_death),
        TEST(set_value_forgets_undo),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
