/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_BELLS_THREAD_H
#define WEIR_BASE_BELLS_THREAD_H

/* The thread that waits for bells where the kernel does not do it in our place. See bells.h. */

#include <stdbool.h>
#include <stdint.h>

#include "base/atomics.h"

/* A word, and what it is while nobody has rung. */
struct weir__bell {
    const weir__atomic_u32 *word;
    uint32_t value;
};

/* So many it sleeps on; of more it looks at each once a millisecond. */
#define WEIR__BELLS_THREAD_MOST 127

struct weir__bells_thread;

/* -EAGAIN, -ENOMEM. */
int weir__bells_thread_start(struct weir__bells_thread **thread, int eventfd);

/* Ends it; in a child of fork, where it does not exist, is_ours is false. */
void weir__bells_thread_end(struct weir__bells_thread *thread, bool is_ours);

/*
 * The eventfd is cleared, and becomes readable once one of count words is not its value. In place
 * of the former. -ENOMEM: there is no room for so many.
 */
int weir__bells_thread_wait(struct weir__bells_thread *thread, const struct weir__bell *bells,
                            uint32_t count);

/* This word is not looked at any more; for the others it waits on. */
void weir__bells_thread_drop(struct weir__bells_thread *thread, const weir__atomic_u32 *word);

#endif
