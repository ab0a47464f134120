/* SPDX-License-Identifier: MIT */
/*
 * What is seen of the lanes between two looks, cheaply, by whoever waits: the call itself, a wait set, or
 * the thread of a descriptor, which has a copy.
 */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

/* What a wait for a message looks at: of the handle itself, or a copy for another thread. */
struct watched {
    struct weir__ring ring;
    uint64_t head;
    bool is_validated;
    const struct weir__lane_shm *shm;
    struct weir__peer peer;
};

struct weir__view {
    const struct weir__side *side;            /* of it only what never changes, and the slots */
    const struct weir_subscriber *subscriber; /* of it only the berths and the rest */
    uint32_t changes_seen;
    uint32_t lane_count;
    struct watched lanes[];
};

static size_t view_bytes(uint32_t lanes)
{
    return sizeof(struct weir__view) + lanes * sizeof(struct watched);
}

int weir__subscriber_make_view(struct weir_subscriber *subscriber)
{
    subscriber->view = calloc(1, view_bytes(weir__side_others(&subscriber->side)->count));
    return subscriber->view ? 0 : weir__fail(ENOMEM, "no memory for a subscriber's view");
}

struct weir__view *weir__subscriber_take_view(struct weir_subscriber *subscriber)
{
    struct weir__view *view = subscriber->view;
    view->side = &subscriber->side;
    view->subscriber = subscriber;
    view->changes_seen = subscriber->changes_seen;
    view->lane_count = subscriber->lane_count;
    for (uint32_t i = 0; i < subscriber->lane_count; i++) {
        const struct weir__lane *lane = subscriber->lanes[i];
        view->lanes[i] = (struct watched){ .ring = lane->ring,
                                           .head = lane->head,
                                           .is_validated = lane->is_validated,
                                           .shm = lane->shm,
                                           .peer = lane->peer };
    }
    return view;
}

/* A message, or a header that cannot be true; pads are neither. An overrun is to be told, too. */
static bool has_header(const struct watched *lane)
{
    return weir__is_worth_a_look(&lane->ring, lane->head) ||
           (lane->is_validated && !weir__is_intact(lane->shm, lane->ring.capacity, lane->head));
}

bool weir__view_may_have_message(void *argument)
{
    const struct weir__view *view = argument;
    for (uint32_t i = 0; i < view->lane_count; i++) {
        const struct watched *lane = &view->lanes[i];
        if (has_header(lane) ||
            (!lane->peer.is_adrift && !weir__peer_is_there(view->side, &lane->peer)) ||
            atomic_load_explicit(&lane->shm->ended, memory_order_relaxed))
            return true;
    }
    return weir__slots_changes(weir__side_others(view->side)) != view->changes_seen &&
           weir__subscriber_has_new(view->subscriber);
}

static bool ask_for_publishers(const struct weir__side *side)
{
    return weir__slots_reap(weir__side_others(side), weir__side_stats(side));
}

bool weir__view_ask(void *argument)
{
    const struct weir__view *view = argument;
    bool is_dead = ask_for_publishers(view->side);
    for (uint32_t i = 0; i < view->lane_count; i++)
        is_dead |= weir__peer_has_died(view->side, &view->lanes[i].peer);
    /* Who was put out of its place is to come to a look, and take it again. */
    return is_dead || !weir__side_has_place(view->side);
}

bool weir__subscriber_is_ready(struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->live->lane;
    /* The lane whose turn it is, first: a pad alone is nothing to be taken. */
    if (lane &&
        (weir__load_header(&lane->ring, lane->head) & WEIR__RECORD_FLAGS) == WEIR__RECORD_MARK)
        return true;
    return weir__view_may_have_message(weir__subscriber_take_view(subscriber));
}

bool weir__subscriber_ask(struct weir_subscriber *subscriber)
{
    return weir__view_ask(weir__subscriber_take_view(subscriber));
}

void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber)
{
    weir__descriptor_disarm(subscriber->descriptor);
}

/* Of one alone: of several the slices tell. */
static uint64_t peer_of(const void *argument)
{
    const struct weir__view *view = argument;
    return view->lane_count == 1 ? view->lanes[0].peer.owner : 0;
}

static int open_pidfd(void *argument)
{
    const struct weir__view *view = argument;
    const struct weir__peer *peer = &view->lanes[0].peer;
    return weir__peer_pidfd(weir__peer_slot(view->side, peer), peer->owner);
}

void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber, int result)
{
    bool was_refused = result == -EAGAIN || result == -ETIMEDOUT || result == -EINTR ||
                       weir__is_scarce(result); /* tried again once a slice */
    if (!weir__side_is_ours(&subscriber->side))
        return; /* a child of fork has neither the thread nor what it watches */
    weir__subscriber_pause_descriptor(subscriber); /* the former head may be given back soon */
    weir__descriptor_arm(subscriber->descriptor, weir__subscriber_take_view(subscriber),
                         view_bytes(subscriber->lane_count), was_refused);
}

int weir_subscriber_fd(struct weir_subscriber *subscriber)
{
    uint32_t most = weir__side_others(&subscriber->side)->count;
    const struct weir__descriptor_watch watch = { .waiter = &subscriber->side.waiter,
                                                  .is_ready = weir__view_may_have_message,
                                                  .ask = weir__view_ask,
                                                  .view_bytes = view_bytes(most),
                                                  .is_ring_enough = true,
                                                  .peer = peer_of,
                                                  .open_pidfd = open_pidfd };
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && !subscriber->descriptor) {
        result = weir__descriptor_open(&subscriber->descriptor, &watch);
        if (result == 0)
            weir__holds_add(subscriber, 0); /* each call has to tell it from now on */
        if (result == 0)
            weir__subscriber_update_descriptor(subscriber, 0);
    }
    return result == 0 ? weir__descriptor_fd(subscriber->descriptor) : result;
}
