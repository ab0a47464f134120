/* SPDX-License-Identifier: MIT */
/* For each way between two processes: what it took, and how many times as fast weir was. */
#include "report.h"

#include <stdio.h>
#include <time.h>

static bool is_rate(const struct summary *summary)
{
    return summary->cell->work.kind == ONE_WAY;
}

/* How many times as fast weir is: of times weir's is the smaller one. */
static double times_as_fast(const struct summary *summary, double ratio)
{
    return is_rate(summary) ? ratio : 1 / ratio;
}

/* Microseconds, or million messages a second. */
static double value_of(const struct summary *summary, unsigned side)
{
    const struct figures *figures = &summary->sides[side];
    return is_rate(summary) ? figures->messages_per_s / 1e6 : figures->p50_ns / 1e3;
}

void peers_report_cell(const struct summary *summary)
{
    const struct cell *cell = summary->cell;
    printf("%s  %s (bounce %.0f ns), %u of %u rounds; %s\n", cell->name, tag_name(summary->tag),
           summary->bounce_ns, summary->pair_count, summary->round_count,
           is_rate(summary) ? "million messages a second" : "p50 in µs");
    for (unsigned side = 0; side < cell->side_count; side++) {
        const struct ratios *to = &summary->to[side];
        printf("  %-27s %9.3f", cell->sides[side]->name, value_of(summary, side));
        if (to->pair_count > 0) {
            double first = times_as_fast(summary, to->lowest),
                   last = times_as_fast(summary, to->highest);
            printf("   weir %.3g times as fast (%.3g to %.3g)", times_as_fast(summary, to->median),
                   first < last ? first : last, first < last ? last : first);
        }
        putchar('\n');
    }
    fflush(stdout);
}

static bool has_side(const struct summary *summary, const struct transport *transport,
                     unsigned *side)
{
    for (*side = 0; *side < summary->cell->side_count; ++*side)
        if (summary->cell->sides[*side] == transport)
            return true;
    return false;
}

static void print_beside(double value, double times)
{
    printf(times < 9.95 ? " %.3g (%.2g) |" : " %.3g (%.0f) |", value, times);
}

static void print_row(const struct summary *summaries, unsigned count,
                      const struct transport *transport)
{
    printf("| %s |", transport->name);
    for (unsigned i = 0; i < count; i++) {
        unsigned side;
        if (!has_side(&summaries[i], transport, &side))
            printf(" - |");
        else if (summaries[i].to[side].pair_count == 0)
            printf(" %.3g |", value_of(&summaries[i], side));
        else
            print_beside(value_of(&summaries[i], side),
                         times_as_fast(&summaries[i], summaries[i].to[side].median));
    }
    putchar('\n');
}

/* How far the slow ones of weir's are from its median. */
static void print_tail(const struct summary *summaries, unsigned count, double share)
{
    printf("| %s, %g %% |", summaries->cell->sides[0]->name, 100 * share);
    for (unsigned i = 0; i < count; i++) {
        const struct figures *weir = &summaries[i].sides[0];
        printf(" %.3g |", (share > 0.99 ? weir->p999_ns : weir->p99_ns) / 1e3);
    }
    putchar('\n');
}

static bool is_in(const struct summary *summaries, unsigned count,
                  const struct transport *transport)
{
    unsigned side;
    for (unsigned i = 0; i < count; i++)
        if (has_side(&summaries[i], transport, &side))
            return true;
    return false;
}

/* One table: those of one kind, which stand behind one another. */
static void print_table(const struct summary *summaries, unsigned count)
{
    static const char *const titles[] = { [ROUND_TRIP] = "There and back, awake: µs (p50)",
                                          [ONE_WAY] = "One way: million messages a second",
                                          [ASLEEP] = "There and back, asleep: µs (p50)" };
    printf("\n## %s\n\n| |", titles[summaries->cell->work.kind]);
    for (unsigned i = 0; i < count; i++)
        printf(" %s |", summaries[i].cell->name);
    printf("\n|---|");
    for (unsigned i = 0; i < count; i++)
        printf("---|");
    printf("\n| cores |");
    for (unsigned i = 0; i < count; i++)
        printf(" %s, %.0f ns |", tag_name(summaries[i].tag), summaries[i].bounce_ns);
    putchar('\n');
    for (unsigned i = 0; i < count; i++)
        for (unsigned side = 0; side < summaries[i].cell->side_count; side++)
            if (!is_in(summaries, i, summaries[i].cell->sides[side]))
                print_row(summaries, count, summaries[i].cell->sides[side]);
    if (is_rate(summaries))
        return;
    print_tail(summaries, count, 0.99);
    print_tail(summaries, count, 0.999);
}

void peers_report_markdown(const struct summary *summaries, unsigned count, const char *command)
{
    char processor[128], date[32];
    time_t now = time(NULL);
    struct tm broken;
    processor_name(processor, sizeof processor);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&now, &broken));
    printf("Written by `%s` on %s; %s. In brackets: how many times as fast weir was.\n", command,
           date, processor);
    for (unsigned first = 0, next; first < count; first = next) {
        for (next = first;
             next < count && summaries[next].cell->work.kind == summaries[first].cell->work.kind;)
            next++;
        print_table(&summaries[first], next - first);
    }
}
