/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

/* Where the processes of a benchmark run. */

#include <stdbool.h>

/* The first two processors that this process may run on. False: there are not so many. */
bool cpus_choose(int cpus[2]);

/* From now on this thread runs on that one alone. False: it may not; errno. */
bool cpus_pin(int cpu);

#endif
