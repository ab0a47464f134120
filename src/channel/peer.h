/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_PEER_H
#define WEIR_CHANNEL_PEER_H

/*
 * One of the other role: found in a slot, met when its memory is attached, and parted from.
 *
 *   owner | memory | state
 *   ------+--------+------------------------------------------------------------
 *   0     | NULL   | nobody
 *   set   | NULL   | found: in its slot, and has shown nothing that we attached
 *   set   | set    | met: shown says which showing it was, since a session comes round
 *
 * Whoever may write the directory may write over the slot of one that was met. So of such a one the
 * slot only says "still there". If it does not, its own memory tells whether it has left, and the
 * kernel whether it lives; one that has not, and lives, is adrift, and goes on as before.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/consent.h"
#include "channel/side.h"

struct weir__peer {
    uint64_t owner;
    uint64_t shown; /* by its slot, when it was met, or was tried to be */
    struct weir_segment *memory;
    uint64_t touched_bytes; /* of it, unasked: ours to give back to the side's budget */
    uint32_t number;        /* its slot */
    bool is_adrift;         /* it was met and lives, and its slot does not say so */
};

static inline const struct weir__slot_shm *weir__peer_slot(const struct weir__side *side,
                                                           const struct weir__peer *peer)
{
    return &weir__side_others(side)->at[peer->number];
}

/* Whether the slot is still that of the peer; of one that was met, in the same showing. */
static inline bool weir__peer_is_there(const struct weir__side *side, const struct weir__peer *peer)
{
    const struct weir__slot_shm *slot = weir__peer_slot(side, peer);
    return weir__slot_owner(slot) == peer->owner &&
           (!peer->memory || weir__slot_page(slot) == peer->shown);
}

/*
 * At a look, of one that was met and has not left: whether it is there, by its slot, else by the
 * kernel; and from then on whether it is adrift.
 */
bool weir__peer_follow(const struct weir__side *side, struct weir__peer *peer);

/* Whether one that was adrift is dead. Asks the kernel; changes nothing. */
bool weir__peer_has_died(const struct weir__side *side, const struct weir__peer *peer);

/* Whether the memory of one that was found can be attached by now. Reads only. */
static inline bool weir__peer_is_shown(const struct weir__side *side, const struct weir__peer *peer)
{
    return weir__shown_id(weir__slot_page(weir__peer_slot(side, peer)), peer->owner) >= 0;
}

/*
 * One that was tried in vain, of those that a slot has shown: as there was no room for its memory, or that
 * is gone, or its boundary stands half stored. For a slice it is no reason for a look. Another showing
 * is another one.
 */
struct weir__vain {
    uint64_t owner, shown;
    int64_t noted_ns; /* 0 and below: it may be tried at once, as it was so many times */
};

/* Whether there was no room for it, nor for what must be asked of it: a matter of this moment. */
static inline bool weir__is_scarce(int result)
{
    return result == -ENOMEM || result == -EMFILE || result == -ENFILE;
}

/* Whether it is one that is left alone for now. */
bool weir__vain_waits(const struct weir__vain *vain, uint64_t owner, uint64_t page);

/* It was tried, in vain; so often at once. Returns whether that was noted already, of the same showing. */
bool weir__vain_note(struct weir__vain *vain, uint64_t owner, uint64_t page, unsigned at_once);

/* What the memory of a member must be. */
struct weir__wanted {
    uint64_t magic;
    uint64_t least_bytes, most_bytes; /* one with more is not even mapped */
    uint64_t *touched_bytes;          /* it is to be touched ahead; so much is, unasked; or NULL */
};

/*
 * The most that a lane can have: a publisher brings all of its ring in, so it is no larger than what
 * there is. One that says so may be, and be empty: a few of them would take all addresses.
 */
uint64_t weir__lane_most_bytes(void);

/*
 * Attaches the segment that owner shows, read-only, and copies its first words. -EPROTO, without a
 * sentence: it is not what owner should show; -ENOENT, -EIDRM: it is gone; -ENOMEM: not now; and those of
 * weir_segment_open().
 */
int weir__shown_attach(struct weir_segment **memory, int id, uint64_t owner,
                       const struct weir__wanted *wanted,
                       const struct weir_segment_options *options, struct weir__member_shm *member);

/* The same by one who is no member: of anybody, since it only reads, and checks, what it reads. */
int weir__shown_attach_to_look(struct weir_segment **memory, int id, uint64_t owner,
                               const struct weir__wanted *wanted);

/*
 * Attaches the memory of one that was found, read-only: 0. -EAGAIN: not shown yet, or gone in
 * this moment; -ENOENT: what it shows is gone, and the kernel does not say that it is dead, see
 * struct weir__vain; -EPERM, -EPROTO: refused, with a sentence; -EXDEV: this thread is in another IPC
 * namespace; -ENOMEM, -EMFILE and the like: not now. A segment of more than most_bytes is
 * not even mapped.
 */
int weir__peer_meet(struct weir__side *side, struct weir__peer *peer, uint64_t magic,
                    uint64_t least_bytes, uint64_t most_bytes);

/*
 * The trust to attach a peer's memory with. WEIR_TRUST_DIRECTORY becomes ANYONE: whoever may write
 * the directory is accepted.
 */
uint32_t weir__peer_trust(const struct weir__side *side);

/*
 * What the kernel says of the lane and the page that have these ids: 0. -ENOENT, without a sentence:
 * one of them is gone; -EACCES, with one: it does not tell, since this process may not ask.
 */
int weir__peer_facts(struct weir__consent *consent, int lane_id, int page_id);

/* Nobody again; its memory is detached. side: that of the meeting; of a tap there is none. */
void weir__peer_part(struct weir__side *side, struct weir__peer *peer);

/* How to wake one that was met, by the epoch in its memory; nobody: never. */
struct weir__waker weir__peer_waker(const struct weir__side *side, const struct weir__peer *peer,
                                    const weir__atomic_u32 *epoch);

/*
 * A pidfd of the process that the owner of a slot is, which becomes readable when that ends: a
 * reason to ask, sooner than a slice; the verdict is the beacon's. -1: its pid is not visible
 * here, or the like.
 */
int weir__peer_pidfd(const struct weir__slot_shm *slot, uint64_t owner);

#endif
