/* SPDX-License-Identifier: MIT */
/* What the kernel knows of a System V segment: by handle or by reference. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "segment/backend.h"
#include "segment/ref.h"
#include "segment/sysv.h"

/* What the kernel knows, under the kernel's names. */
static void fill_stat(struct weir_segment_stat *stat, int id, const struct shmid_ds *found)
{
    uint32_t size = stat->size;
    memset(stat, 0, sizeof *stat);
    stat->size = size;
    stat->key = (uint32_t)found->shm_perm.__key;
    stat->id = id;
    stat->uid = found->shm_perm.uid;
    stat->gid = found->shm_perm.gid;
    stat->cuid = found->shm_perm.cuid;
    stat->cgid = found->shm_perm.cgid;
    stat->mode = found->shm_perm.mode & 0777;
    stat->shm_segsz = found->shm_segsz;
    stat->shm_atime = found->shm_atime;
    stat->shm_dtime = found->shm_dtime;
    stat->shm_ctime = found->shm_ctime;
    stat->shm_cpid = found->shm_cpid;
    stat->shm_lpid = found->shm_lpid;
    stat->shm_nattch = found->shm_nattch;
    stat->removed = weir__shm_is_removed(found);
    stat->locked = (found->shm_perm.mode & SHM_LOCKED) != 0;
    stat->lifetime = stat->removed ? WEIR_EPHEMERAL : WEIR_PERSISTENT;
    stat->size_bytes = found->shm_segsz;
    stat->semset_id = -1;
    stat->backend = WEIR_BACKEND_SYSV;
    snprintf(stat->kind, sizeof stat->kind, "segment");
}

/* What the record adds. */
static void fill_record(struct weir_segment_stat *stat, const struct weir__record *record)
{
    stat->nonce = record->nonce;
    stat->semset_id = record->sem_key ? record->sem_id : -1;
    stat->semaphores = record->sem_count;
    memcpy(stat->kind, record->kind, sizeof stat->kind);
}

int weir__sysv_look(const struct weir_segment *segment, struct shmid_ds *found)
{
    int result = weir__shm_stat(segment->id, found);
    /* Neither can be while it is attached in this namespace; in another one its id is anybody's. */
    bool is_other =
        result == 0 && (found->shm_segsz != segment->segsz ||
                        (segment->directory && !weir__record_matches(&segment->record, found)));
    if (result == -ENOENT || is_other)
        return weir__fail(EIDRM,
                          "segment %d does not answer: this thread is in another IPC "
                          "namespace",
                          segment->id);
    return result;
}

int weir__sysv_stat(const struct weir_segment *segment, struct weir_segment_stat *stat)
{
    struct shmid_ds found;
    int result = weir__sysv_look(segment, &found);
    if (result != 0)
        return result;
    fill_stat(stat, segment->id, &found);
    stat->size_bytes = weir_segment_size(segment);
    stat->pages = segment->pages;
    if (segment->directory)
        fill_record(stat, &segment->record);
    return 0;
}

/* By name: opening it read-only is the check that open makes. */
static int lookup_name(struct weir_ref ref, struct weir_segment_stat *stat)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir__rundir dir;
    struct weir__entry entry;
    char directory[WEIR__ENTRY_NAME_BYTES];
    int result = weir_name_check(ref.text);
    if (result != 0)
        return result;
    weir__entry_name(ref.text, directory);
    result = weir__rundir_open_to_look(&dir);
    if (result == 0) {
        result = weir__entry_read(&dir, directory, &entry);
        weir__rundir_close(&dir);
    }
    if (result != 0)
        return result == -ENOENT ? weir__fail(ENOENT, "there is no object named '%s'", ref.text)
                                 : result;
    options.flags = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_NO_FORK;
    options.trust = WEIR_TRUST_ANYONE;
    options.kind = entry.record.kind;
    result = weir_segment_open(&segment, ref, 0, &options);
    if (result != 0)
        return result;
    result = weir_segment_stat(segment, stat);
    if (result == 0)
        stat->shm_nattch--; /* our own look is no use of it */
    weir_segment_close(segment);
    return result;
}

int weir__segment_find(struct weir_ref ref)
{
    char what[WEIR__REF_TEXT_BYTES];
    uint32_t key;
    int id = ref.id;
    if (ref.by == WEIR_BY_KEY || ref.by == WEIR_BY_FTOK) {
        int result = weir__ref_key(ref, &key);
        if (result != 0)
            return result;
        id = weir__shm_find(key);
    } else if (ref.by != WEIR_BY_ID) {
        return weir__fail(EINVAL, "the reference names nothing that could be found");
    }
    if (ref.by == WEIR_BY_ID && id < 0)
        return weir__fail(EINVAL, "id %d: identifiers are 0 or above", id);
    if (id == -ENOENT)
        return weir__fail(ENOENT, "there is no segment under %s", weir__ref_text(ref, what));
    return id;
}

int weir__sysv_lookup(struct weir_ref ref, struct weir_segment_stat *stat)
{
    struct shmid_ds found;
    if (ref.by == WEIR_BY_NAME)
        return lookup_name(ref, stat);
    int id = weir__segment_find(ref);
    if (id < 0)
        return id;
    int result = weir__shm_stat(id, &found);
    if (result == 0)
        fill_stat(stat, id, &found);
    return result == -ENOENT ? weir__fail(ENOENT, "there is no segment with id %d", id) : result;
}
