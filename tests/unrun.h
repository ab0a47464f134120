/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_UNRUN_H
#define WEIR_TESTS_UNRUN_H

/*
 * Time in which the machine did not run who could have gone on: a bound on what the library takes is kept
 * without it. Who waits for something is not among it, however long that is.
 */

#include <stdint.h>

#include <sys/types.h>

enum { UNRUN_MAX = 9 };

struct unrun {
    int64_t naps_ns; /* so much longer than asked for the test itself has slept */
    pid_t pids[UNRUN_MAX];
    int64_t before_ns[UNRUN_MAX];
};

/* From now on, of the test and of so many processes that it waits for, alive or not yet reaped. */
void unrun_begin(struct unrun *unrun, const pid_t *pids, unsigned count);

/* The test sleeps for 0.1 ms. */
void unrun_nap(struct unrun *unrun);

/* So long one of them was not run, since the begin: the most. */
int64_t unrun_ns(const struct unrun *unrun);

#endif
