/* SPDX-License-Identifier: MIT */
#include "base/yield.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/clock.h>

int64_t weir__yield_away(void)
{
    int64_t begun_ns = weir_now_ns();
    sched_yield();
    return weir_now_ns() - begun_ns;
}

static void begin(struct weir__yield *yield, int32_t credit, int32_t left)
{
    yield->short_sleeps = 0;
    yield->credit = credit;
    yield->left = left;
}

static bool is_scheduled_by_deadlines(void)
{
    int saved_errno = errno;
    long policy = syscall(SYS_sched_getscheduler, 0); /* musl's function says nothing */
    errno = saved_errno;
    return policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) == SCHED_DEADLINE;
}

void weir__yield_was(struct weir__yield *yield, bool has_come, int64_t away_ns)
{
    if (away_ns > WEIR__YIELD_LONG_NS) {
        begin(yield, 0, WEIR__YIELD_SLEEPS);
        yield->pause = WEIR__YIELD_PAUSE << yield->doublings;
        yield->doublings += yield->doublings < WEIR__YIELD_DOUBLINGS;
    } else if (!has_come && yield->credit == 1) {
        begin(yield, 0, WEIR__YIELD_SLEEPS);
    } else if (--yield->left == 0) {
        *yield = (struct weir__yield){ 0 };
    } else if (!has_come) {
        yield->credit--;
    } else if (yield->credit < WEIR__YIELD_CREDIT) {
        yield->credit++;
    }
}

static void sleep_was_short(struct weir__yield *yield)
{
    if (yield->pause > 0)
        yield->pause--;
    if (yield->left > 0) {
        yield->left -= yield->credit == 0; /* else it was behind a yield, which has counted */
    } else if (++yield->short_sleeps == WEIR__YIELD_SHORT_SLEEPS) {
        if (yield->pause > 0 || is_scheduled_by_deadlines())
            begin(yield, 0, WEIR__YIELD_SLEEPS);
        else
            begin(yield, WEIR__YIELD_CREDIT, WEIR__YIELD_TIMES);
    }
}

void weir__yield_slept(struct weir__yield *yield, bool has_come, int64_t slept_ns)
{
    if (slept_ns > WEIR__YIELD_SHORT_SLEEP_NS)
        begin(yield, 0, 0);
    else if (has_come)
        sleep_was_short(yield);
}
