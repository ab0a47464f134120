/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_RANDOM_H
#define WEIR_BASE_RANDOM_H

#include <stdint.h>

/*
 * A random number that is not 0, from the kernel; safe after fork, because
 * nothing is kept between calls.
 */
uint64_t weir__random_nonzero(void);

#endif
