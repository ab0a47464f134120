/* SPDX-License-Identifier: MIT */
/*
 * Goal: every bad argument gives its own code and a sentence that says which, and nothing is left
 *       behind by the refusal.
 * Method: tables of arguments. What the surroundings refuse is in test_segment_limits.c.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define TEST_KEY 0x77656972u
#define MIB (UINT64_C(1) << 20)

static void expect_nothing_made(struct weir_segment *segment)
{
    assert_null(segment);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void test_bad_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t size_bytes;
        int result, or_result; /* beyond SHMMAX it is E2BIG; below, memory decides */
    } rows[] = {
        { 0, -EINVAL, -EINVAL },
        { UINT64_C(1) << 62, -E2BIG, -ENOMEM },
        { INT64_MAX - 1, -E2BIG, -E2BIG },
        { INT64_MAX, -E2BIG, -E2BIG },
        { UINT64_C(1) << 63, -E2BIG, -E2BIG },
        { UINT64_MAX - 4096, -E2BIG, -E2BIG },
        { UINT64_MAX - 4095, -E2BIG, -E2BIG },
        { UINT64_MAX - 1, -E2BIG, -E2BIG },
        { UINT64_MAX, -E2BIG, -E2BIG },
    };
    struct weir_ref refs[] = { weir_by_name("size"), weir_by_key(TEST_KEY), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(refs); j++) {
            struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
            struct weir_segment *segment = NULL;
            options.lifetime = WEIR_PERSISTENT;
            int result = weir_segment_create(&segment, refs[j], rows[i].size_bytes, &options);
            if (result != rows[i].or_result)
                assert_result(result, rows[i].result);
            result = weir_segment_create_or_open(&segment, refs[j], rows[i].size_bytes, &options);
            if (result != rows[i].or_result)
                assert_result(result, rows[i].result);
            assert_true(strlen(weir_last_error()) > 10);
            expect_nothing_made(segment);
        }
    }
}

struct option_row {
    const char *what;
    struct weir_segment_options options;
    int create, open; /* open by name, of an existing one; 1: not tried */
};

/* The fields after size: lifetime, mode, flags, trust, trust_uid, gid, semaphores, values, kind. */
#define OPTIONS(...)                                                                               \
    {                                                                                              \
        .size = sizeof(struct weir_segment_options), __VA_ARGS__                                   \
    }

static const uint16_t too_large[2] = { 1, 32768 };

static const struct option_row option_rows[] = {
    { "size 0", { .size = 0 }, -EINVAL, -EINVAL },
    { "size 4", { .size = 4 }, -EINVAL, -EINVAL },
    { "lifetime 2", OPTIONS(.lifetime = 2), -EINVAL, 1 },
    { "lifetime -1", OPTIONS(.lifetime = UINT32_MAX), -EINVAL, 1 },
    { "mode 0700", OPTIONS(.mode = 0700), -EINVAL, 1 },
    { "mode 0601", OPTIONS(.mode = 0601), -EINVAL, 1 },
    { "mode 01600", OPTIONS(.mode = 01600), -EINVAL, 1 },
    { "mode SHM_DEST", OPTIONS(.mode = 0600 | SHM_DEST), -EINVAL, 1 },
    { "mode IPC_EXCL", OPTIONS(.mode = 0600 | IPC_EXCL), -EINVAL, 1 },
    { "mode SHM_HUGETLB", OPTIONS(.mode = 0600 | SHM_HUGETLB), -EINVAL, 1 },
    { "mode all", OPTIONS(.mode = UINT32_MAX), -EINVAL, 1 },
    { "flags 1 << 9", OPTIONS(.flags = 1 << 9), -EINVAL, -EINVAL },
    { "flags all", OPTIONS(.flags = UINT32_MAX), -EINVAL, -EINVAL },
    { "read-only", OPTIONS(.flags = WEIR_SEGMENT_READ_ONLY), -EINVAL, 1 },
    { "dump and not", OPTIONS(.flags = WEIR_SEGMENT_DUMP | WEIR_SEGMENT_NO_DUMP), -EINVAL,
      -EINVAL },
    { "trust 4", OPTIONS(.trust = 4), -EINVAL, -EINVAL },
    { "trust all", OPTIONS(.trust = UINT32_MAX), -EINVAL, -EINVAL },
    { "reserved 0", OPTIONS(.reserved = { 1, 0 }), -EINVAL, -EINVAL },
    { "reserved 1", OPTIONS(.reserved = { 0, 1 }), -EINVAL, -EINVAL },
    { "kind empty", OPTIONS(.kind = ""), -EINVAL, -EINVAL },
    { "kind of 16", OPTIONS(.kind = "abcdefghijklmnop"), -EINVAL, -EINVAL },
    { "kind with space", OPTIONS(.kind = "a b"), -EINVAL, -EINVAL },
    { "kind with line", OPTIONS(.kind = "a\nb"), -EINVAL, -EINVAL },
    { "kind with =", OPTIONS(.kind = "a=b"), -EINVAL, -EINVAL },
    { "semaphore 32768", OPTIONS(.semaphores = 2, .semaphore_values = too_large), -ERANGE, 1 },
    { "semaphores 2^31", OPTIONS(.semaphores = UINT32_C(1) << 31), -E2BIG, 1 },
    { "semaphores all", OPTIONS(.semaphores = UINT32_MAX), -E2BIG, 1 },
};

static void test_bad_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++) {
        const struct option_row *row = &option_rows[i];
        struct weir_segment *segment = NULL;
        int result = weir_segment_create(&segment, weir_by_name("bad"), 100, &row->options);
        if (result != row->create)
            print_error("%s: ", row->what);
        assert_result(result, row->create);
        result = weir_segment_create_or_open(&segment, weir_by_name("bad"), 100, &row->options);
        assert_result(result, row->create);
        expect_nothing_made(segment);
        if (row->open == 1)
            continue;
        struct weir_segment *there;
        assert_result(weir_segment_create(&there, weir_by_name("bad"), 100, NULL), 0);
        result = weir_segment_open(&segment, weir_by_name("bad"), 0, &row->options);
        if (result != row->open)
            print_error("%s: ", row->what);
        assert_result(result, row->open);
        assert_null(segment);
        weir_segment_close(there);
    }
}

/* A caller of a newer header: zeros behind what we know are no wish, anything else is. */
static void test_larger_options(void **state)
{
    (void)state;
    struct {
        struct weir_segment_options options;
        uint64_t more[4];
    } newer = { .options = WEIR_SEGMENT_OPTIONS };
    struct weir_segment *segment = NULL;
    newer.options.size = sizeof newer;
    assert_result(weir_segment_create(&segment, weir_by_name("newer"), 1, &newer.options), 0);
    weir_segment_close(segment);
    segment = NULL;
    newer.more[3] = 1;
    assert_result(weir_segment_create(&segment, weir_by_name("newer"), 1, &newer.options), -EINVAL);
    expect_nothing_made(segment);
}

/* Semaphores come by name, or private and ephemeral; elsewhere they are refused. */
/* Who needs more semaphores than the object has learns it at the open, not at the first wait. */
static void test_fewer_semaphores_than_asked_for(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment, *second;
    (void)state;
    options.semaphores = 2;
    assert_result(weir_segment_create(&segment, weir_by_name("two"), 100, &options), 0);
    assert_result(weir_segment_open(&second, weir_by_name("two"), 100, &options), 0);
    weir_segment_close(second);
    options.semaphores = 3;
    assert_result(weir_segment_open(&second, weir_by_name("two"), 100, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "has 2 semaphores, and 3 are asked for"));
    assert_result(weir_segment_create_or_open(&second, weir_by_name("two"), 100, &options),
                  -EINVAL);
    weir_segment_close(segment);
}

static void test_semaphores_where_they_cannot_be(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.semaphores = 1;
    options.lifetime = WEIR_PERSISTENT;
    int result = weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, &options);
    assert_true(result == -EOPNOTSUPP || result == -EINVAL);
    result = weir_segment_create(&segment, weir_private(), 1, &options);
    assert_true(result == -EOPNOTSUPP || result == -EINVAL);
    expect_nothing_made(segment);
    /* Who opens by key or id and asks for some gets no handle that has none. */
    options.semaphores = 0;
    assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, &options), 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    weir_segment_close(segment);
    segment = NULL;
    options.semaphores = 1;
    assert_result(weir_segment_open(&segment, weir_by_key(TEST_KEY), 1, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "semaphores"));
    assert_result(weir_segment_open(&segment, weir_by_id(stat.id), 1, &options), -EINVAL);
    assert_null(segment);
    assert_result(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
}

/* chown(2) takes it for "as it is": the mode that was meant for another group would be this one's. */
static void test_no_gid(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    const struct weir_ref refs[] = { weir_by_name("gid"), weir_by_key(TEST_KEY), weir_private(),
                                     weir_memfd(), weir_by_posix("/weir-test-gid") };
    (void)state;
    options.flags = WEIR_SEGMENT_SET_GID;
    options.gid = UINT32_MAX;
    options.mode = 0660;
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *segment = NULL;
        bool stays = refs[i].by == WEIR_BY_KEY || refs[i].by == WEIR_BY_POSIX;
        options.lifetime = stays ? WEIR_PERSISTENT : WEIR_EPHEMERAL;
        assert_result(weir_segment_create(&segment, refs[i], 100, &options), -EINVAL);
        assert_non_null(strstr(weir_last_error(), "gid"));
        expect_nothing_made(segment);
    }
}

static void test_bad_attach(void **state)
{
    (void)state;
    struct weir_segment *segment;
    void *data = NULL;
    assert_result(weir_segment_create(&segment, weir_by_name("attach"), 100, NULL), 0);
    static const uint32_t flags[] = { WEIR_SEGMENT_ONE_WRITER, WEIR_SEGMENT_SET_GID, 1 << 9,
                                      UINT32_MAX, WEIR_SEGMENT_DUMP | WEIR_SEGMENT_NO_DUMP };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        assert_result(weir_segment_attach(segment, NULL, flags[i], &data), -EINVAL);
        assert_null(data);
    }
    void *addresses[] = { (void *)1, (void *)4095, (void *)4096, (void *)4097,
                          (void *)UINTPTR_MAX };
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        assert_result(weir_segment_attach(segment, addresses[i], 0, &data), -EINVAL);
        assert_null(data);
    }
    /* Aligned, and beyond every process: for the kernel that is a lack of room. */
    int result = weir_segment_attach(segment, (void *)(UINTPTR_MAX - 4095), 0, &data);
    assert_true(result == -EINVAL || result == -ENOMEM);
    assert_null(data);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.shm_nattch, 1);
    weir_segment_close(segment);
}

static void test_squatted_key(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.lifetime = WEIR_PERSISTENT;
    int id = shmget(TEST_KEY, 4321, IPC_CREAT | 0600);
    assert_true(id >= 0);
    assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 100, &options), -EEXIST);
    char number[32];
    snprintf(number, sizeof number, "%d", id);
    assert_true(has_word(weir_last_error(), number)); /* "says who holds the name or key" */
    assert_result(weir_segment_create_or_open(&segment, weir_by_key(TEST_KEY), 5000, &options),
                  -EINVAL);
    assert_true(has_word(weir_last_error(), "4321") && has_word(weir_last_error(), "5000"));
    assert_null(segment);
    shmctl(id, IPC_RMID, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_bad_sizes, fixture_check),
        cmocka_unit_test_teardown(test_bad_options, fixture_check),
        cmocka_unit_test_teardown(test_larger_options, fixture_check),
        cmocka_unit_test_teardown(test_fewer_semaphores_than_asked_for, fixture_check),
        cmocka_unit_test_teardown(test_semaphores_where_they_cannot_be, fixture_check),
        cmocka_unit_test_teardown(test_no_gid, fixture_check),
        cmocka_unit_test_teardown(test_bad_attach, fixture_check),
        cmocka_unit_test_teardown(test_squatted_key, fixture_check),
    };
    return cmocka_run_group_tests_name("segment_errors", tests, fixture_start, fixture_end);
}
