/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_PUPPET_H
#define WEIR_TOOL_PUPPET_H

/*
 * A process that does one step at a time, when it is told to. A scene has its
 * processes meet exactly where the kernel would let them meet once in a thousand
 * runs: between a load and a store, between two system calls.
 */

#include <stdbool.h>
#include <sys/types.h>

struct puppet {
    pid_t pid;
    int orders;  /* we write */
    int answers; /* we read */
};

/* One step, in the puppet's process: order is what puppet_do() was given. */
typedef long puppet_act(int order, void *argument);

/* Forks a process called name that waits for orders. False when the system refuses. */
bool puppet_start(struct puppet *puppet, const char *name, puppet_act *act, void *argument);

/* Has it do one step (order above 0) and waits for the answer; -1 when it died meanwhile. */
long puppet_do(struct puppet *puppet, int order);

/* Has it begin a step that may block; the answer is fetched with puppet_answer(). */
void puppet_begin(struct puppet *puppet, int order);
long puppet_answer(struct puppet *puppet);

/* Whether it sleeps in the midst of a step: for scene_until(), argument is a struct puppet *. */
bool puppet_sleeps(void *puppet);

/* The same, or the step is done, or the puppet dead: it goes no further by itself. */
bool puppet_settled(void *puppet);

/* Lets it exit, or kills it with SIGKILL; returns its wait status. */
int puppet_end(struct puppet *puppet);
int puppet_kill(struct puppet *puppet);

#endif
