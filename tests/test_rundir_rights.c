/* SPDX-License-Identifier: MIT */
/*
 * Goal: who may not use a run directory that WEIR_DIR names, for its owner, its mode or its group,
 *       is told by its own code; and weir makes its directories with the rights that they need,
 *       whatever the umask.
 * Method: children of another uid, in directories of several owners and modes, under several
 *       umasks, and in one that is opened to a group when weir has been there.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct owned {
    uid_t owner;
    mode_t mode;
    int create, open;
};

static void use_owned(void *argument)
{
    const struct owned *owned = argument;
    CHECK(mkdir(fixture_path("owned"), 0700) == 0);
    CHECK(chown(fixture_path("owned"), owned->owner, owned->owner) == 0);
    CHECK(chmod(fixture_path("owned"), owned->mode) == 0);
    become(OTHER_UID);
    use_directory(fixture_path("owned"));
    if (owned->create != 0) {
        expect_create(owned->create);
    } else {
        struct weir_segment *segment;
        CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
        weir_segment_close(segment);
    }
    expect_open(owned->open);
}

static void test_owners(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    static const struct owned rows[] = {
        { OTHER_UID, 0700, 0, -ENOENT },       { OTHER_UID, 0500, -EACCES, -ENOENT },
        { OTHER_UID, 0, -EACCES, -EACCES },    { THIRD_UID, 0700, -EACCES, -EACCES },
        { THIRD_UID, 0755, -EACCES, -ENOENT }, { THIRD_UID, 0777, 0, -ENOENT },
        { THIRD_UID, 01777, -EPERM, -EPERM },  { 0, 01777, -EPERM, -EPERM },
        { 0, 0755, -EACCES, -ENOENT },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct owned row = rows[i];
        int status = status_in_child(use_owned, &row);
        char command[4600];
        snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("owned"));
        assert_int_equal(system(command), 0);
        if (status != 0)
            print_error("row %zu: owner %u, mode %04o\n", i, row.owner, row.mode);
        assert_int_equal(status, 0);
    }
}

static void create_with_umask(void *argument)
{
    struct weir_segment *segment;
    struct stat found;
    const char *path = getenv("WEIR_DIR");
    umask(*(mode_t *)argument);
    if (geteuid() == 0 && has_other_users())
        become(OTHER_UID);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    umask(022);
    CHECK(stat(path, &found) == 0 && (found.st_mode & 07777) == 0700);
    CHECK(stat(run_directory(), &found) == 0 && (found.st_mode & 07777) == 0700);
    struct weir_segment *second;
    CHECK_RESULT(weir_segment_create(&second, weir_private(), 1, NULL), 0);
    weir_segment_close(second);
    CHECK_RESULT(weir_segment_open(&second, weir_by_name("dir/test"), 0, NULL), 0);
    weir_segment_close(second);
    weir_segment_close(segment);
    CHECK(rmdir(path) == 0);
}

/* A umask that takes the owner's own rights takes none of the directories'. */
static void test_umask(void **state)
{
    (void)state;
    static const mode_t masks[] = { 0077, 0400, 0200, 0100, 0700, 0777 };
    char path[4096];
    assert_int_equal(mkdir(fixture_path("masked"), 0777), 0);
    assert_int_equal(chmod(fixture_path("masked"), 0777), 0);
    snprintf(path, sizeof path, "%s", fixture_path("masked/run"));
    use_directory(path);
    for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
        mode_t mask = masks[i];
        in_child(create_with_umask, &mask);
    }
    use_directory(fixture_path("run"));
    assert_int_equal(rmdir(fixture_path("masked")), 0);
}

static void make_first(void *argument)
{
    struct weir_segment *segment;
    become(OTHER_UID);
    use_directory(argument);
    CHECK_RESULT(create_named(&segment, WEIR_PERSISTENT, 0), 0);
    weir_segment_close(segment);
}

static void come_late(void *argument)
{
    struct weir_segment *segment;
    char inside[4096], cure[9000];
    become(THIRD_UID);
    use_directory(argument);
    CHECK_RESULT(weir_run_directory(inside, sizeof inside), 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("late"), 10, NULL), -EACCES);
    snprintf(cure, sizeof cure, "have uid %d, whose it is, run: chgrp %d '%s' && chmod 2770 '%s'",
             OTHER_UID, THIRD_UID, inside, inside);
    CHECK(strstr(weir_last_error(), cure) != NULL);
}

static void come_after_the_cure(void *argument)
{
    struct weir_segment *segment;
    become(THIRD_UID);
    use_directory(argument);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("late"), 10, NULL), 0);
    weir_segment_close(segment);
}

/*
 * What was made in it before keeps its mode, and weir may not know what its owner wants: it is
 * told.
 */
static void test_opened_later(void **state)
{
    (void)state;
    char path[4096], command[9000];
    if (!has_other_users())
        skip();
    snprintf(path, sizeof path, "%s", fixture_path("later"));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, OTHER_UID, OTHER_UID), 0);
    in_child(make_first, path);
    assert_int_equal(chown(path, OTHER_UID, THIRD_UID), 0);
    assert_int_equal(chmod(path, 02770), 0);
    in_child(come_late, path);
    snprintf(command, sizeof command, "chgrp %d '%s'/ipc-* && chmod 2770 '%s'/ipc-*", THIRD_UID,
             path, path);
    assert_int_equal(system(command), 0);
    in_child(come_after_the_cure, path);
    use_directory(path);
    assert_result(weir_segment_remove(weir_by_name("dir/test")), 0);
    use_directory(fixture_path("run"));
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_owners, fixture_check),
        cmocka_unit_test_teardown(test_umask, fixture_check),
        cmocka_unit_test_teardown(test_opened_later, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_rights", tests, fixture_start, fixture_end);
}
