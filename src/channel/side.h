/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_SIDE_H
#define WEIR_CHANNEL_SIDE_H

/*
 * What publishers and subscribers do alike: find the directory, claim a slot, make their own
 * memory, wait, and leave.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/channel.h>
#include <weir/segment.h>

#include "channel/directory.h"
#include "channel/wait.h"
#include "segment/rundir.h"

/*
 * Who wants to know of a handle in its thread: a wait set that it is in. Both calls may come in a
 * child of fork.
 */
struct weir__side_watcher {
    struct weir__side_watcher *next;
    void (*refused)(
        struct weir__side_watcher *watcher); /* a call was, that waits for something now */
    void (*closed)(struct weir__side_watcher *watcher); /* the handle is about to go */
};

struct weir__side {
    /* Asked by all that is not a fast path. */
    uint64_t identity;
    const uint64_t *identity_now; /* reads otherwise in a child of fork */

    struct weir_channel_options options;
    struct weir__directory directory;
    enum weir__role role;
    bool is_lossy;               /* a subscriber for which nobody waits */
    uint32_t number;             /* our slot */
    struct weir_segment *memory; /* ours: lane or page */
    uint64_t touched_bytes; /* of others' memory that is attached: brought in without a question */
    uint64_t me;            /* identity and session, as in the slot */
    bool has_membarrier;    /* registered: the others' barrier reaches us */
    bool is_listed;
    uint64_t shown;    /* by our slot: our memory */
    uint32_t put_outs; /* how often it was found to be no longer ours */
    bool took_dead;    /* our slot was a dead one's */
    struct weir__waiter waiter;
    unsigned looks; /* in a row that weir__side_wait() asked for */
    int64_t row_ns; /* when the first of them was */
    struct weir__side_watcher *watchers;
};

/* What a wait looks at. */
struct weir__watch {
    enum weir__waits_for waits_for;
    uint64_t moved;                   /* bytes by this handle, from any number on */
    bool (*is_ready)(void *argument); /* cheap, changes nothing */
    bool (*ask)(void *argument);      /* the kernel, for lives; true: somebody was dead */
    void *argument;
};

/*
 * What is asked of a publisher's options beside weir__channel_options(), before a channel is made with them: a
 * persistent one would stay. -EINVAL.
 */
int weir__check_publisher(const struct weir_channel_options *options);

/* Whether messages of that type fit a publisher's ring; else -EINVAL with a sentence. */
int weir__type_check(const char *type_name, uint32_t type_bytes, uint64_t ring_bytes);

/* Whether this is the process that opened the handle; else -ECHILD with a sentence. */
int weir__side_check(const struct weir__side *side);

/*
 * Counts the sessions that this process has given, from a random number on; 0: none yet. The next
 * 8,192nd is a publisher's again, the 4,096th a subscriber's. Here for tests, which do not wait for it.
 */
extern weir__atomic_u64 weir__sessions __attribute__((visibility("hidden")));

static inline bool weir__side_is_ours(const struct weir__side *side)
{
    return __builtin_expect(*side->identity_now == side->identity, 1);
}

static inline const struct weir__slots *weir__side_own(const struct weir__side *side)
{
    return &side->directory.roles[side->role];
}

static inline const struct weir__slots *weir__side_others(const struct weir__side *side)
{
    return &side->directory
                .roles[side->role == WEIR__PUBLISHER ? WEIR__SUBSCRIBER : WEIR__PUBLISHER];
}

/*
 * The two halves of joining enter the run directory once: dir is as weir__rundir_init() leaves
 * it, the caller's to close.
 *
 * Claims a slot of the channel (-EBUSY: all owners live). Memory is there only if the channel was
 * made as well, and none of it is filled in.
 */
int weir__side_join(struct weir__side *side, const char *name, enum weir__role role,
                    const struct weir_channel_options *options, struct weir__rundir *dir);

/*
 * Makes the own memory, zero, unless it was made with the channel, and fills the member's words in.
 * Not shown yet. The epoch and the statistics are the waiter's from then on.
 */
int weir__side_make(struct weir__side *side, uint64_t magic, struct weir__rundir *dir);

/* Where this side counts, once it has memory: in that. NULL before. */
static inline struct weir__stats_shm *weir__side_stats(const struct weir__side *side)
{
    return side->waiter.stats;
}

/* Rings a doorbell of the other role, and counts it. */
void weir__side_ring(const struct weir__side *side, weir__atomic_u32 *doorbell);

/* Likewise all of the other role. */
void weir__side_ring_all(const struct weir__side *side);

/* Shows the own memory, whole, and rings all of the other role. */
void weir__side_list(struct weir__side *side);

/* Whether our slot says so still; whoever may write the directory may have put us out of it. */
bool weir__side_has_place(const struct weir__side *side);

/*
 * The same; if it does not, it is made ours again, if it can be. false: somebody who lives has it.
 * Those who have met us follow us all the same, and nobody else can.
 */
bool weir__side_keep_place(struct weir__side *side);

void weir__side_watch(struct weir__side *side, struct weir__side_watcher *watcher);
void weir__side_unwatch(struct weir__side *side, const struct weir__side_watcher *watcher);
void weir__side_tell_refused(const struct weir__side *side);

/* Leaves the slot, rings the others, detaches everything. Also of a half-made side. */
void weir__side_leave(struct weir__side *side);

/*
 * weir__wait(), for a loop of looks: set side->looks to 0 before it. Asks for the others'
 * lives once a slice, also of who only polls or is interrupted again and again. Who
 * writes what makes us look in vain, again and again, does not keep us from our deadline.
 * 0: look again; else -EAGAIN, -ETIMEDOUT or -EINTR.
 */
int weir__side_wait(struct weir__side *side, const struct weir__watch *watch, int64_t deadline_ns);

#endif
