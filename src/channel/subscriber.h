/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SUBSCRIBER_H
#define WEIR_CHANNEL_SUBSCRIBER_H

/*
 * A subscriber's handle. docs/lane.md, "Receiving"; layout.h says who writes what.
 *
 * S1: head, and each hold of the lane that the cursor is of, lie in
 *     [cursor, cursor + capacity].
 * S2: what was loaded from the lane was loaded once, and checked before it was used.
 * S3: a message that is held keeps its lane attached, also after the publisher is gone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel/descriptor.h"
#include "channel/side.h"

/* A publisher's ring, as long as something of it is held or to come. */
struct weir__lane {
    unsigned char *ring, *end;
    uint64_t capacity;
    uint64_t most_header; /* no message's is above it: that of the longest, all other bits set */
    uint64_t owner;
    uint32_t number; /* of the lanes of this subscriber: no two alike, as sessions may be */
    const struct weir__lane_shm *shm;
    struct weir_segment *segment;
};

struct weir__hold {
    struct weir__lane *lane;
    uint64_t position;
};

struct weir_subscriber {
    /* Used for each message. */
    struct weir__lane *lane; /* of the present publisher, or NULL */
    uint64_t head;           /* the next record */
    uint64_t count;          /* the next message's sequence */
    struct weir__page_shm *page;
    uint32_t taken, dropped;             /* holds so far: what lies between is the queue */
    uint32_t number;                     /* of the lane that the cursor is of; 0: of none */
    struct weir__descriptor *descriptor; /* for poll, or NULL */
    struct weir__side side;

    uint32_t lanes;                          /* attached so far */
    uint64_t finished, finished_page;        /* whose lane was left, as the slot had it */
    uint64_t waited;                         /* the count when it waited last */
    unsigned turns;                          /* that it looks away then, in a stream */
    struct weir__hold holds[WEIR_HOLDS_MAX]; /* a queue: each at its number, round and round */
};

static inline unsigned weir__hold_count(const struct weir_subscriber *subscriber)
{
    return subscriber->taken - subscriber->dropped;
}

/* index: 0 is the oldest. */

static inline struct weir__hold *weir__hold_at(struct weir_subscriber *subscriber, unsigned index)
{
    return &subscriber->holds[(subscriber->dropped + index) % WEIR_HOLDS_MAX];
}

static inline uint64_t weir__load_header(const struct weir__lane *lane, uint64_t position)
{
    /* Acquire [lane.commit]: the payload, and the next header, after it. Pairs with
     * put_header() and weir__publisher_commit_batch(). */
    return atomic_load_explicit(weir__header_at(lane->ring, lane->capacity, position),
                                memory_order_acquire);
}

/* Whether a header is one of a message, and can be true at this place. */
static inline bool weir__is_message(const struct weir__lane *lane, const unsigned char *at,
                                    uint64_t header)
{
    return (header & WEIR__RECORD_FLAGS) == WEIR__RECORD_MARK && header <= lane->most_header &&
           weir__record_bytes(weir__record_length(header)) <= (uint64_t)(lane->end - at);
}

/* Whether it is one of a pad: that fills the ring to its end; no other record may look like one. */
bool weir__is_pad(const struct weir__lane *lane, uint64_t position, uint64_t header);

/* The message at head, which is, or is to be, at data. */
static inline void weir__subscriber_describe(const struct weir_subscriber *subscriber,
                                             uint64_t header, const void *data,
                                             struct weir_message *message)
{
    uint64_t head = subscriber->head, count = subscriber->count;
    uint32_t number = subscriber->number;
    *message = (struct weir_message){ .data = data,
                                      .size_bytes = weir__record_length(header),
                                      .sequence = count,
                                      .type = weir__record_type(header),
                                      .session = number,
                                      .position = head };
}

static inline void weir__subscriber_step_over(struct weir_subscriber *subscriber, uint64_t header)
{
    subscriber->head += weir__record_bytes(weir__record_length(header));
    subscriber->count++;
}

/*
 * 0 and the header of the message at head, checked, after a brief spin and a wait if need be; or
 * why there is none by the deadline: the descriptor is to be updated then.
 */
int weir__subscriber_find(struct weir_subscriber *subscriber, uint64_t *header,
                          int64_t deadline_ns);

/* What is not held, to the publisher; the descriptor is as it should be afterwards. */
void weir__subscriber_give_back(struct weir_subscriber *subscriber);

/*
 * The next message's header; 0: none yet. Steps over a pad. -EUCLEAN: the lane was left.
 */
int weir__subscriber_next(struct weir_subscriber *subscriber, uint64_t *header);

/* Stores what the publisher may overwrite: all before the oldest hold of its lane, or before head. */
void weir__subscriber_store_cursor(struct weir_subscriber *subscriber);

/* A hold goes, and with the last one of a lane that was left the lane. */
void weir__subscriber_drop_hold(struct weir_subscriber *subscriber, unsigned index);

/* The lane of whoever publishes now; 0 also when nobody does. */
int weir__subscriber_find_lane(struct weir_subscriber *subscriber);

/* The lane is of no use any more; what is held of it stays until it is released. */
void weir__subscriber_leave_lane(struct weir_subscriber *subscriber);

/* The lane is left in order: what is released of it, now and later, stays said. */
void weir__subscriber_finish_lane(struct weir_subscriber *subscriber);

/*
 * Whether a moment may be waited for the record at head, before a wait is begun in earnest. In a
 * stream it is looked away first.
 */
bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns);

/* 0 and the header of the next message; or why there is none by the deadline. */
int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header,
                          int64_t deadline_ns);

/*
 * The descriptor, which exists, until the update: its thread looks at nothing. It must not
 * look where something is given back, since the publisher may write there at once. Mostly it
 * is idle already: what is given back now has ended its wait.
 */
void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber);

/* The descriptor, which exists, as it should be after a call. */
void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber);

#endif
