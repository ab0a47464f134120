/* SPDX-License-Identifier: MIT */
#include "step.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A system call that sleeps for so long does not return by itself. */
#define ASLEEP_NS INT64_C(10000000)

#if defined(__x86_64__)
#define KNOWS_MACHINE 1

static uintptr_t where(pid_t pid)
{
    return (uintptr_t)ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user, regs.rip), NULL);
}

/* A breakpoint of the processor's; at 0 there is none. */
static bool break_at(pid_t pid, uintptr_t at)
{
    return ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user, u_debugreg[0]), (void *)at) ==
               0 &&
           ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user, u_debugreg[7]),
                  (void *)(uintptr_t)(at != 0)) == 0;
}

static bool is_at_call(pid_t pid, uintptr_t *at)
{
    errno = 0;
    *at = where(pid);
    if (errno != 0)
        return false;
    long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)*at, NULL);
    return errno == 0 && (code & 0xffff) == 0x050f; /* syscall */
}

static long entered_call(pid_t pid)
{
    return ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user, regs.orig_rax), NULL);
}
#else
/* On arm64 a step clears the monitor of an exclusive load, so that its loop never ends. */
#define KNOWS_MACHINE 0

static uintptr_t where(pid_t pid)
{
    (void)pid;
    return 0;
}

static bool break_at(pid_t pid, uintptr_t at)
{
    (void)pid;
    (void)at;
    return false;
}

static bool is_at_call(pid_t pid, uintptr_t *at)
{
    (void)pid;
    *at = 0;
    return false;
}

static long entered_call(pid_t pid)
{
    (void)pid;
    return -1;
}
#endif

static const long trace_options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

bool stepper_works(void)
{
    if (!KNOWS_MACHINE)
        return false;
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    if (child < 0)
        return false;
    /* ptrace(2): the options are handed over in the place of an address. */
    bool works = ptrace(PTRACE_SEIZE, child, NULL, (void *)trace_options) == 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return works;
}

bool stepper_timed_out(const struct stepper *stepper)
{
    return stepper->call == SYS_futex &&
           ptrace(PTRACE_PEEKUSER, stepper->pid, (void *)offsetof(struct user, regs.rax), NULL) ==
               -ETIMEDOUT;
}

bool stepper_begin(struct stepper *stepper, const struct peer *peer,
                   const struct accounts *accounts)
{
    int status;
    *stepper = (struct stepper){ .pid = peer->pid, .accounts = accounts };
    if (ptrace(PTRACE_SEIZE, peer->pid, NULL, (void *)trace_options) != 0 ||
        ptrace(PTRACE_INTERRUPT, peer->pid, NULL, NULL) != 0)
        return false;
    return waitpid(peer->pid, &status, 0) == peer->pid && WIFSTOPPED(status);
}

static bool is_asleep(pid_t pid)
{
    char path[40], text[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' && end[2] == 'S';
}

/* 1: it stopped; 0: it sleeps; -1: it is gone. */
static int await(pid_t pid, int *status)
{
    const struct timespec nap = { 0, 200000 };
    int64_t began_ns = weir_now_ns();
    for (;;) {
        pid_t found = waitpid(pid, status, WNOHANG);
        if (found != 0)
            return found == pid && WIFSTOPPED(*status) ? 1 : -1;
        int64_t waited_ns = weir_now_ns() - began_ns;
        if (waited_ns < 100000)
            sched_yield();
        else
            nanosleep(&nap, NULL);
        if (waited_ns > ASLEEP_NS && is_asleep(pid))
            return 0;
    }
}

/* Behind an entry: to the exit, or to sleep. */
static enum step cross_call(struct stepper *stepper)
{
    int status, found;
    if (!stepper->is_running && ptrace(PTRACE_SYSCALL, stepper->pid, NULL, NULL) != 0)
        return STEP_LOST;
    bool was_running = stepper->is_running;
    do
        found = await(stepper->pid, &status);
    while (found == 0 && was_running); /* known to sleep already */
    stepper->is_running = found == 0;
    if (found == 0)
        return STEP_BLOCKED;
    if (found < 0 || WSTOPSIG(status) != (SIGTRAP | 0x80))
        return STEP_LOST;
    stepper->is_entered = false;
    return STEP_EXIT;
}

/* An instruction that is no system call. */
static enum step step_instruction(const struct stepper *stepper)
{
    int status;
    if (ptrace(PTRACE_SINGLESTEP, stepper->pid, NULL, NULL) != 0 ||
        waitpid(stepper->pid, &status, 0) != stepper->pid || !WIFSTOPPED(status) ||
        (WSTOPSIG(status) & 0x7f) != SIGTRAP)
        return STEP_LOST;
    return STEP_INSTRUCTION;
}

/* To the next stop at a system call, at full speed. */
static enum step next_call(struct stepper *stepper)
{
    int status;
    if (stepper->is_entered)
        return cross_call(stepper);
    if (ptrace(PTRACE_SYSCALL, stepper->pid, NULL, NULL) != 0 ||
        waitpid(stepper->pid, &status, 0) != stepper->pid || !WIFSTOPPED(status) ||
        WSTOPSIG(status) != (SIGTRAP | 0x80))
        return STEP_LOST;
    stepper->is_entered = true;
    stepper->call = entered_call(stepper->pid);
    return STEP_ENTRY;
}

enum step stepper_next(struct stepper *stepper)
{
    if (stepper->is_entered || is_at_call(stepper->pid, &stepper->from))
        return next_call(stepper);
    return step_instruction(stepper);
}

uintptr_t stepper_where(const struct stepper *stepper)
{
    return where(stepper->pid);
}

bool stepper_is_over(const struct stepper *stepper)
{
    return stepper->accounts->place == AFTER;
}

bool stepper_enter(struct stepper *stepper)
{
    while (stepper->accounts->place == BEFORE) {
        if (next_call(stepper) == STEP_LOST)
            return false;
    }
    /* At the entry of the system call that follows the mark. */
    return stepper->is_entered && next_call(stepper) == STEP_EXIT;
}

static void give_cue(struct stepper *stepper)
{
    if (stepper->cue && !stepper->has_cued)
        stepper->cue(stepper->argument);
    stepper->has_cued = true;
}

/* So few are stepped. */
#define FEW_STEPS 8

/* With a breakpoint there. Or to the next system call, if that comes sooner than at the survey. */
static bool run_to(struct stepper *stepper, struct point point)
{
    int status = 0;
    bool is_at_point = false;
    for (uint32_t visit = 0; visit < point.visit; visit++) {
        if (ptrace(PTRACE_SYSCALL, stepper->pid, NULL, NULL) != 0 ||
            waitpid(stepper->pid, &status, 0) != stepper->pid || !WIFSTOPPED(status))
            return false;
        is_at_point = WSTOPSIG(status) == SIGTRAP;
        if (!is_at_point)
            break;
    }
    break_at(stepper->pid, 0);
    if (is_at_point) {
        stepper->at.steps = point.steps;
    } else {
        stepper->is_entered = true;
        stepper->call = entered_call(stepper->pid);
        stepper->at.stops++;
    }
    return (is_at_point || WSTOPSIG(status) == (SIGTRAP | 0x80)) && !stepper_is_over(stepper);
}

bool stepper_reach(struct stepper *stepper, struct point point)
{
    while (stepper->at.stops < point.stops) {
        enum step step = next_call(stepper);
        if (step == STEP_LOST || stepper_is_over(stepper))
            return false;
        if (step == STEP_BLOCKED)
            give_cue(stepper);
        else
            stepper->at.stops++;
    }
    if (point.is_blocked) {
        enum step step = stepper_next(stepper);
        stepper->at.stops += step == STEP_EXIT; /* this time it did not sleep */
        return step != STEP_LOST && !stepper_is_over(stepper);
    }
    if (point.steps > FEW_STEPS && point.visit != 0 && point.visit <= point.steps / FEW_STEPS &&
        break_at(stepper->pid, point.there))
        return run_to(stepper, point);
    while (stepper->at.steps < point.steps && !is_at_call(stepper->pid, &stepper->from)) {
        if (step_instruction(stepper) != STEP_INSTRUCTION || stepper_is_over(stepper))
            return false;
        stepper->at.steps++;
    }
    return true;
}

/* After a step it stands at a signal, SIGTRAP, in whose place another may be given. */
bool stepper_halt(struct stepper *stepper)
{
    int status;
    if (stepper->is_running) {
        kill(stepper->pid, SIGSTOP);
        return waitpid(stepper->pid, &status, 0) == stepper->pid && WIFSTOPPED(status);
    }
    if (stepper->at.steps == 0)
        return true;
    stepper->is_detached = true;
    return ptrace(PTRACE_DETACH, stepper->pid, NULL, (void *)(long)SIGSTOP) == 0 &&
           waitpid(stepper->pid, &status, WUNTRACED) == stepper->pid && WIFSTOPPED(status) &&
           WSTOPSIG(status) == SIGSTOP;
}

void stepper_release(struct stepper *stepper)
{
    kill(stepper->pid, SIGCONT); /* takes a SIGSTOP back that is not delivered yet */
    if (!stepper->is_detached)
        ptrace(PTRACE_DETACH, stepper->pid, NULL, NULL);
}

/* A beacon has mode 0, and up to a megabyte that nobody writes. */
static bool is_beacon(int id)
{
    struct shmid_ds found;
    return shmctl(id, IPC_STAT, &found) != 0 ? errno == EACCES : (found.shm_perm.mode & 0777) == 0;
}

static void read_maps(struct memory *memory, pid_t pid)
{
    char path[40], line[400], rights[5];
    uintptr_t start, end;
    int id;
    size_t total = 0;
    memory->count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (!strstr(line, "/SYSV") ||
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %d", &start, &end, rights, &id) !=
                4 ||
            rights[1] != 'w' || is_beacon(id) || memory->count == 16)
            continue;
        memory->maps[memory->count].start = start;
        memory->maps[memory->count++].bytes = end - start;
        total += end - start;
    }
    if (file)
        fclose(file);
    if (total > memory->capacity_bytes) {
        memory->before = realloc(memory->before, total);
        memory->now = realloc(memory->now, total);
        memory->capacity_bytes = total;
    }
}

void memory_forget(struct memory *memory)
{
    memory->is_known = false;
}

void memory_free(struct memory *memory)
{
    free(memory->before);
    free(memory->now);
    free(memory->shared_before);
    *memory = (struct memory){ .count = 0 };
}

static bool segments_changed(struct memory *memory, pid_t pid)
{
    struct iovec there[16], here;
    size_t total = 0;
    bool was_known = memory->is_known;
    if (!was_known)
        read_maps(memory, pid);
    memory->is_known = true;
    for (unsigned i = 0; i < memory->count; i++) {
        there[i] = (struct iovec){ (void *)memory->maps[i].start, memory->maps[i].bytes };
        total += memory->maps[i].bytes;
    }
    if (total == 0)
        return false;
    here = (struct iovec){ memory->now, total };
    if (process_vm_readv(pid, &here, 1, there, memory->count, 0) != (ssize_t)total)
        return was_known; /* what cannot be compared counts as changed */
    bool is_same = was_known && memcmp(memory->before, memory->now, total) == 0;
    unsigned char *turn = memory->before;
    memory->before = memory->now;
    memory->now = turn;
    return was_known && !is_same;
}

static bool shared_changed(struct memory *memory)
{
    bool was_known = memory->shared_before;
    if (memory->shared_bytes == 0)
        return false;
    if (!was_known)
        memory->shared_before = malloc(memory->shared_bytes);
    bool is_same =
        was_known && memcmp(memory->shared_before, memory->shared, memory->shared_bytes) == 0;
    if (!is_same)
        memcpy(memory->shared_before, memory->shared, memory->shared_bytes);
    return was_known && !is_same;
}

bool memory_changed(struct memory *memory, pid_t pid)
{
    bool has_changed = segments_changed(memory, pid);
    return shared_changed(memory) || has_changed;
}
