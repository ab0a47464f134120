/* SPDX-License-Identifier: MIT */
/*
 * Goal: no process is taken for nobody, whatever id and size its beacon gets; and a name that was
 *       never written is no owner's.
 * Method: in place of the random numbers stands a function that gives the size 1, once, in a
 *         namespace where the first id is 0; and a lock word of a dead owner that had no time for its
 *         name, for which zeros would be one.
 */
#include "fixture.h"

#include <sched.h>
#include <unistd.h>

#include "base/random.h"
#include "segment/identity.h"
#include "sync/mutex.h"

static bool is_next_known;

/* What the linker puts in place of weir__random_nonzero(): see CMakeLists.txt. */
uint64_t __wrap_weir__random_nonzero(void);
uint64_t __real_weir__random_nonzero(void);

uint64_t __wrap_weir__random_nonzero(void)
{
    if (!is_next_known)
        return __real_weir__random_nonzero();
    is_next_known = false;
    return WEIR__BEACON_SIZE_MAX; /* a beacon of 1 byte */
}

static void begin_in_a_new_namespace(void *unused)
{
    uint64_t identity;
    struct weir_mutex mutex;
    (void)unused;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    is_next_known = true;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(!is_next_known);
    CHECK(identity != WEIR_IDENTITY_NOBODY);
    CHECK_RESULT(weir_life(identity, geteuid()), WEIR_LIFE_ALIVE);
    CHECK_RESULT(weir_mutex_init(&mutex, 0), 0);
    CHECK_RESULT(weir_mutex_lock(&mutex), 0);
    CHECK(weir_mutex_owner(&mutex) == identity);
    CHECK_RESULT(weir_mutex_unlock(&mutex), 0);
}

static void test_the_first_id_and_the_least_size(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    in_child(begin_in_a_new_namespace, NULL);
}

/* Killed between its word and its name, which was nobody's before: it is dead all the same. */
static void test_a_name_that_was_never_written(void **state)
{
    const struct weir__beacon beacons[] = { { .id = 4, .size_bytes = 9 },
                                            { .id = INT32_MAX, .size_bytes = 77 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(beacons); i++) {
        struct weir__mutex_shm shm = { .owned = { .word = weir__identity_pack(&beacons[i]) } };
        struct weir_mutex *mutex = (struct weir_mutex *)(void *)&shm;
        assert_false(weir__owned_is_named(&shm.owned, shm.owned.word));
        assert_result(weir_mutex_lock_until(mutex, weir_deadline_ns(INT64_C(2000000000))),
                      WEIR_OWNER_DIED);
        assert_result(weir_mutex_consistent(mutex), 0);
        assert_result(weir_mutex_unlock(mutex), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_first_id_and_the_least_size, fixture_check),
        cmocka_unit_test(test_a_name_that_was_never_written),
    };
    return cmocka_run_group_tests_name("identity_first", tests, fixture_start, fixture_end);
}
