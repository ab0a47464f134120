/* SPDX-License-Identifier: MIT */
/* Read-write locks: handles, and the side of the readers. */
#include "sync/rwlock.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/geometry.h"
#include "sync/rwlock_count.h"
#include "sync/sleep.h"

/* Inside this file: go on, it has changed; or it has not. */
#define AGAIN WEIR__NOT_YET

static const struct weir__geometry kind = {
    .name = WEIR__GEOMETRY_RWLOCK,
    .count_max = WEIR_RWLOCK_READERS_MAX,
    .noun = "read-write lock",
    .places = "readers",
    .head_bytes = sizeof(struct weir__rwlock_shm),
    .place_bytes = sizeof(struct weir__rwlock_place),
};

int weir__rwlock_closed(void)
{
    return weir__fail_plain(EINVAL, "no handle of a read-write lock: see weir_rwlock_open()");
}

int weir__rwlock_lost(void)
{
    return weir__fail_plain(ENOTRECOVERABLE,
                            "the read-write lock was given up: a writer died, and the next one "
                            "unlocked it without weir_rwlock_consistent()");
}

uint64_t weir_rwlock_bytes(uint32_t readers)
{
    return weir__geometry_bytes(&kind, readers);
}

int weir_rwlock_init(void *memory, uint64_t bytes, uint32_t readers)
{
    return weir__geometry_init(&kind, memory, bytes, readers);
}

int weir_rwlock_open(struct weir_rwlock *lock, void *memory, uint64_t bytes)
{
    uint32_t readers;
    if (!lock)
        return weir__rwlock_closed();
    int result = weir__geometry_open(&kind, memory, bytes, &readers);
    if (result != 0)
        return result;
    memset(lock, 0, sizeof *lock);
    weir__rwlock_handle(lock)->shm = memory;
    weir__rwlock_handle(lock)->readers = readers;
    return 0;
}

/* --- writers in the way --------------------------------------------------------------------- */

static inline uint64_t load_writer(struct weir__rwlock_shm *shm)
{
    /* Sequentially consistent [rwlock.writer]: our count, then this look; and what the last one wrote,
     * its state included. Pairs with weir_rwlock_write_lock_until(), weir__rwlock_release(). */
    return atomic_load(&weir__rwlock_writer(shm)->owned.word);
}

static inline uint32_t load_state(const struct weir__rwlock_shm *shm)
{
    /* Relaxed [rwlock.state]: load_writer() was the acquire. Pairs with store_state(). */
    return atomic_load_explicit(&shm->state, memory_order_relaxed);
}

static int judge_state(uint32_t state)
{
    if (state & WEIR__RWLOCK_LOST)
        return weir__rwlock_lost();
    return weir__fail_plain(EOWNERDEAD, "the last writer died in its writing: take the lock for "
                                        "writing, repair, and say weir_rwlock_consistent()");
}

/* We have counted. 0: we read; AGAIN: somebody writes, or waits to; or an error. */
static int look(struct weir__rwlock_shm *shm)
{
    if (weir__owner(load_writer(shm)) != WEIR_IDENTITY_NOBODY)
        return AGAIN;
    uint32_t state = load_state(shm);
    return state == 0 ? 0 : judge_state(state);
}

/* The same, without a sentence. */
static inline bool may_read(struct weir__rwlock_shm *shm)
{
    return weir__owner(load_writer(shm)) == WEIR_IDENTITY_NOBODY && load_state(shm) == 0;
}

void weir__rwlock_release(struct weir__rwlock_shm *shm)
{
    /* Its release is [rwlock.writer], and orders what was written. Pairs with load_writer(). */
    weir_mutex_unlock(&shm->writer);
    /* CRASH rwlock.unreleased */
    weir__event_notify_all(&shm->released);
}

/*
 * A writer is in the way: asks the kernel for it. AGAIN: it lives, or is there no more; 0: it was
 * dead and is out of the way; or an error.
 */
static int settle(struct weir__rwlock_shm *shm, uint64_t self)
{
    uint64_t word = load_writer(shm);
    if (weir__owner(word) == WEIR_IDENTITY_NOBODY || weir__owner(word) == self ||
        !weir__owned_is_dead(&weir__rwlock_writer(shm)->owned, word))
        return AGAIN;
    /* Acquire: before the writer is read again; else that may be the dead one still, and this the word of one that
     * has taken over since. */
    uint32_t state = atomic_load_explicit(&shm->state, memory_order_acquire);
    if (weir__owner(load_writer(shm)) != weir__owner(word))
        return AGAIN; /* another one has taken over, and perhaps repairs */
    if (state != 0)
        return judge_state(state);
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = weir_mutex_try_lock(&shm->writer);
    weir__error_restore(&saved);
    if (result < 0)
        return AGAIN;
    if (result == WEIR_OWNER_DIED)
        weir_mutex_consistent(&shm->writer);
    /* As any writer's that has not begun: [rwlock.state] is as it was. */
    weir__rwlock_release(shm);
    return 0;
}

struct reader {
    struct weir__rwlock_shm *shm;
    uint64_t self;
};

static int look_for_writer(void *reader)
{
    const struct reader *our = reader;
    return weir__owner(load_writer(our->shm)) == WEIR_IDENTITY_NOBODY ? 0 : AGAIN;
}

static int ask_for_writer(void *reader)
{
    const struct reader *our = reader;
    int result = look_for_writer(reader);
    return result == AGAIN ? settle(our->shm, our->self) : result;
}

static int is_too_late(int64_t deadline_ns)
{
    return deadline_ns == 0 ? weir__fail_plain(EAGAIN, "somebody writes, or waits to")
                            : weir__fail_plain(ETIMEDOUT, "somebody wrote, or waited to, until "
                                                          "the deadline");
}

/* 0: nobody holds writer any more; or an error. */
static int wait_for_writer(struct weir__rwlock_shm *shm, uint64_t self, int64_t deadline_ns)
{
    static const struct weir__await how = { look_for_writer, look_for_writer, ask_for_writer,
                                            .ends_by_signal = false };
    struct reader our = { shm, self };
    int result = weir__await(&how, &our, &shm->released, deadline_ns);
    return result == AGAIN ? is_too_late(deadline_ns) : result;
}

/* --- the public calls of readers ------------------------------------------------------------ */

/* No place is left to count in. AGAIN: somebody writes, or waits to, so that no place says who reads. */
static int judge_full(const struct weir__rwlock *handle)
{
    if (weir__owner(load_writer(handle->shm)) != WEIR_IDENTITY_NOBODY)
        return AGAIN;
    /* Once given up is for ever: the one state that can be told without having counted. */
    if (load_state(handle->shm) & WEIR__RWLOCK_LOST)
        return weir__rwlock_lost();
    return weir__rwlock_full(handle);
}

/* As look(). */
static int count_and_look(struct weir__rwlock *handle, uint64_t self)
{
    uint32_t place;
    int result = weir__rwlock_count(handle, self, &place);
    if (result == -ENOSPC)
        return judge_full(handle);
    if (result != 0)
        return result;
    /* CRASH rwlock.counted */
    result = look(handle->shm);
    if (result != 0)
        weir__rwlock_uncount(handle, self, place);
    return result;
}

static __attribute__((noinline)) int read_lock_slowly(struct weir__rwlock *handle,
                                                      int64_t deadline_ns)
{
    uint64_t self;
    bool is_last = false; /* it was free at the deadline: one more try, not one each time */
    int result = weir__owner_self(&self);
    if (result == 0 && weir__rwlock_is_ours(handle->shm))
        return weir__fail_plain(EDEADLK, "this thread writes: it would wait for itself; see "
                                         "weir_rwlock_downgrade()");
    while (result == 0) {
        result = count_and_look(handle, self);
        if (result != AGAIN)
            break;
        if (is_last)
            return is_too_late(deadline_ns);
        result = wait_for_writer(handle->shm, self, deadline_ns);
        is_last = weir__is_over(deadline_ns);
    }
    return result;
}

static inline int read_lock(struct weir_rwlock *lock, int64_t deadline_ns)
{
    if (__builtin_expect(weir__rwlock_is_closed(lock), 0))
        return weir__rwlock_closed();
    struct weir__rwlock *handle = weir__rwlock_handle(lock);
    uint64_t self = weir__self_identity(weir__self());
    uint32_t at = weir__rwlock_hint(handle);
    struct weir__owned *place = weir__rwlock_place(handle, at);
    if (__builtin_expect(self != WEIR_IDENTITY_NOBODY && weir__rwlock_count_up(place, self), 1)) {
        if (__builtin_expect(may_read(handle->shm), 1))
            return 0;
        weir__rwlock_uncount(handle, self, at);
    }
    return read_lock_slowly(handle, deadline_ns);
}

int weir_rwlock_read_lock(struct weir_rwlock *lock)
{
    return read_lock(lock, WEIR_NEVER);
}

int weir_rwlock_try_read_lock(struct weir_rwlock *lock)
{
    return read_lock(lock, 0);
}

int weir_rwlock_read_lock_until(struct weir_rwlock *lock, int64_t deadline_ns)
{
    return read_lock(lock, deadline_ns);
}

static int not_read(void)
{
    return weir__fail_plain(EPERM, "this process does not hold the lock for reading");
}

int weir_rwlock_read_unlock(struct weir_rwlock *lock)
{
    if (__builtin_expect(weir__rwlock_is_closed(lock), 0))
        return weir__rwlock_closed();
    struct weir__rwlock *handle = weir__rwlock_handle(lock);
    uint64_t self = weir__self_identity(weir__self());
    if (__builtin_expect(self == WEIR_IDENTITY_NOBODY, 0))
        return not_read();
    /* First where it most likely is: one look, inlined. */
    if (__builtin_expect(
            weir__rwlock_count_down(handle->shm,
                                    weir__rwlock_place(handle, weir__rwlock_hint(handle)), self),
            1) ||
        weir__rwlock_uncount(handle, self, weir__rwlock_hint(handle)))
        return 0;
    return not_read();
}

int weir_rwlock_readers(const struct weir_rwlock *lock)
{
    if (weir__rwlock_is_closed(lock))
        return weir__rwlock_closed();
    struct weir__rwlock *handle = weir__rwlock_handle(lock);
    int count = 0;
    for (uint32_t i = 0; i < handle->readers; i++)
        count += (int)(weir__rwlock_load_place(weir__rwlock_place(handle, i)) & WEIR__RWLOCK_COUNT);
    return count;
}
