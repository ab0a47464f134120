/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

/*
 * Programs that move a file, timed: one by itself, or two that are joined by a pipe or by what
 * they make of it themselves. For benchmarks: whatever fails ends the program with 1.
 */

#include <stdbool.h>

struct form {
    const char *name;
    bool has_pipe;
    char *first[6], *second[6]; /* "FILE" stands for the file; second[0] NULL: one process */
};

/* The name of the benchmark, for its messages. */
extern const char *programs_title;

void programs_fail(const char *what);

/* Seconds from the first one's start to the last one's end; output is the last one's. */
double programs_run(const struct form *form, const char *file, const char *output);

/* So many MiB that nothing compresses, the same ones each time. */
void programs_make_file(const char *file, long mib);

#endif
