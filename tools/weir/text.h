/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TEXT_H
#define WEIR_TOOL_TEXT_H

/* Text that is safe to show: what others chose must not move the reader's cursor. */

#include <stdbool.h>
#include <stddef.h>

/* Memory that must be there: without it the command ends with status 1. */
void *text_memory(void *memory);

/* printf into new memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * A copy in which control characters, marks that turn a line's direction, backslashes and bytes
 * that are no UTF-8 stand as \xHH; with blanks true, blanks too.
 */
char *text_escape(const char *text, bool blanks);

/* A copy in which only bytes that are no UTF-8 stand as \xHH: for JSON. */
char *text_utf8(const char *text);

/* Bytes as pairs of hexadecimal digits. New memory. */
char *text_hex(const unsigned char *bytes, size_t count);

/* How many places it takes on a terminal: some characters take two, or none. */
size_t text_width(const char *text);

/* The bytes of as much of it as takes so many places at most; *places, if not NULL: how many. */
size_t text_beginning(const char *text, size_t most, size_t *places);

#endif
