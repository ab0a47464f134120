/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_MAPS_H
#define WEIR_TOOL_MAPS_H

/* Who has an object mapped, as far as /proc/PID/maps shows it to this user. */

#include <weir/inspect.h>

#include "table.h"

extern const struct table_column maps_columns[];
extern const size_t maps_column_count;

/*
 * Adds a row for each mapping of the object. Returns how many processes could
 * not be looked at: another user's, without privilege.
 */
size_t maps_find(struct table *table, const struct weir_object *object);

#endif
