/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_ROUND_H
#define WEIR_PROOF_ROUND_H

/*
 * A round: one participant, the victim, is brought to one point of one order, and killed
 * or stopped there; the others go on; what they see is compared with the accounts.
 */

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "peer.h"
#include "step.h"

enum role { PUBLISHER, SUBSCRIBER, COLLECTOR, SYNC };

enum scenario_flags {
    OPENING = 1 << 0,   /* the order opens: the place may be another's before */
    CLOSING = 1 << 1,   /* and after */
    ENDING = 1 << 2,    /* the order ends the stream */
    WHOLE = 1 << 3,     /* all of the order's messages arrive, or none */
    LOANING = 1 << 4,   /* a loan is out afterwards */
    RECOVERY = 1 << 5,  /* of what another one has left that was killed before */
    GIVING_UP = 1 << 6, /* SYNC: afterwards the mutex may be not recoverable */
};

struct round;

struct scenario {
    const char *operation;
    const char *variant;
    enum role role; /* of the victim */
    unsigned flags;
    void (*stage)(struct round *round); /* all that comes before the order */
    struct order order;
    int expected;
    void (*cue)(struct round *round); /* what wakes the victim when it sleeps; may be NULL */
    unsigned dead_at; /* RECOVERY: the one before was killed after so many attaches of its open,
                         or at its last wake of the other side (DEAD_LISTED) */
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

/* The open attaches three segments: the beacon, the directory, its own memory. */
#define DEAD_LISTED 4

enum mode { SURVEY, KILL, STOP, MODES };

enum who { VICTIM, OLD, NEXT, FRESH, RIVAL, DEAD, PEERS };

struct round {
    const struct scenario *scenario;
    enum mode mode;
    struct point point;
    unsigned turn; /* odd: the survivor waits asleep; even: it polls */
    struct accounts *accounts;
    struct peer peer[PEERS];
    unsigned stream[PEERS]; /* that it publishes */
    bool is_busy[PEERS];    /* its order is not answered yet */
    struct stepper stepper;
    const char *directory; /* WEIR_DIR */
    const char *doing;
    char failure[600];
    jmp_buf out;
    unsigned seen; /* messages of the victim's that arrived */
};

/* What a survey finds. */
struct survey {
    struct point *points; /* room for most */
    unsigned most, count;
    unsigned instructions, stops, stores, collapsed;
    bool is_sample; /* asked for: of a long order only the first instructions and the stops */
    bool is_whole;  /* every instruction is a point */
};

/*
 * Runs it. 1: the point was reached and all was as it must be; 0: the order was over before
 * the point; -1: failure says what was wrong. Nothing is left in any case.
 */
int round_run(struct round *round);
/* The order of the scenario from its first to its last instruction. False: failure. */
bool round_survey(struct round *round, struct survey *survey, bool every);

/* For stages: ends the round unless it is so. */
void require(struct round *round, bool condition, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
struct reply ask(struct round *round, enum who who, struct order order);
/* The same; the result must be 0. */
void must(struct round *round, enum who who, struct order order);
void tell(struct round *round, enum who who, struct order order);
struct reply answer(struct round *round, enum who who);
void start(struct round *round, enum who who);
/* Until it waits for a message or for room. */
void see_asleep(struct round *round, enum who who);
/* Kills it; how it ended is known. */
void slay(struct round *round, enum who who);
/* Sends count from one to the other, who reads unread messages of that stream before. */
void exchange(struct round *round, enum who writer, enum who reader, unsigned count,
              unsigned unread);

/* Inside of a round: round.c, survey.c and sync.c. */
void begin_round(struct round *round);
void set_up(struct round *round); /* all that comes before the first instruction of the order */
void clear_everything(struct round *round);
void must_be(struct round *round, enum who who, const struct reply *reply, int expected);
void quit(struct round *round, enum who who);
void nothing_is_left(struct round *round);
void note_wait(struct round *round, int64_t since_ns);
/* Of SYNC: after the victim was killed, or has finished; and while it is stopped, and after. */
void sync_go_on(struct round *round);
void sync_after_stop(struct round *round);

#endif
