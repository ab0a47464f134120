/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LANE_TICKS_H
#define BENCH_LANE_TICKS_H

/* The cheapest clock there is: a reading stands in every round trip that is measured. */

#include <stdint.h>

#include <weir/clock.h>

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)weir_now_ns();
#endif
}

static inline double ticks_per_ns(void)
{
    int64_t start_ns = weir_now_ns(), now_ns;
    uint64_t start = ticks();
    do
        now_ns = weir_now_ns();
    while (now_ns - start_ns < 20000000);
    return (double)(ticks() - start) / (double)(now_ns - start_ns);
}

#endif
