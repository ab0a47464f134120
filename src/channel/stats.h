/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_STATS_H
#define WEIR_CHANNEL_STATS_H

/*
 * Counting what a member does (layout.h, struct weir__stats_shm). One thread at a time counts: the
 * handle's; so a load and a store are enough, and no read-modify-write is paid. Only the dead
 * are counted by the descriptor's thread, too.
 */

#include "channel/layout.h"

static inline void weir__count_many(weir__atomic_u64 *word, uint64_t many)
{
    /* Relaxed [stats.count]: nothing follows from it. Pairs with read_count(). */
    uint64_t count = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, count + many, memory_order_relaxed);
}

static inline void weir__count(weir__atomic_u64 *word)
{
    weir__count_many(word, 1);
}

/* stats: NULL as long as there is no memory to count in. */
static inline void weir__count_reaped(struct weir__stats_shm *stats)
{
    /* Relaxed [stats.count]: two threads may count these. Pairs with read_count(). */
    if (stats)
        atomic_fetch_add_explicit(&stats->reaped, 1, memory_order_relaxed);
}

static inline void weir__state(weir__atomic_u32 *word, uint32_t value)
{
    /* Relaxed [stats.count]: shown, and no more. Pairs with read_state(). */
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/*
 * Messages that were overwritten before they were read, and their bytes: the lane's count and
 * head have gone over them, as if they had been.
 */
static inline void weir__count_missed(struct weir__subscriber_stats_shm *stats, uint64_t messages,
                                      uint64_t bytes)
{
    weir__count_many(&stats->missed, messages);
    weir__count_many(&stats->bytes_base, 0 - bytes);
}

/* The bases change, and so do the entries that they belong to. */
static inline void weir__totals_begin(struct weir__subscriber_stats_shm *stats)
{
    /* Relaxed [stats.version]: the fence keeps what follows behind it. Pairs with read_total(). */
    atomic_fetch_add_explicit(&stats->version, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline void weir__totals_end(struct weir__subscriber_stats_shm *stats)
{
    /* Release [stats.version]: all that changed. Pairs with read_total(). */
    atomic_fetch_add_explicit(&stats->version, 1, memory_order_release);
}

#endif
