/* SPDX-License-Identifier: MIT */
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* Linux 6.9, 6.11: headers before these do not have them. */
#define PIDFD_OF_A_THREAD ((unsigned)O_EXCL)
#define PIDFD_IPC_NAMESPACE _IO(0xff, 2)
#define PIDFD_USER_NAMESPACE _IO(0xff, 9)
#define NO_PIDFD 0

/*
 * What opens, reads and closes here is no place to be cancelled at: a channel's call asks in the
 * middle of its work.
 */
static int disable_cancelling(void)
{
    int cancelling;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelling);
    return cancelling;
}

static void restore_cancelling(int cancelling)
{
    pthread_setcancelstate(cancelling, NULL);
}

/* What is so in this moment, and may be otherwise in the next. */
static bool is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* Of a question that was not answered. */
static int no_answer(int error)
{
    return is_passing(error) ? -error : -ENOSYS;
}

/* "user:[4026531837]" */
static uint64_t inode_in(const char *text)
{
    uint64_t inode;
    return sscanf(text, "%*[a-z]:[%" SCNu64 "]", &inode) == 1 ? inode : 0;
}

/* A namespace of the calling thread, by the kernel's word without /proc; -1 and errno. */
static int namespace_fd(unsigned long which)
{
    int self = (int)syscall(SYS_pidfd_open, (pid_t)syscall(SYS_gettid), PIDFD_OF_A_THREAD);
    int fd = self >= 0 ? ioctl(self, which, 0) : -1; /* EINVAL with another argument */
    int error = errno;
    if (self >= 0)
        close(self);
    errno = error;
    return fd;
}

/*
 * The namespace is a thread's, not a process's: unshare(2) changes the caller alone. It is asked for
 * anew each time: in a directory that hides /proc (chroot) a process may be after it has changed its
 * namespace, and by setns(2) it can change it there; so a former answer is none.
 *
 *   asked                | tells, unless                             | takes a descriptor
 *   ---------------------+-------------------------------------------+-------------------
 *   stat of the link     | there is no /proc, or a filter forbids it | no
 *   text of the link     | there is no /proc, or a filter forbids it | no
 *   pidfd of the thread  | on Linux before 6.11, or behind a filter  | yes
 */
static int namespace_inode(const char *path, unsigned long which, uint64_t *inode)
{
    struct stat entry;
    char text[64];
    if (stat(path, &entry) == 0) {
        *inode = entry.st_ino;
        return 0;
    }
    ssize_t length = readlink(path, text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    *inode = inode_in(text);
    if (*inode != 0)
        return 0;
    if (which == NO_PIDFD)
        return -ENOSYS;
    int cancelling = disable_cancelling();
    int fd = namespace_fd(which);
    int result = fd >= 0 && fstat(fd, &entry) == 0 ? 0 : no_answer(errno);
    if (fd >= 0)
        close(fd);
    restore_cancelling(cancelling);
    *inode = result == 0 ? entry.st_ino : 0;
    return result;
}

uint64_t weir__ipc_namespace(void)
{
    uint64_t inode;
    /* Names are looked for where /proc is, too: without it there are none, see weir__rundir_enter(). */
    namespace_inode("/proc/thread-self/ns/ipc", NO_PIDFD, &inode);
    return inode;
}

int weir__user_namespace_ask(uint64_t *inode)
{
    int saved_errno = errno;
    int result = namespace_inode("/proc/thread-self/ns/user", PIDFD_USER_NAMESPACE, inode);
    errno = saved_errno;
    return result;
}

uint64_t weir__user_namespace(void)
{
    uint64_t inode;
    weir__user_namespace_ask(&inode);
    return inode;
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
    int cancelling = disable_cancelling();
    FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");
    bool is_read = file && fscanf(file, "%" SCNu32, &uid) == 1;
    if (file)
        fclose(file);
    restore_cancelling(cancelling);
    if (!is_read)
        return 65534;
    /* Relaxed: as above. */
    atomic_store_explicit(&known, (uint64_t)uid + 1, memory_order_relaxed);
    return uid;
}

/* Whether the user namespace has all uids, as the first one has: 0 to 2^32 - 2. */
static int has_all_uids(void)
{
    uint64_t inode, sum = 0, count;
    /* The common case, which takes no descriptor, nor /proc where the kernel tells by itself. */
    if (weir__user_namespace_ask(&inode) == 0 && inode == FIRST_USER_NAMESPACE)
        return 1;
    FILE *map = fopen("/proc/thread-self/uid_map", "re");
    if (!map)
        return no_answer(errno);
    while (fscanf(map, "%*u %*u %" SCNu64, &count) == 1)
        sum += count;
    bool is_whole = !ferror(map);
    int error = errno;
    fclose(map);
    return sum == UINT32_MAX ? 1 : is_whole ? 0 : no_answer(error);
}

bool weir__uid_outside(uint32_t uid, uint32_t *outside)
{
    uint32_t first, lower, count;
    bool is_found = false;
    int saved_errno = errno, cancelling = disable_cancelling();
    FILE *map = fopen("/proc/thread-self/uid_map", "re");
    while (map && !is_found &&
           fscanf(map, "%" SCNu32 " %" SCNu32 " %" SCNu32, &first, &lower, &count) == 3) {
        is_found = uid >= first && uid - first < count;
        *outside = lower + (uid - first);
    }
    if (map)
        fclose(map);
    restore_cancelling(cancelling);
    errno = saved_errno;
    return is_found;
}

int weir__uid_ask(uint32_t uid)
{
    int saved_errno = errno;
    if (uid != weir__overflow_uid())
        return 1;
    int cancelling = disable_cancelling();
    int result = has_all_uids();
    restore_cancelling(cancelling);
    errno = saved_errno;
    return result;
}

bool weir__uid_is_told(uint32_t uid)
{
    return weir__uid_ask(uid) > 0;
}

/* The calling thread's IPC namespace, for the next question; -1 and errno. */
static int open_ipc_namespace(void)
{
    int fd = open("/proc/thread-self/ns/ipc", O_RDONLY | O_CLOEXEC);
    return fd >= 0 || is_passing(errno) ? fd : namespace_fd(PIDFD_IPC_NAMESPACE);
}

/* Whether it is that user namespace's. As weir__uid_ask(). */
static int is_owned_by(int ipc, uint64_t user_namespace)
{
    struct stat owner;
    int user = ioctl(ipc, NS_GET_USERNS);
    /* Of one that is not below the caller's; unless it is a filter that forbids to ask. */
    bool is_above = user < 0 && errno == EPERM && ioctl(ipc, NS_GET_NSTYPE) >= 0;
    int result = is_above                                ? 0
                 : user >= 0 && fstat(user, &owner) == 0 ? owner.st_ino == user_namespace
                                                         : no_answer(errno);
    if (user >= 0)
        close(user);
    return result;
}

int weir__ipc_is_of_user_namespace(void)
{
    uint64_t here;
    int saved_errno = errno, cancelling = disable_cancelling();
    int result = weir__user_namespace_ask(&here);
    int ipc = result == 0 ? open_ipc_namespace() : -1;
    if (result == 0 && ipc < 0)
        result = no_answer(errno);
    if (result == 0)
        result = is_owned_by(ipc, here);
    if (ipc >= 0)
        close(ipc);
    restore_cancelling(cancelling);
    errno = saved_errno;
    return result;
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
    int cancelling = disable_cancelling();
    int file = open("/proc/sys/kernel/shm_rmid_forced", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    if (file >= 0)
        close(file);
    restore_cancelling(cancelling);
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
