/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_STREAM_PARTS_H
#define WEIR_TOOL_STREAM_PARTS_H

/* What stands in a stream's messages. */

#include "stream.h"

/*
 * As long as the receiver is as fast as the sender, one chunk is on its way, and lies in the
 * cache when it is written. Chunks so large that a system call and a wake-up for each cost
 * nothing against the copy; then spinning while one is read only takes from the other side where
 * the two share a core. Measured with bench/transfer; the largest chunk that such a ring takes.
 */
#define STREAM_RING_BYTES (UINT64_C(4) << 20)
#define STREAM_CHUNK_BYTES ((size_t)(STREAM_RING_BYTES / 4 - 8))
#define STREAM_SPIN_NS 1000

/* Types of messages; a channel that carries others is no stream. */
enum stream_type {
    STREAM_HELLO = 0x5701, /* struct stream_hello */
    STREAM_DATA,           /* bytes of the stream */
    STREAM_END,            /* uint64_t: how many they were */
    STREAM_FAIL,           /* uint32_t: an errno, or enum stream_failure. Either way */
    STREAM_READY,          /* the way back: nothing */
    STREAM_DONE,           /* the way back: nothing */
};

#define STREAM_MAGIC UINT64_C(0x326d7274737277) /* "wrstrm2": with the version */

struct stream_hello {
    uint64_t magic;
    uint64_t expected;
    uint64_t back; /* the number of the way back: 32 bits */
    struct stream_file file;
};

/* Whether a result means to call again: interrupted, but not stopped. */
bool stream_again(const struct stream *stream, int result);

#endif
