/* SPDX-License-Identifier: MIT */
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

union semun_argument {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    struct seminfo *info;
};

uint64_t weir__ipc_namespace(void)
{
    struct stat entry;
    /* The namespace is a thread's, not a process's: unshare(2) changes the caller alone. */
    if (stat("/proc/thread-self/ns/ipc", &entry) != 0)
        return 0;
    return entry.st_ino;
}

/* The first user namespace has this inode on every kernel (PROC_USER_INIT_INO). */
#define FIRST_USER_NAMESPACE UINT32_C(0xeffffffd)

uint64_t weir__user_namespace(void)
{
    struct stat entry;
    return stat("/proc/thread-self/ns/user", &entry) == 0 ? entry.st_ino : 0;
}

bool weir__sees_other_uids(uint64_t user_namespace)
{
    return user_namespace != FIRST_USER_NAMESPACE;
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
