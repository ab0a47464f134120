/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_SLICE_H
#define WEIR_BASE_SLICE_H

/* The two times that all waits share. */

#include <stdbool.h>
#include <stdint.h>

/* Nobody sleeps longer without a look: who is to wake us may die before it does. */
#define WEIR__SLICE_NS INT64_C(200000000)

/*
 * Whether a slice has gone since then; also where the clock went back, as it does for who enters another time
 * namespace: else nothing would be asked until it is there again.
 */
static inline bool weir__slice_is_over(int64_t since_ns, int64_t now_ns)
{
    return now_ns - since_ns >= WEIR__SLICE_NS || now_ns < since_ns;
}

/* How long is looked before a sleep, where nobody says otherwise: somewhat less than a sleep costs. */
#define WEIR__SPIN_NS INT64_C(20000)

#endif
