/* SPDX-License-Identifier: MIT */
/*
 * The arena: its steps, and what a kill between them leaves. Its words are in alloc/arena.h.
 *
 *   step of alloc            | killed after it, whoever comes next finds   | and does
 *   -------------------------+---------------------------------------------+---------------------
 *   1 before = used; place,  | place is not the block                      | used = before, act = 0
 *     block, act said        |                                             |
 *   2 used = block's end     | the same                                    | the same
 *   3 place = block          | place is the block                          | act = 0
 *   4 act = 0                | nothing                                     | nothing
 *
 * Who does not see the place, because its space ends before it, cannot tell 2 from 3, and does neither:
 * -EUCLEAN, until one that sees it comes (alloc/intent.h). So does who finds a before that cannot be.
 *
 * A1: what was given is [begin, begin + used), and every byte of it is a place's, or a gap's.
 * A2: used is a multiple of nothing, and at most the size.
 */
#include <weir/arena.h>

#include <errno.h>

#include "alloc/arena.h"
#include "base/error.h"

#define MAGIC UINT64_C(0xa12ea)
#define MAGIC_SHIFT 44 /* sizes are below 16 TiB */

enum act { NOTHING = 0, ALLOC = 1 };

int weir_arena_init(struct weir_space space, uint64_t offset, uint64_t size_bytes)
{
    void *area;
    int result = weir__area_find(space, offset, size_bytes, "arena", &area);
    if (result != 0)
        return result;
    if (size_bytes <= WEIR_ARENA_HEADER_BYTES || size_bytes >> MAGIC_SHIFT != 0)
        return weir__fail(EINVAL, "an arena of %llu bytes: more than %d, and less than 16 TiB",
                          (unsigned long long)size_bytes, WEIR_ARENA_HEADER_BYTES);
    uint64_t wanted = MAGIC << MAGIC_SHIFT | size_bytes, found = 0;
    struct weir__arena_shm *shm = area;
    /* Acquire and release [arena.geometry]: zeros before it, on both sides. Release [arena.geometry].
     * Pairs with weir_arena_open(). */
    if (atomic_compare_exchange_strong_explicit(&shm->geometry, &found, wanted,
                                                memory_order_acq_rel, memory_order_acquire) ||
        found == wanted)
        return 0;
    if (found >> MAGIC_SHIFT != MAGIC)
        return weir__fail(EPROTO, "something else than an arena stands there");
    return weir__fail(EINVAL, "an arena of %llu bytes stands there already, not of %llu",
                      (unsigned long long)(found ^ MAGIC << MAGIC_SHIFT),
                      (unsigned long long)size_bytes);
}

int weir_arena_open(struct weir_arena *arena, struct weir_space space, uint64_t offset)
{
    void *area;
    int result = weir__area_find(space, offset, WEIR_ARENA_HEADER_BYTES, "arena", &area);
    if (result != 0)
        return result;
    struct weir__arena_shm *shm = area;
    /* Acquire [arena.geometry]: zeros before it. Pairs with weir_arena_init(). */
    uint64_t geometry = atomic_load_explicit(&shm->geometry, memory_order_acquire);
    uint64_t size_bytes = geometry ^ MAGIC << MAGIC_SHIFT;
    if (geometry == 0)
        return weir__fail_plain(ENOENT, "no arena is there yet: weir_arena_init() makes it");
    if (geometry >> MAGIC_SHIFT != MAGIC)
        return weir__fail(EPROTO, "something else than an arena stands there");
    if (size_bytes <= WEIR_ARENA_HEADER_BYTES || size_bytes > space.size_bytes - offset)
        return weir__fail(EUCLEAN, "an arena that says it has %llu bytes: %llu are there",
                          (unsigned long long)size_bytes,
                          (unsigned long long)(space.size_bytes - offset));
    *arena =
        (struct weir_arena){ space, shm, offset + WEIR_ARENA_HEADER_BYTES, offset + size_bytes };
    return 0;
}

static int damaged(const struct weir_arena *arena, uint64_t used)
{
    return weir__fail(EUCLEAN, "the arena says that %llu bytes of %llu are used",
                      (unsigned long long)used,
                      (unsigned long long)(arena->end_offset - arena->begin_offset));
}

/* With the mutex. Whoever was here before died, perhaps; or had died, and nobody saw the place. */
static int recover(struct weir_arena *arena)
{
    struct weir__arena_shm *shm = arena->shm;
    if (weir__word(&shm->intent.act) == NOTHING)
        return 0;
    uint64_t offset = weir__word(&shm->intent.place), before = weir__word(&shm->before);
    const weir__atomic_u64 *place = weir__place_at(arena->space, offset);
    if (!place)
        return weir__place_unseen(arena->space, offset, "arena");
    if (weir__word(place) != weir__word(&shm->intent.block)) {
        if (before > arena->end_offset - arena->begin_offset)
            return damaged(arena, before);
        weir__set_word(&shm->used, before);
        /* CRASH arena.restored: done again. */
    }
    weir__intent_done(&shm->intent);
    return WEIR_OWNER_DIED;
}

static int unlock(struct weir_arena *arena, int result)
{
    weir_mutex_unlock(&arena->shm->intent.mutex);
    return result;
}

/* 0 or WEIR_OWNER_DIED: locked, whole, and used is true. */
static int lock(struct weir_arena *arena, uint64_t *used)
{
    struct weir__arena_shm *shm = arena->shm;
    int result = weir__intent_lock(&shm->intent);
    if (result != 0)
        return result;
    result = recover(arena);
    if (result < 0)
        return unlock(arena, result);
    *used = weir__word(&shm->used);
    if (*used > arena->end_offset - arena->begin_offset)
        return unlock(arena, damaged(arena, *used));
    return result;
}

int weir_arena_alloc(struct weir_arena *arena, uint64_t size_bytes, uint64_t align, uint64_t *place)
{
    uint64_t place_offset, used;
    int result = weir__place_check(arena->space, place, &place_offset);
    if (result != 0)
        return result;
    if (size_bytes == 0 || align == 0 || align > 4096 || (align & (align - 1)) != 0)
        return weir__fail(EINVAL,
                          "%llu bytes aligned to %llu: one at least, and a power of two to 4096",
                          (unsigned long long)size_bytes, (unsigned long long)align);
    result = lock(arena, &used);
    if (result < 0)
        return result;
    struct weir__arena_shm *shm = arena->shm;
    weir__atomic_u64 *to = weir__place_at(arena->space, place_offset);
    if (weir__word(to) != 0)
        return unlock(arena, weir__fail_plain(EINVAL, "the place holds an offset already"));
    uint64_t block = (arena->begin_offset + used + align - 1) & ~(align - 1);
    if (block > arena->end_offset || size_bytes > arena->end_offset - block)
        return unlock(
            arena, weir__fail(ENOMEM, "%llu bytes are left in the arena, not %llu",
                              (unsigned long long)(arena->end_offset - arena->begin_offset - used),
                              (unsigned long long)size_bytes));
    weir__set_word(&shm->before, used);
    weir__intend(&shm->intent, ALLOC, place_offset, block);
    weir__set_word(&shm->used, block + size_bytes - arena->begin_offset);
    /* CRASH arena.unplaced: taken back. */
    weir__set_word(to, block);
    /* CRASH arena.placed: the place's. */
    weir__intent_done(&shm->intent);
    return unlock(arena, 0);
}

int weir_arena_recover(struct weir_arena *arena)
{
    uint64_t used;
    int result = lock(arena, &used);
    return result < 0 ? result : unlock(arena, result);
}

int weir_arena_used(struct weir_arena *arena, uint64_t *used_bytes)
{
    int result = lock(arena, used_bytes);
    return result < 0 ? result : unlock(arena, 0);
}

int weir_arena_reset(struct weir_arena *arena)
{
    uint64_t used;
    int result = lock(arena, &used);
    if (result < 0)
        return result;
    weir__set_word(&arena->shm->used, 0);
    return unlock(arena, 0);
}
