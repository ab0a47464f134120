/* SPDX-License-Identifier: MIT */
/*
 * Who is there, and how far the publisher may write: its looks and its waits
 * (docs/lane.md, "Publishing", Look).
 */
#include "channel/publisher.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/error.h"

/* A turn of a brief spin takes 10 to 50 ns. */
#define BRIEF_SPINS 64

/* The part of the ring that is worth a moment's wait: one in so many. */
#define ROOM_SHARE 8

/* Where a joiner may begin: a pair, readable in one piece (see read_boundary()). */
static void store_boundary(struct weir_publisher *publisher)
{
    struct weir__lane_shm *lane = publisher->lane;
    uint64_t position = publisher->tail;
    /* Release [lane.boundary]: three stores in this order. Pairs with read_boundary(). */
    atomic_store_explicit(&lane->boundary_before, position, memory_order_release);
    /* CRASH lane.boundary */
    atomic_store_explicit(&lane->boundary_count, publisher->count, memory_order_release);
    atomic_store_explicit(&lane->boundary, position, memory_order_release);
}

static void forget_subscriber(struct weir_publisher *publisher)
{
    if (publisher->descriptor) /* its thread must not look into what is detached */
        weir__descriptor_disarm(publisher->descriptor);
    weir__side_part(&publisher->side, NULL);
    publisher->page = NULL;
    publisher->is_attached = false;
    publisher->cursor = 0;
}

/* Whether the page's cursor is one of our lane. */
static bool is_reading(const struct weir_publisher *publisher)
{
    /* Acquire [lane.attached]: then its cursor is one of our lane. Pairs with attach_lane(). */
    if (atomic_load_explicit(&publisher->page->lane, memory_order_acquire) == publisher->side.me)
        return true;
    /* Acquire [lane.finished]: likewise, once it has seen our end. Pairs with weir__subscriber_finish_lane(). */
    return publisher->has_ended && atomic_load_explicit(&publisher->page->finished,
                                                        memory_order_acquire) == publisher->side.me;
}

/* The credit of the subscriber that is attached. */
static int look_at_page(struct weir_publisher *publisher)
{
    publisher->limit = publisher->tail;
    publisher->is_attached = is_reading(publisher);
    if (!publisher->is_attached)
        return 0;
    /* Acquire [lane.free]: it has read what we overwrite. Pairs with store_cursor() and
     * weir__subscriber_store_cursor(). */
    uint64_t cursor = atomic_load_explicit(&publisher->page->cursor, memory_order_acquire);
    if (cursor < publisher->cursor || cursor > publisher->tail ||
        publisher->tail - cursor > publisher->capacity)
        return weir__fail(EUCLEAN, "the subscriber's cursor is %llu, which cannot be",
                          (unsigned long long)cursor);
    publisher->cursor = cursor;
    publisher->limit = cursor + publisher->capacity;
    return 0;
}

static int meet_subscriber(struct weir_publisher *publisher, uint64_t owner)
{
    int result = weir__side_meet(&publisher->side, owner, WEIR__PAGE_MAGIC,
                                 sizeof(struct weir__page_shm), sizeof(struct weir__page_shm));
    publisher->limit = publisher->tail;
    if (result == -EAGAIN)
        return 0; /* listed, and has not shown its page: no credit */
    if (result != 0)
        return result;
    publisher->page = weir_segment_data(publisher->side.peer_memory);
    publisher->side.waker.epoch = &publisher->page->epoch;
    return look_at_page(publisher);
}

/* Who is there, and how far we may write. No batch holds anything back here. */
static int look(struct weir_publisher *publisher)
{
    publisher->stop = 0; /* whatever it was worked out from */
    store_boundary(publisher);
    /* Full fence [slot.owner]: the boundary, then the slot. Pairs with claim(): either we see
     * the joiner, or it reads this boundary or a later one. */
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t owner = weir__side_other(&publisher->side);
    if (publisher->page && weir__side_is_peer(&publisher->side, owner))
        return look_at_page(publisher);
    if (publisher->page)
        forget_subscriber(publisher);
    if (owner != 0)
        return meet_subscriber(publisher, owner);
    publisher->limit = publisher->tail + publisher->capacity / 8;
    if (publisher->limit < publisher->wanted)
        publisher->limit = publisher->wanted; /* at most half a ring beyond the boundary */
    return 0;
}

/* Cheap, changes nothing: whether a look may find more. */
static bool may_have_room(void *argument)
{
    struct weir_publisher *publisher = argument;
    uint64_t owner = weir__side_other(&publisher->side);
    if (!publisher->page)
        return owner == 0 || weir__side_is_shown(&publisher->side, owner);
    if (!weir__side_is_peer(&publisher->side, owner))
        return true;
    /* Relaxed: the look that follows acquires. */
    return atomic_load_explicit(&publisher->page->lane, memory_order_relaxed) ==
               publisher->side.me &&
           atomic_load_explicit(&publisher->page->cursor, memory_order_relaxed) +
                   publisher->capacity >=
               publisher->wanted;
}

/*
 * While the ring is full, each look would find room for a few messages and cost both sides a
 * line. So for a moment, short beside any sleep, we wait for a good part of it.
 */
static void spin_for_room(const struct weir_publisher *publisher, uint64_t wanted)
{
    uint64_t enough = wanted - publisher->capacity + publisher->capacity / ROOM_SHARE;
    if (!publisher->page || publisher->side.waiter.spin_ns == 0)
        return;
    for (int i = 0; i < BRIEF_SPINS; i++) {
        /* Relaxed: the look that follows acquires. */
        uint64_t cursor = atomic_load_explicit(&publisher->page->cursor, memory_order_relaxed);
        if ((int64_t)(cursor - enough) >= 0 || cursor == publisher->tail)
            return;
        weir__cpu_relax();
    }
}

/* A look; then, as often as it takes, a wait and a look. */
int weir__publisher_wait_room(struct weir_publisher *publisher, uint64_t wanted,
                              int64_t deadline_ns)
{
    int result;
    publisher->wanted = wanted;
    publisher->side.looks = 0;
    if (deadline_ns != 0)
        spin_for_room(publisher, wanted);
    do {
        result = look(publisher);
        if (result != 0 || publisher->limit >= wanted)
            break;
        result = weir__side_wait(&publisher->side, may_have_room, publisher, deadline_ns);
    } while (result == 0);
    return weir__publisher_note(publisher, WEIR__REFUSED_ROOM, result);
}

void weir__publisher_ring(struct weir_publisher *publisher)
{
    struct weir__side *side = &publisher->side;
    weir__wake(&side->waker);
    /* One that came since the last look, perhaps in another's place, and sleeps already, must
     * be rung: its claim stands before its epoch, and the same membarrier orders both. */
    /* Relaxed [sleep.epoch]. Pairs with weir__sleep_begin(). */
    uint64_t owner = atomic_load_explicit(&side->other->owner, memory_order_relaxed);
    if (owner == side->peer)
        return;
    publisher->limit = publisher->tail; /* the next record looks, and meets it, or parts */
    publisher->stop = 0;
    if (owner != 0)
        weir__ring(&side->other->doorbell);
}

/* Cheap, changes nothing: whether a look may find the subscriber attached. */
static bool may_be_attached(void *argument)
{
    const struct weir_publisher *publisher = argument;
    uint64_t owner = weir__side_other(&publisher->side);
    if (!publisher->page)
        return owner != 0 && weir__side_is_shown(&publisher->side, owner);
    /* Relaxed: the look that follows acquires. */
    return !weir__side_is_peer(&publisher->side, owner) || is_reading(publisher);
}

/* Cheap, changes nothing: whether a look may find everything released. */
static bool may_be_taken(void *argument)
{
    const struct weir_publisher *publisher = argument;
    return !may_be_attached(argument) || !publisher->page ||
           !weir__side_is_peer(&publisher->side, weir__side_other(&publisher->side)) ||
           atomic_load_explicit(&publisher->page->cursor, memory_order_relaxed) >=
               weir__publisher_last_end(publisher);
}

/*
 * Whether all was released by the subscriber whose page we have, although it may have left since:
 * a look would forget it, and what it has released with it.
 */
static bool was_taken(const struct weir_publisher *publisher)
{
    const struct weir__page_shm *page = publisher->page;
    if (!page)
        return false;
    /* Acquire [lane.attached], [lane.finished]: then its cursor is one of our lane. Pairs with
     * attach_lane() and weir__subscriber_finish_lane(). */
    if (atomic_load_explicit(&page->lane, memory_order_acquire) != publisher->side.me &&
        atomic_load_explicit(&page->finished, memory_order_acquire) != publisher->side.me)
        return false;
    /* Acquire [lane.free]: all that it read comes before. Pairs with store_cursor() and
     * weir__subscriber_store_cursor(). */
    uint64_t cursor = atomic_load_explicit(&page->cursor, memory_order_acquire);
    return cursor >= weir__publisher_last_end(publisher) && cursor <= publisher->tail;
}

/* Looks until the subscriber is attached (0), or there is nobody at all and that ends it. */
static int wait_attached(struct weir_publisher *publisher, bool may_be_nobody, int64_t deadline_ns)
{
    for (;;) {
        publisher->wanted = publisher->tail;
        int result = look(publisher);
        if (result != 0 || publisher->is_attached)
            return result;
        if (may_be_nobody && weir__side_other(&publisher->side) == 0)
            return weir__fail(EPIPE, "the subscriber is gone");
        result = weir__side_wait(&publisher->side, may_be_attached, publisher, deadline_ns);
        if (result != 0)
            return result;
    }
}

int weir_publisher_wait_subscriber(struct weir_publisher *publisher, int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    if (result != 0)
        return result;
    weir__publisher_commit_batch(publisher);
    publisher->side.looks = 0;
    result = wait_attached(publisher, false, deadline_ns);
    return weir__publisher_note(publisher, WEIR__REFUSED_SUBSCRIBER, result);
}

int weir_publisher_wait_taken(struct weir_publisher *publisher, int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    if (result != 0)
        return result;
    weir__publisher_commit_batch(publisher);
    publisher->side.looks = 0;
    do {
        result = 0;
        if (was_taken(publisher)) {
            store_boundary(publisher); /* as at a look: who joins begins behind it */
            break;
        }
        result = wait_attached(publisher, true, deadline_ns);
        if (result != 0 || publisher->cursor >= weir__publisher_last_end(publisher))
            break;
        result = weir__side_wait(&publisher->side, may_be_taken, publisher, deadline_ns);
    } while (result == 0);
    return weir__publisher_note(publisher, WEIR__REFUSED_TAKEN, result);
}

/* The descriptor, if there is one, as it should be after a call. */
static void update_descriptor(struct weir_publisher *publisher)
{
    if (!publisher->descriptor)
        return;
    struct weir__refusal view = {
        .side = &publisher->side,
        .page = publisher->page,
        .refused = publisher->refused,
        .has_ended = publisher->has_ended,
        .peer = publisher->side.peer,
        .peer_page = publisher->side.peer_page,
        .capacity = publisher->capacity,
        .wanted = publisher->wanted,
        .cursor = publisher->cursor,
        .committed = publisher->tail, /* at a look nothing is held back */
        .last_end = weir__publisher_last_end(publisher),
    };
    weir__descriptor_arm(publisher->descriptor, &view);
}

int weir__publisher_note(struct weir_publisher *publisher, enum weir__refused refused, int result)
{
    bool is_refused = result == -EAGAIN || result == -ETIMEDOUT || result == -EINTR;
    publisher->refused = is_refused ? refused : WEIR__REFUSED_NOTHING;
    if (is_refused) {
        publisher->limit = publisher->tail; /* the next send looks, too, and comes by here */
        publisher->stop = 0;
    }
    update_descriptor(publisher);
    return result;
}

int weir_publisher_fd(struct weir_publisher *publisher)
{
    const struct weir__descriptor_watch watch = { .waiter = &publisher->side.waiter,
                                                  .is_ready = weir__refusal_is_over,
                                                  .at_slice = weir__refusal_ask,
                                                  .view_bytes = sizeof(struct weir__refusal) };
    int result = weir__side_check(&publisher->side);
    if (result == 0 && !publisher->descriptor) {
        result = weir__descriptor_open(&publisher->descriptor, &watch);
        if (result == 0)
            update_descriptor(publisher);
    }
    return result == 0 ? weir__descriptor_fd(publisher->descriptor) : result;
}
