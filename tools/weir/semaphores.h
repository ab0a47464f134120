/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SEMAPHORES_H
#define WEIR_TOOL_SEMAPHORES_H

/* The semaphores of a set, one by one. */

#include <weir/inspect.h>

#include "table.h"

extern const struct table_column semaphore_columns[];
extern const size_t semaphore_column_count;

/* Adds a row for each. False when this user may not read the set. */
bool semaphores_find(struct table *table, const struct weir_object *object);

#endif
