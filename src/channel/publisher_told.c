/* SPDX-License-Identifier: MIT */
/* Why a publisher was refused, in words: what its last look has found. */
#include "channel/publisher.h"

#include <errno.h>

#include "base/error.h"

bool weir__publisher_has_joiner(const struct weir_publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->reader_count; i++) {
        const struct weir__reader *reader = &publisher->readers[i];
        if (!reader->is_lossy && !reader->is_out && !reader->is_attached)
            return true;
    }
    return false;
}

/* Whether there would be room if nobody held anything: so what is held lies in the way. */
static bool is_room_in_pieces(const struct weir_publisher *publisher)
{
    uint64_t bytes = publisher->need_bytes, capacity = publisher->capacity;
    uint64_t to_end = capacity - (publisher->tail & (capacity - 1));
    uint64_t pad = bytes > to_end ? to_end : 0;
    return publisher->wall_count > 0 &&
           publisher->tail + pad + bytes + WEIR__RECORD_HEADER_BYTES <= publisher->limit;
}

void weir__publisher_tell(const struct weir_publisher *publisher, enum weir__refused refused,
                          int result)
{
    const char *why = NULL;
    bool is_told = result == -EAGAIN || result == -ETIMEDOUT;
    if (refused == WEIR__REFUSED_SUBSCRIBER && is_told)
        weir__fail(-result, "%u of %u subscribers have attached this publisher's ring",
                   publisher->attached_count, publisher->wanted_subscribers);
    if (refused == WEIR__REFUSED_SUBSCRIBER)
        return;
    if (refused == WEIR__REFUSED_TAKEN)
        why = "a subscriber has not released every message yet: 'weir info' shows who";
    else if (refused != WEIR__REFUSED_ROOM)
        return;
    else if (weir__publisher_has_joiner(publisher))
        why = "a subscriber has not attached this publisher's ring yet: one that waits does so at "
              "once, any other by its next call or the one behind it";
    else if (is_room_in_pieces(publisher))
        why =
            "no room in one piece: messages that subscribers hold lie scattered over the ring, and "
            "one must be released; hold fewer, send shorter ones, or give a larger ring";
    else
        why = "the ring is full: the slowest subscriber has not released enough; 'weir info' shows "
              "who";
    if (is_told)
        weir__fail_plain(-result, why);
}
