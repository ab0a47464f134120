/* SPDX-License-Identifier: MIT */
/* A child that is halted at each of its system calls, with ptrace(2). */
#include "tracer.h"

#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <elf.h>
#endif

/* No call of weir's makes so many system calls; one that does not end would. */
#define MOST_STOPS 5000
#define MOST_INSTRUCTIONS 200000

static struct {
    const char *what;
    unsigned stop;
    unsigned rounds; /* that were halted there */
    bool is_again;
    char where[80];
} place;

void walk_print_place(void)
{
    print_error("in: %s, at stop %u (%s)\n", place.what, place.stop, place.where);
}

bool tracer_works(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    return status == 0;
}

pid_t tracee_start(void (*prepare)(void *), void (*act)(void *), void *argument)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (prepare)
            prepare(argument);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(99);
        act(argument);
        _exit(0);
    }
    int status = -1;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    /* ptrace(2): the options are handed over in the place of an address. */
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options), 0);
    return child;
}

bool tracee_step(pid_t child, int *status)
{
    long signal_number = 0;
    for (;;) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, (void *)signal_number), 0);
        assert_int_equal(waitpid(child, status, 0), child);
        if (!WIFSTOPPED(*status))
            return false;
        if (WSTOPSIG(*status) == (SIGTRAP | 0x80))
            return true;
        signal_number = WSTOPSIG(*status);
    }
}

void tracee_step_instruction(pid_t child)
{
    int status = -1;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        print_error("the child ended with 0x%x\n", (unsigned)status);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGTRAP);
}

const char *tracee_where(pid_t child)
{
    struct __ptrace_syscall_info info = { 0 };
    if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) <= 0)
        snprintf(place.where, sizeof place.where, "unknown");
    else if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        snprintf(place.where, sizeof place.where, "before system call %llu",
                 (unsigned long long)info.entry.nr);
    else
        snprintf(place.where, sizeof place.where, "after the same, result %lld",
                 (long long)info.exit.rval);
    return place.where;
}

/* The number of the call it stands before is made invalid; after it, the result is replaced. */
#if defined(__x86_64__)
static bool set_call(pid_t child, long number)
{
    return ptrace(PTRACE_POKEUSER, child, (void *)offsetof(struct user, regs.orig_rax),
                  (void *)number) == 0;
}

static bool set_result(pid_t child, long result)
{
    return ptrace(PTRACE_POKEUSER, child, (void *)offsetof(struct user, regs.rax),
                  (void *)result) == 0;
}

bool tracer_can_fail_calls(void)
{
    return true;
}
#elif defined(__aarch64__)
static bool set_call(pid_t child, long number)
{
    int call = (int)number;
    struct iovec area = { &call, sizeof call };
    return ptrace(PTRACE_SETREGSET, child, (void *)NT_ARM_SYSTEM_CALL, &area) == 0;
}

static bool set_result(pid_t child, long result)
{
    struct user_regs_struct registers;
    struct iovec area = { &registers, sizeof registers };
    if (ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &area) != 0)
        return false;
    registers.regs[0] = (unsigned long long)result;
    return ptrace(PTRACE_SETREGSET, child, (void *)NT_PRSTATUS, &area) == 0;
}

bool tracer_can_fail_calls(void)
{
    return true;
}
#else
static bool set_call(pid_t child, long number)
{
    (void)child;
    (void)number;
    return false;
}

static bool set_result(pid_t child, long result)
{
    (void)child;
    (void)result;
    return false;
}

bool tracer_can_fail_calls(void)
{
    return false;
}
#endif

static bool may_fail(unsigned long long number)
{
    static const long never[] = { SYS_exit_group, SYS_exit,           SYS_close,       SYS_munmap,
                                  SYS_futex,      SYS_rt_sigprocmask, SYS_geteuid,     SYS_getpid,
                                  SYS_gettid,     SYS_shmdt,          SYS_rt_sigreturn };
    for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
        if (number == (unsigned long long)never[i])
            return false;
    }
    return true;
}

bool tracee_fail_call(pid_t child, int error)
{
    struct __ptrace_syscall_info info = { 0 };
    int status;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY || !may_fail(info.entry.nr))
        return false;
    return set_call(child, -1) && tracee_step(child, &status) && set_result(child, -error);
}

void tracee_kill(pid_t child)
{
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void tracee_release(pid_t child)
{
    assert_int_equal(ptrace(PTRACE_DETACH, child, NULL, NULL), 0);
}

int tracee_finish(pid_t child)
{
    int status = -1;
    tracee_release(child);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

bool walk_again(void)
{
    place.is_again = place.rounds < 3;
    if (place.is_again)
        print_message("           %s: stop %u once more\n", place.what, place.stop);
    return place.is_again;
}

unsigned walk_stops(const struct walk *walk)
{
    const unsigned step = SANITIZED ? 11 : 1;
    place.is_again = false;
    for (unsigned stop = 1; stop < MOST_STOPS; stop += place.is_again ? 0 : step) {
        int status = 0;
        bool alive = true;
        place.rounds = place.is_again ? place.rounds + 1 : 1;
        place.is_again = false;
        place.what = walk->what;
        place.stop = stop;
        snprintf(place.where, sizeof place.where, "starting");
        if (walk->stage)
            walk->stage(walk->argument);
        pid_t child = tracee_start(walk->prepare, walk->act, walk->argument);
        for (unsigned i = 0; i < stop && alive; i++)
            alive = tracee_step(child, &status);
        if (!alive) {
            if (status != 0)
                walk_print_place();
            assert_int_equal(status, 0);
            return stop - 1; /* with sanitizers: at most */
        }
        tracee_where(child);
        walk->at_stop(child, walk->argument);
    }
    fail_msg("%s does not end", walk->what);
    return 0;
}

unsigned walk_changes(const struct change_walk *walk)
{
    unsigned char *before = test_malloc(walk->bytes);
    unsigned count = 0;
    int status;
    place.what = walk->what;
    snprintf(place.where, sizeof place.where, "instructions");
    pid_t child = tracee_start(walk->prepare, walk->act, walk->argument);
    do {
        place.stop = count;
        if (count == 0 || memcmp(before, walk->memory, walk->bytes) != 0) {
            memcpy(before, walk->memory, walk->bytes);
            walk->changed(walk->argument);
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSTOPPED(status))
            fail_msg("%s: ended with 0x%x at instruction %u", walk->what, status, count);
        assert_true(++count < MOST_INSTRUCTIONS);
    } while (!atomic_load(walk->is_over));
    tracee_kill(child);
    test_free(before);
    return count;
}
