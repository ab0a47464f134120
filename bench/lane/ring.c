/* SPDX-License-Identifier: MIT */
/*
 * The bare ring: what the hardware gives to a ring with records like weir's, with the
 * commit word beside the payload. Nothing is checked, nobody joins, leaves or dies, and
 * whoever waits spins. A batch is committed by the word of its first record; the cursor is
 * then stored once a batch, too, and whenever nothing is there.
 *
 * Once more with the ring mapped read-only by the one who reads it: this is a promise of
 * weir's, and on some processors the mapping alone costs as much as all the rest.
 */
#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LANE_NAME "ring"

#define PAD UINT64_C(3)

struct lane {
    struct player *player;
    uint64_t sent, received;
    unsigned char *out, *in;
    _Atomic uint64_t *out_cursor, *in_cursor;
    uint64_t capacity;
    uint64_t tail, limit, head;
    uint64_t bytes_taken;          /* of the message that was taken */
    bool has_batch, is_batched;    /* one is open; the traffic has batches */
    uint64_t held_header, held_at; /* of the first record of the batch */
    unsigned released;             /* since the cursor was stored */
};

static inline _Atomic uint64_t *word_at(unsigned char *ring, uint64_t capacity, uint64_t position)
{
    return (_Atomic uint64_t *)(void *)(ring + (position & (capacity - 1)));
}

static inline uint64_t record_bytes(size_t size)
{
    return 8 + (((uint64_t)size + 7) & ~UINT64_C(7));
}

static inline void commit_held(struct lane *lane)
{
    if (lane->held_header)
        /* Release [bare.commit]: all of the batch before it. Pairs with find(). */
        atomic_store_explicit(word_at(lane->out, lane->capacity, lane->held_at), lane->held_header,
                              memory_order_release);
    lane->held_header = 0;
}

static inline void put_header(struct lane *lane, uint64_t header, uint64_t bytes)
{
    _Atomic uint64_t *here = word_at(lane->out, lane->capacity, lane->tail);
    atomic_store_explicit(word_at(lane->out, lane->capacity, lane->tail + bytes), 0,
                          memory_order_relaxed);
    if (lane->has_batch && !lane->held_header) {
        lane->held_header = header;
        lane->held_at = lane->tail;
    } else {
        /* Release [bare.commit]: payload and next header before it. Pairs with find(). */
        atomic_store_explicit(here, header, memory_order_release);
    }
    lane->tail += bytes;
}

static inline void *lane_loan(struct lane *lane, size_t size)
{
    uint64_t bytes = record_bytes(size);
    uint64_t to_end = lane->capacity - (lane->tail & (lane->capacity - 1));
    uint64_t pad = bytes > to_end ? to_end : 0;
    uint64_t wanted = lane->tail + pad + bytes + 8;
    if (__builtin_expect(wanted > lane->limit, 0)) {
        commit_held(lane);
        do
            /* Acquire [bare.free]: what is overwritten was read. Pairs with store_cursor(). */
            lane->limit =
                atomic_load_explicit(lane->out_cursor, memory_order_acquire) + lane->capacity;
        while (wanted > lane->limit);
    }
    if (pad)
        put_header(lane, (pad - 8) << 32 | PAD, pad);
    return lane->out + (lane->tail & (lane->capacity - 1)) + 8;
}

static inline void lane_commit(struct lane *lane, size_t size)
{
    put_header(lane, (uint64_t)size << 32 | 1, record_bytes(size));
}

static inline void lane_put(struct lane *lane, const void *data, size_t size)
{
    memcpy(lane_loan(lane, size), data, size);
    lane_commit(lane, size);
}

static inline void store_cursor(struct lane *lane)
{
    lane->released = 0;
    /* Release [bare.free]: all reads before it. Pairs with lane_loan(). */
    atomic_store_explicit(lane->in_cursor, lane->head, memory_order_release);
}

static inline uint64_t find(struct lane *lane)
{
    for (;;) {
        uint64_t header;
        /* Acquire [bare.commit]. Pairs with put_header() and commit_held(). */
        while ((header = atomic_load_explicit(word_at(lane->in, lane->capacity, lane->head),
                                              memory_order_acquire)) == 0)
            if (lane->released)
                store_cursor(lane);
        if (__builtin_expect((header & PAD) != PAD, 1))
            return header;
        lane->head += record_bytes((size_t)(header >> 32));
    }
}

static inline const void *lane_take(struct lane *lane, size_t *size)
{
    *size = (size_t)(find(lane) >> 32);
    lane->bytes_taken = record_bytes(*size);
    return lane->in + (lane->head & (lane->capacity - 1)) + 8;
}

static inline void lane_release(struct lane *lane)
{
    lane->head += lane->bytes_taken;
    if (!lane->is_batched || ++lane->released == BATCH)
        store_cursor(lane);
}

static inline void lane_get(struct lane *lane, void *data, size_t size)
{
    size_t found;
    const void *message = lane_take(lane, &found);
    memcpy(data, message, found < size ? found : size);
    lane_release(lane);
}

static inline void lane_begin(struct lane *lane)
{
    lane->has_batch = true;
}

static inline void lane_end(struct lane *lane)
{
    commit_held(lane);
    lane->has_batch = false;
}

#include "loops.h"

static struct lane lane_between(struct player *player, struct ring_shm *there,
                                struct ring_shm *back)
{
    struct ring_shm *out = player->role == 0 ? there : back;
    struct ring_shm *in = player->role == 0 ? back : there;
    return (struct lane){ .player = player,
                          .out = out->bytes,
                          .in = in->bytes,
                          .out_cursor = &out->cursor,
                          .in_cursor = &in->cursor,
                          .capacity = player->work.ring_bytes,
                          .limit = player->work.ring_bytes,
                          .is_batched = player->work.kind == BATCHED };
}

static void *open_lane(struct player *player)
{
    static struct lane lane;
    lane = lane_between(player, player->there, player->back);
    return &lane;
}

static void *open_readonly(struct player *player)
{
    static struct lane lane;
    lane = lane_between(player, player->readonly_there, player->readonly_back);
    if (mprotect(lane.in, lane.capacity, PROT_READ) != 0)
        give_up("a ring that is read-only: %s", strerror(errno));
    return &lane;
}

static void close_lane(void *state)
{
    (void)state;
}

const struct transport transport_ring = {
    .name = LANE_NAME,
    .open = open_lane,
    LANE_CALLS,
};

const struct transport transport_ring_readonly = {
    .name = "read-only ring",
    .open = open_readonly,
    LANE_CALLS,
};
