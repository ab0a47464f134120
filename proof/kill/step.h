/* SPDX-License-Identifier: MIT */
#ifndef WEIR_PROOF_STEP_H
#define WEIR_PROOF_STEP_H

/*
 * One process, walked through an order instruction by instruction with ptrace(2), and
 * through each system call by its entry and its exit.
 *
 * A point of an order: so many stops at system calls (entries and exits), then so many
 * instructions; or, after an entry, the system call that does not return by itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "peer.h"

struct point {
    uint32_t stops;
    uint32_t steps : 30;
    uint32_t is_alike : 1;   /* a kill there leaves what one at a point next to it leaves */
    uint32_t is_blocked : 1; /* inside the call that was entered */
    uint32_t visit; /* the same, faster: it stands there for the so-manieth time; 0: not known */
    uintptr_t there;
};

enum step {
    STEP_INSTRUCTION,
    STEP_ENTRY,   /* before a system call */
    STEP_EXIT,    /* after it */
    STEP_BLOCKED, /* asleep in it */
    STEP_LOST,    /* it has ended, or is stopped by something else */
};

struct stepper {
    pid_t pid;
    const struct accounts *accounts;
    bool is_entered;     /* stands at an entry, or sleeps behind it */
    bool is_running;     /* sleeps behind it */
    bool is_detached;    /* stopped by SIGSTOP, and not traced any more */
    struct point at;     /* since the order began */
    long call;           /* the last system call that was entered */
    uintptr_t from;      /* where the last instruction stood */
    void (*cue)(void *); /* what wakes it, once, when it sleeps; may be NULL */
    void *argument;
    bool has_cued;
};

/* Whether a process may be stepped here. */
bool stepper_works(void);
/* Halts a peer that waits for orders. */
bool stepper_begin(struct stepper *stepper, const struct peer *peer,
                   const struct accounts *accounts);
/* Where it stands. */
uintptr_t stepper_where(const struct stepper *stepper);
/* Whether the call that it has returned from was a wait that was over by its time. */
bool stepper_timed_out(const struct stepper *stepper);
/* One stop further. */
enum step stepper_next(struct stepper *stepper);
/* It has been told a marked order: on to where that begins. */
bool stepper_enter(struct stepper *stepper);
/* On to the point. False: the order is over, or the process lost, before. */
bool stepper_reach(struct stepper *stepper, struct point point);
bool stepper_is_over(const struct stepper *stepper);
/* Stops it for good as SIGSTOP does, or holds it where that cannot be: at a system call. */
bool stepper_halt(struct stepper *stepper);
/* Let it run freely. */
void stepper_release(struct stepper *stepper);

/*
 * What the process has mapped of System V segments and can write, but for its beacon; and other
 * memory that it shares with us.
 * memory_changed(): since the last call; the first, and one after an attach, says false.
 */
struct memory {
    const void *shared;
    size_t shared_bytes; /* 0: none */
    unsigned char *shared_before;
    struct {
        uintptr_t start;
        size_t bytes;
    } maps[16];
    unsigned count;
    bool is_known;
    unsigned char *before, *now;
    size_t capacity_bytes;
};

void memory_forget(struct memory *memory); /* the maps are to be read again */
void memory_free(struct memory *memory);
bool memory_changed(struct memory *memory, pid_t pid);

#endif
