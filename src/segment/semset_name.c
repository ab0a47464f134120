/* SPDX-License-Identifier: MIT */
/*
 * A semaphore set under a name of weir's. It is made as a segment is (create.c):
 *
 *   1 draft begun, its record says the key      CRASH semset.draft
 *   2 semget under that key, then SETALL        CRASH semset.made
 *   3 record with the id, then published        CRASH semset.published
 *
 * Up to 3 the draft names all that exists, and the collector removes it; and
 * nobody finds the set, so nobody sees it without its values.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "segment/collect.h"
#include "segment/draft.h"
#include "segment/handle.h"
#include "segment/ref.h"
#include "segment/semset.h"

/* Steps 1 (its record) and 2, under a random key that is free. */
static int make(struct weir__draft *draft, const uint16_t *values, uint32_t mode)
{
    struct weir__record *record = &draft->entry.record;
    for (int attempt = 0; attempt < WEIR__RETRIES; attempt++) {
        uint32_t key = (uint32_t)weir__random_nonzero();
        /* A key that is seen to be taken is never written down: the set under it is not ours. */
        if (key == 0 || key == UINT32_MAX || semget((key_t)key, 0, 0) >= 0)
            continue;
        record->sem_key = key;
        int result = weir__draft_update(draft);
        if (result == 0)
            result = weir__semset_make(key, record->sem_count, values, mode, &record->sem_id);
        if (result != -EEXIST)
            return result;
    }
    return weir__fail(ENOSPC, "no free key was found for a semaphore set");
}

/* Step 3. A living object under the name wins over ours. */
static int publish(struct weir__draft *draft, const char *name, const char *what)
{
    char directory[WEIR__ENTRY_NAME_BYTES];
    weir__entry_name(name, directory);
    int result = weir__draft_update(draft);
    for (int attempt = 0; result == 0 && attempt < WEIR__RETRIES; attempt++) {
        result = weir__draft_publish(draft, directory);
        if (result != -EEXIST)
            return result;
        result = weir__entry_vacate(draft->dir, directory, what);
    }
    return result != 0 ? result : weir__fail(EBUSY, "%s is taken and let go again and again", what);
}

int weir__semset_name_create(struct weir_semset **set, const char *name, uint32_t count,
                             const uint16_t *values, const struct weir_semset_options *options)
{
    char what[WEIR__REF_TEXT_BYTES], directory[WEIR__ENTRY_NAME_BYTES];
    struct weir_semset *made = NULL;
    struct weir__rundir dir;
    struct weir__draft draft;
    struct weir__record record = { .lifetime = WEIR_PERSISTENT,
                                   .creator = geteuid(),
                                   .pid = getpid(),
                                   .shm_id = -1,
                                   .sem_id = -1,
                                   .sem_count = count,
                                   .kind = "semset" };
    int result = weir_name_check(name);
    if (result == 0)
        result = weir__semset_check(count, 0, values, options->mode);
    if (result != 0)
        return result;
    weir__collect_once();
    weir__ref_text(weir_by_name(name), what);
    weir__entry_name(name, directory);
    record.name = weir__name_hash(directory);
    weir__rundir_init(&dir);
    result = weir__draft_begin(&draft, &dir, &record, true);
    if (result != 0)
        return result;
    const struct weir__record *now = &draft.entry.record;
    result = make(&draft, values, options->mode);
    if (result == 0)
        result = weir__record_check_maker(&draft.entry.record);
    if (result == 0)
        result = weir__semset_wrap(&made, now->sem_id, count);
    if (result == 0)
        result = publish(&draft, name, what);
    if (result == 0) {
        weir__rundir_close(&dir);
        *set = made;
        return 0;
    }
    struct weir__error_saved saved;
    weir__error_save(&saved);
    if (now->sem_id >= 0)
        weir__semset_destroy(now->sem_id, now->sem_key, now->creator);
    weir_semset_close(made);
    weir__draft_abandon(&draft);
    weir__rundir_close_tidy(&dir);
    weir__error_restore(&saved);
    return result;
}

static int fail_no_object(const char *name)
{
    return weir__fail(ENOENT, "there is no object named '%s'", name);
}

static int read_entry(const struct weir__rundir *dir, const char *name, struct weir__entry *entry)
{
    char directory[WEIR__ENTRY_NAME_BYTES];
    weir__entry_name(name, directory);
    int result = weir__entry_read(dir, directory, entry);
    if (result == -ENOENT)
        return fail_no_object(name);
    if (result == 0 && entry->record.shm_key != 0)
        return weir__fail(EPROTO, "name '%s' is a %s, not a semset", name, entry->record.kind);
    return result;
}

static int open_entry(struct weir_semset **set, const char *name, uint32_t count,
                      const struct weir_semset_options *options, const struct weir__rundir *dir)
{
    char what[WEIR__REF_TEXT_BYTES];
    struct weir__entry entry;
    struct semid_ds status;
    const struct weir__record *record = &entry.record;
    weir__ref_text(weir_by_name(name), what);
    int result = read_entry(dir, name, &entry);
    if (result != 0)
        return result;
    result = weir__semset_stat(record->sem_id, &status);
    if (result == -EIDRM || (result == 0 && weir__entry_verdict(dir, record) == WEIR__DEAD)) {
        weir__entry_bury(dir, &entry); /* removed by ipcrm or the like: clean up in passing */
        return fail_no_object(name);
    }
    if (result != 0)
        return result;
    if (status.sem_nsems != record->sem_count)
        return weir__fail(EUCLEAN,
                          "%s: set %d has %lu semaphores, and its record says %" PRIu32
                          ": 'weir rm' takes the name away",
                          what, record->sem_id, (unsigned long)status.sem_nsems, record->sem_count);
    result = weir__trust_check(options->trust, options->trust_uid, status.sem_perm.cuid,
                               status.sem_perm.uid, &entry.owner, what);
    if (result == 0 && record->sem_count < count)
        result = weir__fail(EINVAL, "%s has %" PRIu32 " semaphores, %" PRIu32 " are needed", what,
                            record->sem_count, count);
    return result == 0 ? weir__semset_wrap(set, record->sem_id, record->sem_count) : result;
}

int weir__semset_name_open(struct weir_semset **set, const char *name, uint32_t count,
                           const struct weir_semset_options *options)
{
    struct weir__rundir dir;
    int result = weir_name_check(name);
    if (result == 0)
        result = weir__rundir_open(&dir, false);
    if (result != 0)
        return result == -ENOENT ? fail_no_object(name) : result;
    result = open_entry(set, name, count, options, &dir);
    weir__rundir_close(&dir);
    return result;
}

int weir__semset_name_create_or_open(struct weir_semset **set, const char *name, uint32_t count,
                                     const uint16_t *values,
                                     const struct weir_semset_options *options)
{
    /* What cannot be created is refused before it is opened. */
    int result = weir__semset_check(count, 0, values, options->mode);
    for (int attempt = 0; result == 0 && attempt < WEIR__RETRIES; attempt++) {
        result = weir__semset_name_open(set, name, count, options);
        if (result != -ENOENT)
            return result;
        result = weir__semset_name_create(set, name, count, values, options);
        if (result == 0)
            return WEIR_CREATED;
        if (result == -EEXIST)
            result = 0; /* another process was quicker: open its set */
    }
    return result != 0 ? result
                       : weir__fail(EBUSY, "name '%s' is taken and let go again and again", name);
}

int weir__semset_name_remove(const char *name)
{
    struct weir__rundir dir;
    struct weir__entry entry;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = weir_name_check(name);
    if (result == 0)
        result = weir__rundir_open(&dir, false);
    if (result != 0)
        return result == -ENOENT ? fail_no_object(name) : result;
    result = read_entry(&dir, name, &entry);
    weir__rundir_close(&dir);
    if (result != 0 && result != -EUCLEAN)
        return result;
    weir__error_restore(&saved);
    return weir__name_remove(name); /* a corrupt record is cleared away, as for a segment */
}

/* The set that is looked for among the records. */
struct search {
    int id;
    const struct semid_ds *status;
};

/* 1: it is this entry's. */
static int is_its_entry(const struct weir__rundir *dir, const char *directory, void *argument)
{
    const struct search *search = argument;
    struct weir__entry entry;
    const struct weir__record *record = &entry.record;
    return weir__entry_read_any(dir, directory, &entry) == 0 && record->sem_key != 0 &&
           record->sem_id == search->id &&
           record->sem_key == (uint32_t)search->status->sem_perm.__key &&
           record->creator == search->status->sem_perm.cuid;
}

bool weir__semset_is_named(int id, const struct semid_ds *status)
{
    struct search search = { id, status };
    struct weir__error_saved saved;
    struct weir__rundir dir;
    weir__error_save(&saved);
    bool is_named = false;
    if (weir__rundir_open(&dir, false) == 0) {
        is_named = weir__entry_each(&dir, is_its_entry, &search) == 1;
        weir__rundir_close(&dir);
    }
    weir__error_restore(&saved);
    return is_named;
}
