/* SPDX-License-Identifier: MIT */
/*
 * kill_command COUNT SEED MAX_US COMMAND... - SIGKILL at random instants.
 *
 * Starts COMMAND COUNT times in a process group of its own, with /dev/null as
 * its output, and after a random time below MAX_US microseconds kills the
 * process itself, one of its children, or the whole group at once. Then it waits
 * until the group has no process left, for ten seconds at most.
 *
 * Prints how many it met alive; exits with 1 when a process remained, or when
 * the command ended by itself with a status other than 0 and 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;

static uint32_t choose(uint32_t bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % bound;
}

static void pass_us(uint32_t us)
{
    nanosleep(&(struct timespec){ us / 1000000, (long)(us % 1000000) * 1000 }, NULL);
}

static pid_t start(char **command)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    execvp(command[0], command);
    _exit(127);
}

/* The first child of a process, 0 if it has none at the moment. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return child;
}

static bool strike(pid_t pid)
{
    pid_t child;
    switch (choose(3)) {
    case 0:
        return kill(pid, SIGKILL) == 0;
    case 1:
        child = child_of(pid);
        return child > 0 && kill(child, SIGKILL) == 0;
    default:
        return kill(-pid, SIGKILL) == 0;
    }
}

/* We are the subreaper: whoever loses its parent becomes our child. */
static bool is_group_gone(pid_t pid, int *wait_status)
{
    for (int ms = 0; ms < 10000; ms++) {
        int status;
        pid_t ended;
        while ((ended = waitpid(-pid, &status, WNOHANG)) > 0)
            if (ended == pid)
                *wait_status = status;
        if (ended < 0 && errno == ECHILD && kill(-pid, 0) != 0)
            return true;
        pass_us(1000);
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int count = atoi(argv[1]), met = 0;
    state = strtoull(argv[2], NULL, 0) * 2654435761u + 1;
    uint32_t max_us = (uint32_t)atoi(argv[3]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* LeakSanitizer looks from a child of the command's, and waits for ever if we kill that one. */
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
    for (int i = 0; i < count; i++) {
        pid_t pid = start(argv + 4);
        if (pid < 0)
            return 2;
        setpgid(pid, pid);
        pass_us(choose(max_us));
        met += strike(pid);
        int wait_status = 0;
        if (!is_group_gone(pid, &wait_status)) {
            fprintf(stderr, "round %d: a process of group %d is still there\n", i, (int)pid);
            kill(-pid, SIGKILL);
            return 1;
        }
        if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > 1) {
            fprintf(stderr, "round %d: exit status %d\n", i, WEXITSTATUS(wait_status));
            return 1;
        }
    }
    printf("%d\n", met);
    return 0;
}
