/* SPDX-License-Identifier: MIT */
/*
 * classic - a file through the bounded buffer, in all its forms, against a pipe
 *
 *   cat     cat FILE | cat >OUT
 *   sysv    bounded_sysv <FILE >OUT
 *   weir    bounded_weir <FILE >OUT
 *   send    weir send NAME FILE, weir recv NAME >OUT
 *
 * All forms take turns, once a round, so that whatever else the machine does
 * falls on all alike. What counts is each round's ratio to the pipe of the same
 * round; times alone mean nothing on another machine. A round starts with the
 * processes' start and ends with the last one's end. Every copy into a file is
 * compared with the original once, after the measurement.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "programs.h"
#include "values.h"

enum { FORMS = 4, ROUNDS_MAX = 100 };

static char stream_name[32];

static struct form forms[FORMS] = {
    { "cat", true, { "cat", "FILE", NULL }, { "cat", NULL } },
    { "sysv", false, { BUILD "/examples/bounded_sysv", NULL }, { NULL } },
    { "weir", false, { BUILD "/examples/bounded_weir", NULL }, { NULL } },
    { "send",
      false,
      { BUILD "/tools/weir/weir", "send", stream_name, "FILE", NULL },
      { BUILD "/tools/weir/weir", "recv", stream_name, NULL } },
};

static void print(const char *title, double values[FORMS][ROUNDS_MAX], int rounds)
{
    printf("%-28s  %8s  %8s  %8s\n", title, "lowest", "median", "highest");
    for (int f = 1; f < FORMS; f++) {
        double ratio[ROUNDS_MAX];
        for (int r = 0; r < rounds; r++)
            ratio[r] = values[0][r] / values[f][r];
        values_sort(ratio, (size_t)rounds);
        printf("  %-26s  %8.2f  %8.2f  %8.2f\n", forms[f].name, ratio[0], ratio[rounds / 2],
               ratio[rounds - 1]);
    }
}

static void measure(const char *title, const char *file, const char *out, int rounds)
{
    static double values[FORMS][ROUNDS_MAX];
    for (int r = 0; r < rounds; r++)
        for (int f = 0; f < FORMS; f++)
            values[f][r] = programs_run(&forms[f], file, out);
    print(title, values, rounds);
    for (int f = 0; f < FORMS && strcmp(out, "/dev/null") != 0; f++) {
        char command[600];
        programs_run(&forms[f], file, out);
        snprintf(command, sizeof command, "cmp '%s' '%s'", file, out);
        if (system(command) != 0)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *folder = "/dev/shm";
    long mib = 1024, rounds = 3;
    int option;
    while ((option = getopt(argc, argv, "d:m:r:")) != -1) {
        if (option == 'd')
            folder = optarg;
        else if (option == 'm')
            mib = strtol(optarg, NULL, 10);
        else if (option == 'r')
            rounds = strtol(optarg, NULL, 10);
        if (option == '?' || mib < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
            fprintf(stderr, "Usage: classic [-d FOLDER] [-m MEBIBYTES] [-r ROUNDS (1 to %d)]\n",
                    ROUNDS_MAX);
            return 2;
        }
    }
    char file[256], out[256];
    programs_title = "classic";
    snprintf(file, sizeof file, "%s/classic-%d.in", folder, (int)getpid());
    snprintf(out, sizeof out, "%s/classic-%d.out", folder, (int)getpid());
    snprintf(stream_name, sizeof stream_name, "classic/%d", (int)getpid());
    programs_make_file(file, mib);
    printf("%ld MiB, %ld rounds: how many times as fast as cat | cat\n", mib, rounds);
    fflush(stdout);
    measure("to /dev/null", file, "/dev/null", (int)rounds);
    fflush(stdout);
    measure("to a file", file, out, (int)rounds);
    unlink(file);
    unlink(out);
    return 0;
}
