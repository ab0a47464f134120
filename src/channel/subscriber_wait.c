/* SPDX-License-Identifier: MIT */
/* Waiting for a message or a publisher: in a call, or by a descriptor. */
#include "channel/subscriber.h"

#include <errno.h>

#include "base/error.h"

/* How long to look away in a stream, in turns of 10 to 50 ns, until so many messages come of it. */
#define STREAM_TURNS_MIN 4
#define STREAM_TURNS_MAX 64
#define STREAM_RUN 64

/* What a wait for a message looks at: of the handle itself, or a copy for another thread. */
struct view {
    const struct weir_subscriber *subscriber; /* its side alone is read */
    struct weir__lane lane;                   /* owner 0: none */
    uint64_t head;
    uint64_t finished, finished_page;
};

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

/* A message, or a header that cannot be true; a pad alone is neither. */
static bool has_header(const struct view *view)
{
    uint64_t header = weir__load_header(&view->lane, view->head);
    if (header == 0 || !weir__is_pad(&view->lane, view->head, header))
        return header != 0;
    uint64_t next = view->head + weir__record_bytes(weir__record_length(header));
    return weir__load_header(&view->lane, next) != 0;
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
    return has_header(view) || !weir__side_is_peer(side, owner) ||
           atomic_load_explicit(&view->lane.shm->ended, memory_order_relaxed);
}

static void ask_for_the_publisher(void *argument)
{
    const struct view *view = argument;
    const struct weir__side *side = &view->subscriber->side;
    weir__side_reap(side, weir__side_other(side));
}

/*
 * The lane is empty: is it for good? 0: not yet. The end, or the death, was seen first;
 * so a header that is still 0 after it stays 0.
 */
static int look_for_end(struct weir_subscriber *subscriber)
{
    struct weir__lane *lane = subscriber->lane;
    uint64_t header;
    /* Acquire [lane.end]. Pairs with weir_publisher_end(). */
    bool has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    /* Only a dead owner's slot, or one that was left, has another owner. */
    bool is_gone = !weir__side_is_peer(&subscriber->side, weir__side_other(&subscriber->side));
    if (!has_ended && !is_gone)
        return 0;
    /* It may have ended, and then left, between the two looks above. */
    has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    int result = weir__subscriber_next(subscriber, &header);
    if (result != 0 || header != 0)
        return result;
    weir__subscriber_finish_lane(subscriber);
    return has_ended ? weir__fail(ENODATA, "the publisher has ended")
                     : weir__fail(EPIPE, "the publisher was killed");
}

/*
 * In a stream the publisher is left alone first. Who looks at each line while it is being
 * written takes it away from the writer, and both go at the pace of that line. So after a
 * wait that followed more than one message we look away for a few turns; if a message is
 * there by then, twice as long the next time. Who answers each message, or each few of them,
 * is not held up: what it waits for comes after its answer, later than the first such pause.
 */
static void look_away(struct weir_subscriber *subscriber)
{
    uint64_t run = subscriber->count - subscriber->waited;
    subscriber->waited = subscriber->count;
    if (run < 2)
        subscriber->turns = 0;
    else if (subscriber->turns == 0)
        subscriber->turns = STREAM_TURNS_MIN;
    else if (subscriber->turns < STREAM_TURNS_MAX && run < STREAM_RUN)
        subscriber->turns *= 2;
    for (unsigned i = 0; i < subscriber->turns; i++)
        weir__cpu_relax();
    if (weir__load_header(subscriber->lane, subscriber->head) == 0)
        subscriber->turns = 0;
}

bool weir__subscriber_may_spin(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    if (!weir__side_is_ours(&subscriber->side) || !subscriber->lane || deadline_ns == 0 ||
        subscriber->side.waiter.spin_ns == 0)
        return false;
    look_away(subscriber);
    return true;
}

int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    subscriber->side.looks = 0;
    if (subscriber->descriptor)
        weir__subscriber_pause_descriptor(subscriber); /* a pad may be given back */
    for (;;) {
        int result = subscriber->lane ? 0 : weir__subscriber_find_lane(subscriber);
        if (result == 0 && subscriber->lane)
            result = weir__subscriber_next(subscriber, header);
        if (result != 0 || (subscriber->lane && *header != 0))
            return result;
        if (subscriber->lane)
            result = look_for_end(subscriber);
        if (result != 0)
            return result;
        if (subscriber->lane)
            weir__subscriber_store_cursor(subscriber); /* over a pad */
        struct view view = view_of(subscriber);
        result = weir__side_wait(&subscriber->side, may_have_message, &view, deadline_ns);
        if (result != 0)
            return result;
    }
}

void weir__subscriber_pause_descriptor(struct weir_subscriber *subscriber)
{
    weir__descriptor_disarm(subscriber->descriptor);
}

static uint64_t peer_of(const void *argument)
{
    const struct view *view = argument;
    return view->lane.owner;
}

static int open_pidfd(void *argument)
{
    const struct view *view = argument;
    return weir__side_pidfd(&view->subscriber->side, view->lane.owner);
}

void weir__subscriber_update_descriptor(struct weir_subscriber *subscriber)
{
    if (!weir__side_is_ours(&subscriber->side))
        return; /* a child of fork has neither the thread nor what it watches */
    weir__subscriber_pause_descriptor(subscriber); /* the former head may be given back soon */
    struct view view = view_of(subscriber);
    weir__descriptor_arm(subscriber->descriptor, &view);
}

/* Looks until there is a lane. */
static int wait_for_lane(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    subscriber->side.looks = 0;
    while (!subscriber->lane) {
        int result = weir__subscriber_find_lane(subscriber);
        if (result != 0 || subscriber->lane)
            return result;
        struct view view = view_of(subscriber);
        result = weir__side_wait(&subscriber->side, may_have_message, &view, deadline_ns);
        if (result != 0)
            return result;
    }
    return 0;
}

int weir_subscriber_wait_publisher(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    int result = weir__side_check(&subscriber->side);
    if (result == 0)
        result = wait_for_lane(subscriber, deadline_ns);
    if (subscriber->descriptor)
        weir__subscriber_update_descriptor(subscriber);
    return result;
}

int weir_subscriber_fd(struct weir_subscriber *subscriber)
{
    const struct weir__descriptor_watch watch = { .waiter = &subscriber->side.waiter,
                                                  .is_ready = may_have_message,
                                                  .at_slice = ask_for_the_publisher,
                                                  .view_bytes = sizeof(struct view),
                                                  .is_ring_enough = true,
                                                  .peer = peer_of,
                                                  .open_pidfd = open_pidfd };
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && !subscriber->descriptor) {
        result = weir__descriptor_open(&subscriber->descriptor, &watch);
        if (result == 0)
            weir__subscriber_update_descriptor(subscriber);
    }
    return result == 0 ? weir__descriptor_fd(subscriber->descriptor) : result;
}
