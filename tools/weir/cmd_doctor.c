/* SPDX-License-Identifier: MIT */
/* weir doctor - what on this machine is in the way. */
#include "doctor.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "command.h"
#include "text.h"

static const char help[] =
    "Usage: weir doctor [OPTION]...\n"
    "\n"
    "Looks for what is in the way of shared memory on this machine: limits and how\n"
    "much of them is used, who deletes segments, the size of /dev/shm, huge pages,\n"
    "the run directory where names are, and what the kernel allows. A finding\n"
    "that needs something done comes with the command to type, where there is one.\n"
    "Nothing is changed.\n"
    "\n"
    "Findings are ok; note: weir does without; warning: will hurt sooner or later;\n"
    "problem: hurts now.\n"
    "\n"
    "Options:\n"
    "  -J, --json    one JSON document\n"
    "  -q, --quiet   warnings and problems alone\n"
    "  -h, --help    this text\n"
    "\n"
    "Examples:\n"
    "  weir doctor -q\n"
    "  weir doctor -J | jq -r '.findings[] | select(.level == \"problem\") | .cure'\n"
    "\n"
    "Exit status:\n"
    "  0 no problem was found (there may be warnings), 1 there is one,\n"
    "  2 called wrongly.\n";

static const struct table_column columns[DOCTOR_FIELDS] = {
    [DOCTOR_LEVEL] = { "LEVEL", TABLE_TEXT, 1 },
    [DOCTOR_NAME] = { "NAME", TABLE_TEXT, 1 },
    [DOCTOR_FINDING] = { "FINDING", TABLE_TEXT, 1 },
    [DOCTOR_CURE] = { "CURE", TABLE_TEXT, 1 },
};

/* How many places a line has; 0 when it is no terminal: then nothing is folded. */
static size_t terminal_width(void)
{
    struct winsize window;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0)
        return 0;
    return window.ws_col;
}

/* Prints text behind indent places, folded at blanks. */
static void fold(const char *text, size_t indent, size_t width)
{
    size_t at = indent;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (width > indent + 20 && at > indent && at + 1 + word > width) {
            printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)word, text);
        at += word;
        text += word;
        text += *text == ' ';
    }
    putchar('\n');
}

static void print(const struct table *table)
{
    size_t name_width = 0, width = terminal_width();
    for (size_t row = 0; row < table->row_count; row++) {
        size_t length = strlen(table->values[row * DOCTOR_FIELDS + DOCTOR_NAME].text);
        if (length > name_width)
            name_width = length;
    }
    size_t indent = sizeof "problem " + name_width + 1;
    for (size_t row = 0; row < table->row_count; row++) {
        const struct table_value *values = &table->values[row * DOCTOR_FIELDS];
        char *finding = text_escape(values[DOCTOR_FINDING].text, false);
        printf("%-7s  %-*s  ", values[DOCTOR_LEVEL].text, (int)name_width,
               values[DOCTOR_NAME].text);
        fold(finding, indent + 1, width);
        free(finding);
        /* Not folded: a command is there to be copied. */
        char *cure =
            values[DOCTOR_CURE].known ? text_escape(values[DOCTOR_CURE].text, false) : NULL;
        if (cure)
            printf("%*s-> %s\n", (int)indent + 1, "", cure);
        free(cure);
    }
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "json", no_argument, NULL, 'J' },
        COMMAND_LONG_OPTIONS,
    };
    struct table_options options = { .all = true };
    int option, status;
    while ((option = getopt_long(argc, argv, "hJq", long_options, NULL)) != -1)
        if (option == 'J')
            options.json = true;
        else if (!command_option(option, &status))
            return status;
    if (optind < argc)
        return command_usage("'%s' is too much: doctor looks at the machine", argv[optind]);
    status = table_check(&options, columns, DOCTOR_FIELDS);
    if (status != STATUS_OK)
        return status;
    struct doctor doctor = { .worst = DOCTOR_OK };
    table_init(&doctor.table, columns, DOCTOR_FIELDS);
    doctor_check_kernel(&doctor);
    doctor_check_sysv(&doctor);
    doctor_check_logind(&doctor);
    doctor_check_memory(&doctor);
    doctor_check_names(&doctor);
    if (options.json)
        status = table_print_json(&(struct table_section){ "findings", &doctor.table, false }, 1,
                                  &options);
    else
        print(&doctor.table);
    table_free(&doctor.table);
    status = command_finish(status);
    return status == STATUS_OK && doctor.worst == DOCTOR_PROBLEM ? STATUS_FAILURE : status;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "find what on this machine is in the way, and the cure",
    .help = help,
    .run = run,
};
