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

/* As usual until now. */
static void learn(struct weir__yield *yield)
{
    for (int i = 0; i < WEIR__YIELD_SHORT_SLEEPS; i++) {
        assert_false(weir__yield_is_worth(yield));
        weir__yield_slept(yield, SHORT_NS);
    }
    assert_true(weir__yield_is_worth(yield));
}

static void is_tried_after_short_sleeps_in_a_row(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    for (int i = 0; i < 100; i++)
        weir__yield_slept(&yield, i % WEIR__YIELD_SHORT_SLEEPS == 0 ? WEIR__YIELD_SHORT_SLEEP_NS + 1
                                                                    : SHORT_NS);
    assert_false(weir__yield_is_worth(&yield));
    weir__yield_slept(&yield, WEIR__YIELD_SHORT_SLEEP_NS + 1);
    learn(&yield);
}

static void goes_on_while_it_is_worth_it(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn(&yield);
    for (int i = 1; i < WEIR__YIELD_TIMES; i++) {
        weir__yield_was(&yield, i % 2 == 0, SHORT_NS); /* no worse than even */
        assert_true(weir__yield_is_worth(&yield));
    }
    weir__yield_was(&yield, true, SHORT_NS); /* learnt anew */
    learn(&yield);
}

static void is_without_for(struct weir__yield *yield, int sleeps)
{
    for (int i = 0; i < sleeps; i++) {
        assert_false(weir__yield_is_worth(yield));
        weir__yield_slept(yield, SHORT_NS);
    }
    learn(yield);
}

static void is_given_up_where_it_is_in_vain(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn(&yield);
    for (int i = 0; i < 10; i++) /* no credit is saved up */
        weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS);
    for (int i = 0; i < WEIR__YIELD_CREDIT; i++) {
        assert_true(weir__yield_is_worth(&yield));
        weir__yield_was(&yield, false, SHORT_NS);
    }
    is_without_for(&yield, WEIR__YIELD_SLEEPS);
}

/* Whatever came meanwhile; and for longer each time, until there was none for long. */
static void is_given_up_where_it_takes_long(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn(&yield);
    for (int i = 0; i < 6; i++) {
        int doublings = i < WEIR__YIELD_DOUBLINGS ? i : WEIR__YIELD_DOUBLINGS;
        weir__yield_was(&yield, true, SHORT_NS);
        weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS + 1);
        is_without_for(&yield, WEIR__YIELD_SLEEPS_LONG << doublings);
    }
    for (int i = 0; i < WEIR__YIELD_TIMES; i++)
        weir__yield_was(&yield, true, SHORT_NS);
    learn(&yield);
    weir__yield_was(&yield, true, WEIR__YIELD_LONG_NS + 1);
    is_without_for(&yield, WEIR__YIELD_SLEEPS_LONG);
}

static void ends_with_a_longer_sleep(void **state)
{
    struct weir__yield yield = { 0 };
    (void)state;
    learn(&yield);
    weir__yield_slept(&yield, WEIR__YIELD_SHORT_SLEEP_NS);
    assert_true(weir__yield_is_worth(&yield)); /* behind a yield that was judged */
    weir__yield_slept(&yield, WEIR__YIELD_SHORT_SLEEP_NS + 1);
    learn(&yield);
}

/* --- the wait ------------------------------------------------------------------------------------- */

struct trial {
    int looks, ready_at;
};

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
        assert_int_equal(epoch, i + 1); /* its last look was that of a sleep */
        assert_false(weir__yield_is_worth(&waiter.yield));
    }
    /* As usual. */
    waiter.yield = (struct weir__yield){ 0 };
    trial = (struct trial){ .ready_at = 50 };
    assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
    assert_int_equal(epoch, 2);
    /* Who only sleeps has said so. */
    waiter.yield = (struct weir__yield){ .credit = 1, .left = 1 };
    waiter.spin_ns = 0;
    trial = (struct trial){ .ready_at = 2 };
    assert_int_equal(weir__wait(&waiter, is_ready, &trial, WEIR_NEVER), WEIR__WAITED_READY);
    assert_int_equal(epoch, 3);
}

/* Nobody rings. */
static void a_wait_tells_how_long_it_slept(void **state)
{
    weir__atomic_u32 doorbell = 0, epoch = 0;
    struct weir__waiter waiter = { .doorbell = &doorbell, .epoch = &epoch, .spin_ns = 1 };
    (void)state;
    waiter.yield.short_sleeps = WEIR__YIELD_SHORT_SLEEPS - 1;
    struct trial trial = { .ready_at = 1000000 };
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

static void *learn_with_a_deadline(void *result)
{
    const struct attributes attributes = { .size = sizeof attributes,
                                           .policy = 6, /* SCHED_DEADLINE */
                                           .runtime = 5000000,
                                           .deadline = 10000000,
                                           .period = 10000000 };
    struct weir__yield yield = { 0 };
    *(int *)result = -1;
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0)
        return NULL;
    for (int i = 0; i < WEIR__YIELD_SHORT_SLEEPS; i++)
        weir__yield_slept(&yield, SHORT_NS);
    *(int *)result = weir__yield_is_learnt(&yield) && !weir__yield_is_worth(&yield);
    return NULL;
}

static void who_has_a_deadline_keeps_its_core(void **state)
{
    pthread_t thread;
    int result;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, learn_with_a_deadline, &result), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (result < 0)
        skip(); /* not allowed to */
    assert_int_equal(result, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_tried_after_short_sleeps_in_a_row),
        cmocka_unit_test(goes_on_while_it_is_worth_it),
        cmocka_unit_test(is_given_up_where_it_is_in_vain),
        cmocka_unit_test(is_given_up_where_it_takes_long),
        cmocka_unit_test(ends_with_a_longer_sleep),
        cmocka_unit_test(a_wait_yields_instead_of_its_spin),
        cmocka_unit_test(a_wait_tells_how_long_it_slept),
        cmocka_unit_test(who_has_a_deadline_keeps_its_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
