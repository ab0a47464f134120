/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_SILENCE_H
#define WEIR_TESTS_SILENCE_H

/*
 * A process whose system calls are forbidden: one, or all. From then on it is so in this thread and
 * those that it starts. False: there is no seccomp here.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool obey(struct sock_filter *rules, size_t count)
{
    struct sock_fprog program = { (unsigned short)count, rules };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* The call of this number fails with error (0: succeeds, idly). */
static inline bool forbid_call(unsigned number, unsigned error)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return obey(rules, sizeof rules / sizeof rules[0]);
}

/* Whether this one could be forbidden: a child of its own tries. */
static inline bool can_forbid_call(unsigned number)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(forbid_call(number, EPERM) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/*
 * In main(), first: with --without-membarrier none of the test's processes may call that, from before
 * their first open, as in a container whose filter does not know it. False: this cannot be forbidden,
 * and the test is skipped.
 */
static inline bool silence_begin(int argument_count, char **arguments)
{
    bool is_told = argument_count > 1 && strcmp(arguments[1], "--without-membarrier") == 0;
    return !is_told || forbid_call(SYS_membarrier, EPERM);
}

/* This thread wakes nobody who sleeps on a futex. */
static inline bool silence(void)
{
    return forbid_call(SYS_futex, 0);
}

/* The call of this number fails with error when its argument, counted from 0, is this command. */
static inline bool forbid_command(unsigned number, unsigned argument, unsigned command,
                                  unsigned error)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (unsigned)offsetof(struct seccomp_data, args) + 8 * argument),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, command, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    return obey(rules, sizeof rules / sizeof rules[0]);
}

/* SHM_STAT_ANY fails with error. */
static inline bool forbid_stat_any(unsigned error)
{
    return forbid_command(SYS_shmctl, 1, SHM_STAT_ANY, error);
}

/* SETALL fails with error. */
static inline bool forbid_set_all(unsigned error)
{
    return forbid_command(SYS_semctl, 2, SETALL, error);
}

/* Every call but the end of the process kills it. Where that is not to be had it ends with 77. */
static inline void forbid_calls(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    if (!obey(rules, sizeof rules / sizeof rules[0]))
        _exit(77);
}

#endif
