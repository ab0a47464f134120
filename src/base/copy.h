/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_COPY_H
#define WEIR_BASE_COPY_H

/*
 * memcpy() for small messages whose size is known at run time alone: a call would cost more
 * than the copy. Two pieces, which may overlap.
 */

#include <stddef.h>
#include <string.h>

/* piece is a constant, 32 at most: each copy becomes an instruction or two. */
static inline __attribute__((always_inline)) void
weir__copy_ends(unsigned char *to, const unsigned char *from, size_t size, size_t piece)
{
    memcpy(to, from, piece);
    memcpy(to + size - piece, from + size - piece, piece);
}

#define WEIR__COPY_SMALL_MAX 64

/* size: at most WEIR__COPY_SMALL_MAX. */
static inline void weir__copy_small(void *to, const void *from, size_t size)
{
    if (size > 32)
        weir__copy_ends(to, from, size, 32);
    else if (size > 16)
        weir__copy_ends(to, from, size, 16);
    else if (size >= 8)
        weir__copy_ends(to, from, size, 8);
    else if (size >= 4)
        weir__copy_ends(to, from, size, 4);
    else if (size >= 2)
        weir__copy_ends(to, from, size, 2);
    else if (size == 1)
        *(unsigned char *)to = *(const unsigned char *)from;
}

#endif
