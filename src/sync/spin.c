/* SPDX-License-Identifier: MIT */
#include "sync/spin.h"

#include "base/yield.h"

/* Of a thread, whatever it waits for: who waits often waits for the same. */
struct spin {
    int turns;
    int credit; /* longer looks in vain until they are given up */
    int barred; /* sleeps until looking is tried again */
};

static _Thread_local struct spin spin = { .turns = WEIR__SPIN_TURNS };
static _Thread_local struct weir__yield yield;

void weir__spin_begin(void)
{
    if (spin.turns < WEIR__SPIN_TURNS && spin.barred == 0)
        spin.turns = WEIR__SPIN_TURNS;
}

int weir__spin_turns(void)
{
    return spin.turns;
}

void weir__spin_caught(int turn)
{
    if (turn > 0) /* else it need not wait */
        weir__yield_looked(&yield);
    if (turn > WEIR__SPIN_TURNS && spin.credit < WEIR__SPIN_CREDIT)
        spin.credit++;
}

static void look_as_usual(void)
{
    spin = (struct spin){ .turns = WEIR__SPIN_TURNS };
}

static void look_longer(void)
{
    if (spin.turns == WEIR__SPIN_TURNS)
        spin.credit = WEIR__SPIN_CREDIT;
    if (spin.turns < WEIR__SPIN_TURNS_MOST)
        spin.turns *= 2;
}

static void give_up_looking(void)
{
    spin = (struct spin){ .turns = WEIR__SPIN_TURNS_LEAST, .barred = WEIR__SPIN_BARRED_SLEEPS };
}

bool weir__spin_yields(int64_t left_ns)
{
    return spin.barred > 0 && weir__yield_is_worth(&yield, left_ns);
}

void weir__spin_yielded(bool has_come, int64_t away_ns)
{
    weir__yield_was(&yield, has_come, away_ns);
    if (yield.left == 0) /* to be learnt anew, as well */
        look_as_usual();
}

void weir__spin_slept(int64_t slept_ns)
{
    bool was_longer = spin.turns > WEIR__SPIN_TURNS;
    bool is_barred = spin.barred > 0 && --spin.barred > 0;
    weir__yield_slept(&yield, true, slept_ns);
    if (slept_ns > WEIR__SPIN_IDLE_SLEEP_NS)
        spin = (struct spin){ .turns = WEIR__SPIN_TURNS_LEAST };
    else if (was_longer && --spin.credit < 0)
        give_up_looking();
    else if (slept_ns > WEIR__SPIN_SHORT_SLEEP_NS || (!is_barred && spin.turns < WEIR__SPIN_TURNS))
        look_as_usual();
    else if (!is_barred)
        look_longer();
}
