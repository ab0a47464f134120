/* SPDX-License-Identifier: MIT */
/*
 * kill_command COUNT SEED MAX_US COMMAND... - SIGKILL at random instants.
 * kill_command -s SIGNAL COUNT SEED MAX_LINES COMMAND... - SIGNAL to the group, as a terminal does.
 *
 * Starts COMMAND COUNT times in a process group of its own, with /dev/null as
 * its output, and after a random time below MAX_US microseconds kills the
 * process itself, one of its children, or the whole group at once. Then it waits
 * until the group has no process left, for ten seconds at most.
 *
 * With -s the output is the clock, so that a loaded machine changes nothing: it
 * strikes when a random number of lines below MAX_LINES has come, and up to two
 * milliseconds later. The command must then end by that signal, or with 0 if it
 * was through already. No SIGCONT follows, as one of timeout(1) does: it would
 * undo the SIGSTOP by which LeakSanitizer looks, and that one waits for ever.
 *
 * Prints how many it met alive (-s: how many ended by the signal); exits with 1 when a process remained, or when
 * the command ended otherwise: in the first form with a status above 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;
static int end_signal; /* of -s */
static int output = -1;

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
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1)
        return -1;
    pid_t pid = fork();
    if (pid != 0) {
        close(ends[1]);
        output = ends[0];
        fcntl(output, F_SETFL, O_NONBLOCK);
        return pid;
    }
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(fd == 1 && end_signal ? ends[1] : null, fd);
    execvp(command[0], command);
    _exit(127);
}

/* The lines that are there already, whatever follows them; -1 at the end of all output. */
static int read_lines(void)
{
    char bytes[512];
    int lines = 0;
    ssize_t n = read(output, bytes, sizeof bytes);
    if (n == 0)
        return -1;
    for (ssize_t i = 0; i < n; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Ends when the output does; a minute without any is left to the caller to tell of. */
static void await_lines(int wanted)
{
    struct pollfd readable = { .fd = output, .events = POLLIN };
    while (wanted > 0 && poll(&readable, 1, 60000) > 0) {
        int lines = read_lines();
        if (lines < 0)
            return;
        wanted -= lines;
    }
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
    if (end_signal)
        return kill(-pid, end_signal) == 0;
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
        if (end_signal)
            read_lines(); /* a full pipe would keep it */
        pass_us(1000);
    }
    return false;
}

static bool is_well_ended(int round, int wait_status)
{
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > (end_signal ? 0 : 1)) {
        fprintf(stderr, "round %d: exit status %d\n", round, WEXITSTATUS(wait_status));
        return false;
    }
    if (WIFSIGNALED(wait_status) && end_signal && WTERMSIG(wait_status) != end_signal) {
        fprintf(stderr, "round %d: killed by signal %d\n", round, WTERMSIG(wait_status));
        return false;
    }
    return true;
}

/* Whether it was met alive; -1 when something is wrong. */
static int play(int round, uint32_t bound, char **command)
{
    pid_t pid = start(command);
    if (pid < 0)
        return -1;
    setpgid(pid, pid);
    if (end_signal)
        await_lines((int)choose(bound));
    pass_us(choose(end_signal ? 2000 : bound));
    int met = strike(pid), wait_status = 0;
    bool gone = is_group_gone(pid, &wait_status);
    close(output);
    if (!gone) {
        fprintf(stderr, "round %d: a process of group %d is still there\n", round, (int)pid);
        kill(-pid, SIGKILL);
        return -1;
    }
    if (!is_well_ended(round, wait_status))
        return -1;
    return end_signal ? WIFSIGNALED(wait_status) : met;
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        end_signal = atoi(argv[2]);
        argv += 2;
        argc -= 2;
    }
    if (argc < 5)
        return 2;
    int count = atoi(argv[1]), met = 0;
    state = strtoull(argv[2], NULL, 0) * 2654435761u + 1;
    uint32_t bound = (uint32_t)atoi(argv[3]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* LeakSanitizer looks from a child of the command's, and waits for ever if we kill that one. */
    if (!end_signal)
        setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
    for (int i = 0; i < count; i++) {
        int was_met = play(i, bound, argv + 4);
        if (was_met < 0)
            return 1;
        met += was_met;
    }
    printf("%d\n", met);
    return 0;
}
