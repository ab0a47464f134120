/* SPDX-License-Identifier: MIT */
#include "maps.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fields.h"
#include "text.h"

enum field { PID, COMMAND, USER, ACCESS, ADDRESS, LENGTH, FIELD_COUNT };

const struct table_column maps_columns[FIELD_COUNT] = {
    [PID] = { "PID", TABLE_NUMBER, 1 },       [COMMAND] = { "COMMAND", TABLE_TEXT, 1 },
    [USER] = { "USER", TABLE_TEXT, 1 },       [ACCESS] = { "ACCESS", TABLE_TEXT, 1 },
    [ADDRESS] = { "ADDRESS", TABLE_TEXT, 1 }, [LENGTH] = { "LENGTH", TABLE_SIZE, 1 },
};
const size_t maps_column_count = FIELD_COUNT;

struct wanted {
    const struct weir_object *object;
    struct stat file;   /* of a POSIX segment */
    uint64_t namespace; /* the IPC namespace that a System V identifier belongs to; 0: unknown */
};

/* One line of maps: address-address perms offset major:minor inode path. */
struct mapping {
    uint64_t start, end, inode;
    char permissions[8];
    unsigned major, minor;
    int path; /* where the path starts in the line */
};

static bool is_wanted(const struct wanted *wanted, const char *line, struct mapping *mapping)
{
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %x:%x %" SCNu64 " %n", &mapping->start,
               &mapping->end, mapping->permissions, &mapping->major, &mapping->minor,
               &mapping->inode, &mapping->path) != 6)
        return false;
    if (wanted->object->type == WEIR_OBJECT_POSIX)
        return mapping->inode == wanted->file.st_ino &&
               makedev(mapping->major, mapping->minor) == wanted->file.st_dev;
    /* The kernel gives the file behind a segment this name, and its id as inode number. */
    return mapping->inode == (uint64_t)wanted->object->id &&
           strncmp(line + mapping->path, "/SYSV", 5) == 0;
}

static void add(struct table *table, int pid, uint32_t uid, const struct mapping *mapping)
{
    struct table_value *row = table_row(table);
    char *command = process_command(pid);
    char *user = user_name(uid);
    char *address = text_format("0x%" PRIx64, mapping->start);
    table_set_number(&row[PID], pid);
    table_set_text(&row[COMMAND], command);
    table_set_text(&row[USER], user);
    table_set_text(&row[ACCESS], mapping->permissions[1] == 'w' ? "read-write" : "read-only");
    table_set_text(&row[ADDRESS], address);
    table_set_number(&row[LENGTH], (int64_t)(mapping->end - mapping->start));
    free(command);
    free(user);
    free(address);
}

/* False when this user may not look. */
static bool look(struct table *table, const struct wanted *wanted, int pid)
{
    struct stat process, namespace;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno != EACCES && errno != EPERM;
    bool here = fstat(fileno(file), &process) == 0;
    snprintf(path, sizeof path, "/proc/%d/ns/ipc", pid);
    /* Another namespace's segment may have the same number. */
    if (wanted->namespace != 0 && stat(path, &namespace) == 0 &&
        namespace.st_ino != wanted->namespace)
        here = false;
    char *line = NULL;
    size_t capacity = 0;
    struct mapping mapping;
    errno = 0;
    while (here && getline(&line, &capacity, file) > 0)
        if (is_wanted(wanted, line, &mapping))
            add(table, pid, process.st_uid, &mapping);
    bool allowed = errno != EACCES && errno != EPERM;
    free(line);
    fclose(file);
    return allowed;
}

size_t maps_find(struct table *table, const struct weir_object *object)
{
    struct wanted wanted = { .object = object };
    struct stat namespace;
    size_t hidden = 0;
    if (object->type == WEIR_OBJECT_SEMSET)
        return 0;
    if (object->type == WEIR_OBJECT_POSIX) {
        char *path = text_format("/dev/shm%s", object->name);
        int result = lstat(path, &wanted.file);
        free(path);
        if (result != 0)
            return 0;
    } else if (stat("/proc/thread-self/ns/ipc", &namespace) == 0) {
        wanted.namespace = namespace.st_ino;
    }
    DIR *processes = opendir("/proc");
    if (!processes)
        return 0;
    struct dirent *entry;
    while ((entry = readdir(processes)))
        if (isdigit((unsigned char)entry->d_name[0]) && !look(table, &wanted, atoi(entry->d_name)))
            hidden++;
    closedir(processes);
    return hidden;
}
