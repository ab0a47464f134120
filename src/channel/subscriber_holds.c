/* SPDX-License-Identifier: MIT */
/*
 * Holds that are announced: named in a place of the page, so that the cursor can pass them, and the
 * publisher goes round them. docs/lane.md, "Held messages".
 */
#include "channel/subscriber.h"

/* A hold is old that is so far behind head: one part in so many of the ring. */
#define OLD_SHARE 8

static bool is_in_entry(const struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    return subscriber->berths[lane->peer.number].lane == lane;
}

/* The lane's entry says how many of its holds are in places, and that this has changed. */
static void count_place(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    if (!is_in_entry(subscriber, lane))
        return; /* the entry is a later lane's, or nobody's */
    lane->changes++;
    /* Release [hold.count]: the places before it. Pairs with weir__publisher_note_walls() and
     * weir__publisher_reader_has_released(). */
    atomic_store_explicit(&weir__subscriber_aside(subscriber, lane->peer.number)->holds,
                          lane->changes << 8 | lane->announced, memory_order_release);
}

/* A free one; WEIR__HOLDS_ANNOUNCED: there is none. */
static unsigned find_place(const struct weir_subscriber *subscriber)
{
    unsigned at = 0;
    while (at < WEIR__HOLDS_ANNOUNCED && subscriber->places[at].lane)
        at++;
    return at;
}

/* Release, all three: who reads a word of what follows here knows that what stood here before was
 * released. */
static void fill_place(struct weir__place_shm *place, const struct weir__hold *hold, uint64_t bytes)
{
    /* Release [hold.place]. Pairs with find_wall(). */
    atomic_store_explicit(&place->owner, hold->lane->peer.shown, memory_order_release);
    atomic_store_explicit(&place->bytes, bytes, memory_order_release);
    /* CRASH hold.named */
    /* Release [hold.place]: owner and bytes before it. Pairs with find_wall(). */
    atomic_store_explicit(&place->which, hold->position | WEIR__ANNOUNCED, memory_order_release);
    /* CRASH hold.placed */
}

/* false: there is no place, or it would be more than is allowed. */
static bool announce(struct weir_subscriber *subscriber, struct weir__hold *hold)
{
    struct weir__lane *lane = hold->lane;
    const struct weir__ring *ring = &lane->ring;
    unsigned at = find_place(subscriber);
    uint64_t header = weir__load_header(ring, hold->position);
    uint64_t bytes = weir__record_bytes(weir__record_length(header));
    if (at == WEIR__HOLDS_ANNOUNCED ||
        !weir__is_message(ring, weir__ring_at(ring->bytes, ring->capacity, hold->position),
                          header) ||
        bytes > ring->capacity / WEIR__HOLDS_SHARE - lane->announced_bytes)
        return false;
    fill_place(&subscriber->page->places[at], hold, bytes);
    subscriber->places[at] =
        (struct weir__placed){ .lane = lane, .position = hold->position, .bytes = bytes };
    hold->position |= WEIR__ANNOUNCED;
    lane->announced++;
    lane->announced_bytes += bytes;
    return true;
}

/* The oldest one that is not announced; NULL: there is none. */
static struct weir__hold *oldest(struct weir_subscriber *subscriber, const struct weir__lane *lane)
{
    for (unsigned i = 0; i < weir__hold_count(subscriber); i++) {
        struct weir__hold *hold = weir__hold_at(subscriber, i);
        if (hold->lane == lane && !weir__hold_is_announced(hold))
            return hold;
    }
    return NULL;
}

void weir__lane_announce(struct weir_subscriber *subscriber, struct weir__lane *lane, bool is_idle)
{
    uint64_t distance = is_idle ? 0 : lane->ring.capacity / OLD_SHARE;
    unsigned before = lane->announced;
    struct weir__hold *hold;
    if (lane->is_validated || !is_in_entry(subscriber, lane))
        return;
    do
        hold = oldest(subscriber, lane);
    while (hold && lane->head - hold->position > distance && announce(subscriber, hold));
    if (lane->announced == before)
        return;
    count_place(subscriber, lane);
    /* CRASH hold.counted */
    weir__lane_store_cursor(subscriber, lane);
}

void weir__subscriber_announce(struct weir_subscriber *subscriber)
{
    for (uint32_t i = 0; weir__hold_count(subscriber) > 0 && i < subscriber->lane_count; i++)
        weir__lane_announce(subscriber, subscriber->lanes[i], true);
}

void weir__hold_withdraw(struct weir_subscriber *subscriber, const struct weir__hold *hold)
{
    struct weir__lane *lane = hold->lane;
    unsigned at = 0;
    while (subscriber->places[at].lane != lane ||
           (subscriber->places[at].position | WEIR__ANNOUNCED) != hold->position)
        at++;
    lane->announced--;
    lane->announced_bytes -= subscriber->places[at].bytes;
    subscriber->places[at].lane = NULL;
    /* Release [hold.place]: all reads of what is given back come before. Pairs with find_wall(). */
    atomic_store_explicit(&subscriber->page->places[at].which, 0, memory_order_release);
    /* CRASH hold.withdrawn */
    count_place(subscriber, lane);
}
