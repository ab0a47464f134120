/* SPDX-License-Identifier: MIT */
/* Permits: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>

#define SHORT_NS INT64_C(30000000)

static struct order give_back(unsigned count)
{
    return (struct order){ .verb = GIVE_BACK, .count = count };
}

static void take(struct round *round, enum who who, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        must(round, who, within(TAKE_PERMIT, BOUND_NS));
}

/* It has had one. */
static void know_it(struct round *round, enum who who)
{
    give_identity(round, who);
    take(round, who, 1);
    must(round, who, give_back(1));
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void nobody_knows_them(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

static void all_know_them(struct round *round)
{
    know_it(round, OLD);
    know_it(round, VICTIM);
}

static void other_has_all(struct round *round)
{
    all_know_them(round);
    take(round, OLD, PLACES);
}

static void one_is_left(struct round *round)
{
    all_know_them(round);
    take(round, OLD, PLACES - 1);
}

static void one_is_a_dead_ones(struct round *round)
{
    all_know_them(round);
    know_it(round, DEAD);
    take(round, DEAD, 1);
    take(round, OLD, PLACES - 1);
    slay(round, DEAD);
}

static void victim_has_one(struct round *round)
{
    all_know_them(round);
    take(round, VICTIM, 1);
}

static void victim_has_all_other_sleeps(struct round *round)
{
    all_know_them(round);
    take(round, VICTIM, PLACES);
    tell(round, OLD, within(TAKE_PERMIT, PATIENT_NS));
    see_asleep(round, OLD);
}

static void other_gives_one_back(struct round *round)
{
    must(round, OLD, give_back(1));
}

/* --- afterwards ----------------------------------------------------------------------------------- */

/* Takes so many; how many deaths were told. */
static unsigned take_any(struct round *round, enum who who, unsigned count)
{
    unsigned told = 0;
    for (unsigned i = 0; i < count; i++) {
        struct reply reply = ask(round, who, within(TAKE_PERMIT, BOUND_NS));
        require(round, reply.result >= 0, "%s: permit %u of %u: %s: %s", who_names[who], i + 1,
                count, weir_strerror_name(reply.result), reply.sentence);
        told += reply.result == WEIR_OWNER_DIED;
    }
    return told;
}

/* All can be had, once, by three; and no more. */
static unsigned take_all(struct round *round)
{
    unsigned told = take_any(round, OLD, 1) + take_any(round, FRESH, PLACES - 1);
    struct reply reply = ask(round, NEXT, within(TAKE_PERMIT, 0));
    must_be(round, NEXT, &reply, -EAGAIN);
    reply = ask(round, FRESH, within(COUNT_PERMITS, 0));
    must_be(round, FRESH, &reply, 0);
    must(round, OLD, give_back(PLACES));
    must(round, FRESH, give_back(PLACES));
    reply = ask(round, FRESH, within(COUNT_PERMITS, 0));
    must_be(round, FRESH, &reply, PLACES);
    return told;
}

static void go_on(struct round *round)
{
    unsigned most = 0; /* how many the dead may have had */
    for (unsigned i = 0; i < PLACES; i++)
        most += round->accounts->permits.holder[i] != 0 &&
                round->accounts->permits.holder[i] != round->peer[OLD].pid;
    start(round, FRESH);
    start(round, NEXT);
    if (round->is_busy[OLD]) {
        int64_t since_ns = weir_now_ns();
        struct reply reply = answer(round, OLD);
        note_wait(round, since_ns);
        require(round, reply.result >= 0, "the survivor gets %s: %s",
                weir_strerror_name(reply.result), reply.sentence);
    }
    must(round, OLD, give_back(PLACES));
    know_it(round, NEXT);
    /* One more may have been taken, or was just being released. */
    unsigned told = take_all(round);
    require(round, told <= most + 1, "%u deaths are told of %u permits", told, most + 1);
    told = take_all(round);
    require(round, told == 0, "a death is told twice");
    quit_all(round);
}

/* Beside one that stands: it keeps what it has. */
static bool try_rival(struct round *round, int64_t wait_ns)
{
    unsigned taken = 0;
    bool has_inherited = false;
    struct reply reply = { .result = 0 };
    while (taken <= PLACES && reply.result >= 0) {
        reply = ask(round, RIVAL, within(TAKE_PERMIT, wait_ns));
        has_inherited |= reply.result == WEIR_OWNER_DIED;
        taken += reply.result >= 0;
    }
    require(round,
            reply.result == (wait_ns ? -ETIMEDOUT : -EAGAIN) &&
                (!has_inherited || (round->scenario->flags & RECOVERY)),
            "beside a stopped one, a rival gets %u permits, then %s%d%s: %s", taken,
            weir_strerror_name(reply.result), reply.result,
            has_inherited ? ", and is told of a death" : "", reply.sentence);
    must(round, RIVAL, give_back(PLACES));
    return has_inherited;
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    start(round, RIVAL);
    /* A rival that waits would take what is given back to who is asleep, and stands. */
    bool has_inherited = try_rival(round, 0);
    has_inherited |= try_rival(round, 3000000);
    quit(round, RIVAL);
    bool is_due = is_cue_due(round), is_before = is_due && (round->turn & 1);
    struct reply reply = resume_victim(round, is_due, is_before);
    /* The rival was faster, and has given it back, or had it when the victim looked. */
    bool is_late = has_inherited && (reply.result == 0 || reply.result == -EAGAIN);
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    must(round, VICTIM, give_back(PLACES));
    quit(round, VICTIM);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, number, wait, expected, cue)                   \
    { operation, variant, 0, flags, stage, { verb, number, 0, wait, false }, expected, cue, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("take a permit", "made and opened", 0, nobody_knows_them, TAKE_PERMIT, 0, BOUND_NS, 0, NULL)
    ROW("take a permit", "free", 0, all_know_them, TAKE_PERMIT, 0, BOUND_NS, 0, NULL)
    ROW("take a permit", "the last", 0, one_is_left, TAKE_PERMIT, 0, BOUND_NS, 0, NULL)
    ROW("take a permit", "try, all held", 0, other_has_all, TAKE_PERMIT, 0, 0, -EAGAIN, NULL)
    ROW("take a permit", "in vain", 0, other_has_all, TAKE_PERMIT, 0, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("take a permit", "woken", 0, other_has_all, TAKE_PERMIT, 0, PATIENT_NS, 0, other_gives_one_back)
    ROW("take a permit", "a dead one's", RECOVERY, one_is_a_dead_ones, TAKE_PERMIT, 0, BOUND_NS, WEIR_OWNER_DIED, NULL)
    ROW("take a permit", "try, a dead one's", RECOVERY, one_is_a_dead_ones, TAKE_PERMIT, 0, 0, WEIR_OWNER_DIED, NULL)
    ROW("release a permit", "nobody waits", 0, victim_has_one, GIVE_BACK, 1, 0, 0, NULL)
    ROW("release a permit", "one sleeps", 0, victim_has_all_other_sleeps, GIVE_BACK, 1, 0, 0, NULL)
    ROW("permits value", "one is a dead one's", RECOVERY, one_is_a_dead_ones, COUNT_PERMITS, 0, 0, 1, NULL)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject permits_subject = { scenarios, &count, true, NULL, NULL, go_on, after_stop };
