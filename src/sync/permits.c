/* SPDX-License-Identifier: MIT */
#include "sync/permits.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/await.h"
#include "sync/geometry.h"

static const struct weir__geometry kind = {
    .name = WEIR__GEOMETRY_PERMITS,
    .count_max = WEIR_PERMITS_MAX,
    .noun = "pool of permits",
    .places = "permits",
    .head_bytes = sizeof(struct weir__permits_shm),
    .place_bytes = sizeof(struct weir__owned),
};

static inline struct weir__permits *handle_of(const struct weir_permits *permits)
{
    return (struct weir__permits *)(uintptr_t)permits;
}

static inline bool is_closed(const struct weir_permits *permits)
{
    return !permits || !handle_of(permits)->shm;
}

static int closed(void)
{
    return weir__fail_plain(EINVAL, "no handle of permits: see weir_permits_open()");
}

uint64_t weir_permits_bytes(uint32_t count)
{
    return weir__geometry_bytes(&kind, count);
}

int weir_permits_init(void *memory, uint64_t bytes, uint32_t count)
{
    return weir__geometry_init(&kind, memory, bytes, count);
}

int weir_permits_open(struct weir_permits *permits, void *memory, uint64_t bytes)
{
    uint32_t count;
    if (!permits)
        return closed();
    int result = weir__geometry_open(&kind, memory, bytes, &count);
    if (result != 0)
        return result;
    memset(permits, 0, sizeof *permits);
    handle_of(permits)->shm = memory;
    handle_of(permits)->count = count;
    return 0;
}

static inline bool compare_and_swap(struct weir__owned *permit, uint64_t from, uint64_t self)
{
    /* Acquire [permits.word]: what the former holder wrote. Pairs with weir_permits_release(). A dead
     * one's was visible before the kernel said that it is dead. */
    if (!atomic_compare_exchange_strong_explicit(&permit->word, &from, self, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    /* CRASH permits.unnamed */
    weir__owned_name(permit);
    return true;
}

static inline uint64_t load(const struct weir__owned *permit)
{
    /* Relaxed [permits.word]: a guess for the compare-and-swap. Pairs with compare_and_swap(). */
    return atomic_load_explicit(&permit->word, memory_order_relaxed);
}

/* Where the search begins: for the first time, at a place of this process's own. */
static inline uint32_t first_place(const struct weir__permits *handle, uint64_t self)
{
    /* Relaxed: a hint, and below the count whoever wrote it last. */
    uint32_t hint = atomic_load_explicit(&handle->hint, memory_order_relaxed);
    if (hint != 0)
        return hint - 1;
    return (uint32_t)(self >> 32 ^ self >> 13) % handle->count;
}

static inline void remember(struct weir__permits *handle, uint32_t index)
{
    /* Relaxed: as in first_place(). */
    atomic_store_explicit(&handle->hint, index + 1, memory_order_relaxed);
}

/* A free one among so many from *at on, which is moved behind them. 0, or WEIR__NOT_YET. */
static inline int take_free_of(struct weir__permits *handle, uint64_t self, uint32_t *at,
                               uint32_t count, uint32_t *index)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weir__owned *permit = &handle->shm->permit[*at];
        if (load(permit) == WEIR_IDENTITY_NOBODY &&
            compare_and_swap(permit, WEIR_IDENTITY_NOBODY, self)) {
            remember(handle, *at);
            *index = *at;
            return 0;
        }
        if (++*at == handle->count)
            *at = 0;
    }
    return WEIR__NOT_YET;
}

/* Among all of them. */
static inline int take_free(struct weir__permits *handle, uint64_t self, uint32_t *index)
{
    uint32_t at = first_place(handle, self);
    return take_free_of(handle, self, &at, handle->count, index);
}

/*
 * Whether the holder in word is dead. A few system calls, but for one who holds several in a row:
 * alive is who was found alive last, at first this process.
 */
static bool is_dead(const struct weir__owned *permit, uint64_t word, uint64_t *alive)
{
    if (word == WEIR_IDENTITY_NOBODY || word == *alive)
        return false;
    if (weir__owned_is_dead(permit, word))
        return true;
    *alive = word;
    return false;
}

/* A dead one's. WEIR_OWNER_DIED, or WEIR__NOT_YET. */
static int take_dead(struct weir__permits *handle, uint64_t self, uint32_t *index)
{
    uint64_t alive = self;
    for (uint32_t i = 0; i < handle->count; i++) {
        struct weir__owned *permit = &handle->shm->permit[i];
        uint64_t word = load(permit);
        if (is_dead(permit, word, &alive) && compare_and_swap(permit, word, self)) {
            remember(handle, i);
            *index = i;
            return WEIR_OWNER_DIED;
        }
    }
    return WEIR__NOT_YET;
}

/* 0: one of them is free. */
static uint64_t sum_owners(const struct weir__permits *handle)
{
    uint64_t sum = 1;
    for (uint32_t i = 0; i < handle->count; i++) {
        /* Acquire [permits.word]: the looks at all, one after the other. Pairs with
         * weir_permits_release(). */
        uint64_t word = atomic_load_explicit(&handle->shm->permit[i].word, memory_order_acquire);
        if (word == WEIR_IDENTITY_NOBODY)
            return 0;
        sum = weir__owners_sum(sum, word);
    }
    return sum;
}

/* --- waiting -------------------------------------------------------------------------------- */

/* As many as a glance looks at: few lines of the cache, however large the pool is. */
#define GLANCE 16

struct waiter {
    struct weir__permits *handle;
    uint64_t self;
    uint32_t *index;
    uint32_t at; /* where the next glance begins */
};

static int look(void *waiter)
{
    const struct waiter *our = waiter;
    return take_free(our->handle, our->self, our->index);
}

/*
 * A look reads every permit: hundreds of those, one after the other, would last far longer than the
 * moment that a waiter looks before it sleeps, and go beyond its deadline.
 */
static int glance(void *waiter)
{
    struct waiter *our = waiter;
    uint32_t count = our->handle->count < GLANCE ? our->handle->count : GLANCE;
    return take_free_of(our->handle, our->self, &our->at, count, our->index);
}

static int ask(void *waiter)
{
    const struct waiter *our = waiter;
    int result = look(waiter);
    return result == WEIR__NOT_YET ? take_dead(our->handle, our->self, our->index) : result;
}

/* That all are held shows in no single look: see sync/owner.h. */
static int ask_until_all_are_held(struct waiter *our)
{
    uint64_t before, owners = sum_owners(our->handle);
    int result = WEIR__NOT_YET;
    for (int turn = 0; turn < WEIR__OWNERS_LOOKS && result == WEIR__NOT_YET; turn++) {
        result = ask(our);
        before = owners;
        owners = sum_owners(our->handle);
        if (owners != 0 && owners == before)
            break;
    }
    return result;
}

static __attribute__((noinline)) int take_slowly(struct weir__permits *handle, uint32_t *index,
                                                 int64_t deadline_ns)
{
    static const struct weir__await how = { look, glance, ask, .ends_by_signal = false };
    struct waiter our = { .handle = handle, .index = index };
    int result = weir__owner_self(&our.self);
    if (result != 0)
        return result;
    our.at = first_place(handle, our.self);
    result = weir__await(&how, &our, &handle->shm->returned, deadline_ns);
    if (result == WEIR__NOT_YET)
        result = ask_until_all_are_held(&our);
    if (result != WEIR__NOT_YET)
        return result;
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "every permit is held");
    return weir__fail_plain(ETIMEDOUT, "every permit was held until the deadline");
}

int weir_permits_take_until(struct weir_permits *permits, uint32_t *index, int64_t deadline_ns)
{
    if (is_closed(permits))
        return closed();
    if (!index)
        return weir__fail_plain(EINVAL, "no place for the index");
    struct weir__permits *handle = handle_of(permits);
    uint64_t self = weir__self_identity(weir__self());
    if (__builtin_expect(self != WEIR_IDENTITY_NOBODY && take_free(handle, self, index) == 0, 1))
        return 0;
    return take_slowly(handle, index, deadline_ns);
}

int weir_permits_take(struct weir_permits *permits, uint32_t *index)
{
    return weir_permits_take_until(permits, index, WEIR_NEVER);
}

int weir_permits_try_take(struct weir_permits *permits, uint32_t *index)
{
    return weir_permits_take_until(permits, index, 0);
}

static int no_index(const struct weir__permits *handle, uint32_t index)
{
    return weir__fail(EINVAL, "permit %u: there are %u, from 0", index, handle->count);
}

static int not_ours(uint32_t index)
{
    return weir__fail(EPERM, "this process does not hold permit %u", index);
}

int weir_permits_release(struct weir_permits *permits, uint32_t index)
{
    if (is_closed(permits))
        return closed();
    struct weir__permits *handle = handle_of(permits);
    if (index >= handle->count)
        return no_index(handle, index);
    struct weir__owned *permit = &handle->shm->permit[index];
    uint64_t self = weir__self_identity(weir__self());
    uint64_t word = self;
    /* Sequentially consistent [permits.word]: what the holder wrote, for the next one; and the permit
     * before the look at who waits. Pairs with compare_and_swap(). */
    if (self == WEIR_IDENTITY_NOBODY ||
        !atomic_compare_exchange_strong_explicit(&permit->word, &word, WEIR_IDENTITY_NOBODY,
                                                 memory_order_seq_cst, memory_order_relaxed))
        return not_ours(index);
    remember(handle, index);
    /* CRASH permits.unwoken */
    if (__builtin_expect(weir__event_is_waited(&handle->shm->returned), 0))
        weir__event_wake_one(&handle->shm->returned);
    return 0;
}

int weir_permits_value(const struct weir_permits *permits)
{
    if (is_closed(permits))
        return closed();
    const struct weir__permits *handle = handle_of(permits);
    uint64_t alive = weir__self_identity(weir__self());
    int value = 0;
    for (uint32_t i = 0; i < handle->count; i++) {
        const struct weir__owned *permit = &handle->shm->permit[i];
        uint64_t word = load(permit);
        if (word == WEIR_IDENTITY_NOBODY || is_dead(permit, word, &alive))
            value++;
    }
    return value;
}

uint64_t weir_permits_owner(const struct weir_permits *permits, uint32_t index)
{
    if (is_closed(permits) || index >= handle_of(permits)->count)
        return WEIR_IDENTITY_NOBODY;
    return weir__owner(load(&handle_of(permits)->shm->permit[index]));
}
