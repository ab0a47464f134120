/* SPDX-License-Identifier: MIT */
#include "channel/refusal.h"

bool weir__reader_is_reading(const struct weir__reader *reader, uint64_t shown, bool has_ended)
{
    /* Acquire [lane.attached]: then its cursor is one of our lane. Pairs with attach_lane(). */
    if (atomic_load_explicit(&reader->entry->lane, memory_order_acquire) == shown)
        return true;
    /* Acquire [lane.finished]: likewise, once it has seen our end. Pairs with
     * weir__lane_finish(). */
    return has_ended &&
           atomic_load_explicit(&reader->entry->finished, memory_order_acquire) == shown;
}

bool weir__reader_refuses(const struct weir__reader *reader, uint64_t shown)
{
    /* Acquire [lane.refused]: all that it has read of our lane comes before. Pairs with
     * weir__subscriber_say_refused(), and with take_back_refusal() by the fence in
     * weir__publisher_look(). */
    return atomic_load_explicit(&reader->aside->refused, memory_order_acquire) == shown;
}

bool weir__reader_has_left(const struct weir__reader *reader)
{
    /* Acquire [page.left]: all that it has read comes before. Pairs with weir__side_leave(). */
    return atomic_load_explicit(&reader->page->left, memory_order_acquire) != 0;
}

/* What one of the readers means for the wait. */
enum state {
    ABSENT,   /* it has left, was put out, or does not read from us: nobody waits for it */
    BLOCKING, /* it is what we wait for */
    CONTENT,
    NEWS, /* the call should look */
};

static bool is_attach_awaited(const struct weir__refusal *refusal)
{
    return refusal->refused == WEIR__REFUSED_SUBSCRIBER ||
           refusal->refused == WEIR__REFUSED_ATTACHED;
}

static bool is_waited(const struct weir__refusal *refusal, const struct weir__reader *reader)
{
    return !reader->is_lossy || is_attach_awaited(refusal);
}

/* Of one that was met, by its page. */
static enum state state_of_page(const struct weir__refusal *refusal,
                                const struct weir__reader *reader)
{
    const struct weir__side *side = refusal->side;
    bool is_attach_enough = is_attach_awaited(refusal);
    if (!is_waited(refusal, reader))
        return ABSENT;
    if (!weir__reader_is_reading(reader, side->shown, refusal->has_ended))
        return weir__reader_refuses(reader, side->shown) ? ABSENT : BLOCKING;
    /* Relaxed: the call that follows acquires. */
    uint64_t cursor = atomic_load_explicit(&reader->entry->cursor, memory_order_relaxed);
    if (is_attach_enough)
        return CONTENT;
    if ((reader->is_attached && cursor < reader->cursor) || cursor > refusal->committed)
        return NEWS;
    /* Relaxed [hold.count]: likewise. Pairs with count_place(). */
    uint64_t holds = atomic_load_explicit(&reader->aside->holds, memory_order_relaxed);
    if (refusal->refused == WEIR__REFUSED_ROOM && reader->is_attached &&
        weir__holds_any(reader->holds) && holds != reader->holds)
        return NEWS;
    bool is_enough = refusal->refused == WEIR__REFUSED_ROOM
                         ? cursor + refusal->capacity >= refusal->wanted
                         : cursor >= refusal->last_end && !weir__holds_any(holds);
    return is_enough ? CONTENT : BLOCKING;
}

/* Whether what is wanted was worked out round what it holds: without it there may be room. */
static bool has_walls(const struct weir__refusal *refusal, const struct weir__reader *reader)
{
    return refusal->refused == WEIR__REFUSED_ROOM && weir__holds_any(reader->holds);
}

static enum state state_of(const struct weir__refusal *refusal, const struct weir__reader *reader)
{
    const struct weir__side *side = refusal->side;
    bool is_there = weir__peer_is_there(side, &reader->peer);
    if (reader->page) {
        bool is_in_the_way = has_walls(refusal, reader);
        if (!is_there && weir__reader_has_left(reader))
            return is_in_the_way ? NEWS : ABSENT;
        enum state state = state_of_page(refusal, reader);
        /* It may be dead; the look that follows asks. */
        if (!is_there && !reader->peer.is_adrift && (state == BLOCKING || is_in_the_way))
            return NEWS;
        return state;
    }
    if (!is_there)
        return ABSENT;
    if (reader->unmet_shown != 0)
        return weir__slot_page(weir__peer_slot(side, &reader->peer)) == reader->unmet_shown ? ABSENT
                                                                                            : NEWS;
    if (weir__peer_is_shown(side, &reader->peer) &&
        !weir__vain_waits(&reader->gone, reader->peer.owner,
                          weir__slot_page(weir__peer_slot(side, &reader->peer))))
        return NEWS;
    return is_waited(refusal, reader) ? BLOCKING : ABSENT;
}

/* The slots that still are those of readers, a bit for each. */
struct known {
    uint64_t bits[WEIR_CHANNEL_MEMBERS_MAX / 64];
};

static void find_known(const struct weir__refusal *refusal, struct known *known)
{
    const struct weir__slots *slots = weir__side_others(refusal->side);
    *known = (struct known){ { 0 } };
    for (uint32_t i = 0; i < refusal->reader_count; i++) {
        const struct weir__peer *peer = &refusal->readers[i].peer;
        if (weir__slot_owner(&slots->at[peer->number]) == peer->owner)
            known->bits[peer->number / 64] |= UINT64_C(1) << peer->number % 64;
    }
}

/* One who came since the readers were looked for: BLOCKING until it shows its page; ABSENT: none. */
static enum state newcomer(const struct weir__refusal *refusal)
{
    const struct weir__slots *slots = weir__side_others(refusal->side);
    enum state state = ABSENT;
    struct known known;
    if (weir__slots_changes(slots) == refusal->changes_seen)
        return ABSENT;
    find_known(refusal, &known);
    for (uint32_t i = 0; i < slots->count; i++) {
        uint64_t owner = weir__slot_owner(&slots->at[i]);
        if (owner == 0 || (known.bits[i / 64] >> i % 64 & 1))
            continue;
        if (weir__shown_id(weir__slot_page(&slots->at[i]), owner) >= 0)
            return NEWS;
        if (!weir__owner_is_lossy(owner))
            state = BLOCKING;
    }
    return state;
}

bool weir__refusal_is_over(void *argument)
{
    const struct weir__refusal *refusal = argument;
    uint32_t counts[NEWS + 1] = { 0 };
    if (refusal->refused == WEIR__REFUSED_NOTHING)
        return true;
    counts[newcomer(refusal)]++;
    for (uint32_t i = 0; i < refusal->reader_count; i++)
        counts[state_of(refusal, &refusal->readers[i])]++;
    if (counts[NEWS] > 0)
        return true;
    return refusal->refused == WEIR__REFUSED_SUBSCRIBER ? counts[CONTENT] >= refusal->subscribers
                                                        : counts[BLOCKING] == 0;
}

bool weir__refusal_ask(void *argument)
{
    const struct weir__refusal *refusal = argument;
    bool is_dead =
        weir__slots_reap(weir__side_others(refusal->side), weir__side_stats(refusal->side));
    for (uint32_t i = 0; i < refusal->reader_count; i++)
        is_dead |= weir__peer_has_died(refusal->side, &refusal->readers[i].peer);
    /* Who was put out of its place is to come to a look, and take it again. */
    return is_dead || !weir__side_has_place(refusal->side);
}
