/* SPDX-License-Identifier: MIT */
/*
 * Goal: the orders that the channels stand on hold on this processor, as this compiler
 *       compiles them: what is released is there for who acquires it, two who store and then
 *       fence do not both miss the other, and no addition is lost.
 * Method: two threads over many words of their own each; what each saw is compared afterwards.
 */
#include "unit/cmocka.h"

#include <pthread.h>
#include <string.h>

#include "base/atomics.h"

enum { ROUNDS = 300000 };

/* One line for each round, so that it travels. */
static struct {
    _Alignas(128) weir__atomic_u64 left;
    _Alignas(128) weir__atomic_u64 right;
    uint64_t payload;
} rounds[1024];
static unsigned char left_saw[ROUNDS], right_saw[ROUNDS];
static weir__atomic_u32 arrived[2];
static weir__atomic_u64 sum;
static uint64_t torn;

/* Both begin a round at the same time, or nearly. */
static void meet(unsigned who, uint32_t round)
{
    /* Relaxed: only when they begin. */
    atomic_store_explicit(&arrived[who], round, memory_order_relaxed);
    while (atomic_load_explicit(&arrived[1 - who], memory_order_relaxed) < round)
        weir__cpu_relax();
}

static void run_pair(void *(*left)(void *), void *(*right)(void *))
{
    pthread_t threads[2];
    memset(rounds, 0, sizeof rounds);
    arrived[0] = arrived[1] = 0;
    assert_int_equal(pthread_create(&threads[0], NULL, left, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, right, NULL), 0);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
}

/* --- release and acquire: one word, its payload, and back, as a ring of one record -------- */

static void *send_all(void *argument)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        /* Acquire: the reader has read the payload. Pairs with receive_all(). */
        while (atomic_load_explicit(&rounds[0].right, memory_order_acquire) != i - 1)
            weir__cpu_relax();
        rounds[0].payload = i * 3;
        /* Release: the payload. Pairs with receive_all(). */
        atomic_store_explicit(&rounds[0].left, i, memory_order_release);
    }
    return argument;
}

static void *receive_all(void *argument)
{
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        /* Acquire: the payload. Pairs with send_all(). */
        while (atomic_load_explicit(&rounds[0].left, memory_order_acquire) != i)
            weir__cpu_relax();
        torn += rounds[0].payload != i * 3;
        /* Release: it is read. Pairs with send_all(). */
        atomic_store_explicit(&rounds[0].right, i, memory_order_release);
    }
    return argument;
}

static void what_is_released_is_acquired(void **state)
{
    (void)state;
    torn = 0;
    run_pair(send_all, receive_all);
    assert_int_equal(torn, 0);
}

/* --- store, full fence, look at the other's store: not both see nothing -------------------- */

static void *fence_left(void *argument)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (i % 64 == 0)
            meet(0, i + 1);
        /* Relaxed: the fence orders them. */
        atomic_store_explicit(&rounds[i % 1024].left, i + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        left_saw[i] = atomic_load_explicit(&rounds[i % 1024].right, memory_order_relaxed) >= i + 1;
    }
    return argument;
}

static void *fence_right(void *argument)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (i % 64 == 0)
            meet(1, i + 1);
        /* Relaxed: the fence orders them. */
        atomic_store_explicit(&rounds[i % 1024].right, i + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        right_saw[i] = atomic_load_explicit(&rounds[i % 1024].left, memory_order_relaxed) >= i + 1;
    }
    return argument;
}

static void one_of_two_sees_the_other(void **state)
{
    (void)state;
    unsigned neither = 0;
    run_pair(fence_left, fence_right);
    for (int i = 0; i < ROUNDS; i++)
        neither += !left_saw[i] && !right_saw[i];
    assert_int_equal(neither, 0);
}

/* --- additions, and exchanges --------------------------------------------------------------- */

static void *add_all(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        /* Relaxed: a number alone. */
        atomic_fetch_add_explicit(&sum, 1, memory_order_relaxed);
        uint64_t old = atomic_load_explicit(&rounds[1].left, memory_order_relaxed);
        while (!atomic_compare_exchange_strong(&rounds[1].left, &old, old + 1))
            weir__cpu_relax();
    }
    return argument;
}

static void no_addition_is_lost(void **state)
{
    (void)state;
    sum = 0;
    run_pair(add_all, add_all);
    assert_true(sum == 2 * (uint64_t)ROUNDS && rounds[1].left == 2 * (uint64_t)ROUNDS);
}

/* A word that hides a lock would be one in each process. */
static void words_have_no_lock(void **state)
{
    static weir__atomic_u32 small;
    (void)state;
    assert_true(atomic_is_lock_free(&small) && atomic_is_lock_free(&sum));
    assert_int_equal(sizeof small, 4);
    assert_int_equal(sizeof sum, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_released_is_acquired),
        cmocka_unit_test(one_of_two_sees_the_other),
        cmocka_unit_test(no_addition_is_lost),
        cmocka_unit_test(words_have_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
