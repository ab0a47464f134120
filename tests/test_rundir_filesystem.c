/* SPDX-License-Identifier: MIT */
/*
 * Goal: a run directory in a file system that is read-only or full is told by its own code and a
 *       sentence with its path; a call is done there or refused, and wholly.
 * Method: children with small tmpfs mounts in mount namespaces of their own, of every number of
 *       inodes, without blocks, made read-only.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_read_only, fixture_check),
        cmocka_unit_test_teardown(test_few_inodes, fixture_check),
        cmocka_unit_test_teardown(test_no_blocks, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_filesystem", tests, fixture_start, fixture_end);
}
