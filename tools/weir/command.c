/* SPDX-License-Identifier: MIT */
#include "command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sentence.h"

const struct command *command_running;
bool command_quiet;
bool command_pipe_was_ignored;

static void __attribute__((format(printf, 1, 0))) message(const char *format, va_list arguments)
{
    char *said = NULL, *line = NULL;
    fflush(stdout); /* so that the two streams keep their order on one terminal */
    if (vasprintf(&said, format, arguments) < 0)
        said = NULL;
    if (asprintf(&line, "weir%s%s: %s\n", command_running ? " " : "",
                 command_running ? command_running->name : "", said ? said : "no memory") < 0)
        line = NULL;
    fputs(line ? line : "weir: no memory\n", stderr); /* in one piece: others write there, too */
    free(line);
    free(said);
}

int command_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(format, arguments);
    va_end(arguments);
    return STATUS_FAILURE;
}

int command_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    message(format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try 'weir %s%s--help'.\n", command_running ? command_running->name : "",
            command_running ? " " : "");
    return STATUS_USAGE;
}

int command_fail_weir(void)
{
    char *sentence = sentence_last();
    int status = command_fail("%s", sentence);
    free(sentence);
    return status;
}

void command_note(const char *format, ...)
{
    if (command_quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    message(format, arguments);
    va_end(arguments);
}

int command_flush(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return errno ? errno : EIO;
}

bool command_output_is_read(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = 0 }; /* its end is told unasked */
    return poll(&out, 1, 0) <= 0 || !(out.revents & (POLLERR | POLLHUP));
}

/* Nobody reads what we print: that is the reader's will, as of 'head', and no news to anybody. */
static bool is_pipe_broken;

int command_fail_output(int error)
{
    if (error == EPIPE && !command_pipe_was_ignored) {
        is_pipe_broken = true;
        return STATUS_FAILURE;
    }
    return command_fail("cannot write the output: %s", strerror(error ? error : EIO));
}

int command_end(int status)
{
    if (!is_pipe_broken || status == STATUS_OK)
        return status;
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    return status;
}

int command_finish(int status)
{
    int error = command_flush();
    return error && status == STATUS_OK ? command_fail_output(error) : status;
}

bool command_option(int option, int *status)
{
    switch (option) {
    case 'h':
        fputs(command_running->help, stdout);
        *status = command_finish(STATUS_OK);
        return false;
    case 'q':
        command_quiet = true;
        return true;
    default:
        /* getopt_long has said what was wrong. */
        fprintf(stderr, "Try 'weir %s --help'.\n", command_running->name);
        *status = STATUS_USAGE;
        return false;
    }
}
