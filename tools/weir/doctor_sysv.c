/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/collect.h>
#include <weir/error.h>
#include <weir/inspect.h>
#include <weir/limits.h>

#include "size.h"

/* Below, a limit is one of a kernel that was configured long ago, and programs of today meet it. */
#define SHMMAX_LOW_BYTES (UINT64_C(256) << 20)

/* Above, it stands for none: no address space is as large. */
#define NO_LIMIT_BYTES (UINT64_C(1) << 57)

/* The inode number of the IPC namespace that the machine starts with (PROC_IPC_INIT_INO). */
#define FIRST_IPC_NAMESPACE UINT64_C(0xefffffff)

/* The most identifiers that a kernel has without the boot option ipcmni_extend. */
#define IPCMNI 32768u

static unsigned doubled(uint64_t limit)
{
    return limit * 2 > IPCMNI ? IPCMNI : (unsigned)limit * 2;
}

/* A limit and its use: nine tenths are a warning, all of it is a problem. */
static void tell_use(struct doctor *doctor, const char *name, uint64_t used, uint64_t limit,
                     const char *what, const char *cure)
{
    uint64_t percent = limit ? (uint64_t)((double)used * 100 / (double)limit) : 100;
    if (used >= limit)
        doctor_tell(doctor, DOCTOR_PROBLEM, name, cure,
                    "all %" PRIu64 " %s are in use: nobody can make another", limit, what);
    else if ((double)used > (double)limit * 0.9)
        doctor_tell(doctor, DOCTOR_WARNING, name, cure, "%" PRIu64 " of %" PRIu64 " %s are in use",
                    used, limit, what);
    else
        doctor_tell(doctor, DOCTOR_OK, name, NULL,
                    "%" PRIu64 " of %" PRIu64 " %s are in use (%" PRIu64 " %%)", used, limit, what,
                    percent);
}

static void check_shm(struct doctor *doctor, const struct weir_limits *limits)
{
    char cure[160];
    char *largest = size_format(limits->shmmax_bytes);
    if (limits->shmmax_bytes < SHMMAX_LOW_BYTES)
        doctor_tell(doctor, DOCTOR_WARNING, "SHMMAX",
                    "sudo sysctl -w kernel.shmmax=18446744073692774399",
                    "a segment may have %s and no more (kernel.shmmax=%" PRIu64 ")", largest,
                    limits->shmmax_bytes);
    else if (limits->shmmax_bytes >= NO_LIMIT_BYTES)
        doctor_tell(doctor, DOCTOR_OK, "SHMMAX", NULL,
                    "a segment may be as large as memory allows");
    else
        doctor_tell(doctor, DOCTOR_OK, "SHMMAX", NULL, "a segment may have up to %s", largest);
    free(largest);

    uint64_t page = limits->page_size_bytes;
    char *used = size_format(limits->shm_used_pages * page);
    char *resident = size_format(limits->shm_resident_pages * page);
    if (limits->shmall_pages > UINT64_MAX / page / 2) {
        doctor_tell(doctor, DOCTOR_OK, "SHMALL", NULL,
                    "all segments together have %s, of which %s are in memory; there is no limit",
                    used, resident);
    } else {
        snprintf(cure, sizeof cure, "sudo sysctl -w kernel.shmall=18446744073692774399");
        tell_use(doctor, "SHMALL", limits->shm_used_pages, limits->shmall_pages,
                 "pages of all segments together", cure);
    }
    free(used);
    free(resident);
    if (limits->shmmni < IPCMNI)
        snprintf(cure, sizeof cure, "weir gc --yes; weir list -m; sudo sysctl -w kernel.shmmni=%u",
                 doubled(limits->shmmni));
    else
        snprintf(cure, sizeof cure, "weir gc --yes; weir list -m; weir rm id:N");
    tell_use(doctor, "SHMMNI", limits->shm_used, limits->shmmni, "segments", cure);
}

static void check_sem(struct doctor *doctor, const struct weir_limits *limits)
{
    char cure[160];
    if (limits->semmni < IPCMNI)
        snprintf(cure, sizeof cure,
                 "weir list -s; sudo sysctl -w kernel.sem='%" PRIu64 " %" PRIu64 " %" PRIu64 " %u'",
                 limits->semmsl, limits->semmns, limits->semopm, doubled(limits->semmni));
    else
        snprintf(cure, sizeof cure, "weir gc --yes; weir list -s; weir rm sem:N");
    tell_use(doctor, "SEMMNI", limits->semset_used, limits->semmni, "semaphore sets", cure);
    snprintf(cure, sizeof cure,
             "weir list -s; sudo sysctl -w kernel.sem='%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
             "'",
             limits->semmsl, limits->semmns * 2, limits->semopm, limits->semmni);
    tell_use(doctor, "SEMMNS", limits->sem_used, limits->semmns, "semaphores of all sets together",
             cure);
    doctor_tell(doctor, DOCTOR_OK, "SEMMSL", NULL,
                "a set may have %" PRIu64 " semaphores, a semop %" PRIu64
                " operations, a semaphore the value %" PRIu64,
                limits->semmsl, limits->semopm, limits->semvmx);
}

static void check_namespace(struct doctor *doctor, const struct weir_limits *limits)
{
    if (limits->ipc_namespace == 0)
        doctor_tell(doctor, DOCTOR_PROBLEM, "IPC namespace", "sudo mount -t proc proc /proc",
                    "/proc is not there: weir cannot tell IPC namespaces apart, and has no names");
    else if (limits->ipc_namespace == FIRST_IPC_NAMESPACE)
        doctor_tell(doctor, DOCTOR_OK, "IPC namespace", NULL,
                    "the machine's own: every process outside of containers is reached");
    else
        doctor_tell(doctor, DOCTOR_NOTE, "IPC namespace", NULL,
                    "%" PRIu64 ", not the machine's first one: it is a container's, and processes "
                    "outside of it share nothing with it (docker run --ipc=host, or "
                    "--ipc=container:NAME, joins another)",
                    limits->ipc_namespace);
}

struct orphans {
    uint64_t count, size_bytes;
};

static int visit(const struct weir_object *object, void *argument)
{
    struct orphans *orphans = argument;
    if (object->state == WEIR_STATE_ORPHAN) {
        orphans->count++;
        orphans->size_bytes += object->size_bytes;
    }
    return 0;
}

static void check_leftovers(struct doctor *doctor)
{
    struct orphans orphans = { 0, 0 };
    int collectable = weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL);
    if (collectable < 0)
        doctor_tell(doctor, DOCTOR_WARNING, "leftovers", NULL, "they cannot be looked for: %s",
                    weir_last_error());
    else if (collectable > 0)
        doctor_tell(doctor, DOCTOR_NOTE, "leftovers", "weir gc --yes",
                    "killed processes of weir left %d behind; the next program that creates "
                    "something with weir takes them away",
                    collectable);
    else
        doctor_tell(doctor, DOCTOR_OK, "leftovers", NULL, "weir left nothing behind");
    if (weir_inspect(WEIR_OBJECT_SEGMENT | WEIR_OBJECT_SEMSET, visit, &orphans) < 0)
        return;
    char *size = size_format(orphans.size_bytes);
    if (orphans.count > 0)
        doctor_tell(doctor, DOCTOR_NOTE, "orphans", "weir list -ms; weir rm id:N",
                    "nobody uses %" PRIu64 " of the segments and sets (%s in all), and their "
                    "creators are dead",
                    orphans.count, size);
    else
        doctor_tell(doctor, DOCTOR_OK, "orphans", NULL,
                    "no segment lies about whose creator is dead");
    free(size);
}

void doctor_check_sysv(struct doctor *doctor)
{
    struct weir_limits limits = { .size = sizeof limits };
    if (weir_limits(&limits) < 0 || limits.shmmni == 0) {
        doctor_tell(doctor, DOCTOR_PROBLEM, "System V", NULL,
                    "this kernel has no System V IPC (CONFIG_SYSVIPC), or a filter forbids it: "
                    "weir cannot work here");
        return;
    }
    check_shm(doctor, &limits);
    check_sem(doctor, &limits);
    if (limits.shm_rmid_forced)
        doctor_tell(doctor, DOCTOR_WARNING, "shm_rmid_forced",
                    "sudo sysctl -w kernel.shm_rmid_forced=0",
                    "every segment is destroyed at its last detach, persistent ones too: 'weir "
                    "create' has no lasting effect");
    else
        doctor_tell(doctor, DOCTOR_OK, "shm_rmid_forced", NULL,
                    "persistent segments stay when nobody is attached");
    check_namespace(doctor, &limits);
    check_leftovers(doctor);
}
