/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_DRAFT_H
#define WEIR_SEGMENT_DRAFT_H

/*
 * Drafts: an object while it is being created.
 *
 * A draft is an entry under "#NONCE": a directory, which is renamed to publish it; of
 * an object that nobody will find, the record file alone. Before anything is made in the kernel,
 * its record says under which key; the creator holds an open-file-description
 * lock on the record file until it has published or abandoned the draft. The
 * kernel drops that lock when the creator ends, by any way, and so a free lock
 * proves its death (a child of fork closes its copy of the descriptor at once):
 * the collector, holding the lock itself, then removes what the record names.
 *
 *   word           | who writes it                 | under what
 *   ---------------+-------------------------------+--------------------------
 *   record         | creator                       | lock, before publication
 *   file's link    | creator: rename, unlink       | lock
 *                  | collector: unlink             | lock, creator dead
 *
 * A kill leaves at most: one segment and one set, both named in a draft; or a
 * draft with nothing made, its record not even begun; or an empty directory.
 */

#include "segment/entry.h"

struct weir__draft {
    struct weir__rundir *dir; /* the caller's, who closes it */
    struct weir__entry entry;
    bool is_file; /* not a directory */
    int fd;       /* of the record file, locked */
    int slot;     /* where a child of fork finds fd to close it; -1: none was free */
};

/*
 * Enters the run directory (made if need be) and begins a draft with this record and a new nonce.
 * The file is empty still. With is_published it can be published, else only be abandoned.
 */
int weir__draft_begin(struct weir__draft *draft, struct weir__rundir *dir,
                      const struct weir__record *record, bool is_published);

/* Writes draft->entry.record. To be called before the thing that it announces is done. */
int weir__draft_update(struct weir__draft *draft);

/*
 * The one step that makes the object visible as directory. -EEXIST without a
 * sentence: a full directory stands there. Releases the lock on success only.
 */
int weir__draft_publish(struct weir__draft *draft, const char *directory);

/* After the name was read: what was written before it became visible is seen from here on. */
void weir__draft_order(void);

/* Takes the draft away. The caller has removed what it names. 0, or -errno with a sentence. */
int weir__draft_abandon(struct weir__draft *draft);

/*
 * The same of a draft whose object stays, and is the user's: the record is emptied, too, wherever
 * somebody has moved it. On failure the caller removes the object, since a collector would.
 */
int weir__draft_hand_over(struct weir__draft *draft);

/*
 * For the collector: locks the draft under directory, if its creator is dead.
 * 0: locked, fd open, and *valid says whether there is a record in it: none was begun yet, else; -EBUSY:
 * the creator lives, or another collector has it; -EPERM: another user's;
 * -ENOENT: it is gone; -EEXIST: it is no draft: it was published once, and somebody moved it, or
 * never was weir's.
 */
int weir__draft_seize(const struct weir__rundir *dir, const char *directory, bool dry_run, int *fd,
                      bool *valid, struct weir__entry *entry);

/* Takes one that is seized away: its file, and the directory, if there is no more in it. */
void weir__draft_forget(const struct weir__rundir *dir, const char *directory);

#endif
