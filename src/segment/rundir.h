/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_RUNDIR_H
#define WEIR_SEGMENT_RUNDIR_H

/*
 * The run directory: WEIR_DIR/ipc-NAMESPACE-BOOT, where names stand.
 *
 *   NAME      ('/' written as ',') a published object: a directory with one
 *             record file, see entry.h
 *   #NONCE    a draft: an object that is being created, see draft.h
 *   ~NONCE    the record of an object that has no name, but a semaphore set
 *
 * Its path carries the inode of the IPC namespace and the boot's id, so that
 * the ids in it mean what they say; another namespace's is never touched.
 * Directories vanish when the last entry does: whoever makes an entry must be
 * ready to make the directory again (-ENOENT: open it once more).
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How often a step that somebody's removal undid is tried again. */
#define WEIR__RETRIES 100

struct weir__rundir {
    int fd;                 /* of the namespace's directory */
    uint32_t mode;          /* permission bits for what is made inside */
    bool is_default;        /* not from WEIR_DIR */
    uint64_t ipc_namespace; /* that it belongs to */
    char path[PATH_MAX];
};

/*
 * Opens the run directory of the calling thread's IPC namespace. With create it
 * is made when it is not there; without, -ENOENT and no sentence.
 */
int weir__rundir_open(struct weir__rundir *dir, bool create);
void weir__rundir_close(struct weir__rundir *dir);

/* Closes it, and removes the directories that are empty now and that weir made by default. */
void weir__rundir_close_tidy(struct weir__rundir *dir);

/*
 * Makes a directory with this mode, whatever the umask is, or takes the one that is there; a link
 * is refused. Returns its descriptor, or -errno: -ENOENT when a collector removed it meanwhile.
 */
int weir__rundir_make(int parent, const char *name, uint32_t mode);

/* Removes empty ".new-*" of killed processes, beside the namespaces' directories: base is theirs. */
void weir__rundir_sweep(int base);

#endif
