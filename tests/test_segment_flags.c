/* SPDX-License-Identifier: MIT */
/*
 * Goal: what the flags promise of the memory is true: read-only, prefaulted, locked, huge, kept
 *       from children, in or out of core dumps.
 * Method: the kernel's own account of each mapping in /proc/self/smaps; a store that must kill.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct weir_segment *make(struct weir_ref ref, uint64_t size_bytes, uint32_t flags)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = flags;
    if (ref.by == WEIR_BY_POSIX)
        options.lifetime = WEIR_PERSISTENT;
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_create(&segment, ref, size_bytes, &options), 0);
    return segment;
}

static struct weir_segment *reopen(struct weir_ref ref, uint32_t flags)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = flags;
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_open(&segment, ref, 0, &options), 0);
    return segment;
}

static int id_of(const struct weir_segment *segment)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    return stat.id;
}

static void store(void *address)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit status */
    *(volatile char *)address = 1;
}

static void store_through_mprotect(void *address)
{
    mprotect(address, 4096, PROT_READ | PROT_WRITE);
    store(address);
}

static void check_read_only(char *data)
{
    void (*ways[])(void *) = { store, store_through_mprotect };
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        int status = status_in_child(ways[i], data);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    }
}

static void test_read_only(void **state)
{
    (void)state;
    struct weir_segment *owner = make(weir_by_name("readable"), 8192, 0);
    char *writable = weir_segment_data(owner);
    struct weir_ref refs[] = { weir_by_name("readable"), weir_by_id(id_of(owner)) };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *reader = reopen(refs[i], WEIR_SEGMENT_READ_ONLY);
        check_read_only(weir_segment_data(reader));
        check_read_only((char *)weir_segment_data(reader) + 4096);
        weir_segment_close(reader);
    }
    void *more;
    assert_result(weir_segment_attach(owner, NULL, WEIR_SEGMENT_READ_ONLY, &more), 0);
    check_read_only(more);
    strcpy(writable, "news");
    assert_string_equal(more, "news");
    weir_segment_close(owner);
}

static void test_prefault(void **state)
{
    (void)state;
    const long whole = 4 * MIB / 1024;
    struct weir_segment *lazy = make(weir_by_name("lazy"), 4 * MIB, 0);
    assert_true(smaps_field(weir_segment_data(lazy), "Rss") < whole / 2);
    void *more;
    assert_result(weir_segment_attach(lazy, NULL, WEIR_SEGMENT_PREFAULT, &more), 0);
    assert_true(smaps_field(more, "Rss") >= whole);
    weir_segment_close(lazy);

    lazy = make(weir_by_name("lazy"), 4 * MIB, 0);
    struct weir_segment *reader =
        reopen(weir_by_name("lazy"), WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_PREFAULT);
    assert_true(smaps_field(weir_segment_data(reader), "Rss") >= whole);
    assert_true(all_bytes(weir_segment_data(reader), 4 * MIB, 0));
    weir_segment_close(reader);
    weir_segment_close(lazy);

    struct weir_ref refs[] = { weir_by_name("eager"), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *eager = make(refs[i], 4 * MIB, WEIR_SEGMENT_PREFAULT);
        assert_true(smaps_field(weir_segment_data(eager), "Rss") >= whole);
        assert_true(all_bytes(weir_segment_data(eager), 4 * MIB, 0));
        weir_segment_close(eager);
    }
}

static long faults_of_writes(char *data, size_t size_bytes)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (size_t at = 0; at < size_bytes; at += 4096)
        ((volatile char *)data)[at] = 1;
    getrusage(RUSAGE_SELF, &after);
    return after.ru_minflt - before.ru_minflt;
}

static void test_prefaulted_can_be_written(void **state)
{
    (void)state;
    if (SANITIZED) /* their shadow of it comes at the first write */
        skip();
    struct weir_ref refs[] = { weir_private(), weir_by_name("eager"), weir_by_posix("/weir-eager"),
                               weir_memfd() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *lazy = make(refs[i], 4 * MIB, 0);
        void *more;
        assert_result(weir_segment_attach(lazy, NULL, WEIR_SEGMENT_PREFAULT, &more), 0);
        assert_true(faults_of_writes(more, 4 * MIB) < 10);
        weir_segment_close(lazy);
        if (refs[i].by == WEIR_BY_POSIX)
            assert_result(weir_segment_remove(refs[i]), 0);
        struct weir_segment *eager = make(refs[i], 4 * MIB, WEIR_SEGMENT_PREFAULT);
        assert_true(faults_of_writes(weir_segment_data(eager), 4 * MIB) < 10);
        weir_segment_close(eager);
        if (refs[i].by == WEIR_BY_POSIX)
            assert_result(weir_segment_remove(refs[i]), 0);
    }
}

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21 /* Linux 5.4 */
#endif

/* Pages in memory or swapped out: not those that the kernel may forget, since nothing is in them. */
static unsigned long kept_pages(void)
{
    struct shm_info info;
    /* shmctl(2): the address is of the type that the command says. */
    assert_true(shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) >= 0);
    return info.shm_rss + info.shm_swp;
}

/* Also where memory is short before the first byte is written. */
static void test_prefaulted_are_kept(void **state)
{
    (void)state;
    if (!fixture_is_alone())
        skip();
    const unsigned long whole = 4 * MIB / (unsigned long)sysconf(_SC_PAGESIZE);
    struct weir_segment *eager = make(weir_private(), 4 * MIB, WEIR_SEGMENT_PREFAULT);
    unsigned long before = kept_pages();
    assert_true(before >= whole);
    madvise(weir_segment_data(eager), 4 * MIB, MADV_PAGEOUT);
    assert_int_equal(kept_pages(), before);
    weir_segment_close(eager);
}

/* Prefaulting must not change a byte that somebody else is just writing. */
static void test_prefault_keeps_contents(void **state)
{
    (void)state;
    struct weir_segment *owner = make(weir_by_name("full"), MIB, 0);
    memset(weir_segment_data(owner), 0xa5, MIB);
    struct weir_segment *other = reopen(weir_by_name("full"), WEIR_SEGMENT_PREFAULT);
    assert_true(all_bytes(weir_segment_data(other), MIB, 0xa5));
    weir_segment_close(other);
    weir_segment_close(owner);
}

/* Sanitizers replace mlock(2) by nothing. */
static bool can_lock(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool locked = mlock(page, 4096) == 0 && smaps_field(page, "Locked") > 0;
    munmap(page, 4096);
    return locked;
}

static void test_lock(void **state)
{
    (void)state;
    struct rlimit limit;
    if (!can_lock())
        skip();
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (!has_other_users() && limit.rlim_cur < 2 * MIB)
        skip();
    struct weir_segment *locked = make(weir_by_name("locked"), MIB, WEIR_SEGMENT_LOCK);
    void *data = weir_segment_data(locked);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(locked, &stat), 0);
    assert_true(smaps_field(data, "Locked") >= (long)(MIB / 1024) || stat.locked == 1);
    assert_true(smaps_field(data, "Rss") >= (long)(MIB / 1024));
    weir_segment_close(locked);
    assert_int_equal(smaps_field(data, "Size"), -1);
}

static void expect_locked(const struct weir_segment *segment, uint32_t locked)
{
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.locked == locked && stat.mode == 0600);
    assert_result(weir_segment_lookup(weir_by_id(stat.id), &stat), 0);
    assert_true(stat.locked == locked && stat.mode == 0600);
}

/* Locked for all that have it, by whoever may: what the kernel notes beside the mode is none of it. */
static void test_locked_by_shmctl(void **state)
{
    (void)state;
    struct weir_segment *segment = make(weir_private(), 4096, 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    expect_locked(segment, 0);
    bool can = shmctl(stat.id, SHM_LOCK, NULL) == 0;
    if (can) {
        expect_locked(segment, 1);
        assert_int_equal(shmctl(stat.id, SHM_UNLOCK, NULL), 0);
        expect_locked(segment, 0);
    }
    weir_segment_close(segment);
    if (!can)
        skip();
}

/* For other users: a directory of theirs to have names in. */
static void own_directory(uid_t uid)
{
    char path[4400];
    snprintf(path, sizeof path, "%s", fixture_path("theirs"));
    CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
    CHECK(chown(path, uid, uid) == 0);
    become(uid);
    strcat(path, "/run");
    CHECK(setenv("WEIR_DIR", path, 1) == 0);
}

static void lock_over_limit(void *argument)
{
    (void)argument;
    own_directory(OTHER_UID);
    struct rlimit limit = { 65536, 65536 };
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_LOCK;
    struct weir_segment *segment = NULL;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("over"), MIB, &options), -EPERM);
    CHECK(has_word(weir_last_error(), "65536") && strstr(weir_last_error(), "MEMLOCK"));
    CHECK_RESULT(weir_segment_create(&segment, weir_private(), MIB, &options), -EPERM);
    CHECK(segment == NULL && segments_now() == 0 && names_now() == 0);
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("over"), MIB, &options), -EPERM);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_key(99), MIB, &options), -EPERM);
    CHECK(segment == NULL && segments_now() == 0 && names_now() == 0);

    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("over"), MIB, NULL), 0);
    struct weir_segment *second = NULL;
    CHECK_RESULT(weir_segment_open(&second, weir_by_name("over"), 0, &options), -EPERM);
    void *more = NULL;
    CHECK(weir_segment_attach(segment, NULL, WEIR_SEGMENT_LOCK, &more) < 0);
    CHECK(second == NULL && more == NULL);
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
    CHECK(stat.shm_nattch == 1);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("under"), 16384, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_remove(weir_by_name("under")), 0);
}

static void test_lock_over_limit(void **state)
{
    (void)state;
    if (!has_other_users() || !can_lock())
        skip();
    in_child(lock_over_limit, NULL);
    char run[4500];
    snprintf(run, sizeof run, "rm -rf '%s'", fixture_path("theirs"));
    assert_int_equal(system(run), 0);
}

static void test_huge_pages_fall_back(void **state)
{
    (void)state;
    long reserved = reserved_huge_pages(-1); /* of 2 MiB, or more elsewhere */
    if (reserved > 1000)
        skip();
    struct weir_segment *segment =
        make(weir_by_name("huge"), UINT64_C(4) << 30, WEIR_SEGMENT_HUGE_PAGES);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.pages == WEIR_PAGES_NORMAL || stat.pages == WEIR_PAGES_TRANSPARENT);
    if (stat.pages == WEIR_PAGES_TRANSPARENT)
        assert_true(smaps_flag(weir_segment_data(segment), "hg"));
    *(char *)weir_segment_data(segment) = 1;
    weir_segment_close(segment);
    segment = make(weir_by_name("small"), 10, WEIR_SEGMENT_HUGE_PAGES);
    assert_int_equal(weir_segment_size(segment), 10);
    weir_segment_close(segment);
    segment = make(weir_by_name("normal"), 10, 0);
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.pages, WEIR_PAGES_NORMAL);
    weir_segment_close(segment);
}

/* With the other flags too: what advises a mapping of huge pages must cover whole ones. */
static void huge_pages_with_flags(void)
{
    static const uint32_t flags[] = {
        0,
        WEIR_SEGMENT_NO_FORK,
        WEIR_SEGMENT_NO_DUMP,
        WEIR_SEGMENT_PREFAULT,
        WEIR_SEGMENT_LOCK,
        WEIR_SEGMENT_NO_FORK | WEIR_SEGMENT_NO_DUMP | WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_LOCK,
    };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment;
        struct weir_segment *second;
        options.flags = WEIR_SEGMENT_HUGE_PAGES | flags[i];
        CHECK_RESULT(weir_segment_create(&segment, weir_by_name("huge"), 3 * MIB, &options), 0);
        CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
        CHECK(stat.pages == WEIR_PAGES_HUGETLB);
        const char *data = weir_segment_data(segment);
        CHECK(smaps_flag(data, "dc") == ((flags[i] & WEIR_SEGMENT_NO_FORK) != 0));
        CHECK(smaps_flag(data, "dd") == ((flags[i] & WEIR_SEGMENT_NO_DUMP) != 0));
        options.flags = flags[i];
        CHECK_RESULT(weir_segment_open(&second, weir_by_name("huge"), 3 * MIB, &options), 0);
        weir_segment_close(second);
        weir_segment_close(segment);
    }
    /* Large enough to stay out of core dumps by itself. */
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.flags = WEIR_SEGMENT_HUGE_PAGES;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("huge"), 17 * MIB, &options), 0);
    CHECK(smaps_flag(weir_segment_data(segment), "dd"));
    weir_segment_close(segment);
}

static void huge_pages_real(void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_HUGE_PAGES;
    struct weir_ref refs[] = { weir_by_name("huge"), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *segment;
        struct weir_segment_stat stat = { .size = sizeof stat };
        CHECK_RESULT(weir_segment_create(&segment, refs[i], 3 * MIB, &options), 0);
        CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
        CHECK(stat.pages == WEIR_PAGES_HUGETLB);
        CHECK(weir_segment_size(segment) == 3 * MIB && stat.size_bytes == 3 * MIB);
        CHECK(smaps_field(weir_segment_data(segment), "KernelPageSize") > 4);
        memset(weir_segment_data(segment), 1, 3 * MIB);
        struct weir_segment *second;
        CHECK_RESULT(weir_segment_open(&second, weir_by_id(stat.id), 0, &options), 0);
        CHECK_RESULT(weir_segment_stat(second, &stat), 0);
        CHECK(stat.pages == WEIR_PAGES_HUGETLB);
        weir_segment_close(second);
        if (refs[i].by == WEIR_BY_NAME) {
            CHECK_RESULT(weir_segment_open(&second, refs[i], 3 * MIB, NULL), 0);
            CHECK(all_bytes(weir_segment_data(second), 3 * MIB, 1));
            weir_segment_close(second);
        }
        weir_segment_close(segment);
    }
    huge_pages_with_flags();
}

static void test_huge_pages_real(void **state)
{
    (void)state;
    long before = reserved_huge_pages(-1);
    if (before < 0 || reserved_huge_pages(before + 16) < before + 16) {
        reserved_huge_pages(before < 0 ? 0 : before);
        skip();
    }
    int status = status_in_child(huge_pages_real, NULL);
    reserved_huge_pages(before);
    assert_int_equal(status, 0);
}

/* Not asked of smaps: the memory to read it with might come to lie right there. */
static bool is_mapped(void *page)
{
    return msync(page, 1, MS_ASYNC) == 0 || errno != ENOMEM;
}

static void child_of_no_fork(void *segment)
{
    char *data = weir_segment_data(segment);
    CHECK(!is_mapped(data));
    /* Something else of the child's lies where the parent's segment was: it is not detached. */
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    uintptr_t base = (uintptr_t)data / 4096 * 4096;
    char *mine[2] = { shmat(id, (void *)base, 0), shmat(id, (void *)(base - 4096), 0) };
    shmctl(id, IPC_RMID, NULL);
    CHECK(mine[0] == (char *)base);
    weir_segment_close(segment);
    for (int i = 0; i < 2; i++) {
        if (mine[i] != (void *)-1) {
            CHECK(smaps_field(mine[i], "Size") > 0);
            strcpy(mine[i], "mine");
            shmdt(mine[i]);
        }
    }
}

static void child_of_fork(void *segment)
{
    char *data = weir_segment_data(segment);
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK(smaps_field(data, "Size") > 0);
    CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
    CHECK(stat.shm_nattch == 2);
    strcpy(data, "from the child");
    weir_segment_close(segment);
    CHECK(!is_mapped(data));
}

static void test_fork(void **state)
{
    (void)state;
    struct weir_ref refs[] = { weir_by_name("forked"), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *kept = make(refs[i], 4096, WEIR_SEGMENT_NO_FORK);
        assert_true(smaps_flag(weir_segment_data(kept), "dc"));
        in_child(child_of_no_fork, kept);
        struct weir_segment_stat stat = { .size = sizeof stat };
        assert_result(weir_segment_stat(kept, &stat), 0);
        assert_int_equal(stat.shm_nattch, 1);
        strcpy(weir_segment_data(kept), "still mine");
        weir_segment_close(kept);

        struct weir_segment *shared = make(refs[i], 4096, 0);
        assert_false(smaps_flag(weir_segment_data(shared), "dc"));
        in_child(child_of_fork, shared);
        assert_string_equal(weir_segment_data(shared), "from the child");
        if (refs[i].by == WEIR_BY_NAME)
            weir_segment_close(reopen(refs[i], 0)); /* the child's close left the name alone */
        weir_segment_close(shared);
        assert_int_equal(segments_now(), 0);
    }
}

static void test_dump(void **state)
{
    (void)state;
    static const struct {
        uint64_t size_bytes;
        uint32_t flags;
        bool left_out;
    } rows[] = {
        { 4096, 0, false },
        { WEIR_SEGMENT_DUMP_LIMIT_BYTES, 0, false },
        { WEIR_SEGMENT_DUMP_LIMIT_BYTES + 1, 0, true },
        { UINT64_C(1) << 32, 0, true },
        { 4096, WEIR_SEGMENT_NO_DUMP, true },
        { UINT64_C(1) << 32, WEIR_SEGMENT_NO_DUMP, true },
        { 4096, WEIR_SEGMENT_DUMP, false },
        { UINT64_C(1) << 32, WEIR_SEGMENT_DUMP, false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment *segment = make(weir_private(), rows[i].size_bytes, rows[i].flags);
        assert_int_equal(smaps_flag(weir_segment_data(segment), "dd"), rows[i].left_out);
        void *more;
        assert_result(weir_segment_attach(segment, NULL, rows[i].flags, &more), 0);
        assert_int_equal(smaps_flag(more, "dd"), rows[i].left_out);
        weir_segment_close(segment);
    }
    struct weir_segment *segment = make(weir_by_name("dump"), 4096, 0);
    struct weir_segment *other =
        reopen(weir_by_name("dump"), WEIR_SEGMENT_NO_DUMP | WEIR_SEGMENT_NO_FORK);
    assert_true(smaps_flag(weir_segment_data(other), "dd"));
    assert_true(smaps_flag(weir_segment_data(other), "dc"));
    assert_false(smaps_flag(weir_segment_data(segment), "dd")); /* a mapping's matter, no other's */
    weir_segment_close(other);
    weir_segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_read_only, fixture_check),
        cmocka_unit_test_teardown(test_prefault, fixture_check),
        cmocka_unit_test_teardown(test_prefaulted_can_be_written, fixture_check),
        cmocka_unit_test_teardown(test_prefaulted_are_kept, fixture_check),
        cmocka_unit_test_teardown(test_prefault_keeps_contents, fixture_check),
        cmocka_unit_test_teardown(test_lock, fixture_check),
        cmocka_unit_test_teardown(test_locked_by_shmctl, fixture_check),
        cmocka_unit_test_teardown(test_lock_over_limit, fixture_check),
        cmocka_unit_test_teardown(test_huge_pages_fall_back, fixture_check),
        cmocka_unit_test_teardown(test_huge_pages_real, fixture_check),
        cmocka_unit_test_teardown(test_fork, fixture_check),
        cmocka_unit_test_teardown(test_dump, fixture_check),
    };
    return cmocka_run_group_tests_name("segment_flags", tests, fixture_start, fixture_end);
}
