/* SPDX-License-Identifier: MIT */
/*
 * channels - what many publishers and subscribers cost beside one of each, in one run, as ratios
 *
 * Between two processors as bench/lane does it: the sides of a cell take turns, round after
 * round, and a look before and after each says how far the two were apart, and whose they were;
 * only pairs of rounds that bear the same tag are compared. What one process measures by
 * itself is pinned to the first of them.
 */
#include "channels.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "lane/report.h"
#include "lane/ticks.h"
#include "share.h"

enum { RING_BYTES = 1 << 20, POINTS = 16 };

/* Between two processes. */
static const struct pair {
    const char *name, *what;
    enum kind kind;
    uint64_t size_bytes;
    unsigned publishers;
    const struct transport *sides[2];
    double aim;
    bool is_at_most;
} pairs[] = {
    { "1-1/stream",
      "64 bytes, 1 to 1 ÷ a bare ring, rate",
      ONE_WAY,
      64,
      1,
      { &transport_weir, &transport_ring },
      0.9,
      false },
    { "8-1/stream",
      "64 bytes, 8 publishers ÷ 1 to one subscriber, rate",
      ONE_WAY,
      64,
      8,
      { &transport_many, &transport_one },
      0.9,
      false },
    { "8-1/processes",
      "64 bytes, 8 publishing processes on one core ÷ 1 to one subscriber, rate",
      ONE_WAY,
      64,
      8,
      { &transport_processes, &transport_one },
      0.9,
      false },
    { "1-1/asleep",
      "8 bytes there and back, asleep ÷ a bare futex, time",
      ASLEEP,
      8,
      1,
      { &transport_weir, &transport_futex },
      1.1,
      true },
};

/* In one process. */
static const struct lonely {
    const char *name, *what;
    void (*measure)(const struct alone *alone, unsigned count, struct row *row);
    unsigned count;
    double aim;
    const char *unit;
} lonely[] = {
    { "1-1/core", "8 bytes there and back, both on one core ÷ a pipe, time", measure_core, 0, 1,
      "" },
    { "1-N/1", "64 bytes to 1 awake subscriber", measure_awake, 1, 0, " ns" },
    { "1-N/2", "each of 2, beside the first", measure_awake, 2, 2, " ns" },
    { "1-N/4", "each of 4, beside the first", measure_awake, 4, 2, " ns" },
    { "1-N/8", "each of 8, beside the first", measure_awake, 8, 2, " ns" },
    { "1-N/16", "each of 16, beside the first", measure_awake, 16, 2, " ns" },
    { "1-N/32", "each of 32, beside the first", measure_awake, 32, 2, " ns" },
    { "1-N/64", "each of 64, beside the first", measure_awake, 64, 2, " ns" },
    { "join/0", "a subscriber joins and leaves, beside a publisher", measure_join, 0, 300, " µs" },
    { "join/16", "beside a publisher and 16 subscribers", measure_join, 16, 300, " µs" },
};

static void run_pair(const struct pair *pair, const struct settings *settings, struct row *row)
{
    static struct board board;
    struct summary summary;
    struct cell cell = { .work = { .kind = pair->kind,
                                   .form = COPYING,
                                   .size_bytes = pair->size_bytes,
                                   .ring_bytes = RING_BYTES,
                                   .publishers = pair->publishers },
                         .sides = { pair->sides[0], pair->sides[1] },
                         .side_count = 2 };
    uint64_t each_ns = pair->kind == ASLEEP ? 150000 : 15;
    snprintf(cell.name, sizeof cell.name, "%s", pair->name);
    cell.work.messages = settings->budget_ns / each_ns < 50 ? 50 : settings->budget_ns / each_ns;
    if (!cell_run(&cell, settings, &board))
        exit(1);
    summarize(&summary, &cell, &board);
    *row = (struct row){ .name = pair->name,
                         .what = pair->what,
                         .count = pair->publishers,
                         .tag = summary.tag,
                         .bounce_ns = summary.bounce_ns,
                         .pairs = summary.pair_count,
                         .rounds = summary.round_count,
                         .value = summary.ratio[0],
                         .lowest = summary.lowest,
                         .highest = summary.highest,
                         .aim = pair->aim,
                         .is_at_most = pair->is_at_most,
                         .unit = "" };
}

static void run_lonely(const struct lonely *one, const struct settings *settings, struct row *row)
{
    const struct alone alone = { .rounds = settings->rounds,
                                 .messages = settings->budget_ns / 1000,
                                 .ticks_per_ns = settings->ticks_per_ns };
    *row = (struct row){ .name = one->name,
                         .what = one->what,
                         .count = one->count,
                         .aim = one->aim,
                         .is_at_most = true,
                         .unit = one->unit };
    one->measure(&alone, one->count, row);
}

static const char *verdict(const struct row *row)
{
    if (row->aim == 0 || (row->tag == MIXED && !row->is_alone))
        return "";
    bool is_reached = row->is_at_most ? row->value <= row->aim : row->value >= row->aim;
    return is_reached ? "reached" : "missed";
}

static void print_cores(const struct row *row, char *text, size_t size)
{
    if (row->is_alone)
        snprintf(text, size, "one");
    else
        snprintf(text, size, "%s, %.0f ns", tag_name(row->tag), row->bounce_ns);
}

static void print_aim(const struct row *row, char *text, size_t size)
{
    if (row->aim == 0)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%s %g%s", row->is_at_most ? "at most" : "at least", row->aim,
                 row->unit);
}

/* How: t, m, j: text, Markdown, JSON. */
static void print_row(const struct row *row, char how)
{
    char cores[40], aim[40];
    print_cores(row, cores, sizeof cores);
    print_aim(row, aim, sizeof aim);
    if (how == 'j')
        printf("{\"cell\":\"%s\",\"count\":%u,\"cores\":\"%s\",\"bounce_ns\":%.1f,\"pairs\":%u,"
               "\"rounds\":%u,"
               "\"value\":%.4f,\"lowest\":%.4f,\"highest\":%.4f,\"aim\":%.4f,\"is_at_most\":%s}\n",
               row->name, row->count, row->is_alone ? "one" : tag_name(row->tag), row->bounce_ns,
               row->pairs, row->rounds, row->value, row->lowest, row->highest, row->aim,
               row->is_at_most ? "true" : "false");
    else if (how == 'm')
        printf("| %s: %s | %s | %u of %u | %.2f%s | %.2f to %.2f | %s | %s |\n", row->name,
               row->what, cores, row->pairs, row->rounds, row->value, row->unit, row->lowest,
               row->highest, aim, verdict(row));
    else
        printf("%-11s %s (%s; %u of %u rounds)\n  %.2f%s (%.2f to %.2f)%s%s%s%s\n", row->name,
               row->what, cores, row->pairs, row->rounds, row->value, row->unit, row->lowest,
               row->highest, row->aim ? ", " : "", row->aim ? aim : "", row->aim ? ": " : "",
               verdict(row));
    fflush(stdout);
}

static const char usage[] =
    "Usage: channels [OPTION]...\n"
    "\n"
    "Measures a channel of several publishers and subscribers beside one of one each, a bare\n"
    "ring, a bare futex and a pipe.\n"
    "\n"
    "Options:\n"
    "  -c, --cell NAME    only the cells whose names begin so: 1-N, 8-1, join/16\n"
    "  -q, --quick        a few seconds, to see that it works: no figures to keep\n"
    "  -j, --json         a line of JSON a cell\n"
    "  -m, --markdown     the table of docs/performance.md\n"
    "  -p, --plots        the points of the plots instead: 1 to 16 members, for bench/plots\n"
    "  -r, --rounds N     rounds wanted of each cell (1 to 21; 7)\n"
    "  -C, --cpus A,B     the two processors\n"
    "  -h, --help         show this\n";

static const struct option options[] = {
    { "cell", required_argument, NULL, 'c' },
    { "quick", no_argument, NULL, 'q' },
    { "json", no_argument, NULL, 'j' },
    { "markdown", no_argument, NULL, 'm' },
    { "rounds", required_argument, NULL, 'r' },
    { "cpus", required_argument, NULL, 'C' },
    { "plots", no_argument, NULL, 'p' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

struct asked {
    const char *only;
    char how;
    bool wants_plots;
};

static void read_options(int argc, char **argv, struct settings *settings, struct asked *asked)
{
    int option;
    bool is_good = true;
    while (is_good && (option = getopt_long(argc, argv, "c:qjmpr:C:h", options, NULL)) != -1) {
        if (option == 'c')
            asked->only = optarg;
        else if (option == 'q')
            settings->rounds = 1, settings->budget_ns = 3000000, settings->is_quick = true;
        else if (option == 'j' || option == 'm')
            asked->how = (char)option;
        else if (option == 'p')
            asked->wants_plots = true;
        else if (option == 'r')
            is_good = (settings->rounds = (unsigned)atoi(optarg)) >= 1 && settings->rounds <= 21;
        else if (option == 'C')
            is_good = sscanf(optarg, "%d,%d", &settings->cpus[0], &settings->cpus[1]) == 2;
        else if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else
            is_good = false;
    }
    if (!is_good || optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

static bool is_wanted(const struct asked *asked, const char *name)
{
    return !asked->only || strncmp(name, asked->only, strlen(asked->only)) == 0;
}

static unsigned run_table(const struct settings *settings, const struct asked *asked)
{
    struct row row;
    unsigned found = 0;
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!is_wanted(asked, pairs[i].name))
            continue;
        run_pair(&pairs[i], settings, &row);
        print_row(&row, asked->how);
        found++;
    }
    pin_to(settings->cpus[0]); /* after those who pin themselves */
    for (unsigned i = 0; i < sizeof lonely / sizeof *lonely; i++) {
        if (!is_wanted(asked, lonely[i].name))
            continue;
        run_lonely(&lonely[i], settings, &row);
        print_row(&row, asked->how);
        found++;
    }
    return found;
}

/* The same with each number of members. */
static unsigned run_plots(const struct settings *settings, const struct asked *asked)
{
    static const struct lonely curves[] = {
        { "plot/1-N", "64 bytes to N awake subscribers", measure_cost, 1, 0, " ns" },
        { "plot/join", "a subscriber joins and leaves, beside N", measure_join, 0, 300, " µs" },
    };
    struct pair pair = pairs[1];
    struct row row;
    unsigned found = 0;
    pair.name = "plot/N-1";
    pair.what = "64 bytes, N publishers ÷ 1 to one subscriber, rate";
    for (pair.publishers = 1; pair.publishers <= POINTS; pair.publishers++) {
        if (!is_wanted(asked, pair.name))
            continue;
        run_pair(&pair, settings, &row);
        print_row(&row, asked->how);
        found++;
    }
    pin_to(settings->cpus[0]);
    for (unsigned i = 0; i < sizeof curves / sizeof *curves; i++) {
        struct lonely one = curves[i];
        for (; is_wanted(asked, one.name) && one.count <= POINTS; one.count++) {
            run_lonely(&one, settings, &row);
            print_row(&row, asked->how);
            found++;
        }
    }
    return found;
}

int main(int argc, char **argv)
{
    /* Which pages its rings get decides how fast a cell is: so it is opened several times. */
    struct settings settings = { .rounds = 7, .openings = 7, .budget_ns = 60000000 };
    struct asked asked = { .how = 't' };
    if (!cpus_choose(settings.cpus)) {
        fputs("channels: two processors are needed\n", stderr);
        return 77;
    }
    read_options(argc, argv, &settings, &asked);
    settings.ticks_per_ns = ticks_per_ns();
    if (!settings.is_quick)
        settings.whole = share_look_for_whole(settings.cpus);
    if (asked.how == 'm')
        puts("| cell | cores | rounds | median | lowest to highest | aim | |\n"
             "|---|---|---|---|---|---|---|");
    unsigned found = (asked.wants_plots ? run_plots : run_table)(&settings, &asked);
    if (found == 0)
        fputs("channels: there is no such cell\n", stderr);
    return found == 0 ? 2 : 0;
}
