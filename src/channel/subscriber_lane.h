/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SUBSCRIBER_LANE_H
#define WEIR_CHANNEL_SUBSCRIBER_LANE_H

/*
 * One publisher's lane, as who reads it sees it: which headers can be true, where the next one lies, what may be
 * overwritten meanwhile. Of a subscriber's handle nothing is known here; subscriber.h has the
 * invariants (SU1 to SU9).
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/peer.h"

/* Records between two places, and what bounds them. */
struct weir__ring {
    uint64_t least, span; /* a message's header, ranked, is least, or up to span above it */
    unsigned char *bytes, *end;
    uint64_t capacity;
};

/* A header as a number that its flags decide first, then its length, then its type. */
static inline uint64_t weir__ranked(uint64_t header)
{
    return header >> 16 | header << 48;
}

/* Of a lane in a channel whose messages have type_bytes; 0: any size. */
static inline struct weir__ring weir__ring_of(unsigned char *lane, uint64_t capacity,
                                              uint64_t type_bytes)
{
    uint64_t most_bytes = type_bytes ? type_bytes : weir__record_max(capacity);
    uint64_t least = weir__ranked(weir__record_header(type_bytes, 0, 0));
    return (struct weir__ring){
        .least = least,
        .span = weir__ranked(weir__record_header(most_bytes, UINT16_MAX, 0)) - least,
        .bytes = lane + WEIR__LANE_RING_OFFSET,
        .end = lane + WEIR__LANE_RING_OFFSET + capacity,
        .capacity = capacity,
    };
}

/* As they stand in a message: one word, to be stored at once. */
struct weir__kind {
    uint32_t type, session;
};
static_assert(offsetof(struct weir_message, session) - offsetof(struct weir_message, type) ==
                  offsetof(struct weir__kind, session),
              "a kind is stored over both");

/* A publisher's ring, as long as something of it is held or to come. */
struct weir__lane {
    /* Used for each message. */
    _Alignas(WEIR__LINE_BYTES) uint64_t head; /* the next record */
    uint64_t usual_stop;  /* before it a usual record may begin that needs no look around */
    uintptr_t lap;        /* where position 0 would lie, if the lap of stop were the first */
    uint64_t usual;       /* the header of the turn's first message */
    uint64_t usual_bytes; /* of a record that has it */
    uint64_t count;       /* the next message's sequence */
    struct weir__entry_shm *entry; /* its own in our page */
    struct weir__kind usual_kind;  /* of such a message */
    struct weir__waker waker;      /* of the publisher */
    uint32_t number;     /* of the lanes of this subscriber: no two alike, as sessions may be */
    uint32_t slots_seen; /* the publishers' changes, when their slots were looked at for it */
    const weir__atomic_u32 *slots; /* of the publishers: their changes */
    uint64_t stop;                 /* one that ends there at most is read without a look around */
    struct weir__ring ring;

    uint64_t turn_end;        /* from there on it is another lane's turn */
    uint64_t waited;          /* the count when it was waited for last */
    uint64_t missed;          /* that the next message is to tell of */
    uint32_t announced;       /* messages of it that are held and do not keep the cursor back */
    uint64_t announced_bytes; /* their records */
    uint64_t changes;         /* of announced, so far */
    uint64_t walked;          /* bytes that one look, or a begin, has gone over so far */
    bool had_more;            /* the last burst ended before it found nothing */
    bool is_left;             /* no longer among the lanes */
    bool is_validated;        /* what we read may be overwritten meanwhile */
    bool is_false;            /* its records cannot be true: refused, once nothing of it is held */
    bool is_counted;          /* it was attached: the statistics' bases know of it */
    uint64_t counted_messages, counted_bytes; /* of one that was left: in the bases */
    int64_t asked_ns;        /* when the kernel was asked for its publisher, which is adrift */
    struct weir__lane *next; /* of those that were left */
    const struct weir__lane_shm *shm;
    struct weir__peer peer;
};

static inline uint64_t weir__load_header_at(const unsigned char *at)
{
    /* Acquire [lane.commit]: the payload, and the next header, after it. Pairs with
     * commit_header() and weir__publisher_commit_batch(). */
    return atomic_load_explicit((const weir__atomic_u64 *)(const void *)at, memory_order_acquire);
}

static inline uint64_t weir__load_header(const struct weir__ring *ring, uint64_t position)
{
    return weir__load_header_at(weir__ring_at(ring->bytes, ring->capacity, position));
}

/* Whether a header is one of a message, wherever it stands: 0 is none. */
static inline bool weir__is_header(const struct weir__ring *ring, uint64_t header)
{
    return weir__ranked(header) - ring->least <= ring->span;
}

/* Whether it can be true at this place, too. */
static inline bool weir__is_message(const struct weir__ring *ring, const unsigned char *at,
                                    uint64_t header)
{
    return weir__is_header(ring, header) &&
           weir__record_bytes(weir__record_length(header)) <= (uint64_t)(ring->end - at);
}

/* Whether it is one of a pad; no other record may look like one. */
static inline bool weir__is_pad(const struct weir__ring *ring, uint64_t header)
{
    uint64_t bytes = weir__pad_bytes(header);
    return (header & WEIR__RECORD_FLAGS) == (WEIR__RECORD_MARK | WEIR__RECORD_PAD) &&
           bytes < ring->capacity && (bytes & 7) == 0;
}

/*
 * The header at position, or behind the pads that begin there: then position is moved over them.
 * What is in the ring at once is less than all of it: a pad that would lead further is none, and
 * returned.
 */
uint64_t weir__pass_pads(const struct weir__ring *ring, uint64_t *position);

/*
 * Whether something stands at position that is worth a look, for who asks again and again before the
 * next look at the clock: a few pads are passed, and more of them are what the look passes itself.
 */
bool weir__is_worth_a_look(const struct weir__ring *ring, uint64_t position);

/*
 * Whether a look, or a begin, that was overtaken may go on elsewhere: it goes over one ring's length
 * in all, so that a publisher that lies, and has it begin anew each time, does not keep the call from
 * its deadline.
 */
static inline bool weir__lane_may_walk(const struct weir__lane *lane)
{
    return lane->walked < lane->ring.capacity;
}

/* The message at the lane's head, which is, or is to be, at data; missed: before it. */
static inline void weir__lane_describe(const struct weir__lane *lane, uint64_t header,
                                       const void *data, uint64_t missed,
                                       struct weir_message *message)
{
    uint64_t head = lane->head, count = lane->count;
    uint32_t number = lane->number;
    *message = (struct weir_message){ .data = data,
                                      .size_bytes = weir__record_length(header),
                                      .sequence = count,
                                      .type = weir__record_type(header),
                                      .session = number,
                                      .position = head,
                                      .missed = missed };
}

static inline void weir__lane_step_over(struct weir__lane *lane, uint64_t header)
{
    lane->head += weir__record_bytes(weir__record_length(header));
    lane->count++;
}

/*
 * From head on, where the message with this header lies, no look around is needed before the turn or the
 * lap is over.
 */
static inline void weir__lane_set_stop(struct weir__lane *lane, uint64_t header)
{
    uint64_t start = lane->head & ~(lane->ring.capacity - 1);
    uint64_t end = start + lane->ring.capacity;
    lane->lap = (uintptr_t)lane->ring.bytes - start;
    lane->stop = lane->turn_end < end ? lane->turn_end : end;
    lane->usual = header;
    lane->usual_kind = (struct weir__kind){ weir__record_type(header), lane->number };
    lane->usual_bytes = weir__record_bytes(weir__record_length(header));
    bool is_none = lane->stop < lane->usual_bytes || lane->waker.must_fence;
    lane->usual_stop = is_none ? 0 : lane->stop - lane->usual_bytes + 1;
}

/* Whether the publishers' slots have changed since they were looked at for this lane. */
static inline bool weir__lane_has_others(const struct weir__lane *lane)
{
    /* Relaxed [slot.changes]: a reason for a look around, which loads it once more. Pairs with
     * weir__slots_changed(). */
    return atomic_load_explicit(lane->slots, memory_order_relaxed) != lane->slots_seen;
}

/* The next message is looked for all around. */
static inline void weir__lane_end_turn(struct weir__lane *lane)
{
    lane->stop = lane->usual_stop = 0;
}

/*
 * Then who has come is not to wait for the end of a turn, which may be thousands of messages away, and
 * each of them a long time: the next message is looked for all around.
 */
static inline void weir__lane_mind_others(struct weir__lane *lane)
{
    if (__builtin_expect(!weir__lane_has_others(lane), 1))
        return;
    lane->slots_seen = atomic_load_explicit(lane->slots, memory_order_relaxed);
    weir__lane_end_turn(lane);
}

/* Whether bytes that were read at this place of a lane, and behind it, can be believed. */
static inline bool weir__is_intact(const struct weir__lane_shm *shm, uint64_t capacity,
                                   uint64_t position)
{
    /* Acquire fence [lane.reserved]: what was read comes before the load. If any of it was written
     * behind a fence of the publisher, the load sees what that fence stands behind. Pairs with
     * weir__publisher_reserve() and weir__publisher_look(). */
    atomic_thread_fence(memory_order_acquire);
    uint64_t reserved = atomic_load_explicit(&shm->reserved, memory_order_relaxed);
    return reserved <= position || reserved - position <= capacity;
}

static inline bool weir__lane_is_intact(const struct weir__lane *lane, uint64_t position)
{
    return weir__is_intact(lane->shm, lane->ring.capacity, position);
}

/* How often one may be overtaken in a row, before another look, or another lane's turn. */
#define WEIR__OVERTAKEN_MAX 100

/* How much of one lane is read, while there are others, before it is the next one's turn: what they wait for. */
#define WEIR__TURN_BYTES 8192

enum weir__found {
    WEIR__FOUND_NOTHING,
    WEIR__FOUND_MESSAGE,
    WEIR__FOUND_NONSENSE,
    WEIR__FOUND_OVERRUN,
};

/* What stands at head of a lane that is validated, behind a pad perhaps: head is moved over that. */
enum weir__found weir__lane_look(struct weir__lane *lane, uint64_t *header);

/*
 * After an overrun on at a mark in the newer half of what is kept, so that it is not overtaken at
 * once. How many messages lie between is known, as both places are counted; each has 8 bytes at
 * least. -EAGAIN: look again. -EUCLEAN, without a sentence.
 */
int weir__lane_go_on(struct weir__lane *lane, uint64_t *missed, uint64_t *bytes);

/*
 * Copies the message at head, which has this header and fits, out of a lane that is validated.
 * false: it was overwritten meanwhile.
 */
bool weir__lane_copy(const struct weir__lane *lane, uint64_t header, void *data);

/*
 * What peer shows, as a lane that is validated, of a channel whose messages have type_bytes; nothing of it
 * is read yet. -EPROTO, -ENOMEM.
 */
int weir__lane_make(struct weir__lane **made, const struct weir__peer *peer, uint64_t type_bytes,
                    uint32_t number);

/* Where a subscriber goes on, or begins. */
enum weir__pick {
    WEIR__PICK_OLDEST, /* the oldest place that is kept */
    WEIR__PICK_NEWEST,
    WEIR__PICK_BEHIND, /* the oldest of the newer half of the ring, else the newest */
    WEIR__PICK_BEFORE, /* the newest with at most value messages before it, else the oldest */
};

struct weir__mark {
    uint64_t position, count;
};

static inline void weir__lane_go_to(struct weir__lane *lane, const struct weir__mark *mark)
{
    lane->head = mark->position;
    lane->count = mark->count;
}

/*
 * 0; -EAGAIN: it was overwritten meanwhile, and mark is the newest that was read whole, or what it
 * was if that is newer; -EUCLEAN, without a sentence: that cannot be.
 */
int weir__lane_pick(const struct weir__lane *lane, enum weir__pick pick, uint64_t value,
                    struct weir__mark *mark);

#endif
