/* SPDX-License-Identifier: MIT */
/* Barriers: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>

#define SHORT_NS INT64_C(30000000)

enum barrier_flags {
    JOINING = SUBJECT_FLAG << 0, /* there may be a place that nobody has had */
    WAITING = SUBJECT_FLAG << 1, /* the order is a wait */
};

static struct barrier_state *state_of(struct round *round)
{
    return &round->accounts->barrier;
}

static struct order meeting(struct round *round, int64_t wait_ns)
{
    return (struct order){ .verb = MEET, .count = state_of(round)->ended + 1, .wait_ns = wait_ns };
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void join_all(struct round *round, const enum who *who, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        give_identity(round, who[i]);
        simply(round, who[i], JOIN);
    }
}

static void nobody_knows_it(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, NEXT);
    give_identity(round, VICTIM);
}

static void two_have_joined(struct round *round)
{
    join_all(round, (const enum who[]){ OLD, NEXT }, 2);
    give_identity(round, VICTIM);
}

static void three_have_joined(struct round *round)
{
    two_have_joined(round);
    give_identity(round, DEAD); /* who lives */
    simply(round, DEAD, JOIN);
}

static void one_of_three_died(struct round *round)
{
    three_have_joined(round);
    state_of(round)->membership[DEAD] = OUTSIDE; /* before: others may be quick */
    slay(round, DEAD);
}

static void victim_is_the_third(struct round *round)
{
    two_have_joined(round);
    simply(round, VICTIM, JOIN);
}

static void others_come(struct round *round)
{
    tell(round, OLD, meeting(round, PATIENT_NS));
    if (round->peer[NEXT].pid > 0)
        tell(round, NEXT, meeting(round, PATIENT_NS));
}

static void others_sleep(struct round *round)
{
    victim_is_the_third(round);
    others_come(round);
    see_asleep(round, OLD);
    see_asleep(round, NEXT);
}

/* Of three, one waits, one is dead. */
static void one_sleeps_one_died(struct round *round)
{
    join_all(round, (const enum who[]){ OLD, DEAD, VICTIM }, 3);
    others_come(round);
    see_asleep(round, OLD);
    state_of(round)->membership[DEAD] = OUTSIDE; /* before: others may be quick */
    slay(round, DEAD);
}

/* --- afterwards ----------------------------------------------------------------------------------- */

/* All of them come, unless they wait already. They get the same number, from least to most. */
static int meet(struct round *round, const enum who *who, unsigned count, int least, int most)
{
    int first = 0;
    int64_t since_ns = weir_now_ns();
    for (unsigned i = 0; i < count; i++)
        if (!round->is_busy[who[i]])
            tell(round, who[i], meeting(round, BOUND_NS));
    for (unsigned i = 0; i < count; i++) {
        struct reply reply = answer(round, who[i]);
        note_wait(round, since_ns);
        require(round, reply.result >= least && reply.result <= most,
                "%s: its wait gives %d, and %d to %d are dead: %s", who_names[who[i]], reply.result,
                least, most, reply.sentence);
        require(round, i == 0 || reply.result == first,
                "one goes on without %d dead, %s without %d", first, who_names[who[i]],
                reply.result);
        first = reply.result;
    }
    state_of(round)->ended++;
    return first;
}

/* Those of the round who live and are parties for certain. */
static unsigned list_parties(struct round *round, enum who *who)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PEERS; i++)
        if (round->peer[i].pid > 0 && state_of(round)->membership[i] == PARTY)
            who[count++] = (enum who)i;
    return count;
}

/* A place for each of three; how many of them had been a dead one's. */
static void fill_places(struct round *round)
{
    static const enum who three[PLACES] = { OLD, NEXT, FRESH };
    for (unsigned i = 0; i < PLACES; i++) {
        if (round->peer[three[i]].pid == 0)
            start(round, three[i]);
        if (state_of(round)->membership[three[i]] == PARTY)
            continue;
        struct reply reply = ask(round, three[i], within(JOIN, 0));
        require(round, reply.result >= 0, "%s cannot join: %s: %s", who_names[three[i]],
                weir_strerror_name(reply.result), reply.sentence);
    }
}

/* Three that live: nobody goes on alone, there is no fourth, and each round is whole. */
static void use_it(struct round *round)
{
    static const enum who three[PLACES] = { OLD, NEXT, FRESH };
    fill_places(round);
    struct reply reply = ask(round, OLD, meeting(round, 0));
    must_be(round, OLD, &reply, -EAGAIN);
    start(round, RIVAL);
    reply = ask(round, RIVAL, within(JOIN, 0));
    must_be(round, RIVAL, &reply, -ENOSPC);
    meet(round, three, PLACES, 0, 0);
    meet(round, three, PLACES, 0, 0);
    simply(round, OLD, LEAVE);
    simply(round, NEXT, LEAVE);
    meet(round, three + 2, 1, 0, 0);
}

/* least, most: how many dead the round under way goes on without, and all that follow. */
static void go_on(struct round *round, int least, int most, int later_least, int later_most)
{
    enum who parties[PEERS];
    if (round->peer[DEAD].pid > 0)
        simply(round, DEAD, LEAVE);
    if (round->scenario->flags & JOINING)
        fill_places(round);
    else {
        unsigned count = list_parties(round, parties);
        meet(round, parties, count, least, most);
        int gone = meet(round, parties, count, later_least, later_most);
        meet(round, parties, count, gone, gone);
        start(round, FRESH);
        struct reply reply = ask(round, FRESH, within(JOIN, 0));
        must_be(round, FRESH, &reply, gone > 0 ? WEIR_OWNER_DIED : 0);
    }
    use_it(round);
    quit_all(round);
}

static bool has_dead_party(const struct round *round)
{
    return round->scenario->stage == one_sleeps_one_died;
}

static void before_kill(struct round *round)
{
    struct barrier_state *state = state_of(round);
    state->victim_was = (enum membership)state->membership[VICTIM];
    state->membership[VICTIM] = OUTSIDE;
}

static void after_kill(struct round *round)
{
    const struct barrier_state *state = state_of(round);
    int dead = has_dead_party(round);
    bool was = state->victim_was == PARTY, may_have_been = state->victim_was != OUTSIDE;
    bool may_have_come = state->came[VICTIM] == state->ended + 1;
    go_on(round, dead + (was && !may_have_come), dead + may_have_been, dead + was,
          dead + may_have_been);
}

/*
 * Beside one that stands. It lives: they go on only if it may have come, and then both do; its place is
 * its own. True: the round is over.
 */
static bool meet_beside(struct round *round)
{
    struct reply replies[2];
    static const enum who two[2] = { OLD, NEXT };
    bool may_have_come = state_of(round)->came[VICTIM] == state_of(round)->ended + 1;
    for (unsigned i = 0; i < 2; i++)
        tell(round, two[i], meeting(round, 3000000));
    for (unsigned i = 0; i < 2; i++)
        replies[i] = answer(round, two[i]);
    require(round,
            replies[0].result == replies[1].result &&
                (replies[0].result == -ETIMEDOUT || (replies[0].result == 0 && may_have_come)),
            "beside a stopped one, waits give %s%d and %s%d", weir_strerror_name(replies[0].result),
            replies[0].result, weir_strerror_name(replies[1].result), replies[1].result);
    bool is_over = replies[0].result == 0;
    state_of(round)->ended += is_over;
    return is_over;
}

/* Whether it got a place; it leaves it again. */
static bool join_beside(struct round *round)
{
    bool may_get_in = round->scenario->flags & (JOINING | RECOVERY) ||
                      state_of(round)->membership[VICTIM] != PARTY;
    start(round, RIVAL);
    struct reply reply = ask(round, RIVAL, within(JOIN, 0));
    require(round,
            reply.result == -ENOSPC || (may_get_in && reply.result == 0) ||
                ((round->scenario->flags & RECOVERY) && reply.result == WEIR_OWNER_DIED),
            "beside a stopped one, a rival's join gives %s%d: %s", weir_strerror_name(reply.result),
            reply.result, reply.sentence);
    simply(round, RIVAL, LEAVE);
    quit(round, RIVAL);
    return reply.result >= 0;
}

/* The rival was faster, or the round has ended beside it. */
static bool is_late(const struct round *round, const struct reply *reply, bool is_over,
                    bool has_got_in)
{
    if (round->scenario->order.verb == MEET)
        return (is_over && reply->result == 0) ||
               (has_got_in && has_dead_party(round) && reply->result == 0);
    return has_got_in && (reply->result == 0 || reply->result == -ENOSPC);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    struct barrier_state *state = state_of(round);
    enum who parties[PEERS];
    int dead = has_dead_party(round);
    bool is_due = is_cue_due(round), is_before = is_due && (round->turn & 1), is_over = false;
    /* In the round that a dead party holds up it would take part. */
    bool has_got_in = !dead && join_beside(round);
    if (!scenario->cue && (scenario->flags & WAITING) && !round->is_busy[OLD])
        is_over = meet_beside(round);
    struct reply reply = resume_victim(round, is_due, is_before);
    if (!is_late(round, &reply, is_over, has_got_in))
        must_be(round, VICTIM, &reply, scenario->expected);
    if (round->is_busy[OLD]) { /* they have waited for it */
        unsigned count = 0;
        for (unsigned i = 0; i < PEERS; i++)
            if (round->is_busy[i])
                parties[count++] = (enum who)i;
        meet(round, parties, count, dead, dead);
    }
    if (state->membership[VICTIM] == PARTY && !(scenario->flags & JOINING)) {
        unsigned count = list_parties(round, parties);
        meet(round, parties, count, dead, dead);
    }
    simply(round, VICTIM, LEAVE);
    quit(round, VICTIM);
    go_on(round, dead, dead, dead, dead);
}

/* --- the table ------------------------------------------------------------------------------------ */

/* Each meets for the first time. */
#define ROW(operation, variant, flags, stage, verb, wait, expected, cue)                           \
    { operation, variant, 0, flags, stage, { verb, 1, 0, wait, false }, expected, cue, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("join", "made and opened", JOINING, nobody_knows_it, JOIN, 0, 0, NULL)
    ROW("join", "the last place", JOINING, two_have_joined, JOIN, 0, 0, NULL)
    ROW("join", "a dead one's place", JOINING | RECOVERY, one_of_three_died, JOIN, 0, WEIR_OWNER_DIED, NULL)
    ROW("join", "in vain", 0, three_have_joined, JOIN, 0, -ENOSPC, NULL)
    ROW("barrier wait", "try, others are missing", WAITING, victim_is_the_third, MEET, 0, -EAGAIN, NULL)
    ROW("barrier wait", "in vain", WAITING, victim_is_the_third, MEET, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("barrier wait", "woken", WAITING, victim_is_the_third, MEET, PATIENT_NS, 0, others_come)
    ROW("barrier wait", "the last to come", WAITING, others_sleep, MEET, BOUND_NS, 0, NULL)
    ROW("barrier wait", "one sleeps, one died", WAITING | RECOVERY, one_sleeps_one_died, MEET, BOUND_NS, 1, NULL)
    ROW("leave", "nobody waits", 0, victim_is_the_third, LEAVE, 0, 0, NULL)
    ROW("leave", "others wait", 0, others_sleep, LEAVE, 0, 0, NULL)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject barrier_subject = { scenarios,   &count,     true,      NULL,
                                         before_kill, after_kill, after_stop };
