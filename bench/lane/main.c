/* SPDX-License-Identifier: MIT */
/*
 * lane - weir's channel beside the bare hardware, in one run, as ratios
 *
 * All sides of a cell take turns, round after round; a look at the two cores before and after
 * each says how far they were apart, and whether somebody else was on one. Only pairs of rounds
 * that bear the same tag are compared. Times alone mean nothing on another machine.
 */
#include "lane.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/channel.h>

#include "../cpus.h"
#include "../share.h"
#include "report.h"
#include "ticks.h"

enum { CELLS_MAX = 64 };

static const uint64_t sizes[] = { 8, 64, 1024, 65536, 1048576 };
static const char *const size_names[] = { "8", "64", "1K", "64K", "1M" };

static struct cell cells[CELLS_MAX];
static unsigned cell_count;
static struct summary summaries[CELLS_MAX];

static const char usage[] =
    "Usage: lane [OPTION]...\n"
    "\n"
    "Measures weir's channel between two pinned processes beside a bare ring, the same\n"
    "mapped read-only by its reader, memcpy, a pipe and a bare futex.\n"
    "\n"
    "Options:\n"
    "  -c, --cell NAME      only the cells whose names begin so: one-way/64/copy, batched\n"
    "  -q, --quick          20 seconds at most, to see that it works: no figures to keep\n"
    "  -j, --json           write JSON\n"
    "  -m, --markdown       write the tables of docs/performance.md\n"
    "  -l, --list           write the names of the cells\n"
    "  -r, --rounds N       pairs wanted of each cell (1 to 21; 7)\n"
    "  -o, --openings N     openings to have them in, each with other memory (1 to 21; 4)\n"
    "  -n, --messages N     messages of a run, for all cells alike\n"
    "  -R, --ring BYTES     ring for all cells: a power of two\n"
    "  -C, --cpus A,B       the two processors\n"
    "  -d, --default-wait   weir spins for its default time, then sleeps, instead of spinning on\n"
    "  -h, --help           show this\n";

static struct cell *add_cell(enum kind kind, unsigned size, enum form form)
{
    static const char *const kinds[] = { "round-trip", "one-way", "batched", "asleep" };
    struct cell *cell = &cells[cell_count++];
    snprintf(cell->name, sizeof cell->name, "%s/%s/%s", kinds[kind], size_names[size],
             form == COPYING ? "copy" : "place");
    cell->work.kind = kind;
    cell->work.form = form;
    cell->work.size_bytes = sizes[size];
    /* The largest message takes a quarter of weir's ring, less its header. */
    cell->work.ring_bytes = sizes[size] < 1048576 ? WEIR_RING_BYTES_DEFAULT : UINT64_C(8) << 20;
    cell->sides[cell->side_count++] = &transport_weir;
    if (&transport_other) {
        cell->sides[cell->side_count++] = &transport_other;
        return cell;
    }
    cell->sides[cell->side_count++] = kind == ASLEEP ? &transport_futex : &transport_ring;
    if (kind != ASLEEP)
        cell->sides[cell->side_count++] = &transport_ring_readonly;
    if (form == COPYING)
        cell->sides[cell->side_count++] = &transport_pipe;
    if (form == COPYING && (kind == ONE_WAY || kind == BATCHED))
        cell->sides[cell->side_count++] = &transport_memcpy;
    if (form == COPYING && kind == ROUND_TRIP && sizes[size] == 8)
        cell->sides[cell->side_count++] = &transport_line;
    return cell;
}

/*
 * Small messages through a ring that the reader's cache does not hold: then the writer finds its
 * lines in the memory that both share, and not in the other core.
 */
static void add_large_ring_cell(enum kind kind, enum form form)
{
    struct cell *cell = add_cell(kind, 1, form);
    cell->work.ring_bytes = UINT64_C(4) << 20;
    strcat(cell->name, "/4M");
}

static void add_cells(void)
{
    for (enum kind kind = ROUND_TRIP; kind <= BATCHED; kind++)
        for (unsigned size = 0; size < sizeof sizes / sizeof *sizes; size++)
            for (enum form form = COPYING; form <= IN_PLACE; form++)
                add_cell(kind, size, form);
    for (enum kind kind = ONE_WAY; kind <= BATCHED; kind++)
        for (enum form form = COPYING; form <= IN_PLACE; form++)
            add_large_ring_cell(kind, form);
    add_cell(ASLEEP, 0, COPYING);
}

/* Messages that take about the budget on a machine of these years. */
static uint64_t messages_for(const struct work *work, uint64_t budget_ns)
{
    uint64_t copy_ns = work->size_bytes / 16, each_ns = 15 + copy_ns;
    if (work->kind == BATCHED)
        each_ns = 4 + copy_ns;
    if (work->kind == ROUND_TRIP)
        each_ns = 300 + 2 * copy_ns;
    if (work->kind == ASLEEP)
        each_ns = 150000;
    uint64_t messages = budget_ns / each_ns;
    return messages < 50 ? 50 : messages;
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < least || value > most) {
        fprintf(stderr, "lane: '%s' is not a number from %llu to %llu\n", text,
                (unsigned long long)least, (unsigned long long)most);
        exit(2);
    }
    return value;
}

enum output { TEXT, JSON, MARKDOWN, LIST };

static const struct option options[] = {
    { "cell", required_argument, NULL, 'c' },
    { "quick", no_argument, NULL, 'q' },
    { "json", no_argument, NULL, 'j' },
    { "markdown", no_argument, NULL, 'm' },
    { "list", no_argument, NULL, 'l' },
    { "rounds", required_argument, NULL, 'r' },
    { "messages", required_argument, NULL, 'n' },
    { "ring", required_argument, NULL, 'R' },
    { "cpus", required_argument, NULL, 'C' },
    { "default-wait", no_argument, NULL, 'd' },
    { "openings", required_argument, NULL, 'o' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static void read_options(int argc, char **argv, struct settings *settings, enum output *output,
                         const char **only)
{
    int option;
    while ((option = getopt_long(argc, argv, "c:qjmlr:o:n:R:C:dh", options, NULL)) != -1) {
        if (option == 'c')
            *only = optarg;
        else if (option == 'q')
            settings->rounds = 2, settings->budget_ns = 3000000, settings->is_quick = true;
        else if (option == 'j' || option == 'm' || option == 'l')
            *output = option == 'j' ? JSON : option == 'm' ? MARKDOWN : LIST;
        else if (option == 'r')
            settings->rounds = (unsigned)number(optarg, 1, ROUNDS_MAX / 3);
        else if (option == 'o')
            settings->openings = (unsigned)number(optarg, 1, ROUNDS_MAX / 3);
        else if (option == 'n')
            settings->messages = number(optarg, 1, UINT64_C(1) << 40);
        else if (option == 'R')
            settings->ring_bytes = number(optarg, 1 << 16, UINT64_C(1) << 32);
        else if (option == 'C' &&
                 sscanf(optarg, "%d,%d", &settings->cpus[0], &settings->cpus[1]) == 2)
            continue;
        else if (option == 'd')
            settings->is_default_wait = true;
        else {
            fputs(usage, option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 2);
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        exit(2);
    }
}

static unsigned run_cells(const struct settings *settings, enum output output, const char *only)
{
    static struct board board;
    unsigned done = 0;
    for (unsigned i = 0; i < cell_count; i++) {
        struct cell *cell = &cells[i];
        if (only && strncmp(cell->name, only, strlen(only)) != 0)
            continue;
        if (output == LIST) {
            puts(cell->name);
            done++;
            continue;
        }
        if (settings->ring_bytes)
            cell->work.ring_bytes = settings->ring_bytes;
        cell->work.messages = settings->messages ? settings->messages
                                                 : messages_for(&cell->work, settings->budget_ns);
        if (!cell_run(cell, settings, &board))
            exit(1);
        summarize(&summaries[done], cell, &board);
        if (output == TEXT)
            report_cell(&summaries[done]);
        done++;
    }
    return done;
}

int main(int argc, char **argv)
{
    struct settings settings = { .rounds = 7, .openings = 4, .budget_ns = 100000000 };
    enum output output = TEXT;
    const char *only = NULL;
    char command[512] = "lane";
    if (!cpus_choose(settings.cpus))
        settings.cpus[0] = settings.cpus[1] = -1;
    for (int i = 1; i < argc && strlen(command) + strlen(argv[i]) + 2 < sizeof command; i++)
        strcat(strcat(command, " "), argv[i]);
    read_options(argc, argv, &settings, &output, &only);
#ifndef WEIR_HAVE_JANSSON
    if (output == JSON)
        give_up("built without jansson: no JSON");
#endif
    if (settings.cpus[0] < 0 && output != LIST) {
        fputs("lane: two processors are needed\n", stderr);
        return 77;
    }
    settings.ticks_per_ns = ticks_per_ns();
    if (output != LIST && !settings.is_quick)
        settings.whole = share_look_for_whole(settings.cpus);
    add_cells();
    if (output == TEXT)
        report_head();
    unsigned count = run_cells(&settings, output, only);
    if (count == 0)
        give_up("there is no cell '%s': see --list", only);
    if (output == MARKDOWN)
        report_markdown(summaries, count, command);
    if (output == JSON && !report_json(summaries, count, command))
        give_up("the JSON cannot be written");
    return 0;
}
