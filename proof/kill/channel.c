/* SPDX-License-Identifier: MIT */
/* Channels: what must hold when one side was killed, or was stopped and goes on. */
#include "channel.h"

#include <errno.h>

/* Sends count from one to the other, who reads unread messages of that stream before. */
static void exchange(struct round *round, enum who writer, enum who reader, unsigned count,
                     unsigned unread)
{
    struct stream *stream = &round->accounts->stream[round->stream[writer]];
    tell(round, reader,
         (struct order){ .verb = READ,
                         .count = count + unread,
                         .size_bytes = round->stream[writer],
                         .wait_ns = BOUND_NS });
    must(round, writer, (struct order){ .verb = WAIT_SUBSCRIBER, .wait_ns = BOUND_NS });
    tell(round, writer, (struct order){ .verb = SEND, .count = count, .wait_ns = BOUND_NS });
    struct reply reply = answer(round, reader); /* first: what it has seen explains the other's */
    must_be(round, reader, &reply, 0);
    reply = answer(round, writer);
    must_be(round, writer, &reply, 0);
    require(round, stream->next == stream->committed, "%s has %u messages of %u", who_names[reader],
            stream->next, stream->committed);
}

/* --- after the kill -------------------------------------------------------------------------- */

/* The survivor reads the dead one's stream to its end: what was committed, and only that. */
static void read_dead_stream(struct round *round)
{
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    struct reply reply = { .result = 0 };
    int64_t killed_ns = weir_now_ns();
    if (round->is_busy[OLD])
        reply = answer(round, OLD);
    note_wait(round, killed_ns);
    if (reply.result != -EPIPE && reply.result != -ENODATA)
        reply = ask(round, OLD,
                    (struct order){ .verb = READ_END, .wait_ns = round->turn & 1 ? BOUND_NS : 0 });
    require(round, reply.result == -EPIPE || (reply.result == -ENODATA && stream->ends),
            "the dead one's stream ends with %s%d: %s", weir_strerror_name(reply.result),
            reply.result, reply.sentence);
    unsigned next = stream->next;
    bool is_part =
        (round->scenario->flags & WHOLE) && next != stream->committed && next != stream->begun;
    require(round, next >= stream->committed && next <= stream->begun && !is_part,
            "%u messages arrived; %u calls had returned, %u had been entered", next,
            stream->committed, stream->begun);
    if (!round->scenario->cue)
        round->seen = (int)next;
}

/* The one before, if one was killed before, had everything delivered. */
static void check_one_before(struct round *round, bool has_reader)
{
    struct stream *stream = &round->accounts->stream[round->stream[DEAD]];
    if (round->stream[DEAD] == 0 || !has_reader)
        return;
    require(round, stream->next == stream->committed, "%u messages of the one before, of %u",
            stream->next, stream->committed);
}

/* Those who are left, and new ones, have full traffic; then all leave. */
static void go_on(struct round *round)
{
    int role = round->scenario->role;
    bool has_old = round->peer[OLD].pid > 0;
    enum who writer = role == SUBSCRIBER && has_old ? OLD : NEXT;
    enum who reader = role == PUBLISHER && has_old ? OLD : FRESH;
    if (writer == OLD) {
        if (round->is_busy[OLD]) {
            int64_t killed_ns = weir_now_ns();
            struct reply late = answer(round, OLD);
            must_be(round, OLD, &late, 0);
            note_wait(round, killed_ns);
        }
        must(round, OLD, (struct order){ .verb = SEND, .count = 200, .wait_ns = BOUND_NS });
    } else {
        start(round, NEXT);
        must(round, NEXT, (struct order){ .verb = OPEN_PUBLISHER });
    }
    if (reader == FRESH) {
        start(round, FRESH);
        must(round, FRESH, (struct order){ .verb = OPEN_SUBSCRIBER });
    }
    exchange(round, writer, reader, 150, 0);
    check_one_before(round, reader == OLD);
    if (reader == OLD) {
        must(round, OLD, (struct order){ .verb = CLOSE });
        start(round, reader = FRESH);
        must(round, FRESH, (struct order){ .verb = OPEN_SUBSCRIBER });
        exchange(round, writer, FRESH, 30, 0);
    } else if (writer == OLD) {
        must(round, OLD, (struct order){ .verb = CLOSE });
        struct reply reply =
            ask(round, FRESH, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
        must_be(round, FRESH, &reply, -ENODATA);
        start(round, writer = NEXT);
        must(round, NEXT, (struct order){ .verb = OPEN_PUBLISHER });
        exchange(round, NEXT, FRESH, 30, 0);
    }
    must(round, writer, (struct order){ .verb = WAIT_TAKEN, .wait_ns = BOUND_NS });
    must(round, writer, (struct order){ .verb = END });
    struct reply reply =
        ask(round, reader, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
    must_be(round, reader, &reply, -ENODATA);
    must(round, writer, (struct order){ .verb = CLOSE });
    must(round, reader, (struct order){ .verb = CLOSE });
    must(round, reader, (struct order){ .verb = COLLECT });
    quit_all(round);
}

static void after_kill(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    if (scenario->role == PUBLISHER && round->peer[OLD].pid > 0 && !(scenario->flags & OPENING))
        read_dead_stream(round);
    go_on(round);
}

/* --- while it is stopped, and after ---------------------------------------------------------- */

/* A stopped side is alive: its place is its own. */
static void try_rival(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    static const enum verb opens[] = {
        [PUBLISHER] = OPEN_PUBLISHER, [SUBSCRIBER] = OPEN_SUBSCRIBER, [COLLECTOR] = COLLECT
    };
    bool may_get_in = scenario->role == COLLECTOR || (scenario->flags & (OPENING | CLOSING));
    start(round, RIVAL);
    struct reply reply = ask(round, RIVAL, (struct order){ .verb = opens[scenario->role] });
    require(round, reply.result == -EBUSY || (reply.result == 0 && may_get_in),
            "a rival's open gives %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
    must(round, RIVAL, (struct order){ .verb = CLOSE });
    quit(round, RIVAL);
}

/* The reader beside a stopped publisher: gets what is committed, then waits and is not held up. */
static void read_beside(struct round *round)
{
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    bool is_opening = round->scenario->flags & OPENING;
    for (int i = 0; i < 2; i++) {
        struct reply reply =
            ask(round, OLD, (struct order){ .verb = READ_THERE, .wait_ns = i * INT64_C(3000000) });
        require(round,
                reply.result == -EAGAIN || reply.result == -ETIMEDOUT ||
                    (reply.result == -ENODATA && (stream->ends || is_opening)) ||
                    (reply.result == -EPIPE && is_opening),
                "beside a stopped publisher: %s%d: %s", weir_strerror_name(reply.result),
                reply.result, reply.sentence);
        require(round,
                is_opening || (stream->next >= stream->committed && stream->next <= stream->begun),
                "%u messages arrived; %u calls had returned, %u had been entered", stream->next,
                stream->committed, stream->begun);
    }
}

/* The writer beside a stopped subscriber: fills the ring, then waits and is not held up. */
static void write_beside(struct round *round)
{
    struct reply reply = ask(round, OLD, (struct order){ .verb = FILL, .count = 400 });
    require(round, reply.result == -EAGAIN || reply.result == 0,
            "beside a stopped subscriber: %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
    reply = ask(round, OLD, (struct order){ .verb = SEND, .count = 1, .wait_ns = 3000000 });
    require(round, reply.result == -ETIMEDOUT || reply.result == 0,
            "beside a stopped subscriber: %s%d: %s", weir_strerror_name(reply.result), reply.result,
            reply.sentence);
}

/* The publisher that was stopped sends the rest, and the end. */
static void finish_publisher(struct round *round)
{
    unsigned flags = round->scenario->flags;
    bool has_old = round->peer[OLD].pid > 0;
    struct stream *stream = &round->accounts->stream[round->stream[VICTIM]];
    if (flags & LOANING)
        must(round, VICTIM, (struct order){ .verb = COMMIT });
    if (has_old && !round->is_busy[OLD] && !(flags & (CLOSING | ENDING)))
        exchange(round, VICTIM, OLD, 5, stream->committed - stream->next);
    if (!(flags & (CLOSING | ENDING)))
        must(round, VICTIM, (struct order){ .verb = END });
    must(round, VICTIM, (struct order){ .verb = CLOSE });
    if (has_old && round->is_busy[OLD]) {
        struct reply reply = answer(round, OLD);
        must_be(round, OLD, &reply, -ENODATA);
    } else if (has_old && stream->end == 0) {
        struct reply reply =
            ask(round, OLD, (struct order){ .verb = READ_END, .wait_ns = BOUND_NS });
        must_be(round, OLD, &reply, -ENODATA);
    }
    require(round, !has_old || (stream->next == stream->committed && stream->end == -ENODATA),
            "%u messages arrived of %u, end %d", stream->next, stream->committed, stream->end);
}

/* The subscriber that was stopped reads the rest. */
static void finish_subscriber(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool has_old = round->peer[OLD].pid > 0;
    struct stream *stream = &round->accounts->stream[round->stream[OLD]];
    if (scenario->flags & CLOSING)
        return;
    must(round, VICTIM, (struct order){ .verb = RELEASE, .count = WEIR_HOLDS_MAX });
    if (has_old) {
        struct reply reply = ask(round, VICTIM, (struct order){ .verb = READ_THERE });
        must_be(round, VICTIM, &reply, -EAGAIN);
        if (round->is_busy[OLD]) {
            reply = answer(round, OLD);
            must_be(round, OLD, &reply, 0);
            reply = ask(round, VICTIM, (struct order){ .verb = READ_THERE });
        }
        require(round, stream->next == stream->committed || (scenario->flags & OPENING),
                "%u messages arrived of %u", stream->next, stream->committed);
        exchange(round, OLD, VICTIM, 5, 0);
    }
    must(round, VICTIM, (struct order){ .verb = CLOSE });
}

static void after_stop(struct round *round)
{
    const struct scenario *scenario = round->scenario;
    bool has_old = round->peer[OLD].pid > 0;
    try_rival(round);
    bool is_due = is_cue_due(round);
    if (!is_due && has_old && !round->is_busy[OLD] && scenario->role == PUBLISHER)
        read_beside(round);
    else if (!is_due && has_old && !round->is_busy[OLD])
        write_beside(round);
    struct reply reply = resume_victim(round, is_due, is_due && (round->turn & 1));
    /* What it waits for may have come while it stood. */
    bool has_changed = scenario->expected == -ETIMEDOUT && reply.result == 0;
    if (!has_changed)
        must_be(round, VICTIM, &reply, scenario->expected);
    if (scenario->order.verb == OPEN_PUBLISHER)
        round->stream[VICTIM] = reply.stream;
    if (scenario->role == PUBLISHER)
        finish_publisher(round);
    else if (scenario->role == SUBSCRIBER)
        finish_subscriber(round);
    quit(round, VICTIM);
    go_on(round);
}

const struct subject channel_subject = {
    channel_scenarios, &channel_scenario_count, false, NULL, NULL, after_kill, after_stop
};
