/* SPDX-License-Identifier: MIT */
/*
 * The latest value by name: who stands where before each order, and what must hold when the victim is gone.
 * Its memory is a System V segment's, made by whoever comes first.
 */
#include "round.h"

#include <errno.h>

enum named_flags {
    CREATES = SUBJECT_FLAG << 0, /* the victim is to be the writer */
    ORPHAN = SUBJECT_FLAG << 1,  /* of a dead one's value */
};

/* --- who stands where ----------------------------------------------------------------------------- */

static void nobody_is_there(struct round *round)
{
    give_identity(round, OLD);
    give_identity(round, VICTIM);
}

static void a_writer_is_there(struct round *round)
{
    nobody_is_there(round);
    simply(round, OLD, NAMED_CREATE);
    simply(round, OLD, NAMED_WRITE);
}

static void writer_died(struct round *round)
{
    nobody_is_there(round);
    give_identity(round, DEAD);
    simply(round, DEAD, NAMED_CREATE);
    simply(round, DEAD, NAMED_WRITE);
    simply(round, OLD, NAMED_OPEN); /* keeps it */
    slay(round, DEAD);
}

/* --- afterwards ----------------------------------------------------------------------------------- */

/* A writer that comes: whether a death is told depends on how far the dead one had come. */
static bool create_beside(struct round *round, enum who who, bool may_be_busy)
{
    bool may_have_died = round->mode == KILL || (round->scenario->flags & ORPHAN);
    struct reply reply = ask(round, who, within(NAMED_CREATE, 0));
    require(round,
            reply.result == 0 || (reply.result == WEIR_OWNER_DIED && may_have_died) ||
                (reply.result == -EBUSY && may_be_busy),
            "%s's create gives %s%d: %s", who_names[who], weir_strerror_name(reply.result),
            reply.result, reply.sentence);
    return reply.result >= 0;
}

static void go_on(struct round *round)
{
    bool has_writer = !(round->scenario->flags & CREATES);
    enum who writer = has_writer ? OLD : NEXT;
    start(round, FRESH);
    start(round, NEXT);
    if (!has_writer)
        create_beside(round, NEXT, false);
    simply(round, writer, NAMED_WRITE);
    simply(round, FRESH, NAMED_OPEN);
    for (unsigned i = 0; i < 2 * VALUE_BUFFERS; i++) {
        simply(round, writer, NAMED_WRITE);
        simply(round, FRESH, NAMED_READ);
    }
    simply(round, FRESH, NAMED_CLOSE);
    simply(round, NEXT, NAMED_CLOSE);
    simply(round, OLD, NAMED_CLOSE);
    simply(round, FRESH, COLLECT);
    quit_all(round);
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool is_writer = scenario->flags & CREATES, has_created = false;
    start(round, RIVAL);
    if (is_writer)
        has_created = create_beside(round, RIVAL, true);
    else
        simply(round, RIVAL, NAMED_OPEN);
    if (has_created)
        simply(round, RIVAL, NAMED_WRITE);
    simply(round, RIVAL, has_created || !is_writer ? NAMED_READ : NAMED_CLOSE);
    simply(round, RIVAL, NAMED_CLOSE);
    quit(round, RIVAL);
    struct reply reply = resume_victim(round, false, false);
    if (!has_created || reply.result != 0) /* the rival was faster, and has closed */
        must_be(round, VICTIM, &reply, scenario->expected);
    if (is_writer)
        simply(round, VICTIM, NAMED_WRITE);
    simply(round, VICTIM, NAMED_READ);
    simply(round, VICTIM, NAMED_CLOSE);
    quit(round, VICTIM);
    go_on(round);
}

/* --- the table ------------------------------------------------------------------------------------ */

#define ROW(operation, variant, flags, stage, verb, expected)                                      \
    { operation, variant, 0, flags, stage, { verb, 0, 0, 0, false }, expected, NULL, 0 },

/* clang-format off */
static const struct scenario scenarios[] = {
    ROW("latest create", "nobody is there", CREATES, nobody_is_there, NAMED_CREATE, 0)
    ROW("latest create", "a dead one's place", CREATES | ORPHAN | RECOVERY, writer_died, NAMED_CREATE, WEIR_OWNER_DIED)
    ROW("latest open", "a writer is there", 0, a_writer_is_there, NAMED_OPEN, 0)
};
/* clang-format on */

static const unsigned count = sizeof scenarios / sizeof scenarios[0];

const struct subject named_subject = { scenarios, &count, false, NULL, NULL, go_on, after_stop };
