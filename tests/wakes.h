/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_WAKES_H
#define WEIR_TESTS_WAKES_H

/*
 * How long it takes until the one that sleeps runs, turn by turn. A wake that is lost costs most of a
 * slice of 200 ms. A busy machine may let the one that is woken stand for as long, now and then: so the
 * longest turn is left out, and the bound on the others is low.
 */

#include <stdint.h>

struct wakes {
    int64_t sum_ns, longest_ns;
    int turns;
};

#define WAKES_ENOUGH_NS INT64_C(30000000) /* on the average: more is too late */

static inline void wakes_add(struct wakes *wakes, int64_t ns)
{
    wakes->sum_ns += ns;
    wakes->turns++;
    if (ns > wakes->longest_ns)
        wakes->longest_ns = ns;
}

/* Of all turns but the longest. */
static inline int64_t wakes_average_ns(const struct wakes *wakes)
{
    return (wakes->sum_ns - wakes->longest_ns) / (wakes->turns - 1);
}

#endif
