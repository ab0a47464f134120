/* SPDX-License-Identifier: MIT */
/* weir list - everything that is shared on this machine. */
#include <getopt.h>
#include <stddef.h>

#include <weir/error.h>
#include <weir/inspect.h>

#include "command.h"
#include "fields.h"
#include "object.h"
#include "table.h"

static const char help[] =
    "Usage: weir list [OPTION]...\n"
    "\n"
    "Shows what processes share on this machine: weir's objects, and everyone's\n"
    "System V segments, System V semaphore sets and POSIX segments. The first column\n"
    "is what other weir commands take as OBJECT.\n"
    "\n"
    "Options:\n"
    "  -m, --segments     System V segments; -m, -s and -p add up\n"
    "  -s, --semsets      System V semaphore sets\n"
    "  -p, --posix        POSIX segments: files in /dev/shm\n"
    "  -w, --weir         weir's own alone\n"
    "  -o, --output=COLS  columns, separated by commas; +COLS adds to the usual ones\n"
    "  -b, --bytes        sizes in bytes\n"
    "      --noheadings   no line of headings\n"
    "  -e, --export       NAME=\"value\" pairs, a line an object\n"
    "  -n, --newline      the same, a line a pair\n"
    "  -r, --raw          one blank between columns, blanks in values as \\x20\n"
    "  -J, --json         one JSON document, all columns unless -o says which\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Columns:\n"
    "  OBJECT    what to call it in other commands\n"
    "  NAME      weir's name, or the POSIX name\n"
    "  KIND      what it is: segment, semset, posix, posix-sem, or weir's kind\n"
    "  TYPE      what the kernel has: segment, semset or posix\n"
    "  KEY       System V key (shm_perm.__key)\n"
    "  ID        System V identifier\n"
    "  OWNER     who owns it\n"
    "  GROUP     its group\n"
    "  CREATOR   who made it\n"
    "  MODE      permission bits\n"
    "  SIZE      bytes that its users have\n"
    "  SEGSZ     bytes of a segment, weir's header of one page included (shm_segsz)\n"
    "  RSS       of all its bytes, in memory now\n"
    "  NATTCH    attachments of a segment (shm_nattch)\n"
    "  NSEMS     semaphores in a set (sem_nsems)\n"
    "  WAITING   processes that wait in a set\n"
    "  CPID      pid of its creator (shm_cpid)\n"
    "  COMMAND   command of its creator\n"
    "  LPID      pid of who attached or detached last (shm_lpid)\n"
    "  LCOMMAND  command of that one\n"
    "  ATIME     last attach, or last semop (shm_atime, sem_otime)\n"
    "  DTIME     last detach (shm_dtime)\n"
    "  CTIME     creation, or last change of it (shm_ctime)\n"
    "  AGE       time since CTIME\n"
    "  LIFETIME  ephemeral: gone with its last user; or persistent\n"
    "  REMOVED   marked for destruction\n"
    "  WEIR      made by weir\n"
    "  STATE     live: in use; idle: not now; orphan: idle, its creator is dead\n"
    "\n"
    "A dash stands for what is not known or does not apply. On a terminal that is\n"
    "too narrow, columns are left out unless -o names them.\n"
    "\n"
    "Examples:\n"
    "  weir list -o +LPID,LCOMMAND\n"
    "      with who used each last\n"
    "  weir list -J | jq -r '.objects[] | select(.state == \"orphan\") | .object'\n"
    "      what nobody uses any more\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 failed (with --weir also when the names cannot be seen),\n"
    "  2 called wrongly.\n";

struct gathering {
    struct table table;
    bool weirs;
};

static int visit(const struct weir_object *object, void *argument)
{
    struct gathering *gathering = argument;
    if (!gathering->weirs || object->weirs)
        object_row(&gathering->table, object);
    return 0;
}

static int show(uint32_t types, bool weirs, const struct table_options *options)
{
    struct gathering gathering = { .weirs = weirs };
    table_init(&gathering.table, object_columns, object_column_count);
    int status = STATUS_OK;
    if (weir_inspect(types ? types : WEIR_OBJECT_ALL, visit, &gathering) < 0)
        status = command_fail_weir();
    else if (options->json)
        status = table_print_json(&(struct table_section){ "objects", &gathering.table, false }, 1,
                                  options);
    else if (gathering.table.row_count > 0)
        table_print(&gathering.table, options);
    else
        command_note("there is nothing%s", weirs || types ? " of that sort" : "");
    table_free(&gathering.table);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "posix", no_argument, NULL, 'p' },
        { "segments", no_argument, NULL, 'm' },
        { "semsets", no_argument, NULL, 's' },
        { "weir", no_argument, NULL, 'w' },
        TABLE_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct table_options options = { .columns = NULL };
    uint32_t types = 0;
    bool weirs = false;
    int option, status;
    while ((option = getopt_long(argc, argv, "hmpqsw" TABLE_SHORT_OPTIONS, long_options, NULL)) !=
           -1) {
        if (option == 'm')
            types |= WEIR_OBJECT_SEGMENT;
        else if (option == 's')
            types |= WEIR_OBJECT_SEMSET;
        else if (option == 'p')
            types |= WEIR_OBJECT_POSIX;
        else if (option == 'w')
            weirs = true;
        else if (!table_option(&options, option, optarg) && !command_option(option, &status))
            return status;
    }
    if (optind < argc)
        return command_usage("'%s' is too much: 'weir info' shows one object", argv[optind]);
    status = table_check(&options, object_columns, object_column_count);
    if (status != STATUS_OK)
        return status;
    if (!object_collect_leftovers()) {
        if (weirs) /* where the names are is what tells them from the others */
            return command_finish(command_fail_weir());
        command_note("names are not shown: %s", weir_last_error());
    }
    return command_finish(show(types, weirs, &options));
}

const struct command command_list = {
    .name = "list",
    .summary = "show everything that is shared on this machine",
    .help = help,
    .run = run,
};
