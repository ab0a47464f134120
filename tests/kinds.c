/* SPDX-License-Identifier: MIT */
/* The objects of shared state in one memory, and how each is made, opened, taken and given. */
#include "kinds.h"

#include <errno.h>
#include <string.h>

enum { WORDS = 8 };

static struct weir_rwlock rwlock;
static struct weir_permits permits;
static struct weir_barrier barrier;
static struct weir_pool pool;
static struct weir_arena arena;
static struct weir_latest_writer *writer;
static struct weir_latest_reader *reader;
static uint64_t seen_version, held_words[WORDS];
static uint32_t permit, party;

static int lock_mutex(int64_t deadline_ns)
{
    return weir_mutex_lock_until(&kinds_board()->mutex, deadline_ns);
}

static int unlock_mutex(void)
{
    int result = weir_mutex_consistent(&kinds_board()->mutex);
    return result == 0 || result == -EINVAL ? weir_mutex_unlock(&kinds_board()->mutex) : result;
}

static int make_recursive(void)
{
    return weir_mutex_init(&kinds_board()->recursive, WEIR_MUTEX_RECURSIVE);
}

/* Twice: what a death leaves is not held twice by the next. */
static int lock_recursive(int64_t deadline_ns)
{
    int result = weir_mutex_lock_until(&kinds_board()->recursive, deadline_ns);
    int again = result < 0 ? 0 : weir_mutex_lock_until(&kinds_board()->recursive, deadline_ns);
    return again < 0 ? again : result;
}

static int unlock_recursive(void)
{
    weir_mutex_consistent(&kinds_board()->recursive);
    int result = weir_mutex_unlock(&kinds_board()->recursive);
    return result == 0 ? weir_mutex_unlock(&kinds_board()->recursive) : result;
}

static int begin_once(int64_t deadline_ns)
{
    int result = weir_once_begin_until(&kinds_board()->once, deadline_ns);
    return result == WEIR_ONCE_BEGUN ? 0 : result == 0 ? -EALREADY : result;
}

static int abandon_once(void)
{
    return weir_once_abandon(&kinds_board()->once);
}

static int make_rwlock(void)
{
    return weir_rwlock_init(kinds_board()->rwlock, sizeof kinds_board()->rwlock, 4);
}

static int open_rwlock(void)
{
    return weir_rwlock_open(&rwlock, kinds_board()->rwlock, sizeof kinds_board()->rwlock);
}

static int lock_to_write(int64_t deadline_ns)
{
    return weir_rwlock_write_lock_until(&rwlock, deadline_ns);
}

/* By way of reading, which is another place. */
static int unlock_written(void)
{
    weir_rwlock_consistent(&rwlock);
    int result = weir_rwlock_downgrade(&rwlock);
    return result == 0 ? weir_rwlock_read_unlock(&rwlock) : result;
}

static int make_permits(void)
{
    return weir_permits_init(kinds_board()->permits, sizeof kinds_board()->permits, 1);
}

static int open_permits(void)
{
    return weir_permits_open(&permits, kinds_board()->permits, sizeof kinds_board()->permits);
}

static int take_permit(int64_t deadline_ns)
{
    return weir_permits_take_until(&permits, &permit, deadline_ns);
}

static int release_permit(void)
{
    return weir_permits_release(&permits, permit);
}

static bool take_what_is_ready(void)
{
    uint32_t ready = kinds_board()->ready;
    while (ready > 0)
        if (atomic_compare_exchange_weak(&kinds_board()->ready, &ready, ready - 1))
            return true;
    return false;
}

static int await_condition(int64_t deadline_ns)
{
    int result = weir_mutex_lock(&kinds_board()->mutex);
    while (result == 0 && kinds_board()->ready == 0)
        result = weir_condition_wait_until(&kinds_board()->condition, &kinds_board()->mutex,
                                           deadline_ns);
    if (result == 0)
        kinds_board()->ready--;
    int unlocked = weir_mutex_unlock(&kinds_board()->mutex);
    return result != 0 ? result : unlocked;
}

static int signal_condition(void)
{
    int result = weir_mutex_lock_until(&kinds_board()->mutex, weir_deadline_ns(KINDS_BOUND_NS));
    if (result != 0)
        return result;
    kinds_board()->ready++;
    result = weir_condition_signal(&kinds_board()->condition);
    return result == 0 ? weir_mutex_unlock(&kinds_board()->mutex) : result;
}

static int await_event(int64_t deadline_ns)
{
    uint32_t ticket;
    int result = 0;
    while (!take_what_is_ready()) {
        if (result == 0)
            result = weir_event_prepare(&kinds_board()->event, &ticket);
        if (result != 0)
            return result;
        if (kinds_board()->ready == 0)
            result = weir_event_wait_until(&kinds_board()->event, ticket, deadline_ns);
    }
    return 0;
}

static int notify_event(void)
{
    kinds_board()->ready++;
    return weir_event_notify(&kinds_board()->event);
}

static int await_unit(int64_t deadline_ns)
{
    return weir_semaphore_wait_until(&kinds_board()->semaphore, deadline_ns);
}

static int post_unit(void)
{
    return weir_semaphore_post(&kinds_board()->semaphore);
}

static struct weir_latest_memory latest_memory(struct weir_latest_options *options)
{
    struct weir_latest_memory memory;
    *options = (struct weir_latest_options)WEIR_LATEST_OPTIONS;
    options->value_bytes_max = sizeof held_words;
    options->buffers = 8;
    options->holds = 2;
    int result = weir_latest_bytes(options, &memory);
    if (result != 0 || memory.values_bytes > sizeof kinds_board()->values ||
        memory.readers_bytes > sizeof kinds_board()->readers)
        memory.values_bytes = 0;
    memory.values = kinds_board()->values;
    memory.readers = kinds_board()->readers;
    return memory;
}

static int make_latest(void)
{
    struct weir_latest_options options;
    struct weir_latest_memory memory = latest_memory(&options);
    return weir_latest_init(&memory, &options);
}

static int open_latest(void)
{
    struct weir_latest_options options;
    struct weir_latest_memory memory = latest_memory(&options);
    return weir_latest_reader_open(&reader, &memory);
}

/* A value newer than the last that this process has seen: it is held, and whole. */
static int await_value(int64_t deadline_ns)
{
    struct weir_latest_value value;
    int result = weir_latest_wait_until(reader, seen_version, deadline_ns);
    if (result == 0)
        result = weir_latest_hold(reader, &value);
    if (result != 0)
        return result;
    const uint64_t *words = value.data;
    for (unsigned i = 0; i < WORDS; i++)
        if (value.size_bytes != sizeof held_words || words[i] != value.version + i)
            result = -EBADMSG;
    seen_version = value.version;
    int released = weir_latest_release(reader, &value);
    return result != 0 ? result : released;
}

static int write_value(void)
{
    struct weir_latest_options options;
    struct weir_latest_memory memory = latest_memory(&options);
    int result = weir_latest_writer_open(&writer, &memory);
    if (result < 0)
        return result;
    uint64_t version = weir_latest_version(reader) + 1;
    for (unsigned i = 0; i < WORDS; i++)
        held_words[i] = version + i;
    result = weir_latest_write(writer, held_words, sizeof held_words);
    weir_latest_writer_close(writer);
    return result;
}

static int make_barrier(void)
{
    return weir_barrier_init(kinds_board()->barrier, sizeof kinds_board()->barrier, 2);
}

static int open_barrier(void)
{
    return weir_barrier_open(&barrier, kinds_board()->barrier, sizeof kinds_board()->barrier);
}

static int join_barrier(void)
{
    return weir_barrier_join(&barrier, &party);
}

static int meet_at_barrier(int64_t deadline_ns)
{
    return weir_barrier_wait_until(&barrier, party, deadline_ns);
}

static struct weir_space space(void)
{
    return (struct weir_space){ peers_memory, sizeof(struct kinds_board) };
}

static int make_pool(void)
{
    return weir_pool_init(space(), offsetof(struct kinds_board, pool), 128, KINDS_BLOCKS);
}

static int open_pool(void)
{
    return weir_pool_open(&pool, space(), offsetof(struct kinds_board, pool));
}

static int make_arena(void)
{
    return weir_arena_init(space(), offsetof(struct kinds_board, arena),
                           sizeof kinds_board()->arena);
}

static int open_arena(void)
{
    return weir_arena_open(&arena, space(), offsetof(struct kinds_board, arena));
}

/* Of the block at the first place that is 0: its bytes say which. */
static int alloc_block(bool from_pool)
{
    for (unsigned i = 0; i < KINDS_BLOCKS; i++) {
        uint64_t *place = &kinds_board()->place[i];
        if (*place != 0)
            continue;
        int result =
            from_pool ? weir_pool_alloc(&pool, place) : weir_arena_alloc(&arena, 128, 64, place);
        if (result == 0)
            memset((char *)peers_memory + *place, (int)i + 1, 128);
        return result;
    }
    return -ENOSPC;
}

static int alloc_of_pool(int64_t unused)
{
    (void)unused;
    return alloc_block(true);
}

static int alloc_of_arena(int64_t unused)
{
    (void)unused;
    return alloc_block(false);
}

static bool blocks_are_whole(void)
{
    bool are_whole = true;
    for (unsigned i = 0; i < KINDS_BLOCKS && kinds_board()->place[i] != 0; i++)
        are_whole &=
            all_bytes((char *)peers_memory + kinds_board()->place[i], 128, (unsigned char)(i + 1));
    return are_whole;
}

/* All that anybody has allocated, after a look at it. */
static int free_all(void)
{
    uint32_t used;
    int result = blocks_are_whole() ? weir_pool_recover(&pool) : -EBADMSG;
    for (unsigned i = 0; i < KINDS_BLOCKS && result == 0; i++)
        if (kinds_board()->place[i] != 0)
            result = weir_pool_free(&pool, &kinds_board()->place[i]);
    if (result == 0)
        result = weir_pool_used(&pool, &used);
    return result != 0 ? result : used != 0 ? -EXFULL : weir_pool_check(&pool);
}

static int reset_arena(void)
{
    uint64_t used_bytes;
    int result = blocks_are_whole() ? weir_arena_recover(&arena) : -EBADMSG;
    memset(kinds_board()->place, 0, sizeof kinds_board()->place);
    if (result == 0)
        result = weir_arena_reset(&arena);
    if (result == 0)
        result = weir_arena_used(&arena, &used_bytes);
    return result != 0 ? result : used_bytes != 0 ? -EXFULL : 0;
}

void kinds_forget(void)
{
    if (reader)
        weir_latest_reader_close(reader);
    reader = NULL;
    seen_version = 0;
}

const struct kinds_object kinds_objects[] = {
    { "mutex", KINDS_HELD, NULL, NULL, lock_mutex, unlock_mutex },
    { "recursive mutex", KINDS_HELD, make_recursive, NULL, lock_recursive, unlock_recursive },
    { "once", KINDS_HELD, NULL, NULL, begin_once, abandon_once },
    { "rwlock", KINDS_HELD, make_rwlock, open_rwlock, lock_to_write, unlock_written },
    { "permits", KINDS_HELD, make_permits, open_permits, take_permit, release_permit },
    { "condition", KINDS_PASSED, NULL, NULL, await_condition, signal_condition },
    { "event", KINDS_PASSED, NULL, NULL, await_event, notify_event },
    { "semaphore", KINDS_PASSED, NULL, NULL, await_unit, post_unit },
    { "latest value", KINDS_PASSED, make_latest, open_latest, await_value, write_value },
    { "barrier", KINDS_MET, make_barrier, open_barrier, meet_at_barrier, join_barrier },
    { "pool", KINDS_ALLOCATED, make_pool, open_pool, alloc_of_pool, free_all },
    { "arena", KINDS_ALLOCATED, make_arena, open_arena, alloc_of_arena, reset_arena },
};

const unsigned kinds_object_count = ARRAY_SIZE(kinds_objects);
