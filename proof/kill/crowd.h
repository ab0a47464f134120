/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_CROWD_H
#define WEIR_PROOF_CROWD_H

/* Two publishers and two subscribers: what is known of them beside weir. */

#include <stdatomic.h>
#include <stdbool.h>

#include "verb.h"

#define CROWD_STREAMS 32
#define BACK_MESSAGES 10 /* that one asks for who opens with FROM_BACK */

/* How a subscriber opens, and a publisher. */
enum crowd_kind { FROM_NOW, LOSSY_ONE, FROM_OLDEST, FROM_BACK, WAITS_FOR_NOBODY };

enum crowd_part { NO_PART, PUBLISHES, SUBSCRIBES };

/* What one subscriber has of one stream. */
struct crowd_seen {
    atomic_uint first; /* 1 more than the number of the first that it had or missed; 0: none */
    atomic_uint next;
};

struct crowd_state {
    struct crowd_seen seen[PEERS][CROWD_STREAMS];
    atomic_uint missed[PEERS], evictions[PEERS]; /* that it was told of */
    atomic_bool may_miss;                        /* there are publishers that wait for nobody */
    /* By the sweep. */
    enum crowd_part part[PEERS];
    enum crowd_kind kind[PEERS];
    unsigned from[PEERS][CROWD_STREAMS]; /* what must come: all from here on */
};

#endif
