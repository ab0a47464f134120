/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_LAYOUT_H
#define WEIR_LATEST_LAYOUT_H

/*
 * What stands in shared memory. docs/latest.md has the protocol.
 *
 * The values, written by the writer alone once they are made ready:
 *
 *   word       | written            | how
 *   -----------+--------------------+--------------------------------------------------
 *   geometry   | once, by anyone    | compare-and-swap 0 -> packed (weir_latest_init())
 *   magic      | once, by anyone    | release store [latest.ready], after the geometry
 *   owner.word | by who is to write | compare-and-swap: 0 or a dead owner -> me; mine -> 0
 *   owner.name | at the claim       | as in sync/owner.h
 *   index      | each value         | release store [latest.value], after all of it
 *   head.seq   | each value, twice  | 0: release [latest.reserve]; its index, before that of all
 *   head.      | each value         | relaxed, between the two, as the value itself
 *   size_bytes |                    |
 *   hot_seq,   | each value of 104  | 0: relaxed, then a release fence; its word again: release,
 *   more_seq   | bytes at most      | both [latest.hot]; its bytes between the two
 *
 *   index 0                   no value yet
 *   index version << 8 | b    the latest value lies complete in buffer b
 *
 *   seq 0                     reserved: whatever lies there is nobody's
 *   seq v << 8 | b            value v lies here complete; it was, is or never will be the latest
 *
 *   hot_seq 0, or of another
 *   version than index        nothing to be had here: the buffer has it
 *   hot_seq v << 8 | size     the first 48 bytes of value v stand behind it; index has named v
 *   more_seq v << 8 | size    the bytes of value v from the 49th on stand behind it; likewise
 *
 * The readers' part, written by several:
 *
 *   word       | written            | how
 *   -----------+--------------------+--------------------------------------------------
 *   geometry,  | once, by anyone    | as above
 *   magic      |                    |
 *   watch      | by who waits       | or: WATCHING, and NEEDS_FENCE. The writer: exchange -> 0
 *   hold[].word| by who holds       | compare-and-swap 0 or a dead one's -> mine; mine -> 0
 *              |                    | [latest.free]. Release: mine -> mine
 *   hold[].name| at the claim       | as in sync/owner.h
 *
 *   hold 0                    free
 *   hold identity | b + 1     that process uses buffer b, if head b had the right seq afterwards
 *   hold of a dead one        free for whoever swaps exactly this value
 *
 * Invariants:
 * L1: head[index & 255].seq == index, whenever index is not 0.
 * L2: a buffer is written only while its seq is 0, and after a look, behind the seq and a fence, at
 *     all hold words has not found it there.
 * L3: versions rise; none is published twice.
 * L7: a hot_seq or more_seq that is not 0 has the bytes of its value behind it.
 * L4 to L6, of who writes, what is held and who waits, are not of words alone: docs/latest.md has them.
 */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"
#include "sync/owner.h"

#define WEIR__LATEST_KIND "latest"

#define WEIR__LATEST_LINE_BYTES 128
#define WEIR__LATEST_PAGE_BYTES 4096

#define WEIR__LATEST_VALUES_MAGIC UINT64_C(0x3174736574616c77)  /* "wlatest1" */
#define WEIR__LATEST_READERS_MAGIC UINT64_C(0x3173646c6f686c77) /* "wlholds1" */

/*
 * The hot cell: a second copy of a small value, where readers find it without a way over the
 * index: in the index's own cache line, and the next one. Each line has its own seq, so that each
 * is checked by itself, and one that goes back to the writer does not spoil what was read of the other.
 */
#define WEIR__LATEST_HOT_FIRST 48
#define WEIR__LATEST_HOT_MORE 56
#define WEIR__LATEST_HOT_MAX (WEIR__LATEST_HOT_FIRST + WEIR__LATEST_HOT_MORE)

/* The first words of either part. */
struct weir__latest_ready_shm {
    weir__atomic_u64 magic;
    weir__atomic_u64 geometry;
};

struct weir__latest_values_shm {
    struct weir__latest_ready_shm ready;
    _Alignas(WEIR__LATEST_LINE_BYTES) struct weir__owned owner; /* identity and session */
    _Alignas(WEIR__LATEST_LINE_BYTES) union {
        weir__atomic_u64 index;
        weir__atomic_u32 index_low; /* changes with each value: slept on, never stored */
    };
    weir__atomic_u64 hot_seq;
    unsigned char hot[WEIR__LATEST_HOT_FIRST];
    weir__atomic_u64 more_seq;
    unsigned char more[WEIR__LATEST_HOT_MORE];
};

struct weir__latest_readers_shm {
    struct weir__latest_ready_shm ready;
    _Alignas(WEIR__LATEST_LINE_BYTES) weir__atomic_u32 watch;
    struct weir__owned hold[];
};

#define WEIR__LATEST_WATCHING UINT32_C(1)
#define WEIR__LATEST_NEEDS_FENCE UINT32_C(2) /* of somebody who cannot call membarrier */

/* Where the first buffer begins, behind the words above. */
#define WEIR__LATEST_BUFFERS_OFFSET 512

static_assert(sizeof(struct weir__latest_values_shm) <= WEIR__LATEST_BUFFERS_OFFSET, "in front");
static_assert(offsetof(struct weir__latest_values_shm, more_seq) % 64 == 0, "a line each");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "index_low is the low half");

/*
 * A buffer: the head, then the value. Values of 48 bytes at most share their head's cache line;
 * larger ones begin at a line of their own, so that copies of them cross none in each step.
 */
struct weir__latest_head_shm {
    weir__atomic_u64 seq;
    weir__atomic_u64 size_bytes;
};

#define WEIR__LATEST_HEAD_BYTES 16
#define WEIR__LATEST_HEAD_BYTES_LARGE 64
#define WEIR__LATEST_BESIDE_MAX 48

static_assert(sizeof(struct weir__latest_head_shm) == WEIR__LATEST_HEAD_BYTES, "head");

#define WEIR__LATEST_BUFFER_BITS 8
#define WEIR__LATEST_BUFFER_MASK UINT64_C(0xff)
/* A writer does not begin above it: half of all versions are left to count up. */
#define WEIR__LATEST_VERSION_MAX (UINT64_C(1) << 55)

static inline uint64_t weir__latest_index(uint64_t version, uint64_t buffer)
{
    return version << WEIR__LATEST_BUFFER_BITS | buffer;
}

/* What hot_seq and more_seq say of a value. */
static inline uint64_t weir__latest_hot_word(uint64_t version, uint64_t size_bytes)
{
    return version << WEIR__LATEST_BUFFER_BITS | size_bytes;
}

static_assert(WEIR__LATEST_HOT_MAX <= WEIR__LATEST_BUFFER_MASK, "a size fits beside a version");

static inline uint64_t weir__latest_version_of(uint64_t index)
{
    return index >> WEIR__LATEST_BUFFER_BITS;
}

#endif
