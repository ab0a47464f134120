/* SPDX-License-Identifier: MIT */
/* Mutexes: weir's, the C library's of one process, its robust one between processes, System V's. */
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/sem.h>

#include <weir/identity.h>
#include <weir/mutex.h>
#include <weir/rwlock.h>

#include "sync.h"

#define READERS 16

struct memory {
    struct guarded guarded;
    union {
        _Alignas(128) struct weir_mutex weir;
        pthread_mutex_t posix;
        pthread_rwlock_t rwlock;
        int semset;
        unsigned char places[MEMORY_BYTES / 2];
    };
};

_Static_assert(sizeof(struct memory) <= MEMORY_BYTES, "memory");

#define MUTEX_USE(name, lock, unlock)                                                              \
    static void name(void *memory, unsigned number)                                                \
    {                                                                                              \
        struct memory *m = memory;                                                                 \
        (void)number;                                                                              \
        for (int i = 0; i < 64; i++) {                                                             \
            lock;                                                                                  \
            m->guarded.count++;                                                                    \
            unlock;                                                                                \
        }                                                                                          \
    }

static void make_weir(void *memory)
{
    memset(memory, 0, sizeof(struct memory));
}

/* So that the first use is as the others. */
static void enter_weir(void *memory)
{
    uint64_t identity;
    (void)memory;
    if (weir_identity(&identity) != 0)
        give_up("weir_identity");
}

MUTEX_USE(use_weir, weir_mutex_lock(&m->weir), weir_mutex_unlock(&m->weir))
const struct side mutex_weir = { "weir", make_weir, enter_weir, use_weir, NULL };

static void make_private(void *memory)
{
    struct memory *m = memory;
    pthread_mutex_init(&m->posix, NULL);
}

MUTEX_USE(use_posix, pthread_mutex_lock(&m->posix), pthread_mutex_unlock(&m->posix))
const struct side mutex_private = { "private", make_private, NULL, use_posix, NULL };

static void make_robust(void *memory)
{
    struct memory *m = memory;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m->posix, &attributes);
}

const struct side mutex_robust = { "robust", make_robust, NULL, use_posix, NULL };

static void make_semop(void *memory)
{
    struct memory *m = memory;
    struct sembuf post = { 0, 1, 0 };
    m->semset = semget(IPC_PRIVATE, 1, 0600);
    if (m->semset < 0 || semop(m->semset, &post, 1) != 0)
        give_up("semget");
}

static void end_semop(void *memory)
{
    semctl(((struct memory *)memory)->semset, 0, IPC_RMID);
}

/* With SEM_UNDO, so that a death gives it back: the nearest to a robust mutex that it has. */
static void change(int semset, short by)
{
    struct sembuf operation = { 0, by, SEM_UNDO };
    if (semop(semset, &operation, 1) != 0)
        give_up("semop");
}

MUTEX_USE(use_semop, change(m->semset, -1), change(m->semset, 1))
const struct side mutex_semop = { "semop", make_semop, NULL, use_semop, end_semop };

/* --- read-write locks: everybody reads ------------------------------------------------------ */

static struct weir_rwlock handle;

static void make_rwlock(void *memory)
{
    struct memory *m = memory;
    memset(memory, 0, sizeof *m);
    if (weir_rwlock_init(m->places, weir_rwlock_bytes(READERS), READERS) != 0)
        give_up("weir_rwlock_init");
}

static void enter_rwlock(void *memory)
{
    struct memory *m = memory;
    enter_weir(memory);
    if (weir_rwlock_open(&handle, m->places, weir_rwlock_bytes(READERS)) != 0)
        give_up("weir_rwlock_open");
}

static uint64_t sum;

#define READ_USE(name, lock, unlock)                                                               \
    static void name(void *memory, unsigned number)                                                \
    {                                                                                              \
        struct memory *m = memory;                                                                 \
        (void)number;                                                                              \
        for (int i = 0; i < 64; i++) {                                                             \
            lock;                                                                                  \
            sum += *(volatile uint64_t *)&m->guarded.count;                                        \
            unlock;                                                                                \
        }                                                                                          \
    }

READ_USE(use_rwlock, weir_rwlock_read_lock(&handle), weir_rwlock_read_unlock(&handle))
const struct side rwlock_weir = { "weir", make_rwlock, enter_rwlock, use_rwlock, NULL };

static void make_posix_rwlock(void *memory)
{
    struct memory *m = memory;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&m->rwlock, &attributes);
}

READ_USE(use_posix_rwlock, pthread_rwlock_rdlock(&m->rwlock), pthread_rwlock_unlock(&m->rwlock))
const struct side rwlock_posix = { "pthread", make_posix_rwlock, NULL, use_posix_rwlock, NULL };
