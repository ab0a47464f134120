/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_EXPLAIN_LINE_H
#define WEIR_TOOL_EXPLAIN_LINE_H

/* Text without its marks, a style for each byte, and how it is broken into lines. */

#include <stddef.h>

#include "markdown.h"

struct line_text {
    char *bytes;           /* UTF-8; one memory with styles */
    unsigned char *styles; /* enum markdown_style, and LINE_KEEP */
    size_t length;
};

/* A blank at which no line is broken: inside of short code such as `(void *)-1`. */
#define LINE_KEEP (1u << 7)

struct line_text line_text_make(struct slice source);
void line_text_free(struct line_text *text);

/* Columns of the bytes from..to: one for each UTF-8 character. */
size_t line_columns(const struct line_text *text, size_t from, size_t to);

/* Columns of the longest part that should not be broken. */
size_t line_longest_word(const struct line_text *text);

/*
 * The end of the line that begins at from and has width columns at most; *next
 * is where the following line begins. A word that is longer is cut between two
 * characters.
 */
size_t line_break(const struct line_text *text, size_t from, size_t width, size_t *next);

/*
 * Divides width among the columns of a table: widths[i] is at most wanted[i]
 * and at least 1. Narrow columns get what they want; the others share the rest
 * by how much they want.
 */
void line_share(size_t width, size_t count, const size_t *wanted, const size_t *words,
                size_t *widths);

#endif
