/* SPDX-License-Identifier: MIT */
/* Lanes that are empty: whether for good, as their publishers have ended or died, and how that is told. */
#include "channel/subscriber.h"

#include <errno.h>

#include <weir/clock.h>

#include "base/error.h"

/*
 * Whether the lane's publisher has left, or is dead. Its slot is a reason to ask, and no answer, as
 * others may have written over it: it leaves by its own word, and is dead by the kernel's, which is
 * asked once a slice.
 */
static bool is_gone(const struct weir__side *side, struct weir__lane *lane)
{
    struct weir__peer *peer = &lane->peer;
    if (weir__peer_is_there(side, peer)) {
        peer->is_adrift = false;
        return false;
    }
    /* Acquire [lane.end]: it may have ended, and then left, since that was looked at. Pairs with
     * weir_publisher_end(). */
    if (atomic_load_explicit(&lane->shm->ended, memory_order_acquire))
        return true;
    int64_t now_ns = weir_now_ns();
    if (peer->is_adrift && !weir__slice_is_over(lane->asked_ns, now_ns))
        return false;
    lane->asked_ns = now_ns;
    return !weir__peer_follow(side, peer);
}

/*
 * The lane is empty: is it for good? 0: not yet. The end, or the death, was seen first;
 * so a header that is still 0 after it stays 0. -ENODATA, -EPIPE: yes, and it was left; without
 * a sentence. -EUCLEAN.
 */
static int look_for_end(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t header;
    /* Acquire [lane.end]. Pairs with weir_publisher_end(). */
    bool has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    if (!has_ended && !is_gone(&subscriber->side, lane))
        return 0;
    /* It may have ended, and then left, between the two looks above. */
    has_ended = atomic_load_explicit(&lane->shm->ended, memory_order_acquire);
    int result = weir__lane_next(subscriber, lane, &header);
    if (result != 0 || header != 0)
        return result;
    if (lane->is_validated && !weir__lane_is_intact(lane, lane->head))
        return 0;                              /* overrun, and there is more */
    subscriber->untold_missed += lane->missed; /* no message of it follows that could say so */
    weir__lane_finish(subscriber, lane);
    return has_ended ? -ENODATA : -EPIPE;
}

int weir__subscriber_look_for_an_end(struct weir_subscriber *subscriber)
{
    if (subscriber->lane_count < 2)
        return 0;
    int result =
        look_for_end(subscriber, subscriber->lanes[subscriber->rounds % subscriber->lane_count]);
    return result == -EUCLEAN || result == -EOVERFLOW ? result : 0;
}

/*
 * The end of the last lane; not yet, while another publisher is shown: it may have been there
 * before. But in a channel for one publisher it is the next one.
 */
static int tell_end(struct weir_subscriber *subscriber)
{
    int end = subscriber->untold_end;
    bool is_for_one = weir__side_others(&subscriber->side)->count == 1;
    if (end == 0 || subscriber->lane_count > 0 ||
        (!is_for_one && weir__subscriber_is_shown_new(subscriber)))
        return 0;
    subscriber->missed_at_end = subscriber->untold_missed;
    subscriber->untold_end = 0;
    subscriber->untold_missed = 0;
    const char *how =
        end == -ENODATA ? "has ended" : "was killed, or ended without weir_publisher_close()";
    if (subscriber->missed_at_end == 0)
        return weir__fail(-end, "the last publisher %s", how);
    return weir__fail(-end, "the last publisher %s; %llu messages were overwritten before that",
                      how, (unsigned long long)subscriber->missed_at_end);
}

int weir__subscriber_look_for_ends(struct weir_subscriber *subscriber)
{
    for (uint32_t i = subscriber->lane_count; i > 0; i--) {
        int result = look_for_end(subscriber, subscriber->lanes[i - 1]);
        if (result == -EUCLEAN || result == -EOVERFLOW)
            return result;
        if (result != 0)
            subscriber->untold_end = result;
    }
    return tell_end(subscriber);
}

int weir__subscriber_without(struct weir_subscriber *subscriber, struct weir_message *message,
                             int result)
{
    if (message && (result == -ENODATA || result == -EPIPE))
        *message = (struct weir_message){ .missed = subscriber->missed_at_end };
    return weir__subscriber_told(subscriber, result);
}
