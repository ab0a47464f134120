/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_HEADER_H
#define WEIR_SEGMENT_HEADER_H

/*
 * The header in front of every named segment.
 *
 *   field         | written by                      | a reader is safe because
 *   --------------+---------------------------------+------------------------------
 *   all of it     | the creator, before publication | it copies once and checks the copy
 *
 * HD1: magic, then layout, then fingerprint are as this build writes them.
 * HD2: no incompatible feature bit is set that this build does not know.
 * HD3: header_size_bytes is WEIR__HEADER_BYTES, and the rest of the words is 0.
 * HD4: segsz is the kernel's shm_segsz, creator the kernel's cuid, nonce the record's.
 *
 * After the check nothing is read from it again: sizes are the kernel's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One page everywhere that weir runs by default; the user's bytes begin behind it. */
#define WEIR__HEADER_BYTES 4096

#define WEIR__HEADER_MAGIC UINT64_C(0x676573726965771a) /* 0x1a "weirseg", little endian */
#define WEIR__HEADER_LAYOUT 1

/* Feature bits, as ext4 has them. None yet. */
#define WEIR__INCOMPAT_KNOWN 0u  /* others: refuse */
#define WEIR__RO_COMPAT_KNOWN 0u /* others: open read-only at most */
/* compat: others may be ignored */

struct weir__header_shm {
    uint64_t magic;
    uint32_t layout;
    uint32_t header_size_bytes;
    uint32_t incompat;
    uint32_t ro_compat;
    uint32_t compat;
    uint32_t fingerprint; /* word and cache line size; the magic shows the byte order */
    uint64_t segsz;
    uint64_t nonce;
    uint32_t creator; /* effective uid */
    uint32_t reserved[15];
};

/* What the header must agree with. */
struct weir__header_expected {
    uint64_t segsz;
    uint64_t nonce;
    uint32_t creator;
    bool read_only;
};

/* Fills in the header of a segment that nobody else can see yet. */
void weir__header_write(void *memory, uint64_t segsz, uint64_t nonce, uint32_t creator);

/*
 * Checks HD1 to HD4 on a private copy. memory holds at least WEIR__HEADER_BYTES.
 * -EPROTO (no magic: not weir's), -EPROTONOSUPPORT (another layout, feature or
 * build), -EUCLEAN (contradicts itself or the kernel); what: the object's name.
 */
int weir__header_check(const void *memory, const struct weir__header_expected *expected,
                       const char *what);

/* What a creator that died in the middle may have left in front of its segment. */
enum weir__header_trace {
    WEIR__HEADER_ZERO,    /* nothing yet */
    WEIR__HEADER_NONCE,   /* the header with this nonce: nobody else's */
    WEIR__HEADER_FOREIGN, /* something else */
    WEIR__HEADER_ABSENT,  /* a page that is not there, and kills who touches it: a huge one */
};
enum weir__header_trace weir__header_trace(const void *memory, uint64_t nonce);

#endif
