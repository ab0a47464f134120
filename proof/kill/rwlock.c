/* SPDX-License-Identifier: MIT */
/* Read-write locks: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>

#define SHORT_NS INT64_C(30000000)

enum rwlock_flags {
    GIVING_UP = SUBJECT_FLAG, /* afterwards it may be not recoverable */
};

static void read_it(struct round *round, enum who who)
{
    must(round, who, within(READ_LOCK, BOUND_NS));
}

static void write_it(struct round *round, enum who who)
{
    must(round, who, within(WRITE_LOCK, BOUND_NS));
}

/* It has a place. */
static void know_it(struct round *round, enum who who)
{
    give_identity(round, who);
    read_it(round, who);
    simply(round, who, READ_UNLOCK);
}

static void lose(struct round *round, enum who who)
{
    round->accounts->rwlock.reading[who] = 0; /* before: others may be quick */
    slay(round, who);
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void nobody_knows_it(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

static void all_know_it(struct round *round)
{
    know_it(round, OLD);
    know_it(round, VICTIM);
}

static void other_reads(struct round *round)
{
    all_know_it(round);
    read_it(round, OLD);
}

static void other_writes(struct round *round)
{
    all_know_it(round);
    write_it(round, OLD);
}

/* All places are taken; one by a dead one, who reads. */
static void one_place_is_a_dead_ones(struct round *round)
{
    give_identity(round, VICTIM);
    know_it(round, OLD);
    know_it(round, NEXT);
    know_it(round, DEAD);
    read_it(round, OLD);
    read_it(round, NEXT);
    read_it(round, DEAD);
    lose(round, DEAD);
}

/* All places are taken; one by somebody who lives, and does not read. */
static void one_place_is_idle(struct round *round)
{
    give_identity(round, VICTIM);
    know_it(round, OLD);
    know_it(round, NEXT);
    know_it(round, DEAD);
    read_it(round, OLD);
    read_it(round, NEXT);
}

static void reader_died(struct round *round)
{
    all_know_it(round);
    know_it(round, DEAD);
    read_it(round, DEAD);
    lose(round, DEAD);
}

static void writer_died(struct round *round)
{
    all_know_it(round);
    know_it(round, DEAD);
    write_it(round, DEAD);
    lose(round, DEAD);
}

/* It had waited for the readers to leave. */
static void one_died_that_wanted_to_write(struct round *round)
{
    other_reads(round);
    know_it(round, DEAD);
    tell(round, DEAD, within(WRITE_LOCK, PATIENT_NS));
    see_asleep(round, DEAD);
    lose(round, DEAD);
    simply(round, OLD, READ_UNLOCK);
}

static void victim_reads(struct round *round)
{
    all_know_it(round);
    read_it(round, VICTIM);
}

static void victim_reads_writer_sleeps(struct round *round)
{
    victim_reads(round);
    other_sleeps(round, WRITE_LOCK);
}

static void victim_writes(struct round *round)
{
    all_know_it(round);
    write_it(round, VICTIM);
}

static void victim_writes_reader_sleeps(struct round *round)
{
    victim_writes(round);
    other_sleeps(round, READ_LOCK);
}

static void victim_writes_writer_sleeps(struct round *round)
{
    victim_writes(round);
    other_sleeps(round, WRITE_LOCK);
}

static void victim_inherits(struct round *round)
{
    writer_died(round);
    struct reply reply = ask(round, VICTIM, within(WRITE_LOCK, BOUND_NS));
    must_be(round, VICTIM, &reply, WEIR_OWNER_DIED);
}

static void victim_inherits_reader_sleeps(struct round *round)
{
    victim_inherits(round);
    other_sleeps(round, READ_LOCK);
}

static void other_ends_reading(struct round *round)
{
    simply(round, OLD, READ_UNLOCK);
}

static void other_ends_writing(struct round *round)
{
    simply(round, OLD, WRITE_UNLOCK);
}

/* --- afterwards ----------------------------------------------------------------------------------- */

static void let_go(struct round *round, enum who who)
{
    simply(round, who, REPAIR_WRITTEN);
    simply(round, who, WRITE_UNLOCK);
    simply(round, who, READ_UNLOCK);
    simply(round, who, READ_UNLOCK);
}

static bool is_lost(const struct round *round, const struct reply *reply)
{
    return reply->result == -ENOTRECOVERABLE && (round->scenario->flags & GIVING_UP);
}

static void expect_lock(struct round *round, enum who who, const struct reply *reply)
{
    require(round,
            reply->result == 0 || reply->result == WEIR_OWNER_DIED ||
                reply->result == -EOWNERDEAD || is_lost(round, reply),
            "%s: %s gives %s%d: %s", who_names[who], round->doing,
            weir_strerror_name(reply->result), reply->result, reply->sentence);
}

/* As a reader and as a writer: both say the same. True: given up. */
static bool lock_both_ways(struct round *round, enum who who, bool may_be_told)
{
    struct reply read = ask(round, who, within(READ_LOCK, BOUND_NS));
    expect_lock(round, who, &read);
    simply(round, who, READ_UNLOCK);
    struct reply write = ask(round, who, within(WRITE_LOCK, BOUND_NS));
    expect_lock(round, who, &write);
    int fits = read.result == -EOWNERDEAD ? WEIR_OWNER_DIED : read.result;
    require(round, write.result == fits, "a reader gets %s, a writer %s%d then",
            weir_strerror_name(read.result), weir_strerror_name(write.result), write.result);
    require(round, may_be_told || write.result != WEIR_OWNER_DIED, "a death is told twice");
    let_go(round, who);
    return is_lost(round, &write);
}

/* As many read as there are places: none is a dead one's. Then one writes, and keeps them out. */
static void use_all_places(struct round *round)
{
    static const enum who readers[PLACES] = { OLD, FRESH, NEXT };
    start(round, RIVAL);
    for (unsigned i = 0; i < PLACES; i++) {
        if (round->peer[readers[i]].pid == 0)
            start(round, readers[i]);
        let_go(round, readers[i]);
    }
    for (unsigned i = 0; i < PLACES; i++)
        read_it(round, readers[i]);
    struct reply count = ask(round, FRESH, within(COUNT_READERS, 0));
    must_be(round, FRESH, &count, PLACES);
    struct reply write = ask(round, RIVAL, within(WRITE_LOCK, 0));
    must_be(round, RIVAL, &write, -EAGAIN);
    for (unsigned i = 0; i < PLACES; i++)
        simply(round, readers[i], READ_UNLOCK);
    write_it(round, RIVAL);
    struct reply read = ask(round, FRESH, within(READ_LOCK, 0));
    must_be(round, FRESH, &read, -EAGAIN);
    count = ask(round, FRESH, within(COUNT_READERS, 0));
    must_be(round, FRESH, &count, 0);
    simply(round, RIVAL, WRITE_UNLOCK);
    read_it(round, FRESH);
    simply(round, FRESH, READ_UNLOCK);
}

static void go_on(struct round *round)
{
    start(round, FRESH);
    if (round->is_busy[OLD]) {
        int64_t since_ns = weir_now_ns();
        struct reply reply = answer(round, OLD);
        note_wait(round, since_ns);
        expect_lock(round, OLD, &reply);
    }
    let_go(round, OLD);
    if (round->peer[NEXT].pid > 0)
        let_go(round, NEXT);
    bool is_given_up = lock_both_ways(round, FRESH, true);
    lock_both_ways(round, FRESH, false);
    if (!is_given_up)
        use_all_places(round);
    quit_all(round);
}

static void before_kill(struct round *round)
{
    round->accounts->rwlock.reading[VICTIM] = 0;
}

/* Beside one that stands: what it has it keeps, and nobody is told that it is dead. */
static bool try_rival(struct round *round, enum verb verb, int64_t wait_ns)
{
    bool may_inherit = round->scenario->flags & RECOVERY;
    struct reply reply = ask(round, RIVAL, within(verb, wait_ns));
    bool is_news = reply.result == WEIR_OWNER_DIED || reply.result == -EOWNERDEAD;
    require(round,
            reply.result == 0 || reply.result == (wait_ns ? -ETIMEDOUT : -EAGAIN) ||
                (is_news && may_inherit) || is_lost(round, &reply) ||
                /* The three that there may be read, or are about to. */
                (reply.result == -ENOSPC && round->peer[NEXT].pid > 0),
            "beside a stopped one, a rival's %s gives %s%d: %s", verb_names[verb],
            weir_strerror_name(reply.result), reply.result, reply.sentence);
    let_go(round, RIVAL);
    return reply.result == WEIR_OWNER_DIED;
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    start(round, RIVAL);
    try_rival(round, READ_LOCK, 0);
    try_rival(round, READ_LOCK, 3000000);
    bool has_inherited = try_rival(round, WRITE_LOCK, 0);
    has_inherited |= try_rival(round, WRITE_LOCK, 3000000);
    quit(round, RIVAL);
    bool is_due = is_cue_due(round), is_before = is_due && (round->turn & 1);
    struct reply reply = resume_victim(round, is_due, is_before);
    /* The rival was faster, and has repaired. */
    bool is_late = (has_inherited && reply.result == 0) ||
                   /* It had the place that was idle when the victim looked. */
                   (round->peer[NEXT].pid > 0 && reply.result == -ENOSPC);
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    let_go(round, VICTIM);
    quit(round, VICTIM);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, wait, expected, cue)                           \
    { operation, variant, 0, flags, stage, { verb, 0, 0, wait, false }, expected, cue, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("read lock", "made and opened", 0, nobody_knows_it, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read lock", "free", 0, all_know_it, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read lock", "others read", 0, other_reads, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read lock", "an idle one's place", 0, one_place_is_idle, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read lock", "a dead one's place", RECOVERY, one_place_is_a_dead_ones, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read lock", "try, one writes", 0, other_writes, READ_LOCK, 0, -EAGAIN, NULL)
    ROW("read lock", "in vain", 0, other_writes, READ_LOCK, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("read lock", "woken", 0, other_writes, READ_LOCK, PATIENT_NS, 0, other_ends_writing)
    ROW("read lock", "a writer died", RECOVERY, writer_died, READ_LOCK, BOUND_NS, -EOWNERDEAD, NULL)
    ROW("read lock", "one died that waited to write", RECOVERY, one_died_that_wanted_to_write, READ_LOCK, BOUND_NS, 0, NULL)
    ROW("read unlock", "nobody waits", 0, victim_reads, READ_UNLOCK, 0, 0, NULL)
    ROW("read unlock", "a writer sleeps", 0, victim_reads_writer_sleeps, READ_UNLOCK, 0, 0, NULL)
    ROW("write lock", "free", 0, all_know_it, WRITE_LOCK, BOUND_NS, 0, NULL)
    ROW("write lock", "try, one reads", 0, other_reads, WRITE_LOCK, 0, -EAGAIN, NULL)
    ROW("write lock", "in vain", 0, other_reads, WRITE_LOCK, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("write lock", "woken", 0, other_reads, WRITE_LOCK, PATIENT_NS, 0, other_ends_reading)
    ROW("write lock", "a dead reader", RECOVERY, reader_died, WRITE_LOCK, BOUND_NS, 0, NULL)
    ROW("write lock", "inherited", RECOVERY, writer_died, WRITE_LOCK, BOUND_NS, WEIR_OWNER_DIED, NULL)
    ROW("write lock", "one died that waited to write", RECOVERY, one_died_that_wanted_to_write, WRITE_LOCK, BOUND_NS, 0, NULL)
    ROW("write unlock", "nobody waits", 0, victim_writes, WRITE_UNLOCK, 0, 0, NULL)
    ROW("write unlock", "a reader sleeps", 0, victim_writes_reader_sleeps, WRITE_UNLOCK, 0, 0, NULL)
    ROW("write unlock", "a writer sleeps", 0, victim_writes_writer_sleeps, WRITE_UNLOCK, 0, 0, NULL)
    ROW("write unlock", "gives up, a reader sleeps", GIVING_UP, victim_inherits_reader_sleeps, WRITE_UNLOCK, 0, 0, NULL)
    ROW("downgrade", "a reader sleeps", 0, victim_writes_reader_sleeps, DOWNGRADE, 0, 0, NULL)
    ROW("rwlock consistent", "a reader sleeps", RECOVERY, victim_inherits_reader_sleeps, REPAIR_WRITTEN, 0, 0, NULL)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject rwlock_subject = { scenarios,   &count, true,      NULL,
                                        before_kill, go_on,  after_stop };
