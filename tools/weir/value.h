/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_VALUE_H
#define WEIR_TOOL_VALUE_H

/* What 'weir set', 'get' and 'watch' share: latest values that have a name. */

#include <stdbool.h>
#include <stdint.h>

#include <weir/latest.h>

#include "object.h"

/* A reader, and room for the largest value. */
struct value_reader {
    struct object object;
    struct weir_latest_reader *reader;
    unsigned char *buffer;
    struct weir_latest_value value; /* the last one that was read */
};

/* any_owner: another user's, too. STATUS_OK, or the status of what it has told. To be given to value_close(). */
int value_open(struct value_reader *reader, const char *text, bool any_owner);
void value_close(struct value_reader *reader);

/* The latest one; 0, or -errno with the sentence in weir_last_error(). */
int value_read(struct value_reader *reader);

enum value_form { VALUE_RAW, VALUE_LINE, VALUE_JSON };

/*
 * To stdout. Raw: the bytes, and on a terminal an end of line if they have none. A line: always
 * one. JSON: an object of one line; text is null when the bytes are no UTF-8, hex has them all.
 * STATUS_OK, or the failure is told.
 */
int value_print(const struct value_reader *reader, enum value_form form);

/* value_json.c: false when this build does not write JSON, and then it is told. */
bool value_json_possible(void);
int value_print_json(const struct value_reader *reader);

/* The name of an object of this kind, as one word on the command line. */
bool value_object(struct object *object, const char *text);

#endif
