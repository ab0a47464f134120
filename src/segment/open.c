/* SPDX-License-Identifier: MIT */
/*
 * How a segment that exists is attached.
 *
 * By name: the record says which id; the kernel says whether that id is still
 * the same segment; once attached it cannot go away or change its size, and the
 * header has the last word. What fails on the way is detached again.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/unforked.h"
#include "segment/backend.h"
#include "segment/collect.h"
#include "segment/draft.h"
#include "segment/header.h"
#include "segment/pages.h"
#include "segment/ref.h"
#include "segment/semset.h"
#include "segment/sysv.h"

/* A kind in a sentence: whoever looks for a channel may never have heard of segments. */
static const char *kind_text(const char *kind)
{
    return strcmp(kind, "latest") == 0 ? "latest value" : kind;
}

/* Not each kind is made by 'weir create': that would make a segment, which is then in the way. */
static const char *maker_text(const char *kind)
{
    static const char *const makers[][2] = {
        { "channel", "its first publisher or subscriber makes it" },
        { "latest", "weir_latest_create() or 'weir set' makes it" },
        { "mutex", "'weir lock' with a command makes it" },
        { "semaphore", "'weir sem NAME post' makes it" },
    };
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(kind, makers[i][0]) == 0)
            return makers[i][1];
    return NULL;
}

static int not_there(const struct weir__segment_ask *ask, const char *more)
{
    const char *kind = ask->options.kind, *maker = maker_text(kind);
    if (maker)
        return weir__fail(ENOENT, "there is no %s under %s: %s; 'weir list' shows what there is%s",
                          kind_text(kind), ask->what, maker, more);
    return weir__fail(ENOENT,
                      "there is no %s under %s: create it first, or look for it with 'weir list'%s",
                      kind_text(kind), ask->what, more);
}

/* The name is there, its segment is not. */
static int gone(const struct weir__segment_ask *ask, const struct weir__record *record)
{
    if (record->lifetime == WEIR_EPHEMERAL)
        return not_there(ask, "");
    return weir__fail(ENOENT,
                      "the persistent segment under %s is gone: somebody removed it (ipcrm), or "
                      "kernel.shm_rmid_forced=1 or logind's RemoveIPC=yes did: see 'weir doctor'",
                      ask->what);
}

/* No such name here: says so, and where it is if another namespace or another user has it. */
static int no_such_name(const struct weir__segment_ask *ask)
{
    char directory[WEIR__ENTRY_NAME_BYTES], where[WEIR__NAMESPACE_TEXT_BYTES];
    if (ask->is_probe)
        return -ENOENT;
    weir__entry_name(ask->ref.text, directory);
    if (!weir__entry_elsewhere(directory, where)) {
        char others[WEIR__OTHERS_TEXT_BYTES];
        if (weir__entry_others(directory, others) < WEIR__OTHERS_HAVE)
            return not_there(ask, others);
        return weir__fail(ENOENT, "there is no %s under %s%s", kind_text(ask->options.kind),
                          ask->what, others);
    }
    return weir__fail(ENOENT,
                      "there is no %s under %s in this IPC namespace; the IPC namespace %s "
                      "has one: enter it with 'nsenter --ipc', or start both sides in the same",
                      kind_text(ask->options.kind), ask->what, where);
}

/*
 * Attaches segment->id as the options want it. found: what the kernel said of it before. Ids
 * come round: another segment may have it since, a smaller one or a stranger's, and what is
 * attached cannot change any more; so the kernel is asked again.
 */
static int attach_and_look(struct weir_segment *segment, const struct weir__segment_ask *ask,
                           const struct shmid_ds *found)
{
    struct shmid_ds now;
    uint32_t flags = ask->options.flags;
    void *address = weir__segment_base(segment, ask->options.address);
    int result =
        weir__shm_attach(segment->id, address, flags & WEIR_SEGMENT_READ_ONLY, &segment->memory);
    if (result == 0)
        result = weir__shm_stat(segment->id, &now);
    if (result != 0)
        return result;
    if (now.shm_segsz != found->shm_segsz || now.shm_perm.cuid != found->shm_perm.cuid ||
        now.shm_perm.uid != found->shm_perm.uid)
        return weir__fail(EIDRM, "segment %d was removed, and another one has its id", segment->id);
    return weir__pages_hide(segment->memory, now.shm_segsz, flags);
}

static int attach(struct weir_segment *segment, const struct weir__segment_ask *ask,
                  const struct shmid_ds *found)
{
    int entered = weir__unforked_enter(ask->options.flags & WEIR_SEGMENT_NO_FORK);
    int result = attach_and_look(segment, ask, found);
    if (result != 0 && segment->memory) {
        shmdt(segment->memory);
        segment->memory = NULL;
    }
    weir__unforked_leave(entered);
    return result;
}

static int apply_pages(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    return weir__pages_apply(segment->memory, segment->segsz, ask->options.flags, &segment->pages);
}

/* What the record says against what the kernel says, before anything is attached. */
static int check_record(const struct weir__segment_ask *ask, const struct weir__entry *entry,
                        const struct shmid_ds *found)
{
    const struct weir__record *record = &entry->record;
    if (strcmp(record->kind, ask->options.kind) != 0)
        return weir__fail(EPROTO, "%s is a %s, not a %s", ask->what, kind_text(record->kind),
                          kind_text(ask->options.kind));
    if (!weir__record_matches(record, found) || found->shm_segsz <= WEIR__HEADER_BYTES)
        return weir__fail(EPROTO,
                          "%s points to segment %d, which is foreign (%zu bytes, made by uid %u): "
                          "its own is gone; 'weir rm' takes the name away",
                          ask->what, record->shm_id, (size_t)found->shm_segsz,
                          (unsigned)found->shm_perm.cuid);
    return 0;
}

/* The set that lives with the segment must be the one that was made with it. */
static int check_set(const struct weir__segment_ask *ask, const struct weir__record *record)
{
    struct semid_ds found;
    int result = weir__semset_stat(record->sem_id, &found);
    if (result == -EIDRM)
        return weir__fail(EUCLEAN,
                          "%s: its semaphore set %d was removed: 'weir rm' takes the name away",
                          ask->what, record->sem_id);
    if (result != 0)
        return result;
    if ((uint32_t)found.sem_perm.__key != record->sem_key ||
        found.sem_perm.cuid != record->creator || found.sem_nsems != record->sem_count)
        return weir__fail(EPROTO,
                          "%s points to semaphore set %d, which is foreign (%lu semaphores, made "
                          "by uid %u): 'weir rm' takes the name away",
                          ask->what, record->sem_id, (unsigned long)found.sem_nsems,
                          (unsigned)found.sem_perm.cuid);
    return 0;
}

static int attach_named(struct weir_segment *segment, const struct weir__segment_ask *ask,
                        const struct weir__entry *entry, const struct shmid_ds *found)
{
    const struct weir__record *record = &entry->record;
    int result = check_record(ask, entry, found);
    if (result == 0)
        result = weir__trust_check(ask->options.trust, ask->options.trust_uid, found->shm_perm.cuid,
                                   found->shm_perm.uid, &entry->owner, ask->what);
    if (result == 0)
        result = weir__segment_check_size(ask, found->shm_segsz - WEIR__HEADER_BYTES);
    if (result != 0)
        return result;
    segment->id = record->shm_id;
    segment->segsz = found->shm_segsz;
    segment->offset_bytes = WEIR__HEADER_BYTES;
    segment->is_removed = record->lifetime == WEIR_EPHEMERAL;
    result = attach(segment, ask, found);
    if (result != 0)
        return result;
    struct weir__header_expected expected = { .segsz = record->shm_segsz,
                                              .nonce = record->nonce,
                                              .creator = record->creator,
                                              .read_only =
                                                  ask->options.flags & WEIR_SEGMENT_READ_ONLY };
    weir__draft_order();
    result = weir__header_check(segment->memory, &expected, ask->what);
    if (result == 0 && record->sem_count < ask->options.semaphores)
        result = weir__fail(EINVAL, "%s has %u semaphores, and %u are asked for", ask->what,
                            record->sem_count, ask->options.semaphores);
    if (result == 0 && record->sem_key != 0)
        result = check_set(ask, record);
    if (result == 0 && record->sem_key != 0)
        result = weir__semset_wrap(&segment->semset, record->sem_id, record->sem_count);
    return result == 0 ? apply_pages(segment, ask) : result;
}

/* One try. -ENOENT: not there; -EIDRM: it went while we looked. */
static int open_entry(struct weir_segment *segment, const struct weir__segment_ask *ask,
                      const struct weir__rundir *dir)
{
    char directory[WEIR__ENTRY_NAME_BYTES];
    struct weir__entry entry;
    struct shmid_ds found;
    weir__entry_name(ask->ref.text, directory);
    int result = weir__entry_read(dir, directory, &entry);
    if (result != 0)
        return result == -ENOENT ? no_such_name(ask) : result;
    if (entry.record.shm_key == 0)
        return weir__fail(EPROTO, "%s is a %s, not a segment", ask->what, entry.record.kind);
    result = weir__shm_stat(entry.record.shm_id, &found);
    bool is_removed = result == 0 && entry.record.lifetime == WEIR_PERSISTENT &&
                      weir__record_matches(&entry.record, &found) && weir__shm_is_removed(&found);
    if (result == -ENOENT || is_removed) {
        weir__entry_bury(dir, &entry); /* clean up in passing, if we may */
        return gone(ask, &entry.record);
    }
    if (result == 0)
        result = attach_named(segment, ask, &entry, &found);
    return result == 0 ? weir__segment_set_entry(segment, dir, directory, &entry.record) : result;
}

static int open_by_name(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    /* Who only looks whether it must be made needs the run directory in either case; and a collector
     * that came after us would take it away again. */
    if (ask->is_probe)
        weir__collect_once();
    int result = weir__rundir_enter(ask->dir, ask->is_probe);
    if (result != 0)
        return result == -ENOENT ? no_such_name(ask) : result;
    result = open_entry(segment, ask, ask->dir);
    if (result == -EIDRM) /* the last user left between our look and the attach */
        result = not_there(ask, "");
    return result;
}

static int open_raw(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    struct shmid_ds found;
    int result = 0;
    segment->id = ask->ref.id;
    if (ask->ref.by != WEIR_BY_ID) {
        uint32_t key;
        result = weir__ref_key(ask->ref, &key);
        if (result != 0)
            return result;
        segment->id = weir__shm_find(key);
        if (segment->id < 0)
            return segment->id == -ENOENT ? not_there(ask, "") : segment->id;
    }
    result = weir__shm_stat(segment->id, &found);
    if (result != 0)
        return result == -ENOENT ? not_there(ask, "") : result;
    result = weir__trust_check(ask->options.trust, ask->options.trust_uid, found.shm_perm.cuid,
                               found.shm_perm.uid, NULL, ask->what);
    if (result == 0)
        result = weir__segment_check_size(ask, found.shm_segsz);
    if (result != 0)
        return result;
    segment->segsz = found.shm_segsz;
    segment->is_removed = weir__shm_is_removed(&found);
    result = attach(segment, ask, &found);
    return result == 0 ? apply_pages(segment, ask) : result;
}

int weir__sysv_open(struct weir_segment *segment, const struct weir__segment_ask *ask)
{
    return ask->ref.by == WEIR_BY_NAME ? open_by_name(segment, ask) : open_raw(segment, ask);
}
