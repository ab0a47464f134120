/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_ENTRY_H
#define WEIR_SEGMENT_ENTRY_H

/*
 * Entries of the run directory: a directory named for the object, and in it one
 * file, named by the nonce, that holds the record.
 *
 * An entry is published by rename(2) onto an absent or empty directory, which
 * fails over a full one: one creator wins. It is taken back by unlinking the
 * file of one nonce, then trying rmdir: a successor's file has another nonce
 * and is never hit, however late the remover comes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/shm.h>

#include "segment/record.h"
#include "segment/rundir.h"

/* '#' or '~' and the nonce, or a name: '/' is written as ','. */
#define WEIR__ENTRY_NAME_BYTES (WEIR_NAME_MAX + 1)

struct weir__entry {
    char directory[WEIR__ENTRY_NAME_BYTES];
    struct weir__record record;
    uint32_t owner; /* uid that owns the file: who put it there, told by the kernel */
};

/* Who lives, told by the kernel. */
enum weir__verdict {
    WEIR__ALIVE,   /* what the record names exists, and is the same */
    WEIR__DEAD,    /* it does not exist any more */
    WEIR__UNKNOWN, /* this thread cannot tell: it is in another namespace */
};

/* "a/b" -> "a,b"; name has passed weir_name_check(). */
void weir__entry_name(const char *name, char directory[WEIR__ENTRY_NAME_BYTES]);

/* "~NONCE" */
void weir__entry_nameless(uint64_t nonce, char directory[WEIR__ENTRY_NAME_BYTES]);

/* "a,b" -> "a/b"; false for a directory that is not a name's. */
bool weir__entry_is_name(const char *directory, char name[WEIR__ENTRY_NAME_BYTES]);

/*
 * Reads one entry. -ENOENT (no sentence): not there, or empty. -EUCLEAN (with a
 * sentence): what stands there is not a record. -EPERM: it is one, and its creator, as it says, is
 * not its owner, as the kernel says; or somebody has moved it here from another name. What is gone for
 * sure its owner, and root, reads all the same, as made by its owner: to take it away.
 */
int weir__entry_read(const struct weir__rundir *dir, const char *directory,
                     struct weir__entry *entry);

/* The same, of any that stands there: also under a name that is not its own, by which it was refused. */
int weir__entry_read_any(const struct weir__rundir *dir, const char *directory,
                         struct weir__entry *entry);

/*
 * Whether a segment that answers under the record's id is the record's own: size
 * and creator are as nobody can change them; ephemeral ones are removed from the
 * start, persistent ones keep their key until they are.
 */
bool weir__record_matches(const struct weir__record *record, const struct shmid_ds *found);

/*
 * Of what was just made, before it is published: whether its maker is whom the record names, by the uid from before.
 * Else the record would show everybody that another object has the id. -EPERM: another thread has changed the user
 * meanwhile; the record names the set's maker then, for whoever takes it back.
 */
int weir__record_check_maker(struct weir__record *record);

/* Whether the record's object exists. The calling thread is known to be in its namespace. */
enum weir__verdict weir__record_verdict(const struct weir__record *record);

/* Whether the entry's object exists; unknown to a thread that is not in dir's namespace. */
enum weir__verdict weir__entry_verdict(const struct weir__rundir *dir,
                                       const struct weir__record *record);

/* Takes the one nonce's file away and the directory, if it is empty then. */
int weir__entry_unlink(const struct weir__rundir *dir, const char *directory, uint64_t nonce);

/*
 * Removes the semaphore set of a dead object. -EBUSY: its segment is removed but
 * still attached; -EPERM: the set is another user's.
 */
int weir__entry_bury_set(const struct weir__record *record);

/*
 * Takes the entry of a dead object away: first its semaphore set, then the file.
 * When the set is another user's, the entry stays for that user: -EPERM.
 */
int weir__entry_bury(const struct weir__rundir *dir, const struct weir__entry *entry);

/*
 * Makes room for a new object under directory: 0 when there is none or what was
 * there is dead and buried; -EEXIST when it lives (the sentence says whose it
 * is); -EUCLEAN when the record is corrupt.
 */
int weir__entry_vacate(const struct weir__rundir *dir, const char *directory, const char *what);

/*
 * Takes the name of an object away that is still in use: its record moves to
 * "~NONCE", so that its set is found when the last user is gone.
 * CRASH entry.retired: the name's directory is empty, as good as none.
 */
int weir__entry_retire(const struct weir__rundir *dir, const struct weir__entry *entry);

/*
 * Removes what stands under a name and is no record: a file, or a directory of this user's (for
 * root: anybody's, but not its own within a user's) with what has a record's name in it. What else is in it is somebody's, who moved
 * it there: -ENOTEMPTY. -EPERM: another user's.
 */
int weir__entry_clear(const struct weir__rundir *dir, const char *directory);

/* Bytes that hold a namespace's inode as text. */
#define WEIR__NAMESPACE_TEXT_BYTES 24

/* Whether another IPC namespace has an entry of this name; where receives that namespace. */
bool weir__entry_elsewhere(const char *directory, char where[WEIR__NAMESPACE_TEXT_BYTES]);

/* Names are each user's own, unless WEIR_DIR is set: who else may have one that is not here. */
enum weir__others {
    WEIR__OTHERS_NONE,
    WEIR__OTHERS_HIDE, /* somebody has a directory that may not be looked into */
    WEIR__OTHERS_HAVE, /* another default directory has this name */
};

#define WEIR__OTHERS_TEXT_BYTES (PATH_MAX + 128)

/* text receives what a sentence "there is no ..." says of it at its end; empty if of nobody. */
enum weir__others weir__entry_others(const char *directory, char text[WEIR__OTHERS_TEXT_BYTES]);

/* Calls visit for every entry of the run directory, '#', '~' and names; until it returns not 0. */
int weir__entry_each(const struct weir__rundir *dir,
                     int (*visit)(const struct weir__rundir *dir, const char *directory,
                                  void *argument),
                     void *argument);

#endif
