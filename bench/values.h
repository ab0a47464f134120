/* SPDX-License-Identifier: MIT */
#ifndef BENCH_VALUES_H
#define BENCH_VALUES_H

/* What was measured in several rounds. */

#include <stddef.h>

/* The lowest first. */
void values_sort(double *values, size_t count);

/* Sorts them, too. */
double values_median(double *values, size_t count);

#endif
