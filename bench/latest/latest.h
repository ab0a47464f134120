/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LATEST_H
#define BENCH_LATEST_H

/*
 * What the files of this benchmark share: a cell is a size; two pinned processes, one of which
 * writes at full speed, or not at all, while the other reads, or does nothing.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SIZES = 8, ROUNDS_MAX = 21 };

/* Of one round of one size: nanoseconds. */
struct figures {
    double read_ns;      /* under a writer at full speed: time ÷ reads, of the median chunk */
    double read_mean_ns; /* of all such chunks, interruptions included */
    double read_p50_ns;  /* of one read, with the clock's own time taken off */
    double read_p99_ns;
    double seqlock_ns;       /* as read_ns, of a bare sequence lock */
    double torn_ns;          /* as read_ns, of a copy that nothing keeps whole */
    double still_ns;         /* nobody writes */
    double memcpy_ns;        /* of private memory, the same bytes */
    double write_ns;         /* while somebody reads at full speed */
    double write_alone_ns;   /* nobody reads */
    double seqlock_write_ns; /* as write_ns, of a bare sequence lock */
    double new_share;        /* of the reads, that found another version than the one before */
    double bounce_ns; /* of a cache line between the two cores, there and back, before all this */
    double bounce_after_ns; /* the same, after it */
    double share;      /* the least that share_probe() found, of both cores: before, amid, after */
    double torn_ratio; /* read_ns of torn_ns */
};

struct summary {
    uint64_t size_bytes;
    struct figures median, lowest, highest;
    unsigned rounds, all_rounds; /* those with cores in that state, and all */
    const char *cores; /* "near", "far"; "mixed": no round had the same before and after */
    bool is_whole;     /* nobody else was on one of them, see share.h */
};

/* cell.c: one round of one size. False with a sentence on stderr. */
bool cell_run(uint64_t size_bytes, uint64_t budget_ns, const int cpus[2], struct figures *figures);

/* report.c */
void report_text(const struct summary *summaries, unsigned count);
void report_json(const struct summary *summaries, unsigned count);
void report_markdown(const struct summary *summaries, unsigned count, const char *command);

#endif
