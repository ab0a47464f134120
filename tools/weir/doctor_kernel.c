/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/membarrier.h>

/* Calls and values that the C library's headers may be too old for; the same on all machines. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void check_version(struct doctor *doctor)
{
    struct utsname system;
    unsigned major = 0, minor = 0;
    uname(&system);
    sscanf(system.release, "%u.%u", &major, &minor);
    if (major < 5 || (major == 5 && minor < 4))
        doctor_tell(doctor, DOCTOR_PROBLEM, "kernel", "sudo apt full-upgrade    (and restart)",
                    "Linux %s: weir needs 5.4", system.release);
    else
        doctor_tell(doctor, DOCTOR_OK, "kernel", NULL, "Linux %s; weir needs 5.4", system.release);
}

/* A missing or forbidden call: note, with what weir does without it. */
static void tell_missing(struct doctor *doctor, const char *name, int error, const char *since,
                         const char *without)
{
    if (error == EPERM || error == EACCES)
        doctor_tell(doctor, DOCTOR_NOTE, name, NULL,
                    "a filter forbids it (seccomp, as containers have it): %s", without);
    else
        doctor_tell(doctor, DOCTOR_NOTE, name, NULL, "not here (it came with Linux %s, %s): %s",
                    since, strerror(error), without);
}

/* So often at most what goes meanwhile is looked at. */
enum { LOOKS = 5 };

/* One look. False: errno says why not, unless the last segment went meanwhile. */
static bool is_answered(void)
{
    struct shm_info info;
    struct shmid_ds segment;
    int highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&info);
    /* Without any segment every index is EINVAL, as on a kernel that does not have the call. */
    bool answered = highest >= 0 && info.used_ids == 0;
    for (int index = 0; index <= highest && !answered; index++)
        answered = shmctl(index, SHM_STAT_ANY, &segment) >= 0;
    return answered;
}

static void check_stat_any(struct doctor *doctor)
{
    bool answered = is_answered();
    for (int look = 1; look < LOOKS && !answered; look++)
        answered = is_answered();
    if (answered)
        doctor_tell(doctor, DOCTOR_OK, "SHM_STAT_ANY", NULL,
                    "others' segments can be asked for without attaching them");
    else
        doctor_tell(doctor, DOCTOR_PROBLEM, "SHM_STAT_ANY", NULL,
                    "segments cannot be asked for (%s): a filter forbids it, or the kernel is "
                    "older than 4.17",
                    strerror(errno));
}

/* Without it sets are asked for by IPC_STAT and SEM_STAT. */
static void check_sem_stat_any(struct doctor *doctor)
{
    union {
        struct seminfo *info;
        struct semid_ds *status;
    } argument;
    struct seminfo info = { 0 };
    struct semid_ds set;
    argument.info = &info;
    int highest = semctl(0, 0, SEM_INFO, argument);
    /* As for segments; semusz: how many sets there are. */
    bool answered = highest >= 0 && info.semusz == 0;
    argument.status = &set;
    for (int index = 0; index <= highest && !answered; index++)
        answered = semctl(index, 0, SEM_STAT_ANY, argument) >= 0;
    if (answered)
        doctor_tell(doctor, DOCTOR_OK, "SEM_STAT_ANY", NULL,
                    "others' semaphore sets can be asked for without a right to them");
    else
        tell_missing(doctor, "SEM_STAT_ANY", errno, "4.17",
                     "semaphore sets that you may not read are neither listed nor opened");
}

static void check_membarrier(struct doctor *doctor)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    long wanted = MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED;
    if (commands >= 0 && (commands & wanted) == wanted)
        doctor_tell(doctor, DOCTOR_OK, "membarrier", NULL,
                    "senders need no fence (MEMBARRIER_CMD_GLOBAL_EXPEDITED)");
    else
        tell_missing(doctor, "membarrier", commands < 0 ? errno : ENOSYS, "4.16",
                     "each message pays for a fence");
}

static void check_waits(struct doctor *doctor)
{
    /* No futex at all is an error that only a kernel with the call can find. */
    if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno != EINVAL)
        tell_missing(doctor, "futex_waitv", errno, "5.16", "waits for several take turns");
    else
        doctor_tell(doctor, DOCTOR_OK, "futex_waitv", NULL, "one wait can be for several");

    char disabled[16] = "0";
    doctor_read_file("/proc/sys/kernel/io_uring_disabled", disabled, sizeof disabled);
    /* A NULL pointer comes to be looked at only where the call is allowed: EFAULT. */
    if (syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno != EFAULT)
        doctor_tell(doctor, DOCTOR_NOTE, "io_uring",
                    *disabled != '0' ? "sudo sysctl -w kernel.io_uring_disabled=0" : NULL,
                    "not here or not allowed (%s, kernel.io_uring_disabled=%s): a thread serves "
                    "descriptors for event loops instead",
                    strerror(errno), disabled);
    else
        doctor_tell(doctor, DOCTOR_OK, "io_uring", NULL,
                    "allowed: event loops get their descriptors from it");

    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0) {
        tell_missing(doctor, "pidfd_open", errno, "5.3", "a death is noticed a little later");
    } else {
        close(pidfd);
        doctor_tell(doctor, DOCTOR_OK, "pidfd_open", NULL, "a death is noticed at once");
    }
}

static void check_populate(struct doctor *doctor)
{
    size_t length = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, length, MADV_POPULATE_WRITE) != 0)
        tell_missing(doctor, "MADV_POPULATE", errno, "5.14", "prefaulting touches page by page");
    else
        doctor_tell(doctor, DOCTOR_OK, "MADV_POPULATE", NULL, "prefaulting is one call");
    munmap(page, length);
}

void doctor_check_kernel(struct doctor *doctor)
{
    check_version(doctor);
    check_stat_any(doctor);
    check_sem_stat_any(doctor);
    check_membarrier(doctor);
    check_waits(doctor);
    check_populate(doctor);
}
