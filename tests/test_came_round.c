/* SPDX-License-Identifier: MIT */
/*
 * Goal: a segment whose id another one has by the time of the attach is not taken for what
 *       the kernel said of it before: it may be smaller than that, or a stranger's.
 * Method: in place of shmat and shmctl stand functions that let the id come round in the
 *       moment before the attach, which takes some millions of creations otherwise.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

static int first_id = -1, second_id = -1; /* what the id names, before the attach and since */
static bool has_come_round;

/* What the linker puts in place of shmat(2) and shmctl(2): see CMakeLists.txt. */
void *__wrap_shmat(int id, const void *address, int flags);
void *__real_shmat(int id, const void *address, int flags);
int __wrap_shmctl(int id, int command, struct shmid_ds *found);
int __real_shmctl(int id, int command, struct shmid_ds *found);

void *__wrap_shmat(int id, const void *address, int flags)
{
    has_come_round |= id == first_id;
    return __real_shmat(id == first_id ? second_id : id, address, flags);
}

int __wrap_shmctl(int id, int command, struct shmid_ds *found)
{
    if (!has_come_round || id != first_id)
        return __real_shmctl(id, command, found);
    int result = __real_shmctl(second_id, command, found);
    return result == second_id ? first_id : result;
}

/* Opens the first by its id and gets the second. */
static int open_first(size_t first_bytes, size_t second_bytes)
{
    struct weir_segment *segment = NULL;
    struct shmid_ds found;
    int first = shmget(IPC_PRIVATE, first_bytes, 0600);
    second_id = shmget(IPC_PRIVATE, second_bytes, 0600);
    assert_true(first >= 0 && second_id >= 0);
    has_come_round = false;
    first_id = first;
    int result = weir_segment_open(&segment, weir_by_id(first), 0, NULL);
    assert_true(has_come_round);
    first_id = -1;
    if (result == 0) {
        assert_int_equal(weir_segment_size(segment), second_bytes);
        weir_segment_close(segment);
    }
    assert_int_equal(__real_shmctl(second_id, IPC_STAT, &found), 0);
    assert_int_equal(found.shm_nattch, 0);
    assert_int_equal(shmctl(first, IPC_RMID, NULL), 0);
    assert_int_equal(shmctl(second_id, IPC_RMID, NULL), 0);
    return result;
}

static void test_a_smaller_one(void **state)
{
    (void)state;
    assert_result(open_first(1 << 20, 4096), -EIDRM);
    assert_non_null(strstr(weir_last_error(), "another one has its id"));
}

static void test_a_larger_one(void **state)
{
    (void)state;
    assert_result(open_first(4096, 1 << 20), -EIDRM);
}

/* One that is alike in everything is as good as the first. */
static void test_one_that_is_alike(void **state)
{
    (void)state;
    assert_result(open_first(4096, 4096), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_smaller_one, fixture_check),
        cmocka_unit_test_teardown(test_a_larger_one, fixture_check),
        cmocka_unit_test_teardown(test_one_that_is_alike, fixture_check),
    };
    return cmocka_run_group_tests_name("came_round", tests, fixture_start, fixture_end);
}
