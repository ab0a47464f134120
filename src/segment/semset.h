/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_SEMSET_H
#define WEIR_SEGMENT_SEMSET_H

/*
 * System V semaphore sets inside of the library: the kernel's calls with their
 * errors explained, the handle, and the protocol of keyed creation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/sem.h>
#include <time.h>

#include <weir/semset.h>

/* The fourth argument of semctl(2), which no header declares. */
union weir__semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

/* semop(2) has 16 bits for a semaphore's number: of a larger set it would reach another one. */
#define WEIR__SEM_NUMBERS 65536

/* Of a set that weir makes, its own included: semget() of musl takes no more. */
#define WEIR__SEMS_MAX (WEIR__SEM_NUMBERS - 1)

struct weir_semset {
    int id;
    uint32_t count; /* semaphores that the user may name */
};

/*
 * semset_make.c: makes and destroys what others publish
 */

/*
 * A set of exactly count semaphores under the key (0: private), which must be
 * free, with their first values (NULL: all 0). Killed in between it stays with
 * zeros: who calls must have written down the key before. -EEXIST when the key
 * is taken, -EINVAL, -E2BIG, -ERANGE, -ENOSPC, -ENOMEM, explained.
 */
int weir__semset_make(uint32_t key, uint32_t count, const uint16_t *values, uint32_t mode, int *id);

/* The same without values: all 0. What weir__semset_make() starts with. */
int weir__semset_get(uint32_t key, uint32_t count, uint32_t mode, int *id);

/* A handle on the first count semaphores of the set; asks the kernel nothing. -ENOMEM. */
int weir__semset_wrap(struct weir_semset **set, int id, uint32_t count);

/*
 * All that the kernel knows of the set with exactly this id, whatever its mode
 * bits are. -EIDRM when there is none (unexplained: it is an answer).
 */
int weir__semset_stat(int id, struct semid_ds *status);

/*
 * Whether the set still is the one that was recorded: id, key and creator.
 * 1 or 0; negative when the kernel does not tell.
 */
int weir__semset_same(int id, uint32_t key, uint32_t cuid);

/*
 * Removes the set, but only if weir__semset_same(). 0: it is gone, by us or
 * before; -EPERM and the like when it is there and may not be removed. Explains.
 */
int weir__semset_destroy(int id, uint32_t key, uint32_t cuid);

/* Gives the set to a group (IPC_SET). Explains. */
int weir__semset_give(int id, uint32_t gid);

/* The check of count, values and mode that every creation starts with; extra: weir's own. */
int weir__semset_check(uint32_t count, uint32_t extra, const uint16_t *values, uint32_t mode);

/* semset_op.c: how long semtimedop(2) may wait until an absolute deadline; never negative. */
struct timespec weir__semset_left(int64_t deadline_ns);

/*
 * semset_key.c: a set under a key, with its first values
 */

/* Which semaphore says whether the values are set stands behind the user's: index count. */
#define WEIR_SEMSET_EXTRA 1

struct weir__semset_keyed {
    uint32_t key;
    uint32_t count;         /* that the caller needs; 0: whatever it has (open only) */
    const uint16_t *values; /* create only; NULL: all 0 */
    uint32_t mode;          /* create only */
    int64_t deadline_ns;
    bool plain; /* exactly count, for programs that know nothing of weir */
    int (*trusted)(const struct semid_ds *status, const void *argument); /* 0 or explained error */
    const void *argument;
    const char *what; /* what the set is called, for the sentences */
};

int weir__semset_key_create(const struct weir__semset_keyed *ask, int *id);
/* count receives how many semaphores the user has. */
int weir__semset_key_open(const struct weir__semset_keyed *ask, int *id, uint32_t *count);
int weir__semset_key_create_or_open(const struct weir__semset_keyed *ask, int *id, uint32_t *count);

/*
 * semset_name.c: a set under a name of weir's; options are complete and checked
 */

int weir__semset_name_create(struct weir_semset **set, const char *name, uint32_t count,
                             const uint16_t *values, const struct weir_semset_options *options);
int weir__semset_name_open(struct weir_semset **set, const char *name, uint32_t count,
                           const struct weir_semset_options *options);
int weir__semset_name_create_or_open(struct weir_semset **set, const char *name, uint32_t count,
                                     const uint16_t *values,
                                     const struct weir_semset_options *options);
int weir__semset_name_remove(const char *name);

/* Whether a name is the set's, or that of the segment it lives with: then all its semaphores are the
 * user's. */
bool weir__semset_is_named(int id, const struct semid_ds *status);

/* How many of the set's semaphores the user has, when it is found by its id; -EACCES, explained:
 * who may not read it cannot tell whether the last one is weir's own. */
int weir__semset_user_count(int id, const struct semid_ds *status, uint32_t *count);

#endif
