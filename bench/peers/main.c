/* SPDX-License-Identifier: MIT */
/*
 * peers - messages from process to process: weir beside what else there is for it
 *
 * As bench/lane does it: all sides of a cell take turns, round after round, between the same two
 * pinned processes; what is compared was measured in one round. weir has its default options: it
 * spins for its default time, then sleeps; asleep, it sleeps at once. All copy each message in and
 * out, and the payload is looked at.
 */
#include "peers.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/channel.h>

#include "cpus.h"
#include "lane/ticks.h"
#include "report.h"
#include "share.h"

enum { MESSAGES_MIN = 50 };

static const struct {
    enum kind kind;
    const char *size_name;
    uint64_t size_bytes;
} traffic[] = {
    { ROUND_TRIP, "8 B", 8 },        { ROUND_TRIP, "1 KiB", 1024 },
    { ROUND_TRIP, "64 KiB", 65536 }, { ROUND_TRIP, "1 MiB", 1 << 20 },
    { ONE_WAY, "8 B", 8 },           { ONE_WAY, "64 B", 64 },
    { ONE_WAY, "1 KiB", 1024 },      { ONE_WAY, "64 KiB", 65536 },
    { ONE_WAY, "1 MiB", 1 << 20 },   { ASLEEP, "8 B", 8 },
    { ASLEEP, "1 KiB", 1024 },       { ASLEEP, "1 MiB", 1 << 20 },
};

enum { CELLS = sizeof traffic / sizeof *traffic };

static const char *const kind_names[] = {
    [ROUND_TRIP] = "round-trip", [ONE_WAY] = "one-way", [ASLEEP] = "asleep"
};

static const char usage[] =
    "Usage: peers [OPTION]...\n"
    "\n"
    "Messages between two processes: weir beside a bare ring, a pipe, a Unix socket, message\n"
    "queues, the textbook's segment with semaphores, and, where they were there when this\n"
    "was built, Boost.Interprocess, ZeroMQ, iceoryx and Aeron. The last two have a daemon: it\n"
    "is started first, and ended last.\n"
    "\n"
    "Options:\n"
    "  -c, --cell KIND    round-trip, one-way or asleep alone\n"
    "  -q, --quick        to see that it works: no figures to keep\n"
    "  -m, --markdown     the tables of docs/performance.md\n"
    "  -r, --rounds N     rounds wanted of each cell (1 to 21; 7)\n"
    "  -C, --cpus A,B     the two processors\n"
    "  -h, --help         show this\n";

/* Each with a daemon of its own, which is started before the first cell. Up to NULL. */
static struct {
    const struct transport *transport;
    bool (*start)(void);
    void (*end)(void);
    bool is_running; /* without its daemon it is left out */
} with_daemons[] = {
#ifdef WEIR_HAVE_ICEORYX
    { &transport_iceoryx, peers_iceoryx_start, peers_iceoryx_end, false },
#endif
#ifdef WEIR_HAVE_AERON
    { &transport_aeron, peers_aeron_start, peers_aeron_end, false },
#endif
    { NULL, NULL, NULL, false },
};

static void start_daemons(void)
{
    for (unsigned i = 0; with_daemons[i].transport; i++)
        with_daemons[i].is_running = with_daemons[i].start();
}

/* The last one first: it has what keeps the others running. */
static void end_daemons(void)
{
    for (unsigned i = sizeof with_daemons / sizeof *with_daemons; i-- > 0;)
        if (with_daemons[i].is_running)
            with_daemons[i].end();
}

static void add_side(struct cell *cell, const struct transport *transport, uint64_t most_bytes)
{
    if (most_bytes == 0 || cell->work.size_bytes <= most_bytes)
        cell->sides[cell->side_count++] = transport;
}

/* The limit first, behind weir; then what each kernel has, and then libraries. */
static void add_sides(struct cell *cell)
{
    bool waits = cell->work.kind != ROUND_TRIP;
    add_side(cell, &transport_weir, 0);
    add_side(cell, cell->work.kind == ASLEEP ? &transport_futex : &transport_ring, 0);
    add_side(cell, &transport_pipe, 0);
    add_side(cell, &transport_unix, 0);
    add_side(cell, &transport_sysv_messages, peers_sysv_message_most());
    add_side(cell, &transport_posix_messages, peers_posix_message_most());
    if (waits)
        add_side(cell, &transport_textbook, 0);
    if (cell->work.kind == ONE_WAY)
        add_side(cell, &transport_textbook_16, 0);
#ifdef WEIR_HAVE_BOOST
    add_side(cell, &transport_boost, 0);
#endif
#ifdef WEIR_HAVE_ZEROMQ
    if (waits)
        add_side(cell, &transport_zeromq, 0);
#endif
    for (unsigned i = 0; with_daemons[i].transport; i++)
        if (with_daemons[i].is_running)
            add_side(cell, with_daemons[i].transport, 0);
}

/* Messages that take weir about the budget. */
static uint64_t messages_for(const struct work *work, uint64_t budget_ns)
{
    uint64_t each_ns = work->kind == ASLEEP       ? 150000
                       : work->kind == ROUND_TRIP ? 300 + work->size_bytes / 8
                                                  : 15 + work->size_bytes / 16;
    return budget_ns / each_ns < MESSAGES_MIN ? MESSAGES_MIN : budget_ns / each_ns;
}

static void set_cell(struct cell *cell, unsigned index, const struct settings *settings)
{
    *cell = (struct cell){ .work = { .kind = traffic[index].kind,
                                     .form = COPYING,
                                     .size_bytes = traffic[index].size_bytes,
                                     .ring_bytes = traffic[index].size_bytes < 1 << 20
                                                       ? WEIR_RING_BYTES_DEFAULT
                                                       : UINT64_C(8) << 20 } };
    cell->work.messages = messages_for(&cell->work, settings->budget_ns);
    snprintf(cell->name, sizeof cell->name, "%s", traffic[index].size_name);
    add_sides(cell);
}

struct asked {
    const char *only;
    bool is_markdown;
};

static const struct option options[] = {
    { "cell", required_argument, NULL, 'c' },
    { "quick", no_argument, NULL, 'q' },
    { "markdown", no_argument, NULL, 'm' },
    { "rounds", required_argument, NULL, 'r' },
    { "cpus", required_argument, NULL, 'C' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static bool is_kind(const char *name)
{
    for (unsigned i = 0; i < CELLS; i++)
        if (strcmp(name, kind_names[traffic[i].kind]) == 0)
            return true;
    return false;
}

static void read_options(int argc, char **argv, struct settings *settings, struct asked *asked)
{
    int option;
    bool is_good = true;
    while (is_good && (option = getopt_long(argc, argv, "c:qmr:C:h", options, NULL)) != -1) {
        if (option == 'c')
            asked->only = optarg, is_good = is_kind(optarg);
        else if (option == 'q')
            settings->rounds = 1, settings->budget_ns = 100000, settings->is_quick = true;
        else if (option == 'm')
            asked->is_markdown = true;
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

static unsigned run_cells(const struct settings *settings, const struct asked *asked,
                          struct summary *summaries)
{
    static struct cell cells[CELLS];
    static struct board board;
    unsigned count = 0;
    for (unsigned i = 0; i < CELLS; i++) {
        if (asked->only && strcmp(asked->only, kind_names[traffic[i].kind]) != 0)
            continue;
        set_cell(&cells[i], i, settings);
        if (!cell_run(&cells[i], settings, &board))
            return 0;
        summarize(&summaries[count], &cells[i], &board);
        if (!asked->is_markdown) {
            printf("\n%s, ", kind_names[traffic[i].kind]);
            peers_report_cell(&summaries[count]);
        }
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct summary summaries[CELLS];
    struct settings settings = { .rounds = 7, .budget_ns = 20000000, .is_default_wait = true };
    struct asked asked = { .only = NULL };
    char command[256] = "peers";
    unsigned count;
    if (!cpus_choose(settings.cpus))
        settings.cpus[0] = settings.cpus[1] = -1;
    for (int i = 1; i < argc && strlen(command) + strlen(argv[i]) + 2 < sizeof command; i++)
        strcat(strcat(command, " "), argv[i]);
    read_options(argc, argv, &settings, &asked);
    if (settings.cpus[0] < 0) {
        fputs("peers: two processors are needed\n", stderr);
        return 77;
    }
    settings.ticks_per_ns = ticks_per_ns();
    if (!settings.is_quick)
        settings.whole = share_look_for_whole(settings.cpus);
    start_daemons();
    count = run_cells(&settings, &asked, summaries);
    end_daemons();
    if (count == 0)
        return 1;
    if (asked.is_markdown)
        peers_report_markdown(summaries, count, command);
    return 0;
}
