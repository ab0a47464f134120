/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_EVERYWHERE_H
#define WEIR_TESTS_EVERYWHERE_H

/*
 * One who is everywhere: a process that makes a channel of many slots, with one publisher and one
 * subscriber, and shows the lane of the one in all publishers' slots, the page of the other in all
 * subscribers'. The page says that it reads from all of them, and the lane that it waits for room.
 */

#include <stdint.h>

#include <weir/channel.h>

struct everywhere {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    uint32_t count; /* slots of each role */
};

/* The two join, and are as they should be. 0, or the result of the open that failed. */
int everywhere_open(struct everywhere *liar, const char *channel, uint32_t count);
void everywhere_lie(const struct everywhere *liar);
/* All is true again, and the two leave. */
void everywhere_close(const struct everywhere *liar);

#endif
