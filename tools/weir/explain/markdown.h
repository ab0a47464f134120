/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_MARKDOWN_H
#define WEIR_TOOL_MARKDOWN_H

/*
 * A small, strict subset of Markdown. Blocks, with an empty line between them:
 *
 *   # Heading      one to three signs
 *   text           a paragraph
 *   - text         an item; its other lines are indented by two spaces
 *   1. text        a numbered item; its other lines are indented by three
 *   | a | b |      a table: a line of titles, a line of dashes, rows
 *   ```c           code, up to a line of ```; what stands behind the marks is for others
 *
 * In the text: `code`, **bold**, *emphasis*; a backslash takes the meaning of
 * the sign that follows. Everything else is refused, so that no presentation
 * has to guess. Nothing is copied: all texts point into the source.
 */

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const char *at;
    size_t length;
};

bool slice_is(struct slice text, const char *string);
struct slice slice_trim(struct slice text);

/* Takes the first line, without its newline, off *rest; false at the end. */
bool slice_line(struct slice *rest, struct slice *line);

enum markdown_kind {
    MARKDOWN_HEADING,
    MARKDOWN_PARAGRAPH,
    MARKDOWN_ITEM,
    MARKDOWN_TABLE, /* text: its lines; see markdown_row() */
    MARKDOWN_CODE,  /* text: its lines */
};

struct markdown_block {
    enum markdown_kind kind;
    int level; /* heading: 1 to 3. Item: its number, 0 for a dash */
    int line;  /* in the source, from 1 */
    struct slice text;
};

struct markdown_reader {
    struct slice rest;
    int line;          /* of the first line of rest */
    const char *error; /* why reading stopped before the end, or NULL */
};

struct markdown_reader markdown_open(struct slice source, int line);

/* The next block; false at the end, or with reader->error set at reader->line. */
bool markdown_next(struct markdown_reader *reader, struct markdown_block *block);

#define MARKDOWN_COLUMNS_MAX 6

/*
 * Takes the first row off a table's text; fills cells and says how many. The
 * line of dashes is left out. 0 at the end.
 */
size_t markdown_row(struct slice *rest, struct slice cells[MARKDOWN_COLUMNS_MAX]);

enum markdown_style {
    MARKDOWN_PLAIN = 0,
    MARKDOWN_CODE_STYLE = 1 << 0,
    MARKDOWN_BOLD = 1 << 1,
    MARKDOWN_EMPHASIS = 1 << 2,
};

/* Walks over the signs of a text, its marks taken out and its line breaks made spaces. */
struct markdown_inline {
    struct slice rest;
    unsigned style; /* of the next sign; all closed when it is 0 at the end */
};

/* The next byte and its style; false at the end. */
bool markdown_byte(struct markdown_inline *walk, char *byte, unsigned *style);

#endif
