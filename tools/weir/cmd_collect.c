/* SPDX-License-Identifier: MIT */
/* weir gc - collect what killed processes left. */
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>

#include <weir/collect.h>
#include <weir/error.h>

#include "command.h"
#include "demo/journal.h"
#include "table.h"
#include "text.h"

static const char help[] =
    "Usage: weir gc [OPTION]...\n"
    "\n"
    "Shows what killed processes left behind, and with --yes removes it. Touches\n"
    "only what weir made, this user owns and nobody is attached to, in this IPC\n"
    "namespace: creations that were never finished, names and semaphore sets of\n"
    "ephemeral segments that are gone, and what a killed scene of 'weir demo' made.\n"
    "Persistent objects stay. Most other weir commands do the same by themselves\n"
    "before they start.\n"
    "\n"
    "The names of another IPC namespace stay as well: whether it is gone cannot be\n"
    "known from outside. If yours is, as with a container that was removed, remove\n"
    "WEIR_DIR/ipc-NUMBER-BOOT (/dev/shm/weir-UID unless WEIR_DIR is set); 'sudo lsns\n"
    "-t ipc' shows the NUMBERs of those that are there.\n"
    "\n"
    "Of POSIX segments nothing half-made is left: the kernel frees them. One that has\n"
    "its name stays, also after its maker's death, because nobody can know who else\n"
    "wants it: 'weir list -p' shows them, and 'weir rm posix:/NAME' removes one.\n"
    "\n"
    "Segments that weir did not make are not touched: 'weir list' shows which of\n"
    "them nobody uses (STATE orphan), and 'weir rm' removes them.\n"
    "\n"
    "Options:\n"
    "  -y, --yes          remove it\n"
    "  -o, --output=COLS  columns, separated by commas; +COLS adds to the usual ones\n"
    "  -b, --bytes        sizes in bytes\n"
    "      --noheadings   no line of headings\n"
    "  -e, --export       NAME=\"value\" pairs, a line a leftover\n"
    "  -n, --newline      the same, a line a pair\n"
    "  -r, --raw          one blank between columns, blanks in values as \\x20\n"
    "  -J, --json         one JSON document\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Columns:\n"
    "  NAME    weir's name, if it got one\n"
    "  ID      identifier of the segment\n"
    "  SEMID   identifier of the semaphore set\n"
    "  KEY     System V key of the segment\n"
    "  SIZE    bytes of the segment\n"
    "  WHY     why it is left over\n"
    "\n"
    "Examples:\n"
    "  weir gc\n"
    "  weir gc --yes\n"
    "\n"
    "Exit status:\n"
    "  0 done, also when there is nothing; 1 failed; 2 called wrongly.\n";

enum field { NAME, ID, SEMID, KEY, SIZE, WHY, FIELD_COUNT };

static const struct table_column columns[FIELD_COUNT] = {
    [NAME] = { "NAME", TABLE_TEXT, 1 },     [ID] = { "ID", TABLE_NUMBER, 1 },
    [SEMID] = { "SEMID", TABLE_NUMBER, 2 }, [KEY] = { "KEY", TABLE_TEXT, 3 },
    [SIZE] = { "SIZE", TABLE_SIZE, 1 },     [WHY] = { "WHY", TABLE_TEXT, 1 },
};

static void report(const struct weir_leftover *leftover, void *argument)
{
    struct table_value *row = table_row(argument);
    table_set_text(&row[NAME], leftover->name);
    if (leftover->segment_id >= 0) {
        table_set_number(&row[ID], leftover->segment_id);
        table_set_number(&row[SIZE], (int64_t)leftover->size_bytes);
    }
    if (leftover->semset_id >= 0)
        table_set_number(&row[SEMID], leftover->semset_id);
    if (leftover->key != 0) {
        row[KEY].known = true;
        row[KEY].text = text_format("0x%08x", leftover->key);
    }
    table_set_text(&row[WHY], leftover->why);
}

static int show(const struct table *table, const struct table_options *options, bool removed)
{
    if (options->json)
        return table_print_json(&(struct table_section){ "leftovers", table, false }, 1, options);
    if (table->row_count > 0)
        table_print(table, options);
    if (table->row_count == 0)
        command_note("nothing is left over");
    else if (removed)
        command_note("removed: %zu", table->row_count);
    else
        command_note("nothing is removed yet: weir gc --yes");
    return STATUS_OK;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "yes", no_argument, NULL, 'y' },
        TABLE_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct table_options options = { .columns = NULL };
    bool yes = false;
    int option, status;
    while ((option = getopt_long(argc, argv, "hqy" TABLE_SHORT_OPTIONS, long_options, NULL)) != -1)
        if (option == 'y')
            yes = true;
        else if (!table_option(&options, option, optarg) && !command_option(option, &status))
            return status;
    if (optind < argc)
        return command_usage("'%s' is too much: gc looks for what is left over by itself; 'weir "
                             "rm' removes what you name",
                             argv[optind]);
    status = table_check(&options, columns, FIELD_COUNT);
    if (status != STATUS_OK)
        return status;
    struct table table;
    table_init(&table, columns, FIELD_COUNT);
    int result = weir_collect(yes ? 0 : WEIR_COLLECT_DRY_RUN, report, &table);
    if (result < 0)
        status = command_fail_weir();
    journal_collect(!yes, report, &table);
    int shown = result < 0 && table.row_count == 0 ? STATUS_FAILURE : show(&table, &options, yes);
    table_free(&table);
    return command_finish(status != STATUS_OK ? status : shown);
}

const struct command command_collect = {
    .name = "gc",
    .summary = "collect what killed processes left behind",
    .help = help,
    .run = run,
};
