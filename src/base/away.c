/* SPDX-License-Identifier: MIT */
#include "base/away.h"

#include <weir/clock.h>

#include "base/atomics.h"

/* What was counted so far is of other moments than those to come; so is what a trial is compared with. */
static void begin_anew(struct weir__away *away)
{
    away->is_long ^= away->is_trial;
    away->is_trial = false;
    away->spent = 0;
}

void weir__away_end(struct weir__away *away)
{
    begin_anew(away);
    away->turns = 0;
}

/* Whether it is as many turns as before. */
static bool is_settled(struct weir__away *away, uint64_t run)
{
    uint32_t turns = away->turns;
    if (run < 2)
        away->turns = 0;
    else if (turns == 0)
        away->turns = WEIR__AWAY_TURNS_MIN;
    else if (turns < WEIR__AWAY_TURNS_MAX && run < WEIR__AWAY_RUN)
        away->turns = 2 * turns;
    return away->turns == turns;
}

static void begin_trial(struct weir__away *away, uint64_t rate)
{
    away->former_rate = rate;
    away->is_trial = true;
    away->is_long = !away->is_long;
}

static bool is_worth_it(const struct weir__away *away, uint64_t rate)
{
    uint64_t former = away->former_rate;
    return away->is_long ? rate > former + former / WEIR__AWAY_WORTH
                         : rate + rate / WEIR__AWAY_WORTH > former;
}

static void end_trial(struct weir__away *away, bool was_worth_it)
{
    bool is_kept = was_worth_it && ++away->wins == WEIR__AWAY_WINS;
    away->is_trial = false;
    away->is_long ^= !is_kept;
    if (was_worth_it && !is_kept)
        return; /* once more, behind another rate to compare it with */
    away->wins = 0;
    away->patience *= 2;
    if (is_kept || away->patience == 0)
        away->patience = 1;
    if (away->patience > WEIR__AWAY_PATIENCE)
        away->patience = WEIR__AWAY_PATIENCE;
    away->rest = away->patience;
}

static void judge(struct weir__away *away, int64_t now_ns)
{
    uint64_t took_ns = now_ns > away->begun_ns ? (uint64_t)(now_ns - away->begun_ns) : 1;
    uint64_t rate = away->messages * UINT64_C(1000000) / took_ns; /* a millisecond */
    if (away->is_trial)
        end_trial(away, is_worth_it(away, rate));
    else if (away->rest > 0)
        away->rest--;
    else
        begin_trial(away, rate);
}

/* A window begins where another one ends, with the look away at which this is known. */
static void learn(struct weir__away *away, uint64_t messages)
{
    away->messages += messages;
    if (away->spent == 0 || away->spent >= WEIR__AWAY_WINDOW) {
        int64_t now_ns = weir_now_ns();
        if (away->spent > 0)
            judge(away, now_ns);
        away->spent = 0;
        away->messages = 0;
        away->begun_ns = now_ns;
    }
    away->spent += weir__away_turns(away);
}

void weir__away_look(struct weir__away *away, uint64_t run, uint64_t messages)
{
    if (!is_settled(away, run))
        begin_anew(away);
    else if (away->turns > 0)
        learn(away, messages);
    for (uint32_t i = weir__away_turns(away); i > 0; i--)
        weir__cpu_relax();
}
