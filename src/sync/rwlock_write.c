/* SPDX-License-Identifier: MIT */
/* Read-write locks: the side of the writers. */
#include "sync/rwlock_count.h"

#include <errno.h>
#include <sched.h>

#include <weir/clock.h>

#include "base/error.h"

/* How often a downgrade lets others run, so that they leave it a place. */
#define YIELDS 1000

static inline uint32_t load_state(const struct weir__rwlock_shm *shm)
{
    /* Relaxed [rwlock.state]: we hold writer, and so did who wrote it. Pairs with store_state(). */
    return atomic_load_explicit(&shm->state, memory_order_relaxed);
}

static inline void store_state(struct weir__rwlock_shm *shm, uint32_t state)
{
    /* Release [rwlock.state]: what was written before the end of the writing. Pairs with
     * load_state(). */
    atomic_store_explicit(&shm->state, state, memory_order_release);
    /* Release [rwlock.state]: and that we write, before what we write: a dead one's words are all
     * there up to its last. Pairs with load_state(). */
    atomic_thread_fence(memory_order_release);
}

static inline uint64_t load_place(const struct weir__owned *place)
{
    /* Sequentially consistent [rwlock.place]: writer, then this look; and what was read before the
     * count went down. Pairs with weir__rwlock_move(). */
    return atomic_load(&place->word);
}

/* A place that counts: takes a dead one out. false: it lives. */
static bool take_out(struct weir__owned *place, uint64_t self)
{
    uint64_t word = load_place(place);
    if ((word & WEIR__RWLOCK_COUNT) == 0)
        return true;
    if (weir__owner(word) == self || !weir__owned_is_dead(place, word))
        return false;
    /* Relaxed [rwlock.place]: what a dead one read is no matter. Pairs with weir__rwlock_move(). */
    return atomic_compare_exchange_strong_explicit(&place->word, &word, 0, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* Whether all from this place on are at 0, or dead, and then at 0. */
static bool take_dead_out(struct weir__rwlock *handle, uint32_t first, uint64_t self)
{
    bool all = true;
    for (uint32_t i = first; i < handle->readers; i++) {
        if (!take_out(&handle->shm->place[i].owned, self))
            all = false;
    }
    return all;
}

struct drain {
    struct weir__rwlock *handle;
    uint64_t self;
    uint32_t at; /* the places before it were at 0 */
};

static int look_at_places(void *drain)
{
    struct drain *our = drain;
    const struct weir__rwlock *handle = our->handle;
    while (our->at < handle->readers) {
        if ((load_place(&handle->shm->place[our->at].owned) & WEIR__RWLOCK_COUNT) != 0)
            return WEIR__NOT_YET;
        our->at++;
    }
    return 0;
}

static int ask_for_readers(void *drain)
{
    const struct drain *our = drain;
    return take_dead_out(our->handle, our->at, our->self) ? 0 : WEIR__NOT_YET;
}

/* Until all places are at 0: 0; or -ETIMEDOUT, -EAGAIN, without a sentence. */
static int drain(struct weir__rwlock *handle, uint64_t self, int64_t deadline_ns)
{
    static const struct weir__await how = { look_at_places, look_at_places, ask_for_readers,
                                            .ends_by_signal = false };
    struct drain our = { handle, self, 0 };
    int result = look_at_places(&our);
    if (result == WEIR__NOT_YET)
        result = weir__await(&how, &our, &handle->shm->drained, deadline_ns);
    if (result != WEIR__NOT_YET)
        return result;
    return deadline_ns == 0 ? -EAGAIN : -ETIMEDOUT;
}

static int too_late(int result)
{
    switch (result) {
    case -EAGAIN:
        return weir__fail_plain(EAGAIN, "somebody else reads or writes");
    case -ETIMEDOUT:
        return weir__fail_plain(ETIMEDOUT, "somebody else read or wrote until the deadline");
    case -EDEADLK:
        return weir__fail_plain(EDEADLK, "this thread writes already: it would wait for itself");
    default:
        return result;
    }
}

/* This thread holds writer, and nobody reads. */
static int begin(struct weir__rwlock_shm *shm)
{
    bool is_inherited = (load_state(shm) & WEIR__RWLOCK_WRITING) != 0;
    /* CRASH rwlock.announced */
    store_state(shm, WEIR__RWLOCK_WRITING | (is_inherited ? WEIR__RWLOCK_INHERITED : 0));
    /* CRASH rwlock.writing */
    return is_inherited ? WEIR_OWNER_DIED : 0;
}

int weir_rwlock_write_lock_until(struct weir_rwlock *lock, int64_t deadline_ns)
{
    if (weir__rwlock_is_closed(lock))
        return weir__rwlock_closed();
    struct weir__rwlock *handle = weir__rwlock_handle(lock);
    struct weir__rwlock_shm *shm = handle->shm;
    uint64_t self;
    int result = weir__owner_self(&self);
    if (result != 0)
        return result;
    if (deadline_ns == 0 && !take_dead_out(handle, 0, self))
        return too_late(-EAGAIN); /* without keeping readers out for that moment */
    result = weir_mutex_lock_until(&shm->writer, deadline_ns);
    if (result < 0)
        return too_late(result);
    if (result == WEIR_OWNER_DIED)
        weir_mutex_consistent(&shm->writer);
    if (load_state(shm) & WEIR__RWLOCK_LOST) {
        weir__rwlock_release(shm);
        return weir__rwlock_lost();
    }
    /* Full fence [rwlock.writer]: that we hold it, then the look at the places. Pairs with the
     * readers' load_writer(). */
    atomic_thread_fence(memory_order_seq_cst);
    result = drain(handle, self, deadline_ns);
    if (result == 0)
        return begin(shm);
    weir__rwlock_release(shm);
    return too_late(result);
}

int weir_rwlock_write_lock(struct weir_rwlock *lock)
{
    return weir_rwlock_write_lock_until(lock, WEIR_NEVER);
}

int weir_rwlock_try_write_lock(struct weir_rwlock *lock)
{
    return weir_rwlock_write_lock_until(lock, 0);
}

static int check_ours(const struct weir_rwlock *lock)
{
    if (weir__rwlock_is_closed(lock))
        return weir__rwlock_closed();
    if (weir__rwlock_is_ours(weir__rwlock_handle(lock)->shm))
        return 0;
    return weir__fail_plain(EPERM, "this thread does not hold the lock for writing");
}

int weir_rwlock_write_unlock(struct weir_rwlock *lock)
{
    int result = check_ours(lock);
    if (result != 0)
        return result;
    struct weir__rwlock_shm *shm = weir__rwlock_handle(lock)->shm;
    store_state(shm, load_state(shm) & WEIR__RWLOCK_INHERITED ? WEIR__RWLOCK_LOST : 0);
    /* CRASH rwlock.finished */
    weir__rwlock_release(shm);
    return 0;
}

/*
 * Nobody reads: who is counted has come while we write, and goes as soon as it has looked, unless it was
 * stopped before. It may need our processor for that.
 */
static int count_as_writer(struct weir__rwlock *handle)
{
    uint64_t self = weir__self_identity(weir__self());
    uint32_t place;
    int result = weir__rwlock_count(handle, self, &place);
    for (int turn = 0; turn < YIELDS && result == -ENOSPC; turn++) {
        sched_yield();
        result = weir__rwlock_count(handle, self, &place);
    }
    return result == -ENOSPC ? weir__rwlock_full(handle) : result;
}

int weir_rwlock_downgrade(struct weir_rwlock *lock)
{
    int result = check_ours(lock);
    if (result != 0)
        return result;
    struct weir__rwlock *handle = weir__rwlock_handle(lock);
    if (load_state(handle->shm) & WEIR__RWLOCK_INHERITED)
        return weir__fail_plain(EBUSY, "a writer died here: repair and say "
                                       "weir_rwlock_consistent() before others read");
    result = count_as_writer(handle);
    if (result != 0)
        return result;
    store_state(handle->shm, 0);
    weir__rwlock_release(handle->shm);
    return 0;
}

int weir_rwlock_consistent(struct weir_rwlock *lock)
{
    int result = check_ours(lock);
    if (result != 0)
        return result;
    struct weir__rwlock_shm *shm = weir__rwlock_handle(lock)->shm;
    if ((load_state(shm) & WEIR__RWLOCK_INHERITED) == 0)
        return weir__fail_plain(EINVAL, "nobody died in writing since it was consistent");
    store_state(shm, WEIR__RWLOCK_WRITING);
    return 0;
}

uint64_t weir_rwlock_writer(const struct weir_rwlock *lock)
{
    if (weir__rwlock_is_closed(lock))
        return WEIR_IDENTITY_NOBODY;
    return weir_mutex_owner(&weir__rwlock_handle(lock)->shm->writer);
}
