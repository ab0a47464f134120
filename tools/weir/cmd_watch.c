/* SPDX-License-Identifier: MIT */
/* weir watch - latest values as they come. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/error.h>

#include "command.h"
#include "named.h"
#include "size.h"
#include "text.h"
#include "value.h"

static const char help[] =
    "Usage: weir watch [OPTION]... NAME\n"
    "\n"
    "Prints the latest value of NAME, then each newer one, a line each, until it is\n"
    "interrupted. Values that come faster than they are printed are left out: it is\n"
    "the latest that counts. (For every one, in order, there are channels: 'weir\n"
    "sub'.) 'weir set' writes them, 'weir get' prints the latest one and ends.\n"
    "NAME must be there: unlike a channel it is made by its writer, and not waited\n"
    "for.\n"
    "\n"
    "Options:\n"
    "  -n, --new              not the value that is there already\n"
    "  -c, --count=N          end after N values\n"
    "  -t, --timeout=SECONDS  end, with status 0, when so long no value has come\n"
    "  -J, --json             a line of JSON a value: name, version, size, text (null\n"
    "                         when it is no UTF-8) and hex\n"
    "      --any-owner        also one of other users\n"
    "  -q, --quiet            no remarks: not of a writer's death, either\n"
    "  -h, --help             this text\n"
    "\n"
    "Examples:\n"
    "  weir watch outside/temperature\n"
    "  weir watch --new --count 1 build/state && echo 'it has changed'\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed, 2 called wrongly; by the signal when interrupted.\n";

struct request {
    enum value_form form;
    bool is_new, any_owner;
    uint64_t count; /* 0: no end */
    double timeout; /* seconds; below 0: none */
};

static int64_t deadline_of(const struct request *request)
{
    return request->timeout < 0 ? WEIR_NEVER : seconds_deadline(request->timeout);
}

/* So often it is looked whether our output is read still. */
#define SLICE_NS (WEIR_SECOND_NS / 5)

/*
 * 0: there is one above known; 1: nobody reads our output any more; -ETIMEDOUT: none has come; or another
 * error. A writer's death is told once: the library says it again and again, and at the deadline.
 */
static int wait_for_next(struct value_reader *reader, uint64_t known, int64_t deadline_ns)
{
    bool is_told = false;
    for (;;) {
        int64_t slice_ns = weir_deadline_ns(SLICE_NS);
        int result = weir_latest_wait_until(reader->reader, known,
                                            slice_ns < deadline_ns ? slice_ns : deadline_ns);
        if (result == -EPIPE && !is_told) {
            command_note(
                "'%s': its writer was killed, or ended without a close; waiting for another one",
                reader->object.argument);
            is_told = true;
        }
        bool is_over = weir_now_ns() >= deadline_ns;
        switch (result) {
        case -EPIPE:
        case -EAGAIN: /* with a timeout of 0 */
        case -ETIMEDOUT:
        case -EINTR:
            if (is_over)
                return -ETIMEDOUT;
            break;
        default:
            return result;
        }
        if (!command_output_is_read())
            return 1;
    }
}

static int watch(const char *text, const struct request *request)
{
    struct value_reader reader;
    int status = value_open(&reader, text, request->any_owner);
    uint64_t known = 0;
    if (status == STATUS_OK && request->is_new)
        known = weir_latest_version(reader.reader);
    for (uint64_t i = 0; status == STATUS_OK && (request->count == 0 || i < request->count); i++) {
        int result = wait_for_next(&reader, known, deadline_of(request));
        if (result == 1)
            status = command_fail_output(EPIPE);
        if (result == 1 || result == -ETIMEDOUT)
            break;
        if (result == 0)
            result = value_read(&reader);
        if (result != 0) {
            status = command_fail_weir();
            break;
        }
        known = reader.value.version;
        status = value_print(&reader, request->form);
        int error = status == STATUS_OK ? command_flush() : 0;
        if (error)
            status = command_fail_output(error);
    }
    value_close(&reader);
    return status;
}

static bool count_option(const char *text, uint64_t *count)
{
    const char *why = number_parse(text, UINT64_MAX / 2, count);
    if (!why && *count > 0)
        return true;
    char *shown = text_escape(text, false);
    command_usage("--count '%s': %s", shown, why ? why : "one at least");
    free(shown);
    return false;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "any-owner", no_argument, NULL, NAMED_ANY_OWNER },
        { "count", required_argument, NULL, 'c' },
        { "json", no_argument, NULL, 'J' },
        { "new", no_argument, NULL, 'n' },
        { "timeout", required_argument, NULL, 't' },
        COMMAND_LONG_OPTIONS,
    };
    struct request request = { .form = VALUE_LINE, .timeout = -1 };
    bool good = true;
    int option, status;
    while (good && (option = getopt_long(argc, argv, "c:hJnqt:", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            good = count_option(optarg, &request.count);
            break;
        case 'J':
            request.form = VALUE_JSON;
            good = value_json_possible();
            break;
        case 'n':
            request.is_new = true;
            break;
        case NAMED_ANY_OWNER:
            request.any_owner = true;
            break;
        case 't':
            good = seconds_option("--timeout", optarg, &request.timeout);
            break;
        default:
            if (!command_option(option, &status))
                return status;
        }
    }
    if (!good)
        return STATUS_USAGE;
    if (optind == argc)
        return command_usage("which value? NAME");
    if (optind + 1 < argc)
        return command_usage("'%s' is too much: one value a call", argv[optind + 1]);
    return command_finish(watch(argv[optind], &request));
}

const struct command command_watch = {
    .name = "watch",
    .summary = "print latest values as they come",
    .help = help,
    .run = run,
};
