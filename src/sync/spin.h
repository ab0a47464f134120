/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_SPIN_H
#define WEIR_SYNC_SPIN_H

/*
 * How long a waiter looks before it sleeps, in turns of a pause; learnt thread by thread.
 *
 * Usually a microsecond or two: a system call and the wake-up of a core cost more, and whoever is
 * held up longer sleeps anyhow. That may be too short, or useless:
 *
 * - Two that answer each other fall asleep together: while the one is woken, which takes longer
 *   than that moment, the other gives up looking, and so on, although either would answer at once.
 *   So a thread that was woken soon after it fell asleep looks longer the next time, up to about as
 *   long as a wake-up takes.
 * - Where whoever is waited for needs this very core, or others take what was waited for, each look is
 *   lost. So a thread that has looked longer, and in vain, does not look for many sleeps; but it gives the core
 *   away before each of them, as long as that is worth it (base/yield.h).
 *
 * bench/sync measures what it is worth.
 */

#include <stdbool.h>
#include <stdint.h>

#define WEIR__SPIN_TURNS_LEAST 0
#define WEIR__SPIN_TURNS 100
#define WEIR__SPIN_TURNS_MOST 800

/* A sleep that was ended about as soon as a wake-up can be. */
#define WEIR__SPIN_SHORT_SLEEP_NS INT64_C(50000)

/* After one of those, nothing is to be expected of a look: idle costs nothing. */
#define WEIR__SPIN_IDLE_SLEEP_NS INT64_C(10000000)

/* How many longer looks more may be in vain than are worth it, and how many sleeps go without then. */
#define WEIR__SPIN_CREDIT 4
#define WEIR__SPIN_BARRED_SLEEPS 1000

/* A wait begins: what the last one was idle for means nothing to it. */
void weir__spin_begin(void);

/* For how many turns this thread is to look now. */
int weir__spin_turns(void);

/* It was worth it: what was waited for came in that turn. */
void weir__spin_caught(int turn);

/* Whether it is to give the core away before it sleeps, as in weir__yield_is_worth(); it has, as in
 * weir__yield_was(). */
bool weir__spin_yields(int64_t left_ns);
void weir__spin_yielded(bool has_come, int64_t away_ns);

/* It was in vain, and the thread has slept for so long. */
void weir__spin_slept(int64_t slept_ns);

#endif
