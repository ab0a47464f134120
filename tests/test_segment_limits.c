/* SPDX-License-Identifier: MIT */
/*
 * Goal: every limit of the kernel's or the process's gives its own code and a sentence that says
 *       which and what to do, and nothing is left behind by the refusal.
 * Method: limits lowered in IPC namespaces or children of the test's own, with their present value
 *       and their name looked for in the sentence; another namespace; a kernel without shmget.
 */
#include "fixture.h"
#include "silence.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEST_KEY 0x77656972u
#define MIB (UINT64_C(1) << 20)

static void expect_refusal(struct weir_ref ref, uint64_t size_bytes, uint32_t semaphores, int code,
                           const char *value, const char *name)
{
    uint64_t segments = segments_now();
    uint64_t sets = sets_now();
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment *segment = NULL;
        options.lifetime = (uint32_t)lifetime;
        options.semaphores = semaphores;
        if (lifetime == WEIR_EPHEMERAL && ref.by == WEIR_BY_KEY)
            continue;
        if (lifetime == WEIR_PERSISTENT && ref.by == WEIR_BY_NONE && semaphores)
            continue;
        CHECK_RESULT(weir_segment_create(&segment, ref, size_bytes, &options), code);
        CHECK(has_word(weir_last_error(), value));
        CHECK(strstr(weir_last_error(), name) != NULL);
        CHECK(segment == NULL && segments_now() == segments && sets_now() == sets);
        CHECK(names_now() == 0);
    }
}

static void expect_refusals(uint64_t size_bytes, uint32_t semaphores, int code, const char *value,
                            const char *name)
{
    expect_refusal(weir_by_name("limit"), size_bytes, semaphores, code, value, name);
    expect_refusal(weir_private(), size_bytes, semaphores, code, value, name);
    if (!semaphores)
        expect_refusal(weir_by_key(TEST_KEY), size_bytes, 0, code, value, name);
}

static void at_shmmni(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/shmmni", "3");
    for (int i = 0; i < 3; i++)
        CHECK(shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600) >= 0);
    expect_refusals(100, 0, -ENOSPC, "3", "kernel.shmmni");
    set_sysctl("/proc/sys/kernel/shmmni", "4");
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("limit"), 100, NULL), 0);
    weir_segment_close(segment);
}

static void at_shmmax(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/shmmax", "65536");
    expect_refusals(MIB, 0, -E2BIG, "65536", "kernel.shmmax");
    expect_refusal(weir_private(), 65537, 0, -E2BIG, "65536", "kernel.shmmax");
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_private(), 65536, NULL), 0);
    weir_segment_close(segment);
    /* By name the header counts too: the whole must not be above the limit. */
    expect_refusal(weir_by_name("limit"), 65536, 0, -E2BIG, "65536", "kernel.shmmax");
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("limit"), 65536 - 4096, NULL), 0);
    weir_segment_close(segment);
}

static void at_shmall(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/shmall", "17");
    CHECK(shmget(IPC_PRIVATE, 5 * 4096, IPC_CREAT | 0600) >= 0);
    expect_refusals(16 * 4096, 0, -ENOSPC, "17", "kernel.shmall");
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("limit"), 11 * 4096, NULL), 0);
    weir_segment_close(segment);
}

static void at_semmni(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "32000 1024000 500 1");
    struct weir_semset *set;
    CHECK_RESULT(weir_semset_create(&set, weir_private(), 1, NULL, NULL), 0);
    expect_refusals(100, 2, -ENOSPC, "1", "kernel.sem");
}

static void at_semmns(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "32000 10 500 100");
    expect_refusals(100, 11, -ENOSPC, "10", "kernel.sem");
}

static void at_semmsl(void *argument)
{
    (void)argument;
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/sem", "7 1000 500 100");
    expect_refusals(100, 8, -E2BIG, "7", "kernel.sem");
}

static void test_limits(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    void (*limits[])(void *) = { at_shmmni, at_shmmax, at_shmall, at_semmni, at_semmns, at_semmsl };
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        in_child(limits[i], NULL);
}

/* In another IPC namespace a stranger's segment has the same id: it is not taken for the handle's. */
static void in_another_namespace(void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *named, *keyed;
    struct weir_segment_stat stat = { .size = sizeof stat };
    void *data = NULL;
    options.lifetime = WEIR_PERSISTENT;
    new_ipc_namespace();
    CHECK_RESULT(weir_segment_create(&named, weir_by_name("here"), MIB, NULL), 0);
    CHECK_RESULT(weir_segment_create(&keyed, weir_by_key(TEST_KEY), MIB, &options), 0);
    CHECK_RESULT(weir_segment_stat(keyed, &stat), 0);
    new_ipc_namespace();
    for (int id = -1; id < stat.id;)
        CHECK((id = shmget(IPC_PRIVATE, 1, IPC_CREAT | 0600)) >= 0);
    CHECK_RESULT(weir_segment_attach(named, NULL, 0, &data), -EIDRM);
    CHECK_RESULT(weir_segment_attach(keyed, NULL, 0, &data), -EIDRM);
    CHECK_RESULT(weir_segment_stat(named, &stat), -EIDRM);
    CHECK_RESULT(weir_segment_stat(keyed, &stat), -EIDRM);
    CHECK(data == NULL && strstr(weir_last_error(), "namespace"));
    weir_segment_close(named);
    weir_segment_close(keyed);
}

static void test_in_another_namespace(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(in_another_namespace, NULL);
    assert_true(weir_collect(0, NULL, NULL) >= 0);
}

/* No System V shared memory: told as such, and not as keys that others have. */
static void without_shmget(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    unsigned error = *(unsigned *)argument;
    uint64_t identity;
    if (!forbid_call(SYS_shmget, error))
        return;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("none"), 10, NULL), -(int)error);
    CHECK(strstr(weir_last_error(), "shmget"));
    CHECK_RESULT(weir_segment_create(&segment, weir_private(), 10, NULL), -(int)error);
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("none"), 10, &options), -(int)error);
    CHECK_RESULT(weir_identity(&identity), -(int)error);
    CHECK(strstr(weir_last_error(), "shmget") && segment == NULL);
}

static void test_without_shmget(void **state)
{
    (void)state;
    unsigned errors[] = { ENOSYS, EPERM };
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        in_child(without_shmget, &errors[i]);
}

/* What writes a record says that it may not; a write would be a SIGXFSZ. */
static void at_fsize(void *argument)
{
    (void)argument;
    struct weir_segment *segment = NULL;
    struct weir_semset *set = NULL;
    uint64_t identity;
    struct rlimit limit = { 0, RLIM_INFINITY };
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("limit"), 10, NULL), -E2BIG);
    CHECK_RESULT(weir_segment_create(&segment, weir_private(), 10, NULL), -E2BIG);
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("limit"), 1, NULL, NULL), -E2BIG);
    CHECK_RESULT(weir_identity(&identity), -E2BIG);
    CHECK(strstr(weir_last_error(), "RLIMIT_FSIZE is 0") && !segment && !set);
    limit.rlim_cur = 4096;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_identity(&identity), 0);
    limit.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_identity(&identity), 0); /* there already */
}

static void test_fsize(void **state)
{
    (void)state;
    in_child(at_fsize, NULL);
}

/* Who has locked all that is to come, and may lock no more: each kind of memory says so, as of want. */
static void at_memlock(void *argument)
{
    const struct rlimit limit = { 64 << 10, 64 << 10 };
    struct weir_segment_options stays = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segments[2] = { NULL }, *segment = NULL;
    void *data;
    (void)argument;
    stays.lifetime = WEIR_PERSISTENT;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setuid(OTHER_UID) == 0);
    CHECK_RESULT(weir_segment_create(&segments[0], weir_by_key(TEST_KEY), MIB, &stays), 0);
    CHECK_RESULT(weir_segment_create(&segments[1], weir_memfd(), MIB, NULL), 0);
    CHECK(syscall(SYS_mlockall, MCL_FUTURE) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(weir_segment_attach(segments[i], NULL, 0, &data), -ENOMEM);
        CHECK(strstr(weir_last_error(), "ulimit -l"));
    }
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), MIB, NULL), -ENOMEM);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, NULL), -ENOMEM);
    CHECK(syscall(SYS_munlockall) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(weir_segment_attach(segments[i], NULL, 0, &data), 0);
        weir_segment_close(segments[i]);
    }
    CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
}

static void test_memlock(void **state)
{
    (void)state;
    if (SANITIZED) /* its own memory is locked as well */
        skip();
    in_child(at_memlock, NULL);
}

/* Descriptors run out at every place of every call: refused or done, and nothing leaks. */
static void with_descriptors(void *argument)
{
    struct rlimit limit = { *(rlim_t *)argument, *(rlim_t *)argument };
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_segment_stat stat = { .size = sizeof stat };
    options.lifetime = WEIR_PERSISTENT;
    options.semaphores = 1;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int result = weir_segment_create(&segment, weir_by_name("few"), 100, &options);
    if (result == 0) {
        weir_segment_close(segment);
        result = weir_segment_lookup(weir_by_name("few"), &stat);
        CHECK(result == 0 || result == -EMFILE);
        result = weir_segment_open(&segment, weir_by_name("few"), 0, NULL);
        CHECK(result == 0 || result == -EMFILE);
        if (result == 0)
            weir_segment_close(segment);
        result = weir_segment_remove(weir_by_name("few"));
        CHECK(result == 0 || result == -EMFILE);
    } else {
        CHECK_RESULT(result, -EMFILE);
        CHECK(weir_last_error()[0]);
    }
}

static void test_no_descriptors(void **state)
{
    (void)state;
    unsigned refused = 0;
    unsigned done = 0;
    for (rlim_t limit = 0; limit < 24; limit++) {
        in_child(with_descriptors, &limit);
        int result = weir_segment_remove(weir_by_name("few"));
        assert_true(result == 0 || result == -ENOENT);
        assert_true(weir_collect(0, NULL, NULL) >= 0);
        refused += result == -ENOENT;
        done += segments_now() == 0;
        assert_int_equal(segments_now(), 0);
        assert_int_equal(sets_now(), 0);
        assert_int_equal(names_now(), 0);
    }
    assert_true(refused > 0 && done > 0);
}

/* A call that finds no descriptor free says so, and spoils none that comes later. */
static void first_without_descriptors(void *argument)
{
    (void)argument;
    struct rlimit before;
    struct weir_segment *segment;
    char path[4096];
    uint64_t identity;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit none = { 0, before.rlim_max };
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("few"), 0, NULL), -EMFILE);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("few"), 100, NULL), -EMFILE);
    CHECK_RESULT(weir_segment_remove(weir_by_name("few")), -EMFILE);
    CHECK_RESULT(weir_run_directory(path, sizeof path), -EMFILE);
    CHECK_RESULT(weir_identity(&identity), -EMFILE);
    CHECK(strstr(weir_last_error(), "ulimit -n"));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("few"), 100, NULL), 0);
    weir_segment_close(segment);
}

/* Before all others: what this process has read already would hide it. */
static void test_first_without_descriptors(void **state)
{
    (void)state;
    in_child(first_without_descriptors, NULL);
}

/* No descriptor leaks either: after fifty rounds of everything none is open. */
static int lowest_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void test_descriptors_are_closed(void **state)
{
    (void)state;
    int before = lowest_descriptor();
    for (int i = 0; i < 50; i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment = NULL;
        struct weir_segment *second = NULL;
        options.semaphores = 1;
        options.lifetime = (uint32_t)i % 2;
        assert_result(weir_segment_create(&segment, weir_by_name("a"), 10, &options), 0);
        assert_result(weir_segment_create(&second, weir_by_name("a"), 10, NULL), -EEXIST);
        assert_result(weir_segment_open(&second, weir_by_name("a"), 11, NULL), -EINVAL);
        options.kind = "other";
        assert_result(weir_segment_open(&second, weir_by_name("a"), 10, &options), -EPROTO);
        assert_result(weir_segment_open(&second, weir_by_name("b"), 10, NULL), -ENOENT);
        assert_result(weir_segment_lookup(weir_by_name("a"), &stat), 0);
        assert_true(weir_collect(0, NULL, NULL) >= 0);
        assert_result(weir_segment_remove(weir_by_name("a")), 0);
        weir_segment_close(segment);
        assert_int_equal(lowest_descriptor(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_first_without_descriptors, fixture_check),
        cmocka_unit_test_teardown(test_limits, fixture_check),
        cmocka_unit_test_teardown(test_in_another_namespace, fixture_check),
        cmocka_unit_test_teardown(test_without_shmget, fixture_check),
        cmocka_unit_test_teardown(test_fsize, fixture_check),
        cmocka_unit_test_teardown(test_memlock, fixture_check),
        cmocka_unit_test_teardown(test_no_descriptors, fixture_check),
        cmocka_unit_test_teardown(test_descriptors_are_closed, fixture_check),
    };
    return cmocka_run_group_tests_name("segment_limits", tests, fixture_start, fixture_end);
}
