/* SPDX-License-Identifier: MIT */
/*
 * How far the publisher may overwrite: said before it does, in strides, with marks for who begins
 * or goes on somewhere in the ring. docs/lane.md, "Overwriting".
 */
#include "channel/publisher.h"

/*
 * A mark where all is committed, unless the last one serves for what will be reserved: so they
 * stand a stride apart, or a record. It takes the place of the last one if the one before that is
 * within a stride: so two of them stand as far apart at least, and 16 reach over the ring.
 */
static void put_mark(struct weir_publisher *publisher, uint64_t reserved)
{
    bool is_held = publisher->batch_header != 0;
    uint64_t position = is_held ? publisher->batch_start : weir__publisher_written(publisher);
    uint64_t count = is_held ? publisher->batch_count : weir__publisher_count(publisher);
    uint64_t stride = publisher->capacity / WEIR__STRIDE_SHARE;
    if (position == publisher->mark_at || reserved - publisher->mark_at <= stride)
        return;
    if (position - publisher->mark_before > stride) {
        publisher->mark_before = publisher->mark_at;
        publisher->mark_last = (publisher->mark_last + 1) % WEIR__MARKS;
    }
    struct weir__mark_shm *mark = &publisher->lane->marks[publisher->mark_last];
    /* Release [lane.mark]: three stores in this order, behind the commits. Pairs with read_mark(). */
    atomic_store_explicit(&mark->before, position, memory_order_release);
    /* CRASH lane.mark */
    atomic_store_explicit(&mark->count, count, memory_order_release);
    atomic_store_explicit(&mark->position, position, memory_order_release);
    publisher->mark_at = position;
}

static void store_reserved(struct weir_publisher *publisher, uint64_t reserved)
{
    publisher->reserved = reserved;
    /* Release [lane.reserved]: the mark before it, and when it is lowered nothing was written that
     * it forbids. Raised, a full fence follows, then what it allows. Pairs with
     * weir__is_intact(). */
    atomic_store_explicit(&publisher->lane->reserved, reserved, memory_order_release);
    /* CRASH lane.reserved */
}

void weir__publisher_announce(struct weir_publisher *publisher, uint64_t reserved, uint64_t least)
{
    if (reserved == publisher->reserved)
        return;
    put_mark(publisher, least);
    store_reserved(publisher, reserved);
}

void weir__publisher_settle(struct weir_publisher *publisher, uint64_t reserved)
{
    if (reserved < publisher->reserved)
        store_reserved(publisher, reserved);
    put_mark(publisher, publisher->reserved);
}

bool weir__publisher_reserve(struct weir_publisher *publisher, uint64_t wanted,
                             uint64_t record_bytes)
{
    uint64_t before = publisher->reserved;
    uint64_t reserved = publisher->tail + weir__publisher_stride(publisher, record_bytes);
    if (reserved < wanted)
        reserved = wanted;
    if (reserved > publisher->limit)
        reserved = publisher->limit;
    weir__publisher_announce(publisher, reserved, reserved);
    /* Full fence [lane.reserved] [slot.changes]: then the slots, and whatever is overwritten. Pairs
     * with weir__is_intact() and weir__slots_changed(): who has come either reads what we
     * have stored, or is seen. */
    atomic_thread_fence(memory_order_seq_cst);
    if (weir__slots_changes(weir__side_others(&publisher->side)) == publisher->changes_seen)
        return true;
    weir__publisher_settle(publisher, before); /* it may begin where we would have written */
    return false;
}
