/* SPDX-License-Identifier: MIT */
#include "sync/spin.h"

/* Of a thread, whatever it waits for: who waits often waits for the same. */
struct spin {
    int turns;
    int credit; /* longer looks in vain until they are given up */
    int barred; /* sleeps until looking is tried again */
    int yields; /* meanwhile: vain yields until they are given up */
};

static _Thread_local struct spin spin = { .turns = WEIR__SPIN_TURNS };

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
    spin = (struct spin){ .turns = WEIR__SPIN_TURNS_LEAST,
                          .barred = WEIR__SPIN_BARRED_SLEEPS,
                          .yields = WEIR__SPIN_YIELDS };
}

bool weir__spin_yields(void)
{
    return spin.yields > 0;
}

void weir__spin_yielded(bool has_come, int64_t away_ns)
{
    if (!has_come || away_ns > WEIR__SPIN_YIELD_LONG_NS)
        spin.yields--;
    else if (spin.yields < WEIR__SPIN_YIELDS)
        spin.yields++;
}

void weir__spin_slept(int64_t slept_ns)
{
    bool was_longer = spin.turns > WEIR__SPIN_TURNS;
    bool is_barred = spin.barred > 0 && --spin.barred > 0;
    if (slept_ns > WEIR__SPIN_IDLE_SLEEP_NS)
        spin = (struct spin){ .turns = WEIR__SPIN_TURNS_LEAST };
    else if (was_longer && --spin.credit < 0)
        give_up_looking();
    else if (slept_ns > WEIR__SPIN_SHORT_SLEEP_NS || (!is_barred && spin.turns < WEIR__SPIN_TURNS))
        look_as_usual();
    else if (!is_barred)
        look_longer();
}
