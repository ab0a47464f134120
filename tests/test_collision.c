/* SPDX-License-Identifier: MIT */
/*
 * Goal: two files with one ftok key, or a key squatted by a stranger, do not mix two persistent
 *       names; and of many processes that create one name at once exactly one wins.
 * Method: a tmpfs of its own hands out inode numbers in order, so that collisions can be made on
 *       purpose; races of processes released together by one pipe, many rounds.
 */
#include "fixture.h"
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/draft.h"

static void own_tmpfs(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mkdir(fixture_path("tmpfs"), 0700) == 0 || errno == EEXIST);
    CHECK(mount("none", fixture_path("tmpfs"), "tmpfs", 0, "size=16m") == 0);
    CHECK(setenv("WEIR_DIR", fixture_path("tmpfs/run"), 1) == 0);
}

static ino_t next_inode(void)
{
    struct stat status;
    int fd = open(fixture_path("tmpfs/probe"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && fstat(fd, &status) == 0);
    close(fd);
    CHECK(unlink(fixture_path("tmpfs/probe")) == 0);
    return status.st_ino;
}

static uint32_t make_persistent(const char *name)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name(name), 100, &options), 0);
    strcpy(weir_segment_data(segment), name);
    CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
    weir_segment_close(segment);
    CHECK(stat.key != 0 && stat.key != 0xffffffff);
    return stat.key;
}

static void expect_named(const char *name)
{
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name(name), 100, NULL), 0);
    CHECK(strcmp(weir_segment_data(segment), name) == 0);
    weir_segment_close(segment);
}

static void remove_named(const char *name)
{
    CHECK_RESULT(weir_segment_remove(weir_by_name(name)), 0);
}

static ino_t inode_of_record(const char *name)
{
    struct stat status;
    CHECK(entry_file(name) && stat(entry_file(name), &status) == 0);
    return status.st_ino;
}

/* --- two names, one key ----------------------------------------------------------------- */

/* A second name whose file has the same 16 low bits of the inode as the first one's. */
static void collide(void *argument)
{
    (void)argument;
    own_tmpfs();
    make_persistent("warm-up"); /* the directories are there from now on */
    ino_t before = next_inode();
    make_persistent("measure");
    ino_t offset = inode_of_record("measure") - before;
    CHECK(offset < 64);
    uint32_t first_key = make_persistent("first");
    ino_t wanted = inode_of_record("first") - offset;
    ino_t tries = 0;
    while ((next_inode() & 0xffff) != (wanted & 0xffff))
        CHECK(++tries < 70000);
    uint32_t second_key = make_persistent("second");
    CHECK((inode_of_record("second") & 0xffff) == (inode_of_record("first") & 0xffff));
    CHECK(inode_of_record("second") != inode_of_record("first"));
    CHECK(ftok(entry_file("second"), 1) == ftok(entry_file("first"), 1)); /* a real collision */
    CHECK(first_key != second_key);
    CHECK(shmget((key_t)first_key, 0, 0) != shmget((key_t)second_key, 0, 0));
    static const char *const names[] = { "warm-up", "measure", "first", "second" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        expect_named(names[i]);
    remove_named("first");
    expect_named("second");
    remove_named("second");
    remove_named("measure");
    remove_named("warm-up");
    CHECK(segments_now() == 0 && names_now() == 0);
}

static void test_forced_collision(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(collide, NULL);
}

/* The keys of the next 200 inodes are taken by a stranger: the name gets another one. */
static void squat(void *argument)
{
    (void)argument;
    enum { SQUATTED = 200 };
    int ids[SQUATTED];
    own_tmpfs();
    uint32_t key = make_persistent("before");
    for (uint32_t i = 0; i < SQUATTED; i++) {
        uint32_t next = (key & 0xffff0000) | ((key + 1 + i) & 0xffff);
        ids[i] = shmget((key_t)next, 4196, IPC_CREAT | IPC_EXCL | 0600);
        CHECK(ids[i] >= 0);
    }
    uint32_t got = make_persistent("after");
    CHECK(((got - key - 1) & 0xffff) >= SQUATTED || (got & 0xffff0000) != (key & 0xffff0000));
    /* The file's own first key was among the squatted ones, so that there was a collision. */
    CHECK((((uint32_t)inode_of_record("after") - key - 1) & 0xffff) < SQUATTED);
    expect_named("after");
    CHECK(segments_now() == SQUATTED + 2);
    for (int i = 0; i < SQUATTED; i++) {
        struct shmid_ds found;
        CHECK(shmctl(ids[i], IPC_STAT, &found) == 0);
        CHECK(found.shm_nattch == 0 && found.shm_atime == 0); /* nobody even looked inside */
        shmctl(ids[i], IPC_RMID, NULL);
    }
    expect_named("before");
    remove_named("before");
    remove_named("after");
    CHECK(segments_now() == 0 && names_now() == 0);
}

static void test_squatted_keys(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(squat, NULL);
}

/* Every key of the name's file is taken: it is told, in bounded time, and nothing stays. */
static void squat_all(void *argument)
{
    (void)argument;
    enum { INODES = 40 };
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/shmmni", "32000");
    own_tmpfs();
    uint32_t key = make_persistent("before");
    remove_named("before");
    for (uint32_t i = 0; i < INODES; i++) {
        for (uint32_t project = 1; project <= 255; project++) {
            uint32_t next = project << 24 | (key & 0x00ff0000) | ((key + 1 + i) & 0xffff);
            CHECK(shmget((key_t)next, 1, IPC_CREAT | IPC_EXCL | 0600) >= 0);
        }
    }
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.lifetime = WEIR_PERSISTENT;
    int result = weir_segment_create(&segment, weir_by_name("no-key"), 100, &options);
    if (result == 0) {
        weir_segment_close(segment);
        remove_named("no-key");
    } else {
        CHECK(result == -ENOSPC || result == -EEXIST);
        CHECK(weir_last_error()[0]);
    }
    CHECK(segments_now() == INODES * 255 && names_now() == 0);
}

static void test_every_key_squatted(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(squat_all, NULL);
}

/* --- a draft that is moved ---------------------------------------------------------------- */

/* What the linker puts in place of weir__draft_begin(): see CMakeLists.txt. */
int __wrap_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published);
int __real_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published);

static bool is_to_be_moved;

int __wrap_weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                             const struct weir__record *record, bool is_published)
{
    int result = __real_weir__draft_begin(draft, dir, record, is_published);
    if (result == 0 && is_to_be_moved)
        assert_int_equal(renameat(dir->fd, draft->entry.directory, dir->fd, "moved"), 0);
    return result;
}

/* As a member of the group can: it is told what has come of it, and not that keys are missing. */
static void test_a_moved_draft(void **state)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    (void)state;
    options.lifetime = WEIR_PERSISTENT;
    is_to_be_moved = true;
    int result = weir_segment_create(&segment, weir_by_name("name"), 100, &options);
    is_to_be_moved = false;
    assert_result(result, -ENOENT);
    assert_null(segment);
    assert_non_null(strstr(weir_last_error(), "moved or taken away"));
    assert_non_null(strstr(weir_last_error(), run_directory()));
    assert_int_equal(segments_now(), 0);
    clear_everything(); /* what was moved stays, with a record of nothing */
}

/* --- races ------------------------------------------------------------------------------ */

enum { RACERS = 4, ROUNDS = 150 };

struct race {
    uint32_t lifetime;
    bool or_open;
    struct weir_ref ref;
};

/* One racer: waits at the line, runs, tells its result, and holds what it got until told. */
static void run_race(const struct race *race, int line, int results, int end)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    char byte;
    options.lifetime = race->lifetime;
    options.semaphores = race->ref.by == WEIR_BY_NAME ? 1 : 0;
    CHECK(read(line, &byte, 1) == 0); /* the starter closes its end */
    int result = race->or_open ? weir_segment_create_or_open(&segment, race->ref, 5000, &options)
                               : weir_segment_create(&segment, race->ref, 5000, &options);
    if (result >= 0)
        CHECK(all_bytes((char *)weir_segment_data(segment) + 8, 4992, 0));
    CHECK(write(results, &result, sizeof result) == sizeof result);
    CHECK(read(end, &byte, 1) == 0);
    if (result >= 0)
        weir_segment_close(segment);
    _exit(0);
}

static void race_once(const struct race *race)
{
    int line[2], results[2], end[2];
    pid_t racers[RACERS];
    assert_int_equal(pipe2(line, O_CLOEXEC), 0);
    assert_int_equal(pipe2(results, O_CLOEXEC), 0);
    assert_int_equal(pipe2(end, O_CLOEXEC), 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            close(line[1]);
            close(end[1]);
            run_race(race, line[0], results[1], end[0]);
        }
    }
    close(line[1]);
    close(results[1]);
    int created = 0;
    for (int i = 0; i < RACERS; i++) {
        int result;
        assert_int_equal(read(results[0], &result, sizeof result), sizeof result);
        if (race->or_open) {
            assert_true(result == 0 || result == WEIR_CREATED);
            created += result == WEIR_CREATED;
        } else {
            assert_true(result == 0 || result == -EEXIST);
            created += result == 0;
        }
    }
    assert_int_equal(created, 1);
    assert_int_equal(segments_now(), 1);
    close(end[1]);
    for (int i = 0; i < RACERS; i++) {
        int status;
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_int_equal(status, 0);
    }
    close(line[0]);
    close(results[0]);
    close(end[0]);
    if (race->lifetime == WEIR_PERSISTENT)
        assert_result(weir_segment_remove(race->ref), 0);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void test_races(void **state)
{
    (void)state;
    const struct race races[] = {
        { WEIR_EPHEMERAL, false, weir_by_name("race") },
        { WEIR_EPHEMERAL, true, weir_by_name("race") },
        { WEIR_PERSISTENT, false, weir_by_name("race") },
        { WEIR_PERSISTENT, true, weir_by_name("race") },
        { WEIR_PERSISTENT, false, weir_by_key(0x72616365) },
        { WEIR_PERSISTENT, true, weir_by_key(0x72616365) },
    };
    fflush(NULL);
    for (size_t i = 0; i < ARRAY_SIZE(races); i++) {
        for (int round = 0; round < ROUNDS; round++)
            race_once(&races[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_forced_collision, fixture_check),
        cmocka_unit_test_teardown(test_squatted_keys, fixture_check),
        cmocka_unit_test_teardown(test_every_key_squatted, fixture_check),
        cmocka_unit_test_teardown(test_a_moved_draft, fixture_check),
        cmocka_unit_test_teardown(test_races, fixture_check),
    };
    return cmocka_run_group_tests_name("collision", tests, fixture_start, fixture_end);
}
