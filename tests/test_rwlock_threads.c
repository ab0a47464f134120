/* SPDX-License-Identifier: MIT */
/*
 * Goal: a read-write lock orders what threads do, through any handle; writing is a thread's own.
 * Method: threads of one process read, write and downgrade, and check what it guards.
 */
#include "rwlock_peers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Rounds: how the threads' counts are spread over the places is settled in the first turns. */
enum { THREADS = 4, TURNS = 40, ROUNDS = SANITIZED ? 20 : 4000 };

/* Not atomic: the sanitizer sees whether the lock orders what it guards. */
static struct {
    uint64_t first, second;
} guarded;

static struct weir_rwlock handles[2];

static void *work(void *argument)
{
    unsigned which = (unsigned)(uintptr_t)argument;
    struct weir_rwlock *own = &handles[which % 2];
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        bool writes = (i + which) % 4 == 0;
        if ((writes ? weir_rwlock_write_lock(own) : weir_rwlock_read_lock(own)) != 0)
            return (void *)(wrong + 1000);
        if (writes)
            guarded.first++;
        wrong += guarded.first - guarded.second != (writes ? 1 : 0);
        if (writes)
            guarded.second++;
        bool reads = !writes || (i % 8 == 0 && weir_rwlock_downgrade(own) == 0);
        /* A thread may unlock what another one has locked, through any handle. */
        if (reads)
            wrong += weir_rwlock_read_unlock(&handles[i % 2]) != 0;
        else
            wrong += weir_rwlock_write_unlock(own) != 0;
    }
    return (void *)wrong;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    rwlock_make(4);
    memset(&guarded, 0, sizeof guarded);
    for (int i = 0; i < 2; i++)
        assert_result(weir_rwlock_open(&handles[i], peers_memory, peers_bytes), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_int_equal((uintptr_t)wrong, 0);
    }
    assert_int_equal(guarded.first, THREADS * TURNS / 4);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_result(weir_rwlock_try_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void test_threads(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        run_threads();
}

static void *write_elsewhere(void *argument)
{
    (void)argument;
    if (weir_rwlock_try_read_lock(&lock) != -EAGAIN || weir_rwlock_write_unlock(&lock) != -EPERM)
        return (void *)1;
    return weir_rwlock_try_write_lock(&lock) == -EAGAIN ? NULL : (void *)2;
}

static void test_writing_is_a_threads(void **state)
{
    pthread_t thread;
    void *wrong;
    (void)state;
    rwlock_make(2);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_int_equal((uintptr_t)wrong, 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_writing_is_a_threads),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
