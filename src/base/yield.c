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

static void begin_anew(struct weir__yield *yield)
{
    *yield = (struct weir__yield){ .longs = yield->longs };
}

/* To one with a deadline a yield says that it has done all that it had to, until its next period. */
static bool gets_it_back_soon(void)
{
    int saved_errno = errno;
    bool has_deadline =
        syscall(SYS_sched_getscheduler, 0) == SCHED_DEADLINE; /* musl's says nothing */
    errno = saved_errno;
    return !has_deadline;
}

static void sleep_for(struct weir__yield *yield, int32_t sleeps)
{
    begin_anew(yield);
    yield->left = sleeps;
}

void weir__yield_was(struct weir__yield *yield, bool has_come, int64_t away_ns)
{
    if (away_ns > WEIR__YIELD_LONG_NS) {
        sleep_for(yield, WEIR__YIELD_SLEEPS_LONG << yield->longs);
        yield->longs += yield->longs < WEIR__YIELD_DOUBLINGS;
    } else if (!has_come && yield->credit == 1) {
        sleep_for(yield, WEIR__YIELD_SLEEPS);
    } else if (--yield->left == 0) {
        *yield = (struct weir__yield){ 0 };
    } else if (!has_come) {
        yield->credit--;
    } else if (yield->credit < WEIR__YIELD_CREDIT) {
        yield->credit++;
    }
}

void weir__yield_slept(struct weir__yield *yield, int64_t slept_ns)
{
    if (slept_ns > WEIR__YIELD_SHORT_SLEEP_NS) {
        begin_anew(yield);
    } else if (yield->left > 0 && yield->credit == 0) {
        yield->left--;
    } else if (yield->left == 0 && ++yield->short_sleeps == WEIR__YIELD_SHORT_SLEEPS) {
        sleep_for(yield, WEIR__YIELD_SLEEPS);
        if (gets_it_back_soon()) {
            yield->credit = WEIR__YIELD_CREDIT;
            yield->left = WEIR__YIELD_TIMES;
        }
    }
}
