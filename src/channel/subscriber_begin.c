/* SPDX-License-Identifier: MIT */
/* Where a subscriber begins in a lane: now, or with what is kept. docs/lane.md, "History". */
#include "channel/subscriber.h"

#include <errno.h>

#include "base/error.h"

#define BOUNDARY_ATTEMPTS 1000

/* How often one may be overtaken on the way to where it begins; then it begins now, see begin_overtaken(). */
#define WALK_ATTEMPTS 100

static bool may_try(const struct weir__lane *lane, int attempt, int result)
{
    return result == -EAGAIN && attempt < WALK_ATTEMPTS && weir__lane_may_walk(lane);
}

/* A position that was committed, and the count of messages before it: both of one moment. */
static bool read_boundary(const struct weir__lane *lane, struct weir__mark *mark)
{
    const struct weir__lane_shm *shm = lane->shm;
    /* Acquire [lane.boundary]: three loads in this order. Pairs with weir__publisher_store_boundary(). */
    mark->position = atomic_load_explicit(&shm->boundary, memory_order_acquire);
    mark->count = atomic_load_explicit(&shm->boundary_count, memory_order_acquire);
    return atomic_load_explicit(&shm->boundary_before, memory_order_acquire) == mark->position;
}

static bool read_mark(const struct weir__lane *lane, unsigned index, struct weir__mark *mark)
{
    const struct weir__mark_shm *shm = &lane->shm->marks[index];
    /* Acquire [lane.mark]: three loads in this order. Pairs with put_mark(). */
    mark->position = atomic_load_explicit(&shm->position, memory_order_acquire);
    mark->count = atomic_load_explicit(&shm->count, memory_order_acquire);
    return atomic_load_explicit(&shm->before, memory_order_acquire) == mark->position;
}

static uint64_t load_reserved(const struct weir__lane *lane)
{
    /* Acquire [lane.reserved]: the marks that were made before it. Pairs with store_reserved(). */
    return atomic_load_explicit(&lane->shm->reserved, memory_order_acquire);
}

static bool is_usable(const struct weir__lane *lane, const struct weir__mark *mark,
                      uint64_t reserved)
{
    return (mark->position & 7) == 0 && mark->position <= reserved &&
           reserved - mark->position <= lane->ring.capacity;
}

/* Whether a is to be taken rather than b. */
static bool is_better(enum weir__pick pick, uint64_t value, const struct weir__mark *a,
                      const struct weir__mark *b)
{
    bool is_older = a->position < b->position;
    bool a_serves = pick == WEIR__PICK_BEHIND ? a->position >= value : a->count <= value;
    bool b_serves = pick == WEIR__PICK_BEHIND ? b->position >= value : b->count <= value;
    if (pick == WEIR__PICK_OLDEST)
        return is_older;
    if (pick == WEIR__PICK_NEWEST)
        return !is_older;
    if (a_serves != b_serves)
        return a_serves;
    return (pick == WEIR__PICK_BEHIND) == a_serves ? is_older : !is_older;
}

int weir__lane_pick(const struct weir__lane *lane, enum weir__pick pick, uint64_t value,
                    struct weir__mark *mark)
{
    uint64_t reserved = load_reserved(lane), half = lane->ring.capacity / 2;
    struct weir__mark best = { 0, 0 }, newest = *mark;
    bool is_found = false;
    if (pick == WEIR__PICK_BEHIND)
        value = reserved > half ? reserved - half : 0;
    for (unsigned i = 0; i <= WEIR__MARKS; i++) {
        struct weir__mark next;
        bool is_whole = i < WEIR__MARKS ? read_mark(lane, i, &next) : read_boundary(lane, &next);
        if (!is_whole || (next.position & 7) != 0)
            continue;
        if (next.position > newest.position)
            newest = next;
        if (!is_usable(lane, &next, reserved))
            continue;
        if (!is_found || is_better(pick, value, &next, &best))
            best = next;
        is_found = true;
    }
    uint64_t again = load_reserved(lane);
    if ((!is_found && again == reserved) || newest.position > again)
        return -EUCLEAN; /* of a row of marks one at most is not whole, and none is beyond that */
    bool is_kept = is_found && is_usable(lane, &best, again);
    *mark = is_kept ? best : newest;
    return is_kept ? 0 : -EAGAIN;
}

/* The next header, on the way; -EAGAIN: it was overwritten. */
static int step(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t *header)
{
    const struct weir__ring *ring = &lane->ring;
    *header = weir__load_header(ring, lane->head);
    if (lane->is_validated && !weir__lane_is_intact(lane, lane->head))
        return -EAGAIN;
    if (*header == 0)
        return 0;
    bool is_pad = weir__is_pad(ring, *header);
    const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, lane->head);
    if (!is_pad && !weir__is_message(ring, at, *header))
        return weir__lane_corrupt_header(subscriber, lane, *header);
    uint64_t bytes =
        is_pad ? weir__pad_bytes(*header) : weir__record_bytes(weir__record_length(*header));
    lane->walked += bytes;
    lane->head += bytes;
    lane->count += !is_pad;
    return 0;
}

/*
 * To where so many messages lie before, or to the header that is 0; what lies on the way is not for
 * us. Who can be overtaken, and goes on as long as the ring is, begins there: the publisher is as
 * fast as we are. -EAGAIN: overtaken.
 */
static int walk(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t count)
{
    uint64_t start = lane->head, header = 1;
    while (lane->count < count && header != 0) {
        int result = step(subscriber, lane, &header);
        if (result != 0)
            return result;
        if (lane->head - start > lane->ring.capacity)
            return lane->is_validated ? 0 : weir__lane_corrupt(subscriber, lane);
    }
    return 0;
}

/*
 * Overtaken each time, while nobody waits for it: it begins now, at the newest place that it has
 * seen whole, with the count of that. What is overwritten from there on is missed.
 */
static int begin_overtaken(struct weir__lane *lane, const struct weir__mark *newest)
{
    weir__lane_go_to(lane, newest);
    return 0;
}

/* A place, or the lane was left: -EUCLEAN, as of a walk, after which it is gone. */
static int pick(struct weir_subscriber *subscriber, struct weir__lane *lane, enum weir__pick which,
                uint64_t value, struct weir__mark *mark)
{
    int result = weir__lane_pick(lane, which, value, mark);
    return result == -EUCLEAN ? weir__lane_corrupt(subscriber, lane) : result;
}

/* It stands between the stores of the boundary, or has died there. Later, perhaps. */
static int leave_torn(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    struct weir__berth *berth = &subscriber->berths[lane->peer.number];
    weir__vain_note(&berth->vain, lane->peer.owner, lane->peer.shown, WEIR__TORN_TRIES);
    berth->is_gone = false;
    weir__subscriber_rest(subscriber, lane->peer.number, false, lane->walked);
    weir__slot_reap(weir__side_others(&subscriber->side), lane->peer.number, lane->peer.owner,
                    weir__side_stats(&subscriber->side));
    weir__lane_leave(subscriber, lane);
    berth->finished = 0;
    return -EAGAIN;
}

/* From the boundary to now, where the publisher waits for us. */
static int begin_waited_for(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    struct weir__mark boundary;
    int reads = 0;
    while (!read_boundary(lane, &boundary))
        if (++reads == BOUNDARY_ATTEMPTS)
            return leave_torn(subscriber, lane);
    if ((boundary.position & 7) != 0)
        return weir__lane_corrupt(subscriber, lane);
    weir__lane_go_to(lane, &boundary);
    return walk(subscriber, lane, UINT64_MAX);
}

/*
 * To now, where it does not: from the boundary or a mark, of which one at most is not whole, as
 * what it commits after this must not be lost unseen because it was stopped in the middle of one.
 */
static int begin_now(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    struct weir__mark mark = { 0, 0 };
    int result = -EAGAIN;
    if (!lane->is_validated)
        return begin_waited_for(subscriber, lane);
    for (int attempt = 0; may_try(lane, attempt, result); attempt++) {
        result = pick(subscriber, lane, WEIR__PICK_NEWEST, 0, &mark);
        if (result != 0)
            continue;
        weir__lane_go_to(lane, &mark);
        result = walk(subscriber, lane, UINT64_MAX);
    }
    return result == -EAGAIN ? begin_overtaken(lane, &mark) : result;
}

/* So many messages before now, or as many as are kept. newest: where now was found. */
static int walk_back(struct weir_subscriber *subscriber, struct weir__lane *lane, uint64_t back,
                     struct weir__mark *newest)
{
    int result = pick(subscriber, lane, WEIR__PICK_NEWEST, 0, newest);
    if (result != 0)
        return result;
    weir__lane_go_to(lane, newest);
    result = walk(subscriber, lane, UINT64_MAX);
    if (result != 0)
        return result;
    *newest = (struct weir__mark){ lane->head, lane->count };
    struct weir__mark mark = *newest;
    uint64_t count = lane->count - (back < lane->count ? back : lane->count);
    result = pick(subscriber, lane, WEIR__PICK_BEFORE, count, &mark);
    if (result != 0)
        return result;
    weir__lane_go_to(lane, &mark);
    return walk(subscriber, lane, count);
}

static int begin_back(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    const struct weir_channel_options *options = &subscriber->side.options;
    struct weir__mark newest = { 0, 0 };
    int result = -EAGAIN;
    for (int attempt = 0; may_try(lane, attempt, result); attempt++) {
        if (options->start == WEIR_START_BACK) {
            result = walk_back(subscriber, lane, options->start_back, &newest);
        } else {
            result = pick(subscriber, lane, WEIR__PICK_OLDEST, 0, &newest);
            if (result == 0)
                weir__lane_go_to(lane, &newest); /* the oldest, now */
        }
    }
    if (result != -EAGAIN)
        return result;
    return lane->is_validated ? begin_overtaken(lane, &newest) : leave_torn(subscriber, lane);
}

int weir__lane_begin(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    bool was_there = subscriber->berths[lane->peer.number].first == lane->peer.shown;
    /* Who comes later is read from its begin; a reliable one that nothing evicts finds that it has
     * written nothing yet. */
    if (!was_there && lane->is_validated)
        return 0;
    if (!was_there || subscriber->side.options.start == WEIR_START_NOW)
        return begin_now(subscriber, lane);
    return begin_back(subscriber, lane);
}
