/* SPDX-License-Identifier: MIT */
#include "inspect/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/collect.h>

#include "base/error.h"
#include "segment/header.h"
#include "segment/rundir.h"
#include "segment/sysv.h"

/* For the walk over one run directory. */
struct reading {
    struct weir__names *names;
    bool is_foreign;
};

static int visit(const struct weir__rundir *dir, const char *directory, void *argument)
{
    struct reading *reading = argument;
    struct weir__names *names = reading->names;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 32;
        struct weir__names_entry *items = realloc(names->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        names->items = items;
        names->capacity = capacity;
    }
    struct weir__names_entry *item = &names->items[names->count];
    if (weir__entry_read(dir, directory, &item->entry) != 0)
        return 0; /* empty, corrupt, or gone in this moment: it names nothing */
    const struct weir__record *record = &item->entry.record;
    if (item->entry.owner != record->creator && item->entry.owner != 0)
        return 0;
    item->is_foreign = reading->is_foreign;
    item->has_header = weir__entry_is_name(directory, item->name);
    item->is_named = item->has_header && !reading->is_foreign;
    names->count++;
    return 0;
}

static void hide(struct weir__names *names, uint32_t uid)
{
    uint32_t *hidden = realloc(names->hidden, (names->hidden_count + 1) * sizeof *hidden);
    if (!hidden) {
        names->is_unknown = true;
        return;
    }
    names->hidden = hidden;
    names->hidden[names->hidden_count++] = uid;
}

/* The default run directory of a user, with this namespace's part of it. */
static int read_default(struct weir__names *names, uint32_t uid, const char *part)
{
    struct weir__rundir dir;
    struct stat found;
    struct reading reading = { names, true };
    char base[64];
    snprintf(base, sizeof base, WEIR__RUNDIR_DEFAULT "%u", uid);
    snprintf(dir.path, sizeof dir.path, "%s/%s", base, part);
    /* In two steps: no link that its user may have put there is followed. */
    int base_fd = open(base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir.fd =
        base_fd < 0 ? -1 : openat(base_fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    if (base_fd >= 0)
        close(base_fd);
    if (dir.fd < 0) {
        if (error != ENOENT && error != ENOTDIR && error != ELOOP)
            hide(names, uid);
        return 0;
    }
    int result = 0;
    if (fstat(dir.fd, &found) == 0 && (found.st_uid == uid || found.st_uid == 0))
        result = weir__entry_each(&dir, visit, &reading);
    close(dir.fd);
    return result == -ENOMEM ? result : 0;
}

/* Every default run directory but own, which has been read. */
static int read_others(struct weir__names *names, const char *own)
{
    char path[PATH_MAX];
    const char *part = strrchr(own, '/') + 1;
    DIR *listing = opendir("/dev/shm");
    struct dirent *entry;
    int result = 0;
    while (listing && result == 0 && (entry = readdir(listing))) {
        unsigned uid;
        int length = 0;
        if (sscanf(entry->d_name, "weir-%10u%n", &uid, &length) != 1 ||
            entry->d_name[length] != '\0')
            continue;
        snprintf(path, sizeof path, WEIR__RUNDIR_DEFAULT "%u/%s", uid, part);
        if (strcmp(path, own) != 0)
            result = read_default(names, uid, part);
    }
    if (listing)
        closedir(listing);
    return result;
}

int weir__names_read(struct weir__names *names)
{
    struct weir__error_saved saved;
    struct weir__rundir dir;
    struct reading reading = { names, false };
    char own[PATH_MAX];
    memset(names, 0, sizeof *names);
    weir__error_save(&saved);
    int result = weir__rundir_open_to_look(&dir);
    if (result == 0) {
        result = weir__entry_each(&dir, visit, &reading);
        weir__rundir_close(&dir);
    }
    names->is_unknown = result != 0 && result != -ENOENT;
    if (result != -ENOMEM)
        result = 0;
    if (result == 0 && weir_run_directory(own, sizeof own) == 0)
        result = read_others(names, own);
    else if (result == 0)
        names->is_unknown = true;
    weir__error_restore(&saved);
    if (result == 0)
        return 0;
    weir__names_free(names);
    return weir__fail(ENOMEM, "no memory for the list of names");
}

void weir__names_free(struct weir__names *names)
{
    free(names->items);
    free(names->hidden);
    memset(names, 0, sizeof *names);
}

static bool is_records_segment(const struct weir__record *record, const struct weir_object *object)
{
    struct shmid_ds found;
    if (record->shm_key == 0 || record->shm_id != object->id)
        return false;
    memset(&found, 0, sizeof found);
    found.shm_segsz = object->size_bytes;
    found.shm_perm.cuid = object->cuid;
    found.shm_perm.__key = (key_t)object->key;
    found.shm_perm.mode = (unsigned short)(object->mode | (object->removed ? SHM_DEST : 0));
    return weir__record_matches(record, &found);
}

static bool is_records_set(const struct weir__record *record, const struct weir_object *object)
{
    return record->sem_key != 0 && record->sem_id == object->id && record->sem_key == object->key &&
           record->creator == object->cuid;
}

/* A set lives as long as the segment that it was made with. */
static uint32_t judge_tied_set(const struct weir__record *record)
{
    struct weir__error_saved saved;
    struct shmid_ds segment;
    weir__error_save(&saved);
    int result = weir__shm_stat(record->shm_id, &segment);
    weir__error_restore(&saved); /* what the kernel does not tell is no failure */
    if (result == -ENOENT || (result == 0 && !weir__record_matches(record, &segment)))
        return WEIR_STATE_ORPHAN;
    return result == 0 && segment.shm_nattch > 0 ? WEIR_STATE_LIVE : WEIR_STATE_IDLE;
}

static bool is_hidden(const struct weir__names *names, uint32_t uid)
{
    for (size_t i = 0; i < names->hidden_count; i++)
        if (names->hidden[i] == uid)
            return true;
    return names->is_unknown;
}

/* The entry of an object: one that is its name, before any other. */
static const struct weir__names_entry *find(const struct weir__names *names,
                                            const struct weir_object *object)
{
    const struct weir__names_entry *found = NULL;
    for (size_t i = 0; i < names->count; i++) {
        const struct weir__names_entry *item = &names->items[i];
        const struct weir__record *record = &item->entry.record;
        bool is_its = object->type == WEIR_OBJECT_SEGMENT ? is_records_segment(record, object)
                                                          : is_records_set(record, object);
        if (is_its && (!found || item->is_named))
            found = item;
    }
    return found;
}

void weir__names_join(const struct weir__names *names, struct weir__seen *seen)
{
    struct weir_object *object = &seen->object;
    const struct weir__names_entry *item = find(names, object);
    object->state = object->attached > 0 ? WEIR_STATE_LIVE : WEIR_STATE_IDLE;
    if (!item) {
        if (object->attached == 0 && seen->creator_dead && !is_hidden(names, object->cuid))
            object->state = WEIR_STATE_ORPHAN;
        return;
    }
    const struct weir__record *record = &item->entry.record;
    object->weirs = 1;
    object->name = item->is_named ? item->name : NULL;
    object->lifetime = object->removed ? WEIR_EPHEMERAL : record->lifetime;
    if (object->type == WEIR_OBJECT_SEGMENT || record->shm_key == 0)
        object->kind = record->kind;
    if (object->type == WEIR_OBJECT_SEGMENT && item->has_header &&
        object->size_bytes > WEIR__HEADER_BYTES)
        object->header_bytes = WEIR__HEADER_BYTES;
    if (object->type == WEIR_OBJECT_SEMSET && record->shm_key != 0 &&
        object->state != WEIR_STATE_LIVE)
        object->state = judge_tied_set(record);
    /* A draft of a dead creator: it never gets its name. */
    if (object->type == WEIR_OBJECT_SEGMENT && item->entry.directory[0] == '#' &&
        object->attached == 0 && seen->creator_dead)
        object->state = WEIR_STATE_ORPHAN;
}
