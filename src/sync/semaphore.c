/* SPDX-License-Identifier: MIT */
/*
 * Whom a post of one wakes, if somebody waits: one; or all, when asleep says that there is one at most. That is the
 * same, but that no mark of a waiter is left for the next post to find, which would call the kernel in
 * vain. Whatever asleep says, either is right: who died in its sleep, or lies, costs time and nothing else;
 * and since a post takes off whom it wakes, it is not too high for ever.
 *
 * CRASH semaphore.unwoken: posted, the wake is missing: a waiter finds it after its slice.
 */
#include <weir/semaphore.h>

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/futex.h"
#include "sync/await.h"
#include "sync/semaphore.h"

static inline bool is_misplaced(const struct weir_semaphore *semaphore)
{
    return !semaphore || (uintptr_t)semaphore % _Alignof(struct weir__semaphore_shm) != 0;
}

static int misplaced(const struct weir_semaphore *semaphore)
{
    return weir__fail(EINVAL, "semaphore %p: it must be there, and aligned to 4 bytes",
                      (const void *)semaphore);
}

static inline struct weir__semaphore_shm *shared(struct weir_semaphore *semaphore)
{
    return (struct weir__semaphore_shm *)(void *)semaphore;
}

static inline uint32_t units(uint32_t value)
{
    return value & ~WEIR__SEMAPHORE_WAITED;
}

static inline bool take(struct weir__semaphore_shm *shm)
{
    /* Relaxed: only a guess for the compare-and-swap. */
    uint32_t value = atomic_load_explicit(&shm->value, memory_order_relaxed);
    while (units(value) != 0) {
        /* Acquire [semaphore.value]: what was written before the post. Pairs with
         * post(). */
        if (atomic_compare_exchange_weak_explicit(&shm->value, &value, value - 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

struct waiter {
    struct weir__semaphore_shm *shm;
    bool is_counted; /* in asleep */
};

static void count_one_less(struct weir__semaphore_shm *shm)
{
    /* Relaxed [semaphore.asleep]: a hint; if somebody is faster, it stays as that one left it. */
    uint32_t asleep = atomic_load_explicit(&shm->asleep, memory_order_relaxed);
    if (asleep != 0)
        atomic_compare_exchange_strong_explicit(&shm->asleep, &asleep, asleep - 1,
                                                memory_order_relaxed, memory_order_relaxed);
}

/* It will not sleep, or a post has not ended its sleep. */
static void uncount(struct waiter *our)
{
    if (our->is_counted)
        count_one_less(our->shm);
    our->is_counted = false;
}

/* S4: what it still counts as is put right before it takes. */
static int look(void *waiter)
{
    struct waiter *our = waiter;
    /* Relaxed: a guess; take() looks itself. */
    if (units(atomic_load_explicit(&our->shm->value, memory_order_relaxed)) == 0)
        return WEIR__NOT_YET;
    uncount(our);
    return take(our->shm) ? 0 : WEIR__NOT_YET;
}

static uint32_t prepare(void *waiter)
{
    struct waiter *our = waiter;
    uint32_t value = 0;
    /* Relaxed [semaphore.asleep]: a hint. */
    atomic_fetch_add_explicit(&our->shm->asleep, 1, memory_order_relaxed);
    /* Relaxed [semaphore.value]: the bit carries nothing, and the kernel compares the whole word before
     * one sleeps. Pairs with post(). */
    our->is_counted =
        atomic_compare_exchange_strong_explicit(&our->shm->value, &value, WEIR__SEMAPHORE_WAITED,
                                                memory_order_relaxed, memory_order_relaxed) ||
        value == WEIR__SEMAPHORE_WAITED;
    if (!our->is_counted) /* there are units: it will not sleep */
        count_one_less(our->shm);
    return WEIR__SEMAPHORE_WAITED;
}

static int sleep_a_slice(void *waiter, uint32_t ticket, int64_t slice_ns, int64_t deadline_ns)
{
    const struct waiter *our = waiter;
    return weir__event_wait_word(&our->shm->value, ticket, slice_ns, deadline_ns);
}

static void stirs(void *waiter, bool is_woken)
{
    struct waiter *our = waiter;
    if (!is_woken)
        uncount(our);
    our->is_counted = false;
}

static int none(void)
{
    return weir__fail_plain(EAGAIN, "the semaphore is 0");
}

static __attribute__((noinline)) int wait_for_one(struct weir__semaphore_shm *shm,
                                                  int64_t deadline_ns)
{
    static const struct weir__await how = { .look = look,
                                            .glance = look,
                                            .ends_by_signal = true,
                                            .prepare = prepare,
                                            .sleep = sleep_a_slice,
                                            .stirs = stirs };
    struct waiter our = { .shm = shm };
    int result = weir__await(&how, &our, NULL, deadline_ns);
    if (result == WEIR__NOT_YET)
        return weir__fail_plain(ETIMEDOUT, "the semaphore had nothing to take by the deadline");
    return result == 0 ? 0 : weir__fail_plain(-result, "a signal arrived while waiting");
}

int weir_semaphore_init(struct weir_semaphore *semaphore, uint32_t value)
{
    if (is_misplaced(semaphore))
        return misplaced(semaphore);
    if (value > WEIR_SEMAPHORE_MAX)
        return weir__fail(EINVAL, "a semaphore of value %u: at most %u", value, WEIR_SEMAPHORE_MAX);
    memset(semaphore, 0, sizeof *semaphore);
    /* Relaxed: nobody else is there yet. */
    atomic_store_explicit(&shared(semaphore)->value, value, memory_order_relaxed);
    return 0;
}

/* Somebody sleeps, perhaps: whether the post wakes one of several. Before it gives its units. */
static __attribute__((noinline)) bool wakes_one(struct weir__semaphore_shm *shm, uint32_t count)
{
    /* Relaxed [semaphore.asleep]: a hint. */
    if (count == 1 && atomic_load_explicit(&shm->asleep, memory_order_relaxed) > 1) {
        count_one_less(shm);
        return true;
    }
    atomic_store_explicit(&shm->asleep, 0, memory_order_relaxed);
    return false;
}

static inline int post(struct weir_semaphore *semaphore, uint32_t count)
{
    if (is_misplaced(semaphore))
        return misplaced(semaphore);
    struct weir__semaphore_shm *shm = shared(semaphore);
    /* Relaxed: only a guess for the compare-and-swap. */
    uint32_t to, value = atomic_load_explicit(&shm->value, memory_order_relaxed);
    bool is_waited, one;
    do {
        if (units(value) >= WEIR_SEMAPHORE_MAX)
            return weir__fail_plain(EOVERFLOW, "the semaphore has its highest value already");
        if (count > WEIR_SEMAPHORE_MAX - units(value))
            return weir__fail(EOVERFLOW, "the semaphore is %u, and %u more would be above %u",
                              units(value), count, WEIR_SEMAPHORE_MAX);
        is_waited = (value & WEIR__SEMAPHORE_WAITED) != 0;
        one = __builtin_expect(is_waited, 0) && wakes_one(shm, count);
        to = (one ? value : units(value)) + count;
        /* Release [semaphore.value]: what was written before it, for who takes the units. Pairs with
         * take(). */
    } while (!atomic_compare_exchange_weak_explicit(&shm->value, &value, to, memory_order_release,
                                                    memory_order_relaxed));
    /* CRASH semaphore.unwoken */
    if (__builtin_expect(!is_waited, 1))
        return 0;
    if (one)
        weir__futex_wake_one(&shm->value); /* S3 */
    else
        weir__futex_wake(&shm->value); /* S3; who finds nothing sleeps again */
    return 0;
}

int weir_semaphore_post(struct weir_semaphore *semaphore)
{
    return post(semaphore, 1);
}

int weir_semaphore_post_many(struct weir_semaphore *semaphore, uint32_t count)
{
    if (count == 0)
        return weir__fail_plain(EINVAL, "a post of 0 units");
    return post(semaphore, count);
}

static inline int wait_until(struct weir_semaphore *semaphore, int64_t deadline_ns)
{
    if (__builtin_expect(is_misplaced(semaphore), 0))
        return misplaced(semaphore);
    struct weir__semaphore_shm *shm = shared(semaphore);
    if (__builtin_expect(take(shm), 1))
        return 0;
    return deadline_ns == 0 ? none() : wait_for_one(shm, deadline_ns);
}

int weir_semaphore_wait_until(struct weir_semaphore *semaphore, int64_t deadline_ns)
{
    return wait_until(semaphore, deadline_ns);
}

int weir_semaphore_wait(struct weir_semaphore *semaphore)
{
    return wait_until(semaphore, WEIR_NEVER);
}

int weir_semaphore_try_wait(struct weir_semaphore *semaphore)
{
    return wait_until(semaphore, 0);
}

int weir_semaphore_value(const struct weir_semaphore *semaphore)
{
    if (is_misplaced(semaphore))
        return misplaced(semaphore);
    const struct weir__semaphore_shm *shm =
        (const struct weir__semaphore_shm *)(const void *)semaphore;
    /* Relaxed: an answer of the moment. */
    return (int)units(atomic_load_explicit(&shm->value, memory_order_relaxed));
}
