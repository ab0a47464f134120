/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TABLE_H
#define WEIR_TOOL_TABLE_H

/*
 * Tables, in the manner of util-linux: a command describes its columns, gathers
 * rows of plain values, and one printer shows them as aligned text, as raw text
 * for scripts, as pairs, or as JSON.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum table_type {
    TABLE_TEXT,
    TABLE_NUMBER,
    TABLE_SIZE, /* bytes */
    TABLE_AGE,  /* seconds */
    TABLE_TIME, /* seconds since 1970 */
    TABLE_FLAG, /* yes or no */
};

struct table_column {
    const char *name; /* upper case: the heading; lower case in JSON */
    enum table_type type;
    int rank; /* 0: shown when asked for; else by default, and on a terminal that is too narrow
                 the highest rank is left out first; 1 never is */
};

struct table_value {
    bool known; /* false: "-", null in JSON */
    int64_t number;
    char *text; /* owned by the table */
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    struct table_value *values; /* row by row */
    size_t row_count;
    size_t row_capacity;
};

/* What the user asked for. */
struct table_options {
    bool noheadings;
    bool export;  /* NAME="value" pairs, a line an object */
    bool newline; /* the same, a line a pair */
    bool raw;
    bool bytes;
    bool json;
    bool all;            /* without columns: every one */
    const char *columns; /* "NAME,SIZE" or "+AGE"; NULL: the defaults */
};

#define TABLE_SHORT_OPTIONS "beJno:r"
#define TABLE_NOHEADINGS 0x1000 /* has no short option, as in lsipc(1) */
#define TABLE_LONG_OPTIONS                                                                         \
    { "bytes", no_argument, NULL, 'b' }, { "export", no_argument, NULL, 'e' },                     \
        { "json", no_argument, NULL, 'J' }, { "newline", no_argument, NULL, 'n' },                 \
        { "noheadings", no_argument, NULL, TABLE_NOHEADINGS },                                     \
        { "output", required_argument, NULL, 'o' },                                                \
    {                                                                                              \
        "raw", no_argument, NULL, 'r'                                                              \
    }

/* Takes one of TABLE_SHORT_OPTIONS or TABLE_NOHEADINGS; false when it is none. */
bool table_option(struct table_options *options, int option, const char *argument);

/*
 * Whether what was asked can be done with these columns: STATUS_OK, or the
 * status to return (an unknown column: usage; --json without jansson: failure).
 * To be called before any work.
 */
int table_check(const struct table_options *options, const struct table_column *columns,
                size_t column_count);

void table_init(struct table *table, const struct table_column *columns, size_t column_count);
void table_free(struct table *table);

/* A new row of column_count unknown values, to be filled; valid until the next row. */
struct table_value *table_row(struct table *table);
void table_set_number(struct table_value *value, int64_t number);
/* Copies the text; NULL leaves the value unknown. */
void table_set_text(struct table_value *value, const char *text);

/* Prints rows on stdout: under headings, or as NAME="value" pairs. */
void table_print(const struct table *table, const struct table_options *options);

/*
 * Prints the rows as "NAME:  value" lines, a blank line between rows. Values that
 * are not known are left out unless the options name their columns.
 */
void table_print_pairs(const struct table *table, const struct table_options *options);

/* A part of a JSON document: an array of rows, or the first row alone. */
struct table_section {
    const char *name;
    const struct table *table;
    bool single;
};

/* Prints {"name": ..., ...}; STATUS_FAILURE when that was not possible. */
int table_print_json(const struct table_section *sections, size_t count,
                     const struct table_options *options);

/* The columns that options choose: fills order with indexes, returns how many. */
size_t table_choose(const struct table_options *options, const struct table_column *columns,
                    size_t column_count, size_t *order);

#endif
