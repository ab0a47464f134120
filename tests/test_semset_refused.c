/* SPDX-License-Identifier: MIT */
/*
 * Goal: a creator of a set whose values the kernel refuses leaves the making to others, while it lives;
 *       and who finds a key taken never writes it down as its own, wherever it is killed.
 * Method: a process that may not set values, and stays; random keys that a set of ours has, in the place
 *       of random ones, and a kill at each system call.
 */
#include "fixture.h"
#include "silence.h"
#include "tracer.h"

#include <errno.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "base/random.h"
#include "segment/semset.h"

#define TEST_KEY 0x5e3a0bad
#define SECOND_NS INT64_C(1000000000)

static const uint16_t first_values[2] = { 7, 9 };

/* --- values that are refused -------------------------------------------------------------- */

static void fail_and_stay(struct companion *companion, void *argument)
{
    bool or_open = *(bool *)argument;
    struct weir_ref ref = weir_by_key(TEST_KEY);
    struct weir_semset *set = NULL;
    CHECK(forbid_set_all(ENOMEM));
    int result = or_open ? weir_semset_create_or_open(&set, ref, 2, first_values, NULL)
                         : weir_semset_create(&set, ref, 2, first_values, NULL);
    CHECK_RESULT(result, -ENOMEM);
    CHECK(set == NULL);
    companion_arrive(companion);
}

static void expect_whole(struct weir_semset *set)
{
    assert_int_equal(weir_semset_value(set, 0), first_values[0]);
    assert_int_equal(weir_semset_value(set, 1), first_values[1]);
}

static void test_values_that_are_refused(void **state)
{
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    struct weir_semset *set;
    struct companion companion;
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool or_open = i != 0;
        companion_start(&companion, fail_and_stay, &or_open);
        companion_meet(&companion);
        options.deadline_ns = weir_deadline_ns(SECOND_NS);
        assert_result(
            weir_semset_create_or_open(&set, weir_by_key(TEST_KEY), 2, first_values, &options),
            WEIR_CREATED);
        expect_whole(set);
        companion_release(&companion);
        assert_int_equal(companion_end(&companion), 0);
        expect_whole(set); /* its end undoes nothing */
        weir_semset_close(set);
        assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 2, &options), 0);
        weir_semset_close(set);
        assert_result(weir_semset_remove(weir_by_key(TEST_KEY)), 0);
    }
}

/* --- keys that are taken ------------------------------------------------------------------ */

/* What the linker puts in place of weir__random_nonzero(): see CMakeLists.txt. */
uint64_t __wrap_weir__random_nonzero(void);
uint64_t __real_weir__random_nonzero(void);

static int taken_to_come; /* so many more numbers have the taken key in their lower half */

uint64_t __wrap_weir__random_nonzero(void)
{
    uint64_t number = __real_weir__random_nonzero();
    if (taken_to_come == 0)
        return number;
    taken_to_come--;
    return (number & ~(uint64_t)UINT32_MAX) | TEST_KEY;
}

/* The draft has one of the numbers; then comes the key, more than once. */
static void create_with_taken_keys(void *unused)
{
    struct weir_semset *set;
    (void)unused;
    taken_to_come = 4;
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("set"), 2, first_values, NULL), 0);
    CHECK(taken_to_come == 0);
}

static bool is_ours_there(void)
{
    int id = semget(TEST_KEY, 0, 0);
    return id >= 0 && semctl(id, 0, GETVAL) == 3;
}

static void killed_at_stop(pid_t child, void *unused)
{
    (void)unused;
    tracee_kill(child);
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    weir_semset_remove(weir_by_name("set"));
    if (!is_ours_there() || sets_now() != 1 || names_now() != 0)
        walk_print_place();
    assert_true(is_ours_there());
    assert_int_equal(sets_now(), 1);
    assert_int_equal(names_now(), 0);
}

static void test_keys_that_are_taken(void **state)
{
    struct walk walk = { .what = "create",
                         .act = create_with_taken_keys,
                         .at_stop = killed_at_stop };
    (void)state;
    if (!tracer_works() || !fixture_is_alone())
        skip();
    int id = semget(TEST_KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    assert_int_equal(semctl(id, 0, SETVAL, (union weir__semun){ .val = 3 }), 0);
    assert_true(walk_stops(&walk) >= 10);
    assert_true(is_ours_there());
    assert_result(weir_semset_remove(weir_by_name("set")), 0);
    assert_int_equal(semctl(id, 0, IPC_RMID), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(test_values_that_are_refused),
        TEST(test_keys_that_are_taken),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
