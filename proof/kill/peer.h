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

/* Far above the slice of 200 ms after which who waits asks the kernel. */
#define BOUND_NS INT64_C(5000000000)

/* For waits that end when somebody does something: not a bound, however slow the machine is. */
#define PATIENT_NS (20 * BOUND_NS)

/* What a peer answers when it has seen what must not be. */
#define BROKEN (-9999)

#define STREAMS_MAX 32
#define LEAST_BYTES 8

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

/* Floor 2, and what is known of it beside it. */
struct shared_state {
    struct weir_mutex mutex;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore;
    struct weir_once once;
    uint64_t first, second;                     /* by the mutex's holder: alike when it lets go */
    atomic_int holder;                          /* a pid; 0 before the unlock */
    atomic_uint state;                          /* what conditions and events are waited for with */
    atomic_uint posting, posted, taking, taken; /* units: calls entered, and returned */
    atomic_bool is_built, is_done;              /* once: about to end; end has returned */
};

struct accounts {
    atomic_uint streams;
    atomic_int place;
    atomic_llong longest_ns; /* that a call with a bound took */
    struct stream stream[STREAMS_MAX];
    struct shared_state sync;
};

enum verb {
    OPEN_PUBLISHER,
    OPEN_SUBSCRIBER,
    SEND,            /* count messages of size_bytes (0: by number), each within wait_ns */
    FILL,            /* until -EAGAIN, count at most */
    LOAN,            /* of size_bytes, filled */
    COMMIT,          /* that loan */
    BATCH,           /* begin, count messages, end */
    WAIT_SUBSCRIBER, /* within wait_ns */
    WAIT_TAKEN,
    END,
    CLOSE,      /* whichever is open */
    TAKE,       /* count, and hold them */
    RECEIVE,    /* count */
    RELEASE,    /* the hold number size_bytes, 0 is the oldest, count times */
    READ,       /* count messages of the stream that size_bytes names, whatever ends before */
    READ_THERE, /* what is there without waiting */
    READ_END,   /* until an end; wait_ns 0: polling */
    DESCRIPTOR,
    SEND_MANY,    /* count messages of size_bytes, in one call */
    LOAN_MANY,    /* count places of size_bytes, filled */
    COMMIT_MANY,  /* those, every second one with half its size: closed up */
    TAKE_MANY,    /* count, in one call, and hold them */
    RELEASE_MANY, /* count, from the hold number size_bytes on */
    RECEIVE_MANY, /* count */
    COLLECT,
    QUIT,
    /* Floor 2: sync_peer.c. */
    LOCK,           /* within wait_ns; 0: try */
    UNLOCK,         /* if it holds the mutex */
    REPAIR,         /* what it inherited, and says so; if it did */
    CONDITION_WAIT, /* with the mutex, until the state is not count any more */
    CHANGE,         /* the state, with the mutex */
    SIGNAL,         /* count 1: broadcast */
    EVENT_WAIT,     /* until the state is not count */
    NOTIFY,         /* count 1: all */
    SEMAPHORE_WAIT,
    SEMAPHORE_POST,
    ONCE_BEGIN,
    ONCE_END,     /* if it has begun */
    ONCE_ABANDON, /* the same */
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
bool peer_start(struct peer *peer, struct accounts *accounts);
/* False when it has gone. */
bool peer_tell(const struct peer *peer, struct order order);
/* False when there is no answer in time: as long as some calls that are bounded may take. */
bool peer_answer(const struct peer *peer, struct reply *reply);
/* The pipes; the process has ended. */
void peer_forget(struct peer *peer);

/* Between peer.c, which reads orders, and sync_peer.c, which does those of floor 2. */
int sync_obey(const struct order *order, struct accounts *accounts);
void peer_enter(const struct order *order);
void peer_leave(const struct order *order);
int peer_timed(const struct order *order, int64_t before_ns, int result);
int peer_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
