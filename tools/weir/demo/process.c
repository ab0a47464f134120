/* SPDX-License-Identifier: MIT */
/* The processes of a scene: they have names, and none outlives it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "../command.h"
#include "stage.h"

void scene_name_process(const char *name)
{
    stage_lock();
    stage_actor_add(getpid(), name);
    stage_unlock();
}

/* A signal stays in the default way in the scene's children, whatever its own process does; but what is
 * ignored (nohup, a script's &) is so by all. */
static void reset_signals(void)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGBUS };
    struct sigaction now;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            signal(signals[i], SIG_DFL);
}

static pid_t fork_named(const char *name, bool dies_with_parent)
{
    pid_t parent = getpid();
    /* The child cannot be told of, nor drop its name, before the parent has put it down. */
    stage_making_begin();
    stage_lock();
    pid_t pid = fork();
    if (pid == 0) {
        stage_lock_forget();
        reset_signals();
        if (dies_with_parent)
            prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dies_with_parent && getppid() != parent)
            _exit(STATUS_FAILURE);
        stage_making_forget();
        return 0;
    }
    if (pid > 0)
        stage_actor_add(pid, name);
    stage_unlock();
    stage_making_end();
    return pid;
}

pid_t scene_fork(const char *name)
{
    return fork_named(name, true);
}

pid_t scene_fork_free(const char *name)
{
    return fork_named(name, false);
}

_Noreturn void scene_exit(int status)
{
    fflush(NULL);
    stage_lock();
    stage_actor_drop(getpid());
    stage_unlock();
    _exit(status);
}

static void reap(pid_t pid, int *wait_status)
{
    while (waitpid(pid, wait_status, 0) < 0 && errno == EINTR)
        ;
    stage_lock();
    stage_actor_drop(pid);
    stage_unlock();
}

int scene_play(const char *name, int (*program)(void))
{
    pid_t pid = scene_fork(name);
    if (pid == 0)
        scene_exit(program());
    int wait_status = 0x7f00; /* as a shell has it for what could not be started */
    if (pid > 0)
        reap(pid, &wait_status);
    return wait_status;
}

void process_end_all(void)
{
    for (size_t i = 0; i < STAGE_ACTORS; i++) {
        pid_t pid = stage->actors[i].pid;
        if (pid == 0 || pid == getpid())
            continue;
        /* Only what is our child, by birth or as its subreaper: the number cannot be reused. */
        if (waitpid(pid, NULL, WNOHANG) == 0) {
            kill(pid, SIGKILL);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
        stage->actors[i].pid = 0;
    }
}

bool scene_until(bool (*condition)(void *argument), void *argument, int timeout_ms)
{
    int64_t deadline_ns = weir_deadline_ns((int64_t)timeout_ms * 1000000);
    while (!condition(argument)) {
        if (weir_now_ns() >= deadline_ns)
            return condition(argument);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return true;
}

bool scene_process_sleeps(void *pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)*(pid_t *)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    /* The name in parentheses may hold anything; the state stands behind the last one. */
    char *end = got ? strrchr(line, ')') : NULL;
    return end && end[1] == ' ' && end[2] == 'S';
}

const char *scene_wait_text(int wait_status)
{
    static char text[96];
    if (WIFSIGNALED(wait_status))
        snprintf(text, sizeof text, "was killed by signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(text, sizeof text, "exited with %d", WEXITSTATUS(wait_status));
    return text;
}
