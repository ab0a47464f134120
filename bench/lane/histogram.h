/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LANE_HISTOGRAM_H
#define BENCH_LANE_HISTOGRAM_H

/* Counts of durations in classes less than 1 % wide; the largest exactly. */

#include <stdint.h>

enum { HISTOGRAM_BITS = 7, HISTOGRAM_CLASSES = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
    uint64_t count, max;
    uint64_t classes[HISTOGRAM_CLASSES];
};

void histogram_clear(struct histogram *histogram);

/* The value that share of all are not above. */
double histogram_quantile(const struct histogram *histogram, double share);

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    unsigned class = (unsigned)value;
    if (value >> HISTOGRAM_BITS) {
        unsigned shift = 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
        class = ((shift + 1) << HISTOGRAM_BITS) +
                (unsigned)((value >> shift) - (UINT64_C(1) << HISTOGRAM_BITS));
    }
    histogram->classes[class]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

#endif
