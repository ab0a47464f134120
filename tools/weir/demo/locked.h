/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_LOCKED_H
#define WEIR_TOOL_LOCKED_H

/* Memory and the lock for it, made by weir in one call: what several scenes end with. */

#include <stdint.h>

struct weir_segment;
struct weir_semset;

/* A private segment with one semaphore of value 1, removed at the end as all of a scene's; 0 or -errno. */
int locked_create(struct weir_segment **segment, uint64_t size_bytes);

/* Takes its unit with WEIR_SEM_UNDO, also when the process is stopped and goes on; 0 or -errno. */
int locked_take(struct weir_semset *lock);

#endif
