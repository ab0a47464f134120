/* SPDX-License-Identifier: MIT */
/* weir info - all about one object. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/inspect.h>
#include <weir/latest.h>

#include "command.h"
#include "fields.h"
#include "maps.h"
#include "members.h"
#include "object.h"
#include "semaphores.h"
#include "sentence.h"
#include "table.h"

static const char help[] =
    "Usage: weir info [OPTION]... OBJECT\n"
    "\n"
    "Shows all that is known of one object. Of a segment, which processes have it\n"
    "mapped, as far as /proc/PID/maps shows that to this user; of a set, each\n"
    "semaphore: its value, how many wait for it to grow (NCNT) and to be zero\n"
    "(ZCNT), and who used it last. Of a latest value its VERSION, and how large it is\n"
    "and may be. Of a channel, for how many it was made and what\n"
    "its messages are; its publishers and subscribers:\n"
    "who they are, whether they live, what they do (ACTIVITY, and NEED: what a call\n"
    "waits for), how many messages they have sent, or given back, how much of its\n"
    "ring a publisher has in use (USED) and which subscriber has most of it\n"
    "(SLOWEST), how far a subscriber is behind (LAG, in bytes, the largest), what it\n"
    "has taken in place and keeps (HELD, in bytes, of all rings), and what each\n"
    "counted since it joined: messages MISSED, EVICTIONS, WAITS in calls, SLEEPS in\n"
    "the kernel, WAKES of others, LOOKS at them, dead members REAPED, REFUSALS. Then\n"
    "each subscriber with each publisher: its LAG, and how many messages that is\n"
    "(BEHIND); how many it keeps (HOLDS), and their bytes (HELD).\n"
    "Takes no part in anything, and changes nothing that is in use; 'weir top' shows\n"
    "it live.\n"
    "\n"
    "A member's STATE is shown; joining, as long as it has a place and shows nothing\n"
    "yet; hidden, when this user may not read its memory; gone, when it is leaving,\n"
    "or dead; false, when what it shows cannot be true. Its RELEASED is what it has\n"
    "given back, COMMITTED what it has sent: bytes, with 8 for each message's header;\n"
    "EXACT says whether that is of now, or of its last look at its subscribers.\n"
    "READING is attached; finished, at the publisher's end; or refused, by either.\n"
    "HELD is not part of LAG: the ring goes round it, and has so much less room. It\n"
    "is what a subscriber has announced, which it does when it waits or finds\n"
    "nothing; what else it keeps is LAG. Of one that nobody waits for (lossy, or the\n"
    "publisher evicts) it is not seen, and in nobody's way.\n"
    "\n"
    "OBJECT is NAME, id:N (a segment), sem:N (a semaphore set), key:0x1234,\n"
    "ftok:PATH:PROJ or posix:/NAME.\n"
    "\n"
    "Options:\n"
    "  -o, --output=COLS  these alone, with commas: the columns of 'weir list'\n"
    "  -b, --bytes        sizes in bytes\n"
    "      --noheadings   values alone\n"
    "  -e, --export       NAME=\"value\" pairs on one line\n"
    "  -n, --newline      the same, a line a pair\n"
    "  -r, --raw          blanks in values as \\x20\n"
    "  -J, --json         one JSON document\n"
    "  -q, --quiet        no remarks\n"
    "  -h, --help         this text\n"
    "\n"
    "Examples:\n"
    "  weir info camera/left\n"
    "  weir info --noheadings -o NATTCH id:42\n"
    "      how many are attached, the number alone\n"
    "\n"
    "Exit status:\n"
    "  0 done, 1 there is no such object, or failed; 2 called wrongly.\n";

/* What belongs to the object and has a table of its own: who maps it, or its semaphores. */
static void find_parts(struct table *parts, const struct weir_object *object)
{
    if (object->type == WEIR_OBJECT_SEMSET) {
        table_init(parts, semaphore_columns, semaphore_column_count);
        if (!semaphores_find(parts, object) && errno == EACCES)
            command_note("the mode of the set forbids you to look at its semaphores");
        else if (parts->row_count < object->count)
            command_note("the semaphores of the set cannot be looked at: %s", strerror(errno));
        return;
    }
    table_init(parts, maps_columns, maps_column_count);
    size_t hidden = maps_find(parts, object);
    if (hidden > 0 && object->attached != 0)
        command_note("%zu process%s of other users may not be looked at", hidden,
                     hidden == 1 ? "" : "es");
}

/* A latest value: how often it was written, how long the newest is, and how long one may be. */
enum { VERSION, VALUE_SIZE, VALUE_MAX, VALUE_FIELDS };

static const struct table_column value_columns[VALUE_FIELDS] = {
    [VERSION] = { "VERSION", TABLE_NUMBER, 1 },
    [VALUE_SIZE] = { "VALUE-SIZE", TABLE_SIZE, 1 },
    [VALUE_MAX] = { "VALUE-MAX", TABLE_SIZE, 1 },
};

/* What any reader would see; one that may not read it, or was never made ready, has no such row. */
static void find_value(struct table *table, const char *name)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    options.trust = WEIR_TRUST_ANYONE; /* only shown, so its mode decides alone */
    if (weir_latest_open(&reader, weir_by_name(name), &options) != 0)
        return;
    struct table_value *row = table_row(table);
    bool has_value = weir_latest_peek(reader, &value) == 0;
    table_set_number(&row[VERSION], has_value ? value.version : 0);
    if (has_value)
        table_set_number(&row[VALUE_SIZE], value.size_bytes);
    table_set_number(&row[VALUE_MAX], weir_latest_reader_max_bytes(reader));
    weir_latest_reader_close(reader);
}

/* The tables behind the facts: PARTS; of a latest value that; of a channel what it is for, and its members. */
enum { PARTS, VALUE, TERMS, MEMBERS, READINGS, TABLES };

static void find_tables(struct table tables[TABLES], const struct weir_object *object)
{
    find_parts(&tables[PARTS], object);
    table_init(&tables[VALUE], value_columns, VALUE_FIELDS);
    table_init(&tables[TERMS], terms_columns, terms_column_count);
    table_init(&tables[MEMBERS], member_columns, member_column_count);
    table_init(&tables[READINGS], reading_columns, reading_column_count);
    if (object->weirs && object->name && strcmp(object->kind, "latest") == 0)
        find_value(&tables[VALUE], object->name);
    if (!object->weirs || !object->name || strcmp(object->kind, "channel") != 0)
        return;
    if (terms_find(&tables[TERMS], object->name) == 0 &&
        members_find(&tables[MEMBERS], &tables[READINGS], object->name) == 0)
        return;
    char *sentence = sentence_last();
    command_note("its members cannot be seen: %s", sentence);
    free(sentence);
}

static int show(const struct weir_object *object, const struct table_options *options)
{
    struct table facts, tables[TABLES] = { { .row_count = 0 } };
    table_init(&facts, object_columns, object_column_count);
    object_row(&facts, object);
    int status = STATUS_OK;
    if (!options->columns)
        find_tables(tables, object);
    if (options->json) {
        const char *name = object->type == WEIR_OBJECT_SEMSET ? "semaphores" : "mappings";
        bool is_channel = strcmp(object->kind, "channel") == 0,
             is_value = tables[VALUE].row_count > 0;
        const struct table_section with_value[] = { { "object", &facts, true },
                                                    { name, &tables[PARTS], false },
                                                    { "value", &tables[VALUE], true } };
        const struct table_section sections[] = { { "object", &facts, true },
                                                  { name, &tables[PARTS], false },
                                                  { "channel", &tables[TERMS], true },
                                                  { "members", &tables[MEMBERS], false },
                                                  { "readings", &tables[READINGS], false } };
        status = is_value ? table_print_json(with_value, 3, options)
                          : table_print_json(sections,
                                             options->columns ? 1
                                             : is_channel     ? 5
                                                              : 2,
                                             options);
    } else {
        table_print_pairs(&facts, options);
        for (int i = 0; i < TABLES; i++) {
            if (tables[i].row_count == 0)
                continue;
            putchar('\n');
            table_print(&tables[i], options);
        }
    }
    table_free(&facts);
    for (int i = 0; i < TABLES; i++)
        table_free(&tables[i]);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option long_options[] = {
        TABLE_LONG_OPTIONS,
        COMMAND_LONG_OPTIONS,
    };
    struct table_options options = { .all = true };
    struct object object;
    struct object_facts facts;
    int option, status;
    while ((option = getopt_long(argc, argv, "hq" TABLE_SHORT_OPTIONS, long_options, NULL)) != -1)
        if (!table_option(&options, option, optarg) && !command_option(option, &status))
            return status;
    status = table_check(&options, object_columns, object_column_count);
    if (status != STATUS_OK)
        return status;
    if (!object_take_one(&object, argc, argv))
        return STATUS_USAGE;
    object_collect_leftovers();
    status = object_find_one(&object, &facts);
    if (status == STATUS_OK)
        status = show(&facts.object, &options);
    object_free(&object);
    return command_finish(status);
}

const struct command command_info = {
    .name = "info",
    .summary = "show all about one object, and who has it mapped",
    .help = help,
    .run = run,
};
