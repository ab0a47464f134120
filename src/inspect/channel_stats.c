/* SPDX-License-Identifier: MIT */
/*
 * What the members of a channel have counted, and what follows from it for each pair of them. All
 * of it may be a lie: numbers are handed on as they are, but for what has bounds.
 */
#include "inspect/channel.h"

#include <weir/identity.h>

static uint64_t read_count(const weir__atomic_u64 *word)
{
    /* Relaxed [stats.count]: nothing follows from it. Pairs with weir__count_many(). */
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint32_t read_state(const weir__atomic_u32 *word)
{
    /* Relaxed [stats.count]: shown, and no more. Pairs with weir__state(). */
    return atomic_load_explicit(word, memory_order_relaxed);
}

static_assert((int)WEIR__WAITS_FOR_ROOM == (int)WEIR_NEED_ROOM &&
                  (int)WEIR__WAITS_FOR_SUBSCRIBER == (int)WEIR_NEED_SUBSCRIBERS &&
                  (int)WEIR__WAITS_FOR_TAKEN == (int)WEIR_NEED_TAKEN &&
                  (int)WEIR__WAITS_FOR_MESSAGE == (int)WEIR_NEED_MESSAGE &&
                  (int)WEIR__WAITS_FOR_PUBLISHER == (int)WEIR_NEED_PUBLISHER &&
                  (int)WEIR__WAITS_FOR_ATTACHED == (int)WEIR_NEED_ATTACH,
              "one is the other");

/* Nothing of it is believed. */
static void read_stats(const struct weir__stats_shm *stats, struct weir_channel_member *member)
{
    uint32_t need = read_state(&stats->waits_for);
    member->waits = read_count(&stats->waits);
    member->sleeps = read_count(&stats->sleeps);
    member->wakes = read_count(&stats->wakes);
    member->looks = read_count(&stats->looks);
    member->reaped = read_count(&stats->reaped);
    member->refusals = read_count(&stats->refusals);
    if (member->life == WEIR_LIFE_DEAD)
        return; /* whatever it says that it does */
    bool is_armed = read_state(&stats->armed), is_outside = (need & WEIR__WAITS_OUTSIDE) != 0;
    if (is_outside)
        need = is_armed ? need & ~WEIR__WAITS_OUTSIDE : (uint32_t)WEIR_NEED_NOTHING;
    member->need = need <= WEIR_NEED_ATTACH ? need : (uint32_t)WEIR_NEED_NOTHING;
    member->activity = read_state(&stats->asleep)    ? WEIR_ACTIVITY_ASLEEP
                       : member->need && !is_outside ? WEIR_ACTIVITY_WAITING
                       : is_armed                    ? WEIR_ACTIVITY_POLLING
                                                     : WEIR_ACTIVITY_AWAKE;
}

void weir__read_publisher_stats(const struct weir__publisher_stats_shm *stats,
                                struct weir_channel_member *member)
{
    read_stats(&stats->common, member);
    member->evictions = read_count(&stats->evictions);
}

/* What all entries and the bases say, in one moment. */
static bool read_total(const struct weir__page_shm *page, uint32_t publishers,
                       struct weir_channel_member *member)
{
    const struct weir__subscriber_stats_shm *stats = &page->stats;
    const uint32_t line = weir__page_epoch_line(publishers, member->slot);
    /* Acquire [stats.version]: what follows is of this version, or a later one. Pairs with
     * weir__totals_end(). */
    uint32_t version = atomic_load_explicit(&stats->version, memory_order_acquire);
    member->missed_messages = read_count(&stats->missed);
    member->released_messages = read_count(&stats->messages_base) - member->missed_messages;
    member->released_bytes = read_count(&stats->bytes_base);
    for (uint32_t i = 0; i < publishers; i++) {
        const struct weir__entry_shm *entry = weir__page_entry(page, line, i);
        /* Relaxed [lane.attached], [lane.released]: the version says whether all this is of one
         * moment. Pairs with attach_lane() and weir__lane_store_cursor(). */
        if (atomic_load_explicit(&entry->lane, memory_order_relaxed) == 0)
            continue;
        member->released_messages += atomic_load_explicit(&entry->released, memory_order_relaxed);
        member->released_bytes += atomic_load_explicit(&entry->cursor, memory_order_relaxed);
    }
    /* What was missed while messages are held is taken off before their place is given back. */
    if (member->released_bytes > INT64_MAX)
        member->released_bytes = 0;
    atomic_thread_fence(memory_order_acquire);
    /* Acquire [stats.version]: by the fence, what was read is not of a later one. Pairs with
     * weir__totals_begin(). */
    return version % 2 == 0 &&
           atomic_load_explicit(&stats->version, memory_order_relaxed) == version;
}

void weir__read_subscriber_stats(const struct weir__page_shm *page, uint32_t publishers,
                                 struct weir_channel_member *member)
{
    read_stats(&page->stats.common, member);
    for (int i = 0; i < WEIR__INSPECT_ATTEMPTS && !member->is_exact; i++)
        member->is_exact = read_total(page, publishers, member);
    if (!member->is_exact) /* it has died in between, or lies */
        member->released_bytes = member->released_messages = 0;
}

/* As they were gathered: the subscribers, then the publishers, each in the order of their slots. */
struct members {
    struct weir__member_seen *subscribers, *publishers;
    size_t subscriber_count, publisher_count;
};

/* The publisher that a subscriber reads from; NULL: it is not there any more, or cannot be read. */
static struct weir__member_seen *find_publisher(const struct members *members,
                                                const struct weir_channel_reading *reading)
{
    size_t low = 0, high = members->publisher_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (members->publishers[middle].member.slot < reading->publisher)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == members->publisher_count)
        return NULL;
    const struct weir_channel_member *found = &members->publishers[low].member;
    return found->slot == reading->publisher && found->identity == reading->identity &&
                   found->state == WEIR_MEMBER_SHOWN
               ? &members->publishers[low]
               : NULL;
}

/* may_be_overrun: more may lie between them than the ring holds. */
static void find_lag(const struct weir_channel_member *publisher, bool may_be_overrun,
                     struct weir_channel_reading *reading)
{
    uint64_t bytes = publisher->committed_bytes - reading->released_bytes;
    uint64_t messages =
        publisher->committed_messages - reading->released_messages - reading->held_messages;
    if (bytes > (may_be_overrun ? publisher->committed_bytes : publisher->ring_bytes))
        return;
    reading->lag_bytes = bytes;
    reading->has_lag = WEIR_LAG_BYTES;
    if (messages > bytes / WEIR__RECORD_HEADER_BYTES || (!may_be_overrun && !reading->has_holds))
        return; /* some of them may be held */
    reading->lag_messages = messages;
    reading->has_lag |= WEIR_LAG_MESSAGES;
}

/* Of a ring no more than it has is held; and nothing, where nobody is waited for. */
static void bound_holds(const struct weir_channel_member *publisher, bool is_waited_for,
                        struct weir_channel_reading *reading)
{
    reading->has_holds &= is_waited_for && (reading->has_lag & WEIR_LAG_BYTES);
    if (!reading->has_holds)
        reading->held_messages = reading->held_bytes = 0;
    if (reading->held_bytes > publisher->ring_bytes)
        reading->held_bytes = publisher->ring_bytes;
}

/* Of what is held, what the lag does not reach over: there a pad stands where the record is. */
static uint64_t held_beside(const struct weir__member_seen *subscriber, size_t number,
                            uint64_t ring_bytes)
{
    const struct weir_channel_reading *reading = &subscriber->readings[number];
    uint64_t bytes = 0;
    if (!reading->has_holds || ring_bytes == 0)
        return 0;
    for (unsigned i = 0; i < subscriber->hold_count; i++) {
        const struct weir__hold_seen *hold = &subscriber->holds[i];
        uint64_t behind = (reading->released_bytes - hold->position) % ring_bytes;
        uint64_t ahead = (ring_bytes - behind) % ring_bytes; /* the same place, a lap on */
        if (hold->reading == number && ahead >= reading->lag_bytes)
            bytes += hold->bytes < ring_bytes ? hold->bytes : ring_bytes;
    }
    return bytes;
}

static void note_use(struct weir__member_seen *publisher,
                     const struct weir__member_seen *subscriber, size_t number)
{
    const struct weir_channel_reading *reading = &subscriber->readings[number];
    if (reading->lag_bytes > publisher->member.ring_bytes)
        return; /* who is further behind than the ring is long was evicted */
    if (reading->lag_bytes > publisher->member.used_bytes)
        publisher->member.used_bytes = reading->lag_bytes;
    uint64_t taken_bytes =
        reading->lag_bytes + held_beside(subscriber, number, publisher->member.ring_bytes);
    if (taken_bytes <= publisher->taken_bytes)
        return;
    publisher->taken_bytes = taken_bytes;
    publisher->member.slowest = subscriber->member.slot;
}

/* Its readings stand in the order of the publishers' slots. */
static bool reads_from(const struct weir_channel_member *subscriber,
                       const struct weir_channel_member *publisher)
{
    size_t low = 0, high = subscriber->reading_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (subscriber->readings[middle].publisher < publisher->slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low < subscriber->reading_count &&
           subscriber->readings[low].publisher == publisher->slot &&
           subscriber->readings[low].identity == publisher->identity;
}

/* Who waits for room gets none while somebody has claimed a slot, and has not attached its lane. */
static void find_unattached(const struct members *members, struct weir_channel_member *publisher)
{
    for (size_t i = 0; i < members->subscriber_count; i++) {
        const struct weir_channel_member *member = &members->subscribers[i].member;
        if (!member->is_lossy && member->state != WEIR_MEMBER_HIDDEN &&
            !reads_from(member, publisher)) {
            publisher->slowest = member->slot;
            return;
        }
    }
}

static void find_use(const struct members *members)
{
    for (size_t i = 0; i < members->subscriber_count; i++) {
        const struct weir__member_seen *subscriber = &members->subscribers[i];
        for (size_t k = 0; k < subscriber->member.reading_count; k++) {
            struct weir_channel_reading *reading = &subscriber->readings[k];
            struct weir__member_seen *publisher = find_publisher(members, reading);
            if (!publisher || reading->state == WEIR_READING_REFUSED) {
                reading->has_holds = 0; /* nobody says how large the ring is, or who waits */
                reading->held_messages = reading->held_bytes = 0;
                continue;
            }
            bool is_waited_for = !subscriber->member.is_lossy && !publisher->member.evicts;
            find_lag(&publisher->member, !is_waited_for, reading);
            bound_holds(&publisher->member, is_waited_for, reading);
            if (!subscriber->member.is_lossy)
                note_use(publisher, subscriber, k);
        }
    }
}

static void mark_slowest(const struct members *members)
{
    for (size_t i = 0; i < members->subscriber_count; i++) {
        const struct weir__member_seen *subscriber = &members->subscribers[i];
        for (size_t k = 0; k < subscriber->member.reading_count; k++) {
            const struct weir__member_seen *publisher =
                find_publisher(members, &subscriber->readings[k]);
            subscriber->readings[k].is_slowest =
                publisher && subscriber->readings[k].state != WEIR_READING_REFUSED &&
                publisher->member.slowest == subscriber->member.slot;
        }
    }
}

void weir__find_lags(struct weir__member_seen *seen, size_t count)
{
    struct members members = { .subscribers = seen };
    while (members.subscriber_count < count &&
           seen[members.subscriber_count].member.role == WEIR_MEMBER_SUBSCRIBER)
        members.subscriber_count++;
    members.publishers = seen + members.subscriber_count;
    members.publisher_count = count - members.subscriber_count;
    find_use(&members);
    for (size_t i = 0; i < members.publisher_count; i++)
        if (members.publishers[i].member.need == WEIR_NEED_ROOM ||
            members.publishers[i].member.need == WEIR_NEED_ATTACH)
            find_unattached(&members, &members.publishers[i].member);
    mark_slowest(&members);
}

const char *weir_activity_name(uint32_t activity)
{
    static const char *const names[] = {
        [0] = "unknown",
        [WEIR_ACTIVITY_AWAKE] = "awake",
        [WEIR_ACTIVITY_WAITING] = "waiting",
        [WEIR_ACTIVITY_ASLEEP] = "asleep",
        [WEIR_ACTIVITY_POLLING] = "polling",
    };
    return activity < sizeof names / sizeof *names ? names[activity] : "unknown";
}

const char *weir_need_name(uint32_t need)
{
    static const char *const names[] = {
        [WEIR_NEED_NOTHING] = "nothing",         [WEIR_NEED_ROOM] = "room",
        [WEIR_NEED_SUBSCRIBERS] = "subscribers", [WEIR_NEED_TAKEN] = "taken",
        [WEIR_NEED_MESSAGE] = "message",         [WEIR_NEED_PUBLISHER] = "publisher",
        [WEIR_NEED_ATTACH] = "attach",
    };
    return need < sizeof names / sizeof *names ? names[need] : "unknown";
}
