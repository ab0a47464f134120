/* SPDX-License-Identifier: MIT */
/*
 * Goal: when a waiter gives its core away (base/yield.h): after short sleeps in a row, as long as that is
 *       worth it, and no longer; and what a wait for a channel does then.
 * Method: sleeps and yields as a wait would report them; and the wait itself, with an is_ready that counts.
 */
#include "unit/cmocka.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/clock.h>

#include "base/yield.h"
#include "channel/wait.h"

#define SHORT_NS INT64_C(5000)

static bool is_worth(const struct weir__yield *yield)
{
    return weir__yield_is_worth(yield, WEIR_NEVER);
}

static void sleep_shortly(struct weir__yield *yield, int times)
{
    for (int i = 0; i < times; i++)
        weir__yield_slept(yield, true, SHORT_NS);
}

static void sleep_long(struct weir__yield *yield)
{
    weir__yield_slept(yield, false, WEIR__YIELD_SHORT_SLEEP_NS + 1);
}

/* As usual until now. */
static void learn(struct weir__yield *yield)
{
    for (int i = 0; i < WEIR__YIELD_SHORT_SLEEPS; i++) {
        assert_false(weir__yield_is_learnt(yield));
        sleep_shortly(yield, 1);
    }
    assert_true(weir__yield_is_learnt(yield));
}

/* As usual until now; and it may yield. */
static void learn_to_yield(struct weir__yield *yield)
{
    learn(yield);
    assert_true(is_worth(yield));
}

/* Sleeps, and no look, for so many. */
static void assert_sleeps(struct weir__yield *yield, int sleeps)
{
    for (int i = 0; i < sleeps; i++) {
        assert_true(weir__yield_is_learnt(yield));
        assert_false(is_worth(yield));
        sleep_shortly(yield, 1);
    }
    assert_false(weir__yield_is_learnt(yield));
}

static void is_tried_after_short_sleeps_in_a_row(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    for (int i = 0; i < 30; i++) {
        sleep_shortly(&yield, WEIR__YIELD_SHORT_SLEEPS - 1);
        assert_false(weir__yield_is_learnt(&yield));
        if (i % 2 == 0)
            sleep_long(&yield);
        else
            weir__yield_looked(&yield);
    }
    for (int i = 0; i < 10; i++)
        weir__yield_slept(&yield, false, SHORT_NS); /* a signal, a ring for nothing */
    learn_to_yield(&yield);
    assert_false(
        weir__yield_is_worth(&yield, WEIR__YIELD_LONG_NS - 1)); /* its deadline is too near */
    assert_true(weir__yield_is_worth(&yield, WEIR__YIELD_LONG_NS));
}

static void goes_on_while_it_is_worth_it(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn_to_yield(&yield);
    for (int i = 1; i < WEIR__YIELD_TIMES; i++) {
        weir__yield_was(&yield, i % 2 == 0, SHORT_NS); /* no worse than even */
        if (i % 2 != 0)
            sleep_shortly(&yield, 1); /* that yield has been judged */
        assert_true(is_worth(&yield));
    }
    weir__yield_was(&yield, true, SHORT_NS); /* learnt anew */
    learn_to_yield(&yield);
}

static void is_given_up_where_it_is_in_vain(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn_to_yield(&yield);
    for (int i = 0; i < 10; i++) /* no credit is saved up */
        weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS);
    for (int i = 0; i < WEIR__YIELD_CREDIT; i++) {
        assert_true(is_worth(&yield));
        weir__yield_was(&yield, false, SHORT_NS);
    }
    assert_sleeps(&yield, WEIR__YIELD_SLEEPS);
    learn_to_yield(&yield);
}

/* Until it yields again: how many short sleeps, of which it was idle now and then. */
static int sleeps_until_it_yields(struct weir__yield *yield, bool is_idle_at_times)
{
    int sleeps = 0;
    for (; !is_worth(yield); sleeps++) {
        if (is_idle_at_times && sleeps % 50 == 0)
            sleep_long(yield);
        sleep_shortly(yield, 1);
    }
    return sleeps;
}

/* Whatever came meanwhile; and for longer each time, until there was none for long. */
static void is_given_up_where_it_takes_long(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn_to_yield(&yield);
    for (int i = 0; i < 6; i++) {
        int doublings = i < WEIR__YIELD_DOUBLINGS ? i : WEIR__YIELD_DOUBLINGS;
        int pause = WEIR__YIELD_PAUSE << doublings;
        weir__yield_was(&yield, true, SHORT_NS);
        weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS + 1);
        assert_true(weir__yield_is_learnt(&yield));
        int sleeps = sleeps_until_it_yields(&yield, i % 2 == 0);
        assert_in_range(sleeps, pause, pause + WEIR__YIELD_SLEEPS + WEIR__YIELD_SHORT_SLEEPS);
    }
    for (int i = 0; i < WEIR__YIELD_TIMES; i++)
        weir__yield_was(&yield, true, SHORT_NS);
    learn_to_yield(&yield);
    weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS + 1);
    assert_in_range(sleeps_until_it_yields(&yield, false), WEIR__YIELD_PAUSE,
                    WEIR__YIELD_PAUSE + WEIR__YIELD_SLEEPS + WEIR__YIELD_SHORT_SLEEPS);
}

/* Looks are tried again soon, meanwhile. */
static void a_pause_is_of_yields_alone(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn_to_yield(&yield);
    weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS + 1);
    for (int i = 0; i < 5; i++) {
        assert_sleeps(&yield, WEIR__YIELD_SLEEPS);
        learn(&yield);
    }
    sleep_long(&yield);
    assert_false(weir__yield_is_learnt(&yield));
}

static void ends_with_a_longer_sleep(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn_to_yield(&yield);
    weir__yield_slept(&yield, true, WEIR__YIELD_SHORT_SLEEP_NS);
    assert_true(is_worth(&yield));
    sleep_long(&yield);
    learn_to_yield(&yield);
}

/* --- the wait ------------------------------------------------------------------------------------- */

struct trial {
    int looks, ready_at;
};

/* Of a wait's yields: however busy the machine is. */
int64_t __wrap_weir__yield_away(void);

int64_t __wrap_weir__yield_away(void)
{
    return SHORT_NS;
}

static bool is_ready(void *argument)
{
    struct trial *trial = argument;
    return ++trial->looks >= trial->ready_at;
}

static void a_wait_yields_instead_of_its_spin(void **state)
{
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = { .doorbell = &doorbell,
                                   .epoch = &epoch,
                                   .spin_ns = 1000,
                                   .yield = { .credit = 1, .left = WEIR__YIELD_TIMES } };
    struct trial trial = { .ready_at = 2 };
    (void)state;
    assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
    assert_int_equal(waiter.yield.left, WEIR__YIELD_TIMES - 1);
    assert_int_equal(epoch, 0);
    /* In vain: nor does it spin, but sleeps; as it does from then on, for a while. */
    waiter.yield.credit = 1;
    for (int i = 0; i < 2; i++) {
        trial = (struct trial){ .ready_at = i == 0 ? 3 : 2 };
        assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
        assert_int_equal(epoch, i + 1); /* its last look was that of a sleep, */
        assert_int_equal(waiter.yield.left, WEIR__YIELD_SLEEPS - 1 - i); /* which counts as one */
        assert_false(is_worth(&waiter.yield));
    }
}

static void a_wait_spins_as_usual(void **state)
{
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = {
        .doorbell = &doorbell, .epoch = &epoch, .spin_ns = 100000000, .yield = { .short_sleeps = 3 }
    };
    struct trial trial = { .ready_at = 50 };
    (void)state;
    assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
    assert_int_equal(epoch, 0);
    assert_int_equal(waiter.yield.short_sleeps, 0); /* it was worth it */
}

static void a_wait_that_only_sleeps_does(void **state)
{
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = { .doorbell = &doorbell, .epoch = &epoch };
    (void)state;
    for (int i = 0; i < 2 * WEIR__YIELD_SHORT_SLEEPS; i++) {
        struct trial trial = { .ready_at = 2 };
        assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
        assert_int_equal(epoch, i + 1);
    }
    assert_false(weir__yield_is_learnt(&waiter.yield));
}

/* Nobody rings. */
static void a_wait_tells_how_long_it_slept(void **state)
{
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = { .doorbell = &doorbell,
                                   .epoch = &epoch,
                                   .spin_ns = 1,
                                   .yield = { .short_sleeps = WEIR__YIELD_SHORT_SLEEPS - 1 } };
    struct trial trial = { .ready_at = 1000000 };
    (void)state;
    assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_SLICE);
    assert_int_equal(waiter.yield.short_sleeps, 0); /* a slice is a long one */
}

/* --- scheduled by deadlines ----------------------------------------------------------------------- */

/* As sched_setattr(2) takes it; the C libraries of today do not all have it. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

#define FLAG_RESET_ON_FORK 1

struct with_a_deadline {
    uint64_t flags;
    int result; /* -1: not allowed */
};

static void *learn_with_a_deadline(void *argument)
{
    struct with_a_deadline *trial = argument;
    const struct attributes attributes = { .size = sizeof attributes,
                                           .policy = 6, /* SCHED_DEADLINE */
                                           .flags = trial->flags,
                                           .runtime = 5000000,
                                           .deadline = 10000000,
                                           .period = 10000000 };
    struct weir__yield yield = { 0 };
    trial->result = -1;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        return NULL;
    sleep_shortly(&yield, WEIR__YIELD_SHORT_SLEEPS);
    trial->result = weir__yield_is_learnt(&yield) && !is_worth(&yield);
    return NULL;
}

static void who_has_a_deadline_keeps_its_core(void **state)
{
    (void)state;
    for (uint64_t flags = 0; flags <= FLAG_RESET_ON_FORK; flags++) {
        struct with_a_deadline trial = { .flags = flags };
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, learn_with_a_deadline, &trial), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        if (trial.result < 0)
            skip(); /* not allowed to */
        assert_int_equal(trial.result, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_tried_after_short_sleeps_in_a_row),
        cmocka_unit_test(goes_on_while_it_is_worth_it),
        cmocka_unit_test(is_given_up_where_it_is_in_vain),
        cmocka_unit_test(is_given_up_where_it_takes_long),
        cmocka_unit_test(a_pause_is_of_yields_alone),
        cmocka_unit_test(ends_with_a_longer_sleep),
        cmocka_unit_test(a_wait_yields_instead_of_its_spin),
        cmocka_unit_test(a_wait_spins_as_usual),
        cmocka_unit_test(a_wait_that_only_sleeps_does),
        cmocka_unit_test(a_wait_tells_how_long_it_slept),
        cmocka_unit_test(who_has_a_deadline_keeps_its_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
