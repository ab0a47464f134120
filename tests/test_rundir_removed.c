/* SPDX-License-Identifier: MIT */
/*
 * Goal: the namespace's directory goes with the last name in it, and by the collector when a kill
 *       has left it; taken away while in use, it costs nobody what he has.
 * Method: looks at the directories after each close and each collection; rm -rf under a segment;
 *       directories as a kill would leave them.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- taken away while in use ------------------------------------------------------------ */

/* Taken away while in use: who is attached goes on, and a new one is made when needed. */
static void test_removed_under_us(void **state)
{
    (void)state;
    for (uint32_t lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        char command[4600];
        struct weir_segment *segment;
        struct weir_segment *second = NULL;
        struct weir_segment_stat stat = { .size = sizeof stat };
        assert_result(create_named(&segment, lifetime, 1), 0);
        snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("run"));
        assert_int_equal(system(command), 0);
        strcpy(weir_segment_data(segment), "still here");
        assert_result(weir_segment_stat(segment, &stat), 0);
        assert_result(weir_semset_post(weir_segment_semset(segment), 0, 0), 0);
        assert_result(weir_segment_open(&second, weir_by_name("dir/test"), 0, NULL), -ENOENT);
        assert_result(weir_collect(0, NULL, NULL), 0);
        assert_result(create_named(&second, WEIR_EPHEMERAL, 0), 0);
        weir_segment_close(second);
        weir_segment_close(segment);
        assert_int_equal(segments_now(), lifetime == WEIR_EPHEMERAL ? 0 : 1);
        if (lifetime == WEIR_EPHEMERAL) { /* its last user knew of the set */
            assert_int_equal(sets_now(), 0);
        } else {
            assert_int_equal(semctl(stat.semset_id, 0, IPC_RMID), 0);
            assert_result(weir_segment_remove(weir_by_id(stat.id)), 0);
        }
    }
}

/* --- the last one takes it away ------------------------------------------------------------ */

static bool is_there(void)
{
    struct stat found;
    return stat(run_directory(), &found) == 0;
}

/* Whether it is known by the link count alone, or by trying, must not be seen. */
static void come_and_go(void *argument)
{
    struct weir_segment *first, *second;
    struct weir_publisher *publisher;
    char path[4096];
    (void)argument;
    snprintf(path, sizeof path, "%s", fixture_path("tidy"));
    use_directory(path);
    CHECK(mkdir(path, 0700) == 0);
    CHECK_RESULT(create_named(&first, WEIR_EPHEMERAL, 0), 0);
    CHECK_RESULT(weir_segment_create(&second, weir_private(), 5000, NULL), 0);
    CHECK(is_there()); /* the name is in it */
    weir_segment_close(second);
    weir_segment_close(first);
    CHECK(!is_there());
    CHECK_RESULT(weir_segment_create(&second, weir_private(), 5000, NULL), 0);
    CHECK(!is_there());
    weir_segment_close(second);
    CHECK_RESULT(weir_publisher_open(&publisher, "dir/channel", NULL), 0);
    CHECK(is_there());
    CHECK_RESULT(create_named(&first, WEIR_EPHEMERAL, 2), 0);
    weir_publisher_close(publisher);
    CHECK(is_there());
    weir_segment_close(first);
    CHECK(!is_there());
    CHECK(rmdir(path) == 0);
}

static void test_last_one_takes_it_away(void **state)
{
    (void)state;
    in_child(come_and_go, NULL);
}

/* --- what a kill left around it ------------------------------------------------------------ */

static bool exists(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0;
}

static void collect_around(void *argument)
{
    const char *path = argument;
    become(OTHER_UID);
    CHECK(unsetenv("WEIR_DIR") == 0);
    CHECK(mkdir(path, 0700) == 0);
    CHECK_RESULT(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 0);
    CHECK(exists(path));
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    CHECK(!exists(path));
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
}

/* The default directory, killed before the one in it was made, or after it was removed. */
static void test_empty_default_directory(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (!has_other_users() || exists(path))
        skip();
    in_child(collect_around, path);
}

/* One that WEIR_DIR names stays; what was to become the namespace's directory goes. */
static void test_unfinished_alone(void **state)
{
    (void)state;
    char path[4096], unfinished[4096];
    snprintf(path, sizeof path, "%s", fixture_path("run"));
    snprintf(unfinished, sizeof unfinished, "%s", fixture_path("run/.new-0123456789abcdef"));
    assert_int_equal(mkdir(path, 0770), 0);
    assert_int_equal(mkdir(unfinished, 0700), 0);
    assert_result(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 0);
    assert_true(exists(unfinished));
    assert_result(weir_collect(0, NULL, NULL), 0);
    assert_false(exists(unfinished));
    assert_true(exists(path));
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_removed_under_us, fixture_check),
        cmocka_unit_test_teardown(test_last_one_takes_it_away, fixture_check),
        cmocka_unit_test_teardown(test_empty_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_unfinished_alone, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_removed", tests, fixture_start, fixture_end);
}
