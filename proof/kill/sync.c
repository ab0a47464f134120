/* SPDX-License-Identifier: MIT */
/* Floor 2: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>
#include <poll.h>

#define SHORT_NS INT64_C(30000000)

enum sync_flags {
    GIVING_UP = SUBJECT_FLAG, /* afterwards the mutex may be not recoverable */
};

/* --- who stands where ----------------------------------------------------------------------------- */

static void all_know_it(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

static void other_holds(struct round *round)
{
    all_know_it(round);
    must(round, OLD, within(LOCK, BOUND_NS));
}

static void holder_died(struct round *round)
{
    all_know_it(round);
    give_identity(round, DEAD);
    must(round, DEAD, within(LOCK, BOUND_NS));
    slay(round, DEAD);
}

static void victim_holds(struct round *round)
{
    all_know_it(round);
    must(round, VICTIM, within(LOCK, BOUND_NS));
}

static void victim_holds_other_sleeps(struct round *round)
{
    victim_holds(round);
    other_sleeps(round, LOCK);
}

static void victim_holds_a_recursive_one(struct round *round)
{
    all_know_it(round);
    require(round, weir_mutex_init(&round->accounts->sync.mutex, WEIR_MUTEX_RECURSIVE) == 0,
            "no recursive mutex");
    must(round, VICTIM, within(LOCK, BOUND_NS));
}

static void victim_holds_twice_other_sleeps(struct round *round)
{
    victim_holds_a_recursive_one(round);
    must(round, VICTIM, within(LOCK_AGAIN, BOUND_NS));
    other_sleeps(round, LOCK);
}

/* Beside the old one, which does the same. */
static void next_sleeps(struct round *round, enum verb verb)
{
    tell(round, NEXT, within(verb, PATIENT_NS));
    see_asleep(round, NEXT);
}

static void victim_inherits(struct round *round)
{
    holder_died(round);
    struct reply reply = ask(round, VICTIM, within(LOCK, BOUND_NS));
    must_be(round, VICTIM, &reply, WEIR_OWNER_DIED);
}

static void victim_inherits_other_sleeps(struct round *round)
{
    victim_inherits(round);
    other_sleeps(round, LOCK);
}

static void other_waits_for_condition(struct round *round)
{
    all_know_it(round);
    must(round, OLD, within(LOCK, BOUND_NS));
    other_sleeps(round, CONDITION_WAIT);
    must(round, VICTIM, within(CHANGE, 0));
}

static void two_wait_for_condition(struct round *round)
{
    all_know_it(round);
    give_identity(round, NEXT);
    must(round, OLD, within(LOCK, BOUND_NS));
    other_sleeps(round, CONDITION_WAIT);
    must(round, NEXT, within(LOCK, BOUND_NS));
    next_sleeps(round, CONDITION_WAIT);
    must(round, VICTIM, within(CHANGE, 0));
}

static void two_wait_for_event(struct round *round)
{
    all_know_it(round);
    give_identity(round, NEXT);
    other_sleeps(round, EVENT_WAIT);
    next_sleeps(round, EVENT_WAIT);
}

static void two_wait_for_unit(struct round *round)
{
    all_know_it(round);
    give_identity(round, NEXT);
    other_sleeps(round, SEMAPHORE_WAIT);
    next_sleeps(round, SEMAPHORE_WAIT);
}

static void other_waits_for_event(struct round *round)
{
    all_know_it(round);
    other_sleeps(round, EVENT_WAIT);
}

static void other_waits_for_unit(struct round *round)
{
    all_know_it(round);
    other_sleeps(round, SEMAPHORE_WAIT);
}

static void unit_is_there(struct round *round)
{
    all_know_it(round);
    must(round, OLD, within(SEMAPHORE_POST, 0));
}

static void builder_died(struct round *round)
{
    all_know_it(round);
    start(round, DEAD);
    struct reply reply = ask(round, DEAD, within(ONCE_BEGIN, BOUND_NS));
    must_be(round, DEAD, &reply, WEIR_ONCE_BEGUN);
    slay(round, DEAD);
}

static void victim_builds_other_waits(struct round *round)
{
    all_know_it(round);
    struct reply reply = ask(round, VICTIM, within(ONCE_BEGIN, BOUND_NS));
    must_be(round, VICTIM, &reply, WEIR_ONCE_BEGUN);
    other_sleeps(round, ONCE_BEGIN);
}

static void other_unlocks(struct round *round)
{
    must(round, OLD, within(UNLOCK, 0));
}

static void other_signals(struct round *round)
{
    must(round, OLD, within(CHANGE, 0));
    must(round, OLD, within(SIGNAL, 0));
}

static void other_notifies(struct round *round)
{
    must(round, OLD, within(NOTIFY, 0));
}

static void other_posts(struct round *round)
{
    must(round, OLD, within(SEMAPHORE_POST, 0));
}

/* --- afterwards ------------------------------------------------------------------------------------- */

static void let_go(struct round *round, enum who who)
{
    must(round, who, within(ONCE_END, 0));
    must(round, who, within(REPAIR, 0));
    must(round, who, within(UNLOCK, 0));
}

/* What a lock may give to one that comes later. */
static void expect_lock(struct round *round, enum who who, const struct reply *reply)
{
    bool may_be_lost = round->scenario->flags & GIVING_UP;
    require(round,
            reply->result == 0 || reply->result == WEIR_OWNER_DIED ||
                (may_be_lost && reply->result == -ENOTRECOVERABLE),
            "%s's lock gives %s%d: %s", who == FRESH ? "a newcomer" : "the survivor",
            weir_strerror_name(reply->result), reply->result, reply->sentence);
}

/* Of those who sleep, the one that has answered: of two that need the mutex one has it. */
static enum who first_awake(struct round *round)
{
    struct pollfd answers[] = { { .fd = round->peer[OLD].replies, .events = POLLIN },
                                { .fd = round->peer[NEXT].replies, .events = POLLIN } };
    if (!round->is_busy[NEXT])
        return OLD;
    if (!round->is_busy[OLD])
        return NEXT;
    poll(answers, 2, (int)(2 * BOUND_NS / 1000000));
    return answers[1].revents ? NEXT : OLD;
}

/* What those wait for who sleep a death may have kept from them for ever: a newcomer makes up for that. */
static void help_sleepers(struct round *round)
{
    unsigned sleepers = round->is_busy[OLD] + round->is_busy[NEXT];
    switch (round->scenario->order.verb) {
    case SIGNAL: /* has changed already: no help is needed */
        break;
    case NOTIFY:
        must(round, FRESH, (struct order){ .verb = NOTIFY, .count = 1 });
        break;
    case SEMAPHORE_POST:
        for (unsigned i = 0; i < sleepers; i++)
            must(round, FRESH, within(SEMAPHORE_POST, 0));
        break;
    default:
        break;
    }
}

/* The survivors were asleep. They must come back in time; with a mutex or once, by themselves. */
static void see_survivors(struct round *round)
{
    int64_t since_ns = weir_now_ns();
    if (round->is_busy[OLD] || round->is_busy[NEXT])
        help_sleepers(round);
    while (round->is_busy[OLD] || round->is_busy[NEXT]) {
        enum who who = first_awake(round);
        struct reply reply = answer(round, who);
        note_wait(round, since_ns);
        if (round->scenario->order.verb == ONCE_END || round->scenario->order.verb == ONCE_ABANDON)
            require(round, reply.result >= 0, "the survivor's begin gives %s",
                    weir_strerror_name(reply.result));
        else
            expect_lock(round, who, &reply);
        let_go(round, who);
    }
    let_go(round, OLD);
}

static void count_units(struct round *round)
{
    const struct sync_state *sync = &round->accounts->sync;
    int value = weir_semaphore_value(&sync->semaphore);
    int least = (int)(sync->posted - sync->taking), most = (int)(sync->posting - sync->taken);
    require(round, value >= least && value <= most, "%d units; %d to %d can be there", value, least,
            most);
}

static void after_kill(struct round *round)
{
    start(round, FRESH);
    see_survivors(round);
    for (int i = 0; i < 2; i++) {
        struct reply reply = ask(round, FRESH, within(LOCK, BOUND_NS));
        expect_lock(round, FRESH, &reply);
        require(round, i == 0 || reply.result != WEIR_OWNER_DIED, "a death is told twice");
        let_go(round, FRESH);
        reply = ask(round, FRESH, within(ONCE_BEGIN, BOUND_NS));
        require(round, reply.result >= 0, "a newcomer's begin gives %s: %s",
                weir_strerror_name(reply.result), reply.sentence);
        let_go(round, FRESH);
    }
    struct reply reply =
        ask(round, OLD, within(LOCK, BOUND_NS)); /* who has it more than once keeps it */
    expect_lock(round, OLD, &reply);
    let_go(round, OLD);
    count_units(round);
    must(round, FRESH, within(SEMAPHORE_POST, 0));
    must(round, OLD, within(SEMAPHORE_WAIT, BOUND_NS));
    quit_all(round);
}

/* A stopped holder is alive: nobody is told of its death, nobody gets what it has. */
static bool try_rival_lock(struct round *round, int64_t wait_ns)
{
    bool may_inherit = round->scenario->flags & RECOVERY;
    bool may_be_lost = round->scenario->flags & GIVING_UP;
    struct reply reply = ask(round, RIVAL, within(LOCK, wait_ns));
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
    struct reply reply = ask(round, RIVAL, within(ONCE_BEGIN, 0));
    bool is_heir = reply.result == WEIR_OWNER_DIED;
    require(round,
            reply.result >= 0 ? !is_heir || (round->scenario->flags & RECOVERY)
                              : reply.result == -EAGAIN,
            "beside a stopped one, a rival's begin gives %s%d: %s",
            weir_strerror_name(reply.result), reply.result, reply.sentence);
    must(round, RIVAL, within(ONCE_ABANDON, 0));
    return is_heir;
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    start(round, RIVAL);
    bool has_inherited = try_rival_lock(round, 0);
    has_inherited |= try_rival_lock(round, 3000000);
    bool has_begun = try_rival_begin(round);
    quit(round, RIVAL);
    bool is_due = is_cue_due(round);
    /* Who changes what a condition waits for needs the mutex, which a stopped one may hold. */
    bool is_possible = scenario->order.verb != CONDITION_WAIT ||
                       weir_mutex_owner(&round->accounts->sync.mutex) == WEIR_IDENTITY_NOBODY;
    bool is_before = is_due && is_possible && (round->turn & 1);
    struct reply reply = resume_victim(round, is_due, is_before);
    /* The rival was faster: what was to be inherited is free, or was just then another's. */
    bool is_late = (has_inherited && (reply.result == 0 || reply.result == -EAGAIN)) ||
                   (has_begun && reply.result == WEIR_ONCE_BEGUN);
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    let_go(round, VICTIM);
    quit(round, VICTIM);
    after_kill(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, count, wait, expected, cue)                    \
    { operation, variant, 0, flags, stage, { verb, count, 0, wait, false }, expected, cue, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("lock", "free", 0, all_know_it, LOCK, 0, BOUND_NS, 0, NULL)
    ROW("lock", "try, held", 0, other_holds, LOCK, 0, 0, -EAGAIN, NULL)
    ROW("lock", "in vain", 0, other_holds, LOCK, 0, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("lock", "woken", 0, other_holds, LOCK, 0, PATIENT_NS, 0, other_unlocks)
    ROW("lock", "inherited", RECOVERY, holder_died, LOCK, 0, BOUND_NS, WEIR_OWNER_DIED, NULL)
    ROW("lock", "try, inherited", RECOVERY, holder_died, LOCK, 0, 0, WEIR_OWNER_DIED, NULL)
    ROW("unlock", "nobody waits", 0, victim_holds, UNLOCK, 0, 0, 0, NULL)
    ROW("unlock", "one sleeps", 0, victim_holds_other_sleeps, UNLOCK, 0, 0, 0, NULL)
    ROW("unlock", "gives up", GIVING_UP, victim_inherits, UNLOCK, 0, 0, 0, NULL)
    ROW("unlock", "gives up, one sleeps", GIVING_UP, victim_inherits_other_sleeps, UNLOCK, 0, 0, 0, NULL)
    ROW("lock", "recursive, again", 0, victim_holds_a_recursive_one, LOCK_AGAIN, 0, BOUND_NS, 0, NULL)
    ROW("unlock", "recursive, once of twice", 0, victim_holds_twice_other_sleeps, UNLOCK_ONCE, 0, 0, 0, NULL)
    ROW("unlock", "recursive, twice", 0, victim_holds_twice_other_sleeps, UNLOCK, 0, 0, 0, NULL)
    ROW("consistent", "", RECOVERY, victim_inherits_other_sleeps, REPAIR, 0, 0, 0, NULL)
    ROW("condition wait", "in vain", 0, victim_holds, CONDITION_WAIT, 0, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("condition wait", "signalled", 0, victim_holds, CONDITION_WAIT, 0, PATIENT_NS, 0, other_signals)
    ROW("signal", "one sleeps", 0, other_waits_for_condition, SIGNAL, 0, 0, 0, NULL)
    ROW("broadcast", "one sleeps", 0, other_waits_for_condition, SIGNAL, 1, 0, 0, NULL)
    ROW("broadcast", "two sleep", 0, two_wait_for_condition, SIGNAL, 1, 0, 0, NULL)
    ROW("event wait", "notified", 0, all_know_it, EVENT_WAIT, 0, PATIENT_NS, 0, other_notifies)
    ROW("notify", "one sleeps", 0, other_waits_for_event, NOTIFY, 0, 0, 0, NULL)
    ROW("notify all", "one sleeps", 0, other_waits_for_event, NOTIFY, 1, 0, 0, NULL)
    ROW("notify all", "two sleep", 0, two_wait_for_event, NOTIFY, 1, 0, 0, NULL)
    ROW("semaphore wait", "there is one", 0, unit_is_there, SEMAPHORE_WAIT, 0, BOUND_NS, 0, NULL)
    ROW("semaphore wait", "in vain", 0, all_know_it, SEMAPHORE_WAIT, 0, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("semaphore wait", "posted", 0, all_know_it, SEMAPHORE_WAIT, 0, PATIENT_NS, 0, other_posts)
    ROW("semaphore post", "nobody waits", 0, all_know_it, SEMAPHORE_POST, 0, 0, 0, NULL)
    ROW("semaphore post", "one sleeps", 0, other_waits_for_unit, SEMAPHORE_POST, 0, 0, 0, NULL)
    ROW("semaphore post many", "nobody waits", 0, all_know_it, SEMAPHORE_POST, 3, 0, 0, NULL)
    ROW("semaphore post many", "two sleep", 0, two_wait_for_unit, SEMAPHORE_POST, 2, 0, 0, NULL)
    ROW("once begin", "first", 0, all_know_it, ONCE_BEGIN, 0, BOUND_NS, WEIR_ONCE_BEGUN, NULL)
    ROW("once begin", "inherited", RECOVERY, builder_died, ONCE_BEGIN, 0, BOUND_NS, WEIR_OWNER_DIED, NULL)
    ROW("once end", "one waits", 0, victim_builds_other_waits, ONCE_END, 0, 0, 0, NULL)
    ROW("once abandon", "one waits", 0, victim_builds_other_waits, ONCE_ABANDON, 0, 0, 0, NULL)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject sync_subject = { scenarios, &count, true, NULL, NULL, after_kill, after_stop };
