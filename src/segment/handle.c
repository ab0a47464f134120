/* SPDX-License-Identifier: MIT */
/* The handle: made, used, closed. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/error.h"
#include "base/process.h"
#include "segment/backend.h"
#include "segment/identity.h"
#include "segment/pages.h"
#include "segment/semset.h"

int weir__segment_new(struct weir_segment **segment)
{
    struct weir_segment *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a segment's handle");
    made->backend = &weir__backend_sysv;
    made->id = -1;
    made->fd = -1;
    *segment = made;
    return 0;
}

/* In a child that did not get the mapping, something else may lie at its address. */
static void detach(const struct weir_segment *segment, void *memory, uint64_t only_in)
{
    if (memory && (only_in == 0 || only_in == weir__process()))
        segment->backend->unmap(segment, memory);
}

void weir__segment_free(struct weir_segment *segment)
{
    while (segment->mappings) {
        struct weir__mapping *next = segment->mappings->next;
        detach(segment, segment->mappings->memory, segment->mappings->only_in);
        free(segment->mappings);
        segment->mappings = next;
    }
    detach(segment, segment->memory, segment->only_in);
    if (segment->fd >= 0)
        close(segment->fd);
    free(segment->semset);
    free(segment->directory);
    free(segment);
}

void weir__segment_leave(struct weir_segment *segment)
{
    segment->memory = NULL;
    weir__segment_free(segment);
}

int weir__segment_set_entry(struct weir_segment *segment, const struct weir__rundir *dir,
                            const char *directory, const struct weir__record *record)
{
    segment->directory = strdup(directory);
    if (!segment->directory)
        return weir__fail(ENOMEM, "no memory for a segment's handle");
    segment->ipc_namespace = dir->ipc_namespace;
    segment->record = *record;
    return 0;
}

/*
 * The last user of an ephemeral object takes its set and its name away; only
 * once the kernel has freed the segment, so that nobody who may still attach
 * loses the name. Whoever else is closing does the same steps: each is harmless
 * the second time.
 */
static void bury(const char *directory, uint64_t ipc_namespace, const struct weir__record *record)
{
    struct weir__rundir dir;
    char nameless[WEIR__ENTRY_NAME_BYTES];
    weir__rundir_init(&dir);
    dir.ipc_namespace = weir__ipc_namespace_here();
    /* Ids of another namespace mean nothing here, and "no such id" is no death there. */
    if (dir.ipc_namespace != ipc_namespace || weir__record_verdict(record) != WEIR__DEAD)
        return;
    /* Not through the entry: somebody may have emptied the run directory by hand. */
    if (weir__entry_bury_set(record) != 0 || weir__rundir_enter(&dir, false) != 0)
        return;
    weir__entry_unlink(&dir, directory, record->nonce);
    if (record->sem_key != 0) { /* else nobody has retired it */
        weir__entry_nameless(record->nonce, nameless);
        weir__entry_unlink(&dir, nameless, record->nonce);
    }
    weir__rundir_close_tidy(&dir);
}

void weir_segment_close(struct weir_segment *segment)
{
    if (!segment)
        return;
    struct weir__error_saved saved;
    weir__error_save(&saved);
    char *directory = segment->directory;
    struct weir__record record = segment->record;
    uint64_t ipc_namespace = segment->ipc_namespace;
    segment->directory = NULL;
    weir__segment_free(segment);
    if (directory)
        bury(directory, ipc_namespace, &record);
    free(directory);
    weir__error_restore(&saved);
}

void *weir_segment_data(const struct weir_segment *segment)
{
    return (char *)segment->memory + segment->offset_bytes;
}

uint64_t weir_segment_size(const struct weir_segment *segment)
{
    return segment->segsz - segment->offset_bytes;
}

int weir_segment_fd(const struct weir_segment *segment)
{
    if (segment->fd >= 0)
        return segment->fd;
    return weir__fail(EOPNOTSUPP,
                      "segment %d is System V shared memory, which has no descriptor: "
                      "hand over its name or id, or create it with weir_memfd()",
                      segment->id);
}

struct weir_semset *weir_segment_semset(const struct weir_segment *segment)
{
    return segment->semset;
}

/*
 * Of the further mappings of all handles, which it is held for a few instructions for. One lock, and
 * not one in each handle, so that a child of fork can make it anew: another thread may have held it.
 */
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;

/* Each list is whole at any instant: a child has it as it was before or after one store. */
static void unlock_in_child(void)
{
    mappings_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, unlock_in_child);
}

int weir_segment_attach(struct weir_segment *segment, void *address, uint32_t flags, void **data)
{
    const uint32_t known = WEIR_SEGMENT_READ_ONLY | WEIR_SEGMENT_PREFAULT | WEIR_SEGMENT_LOCK |
                           WEIR_SEGMENT_HUGE_PAGES | WEIR_SEGMENT_NO_FORK | WEIR_SEGMENT_DUMP |
                           WEIR_SEGMENT_NO_DUMP;
    if (flags & ~known)
        return weir__fail(EINVAL, "flags 0x%x are not for attach", flags & ~known);
    if ((flags & WEIR_SEGMENT_DUMP) && (flags & WEIR_SEGMENT_NO_DUMP))
        return weir__fail(EINVAL, "WEIR_SEGMENT_DUMP and WEIR_SEGMENT_NO_DUMP exclude each other");
    struct weir__mapping *mapping = calloc(1, sizeof *mapping);
    if (!mapping)
        return weir__fail(ENOMEM, "no memory for a mapping");
    int result = segment->backend->map(segment, address, flags, &mapping->memory);
    uint32_t pages = segment->pages;
    if (result == 0) {
        result = weir__pages_apply(mapping->memory, segment->segsz, flags, &pages);
        if (result != 0)
            segment->backend->unmap(segment, mapping->memory);
    }
    if (result != 0) {
        free(mapping);
        return result;
    }
    mapping->only_in = flags & WEIR_SEGMENT_NO_FORK ? weir__process() : 0;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&mappings_lock);
    mapping->next = segment->mappings;
    atomic_signal_fence(memory_order_release); /* in this order, for a child of fork */
    segment->mappings = mapping;
    pthread_mutex_unlock(&mappings_lock);
    *data = (char *)mapping->memory + segment->offset_bytes;
    return 0;
}

int weir_segment_detach(struct weir_segment *segment, void *data)
{
    struct weir__mapping *found = NULL;
    pthread_mutex_lock(&mappings_lock);
    for (struct weir__mapping **at = &segment->mappings; *at; at = &(*at)->next) {
        if ((char *)(*at)->memory + segment->offset_bytes == data) {
            found = *at;
            *at = found->next;
            break;
        }
    }
    pthread_mutex_unlock(&mappings_lock);
    if (!found)
        return weir__fail(EINVAL, "%p is no mapping that weir_segment_attach() made", data);
    detach(segment, found->memory, found->only_in);
    free(found);
    return 0;
}
