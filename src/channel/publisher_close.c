/* SPDX-License-Identifier: MIT */
/* How a publisher ends: it waits for those who have not attached its lane yet, then leaves. */
#include "channel/publisher.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/identity.h>

#include "base/error.h"
#include "base/live.h"

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
 * As weir__publisher_look(), but that it goes on past those who are no readers of ours, or of whom that
 * cannot be known: each is told of once, and there is nobody left to tell. A slice at most: who lies anew each time is not waited for.
 */
static bool look_past_strangers(struct weir_publisher *publisher, int64_t until_ns)
{
    int result;
    do
        result = weir__publisher_look(publisher);
    while ((result == -EPERM || result == -EACCES || result == -EPROTO || result == -EUCLEAN) &&
           weir_now_ns() < until_ns);
    return result == 0;
}

/*
 * Before the lane goes: waits, a slice at most, for those whom no credit held us up for, and who
 * have not attached it yet. What a batch holds back is dropped.
 */
static void hand_over(struct weir_publisher *publisher)
{
    int64_t began_ns = weir_now_ns(), until_ns;
    int result = 0;
    bool is_told = false;
    weir_publisher_abandon(publisher);
    drop_batch(publisher);
    publisher->need_bytes = 0;
    publisher->wanted = publisher->tail;
    publisher->side.looks = 0;
    publisher->is_closing = true;
    while (publisher->tail > 0 && (result == 0 || result == -EINTR)) {
        if (!look_past_strangers(publisher, began_ns + WEIR__SLICE_NS) ||
            (until_ns = unattached_until(publisher, began_ns)) == 0)
            return;
        if (!is_told) { /* the others need not wait for the end, nor we for the dead */
            weir__side_ring_all(&publisher->side);
            weir__refusal_ask(weir__publisher_take_stock(publisher, WEIR__REFUSED_ATTACHED));
        } else {
            result = weir__publisher_wait_for(publisher, WEIR__REFUSED_ATTACHED, until_ns);
            if (weir_now_ns() >= until_ns) /* whatever it says, and however many signals come */
                return;
        }
        is_told = true;
    }
}

void weir__publisher_free(struct weir_publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->reader_count; i++)
        weir__peer_part(&publisher->side, &publisher->readers[i].peer);
    weir__side_leave(&publisher->side);
    free(publisher->readers);
    free(publisher->wakers);
    free(publisher->known);
    free(publisher->walls);
    free(publisher->refusal);
    weir__live_free(publisher->live);
    free(publisher);
}

void weir_publisher_close(struct weir_publisher *publisher)
{
    if (!publisher)
        return;
    bool is_ours = weir__side_is_ours(&publisher->side);
    if (is_ours && !publisher->has_ended)
        /* Release [lane.end]. Pairs with look_for_end(). */
        atomic_store_explicit(&publisher->lane->ended, 1, memory_order_release);
    publisher->has_ended = true;
    /* CRASH lane.ended */
    if (is_ours) {
        struct weir__error_saved saved;
        weir__error_save(&saved);
        hand_over(publisher);
        weir__error_restore(&saved); /* why a call before this one failed is still to be read */
    }
    weir__descriptor_close(publisher->descriptor, is_ours);
    weir__publisher_free(publisher);
}
