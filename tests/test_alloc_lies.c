/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever stands in a pool or an arena, a call returns, touches no byte outside of the space, and
 *       gives no block that is not in it.
 * Method: the space ends at a page that nobody may touch, and begins behind a canary. Every word of it is
 *       set to each of a row of values, at rest and when one has died in the midst of an allocation or a
 *       free, whose act is then finished; then all calls are made. And a process writes such values at
 *       random while the calls go on. Acts that nobody can finish, or only who has more of the space,
 *       are written with nobody dead. (The mutex's own lies are test_sync_lies.c's: who lies about
 *       it can block everybody, as the header says; here it is free, or a dead one's.)
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/arena.h>
#include <weir/pool.h>

#include "alloc/intent.h"

#define CANARY 0xa5

enum {
    BLOCKS = 3,
    BLOCK_BYTES = 16,
    PLACES = 8, /* words at the beginning of the space */
    POOL_AT = 64,
    ARENA_BYTES = 256,
    RANDOM_NS = 1500000000,
    STATES = 3,
};

/* As test_layout.c has them: a pool's head, and an arena's, in words. */
enum { POOL_GEOMETRY_WORDS = 2, ARENA_GEOMETRY_WORDS = 1 };

static unsigned char *page; /* the space ends at its end */
static size_t page_bytes;
static struct weir_space space;
static uint64_t arena_at;
static uint64_t *place;
static struct weir_pool pool;
static struct weir_arena arena;
static uint64_t self, dead;
static char where[160];
static bool is_under_fire;

static struct weir__intent *intent_at(uint64_t head, unsigned geometry_words)
{
    return (struct weir__intent *)(void *)((uint64_t *)space.base + head / 8 + geometry_words);
}

enum parts { POOL = 1, ARENA = 2, BOTH = POOL | ARENA };

/* Fresh, or one has died there when he had said what he would do. (To learn of a death takes 2 ms.) */
static void make(unsigned state, enum parts parts)
{
    memset(page, CANARY, page_bytes);
    memset(space.base, 0, space.size_bytes);
    assert_result(weir_pool_init(space, POOL_AT, BLOCK_BYTES, BLOCKS), 0);
    assert_result(weir_pool_open(&pool, space, POOL_AT), 0);
    assert_result(weir_arena_init(space, arena_at, ARENA_BYTES), 0);
    assert_result(weir_arena_open(&arena, space, arena_at), 0);
    assert_result(weir_pool_alloc(&pool, &place[1]), 0);
    assert_result(weir_pool_alloc(&pool, &place[2]), 0);
    assert_result(weir_pool_free(&pool, &place[1]), 0);
    assert_result(weir_arena_alloc(&arena, 20, 8, &place[5]), 0);
    if (state == 0)
        return;
    struct weir__intent *of_pool = intent_at(POOL_AT, POOL_GEOMETRY_WORDS);
    struct weir__intent *of_arena = intent_at(arena_at, ARENA_GEOMETRY_WORDS);
    weir__intend(of_pool, state, state == 1 ? 8 : 16, state == 1 ? 0 : 1);
    weir__intend(of_arena, 1, 8 * 6, arena_at + WEIR_ARENA_HEADER_BYTES + 24);
    if (parts & POOL)
        memcpy(&of_pool->mutex, &dead, sizeof dead);
    if (parts & ARENA)
        memcpy(&of_arena->mutex, &dead, sizeof dead);
}

static void expect_known(const char *call, int result)
{
    static const int known[] = { 0,       WEIR_OWNER_DIED, -EUCLEAN, -ENOMEM,         -EINVAL,
                                 -ENOENT, -EPROTO,         -EDEADLK, -ENOTRECOVERABLE };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (result == known[i])
            return;
    fail_msg("%s gives %s%d: %s", call, weir_strerror_name(result), result, where);
}

/* What was given is in the space, whole; unless somebody has changed the place by now. */
static void expect_inside(const char *call, uint64_t offset, size_t bytes)
{
    if (!is_under_fire && !weir_offset_address(space, offset, bytes, 1))
        fail_msg("%s gives offset %llu: %s", call, (unsigned long long)offset, where);
}

/* Of the arena: behind its head, and not behind its end. */
static void expect_given(const char *call, uint64_t offset, size_t bytes)
{
    expect_inside(call, offset, bytes);
    if (!is_under_fire && (offset < arena.begin_offset || offset + bytes > arena.end_offset))
        fail_msg("%s gives offset %llu: %s", call, (unsigned long long)offset, where);
}

static void use_pool(void)
{
    struct weir_pool again;
    uint32_t used = 0;
    volatile uint64_t *own = place;
    expect_known("open", weir_pool_open(&again, space, POOL_AT));
    expect_known("init", weir_pool_init(space, POOL_AT, BLOCK_BYTES, BLOCKS));
    expect_known("check", weir_pool_check(&pool));
    expect_known("recover", weir_pool_recover(&pool));
    for (unsigned i = 0; i <= BLOCKS; i++) {
        int result = weir_pool_alloc(&pool, &place[i]);
        uint64_t offset = own[i];
        expect_known("alloc", result);
        if (result == 0)
            expect_inside("alloc", offset, BLOCK_BYTES);
    }
    expect_known("used", weir_pool_used(&pool, &used));
    for (unsigned i = 0; i <= BLOCKS; i++)
        expect_known("free", weir_pool_free(&pool, &place[i]));
}

static void use_arena(void)
{
    struct weir_arena again;
    uint64_t used = 0;
    volatile uint64_t *own = place;
    expect_known("arena open", weir_arena_open(&again, space, arena_at));
    expect_known("arena init", weir_arena_init(space, arena_at, ARENA_BYTES));
    expect_known("arena recover", weir_arena_recover(&arena));
    expect_known("arena used", weir_arena_used(&arena, &used));
    for (unsigned i = 5; i < PLACES; i++) {
        int result = weir_arena_alloc(&arena, 20, i == 7 ? 4096 : 8, &place[i]);
        uint64_t offset = own[i];
        expect_known("arena alloc", result);
        if (result == 0)
            expect_given("arena alloc", offset, 20);
    }
    expect_known("arena reset", weir_arena_reset(&arena));
}

static void use_all(void)
{
    use_pool();
    use_arena();
    if (!all_bytes(page, page_bytes - space.size_bytes, CANARY))
        fail_msg("a byte in front of the space was written: %s", where);
}

/* --- lies ----------------------------------------------------------------------------------------- */

#define VALUES 22

static uint64_t lie_of(unsigned which, uint64_t truth)
{
    const uint64_t values[VALUES] = {
        0,          1,
        2,          3,
        4,          7,
        8,          64,
        POOL_AT,    space.size_bytes - 8,
        UINT32_MAX, space.size_bytes,
        UINT64_MAX, UINT64_C(1) << 63,
        INT64_MAX,  UINT64_C(1) << 32,
        truth + 1,  truth - 1,
        truth + 8,  truth ^ UINT64_C(1) << 32,
        self,       UINT64_C(0x5555555555555555),
    };
    return values[which];
}

static bool is_of_a_mutex(size_t word)
{
    const unsigned char *at = (const unsigned char *)space.base + 8 * word;
    const unsigned char *mutexes[] = {
        (const unsigned char *)&intent_at(POOL_AT, POOL_GEOMETRY_WORDS)->mutex,
        (const unsigned char *)&intent_at(arena_at, ARENA_GEOMETRY_WORDS)->mutex,
    };
    for (unsigned i = 0; i < 2; i++)
        if (at >= mutexes[i] && at < mutexes[i] + sizeof(struct weir_mutex))
            return true;
    return false;
}

/* Of a block, or of what the arena gives. */
static bool is_of_a_user(size_t word)
{
    return (8 * word >= pool.blocks_offset && 8 * word < arena_at) ||
           8 * word >= arena_at + WEIR_ARENA_HEADER_BYTES;
}

static void test_every_word(void **state)
{
    unsigned lies = 0;
    (void)state;
    make(0, BOTH);
    for (unsigned n = 0; n < space.size_bytes / 8 * VALUES * STATES; n++) {
        unsigned before = n % STATES, which = n / STATES % VALUES;
        size_t at = n / STATES / VALUES;
        uint64_t *word = (uint64_t *)space.base + at;
        if (is_of_a_mutex(at) || is_of_a_user(at))
            continue;
        make(before, at < POOL_AT / 8 ? BOTH : at < arena_at / 8 ? POOL : ARENA);
        snprintf(where, sizeof where, "byte %zu, state %u: 0x%llx in place of 0x%llx", 8 * at,
                 before, (unsigned long long)lie_of(which, *word), (unsigned long long)*word);
        *word = lie_of(which, *word);
        use_all();
        lies++;
    }
    print_message("           %u lies\n", lies);
    assert_true(lies > 1000);
    for (unsigned before = 0; before < STATES; before++) { /* and without a lie */
        make(before, BOTH);
        snprintf(where, sizeof where, "no lie, state %u", before);
        assert_result(weir_pool_recover(&pool), before ? WEIR_OWNER_DIED : 0);
        assert_result(weir_arena_recover(&arena), before ? WEIR_OWNER_DIED : 0);
        assert_result(weir_pool_check(&pool), 0);
        use_all();
    }
}

/* One has died in an act. Who asks how much is given, or takes and gives, finishes it, and that is no news to them. */
static void test_who_comes_first_finishes_an_act(void **state)
{
    (void)state;
    for (unsigned before = 1; before < STATES; before++) {
        for (unsigned call = 0; call < 3; call++) {
            uint64_t used_bytes = 0;
            uint32_t used = 0;
            make(before, BOTH);
            assert_result(call == 0   ? weir_pool_used(&pool, &used)
                          : call == 1 ? weir_pool_check(&pool)
                                      : weir_pool_alloc(&pool, &place[3]),
                          0);
            assert_result(call == 0   ? weir_arena_used(&arena, &used_bytes)
                          : call == 1 ? weir_arena_reset(&arena)
                                      : weir_arena_alloc(&arena, 8, 8, &place[7]),
                          0);
            assert_result(weir_pool_recover(&pool), 0);
            assert_result(weir_arena_recover(&arena), 0);
        }
    }
}

/* Whatever is called, and again: -EUCLEAN, and what was told stands there still. */
static void expect_refused(struct weir_pool *by)
{
    const struct weir__intent *of_pool = intent_at(POOL_AT, POOL_GEOMETRY_WORDS);
    const uint64_t told = weir__word(&of_pool->place), block = weir__word(&of_pool->block);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t used;
        assert_result(weir_pool_recover(by), -EUCLEAN);
        assert_result(weir_pool_alloc(by, &place[1]), -EUCLEAN);
        assert_result(weir_pool_free(by, &place[2]), -EUCLEAN);
        assert_result(weir_pool_used(by, &used), -EUCLEAN);
        assert_result(weir_pool_check(by), -EUCLEAN);
    }
    assert_int_equal(weir__word(&of_pool->act), 1);
    assert_int_equal(weir__word(&of_pool->place), told);
    assert_int_equal(weir__word(&of_pool->block), block);
}

static void expect_arena_refused(void)
{
    const struct weir__intent *of_arena = intent_at(arena_at, ARENA_GEOMETRY_WORDS);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t used;
        assert_result(weir_arena_recover(&arena), -EUCLEAN);
        assert_result(weir_arena_alloc(&arena, 8, 8, &place[6]), -EUCLEAN);
        assert_result(weir_arena_used(&arena, &used), -EUCLEAN);
        assert_result(weir_arena_reset(&arena), -EUCLEAN);
    }
    assert_int_equal(weir__word(&of_arena->act), 1);
}

/* So much is used, or was, that a sum with what it is counted from goes round. */
static void test_an_arena_that_goes_round(void **state)
{
    const uint64_t lies[] = { -UINT64_C(8), -UINT64_C(64), -UINT64_C(4096) };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
        for (unsigned before = 0; before < 2; before++) {
            make(before, ARENA);
            /* Behind the act stand what was used before it, and what is used. */
            weir__atomic_u64 *words =
                (weir__atomic_u64 *)(intent_at(arena_at, ARENA_GEOMETRY_WORDS) + 1);
            weir__set_word(&words[0], lies[i]);
            weir__set_word(&words[1], lies[i]);
            snprintf(where, sizeof where, "used, or before: -%llu", (unsigned long long)-lies[i]);
            use_arena();
        }
    }
}

static void test_acts_that_nobody_can_finish(void **state)
{
    const uint64_t nowhere[] = { space.size_bytes - 4, space.size_bytes, UINT64_MAX - 7, 12 };
    struct weir__intent *of_pool = intent_at(POOL_AT, POOL_GEOMETRY_WORDS);
    struct weir__intent *of_arena = intent_at(arena_at, ARENA_GEOMETRY_WORDS);
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        make(0, BOTH);
        weir__intend(of_pool, 1, nowhere[i], 0);
        weir__intend(of_arena, 1, nowhere[i], arena_at);
        expect_refused(&pool);
        expect_arena_refused();
    }
    make(0, BOTH);
    weir__intend(of_pool, 1, 8, BLOCKS);
    expect_refused(&pool);
    weir__set_word((weir__atomic_u64 *)(of_arena + 1), ARENA_BYTES); /* used before the act */
    weir__intend(of_arena, 1, 8 * 6, arena_at);
    expect_arena_refused();
    assert_true(all_bytes(page, page_bytes - space.size_bytes, CANARY));
}

/* The place is behind the end of the smaller space; the act is said, and no step of it is done. */
static void test_an_act_that_the_whole_space_finishes(void **state)
{
    const struct weir_space smaller = { space.base, arena_at };
    struct weir_pool by;
    (void)state;
    make(0, BOTH);
    assert_result(weir_pool_open(&by, smaller, POOL_AT), 0);
    weir__intend(intent_at(POOL_AT, POOL_GEOMETRY_WORDS), 1, space.size_bytes - 8, 0);
    expect_refused(&by);
    assert_result(weir_pool_recover(&pool), WEIR_OWNER_DIED);
    assert_result(weir_pool_recover(&by), 0);
    assert_result(weir_pool_alloc(&by, &place[1]), 0);
    assert_result(weir_pool_check(&pool), 0);
}

static void lie_for_ever(void)
{
    uint64_t seed = 88172645463325252u;
    size_t words = space.size_bytes / 8;
    for (;;) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        size_t at = seed % words;
        weir__atomic_u64 *word = (weir__atomic_u64 *)space.base + at;
        if (!is_of_a_mutex(at))
            atomic_store(word, lie_of((seed >> 40) % VALUES, atomic_load(word)));
    }
}

static void test_a_liar_at_work(void **state)
{
    unsigned calls = 0;
    int status;
    (void)state;
    make(0, BOTH);
    snprintf(where, sizeof where, "a liar at work");
    is_under_fire = true;
    fflush(NULL);
    pid_t liar = fork();
    assert_true(liar >= 0);
    if (liar == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        lie_for_ever();
    }
    weir__atomic_u64 *mutex =
        (weir__atomic_u64 *)(void *)&intent_at(POOL_AT, POOL_GEOMETRY_WORDS)->mutex;
    for (int64_t until_ns = weir_deadline_ns(RANDOM_NS); weir_now_ns() < until_ns; calls++) {
        use_all();
        if (calls % 16 == 0) /* one has died: what the liar says of his act is finished */
            atomic_store(mutex, dead);
    }
    assert_int_equal(kill(liar, SIGKILL), 0);
    assert_int_equal(waitpid(liar, &status, 0), liar);
    print_message("           %u rounds\n", calls);
    assert_true(calls > 100);
}

static void tell_identity(void *argument)
{
    CHECK_RESULT(weir_identity(argument), 0);
}

static int lies_start(void **state)
{
    arena_at = POOL_AT + (weir_pool_bytes(BLOCK_BYTES, BLOCKS) + 63) / 64 * 64;
    space.size_bytes = arena_at + ARENA_BYTES;
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + page_bytes, page_bytes, PROT_NONE) != 0)
        return -1;
    space.base = page + page_bytes - space.size_bytes;
    place = space.base;
    int result = fixture_start(state);
    if (result != 0)
        return result;
    in_child(tell_identity, page);
    dead = *(uint64_t *)(void *)page;
    return weir_identity(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word),
        cmocka_unit_test(test_who_comes_first_finishes_an_act),
        cmocka_unit_test(test_an_arena_that_goes_round),
        cmocka_unit_test(test_acts_that_nobody_can_finish),
        cmocka_unit_test(test_an_act_that_the_whole_space_finishes),
        cmocka_unit_test(test_a_liar_at_work),
    };
    return cmocka_run_group_tests(tests, lies_start, fixture_end);
}
