/* SPDX-License-Identifier: MIT */
/*
 * A publisher's look: who is there, and how far it may write, by the slowest (docs/lane.md,
 * "Publishing", Look).
 */
#include "channel/publisher.h"

#include <errno.h>

#include "base/error.h"

void weir__publisher_store_boundary(struct weir_publisher *publisher)
{
    struct weir__lane_shm *lane = publisher->lane;
    uint64_t position = publisher->tail;
    /* Release [lane.boundary]: three stores in this order. Pairs with read_boundary(). */
    atomic_store_explicit(&lane->boundary_before, position, memory_order_release);
    /* CRASH lane.boundary */
    atomic_store_explicit(&lane->boundary_count, weir__publisher_count(publisher),
                          memory_order_release);
    atomic_store_explicit(&lane->boundary, position, memory_order_release);
}

/*
 * Whether one that has read up to cursor is not waited for: it is in the way, and so far behind
 * that it is evicted.
 */
static bool is_evicted(struct weir_publisher *publisher, struct weir__reader *reader,
                       uint64_t cursor)
{
    bool is_in_the_way = cursor + publisher->capacity < publisher->wanted;
    bool was_evicted = reader->is_evicted;
    reader->is_evicted = publisher->lag_bytes != 0 && is_in_the_way &&
                         publisher->tail - cursor >= publisher->lag_bytes;
    if (reader->is_evicted && !was_evicted)
        weir__count(&publisher->lane->stats.evictions);
    return reader->is_evicted;
}

/* The credit of one subscriber: no more is written than it has room for. */
static int credit(struct weir_publisher *publisher, struct weir__reader *reader, uint64_t *limit)
{
    uint64_t cursor = reader->found_at;
    reader->holds = 0;
    reader->is_attached = reader->page && weir__reader_is_reading(reader, publisher->side.shown,
                                                                  publisher->has_ended);
    reader->is_out = !reader->is_attached &&
                     (reader->unmet_shown != 0 ||
                      (reader->page && weir__reader_refuses(reader, publisher->side.shown)));
    publisher->attached_count += reader->is_attached;
    publisher->out_count += reader->is_out;
    if (reader->is_lossy || reader->is_out)
        return 0;
    if (!reader->is_attached && publisher->lag_bytes == 0) {
        publisher->counted++;
        *limit = publisher->tail; /* no credit until attached */
        return 0;
    }
    if (reader->is_attached) {
        /* Acquire [lane.free]: it has read what we overwrite. Pairs with store_cursor_at() and
         * weir__lane_store_cursor(). */
        cursor = atomic_load_explicit(&reader->entry->cursor, memory_order_acquire);
        if (cursor < reader->cursor || cursor > publisher->tail ||
            (publisher->tail - cursor > publisher->capacity && publisher->lag_bytes == 0))
            return weir__fail(EUCLEAN, "the subscriber's cursor is %llu, which cannot be",
                              (unsigned long long)cursor);
        reader->cursor = cursor;
    }
    if (is_evicted(publisher, reader, cursor))
        return 0;
    publisher->counted++;
    if (reader->is_attached && publisher->lag_bytes == 0)
        weir__publisher_note_walls(publisher, reader);
    if (cursor + publisher->capacity < *limit)
        *limit = cursor + publisher->capacity;
    return 0;
}

void weir__publisher_find_wanted(struct weir_publisher *publisher)
{
    uint64_t bytes = publisher->need_bytes;
    publisher->wanted = publisher->tail;
    if (bytes > 0)
        publisher->wanted =
            weir__publisher_find_place(publisher, bytes) + bytes + WEIR__RECORD_HEADER_BYTES;
}

/* How far we may write, as those who are there allow it, and round what. */
static int find_limit(struct weir_publisher *publisher)
{
    uint64_t limit = publisher->tail + publisher->capacity;
    publisher->attached_count = publisher->counted = publisher->out_count = 0;
    publisher->wall_count = 0;
    int result = weir__publisher_update_readers(publisher);
    for (uint32_t i = 0; i < publisher->reader_count && result == 0; i++)
        result = credit(publisher, &publisher->readers[i], &limit);
    if (result != 0)
        return result;
    if (publisher->is_crowded) {
        publisher->counted++;
        limit = publisher->tail;
    }
    weir__publisher_sort_walls(publisher);
    weir__publisher_find_wanted(publisher);
    if (publisher->counted == 0) {
        limit = publisher->tail + publisher->capacity / 8;
        if (limit < publisher->wanted)
            limit = publisher->wanted; /* at most half a ring beyond the boundary */
    }
    publisher->limit = limit;
    return 0;
}

/*
 * What is announced at a look. Who evicts announces no more than it needs: who is not in the way
 * is not to be taken for evicted.
 */
static uint64_t look_ahead(const struct weir_publisher *publisher)
{
    uint64_t stride = publisher->tail + weir__publisher_stride(publisher, publisher->need_bytes);
    uint64_t most = publisher->tail + publisher->capacity / 2 + WEIR__RECORD_HEADER_BYTES;
    if (publisher->wanted <= publisher->reserved)
        return publisher->reserved;
    if (publisher->wanted > most) /* behind walls, which may be gone */
        return stride > publisher->reserved ? stride : publisher->reserved;
    return publisher->lag_bytes != 0 || publisher->wanted > stride ? publisher->wanted : stride;
}

int weir__publisher_look(struct weir_publisher *publisher)
{
    uint64_t before = publisher->reserved;
    weir__side_keep_place(&publisher->side); /* a wait says it if that cannot be */
    weir__count(&weir__side_stats(&publisher->side)->looks);
    weir__publisher_forget_room(publisher);
    weir__publisher_store_boundary(publisher);
    weir__publisher_announce(publisher, look_ahead(publisher), publisher->wanted);
    /* Full fence [slot.changes] [lane.reserved] [lane.refused]: the boundary, and what is reserved,
     * then the slots and who refuses. Pairs with weir__slots_changed(), weir__is_intact() and
     * take_back_refusal(): either we see the joiner, or it reads these or later ones. */
    atomic_thread_fence(memory_order_seq_cst);
    int result = find_limit(publisher);
    weir__publisher_settle(publisher, publisher->limit < publisher->wanted ? before
                                      : publisher->limit > before          ? publisher->limit
                                                                           : before);
    return result;
}
