/* SPDX-License-Identifier: MIT */
/*
 * Goal: a memfd of weir's cannot be changed in size by anybody, one of ONE_WRITER cannot be written
 *       by anybody else, and no descriptor is opened that lacks what makes it safe.
 * Method: every way to change it is tried, as root too; descriptors of every kind are offered, with
 *       one seal missing at a time.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static const char *self; /* this program's file */

static struct weir_segment *make(uint64_t size_bytes, uint32_t flags)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.flags = flags;
    assert_result(weir_segment_create(&segment, weir_memfd(), size_bytes, &options), 0);
    return segment;
}

static void test_nobody_changes_its_size(void **state)
{
    (void)state;
    struct weir_segment *segment = make(10000, 0);
    struct weir_segment_stat stat = { .size = sizeof stat };
    int fd = weir_segment_fd(segment);
    assert_int_equal(weir_segment_size(segment), 10000);
    assert_true(all_bytes(weir_segment_data(segment), 10000, 0));
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.backend == WEIR_BACKEND_MEMFD && stat.size_bytes == 10000);
    assert_true((stat.seals & SIZE_SEALS) == SIZE_SEALS && !(stat.seals & F_SEAL_FUTURE_WRITE));
    assert_true(stat.mode == 0600 && stat.cuid == geteuid() && stat.id == -1);
    assert_true(stat.lifetime == WEIR_EPHEMERAL && stat.removed == 1 && stat.shm_nattch == 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    const off_t sizes[] = { 0, 4096, 9999, 10001, 20000 };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(ftruncate(fd, sizes[i]), -1);
        assert_int_equal(errno, EPERM);
    }
    assert_int_equal(fallocate(fd, 0, 0, 20000), -1);
    assert_int_equal(errno, EPERM);
    /* Not after it was opened once more either, and no seal is added. */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(truncate(path, 0), -1);
    assert_int_equal(open(path, O_RDWR | O_TRUNC | O_CLOEXEC), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(errno, EPERM);
    assert_result(weir_segment_lookup(weir_by_fd(fd), &stat), 0);
    assert_int_equal(stat.size_bytes, 10000);
    weir_segment_close(segment);
}

/* As a kernel that knows of it says of a file of the test's own (Linux 6.3): no right to that comes. */
static void test_nobody_may_execute_it(void **state)
{
    (void)state;
    int known = memfd_create("known", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (known < 0)
        skip();
    close(known);
    struct weir_segment *segment = make(10000, 0);
    struct stat found;
    int fd = weir_segment_fd(segment);
    assert_int_equal(fchmod(fd, 0700), -1);
    assert_int_equal(errno, EPERM);
    assert_true(fstat(fd, &found) == 0 && (found.st_mode & 0111) == 0);
    assert_int_equal(fchmod(fd, 0640), 0); /* its other rights are its owner's to give */
    weir_segment_close(segment);
}

static void test_open_by_descriptor(void **state)
{
    (void)state;
    struct weir_segment *segment = make(10000, 0), *other = NULL;
    strcpy(weir_segment_data(segment), "made");
    int fd = weir_segment_fd(segment);
    assert_result(weir_segment_open(&other, weir_by_fd(fd), 10000, NULL), 0);
    assert_int_not_equal(weir_segment_fd(other), fd);
    assert_string_equal(weir_segment_data(other), "made");
    /* What was given stays open; each handle has its own. */
    weir_segment_close(segment);
    assert_string_equal(weir_segment_data(other), "made");
    void *again;
    assert_result(weir_segment_attach(other, NULL, 0, &again), 0);
    assert_string_equal(again, "made");
    weir_segment_close(other);
}

/* --- refused ---------------------------------------------------------------------------- */

static int sealed(unsigned seals, off_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int reopened(int flags)
{
    char path[64];
    int fd = sealed(SIZE_SEALS, 4096);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, flags | O_CLOEXEC);
    close(fd);
    assert_true(again >= 0);
    return again;
}

static int without_seal_shrink(void)
{
    return sealed(F_SEAL_GROW | F_SEAL_SEAL, 4096);
}

static int without_seal_grow(void)
{
    return sealed(F_SEAL_SHRINK | F_SEAL_SEAL, 4096);
}

static int without_seal_seal(void)
{
    return sealed(F_SEAL_SHRINK | F_SEAL_GROW, 4096);
}

static int never_sealable(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4096), 0);
    return fd;
}

static int in_dev_shm(void)
{
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 4096), 0);
    return fd;
}

static int device(void)
{
    return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int folder(void)
{
    return open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int plain_file(void)
{
    return open(self, O_RDONLY | O_CLOEXEC);
}

static int pipe_end(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[1]);
    return ends[0];
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int only_path(void)
{
    return reopened(O_PATH);
}

static int only_writable(void)
{
    return reopened(O_WRONLY);
}

static int only_readable(void)
{
    return reopened(O_RDONLY);
}

static int empty(void)
{
    return sealed(SIZE_SEALS, 0);
}

static int frozen(void)
{
    return sealed(SIZE_SEALS | F_SEAL_WRITE, 4096);
}

static int future_frozen(void)
{
    return sealed(SIZE_SEALS | F_SEAL_FUTURE_WRITE, 4096);
}

static int small(void)
{
    return sealed(SIZE_SEALS, 99);
}

static const struct refused_row {
    int (*make)(void);
    int writing, reading; /* what an open says */
    const char *word;
} refused_rows[] = {
    { without_seal_shrink, -EPROTO, -EPROTO, "lacks F_SEAL_SHRINK (" },
    { without_seal_grow, -EPROTO, -EPROTO, "lacks F_SEAL_GROW (" },
    { without_seal_seal, -EPROTO, -EPROTO, "lacks F_SEAL_SEAL (" },
    { never_sealable, -EPROTO, -EPROTO, "F_SEAL_SHRINK F_SEAL_GROW (" },
    { in_dev_shm, -EPROTO, -EPROTO, "F_SEAL_SHRINK F_SEAL_GROW (" },
    { device, -EPROTO, -EPROTO, "no memfd" },
    { folder, -EPROTO, -EPROTO, "no memfd" },
    { plain_file, -EPROTO, -EPROTO, "no memfd" },
    { pipe_end, -EPROTO, -EPROTO, "no memfd" },
    { unix_socket, -EPROTO, -EPROTO, "no memfd" },
    { only_path, -EPROTO, -EPROTO, "O_PATH" },
    { empty, -EPROTO, -EPROTO, "no bytes" },
    { small, -EINVAL, -EINVAL, "has 99 bytes, and 100" },
    { only_writable, -EACCES, -EACCES, "writing alone" },
    { only_readable, -EACCES, 0, "read-only" },
    { frozen, -EACCES, 0, "read-only" },
    { future_frozen, -EACCES, 0, "read-only" },
};

static void test_what_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused_rows); i++) {
        const struct refused_row *row = &refused_rows[i];
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment *segment = NULL;
        int fd = row->make();
        unsigned descriptors = descriptors_now();
        expect_refused(weir_segment_open(&segment, weir_by_fd(fd), 100, NULL), row->writing,
                       row->word);
        options.flags = WEIR_SEGMENT_READ_ONLY;
        int result = weir_segment_open(&segment, weir_by_fd(fd), 100, &options);
        assert_result(result, row->reading);
        if (result == 0) {
            assert_true(all_bytes(weir_segment_data(segment), 4096, 0));
            weir_segment_close(segment);
        } else {
            assert_null(segment);
            assert_non_null(strstr(weir_last_error(), row->word));
        }
        assert_int_equal(descriptors_now(), descriptors);
        assert_true(fcntl(fd, F_GETFD) >= 0); /* the caller's */
        close(fd);
    }
}

/* Whether another process finds the file locked. */
static void expect_locked(void *argument)
{
    struct flock asked = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    CHECK(fcntl(*(int *)argument, F_GETLK, &asked) == 0);
    CHECK(asked.l_type == F_WRLCK && asked.l_pid == getppid());
}

/* A close of any descriptor of a file takes this process's record locks on it away. */
static void test_a_refusal_takes_no_locks(void **state)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct weir_segment *segment = NULL;
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = fileno(file);
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    expect_refused(weir_segment_open(&segment, weir_by_fd(fd), 0, NULL), -EPROTO, "no memfd");
    assert_null(segment);
    in_child(expect_locked, &fd);
    fclose(file);
}

static void test_calls_that_do_not_exist(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment = NULL, *sysv;
    struct weir_object object;
    char texts[300];
    expect_refused(weir_segment_open(&segment, weir_memfd(), 0, NULL), -EINVAL, "weir_by_fd()");
    expect_refused(weir_segment_create(&segment, weir_by_fd(0), 1, NULL), -EINVAL, "weir_memfd()");
    expect_refused(weir_segment_create_or_open(&segment, weir_by_fd(0), 1, NULL), -EINVAL,
                   "weir_memfd()");
    expect_refused(weir_segment_open(&segment, weir_by_fd(-1), 0, NULL), -EINVAL, "-1");
    expect_refused(weir_segment_open(&segment, weir_by_fd(999), 0, NULL), -EBADF, "999");
    expect_refused(weir_segment_remove(weir_memfd()), -EOPNOTSUPP, "no name");
    expect_refused(weir_segment_remove(weir_by_fd(0)), -EOPNOTSUPP, "no name");
    expect_refused(weir_segment_lookup(weir_memfd(), &stat), -EINVAL, "descriptor");
    expect_refused(weir_segment_lookup(weir_by_fd(999), &stat), -EBADF, "999");
    int pipe_fd = pipe_end();
    expect_refused(weir_segment_lookup(weir_by_fd(pipe_fd), &stat), -EPROTO, "no memfd");
    close(pipe_fd);
    int named = shm_open("/named", O_CREAT | O_EXCL | O_RDWR, 0600); /* of a tmpfs: it has seals */
    assert_true(named >= 0);
    expect_refused(weir_segment_lookup(weir_by_fd(named), &stat), -EPROTO, "no memfd");
    close(named);
    assert_int_equal(shm_unlink("/named"), 0);
    expect_refused(weir_inspect_one(weir_by_fd(0), 0, &object, texts, sizeof texts), -EINVAL,
                   "memfd");
    options.lifetime = WEIR_PERSISTENT;
    expect_refused(weir_segment_create(&segment, weir_memfd(), 1, &options), -EOPNOTSUPP,
                   "persistent");
    options.lifetime = WEIR_EPHEMERAL;
    options.semaphores = 1;
    expect_refused(weir_segment_create(&segment, weir_memfd(), 1, &options), -EOPNOTSUPP,
                   "semaphores");
    expect_refused(weir_segment_create(&segment, weir_memfd(), 0, NULL), -EINVAL, "0 bytes");
    assert_null(segment);
    assert_result(weir_segment_create_or_open(&segment, weir_memfd(), 1, NULL), WEIR_CREATED);
    weir_segment_close(segment);
    assert_result(weir_segment_create(&sysv, weir_private(), 1, NULL), 0);
    expect_refused(weir_segment_fd(sysv), -EOPNOTSUPP, "no descriptor");
    weir_segment_close(sysv);
}

/* --- one writer ------------------------------------------------------------------------- */

static void test_one_writer(void **state)
{
    (void)state;
    struct weir_segment *segment = make(8192, WEIR_SEGMENT_ONE_WRITER), *reader = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    void *none = NULL;
    char path[64];
    int fd = weir_segment_fd(segment);
    strcpy(weir_segment_data(segment), "one");
    expect_refused(weir_segment_attach(segment, NULL, 0, &none), -EACCES, "read-only");
    expect_refused(weir_segment_open(&reader, weir_by_fd(fd), 0, NULL), -EACCES, "sealed");
    options.flags = WEIR_SEGMENT_READ_ONLY;
    assert_result(weir_segment_open(&reader, weir_by_fd(fd), 0, &options), 0);
    assert_string_equal(weir_segment_data(reader), "one");
    strcpy(weir_segment_data(segment), "two"); /* the creator goes on */
    assert_string_equal(weir_segment_data(reader), "two");
    /* No way around it, for root and for the creator itself. */
    assert_int_equal(mprotect(weir_segment_data(reader), 4096, PROT_READ | PROT_WRITE), -1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    int fds[] = { fd, again };
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        assert_int_equal(pwrite(fds[i], "x", 1, 0), -1);
        assert_int_equal(errno, EPERM);
        assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0),
                         MAP_FAILED);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
                         -1);
    }
    close(again);
    assert_string_equal(weir_segment_data(reader), "two");
    weir_segment_close(segment);
    assert_string_equal(weir_segment_data(reader), "two"); /* it outlives its writer */
    weir_segment_close(reader);
}

/* --- huge pages ------------------------------------------------------------------------- */

static void test_huge_pages_fall_back(void **state)
{
    (void)state;
    if (reserved_huge_pages(-1) > 1000)
        skip();
    struct weir_segment *segment = make(UINT64_C(4) << 30, WEIR_SEGMENT_HUGE_PAGES), *other = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.pages == WEIR_PAGES_NORMAL || stat.pages == WEIR_PAGES_TRANSPARENT);
    assert_int_equal(weir_segment_size(segment), UINT64_C(4) << 30);
    assert_result(weir_segment_open(&other, weir_by_fd(weir_segment_fd(segment)), 0, NULL), 0);
    weir_segment_close(other);
    weir_segment_close(segment);
}

static void huge_pages_real(void *argument)
{
    static const uint32_t flags[] = { 0, WEIR_SEGMENT_ONE_WRITER, WEIR_SEGMENT_NO_FORK,
                                      WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_NO_DUMP };
    (void)argument;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment = NULL, *other = NULL;
        void *again;
        options.flags = WEIR_SEGMENT_HUGE_PAGES | flags[i];
        CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 3 * MIB, &options), 0);
        CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
        CHECK(stat.pages == WEIR_PAGES_HUGETLB && (stat.seals & SIZE_SEALS) == SIZE_SEALS);
        uint64_t size_bytes = weir_segment_size(segment);
        CHECK(size_bytes > 3 * MIB && size_bytes == stat.size_bytes); /* whole pages */
        memset(weir_segment_data(segment), 7, size_bytes);
        /* Its maker could take a page out, and leave us without one: by flag alone. */
        struct weir_ref ref = weir_by_fd(weir_segment_fd(segment));
        options.flags = WEIR_SEGMENT_READ_ONLY;
        CHECK_RESULT(weir_segment_open(&other, ref, 0, &options), -EPROTO);
        CHECK(strstr(weir_last_error(), "huge pages"));
        options.flags |= WEIR_SEGMENT_HUGE_PAGES;
        CHECK_RESULT(weir_segment_open(&other, ref, 3 * MIB, &options), 0);
        CHECK(weir_segment_size(other) == size_bytes);
        CHECK(all_bytes(weir_segment_data(other), size_bytes, 7));
        CHECK_RESULT(weir_segment_attach(other, NULL, WEIR_SEGMENT_READ_ONLY, &again), 0);
        CHECK_RESULT(weir_segment_detach(other, again), 0);
        bool is_sealed = flags[i] & WEIR_SEGMENT_ONE_WRITER;
        CHECK_RESULT(weir_segment_attach(other, NULL, 0, &again), is_sealed ? -EACCES : 0);
        CHECK(ftruncate(weir_segment_fd(other), 0) != 0 && errno == EPERM);
        weir_segment_close(other);
        weir_segment_close(segment);
    }
}

static void test_huge_pages_real(void **state)
{
    (void)state;
    long before = reserved_huge_pages(-1);
    if (before < 0 || reserved_huge_pages(before + 8) < before + 8) {
        reserved_huge_pages(before < 0 ? 0 : before);
        skip();
    }
    int status = status_in_child(huge_pages_real, NULL);
    reserved_huge_pages(before);
    assert_int_equal(status, 0);
}

/* --- other users, other programs -------------------------------------------------------- */

struct given {
    int fd;
    uint32_t trust, trust_uid;
    int result;
};

static void open_as_third(void *argument)
{
    const struct given *given = argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    become(THIRD_UID);
    options.trust = given->trust;
    options.trust_uid = given->trust_uid;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_fd(given->fd), 0, &options), given->result);
    CHECK((segment != NULL) == (given->result == 0));
    weir_segment_close(segment);
}

static void give_as_other(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    CHECK(setresuid(-1, OTHER_UID, -1) == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 100, NULL), 0);
    CHECK(setresuid(-1, 0, -1) == 0);
    int fd = weir_segment_fd(segment);
    struct given rows[] = { { fd, WEIR_TRUST_SELF, 0, -EPERM },
                            { fd, WEIR_TRUST_UID, THIRD_UID, -EPERM },
                            { fd, WEIR_TRUST_UID, OTHER_UID, 0 },
                            { fd, WEIR_TRUST_ANYONE, 0, 0 } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        CHECK(status_in_child(open_as_third, &rows[i]) == 0);
}

static void test_trust(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(give_as_other, NULL);
}

static void meet_limits(void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    struct rlimit limit = { 4096, 4096 };
    signal(SIGXFSZ, SIG_DFL);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 4097, NULL), -E2BIG);
    CHECK(strstr(weir_last_error(), "RLIMIT_FSIZE is 4096"));
    options.flags = WEIR_SEGMENT_HUGE_PAGES; /* of one of which a file may not be: in normal ones */
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 4096, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_create(&segment, weir_memfd(), 4096, NULL), 0);
    limit.rlim_cur = limit.rlim_max = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct weir_segment *other = NULL;
    CHECK_RESULT(weir_segment_create(&other, weir_memfd(), 1, NULL), -EMFILE);
    CHECK(strstr(weir_last_error(), "ulimit -n"));
    int result = weir_segment_open(&other, weir_by_fd(weir_segment_fd(segment)), 0, NULL);
    CHECK(result == -EMFILE || result == -EINVAL); /* fcntl(2): EINVAL when the limit is 0 */
    CHECK(other == NULL);
}

static void test_limits(void **state)
{
    (void)state;
    in_child(meet_limits, NULL);
}

/* What fork and exec hand on. */
static void test_fork(void **state)
{
    (void)state;
    struct weir_segment *segment = make(100, 0);
    in_child((void (*)(void *))weir_segment_close, segment);
    strcpy(weir_segment_data(segment), "still here");
    struct weir_segment *hidden = make(100, WEIR_SEGMENT_NO_FORK);
    in_child((void (*)(void *))weir_segment_close, hidden);
    weir_segment_close(hidden);
    weir_segment_close(segment);
}

static int exec_child(const char *number)
{
    struct weir_segment *segment;
    int fd = atoi(number);
    if (weir_segment_open(&segment, weir_by_fd(fd), 100, NULL) != 0)
        return fcntl(fd, F_GETFD) < 0 ? 50 : 51; /* 50: there is no such descriptor */
    int status = strcmp(weir_segment_data(segment), "over exec") == 0 ? 52 : 53;
    weir_segment_close(segment);
    return status;
}

static void exec_with(void *argument)
{
    char number[16];
    snprintf(number, sizeof number, "%d", *(int *)argument);
    execl(self, self, "--exec", number, (char *)NULL);
    _exit(99);
}

static void test_exec(void **state)
{
    (void)state;
    struct weir_segment *segment = make(100, 0);
    strcpy(weir_segment_data(segment), "over exec");
    int fd = weir_segment_fd(segment);
    int status = status_in_child(exec_with, &fd);
    assert_int_equal(WEXITSTATUS(status), 50); /* closed by exec */
    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    status = status_in_child(exec_with, &fd);
    assert_int_equal(WEXITSTATUS(status), 52);
    weir_segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, files_begin, files_check)

/* The lock of the huge pages is a descriptor, which no test shall be taken to have left. */
static int start(void **state)
{
    reserved_huge_pages(-1);
    return fixture_start(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nobody_changes_its_size),
        TEST(test_nobody_may_execute_it),
        TEST(test_open_by_descriptor),
        TEST(test_what_is_refused),
        TEST(test_a_refusal_takes_no_locks),
        TEST(test_calls_that_do_not_exist),
        TEST(test_one_writer),
        TEST(test_huge_pages_fall_back),
        TEST(test_huge_pages_real),
        TEST(test_trust),
        TEST(test_limits),
        TEST(test_fork),
        TEST(test_exec),
    };
    if (argc == 3 && strcmp(argv[1], "--exec") == 0)
        return exec_child(argv[2]);
    self = argv[0];
    return cmocka_run_group_tests_name("memfd", tests, start, fixture_end);
}
