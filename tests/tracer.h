/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_TRACER_H
#define WEIR_TESTS_TRACER_H

/*
 * A child that is halted at each system call it makes, before and after, so
 * that it can be killed, or left standing, at every instant that another
 * process could tell from the next.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether this machine lets a process trace its child. */
bool tracer_works(void);
/* Forks. The child runs prepare (may be NULL), and is halted before it runs act and ends with 0. */
pid_t tracee_start(void (*prepare)(void *), void (*act)(void *), void *argument);
/* On to the next stop. False when the child has ended: *status is its wait status. */
bool tracee_step(pid_t child, int *status);
/* One instruction, or one system call, further. The child must not end by it. */
void tracee_step_instruction(pid_t child);
/* The system call it stands at, for messages: number, and whether before or after it. */
const char *tracee_where(pid_t child);
void tracee_kill(pid_t child);
/*
 * The child stands before a system call: this one fails with the error and is not made. False when
 * it stands elsewhere, when the call is one that cannot fail or whose failure nobody could survive
 * (close, munmap, signals, the end), or when this machine's registers are not known here.
 */
bool tracee_fail_call(pid_t child, int error);
bool tracer_can_fail_calls(void);
/* Let it run freely from here on. */
void tracee_release(pid_t child);
/* Let it run freely to its end. Returns its wait status. */
int tracee_finish(pid_t child);

/*
 * The whole walk: for n = 1, 2, 3 ... a fresh child is started after stage(argument), halted at
 * its n-th stop and handed to at_stop, which ends it (by tracee_kill() or tracee_finish()) and
 * checks what it left. Ends after the round in which the child made fewer than n stops and ended
 * with status 0. Returns the number of stops. (With a sanitizer every 11th stop must do.)
 */
struct walk {
    const char *what;
    void (*stage)(void *argument); /* in the test's process, before each child; may be NULL */
    void (*prepare)(void *argument);
    void (*act)(void *argument);
    void (*at_stop)(pid_t child, void *argument);
    void *argument;
};
unsigned walk_stops(const struct walk *walk);
/*
 * In at_stop, which then ends as ever: the round is to be once more, for something took too long. What is
 * really late is so each time. False: this was the third.
 */
bool walk_again(void);
/*
 * A child is halted after each of its instructions, until it sets *is_over. Whenever bytes at memory
 * (shared with it) are not what they were, and once before, changed(argument) is called: between two
 * changes all instants are one to those who share the memory. At the end the child is killed: what
 * changed() has copied is what its death would have left. Returns the number of instructions.
 */
struct change_walk {
    const char *what;
    void (*prepare)(void *argument); /* in the child, not stepped */
    void (*act)(void *argument);
    void (*changed)(void *argument);
    void *argument;
    const void *memory;
    size_t bytes;
    const atomic_bool *is_over;
};
unsigned walk_changes(const struct change_walk *walk);
/* Says where the present round stands, on stderr; for a check that fails. */
void walk_print_place(void);

#endif
