/* SPDX-License-Identifier: MIT */
/* Floor 2: who stands where before each order, and what must hold when the victim is gone. */
#include "sync.h"

#include <errno.h>

static struct order with_wait(enum verb verb, int64_t wait_ns)
{
    return (struct order){ .verb = verb, .wait_ns = wait_ns };
}

/* Each has its identity, and has locked it once. */
static void know_it(struct round *round, enum who who)
{
    if (who != VICTIM)
        start(round, who);
    must(round, who, with_wait(LOCK, BOUND_NS));
    must(round, who, with_wait(UNLOCK, 0));
}

/* --- who stands where ----------------------------------------------------------------------------- */

void all_know_it(struct round *round)
{
    know_it(round, OLD);
    know_it(round, VICTIM);
}

void other_holds(struct round *round)
{
    all_know_it(round);
    must(round, OLD, with_wait(LOCK, BOUND_NS));
}

void holder_died(struct round *round)
{
    all_know_it(round);
    know_it(round, DEAD);
    must(round, DEAD, with_wait(LOCK, BOUND_NS));
    slay(round, DEAD);
}

void victim_holds(struct round *round)
{
    all_know_it(round);
    must(round, VICTIM, with_wait(LOCK, BOUND_NS));
}

static void other_sleeps(struct round *round, enum verb verb)
{
    tell(round, OLD, with_wait(verb, PATIENT_NS));
    see_asleep(round, OLD);
}

void victim_holds_other_sleeps(struct round *round)
{
    victim_holds(round);
    other_sleeps(round, LOCK);
}

void victim_inherits(struct round *round)
{
    holder_died(round);
    struct reply reply = ask(round, VICTIM, with_wait(LOCK, BOUND_NS));
    must_be(round, VICTIM, &reply, WEIR_OWNER_DIED);
}

void victim_inherits_other_sleeps(struct round *round)
{
    victim_inherits(round);
    other_sleeps(round, LOCK);
}

void other_waits_for_condition(struct round *round)
{
    all_know_it(round);
    must(round, OLD, with_wait(LOCK, BOUND_NS));
    other_sleeps(round, CONDITION_WAIT);
    must(round, VICTIM, with_wait(CHANGE, 0));
}

void other_waits_for_event(struct round *round)
{
    all_know_it(round);
    other_sleeps(round, EVENT_WAIT);
}

void other_waits_for_unit(struct round *round)
{
    all_know_it(round);
    other_sleeps(round, SEMAPHORE_WAIT);
}

void unit_is_there(struct round *round)
{
    all_know_it(round);
    must(round, OLD, with_wait(SEMAPHORE_POST, 0));
}

void builder_died(struct round *round)
{
    all_know_it(round);
    start(round, DEAD);
    struct reply reply = ask(round, DEAD, with_wait(ONCE_BEGIN, BOUND_NS));
    must_be(round, DEAD, &reply, WEIR_ONCE_BEGUN);
    slay(round, DEAD);
}

void victim_builds_other_waits(struct round *round)
{
    all_know_it(round);
    struct reply reply = ask(round, VICTIM, with_wait(ONCE_BEGIN, BOUND_NS));
    must_be(round, VICTIM, &reply, WEIR_ONCE_BEGUN);
    other_sleeps(round, ONCE_BEGIN);
}

void other_unlocks(struct round *round)
{
    must(round, OLD, with_wait(UNLOCK, 0));
}

void other_signals(struct round *round)
{
    must(round, OLD, with_wait(CHANGE, 0));
    must(round, OLD, with_wait(SIGNAL, 0));
}

void other_notifies(struct round *round)
{
    must(round, OLD, with_wait(NOTIFY, 0));
}

void other_posts(struct round *round)
{
    must(round, OLD, with_wait(SEMAPHORE_POST, 0));
}

/* --- afterwards ------------------------------------------------------------------------------------- */

static void let_go(struct round *round, enum who who)
{
    must(round, who, with_wait(ONCE_END, 0));
    must(round, who, with_wait(REPAIR, 0));
    must(round, who, with_wait(UNLOCK, 0));
}

/* What a lock may give to one that comes later. */
static void expect_lock(struct round *round, enum who who, const struct reply *reply)
{
    bool may_be_lost = round->scenario->flags & GIVING_UP;
    require(round,
            reply->result == 0 || reply->result == WEIR_OWNER_DIED ||
                (may_be_lost && reply->result == -ENOTRECOVERABLE),
            "%s's lock gives %s%d: %s", who == OLD ? "the survivor" : "a newcomer",
            weir_strerror_name(reply->result), reply->result, reply->sentence);
}

/*
 * The survivor was asleep. What it waits for a death may have kept from it for ever: a newcomer
 * makes up for that. Then it must come back in time; with a mutex or once, by itself.
 */
static void see_survivor(struct round *round)
{
    if (round->is_busy[OLD]) {
        int64_t since_ns = weir_now_ns();
        switch (round->scenario->order.verb) {
        case SIGNAL: /* has changed already: no help is needed */
            break;
        case NOTIFY:
            must(round, FRESH, (struct order){ .verb = NOTIFY, .count = 1 });
            break;
        case SEMAPHORE_POST:
            must(round, FRESH, with_wait(SEMAPHORE_POST, 0));
            break;
        default:
            break;
        }
        struct reply reply = answer(round, OLD);
        note_wait(round, since_ns);
        if (round->scenario->order.verb == ONCE_END || round->scenario->order.verb == ONCE_ABANDON)
            require(round, reply.result >= 0, "the survivor's begin gives %s",
                    weir_strerror_name(reply.result));
        else
            expect_lock(round, OLD, &reply);
    }
    let_go(round, OLD);
}

static void count_units(struct round *round)
{
    const struct shared_state *sync = &round->accounts->sync;
    int value = weir_semaphore_value(&sync->semaphore);
    int least = (int)(sync->posted - sync->taking), most = (int)(sync->posting - sync->taken);
    require(round, value >= least && value <= most, "%d units; %d to %d can be there", value, least,
            most);
}

void sync_go_on(struct round *round)
{
    start(round, FRESH);
    see_survivor(round);
    for (int i = 0; i < 2; i++) {
        struct reply reply = ask(round, FRESH, with_wait(LOCK, BOUND_NS));
        expect_lock(round, FRESH, &reply);
        require(round, i == 0 || reply.result != WEIR_OWNER_DIED, "a death is told twice");
        let_go(round, FRESH);
        reply = ask(round, FRESH, with_wait(ONCE_BEGIN, BOUND_NS));
        require(round, reply.result >= 0, "a newcomer's begin gives %s: %s",
                weir_strerror_name(reply.result), reply.sentence);
        let_go(round, FRESH);
    }
    count_units(round);
    must(round, FRESH, with_wait(SEMAPHORE_POST, 0));
    must(round, OLD, with_wait(SEMAPHORE_WAIT, BOUND_NS));
    for (unsigned who = 0; who < PEERS; who++)
        quit(round, (enum who)who);
    nothing_is_left(round);
}

/* A stopped holder is alive: nobody is told of its death, nobody gets what it has. */
static bool try_rival_lock(struct round *round, int64_t wait_ns)
{
    bool may_inherit = round->scenario->flags & RECOVERY;
    bool may_be_lost = round->scenario->flags & GIVING_UP;
    struct reply reply = ask(round, RIVAL, with_wait(LOCK, wait_ns));
    bool is_heir = reply.result == WEIR_OWNER_DIED;
    require(round,
            reply.result == 0 || reply.result == (wait_ns ? -ETIMEDOUT : -EAGAIN) ||
                (is_heir && may_inherit) || (may_be_lost && reply.result == -ENOTRECOVERABLE),
            "beside a stopped one, a rival's lock gives %s%d: %s", weir_strerror_name(reply.result),
            reply.result, reply.sentence);
    let_go(round, RIVAL);
    return is_heir;
}

static bool try_rival_begin(struct round *round)
{
    struct reply reply = ask(round, RIVAL, with_wait(ONCE_BEGIN, 0));
    bool is_heir = reply.result == WEIR_OWNER_DIED;
    require(round,
            reply.result >= 0 ? !is_heir || (round->scenario->flags & RECOVERY)
                              : reply.result == -EAGAIN,
            "beside a stopped one, a rival's begin gives %s%d: %s",
            weir_strerror_name(reply.result), reply.result, reply.sentence);
    must(round, RIVAL, with_wait(ONCE_ABANDON, 0));
    return is_heir;
}

void sync_after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    start(round, RIVAL);
    bool has_inherited = try_rival_lock(round, 0);
    has_inherited |= try_rival_lock(round, 3000000);
    bool has_begun = try_rival_begin(round);
    quit(round, RIVAL);
    bool is_cue_due = scenario->cue && !round->stepper.has_cued;
    /* Who changes what a condition waits for needs the mutex, which a stopped one may hold. */
    bool is_possible = scenario->order.verb != CONDITION_WAIT ||
                       weir_mutex_owner(&round->accounts->sync.mutex) == WEIR_IDENTITY_NOBODY;
    bool is_before = is_cue_due && is_possible && (round->turn & 1);
    if (is_before)
        scenario->cue(round);
    stepper_release(&round->stepper);
    if (is_cue_due && !is_before)
        scenario->cue(round);
    struct reply reply = answer(round, VICTIM);
    /* The rival was faster: what was to be inherited is free, or was just then another's. */
    bool is_late = (has_inherited && (reply.result == 0 || reply.result == -EAGAIN)) ||
                   (has_begun && reply.result == WEIR_ONCE_BEGUN);
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    let_go(round, VICTIM);
    quit(round, VICTIM);
    sync_go_on(round);
}
