/* SPDX-License-Identifier: MIT */
/*
 * Goal: a change that comes at any moment of a wait ends it, and not a slice later: before the
 *       sleep, in the midst of the unlock of a condition, or when the sleep has begun. And a wait whose
 *       deadline has passed says what becomes of the mutex meanwhile. Who has taken the last unit of a
 *       semaphore may use its memory for something else.
 * Method: a traced child is halted at each system call stop of its wait; there the change is made
 *       and told; then it goes on, and the time until its end is taken. What is late three times
 *       out of three is late, and no busy machine. And one is halted where it has let the mutex go, or
 *       has announced its sleep.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/condition.h>
#include <weir/event.h>
#include <weir/semaphore.h>

#include "base/atomics.h"
#include "sync/mutex.h"
#include "sync/semaphore.h"

#define MS WEIR_MILLISECOND_NS

/* A slice is 200 ms, a short one of a mutex 2. */
enum { LATE_MS = 100, RUNS = 3, STOPS_MAX = 8 };

static struct board {
    struct weir_mutex mutex;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore;
    weir__atomic_u32 state;
    weir__atomic_u32 is_locked; /* by the victim: others have the mutex, too, for a moment */
    weir__atomic_u32 is_over;
} * board;

static unsigned late[STOPS_MAX], stop;
static bool has_companion;
static struct companion other;

/* --- waits, and what ends them --------------------------------------------------------------------- */

static void prepare(void *unused)
{
    uint64_t own;
    (void)unused;
    CHECK_RESULT(weir_identity(&own), 0);
}

static void wait_for_condition(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_mutex_lock(&board->mutex), 0);
    board->is_locked = 1;
    /* The companion sleeps: then the unlock in the wait is a system call, too, and a stop. */
    while ((atomic_load((weir__atomic_u64 *)board->mutex.opaque) & WEIR__MUTEX_WAITED) == 0)
        ;
    while (board->state == 0)
        CHECK_RESULT(weir_condition_wait(&board->condition, &board->mutex), 0);
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
}

static void change_and_signal(void)
{
    assert_result(weir_mutex_lock_until(&board->mutex, weir_deadline_ns(5 * WEIR_SECOND_NS)), 0);
    board->state = 1;
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_result(weir_condition_signal(&board->condition), 0);
}

/* Is there when the victim has the mutex, and wants it, once. */
static void want_mutex(struct companion *companion, void *unused)
{
    (void)unused;
    companion_arrive(companion);
    while (board->is_locked == 0 && board->is_over == 0)
        ;
    CHECK_RESULT(weir_mutex_lock(&board->mutex), 0);
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
}

static void wait_for_event(void *unused)
{
    uint32_t ticket;
    (void)unused;
    while (board->state == 0) {
        CHECK_RESULT(weir_event_prepare(&board->event, &ticket), 0);
        if (board->state != 0)
            break;
        CHECK_RESULT(weir_event_wait(&board->event, ticket), 0);
    }
}

static void change_and_notify(void)
{
    board->state = 1;
    assert_result(weir_event_notify(&board->event), 0);
}

static void wait_for_unit(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_semaphore_wait(&board->semaphore), 0);
}

static void post(void)
{
    assert_result(weir_semaphore_post(&board->semaphore), 0);
}

/* --- the walks --------------------------------------------------------------------------------------- */

struct moment {
    const char *what;
    void (*act)(void *);
    void (*end)(void);
    bool has_companion;
};

static const struct moment moments[] = {
    { "condition", wait_for_condition, change_and_signal, true },
    { "event", wait_for_event, change_and_notify, false },
    { "semaphore", wait_for_unit, post, false },
};

static void stage(void *argument)
{
    const struct moment *moment = argument;
    memset((void *)board, 0, sizeof *board);
    has_companion = moment->has_companion;
    if (!has_companion)
        return;
    companion_start(&other, want_mutex, NULL);
    companion_meet(&other);
    companion_release(&other);
}

static void end_companion(void)
{
    board->is_over = 1;
    if (has_companion)
        assert_int_equal(companion_end(&other), 0);
}

/* Waits that nobody ends go on slice by slice: a few stops show all that there is. */
enum { STOPS = 4 };

static void end_at(const struct moment *moment, unsigned number)
{
    int status = 0;
    stage((void *)(uintptr_t)moment);
    pid_t child = tracee_start(prepare, moment->act, NULL);
    for (unsigned i = 0; i < number; i++)
        assert_true(tracee_step(child, &status));
    moment->end();
    int64_t before_ns = weir_now_ns();
    assert_int_equal(tracee_finish(child), 0);
    late[number] += weir_now_ns() - before_ns > LATE_MS * MS;
    end_companion();
}

static void test_moments(void **state)
{
    (void)state;
    if (!tracer_works())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
        memset(late, 0, sizeof late);
        for (int run = 0; run < RUNS; run++)
            for (stop = 1; stop <= STOPS; stop++)
                end_at(&moments[i], stop);
        for (stop = 1; stop <= STOPS; stop++)
            if (late[stop] == RUNS)
                fail_msg("%s: what comes at stop %u is seen a slice later", moments[i].what, stop);
    }
}

/* --- the mutex past the deadline ------------------------------------------------------------------ */

static void lock(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_mutex_lock(&board->mutex), 0);
}

static void wait_past_the_deadline(void *expected)
{
    CHECK_RESULT(weir_condition_wait_until(&board->condition, &board->mutex, 1), *(int *)expected);
}

static bool is_free(void)
{
    const struct weir__mutex_shm *shm = (const struct weir__mutex_shm *)(const void *)&board->mutex;
    return weir__owner(shm->owned.word) == WEIR_IDENTITY_NOBODY;
}

static void inherit_and_give_up(void)
{
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
}

/* Whoever has it when the wait wants it back has died, or given it up: that counts for more. */
static void test_the_mutex_past_the_deadline(void **state)
{
    const int results[] = { -ETIMEDOUT, WEIR_OWNER_DIED, -ENOTRECOVERABLE };
    (void)state;
    if (!tracer_works())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        int expected = results[i];
        memset((void *)board, 0, sizeof *board);
        pid_t child = tracee_start(lock, wait_past_the_deadline, &expected);
        while (!is_free())
            tracee_step_instruction(child);
        if (expected != -ETIMEDOUT)
            in_child(lock, NULL);
        if (expected == -ENOTRECOVERABLE)
            inherit_and_give_up();
        assert_int_equal(tracee_finish(child), 0);
    }
}

/* --- the memory of a semaphore, after its last unit ---------------------------------------------- */

enum { INSTRUCTIONS = 60, INSTRUCTIONS_MAX = 100000, REUSED = 0x41 };

static const struct weir__semaphore_shm *semaphore_shm(void)
{
    return (const struct weir__semaphore_shm *)(const void *)&board->semaphore;
}

/* A wait that has announced its sleep, so many instructions ago. */
static pid_t start_a_sleeper(unsigned instructions)
{
    memset((void *)board, 0, sizeof *board);
    pid_t child = tracee_start(NULL, wait_for_unit, NULL);
    for (int i = 0; semaphore_shm()->asleep == 0; i++) {
        assert_true(i < INSTRUCTIONS_MAX);
        tracee_step_instruction(child);
    }
    while (instructions-- > 0)
        tracee_step_instruction(child);
    return child;
}

/* Two units come; it takes one, and the other is the last: the memory serves for something else. */
static void test_the_memory_after_the_last_unit(void **state)
{
    unsigned char reused[sizeof board->semaphore];
    (void)state;
    if (SANITIZED || !tracer_works())
        skip();
    memset(reused, REUSED, sizeof reused);
    for (unsigned instructions = 0; instructions < INSTRUCTIONS; instructions++) {
        pid_t child = start_a_sleeper(instructions);
        post();
        post();
        for (int i = 0; (semaphore_shm()->value & ~WEIR__SEMAPHORE_WAITED) == 2; i++) {
            assert_true(i < INSTRUCTIONS_MAX);
            tracee_step_instruction(child);
        }
        assert_result(weir_semaphore_wait_until(&board->semaphore, 0), 0);
        memcpy(&board->semaphore, reused, sizeof reused);
        assert_int_equal(tracee_finish(child), 0);
        assert_memory_equal(&board->semaphore, reused, sizeof reused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_the_mutex_past_the_deadline),
        cmocka_unit_test(test_the_memory_after_the_last_unit),
    };
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
