/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_ATOMICS_H
#define WEIR_BASE_ATOMICS_H

/* The one place that includes <stdatomic.h>: no other file names its types but through here. */
#include <stdatomic.h>
#include <stdint.h>

typedef atomic_int weir__atomic_int;
typedef _Atomic uint32_t weir__atomic_u32;
typedef _Atomic uint64_t weir__atomic_u64;

/* One turn of a loop that waits for another core. */
static inline void weir__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/*
 * A shorter turn, of about 10 ns, where it is known how to make one: no load behind it is begun
 * before it is over, so that only one look at a time is under way.
 */
static inline void weir__cpu_relax_briefly(void)
{
#if defined(__x86_64__)
    uint64_t turns = 1;
    for (int i = 0; i < 8; i++) /* 3 cycles each, one after the other */
        __asm__ volatile("imulq $1, %0, %0" : "+r"(turns));
    __asm__ volatile("lfence" : "+r"(turns) : : "memory");
#else
    weir__cpu_relax();
#endif
}

#endif
