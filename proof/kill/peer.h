/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_PEER_H
#define WEIR_PROOF_PEER_H

/*
 * A participant: a process that does with a channel what it is told through a pipe, one
 * order after the other, checks every message that it sees, and keeps its accounts in
 * memory that all share beside weir, so that they can be read when it has been killed.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/weir.h>

#include "alloc.h"
#include "crowd.h"
#include "latest.h"
#include "places.h"
#include "segment.h"
#include "sync.h"
#include "verb.h"

/* Far above the slice of 200 ms after which who waits asks the kernel. */
#define BOUND_NS INT64_C(5000000000)

/* For waits that end when somebody does something: not a bound, however slow the machine is. */
#define PATIENT_NS (20 * BOUND_NS)

/* What a peer answers when it has seen what must not be. */
#define BROKEN (-9999)

#define STREAMS_MAX 32

/* One publisher's messages. Its number stands in each; they are numbered from 0. */
struct stream {
    /* By the publisher. */
    atomic_uint begun;     /* messages whose commit may have happened: a call was entered */
    atomic_uint committed; /* messages whose call has returned */
    atomic_uint ends;      /* it has begun to end, or to close */
    /* By the last who read it. */
    atomic_uint first, next; /* what was read: [first, next) */
    atomic_int end;          /* -ENODATA or -EPIPE, once read */
};

/* Where a peer is in an order that is marked. The mark is followed by one getppid(2). */
enum place { BEFORE, INSIDE, AFTER };

struct accounts {
    atomic_uint streams;
    atomic_int place;
    atomic_llong longest_ns; /* that a call with a bound took */
    struct stream stream[STREAMS_MAX];
    struct sync_state sync;
    struct rwlock_state rwlock;
    struct permits_state permits;
    struct barrier_state barrier;
    struct segment_state segment;
    struct alloc_state alloc;
    struct latest_state latest;
    struct crowd_state crowd;
};

struct order {
    enum verb verb;
    unsigned count;
    unsigned size_bytes;
    int64_t wait_ns;
    bool is_marked; /* accounts->place follows it */
};

struct reply {
    int result;
    unsigned stream; /* published, or read last */
    unsigned count;  /* messages sent or read by the order */
    char sentence[200];
};

struct peer {
    pid_t pid; /* 0: none */
    int orders, replies;
};

/* Forks. False: no process, or no pipe. */
bool peer_start(struct peer *peer, struct accounts *accounts, enum who who);
/* False when it has gone. */
bool peer_tell(const struct peer *peer, struct order order);
/* False when there is no answer in time: as long as some calls that are bounded may take. */
bool peer_answer(const struct peer *peer, struct reply *reply);
/* The pipes; the process has ended. */
void peer_forget(struct peer *peer);

#endif
