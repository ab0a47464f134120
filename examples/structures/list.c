/* SPDX-License-Identifier: MIT */
#include "list.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#define NODES 100

/*
 * The compiler may swap two stores when nobody in this process can tell. Somebody else can: who
 * finds what a killed process left. Between two stores whose order a repair relies on, it must not.
 */
#define STEP() atomic_signal_fence(memory_order_seq_cst)

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

uint64_t view_bytes(void)
{
    return round_up(sizeof(struct shared)) + round_up(weir_pool_bytes(sizeof(struct node), NODES)) +
           weir_pool_bytes(sizeof(struct entry), WORDS);
}

int view_open(struct view *view, struct weir_segment *segment)
{
    struct weir_space space = { weir_segment_data(segment), weir_segment_size(segment) };
    uint64_t nodes_at = round_up(sizeof(struct shared));
    uint64_t entries_at = nodes_at + round_up(weir_pool_bytes(sizeof(struct node), NODES));
    view->space = space;
    view->shared = space.base;
    int result = weir_pool_init(space, nodes_at, sizeof(struct node), NODES);
    if (result == 0)
        result = weir_pool_init(space, entries_at, sizeof(struct entry), WORDS);
    if (result == 0)
        result = weir_pool_open(&view->nodes, space, nodes_at);
    if (result == 0)
        result = weir_pool_open(&view->entries, space, entries_at);
    return result;
}

static struct node *node_at(const struct view *view, node_pointer pointer)
{
    return weir_pointer_get(view->space, pointer);
}

static struct entry *entry_at(const struct view *view, entry_pointer pointer)
{
    return weir_pointer_get(view->space, pointer);
}

/* --- the table, with the mutex held -------------------------------------------------------- */

static struct entry *table_find(struct view *view, uint32_t word)
{
    struct entry *entry = entry_at(view, view->shared->bucket[word % BUCKETS]);
    while (entry && entry->word != word)
        entry = entry_at(view, entry->next);
    return entry;
}

static int table_add(struct view *view, uint32_t word, int by)
{
    struct shared *shared = view->shared;
    struct entry *entry = table_find(view, word);
    if (!entry) {
        int result = weir_pool_alloc(&view->entries, &shared->entry.offset);
        if (result != 0)
            return result;
        entry = entry_at(view, shared->entry);
        *entry = (struct entry){ .next = shared->bucket[word % BUCKETS], .word = word };
        STEP();
        shared->bucket[word % BUCKETS] = shared->entry; /* linked */
        STEP();
        shared->entry.offset = 0;
    }
    entry->count += (uint32_t)by;
    return 0;
}

static void table_clear(struct view *view)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        struct entry *entry = entry_at(view, view->shared->bucket[i]);
        for (; entry; entry = entry_at(view, entry->next))
            entry->count = 0;
    }
}

/* --- repair -------------------------------------------------------------------------------- */

/* A node or entry that was on its way: linked already, or it goes back. */
static int settle(struct weir_pool *pool, uint64_t *place, uint64_t linked)
{
    if (*place == 0)
        return 0;
    if (*place != linked)
        return weir_pool_free(pool, place);
    *place = 0;
    return 0;
}

/* The former holder died. May be killed itself: then the next one begins it again. */
static int repair(struct view *view)
{
    struct shared *shared = view->shared;
    int result = weir_pool_recover(&view->nodes); /* first, before a place is looked at */
    if (result >= 0)
        result = weir_pool_recover(&view->entries);
    if (result >= 0)
        result = settle(&view->nodes, &shared->fresh.offset, shared->head.offset);
    if (result >= 0)
        result = settle(&view->nodes, &shared->leaving.offset, shared->head.offset);
    const struct entry *entry = entry_at(view, shared->entry);
    if (result >= 0 && entry)
        result = settle(&view->entries, &shared->entry.offset,
                        shared->bucket[entry->word % BUCKETS].offset);
    if (result < 0)
        return result;
    table_clear(view);
    const struct node *node = node_at(view, shared->head);
    for (; node && result >= 0; node = node_at(view, node->next))
        result = table_add(view, node->word, 1);
    shared->repairs++;
    return result < 0 ? result : weir_mutex_consistent(&shared->mutex);
}

static int lock(struct view *view)
{
    int result = weir_mutex_lock(&view->shared->mutex);
    if (result != WEIR_OWNER_DIED)
        return result;
    result = repair(view);
    if (result != 0)
        weir_mutex_unlock(&view->shared->mutex); /* given up: nobody gets it any more */
    return result;
}

static int unlock(struct view *view, int result)
{
    weir_mutex_unlock(&view->shared->mutex);
    return result;
}

/* --- the list ------------------------------------------------------------------------------ */

int list_push(struct view *view, uint32_t word)
{
    struct shared *shared = view->shared;
    int result = lock(view);
    if (result != 0)
        return result;
    result = weir_pool_alloc(&view->nodes, &shared->fresh.offset);
    if (result != 0)
        return unlock(view, result);
    struct node *node = node_at(view, shared->fresh);
    node->next = shared->head;
    node->word = word;
    STEP();
    shared->head = shared->fresh; /* linked: before this store it is not there, after it it is */
    STEP();
    shared->fresh.offset = 0;
    shared->changes++;
    return unlock(view, table_add(view, word, 1));
}

int list_pop(struct view *view, uint32_t *word)
{
    struct shared *shared = view->shared;
    int result = lock(view);
    if (result != 0)
        return result;
    const struct node *node = node_at(view, shared->head);
    if (!node)
        return unlock(view, -ENOENT);
    *word = node->word;
    shared->leaving = shared->head;
    STEP();
    shared->head = node->next; /* unlinked */
    STEP();
    result = weir_pool_free(&view->nodes, &shared->leaving.offset);
    shared->changes++;
    return unlock(view, result == 0 ? table_add(view, *word, -1) : result);
}

/* --- what must hold ------------------------------------------------------------------------ */

static int disagree(const char *what, uint32_t one, uint32_t other)
{
    if (one != other)
        fprintf(stderr, "%s: %u and %u\n", what, one, other);
    return one != other ? -EUCLEAN : 0;
}

int list_check(struct view *view)
{
    uint32_t found[WORDS] = { 0 }, length = 0, entries = 0, used;
    int result = lock(view);
    if (result != 0)
        return result;
    const struct node *node = node_at(view, view->shared->head);
    for (; node && length <= NODES; node = node_at(view, node->next)) {
        found[node->word % WORDS]++;
        length++;
    }
    for (uint32_t word = 0; word < WORDS && result == 0; word++) {
        const struct entry *entry = table_find(view, word);
        entries += entry != NULL;
        result = disagree("list and table", found[word], entry ? entry->count : 0);
    }
    if (result == 0)
        result = weir_pool_used(&view->nodes, &used);
    if (result == 0)
        result = disagree("nodes in the list and in use", length, used);
    if (result == 0)
        result = weir_pool_used(&view->entries, &used);
    if (result == 0)
        result = disagree("entries in the table and in use", entries, used);
    return unlock(view, result);
}
