/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>

#ifdef WEIR_HAVE_JANSSON
#include <jansson.h>
#include <stdlib.h>

static json_t *side_json(const struct summary *summary, unsigned side)
{
    const struct work *work = &summary->cell->work;
    const struct figures *figures = &summary->sides[side];
    const char *name = summary->cell->sides[side]->name;
    if (work->kind == ONE_WAY || work->kind == BATCHED)
        return json_pack("{s:s, s:f, s:f}", "name", name, "messages_per_s", figures->messages_per_s,
                         "bytes_per_s", figures->messages_per_s * (double)work->size_bytes);
    json_t *object =
        json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "name", name, "mean_ns",
                  1e9 / figures->messages_per_s, "p50_ns", figures->p50_ns, "p99_ns",
                  figures->p99_ns, "p999_ns", figures->p999_ns, "max_ns", figures->max_ns);
    if (work->kind == ASLEEP)
        json_object_set_new(object, "sleeps_each", json_real(figures->sleeps));
    return object;
}

static json_t *cell_json(const struct summary *summary)
{
    const struct work *work = &summary->cell->work;
    json_t *sides = json_array();
    for (unsigned side = 0; side < summary->cell->side_count; side++)
        json_array_append_new(sides, side_json(summary, side));
    json_t *cell = json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:f, s:i, s:i, s:o, s:f, s:f, s:f}", "cell", summary->cell->name,
        "size_bytes", (json_int_t)work->size_bytes, "ring_bytes", (json_int_t)work->ring_bytes,
        "messages", (json_int_t)work->messages, "cores", tag_name(summary->tag), "bounce_ns",
        summary->bounce_ns, "pairs", (int)summary->pair_count, "rounds", (int)summary->round_count,
        "sides", sides, "ratio", summary->ratio[0], "ratio_lowest", summary->lowest,
        "ratio_highest", summary->highest);
    if (summary->has_ratio[1])
        json_object_set_new(cell, "ratio_p999", json_real(summary->ratio[1]));
    const struct ratios *to_readonly = &summary->to_readonly;
    if (to_readonly->pair_count > 0)
        json_object_set_new(cell, "to_readonly_ring",
                            json_pack("{s:i, s:f, s:f, s:f}", "pairs", (int)to_readonly->pair_count,
                                      "ratio", to_readonly->median, "ratio_lowest",
                                      to_readonly->lowest, "ratio_highest", to_readonly->highest));
    return cell;
}

bool report_json(const struct summary *summaries, unsigned count, const char *command)
{
    char processor[128];
    json_t *cells = json_array();
    processor_name(processor, sizeof processor);
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(cells, cell_json(&summaries[i]));
    json_t *all =
        json_pack("{s:s, s:s, s:o}", "command", command, "processor", processor, "cells", cells);
    bool is_written = all && json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
    json_decref(all);
    putchar('\n');
    return is_written;
}

#else

bool report_json(const struct summary *summaries, unsigned count, const char *command)
{
    (void)summaries;
    (void)count;
    (void)command;
    return false;
}

#endif
