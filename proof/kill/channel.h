/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_CHANNEL_H
#define WEIR_PROOF_CHANNEL_H

/* Between channel_scenarios.c and channel.c. */

#include "round.h"

enum role { NONE, PUBLISHER, SUBSCRIBER, COLLECTOR };

enum channel_flags {
    OPENING = SUBJECT_FLAG << 0, /* the order opens: the place may be another's before */
    CLOSING = SUBJECT_FLAG << 1, /* and after */
    ENDING = SUBJECT_FLAG << 2,  /* the order ends the stream */
    WHOLE = SUBJECT_FLAG << 3,   /* all of the order's messages arrive, or none */
    LOANING = SUBJECT_FLAG << 4, /* a loan is out afterwards */
};

/* The open attaches three segments: the beacon, the directory, its own memory. */
#define DEAD_LISTED 4

extern const struct scenario channel_scenarios[];
extern const unsigned channel_scenario_count;

#endif
