/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_MAGIC_H
#define WEIR_BASE_MAGIC_H

/*
 * A magic is a name with a digit behind it, which is the layout's number: "wdir4". It is the
 * first word of what it names, so that who finds another digit knows that it is a weir's all
 * the same, and can say what helps.
 */

#include <stdbool.h>
#include <stdint.h>

/* How far left the digit of a magic stands: in its highest byte that is not 0. */
static inline unsigned weir__magic_digit_shift(uint64_t magic)
{
    return 56U - (unsigned)__builtin_clzll(magic) / 8 * 8;
}

/* The layout's number of ours, a magic. */
static inline int weir__magic_layout(uint64_t ours)
{
    return (int)(ours >> weir__magic_digit_shift(ours)) - '0';
}

/* Whether found has ours' name, and another digit: of a weir that is older, or newer. */
static inline bool weir__magic_is_other_layout(uint64_t found, uint64_t ours)
{
    unsigned shift = weir__magic_digit_shift(ours);
    uint64_t digit = found >> shift;
    return ((found ^ ours) & ((UINT64_C(1) << shift) - 1)) == 0 && digit >= '0' && digit <= '9' &&
           found != ours;
}

#endif
