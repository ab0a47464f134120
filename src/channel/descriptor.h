/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_DESCRIPTOR_H
#define WEIR_CHANNEL_DESCRIPTOR_H

/*
 * A descriptor for poll(2) and event loops: an eventfd, and who makes it readable in the
 * handle's place while it is armed.
 *
 *   state      | the descriptor | a ring of io_uring      | the thread, with a ring | without
 *   -----------+----------------+-------------------------+-------------------------+--------
 *   idle       | as it was      | of no use               | sleeps, looks at nothing of what it
 *              |                |                         | watched
 *   armed      | not readable   | waits for the doorbell: | looks and asks once a   | waits as
 *              |                | a ring is readiness     | slice, and when the     | the handle
 *              |                |                         | peer's pidfd says so    | would
 *   ready      | readable       | of no use               | idle, until armed again
 *
 * With a ring, whoever rings makes the descriptor readable without a look: it rings for an
 * epoch that began after all that there was had been taken, so there is something again (but
 * for what docs/lane.md, Descriptors, says: then once for nothing, until the next arming).
 * That holds for messages. Not for room: the first release rings, and may be too little. There,
 * and where the kernel gives no ring, the thread looks, and one more sleeper has to be woken.
 *
 * The thread sees a copy of what it has to look at. disarm() returns only when the thread
 * does not look, so that what the copy points to may be detached then.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/wait.h"

struct weir__descriptor;

struct weir__descriptor_watch {
    const struct weir__waiter *waiter;
    bool (*is_ready)(void *view); /* cheap, changes nothing that others see */
    bool (*ask)(void *view); /* the kernel, whether the others live; there is news for a call */
    size_t view_bytes;       /* at most */
    /* Of a watch by io_uring alone: */
    bool is_ring_enough;                /* whoever rings for an epoch says by it that is_ready */
    uint64_t (*peer)(const void *view); /* whose death is_ready waits for; 0: nobody's */
    int (*open_pidfd)(void *view);      /* of that peer, or -1 */
};

/* Idle, not readable. -EMFILE and the like, with a sentence. */
int weir__descriptor_open(struct weir__descriptor **descriptor,
                          const struct weir__descriptor_watch *watch);

/* Ends the thread; in a child of fork, where it does not exist, is_ours is false. */
void weir__descriptor_close(struct weir__descriptor *descriptor, bool is_ours);

int weir__descriptor_fd(const struct weir__descriptor *descriptor);

/*
 * Readable if is_ready(view), which has bytes; else not, and armed for it. was_refused: a call was, and
 * its caller polls next: if what he waits for has come since, one that is readable becomes so once
 * more, for who is told of edges alone (EPOLLET).
 */
void weir__descriptor_arm(struct weir__descriptor *descriptor, void *view, size_t bytes,
                          bool was_refused);

/* Idle when it returns; the descriptor stays as it is. */
void weir__descriptor_disarm(struct weir__descriptor *descriptor);

#endif
