/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_COPY_H
#define WEIR_BASE_COPY_H

/*
 * memcpy() for small messages whose size is known at run time alone: a call would cost more
 * than the copy. Two pieces, which may overlap.
 *
 * Read in words, written in pairs of them. What is sent was mostly written just before, field
 * by field, and stands in the store buffer behind records whose lines are still on their way
 * from the other core: a load of a word is served from there, one that is wider than the field
 * waits until all of them have come.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t weir__pair __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) void weir__copy_pair(unsigned char *to,
                                                                  const unsigned char *from)
{
    uint64_t first, second;
    memcpy(&first, from, 8);
    memcpy(&second, from + 8, 8);
    __asm__("" : "+r"(first), "+r"(second)); /* else the compiler makes one load of them */
    weir__pair pair = { first, second };
    memcpy(to, &pair, 16);
}

/* piece is a constant, 32 at most: it becomes a few instructions. */
static inline __attribute__((always_inline)) void
weir__copy_piece(unsigned char *to, const unsigned char *from, size_t piece)
{
    if (piece < 16)
        memcpy(to, from, piece);
    else
        weir__copy_pair(to, from);
    if (piece == 32)
        weir__copy_pair(to + 16, from + 16);
}

static inline __attribute__((always_inline)) void
weir__copy_ends(unsigned char *to, const unsigned char *from, size_t size, size_t piece)
{
    weir__copy_piece(to, from, piece);
    weir__copy_piece(to + size - piece, from + size - piece, piece);
}

/* size: less than 8. */
static inline void weir__copy_tiny(void *to, const void *from, size_t size)
{
    if (size >= 4)
        weir__copy_ends(to, from, size, 4);
    else if (size >= 2)
        weir__copy_ends(to, from, size, 2);
    else if (size == 1)
        *(unsigned char *)to = *(const unsigned char *)from;
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
    else
        weir__copy_tiny(to, from, size);
}

/*
 * The same by wide loads, of bytes that another processor has written: a quarter of the instructions.
 * While a line comes the processor begins what follows, as far as its window has room; each instruction
 * less is one of the next message's, and so a word is asked for first, and is one store, not two that
 * overlap. Of more than WEIR__COPY_SMALL_MAX nothing is copied: false.
 */
static inline __attribute__((always_inline)) bool
weir__copy_wide(unsigned char *to, const unsigned char *from, size_t size)
{
    if (__builtin_expect(size == 8, 1)) {
        memcpy(to, from, 8);
        return true;
    }
    if (size < 8) {
        weir__copy_tiny(to, from, size);
        return true;
    }
    if (size < 16) {
        weir__copy_ends(to, from, size, 8);
        return true;
    }
    if (size > 32) {
        if (size > WEIR__COPY_SMALL_MAX)
            return false;
        memcpy(to + 16, from + 16, 16);
        memcpy(to + size - 32, from + size - 32, 16);
    }
    memcpy(to, from, 16);
    if (size > 16)
        memcpy(to + size - 16, from + size - 16, 16);
    return true;
}

/*
 * It is to be written, and another core's. Any address, also one beyond the memory's end; the builtin is
 * that with -mprfchw alone.
 */
static inline __attribute__((always_inline)) void weir__want_line(const unsigned char *at)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*at));
#else
    (void)at;
#endif
}

#define WEIR__AHEAD_LINE UINT64_C(64)
#define WEIR__AHEAD_MIN 256
#define WEIR__AHEAD_MAX 2048

/*
 * Asks for lines that are to be written next, and are another core's, all at once: one for each 64
 * bytes, so that the last line may be left to its stores. Stores ask for them in their order, as far
 * as the store buffer reaches, and behind all that stands in it from before. What is smaller than
 * WEIR__AHEAD_MIN gains nothing by it; what is larger than WEIR__AHEAD_MAX loses, as its lines come
 * in a stream that the processor fetches ahead by itself: 8 and 16 KiB in place a sixteenth.
 */
static inline void weir__want_lines(const unsigned char *at, size_t size)
{
    if (size < WEIR__AHEAD_MIN || size > WEIR__AHEAD_MAX)
        return;
    for (size_t i = 0; i < size; i += WEIR__AHEAD_LINE)
        weir__want_line(at + i);
}

/*
 * How many bytes of lines a stream of small records takes at once, and how far ahead; and at most behind a burst, for
 * the next one. How many lines are on their way at once is else what the store buffer has room for, and each record
 * has some ten stores. By measurement, of 256 to 2,048, near and far.
 */
#define WEIR__AHEAD_BYTES 512
#define WEIR__AHEAD_NEXT_BYTES 2048

#endif
