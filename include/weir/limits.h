/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LIMITS_H
#define WEIR_LIMITS_H

/* The limits of System V IPC in the caller's IPC namespace, and how much of each is in use. */

#include <stdint.h>

#include <weir/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_limits {
    uint32_t size;               /* set to sizeof(struct weir_limits) before the call */
    uint32_t page_size_bytes;    /* SHMALL counts in these */
    uint64_t shmmax_bytes;       /* largest segment: kernel.shmmax */
    uint64_t shmall_pages;       /* all segments together: kernel.shmall */
    uint64_t shmmni;             /* number of segments: kernel.shmmni */
    uint64_t shm_used;           /* segments that exist now */
    uint64_t shm_used_pages;     /* pages that they count for */
    uint64_t shm_resident_pages; /* of these, pages in memory now */
    uint64_t shm_swapped_pages;  /* of these, pages in swap now */
    uint64_t semmsl;             /* semaphores in one set: kernel.sem, 1st number */
    uint64_t semmns;             /* semaphores in all sets: kernel.sem, 2nd number */
    uint64_t semopm;             /* operations in one semop(2): kernel.sem, 3rd number */
    uint64_t semmni;             /* number of sets: kernel.sem, 4th number */
    uint64_t semset_used;        /* sets that exist now */
    uint64_t sem_used;           /* semaphores that exist now */
    uint64_t semvmx;             /* largest value of a semaphore: 32,767 */
    int32_t shm_rmid_forced; /* kernel.shm_rmid_forced: 1 destroys a segment at its last detach */
    uint32_t reserved;       /* 0 */
    uint64_t ipc_namespace;  /* inode of the calling thread's IPC namespace; 0: not known */
};

/* In C++ a function may hide a struct of its name; the struct is then called struct, as in C. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

/*
 * weir_limits() - read the limits and their use
 *
 * limits: limits->size says how much the caller knows of the struct; only that
 *     much is written.
 *
 * What the kernel does not tell (a filter of system calls, no /proc) is 0: so shm_rmid_forced 0 is no, or not
 * known.
 *
 * Returns: 0; -EINVAL (limits->size is below the first release's struct).
 * Blocking: never waits. Threads: any. Fork: no state. Signals: not safe.
 */
WEIR_EXPORT int weir_limits(struct weir_limits *limits);

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif
#endif
