/* SPDX-License-Identifier: MIT */
/*
 * The subscriber. docs/lane.md, "Receiving"; layout.h says who writes what.
 *
 * S1: head and all holds lie in [cursor, cursor + capacity] of the present lane.
 * S2: what was loaded from the lane was loaded once, and checked before it was used.
 * S3: a message that is held keeps its lane attached, also after the publisher is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "channel/descriptor.h"
#include "channel/side.h"

/* A publisher's ring, as long as something of it is held or to come. */
struct lane {
    struct weir_segment *segment;
    const struct weir__lane_shm *shm;
    unsigned char *ring;
    uint64_t capacity;
    uint64_t most_bytes; /* of a message */
    uint64_t owner;
    uint32_t number; /* of the lanes of this subscriber: no two alike, as sessions may be */
    unsigned holds;
};

struct hold {
    struct lane *lane;
    uint64_t position;
};

struct weir_subscriber {
    struct weir__side side;
    struct weir__page_shm *page;
    struct lane *lane;                 /* of the present publisher, or NULL */
    uint64_t head;                     /* the next record */
    uint64_t count;                    /* the next message's sequence */
    uint64_t finished, finished_page;  /* whose lane was left, as the slot had it */
    uint32_t number;                   /* of the lane that the cursor is of; 0: of none */
    uint32_t lanes;                    /* attached so far */
    struct hold holds[WEIR_HOLDS_MAX]; /* a queue, oldest first */
    unsigned first_hold, hold_count;
    struct weir__descriptor *descriptor; /* for poll, or NULL */
};

/* What a wait for a message looks at: of the handle itself, or a copy for another thread. */
struct view {
    const struct weir_subscriber *subscriber; /* its side alone is read */
    struct lane lane;                         /* owner 0: none */
    uint64_t head;
    uint64_t finished, finished_page;
};

static struct hold *hold_at(struct weir_subscriber *subscriber, unsigned index)
{
    return &subscriber->holds[(subscriber->first_hold + index) % WEIR_HOLDS_MAX];
}

static void free_lane(struct lane *lane)
{
    weir_segment_close(lane->segment);
    free(lane);
}

/* A hold goes, and with the last one of a lane that was left the lane. */
static void drop_hold(struct weir_subscriber *subscriber, unsigned index)
{
    struct lane *lane = hold_at(subscriber, index)->lane;
    for (; index > 0; index--)
        *hold_at(subscriber, index) = *hold_at(subscriber, index - 1);
    subscriber->first_hold = (subscriber->first_hold + 1) % WEIR_HOLDS_MAX;
    subscriber->hold_count--;
    if (--lane->holds == 0 && lane != subscriber->lane)
        free_lane(lane);
}

/* What the publisher may overwrite: all before the oldest hold of its lane, or before head. */
static inline void store_cursor(struct weir_subscriber *subscriber)
{
    uint64_t cursor = subscriber->head;
    for (unsigned i = 0; i < subscriber->hold_count; i++) {
        const struct hold *hold = hold_at(subscriber, i);
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

static uint64_t load_header(const struct lane *lane, uint64_t position)
{
    /* Acquire [lane.commit]: the payload, and the next header, after it. Pairs with
     * put_header() and commit_batch(). */
    return atomic_load_explicit(weir__header_at(lane->ring, lane->capacity, position),
                                memory_order_acquire);
}

/* Whether a header that is not 0 can be true at this position. */
static inline bool is_sound(const struct lane *lane, uint64_t position, uint64_t header)
{
    uint64_t to_end = lane->capacity - (position & (lane->capacity - 1));
    uint64_t length = weir__record_length(header), flags = header & WEIR__RECORD_FLAGS;
    if (flags == (WEIR__RECORD_MARK | WEIR__RECORD_PAD))
        return length + WEIR__RECORD_HEADER_BYTES == to_end && to_end <= lane->capacity / 4 &&
               weir__record_type(header) == 0;
    return flags == WEIR__RECORD_MARK && length <= lane->most_bytes &&
           weir__record_bytes(length) <= to_end;
}

static int corrupt(struct weir_subscriber *subscriber) __attribute__((cold));

/* The next message's header; 0: none yet. Steps over a pad. */
static inline int next_header(struct weir_subscriber *subscriber, uint64_t *header)
{
    const struct lane *lane = subscriber->lane;
    for (int pads = 0;; pads++) {
        *header = load_header(lane, subscriber->head);
        if (*header == 0)
            return 0;
        if (__builtin_expect(!is_sound(lane, subscriber->head, *header), 0) || pads > 1)
            return corrupt(subscriber);
        if (__builtin_expect(!(*header & WEIR__RECORD_PAD), 1))
            return 0;
        subscriber->head += weir__record_bytes(weir__record_length(*header));
    }
}

/*
 * Lanes: attached, left
 */

/* The lane is of no use any more; what is held of it stays until it is released. */
static void leave_lane(struct weir_subscriber *subscriber)
{
    struct lane *lane = subscriber->lane;
    if (subscriber->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(subscriber->descriptor);
    /* Relaxed [lane.attached]: nobody of that lane looks any more. Pairs with look_at_page(). */
    atomic_store_explicit(&subscriber->page->lane, 0, memory_order_relaxed);
    subscriber->finished = lane->owner;
    subscriber->finished_page = subscriber->side.peer_page;
    subscriber->lane = NULL;
    weir__side_part(&subscriber->side, &lane->segment);
    if (lane->holds == 0)
        free_lane(lane);
}

/* All was read, and nothing follows. The publisher may still wait until it is released. */
static void finish_lane(struct weir_subscriber *subscriber)
{
    store_cursor(subscriber); /* over a pad */
    /* Release [lane.finished]: the cursor before it. Pairs with is_reading(). */
    atomic_store_explicit(&subscriber->page->finished, subscriber->lane->owner,
                          memory_order_release);
    leave_lane(subscriber);
    weir__ring(&subscriber->side.other->doorbell);
}

static int corrupt(struct weir_subscriber *subscriber)
{
    uint64_t head = subscriber->head;
    leave_lane(subscriber);
    subscriber->number = 0;
    return weir__fail(EUCLEAN, "the publisher's record at position %llu cannot be true",
                      (unsigned long long)head);
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
    leave_lane(subscriber);
    subscriber->finished = 0;
    subscriber->number = 0;
    return -EAGAIN;
}

/* From the boundary to now: what was committed before we came is not for us. */
static int walk_to_now(struct weir_subscriber *subscriber)
{
    uint64_t start = subscriber->head, header;
    for (;;) {
        int result = next_header(subscriber, &header);
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
    struct lane *lane = calloc(1, sizeof *lane);
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
    lane->most_bytes = weir__record_max(capacity);
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
    store_cursor(subscriber);
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

/* The lane of whoever publishes now; 0 also when nobody does. */
static int find_lane(struct weir_subscriber *subscriber)
{
    uint64_t owner = weir__side_other(&subscriber->side);
    if (owner == 0 || is_finished(subscriber, owner))
        return 0;
    int result = attach_lane(subscriber, owner);
    return result == -EAGAIN ? 0 : result;
}

/*
 * Waiting for a message
 */

static struct view view_of(const struct weir_subscriber *subscriber)
{
    struct view view = { .subscriber = subscriber,
                         .head = subscriber->head,
                         .finished = subscriber->finished,
                         .finished_page = subscriber->finished_page };
    if (subscriber->lane)
        view.lane = *subscriber->lane;
    return view;
}

/* Cheap, changes nothing: whether a look may find a message, or an end. */
static bool may_have_message(void *argument)
{
    const struct view *view = argument;
    const struct weir__side *side = &view->subscriber->side;
    uint64_t owner = weir__side_other(side);
    if (view->lane.owner == 0)
        return owner != 0 && weir__side_is_shown(side, owner) &&
               (owner != view->finished || weir__side_page(side) != view->finished_page);
    return load_header(&view->lane, view->head) != 0 || !weir__side_is_peer(side, owner) ||
           atomic_load_explicit(&view->lane.shm->ended, memory_order_relaxed);
}

static void ask_for_the_publisher(void *argument)
{
    const struct view *view = argument;
    const struct weir__side *side = &view->subscriber->side;
    weir__side_reap(side, weir__side_other(side));
}

/* The descriptor, if there is one, as it should be after a call. */
static void update_descriptor(struct weir_subscriber *subscriber)
{
    if (__builtin_expect(subscriber->descriptor == NULL, 1))
        return;
    if (!weir__side_is_ours(&subscriber->side))
        return; /* a child of fork has neither the thread nor what it watches */
    struct view view = view_of(subscriber);
    weir__descriptor_arm(subscriber->descriptor, &view);
}

/*
 * The lane is empty: is it for good? 0: not yet. The end, or the death, was seen first;
 * so a header that is still 0 after it stays 0.
 */
static int look_for_end(struct weir_subscriber *subscriber)
{
    struct lane *lane = subscriber->lane;
    uint64_t header;
    /* Acquire [lane.end]. Pairs with weir_publisher_end(). */
    bool has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    /* Only a dead owner's slot, or one that was left, has another owner. */
    bool is_gone = !weir__side_is_peer(&subscriber->side, weir__side_other(&subscriber->side));
    if (!has_ended && !is_gone)
        return 0;
    /* It may have ended, and then left, between the two looks above. */
    has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    int result = next_header(subscriber, &header);
    if (result != 0 || header != 0)
        return result;
    finish_lane(subscriber);
    return has_ended ? weir__fail(ENODATA, "the publisher has ended")
                     : weir__fail(EPIPE, "the publisher was killed");
}

/* 0 and the header of a message; or why there is none. */
static __attribute__((noinline)) int wait_for_header(struct weir_subscriber *subscriber,
                                                     uint64_t *header, int64_t deadline_ns)
{
    subscriber->side.looks = 0;
    for (;;) {
        int result = subscriber->lane ? 0 : find_lane(subscriber);
        if (result == 0 && subscriber->lane)
            result = next_header(subscriber, header);
        if (result != 0 || (subscriber->lane && *header != 0))
            return result;
        if (subscriber->lane)
            result = look_for_end(subscriber);
        if (result != 0)
            return result;
        if (subscriber->lane && subscriber->hold_count == 0)
            store_cursor(subscriber); /* over a pad */
        struct view view = view_of(subscriber);
        result = weir__side_wait(&subscriber->side, may_have_message, &view, deadline_ns);
        if (result != 0)
            return result;
    }
}

static inline int look(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    if (!weir__side_is_ours(&subscriber->side))
        return weir__side_check(&subscriber->side);
    *header = 0;
    if (__builtin_expect(subscriber->lane != NULL, 1)) {
        int result = next_header(subscriber, header);
        if (__builtin_expect(result != 0 || *header != 0, 1))
            return result;
    }
    return wait_for_header(subscriber, header, deadline_ns);
}

static inline void describe(const struct weir_subscriber *subscriber, uint64_t header,
                            struct weir_message *message)
{
    const struct lane *lane = subscriber->lane;
    message->data =
        weir__ring_at(lane->ring, lane->capacity, subscriber->head) + WEIR__RECORD_HEADER_BYTES;
    message->size_bytes = weir__record_length(header);
    message->sequence = subscriber->count;
    message->type = weir__record_type(header);
    message->session = lane->number;
    message->position = subscriber->head;
}

static int take(struct weir_subscriber *subscriber, struct weir_message *message,
                int64_t deadline_ns)
{
    uint64_t header;
    if (!weir__side_is_ours(&subscriber->side))
        return weir__side_check(&subscriber->side);
    if (subscriber->hold_count == WEIR_HOLDS_MAX)
        return weir__fail(ENOBUFS, "%d messages are held: release one first", WEIR_HOLDS_MAX);
    int result = look(subscriber, &header, deadline_ns);
    if (result != 0)
        return result;
    describe(subscriber, header, message);
    *hold_at(subscriber, subscriber->hold_count) =
        (struct hold){ .lane = subscriber->lane, .position = subscriber->head };
    subscriber->hold_count++;
    subscriber->lane->holds++;
    subscriber->head += weir__record_bytes(message->size_bytes);
    subscriber->count++;
    /* CRASH page.taken */
    return 0;
}

int weir_subscriber_take_until(struct weir_subscriber *subscriber, struct weir_message *message,
                               int64_t deadline_ns)
{
    int result = take(subscriber, message, deadline_ns);
    update_descriptor(subscriber);
    return result;
}

int weir_subscriber_take(struct weir_subscriber *subscriber, struct weir_message *message)
{
    return weir_subscriber_take_until(subscriber, message, WEIR_NEVER);
}

/* Its place among the holds, or hold_count. */
static inline unsigned find_hold(struct weir_subscriber *subscriber,
                                 const struct weir_message *message)
{
    unsigned i;
    for (i = 0; i < subscriber->hold_count; i++) {
        const struct hold *hold = hold_at(subscriber, i);
        if (hold->position == message->position && hold->lane->number == message->session)
            break;
    }
    return i;
}

int weir_subscriber_release(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    if (!weir__side_is_ours(&subscriber->side))
        return weir__side_check(&subscriber->side);
    unsigned index = find_hold(subscriber, message);
    if (index == subscriber->hold_count)
        return weir__fail(EINVAL, "the message at position %llu is not held",
                          (unsigned long long)message->position);
    drop_hold(subscriber, index);
    if (subscriber->number)
        store_cursor(subscriber);
    if (!subscriber->lane)
        weir__ring(&subscriber->side.other->doorbell); /* it has ended, and may wait for this */
    return 0;
}

static int receive(struct weir_subscriber *subscriber, void *data, size_t capacity_bytes,
                   struct weir_message *message, int64_t deadline_ns)
{
    uint64_t header;
    struct weir_message found;
    int result = look(subscriber, &header, deadline_ns);
    if (result != 0)
        return result;
    describe(subscriber, header, &found);
    if (found.size_bytes > capacity_bytes) {
        if (message) {
            *message = found;
            message->data = data;
        }
        return weir__fail(EMSGSIZE, "the message has %zu bytes, there is room for %zu",
                          found.size_bytes, capacity_bytes);
    }
    if (found.size_bytes)
        memcpy(data, found.data, found.size_bytes);
    if (message) {
        *message = found;
        message->data = data;
    }
    subscriber->head += weir__record_bytes(found.size_bytes);
    subscriber->count++;
    store_cursor(subscriber);
    return 0;
}

int weir_subscriber_receive_until(struct weir_subscriber *subscriber, void *data,
                                  size_t capacity_bytes, struct weir_message *message,
                                  int64_t deadline_ns)
{
    int result = receive(subscriber, data, capacity_bytes, message, deadline_ns);
    update_descriptor(subscriber);
    return result;
}

int weir_subscriber_fd(struct weir_subscriber *subscriber)
{
    const struct weir__descriptor_watch watch = { .waiter = &subscriber->side.waiter,
                                                  .is_ready = may_have_message,
                                                  .at_slice = ask_for_the_publisher,
                                                  .view_bytes = sizeof(struct view) };
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && !subscriber->descriptor) {
        result = weir__descriptor_open(&subscriber->descriptor, &watch);
        if (result == 0)
            update_descriptor(subscriber);
    }
    return result == 0 ? weir__descriptor_fd(subscriber->descriptor) : result;
}

static int open_subscriber(struct weir_subscriber *subscriber, const char *name,
                           const struct weir_channel_options *options)
{
    int result = weir__side_join(&subscriber->side, name, false, WEIR__PAGE_MAGIC,
                                 sizeof(struct weir__page_shm), options);
    if (result != 0)
        return result;
    subscriber->page = weir_segment_data(subscriber->side.memory);
    subscriber->side.waiter.epoch = &subscriber->page->epoch;
    weir__side_list(&subscriber->side);
    /* CRASH page.unattached */
    return find_lane(subscriber);
}

int weir_subscriber_open(struct weir_subscriber **subscriber, const char *name,
                         const struct weir_channel_options *options)
{
    struct weir__error_saved saved;
    struct weir_subscriber *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a subscriber's handle");
    weir__error_save(&saved);
    int result = open_subscriber(made, name, options);
    if (result == 0) {
        *subscriber = made;
        weir__error_restore(&saved);
    } else {
        weir__error_save(&saved);
        weir_subscriber_close(made);
        weir__error_restore(&saved);
    }
    return result;
}

void weir_subscriber_close(struct weir_subscriber *subscriber)
{
    if (!subscriber)
        return;
    if (subscriber->lane && weir__side_is_ours(&subscriber->side))
        leave_lane(subscriber); /* a child of fork does not have the page */
    weir__descriptor_close(subscriber->descriptor, weir__side_is_ours(&subscriber->side));
    while (subscriber->hold_count > 0)
        drop_hold(subscriber, 0);
    weir__side_leave(&subscriber->side);
    free(subscriber->lane); /* in a child of fork, which did not leave it */
    free(subscriber);
}
