/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long a waiter looks before it sleeps (sync/spin.h): longer after short sleeps, as usual after
 *       long ones, and not at all for a while where looking longer is in vain: there it gives the core away.
 * Method: sleeps and catches as a wait would report them, each trial in a thread of its own: the
 *       state is a thread's.
 */
#include "unit/cmocka.h"

#include <pthread.h>

#include <weir/clock.h>

#include "base/yield.h"
#include "sync/spin.h"

#define SHORT_NS INT64_C(5000)

static void *grow(void *unused)
{
    (void)unused;
    int turns = WEIR__SPIN_TURNS;
    assert_int_equal(weir__spin_turns(), turns);
    for (int i = 0; i < 5; i++) {
        weir__spin_slept(SHORT_NS);
        turns = turns < WEIR__SPIN_TURNS_MOST ? 2 * turns : turns;
        assert_int_equal(weir__spin_turns(), turns);
    }
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_MOST);
    return NULL;
}

static void *fall_back(void *unused)
{
    (void)unused;
    weir__spin_slept(SHORT_NS);
    weir__spin_slept(WEIR__SPIN_SHORT_SLEEP_NS + 1);
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    weir__spin_slept(SHORT_NS); /* it was no failure: the next one counts again */
    assert_int_equal(weir__spin_turns(), 2 * WEIR__SPIN_TURNS);
    return NULL;
}

static void *be_idle(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        weir__spin_slept(WEIR__SPIN_IDLE_SLEEP_NS + 1);
        assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_LEAST);
    }
    weir__spin_begin();
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    weir__spin_slept(WEIR__SPIN_IDLE_SLEEP_NS + 1);
    weir__spin_slept(SHORT_NS); /* woken within the same wait */
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    return NULL;
}

static void *give_up(void *unused)
{
    (void)unused;
    int sleeps = 0;
    do {
        weir__spin_slept(SHORT_NS);
        sleeps++;
    } while (weir__spin_turns() > WEIR__SPIN_TURNS && sleeps < 1000);
    assert_int_equal(sleeps, 1 + WEIR__SPIN_CREDIT + 1);
    for (int i = 0; i < WEIR__SPIN_BARRED_SLEEPS; i++) {
        weir__spin_begin();
        assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_LEAST);
        weir__spin_slept(SHORT_NS);
    }
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    weir__spin_slept(SHORT_NS);
    assert_int_equal(weir__spin_turns(), 2 * WEIR__SPIN_TURNS);
    return NULL;
}

/* As many catches as failures: it is worth it. Catches of the usual moment are none. */
static void *go_on(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        weir__spin_slept(SHORT_NS);
        weir__spin_caught(WEIR__SPIN_TURNS + 1);
    }
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_MOST);
    for (int i = 0; i <= WEIR__SPIN_CREDIT; i++) {
        assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_MOST);
        weir__spin_slept(SHORT_NS);
        weir__spin_caught(WEIR__SPIN_TURNS);
    }
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_LEAST);
    weir__spin_slept(WEIR__SPIN_SHORT_SLEEP_NS + 1); /* it is something else by now */
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    return NULL;
}

static void find_looks_in_vain(void)
{
    for (int sleeps = 0; sleeps < 1 + WEIR__SPIN_CREDIT + 1; sleeps++) {
        assert_false(weir__spin_yields(WEIR_NEVER));
        weir__spin_slept(SHORT_NS);
    }
}

/* Only where looks are in vain; and when it is to be learnt anew, so are these. */
static void *yield(void *unused)
{
    (void)unused;
    find_looks_in_vain();
    for (int i = 0; i < WEIR__YIELD_TIMES - 1; i++) {
        weir__spin_begin();
        assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS_LEAST);
        assert_true(weir__spin_yields(WEIR_NEVER));
        weir__spin_yielded(true, SHORT_NS);
    }
    weir__spin_yielded(true, SHORT_NS);
    assert_int_equal(weir__spin_turns(), WEIR__SPIN_TURNS);
    assert_false(weir__spin_yields(WEIR_NEVER));
    return NULL;
}

static void in_thread(void *(*trial)(void *))
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, trial, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void looks_longer_after_short_sleeps(void **state)
{
    (void)state;
    in_thread(grow);
}

static void looks_as_usual_after_a_long_sleep(void **state)
{
    (void)state;
    in_thread(fall_back);
}

static void looks_once_while_idle(void **state)
{
    (void)state;
    in_thread(be_idle);
}

static void gives_the_core_away_while_that_is_worth_it(void **state)
{
    (void)state;
    in_thread(yield);
}

static void gives_up_what_is_in_vain(void **state)
{
    (void)state;
    in_thread(give_up);
}

static void goes_on_with_what_is_worth_it(void **state)
{
    (void)state;
    in_thread(go_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_longer_after_short_sleeps),
        cmocka_unit_test(looks_as_usual_after_a_long_sleep),
        cmocka_unit_test(looks_once_while_idle),
        cmocka_unit_test(gives_up_what_is_in_vain),
        cmocka_unit_test(gives_the_core_away_while_that_is_worth_it),
        cmocka_unit_test(goes_on_with_what_is_worth_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
