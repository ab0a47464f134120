/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SHARE_H
#define BENCH_SHARE_H

#include <stdbool.h>

/*
 * How much of its core this processor has at this moment: additions that do not wait for one another, in the
 * time of one multiplication. Where the host of a virtual machine runs somebody else on the core's other thread, it
 * is about half of what it is without; so is what the core can have under way at once. 0.1 ms.
 */
double share_probe(void);

/* The highest share that these two processors have within a second; where this thread runs stays as it was. */
double share_look_for_whole(const int cpus[2]);

/* Whether nobody else was there. whole: as above; 0: it is not asked. */
static inline bool share_is_whole(double share, double whole)
{
    return share >= 0.9 * whole;
}

#endif
