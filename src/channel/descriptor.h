/* SPDX-License-Identifier: MIT */
#ifndef WEIR_CHANNEL_DESCRIPTOR_H
#define WEIR_CHANNEL_DESCRIPTOR_H

/*
 * A descriptor for poll(2) and event loops: an eventfd, and a thread that waits in the
 * handle's place while it is armed.
 *
 *   state      | the descriptor | the thread
 *   -----------+----------------+----------------------------------------
 *   idle       | as it was      | sleeps; reads nothing of what it watched
 *   armed      | not readable   | waits until is_ready, as the handle would
 *   ready      | readable       | idle, until it is armed again
 *
 * The thread sees a copy of what it has to look at. disarm() returns only when the thread
 * is idle, so that what the copy points to may be detached then.
 */

#include <stdbool.h>
#include <stddef.h>

#include "channel/wait.h"

struct weir__descriptor;

struct weir__descriptor_watch {
    const struct weir__waiter *waiter;
    bool (*is_ready)(void *view); /* cheap, changes nothing that others see */
    void (*at_slice)(void *view); /* asks the kernel whether the other side lives */
    size_t view_bytes;
};

/* Idle, not readable. -EMFILE and the like, with a sentence. */
int weir__descriptor_open(struct weir__descriptor **descriptor,
                          const struct weir__descriptor_watch *watch);

/* Ends the thread; in a child of fork, where it does not exist, is_ours is false. */
void weir__descriptor_close(struct weir__descriptor *descriptor, bool is_ours);

int weir__descriptor_fd(const struct weir__descriptor *descriptor);

/* Readable if is_ready(view); else not, and armed for it. */
void weir__descriptor_arm(struct weir__descriptor *descriptor, void *view);

/* Idle when it returns; the descriptor stays as it is. */
void weir__descriptor_disarm(struct weir__descriptor *descriptor);

#endif
