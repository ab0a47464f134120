/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_IDENTITY_H
#define WEIR_SEGMENT_IDENTITY_H

#include <weir/identity.h>

/* What the two parts of an identity are, without its session. */
struct weir__beacon {
    int id;
    uint64_t size_bytes; /* 1 to WEIR__BEACON_SIZE_MAX */
};

#define WEIR__BEACON_SIZE_MAX (UINT64_C(1) << 20)

/* In place of a uid, for weir_life(): whoever made it. For a claim without a page yet. */
#define WEIR__UID_ANY UINT32_MAX

/*
 * Where this process's identity stands, once weir_identity() has succeeded: a child
 * of fork reads 0 there, or what it has become itself.
 */
const uint64_t *weir__identity_word(void);

/* The effective uid that this process had then: what others must ask for. */
uint32_t weir__identity_uid(void);

uint64_t weir__identity_pack(const struct weir__beacon *beacon);
struct weir__beacon weir__identity_unpack(uint64_t identity);

#endif
