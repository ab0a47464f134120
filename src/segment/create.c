/* SPDX-License-Identifier: MIT */
/*
 * How a segment comes to be.
 *
 * With a draft (names, and all private ones), in this order:
 *
 *   1 draft begun, its record says the key          CRASH create.draft
 *     (of what nobody will find: a file without a directory)
 *   2 shmget under that key, mode 0600              CRASH create.made
 *   3 shmat, and kept from children where asked for CRASH create.attached
 *   4 ephemeral: IPC_RMID                           CRASH create.removed
 *   5 semaphore set under its key                   CRASH create.set
 *   6 record with ids, unless 4 was the last thing to name; pages, header, mode, group
 *   7 published, or the draft taken away            CRASH create.published
 *
 * A private one that is made beside it takes 2, 3, 4 and 6 first, under the same
 * draft, whose record names its key until 2 names another: CRASH create.beside.
 *
 * Up to 7 the draft names all that exists, and the collector removes it. From 4
 * on an ephemeral segment needs no collector: the kernel frees it. Somebody may
 * remove the segment between 2 and 3; then it is made again.
 *
 * By key or ftok there is no draft: the key is the user's, and the segment is
 * whole as soon as it exists.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "base/unforked.h"
#include "segment/backend.h"
#include "segment/collect.h"
#include "segment/draft.h"
#include "segment/header.h"
#include "segment/pages.h"
#include "segment/ref.h"
#include "segment/semset.h"
#include "segment/sysv.h"

/* Keys that ftok makes of one file: the project has 8 bits, and 0 is undefined. */
#define PROJECTS 255

static uint32_t random_key(void)
{
    uint32_t key = 0;
    while (key == 0 || key == UINT32_MAX)
        key = (uint32_t)weir__random_nonzero();
    return key;
}

/*
 * The mode that shmget gives. In a draft 0600, until the object is whole. By key
 * others find it at once: the mode that was asked for, if that needs no second
 * step, so that a kill leaves nothing that those others can never use.
 */
static uint32_t first_mode(const struct weir__segment_ask *ask)
{
    const struct weir_segment_options *options = &ask->options;
    bool by_key = ask->ref.by == WEIR_BY_KEY || ask->ref.by == WEIR_BY_FTOK;
    bool second_step = options->flags & (WEIR_SEGMENT_ONE_WRITER | WEIR_SEGMENT_SET_GID);
    return by_key && !second_step && (options->mode & 0600) == 0600 ? options->mode : 0600;
}

/* shmget, with huge pages if asked for and there; *pages says which came. */
static int make_segment(uint32_t key, uint64_t segsz, const struct weir__segment_ask *ask,
                        uint32_t *pages)
{
    uint32_t flags = ask->options.flags, mode = first_mode(ask);
    struct weir__error_saved saved;
    *pages = WEIR_PAGES_NORMAL;
    if (flags & WEIR_SEGMENT_HUGE_PAGES) {
        weir__error_save(&saved);
        int id = weir__shm_create(key, segsz, mode, SHM_HUGETLB);
        if (id >= 0)
            *pages = WEIR_PAGES_HUGETLB;
        if (id >= 0 || id == -EEXIST)
            return id;
        weir__error_restore(&saved); /* none reserved, or not for this user: normal ones */
    }
    return weir__shm_create(key, segsz, mode, 0);
}

/* The mode and the group that were asked for. */
static int set_rights(int id, const struct weir__segment_ask *ask)
{
    const struct weir_segment_options *options = &ask->options;
    uint32_t mode = options->mode;
    if (options->flags & WEIR_SEGMENT_ONE_WRITER)
        mode &= ~0222u; /* the attached creator goes on writing */
    bool has_gid = options->flags & WEIR_SEGMENT_SET_GID;
    if (mode == first_mode(ask) && !has_gid)
        return 0;
    return weir__shm_set(id, mode, has_gid ? (int64_t)options->gid : -1);
}

static int attach_new(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    void *address = weir__segment_base(segment, ask->options.address);
    int entered = weir__unforked_enter(ask->options.flags & WEIR_SEGMENT_NO_FORK);
    int result = weir__shm_attach(segment->id, address, false, &segment->memory);
    if (result == 0) {
        result = weir__pages_hide(segment->memory, segment->segsz, ask->options.flags);
        if (result != 0) {
            shmdt(segment->memory);
            segment->memory = NULL;
        }
    }
    weir__unforked_leave(entered);
    return result;
}

/* Steps 2 and 3 under one key. -EEXIST: taken. -EIDRM: removed before the attach. */
static int make_under_key(struct weir_segment *segment, const struct weir__segment_ask *ask,
                          uint32_t key)
{
    int id = make_segment(key, segment->segsz, ask, &segment->pages);
    if (id < 0)
        return id;
    segment->id = id;
    int result = attach_new(segment, ask);
    if (result != 0 && result != -EIDRM)
        weir__shm_remove(id);
    return result;
}

/* The key that ftok(record file, project) gives: of the open file, whose path a member of the group
 * may have given to another one. */
static uint32_t draft_ftok(const struct stat *file, int project)
{
    return (uint32_t)project << 24 | ((uint32_t)file->st_dev & 0xff) << 16 |
           ((uint32_t)file->st_ino & 0xffff);
}

/*
 * Steps 1 to 3: finds a free key. The record names a key before it is tried; a
 * key that is seen to be taken is never written down, so that what the record
 * names was made by us or is told from ours by creator, size, pid and header.
 */
static int make_in_draft(struct weir_segment *segment, const struct weir__segment_ask *ask,
                         struct weir__draft *draft)
{
    struct weir__record *record = &draft->entry.record;
    bool by_ftok = ask->ref.by == WEIR_BY_NAME && ask->options.lifetime == WEIR_PERSISTENT;
    struct weir__error_saved saved;
    struct stat file;
    if (by_ftok && fstat(draft->fd, &file) != 0)
        return weir__fail(errno, "cannot look at a draft in %s: %s", draft->dir->path,
                          strerror(errno));
    for (int attempt = 1; attempt <= PROJECTS; attempt++) {
        uint32_t key = by_ftok ? draft_ftok(&file, attempt) : random_key();
        weir__error_save(&saved);
        int found = key == 0 || key == UINT32_MAX ? 0 : weir__shm_find(key);
        if (found >= 0 || found == -EACCES) { /* taken */
            weir__error_restore(&saved);
            continue;
        }
        if (found != -ENOENT) /* a filter forbids shmget, or this kernel has none */
            return found;
        record->shm_key = key;
        int result = weir__draft_update(draft);
        if (result == 0)
            result = make_under_key(segment, ask, key);
        if (result == 0) {
            record->shm_id = segment->id;
            return 0;
        }
        if (result != -EEXIST && result != -EIDRM)
            return result;
    }
    return weir__fail(ENOSPC, "%s: all %d keys %s are taken by others: see 'weir list'", ask->what,
                      PROJECTS, by_ftok ? "that ftok makes of its file" : "that were tried");
}

/* Step 5. */
static int make_semaphores(struct weir_segment *segment, const struct weir__segment_ask *ask,
                           struct weir__draft *draft)
{
    struct weir__record *record = &draft->entry.record;
    int result = -EEXIST;
    for (int attempt = 0; result == -EEXIST && attempt < WEIR__RETRIES; attempt++) {
        uint32_t key = random_key();
        if (semget((key_t)key, 0, 0) >= 0) /* never written down: the set under it is not ours */
            continue;
        record->sem_key = key;
        record->sem_count = ask->options.semaphores;
        result = weir__draft_update(draft);
        if (result == 0)
            result =
                weir__semset_make(record->sem_key, record->sem_count, ask->options.semaphore_values,
                                  ask->options.mode, &record->sem_id);
    }
    if (result == 0 && (ask->options.flags & WEIR_SEGMENT_SET_GID))
        result = weir__semset_give(record->sem_id, ask->options.gid);
    return result == 0 ? weir__semset_wrap(&segment->semset, record->sem_id, record->sem_count)
                       : result;
}

/* Whether it has a record for as long as it lives. */
static bool is_to_be_found(const struct weir__segment_ask *ask)
{
    return ask->ref.by == WEIR_BY_NAME || ask->options.semaphores != 0;
}

/* Steps 2 to 6. */
static int fill_draft(struct weir_segment *segment, const struct weir__segment_ask *ask,
                      struct weir__draft *draft)
{
    const struct weir_segment_options *options = &ask->options;
    uint32_t flags = options->flags | (ask->making ? ask->making->flags : 0);
    int result = make_in_draft(segment, ask, draft);
    if (result == 0 && options->lifetime == WEIR_EPHEMERAL) {
        result = weir__shm_remove(segment->id);
        segment->is_removed = result == 0;
    }
    if (result == 0 && options->semaphores)
        result = make_semaphores(segment, ask, draft);
    /* The ids, before the header and the mode change: they prove whose the segment is. Of one that
     * is removed and that nobody will find there is nothing more to prove. */
    if (result == 0 && is_to_be_found(ask))
        result = weir__record_check_maker(&draft->entry.record);
    if (result == 0 && (is_to_be_found(ask) || !segment->is_removed))
        result = weir__draft_update(draft);
    if (result == 0)
        result = weir__pages_apply(segment->memory, segment->segsz, flags | WEIR__PAGES_NEW,
                                   &segment->pages);
    if (result != 0)
        return result;
    if (segment->offset_bytes)
        weir__header_write(segment->memory, segment->segsz, draft->entry.record.nonce,
                           draft->entry.record.creator);
    if (ask->making && ask->making->fill)
        ask->making->fill((char *)segment->memory + segment->offset_bytes, ask->making->argument);
    return set_rights(segment->id, ask);
}

/*
 * Step 7. By name, who stands there already decides: a living object wins over
 * ours, a dead one's entry is taken away and the step tried again.
 */
static int publish(struct weir_segment *segment, const struct weir__segment_ask *ask,
                   struct weir__draft *draft)
{
    char directory[WEIR__ENTRY_NAME_BYTES];
    if (ask->ref.by == WEIR_BY_NAME)
        weir__entry_name(ask->ref.text, directory);
    else
        weir__entry_nameless(draft->entry.record.nonce, directory);
    int result = weir__segment_set_entry(segment, draft->dir, directory, &draft->entry.record);
    for (int attempt = 0; result == 0 && attempt < WEIR__RETRIES; attempt++) {
        result = weir__draft_publish(draft, directory);
        if (result == -ENOENT)
            return weir__fail(ENOENT,
                              "%s: its draft in %s was moved or taken away while it was made, by "
                              "somebody who may write there",
                              ask->what, draft->dir->path);
        if (result != -EEXIST)
            return result;
        result = weir__entry_vacate(draft->dir, directory, ask->what);
    }
    return result != 0 ? result
                       : weir__fail(EBUSY, "%s is taken and let go again and again", ask->what);
}

/* Takes back what a failed creation made in the kernel; nobody else has seen it. */
static void unmake(const struct weir_segment *segment, const struct weir__record *record)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    if (record->sem_id >= 0)
        weir__semset_destroy(record->sem_id, record->sem_key, record->creator);
    if (record->shm_id >= 0 && !segment->is_removed)
        weir__shm_remove(record->shm_id);
    weir__error_restore(&saved);
}

/* Likewise, and the draft. */
static void undo(struct weir_segment *segment, struct weir__draft *draft)
{
    struct weir__error_saved saved;
    unmake(segment, &draft->entry.record);
    weir__error_save(&saved);
    weir__draft_abandon(draft);
    weir__rundir_tidy(draft->dir);
    weir__error_restore(&saved);
}

/* What a caller wants beside the object, unless an attempt before this one has made it. */
static int make_beside(struct weir__segment_beside *beside, struct weir__draft *draft)
{
    struct weir__segment_ask ask;
    struct weir__error_saved saved;
    struct weir_segment *made;
    struct weir__record *record = &draft->entry.record;
    const struct weir__record of_object = *record;
    if (!beside || beside->made)
        return 0;
    weir__error_save(&saved);
    int result = weir__segment_ask(&ask, weir_private(), beside->size_bytes, beside->options,
                                   WEIR__ASK_CREATE);
    if (result == 0)
        result = weir__segment_new(&made);
    if (result != 0)
        return result;
    made->segsz = record->shm_segsz = beside->size_bytes;
    record->lifetime = WEIR_EPHEMERAL;
    result = fill_draft(made, &ask, draft);
    if (result != 0)
        unmake(made, record);
    *record = of_object;
    /* CRASH create.beside: the draft names a key under which there is nothing any more. */
    return weir__segment_finish(&beside->made, made, ask.options.flags, result, &saved);
}

static int create_with_draft(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    const struct weir_segment_options *options = &ask->options;
    bool by_name = ask->ref.by == WEIR_BY_NAME, is_found = is_to_be_found(ask);
    char directory[WEIR__ENTRY_NAME_BYTES];
    struct weir__draft draft;
    struct weir__record record = { .lifetime = options->lifetime,
                                   .creator = geteuid(),
                                   .pid = getpid(),
                                   .shm_id = -1,
                                   .sem_id = -1 };
    segment->offset_bytes = by_name ? WEIR__HEADER_BYTES : 0;
    segment->segsz = ask->size_bytes + segment->offset_bytes;
    record.shm_segsz = segment->segsz;
    snprintf(record.kind, sizeof record.kind, "%s", options->kind);
    if (by_name) {
        weir__entry_name(ask->ref.text, directory);
        record.name = weir__name_hash(directory);
    }
    int result = weir__draft_begin(&draft, ask->dir, &record, is_found);
    if (result != 0)
        return result;
    result = ask->making ? make_beside(ask->making->beside, &draft) : 0;
    if (result == 0)
        result = fill_draft(segment, ask, &draft);
    if (result == 0 && is_found)
        result = publish(segment, ask, &draft);
    if (result != 0) {
        undo(segment, &draft);
        return result;
    }
    if (is_found)
        return 0;
    /* The step that gives a private persistent one to its user: no draft, no collector. */
    result = segment->is_removed ? weir__draft_abandon(&draft) : weir__draft_hand_over(&draft);
    weir__rundir_tidy(draft.dir);
    if (result == 0 || segment->is_removed) /* an ephemeral one is past every collector already */
        return 0;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    weir__shm_remove(segment->id);
    weir__error_restore(&saved);
    return result;
}

static int explain_taken(const struct weir__segment_ask *ask, uint32_t key)
{
    struct shmid_ds found;
    int id = weir__shm_find(key);
    char also[24] = "";
    if (ask->ref.by != WEIR_BY_KEY)
        snprintf(also, sizeof also, " (key 0x%08x)", key);
    if (id < 0 || weir__shm_stat(id, &found) != 0)
        return weir__fail(EEXIST, "%s%s is taken", ask->what, also);
    return weir__fail(EEXIST,
                      "%s%s is taken by segment %d of uid %u, %zu bytes, mode %04o, made "
                      "by pid %d: open it, or remove it with 'weir rm key:0x%08x'",
                      ask->what, also, id, (unsigned)found.shm_perm.cuid, (size_t)found.shm_segsz,
                      (unsigned)found.shm_perm.mode & 0777, (int)found.shm_cpid, key);
}

static int create_with_key(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    uint32_t key;
    int result = weir__ref_key(ask->ref, &key);
    if (result != 0)
        return result;
    segment->segsz = ask->size_bytes;
    result = make_under_key(segment, ask, key);
    if (result == -EEXIST)
        return explain_taken(ask, key);
    if (result != 0)
        return result;
    result = set_rights(segment->id, ask);
    if (result == 0)
        result =
            weir__pages_apply(segment->memory, segment->segsz, ask->options.flags, &segment->pages);
    if (result != 0) {
        struct weir__error_saved saved;
        weir__error_save(&saved);
        weir__shm_remove(segment->id);
        weir__error_restore(&saved);
    }
    return result;
}

int weir__sysv_create(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    weir__collect_once();
    if (ask->ref.by == WEIR_BY_KEY || ask->ref.by == WEIR_BY_FTOK)
        return create_with_key(segment, ask);
    return create_with_draft(segment, ask);
}
