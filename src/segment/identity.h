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

uint64_t weir__identity_pack(const struct weir__beacon *beacon);
struct weir__beacon weir__identity_unpack(uint64_t identity);

#endif
