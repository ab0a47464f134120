/* SPDX-License-Identifier: MIT */
/*
 * latest - what it costs to read and to write the latest value, beside the bare ways, in one run
 *
 * Rounds take turns through all sizes. Between two pinned processes: how far their cores are
 * apart, by the bounce of a cache line, and whether these were theirs alone, stands in each row.
 */
#include "latest.h"

#include "../bounce.h"
#include "../cpus.h"
#include "../share.h"
#include "../values.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t sizes[SIZES] = { 8, 64, 256, 1024, 4096, 16384, 131072, 1048576 };

static const char usage[] =
    "Usage: latest [OPTION]...\n"
    "\n"
    "Measures reading the latest value under a writer at full speed, and without one, beside\n"
    "memcpy of private memory, a bare sequence lock and a copy that nothing keeps whole; and\n"
    "writing, with a reader at full speed and without one.\n"
    "\n"
    "Options:\n"
    "  -q, --quick       to see that it works: no figures to keep\n"
    "  -j, --json        write JSON\n"
    "  -m, --markdown    write the table of docs/performance.md\n"
    "  -r, --rounds N    1 to 21 (7)\n"
    "  -s, --size BYTES  only this size\n"
    "  -C, --cpus A,B    the two processors: reader, writer\n"
    "  -h, --help        show this\n";

static const struct option options[] = {
    { "quick", no_argument, NULL, 'q' },      { "json", no_argument, NULL, 'j' },
    { "markdown", no_argument, NULL, 'm' },   { "rounds", required_argument, NULL, 'r' },
    { "size", required_argument, NULL, 's' }, { "cpus", required_argument, NULL, 'C' },
    { "help", no_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
};

struct settings {
    unsigned rounds;
    uint64_t budget_ns, only;
    bool is_quick; /* no figures to keep: whose the cores are is not asked */
    double whole;  /* the share of a core that is ours alone; 0: not asked */
    int cpus[2];
    char output; /* 't', 'j', 'm' */
};

static bool take_option(int option, struct settings *settings)
{
    switch (option) {
    case 'q':
        settings->rounds = 1, settings->budget_ns = 4000000, settings->is_quick = true;
        return true;
    case 'j':
    case 'm':
        settings->output = (char)option;
        return true;
    case 'r':
        settings->rounds = (unsigned)strtoul(optarg, NULL, 10);
        return settings->rounds >= 1 && settings->rounds <= ROUNDS_MAX;
    case 's':
        settings->only = strtoull(optarg, NULL, 10);
        return settings->only >= 8 && settings->only % 8 == 0;
    case 'C':
        return sscanf(optarg, "%d,%d", &settings->cpus[0], &settings->cpus[1]) == 2;
    default:
        return false;
    }
}

static const char *cores_of(const struct figures *round)
{
    bool was_far = round->bounce_ns >= BOUNCE_NEAR_BELOW_NS;
    if (was_far != (round->bounce_after_ns >= BOUNCE_NEAR_BELOW_NS))
        return "mixed";
    return was_far ? "far" : "near";
}

/* Those that are so go to the front: how many they are. Where none are, all stay. */
static unsigned choose_cores(struct figures *rounds, unsigned count, const char *cores)
{
    unsigned chosen = 0;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(cores_of(&rounds[i]), cores) == 0)
            rounds[chosen++] = rounds[i];
    return chosen ? chosen : count;
}

static unsigned choose_whole(struct figures *rounds, unsigned count, double whole)
{
    unsigned chosen = 0;
    for (unsigned i = 0; i < count; i++)
        if (share_is_whole(rounds[i].share, whole))
            rounds[chosen++] = rounds[i];
    return chosen ? chosen : count;
}

/*
 * The rounds of the tag that most have, and of these the ones that had their cores to themselves, if there
 * are any, go to the front: how many they are.
 */
static unsigned choose(struct summary *summary, struct figures *rounds, unsigned count,
                       double whole)
{
    static const char *const tags[] = { "near", "far" };
    unsigned found[2] = { 0, 0 };
    for (unsigned i = 0; i < 2 * count; i++)
        found[i % 2] += strcmp(cores_of(&rounds[i / 2]), tags[i % 2]) == 0;
    summary->cores = found[0] + found[1] == 0 ? "mixed" : tags[found[1] > found[0]];
    count = choose_whole(rounds, choose_cores(rounds, count, summary->cores), whole);
    summary->is_whole = share_is_whole(rounds[0].share, whole);
    return count;
}

/* Each figure by itself, of the rounds that were chosen. */
static void summarize(struct summary *summary, struct figures *rounds, unsigned all, double whole)
{
    unsigned count = choose(summary, rounds, all, whole);
    double *median = (double *)(void *)&summary->median;
    double *lowest = (double *)(void *)&summary->lowest;
    double *highest = (double *)(void *)&summary->highest;
    for (size_t field = 0; field < sizeof(struct figures) / sizeof(double); field++) {
        double values[ROUNDS_MAX];
        for (unsigned i = 0; i < count; i++)
            values[i] = ((const double *)(const void *)&rounds[i])[field];
        values_sort(values, count);
        median[field] = values[count / 2];
        lowest[field] = values[0];
        highest[field] = values[count - 1];
    }
    summary->rounds = count;
    summary->all_rounds = all;
}

int main(int argc, char **argv)
{
    struct settings settings = { .rounds = 7, .budget_ns = 100000000, .output = 't' };
    static struct figures figures[SIZES][ROUNDS_MAX];
    struct summary summaries[SIZES];
    char command[256] = "latest";
    int option;
    bool has_cpus = cpus_choose(settings.cpus);
    for (int i = 1; i < argc && strlen(command) + strlen(argv[i]) + 2 < sizeof command; i++)
        strcat(strcat(command, " "), argv[i]);
    while ((option = getopt_long(argc, argv, "qjmr:s:C:h", options, NULL)) != -1) {
        if (!take_option(option, &settings)) {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!has_cpus) {
        fputs("latest: two processors are needed\n", stderr);
        return 77;
    }
    if (!settings.is_quick)
        settings.whole = share_look_for_whole(settings.cpus);
    unsigned count = settings.only ? 1 : SIZES;
    for (unsigned i = 0; i < count; i++)
        summaries[i].size_bytes = settings.only ? settings.only : sizes[i];
    for (unsigned round = 0; round < settings.rounds; round++)
        for (unsigned i = 0; i < count; i++)
            if (!cell_run(summaries[i].size_bytes, settings.budget_ns, settings.cpus,
                          &figures[i][round]))
                return 1;
    for (unsigned i = 0; i < count; i++)
        summarize(&summaries[i], figures[i], settings.rounds, settings.whole);
    if (settings.output == 'j')
        report_json(summaries, count);
    else if (settings.output == 'm')
        report_markdown(summaries, count, command);
    else
        report_text(summaries, count);
    return 0;
}
