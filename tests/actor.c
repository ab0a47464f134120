/* SPDX-License-Identifier: MIT */
/* Processes and threads that do what they are told. */
#include "actor.h"

#include "asleep.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

struct order {
    actor_act act;
    void *argument;
};

struct answer {
    int result;
    char sentence[256];
};

static void obey(int orders, int answers)
{
    struct order order;
    struct answer answer;
    pid_t tid = (pid_t)syscall(SYS_gettid);
    if (write(answers, &tid, sizeof tid) != sizeof tid)
        return;
    while (read(orders, &order, sizeof order) == sizeof order) {
        memset(&answer, 0, sizeof answer);
        answer.result = order.act(order.argument);
        snprintf(answer.sentence, sizeof answer.sentence, "%s", weir_last_error());
        if (write(answers, &answer, sizeof answer) != sizeof answer)
            return;
    }
}

static void *thread_main(void *argument)
{
    struct actor *actor = argument;
    obey(actor->orders, actor->answers);
    return NULL;
}

/* The test's ends: a child that kept those of its elders would keep them from ending. */
static int kept[64];
static unsigned kept_count;

static void keep(int end)
{
    assert_true(kept_count < ARRAY_SIZE(kept));
    kept[kept_count++] = end;
}

static void close_kept(int end)
{
    for (unsigned i = 0; i < kept_count; i++)
        if (kept[i] == end)
            kept[i--] = kept[--kept_count];
    close(end);
}

static void open_pipes(struct actor *actor)
{
    int down[2], up[2];
    memset(actor, 0, sizeof *actor);
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    actor->orders = down[0];
    actor->order = down[1];
    actor->answer = up[0];
    actor->answers = up[1];
    keep(actor->order);
    keep(actor->answer);
}

static void greet(struct actor *actor)
{
    pid_t tid;
    assert_int_equal(read(actor->answer, &tid, sizeof tid), sizeof tid);
    actor->tid = tid;
}

void actor_start(struct actor *actor)
{
    open_pipes(actor);
    fflush(NULL);
    actor->pid = fork();
    assert_true(actor->pid >= 0);
    if (actor->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned i = 0; i < kept_count; i++)
            close(kept[i]);
        obey(actor->orders, actor->answers);
        _exit(0);
    }
    close(actor->orders);
    close(actor->answers);
    greet(actor);
}

void actor_start_thread(struct actor *actor)
{
    open_pipes(actor);
    actor->is_thread = true;
    actor->pid = getpid();
    assert_int_equal(pthread_create(&actor->thread, NULL, thread_main, actor), 0);
    greet(actor);
}

void actor_tell(struct actor *actor, actor_act act, void *argument)
{
    struct order order = { act, argument };
    assert_int_equal(write(actor->order, &order, sizeof order), sizeof order);
}

int actor_answer(struct actor *actor, int within_ms)
{
    struct answer answer;
    struct pollfd entry = { actor->answer, POLLIN, 0 };
    int found;
    do
        found = poll(&entry, 1, within_ms);
    while (found < 0 && errno == EINTR);
    if (found == 0)
        return ACTOR_WAITS;
    ssize_t length = read(actor->answer, &answer, sizeof answer);
    if (length != sizeof answer)
        fail_msg("actor %d has ended without an answer", (int)actor->pid);
    memcpy(actor->sentence, answer.sentence, sizeof actor->sentence);
    return answer.result;
}

int actor_ask(struct actor *actor, actor_act act, void *argument)
{
    actor_tell(actor, act, argument);
    return actor_answer(actor, PATIENCE_MS);
}

/* Asked for the call it is in; who may not ask looks whether it sleeps. */
static bool is_asleep(const struct actor *actor)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int)actor->pid, (int)actor->tid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    if (length > 0) {
        text[length] = 0;
        return text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == asleep_number();
    }
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)actor->pid, (int)actor->tid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    length = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] == 'S';
}

void actor_see_asleep(struct actor *actor)
{
    const struct timespec nap = { 0, 200000 };
    int64_t until_ns = weir_now_ns() + PATIENCE_MS * WEIR_MILLISECOND_NS;
    while (!is_asleep(actor)) {
        if (weir_now_ns() > until_ns)
            fail_msg("actor %d does not fall asleep", (int)actor->pid);
        nanosleep(&nap, NULL);
    }
}

bool actor_falls_asleep(struct actor *actor)
{
    const struct timespec nap = { 0, 200000 };
    int64_t until_ns = weir_now_ns() + PATIENCE_MS * WEIR_MILLISECOND_NS;
    struct pollfd entry = { actor->answer, POLLIN, 0 };
    while (!is_asleep(actor)) {
        if (poll(&entry, 1, 0) == 1)
            return false;
        if (weir_now_ns() > until_ns)
            fail_msg("actor %d does not fall asleep", (int)actor->pid);
        nanosleep(&nap, NULL);
    }
    return true;
}

static int forget(struct actor *actor)
{
    int status = 0;
    if (!actor->is_gone && !actor->is_thread)
        assert_int_equal(waitpid(actor->pid, &status, 0), actor->pid);
    if (actor->is_thread) {
        assert_int_equal(pthread_join(actor->thread, NULL), 0);
        close(actor->orders);
        close(actor->answers);
    }
    actor->is_gone = true;
    close_kept(actor->answer);
    return status;
}

void actor_kill(struct actor *actor)
{
    assert_int_equal(kill(actor->pid, SIGKILL), 0);
    int status = forget(actor);
    close_kept(actor->order);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void actor_stop(struct actor *actor)
{
    int status;
    assert_int_equal(kill(actor->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(actor->pid, &status, WUNTRACED), actor->pid);
    assert_true(WIFSTOPPED(status));
}

void actor_continue(struct actor *actor)
{
    assert_int_equal(kill(actor->pid, SIGCONT), 0);
}

void actor_end(struct actor *actor)
{
    close_kept(actor->order);
    assert_int_equal(forget(actor), 0);
}

void actors_do(void (*start)(struct actor *), unsigned count, actor_act act)
{
    struct actor actors[8];
    assert_true(count <= ARRAY_SIZE(actors));
    for (unsigned i = 0; i < count; i++)
        start(&actors[i]);
    for (unsigned i = 0; i < count; i++)
        actor_tell(&actors[i], act, NULL);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(actor_answer(&actors[i], PATIENCE_MS), 0);
    for (unsigned i = 0; i < count; i++)
        actor_end(&actors[i]);
}
