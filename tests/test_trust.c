/* SPDX-License-Identifier: MIT */
/*
 * Goal: in a user namespace, where one number stands for all uids that it has not, nobody's object
 *       is taken for the caller's own; what is provably his own, is; and who truly has that
 *       number goes on working.
 * Method: real other users' segments, sets, files and memfds, opened by children that have gone
 *       into user namespaces of their own: without a uid, and as that number.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x74727573u
#define NOBODY 65534
#define EVIL "/weir-test-evil"
#define OWN "/weir-test-own"

/* --- in children ------------------------------------------------------------------------ */

/* A user namespace of its own; is_mapped: in which this user is called 65534, else nobody is. */
static void leave_user_namespace(uid_t uid, bool is_mapped, int more)
{
    uid_t there = is_mapped ? NOBODY : UNMAPPED;
    become(uid);
    int result = enter_user_namespace(there, there, more);
    if (result == -EAGAIN)
        _exit(77); /* not to be had here */
    CHECK_RESULT(result, 0);
    CHECK(geteuid() == NOBODY);
}

static void make_all(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_semset_options of_set = WEIR_SEMSET_OPTIONS;
    struct weir_segment *segment;
    struct weir_semset *set;
    become(*(uid_t *)argument);
    umask(0);
    options.mode = of_set.mode = 0666;
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(TEST_KEY), 100, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix(EVIL), 100, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_semset_create(&set, weir_by_key(TEST_KEY), 1, NULL, &of_set), 0);
    weir_semset_close(set);
}

/* By a name one finds what was made under the same numbers: from a namespace without uids, too. */
static void make_named(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    leave_user_namespace(*(uid_t *)argument, false, 0);
    umask(0);
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("evil"), 100, &options), 0);
    weir_segment_close(segment);
}

static void remove_named(void *argument)
{
    leave_user_namespace(*(uid_t *)argument, false, 0);
    CHECK_RESULT(weir_segment_remove(weir_by_name("evil")), 0);
}

static void remove_all(void)
{
    assert_result(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
    assert_result(weir_segment_remove(weir_by_posix(EVIL)), 0);
    assert_result(weir_semset_remove(weir_by_key(TEST_KEY)), 0);
}

/* What is to come of it; of a refusal the sentence says why. */
static void expect_open(struct weir_ref ref, uint32_t trust, int expected)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.trust = trust;
    options.trust_uid = NOBODY;
    CHECK_RESULT(weir_segment_open(&segment, ref, 0, &options), expected);
    CHECK((segment != NULL) == (expected == 0));
    CHECK(expected == 0 || strstr(weir_last_error(), "user namespace") != NULL);
    weir_segment_close(segment);
}

static void expect_strangers(int memfd)
{
    const struct weir_ref refs[] = { weir_by_key(TEST_KEY), weir_by_posix(EVIL),
                                     weir_by_fd(memfd) };
    struct weir_semset_options options = WEIR_SEMSET_OPTIONS;
    struct weir_semset *set = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        expect_open(refs[i], WEIR_TRUST_SELF, -EPERM);
        expect_open(refs[i], WEIR_TRUST_UID, -EPERM);
        expect_open(refs[i], WEIR_TRUST_ANYONE, 0);
    }
    expect_open(weir_by_name("evil"), WEIR_TRUST_SELF, -EPERM);
    /* Neither is who has put the name there known to be who has made it. */
    expect_open(weir_by_name("evil"), WEIR_TRUST_DIRECTORY, -EPERM);
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, NULL), -EPERM);
    CHECK(strstr(weir_last_error(), "user namespace") != NULL);
    options.trust = WEIR_TRUST_ANYONE;
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, &options), 0);
    weir_semset_close(set);
}

/* Files of one's own, of which the kernel says so. */
static void expect_own_files(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment, *again;
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 100, &options), 0);
    CHECK_RESULT(weir_segment_open(&again, weir_by_fd(weir_segment_fd(segment)), 0, NULL), 0);
    /* The proof leaves no trace. */
    CHECK((fcntl(weir_segment_fd(segment), F_GETFL) & O_NOATIME) == 0);
    weir_segment_close(again);
    weir_segment_close(segment);
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix(OWN), 100, &options), 0);
    CHECK_RESULT(weir_segment_open(&again, weir_by_posix(OWN), 0, NULL), 0);
    weir_segment_close(again);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_remove(weir_by_posix(OWN)), 0);
}

static void expect_own(int expected)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(TEST_KEY + 1), 100, &options), 0);
    weir_segment_close(segment);
    expect_open(weir_by_key(TEST_KEY + 1), WEIR_TRUST_SELF, expected);
    CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY + 1)), 0);
}

/* --- the tests -------------------------------------------------------------------------- */

struct stay {
    uid_t uid;
    bool is_mapped;
    int memfd; /* a stranger's */
};

static void meet_strangers(void *argument)
{
    const struct stay *stay = argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    leave_user_namespace(stay->uid, stay->is_mapped, 0);
    expect_strangers(stay->memfd);
    expect_own_files();
    /* This cannot be told from others', either. */
    expect_own(-EPERM);
    if (!stay->is_mapped) /* there the kernel lets no mode be set, as a beacon's must be */
        return;
    options.trust = WEIR_TRUST_SELF;
    CHECK_RESULT(weir_publisher_open(&publisher, "alone", &options), -EPERM);
    CHECK(strstr(weir_last_error(), "user namespace") != NULL);
}

/* A memfd that OTHER_UID could have sent. */
static int strangers_memfd(void)
{
    int fd = memfd_create("evil", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_int_equal(fchown(fd, OTHER_UID, OTHER_UID), 0);
    return fd;
}

static void test_strangers(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    uid_t other = OTHER_UID;
    assert_int_equal(mkdir(fixture_path("run"), 0777), 0);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
    in_child(make_all, &other);
    int memfd = strangers_memfd(), status = status_in_child(make_named, &other);
    bool is_named = status == 0;
    for (int is_mapped = 0; is_named && is_mapped < 2; is_mapped++) {
        struct stay stay = { THIRD_UID, is_mapped, memfd };
        status = status_in_child(meet_strangers, &stay);
        if (status != 0)
            break;
    }
    close(memfd);
    remove_all();
    if (is_named)
        in_child(remove_named, &other);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void stay_among_themselves(void *argument)
{
    leave_user_namespace(THIRD_UID, *(bool *)argument, CLONE_NEWIPC);
    expect_own(0);
}

/* An IPC namespace of the same user namespace: nobody comes in whom it has no uid for. */
static void test_own_ipc_namespace(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    for (int i = 0; i < 2; i++) {
        bool is_mapped = i;
        int status = status_in_child(stay_among_themselves, &is_mapped);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(status, 0);
    }
}

static void work_as_nobody(void *argument)
{
    (void)argument;
    become(NOBODY);
    expect_own_files();
    expect_own(0);
}

/* In the first user namespace, which has all uids, 65534 is one like another. */
static void test_true_nobody(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(work_as_nobody, NULL);
}

/* As in an empty directory of a daemon's. */
static void work_as_nobody_without_proc(void *argument)
{
    (void)argument;
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    bool is_told = self >= 0 && ioctl(self, _IO(0xff, 9), 0) >= 0; /* Linux 6.11 */
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        _exit(77);
    become(NOBODY);
    expect_own(is_told ? 0 : -EPERM);
}

static void test_true_nobody_without_proc(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    int status = status_in_child(work_as_nobody_without_proc, NULL);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_strangers, fixture_check),
        cmocka_unit_test_teardown(test_own_ipc_namespace, fixture_check),
        cmocka_unit_test_teardown(test_true_nobody, fixture_check),
        cmocka_unit_test_teardown(test_true_nobody_without_proc, fixture_check),
    };
    return cmocka_run_group_tests_name("trust", tests, fixture_start, fixture_end);
}
