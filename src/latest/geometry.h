/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_GEOMETRY_H
#define WEIR_LATEST_GEOMETRY_H

/*
 * What both sides know of the memory: a private copy of its geometry, checked once against the
 * sizes that the caller gave.
 *
 * The geometry is one word in shared memory, so that one compare-and-swap sets it:
 *
 *   bits 63..20 value_bytes_max | 19..12 buffers | 11..4 holds | 3..0 flags
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/latest.h>

#include "latest/layout.h"

struct weir__latest {
    struct weir__latest_values_shm *values;
    struct weir__latest_readers_shm *readers; /* NULL: not mapped, or none */
    unsigned char *buffers;
    uint64_t stride_bytes;
    uint64_t head_bytes; /* from a head to its value */
    uint64_t max_bytes;
    uint64_t hot_max_bytes; /* of what the hot cell may say of itself */
    uint32_t buffer_count;
    uint32_t holds; /* 0 without the readers' part, too */
    uint32_t flags;
    uint64_t geometry; /* packed */
};

/* What does not depend on the geometry: size, flags, reserved words. -EINVAL. */
int weir__latest_check(const struct weir_latest_options *options);

/* -EINVAL: that flag is for open alone. */
int weir__latest_refuse_read_only(void);

/*
 * -EINVAL with both, where values stand there that have another geometry than is wanted;
 * -EPROTONOSUPPORT: of another layout; else 0.
 */
int weir__latest_compare(const struct weir_latest_memory *memory, uint64_t wanted);

/* The options' geometry, checked, with the default for buffers filled in. -EINVAL. */
int weir__latest_pack(const struct weir_latest_options *options, uint64_t *geometry);

/* How much memory a packed geometry needs, whatever it says. */
void weir__latest_sizes(uint64_t geometry, struct weir_latest_memory *memory);

/* Fills in latest from memory that was made ready, or says why not. */
int weir__latest_attach(struct weir__latest *latest, const struct weir_latest_memory *memory,
                        bool is_writer);

static inline struct weir__latest_head_shm *weir__latest_head(const struct weir__latest *latest,
                                                              uint64_t buffer)
{
    return (struct weir__latest_head_shm *)(void *)(latest->buffers +
                                                    buffer * latest->stride_bytes);
}

static inline unsigned char *weir__latest_payload(const struct weir__latest *latest,
                                                  struct weir__latest_head_shm *head)
{
    return (unsigned char *)head + latest->head_bytes;
}

#endif
