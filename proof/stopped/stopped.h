/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_STOPPED_H
#define WEIR_PROOF_STOPPED_H

/*
 * Members of three channels, in processes, four of which are stopped (SIGSTOP) and go on again; and
 * the board, in memory beside weir, on which each writes what it has sent and seen.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    /* "traffic" */
    SENDER,
    STOPPED_SENDER,
    READER,
    STOPPED_LOSSY,
    /* "held" */
    HELD_SENDER,
    HELD_READER,
    STOPPED_HOLDER,
    /* "waits" */
    SLOW_SENDER,
    WAITER,
    STOPPED_WAITER,
    MEMBERS
};

struct role {
    const char *name, *channel;
    bool is_sender, is_stopped, is_lossy;
};

extern const struct role roles[MEMBERS];

/* So long nobody may wait who need not. The library promises a fifth of it. */
#define BOUND_NS INT64_C(5000000000)

/* The stopped holder has so many messages in its hands all the time. */
enum { HELD = 4 };

enum phase { RUNNING, STOPPING, STOPPED, RESUMED, OVER };

struct member {
    _Alignas(128) atomic_uint is_there;
    atomic_ullong messages;  /* sent, or received */
    atomic_llong beat_ns;    /* when the last one was */
    atomic_llong longest_ns; /* between two, while others are stopped */
    /* A subscriber, of each publisher. */
    atomic_ullong received[MEMBERS], missed[MEMBERS];
    atomic_uint held;        /* in its hands */
    atomic_uint was_refused; /* a sender: the last time it had no room for 50 ms */
    atomic_uint overwritten; /* the lossy one: what it held while it was stopped */
};

struct board {
    atomic_uint is_broken, phase;
    int64_t slow_ns; /* from one message of the slow sender's to the next */
    struct member member[MEMBERS];
};

extern struct board *board;

/* In processes of their own. They come back when all is over; what must not be ends the process. */
void send_on(unsigned member);
void receive_on(unsigned member);

#endif
