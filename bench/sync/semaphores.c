/* SPDX-License-Identifier: MIT */
/* Semaphores: weir's, sem_t, System V's. By one process, and passed between two. */
#include <semaphore.h>
#include <stddef.h>
#include <string.h>
#include <sys/sem.h>

#include <weir/clock.h>
#include <weir/semaphore.h>

#include "sync.h"

/* Two, so that two processes can call each other; the first serves who is alone. */
struct memory {
    struct guarded guarded;
    struct {
        _Alignas(128) union {
            struct weir_semaphore weir;
            sem_t posix;
        };
    } of[2];
    _Alignas(128) int semset;
};

/* What there is to do between two calls: longer than a waiter looks at first, shorter than a wake-up. */
#define WORK_NS INT64_C(4000)

static inline void work(int64_t work_ns)
{
    int64_t end_ns = work_ns == 0 ? 0 : weir_now_ns() + work_ns;
    while (end_ns != 0 && weir_now_ns() < end_ns)
        ;
}

#define USE(kind, post, wait)                                                                      \
    static void alone_##kind(void *memory, unsigned number)                                        \
    {                                                                                              \
        struct memory *m = memory;                                                                 \
        (void)number;                                                                              \
        for (int i = 0; i < 64; i++) {                                                             \
            post(m, 0);                                                                            \
            wait(m, 0);                                                                            \
        }                                                                                          \
    }                                                                                              \
    static inline void call_each_other_##kind(void *memory, unsigned number, int64_t work_ns)      \
    {                                                                                              \
        struct memory *m = memory;                                                                 \
        for (int i = 0; i < 64; i++) {                                                             \
            if (number == 1)                                                                       \
                wait(m, 0);                                                                        \
            work(work_ns);                                                                         \
            post(m, (int)number);                                                                  \
            if (number == 0)                                                                       \
                wait(m, 1);                                                                        \
        }                                                                                          \
    }                                                                                              \
    static void pair_use_##kind(void *memory, unsigned number)                                     \
    {                                                                                              \
        call_each_other_##kind(memory, number, 0);                                                 \
    }                                                                                              \
    static void work_use_##kind(void *memory, unsigned number)                                     \
    {                                                                                              \
        call_each_other_##kind(memory, number, WORK_NS);                                           \
    }

static void make_weir(void *memory)
{
    memset(memory, 0, sizeof(struct memory));
}

static void post_weir(struct memory *m, int which)
{
    weir_semaphore_post(&m->of[which].weir);
}

static void wait_weir(struct memory *m, int which)
{
    if (weir_semaphore_wait(&m->of[which].weir) != 0)
        give_up("weir_semaphore_wait");
}

USE(weir, post_weir, wait_weir)
const struct side semaphore_weir = { "weir", make_weir, NULL, alone_weir, NULL };
const struct side pair_weir = { "weir", make_weir, NULL, pair_use_weir, NULL };
const struct side work_weir = { "weir", make_weir, NULL, work_use_weir, NULL };

static void make_posix(void *memory)
{
    struct memory *m = memory;
    for (int i = 0; i < 2; i++)
        sem_init(&m->of[i].posix, 1, 0);
}

static void post_posix(struct memory *m, int which)
{
    sem_post(&m->of[which].posix);
}

static void wait_posix(struct memory *m, int which)
{
    if (sem_wait(&m->of[which].posix) != 0)
        give_up("sem_wait");
}

USE(posix, post_posix, wait_posix)
const struct side semaphore_posix = { "sem_t", make_posix, NULL, alone_posix, NULL };
const struct side pair_posix = { "sem_t", make_posix, NULL, pair_use_posix, NULL };
const struct side work_posix = { "sem_t", make_posix, NULL, work_use_posix, NULL };

static void make_semop(void *memory)
{
    struct memory *m = memory;
    m->semset = semget(IPC_PRIVATE, 2, 0600);
    if (m->semset < 0)
        give_up("semget");
}

static void end_semop(void *memory)
{
    semctl(((struct memory *)memory)->semset, 0, IPC_RMID);
}

static void change(int semset, int which, short by)
{
    struct sembuf operation = { (unsigned short)which, by, 0 };
    if (semop(semset, &operation, 1) != 0)
        give_up("semop");
}

static void post_semop(struct memory *m, int which)
{
    change(m->semset, which, 1);
}

static void wait_semop(struct memory *m, int which)
{
    change(m->semset, which, -1);
}

USE(semop, post_semop, wait_semop)
const struct side semaphore_semop = { "semop", make_semop, NULL, alone_semop, end_semop };
const struct side pair_semop = { "semop", make_semop, NULL, pair_use_semop, end_semop };
const struct side work_semop = { "semop", make_semop, NULL, work_use_semop, end_semop };
