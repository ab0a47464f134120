/* SPDX-License-Identifier: MIT */
#include "channel/peer.h"

#include <errno.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"
#include "base/slice.h"
#include "channel/ahead.h"
#include "segment/header.h"
#include "segment/sysv.h"

/*
 * What was shown is not what the owner should show. Between our looks at the owner and at the
 * page another one may have come, whose session happens to be the same: then look again.
 */
static int refuse(const struct weir__side *side, const struct weir__peer *peer, uint64_t page)
{
    const struct weir__slot_shm *slot = weir__peer_slot(side, peer);
    if (weir__slot_owner(slot) != peer->owner || weir__slot_page(slot) != page)
        return -EAGAIN;
    return weir__fail(EPROTO, "the other side shows a segment of another kind (%d)",
                      weir__shown_id(page, peer->owner));
}

uint64_t weir__lane_most_bytes(void)
{
    struct sysinfo memory;
    return sysinfo(&memory) == 0 ? ((uint64_t)memory.totalram + memory.totalswap) * memory.mem_unit
                                 : INT64_MAX;
}

/* Before it is attached: what the kernel says of its size, and whether to bring it in. */
static bool is_small_enough(int id, const struct weir__wanted *wanted, struct weir__ahead *ahead)
{
    struct weir__error_saved saved;
    struct shmid_ds found;
    weir__error_save(&saved);
    *ahead = (struct weir__ahead){ .id = id };
    bool is_known = weir__shm_stat(id, &found) == 0; /* else the attach says why */
    bool is_small = !is_known || found.shm_segsz <= wanted->most_bytes + WEIR__HEADER_BYTES;
    if (is_known && is_small)
        *ahead = weir__ahead_of(id, &found, wanted->touched_bytes);
    weir__error_restore(&saved);
    return is_small;
}

/* Its first words, once it is known that they can be read; and it is brought in. */
static int read_member(struct weir_segment *memory, uint64_t least_bytes,
                       const struct weir__ahead *ahead, struct weir__member_shm *member)
{
    *member = (struct weir__member_shm){ .magic = 0 };
    if (weir_segment_size(memory) < least_bytes)
        return 0;
    int result = weir__refuse_huge_pages(memory);
    if (result != 0)
        return result;
    memcpy(member, weir_segment_data(memory), sizeof *member);
    return weir__ahead_bring(ahead, memory);
}

uint32_t weir__peer_trust(const struct weir__side *side)
{
    return side->options.trust == WEIR_TRUST_DIRECTORY ? (uint32_t)WEIR_TRUST_ANYONE
                                                       : side->options.trust;
}

int weir__peer_facts(struct weir__consent *consent, int lane_id, int page_id)
{
    int result = weir__shm_stat(lane_id, &consent->lane);
    if (result == 0)
        result = weir__shm_stat(page_id, &consent->page);
    if (result == 0 || result == -ENOENT)
        return result;
    return weir__fail(EACCES, "the kernel does not tell whose the other side's memory is: allow "
                              "this process shmctl(2)");
}

static struct weir_segment_options attach_options(const struct weir__side *side)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_NO_FORK;
    options.trust = weir__peer_trust(side);
    options.trust_uid = side->options.trust_uid;
    return options;
}

int weir__shown_attach(struct weir_segment **memory, int id, uint64_t owner,
                       const struct weir__wanted *wanted,
                       const struct weir_segment_options *options, struct weir__member_shm *member)
{
    struct weir__ahead ahead;
    uint64_t touched_bytes = wanted->touched_bytes ? *wanted->touched_bytes : 0;
    if (!is_small_enough(id, wanted, &ahead))
        return -EPROTO;
    int result = weir_segment_open(memory, weir_by_id(id), 0, options);
    if (result == 0) {
        result = read_member(*memory, wanted->least_bytes, &ahead, member);
        if (result == 0 && (member->magic != wanted->magic || member->owner != owner))
            result = -EPROTO;
        if (result != 0)
            weir_segment_close(*memory);
    }
    if (result != 0 && wanted->touched_bytes)
        *wanted->touched_bytes = touched_bytes; /* nothing of it stays */
    /* A filter that forbids a call may say that there is none: where we have memory of our own, there is. */
    return result == -ENOSYS ? -EPERM : result;
}

int weir__shown_attach_to_look(struct weir_segment **memory, int id, uint64_t owner,
                               const struct weir__wanted *wanted)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir__member_shm member;
    options.flags = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_NO_FORK;
    options.trust = WEIR_TRUST_ANYONE;
    return weir__shown_attach(memory, id, owner, wanted, &options, &member);
}

int weir__peer_meet(struct weir__side *side, struct weir__peer *peer, uint64_t magic,
                    uint64_t least_bytes, uint64_t most_bytes)
{
    const struct weir_segment_options options = attach_options(side);
    const struct weir__wanted wanted = { magic, least_bytes, most_bytes, &side->touched_bytes };
    const struct weir__slot_shm *slot = weir__peer_slot(side, peer);
    struct weir_segment *memory;
    struct weir__member_shm member;
    uint64_t page = weir__slot_page(slot), touched_bytes = side->touched_bytes;
    int id = weir__shown_id(page, peer->owner);
    peer->shown = page;
    if (id < 0)
        return -EAGAIN;
    int result = weir__shown_attach(&memory, id, peer->owner, &wanted, &options, &member);
    /* In another IPC namespace the id is another segment's, or nobody's: that is no word on the
     * other side. */
    uint64_t self;
    if (result != 0 && weir_identity(&self) == -EXDEV)
        return -EXDEV;
    if (result == -ENOENT || result == -EIDRM) {
        /* It has left; or it is dying: the kernel lets go of one mapping after the other, and
         * this one went before the beacon. So a later look will tell. Or it lies. */
        bool is_dead = weir__slot_reap(weir__side_others(side), peer->number, peer->owner,
                                       weir__side_stats(side));
        return is_dead ? -EAGAIN : -ENOENT;
    }
    if (result == -EPROTO)
        return refuse(side, peer, page);
    if (result != 0) /* not for us; unless it is another one's by now */
        return weir__slot_owner(slot) != peer->owner ? -EAGAIN : result;
    peer->memory = memory;
    peer->touched_bytes = side->touched_bytes - touched_bytes;
    return 0;
}

bool weir__peer_follow(const struct weir__side *side, struct weir__peer *peer)
{
    bool is_there = weir__peer_is_there(side, peer);
    peer->is_adrift = !is_there && weir__shown_life(peer->shown, peer->owner) != WEIR_LIFE_DEAD;
    return is_there || peer->is_adrift;
}

bool weir__peer_has_died(const struct weir__side *side, const struct weir__peer *peer)
{
    return peer->is_adrift && !weir__peer_is_there(side, peer) &&
           weir__shown_life(peer->shown, peer->owner) == WEIR_LIFE_DEAD;
}

static bool is_of(const struct weir__vain *vain, uint64_t owner, uint64_t page)
{
    return vain->owner == owner && vain->shown == page;
}

bool weir__vain_waits(const struct weir__vain *vain, uint64_t owner, uint64_t page)
{
    return is_of(vain, owner, page) && !weir__slice_is_over(vain->noted_ns, weir_now_ns());
}

bool weir__vain_note(struct weir__vain *vain, uint64_t owner, uint64_t page, unsigned at_once)
{
    bool was_noted = is_of(vain, owner, page);
    int64_t noted_ns = was_noted ? vain->noted_ns : 0;
    bool is_at_once = noted_ns <= 0 && -noted_ns < at_once;
    *vain = (struct weir__vain){ owner, page, is_at_once ? noted_ns - 1 : weir_now_ns() };
    return was_noted;
}

void weir__peer_part(struct weir__side *side, struct weir__peer *peer)
{
    if (side)
        side->touched_bytes -= peer->touched_bytes;
    weir_segment_close(peer->memory);
    *peer = (struct weir__peer){ .owner = 0 };
}

struct weir__waker weir__peer_waker(const struct weir__side *side, const struct weir__peer *peer,
                                    const weir__atomic_u32 *epoch)
{
    const struct weir__member_shm *member = weir_segment_data(peer->memory);
    /* Relaxed: and read again after each ring. Pairs with weir__sleep_ask_for_fences(). */
    bool needs_fence = atomic_load_explicit(&member->needs_fence, memory_order_relaxed) != 0;
    return (struct weir__waker){
        .epoch = epoch,
        .must_fence = !side->has_membarrier || needs_fence,
        .doorbell = &weir__side_others(side)->at[peer->number].doorbell,
        .needs_fence = &member->needs_fence,
    };
}

int weir__peer_pidfd(const struct weir__slot_shm *slot, uint64_t owner)
{
    struct weir__error_saved saved;
    int id = weir__shown_id(weir__slot_page(slot), owner);
    weir__error_save(&saved);
    int pidfd = id >= 0 ? weir__shm_maker_pidfd(id) : -1;
    /* Alive only now: so the number was not another's when it was opened. */
    if (pidfd >= 0 && weir__slot_life(slot, owner) != WEIR_LIFE_ALIVE) {
        close(pidfd);
        pidfd = -1;
    }
    weir__error_restore(&saved);
    return pidfd;
}
