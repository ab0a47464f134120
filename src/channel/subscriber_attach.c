/* SPDX-License-Identifier: MIT */
/* Lanes that are shown and new: attached, refused, or left for later. */
#include "channel/subscriber.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/limits.h"
#include "segment/handle.h"

static struct weir__entry_shm *entry_of(struct weir_subscriber *subscriber, uint32_t number)
{
    const struct weir__side *side = &subscriber->side;
    uint32_t line = weir__page_epoch_line(weir__side_others(side)->count, side->number);
    /* Ours to write, as the page is. */
    return (struct weir__entry_shm *)(uintptr_t)weir__page_entry(subscriber->page, line, number);
}

void weir__subscriber_say_refused(struct weir_subscriber *subscriber, uint32_t number,
                                  uint64_t page)
{
    /* Release [lane.refused]: all that we have read of it comes before. Pairs with
     * weir__reader_refuses(). */
    atomic_store_explicit(&weir__subscriber_aside(subscriber, number)->refused, page,
                          memory_order_release);
    /* CRASH page.refused */
    weir__side_ring(&subscriber->side, &weir__side_others(&subscriber->side)->at[number].doorbell);
}

/* The lane that is shown by this word is attached after all: before it is read where it begins. */
static void take_back_refusal(struct weir_subscriber *subscriber, uint32_t number, uint64_t page)
{
    weir__atomic_u64 *refused = &weir__subscriber_aside(subscriber, number)->refused;
    /* Relaxed: our own word. */
    if (atomic_load_explicit(refused, memory_order_relaxed) != page)
        return;
    atomic_store_explicit(refused, 0, memory_order_relaxed);
    /* As at a claim: the publisher's next look, or reservation, finds that we are to be waited for. */
    weir__slots_changed(weir__side_own(&subscriber->side));
    /* Full fence [lane.refused]: no longer refused, then the boundary. Pairs with that in weir__publisher_look():
     * either the publisher sees it, and gives no credit, or we read that boundary or a later one. */
    atomic_thread_fence(memory_order_seq_cst);
}

/* What was met, as a lane; nothing of it is read yet. -EPROTO, -ENOMEM: it was parted from. */
static int make_lane(struct weir_subscriber *subscriber, struct weir__peer *peer,
                     struct weir__lane **made)
{
    uint64_t type_bytes = subscriber->side.directory.terms.type_bytes;
    int result = weir__lane_make(made, peer, type_bytes, ++subscriber->numbers);
    if (result != 0) {
        weir__peer_part(&subscriber->side, peer);
        return result;
    }
    struct weir__lane *lane = *made;
    lane->entry = entry_of(subscriber, peer->number);
    lane->is_validated = subscriber->side.is_lossy || lane->shm->evicts != 0;
    lane->waker = weir__peer_waker(&subscriber->side, peer, &lane->shm->epoch);
    lane->slots = weir__side_others(&subscriber->side)->changes;
    lane->slots_seen = subscriber->changes_seen;
    /* That of a former one moves the cursor no more. */
    weir__lane_berth(subscriber, lane)->lane = lane;
    weir__lane_berth(subscriber, lane)->is_attached = true;
    subscriber->lanes[subscriber->lane_count++] = lane;
    return 0;
}

/* Whether the publisher would take us, too; else it is parted from. */
static int ask_consent(struct weir_subscriber *subscriber, struct weir__peer *peer)
{
    const struct weir__lane_shm *shm = weir_segment_data(peer->memory);
    struct weir__consent consent = { .trust = shm->trust, .trust_uid = shm->trust_uid };
    uint64_t ours, theirs = shm->user_namespace;
    int result = weir__user_namespace_ask(&ours);
    consent.is_unsure = theirs == 0 || result != 0;
    consent.is_of_two_namespaces = consent.is_unsure || theirs != ours;
    consent.overflow_uid = weir__overflow_uid();
    if (weir__is_scarce(result))
        weir__fail(-result, "which user namespace this is cannot be looked up now: %s",
                   strerror(-result));
    else
        result = weir__peer_facts(&consent, peer->memory->id, subscriber->side.memory->id);
    if (result == 0)
        result = weir__consent(&consent);
    if (result != 0)
        weir__peer_part(&subscriber->side, peer);
    /* Gone: the next look tells. Who is not told has no answer, and refuses. */
    return result == -ENOENT ? -EAGAIN : result == -ENOSYS ? -EPERM : result;
}

static int attach_lane(struct weir_subscriber *subscriber, uint32_t number, uint64_t owner)
{
    struct weir__peer peer = { .owner = owner, .number = number };
    struct weir__lane *lane = NULL;
    int64_t begun_ns = weir_now_ns();
    int result =
        weir__peer_meet(&subscriber->side, &peer, WEIR__LANE_MAGIC,
                        WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN, weir__lane_most_bytes());
    if (result == 0)
        result = ask_consent(subscriber, &peer);
    if (result == 0)
        result = make_lane(subscriber, &peer, &lane);
    if (result != 0)
        return result;
    subscriber->rest.attach_ns = begun_ns;
    take_back_refusal(subscriber, number, lane->peer.shown);
    /* Relaxed [lane.finished]: nobody of that lane looks any more. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->entry->finished, 0, memory_order_relaxed);
    /* Relaxed [hold.count]: likewise; before the lane is attached. Pairs with
     * weir__publisher_note_walls(). */
    atomic_store_explicit(&weir__subscriber_aside(subscriber, number)->holds, 0,
                          memory_order_relaxed);
    result = weir__lane_begin(subscriber, lane);
    if (result != 0)
        return result;
    lane->waited = lane->count;
    weir__lane_store_cursor(subscriber, lane);
    weir__totals_begin(&subscriber->page->stats);
    weir__count_many(&subscriber->page->stats.messages_base, 0 - lane->count);
    weir__count_many(&subscriber->page->stats.bytes_base, 0 - lane->head);
    lane->is_counted = true;
    /* Release [lane.attached]: the cursor before the credit. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->entry->lane, lane->peer.shown, memory_order_release);
    weir__totals_end(&subscriber->page->stats);
    subscriber->untold_end = 0;
    weir__side_ring(&subscriber->side, lane->waker.doorbell);
    weir__subscriber_rest(subscriber, number, false, lane->walked);
    return 0;
}

/* Whether there is something to attach in a slot: shown, and neither attached nor finished. */
static bool is_new(const struct weir_subscriber *subscriber, uint32_t number, uint64_t owner,
                   uint64_t page)
{
    const struct weir__berth *berth = &subscriber->berths[number];
    if (owner == 0 || weir__shown_id(page, owner) < 0 || berth->is_attached)
        return false;
    return owner != berth->finished || page != berth->finished_shown;
}

/* A rest takes so many times what a begin took that went over so many bytes; and a slice at least behind so
 * many false lanes in a row. */
#define REST_SHARE 8
#define REST_BYTES (UINT64_C(1) << 20)
#define REST_ROW 16

/* So long it is remembered which slot one was in. */
#define REST_MEMORY_NS INT64_C(600000000000)

static bool is_within(int64_t begun_ns, int64_t ns, int64_t now_ns)
{
    return now_ns >= begun_ns && now_ns - begun_ns < ns;
}

static bool is_going(const struct weir__rest *rest)
{
    return rest->ns > 0 && is_within(rest->begun_ns, rest->ns, weir_now_ns());
}

/* While there is a rest. */
static bool must_rest(const struct weir_subscriber *subscriber, const struct weir__berth *berth)
{
    return berth->false_ns != 0 &&
           is_within(berth->false_ns, REST_MEMORY_NS, subscriber->rest.begun_ns);
}

void weir__subscriber_rest(struct weir_subscriber *subscriber, uint32_t number, bool is_false,
                           uint64_t walked)
{
    struct weir__rest *rest = &subscriber->rest;
    bool is_long = walked >= REST_BYTES;
    if (!subscriber->is_open || !(is_false || is_long))
        return;
    int64_t now_ns = weir_now_ns(), ns = is_long ? REST_SHARE * (now_ns - rest->attach_ns) : 0;
    bool is_in_row = is_within(rest->begun_ns, rest->ns + WEIR__SLICE_NS, now_ns);
    int64_t left_ns = is_in_row ? rest->begun_ns + rest->ns - now_ns : 0;
    rest->in_row = (is_in_row ? rest->in_row : 0) + is_false;
    if (rest->in_row > REST_ROW && ns < WEIR__SLICE_NS)
        ns = WEIR__SLICE_NS;
    rest->is_on = true;
    rest->begun_ns = subscriber->berths[number].false_ns = now_ns;
    rest->ns = ns > left_ns ? ns : left_ns;
    rest->first = (number + 1) % weir__side_others(&subscriber->side)->count;
}

/* One that is not for us is told of once, and then left alone. In an open it is not told yet. */
static bool refuse(struct weir_subscriber *subscriber, uint32_t number, uint64_t owner,
                   uint64_t page, int result)
{
    struct weir__berth *berth = &subscriber->berths[number];
    bool is_refused = result == -EPROTO || result == -EPERM || result == -EACCES;
    if (is_refused)
        weir__subscriber_say_refused(subscriber, number, page);
    if (is_refused && subscriber->is_open) {
        weir__count(&weir__side_stats(&subscriber->side)->refusals);
        berth->finished = owner;
        berth->finished_shown = page;
        weir__subscriber_rest(subscriber, number, true, 0);
    }
    if (result == -EUCLEAN && !subscriber->is_open)
        berth->finished = 0; /* it was left; the take finds it so again */
    return is_refused || result == -EUCLEAN;
}

/*
 * One whose boundary stood half stored so often, or whose memory is gone, is no reason for a look until a
 * slice has gone: each would be in vain. A look that is made anyway tries the first of them. with_scarce: also
 * where it is known that there is no room now, and in slots that rest.
 */
static bool has_new(const struct weir_subscriber *subscriber, bool with_scarce)
{
    const struct weir__slots *slots = weir__side_others(&subscriber->side);
    bool is_on = !with_scarce && is_going(&subscriber->rest);
    for (uint32_t i = 0; i < slots->count; i++) {
        const struct weir__berth *berth = &subscriber->berths[i];
        uint64_t owner = weir__slot_owner(&slots->at[i]), page = weir__slot_page(&slots->at[i]);
        if (is_new(subscriber, i, owner, page) && !weir__vain_waits(&berth->vain, owner, page) &&
            !(is_on && must_rest(subscriber, berth)) &&
            (with_scarce || !weir__vain_waits(&berth->scarce, owner, page)))
            return true;
    }
    return false;
}

bool weir__subscriber_is_shown_new(const struct weir_subscriber *subscriber)
{
    return has_new(subscriber, true);
}

bool weir__subscriber_has_new(const struct weir_subscriber *subscriber)
{
    return has_new(subscriber, false);
}

/* It is not told: a call that goes on, and succeeds, leaves no sentence. */
static int pass_over(const struct weir__error_saved *saved)
{
    weir__error_restore(saved);
    return 0;
}

/* Attaches what a slot shows, if that is new. 0; or what is to be told: then, or later, look again. */
static int attach_slot(struct weir_subscriber *subscriber, uint32_t number, uint32_t changes,
                       bool is_idle)
{
    struct weir__error_saved saved;
    const struct weir__slot_shm *slot = &weir__side_others(&subscriber->side)->at[number];
    struct weir__berth *berth = &subscriber->berths[number];
    uint64_t owner = weir__slot_owner(slot), page = weir__slot_page(slot);
    /* Shown: what stands there beside a new owner may be a former one's page. */
    if (!subscriber->is_open && weir__shown_id(page, owner) >= 0)
        berth->first = page;
    if (!is_new(subscriber, number, owner, page))
        return 0;
    bool is_scarce = !is_idle && weir__vain_waits(&berth->scarce, owner, page);
    bool is_gone = berth->is_gone && weir__vain_waits(&berth->vain, owner, page);
    bool is_rest = subscriber->rest.is_on && must_rest(subscriber, berth);
    if (is_scarce || is_gone || is_rest) {
        subscriber->is_scarce |= is_scarce;
        subscriber->changes_seen = changes - 1;
        return 0;
    }
    weir__error_save(&saved);
    int result = attach_lane(subscriber, number, owner);
    if (result == 0)
        return 0;
    subscriber->changes_seen = changes - 1; /* look again, at this or at those behind it */
    if (result == -ENOENT) {
        weir__vain_note(&berth->vain, owner, page, 0);
        berth->is_gone = true;
    }
    bool is_refused = refuse(subscriber, number, owner, page, result);
    if (result == -EAGAIN || result == -ENOENT || (is_refused && !subscriber->is_open))
        return pass_over(&saved);
    if (!weir__is_scarce(result) || !subscriber->is_open)
        return result;
    subscriber->is_scarce = true;
    bool was_told = weir__vain_note(&berth->scarce, owner, page, 0);
    return was_told && !is_idle ? pass_over(&saved) : result;
}

int weir__subscriber_attach_new(struct weir_subscriber *subscriber, bool is_idle)
{
    const struct weir__slots *slots = weir__side_others(&subscriber->side);
    uint32_t changes = weir__slots_changes(slots);
    subscriber->is_scarce =
        false; /* whatever returns: who waits for room does not come again at once */
    /* Without our place no publisher that we would meet now could know of us. */
    if (changes == subscriber->changes_seen || !weir__side_keep_place(&subscriber->side))
        return 0;
    if (subscriber->descriptor)
        weir__descriptor_disarm(subscriber->descriptor);
    subscriber->changes_seen = changes;
    subscriber->rest.is_on = is_going(&subscriber->rest);
    for (uint32_t i = 0, first = subscriber->rest.first; i < slots->count; i++) {
        int result = attach_slot(subscriber, (first + i) % slots->count, changes, is_idle);
        if (result != 0)
            return result;
    }
    return 0;
}
