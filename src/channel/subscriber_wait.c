/* SPDX-License-Identifier: MIT */
/* Waiting in a call: for a message, or for a publisher. */
#include "channel/subscriber.h"

/* Of several lanes nothing that adds up. */
static uint64_t moved(const struct weir_subscriber *subscriber)
{
    return subscriber->lane_count == 1 ? subscriber->lanes[0]->head : subscriber->side.waiter.moved;
}

static int wait_a_while(struct weir_subscriber *subscriber, enum weir__waits_for waits_for,
                        int64_t deadline_ns)
{
    const struct weir__watch watch = { .waits_for = waits_for,
                                       .moved = moved(subscriber),
                                       .is_ready = weir__view_may_have_message,
                                       .ask = weir__view_ask,
                                       .argument = weir__subscriber_take_view(subscriber) };
    return weir__side_wait(&subscriber->side, &watch, deadline_ns);
}

int weir__subscriber_wait(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    bool is_idle = deadline_ns == 0; /* or it has waited: so who calls again and again has a pace */
    subscriber->side.looks = 0;
    if (subscriber->descriptor)
        weir__subscriber_pause_descriptor(subscriber); /* pads may be given back */
    for (;;) {
        int result = weir__subscriber_look_around(subscriber, header, deadline_ns);
        if (result != 0 || *header != 0)
            return result;
        result = weir__subscriber_look_for_ends(subscriber);
        if (result == 0 && subscriber->is_scarce && is_idle) {
            result = weir__subscriber_attach_new(subscriber, true);
            if (result == 0)
                continue; /* there was room by now */
        }
        if (result == 0)
            weir__subscriber_announce(subscriber);
        weir__away_end(&subscriber->away); /* all were empty */
        if (result == 0)
            result = wait_a_while(subscriber, WEIR__WAITS_FOR_MESSAGE, deadline_ns);
        if (result != 0)
            return result;
        is_idle = true;
    }
}

/* Looks until there is a lane. */
static int wait_for_lane(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    subscriber->side.looks = 0;
    for (;;) {
        int result = weir__subscriber_attach_new(subscriber, subscriber->lane_count == 0);
        if (result != 0 || subscriber->lane_count > 0)
            return result;
        result = wait_a_while(subscriber, WEIR__WAITS_FOR_PUBLISHER, deadline_ns);
        if (result != 0)
            return result;
    }
}

int weir_subscriber_wait_publisher(struct weir_subscriber *subscriber, int64_t deadline_ns)
{
    int result = weir__side_check(&subscriber->side);
    if (result == 0)
        result = wait_for_lane(subscriber, deadline_ns);
    if (subscriber->descriptor)
        weir__subscriber_update_descriptor(subscriber, result);
    return result;
}
