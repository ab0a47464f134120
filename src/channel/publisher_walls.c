/* SPDX-License-Identifier: MIT */
/*
 * Walls: what subscribers hold and have announced, where it lies in the lap that is written. Records
 * go round it. docs/lane.md, "Held messages".
 */
#include "channel/publisher.h"

/*
 * What a place of a page says, seen behind a cursor, as a wall: the next time that it lies in the
 * way. false: there is nothing, or nothing that can be. From the cursor on nothing is overwritten
 * anyway.
 */
static bool find_wall(const struct weir_publisher *publisher, const struct weir__place_shm *place,
                      uint64_t cursor, struct weir__wall *wall)
{
    /* Acquire [hold.place]: what it names has this owner and these bytes; or later ones, and then
     * it was released, and read before. Pairs with fill_place() and weir__hold_withdraw(). */
    uint64_t which = atomic_load_explicit(&place->which, memory_order_acquire);
    uint64_t owner = atomic_load_explicit(&place->owner, memory_order_acquire);
    uint64_t bytes = atomic_load_explicit(&place->bytes, memory_order_acquire);
    uint64_t position = which - 1, in_ring = publisher->capacity - 1;
    if ((which & 7) != 1 || owner != publisher->side.shown || position >= cursor)
        return false;
    if ((bytes & 7) != 0 || bytes < WEIR__RECORD_HEADER_BYTES || bytes > cursor - position ||
        bytes > weir__record_bytes(publisher->most_bytes) ||
        bytes > publisher->capacity - (position & in_ring))
        return false;
    uint64_t first = publisher->tail + WEIR__RECORD_HEADER_BYTES; /* the header at tail is ours */
    wall->begin = first + ((position - first) & in_ring);
    wall->end = wall->begin + bytes;
    return true;
}

void weir__publisher_note_walls(struct weir_publisher *publisher, struct weir__reader *reader)
{
    /* Acquire [hold.count]: after the cursor; what was announced before that passed it is counted,
     * or was released, and read before. Pairs with count_place(). */
    reader->holds = atomic_load_explicit(&reader->aside->holds, memory_order_acquire);
    if (!weir__holds_any(reader->holds))
        return;
    for (unsigned i = 0; i < WEIR__HOLDS_ANNOUNCED; i++) {
        struct weir__wall *wall = &publisher->walls[publisher->wall_count];
        publisher->wall_count +=
            find_wall(publisher, &reader->page->places[i], reader->cursor, wall);
    }
}

/* Shell's sort: in place, and not slow when there are 65,536. */
void weir__publisher_sort_walls(struct weir_publisher *publisher)
{
    struct weir__wall *walls = publisher->walls;
    uint32_t count = publisher->wall_count, gap = 1;
    while (gap < count / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) {
        for (uint32_t i = gap; i < count; i++) {
            struct weir__wall wall = walls[i];
            uint32_t at = i;
            for (; at >= gap && walls[at - gap].begin > wall.begin; at -= gap)
                walls[at] = walls[at - gap];
            walls[at] = wall;
        }
    }
}

/* The first one, from this index on, that ends behind position; wall_count: there is none. */
static uint32_t find_next(const struct weir_publisher *publisher, uint32_t at, uint64_t position)
{
    while (at < publisher->wall_count && publisher->walls[at].end <= position)
        at++;
    return at;
}

uint64_t weir__publisher_find_place(const struct weir_publisher *publisher, uint64_t bytes)
{
    uint64_t place = publisher->tail, capacity = publisher->capacity;
    uint32_t at = 0;
    for (;;) {
        uint64_t to_end = capacity - (place & (capacity - 1));
        if (bytes > to_end)
            place += to_end;
        at = find_next(publisher, at, place);
        if (at == publisher->wall_count)
            return place;
        if (place + bytes + WEIR__RECORD_HEADER_BYTES <= publisher->walls[at].begin)
            return place;
        place = publisher->walls[at].end;
    }
}

uint64_t weir__publisher_next_wall(const struct weir_publisher *publisher)
{
    uint32_t at = find_next(publisher, 0, publisher->tail);
    return at < publisher->wall_count ? publisher->walls[at].begin : UINT64_MAX;
}
