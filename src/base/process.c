/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <pthread.h>
#include <unistd.h>

#include "base/atomics.h"

/* Between the process that asked first and this one. */
static weir__atomic_u32 forks;

static void count_in_child(void)
{
    /* Relaxed: a child of fork has one thread. */
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_in_child);
}

uint64_t weir__process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    /* Relaxed: as above. */
    return (uint64_t)atomic_load_explicit(&forks, memory_order_relaxed) << 32 | (uint32_t)getpid();
}
