/* SPDX-License-Identifier: MIT */
/* Lanes: read from header to header, given back, left. */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "segment/handle.h"

int weir__lane_make(struct weir__lane **made, const struct weir__peer *peer, uint64_t type_bytes,
                    uint32_t number)
{
    unsigned char *memory = weir_segment_data(peer->memory);
    uint64_t capacity = weir_segment_size(peer->memory) - WEIR__LANE_RING_OFFSET;
    if ((capacity & (capacity - 1)) != 0)
        return weir__fail(EPROTO, "the publisher's ring has no size that weir makes");
    struct weir__lane *lane = aligned_alloc(_Alignof(struct weir__lane), sizeof *lane);
    if (!lane)
        return weir__fail(ENOMEM, "no memory for a lane");
    *lane = (struct weir__lane){
        .ring = weir__ring_of(memory, capacity, type_bytes),
        .number = number,
        .is_validated = true,
        .shm = (const struct weir__lane_shm *)(const void *)memory,
        .peer = *peer,
    };
    *made = lane;
    return 0;
}

static void free_lane(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    if (weir__lane_berth(subscriber, lane)->lane == lane)
        weir__lane_berth(subscriber, lane)->lane = NULL;
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
    if (weir__lane_berth(subscriber, lane)->lane != lane)
        return; /* the entry is a later lane's, or nobody's */
    /* Relaxed [lane.released]: who inspects tells it from what the cursor says. Pairs with
     * read_entries(). */
    atomic_store_explicit(&lane->entry->released, released, memory_order_relaxed);
    /* Release [lane.free]: all reads of what is given back come before. Pairs with credit() and
     * weir__publisher_reader_has_released(). */
    atomic_store_explicit(&lane->entry->cursor, cursor, memory_order_release);
    weir__lane_wake(subscriber, lane);
    weir__lane_mind_others(lane);
}

void weir__lane_skip(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t missed,
                     uint64_t bytes)
{
    struct weir__subscriber_stats_shm *stats = &subscriber->page->stats;
    weir__totals_begin(stats);
    weir__count_missed(stats, missed, bytes);
    weir__lane_store_cursor(subscriber, lane);
    weir__totals_end(stats);
}

struct weir__aside_shm *weir__subscriber_aside(struct weir_subscriber *subscriber, uint32_t number)
{
    uint32_t publishers = weir__side_others(&subscriber->side)->count;
    /* Ours to write, as the page is. */
    return (struct weir__aside_shm *)(uintptr_t)weir__page_aside(subscriber->page, publishers,
                                                                 number);
}

/* A lane that was left, and of which nothing is held any more. */
static void end_lane(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    const struct weir__slot_shm *slot = weir__peer_slot(&subscriber->side, &lane->peer);
    if (lane->is_false && weir__slot_owner(slot) == lane->peer.owner)
        weir__subscriber_say_refused(subscriber, lane->peer.number, lane->peer.shown);
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
    struct weir__berth *berth = weir__lane_berth(subscriber, lane);
    struct weir__subscriber_stats_shm *stats = &subscriber->page->stats;
    if (subscriber->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(subscriber->descriptor);
    weir__totals_begin(stats);
    /* Relaxed [lane.released]: our own words, as is the cursor. */
    count_left(subscriber, lane, atomic_load_explicit(&lane->entry->released, memory_order_relaxed),
               atomic_load_explicit(&lane->entry->cursor, memory_order_relaxed));
    /* Relaxed [lane.attached]: nobody of that lane looks any more. Pairs with
     * weir__reader_is_reading(). */
    atomic_store_explicit(&lane->entry->lane, 0, memory_order_relaxed);
    weir__totals_end(stats);
    /* CRASH page.leaving */
    berth->finished = lane->peer.owner;
    berth->finished_shown = lane->peer.shown;
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
    atomic_store_explicit(&lane->entry->finished, lane->peer.shown, memory_order_release);
    weir__lane_leave(subscriber, lane);
    weir__side_ring(&subscriber->side, doorbell);
}

int weir__lane_corrupt(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t head = lane->head;
    weir__count(&weir__side_stats(&subscriber->side)->refusals);
    weir__lane_berth(subscriber, lane)->lane = NULL; /* the cursor is nobody's from now on */
    lane->is_false = true;
    uint32_t number = lane->peer.number;
    uint64_t walked = lane->is_counted ? 0 : lane->walked; /* by its begin */
    weir__lane_leave(subscriber, lane);
    weir__subscriber_rest(subscriber, number, true, walked);
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
