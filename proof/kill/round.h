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

enum scenario_flags {
    RECOVERY = 1 << 0,     /* of what another one has left that was killed before */
    SUBJECT_FLAG = 1 << 8, /* and above: the subject's own */
};

struct round;

struct scenario {
    const char *operation;
    const char *variant;
    int role; /* of the victim, as its subject knows it */
    unsigned flags;
    void (*stage)(struct round *round); /* all that comes before the order */
    struct order order;
    int expected;
    void (*cue)(struct round *round); /* what wakes the victim when it sleeps; may be NULL */
    unsigned dead_at; /* RECOVERY: how far the one before came, as its subject counts */
};

/* What is swept: who stands where, and what must hold afterwards. */
struct subject {
    const struct scenario *scenarios;
    const unsigned *count;
    bool is_in_accounts;                      /* what it works on */
    void (*begin)(struct round *round);       /* before there is anybody; may be NULL */
    void (*before_kill)(struct round *round); /* the victim stands: what will not be any more */
    void (*after_kill)(struct round *round);  /* the victim is dead: the others go on, and leave */
    void (*after_stop)(struct round *round);  /* it stands; it goes on; all leave */
};

extern const struct subject channel_subject, crowd_subject, sync_subject, rwlock_subject,
    permits_subject, barrier_subject, latest_subject, named_subject, alloc_subject, segment_subject;

enum mode { SURVEY, KILL, STOP, MODES };

extern const char *const who_names[PEERS];

struct round {
    const struct subject *subject;
    const struct scenario *scenario;
    unsigned number; /* of the scenario, in the whole list */
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
    int seen; /* messages of the victim's that arrived, where they are counted: else -1 */
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
/* The same, if it is not the victim, or there already; and it has its identity, by a mutex. */
void give_identity(struct round *round, enum who who);
struct order within(enum verb verb, int64_t wait_ns);
/* A bare order, whose result must be 0. */
void simply(struct round *round, enum who who, enum verb verb);
/* Until it waits for a message or for room. */
void see_asleep(struct round *round, enum who who);
/* The same, or it has answered. */
void see_settled(struct round *round, enum who who);
/* Kills it; how it ended is known. */
void slay(struct round *round, enum who who);
/* Inside of a round. */
void begin_round(struct round *round);
void set_up(struct round *round); /* all that comes before the first instruction of the order */
void clear_everything(struct round *round);
void must_be(struct round *round, enum who who, const struct reply *reply, int expected);
void quit(struct round *round, enum who who);
void nothing_is_left(struct round *round);
void note_wait(struct round *round, int64_t since_ns);
/* The old one does this, and sleeps over it. */
void other_sleeps(struct round *round, enum verb verb);
/* What was to come when it sleeps, and has not come. */
bool is_cue_due(const struct round *round);
/*
 * The victim, which stands, goes on, and the cue comes, if it is due: before, so that it finds what
 * it has not slept for yet, or after. What its order gives.
 */
struct reply resume_victim(struct round *round, bool is_due, bool is_before);
/* All leave, and nothing is left. */
void quit_all(struct round *round);

#endif
