/* SPDX-License-Identifier: MIT */
/*
 * Goal: semaphore sets of other programs and other users, and the system's limits, are met with the
 *       error that <weir/semset.h> lists, and nothing of theirs is changed.
 * Method: sets made by plain semget(2); children that become other users; an IPC namespace with
 *       kernel.sem lowered, and one with it raised.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

#include "segment/semset.h"

#define TEST_KEY 0x5e3a5e75u

static const uint16_t first_values[3] = { 4, 0, 32767 };

static void end(struct weir_semset *set)
{
    assert_result(weir_semset_remove(weir_by_id(set->id)), 0);
    weir_semset_close(set);
}

/* --- sets of other programs ------------------------------------------------------------- */

static void foreign_sets_are_not_written_to(void **state)
{
    struct weir_semset *set = NULL;
    struct weir_semset_options soon = WEIR_SEMSET_OPTIONS;
    unsigned short values[2] = { 1, 1 };
    (void)state;
    soon.deadline_ns = weir_now_ns() + 1000000;
    int id = semget((key_t)TEST_KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, &soon), -EPROTO);
    assert_result(weir_semset_create_or_open(&set, weir_by_key(TEST_KEY), 1, NULL, &soon), -EPROTO);
    semctl(id, 0, IPC_RMID);
    id = semget((key_t)TEST_KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    static const unsigned short others[][2] = { { 1, 0 }, { 1, 1 }, { 0, 2 }, { 5, 3 }, { 0, 9 } };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        memcpy(values, others[i], sizeof values);
        semctl(id, 0, SETALL, (union weir__semun){ .array = values });
        assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, &soon), -EPROTO);
        assert_result(
            weir_semset_create_or_open(&set, weir_by_key(TEST_KEY), 1, first_values, &soon),
            -EPROTO);
        assert_int_equal(semctl(id, 0, GETVAL), others[i][0]);
        assert_int_equal(semctl(id, 1, GETVAL), others[i][1]);
    }
    semctl(id, 0, IPC_RMID);
}

/* Its last semaphore may have the value by which a set under a key is known to be complete. */
static void a_named_set_by_its_id(void **state)
{
    static const uint16_t values[3] = { 1, 2, 22355 };
    struct weir_semset *set = NULL, *again = NULL;
    (void)state;
    assert_result(weir_semset_create(&set, weir_by_name("set"), 3, values, NULL), 0);
    assert_result(weir_semset_open(&again, weir_by_id(set->id), 3, NULL), 0);
    assert_int_equal(weir_semset_value(again, 2), 22355);
    weir_semset_close(again);
    weir_semset_close(set);
    assert_result(weir_semset_remove(weir_by_name("set")), 0);
}

static void plain_sets_meet_plain_programs(void **state)
{
    struct weir_semset *set;
    struct weir_semset_options plain = WEIR_SEMSET_OPTIONS;
    struct weir_semset_stat stat = { .size = sizeof stat };
    struct sembuf one = { 0, 1, 0 };
    (void)state;
    plain.flags = WEIR_SEMSET_PLAIN;
    /* Ours, as others see it: exactly three, values and sem_otime set, the first one 0 or not. */
    for (int round = 0; round < 2; round++) {
        assert_result(
            weir_semset_create(&set, weir_by_key(TEST_KEY), 3, round ? first_values : NULL, &plain),
            0);
        assert_result(weir_semset_stat(set, &stat), 0);
        assert_int_equal(stat.sem_nsems, 3);
        assert_true(stat.sem_otime != 0);
        assert_int_equal(semctl(stat.id, 0, GETVAL), round ? 4 : 0);
        assert_int_equal(semctl(stat.id, 2, GETVAL), round ? 32767 : 0);
        end(set);
    }
    /* Theirs: not ready before the first semop. */
    int id = semget((key_t)TEST_KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    int64_t start_ns = weir_now_ns();
    plain.deadline_ns = start_ns + 20000000;
    assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 2, &plain), -ETIMEDOUT);
    assert_true(weir_now_ns() - start_ns >= 20000000);
    assert_int_equal(semop(id, &one, 1), 0);
    assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 2, &plain), 0);
    assert_int_equal(weir_semset_value(set, 0), 1);
    assert_result(weir_semset_open(&set, weir_by_key(TEST_KEY), 3, &plain), -EINVAL);
    end(set);
}

/* --- users and limits ------------------------------------------------------------------- */

static void as_another_user(void *argument)
{
    struct weir_semset *set = argument, *other = NULL;
    int id = set->id;
    become(OTHER_UID);
    /* Made by root, whom SELF accepts; the mode does not let this user in. */
    CHECK_RESULT(weir_semset_open(&other, weir_by_id(id), 3, NULL), 0);
    CHECK_RESULT(weir_semset_post(other, 0, 0), -EACCES);
    CHECK_RESULT(weir_semset_value(other, 0), -EACCES);
    CHECK_RESULT(weir_semset_set_value(other, 0, 1), -EACCES);
    struct weir_semset_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_semset_stat(other, &stat), -EACCES);
    CHECK_RESULT(weir_semset_remove(weir_by_id(id)), -EPERM);
    weir_semset_close(other);
    CHECK_RESULT(weir_semset_create(&other, weir_by_key(TEST_KEY), 1, NULL, NULL), 0);
    weir_semset_close(other);
}

/* Who may change a set and not read it never gets weir's own semaphore behind the user's ones. */
static void as_who_may_not_read(void *argument)
{
    const int *id = argument;
    struct weir_semset *set = NULL;
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    options.trust = WEIR_TRUST_ANYONE;
    become(OTHER_UID);
    CHECK_RESULT(weir_semset_open(&set, weir_by_id(*id), 0, &options), -EACCES);
    CHECK(strstr(weir_last_error(), "0622") && set == NULL);
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 0, &options), -EACCES);
}

static void write_only(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct weir_semset *set;
    struct weir_semset_stat stat = { .size = sizeof stat };
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    options.mode = 0622;
    assert_result(weir_semset_create(&set, weir_by_key(TEST_KEY), 3, first_values, &options), 0);
    assert_result(weir_semset_stat(set, &stat), 0);
    in_child(as_who_may_not_read, &stat.id);
    weir_semset_close(set);
    assert_result(weir_semset_open(&set, weir_by_id(stat.id), 4, NULL), -EINVAL);
    assert_result(weir_semset_open(&set, weir_by_id(stat.id), 3, NULL), 0);
    weir_semset_close(set);
    assert_result(weir_semset_remove(weir_by_key(TEST_KEY)), 0);
}

static void as_a_third_user(void *argument)
{
    struct weir_semset *set = NULL;
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    (void)argument;
    become(THIRD_UID);
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, NULL), -EPERM);
    options.trust = WEIR_TRUST_UID;
    options.trust_uid = THIRD_UID;
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, &options), -EPERM);
    /* Trusted, but the mode is 0600: the kernel says no. */
    options.trust_uid = OTHER_UID;
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, &options), -EACCES);
    CHECK_RESULT(weir_semset_remove(weir_by_key(TEST_KEY)), -EPERM);
}

static void other_users(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct weir_semset *set;
    assert_result(weir_semset_create(&set, weir_private(), 3, first_values, NULL), 0);
    in_child(as_another_user, set);
    in_child(as_a_third_user, NULL);
    assert_result(weir_semset_remove(weir_by_key(TEST_KEY)), 0); /* root may */
    end(set);
}

static void at_the_limits(void *argument)
{
    struct weir_semset *set;
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "10 12 5 2");
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 11, NULL, NULL), -E2BIG);
    CHECK(has_word(weir_last_error(), "10") && strstr(weir_last_error(), "kernel.sem"));
    CHECK_RESULT(weir_semset_create(&set, weir_by_key(TEST_KEY), 10, NULL, NULL), -E2BIG);
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 8, NULL, NULL), 0);
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 5, NULL, NULL), -ENOSPC);
    CHECK(has_word(weir_last_error(), "12") && strstr(weir_last_error(), "semaphores"));
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 1, NULL, NULL), 0);
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 1, NULL, NULL), -ENOSPC);
    CHECK(strstr(weir_last_error(), "sets") && strstr(weir_last_error(), "10 12 5 4"));
    struct weir_sem_op many[6] = { { 0, 1, 0 }, { 0, 1, 0 }, { 0, 1, 0 },
                                   { 0, 1, 0 }, { 0, 1, 0 }, { 0, 1, 0 } };
    CHECK_RESULT(weir_semset_op(set, many, 5), 0);
    CHECK_RESULT(weir_semset_op(set, many, 6), -E2BIG);
    CHECK(has_word(weir_last_error(), "5"));
}

/* The system allows more operations in one call than weir has room for. */
static void beyond_weirs_room(void *argument)
{
    enum { MOST = 500, MANY = 10000 };
    static struct weir_sem_op many[MANY];
    static const size_t counts[] = { MOST + 1, MANY };
    struct weir_semset *set;
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "10 100 20000 2");
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 1, NULL, NULL), 0);
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct weir_sem_op){ 0, 1, 0 };
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        CHECK_RESULT(weir_semset_op(set, many, counts[i]), -E2BIG);
        CHECK(has_word(weir_last_error(), "500"));
        CHECK_RESULT(weir_semset_try_op(set, many, counts[i]), -E2BIG);
        CHECK_RESULT(weir_semset_op_until(set, many, counts[i], WEIR_NEVER), -E2BIG);
        CHECK_RESULT(weir_semset_value(set, 0), 0);
    }
    CHECK_RESULT(weir_semset_op(set, many, MOST), 0);
    CHECK_RESULT(weir_semset_value(set, 0), MOST);
}

/* An operation has 16 bits for a semaphore's number: of a larger set it would reach another one. */
static void beyond_16_bits(void *argument)
{
    struct weir_semset *set;
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "70000 1024000 500 100");
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 65536, NULL, NULL), -E2BIG);
    CHECK_RESULT(weir_semset_create(&set, weir_by_key(TEST_KEY), 65535, NULL, NULL), -E2BIG);
    CHECK_RESULT(weir_semset_create_or_open(&set, weir_by_key(TEST_KEY), 65535, NULL, NULL),
                 -E2BIG);
    CHECK(has_word(weir_last_error(), "65535"));
    CHECK_RESULT(weir_semset_create(&set, weir_by_key(TEST_KEY), 65534, NULL, NULL), 0);
    CHECK_RESULT(weir_semset_post(set, 65533, 0), 0);
    CHECK(weir_semset_value(set, 65533) == 1 && weir_semset_value(set, 0) == 0);
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 65535, NULL, NULL), 0);
    CHECK_RESULT(weir_semset_post(set, 65534, 0), 0);
    CHECK(weir_semset_value(set, 65534) == 1 && weir_semset_value(set, 0) == 0);
    /* Another program's, unless the C library has 16 bits for how many a set has, too (musl). */
    if (sizeof(((struct semid_ds *)NULL)->sem_nsems) == 2)
        return;
    int id = semget((key_t)TEST_KEY + 1, 65537, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(id >= 0);
    CHECK_RESULT(weir_semset_create_or_open(&set, weir_by_key(TEST_KEY + 1), 1, NULL, NULL),
                 -EPROTO);
    CHECK_RESULT(weir_semset_open(&set, weir_by_id(id), 1, NULL), 0);
    CHECK_RESULT(weir_semset_post(set, 65536, 0), -EINVAL);
    CHECK(weir_semset_value(set, 65536) == 0 && weir_semset_value(set, 0) == 0);
    CHECK_RESULT(weir_semset_post(set, 65535, 0), 0);
    CHECK(weir_semset_value(set, 65535) == 1);
}

static void limits_are_told(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    in_child(at_the_limits, NULL);
    in_child(beyond_weirs_room, NULL);
    in_child(beyond_16_bits, NULL);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(foreign_sets_are_not_written_to),
        TEST(a_named_set_by_its_id),
        TEST(plain_sets_meet_plain_programs),
        TEST(other_users),
        TEST(write_only),
        TEST(limits_are_told),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
