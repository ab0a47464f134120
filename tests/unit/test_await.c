/* SPDX-License-Identifier: MIT */
/*
 * Goal: the wait of floor 2 (sync/await.h): in which order it looks, announces itself and asks, and
 *       that its deadline ends it even when it is woken all the time.
 * Method: looks and asks that count themselves, and change the event's word as a notification would
 *       at the worst moment of all, between the announcement and the sleep.
 */
#include "unit/cmocka.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include <weir/clock.h>

#include "sync/await.h"
#include "sync/sleep.h"
#include "sync/spin.h"

/* Inside this file: how a wait ends. */
#define FOUND 5
#define ASKED 7

#define NS_A_MILLISECOND INT64_C(1000000)

struct trial {
    struct weir__event_shm event;
    bool is_notified;  /* at each look */
    bool needs_waited; /* a look finds it once somebody is announced */
    bool finds_at_glance;
    int looks, glances, asks;
    int asks_at_most;
};

static void notify(struct trial *trial)
{
    if (trial->is_notified)
        atomic_fetch_add(&trial->event.word, 2);
}

static int look(void *waiter)
{
    struct trial *trial = waiter;
    trial->looks++;
    notify(trial);
    return trial->needs_waited && weir__event_is_waited(&trial->event) ? FOUND : WEIR__NOT_YET;
}

/* However busy the machine is, it has the core again soon. */
int64_t __wrap_weir__yield_away(void);

int64_t __wrap_weir__yield_away(void)
{
    return 0;
}

static int glance(void *waiter)
{
    struct trial *trial = waiter;
    trial->glances++;
    return trial->finds_at_glance ? FOUND : WEIR__NOT_YET;
}

static int ask(void *waiter)
{
    struct trial *trial = waiter;
    return ++trial->asks == trial->asks_at_most ? ASKED : WEIR__NOT_YET;
}

static const struct weir__await who_asks = { look, glance, ask, .ends_by_signal = false };
static const struct weir__await who_does_not = { look, glance, .ends_by_signal = false };

static int await(const struct weir__await *how, struct trial *trial, int64_t deadline_ns)
{
    return weir__await(how, trial, &trial->event, deadline_ns);
}

static void ends_at_its_deadline_though_woken(void **state)
{
    (void)state;
    unsigned looks = 0;
    /* A busy machine may not run it before the deadline: the most of a few counts. */
    for (int attempt = 0; looks <= 2 && attempt < 3; attempt++) {
        struct trial trial = { .is_notified = true };
        int64_t deadline_ns = weir_now_ns() + 20 * NS_A_MILLISECOND;
        assert_int_equal(await(&who_does_not, &trial, deadline_ns), WEIR__NOT_YET);
        assert_true(weir_now_ns() >= deadline_ns);
        looks = trial.looks;
    }
    assert_true(looks > 2);
}

/* Whatever was before: a longer look that was the last in vain is first given up. */
static void look_as_usual(void)
{
    do
        weir__spin_slept(WEIR__SPIN_SHORT_SLEEP_NS + 1);
    while (weir__spin_turns() != WEIR__SPIN_TURNS);
}

static void looks_again_when_it_is_announced(void **state)
{
    (void)state;
    struct trial trial = { .needs_waited = true };
    look_as_usual();
    int turns = weir__spin_turns();
    assert_true(turns > 0);
    assert_int_equal(await(&who_asks, &trial, WEIR_NEVER), FOUND);
    assert_int_equal(trial.looks, 2);
    assert_int_equal(trial.glances, turns);
    assert_int_equal(trial.asks, 0); /* it did not sleep */
}

/* Where looks are in vain: once, and what has come meanwhile needs no announcement. */
static void glances_when_it_has_given_the_core_away(void **state)
{
    (void)state;
    while (!weir__spin_yields(WEIR_NEVER))
        weir__spin_slept(0);
    struct trial trial = { .needs_waited = true };
    assert_int_equal(await(&who_asks, &trial, WEIR_NEVER), FOUND);
    assert_int_equal(trial.glances, 1);
    assert_int_equal(trial.looks, 2);
    trial = (struct trial){ .finds_at_glance = true };
    assert_int_equal(await(&who_asks, &trial, WEIR_NEVER), FOUND);
    assert_int_equal(trial.looks, 1);
    look_as_usual();
}

static void asks_by_the_clock(void **state)
{
    (void)state;
    for (int is_notified = 0; is_notified < 2; is_notified++) {
        struct trial trial = { .is_notified = is_notified != 0, .asks_at_most = 3 };
        int64_t begun_ns = weir_now_ns();
        assert_int_equal(await(&who_asks, &trial, WEIR_NEVER), ASKED);
        int64_t passed_ns = weir_now_ns() - begun_ns;
        assert_int_equal(trial.asks, 3);
        assert_true(passed_ns >= WEIR__SLEEP_FIRST_NS + 2 * WEIR__SLICE_NS);
    }
}

static void asks_once_at_its_deadline(void **state)
{
    (void)state;
    struct trial trial = { .asks_at_most = 1 };
    assert_int_equal(await(&who_asks, &trial, 0), ASKED);
    assert_int_equal(trial.looks, 0);
    trial = (struct trial){ .asks_at_most = 2 };
    assert_int_equal(await(&who_asks, &trial, 0), WEIR__NOT_YET);
    assert_int_equal(trial.asks, 1);
    trial = (struct trial){ .is_notified = true };
    assert_int_equal(await(&who_does_not, &trial, 0), WEIR__NOT_YET);
    assert_int_equal(trial.looks, 1);
}

static void do_nothing(int number)
{
    (void)number;
}

/* With a timer that is faster than the slices. */
static void signals_end_it_or_not(void **state)
{
    (void)state;
    struct sigaction action = { .sa_handler = do_nothing };
    const struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
    const struct weir__await by_signal = { look, glance, .ends_by_signal = true };
    struct trial trial = { .asks_at_most = 2 };
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(await(&who_asks, &trial, WEIR_NEVER), ASKED);
    assert_int_equal(await(&by_signal, &trial, WEIR_NEVER), -EINTR);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_at_its_deadline_though_woken),
        cmocka_unit_test(looks_again_when_it_is_announced),
        cmocka_unit_test(glances_when_it_has_given_the_core_away),
        cmocka_unit_test(asks_by_the_clock),
        cmocka_unit_test(asks_once_at_its_deadline),
        cmocka_unit_test(signals_end_it_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
