/* SPDX-License-Identifier: MIT */
/*
 * Goal: root, killed at any moment in a user's run directory, leaves nothing there that keeps the
 *       user from going on, or that the collector cannot take away.
 * Method: root's create is killed at each stop, then the user creates and both collect;
 *       directories as root leaves them that has not given them away yet.
 */
#include "fixture.h"
#include "records.h"
#include "tracer.h"
#include "vault.h"

#include <sys/stat.h>
#include <unistd.h>

static void create_as_user(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    become_member(OTHER_UID);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("theirs"), 1, NULL), 0);
    weir_segment_close(segment);
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

static void stage_users(void *argument)
{
    (void)argument;
    make_run(OTHER_UID, OTHER_UID, 0700);
}

/* Whatever root leaves there: the user can go on, and of what was begun each takes its own away. */
static void at_stop_killed(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    int status = status_in_child(create_as_user, NULL);
    in_child(collect_all, NULL);
    in_child(create_as_user, NULL);
    if (status != 0 || names_now() != 0 || segments_now() != 0)
        walk_print_place();
    assert_int_equal(status, 0);
    assert_int_equal(names_now(), 0);
    assert_int_equal(segments_now(), 0);
}

static void test_root_killed_in_a_users_directory(void **state)
{
    struct walk walk = {
        "create, root killed", stage_users, NULL, try_create, at_stop_killed, NULL
    };
    (void)state;
    if (!has_other_users() || !tracer_works())
        skip();
    assert_true(walk_stops(&walk) >= 10);
    clear_everything();
}

static void collect_leftover(void *argument)
{
    (void)argument;
    become_member(OTHER_UID);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    CHECK(names_now() == 0);
}

/* Root was killed before it gave them away. */
static void test_empty_ones_of_root(void **state)
{
    static const char *const names[] = { "#" NONCE, "~" NONCE, "mine" };
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make_run(OTHER_UID, OTHER_UID, 0700);
        assert_int_equal(mkdir(run_directory(), 0700), 0);
        assert_int_equal(chown(run_directory(), OTHER_UID, OTHER_UID), 0);
        assert_int_equal(mkdir(entry_path(names[i]), 0700), 0);
        in_child(collect_leftover, NULL);
    }
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_root_killed_in_a_users_directory, fixture_check),
        cmocka_unit_test_teardown(test_empty_ones_of_root, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_root_killed", tests, fixture_start, fixture_end);
}
