/* SPDX-License-Identifier: MIT */
/* struct shmid_ds, /proc/PID/maps and ipcs: three views of one segment. */
#include "snapshot.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <time.h>
#include <unistd.h>

#define INDENT "      "

struct field {
    char before[24], after[24];
};

void snapshot_take(struct snapshot *snapshot, int id)
{
    memset(snapshot, 0, sizeof *snapshot);
    snapshot->id = id;
    snapshot->exists = id >= 0 && shmctl(id, IPC_STAT, &snapshot->ds) == 0;
}

static void put_time(char *out, size_t room, time_t when)
{
    struct tm parts;
    if (when == 0 || !localtime_r(&when, &parts))
        snprintf(out, room, "never");
    else
        strftime(out, room, "%H:%M:%S", &parts);
}

enum { FIELDS = 10 };

static const char *const field_names[FIELDS] = {
    "shm_nattch", "shm_segsz", "shm_cpid",      "shm_lpid",     "shm_atime",
    "shm_dtime",  "shm_ctime", "shm_perm.mode", "shm_perm.key", "shm_perm.uid",
};

static void put_field(char *out, size_t room, int field, const struct shmid_ds *ds)
{
    static const char *const dest[] = { "", " DEST" };
    switch (field) {
    case 0:
        snprintf(out, room, "%lu", (unsigned long)ds->shm_nattch);
        break;
    case 1:
        snprintf(out, room, "%zu", ds->shm_segsz);
        break;
    case 2:
        snprintf(out, room, "%d", ds->shm_cpid);
        break;
    case 3:
        snprintf(out, room, "%d", ds->shm_lpid);
        break;
    case 4:
        put_time(out, room, ds->shm_atime);
        break;
    case 5:
        put_time(out, room, ds->shm_dtime);
        break;
    case 6:
        put_time(out, room, ds->shm_ctime);
        break;
    case 7:
        snprintf(out, room, "%04o%s", ds->shm_perm.mode & 0777u,
                 dest[(ds->shm_perm.mode & SHM_DEST) != 0]);
        break;
    case 8:
        snprintf(out, room, ds->shm_perm.__key ? "0x%08x" : "%u", (unsigned)ds->shm_perm.__key);
        break;
    default:
        snprintf(out, room, "%u", ds->shm_perm.uid);
        break;
    }
}

/* Two fields a line; a marked one is bold as well. */
static void show_field(struct text *text, int field, const struct shmid_ds *before,
                       const struct shmid_ds *after)
{
    char old[24] = "", new[24] = "", cell[64];
    put_field(new, sizeof new, field, after);
    if (before)
        put_field(old, sizeof old, field, before);
    bool changed = before && strcmp(old, new) != 0;
    if (changed)
        snprintf(cell, sizeof cell, "%s -> %s *", old, new);
    else
        snprintf(cell, sizeof cell, "%s", new);
    bool left = field % 2 == 0;
    text_add(text, "%s%-14s%s", left ? INDENT : "", field_names[field], changed ? text_bold() : "");
    text_add(text, left ? "%-23s" : "%s", cell);
    text_add(text, "%s%s", changed ? text_plain() : "", left ? "" : "\n");
}

void snapshot_show(struct text *text, const struct snapshot *before, const struct snapshot *after)
{
    if (!after->exists) {
        if (before->exists)
            text_add(text, INDENT "struct shmid_ds is gone: no segment has the identifier %d\n",
                     before->id);
        return;
    }
    for (int field = 0; field < FIELDS; field++)
        show_field(text, field, before->exists ? &before->ds : NULL, &after->ds);
}

struct maps_line {
    uintptr_t start;
    unsigned long inode; /* System V memory shows its identifier here */
    char text[256];
};

/* The next line of System V memory; false at the end. */
static bool next_line(FILE *file, struct maps_line *line)
{
    char raw[512];
    while (fgets(raw, sizeof raw, file)) {
        char permissions[8], offset[20], device[16], path[128] = "";
        uintptr_t end;
        if (sscanf(raw, "%" SCNxPTR "-%" SCNxPTR " %7s %19s %15s %lu %127[^\n]", &line->start, &end,
                   permissions, offset, device, &line->inode, path) < 7)
            continue;
        if (strncmp(path, "/SYSV", 5) != 0)
            continue;
        snprintf(line->text, sizeof line->text, "%" PRIxPTR "-%" PRIxPTR " %s %s %s %lu %s",
                 line->start, end, permissions, offset, device, line->inode, path);
        return true;
    }
    return false;
}

static FILE *open_maps(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

int snapshot_id_at(const void *address)
{
    int id = -1;
    FILE *file = open_maps(getpid());
    struct maps_line line;
    while (file && next_line(file, &line))
        if (line.start == (uintptr_t)address)
            id = (int)line.inode;
    if (file)
        fclose(file);
    return id;
}

static void show_maps_of(struct text *text, const struct stage_actor *actor, int id)
{
    FILE *file = open_maps(actor->pid);
    if (!file)
        return;
    struct maps_line line;
    bool found = false;
    while (next_line(file, &line)) {
        if (line.inode != (unsigned long)id)
            continue;
        if (!found)
            text_add(text, INDENT "/proc/%d/maps (%s)\n", (int)actor->pid, actor->name);
        found = true;
        text_add(text, INDENT "%s\n", line.text);
    }
    if (!found)
        text_add(text, INDENT "/proc/%d/maps (%s): no line for it\n", (int)actor->pid, actor->name);
    fclose(file);
}

void snapshot_show_maps(struct text *text, int id)
{
    for (size_t i = 0; i < STAGE_ACTORS; i++)
        if (stage->actors[i].pid > 0 && strcmp(stage->actors[i].name, "scene") != 0)
            show_maps_of(text, &stage->actors[i], id);
}

void snapshot_show_ipcs(struct text *text, const struct snapshot *snapshot)
{
    if (!snapshot->exists) {
        text_add(text, INDENT "ipcs -m: no line for it\n");
        return;
    }
    const struct shmid_ds *ds = &snapshot->ds;
    struct passwd *owner = getpwuid(ds->shm_perm.uid);
    char uid[16];
    snprintf(uid, sizeof uid, "%u", ds->shm_perm.uid);
    text_add(text,
             INDENT "ipcs -m: key        shmid      owner      perms bytes      nattch status\n");
    text_add(text, INDENT "         0x%08x %-10d %-10.10s %-5o %-10zu %lu%s\n",
             (unsigned)ds->shm_perm.__key, snapshot->id, owner ? owner->pw_name : uid,
             ds->shm_perm.mode & 0777u, ds->shm_segsz, (unsigned long)ds->shm_nattch,
             ds->shm_perm.mode & SHM_DEST ? "      dest" : "");
}
