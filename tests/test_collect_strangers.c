/* SPDX-License-Identifier: MIT */
/*
 * Goal: the collector takes nothing away that is not provably of the dead one whose draft or name it
 *       has found: not what has its key or its id by now, and not another user's names.
 * Method: drafts and names as a killed creator leaves them, written here; their keys and ids are
 *       those of segments and sets that differ from theirs in one thing each, and stay.
 */
#include "fixture.h"
#include "records.h"
#include "silence.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment/semset.h"

#define KEY 0x636f6c73u
#define OBJECT_BYTES 5000
#define NONCE UINT64_C(0x1122334455667788)
#define DRAFT "#1122334455667788"

static bool segment_is_there(int id)
{
    struct shmid_ds found;
    return shmctl(id, IPC_STAT, &found) == 0 && !(found.shm_perm.mode & SHM_DEST);
}

static bool set_is_there(int id)
{
    struct semid_ds found;
    return semctl(id, 0, IPC_STAT, (union weir__semun){ .buf = &found }) == 0;
}

/* What the collector told of, the last time. */
static struct {
    unsigned count;
    int segment_id, semset_id;
} told;

static void tell(const struct weir_leftover *leftover, void *argument)
{
    (void)argument;
    told.count++;
    told.segment_id = leftover->segment_id;
    told.semset_id = leftover->semset_id;
}

static void collect(uint32_t flags)
{
    told.count = 0;
    told.segment_id = told.semset_id = -1;
    int result = weir_collect(flags, tell, NULL);
    assert_int_equal(result, told.count);
}

/* One leftover is told of, to which no object of System V belongs; it goes. */
static void expect_leftover_alone(void)
{
    static const uint32_t flags[] = { WEIR_COLLECT_DRY_RUN, 0 };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        collect(flags[i]);
        assert_int_equal(told.count, 1);
        assert_int_equal(told.segment_id, -1);
        assert_int_equal(told.semset_id, -1);
    }
    assert_int_equal(names_now(), 0);
}

/* --- drafts ------------------------------------------------------------------------------- */

static struct record dead_draft(void)
{
    return (struct record){ .nonce = NONCE,
                            .lifetime = WEIR_EPHEMERAL,
                            .creator = geteuid(),
                            .pid = getpid(),
                            .shm_id = -1,
                            .sem_id = -1,
                            .kind = "segment" };
}

/* The run directory is there, as a creator finds it. */
static void leave_draft(const struct record *record)
{
    assert_true(mkdir(fixture_path("run"), 0700) == 0 || errno == EEXIST);
    assert_true(mkdir(run_directory(), 0700) == 0 || errno == EEXIST);
    assert_true(record_forge(DRAFT, record));
}

/* The same without the call that copies best. */
static void collect_without_readv(void *argument)
{
    (void)argument;
    if (!forbid_call(SYS_process_vm_readv, EPERM))
        return;
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
}

/*
 * Under the key of a persistent one that died there is a segment of huge pages that the machine has
 * not got, which anybody of this user can have made: who touches it dies of SIGBUS, and with the
 * collector every process that would make something. It cannot be told whose it is, so it stays.
 */
static void test_a_drafts_key_without_memory(void **state)
{
    const size_t size = 2 << 20;
    struct record record = dead_draft();
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    (void)state;
    if (reserved_huge_pages(-1) > 0)
        skip(); /* this machine has them */
    int id = shmget((key_t)KEY, size, IPC_CREAT | IPC_EXCL | SHM_HUGETLB | SHM_NORESERVE | 0600);
    if (id < 0)
        skip(); /* this kernel, or the limit on locked memory, has none */
    record.lifetime = WEIR_PERSISTENT;
    record.shm_key = KEY;
    record.shm_segsz = size;
    /* Its pid would tell, where the page is there and is zero: this one has never been. */
    record.pid = INT_MAX;
    leave_draft(&record);
    collect(WEIR_COLLECT_DRY_RUN);
    assert_int_equal(told.count, 0);
    collect(0);
    assert_int_equal(told.count, 0);
    in_child(collect_without_readv, NULL);
    assert_int_equal(names_starting('#'), 1);
    assert_result(weir_segment_create(&segment, weir_by_name("beside"), 100, &options), 0);
    weir_segment_close(segment);
    assert_true(segment_is_there(id));
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    expect_leftover_alone();
}

/* It came by the key, as it may: it is the draft's, and not taken from under who looks into it. */
static void test_a_drafts_segment_in_use(void **state)
{
    struct record record = dead_draft();
    (void)state;
    int id = shmget((key_t)KEY, OBJECT_BYTES, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    record.shm_key = KEY;
    record.shm_segsz = OBJECT_BYTES;
    leave_draft(&record);
    void *memory = shmat(shmget((key_t)KEY, 0, 0), NULL, 0);
    assert_true(memory != (void *)-1);
    collect(WEIR_COLLECT_DRY_RUN);
    assert_int_equal(told.count, 0);
    collect(0);
    assert_int_equal(told.count, 0);
    assert_true(segment_is_there(id));
    assert_int_equal(shmget((key_t)KEY, 0, 0), id);
    assert_int_equal(names_starting('#'), 1);
    assert_int_equal(shmdt(memory), 0);
    collect(0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.segment_id, id);
    assert_false(segment_is_there(id));
    assert_int_equal(names_now(), 0);
}

/* Alike in all but its size, and its id as well is what the draft says. */
static void test_a_drafts_key_with_another_size(void **state)
{
    static const uint64_t sizes[] = { OBJECT_BYTES - 1, OBJECT_BYTES + 1, 1 };
    struct record record = dead_draft();
    (void)state;
    int id = shmget((key_t)KEY, OBJECT_BYTES, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    record.shm_key = KEY;
    record.shm_id = id;
    for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
        record.lifetime = i % 2 ? WEIR_PERSISTENT : WEIR_EPHEMERAL;
        record.shm_segsz = sizes[i / 2];
        leave_draft(&record);
        expect_leftover_alone();
        assert_true(segment_is_there(id));
    }
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
}

/* A stranger's, which anybody may use: so nothing but who made it tells. */
static void make_as_another(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK(shmget((key_t)KEY, OBJECT_BYTES, IPC_CREAT | IPC_EXCL | 0666) >= 0);
    CHECK(semget((key_t)KEY, 2, IPC_CREAT | IPC_EXCL | 0666) >= 0);
}

static void end_anothers(int segment_id, int semset_id)
{
    assert_true(segment_is_there(segment_id));
    assert_true(set_is_there(semset_id));
    assert_int_equal(shmctl(segment_id, IPC_RMID, NULL), 0);
    assert_int_equal(semctl(semset_id, 0, IPC_RMID), 0);
}

static void test_a_drafts_key_of_another_user(void **state)
{
    struct record record = dead_draft();
    (void)state;
    if (!has_other_users())
        skip();
    in_child(make_as_another, NULL);
    record.shm_key = record.sem_key = KEY;
    record.shm_id = shmget((key_t)KEY, 0, 0);
    record.sem_id = semget((key_t)KEY, 0, 0);
    record.shm_segsz = OBJECT_BYTES;
    record.sem_count = 2;
    for (unsigned lifetime = 0; lifetime < 2; lifetime++) {
        record.lifetime = lifetime;
        leave_draft(&record);
        expect_leftover_alone();
    }
    end_anothers(record.shm_id, record.sem_id);
}

/* --- names -------------------------------------------------------------------------------- */

static void make_named_set(void *argument)
{
    struct weir_semset *set;
    (void)argument;
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("gone"), 2, NULL, NULL), 0);
}

/* A record of a set that is gone, and the id is another's now: it has neither its key nor its user. */
static void leave_name(int id)
{
    struct record record;
    in_child(make_named_set, NULL);
    assert_true(record_read("gone", &record));
    assert_int_equal(semctl(record.sem_id, 0, IPC_RMID), 0);
    record.sem_id = id;
    assert_true(record_forge("gone", &record));
}

static void test_a_names_set_came_round(void **state)
{
    (void)state;
    int id = semget((key_t)KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    leave_name(id);
    expect_leftover_alone();
    assert_true(set_is_there(id));
    leave_name(id);
    assert_result(weir_semset_remove(weir_by_name("gone")), 0); /* the name */
    assert_true(set_is_there(id));
    clear_everything();
}

static void make_another_users_name(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_semset *set;
    (void)argument;
    become(OTHER_UID);
    umask(0);
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0666;
    options.semaphores = 2;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("another"), 100, &options), 0);
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("another-set"), 2, NULL, NULL), 0);
}

static void collect_as_its_user(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 2);
}

/* Of two users that share a run directory each collects its own, also where one may do all. */
static void test_another_users_names(void **state)
{
    struct record segment, set;
    (void)state;
    if (!has_other_users())
        skip();
    assert_int_equal(mkdir(fixture_path("run"), 0777), 0);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
    in_child(make_another_users_name, NULL);
    assert_true(record_read("another", &segment) && record_read("another-set", &set));
    assert_int_equal(shmctl(segment.shm_id, IPC_RMID, NULL), 0);
    assert_int_equal(semctl(set.sem_id, 0, IPC_RMID), 0);
    collect(WEIR_COLLECT_DRY_RUN);
    assert_int_equal(told.count, 0);
    collect(0);
    assert_int_equal(told.count, 0);
    assert_int_equal(names_now(), 2);
    assert_true(set_is_there(segment.sem_id));
    in_child(collect_as_its_user, NULL);
    assert_int_equal(names_now(), 0);
    assert_false(set_is_there(segment.sem_id));
}

/* --- sets --------------------------------------------------------------------------------- */

static void test_a_set_that_is_not_the_recorded_one(void **state)
{
    (void)state;
    int id = semget((key_t)KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    assert_int_equal(weir__semset_destroy(id, KEY + 1, geteuid()), 0);
    assert_true(set_is_there(id));
    assert_int_equal(weir__semset_destroy(id, KEY, geteuid() + 1), 0);
    assert_true(set_is_there(id));
    assert_int_equal(weir__semset_destroy(id, KEY, geteuid()), 0);
    assert_false(set_is_there(id));
    assert_int_equal(weir__semset_destroy(id, KEY, geteuid()), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(test_a_drafts_key_without_memory),
        TEST(test_a_drafts_segment_in_use),
        TEST(test_a_drafts_key_with_another_size),
        TEST(test_a_drafts_key_of_another_user),
        TEST(test_a_names_set_came_round),
        TEST(test_another_users_names),
        TEST(test_a_set_that_is_not_the_recorded_one),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
