/* SPDX-License-Identifier: MIT */
/* Waiting for a message or a publisher: in a call, or by a descriptor. */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/clock.h>

#include "base/error.h"

/* How long to look away in a stream, in turns of 10 to 50 ns, until so many messages come of it. */
#define STREAM_TURNS_MIN 4
#define STREAM_TURNS_MAX 64
#define STREAM_RUN 64

/* What a wait for a message looks at: of the handle itself, or a copy for another thread. */
struct watched {
    struct weir__ring ring;
    uint64_t head;
    bool is_validated;
    const struct weir__lane_shm *shm;
    struct weir__peer peer;
};

struct view {
    const struct weir__side *side;            /* of it only what never changes, and the slots */
    const struct weir_subscriber *subscriber; /* of it only the berths */
    uint32_t changes_seen;
    uint32_t lane_count;
    struct watched lanes[];
};

static size_t view_bytes(uint32_t lanes)
{
    return sizeof(struct view) + lanes * sizeof(struct watched);
}

int weir__subscriber_make_view(struct weir_subscriber *subscriber)
{
    subscriber->view = calloc(1, view_bytes(weir__side_others(&subscriber->side)->count));
    return subscriber->view ? 0 : weir__fail(ENOMEM, "no memory for a subscriber's view");
}

static struct view *take_view(struct weir_subscriber *subscriber)
{
    struct view *view = subscriber->view;
    view->side = &subscriber->side;
    view->subscriber = subscriber;
    view->changes_seen = subscriber->changes_seen;
    view->lane_count = subscriber->lane_count;
    for (uint32_t i = 0; i < subscriber->lane_count; i++) {
        const struct weir__lane *lane = subscriber->lanes[i];
        view->lanes[i] = (struct watched){ .ring = lane->ring,
                                           .head = lane->head,
                                           .is_validated = lane->is_validated,
                                           .shm = lane->shm,
                                           .peer = lane->peer };
    }
    return view;
}

/* A message, or a header that cannot be true; pads are neither. An overrun is to be told, too. */
static bool has_header(const struct watched *lane)
{
    return weir__is_worth_a_look(&lane->ring, lane->head) ||
           (lane->is_validated && !weir__is_intact(lane->shm, lane->ring.capacity, lane->head));
}

/* Cheap, changes nothing: whether a look may find a message, an end, or another publisher. */
static bool may_have_message(void *argument)
{
    const struct view *view = argument;
    for (uint32_t i = 0; i < view->lane_count; i++) {
        const struct watched *lane = &view->lanes[i];
        if (has_header(lane) ||
            (!lane->peer.is_adrift && !weir__peer_is_there(view->side, &lane->peer)) ||
            atomic_load_explicit(&lane->shm->ended, memory_order_relaxed))
            return true;
    }
    return weir__slots_changes(weir__side_others(view->side)) != view->changes_seen &&
           weir__subscriber_has_new(view->subscriber);
}

static bool ask_for_publishers(const struct weir__side *side)
{
    return weir__slots_reap(weir__side_others(side), weir__side_stats(side));
}

static bool ask(void *argument)
{
    const struct view *view = argument;
    bool is_dead = ask_for_publishers(view->side);
    for (uint32_t i = 0; i < view->lane_count; i++)
        is_dead |= weir__peer_has_died(view->side, &view->lanes[i].peer);
    /* Who was put out of its place is to come to a look, and take it again. */
    return is_dead || !weir__side_has_place(view->side);
}

bool weir__subscriber_is_ready(struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->live->lane;
    /* The lane whose turn it is, first: a pad alone is nothing to be taken. */
    if (lane &&
        (weir__load_header(&lane->ring, lane->head) & WEIR__RECORD_FLAGS) == WEIR__RECORD_MARK)
        return true;
    return may_have_message(take_view(subscriber));
}

void weir__subscriber_ask(struct weir_subscriber *subscriber)
{
    ask_for_publishers(&subscriber->side);
}

/*
 * Whether the lane's publisher has left, or is dead. Its slot is a reason to ask, and no answer, as
 * others may have written over it: it leaves by its own word, and is dead by the kernel's, which is
 * asked once a slice.
 */
static bool is_gone(const struct weir__side *side, struct weir__lane *lane)
{
    struct weir__peer *peer = &lane->peer;
    if (weir__peer_is_there(side, peer)) {
        peer->is_adrift = false;
        return false;
    }
    /* Acquire [lane.end]: it may have ended, and then left, since that was looked at. Pairs with
     * weir_publisher_end(). */
    if (atomic_load_explicit(&lane->shm->ended, memory_order_acquire))
        return true;
    int64_t now_ns = weir_now_ns();
    if (peer->is_adrift && now_ns - lane->asked_ns < WEIR__SLICE_NS)
        return false;
    lane->asked_ns = now_ns;
    return !weir__peer_follow(side, peer);
}

/*
 * The lane is empty: is it for good? 0: not yet. The end, or the death, was seen first;
 * so a header that is still 0 after it stays 0. -ENODATA, -EPIPE: yes, and it was left; without
 * a sentence. -EUCLEAN.
 */
static int look_for_end(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t header;
    /* Acquire [lane.end]. Pairs with weir_publisher_end(). */
    bool has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    if (!has_ended && !is_gone(&subscriber->side, lane))
        return 0;
    /* It may have ended, and then left, between the two looks above. */
    has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    int result = weir__lane_next(subscriber, lane, &header);
    if (result != 0 || header != 0)
        return result;
    if (lane->is_validated && !weir__lane_is_intact(lane, lane->head))
        return 0; /* overrun, and there is more */
    subscriber->untold_missed +=
        lane->missed; /* there is no next message of it that could say so */
    weir__lane_finish(subscriber, lane);
    return has_ended ? -ENODATA : -EPIPE;
}

/*
 * The end of the last lane; not yet, while another publisher is shown: it may have been there
 * before. But in a channel for one publisher it is the next one.
 */
static int tell_end(struct weir_subscriber *subscriber)
{
    int end = subscriber->untold_end;
    bool is_for_one = weir__side_others(&subscriber->side)->count == 1;
    if (end == 0 || subscriber->lane_count > 0 ||
        (!is_for_one && weir__subscriber_has_new(subscriber)))
        return 0;
    subscriber->missed_at_end = subscriber->untold_missed;
    subscriber->untold_end = 0;
    subscriber->untold_missed = 0;
    const char *how = end == -ENODATA ? "has ended" : "was killed";
    if (subscriber->missed_at_end == 0)
        return weir__fail(-end, "the last publisher %s", how);
    return weir__fail(-end, "the last publisher %s; %llu messages were overwritten before that",
                      how, (unsigned long long)subscriber->missed_at_end);
}

int weir__subscriber_without(struct weir_subscriber *subscriber, struct weir_message *message,
                             int result)
{
    if (message && (result == -ENODATA || result == -EPIPE))
        *message = (struct weir_message){ .missed = subscriber->missed_at_end };
    return weir__subscriber_told(subscriber, result);
}

/* All lanes are empty: are some for good? The end of the last one, alone, is told. */
static int look_for_ends(struct weir_subscriber *subscriber)
{
    for (uint32_t i = subscriber->lane_count; i > 0; i--) {
        int result = look_for_end(subscriber, subscriber->lanes[i - 1]);
        if (result == -EUCLEAN || result == -EOVERFLOW)
            return result;
        if (result != 0)
            subscriber->untold_end = result;
    }
    return tell_end(subscriber);
}

/* How much of one lane is read before it is the next one's turn: what others wait for at most. */
#define TURN_BYTES 8192

/*
 * Of one lane alone there is nobody to wait but who has just come: a look around is as seldom for
 * larger messages as for small ones, once in so many, or in so many bytes. But what is held is to
 * be announced before it is far behind: once in such a part of the ring.
 */
#define TURN_ALONE_MESSAGES 64
#define TURN_ALONE_BYTES 65536
#define TURN_ALONE_SHARE 8

static inline uint64_t within(uint64_t least, uint64_t value, uint64_t most)
{
    uint64_t bounded = value < most ? value : most;
    return bounded > least ? bounded : least;
}

/* From the message that has this header on, all of which is in it. */
static uint64_t turn_bytes(const struct weir_subscriber *subscriber, const struct weir__lane *lane,
                           uint64_t header)
{
    uint64_t record_bytes = weir__record_bytes(weir__record_length(header));
    uint64_t most = within(0, TURN_ALONE_BYTES, lane->ring.capacity / TURN_ALONE_SHARE);
    uint64_t alone = within(TURN_BYTES, TURN_ALONE_MESSAGES * record_bytes, most);
    uint64_t bytes = subscriber->lane_count > 1 ? TURN_BYTES : alone;
    return bytes > record_bytes ? bytes : record_bytes;
}

/* Who always finds messages asks for the dead as well: looked at once in so many rounds. */
#define ROUNDS_A_CLOCK 256

static void ask_if_due(struct weir_subscriber *subscriber)
{
    if (++subscriber->rounds % ROUNDS_A_CLOCK != 0 || subscriber->lane_count < 2)
        return;
    int64_t now_ns = weir_now_ns();
    if (now_ns - subscriber->side.asked_ns < WEIR__SLICE_NS)
        return;
    subscriber->side.asked_ns = now_ns;
    ask_for_publishers(&subscriber->side);
}

/*
 * Who always finds messages leaves what has ended as well, one lane a round at most: another
 * publisher may stand in its slot by now, and wait for us.
 */
static int look_for_an_end(struct weir_subscriber *subscriber)
{
    if (subscriber->lane_count < 2)
        return 0;
    int result =
        look_for_end(subscriber, subscriber->lanes[subscriber->rounds % subscriber->lane_count]);
    return result == -EUCLEAN || result == -EOVERFLOW ? result : 0;
}

/* For a few turns, and for twice as many the next time, until enough messages come of it. */
static void pause_in_stream(struct weir_subscriber *subscriber, uint64_t run)
{
    if (run < 2)
        subscriber->turns = 0;
    else if (subscriber->turns == 0)
        subscriber->turns = STREAM_TURNS_MIN;
    else if (subscriber->turns < STREAM_TURNS_MAX && run < STREAM_RUN)
        subscriber->turns *= 2;
    for (unsigned i = 0; i < subscriber->turns; i++)
        weir__cpu_relax();
}

/* Messages of the lane since this was asked last. */
static inline uint64_t run_of(struct weir__lane *lane)
{
    uint64_t run = lane->count - lane->waited;
    lane->waited = lane->count;
    return run;
}

/*
 * Of a lane that was read; where its turn was over there is enough to read. So there is in one that may
 * be overrun, which has no turns: nothing of it is waited for.
 */
static inline void count_run(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t run = run_of(lane);
    subscriber->run += run;
    subscriber->runs += run > 0;
    subscriber->is_behind |= lane->head >= lane->turn_end;
}

static void look_away_from_all(struct weir_subscriber *subscriber)
{
    if (subscriber->runs > 0 && !subscriber->is_behind)
        pause_in_stream(subscriber, subscriber->run / subscriber->runs);
    subscriber->run = subscriber->runs = 0;
    subscriber->is_behind = false;
}

/*
 * Whether nothing of the lane that is held or to come was overwritten. A publisher that knows us may
 * have announced more than it will write, for the time of a look: then it takes that back.
 */
static bool is_kept(const struct weir__lane *lane)
{
    /* Relaxed: our own word. */
    uint64_t cursor = atomic_load_explicit(&lane->cursor->cursor, memory_order_relaxed);
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

/* The next message, of the lane whose turn it is then; header 0: there is none. */
static int look_around(struct weir_subscriber *subscriber, uint64_t *header, bool may_pause)
{
    weir__count(&weir__side_stats(&subscriber->side)->looks);
    ask_if_due(subscriber);
    int result = look_after_place(subscriber);
    if (result == 0)
        result = look_for_an_end(subscriber);
    if (result == 0)
        result = weir__subscriber_attach_new(subscriber, false);
    *header = 0;
    if (subscriber->lane_count > 1 && subscriber->live->lane)
        count_run(subscriber, subscriber->live->lane);
    for (uint32_t i = subscriber->lane_count; result == 0 && i > 0; i--) {
        subscriber->turn = (subscriber->turn + 1) % subscriber->lane_count;
        if (subscriber->turn == 0 && subscriber->lane_count > 1 && may_pause)
            look_away_from_all(subscriber);
        struct weir__lane *lane = subscriber->lanes[subscriber->turn];
        if (weir__hold_count(subscriber) > 0)
            weir__lane_announce(subscriber, lane, false);
        result = weir__lane_next(subscriber, lane, header);
        if (result == 0 && *header != 0) {
            weir__holds_settle(subscriber);
            subscriber->live->lane = lane;
            lane->turn_end =
                lane->is_validated ? 0 : lane->head + turn_bytes(subscriber, lane, *header);
            weir__lane_set_stop(lane);
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

/*
 * In a stream the publisher is left alone first. Who looks at each line while it is being
 * written takes it away from the writer, and both go at the pace of that line. So after a
 * wait that followed more than one message we look away for a few turns; if a message is
 * there by then, twice as long the next time. Who answers each message, or each few of them,
 * is not held up: what it waits for comes after its answer, later than the first such pause.
 * Of several lanes, once a round of them, by how many came of each on average, unless one had all
 * that its turn takes: beside a stream all wait for that one pause, of 64 turns at most.
 */
static void look_away(struct weir_subscriber *subscriber)
{
    struct weir__lane *lane = subscriber->live->lane;
    pause_in_stream(subscriber, run_of(lane));
    if (weir__load_header(&lane->ring, lane->head) == 0)
        subscriber->turns = 0;
}

bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    if (!weir__side_is_ours(&subscriber->side) || !subscriber->live->lane ||
        subscriber->lane_count != 1 || deadline_ns == 0 ||
        subscriber->side.waiter.spin_ns == 0 || /* in vain: */
        weir__yield_is_learnt(&subscriber->side.waiter.yield))
        return false;
    look_away(subscriber);
    return true;
}

/* Of several lanes nothing that adds up. */
static uint64_t moved(const struct weir_subscriber *subscriber)
{
    return subscriber->lane_count == 1 ? subscriber->lanes[0]->head : subscriber->side.waiter.moved;
}

static int wait_a_while(struct weir_subscriber *subscriber, enum weir__waits_for waits_for,
                        int64_t deadline_ns)
{
    const struct weir__watch watch = { .waits_for = waits_for,
                                       .moved = moved(subscriber),
                                       .is_ready = may_have_message,
                                       .ask = ask,
                                       .argument = take_view(subscriber) };
    return weir__side_wait(&subscriber->side, &watch, deadline_ns);
}

int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    bool may_pause = deadline_ns != 0 && subscriber->side.waiter.spin_ns != 0;
    subscriber->side.looks = 0;
    if (subscriber->descriptor)
        weir__subscriber_pause_descriptor(subscriber); /* pads may be given back */
    for (;;) {
        int result = look_around(subscriber, header, may_pause);
        if (result != 0 || *header != 0)
            return result;
        result = look_for_ends(subscriber);
        if (result == 0 && subscriber->is_scarce) {
            result = weir__subscriber_attach_new(subscriber, true);
            if (result == 0)
                continue; /* there was room by now */
        }
        if (result == 0)
            weir__subscriber_announce(subscriber);
        if (subscriber->lane_count > 1)
            subscriber->turns = 0; /* all were empty */
        if (result == 0)
            result = wait_a_while(subscriber, WEIR__WAITS_FOR_MESSAGE, deadline_ns);
        if (result != 0)
            return result;
    }
}

void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber)
{
    weir__descriptor_disarm(subscriber->descriptor);
}

/* Of one alone: of several the slices tell. */
static uint64_t peer_of(const void *argument)
{
    const struct view *view = argument;
    return view->lane_count == 1 ? view->lanes[0].peer.owner : 0;
}

static int open_pidfd(void *argument)
{
    const struct view *view = argument;
    const struct weir__peer *peer = &view->lanes[0].peer;
    return weir__peer_pidfd(weir__peer_slot(view->side, peer), peer->owner);
}

void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber, int result)
{
    bool was_refused = result == -EAGAIN || result == -ETIMEDOUT || result == -EINTR;
    if (!weir__side_is_ours(&subscriber->side))
        return; /* a child of fork has neither the thread nor what it watches */
    weir__subscriber_pause_descriptor(subscriber); /* the former head may be given back soon */
    weir__descriptor_arm(subscriber->descriptor, take_view(subscriber),
                         view_bytes(subscriber->lane_count), was_refused);
}

/* Looks until there is a lane. */
static int wait_for_lane(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    subscriber->side.looks = 0;
    for (;;) {
        int result = weir__subscriber_attach_new(subscriber, subscriber->lane_count == 0);
        if (result != 0 || subscriber->lane_count > 0)
            return result;
        result = wait_a_while(subscriber, WEIR__WAITS_FOR_PUBLISHER, deadline_ns);
        if (result != 0)
            return result;
    }
}

int weir_subscriber_wait_publisher(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    int result = weir__side_check(&subscriber->side);
    if (result == 0)
        result = wait_for_lane(subscriber, deadline_ns);
    if (subscriber->descriptor)
        weir__subscriber_update_descriptor(subscriber, result);
    return result;
}

int weir_subscriber_fd(struct weir_subscriber *subscriber)
{
    uint32_t most = weir__side_others(&subscriber->side)->count;
    const struct weir__descriptor_watch watch = { .waiter = &subscriber->side.waiter,
                                                  .is_ready = may_have_message,
                                                  .ask = ask,
                                                  .view_bytes = view_bytes(most),
                                                  .is_ring_enough = true,
                                                  .peer = peer_of,
                                                  .open_pidfd = open_pidfd };
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && !subscriber->descriptor) {
        result = weir__descriptor_open(&subscriber->descriptor, &watch);
        if (result == 0)
            weir__holds_add(subscriber, 0); /* each call has to tell it from now on */
        if (result == 0)
            weir__subscriber_update_descriptor(subscriber, 0);
    }
    return result == 0 ? weir__descriptor_fd(subscriber->descriptor) : result;
}
