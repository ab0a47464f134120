/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_AHEAD_H
#define WEIR_CHANNEL_AHEAD_H

/*
 * Others' memory is brought in before it is read, so that no message waits for its pages; but no more of
 * it than its owner has paid for, beside a little that is brought in unasked.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/shm.h>

#include "segment/handle.h"

struct weir__ahead {
    int id;             /* of the segment */
    bool is_wanted;     /* else nothing is brought in */
    bool is_affordable; /* all of it, unasked */
    bool is_own;        /* this user made it */
};

/*
 * Before it is attached: found is what the kernel says of it, touched_bytes what was brought in unasked so
 * far, which it is added to; or NULL: it is not wanted.
 */
struct weir__ahead weir__ahead_of(int id, const struct shmid_ds *found, uint64_t *touched_bytes);

/* Once it is attached. 0, or an error of weir__pages_apply(). */
int weir__ahead_bring(const struct weir__ahead *ahead, struct weir_segment *memory);

#endif
