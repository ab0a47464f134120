/* SPDX-License-Identifier: MIT */
/*
 * What a subscriber holds, as the table of its page names it: docs/lane.md, "Held messages". Whatever
 * it says is bounded here: so many places, of so many bytes at most.
 */
#include "inspect/channel.h"

/* What is announced of one lane. */
struct announced {
    unsigned places; /* that name it */
    unsigned count;  /* of them, behind the cursor */
    struct weir__hold_seen holds[WEIR__HOLDS_ANNOUNCED];
};

/* False: the place names that lane with what cannot be, or with words of two moments. */
static bool add_place(const struct weir__place_shm *place, uint64_t shown, uint64_t cursor,
                      struct announced *announced)
{
    /* Acquire [hold.place]: what it names has this owner and these bytes, or later ones. Pairs with
     * fill_place() and weir__hold_withdraw(). */
    uint64_t which = atomic_load_explicit(&place->which, memory_order_acquire);
    uint64_t place_owner = atomic_load_explicit(&place->owner, memory_order_acquire);
    uint64_t bytes = atomic_load_explicit(&place->bytes, memory_order_acquire);
    uint64_t position = which - 1;
    if (which == 0 || place_owner != shown)
        return true;
    if ((which & 7) != 1 || (bytes & 7) != 0 || bytes < WEIR__RECORD_HEADER_BYTES ||
        bytes > weir__record_bytes(UINT32_MAX))
        return false;
    announced->places++;
    if (position >= cursor) /* announced, and not passed: it is part of the lag */
        return true;
    announced->holds[announced->count++] =
        (struct weir__hold_seen){ .position = position, .bytes = bytes };
    return bytes <= cursor - position;
}

/*
 * All that is announced of the lane, behind the cursor that was read before. True: it is of one
 * moment. A hold that is announced after that cursor was read is not behind it.
 */
static bool read_all(const struct weir__page_shm *page, const struct weir__aside_shm *aside,
                     uint64_t shown, uint64_t cursor, struct announced *announced)
{
    /* Acquire [hold.count]: the places that it counts. Pairs with count_place(). */
    uint64_t holds = atomic_load_explicit(&aside->holds, memory_order_acquire);
    *announced = (struct announced){ .places = 0 };
    if (!weir__holds_any(holds))
        return true;
    for (unsigned i = 0; i < WEIR__HOLDS_ANNOUNCED; i++)
        if (!add_place(&page->places[i], shown, cursor, announced))
            return false;
    /* Relaxed [hold.count]: the places were read with acquire, so it is not older than they are, and
     * a place that was filled anew was counted before. Pairs with count_place(). */
    return announced->places == (holds & 0xff) &&
           atomic_load_explicit(&aside->holds, memory_order_relaxed) == holds;
}

void weir__read_holds(const struct weir__page_shm *page, const struct weir__aside_shm *aside,
                      uint64_t shown, unsigned *attempts, struct weir__member_seen *seen,
                      size_t number)
{
    struct announced announced;
    struct weir_channel_reading *reading = &seen->readings[number];
    while (!read_all(page, aside, shown, reading->released_bytes, &announced)) {
        if (*attempts == 0)
            return; /* it changes all the time, or lies */
        --*attempts;
    }
    reading->has_holds = 1;
    reading->held_messages = announced.count;
    for (unsigned i = 0; i < announced.count; i++) {
        reading->held_bytes += announced.holds[i].bytes;
        announced.holds[i].reading = number;
        if (seen->hold_count < WEIR__HOLDS_ANNOUNCED) /* it is, of who does not lie */
            seen->holds[seen->hold_count++] = announced.holds[i];
    }
}
