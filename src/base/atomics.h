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

#endif
