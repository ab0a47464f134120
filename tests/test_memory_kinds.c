/* SPDX-License-Identifier: MIT */
/*
 * Goal: every object of shared state works in any memory that the caller has mapped: System V, POSIX, a
 *       memfd, inherited by fork; at another address in each process; also when who has it is stopped or killed.
 * Method: the test and its peers (peers.h) have one memory of each kind, where nothing may be touched at the
 *       address that another has it at. Each object is taken, waited for and let go by peers; one that has it is
 *       stopped, and killed; then the other goes on.
 */
#include "fixture.h"
#include "peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define NOW INT64_C(0)
#define SHORT_NS INT64_C(30000000)
#define LONG_NS (INT64_C(60) * WEIR_SECOND_NS)

/* Who waits for a living one is woken; behind a dead one it is a slice; no wait is longer than this. */
#define BOUND_NS (INT64_C(5) * WEIR_SECOND_NS)

enum { WORDS = 8, BLOCKS = 4 };

/* All that stands in the memory. */
struct board {
    struct weir_mutex mutex, recursive;
    struct weir_condition condition;
    struct weir_event event;
    struct weir_semaphore semaphore;
    struct weir_once once;
    _Atomic uint32_t ready; /* what condition and event are waited for with */
    uint64_t place[BLOCKS];
    _Alignas(64) unsigned char rwlock[4096];
    _Alignas(64) unsigned char permits[4096];
    _Alignas(64) unsigned char barrier[4096];
    _Alignas(64) unsigned char values[8192];
    _Alignas(64) unsigned char readers[4096];
    _Alignas(64) unsigned char pool[4096];
    _Alignas(64) unsigned char arena[4096];
};

static struct board *board(void)
{
    return peers_memory;
}

/* --- the objects, as any of the processes has them ----------------------------------------------- */

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
    return weir_mutex_lock_until(&board()->mutex, deadline_ns);
}

static int unlock_mutex(void)
{
    int result = weir_mutex_consistent(&board()->mutex);
    return result == 0 || result == -EINVAL ? weir_mutex_unlock(&board()->mutex) : result;
}

static int make_recursive(void)
{
    return weir_mutex_init(&board()->recursive, WEIR_MUTEX_RECURSIVE);
}

/* Twice: what a death leaves is not held twice by the next. */
static int lock_recursive(int64_t deadline_ns)
{
    int result = weir_mutex_lock_until(&board()->recursive, deadline_ns);
    int again = result < 0 ? 0 : weir_mutex_lock_until(&board()->recursive, deadline_ns);
    return again < 0 ? again : result;
}

static int unlock_recursive(void)
{
    weir_mutex_consistent(&board()->recursive);
    int result = weir_mutex_unlock(&board()->recursive);
    return result == 0 ? weir_mutex_unlock(&board()->recursive) : result;
}

static int begin_once(int64_t deadline_ns)
{
    int result = weir_once_begin_until(&board()->once, deadline_ns);
    return result == WEIR_ONCE_BEGUN ? 0 : result == 0 ? -EALREADY : result;
}

static int abandon_once(void)
{
    return weir_once_abandon(&board()->once);
}

static int make_rwlock(void)
{
    return weir_rwlock_init(board()->rwlock, sizeof board()->rwlock, 4);
}

static int open_rwlock(void)
{
    return weir_rwlock_open(&rwlock, board()->rwlock, sizeof board()->rwlock);
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
    return weir_permits_init(board()->permits, sizeof board()->permits, 1);
}

static int open_permits(void)
{
    return weir_permits_open(&permits, board()->permits, sizeof board()->permits);
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
    uint32_t ready = board()->ready;
    while (ready > 0)
        if (atomic_compare_exchange_weak(&board()->ready, &ready, ready - 1))
            return true;
    return false;
}

static int await_condition(int64_t deadline_ns)
{
    int result = weir_mutex_lock(&board()->mutex);
    while (result == 0 && board()->ready == 0)
        result = weir_condition_wait_until(&board()->condition, &board()->mutex, deadline_ns);
    if (result == 0)
        board()->ready--;
    int unlocked = weir_mutex_unlock(&board()->mutex);
    return result != 0 ? result : unlocked;
}

static int signal_condition(void)
{
    int result = weir_mutex_lock_until(&board()->mutex, weir_deadline_ns(BOUND_NS));
    if (result != 0)
        return result;
    board()->ready++;
    result = weir_condition_signal(&board()->condition);
    return result == 0 ? weir_mutex_unlock(&board()->mutex) : result;
}

static int await_event(int64_t deadline_ns)
{
    uint32_t ticket;
    int result = 0;
    while (!take_what_is_ready()) {
        if (result == 0)
            result = weir_event_prepare(&board()->event, &ticket);
        if (result != 0)
            return result;
        if (board()->ready == 0)
            result = weir_event_wait_until(&board()->event, ticket, deadline_ns);
    }
    return 0;
}

static int notify_event(void)
{
    board()->ready++;
    return weir_event_notify(&board()->event);
}

static int await_unit(int64_t deadline_ns)
{
    return weir_semaphore_wait_until(&board()->semaphore, deadline_ns);
}

static int post_unit(void)
{
    return weir_semaphore_post(&board()->semaphore);
}

static struct weir_latest_memory latest_memory(struct weir_latest_options *options)
{
    struct weir_latest_memory memory;
    *options = (struct weir_latest_options)WEIR_LATEST_OPTIONS;
    options->value_bytes_max = sizeof held_words;
    options->buffers = 8;
    options->holds = 2;
    int result = weir_latest_bytes(options, &memory);
    if (result != 0 || memory.values_bytes > sizeof board()->values ||
        memory.readers_bytes > sizeof board()->readers)
        memory.values_bytes = 0;
    memory.values = board()->values;
    memory.readers = board()->readers;
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
    return weir_barrier_init(board()->barrier, sizeof board()->barrier, 2);
}

static int open_barrier(void)
{
    return weir_barrier_open(&barrier, board()->barrier, sizeof board()->barrier);
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
    return (struct weir_space){ peers_memory, sizeof(struct board) };
}

static int make_pool(void)
{
    return weir_pool_init(space(), offsetof(struct board, pool), 128, BLOCKS);
}

static int open_pool(void)
{
    return weir_pool_open(&pool, space(), offsetof(struct board, pool));
}

static int make_arena(void)
{
    return weir_arena_init(space(), offsetof(struct board, arena), sizeof board()->arena);
}

static int open_arena(void)
{
    return weir_arena_open(&arena, space(), offsetof(struct board, arena));
}

/* Of the block at the first place that is 0: its bytes say which. */
static int alloc_block(bool from_pool)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint64_t *place = &board()->place[i];
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
    for (unsigned i = 0; i < BLOCKS && board()->place[i] != 0; i++)
        are_whole &=
            all_bytes((char *)peers_memory + board()->place[i], 128, (unsigned char)(i + 1));
    return are_whole;
}

/* All that anybody has allocated, after a look at it. */
static int free_all(void)
{
    uint32_t used;
    int result = blocks_are_whole() ? weir_pool_recover(&pool) : -EBADMSG;
    for (unsigned i = 0; i < BLOCKS && result == 0; i++)
        if (board()->place[i] != 0)
            result = weir_pool_free(&pool, &board()->place[i]);
    if (result == 0)
        result = weir_pool_used(&pool, &used);
    return result != 0 ? result : used != 0 ? -EXFULL : weir_pool_check(&pool);
}

static int reset_arena(void)
{
    uint64_t used_bytes;
    int result = blocks_are_whole() ? weir_arena_recover(&arena) : -EBADMSG;
    memset(board()->place, 0, sizeof board()->place);
    if (result == 0)
        result = weir_arena_reset(&arena);
    if (result == 0)
        result = weir_arena_used(&arena, &used_bytes);
    return result != 0 ? result : used_bytes != 0 ? -EXFULL : 0;
}

/* What the objects have in common: one is had, or something passes from who gives it to who takes it. */
static const struct object {
    const char *name;
    void (*run)(unsigned object);
    int (*make)(void); /* NULL: bytes of 0 are one */
    int (*open)(void); /* in each process; NULL: there is no handle */
    int (*take)(int64_t deadline_ns);
    int (*give)(void);
} objects[];

enum { OPEN, TAKE, GIVE };

struct peers_reply peers_serve(const struct peers_order *order)
{
    const struct object *object = &objects[order->argument];
    int64_t deadline_ns = order->timeout_ns > 0 ? weir_deadline_ns(order->timeout_ns) : 0;
    struct peers_reply reply = { 0, 0 };
    if (order->verb == OPEN)
        reply.result = object->open ? object->open() : 0;
    else if (order->verb == TAKE)
        reply.result = object->take(deadline_ns);
    else
        reply.result = object->give();
    return reply;
}

/* --- who does what --------------------------------------------------------------------------------- */

#define assert_ask(peer, verb, timeout_ns, expected)                                               \
    assert_int_equal(peer_ask(peer, verb, object, timeout_ns).result, expected)
#define assert_answer(peer, expected) assert_int_equal(peer_answer(peer).result, expected)

static void start(struct peer *peer, unsigned object)
{
    peer_start(peer);
    assert_ask(peer, OPEN, NOW, 0);
}

static void wait_asleep(struct peer *peer, unsigned object)
{
    while (peer_ask(peer, TAKE, object, NOW).result ==
           0) /* of two values it may have seen the first */
        ;
    peer_tell(peer, TAKE, object, LONG_NS);
    peer_see_fast_asleep(peer);
}

/* What the one who sleeps waited for has come: it is woken, and is late where a slice of 200 ms ended its sleep. */
static unsigned wakes, late_wakes;

static void see_woken(struct peer *peer)
{
    int64_t before_ns = weir_now_ns();
    assert_answer(peer, 0);
    wakes++;
    late_wakes += weir_now_ns() - before_ns > INT64_C(50000000);
}

/* Asleep, and without the mutex that it has for a moment between two sleeps. */
static void stop_asleep(struct peer *peer)
{
    peer_see_asleep(peer);
    peer_stop(peer);
    while (weir_mutex_owner(&board()->mutex) != WEIR_IDENTITY_NOBODY) {
        peer_go_on(peer);
        peer_see_asleep(peer);
        peer_stop(peer);
    }
}

/* One has it: the other waits, is woken, waits for a stopped one, and is told of a dead one. */
static void run_held(unsigned object)
{
    struct peer a, b;
    start(&a, object);
    start(&b, object);
    assert_ask(&a, TAKE, LONG_NS, 0);
    assert_ask(&b, TAKE, NOW, -EAGAIN);
    wait_asleep(&b, object);
    assert_ask(&a, GIVE, NOW, 0);
    see_woken(&b);
    peer_stop(&b);
    assert_ask(&a, TAKE, SHORT_NS, -ETIMEDOUT);
    wait_asleep(&a, object);
    peer_go_on(&b);
    assert_ask(&b, GIVE, NOW, 0);
    see_woken(&a);
    wait_asleep(&b, object);
    int64_t before_ns = weir_now_ns();
    peer_kill(&a);
    assert_answer(&b, WEIR_OWNER_DIED);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    assert_ask(&b, GIVE, NOW, 0);
    start(&a, object);
    assert_ask(&a, TAKE, NOW, 0);
    assert_ask(&a, GIVE, NOW, 0);
    peer_end(&a);
    peer_end(&b);
}

/* The test gives, the peers take: also beside one that is stopped, and after one that was killed. */
static void run_passed(unsigned object)
{
    struct peer a, b;
    start(&a, object);
    start(&b, object);
    assert_result(objects[object].open ? objects[object].open() : 0, 0);
    assert_result(objects[object].give(), 0);
    assert_ask(&a, TAKE, NOW, 0);
    assert_ask(&a, TAKE, SHORT_NS, -ETIMEDOUT);
    wait_asleep(&a, object);
    assert_result(objects[object].give(), 0);
    see_woken(&a);
    wait_asleep(&a, object);
    stop_asleep(&a);
    int64_t before_ns = weir_now_ns();
    peer_tell(&b, TAKE, object, LONG_NS);
    for (int i = 0; i < 2; i++)
        assert_result(objects[object].give(), 0);
    assert_answer(&b, 0);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    peer_go_on(&a);
    assert_answer(&a, 0);
    wait_asleep(&a, object);
    stop_asleep(&a);
    peer_kill(&a);
    wait_asleep(&b, object);
    before_ns = weir_now_ns();
    assert_result(objects[object].give(), 0);
    assert_answer(&b, 0);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    assert_ask(&b, GIVE, NOW, 0);
    peer_end(&b);
}

/* Both come, one of them is stopped, and killed. */
static void run_barrier(unsigned object)
{
    struct peer a, b;
    start(&a, object);
    start(&b, object);
    assert_ask(&a, GIVE, NOW, 0); /* joins */
    assert_ask(&b, GIVE, NOW, 0);
    for (int round = 0; round < 3; round++) {
        wait_asleep(&a, object);
        assert_ask(&b, TAKE, LONG_NS, 0);
        see_woken(&a);
    }
    peer_stop(&a);
    assert_ask(&b, TAKE, SHORT_NS, -ETIMEDOUT);
    peer_go_on(&a);
    wait_asleep(&b, object);
    int64_t before_ns = weir_now_ns();
    peer_kill(&a);
    assert_answer(&b, 1);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    start(&a, object);
    assert_ask(&a, GIVE, NOW, WEIR_OWNER_DIED);
    wait_asleep(&b, object);
    assert_ask(&a, TAKE, LONG_NS, 0);
    assert_answer(&b, 0);
    peer_end(&a);
    peer_end(&b);
}

/* What one has allocated the other reads and frees, also when the first is stopped or dead. */
static void run_allocated(unsigned object)
{
    struct peer a, b;
    start(&a, object);
    start(&b, object);
    assert_ask(&a, TAKE, NOW, 0);
    assert_ask(&b, TAKE, NOW, 0);
    assert_ask(&b, GIVE, NOW, 0);
    assert_ask(&a, TAKE, NOW, 0);
    peer_stop(&a);
    assert_ask(&b, TAKE, NOW, 0);
    assert_ask(&b, GIVE, NOW, 0);
    peer_go_on(&a);
    for (int i = 0; i < BLOCKS; i++)
        assert_ask(&a, TAKE, NOW, 0);
    peer_kill(&a);
    assert_ask(&b, TAKE, NOW, -ENOSPC);
    assert_ask(&b, GIVE, NOW, 0);
    assert_ask(&b, TAKE, NOW, 0);
    assert_result(objects[object].open(), 0);
    assert_result(objects[object].give(), 0);
    peer_end(&b);
}

static const struct object objects[] = {
    { "mutex", run_held, NULL, NULL, lock_mutex, unlock_mutex },
    { "recursive mutex", run_held, make_recursive, NULL, lock_recursive, unlock_recursive },
    { "once", run_held, NULL, NULL, begin_once, abandon_once },
    { "rwlock", run_held, make_rwlock, open_rwlock, lock_to_write, unlock_written },
    { "permits", run_held, make_permits, open_permits, take_permit, release_permit },
    { "condition", run_passed, NULL, NULL, await_condition, signal_condition },
    { "event", run_passed, NULL, NULL, await_event, notify_event },
    { "semaphore", run_passed, NULL, NULL, await_unit, post_unit },
    { "latest value", run_passed, make_latest, open_latest, await_value, write_value },
    { "barrier", run_barrier, make_barrier, open_barrier, meet_at_barrier, join_barrier },
    { "pool", run_allocated, make_pool, open_pool, alloc_of_pool, free_all },
    { "arena", run_allocated, make_arena, open_arena, alloc_of_arena, reset_arena },
};

static void run_in(enum peers_kind kind)
{
    wakes = late_wakes = 0;
    for (unsigned object = 0; object < ARRAY_SIZE(objects); object++) {
        print_message("           %s\n", objects[object].name);
        peers_share_in(kind, sizeof(struct board));
        seen_version = 0;
        assert_result(objects[object].make ? objects[object].make() : 0, 0);
        objects[object].run(object);
        if (reader)
            weir_latest_reader_close(reader);
        reader = NULL;
    }
    print_message("           %u wakes, %u late\n", wakes, late_wakes);
    assert_true(wakes > 0 && late_wakes <= wakes / 3);
}

static void test_system_v(void **state)
{
    (void)state;
    run_in(PEERS_SYSTEM_V);
}

static void test_posix(void **state)
{
    (void)state;
    run_in(PEERS_POSIX);
}

static void test_memfd(void **state)
{
    (void)state;
    run_in(PEERS_MEMFD);
}

static void test_inherited(void **state)
{
    (void)state;
    run_in(PEERS_INHERITED);
}

static int let_go_of_memory(void **state)
{
    (void)state;
    peers_unshare();
    return 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, let_go_of_memory)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_system_v),
        TEST(test_posix),
        TEST(test_memfd),
        TEST(test_inherited),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
