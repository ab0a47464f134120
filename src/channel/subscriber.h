/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SUBSCRIBER_H
#define WEIR_CHANNEL_SUBSCRIBER_H

/*
 * A subscriber's handle. docs/lane.md, "Receiving"; layout.h says who writes what.
 *
 * S1: head of a lane, and each hold of it, lie in [cursor, cursor + capacity], as long as the
 *     cursor of its entry is that lane's.
 * S2: what was loaded from a lane was loaded once, and checked before it was used.
 * S3: a message that is held keeps its lane attached, also after the publisher is gone.
 * S4: lanes[] are those that were not left; of each slot there is one at most.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel/descriptor.h"
#include "channel/peer.h"

/* Records between two places, and what bounds them. */
struct weir__ring {
    unsigned char *bytes, *end;
    uint64_t capacity;
    uint64_t most_header; /* no message's is above it: that of the longest, all other bits set */
};

/* A publisher's ring, as long as something of it is held or to come. */
struct weir__lane {
    /* Used for each message. */
    _Alignas(WEIR__LINE_BYTES) struct weir__ring ring;
    uint64_t head;                  /* the next record */
    uint64_t turn_end;              /* from there on it is another lane's turn */
    uint64_t count;                 /* the next message's sequence */
    struct weir__entry_shm *cursor; /* its entry in our page */
    struct weir__waker waker;       /* of the publisher */
    uint32_t held;                  /* messages of it */
    uint32_t number; /* of the lanes of this subscriber: no two alike, as sessions may be */

    uint64_t waited; /* the count when it was waited for last */
    bool is_left;    /* no longer among the lanes */
    const struct weir__lane_shm *shm;
    struct weir__peer peer;
};

struct weir__hold {
    struct weir__lane *lane;
    uint64_t position;
};

/*
 * What a subscriber knows of a publishers' slot. But for lane it changes only while the
 * descriptor's thread does not look.
 */
struct weir__berth {
    struct weir__lane *lane;          /* that the cursor of the entry is of; NULL: of none */
    bool is_attached;                 /* there is a lane of this slot among the lanes */
    uint64_t finished, finished_page; /* whose lane was left, as the slot had it */
};

struct weir_subscriber {
    /* Used for each message. */
    struct weir__lane *lane;             /* whose turn it is, or NULL */
    uint32_t taken, dropped;             /* holds so far: what lies between is the queue */
    struct weir__descriptor *descriptor; /* for poll, or NULL */
    struct weir__side side;

    struct weir__page_shm *page;
    struct weir__lane **lanes; /* attached, in the order of their turns */
    uint32_t lane_count;
    uint32_t turn;              /* whose it was last, by its place in lanes */
    uint32_t changes_seen;      /* of the publishers' slots, when new ones were looked for */
    uint32_t numbers;           /* lanes attached so far */
    uint32_t rounds;            /* looks over all lanes */
    unsigned turns;             /* that it looks away, in a stream, before it waits */
    int untold_end;             /* -ENODATA, -EPIPE: the last lane's; no other was attached since */
    struct weir__berth *berths; /* by slot */
    struct view *view;          /* room for all that a wait looks at */
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

static inline uint64_t weir__load_header(const struct weir__ring *ring, uint64_t position)
{
    /* Acquire [lane.commit]: the payload, and the next header, after it. Pairs with
     * put_header() and weir__publisher_commit_batch(). */
    return atomic_load_explicit(weir__header_at(ring->bytes, ring->capacity, position),
                                memory_order_acquire);
}

/* Whether a header is one of a message, and can be true at this place. */
static inline bool weir__is_message(const struct weir__ring *ring, const unsigned char *at,
                                    uint64_t header)
{
    return (header & WEIR__RECORD_FLAGS) == WEIR__RECORD_MARK && header <= ring->most_header &&
           weir__record_bytes(weir__record_length(header)) <= (uint64_t)(ring->end - at);
}

/* Whether it is one of a pad: that fills the ring to its end; no other record may look like one. */
bool weir__is_pad(const struct weir__ring *ring, uint64_t position, uint64_t header);

/* The message at the lane's head, which is, or is to be, at data. */
static inline void weir__lane_describe(const struct weir__lane *lane, uint64_t header,
                                       const void *data, struct weir_message *message)
{
    uint64_t head = lane->head, count = lane->count;
    uint32_t number = lane->number;
    *message = (struct weir_message){ .data = data,
                                      .size_bytes = weir__record_length(header),
                                      .sequence = count,
                                      .type = weir__record_type(header),
                                      .session = number,
                                      .position = head };
}

static inline void weir__lane_step_over(struct weir__lane *lane, uint64_t header)
{
    lane->head += weir__record_bytes(weir__record_length(header));
    lane->count++;
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
 * The lane's next message's header; 0: none yet. Steps over a pad, and gives it back.
 * -EUCLEAN: the lane was left.
 */
int weir__lane_next(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t *header);

/* Stores what its publisher may overwrite: all before the oldest hold of the lane, or before head. */
void weir__lane_store_cursor(struct weir_subscriber *subscriber, struct weir__lane *lane);

/* The lane is of no use any more; what is held of it stays until it is released. */
void weir__lane_leave(struct weir_subscriber *subscriber, struct weir__lane *lane);

/* The lane is left in order: what is released of it, now and later, stays said. */
void weir__lane_finish(struct weir_subscriber *subscriber, struct weir__lane *lane);

/* A hold is given back; and with the last one of a lane that was left the lane goes. */
void weir__subscriber_drop_hold(struct weir_subscriber *subscriber, unsigned index);

/*
 * Frees all lanes, with whatever is held of them; nothing more is told to anybody. Also in a child of
 * fork, which has neither page nor rings.
 */
void weir__subscriber_forget(struct weir_subscriber *subscriber);

/* Whether a publisher is shown that is new to us: reads slots and berths alone. */
bool weir__subscriber_has_new(const struct weir_subscriber *subscriber);

/* Attaches the lanes that are shown and new. 0; else why one of them was refused. */
int weir__subscriber_attach_new(struct weir_subscriber *subscriber);

/*
 * Whether a moment may be waited for the record at head, before a wait is begun in earnest. In a
 * stream it is looked away first.
 */
bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns);

/* 0 and the header of the next message, whose lane's turn it is; or why there is none by the deadline. */
int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header,
                          int64_t deadline_ns);

/* Room for what a wait looks at, so that nothing is allocated later. -ENOMEM. */
int weir__subscriber_make_view(struct weir_subscriber *subscriber);

/*
 * The descriptor, which exists, until the update: its thread looks at nothing. It must not
 * look where something is given back, since the publisher may write there at once. Mostly it
 * is idle already: what is given back now has ended its wait.
 */
void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber);

/* The descriptor, which exists, as it should be after a call. */
void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber);

#endif
