/* SPDX-License-Identifier: MIT */
/*
 * The collector: removes what killed processes left.
 *
 *   it meets                          | it does                      | because
 *   ----------------------------------+------------------------------+----------------------
 *   draft, lock held                  | nothing                      | its creator lives
 *   draft, lock free                  | removes segment and set that | the kernel freed the
 *                                     | are provably the draft's     | lock: creator dead
 *   name or ~NONCE, object gone       | removes set, then the entry  | the kernel has no such
 *                                     |                              | segment any more
 *   empty directory under such a name | rmdir                        | nothing is in it
 *   anything else                     | nothing                      | it is not weir's
 *
 * Every step may be done twice or be left half done: the record goes last. A
 * collector that is stopped holds at most the lock of one draft, which nobody
 * waits for. Between its last look at an id and the removal a number could come
 * round only after 4 million creations; that is the boundary of this design.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/error.h"
#include "base/process.h"
#include "base/unforked.h"
#include "segment/collect.h"
#include "segment/draft.h"
#include "segment/header.h"
#include "segment/semset.h"
#include "segment/sysv.h"

struct collection {
    uint32_t flags;
    void (*report)(const struct weir_leftover *leftover, void *argument);
    void *argument;
    int count;
    int refused; /* -EROFS or -EACCES: what is ours cannot be taken away */
};

static void report(struct collection *collection, const struct weir__record *record, int segment_id,
                   int semset_id, const char *name, const char *why)
{
    struct weir_leftover leftover = { .size = sizeof leftover,
                                      .key = segment_id >= 0 ? record->shm_key : 0,
                                      .segment_id = segment_id,
                                      .semset_id = semset_id,
                                      .size_bytes = segment_id >= 0 ? record->shm_segsz : 0,
                                      .name = name,
                                      .why = why };
    collection->count++;
    if (collection->report)
        collection->report(&leftover, collection->argument);
}

/* What became of the segment whose key a dead draft names. */
enum finding {
    FINDING_NONE,    /* there is none, or it is not the draft's */
    FINDING_OWN,     /* the draft's */
    FINDING_UNKNOWN, /* it may be: the draft must not be forgotten */
};

/* A child that was forked meanwhile would have it attached as long as it lives. */
static bool look_into(int id, uint64_t nonce, enum weir__header_trace *trace)
{
    int entered = weir__unforked_enter(true);
    void *memory = shmat(id, NULL, SHM_RDONLY);
    bool is_attached = memory != (void *)-1;
    if (is_attached) {
        *trace = weir__header_trace(memory, nonce);
        shmdt(memory);
    }
    weir__unforked_leave(entered);
    return is_attached;
}

/*
 * Whether the segment under a dead draft's key was made by that draft. A random
 * key proves it, and so does its id. A key of ftok may be somebody else's, who
 * came between the look and the creation: then the header tells, or the pid of
 * the creator, which another PID namespace shows as 0 or as another number.
 */
static enum finding judge(const struct weir__record *record, int id, const struct shmid_ds *found)
{
    if (found->shm_perm.cuid != record->creator || found->shm_segsz != record->shm_segsz)
        return FINDING_NONE;
    if (record->lifetime == WEIR_EPHEMERAL || record->shm_id == id)
        return FINDING_OWN;
    bool is_pid = found->shm_cpid == record->pid;
    if (found->shm_segsz < WEIR__HEADER_BYTES)
        return is_pid ? FINDING_OWN : FINDING_UNKNOWN;
    enum weir__header_trace trace;
    if (!look_into(id, record->nonce, &trace))
        return FINDING_UNKNOWN;
    if (trace == WEIR__HEADER_FOREIGN)
        return FINDING_NONE;
    if (trace == WEIR__HEADER_ABSENT)
        return FINDING_UNKNOWN;
    bool is_own = trace == WEIR__HEADER_NONCE || is_pid || found->shm_cpid == 0;
    return is_own ? FINDING_OWN : FINDING_UNKNOWN;
}

/* The segment that a dead draft left, or -1; -EBUSY: it cannot be told, or is looked into now. */
static int drafts_segment(const struct weir__record *record)
{
    struct shmid_ds found;
    if (record->shm_key == 0)
        return -1;
    int id = weir__shm_find(record->shm_key);
    int result = id < 0 ? id : weir__shm_stat(id, &found);
    if (result != 0)
        return result == -ENOENT ? -1 : -EBUSY;
    switch (judge(record, id, &found)) {
    case FINDING_OWN:
        return found.shm_nattch == 0 ? id : -EBUSY;
    case FINDING_UNKNOWN:
        return -EBUSY;
    default:
        return -1;
    }
}

/* The set that a dead draft left, or -1: its key is random. -EBUSY: the kernel does not tell. */
static int drafts_semset(const struct weir__record *record)
{
    if (record->sem_key == 0)
        return -1;
    int id = semget((key_t)record->sem_key, 0, 0);
    if (id < 0)
        return errno == ENOENT ? -1 : -EBUSY;
    int same = weir__semset_same(id, record->sem_key, record->creator);
    return same < 0 ? -EBUSY : same ? id : -1;
}

/* -EEXIST: it is no draft. */
static int collect_draft(const struct weir__rundir *dir, const char *directory,
                         struct collection *collection)
{
    bool dry_run = collection->flags & WEIR_COLLECT_DRY_RUN, valid;
    struct weir__entry entry;
    int fd;
    int result = weir__draft_seize(dir, directory, dry_run, &fd, &valid, &entry);
    /* No file in it yet, or no more; or root's, killed before it gave it away: empty ones go. */
    if ((result == -ENOENT || result == -EACCES) && !dry_run)
        unlinkat(dir->fd, directory, AT_REMOVEDIR);
    if (result == -EROFS)
        collection->refused = result;
    if (result != 0)
        return result;
    if (!valid) {
        entry.record = (struct weir__record){ .shm_id = -1, .sem_id = -1 };
        snprintf(entry.directory, sizeof entry.directory, "%s", directory);
    }
    int segment_id = drafts_segment(&entry.record), semset_id = drafts_semset(&entry.record);
    /* The draft must not be forgotten before both are gone. */
    if (segment_id == -EBUSY || semset_id == -EBUSY) {
        close(fd);
        return 0;
    }
    report(collection, &entry.record, segment_id, semset_id, NULL,
           "its creator was killed while making it");
    if (!dry_run) {
        /* CRASH collect.draft: the draft is still there, the next collector goes on. */
        result = segment_id >= 0 ? weir__shm_remove(segment_id) : 0;
        if (result == 0 && semset_id >= 0)
            result = weir__semset_destroy(semset_id, entry.record.sem_key, entry.record.creator);
        if (result == 0)
            weir__draft_forget(dir, directory);
    }
    close(fd);
    return 0;
}

static void collect_entry(const struct weir__rundir *dir, const char *directory,
                          struct collection *collection)
{
    char name[WEIR__ENTRY_NAME_BYTES];
    struct weir__entry entry;
    bool dry_run = collection->flags & WEIR_COLLECT_DRY_RUN;
    int result = weir__entry_read_any(dir, directory, &entry);
    if ((result == -ENOENT || result == -EACCES) && !dry_run)
        unlinkat(dir->fd, directory, AT_REMOVEDIR); /* harmless: only an empty one goes */
    /* Another member's leftovers are for that member: their sets are not ours to remove. */
    if (result != 0 || (entry.owner != geteuid() && entry.record.creator != geteuid()))
        return;
    const struct weir__record *record = &entry.record;
    if (weir__entry_verdict(dir, record) != WEIR__DEAD)
        return;
    int semset_id =
        record->sem_key && weir__semset_same(record->sem_id, record->sem_key, record->creator) == 1
            ? record->sem_id
            : -1;
    result = dry_run ? 0 : weir__entry_bury(dir, &entry);
    if (result == -EROFS || result == -EACCES)
        collection->refused = result;
    if (result == 0)
        report(collection, record, -1, semset_id,
               weir__entry_is_name(directory, name) ? name : NULL, "its last user is gone");
}

static int visit(const struct weir__rundir *dir, const char *directory, void *argument)
{
    char name[WEIR__ENTRY_NAME_BYTES];
    bool has_nonce = (directory[0] == '#' || directory[0] == '~') && weir__nonce_is(directory + 1);
    if (has_nonce && directory[0] == '#' && collect_draft(dir, directory, argument) != -EEXIST)
        return 0;
    if (has_nonce || weir__entry_is_name(directory, name))
        collect_entry(dir, directory, argument);
    return 0;
}

int weir_collect(uint32_t flags,
                 void (*report_to)(const struct weir_leftover *leftover, void *argument),
                 void *argument)
{
    struct collection collection = { .flags = flags, .report = report_to, .argument = argument };
    struct weir__rundir dir;
    struct weir__error_saved saved;
    if (flags & ~(uint32_t)WEIR_COLLECT_DRY_RUN)
        return weir__fail(EINVAL, "weir_collect: flags 0x%x are not known", flags);
    int result = flags & WEIR_COLLECT_DRY_RUN ? weir__rundir_open_to_look(&dir)
                                              : weir__rundir_open(&dir, false);
    weir__error_save(&saved);
    if (result == -ENOENT && !(flags & WEIR_COLLECT_DRY_RUN))
        weir__rundir_sweep(&dir);
    weir__error_restore(&saved);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    result = weir__entry_each(&dir, visit, &collection);
    weir__error_restore(&saved);
    if (result != 0) {
        weir__rundir_close(&dir);
        return weir__fail(-result, "cannot look into %s: %s", dir.path, strerror(-result));
    }
    if (collection.refused != 0 && collection.count == 0) {
        weir__rundir_close(&dir);
        return weir__fail(-collection.refused, "cannot take away what was left in %s: %s", dir.path,
                          strerror(-collection.refused));
    }
    if (flags & WEIR_COLLECT_DRY_RUN) {
        weir__rundir_close(&dir);
    } else {
        weir__error_save(&saved);
        weir__rundir_sweep(&dir);
        weir__error_restore(&saved);
        weir__rundir_close_tidy(&dir);
    }
    return collection.count;
}

void weir__collect_once(void)
{
    static weir__atomic_u64 collector; /* who has: a child of fork is another process */
    struct weir__error_saved saved;
    uint64_t me = weir__process();
    /* Relaxed: two threads that both collect do no harm. */
    if (atomic_exchange_explicit(&collector, me, memory_order_relaxed) == me)
        return;
    weir__error_save(&saved);
    weir_collect(0, NULL, NULL);
    weir__error_restore(&saved);
}
