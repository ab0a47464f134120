/* SPDX-License-Identifier: MIT */
/*
 * Goal: a run directory that several use, members of a group or two IPC namespaces, or two
 *       user namespaces, gives each what is its own and nobody what is another's.
 * Method: other uids with a common group in a setgid directory; children in IPC and user
 *       namespaces of their own beside this one, all with one WEIR_DIR.
 */
#include "fixture.h"
#include "records.h"
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP_GID 55555

/* --- a group ---------------------------------------------------------------------------- */

static void become_member(uid_t uid)
{
    gid_t group = GROUP_GID;
    CHECK(setgroups(1, &group) == 0);
    CHECK(setresgid(uid, uid, uid) == 0);
    CHECK(setresuid(uid, uid, uid) == 0);
    umask(077); /* "its mode and group are taken over", whatever the umask is */
    use_directory(fixture_path("group"));
}

static void create_as_first_and_die(void *argument)
{
    struct weir_segment *segment;
    become_member(OTHER_UID);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, *(uint32_t *)argument), 0);
    raise(SIGKILL);
}

static void create_as_second(void *argument)
{
    struct weir_segment *segment;
    become_member(THIRD_UID);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, *(uint32_t *)argument), 0);
    weir_segment_close(segment);
}

static void collect_as_first(void *argument)
{
    (void)argument;
    become_member(OTHER_UID);
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

/* A member's dead name is free for another member, also when a set of the dead one's is left. */
static void test_group_takes_over_a_dead_name(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (uint32_t semaphores = 0; semaphores < 2; semaphores++) {
        assert_int_equal(mkdir(fixture_path("group"), 0770), 0);
        assert_int_equal(chown(fixture_path("group"), 0, GROUP_GID), 0);
        assert_int_equal(chmod(fixture_path("group"), 02770), 0);
        int status = status_in_child(create_as_first_and_die, &semaphores);
        assert_true(WIFSIGNALED(status));
        in_child(create_as_second, &semaphores);
        in_child(collect_as_first, NULL);
        assert_int_equal(segments_now(), 0);
        assert_int_equal(sets_now(), 0);
        char command[4600];
        snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("group"));
        assert_int_equal(system(command), 0);
    }
}

static void hold_as_first(struct companion *companion, void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    become_member(OTHER_UID);
    options.mode = 0660;
    options.flags = WEIR_SEGMENT_SET_GID;
    options.gid = GROUP_GID;
    options.semaphores = 1;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("dir/test"), 100, &options), 0);
    strcpy(weir_segment_data(segment), "for the group");
    companion_arrive(companion);
    weir_segment_close(segment);
    CHECK(sets_now() == 0);
}

static void open_as_second(void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    become_member(THIRD_UID);
    options.trust = WEIR_TRUST_DIRECTORY;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, &options), 0);
    CHECK(strcmp(weir_segment_data(segment), "for the group") == 0);
    CHECK_RESULT(weir_semset_post(weir_segment_semset(segment), 0, 0), 0);
    weir_segment_close(segment);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), -EEXIST);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), -EPERM);
}

static void test_group_shares(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct companion companion;
    assert_int_equal(mkdir(fixture_path("group"), 0770), 0);
    assert_int_equal(chown(fixture_path("group"), 0, GROUP_GID), 0);
    assert_int_equal(chmod(fixture_path("group"), 02770), 0);
    companion_start(&companion, hold_as_first, NULL);
    companion_meet(&companion);
    in_child(open_as_second, NULL);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    assert_int_equal(segments_now(), 0);
    char command[4600];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_path("group"));
    assert_int_equal(system(command), 0);
}

/* --- two IPC namespaces, one directory -------------------------------------------------- */

static void hold_elsewhere(struct companion *companion, void *argument)
{
    (void)argument;
    struct weir_segment *segment;
    struct weir_segment *second;
    new_ipc_namespace();
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    strcpy(weir_segment_data(segment), "elsewhere");
    companion_arrive(companion);
    CHECK_RESULT(weir_segment_open(&second, weir_by_name("dir/test"), 0, NULL), 0);
    CHECK(strcmp(weir_segment_data(second), "elsewhere") == 0);
    CHECK_RESULT(weir_semset_post(weir_segment_semset(second), 0, 0), 0);
    weir_segment_close(second);
    weir_segment_close(segment);
    CHECK(segments_now() == 0 && sets_now() == 0 && names_now() == 0);
}

/* Ids of the other namespace mean nothing here: its names are neither found nor cleaned up. */
static void test_two_namespaces(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct companion companion;
    struct weir_segment *segment = NULL;
    companion_start(&companion, hold_elsewhere, NULL);
    companion_meet(&companion);
    assert_result(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), -ENOENT);
    assert_result(weir_segment_remove(weir_by_name("dir/test")), -ENOENT);
    assert_result(weir_collect(0, NULL, NULL), 0);
    assert_result(create_named(&segment, WEIR_EPHEMERAL, 1), 0);
    assert_string_equal(weir_segment_data(segment), "");
    weir_segment_close(segment);
    assert_result(weir_collect(0, NULL, NULL), 0);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
}

/* A thread that changed its namespace with a segment in hand: its close takes nothing away. */
static void close_elsewhere(void *argument)
{
    (void)argument;
    struct weir_segment *mine;
    struct weir_segment *second;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(create_named(&mine, WEIR_PERSISTENT, 1), 0);
    CHECK_RESULT(weir_segment_open(&second, weir_by_name("dir/test"), 0, NULL), 0);
    strcpy(weir_segment_data(mine), "mapped still");
    new_ipc_namespace();
    CHECK(strcmp(weir_segment_data(second), "mapped still") == 0);
    CHECK(weir_segment_stat(mine, &stat) < 0); /* its id is not of this namespace */
    weir_segment_close(mine);
    weir_segment_close(second);
    CHECK(weir_collect(0, NULL, NULL) == 0);
}

static void test_namespace_changed(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(close_elsewhere, NULL);
    struct weir_segment *segment;
    assert_result(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), 0);
    assert_string_equal(weir_segment_data(segment), "mapped still");
    assert_result(weir_semset_post(weir_segment_semset(segment), 0, 0), 0);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_name("dir/test")), 0);
}

/* --- two user namespaces, one directory -------------------------------------------------- */

#define DRAFT_KEY 0x75736572u
#define DRAFT "#1122334455667788"
#define NO_USER_NAMESPACE 77

static void act_elsewhere(void *argument)
{
    struct weir_segment *segment = NULL;
    (void)argument;
    /* The same user and group, who have another number there. */
    if (enter_user_namespace(4711, 4711, 0) != 0)
        _exit(NO_USER_NAMESPACE); /* this machine allows none */
    CHECK(geteuid() == 4711);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), -EPERM);
    CHECK(strstr(weir_last_error(), "another user namespace"));
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), -EPERM);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), -EPERM);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("there"), 1, NULL), 0);
    weir_segment_close(segment);
}

/* What was made in the other is neither used nor taken away, nor called corrupt. */
static void test_two_user_namespaces(void **state)
{
    struct weir_segment *segment;
    struct record record = { .nonce = 0x1122334455667788,
                             .creator = geteuid(),
                             .pid = 1,
                             .shm_key = DRAFT_KEY,
                             .shm_id = -1,
                             .shm_segsz = 5000,
                             .sem_id = -1,
                             .kind = "segment" };
    (void)state;
    assert_result(create_named(&segment, WEIR_PERSISTENT, 1), 0);
    weir_segment_close(segment);
    assert_true(shmget((key_t)DRAFT_KEY, 5000, IPC_CREAT | IPC_EXCL | 0600) >= 0);
    assert_true(record_forge(DRAFT, &record));
    int status = status_in_child(act_elsewhere, NULL);
    assert_true(shmget((key_t)DRAFT_KEY, 0, 0) >= 0);
    assert_int_equal(names_starting('#'), 1);
    assert_result(weir_collect(0, NULL, NULL), 1); /* its maker's */
    assert_int_equal(shmget((key_t)DRAFT_KEY, 0, 0), -1);
    assert_result(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), 0);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_name("dir/test")), 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_USER_NAMESPACE)
        skip();
    assert_int_equal(status, 0);
}

/* Its user is called 0 there, as with unshare -Ur. */
static void hold_inside(struct companion *companion, void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    become(OTHER_UID);
    if (enter_user_namespace(0, 0, 0) != 0)
        _exit(NO_USER_NAMESPACE);
    umask(0);
    options.mode = 0666; /* that others may read the record */
    options.semaphores = *(const uint32_t *)argument;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("dir/test"), 5000, &options), 0);
    companion_arrive(companion);
    raise(SIGKILL);
}

static void expect_living(void *argument)
{
    struct weir_segment *segment = NULL;
    become(*(uid_t *)argument);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), -EPERM);
    CHECK(strstr(weir_last_error(), "another user namespace"));
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), -EPERM);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), -EPERM);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
}

static void collect_left(void *unused)
{
    (void)unused;
    become(OTHER_UID);
    CHECK_RESULT(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 1);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 1);
}

static void remove_left(void *unused)
{
    (void)unused;
    become(OTHER_UID);
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), 0);
}

static void remove_left_as_root(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_segment_remove(weir_by_name("dir/test")), 0);
}

static void create_over_left(void *unused)
{
    struct weir_segment *segment;
    (void)unused;
    become(OTHER_UID);
    CHECK_RESULT(create_named(&segment, WEIR_EPHEMERAL, 0), 0);
    weir_segment_close(segment);
}

static void open_left(void *unused)
{
    struct weir_segment *segment = NULL;
    (void)unused;
    become(OTHER_UID);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("dir/test"), 0, NULL), -ENOENT);
}

/* false: no user namespaces here. */
static bool play_left_inside(uint32_t semaphores, void (*clear)(void *))
{
    uid_t owner = OTHER_UID, other = THIRD_UID;
    struct companion inside;
    if (mkdir(fixture_path("inside"), 0700) == 0)
        assert_int_equal(chmod(fixture_path("inside"), 0777), 0);
    use_directory(fixture_path("inside"));
    companion_start(&inside, hold_inside, &semaphores);
    char byte;
    bool is_there = read(inside.from_child, &byte, 1) == 1;
    if (is_there) {
        in_child(expect_living, &owner);
        in_child(expect_living, &other);
        assert_int_equal(weir_collect(0, NULL, NULL), 0);
        companion_release(&inside);
    }
    int status = companion_end(&inside);
    assert_true(is_there || (WIFEXITED(status) && WEXITSTATUS(status) == NO_USER_NAMESPACE));
    if (is_there) {
        in_child(expect_living, &other); /* it is not this one's */
        in_child(clear, NULL);
        assert_int_equal(names_now(), 0);
        assert_int_equal(sets_now(), 0);
        assert_int_equal(segments_now(), 0);
    }
    use_directory(fixture_path("run"));
    return is_there;
}

/*
 * What a process that was killed in another user namespace has left: it is gone, whoever was called how, and its
 * owner, who has the same file there and here, or root takes it away; nobody else.
 */
static void test_left_in_a_user_namespace(void **state)
{
    static void (*const clears[])(void *) = { collect_left, remove_left, remove_left_as_root,
                                              create_over_left, open_left };
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(clears); i++)
        for (uint32_t semaphores = 0; semaphores < 2; semaphores++)
            if (!play_left_inside(semaphores, clears[i]))
                skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_group_takes_over_a_dead_name, fixture_check),
        cmocka_unit_test_teardown(test_group_shares, fixture_check),
        cmocka_unit_test_teardown(test_two_namespaces, fixture_check),
        cmocka_unit_test_teardown(test_namespace_changed, fixture_check),
        cmocka_unit_test_teardown(test_two_user_namespaces, fixture_check),
        cmocka_unit_test_teardown(test_left_in_a_user_namespace, fixture_check),
    };
    return cmocka_run_group_tests_name("rundir_shared", tests, fixture_start, fixture_end);
}
