/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_LOSSY_H
#define WEIR_TESTS_LOSSY_H

/*
 * Books of one publisher's messages for a subscriber that may miss some: each message that comes
 * is whole, and says exactly how many lie between it and the one before.
 */

#include "crowd.h"

struct books {
    struct weir_subscriber *subscriber;
    uint64_t next;             /* the number that comes if none is missed */
    uint64_t received, missed; /* so far */
    uint64_t evictions;        /* -EOVERFLOW */
    unsigned way;              /* of the calls, the next one */
    bool is_in_place;          /* only calls that take in place, and check */
};

/* A subscriber of CHANNEL, opened so. */
struct weir_subscriber *lossy_open(enum weir_delivery delivery, enum weir_start start,
                                   uint64_t back);
struct weir_publisher *lossy_publisher(uint64_t ring_bytes, uint64_t lag_max_bytes);

/*
 * One call, of each kind in its turn, which reads some messages and notes them. Its result: 0, or
 * the reason why there was none.
 */
int lossy_read(struct books *books, int64_t deadline_ns);

/* Reads all that there is; what ends it: -EAGAIN, -ENODATA, -EPIPE. */
int lossy_drain(struct books *books);

/* One who has claimed the second subscribers' slot, alive, and goes no further; and its end. */
void lossy_claim(bool is_lossy);
void lossy_unclaim(void);

#endif
