/* SPDX-License-Identifier: MIT */
/* How a publisher begins: its memory, and its place in the channel. */
#include "channel/publisher.h"

#include <errno.h>
#include <stdlib.h>

#include "base/copy.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/live.h"

/* Room for all that may come, so that nothing is allocated later. */
static int make_readers(struct weir_publisher *publisher)
{
    uint32_t listed = weir__side_others(&publisher->side)->count, most = 2 * listed;
    publisher->readers_max = most;
    publisher->readers = calloc(most, sizeof *publisher->readers);
    publisher->wakers = calloc(most, sizeof *publisher->wakers);
    publisher->known = calloc(listed, sizeof *publisher->known);
    publisher->walls = calloc((size_t)most * WEIR__HOLDS_ANNOUNCED + 1, sizeof *publisher->walls);
    publisher->refusal = calloc(1, weir__refusal_bytes(most));
    if (!publisher->readers || !publisher->wakers || !publisher->known || !publisher->walls ||
        !publisher->refusal)
        return weir__fail(ENOMEM, "no memory for %u subscribers", listed);
    publisher->changes = weir__side_others(&publisher->side)->changes;
    /* Relaxed: any other number would do as well; the first look reads all slots. */
    publisher->changes_seen = atomic_load_explicit(publisher->changes, memory_order_relaxed) - 1;
    weir__publisher_settle_wakers(publisher);
    return 0;
}

/* Whether messages of the channel's type fit, and the way that they take. */
static int take_type(struct weir_publisher *publisher)
{
    const struct weir__terms *terms = &publisher->side.directory.terms;
    uint64_t most = weir__record_max(publisher->side.options.ring_bytes);
    int result =
        weir__type_check(terms->type_name, terms->type_bytes, publisher->side.options.ring_bytes);
    if (result != 0)
        return result;
    publisher->most_bytes = most;
    publisher->type_bytes = terms->type_bytes;
    publisher->plain_end = terms->type_bytes == 0 ? most + 1 : 0;
    publisher->small_end = terms->type_bytes == 0 ? WEIR__COPY_SMALL_MAX + 1 : 0;
    return 0;
}

static int open_publisher(struct weir_publisher *publisher, const char *name,
                          const struct weir_channel_options *options, struct weir__rundir *dir)
{
    struct weir__side *side = &publisher->side;
    publisher->many_at = publisher->pad_from = WEIR__NOWHERE;
    int result = weir__side_join(side, name, WEIR__PUBLISHER, options, dir);
    if (result == 0)
        result = take_type(publisher);
    if (result == 0)
        result = make_readers(publisher);
    if (result == 0)
        result = weir__side_make(side, WEIR__LANE_MAGIC, dir);
    if (result != 0)
        return result;
    publisher->lane = weir_segment_data(side->memory);
    publisher->lane->trust = weir__peer_trust(side);
    publisher->lane->trust_uid = side->options.trust_uid;
    publisher->lane->user_namespace = weir__user_namespace();
    publisher->ring = (unsigned char *)publisher->lane + WEIR__LANE_RING_OFFSET;
    publisher->capacity = side->options.ring_bytes;
    /* Who is in the way of a record and its pad is half a ring behind, at least. */
    publisher->lag_bytes = side->options.lag_max_bytes < publisher->capacity / 2
                               ? side->options.lag_max_bytes
                               : publisher->capacity / 2;
    publisher->lane->evicts = publisher->lag_bytes != 0;
    weir__side_list(side);
    return 0;
}

int weir_publisher_open(struct weir_publisher **publisher, const char *name,
                        const struct weir_channel_options *options)
{
    struct weir__error_saved saved;
    struct weir_publisher *made = calloc(1, sizeof *made);
    if (made)
        made->live = weir__live_new();
    if (!made || !made->live) {
        free(made);
        return weir__fail(ENOMEM, "no memory for a publisher's handle");
    }
    struct weir__rundir dir;
    weir__rundir_init(&dir);
    weir__error_save(&saved);
    int result = open_publisher(made, name, options, &dir);
    weir__rundir_close(&dir);
    if (result == 0) {
        *publisher = made;
    } else {
        weir__error_save(&saved);
        weir__publisher_free(made);
    }
    weir__error_restore(&saved);
    return result;
}
