/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_ALLOC_H
#define WEIR_PROOF_ALLOC_H

/* Pool and arena: what is swept, and the places that own what was given. All of it is one space. */

#include <stdbool.h>
#include <stdint.h>

#include "verb.h"

#define BLOCKS 5
#define BLOCK_BYTES 64
#define OWN_PLACES 4

/* What the library asks for is compared with these. */
#define POOL_BYTES 1024
#define ARENA_BYTES 1024

struct alloc_state {
    _Alignas(64) unsigned char pool[POOL_BYTES];
    _Alignas(64) unsigned char arena[ARENA_BYTES];
    uint64_t place[PEERS][OWN_PLACES];
    uint64_t arena_place[PEERS][OWN_PLACES];
    uint64_t arena_bytes[PEERS][OWN_PLACES]; /* asked for */
    uint64_t spare[BLOCKS + 1];
    bool is_reset; /* the arena, since the last count; or that was begun */
};

#endif
