/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_DISTANCE_H
#define WEIR_TOOL_DISTANCE_H

#include <stddef.h>

/* How many signs have to be added, taken or changed to make a of b; of b, 32 signs at most count. */
unsigned distance(const char *a, size_t a_length, const char *b);

#endif
