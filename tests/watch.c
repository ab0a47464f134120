/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include "fixture.h"
#include "tracer.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#if defined(__x86_64__)
/* Debug registers: 0 to 3 are addresses, 6 says what happened, 7 what is watched. */
static bool set_register(pid_t child, unsigned number, unsigned long value)
{
    size_t at = offsetof(struct user, u_debugreg) + number * sizeof(unsigned long);
    return ptrace(PTRACE_POKEUSER, child, (void *)at, (void *)value) == 0;
}

static unsigned long get_register(pid_t child, unsigned number)
{
    size_t at = offsetof(struct user, u_debugreg) + number * sizeof(unsigned long);
    return (unsigned long)ptrace(PTRACE_PEEKUSER, child, (void *)at, NULL);
}

/* In the seventh: in use; loads and stores; of so many bytes. */
static bool set_word(pid_t child, unsigned index, uintptr_t at, unsigned size_bytes)
{
    unsigned long kind = size_bytes == 8 ? 0xb : size_bytes == 4 ? 0xf : 0;
    unsigned long control = get_register(child, 7);
    control &= ~(0xful << (16 + 4 * index) | 3ul << (2 * index));
    if (!set_register(child, 7, control))
        return false;
    if (size_bytes == 0)
        return true;
    return set_register(child, index, at) &&
           set_register(child, 7, control | kind << (16 + 4 * index) | 1ul << (2 * index));
}

unsigned watch_seen(pid_t child)
{
    unsigned seen = get_register(child, 6) & 0xf;
    set_register(child, 6, 0);
    return seen;
}
#else
static bool set_word(pid_t child, unsigned index, uintptr_t at, unsigned size_bytes)
{
    (void)child;
    (void)index;
    (void)at;
    (void)size_bytes;
    return false;
}

unsigned watch_seen(pid_t child)
{
    (void)child;
    return 0;
}
#endif

void watch_word(pid_t child, unsigned index, uintptr_t at, unsigned size_bytes)
{
    assert_true(set_word(child, index, at, size_bytes));
}

void watch_nothing(pid_t child)
{
    for (unsigned i = 0; i < WATCHED_MAX; i++)
        watch_word(child, i, 0, 0);
}

static volatile uint64_t looked_at;

static void look_once(void *argument)
{
    (void)argument;
    (void)looked_at;
}

bool watch_works(void)
{
    int status = -1;
    if (!tracer_works())
        return false;
    pid_t child = tracee_start(NULL, look_once, NULL);
    bool works = set_word(child, 0, (uintptr_t)&looked_at, 8) &&
                 ptrace(PTRACE_CONT, child, NULL, NULL) == 0 &&
                 waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
                 WSTOPSIG(status) == SIGTRAP && (watch_seen(child) & 1) != 0;
    if (!WIFEXITED(status))
        tracee_kill(child);
    return works;
}
