/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SIDE_H
#define WEIR_CHANNEL_SIDE_H

/*
 * What both sides of a channel do alike: find the directory, claim a slot, make
 * their own memory, meet the other side, and leave.
 *
 *   step of joining                  | killed here, it leaves       (CRASH ...)
 *   ---------------------------------+--------------------------------------------
 *   claim: owner 0 or dead -> me     | side.claimed: a dead owner without memory
 *   own memory made, page stored     | side.listed: a dead owner; the kernel frees
 *                                    | its memory with the last who attached it
 *   leaving: owner me -> 0           | side.left: nothing
 *
 * A dead owner is put out by one compare-and-swap of exactly its value: a recoverer
 * that comes late fails, since each joining has a session of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/segment.h>

#include "channel/layout.h"
#include "channel/wait.h"

struct weir__side {
    /* Used for each message. Near the begin of a handle: instructions are shorter there. */
    uint64_t identity;
    const uint64_t *identity_now; /* reads otherwise in a child of fork */
    struct weir__waker waker;     /* of the other side */
    struct weir__slot_shm *other; /* the other side's */
    uint64_t peer;                /* the other side, as long as its memory is attached; 0: none */

    uint64_t peer_page; /* the slot's page then: a session comes round, this does not */
    struct weir_segment *peer_memory;

    struct weir_channel_options options;
    struct weir_segment *directory;
    struct weir__slot_shm *slot; /* ours */
    struct weir_segment *memory; /* ours: lane or page */
    uint64_t me;                 /* identity and session, as in the slot */
    bool has_membarrier;         /* registered: the other side's barrier reaches us */
    bool is_listed;
    struct weir__waiter waiter;
    unsigned looks;   /* in a row that weir__side_wait() asked for */
    int64_t row_ns;   /* when the first of them was */
    int64_t asked_ns; /* when the kernel was asked for the other side's life */
};

/* Whether this is the process that opened the handle; else -ECHILD with a sentence. */
int weir__side_check(const struct weir__side *side);

static inline bool weir__side_is_ours(const struct weir__side *side)
{
    return __builtin_expect(*side->identity_now == side->identity, 1);
}

/*
 * Claims the slot of the channel (-EBUSY: its owner lives) and makes size_bytes of own
 * memory with the member's words filled in. Not listed yet.
 */
int weir__side_join(struct weir__side *side, const char *name, bool is_publisher, uint64_t magic,
                    uint64_t size_bytes, const struct weir_channel_options *options);

/* Shows the own memory, whole, to the other side, and rings it. */
void weir__side_list(struct weir__side *side);

/* Leaves the slot, rings the other side, detaches everything. Also of a half-made side. */
void weir__side_leave(struct weir__side *side);

/* In the slot there may be: nobody (0), somebody new, or the peer that we have. */
uint64_t weir__side_other(const struct weir__side *side);

/* The slot's page, to tell a later joining with the same session by. */
uint64_t weir__side_page(const struct weir__side *side);

/* Whether owner is the peer that we have, and not a later joining with its session. */
bool weir__side_is_peer(const struct weir__side *side, uint64_t owner);

/* Whether owner's memory can be attached by now. Reads only. */
bool weir__side_is_shown(const struct weir__side *side, uint64_t owner);

/*
 * Attaches the memory of owner, the slot's present one, read-only: 0. -EAGAIN: not shown
 * yet, or gone in this moment; -EPERM, -EPROTO: refused, with a sentence. A segment of
 * more than most_bytes is not even mapped.
 */
int weir__side_meet(struct weir__side *side, uint64_t owner, uint64_t magic, uint64_t least_bytes,
                    uint64_t most_bytes);

/* Forgets the peer; its memory is detached, or given to whom keep points to. */
void weir__side_part(struct weir__side *side, struct weir_segment **keep);

/*
 * A pidfd of the process that owner is, which becomes readable when that ends: a reason to ask,
 * sooner than a slice; the verdict is the beacon's. -1: its pid is not visible here, or the like.
 */
int weir__side_pidfd(const struct weir__side *side, uint64_t owner);

/* Asks the kernel for the slot's owner; puts a dead one out. true: it was dead. */
bool weir__side_reap(const struct weir__side *side, uint64_t owner);

/*
 * weir__wait(), for a loop of looks: set side->looks to 0 before it. Asks for the other
 * side's life once a slice, also of who only polls or is interrupted again and again. Who
 * writes what makes us look in vain, again and again, does not keep us from our deadline.
 * 0: look again; else -EAGAIN, -ETIMEDOUT or -EINTR.
 */
int weir__side_wait(struct weir__side *side, bool (*is_ready)(void *argument), void *argument,
                    int64_t deadline_ns);

#endif
