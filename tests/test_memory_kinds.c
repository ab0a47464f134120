/* SPDX-License-Identifier: MIT */
/*
 * Goal: every object of shared state works in any memory that the caller has mapped: System V, POSIX, a
 *       memfd, inherited by fork; at another address in each process; also when who has it is stopped or killed.
 * Method: the test and its peers (peers.h) have one memory of each kind, where nothing may be touched at the
 *       address that another has it at. Each object is taken, waited for and let go by peers; one that has it is
 *       stopped, and killed; then the other goes on.
 */
#include "kinds.h"

#include <errno.h>

#define NOW INT64_C(0)
#define SHORT_NS INT64_C(30000000)
#define LONG_NS (INT64_C(60) * WEIR_SECOND_NS)

enum { OPEN, TAKE, GIVE };

struct peers_reply peers_serve(const struct peers_order *order)
{
    const struct kinds_object *object = &kinds_objects[order->argument];
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
    while (weir_mutex_owner(&kinds_board()->mutex) != WEIR_IDENTITY_NOBODY) {
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
    assert_true(weir_now_ns() - before_ns < KINDS_BOUND_NS);
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
    assert_result(kinds_objects[object].open ? kinds_objects[object].open() : 0, 0);
    assert_result(kinds_objects[object].give(), 0);
    assert_ask(&a, TAKE, NOW, 0);
    assert_ask(&a, TAKE, SHORT_NS, -ETIMEDOUT);
    wait_asleep(&a, object);
    assert_result(kinds_objects[object].give(), 0);
    see_woken(&a);
    wait_asleep(&a, object);
    stop_asleep(&a);
    int64_t before_ns = weir_now_ns();
    peer_tell(&b, TAKE, object, LONG_NS);
    for (int i = 0; i < 2; i++)
        assert_result(kinds_objects[object].give(), 0);
    assert_answer(&b, 0);
    assert_true(weir_now_ns() - before_ns < KINDS_BOUND_NS);
    peer_go_on(&a);
    assert_answer(&a, 0);
    wait_asleep(&a, object);
    stop_asleep(&a);
    peer_kill(&a);
    wait_asleep(&b, object);
    before_ns = weir_now_ns();
    assert_result(kinds_objects[object].give(), 0);
    assert_answer(&b, 0);
    assert_true(weir_now_ns() - before_ns < KINDS_BOUND_NS);
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
    assert_true(weir_now_ns() - before_ns < KINDS_BOUND_NS);
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
    for (int i = 0; i < KINDS_BLOCKS; i++)
        assert_ask(&a, TAKE, NOW, 0);
    peer_kill(&a);
    assert_ask(&b, TAKE, NOW, -ENOSPC);
    assert_ask(&b, GIVE, NOW, 0);
    assert_ask(&b, TAKE, NOW, 0);
    assert_result(kinds_objects[object].open(), 0);
    assert_result(kinds_objects[object].give(), 0);
    peer_end(&b);
}

static void (*const scenes[])(unsigned object) = {
    [KINDS_HELD] = run_held,
    [KINDS_PASSED] = run_passed,
    [KINDS_MET] = run_barrier,
    [KINDS_ALLOCATED] = run_allocated,
};

static void run_in(enum peers_kind kind)
{
    wakes = late_wakes = 0;
    for (unsigned object = 0; object < kinds_object_count; object++) {
        const struct kinds_object *tried = &kinds_objects[object];
        print_message("           %s\n", tried->name);
        peers_share_in(kind, sizeof(struct kinds_board));
        assert_result(tried->make ? tried->make() : 0, 0);
        scenes[tried->scene](object);
        kinds_forget();
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
