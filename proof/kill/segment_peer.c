/* SPDX-License-Identifier: MIT */
/* What a peer does with a POSIX segment, or a memfd. */
#include "act.h"

#include <errno.h>
#include <unistd.h>

int segment_ends[2] = { -1, -1 };

static struct weir_segment *segment;

static struct weir_segment_options options_for(uint32_t flags, enum weir_lifetime lifetime)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.flags = flags;
    options.lifetime = lifetime;
    options.mode = SEGMENT_MODE;
    return options;
}

static struct weir_ref ref(void)
{
    return weir_by_posix(SEGMENT_NAME);
}

static int segment_create(const struct order *order)
{
    struct weir_segment_options options = options_for(WEIR_SEGMENT_PREFAULT, WEIR_PERSISTENT);
    peer_enter(order);
    int result = weir_segment_create(&segment, ref(), SEGMENT_BYTES, &options);
    peer_leave(order);
    return result;
}

static int segment_meet(const struct order *order)
{
    struct weir_segment_options options = options_for(0, WEIR_PERSISTENT);
    peer_enter(order);
    int result = weir_segment_create_or_open(&segment, ref(), SEGMENT_BYTES, &options);
    peer_leave(order);
    return result < 0 ? result : 0;
}

static int segment_open(const struct order *order)
{
    struct weir_segment_options options = options_for(WEIR_SEGMENT_PREFAULT, WEIR_PERSISTENT);
    peer_enter(order);
    int result = weir_segment_open(&segment, ref(), SEGMENT_BYTES, &options);
    peer_leave(order);
    return result;
}

static int segment_close(const struct order *order)
{
    peer_enter(order);
    weir_segment_close(segment);
    peer_leave(order);
    segment = NULL;
    return 0;
}

static int segment_remove(const struct order *order)
{
    peer_enter(order);
    int result = weir_segment_remove(ref());
    peer_leave(order);
    return result;
}

/* Of its two ends one process keeps one. */
static void close_end(unsigned end)
{
    if (segment_ends[end] >= 0)
        close(segment_ends[end]);
    segment_ends[end] = -1;
}

static int memfd_create_one(const struct order *order)
{
    struct weir_segment_options options =
        options_for(WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_PREFAULT, WEIR_EPHEMERAL);
    peer_enter(order);
    int result = weir_segment_create(&segment, weir_memfd(), SEGMENT_BYTES, &options);
    peer_leave(order);
    if (result == 0)
        *(unsigned *)weir_segment_data(segment) = order->count;
    return result;
}

static int memfd_send(const struct order *order)
{
    close_end(1);
    peer_enter(order);
    int result = weir_segment_send(segment_ends[0], segment);
    accounts->segment.is_sent |= order->is_marked && result == 0;
    peer_leave(order);
    return result;
}

/* Which it is, whole, as it was sent. */
static int memfd_receive(const struct order *order)
{
    struct weir_segment *received = NULL;
    struct weir_segment_options options = options_for(WEIR_SEGMENT_READ_ONLY, WEIR_EPHEMERAL);
    close_end(0);
    peer_enter(order);
    int result = weir_segment_receive(&received, segment_ends[1], SEGMENT_BYTES, &options);
    peer_leave(order);
    if (result != 0)
        return result;
    reply.count = *(const unsigned *)weir_segment_data(received);
    weir_segment_close(received);
    return 0;
}

act *const segment_acts[VERBS] = { SEGMENT_VERBS(VERB_ACT) };
