/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever state a mutex, a semaphore or a once is in, its check says that it can be one, also while
 *       others use it, from memory that may only be read; and of what cannot be one it says so, and writes
 *       nothing.
 * Method: each state on the way of such an object, through deaths; each word of it set to what its table
 *       forbids; data of other programs; checks without end while two processes lock and unlock, and one
 *       that is halted after each instruction while another locks and unlocks between them.
 *       (test_sync_kill asks at every system call of every call, test_sync_lies of every lie.)
 */
#include "mutex_acts.h"
#include "tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/once.h>
#include <weir/semaphore.h>

#include "base/atomics.h"
#include "sync/once.h"
#include "sync/semaphore.h"

enum { CHECKS = 200000, STEPPED_CHECKS = 200 };

static struct shared {
    struct weir_once once;
    struct weir_semaphore semaphore;
    weir__atomic_u32 is_over;
    weir__atomic_u32 rounds;
    weir__atomic_u32 refused;
} * shared;

static int set_up_all(void **state)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : set_up(state);
}

static int tear_down_all(void **state)
{
    int result = munmap(shared, sizeof *shared);
    return result ? result : tear_down(state);
}

#undef TEST
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up_all, tear_down_all)

static int check(void)
{
    return weir_mutex_check(&board->mutex);
}

/* --- what can be one ------------------------------------------------------------------------------ */

static void test_arguments(void **state)
{
    static uint64_t room[8];
    const char *odd = (char *)room + 2;
    (void)state;
    for (int i = 0; i < 2; i++) {
        const void *bad = i ? odd : NULL;
        assert_result(weir_mutex_check(bad), -EINVAL);
        assert_result(weir_once_check(bad), -EINVAL);
        assert_result(weir_semaphore_check(bad), -EINVAL);
    }
    assert_result(weir_mutex_check((const void *)room), 0);
    assert_result(weir_once_check((const void *)room), 0);
    assert_result(weir_semaphore_check((const void *)room), 0);
    assert_true(all_bytes(room, sizeof room, 0));
}

static void test_states_of_a_mutex(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(check(), 0);
    actor_tell(&waiter, lock, NULL);
    actor_see_asleep(&waiter);
    assert_result(check(), 0);
    assert_result(weir_mutex_unlock(&board->mutex), 0);
    assert_int_equal(actor_answer(&waiter, SOON_MS), 0);
    assert_result(check(), 0);
    actor_stop(&waiter);
    assert_result(check(), 0);
    actor_kill(&waiter);
    assert_result(check(), 0);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(check(), 0);
    make_good();
    assert_result(check(), 0);
    die_holding();
    assert_result(check(), 0);
    assert_result(weir_mutex_lock(&board->mutex), WEIR_OWNER_DIED);
    assert_result(weir_mutex_unlock(&board->mutex), 0); /* given up */
    assert_result(check(), 0);
    assert_result(weir_mutex_lock(&board->mutex), -ENOTRECOVERABLE);
    assert_result(check(), 0);
}

static void test_states_of_a_recursive_mutex(void **state)
{
    (void)state;
    assert_result(weir_mutex_init(&board->mutex, WEIR_MUTEX_RECURSIVE), 0);
    assert_result(check(), 0);
    for (int i = 0; i < 3; i++) {
        assert_result(weir_mutex_lock(&board->mutex), 0);
        assert_result(check(), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_result(weir_mutex_unlock(&board->mutex), 0);
        assert_result(check(), 0);
    }
}

static int post(void *unused)
{
    (void)unused;
    return weir_semaphore_post(&shared->semaphore);
}

static int wait_one(void *unused)
{
    (void)unused;
    return weir_semaphore_wait(&shared->semaphore);
}

static void test_states_of_a_semaphore(void **state)
{
    struct actor waiter;
    (void)state;
    actor_start(&waiter);
    actor_tell(&waiter, wait_one, NULL);
    actor_see_asleep(&waiter);
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    assert_int_equal(post(NULL), 0);
    assert_int_equal(actor_answer(&waiter, SOON_MS), 0);
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    actor_tell(&waiter, wait_one, NULL);
    actor_see_asleep(&waiter);
    actor_kill(&waiter); /* counted as asleep */
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    assert_result(weir_semaphore_init(&shared->semaphore, WEIR_SEMAPHORE_MAX), 0);
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
}

static int begin(void *unused)
{
    (void)unused;
    return weir_once_begin(&shared->once);
}

static void test_states_of_a_once(void **state)
{
    struct actor builder;
    (void)state;
    actor_start(&builder);
    assert_result(weir_once_begin(&shared->once), WEIR_ONCE_BEGUN);
    assert_result(weir_once_check(&shared->once), 0);
    assert_result(weir_once_abandon(&shared->once), 0);
    assert_result(weir_once_check(&shared->once), 0);
    assert_int_equal(actor_ask(&builder, begin, NULL), WEIR_ONCE_BEGUN);
    actor_kill(&builder);
    assert_result(weir_once_check(&shared->once), 0);
    assert_result(weir_once_begin(&shared->once), WEIR_OWNER_DIED);
    assert_result(weir_once_check(&shared->once), 0);
    assert_result(weir_once_end(&shared->once), 0);
    assert_result(weir_once_check(&shared->once), 0);
}

static void test_read_only_memory(void **state)
{
    (void)state;
    assert_result(weir_mutex_lock(&board->mutex), 0);
    assert_result(weir_once_begin(&shared->once), WEIR_ONCE_BEGUN);
    assert_result(weir_once_end(&shared->once), 0);
    assert_int_equal(post(NULL), 0);
    assert_int_equal(mprotect(board, sizeof *board, PROT_READ), 0);
    assert_int_equal(mprotect(shared, sizeof *shared, PROT_READ), 0);
    assert_result(check(), 0);
    assert_result(weir_once_check(&shared->once), 0);
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
}

/* --- while others use it --------------------------------------------------------------------------- */

static int churn(void *unused)
{
    (void)unused;
    while (!atomic_load(&shared->is_over)) {
        int result = weir_mutex_lock(&board->mutex);
        if (result != 0 || weir_mutex_unlock(&board->mutex) != 0)
            return -1;
        atomic_fetch_add(&shared->rounds, 1);
    }
    return 0;
}

static void see_churn(unsigned count)
{
    struct actor users[2];
    for (unsigned i = 0; i < count; i++) {
        actor_start(&users[i]);
        actor_tell(&users[i], churn, NULL);
    }
    uint32_t begun = atomic_load(&shared->rounds);
    for (int i = 0; i < CHECKS || atomic_load(&shared->rounds) - begun < 1000; i++)
        if (check() != 0)
            fail_msg("check %d: %s", i, weir_last_error());
    atomic_store(&shared->is_over, 1);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(actor_answer(&users[i], SOON_MS), 0);
        actor_end(&users[i]);
    }
    atomic_store(&shared->is_over, 0);
}

static void test_in_use(void **state)
{
    (void)state;
    see_churn(1);
    see_churn(2);
}

static void check_on(void *unused)
{
    (void)unused;
    for (;;) {
        if (check() != 0)
            atomic_fetch_add(&shared->refused, 1);
        atomic_fetch_add(&shared->rounds, 1);
    }
}

/* It is locked and unlocked between any two of its loads; but not for ever in its step. */
static void test_between_two_instructions(void **state)
{
    bool is_locked = false;
    uint32_t seed = 1;
    (void)state;
    if (!tracer_works())
        skip();
    pid_t child = tracee_start(NULL, check_on, NULL);
    while (atomic_load(&shared->rounds) < STEPPED_CHECKS) {
        tracee_step_instruction(child);
        seed = seed * 1664525 + 1013904223;
        if (seed >> 28 != 0)
            continue;
        assert_result(is_locked ? weir_mutex_unlock(&board->mutex) : lock(NULL), 0);
        is_locked = !is_locked;
    }
    tracee_kill(child);
    assert_int_equal(shared->refused, 0);
}

/* --- what cannot be one ------------------------------------------------------------------------------ */

/* It is refused, and nothing is written. */
static void refuse_mutex(const void *bytes, const char *what)
{
    memcpy((void *)&board->mutex, bytes, sizeof board->mutex);
    if (check() != -EUCLEAN)
        fail_msg("%s is taken for a mutex", what);
    assert_memory_equal((void *)&board->mutex, bytes, sizeof board->mutex);
}

static void test_data_of_others(void **state)
{
    static const char text[48] = "root:x:0:0:root:/root:/bin/bash and so forth\n";
    (void)state;
    refuse_mutex(text, "text");
    refuse_mutex(text + 1, "text");
    for (uint64_t number = 1; number < 8192; number++) {
        uint64_t words[5] = { number };
        refuse_mutex(words, "a small number");
        words[0] = 0;
        words[1] = number;
        refuse_mutex(words, "a small number, the second");
    }
    for (size_t i = 2; i < 5; i++) {
        for (uint64_t value = 1; value < UINT64_C(1) << 40; value *= 2) {
            uint64_t words[5] = { 0 };
            words[i] = value;
            /* That one is a recursive mutex. */
            if (i != 3 || value != (uint64_t)WEIR_MUTEX_RECURSIVE << 32)
                refuse_mutex(words, "a number among zeros");
        }
    }
    unsigned char bytes[sizeof(struct weir_mutex)];
    memset(bytes, 0xff, sizeof bytes);
    refuse_mutex(bytes, "ones");
    double numbers[5] = { 1.5, 2.25, -3, 1e9, 0.1 };
    refuse_mutex(numbers, "floating-point numbers");
    /* The pages of a list: the second one is not what stands beside a holder. */
    uint64_t pages[5] = { 0x7f0000402000, 0x7f0000404000, 0x7f0000400123, 0, 0 };
    refuse_mutex(pages, "addresses");
}

/* A mutex that is held, but for one word. */
#define REFUSE_WITH(...)                                                                           \
    do {                                                                                           \
        struct weir_mutex lie = held;                                                              \
        struct weir__mutex_shm *shm = (struct weir__mutex_shm *)(void *)&lie;                      \
        __VA_ARGS__;                                                                               \
        refuse_mutex(&lie, #__VA_ARGS__);                                                          \
    } while (0)

static void test_words_that_contradict(void **state)
{
    (void)state;
    assert_result(weir_mutex_lock(&board->mutex), 0);
    const struct weir_mutex held = board->mutex;
    REFUSE_WITH(shm->owned.word |= WEIR__MUTEX_LOST);
    REFUSE_WITH(shm->owned.word |= 8);
    REFUSE_WITH(shm->owned.word = WEIR__MUTEX_WAITED);
    REFUSE_WITH(shm->owned.word = WEIR__MUTEX_INHERITED);
    REFUSE_WITH(shm->owned.word = WEIR__MUTEX_LOST; shm->owned.name = 0; shm->thread = 0);
    REFUSE_WITH(shm->owned.word = WEIR__MUTEX_LOST);
    REFUSE_WITH(shm->owned.word = 0);
    REFUSE_WITH(shm->owned.word = 0; shm->thread = 0; shm->depth = 1; shm->flags = 1);
    REFUSE_WITH(shm->owned.name = 0);
    REFUSE_WITH(shm->owned.name ^= UINT64_C(1) << 20);
    REFUSE_WITH(shm->owned.name = 7; shm->thread = 0);
    REFUSE_WITH(shm->thread = UINT64_C(1) << 13);
    REFUSE_WITH(shm->depth = 1);
    REFUSE_WITH(shm->flags = 2);
    REFUSE_WITH(shm->flags = UINT32_MAX);
    REFUSE_WITH(shm->reserved = 1);
    /* As who inherits leaves it when it is killed before it has written its name. */
    board->mutex = held;
    inside()->owned.word |= WEIR__MUTEX_INHERITED | WEIR__MUTEX_WAITED;
    inside()->owned.name ^= UINT64_C(1) << 20;
    assert_result(check(), 0);
}

static void test_no_semaphore(void **state)
{
    struct weir__semaphore_shm *shm = (void *)&shared->semaphore;
    (void)state;
    shm->value = WEIR_SEMAPHORE_MAX; /* and every other word */
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    shm->value |= WEIR__SEMAPHORE_WAITED;
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    shm->value = 1;
    assert_result(weir_semaphore_check(&shared->semaphore), 0);
    shm->asleep = UINT32_MAX;
    assert_result(weir_semaphore_check(&shared->semaphore), -EUCLEAN);
    shm->asleep = 0;
    for (int i = 0; i < 2; i++) {
        shm->reserved[i] = 1;
        assert_result(weir_semaphore_check(&shared->semaphore), -EUCLEAN);
        shm->reserved[i] = 0;
        assert_result(weir_semaphore_check(&shared->semaphore), 0);
    }
    memcpy((void *)shm, "sixteen letters.", sizeof *shm);
    assert_result(weir_semaphore_check(&shared->semaphore), -EUCLEAN);
    assert_memory_equal((void *)shm, "sixteen letters.", sizeof *shm);
}

static void test_no_once(void **state)
{
    struct weir__once_shm *shm = (void *)&shared->once;
    struct weir__mutex_shm *mutex = (void *)&shm->mutex;
    (void)state;
    shm->done = 1; /* and nobody has done it */
    assert_result(weir_once_check(&shared->once), -EUCLEAN);
    shm->done = 0;
    assert_result(weir_once_begin(&shared->once), WEIR_ONCE_BEGUN);
    assert_result(weir_once_end(&shared->once), 0);
    const struct weir_once done = shared->once;
    shm->done = 2;
    assert_result(weir_once_check(&shared->once), -EUCLEAN);
    shared->once = done;
    shm->reserved = 1;
    assert_result(weir_once_check(&shared->once), -EUCLEAN);
    shared->once = done;
    mutex->owned.word = 8;
    assert_result(weir_once_check(&shared->once), -EUCLEAN);
    shared->once = done;
    assert_result(weir_once_check(&shared->once), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_states_of_a_mutex),
        TEST(test_states_of_a_recursive_mutex),
        TEST(test_states_of_a_semaphore),
        TEST(test_states_of_a_once),
        TEST(test_read_only_memory),
        TEST(test_in_use),
        TEST(test_between_two_instructions),
        TEST(test_data_of_others),
        TEST(test_words_that_contradict),
        TEST(test_no_semaphore),
        TEST(test_no_once),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
