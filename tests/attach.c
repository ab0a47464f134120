/* SPDX-License-Identifier: MIT */
/* shmat and shmdt for tests with threads: see attach.h. */
#include "attach.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomics.h"

bool attach_shares;
unsigned attach_shared;

enum { MAPPINGS_MAX = 64 };

static struct mapping {
    int id, users;
    bool is_read_only;
    void *memory;
} mappings[MAPPINGS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weir__atomic_u32 detaches;

/* With the lock held: who asks to write gets no mapping that only reads. */
static void *attach_shared_one(int id, const void *address, int flags)
{
    bool is_read_only = (flags & SHM_RDONLY) != 0;
    struct mapping *place = NULL;
    for (struct mapping *at = mappings; at < mappings + MAPPINGS_MAX; at++) {
        if (at->users > 0 && at->id == id && (is_read_only || !at->is_read_only)) {
            at->users++;
            attach_shared++;
            return at->memory;
        }
        if (at->users == 0)
            place = at;
    }
    if (!place)
        abort(); /* more at once than two sides have */
    void *memory = (void *)syscall(SYS_shmat, id, address, flags);
    if (memory != (void *)-1)
        *place = (struct mapping){ id, 1, is_read_only, memory };
    return memory;
}

void *shmat(int id, const void *address, int flags)
{
    void *memory;
    if (attach_shares) {
        pthread_mutex_lock(&lock);
        memory = attach_shared_one(id, address, flags);
        pthread_mutex_unlock(&lock);
    } else {
        memory = (void *)syscall(SYS_shmat, id, address, flags);
        /* Acquire: all that was done before the last one detached. */
        atomic_load_explicit(&detaches, memory_order_acquire);
    }
    return memory;
}

/* With the lock held: the last user detaches. -1: another one still uses it. */
static int count_down(const void *memory)
{
    for (struct mapping *at = mappings; at < mappings + MAPPINGS_MAX; at++) {
        if (at->users > 0 && at->memory == memory)
            return --at->users > 0 ? -1 : 0;
    }
    return 0; /* it was attached before attach_shares was set */
}

int shmdt(const void *memory)
{
    int result = 0;
    if (attach_shares) {
        pthread_mutex_lock(&lock);
        if (count_down(memory) == 0)
            result = (int)syscall(SYS_shmdt, memory);
        pthread_mutex_unlock(&lock);
        return result;
    }
    /* Release: all that was done with this memory, before whoever gets its address. */
    atomic_fetch_add_explicit(&detaches, 1, memory_order_release);
    return (int)syscall(SYS_shmdt, memory);
}
