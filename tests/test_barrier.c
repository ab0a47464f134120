/* SPDX-License-Identifier: MIT */
/*
 * Goal: a barrier does what its header says: no round ends before all have come, a dead party is
 *       counted and not waited for, a stopped one is waited for, a newcomer takes part at once.
 * Method: peers that share the memory alone join, wait and leave by orders; the test is a party
 *       itself; threads go through many rounds with counters that are not atomic.
 */
#include "fixture.h"
#include "peers.h"
#include "tracer.h"
#include "wakes.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/barrier.h"

#define NOW INT64_C(0)
#define SHORT_NS INT64_C(300000000)
#define LONG_NS INT64_C(20000000000)
#define BOUND_NS INT64_C(3000000000)

enum verb { JOIN, WAIT, LEAVE, LEAVE_NAMESPACE };

static struct weir_barrier barrier;

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct peers_reply reply = { 0, 0 };
    int64_t deadline_ns = order->timeout_ns == 0 ? 0 : weir_deadline_ns(order->timeout_ns);
    static bool is_open;
    if (!is_open)
        CHECK_RESULT(weir_barrier_open(&barrier, peers_memory, peers_bytes), 0);
    is_open = true;
    if (order->verb == JOIN)
        reply.result = weir_barrier_join(&barrier, &reply.value);
    else if (order->verb == WAIT)
        reply.result = weir_barrier_wait_until(&barrier, order->argument, deadline_ns);
    else if (order->verb == LEAVE_NAMESPACE)
        reply.result = unshare(CLONE_NEWIPC) == 0 ? 0 : -errno;
    else
        reply.result = weir_barrier_leave(&barrier, order->argument);
    return reply;
}

static struct weir__barrier_shm *shm(void)
{
    return peers_memory;
}

static uint32_t round_now(void)
{
    return (uint32_t)(shm()->round >> 32);
}

static void make(uint32_t parties)
{
    peers_share(weir_barrier_bytes(parties));
    assert_result(weir_barrier_init(peers_memory, peers_bytes, parties), 0);
    assert_result(weir_barrier_open(&barrier, peers_memory, peers_bytes), 0);
}

static uint32_t join_at(struct peer *peer, int expected)
{
    struct peers_reply reply = peer_ask(peer, JOIN, 0, NOW);
    assert_int_equal(reply.result, expected);
    return reply.value;
}

#define assert_ask(peer, verb, party, timeout_ns, expected)                                        \
    assert_int_equal(peer_ask(&(peer), verb, party, timeout_ns).result, expected)
#define assert_answer(peer, expected) assert_int_equal(peer_answer(&(peer)).result, expected)

/* Two parties: the test is 0, the peer 1. */
static void make_two(struct peer *a)
{
    uint32_t party;
    make(2);
    peer_start(a);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    assert_int_equal(party, 0);
    assert_int_equal(join_at(a, 0), 1);
}

/* Three parties: the test is 0, the peers 1 and 2. */
static void make_three(struct peer *a, struct peer *b)
{
    uint32_t party;
    make(3);
    peer_start(a);
    peer_start(b);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    assert_int_equal(party, 0);
    assert_int_equal(join_at(a, 0), 1);
    assert_int_equal(join_at(b, 0), 2);
}

static void test_rounds(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    for (uint32_t round = 0; round < 5; round++) {
        peer_tell(&a, WAIT, 1, LONG_NS);
        peer_see_asleep(&a);
        if (round % 2) {
            peer_tell(&b, WAIT, 2, LONG_NS);
            peer_see_asleep(&b);
        }
        assert_false(peer_has_answered(&a));
        assert_int_equal(round_now(), round);
        if (!(round % 2))
            peer_tell(&b, WAIT, 2, LONG_NS);
        assert_result(weir_barrier_wait(&barrier, 0), 0);
        assert_answer(a, 0);
        assert_answer(b, 0);
        assert_int_equal(round_now(), round + 1);
    }
    peer_end(&a);
    peer_end(&b);
}

static void comes_as_the_last(void)
{
    assert_result(weir_barrier_wait(&barrier, 0), 0);
}

static void leaves_the_others_complete(void)
{
    assert_result(weir_barrier_leave(&barrier, 0), 0);
}

/* One sleeps at the barrier, and the test, which is party 0, makes the round complete. */
static void expect_woken(struct peer *a, void (*complete)(void))
{
    enum { ROUNDS = 10 };
    struct wakes wakes = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t party = 0;
        if (weir_barrier_owner(&barrier, 0) == WEIR_IDENTITY_NOBODY)
            assert_result(weir_barrier_join(&barrier, &party), 0);
        assert_int_equal(party, 0);
        peer_tell(a, WAIT, 1, LONG_NS);
        peer_see_fast_asleep(a);
        int64_t before_ns = weir_now_ns();
        complete();
        assert_answer(*a, 0);
        wakes_add(&wakes, weir_now_ns() - before_ns);
    }
    print_message("           woken after %lld us on the average\n",
                  (long long)wakes_average_ns(&wakes) / 1000);
    assert_true(wakes_average_ns(&wakes) < WAKES_ENOUGH_NS);
}

static void test_who_sleeps_is_woken(void **state)
{
    struct peer a;
    (void)state;
    make_two(&a);
    expect_woken(&a, comes_as_the_last);
    expect_woken(&a, leaves_the_others_complete);
    peer_end(&a);
}

static void test_misuse(void **state)
{
    struct peer a, b;
    uint32_t party;
    (void)state;
    make_three(&a, &b);
    assert_result(weir_barrier_join(&barrier, NULL), -EINVAL);
    assert_result(weir_barrier_join(&barrier, &party), -ENOSPC);
    assert_true(has_word(weir_last_error(), "3"));
    assert_result(weir_barrier_wait(&barrier, 1), -EPERM);
    assert_result(weir_barrier_leave(&barrier, 2), -EPERM);
    assert_ask(a, WAIT, 0, NOW, -EPERM);
    uint64_t self;
    assert_result(weir_identity(&self), 0);
    atomic_store(&shm()->place[3].owned.word, self); /* behind the last place is no party */
    assert_int_equal(weir_barrier_owner(&barrier, 3), WEIR_IDENTITY_NOBODY);
    assert_result(weir_barrier_wait(&barrier, 3), -EINVAL);
    assert_result(weir_barrier_leave(&barrier, 3), -EINVAL);
    assert_int_equal(weir_barrier_owner(&barrier, 0), self);
    assert_true(weir_barrier_owner(&barrier, 1) != self);
    assert_result(weir_barrier_leave(&barrier, 0), 0);
    assert_result(weir_barrier_wait(&barrier, 0), -EPERM);
    assert_int_equal(weir_barrier_owner(&barrier, 0), WEIR_IDENTITY_NOBODY);
    peer_end(&a);
    peer_end(&b);
}

static void test_who_has_not_joined_is_waited_for(void **state)
{
    struct peer a;
    uint32_t party;
    (void)state;
    make(2);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    assert_result(weir_barrier_wait_until(&barrier, 0, NOW), -EAGAIN);
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(2 * SHORT_NS)), -ETIMEDOUT);
    peer_start(&a);
    assert_int_equal(join_at(&a, 0), 1);
    peer_tell(&a, WAIT, 1, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, 0), 0);
    assert_answer(a, 0);
    peer_end(&a);
}

static void test_a_deadline_withdraws(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= SHORT_NS);
    assert_ask(a, WAIT, 1, SHORT_NS, -ETIMEDOUT);
    peer_tell(&a, WAIT, 1, LONG_NS);
    peer_tell(&b, WAIT, 2, LONG_NS);
    peer_see_asleep(&a);
    peer_see_asleep(&b);
    assert_int_equal(round_now(), 0); /* the test has not arrived */
    assert_result(weir_barrier_wait_until(&barrier, 0, NOW), 0);
    assert_answer(a, 0);
    assert_answer(b, 0);
    peer_end(&a);
    peer_end(&b);
}

static void test_a_dead_party_is_counted(void **state)
{
    struct peer a, b, c;
    (void)state;
    make_three(&a, &b);
    peer_kill(&b);
    peer_tell(&a, WAIT, 1, LONG_NS);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_barrier_wait(&barrier, 0), 1);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    assert_answer(a, 1);
    for (int i = 0; i < 3; i++) { /* each time, until somebody joins */
        peer_tell(&a, WAIT, 1, LONG_NS);
        assert_result(weir_barrier_wait(&barrier, 0), 1);
        assert_answer(a, 1);
    }
    peer_start(&c);
    assert_int_equal(join_at(&c, WEIR_OWNER_DIED), 2);
    peer_tell(&a, WAIT, 1, LONG_NS);
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    peer_tell(&c, WAIT, 2, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, 0), 0);
    assert_answer(a, 0);
    assert_answer(c, 0);
    peer_kill(&a);
    peer_kill(&c);
    assert_result(weir_barrier_wait_until(&barrier, 0, NOW), 2); /* asks at once */
}

/* Shorter than the time after which a waiter asks for deaths. */
static void test_a_short_deadline_sees_a_death(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    peer_kill(&a);
    peer_kill(&b);
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(1000)), 2);
}

static void test_one_dies_that_had_arrived(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    peer_tell(&a, WAIT, 1, LONG_NS);
    peer_see_asleep(&a);
    peer_kill(&a);
    /* Who asks for the dead meanwhile takes nothing back. */
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(1000)), -ETIMEDOUT);
    peer_tell(&b, WAIT, 2, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, 0), 0);
    assert_answer(b, 0);
    peer_tell(&b, WAIT, 2, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, 0), 1);
    assert_answer(b, 1);
    peer_end(&b);
}

/* Whether somebody has found out before or not: who takes its place is told. */
static void test_in_the_place_of_a_dead_one(void **state)
{
    (void)state;
    for (int is_found = 0; is_found < 2; is_found++) {
        struct peer a;
        uint32_t party = 99;
        make(2);
        peer_start(&a);
        assert_result(weir_barrier_join(&barrier, &party), 0);
        assert_int_equal(join_at(&a, 0), 1);
        peer_kill(&a);
        if (is_found)
            assert_result(weir_barrier_wait(&barrier, 0), 1);
        assert_result(weir_barrier_join(&barrier, &party), WEIR_OWNER_DIED);
        assert_int_equal(party, 1);
    }
}

/* The round waits for a place that nobody has taken yet; for a dead one's it does not. */
static void test_a_fresh_place_comes_first(void **state)
{
    struct peer a, b;
    uint32_t party;
    (void)state;
    make(3);
    peer_start(&a);
    assert_int_equal(join_at(&a, 0), 0);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    peer_kill(&a);
    assert_result(weir_barrier_wait_until(&barrier, party, weir_deadline_ns(1000)), -ETIMEDOUT);
    peer_start(&b);
    assert_int_equal(join_at(&b, 0), 2);
    peer_tell(&b, WAIT, 2, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, party), 1);
    assert_answer(b, 1);
    peer_end(&b);
}

static void test_one_dies_while_all_sleep(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    peer_tell(&a, WAIT, 1, LONG_NS);
    peer_see_asleep(&a);
    assert_result(weir_barrier_leave(&barrier, 0), 0);
    assert_false(peer_has_answered(&a));
    int64_t before_ns = weir_now_ns();
    peer_kill(&b);
    assert_answer(a, 1);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    peer_end(&a);
}

static void test_leaving(void **state)
{
    struct peer a, b, c;
    (void)state;
    make_three(&a, &b);
    peer_tell(&a, WAIT, 1, LONG_NS);
    peer_tell(&b, WAIT, 2, LONG_NS);
    peer_see_asleep(&a);
    peer_see_asleep(&b);
    assert_result(weir_barrier_leave(&barrier, 0), 0);
    assert_answer(a, 0); /* complete without us, and nobody is dead */
    assert_answer(b, 0);
    peer_start(&c);
    assert_int_equal(join_at(&c, 0), 0);
    assert_ask(c, WAIT, 0, SHORT_NS, -ETIMEDOUT);
    assert_ask(b, LEAVE, 2, NOW, 0);
    peer_tell(&c, WAIT, 0, LONG_NS);
    assert_ask(a, WAIT, 1, LONG_NS, 0);
    assert_answer(c, 0);
    peer_end(&a);
    peer_end(&b);
    peer_end(&c);
}

static void test_who_is_stopped_is_waited_for(void **state)
{
    struct peer a, b;
    (void)state;
    make_three(&a, &b);
    peer_stop(&b);
    peer_tell(&a, WAIT, 1, LONG_NS);
    assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(2 * SHORT_NS)), -ETIMEDOUT);
    assert_false(peer_has_answered(&a));
    peer_go_on(&b);
    peer_tell(&b, WAIT, 2, LONG_NS);
    assert_result(weir_barrier_wait(&barrier, 0), 0);
    assert_answer(a, 0);
    assert_answer(b, 0);
    peer_end(&a);
    peer_end(&b);
}

/* Its segments are not to be seen here: that is no sign of its death, as the name beside its place says. */
static void test_who_is_of_another_namespace_is_waited_for(void **state)
{
    struct peer a;
    uint32_t party;
    (void)state;
    make(2);
    peer_start(&a);
    int left = peer_ask(&a, LEAVE_NAMESPACE, 0, NOW).result;
    if (left == 0) {
        assert_result(weir_barrier_join(&barrier, &party), 0);
        assert_int_equal(join_at(&a, 0), 1);
        assert_result(weir_barrier_join(&barrier, &party), -ENOSPC);
        assert_result(weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(2 * SHORT_NS)),
                      -ETIMEDOUT);
        peer_tell(&a, WAIT, 1, LONG_NS);
        assert_result(weir_barrier_wait(&barrier, 0), 0);
        assert_answer(a, 0);
    }
    peer_end(&a);
    if (left != 0)
        skip();
}

/* Numbers of rounds come round in the places. */
static void test_numbers_come_round(void **state)
{
    uint32_t party;
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    join_at(&a, 0);
    peer_kill(&a);
    /* The dead one's word is of a round that comes again after 8,192. */
    for (unsigned i = 0; i < 3 * 8192 + 5; i++)
        assert_result(weir_barrier_wait(&barrier, 0), 1);
    shm()->round |= UINT64_C(0xffffffff) << 32;
    assert_result(weir_barrier_wait(&barrier, 0), 1);
    assert_int_equal(round_now(), 0);
    assert_result(weir_barrier_wait(&barrier, 0), 1);
}

/* Who waits is asked in each round: one that went by without it is a lie, and told as such. */
static void test_a_round_without_us(void **state)
{
    struct peer a;
    (void)state;
    make_two(&a);
    peer_tell(&a, WAIT, 1, LONG_NS);
    peer_see_asleep(&a);
    atomic_fetch_add(&shm()->round, UINT64_C(2) << 32); /* it finds that within a slice */
    assert_answer(a, -EUCLEAN);
    peer_end(&a);
}

static void as_child(void *argument)
{
    uint32_t party;
    (void)argument;
    CHECK_RESULT(weir_barrier_wait(&barrier, 0), -EPERM);
    CHECK_RESULT(weir_barrier_leave(&barrier, 0), -EPERM);
    CHECK_RESULT(weir_barrier_join(&barrier, &party), 0);
    CHECK(party == 1);
    CHECK_RESULT(weir_barrier_wait_until(&barrier, 1, NOW), -EAGAIN);
}

static void test_fork(void **state)
{
    uint32_t party;
    (void)state;
    make(2);
    assert_result(weir_barrier_join(&barrier, &party), 0);
    in_child(as_child, NULL);
    assert_result(weir_barrier_wait(&barrier, 0), 1);
}

/* --- threads -------------------------------------------------------------------------------- */

enum { THREADS = 3, TURNS = SANITIZED ? 200 : 3000 };

static uint64_t written[THREADS]; /* not atomic: the sanitizer looks */

/* Two rounds a turn: all write, all read. */
static void *work(void *argument)
{
    uint32_t party;
    (void)argument;
    if (weir_barrier_join(&barrier, &party) != 0)
        return (void *)1;
    for (uint64_t i = 1; i <= TURNS; i++) {
        written[party] = i;
        if (weir_barrier_wait(&barrier, party) != 0)
            return (void *)2;
        for (int other = 0; other < THREADS; other++) {
            if (written[other] != i)
                return (void *)3;
        }
        if (weir_barrier_wait(&barrier, party) != 0)
            return (void *)4;
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    make(THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_int_equal((uintptr_t)wrong, 0);
    }
    assert_int_equal(round_now(), 2 * TURNS);
}

static void *wait_as_zero(void *argument)
{
    (void)argument;
    return (void *)(intptr_t)weir_barrier_wait_until(&barrier, 0, weir_deadline_ns(LONG_NS));
}

static void test_two_threads_as_one_party(void **state)
{
    pthread_t thread;
    void *result;
    struct peer a;
    (void)state;
    make_two(&a);
    assert_int_equal(pthread_create(&thread, NULL, wait_as_zero, NULL), 0);
    while ((shm()->place[0].owned.word & WEIR_IDENTITY_SESSION_MAX) != 0)
        ; /* it has arrived at round 0 */
    assert_result(weir_barrier_wait(&barrier, 0), -EBUSY);
    assert_ask(a, WAIT, 1, LONG_NS, 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    peer_end(&a);
}

static void join_as_zero(void *unused)
{
    uint32_t party;
    (void)unused;
    CHECK_RESULT(weir_barrier_join(&barrier, &party), 0);
}

static void leave_as_zero(void *unused)
{
    (void)unused;
    _exit(-weir_barrier_leave(&barrier, 0));
}

/* Halted at each instruction of its leave; another thread of the process arrives there. */
static void test_a_thread_leaves_and_another_arrives(void **state)
{
    weir__atomic_u64 *word;
    unsigned busy = 0;
    (void)state;
    /* The thread sanitizer's own instructions, thousands a call, are not the library's. */
    if (THREAD_SANITIZED || !tracer_works())
        skip();
    for (unsigned instructions = 0;; instructions++) {
        make(2);
        word = &shm()->place[0].owned.word;
        pid_t child = tracee_start(join_as_zero, leave_as_zero, NULL);
        for (unsigned i = 0; i < instructions; i++)
            tracee_step_instruction(child);
        if (atomic_load(word) == WEIR__BARRIER_LEFT) {
            tracee_kill(child);
            break;
        }
        atomic_store(word, atomic_load(word) & ~WEIR_IDENTITY_SESSION_MAX);
        int status = tracee_finish(child);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EBUSY);
        busy += WEXITSTATUS(status) == EBUSY;
        assert_int_equal(atomic_load(word) == WEIR__BARRIER_LEFT, WEXITSTATUS(status) == 0);
    }
    assert_true(busy > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_who_sleeps_is_woken),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_who_has_not_joined_is_waited_for),
        cmocka_unit_test(test_a_deadline_withdraws),
        cmocka_unit_test(test_a_dead_party_is_counted),
        cmocka_unit_test(test_a_short_deadline_sees_a_death),
        cmocka_unit_test(test_one_dies_that_had_arrived),
        cmocka_unit_test(test_in_the_place_of_a_dead_one),
        cmocka_unit_test(test_a_fresh_place_comes_first),
        cmocka_unit_test(test_one_dies_while_all_sleep),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_who_is_stopped_is_waited_for),
        cmocka_unit_test(test_who_is_of_another_namespace_is_waited_for),
        cmocka_unit_test(test_numbers_come_round),
        cmocka_unit_test(test_a_round_without_us),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_two_threads_as_one_party),
        cmocka_unit_test(test_a_thread_leaves_and_another_arrives),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
