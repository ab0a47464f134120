/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_KILL_AT_H
#define WEIR_TOOL_KILL_AT_H

/*
 * Runs a program in a process of its own and kills it with SIGKILL right behind
 * a system call that succeeded: at an instruction, not after a time. By ptrace(2).
 */

#include <stdbool.h>

/* Whether ptrace(2) is permitted and knows system calls by number (Linux 5.3). */
bool kill_at_possible(void);

/*
 * Runs program(), without telling of its calls, until the system call of that
 * number (SYS_semget) has succeeded once, and kills it there. False when it ended
 * before.
 */
bool kill_at(long call, const char *name, int (*program)(void));

#endif
