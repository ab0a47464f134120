/* SPDX-License-Identifier: MIT */
/* Whose turn it is: a look around, at all lanes; and when is looked away from them, in a stream. */
#include "channel/subscriber.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/error.h"

/*
 * Of one lane alone there is nobody to wait but who has just come, who is seen where something is given
 * back: a look around is as seldom for small messages as for large ones, once in so many bytes. While
 * somebody who has come is to be tried again, which only a look does, or something is held, which is to be
 * announced before it is far behind, it is once in so many messages, and in such a part of the ring.
 * Else at a few messages, too, of up to 64 KiB, if a quarter of the ring has room for them: who looks
 * around begins to read later, and the publisher, which writes the next one by then, is the slower for it.
 */
#define TURN_ALONE_MESSAGES 64
#define TURN_ALONE_BYTES 65536
#define TURN_ALONE_SHARE 8
#define TURN_ALONE_LONG 4

static bool is_looked_for(const struct weir_subscriber *subscriber)
{
    return weir__hold_count(subscriber) > 0 || subscriber->is_scarce ||
           subscriber->changes_seen != weir__slots_changes(weir__side_others(&subscriber->side));
}

static inline uint64_t within(uint64_t least, uint64_t value, uint64_t most)
{
    uint64_t bounded = value < most ? value : most;
    return bounded > least ? bounded : least;
}

static uint64_t turn_alone(const struct weir_subscriber *subscriber, const struct weir__lane *lane,
                           uint64_t record_bytes)
{
    uint64_t capacity = lane->ring.capacity, few = TURN_ALONE_LONG * record_bytes;
    uint64_t bytes = within(WEIR__TURN_BYTES, TURN_ALONE_BYTES, capacity / TURN_ALONE_SHARE);
    if (is_looked_for(subscriber))
        return within(WEIR__TURN_BYTES, TURN_ALONE_MESSAGES * record_bytes, bytes);
    uint64_t room = within(0, TURN_ALONE_LONG * TURN_ALONE_BYTES, capacity / 4);
    bool is_room = few <= room + TURN_ALONE_LONG * WEIR__RECORD_HEADER_BYTES;
    return is_room && few > bytes ? few : bytes;
}

/* From the message that has this header on, all of which is in it. */
static uint64_t turn_bytes(const struct weir_subscriber *subscriber, const struct weir__lane *lane,
                           uint64_t header)
{
    uint64_t record_bytes = weir__record_bytes(weir__record_length(header));
    uint64_t bytes =
        subscriber->lane_count > 1 ? WEIR__TURN_BYTES : turn_alone(subscriber, lane, record_bytes);
    return bytes > record_bytes ? bytes : record_bytes;
}

/* Who always finds messages asks for the dead as well: looked at once in so many rounds. */
#define ROUNDS_A_CLOCK 256

static void ask_if_due(struct weir_subscriber *subscriber)
{
    if (++subscriber->rounds % ROUNDS_A_CLOCK != 0 || subscriber->lane_count < 2)
        return;
    int64_t now_ns = weir_now_ns();
    if (!weir__slice_is_over(subscriber->side.waiter.asked_ns, now_ns))
        return;
    subscriber->side.waiter.asked_ns = now_ns;
    weir__subscriber_ask(subscriber);
}

/* Messages of the lane since this was asked last. */
static inline uint64_t run_of(struct weir__lane *lane)
{
    uint64_t run = lane->count - lane->waited;
    lane->waited = lane->count;
    return run;
}

/*
 * Whether as much was read of it as a turn takes, or its lap had: what stands next, if anything does, would
 * end beyond that. So it is of one that may be overrun, which has no turns: nothing of it is waited for.
 */
static bool is_turn_over(const struct weir__lane *lane)
{
    uint64_t header = weir__load_header(&lane->ring, lane->head);
    uint64_t bytes = header != 0 ? weir__record_bytes(weir__record_length(header)) : 0;
    return lane->head + bytes > lane->stop;
}

/* Of a lane that was read; where its turn is over there is enough to read. */
static inline void count_run(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t run = run_of(lane);
    subscriber->run += run;
    subscriber->runs += run > 0;
    subscriber->is_behind |= is_turn_over(lane);
}

/* How much time there is for a look away: of a call with this deadline, and of who spins for so long only. */
static int64_t time_left(const struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    int64_t spin_ns = subscriber->side.waiter.spin_ns;
    int64_t left_ns = deadline_ns == WEIR_NEVER ? spin_ns : deadline_ns - weir_now_ns();
    return left_ns < spin_ns ? left_ns : spin_ns;
}

static void look_away_after(struct weir_subscriber *subscriber, uint64_t run, uint64_t messages,
                            int64_t deadline_ns)
{
    uint32_t turns = weir__away_next(&subscriber->away, run, messages);
    if (turns > WEIR__AWAY_TURNS_MAX)
        turns = weir__away_within(turns, time_left(subscriber, deadline_ns));
    while (turns-- > 0)
        weir__cpu_relax();
}

static void look_away_from_all(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    if (subscriber->is_behind)
        weir__away_passed(&subscriber->away, subscriber->run);
    else if (subscriber->runs > 0)
        look_away_after(subscriber, subscriber->run / subscriber->runs, subscriber->run,
                        deadline_ns);
    subscriber->run = subscriber->runs = 0;
    subscriber->is_behind = false;
}

/*
 * In a stream the publisher is left alone first (base/away.h): after a wait that followed more than
 * one message we look away for a few turns; if a message is there by then, for longer the next time.
 * Who answers each message, or each few of them, is not held up: what it waits for comes after its
 * answer, later than the first such moment, which is always a short one. Of several lanes, once a round of
 * them, by how many came of each on average, unless one had all that its turn takes: beside a stream all
 * wait for that one moment.
 */
static void look_away(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    struct weir__lane *lane = subscriber->live->lane;
    uint64_t run = run_of(lane);
    look_away_after(subscriber, run, run, deadline_ns);
    if (weir__load_header(&lane->ring, lane->head) == 0)
        weir__away_end(&subscriber->away);
}

bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    if (!weir__side_is_ours(&subscriber->side) || !subscriber->live->lane ||
        subscriber->lane_count != 1 || deadline_ns == 0 ||
        subscriber->side.waiter.spin_ns == 0 || /* in vain: */
        weir__yield_is_learnt(&subscriber->side.waiter.yield))
        return false;
    look_away(subscriber, deadline_ns);
    return true;
}

/*
 * Whether nothing of the lane that is held or to come was overwritten. A publisher that knows us may
 * have announced more than it will write, for the time of a look: then it takes that back.
 */
static bool is_kept(const struct weir__lane *lane)
{
    /* Relaxed: our own word. */
    uint64_t cursor = atomic_load_explicit(&lane->entry->cursor, memory_order_relaxed);
    int64_t until_ns = weir_deadline_ns(WEIR__SLICE_NS);
    while (!weir__lane_is_intact(lane, cursor)) {
        if (weir_now_ns() >= until_ns)
            return false;
        weir__cpu_relax();
    }
    return true;
}

/*
 * Somebody has put us out of our place. A publisher that has met us follows our page; one that had
 * not may have written over what it had shown us. From now on, if the place is ours again, each
 * sees us before it writes on: so what is there now stays, or is told to be lost.
 */
static int look_after_place(struct weir_subscriber *subscriber)
{
    struct weir__side *side = &subscriber->side;
    weir__side_keep_place(side);
    if (side->put_outs == subscriber->put_outs)
        return 0;
    subscriber->put_outs = side->put_outs;
    for (uint32_t i = 0; i < subscriber->lane_count; i++) {
        struct weir__lane *lane = subscriber->lanes[i];
        if (lane->is_validated || is_kept(lane))
            continue;
        subscriber->put_outs--; /* those behind it are looked at the next time */
        weir__lane_corrupt(subscriber, lane);
        return weir__fail(EUCLEAN, "messages were overwritten before they were read: somebody had "
                                   "put this subscriber out of its place in the channel's "
                                   "directory, and the publisher did not know of it");
    }
    return 0;
}

/*
 * Whether the publisher has committed more than a ring behind what we have given back: one that knows
 * of us never does, and what it announces for a look, and takes back, is not in its boundary. So this
 * says nothing false of one that is stopped, or was killed, anywhere.
 */
static bool is_lapped(const struct weir__lane *lane)
{
    /* Relaxed: our own word; and, of the other, what was true of it stays true. */
    uint64_t cursor = atomic_load_explicit(&lane->entry->cursor, memory_order_relaxed);
    uint64_t boundary = atomic_load_explicit(&lane->shm->boundary, memory_order_relaxed);
    return !lane->is_validated && boundary > cursor && boundary - cursor > lane->ring.capacity;
}

static int tell_lapped(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    weir__lane_corrupt(subscriber, lane);
    return weir__fail(EUCLEAN, "messages were overwritten before they were read: the publisher has "
                               "not waited for this subscriber, as it must");
}

int weir__subscriber_look_around(struct weir_subscriber *subscriber, uint64_t *header,
                                 int64_t deadline_ns)
{
    bool may_look_away = deadline_ns != 0 && subscriber->side.waiter.spin_ns != 0;
    weir__count(&weir__side_stats(&subscriber->side)->looks);
    ask_if_due(subscriber);
    int result = look_after_place(subscriber);
    if (result == 0)
        result = weir__subscriber_look_for_an_end(subscriber);
    if (result == 0)
        result = weir__subscriber_attach_new(subscriber, false);
    *header = 0;
    if (subscriber->lane_count > 1 && subscriber->live->lane)
        count_run(subscriber, subscriber->live->lane);
    for (uint32_t i = subscriber->lane_count; result == 0 && i > 0; i--) {
        subscriber->turn = (subscriber->turn + 1) % subscriber->lane_count;
        if (subscriber->turn == 0 && subscriber->lane_count > 1 && may_look_away)
            look_away_from_all(subscriber, deadline_ns);
        struct weir__lane *lane = subscriber->lanes[subscriber->turn];
        if (is_lapped(lane))
            return tell_lapped(subscriber, lane);
        if (weir__hold_count(subscriber) > 0)
            weir__lane_announce(subscriber, lane, false);
        result = weir__lane_next(subscriber, lane, header);
        if (result == 0 && *header != 0) {
            weir__holds_settle(subscriber);
            subscriber->live->lane = lane;
            lane->turn_end =
                lane->is_validated ? 0 : lane->head + turn_bytes(subscriber, lane, *header);
            weir__lane_set_stop(lane, *header);
            return 0;
        }
    }
    return result;
}

void weir__subscriber_keep_turn(struct weir_subscriber *subscriber)
{
    if (subscriber->live->lane->is_validated) /* of others it ends at stop, or before */
        subscriber->turn--;                   /* a look begins behind it */
}
