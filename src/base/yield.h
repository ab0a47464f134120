/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_YIELD_H
#define WEIR_BASE_YIELD_H

/*
 * Giving the core away, instead of a look and a sleep, to one that may need this very core to send what is
 * waited for. Whether that is so is learnt from how it went before:
 *
 *   state    | short_sleeps | credit | left   | moved on by
 *   ---------+--------------+--------+--------+----------------------------------------------------
 *   as usual | 0 to 3       | 0      | 0      | a short sleep: one more; the fourth in a row -> yields
 *   yields   | 0            | 1 to 4 | 1 to N | a yield: left goes down, 0 -> as usual; one in vain costs
 *            |              |        |        | a credit, 0 -> sleeps; too long -> sleeps; else one more
 *   sleeps   | 0            | 0      | 1 to M | a short sleep: left goes down, 0 -> as usual
 *   any      |              |        |        | a longer sleep -> as usual
 *
 * Two that share a core, and look for each other's answer, look in vain: the other one cannot run. Then
 * they fall asleep, and are woken at once. With a yield between, neither looks, sleeps nor wakes. It is in
 * vain when nothing has come by the time that the core is ours again. It was too long when the core went to
 * somebody who has more to do, and keeps it for a time slice: a sleeper would have been woken at once. That
 * costs as much as many sleeps, so that it is not tried again before as many, and twice as many the next time.
 * Who is scheduled by deadlines (SCHED_DEADLINE) never yields. In either case looks are in vain, too. After N yields, or M sleeps, all is learnt anew: they may have a core
 * each by now, where a look is the shortest way.
 */

#include <stdbool.h>
#include <stdint.h>

/* A sleep that was ended about as soon as a wake-up can be; and four of them in a row. */
#define WEIR__YIELD_SHORT_SLEEP_NS INT64_C(50000)
#define WEIR__YIELD_SHORT_SLEEPS 4

#define WEIR__YIELD_CREDIT 4
#define WEIR__YIELD_LONG_NS INT64_C(300000)
#define WEIR__YIELD_TIMES 4000

/* M: after yields in vain; after one that was too long, and each further one, up to so many times twice. */
#define WEIR__YIELD_SLEEPS 100
#define WEIR__YIELD_SLEEPS_LONG 1000
#define WEIR__YIELD_DOUBLINGS 3

/* All 0: as usual. Of one thread at a time. */
struct weir__yield {
    int32_t short_sleeps;
    int32_t credit;
    int32_t left;
    int32_t longs; /* yields that were too long, since all N were not */
};

/* Whether a look is in vain, as far as is known. */
static inline bool weir__yield_is_learnt(const struct weir__yield *yield)
{
    return yield->left > 0;
}

/* Whether to give the core away. */
static inline bool weir__yield_is_worth(const struct weir__yield *yield)
{
    return yield->credit > 0;
}

/* Gives it away. For how long. */
int64_t weir__yield_away(void);

/* It was away for so long; has_come: what is waited for. */
void weir__yield_was(struct weir__yield *yield, bool has_come, int64_t away_ns);

/* It has slept, for so long. */
void weir__yield_slept(struct weir__yield *yield, int64_t slept_ns);

#endif
