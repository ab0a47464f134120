/* SPDX-License-Identifier: MIT */
/*
 * Goal: who asks for one object is not told of another one that has its number by now, and what a
 *       user writes down where another user's names are kept names nothing.
 * Method: the kernel goes round until it gives the index of a removed object again; a record is
 *       written anew with the id of a stranger's object; another user makes the default run directory
 *       of a third one, or a link in its place, in a /dev/shm of the test's own.
 */
#include "fixture.h"
#include "records.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/semset.h"

#define OBJECT_BYTES 100
#define STRANGERS_KEY 0x57a9e125

static int ask(struct weir_ref ref, uint32_t type, struct weir_object *object)
{
    static char texts[300];
    object->size = sizeof *object;
    return weir_inspect_one(ref, type, object, texts, sizeof texts);
}

/* --- an index that came round ------------------------------------------------------------- */

/* The kernel gives the indexes one after the other, of 64 at least, and 16 million at most. */
#define INDEXES (1 << 24)

/* What has the index of this id now (the kernel looks at the id's low bits alone), or -1. */
static int segment_at(int id)
{
    struct shmid_ds found;
    return shmctl(id, SHM_STAT_ANY, &found);
}

static int set_at(int id)
{
    struct semid_ds found;
    return semctl(id, 0, SEM_STAT_ANY, (union weir__semun){ .buf = &found });
}

static void test_the_index_of_a_removed_segment(void **state)
{
    struct weir_object object;
    int first = shmget(IPC_PRIVATE, 1, 0), next = shmget(IPC_PRIVATE, 1, 0);
    (void)state;
    assert_true(first >= 0 && next >= 0);
    assert_result(ask(weir_by_id(first), WEIR_OBJECT_SEGMENT, &object), 0);
    assert_int_equal(shmctl(first, IPC_RMID, NULL), 0);
    for (int i = 0; segment_at(first) < 0; i++) {
        assert_true(i < INDEXES);
        assert_int_equal(shmctl(next, IPC_RMID, NULL), 0);
        next = shmget(IPC_PRIVATE, 1, 0);
        assert_true(next >= 0);
    }
    assert_int_not_equal(next, first);
    assert_result(ask(weir_by_id(first), WEIR_OBJECT_SEGMENT, &object), -ENOENT);
    assert_result(ask(weir_by_id(first), 0, &object), -ENOENT);
    assert_result(ask(weir_by_id(next), WEIR_OBJECT_SEGMENT, &object), 0);
    assert_int_equal(shmctl(next, IPC_RMID, NULL), 0);
}

static void test_the_index_of_a_removed_set(void **state)
{
    struct weir_object object;
    int first = semget(IPC_PRIVATE, 1, 0), next = semget(IPC_PRIVATE, 1, 0);
    (void)state;
    assert_true(first >= 0 && next >= 0);
    assert_result(ask(weir_by_id(first), WEIR_OBJECT_SEMSET, &object), 0);
    assert_int_equal(semctl(first, 0, IPC_RMID), 0);
    for (int i = 0; set_at(first) < 0; i++) {
        assert_true(i < INDEXES);
        assert_int_equal(semctl(next, 0, IPC_RMID), 0);
        next = semget(IPC_PRIVATE, 1, 0);
        assert_true(next >= 0);
    }
    assert_int_not_equal(next, first);
    assert_result(ask(weir_by_id(first), WEIR_OBJECT_SEMSET, &object), -ENOENT);
    assert_result(ask(weir_by_id(first), 0, &object), -ENOENT);
    assert_result(ask(weir_by_id(next), WEIR_OBJECT_SEMSET, &object), 0);
    assert_int_equal(semctl(next, 0, IPC_RMID), 0);
}

/* --- a name whose object's number another one has ----------------------------------------- */

static void make_named(const char *name)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    options.semaphores = 1;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name(name), OBJECT_BYTES, &options), 0);
    weir_segment_close(segment);
}

static void make_two(void *argument)
{
    (void)argument;
    make_named("gone");
    make_named("other");
}

static void expect_told_missing(void)
{
    static const uint32_t types[] = { 0, WEIR_OBJECT_SEGMENT, WEIR_OBJECT_SEMSET };
    struct weir_object object = { .id = 12345 };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_result(ask(weir_by_name("gone"), types[i], &object), -ENOENT);
        assert_non_null(strstr(weir_last_error(), "gone"));
        assert_int_equal(object.id, 12345);
    }
}

/* The stranger's objects have no name first, then one of their own. */
static void test_a_name_whose_numbers_were_taken(void **state)
{
    struct weir_object object;
    struct record gone, other;
    (void)state;
    in_child(make_two, NULL);
    assert_result(ask(weir_by_name("gone"), WEIR_OBJECT_SEGMENT, &object), 0);
    assert_result(ask(weir_by_name("gone"), WEIR_OBJECT_SEMSET, &object), 0);
    assert_true(record_read("gone", &gone) && record_read("other", &other));
    assert_int_equal(shmctl(gone.shm_id, IPC_RMID, NULL), 0);
    assert_int_equal(semctl(gone.sem_id, 0, IPC_RMID), 0);
    expect_told_missing();
    int segment = shmget(IPC_PRIVATE, 5000, 0600), set = semget(IPC_PRIVATE, 1, 0600);
    assert_true(segment >= 0 && set >= 0);
    gone.shm_id = segment;
    gone.sem_id = set;
    assert_true(record_forge("gone", &gone));
    expect_told_missing();
    gone.shm_id = other.shm_id;
    gone.sem_id = other.sem_id;
    assert_true(record_forge("gone", &gone));
    expect_told_missing();
    assert_int_equal(shmctl(segment, IPC_RMID, NULL), 0);
    assert_int_equal(semctl(set, 0, IPC_RMID), 0);
    clear_everything();
}

/* --- what another user makes -------------------------------------------------------------- */

static void hold_unnamed(struct companion *companion, void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK(shmget(STRANGERS_KEY, OBJECT_BYTES, IPC_CREAT | IPC_EXCL | 0600) >= 0);
    companion_arrive(companion);
}

static void expect_state(void *argument)
{
    struct weir_object object;
    become(THIRD_UID);
    CHECK(setenv("WEIR_DIR", fixture_path("thirds"), 1) == 0);
    CHECK_RESULT(ask(weir_by_key(STRANGERS_KEY), WEIR_OBJECT_SEGMENT, &object), 0);
    CHECK(object.attached == 0 && object.state == *(const uint32_t *)argument);
}

/* That nobody may send its maker a signal does not say that it is dead. */
static void test_a_strangers_segment(void **state)
{
    struct companion maker;
    uint32_t idle = WEIR_STATE_IDLE, orphan = WEIR_STATE_ORPHAN;
    (void)state;
    if (!has_other_users())
        skip();
    companion_start(&maker, hold_unnamed, NULL);
    companion_meet(&maker);
    in_child(expect_state, &idle);
    companion_release(&maker);
    assert_int_equal(companion_end(&maker), 0);
    in_child(expect_state, &orphan);
    clear_everything();
}

/* --- a run directory that a stranger made ------------------------------------------------- */

static const char *default_directory(uid_t uid)
{
    static char path[64];
    snprintf(path, sizeof path, "/dev/shm/weir-%u", (unsigned)uid);
    return path;
}

struct maker {
    uid_t uid;
    const char *directory; /* where it keeps its names */
};

static void make_there(void *argument)
{
    const struct maker *maker = argument;
    become(maker->uid);
    CHECK(setenv("WEIR_DIR", maker->directory, 1) == 0);
    make_named("claimed");
}

/* Whether the one segment there is, which that maker made, is known as one of weir's. Takes it away. */
static bool is_known_as_weirs(void)
{
    struct weir_object object;
    struct shm_info info;
    struct shmid_ds found;
    int id = -1;
    /* shmctl(2): the address is of the type that the command says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last && id < 0; index++)
        id = shmctl(index, SHM_STAT_ANY, &found);
    CHECK_RESULT(ask(weir_by_id(id), WEIR_OBJECT_SEGMENT, &object), 0);
    CHECK(object.name == NULL && object.size_bytes >= OBJECT_BYTES);
    CHECK(object.state == (object.weirs ? WEIR_STATE_IDLE : WEIR_STATE_ORPHAN));
    CHECK(shmctl(id, IPC_RMID, NULL) == 0);
    return object.weirs != 0;
}

static void make_and_wait(uid_t uid, const char *directory)
{
    struct maker maker = { uid, directory };
    CHECK(status_in_child(make_there, &maker) == 0);
}

/* No sticky bit: no other rule of the kernel's forbids that a link is followed. */
static void own_shared_memory(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("none", "/dev/shm", "tmpfs", 0, "mode=0777,size=16m") == 0);
    CHECK(setenv("WEIR_DIR", "/dev/shm/own", 1) == 0);
}

static void look_at_strangers(void *argument)
{
    char elsewhere[4200], part[4200];
    (void)argument;
    new_ipc_namespace();
    own_shared_memory();
    snprintf(part, sizeof part, "%s%s", default_directory(THIRD_UID),
             strrchr(run_directory(), '/'));
    snprintf(elsewhere, sizeof elsewhere, "/dev/shm/elsewhere%s", strrchr(run_directory(), '/'));

    make_and_wait(THIRD_UID, default_directory(THIRD_UID));
    CHECK(is_known_as_weirs());
    CHECK(rename(default_directory(THIRD_UID), "/dev/shm/before") == 0);

    make_and_wait(OTHER_UID, default_directory(THIRD_UID));
    CHECK(!is_known_as_weirs());
    CHECK(rename(default_directory(THIRD_UID), "/dev/shm/stranger") == 0);

    make_and_wait(0, "/dev/shm/elsewhere");
    CHECK(symlink("/dev/shm/elsewhere", default_directory(THIRD_UID)) == 0);
    CHECK(lchown(default_directory(THIRD_UID), OTHER_UID, OTHER_UID) == 0);
    CHECK(!is_known_as_weirs());
    CHECK(unlink(default_directory(THIRD_UID)) == 0);
    CHECK(rename("/dev/shm/elsewhere", "/dev/shm/elsewhere-before") == 0);

    make_and_wait(0, "/dev/shm/elsewhere");
    CHECK(mkdir(default_directory(THIRD_UID), 0777) == 0 && symlink(elsewhere, part) == 0);
    CHECK(lchown(default_directory(THIRD_UID), OTHER_UID, OTHER_UID) == 0);
    CHECK(!is_known_as_weirs());
}

static void test_a_strangers_run_directory(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(look_at_strangers, NULL);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(test_the_index_of_a_removed_segment),  TEST(test_the_index_of_a_removed_set),
        TEST(test_a_name_whose_numbers_were_taken), TEST(test_a_strangers_segment),
        TEST(test_a_strangers_run_directory),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
