/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_COMMAND_H
#define WEIR_TOOL_COMMAND_H

/*
 * What every command of the tool shares: its entry in the table, its exit
 * status, its messages. Data goes to stdout, messages to stderr.
 */

#include <stdbool.h>

enum exit_status {
    STATUS_OK = 0,
    STATUS_FAILURE = 1,
    STATUS_USAGE = 2,
};

struct command {
    const char *name;
    const char *summary; /* one line, no full stop: the list in 'weir --help' */
    const char *help;    /* the whole text of 'weir NAME --help'; help2man makes a man page of it:
                            "Usage: ...\n\nParagraph.\n\nOptions:\n  -x, --long=ARG  text\n..." */
    int (*run)(int argc, char **argv); /* argv[0] is "weir NAME"; returns exit_status */
};

/* The command that is running: its name stands in front of each message. */
extern const struct command *command_running;

/* --quiet: no progress and no remarks; errors are still told. */
extern bool command_quiet;

/* How whoever called us had SIGPIPE: here it is ignored always. */
extern bool command_pipe_was_ignored;

/* "weir send: SENTENCE" on stderr; returns STATUS_FAILURE. */
int command_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and a line that points to --help; returns STATUS_USAGE. */
int command_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "weir send: SENTENCE", the library's of its last call that failed, in the words of the command
 * (sentence.h); returns STATUS_FAILURE. */
int command_fail_weir(void);

/*
 * The last word of each command: status, or death by SIGPIPE when nobody read its output any more, as
 * the programs that one pipes into head(1) have it. Who had the signal ignored is told, with status 1.
 */
int command_end(int status);

/* A remark on stderr that --quiet silences. */
void command_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Flushes stdout: 0, or an errno. Line by line (a terminal, stdbuf -oL) it may have failed before, and what
 * was to be flushed is forgotten: then EIO. For who goes on afterwards.
 */
int command_flush(void);

/* Whether anybody reads stdout still: the end of a pipe's reader is known before anything is written. */
bool command_output_is_read(void);

/* "weir get: cannot write the output: ..." with the text of an errno; 0: EIO. Returns STATUS_FAILURE. */
int command_fail_output(int error);

/*
 * Flushes stdout and says when that failed (a full disk, a closed pipe); returns
 * status, or STATUS_FAILURE instead of STATUS_OK. Every command ends with it.
 */
int command_finish(int status);

/*
 * For getopt_long(3): call it for every option that the command does not treat
 * itself. Treats -h/--help, -q/--quiet; returns true to go on, false when the
 * command must return *status at once. '?' and ':' become a usage error.
 */
#define COMMAND_LONG_OPTIONS                                                                       \
    { "help", no_argument, NULL, 'h' }, { "quiet", no_argument, NULL, 'q' },                       \
    {                                                                                              \
        NULL, 0, NULL, 0                                                                           \
    }
bool command_option(int option, int *status);

extern const struct command command_collect;
extern const struct command command_create;
extern const struct command command_demo;
extern const struct command command_doctor;
extern const struct command command_explain;
extern const struct command command_get;
extern const struct command command_info;
extern const struct command command_list;
extern const struct command command_lock;
extern const struct command command_pub;
extern const struct command command_read;
extern const struct command command_recv;
extern const struct command command_remove;
extern const struct command command_sem;
extern const struct command command_send;
extern const struct command command_set;
extern const struct command command_sub;
extern const struct command command_tap;
extern const struct command command_top;
extern const struct command command_watch;
extern const struct command command_write;

#endif
