/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SEGMENT_SYSV_H
#define WEIR_SEGMENT_SYSV_H

/*
 * shmget, shmat, shmctl with their errors told apart. EINVAL of shmget alone
 * means three things; each sentence says which, with the limit and the cure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/shm.h>

/*
 * IPC_CREAT | IPC_EXCL under key. flags: SHM_HUGETLB and the like. Returns the
 * id; -EEXIST without a sentence when the key is taken.
 */
int weir__shm_create(uint32_t key, uint64_t size_bytes, uint32_t mode, int flags);

/* The id under key; -ENOENT without a sentence. */
int weir__shm_find(uint32_t key);

/* shmat; -EIDRM when the segment is gone. read_only: SHM_RDONLY. address: NULL for anywhere. */
int weir__shm_attach(int id, void *address, bool read_only, void **memory);

/*
 * What the kernel knows, whatever the mode bits say. -ENOENT without a
 * sentence: no segment has this id; other errors: it cannot be told.
 */
int weir__shm_stat(int id, struct shmid_ds *found);

/*
 * A pidfd of the process that made the segment of this id, as the kernel translates its pid: that may be
 * another's by now, so believe it only if who is meant lives still after this. -1: not visible here, or
 * there is none. Leaves errno and the sentence as it likes.
 */
int weir__shm_maker_pidfd(int id);

/* Marked for destruction: the kernel frees it at the last detach. */
bool weir__shm_is_removed(const struct shmid_ds *found);

/* IPC_RMID; 0 also when it is gone already. */
int weir__shm_remove(int id);

/* IPC_SET of mode, and of gid unless it is -1. */
int weir__shm_set(int id, uint32_t mode, int64_t gid);

#endif
