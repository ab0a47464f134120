/* SPDX-License-Identifier: MIT */
/*
 * stalls FILE - for the tests: notes for how long each processor has run nobody, until it is killed
 *
 * A machine that is shared may not run any of its processes for some 100 ms. What bounds a time takes these
 * out. FILE has a line for each processor that may be used: so many milliseconds in all, and the
 * CLOCK_REALTIME, in milliseconds, up to which this is known.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 27
#define NAP_NS 5000000
#define STALL_MS 20 /* less than this is the usual wait among others that run */

static long long milliseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool write_line(int file, int line, long long stalled)
{
    char text[64];
    snprintf(text, sizeof text, "%010lld %015lld\n", stalled, milliseconds(CLOCK_REALTIME));
    return pwrite(file, text, LINE_BYTES, (off_t)line * LINE_BYTES) == LINE_BYTES;
}

/* One of them, and its line. */
static void watch(int file, int line)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    long long stalled = 0, before = milliseconds(CLOCK_MONOTONIC);
    while (write_line(file, line, stalled)) {
        nanosleep(&nap, NULL);
        long long now = milliseconds(CLOCK_MONOTONIC);
        if (now - before >= STALL_MS)
            stalled += now - before;
        before = now;
    }
}

/* A child for each processor. */
static bool start_all(const cpu_set_t *all, int file)
{
    pid_t parent = getpid();
    cpu_set_t one;
    int line = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, all))
            continue;
        if (!write_line(file, line, 0))
            return false;
        pid_t child = fork();
        if (child < 0)
            return false;
        if (child == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent && sched_setaffinity(0, sizeof one, &one) == 0)
                watch(file, line);
            _exit(1);
        }
        line++;
    }
    return true;
}

int main(int count, char **arguments)
{
    char draft[4096];
    cpu_set_t all;
    if (count != 2)
        return 2;
    snprintf(draft, sizeof draft, "%s.draft", arguments[1]);
    int file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || sched_getaffinity(0, sizeof all, &all) != 0 || !start_all(&all, file) ||
        rename(draft, arguments[1]) != 0) /* under its name it is whole */
        return perror("stalls"), 1;
    for (;;)
        pause();
}
