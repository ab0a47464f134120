/* SPDX-License-Identifier: MIT */
/*
 * Who is there, and how far the publisher may write: its looks and its waits
 * (docs/lane.md, "Publishing", Look).
 */
#include "channel/publisher.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"

/* A turn of a brief spin takes 10 to 50 ns. */
#define BRIEF_SPINS 64

/* The part of the ring that is worth a moment's wait: one in so many. */
#define ROOM_SHARE 8

/* Where a joiner may begin: a pair, readable in one piece (see read_boundary()). */
static void store_boundary(struct weir_publisher *publisher)
{
    struct weir__lane_shm *lane = publisher->lane;
    uint64_t position = publisher->tail;
    /* Release [lane.boundary]: three stores in this order. Pairs with read_boundary(). */
    atomic_store_explicit(&lane->boundary_before, position, memory_order_release);
    /* CRASH lane.boundary */
    atomic_store_explicit(&lane->boundary_count, publisher->count, memory_order_release);
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
    reader->is_attached =
        reader->page && weir__reader_is_reading(reader, publisher->side.page, publisher->has_ended);
    reader->is_out = !reader->is_attached &&
                     (reader->unmet_page != 0 ||
                      (reader->page && weir__reader_refuses(reader, publisher->side.page)));
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
        /* Acquire [lane.free]: it has read what we overwrite. Pairs with store_cursor() and
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

/* Where the record that waits for room, if any, ends with its next header. */
static void find_wanted(struct weir_publisher *publisher)
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
    find_wanted(publisher);
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
    uint64_t stride = publisher->tail + publisher->capacity / WEIR__STRIDE_SHARE;
    uint64_t most = publisher->tail + publisher->capacity / 2 + WEIR__RECORD_HEADER_BYTES;
    if (publisher->wanted <= publisher->reserved)
        return publisher->reserved;
    if (publisher->wanted > most) /* behind walls, which may be gone */
        return stride > publisher->reserved ? stride : publisher->reserved;
    return publisher->lag_bytes != 0 || publisher->wanted > stride ? publisher->wanted : stride;
}

/* Who is there, and how far we may write. No batch holds anything back here. */
static int look(struct weir_publisher *publisher)
{
    uint64_t before = publisher->reserved;
    weir__side_keep_place(&publisher->side); /* a wait says it if that cannot be */
    weir__count(&weir__side_stats(&publisher->side)->looks);
    publisher->live->stop = 0; /* whatever it was worked out from */
    publisher->limit = publisher->tail;
    store_boundary(publisher);
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

/* What a wait looks at, now; of which refusal. */
static struct weir__refusal *take_stock(struct weir_publisher *publisher,
                                        enum weir__refused refused)
{
    struct weir__refusal *refusal = publisher->refusal;
    *refusal = (struct weir__refusal){
        .side = &publisher->side,
        .refused = refused,
        .has_ended = publisher->has_ended,
        .capacity = publisher->capacity,
        .wanted = publisher->wanted,
        .last_end = weir__publisher_last_end(publisher),
        .committed = weir__publisher_written(publisher), /* at a look nothing is held back */
        .subscribers = publisher->wanted_subscribers,
        .changes_seen = publisher->changes_seen,
        .reader_count = publisher->reader_count,
    };
    memcpy(refusal->readers, publisher->readers,
           publisher->reader_count * sizeof *publisher->readers);
    return refusal;
}

static int wait_for(struct weir_publisher *publisher, enum weir__refused refused,
                    int64_t deadline_ns)
{
    static const enum weir__waits_for waits_for[] = {
        [WEIR__REFUSED_NOTHING] = WEIR__WAITS_FOR_NOTHING,
        [WEIR__REFUSED_ROOM] = WEIR__WAITS_FOR_ROOM,
        [WEIR__REFUSED_SUBSCRIBER] = WEIR__WAITS_FOR_SUBSCRIBER,
        [WEIR__REFUSED_TAKEN] = WEIR__WAITS_FOR_TAKEN,
        [WEIR__REFUSED_ATTACHED] = WEIR__WAITS_FOR_SUBSCRIBER,
    };
    const struct weir__watch watch = { .waits_for = waits_for[refused],
                                       .moved = publisher->tail,
                                       .is_ready = weir__refusal_is_over,
                                       .ask = weir__refusal_ask,
                                       .argument = take_stock(publisher, refused) };
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
    uint64_t enough = wanted - publisher->capacity + publisher->capacity / ROOM_SHARE;
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
           (wanted <= publisher->reserved || weir__publisher_reserve(publisher, wanted));
}

/* A look; then, as often as it takes, a wait and a look. */
int weir__publisher_wait_room(struct weir_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
    int result;
    publisher->need_bytes = bytes;
    find_wanted(publisher);
    publisher->side.looks = 0;
    if (deadline_ns != 0)
        spin_for_room(publisher, publisher->wanted);
    do {
        result = look(publisher);
        if (result != 0 || has_room(publisher))
            break;
        result = wait_for(publisher, WEIR__REFUSED_ROOM, deadline_ns);
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
        int result = look(publisher);
        if (result != 0 || publisher->attached_count >= count)
            return result;
        result = wait_for(publisher, WEIR__REFUSED_SUBSCRIBER, deadline_ns);
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
    uint64_t shown = publisher->side.page;
    uint32_t asked = 0;
    if (weir__publisher_has_new(publisher)) /* it may have a message, too */
        return false;
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        bool is_reading = reader->page && weir__reader_is_reading(reader, shown, true);
        bool is_out = !is_reading && (reader->unmet_page != 0 ||
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
    do {
        if (was_taken(publisher)) {
            store_boundary(publisher); /* as at a look: who joins begins behind it */
            return 0;
        }
        publisher->wanted = publisher->tail;
        result = look(publisher);
        if (result == 0 && publisher->reader_count == publisher->out_count)
            return left_with_all(publisher) ? 0 : weir__fail(EPIPE, "no subscriber is left");
        if (result != 0 || is_taken(publisher)) /* of lossy ones alone, attached or not, yet */
            return result;
        result = wait_for(publisher, WEIR__REFUSED_TAKEN, deadline_ns);
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

/*
 * Until when to wait for those that were there before the last message, and have not attached our lane
 * yet; 0: there are none. A subscriber of our own process may be one that our caller has, who can do
 * nothing before we return: it has 2 ms, enough for another thread that waits.
 */
static int64_t unattached_until(const struct weir_publisher *publisher, int64_t began_ns)
{
    int64_t until_ns = 0;
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        if (reader->is_attached || reader->is_out || reader->found_at == publisher->tail)
            continue;
        bool is_own = (reader->peer.owner & ~WEIR_IDENTITY_SESSION_MAX) == publisher->side.identity;
        int64_t its_ns = began_ns + (is_own ? WEIR__SLICE_NS / 100 : WEIR__SLICE_NS);
        until_ns = its_ns > until_ns ? its_ns : until_ns;
    }
    return until_ns;
}

/* What an open batch holds back is as if never written. */
static void drop_batch(struct weir_publisher *publisher)
{
    if (publisher->batch_header == 0)
        return;
    publisher->tail = publisher->batch_start;
    publisher->count = publisher->batch_count;
    publisher->batch_header = 0;
}

/*
 * As look(), but that it goes on past those who are no readers of ours: each is told of once, and there is nobody
 * left to tell. A slice at most: who lies anew each time is not waited for.
 */
static bool look_past_strangers(struct weir_publisher *publisher, int64_t until_ns)
{
    int result;
    do
        result = look(publisher);
    while ((result == -EPERM || result == -EACCES || result == -EPROTO || result == -EUCLEAN) &&
           weir_now_ns() < until_ns);
    return result == 0;
}

void weir__publisher_hand_over(struct weir_publisher *publisher)
{
    int64_t began_ns = weir_now_ns(), until_ns;
    int result = 0;
    bool is_told = false;
    weir_publisher_abandon(publisher);
    drop_batch(publisher);
    publisher->need_bytes = 0;
    publisher->wanted = publisher->tail;
    publisher->side.looks = 0;
    while (publisher->tail > 0 && (result == 0 || result == -EINTR)) {
        if (!look_past_strangers(publisher, began_ns + WEIR__SLICE_NS) ||
            (until_ns = unattached_until(publisher, began_ns)) == 0)
            return;
        if (!is_told) { /* the others need not wait for the end, nor we for the dead */
            weir__side_ring_all(&publisher->side);
            weir__refusal_ask(take_stock(publisher, WEIR__REFUSED_ATTACHED));
        } else {
            result = wait_for(publisher, WEIR__REFUSED_ATTACHED, until_ns);
        }
        is_told = true;
    }
}

bool weir__publisher_is_ready(struct weir_publisher *publisher)
{
    return publisher->refused != WEIR__REFUSED_NOTHING &&
           weir__refusal_is_over(take_stock(publisher, publisher->refused));
}

void weir__publisher_ask(struct weir_publisher *publisher)
{
    weir__refusal_ask(take_stock(publisher, publisher->refused));
}

/* The descriptor, if there is one, as it should be after a call. */
static void update_descriptor(struct weir_publisher *publisher)
{
    if (publisher->descriptor)
        weir__descriptor_arm(publisher->descriptor, take_stock(publisher, publisher->refused),
                             weir__refusal_bytes(publisher->reader_count),
                             publisher->refused != WEIR__REFUSED_NOTHING);
}

int weir__publisher_note(struct weir_publisher *publisher, enum weir__refused refused, int result)
{
    bool is_refused = result == -EAGAIN || result == -ETIMEDOUT || result == -EINTR;
    publisher->refused = is_refused ? refused : WEIR__REFUSED_NOTHING;
    weir__publisher_tell(publisher, refused, result);
    if (refused == WEIR__REFUSED_ROOM && (result == -EAGAIN || result == -ETIMEDOUT))
        weir__count(&weir__side_stats(&publisher->side)->refusals);
    if (is_refused) {
        publisher->limit = publisher->tail; /* the next send looks, too, and comes by here */
        publisher->live->stop = 0;
        weir__side_tell_refused(&publisher->side);
    }
    update_descriptor(publisher);
    return result;
}

int weir_publisher_fd(struct weir_publisher *publisher)
{
    const struct weir__descriptor_watch watch = {
        .waiter = &publisher->side.waiter,
        .is_ready = weir__refusal_is_over,
        .ask = weir__refusal_ask,
        .view_bytes = weir__refusal_bytes(publisher->readers_max),
    };
    int result = weir__side_check(&publisher->side);
    if (result == 0 && !publisher->descriptor) {
        result = weir__descriptor_open(&publisher->descriptor, &watch);
        if (result == 0)
            update_descriptor(publisher);
    }
    return result == 0 ? weir__descriptor_fd(publisher->descriptor) : result;
}
