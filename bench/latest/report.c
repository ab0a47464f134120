/* SPDX-License-Identifier: MIT */
#include "latest.h"

#include <stdio.h>
#include <time.h>

static const struct {
    const char *name;
    size_t offset;
} columns[] = {
    { "read_ns", offsetof(struct figures, read_ns) },
    { "read_mean_ns", offsetof(struct figures, read_mean_ns) },
    { "read_p50_ns", offsetof(struct figures, read_p50_ns) },
    { "read_p99_ns", offsetof(struct figures, read_p99_ns) },
    { "seqlock_ns", offsetof(struct figures, seqlock_ns) },
    { "torn_ns", offsetof(struct figures, torn_ns) },
    { "still_ns", offsetof(struct figures, still_ns) },
    { "memcpy_ns", offsetof(struct figures, memcpy_ns) },
    { "write_ns", offsetof(struct figures, write_ns) },
    { "write_alone_ns", offsetof(struct figures, write_alone_ns) },
    { "seqlock_write_ns", offsetof(struct figures, seqlock_write_ns) },
    { "new_share", offsetof(struct figures, new_share) },
    { "bounce_ns", offsetof(struct figures, bounce_ns) },
    { "bounce_after_ns", offsetof(struct figures, bounce_after_ns) },
    { "share", offsetof(struct figures, share) },
    { "torn_ratio", offsetof(struct figures, torn_ratio) },
};

enum { COLUMNS = sizeof columns / sizeof *columns };

static double figure(const struct figures *figures, unsigned column)
{
    return *(const double *)(const void *)((const char *)figures + columns[column].offset);
}

void report_text(const struct summary *summaries, unsigned count)
{
    printf("%8s %12s", "bytes", "cores");
    for (unsigned c = 0; c < COLUMNS; c++)
        printf(" %15s", columns[c].name);
    putchar('\n');
    for (unsigned i = 0; i < count; i++) {
        printf("%8llu %4s, %6s", (unsigned long long)summaries[i].size_bytes, summaries[i].cores,
               summaries[i].is_whole ? "whole" : "shared");
        for (unsigned c = 0; c < COLUMNS; c++)
            printf(" %15.2f", figure(&summaries[i].median, c));
        putchar('\n');
    }
}

void report_json(const struct summary *summaries, unsigned count)
{
    puts("[");
    for (unsigned i = 0; i < count; i++) {
        printf("  {\"size_bytes\": %llu, \"rounds\": %u, \"cores\": \"%s\", \"whole\": %s",
               (unsigned long long)summaries[i].size_bytes, summaries[i].rounds, summaries[i].cores,
               summaries[i].is_whole ? "true" : "false");
        for (unsigned c = 0; c < COLUMNS; c++)
            printf(", \"%s\": {\"median\": %.3f, \"lowest\": %.3f, \"highest\": %.3f}",
                   columns[c].name, figure(&summaries[i].median, c),
                   figure(&summaries[i].lowest, c), figure(&summaries[i].highest, c));
        puts(i + 1 < count ? "}," : "}");
    }
    puts("]");
}

void report_markdown(const struct summary *summaries, unsigned count, const char *command)
{
    char date[16];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    printf("Written by `%s` on %s; medians of %u rounds, ns.\n\n", command, date,
           summaries[0].all_rounds);
    puts(
        "| bytes | read | lowest to highest | bare copy, torn | seqlock, read | mean | p50 | p99 | "
        "reads that found a new version | read, nobody writes | memcpy | write | seqlock, write | "
        "write, nobody reads | bounce | cores | rounds | read of the bare copy's | lowest to "
        "highest |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for (unsigned i = 0; i < count; i++) {
        const struct figures *median = &summaries[i].median;
        printf("| %llu | %.1f | %.1f to %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f %% | %.1f | "
               "%.1f | %.1f | %.1f | %.1f | %.0f | %s%s | %u | %.2f | %.2f to %.2f |\n",
               (unsigned long long)summaries[i].size_bytes, median->read_ns,
               summaries[i].lowest.read_ns, summaries[i].highest.read_ns, median->torn_ns,
               median->seqlock_ns, median->read_mean_ns, median->read_p50_ns, median->read_p99_ns,
               100 * median->new_share, median->still_ns, median->memcpy_ns, median->write_ns,
               median->seqlock_write_ns, median->write_alone_ns, median->bounce_ns,
               summaries[i].cores, summaries[i].is_whole ? "" : ", shared", summaries[i].rounds,
               median->torn_ratio, summaries[i].lowest.torn_ratio, summaries[i].highest.torn_ratio);
    }
}
