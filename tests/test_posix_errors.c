/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever is wrong with a POSIX segment, its name, its file, its owner or the room for it,
 *       has its code and a sentence with the cure, and leaves no file and no descriptor.
 * Method: tables of arguments; files of every kind in /dev/shm; small, full, read-only and missing
 *       /dev/shm in mount namespaces of the test's own; other users.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static void expect_nothing(struct weir_segment *segment, unsigned descriptors)
{
    assert_null(segment);
    assert_int_equal(posix_now(), 0);
    assert_int_equal(descriptors_now(), descriptors);
}

static void test_names(void **state)
{
    (void)state;
    static char longest[258], longer[258];
    memset(longest, 'n', 256);
    memset(longer, 'n', 257);
    longest[0] = longer[0] = '/';
    static const struct {
        const char *name, *word;
        int result;
    } rows[] = {
        { NULL, "slash", -EINVAL },        { "", "slash", -EINVAL },
        { "name", "slash", -EINVAL },      { "/", "must follow", -EINVAL },
        { "/.", "must follow", -EINVAL },  { "/..", "must follow", -EINVAL },
        { "/a/b", "one slash", -EINVAL },  { "//a", "one slash", -EINVAL },
        { "/../x", "one slash", -EINVAL }, { longer, "255", -ENAMETOOLONG },
    };
    unsigned descriptors = descriptors_now();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment_options options = persistent_options();
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_object object;
        char texts[300];
        struct weir_segment *segment = NULL;
        struct weir_ref ref = weir_by_posix(rows[i].name);
        int result = rows[i].result;
        expect_refused(weir_posix_name_check(rows[i].name), result, rows[i].word);
        expect_refused(weir_segment_create(&segment, ref, 1, &options), result, rows[i].word);
        expect_refused(weir_segment_open(&segment, ref, 0, NULL), result, rows[i].word);
        expect_refused(weir_segment_create_or_open(&segment, ref, 1, &options), result,
                       rows[i].word);
        expect_refused(weir_segment_lookup(ref, &stat), result, rows[i].word);
        expect_refused(weir_segment_remove(ref), result, rows[i].word);
        expect_refused(weir_inspect_one(ref, 0, &object, texts, sizeof texts), result,
                       rows[i].word);
        expect_nothing(segment, descriptors);
    }
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_create(&segment, weir_by_posix(longest), 1, &options), 0);
    weir_segment_close(segment);
    struct weir_object object;
    char texts[300];
    assert_result(weir_inspect_one(weir_by_posix(longest), 0, &object, texts, sizeof texts), 0);
    assert_string_equal(object.name, longest);
    assert_true(object.type == WEIR_OBJECT_POSIX && object.size_bytes == 1);
    assert_string_equal(object.kind, "posix");
    expect_refused(
        weir_inspect_one(weir_by_posix(longest), WEIR_OBJECT_SEGMENT, &object, texts, sizeof texts),
        -EINVAL, "WEIR_OBJECT_POSIX");
    expect_refused(weir_inspect_one(weir_by_posix(longest), 0, &object, texts, 100), -EINVAL,
                   "too few");
    assert_result(weir_segment_remove(weir_by_posix(longest)), 0);
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        uint64_t size_bytes;
        struct weir_segment_options options;
        const char *word;
        int result;
    } rows[] = {
        { 0, { .lifetime = WEIR_PERSISTENT }, "0 bytes", -EINVAL },
        { UINT64_MAX, { .lifetime = WEIR_PERSISTENT }, "beyond", -E2BIG },
        { INT64_MAX - 65536, { .lifetime = WEIR_PERSISTENT }, "/dev/shm has", -ENOSPC },
        { 1, { .lifetime = WEIR_EPHEMERAL }, "cannot be ephemeral", -EOPNOTSUPP },
        { 1, { .lifetime = WEIR_PERSISTENT, .semaphores = 1 }, "no semaphores", -EOPNOTSUPP },
        { 1, { .lifetime = WEIR_PERSISTENT, .mode = 0700 }, "0700", -EINVAL },
        { 1, { .lifetime = WEIR_PERSISTENT, .flags = 1 << 9 }, "0x200", -EINVAL },
        { 1,
          { .lifetime = WEIR_PERSISTENT, .flags = WEIR_SEGMENT_READ_ONLY },
          "READ_ONLY",
          -EINVAL },
        { 1, { .lifetime = WEIR_PERSISTENT, .address = (void *)1 }, "multiple", -EINVAL },
    };
    unsigned descriptors = descriptors_now();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment *segment = NULL;
        struct weir_ref ref = weir_by_posix(posix_name("options"));
        struct weir_segment_options options = rows[i].options;
        options.size = sizeof options;
        expect_refused(weir_segment_create(&segment, ref, rows[i].size_bytes, &options),
                       rows[i].result, rows[i].word);
        expect_refused(weir_segment_create_or_open(&segment, ref, rows[i].size_bytes, &options),
                       rows[i].result, rows[i].word);
        expect_nothing(segment, descriptors);
    }
    struct weir_segment *segment = NULL;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    expect_refused(weir_segment_create(&segment, weir_by_posix("/x"), 1, NULL), -EOPNOTSUPP,
                   "WEIR_PERSISTENT");
    expect_refused(weir_segment_open(&segment, weir_by_posix(posix_name("none")), 0, NULL), -ENOENT,
                   posix_name("none"));
    options.trust = WEIR_TRUST_DIRECTORY;
    expect_refused(weir_segment_open(&segment, weir_by_posix("/x"), 0, &options), -EINVAL,
                   "for names");
    options.trust = 0;
    options.semaphores = 1;
    expect_refused(weir_segment_open(&segment, weir_by_posix("/x"), 0, &options), -EINVAL,
                   "no semaphores");
    expect_nothing(segment, descriptors);
}

static void test_semsets_are_system_v(void **state)
{
    (void)state;
    struct weir_semset *set = NULL;
    const struct weir_ref refs[] = { weir_by_posix("/x"), weir_memfd(), weir_by_fd(0) };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        expect_refused(weir_semset_create(&set, refs[i], 1, NULL, NULL), -EINVAL, "System V");
        expect_refused(weir_semset_open(&set, refs[i], 1, NULL), -EINVAL, "System V");
        expect_refused(weir_semset_remove(refs[i]), -EINVAL, "System V");
        assert_null(set);
    }
}

static void test_modes(void **state)
{
    (void)state;
    static const uint32_t modes[] = { 0600, 0640, 0644, 0660, 0666, 0400, 0200 };
    const char *name = posix_name("mode");
    mode_t mask = umask(0777);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct weir_segment_options options = persistent_options();
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment = NULL;
        options.mode = modes[i];
        assert_result(weir_segment_create(&segment, weir_by_posix(name), 1, &options), 0);
        assert_result(weir_segment_stat(segment, &stat), 0);
        assert_int_equal(stat.mode, modes[i]);
        weir_segment_close(segment);
        assert_result(weir_segment_remove(weir_by_posix(name)), 0);
    }
    umask(mask);
    struct weir_segment_options options = persistent_options();
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment = NULL;
    options.mode = 0664;
    options.flags = WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_SET_GID;
    options.gid = getegid();
    assert_result(weir_segment_create(&segment, weir_by_posix(name), 1, &options), 0);
    *(char *)weir_segment_data(segment) = 1; /* the creator goes on */
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_true(stat.mode == 0444 && stat.gid == getegid());
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_posix(name)), 0);
}

/* --- what else may stand there ---------------------------------------------------------- */

static void put_link(const char *path)
{
    assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void put_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void put_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static void put_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void test_no_segment(void **state)
{
    (void)state;
    static const struct {
        void (*put)(const char *path);
        const char *word;
    } rows[] = { { put_link, "symbolic link" },
                 { put_fifo, "something else" },
                 { put_directory, "directory" },
                 { put_socket, "something else" } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment_options options = persistent_options();
        struct weir_segment *segment = NULL;
        struct weir_ref ref = weir_by_posix(posix_name("else"));
        unsigned descriptors = descriptors_now();
        rows[i].put(posix_path("else"));
        expect_refused(weir_segment_open(&segment, ref, 0, NULL), -EPROTO, rows[i].word);
        expect_refused(weir_segment_create_or_open(&segment, ref, 1, &options), -EPROTO,
                       rows[i].word);
        expect_refused(weir_segment_create(&segment, ref, 1, &options), -EEXIST, "no segment");
        assert_null(strstr(weir_last_error(), "weir rm")); /* which refuses it, too */
        options.flags = WEIR_SEGMENT_READ_ONLY;
        expect_refused(weir_segment_open(&segment, ref, 0, &options), -EPROTO, rows[i].word);
        expect_refused(weir_segment_lookup(ref, &stat), -EPROTO, rows[i].word);
        expect_refused(weir_segment_remove(ref), -EPROTO, rows[i].word);
        assert_int_equal(posix_now(), 1); /* it is not ours to remove */
        assert_int_equal(remove(posix_path("else")), 0);
        expect_nothing(segment, descriptors);
    }
}

/* --- other users ------------------------------------------------------------------------ */

static void make_as_other(void *argument)
{
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment;
    options.mode = *(uint32_t *)argument;
    become(OTHER_UID);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix(posix_name("other")), 10, &options),
                 0);
}

struct trust_row {
    uint32_t mode, trust, trust_uid, flags;
    int result;
    const char *word;
};

static void open_as_third(void *argument)
{
    const struct trust_row *row = argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    unsigned descriptors = descriptors_now();
    become(THIRD_UID);
    options.trust = row->trust;
    options.trust_uid = row->trust_uid;
    options.flags = row->flags;
    int result = weir_segment_open(&segment, weir_by_posix(posix_name("other")), 0, &options);
    CHECK_RESULT(result, row->result);
    CHECK((segment != NULL) == (result == 0));
    CHECK(result == 0 || strstr(weir_last_error(), row->word));
    weir_segment_close(segment);
    CHECK(descriptors_now() == descriptors);
    CHECK_RESULT(weir_segment_remove(weir_by_posix(posix_name("other"))), -EPERM);
    CHECK(has_word(weir_last_error(), "54321"));
}

static void test_other_users(void **state)
{
    (void)state;
    struct stat shm;
    if (!has_other_users() || stat("/dev/shm", &shm) != 0 || !(shm.st_mode & S_ISVTX))
        skip();
    const struct trust_row rows[] = {
        { 0600, WEIR_TRUST_ANYONE, 0, WEIR_SEGMENT_READ_ONLY, -EACCES, "at all" },
        { 0644, WEIR_TRUST_ANYONE, 0, 0, -EACCES, "read-only" },
        { 0644, WEIR_TRUST_ANYONE, 0, WEIR_SEGMENT_READ_ONLY, 0, "" },
        { 0666, WEIR_TRUST_ANYONE, 0, 0, 0, "" },
        { 0666, WEIR_TRUST_SELF, 0, 0, -EPERM, "uid 54321" },
        { 0666, WEIR_TRUST_UID, THIRD_UID, 0, -EPERM, "uid 54321" },
        { 0666, WEIR_TRUST_UID, OTHER_UID, 0, 0, "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct trust_row row = rows[i];
        in_child(make_as_other, &row.mode);
        in_child(open_as_third, &row);
        assert_result(weir_segment_remove(weir_by_posix(posix_name("other"))), 0);
    }
}

/* --- limits of the process -------------------------------------------------------------- */

static void meet_limits(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    struct weir_ref ref = weir_by_posix(posix_name("limits"));
    unsigned descriptors = descriptors_now();
    struct rlimit limit = { 4096, 4096 };
    signal(SIGXFSZ, SIG_DFL);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_RESULT(weir_segment_create(&segment, ref, 4097, &options), -E2BIG);
    CHECK(strstr(weir_last_error(), "RLIMIT_FSIZE is 4096"));
    CHECK_RESULT(weir_segment_create(&segment, ref, 4096, &options), 0);
    weir_segment_close(segment);
    segment = NULL;
    limit.rlim_cur = limit.rlim_max = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_RESULT(weir_segment_open(&segment, ref, 0, NULL), -EMFILE);
    CHECK(strstr(weir_last_error(), "ulimit -n"));
    CHECK_RESULT(weir_segment_remove(ref), 0);
    CHECK_RESULT(weir_segment_create(&segment, ref, 1, &options), -EMFILE);
    CHECK(segment == NULL && posix_now() == 0);
    (void)descriptors;
}

static void test_limits_of_the_process(void **state)
{
    (void)state;
    in_child(meet_limits, NULL);
}

/* --- /dev/shm --------------------------------------------------------------------------- */

/* In a child: a /dev/shm of its own. */
static void mount_shm(const char *options)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("tmpfs", "/dev/shm", "tmpfs", 0, options) == 0);
}

static void try_mount(void *argument)
{
    (void)argument;
    _exit(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                  mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") == 0
              ? 0
              : 1);
}

static uint64_t room_now(void)
{
    struct statvfs room;
    CHECK(statvfs("/dev/shm", &room) == 0);
    return (uint64_t)room.f_bavail * room.f_frsize;
}

static void in_a_small_one(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL, *other = NULL;
    mount_shm("size=1m,mode=1777");
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), 2 * MIB, &options), -ENOSPC);
    CHECK(has_word(weir_last_error(), "1048576") && has_word(weir_last_error(), "2097152"));
    CHECK(strstr(weir_last_error(), "remount,size=3145728 /dev/shm (docker run --shm-size=)"));
    CHECK(segment == NULL && room_now() == MIB);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), MIB / 2, &options), 0);
    /* Others take the rest: ours is there all the same. */
    int fd = open("/dev/shm/rest", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fallocate(fd, 0, 0, MIB / 2) == 0 && room_now() == 0);
    CHECK_RESULT(weir_segment_create(&other, weir_by_posix("/b"), 1, &options), -ENOSPC);
    CHECK(has_word(weir_last_error(), "0 of them are left"));
    memset(weir_segment_data(segment), 0xaa, MIB / 2);
    /* What exists says so, and not that there is no room. */
    CHECK_RESULT(weir_segment_create(&other, weir_by_posix("/a"), MIB, &options), -EEXIST);
    CHECK_RESULT(weir_segment_create_or_open(&other, weir_by_posix("/a"), 1, &options), 0);
    weir_segment_close(other);
    weir_segment_close(segment);
    close(fd);
    /* To the last page. */
    CHECK_RESULT(weir_segment_remove(weir_by_posix("/a")), 0);
    CHECK(unlink("/dev/shm/rest") == 0 && room_now() == MIB);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/c"), MIB, &options), 0);
    memset(weir_segment_data(segment), 0xbb, MIB);
}

/* A file of others with holes: prefaulting says what a touch would die of. */
static void open_holes(void *argument)
{
    (void)argument;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    mount_shm("size=1m,mode=1777");
    int fd = open("/dev/shm/holes", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(ftruncate(fd, 2 * MIB) == 0);
    close(fd);
    unsigned descriptors = descriptors_now();
    options.flags = WEIR_SEGMENT_PREFAULT;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_posix("/holes"), 0, &options), -ENOSPC);
    CHECK(strstr(weir_last_error(), "/dev/shm has 1048576 bytes"));
    CHECK(segment == NULL && descriptors_now() == descriptors);
    options.flags = WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_READ_ONLY;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_posix("/holes"), 0, &options), -ENOSPC);
    CHECK(strstr(weir_last_error(), "/dev/shm has 1048576 bytes"));
    CHECK(segment == NULL && descriptors_now() == descriptors);
    options.flags = WEIR_SEGMENT_PREFAULT;
    CHECK(truncate("/dev/shm/holes", MIB) == 0);
    CHECK_RESULT(weir_segment_open(&segment, weir_by_posix("/holes"), 0, &options), 0);
    CHECK(room_now() == 0 && weir_segment_size(segment) == MIB);
    memset(weir_segment_data(segment), 1, MIB);
}

static void in_one_without_files(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    mount_shm("size=1m,mode=1777,nr_inodes=2");
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), 1, &options), 0);
    weir_segment_close(segment);
    segment = NULL;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/b"), 1, &options), -ENOSPC);
    CHECK(strstr(weir_last_error(), "remount,nr_inodes=4"));
    CHECK(segment == NULL);
}

static void in_one_read_only(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    mount_shm("size=1m,mode=1777");
    CHECK(mount(NULL, "/dev/shm", NULL, MS_REMOUNT | MS_RDONLY, "size=1m") == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), 1, &options), -EROFS);
    CHECK(strstr(weir_last_error(), "/dev/shm") && segment == NULL);
}

static void in_none(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    mount_shm("size=1m");
    CHECK(mount("tmpfs", "/dev", "tmpfs", 0, "size=1m") == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), 1, &options), -ENOENT);
    CHECK(strstr(weir_last_error(), "mount -t tmpfs"));
    CHECK_RESULT(weir_segment_open(&segment, weir_by_posix("/a"), 0, NULL), -ENOENT);
    CHECK(segment == NULL);
}

static void without_proc(void *argument)
{
    (void)argument;
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    mount_shm("size=1m,mode=1777");
    CHECK(mount("tmpfs", "/proc", "tmpfs", 0, "size=64k") == 0);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/a"), 1, &options), -ENOENT);
    CHECK(strstr(weir_last_error(), "mount /proc") && segment == NULL);
    CHECK(access("/dev/shm/a", F_OK) != 0 && room_now() == MIB);
    /* Where names are cannot be told: no reason to say that there is none. */
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("a"), 0, NULL), -ENOSYS);
    CHECK(strstr(weir_last_error(), "mount /proc") && segment == NULL);
}

/* A container with a /dev/shm of its own: the same name is another segment. */
static void in_a_container(void *argument)
{
    (void)argument;
    struct weir_segment *segment = NULL;
    struct weir_ref ref = weir_by_posix(posix_name("outside"));
    mount_shm("size=1m,mode=1777");
    CHECK_RESULT(weir_segment_open(&segment, ref, 0, NULL), -ENOENT);
    CHECK(strstr(weir_last_error(), "container"));
    struct weir_segment_options options = persistent_options();
    CHECK_RESULT(weir_segment_create(&segment, ref, 7, &options), 0);
}

static void expect_pages(uint32_t pages)
{
    struct weir_segment_options options = persistent_options();
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment = NULL;
    options.flags = WEIR_SEGMENT_HUGE_PAGES;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_posix("/pages"), 1, &options), 0);
    CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
    CHECK(stat.pages == pages);
    weir_segment_close(segment);
}

/* Of several on top of each other the last one says what pages there are. */
static void in_one_of_huge_pages(void *argument)
{
    (void)argument;
    mount_shm("size=8m,mode=1777");
    expect_pages(WEIR_PAGES_NORMAL);
    if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=8m,mode=1777,huge=within_size") != 0)
        return; /* this kernel has none */
    expect_pages(WEIR_PAGES_TRANSPARENT);
    mount_shm("size=8m,mode=1777");
    expect_pages(WEIR_PAGES_NORMAL);
    mount_shm("size=8m,mode=1777,huge=never");
    expect_pages(WEIR_PAGES_NORMAL);
    mount_shm("size=8m,mode=1777,huge=advise");
    expect_pages(WEIR_PAGES_TRANSPARENT);
}

static void test_shm(void **state)
{
    (void)state;
    void (*const rows[])(void *) = { in_a_small_one,      open_holes, in_one_without_files,
                                     in_one_read_only,    in_none,    without_proc,
                                     in_one_of_huge_pages };
    if (status_in_child(try_mount, NULL) != 0)
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        in_child(rows[i], NULL);
    struct weir_segment_options options = persistent_options();
    struct weir_segment *segment = NULL;
    struct weir_ref ref = weir_by_posix(posix_name("outside"));
    assert_result(weir_segment_create(&segment, ref, 5, &options), 0);
    in_child(in_a_container, NULL);
    weir_segment_close(segment);
    assert_result(weir_segment_open(&segment, ref, 0, NULL), 0);
    assert_int_equal(weir_segment_size(segment), 5);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(ref), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, files_begin, files_check)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_options),
        TEST(test_semsets_are_system_v),
        TEST(test_modes),
        TEST(test_no_segment),
        TEST(test_other_users),
        TEST(test_limits_of_the_process),
        TEST(test_shm),
    };
    return cmocka_run_group_tests_name("posix_errors", tests, fixture_start, fixture_end);
}
