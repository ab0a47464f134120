/* SPDX-License-Identifier: MIT */
/* The rows of weir top as lines of text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/identity.h>
#include <weir/inspect.h>

#include "size.h"
#include "text.h"
#include "top.h"

/*
 * rank: a line that is too wide loses the highest first; 0 only where there is no other. least:
 * places that it has at least, so that lines hold still while numbers change.
 */
static const struct column {
    const char *heading, *sort; /* its name in --sort, or NULL */
    int rank;
    bool is_right;
    size_t least;
} columns[TOP_COLUMNS] = {
    [TOP_CHANNEL] = { "CHANNEL", "channel", 0, false, 0 },
    [TOP_MEMBER] = { "MEMBER", NULL, 0, false, 6 },
    [TOP_PID] = { "PID", "pid", 5, true, 7 },
    [TOP_COMMAND] = { "COMMAND", "command", 6, false, 0 },
    [TOP_RATE] = { "MSG/S", "rate", 0, true, 6 },
    [TOP_BANDWIDTH] = { "BYTE/S", "bandwidth", 2, true, 7 },
    [TOP_LAG] = { "LAG", "lag", 0, true, 6 },
    [TOP_USE] = { "RING", "ring", 1, true, 4 },
    [TOP_HELD] = { "HELD", "held", 7, true, 6 },
    [TOP_MISSED] = { "DROPS", "drops", 3, true, 5 },
    [TOP_STATE] = { "STATE", "state", 0, false, 7 },
    [TOP_NEED] = { "WAITS FOR", NULL, 4, false, 11 },
};

bool top_sort_option(const char *text, enum top_column *column)
{
    for (int i = 0; i < TOP_COLUMNS; i++)
        if (columns[i].sort && strcmp(columns[i].sort, text) == 0) {
            *column = (enum top_column)i;
            return true;
        }
    return false;
}

const char *top_sort_name(enum top_column column)
{
    return columns[column].sort;
}

enum top_column top_sort_step(enum top_column column, bool is_right)
{
    int at = (int)column;
    do
        at = (at + (is_right ? 1 : TOP_COLUMNS - 1)) % TOP_COLUMNS;
    while (!columns[at].sort);
    return (enum top_column)at;
}

bool top_is_dead(const struct sample_row *row)
{
    return row->life == WEIR_LIFE_DEAD || row->state == WEIR_MEMBER_FALSE;
}

bool top_is_blocked(const struct sample_row *row)
{
    return row->is_stopped || row->need == WEIR_NEED_ROOM || row->need == WEIR_NEED_ATTACH;
}

/* A number in six places: powers of 1000. */
static char *rate_format(double rate)
{
    static const char units[] = "kMGT";
    int unit = -1;
    if (rate < 9.95 && rate > 0)
        return text_format("%.1f", rate);
    while (rate >= 999.5 && unit < (int)sizeof units - 2) {
        rate /= 1000;
        unit++;
    }
    if (unit < 0)
        return text_format("%.0f", rate);
    return text_format(rate < 9.995   ? "%.2f%c"
                       : rate < 99.95 ? "%.1f%c"
                                      : "%.0f%c",
                       rate, units[unit]);
}

static const char *state_of(const struct sample_row *row)
{
    if (row->life == WEIR_LIFE_DEAD)
        return "dead";
    if (row->is_stopped)
        return "stopped";
    return row->activity ? weir_activity_name(row->activity) : weir_member_state_name(row->state);
}

static char *need_of(const struct sample_row *row)
{
    if (row->need == WEIR_NEED_NOTHING)
        return text_format("%s", "");
    if (row->slowest == WEIR_SLOT_NONE)
        return text_format("%s", weir_need_name(row->need));
    return text_format("%s: sub %u", weir_need_name(row->need), row->slowest);
}

static char *unless(bool is_known, char *text)
{
    if (is_known)
        return text;
    free(text);
    return text_format("-");
}

static char *cell(const struct sample_row *row, enum top_column column)
{
    bool is_publisher = row->role == WEIR_MEMBER_PUBLISHER;
    switch (column) {
    case TOP_CHANNEL:
        return text_format("%s", row->channel);
    case TOP_MEMBER:
        return text_format("%s %u", is_publisher ? "pub" : "sub", row->slot);
    case TOP_PID:
        return unless(row->pid > 0, text_format("%d", row->pid));
    case TOP_COMMAND:
        return row->command && *row->command ? text_escape(row->command, true) : text_format("-");
    case TOP_RATE:
        return unless(row->has_rates, rate_format(row->message_rate));
    case TOP_BANDWIDTH:
        return unless(row->has_rates,
                      size_format(row->byte_rate < 1e18 ? (uint64_t)row->byte_rate : UINT64_MAX));
    case TOP_LAG:
        return unless(row->has_lag, size_format(row->lag_bytes));
    case TOP_HELD:
        return unless(row->has_holds, size_format(row->held_bytes));
    case TOP_USE:
        return unless(row->has_use, text_format("%.0f%%", row->use * 100));
    case TOP_MISSED:
        return unless(row->has_counts, rate_format((double)row->missed));
    case TOP_STATE:
        return text_format("%s", state_of(row));
    default:
        return need_of(row);
    }
}

/* By a number, the highest first: below 0 as qsort(3) wants it. */
static int by_number(double a, double b)
{
    return a > b ? -1 : a < b;
}

static double known(bool is_known, double number)
{
    return is_known ? number : -1;
}

static int by_place(const struct sample_row *a, const struct sample_row *b)
{
    int order = strcmp(a->channel, b->channel);
    if (order == 0)
        order = a->role < b->role ? -1 : a->role > b->role;
    if (order == 0)
        order = a->slot < b->slot ? -1 : a->slot > b->slot;
    return order;
}

static int by_column(const struct sample_row *a, const struct sample_row *b, enum top_column column)
{
    switch (column) {
    case TOP_PID:
        return -by_number(a->pid, b->pid);
    case TOP_COMMAND:
        return strcmp(a->command ? a->command : "", b->command ? b->command : "");
    case TOP_RATE:
        return by_number(known(a->has_rates, a->message_rate),
                         known(b->has_rates, b->message_rate));
    case TOP_BANDWIDTH:
        return by_number(known(a->has_rates, a->byte_rate), known(b->has_rates, b->byte_rate));
    case TOP_LAG:
        return by_number(known(a->has_lag, (double)a->lag_bytes),
                         known(b->has_lag, (double)b->lag_bytes));
    case TOP_HELD:
        return by_number(known(a->has_holds, (double)a->held_bytes),
                         known(b->has_holds, (double)b->held_bytes));
    case TOP_USE:
        return by_number(known(a->has_use, a->use), known(b->has_use, b->use));
    case TOP_MISSED:
        return by_number((double)a->missed, (double)b->missed);
    case TOP_STATE:
        return strcmp(state_of(a), state_of(b));
    default:
        return by_place(a, b);
    }
}

static int compare(const void *a, const void *b, void *argument)
{
    const struct top_view *view = argument;
    int order = by_column(a, b, view->sort);
    if (view->is_reverse)
        order = -order;
    return order != 0 ? order : by_place(a, b);
}

struct grid {
    char **cells;
    size_t rows;
    size_t natural[TOP_COLUMNS]; /* as wide as the widest cell */
    size_t widths[TOP_COLUMNS];  /* as it is shown */
    bool is_hidden[TOP_COLUMNS];
};

static void grid_make(struct grid *grid, const struct sample *sample)
{
    memset(grid, 0, sizeof *grid);
    for (int c = 0; c < TOP_COLUMNS; c++)
        grid->natural[c] = columns[c].least;
    grid->rows = sample->row_count + 1;
    grid->cells = text_memory(calloc(grid->rows * TOP_COLUMNS, sizeof *grid->cells));
    for (size_t r = 0; r < grid->rows; r++)
        for (int c = 0; c < TOP_COLUMNS; c++) {
            char *text = r == 0 ? text_format("%s", columns[c].heading)
                                : cell(&sample->rows[r - 1], (enum top_column)c);
            grid->cells[r * TOP_COLUMNS + (size_t)c] = text;
            if (text_width(text) > grid->natural[c])
                grid->natural[c] = text_width(text);
        }
}

static size_t total_width(const struct grid *grid)
{
    size_t total = 0;
    for (int c = 0; c < TOP_COLUMNS; c++)
        if (!grid->is_hidden[c])
            total += grid->widths[c] + (c > 0);
    return total;
}

/* What texts may be cut to, before columns are left out. */
enum { CHANNEL_LEAST = 12, COMMAND_LEAST = 8 };

static void shrink(struct grid *grid, enum top_column column, size_t least, size_t width)
{
    size_t total = total_width(grid), now = grid->widths[column];
    if (grid->is_hidden[column] || total <= width || now <= least)
        return;
    size_t excess = total - width;
    grid->widths[column] = now - least > excess ? now - excess : least;
}

/*
 * Where not even these have room, the right ones are cut or go: a text may end with a '~', but of a
 * number a part would be another one.
 */
static void cut(struct grid *grid, size_t width)
{
    shrink(grid, TOP_CHANNEL, 1, width);
    for (int c = TOP_COLUMNS - 1; c > 0 && total_width(grid) > width; c--) {
        if (!columns[c].is_right)
            shrink(grid, (enum top_column)c, 1, width);
        if (total_width(grid) > width)
            grid->is_hidden[c] = true;
    }
}

static void fit(struct grid *grid, size_t width)
{
    for (;;) {
        int victim = TOP_COLUMNS;
        memcpy(grid->widths, grid->natural, sizeof grid->widths);
        shrink(grid, TOP_COMMAND, COMMAND_LEAST, width);
        shrink(grid, TOP_CHANNEL, CHANNEL_LEAST, width);
        if (total_width(grid) <= width)
            return;
        for (int c = 0; c < TOP_COLUMNS; c++)
            if (!grid->is_hidden[c] && columns[c].rank > 0 &&
                (victim == TOP_COLUMNS || columns[c].rank > columns[victim].rank))
                victim = c;
        if (victim == TOP_COLUMNS) {
            cut(grid, width);
            return;
        }
        grid->is_hidden[victim] = true;
    }
}

/* Appends a cell in its width: what is cut ends with a '~'. */
static void append(FILE *line, const char *text, size_t width, bool is_right, bool is_last)
{
    bool is_cut = text_width(text) > width;
    size_t places, bytes = text_beginning(text, is_cut && width > 0 ? width - 1 : width, &places);
    size_t pad = width - places - is_cut;
    if (is_right)
        fprintf(line, "%*s", (int)pad, "");
    fprintf(line, "%.*s%s", (int)bytes, text, is_cut ? "~" : "");
    if (!is_right && !is_last)
        fprintf(line, "%*s", (int)pad, "");
}

static char *make_line(const struct grid *grid, size_t row)
{
    char *text = NULL;
    size_t bytes;
    FILE *line = text_memory(open_memstream(&text, &bytes));
    int last = TOP_COLUMNS - 1;
    while (grid->is_hidden[last])
        last--;
    for (int c = 0; c <= last; c++) {
        if (grid->is_hidden[c])
            continue;
        if (c > 0)
            fputc(' ', line);
        append(line, grid->cells[row * TOP_COLUMNS + (size_t)c], grid->widths[c],
               columns[c].is_right, c == last);
    }
    fclose(line);
    text_memory(text);
    while (bytes > 0 && text[bytes - 1] == ' ')
        text[--bytes] = '\0';
    return text;
}

static void find_sorted(struct top_sheet *sheet, const struct grid *grid, enum top_column sort)
{
    size_t at = 0;
    if (grid->is_hidden[sort])
        return;
    for (int c = 0; c < (int)sort; c++)
        if (!grid->is_hidden[c])
            at += grid->widths[c] + 1;
    sheet->sort_width = strlen(columns[sort].heading);
    if (columns[sort].is_right)
        at += grid->widths[sort] - sheet->sort_width;
    sheet->sort_at = at;
}

void top_sheet_make(struct top_sheet *sheet, struct sample *sample, const struct top_view *view,
                    size_t width)
{
    struct grid grid;
    struct top_view by = *view;
    if (sample->row_count > 0)
        qsort_r(sample->rows, sample->row_count, sizeof *sample->rows, compare, &by);
    grid_make(&grid, sample);
    fit(&grid, width > 0 ? width : SIZE_MAX);
    *sheet = (struct top_sheet){ .line_count = grid.rows };
    sheet->lines = text_memory(calloc(grid.rows, sizeof *sheet->lines));
    for (size_t r = 0; r < grid.rows; r++)
        sheet->lines[r] = make_line(&grid, r);
    find_sorted(sheet, &grid, view->sort);
    for (size_t i = 0; i < grid.rows * TOP_COLUMNS; i++)
        free(grid.cells[i]);
    free(grid.cells);
}

void top_sheet_free(struct top_sheet *sheet)
{
    for (size_t i = 0; i < sheet->line_count; i++)
        free(sheet->lines[i]);
    free(sheet->lines);
    *sheet = (struct top_sheet){ NULL, 0, 0, 0 };
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

char *top_summary(const struct sample *sample)
{
    size_t publishers = 0;
    double messages = 0, bytes = 0;
    for (size_t i = 0; i < sample->row_count; i++) {
        const struct sample_row *row = &sample->rows[i];
        if (row->role != WEIR_MEMBER_PUBLISHER)
            continue;
        publishers++;
        messages += row->has_rates ? row->message_rate : 0;
        bytes += row->has_rates ? row->byte_rate : 0;
    }
    size_t subscribers = sample->row_count - publishers;
    char *rate = rate_format(messages);
    char *size = size_format(bytes < 1e18 ? (uint64_t)bytes : UINT64_MAX);
    char *text =
        text_format("%zu channel%s, %zu publisher%s, %zu subscriber%s, %s messages/s, %s/s",
                    sample->channel_count, plural(sample->channel_count), publishers,
                    plural(publishers), subscribers, plural(subscribers), rate, size);
    free(rate);
    free(size);
    return text;
}
