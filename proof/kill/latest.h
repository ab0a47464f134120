/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_LATEST_H
#define WEIR_PROOF_LATEST_H

/* The latest value: what is swept, and what is known of it beside it. */

#include <stdatomic.h>
#include <stdint.h>

#include "verb.h"

#define VALUE_WORDS 25
#define VALUE_BUFFERS 5
#define HOLDS 3

/* What the library asks for is compared with this. */
#define LATEST_BYTES 16384

struct latest_state {
    _Alignas(4096) unsigned char memory[LATEST_BYTES];
    atomic_ullong begun;     /* the highest version that may be there: a call was entered */
    atomic_ullong committed; /* and that is there for certain: it has returned */
    atomic_ullong seen;      /* and that anybody has read */
    atomic_uint holding[PEERS];
};

#endif
