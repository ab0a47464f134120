/* SPDX-License-Identifier: MIT */
/* Channels: who stands where before each order that is swept. */
#include "channel.h"

#include <errno.h>
#include <sys/syscall.h>

#define SMALL 200  /* bytes of a message on the fast path */
#define LARGE 1024 /* 63 records of it, and the ring's end is nearer than one more */
#define SHORT_NS INT64_C(120000000)

static void order(struct round *round, enum who who, enum verb verb, unsigned count,
                  unsigned size_bytes)
{
    must(round, who,
         (struct order){
             .verb = verb, .count = count, .size_bytes = size_bytes, .wait_ns = BOUND_NS });
}

static void nobody(struct round *round)
{
    (void)round;
}

/* --- the victim publishes ------------------------------------------------------------------- */

static void subscriber_waits(struct round *round)
{
    start(round, OLD);
    order(round, OLD, OPEN_SUBSCRIBER, 0, 0);
}

/* The last message is there before the survivor looks: so it has not slept, and is not rung. */
static void both_sides(struct round *round, unsigned count, unsigned size_bytes)
{
    subscriber_waits(round);
    order(round, VICTIM, OPEN_PUBLISHER, 0, 0);
    tell(round, OLD,
         (struct order){ .verb = READ,
                         .count = count - 1,
                         .size_bytes = round->stream[VICTIM],
                         .wait_ns = BOUND_NS });
    order(round, VICTIM, WAIT_SUBSCRIBER, 0, 0);
    order(round, VICTIM, SEND, count - 1, size_bytes);
    answer(round, OLD);
    order(round, VICTIM, SEND, 1, size_bytes);
    order(round, OLD, READ, 1, round->stream[VICTIM]);
}

static void reader_is_awake(struct round *round)
{
    both_sides(round, 4, SMALL);
}

static void reader_is_asleep(struct round *round)
{
    both_sides(round, 4, SMALL);
    tell(round, OLD, (struct order){ .verb = READ_END, .wait_ns = PATIENT_NS });
    see_asleep(round, OLD);
}

static void end_of_ring_is_near(struct round *round)
{
    both_sides(round, 63, LARGE);
}

static void ring_is_full(struct round *round)
{
    both_sides(round, 4, LARGE);
    ask(round, VICTIM, (struct order){ .verb = FILL, .count = 400, .size_bytes = LARGE });
}

static void credit_is_used_up(struct round *round)
{
    ring_is_full(round);
    ask(round, OLD, (struct order){ .verb = READ_THERE });
}

static void loan_is_out(struct round *round)
{
    reader_is_awake(round);
    order(round, VICTIM, LOAN, 0, SMALL);
}

static void loan_is_out_and_reader_asleep(struct round *round)
{
    reader_is_asleep(round);
    order(round, VICTIM, LOAN, 0, SMALL);
}

static void loan_of_many_is_out(struct round *round)
{
    reader_is_awake(round);
    order(round, VICTIM, LOAN_MANY, 3, 64);
}

static void publisher_alone(struct round *round)
{
    order(round, VICTIM, OPEN_PUBLISHER, 0, 0);
}

static void some_unread(struct round *round)
{
    reader_is_awake(round);
    order(round, VICTIM, SEND, 5, SMALL);
}

static void reader_makes_room(struct round *round)
{
    order(round, OLD, READ, 10, round->stream[VICTIM]);
}

static void reader_takes_all(struct round *round)
{
    order(round, OLD, READ, 5, round->stream[VICTIM]);
}

/* --- the victim subscribes ------------------------------------------------------------------ */

/* Its lane has a boundary, and a few messages behind it. */
static void publisher_sends(struct round *round)
{
    start(round, OLD);
    order(round, OLD, OPEN_PUBLISHER, 0, 0);
    order(round, OLD, SEND, 30, LARGE);
}

static void attached(struct round *round)
{
    start(round, OLD);
    order(round, OLD, OPEN_PUBLISHER, 0, 0);
    order(round, VICTIM, OPEN_SUBSCRIBER, 0, 0);
    order(round, OLD, WAIT_SUBSCRIBER, 0, 0);
    order(round, OLD, SEND, 4, SMALL);
    order(round, VICTIM, READ, 4, round->stream[OLD]);
}

static void messages_wait(struct round *round)
{
    attached(round);
    order(round, OLD, SEND, 4, SMALL);
}

static void message_behind_a_pad(struct round *round)
{
    attached(round);
    order(round, OLD, SEND, 62, LARGE);
    order(round, VICTIM, READ, 62, round->stream[OLD]);
    order(round, OLD, SEND, 1, LARGE);
}

static void four_are_held(struct round *round)
{
    messages_wait(round);
    order(round, VICTIM, TAKE, 4, 0);
}

/* One that finds nothing announces what it holds. */
static void three_are_announced(struct round *round)
{
    messages_wait(round);
    order(round, VICTIM, TAKE, 3, 0);
    order(round, VICTIM, RECEIVE, 1, 0);
    ask(round, VICTIM, (struct order){ .verb = TAKE, .count = 1 });
}

static void writer_wants_room(struct round *round)
{
    attached(round);
    ask(round, OLD, (struct order){ .verb = FILL, .count = 400, .size_bytes = LARGE });
    order(round, VICTIM, TAKE, 3, 0);
    tell(round, OLD,
         (struct order){ .verb = SEND, .count = 1, .size_bytes = LARGE, .wait_ns = PATIENT_NS });
    see_asleep(round, OLD);
}

static void descriptor_is_armed(struct round *round)
{
    attached(round);
    order(round, VICTIM, DESCRIPTOR, 0, 0);
    order(round, OLD, SEND, 2, SMALL);
}

static void held_and_armed(struct round *round)
{
    descriptor_is_armed(round);
    order(round, VICTIM, TAKE, 1, 0);
}

static void writer_sends_one(struct round *round)
{
    order(round, OLD, SEND, 1, SMALL);
}

/* --- the victim recovers -------------------------------------------------------------------- */

/* One that is killed in its open: see DEAD_LISTED. */
static void die_opening(struct round *round, enum verb verb)
{
    struct stepper stepper;
    unsigned attaches = 0, at = round->scenario->dead_at;
    start(round, DEAD);
    require(round, stepper_begin(&stepper, &round->peer[DEAD], round->accounts),
            "it cannot be traced");
    tell(round, DEAD, (struct order){ .verb = verb, .is_marked = true });
    require(round, stepper_enter(&stepper), "it does not begin");
    for (;;) {
        struct point next = { .stops = stepper.at.stops + 1 };
        require(round, stepper_reach(&stepper, next), "the one before has opened already");
        bool is_exit = !stepper.is_entered;
        attaches += is_exit && stepper.call == SYS_shmat;
        if (at == DEAD_LISTED ? attaches >= 3 && stepper.call == SYS_futex : attaches == at)
            break;
    }
    slay(round, DEAD);
    round->accounts->place = BEFORE;
}

static void publisher_died_opening(struct round *round)
{
    subscriber_waits(round);
    die_opening(round, OPEN_PUBLISHER);
}

static void subscriber_died_opening(struct round *round)
{
    publisher_sends(round);
    die_opening(round, OPEN_SUBSCRIBER);
}

static void all_died_opening(struct round *round)
{
    die_opening(round, OPEN_PUBLISHER);
}

/* With messages that nobody has read yet. */
static void publisher_dies(struct round *round, enum who reader)
{
    if (reader == OLD)
        start(round, OLD);
    start(round, DEAD);
    order(round, reader, OPEN_SUBSCRIBER, 0, 0);
    order(round, DEAD, OPEN_PUBLISHER, 0, 0);
    tell(round, reader,
         (struct order){
             .verb = READ, .count = 2, .size_bytes = round->stream[DEAD], .wait_ns = BOUND_NS });
    order(round, DEAD, WAIT_SUBSCRIBER, 0, 0);
    order(round, DEAD, SEND, 5, SMALL);
    answer(round, reader);
    slay(round, DEAD);
}

static void publisher_died(struct round *round)
{
    publisher_dies(round, OLD);
}

static void publisher_died_before_us(struct round *round)
{
    publisher_dies(round, VICTIM);
    order(round, VICTIM, READ, 3, round->stream[DEAD]);
}

static void subscriber_dies(struct round *round, enum who writer)
{
    if (writer == OLD)
        start(round, OLD);
    start(round, DEAD);
    order(round, writer, OPEN_PUBLISHER, 0, 0);
    order(round, DEAD, OPEN_SUBSCRIBER, 0, 0);
    order(round, writer, WAIT_SUBSCRIBER, 0, 0);
    order(round, writer, SEND, 3, SMALL);
    order(round, DEAD, TAKE, 2, 0);
    ask(round, writer, (struct order){ .verb = FILL, .count = 400, .size_bytes = LARGE });
    slay(round, DEAD);
}

static void subscriber_died(struct round *round)
{
    subscriber_dies(round, OLD);
}

static void subscriber_died_before_us(struct round *round)
{
    subscriber_dies(round, VICTIM);
}

/* A macro's argument has no commas: an order is a verb, a count, a size and a time. */
#define ROW(operation, variant, role, flags, stage, verb, count, size, wait, expected, cue, dead)  \
    { operation, variant, role, flags, stage, { verb, count, size, wait, false },                  \
      expected,  cue,     dead },

/* clang-format off */
const struct scenario channel_scenarios[] = {
    ROW("publisher open", "alone", PUBLISHER, OPENING, nobody, OPEN_PUBLISHER, 0, 0, 0, 0, NULL, 0)
    ROW("publisher open", "a subscriber waits", PUBLISHER, OPENING, subscriber_waits, OPEN_PUBLISHER, 0, 0, 0, 0, NULL, 0)
    ROW("send", "reader awake", PUBLISHER, 0, reader_is_awake, SEND, 1, SMALL, 0, 0, NULL, 0)
    ROW("send", "reader asleep", PUBLISHER, 0, reader_is_asleep, SEND, 1, SMALL, 0, 0, NULL, 0)
    ROW("send", "over the ring's end", PUBLISHER, 0, end_of_ring_is_near, SEND, 1, LARGE, 0, 0, NULL, 0)
    ROW("send", "credit used up", PUBLISHER, 0, credit_is_used_up, SEND, 1, LARGE, 0, 0, NULL, 0)
    ROW("wait for room", "in vain", PUBLISHER, 0, ring_is_full, SEND, 1, LARGE, SHORT_NS, -ETIMEDOUT, NULL, 0)
    ROW("wait for room", "woken", PUBLISHER, 0, ring_is_full, SEND, 1, LARGE, PATIENT_NS, 0, reader_makes_room, 0)
    ROW("loan", "", PUBLISHER, LOANING, reader_is_awake, LOAN, 0, SMALL, 0, 0, NULL, 0)
    ROW("commit", "reader awake", PUBLISHER, 0, loan_is_out, COMMIT, 0, 0, 0, 0, NULL, 0)
    ROW("commit", "reader asleep", PUBLISHER, 0, loan_is_out_and_reader_asleep, COMMIT, 0, 0, 0, 0, NULL, 0)
    ROW("batch", "of three", PUBLISHER, WHOLE, reader_is_awake, BATCH, 3, 64, 0, 0, NULL, 0)
    ROW("send_many", "of three", PUBLISHER, WHOLE, reader_is_awake, SEND_MANY, 3, 64, 0, 0, NULL, 0)
    ROW("send_many", "reader asleep", PUBLISHER, WHOLE, reader_is_asleep, SEND_MANY, 3, 64, 0, 0, NULL, 0)
    ROW("commit_many", "of three, one short", PUBLISHER, WHOLE, loan_of_many_is_out, COMMIT_MANY, 0, 0, 0, 0, NULL, 0)
    ROW("wait_subscriber", "in vain", PUBLISHER, 0, publisher_alone, WAIT_SUBSCRIBER, 0, 0, SHORT_NS, -ETIMEDOUT, NULL, 0)
    ROW("wait_subscriber", "one comes", PUBLISHER, 0, publisher_alone, WAIT_SUBSCRIBER, 0, 0, PATIENT_NS, 0, subscriber_waits, 0)
    ROW("wait_taken", "woken", PUBLISHER, 0, some_unread, WAIT_TAKEN, 0, 0, PATIENT_NS, 0, reader_takes_all, 0)
    ROW("end", "", PUBLISHER, ENDING, some_unread, END, 0, 0, 0, 0, NULL, 0)
    ROW("publisher close", "", PUBLISHER, CLOSING, some_unread, CLOSE, 0, 0, 0, 0, NULL, 0)

    ROW("subscriber open", "alone", SUBSCRIBER, OPENING, nobody, OPEN_SUBSCRIBER, 0, 0, 0, 0, NULL, 0)
    ROW("subscriber open", "a publisher sends", SUBSCRIBER, OPENING, publisher_sends, OPEN_SUBSCRIBER, 0, 0, 0, 0, NULL, 0)
    ROW("take", "", SUBSCRIBER, 0, messages_wait, TAKE, 1, 0, 0, 0, NULL, 0)
    ROW("receive", "", SUBSCRIBER, 0, messages_wait, RECEIVE, 1, 0, 0, 0, NULL, 0)
    ROW("take_many", "", SUBSCRIBER, 0, messages_wait, TAKE_MANY, 4, 0, 0, 0, NULL, 0)
    ROW("receive_many", "", SUBSCRIBER, 0, messages_wait, RECEIVE_MANY, 4, 0, 0, 0, NULL, 0)
    ROW("receive", "behind a pad", SUBSCRIBER, 0, message_behind_a_pad, RECEIVE, 0, 0, 0, 0, NULL, 0)
    ROW("release", "in order", SUBSCRIBER, 0, four_are_held, RELEASE, 1, 0, 0, 0, NULL, 0)
    ROW("release", "out of order", SUBSCRIBER, 0, four_are_held, RELEASE, 1, 2, 0, 0, NULL, 0)
    ROW("release_many", "the oldest", SUBSCRIBER, 0, four_are_held, RELEASE_MANY, 3, 0, 0, 0, NULL, 0)
    ROW("release_many", "others", SUBSCRIBER, 0, four_are_held, RELEASE_MANY, 2, 1, 0, 0, NULL, 0)
    ROW("release", "writer asleep", SUBSCRIBER, 0, writer_wants_room, RELEASE, 1, 0, 0, 0, NULL, 0)
    ROW("wait for a message", "in vain", SUBSCRIBER, 0, attached, TAKE, 1, 0, SHORT_NS, -ETIMEDOUT, NULL, 0)
    ROW("wait for a message", "woken", SUBSCRIBER, 0, attached, TAKE, 1, 0, PATIENT_NS, 0, writer_sends_one, 0)
    ROW("wait for a message", "four held", SUBSCRIBER, 0, four_are_held, TAKE, 1, 0, SHORT_NS, -ETIMEDOUT, NULL, 0)
    ROW("release", "announced", SUBSCRIBER, 0, three_are_announced, RELEASE, 1, 1, 0, 0, NULL, 0)
    ROW("fd", "", SUBSCRIBER, 0, attached, DESCRIPTOR, 0, 0, 0, 0, NULL, 0)
    ROW("receive", "with fd", SUBSCRIBER, 0, descriptor_is_armed, RECEIVE, 0, 0, 0, 0, NULL, 0)
    ROW("subscriber close", "four held", SUBSCRIBER, CLOSING, four_are_held, CLOSE, 0, 0, 0, 0, NULL, 0)
    ROW("subscriber close", "with fd", SUBSCRIBER, CLOSING, held_and_armed, CLOSE, 0, 0, 0, 0, NULL, 0)

#define RECOVERY_OPEN(variant, role, stage, opens, at)                                             \
    ROW("recovery", variant, role, OPENING | RECOVERY, stage, opens, 0, 0, 0, 0, NULL, at)
    RECOVERY_OPEN("claim of a publisher's place", PUBLISHER, publisher_died, OPEN_PUBLISHER, 0)
    RECOVERY_OPEN("the same, killed claimed", PUBLISHER, publisher_died_opening, OPEN_PUBLISHER, 3)
    RECOVERY_OPEN("the same, killed listed", PUBLISHER, publisher_died_opening, OPEN_PUBLISHER, DEAD_LISTED)
    RECOVERY_OPEN("open over a half-made directory", PUBLISHER, all_died_opening, OPEN_PUBLISHER, 2)
    RECOVERY_OPEN("claim of a subscriber's place", SUBSCRIBER, subscriber_died, OPEN_SUBSCRIBER, 0)
    RECOVERY_OPEN("the same, killed claimed", SUBSCRIBER, subscriber_died_opening, OPEN_SUBSCRIBER, 3)
    RECOVERY_OPEN("the same, killed listed", SUBSCRIBER, subscriber_died_opening, OPEN_SUBSCRIBER, DEAD_LISTED)
    ROW("recovery", "a reader puts a dead publisher out", SUBSCRIBER, RECOVERY, publisher_died_before_us, TAKE, 1, 0, 0, -EPIPE, NULL, 0)
    ROW("recovery", "a writer puts a dead subscriber out", PUBLISHER, RECOVERY, subscriber_died_before_us, SEND, 1, LARGE, PATIENT_NS, 0, NULL, 0)
    ROW("recovery", "collector, directory half made", COLLECTOR, RECOVERY, all_died_opening, COLLECT, 0, 0, 0, 0, NULL, 2)
    ROW("recovery", "collector, lane half made", COLLECTOR, RECOVERY, all_died_opening, COLLECT, 0, 0, 0, 0, NULL, 3)
};
/* clang-format on */

const unsigned channel_scenario_count = sizeof channel_scenarios / sizeof channel_scenarios[0];
