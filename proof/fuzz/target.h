/* SPDX-License-Identifier: MIT */
#ifndef WEIR_FUZZ_TARGET_H
#define WEIR_FUZZ_TARGET_H

/*
 * The target: what an input says is done by lane.c, publisher.c and subscriber.c, and checked by
 * check.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/clock.h>

#include "input.h"
#include "world.h"

#define MOST (WORLD_CAPACITY / 4 - 8)
/* Of a channel with a type that has a size. */
#define TYPE_BYTES 8u

enum { MANY_MAX = 16, HELD_MAX = WEIR_HOLDS_MAX };

/* Of one execution. */
extern struct target {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    bool is_honest;                  /* nothing was falsified in this execution */
    bool is_lossy_channel, is_lossy; /* the channel; the subscriber that is open */
    bool has_evicted;                /* a publisher of it need not wait for the reliable */
    bool may_send_any;               /* no type says a size */
    bool is_late;                    /* a call was */
    bool is_ring_true;               /* no ring was falsified */
    /* What the publisher's handle should know of itself. */
    bool has_loan, has_batch, has_ended;
    struct weir_message held[HELD_MAX];
    unsigned held_count, openings;
    uint64_t sent_count, last_received;
    /* Of the lane that was read last: each message says how many of it were missed before. */
    uint32_t last_session;
    uint64_t next_sequence;
} target;

/* A step's call: of those of a publisher that is open, or of a subscriber. */
void target_publish(unsigned what, const uint8_t *step);
void target_subscribe(unsigned what, const uint8_t *step);

/* A call's result, and that it came in time. allowed: ends with 0. Returns the result. */
int target_expect(const char *call, int result, int64_t before_ns, const int *allowed);
#define EXPECT(call, result, ...)                                                                  \
    target_expect((call), (result), before_ns, (const int[]){ __VA_ARGS__, 0 })

/* The first quarter up to 255 bytes, then around the largest, around a power of two, and any. */
size_t target_size_of(unsigned class_and_number);
int64_t target_deadline_of(unsigned wait);

/* The bytes of the message that is sent next; they are known from then on. */
void target_fill(unsigned char *data, size_t size_bytes, uint32_t type);

/* Whether this publisher, or what it finds said of the channel, may refuse the size. */
bool target_may_be_refused(size_t size_bytes);

/*
 * A message is inside a ring, and readable to its last byte; and it is what was sent, unless it
 * was overwritten while it was held.
 */
void target_check_place(const struct weir_message *message);
void target_check_message(const struct weir_message *message, bool is_new, bool is_held);
void target_check_held(void);

/*
 * A publisher that says that somebody has attached its lane has seen a cursor that can be. One that
 * says that all was taken may have it from a subscriber that has left since.
 */
void target_check_cursor(bool is_taken);

#endif
