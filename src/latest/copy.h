/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_COPY_H
#define WEIR_LATEST_COPY_H

/*
 * Copies out of a buffer that may be written at the same time. What comes of it is believed only
 * after head.seq says that it was not: the race is meant, and harmless on the bytes. The thread
 * sanitizer is not shown it, so that it sees the races that are not meant.
 */

#include <stddef.h>
#include <string.h>

#include "base/copy.h"

#if defined(__SANITIZE_THREAD__)
#define WEIR__RACES_SEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR__RACES_SEEN 1
#endif
#endif

#ifdef WEIR__RACES_SEEN
__attribute__((no_sanitize("thread"), noinline)) static void
weir__copy_racing(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((volatile unsigned char *)to)[i] = ((const volatile unsigned char *)from)[i];
}
#else
static inline void weir__copy_racing(void *to, const void *from, size_t size)
{
    if (size <= WEIR__COPY_SMALL_MAX)
        weir__copy_small(to, from, size);
    else
        memcpy(to, from, size);
}
#endif

#endif
