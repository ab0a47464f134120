/* SPDX-License-Identifier: MIT */
/*
 * The publisher. docs/lane.md, "Publishing"; layout.h says who writes what.
 *
 * P1: [0, committed) is committed; the header at committed is 0.
 * P2: outside a batch tail = committed; in one, what lies between is written but for
 *     the header at committed, which batch_header holds back.
 * P3: tail + 8 <= limit once a record is reserved: its next header is ours to zero.
 * P4: with a subscriber attached, limit <= its cursor + capacity; with one that is
 *     listed but not attached, limit = committed; with none, all from the boundary on
 *     is in the ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "channel/side.h"

struct weir_publisher {
    struct weir__side side;
    struct weir__lane_shm *lane;
    unsigned char *ring;
    uint64_t capacity;
    uint64_t most_bytes; /* of a message */
    uint64_t tail;       /* where the next record goes */
    uint64_t limit;      /* below it we may write without a look */
    uint64_t committed;
    uint64_t count;                    /* messages committed */
    uint64_t cursor;                   /* the subscriber's, when we last looked */
    const struct weir__page_shm *page; /* the subscriber's, or NULL */
    bool is_attached;                  /* and it has our lane, when we last looked */

    uint64_t loan_bytes; /* the most that the loan may have */
    bool has_loan;
    bool has_ended;
    bool has_batch;
    uint64_t batch_header; /* of the record at committed, held back; 0: none yet */
    uint64_t batch_count;
    uint64_t wanted; /* for the wait: limit must reach it */
};

/* Where a joiner may begin: a pair, readable in one piece (see read_boundary()). */
static void store_boundary(struct weir_publisher *publisher)
{
    struct weir__lane_shm *lane = publisher->lane;
    uint64_t position = publisher->committed;
    /* Release [lane.boundary]: three stores in this order. Pairs with read_boundary(). */
    atomic_store_explicit(&lane->boundary_before, position, memory_order_release);
    atomic_store_explicit(&lane->boundary_count, publisher->count, memory_order_release);
    atomic_store_explicit(&lane->boundary, position, memory_order_release);
}

static void forget_subscriber(struct weir_publisher *publisher)
{
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
    /* Acquire [lane.finished]: likewise, once it has seen our end. Pairs with finish_lane(). */
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
    /* Acquire [lane.free]: it has read what we overwrite. Pairs with store_cursor(). */
    uint64_t cursor = atomic_load_explicit(&publisher->page->cursor, memory_order_acquire);
    if (cursor < publisher->cursor || cursor > publisher->committed ||
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

/* A look; then, as often as it takes, a wait and a look. */
static __attribute__((noinline)) int wait_for_room(struct weir_publisher *publisher,
                                                   uint64_t wanted, int64_t deadline_ns)
{
    publisher->wanted = wanted;
    publisher->side.looks = 0;
    for (;;) {
        int result = look(publisher);
        if (result != 0 || publisher->limit >= wanted)
            return result;
        result = weir__side_wait(&publisher->side, may_have_room, publisher, deadline_ns);
        if (result != 0)
            return result;
    }
}

/* After a commit. */
static inline void wake_subscriber(struct weir_publisher *publisher)
{
    if (publisher->page)
        weir__wake(&publisher->side.waker);
    else if (publisher->side.has_membarrier)
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
    /* One that came since the last look, perhaps in another's place, and sleeps already, must
     * be rung: its claim stands before its epoch, and the same membarrier orders both. */
    /* Relaxed [sleep.epoch]. Pairs with sleep_once(). */
    uint64_t owner = atomic_load_explicit(&publisher->side.other->owner, memory_order_relaxed);
    if (__builtin_expect(owner != publisher->side.peer && owner != 0, 0)) {
        weir__ring(&publisher->side.other->doorbell);
        publisher->limit = publisher->tail; /* the next record looks, and meets it */
    }
}

static void commit_batch(struct weir_publisher *publisher)
{
    if (publisher->batch_header == 0)
        return;
    /* Release [lane.commit]: all records of the batch, and the 0 behind them, before this
     * header. Pairs with load_header(). CRASH lane.batch */
    atomic_store_explicit(
        weir__header_at(publisher->ring, publisher->capacity, publisher->committed),
        publisher->batch_header, memory_order_release);
    publisher->committed = publisher->tail;
    publisher->count += publisher->batch_count;
    publisher->batch_header = 0;
    publisher->batch_count = 0;
    wake_subscriber(publisher);
}

/* One record whose payload is written: the next header 0, then this one. */
static inline void put_header(struct weir_publisher *publisher, uint64_t header, uint64_t bytes,
                              unsigned messages)
{
    weir__atomic_u64 *here = weir__header_at(publisher->ring, publisher->capacity, publisher->tail);
    if (!publisher->has_batch) {
        /* CRASH lane.filling */
        /* Release [lane.commit]: payload and next header before it. Pairs with load_header(). */
        atomic_store_explicit(here, header, memory_order_release);
        publisher->tail += bytes;
        publisher->committed = publisher->tail;
        publisher->count += messages;
        return;
    }
    if (publisher->batch_header == 0)
        publisher->batch_header = header;
    else
        atomic_store_explicit(here, header, memory_order_relaxed); /* behind the held one */
    publisher->tail += bytes;
    publisher->batch_count += messages;
}

static void zero_header(struct weir_publisher *publisher, uint64_t position)
{
    /* Relaxed: before the commit of the record in front of it. */
    atomic_store_explicit(weir__header_at(publisher->ring, publisher->capacity, position), 0,
                          memory_order_relaxed);
}

/* Room for one record at tail, contiguous, a pad in front of it if need be. */
static inline int reserve(struct weir_publisher *publisher, uint64_t length, int64_t deadline_ns)
{
    uint64_t bytes = weir__record_bytes(length);
    uint64_t to_end = publisher->capacity - (publisher->tail & (publisher->capacity - 1));
    uint64_t pad = bytes > to_end ? to_end : 0;
    uint64_t wanted = publisher->tail + pad + bytes + WEIR__RECORD_HEADER_BYTES;
    if (__builtin_expect(wanted > publisher->limit, 0)) {
        commit_batch(publisher); /* a look must find nothing held back */
        int result = wait_for_room(publisher, wanted, deadline_ns);
        if (result != 0)
            return result;
    }
    if (pad) {
        zero_header(publisher, publisher->tail + pad);
        put_header(publisher,
                   weir__record_header(pad - WEIR__RECORD_HEADER_BYTES, 0, WEIR__RECORD_PAD), pad,
                   0);
    }
    return 0;
}

static inline int refuse(struct weir_publisher *publisher, uint64_t length)
{
    if (!weir__side_is_ours(&publisher->side))
        return weir__side_check(&publisher->side);
    if (publisher->has_ended)
        return weir__fail(EPIPE, "this publisher has said that it ends");
    if (publisher->has_loan)
        return weir__fail(EINVAL, "a loan is out: commit or abandon it first");
    if (length > publisher->most_bytes)
        return weir__fail(EMSGSIZE, "a message of %llu bytes: this ring takes %llu at most",
                          (unsigned long long)length, (unsigned long long)publisher->most_bytes);
    return 0;
}

static inline void finish_record(struct weir_publisher *publisher, uint64_t length, uint32_t type)
{
    uint64_t bytes = weir__record_bytes(length);
    zero_header(publisher, publisher->tail + bytes);
    put_header(publisher, weir__record_header(length, type, 0), bytes, 1);
    if (!publisher->has_batch)
        wake_subscriber(publisher);
    /* CRASH lane.unrung */
}

int weir_publisher_loan_until(struct weir_publisher *publisher, size_t size_bytes, void **data,
                              int64_t deadline_ns)
{
    int result = refuse(publisher, size_bytes);
    if (result == 0)
        result = reserve(publisher, size_bytes, deadline_ns);
    if (result != 0)
        return result;
    publisher->has_loan = true;
    publisher->loan_bytes = size_bytes;
    *data = weir__ring_at(publisher->ring, publisher->capacity, publisher->tail) +
            WEIR__RECORD_HEADER_BYTES;
    return 0;
}

int weir_publisher_commit(struct weir_publisher *publisher, size_t size_bytes, uint32_t type)
{
    if (!weir__side_is_ours(&publisher->side))
        return weir__side_check(&publisher->side);
    if (!publisher->has_loan || size_bytes > publisher->loan_bytes || type > UINT16_MAX)
        return weir__fail(EINVAL, "commit of %zu bytes, type %u: a loan of %llu bytes is %s",
                          size_bytes, type, (unsigned long long)publisher->loan_bytes,
                          publisher->has_loan ? "out, types go to 65535" : "not out");
    publisher->has_loan = false;
    finish_record(publisher, size_bytes, type);
    return 0;
}

void weir_publisher_abandon(struct weir_publisher *publisher)
{
    publisher->has_loan = false;
}

int weir_publisher_send_until(struct weir_publisher *publisher, const void *data, size_t size_bytes,
                              uint32_t type, int64_t deadline_ns)
{
    int result = refuse(publisher, size_bytes);
    if (result == 0 && type > UINT16_MAX)
        result = weir__fail(EINVAL, "type %u: types go to 65535", type);
    if (result == 0)
        result = reserve(publisher, size_bytes, deadline_ns);
    if (result != 0)
        return result;
    if (size_bytes)
        memcpy(weir__ring_at(publisher->ring, publisher->capacity, publisher->tail) +
                   WEIR__RECORD_HEADER_BYTES,
               data, size_bytes);
    finish_record(publisher, size_bytes, type);
    return 0;
}

int weir_publisher_send(struct weir_publisher *publisher, const void *data, size_t size_bytes)
{
    return weir_publisher_send_until(publisher, data, size_bytes, 0, WEIR_NEVER);
}

int weir_publisher_batch_begin(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (publisher->has_batch || publisher->has_loan))
        result = weir__fail(EINVAL, "a batch or a loan is open already");
    if (result == 0)
        publisher->has_batch = true;
    return result;
}

int weir_publisher_batch_end(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (!publisher->has_batch || publisher->has_loan))
        result = weir__fail(EINVAL, "no batch is open, or a loan is out");
    if (result != 0)
        return result;
    commit_batch(publisher);
    publisher->has_batch = false;
    return 0;
}

int weir_publisher_end(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (publisher->has_batch || publisher->has_loan))
        result = weir__fail(EINVAL, "a batch or a loan is open");
    if (result != 0)
        return result;
    publisher->has_ended = true;
    /* Release [lane.end]: the last commit before it. Pairs with look_for_end(). */
    atomic_store_explicit(&publisher->lane->ended, 1, memory_order_release);
    /* CRASH lane.ended */
    weir__ring(&publisher->side.other->doorbell);
    return 0;
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
           atomic_load_explicit(&publisher->page->cursor, memory_order_relaxed) ==
               publisher->committed;
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
    commit_batch(publisher);
    publisher->side.looks = 0;
    return wait_attached(publisher, false, deadline_ns);
}

int weir_publisher_wait_taken(struct weir_publisher *publisher, int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    if (result != 0)
        return result;
    commit_batch(publisher);
    publisher->side.looks = 0;
    for (;;) {
        result = wait_attached(publisher, true, deadline_ns);
        if (result != 0 || publisher->cursor == publisher->committed)
            return result;
        result = weir__side_wait(&publisher->side, may_be_taken, publisher, deadline_ns);
        if (result != 0)
            return result;
    }
}

size_t weir_publisher_max_bytes(const struct weir_publisher *publisher)
{
    return (size_t)publisher->most_bytes;
}

static int open_publisher(struct weir_publisher *publisher, const char *name,
                          const struct weir_channel_options *options)
{
    uint64_t ring_bytes =
        options && options->ring_bytes ? options->ring_bytes : WEIR_RING_BYTES_DEFAULT;
    int result = weir__side_join(&publisher->side, name, true, WEIR__LANE_MAGIC,
                                 WEIR__LANE_RING_OFFSET + ring_bytes, options);
    if (result != 0)
        return result;
    publisher->lane = weir_segment_data(publisher->side.memory);
    publisher->ring = (unsigned char *)publisher->lane + WEIR__LANE_RING_OFFSET;
    publisher->capacity = ring_bytes;
    publisher->most_bytes = weir__record_max(ring_bytes);
    publisher->side.waiter.epoch = &publisher->lane->epoch;
    weir__side_list(&publisher->side);
    return 0;
}

int weir_publisher_open(struct weir_publisher **publisher, const char *name,
                        const struct weir_channel_options *options)
{
    struct weir__error_saved saved;
    struct weir_publisher *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a publisher's handle");
    weir__error_save(&saved);
    int result = open_publisher(made, name, options);
    if (result == 0) {
        *publisher = made;
    } else {
        weir__error_save(&saved);
        weir__side_leave(&made->side);
        free(made);
    }
    weir__error_restore(&saved);
    return result;
}

void weir_publisher_close(struct weir_publisher *publisher)
{
    if (!publisher)
        return;
    if (weir__side_is_ours(&publisher->side) && !publisher->has_ended)
        /* Release [lane.end]. Pairs with look_for_end(). */
        atomic_store_explicit(&publisher->lane->ended, 1, memory_order_release);
    weir__side_leave(&publisher->side);
    free(publisher);
}
