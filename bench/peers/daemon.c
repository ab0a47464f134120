/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lane/lane.h"

enum { PATIENCE_MS = 15000, STEP_MS = 10 };

static void pause_ms(long ms)
{
    const struct timespec step = { .tv_nsec = ms * 1000000 };
    nanosleep(&step, NULL);
}

static _Noreturn void become(const struct daemon_plan *plan, int output)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should its keeper be killed */
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(plan->arguments[0], plan->arguments);
    fprintf(stderr, "peers: %s: %s\n", plan->arguments[0], strerror(errno));
    _exit(127);
}

/* It may be stopped, and takes no signal then. */
static void end(pid_t pid, int end_signal)
{
    kill(pid, SIGCONT);
    kill(pid, end_signal);
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        pause_ms(STEP_MS);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* In a session of its own: what the terminal sends is for the benchmark, whose end is seen here. */
static _Noreturn void keep(const struct daemon_plan *plan, int life, int tell, int output)
{
    char nothing;
    setsid();
    pid_t pid = fork();
    if (pid == 0)
        become(plan, output);
    close(output);
    if (pid < 0 || write(tell, &pid, sizeof pid) != (ssize_t)sizeof pid)
        _exit(1);
    close(tell);
    while (read(life, &nothing, 1) < 0 && errno == EINTR)
        ;
    end(pid, plan->end_signal);
    _exit(0);
}

/* Reads what it has written, for a moment at most; false: it writes no more. */
static bool hear(int output, char *text, size_t size)
{
    struct pollfd waited = { .fd = output, .events = POLLIN };
    size_t length = strlen(text);
    if (poll(&waited, 1, STEP_MS) <= 0)
        return true;
    ssize_t result = read(output, text + length, size - 1 - length);
    if (result > 0)
        text[length + (size_t)result] = '\0';
    return result > 0;
}

/* Its output ends with the daemon. */
static bool is_ready(const struct daemon *daemon, const struct daemon_plan *plan, char *text,
                     size_t size)
{
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        if (!hear(daemon->output, text, size))
            return false;
        if (plan->ready_text && strstr(text, plan->ready_text))
            return true;
        if (plan->ready_file && access(plan->ready_file, F_OK) == 0)
            return true;
    }
    return false;
}

/* What it writes later has no reader, and must not hold it up: the pipe takes what it has room for. */
bool daemon_start(struct daemon *daemon, const struct daemon_plan *plan)
{
    char text[4096] = "";
    int life[2], tell[2], output[2];
    if (pipe2(life, O_CLOEXEC) != 0 || pipe2(tell, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        return false;
    fflush(NULL);
    *daemon = (struct daemon){ .life = life[1], .output = output[0], .keeper = fork() };
    if (daemon->keeper == 0) {
        close(life[1]);
        close(tell[0]);
        close(output[0]);
        keep(plan, life[0], tell[1], output[1]);
    }
    close(life[0]);
    close(tell[1]);
    close(output[1]);
    bool is_there = daemon->keeper > 0 &&
                    read(tell[0], &daemon->pid, sizeof daemon->pid) == (ssize_t)sizeof daemon->pid;
    close(tell[0]);
    if (is_there && is_ready(daemon, plan, text, sizeof text))
        return true;
    fprintf(stderr, "peers: %s does not run:\n%s", plan->arguments[0], text);
    daemon_end(daemon);
    return false;
}

void daemon_end(struct daemon *daemon)
{
    close(daemon->life);
    if (daemon->keeper > 0)
        waitpid(daemon->keeper, NULL, 0);
    close(daemon->output);
    *daemon = (struct daemon){ .keeper = 0 };
}
