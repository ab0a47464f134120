/* SPDX-License-Identifier: MIT */
#include "base/copy_large.h"

#ifdef __x86_64__
#include <cpuid.h>

#include "base/atomics.h"

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

/* gcc does so by itself from -O2 on: what it leaves in the upper halves makes other code slower. */
#define END_VECTORS() __builtin_ia32_vzeroupper()

/* Both return how many bytes are copied: all whole pieces. */
__attribute__((target("avx"))) static size_t copy_pieces_to(unsigned char *to,
                                                            const unsigned char *from, size_t size)
{
    size_t done = 0;
    for (; size - done >= PIECE_BYTES; done += PIECE_BYTES) {
        take_lines(to + done);
        copy_piece(to + done, from + done);
    }
    END_VECTORS();
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
    END_VECTORS();
    return done;
}

enum { NOT_ASKED, NO, YES };

/* What the processor has, and the system keeps. Not by the compiler's builtin, which is of its own library. */
static int ask_for_vectors(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
        return NO;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const uint32_t both = 6; /* the halves of each register */
    return (low & both) == both ? YES : NO;
}

/* Asked once: it takes a microsecond in a virtual machine. */
static bool has_vectors(void)
{
    static weir__atomic_int answer;
    /* Relaxed: whoever asks has the same answer. */
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == NOT_ASKED) {
        known = ask_for_vectors();
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == YES;
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

static bool do_overlap(const unsigned char *to, const unsigned char *from, size_t size)
{
    return (uintptr_t)to - (uintptr_t)from < size || (uintptr_t)from - (uintptr_t)to < size;
}

void weir__copy_large_to(unsigned char *to, const unsigned char *from, size_t size)
{
    /* A loan that was abandoned, and is sent: no zeros, please. */
    if (do_overlap(to, from, size)) {
        memmove(to, from, size);
        return;
    }
    size_t done = has_vectors() ? copy_pieces_to(to, from, size) : 0;
    memcpy(to + done, from + done, size - done);
}

void weir__copy_large_from(unsigned char *to, const unsigned char *from, size_t size)
{
    size_t done = has_vectors() ? copy_pieces_from(to, from, size) : 0;
    memcpy(to + done, from + done, size - done);
}
