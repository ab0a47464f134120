/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_YIELD_H
#define WEIR_BASE_YIELD_H

/*
 * Giving the core away, instead of a look and a sleep, to one that may need this very core to send what is
 * waited for. Whether that is so is learnt from how it went before:
 *
 *   state    | short_sleeps | credit | left   | moved on by
 *   ---------+--------------+--------+--------+----------------------------------------------------
 *   as usual | 0 to 3       | 0      | 0      | a look that was worth it: short_sleeps = 0; a short sleep: one
 *            |              |        |        | more; the fourth -> yields, or sleeps, if it must not yield
 *   yields   | 0            | 1 to 4 | 1 to N | a yield: left goes down, 0 -> as usual; one in vain costs a
 *            |              |        |        | credit, 0 -> sleeps; else one more, up to 4. Too long -> sleeps
 *   sleeps   | 0            | 0      | 1 to M | a short sleep: left goes down, 0 -> as usual
 *   any      |              |        |        | a longer sleep -> as usual
 *
 * Two that share a core, and look for each other's answer, look in vain: the other one cannot run. Then
 * they fall asleep, and are woken at once. With a yield between, neither looks, sleeps nor wakes. It is in
 * vain when nothing has come by the time that the core is ours again. Then looks are in vain, too, for all that
 * is known: so it sleeps. After N yields, or M sleeps, all is learnt anew: they may have a core each by
 * now, where a look is the shortest way.
 *
 * Too long is a yield when the core went to somebody who has more to do, and keeps it for a time slice: a
 * sleeper would have been woken at once. One such costs as much as many sleeps. So it must not yield again
 * before as many short sleeps (pause), whatever its state is meanwhile, and twice as many the next time,
 * up to three times, until N yields in a row were not too long. Nor must ever who is scheduled by deadlines
 * (SCHED_DEADLINE): to it a yield is the end of its period.
 */

#include <stdbool.h>
#include <stdint.h>

/* A sleep that was ended about as soon as a wake-up can be; and so many of them in a row. */
#define WEIR__YIELD_SHORT_SLEEP_NS INT64_C(50000)
#define WEIR__YIELD_SHORT_SLEEPS 4

#define WEIR__YIELD_CREDIT 4
#define WEIR__YIELD_LONG_NS INT64_C(300000)
#define WEIR__YIELD_TIMES 4000 /* N */
#define WEIR__YIELD_SLEEPS 100 /* M */

/* The pause after a yield that was too long, and how often it is doubled. */
#define WEIR__YIELD_PAUSE 1000
#define WEIR__YIELD_DOUBLINGS 3

/* All 0: as usual. Of one thread at a time. */
struct weir__yield {
    int32_t short_sleeps;
    int32_t credit;
    int32_t left;
    int32_t pause;
    int32_t doublings; /* of the next pause */
};

/* Whether a look is in vain, as far as is known. */
static inline bool weir__yield_is_learnt(const struct weir__yield *yield)
{
    return yield->left > 0;
}

/* Whether to give the core away. left_ns: until the deadline; there must be time for one that is too long. */
static inline bool weir__yield_is_worth(const struct weir__yield *yield, int64_t left_ns)
{
    return yield->credit > 0 && left_ns >= WEIR__YIELD_LONG_NS;
}

/* A look found what is waited for. */
static inline void weir__yield_looked(struct weir__yield *yield)
{
    if (__builtin_expect(yield->short_sleeps != 0, 0))
        yield->short_sleeps = 0;
}

/* Gives it away. For how long. */
int64_t weir__yield_away(void);

/* It was away for so long; has_come: what is waited for. */
void weir__yield_was(struct weir__yield *yield, bool has_come, int64_t away_ns);

/* Gives it away, if that is worth it, and looks. Whether what is waited for has come. */
static inline bool weir__yield_and_look(struct weir__yield *yield, bool (*has_come)(void *),
                                        void *argument, int64_t left_ns)
{
    if (!weir__yield_is_worth(yield, left_ns))
        return false;
    int64_t away_ns = weir__yield_away();
    bool is_here = has_come(argument);
    weir__yield_was(yield, is_here, away_ns);
    return is_here;
}

/* It has slept, for so long; or 0, if it was about to and need not. A short one that ended for nothing is none. */
void weir__yield_slept(struct weir__yield *yield, bool has_come, int64_t slept_ns);

#endif
