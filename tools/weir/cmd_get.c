/* SPDX-License-Identifier: MIT */
/* weir get - the latest value. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>

#include <weir/error.h>

#include "command.h"
#include "named.h"
#include "value.h"

static const char help[] =
    "Usage: weir get [OPTION]... NAME\n"
    "\n"
    "Prints the latest value of NAME: what 'weir set' wrote, or a program by\n"
    "weir-latest.h(3). It is whole, whoever is writing meanwhile, and also when the\n"
    "writer was killed. The bytes are printed as they are; on a terminal an end of\n"
    "line follows. ('weir watch' goes on, and prints each newer one.)\n"
    "\n"
    "Options:\n"
    "  -J, --json       name, version, size, text (null when it is no UTF-8) and hex\n"
    "      --any-owner  also one of other users\n"
    "  -q, --quiet      no remarks\n"
    "  -h, --help       this text\n"
    "\n"
    "Examples:\n"
    "  weir get outside/temperature\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 there is no value or it failed, 2 called wrongly.\n";

static int get(const char *text, enum value_form form, bool any_owner)
{
    struct value_reader reader;
    int status = value_open(&reader, text, any_owner);
    if (status == STATUS_OK) {
        int result = value_read(&reader);
        if (result == -EAGAIN && weir_latest_version(reader.reader) == 0)
            status = command_fail("'%s' has no value yet", reader.object.argument);
        else
            status = result == 0 ? value_print(&reader, form) : command_fail_weir();
    }
    value_close(&reader);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "any-owner", no_argument, NULL, NAMED_ANY_OWNER },
        { "json", no_argument, NULL, 'J' },
        COMMAND_LONG_OPTIONS,
    };
    enum value_form form = VALUE_RAW;
    bool any_owner = false;
    int option, status;
    while ((option = getopt_long(argc, argv, "hJq", long_options, NULL)) != -1) {
        if (option == 'J')
            form = VALUE_JSON;
        else if (option == NAMED_ANY_OWNER)
            any_owner = true;
        else if (!command_option(option, &status))
            return status;
    }
    if (form == VALUE_JSON && !value_json_possible())
        return STATUS_USAGE;
    if (optind == argc)
        return command_usage("which value? NAME");
    if (optind + 1 < argc)
        return command_usage("'%s' is too much: one value a call", argv[optind + 1]);
    return command_finish(get(argv[optind], form, any_owner));
}

const struct command command_get = {
    .name = "get",
    .summary = "print a latest value",
    .help = help,
    .run = run,
};
