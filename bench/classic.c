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
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

enum { FORMS = 4, ROUNDS_MAX = 100 };

/* Two processes at most; joined by a pipe, or by what they make of it themselves. */
struct form {
    const char *name;
    bool has_pipe;
    char *first[5], *second[4]; /* second[0] NULL: one process, from input to output */
};

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

static void fail(const char *what)
{
    fprintf(stderr, "classic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static pid_t start(char *const *arguments, int input, int output)
{
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid > 0)
        return pid;
    if ((input >= 0 && dup2(input, 0) < 0) || (output >= 0 && dup2(output, 1) < 0))
        fail("dup2");
    execvp(arguments[0], arguments);
    fail(arguments[0]);
    return -1;
}

static double run(const struct form *form, const char *file, const char *out)
{
    int pipe_fd[2] = { -1, -1 }, status, failed = 0;
    char *first[5], path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    for (int i = 0; i < 5; i++) {
        first[i] = form->first[i];
        if (first[i] && strcmp(first[i], "FILE") == 0)
            first[i] = path;
    }
    unlink(strcmp(out, "/dev/null") == 0 ? "" : out);
    int input = open(file, O_RDONLY | O_CLOEXEC);
    int output = open(out, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (input < 0 || output < 0 || (form->has_pipe && pipe2(pipe_fd, O_CLOEXEC) != 0))
        fail("open");
    int64_t start_ns = weir_now_ns();
    bool is_alone = !form->second[0];
    start(first, input, is_alone ? output : pipe_fd[1]);
    if (!is_alone)
        start(form->second, pipe_fd[0], output);
    if (form->has_pipe) {
        close(pipe_fd[0]);
        close(pipe_fd[1]);
    }
    while (wait(&status) > 0)
        failed |= status;
    double seconds = (double)(weir_now_ns() - start_ns) / 1e9;
    close(input);
    close(output);
    if (failed) {
        fprintf(stderr, "classic: %s failed\n", form->name);
        exit(1);
    }
    return seconds;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *title, double values[FORMS][ROUNDS_MAX], int rounds)
{
    printf("%-28s  %8s  %8s  %8s\n", title, "lowest", "median", "highest");
    for (int f = 1; f < FORMS; f++) {
        double ratio[ROUNDS_MAX];
        for (int r = 0; r < rounds; r++)
            ratio[r] = values[0][r] / values[f][r];
        qsort(ratio, (size_t)rounds, sizeof *ratio, by_value);
        printf("  %-26s  %8.2f  %8.2f  %8.2f\n", forms[f].name, ratio[0], ratio[rounds / 2],
               ratio[rounds - 1]);
    }
}

static void make_file(const char *file, long mib)
{
    static unsigned char block[1 << 20];
    uint64_t random = 88172645463325252u;
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (long i = 0; fd >= 0 && i < mib; i++) {
        for (size_t at = 0; at < sizeof block; at += sizeof random) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            memcpy(block + at, &random, sizeof random);
        }
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            fail(file);
    }
    if (fd < 0 || close(fd) != 0)
        fail(file);
}

static void measure(const char *title, const char *file, const char *out, int rounds)
{
    static double values[FORMS][ROUNDS_MAX];
    for (int r = 0; r < rounds; r++)
        for (int f = 0; f < FORMS; f++)
            values[f][r] = run(&forms[f], file, out);
    print(title, values, rounds);
    for (int f = 0; f < FORMS && strcmp(out, "/dev/null") != 0; f++) {
        char command[600];
        run(&forms[f], file, out);
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
    snprintf(file, sizeof file, "%s/classic-%d.in", folder, (int)getpid());
    snprintf(out, sizeof out, "%s/classic-%d.out", folder, (int)getpid());
    snprintf(stream_name, sizeof stream_name, "classic/%d", (int)getpid());
    make_file(file, mib);
    printf("%ld MiB, %ld rounds: how many times as fast as cat | cat\n", mib, rounds);
    fflush(stdout);
    measure("to /dev/null", file, "/dev/null", (int)rounds);
    fflush(stdout);
    measure("to a file", file, out, (int)rounds);
    unlink(file);
    unlink(out);
    return 0;
}
