/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_COPY_LARGE_H
#define WEIR_BASE_COPY_LARGE_H

/*
 * memcpy() of messages and values that are not small, into lines that another core has, and out of
 * lines that it has written. memcpy() comes upon these one after another, in the order of its copy, as
 * far as the loads and stores reach that a core has room for. Here, where a copy is large, all lines of
 * a piece are on their way before the first is used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/copy.h"

/* Up to here lines are asked for by weir__want_lines(). */
#define WEIR__COPY_LARGE_MIN (WEIR__AHEAD_MAX + 1)
/* What is longer is in no cache when it is read: as fast as memory is, by any copy. */
#define WEIR__COPY_LARGE_MAX (UINT64_C(2) << 20)

/*
 * Any size, MIN to MAX as meant. Before the copy of a piece _to stores zeros over it: nobody may
 * count upon what was there, as with a record that is not committed. But for those that it is told to copy: the two may overlap.
 * _from only reads, and may be of bytes that change meanwhile.
 */
void weir__copy_large_to(unsigned char *to, const unsigned char *from, size_t size);
void weir__copy_large_from(unsigned char *to, const unsigned char *from, size_t size);

static inline bool weir__is_copy_large(size_t size)
{
    return size - WEIR__COPY_LARGE_MIN <= WEIR__COPY_LARGE_MAX - WEIR__COPY_LARGE_MIN;
}

/*
 * Any size. Of the smaller ones musl does all by `rep movsq`, as glibc from WEIR__AHEAD_MAX on, about, by
 * `rep movsb`: that takes whole lines without what is in them, and is slower where they were fetched.
 */
static inline void weir__copy_to_shared(void *to, const void *from, size_t size)
{
    if (weir__is_copy_large(size)) {
        weir__copy_large_to(to, from, size);
        return;
    }
#ifdef __GLIBC__
    weir__want_lines(to, size);
#endif
    memcpy(to, from, size);
}

static inline void weir__copy_from_shared(void *to, const void *from, size_t size)
{
    if (weir__is_copy_large(size))
        weir__copy_large_from(to, from, size);
    else
        memcpy(to, from, size);
}

#endif
