/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LANE_REPORT_H
#define BENCH_LANE_REPORT_H

#include "lane.h"

/* Of ratios: the median, and between what they lie. */
struct ratios {
    unsigned pair_count;
    double median, lowest, highest;
};

/* What a cell came to: medians over its pairs, the rounds whose first two sides bear one tag. */
struct summary {
    const struct cell *cell;
    enum tag tag;        /* of the pairs; MIXED: no tag had a pair, all rounds are taken */
    unsigned pair_count; /* that bear it; of those asleep, and in which all slept */
    unsigned round_count;
    double bounce_ns;
    struct figures sides[SIDES_MAX];
    bool has_ratio[2];      /* weir to its reference */
    double ratio[2];        /* round trips: p50, p99.9; else the rate */
    double lowest, highest; /* of ratio[0], over the pairs */
    /* As ratio[0], to each side; of the pairs at whose side the cores were as far apart as at
     * weir's. */
    struct ratios to[SIDES_MAX];
    struct ratios to_readonly; /* of the ring that its reader maps so; all 0 where it is none */
};

void summarize(struct summary *summary, const struct cell *cell, const struct board *board);

/* "near", "far", "near, shared", "far, shared" or "mixed" */
const char *tag_name(enum tag tag);

void report_head(void);
void report_cell(const struct summary *summary);
void report_markdown(const struct summary *summaries, unsigned count, const char *command);

/* report_json.c: false when this program was built without jansson. */
bool report_json(const struct summary *summaries, unsigned count, const char *command);

/* The name that the kernel gives the processor. */
void processor_name(char *name, unsigned size);

#endif
