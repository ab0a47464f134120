/* SPDX-License-Identifier: MIT */
#include "base/away.h"

#include <weir/clock.h>

static void rest(struct weir__away *away, uint32_t patience)
{
    away->patience = patience == 0                    ? 1
                     : patience < WEIR__AWAY_PATIENCE ? patience
                                                      : WEIR__AWAY_PATIENCE;
    away->rest = away->patience;
    away->wins = 0;
    away->is_trial = false;
}

/* What was counted so far is of another stream than what is to come, or of other turns. */
static void begin_anew(struct weir__away *away)
{
    if (away->is_trial) {
        rest(away, away->is_long ? 2 * away->patience : 1);
        away->is_long = false;
    } else if (away->wins > 0) {
        rest(away, 2 * away->patience);
    }
    if (away->is_long && away->rest > WEIR__AWAY_BROKEN_OFF)
        away->rest = WEIR__AWAY_BROKEN_OFF; /* the next stream may be another one's: tried soon */
    if (away->spent > 0 && ++away->broken_off == WEIR__AWAY_BROKEN_OFF)
        away->is_long = false;
    away->spent = 0;
}

void weir__away_end(struct weir__away *away)
{
    begin_anew(away);
    away->turns = 0;
}

/* Whether it is as many turns as before, and some. */
static bool is_steady(struct weir__away *away, uint64_t run)
{
    uint32_t turns = away->turns;
    if (run < 2)
        away->turns = 0;
    else if (turns == 0)
        away->turns = WEIR__AWAY_TURNS_MIN;
    else if (turns < WEIR__AWAY_TURNS_MAX && run < WEIR__AWAY_RUN)
        away->turns = 2 * turns;
    return away->turns == turns && turns > 0;
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
                         : rate + rate / WEIR__AWAY_WORTH >= former;
}

static void end_trial(struct weir__away *away, bool was_worth_it)
{
    if (was_worth_it && (!away->is_long || ++away->wins == WEIR__AWAY_WINS)) {
        rest(away, 1);
        return;
    }
    /* If it was worth it: once more, behind another rate to compare it with. */
    away->is_long = !away->is_long;
    away->is_trial = false;
    if (!was_worth_it)
        rest(away, 2 * away->patience);
}

static void judge(struct weir__away *away, int64_t now_ns)
{
    away->broken_off = 0;
    uint64_t took_ns = now_ns > away->begun_ns ? (uint64_t)(now_ns - away->begun_ns) : 1;
    uint64_t rate = away->messages * UINT64_C(1000000) / took_ns; /* a millisecond */
    if (away->is_trial)
        end_trial(away, is_worth_it(away, rate));
    else if (away->rest > 0)
        away->rest--;
    else
        begin_trial(away, rate);
}

/* A window begins where another one ends, with the look away at which this is known. Returns its turns. */
static uint32_t learn(struct weir__away *away, uint64_t messages)
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
    uint32_t turns = away->is_long ? WEIR__AWAY_LONG : away->turns;
    away->spent += turns;
    return turns;
}

uint32_t weir__away_next(struct weir__away *away, uint64_t run, uint64_t messages)
{
    if (is_steady(away, run))
        return learn(away, messages);
    begin_anew(away);
    return away->turns;
}
