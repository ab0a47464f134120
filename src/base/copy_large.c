/* SPDX-License-Identifier: MIT */
#include "base/copy_large.h"

#ifdef __x86_64__

/* By measurement, of 256 to 4,096. */
#define PIECE_BYTES 1024
#define LINE_BYTES 64

/* One register of AVX, at any address. */
typedef uint64_t vector __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint64_t word __attribute__((aligned(1), may_alias));

/* By hand four at a time: a core whose other half is busy has no instructions left for a loop of one. */
#define UNROLLED 4

/* Takes the lines from the other core: a store does, a prefetch does not where they are shared. */
static inline __attribute__((always_inline)) void take_lines(unsigned char *at)
{
    for (size_t i = 0; i < PIECE_BYTES; i += UNROLLED * LINE_BYTES) {
        *(volatile word *)(at + i) = 0;
        *(volatile word *)(at + i + LINE_BYTES) = 0;
        *(volatile word *)(at + i + 2 * LINE_BYTES) = 0;
        *(volatile word *)(at + i + 3 * LINE_BYTES) = 0;
    }
}

/* Asks for the lines: a load that nothing waits for. */
static inline __attribute__((always_inline)) void read_lines(const unsigned char *at)
{
    for (size_t i = 0; i < PIECE_BYTES; i += UNROLLED * LINE_BYTES) {
        (void)*(const volatile word *)(at + i);
        (void)*(const volatile word *)(at + i + LINE_BYTES);
        (void)*(const volatile word *)(at + i + 2 * LINE_BYTES);
        (void)*(const volatile word *)(at + i + 3 * LINE_BYTES);
    }
}

static inline __attribute__((always_inline)) void copy_piece(unsigned char *to,
                                                             const unsigned char *from)
{
    for (size_t i = 0; i < PIECE_BYTES; i += UNROLLED * sizeof(vector)) {
        const vector *of = (const vector *)(from + i);
        vector *there = (vector *)(to + i);
        vector first = of[0], second = of[1], third = of[2], fourth = of[3];
        there[0] = first;
        there[1] = second;
        there[2] = third;
        there[3] = fourth;
    }
}

/* Both return how many bytes are copied: all whole pieces. */
__attribute__((target("avx"))) static size_t copy_pieces_to(unsigned char *to,
                                                            const unsigned char *from, size_t size)
{
    size_t done = 0;
    for (; size - done >= PIECE_BYTES; done += PIECE_BYTES) {
        take_lines(to + done);
        copy_piece(to + done, from + done);
    }
    return done;
}

__attribute__((target("avx"))) static size_t
copy_pieces_from(unsigned char *to, const unsigned char *from, size_t size)
{
    size_t done = 0;
    for (; size - done >= PIECE_BYTES; done += PIECE_BYTES) {
        read_lines(from + done);
        copy_piece(to + done, from + done);
    }
    return done;
}

static bool has_vectors(void)
{
    return __builtin_cpu_supports("avx");
}

#else

/* Elsewhere not measured: memcpy() does all. */
static size_t copy_pieces_to(unsigned char *to, const unsigned char *from, size_t size)
{
    (void)to, (void)from, (void)size;
    return 0;
}

static size_t copy_pieces_from(unsigned char *to, const unsigned char *from, size_t size)
{
    (void)to, (void)from, (void)size;
    return 0;
}

static bool has_vectors(void)
{
    return false;
}

#endif

void weir__copy_large_to(unsigned char *to, const unsigned char *from, size_t size)
{
    size_t done = has_vectors() ? copy_pieces_to(to, from, size) : 0;
    memcpy(to + done, from + done, size - done);
}

void weir__copy_large_from(unsigned char *to, const unsigned char *from, size_t size)
{
    size_t done = has_vectors() ? copy_pieces_from(to, from, size) : 0;
    memcpy(to + done, from + done, size - done);
}
