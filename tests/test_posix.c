/* SPDX-License-Identifier: MIT */
/*
 * Goal: a POSIX segment is made whole or not at all, is what shm_open(3) of any program sees, and
 *       behaves as the table in <weir/segment.h> says: lifetime, truncation, fork, exec.
 * Method: beside weir's calls the plain ones (shm_open, mmap, fstat) in the same and in other
 *       processes; creators and openers that race; the file system's own numbers.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static struct weir_segment *make(const char *name, uint64_t size_bytes, uint32_t flags)
{
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    options.flags = flags;
    assert_result(weir_segment_create(&segment, weir_by_posix(name), size_bytes, &options), 0);
    return segment;
}

static void look_plainly(void *argument)
{
    struct stat found;
    int fd = shm_open(argument, O_RDWR, 0);
    CHECK(fd >= 0 && fstat(fd, &found) == 0 && found.st_size == 5000);
    CHECK((found.st_mode & 07777) == 0600 && found.st_nlink == 1);
    CHECK(found.st_blocks * 512 >= 5000); /* its memory is there before it is touched */
    char *memory = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED && strcmp(memory, "from weir") == 0);
    CHECK(all_bytes(memory + 10, 4990, 0));
    strcpy(memory + 100, "from shm_open");
}

static void test_other_programs_meet_it(void **state)
{
    (void)state;
    const char *name = posix_name("meet");
    struct weir_segment *segment = make(name, 5000, 0);
    struct weir_segment_stat stat = { .size = sizeof stat }, found = { .size = sizeof found };
    strcpy(weir_segment_data(segment), "from weir");
    in_child(look_plainly, (void *)(uintptr_t)name);
    assert_string_equal((char *)weir_segment_data(segment) + 100, "from shm_open");
    assert_int_equal(weir_segment_size(segment), 5000);
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.backend, WEIR_BACKEND_POSIX);
    assert_true(stat.size_bytes == 5000 && stat.shm_segsz == 5000 && stat.mode == 0600);
    assert_true(stat.uid == geteuid() && stat.cuid == geteuid() && stat.gid == getegid());
    assert_true(stat.id == -1 && stat.key == 0 && stat.shm_nattch == 0 && stat.seals == 0);
    assert_true(stat.lifetime == WEIR_PERSISTENT && stat.removed == 0 && stat.semset_id == -1);
    assert_string_equal(stat.kind, "segment");
    assert_result(weir_segment_lookup(weir_by_posix(name), &found), 0);
    assert_true(found.size_bytes == 5000 && found.backend == WEIR_BACKEND_POSIX);
    assert_null(weir_segment_semset(segment));
    weir_segment_close(segment);
    /* Nobody has it, and it stays. */
    assert_int_equal(posix_now(), 1);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
    assert_int_equal(posix_now(), 0);
    expect_refused(weir_segment_remove(weir_by_posix(name)), -ENOENT, name);
}

static void test_what_others_made(void **state)
{
    (void)state;
    const char *name = posix_name("theirs");
    struct weir_segment *segment = NULL;
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    /* Between their two calls it has no size. */
    expect_refused(weir_segment_open(&segment, weir_by_posix(name), 0, NULL), -EAGAIN,
                   "has no bytes");
    struct weir_segment_options options = persistent_options();
    expect_refused(weir_segment_create_or_open(&segment, weir_by_posix(name), 10, &options),
                   -EAGAIN, "has no bytes");
    assert_null(segment);
    assert_int_equal(ftruncate(fd, 10000), 0);
    assert_int_equal(pwrite(fd, "end", 3, 9997), 3);
    assert_result(weir_segment_create_or_open(&segment, weir_by_posix(name), 10, &options), 0);
    assert_int_equal(weir_segment_size(segment), 10000);
    assert_memory_equal((char *)weir_segment_data(segment) + 9997, "end", 3);
    struct weir_segment *larger = NULL;
    expect_refused(weir_segment_open(&larger, weir_by_posix(name), 10001, NULL), -EINVAL, "10001");
    assert_null(larger);
    /* It grows: who has opened it keeps what was there. */
    assert_int_equal(ftruncate(fd, 20000), 0);
    assert_int_equal(weir_segment_size(segment), 10000);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.size_bytes == 10000 && stat.shm_segsz == 20000);
    weir_segment_close(segment);
    close(fd);
    assert_int_equal(shm_unlink(name), 0);
}

static void test_removed_under_us(void **state)
{
    (void)state;
    const char *name = posix_name("removed");
    struct weir_segment *first = make(name, 100, 0);
    strcpy(weir_segment_data(first), "first");
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
    struct weir_segment *second = make(name, 200, 0);
    assert_string_equal(weir_segment_data(first), "first");
    assert_int_equal(*(char *)weir_segment_data(second), 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(first, &stat), 0);
    assert_true(stat.removed == 1 && stat.lifetime == WEIR_EPHEMERAL);
    /* Still to be mapped once more, by who has it. */
    void *again;
    assert_result(weir_segment_attach(first, NULL, 0, &again), 0);
    assert_string_equal(again, "first");
    weir_segment_close(first);
    weir_segment_close(second);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

/* --- races ------------------------------------------------------------------------------ */

#define RACERS 8
#define RACE_BYTES (4 * MIB) /* so large that several are making it before one has it made */

static void race_to_create(struct companion *companion, void *argument)
{
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    companion_arrive(companion);
    int result =
        weir_segment_create_or_open(&segment, weir_by_posix(argument), RACE_BYTES, &options);
    CHECK(result == 0 || result == WEIR_CREATED);
    CHECK(weir_segment_size(segment) == RACE_BYTES);
    weir_segment_close(segment);
    _exit(result == WEIR_CREATED ? 10 : 0);
}

static void test_one_creator_wins(void **state)
{
    (void)state;
    const char *name = posix_name("race");
    for (int round = 0; round < (SANITIZED ? 5 : 15); round++) {
        struct companion racers[RACERS];
        int winners = 0;
        for (int i = 0; i < RACERS; i++)
            companion_start(&racers[i], race_to_create, (void *)(uintptr_t)name);
        for (int i = 0; i < RACERS; i++)
            companion_meet(&racers[i]);
        for (int i = 0; i < RACERS; i++)
            companion_release(&racers[i]);
        for (int i = 0; i < RACERS; i++) {
            int status = companion_end(&racers[i]);
            assert_true(WIFEXITED(status));
            assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10);
            winners += WEXITSTATUS(status) == 10;
        }
        assert_int_equal(winners, 1);
        assert_int_equal(posix_now(), 1);
        assert_result(weir_segment_remove(weir_by_posix(name)), 0);
    }
}

static void create_and_remove(struct companion *companion, void *argument)
{
    struct weir_segment_options options = persistent_options();
    options.mode = 0640;
    companion_arrive(companion);
    for (;;) { /* until the test has seen enough */
        struct weir_segment *segment;
        CHECK_RESULT(weir_segment_create(&segment, weir_by_posix(argument), 3 * MIB, &options), 0);
        weir_segment_close(segment);
        CHECK_RESULT(weir_segment_remove(weir_by_posix(argument)), 0);
    }
}

static void test_nobody_sees_a_half_made_one(void **state)
{
    (void)state;
    const char *name = posix_name("half");
    struct companion maker;
    companion_start(&maker, create_and_remove, (void *)(uintptr_t)name);
    companion_meet(&maker);
    companion_release(&maker);
    int status;
    unsigned seen = 0;
    while (seen < (SANITIZED ? 20 : 100)) {
        assert_int_equal(waitpid(maker.pid, &status, WNOHANG), 0);
        struct stat found;
        int fd = shm_open(name, O_RDONLY, 0);
        if (fd < 0) {
            assert_int_equal(errno, ENOENT);
            continue;
        }
        assert_int_equal(fstat(fd, &found), 0);
        close(fd);
        assert_int_equal(found.st_size, 3 * MIB);
        assert_true((uint64_t)found.st_blocks * 512 >= 3 * MIB);
        assert_int_equal(found.st_mode & 0777, 0640);
        seen++;
    }
    kill(maker.pid, SIGKILL);
    assert_int_equal(companion_end(&maker), SIGKILL);
    int result = weir_segment_remove(weir_by_posix(name));
    assert_true(result == 0 || result == -ENOENT);
}

static void ignore(int number)
{
    (void)number;
}

/*
 * A program with a timer: each signal undoes the fallocate(2) that it hits, on many kernels (not on
 * Linux 6.18, where only a fatal one does).
 */
static void test_signals_do_not_stop_it(void **state)
{
    (void)state;
    const char *name = posix_name("signals");
    struct sigaction action = { .sa_handler = ignore }, before;
    struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    int result = weir_segment_create(&segment, weir_by_posix(name), 128 * MIB, &options);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_result(result, 0);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

/* --- truncation ------------------------------------------------------------------------- */

static void touch_behind_the_end(void *argument)
{
    struct weir_segment *segment = argument;
    CHECK(truncate(posix_path("cut"), 4096) == 0);
    volatile char *data = weir_segment_data(segment);
    CHECK(data[4095] == 0);
    signal(SIGBUS, SIG_DFL);
    (void)data[4096];
}

static void test_truncation_is_a_sigbus(void **state)
{
    (void)state;
    const char *name = posix_name("cut");
    struct weir_segment *segment = make(name, 8192, 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    int status = status_in_child(touch_behind_the_end, segment);
    if (!SANITIZED) { /* a sanitizer reports it in its own way */
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGBUS);
    }
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.shm_segsz == 4096 && stat.size_bytes == 8192); /* how it can be noticed */
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

/* --- mappings --------------------------------------------------------------------------- */

static void store(void *argument)
{
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)argument = 1;
}

static void test_attach(void **state)
{
    (void)state;
    const char *name = posix_name("attach");
    struct weir_segment *segment = make(name, 8192, 0), *reader = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    void *again, *third, *none = NULL;
    assert_result(weir_segment_attach(segment, NULL, 0, &again), 0);
    strcpy(again, "twice");
    assert_string_equal(weir_segment_data(segment), "twice");
    /* At an address: free, taken, unaligned. */
    assert_result(weir_segment_attach(segment, NULL, 0, &third), 0);
    assert_result(weir_segment_detach(segment, third), 0);
    void *wanted = third;
    assert_result(weir_segment_attach(segment, wanted, 0, &third), 0);
    assert_ptr_equal(third, wanted);
    expect_refused(weir_segment_attach(segment, again, 0, &none), -EINVAL, "free bytes");
    expect_refused(weir_segment_attach(segment, (char *)wanted + 1, 0, &none), -EINVAL, "multiple");
    assert_string_equal(again, "twice");
    assert_null(none);
    assert_result(weir_segment_detach(segment, again), 0);
    expect_refused(weir_segment_detach(segment, again), -EINVAL, "no mapping");
    options.flags = WEIR_SEGMENT_READ_ONLY;
    assert_result(weir_segment_open(&reader, weir_by_posix(name), 0, &options), 0);
    assert_string_equal(weir_segment_data(reader), "twice");
    expect_refused(weir_segment_attach(reader, NULL, 0, &none), -EACCES, "read-only");
    int status = status_in_child(store, weir_segment_data(reader));
    if (!SANITIZED)
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    weir_segment_close(reader);
    weir_segment_close(segment);
    options.flags = 0;
    options.address = wanted;
    assert_result(weir_segment_open(&segment, weir_by_posix(name), 0, &options), 0);
    assert_ptr_equal(weir_segment_data(segment), wanted);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

static void test_page_flags(void **state)
{
    (void)state;
    const char *name = posix_name("flags");
    struct weir_segment *segment = make(name, MIB,
                                        WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_NO_DUMP |
                                            WEIR_SEGMENT_NO_FORK | WEIR_SEGMENT_HUGE_PAGES);
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.pages == WEIR_PAGES_NORMAL || stat.pages == WEIR_PAGES_TRANSPARENT);
    assert_int_equal(smaps_field(weir_segment_data(segment), "Rss"), 1024);
    assert_true(smaps_flag(weir_segment_data(segment), "dd")); /* not in core dumps */
    assert_true(smaps_flag(weir_segment_data(segment), "dc")); /* not in children */
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

/* --- fork and exec ---------------------------------------------------------------------- */

static void close_in_child(void *argument)
{
    struct weir_segment *segment = argument;
    strcpy(weir_segment_data(segment), "child was here");
    weir_segment_close(segment);
}

static void test_fork_and_exec(void **state)
{
    (void)state;
    const char *name = posix_name("fork");
    struct weir_segment *segment = make(name, 100, 0);
    in_child(close_in_child, segment);
    assert_string_equal(weir_segment_data(segment), "child was here");
    int fd = weir_segment_fd(segment);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    void *again;
    assert_result(weir_segment_attach(segment, NULL, 0, &again),
                  0); /* the descriptor is ours yet */
    weir_segment_close(segment);
    segment = make(posix_name("nofork"), 100, WEIR_SEGMENT_NO_FORK);
    /* In the child something else may lie there: its close must not take that away. */
    in_child((void (*)(void *))weir_segment_close, segment);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
    assert_result(weir_segment_remove(weir_by_posix(posix_name("nofork"))), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, files_begin, files_check)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_other_programs_meet_it),
        TEST(test_what_others_made),
        TEST(test_removed_under_us),
        TEST(test_one_creator_wins),
        TEST(test_nobody_sees_a_half_made_one),
        TEST(test_signals_do_not_stop_it),
        TEST(test_truncation_is_a_sigbus),
        TEST(test_attach),
        TEST(test_page_flags),
        TEST(test_fork_and_exec),
    };
    return cmocka_run_group_tests_name("posix", tests, fixture_start, fixture_end);
}
