/* SPDX-License-Identifier: MIT */
/*
 * The pool: its steps, and what a kill between them leaves. Its words are in alloc/pool.h.
 *
 *   step of alloc               | killed after it, who comes next finds    | and does
 *   ----------------------------+------------------------------------------+----------------------
 *   1 act, place, block i said  | place is not i's offset                  | i back to the free list,
 *   2 free = link[i], or fresh  |                                          | unless it is its head, or
 *     = i + 1                   |                                          | still beyond fresh
 *   3 link[i] = GIVEN           |                                          |
 *   4 place = i's offset        | place is i's offset                      | act = 0
 *   5 act = 0                   | nothing                                  | nothing
 *
 *   step of free
 *   1 act, place, block i said  | place is i's offset                      | act = 0: not begun
 *   2 place = 0                 | place is not i's offset                  | i to the free list,
 *   3 link[i] = free            |                                          | unless it is its head
 *   4 free = i + 1              |                                          |
 *   5 act = 0                   | nothing                                  | nothing
 *
 * Who does not see the place, because its space ends before it, cannot tell whether the act has come
 * to pass, and does none of this: -EUCLEAN, until one that sees it comes (alloc/intent.h). So does
 * who finds words that cannot be: a block that is none, PO2.
 *
 * PO1: a block below fresh is GIVEN, and exactly one place holds its offset; or it is in the free
 *     list, once. But the one of the act.
 * PO2: links and free are at most fresh.
 *
 * Putting a block on the free list is two stores (link, then free) that may be made twice.
 */
#include <weir/pool.h>

#include <errno.h>

#include "alloc/pool.h"
#include "base/error.h"

#define MAGIC UINT64_C(0x9001b)
#define MAGIC_SHIFT 44 /* sizes are below 16 TiB */

enum act { NOTHING = 0, ALLOC = 1, FREE = 2 };

static uint64_t round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

static uint64_t stride_of(uint64_t block_bytes)
{
    return round_up(block_bytes, block_bytes % 64 == 0 ? 64 : 16);
}

static uint64_t head_bytes(uint32_t count)
{
    return round_up(sizeof(struct weir__pool_shm) + (uint64_t)count * sizeof(uint32_t), 64);
}

uint64_t weir_pool_bytes(uint64_t block_bytes, uint32_t blocks)
{
    uint64_t bytes;
    if (block_bytes == 0 || block_bytes >> MAGIC_SHIFT != 0 || blocks == 0 ||
        blocks > WEIR_POOL_BLOCKS_MAX ||
        __builtin_mul_overflow(stride_of(block_bytes), (uint64_t)blocks, &bytes) ||
        __builtin_add_overflow(bytes, head_bytes(blocks), &bytes) || bytes > INT64_MAX)
        return 0;
    return bytes;
}

/* 0 -> magic and value; true: it is that now. */
static bool agree(weir__atomic_u64 *word, uint64_t value, uint64_t *found)
{
    uint64_t wanted = MAGIC << MAGIC_SHIFT | value;
    *found = 0;
    /* Release [pool.geometry]: zeros before it, and the first word before the second. Pairs with
     * read_geometry(). */
    return atomic_compare_exchange_strong_explicit(word, found, wanted, memory_order_acq_rel,
                                                   memory_order_acquire) ||
           *found == wanted;
}

static int foreign(void)
{
    return weir__fail_plain(EPROTO, "something else than a pool stands there");
}

int weir_pool_init(struct weir_space space, uint64_t offset, uint64_t block_bytes, uint32_t blocks)
{
    void *area;
    uint64_t found, bytes = weir_pool_bytes(block_bytes, blocks);
    if (bytes == 0)
        return weir__fail(EINVAL,
                          "a pool of %u blocks of %llu bytes: 1 to %u blocks of 1 byte to less "
                          "than 16 TiB, and all of them less than 8 EiB",
                          blocks, (unsigned long long)block_bytes, WEIR_POOL_BLOCKS_MAX);
    int result = weir__area_find(space, offset, bytes, "pool", &area);
    if (result != 0)
        return result;
    struct weir__pool_shm *shm = area;
    if (agree(&shm->geometry_bytes, block_bytes, &found) &&
        agree(&shm->geometry_count, blocks, &found))
        return 0;
    if (found >> MAGIC_SHIFT != MAGIC)
        return foreign();
    return weir__fail(EINVAL,
                      "a pool stands there already, and has %llu where %u blocks of %llu bytes "
                      "are wanted",
                      (unsigned long long)(found ^ MAGIC << MAGIC_SHIFT), blocks,
                      (unsigned long long)block_bytes);
}

static int read_geometry(const weir__atomic_u64 *word, uint64_t *value)
{
    /* Acquire [pool.geometry]: zeros before it. Pairs with agree(). */
    uint64_t found = atomic_load_explicit(word, memory_order_acquire);
    *value = found ^ MAGIC << MAGIC_SHIFT;
    if (found == 0)
        return weir__fail_plain(ENOENT, "no pool is there yet: weir_pool_init() makes it");
    return *value >> MAGIC_SHIFT == 0 ? 0 : foreign();
}

int weir_pool_open(struct weir_pool *pool, struct weir_space space, uint64_t offset)
{
    void *area;
    uint64_t block_bytes, count;
    int result = weir__area_find(space, offset, sizeof(struct weir__pool_shm), "pool", &area);
    struct weir__pool_shm *shm = area;
    if (result == 0)
        result = read_geometry(&shm->geometry_bytes, &block_bytes);
    if (result == 0)
        result = read_geometry(&shm->geometry_count, &count);
    if (result != 0)
        return result;
    uint64_t bytes =
        count <= WEIR_POOL_BLOCKS_MAX ? weir_pool_bytes(block_bytes, (uint32_t)count) : 0;
    if (bytes == 0 || bytes > space.size_bytes - offset)
        return weir__fail(EUCLEAN,
                          "a pool that says it has %llu blocks of %llu bytes: %llu are there",
                          (unsigned long long)count, (unsigned long long)block_bytes,
                          (unsigned long long)(space.size_bytes - offset));
    *pool = (struct weir_pool){ space, shm, offset + head_bytes((uint32_t)count), block_bytes,
                                (uint32_t)count };
    return 0;
}

static int damaged(const char *what, uint64_t value)
{
    return weir__fail(EUCLEAN, "the pool is damaged: %s is %llu", what, (unsigned long long)value);
}

static uint64_t offset_of(const struct weir_pool *pool, uint64_t block)
{
    return pool->blocks_offset + block * stride_of(pool->block_bytes);
}

static uint32_t load_link(const struct weir_pool *pool, uint64_t block)
{
    /* Relaxed: guarded by the mutex; atomic for its width, and for liars. */
    return atomic_load_explicit(&pool->shm->link[block], memory_order_relaxed);
}

static void set_link(struct weir_pool *pool, uint64_t block, uint32_t to)
{
    /* Relaxed: guarded by the mutex. */
    atomic_store_explicit(&pool->shm->link[block], to, memory_order_relaxed);
    weir__step();
}

/* --- what the holder of the mutex does ----------------------------------------------------- */

/* May be made twice: then block is the head already, and its link is right. */
static void put_back(struct weir_pool *pool, uint64_t block)
{
    if (weir__word(&pool->shm->free) == block + 1)
        return;
    set_link(pool, block, (uint32_t)weir__word(&pool->shm->free));
    /* CRASH pool.linked: done again. */
    weir__set_word(&pool->shm->free, block + 1);
}

static void take_back(struct weir_pool *pool, uint64_t block)
{
    if (block < weir__word(&pool->shm->fresh))
        put_back(pool, block);
}

/* With the mutex, and free and fresh are within their bounds. 0: nobody has died with an act begun. */
static int recover(struct weir_pool *pool)
{
    struct weir__pool_shm *shm = pool->shm;
    if (weir__word(&shm->intent.act) == NOTHING)
        return 0;
    uint64_t offset = weir__word(&shm->intent.place), block = weir__word(&shm->intent.block);
    const weir__atomic_u64 *place = weir__place_at(pool->space, offset);
    if (block >= pool->count)
        return damaged("the block of an act", block);
    if (!place)
        return weir__place_unseen(pool->space, offset, "pool");
    bool is_placed = weir__word(place) == offset_of(pool, block);
    if (!is_placed)
        take_back(pool, block);
    weir__intent_done(&shm->intent);
    return WEIR_OWNER_DIED;
}

/*
 * What the holder of the mutex goes by: free <= fresh <= count. Read once, and the copy checked: who
 * lies may change the words while we hold the mutex.
 */
struct bounds {
    uint64_t free, fresh;
};

static int read_bounds(const struct weir_pool *pool, struct bounds *bounds)
{
    bounds->fresh = weir__word(&pool->shm->fresh);
    bounds->free = weir__word(&pool->shm->free);
    if (bounds->fresh > pool->count)
        return damaged("the number of blocks that were given once", bounds->fresh);
    return bounds->free > bounds->fresh ? damaged("the first free block", bounds->free) : 0;
}

static int unlock(struct weir_pool *pool, int result)
{
    weir_mutex_unlock(&pool->shm->intent.mutex);
    return result;
}

/* 0 or WEIR_OWNER_DIED: locked, and whole. */
static int lock(struct weir_pool *pool, struct bounds *bounds)
{
    int result = weir__intent_lock(&pool->shm->intent);
    if (result != 0)
        return result;
    result = read_bounds(pool, bounds);
    if (result == 0)
        result = recover(pool);
    if (result == WEIR_OWNER_DIED && read_bounds(pool, bounds) != 0) /* as the recovery left them */
        result = -EUCLEAN;
    return result < 0 ? unlock(pool, result) : result;
}

/* A block for the act, still where it is. */
static int choose(const struct weir_pool *pool, const struct bounds *bounds, uint64_t *block,
                  uint64_t *next)
{
    *next = 0;
    if (bounds->free == 0) {
        *block = bounds->fresh;
        if (*block < pool->count)
            return 0;
        return weir__fail(ENOMEM, "all %u blocks of the pool are in use", pool->count);
    }
    *block = bounds->free - 1;
    *next = load_link(pool, *block);
    return *next <= bounds->fresh ? 0 : damaged("the link of a free block", *next);
}

static void give(struct weir_pool *pool, const struct bounds *bounds, uint64_t block, uint64_t next)
{
    struct weir__pool_shm *shm = pool->shm;
    if (bounds->free != 0)
        weir__set_word(&shm->free, next);
    else
        weir__set_word(&shm->fresh, block + 1);
    /* CRASH pool.unlisted: neither free nor given; the act says which. */
    set_link(pool, block, WEIR__POOL_GIVEN);
}

int weir_pool_alloc(struct weir_pool *pool, uint64_t *place)
{
    uint64_t place_offset, block, next;
    struct bounds bounds;
    int result = weir__place_check(pool->space, place, &place_offset);
    if (result == 0)
        result = lock(pool, &bounds);
    if (result < 0)
        return result;
    weir__atomic_u64 *to = weir__place_at(pool->space, place_offset);
    if (weir__word(to) != 0)
        return unlock(pool, weir__fail_plain(EINVAL, "the place holds an offset already"));
    result = choose(pool, &bounds, &block, &next);
    if (result != 0)
        return unlock(pool, result);
    weir__intend(&pool->shm->intent, ALLOC, place_offset, block);
    give(pool, &bounds, block, next);
    /* CRASH pool.unplaced: taken back. */
    weir__set_word(to, offset_of(pool, block));
    /* CRASH pool.placed: the place's. */
    weir__intent_done(&pool->shm->intent);
    return unlock(pool, 0);
}

/* The block that a place holds. */
static int find(const struct weir_pool *pool, const struct bounds *bounds, uint64_t offset,
                uint64_t *block)
{
    uint64_t stride = stride_of(pool->block_bytes), at = offset - pool->blocks_offset;
    *block = at / stride;
    if (offset < pool->blocks_offset || at % stride != 0 || *block >= bounds->fresh)
        return weir__fail(EINVAL, "the place holds %llu: no block of this pool begins there",
                          (unsigned long long)offset);
    if (load_link(pool, *block) != WEIR__POOL_GIVEN)
        return weir__fail(EINVAL, "block %llu is free already: freed twice?",
                          (unsigned long long)*block);
    return 0;
}

int weir_pool_free(struct weir_pool *pool, uint64_t *place)
{
    uint64_t place_offset, block;
    struct bounds bounds;
    int result = weir__place_check(pool->space, place, &place_offset);
    if (result == 0)
        result = lock(pool, &bounds);
    if (result < 0)
        return result;
    weir__atomic_u64 *from = weir__place_at(pool->space, place_offset);
    result = find(pool, &bounds, weir__word(from), &block);
    if (result != 0)
        return unlock(pool, result);
    weir__intend(&pool->shm->intent, FREE, place_offset, block);
    weir__set_word(from, 0);
    /* CRASH pool.left: put back. */
    put_back(pool, block);
    weir__intent_done(&pool->shm->intent);
    return unlock(pool, 0);
}

int weir_pool_recover(struct weir_pool *pool)
{
    struct bounds bounds;
    int result = lock(pool, &bounds);
    return result < 0 ? result : unlock(pool, result);
}

/* --- counting ------------------------------------------------------------------------------ */

/* How many are in the free list; more than there can be: it is a ring. */
static int count_free(const struct weir_pool *pool, const struct bounds *bounds, uint64_t *count)
{
    uint64_t at = bounds->free;
    for (*count = 0; at != 0; (*count)++) {
        if (at > bounds->fresh)
            return damaged("a link", at);
        if (*count == bounds->fresh)
            return damaged("the free list's length, which is a ring's: more than", *count);
        at = load_link(pool, at - 1);
    }
    return 0;
}

static uint64_t count_given(const struct weir_pool *pool, const struct bounds *bounds)
{
    uint64_t given = 0;
    for (uint64_t i = 0; i < bounds->fresh; i++)
        given += load_link(pool, i) == WEIR__POOL_GIVEN;
    return given;
}

int weir_pool_check(struct weir_pool *pool)
{
    uint64_t free, given;
    struct bounds bounds;
    int result = lock(pool, &bounds);
    if (result < 0)
        return result;
    result = count_free(pool, &bounds, &free);
    given = count_given(pool, &bounds);
    if (result == 0 && free + given != bounds.fresh)
        result = damaged("the number of blocks that are neither free nor given",
                         bounds.fresh - free - given);
    return unlock(pool, result);
}

int weir_pool_used(struct weir_pool *pool, uint32_t *used)
{
    uint64_t free;
    struct bounds bounds;
    int result = lock(pool, &bounds);
    if (result < 0)
        return result;
    result = count_free(pool, &bounds, &free);
    if (result == 0)
        *used = (uint32_t)(bounds.fresh - free);
    return unlock(pool, result);
}
