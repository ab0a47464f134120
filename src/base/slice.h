/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_SLICE_H
#define WEIR_BASE_SLICE_H

/* The two times that all waits share. */

#include <stdint.h>

/* Nobody sleeps longer without a look: who is to wake us may die before it does. */
#define WEIR__SLICE_NS INT64_C(200000000)

/* How long is looked before a sleep, where nobody says otherwise: somewhat less than a sleep costs. */
#define WEIR__SPIN_NS INT64_C(20000)

#endif
