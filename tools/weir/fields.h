/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_FIELDS_H
#define WEIR_TOOL_FIELDS_H

/* The columns of 'weir list' and 'weir info': what is shown of an object. */

#include <weir/inspect.h>

#include "table.h"

extern const struct table_column object_columns[];
extern const size_t object_column_count;

/* Adds a row for the object. */
void object_row(struct table *table, const struct weir_object *object);

/* The command of a process, or NULL when it is gone. New memory. */
char *process_command(int pid);

/* By a signal or a debugger, as the kernel says. */
bool process_is_stopped(int pid);

/* A user's name, or the number. New memory. */
char *user_name(uint32_t uid);

#endif
