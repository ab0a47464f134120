/* SPDX-License-Identifier: MIT */
/* Two publishers and two subscribers: what must hold when one was killed, or stopped and goes on. */
#include "crowd_round.h"

#include <errno.h>

#define MANY 150 /* messages: more than a ring holds */
#define FEW 20
#define NOBODY PEERS

struct order crowd_order(enum verb verb, unsigned count, unsigned size_bytes)
{
    return (struct order){
        .verb = verb, .count = count, .size_bytes = size_bytes, .wait_ns = BOUND_NS
    };
}

static bool is_part(const struct round *round, unsigned who, enum crowd_part part, unsigned but)
{
    return who != but && round->accounts->crowd.part[who] == part;
}

static unsigned count_part(const struct round *round, enum crowd_part part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PEERS; i++)
        count += is_part(round, i, part, NOBODY);
    return count;
}

/* Which messages a reliable one must have that begins with the oldest: of three quarters of a ring. */
#define OLDEST_AT_LEAST 38 /* of the longest that are sent by number */

/*
 * What is committed from here on must come; of what was there before, as much as was asked for. One
 * that stood still while it opened began later than it was told to.
 */
void note_begin(struct round *round, enum who who, enum crowd_kind kind)
{
    struct crowd_state *crowd = &round->accounts->crowd;
    crowd->kind[who] = kind;
    crowd->part[who] = SUBSCRIBES;
    for (unsigned i = 0; i < CROWD_STREAMS; i++)
        crowd->from[who][i] =
            i < round->accounts->streams ? round->accounts->stream[i].committed : 0;
    for (unsigned i = 0; i < PEERS; i++) {
        unsigned *from = &crowd->from[who][round->stream[i]];
        unsigned back = kind == FROM_BACK     ? BACK_MESSAGES
                        : kind == FROM_OLDEST ? OLDEST_AT_LEAST
                                              : 0;
        if (is_part(round, i, PUBLISHES, NOBODY) && who != VICTIM)
            *from = *from > back ? *from - back : 0;
    }
}

void join_crowd(struct round *round, enum who who, enum crowd_part part, enum crowd_kind kind)
{
    if (round->peer[who].pid == 0)
        start(round, who);
    struct reply reply =
        ask(round, who, crowd_order(part == PUBLISHES ? BE_SENDER : BE_TAKER, 0, kind));
    must_be(round, who, &reply, 0);
    round->accounts->crowd.part[who] = part;
    if (part == PUBLISHES)
        round->stream[who] = reply.stream;
    else
        note_begin(round, who, kind);
}

void meet(struct round *round, enum who who)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (is_part(round, i, SUBSCRIBES, NOBODY))
            simply(round, i, FETCH_ALL);
    must(round, who, crowd_order(SEE_TAKERS, count_part(round, SUBSCRIBES), 0));
}

static void leave_crowd(struct round *round, enum who who)
{
    simply(round, who, DEPART);
    round->accounts->crowd.part[who] = NO_PART;
    quit(round, who);
}

/* All that was committed since its begin, and nothing that was not begun: received or missed. */
static void check_taken(struct round *round, enum who who)
{
    const struct crowd_state *crowd = &round->accounts->crowd;
    simply(round, who, FETCH_ALL);
    for (unsigned i = 1; i < round->accounts->streams; i++) {
        const struct crowd_seen *seen = &crowd->seen[who][i];
        const struct stream *stream = &round->accounts->stream[i];
        unsigned from = crowd->from[who][i];
        bool is_due = stream->committed > from;
        require(round, !is_due || (seen->first && seen->next >= stream->committed),
                "%s has %u of stream %u, of which %u were sent", who_names[who], seen->next, i,
                stream->committed);
        require(round, seen->next <= stream->begun,
                "%s has %u of stream %u, of which %u were begun", who_names[who], seen->next, i,
                stream->begun);
        bool is_exact = crowd->kind[who] == FROM_BACK && who != VICTIM;
        require(round,
                !is_due ||
                    (is_exact && from > 0 ? seen->first - 1 == from : seen->first - 1 <= from),
                "%s begins with %u of stream %u instead of %u", who_names[who], seen->first - 1, i,
                from);
    }
}

/* Those who were there from its begin on have the same of it. */
static void have_the_same(struct round *round, unsigned stream)
{
    const struct crowd_state *crowd = &round->accounts->crowd;
    int has = -1;
    for (unsigned i = 0; i < PEERS; i++) {
        if (!is_part(round, i, SUBSCRIBES, NOBODY) || crowd->from[i][stream] != 0)
            continue;
        int next = (int)crowd->seen[i][stream].next;
        require(round, has < 0 || next == has, "one subscriber has %d of the dead one's, one %d",
                has, next);
        has = next;
    }
    if (!round->scenario->cue)
        round->seen = has;
}

void traffic(struct round *round, unsigned count, unsigned but)
{
    struct accounts *accounts = round->accounts;
    bool is_first = true;
    unsigned target[PEERS];
    for (unsigned i = 0; i < PEERS; i++)
        target[i] = accounts->stream[round->stream[i]].committed + count;
    for (unsigned sender = 0; sender < PEERS; sender++) {
        if (!is_part(round, sender, PUBLISHES, but))
            continue;
        for (unsigned i = 0; i < PEERS; i++)
            if (is_part(round, i, SUBSCRIBES, but))
                tell(round, i, crowd_order(FETCH_UP_TO, target[sender], round->stream[sender]));
        for (unsigned i = 0; i < PEERS && is_first; i++)
            if (is_part(round, i, PUBLISHES, but))
                tell(round, i, crowd_order(POST, count, 0));
        is_first = false;
        for (unsigned i = 0; i < PEERS; i++) {
            if (!is_part(round, i, SUBSCRIBES, but))
                continue;
            struct reply reply = answer(round, i);
            must_be(round, i, &reply, 0);
        }
    }
    for (unsigned i = 0; i < PEERS; i++) {
        if (!is_part(round, i, PUBLISHES, but))
            continue;
        struct reply reply = answer(round, i);
        must_be(round, i, &reply, 0);
    }
    for (unsigned i = 0; i < PEERS; i++)
        if (is_part(round, i, SUBSCRIBES, but))
            check_taken(round, i);
}

/* Those who wait since before: for room, which the dead one does not keep, or for any message. */
static void answer_the_busy(struct round *round, int64_t since_ns)
{
    enum who free_one = NOBODY;
    for (unsigned i = 0; i < PEERS; i++) {
        if (is_part(round, i, PUBLISHES, VICTIM) && round->is_busy[i]) {
            struct reply reply = answer(round, i);
            must_be(round, i, &reply, 0);
            note_wait(round, since_ns);
        }
        if (is_part(round, i, PUBLISHES, VICTIM))
            free_one = i;
    }
    for (unsigned i = 0; i < PEERS; i++) {
        if (!is_part(round, i, SUBSCRIBES, VICTIM) || !round->is_busy[i])
            continue;
        must(round, free_one, crowd_order(POST, 1, 0));
        struct reply reply = answer(round, i);
        must_be(round, i, &reply, 0);
    }
}

/* The places of those who are not there any more are taken, then one more goes, and one comes. */
static void go_on(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_publisher = count_part(round, PUBLISHES) < 2;
    enum crowd_kind kind = FROM_NOW, sends = FROM_NOW;
    if (scenario->order.verb == BE_TAKER)
        kind = (enum crowd_kind)scenario->order.size_bytes;
    if (round->accounts->crowd.may_miss)
        sends = WAITS_FOR_NOBODY;
    traffic(round, MANY, NOBODY);
    if (is_publisher) {
        join_crowd(round, NEXT, PUBLISHES, sends);
        meet(round, NEXT);
        traffic(round, FEW, NOBODY);
        leave_crowd(round, TAKER);
        join_crowd(round, FRESH, SUBSCRIBES, FROM_NOW);
    } else {
        if (count_part(round, SUBSCRIBES) < 2)
            join_crowd(round, FRESH, SUBSCRIBES, kind);
        traffic(round, FEW, NOBODY);
        leave_crowd(round, SENDER);
        join_crowd(round, NEXT, PUBLISHES, sends);
        meet(round, NEXT);
    }
    traffic(round, MANY, NOBODY);
    for (unsigned i = 0; i < PEERS; i++)
        if (is_part(round, i, PUBLISHES, NOBODY))
            simply(round, i, SAY_END);
    for (unsigned i = 0; i < PEERS; i++) {
        if (!is_part(round, i, SUBSCRIBES, NOBODY))
            continue;
        struct reply reply = ask(round, i, crowd_order(FETCH_END, 0, 0));
        require(round, reply.result == -ENODATA || reply.result == -EPIPE,
                "the last end is told as %s%d: %s", weir_strerror_name(reply.result), reply.result,
                reply.sentence);
    }
    for (unsigned i = 0; i < PEERS; i++)
        if (!is_part(round, i, NO_PART, NOBODY))
            leave_crowd(round, i);
    start(round, NEXT);
    simply(round, NEXT, COLLECT);
    quit_all(round);
}

static void after_kill(struct round *round)
{
    int64_t since_ns = weir_now_ns();
    round->accounts->crowd.part[VICTIM] = NO_PART;
    answer_the_busy(round, since_ns);
    traffic(round, MANY, NOBODY);
    if (round->scenario->role == CROWD_PUBLISHER && round->stream[VICTIM] > 0)
        have_the_same(round, round->stream[VICTIM]);
    go_on(round);
}

/* --- while it is stopped, and after ---------------------------------------------------------- */

static void try_rival(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    static const enum verb opens[] = {
        [CROWD_PUBLISHER] = BE_SENDER, [CROWD_SUBSCRIBER] = BE_TAKER, [CROWD_COLLECTOR] = COLLECT
    };
    bool may_get_in = scenario->role == CROWD_COLLECTOR || (scenario->flags & (JOINING | LEAVING));
    start(round, RIVAL);
    struct reply reply = ask(round, RIVAL, crowd_order(opens[scenario->role], 0, FROM_NOW));
    require(round, reply.result == -EBUSY || (reply.result == 0 && may_get_in),
            "a rival's open gives %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
    simply(round, RIVAL, DEPART);
    quit(round, RIVAL);
}

/* Beside a reliable subscriber that stands: its writers fill their rings, and the other has that. */
static void fill_beside(struct round *round)
{
    for (unsigned i = 0; i < PEERS; i++) {
        if (!is_part(round, i, PUBLISHES, VICTIM) || round->is_busy[i])
            continue;
        for (unsigned k = 0; k < 2; k++) {
            struct order order = { .verb = POST, .count = k ? 1 : FEW, .wait_ns = k * 3000000 };
            struct reply reply = ask(round, i, order);
            require(round,
                    reply.result == 0 || reply.result == -EAGAIN || reply.result == -ETIMEDOUT,
                    "beside a stopped subscriber: %s%d: %s", weir_strerror_name(reply.result),
                    reply.result, reply.sentence);
        }
    }
    for (unsigned i = 0; i < PEERS; i++)
        if (is_part(round, i, SUBSCRIBES, VICTIM) && !round->is_busy[i])
            check_taken(round, i);
}

static bool is_anyone_busy(const struct round *round)
{
    bool is_busy = false;
    for (unsigned i = VICTIM + 1; i < PEERS; i++)
        is_busy |= round->is_busy[i];
    return is_busy;
}

/* The one that is to be evicted must not read on: it would be in nobody's way. */
static void work_beside_the_slow(struct round *round)
{
    must(round, SENDER, crowd_order(POST, FEW, 0));
    simply(round, TAKER, FETCH_ALL);
}

static void work_beside(struct round *round)
{
    const struct crowd_state *crowd = &round->accounts->crowd;
    bool is_in_the_way = round->scenario->role == CROWD_SUBSCRIBER && !crowd->may_miss &&
                         crowd->kind[VICTIM] != LOSSY_ONE;
    if (round->scenario->flags & EVICTING)
        work_beside_the_slow(round);
    else if (is_in_the_way)
        fill_beside(round);
    else if (!is_anyone_busy(round))
        traffic(round, MANY, VICTIM);
}

/* It has its place; the order that was stopped has done what it should. */
static void take_part(struct round *round, const struct reply *reply)
{
    const struct scenario *scenario = round->scenario;
    struct crowd_state *crowd = &round->accounts->crowd;
    if (scenario->flags & LEAVING)
        crowd->part[VICTIM] = NO_PART;
    if (scenario->order.verb == BE_SENDER) {
        round->stream[VICTIM] = reply->stream;
        crowd->part[VICTIM] = PUBLISHES;
    } else if (scenario->order.verb == BE_TAKER) {
        note_begin(round, VICTIM, (enum crowd_kind)scenario->order.size_bytes);
    }
}

static void finish(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    const struct crowd_state *crowd = &round->accounts->crowd;
    if (crowd->part[VICTIM] == SUBSCRIBES) {
        simply(round, VICTIM, GIVE_ALL_BACK);
        simply(round, VICTIM, FETCH_ALL);
    }
    answer_the_busy(round, weir_now_ns());
    traffic(round, MANY, NOBODY);
    require(round, !(scenario->flags & EVICTING) || crowd->evictions[OTHER_TAKER] > 0,
            "nobody was evicted");
    require(round, !(scenario->flags & MISSING) || crowd->missed[VICTIM] > 0,
            "the victim has missed nothing");
    if (crowd->part[VICTIM] != NO_PART)
        leave_crowd(round, VICTIM);
    else
        quit(round, VICTIM);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_due = is_cue_due(round);
    try_rival(round);
    if (!is_due)
        work_beside(round);
    struct reply reply = resume_victim(round, is_due, is_due && (round->turn & 1));
    /* What it waits for may have come while it stood. */
    bool has_changed = (scenario->expected == -ETIMEDOUT && reply.result == 0) ||
                       (round->accounts->crowd.may_miss && reply.result == -EOVERFLOW);
    if (!has_changed)
        must_be(round, VICTIM, &reply, scenario->expected);
    take_part(round, &reply);
    finish(round);
    go_on(round);
}

const struct subject crowd_subject = {
    crowd_scenarios, &crowd_scenario_count, false, NULL, NULL, after_kill, after_stop
};
