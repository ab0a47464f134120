/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_SCENE_H
#define WEIR_TOOL_SCENE_H

/*
 * The contract between 'weir demo' and its scenes.
 *
 * A scene shows one thing about shared memory by doing it. It has a heart, a
 * small program under examples/textbook/ that compiles alone, and a file
 * scene_NAME.c here with a 'const struct scene scene_NAME', listed in scenes.c.
 *
 * What run() may count on:
 *   - It runs in a process of its own, which may be killed, with children of its
 *     own. If the machine permits it (scene_private()), that process is in a
 *     private IPC and mount namespace, with an empty tmpfs on /dev/shm: all that
 *     it makes vanishes with its last process, SIGKILL included. If not, it is
 *     in the machine's namespace, and must keep off keys that are not its own.
 *   - The working directory is a fresh one with no file but .journal, removed afterwards.
 *   - System V objects made through the wrappers of calls.h are removed at the
 *     end, also when the scene is interrupted. Processes made by scene_fork() or
 *     scene_play() are killed at the end, and when the process that made them dies.
 *   - stdout is written by the functions below alone, with write(2): nothing
 *     lies in stdio's buffer that a fork could double.
 *
 * run() returns STATUS_OK, STATUS_FAILURE after command_fail(), or the value of
 * scene_skip(). No scene sleeps in order to wait for something.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct scene {
    const char *name;
    const char *summary; /* one line of 'weir demo --list' */
    const char *heart;   /* "examples/textbook/NAME.c" */
    int (*run)(void);
};

extern const struct scene *const scene_table[]; /* ends with NULL */

/* How the scene was asked for. */
enum scene_mode {
    SCENE_BRIEF,   /* the result in a few lines */
    SCENE_EXPLAIN, /* every step */
    SCENE_JSON,    /* one document of facts */
};

struct scene_settings {
    enum scene_mode mode;
    bool step;     /* wait for Enter between steps */
    uint64_t seed; /* of scene_random() */
};

/* Runs the scene in its own process and cleans up after it; an exit status. */
int scene_perform(const struct scene *scene, const struct scene_settings *settings);

/* -- Where a scene is ------------------------------------------------------------------------- */

enum scene_mode scene_mode(void);

/* Whether it waits for Enter between steps. */
bool scene_steps(void);

/* Whether this is a private IPC and mount namespace. */
bool scene_private(void);

/* A number below bound, repeatable with --seed. Call it in the scene's own process only. */
uint32_t scene_random(uint32_t bound);

/* -- Telling ---------------------------------------------------------------------------------- */

/* A heading, with --explain; with --step it waits for Enter first. */
void scene_head(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A paragraph, folded to the width of the page, with --explain only. */
void scene_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Text that is folded nowhere (program text, output), indented, with --explain only. */
void scene_quote(const char *text);

/* A line of the result: in brief and with --explain. */
void scene_result(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The machine does not permit this scene: says so, on stdout or as "skipped"; returns STATUS_OK. */
int scene_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * One fault of a program: in brief a line, with --explain a block of four
 * paragraphs, in JSON an entry of the array "faults". The texts are copied.
 */
struct scene_fault {
    const char *title;
    const char *does;     /* what the program does */
    const char *happened; /* what happened just now, measured */
    const char *why;
    const char *cure;
};
void scene_fault(const struct scene_fault *fault);

/* Facts of the JSON document, in the order of the calls; in the scene's own process only. */
void scene_fact_int(const char *name, int64_t value);
void scene_fact_bool(const char *name, bool value);
void scene_fact_text(const char *name, const char *value);

/* The closing part of every scene, with --explain: what weir does instead, and its calls. */
void scene_instead(const char *code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -- Processes -------------------------------------------------------------------------------- */

/* fork(2): the child has a name, and dies with the process that made it. */
pid_t scene_fork(const char *name);

/* The same for a child that outlives its parent, until the scene ends. */
pid_t scene_fork_free(const char *name);

/* Runs a program's main() in a process called name, and waits for it; its wait status. */
int scene_play(const char *name, int (*program)(void));

/* What a scene calls weir's sets that live longer than their users: with a number that nobody has. */
#define SCENE_SET_NAME "demo/set/%08" PRIx32

/* Names the calling process. */
void scene_name_process(const char *name);

/* Ends a process that scene_fork() made, as a program ends: with stdio flushed. */
_Noreturn void scene_exit(int status);

/*
 * Looks every millisecond whether condition(argument) holds, for timeout_ms at
 * most; returns whether it held. For states that no descriptor reports.
 */
bool scene_until(bool (*condition)(void *argument), void *argument, int timeout_ms);

/* Whether a process sleeps in the kernel ('S' in /proc/PID/stat): argument is a pid_t *. */
bool scene_process_sleeps(void *pid);

/* "was killed by signal 11 (Segmentation fault)" or "exited with 0"; static memory. */
const char *scene_wait_text(int wait_status);

#endif
