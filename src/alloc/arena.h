/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ALLOC_ARENA_H
#define WEIR_ALLOC_ARENA_H

/*
 * The arena: a head, and what it gives behind it.
 *
 *   field     | who writes it       | under what
 *   ----------+---------------------+---------------------------------------------
 *   geometry  | any initialiser     | compare-and-swap: 0 -> magic and size
 *   intent    | see alloc/intent.h  |
 *   before    | who holds the mutex | while act is 0: what used is then
 *   used      | who holds the mutex | bytes given, from the first behind the head
 */

#include <weir/arena.h>

#include "alloc/intent.h"
#include "base/atomics.h"

struct weir__arena_shm {
    weir__atomic_u64 geometry;
    struct weir__intent intent;
    weir__atomic_u64 before; /* what used was before the act */
    weir__atomic_u64 used;
};

_Static_assert(sizeof(struct weir__arena_shm) <= WEIR_ARENA_HEADER_BYTES, "the head");

#endif
