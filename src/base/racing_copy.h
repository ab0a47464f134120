/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_RACING_COPY_H
#define WEIR_BASE_RACING_COPY_H

/*
 * Copies out of shared bytes that may be written at the same time: a value's buffer, a message in
 * the ring of a publisher that waits for nobody. What comes of it is believed only after a word
 * beside them says that they were not written: the race is meant, and harmless on the bytes. The
 * thread sanitizer is not shown it, so that it sees the races that are not meant.
 */

#include <stddef.h>
#include <string.h>

#include "base/copy.h"
#include "base/copy_large.h"

#if defined(__SANITIZE_THREAD__)
#define WEIR__RACES_SEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR__RACES_SEEN 1
#endif
#endif

/* Of what is to become part of each read; gcc's sanitizer complains of a fence that it puts in. */
#ifdef WEIR__RACES_SEEN
#define WEIR__RACING_INLINE inline
#else
#define WEIR__RACING_INLINE inline __attribute__((always_inline))
#endif

#ifdef WEIR__RACES_SEEN
__attribute__((no_sanitize("thread"), noinline)) static void
weir__copy_racing(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile unsigned char *)to)[i] = ((const volatile unsigned char *)from)[i];
}

static inline void weir__copy_racing_constant(void *to, const void *from, size_t size)
{
    weir__copy_racing(to, from, size);
}

static inline void weir__copy_racing_line(void *to, const void *from, size_t size)
{
    weir__copy_racing(to, from, size);
}
#else
/* size: a constant, a few lines at most: it becomes some wide loads and stores. */
static WEIR__RACING_INLINE void weir__copy_racing_constant(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
}

static inline void weir__copy_racing(void *to, const void *from, size_t size)
{
    if (size <= WEIR__COPY_SMALL_MAX)
        weir__copy_small(to, from, size);
    else
        weir__copy_from_shared(to, from, size);
}

/* size: 64 at most. */
static WEIR__RACING_INLINE void weir__copy_racing_line(void *to, const void *from, size_t size)
{
    weir__copy_wide(to, from, size);
}
#endif

#endif
