/* SPDX-License-Identifier: MIT */
#include "trail.h"

#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#if defined(__x86_64__)
static uintptr_t where(pid_t child)
{
    return (uintptr_t)ptrace(PTRACE_PEEKUSER, child, (void *)offsetof(struct user, regs.rip), NULL);
}

static bool set_debug_register(pid_t child, unsigned number, uintptr_t value)
{
    size_t at = offsetof(struct user, u_debugreg) + number * sizeof(unsigned long);
    return ptrace(PTRACE_POKEUSER, child, (void *)at, (void *)value) == 0;
}

/* Two of them. Bits 0 and 2 of the seventh: both are in use. */
static bool break_at(pid_t child, uintptr_t one, uintptr_t other)
{
    return set_debug_register(child, 0, one) && set_debug_register(child, 1, other) &&
           set_debug_register(child, 7, 5);
}

static void break_nowhere(pid_t child)
{
    assert_true(set_debug_register(child, 7, 0));
}
#else
static uintptr_t where(pid_t child)
{
    (void)child;
    return 0;
}

static bool break_at(pid_t child, uintptr_t one, uintptr_t other)
{
    (void)child;
    (void)one;
    (void)other;
    return false;
}

static void break_nowhere(pid_t child)
{
    (void)child;
}
#endif

void trail_record(struct trail *trail, pid_t child, unsigned most, bool (*is_over)(void))
{
    trail_free(trail);
    trail->at = test_malloc((most + 1) * sizeof *trail->at);
    for (trail->at[0] = where(child); !is_over(); trail->at[trail->count] = where(child)) {
        assert_true(trail->count < most);
        tracee_step_instruction(child);
        trail->count++;
    }
}

void trail_free(struct trail *trail)
{
    test_free(trail->at);
    *trail = (struct trail){ .at = NULL };
}

bool trail_step(pid_t child, unsigned instructions, bool (*is_over)(void))
{
    for (unsigned i = 0; i < instructions && !is_over(); i++)
        tracee_step_instruction(child);
    return !is_over();
}

/* One that repeats itself (rep movs) stands there for several steps; a breakpoint sees it once. */
static bool is_visit(const struct trail *trail, unsigned index, uintptr_t place)
{
    return trail->at[index] == place && trail->at[index - 1] != place;
}

/* How often it comes by where it stands after `to` instructions, on its way there. */
static unsigned visits(const struct trail *trail, unsigned from, unsigned to)
{
    unsigned count = 0;
    for (unsigned i = from + 1; i <= to; i++)
        count += is_visit(trail, i, trail->at[to]);
    return count;
}

/*
 * The last place, no further than that, where it had never been before. Loops turn once more or once
 * less in another child, as its numbers are; what is counted from there on is none of theirs.
 */
static unsigned last_new_place(const struct trail *trail, unsigned instructions)
{
    unsigned index = instructions;
    while (index > 0 && visits(trail, 0, index) != 1)
        index--;
    return index;
}

/* It stops there, or where the call is over. False: it is over. */
static bool run_to(pid_t child, uintptr_t place, unsigned times, bool (*is_over)(void))
{
    int status;
    while (times > 0 && !is_over()) {
        assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(WSTOPSIG(status), SIGTRAP);
        times -= where(child) == place;
    }
    return !is_over();
}

/* So few are stepped; a visit costs what a step costs. */
enum { FEW_STEPS = 16 };

/* It has done `from` instructions; on to `to`. False: it is over. */
static bool lead(const struct trail *trail, pid_t child, unsigned from, unsigned to,
                 bool (*is_over)(void))
{
    uintptr_t place = trail->at[to];
    unsigned start = from + 1;
    /* Where it stands when the breakpoint is set, that would be met at once, or not. */
    while (start < to && trail->at[start] == place)
        start++;
    unsigned times = start < to && is_visit(trail, to, place) ? visits(trail, start, to) : 0;
    if (times == 0 || to - from < FEW_STEPS || times > (to - from) / 2)
        return trail_step(child, to - from, is_over);
    if (!trail_step(child, start - from, is_over))
        return false;
    if (!break_at(child, place, trail->at[trail->count]))
        return trail_step(child, to - start, is_over);
    bool is_there = run_to(child, place, times, is_over);
    break_nowhere(child);
    return is_there;
}

bool trail_follow(const struct trail *trail, pid_t child, unsigned instructions,
                  bool (*is_over)(void))
{
    assert_true(trail->at && instructions < trail->count);
    unsigned between = last_new_place(trail, instructions);
    return lead(trail, child, 0, between, is_over) &&
           lead(trail, child, between, instructions, is_over);
}
