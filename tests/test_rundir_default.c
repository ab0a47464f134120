/* SPDX-License-Identifier: MIT */
/*
 * Goal: the default directory, /dev/shm/weir-UID, is made for its user alone; what else stands in
 *       its place is refused with its owner and the cure; who is root of a user namespace has
 *       another one than root.
 * Method: children of another uid without WEIR_DIR, with directories, links, files and FIFOs of
 *       several owners in that place, and in user namespaces.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The default directory: 0700, ours; somebody else's in its place is refused, a link too. */
struct owned {
    uid_t owner;
    mode_t mode;
    int create;
};

static void use_default(void *argument)
{
    const struct owned *owned = argument;
    char path[64];
    struct stat status;
    struct weir_segment *segment;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (owned->mode == S_IFLNK) {
        CHECK(mkdir(fixture_path("owned"), 0700) == 0);
        CHECK(chown(fixture_path("owned"), OTHER_UID, OTHER_UID) == 0);
        CHECK(symlink(fixture_path("owned"), path) == 0);
    } else if (owned->mode) {
        CHECK(mkdir(path, 0700) == 0 && chmod(path, owned->mode) == 0);
        CHECK(chown(path, owned->owner, owned->owner) == 0);
    }
    become(OTHER_UID);
    umask(0);
    CHECK(unsetenv("WEIR_DIR") == 0);
    if (owned->create != 0) {
        expect_create(owned->create);
        return;
    }
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
    CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0700);
    CHECK(strncmp(run_directory(), path, strlen(path)) == 0);
    weir_segment_close(segment);
    CHECK(names_now() == 0);
}

static void test_default_directory(void **state)
{
    (void)state;
    char path[64], command[4700];
    struct stat status;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (!has_other_users() || lstat(path, &status) == 0)
        skip();
    static const struct owned rows[] = {
        { 0, 0, 0 },
        { OTHER_UID, 0700, 0 },
        { OTHER_UID, 0777, -EPERM },
        { THIRD_UID, 0777, -EPERM },
        { 0, 0755, -EPERM },
        { 0, S_IFLNK, -ENOTDIR },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct owned row = rows[i];
        int result = status_in_child(use_default, &row);
        snprintf(command, sizeof command, "rm -rf '%s' '%s'", path, fixture_path("owned"));
        assert_int_equal(system(command), 0);
        if (result != 0)
            print_error("row %zu: owner %u, mode %04o\n", i, row.owner, row.mode);
        assert_int_equal(result, 0);
    }
}

/* What else stands in the default directory's place: whose it is, and the cure. */
struct obstacle {
    mode_t type;
    uid_t owner;
    const char *words[2];
};

static void meet_obstacle(void *argument)
{
    const struct obstacle *obstacle = argument;
    char path[64], owner[32];
    struct weir_segment *segment;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    snprintf(owner, sizeof owner, "of uid %u,", (unsigned)obstacle->owner);
    if (obstacle->type == S_IFLNK)
        CHECK(symlink("/tmp", path) == 0);
    else
        CHECK(mknod(path, obstacle->type | 0600, 0) == 0);
    CHECK(lchown(path, obstacle->owner, obstacle->owner) == 0);
    become(OTHER_UID);
    CHECK(unsetenv("WEIR_DIR") == 0);
    int result = create_named(&segment, WEIR_EPHEMERAL, 0);
    CHECK(result == -ENOTDIR || result == -ELOOP);
    CHECK(strncmp(weir_last_error(), path, strlen(path)) == 0);
    CHECK(strstr(weir_last_error(), owner) != NULL);
    for (size_t i = 0; i < ARRAY_SIZE(obstacle->words); i++)
        CHECK(strstr(weir_last_error(), obstacle->words[i]) != NULL);
}

static void test_no_default_directory(void **state)
{
    (void)state;
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/dev/shm/weir-%d", OTHER_UID);
    if (!has_other_users() || lstat(path, &status) == 0)
        skip();
    static const struct obstacle rows[] = {
        { S_IFLNK, 0, { "is a symbolic link", ": sudo rm '/dev/shm/weir-" } },
        { S_IFREG, THIRD_UID, { "is a file", ": sudo rm '/dev/shm/weir-" } },
        { S_IFIFO, THIRD_UID, { "is a FIFO", "or set WEIR_DIR" } },
        { S_IFREG, OTHER_UID, { "is a file", ": rm '/dev/shm/weir-" } },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct obstacle row = rows[i];
        int result = status_in_child(meet_obstacle, &row);
        assert_int_equal(unlink(path), 0);
        if (result != 0)
            print_error("row %zu\n", i);
        assert_int_equal(result, 0);
    }
}

/* As 'unshare --user --map-root-user' does it; or as without that option. */
static void leave_user_namespace(bool is_root)
{
    uid_t there = is_root ? 0 : UNMAPPED;
    become(OTHER_UID);
    CHECK(unsetenv("WEIR_DIR") == 0);
    int result = enter_user_namespace(there, there, 0);
    if (result == -EAGAIN)
        _exit(77);
    CHECK_RESULT(result, 0);
}

/* Its own directory, whatever root has; and root's is neither made nor spoken of. */
static void come_as_mapped_root(void *argument)
{
    const char *path = argument;
    struct weir_segment *segment;
    char used[4096];
    struct stat found;
    leave_user_namespace(true);
    CHECK(geteuid() == 0);
    CHECK_RESULT(weir_run_directory(used, sizeof used), 0);
    CHECK(strncmp(used, path, strlen(path)) == 0 && used[strlen(path)] == '/');
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
    CHECK(lstat(path, &found) == 0 && found.st_uid == 0);
    weir_segment_close(segment);
    CHECK(lstat(path, &found) != 0);
}

static void come_unmapped(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    leave_user_namespace(false);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), -EPERM);
    CHECK(strstr(weir_last_error(), "WEIR_DIR") != NULL);
}

static void come_where_another_is(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    leave_user_namespace(true);
    int result = create_named(&segment, WEIR_EPHEMERAL, 0);
    CHECK(result == -EACCES || result == -EPERM);
    CHECK(strstr(weir_last_error(), "WEIR_DIR") != NULL);
    CHECK(strstr(weir_last_error(), "sudo") == NULL); /* it may be root's, and live */
}

static void test_user_namespace(void **state)
{
    (void)state;
    static const char roots[] = "/dev/shm/weir-0";
    char path[64];
    struct stat found;
    bool is_made = mkdir(roots, 0700) == 0;
    snprintf(path, sizeof path, "/dev/shm/weir-%d-0", OTHER_UID);
    if (!has_other_users() || lstat(path, &found) == 0) {
        if (is_made)
            rmdir(roots);
        skip();
    }
    int status = status_in_child(come_as_mapped_root, path);
    if (is_made)
        assert_int_equal(rmdir(roots), 0); /* nothing was made in it */
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
    in_child(come_as_mapped_root, path);
    assert_true(!is_made || lstat(roots, &found) != 0);
    in_child(come_unmapped, NULL);
    assert_int_equal(mkdir(path, 0700), 0);
    in_child(come_where_another_is, path);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_no_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_user_namespace, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_default", tests, fixture_start, fixture_end);
}
