/* SPDX-License-Identifier: MIT */
/*
 * The mutex is held while it is built; what is done is asked without it. sync/once.h has the words.
 *
 * CRASH once.unlocked: done, and the mutex a dead one's: nobody looks at it any more.
 */
#include <weir/once.h>

#include <errno.h>

#include <weir/clock.h>

#include "base/error.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/sleep.h"

static int find(struct weir_once *once, struct weir__once_shm **shm)
{
    *shm = (struct weir__once_shm *)(void *)once;
    if (once && (uintptr_t)once % _Alignof(struct weir__mutex_shm) == 0)
        return 0;
    return weir__fail(EINVAL, "once %p: it must be there, and aligned to 8 bytes",
                      (const void *)once);
}

static bool is_done(struct weir__once_shm *shm)
{
    /* Acquire [once.done]: what was built. Pairs with leave(). */
    return atomic_load_explicit(&shm->done, memory_order_acquire) == WEIR__ONCE_DONE;
}

/* What the mutex says of itself, as it is for who builds. */
static int tell(int result)
{
    switch (result) {
    case -EAGAIN:
        return weir__fail_plain(EAGAIN, "somebody else is building it");
    case -ETIMEDOUT:
        return weir__fail_plain(ETIMEDOUT, "the deadline passed while somebody else built it");
    case -EDEADLK:
        return weir__fail_plain(EDEADLK, "this thread is building it already");
    default:
        return result;
    }
}

static int64_t end_of_slice(int64_t deadline_ns)
{
    int64_t slice_ns = weir_deadline_ns(WEIR__SLICE_NS);
    return slice_ns < deadline_ns ? slice_ns : deadline_ns;
}

/*
 * As weir_mutex_lock_until(); 0 also when it is done meanwhile, and then *is_locked is false: who has
 * done it may be stopped before it lets the mutex go, and nobody is to wait for that.
 */
static int lock_or_see_it_done(struct weir__once_shm *shm, int64_t deadline_ns, bool *is_locked)
{
    struct weir__error_saved saved;
    int result;
    weir__error_save(&saved);
    do {
        result = weir_mutex_lock_until(&shm->mutex, end_of_slice(deadline_ns));
        *is_locked = result >= 0;
        if ((result == -ETIMEDOUT || result == -EAGAIN) && is_done(shm)) {
            weir__error_restore(&saved);
            return 0;
        }
    } while (result == -ETIMEDOUT && !weir__is_over(deadline_ns));
    if (*is_locked)
        weir__error_restore(&saved);
    return result;
}

int weir_once_begin_until(struct weir_once *once, int64_t deadline_ns)
{
    struct weir__once_shm *shm;
    bool is_locked;
    int result = find(once, &shm);
    if (result != 0 || is_done(shm))
        return result;
    result = lock_or_see_it_done(shm, deadline_ns, &is_locked);
    if (result < 0)
        return tell(result);
    if (!is_locked)
        return 0;
    if (result == WEIR_OWNER_DIED)
        weir_mutex_consistent(&once->mutex); /* our death is told as well as the former one's */
    if (!is_done(shm))
        return result == WEIR_OWNER_DIED ? result : WEIR_ONCE_BEGUN;
    weir_mutex_unlock(&once->mutex); /* which can fail only if somebody lies: it is done */
    return 0;
}

int weir_once_begin(struct weir_once *once)
{
    return weir_once_begin_until(once, WEIR_NEVER);
}

static int leave(struct weir_once *once, bool is_built)
{
    struct weir__once_shm *shm;
    uint64_t word;
    int result = find(once, &shm);
    if (result != 0)
        return result;
    if (!weir__mutex_is_ours((struct weir__mutex_shm *)(void *)&once->mutex, &word))
        return weir__fail_plain(EPERM, "this thread has not begun it");
    /* Release [once.done]: what was built. Pairs with is_done(). */
    if (is_built)
        atomic_store_explicit(&shm->done, WEIR__ONCE_DONE, memory_order_release);
    /* CRASH once.unlocked */
    return weir_mutex_unlock(&once->mutex);
}

int weir_once_end(struct weir_once *once)
{
    return leave(once, true);
}

int weir_once_abandon(struct weir_once *once)
{
    return leave(once, false);
}
