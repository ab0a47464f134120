/* SPDX-License-Identifier: MIT */
/* Lanes: attached, read from header to header, given back, left. */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

static void free_lane(struct weir__lane *lane)
{
    weir_segment_close(lane->segment);
    free(lane);
}

static bool is_held(struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    for (unsigned i = 0; i < weir__hold_count(subscriber); i++)
        if (weir__hold_at(subscriber, i)->lane == lane)
            return true;
    return false;
}

void weir__subscriber_drop_hold(struct weir_subscriber *subscriber, unsigned index)
{
    struct weir__lane *lane = weir__hold_at(subscriber, index)->lane;
    for (; index > 0; index--)
        *weir__hold_at(subscriber, index) = *weir__hold_at(subscriber, index - 1);
    subscriber->dropped++;
    if (lane != subscriber->lane && !is_held(subscriber, lane))
        free_lane(lane);
}

void weir__subscriber_store_cursor(struct weir_subscriber *subscriber)
{
    uint64_t cursor = subscriber->head;
    for (unsigned i = 0; i < weir__hold_count(subscriber); i++) {
        const struct weir__hold *hold = weir__hold_at(subscriber, i);
        if (hold->lane->number == subscriber->number) {
            cursor = hold->position;
            break;
        }
    }
    /* Release [lane.free]: all reads of what is given back come before. Pairs with
     * look_at_page(). */
    atomic_store_explicit(&subscriber->page->cursor, cursor, memory_order_release);
    weir__wake(&subscriber->side.waker);
}

void weir__subscriber_leave_lane(struct weir_subscriber *subscriber)
{
    struct weir__lane *lane = subscriber->lane;
    if (subscriber->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(subscriber->descriptor);
    /* Relaxed [lane.attached]: nobody of that lane looks any more. Pairs with look_at_page(). */
    atomic_store_explicit(&subscriber->page->lane, 0, memory_order_relaxed);
    /* CRASH page.leaving */
    subscriber->finished = lane->owner;
    subscriber->finished_page = subscriber->side.peer_page;
    subscriber->lane = NULL;
    weir__side_part(&subscriber->side, &lane->segment);
    if (!is_held(subscriber, lane))
        free_lane(lane);
}

void weir__subscriber_finish_lane(struct weir_subscriber *subscriber)
{
    weir__subscriber_store_cursor(subscriber); /* over a pad */
    /* Release [lane.finished]: the cursor before it. Pairs with is_reading(). */
    atomic_store_explicit(&subscriber->page->finished, subscriber->lane->owner,
                          memory_order_release);
    weir__subscriber_leave_lane(subscriber);
    weir__ring(&subscriber->side.other->doorbell);
}

static int corrupt(struct weir_subscriber *subscriber)
{
    uint64_t head = subscriber->head;
    weir__subscriber_leave_lane(subscriber);
    subscriber->number = 0;
    return weir__fail(EUCLEAN, "the publisher's record at position %llu cannot be true",
                      (unsigned long long)head);
}

bool weir__is_pad(const struct weir__lane *lane, uint64_t position, uint64_t header)
{
    uint64_t to_end = lane->capacity - (position & (lane->capacity - 1));
    return (header & WEIR__RECORD_FLAGS) == (WEIR__RECORD_MARK | WEIR__RECORD_PAD) &&
           (uint64_t)weir__record_length(header) + WEIR__RECORD_HEADER_BYTES == to_end &&
           to_end <= lane->capacity / 4 && weir__record_type(header) == 0;
}

int weir__subscriber_next(struct weir_subscriber *subscriber, uint64_t *header)
{
    const struct weir__lane *lane = subscriber->lane;
    for (int pads = 0; pads <= 1; pads++) {
        *header = weir__load_header(lane, subscriber->head);
        const unsigned char *at = weir__ring_at(lane->ring, lane->capacity, subscriber->head);
        if (*header == 0 || weir__is_message(lane, at, *header))
            return 0;
        if (!weir__is_pad(lane, subscriber->head, *header))
            break;
        subscriber->head += weir__record_bytes(weir__record_length(*header));
    }
    return corrupt(subscriber);
}

#define BOUNDARY_ATTEMPTS 1000

/* A position that was committed, and the count of messages before it: both of one moment. */
static int read_boundary(struct weir_subscriber *subscriber)
{
    const struct weir__lane_shm *shm = subscriber->lane->shm;
    for (int attempt = 0; attempt < BOUNDARY_ATTEMPTS; attempt++) {
        /* Acquire [lane.boundary]: three loads in this order. Pairs with store_boundary(). */
        uint64_t position = atomic_load_explicit(&shm->boundary, memory_order_acquire);
        uint64_t count = atomic_load_explicit(&shm->boundary_count, memory_order_acquire);
        uint64_t before = atomic_load_explicit(&shm->boundary_before, memory_order_acquire);
        if (position == before) {
            subscriber->head = position;
            subscriber->count = count;
            return (position & 7) == 0 ? 0 : corrupt(subscriber);
        }
    }
    /* It stands between the stores, or has died there. Later, perhaps. */
    weir__side_reap(&subscriber->side, subscriber->lane->owner);
    weir__subscriber_leave_lane(subscriber);
    subscriber->finished = 0;
    subscriber->number = 0;
    return -EAGAIN;
}

/* From the boundary to now: what was committed before we came is not for us. */
static int walk_to_now(struct weir_subscriber *subscriber)
{
    uint64_t start = subscriber->head, header;
    for (;;) {
        int result = weir__subscriber_next(subscriber, &header);
        if (result != 0)
            return result;
        if (header == 0)
            return 0;
        subscriber->head += weir__record_bytes(weir__record_length(header));
        subscriber->count++;
        if (subscriber->head - start > subscriber->lane->capacity)
            return corrupt(subscriber);
    }
}

static int attach_lane(struct weir_subscriber *subscriber, uint64_t owner)
{
    struct weir__side *side = &subscriber->side;
    if (subscriber->descriptor) /* its thread must not look while the peer changes */
        weir__descriptor_disarm(subscriber->descriptor);
    int result = weir__side_meet(side, owner, WEIR__LANE_MAGIC,
                                 WEIR__LANE_RING_OFFSET + WEIR_RING_BYTES_MIN, INT64_MAX);
    if (result != 0)
        return result;
    uint64_t capacity = weir_segment_size(side->peer_memory) - WEIR__LANE_RING_OFFSET;
    struct weir__lane *lane = calloc(1, sizeof *lane);
    if (!lane || (capacity & (capacity - 1)) != 0) {
        free(lane);
        weir__side_part(side, NULL);
        return lane ? weir__fail(EPROTO, "the publisher's ring has no size that weir makes")
                    : weir__fail(ENOMEM, "no memory for a lane");
    }
    lane->segment = side->peer_memory;
    lane->shm = weir_segment_data(lane->segment);
    lane->ring = (unsigned char *)weir_segment_data(lane->segment) + WEIR__LANE_RING_OFFSET;
    lane->capacity = capacity;
    lane->end = lane->ring + capacity;
    lane->most_header = weir__record_max(capacity) << 32 | UINT32_MAX;
    lane->owner = owner;
    lane->number = subscriber->number = ++subscriber->lanes;
    subscriber->lane = lane;
    /* Relaxed [lane.finished]: nobody of that lane looks any more. Pairs with is_reading(). */
    atomic_store_explicit(&subscriber->page->finished, 0, memory_order_relaxed);
    result = read_boundary(subscriber);
    if (result == 0)
        result = walk_to_now(subscriber);
    if (result != 0)
        return result;
    side->waker.epoch = &lane->shm->epoch;
    weir__subscriber_store_cursor(subscriber);
    /* Release [lane.attached]: the cursor before the credit. Pairs with look_at_page(). */
    atomic_store_explicit(&subscriber->page->lane, owner, memory_order_release);
    weir__ring(side->waker.doorbell);
    return 0;
}

static bool is_finished(const struct weir_subscriber *subscriber, uint64_t owner)
{
    return owner == subscriber->finished &&
           weir__side_page(&subscriber->side) == subscriber->finished_page;
}

int weir__subscriber_find_lane(struct weir_subscriber *subscriber)
{
    uint64_t owner = weir__side_other(&subscriber->side);
    if (owner == 0 || is_finished(subscriber, owner))
        return 0;
    int result = attach_lane(subscriber, owner);
    return result == -EAGAIN ? 0 : result;
}
