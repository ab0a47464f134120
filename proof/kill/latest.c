/* SPDX-License-Identifier: MIT */
/* The latest value: who stands where before each order, and what must hold when the victim is gone. */
#include "round.h"

#include <errno.h>

#define SHORT_NS INT64_C(30000000)

enum latest_flags {
    WRITES = SUBJECT_FLAG << 0,   /* the victim is the writer, before and afterwards */
    CHANGES = SUBJECT_FLAG << 1,  /* it becomes or ceases to be the writer */
    WATCHES = SUBJECT_FLAG << 2,  /* it waits for a value: nobody else writes one */
    UNREADY = SUBJECT_FLAG << 3,  /* the memory may not be ready */
    ORPHANED = SUBJECT_FLAG << 4, /* the writer is dead, and stays so */
};

/* Values there are in the beginning; the survivor holds the fourth. */
#define FIRST_VALUES 6

static void some(struct round *round, enum who who, enum verb verb, unsigned count)
{
    must(round, who, (struct order){ .verb = verb, .count = count });
}

static struct order wait_for_next(const struct round *round, int64_t wait_ns)
{
    unsigned newest = (unsigned)round->accounts->latest.committed;
    return (struct order){ .verb = AWAIT, .size_bytes = newest, .wait_ns = wait_ns };
}

/* --- who stands where ----------------------------------------------------------------------------- */

static void memory_is_zero(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

static void values_are_there(struct round *round)
{
    memory_is_zero(round);
    simply(round, OLD, MAKE_READY);
    simply(round, OLD, BE_WRITER);
    some(round, OLD, WRITE, 4);
    some(round, OLD, HOLD, 1);
    some(round, OLD, WRITE, FIRST_VALUES - 4);
    simply(round, OLD, WRITER_CLOSE);
}

static void writer_died(struct round *round)
{
    values_are_there(round);
    give_identity(round, DEAD);
    simply(round, DEAD, BE_WRITER);
    some(round, DEAD, WRITE, 1);
    simply(round, DEAD, LEND);
    slay(round, DEAD);
}

static void victim_writes(struct round *round)
{
    values_are_there(round);
    simply(round, VICTIM, BE_WRITER);
    some(round, VICTIM, WRITE, 1);
}

static void other_waits(struct round *round)
{
    tell(round, OLD, wait_for_next(round, PATIENT_NS));
    see_asleep(round, OLD);
}

static void victim_writes_other_sleeps(struct round *round)
{
    victim_writes(round);
    other_waits(round);
}

static void victim_lends(struct round *round)
{
    victim_writes(round);
    simply(round, VICTIM, LEND);
}

static void victim_lends_other_sleeps(struct round *round)
{
    victim_lends(round);
    other_waits(round);
}

static void victim_reads(struct round *round)
{
    values_are_there(round);
    simply(round, VICTIM, READER_OPEN);
    some(round, VICTIM, HOLD, 1); /* the first is more than a hold */
    simply(round, VICTIM, LET_GO);
}

static void victim_holds(struct round *round)
{
    victim_reads(round);
    some(round, VICTIM, HOLD, 1);
}

static void holder_died(struct round *round)
{
    victim_reads(round);
    give_identity(round, DEAD);
    simply(round, DEAD, READER_OPEN);
    some(round, DEAD, HOLD, HOLDS - 1);
    slay(round, DEAD);
    round->accounts->latest.holding[DEAD] = 0;
}

static void victim_reads_writer_died(struct round *round)
{
    writer_died(round);
    simply(round, VICTIM, READER_OPEN);
}

static void other_writes(struct round *round)
{
    simply(round, OLD, BE_WRITER);
    some(round, OLD, WRITE, 1);
    simply(round, OLD, WRITER_CLOSE);
}

/* --- afterwards ----------------------------------------------------------------------------------- */

/* Of the next writer's open. */
static void expect_open(struct round *round, const struct reply *reply)
{
    unsigned flags = round->scenario->flags;
    bool is_kill = round->mode == KILL;
    bool must_have_died = (flags & ORPHANED) || (is_kill && (flags & WRITES));
    bool may_have_died = must_have_died || (is_kill && (flags & CHANGES));
    require(round,
            (reply->result == 0 && !must_have_died) ||
                (reply->result == WEIR_OWNER_DIED && may_have_died),
            "the next writer's open gives %s%d: %s", weir_strerror_name(reply->result),
            reply->result, reply->sentence);
}

/* Each value is read at once, and as many are held as may be. */
static void write_and_read(struct round *round)
{
    unsigned holds = HOLDS - round->accounts->latest.holding[OLD];
    for (unsigned i = 0; i < 2 * VALUE_BUFFERS; i++) {
        some(round, NEXT, WRITE, 1);
        simply(round, FRESH, COPY);
        some(round, FRESH, HOLD, holds);
        some(round, NEXT, WRITE, VALUE_BUFFERS);
        if (i == 0) {
            struct reply reply = ask(round, NEXT, (struct order){ .verb = HOLD, .count = 1 });
            must_be(round, NEXT, &reply, -ENOBUFS);
        }
        simply(round, FRESH, PEEK);
        for (unsigned k = 0; k < holds; k++)
            simply(round, FRESH, LET_GO);
    }
    tell(round, FRESH, wait_for_next(round, BOUND_NS));
    some(round, NEXT, WRITE, 1);
    struct reply reply = answer(round, FRESH);
    must_be(round, FRESH, &reply, 0);
}

static void go_on(struct round *round)
{
    round->accounts->latest.holding[VICTIM] = 0;
    start(round, FRESH);
    start(round, NEXT);
    if (round->is_busy[OLD]) {
        int64_t since_ns = weir_now_ns();
        struct reply reply = answer(round, OLD);
        note_wait(round, since_ns);
        require(round, reply.result == 0 || (reply.result == -EPIPE && round->mode == KILL),
                "who waited for a value gets %s%d: %s", weir_strerror_name(reply.result),
                reply.result, reply.sentence);
    }
    if (round->scenario->flags & UNREADY)
        simply(round, FRESH, MAKE_READY);
    simply(round, FRESH, READER_OPEN);
    if (!(round->scenario->flags & UNREADY))
        simply(round, FRESH, COPY);
    struct reply reply = ask(round, NEXT, within(BE_WRITER, 0));
    expect_open(round, &reply);
    write_and_read(round);
    simply(round, OLD, LET_GO);
    simply(round, NEXT, WRITER_CLOSE);
    quit_all(round);
}

/* Beside one that stands: its place is its own, and all is there to be read. True: a rival wrote. */
static bool work_beside(struct round *round)
{
    unsigned flags = round->scenario->flags;
    start(round, RIVAL);
    if (!(flags & UNREADY)) {
        simply(round, RIVAL, READER_OPEN);
        simply(round, RIVAL, COPY);
    }
    bool has_written = false;
    if (!(flags & (WATCHES | UNREADY))) {
        struct reply reply = ask(round, RIVAL, within(BE_WRITER, 0));
        has_written = reply.result >= 0;
        require(round,
                flags & WRITES    ? reply.result == -EBUSY
                : flags & CHANGES ? has_written || reply.result == -EBUSY
                                  : reply.result == 0,
                "beside a stopped one, a rival's open gives %s%d: %s",
                weir_strerror_name(reply.result), reply.result, reply.sentence);
    }
    if (has_written) {
        some(round, RIVAL, WRITE, 2 * VALUE_BUFFERS);
        simply(round, RIVAL, COPY);
        simply(round, RIVAL, WRITER_CLOSE);
    }
    quit(round, RIVAL);
    return has_written;
}

/* The victim was stopped, and has done what it was told: it does the rest. */
static void finish_victim(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_writer = (scenario->flags & WRITES) || scenario->order.verb == BE_WRITER;
    if (is_writer) {
        simply(round, VICTIM, PUBLISH);
        some(round, VICTIM, WRITE, VALUE_BUFFERS);
        simply(round, VICTIM, WRITER_CLOSE);
    } else if (scenario->order.verb != READER_CLOSE && !(scenario->flags & (CHANGES | UNREADY))) {
        simply(round, VICTIM, COPY);
        simply(round, VICTIM, READER_CLOSE);
    }
    quit(round, VICTIM);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_due = is_cue_due(round), is_before = is_due && (round->turn & 1);
    bool has_written = work_beside(round);
    struct reply reply = resume_victim(round, is_due, is_before);
    /* The rival was faster, and has closed; or it has overwritten what was looked at. */
    bool is_late = has_written && ((scenario->order.verb == BE_WRITER && reply.result == 0) ||
                                   (scenario->order.verb == PEEK && reply.result == -EAGAIN));
    if (!is_late)
        must_be(round, VICTIM, &reply, scenario->expected);
    finish_victim(round);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, count, newer, wait, expected, cue)             \
    { operation, variant, 0, flags, stage, { verb, count, newer, wait, false }, expected, cue, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("latest init", "", UNREADY, memory_is_zero, MAKE_READY, 0, 0, 0, 0, NULL)
    ROW("latest writer open", "nobody writes", CHANGES, values_are_there, BE_WRITER, 0, 0, 0, 0, NULL)
    ROW("latest writer open", "a dead one's place", CHANGES | RECOVERY, writer_died, BE_WRITER, 0, 0, 0, WEIR_OWNER_DIED, NULL)
    ROW("latest writer close", "", CHANGES, victim_writes, WRITER_CLOSE, 0, 0, 0, 0, NULL)
    ROW("latest write", "nobody waits", WRITES, victim_writes, WRITE, 1, 0, 0, 0, NULL)
    ROW("latest write", "one sleeps", WRITES, victim_writes_other_sleeps, WRITE, 1, 0, 0, 0, NULL)
    ROW("latest loan", "", WRITES, victim_writes, LEND, 0, 0, 0, 0, NULL)
    ROW("latest commit", "nobody waits", WRITES, victim_lends, PUBLISH, 0, 0, 0, 0, NULL)
    ROW("latest commit", "one sleeps", WRITES, victim_lends_other_sleeps, PUBLISH, 0, 0, 0, 0, NULL)
    ROW("latest abandon", "", WRITES, victim_lends, ABANDON, 0, 0, 0, 0, NULL)
    ROW("latest reader open", "", 0, values_are_there, READER_OPEN, 0, 0, 0, 0, NULL)
    ROW("latest read", "", 0, victim_reads, COPY, 0, 0, 0, 0, NULL)
    ROW("latest peek and check", "", 0, victim_reads, PEEK, 0, 0, 0, 0, NULL)
    ROW("latest hold", "a free place", 0, victim_reads, HOLD, 1, 0, 0, 0, NULL)
    ROW("latest hold", "a dead one's place", RECOVERY, holder_died, HOLD, 1, 0, 0, 0, NULL)
    ROW("latest release", "", 0, victim_holds, LET_GO, 0, 0, 0, 0, NULL)
    ROW("latest wait", "in vain", WATCHES, victim_reads, AWAIT, 0, FIRST_VALUES, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("latest wait", "woken", WATCHES, victim_reads, AWAIT, 0, FIRST_VALUES, PATIENT_NS, 0, other_writes)
    ROW("latest wait", "the writer died", WATCHES | ORPHANED | RECOVERY, victim_reads_writer_died, AWAIT, 0, FIRST_VALUES + 1, BOUND_NS, -EPIPE, NULL)
    ROW("latest reader close", "one held", 0, victim_holds, READER_CLOSE, 0, 0, 0, 0, NULL)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject latest_subject = { scenarios, &count, true, NULL, NULL, go_on, after_stop };
