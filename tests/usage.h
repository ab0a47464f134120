/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_USAGE_H
#define WEIR_TESTS_USAGE_H

/* What this process, with all its threads, also those that have ended, has used. */

#include <sys/resource.h>

#include "fixture.h"

struct usage {
    long sleeps; /* how often a thread went to sleep, and was woken up */
    long long cpu_us;
};

static inline struct usage usage_now(void)
{
    struct rusage now;
    CHECK(getrusage(RUSAGE_SELF, &now) == 0);
    return (struct usage){
        .sleeps = now.ru_nvcsw,
        .cpu_us = (now.ru_utime.tv_sec + now.ru_stime.tv_sec) * 1000000LL + now.ru_utime.tv_usec +
                  now.ru_stime.tv_usec,
    };
}

static inline struct usage usage_since(struct usage before)
{
    struct usage now = usage_now();
    return (struct usage){ now.sleeps - before.sleeps, now.cpu_us - before.cpu_us };
}

#endif
