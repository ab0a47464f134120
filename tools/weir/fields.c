/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "object.h"
#include "text.h"

enum field {
    OBJECT,
    NAME,
    KIND,
    TYPE,
    KEY,
    ID,
    OWNER,
    GROUP,
    CREATOR,
    MODE,
    SIZE,
    SEGSZ,
    RSS,
    NATTCH,
    NSEMS,
    WAITING,
    CPID,
    COMMAND,
    LPID,
    LCOMMAND,
    ATIME,
    DTIME,
    CTIME,
    AGE,
    LIFETIME,
    REMOVED,
    WEIR,
    STATE,
    FIELD_COUNT,
};

const struct table_column object_columns[FIELD_COUNT] = {
    [OBJECT] = { "OBJECT", TABLE_TEXT, 1 },     [NAME] = { "NAME", TABLE_TEXT, 0 },
    [KIND] = { "KIND", TABLE_TEXT, 1 },         [TYPE] = { "TYPE", TABLE_TEXT, 0 },
    [KEY] = { "KEY", TABLE_TEXT, 6 },           [ID] = { "ID", TABLE_NUMBER, 0 },
    [OWNER] = { "OWNER", TABLE_TEXT, 2 },       [GROUP] = { "GROUP", TABLE_TEXT, 0 },
    [CREATOR] = { "CREATOR", TABLE_TEXT, 0 },   [MODE] = { "MODE", TABLE_TEXT, 3 },
    [SIZE] = { "SIZE", TABLE_SIZE, 1 },         [SEGSZ] = { "SEGSZ", TABLE_SIZE, 0 },
    [RSS] = { "RSS", TABLE_SIZE, 5 },           [NATTCH] = { "NATTCH", TABLE_NUMBER, 1 },
    [NSEMS] = { "NSEMS", TABLE_NUMBER, 0 },     [WAITING] = { "WAITING", TABLE_NUMBER, 0 },
    [CPID] = { "CPID", TABLE_NUMBER, 7 },       [COMMAND] = { "COMMAND", TABLE_TEXT, 4 },
    [LPID] = { "LPID", TABLE_NUMBER, 0 },       [LCOMMAND] = { "LCOMMAND", TABLE_TEXT, 0 },
    [ATIME] = { "ATIME", TABLE_TIME, 0 },       [DTIME] = { "DTIME", TABLE_TIME, 0 },
    [CTIME] = { "CTIME", TABLE_TIME, 0 },       [AGE] = { "AGE", TABLE_AGE, 2 },
    [LIFETIME] = { "LIFETIME", TABLE_TEXT, 0 }, [REMOVED] = { "REMOVED", TABLE_FLAG, 0 },
    [WEIR] = { "WEIR", TABLE_FLAG, 0 },         [STATE] = { "STATE", TABLE_TEXT, 1 },
};
const size_t object_column_count = FIELD_COUNT;

/* Takes over the text. */
static void give_text(struct table_value *value, char *text)
{
    value->known = text != NULL;
    value->text = text;
}

char *user_name(uint32_t uid)
{
    const struct passwd *user = getpwuid(uid);
    return user ? text_format("%s", user->pw_name) : text_format("%u", uid);
}

static void set_group(struct table_value *value, uint32_t gid)
{
    const struct group *group = getgrgid(gid);
    give_text(value, group ? text_format("%s", group->gr_name) : text_format("%u", gid));
}

/* 0 means never, or not known. */
static void set_positive(struct table_value *value, int64_t number)
{
    if (number > 0)
        table_set_number(value, number);
}

/* A /proc of another PID namespace has other processes under these numbers. */
static bool proc_is_ours(void)
{
    static int known = -1;
    char self[16] = "";
    if (known < 0)
        known = readlink("/proc/self", self, sizeof self - 1) > 0 && atoi(self) == getpid();
    return known;
}

char *process_command(int pid)
{
    if (!proc_is_ours())
        return NULL;
    char *path = text_format("/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    free(path);
    if (!file)
        return NULL;
    char line[64] = "";
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    if (length > 0 && line[length - 1] == '\n')
        line[length - 1] = '\0';
    return text_format("%s", line);
}

static void set_system_v(struct table_value *row, const struct weir_object *object)
{
    if (object->key != 0)
        give_text(&row[KEY], text_format("0x%08x", object->key));
    table_set_number(&row[ID], object->id);
    if (object->type == WEIR_OBJECT_SEGMENT)
        table_set_number(&row[SEGSZ], (int64_t)object->size_bytes);
    give_text(&row[CREATOR], user_name(object->cuid));
    set_positive(&row[CPID], object->cpid);
    if (object->cpid > 0)
        give_text(&row[COMMAND], process_command(object->cpid));
    set_positive(&row[LPID], object->lpid);
    if (object->lpid > 0)
        give_text(&row[LCOMMAND], process_command(object->lpid));
}

void object_row(struct table *table, const struct weir_object *object)
{
    static const char *const types[] = {
        [WEIR_OBJECT_SEGMENT] = "segment",
        [WEIR_OBJECT_SEMSET] = "semset",
        [WEIR_OBJECT_POSIX] = "posix",
    };
    struct table_value *row = table_row(table);
    give_text(&row[OBJECT], object_argument(object));
    table_set_text(&row[NAME], object->name);
    table_set_text(&row[KIND], object->kind);
    table_set_text(&row[TYPE], types[object->type]);
    give_text(&row[OWNER], user_name(object->uid));
    set_group(&row[GROUP], object->gid);
    give_text(&row[MODE], text_format("%04o", object->mode));
    if (object->type != WEIR_OBJECT_POSIX)
        set_system_v(row, object);
    if (object->type == WEIR_OBJECT_SEMSET) {
        table_set_number(&row[NSEMS], object->count);
        if (object->attached >= 0)
            table_set_number(&row[WAITING], object->attached);
    } else {
        table_set_number(&row[SIZE], (int64_t)(object->size_bytes - object->header_bytes));
        table_set_number(&row[RSS], (int64_t)object->resident_bytes);
        if (object->attached >= 0)
            table_set_number(&row[NATTCH], object->attached);
    }
    set_positive(&row[ATIME], object->atime);
    set_positive(&row[DTIME], object->dtime);
    set_positive(&row[CTIME], object->ctime);
    if (object->ctime > 0)
        table_set_number(&row[AGE], time(NULL) - object->ctime);
    table_set_text(&row[LIFETIME], object->lifetime == WEIR_EPHEMERAL ? "ephemeral" : "persistent");
    table_set_number(&row[REMOVED], object->removed);
    table_set_number(&row[WEIR], object->weirs);
    table_set_text(&row[STATE], weir_state_name(object->state));
}

/* The letter behind the name, which may have parentheses of its own. */
bool process_is_stopped(int pid)
{
    char text[512] = "", *path;
    if (!proc_is_ours())
        return false;
    path = text_format("/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    free(path);
    if (!file)
        return false;
    text[fread(text, 1, sizeof text - 1, file)] = '\0'; /* the name may have lines, too */
    fclose(file);
    const char *name_end = strrchr(text, ')');
    return name_end && (strncmp(name_end, ") T", 3) == 0 || strncmp(name_end, ") t", 3) == 0);
}
