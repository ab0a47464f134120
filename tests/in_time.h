/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_IN_TIME_H
#define WEIR_TESTS_IN_TIME_H

/*
 * A bound on how long something takes, where the machine, too, may not run a process for as long: that
 * only adds, and what is really late is late each time. So what took too long is done again.
 */

#include "fixture.h"

enum { IN_TIME_ATTEMPTS = 3 };

/* Each call does it once, and tells how long it took. The least of up to three is within the bound. */
static inline void expect_in_time(int64_t (*took_ns)(void *), void *argument, int64_t bound_ns)
{
    int64_t least_ns = INT64_MAX;
    for (int i = 0; i < IN_TIME_ATTEMPTS && least_ns >= bound_ns; i++) {
        int64_t now_ns = took_ns(argument);
        least_ns = now_ns < least_ns ? now_ns : least_ns;
    }
    assert_true(least_ns < bound_ns);
}

#endif
