/* SPDX-License-Identifier: MIT */
#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

const char *programs_title;

void programs_fail(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", programs_title, what, strerror(errno));
    exit(1);
}

/* A copy of the arguments with the file's path in the place of FILE. */
static void place_file(char *const *from, char **to, size_t count, char *file)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] && strcmp(from[i], "FILE") == 0 ? file : from[i];
}

static pid_t start(char *const *arguments, int input, int output)
{
    pid_t pid = fork();
    if (pid < 0)
        programs_fail("fork");
    if (pid > 0)
        return pid;
    if ((input >= 0 && dup2(input, 0) < 0) || (output >= 0 && dup2(output, 1) < 0))
        programs_fail("dup2");
    execvp(arguments[0], arguments);
    programs_fail(arguments[0]);
    return -1;
}

double programs_run(const struct form *form, const char *file, const char *output)
{
    int pipe_fd[2] = { -1, -1 }, status, failed = 0;
    char *first[6], *second[6], path[PATH_MAX];
    snprintf(path, sizeof path, "%s", file);
    place_file(form->first, first, 6, path);
    place_file(form->second, second, 6, path);
    if (strcmp(output, "/dev/null") != 0)
        unlink(output);
    int in = open(file, O_RDONLY | O_CLOEXEC);
    int out = open(output, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || (form->has_pipe && pipe2(pipe_fd, O_CLOEXEC) != 0))
        programs_fail("open");
    int64_t start_ns = weir_now_ns();
    bool is_alone = !second[0];
    start(first, in, is_alone ? out : pipe_fd[1]);
    if (!is_alone)
        start(second, pipe_fd[0], out);
    if (form->has_pipe) {
        close(pipe_fd[0]);
        close(pipe_fd[1]);
    }
    while (wait(&status) > 0)
        failed |= status;
    double seconds = (double)(weir_now_ns() - start_ns) / 1e9;
    close(in);
    close(out);
    if (failed) {
        fprintf(stderr, "%s: %s failed\n", programs_title, form->name);
        exit(1);
    }
    return seconds;
}

void programs_make_file(const char *file, long mib)
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
            programs_fail(file);
    }
    if (fd < 0 || close(fd) != 0)
        programs_fail(file);
}
