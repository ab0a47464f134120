/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_GEOMETRY_H
#define WEIR_SYNC_GEOMETRY_H

/*
 * The first word of an object with a number of places:
 *
 *   bits 63..40  what it is (enum weir__geometry_name)
 *   bits 39..32  its layout
 *   bits 31..0   how many places
 *
 *   from | to             | by
 *   -----+----------------+---------------------------------------------------------------
 *   0    | kind and count | the first of those that call init: one compare-and-swap
 *
 * All else of a fresh object is 0, so this one step makes it: there is no half-made one. A process
 * reads the word once, checks it, and keeps the count in its handle.
 */

#include <stdint.h>

#include "base/atomics.h"

#define WEIR__GEOMETRY_LAYOUT 1
#define WEIR__GEOMETRY_ALIGNMENT 64

enum weir__geometry_name {
    WEIR__GEOMETRY_RWLOCK = 0x77726c,  /* "wrl" */
    WEIR__GEOMETRY_PERMITS = 0x777072, /* "wpr" */
    WEIR__GEOMETRY_BARRIER = 0x776261, /* "wba" */
};

struct weir__geometry {
    enum weir__geometry_name name;
    uint32_t count_max;
    const char *noun;   /* "read-write lock", for sentences */
    const char *places; /* "readers" */
    uint64_t head_bytes;
    uint64_t place_bytes;
};

/* 0: count is out of range. */
uint64_t weir__geometry_bytes(const struct weir__geometry *kind, uint32_t count);

/* Of the public calls of that name. */
int weir__geometry_init(const struct weir__geometry *kind, void *memory, uint64_t bytes,
                        uint32_t count);
int weir__geometry_open(const struct weir__geometry *kind, void *memory, uint64_t bytes,
                        uint32_t *count);

#endif
