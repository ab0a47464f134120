/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_CROWD_ROUND_H
#define WEIR_PROOF_CROWD_ROUND_H

/* Between crowd_scenarios.c and crowd_kill.c. */

#include "round.h"

enum crowd_role { CROWD_PUBLISHER, CROWD_SUBSCRIBER, CROWD_COLLECTOR };

enum crowd_flags {
    JOINING = SUBJECT_FLAG << 0,  /* the order opens: the place may be another's before */
    LEAVING = SUBJECT_FLAG << 1,  /* and after */
    EVICTING = SUBJECT_FLAG << 2, /* the order, once it is over, has evicted the other subscriber */
    MISSING = SUBJECT_FLAG << 3,  /* the victim has missed something, and is told by its order */
};

extern const struct scenario crowd_scenarios[];
extern const unsigned crowd_scenario_count;

/* One joins, who is started first if he is not there, and takes part from then on. */
void join_crowd(struct round *round, enum who who, enum crowd_part part, enum crowd_kind kind);
/* What a subscriber that has just opened must have. */
void note_begin(struct round *round, enum who who, enum crowd_kind kind);
/* Each of those who send sends count; each of those who take has them then. Not the one but. */
void traffic(struct round *round, unsigned count, unsigned but);
/* All who subscribe attach what there is, and this publisher sees them. */
void meet(struct round *round, enum who who);
struct order crowd_order(enum verb verb, unsigned count, unsigned size_bytes);

#endif
