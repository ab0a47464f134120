/* SPDX-License-Identifier: MIT */
#ifndef WEIR_INSPECT_H
#define WEIR_INSPECT_H

/*
 * Read-only view of everything that is shared on this machine, weir's or not:
 * System V segments and semaphore sets of the caller's IPC namespace, POSIX
 * segments in /dev/shm, and weir's names. Attaches nothing, changes nothing,
 * and believes nothing that another user can write without checking it.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/ref.h>
#include <weir/segment.h>

#ifdef __cplusplus
extern "C" {
#endif

enum weir_object_type {
    WEIR_OBJECT_SEGMENT = 1 << 0, /* System V shared memory */
    WEIR_OBJECT_SEMSET = 1 << 1,  /* System V semaphore set */
    WEIR_OBJECT_POSIX = 1 << 2,   /* file in /dev/shm that shm_open(3) would find */
    WEIR_OBJECT_ALL = 7,
};

enum weir_object_state {
    WEIR_STATE_LIVE = 1,   /* somebody is attached, or waits */
    WEIR_STATE_IDLE = 2,   /* nobody is, and somebody may come: persistent name, creator alive, or
                              not known (POSIX segments, sets, pids of other namespaces) */
    WEIR_STATE_ORPHAN = 3, /* nobody is attached, the creator is dead, and weir has no name for it;
                              or a set whose segment is gone. A hint: nobody can know the names in
                              a directory that another user's WEIR_DIR names. What stands in a
                              default run directory, or in one that may not be read, is no orphan */
};

struct weir_object {
    uint32_t size;           /* sizeof(struct weir_object), set by the library */
    uint32_t type;           /* enum weir_object_type */
    uint32_t state;          /* enum weir_object_state */
    uint32_t lifetime;       /* enum weir_lifetime */
    uint32_t key;            /* System V; 0: none */
    int32_t id;              /* System V; -1 for POSIX */
    uint32_t uid, gid;       /* owner */
    uint32_t cuid, cgid;     /* creator (POSIX: the owner) */
    uint32_t mode;           /* permission bits */
    uint32_t count;          /* semaphores in a set; else 0 */
    uint64_t size_bytes;     /* of a segment, weir's header included (shm_segsz) */
    uint64_t resident_bytes; /* of these, in memory now */
    int64_t attached;   /* attachments of a segment; waiting processes of a set; -1: not known */
    int32_t cpid, lpid; /* creator's and last user's pid; 0: not known or not visible here */
    int64_t atime, dtime, ctime; /* seconds since 1970; 0: never. For sets atime is sem_otime */
    uint32_t removed;            /* 1: marked for destruction */
    uint32_t weirs;              /* 1: made by weir (it stands in the run directory) */
    const char *name; /* weir's name; "/NAME" of POSIX; NULL: none. Valid in the callback. A set
                         that lives with a named segment has the segment's name */
    const char *kind; /* "segment", "semset", "posix", "posix-sem" (a named POSIX semaphore: the
                         file sem.NAME), or the kind that weir's name has */
    uint64_t header_bytes; /* of size_bytes, weir's header in front: the user has the rest */
};

/*
 * weir_inspect() - walk over all objects
 *
 * types: enum weir_object_type, or-ed. visit: called for each; a value other
 * than 0 ends the walk and is returned. argument: handed to it. Order: System V
 * segments by id, sets by id, POSIX by name.
 *
 * What comes and goes during the walk may or may not be seen.
 *
 * Returns: 0, what visit returned, or -errno (-ENOMEM, -EACCES).
 * Blocking: never. Threads: any. Signals: not safe.
 * Source: shmctl(2) SHM_STAT_ANY, semctl(2) SEM_STAT_ANY, /proc/sysvipc/shm.
 */
WEIR_EXPORT int weir_inspect(uint32_t types,
                             int (*visit)(const struct weir_object *object, void *argument),
                             void *argument);

/*
 * weir_inspect_one() - one object, by reference
 *
 * ref: by name, ftok, key, id or POSIX name. type: WEIR_OBJECT_SEGMENT,
 * WEIR_OBJECT_SEMSET, or 0 for whichever the name, key or id has (a segment
 * first); by POSIX name 0 or WEIR_OBJECT_POSIX. object: receives it; object->name and
 * object->kind point into it or to static memory: they live as long as names
 * (at least sizeof of the buffer given) does. names, capacity_bytes: a buffer
 * for the two texts, 256 bytes are enough, for POSIX 300.
 *
 * Returns: 0; -ENOENT; -EINVAL (type; a reference that names nothing); -EPROTO
 *     (in /dev/shm, something else than a segment); else as weir_inspect().
 * Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_inspect_one(struct weir_ref ref, uint32_t type, struct weir_object *object,
                                 char *names, size_t capacity_bytes);

/*
 * weir_state_name() - "live", "idle" or "orphan"
 *
 * Returns: static memory, never NULL. Threads: any. Signals: safe.
 */
WEIR_EXPORT const char *weir_state_name(uint32_t state);

#ifdef __cplusplus
}
#endif
#endif
