/* SPDX-License-Identifier: MIT */
/* weir doctor - what on this machine is in the way. */
#include "doctor.h"

#include <getopt.h>
#include <stdarg.h>
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
    "Looks for what is in the way of shared memory on this machine: limits and how much of\n"
    "them is used, who deletes segments, the size of /dev/shm, huge pages, the run directory\n"
    "where names are, and what the kernel allows. Each finding that needs something done comes\n"
    "with the command to type. Nothing is changed.\n"
    "\n"
    "Findings are ok; note: weir does without; warning: will hurt sooner or later; problem:\n"
    "hurts now.\n"
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
    "  0 no problem was found (there may be warnings), 1 there is one, 2 called wrongly.\n";

enum field { LEVEL, NAME, FINDING, CURE, FIELD_COUNT };

static const struct table_column columns[FIELD_COUNT] = {
    [LEVEL] = { "LEVEL", TABLE_TEXT, 1 },
    [NAME] = { "NAME", TABLE_TEXT, 1 },
    [FINDING] = { "FINDING", TABLE_TEXT, 1 },
    [CURE] = { "CURE", TABLE_TEXT, 1 },
};

static const char *const levels[] = { "ok", "note", "warning", "problem" };

void doctor_tell(struct doctor *doctor, enum doctor_level level, const char *name, const char *cure,
                 const char *format, ...)
{
    char *finding;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&finding, format, arguments) < 0)
        finding = NULL;
    va_end(arguments);
    text_memory(finding);
    if (level > doctor->worst)
        doctor->worst = level;
    if (command_quiet && level < DOCTOR_WARNING) {
        free(finding);
        return;
    }
    struct table_value *row = table_row(&doctor->table);
    table_set_text(&row[LEVEL], levels[level]);
    table_set_text(&row[NAME], name);
    table_set_text(&row[FINDING], finding);
    table_set_text(&row[CURE], cure);
    free(finding);
}

bool doctor_read_file(const char *path, char *text, size_t capacity)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t length = fread(text, 1, capacity - 1, file);
    bool read = length > 0 && !ferror(file);
    fclose(file);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return read;
}

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
        size_t length = strlen(table->values[row * FIELD_COUNT + NAME].text);
        if (length > name_width)
            name_width = length;
    }
    size_t indent = sizeof "problem " + name_width + 1;
    for (size_t row = 0; row < table->row_count; row++) {
        const struct table_value *values = &table->values[row * FIELD_COUNT];
        char *finding = text_escape(values[FINDING].text, false);
        printf("%-7s  %-*s  ", values[LEVEL].text, (int)name_width, values[NAME].text);
        fold(finding, indent + 1, width);
        free(finding);
        /* Not folded: a command is there to be copied. */
        if (values[CURE].known)
            printf("%*s-> %s\n", (int)indent + 1, "", values[CURE].text);
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
    status = table_check(&options, columns, FIELD_COUNT);
    if (status != STATUS_OK)
        return status;
    struct doctor doctor = { .worst = DOCTOR_OK };
    table_init(&doctor.table, columns, FIELD_COUNT);
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
    if (status == STATUS_OK && doctor.worst == DOCTOR_PROBLEM)
        status = STATUS_FAILURE;
    return command_finish(status);
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "find what on this machine is in the way, and the cure",
    .help = help,
    .run = run,
};
