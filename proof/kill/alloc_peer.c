/* SPDX-License-Identifier: MIT */
/* What a peer does with a pool and an arena, and how all that is given is counted. */
#include "act.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static struct weir_pool pool;
static struct weir_arena arena;
static bool is_open;

static struct alloc_state *state(void)
{
    return &accounts->alloc;
}

static int make_and_open(void)
{
    const struct weir_space space = { state(), sizeof *state() };
    const uint64_t pool_at = offsetof(struct alloc_state, pool);
    const uint64_t arena_at = offsetof(struct alloc_state, arena);
    int result = 0;
    if (is_open)
        return 0;
    if (weir_pool_bytes(BLOCK_BYTES, BLOCKS) > POOL_BYTES)
        return -EOVERFLOW;
    result = weir_pool_init(space, pool_at, BLOCK_BYTES, BLOCKS);
    if (result == 0)
        result = weir_pool_open(&pool, space, pool_at);
    if (result == 0)
        result = weir_arena_init(space, arena_at, ARENA_BYTES);
    if (result == 0)
        result = weir_arena_open(&arena, space, arena_at);
    is_open = result == 0;
    return result;
}

/* Its owner writes all of a block: another owner would see that. */
static void fill(uint64_t block, unsigned who, unsigned index)
{
    memset((char *)state() + block, (int)(16 * who + index + 1), BLOCK_BYTES);
}

static bool is_filled(uint64_t block, unsigned who, unsigned index)
{
    const unsigned char *bytes = (const unsigned char *)state() + block;
    for (unsigned i = 0; i < BLOCK_BYTES; i++)
        if (bytes[i] != 16 * who + index + 1)
            return false;
    return true;
}

static int pool_alloc(const struct order *order)
{
    uint64_t *place = &state()->place[peer_self][order->count];
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_pool_alloc(&pool, place);
    peer_leave(order);
    if (result == 0)
        fill(*place, peer_self, order->count);
    return result;
}

/* One that is dead may have died before it filled it. */
static int pool_free(const struct order *order)
{
    unsigned who = order->size_bytes, index = order->count;
    uint64_t *place = &state()->place[who][index];
    if (*place == 0)
        return 0;
    if (who == (unsigned)peer_self && !is_filled(*place, who, index))
        return peer_broken("the block of place %u is another's as well", index);
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_pool_free(&pool, place);
    peer_leave(order);
    return result;
}

static int pool_recover(const struct order *order)
{
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_pool_recover(&pool);
    peer_leave(order);
    return result;
}

static int arena_alloc(const struct order *order)
{
    unsigned index = order->count;
    state()->arena_bytes[peer_self][index] = order->size_bytes;
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_arena_alloc(&arena, order->size_bytes, 64,
                                  &state()->arena_place[peer_self][index]);
    peer_leave(order);
    return result;
}

static int arena_recover(const struct order *order)
{
    peer_enter(order);
    int result = make_and_open();
    if (result == 0)
        result = weir_arena_recover(&arena);
    peer_leave(order);
    return result;
}

static int arena_reset(const struct order *order)
{
    int result = make_and_open();
    memset(state()->arena_place, 0, sizeof state()->arena_place);
    state()->is_reset = true;
    peer_enter(order);
    if (result == 0)
        result = weir_arena_reset(&arena);
    peer_leave(order);
    return result;
}

/* --- counting ------------------------------------------------------------------------------------ */

/* Whether a place holds it, but for this one. */
static bool is_given(uint64_t block, const uint64_t *but)
{
    const uint64_t *all = state()->place[0];
    for (unsigned i = 0; i < PEERS * OWN_PLACES; i++)
        if (&all[i] != but && all[i] == block)
            return true;
    return false;
}

/* As many as the places say, each once; all the others can be had, and no more. */
static int count_pool(void)
{
    const uint64_t *all = state()->place[0];
    uint64_t *spare = state()->spare;
    uint32_t used = 0;
    unsigned given = 0;
    int result = weir_pool_check(&pool);
    if (result == 0)
        result = weir_pool_used(&pool, &used);
    for (unsigned i = 0; i < PEERS * OWN_PLACES; i++) {
        given += all[i] != 0;
        if (all[i] != 0 && is_given(all[i], &all[i]))
            return peer_broken("block %u is given twice", (unsigned)all[i]);
    }
    if (result == 0 && used != given)
        return peer_broken("the pool has given %u blocks, and %u places hold one", used, given);
    for (unsigned i = given; i < BLOCKS && result == 0; i++) {
        result = weir_pool_alloc(&pool, &spare[i]);
        if (result == 0 && is_given(spare[i], NULL))
            return peer_broken("block %u is given once more", (unsigned)spare[i]);
    }
    if (result == 0 && weir_pool_alloc(&pool, &spare[BLOCKS]) != -ENOMEM)
        return peer_broken("%u blocks of %u are given", BLOCKS + 1, BLOCKS);
    for (unsigned i = given; i < BLOCKS && result == 0; i++)
        result = weir_pool_free(&pool, &spare[i]);
    return result;
}

/* Up to the end of what a place holds. Which of two stands first is not known: none over another. */
static int count_arena(void)
{
    const uint64_t *place = state()->arena_place[0], *bytes = state()->arena_bytes[0];
    uint64_t used = 0, end = arena.begin_offset;
    int result = weir_arena_used(&arena, &used);
    for (unsigned i = 0; i < PEERS * OWN_PLACES; i++) {
        for (unsigned k = 0; k < i; k++)
            if (place[i] != 0 && place[k] != 0 && place[i] < place[k] + bytes[k] &&
                place[k] < place[i] + bytes[i])
                return peer_broken("places %u and %u of the arena overlap", i, k);
        if (place[i] != 0 && place[i] + bytes[i] > end)
            end = place[i] + bytes[i];
    }
    if (result == 0 && used != end - arena.begin_offset && !state()->is_reset)
        return peer_broken("the arena has given %u bytes, and %u are owned", (unsigned)used,
                           (unsigned)(end - arena.begin_offset));
    state()->is_reset = false;
    return result;
}

static int count_blocks(const struct order *order)
{
    (void)order;
    int result = make_and_open();
    if (result == 0)
        result = count_pool();
    return result == 0 ? count_arena() : result;
}

act *const alloc_acts[VERBS] = { ALLOC_VERBS(VERB_ACT) };
