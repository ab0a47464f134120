/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_PUBLISHER_H
#define WEIR_CHANNEL_PUBLISHER_H

/*
 * A publisher's handle. docs/lane.md, "Publishing"; layout.h says who writes what.
 *
 * PU1: all before tail is committed, and the header at tail is 0; but while a batch holds
 *     a header back, all before batch_start is, and the header there is 0. From pad_from on there
 *     is to be a pad up to tail, once the message at tail is committed: until then nothing is
 *     written there, and what others are told of goes as far as pad_from.
 * PU2: a look is made only when nothing is held back, and no pad is open.
 * PU3: tail + 8 <= limit once a record is reserved: its next header is ours to zero; and
 *     <= reserved, which stands in the lane, behind a full fence. A loan keeps its room when limit is forgotten.
 * PU4: limit <= the cursor + capacity of each reliable subscriber that is attached and not
 *     evicted; with one that is listed but not attached, limit is at most what is written, or it is evicted; with
 *     none, all from the boundary on is in the ring.
 * PU5: stop is 0, or at most limit - 8, reserved - 8, the end of the ring that tail is in, and 8
 *     bytes in front of the first wall behind tail.
 * PU6: readers[i] is woken by waker i: the first stands in the handle, the others in wakers.
 * PU7: reserved <= limit as it was at some look, so <= the cursor + capacity of each that counted.
 * PU8: with type_bytes, small_end, plain_end and quick_stop are 0: each message that is not a usual one
 *     takes the way on which its size is compared with that of the type, and the others do not pay for it.
 * PU9: from one look to the next nothing is written between the begin and the end of a wall; there
 *     is one for each hold that the cursor of a reader that counts has passed. They are sorted by
 *     their begins, all of which lie in one lap.
 * PU10: where stop was set, and from there on as long as a record ends at stop at most, tail lies at
 *     lap + tail.
 * PU11: quick_stop is 0, or at most stop, and 8 less than the end of the ring that tail is in; with
 *     is_special, or type_bytes, it is 0. So a record that ends there at most is written as it is, and
 *     its next header lies behind it.
 * PU12: a loan is out if loan_end lies behind tail, which is where its record goes. A commit moves tail
 *     at least as far, or sets it to 0. While it is as long as a usual message it began before usual_stop.
 * PU13: usual.bytes is 0, or from usual_from to tail lie records of so many bytes alone, each of them a
 *     message that count does not have. While it is not 0, is_special is not set. With 0, no message is as
 *     long as usual.length, and usual_stop is 0. Which begins before usual_stop ends at what quick_stop would be
 *     without type_bytes, at most.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/copy.h"
#include "channel/descriptor.h"
#include "channel/refusal.h"
#include "channel/side.h"

/* From one position to another nothing is written. */
struct weir__wall {
    uint64_t begin, end;
};

/* What a child of fork finds zero. */
struct weir__publisher_live {
    uint64_t usual_stop; /* a usual one that begins before it needs nothing but to be written */
    uint64_t loan_end;   /* the end of the payload that the loan may have */
    uint64_t quick_stop; /* so does any one that ends there at most */
    uint64_t stop;       /* a record that ends here at most needs no look, no pad; 0: ended */
};

/*
 * What messages are like that are written, and counted, with the fewest stores: as the first small one was
 * since stop was set, until one is not.
 */
struct weir__usual {
    uint64_t length, header, bytes; /* of the message, and of its record */
    uint32_t type;
};

struct weir_publisher {
    /* Used for each message. */
    struct weir__publisher_live *live;
    uint64_t tail; /* where the next record goes */
    uintptr_t lap; /* where position 0 would lie, if the lap that stop was set in were the first */
    struct weir__usual usual;
    uint64_t ahead_at;               /* once tail is there, further lines are taken */
    uint32_t more;                   /* readers beside the first */
    uint32_t changes_seen;           /* of the subscribers' slots, at the last look */
    const weir__atomic_u32 *changes; /* as they are now */
    struct weir__waker waker;        /* of the first reader; of nobody */
    struct weir__waker *wakers;      /* of the others */
    unsigned char *ring;
    uint64_t capacity;
    uint64_t count;      /* messages before usual_from, or tail */
    uint64_t ahead_end;  /* the lines before it were */
    uint64_t usual_from; /* from there on they are usual ones */
    uint64_t small_end;  /* fewer bytes are copied by weir__copy_small(), if there is room */
    uint64_t plain_end;  /* fewer bytes can be sent, if there is room */
    bool may_be_usual;   /* what the next one is like, the usual ones are */
    bool is_special;     /* has_batch, must_fence, or a pad is open */
    bool has_batch;
    bool
        must_fence; /* one of those whom we wake is not reached by membarrier, or not we by theirs */
    struct weir__side side;

    uint64_t most_bytes; /* of a message */
    uint64_t type_bytes; /* of each message; 0: any */
    bool has_ended;
    bool is_closing;                   /* nothing is overwritten any more */
    uint64_t limit;                    /* below it we may write without a look */
    uint64_t batch_header;             /* of the record at batch_start, held back; 0: none */
    uint64_t batch_start, batch_count; /* and the messages before it */
    uint64_t pad_start, pad_end;       /* of the last pads, in a row */
    uint64_t
        pad_from; /* an open pad begins there, and ends at tail; WEIR__NOWHERE: there is none */

    uint64_t reserved;    /* as the lane has it */
    uint64_t mark_at;     /* the position of the last mark */
    uint64_t mark_before; /* of the one before it */
    uint32_t mark_last;   /* where the last one stands */
    uint64_t lag_bytes;   /* who is so far behind when the room is spent is evicted; 0: nobody */

    struct weir__lane_shm *lane;
    struct weir__reader *readers; /* subscribers, met or found */
    /* Where the last message ended when one was forgotten that had released all, or had not. */
    uint64_t taken_end, untaken_end;
    uint32_t reader_count;
    uint32_t readers_max;     /* as many as are listed; and as many again, adrift */
    bool has_adrift;          /* one of them is */
    bool is_crowded;          /* somebody came for whom there is no room: no credit */
    uint32_t attached_count;  /* of them, at the last look */
    uint32_t counted;         /* of them, those that set the limit */
    uint32_t out_count;       /* likewise: those whom nobody waits for */
    uint64_t *known;          /* by slot: its owner that is among the readers; 0: none, or adrift */
    struct weir__wall *walls; /* room for all that can be announced */
    uint32_t wall_count;
    uint64_t need_bytes;         /* of the record that waits for room; 0: none does */
    uint64_t wanted;             /* for the wait: limit must reach it */
    uint32_t wanted_subscribers; /* likewise */

    uint64_t many_at;    /* equals tail while a loan of many is out */
    uint64_t many_count; /* its places, as long as the loan in each */

    enum weir__refused refused;          /* by the last call that came to a look */
    struct weir__refusal *refusal;       /* room for all that a wait looks at */
    struct weir__descriptor *descriptor; /* for poll, or NULL */
};

/* The part of the ring that is worth a moment's wait, or a look for more: one in so many. */
#define WEIR__ROOM_SHARE 8

/* No tail: those are multiples of 8. */
#define WEIR__NOWHERE UINT64_C(1)

/* Messages before tail. */
static inline uint64_t weir__publisher_count(const struct weir_publisher *publisher)
{
    uint64_t bytes = publisher->usual.bytes;
    return publisher->count + (bytes == 0 ? 0 : (publisher->tail - publisher->usual_from) / bytes);
}

/* No message is a usual one, and each is counted. */
static inline void weir__publisher_end_usual(struct weir_publisher *publisher)
{
    publisher->count = weir__publisher_count(publisher);
    publisher->usual = (struct weir__usual){ .length = UINT64_MAX };
    publisher->live->usual_stop = 0;
    publisher->may_be_usual = false;
}

/* A record that ends there at most is written as it is, if nothing is special. */
static inline uint64_t weir__publisher_plain_stop(const struct weir_publisher *publisher)
{
    uint64_t lap = publisher->tail & ~(publisher->capacity - 1);
    uint64_t most = lap + publisher->capacity - WEIR__RECORD_HEADER_BYTES;
    uint64_t stop = publisher->live->stop;
    return stop < most ? stop : most;
}

/* After a change of stop, or of what it is to be known for. */
static inline void weir__publisher_settle_quick(struct weir_publisher *publisher)
{
    bool is_none = publisher->is_special || publisher->type_bytes != 0;
    weir__publisher_end_usual(publisher);
    publisher->may_be_usual = !publisher->is_special;
    publisher->live->quick_stop = is_none ? 0 : weir__publisher_plain_stop(publisher);
}

/* The next record is preceded by a look, or a stride, whatever is known. */
static inline void weir__publisher_forget_stop(struct weir_publisher *publisher)
{
    publisher->live->stop = publisher->live->quick_stop = publisher->live->usual_stop = 0;
}

/* After a change of any. */
static inline void weir__publisher_settle_special(struct weir_publisher *publisher)
{
    publisher->is_special =
        publisher->has_batch || publisher->must_fence || publisher->pad_from != WEIR__NOWHERE;
    weir__publisher_settle_quick(publisher);
}

/*
 * The lines that are written next are taken from whoever has them, many at once: once tail is at ahead_at. By stores: a
 * line that is asked for ahead is fetched to be written only if it is not here as well, left from the last lap. Below
 * stop they are ours to write, and nobody reads what lies behind tail. No loan is out.
 */
static inline void weir__publisher_take_ahead(struct weir_publisher *publisher, uint64_t tail,
                                              uint64_t bytes)
{
    uint64_t stop = weir__publisher_plain_stop(publisher), end = tail + bytes;
    uint64_t line =
        (tail / WEIR__AHEAD_LINE + 1) * WEIR__AHEAD_LINE; /* behind the header at tail */
    if (line < publisher->ahead_end)
        line = publisher->ahead_end;
    for (; line < (end < stop ? end : stop); line += WEIR__AHEAD_LINE)
        /* Relaxed: nobody reads it before a header in front of it is committed, and its own is written. */
        atomic_store_explicit((weir__atomic_u64 *)(publisher->lap + line), 0, memory_order_relaxed);
    publisher->ahead_end = line;
    publisher->ahead_at = tail + WEIR__AHEAD_BYTES;
}

/* How far all is written. */
static inline uint64_t weir__publisher_written(const struct weir_publisher *publisher)
{
    return publisher->pad_from == WEIR__NOWHERE ? publisher->tail : publisher->pad_from;
}

/* The next record looks, and meets who has come, or parts. A pad in front of a loan is not room: who comes begins at it. */
static inline void weir__publisher_forget_room(struct weir_publisher *publisher)
{
    publisher->limit = weir__publisher_written(publisher);
    weir__publisher_forget_stop(publisher);
}

/* In a child of fork there is none. */
static inline bool weir__publisher_has_loan(const struct weir_publisher *publisher)
{
    return publisher->live->loan_end > publisher->tail;
}

/* The end of a payload of so many bytes at tail. */
static inline uint64_t weir__publisher_payload_end(const struct weir_publisher *publisher,
                                                   uint64_t length)
{
    return publisher->tail + WEIR__RECORD_HEADER_BYTES + length;
}

/* The end of the last message: a pad behind it is nothing to be taken. */
static inline uint64_t weir__publisher_last_end(const struct weir_publisher *publisher)
{
    uint64_t end = weir__publisher_written(publisher);
    return publisher->pad_end == end ? publisher->pad_start : end;
}

/* -EMSGSIZE, with a sentence: the channel's messages are of another size. */
int weir__publisher_refuse_size(const struct weir_publisher *publisher, uint64_t length)
    __attribute__((cold));

static inline bool weir__publisher_is_of_type(const struct weir_publisher *publisher,
                                              uint64_t length)
{
    return publisher->type_bytes == 0 || length == publisher->type_bytes;
}

/* The most that the loan which is out may have. */
static inline uint64_t weir__publisher_loan_bytes(const struct weir_publisher *publisher)
{
    return publisher->live->loan_end - weir__publisher_payload_end(publisher, 0);
}

/*
 * What is in the way of a message of this length at tail is put out of it: then it ends before
 * stop, and in front of it a pad may be open, which its commit writes, and an abandoned loan takes
 * back. Or the reason why not; nothing was changed then, but what a batch held back is visible.
 */
int weir__publisher_make_ready(struct weir_publisher *publisher, uint64_t length,
                               int64_t deadline_ns);

/* Writes the pad that is open, if one is: a message follows at once. */
void weir__publisher_put_pad(struct weir_publisher *publisher);

/*
 * How far beyond tail is reserved at once: an eighth of the ring. Or two records of so many bytes,
 * where that is just too little for both, as for 64 KiB, each with a header, in 1 MiB: else each
 * of them would be reserved by itself.
 */
static inline uint64_t weir__publisher_stride(const struct weir_publisher *publisher,
                                              uint64_t record_bytes)
{
    uint64_t eighth = publisher->capacity / WEIR__STRIDE_SHARE;
    uint64_t both = 2 * record_bytes;
    bool is_just_more = both > eighth && both - eighth <= eighth / 16;
    return is_just_more ? both + WEIR__RECORD_HEADER_BYTES : eighth;
}

/*
 * Room that is known becomes ours to overwrite: to wanted, which is limit at most, and to the end
 * of a stride of such records. false: somebody has come since the last look, and a look must come
 * first.
 */
bool weir__publisher_reserve(struct weir_publisher *publisher, uint64_t wanted,
                             uint64_t record_bytes);

/*
 * The same in two halves, of a look, with its full fence between. announce() stores, before the fence,
 * the highest position that the look may reserve. settle() lowers that, after it, to what there was
 * room for. least: the part that is certain to stay. That alone makes a mark: else a full ring would
 * have one before each record, and all of them near the tail.
 */
void weir__publisher_announce(struct weir_publisher *publisher, uint64_t reserved, uint64_t least);
void weir__publisher_settle(struct weir_publisher *publisher, uint64_t reserved);

/* Walls of a reader whose cursor was read: added, not sorted yet. */
void weir__publisher_note_walls(struct weir_publisher *publisher, struct weir__reader *reader);
void weir__publisher_sort_walls(struct weir_publisher *publisher);

/*
 * The first place from tail on where a record of so many bytes crosses neither the ring's end nor a
 * wall, and its next header lies in none: it may lie behind limit. What lies before it is to be a
 * pad.
 */
uint64_t weir__publisher_find_place(const struct weir_publisher *publisher, uint64_t bytes);

/* Where the first wall behind tail begins; UINT64_MAX: there is none. */
uint64_t weir__publisher_next_wall(const struct weir_publisher *publisher);

/* How far records may go without a look, a stride or a pad. */
void weir__publisher_set_stop(struct weir_publisher *publisher);

/* Where the record that waits for room, if any, ends with its next header: wanted. */
void weir__publisher_find_wanted(struct weir_publisher *publisher);

/* Where a joiner may begin: here. A pair, readable in one piece (see read_boundary()). */
void weir__publisher_store_boundary(struct weir_publisher *publisher);

/*
 * Who is there, and how far we may write: limit, reserved as well, and what the readers were like. No
 * batch holds anything back, and no pad is open. 0; else -EUCLEAN and those of a meeting.
 */
int weir__publisher_look(struct weir_publisher *publisher);

/* What a wait looks at, now; of which refusal. */
struct weir__refusal *weir__publisher_take_stock(struct weir_publisher *publisher,
                                                 enum weir__refused refused);

/* After a look that was refused so: 0, look again; or why not. */
int weir__publisher_wait_for(struct weir_publisher *publisher, enum weir__refused refused,
                             int64_t deadline_ns);

/* Makes what a batch holds back visible. */
void weir__publisher_commit_batch(struct weir_publisher *publisher);

/*
 * Looks who is there, how far we may write and what is in the way, until there is a place for a
 * record of so many bytes, and it is reserved: it ends, with its next header, at wanted. Nothing
 * may be held back. 0; else -EAGAIN, -ETIMEDOUT, -EINTR, -EUCLEAN and those of a meeting.
 */
int weir__publisher_wait_room(struct weir_publisher *publisher, uint64_t bytes,
                              int64_t deadline_ns);

/* Leaves the channel, at once, and frees the handle: also of one that was not opened altogether. */
void weir__publisher_free(struct weir_publisher *publisher);

/* Whether one that is waited for has not attached our lane yet. */
bool weir__publisher_has_joiner(const struct weir_publisher *publisher);

/* What is shown to others of who waits for an end of this. */
enum weir__waits_for weir__publisher_waits_for(const struct weir_publisher *publisher,
                                               enum weir__refused refused);

/* After a call that was refused so, with -EAGAIN or -ETIMEDOUT: why, in words. */
void weir__publisher_tell(const struct weir_publisher *publisher, enum weir__refused refused,
                          int result);

/*
 * What a call that came to a look ends with, and so what the descriptor stands for from now on.
 * Returns result.
 */
int weir__publisher_note(struct weir_publisher *publisher, enum weir__refused refused, int result);

/* Whether what was refused last would not wait now. Nothing was: false. Changes nothing. */
bool weir__publisher_is_ready(struct weir_publisher *publisher);

/* Asks the kernel for the subscribers, and puts the dead out. Whether the next call has news to find by that. */
bool weir__publisher_ask(struct weir_publisher *publisher);

/* Wakes the subscribers, and whoever has come since the last look. */
void weir__publisher_wake(struct weir_publisher *publisher);

/*
 * Who is there: forgets who has gone, finds who has come since the last time, and meets who has
 * shown its page. 0; else the reason why one of them was not met.
 */
int weir__publisher_update_readers(struct weir_publisher *publisher);

/* Whether a reliable reader has released all that was sent, although it may have left since. */
bool weir__publisher_reader_has_released(const struct weir_publisher *publisher,
                                         const struct weir__reader *reader);

/* Whether a subscriber has come since the last look. Reads slots alone. */
bool weir__publisher_has_new(const struct weir_publisher *publisher);

/* What waking costs and whom it wakes follows from who is there. */
void weir__publisher_settle_wakers(struct weir_publisher *publisher);

#endif
