/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_WORDS_H
#define WEIR_PROOF_WORDS_H

/* What a message says: whose it is and which one, and words that follow from these. */

#include <stdbool.h>
#include <stdint.h>

#define MOST_BYTES 1536
#define LEAST_BYTES 8

/* Sizes that wrap the ring at another place each time. */
static inline unsigned words_size(unsigned number)
{
    return LEAST_BYTES + number * 7919 % 1200 / 8 * 8;
}

static inline uint64_t words_at(unsigned stream, unsigned number, unsigned index)
{
    uint64_t word = (uint64_t)stream << 32 | number;
    return index == 0 ? word : (word + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void words_fill(uint64_t *words, unsigned size_bytes, unsigned stream,
                              unsigned number)
{
    for (unsigned i = 0; i < size_bytes / 8; i++)
        words[i] = words_at(stream, number, i);
}

#endif
