/* SPDX-License-Identifier: MIT */
/* weir top - what the members of channels do, live. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "channel.h"
#include "command.h"
#include "named.h"
#include "stop.h"
#include "text.h"
#include "top.h"
#include "value.h"

static const char help[] =
    "Usage: weir top [OPTION]... [CHANNEL]...\n"
    "\n"
    "Shows what the publishers and subscribers of these channels, or of all, do now,\n"
    "again and again. Takes no part in anything: no member notices it. ('weir tap'\n"
    "shows the messages; 'weir sub' takes part, and gets them all.)\n"
    "\n"
    "Columns:\n"
    "  CHANNEL    its name\n"
    "  MEMBER     pub or sub, and its place among those\n"
    "  PID        its process\n"
    "  COMMAND    what that runs\n"
    "  MSG/S      messages sent, or given back, in a second\n"
    "  BYTE/S     the same in bytes, with 8 for each message's header\n"
    "  LAG        bytes that are sent and not given back: a subscriber's own, where\n"
    "             it is furthest behind; of a publisher, the largest one\n"
    "  RING       how much of the publisher's ring that is\n"
    "  HELD       bytes of rings that a subscriber has taken in place, keeps, and has\n"
    "             announced: rings go round them, and have so much less room. What is\n"
    "             kept and not announced is LAG; of a lossy subscriber it is not seen\n"
    "  DROPS      messages that a subscriber missed; subscribers that a publisher\n"
    "             evicted\n"
    "  STATE      awake; waiting (it spins); asleep; polling (it has a descriptor to\n"
    "             wait by); stopped, by a signal or a debugger; dead, until another\n"
    "             member puts it out; joining, hidden, gone or false: 'weir info'\n"
    "  WAITS FOR  of who waits: message; publisher; subscribers; taken; room, or that\n"
    "             one attaches its ring at all, and which subscriber is in the way.\n"
    "             Of a publisher that polls: what its last call was refused for\n"
    "A column that is not known is '-'. On a narrow terminal some are left out.\n"
    "\n"
    "Options:\n"
    "  -1, --once              look twice, an interval apart, print that, and end\n"
    "  -J, --json              a line of JSON each interval, until it is interrupted\n"
    "  -i, --interval=SECONDS  from one look to the next: 1 without it, 0.05 at least\n"
    "  -s, --sort=COLUMN       channel, pid, command, rate (without it), bandwidth,\n"
    "                          lag, ring, held, drops or state\n"
    "  -r, --reverse           the other way round: the lowest number first\n"
    "  -q, --quiet             no remarks\n"
    "  -h, --help              this text\n"
    "\n"
    "Keys:\n"
    "  q                       end\n"
    "  Left, Right             sort by another column; r: the other way round\n"
    "  Up, Down, Page Up, Page Down, Home, End\n"
    "                          other lines, where there are more than fit\n"
    "  Space                   stop, and go on\n"
    "  +, -                    look more often, or less\n"
    "\n"
    "Environment:\n"
    "  NO_COLOR                when set and not empty: no colours\n"
    "\n"
    "Examples:\n"
    "  weir top camera/left camera/right\n"
    "  weir top --once --sort lag\n"
    "  weir top --json |\n"
    "      jq '.members[] | select(.need == \"room\" or .need == \"attach\") | .pid'\n"
    "      who waits for its subscribers\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly; by the signal when interrupted.\n";

enum form { FORM_SCREEN, FORM_ONCE, FORM_JSON, FORM_JSON_ONCE };

/* Until then, or a signal, or nobody reads our output any more. False: a signal is to end us. */
static bool sleep_until(int64_t until_ns)
{
    struct pollfd out = { .fd = STDOUT_FILENO, .events = 0 }; /* its end is told unasked */
    int64_t left_ns;
    while (stop_signal() == 0 && (left_ns = until_ns - weir_now_ns()) > 0) {
        const struct timespec left = { left_ns / WEIR_SECOND_NS, left_ns % WEIR_SECOND_NS };
        if (ppoll(&out, 1, &left, NULL) > 0)
            break;
    }
    return stop_signal() == 0;
}

/* 0, or an errno. */
static int print_once(struct sample *sample, const struct top_view *view)
{
    struct winsize window;
    struct top_sheet sheet;
    bool is_terminal = isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0;
    top_sheet_make(&sheet, sample, view, is_terminal ? window.ws_col : 0);
    for (size_t i = 0; i < sheet.line_count; i++)
        puts(sheet.lines[i]);
    top_sheet_free(&sheet);
    return command_flush();
}

static int print(struct sample *sample, enum form form, const struct top_view *view)
{
    if (form == FORM_ONCE)
        return print_once(sample, view);
    char *line = top_json(sample);
    errno = 0;
    int error = puts(line) == EOF ? errno : 0; /* before free() can set it */
    free(line);
    return error ? error : command_flush();
}

/* What could not be seen, unless the look before has told that. */
static void tell_trouble(const struct sample *sample, const struct sample *before)
{
    if (sample->trouble && !(before->trouble && strcmp(before->trouble, sample->trouble) == 0))
        command_note("%s", sample->trouble);
}

/* A channel that was named is there at the first look; later it may go, and come again. */
static int run_lines(const struct top_request *request, enum form form)
{
    struct sample before, sample;
    int64_t interval_ns = (int64_t)(request->interval * (double)WEIR_SECOND_NS);
    int status = stop_catch();
    if (status != STATUS_OK)
        return status;
    int result = sample_take(&before, request->channels, request->channel_count, NULL);
    if (result != 0)
        status = command_fail("%s", before.trouble);
    else if (before.trouble)
        command_note("%s", before.trouble);
    while (status == STATUS_OK && sleep_until(before.at_ns + interval_ns)) {
        if (!command_output_is_read()) {
            status = command_fail_output(EPIPE);
            break;
        }
        sample_take(&sample, request->channels, request->channel_count, &before);
        tell_trouble(&sample, &before);
        int error = print(&sample, form, &request->view);
        sample_free(&before);
        before = sample;
        if (error)
            status = command_fail_output(error);
        if (form == FORM_ONCE || form == FORM_JSON_ONCE)
            break;
    }
    sample_free(&before);
    return status;
}

static bool interval_option(const char *text, double *interval)
{
    if (!seconds_option("--interval", text, interval))
        return false;
    if (*interval >= 0.05 && *interval <= 86400)
        return true;
    char *shown = text_escape(text, false);
    command_usage("--interval '%s': 0.05 to 86400 seconds", shown);
    free(shown);
    return false;
}

static bool sort_option(const char *text, enum top_column *column)
{
    if (top_sort_option(text, column))
        return true;
    char *shown = text_escape(text, false);
    command_usage("--sort '%s': it is channel, pid, command, rate, bandwidth, lag, ring, held, "
                  "drops or state",
                  shown);
    free(shown);
    return false;
}

static int run_form(const struct top_request *request, enum form form)
{
    if (form != FORM_SCREEN)
        return stop_end(command_finish(run_lines(request, form)));
    if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
        return command_fail("this is no terminal: --once prints one look, --json a line each");
    return stop_end(command_finish(top_screen(request)));
}

/* What the options say; false: a usage error is told. */
static bool take_option(int option, struct top_request *request, bool *is_once, bool *is_json)
{
    switch (option) {
    case '1':
        *is_once = true;
        return true;
    case 'J':
        *is_json = true;
        return value_json_possible();
    case 'i':
        return interval_option(optarg, &request->interval);
    case 's':
        return sort_option(optarg, &request->view.sort);
    default:
        request->view.is_reverse = true;
        return true;
    }
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "interval", required_argument, NULL, 'i' }, { "json", no_argument, NULL, 'J' },
        { "once", no_argument, NULL, '1' },           { "reverse", no_argument, NULL, 'r' },
        { "sort", required_argument, NULL, 's' },     COMMAND_LONG_OPTIONS,
    };
    struct top_request request = { .interval = 1, .view = { .sort = TOP_RATE } };
    bool is_once = false, is_json = false;
    int option, status;
    setlocale(LC_CTYPE, "");
    while ((option = getopt_long(argc, argv, "1hi:Jqrs:", long_options, NULL)) != -1) {
        if (option == '?' || option == 'h' || option == 'q') {
            if (!command_option(option, &status))
                return status;
        } else if (!take_option(option, &request, &is_once, &is_json)) {
            return STATUS_USAGE;
        }
    }
    request.channels = argv + optind;
    request.channel_count = (size_t)(argc - optind);
    for (size_t i = 0; i < request.channel_count; i++)
        if (channel_name_check(request.channels[i]) != STATUS_OK)
            return STATUS_USAGE;
    return run_form(&request, is_json   ? is_once ? FORM_JSON_ONCE : FORM_JSON
                              : is_once ? FORM_ONCE
                                        : FORM_SCREEN);
}

const struct command command_top = {
    .name = "top",
    .summary = "show what the members of channels do, live",
    .help = help,
    .run = run,
};
