/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SEED_H
#define WEIR_TOOL_SEED_H

/*
 * The textbook's program and the right one, run as they are: their own printf
 * into a pipe, their own sleep. Only from outside something happens to them.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum seed_flags {
    SEED_RIGHT = 1 << 0,       /* seed_right.c instead of seed.c */
    SEED_NO_FILE = 1 << 1,     /* without "shmfile" in the directory */
    SEED_STOP_BEFORE = 1 << 2, /* the parent is stopped before its strcpy() */
    SEED_STOP_AFTER = 1 << 3,  /* and after it */
    SEED_HEADING = 1 << 4,     /* a heading is printed before main() */
    SEED_UMASK = 1 << 5,       /* umask 077 */
};

/* What the hooks note down, shared with the program's processes. */
struct seed_notes {
    pid_t child;
    int id; /* of the segment; -1: none */
    int64_t written_ns, read_ns;
};

struct seed_run {
    pid_t parent;
    int output; /* the read end of the program's stdout */
    struct seed_notes *notes;
    int64_t start_ns;
    int64_t end_ns;    /* when its output ended */
    char text[512];    /* its output, as far as it was read */
    char directory[8]; /* where it runs, below the scene's */
};

/* Makes the directory of a run; seed_start() does it when it was not done. */
bool seed_prepare(struct seed_run *run, unsigned flags);

bool seed_start(struct seed_run *run, unsigned flags);

/* Waits until the parent is stopped; false when it ended instead. */
bool seed_wait_stopped(const struct seed_run *run);

/* Reads output until a line begins with text, or it ends; whether it was there. */
bool seed_read_until(struct seed_run *run, const char *text);

/* Whether it has written anything by now. */
bool seed_has_output(const struct seed_run *run);

/* Waits for the end of the output and of the parent; the parent's wait status. */
int seed_finish(struct seed_run *run);

/* Waits for the parent alone. */
int seed_reap_parent(struct seed_run *run);

/* Kills what is still there of it, and takes its segment away if it stands. */
void seed_clear(struct seed_run *run);

/* -- seed_faults.c ---------------------------------------------------------------------------- */

/* Each shows one fault, with evidence made just now; false when the machine gave no process. */
bool seed_fault_ftok(void);
bool seed_fault_unchecked(void);
bool seed_fault_mode(void);
bool seed_fault_sleep_and_buffers(void); /* two: they share the second that the program sleeps */
bool seed_fault_left_behind(void);
bool seed_fault_status(void);

/* The right program, run the same way: how long it takes, in microseconds; -1 when it failed. */
int64_t seed_run_right(struct seed_run *run);

#endif
