/* SPDX-License-Identifier: MIT */
#include "channel/refusal.h"

/* Whether the page's cursor is one of our lane; see is_reading() in publisher_room.c. */
static bool is_reading(const struct weir__refusal *refusal)
{
    uint64_t me = refusal->side->me;
    /* Acquire [lane.attached]: the cursor below is one of our lane. Pairs with attach_lane(). */
    if (atomic_load_explicit(&refusal->page->lane, memory_order_acquire) == me)
        return true;
    /* Acquire [lane.finished]. Pairs with weir__subscriber_finish_lane(). */
    return refusal->has_ended &&
           atomic_load_explicit(&refusal->page->finished, memory_order_acquire) == me;
}

bool weir__refusal_is_over(void *argument)
{
    const struct weir__refusal *refusal = argument;
    const struct weir__side *side = refusal->side;
    if (refusal->refused == WEIR__REFUSED_NOTHING)
        return true;
    uint64_t owner = weir__side_other(side);
    bool is_peer =
        refusal->page && owner == refusal->peer && weir__side_page(side) == refusal->peer_page;
    if (!is_peer)
        return owner == 0 ? refusal->refused != WEIR__REFUSED_SUBSCRIBER
                          : weir__side_is_shown(side, owner);
    if (!is_reading(refusal))
        return false;
    if (refusal->refused == WEIR__REFUSED_SUBSCRIBER)
        return true;
    /* Relaxed: the call that follows acquires. */
    uint64_t cursor = atomic_load_explicit(&refusal->page->cursor, memory_order_relaxed);
    if (cursor < refusal->cursor || cursor > refusal->committed)
        return true;
    return refusal->refused == WEIR__REFUSED_ROOM ? cursor + refusal->capacity >= refusal->wanted
                                                  : cursor >= refusal->last_end;
}

void weir__refusal_ask(void *argument)
{
    const struct weir__refusal *refusal = argument;
    weir__side_reap(refusal->side, weir__side_other(refusal->side));
}
