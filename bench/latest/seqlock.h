/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LATEST_SEQLOCK_H
#define BENCH_LATEST_SEQLOCK_H

/*
 * The bare sequence lock beside weir: one number, odd while the bytes behind it are written, and
 * one copy of the value. No check of anything, no waiting, no second writer; a reader asks again until
 * it comes between two writes, and for ever if the writer was killed in one.
 */

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct seqlock {
    _Alignas(128) _Atomic uint64_t number;
    unsigned char bytes[];
};

static inline void seqlock_write(struct seqlock *lock, const void *from, uint64_t size_bytes)
{
    uint64_t number = atomic_load_explicit(&lock->number, memory_order_relaxed);
    atomic_store_explicit(&lock->number, number + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(lock->bytes, from, size_bytes);
    atomic_store_explicit(&lock->number, number + 2, memory_order_release);
}

/* The value's version. */
static inline uint64_t seqlock_read(const struct seqlock *lock, void *to, uint64_t size_bytes)
{
    for (;;) {
        uint64_t number = atomic_load_explicit(&lock->number, memory_order_acquire);
        if (number & 1)
            continue;
        memcpy(to, lock->bytes, size_bytes);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&lock->number, memory_order_relaxed) == number)
            return number / 2;
    }
}

/*
 * And what the lines cost by themselves: the same number and bytes, and nothing that keeps a copy
 * whole, or waits until it is.
 */

static inline void torn_write(struct seqlock *lock, const void *from, uint64_t size_bytes)
{
    uint64_t number = atomic_load_explicit(&lock->number, memory_order_relaxed);
    memcpy(lock->bytes, from, size_bytes);
    atomic_store_explicit(&lock->number, number + 2, memory_order_release);
}

static inline uint64_t torn_read(const struct seqlock *lock, void *to, uint64_t size_bytes)
{
    uint64_t number = atomic_load_explicit(&lock->number, memory_order_acquire);
    memcpy(to, lock->bytes, size_bytes);
    return number / 2;
}

#endif
