/* SPDX-License-Identifier: MIT */
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/nsfs.h>

#include "base/atomics.h"
#include "base/error.h"

union semun_argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

/* The namespace is a thread's, not a process's: unshare(2) changes the caller alone. */
static uint64_t inode_of(const char *path)
{
    struct stat entry;
    return stat(path, &entry) == 0 ? entry.st_ino : 0;
}

uint64_t weir__ipc_namespace(void)
{
    return inode_of("/proc/thread-self/ns/ipc");
}

uint64_t weir__user_namespace(void)
{
    return inode_of("/proc/thread-self/ns/user");
}

/* The first user namespace has this inode on every kernel (PROC_USER_INIT_INO). */
#define FIRST_USER_NAMESPACE UINT32_C(0xeffffffd)

bool weir__sees_other_uids(uint64_t user_namespace)
{
    return user_namespace != FIRST_USER_NAMESPACE;
}

/* Root alone sets it, once and for all: it is kept, since each open asks. */
uint32_t weir__overflow_uid(void)
{
    static weir__atomic_u64 known; /* 1 + the number; 0: not read yet */
    /* Relaxed: a number alone, and each thread may read it for itself. */
    uint64_t kept = atomic_load_explicit(&known, memory_order_relaxed);
    uint32_t uid;
    if (kept != 0)
        return (uint32_t)(kept - 1);
    FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");
    bool is_read = file && fscanf(file, "%" SCNu32, &uid) == 1;
    if (file)
        fclose(file);
    if (!is_read)
        return 65534;
    /* Relaxed: as above. */
    atomic_store_explicit(&known, (uint64_t)uid + 1, memory_order_relaxed);
    return uid;
}

/* Whether the user namespace has all uids, as the first one has: 0 to 2^32 - 2. */
static bool has_all_uids(void)
{
    uint64_t sum = 0, count;
    FILE *map = fopen("/proc/thread-self/uid_map", "re");
    if (!map)
        return false;
    while (fscanf(map, "%*u %*u %" SCNu64, &count) == 1)
        sum += count;
    fclose(map);
    return sum == UINT32_MAX;
}

bool weir__uid_outside(uint32_t uid, uint32_t *outside)
{
    uint32_t first, lower, count;
    bool is_found = false;
    int saved_errno = errno;
    FILE *map = fopen("/proc/thread-self/uid_map", "re");
    while (map && !is_found &&
           fscanf(map, "%" SCNu32 " %" SCNu32 " %" SCNu32, &first, &lower, &count) == 3) {
        is_found = uid >= first && uid - first < count;
        *outside = lower + (uid - first);
    }
    if (map)
        fclose(map);
    errno = saved_errno;
    return is_found;
}

bool weir__uid_is_told(uint32_t uid)
{
    int saved_errno = errno;
    bool is_told = uid != weir__overflow_uid() || has_all_uids();
    errno = saved_errno;
    return is_told;
}

bool weir__ipc_is_of_user_namespace(void)
{
    struct stat here, owner;
    int saved_errno = errno;
    int ipc = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);
    int user = ipc >= 0 ? ioctl(ipc, NS_GET_USERNS) : -1;
    bool is_own = user >= 0 && fstat(user, &owner) == 0 &&
                  stat("/proc/thread-self/ns/user", &here) == 0 && owner.st_ino == here.st_ino &&
                  owner.st_dev == here.st_dev;
    if (user >= 0)
        close(user);
    if (ipc >= 0)
        close(ipc);
    errno = saved_errno;
    return is_own;
}

static void read_shm(struct weir_limits *limits)
{
    struct shminfo most;
    struct shm_info used;
    if (shmctl(0, IPC_INFO, (struct shmid_ds *)&most) >= 0) {
        limits->shmmax_bytes = most.shmmax;
        limits->shmall_pages = most.shmall;
        limits->shmmni = most.shmmni;
    }
    if (shmctl(0, SHM_INFO, (struct shmid_ds *)&used) >= 0) {
        limits->shm_used = (uint64_t)used.used_ids;
        limits->shm_used_pages = used.shm_tot;
        limits->shm_resident_pages = used.shm_rss;
        limits->shm_swapped_pages = used.shm_swp;
    }
}

static void read_sem(struct weir_limits *limits)
{
    struct seminfo most, used;
    if (semctl(0, 0, IPC_INFO, (union semun_argument){ .info = &most }) >= 0) {
        limits->semmsl = (uint64_t)most.semmsl;
        limits->semmns = (uint64_t)most.semmns;
        limits->semopm = (uint64_t)most.semopm;
        limits->semmni = (uint64_t)most.semmni;
        limits->semvmx = (uint64_t)most.semvmx;
    }
    /* SEM_INFO reuses two fields of struct seminfo, see semctl(2). */
    if (semctl(0, 0, SEM_INFO, (union semun_argument){ .info = &used }) >= 0) {
        limits->semset_used = (uint64_t)used.semusz;
        limits->sem_used = (uint64_t)used.semaem;
    }
}

static int32_t read_rmid_forced(void)
{
    char text[16] = "";
    int file = open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 && text[0] == '1';
}

void weir__limits_read(struct weir_limits *limits)
{
    int saved_errno = errno;
    memset(limits, 0, sizeof *limits);
    limits->size = sizeof *limits;
    limits->page_size_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    read_shm(limits);
    read_sem(limits);
    limits->shm_rmid_forced = read_rmid_forced();
    limits->ipc_namespace = weir__ipc_namespace();
    errno = saved_errno;
}

int weir_limits(struct weir_limits *limits)
{
    struct weir_limits all;
    uint32_t known = limits->size;
    if (known < sizeof all)
        return weir__fail(EINVAL, "weir_limits: size is %u: set it to sizeof(struct weir_limits)",
                          known);
    weir__limits_read(&all);
    memcpy(limits, &all, sizeof all);
    limits->size = known;
    return 0;
}
