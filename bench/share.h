/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SHARE_H
#define BENCH_SHARE_H

/*
 * How much of its core this processor has at this moment: additions that do not wait for one another, in the
 * time of one multiplication. Where the host of a virtual machine runs somebody else on the core's other thread, it
 * is about half of what it is without; so is what the core can have under way at once. 0.1 ms.
 */
double share_probe(void);

/* Of the highest share in a run. Less: somebody else was there. */
#define SHARE_WHOLE 0.9

#endif
