/* SPDX-License-Identifier: MIT */
/*
 * Goal: two moments in which a word of floor 2 looks as if it were another time's: the thread in a
 *       mutex that was another process's, and the ticket of an event that has been cleared since.
 * Method: the memory is written as it stands in that moment, and the call is made that would be
 *       deceived. (proof/models/mutex.pml and event.pml find the way there.)
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/identity.h>

#include "sync/event.h"
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

/*
 * A notification counts, finds nobody asleep, and clears WAITED. Who prepares between the first and
 * the last of that has a ticket that must not fit again when the next one has prepared.
 */
static void ticket_of_a_cleared_word(void **state)
{
    (void)state;
    struct weir_event event = { { 0 } };
    struct weir__event_shm *shm = (struct weir__event_shm *)(void *)&event;
    uint32_t first, next;
    assert_int_equal(weir_event_prepare(&event, &first), 0);
    assert_int_equal(weir_event_notify(&event), 0);
    assert_int_equal(atomic_load(&shm->word) & WEIR__EVENT_WAITED, 0);
    uint32_t between = first + 2;
    assert_int_equal(weir_event_prepare(&event, &next), 0);
    /* 0: it did not sleep, even with a deadline that has passed. */
    assert_int_equal(weir_event_wait_until(&event, between, 1), 0);
    assert_int_equal(weir_event_wait_until(&event, next, 1), -ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_of_another_process),
        cmocka_unit_test(ticket_of_a_cleared_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
