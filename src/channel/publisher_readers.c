/* SPDX-License-Identifier: MIT */
/* The subscribers that a publisher knows: found, met, woken and forgotten. */
#include "channel/publisher.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "segment/handle.h"

/* Never equal to what is seen: look at the slots again. */
static void look_again(struct weir_publisher *publisher, uint32_t changes)
{
    publisher->changes_seen = changes - 1;
}

static struct weir__waker *waker_at(struct weir_publisher *publisher, uint32_t index)
{
    return index == 0 ? &publisher->waker : &publisher->wakers[index - 1];
}

static const struct weir__waker nobody = { .epoch = &weir__nobody_epoch,
                                           .needs_fence = &weir__nobody_epoch };

void weir__publisher_settle_wakers(struct weir_publisher *publisher)
{
    uint32_t count = publisher->reader_count;
    publisher->must_fence = !publisher->side.has_membarrier;
    if (count == 0)
        publisher->waker = nobody;
    for (uint32_t i = 0; i < count; i++)
        publisher->must_fence |= waker_at(publisher, i)->must_fence;
    publisher->more = count > 1 ? count - 1 : 0;
    weir__publisher_settle_special(publisher);
}

/* Also of one that has left, or died, since: its page is still attached. */
bool weir__publisher_reader_has_released(const struct weir_publisher *publisher,
                                         const struct weir__reader *reader)
{
    if (!reader->page || !weir__reader_is_reading(reader, publisher->side.shown, true))
        return false;
    /* Acquire [lane.free]: all that it read comes before. Pairs with store_cursor_at() and
     * weir__lane_store_cursor(). */
    uint64_t cursor = atomic_load_explicit(&reader->entry->cursor, memory_order_acquire);
    /* Acquire [hold.count]: likewise of what the cursor has passed. Pairs with count_place(). */
    uint64_t holds = atomic_load_explicit(&reader->aside->holds, memory_order_acquire);
    return cursor >= weir__publisher_last_end(publisher) && cursor <= publisher->tail &&
           !weir__holds_any(holds);
}

/* What weir_publisher_wait_taken() asks when nobody is left: its page goes with it. */
static void note_released(struct weir_publisher *publisher, const struct weir__reader *reader)
{
    if (reader->is_lossy || reader->is_out)
        return;
    bool has_all = weir__publisher_reader_has_released(publisher, reader);
    *(has_all ? &publisher->taken_end : &publisher->untaken_end) =
        weir__publisher_last_end(publisher);
}

static void forget(struct weir_publisher *publisher, uint32_t index)
{
    struct weir__reader *reader = &publisher->readers[index];
    note_released(publisher, reader);
    if (publisher->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(publisher->descriptor);
    if (publisher->known[reader->peer.number] == reader->peer.owner)
        publisher->known[reader->peer.number] = 0;
    weir__peer_part(&publisher->side, &reader->peer);
    publisher->reader_count--;
    for (uint32_t i = index; i < publisher->reader_count; i++) {
        publisher->readers[i] = publisher->readers[i + 1];
        *waker_at(publisher, i) = *waker_at(publisher, i + 1);
    }
}

/* Of one that was not met: whether the slot is still that of the reader, in the same showing. */
static bool is_found(const struct weir_publisher *publisher, const struct weir__reader *reader)
{
    const struct weir__slot_shm *slot = weir__peer_slot(&publisher->side, &reader->peer);
    return weir__peer_is_there(&publisher->side, &reader->peer) &&
           (reader->unmet_shown == 0 || weir__slot_page(slot) == reader->unmet_shown);
}

/*
 * Of one that was met: whether it may read from us. Its slot is a reason to ask, and no answer: it
 * has left by its own word, or is dead by the kernel's.
 */
static bool is_followed(struct weir_publisher *publisher, struct weir__reader *reader)
{
    const struct weir__side *side = &publisher->side;
    bool was_adrift = reader->peer.is_adrift;
    uint64_t *known = &publisher->known[reader->peer.number];
    if (weir__peer_is_there(side, &reader->peer)) {
        reader->peer.is_adrift = false;
        if (was_adrift)
            *known = reader->peer.owner;
        return true;
    }
    if (weir__reader_has_left(reader) || !weir__peer_follow(side, &reader->peer))
        return false;
    if (*known == reader->peer.owner) /* who comes there now is another one */
        *known = 0;
    return true;
}

static void forget_absent(struct weir_publisher *publisher)
{
    publisher->has_adrift = false;
    for (uint32_t i = publisher->reader_count; i > 0; i--) {
        struct weir__reader *reader = &publisher->readers[i - 1];
        if (!(reader->page ? is_followed(publisher, reader) : is_found(publisher, reader)))
            forget(publisher, i - 1);
        else
            publisher->has_adrift |= reader->peer.is_adrift;
    }
}

/* Whether the slot's owner is one that is followed already, since others had written over it. */
static bool is_among_adrift(const struct weir_publisher *publisher, uint32_t number, uint64_t owner)
{
    for (uint32_t i = 0; publisher->has_adrift && i < publisher->reader_count; i++) {
        const struct weir__peer *peer = &publisher->readers[i].peer;
        if (peer->is_adrift && peer->number == number && peer->owner == owner)
            return true;
    }
    return false;
}

static void find_new(struct weir_publisher *publisher)
{
    const struct weir__slots *slots = weir__side_others(&publisher->side);
    uint32_t changes = weir__slots_changes(slots);
    if (changes == publisher->changes_seen)
        return;
    publisher->changes_seen = changes;
    publisher->is_crowded = false;
    for (uint32_t i = 0; i < slots->count; i++) {
        uint64_t owner = weir__slot_owner(&slots->at[i]);
        if (owner == 0 || publisher->known[i] == owner || is_among_adrift(publisher, i, owner))
            continue;
        if (publisher->known[i] != 0) { /* it has changed hands since forget_absent() */
            look_again(publisher, changes);
            continue;
        }
        if (publisher->reader_count == publisher->readers_max) {
            publisher->is_crowded = true;
            look_again(publisher, changes);
            continue;
        }
        publisher->known[i] = owner;
        *waker_at(publisher, publisher->reader_count) = nobody;
        publisher->readers[publisher->reader_count++] =
            (struct weir__reader){ .peer = { .owner = owner, .number = i },
                                   .is_lossy = weir__owner_is_lossy(owner),
                                   .found_at = publisher->tail };
    }
}

/*
 * Whether the subscriber that shows that page has refused our lane, by the facts that it has asked,
 * too: 1, 0. Who is not told them, or has come to see other uids than our lane says, does not know:
 * 0, or what is to be told instead. -ENOENT: its page is gone.
 */
static int is_refused_by(const struct weir_publisher *publisher, int page_id)
{
    const struct weir__side *side = &publisher->side;
    struct weir__consent consent = { .trust = weir__peer_trust(side),
                                     .trust_uid = side->options.trust_uid };
    uint64_t namespace;
    int result = weir__user_namespace_ask(&namespace);
    if (weir__is_scarce(result))
        return result;
    bool is_as_said = result == 0 && namespace == publisher->lane->user_namespace;
    result = weir__peer_facts(&consent, side->memory->id, page_id);
    if (result != 0 || !is_as_said)
        return result == -ENOENT ? result : 0;
    result = weir__consent(&consent);
    return weir__is_scarce(result) ? result : result == -EPERM || result == -EACCES;
}

/* Who may be reading from us is in the way until it leaves, or its page can be had again. */
static int tell_in_the_way(const struct weir__peer *peer, int result)
{
    struct weir__error_saved why;
    weir__error_save(&why);
    return weir__fail(
        -result,
        "the subscriber in place %u may be reading from this publisher, which would "
        "overwrite that unknowingly, as it may not read its page any more: close that "
        "subscriber, or open the publisher as the user, in the user namespace, behind "
        "the filter of system calls and in sight of the /proc that it stays with (%s)",
        peer->number, why.text);
}

/* It has left, or died, since its page was looked for: who comes there next is another one. */
static int look_for_its_end(struct weir_publisher *publisher, const struct weir__peer *peer)
{
    struct weir__side *side = &publisher->side;
    weir__slot_reap(weir__side_others(side), peer->number, peer->owner, weir__side_stats(side));
    return 0;
}

/*
 * One whose page cannot be had. It is no reader of ours if what it shows is no page, or if it has
 * refused our lane: that is told once. Else it may be reading from us, as when this process has
 * changed its uid since, or may not ask the kernel any more: then we must not go on. Who closes
 * overwrites nothing any more, and goes on. 0: look again.
 */
static int meet_in_vain(struct weir_publisher *publisher, struct weir__reader *reader, int result)
{
    const struct weir__peer *peer = &reader->peer;
    if (result == -EPERM || result == -EACCES) {
        struct weir__error_saved why;
        weir__error_save(&why);
        int refused = is_refused_by(publisher, weir__shown_id(peer->shown, peer->owner));
        weir__error_restore(&why);
        if (refused == -ENOENT)
            return look_for_its_end(publisher, peer);
        if (refused < 0 && !publisher->is_closing)
            return weir__fail(-refused,
                              "whether the subscriber in place %u may be reading from this "
                              "publisher cannot be looked up now: %s",
                              peer->number, strerror(-refused));
        if (refused == 0 && !publisher->is_closing)
            return tell_in_the_way(peer, result);
    } else if (result != -EPROTO) {
        return result;
    }
    reader->unmet_shown = peer->shown;
    return result;
}

/* Attaches the page of one that was found, if it shows one: into its reader. 0: or there is none, yet. */
static int meet_reader(struct weir_publisher *publisher, uint32_t index)
{
    struct weir__side *side = &publisher->side;
    struct weir__reader *reader = &publisher->readers[index];
    uint64_t bytes = weir__page_bytes(weir__side_own(side)->count);
    int result = weir__peer_meet(side, &reader->peer, WEIR__PAGE_MAGIC, bytes, bytes);
    if (result == -EAGAIN)
        return 0; /* listed, and has not shown its page: no credit */
    if (result == -ENOENT) {
        weir__vain_note(&reader->gone, reader->peer.owner, reader->peer.shown, 0);
        return 0; /* likewise */
    }
    if (result != 0)
        return meet_in_vain(publisher, reader, result);
    reader->page = weir_segment_data(reader->peer.memory);
    uint32_t line = weir__page_epoch_line(weir__side_own(side)->count, reader->peer.number);
    reader->entry = weir__page_entry(reader->page, line, side->number);
    reader->aside = weir__page_aside(reader->page, weir__side_own(side)->count, side->number);
    *waker_at(publisher, index) =
        weir__peer_waker(side, &reader->peer, weir__page_epoch(reader->page, line));
    return 0;
}

/* A call that goes on, and succeeds, leaves no sentence. */
static int meet(struct weir_publisher *publisher, uint32_t index)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = meet_reader(publisher, index);
    if (result == 0)
        weir__error_restore(&saved);
    return result;
}

int weir__publisher_update_readers(struct weir_publisher *publisher)
{
    int result = 0;
    forget_absent(publisher);
    find_new(publisher);
    for (uint32_t i = 0; i < publisher->reader_count && result == 0; i++)
        if (!publisher->readers[i].page && publisher->readers[i].unmet_shown == 0)
            result = meet(publisher, i);
    weir__publisher_settle_wakers(publisher);
    return result;
}

/* Whether the slot's owner came since the last look, perhaps in another's place. */
static bool is_new(const struct weir_publisher *publisher, uint32_t number)
{
    uint64_t owner = weir__slot_owner(&weir__side_others(&publisher->side)->at[number]);
    return owner != 0 && owner != publisher->known[number];
}

bool weir__publisher_has_new(const struct weir_publisher *publisher)
{
    const struct weir__slots *slots = weir__side_others(&publisher->side);
    if (weir__slots_changes(slots) == publisher->changes_seen)
        return false;
    for (uint32_t i = 0; i < slots->count; i++)
        if (is_new(publisher, i))
            return true;
    return false;
}

/* Those who may sleep already, and whose epochs we do not know. */
static void ring_unmet(const struct weir_publisher *publisher)
{
    const struct weir__slots *slots = weir__side_others(&publisher->side);
    for (uint32_t i = 0; i < slots->count; i++)
        if (is_new(publisher, i))
            weir__side_ring(&publisher->side, &slots->at[i].doorbell);
    for (uint32_t i = 0; i < publisher->reader_count; i++)
        if (!publisher->readers[i].page && publisher->readers[i].unmet_shown == 0)
            /* Found before it had shown it; a loan was out then. */
            weir__side_ring(&publisher->side,
                            &slots->at[publisher->readers[i].peer.number].doorbell);
}

void weir__publisher_wake(struct weir_publisher *publisher)
{
    bool must_fence = publisher->must_fence;
    for (uint32_t i = 0; i <= publisher->more; i++) {
        weir__wake(waker_at(publisher, i), weir__side_stats(&publisher->side));
        must_fence |= waker_at(publisher, i)->must_fence;
    }
    if (must_fence != publisher->must_fence)
        weir__publisher_settle_wakers(publisher);
    /* A newcomer's claim, and this, stand before its epoch, and the same membarrier orders both. */
    /* Relaxed [slot.changes]. Pairs with weir__slots_changed(). */
    if (atomic_load_explicit(publisher->changes, memory_order_relaxed) == publisher->changes_seen)
        return;
    weir__publisher_forget_room(publisher);
    ring_unmet(publisher);
}
