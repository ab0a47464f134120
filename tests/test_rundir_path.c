/* SPDX-License-Identifier: MIT */
/*
 * Goal: where WEIR_DIR's path leads to no directory of weir's, each call says so by its own code
 *       and a sentence with that path, and leaves nothing.
 * Method: children with a WEIR_DIR of each sort: no path, too long, missing, a file, a link; and
 *       with no /proc to tell which directory it is.
 */
#include "fixture.h"
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void test_no_directory(void **state)
{
    (void)state;
    in_child(no_directory, NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_bad_paths, fixture_check),
        cmocka_unit_test_teardown(test_no_directory, fixture_check),
        cmocka_unit_test_teardown(test_no_proc, fixture_check),
        cmocka_unit_test_teardown(test_wrong_inside, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_path", tests, fixture_start, fixture_end);
}
