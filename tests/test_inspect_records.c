/* SPDX-License-Identifier: MIT */
/*
 * Goal: what stands in the run directory is said of an object as far as the kernel agrees with it,
 *       and an object of which two entries tell has the one that is its name.
 * Method: records written by hand, beside objects of the kernel's that fit them in all but one thing.
 */
#include "fixture.h"
#include "records.h"
#include "silence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY 0x1a5bec7
#define SEGMENT_BYTES 5000
#define DRAFT "#1122334455667788"

static struct weir_object look_at(uint32_t type, int id)
{
    static char texts[300];
    struct weir_object object = { .size = sizeof object };
    assert_result(weir_inspect_one(weir_by_id(id), type, &object, texts, sizeof texts), 0);
    return object;
}

static struct record record_of(int segment, int set)
{
    return (struct record){
        .nonce = 0x1122334455667788,
        .lifetime = WEIR_PERSISTENT,
        .creator = geteuid(),
        .pid = getpid(),
        .shm_key = segment >= 0 ? KEY : 0,
        .shm_id = segment,
        .shm_segsz = segment >= 0 ? SEGMENT_BYTES : 0,
        .sem_key = set >= 0 ? KEY : 0,
        .sem_id = set,
        .sem_count = set >= 0,
        .kind = "segment",
    };
}

static void put(const char *directory, const struct record *record)
{
    assert_true(mkdir(fixture_path("run"), 0700) == 0 || errno == EEXIST);
    assert_true(mkdir(run_directory(), 0700) == 0 || errno == EEXIST);
    assert_true(record_forge(directory, record));
}

static void make_segment(void *argument)
{
    (void)argument;
    CHECK(shmget(KEY, SEGMENT_BYTES, IPC_CREAT | IPC_EXCL | 0600) >= 0);
}

/* --- drafts ----------------------------------------------------------------------------- */

static uint32_t state_of_drafted(void)
{
    int id = shmget(KEY, 0, 0);
    struct record record = record_of(id, -1);
    put(DRAFT, &record);
    struct weir_object object = look_at(WEIR_OBJECT_SEGMENT, id);
    assert_true(object.weirs && object.name == NULL);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    return object.state;
}

/* It is not attached yet, or not any more; but who makes it goes on, or is not there to do so. */
static void test_a_draft_is_no_orphan_while_its_maker_lives(void **state)
{
    (void)state;
    make_segment(NULL);
    assert_int_equal(state_of_drafted(), WEIR_STATE_IDLE);
    in_child(make_segment, NULL);
    assert_int_equal(state_of_drafted(), WEIR_STATE_ORPHAN);
    clear_everything();
}

/* --- sets ------------------------------------------------------------------------------- */

/* Another segment that has the number of the set's own by now does not keep the set. */
static void test_a_set_dies_with_its_own_segment(void **state)
{
    (void)state;
    make_segment(NULL);
    int segment = shmget(KEY, 0, 0), set = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
    struct record record = record_of(segment, set);
    assert_true(segment >= 0 && set >= 0);
    put("tied", &record);
    struct weir_object object = look_at(WEIR_OBJECT_SEMSET, set);
    assert_string_equal(object.name, "tied");
    assert_int_equal(object.state, WEIR_STATE_IDLE);
    record.shm_segsz++;
    put("tied", &record);
    assert_int_equal(look_at(WEIR_OBJECT_SEMSET, set).state, WEIR_STATE_ORPHAN);
    void *memory = shmat(segment, NULL, 0);
    assert_true(memory != (void *)-1);
    assert_int_equal(look_at(WEIR_OBJECT_SEMSET, set).state, WEIR_STATE_ORPHAN);
    assert_int_equal(shmdt(memory), 0);
    clear_everything();
}

static int expect_idle(const struct weir_object *object, void *seen)
{
    CHECK(object->weirs && object->state == WEIR_STATE_IDLE);
    ++*(int *)seen;
    return 0;
}

static void inspect_silently(void *unused)
{
    int seen = 0;
    (void)unused;
    struct weir_object object = { .size = sizeof object };
    char sentence[512];
    if (!forbid_call(SYS_shmctl, EACCES))
        _exit(77);
    CHECK_RESULT(weir_inspect_one(weir_by_id(1), 99, &object, NULL, 0), -EINVAL);
    snprintf(sentence, sizeof sentence, "%s", weir_last_error());
    CHECK_RESULT(weir_inspect(WEIR_OBJECT_SEMSET, expect_idle, &seen), 0);
    CHECK(seen == 1);
    CHECK(strcmp(weir_last_error(), sentence) == 0);
}

/* Whether its segment is there the kernel does not tell: that is not what went wrong last. */
static void test_a_set_whose_segment_is_withheld(void **state)
{
    (void)state;
    make_segment(NULL);
    int set = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
    struct record record = record_of(shmget(KEY, 0, 0), set);
    put("tied", &record);
    int status = status_in_child(inspect_silently, NULL);
    clear_everything();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void make_set_as_other(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK(semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600) >= 0);
}

/* Whoever writes a record names what that user has made, and nobody else's. */
static void test_a_set_of_another_user_is_not_named(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(make_set_as_other, NULL);
    int set = semget(KEY, 0, 0);
    struct record record = record_of(-1, set);
    put("claimed", &record);
    struct weir_object object = look_at(WEIR_OBJECT_SEMSET, set);
    assert_int_equal(object.weirs, 0);
    assert_null(object.name);
    assert_int_equal(object.lifetime, WEIR_PERSISTENT);
    clear_everything();
}

/* By its key or id, whatever it is: that no segment has it first was no error. */
static void test_a_set_is_found_behind_no_segment(void **state)
{
    char before[512];
    (void)state;
    int set = semget(KEY, 1, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(set >= 0);
    snprintf(before, sizeof before, "%s", weir_last_error());
    assert_int_equal(look_at(0, set).type, WEIR_OBJECT_SEMSET);
    assert_string_equal(weir_last_error(), before);
    clear_everything();
}

/* --- two entries ------------------------------------------------------------------------ */

/* Killed between the name and the end of the draft: some file systems list the later one first. */
static void test_a_name_counts_before_a_draft(void **state)
{
    (void)state;
    make_segment(NULL);
    int id = shmget(KEY, 0, 0);
    struct record record = record_of(id, -1);
    for (int is_draft_first = 0; is_draft_first < 2; is_draft_first++) {
        put(is_draft_first ? DRAFT : "named", &record);
        put(is_draft_first ? "named" : DRAFT, &record);
        assert_string_equal(look_at(WEIR_OBJECT_SEGMENT, id).name, "named");
        assert_true(remove(entry_file("named")) == 0 && remove(entry_path("named")) == 0);
        assert_true(remove(entry_file(DRAFT)) == 0 && remove(entry_path(DRAFT)) == 0);
    }
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    clear_everything();
}

int main(void)
{
#define TEST(function) cmocka_unit_test_teardown(function, fixture_check)
    const struct CMUnitTest tests[] = {
        TEST(test_a_draft_is_no_orphan_while_its_maker_lives),
        TEST(test_a_set_dies_with_its_own_segment),
        TEST(test_a_set_whose_segment_is_withheld),
        TEST(test_a_set_of_another_user_is_not_named),
        TEST(test_a_set_is_found_behind_no_segment),
        TEST(test_a_name_counts_before_a_draft),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
