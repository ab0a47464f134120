/* SPDX-License-Identifier: MIT */
/*
 * Room for a record, where the fast path finds none: a pad, a stride, a look, a wait; and what else is in the way of a
 * message. docs/lane.md, "Publishing", 1 and 2.
 */
#include "channel/publisher.h"

#include <errno.h>

#include "base/error.h"

/* From tail to the ring's end. */
static uint64_t to_end(const struct weir_publisher *publisher)
{
    return publisher->capacity - (publisher->tail & (publisher->capacity - 1));
}

void weir__publisher_set_stop(struct weir_publisher *publisher)
{
    uint64_t end = publisher->tail + to_end(publisher);
    uint64_t room = publisher->limit < publisher->reserved ? publisher->limit : publisher->reserved;
    uint64_t wall = weir__publisher_next_wall(publisher);
    if (wall < room)
        room = wall;
    publisher->lap = (uintptr_t)publisher->ring - (end - publisher->capacity);
    publisher->live->stop =
        room - WEIR__RECORD_HEADER_BYTES < end ? room - WEIR__RECORD_HEADER_BYTES : end;
    weir__publisher_settle_quick(publisher);
}

/* Room for one record at tail, contiguous, a pad in front of it if need be. */
static int make_room(struct weir_publisher *publisher, uint64_t bytes, int64_t deadline_ns)
{
    uint64_t place = weir__publisher_find_place(publisher, bytes);
    uint64_t wanted = place + bytes + WEIR__RECORD_HEADER_BYTES;
    if (wanted > publisher->limit ||
        (wanted > publisher->reserved && !weir__publisher_reserve(publisher, wanted, bytes))) {
        weir__publisher_commit_batch(publisher); /* a look must find nothing held back */
        int result = weir__publisher_wait_room(publisher, bytes, deadline_ns);
        if (result != 0)
            return result;
        place = publisher->wanted - bytes - WEIR__RECORD_HEADER_BYTES;
    }
    weir__publisher_end_usual(publisher);
    if (place != publisher->tail) {
        publisher->pad_from = publisher->tail;
        publisher->tail = place;
        publisher->is_special = true;
    }
    weir__publisher_set_stop(publisher);
    return 0;
}

int weir__publisher_refuse_size(const struct weir_publisher *publisher, uint64_t length)
{
    return weir__fail(EMSGSIZE, "a message of %llu bytes: this channel's type '%s' has %llu",
                      (unsigned long long)length, publisher->side.directory.terms.type_name,
                      (unsigned long long)publisher->type_bytes);
}

/* What is_ready() found in the way: put out of it, or the reason why not. */
int weir__publisher_make_ready(struct weir_publisher *publisher, uint64_t length,
                               int64_t deadline_ns)
{
    if (!weir__side_is_ours(&publisher->side))
        return weir__side_check(&publisher->side);
    if (publisher->has_ended)
        return weir__fail(EPIPE, "this publisher has said that it ends");
    if (weir__publisher_has_loan(publisher))
        return weir__fail(EINVAL, "a loan is out: commit or abandon it first");
    if (!weir__publisher_is_of_type(publisher, length))
        return weir__publisher_refuse_size(publisher, length);
    if (length > publisher->most_bytes)
        return weir__fail(EMSGSIZE, "a message of %llu bytes: this ring takes %llu at most",
                          (unsigned long long)length, (unsigned long long)publisher->most_bytes);
    return make_room(publisher, weir__record_bytes(length), deadline_ns);
}
