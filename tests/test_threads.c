/* SPDX-License-Identifier: MIT */
/*
 * Goal: any number of threads may create, open, look up, remove and collect one name, and attach
 *       and detach on one handle, at the same time; each has its own last sentence.
 * Method: eight threads in a loop of seeded draws without a pause; to be run with the thread
 *       sanitizer as well, which sees what a lucky order hides.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 150, TEST_SIZE = 5000 };

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* What a thread says went wrong; cmocka's own checks may be used by the main thread alone. */
struct thread {
    pthread_t id;
    unsigned number;
    struct weir_segment *shared;
    unsigned done;
    char wrong[256];
};

#define WANT(thread, condition)                                                                    \
    do {                                                                                           \
        if (!(condition) && !(thread)->wrong[0])                                                   \
            snprintf((thread)->wrong, sizeof(thread)->wrong, "line %d: %s (%.150s)", __LINE__,     \
                     #condition, weir_last_error());                                               \
    } while (0)

static void run_threads(void *(*function)(void *), struct weir_segment *shared)
{
    struct thread threads[THREADS] = { 0 };
    unsigned done = 0;
    unsigned wrong = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].number = i;
        threads[i].shared = shared;
        assert_int_equal(pthread_create(&threads[i].id, NULL, function, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        if (threads[i].wrong[0])
            print_error("thread %u: %s\n", i, threads[i].wrong);
        wrong += threads[i].wrong[0] != 0;
        done += threads[i].done;
    }
    assert_int_equal(wrong, 0);
    assert_true(done > 0);
}

/* --- one name --------------------------------------------------------------------------- */

static void *use_one_name(void *argument)
{
    struct thread *thread = argument;
    uint64_t seed = 88172645463325252u + thread->number * 977;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t draw = next_random(&seed);
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment = NULL;
        struct weir_ref ref = weir_by_name("threads");
        int result = 0;
        options.lifetime = draw >> 8 & 1;
        options.semaphores = draw >> 9 & 1;
        switch (draw % 7) {
        case 0:
        case 1:
            result = weir_segment_create_or_open(&segment, ref, TEST_SIZE, &options);
            break;
        case 2:
            result = weir_segment_create(&segment, ref, TEST_SIZE, &options);
            break;
        case 3:
            result = weir_segment_open(&segment, ref, TEST_SIZE, NULL);
            break;
        case 4:
            result = weir_segment_lookup(ref, &stat);
            break;
        case 5:
            result = weir_segment_remove(ref);
            break;
        default:
            result = weir_collect(0, NULL, NULL);
            break;
        }
        /* -EINVAL: somebody made it without the semaphores that this one needs. */
        if (result == -EINVAL && options.semaphores)
            continue;
        WANT(thread, result >= 0 || result == -ENOENT || result == -EEXIST || result == -EIDRM);
        WANT(thread, result >= 0 || !segment);
        if (!segment)
            continue;
        WANT(thread, weir_segment_size(segment) == TEST_SIZE);
        WANT(thread, weir_segment_stat(segment, &stat) == 0 && stat.shm_nattch >= 1);
        /* Threads share the memory on purpose, each has its byte. */
        ((volatile unsigned char *)weir_segment_data(segment))[thread->number] = 1;
        thread->done++;
        weir_segment_close(segment);
    }
    return NULL;
}

static void test_one_name(void **state)
{
    (void)state;
    run_threads(use_one_name, NULL);
    int result = weir_segment_remove(weir_by_name("threads"));
    assert_true(result == 0 || result == -ENOENT);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

/* --- one handle ------------------------------------------------------------------------- */

static void *use_one_handle(void *argument)
{
    struct thread *thread = argument;
    uint64_t seed = 99u + thread->number;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t draw = next_random(&seed);
        struct weir_segment_stat stat = { .size = sizeof stat };
        static const uint32_t flags[] = { 0, WEIR_SEGMENT_READ_ONLY, WEIR_SEGMENT_NO_FORK,
                                          WEIR_SEGMENT_PREFAULT };
        void *data = NULL;
        int result = weir_segment_attach(thread->shared, NULL, flags[draw % 4], &data);
        WANT(thread, result == 0 && data);
        if (result != 0)
            break;
        WANT(thread, ((const char *)data)[TEST_SIZE - 1] == 'x');
        WANT(thread, weir_segment_stat(thread->shared, &stat) == 0);
        /* While a thread is in shmat(2), the kernel counts it twice. */
        WANT(thread, stat.shm_nattch >= 2 && stat.shm_nattch <= 2 * THREADS + 1);
        WANT(thread, weir_segment_size(thread->shared) == TEST_SIZE);
        WANT(thread, ((const char *)weir_segment_data(thread->shared))[TEST_SIZE - 1] == 'x');
        WANT(thread, weir_segment_detach(thread->shared, data) == 0);
        WANT(thread, weir_semset_post(weir_segment_semset(thread->shared), 0, 0) == 0);
        thread->done++;
    }
    return NULL;
}

static void test_one_handle(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    options.semaphores = 1;
    assert_result(weir_segment_create(&segment, weir_by_name("handle"), TEST_SIZE, &options), 0);
    ((char *)weir_segment_data(segment))[TEST_SIZE - 1] = 'x';
    run_threads(use_one_handle, segment);
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.shm_nattch, 1);
    assert_int_equal(weir_semset_value(weir_segment_semset(segment), 0), THREADS * ROUNDS);
    weir_segment_close(segment);
}

/* --- sentences -------------------------------------------------------------------------- */

static void *keep_own_sentence(void *argument)
{
    struct thread *thread = argument;
    char name[32], quoted[40];
    snprintf(name, sizeof name, "absent-%u", thread->number);
    snprintf(quoted, sizeof quoted, "absent-%u", thread->number);
    WANT(thread, weir_last_error()[0] == 0); /* no call of this thread has failed yet */
    for (int round = 0; round < ROUNDS; round++) {
        struct weir_segment *segment = NULL;
        WANT(thread, weir_segment_open(&segment, weir_by_name(name), 0, NULL) == -ENOENT);
        WANT(thread, strstr(weir_last_error(), quoted) != NULL);
        thread->done++;
    }
    return NULL;
}

static void test_sentences(void **state)
{
    (void)state;
    run_threads(keep_own_sentence, NULL);
}

/* --- fork beside threads ---------------------------------------------------------------- */

/* Children of fork come while other threads are in the midst of creating: nothing is kept alive
 * or locked by them for longer than they live. */
static void *create_and_fork(void *argument)
{
    struct thread *thread = argument;
    char name[32];
    snprintf(name, sizeof name, "fork-%u", thread->number);
    for (int round = 0; round < ROUNDS / 5; round++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment *segment = NULL;
        options.semaphores = 1;
        if (thread->number < THREADS / 2) {
            int result = weir_segment_create(&segment, weir_by_name(name), TEST_SIZE, &options);
            WANT(thread, result == 0 || result == -EEXIST); /* a child may hold the last one */
            weir_segment_close(segment);
        } else {
            pid_t child = fork();
            if (child == 0)
                _exit(0);
            int status = -1;
            WANT(thread, waitpid(child, &status, 0) == child && status == 0);
        }
        thread->done++;
    }
    return NULL;
}

static void test_fork_beside_threads(void **state)
{
    (void)state;
    run_threads(create_and_fork, NULL);
    /* Who closed while a child still had it attached was not the last; that child's end was. */
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_one_name, fixture_check),
        cmocka_unit_test_teardown(test_one_handle, fixture_check),
        cmocka_unit_test_teardown(test_sentences, fixture_check),
        cmocka_unit_test_teardown(test_fork_beside_threads, fixture_check),
    };
    return cmocka_run_group_tests_name("threads", tests, fixture_start, fixture_end);
}
