/* SPDX-License-Identifier: MIT */
/* The results as text for a terminal, and as Markdown for docs/performance.md. */
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_rate(const struct summary *summary)
{
    return summary->cell->work.kind == ONE_WAY || summary->cell->work.kind == BATCHED;
}

/* What weir means to reach: at most for durations, at least for rates. 0: nothing. */
static double aim(const struct summary *summary, int which)
{
    static const double within[2] = { 1.05, 0.95 }; /* what an older weir could */
    if (summary->cell->sides[1] == &transport_other)
        return which == 0 ? within[is_rate(summary)] : 0;
    static const double aims[4][2] = { { 1.1, 1.5 }, { 0.9, 0 }, { 0.9, 0 }, { 1.1, 0 } };
    return aims[summary->cell->work.kind][which];
}

static const char *verdict(const struct summary *summary, int which)
{
    double wanted = aim(summary, which);
    if (wanted == 0 || summary->tag == MIXED)
        return "";
    bool is_reached =
        is_rate(summary) ? summary->ratio[which] >= wanted : summary->ratio[which] <= wanted;
    return is_reached ? "reached" : "missed";
}

/* Of 64 bytes one by one: messages a second, meant where a line travels in 120 ns. */
#define MEANT_PER_S 65e6

static bool has_rate_aim(const struct summary *summary)
{
    const struct work *work = &summary->cell->work;
    return work->kind == ONE_WAY && work->size_bytes == 64 &&
           summary->cell->sides[1] != &transport_other;
}

/* Between far cores a line takes more than twice as long: there nothing is meant. */
static const char *rate_verdict(const struct summary *summary)
{
    if (summary->tag != NEAR && summary->tag != NEAR_SHARED)
        return "";
    return summary->sides[0].messages_per_s >= MEANT_PER_S ? "reached" : "missed";
}

void report_head(void)
{
    puts("Round trips in ns: p50 p99 p99.9 max. One way: million messages/s, GB/s.\n"
         "Ratios are weir to the side below it: medians of pairs (lowest to highest).");
}

void report_cell(const struct summary *summary)
{
    const struct cell *cell = summary->cell;
    printf("\n%s  ring %llu KiB, %s (bounce %.0f ns), %u of %u rounds\n", cell->name,
           (unsigned long long)(cell->work.ring_bytes >> 10), tag_name(summary->tag),
           summary->bounce_ns, summary->pair_count, summary->round_count);
    for (unsigned side = 0; side < cell->side_count; side++) {
        const struct figures *figures = &summary->sides[side];
        printf("  %-14s", cell->sides[side]->name);
        if (is_rate(summary))
            printf("%12.3f M/s %10.3f GB/s", figures->messages_per_s / 1e6,
                   figures->messages_per_s * (double)cell->work.size_bytes / 1e9);
        else
            printf("%10.0f %10.0f %10.0f %10.0f", figures->p50_ns, figures->p99_ns,
                   figures->p999_ns, figures->max_ns);
        if (cell->work.kind == ASLEEP)
            printf("  %.2f sleeps a message", figures->sleeps);
        putchar('\n');
    }
    printf("  ratio   %s %.3f (%.3f to %.3f) %s", is_rate(summary) ? "rate" : "p50",
           summary->ratio[0], summary->lowest, summary->highest, verdict(summary, 0));
    if (summary->has_ratio[1])
        printf(", p99.9 %.3f %s", summary->ratio[1], verdict(summary, 1));
    putchar('\n');
    if (has_rate_aim(summary))
        printf("          %.0f M/s meant where a line travels in 120 ns: %.1f %s\n",
               MEANT_PER_S / 1e6, summary->sides[0].messages_per_s / 1e6, rate_verdict(summary));
    const struct ratios *to_readonly = &summary->to_readonly;
    if (to_readonly->pair_count > 0)
        printf("          to the read-only ring %.3f (%.3f to %.3f), %u rounds\n",
               to_readonly->median, to_readonly->lowest, to_readonly->highest,
               to_readonly->pair_count);
    fflush(stdout);
}

static void print_to_readonly(const struct ratios *ratios, unsigned pair_count)
{
    if (ratios->pair_count == 0)
        puts(" - |");
    else if (ratios->pair_count < pair_count)
        printf(" %.2f (%.2f to %.2f), of %u |\n", ratios->median, ratios->lowest, ratios->highest,
               ratios->pair_count);
    else
        printf(" %.2f (%.2f to %.2f) |\n", ratios->median, ratios->lowest, ratios->highest);
}

static void markdown_table(const struct summary *summaries, unsigned count, enum kind kind)
{
    static const char *const titles[] = { "Round trips, awake", "One way, one commit a message",
                                          "One way, 64 messages a commit", "Round trips, asleep" };
    bool rates = kind == ONE_WAY || kind == BATCHED;
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct summary *summary = &summaries[i];
        if (summary->cell->work.kind != kind)
            continue;
        if (found++ == 0)
            printf("\n## %s\n\n%s", titles[kind],
                   rates ? "| cell | cores | pairs | weir ÷ reference | lowest to highest | "
                           "at least | | weir ÷ read-only ring |\n"
                           "|---|---|---|---|---|---|---|---|\n"
                         : "| cell | cores | pairs | p50, weir ÷ reference | lowest to highest | "
                           "at most | | p99.9, weir ÷ reference | p50, weir ÷ read-only ring |\n"
                           "|---|---|---|---|---|---|---|---|---|\n");
        printf("| %s: %s ÷ %s | %s, %.0f ns | %u of %u | %.2f | %.2f to %.2f | %.3g | %s |",
               summary->cell->name, summary->cell->sides[0]->name, summary->cell->sides[1]->name,
               tag_name(summary->tag), summary->bounce_ns, summary->pair_count,
               summary->round_count, summary->ratio[0], summary->lowest, summary->highest,
               aim(summary, 0), verdict(summary, 0));
        if (!rates)
            printf(" %.2f |", summary->ratio[1]);
        print_to_readonly(&summary->to_readonly, summary->pair_count);
    }
}

static void markdown_rates(const struct summary *summaries, unsigned count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct summary *summary = &summaries[i];
        if (!has_rate_aim(summary))
            continue;
        if (found++ == 0)
            puts("\n## 64 bytes, one by one\n\n| cell | cores | pairs | weir, million messages a "
                 "second | at least, near | |\n|---|---|---|---|---|---|");
        printf("| %s | %s, %.0f ns | %u of %u | %.1f | %.0f | %s |\n", summary->cell->name,
               tag_name(summary->tag), summary->bounce_ns, summary->pair_count,
               summary->round_count, summary->sides[0].messages_per_s / 1e6, MEANT_PER_S / 1e6,
               rate_verdict(summary));
    }
}

void report_markdown(const struct summary *summaries, unsigned count, const char *command)
{
    char processor[128], date[32];
    time_t now = time(NULL);
    struct tm broken;
    processor_name(processor, sizeof processor);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &broken));
    printf("Written by `%s` on %s; %s.\n", command, date, processor);
    for (enum kind kind = ROUND_TRIP; kind <= ASLEEP; kind++)
        markdown_table(summaries, count, kind);
    markdown_rates(summaries, count);
}
