/* SPDX-License-Identifier: MIT */
/*
 * Goal: whoever uses a mutex, condition, event, semaphore or once and is killed at any system call
 *       leaves it usable within a bounded time, with what it guards whole or its death told; one
 *       that is stopped there is not robbed, and goes on when it is let.
 * Method: a traced child is halted at its n-th system call stop, for every n until it ends, while a
 *       companion goes on using the same object; it is killed there, or stands while others look.
 */
#include "fixture.h"
#include "given.h"
#include "tracer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/condition.h>
#include <weir/event.h>
#include <weir/once.h>
#include <weir/semaphore.h>

#define MS WEIR_MILLISECOND_NS
#define SOON weir_deadline_ns(20 * WEIR_SECOND_NS)
#define BOUND_NS ((SANITIZED ? 5 : 1) * WEIR_SECOND_NS)

enum { TURNS = 3 };

static struct board {
    struct weir_mutex mutex;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore, back;
    struct weir_once once;
    uint64_t first, second; /* alike, whenever nobody holds the mutex */
    unsigned count;
    atomic_uint state;
    atomic_uint posted, begun, taken; /* units: by the companion; the victim's begun and finished */
    atomic_bool is_built, is_ended;   /* once: by the victim */
    atomic_uint rounds;               /* of the companion */
    atomic_bool is_held;              /* by the companion: who comes now must sleep */
    atomic_bool is_over;
} * board;

static struct companion other;

static void nap(long ns)
{
    const struct timespec time = { 0, ns };
    nanosleep(&time, NULL);
}

/* A place to be killed at, where weir makes no system call. */
static void stand(void)
{
    syscall(SYS_getppid);
}

/* Until the companion has what is wanted, and keeps it for a while: no system call. */
static void see_it_held(void)
{
    int64_t until_ns = weir_now_ns() + WEIR_SECOND_NS;
    while (!board->is_held && weir_now_ns() < until_ns)
        ;
}

static void take_lock(void)
{
    int result = weir_mutex_lock_until(&board->mutex, SOON);
    if (result == WEIR_OWNER_DIED) {
        board->first = board->second;
        CHECK_RESULT(weir_mutex_consistent(&board->mutex), 0);
    } else {
        CHECK_RESULT(result, 0);
        CHECK(board->first == board->second);
    }
}

/* --- what is done, by the one that is halted and by its companion -------------------------------- */

static void use_mutex(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        see_it_held();
        take_lock();
        board->first++;
        stand();
        board->second++;
        CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
        stand();
    }
}

/* Long enough for the other one to fall asleep. */
static void hold_mutex(void)
{
    take_lock();
    board->first++;
    board->is_held = true;
    nap(2000000);
    board->is_held = false;
    board->second++;
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
    nap(200000);
}

/* Comes late: the victim is the heir. */
static void hold_mutex_later(void)
{
    nap(20000000);
    hold_mutex();
}

static void inherit_mutex(void *unused)
{
    (void)unused;
    take_lock();
    board->first++;
    stand();
    board->second++;
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
}

/* In the victim: one that holds the mutex dies before. */
static void let_one_die(void *unused)
{
    uint64_t own;
    (void)unused;
    CHECK_RESULT(weir_identity(&own), 0);
    pid_t child = fork();
    if (child == 0) {
        take_lock();
        board->first++;
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child);
}

static void have_identity(void *unused)
{
    uint64_t own;
    (void)unused;
    CHECK_RESULT(weir_identity(&own), 0);
}

static void use_condition(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        take_lock();
        while (board->count == 0) {
            int result = weir_condition_wait(&board->condition, &board->mutex);
            CHECK(result >= 0);
            if (result == WEIR_OWNER_DIED)
                CHECK_RESULT(weir_mutex_consistent(&board->mutex), 0);
        }
        board->count--;
        CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
        CHECK_RESULT(weir_condition_broadcast(&board->condition), 0);
    }
}

static void fill_and_signal(void)
{
    take_lock();
    board->count = board->count < 3 ? board->count + 1 : 3;
    int result = weir_condition_wait_until(&board->condition, &board->mutex, weir_deadline_ns(MS));
    CHECK(result >= 0 || result == -ETIMEDOUT);
    if (result == WEIR_OWNER_DIED)
        CHECK_RESULT(weir_mutex_consistent(&board->mutex), 0);
    CHECK_RESULT(weir_mutex_unlock(&board->mutex), 0);
    CHECK_RESULT(weir_condition_signal(&board->condition), 0);
    nap(1000000);
}

static void use_event(void *unused)
{
    unsigned seen = board->state, ticket;
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        while (board->state == seen) {
            CHECK_RESULT(weir_event_prepare(&board->event, &ticket), 0);
            if (board->state != seen)
                break;
            CHECK_RESULT(weir_event_wait(&board->event, ticket), 0);
        }
        seen = board->state;
        CHECK_RESULT(weir_event_notify(&board->event), 0);
        CHECK_RESULT(weir_event_notify_all(&board->event), 0);
    }
}

static void change_and_notify(void)
{
    unsigned ticket;
    board->state++;
    CHECK_RESULT(weir_event_notify(&board->event), 0);
    CHECK_RESULT(weir_event_prepare(&board->event, &ticket), 0);
    int result = weir_event_wait_until(&board->event, ticket, weir_deadline_ns(2 * MS));
    CHECK(result == 0 || result == -ETIMEDOUT);
}

static void use_semaphore(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        atomic_fetch_add(&board->begun, 1);
        CHECK_RESULT(weir_semaphore_wait_until(&board->semaphore, SOON), 0);
        atomic_fetch_add(&board->taken, 1);
        CHECK_RESULT(weir_semaphore_post(&board->back), 0);
    }
}

static void post_one(void)
{
    if (weir_semaphore_value(&board->semaphore) < 2) {
        atomic_fetch_add(&board->posted, 1);
        CHECK_RESULT(weir_semaphore_post(&board->semaphore), 0);
    }
    int result = weir_semaphore_wait_until(&board->back, weir_deadline_ns(2 * MS));
    CHECK(result == 0 || result == -ETIMEDOUT);
}

static void use_once(void *unused)
{
    (void)unused;
    see_it_held();
    int result = weir_once_begin_until(&board->once, SOON);
    CHECK(result >= 0);
    if (result > 0) {
        board->first++;
        stand();
        atomic_store(&board->is_built, true);
        CHECK_RESULT(weir_once_end(&board->once), 0);
    }
    atomic_store(&board->is_ended, true);
    CHECK_RESULT(weir_once_begin(&board->once), 0);
}

/* It waits for the victim, asleep, and must be let go by its end or by its death. */
static void wait_for_once(void)
{
    int result = weir_once_begin_until(&board->once, SOON);
    CHECK(result == 0 || result == WEIR_OWNER_DIED || result == WEIR_ONCE_BEGUN);
    CHECK(result != 0 || board->is_built);
    CHECK(!(board->is_ended && result != 0));
    if (result != 0) {
        board->is_held = true;
        nap(2000000);
        board->is_held = false;
        CHECK_RESULT(weir_once_abandon(&board->once), 0);
    }
    nap(300000);
}

static void go_on(struct companion *companion, void *argument)
{
    void (*step)(void) = *(void (**)(void))argument;
    companion_arrive(companion);
    while (!board->is_over) {
        step();
        atomic_fetch_add(&board->rounds, 1);
    }
}

/* --- the walks ------------------------------------------------------------------------------------ */

struct act {
    const char *what;
    void (*prepare)(void *);
    void (*act)(void *);
    void (*step)(void); /* the companion's */
};

static const struct act acts[] = {
    { "mutex", have_identity, use_mutex, hold_mutex },
    { "mutex, its first use", NULL, use_mutex, hold_mutex },
    { "mutex, inherited", let_one_die, inherit_mutex, hold_mutex_later },
    { "condition", have_identity, use_condition, fill_and_signal },
    { "event", have_identity, use_event, change_and_notify },
    { "semaphore", have_identity, use_semaphore, post_one },
    { "once", have_identity, use_once, wait_for_once },
};

static void start_companion(void *argument)
{
    const struct act *act = argument;
    static void (*step)(void);
    memset((void *)board, 0, sizeof *board);
    step = act->step;
    companion_start(&other, go_on, (void *)&step);
    companion_meet(&other);
    companion_release(&other);
}

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    walk_print_place();
    fail_msg("%s (%u rounds)", what, board->rounds);
}

/* The companion is not held up: by nobody but the machine, which may not run it for a second. */
static void see_it_go_on(void)
{
    unsigned before = board->rounds;
    struct given given;
    given_begin(&given, other.pid, other.pid);
    while (board->rounds - before < 3 && given_ns(&given) < BOUND_NS)
        nap(200000);
    expect(board->rounds - before >= 3, "the companion is held up");
}

static void end_companion(void)
{
    atomic_store(&board->is_over, true);
    expect(companion_end(&other) == 0, "the companion has seen what must not be");
    unsigned left = (unsigned)weir_semaphore_value(&board->semaphore);
    expect(left <= board->posted - board->taken && left + board->begun >= board->posted,
           "units are lost, or there are too many");
}

/* Whoever was killed or stopped, and wherever. */
static void check_all(void)
{
    expect(weir_mutex_check(&board->mutex) == 0 && weir_once_check(&board->once) == 0 &&
               weir_semaphore_check(&board->semaphore) == 0,
           weir_last_error());
}

static void after_kill(pid_t child, void *argument)
{
    (void)argument;
    check_all();
    tracee_kill(child);
    check_all();
    see_it_go_on();
    end_companion();
    int result = weir_mutex_lock_until(&board->mutex, weir_deadline_ns(BOUND_NS));
    expect(result == WEIR_OWNER_DIED || (result == 0 && board->first == board->second) ||
               board->is_built || result == 0,
           "the mutex stays locked, or what it guards is torn");
    result = weir_once_begin_until(&board->once, weir_deadline_ns(BOUND_NS));
    expect(result >= 0 && (!board->is_ended || result == 0), "once is held up");
    assert_true(weir_collect(0, NULL, NULL) >= 0);
}

static void after_stop(pid_t child, void *argument)
{
    (void)argument;
    check_all();
    int result = weir_mutex_lock_until(&board->mutex, weir_deadline_ns(20 * MS));
    expect(result == 0 || result == -ETIMEDOUT, "a stopped holder is robbed");
    if (result == 0)
        assert_result(weir_mutex_unlock(&board->mutex), 0);
    result = weir_once_begin_until(&board->once, weir_deadline_ns(20 * MS));
    expect(result == 0 || result == -ETIMEDOUT || result == WEIR_ONCE_BEGUN,
           "a stopped builder is robbed");
    if (result > 0)
        assert_result(weir_once_abandon(&board->once), 0);
    expect(tracee_finish(child) == 0, "it does not go on");
    see_it_go_on();
    end_companion();
    assert_true(weir_collect(0, NULL, NULL) >= 0);
}

static void walk(const struct act *act, void (*at_stop)(pid_t, void *))
{
    struct walk walk = { act->what, start_companion, act->prepare,
                         act->act,  at_stop,         (void *)(uintptr_t)act };
    unsigned stops = walk_stops(&walk);
    atomic_store(&board->is_over, true);
    end_companion();
    print_message("           %s: %u stops\n", act->what, stops);
    assert_true(stops >= 2);
}

static void test_killed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        walk(&acts[i], after_kill);
}

static void test_stopped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
        if (acts[i].prepare != let_one_die) /* the test itself would be told of that death */
            walk(&acts[i], after_stop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_killed, fixture_check_alive),
        cmocka_unit_test_teardown(test_stopped, fixture_check_alive),
    };
    if (!tracer_works())
        return 77;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
