/* SPDX-License-Identifier: MIT */
/*
 * Goal: a pool of permits does what its header says: each is one process's at most, a dead one's
 *       comes back and says so, a stopped one's does not, a child holds none.
 * Method: peers that share the memory alone take and release by orders; threads hammer a pool that
 *       is too small, each permit guarding a counter that is not atomic.
 */
#include "fixture.h"
#include "peers.h"
#include "wakes.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "sync/permits.h"

#define NOW INT64_C(0)
#define SHORT_NS INT64_C(300000000)
#define LONG_NS INT64_C(20000000000)
#define BOUND_NS INT64_C(3000000000)

enum verb { TAKE, RELEASE, TAKE_ALL, LEAVE_NAMESPACE };

static struct weir_permits permits;

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct peers_reply reply = { 0, 0 };
    int64_t deadline_ns = order->timeout_ns == 0 ? 0 : weir_deadline_ns(order->timeout_ns);
    static bool is_open;
    if (!is_open)
        CHECK_RESULT(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
    is_open = true;
    if (order->verb == TAKE)
        reply.result = weir_permits_take_until(&permits, &reply.value, deadline_ns);
    else if (order->verb == RELEASE)
        reply.result = weir_permits_release(&permits, order->argument);
    else if (order->verb == LEAVE_NAMESPACE)
        reply.result = unshare(CLONE_NEWIPC) == 0 ? 0 : -errno;
    else
        for (uint32_t index; weir_permits_try_take(&permits, &index) >= 0;)
            reply.value++;
    return reply;
}

static void make(uint32_t count)
{
    peers_share(weir_permits_bytes(count));
    assert_result(weir_permits_init(peers_memory, peers_bytes, count), 0);
    assert_result(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
}

static uint32_t take_from(struct peer *peer, int expected)
{
    struct peers_reply reply = peer_ask(peer, TAKE, 0, NOW);
    assert_int_equal(reply.result, expected);
    return reply.value;
}

static void test_take_and_release(void **state)
{
    struct peer a;
    uint32_t first, second, third = 77;
    uint64_t self;
    (void)state;
    make(3);
    peer_start(&a);
    assert_int_equal(weir_permits_value(&permits), 3);
    assert_result(weir_permits_take(&permits, &first), 0);
    second = take_from(&a, 0);
    assert_true(first < 3 && second < 3 && first != second);
    assert_int_equal(weir_permits_value(&permits), 1);
    assert_result(weir_identity(&self), 0);
    assert_int_equal(weir_permits_owner(&permits, first), self);
    assert_true(weir_permits_owner(&permits, second) != self);
    assert_true(weir_permits_owner(&permits, second) != WEIR_IDENTITY_NOBODY);
    assert_result(weir_permits_try_take(&permits, &third), 0);
    assert_int_equal(first + second + third, 3);
    assert_int_equal(peer_ask(&a, TAKE, 0, NOW).result, -EAGAIN);
    assert_int_equal(weir_permits_value(&permits), 0);
    assert_result(weir_permits_release(&permits, first), 0);
    assert_int_equal(take_from(&a, 0), first);
    assert_int_equal(peer_ask(&a, RELEASE, first, NOW).result, 0);
    assert_int_equal(peer_ask(&a, RELEASE, second, NOW).result, 0);
    assert_result(weir_permits_release(&permits, third), 0);
    assert_int_equal(weir_permits_value(&permits), 3);
    assert_int_equal(weir_permits_owner(&permits, third), WEIR_IDENTITY_NOBODY);
    peer_end(&a);
}

static void test_misuse(void **state)
{
    struct peer a;
    uint32_t index;
    (void)state;
    make(2);
    peer_start(&a);
    assert_result(weir_permits_release(&permits, 0), -EPERM);
    assert_result(weir_permits_take(&permits, NULL), -EINVAL);
    assert_result(weir_permits_take(&permits, &index), 0);
    assert_result(weir_permits_release(&permits, 2), -EINVAL);
    assert_true(has_word(weir_last_error(), "2"));
    assert_result(weir_permits_release(&permits, UINT32_MAX), -EINVAL);
    uint64_t self;
    assert_result(weir_identity(&self), 0);
    struct weir__permits_shm *shm = peers_memory;
    atomic_store(&shm->permit[2].word, self); /* behind the last one is no permit */
    assert_int_equal(weir_permits_owner(&permits, 2), WEIR_IDENTITY_NOBODY);
    assert_result(weir_permits_release(&permits, 2), -EINVAL);
    assert_result(weir_permits_release(&permits, 1 - index), -EPERM);
    assert_int_equal(peer_ask(&a, RELEASE, index, NOW).result, -EPERM);
    assert_result(weir_permits_release(&permits, index), 0);
    assert_result(weir_permits_release(&permits, index), -EPERM);
    peer_end(&a);
}

static void test_waiting(void **state)
{
    enum { TURNS = 10 };
    struct peer a;
    uint32_t index, other;
    struct wakes wakes = { 0 };
    (void)state;
    make(1);
    peer_start(&a);
    assert_int_equal(take_from(&a, 0), 0);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_permits_take_until(&permits, &index, weir_deadline_ns(SHORT_NS)),
                  -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= SHORT_NS);
    assert_int_equal(peer_ask(&a, RELEASE, 0, NOW).result, 0);
    for (int i = 0; i < TURNS; i++) {
        assert_result(weir_permits_take(&permits, &index), 0);
        peer_tell(&a, TAKE, 0, LONG_NS);
        peer_see_fast_asleep(&a);
        before_ns = weir_now_ns();
        assert_result(weir_permits_release(&permits, index), 0);
        assert_int_equal(peer_answer(&a).result, 0);
        wakes_add(&wakes, weir_now_ns() - before_ns);
        assert_result(weir_permits_try_take(&permits, &other), -EAGAIN);
        assert_int_equal(peer_ask(&a, RELEASE, 0, NOW).result, 0);
    }
    print_message("           woken after %lld us on the average\n",
                  (long long)wakes_average_ns(&wakes) / 1000);
    assert_true(wakes_average_ns(&wakes) < WAKES_ENOUGH_NS);
    peer_end(&a);
}

/* In a child, which has no identity until it asks for the holders. */
static void count_four(void *unused)
{
    (void)unused;
    CHECK(weir_permits_value(&permits) == 4);
}

static void test_the_dead_give_back(void **state)
{
    struct peer a, b;
    uint32_t index;
    bool seen[5] = { false };
    (void)state;
    make(5);
    peer_start(&a);
    peer_start(&b);
    uint32_t of_b = take_from(&b, 0);
    assert_int_equal(peer_ask(&a, TAKE_ALL, 0, NOW).value, 4);
    assert_result(weir_permits_try_take(&permits, &index), -EAGAIN);
    peer_kill(&a);
    in_child(count_four, NULL);
    assert_int_equal(weir_permits_value(&permits), 4);
    for (int i = 0; i < 4; i++) {
        if (i % 2)
            assert_result(weir_permits_try_take(&permits, &index), WEIR_OWNER_DIED);
        else
            assert_result(weir_permits_take(&permits, &index), WEIR_OWNER_DIED);
        assert_true(index < 5 && index != of_b && !seen[index]);
        seen[index] = true;
    }
    assert_result(weir_permits_try_take(&permits, &index), -EAGAIN);
    assert_int_equal(peer_ask(&b, RELEASE, of_b, NOW).result, 0);
    assert_result(weir_permits_take(&permits, &index), 0); /* no news: it was given back */
    for (uint32_t i = 0; i < 5; i++)
        assert_result(weir_permits_release(&permits, i), 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_result(weir_permits_take(&permits, &index), 0); /* a release says it is whole */
    peer_end(&b);
}

static void test_told_again_while_nobody_has_released(void **state)
{
    struct peer a;
    uint32_t index;
    (void)state;
    make(1);
    for (int i = 0; i < 3; i++) {
        peer_start(&a);
        take_from(&a, i == 0 ? 0 : WEIR_OWNER_DIED);
        peer_kill(&a);
    }
    assert_result(weir_permits_take(&permits, &index), WEIR_OWNER_DIED);
}

/* Shorter than the time after which a waiter asks for deaths. */
static void test_a_short_deadline_sees_a_death(void **state)
{
    struct peer a;
    uint32_t index;
    (void)state;
    make(1);
    peer_start(&a);
    take_from(&a, 0);
    peer_kill(&a);
    assert_result(weir_permits_take_until(&permits, &index, weir_deadline_ns(1000)),
                  WEIR_OWNER_DIED);
}

static void test_a_holder_dies_while_one_sleeps(void **state)
{
    struct peer a, b;
    (void)state;
    make(1);
    peer_start(&a);
    peer_start(&b);
    take_from(&a, 0);
    peer_tell(&b, TAKE, 0, LONG_NS);
    peer_see_asleep(&b);
    peer_kill(&a);
    int64_t before_ns = weir_now_ns();
    assert_int_equal(peer_answer(&b).result, WEIR_OWNER_DIED);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    peer_end(&b);
}

static void test_who_is_stopped_is_not_robbed(void **state)
{
    struct peer a;
    uint32_t index;
    (void)state;
    make(1);
    peer_start(&a);
    take_from(&a, 0);
    peer_stop(&a);
    assert_result(weir_permits_take_until(&permits, &index, weir_deadline_ns(2 * SHORT_NS)),
                  -ETIMEDOUT);
    assert_int_equal(weir_permits_value(&permits), 0);
    peer_go_on(&a);
    assert_int_equal(peer_ask(&a, RELEASE, 0, NOW).result, 0);
    assert_result(weir_permits_take(&permits, &index), 0);
    peer_end(&a);
}

/* Its segments are not to be seen here: that is no sign of its death, as the name beside its permit says. */
static void test_who_is_of_another_namespace_is_not_robbed(void **state)
{
    struct peer a;
    uint32_t index;
    (void)state;
    make(1);
    peer_start(&a);
    int left = peer_ask(&a, LEAVE_NAMESPACE, 0, NOW).result;
    if (left == 0) {
        take_from(&a, 0);
        assert_result(weir_permits_try_take(&permits, &index), -EAGAIN);
        assert_result(weir_permits_take_until(&permits, &index, weir_deadline_ns(2 * SHORT_NS)),
                      -ETIMEDOUT);
        assert_int_equal(weir_permits_value(&permits), 0);
        assert_int_equal(peer_ask(&a, RELEASE, 0, NOW).result, 0);
        assert_result(weir_permits_try_take(&permits, &index), 0);
    }
    peer_end(&a);
    if (left != 0)
        skip();
}

static void as_child(void *argument)
{
    uint32_t index;
    CHECK_RESULT(weir_permits_release(&permits, *(uint32_t *)argument), -EPERM);
    CHECK_RESULT(weir_permits_take(&permits, &index), 0);
    CHECK(index != *(uint32_t *)argument);
    CHECK_RESULT(weir_permits_try_take(&permits, &index), -EAGAIN);
}

static void test_fork(void **state)
{
    uint32_t index, other;
    (void)state;
    make(2);
    assert_result(weir_permits_take(&permits, &index), 0);
    in_child(as_child, &index);
    assert_result(weir_permits_take(&permits, &other), WEIR_OWNER_DIED);
    assert_result(weir_permits_release(&permits, index), 0);
}

/* --- threads -------------------------------------------------------------------------------- */

enum { THREADS = 4, PERMITS = 3, TURNS = SANITIZED ? 500 : 20000 };

static uint64_t guarded[PERMITS]; /* not atomic: the sanitizer looks */

static void *work(void *argument)
{
    uint32_t index;
    (void)argument;
    for (unsigned i = 0; i < TURNS; i++) {
        if (weir_permits_take(&permits, &index) != 0 || index >= PERMITS)
            return (void *)1;
        guarded[index]++;
        if (weir_permits_release(&permits, index) != 0)
            return (void *)2;
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    (void)state;
    make(PERMITS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_int_equal((uintptr_t)wrong, 0);
    }
    for (int i = 0; i < PERMITS; i++)
        sum += guarded[i];
    assert_int_equal(sum, (uint64_t)THREADS * TURNS);
    assert_int_equal(weir_permits_value(&permits), PERMITS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_release),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_the_dead_give_back),
        cmocka_unit_test(test_told_again_while_nobody_has_released),
        cmocka_unit_test(test_a_short_deadline_sees_a_death),
        cmocka_unit_test(test_a_holder_dies_while_one_sleeps),
        cmocka_unit_test(test_who_is_stopped_is_not_robbed),
        cmocka_unit_test(test_who_is_of_another_namespace_is_not_robbed),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
