/* SPDX-License-Identifier: MIT */
/*
 * Goal: a set by name or key is never used without its first values, and exactly one process sets
 *       them, whoever is killed or stopped at whichever system call of the creation; a death wakes
 *       who waits for the values.
 * Method: a traced creator killed, or left standing, at its n-th system call stop, for every n;
 *       other processes then create, open and wait. And plain races of many creators.
 */
#include "fixture.h"
#include "given.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x5e3a0acfu
#define SOON_NS 30000000
#define SECOND_NS 1000000000

/* The states of the ready semaphore, as src/segment/semset_key.c has them. */
enum { FRESH = 0, BUSY = 1, DEAD = 3 };

static const uint16_t first_values[2] = { 7, 9 };

static struct weir_semset_options until(int64_t deadline_ns)
{
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    options.deadline_ns = deadline_ns;
    return options;
}

static struct weir_ref reference(void *argument)
{
    return *(const struct weir_ref *)argument;
}

static void create(void *argument)
{
    struct weir_semset *set;
    CHECK_RESULT(weir_semset_create(&set, reference(argument), 2, first_values, NULL), 0);
}

static void create_or_open(void *argument)
{
    struct weir_semset *set;
    CHECK(weir_semset_create_or_open(&set, reference(argument), 2, first_values, NULL) >= 0);
}

/* Before each round, and after the last one, whose creator finishes. */
static void clear(void *argument)
{
    weir_semset_remove(reference(argument));
}

static bool is_whole(struct weir_semset *set)
{
    return weir_semset_value(set, 0) == first_values[0] &&
           weir_semset_value(set, 1) == first_values[1];
}

/* Whoever comes after a killed creator finds a whole set, or makes it, at once. */
static void come_after(void *argument)
{
    struct weir_semset *set = NULL;
    int64_t stood_ns = given_stood_ns(), start_ns = weir_now_ns();
    struct weir_semset_options options = until(start_ns + 10 * (int64_t)SECOND_NS);
    int opened = weir_semset_open(
        &set, reference(argument), 2,
        &(struct weir_semset_options){ .size = sizeof options, .deadline_ns = start_ns + SOON_NS });
    CHECK(opened == 0 || opened == -ENOENT || opened == -ENOTRECOVERABLE);
    if (opened == 0) {
        CHECK(is_whole(set));
        weir_semset_close(set);
    }
    int result = weir_semset_create_or_open(&set, reference(argument), 2, first_values, &options);
    CHECK(result == (opened == 0 ? 0 : WEIR_CREATED));
    CHECK(is_whole(set));
    int64_t took_ns = weir_now_ns() - start_ns;
    CHECK(took_ns < SECOND_NS || took_ns - (given_stood_ns() - stood_ns) < SECOND_NS);
    weir_semset_close(set);
    CHECK_RESULT(weir_semset_remove(reference(argument)), 0);
}

static void in_child_at(void (*function)(void *), void *argument)
{
    int status = status_in_child(function, argument);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
}

static void killed_at_stop(pid_t child, void *argument)
{
    tracee_kill(child);
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    in_child_at(come_after, argument);
    if (sets_now() != 0 || names_now() != 0)
        walk_print_place();
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void killed_creators(void **state)
{
    struct weir_ref refs[] = { weir_by_key(TEST_KEY), weir_by_name("set") };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct walk walk = { .what = "create",
                             .stage = clear,
                             .act = create,
                             .at_stop = killed_at_stop,
                             .argument = &refs[i] };
        assert_true(walk_stops(&walk) >= 6);
        walk.what = "create or open";
        walk.act = create_or_open;
        assert_true(walk_stops(&walk) >= 6);
        clear(&refs[i]);
    }
}

/* --- a creator that stands still -------------------------------------------------------- */

static int ready_state(void)
{
    int id = semget((key_t)TEST_KEY, 0, 0);
    return id < 0 ? -1 : semctl(id, 2, GETVAL);
}

static void open_soon(void *argument)
{
    struct weir_semset *set = NULL;
    struct weir_semset_options options = until(weir_now_ns() + SOON_NS);
    int seen = ready_state();
    int result = weir_semset_open(&set, reference(argument), 2, &options);
    switch (seen) {
    case -1:
        CHECK_RESULT(result, -ENOENT);
        break;
    case FRESH: /* nobody claims to set the values */
        CHECK_RESULT(result, -ENOTRECOVERABLE);
        break;
    case BUSY: /* somebody does, and lives: nobody takes it over */
        CHECK_RESULT(result, -ETIMEDOUT);
        options = until(weir_now_ns() + SOON_NS);
        CHECK_RESULT(weir_semset_create_or_open(&set, reference(argument), 2, NULL, &options),
                     -ETIMEDOUT);
        break;
    default:
        CHECK_RESULT(result, 0);
        CHECK(is_whole(set));
    }
}

static void wait_for_values(struct companion *companion, void *argument)
{
    struct weir_semset *set;
    struct weir_semset_options options = until(WEIR_NEVER);
    companion_arrive(companion);
    CHECK_RESULT(weir_semset_create_or_open(&set, reference(argument), 2, first_values, &options),
                 WEIR_CREATED);
    CHECK(is_whole(set));
}

static void open_never_made(struct companion *companion, void *argument)
{
    struct weir_semset *set;
    struct weir_semset_options options = until(WEIR_NEVER);
    companion_arrive(companion);
    int result = weir_semset_open(&set, reference(argument), 2, &options);
    CHECK(result == 0 || result == -ENOTRECOVERABLE); /* the other one may have been quicker */
    CHECK(result != 0 || is_whole(set));
}

static unsigned busy_seen;

/* Two processes wait for a standing creator, for ever; its death wakes both. */
static void death_wakes_waiters(pid_t child, void *argument)
{
    struct companion maker, opener;
    int id = semget((key_t)TEST_KEY, 0, 0);
    busy_seen++;
    companion_start(&maker, wait_for_values, argument);
    companion_start(&opener, open_never_made, argument);
    companion_meet(&maker);
    companion_meet(&opener);
    companion_release(&maker);
    companion_release(&opener);
    while (semctl(id, 2, GETNCNT) != 2)
        sched_yield();
    tracee_kill(child);
    assert_int_equal(companion_end(&maker), 0);
    assert_int_equal(companion_end(&opener), 0);
}

static void standing_at_stop(pid_t child, void *argument)
{
    in_child_at(open_soon, argument);
    if (ready_state() == BUSY) {
        death_wakes_waiters(child, argument);
    } else {
        tracee_kill(child);
        if (ready_state() == DEAD)
            walk_print_place();
        assert_int_not_equal(ready_state(), DEAD);
    }
    weir_semset_remove(reference(argument));
    assert_int_equal(sets_now(), 0);
}

static void standing_creators(void **state)
{
    struct weir_ref ref = weir_by_key(TEST_KEY);
    struct walk walk = { .what = "create or open",
                         .stage = clear,
                         .act = create_or_open,
                         .at_stop = standing_at_stop,
                         .argument = &ref };
    (void)state;
    busy_seen = 0;
    walk_stops(&walk);
    clear(&ref);
    assert_true(busy_seen >= 1);
}

/* --- a creator that is late ------------------------------------------------------------- */

static int *late_result; /* shared by fork */

static void create_or_open_late(void *argument)
{
    struct weir_semset *set;
    int result = weir_semset_create_or_open(&set, reference(argument), 2, first_values, NULL);
    CHECK(result >= 0);
    *late_result = result;
}

/* The set as a creator left it that was killed when it had claimed. */
static void leave_dead(void *argument)
{
    int status;
    clear(argument);
    pid_t child = tracee_start(NULL, create_or_open, argument);
    while (ready_state() != BUSY)
        assert_true(tracee_step(child, &status));
    tracee_kill(child);
    assert_int_equal(ready_state(), DEAD);
}

/* A creator that was taken over before it claimed, and goes on late, changes nothing. */
static void late_at_stop(pid_t child, void *argument)
{
    struct weir_semset *set;
    struct weir_semset_options options = until(weir_now_ns() + SOON_NS);
    int result = weir_semset_create_or_open(&set, reference(argument), 2, first_values, &options);
    if (result >= 0) {
        assert_result(weir_semset_wait(set, 0, 0), 0);
        int status = tracee_finish(child);
        if (status != 0 || weir_semset_value(set, 0) != 6)
            walk_print_place();
        assert_int_equal(status, 0);
        assert_int_equal(weir_semset_value(set, 0), 6);
        assert_int_equal(*late_result, result == WEIR_CREATED ? 0 : WEIR_CREATED);
        weir_semset_close(set);
    } else {
        assert_result(result, -ETIMEDOUT); /* it has claimed, and lives */
        assert_int_equal(tracee_finish(child), 0);
        assert_int_equal(*late_result, WEIR_CREATED);
    }
    assert_result(weir_semset_remove(reference(argument)), 0);
}

static void late_creators(void **state)
{
    struct {
        struct weir_ref ref;
        void (*stage)(void *);
    } scenes[] = {
        { weir_by_key(TEST_KEY), clear },
        { weir_by_key(TEST_KEY), leave_dead },
        { weir_by_name("set"), clear },
    };
    (void)state;
    late_result =
        mmap(NULL, sizeof *late_result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(late_result != MAP_FAILED);
    for (size_t i = 0; i < ARRAY_SIZE(scenes); i++) {
        struct walk walk = { .what = "create or open",
                             .stage = scenes[i].stage,
                             .act = create_or_open_late,
                             .at_stop = late_at_stop,
                             .argument = &scenes[i].ref };
        assert_true(walk_stops(&walk) >= 4);
        clear(&scenes[i].ref);
    }
    munmap(late_result, sizeof *late_result);
}

/* --- races ------------------------------------------------------------------------------ */

static void race(struct companion *companion, void *argument)
{
    struct weir_semset *set;
    companion_arrive(companion);
    int result = weir_semset_create_or_open(&set, reference(argument), 2, first_values, NULL);
    CHECK(result >= 0);
    CHECK(is_whole(set));
    _exit(result == WEIR_CREATED ? 10 : 0);
}

static void one_of_many_creates(void **state)
{
    struct weir_ref refs[] = { weir_by_key(TEST_KEY), weir_by_name("set") };
    struct companion racers[6];
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct weir_ref ref = refs[round % 2];
        int created = 0;
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++)
            companion_start(&racers[i], race, &ref);
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++)
            companion_meet(&racers[i]);
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++)
            companion_release(&racers[i]);
        for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
            int status = companion_end(&racers[i]);
            assert_true(status == 0 || status == 10 << 8);
            created += status != 0;
        }
        assert_int_equal(created, 1);
        assert_int_equal(sets_now(), 1);
        assert_result(weir_semset_remove(ref), 0);
    }
}

int main(void)
{
    if (!tracer_works()) {
        fprintf(stderr, "skipped: nobody may trace its child here\n");
        return 77;
    }
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(killed_creators),
        TEST(standing_creators),
        TEST(late_creators),
        TEST(one_of_many_creates),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
