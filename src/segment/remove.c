/* SPDX-License-Identifier: MIT */
/* Taking an object's name or key away, whoever still uses it. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "segment/backend.h"
#include "segment/semset.h"
#include "segment/sysv.h"

static int remove_raw(struct weir_ref ref)
{
    struct shmid_ds found;
    int id = weir__segment_find(ref);
    if (id < 0)
        return id;
    int result = weir__shm_stat(id, &found);
    if (result == -ENOENT)
        return weir__fail(ENOENT, "there is no segment with id %d", id);
    return result == 0 ? weir__shm_remove(id) : result;
}

/* Whether the id is the record's own segment, and not one that took its number. */
static bool is_own_segment(const struct weir__record *record)
{
    struct shmid_ds found;
    return weir__shm_stat(record->shm_id, &found) == 0 && weir__record_matches(record, &found);
}

/*
 * The segment first, then the name: killed in between, the name points to
 * nothing and is cleaned up in passing; the other way round a persistent
 * segment without a name would stay. CRASH remove.segment.
 */
static int remove_entry(const struct weir__rundir *dir, const struct weir__entry *entry,
                        const char *name)
{
    const struct weir__record *record = &entry->record;
    uint32_t self = geteuid();
    if (self != 0 && self != entry->owner && self != record->creator)
        return weir__fail(EPERM, "'%s' belongs to uid %u: only this user and root may remove it",
                          name, entry->owner);
    /* Refused before anything is taken: the name must be able to follow its segment. */
    if (faccessat(dir->fd, ".", W_OK, AT_EACCESS) != 0 ||
        faccessat(dir->fd, entry->directory, W_OK, AT_EACCESS) != 0) {
        int error = errno;
        if (error == ENOENT) /* its last user was quicker */
            return weir__fail(ENOENT, "there is no object named '%s'", name);
        return weir__fail(error, "cannot take the name '%s' away from %s: %s", name, dir->path,
                          strerror(error));
    }
    int result = 0;
    if (record->shm_key == 0)
        result = weir__semset_destroy(record->sem_id, record->sem_key, record->creator);
    else if (record->lifetime == WEIR_PERSISTENT && is_own_segment(record))
        result = weir__shm_remove(record->shm_id);
    if (result != 0)
        return result;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    bool is_dead = weir__entry_verdict(dir, record) == WEIR__DEAD;
    result = is_dead ? weir__entry_bury(dir, entry) : -EBUSY;
    if (result != 0) /* still attached somewhere, or its set stays: the name goes all the same */
        result = weir__entry_retire(dir, entry);
    if (result == 0 || is_dead) { /* nobody opens what is dead: the rest is the collector's */
        weir__error_restore(&saved);
        return 0;
    }
    return weir__fail(-result, "cannot take the name '%s' away from %s: %s", name, dir->path,
                      strerror(-result));
}

static int clear_corrupt(const struct weir__rundir *dir, const char *directory, const char *name)
{
    int result = weir__entry_clear(dir, directory);
    if (result == -ENOTEMPTY || result == -EEXIST)
        return weir__fail(
            EUCLEAN, "what stands under '%s' is not weir's: look at it, and move it away: %s/%s",
            name, dir->path, directory);
    if (result != 0)
        return weir__fail(-result, "cannot take away what stands under '%s' in %s: %s", name,
                          dir->path, strerror(-result));
    return 0;
}

int weir__name_remove(const char *name)
{
    char directory[WEIR__ENTRY_NAME_BYTES];
    struct weir__rundir dir;
    struct weir__entry entry;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = weir_name_check(name);
    if (result == 0)
        result = weir__rundir_open(&dir, false);
    if (result != 0)
        return result == -ENOENT ? weir__fail(ENOENT, "there is no object named '%s'", name)
                                 : result;
    weir__entry_name(name, directory);
    result = weir__entry_read(&dir, directory, &entry);
    if (result == -ENOENT)
        result = weir__fail(ENOENT, "there is no object named '%s'", name);
    else if (result == -EUCLEAN)
        result = clear_corrupt(&dir, directory, name);
    else if (result == 0)
        result = remove_entry(&dir, &entry, name);
    weir__rundir_close_tidy(&dir);
    if (result == 0) /* what could not be read, and was taken away, is told of by nobody */
        weir__error_restore(&saved);
    return result;
}

int weir__sysv_remove(struct weir_ref ref)
{
    return ref.by == WEIR_BY_NAME ? weir__name_remove(ref.text) : remove_raw(ref);
}
