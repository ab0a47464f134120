/* SPDX-License-Identifier: MIT */
#ifndef WEIR_COLLECT_H
#define WEIR_COLLECT_H

/*
 * The run directory, where names are, and the collection of what killed
 * processes left in it.
 *
 * WEIR_DIR names it, but to a program that is set-uid or set-gid, or has file capabilities, which does
 * not look at it; its default is /dev/shm/weir-UID, mode 0700, of the
 * effective user; in a user namespace that has the /dev/shm of the machine,
 * /dev/shm/weir-OUTSIDE-UID, with the user's uid in the user namespace around it,
 * and none (-EPERM) for who has no uid in his user namespace. A directory that WEIR_DIR names is
 * created when its parent exists; its mode is taken over for all that is made inside, and its group
 * where it is setgid: a setgid directory of a group, mode 2770, shares names with that group, if it
 * is so before it is used: what stands in it keeps its mode. One that others may write must
 * not be sticky. In it stands one directory for each IPC namespace and boot, and
 * weir never touches another's.
 */

#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * weir_run_directory() - where the names of the calling thread's IPC namespace are
 *
 * path, capacity_bytes: receives the absolute path, or its begin where it does not fit; it need not exist.
 *
 * Returns: 0; -ENAMETOOLONG (it does not fit, or WEIR_DIR has more than 4,095 bytes), -EINVAL
 *     (WEIR_DIR is empty or relative), -ENOSYS (no /proc to tell the namespace by), -EMFILE, -ENFILE,
 *     -EPERM (WEIR_DIR is not set, and the caller has no uid in his user namespace).
 * Blocking: never. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_run_directory(char *path, size_t capacity_bytes);

/* One thing that was, or would be, collected. */
struct weir_leftover {
    uint32_t size;       /* sizeof(struct weir_leftover), set by the library */
    uint32_t key;        /* of the segment, 0: none */
    int32_t segment_id;  /* a segment that is removed, -1: none */
    int32_t semset_id;   /* a semaphore set that is removed, -1: none */
    uint64_t size_bytes; /* of the segment, weir's header included; 0: none, or it is gone */
    const char *name;    /* the name, or NULL for what has none, or never got one */
    const char *why;     /* a sentence without a full stop */
};

enum weir_collect_flags {
    WEIR_COLLECT_DRY_RUN = 1 << 0, /* report, remove nothing */
};

/*
 * weir_collect() - remove what killed processes left behind
 *
 * flags: enum weir_collect_flags. report: called for each leftover, may be
 * NULL; the pointers inside are valid during the call. argument: handed to it. report may call weir; a
 * sentence that it leaves in weir_last_error() is lost. It is to return: who leaves it otherwise
 * (longjmp(3), an exception, the end of the thread) keeps descriptors open, and what it was told of locked.
 *
 * Touches only what weir made, this user owns and nobody is attached to, in the
 * caller's IPC namespace: unfinished creations whose creator the kernel knows
 * to be dead, names and semaphore sets of ephemeral segments that are gone.
 * Persistent objects are left alone, POSIX segments among them: what a kill
 * leaves of one that is being made has no name, and the kernel frees it. Every
 * create of System V does this by itself, once a process; a child of fork, which
 * is another one, does it again.
 *
 * Returns: how many leftovers were reported: of unfinished creations those that could not be removed
 *     included, of names those that were removed; negative on failure, and where there was nothing else but
 *     names that could not: -EACCES, -EROFS, -EPERM (the
 *     directory is sticky, or not as weir makes it, or the default one is another user's), -ENOTDIR,
 *     -EINVAL (WEIR_DIR is empty or relative; flags), -ENAMETOOLONG (WEIR_DIR is too long),
 *     -ELOOP, -ENOSYS (no /proc to tell the namespace by), -EMFILE, -ENFILE, -ENOMEM. No run directory
 *     means 0.
 * Blocking: never waits; what another collector has in hand is left to it. May
 *     be killed at any instruction, and be run by any number of processes.
 * Threads: any. Fork: a child collects for itself. Signals: not safe.
 */
WEIR_EXPORT int weir_collect(uint32_t flags,
                             void (*report)(const struct weir_leftover *leftover, void *argument),
                             void *argument);

#ifdef __cplusplus
}
#endif
#endif
