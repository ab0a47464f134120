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

/* Where names are unless WEIR_DIR says otherwise: with the user's id, in decimal, behind it. */
#define WEIR__RUNDIR_DEFAULT "/dev/shm/weir-"

/* How often a step that somebody's removal undid is tried again. */
#define WEIR__RETRIES 100

struct weir__rundir {
    int fd;                 /* of the namespace's directory; -1: not open */
    uint32_t mode;          /* permission bits for what is made inside */
    bool is_default;        /* not from WEIR_DIR */
    bool is_to_look;        /* nothing is changed, not even tidied up */
    uint64_t ipc_namespace; /* that it belongs to, the calling thread's; 0: not asked yet */
    char path[PATH_MAX];
};

/* For weir__rundir_enter(): nothing is known, nothing is open. */
static inline void weir__rundir_init(struct weir__rundir *dir)
{
    dir->fd = -1;
    dir->is_to_look = false;
    dir->ipc_namespace = 0;
}

/*
 * Opens the run directory of the calling thread's IPC namespace. With create it
 * is made when it is not there; without, -ENOENT and no sentence.
 */
int weir__rundir_open(struct weir__rundir *dir, bool create);

/* The same without create, and what a kill has left half made stays: for who only looks. */
int weir__rundir_open_to_look(struct weir__rundir *dir);

/*
 * The same for one public call that comes here several times: takes what is open already, and
 * the namespace that is known. Nobody but the thread itself changes its namespace, and that is
 * inside the call. An open directory may have been removed meanwhile: what is made in it fails
 * with -ENOENT, then it is closed and entered again; what is not found in it is not there for
 * certain only once something was made.
 */
int weir__rundir_enter(struct weir__rundir *dir, bool create);

/* May be done twice. */
void weir__rundir_close(struct weir__rundir *dir);

/*
 * Removes the directories that are empty now and that weir made by default; it is closed then.
 * With entries in it, it stays open: who takes the last of them away comes here, too.
 */
void weir__rundir_tidy(struct weir__rundir *dir);
void weir__rundir_close_tidy(struct weir__rundir *dir);

/*
 * Makes a directory, which must not be there, with this mode, whatever the umask is; what root
 * makes becomes owner's, if that is not WEIR__NOBODY. Nothing but what was made here is changed,
 * whatever somebody who may write in parent puts in its place meanwhile. Returns its descriptor,
 * or -errno: -EEXIST; -ENOENT when parent was removed; -EBUSY when it was removed or exchanged.
 */
#define WEIR__NOBODY UINT32_MAX
int weir__rundir_make(int parent, const char *name, uint32_t mode, uint32_t owner);

/*
 * Removes what a kill left around the namespace's directory: empty ".new-*" beside it, and, where
 * that directory is not there, the empty default one that it stood in.
 */
void weir__rundir_sweep(const struct weir__rundir *dir);

#endif
