/* SPDX-License-Identifier: MIT */
/*
 * Goal: where a filter forbids to ask for objects without a right to them, weir asks for what may be
 *       read; what cannot be told is an error, and is never taken for an object that is gone.
 * Method: children under seccomp filters that answer SHM_STAT_ANY, SEM_STAT_ANY and what stands in
 *       for them with the errors that filters have.
 */
#include "fixture.h"
#include "records.h"
#include "silence.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x756e6173u
#define NONCE UINT64_C(0x1122334455667788)
#define DRAFT "#1122334455667788"

static const int errors[] = { EPERM, ENOSYS, EACCES, EINVAL };

static void forbid(bool is_set, unsigned command, int error)
{
    if (!forbid_command(is_set ? SYS_semctl : SYS_shmctl, is_set ? 2 : 1, command, (unsigned)error))
        _exit(77); /* no seccomp here */
}

/* --- sets that one may read ------------------------------------------------------------- */

static void use_sets(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_semset *set;
    forbid(true, SEM_STAT_ANY, *(const int *)argument);
    CHECK_RESULT(weir_semset_open(&set, weir_by_key(TEST_KEY), 1, NULL), 0);
    weir_semset_close(set);
    CHECK_RESULT(weir_semset_create(&set, weir_by_name("set"), 1, NULL, NULL), 0);
    weir_semset_close(set);
    CHECK_RESULT(weir_semset_open(&set, weir_by_name("set"), 1, NULL), 0);
    weir_semset_close(set);
    CHECK_RESULT(weir_segment_remove(weir_by_name("set")), 0);
    options.semaphores = 1;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("both"), 100, &options), 0);
    weir_segment_close(segment);
    CHECK(sets_now() == 1);
}

static void test_sets(void **state)
{
    struct weir_semset *set;
    (void)state;
    assert_result(weir_semset_create(&set, weir_by_key(TEST_KEY), 1, NULL, NULL), 0);
    weir_semset_close(set);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        int status = status_in_child(use_sets, (void *)(uintptr_t)&errors[i]);
        if (status != 0)
            clear_everything();
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(status, 0);
    }
    assert_result(weir_semset_remove(weir_by_key(TEST_KEY)), 0);
}

/* --- a dead creator's set --------------------------------------------------------------- */

static void collect_unseeing(void *argument)
{
    int error = *(const int *)argument;
    forbid(true, SEM_STAT_ANY, error);
    forbid(true, IPC_STAT, error == EINVAL ? EPERM : error);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
}

/* Its set stays as long as nobody can tell whose it is, and so does the draft that names it. */
static void test_a_drafts_set(void **state)
{
    struct record record = { .nonce = NONCE,
                             .lifetime = WEIR_PERSISTENT,
                             .creator = geteuid(),
                             .pid = getpid(),
                             .shm_id = -1,
                             .sem_key = TEST_KEY,
                             .sem_id = -1,
                             .sem_count = 1,
                             .kind = "semset" };
    (void)state;
    assert_true(semget(TEST_KEY, 1, IPC_CREAT | IPC_EXCL | 0600) >= 0);
    assert_true(mkdir(fixture_path("run"), 0700) == 0 || errno == EEXIST);
    assert_true(mkdir(run_directory(), 0700) == 0 || errno == EEXIST);
    assert_true(record_forge(DRAFT, &record));
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        int status = status_in_child(collect_unseeing, (void *)(uintptr_t)&errors[i]);
        bool is_kept = names_starting('#') == 1 && sets_now() == 1;
        if (status != 0 || !is_kept)
            clear_everything();
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(status, 0);
        assert_true(is_kept);
    }
    assert_result(weir_collect(0, NULL, NULL), 1);
    assert_int_equal(sets_now(), 0);
}

/* --- inspection ------------------------------------------------------------------------- */

static int count(const struct weir_object *object, void *argument)
{
    (void)object;
    ++*(int *)argument;
    return 0;
}

struct look {
    bool is_set;
    int error;
    int id;
};

/* Its own object is found by the older call; and nothing is found where that is forbidden, too. */
static void inspect(void *argument)
{
    const struct look *look = argument;
    uint32_t type = look->is_set ? WEIR_OBJECT_SEMSET : WEIR_OBJECT_SEGMENT;
    struct weir_object object = { .size = sizeof object };
    char texts[300];
    int seen = 0, known = look->error == EINVAL ? ENOSYS : look->error;
    forbid(look->is_set, look->is_set ? SEM_STAT_ANY : SHM_STAT_ANY, look->error);
    CHECK_RESULT(weir_inspect(type, count, &seen), 0);
    CHECK(seen == 1);
    CHECK_RESULT(weir_inspect_one(weir_by_id(look->id), type, &object, texts, sizeof texts), 0);
    forbid(look->is_set, look->is_set ? SEM_STAT : SHM_STAT, EACCES);
    CHECK_RESULT(weir_inspect(type, count, &seen), -known);
    CHECK(strstr(weir_last_error(), "STAT_ANY") != NULL);
    CHECK_RESULT(weir_inspect_one(weir_by_id(look->id), type, &object, texts, sizeof texts),
                 -known);
    CHECK(seen == 1);
}

static void test_inspection(void **state)
{
    (void)state;
    for (int is_set = 0; is_set < 2; is_set++)
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
            struct look look = { is_set, errors[i], -1 };
            look.id = is_set ? semget(IPC_PRIVATE, 1, 0600) : shmget(IPC_PRIVATE, 1, 0600);
            assert_true(look.id >= 0);
            int status = status_in_child(inspect, &look);
            assert_int_equal(
                is_set ? semctl(look.id, 0, IPC_RMID) : shmctl(look.id, IPC_RMID, NULL), 0);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
            assert_int_equal(status, 0);
        }
}

/* As a security module does it: the call is answered, but not for this one. */
static void inspect_withheld(void *argument)
{
    const struct look *look = argument;
    uint32_t type = look->is_set ? WEIR_OBJECT_SEMSET : WEIR_OBJECT_SEGMENT;
    unsigned call = look->is_set ? SYS_semctl : SYS_shmctl, id = (unsigned)look->id;
    struct weir_object object = { .size = sizeof object };
    char texts[300];
    int seen = 0;
    /* Its index in the kernel's table, and its identifier. */
    if (!forbid_command(call, 0, id % 32768, EACCES) || !forbid_command(call, 0, id, EACCES))
        _exit(77);
    CHECK_RESULT(weir_inspect(type, count, &seen), 0);
    CHECK(seen == 1);
    CHECK_RESULT(weir_inspect_one(weir_by_id(look->id), type, &object, texts, sizeof texts),
                 -EACCES);
}

static int make_one(bool is_set)
{
    int id = is_set ? semget(IPC_PRIVATE, 1, 0600) : shmget(IPC_PRIVATE, 1, 0600);
    assert_true(id >= 0);
    return id;
}

static void test_one_withheld(void **state)
{
    (void)state;
    for (int is_set = 0; is_set < 2; is_set++) {
        struct look look = { is_set, EACCES, make_one(is_set) };
        make_one(is_set);
        int status = status_in_child(inspect_withheld, &look);
        clear_everything();
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sets, fixture_check),
        cmocka_unit_test_teardown(test_a_drafts_set, fixture_check),
        cmocka_unit_test_teardown(test_inspection, fixture_check),
        cmocka_unit_test_teardown(test_one_withheld, fixture_check),
    };
    return cmocka_run_group_tests_name("unasked", tests, fixture_start, fixture_end);
}
