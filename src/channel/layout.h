/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_LAYOUT_H
#define WEIR_CHANNEL_LAYOUT_H

/*
 * What stands in shared memory. docs/lane.md has the protocol; the tables here say
 * for each word who writes it.
 *
 * Words that one side writes often and words that the other reads often stand on
 * different pairs of lines: 128 bytes, which processors fetch at once. Where a name or a comment
 * below says line, it is such a pair; but a cache's lines are of 64.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomics.h"

#define WEIR__LINE_BYTES 128

/*
 * The directory: the user's bytes of a named segment of kind "channel". Its head is written by
 * who makes it, before anybody sees it; behind the head stand the publishers' slots, then the
 * subscribers'.
 *
 *   word      | written by | how
 *   ----------+------------+---------------------------------------------------
 *   magic,    | its maker  | plain, before it is published; never change. Read once,
 *   counts,   |            | checked, and kept in private
 *   delivery, |            |
 *   type_...  |            |
 *   changes   | anyone     | atomic add after a change of a slot of that role; only ever a
 *             |            | reason to look at the slots
 *   owner     | anyone     | compare-and-swap: 0 or a dead owner -> me; mine -> 0;
 *             |            | a dead one's -> 0
 *   page      | the owner  | release store [slot.page]: a segment's id, and whose it is
 *   doorbell  | anyone     | atomic add; only ever a reason to look
 *
 *   owner 0            free
 *   owner alive        its place; page with its key: its memory
 *   owner dead         free for whoever swaps exactly this value
 *   owner odd          of a subscriber: it is lossy, and no publisher ever waits for it
 */
#define WEIR__SESSION_LOSSY UINT64_C(1)

/* Of a subscriber: the lowest bit of its session, so that it is known with the claim. */
static inline bool weir__owner_is_lossy(uint64_t owner)
{
    return owner & WEIR__SESSION_LOSSY;
}

struct weir__slot_shm {
    _Alignas(32) weir__atomic_u64 owner; /* identity and session */
    weir__atomic_u64 page;               /* weir__page_word() */
    weir__atomic_u32 doorbell;
};

#define WEIR__DIRECTORY_KIND "channel"
/* Its digit goes up with that of a lane or a page, too: members of another layout are refused at the door. */
#define WEIR__DIRECTORY_MAGIC UINT64_C(0x3472696477) /* "wdir4" */
#define WEIR__TYPE_NAME_BYTES 64                     /* its NUL included */

/*
 * What an owner shows: the segment of this id, and beside it the owner's key, 32 bits that are mixed
 * from its identity and session. It differs for sure between two sessions of one identity, and
 * between identities that differ in the id of the beacon alone; else but for one in 2^32.
 */
static inline uint64_t weir__page_word(uint64_t owner, int id)
{
    return ((uint64_t)(uint32_t)id + 1) << 32 | owner * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

enum weir__role { WEIR__PUBLISHER = 0, WEIR__SUBSCRIBER = 1, WEIR__ROLES = 2 };

struct weir__directory_shm {
    uint64_t magic;
    uint32_t counts[WEIR__ROLES];          /* slots of each role */
    uint32_t delivery;                     /* 0: reliable, 1: lossy */
    uint32_t type_bytes;                   /* of each message; 0: any */
    char type_name[WEIR__TYPE_NAME_BYTES]; /* "": the messages have no type; NULs behind it */
    struct {
        _Alignas(WEIR__LINE_BYTES) weir__atomic_u32 changes;
    } roles[WEIR__ROLES];
    _Alignas(WEIR__LINE_BYTES) struct weir__slot_shm slots[]; /* publishers, then subscribers */
};

static inline uint64_t weir__directory_bytes(const uint32_t counts[WEIR__ROLES])
{
    return sizeof(struct weir__directory_shm) +
           ((uint64_t)counts[0] + counts[1]) * sizeof(struct weir__slot_shm);
}

/* The first words of a lane and of a page: what a segment is, and whose. */
struct weir__member_shm {
    uint64_t magic;
    uint64_t owner;               /* as in the slot */
    weir__atomic_u32 needs_fence; /* cannot call membarrier: who wakes this one must fence */
};

/*
 * What a member counts, in its own memory, on a line that no peer reads: whoever inspects the
 * channel does. Each word is written by its owner alone, relaxed, and carries nothing [stats.count];
 * all are of rare things, so that a message costs nothing for them.
 *
 *   word      | counts
 *   ----------+--------------------------------------------------------------------
 *   waits     | waits in a call, spent spinning or asleep
 *   sleeps    | of them, those that slept in the kernel, once for each slice
 *   wakes     | doorbells of others rung: a system call each
 *   looks     | publisher: who is there, and how far it may write; subscriber: round all lanes
 *   reaped    | dead owners put out of their slots, also by the descriptor's thread: atomic add
 *   refusals  | publisher: no room by the deadline; subscriber: lanes refused, or left as false
 *   waits_for | enum weir__waits_for, while a call waits; with WEIR__WAITS_OUTSIDE, after one that was
 *             | refused to who has a descriptor
 *   asleep    | 1 while it sleeps in the kernel
 *   armed     | 1 while its descriptor waits to become readable; under the descriptor's lock
 */
struct weir__stats_shm {
    weir__atomic_u64 waits;
    weir__atomic_u64 sleeps;
    weir__atomic_u64 wakes;
    weir__atomic_u64 looks;
    weir__atomic_u64 reaped;
    weir__atomic_u64 refusals;
    weir__atomic_u32 waits_for;
    weir__atomic_u32 asleep;
    weir__atomic_u32 armed;
};

enum weir__waits_for {
    WEIR__WAITS_FOR_NOTHING = 0,
    WEIR__WAITS_FOR_ROOM,
    WEIR__WAITS_FOR_SUBSCRIBER,
    WEIR__WAITS_FOR_TAKEN,
    WEIR__WAITS_FOR_MESSAGE,
    WEIR__WAITS_FOR_PUBLISHER,
    WEIR__WAITS_FOR_ATTACHED,
};

/* With one of these: it was refused, and no call waits; true while the descriptor is armed. */
#define WEIR__WAITS_OUTSIDE 0x100u

/* Messages and bytes are not counted here: what is committed says them. */
struct weir__publisher_stats_shm {
    struct weir__stats_shm common;
    weir__atomic_u64 evictions; /* subscribers put out for their lag */
};

/*
 * What a subscriber has released in all is, of messages, messages_base - missed + the sum of
 * `released` of the entries that have a lane, modulo 2^64; of bytes, bytes_base + the sum of
 * their cursors. The bases change when a lane is attached or left; version is odd meanwhile
 * [stats.version].
 */
struct weir__subscriber_stats_shm {
    struct weir__stats_shm common;
    weir__atomic_u32 version;
    weir__atomic_u64 missed; /* messages that were overwritten before it read them */
    weir__atomic_u64 messages_base;
    weir__atomic_u64 bytes_base;
};

static_assert(sizeof(struct weir__publisher_stats_shm) <= WEIR__LINE_BYTES &&
                  sizeof(struct weir__subscriber_stats_shm) <= WEIR__LINE_BYTES,
              "a line each");

/*
 * The lane: a private segment that the publisher alone writes.
 *
 *   word            | written              | how
 *   ----------------+----------------------+----------------------------------------
 *   member to       | before it is listed  | plain; ordered by [slot.page]
 *   user_namespace  |                      |
 *   boundary...     | at looks             | three release stores [lane.boundary]
 *   ended           | once, at the end     | release [lane.end]
 *   epoch           | before each sleep    | see wait.h
 *   reserved        | a stride, a look     | release, then a full fence, then what it allows
 *                   |                      | [lane.reserved]; lowered only if nothing followed
 *   marks           | a stride, before it  | three release stores [lane.mark]
 *   stats           | when it comes to it  | relaxed, see above
 *   ring: headers   | each message         | 0 relaxed; then release [lane.commit]; behind
 *                   |                      | a batch's first one relaxed
 *   ring: payloads  | each message         | plain, before the commit
 */
#define WEIR__LANE_MAGIC UINT64_C(0x33656e616c77) /* "wlane3" */
#define WEIR__LANE_RING_OFFSET 4096
#define WEIR__MARKS 16       /* kept; a new one takes the place of the oldest, or of the newest */
#define WEIR__STRIDE_SHARE 8 /* of the ring, one in so many is reserved at a time */

/* Where a reader may begin: a position that was committed, and the messages before it. */
struct weir__mark_shm {
    weir__atomic_u64 before; /* the position again: differs while it is being written */
    weir__atomic_u64 count;
    weir__atomic_u64 position;
};

struct weir__lane_shm {
    struct weir__member_shm member;
    uint32_t evicts;           /* 1: what a reliable subscriber has not read may be overwritten */
    uint32_t trust, trust_uid; /* whom this publisher takes as a subscriber: enum weir_trust */
    uint64_t user_namespace;   /* in which it sees uids as they are shown there; 0: not known */
    _Alignas(WEIR__LINE_BYTES) weir__atomic_u64 boundary_before;
    weir__atomic_u64 boundary_count;
    weir__atomic_u64 boundary;
    weir__atomic_u32 ended;
    _Alignas(WEIR__LINE_BYTES) weir__atomic_u32 epoch;
    _Alignas(WEIR__LINE_BYTES) weir__atomic_u64 reserved; /* nothing is written from here on */
    struct weir__mark_shm marks[WEIR__MARKS];
    _Alignas(WEIR__LINE_BYTES) struct weir__publisher_stats_shm stats;
};

static_assert(sizeof(struct weir__lane_shm) <= WEIR__LANE_RING_OFFSET, "before the ring");

/*
 * The page: a private segment that the subscriber alone writes. An entry for each publisher's
 * slot, by its number; behind them, of each likewise, what changes seldom. Four entries share a
 * line: a publisher reads its own once a ring or when it waits, which is too seldom to slow the
 * subscriber down. Among these lines stands that of the epoch: see below.
 *
 *   word    | written              | how
 *   --------+----------------------+------------------------------------------------
 *   member  | before it is listed  | plain; ordered by [slot.page]
 *   left    | once, at the close   | release [page.left]: nothing of it is read any more
 *   epoch   | before each sleep    | see wait.h
 *   stats   | when it comes to it  | relaxed, see above
 *   cursor  | each release         | release [lane.free]; never falls within a lane
 *   released| each release         | relaxed [lane.released], just before the cursor: messages
 *           |                      | given back: all before head, less those that are held
 *   lane    | at the attach        | release [lane.attached]; 0, relaxed, before the cursor
 *           |                      | changes lanes
 *   finished| when a lane is left  | release [lane.finished]; the cursor stays that lane's
 *           |                      | until the next attach
 *   refused | when a lane is none  | release [lane.refused]; 0, and a full fence, before it
 *           | for us               | is attached after all
 *   holds   | what of the lane is  | release [hold.count]: behind its places, before the cursor
 *           | announced changes    | passes them; 0 at the attach
 *   a place | a hold is announced, | release [hold.place]: owner and bytes first, then which;
 *           | or released          | 0 when it is released. What is in it stays in it till then
 *
 * A lane is named by what its publisher's slot shows: an owner is another lane's, too, once the
 * process has joined 8,192 times more.
 *
 *   place: which | owner         | means
 *   -------------+---------------+------------------------------------------------
 *   0            | any           | free
 *   position | 1 | a lane        | the record there, of that one, is held: it is not overwritten,
 *                |               | wherever the cursor is
 */
#define WEIR__PAGE_MAGIC UINT64_C(0x376567617077) /* "wpage7" */

struct weir__entry_shm {
    _Alignas(32) weir__atomic_u64 cursor;
    weir__atomic_u64 lane;     /* as its slot shows it: the lane that is attached */
    weir__atomic_u64 finished; /* likewise: the one that was read to its end */
    weir__atomic_u64 released; /* messages; nobody but who inspects reads it */
};

/* Holds that a subscriber can announce, of all its lanes, and how much of each ring they may take:
 * one part in so many. */
#define WEIR__HOLDS_ANNOUNCED 16
#define WEIR__HOLDS_SHARE 4

struct weir__place_shm {
    _Alignas(32) weir__atomic_u64 which;
    weir__atomic_u64 owner; /* whose lane it is in: what its slot shows */
    weir__atomic_u64 bytes; /* of the record, its header included */
};

static inline bool weir__holds_any(uint64_t holds)
{
    return (holds & 0xff) != 0;
}

#define WEIR__ENTRIES_PER_LINE 4

struct weir__page_line_shm {
    union {
        _Alignas(WEIR__LINE_BYTES) struct weir__entry_shm entries[WEIR__ENTRIES_PER_LINE];
        weir__atomic_u32 epoch;
    };
};

struct weir__page_shm {
    struct weir__member_shm member;
    weir__atomic_u32 left; /* 1: the subscriber has closed it */
    _Alignas(WEIR__LINE_BYTES) struct weir__subscriber_stats_shm stats;
    _Alignas(WEIR__LINE_BYTES) struct weir__place_shm places[WEIR__HOLDS_ANNOUNCED];
    struct weir__page_line_shm lines[]; /* of the entries, and one of the epoch */
};

/* Behind the lines, one for each publishers' slot: what changes seldom. */
struct weir__aside_shm {
    weir__atomic_u64 refused; /* what is shown, and not read, so that it need not wait for us */
    weir__atomic_u64 holds;   /* of the lane, announced: changes so far << 8 | places in use */
};

/*
 * For each message a publisher looks at the epoch of every subscriber. Pages begin at multiples of
 * 4096 bytes: epochs at the same place of each would all fall into one set of the first-level
 * cache, which holds eight lines or so. So subscribers' slots, by their numbers, have it on
 * different lines; of few publishers as well, therefore WEIR__PAGE_LINES_MIN. The entries stand on
 * the others, in the order of their numbers.
 */
#define WEIR__PAGE_LINES_MIN 16

static inline uint32_t weir__page_lines(uint32_t publishers)
{
    uint32_t lines = (publishers + WEIR__ENTRIES_PER_LINE - 1) / WEIR__ENTRIES_PER_LINE + 1;
    return lines < WEIR__PAGE_LINES_MIN ? WEIR__PAGE_LINES_MIN : lines;
}

/*
 * On which line the epoch is. Both numbers are private ones: how many publishers' slots the
 * directory has, as it was checked, and in which of the subscribers' the page was found.
 */
static inline uint32_t weir__page_epoch_line(uint32_t publishers, uint32_t subscriber)
{
    return subscriber % weir__page_lines(publishers);
}

static inline const weir__atomic_u32 *weir__page_epoch(const struct weir__page_shm *page,
                                                       uint32_t epoch_line)
{
    return &page->lines[epoch_line].epoch;
}

static inline const struct weir__entry_shm *weir__page_entry(const struct weir__page_shm *page,
                                                             uint32_t epoch_line, uint32_t number)
{
    uint32_t line = number / WEIR__ENTRIES_PER_LINE;
    return &page->lines[line < epoch_line ? line : line + 1]
                .entries[number % WEIR__ENTRIES_PER_LINE];
}

static inline const struct weir__aside_shm *weir__page_aside(const struct weir__page_shm *page,
                                                             uint32_t publishers, uint32_t number)
{
    const struct weir__page_line_shm *behind = &page->lines[weir__page_lines(publishers)];
    return (const struct weir__aside_shm *)(const void *)behind + number;
}

static inline uint64_t weir__page_bytes(uint32_t publishers)
{
    return sizeof(struct weir__page_shm) +
           (uint64_t)weir__page_lines(publishers) * sizeof(struct weir__page_line_shm) +
           (uint64_t)publishers * sizeof(struct weir__aside_shm);
}

/*
 * A record: one word of header, then the payload, up to a multiple of 8.
 *
 *   length 32 bits | type 16 | flags 16
 *
 * 0 is "not committed yet"; MARK is set in every other.
 */
#define WEIR__RECORD_HEADER_BYTES 8
#define WEIR__RECORD_MARK UINT64_C(1)
#define WEIR__RECORD_PAD UINT64_C(2) /* no message: skip it */
#define WEIR__RECORD_FLAGS UINT64_C(0xffff)

static inline uint64_t weir__record_header(uint64_t length, uint32_t type, uint64_t flags)
{
    return length << 32 | (uint64_t)type << 16 | flags | WEIR__RECORD_MARK;
}

static inline uint32_t weir__record_length(uint64_t header)
{
    return (uint32_t)(header >> 32);
}

static inline uint32_t weir__record_type(uint64_t header)
{
    return (uint32_t)(header >> 16) & 0xffff;
}

/* From a header to the next one. */
static inline uint64_t weir__record_bytes(uint64_t length)
{
    return (length + WEIR__RECORD_HEADER_BYTES + 7) & ~UINT64_C(7);
}

/*
 * A pad, of so many bytes with its header: a multiple of 8, up to all of the ring. It may go round
 * the ring's end, and over what is held. Its type is the upper part of its length.
 */
static inline uint64_t weir__pad_header(uint64_t bytes)
{
    uint64_t length = bytes - WEIR__RECORD_HEADER_BYTES;
    return weir__record_header(length & UINT32_MAX, (uint32_t)(length >> 32), WEIR__RECORD_PAD);
}

static inline uint64_t weir__pad_bytes(uint64_t header)
{
    return ((uint64_t)weir__record_type(header) << 32 | weir__record_length(header)) +
           WEIR__RECORD_HEADER_BYTES;
}

/* The longest payload: a record, and the pad that may stand before it, take half a ring. */
static inline uint64_t weir__record_max(uint64_t capacity)
{
    uint64_t most = capacity / 4 - WEIR__RECORD_HEADER_BYTES;
    return most < UINT32_MAX - 8 ? most : (UINT32_MAX & ~UINT64_C(7)) - 8;
}

static inline unsigned char *weir__ring_at(unsigned char *ring, uint64_t capacity,
                                           uint64_t position)
{
    return ring + (position & (capacity - 1));
}

static inline weir__atomic_u64 *weir__header_at(unsigned char *ring, uint64_t capacity,
                                                uint64_t position)
{
    return (weir__atomic_u64 *)(void *)weir__ring_at(ring, capacity, position);
}

#endif
