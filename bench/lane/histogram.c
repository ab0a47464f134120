/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <string.h>

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

static uint64_t upper_end(unsigned class)
{
    if (class >> HISTOGRAM_BITS == 0)
        return class;
    unsigned shift = (class >> HISTOGRAM_BITS) - 1;
    uint64_t base = (UINT64_C(1) << HISTOGRAM_BITS) + (class & ((1u << HISTOGRAM_BITS) - 1));
    return ((base + 1) << shift) - 1;
}

/*
 * A clock that goes in steps of 10 ns, as that of some processors does, gives few values. A
 * duration between two of them is read as one or the other, the more often the nearer it is: so
 * from one value to the next the share is taken to rise evenly.
 */
double histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t below = 0, last = 0;
    for (unsigned class = 0; class < HISTOGRAM_CLASSES; class ++) {
        uint64_t here = histogram->classes[class];
        if (here == 0)
            continue;
        uint64_t end = upper_end(class);
        end = end < histogram->max ? end : histogram->max;
        if ((double)(below + here) >= wanted)
            return (double)last + (double)(end - last) * (wanted - (double)below) / (double)here;
        below += here;
        last = end;
    }
    return (double)histogram->max;
}
