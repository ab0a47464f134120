/* SPDX-License-Identifier: MIT */
/* terminal - shows the subset of Markdown on a terminal, or as plain text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"
#include "line.h"
#include "render.h"

/* Lines of text longer than this are hard to follow; tables may be wider. */
#define TEXT_COLUMNS_MAX 96
#define INDENT 2
#define CODE_INDENT 4
#define TABLE_GAP 2
#define CELL_LEAST 12 /* a narrower cell is hard to read */

static void put(const char *bytes, size_t length)
{
    fwrite(bytes, 1, length, stdout);
}

static void pad(size_t columns)
{
    printf("%*s", (int)columns, "");
}

static void set_style(const struct terminal *terminal, unsigned style)
{
    if (!terminal->styles)
        return;
    fputs("\033[0", stdout);
    if (style & MARKDOWN_BOLD)
        fputs(";1", stdout);
    if (style & MARKDOWN_EMPHASIS)
        fputs(";4", stdout);
    if (style & MARKDOWN_CODE_STYLE)
        fputs(";36", stdout);
    putchar('m');
}

/* The bytes from..to, each in its own style and in those of all; plain at the end. */
static void put_styled(const struct terminal *terminal, const struct line_text *text, size_t from,
                       size_t to, unsigned all)
{
    unsigned shown = 0;
    for (size_t i = from; i < to; i++) {
        unsigned style = (text->styles[i] | all) & ~LINE_KEEP;
        if (style != shown)
            set_style(terminal, style);
        shown = style;
        putchar(text->bytes[i]);
    }
    if (shown)
        set_style(terminal, 0);
}

/*
 * A text whose first line begins after used columns that are written already;
 * its other lines are indented.
 */
static void put_wrapped(const struct terminal *terminal, struct slice source, size_t used,
                        size_t indent)
{
    size_t limit = terminal->width < TEXT_COLUMNS_MAX ? terminal->width : TEXT_COLUMNS_MAX;
    struct line_text text = line_text_make(source);
    for (size_t from = 0, next; from < text.length; from = next) {
        if (from)
            pad(used = indent);
        size_t to = line_break(&text, from, limit > used ? limit - used : 1, &next);
        put_styled(terminal, &text, from, to, 0);
        putchar('\n');
    }
    line_text_free(&text);
}

static void put_code(struct slice code)
{
    struct slice line;
    while (slice_line(&code, &line)) {
        if (line.length)
            pad(CODE_INDENT);
        put(line.at, line.length);
        putchar('\n');
    }
}

struct table {
    size_t columns, rows;
    struct line_text *cells;
    size_t wanted[MARKDOWN_COLUMNS_MAX], words[MARKDOWN_COLUMNS_MAX];
    size_t widths[MARKDOWN_COLUMNS_MAX];
};

static struct table read_table(struct slice source)
{
    struct table table = { 0 };
    struct slice cells[MARKDOWN_COLUMNS_MAX], rest = source;
    while ((table.columns = markdown_row(&rest, cells)) && rest.length)
        table.rows++;
    table.rows++;
    table.cells = text_memory(calloc(table.rows * table.columns, sizeof *table.cells));
    for (size_t row = 0; row < table.rows; row++) {
        markdown_row(&source, cells);
        for (size_t i = 0; i < table.columns; i++) {
            struct line_text *cell = &table.cells[row * table.columns + i];
            *cell = line_text_make(cells[i]);
            size_t columns = line_columns(cell, 0, cell->length);
            size_t word = line_longest_word(cell);
            table.wanted[i] = columns > table.wanted[i] ? columns : table.wanted[i];
            table.words[i] = word > table.words[i] ? word : table.words[i];
        }
    }
    return table;
}

static void free_table(struct table *table)
{
    for (size_t i = 0; i < table->rows * table->columns; i++)
        line_text_free(&table->cells[i]);
    free(table->cells);
}

/* One row, as many lines high as its highest cell. */
static void put_row(const struct terminal *terminal, const struct table *table, size_t row)
{
    const struct line_text *cells = &table->cells[row * table->columns];
    size_t at[MARKDOWN_COLUMNS_MAX] = { 0 };
    for (bool more = true; more;) {
        size_t owed = INDENT; /* blanks that only come when something follows */
        more = false;
        for (size_t i = 0; i < table->columns; i++) {
            size_t next = at[i], to = at[i];
            if (at[i] < cells[i].length)
                to = line_break(&cells[i], at[i], table->widths[i], &next);
            if (to > at[i]) {
                pad(owed);
                put_styled(terminal, &cells[i], at[i], to, row ? 0 : MARKDOWN_BOLD);
                owed = 0;
            }
            owed += table->widths[i] - line_columns(&cells[i], at[i], to) + TABLE_GAP;
            at[i] = next;
            more = more || next < cells[i].length;
        }
        putchar('\n');
    }
}

static void put_rule(const struct table *table)
{
    pad(INDENT);
    for (size_t i = 0; i < table->columns; i++) {
        for (size_t j = 0; j < table->widths[i]; j++)
            putchar('-');
        if (i + 1 < table->columns)
            pad(TABLE_GAP);
    }
    putchar('\n');
}

/* For narrow terminals: each row as a list, its first cell above the others. */
static void put_table_as_list(const struct terminal *terminal, struct slice source)
{
    struct slice titles[MARKDOWN_COLUMNS_MAX], cells[MARKDOWN_COLUMNS_MAX];
    size_t columns = markdown_row(&source, titles);
    while (markdown_row(&source, cells)) {
        pad(INDENT);
        put_wrapped(terminal, cells[0], INDENT, 2 * INDENT);
        for (size_t i = 1; i < columns; i++) {
            char *line = text_format("%.*s: %.*s", (int)titles[i].length, titles[i].at,
                                     (int)cells[i].length, cells[i].at);
            struct slice titled = { line, strlen(line) };
            pad(2 * INDENT);
            put_wrapped(terminal, columns > 2 ? titled : cells[i], 2 * INDENT, 3 * INDENT);
            free(line);
        }
    }
}

static void put_table(const struct terminal *terminal, struct slice source)
{
    struct table table = read_table(source);
    size_t used = INDENT + (table.columns - 1) * TABLE_GAP;
    bool narrow = false;
    size_t room = terminal->width > used ? terminal->width - used : 0;
    for (size_t i = 0; i < table.columns; i++) {
        size_t least = table.wanted[i] < CELL_LEAST ? table.wanted[i] : CELL_LEAST;
        table.words[i] = table.words[i] > least ? table.words[i] : least;
    }
    line_share(room, table.columns, table.wanted, table.words, table.widths);
    for (size_t i = 0; i < table.columns; i++)
        narrow = narrow || table.widths[i] < table.words[i];
    if (narrow) {
        put_table_as_list(terminal, source);
    } else {
        put_row(terminal, &table, 0);
        put_rule(&table);
        for (size_t row = 1; row < table.rows; row++)
            put_row(terminal, &table, row);
    }
    free_table(&table);
}

static void put_item(const struct terminal *terminal, const struct markdown_block *block)
{
    int used =
        block->level ? printf("%*s%d. ", INDENT, "", block->level) : printf("%*s- ", INDENT, "");
    put_wrapped(terminal, block->text, (size_t)used, (size_t)used);
}

void terminal_title(const struct terminal *terminal, struct slice title)
{
    set_style(terminal, MARKDOWN_BOLD);
    put(title.at, title.length);
    set_style(terminal, 0);
    putchar('\n');
}

void terminal_render(const struct terminal *terminal, struct slice source)
{
    struct markdown_reader reader = markdown_open(source, 1);
    struct markdown_block block;
    enum markdown_kind before = MARKDOWN_HEADING;
    for (bool first = true; markdown_next(&reader, &block); first = false) {
        if (!first && before != MARKDOWN_HEADING &&
            (before != MARKDOWN_ITEM || block.kind != MARKDOWN_ITEM))
            putchar('\n');
        before = block.kind;
        switch (block.kind) {
        case MARKDOWN_HEADING:
            terminal_title(terminal, block.text);
            break;
        case MARKDOWN_PARAGRAPH:
            pad(INDENT);
            put_wrapped(terminal, block.text, INDENT, INDENT);
            break;
        case MARKDOWN_ITEM:
            put_item(terminal, &block);
            break;
        case MARKDOWN_TABLE:
            put_table(terminal, block.text);
            break;
        case MARKDOWN_CODE:
            put_code(block.text);
            break;
        }
    }
}

void terminal_topic(const struct terminal *terminal, const struct textbook_topic *topic)
{
    set_style(terminal, MARKDOWN_BOLD);
    put(topic->name.at, topic->name.length);
    set_style(terminal, 0);
    fputs(" - ", stdout);
    put_wrapped(terminal, topic->summary, topic->name.length + 3, INDENT);
    if (topic->also.length) {
        fputs("  also: ", stdout);
        put_wrapped(terminal, topic->also, 8, 8);
    }
    putchar('\n');
    terminal_render(terminal, topic->body);
}
