/* SPDX-License-Identifier: MIT */
#include "sync/check.h"

#include <errno.h>
#include <stddef.h>

#include "base/error.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/semaphore.h"

#define BITS (WEIR__MUTEX_WAITED | WEIR__MUTEX_INHERITED | WEIR__MUTEX_LOST)

struct look {
    uint64_t word, name, thread, reserved;
    uint32_t depth, flags;
};

/* In this order: a name that was there before the word was LOST is there still. */
static void look_at(const struct weir__mutex_shm *mutex, struct look *look)
{
    /* Acquire [mutex.word]: what was written before it, the name above all. Pairs with let_go(). */
    look->word = atomic_load_explicit(&mutex->owned.word, memory_order_acquire);
    /* Acquire [owned.name], so that the thread is read after it. Pairs with weir__owned_name(). */
    look->name = atomic_load_explicit(&mutex->owned.name, memory_order_acquire);
    /* Relaxed [mutex.thread]: who has read words of different moments looks again. Pairs with
     * write_name(). */
    look->thread = atomic_load_explicit(&mutex->thread, memory_order_relaxed);
    /* Relaxed: the same. */
    look->depth = atomic_load_explicit(&mutex->depth, memory_order_relaxed);
    look->flags = atomic_load_explicit(&mutex->flags, memory_order_relaxed);
    look->reserved = *(const volatile uint64_t *)&mutex->reserved;
}

/* What no interleaving excuses. */
static const char *never(const struct look *look)
{
    uint64_t owner = weir__owner(look->word);
    if (look->reserved != 0)
        return "its last word is not 0";
    if (look->flags & ~(uint32_t)WEIR_MUTEX_RECURSIVE)
        return "its flags are not known";
    if (look->word & ~(WEIR__OWNER_MASK | BITS))
        return "its first word is no state of a lock";
    if (owner == WEIR_IDENTITY_NOBODY && look->word != 0 && look->word != WEIR__MUTEX_LOST)
        return "it is waited for and nobody holds it";
    if (owner != WEIR_IDENTITY_NOBODY &&
        ((look->word & WEIR__MUTEX_LOST) || !weir__identity_can_be(owner)))
        return "its holder can be nobody";
    if (!weir__identity_name_can_be(look->name))
        return "the name of its holder can be nobody's";
    if (look->word == WEIR__MUTEX_LOST && look->name == 0)
        return "it was given up and never held";
    if (look->thread != 0 && (look->thread & WEIR_IDENTITY_SESSION_MAX) == 0)
        return "no thread has such a number";
    if (look->depth > 0 && (look->flags & WEIR_MUTEX_RECURSIVE) == 0)
        return "it is held several times and not recursive";
    return NULL;
}

/* What one of two moments may explain. */
static const char *together(const struct look *look)
{
    uint64_t owner = weir__owner(look->word);
    if (owner == WEIR_IDENTITY_NOBODY)
        return look->thread || look->depth ? "a thread holds it and no process does" : NULL;
    /* Who inherits has the word before it has written over what the dead one left. */
    bool is_written = look->thread != 0 && (look->word & WEIR__MUTEX_INHERITED) == 0;
    return is_written && !weir__identity_name_fits(look->name, owner)
               ? "the name beside its holder is another's"
               : NULL;
}

const char *weir__mutex_contradiction(const struct weir_mutex *mutex)
{
    const struct weir__mutex_shm *shm = (const struct weir__mutex_shm *)(const void *)mutex;
    const char *what = NULL;
    for (int turn = 0; turn < WEIR__CHECK_LOOKS; turn++) {
        struct look look;
        look_at(shm, &look);
        what = never(&look);
        if (what)
            return what;
        what = together(&look);
        if (!what)
            return NULL;
        /* Another length each time: else it might keep step with who locks and unlocks. */
        for (int pauses = turn * 5 % 17; pauses > 0; pauses--)
            weir__cpu_relax();
    }
    return what;
}

static int misplaced(const char *noun, const void *memory, unsigned alignment)
{
    return weir__fail(EINVAL, "%s %p: it must be there, and aligned to %u bytes", noun, memory,
                      alignment);
}

static int verdict(const char *noun, const char *what)
{
    return what ? weir__fail(EUCLEAN, "this cannot be a %s: %s", noun, what) : 0;
}

int weir_mutex_check(const struct weir_mutex *mutex)
{
    if (!mutex || (uintptr_t)mutex % _Alignof(struct weir__mutex_shm) != 0)
        return misplaced("mutex", mutex, 8);
    return verdict("mutex", weir__mutex_contradiction(mutex));
}

int weir_semaphore_check(const struct weir_semaphore *semaphore)
{
    if (!semaphore || (uintptr_t)semaphore % _Alignof(struct weir__semaphore_shm) != 0)
        return misplaced("semaphore", semaphore, 4);
    const struct weir__semaphore_shm *shm =
        (const struct weir__semaphore_shm *)(const void *)semaphore;
    const char *what = NULL;
    /* Relaxed [semaphore.asleep]: a hint, and never that high. The value may be any word. */
    if (atomic_load_explicit(&shm->asleep, memory_order_relaxed) > INT32_MAX)
        what = "more wait for it than there can be";
    else if (((const volatile uint32_t *)shm->reserved)[0] != 0 ||
             ((const volatile uint32_t *)shm->reserved)[1] != 0)
        what = "its last words are not 0";
    return verdict("semaphore", what);
}

int weir_once_check(const struct weir_once *once)
{
    if (!once || (uintptr_t)once % _Alignof(struct weir__mutex_shm) != 0)
        return misplaced("once", once, 8);
    const struct weir__once_shm *shm = (const struct weir__once_shm *)(const void *)once;
    const struct weir__mutex_shm *mutex = (const struct weir__mutex_shm *)(const void *)&shm->mutex;
    /* Acquire [once.done]: the name of who built it was written before. Pairs with leave(). */
    uint32_t done = atomic_load_explicit(&shm->done, memory_order_acquire);
    const char *what = NULL;
    if (done > WEIR__ONCE_DONE || *(const volatile uint32_t *)&shm->reserved != 0)
        what = "it is neither done nor not";
    /* Relaxed [owned.name]: a name is written over, and never taken away. Pairs with
     * weir__owned_name(). */
    else if (done && atomic_load_explicit(&mutex->owned.name, memory_order_relaxed) == 0)
        what = "it is done and nobody has done it";
    else
        what = weir__mutex_contradiction(&shm->mutex);
    return verdict("once", what);
}
