/* SPDX-License-Identifier: MIT */
/*
 * Whom a post of one wakes, if somebody waits: one; or all, when asleep says that there is one at most. That is the
 * same, but that no mark of a waiter is left for the next post to find, which would call the kernel in
 * vain. Whatever asleep says, either is right: who died in its sleep, or lies, costs time and nothing else.
 *
 * CRASH semaphore.unwoken: posted, the wake is missing: a waiter finds it after its slice.
 */
#include <weir/semaphore.h>

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/await.h"
#include "sync/event.h"
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

static inline bool take(struct weir__semaphore_shm *shm)
{
    /* Relaxed: only a guess for the compare-and-swap. */
    uint32_t value = atomic_load_explicit(&shm->value, memory_order_relaxed);
    while (value != 0) {
        /* Acquire [semaphore.value]: what was written before the post. Pairs with
         * post(). */
        if (atomic_compare_exchange_weak_explicit(&shm->value, &value, value - 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    }
    return false;
}

static int look(void *shm)
{
    return take(shm) ? 0 : WEIR__NOT_YET;
}

static void count_asleep(void *waiter, bool begins)
{
    struct weir__semaphore_shm *shm = waiter;
    /* Relaxed [semaphore.asleep]: a hint. */
    if (begins)
        atomic_fetch_add_explicit(&shm->asleep, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&shm->asleep, 1, memory_order_relaxed);
}

static int none(void)
{
    return weir__fail_plain(EAGAIN, "the semaphore is 0");
}

static __attribute__((noinline)) int wait_for_one(struct weir__semaphore_shm *shm,
                                                  int64_t deadline_ns)
{
    static const struct weir__await how = { look, look, .sleeps = count_asleep,
                                            .ends_by_signal = true };
    int result = weir__await(&how, shm, &shm->event, deadline_ns);
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

static __attribute__((noinline)) void wake(struct weir__semaphore_shm *shm, uint32_t count)
{
    /* Relaxed [semaphore.asleep]: a hint. */
    if (count == 1 && atomic_load_explicit(&shm->asleep, memory_order_relaxed) > 1)
        weir__event_wake_one(&shm->event);
    else
        weir__event_wake_all(&shm->event); /* who finds nothing sleeps again */
}

static inline int post(struct weir_semaphore *semaphore, uint32_t count)
{
    if (is_misplaced(semaphore))
        return misplaced(semaphore);
    struct weir__semaphore_shm *shm = shared(semaphore);
    /* Relaxed: only a guess for the compare-and-swap. */
    uint32_t value = atomic_load_explicit(&shm->value, memory_order_relaxed);
    do {
        if (value >= WEIR_SEMAPHORE_MAX)
            return weir__fail_plain(EOVERFLOW, "the semaphore has its highest value already");
        if (count > WEIR_SEMAPHORE_MAX - value)
            return weir__fail(EOVERFLOW, "the semaphore is %u, and %u more would be above %u",
                              value, count, WEIR_SEMAPHORE_MAX);
        /* Sequentially consistent [semaphore.value]: what was written before it, for who takes the
         * units; and the units before the look at who waits. Pairs with take(). */
    } while (!atomic_compare_exchange_weak_explicit(&shm->value, &value, value + count,
                                                    memory_order_seq_cst, memory_order_relaxed));
    /* CRASH semaphore.unwoken */
    if (weir__event_is_waited(&shm->event))
        wake(shm, count);
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
    /* Relaxed: an answer of the moment. What a liar wrote is cut to the range. */
    uint32_t value = atomic_load_explicit(&shm->value, memory_order_relaxed);
    return (int)(value < WEIR_SEMAPHORE_MAX ? value : WEIR_SEMAPHORE_MAX);
}
