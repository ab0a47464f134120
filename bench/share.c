/* SPDX-License-Identifier: MIT */
#include "share.h"

#include "lane/ticks.h"
#include "values.h"

#include <stdint.h>

enum { CHUNKS = 61, TURNS = 1000, ADDITIONS = 12 };

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
