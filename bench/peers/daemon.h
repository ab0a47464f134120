/* SPDX-License-Identifier: MIT */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H

/*
 * The process that some peers need beside those that talk. It runs where the scheduler puts it, as
 * a user's does. A keeper is its parent, and ends it as soon as the benchmark has come to its end,
 * whatever that was: so that nothing is left of either.
 */

#include <stdbool.h>
#include <sys/types.h>

struct daemon_plan {
    char *const *arguments; /* the first is its path; NULL is last */
    int end_signal;         /* what asks it to end, and to take away its files */

    /* When it may be used: it has written this, or this file is there. */
    const char *ready_text, *ready_file;
};

struct daemon {
    pid_t pid, keeper;
    int life;   /* while anybody has it open, the daemon runs */
    int output; /* what it writes */
};

/* False, with what it says on stderr: it does not run. */
bool daemon_start(struct daemon *daemon, const struct daemon_plan *plan);

/* Returns when it has ended. Of two that run the one that was started last is ended first. */
void daemon_end(struct daemon *daemon);

#endif
