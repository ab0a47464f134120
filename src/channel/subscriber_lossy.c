/* SPDX-License-Identifier: MIT */
/*
 * Lanes whose publisher may overwrite what we read: nothing of them is believed, neither a header,
 * nor a payload, nor that there is nothing, before it was asked again how far it may. docs/lane.md,
 * "Overwriting".
 */
#include "channel/subscriber.h"

#include <errno.h>

#include "base/error.h"
#include "base/racing_copy.h"

enum weir__found weir__lane_look(struct weir__lane *lane, uint64_t *header)
{
    const struct weir__ring *ring = &lane->ring;
    uint64_t head = lane->head;
    *header = weir__pass_pads(ring, &head);
    lane->walked += head - lane->head;
    if (!weir__lane_is_intact(lane, lane->head))
        return WEIR__FOUND_OVERRUN;
    lane->head = head;
    if (*header == 0)
        return WEIR__FOUND_NOTHING;
    const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, head);
    return weir__is_message(ring, at, *header) ? WEIR__FOUND_MESSAGE : WEIR__FOUND_NONSENSE;
}

/*
 * Where nothing stands behind the mark, as that much was reserved for a loan or a batch: the last
 * one that has a message behind it, if that is kept. Nobody could say how many were missed if none
 * followed. A header that is overwritten meanwhile misleads to a mark that is kept as well.
 */
static void prefer_a_message(struct weir__lane *lane, struct weir__mark *mark)
{
    uint64_t position = mark->position;
    struct weir__mark former = *mark;
    bool is_last = mark->count > 0 && weir__pass_pads(&lane->ring, &position) == 0;
    lane->walked += position - mark->position;
    if (is_last && weir__lane_pick(lane, WEIR__PICK_BEFORE, mark->count - 1, &former) == 0 &&
        former.count < mark->count && former.position > lane->head)
        *mark = former;
}

int weir__lane_go_on(struct weir__lane *lane, uint64_t *missed, uint64_t *bytes)
{
    struct weir__mark mark = { 0, 0 };
    int result = weir__lane_pick(lane, WEIR__PICK_BEHIND, 0, &mark);
    if (result == 0)
        prefer_a_message(lane, &mark);
    if (result == 0 && mark.position <= lane->head)
        result = -EAGAIN; /* what was reserved has been lowered since */
    if (result != 0)
        return result;
    *missed = mark.count - lane->count;
    *bytes = mark.position - lane->head;
    if (mark.count < lane->count || *missed > *bytes / WEIR__RECORD_HEADER_BYTES)
        return -EUCLEAN;
    lane->head = mark.position;
    lane->count = mark.count;
    lane->missed += *missed;
    return 0;
}

static int go_on(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t missed, bytes;
    int result = weir__lane_go_on(lane, &missed, &bytes);
    if (result == 0)
        weir__lane_skip(subscriber, lane, missed, bytes);
    return result;
}

static int tell_eviction(const struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    if (subscriber->side.is_lossy)
        return 0;
    return weir__fail(EOVERFLOW,
                      "too far behind: a publisher has not waited, and overwrote %llu messages",
                      (unsigned long long)lane->missed);
}

int weir__lane_next_validated(struct weir_subscriber *subscriber, struct weir__lane *lane,
                              uint64_t *header)
{
    lane->walked = 0;
    for (int attempt = 0; attempt < WEIR__OVERTAKEN_MAX && weir__lane_may_walk(lane); attempt++) {
        uint64_t former = lane->head;
        enum weir__found found = weir__lane_look(lane, header);
        if (found == WEIR__FOUND_NONSENSE)
            return weir__lane_corrupt_header(subscriber, lane, *header);
        if (found == WEIR__FOUND_NOTHING && lane->head != former)
            weir__lane_store_cursor(subscriber, lane); /* the pads are given back */
        if (found != WEIR__FOUND_OVERRUN)
            return 0;
        int result = go_on(subscriber, lane);
        if (result == -EUCLEAN)
            return weir__lane_corrupt(subscriber, lane);
        if (result == 0)
            result = tell_eviction(subscriber, lane);
        if (result == -EOVERFLOW)
            return result;
    }
    *header = 0; /* overtaken again and again: the next look finds it so, and goes on */
    return 0;
}

bool weir__lane_copy(const struct weir__lane *lane, uint64_t header, void *data)
{
    const struct weir__ring *ring = &lane->ring;
    const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, lane->head);
    weir__copy_racing(data, at + WEIR__RECORD_HEADER_BYTES, weir__record_length(header));
    return weir__lane_is_intact(lane, lane->head);
}

/*
 * Where a burst ends that began at head: a lap on at the latest. Else a publisher that lies, and lets
 * us go round and round, would keep us beyond any deadline.
 */
static uint64_t burst_end(const struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->live->lane;
    return lane->head + (subscriber->lane_count > 1 ? WEIR__TURN_BYTES : lane->ring.capacity);
}

/* Whether a message is at head, or behind pads there, before end. */
static bool look_behind(struct weir__lane *lane, uint64_t end, uint64_t *header)
{
    return lane->head < end && weir__lane_look(lane, header) == WEIR__FOUND_MESSAGE &&
           lane->head < end;
}

size_t weir__lane_hold_many(struct weir_subscriber *subscriber, uint64_t header,
                            struct weir_message *messages, size_t count)
{
    struct weir__lane *lane = subscriber->live->lane;
    const struct weir__ring *ring = &lane->ring;
    uint64_t end = burst_end(subscriber);
    size_t done = 0;
    do {
        const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, lane->head);
        *weir__hold_at(subscriber, weir__hold_count(subscriber)) =
            (struct weir__hold){ .lane = lane, .position = lane->head };
        weir__holds_add(subscriber, 1);
        weir__lane_describe(lane, header, at + WEIR__RECORD_HEADER_BYTES, lane->missed,
                            &messages[done]);
        lane->missed = 0;
        weir__lane_step_over(lane, header);
        done++;
    } while (done < count && look_behind(lane, end, &header));
    return done;
}

size_t weir__lane_copy_many(struct weir_subscriber *subscriber, uint64_t header,
                            unsigned char *data, size_t capacity_bytes,
                            struct weir_message *messages, size_t count)
{
    struct weir__lane *lane = subscriber->live->lane;
    uint64_t end = burst_end(subscriber);
    size_t done = 0, used = 0;
    do {
        size_t size_bytes = weir__record_length(header);
        if (used > capacity_bytes || size_bytes > capacity_bytes - used ||
            !weir__lane_copy(lane, header, data + used))
            break;
        weir__lane_describe(lane, header, data + used, lane->missed, &messages[done]);
        lane->missed = 0;
        weir__lane_step_over(lane, header);
        done++;
        used += (size_bytes + 7) & ~(size_t)7;
    } while (done < count && look_behind(lane, end, &header));
    return done;
}

enum weir_delivery weir_subscriber_delivery(const struct weir_subscriber *subscriber)
{
    return subscriber->side.is_lossy ? WEIR_DELIVERY_LOSSY : WEIR_DELIVERY_RELIABLE;
}

int weir_subscriber_check(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    int result = weir__side_check(&subscriber->side);
    if (result != 0)
        return result;
    for (unsigned i = 0; i < weir__hold_count(subscriber); i++) {
        const struct weir__hold *hold = weir__hold_at(subscriber, i);
        if (!weir__hold_is_of(hold, message))
            continue;
        if (!hold->lane->is_validated || weir__lane_is_intact(hold->lane, hold->position))
            return 0;
        return weir__fail_plain(EOVERFLOW, "the message was overwritten while it was held");
    }
    return weir__fail(EINVAL, "the message at position %llu is not held",
                      (unsigned long long)message->position);
}
