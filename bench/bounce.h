/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BOUNCE_H
#define BENCH_BOUNCE_H

/*
 * How far apart two processors are at this moment: nanoseconds for one cache line there and back.
 * The host of a virtual machine may move them within seconds.
 */
double bounce_probe(int one, int other);

/* Between the 120 ns of near cores and the 510 ns of far ones: their geometric mean. */
#define BOUNCE_NEAR_BELOW_NS 250.0

#endif
