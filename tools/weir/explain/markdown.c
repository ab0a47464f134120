/* SPDX-License-Identifier: MIT */
/* markdown - cuts the subset of markdown.h into blocks, rows and signs. */
#include "markdown.h"

#include <string.h>

bool slice_is(struct slice text, const char *string)
{
    return text.length == strlen(string) && memcmp(text.at, string, text.length) == 0;
}

struct slice slice_trim(struct slice text)
{
    while (text.length && text.at[0] == ' ')
        text.at++, text.length--;
    while (text.length && (text.at[text.length - 1] == ' ' || text.at[text.length - 1] == '\n'))
        text.length--;
    return text;
}

bool slice_line(struct slice *rest, struct slice *line)
{
    if (!rest->length)
        return false;
    const char *end = memchr(rest->at, '\n', rest->length);
    line->at = rest->at;
    line->length = end ? (size_t)(end - rest->at) : rest->length;
    size_t taken = line->length + (end ? 1 : 0);
    rest->at += taken;
    rest->length -= taken;
    return true;
}

static bool starts(struct slice line, const char *with)
{
    size_t length = strlen(with);
    return line.length >= length && memcmp(line.at, with, length) == 0;
}

/* "12. " gives 12, with *indent the width of the mark; 0 when it is no number. */
static int item_number(struct slice line, size_t *indent)
{
    int number = 0;
    size_t i = 0;
    while (i < line.length && i < 3 && line.at[i] >= '0' && line.at[i] <= '9')
        number = number * 10 + (line.at[i++] - '0');
    if (!i || i + 1 >= line.length || line.at[i] != '.' || line.at[i + 1] != ' ')
        return 0;
    *indent = i + 2;
    return number;
}

static bool opens_block(struct slice line)
{
    size_t indent;
    return starts(line, "#") || starts(line, "|") || starts(line, "- ") || starts(line, "```") ||
           starts(line, ">") || item_number(line, &indent);
}

static bool fail(struct markdown_reader *reader, const char *why)
{
    reader->error = why;
    return false;
}

/* Whether the marks of a text are closed. */
static bool balanced(struct slice text)
{
    struct markdown_inline walk = { text, 0 };
    char byte;
    unsigned style;
    while (markdown_byte(&walk, &byte, &style))
        continue;
    return walk.style == 0;
}

static void take_line(struct markdown_reader *reader, struct slice *line)
{
    slice_line(&reader->rest, line);
    reader->line++;
}

static bool peek_line(const struct markdown_reader *reader, struct slice *line)
{
    struct slice rest = reader->rest;
    return slice_line(&rest, line);
}

struct markdown_reader markdown_open(struct slice source, int line)
{
    return (struct markdown_reader){ source, line, NULL };
}

static bool read_code(struct markdown_reader *reader, struct markdown_block *block)
{
    struct slice line;
    block->kind = MARKDOWN_CODE;
    block->text.at = reader->rest.at;
    while (peek_line(reader, &line)) {
        const char *end = line.at;
        take_line(reader, &line);
        if (slice_is(line, "```")) {
            block->text.length = (size_t)(end - block->text.at);
            return true;
        }
    }
    return fail(reader, "the code has no closing line");
}

static bool read_table(struct markdown_reader *reader, struct markdown_block *block)
{
    struct slice line;
    block->kind = MARKDOWN_TABLE;
    while (peek_line(reader, &line) && starts(line, "|"))
        take_line(reader, &line);
    block->text.length = (size_t)(reader->rest.at - block->text.at);

    struct slice rest = block->text, cells[MARKDOWN_COLUMNS_MAX];
    size_t columns = 0, rows = 0;
    slice_line(&rest, &line);
    if (!slice_line(&rest, &line) || !starts(line, "| ---"))
        return fail(reader, "the table has no line of dashes");
    rest = block->text;
    for (size_t count; (count = markdown_row(&rest, cells)); rows++) {
        if (rows && count != columns)
            return fail(reader, "a row of the table has another number of cells");
        columns = count;
        for (size_t i = 0; i < count; i++)
            if (!cells[i].length || !balanced(cells[i]))
                return fail(reader, "a cell of the table is empty or has an unclosed mark");
    }
    if (rest.length)
        return fail(reader, "a row of the table does not end with a bar");
    return rows >= 2 || fail(reader, "the table has no rows");
}

/* A paragraph or an item: lines up to an empty one, indented so much after the first. */
static bool read_lines(struct markdown_reader *reader, struct markdown_block *block, size_t indent)
{
    static const char spaces[] = "     ";
    struct slice line;
    take_line(reader, &line);
    const char *end = line.at + line.length;
    while (peek_line(reader, &line) && line.length) {
        size_t number;
        bool next_item = indent && (starts(line, "- ") || item_number(line, &number));
        if (next_item)
            break;
        if (opens_block(line))
            return fail(reader, "an empty line is missing");
        bool deep = line.length > indent && line.at[indent] == ' ';
        if (deep || memcmp(line.at, spaces, indent < line.length ? indent : line.length) != 0)
            return fail(reader, "the line is indented wrongly");
        take_line(reader, &line);
        end = line.at + line.length;
    }
    block->text.length = (size_t)(end - block->text.at);
    return balanced(block->text) || fail(reader, "a mark is not closed");
}

static bool read_block(struct markdown_reader *reader, struct markdown_block *block,
                       struct slice line)
{
    size_t indent = 2;
    if (starts(line, "```")) {
        take_line(reader, &line);
        return read_code(reader, block);
    }
    if (starts(line, "|"))
        return read_table(reader, block);
    if (starts(line, "#")) {
        take_line(reader, &line);
        block->kind = MARKDOWN_HEADING;
        while (line.length && line.at[0] == '#')
            block->level++, line.at++, line.length--;
        block->text = slice_trim(line);
        return (block->level <= 3 && block->text.length && starts(line, " ")) ||
               fail(reader, "this is no heading");
    }
    if (starts(line, ">") || starts(line, " ") || starts(line, "\t"))
        return fail(reader, "the line is outside of the subset");
    block->level = item_number(line, &indent);
    if (!block->level && !starts(line, "- ")) {
        block->kind = MARKDOWN_PARAGRAPH;
        return read_lines(reader, block, 0);
    }
    block->kind = MARKDOWN_ITEM;
    block->text.at += indent;
    return read_lines(reader, block, indent);
}

bool markdown_next(struct markdown_reader *reader, struct markdown_block *block)
{
    struct slice line;
    while (peek_line(reader, &line) && !line.length)
        take_line(reader, &line);
    if (!peek_line(reader, &line))
        return false;
    *block = (struct markdown_block){ .line = reader->line, .text = { line.at, 0 } };
    if (!read_block(reader, block, line))
        return false;
    bool more = peek_line(reader, &line) && line.length;
    if (more && block->kind != MARKDOWN_ITEM)
        return fail(reader, "an empty line is missing");
    return true;
}

static size_t split_row(struct slice line, struct slice cells[MARKDOWN_COLUMNS_MAX])
{
    size_t count = 0, from = 1;
    for (size_t i = 1; i < line.length; i++) {
        if (line.at[i] == '\\')
            i++;
        else if (line.at[i] == '|') {
            if (count == MARKDOWN_COLUMNS_MAX)
                return 0;
            cells[count++] = slice_trim((struct slice){ line.at + from, i - from });
            from = i + 1;
        }
    }
    return from == line.length ? count : 0;
}

size_t markdown_row(struct slice *rest, struct slice cells[MARKDOWN_COLUMNS_MAX])
{
    struct slice line, before = *rest;
    while (slice_line(rest, &line)) {
        if (starts(line, "| ---"))
            continue;
        size_t count = split_row(line, cells);
        if (!count)
            *rest = before;
        return count;
    }
    return 0;
}

/* A mark at the beginning of the rest: toggles its style and is left out. */
static bool take_mark(struct markdown_inline *walk)
{
    const char *at = walk->rest.at;
    size_t left = walk->rest.length, taken = 1;
    bool in_code = walk->style & MARKDOWN_CODE_STYLE;
    if (at[0] == '`') {
        walk->style ^= MARKDOWN_CODE_STYLE;
    } else if (in_code || at[0] != '*') {
        return false;
    } else if (left > 1 && at[1] == '*') {
        walk->style ^= MARKDOWN_BOLD;
        taken = 2;
    } else {
        walk->style ^= MARKDOWN_EMPHASIS;
    }
    walk->rest.at += taken;
    walk->rest.length -= taken;
    return true;
}

bool markdown_byte(struct markdown_inline *walk, char *byte, unsigned *style)
{
    while (walk->rest.length && take_mark(walk))
        continue;
    if (!walk->rest.length)
        return false;
    bool escaped = walk->rest.at[0] == '\\' && walk->rest.length > 1 &&
                   !(walk->style & MARKDOWN_CODE_STYLE && walk->rest.at[1] != '|');
    size_t taken = escaped ? 2 : 1;
    *byte = walk->rest.at[taken - 1];
    *style = walk->style;
    if (*byte == '\n') {
        *byte = ' ';
        while (taken < walk->rest.length && walk->rest.at[taken] == ' ')
            taken++;
    }
    walk->rest.at += taken;
    walk->rest.length -= taken;
    return true;
}
