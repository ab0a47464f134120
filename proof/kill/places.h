/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_PLACES_H
#define WEIR_PROOF_PLACES_H

/* Read-write lock, permits, barrier: what is swept, and what is known of it beside it. */

#include <stdatomic.h>
#include <stdint.h>

#include "verb.h"

/* Of each; so that a place which a dead one keeps is missed. */
#define PLACES 3

/* What the library asks for is compared with this. */
#define PLACES_BYTES 512

struct rwlock_state {
    _Alignas(64) unsigned char memory[PLACES_BYTES];
    uint64_t first, second;     /* by the writer: alike when it unlocks */
    atomic_int writer;          /* a pid; 0 before the unlock */
    atomic_uint reading[PEERS]; /* read locks that it has: after the lock, before the unlock */
};

struct permits_state {
    _Alignas(64) unsigned char memory[PLACES_BYTES];
    atomic_int holder[PLACES]; /* a pid; 0 before the release */
};

/* What a peer is: certainly no party, perhaps one (within join or leave), certainly one. */
enum membership { OUTSIDE, MAYBE, PARTY };

struct barrier_state {
    _Alignas(64) unsigned char memory[PLACES_BYTES];
    atomic_int membership[PEERS]; /* enum membership */
    atomic_uint came[PEERS];      /* the last round that it has come to, or was about to */
    unsigned ended;               /* rounds, as the sweep counts them */
    enum membership victim_was;   /* when it was killed */
};

#endif
