/* SPDX-License-Identifier: MIT */
#ifndef WEIR_REF_H
#define WEIR_REF_H

/*
 * How an object is named: a weir name, ftok(path, project), a System V key, a
 * System V identifier, or not at all (private, for fork); a POSIX name, as
 * shm_open(3) takes it; or a memfd, which is made without a name and found by
 * its descriptor. <weir/segment.h> has what each can and cannot do.
 *
 * A reference is a small value on the caller's stack. It keeps the pointer
 * that it was given, so the text must live as long as the reference is used.
 */

#include <stdint.h>
#include <sys/types.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest name, in bytes, without the closing NUL. */
#define WEIR_NAME_MAX 200

enum weir_by {
    WEIR_BY_NAME = 1,  /* a name of weir's, in the run directory */
    WEIR_BY_FTOK = 2,  /* the key that ftok(3) makes of a file and a project */
    WEIR_BY_KEY = 3,   /* a System V key, as shmget(2) takes it */
    WEIR_BY_ID = 4,    /* a System V identifier, as shmat(2) takes it; opens, never creates */
    WEIR_BY_NONE = 5,  /* private: found by nobody, shared by fork or by passing its id */
    WEIR_BY_POSIX = 6, /* a name as shm_open(3) takes it: a file in /dev/shm */
    WEIR_BY_MEMFD = 7, /* none: creates a memfd, shared by fork or by passing its descriptor */
    WEIR_BY_FD = 8,    /* the descriptor of a memfd that this process has; opens, never creates */
};

/*
 * Whose objects an open accepts. The creator's uid cannot be forged.
 *
 * In a user namespace the kernel says one number, 65534 (kernel.overflowuid), for
 * all uids that the namespace has not. There this number is nobody's: it is not
 * accepted as the caller's own, nor as trust_uid, nor as who put a name there, with
 * -EPERM and a sentence that says so. Two things prove more: an object of System V
 * in an IPC namespace that belongs to the same user namespace, as a container's
 * does, is whose the number says; and a file's owner is told by the kernel.
 */
enum weir_trust {
    WEIR_TRUST_SELF = 0,      /* creator and owner are my effective uid, or root. What is a file
                                 (POSIX, memfd) has an owner alone: it stands for both */
    WEIR_TRUST_UID = 1,       /* creator and owner are options.trust_uid (or root, or myself) */
    WEIR_TRUST_DIRECTORY = 2, /* by name only: the creator has made it under that name, and the
                                 run directory's permissions say who may put names there */
    WEIR_TRUST_ANYONE = 3,    /* whatever the mode bits allow */
};

/* Success with news: from ..._create_or_open(), the object is new. */
#define WEIR_CREATED 1

struct weir_ref {
    uint32_t by;      /* enum weir_by */
    uint32_t key;     /* WEIR_BY_KEY */
    int32_t id;       /* WEIR_BY_ID; the descriptor of WEIR_BY_FD */
    int32_t project;  /* WEIR_BY_FTOK: 1 to 255 */
    const char *text; /* the name, ftok's path, or "/NAME" of WEIR_BY_POSIX */
};

/*
 * weir_by_name() - refer to an object by a name of weir's
 *
 * name: components of A-Z a-z 0-9 _ . - joined by '/', at most WEIR_NAME_MAX
 *     bytes, no component empty, "." or "..". It is checked by the call that
 *     uses the reference (-EINVAL, -ENAMETOOLONG), never shortened.
 *
 * Returns: the reference. It keeps the pointer, not a copy.
 * Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_by_name(const char *name);

/*
 * weir_by_ftok() - refer to an object by ftok(path, project)
 *
 * path: an existing file that the caller may search for. project: 1 to 255.
 *
 * ftok keeps 16 bits of the inode, 8 of the device and 8 of the project, so
 * about 300 files give an even chance that two share a key; and on a missing
 * file it returns -1, which is itself a valid key that every such program
 * shares. weir refuses the second, and of what it finds under the first it checks creator, owner and
 * size: another object of the same user that is large enough is not noticed.
 *
 * Returns: the reference. It keeps the pointer, not a copy; the file is looked
 *     at by the call that uses the reference.
 * Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_by_ftok(const char *path, int project);

/*
 * weir_by_key() - refer to an object by its System V key
 *
 * key: not 0 (IPC_PRIVATE: use weir_private()) and not 0xffffffff (what a
 *     failed ftok gives): the call that uses the reference refuses both (-EINVAL).
 *
 * Returns: the reference. Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_by_key(uint32_t key);

/*
 * weir_by_id() - refer to an existing object by its System V identifier
 *
 * id: as shown by ipcs(1) and 'weir list', 0 or above. It opens and never
 *     creates: the kernel chooses identifiers.
 *
 * Returns: the reference. Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_by_id(int id);

/*
 * weir_private() - refer to nothing: an object without a name, to create
 *
 * Shared by fork, or by handing its id to another process.
 *
 * Returns: the reference. Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_private(void);

/*
 * weir_by_posix() - refer to a segment by its POSIX name
 *
 * name: "/NAME", as shm_open(3) takes it: a slash, then 1 to 255 bytes without
 *     another one, not "." or "..". Checked by the call that uses the reference
 *     (-EINVAL, -ENAMETOOLONG), never shortened.
 *
 * Returns: the reference. It keeps the pointer, not a copy.
 * Threads: any. Signals: async-signal-safe. Source: shm_open(3).
 */
WEIR_EXPORT struct weir_ref weir_by_posix(const char *name);

/*
 * weir_memfd() - refer to nothing: a memfd, to create
 *
 * Memory behind a descriptor, without a name. It is shared by fork, or by
 * handing over the descriptor: weir_segment_send(), or an exec that keeps it.
 *
 * Returns: the reference. Threads: any. Signals: async-signal-safe.
 * Source: memfd_create(2).
 */
WEIR_EXPORT struct weir_ref weir_memfd(void);

/*
 * weir_by_fd() - refer to a memfd by a descriptor of this process
 *
 * fd: the descriptor, however it came here. The call that uses the reference
 *     takes a copy and leaves this one open; it refuses what is not a memfd, and
 *     one that could be truncated under its reader.
 *
 * Returns: the reference. Threads: any. Signals: async-signal-safe.
 */
WEIR_EXPORT struct weir_ref weir_by_fd(int fd);

/*
 * weir_name_check() - whether a text is a name of weir's
 *
 * name: the text.
 *
 * Returns: 0; -EINVAL (NULL, empty, a forbidden byte, a component empty, "." or
 *     ".."); -ENAMETOOLONG (above WEIR_NAME_MAX bytes). weir_last_error() names
 *     the byte.
 * Threads: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_name_check(const char *name);

/*
 * weir_posix_name_check() - whether a text is a name of a POSIX segment
 *
 * name: the text.
 *
 * Returns: 0; -EINVAL (NULL, no slash in front, another one behind it, nothing, "/."
 *     or "/.."); -ENAMETOOLONG (above 255 bytes behind the slash).
 *     weir_last_error() says which.
 * Threads: any. Signals: not async-signal-safe.
 */
WEIR_EXPORT int weir_posix_name_check(const char *name);

/*
 * weir_ftok() - ftok(3) with its faults reported
 *
 * path: an existing file. project: 1 to 255 (ftok silently uses the low 8 bits
 *     of anything, and 0 is undefined in POSIX). key: receives the key;
 * untouched on failure.
 *
 * Returns: 0; -ENOENT or -EACCES (the path; others of stat(2) as well), -EINVAL
 *     (path NULL; project; or the key comes out as 0 or 0xffffffff, which nobody
 *     can share safely).
 * Blocking: looks at the file system. Threads: any. Signals: not safe.
 */
WEIR_EXPORT int weir_ftok(const char *path, int project, uint32_t *key);

#ifdef __cplusplus
}
#endif
#endif
