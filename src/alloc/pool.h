/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ALLOC_POOL_H
#define WEIR_ALLOC_POOL_H

/*
 * The pool: a head, a table of links, the blocks.
 *
 *   field     | who writes it       | under what
 *   ----------+---------------------+--------------------------------------------------------
 *   geometry  | any initialiser     | compare-and-swap: 0 -> magic and bytes; 0 -> magic and count
 *   intent    | see alloc/intent.h  | block: a block's number
 *   free      | who holds the mutex | the first free block's number + 1; 0: none
 *   fresh     | who holds the mutex | blocks from this number on were never given
 *   link[i]   | who holds the mutex | of a free block: the next free one's number + 1; GIVEN; 0
 */

#include <stdint.h>

#include <weir/pool.h>

#include "alloc/intent.h"
#include "base/atomics.h"

#define WEIR__POOL_GIVEN UINT32_MAX

struct weir__pool_shm {
    weir__atomic_u64 geometry_bytes, geometry_count;
    struct weir__intent intent;
    weir__atomic_u64 free, fresh;
    weir__atomic_u32 link[] __attribute__((aligned(64)));
};

#endif
