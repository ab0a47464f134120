/* SPDX-License-Identifier: MIT */
/* A publisher waits: for room, for subscribers, until all is taken. It looks, and sleeps between looks. */
#include "channel/publisher.h"

#include <errno.h>

#include "base/error.h"

/* A turn of a brief spin takes 10 to 50 ns. */
#define BRIEF_SPINS 64

int weir__publisher_wait_for(struct weir_publisher *publisher, enum weir__refused refused,
                             int64_t deadline_ns)
{
    const struct weir__watch watch = { .waits_for = weir__publisher_waits_for(publisher, refused),
                                       .moved = publisher->tail,
                                       .is_ready = weir__refusal_is_over,
                                       .ask = weir__refusal_ask,
                                       .argument = weir__publisher_take_stock(publisher, refused) };
    return weir__side_wait(&publisher->side, &watch, deadline_ns);
}

/* The lowest cursor, as it is now; the tail, if there is none. */
static uint64_t slowest(const struct weir_publisher *publisher)
{
    uint64_t lowest = publisher->tail;
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        /* Relaxed: the look that follows acquires. */
        if (reader->is_lossy || reader->is_evicted)
            continue;
        uint64_t cursor =
            reader->page ? atomic_load_explicit(&reader->entry->cursor, memory_order_relaxed) : 0;
        if (reader->is_attached && cursor < lowest)
            lowest = cursor;
    }
    return lowest;
}

/*
 * While the ring is full, each look would find room for a few messages and cost both sides a
 * line. So for a moment, short beside any sleep, we wait for a good part of it.
 */
static void spin_for_room(struct weir_publisher *publisher, uint64_t wanted)
{
    uint64_t enough = wanted - publisher->capacity + publisher->capacity / WEIR__ROOM_SHARE;
    if (publisher->reader_count == 0 || publisher->side.waiter.spin_ns == 0 ||
        weir__yield_is_learnt(&publisher->side.waiter.yield)) /* in vain */
        return;
    for (int i = 0; i < BRIEF_SPINS; i++) {
        uint64_t cursor = slowest(publisher);
        if ((int64_t)(cursor - enough) >= 0 || cursor == publisher->tail) {
            weir__yield_looked(&publisher->side.waiter.yield);
            return;
        }
        weir__cpu_relax();
    }
}

/* After a look. false: there is none, or somebody has come meanwhile. */
static bool has_room(struct weir_publisher *publisher)
{
    uint64_t wanted = publisher->wanted;
    return wanted <= publisher->limit &&
           (wanted <= publisher->reserved ||
            weir__publisher_reserve(publisher, wanted, publisher->need_bytes));
}

/* A look; then, as often as it takes, a wait and a look. */
int weir__publisher_wait_room(struct weir_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
    int result;
    publisher->need_bytes = bytes;
    weir__publisher_find_wanted(publisher);
    publisher->side.looks = 0;
    if (deadline_ns != 0)
        spin_for_room(publisher, publisher->wanted);
    do {
        result = weir__publisher_look(publisher);
        if (result != 0 || has_room(publisher))
            break;
        result = weir__publisher_wait_for(publisher, WEIR__REFUSED_ROOM, deadline_ns);
    } while (result == 0);
    return weir__publisher_note(publisher, WEIR__REFUSED_ROOM, result);
}

/*
 * Nothing is held back, and no pad open: for a look while a loan may be out. Returns where tail is
 * to be again behind it.
 */
static uint64_t tidy_for_look(struct weir_publisher *publisher)
{
    uint64_t place = publisher->tail;
    publisher->tail = weir__publisher_written(publisher);
    weir__publisher_commit_batch(publisher);
    publisher->side.looks = 0;
    return place;
}

/*
 * Looks until so many subscribers are attached. First the dead are put out: of who was killed while
 * nobody waited nobody knows.
 */
static int wait_attached(struct weir_publisher *publisher, uint32_t count, int64_t deadline_ns)
{
    if (count > 0)
        weir__slots_reap(weir__side_others(&publisher->side), weir__side_stats(&publisher->side));
    for (;;) {
        publisher->need_bytes = 0;
        publisher->wanted = publisher->tail;
        publisher->wanted_subscribers = count;
        int result = weir__publisher_look(publisher);
        if (result != 0 || publisher->attached_count >= count)
            return result;
        result = weir__publisher_wait_for(publisher, WEIR__REFUSED_SUBSCRIBER, deadline_ns);
        if (result != 0)
            return result;
    }
}

int weir_publisher_wait_subscribers(struct weir_publisher *publisher, uint32_t count,
                                    int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    uint32_t most = weir__side_others(&publisher->side)->count;
    if (result == 0 && count > most)
        result =
            weir__fail(EINVAL, "%u subscribers: this channel was made for %u, so wait for no more",
                       count, most);
    if (result != 0)
        return result;
    uint64_t place = tidy_for_look(publisher);
    result = wait_attached(publisher, count, deadline_ns);
    publisher->tail = place;
    return weir__publisher_note(publisher, WEIR__REFUSED_SUBSCRIBER, result);
}

/*
 * Whether all was released by every subscriber that we know, although it may have left since:
 * a look would forget it, and what it has released with it.
 */
static bool was_taken(const struct weir_publisher *publisher)
{
    uint64_t shown = publisher->side.shown;
    uint32_t asked = 0;
    if (weir__publisher_has_new(publisher)) /* it may have a message, too */
        return false;
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        bool is_reading = reader->page && weir__reader_is_reading(reader, shown, true);
        bool is_out = !is_reading && (reader->unmet_shown != 0 ||
                                      (reader->page && weir__reader_refuses(reader, shown)));
        if (reader->is_lossy || is_out)
            continue;
        if (!weir__publisher_reader_has_released(publisher, reader))
            return false;
        asked++;
    }
    return asked > 0;
}

/* Whether all that a look found has been released. */
static bool is_taken(const struct weir_publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->reader_count; i++)
        if (!publisher->readers[i].is_lossy && !publisher->readers[i].is_out &&
            (!publisher->readers[i].is_attached ||
             publisher->readers[i].cursor < weir__publisher_last_end(publisher) ||
             weir__holds_any(publisher->readers[i].holds)))
            return false;
    return true;
}

/* Whether those whom a look has forgotten had released all that there is. */
static bool left_with_all(const struct weir_publisher *publisher)
{
    uint64_t end = weir__publisher_last_end(publisher);
    return publisher->taken_end == end && publisher->untaken_end != end;
}

static int wait_taken(struct weir_publisher *publisher, int64_t deadline_ns)
{
    int result = 0;
    publisher->need_bytes = 0;
    do {
        if (was_taken(publisher)) {
            weir__publisher_store_boundary(
                publisher); /* as at a look: who joins begins behind it */
            return 0;
        }
        publisher->wanted = publisher->tail;
        result = weir__publisher_look(publisher);
        if (result == 0 && publisher->reader_count == publisher->out_count)
            return left_with_all(publisher) ? 0 : weir__fail(EPIPE, "no subscriber is left");
        if (result != 0 || is_taken(publisher)) /* of lossy ones alone, attached or not, yet */
            return result;
        result = weir__publisher_wait_for(publisher, WEIR__REFUSED_TAKEN, deadline_ns);
    } while (result == 0);
    return result;
}

int weir_publisher_wait_taken(struct weir_publisher *publisher, int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    if (result != 0)
        return result;
    uint64_t place = tidy_for_look(publisher);
    result = wait_taken(publisher, deadline_ns);
    publisher->tail = place;
    return weir__publisher_note(publisher, WEIR__REFUSED_TAKEN, result);
}
