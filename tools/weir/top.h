/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_TOP_H
#define WEIR_TOOL_TOP_H

/* weir top: the same rows as text, once; as JSON; and on a screen that goes on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"

enum top_column {
    TOP_CHANNEL,
    TOP_MEMBER,
    TOP_PID,
    TOP_COMMAND,
    TOP_RATE,
    TOP_BANDWIDTH,
    TOP_LAG,
    TOP_USE,
    TOP_HELD,
    TOP_MISSED,
    TOP_STATE,
    TOP_NEED,
    TOP_COLUMNS,
};

/* How it is to be shown. */
struct top_view {
    enum top_column sort;
    bool is_reverse; /* numbers: the lowest first; texts: the last first */
};

struct top_request {
    char *const *channels; /* count 0: all */
    size_t channel_count;
    double interval; /* seconds */
    struct top_view view;
};

/* The column of this name in --sort; false: there is none that can be sorted by. */
bool top_sort_option(const char *text, enum top_column *column);

/* And back. */
const char *top_sort_name(enum top_column column);

/* The next column to sort by, to the right or to the left. */
enum top_column top_sort_step(enum top_column column, bool is_right);

/* A row that is stopped or waits for room, or is dead: it should catch the eye. */
bool top_is_blocked(const struct sample_row *row);
bool top_is_dead(const struct sample_row *row);

/* Rows as lines; width 0: as wide as they are. */
struct top_sheet {
    char **lines; /* the headings, then a line a row */
    size_t line_count;
    size_t sort_at, sort_width; /* where the heading of the column is that it is sorted by */
};
void top_sheet_make(struct top_sheet *sheet, struct sample *sample, const struct top_view *view,
                    size_t width);
void top_sheet_free(struct top_sheet *sheet);

/* "2 channels, 3 publishers, 4 subscribers, 1.2M messages/s, 30M/s": what is sent in all. */
char *top_summary(const struct sample *sample);

/* A line of JSON, without its end; NULL: built without jansson. */
char *top_json(const struct sample *sample);

/* The live screen, until the user or a signal ends it: an exit_status. */
int top_screen(const struct top_request *request);

#endif
