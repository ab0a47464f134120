/* SPDX-License-Identifier: MIT */
#include "share.h"

#include "cpus.h"
#include "lane/ticks.h"
#include "values.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

enum { CHUNKS = 61, TURNS = 1000, ADDITIONS = 12 };
enum { LOOKS = 100, LOOKS_PAUSE_NS = 10000000 };

/* One that the compiler is to make. */
static inline __attribute__((always_inline)) uint64_t plus(uint64_t x)
{
    x += 3;
    __asm__ volatile("" : "+r"(x));
    return x;
}

static double add(void)
{
    uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, start = ticks();
    for (int turn = 0; turn < TURNS; turn++) {
        a = plus(a), b = plus(b), c = plus(c), d = plus(d), e = plus(e), f = plus(f);
        a = plus(a), b = plus(b), c = plus(c), d = plus(d), e = plus(e), f = plus(f);
    }
    return (double)(ticks() - start) / (TURNS * ADDITIONS);
}

/* One after the other: takes as long, whoever else is there. */
static double multiply(void)
{
    uint64_t product = 1, factor = 3, start = ticks();
    for (int turn = 0; turn < TURNS; turn++) {
        product *= factor;
        __asm__ volatile("" : "+r"(product), "+r"(factor)); /* no shift, and no addition */
    }
    return (double)(ticks() - start) / TURNS;
}

double share_probe(void)
{
    double adding[CHUNKS], multiplying[CHUNKS];
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        adding[chunk] = add();
        multiplying[chunk] = multiply();
    }
    return values_median(multiplying, CHUNKS) / values_median(adding, CHUNKS);
}

double share_look_for_whole(const int cpus[2])
{
    const struct timespec pause = { 0, LOOKS_PAUSE_NS };
    double highest = 0;
    cpu_set_t before;
    bool is_known = sched_getaffinity(0, sizeof before, &before) == 0;
    for (int i = 0; i < LOOKS; i++) {
        cpus_pin(cpus[i % 2]);
        double share = share_probe();
        highest = share > highest ? share : highest;
        nanosleep(&pause, NULL);
    }
    if (is_known)
        sched_setaffinity(0, sizeof before, &before);
    return highest;
}
