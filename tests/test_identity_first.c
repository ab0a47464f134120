/* SPDX-License-Identifier: MIT */
/*
 * Goal: no process is taken for nobody, whatever id and size its beacon gets, and no thread of it;
 *       and a name that was never written is no owner's.
 * Method: in place of the random numbers stands a function that gives a small size, once, in a
 *         namespace where the first id is 0; and a lock word of a dead owner that had no time for its
 *         name, for which zeros would be one.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/random.h"
#include "segment/identity.h"
#include "sync/mutex.h"

static uint64_t next_size_bytes; /* of a beacon; 0: a random one */

/* What the linker puts in place of weir__random_nonzero(): see CMakeLists.txt. */
uint64_t __wrap_weir__random_nonzero(void);
uint64_t __real_weir__random_nonzero(void);

uint64_t __wrap_weir__random_nonzero(void)
{
    uint64_t size_bytes = next_size_bytes;
    next_size_bytes = 0;
    return size_bytes == 0 ? __real_weir__random_nonzero() : WEIR__BEACON_SIZE_MAX + size_bytes - 1;
}

static void begin_in_a_new_namespace(void *unused)
{
    uint64_t identity;
    struct weir_mutex mutex;
    (void)unused;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    next_size_bytes = 1;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(next_size_bytes == 0);
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

static void *lock_once(void *mutex)
{
    CHECK_RESULT(weir_mutex_lock(mutex), 0);
    CHECK_RESULT(weir_mutex_unlock(mutex), 0);
    return NULL;
}

static void *try_lock(void *mutex)
{
    CHECK_RESULT(weir_mutex_try_lock(mutex), -EAGAIN);
    return NULL;
}

static void run(void *(*function)(void *), void *mutex)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, mutex) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Another thread has just taken it, and not said yet which one that is: it is nobody else. */
static void begin_with_many_threads(void *unused)
{
    uint64_t identity;
    struct weir_mutex mutex;
    (void)unused;
    CHECK(unshare(CLONE_NEWIPC) == 0);
    next_size_bytes = 2;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(identity == WEIR_IDENTITY_SESSION_MAX + 1);
    CHECK_RESULT(weir_mutex_init(&mutex, 0), 0);
    for (uint64_t i = 1; i < identity; i++)
        run(lock_once, &mutex);
    struct weir__mutex_shm taken = { .owned = { .word = identity } };
    run(try_lock, &taken);
}

static void test_the_thread_of_the_identitys_number(void **state)
{
    (void)state;
    if (geteuid() != 0 || SANITIZED)
        skip();
    in_child(begin_with_many_threads, NULL);
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
        cmocka_unit_test_teardown(test_the_thread_of_the_identitys_number, fixture_check),
        cmocka_unit_test(test_a_name_that_was_never_written),
    };
    return cmocka_run_group_tests_name("identity_first", tests, fixture_start, fixture_end);
}
