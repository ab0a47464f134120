/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_WRITER_H
#define WEIR_LATEST_WRITER_H

/*
 * The writer's handle.
 *
 * A buffer, as the writer sees it:
 *
 *   state     | seq        | moved on by
 *   ----------+------------+------------------------------------------------------------
 *   the latest| its index  | the next value: old
 *   old       | its index  | reserve: seq 0, fence, look at the holds: spare, or old again
 *   spare     | 0          | write: its value, its seq, index: the latest
 *
 * LW1: spares are spare[spare_at .. spare_count), in the order in which they are to be used; none is
 *     the latest; their seq is 0, and no hold that counts is on them.
 * LW2: latest and version are those of index: nobody else stores it while we live.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/identity.h>
#include <weir/segment.h>

#include "latest/geometry.h"

#define WEIR__LATEST_NONE UINT32_MAX

struct weir_latest_writer {
    struct weir__latest memory;
    uint64_t version; /* of the last value */
    uint32_t latest;  /* its buffer; WEIR__LATEST_NONE */
    uint32_t loan;    /* the buffer that is out; WEIR__LATEST_NONE */
    uint32_t spare_at, spare_count;
    bool must_fence;       /* who waits is not reached by, or cannot call, membarrier */
    bool must_wake;        /* with the next value, whatever the watch word says then */
    uint32_t cursor;       /* where to look for buffers to reserve: the oldest value, about */
    uint32_t stride_count; /* how many are reserved at once */
    uint64_t me;           /* identity and session, as in owner */
    uint64_t identity;
    const uint64_t *identity_now;
    struct weir_segment *segment; /* of weir_latest_create(), or NULL */
    uint8_t spare[WEIR_LATEST_BUFFERS_MAX];
};

/* Makes sure that there is a spare. Never waits. */
void weir__latest_reserve(struct weir_latest_writer *writer);

/* weir_latest_writer_open() for what weir_latest_create() has attached. */
int weir__latest_writer_open(struct weir_latest_writer **writer,
                             const struct weir_latest_memory *memory, struct weir_segment *segment);

#endif
