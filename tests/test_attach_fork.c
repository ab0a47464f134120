/* SPDX-License-Identifier: MIT */
/*
 * Goal: a child of fork attaches and detaches by its parent's handle, whatever another thread of the
 *       parent did with it at that moment. Method: the thread is halted where it gives the lock back.
 */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static struct weir_segment *handle;
static _Thread_local bool is_halted; /* at its next unlock */
static atomic_bool is_inside, is_released;

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (is_halted) {
        is_halted = false;
        atomic_store(&is_inside, true);
        while (!atomic_load(&is_released))
            sched_yield();
    }
    return __real_pthread_mutex_unlock(mutex);
}

static void *attach_once_more(void *failed)
{
    void *data;
    is_halted = true;
    *(int *)failed = weir_segment_attach(handle, NULL, 0, &data);
    return NULL;
}

static void attach_in_child(void *first)
{
    void *data;
    alarm(20);
    CHECK_RESULT(weir_segment_detach(handle, first), 0);
    CHECK_RESULT(weir_segment_attach(handle, NULL, 0, &data), 0);
    CHECK_RESULT(weir_segment_detach(handle, data), 0);
    weir_segment_close(handle);
}

static void test_another_thread_attaches(void **state)
{
    pthread_t thread;
    int result = -1;
    void *data;
    (void)state;
    assert_result(weir_segment_create(&handle, weir_private(), 4096, NULL), 0);
    assert_result(weir_segment_attach(handle, NULL, 0, &data), 0);
    assert_int_equal(pthread_create(&thread, NULL, attach_once_more, &result), 0);
    while (!atomic_load(&is_inside))
        sched_yield();
    int status = status_in_child(attach_in_child, data);
    atomic_store(&is_released, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_result(result, 0);
    assert_int_equal(status, 0);
    weir_segment_close(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_thread_attaches, NULL, fixture_check),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
