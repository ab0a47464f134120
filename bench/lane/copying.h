/* SPDX-License-Identifier: MIT */
/*
 * For loops.h, of transports that only copy: included before it, behind lane_put() and lane_get().
 * In place there is nothing in them, and cells in place do not have them; a batch is its messages.
 */

static inline void *lane_loan(struct lane *lane, size_t size)
{
    (void)size;
    return lane->player->source;
}

static inline void lane_commit(struct lane *lane, size_t size)
{
    lane_put(lane, lane->player->source, size);
}

static inline const void *lane_take(struct lane *lane, size_t *size)
{
    *size = lane->player->work.size_bytes;
    lane_get(lane, lane->player->sink, *size);
    return lane->player->sink;
}

static inline void lane_release(struct lane *lane)
{
    (void)lane;
}

static inline void lane_begin(struct lane *lane)
{
    (void)lane;
}

static inline void lane_end(struct lane *lane)
{
    (void)lane;
}
