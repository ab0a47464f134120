/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INSPECT_CHANNEL_H
#define WEIR_INSPECT_CHANNEL_H

/* The parts of weir_inspect_channel(): what was gathered of each member, and what follows from it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/inspect.h>

#include "channel/layout.h"

/* A loop over words that change under us. */
#define WEIR__INSPECT_ATTEMPTS 100

struct weir__hold_seen {
    size_t reading; /* of which of its readings */
    uint64_t position, bytes;
};

struct weir__member_seen {
    struct weir_channel_member member;
    struct weir_channel_reading *readings; /* what the member's point to */
    uint64_t taken_bytes; /* publisher: of its ring, by the slowest: its lag, and what it holds */
    struct weir__hold_seen holds[WEIR__HOLDS_ANNOUNCED]; /* subscriber: behind its cursors */
    unsigned hold_count;
};

/* What a member counted, and what it does now. Nothing of it is believed. */
void weir__read_publisher_stats(const struct weir__publisher_stats_shm *stats,
                                struct weir_channel_member *member);

/* And what it gave back in all: entries of so many publishers, in the page of member's slot. */
void weir__read_subscriber_stats(const struct weir__page_shm *page, uint32_t publishers,
                                 struct weir_channel_member *member);

/*
 * What a subscriber has announced that it holds of the lane of this one of its readings, which is
 * shown by this word, and whose cursor was read before. attempts: looks more than one that are left
 * for all lanes of the page; what changes or lies for longer stays unknown.
 */
void weir__read_holds(const struct weir__page_shm *page, const struct weir__aside_shm *aside,
                      uint64_t shown, unsigned *attempts, struct weir__member_seen *seen,
                      size_t reading);

/*
 * The lag of each reading, the use of each ring, and who is the slowest of each publisher. The
 * subscribers stand before the publishers, all in the order of their slots.
 */
void weir__find_lags(struct weir__member_seen *seen, size_t count);

#endif
