/* SPDX-License-Identifier: MIT */
/*
 * Goal: offset pointers, pools and arenas do what their headers say, and refuse what they should.
 * Method: one shared mapping, this process and children; each error once; garbage in each word.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/arena.h>
#include <weir/offset.h>
#include <weir/pool.h>

#include "alloc/pool.h"
#include "base/atomics.h"

#define SPACE_BYTES (64 * 1024)
#define BLOCKS 8
#define BLOCK_BYTES 100
#define POOL_AT 1024
#define ARENA_AT 32768
#define ARENA_BYTES 4096

static struct weir_space space;
static struct weir_pool pool;
static struct weir_arena arena;

static uint64_t *place(unsigned index)
{
    return (uint64_t *)space.base + 8 + index;
}

static int fresh_space(void **state)
{
    (void)state;
    space.size_bytes = SPACE_BYTES;
    space.base = mmap(NULL, SPACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (space.base == MAP_FAILED || weir_pool_init(space, POOL_AT, BLOCK_BYTES, BLOCKS) != 0 ||
        weir_pool_open(&pool, space, POOL_AT) != 0 ||
        weir_arena_init(space, ARENA_AT, ARENA_BYTES) != 0)
        return -1;
    return weir_arena_open(&arena, space, ARENA_AT);
}

static int drop_space(void **state)
{
    (void)state;
    return munmap(space.base, SPACE_BYTES);
}

/* --- offsets ------------------------------------------------------------------------------- */

typedef WEIR_POINTER(uint32_t) number_pointer;

static void test_offset_is_checked(void **state)
{
    (void)state;
    unsigned char *base = space.base;
    assert_null(weir_offset_address(space, 0, 1, 1));
    assert_ptr_equal(weir_offset_address(space, 1, 1, 1), base + 1);
    assert_ptr_equal(weir_offset_address(space, SPACE_BYTES - 4, 4, 4), base + SPACE_BYTES - 4);
    assert_null(weir_offset_address(space, SPACE_BYTES - 3, 4, 1));
    assert_null(weir_offset_address(space, SPACE_BYTES, 1, 1));
    assert_null(weir_offset_address(space, SPACE_BYTES + 1, 0, 1));
    assert_null(weir_offset_address(space, UINT64_MAX, 8, 1));
    assert_null(weir_offset_address(space, 8, UINT64_MAX, 1));
    assert_null(weir_offset_address(space, 6, 4, 4));
    struct weir_space odd = { base + 4,
                              SPACE_BYTES - 4 }; /* aligned is the address, not the offset */
    assert_ptr_equal(weir_offset_address(odd, 4, 8, 8), base + 8);
    assert_null(weir_offset_address(odd, 8, 8, 8));
    assert_int_equal(weir_offset_of(space, NULL), 0);
    assert_int_equal(weir_offset_of(space, base), 0);
    assert_int_equal(weir_offset_of(space, base + 5), 5);
    assert_int_equal(weir_offset_of(space, base + SPACE_BYTES), 0);
    assert_int_equal(weir_offset_of(space, &space), 0);
}

static void test_typed_pointer(void **state)
{
    (void)state;
    number_pointer one = { 0 }, other;
    uint32_t *number = (uint32_t *)(void *)((unsigned char *)space.base + 512);
    assert_null(weir_pointer_get(space, one));
    weir_pointer_set(space, &one, number);
    assert_int_equal(one.offset, 512);
    other = one;
    assert_ptr_equal(weir_pointer_get(space, other), number);
    other.offset = 513; /* not aligned for its type */
    assert_null(weir_pointer_get(space, other));
    other.offset = SPACE_BYTES - 2;
    assert_null(weir_pointer_get(space, other));
    weir_pointer_set(space, &one, NULL);
    assert_int_equal(one.offset, 0);
}

/* --- the pool ------------------------------------------------------------------------------ */

static unsigned used(void)
{
    uint32_t count = 99;
    assert_result(weir_pool_used(&pool, &count), 0);
    return count;
}

static void test_pool_gives_all_and_takes_back(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            assert_result(weir_pool_alloc(&pool, place(i)), 0);
            void *block = weir_offset_address(space, *place(i), BLOCK_BYTES, 16);
            assert_non_null(block);
            assert_true(all_bytes(block, BLOCK_BYTES, round == 0 ? 0 : 0xee));
            memset(block, (int)i, BLOCK_BYTES);
            assert_int_equal(used(), i + 1);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            assert_true(
                all_bytes((unsigned char *)space.base + *place(i), BLOCK_BYTES, (unsigned char)i));
        assert_result(weir_pool_alloc(&pool, place(BLOCKS)), -ENOMEM);
        assert_non_null(strstr(weir_last_error(), "all 8 blocks"));
        assert_int_equal(*place(BLOCKS), 0);
        for (unsigned i = 0; i < BLOCKS; i++) {
            memset((unsigned char *)space.base + *place(i), 0xee, BLOCK_BYTES);
            assert_result(weir_pool_free(&pool, place(i)), 0);
            assert_int_equal(*place(i), 0);
        }
        assert_int_equal(used(), 0);
        assert_result(weir_pool_check(&pool), 0);
    }
}

/* Where a pointer would say "nowhere", a place may stand all the same: a struct may begin with one. */
static void test_the_front_is_a_place(void **state)
{
    (void)state;
    uint64_t *front = space.base;
    assert_result(weir_pool_alloc(&pool, front), 0);
    assert_non_null(weir_offset_address(space, *front, BLOCK_BYTES, 16));
    assert_int_equal(used(), 1);
    assert_result(weir_pool_alloc(&pool, front), -EINVAL);
    assert_result(weir_pool_free(&pool, front), 0);
    assert_int_equal(*front, 0);
    assert_int_equal(used(), 0);
    assert_result(weir_arena_alloc(&arena, 10, 1, front), 0);
    assert_int_equal(*front, ARENA_AT + WEIR_ARENA_HEADER_BYTES);
    assert_result(weir_pool_alloc(&pool, front - 1), -EINVAL);
    assert_result(weir_pool_alloc(&pool, front + SPACE_BYTES / 8), -EINVAL);
}

static void test_pool_refuses(void **state)
{
    (void)state;
    uint64_t outside = 0, twice;
    assert_result(weir_pool_alloc(&pool, &outside), -EINVAL);
    assert_result(weir_pool_alloc(&pool, NULL), -EINVAL);
    assert_result(weir_pool_alloc(&pool, (uint64_t *)(void *)((char *)place(0) + 4)), -EINVAL);
    assert_result(weir_pool_alloc(&pool, place(0)), 0);
    assert_result(weir_pool_alloc(&pool, place(0)), -EINVAL);
    twice = *place(1) = *place(0);
    assert_result(weir_pool_free(&pool, place(0)), 0);
    assert_result(weir_pool_free(&pool, place(1)), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "twice"));
    assert_result(weir_pool_free(&pool, place(2)), -EINVAL);
    *place(1) = twice + 8;
    assert_result(weir_pool_free(&pool, place(1)), -EINVAL);
    *place(1) = UINT64_MAX;
    assert_result(weir_pool_free(&pool, place(1)), -EINVAL);
    assert_result(weir_pool_alloc(&pool, place(0)), 0);
    *place(1) = *place(0) + 8; /* within a block that is given */
    assert_result(weir_pool_free(&pool, place(1)), -EINVAL);
    assert_int_equal(used(), 1);
    assert_result(weir_pool_free(&pool, place(0)), 0);
    assert_result(weir_pool_free(&pool, &outside), -EINVAL);
    assert_result(weir_pool_recover(&pool), 0);
    assert_int_equal(used(), 0);
}

static void test_pool_geometry(void **state)
{
    (void)state;
    struct weir_pool other;
    assert_int_equal(weir_pool_bytes(0, 1), 0);
    assert_int_equal(weir_pool_bytes(1, 0), 0);
    assert_int_equal(weir_pool_bytes(UINT64_MAX, 2), 0);
    assert_int_equal(weir_pool_bytes(UINT64_C(1) << 43, UINT32_MAX), 0);
    assert_int_equal(weir_pool_bytes(1, UINT32_MAX), 0);
    /* As many bytes as a file may have, and no more. */
    assert_int_equal(weir_pool_bytes((UINT64_C(1) << 44) - 1, 1 << 19), 0);
    assert_true(weir_pool_bytes((UINT64_C(1) << 44) - 1, (1 << 19) - 1) > INT64_MAX / 2);
    assert_true(weir_pool_bytes(64, 10) >= 640);
    assert_result(weir_pool_init(space, POOL_AT, BLOCK_BYTES, BLOCKS), 0);
    assert_result(weir_pool_init(space, POOL_AT, BLOCK_BYTES, BLOCKS + 1), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "9 blocks"));
    assert_result(weir_pool_init(space, POOL_AT, 101, BLOCKS), -EINVAL);
    assert_result(weir_pool_init(space, POOL_AT, BLOCK_BYTES, 1000000), -EINVAL);
    assert_result(weir_pool_init(space, POOL_AT + 8, BLOCK_BYTES, BLOCKS), -EINVAL);
    assert_result(weir_pool_init(space, UINT64_MAX - 63, BLOCK_BYTES, BLOCKS), -EINVAL);
    assert_result(weir_pool_init(space, POOL_AT, UINT64_C(1) << 44, 1), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "less than 16 TiB"));
    assert_result(weir_pool_init(space, ARENA_AT, BLOCK_BYTES, BLOCKS), -EPROTO);
    assert_result(weir_pool_open(&other, space, ARENA_AT), -EPROTO);
    assert_result(weir_pool_open(&other, space, ARENA_AT + ARENA_BYTES), -ENOENT);
    assert_result(weir_pool_open(&other, space, SPACE_BYTES), -EINVAL);
    struct weir_space shorter = { space.base, POOL_AT + 512 };
    assert_result(weir_pool_open(&other, shorter, POOL_AT), -EUCLEAN);
    const struct weir_space nowhere = { NULL,
                                        SPACE_BYTES }; /* as of a segment that was not opened */
    assert_result(weir_pool_init(nowhere, POOL_AT, BLOCK_BYTES, BLOCKS), -EINVAL);
    assert_result(weir_pool_open(&other, nowhere, POOL_AT), -EINVAL);
    assert_result(weir_arena_init(nowhere, ARENA_AT, ARENA_BYTES), -EINVAL);
}

/* Blocks of whole cache lines begin at one, whatever stands in front of them, and share none. */
static void test_where_blocks_stand(void **state)
{
    (void)state;
    const struct {
        uint64_t bytes, multiple;
    } rows[] = { { 1, 16 }, { 16, 16 }, { 48, 16 }, { 64, 64 }, { 128, 64 } };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t at = POOL_AT + (i + 1) * 4096;
        struct weir_pool other;
        assert_result(weir_pool_init(space, at, rows[i].bytes, 3), 0);
        assert_result(weir_pool_open(&other, space, at), 0);
        for (unsigned k = 0; k < 3; k++) {
            *place(k) = 0;
            assert_result(weir_pool_alloc(&other, place(k)), 0);
            assert_int_equal(*place(k) % rows[i].multiple, 0);
            assert_true(*place(k) + rows[i].bytes <= at + weir_pool_bytes(rows[i].bytes, 3));
            assert_true(k == 0 || *place(k) - *place(k - 1) >= rows[i].bytes);
        }
    }
}

/* What stands in the pool's head is garbage: an error or a block, and never outside. */
static void test_pool_lies(void **state)
{
    static const uint64_t lies[] = { 1, BLOCKS, BLOCKS + 1, UINT32_MAX, UINT64_MAX, 1ull << 63 };
    unsigned char *head = (unsigned char *)space.base + POOL_AT;
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_result(weir_pool_alloc(&pool, place(i)), 0);
    assert_result(weir_pool_free(&pool, place(1)), 0);
    /* Every word from behind the geometry to the last link, but the lock's. */
    for (unsigned at = 16 + sizeof(struct weir_mutex); at < pool.blocks_offset - POOL_AT; at += 8) {
        for (unsigned k = 0; k < ARRAY_SIZE(lies); k++) {
            uint64_t before[2], whole;
            unsigned char kept[POOL_AT];
            memcpy(kept, head, pool.blocks_offset - POOL_AT);
            memcpy(before, place(0), sizeof before);
            memcpy(head + at, &lies[k], 8);
            *place(7) = 0;
            int result = weir_pool_alloc(&pool, place(7));
            assert_true(result == 0 || result == -EUCLEAN || result == -ENOMEM);
            whole = *place(7);
            assert_true(whole == 0 || weir_offset_address(space, whole, BLOCK_BYTES, 16) != NULL);
            result = weir_pool_free(&pool, place(0));
            assert_true(result == 0 || result == -EUCLEAN || result == -EINVAL);
            result = weir_pool_check(&pool);
            assert_true(result == 0 || result == -EUCLEAN);
            memcpy(head, kept, pool.blocks_offset - POOL_AT);
            memcpy(place(0), before, sizeof before);
        }
    }
    assert_result(weir_pool_check(&pool), 0);
}

/*
 * All are given, and where one more would be is none. Its link would be what stands behind the last link,
 * with some counts the user's first bytes: all ones there say "given".
 */
static void test_a_block_behind_the_last(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 16; count++) {
        uint64_t at = POOL_AT + 1024 + count * 1536;
        struct weir_pool other;
        assert_result(weir_pool_init(space, at, 64, count), 0);
        assert_result(weir_pool_open(&other, space, at), 0);
        for (uint32_t i = 0; i < count; i++) {
            *place(i) = 0;
            assert_result(weir_pool_alloc(&other, place(i)), 0);
            memset((unsigned char *)space.base + *place(i), 0xff, 64);
        }
        uint64_t behind = *place(count) = other.blocks_offset + 64 * (uint64_t)count;
        assert_result(weir_pool_free(&other, place(count)), -EINVAL);
        assert_non_null(strstr(weir_last_error(), "no block of this pool begins there"));
        assert_int_equal(*place(count), behind);
        assert_result(weir_pool_check(&other), 0);
    }
}

/* Somebody has written over the link of a block that is given: that is seen, and not only a ring. */
static void test_a_block_that_is_nobodys(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_result(weir_pool_alloc(&pool, place(i)), 0);
    assert_result(weir_pool_free(&pool, place(2)), 0);
    assert_result(weir_pool_check(&pool), 0);
    uint32_t *links =
        (uint32_t *)(void *)((unsigned char *)space.base + POOL_AT + sizeof(struct weir__pool_shm));
    uint32_t given = links[0];
    links[0] = 0;
    assert_result(weir_pool_check(&pool), -EUCLEAN);
    assert_non_null(strstr(weir_last_error(), "neither free nor given is 1"));
    links[0] = given;
    assert_result(weir_pool_check(&pool), 0);
    uint32_t last = links[2], count = 99;
    links[2] = 3; /* a ring of one */
    assert_result(weir_pool_check(&pool), -EUCLEAN);
    assert_result(weir_pool_used(&pool, &count), -EUCLEAN);
    assert_int_equal(count, 99);
    links[2] = last;
}

/* The same while a call runs: what was checked is not what stands there at the next look. */
static atomic_bool is_over;

static void *lie(void *argument)
{
    weir__atomic_u64 *words = argument;
    uint64_t random = 88172645463325252u;
    while (!atomic_load(&is_over)) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        /* Mostly what can be true, so that the checks are passed. */
        atomic_store(&words[random % 2], random & 12 ? random >> 8 & 3 : random << 16);
    }
    return NULL;
}

static void test_pool_liar_at_work(void **state)
{
    pthread_t liar;
    uint32_t count;
    /* free and fresh stand behind the two words of geometry and the intent. */
    unsigned char *head = (unsigned char *)space.base + POOL_AT;
    size_t at = 16 + sizeof(struct weir_mutex) + 24;
    (void)state;
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&liar, NULL, lie, head + at), 0);
    for (unsigned i = 0; i < (SANITIZED ? 30000 : 1000000); i++) {
        *place(0) = 0;
        if (weir_pool_alloc(&pool, place(0)) == 0)
            assert_non_null(weir_offset_address(space, *place(0), BLOCK_BYTES, 16));
        weir_pool_free(&pool, place(0));
        *place(1) = UINT64_C(1) << 40;
        assert_true(weir_pool_free(&pool, place(1)) < 0);
        weir_pool_used(&pool, &count);
        weir_pool_check(&pool);
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(liar, NULL), 0);
}

static void *churn(void *argument)
{
    uint64_t *mine = argument;
    for (unsigned i = 0; i < 20000; i++) {
        int result = weir_pool_alloc(&pool, mine);
        if (result == 0) {
            uint64_t *block = weir_offset_address(space, *mine, BLOCK_BYTES, 16);
            *block = (uint64_t)(uintptr_t)mine;
            if (*block != (uint64_t)(uintptr_t)mine || weir_pool_free(&pool, mine) != 0)
                return argument;
        } else if (result != -ENOMEM) {
            return argument;
        }
    }
    return NULL;
}

static void test_pool_by_threads(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, place(i)), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(used(), 0);
    assert_result(weir_pool_check(&pool), 0);
}

/* --- the arena ----------------------------------------------------------------------------- */

static void test_arena_gives_in_order(void **state)
{
    (void)state;
    uint64_t used_bytes;
    assert_result(weir_arena_alloc(&arena, 10, 1, place(0)), 0);
    assert_int_equal(*place(0), ARENA_AT + WEIR_ARENA_HEADER_BYTES);
    assert_result(weir_arena_alloc(&arena, 10, 64, place(1)), 0);
    assert_int_equal(*place(1), ARENA_AT + WEIR_ARENA_HEADER_BYTES + 64);
    assert_true(all_bytes((unsigned char *)space.base + *place(1), 10, 0));
    assert_result(weir_arena_used(&arena, &used_bytes), 0);
    assert_int_equal(used_bytes, 74);
    uint64_t left = ARENA_BYTES - WEIR_ARENA_HEADER_BYTES - 74;
    assert_result(weir_arena_alloc(&arena, left + 1, 1, place(2)), -ENOMEM);
    char left_bytes[32];
    snprintf(left_bytes, sizeof left_bytes, "%llu bytes are left", (unsigned long long)left);
    assert_int_equal(strncmp(weir_last_error(), left_bytes, strlen(left_bytes)), 0);
    assert_result(weir_arena_alloc(&arena, left, 1, place(2)), 0);
    assert_result(weir_arena_alloc(&arena, 1, 1, place(3)), -ENOMEM);
    assert_result(weir_arena_reset(&arena), 0);
    assert_result(weir_arena_alloc(&arena, 1, 1, place(3)), 0);
    assert_int_equal(*place(3), *place(0));
    assert_result(weir_arena_alloc(&arena, 1, 4096, place(4)), -ENOMEM); /* a page of its own */
    assert_result(weir_arena_alloc(&arena, 1, 2048, place(4)), 0);
    assert_int_equal(*place(4) % 2048, 0);
}

/* Sizes that the head of an arena cannot say, or that are no arena's. */
static void test_sizes_of_an_arena(void **state)
{
    const struct weir_space huge = { space.base, UINT64_C(1)
                                                     << 50 }; /* of which a page is touched */
    const uint64_t at = ARENA_AT + 2 * ARENA_BYTES;
    weir__atomic_u64 *word = (weir__atomic_u64 *)(void *)((unsigned char *)space.base + at);
    struct weir_arena other;
    (void)state;
    assert_result(weir_arena_init(huge, at, UINT64_C(1) << 44), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "less than 16 TiB"));
    assert_int_equal(*word, 0);
    assert_result(weir_arena_init(huge, at, (UINT64_C(1) << 44) - 64), 0);
    assert_result(weir_arena_open(&other, huge, at), 0);
    assert_result(weir_arena_alloc(&other, 8, 4096, place(0)), 0);
    assert_int_equal(*place(0) % 4096, 0);
    *word -=
        (UINT64_C(1) << 44) - 64 - WEIR_ARENA_HEADER_BYTES; /* there is no room behind its head */
    assert_result(weir_arena_open(&other, space, at), -EUCLEAN);
}

static void test_arena_refuses(void **state)
{
    (void)state;
    uint64_t outside = 0;
    struct weir_arena other;
    assert_result(weir_arena_alloc(&arena, 0, 1, place(0)), -EINVAL);
    assert_result(weir_arena_alloc(&arena, 1, 0, place(0)), -EINVAL);
    assert_result(weir_arena_alloc(&arena, 1, 3, place(0)), -EINVAL);
    assert_result(weir_arena_alloc(&arena, 1, 8192, place(0)), -EINVAL);
    assert_result(weir_arena_alloc(&arena, UINT64_MAX, 1, place(0)), -ENOMEM);
    assert_result(weir_arena_alloc(&arena, 1, 1, &outside), -EINVAL);
    *place(0) = 5;
    assert_result(weir_arena_alloc(&arena, 1, 1, place(0)), -EINVAL);
    assert_result(weir_arena_recover(&arena), 0);
    assert_result(weir_arena_init(space, ARENA_AT, ARENA_BYTES), 0);
    assert_result(weir_arena_init(space, ARENA_AT, ARENA_BYTES + 64), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "4096"));
    assert_result(weir_arena_init(space, POOL_AT, 4096), -EPROTO);
    assert_result(weir_arena_init(space, ARENA_AT + 8192, WEIR_ARENA_HEADER_BYTES), -EINVAL);
    assert_result(weir_arena_init(space, ARENA_AT, SPACE_BYTES), -EINVAL);
    assert_result(weir_arena_open(&other, space, POOL_AT), -EPROTO);
    assert_result(weir_arena_open(&other, space, ARENA_AT + ARENA_BYTES), -ENOENT);
    struct weir_space shorter = { space.base, ARENA_AT + ARENA_BYTES - 1 };
    assert_result(weir_arena_open(&other, shorter, ARENA_AT), -EUCLEAN);
    uint64_t *words = (uint64_t *)(void *)((unsigned char *)space.base + ARENA_AT);
    for (unsigned i = 1 + sizeof(struct weir_mutex) / 8; i < WEIR_ARENA_HEADER_BYTES / 8; i++) {
        words[i] = UINT64_MAX;
        *place(1) = 0;
        int result = weir_arena_alloc(&arena, 8, 8, place(1));
        assert_true(result == 0 || result == -EUCLEAN);
        words[i] = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_offset_is_checked, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_typed_pointer, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_gives_all_and_takes_back, fresh_space,
                                        drop_space),
        cmocka_unit_test_setup_teardown(test_the_front_is_a_place, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_refuses, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_geometry, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_where_blocks_stand, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_lies, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_a_block_behind_the_last, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_a_block_that_is_nobodys, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_liar_at_work, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_pool_by_threads, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_arena_gives_in_order, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_sizes_of_an_arena, fresh_space, drop_space),
        cmocka_unit_test_setup_teardown(test_arena_refuses, fresh_space, drop_space),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
