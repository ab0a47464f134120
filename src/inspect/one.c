/* SPDX-License-Identifier: MIT */
/* One object, by reference. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "base/error.h"
#include "inspect/names.h"
#include "inspect/walk.h"
#include "segment/entry.h"
#include "segment/ref.h"

/* What a reference means: an id of each type, -1 for none. */
struct meant {
    int segment_id, semset_id;
};

static int meant_by_name(const char *name, struct meant *meant)
{
    struct weir__rundir dir;
    struct weir__entry entry;
    char directory[WEIR__ENTRY_NAME_BYTES];
    int result = weir_name_check(name);
    if (result != 0)
        return result;
    weir__entry_name(name, directory);
    result = weir__rundir_open_to_look(&dir);
    if (result == 0) {
        result = weir__entry_read(&dir, directory, &entry);
        weir__rundir_close(&dir);
    }
    char where[WEIR__NAMESPACE_TEXT_BYTES];
    if (result == -ENOENT && weir__entry_elsewhere(directory, where))
        return weir__fail(ENOENT,
                          "there is no object named '%s' in this IPC namespace, but one in the "
                          "namespace %s",
                          name, where);
    char others[WEIR__OTHERS_TEXT_BYTES];
    if (result == -ENOENT && weir__entry_others(directory, others) == WEIR__OTHERS_HAVE)
        return weir__fail(ENOENT, "there is no object named '%s'%s", name, others);
    if (result == -ENOENT)
        return weir__fail(ENOENT,
                          "there is no object named '%s': 'weir list' shows what there is%s", name,
                          others);
    if (result != 0)
        return result;
    meant->segment_id = entry.record.shm_key ? entry.record.shm_id : -1;
    meant->semset_id = entry.record.sem_key ? entry.record.sem_id : -1;
    return 0;
}

static int meant_by(struct weir_ref ref, struct meant *meant)
{
    uint32_t key;
    *meant = (struct meant){ -1, -1 };
    switch (ref.by) {
    case WEIR_BY_NAME:
        return meant_by_name(ref.text, meant);
    case WEIR_BY_ID:
        *meant = (struct meant){ ref.id, ref.id };
        return 0;
    case WEIR_BY_KEY:
    case WEIR_BY_FTOK: {
        int result = weir__ref_key(ref, &key);
        if (result != 0)
            return result;
        /* Asking for no rights at all: this finds what may not be read, too. */
        meant->segment_id = shmget((key_t)key, 0, 0);
        meant->semset_id = semget((key_t)key, 0, 0);
        return 0;
    }
    case WEIR_BY_POSIX:
        return weir__fail(EINVAL, "a POSIX name has no segment of System V and no semaphore set: "
                                  "ask for WEIR_OBJECT_POSIX");
    case WEIR_BY_MEMFD:
    case WEIR_BY_FD:
        return weir__fail(EINVAL, "a memfd is not found by others: weir_segment_lookup() tells of "
                                  "a descriptor");
    default:
        return weir__fail(EINVAL, "a private object is found by its id alone");
    }
}

/* What took the number of a named object that is gone does not have its name. */
static int look(struct weir_ref ref, const struct weir__names *names, bool is_segment, int id,
                struct weir__seen *seen)
{
    if (id < 0)
        return -ENOENT;
    int result = is_segment ? weir__look_segment(id, seen) : weir__look_semset(id, seen);
    if (result != 0)
        return result;
    weir__names_join(names, seen);
    if (ref.by == WEIR_BY_NAME && (!seen->object.name || strcmp(seen->object.name, ref.text) != 0))
        return -ENOENT;
    return 0;
}

/* Moves the texts into the caller's memory. */
static int copy_texts(struct weir_object *object, char *texts, size_t capacity_bytes)
{
    size_t kind_bytes = strlen(object->kind) + 1;
    size_t name_bytes = object->name ? strlen(object->name) + 1 : 0;
    if (kind_bytes + name_bytes > capacity_bytes)
        return weir__fail(EINVAL, "weir_inspect_one: %zu bytes for texts are too few: give 300",
                          capacity_bytes);
    object->kind = memcpy(texts, object->kind, kind_bytes);
    if (object->name)
        object->name = memcpy(texts + kind_bytes, object->name, name_bytes);
    return 0;
}

static int tell_missing(struct weir_ref ref, uint32_t type)
{
    char what[WEIR__REF_TEXT_BYTES];
    const char *noun = type == WEIR_OBJECT_SEGMENT  ? "segment"
                       : type == WEIR_OBJECT_SEMSET ? "semaphore set"
                                                    : "segment and no semaphore set";
    weir__ref_text(ref, what);
    if (ref.by == WEIR_BY_NAME)
        return weir__fail(ENOENT,
                          "%s is left of a%s that is gone: 'weir gc' or 'weir rm' takes it "
                          "away",
                          what, type == WEIR_OBJECT_SEMSET ? " semaphore set" : "n object");
    return weir__fail(ENOENT, "there is no %s with %s in this IPC namespace", noun, what);
}

static int one_posix(struct weir_ref ref, struct weir_object *object, char *names,
                     size_t capacity_bytes)
{
    struct weir__seen seen;
    int result = weir__look_posix(ref, &seen);
    if (result == 0)
        result = copy_texts(&seen.object, names, capacity_bytes);
    if (result == 0)
        *object = seen.object;
    return result;
}

int weir_inspect_one(struct weir_ref ref, uint32_t type, struct weir_object *object, char *names,
                     size_t capacity_bytes)
{
    struct weir__names known;
    struct weir__seen seen;
    struct meant meant;
    if (ref.by == WEIR_BY_POSIX && (type == 0 || type == WEIR_OBJECT_POSIX))
        return one_posix(ref, object, names, capacity_bytes);
    if (type != 0 && type != WEIR_OBJECT_SEGMENT && type != WEIR_OBJECT_SEMSET)
        return weir__fail(EINVAL, "weir_inspect_one: type %u is not known", type);
    int result = meant_by(ref, &meant);
    if (result == 0)
        result = weir__names_read(&known);
    if (result != 0)
        return result;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    result = -ENOENT;
    if (type != WEIR_OBJECT_SEMSET)
        result = look(ref, &known, true, meant.segment_id, &seen);
    if (result == -ENOENT && type != WEIR_OBJECT_SEGMENT)
        result = look(ref, &known, false, meant.semset_id, &seen);
    if (result == 0)
        result = copy_texts(&seen.object, names, capacity_bytes);
    else if (result == -ENOENT)
        result = tell_missing(ref, type);
    weir__names_free(&known);
    if (result != 0)
        return result;
    weir__error_restore(&saved); /* that it is no segment was no error */
    *object = seen.object;
    return 0;
}
