/* SPDX-License-Identifier: MIT */
/*
 * Goal: what root makes in a user's directory is that user's, so that he can go on there; where
 *       root's own stands in its place, he is told so, and the cure.
 * Method: root, with WEIR_DIR in the default directory of another uid and in others, with and
 *       without the directories there already; then that user without root.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct visit {
    const char *base; /* what root says */
    uid_t owner;      /* of the directory that stands there before; 0: none does */
    mode_t mode;
    int afterwards; /* what the user's create gives */
};

static bool is_of(const char *path, uid_t uid, mode_t mode)
{
    struct stat found;
    return lstat(path, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == uid &&
           (found.st_mode & 07777) == mode;
}

static void come_as_root(void *argument)
{
    const struct visit *visit = argument;
    struct weir_segment *segment;
    char owned[64];
    snprintf(owned, sizeof owned, "/dev/shm/weir-%d", OTHER_UID);
    use_directory(visit->base);
    if (visit->owner) {
        CHECK(mkdir(visit->base, 0700) == 0 && chmod(visit->base, visit->mode) == 0);
        CHECK(chown(visit->base, visit->owner, THIRD_UID) == 0);
    }
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    if (visit->afterwards == 0) {
        uid_t uid = visit->owner ? visit->owner : OTHER_UID;
        CHECK(is_of(run_directory(), uid, visit->mode ? visit->mode : 0700));
        CHECK(visit->owner || is_of(owned, OTHER_UID, 0700));
    }
    weir_segment_close(segment);
    become(OTHER_UID);
    if (visit->owner == 0)
        CHECK(unsetenv("WEIR_DIR") == 0);
    if (visit->afterwards) {
        CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), visit->afterwards);
        return;
    }
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    weir_segment_close(segment);
}

/* Where a user's names stand, root makes the directories that user's, and no others. */
static void test_root_in_a_users_directory(void **state)
{
    (void)state;
    char path[64], slashes[80], other[80], part[4096], command[8800];
    struct stat status;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (!has_other_users() || lstat(path, &status) == 0)
        skip();
    snprintf(slashes, sizeof slashes, "%s//", path);
    snprintf(other, sizeof other, "/dev/shm/weir-0%d", OTHER_UID);
    snprintf(part, sizeof part, "%s", fixture_path("owned"));
    const struct visit rows[] = {
        { path, 0, 0, 0 },
        { slashes, 0, 0, 0 },
        { part, OTHER_UID, 0700, 0 },
        { part, OTHER_UID, 02770, 0 },
        { part, THIRD_UID, 0700, -EACCES },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct visit row = rows[i];
        int result = status_in_child(come_as_root, &row);
        snprintf(command, sizeof command, "rm -rf '%s' '%s'", path, part);
        assert_int_equal(system(command), 0);
        if (result != 0)
            print_error("row %zu: %s\n", i, row.base);
        assert_int_equal(result, 0);
    }
    /* No user's name, so root's as before. */
    use_directory(other);
    struct weir_segment *segment;
    assert_result(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
    assert_true(is_of(other, 0, 0700));
    weir_segment_close(segment);
    assert_int_equal(rmdir(other), 0);
    use_directory(fixture_path("run"));
}

static void meet_roots(void *argument)
{
    const char *path = argument;
    struct weir_segment *segment;
    become(OTHER_UID);
    CHECK(unsetenv("WEIR_DIR") == 0);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), -EACCES);
    CHECK(strstr(weir_last_error(), " belongs to uid 0 instead of you"));
    CHECK(strstr(weir_last_error(), "sudo rm -r '/dev/shm/weir-"));
    CHECK(strncmp(weir_last_error(), path, strlen(path)) == 0);
}

static void replace_roots(void *argument)
{
    struct weir_segment *segment;
    become(OTHER_UID);
    CHECK(unsetenv("WEIR_DIR") == 0);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
    CHECK(is_of(argument, OTHER_UID, 0700));
    weir_segment_close(segment);
}

/* What stands there already, of root alone: the user is told whose it is, and the cure. */
static void test_root_was_here(void **state)
{
    (void)state;
    char path[64], inside[4096], command[4200];
    struct stat status;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (!has_other_users() || lstat(path, &status) == 0)
        skip();
    assert_int_equal(mkdir(path, 0700), 0);
    in_child(meet_roots, path);
    assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);
    use_directory(path);
    assert_result(weir_run_directory(inside, sizeof inside), 0);
    use_directory(fixture_path("run"));
    assert_int_equal(mkdir(inside, 0700), 0);
    snprintf(command, sizeof command, "%s/file", inside);
    close(open(command, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    in_child(meet_roots, inside);
    assert_int_equal(unlink(command), 0);
    in_child(replace_roots, inside); /* empty: left by a kill */
    assert_int_equal(lstat(inside, &status), -1);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static void look_at_half_made(void *argument)
{
    const char *path = argument;
    struct weir_segment_stat stat = { .size = sizeof stat };
    become(OTHER_UID);
    CHECK_RESULT(weir_segment_lookup(weir_by_name("dir/test"), &stat), -ENOENT);
    CHECK_RESULT(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 0);
    CHECK(is_of(path, 0, 0700));
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    struct stat found;
    CHECK(lstat(path, &found) != 0 && errno == ENOENT);
}

/* What root, killed, has left half made: who only looks finds nothing in it, and leaves it. */
static void test_half_made(void **state)
{
    (void)state;
    char path[4096];
    struct stat found;
    if (!has_other_users())
        skip();
    use_directory(fixture_path("half"));
    assert_int_equal(mkdir(fixture_path("half"), 0700), 0);
    snprintf(path, sizeof path, "%s", run_directory());
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(fixture_path("half"), OTHER_UID, OTHER_UID), 0);
    bool is_counted = stat(path, &found) == 0 && found.st_nlink == 2;
    if (is_counted)
        in_child(look_at_half_made, path);
    rmdir(path);
    assert_int_equal(rmdir(fixture_path("half")), 0);
    use_directory(fixture_path("run"));
    if (!is_counted)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_root_in_a_users_directory, fixture_check),
        cmocka_unit_test_teardown(test_half_made, fixture_check),
        cmocka_unit_test_teardown(test_root_was_here, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_root", tests, fixture_start, fixture_end);
}
