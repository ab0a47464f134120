/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "size.h"
#include "text.h"

#define COLUMNS_MAX 64

bool table_option(struct table_options *options, int option, const char *argument)
{
    switch (option) {
    case 'b':
        options->bytes = true;
        return true;
    case 'J':
        options->json = true;
        return true;
    case 'e':
        options->export = true;
        return true;
    case 'n':
        options->newline = true;
        return true;
    case TABLE_NOHEADINGS:
        options->noheadings = true;
        return true;
    case 'o':
        options->columns = argument;
        return true;
    case 'r':
        options->raw = true;
        return true;
    default:
        return false;
    }
}

static size_t find_column(const struct table_column *columns, size_t column_count, const char *name,
                          size_t length)
{
    size_t i = 0;
    while (i < column_count &&
           !(strlen(columns[i].name) == length && strncasecmp(columns[i].name, name, length) == 0))
        i++;
    return i;
}

int table_check(const struct table_options *options, const struct table_column *columns,
                size_t column_count)
{
    if (options->json + options->export + options->newline + options->raw > 1)
        return command_usage("--json, --export, --newline and --raw exclude one another");
#ifndef WEIR_HAVE_JANSSON
    if (options->json)
        return command_fail("this weir was built without jansson, so it has no --json: install "
                            "libjansson-dev and build it again");
#endif
    if (!options->columns)
        return STATUS_OK;
    const char *name = options->columns + (*options->columns == '+');
    for (size_t count = 0;; count++) {
        size_t length = strcspn(name, ",");
        if (count >= COLUMNS_MAX)
            return command_usage("--output: more than %d columns", COLUMNS_MAX);
        if (find_column(columns, column_count, name, length) == column_count) {
            char known[1024] = "";
            for (size_t i = 0; i < column_count; i++)
                snprintf(known + strlen(known), sizeof known - strlen(known), " %s",
                         columns[i].name);
            char *shown = text_escape(name, false);
            int status = command_usage("--output: there is no column '%.*s'. There are:%s",
                                       (int)strcspn(shown, ","), shown, known);
            free(shown);
            return status;
        }
        name += length;
        if (*name++ == '\0')
            return STATUS_OK;
    }
}

size_t table_choose(const struct table_options *options, const struct table_column *columns,
                    size_t column_count, size_t *order)
{
    const char *name = options->columns;
    size_t count = 0;
    if (!name || *name == '+')
        for (size_t i = 0; i < column_count; i++)
            if (columns[i].rank > 0 || ((options->json || options->all) && !name))
                order[count++] = i;
    if (!name)
        return count;
    name += *name == '+';
    while (count < COLUMNS_MAX) {
        size_t length = strcspn(name, ",");
        size_t found = find_column(columns, column_count, name, length);
        if (found < column_count)
            order[count++] = found;
        name += length;
        if (*name++ == '\0')
            break;
    }
    return count;
}

void table_init(struct table *table, const struct table_column *columns, size_t column_count)
{
    *table = (struct table){ columns, column_count, NULL, 0, 0 };
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->row_count * table->column_count; i++)
        free(table->values[i].text);
    free(table->values);
    *table = (struct table){ table->columns, table->column_count, NULL, 0, 0 };
}

struct table_value *table_row(struct table *table)
{
    if (table->row_count == table->row_capacity) {
        table->row_capacity = table->row_capacity ? table->row_capacity * 2 : 16;
        table->values = text_memory(reallocarray(
            table->values, table->row_capacity * table->column_count, sizeof *table->values));
    }
    struct table_value *row = table->values + table->row_count++ * table->column_count;
    memset(row, 0, table->column_count * sizeof *row);
    return row;
}

void table_set_number(struct table_value *value, int64_t number)
{
    value->known = true;
    value->number = number;
}

void table_set_text(struct table_value *value, const char *text)
{
    if (!text)
        return;
    value->known = true;
    value->text = text_memory(strdup(text));
}

/* One value as it is shown; new memory. */
static char *show(const struct table_value *value, enum table_type type,
                  const struct table_options *options)
{
    char moment[32];
    if (!value->known)
        return text_format("-");
    switch (type) {
    case TABLE_TEXT: /* raw, nothing at all would make a column of none */
        return options->raw && !*value->text ? text_format("-")
                                             : text_escape(value->text, options->raw);
    case TABLE_SIZE:
        if (!options->bytes)
            return size_format((uint64_t)value->number);
        break;
    case TABLE_AGE:
        return age_format(value->number);
    case TABLE_TIME: {
        time_t time = (time_t)value->number;
        struct tm local;
        if (localtime_r(&time, &local) &&
            strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%S%z", &local) > 0)
            return text_format("%s", moment);
        break;
    }
    case TABLE_FLAG:
        return text_format("%s", value->number ? "yes" : "no");
    case TABLE_NUMBER:
        break;
    }
    return text_format("%" PRId64, value->number);
}

/* All that is to be printed as text: cells[row][column], the headings first. */
struct sheet {
    char **cells;
    size_t order[COLUMNS_MAX];
    size_t widths[COLUMNS_MAX];
    size_t columns;
    size_t rows;
};

static void sheet_make(struct sheet *sheet, const struct table *table,
                       const struct table_options *options)
{
    sheet->columns = table_choose(options, table->columns, table->column_count, sheet->order);
    sheet->rows = table->row_count + 1;
    sheet->cells = text_memory(calloc(sheet->rows * sheet->columns + 1, sizeof *sheet->cells));
    for (size_t c = 0; c < sheet->columns; c++) {
        const struct table_column *column = &table->columns[sheet->order[c]];
        sheet->widths[c] = options->noheadings ? 0 : strlen(column->name);
        sheet->cells[c] = text_format("%s", column->name);
        for (size_t r = 1; r < sheet->rows; r++) {
            const struct table_value *row = table->values + (r - 1) * table->column_count;
            char *cell = show(&row[sheet->order[c]], column->type, options);
            sheet->cells[r * sheet->columns + c] = cell;
            if (text_width(cell) > sheet->widths[c])
                sheet->widths[c] = text_width(cell);
        }
    }
}

static void sheet_free(struct sheet *sheet)
{
    for (size_t i = 0; i < sheet->rows * sheet->columns; i++)
        free(sheet->cells[i]);
    free(sheet->cells);
}

/* Hides default columns by their rank, until a row fits the terminal. */
static void fit(const struct sheet *sheet, const struct table *table,
                const struct table_options *options, bool *hidden)
{
    struct winsize window;
    if (options->columns || !isatty(STDOUT_FILENO) ||
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0)
        return;
    for (;;) {
        size_t total = 0, victim = sheet->columns;
        int worst = 1;
        for (size_t c = 0; c < sheet->columns; c++) {
            int rank = table->columns[sheet->order[c]].rank;
            if (hidden[c])
                continue;
            total += sheet->widths[c] + (total > 0);
            if (rank > worst) {
                worst = rank;
                victim = c;
            }
        }
        if (total <= window.ws_col || victim == sheet->columns)
            return;
        hidden[victim] = true;
    }
}

static bool is_right(enum table_type type)
{
    return type == TABLE_NUMBER || type == TABLE_SIZE || type == TABLE_AGE;
}

static void print_row(const struct sheet *sheet, const struct table *table, size_t row,
                      const struct table_options *options, const bool *hidden)
{
    size_t pending = 0; /* blanks that only something printable after them makes visible */
    bool first = true;
    for (size_t c = 0; c < sheet->columns; c++) {
        if (hidden[c])
            continue;
        const char *cell = sheet->cells[row * sheet->columns + c];
        size_t pad = options->raw ? 0 : sheet->widths[c] - text_width(cell);
        bool right = is_right(table->columns[sheet->order[c]].type);
        pending += first ? 0 : 1;
        pending += right ? pad : 0;
        printf("%*s%s", (int)pending, "", cell);
        pending = right ? 0 : pad;
        first = false;
    }
    putchar('\n');
}

/* What a shell would take for more than text stands as \xHH. */
static void print_quoted(const char *cell)
{
    putchar('"');
    for (; *cell; cell++) {
        if (strchr("\"$`", *cell))
            printf("\\x%02x", (unsigned char)*cell);
        else
            putchar(*cell);
    }
    putchar('"');
}

/* lsipc's -e and -n: NAME="value", every column; not known is "". */
static void print_export(const struct table *table, const struct table_options *options)
{
    struct sheet sheet;
    sheet_make(&sheet, table, options);
    for (size_t row = 1; row < sheet.rows; row++) {
        const struct table_value *values = table->values + (row - 1) * table->column_count;
        for (size_t c = 0; c < sheet.columns; c++) {
            if (c > 0)
                putchar(options->newline ? '\n' : ' ');
            printf("%s=", sheet.cells[c]);
            print_quoted(values[sheet.order[c]].known ? sheet.cells[row * sheet.columns + c] : "");
        }
        putchar('\n');
    }
    sheet_free(&sheet);
}

void table_print(const struct table *table, const struct table_options *options)
{
    struct sheet sheet;
    bool hidden[COLUMNS_MAX] = { false };
    if (options->export || options->newline) {
        print_export(table, options);
        return;
    }
    sheet_make(&sheet, table, options);
    if (!options->raw)
        fit(&sheet, table, options, hidden);
    for (size_t row = options->noheadings ? 1 : 0; row < sheet.rows; row++)
        print_row(&sheet, table, row, options, hidden);
    sheet_free(&sheet);
}

void table_print_pairs(const struct table *table, const struct table_options *options)
{
    struct sheet sheet;
    size_t width = 0;
    if (options->export || options->newline) {
        print_export(table, options);
        return;
    }
    sheet_make(&sheet, table, options);
    for (size_t c = 0; c < sheet.columns; c++)
        if (strlen(sheet.cells[c]) > width)
            width = strlen(sheet.cells[c]);
    for (size_t row = 1; row < sheet.rows; row++) {
        const struct table_value *values = table->values + (row - 1) * table->column_count;
        if (row > 1)
            putchar('\n');
        for (size_t c = 0; c < sheet.columns; c++) {
            const char *cell = sheet.cells[row * sheet.columns + c];
            if (!options->columns && !values[sheet.order[c]].known)
                continue;
            if (options->noheadings)
                printf("%s\n", cell);
            else
                printf("%s:%*s %s\n", sheet.cells[c], (int)(width - strlen(sheet.cells[c])), "",
                       cell);
        }
    }
    sheet_free(&sheet);
}
