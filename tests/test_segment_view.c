/* SPDX-License-Identifier: MIT */
/*
 * Goal: sizes, alignment, addresses, what stat tells and what a kind separates are as promised.
 * Method: boundary values, second mappings at chosen addresses, and shmctl(2) beside each stat.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_KEY 0x77656972u

static struct weir_segment_options lasting(enum weir_lifetime lifetime)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = lifetime;
    return options;
}

/* What a plain shmget(2) program would make. */
static int foreign_id(size_t size_bytes)
{
    int id = shmget(IPC_PRIVATE, size_bytes, IPC_CREAT | 0600);
    assert_true(id >= 0);
    return id;
}

static void check_size(struct weir_ref ref, uint64_t size_bytes)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    assert_result(weir_segment_create(&segment, ref, size_bytes, &options), 0);
    unsigned char *data = weir_segment_data(segment);
    assert_int_equal((uintptr_t)data % 4096, 0);
    assert_int_equal(weir_segment_size(segment), size_bytes);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.size_bytes, size_bytes);
    /* To the end of the last page everything is there, and zero. */
    size_t mapped = (size_bytes + 4095) / 4096 * 4096;
    assert_true(all_bytes(data, mapped, 0));
    memset(data, 0xff, mapped);
    weir_segment_close(segment);
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 1,    2,    63,   4095, 4096,
                                      4097, 8191, 8192, 8193, (UINT64_C(8) << 20) + 1 };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        check_size(weir_by_name("sized"), sizes[i]);
        check_size(weir_private(), sizes[i]);
    }
    struct weir_segment *segment;
    struct weir_segment *second = NULL;
    struct weir_segment_options options = lasting(WEIR_PERSISTENT);
    struct weir_ref refs[] = { weir_by_name("sized"), weir_by_key(TEST_KEY) };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        assert_result(weir_segment_create(&segment, refs[i], 1000, &options), 0);
        assert_result(weir_segment_open(&second, refs[i], 1000, NULL), 0);
        weir_segment_close(second);
        assert_result(weir_segment_open(&second, refs[i], 1, NULL), 0);
        assert_int_equal(weir_segment_size(second), 1000);
        weir_segment_close(second);
        second = NULL;
        assert_result(weir_segment_open(&second, refs[i], 1001, NULL), -EINVAL);
        assert_true(has_word(weir_last_error(), "1000") && has_word(weir_last_error(), "1001"));
        assert_result(weir_segment_open(&second, refs[i], UINT64_MAX, NULL), -EINVAL);
        assert_result(weir_segment_create_or_open(&second, refs[i], 1001, &options), -EINVAL);
        assert_null(second);
        assert_result(weir_segment_create_or_open(&second, refs[i], 10, &options), 0);
        assert_int_equal(weir_segment_size(second), 1000);
        weir_segment_close(second);
        second = NULL;
        weir_segment_close(segment);
        assert_result(weir_segment_remove(refs[i]), 0);
    }
}

/* A free range of addresses at a multiple of SHMLBA, with room for a header in front. */
static char *free_address(size_t size_bytes)
{
    char *range = mmap(NULL, size_bytes + 3 * SHMLBA, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(range != MAP_FAILED);
    munmap(range, size_bytes + 3 * SHMLBA);
    return range + SHMLBA + (SHMLBA - (uintptr_t)range % SHMLBA) % SHMLBA;
}

static void test_attach(void **state)
{
    (void)state;
    struct weir_segment *segment;
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_create(&segment, weir_by_name("attached"), 8192, NULL), 0);
    char *data = weir_segment_data(segment);
    void *more = NULL;
    assert_result(weir_segment_attach(segment, NULL, 0, &more), 0);
    assert_ptr_not_equal(more, data);
    strcpy(data + 8000, "seen through both");
    assert_string_equal((char *)more + 8000, "seen through both");
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.shm_nattch, 2);

    char *wanted = free_address(1 << 20);
    void *placed = NULL;
    assert_result(weir_segment_attach(segment, wanted, WEIR_SEGMENT_READ_ONLY, &placed), 0);
    assert_ptr_equal(placed, wanted);
    assert_true(smaps_field(wanted, "Size") > 0);
    assert_string_equal((char *)placed + 8000, "seen through both");
    void *third = (void *)1;
    assert_result(weir_segment_attach(segment, wanted, 0, &third), -EINVAL);
    assert_result(weir_segment_attach(segment, wanted + 1, 0, &third), -EINVAL);
    assert_ptr_equal(third, (void *)1);

    int on_stack;
    assert_result(weir_segment_detach(segment, data), -EINVAL);
    assert_result(weir_segment_detach(segment, NULL), -EINVAL);
    assert_result(weir_segment_detach(segment, &on_stack), -EINVAL);
    assert_result(weir_segment_detach(segment, (char *)more + 4096), -EINVAL);
    assert_result(weir_segment_detach(segment, more), 0);
    assert_result(weir_segment_detach(segment, more), -EINVAL);
    assert_int_equal(smaps_field(more, "Size"), -1);
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.shm_nattch, 2);
    assert_string_equal(data + 8000, "seen through both");
    weir_segment_close(segment); /* takes the mapping at wanted with it */
    assert_int_equal(smaps_field(wanted, "Size"), -1);
    assert_int_equal(segments_now(), 0);
}

static void test_options_address(void **state)
{
    (void)state;
    char *wanted = free_address(1 << 20);
    struct weir_segment_options options = lasting(WEIR_PERSISTENT);
    options.address = wanted;
    struct weir_segment *segment;
    struct weir_segment *second = NULL;
    struct weir_ref refs[] = { weir_by_name("placed"), weir_by_key(TEST_KEY) };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        assert_result(weir_segment_create(&segment, refs[i], 100, &options), 0);
        char *data = weir_segment_data(segment);
        assert_ptr_equal(data, wanted);
        assert_result(weir_segment_open(&second, refs[i], 100, &options), -EINVAL); /* taken */
        assert_null(second);
        weir_segment_close(segment);
        assert_result(weir_segment_open(&segment, refs[i], 100, &options), 0);
        assert_ptr_equal(weir_segment_data(segment), data);
        weir_segment_close(segment);
        assert_result(weir_segment_remove(refs[i]), 0);
    }
    options.address = wanted + 1;
    assert_result(weir_segment_create(&second, weir_by_name("placed"), 100, &options), -EINVAL);
    assert_result(weir_segment_create(&second, weir_by_key(TEST_KEY), 100, &options), -EINVAL);
    options.address = (void *)((uintptr_t)&options / SHMLBA * SHMLBA); /* the stack is there */
    assert_result(weir_segment_create(&second, weir_by_name("placed"), 100, &options), -EINVAL);
    assert_result(weir_segment_create(&second, weir_by_key(TEST_KEY), 100, &options), -EINVAL);
    assert_null(second);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void check_stat(struct weir_segment *segment, struct weir_ref ref, uint32_t mode)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment_stat looked_up = { .size = sizeof looked_up };
    struct shmid_ds raw;
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(shmctl(stat.id, IPC_STAT, &raw), 0);
    assert_int_equal(stat.key, (uint32_t)raw.shm_perm.__key);
    assert_int_equal(stat.uid, raw.shm_perm.uid);
    assert_int_equal(stat.gid, raw.shm_perm.gid);
    assert_int_equal(stat.cuid, raw.shm_perm.cuid);
    assert_int_equal(stat.cgid, raw.shm_perm.cgid);
    assert_int_equal(stat.mode, raw.shm_perm.mode & 0777);
    assert_int_equal(stat.mode, mode);
    assert_int_equal(stat.shm_segsz, raw.shm_segsz);
    assert_int_equal(stat.shm_atime, raw.shm_atime);
    assert_int_equal(stat.shm_dtime, raw.shm_dtime);
    assert_int_equal(stat.shm_ctime, raw.shm_ctime);
    assert_int_equal(stat.shm_cpid, raw.shm_cpid);
    assert_int_equal(stat.shm_lpid, raw.shm_lpid);
    assert_int_equal(stat.shm_nattch, raw.shm_nattch);
    assert_int_equal(stat.removed, (raw.shm_perm.mode & SHM_DEST) != 0);
    assert_int_equal(stat.locked, (raw.shm_perm.mode & SHM_LOCKED) != 0);
    assert_int_equal(stat.size_bytes, weir_segment_size(segment));
    assert_int_equal(stat.semset_id, -1);
    assert_int_equal(stat.semaphores, 0);
    assert_string_equal(stat.kind, "segment");
    if (ref.by == WEIR_BY_NONE)
        return;
    assert_result(weir_segment_lookup(ref, &looked_up), 0);
    assert_int_equal(looked_up.id, stat.id);
    assert_int_equal(looked_up.key, stat.key);
    assert_int_equal(looked_up.mode, stat.mode);
    assert_int_equal(looked_up.cuid, stat.cuid);
    assert_int_equal(looked_up.size_bytes, stat.size_bytes);
    assert_int_equal(looked_up.shm_segsz, stat.shm_segsz);
    assert_int_equal(looked_up.nonce, stat.nonce);
    assert_int_equal(looked_up.lifetime, stat.lifetime);
    assert_string_equal(looked_up.kind, stat.kind);
    /* The attachment that a lookup makes for its own use is nobody's business. */
    assert_int_equal(looked_up.shm_nattch, stat.shm_nattch);
    assert_int_equal(shmctl(stat.id, IPC_STAT, &raw), 0);
    assert_int_equal(stat.shm_nattch, raw.shm_nattch);
}

static void test_stat(void **state)
{
    (void)state;
    const struct {
        struct weir_ref ref;
        enum weir_lifetime lifetime;
        uint32_t mode;
    } rows[] = {
        { weir_by_name("stat"), WEIR_EPHEMERAL, 0 },
        { weir_by_name("stat"), WEIR_PERSISTENT, 0640 },
        { weir_by_key(TEST_KEY), WEIR_PERSISTENT, 0666 },
        { weir_private(), WEIR_EPHEMERAL, 0644 },
        { weir_private(), WEIR_PERSISTENT, 0 },
    };
    umask(077); /* "the umask has no part" */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment_options options = lasting(rows[i].lifetime);
        options.mode = rows[i].mode;
        struct weir_segment *segment;
        assert_result(weir_segment_create(&segment, rows[i].ref, 5000, &options), 0);
        check_stat(segment, rows[i].ref, rows[i].mode ? rows[i].mode : 0600);
        struct weir_segment_stat stat = { .size = sizeof stat };
        assert_result(weir_segment_stat(segment, &stat), 0);
        weir_segment_close(segment);
        if (rows[i].lifetime == WEIR_PERSISTENT)
            assert_result(weir_segment_remove(rows[i].ref.by == WEIR_BY_NONE ? weir_by_id(stat.id)
                                                                             : rows[i].ref),
                          0);
    }
    umask(022);
}

/* A caller compiled against an older, shorter struct: not a byte more than it knows is written. */
static void test_stat_size(void **state)
{
    (void)state;
    struct weir_segment *segment;
    struct {
        struct weir_segment_stat stat;
        unsigned char behind[64];
    } guarded;
    assert_result(weir_segment_create(&segment, weir_by_name("sizes"), 1, NULL), 0);
    for (uint32_t size = 0; size < sizeof guarded.stat; size += 4) {
        memset(&guarded, 0xa5, sizeof guarded);
        guarded.stat.size = size;
        if (weir_segment_stat(segment, &guarded.stat) == 0) {
            assert_true(size >= 8);
            assert_true(all_bytes((char *)&guarded + size, sizeof guarded - size, 0xa5));
        } else {
            assert_true(all_bytes((char *)&guarded + 4, sizeof guarded - 4, 0xa5));
        }
    }
    guarded.stat.size = 0;
    assert_result(weir_segment_stat(segment, &guarded.stat), -EINVAL);
    assert_result(weir_segment_lookup(weir_by_name("sizes"), &guarded.stat), -EINVAL);
    memset(&guarded, 0xa5, sizeof guarded);
    guarded.stat.size = sizeof guarded.stat;
    assert_result(weir_segment_stat(segment, &guarded.stat), 0);
    assert_true(all_bytes(guarded.behind, sizeof guarded.behind, 0xa5));
    weir_segment_close(segment);
}

static void test_kinds(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.kind = "abcdefghijklmno"; /* WEIR_KIND_MAX */
    struct weir_segment *segment;
    struct weir_segment *second = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_create(&segment, weir_by_name("kind"), 1, &options), 0);
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_string_equal(stat.kind, "abcdefghijklmno");
    assert_result(weir_segment_open(&second, weir_by_name("kind"), 0, NULL), -EPROTO);
    assert_non_null(strstr(weir_last_error(), "abcdefghijklmno"));
    options.kind = "abcdefghijklmn";
    assert_result(weir_segment_open(&second, weir_by_name("kind"), 0, &options), -EPROTO);
    assert_result(weir_segment_create_or_open(&second, weir_by_name("kind"), 1, &options), -EPROTO);
    assert_null(second);
    options.kind = "abcdefghijklmno";
    assert_result(weir_segment_open(&second, weir_by_name("kind"), 0, &options), 0);
    weir_segment_close(second);
    weir_segment_close(segment);
}

/* One name, one object of one kind: sets and segments share the names. */
static void test_name_of_a_set(void **state)
{
    (void)state;
    struct weir_semset *set;
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_semset_create(&set, weir_by_name("one"), 1, NULL, NULL), 0);
    assert_result(weir_segment_create(&segment, weir_by_name("one"), 1, NULL), -EEXIST);
    assert_result(weir_segment_open(&segment, weir_by_name("one"), 0, NULL), -EPROTO);
    assert_result(weir_segment_create_or_open(&segment, weir_by_name("one"), 1, NULL), -EPROTO);
    assert_result(weir_segment_lookup(weir_by_name("one"), &stat), -EPROTO);
    assert_null(segment);
    weir_semset_close(set);
    assert_result(weir_semset_remove(weir_by_name("one")), 0);
    assert_result(weir_segment_create(&segment, weir_by_name("one"), 1, NULL), 0);
    assert_result(weir_semset_create(&set, weir_by_name("one"), 1, NULL, NULL), -EEXIST);
    assert_result(weir_semset_open(&set, weir_by_name("one"), 0, NULL), -EPROTO);
    weir_segment_close(segment);
    assert_int_equal(sets_now(), 0);
}

/* The result of closing nothing is nothing, and the last sentence survives a success. */
static void test_close_and_sentences(void **state)
{
    (void)state;
    weir_segment_close(NULL);
    assert_result(weir_segment_remove(weir_by_name("absent")), -ENOENT);
    assert_non_null(strstr(weir_last_error(), "absent"));
    char before[512];
    snprintf(before, sizeof before, "%s", weir_last_error());
    struct weir_segment *segment;
    errno = 4711;
    assert_result(weir_segment_create(&segment, weir_by_name("present"), 1, NULL), 0);
    assert_string_equal(weir_last_error(), before);
    errno = 4711;
    weir_segment_close(segment);
    assert_int_equal(errno, 4711);
    assert_string_equal(weir_last_error(), before);
    assert_result(weir_segment_open(&segment, weir_by_id(foreign_id(10)), 0, NULL), 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_result(weir_segment_remove(weir_by_id(stat.id)), 0);
    weir_segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sizes, fixture_check),
        cmocka_unit_test_teardown(test_attach, fixture_check),
        cmocka_unit_test_teardown(test_options_address, fixture_check),
        cmocka_unit_test_teardown(test_stat, fixture_check),
        cmocka_unit_test_teardown(test_stat_size, fixture_check),
        cmocka_unit_test_teardown(test_kinds, fixture_check),
        cmocka_unit_test_teardown(test_name_of_a_set, fixture_check),
        cmocka_unit_test_teardown(test_close_and_sentences, fixture_check),
    };
    return cmocka_run_group_tests_name("segment_view", tests, fixture_start, fixture_end);
}
