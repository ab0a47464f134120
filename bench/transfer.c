/* SPDX-License-Identifier: MIT */
/*
 * transfer - a file through 'weir send' and 'weir recv', against a pipe
 *
 *   weir    weir send NAME FILE, weir recv NAME >OUTPUT
 *   pipe    cat FILE | cat >OUTPUT
 *
 * The two take turns, so that whatever else the machine does falls on both alike. What counts
 * is each round's ratio, and of those the median; times alone mean nothing on another machine.
 * A round starts with the processes' start and ends with the last one's end. OUTPUT is /dev/null
 * in the first half and a file beside FILE in the second. Before anything is measured, one copy
 * is compared with the original.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "programs.h"
#include "values.h"

enum { SIDES = 2, ROUNDS_MAX = 99, PATH_BYTES = 300 };

static const char usage[] =
    "Usage: transfer [OPTION]...\n"
    "\n"
    "Measures 'weir send' and 'weir recv' beside 'cat FILE | cat'.\n"
    "\n"
    "Options:\n"
    "  -m, --mebibytes N   size of the file (1 to 1048576; 4096)\n"
    "  -r, --rounds N      rounds, an odd number (1 to 99; 5)\n"
    "  -d, --folder PATH   where the file is made (/dev/shm: in memory)\n"
    "  -n, --null          to /dev/null only\n"
    "  -q, --quick         a small file, one round, to see that it works: no figures to keep\n"
    "  -j, --json          write JSON\n"
    "  -h, --help          show this\n";

struct settings {
    const char *folder;
    long mebibytes, rounds;
    bool is_null_only, is_json;
};

struct target {
    const char *name, *path;
    double seconds[SIDES][ROUNDS_MAX], ratio[ROUNDS_MAX];
};

static char channel_name[32];

static const struct form forms[SIDES] = {
    { "weir",
      false,
      { WEIR, "send", "-q", channel_name, "FILE", NULL },
      { WEIR, "recv", "-q", channel_name, NULL } },
    { "pipe", true, { "cat", "FILE", NULL }, { "cat", NULL } },
};

static void measure(struct target *target, const char *file, long rounds)
{
    for (long r = 0; r < rounds; r++) {
        for (int side = 0; side < SIDES; side++) {
            /* Who begins changes, too. */
            int turn = (side + (int)r) % SIDES;
            target->seconds[turn][r] = programs_run(&forms[turn], file, target->path);
        }
        target->ratio[r] = target->seconds[1][r] / target->seconds[0][r];
    }
    values_sort(target->ratio, (size_t)rounds);
    for (int side = 0; side < SIDES; side++)
        values_sort(target->seconds[side], (size_t)rounds);
}

static void compare(const char *file, const char *copy)
{
    char command[2 * PATH_BYTES + 16];
    programs_run(&forms[0], file, copy);
    snprintf(command, sizeof command, "cmp '%s' '%s'", file, copy);
    if (system(command) != 0)
        exit(1);
}

static double rate(const struct settings *settings, const struct target *target, int side)
{
    return (double)settings->mebibytes / 1024 / target->seconds[side][settings->rounds / 2];
}

static void print(const struct settings *settings, const struct target *targets, int count)
{
    long last = settings->rounds - 1;
    printf("%ld MiB, %ld rounds: how many times as fast as cat | cat\n", settings->mebibytes,
           settings->rounds);
    printf("%-14s  %8s  %8s  %8s  %12s  %12s\n", "to", "lowest", "median", "highest", "weir GiB/s",
           "pipe GiB/s");
    for (const struct target *target = targets; target < targets + count; target++)
        printf("%-14s  %8.2f  %8.2f  %8.2f  %12.2f  %12.2f\n", target->name, target->ratio[0],
               target->ratio[last / 2], target->ratio[last], rate(settings, target, 0),
               rate(settings, target, 1));
}

static void print_json(const struct settings *settings, const struct target *targets, int count)
{
    long last = settings->rounds - 1;
    printf("{\n  \"mebibytes\": %ld,\n  \"rounds\": %ld,\n  \"targets\": [", settings->mebibytes,
           settings->rounds);
    for (const struct target *target = targets; target < targets + count; target++)
        printf("%s\n    { \"to\": \"%s\", \"ratio\": %.3f, \"ratio_lowest\": %.3f, "
               "\"ratio_highest\": %.3f,\n      \"weir_gib_per_s\": %.3f, "
               "\"pipe_gib_per_s\": %.3f }",
               target == targets ? "" : ",", target->name, target->ratio[last / 2],
               target->ratio[0], target->ratio[last], rate(settings, target, 0),
               rate(settings, target, 1));
    printf("\n  ]\n}\n");
}

/* A whole number of text within bounds; 0: it is none. */
static long number(const char *text, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && value >= 1 && value <= most ? value : 0;
}

/* -1 to go on, else the exit status. */
static int take_options(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {
        { "mebibytes", required_argument, NULL, 'm' },
        { "rounds", required_argument, NULL, 'r' },
        { "folder", required_argument, NULL, 'd' },
        { "null", no_argument, NULL, 'n' },
        { "quick", no_argument, NULL, 'q' },
        { "json", no_argument, NULL, 'j' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "m:r:d:nqjh", options, NULL)) != -1) {
        if (option == 'm')
            settings->mebibytes = number(optarg, 1048576);
        else if (option == 'r')
            settings->rounds = number(optarg, ROUNDS_MAX);
        else if (option == 'd')
            settings->folder = optarg;
        else if (option == 'n')
            settings->is_null_only = true;
        else if (option == 'j')
            settings->is_json = true;
        else if (option == 'q')
            settings->mebibytes = 16, settings->rounds = 1;
        else
            return fputs(usage, option == 'h' ? stdout : stderr), option == 'h' ? 0 : 2;
    }
    if (optind < argc || settings->mebibytes == 0 || settings->rounds % 2 == 0 ||
        strlen(settings->folder) > PATH_BYTES - 40)
        return fputs(usage, stderr), 2;
    return -1;
}

int main(int argc, char **argv)
{
    struct settings settings = { .folder = "/dev/shm", .mebibytes = 4096, .rounds = 5 };
    int status = take_options(argc, argv, &settings);
    if (status >= 0)
        return status;
    char file[PATH_BYTES], copy[PATH_BYTES];
    static struct target targets[2];
    int count = settings.is_null_only ? 1 : 2;
    programs_title = "transfer";
    snprintf(file, sizeof file, "%s/transfer-%d.in", settings.folder, (int)getpid());
    snprintf(copy, sizeof copy, "%s/transfer-%d.out", settings.folder, (int)getpid());
    snprintf(channel_name, sizeof channel_name, "transfer/%d", (int)getpid());
    targets[0] = (struct target){ .name = "/dev/null", .path = "/dev/null" };
    targets[1] = (struct target){ .name = "a file", .path = copy };
    programs_make_file(file, settings.mebibytes);
    if (!settings.is_null_only)
        compare(file, copy);
    for (int i = 0; i < count; i++)
        measure(&targets[i], file, settings.rounds);
    unlink(file);
    unlink(copy);
    if (settings.is_json)
        print_json(&settings, targets, count);
    else
        print(&settings, targets, count);
    return fflush(stdout) == 0 ? 0 : 1;
}
