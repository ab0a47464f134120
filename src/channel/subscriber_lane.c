/* SPDX-License-Identifier: MIT */
/* Lanes: attached, read from header to header, given back, left. */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/clock.h>

#include "base/error.h"
#include "segment/handle.h"

static struct weir__berth *berth_of(struct weir_subscriber *subscriber,
                                    const struct weir__lane *lane)
{
    return &subscriber->berths[lane->peer.number];
}

static void free_lane(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    if (berth_of(subscriber, lane)->lane == lane)
        berth_of(subscriber, lane)->lane = NULL;
    weir__peer_part(&subscriber->side, &lane->peer);
    free(lane);
}

/* A lane that is left is no entry's any more: what is released of it goes to the bases. */
static void count_left(struct weir_subscriber *subscriber, struct weir__lane *lane,
                       uint64_t released, uint64_t cursor)
{
    struct weir__subscriber_stats_shm *stats = &subscriber->page->stats;
    if (!lane->is_counted)
        return;
    weir__count_many(&stats->messages_base, released - lane->counted_messages);
    weir__count_many(&stats->bytes_base, cursor - lane->counted_bytes);
    lane->counted_messages = released;
    lane->counted_bytes = cursor;
}

/* The bases change, and so do the entries that they belong to. */
static void change_begin(struct weir__subscriber_stats_shm *stats)
{
    /* Relaxed [stats.version]: the fence keeps what follows behind it. Pairs with read_total(). */
    atomic_fetch_add_explicit(&stats->version, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void change_end(struct weir__subscriber_stats_shm *stats)
{
    /* Release [stats.version]: all that changed. Pairs with read_total(). */
    atomic_fetch_add_explicit(&stats->version, 1, memory_order_release);
}

/* Whether anything of it is held: then it stays attached. */
static bool is_held(struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    for (unsigned i = 0; i < weir__hold_count(subscriber); i++)
        if (weir__hold_at(subscriber, i)->lane == lane)
            return true;
    return false;
}

void weir__lane_store_cursor(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t cursor = lane->head, released = lane->count;
    for (unsigned i = weir__hold_count(subscriber); i > 0; i--) { /* the oldest is the last one */
        const struct weir__hold *hold = weir__hold_at(subscriber, i - 1);
        if (hold->lane != lane)
            continue;
        released--;
        if (!weir__hold_is_announced(hold))
            cursor = hold->position;
    }
    if (lane->is_left)
        count_left(subscriber, lane, released, cursor);
    if (berth_of(subscriber, lane)->lane != lane)
        return; /* the entry is a later lane's, or nobody's */
    /* Relaxed [lane.released]: who inspects tells it from what the cursor says. Pairs with
     * read_entries(). */
    atomic_store_explicit(&lane->cursor->released, released, memory_order_relaxed);
    /* Release [lane.free]: all reads of what is given back come before. Pairs with credit() and
     * weir__publisher_reader_has_released(). */
    atomic_store_explicit(&lane->cursor->cursor, cursor, memory_order_release);
    weir__wake(&lane->waker, weir__side_stats(&subscriber->side));
}

void weir__lane_skip(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t missed,
                     uint64_t bytes)
{
    struct weir__subscriber_stats_shm *stats = &subscriber->page->stats;
    change_begin(stats);
    weir__count_missed(stats, missed, bytes);
    weir__lane_store_cursor(subscriber, lane);
    change_end(stats);
}

struct weir__aside_shm *weir__subscriber_aside(struct weir_subscriber *subscriber, uint32_t number)
{
    uint32_t publishers = weir__side_others(&subscriber->side)->count;
    /* Ours to write, as the page is. */
    return (struct weir__aside_shm *)(uintptr_t)weir__page_aside(subscriber->page, publishers,
                                                                 number);
}

static struct weir__entry_shm *entry_of(struct weir_subscriber *subscriber, uint32_t number)
{
    const struct weir__side *side = &subscriber->side;
    uint32_t line = weir__page_epoch_line(weir__side_others(side)->count, side->number);
    /* Ours to write, as the page is. */
    return (struct weir__entry_shm *)(uintptr_t)weir__page_entry(subscriber->page, line, number);
}

/* To the publisher of a slot: we read nothing of its lane, so it need not wait for us. */
static void say_refused(struct weir_subscriber *subscriber, uint32_t number, uint64_t page)
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

/* A lane that was left, and of which nothing is held any more. */
static void end_lane(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    const struct weir__slot_shm *slot = weir__peer_slot(&subscriber->side, &lane->peer);
    if (lane->is_false && weir__slot_owner(slot) == lane->peer.owner)
        say_refused(subscriber, lane->peer.number, lane->peer.page);
    free_lane(subscriber, lane);
}

static void unlink_left(struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    struct weir__lane **at = &subscriber->left;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
}

void weir__subscriber_drop_hold(struct weir_subscriber *subscriber, unsigned index)
{
    struct weir__hold *hold = weir__hold_at(subscriber, index);
    struct weir__lane *lane = hold->lane;
    bool was_announced = weir__hold_is_announced(hold);
    if (was_announced)
        weir__hold_withdraw(subscriber, hold);
    for (; index > 0; index--)
        *weir__hold_at(subscriber, index) = *weir__hold_at(subscriber, index - 1);
    weir__holds_drop(subscriber, 1);
    weir__lane_store_cursor(subscriber, lane);
    if (was_announced && !lane->is_left)
        weir__lane_announce(subscriber, lane, false); /* there is a place now */
    if (!lane->is_left)
        return;
    weir__side_ring(&subscriber->side,
                    lane->waker.doorbell); /* it has ended, and may wait for this */
    if (!is_held(subscriber, lane)) {
        unlink_left(subscriber, lane);
        end_lane(subscriber, lane);
    }
}

void weir__subscriber_forget(struct weir_subscriber *subscriber)
{
    while (subscriber->left) {
        struct weir__lane *lane = subscriber->left;
        subscriber->left = lane->next;
        free_lane(subscriber, lane);
    }
    while (subscriber->lane_count > 0)
        free_lane(subscriber, subscriber->lanes[--subscriber->lane_count]);
}

static void remove_lane(struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    uint32_t at = 0;
    while (subscriber->lanes[at] != lane)
        at++;
    subscriber->lane_count--;
    if (subscriber->turn != WEIR__BEFORE_ALL && at <= subscriber->turn)
        subscriber->turn--; /* a look begins with the same lane as it would have */
    for (; at < subscriber->lane_count; at++)
        subscriber->lanes[at] = subscriber->lanes[at + 1];
    weir__holds_settle(subscriber);
    if (subscriber->live->lane == lane)
        subscriber->live->lane = NULL;
}

void weir__lane_leave(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    struct weir__berth *berth = berth_of(subscriber, lane);
    struct weir__subscriber_stats_shm *stats = &subscriber->page->stats;
    if (subscriber->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(subscriber->descriptor);
    change_begin(stats);
    /* Relaxed [lane.released]: our own words, as is the cursor. */
    count_left(subscriber, lane,
               atomic_load_explicit(&lane->cursor->released, memory_order_relaxed),
               atomic_load_explicit(&lane->cursor->cursor, memory_order_relaxed));
    /* Relaxed [lane.attached]: nobody of that lane looks any more. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->cursor->lane, 0, memory_order_relaxed);
    change_end(stats);
    /* CRASH page.leaving */
    berth->finished = lane->peer.owner;
    berth->finished_page = lane->peer.page;
    berth->is_attached = false;
    lane->is_left = true;
    remove_lane(subscriber, lane);
    subscriber->changes_seen--; /* another may stand in its slot by now: look again */
    if (is_held(subscriber, lane)) {
        lane->next = subscriber->left;
        subscriber->left = lane;
    } else {
        end_lane(subscriber, lane);
    }
}

void weir__lane_finish(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    weir__atomic_u32 *doorbell = lane->waker.doorbell;
    weir__lane_store_cursor(subscriber, lane); /* over a pad */
    /* Release [lane.finished]: the cursor before it. Pairs with weir__reader_is_reading(). */
    atomic_store_explicit(&lane->cursor->finished, lane->peer.page, memory_order_release);
    weir__lane_leave(subscriber, lane);
    weir__side_ring(&subscriber->side, doorbell);
}

int weir__lane_corrupt(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t head = lane->head;
    weir__count(&weir__side_stats(&subscriber->side)->refusals);
    berth_of(subscriber, lane)->lane = NULL; /* the cursor is nobody's from now on */
    lane->is_false = true;
    weir__lane_leave(subscriber, lane);
    return weir__fail(EUCLEAN, "the publisher's record at position %llu cannot be true",
                      (unsigned long long)head);
}

int weir__lane_corrupt_header(struct weir_subscriber *subscriber, struct weir__lane *lane,
                              uint64_t header)
{
    const struct weir__terms *terms = &subscriber->side.directory.terms;
    uint32_t length = weir__record_length(header);
    int result = weir__lane_corrupt(subscriber, lane);
    if (terms->type_bytes == 0 || (header & WEIR__RECORD_FLAGS) != WEIR__RECORD_MARK ||
        length == terms->type_bytes)
        return result;
    return weir__fail(EUCLEAN,
                      "the publisher sent a message of %u bytes: this channel's type '%s' has %u",
                      length, terms->type_name, terms->type_bytes);
}

uint64_t weir__pass_pads(const struct weir__ring *ring, uint64_t *position)
{
    uint64_t start = *position;
    for (;;) {
        uint64_t header = weir__load_header(ring, *position);
        if (!weir__is_pad(ring, header) ||
            *position - start + weir__pad_bytes(header) >= ring->capacity)
            return header;
        *position += weir__pad_bytes(header);
    }
}

/* More pads in a row than an honest publisher leaves. */
#define FEW_PADS 16

bool weir__is_worth_a_look(const struct weir__ring *ring, uint64_t position)
{
    for (int pads = 0; pads < FEW_PADS; pads++) {
        uint64_t header = weir__load_header(ring, position);
        if (!weir__is_pad(ring, header))
            return header != 0;
        position += weir__pad_bytes(header);
    }
    return true;
}

int weir__lane_next(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t *header)
{
    const struct weir__ring *ring = &lane->ring;
    if (lane->is_validated)
        return weir__lane_next_validated(subscriber, lane, header);
    uint64_t former = lane->head;
    *header = weir__pass_pads(ring, &lane->head);
    if (*header == 0 && lane->head != former)
        weir__lane_store_cursor(subscriber, lane); /* the pads are given back */
    const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, lane->head);
    if (*header == 0 || weir__is_message(ring, at, *header))
        return 0;
    return weir__lane_corrupt_header(subscriber, lane, *header);
}

/* What was met, as a lane; nothing of it is read yet. -EPROTO, -ENOMEM: it was parted from. */
static int make_lane(struct weir_subscriber *subscriber, struct weir__peer *peer,
                     struct weir__lane **made)
{
    unsigned char *memory = weir_segment_data(peer->memory);
    uint64_t capacity = weir_segment_size(peer->memory) - WEIR__LANE_RING_OFFSET;
    bool is_possible = (capacity & (capacity - 1)) == 0;
    struct weir__lane *lane =
        is_possible ? aligned_alloc(_Alignof(struct weir__lane), sizeof *lane) : NULL;
    if (!lane) {
        weir__peer_part(&subscriber->side, peer);
        return is_possible ? weir__fail(ENOMEM, "no memory for a lane")
                           : weir__fail(EPROTO, "the publisher's ring has no size that weir makes");
    }
    *lane = (struct weir__lane){
        .ring = weir__ring_of(memory, capacity, subscriber->side.directory.terms.type_bytes),
        .cursor = entry_of(subscriber, peer->number),
        .number = ++subscriber->numbers,
        .shm = (const struct weir__lane_shm *)(const void *)memory,
        .peer = *peer,
    };
    lane->is_validated = subscriber->side.is_lossy || lane->shm->evicts != 0;
    lane->waker = weir__peer_waker(&subscriber->side, peer, &lane->shm->epoch);
    berth_of(subscriber, lane)->lane = lane; /* that of a former one moves the cursor no more */
    berth_of(subscriber, lane)->is_attached = true;
    subscriber->lanes[subscriber->lane_count++] = lane;
    *made = lane;
    return 0;
}

/* Whether the publisher would take us, too; else it is parted from. */
static int ask_consent(struct weir_subscriber *subscriber, struct weir__peer *peer)
{
    const struct weir__lane_shm *shm = weir_segment_data(peer->memory);
    int result = weir__peer_consent(peer->memory->id, shm->trust, shm->trust_uid,
                                    subscriber->side.memory->id);
    if (result != 0)
        weir__peer_part(&subscriber->side, peer);
    return result;
}

static int attach_lane(struct weir_subscriber *subscriber, uint32_t number, uint64_t owner)
{
    struct weir__peer peer = { .owner = owner, .number = number };
    struct weir__lane *lane = NULL;
    int result =
        weir__peer_meet(&subscriber->side, &peer, WEIR__LANE_MAGIC,
                        WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN, weir__lane_most_bytes());
    if (result == 0)
        result = ask_consent(subscriber, &peer);
    if (result == 0)
        result = make_lane(subscriber, &peer, &lane);
    if (result != 0)
        return result;
    take_back_refusal(subscriber, number, lane->peer.page);
    /* Relaxed [lane.finished]: nobody of that lane looks any more. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->cursor->finished, 0, memory_order_relaxed);
    /* Relaxed [hold.count]: likewise; before the lane is attached. Pairs with
     * weir__publisher_note_walls(). */
    atomic_store_explicit(&weir__subscriber_aside(subscriber, number)->holds, 0,
                          memory_order_relaxed);
    result = weir__lane_begin(subscriber, lane);
    if (result != 0)
        return result;
    weir__lane_store_cursor(subscriber, lane);
    change_begin(&subscriber->page->stats);
    weir__count_many(&subscriber->page->stats.messages_base, 0 - lane->count);
    weir__count_many(&subscriber->page->stats.bytes_base, 0 - lane->head);
    lane->is_counted = true;
    /* Release [lane.attached]: the cursor before the credit. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->cursor->lane, lane->peer.page, memory_order_release);
    change_end(&subscriber->page->stats);
    subscriber->untold_end = 0;
    weir__side_ring(&subscriber->side, lane->waker.doorbell);
    return 0;
}

/* Whether there is something to attach in a slot: shown, and neither attached nor finished. */
static bool is_new(const struct weir_subscriber *subscriber, uint32_t number, uint64_t owner,
                   uint64_t page)
{
    const struct weir__berth *berth = &subscriber->berths[number];
    if (owner == 0 || weir__shown_id(page, owner) < 0 || berth->is_attached)
        return false;
    return owner != berth->finished || page != berth->finished_page;
}

/* One that is not for us is told of once, and then left alone. In an open it is not told yet. */
static bool refuse(struct weir_subscriber *subscriber, uint32_t number, uint64_t owner,
                   uint64_t page, int result)
{
    struct weir__berth *berth = &subscriber->berths[number];
    bool is_refused = result == -EPROTO || result == -EPERM || result == -EACCES;
    if (is_refused)
        say_refused(subscriber, number, page);
    if (is_refused && subscriber->is_open) {
        weir__count(&weir__side_stats(&subscriber->side)->refusals);
        berth->finished = owner;
        berth->finished_page = page;
    }
    if (result == -EUCLEAN && !subscriber->is_open)
        berth->finished = 0; /* it was left; the take finds it so again */
    return is_refused || result == -EUCLEAN;
}

/*
 * Whether its boundary stood half stored so often that it is no reason for a look until a slice has gone:
 * each would attach the ring in vain. A look that is made anyway tries.
 */
static bool is_torn(const struct weir__berth *berth, uint64_t owner, uint64_t page)
{
    return berth->torn_count == WEIR__TORN_TRIES && berth->torn == owner &&
           berth->torn_page == page && weir_now_ns() < berth->torn_until_ns;
}

/* Of one for which there was no room a moment ago: is not tried again while there may be others. */
static bool is_scarce(const struct weir__berth *berth, uint64_t owner, uint64_t page)
{
    return berth->scarce == owner && berth->scarce_page == page &&
           weir_now_ns() < berth->scarce_until_ns;
}

/* Whether that was told already, of the same showing. */
static bool note_scarce(struct weir_subscriber *subscriber, uint32_t number, uint64_t owner,
                        uint64_t page)
{
    struct weir__berth *berth = &subscriber->berths[number];
    bool was_told = berth->scarce == owner && berth->scarce_page == page;
    subscriber->is_scarce = true;
    berth->scarce = owner;
    berth->scarce_page = page;
    berth->scarce_until_ns = weir_deadline_ns(WEIR__SLICE_NS);
    return was_told;
}

bool weir__subscriber_has_new(const struct weir_subscriber *subscriber)
{
    const struct weir__slots *slots = weir__side_others(&subscriber->side);
    for (uint32_t i = 0; i < slots->count; i++) {
        uint64_t owner = weir__slot_owner(&slots->at[i]), page = weir__slot_page(&slots->at[i]);
        if (is_new(subscriber, i, owner, page) && !is_torn(&subscriber->berths[i], owner, page))
            return true;
    }
    return false;
}

/* Attaches what a slot shows, if that is new. 0; or what is to be told: then, or later, look again. */
static int attach_slot(struct weir_subscriber *subscriber, uint32_t number, uint32_t changes,
                       bool is_idle)
{
    const struct weir__slot_shm *slot = &weir__side_others(&subscriber->side)->at[number];
    struct weir__berth *berth = &subscriber->berths[number];
    uint64_t owner = weir__slot_owner(slot), page = weir__slot_page(slot);
    /* Shown: what stands there beside a new owner may be a former one's page. */
    if (!subscriber->is_open && weir__shown_id(page, owner) >= 0)
        berth->first = page;
    if (!is_new(subscriber, number, owner, page))
        return 0;
    if (!is_idle && is_scarce(berth, owner, page)) {
        subscriber->is_scarce = true;
        subscriber->changes_seen = changes - 1;
        return 0;
    }
    int result = attach_lane(subscriber, number, owner);
    if (result == 0)
        return 0;
    subscriber->changes_seen = changes - 1; /* look again, at this or at those behind it */
    bool is_refused = refuse(subscriber, number, owner, page, result);
    if (result == -EAGAIN || (is_refused && !subscriber->is_open))
        return 0;
    if (result == -ENOMEM && subscriber->is_open && note_scarce(subscriber, number, owner, page) &&
        !is_idle)
        return 0;
    return result;
}

int weir__subscriber_attach_new(struct weir_subscriber *subscriber, bool is_idle)
{
    const struct weir__slots *slots = weir__side_others(&subscriber->side);
    uint32_t changes = weir__slots_changes(slots);
    /* Without our place no publisher that we would meet now could know of us. */
    if (changes == subscriber->changes_seen || !weir__side_keep_place(&subscriber->side))
        return 0;
    if (subscriber->descriptor)
        weir__descriptor_disarm(subscriber->descriptor);
    subscriber->changes_seen = changes;
    subscriber->is_scarce = false;
    for (uint32_t i = 0; i < slots->count; i++) {
        int result = attach_slot(subscriber, i, changes, is_idle);
        if (result != 0)
            return result;
    }
    return 0;
}
