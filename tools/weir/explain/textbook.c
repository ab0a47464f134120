/* SPDX-License-Identifier: MIT */
/* textbook - finds the topics and parts of docs/textbook.md and checks that none is missing. */
#include "textbook.h"

#include <stdio.h>
#include <string.h>

#include "../distance.h"

const char *const textbook_part_titles[PART_COUNT] = {
    "Prototype", "Purpose",  "Arguments", "Flags",     "Result",
    "Errors",    "Pitfalls", "Example",   "With weir",
};

struct check {
    const char *begin; /* of the source, to count lines */
    char *why;
    size_t why_bytes;
};

static bool fail_at(const struct check *check, const char *at, struct slice topic, const char *what,
                    const char *part)
{
    int line = 1;
    for (const char *c = check->begin; c < at; c++)
        line += *c == '\n';
    snprintf(check->why, check->why_bytes, "line %d: %.*s: %s%s%s", line, (int)topic.length,
             topic.at, part ? part : "", part ? ": " : "", what);
    return false;
}

/* What a part is made of. */
struct contents {
    size_t paragraphs, items, bold_items, tables, codes;
    size_t columns;            /* of the last table */
    size_t longest;            /* line of the codes */
    struct slice code, output; /* the first code, and the last one */
};

static size_t code_lines(struct slice code, size_t *longest)
{
    struct slice line;
    size_t lines = 0;
    for (; slice_line(&code, &line); lines++)
        if (line.length > *longest)
            *longest = line.length;
    return lines;
}

static bool count_contents(struct slice part, struct contents *contents, const char **error)
{
    struct markdown_reader reader = markdown_open(part, 1);
    struct markdown_block block;
    *contents = (struct contents){ 0 };
    while (markdown_next(&reader, &block)) {
        struct slice cells[MARKDOWN_COLUMNS_MAX], rest = block.text;
        switch (block.kind) {
        case MARKDOWN_HEADING:
            reader.error = "a heading that does not belong here";
            break;
        case MARKDOWN_PARAGRAPH:
            contents->paragraphs++;
            break;
        case MARKDOWN_ITEM:
            contents->items++;
            contents->bold_items += rest.length > 2 && memcmp(rest.at, "**", 2) == 0;
            break;
        case MARKDOWN_TABLE:
            contents->tables++;
            contents->columns = markdown_row(&rest, cells);
            break;
        case MARKDOWN_CODE:
            if (!contents->codes++)
                contents->code = block.text;
            contents->output = block.text;
            code_lines(block.text, &contents->longest);
            break;
        }
        if (reader.error)
            break;
    }
    *error = reader.error;
    return !reader.error;
}

/* A program, and how it is run. */
static const char *example_fault(const struct contents *has)
{
    static const char prompt[] = "$ ";
    size_t longest = 0, lines = code_lines(has->code, &longest);
    if (!lines)
        return "needs one program";
    if (lines > TEXTBOOK_EXAMPLE_LINES)
        return "the program is too long";
    bool runs = has->codes == 2 && has->output.length > sizeof prompt &&
                memcmp(has->output.at, prompt, sizeof prompt - 1) == 0;
    return runs ? NULL : "needs one program, how it is run and what it prints";
}

/* What is wrong with a part; NULL when nothing is. */
static const char *part_fault(enum textbook_part part, const struct contents *has)
{
    if (has->longest > TEXTBOOK_CODE_COLUMNS)
        return "a line of the code is too long";
    switch (part) {
    case PART_PROTOTYPE:
        return has->codes == 1 ? NULL : "needs one piece of code";
    case PART_PURPOSE:
    case PART_RESULT:
        return has->paragraphs ? NULL : "needs a paragraph";
    case PART_ARGUMENTS:
        return has->tables == 1 && has->columns == 2 ? NULL : "needs a table of two columns";
    case PART_FLAGS:
        return has->tables || has->paragraphs ? NULL : "needs a table, or 'None.'";
    case PART_ERRORS:
        return has->tables == 1 && has->columns == 3 ? NULL : "needs a table of three columns";
    case PART_PITFALLS:
        if (has->items < 3)
            return "needs three items at least";
        return has->items == has->bold_items ? NULL : "each item has to begin in bold";
    case PART_EXAMPLE:
        return example_fault(has);
    case PART_WEIR:
        return has->codes && has->paragraphs ? NULL : "needs a paragraph and code";
    case PART_COUNT:
        break;
    }
    return "is unknown";
}

/* Cuts the topic's body at its headings; each part has to stand in its place. */
static bool read_parts(struct textbook_topic *topic, const struct check *check)
{
    struct markdown_reader reader = markdown_open(topic->body, 1);
    struct markdown_block block;
    size_t count = 0;
    const char *next = topic->body.at;
    while (markdown_next(&reader, &block)) {
        if (block.kind != MARKDOWN_HEADING) {
            if (!count)
                return fail_at(check, block.text.at, topic->name, "text before the parts", NULL);
            continue;
        }
        bool in_place = count < PART_COUNT && slice_is(block.text, textbook_part_titles[count]);
        if (!in_place)
            return fail_at(check, block.text.at, topic->name,
                           count < PART_COUNT ? "is missing here" : "a part too many",
                           count < PART_COUNT ? textbook_part_titles[count] : NULL);
        next = block.text.at + block.text.length;
        if (count) {
            const char *end = block.text.at - block.level - 1;
            topic->parts[count - 1].length = (size_t)(end - topic->parts[count - 1].at);
        }
        topic->parts[count++].at = next;
    }
    if (reader.error)
        return fail_at(check, reader.rest.at, topic->name, reader.error, NULL);
    if (count < PART_COUNT)
        return fail_at(check, topic->body.at + topic->body.length, topic->name, "is missing",
                       textbook_part_titles[count]);
    topic->parts[count - 1].length =
        (size_t)(topic->body.at + topic->body.length - topic->parts[count - 1].at);
    return true;
}

static bool check_parts(const struct textbook_topic *topic, const struct check *check)
{
    for (int part = 0; part < PART_COUNT; part++) {
        struct contents contents;
        const char *fault;
        if (count_contents(topic->parts[part], &contents, &fault))
            fault = part_fault((enum textbook_part)part, &contents);
        if (fault)
            return fail_at(check, topic->parts[part].at, topic->name, fault,
                           textbook_part_titles[part]);
    }
    return true;
}

/* A topic begins with one sentence, and may go on with "Also: a, b." */
static bool read_topic(struct textbook_topic *topic, struct slice title, struct slice body,
                       const struct check *check)
{
    static const char also[] = "Also: ";
    struct markdown_reader reader = markdown_open(body, 1);
    struct markdown_block block;
    *topic = (struct textbook_topic){ .name = title };
    if (!markdown_next(&reader, &block) || block.kind != MARKDOWN_PARAGRAPH ||
        memchr(block.text.at, '\n', block.text.length))
        return fail_at(check, body.at, title, "needs a summary of one line", NULL);
    topic->summary = block.text;
    struct markdown_reader after = reader;
    if (markdown_next(&after, &block) && block.kind == MARKDOWN_PARAGRAPH) {
        if (block.text.length < sizeof also || memcmp(block.text.at, also, sizeof also - 1) != 0 ||
            block.text.at[block.text.length - 1] != '.')
            return fail_at(check, block.text.at, title, "expected 'Also: a, b.'", NULL);
        topic->also =
            (struct slice){ block.text.at + sizeof also - 1, block.text.length - sizeof also };
        reader = after;
    }
    topic->body = reader.rest;
    return read_parts(topic, check) && check_parts(topic, check);
}

static bool is_topic(struct slice title)
{
    for (size_t i = 0; i < title.length; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz_", title.at[i]))
            return false;
    return true;
}

static bool add_section(struct textbook *book, struct slice title, struct slice body,
                        const struct check *check)
{
    if (is_topic(title)) {
        if (book->topic_count == TEXTBOOK_TOPICS_MAX)
            return fail_at(check, title.at, title, "a topic too many", NULL);
        return read_topic(&book->topics[book->topic_count++], title, body, check);
    }
    const char *error;
    struct contents contents;
    if (book->chapter_count == TEXTBOOK_CHAPTERS_MAX)
        return fail_at(check, title.at, title, "a chapter too many", NULL);
    if (!count_contents(body, &contents, &error))
        return fail_at(check, body.at, title, error, NULL);
    book->chapters[book->chapter_count++] = (struct textbook_chapter){ title, body };
    return true;
}

bool textbook_read(struct textbook *book, struct slice source, char *why, size_t why_bytes)
{
    const struct check check = { source.at, why, why_bytes };
    struct markdown_reader reader = markdown_open(source, 1);
    struct markdown_block block;
    struct slice title = { source.at, 0 };
    *book = (struct textbook){ 0 };
    bool first = true;
    while (markdown_next(&reader, &block)) {
        if (block.kind != MARKDOWN_HEADING || block.level == 3)
            continue;
        if (first != (block.level == 1))
            return fail_at(&check, block.text.at, block.text, "needs another level", NULL);
        const char *body = title.at + title.length;
        struct slice before = { body, (size_t)(block.text.at - block.level - 1 - body) };
        if (!first && !book->introduction.at)
            book->introduction = before;
        else if (!first && !add_section(book, title, before, &check))
            return false;
        title = block.text;
        first = false;
    }
    if (reader.error)
        return fail_at(&check, reader.rest.at, title, reader.error, NULL);
    const char *body = title.at + title.length;
    struct slice last = { body, (size_t)(source.at + source.length - body) };
    if (first || !book->introduction.at)
        return fail_at(&check, source.at, title, "has no sections", NULL);
    return add_section(book, title, last, &check);
}

/* Takes the next name off "a, b, c"; false at the end. */
static bool next_name(struct slice *list, struct slice *name)
{
    if (!list->length)
        return false;
    const char *comma = memchr(list->at, ',', list->length);
    size_t length = comma ? (size_t)(comma - list->at) : list->length;
    size_t taken = comma ? length + 1 : length;
    *name = slice_trim((struct slice){ list->at, length });
    list->at += taken;
    list->length -= taken;
    return true;
}

const struct textbook_topic *textbook_find(const struct textbook *book, const char *name)
{
    for (size_t i = 0; i < book->topic_count; i++) {
        const struct textbook_topic *topic = &book->topics[i];
        struct slice also = topic->also, other;
        if (slice_is(topic->name, name))
            return topic;
        while (next_name(&also, &other))
            if (slice_is(other, name))
                return topic;
    }
    return NULL;
}

bool textbook_nearest(const struct textbook *book, const char *name, struct slice *nearest)
{
    unsigned best = 4; /* four changes make any name of any other */
    for (size_t i = 0; i < book->topic_count; i++) {
        struct slice list = book->topics[i].also, other = book->topics[i].name;
        do {
            unsigned now = distance(other.at, other.length, name);
            if (now < best && now < other.length) {
                best = now;
                *nearest = other;
            }
        } while (next_name(&list, &other));
    }
    return best < 4;
}

struct slice textbook_example(const struct textbook_topic *topic)
{
    struct contents contents;
    const char *error;
    count_contents(topic->parts[PART_EXAMPLE], &contents, &error);
    return contents.code;
}
