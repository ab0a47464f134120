/* SPDX-License-Identifier: MIT */
#include "puppet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "scene.h"

enum { ORDER_END = 0 };

/* The whole value or nothing: a pipe takes and gives so few bytes in one piece. */
static bool put(int fd, const void *value, size_t size_bytes)
{
    ssize_t n;
    do
        n = write(fd, value, size_bytes);
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)size_bytes;
}

static bool get(int fd, void *value, size_t size_bytes)
{
    ssize_t n;
    do
        n = read(fd, value, size_bytes);
    while (n == -1 && errno == EINTR);
    return n == (ssize_t)size_bytes;
}

static _Noreturn void obey(int orders, int answers, puppet_act *act, void *argument)
{
    int order;
    while (get(orders, &order, sizeof order) && order != ORDER_END) {
        long answer = act(order, argument);
        if (!put(answers, &answer, sizeof answer))
            break;
    }
    scene_exit(0);
}

bool puppet_start(struct puppet *puppet, const char *name, puppet_act *act, void *argument)
{
    int orders[2], answers[2];
    if (pipe2(orders, O_CLOEXEC) == -1)
        return false;
    if (pipe2(answers, O_CLOEXEC) == -1) {
        close(orders[0]);
        close(orders[1]);
        return false;
    }
    pid_t pid = scene_fork(name);
    if (pid == 0) {
        close(orders[1]);
        close(answers[0]);
        obey(orders[0], answers[1], act, argument);
    }
    /* The puppet alone holds its ends: when it dies, we read the end of its answers. */
    close(orders[0]);
    close(answers[1]);
    if (pid == -1) {
        close(orders[1]);
        close(answers[0]);
        return false;
    }
    *puppet = (struct puppet){ .pid = pid, .orders = orders[1], .answers = answers[0] };
    return true;
}

void puppet_begin(struct puppet *puppet, int order)
{
    put(puppet->orders, &order, sizeof order);
}

long puppet_answer(struct puppet *puppet)
{
    long answer;
    return get(puppet->answers, &answer, sizeof answer) ? answer : -1;
}

long puppet_do(struct puppet *puppet, int order)
{
    puppet_begin(puppet, order);
    return puppet_answer(puppet);
}

/* It also sleeps for its next order: then the last one is still in the pipe, or answered. */
bool puppet_sleeps(void *argument)
{
    struct puppet *puppet = argument;
    struct pollfd answer = { .fd = puppet->answers, .events = POLLIN };
    int unread = 0;
    return ioctl(puppet->orders, FIONREAD, &unread) == 0 && unread == 0 &&
           scene_process_sleeps(&puppet->pid) && poll(&answer, 1, 0) == 0;
}

bool puppet_settled(void *argument)
{
    struct puppet *puppet = argument;
    struct pollfd answer = { .fd = puppet->answers, .events = POLLIN };
    return puppet_sleeps(puppet) || poll(&answer, 1, 0) == 1;
}

/* By scene_waitpid(), so that its number, which may come round, is no longer one of the scene's. */
static int reap(struct puppet *puppet)
{
    int status = 0;
    scene_mute(true);
    while (scene_waitpid(puppet->pid, &status, 0) == -1 && errno == EINTR)
        ;
    scene_mute(false);
    close(puppet->orders);
    close(puppet->answers);
    return status;
}

int puppet_end(struct puppet *puppet)
{
    puppet_begin(puppet, ORDER_END);
    return reap(puppet);
}

int puppet_kill(struct puppet *puppet)
{
    scene_kill(puppet->pid, SIGKILL);
    return reap(puppet);
}
