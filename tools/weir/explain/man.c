/* SPDX-License-Identifier: MIT */
/* man - writes the textbook as manual pages: man(7) with tbl(1). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <weir/version.h>

#include "line.h"
#include "render.h"

/* Lines of the source, and what a table may take of a terminal of 80 columns. */
#define SOURCE_COLUMNS 60
#define TABLE_COLUMNS 68
#define TABLE_GAP 3

static const char *const titles[PART_COUNT] = {
    "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "FLAGS",     "RETURN VALUE",
    "ERRORS",   "PITFALLS",    "EXAMPLES",  "WITH WEIR",
};

/* One byte as roff shows it unchanged. */
static void put_byte(char byte)
{
    switch (byte) {
    case '\\':
        fputs("\\e", stdout);
        break;
    case '-':
        fputs("\\-", stdout);
        break;
    case '\'':
        fputs("\\(aq", stdout);
        break;
    case '^':
        fputs("\\(ha", stdout);
        break;
    case '~':
        fputs("\\(ti", stdout);
        break;
    case '`':
        fputs("\\(ga", stdout);
        break;
    default:
        putchar(byte);
    }
}

static void put_plain(struct slice text)
{
    for (size_t i = 0; i < text.length; i++)
        put_byte(text.at[i]);
}

static const char *font(unsigned style)
{
    if (style & (MARKDOWN_CODE_STYLE | MARKDOWN_BOLD))
        return "\\fB";
    return style & MARKDOWN_EMPHASIS ? "\\fI" : "\\fR";
}

/* Names are never hyphenated: the reader may copy them. */
static bool is_name(const struct line_text *text, size_t from, size_t to)
{
    for (size_t i = from; i < to && text->bytes[i] != ' '; i++)
        if (text->styles[i] & MARKDOWN_CODE_STYLE || text->bytes[i] == '_')
            return true;
    return false;
}

static void put_line(const struct line_text *text, size_t from, size_t to)
{
    const char *shown = font(0);
    if (text->bytes[from] == '.') /* would be taken for a request */
        fputs("\\&", stdout);
    for (size_t i = from; i < to; i++) {
        const char *wanted = font(text->styles[i]);
        if (strcmp(wanted, shown) != 0)
            fputs(wanted, stdout);
        shown = wanted;
        bool begins = i == from || text->bytes[i - 1] == ' ';
        if (begins && is_name(text, i, to))
            fputs("\\%", stdout);
        put_byte(text->bytes[i]);
    }
    if (strcmp(shown, font(0)) != 0)
        fputs(font(0), stdout);
    putchar('\n');
}

static void put_text(struct slice source)
{
    struct line_text text = line_text_make(source);
    for (size_t from = 0, next; from < text.length; from = next)
        put_line(&text, from, line_break(&text, from, SOURCE_COLUMNS, &next));
    line_text_free(&text);
}

static void put_code(struct slice code)
{
    struct slice line;
    fputs(".in +4n\n.EX\n", stdout);
    while (slice_line(&code, &line)) {
        if (line.length && line.at[0] == '.')
            fputs("\\&", stdout);
        put_plain(line);
        putchar('\n');
    }
    fputs(".EE\n.in\n", stdout);
}

/* The widths that the columns of a table get. */
static size_t measure(struct slice source, size_t widths[MARKDOWN_COLUMNS_MAX])
{
    size_t wanted[MARKDOWN_COLUMNS_MAX] = { 0 }, words[MARKDOWN_COLUMNS_MAX] = { 0 };
    size_t columns = 0;
    struct slice cells[MARKDOWN_COLUMNS_MAX];
    for (size_t count; (count = markdown_row(&source, cells)); columns = count)
        for (size_t i = 0; i < count; i++) {
            struct line_text cell = line_text_make(cells[i]);
            size_t length = line_columns(&cell, 0, cell.length), word = line_longest_word(&cell);
            wanted[i] = length > wanted[i] ? length : wanted[i];
            words[i] = word > words[i] ? word : words[i];
            line_text_free(&cell);
        }
    line_share(TABLE_COLUMNS - (columns - 1) * TABLE_GAP, columns, wanted, words, widths);
    return columns;
}

static void put_table(struct slice source)
{
    size_t widths[MARKDOWN_COLUMNS_MAX], columns = measure(source, widths);
    struct slice cells[MARKDOWN_COLUMNS_MAX];
    fputs(".nh\n.TS\n", stdout);
    for (size_t i = 0; i < columns; i++)
        fputs(i ? " lb" : "lb", stdout);
    putchar('\n');
    for (size_t i = 0; i < columns; i++)
        printf("%slw(%zun)", i ? " " : "", widths[i]);
    fputs(".\n", stdout);
    for (size_t row = 0; markdown_row(&source, cells); row++) {
        for (size_t i = 0; i < columns; i++) {
            fputs(i ? "\tT{\n" : "T{\n", stdout);
            put_text(cells[i]);
            fputs("T}", stdout);
        }
        fputs(row ? "\n" : "\n_\n", stdout);
    }
    fputs(".TE\n.hy\n", stdout);
}

static void put_blocks(struct slice source)
{
    struct markdown_reader reader = markdown_open(source, 1);
    struct markdown_block block;
    for (bool first = true; markdown_next(&reader, &block); first = false) {
        if (!first && block.kind != MARKDOWN_ITEM)
            fputs(".PP\n", stdout);
        switch (block.kind) {
        case MARKDOWN_HEADING:
            break; /* the caller wrote a title of its own */
        case MARKDOWN_PARAGRAPH:
            put_text(block.text);
            break;
        case MARKDOWN_ITEM:
            if (block.level)
                printf(".IP %d. 4\n", block.level);
            else
                fputs(".IP \\(bu 2\n", stdout);
            put_text(block.text);
            break;
        case MARKDOWN_TABLE:
            put_table(block.text);
            break;
        case MARKDOWN_CODE:
            put_code(block.text);
            break;
        }
    }
}

static void put_upper(struct slice text)
{
    for (size_t i = 0; i < text.length; i++)
        put_byte((char)toupper((unsigned char)text.at[i]));
}

static void put_head(struct slice name, const char *date)
{
    fputs("'\\\" t\n.\\\" Made of docs/textbook.md by 'weir explain --man'.\n.TH WEIR\\-", stdout);
    put_upper(name);
    printf(" 7 %s \"weir %s\" \"The textbook, made right\"\n", date,
           weir_version(NULL, NULL, NULL));
    fputs(".ad l\n.SH NAME\nweir\\-", stdout);
    put_plain(name);
    fputs(" \\- ", stdout);
}

/* Where the system's own page of a topic is. */
static int manual_section(struct slice name)
{
    static const char *const section3[] = { "ftok", "strcpy", "sleep", "shm_open", "sem_open" };
    if (slice_is(name, "ipcs"))
        return 1;
    for (size_t i = 0; i < sizeof section3 / sizeof *section3; i++)
        if (slice_is(name, section3[i]))
            return 3;
    return 2;
}

void man_topic(const struct textbook_topic *topic, const char *date)
{
    struct slice summary = topic->summary;
    if (summary.length && summary.at[summary.length - 1] == '.')
        summary.length--;
    put_head(topic->name, date);
    put_text(summary);
    for (int part = 0; part < PART_COUNT; part++) {
        printf(".SH %s\n", titles[part]);
        put_blocks(topic->parts[part]);
        if (part == PART_PURPOSE && topic->also.length) {
            fputs(".PP\nThis page is also about:\n", stdout);
            put_text(topic->also);
        }
    }
    fputs(".SH SEE ALSO\n.BR ", stdout);
    put_plain(topic->name);
    printf(" (%d),\n.BR weir\\-explain (1),\n.BR weir\\-textbook (7)\n",
           manual_section(topic->name));
}

void man_textbook(const struct textbook *book, const char *date)
{
    put_head((struct slice){ "textbook", 8 }, date);
    fputs("shared memory, semaphores, queues: the calls and their faults\n", stdout);
    fputs(".SH DESCRIPTION\n", stdout);
    put_blocks(book->introduction);
    for (size_t i = 0; i < book->chapter_count; i++) {
        fputs(".SH ", stdout);
        put_upper(book->chapters[i].title);
        putchar('\n');
        put_blocks(book->chapters[i].body);
    }
    fputs(".SH SEE ALSO\n.BR weir (1),\n.BR weir\\-explain (1)", stdout);
    for (size_t i = 0; i < book->topic_count; i++) {
        fputs(",\n.BR weir\\-", stdout);
        put_plain(book->topics[i].name);
        fputs(" (7)", stdout);
    }
    putchar('\n');
}
