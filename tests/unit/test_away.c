/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long a reader looks away from a stream (base/away.h): no time at all where it answers each message; longer
 *       as a stream goes on; and long where that makes the writer faster, and nowhere else.
 * Method: writers with a clock of their own, so that what they do meanwhile is known: one that goes at a pace, steady
 *       or not, and one that goes as fast as it is let.
 */
#include "unit/cmocka.h"

#include <weir/clock.h>

#include "base/away.h"

#define TURN_NS 25
#define READ_NS 5 /* a message */

static int64_t clock_ns;
static unsigned clock_looks;

int64_t __wrap_weir_now_ns(void);
int64_t __wrap_weir_now_ns(void)
{
    clock_looks++;
    return clock_ns;
}

/* What is known of looks away: how many, of those that were long, and how much time all took. */
struct seen {
    uint64_t looks, long_looks;
    int64_t ns, long_ns;
};

static uint64_t in_thousand(int64_t part, int64_t all)
{
    return (uint64_t)(part * 1000 / all);
}

static uint32_t look(struct weir__away *away, uint64_t run)
{
    weir__away_look(away, run, run);
    return weir__away_turns(away);
}

static void count(struct seen *seen, const struct weir__away *away, int64_t ns)
{
    bool is_long = weir__away_turns(away) == WEIR__AWAY_LONG;
    seen->looks++;
    seen->ns += ns;
    seen->long_looks += is_long;
    seen->long_ns += is_long ? ns : 0;
}

/* A writer at a pace, which may change. */
struct pace {
    int64_t interval_ns, due_ns;
    int64_t usual_ns, change_ns,
        until_ns; /* change_ns: 0: it is steady; else until_ns it is as it is */
};

static int64_t draw(int64_t least, int64_t most)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return least + (int64_t)(state % (uint64_t)(most - least + 1));
}

static void go_on(struct pace *pace)
{
    pace->due_ns += pace->interval_ns;
    if (pace->change_ns == 0 || pace->due_ns < pace->until_ns)
        return;
    pace->interval_ns = draw(pace->usual_ns * 7 / 10, pace->usual_ns * 13 / 10);
    pace->until_ns = pace->due_ns + draw(pace->change_ns / 2, pace->change_ns * 3 / 2);
}

/* What has come of it since the last time. */
static uint64_t come(struct pace *pace, int64_t until_ns)
{
    uint64_t some = 0;
    for (; pace->due_ns <= until_ns; some++)
        go_on(pace);
    return some;
}

/* Reads it so long: a look away, then all that has come, message by message, until none is there. */
static struct seen read_paced(struct weir__away *away, struct pace *pace, int64_t for_ns)
{
    struct seen seen = { 0 };
    uint64_t run = 2;
    for (int64_t until_ns = clock_ns + for_ns; clock_ns < until_ns;) {
        int64_t before_ns = clock_ns;
        clock_ns += (int64_t)look(away, run) * TURN_NS;
        uint64_t some = come(pace, clock_ns);
        if (some == 0)
            weir__away_end(away);
        for (run = 0; some > 0; some = come(pace, clock_ns)) {
            run += some;
            clock_ns += (int64_t)some * READ_NS;
        }
        if (run == 0)
            clock_ns = pace->due_ns > clock_ns ? pace->due_ns : clock_ns + 1000;
        count(&seen, away, clock_ns - before_ns);
    }
    return seen;
}

/*
 * One that writes as fast as it can: each time that it was caught up with its next lines take it longer. More than
 * two thirds of a short moment go to them.
 */
#define SLOW_LINES 40
#define SLOW_NS 30
#define FAST_NS 10

static struct seen read_greedy(struct weir__away *away, int64_t for_ns)
{
    struct seen seen = { 0 };
    uint64_t run = 2;
    for (int64_t until_ns = clock_ns + for_ns; clock_ns < until_ns;) {
        int64_t away_ns = (int64_t)look(away, run) * TURN_NS, slow_ns = SLOW_LINES * SLOW_NS;
        run = (uint64_t)(away_ns < slow_ns ? away_ns / SLOW_NS
                                           : SLOW_LINES + (away_ns - slow_ns) / FAST_NS);
        clock_ns += away_ns + (int64_t)run * READ_NS;
        count(&seen, away, away_ns + (int64_t)run * READ_NS);
        run += 2; /* that came meanwhile */
    }
    return seen;
}

#define MILLISECOND_NS INT64_C(1000000)
#define LEARNT_NS (10 * MILLISECOND_NS)

static void who_answers_each_is_not_held_up(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(look(&away, i % 2), 0);
}

static void it_is_longer_as_a_stream_goes_on(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (uint32_t turns = WEIR__AWAY_TURNS_MIN; turns <= WEIR__AWAY_TURNS_MAX; turns *= 2)
            assert_int_equal(look(&away, WEIR__AWAY_RUN - 1), turns);
        assert_int_equal(look(&away, WEIR__AWAY_RUN - 1), WEIR__AWAY_TURNS_MAX);
        if (round == 0)
            weir__away_end(&away);
        else
            assert_int_equal(look(&away, 1), 0);
    }
}

static void enough_messages_are_enough(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    look(&away, 2);
    look(&away, 2);
    for (int i = 0; i < 100; i++)
        assert_int_equal(look(&away, WEIR__AWAY_RUN), 2 * WEIR__AWAY_TURNS_MIN);
}

/* Whatever the pace: long moments are as rare as trials get, after some more in the beginning. */
static void a_pace_is_kept_up_with(void **state)
{
    (void)state;
    for (int64_t interval_ns = 20; interval_ns < 5000; interval_ns += 1 + interval_ns / 3) {
        struct weir__away away = { 0 };
        struct pace pace = { .interval_ns = interval_ns, .due_ns = clock_ns };
        struct seen first = read_paced(&away, &pace, LEARNT_NS);
        struct seen then = read_paced(&away, &pace, 100 * MILLISECOND_NS);
        assert_true(in_thousand(first.long_ns, first.ns) < 100);
        assert_true(in_thousand(then.long_ns, then.ns) < 10);
    }
}

/* Nor is it a gain where a writer is faster by itself in the very moment of a trial, and slower in others. */
static void chance_is_no_gain(void **state)
{
    (void)state;
    for (int64_t change_ns = 50000; change_ns < 5 * MILLISECOND_NS; change_ns *= 4) {
        struct weir__away away = { 0 };
        struct pace pace = {
            .interval_ns = 100, .due_ns = clock_ns, .usual_ns = 100, .change_ns = change_ns
        };
        read_paced(&away, &pace, LEARNT_NS);
        struct seen seen = read_paced(&away, &pace, 300 * MILLISECOND_NS);
        assert_true(in_thousand(seen.long_ns, seen.ns) < 20);
    }
}

static void a_greedy_writer_is_left_alone_for_longer(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    read_greedy(&away, LEARNT_NS);
    assert_true(away.is_long != away.is_trial);
    struct seen seen = read_greedy(&away, 100 * MILLISECOND_NS);
    assert_true(in_thousand(seen.long_ns, seen.ns) > 980);
    weir__away_end(&away); /* a stream that is over teaches nothing else */
    seen = read_greedy(&away, LEARNT_NS);
    assert_true(in_thousand(seen.long_ns, seen.ns) > 950);
}

/* One that has been greedy, and goes at a pace by now, is seen to. */
static void what_was_learnt_is_learnt_anew(void **state)
{
    struct weir__away away = { 0 };
    struct pace pace = { .interval_ns = 100 };
    (void)state;
    for (int round = 0; round < 3; round++) {
        read_greedy(&away, 200 * MILLISECOND_NS);
        assert_true(away.is_long != away.is_trial);
        pace.due_ns = clock_ns;
        read_paced(&away, &pace, 100 * MILLISECOND_NS);
        struct seen seen = read_paced(&away, &pace, 100 * MILLISECOND_NS);
        assert_true(in_thousand(seen.long_ns, seen.ns) < 10);
    }
}

/* What others had of a round in which nobody was looked away from counts as well. */
static void rounds_without_a_look_count(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (int i = 0; i < 5; i++)
        look(&away, 2);
    look(&away, 2); /* a window begins */
    weir__away_passed(&away, 1000);
    look(&away, 2);
    assert_int_equal(away.messages, 1002);
}

/* An end in the middle of a trial: nothing was shown. */
static void a_trial_without_an_end_shows_nothing(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (int i = 0; i < 1000000 && !away.is_trial; i++) {
        clock_ns += 1000;
        look(&away, 2);
    }
    assert_true(away.is_trial && away.is_long);
    weir__away_end(&away);
    assert_false(away.is_trial || away.is_long);
    assert_int_equal(look(&away, 2), WEIR__AWAY_TURNS_MIN);
}

/* A clock that stands still, or goes back, makes no number that cannot be. */
static void any_clock_will_do(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (int i = 0; i < 100000; i++) {
        clock_ns -= i % 3 * 1000;
        assert_in_range(look(&away, 2 + (uint64_t)i % 100), WEIR__AWAY_TURNS_MIN, WEIR__AWAY_LONG);
    }
    clock_ns = 0;
}

static void the_clock_is_read_once_a_window(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    clock_looks = 0;
    struct seen seen = read_greedy(&away, 10 * MILLISECOND_NS);
    assert_in_range(clock_looks, seen.looks / (WEIR__AWAY_WINDOW / WEIR__AWAY_TURNS_MAX),
                    seen.looks / (WEIR__AWAY_WINDOW / WEIR__AWAY_LONG) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_each_is_not_held_up),
        cmocka_unit_test(it_is_longer_as_a_stream_goes_on),
        cmocka_unit_test(enough_messages_are_enough),
        cmocka_unit_test(a_pace_is_kept_up_with),
        cmocka_unit_test(chance_is_no_gain),
        cmocka_unit_test(a_greedy_writer_is_left_alone_for_longer),
        cmocka_unit_test(what_was_learnt_is_learnt_anew),
        cmocka_unit_test(rounds_without_a_look_count),
        cmocka_unit_test(a_trial_without_an_end_shows_nothing),
        cmocka_unit_test(any_clock_will_do),
        cmocka_unit_test(the_clock_is_read_once_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
