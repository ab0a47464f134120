/* SPDX-License-Identifier: MIT */
#include "kill_at.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "calls.h"
#include "scene.h"

enum { SYSCALL_STOP = SIGTRAP | 0x80 }; /* with PTRACE_O_TRACESYSGOOD */

static int run_nothing(void)
{
    return getpid() == 0;
}

/* Waits until the process stops (true) or is gone. */
static bool stopped(pid_t pid, int *wait_status)
{
    while (waitpid(pid, wait_status, 0) == -1)
        if (errno != EINTR)
            return false;
    return WIFSTOPPED(*wait_status);
}

/* A process that has stopped itself and is traced; -1 when that is not permitted. */
static pid_t start(const char *name, int (*program)(void))
{
    int wait_status;
    pid_t pid = scene_fork(name);
    if (pid == 0) {
        scene_mute(true);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
            scene_exit(1);
        raise(SIGSTOP);
        scene_exit(program());
    }
    if (pid == -1 || !stopped(pid, &wait_status))
        return -1;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    return pid;
}

/* Kills and reaps it, unless it is gone: then its number may be somebody else's by now. */
static void end(pid_t pid)
{
    int wait_status;
    pid_t changed = waitpid(pid, &wait_status, WNOHANG);
    if (changed == -1 || (changed == pid && !WIFSTOPPED(wait_status)))
        return;
    kill(pid, SIGKILL);
    scene_mute(true);
    while (scene_waitpid(pid, &wait_status, 0) == pid && WIFSTOPPED(wait_status))
        ;
    scene_mute(false);
}

/* Goes on to the next stop at a system call; false when the process is gone. */
static bool next_stop(pid_t pid, struct ptrace_syscall_info *info)
{
    int wait_status;
    int signal = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal) == -1 ||
            !stopped(pid, &wait_status))
            return false;
        if (WSTOPSIG(wait_status) == SYSCALL_STOP)
            return ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof *info, info) > 0;
        signal = WSTOPSIG(wait_status); /* its own: passed on */
    }
}

bool kill_at_possible(void)
{
    struct ptrace_syscall_info info;
    pid_t pid = start("probe", run_nothing);
    if (pid == -1)
        return false;
    bool possible = next_stop(pid, &info);
    end(pid);
    return possible;
}

bool kill_at(long call, const char *name, int (*program)(void))
{
    struct ptrace_syscall_info info;
    uint64_t entered = 0;
    pid_t pid = start(name, program);
    if (pid == -1)
        return false;
    while (next_stop(pid, &info)) {
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            entered = info.entry.nr;
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && entered == (uint64_t)call &&
                   !info.exit.is_error) {
            end(pid);
            return true;
        }
    }
    end(pid);
    return false;
}
