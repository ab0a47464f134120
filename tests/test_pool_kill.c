/* SPDX-License-Identifier: MIT */
/*
 * Goal: whoever is killed at any instruction of an allocation, a free or a recovery loses no block
 *       and lets none be given twice.
 * Method: a child allocates and frees, single-stepped; each state of the shared memory that it
 *       passes through is kept, and then it is killed. From each of them a survivor recovers: as
 *       many blocks are given as places hold, all different, and the rest can still be had. A
 *       second child is stepped through each recovery in the same way, killed, and survived. And
 *       all of this with places that the next one to come does not see: it is refused and changes
 *       nothing, however often it comes and wherever it is killed, until one comes that sees them.
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

/* Pool and arena are in the small space, and these places are not. */
#define SMALL_BYTES (ARENA_AT + ARENA_BYTES)
#define FAR_AT (SMALL_BYTES + 64)

/* States that a walk passes through; the stores of five calls. */
#define MOST_STATES 200

static struct shared {
    atomic_bool is_over;
    uint64_t small_arena_place;
    uint64_t more[BLOCKS + 1];
} * shared;

static struct held {
    uint64_t place[PLACES];
    uint64_t arena_place[2];
} * held; /* in the shared memory, near or far */

static struct weir_space space, small;
static struct weir_pool pool, small_pool;
static struct weir_arena arena, small_arena;
static unsigned recoveries, refusals;

static void stage(bool is_far)
{
    memset(space.base, 0, SPACE_BYTES);
    held = (struct held *)((uint64_t *)space.base + (is_far ? FAR_AT / 8 : 16));
    recoveries = refusals = 0;
    assert_result(weir_pool_init(space, POOL_AT, 64, BLOCKS), 0);
    assert_result(weir_pool_open(&pool, space, POOL_AT), 0);
    assert_result(weir_pool_open(&small_pool, small, POOL_AT), 0);
    assert_result(weir_arena_init(space, ARENA_AT, ARENA_BYTES), 0);
    assert_result(weir_arena_open(&arena, space, ARENA_AT), 0);
    assert_result(weir_arena_open(&small_arena, small, ARENA_AT), 0);
    /* Something on the free list, and something given. */
    assert_result(weir_pool_alloc(&pool, &held->place[0]), 0);
    assert_result(weir_pool_alloc(&pool, &held->place[1]), 0);
    assert_result(weir_pool_free(&pool, &held->place[0]), 0);
    assert_result(weir_arena_alloc(&arena, 24, 8, &held->arena_place[0]), 0);
}

static bool is_far(void)
{
    return (unsigned char *)held >= (unsigned char *)space.base + SMALL_BYTES;
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
    CHECK_RESULT(weir_pool_alloc(&pool, &held->place[0]), 0); /* from the free list */
    CHECK_RESULT(weir_pool_alloc(&pool, &held->place[2]), 0); /* never given before */
    CHECK_RESULT(weir_pool_free(&pool, &held->place[1]), 0);
    CHECK_RESULT(weir_pool_free(&pool, &held->place[0]), 0);
    CHECK_RESULT(weir_arena_alloc(&arena, 40, 64, &held->arena_place[1]), 0);
    atomic_store(&shared->is_over, true);
}

static void check_pool(void)
{
    uint32_t used, given = 0;
    assert_result(weir_pool_check(&pool), 0);
    assert_result(weir_pool_used(&pool, &used), 0);
    for (unsigned i = 0; i < PLACES; i++) {
        given += held->place[i] != 0;
        for (unsigned k = 0; k < i; k++)
            assert_true(held->place[i] == 0 || held->place[i] != held->place[k]);
    }
    if (used != given)
        walk_print_place();
    assert_int_equal(used, given);
    /* All the others can be had, and no more. */
    uint64_t *more = shared->more;
    for (unsigned i = given; i < BLOCKS; i++)
        assert_result(weir_pool_alloc(&pool, &more[i]), 0);
    assert_result(weir_pool_alloc(&pool, &more[BLOCKS]), -ENOMEM);
    for (unsigned i = given; i < BLOCKS; i++) {
        for (unsigned k = 0; k < PLACES; k++)
            assert_int_not_equal(more[i], held->place[k]);
    }
}

static void check_arena(void)
{
    uint64_t used_bytes, begin = ARENA_AT + WEIR_ARENA_HEADER_BYTES;
    assert_result(weir_arena_used(&arena, &used_bytes), 0);
    uint64_t wanted = held->arena_place[1] ? held->arena_place[1] + 40 - begin : 24;
    if (shared->small_arena_place) { /* behind all others */
        assert_true(shared->small_arena_place >= begin + wanted);
        wanted = shared->small_arena_place + 8 - begin;
    }
    if (used_bytes != wanted)
        walk_print_place();
    assert_int_equal(used_bytes, wanted);
}

/* All but the mutexes, which each call takes. */
static bool is_unchanged(unsigned char *before)
{
    const size_t mutexes[] = { POOL_AT + 16, ARENA_AT + 8 };
    for (unsigned i = 0; i < ARRAY_SIZE(mutexes); i++)
        memcpy(before + mutexes[i], (unsigned char *)space.base + mutexes[i],
               sizeof(struct weir_mutex));
    return memcmp(before, space.base, SPACE_BYTES) == 0;
}

static bool small_uses_pool(void)
{
    uint32_t used;
    int result = weir_pool_recover(&small_pool);
    assert_true(result == 0 || result == -EUCLEAN);
    if (result != 0)
        assert_non_null(strstr(weir_last_error(), "must call weir_pool_recover() first"));
    assert_result(weir_pool_alloc(&small_pool, &shared->more[0]), result);
    assert_result(weir_pool_free(&small_pool, &shared->more[0]), result);
    assert_result(weir_pool_used(&small_pool, &used), result);
    assert_result(weir_pool_check(&small_pool), result);
    return result == 0;
}

static bool small_uses_arena(void)
{
    uint64_t used;
    int result = weir_arena_recover(&small_arena);
    assert_true(result == 0 || result == -EUCLEAN);
    if (result != 0) {
        assert_non_null(strstr(weir_last_error(), "must call weir_arena_recover() first"));
        assert_result(weir_arena_reset(&small_arena), result);
    }
    if (shared->small_arena_place == 0)
        assert_result(weir_arena_alloc(&small_arena, 8, 8, &shared->small_arena_place), result);
    assert_result(weir_arena_used(&small_arena, &used), result);
    return result == 0;
}

/* One whose space ends before the places comes, twice. */
static void small_comes(void)
{
    bool (*const uses[])(void) = { small_uses_pool, small_uses_arena };
    unsigned char *before = test_malloc(SPACE_BYTES);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(uses); i++) {
        memcpy(before, space.base, SPACE_BYTES);
        if (uses[i % ARRAY_SIZE(uses)]())
            continue;
        refusals++;
        assert_true(is_unchanged(before));
    }
    test_free(before);
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

static void recover_small(void *argument)
{
    (void)argument;
    int result = weir_pool_recover(&small_pool);
    CHECK(result == 0 || result == -EUCLEAN);
    result = weir_arena_recover(&small_arena);
    CHECK(result == 0 || result == -EUCLEAN);
    atomic_store(&shared->is_over, true);
}

static void check_recovery_killed(const unsigned char *state, void (*steps)(void *))
{
    struct states second;
    start_from(state);
    walk(&second, "recovery", steps);
    for (unsigned i = 0; i < second.count; i++) {
        start_from(second.state[i]);
        if (is_far())
            small_comes();
        check_all();
    }
    test_free(second.state);
}

static void test_killed_at_each_instruction(void **state)
{
    struct states first;
    (void)state;
    stage(false);
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

/* Its place is one that the walk leaves alone. */
static void check_gone_on(int (*call)(struct weir_pool *, uint64_t *), const char *what)
{
    struct states first;
    walk(&first, what, act);
    for (unsigned i = 0; i < first.count; i++) {
        start_from(first.state[i]);
        assert_result(call(&pool, &held->place[3]), 0);
        check_pool();
    }
    assert_true(first.count > 10);
    test_free(first.state);
}

/* Who comes after the death allocates, or frees: it goes by what its own recovery has left. */
static void test_killed_and_gone_on(void **state)
{
    (void)state;
    stage(false);
    check_gone_on(weir_pool_alloc, "before an alloc");
    stage(false);
    assert_result(weir_pool_alloc(&pool, &held->place[3]), 0);
    check_gone_on(weir_pool_free, "before a free");
}

static void test_recovery_killed(void **state)
{
    struct states first;
    (void)state;
    stage(false);
    walk(&first, "alloc and free", act);
    for (unsigned i = 0; i < first.count; i += SANITIZED ? 5 : 1)
        check_recovery_killed(first.state[i], recover);
    assert_true(recoveries > 10);
    print_message("           %u states, %u recoveries\n", first.count, recoveries);
    test_free(first.state);
}

static void test_places_unseen(void **state)
{
    struct states first;
    (void)state;
    stage(true);
    walk(&first, "alloc and free, far", act);
    for (unsigned i = 0; i < first.count; i++) {
        start_from(first.state[i]);
        small_comes();
        check_all();
    }
    assert_true(recoveries > 10 && refusals > 10);
    print_message("           %u states, %u refusals, %u recoveries\n", first.count, refusals,
                  recoveries);
    test_free(first.state);
}

static void test_places_unseen_recovery_killed(void **state)
{
    struct states first;
    (void)state;
    stage(true);
    walk(&first, "alloc and free, far", act);
    for (unsigned i = 0; i < first.count; i += SANITIZED ? 9 : 1) {
        check_recovery_killed(first.state[i], recover_small);
        check_recovery_killed(first.state[i], recover);
    }
    assert_true(recoveries > 10 && refusals > 10);
    print_message("           %u states, %u refusals, %u recoveries\n", first.count, refusals,
                  recoveries);
    test_free(first.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_each_instruction),
        cmocka_unit_test(test_killed_and_gone_on),
        cmocka_unit_test(test_recovery_killed),
        cmocka_unit_test(test_places_unseen),
        cmocka_unit_test(test_places_unseen_recovery_killed),
    };
    if (!tracer_works())
        return 77;
    space.size_bytes = SPACE_BYTES;
    space.base = mmap(NULL, SPACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (space.base == MAP_FAILED)
        return 1;
    shared = space.base;
    small = (struct weir_space){ space.base, SMALL_BYTES };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
