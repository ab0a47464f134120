/* SPDX-License-Identifier: MIT */
/* What a publisher was refused, and whether it would be still: for wait sets, and its descriptor. */
#include "channel/publisher.h"

#include <errno.h>
#include <string.h>

struct weir__refusal *weir__publisher_take_stock(struct weir_publisher *publisher,
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

bool weir__publisher_is_ready(struct weir_publisher *publisher)
{
    return publisher->refused != WEIR__REFUSED_NOTHING &&
           weir__refusal_is_over(weir__publisher_take_stock(publisher, publisher->refused));
}

bool weir__publisher_ask(struct weir_publisher *publisher)
{
    return weir__refusal_ask(weir__publisher_take_stock(publisher, publisher->refused));
}

enum weir__waits_for weir__publisher_waits_for(const struct weir_publisher *publisher,
                                               enum weir__refused refused)
{
    static const enum weir__waits_for waits_for[] = {
        [WEIR__REFUSED_NOTHING] = WEIR__WAITS_FOR_NOTHING,
        [WEIR__REFUSED_ROOM] = WEIR__WAITS_FOR_ROOM,
        [WEIR__REFUSED_SUBSCRIBER] = WEIR__WAITS_FOR_SUBSCRIBER,
        [WEIR__REFUSED_TAKEN] = WEIR__WAITS_FOR_TAKEN,
        [WEIR__REFUSED_ATTACHED] = WEIR__WAITS_FOR_ATTACHED,
    };
    if (refused == WEIR__REFUSED_ROOM && weir__publisher_has_joiner(publisher))
        return WEIR__WAITS_FOR_ATTACHED; /* the ring may be empty */
    return waits_for[refused];
}

/* Who waits by a descriptor is seen to wait as well; what a call has waited for it has taken back. */
static void show_refused(const struct weir_publisher *publisher)
{
    if (!publisher->descriptor)
        return;
    uint32_t waits_for = weir__publisher_waits_for(publisher, publisher->refused);
    weir__state(&weir__side_stats(&publisher->side)->waits_for,
                waits_for ? waits_for | WEIR__WAITS_OUTSIDE : waits_for);
}

/* The descriptor, if there is one, as it should be after a call. */
static void update_descriptor(struct weir_publisher *publisher)
{
    show_refused(publisher);
    if (publisher->descriptor)
        weir__descriptor_arm(publisher->descriptor,
                             weir__publisher_take_stock(publisher, publisher->refused),
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
        weir__publisher_forget_room(publisher); /* the next send looks, too, and comes by here */
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
