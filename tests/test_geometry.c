/* SPDX-License-Identifier: MIT */
/*
 * Goal: an object with a number of places is made once, by whoever comes first, and opened by
 *       those alone who agree about it: read-write lock, permits, barrier.
 * Method: every refusal, with its sentence; processes that make one at the same moment, with the
 *       same number and with different ones.
 */
#include "fixture.h"
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/atomics.h"

struct kind {
    const char *what;
    uint32_t most;
    uint64_t head_bytes, place_bytes;
    uint64_t (*bytes)(uint32_t count);
    int (*init)(void *memory, uint64_t bytes, uint32_t count);
    int (*open)(void *handle, void *memory, uint64_t bytes);
};

union handle {
    struct weir_rwlock rwlock;
    struct weir_permits permits;
    struct weir_barrier barrier;
};

static int open_rwlock(void *handle, void *memory, uint64_t bytes)
{
    return weir_rwlock_open(handle, memory, bytes);
}

static int open_permits(void *handle, void *memory, uint64_t bytes)
{
    return weir_permits_open(handle, memory, bytes);
}

static int open_barrier(void *handle, void *memory, uint64_t bytes)
{
    return weir_barrier_open(handle, memory, bytes);
}

static const struct kind kinds[] = {
    { "read-write lock", WEIR_RWLOCK_READERS_MAX, 128, 64, weir_rwlock_bytes, weir_rwlock_init,
      open_rwlock },
    { "pool of permits", WEIR_PERMITS_MAX, 64, 16, weir_permits_bytes, weir_permits_init,
      open_permits },
    { "barrier", WEIR_BARRIER_PARTIES_MAX, 64, 64, weir_barrier_bytes, weir_barrier_init,
      open_barrier },
};

/* The first word, as docs and dumps know it. */
static uint64_t *word(void)
{
    return peers_memory;
}

struct peers_reply peers_serve(const struct peers_order *order)
{
    union handle handle;
    const struct kind *kind = &kinds[order->verb];
    weir__atomic_u32 *gate = (weir__atomic_u32 *)peers_memory + peers_bytes / 4 - 1;
    /* Relaxed: a start, nothing else. */
    atomic_fetch_sub_explicit(gate, 1, memory_order_relaxed);
    while (atomic_load_explicit(gate, memory_order_relaxed) != 0)
        ;
    struct peers_reply reply = { kind->init(peers_memory, peers_bytes - 4, order->argument), 0 };
    if (reply.result == 0)
        reply.value = (uint32_t)(kind->open(&handle, peers_memory, peers_bytes - 4) == 0);
    return reply;
}

static bool says(const char *first, const char *second)
{
    if (has_word(weir_last_error(), first) && has_word(weir_last_error(), second))
        return true;
    print_error("'%s' should say %s and %s\n", weir_last_error(), first, second);
    return false;
}

static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct kind *kind = &kinds[i];
        assert_int_equal(kind->bytes(0), 0);
        assert_int_equal(kind->bytes(kind->most + 1), 0);
        assert_int_equal(kind->bytes(4), kind->head_bytes + 4 * kind->place_bytes);
        assert_int_equal(kind->bytes(kind->most),
                         kind->head_bytes + kind->most * kind->place_bytes);
    }
    assert_int_equal(weir_permits_bytes(1), 128); /* whole lines */
    assert_int_equal(weir_permits_bytes(5), 192);
}

static void refuse_init(const struct kind *kind)
{
    unsigned char *memory = peers_memory;
    char count[16];
    snprintf(count, sizeof count, "%u", kind->most + 1);
    assert_result(kind->init(NULL, peers_bytes, 4), -EINVAL);
    assert_result(kind->init(memory + 8, peers_bytes - 8, 4), -EINVAL);
    assert_result(kind->init(memory, peers_bytes, 0), -EINVAL);
    assert_result(kind->init(memory, UINT64_MAX, kind->most + 1), -EINVAL);
    assert_true(says(count, kind->what));
    assert_result(kind->init(memory, 0, 4), -EINVAL);
    assert_result(kind->init(memory, kind->bytes(4) - 1, 4), -EINVAL);
    assert_true(all_bytes(memory, peers_bytes, 0));
    assert_result(kind->init(memory, kind->bytes(4), 4), 0);
    assert_result(kind->init(memory, peers_bytes, 4), 0);
    assert_result(kind->init(memory, peers_bytes, 3), -EINVAL);
    assert_true(says("4", "3"));
}

static void refuse_open(const struct kind *kind, uint64_t made)
{
    union handle handle;
    unsigned char *memory = peers_memory;
    *word() = 0;
    assert_result(kind->open(&handle, memory, peers_bytes), -ENOENT);
    *word() = made;
    assert_result(kind->open(NULL, memory, peers_bytes), -EINVAL);
    assert_result(kind->open(&handle, NULL, peers_bytes), -EINVAL);
    assert_result(kind->open(&handle, memory + 32, peers_bytes - 32), -EINVAL);
    assert_result(kind->open(&handle, memory, 64), -EINVAL);
    assert_result(kind->open(&handle, memory, kind->bytes(4) - 1), -EINVAL);
    *word() = made + (UINT64_C(1) << 32);
    assert_result(kind->open(&handle, memory, peers_bytes), -EPROTONOSUPPORT);
    assert_result(kind->init(memory, peers_bytes, 4), -EPROTONOSUPPORT);
    *word() = made - 4;
    assert_result(kind->open(&handle, memory, peers_bytes), -EUCLEAN);
    assert_result(kind->init(memory, peers_bytes, 4), -EUCLEAN);
    *word() = (made - 4) | (kind->most + 1);
    assert_result(kind->open(&handle, memory, UINT64_MAX), -EUCLEAN);
    assert_result(kind->init(memory, peers_bytes, 4), -EUCLEAN);
    *word() = made ^ UINT64_C(1) << 63;
    assert_result(kind->open(&handle, memory, peers_bytes), -EPROTO);
    assert_result(kind->init(memory, peers_bytes, 4), -EPROTO);
    *word() = made;
    assert_result(kind->open(&handle, memory, kind->bytes(4)), 0);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        peers_share(4096);
        refuse_init(&kinds[i]);
        uint64_t made = *word();
        assert_int_equal((uint32_t)made, 4);
        refuse_open(&kinds[i], made);
        /* One is not the other. */
        union handle handle;
        assert_result(kinds[(i + 1) % 3].open(&handle, peers_memory, peers_bytes), -EPROTO);
    }
}

static void test_handles_that_are_none(void **state)
{
    union handle none;
    uint32_t number;
    (void)state;
    memset(&none, 0, sizeof none);
    struct weir_rwlock *locks[] = { NULL, &none.rwlock };
    for (int i = 0; i < 2; i++) {
        struct weir_rwlock *lock = locks[i];
        struct weir_permits *permits = (void *)lock;
        struct weir_barrier *barrier = (void *)lock;
        assert_result(weir_rwlock_read_lock(lock), -EINVAL);
        assert_result(weir_rwlock_try_read_lock(lock), -EINVAL);
        assert_result(weir_rwlock_read_unlock(lock), -EINVAL);
        assert_result(weir_rwlock_write_lock(lock), -EINVAL);
        assert_result(weir_rwlock_try_write_lock(lock), -EINVAL);
        assert_result(weir_rwlock_write_unlock(lock), -EINVAL);
        assert_result(weir_rwlock_downgrade(lock), -EINVAL);
        assert_result(weir_rwlock_consistent(lock), -EINVAL);
        assert_result(weir_rwlock_readers(lock), -EINVAL);
        assert_int_equal(weir_rwlock_writer(lock), WEIR_IDENTITY_NOBODY);
        assert_result(weir_permits_take(permits, &number), -EINVAL);
        assert_result(weir_permits_release(permits, 0), -EINVAL);
        assert_result(weir_permits_value(permits), -EINVAL);
        assert_int_equal(weir_permits_owner(permits, 0), WEIR_IDENTITY_NOBODY);
        assert_result(weir_barrier_join(barrier, &number), -EINVAL);
        assert_result(weir_barrier_wait(barrier, 0), -EINVAL);
        assert_result(weir_barrier_leave(barrier, 0), -EINVAL);
        assert_int_equal(weir_barrier_owner(barrier, 0), WEIR_IDENTITY_NOBODY);
    }
}

enum { PEERS = 4, ROUNDS = 30 };

/* All peers make one at the same moment: how many were told 0. */
static unsigned make_at_once(struct peer *peers, size_t kind, bool differ)
{
    unsigned made = 0;
    uint32_t count = 0;
    peers_wipe();
    ((uint32_t *)peers_memory)[peers_bytes / 4 - 1] = PEERS;
    for (uint32_t i = 0; i < PEERS; i++)
        peer_tell(&peers[i], (int)kind, differ ? 2 + i : 2, 0);
    for (uint32_t i = 0; i < PEERS; i++) {
        struct peers_reply reply = peer_answer(&peers[i]);
        assert_true(reply.result == 0 || reply.result == -EINVAL);
        made += reply.result == 0;
        assert_int_equal(reply.value, reply.result == 0);
        if (reply.result == 0)
            count = differ ? 2 + i : 2;
    }
    assert_int_equal((uint32_t)*word(), count);
    return made;
}

static void test_many_make_it_at_once(void **state)
{
    struct peer peers[PEERS];
    (void)state;
    peers_share(4096);
    for (int i = 0; i < PEERS; i++)
        peer_start(&peers[i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_int_equal(make_at_once(peers, round % 3, false), PEERS);
        assert_int_equal(make_at_once(peers, round % 3, true), 1);
    }
    for (int i = 0; i < PEERS; i++)
        peer_end(&peers[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_handles_that_are_none),
        cmocka_unit_test(test_many_make_it_at_once),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
