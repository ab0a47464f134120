/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FUZZ_LIES_H
#define WEIR_FUZZ_LIES_H

#include <stddef.h>
#include <stdint.h>

/*
 * The steps that write (input.h): step points to four bytes, left_bytes are there. Returns how
 * many belong to the step.
 */
size_t lies_tell(const uint8_t *step, size_t left_bytes);

#endif
