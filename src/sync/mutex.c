/* SPDX-License-Identifier: MIT */
#include "sync/mutex.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/error.h"
#include "base/futex.h"
#include "sync/sleep.h"
#include "sync/spin.h"

/* Inside this file: go on, the word has changed. */
#define AGAIN 1000

static inline struct weir__mutex_shm *shared(struct weir_mutex *mutex)
{
    return (struct weir__mutex_shm *)(void *)mutex;
}

static inline bool is_misplaced(const struct weir_mutex *mutex)
{
    return !mutex || (uintptr_t)mutex % _Alignof(struct weir__mutex_shm) != 0;
}

static int misplaced(const struct weir_mutex *mutex)
{
    return weir__fail(EINVAL, "mutex %p: it must be there, and aligned to 8 bytes",
                      (const void *)mutex);
}

/*
 * Threads are numbered as they come, and no number is given twice: the thread pointer of one that
 * has ended with a lock would soon be another's. glibc's dlopen() has room for the faster model.
 */
#if defined(__GLIBC__)
#define FAST_TLS __attribute__((tls_model("initial-exec")))
#else
#define FAST_TLS
#endif
static _Thread_local FAST_TLS uint64_t own_number;
static weir__atomic_u64 last_number;

/* No number is one that identities have, or with that identity the thread would be 0: nobody. */
static __attribute__((noinline, cold)) void take_number(void)
{
    do /* Relaxed: that it is another one for each is all. */
        own_number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    while ((own_number & WEIR_IDENTITY_SESSION_MAX) == 0);
}

/*
 * What stands in thread. The identity is in it, too: whoever inherits has the word a moment before
 * it has written this, and then a dead process's number stands there, which may be ours as well.
 */
static inline uint64_t thread_number(uint64_t self)
{
    if (__builtin_expect(own_number == 0, 0))
        take_number();
    return self ^ own_number;
}

static inline bool compare_and_swap(weir__atomic_u64 *word, uint64_t *from, uint64_t to)
{
    /* Acquire [mutex.word]: what the former holder wrote. Pairs with let_go(). A dead one's was
     * visible before the kernel said that it is dead. */
    return atomic_compare_exchange_strong_explicit(word, from, to, memory_order_acquire,
                                                   memory_order_relaxed);
}

/* The word is ours. */
static inline void write_name(struct weir__mutex_shm *mutex, uint64_t thread)
{
    /* CRASH mutex.unnamed */
    weir__owned_name(&mutex->owned);
    /* Relaxed [mutex.thread]: read as one's own by who wrote it alone. Pairs with
     * is_of_this_thread(). */
    atomic_store_explicit(&mutex->thread, thread, memory_order_relaxed);
}

static inline bool is_of_this_thread(struct weir__mutex_shm *mutex, uint64_t word, uint64_t self)
{
    /* Relaxed [mutex.thread]: what another thread writes is another number. Pairs with
     * write_name(). */
    return weir__owner(word) == self &&
           atomic_load_explicit(&mutex->thread, memory_order_relaxed) == thread_number(self);
}

static inline bool is_ours(struct weir__mutex_shm *mutex, uint64_t *word)
{
    uint64_t self = weir__self_identity(weir__self());
    /* Relaxed [mutex.word]: if it names us, we wrote it. Pairs with compare_and_swap(). */
    *word = atomic_load_explicit(&mutex->owned.word, memory_order_relaxed);
    return is_of_this_thread(mutex, *word, self) && self != WEIR_IDENTITY_NOBODY;
}

bool weir__mutex_is_ours(struct weir__mutex_shm *mutex, uint64_t *word)
{
    return is_ours(mutex, word);
}

static int not_ours(void)
{
    return weir__fail_plain(EPERM, "this thread does not hold the mutex");
}

static int lock_again(struct weir__mutex_shm *mutex)
{
    /* Relaxed: flags never change while others use it; depth is the holder's own. */
    if ((atomic_load_explicit(&mutex->flags, memory_order_relaxed) & WEIR_MUTEX_RECURSIVE) == 0)
        return weir__fail_plain(EDEADLK, "this thread holds the mutex already: it would wait for "
                                         "itself");
    uint32_t depth = atomic_load_explicit(&mutex->depth, memory_order_relaxed);
    if (depth == UINT32_MAX)
        return weir__fail_plain(EOVERFLOW, "the mutex is locked too often by this thread");
    atomic_store_explicit(&mutex->depth, depth + 1, memory_order_relaxed);
    return 0;
}

/*
 * The word names somebody else: asks the kernel, and takes a dead one's place. Who comes to sleep
 * meanwhile sets WAITED: the place is the dead one's still, and who only tries must not be told that
 * somebody lives who holds it.
 */
static int inherit(struct weir__mutex_shm *mutex, uint64_t word, uint64_t self)
{
    uint64_t dead = weir__owner(word);
    if (dead == WEIR_IDENTITY_NOBODY || !weir__owned_is_dead(&mutex->owned, word))
        return AGAIN;
    while (!compare_and_swap(&mutex->owned.word, &word,
                             self | WEIR__MUTEX_INHERITED | WEIR__MUTEX_WAITED)) {
        if (weir__owner(word) != dead)
            return AGAIN;
    }
    write_name(mutex, thread_number(self));
    /* Relaxed: the holder's own. */
    atomic_store_explicit(&mutex->depth, 0, memory_order_relaxed);
    return WEIR_OWNER_DIED;
}

/* One look. waited: WAITED once we have slept, since there may be others. */
static int look(struct weir__mutex_shm *mutex, uint64_t self, uint64_t waited, uint64_t *seen)
{
    /* Relaxed [mutex.word]: only a guess for the compare-and-swap. Pairs with let_go(). */
    uint64_t word = atomic_load_explicit(&mutex->owned.word, memory_order_relaxed);
    *seen = word;
    if (weir__owner(word) == WEIR_IDENTITY_NOBODY) {
        if (word & WEIR__MUTEX_LOST)
            return weir__fail_plain(ENOTRECOVERABLE,
                                    "the mutex was given up: its holder died, and the next one "
                                    "unlocked it without weir_mutex_consistent()");
        if (!compare_and_swap(&mutex->owned.word, &word, self | waited))
            return AGAIN;
        write_name(mutex, thread_number(self));
        return 0;
    }
    return is_of_this_thread(mutex, word, self) ? lock_again(mutex) : AGAIN;
}

/* Each look takes the line from the core that holds it: so they become rarer, the longer it takes. */
static int spin(struct weir__mutex_shm *mutex, uint64_t self, uint64_t waited, uint64_t *seen)
{
    int result = look(mutex, self, waited, seen);
    for (int turns = 0, pauses = 4; turns < WEIR__SPIN_TURNS && result == AGAIN; turns += pauses) {
        if (pauses < 32)
            pauses *= 2;
        for (int i = 0; i < pauses; i++)
            weir__cpu_relax();
        result = look(mutex, self, waited, seen);
    }
    return result;
}

/*
 * Sleeps while the word is as it was seen, and somebody's. The first slice is short: if that
 * somebody was dead already, nobody will wake us. AGAIN; or, and then it is time to ask for that
 * somebody: 1: the slice is over; -EINTR; -ETIMEDOUT. Without a sentence.
 */
static int sleep_once(struct weir__mutex_shm *mutex, uint64_t word, int64_t slice_ns,
                      int64_t deadline_ns)
{
    uint64_t to = word | WEIR__MUTEX_WAITED;
    /* Relaxed [mutex.word]: the bit carries nothing. Pairs with let_go(). */
    if (weir__owner(word) == WEIR_IDENTITY_NOBODY ||
        (to != word &&
         !atomic_compare_exchange_strong_explicit(&mutex->owned.word, &word, to,
                                                  memory_order_relaxed, memory_order_relaxed)))
        return AGAIN;
    int result = weir__sleep_slice(weir__futex_half(&mutex->owned.word), (uint32_t)to, slice_ns,
                                   deadline_ns);
    return result == 0 ? AGAIN : result;
}

static int try_once(struct weir__mutex_shm *mutex, uint64_t self)
{
    uint64_t seen;
    int result = look(mutex, self, 0, &seen);
    if (result == AGAIN && weir__owner(seen) != self)
        result = inherit(mutex, seen, self);
    return result == AGAIN ? weir__fail_plain(EAGAIN, "somebody else holds the mutex") : result;
}

static __attribute__((noinline)) int lock_slowly(struct weir__mutex_shm *mutex, int64_t deadline_ns)
{
    uint64_t self, seen, waited = 0;
    int64_t slice_ns = WEIR__SLEEP_FIRST_NS;
    int result = weir__owner_self(&self);
    if (result != 0)
        return result;
    if (deadline_ns == 0)
        return try_once(mutex, self);
    for (;;) {
        result = spin(mutex, self, waited, &seen);
        if (result != AGAIN)
            return result;
        result = sleep_once(mutex, seen, slice_ns, deadline_ns);
        waited = WEIR__MUTEX_WAITED;
        if (result == AGAIN)
            continue;
        /* After a signal, too: with a timer that is faster than the slice we would never ask. */
        if (weir__owner(seen) != self &&
            inherit(mutex, seen | WEIR__MUTEX_WAITED, self) == WEIR_OWNER_DIED)
            return WEIR_OWNER_DIED;
        if (result == -ETIMEDOUT)
            return weir__fail_plain(ETIMEDOUT, "somebody else held the mutex until the deadline");
        if (result == 1)
            slice_ns = WEIR__SLICE_NS;
    }
}

int weir_mutex_init(struct weir_mutex *mutex, uint32_t flags)
{
    if (is_misplaced(mutex))
        return misplaced(mutex);
    if (flags & ~(uint32_t)WEIR_MUTEX_RECURSIVE)
        return weir__fail(EINVAL, "mutex flags 0x%x are not known", flags);
    memset(mutex, 0, sizeof *mutex);
    /* Relaxed: nobody else is there yet. */
    atomic_store_explicit(&shared(mutex)->flags, flags, memory_order_relaxed);
    return 0;
}

static inline int lock(struct weir_mutex *mutex, int64_t deadline_ns)
{
    if (__builtin_expect(is_misplaced(mutex), 0))
        return misplaced(mutex);
    struct weir__mutex_shm *shm = shared(mutex);
    uint64_t free = 0, self = weir__self_identity(weir__self());
    if (__builtin_expect(
            self == WEIR_IDENTITY_NOBODY || !compare_and_swap(&shm->owned.word, &free, self), 0))
        return lock_slowly(shm, deadline_ns);
    write_name(shm, thread_number(self));
    return 0;
}

int weir_mutex_lock(struct weir_mutex *mutex)
{
    return lock(mutex, WEIR_NEVER);
}

int weir_mutex_try_lock(struct weir_mutex *mutex)
{
    return lock(mutex, 0);
}

int weir_mutex_lock_until(struct weir_mutex *mutex, int64_t deadline_ns)
{
    return lock(mutex, deadline_ns);
}

static inline void let_go(struct weir__mutex_shm *mutex, uint64_t to)
{
    /* Relaxed [mutex.thread]: as in write_name(). */
    atomic_store_explicit(&mutex->thread, 0, memory_order_relaxed);
    /* CRASH mutex.nameless */
    /* Release [mutex.word]: what the holder wrote. Pairs with compare_and_swap(). */
    uint64_t word = atomic_exchange_explicit(&mutex->owned.word, to, memory_order_release);
    if (__builtin_expect((word & WEIR__MUTEX_WAITED) == 0, 1))
        return;
    /* CRASH mutex.unwoken */
    if (to == WEIR__MUTEX_LOST)
        weir__futex_wake(weir__futex_half(&mutex->owned.word));
    else
        weir__futex_wake_one(weir__futex_half(&mutex->owned.word));
}

int weir_mutex_unlock(struct weir_mutex *mutex)
{
    uint64_t word;
    if (__builtin_expect(is_misplaced(mutex), 0))
        return misplaced(mutex);
    struct weir__mutex_shm *shm = shared(mutex);
    if (__builtin_expect(!is_ours(shm, &word), 0))
        return not_ours();
    /* Relaxed: the holder's own. */
    uint32_t depth = atomic_load_explicit(&shm->depth, memory_order_relaxed);
    if (__builtin_expect(depth > 0, 0))
        atomic_store_explicit(&shm->depth, depth - 1, memory_order_relaxed);
    else
        let_go(shm, word & WEIR__MUTEX_INHERITED ? WEIR__MUTEX_LOST : 0);
    return 0;
}

int weir_mutex_consistent(struct weir_mutex *mutex)
{
    uint64_t word;
    if (is_misplaced(mutex))
        return misplaced(mutex);
    if (!is_ours(shared(mutex), &word))
        return not_ours();
    if ((word & WEIR__MUTEX_INHERITED) == 0)
        return weir__fail_plain(EINVAL, "nobody died with the mutex since it was consistent");
    /* Release [mutex.word]: the repair, for who inherits from us. Pairs with compare_and_swap(). */
    atomic_fetch_and_explicit(&shared(mutex)->owned.word, ~WEIR__MUTEX_INHERITED,
                              memory_order_release);
    return 0;
}

uint64_t weir_mutex_owner(const struct weir_mutex *mutex)
{
    if (is_misplaced(mutex))
        return WEIR_IDENTITY_NOBODY;
    const struct weir__mutex_shm *shm = (const struct weir__mutex_shm *)(const void *)mutex;
    /* Relaxed [mutex.word]: an answer of the moment. Pairs with compare_and_swap(). */
    return weir__owner(atomic_load_explicit(&shm->owned.word, memory_order_relaxed));
}
