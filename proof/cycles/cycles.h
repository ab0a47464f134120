/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_CYCLES_H
#define WEIR_PROOF_CYCLES_H

/*
 * Random kills: two publishers, two reliable subscribers and a lossy one in one channel, in
 * processes; and the board, in memory beside weir, on which each writes what it has sent and seen.
 * A *life* is one opening of one publisher: its number stands in its messages.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { PUBLISHERS = 2, RELIABLE = 2, SUBSCRIBERS = 3, MEMBERS = PUBLISHERS + SUBSCRIBERS };

#define CYCLES_MAX 1000000
#define LIVES_MAX (CYCLES_MAX + PUBLISHERS)

/* Nobody is ever to wait so long for anything. The library promises a fifth of it. */
#define BOUND_NS INT64_C(5000000000)

struct life {
    atomic_uint sure;    /* so many are committed: the calls have returned */
    atomic_uint at_most; /* so many may be: the calls have been entered */
};

/* What a subscriber has of a life, since it has opened. */
struct seen {
    atomic_uint first; /* 1 more than the number of the first that it had or missed; 0: none yet */
    atomic_uint next;  /* the number that follows */
};

struct member {
    _Alignas(128) atomic_ullong identity; /* 0 until it has opened */
    atomic_uint answered;                 /* the last cycle in which it has gone on */
    atomic_llong answered_ns;             /* when */
    atomic_ullong messages, missed;       /* sent, or received; over all that had this place */
};

struct board {
    atomic_uint is_over, is_broken;
    _Alignas(128) atomic_uint cycle; /* raised once a kill is known to be one */
    struct member member[MEMBERS];
    struct life life[LIVES_MAX];
    struct seen seen[SUBSCRIBERS][LIVES_MAX];
};

extern struct board *board;

/* In processes of their own. They come back when all is over; what must not be ends the process. */
void publish(unsigned member, unsigned life, uint64_t seed);
void subscribe(unsigned member, unsigned lives, uint64_t seed);

/* Below a bound that is not 0. */
uint64_t draw(uint64_t *seed, uint64_t below);

#endif
