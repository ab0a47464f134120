/* SPDX-License-Identifier: MIT */
/*
 * Goal: a moment in which a word of floor 2 looks as if it were another's: the thread in a mutex
 *       that was another process's.
 * Method: the memory is written as it stands in that moment, and the call is made that would be
 *       deceived. (proof/models/mutex.pml finds the way there.)
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/identity.h>

#include "sync/mutex.h"

/*
 * A child has its thread where its parent has it. It holds the mutex and dies; its parent's thread
 * finds the word to name the parent already, since another thread inherits, and thread as it was.
 */
static void thread_of_another_process(void **state)
{
    (void)state;
    struct weir_mutex *mutex =
        mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(mutex != MAP_FAILED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(weir_mutex_lock(mutex) == 0 ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    struct weir__mutex_shm *shm = (struct weir__mutex_shm *)(void *)mutex;
    uint64_t self;
    assert_int_equal(weir_identity(&self), 0);
    assert_true(atomic_load(&shm->thread) != 0);
    atomic_store(&shm->owned.word, self | WEIR__MUTEX_INHERITED | WEIR__MUTEX_WAITED);
    assert_int_equal(weir_mutex_unlock(mutex), -EPERM);
    assert_int_equal(weir_mutex_consistent(mutex), -EPERM);
    assert_int_equal(weir_mutex_try_lock(mutex), -EAGAIN);
    munmap(mutex, sizeof *mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_of_another_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
