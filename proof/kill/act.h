/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_ACT_H
#define WEIR_PROOF_ACT_H

/* In a peer's process: between peer.c, which reads orders, and the subjects' _peer.c. */

#include "peer.h"

extern struct accounts *accounts;
extern struct reply reply;
extern enum who peer_self;

/* What it answers. */
typedef int act(const struct order *order);

#define VERB_ACT(verb, how, name) [verb] = how,

extern act *const channel_acts[VERBS], *const crowd_acts[VERBS],
                                           *const sync_acts[VERBS],
                                               *const rwlock_acts[VERBS],
                                                   *const permits_acts[VERBS],
                                                       *const barrier_acts[VERBS],
                                                           *const latest_acts[VERBS],
                                                               *const alloc_acts[VERBS],
                                                                   *const segment_acts[VERBS],
                                                                       *const named_acts[VERBS];

/* Around what is swept. */
void peer_enter(const struct order *order);
void peer_leave(const struct order *order);
int64_t peer_deadline(const struct order *order, int64_t before_ns);
int peer_timed(const struct order *order, int64_t before_ns, int result);
int peer_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
