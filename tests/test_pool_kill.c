/* SPDX-License-Identifier: MIT */
/*
 * Goal: whoever is killed at any instruction of an allocation, a free or a recovery loses no block
 *       and lets none be given twice.
 * Method: a child allocates and frees, single-stepped; each state of the shared memory that it
 *       passes through is kept, and then it is killed. From each of them a survivor recovers: as
 *       many blocks are given as places hold, all different, and the rest can still be had. A
 *       second child is stepped through each recovery in the same way, killed, and survived.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/arena.h>
#include <weir/pool.h>

#define SPACE_BYTES (16 * 1024)
#define BLOCKS 5
#define POOL_AT 1024
#define ARENA_AT 8192
#define ARENA_BYTES 1024
#define PLACES 4

/* States that a walk passes through; the stores of five calls. */
#define MOST_STATES 200

static struct shared {
    atomic_bool is_over;
    uint64_t place[PLACES];
    uint64_t arena_place[2];
} * shared;

static struct weir_space space;
static struct weir_pool pool;
static struct weir_arena arena;
static unsigned recoveries;

static void stage(void)
{
    memset(space.base, 0, SPACE_BYTES);
    assert_result(weir_pool_init(space, POOL_AT, 64, BLOCKS), 0);
    assert_result(weir_pool_open(&pool, space, POOL_AT), 0);
    assert_result(weir_arena_init(space, ARENA_AT, ARENA_BYTES), 0);
    assert_result(weir_arena_open(&arena, space, ARENA_AT), 0);
    /* Something on the free list, and something given. */
    assert_result(weir_pool_alloc(&pool, &shared->place[0]), 0);
    assert_result(weir_pool_alloc(&pool, &shared->place[1]), 0);
    assert_result(weir_pool_free(&pool, &shared->place[0]), 0);
    assert_result(weir_arena_alloc(&arena, 24, 8, &shared->arena_place[0]), 0);
}

/* The child's identity is made before it is stepped. */
static void prepare(void *argument)
{
    uint64_t identity;
    (void)argument;
    if (weir_identity(&identity) != 0)
        _exit(98);
}

static void act(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_pool_alloc(&pool, &shared->place[0]), 0); /* from the free list */
    CHECK_RESULT(weir_pool_alloc(&pool, &shared->place[2]), 0); /* never given before */
    CHECK_RESULT(weir_pool_free(&pool, &shared->place[1]), 0);
    CHECK_RESULT(weir_pool_free(&pool, &shared->place[0]), 0);
    CHECK_RESULT(weir_arena_alloc(&arena, 40, 64, &shared->arena_place[1]), 0);
    atomic_store(&shared->is_over, true);
}

static void check_pool(void)
{
    uint32_t used, given = 0;
    assert_result(weir_pool_check(&pool), 0);
    assert_result(weir_pool_used(&pool, &used), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        given += shared->place[i] != 0;
        for (unsigned k = 0; k < i; k++)
            assert_true(shared->place[i] == 0 || shared->place[i] != shared->place[k]);
    }
    if (used != given)
        walk_print_place();
    assert_int_equal(used, given);
    /* All the others can be had, and no more. */
    uint64_t *more = (uint64_t *)(shared + 1);
    for (unsigned i = given; i < BLOCKS; i++)
        assert_result(weir_pool_alloc(&pool, &more[i]), 0);
    assert_result(weir_pool_alloc(&pool, &more[BLOCKS]), -ENOMEM);
    for (unsigned i = given; i < BLOCKS; i++) {
        for (unsigned k = 0; k < PLACES; k++)
            assert_int_not_equal(more[i], shared->place[k]);
    }
}

static void check_arena(void)
{
    uint64_t used_bytes, begin = ARENA_AT + WEIR_ARENA_HEADER_BYTES;
    assert_result(weir_arena_used(&arena, &used_bytes), 0);
    uint64_t wanted = shared->arena_place[1] ? shared->arena_place[1] + 40 - begin : 24;
    if (used_bytes != wanted)
        walk_print_place();
    assert_int_equal(used_bytes, wanted);
}

static void check_all(void)
{
    int pool_result = weir_pool_recover(&pool), arena_result = weir_arena_recover(&arena);
    assert_true(pool_result == 0 || pool_result == WEIR_OWNER_DIED);
    assert_true(arena_result == 0 || arena_result == WEIR_OWNER_DIED);
    recoveries += (pool_result | arena_result) != 0;
    assert_result(weir_pool_recover(&pool), 0);
    check_pool();
    check_arena();
}

/* --- the states that a walk passes through ------------------------------------------------- */

struct states {
    unsigned char (*state)[SPACE_BYTES];
    unsigned count;
};

static void keep(void *argument)
{
    struct states *states = argument;
    assert_true(states->count < MOST_STATES);
    memcpy(states->state[states->count++], space.base, SPACE_BYTES);
}

static void start_from(const unsigned char *state)
{
    memcpy(space.base, state, SPACE_BYTES);
    atomic_store(&shared->is_over, false);
}

static unsigned walk(struct states *states, const char *what, void (*steps)(void *))
{
    const struct change_walk change_walk = { what,   prepare,    steps,       keep,
                                             states, space.base, SPACE_BYTES, &shared->is_over };
    states->state = test_malloc(MOST_STATES * sizeof *states->state);
    states->count = 0;
    return walk_changes(&change_walk);
}

static void recover(void *argument)
{
    (void)argument;
    CHECK(weir_pool_recover(&pool) >= 0);
    CHECK(weir_arena_recover(&arena) >= 0);
    atomic_store(&shared->is_over, true);
}

static void check_recovery_killed(const unsigned char *state)
{
    struct states second;
    start_from(state);
    walk(&second, "recovery", recover);
    for (unsigned i = 0; i < second.count; i++) {
        start_from(second.state[i]);
        check_all();
    }
    test_free(second.state);
}

static void test_killed_at_each_instruction(void **state)
{
    struct states first;
    (void)state;
    recoveries = 0;
    stage();
    unsigned instructions = walk(&first, "alloc and free", act);
    for (unsigned i = 0; i < first.count; i++) {
        start_from(first.state[i]);
        check_all();
    }
    assert_true(recoveries > 10);
    print_message("           %u instructions, %u states, %u recoveries\n", instructions,
                  first.count, recoveries);
    test_free(first.state);
}

static void test_recovery_killed(void **state)
{
    struct states first;
    (void)state;
    recoveries = 0;
    stage();
    walk(&first, "alloc and free", act);
    for (unsigned i = 0; i < first.count; i += SANITIZED ? 5 : 1)
        check_recovery_killed(first.state[i]);
    assert_true(recoveries > 10);
    print_message("           %u states, %u recoveries\n", first.count, recoveries);
    test_free(first.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_each_instruction),
        cmocka_unit_test(test_recovery_killed),
    };
    if (!tracer_works())
        return 77;
    space.size_bytes = SPACE_BYTES;
    space.base = mmap(NULL, SPACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (space.base == MAP_FAILED)
        return 1;
    shared = space.base;
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
