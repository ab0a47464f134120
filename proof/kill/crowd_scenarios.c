/* SPDX-License-Identifier: MIT */
/* Two publishers and two subscribers: who stands where before each order that is swept. */
#include "crowd_round.h"

#include <errno.h>

#define SMALL 200
#define LARGE 1024 /* 63 records of it, and the ring's end is nearer than one more */
#define UP_TO_THE_END 63
#define OVER_THE_END 80
#define SHORT_NS INT64_C(120000000)

static void order(struct round *round, enum who who, enum verb verb, unsigned count,
                  unsigned size_bytes)
{
    must(round, who, crowd_order(verb, count, size_bytes));
}

static void take_all(struct round *round, enum who who)
{
    simply(round, who, FETCH_ALL);
}

/* --- beside a publisher that is the victim --------------------------------------------------- */

static void publishers(struct round *round, enum crowd_kind publishes, enum crowd_kind other)
{
    join_crowd(round, SENDER, PUBLISHES, publishes);
    join_crowd(round, TAKER, SUBSCRIBES, FROM_NOW);
    join_crowd(round, OTHER_TAKER, SUBSCRIBES, other);
}

/* Three are there, and have sent and received. */
static void one_and_two(struct round *round)
{
    publishers(round, FROM_NOW, FROM_NOW);
    traffic(round, 30, VICTIM);
}

static void two_and_two(struct round *round)
{
    publishers(round, FROM_NOW, FROM_NOW);
    join_crowd(round, VICTIM, PUBLISHES, FROM_NOW);
    meet(round, VICTIM);
    traffic(round, 10, PEERS);
}

static void fall_asleep(struct round *round, enum who who)
{
    tell(round, who, (struct order){ .verb = FETCH, .count = 1, .wait_ns = PATIENT_NS });
    see_asleep(round, who);
}

static void one_is_asleep(struct round *round)
{
    two_and_two(round);
    fall_asleep(round, TAKER);
}

static void both_are_asleep(struct round *round)
{
    one_is_asleep(round);
    fall_asleep(round, OTHER_TAKER);
}

/* The one has all, the other nothing: the next message has no room before the other's. */
static void one_lags(struct round *round, enum crowd_kind publishes, enum crowd_kind other)
{
    publishers(round, publishes, other);
    join_crowd(round, VICTIM, PUBLISHES, publishes);
    meet(round, VICTIM);
    order(round, VICTIM, POST, UP_TO_THE_END, LARGE);
    take_all(round, TAKER);
}

static void slow_one_lags(struct round *round)
{
    one_lags(round, FROM_NOW, FROM_NOW);
}

static void lossy_one_lags(struct round *round)
{
    one_lags(round, FROM_NOW, LOSSY_ONE);
}

static void one_is_to_be_evicted(struct round *round)
{
    one_lags(round, WAITS_FOR_NOBODY, FROM_NOW);
}

static void slow_one_makes_room(struct round *round)
{
    order(round, OTHER_TAKER, FETCH, 30, 0);
}

static void some_unread_by_both(struct round *round)
{
    two_and_two(round);
    order(round, VICTIM, POST, 5, SMALL);
    order(round, TAKER, FETCH, 2, 0);
}

/* --- beside a subscriber that is the victim -------------------------------------------------- */

static void subscribers(struct round *round, enum crowd_kind publishes)
{
    join_crowd(round, SENDER, PUBLISHES, publishes);
    join_crowd(round, OTHER_SENDER, PUBLISHES, publishes);
    join_crowd(round, TAKER, SUBSCRIBES, FROM_NOW);
}

static void two_and_one(struct round *round)
{
    subscribers(round, FROM_NOW);
    traffic(round, 30, VICTIM);
    order(round, SENDER, POST, 5, SMALL);
}

static void subscribes(struct round *round, enum crowd_kind publishes, enum crowd_kind kind)
{
    subscribers(round, publishes);
    join_crowd(round, VICTIM, SUBSCRIBES, kind);
    traffic(round, 10, PEERS);
}

static void both_have_sent(struct round *round)
{
    subscribes(round, FROM_NOW, FROM_NOW);
    order(round, SENDER, POST, 3, SMALL);
    order(round, OTHER_SENDER, POST, 3, SMALL);
}

static void holds_of_both(struct round *round)
{
    both_have_sent(round);
    order(round, VICTIM, FETCH_AND_HOLD, 6, 0);
}

/* For room that the victim alone keeps. */
static void writer_waits(struct round *round)
{
    holds_of_both(round);
    ask(round, SENDER, (struct order){ .verb = POST, .count = 100, .size_bytes = LARGE });
    take_all(round, TAKER);
    tell(round, SENDER,
         (struct order){ .verb = POST, .count = 1, .size_bytes = LARGE, .wait_ns = PATIENT_NS });
    see_asleep(round, SENDER);
}

static void send_past(struct round *round)
{
    for (unsigned i = 0; i < OVER_THE_END; i += 40) {
        order(round, SENDER, POST, 40, LARGE);
        take_all(round, TAKER);
    }
}

static void lossy_is_overrun(struct round *round)
{
    subscribes(round, FROM_NOW, LOSSY_ONE);
    send_past(round);
}

static void was_evicted(struct round *round)
{
    subscribes(round, WAITS_FOR_NOBODY, FROM_NOW);
    send_past(round);
}

static void knows_that_it_was_evicted(struct round *round)
{
    was_evicted(round);
    ask(round, VICTIM, (struct order){ .verb = FETCH, .count = 1 });
}

/* --- the victim recovers --------------------------------------------------------------------- */

static void die(struct round *round)
{
    slay(round, DEAD);
    round->accounts->crowd.part[DEAD] = NO_PART;
}

/* With messages that one of two has read. */
static void publisher_has_died(struct round *round)
{
    publishers(round, FROM_NOW, FROM_NOW);
    join_crowd(round, DEAD, PUBLISHES, FROM_NOW);
    traffic(round, 10, PEERS);
    order(round, DEAD, POST, 5, SMALL);
    take_all(round, TAKER);
    die(round);
}

static void publisher_has_died_before_us(struct round *round)
{
    join_crowd(round, SENDER, PUBLISHES, FROM_NOW);
    join_crowd(round, DEAD, PUBLISHES, FROM_NOW);
    join_crowd(round, TAKER, SUBSCRIBES, FROM_NOW);
    join_crowd(round, VICTIM, SUBSCRIBES, FROM_NOW);
    traffic(round, 10, PEERS);
    die(round);
}

/* One with messages that it holds, and has not read. */
static void subscriber_has_died(struct round *round)
{
    subscribers(round, FROM_NOW);
    join_crowd(round, DEAD, SUBSCRIBES, FROM_NOW);
    traffic(round, 10, PEERS);
    order(round, SENDER, POST, 5, SMALL);
    order(round, DEAD, FETCH_AND_HOLD, 2, 0);
    take_all(round, TAKER);
    die(round);
}

static void subscriber_has_died_before_us(struct round *round)
{
    join_crowd(round, SENDER, PUBLISHES, FROM_NOW);
    join_crowd(round, TAKER, SUBSCRIBES, FROM_NOW);
    join_crowd(round, DEAD, SUBSCRIBES, FROM_NOW);
    join_crowd(round, VICTIM, PUBLISHES, FROM_NOW);
    meet(round, VICTIM);
    order(round, VICTIM, POST, UP_TO_THE_END, LARGE);
    take_all(round, TAKER);
    die(round);
}

/* A macro's argument has no commas: an order is a verb, a count, a size and a time. */
#define ROW(operation, variant, role, flags, stage, verb, count, size, wait, expected, cue)        \
    { "2x2 " operation, variant, role, flags, stage, { verb, count, size, wait, false },           \
      expected,         cue,     0 },

/* clang-format off */
const struct scenario crowd_scenarios[] = {
    ROW("publisher open", "beside three", CROWD_PUBLISHER, JOINING, one_and_two, BE_SENDER, 0, FROM_NOW, 0, 0, NULL)
    ROW("publisher close", "some unread", CROWD_PUBLISHER, LEAVING, some_unread_by_both, DEPART, 0, 0, 0, 0, NULL)
    ROW("send", "both awake", CROWD_PUBLISHER, 0, two_and_two, POST, 1, SMALL, 0, 0, NULL)
    ROW("send", "one asleep", CROWD_PUBLISHER, 0, one_is_asleep, POST, 1, SMALL, 0, 0, NULL)
    ROW("send", "both asleep", CROWD_PUBLISHER, 0, both_are_asleep, POST, 1, SMALL, 0, 0, NULL)
    ROW("send", "past a lossy one", CROWD_PUBLISHER, 0, lossy_one_lags, POST, 1, LARGE, 0, 0, NULL)
    ROW("send", "evicts one", CROWD_PUBLISHER, EVICTING, one_is_to_be_evicted, POST, 1, LARGE, 0, 0, NULL)
    ROW("wait for room", "of the slower one", CROWD_PUBLISHER, 0, slow_one_lags, POST, 1, LARGE, PATIENT_NS, 0, slow_one_makes_room)

    ROW("subscriber open", "beside three", CROWD_SUBSCRIBER, JOINING, two_and_one, BE_TAKER, 0, FROM_NOW, 0, 0, NULL)
    ROW("subscriber open", "lossy", CROWD_SUBSCRIBER, JOINING, two_and_one, BE_TAKER, 0, LOSSY_ONE, 0, 0, NULL)
    ROW("subscriber open", "from the oldest", CROWD_SUBSCRIBER, JOINING, two_and_one, BE_TAKER, 0, FROM_OLDEST, 0, 0, NULL)
    ROW("subscriber open", "from ten back", CROWD_SUBSCRIBER, JOINING, two_and_one, BE_TAKER, 0, FROM_BACK, 0, 0, NULL)
    ROW("subscriber close", "six of two held", CROWD_SUBSCRIBER, LEAVING, holds_of_both, DEPART, 0, 0, 0, 0, NULL)
    ROW("subscriber close", "a writer asleep", CROWD_SUBSCRIBER, LEAVING, writer_waits, DEPART, 0, 0, 0, 0, NULL)
    ROW("receive", "from one of two", CROWD_SUBSCRIBER, 0, both_have_sent, FETCH, 1, 0, 0, 0, NULL)
    ROW("receive", "lossy, overrun", CROWD_SUBSCRIBER, MISSING, lossy_is_overrun, FETCH, 1, 0, 0, 0, NULL)
    ROW("receive", "evicted, learns it", CROWD_SUBSCRIBER, MISSING, was_evicted, FETCH, 1, 0, 0, -EOVERFLOW, NULL)
    ROW("receive", "evicted, goes on", CROWD_SUBSCRIBER, MISSING, knows_that_it_was_evicted, FETCH, 1, 0, 0, 0, NULL)
    ROW("release", "a writer asleep", CROWD_SUBSCRIBER, 0, writer_waits, GIVE_ALL_BACK, 0, 0, 0, 0, NULL)

    ROW("recovery", "claim of a publisher's place", CROWD_PUBLISHER, JOINING | RECOVERY, publisher_has_died, BE_SENDER, 0, FROM_NOW, 0, 0, NULL)
    ROW("recovery", "claim of a subscriber's place", CROWD_SUBSCRIBER, JOINING | RECOVERY, subscriber_has_died, BE_TAKER, 0, FROM_NOW, 0, 0, NULL)
    ROW("recovery", "a reader leaves a dead one's lane", CROWD_SUBSCRIBER, RECOVERY, publisher_has_died_before_us, FETCH, 1, 0, SHORT_NS, -ETIMEDOUT, NULL)
    ROW("recovery", "a writer puts one of two out", CROWD_PUBLISHER, RECOVERY, subscriber_has_died_before_us, POST, 1, LARGE, PATIENT_NS, 0, NULL)
    ROW("recovery", "collector, a subscriber dead", CROWD_COLLECTOR, RECOVERY, subscriber_has_died, COLLECT, 0, 0, 0, 0, NULL)
};
/* clang-format on */

const unsigned crowd_scenario_count = sizeof crowd_scenarios / sizeof crowd_scenarios[0];
