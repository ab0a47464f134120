/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SUBSCRIBER_H
#define WEIR_CHANNEL_SUBSCRIBER_H

/*
 * A subscriber's handle. docs/lane.md, "Receiving"; layout.h says who writes what.
 *
 * SU1: head of a lane, and each hold of it that is not announced, lie in [cursor, cursor +
 *     capacity]. That holds while the cursor of its entry is that lane's, and its publisher does not
 *     write anew what was not given back. If it does, they may lie further on, each still in the ring.
 * SU2: what was loaded from a lane was loaded once, and checked before it was used.
 * SU3: a message that is held keeps its lane attached, also after the publisher is gone.
 * SU4: lanes[] are those that were not left; of each slot there is one at most. left are the others,
 *     of each of which something is held.
 * SU5: of a lane that is validated nothing is believed before reserved was loaded behind it; and
 *     stop is 0, so that the fast paths, which do not ask, know nothing of it.
 * SU6: a hold that is announced is named in one place of the page, and stays there until it is
 *     released; announced of a lane are those of its holds.
 * SU7: stop is at most turn_end, and at most the end of the lap for which it and lap were set; head
 *     never falls. So as long as head < stop, it is in that lap, and lies at lap + head.
 * SU8: where live->only is not WEIR__QUEUED, it says what is held: nothing, or one message of the lane
 *     that has the turn; the queue is empty, and there is no descriptor. One is only held so where
 *     to wake its publisher takes no fence.
 * SU9: usual_stop is 0, or stop less the bytes of a usual record, and 1 more: so where head is below it, one that
 *     begins at head ends at stop at most. usual is a header that was checked as a message's of this lane: another one
 *     that is equal to it is as sound, wherever there is room for it. It is 0 where our wakes need a fence.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/away.h"
#include "channel/descriptor.h"
#include "channel/peer.h"
#include "channel/subscriber_lane.h"

struct weir__hold {
    struct weir__lane *lane;
    uint64_t
        position; /* with WEIR__ANNOUNCED, if it is: so it is none that a fast path looks for */
};

/* What a child of fork finds zero. */
struct weir__subscriber_live {
    struct weir__lane *lane; /* whose turn it is, or NULL */
    /* 0: nothing is held. position | WEIR__ONLY: the record there, of that lane, and nothing else.
     * WEIR__QUEUED: the queue says it; or there is a descriptor, which each call has to tell. */
    uint64_t only;
};

#define WEIR__ONLY UINT64_C(1)
#define WEIR__QUEUED UINT64_C(2)

#define WEIR__ANNOUNCED UINT64_C(1)

/* What a place of the page names. */
struct weir__placed {
    struct weir__lane *lane; /* NULL: nothing */
    uint64_t position, bytes;
};

/*
 * What a subscriber knows of a publishers' slot. But for lane it changes only while the
 * descriptor's thread does not look.
 */
struct weir__berth {
    struct weir__lane *lane;           /* that the cursor of the entry is of; NULL: of none */
    bool is_attached;                  /* there is a lane of this slot among the lanes */
    bool is_gone;                      /* of vain: which of the two it is */
    uint64_t finished, finished_shown; /* whose lane was left, as the slot had it */
    uint64_t first; /* what was shown when we opened: of any other we read all, from its begin */
    struct weir__vain vain;   /* whose memory is gone, or whose boundary stands half stored */
    struct weir__vain scarce; /* for whose memory there is no room */
    int64_t false_ns; /* when one was false, or took long; 0: never, see struct weir__rest */
};

/*
 * After a lane that could not be true, and after a long begin, nothing new is attached in slots where there was
 * such a one not long ago, for several times as long as it took: who shows one after the other does not keep us
 * from those who are honest.
 */
struct weir__rest {
    bool is_on;        /* at this look: it is over for all of them at once */
    int64_t attach_ns; /* when what is attached was met */
    int64_t begun_ns, ns;
    unsigned in_row; /* false ones, each less than a slice after the rest for the last one */
    uint32_t first;  /* the slot to be looked at first, so that each has its turn */
};

/* So often it is one at once; then once a slice: who is stopped there may stay so. */
#define WEIR__TORN_TRIES 16

#define WEIR__BEFORE_ALL UINT32_MAX /* one less than the place of the first lane */

struct weir_subscriber {
    struct weir__subscriber_live *live;
    struct weir__descriptor *descriptor; /* for poll, or NULL */
    struct weir__side side;

    struct weir__page_shm *page;
    struct weir__lane **lanes; /* attached, in the order of their turns */
    uint32_t lane_count;
    struct weir__lane *left;    /* of which something is held, but no more is to come */
    uint32_t turn;              /* whose it was last, by its place in lanes; or WEIR__BEFORE_ALL */
    uint32_t changes_seen;      /* of the publishers' slots, when new ones were looked for */
    uint32_t put_outs;          /* of side->put_outs, those after which the lanes were looked at */
    uint32_t numbers;           /* lanes attached so far */
    uint32_t rounds;            /* looks over all lanes */
    struct weir__away away;     /* in a stream, before it waits */
    uint64_t run, runs;         /* of several lanes since then: messages, and of how many lanes */
    bool is_behind;             /* and whether one had all that its turn takes */
    bool is_open;               /* all that were there at the open are attached */
    bool is_scarce;             /* there was no room for one of those that are shown */
    int untold_end;             /* -ENODATA, -EPIPE: the last lane's; no other was attached since */
    uint64_t untold_missed;     /* behind the last messages of lanes that have ended */
    uint64_t missed_at_end;     /* the same, as the last end was told */
    struct weir__berth *berths; /* by slot */
    struct weir__view *view;    /* room for all that a wait looks at */
    struct weir__placed places[WEIR__HOLDS_ANNOUNCED];
    uint32_t hold_first, hold_count;         /* the queue of holds: use weir__hold_at() */
    struct weir__hold holds[WEIR_HOLDS_MAX]; /* round and round */
    struct weir__rest rest;
};

static inline struct weir__berth *weir__lane_berth(struct weir_subscriber *subscriber,
                                                   const struct weir__lane *lane)
{
    return &subscriber->berths[lane->peer.number];
}

static inline bool weir__hold_is_announced(const struct weir__hold *hold)
{
    return hold->position & WEIR__ANNOUNCED;
}

static inline bool weir__hold_is_of(const struct weir__hold *hold,
                                    const struct weir_message *message)
{
    return (hold->position & ~WEIR__ANNOUNCED) == message->position &&
           hold->lane->number == message->session;
}

/* What is held is in the queue, also the only one. Before the turn goes to another lane. */
static inline void weir__holds_settle(struct weir_subscriber *subscriber)
{
    struct weir__subscriber_live *live = subscriber->live;
    if (!(live->only & WEIR__ONLY))
        return;
    subscriber->holds[0] =
        (struct weir__hold){ .lane = live->lane, .position = live->only & ~WEIR__ONLY };
    subscriber->hold_first = 0;
    subscriber->hold_count = 1;
    live->only = WEIR__QUEUED;
}

static inline unsigned weir__hold_count(const struct weir_subscriber *subscriber)
{
    return subscriber->live->only & WEIR__ONLY ? 1 : subscriber->hold_count;
}

/* index: 0 is the oldest. */
static inline struct weir__hold *weir__hold_at(struct weir_subscriber *subscriber, unsigned index)
{
    weir__holds_settle(subscriber);
    return &subscriber->holds[(subscriber->hold_first + index) % WEIR_HOLDS_MAX];
}

static inline void weir__holds_set(struct weir_subscriber *subscriber, unsigned first,
                                   unsigned count)
{
    subscriber->hold_first = first % WEIR_HOLDS_MAX;
    subscriber->hold_count = count;
    subscriber->live->only = count > 0 || subscriber->descriptor ? WEIR__QUEUED : 0;
}

/* So many more, behind the others, which stand there already. */
static inline void weir__holds_add(struct weir_subscriber *subscriber, unsigned count)
{
    weir__holds_settle(subscriber);
    weir__holds_set(subscriber, subscriber->hold_first, subscriber->hold_count + count);
}

/* So many of the oldest ones are gone. */
static inline void weir__holds_drop(struct weir_subscriber *subscriber, unsigned count)
{
    weir__holds_settle(subscriber);
    weir__holds_set(subscriber, subscriber->hold_first + count, subscriber->hold_count - count);
}

/* After the cursor: its publisher is rung, if it sleeps. */
static inline void weir__lane_wake(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    weir__wake(&lane->waker, weir__side_stats(&subscriber->side));
    if (__builtin_expect(lane->waker.must_fence, 0))
        lane->usual_stop = 0;
}

/*
 * The same as weir__lane_next(), of a lane that is validated: after an overrun it goes on at a
 * mark. -EOVERFLOW: we are reliable, and were evicted.
 */
int weir__lane_next_validated(struct weir_subscriber *subscriber, struct weir__lane *lane,
                              uint64_t *header);

/*
 * Holds, or copies, the message at head, which has this header, and those behind it, as far as
 * they are there and can be believed; of a lane that is validated. Returns how many: none if the
 * first of them was overwritten while it was copied.
 */
size_t weir__lane_hold_many(struct weir_subscriber *subscriber, uint64_t header,
                            struct weir_message *messages, size_t count);
size_t weir__lane_copy_many(struct weir_subscriber *subscriber, uint64_t header,
                            unsigned char *data, size_t capacity_bytes,
                            struct weir_message *messages, size_t count);

/* To the publisher of a slot: we read nothing of its lane, so it need not wait for us. */
void weir__subscriber_say_refused(struct weir_subscriber *subscriber, uint32_t number,
                                  uint64_t page);

/* The lane's head and count, where this subscriber is to begin. -EUCLEAN, -EAGAIN: it was left. */
int weir__lane_begin(struct weir_subscriber *subscriber, struct weir__lane *lane);

/* The lane is left: what it says cannot be true. -EUCLEAN. */
int weir__lane_corrupt(struct weir_subscriber *subscriber, struct weir__lane *lane);
/* Likewise, since the header is no message's of this channel, and no pad's. */
int weir__lane_corrupt_header(struct weir_subscriber *subscriber, struct weir__lane *lane,
                              uint64_t header);

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

/* Of a publishers' slot, in our page. */
struct weir__aside_shm *weir__subscriber_aside(struct weir_subscriber *subscriber, uint32_t number);

/* The lane's head and count have gone over messages that were overwritten: the cursor follows. */
void weir__lane_skip(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t missed,
                     uint64_t bytes);

/*
 * The oldest holds of the lane are announced, as many as there are places and room for, and its
 * cursor passes them: those that are far behind head, or all, if nothing else is to be done.
 */
void weir__lane_announce(struct weir_subscriber *subscriber, struct weir__lane *lane, bool is_idle);

/* The same, of each lane, by who has nothing else to do. */
void weir__subscriber_announce(struct weir_subscriber *subscriber);

/* What was announced may be overwritten; the publisher is not woken yet. */
void weir__hold_withdraw(struct weir_subscriber *subscriber, const struct weir__hold *hold);

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

/*
 * Whether a publisher is shown that is new to us, and to be looked at: for which there was no room is
 * not before a slice has gone. Reads slots, berths and the rest alone.
 */
bool weir__subscriber_has_new(const struct weir_subscriber *subscriber);

/* The same, whether there was room or not, and in slots that rest, too. */
bool weir__subscriber_is_shown_new(const struct weir_subscriber *subscriber);

/*
 * Attaches the lanes that are shown and new. 0; else why one of them was refused: each is told once.
 * In an open that is left to the first take: all that are not refused are attached. For which there was
 * no room (-ENOMEM) that is told once as well, and each time that is_idle, since there is nothing else
 * to be told; it is tried again then, and once a slice.
 */
int weir__subscriber_attach_new(struct weir_subscriber *subscriber, bool is_idle);

/*
 * A lane of this slot was false, or it was begun, or tried to be, by going over so many bytes. See struct
 * weir__rest. The descriptor's thread does not look.
 */
void weir__subscriber_rest(struct weir_subscriber *subscriber, uint32_t number, bool is_false,
                           uint64_t walked);

/*
 * Whether a moment may be waited for the record at head, before a wait is begun in earnest: of one lane
 * alone, since another one may have something. In a stream it is looked away first.
 */
bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns);

/* 0 and the header of the next message, whose lane's turn it is; or why there is none by the deadline. */
int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header,
                          int64_t deadline_ns);

/* Messages that are overwritten while they are copied, in a row, before the clock is looked at. */
#define WEIR__ATTEMPTS 100

/* What a copy that was overtaken counts for: as much more as the look before it has gone over. */
static inline unsigned weir__lane_effort(const struct weir__lane *lane)
{
    return 1 + (unsigned)(WEIR__ATTEMPTS * lane->walked / lane->ring.capacity);
}

/*
 * Who is overtaken at each copy is not kept from its deadline: 0; -EAGAIN, -ETIMEDOUT: so many
 * were overwritten in a row, and it has passed.
 */
int weir__subscriber_in_time(unsigned attempts, int64_t deadline_ns);

/*
 * What a call that has no message ends with: the descriptor is as it should be afterwards. At an end
 * that is told, message, unless it is NULL, says what was missed and no message told of. Returns result.
 */
int weir__subscriber_without(struct weir_subscriber *subscriber, struct weir_message *message,
                             int result);

/* The message that was found stays the next one, although it is not read yet. */
void weir__subscriber_keep_turn(struct weir_subscriber *subscriber);

/* Room for what a wait looks at, so that nothing is allocated later. -ENOMEM. */
int weir__subscriber_make_view(struct weir_subscriber *subscriber);

/* What a wait looks at, as it is now. */
struct weir__view *weir__subscriber_take_view(struct weir_subscriber *subscriber);

/* Of a view. Cheap, changes nothing: whether a look may find a message, an end, or another publisher. */
bool weir__view_may_have_message(void *view);

/*
 * Asks the kernel for the publishers, and puts the dead out. true: there was one, or our own place is to
 * be looked after.
 */
bool weir__view_ask(void *view);

/*
 * The next message, of the lane whose turn it is then; header 0: there is none. How long is looked away first,
 * in a stream, is not beyond the call's deadline.
 */
int weir__subscriber_look_around(struct weir_subscriber *subscriber, uint64_t *header,
                                 int64_t deadline_ns);

/* All lanes are empty: are some for good? The end of the last one, alone, is told. */
int weir__subscriber_look_for_ends(struct weir_subscriber *subscriber);

/*
 * Who always finds messages leaves what has ended as well, one lane a round at most: another
 * publisher may stand in its slot by now, and wait for us.
 */
int weir__subscriber_look_for_an_end(struct weir_subscriber *subscriber);

/*
 * The descriptor, which exists, until the update: its thread looks at nothing. It must not
 * look where something is given back, since the publisher may write there at once. Mostly it
 * is idle already: what is given back now has ended its wait.
 */
void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber);

/*
 * Whether a take may find a message, an end, or another publisher to attach: as its descriptor
 * says it. Changes nothing.
 */
bool weir__subscriber_is_ready(struct weir_subscriber *subscriber);

/* Asks the kernel for the publishers, and puts the dead out. Whether the next call has news to find by that. */
bool weir__subscriber_ask(struct weir_subscriber *subscriber);

/* The descriptor, which exists, as it should be after a call that gives this result. */
void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber, int result);

/* The same, if there is one. Returns result. */
static inline int weir__subscriber_told(struct weir_subscriber *subscriber, int result)
{
    if (subscriber->descriptor)
        weir__subscriber_update_descriptor(subscriber, result);
    return result;
}

#endif
