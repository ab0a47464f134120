/* SPDX-License-Identifier: MIT */
/*
 * Goal: a run directory that is missing, wrong, full, read-only or another's is told by its own
 *       code and a sentence with its path, and leaves nothing.
 * Method: children with a WEIR_DIR of each sort; small tmpfs mounts in mount namespaces of their
 *       own; directories of other uids.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Create gives the code, nothing is made; the raw ways, which need no directory, work. */
static void expect_create(int code)
{
    struct weir_segment *segment = NULL;
    for (uint32_t lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        CHECK_RESULT(create_named(&segment, lifetime, 1), code);
        CHECK(segment == NULL && segments_now() == 0 && sets_now() == 0);
        CHECK(strstr(weir_last_error(), "WEIR_DIR") ||
              strstr(weir_last_error(), getenv("WEIR_DIR") ? getenv("WEIR_DIR") : "/dev/shm/"));
    }
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(0x1234), 10, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_remove(weir_by_key(0x1234)), 0);
}

static void expect_open(int code)
{
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), code);
    CHECK_RESULT(weir_segment_lookup(weir_by_name("dir/test"), &stat), code);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), code);
    CHECK(segment == NULL);
}

/* --- the path --------------------------------------------------------------------------- */

static void bad_paths(void *argument)
{
    (void)argument;
    char longer[8192], path[8192];
    static const char *const invalid[] = { "", "run", "./run", "../run" };
    for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
        use_directory(invalid[i]);
        expect_create(-EINVAL);
        expect_open(-EINVAL);
        CHECK_RESULT(weir_run_directory(path, sizeof path), -EINVAL);
    }
    memset(longer, 'l', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = 0;
    use_directory(longer);
    expect_create(-ENAMETOOLONG);
    use_directory(fixture_path("parent/is/missing"));
    expect_create(-ENOENT);
    expect_open(-ENOENT);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    CHECK_RESULT(weir_run_directory(path, sizeof path), 0); /* it need not exist */
    size_t length = strlen(path);
    CHECK_RESULT(weir_run_directory(path, length), -ENAMETOOLONG);
    CHECK_RESULT(weir_run_directory(path, length + 1), 0);
}

static void test_bad_paths(void **state)
{
    (void)state;
    in_child(bad_paths, NULL);
}

static void no_directory(void *argument)
{
    (void)argument;
    const char *path = fixture_path("a-file");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    use_directory(path);
    expect_create(-ENOTDIR);
    expect_open(-ENOTDIR);
    use_directory(fixture_path("a-file/below"));
    expect_create(-ENOTDIR);
    unlink(fixture_path("a-file"));
}

/* Which directory it would be is not known: nothing is said of what may be in it. */
static void no_proc(void *argument)
{
    (void)argument;
    struct weir_segment *segment = NULL;
    struct weir_semset *set = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("none", "/proc", "tmpfs", 0, "size=64k") == 0);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("test"), 0, NULL), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc"));
    CHECK_RESULT(weir_segment_lookup(weir_by_name("test"), &stat), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc"));
    CHECK_RESULT(weir_segment_remove(weir_by_name("test")), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc"));
    CHECK_RESULT(weir_semset_open(&set, weir_by_name("test"), 0, NULL), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc"));
    CHECK_RESULT(weir_semset_remove(weir_by_name("test")), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc"));
    CHECK_RESULT(weir_collect(0, NULL, NULL), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc") && !segment && !set);
    CHECK(umount("/proc") == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("test"), 1, NULL), 0);
    weir_segment_close(segment);
}

static void test_no_proc(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(no_proc, NULL);
}

static void test_no_directory(void **state)
{
    (void)state;
    in_child(no_directory, NULL);
}

/* The directory of the namespace is something else: a link there is not followed. */
static void wrong_inside(void *argument)
{
    (void)argument;
    char inside[4500];
    CHECK(mkdir(fixture_path("run"), 0700) == 0);
    snprintf(inside, sizeof inside, "%s", run_directory());
    CHECK(symlink("/tmp", inside) == 0);
    struct weir_segment *segment = NULL;
    CHECK(create_named(&segment, 0, 0) < 0 && !segment);
    CHECK(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL) < 0 && !segment);
    CHECK(weir_collect(0, NULL, NULL) < 0);
    CHECK(unlink(inside) == 0);
    close(open(inside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    expect_create(-ENOTDIR);
    CHECK(unlink(inside) == 0 && rmdir(fixture_path("run")) == 0);
}

static void test_wrong_inside(void **state)
{
    (void)state;
    in_child(wrong_inside, NULL);
}

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

/* --- file systems ----------------------------------------------------------------------- */

static void mount_small(const char *options)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mkdir(fixture_path("small"), 0700) == 0 || errno == EEXIST);
    CHECK(mount("none", fixture_path("small"), "tmpfs", 0, options) == 0);
    use_directory(fixture_path("small/run"));
}

static void read_only(void *argument)
{
    (void)argument;
    struct weir_segment *segment;
    mount_small("size=1m");
    CHECK_RESULT(create_named(&segment, WEIR_PERSISTENT, 0), 0);
    weir_segment_close(segment);
    CHECK(mount(NULL, fixture_path("small"), NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), 0);
    struct weir_segment *second = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    CHECK_RESULT(weir_segment_create(&second, weir_by_name("other"), 10, &options), -EROFS);
    CHECK(strstr(weir_last_error(), fixture_path("small/run")) != NULL);
    CHECK(second == NULL && segments_now() == 1);
    int result = weir_collect(0, NULL, NULL);
    CHECK(result == 0);
    weir_segment_close(segment);
    /* All or nothing: a name that cannot be taken away keeps its segment. */
    result = weir_segment_remove(weir_by_name("dir/test"));
    CHECK(result == -EROFS);
    CHECK(segments_now() == 1);
    CHECK(mount(NULL, fixture_path("small"), NULL, MS_REMOUNT, NULL) == 0);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), 0);
    CHECK(segments_now() == 0);
}

static void end_with_a_name(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
}

/* What was left there is seen, and cannot be taken away: no success. */
static void read_only_leftover(void *argument)
{
    (void)argument;
    mount_small("size=1m");
    in_child(end_with_a_name, NULL);
    CHECK(mount(NULL, fixture_path("small"), NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK_RESULT(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 1);
    CHECK_RESULT(weir_collect(0, NULL, NULL), -EROFS);
    CHECK(strstr(weir_last_error(), fixture_path("small/run")) != NULL);
    CHECK(mount(NULL, fixture_path("small"), NULL, MS_REMOUNT, NULL) == 0);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 1);
}

static void test_read_only(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(read_only, NULL);
    in_child(read_only_leftover, NULL);
}

/* With every number of free inodes, the call is done or refused, and wholly. */
static void few_inodes(void *argument)
{
    char options[64];
    unsigned inodes = *(unsigned *)argument;
    snprintf(options, sizeof options, "size=1m,nr_inodes=%u", inodes);
    mount_small(options);
    for (uint32_t lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment *segment = NULL;
        int result = create_named(&segment, lifetime, 2);
        if (result != 0) {
            CHECK_RESULT(result, -ENOSPC);
            CHECK(strstr(weir_last_error(), fixture_path("small/run")) != NULL);
            CHECK(inodes < 8);
        } else {
            CHECK(inodes > 2);
            weir_segment_close(segment);
            if (lifetime == WEIR_PERSISTENT)
                CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), 0);
        }
        CHECK(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
    }
}

static void test_few_inodes(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (unsigned inodes = 1; inodes < 10; inodes++)
        in_child(few_inodes, &inodes);
}

static void no_blocks(void *argument)
{
    (void)argument;
    char byte[4096] = "";
    mount_small("size=32k");
    int fd = open(fixture_path("small/filler"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, byte, sizeof byte) > 0)
        ;
    expect_create(-ENOSPC);
    CHECK(ftruncate(fd, 0) == 0);
    close(fd);
    struct weir_segment *segment;
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    weir_segment_close(segment);
    CHECK(names_now() == 0);
}

static void test_no_blocks(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(no_blocks, NULL);
}

/* --- other users ------------------------------------------------------------------------ */

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

/* The default directory: 0700, ours; somebody else's in its place is refused, a link too. */
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
        { 0, 0, 0, 0 },
        { OTHER_UID, 0700, 0, 0 },
        { OTHER_UID, 0777, -EPERM, 0 },
        { THIRD_UID, 0777, -EPERM, 0 },
        { 0, 0755, -EPERM, 0 },
        { 0, S_IFLNK, -ENOTDIR, 0 },
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

/* --- a directory that is opened to a group later ------------------------------------------- */

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

/* What was made in it before keeps its mode, and weir may not know what its owner wants: it is told. */
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

/* --- in a user namespace ------------------------------------------------------------------- */

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

/* --- root in a user's directory ----------------------------------------------------------- */

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
        cmocka_unit_test_teardown(test_bad_paths, fixture_check),
        cmocka_unit_test_teardown(test_no_directory, fixture_check),
        cmocka_unit_test_teardown(test_no_proc, fixture_check),
        cmocka_unit_test_teardown(test_wrong_inside, fixture_check),
        cmocka_unit_test_teardown(test_removed_under_us, fixture_check),
        cmocka_unit_test_teardown(test_read_only, fixture_check),
        cmocka_unit_test_teardown(test_few_inodes, fixture_check),
        cmocka_unit_test_teardown(test_no_blocks, fixture_check),
        cmocka_unit_test_teardown(test_owners, fixture_check),
        cmocka_unit_test_teardown(test_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_umask, fixture_check),
        cmocka_unit_test_teardown(test_no_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_opened_later, fixture_check),
        cmocka_unit_test_teardown(test_user_namespace, fixture_check),
        cmocka_unit_test_teardown(test_root_in_a_users_directory, fixture_check),
        cmocka_unit_test_teardown(test_root_was_here, fixture_check),
        cmocka_unit_test_teardown(test_last_one_takes_it_away, fixture_check),
        cmocka_unit_test_teardown(test_empty_default_directory, fixture_check),
        cmocka_unit_test_teardown(test_unfinished_alone, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir", tests, fixture_start, fixture_end);
}
