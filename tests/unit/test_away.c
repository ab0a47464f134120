/* SPDX-License-Identifier: MIT */
/*
 * Goal: how long a reader looks away from a stream (base/away.h): no time at all where it answers each message; longer
 *       as a stream goes on; and long where that makes the writer faster, and nowhere else.
 * Method: writers with a clock of their own, so that what they do meanwhile is known: one that goes at a pace, steady
 *       or not, one that goes as fast as it is let, and ones that answer, or send bursts.
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
    return weir__away_next(away, run, run);
}

static void count(struct seen *seen, uint32_t turns, int64_t ns)
{
    bool is_long = turns == WEIR__AWAY_LONG;
    seen->looks++;
    seen->ns += ns;
    seen->long_looks += is_long;
    seen->long_ns += is_long ? ns : 0;
}

static int64_t draw(int64_t least, int64_t most)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return least + (int64_t)(state % (uint64_t)(most - least + 1));
}

/* A writer at a pace, which may change. */
struct pace {
    int64_t interval_ns, due_ns;
    bool is_random; /* interval_ns is what it is on average: messages come by chance */
    int64_t usual_ns, change_ns,
        until_ns; /* change_ns: 0: it is steady; else until_ns it is as it is */
};

/* As often as not less than seven tenths of it; now and then many times as much. */
static int64_t spread(int64_t mean_ns)
{
    int64_t most_ns = 2 * mean_ns, ns = draw(0, most_ns);
    while (ns == most_ns || (ns > mean_ns && draw(0, 3) == 0))
        ns += draw(0, most_ns) / 2;
    return ns;
}

static void go_on(struct pace *pace)
{
    pace->due_ns += pace->is_random ? spread(pace->interval_ns) : pace->interval_ns;
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
    uint64_t run = 0;
    for (int64_t until_ns = clock_ns + for_ns; clock_ns < until_ns;) {
        int64_t before_ns = clock_ns;
        uint32_t turns = look(away, run);
        clock_ns += (int64_t)turns * TURN_NS;
        count(&seen, turns, clock_ns - before_ns);
        if (pace->due_ns > clock_ns) {
            weir__away_end(away);
            clock_ns = pace->due_ns; /* it is waited for */
        }
        run = 0;
        for (uint64_t some; (some = come(pace, clock_ns)) > 0; clock_ns += (int64_t)some * READ_NS)
            run += some;
    }
    seen.ns = for_ns;
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
        uint32_t turns = look(away, run);
        int64_t away_ns = (int64_t)turns * TURN_NS, slow_ns = SLOW_LINES * SLOW_NS;
        run = (uint64_t)(away_ns < slow_ns ? away_ns / SLOW_NS
                                           : SLOW_LINES + (away_ns - slow_ns) / FAST_NS);
        clock_ns += away_ns + (int64_t)run * READ_NS;
        count(&seen, turns, away_ns + (int64_t)run * READ_NS);
        run += 2; /* that came meanwhile */
    }
    return seen;
}

/* Bursts as fast as can be, of so many messages, with so much time between two of them. */
static struct seen read_bursts(struct weir__away *away, uint64_t messages, int64_t apart_ns,
                               int64_t for_ns)
{
    struct seen seen = { 0 };
    for (int64_t until_ns = clock_ns + for_ns; clock_ns < until_ns; clock_ns += apart_ns) {
        uint64_t left = messages, run = 0;
        while (left > 0) {
            uint32_t turns = look(away, run);
            int64_t ns = (int64_t)turns * TURN_NS + 100;
            run = (uint64_t)(ns / 50) < left ? (uint64_t)(ns / 50) : left;
            left -= run;
            clock_ns += ns;
            count(&seen, turns, ns);
        }
        look(away, run);
        weir__away_end(away);
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
static void assert_kept_up(struct pace pace)
{
    struct weir__away away = { 0 };
    pace.due_ns = clock_ns;
    struct seen first = read_paced(&away, &pace, LEARNT_NS);
    struct seen then = read_paced(&away, &pace, 100 * MILLISECOND_NS);
    assert_true(in_thousand(first.long_ns, first.ns) < 100);
    assert_true(in_thousand(then.long_ns, then.ns) < 10);
}

static void a_pace_is_kept_up_with(void **state)
{
    (void)state;
    for (int64_t interval_ns = 20; interval_ns < 5000; interval_ns += 1 + interval_ns / 3) {
        assert_kept_up((struct pace){ .interval_ns = interval_ns });
        assert_kept_up((struct pace){ .interval_ns = interval_ns, .is_random = true });
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

static void learn_greed(struct weir__away *away)
{
    read_greedy(away, 200 * MILLISECOND_NS);
    assert_true(away->is_long != away->is_trial);
}

static void a_greedy_writer_is_left_alone_for_longer(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    read_greedy(&away, LEARNT_NS);
    assert_true(away.is_long != away.is_trial);
    struct seen seen = read_greedy(&away, 100 * MILLISECOND_NS);
    assert_true(in_thousand(seen.long_ns, seen.ns) > 980);
    for (int i = 0; i < 100;
         i++) { /* its host holds it up now and then, which is no reason to forget */
        weir__away_end(&away);
        seen = read_greedy(&away, 4 * MILLISECOND_NS);
        assert_true(in_thousand(seen.long_ns, seen.ns) > 800);
    }
}

/* One that has been greedy, and is not by now, is seen to: at any pace, steady or not. */
static void what_was_learnt_is_learnt_anew(void **state)
{
    (void)state;
    for (int64_t interval_ns = 50; interval_ns < 20000; interval_ns *= 2) {
        struct weir__away away = { 0 };
        struct pace pace = { .interval_ns = interval_ns };
        for (int round = 0; round < 4; round++) {
            learn_greed(&away);
            pace.due_ns = clock_ns;
            pace.is_random = round % 2 != 0;
            read_paced(&away, &pace, 100 * MILLISECOND_NS);
            struct seen seen = read_paced(&away, &pace, 100 * MILLISECOND_NS);
            assert_true(in_thousand(seen.long_ns, seen.ns) < 10);
        }
    }
}

/* Two that send each other a few messages at a time, after a stream: each answer comes later than the first moment. */
static void an_answer_is_not_held_up_after_a_stream(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    for (uint64_t few = 2; few < 1000; few *= 3) {
        learn_greed(&away);
        weir__away_end(&away);
        for (int i = 0; i < 1000; i++) {
            assert_in_range(look(&away, few), 0, WEIR__AWAY_TURNS_MIN);
            weir__away_end(&away); /* it has not come yet */
        }
    }
}

/* But if it comes sooner than that: then too much is not waited for for ever. */
static void an_answer_at_once_ends_long_moments(void **state)
{
    (void)state;
    for (int64_t answer_ns = 50; answer_ns < 10000; answer_ns += answer_ns / 3) {
        struct weir__away away = { 0 };
        uint32_t turns = 0;
        learn_greed(&away);
        for (int i = 0; i < 100000; i++) {
            turns = look(&away, 2);
            if ((int64_t)turns * TURN_NS < answer_ns)
                weir__away_end(&away);
            clock_ns += (int64_t)turns * TURN_NS > answer_ns ? (int64_t)turns * TURN_NS : answer_ns;
        }
        assert_in_range(turns, WEIR__AWAY_TURNS_MIN, WEIR__AWAY_TURNS_MAX);
    }
}

/* Bursts that end in the middle of a trial: it was not worth it, and so is tried seldom. */
static void bursts_are_no_long_streams(void **state)
{
    (void)state;
    for (uint64_t messages = 2; messages < 20000; messages += 1 + messages / 3) {
        struct weir__away away = { 0 };
        learn_greed(&away);
        read_bursts(&away, messages, MILLISECOND_NS, 1000 * MILLISECOND_NS);
        struct seen seen = read_bursts(&away, messages, MILLISECOND_NS, 1000 * MILLISECOND_NS);
        assert_true(in_thousand(seen.long_ns, seen.ns) < 20);
    }
}

/* What others had of a round in which nobody was looked away from counts as well: it is the rate that is judged. */
static void rounds_without_a_look_count(void **state)
{
    (void)state;
    for (int counts = 0; counts < 2; counts++) {
        struct weir__away away = { 0 };
        for (int i = 0; i < 10000; i++) {
            uint32_t turns = look(&away, 2);
            clock_ns += 1000;
            if (counts && turns == WEIR__AWAY_LONG)
                weir__away_passed(&away, 100);
        }
        assert_int_equal(away.is_long != away.is_trial, counts);
    }
}

static void look_until_a_trial(struct weir__away *away)
{
    for (int i = 0; i < 1000000 && !away->is_trial; i++) {
        clock_ns += 1000;
        look(away, 2);
    }
    assert_true(away->is_trial);
}

/* Broken off: a long one showed nothing, and the next one is later; behind a short one all are short. */
static void a_trial_that_is_broken_off_is_over(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    look_until_a_trial(&away);
    uint32_t patience = away.patience;
    assert_true(away.is_long);
    weir__away_end(&away);
    assert_false(away.is_trial || away.is_long);
    assert_true(away.rest > 0 && away.patience > patience);
    assert_int_equal(look(&away, 2), WEIR__AWAY_TURNS_MIN);
    away = (struct weir__away){ 0 };
    learn_greed(&away);
    while (!away.is_trial)
        read_greedy(&away, 1);
    assert_false(away.is_long);
    look(&away, 1);
    assert_false(away.is_trial || away.is_long);
}

/* Of rates that are equal a short moment has won, also where they are of a few messages a millisecond. */
static void a_tie_ends_long_moments(void **state)
{
    struct weir__away away = { 0 };
    (void)state;
    learn_greed(&away);
    for (int i = 0; i < 10000; i++) {
        look(&away, 2);
        clock_ns += 300000;
    }
    assert_int_equal(away.is_long, away.is_trial);
}

/* What one stream has taught counts little in the next; and a gain that its end follows was none. */
static void an_end_is_no_gain(void **state)
{
    struct weir__away away = { .turns = 64, .is_long = true, .rest = 200, .patience = 256 };
    (void)state;
    weir__away_end(&away);
    assert_true(away.is_long && away.rest <= WEIR__AWAY_BROKEN_OFF);
    away = (struct weir__away){ .turns = 64, .wins = 2, .patience = 8 };
    weir__away_end(&away);
    assert_true(away.wins == 0 && away.patience == 16 && away.rest == 16);
}

/* A clock that stands still, or goes back, makes no number that cannot be. */
static void any_clock_will_do(void **state)
{
    (void)state;
    for (int64_t step_ns = -1000; step_ns <= 0; step_ns += 500) {
        struct weir__away away = { 0 };
        for (int i = 0; i < 100000; i++) {
            clock_ns += step_ns;
            assert_in_range(look(&away, 2 + (uint64_t)i % 100), WEIR__AWAY_TURNS_MIN,
                            WEIR__AWAY_LONG);
        }
    }
    clock_ns = 0;
}

/* Nor is it long where a call's deadline, or what may be spun at all, is nearer than that. */
static void a_deadline_is_kept(void **state)
{
    (void)state;
    const int64_t lefts_ns[] = { INT64_MIN, -1, 0, 1, WEIR__AWAY_LONG_NS - 1 };
    for (size_t i = 0; i < sizeof lefts_ns / sizeof *lefts_ns; i++) {
        assert_int_equal(weir__away_within(WEIR__AWAY_LONG, lefts_ns[i]), WEIR__AWAY_TURNS_MAX);
        assert_int_equal(weir__away_within(7, lefts_ns[i]), 7);
    }
    assert_int_equal(weir__away_within(WEIR__AWAY_LONG, WEIR__AWAY_LONG_NS), WEIR__AWAY_LONG);
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
        cmocka_unit_test(an_answer_is_not_held_up_after_a_stream),
        cmocka_unit_test(an_answer_at_once_ends_long_moments),
        cmocka_unit_test(bursts_are_no_long_streams),
        cmocka_unit_test(rounds_without_a_look_count),
        cmocka_unit_test(a_trial_that_is_broken_off_is_over),
        cmocka_unit_test(a_tie_ends_long_moments),
        cmocka_unit_test(an_end_is_no_gain),
        cmocka_unit_test(any_clock_will_do),
        cmocka_unit_test(a_deadline_is_kept),
        cmocka_unit_test(the_clock_is_read_once_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
