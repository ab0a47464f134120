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

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t below = 0;
    for (unsigned class = 0; class < HISTOGRAM_CLASSES; class ++) {
        below += histogram->classes[class];
        if (below > 0 && (double)below >= share * (double)histogram->count) {
            uint64_t end = upper_end(class);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
