/* SPDX-License-Identifier: MIT */
/*
 * Goal: a read-write lock between processes does what its header says: who reads and writes
 *       together, every error, what a death, a stop and a fork leave.
 * Method: peers that share its memory alone do one call after the other; the test does its own
 *       between them, and looks at times only where a wait must end soon.
 */
#include "fixture.h"
#include "peers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/rwlock.h"

#define FOREVER INT64_C(-1)
#define NOW INT64_C(0)
#define SHORT_NS INT64_C(300000000)
#define LONG_NS INT64_C(20000000000)
/* What a death costs at most: a slice, and room for a loaded machine. */
#define BOUND_NS INT64_C(3000000000)

enum verb { READ, UNREAD, WRITE, UNWRITE, CONSISTENT, DOWNGRADE, READ_MANY };

static struct weir_rwlock lock;

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct peers_reply reply = { 0, 0 };
    int64_t deadline_ns = order->timeout_ns == 0 ? 0 : weir_deadline_ns(order->timeout_ns);
    static bool is_open;
    if (!is_open)
        CHECK_RESULT(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
    is_open = true;
    switch ((enum verb)order->verb) {
    case READ:
        reply.result = weir_rwlock_read_lock_until(&lock, deadline_ns);
        break;
    case UNREAD:
        reply.result = weir_rwlock_read_unlock(&lock);
        break;
    case WRITE:
        reply.result = weir_rwlock_write_lock_until(&lock, deadline_ns);
        break;
    case UNWRITE:
        reply.result = weir_rwlock_write_unlock(&lock);
        break;
    case CONSISTENT:
        reply.result = weir_rwlock_consistent(&lock);
        break;
    case DOWNGRADE:
        reply.result = weir_rwlock_downgrade(&lock);
        break;
    case READ_MANY:
        while (reply.value < order->argument && reply.result == 0) {
            reply.result = weir_rwlock_read_lock_until(&lock, deadline_ns);
            reply.value += reply.result == 0;
        }
        break;
    }
    return reply;
}

static struct weir__rwlock_shm *shm(void)
{
    return peers_memory;
}

static void make(uint32_t readers)
{
    peers_share(weir_rwlock_bytes(readers));
    assert_result(weir_rwlock_init(peers_memory, peers_bytes, readers), 0);
    assert_result(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
}

#define assert_ask(peer, verb, timeout_ns, expected)                                               \
    assert_int_equal(peer_ask(&(peer), verb, 0, timeout_ns).result, expected)
#define assert_answer(peer, expected) assert_int_equal(peer_answer(&(peer)).result, expected)

static void test_readers_together_and_one_writer(void **state)
{
    struct peer a, b;
    (void)state;
    make(3);
    peer_start(&a);
    peer_start(&b);
    assert_result(weir_rwlock_readers(&lock), 0);
    assert_ask(a, READ, NOW, 0);
    assert_ask(b, READ, NOW, 0);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    assert_int_equal(weir_rwlock_readers(&lock), 3);
    assert_ask(a, WRITE, NOW, -EAGAIN); /* it would wait for itself, too */
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
    assert_ask(a, UNREAD, NOW, 0);
    assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN);
    assert_ask(b, UNREAD, NOW, 0);
    assert_result(weir_rwlock_try_write_lock(&lock), 0);
    uint64_t self;
    assert_result(weir_identity(&self), 0);
    assert_int_equal(weir_rwlock_writer(&lock), self);
    assert_ask(a, READ, NOW, -EAGAIN);
    assert_ask(b, WRITE, NOW, -EAGAIN);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_ask(b, WRITE, NOW, 0);
    assert_ask(a, READ, NOW, -EAGAIN);
    assert_ask(b, UNWRITE, NOW, 0);
    assert_ask(a, READ, FOREVER, 0);
    assert_ask(a, UNREAD, NOW, 0);
    peer_end(&a);
    peer_end(&b);
}

static void test_misuse(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_result(weir_rwlock_read_unlock(&lock), -EPERM);
    assert_result(weir_rwlock_write_unlock(&lock), -EPERM);
    assert_result(weir_rwlock_downgrade(&lock), -EPERM);
    assert_result(weir_rwlock_consistent(&lock), -EPERM);
    assert_ask(a, READ, NOW, 0);
    assert_result(weir_rwlock_read_unlock(&lock), -EPERM);
    assert_ask(a, UNREAD, NOW, 0);
    assert_ask(a, UNREAD, NOW, -EPERM);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_lock(&lock), -EDEADLK);
    assert_result(weir_rwlock_read_lock(&lock), -EDEADLK);
    assert_result(weir_rwlock_try_read_lock(&lock), -EDEADLK);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_result(weir_rwlock_read_unlock(&lock), -EPERM);
    assert_result(weir_rwlock_consistent(&lock), -EINVAL);
    assert_ask(a, UNWRITE, NOW, -EPERM);
    assert_ask(a, DOWNGRADE, NOW, -EPERM);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), -EPERM);
    peer_end(&a);
}

static void test_deadlines(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_ask(a, READ, NOW, 0);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= SHORT_NS);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
    assert_result(weir_rwlock_try_read_lock(&lock), 0); /* it keeps nobody out any more */
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_ask(a, UNREAD, NOW, 0);
    assert_ask(a, WRITE, NOW, 0);
    before_ns = weir_now_ns();
    assert_result(weir_rwlock_read_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    assert_result(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= 2 * SHORT_NS);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_ask(a, UNWRITE, NOW, 0);
    peer_end(&a);
}

static void test_who_sleeps_is_woken(void **state)
{
    enum { TURNS = 10 };
    struct peer a;
    int64_t slept_ns = 0;
    (void)state;
    make(2);
    peer_start(&a);
    for (int i = 0; i < TURNS; i++) {
        bool writes = i % 2;
        assert_result(writes ? weir_rwlock_write_lock(&lock) : weir_rwlock_read_lock(&lock), 0);
        peer_tell(&a, writes ? READ : WRITE, 0, LONG_NS);
        peer_see_fast_asleep(&a);
        int64_t before_ns = weir_now_ns();
        assert_result(writes ? weir_rwlock_write_unlock(&lock) : weir_rwlock_read_unlock(&lock), 0);
        assert_answer(a, 0);
        slept_ns += weir_now_ns() - before_ns;
        assert_ask(a, writes ? UNREAD : UNWRITE, NOW, 0);
    }
    print_message("           woken after %lld us on the average\n",
                  (long long)slept_ns / TURNS / 1000);
    assert_true(slept_ns < TURNS * INT64_C(50000000)); /* a slice is 200 ms */
    peer_end(&a);
}

static void test_writers_go_first(void **state)
{
    struct peer a, b;
    (void)state;
    make(3);
    peer_start(&a);
    peer_start(&b);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    peer_tell(&a, WRITE, 0, LONG_NS);
    peer_see_asleep(&a);
    assert_true(weir_rwlock_writer(&lock) != WEIR_IDENTITY_NOBODY);
    assert_result(weir_rwlock_try_read_lock(&lock), -EAGAIN);
    peer_tell(&b, READ, 0, LONG_NS);
    peer_see_asleep(&b);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_answer(a, 0);
    assert_false(peer_has_answered(&b));
    assert_ask(a, UNWRITE, NOW, 0);
    assert_answer(b, 0);
    peer_end(&a);
    peer_end(&b);
}

static void test_dead_readers(void **state)
{
    struct peer a, b;
    (void)state;
    make(3);
    for (int waits = 0; waits < 2; waits++) {
        peer_start(&a);
        peer_start(&b);
        assert_int_equal(peer_ask(&a, READ_MANY, 5, NOW).value, 5);
        assert_ask(b, READ, NOW, 0);
        peer_kill(&a);
        assert_int_equal(weir_rwlock_readers(&lock), 6);
        assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN); /* b lives */
        peer_kill(&b);
        int64_t before_ns = weir_now_ns();
        if (waits)
            assert_result(weir_rwlock_write_lock(&lock), 0);
        else
            assert_result(weir_rwlock_try_write_lock(&lock), 0);
        assert_true(weir_now_ns() - before_ns < BOUND_NS);
        assert_int_equal(weir_rwlock_readers(&lock), 0);
        assert_result(weir_rwlock_write_unlock(&lock), 0);
    }
}

static void test_a_reader_dies_while_a_writer_sleeps(void **state)
{
    struct peer a, b;
    (void)state;
    make(2);
    peer_start(&a);
    peer_start(&b);
    assert_ask(a, READ, NOW, 0);
    peer_tell(&b, WRITE, 0, LONG_NS);
    peer_see_asleep(&b);
    peer_kill(&a);
    int64_t before_ns = weir_now_ns();
    assert_answer(b, 0);
    assert_true(weir_now_ns() - before_ns < BOUND_NS);
    peer_end(&b);
}

/* A peer has died in its writing. */
static void lose_a_writer(void)
{
    struct peer a;
    peer_start(&a);
    assert_ask(a, WRITE, NOW, 0);
    peer_kill(&a);
}

static void test_a_writer_dies(void **state)
{
    struct peer b;
    (void)state;
    make(2);
    lose_a_writer();
    peer_start(&b);
    assert_result(weir_rwlock_try_read_lock(&lock), -EOWNERDEAD);
    assert_ask(b, READ, LONG_NS, -EOWNERDEAD); /* also after a wait */
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_result(weir_rwlock_try_write_lock(&lock), WEIR_OWNER_DIED);
    assert_result(weir_rwlock_downgrade(&lock), -EBUSY);
    assert_ask(b, READ, NOW, -EAGAIN); /* one that lives repairs */
    peer_tell(&b, READ, 0, LONG_NS);
    peer_see_asleep(&b);
    assert_result(weir_rwlock_consistent(&lock), 0);
    assert_result(weir_rwlock_consistent(&lock), -EINVAL);
    assert_false(peer_has_answered(&b));
    assert_result(weir_rwlock_downgrade(&lock), 0);
    assert_answer(b, 0);
    assert_int_equal(weir_rwlock_readers(&lock), 2);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    peer_end(&b);
}

/* Shorter than the time after which a waiter asks for deaths. */
static void test_a_short_deadline_sees_a_death(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_ask(a, READ, NOW, 0);
    peer_kill(&a);
    assert_result(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(1000)), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    lose_a_writer();
    assert_result(weir_rwlock_read_lock_until(&lock, weir_deadline_ns(1000)), -EOWNERDEAD);
}

static void test_every_writer_is_told_until_it_is_repaired(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    lose_a_writer();
    for (int i = 0; i < 3; i++) {
        peer_start(&a);
        assert_ask(a, WRITE, LONG_NS, WEIR_OWNER_DIED);
        peer_kill(&a);
    }
    assert_result(weir_rwlock_write_lock(&lock), WEIR_OWNER_DIED);
    assert_result(weir_rwlock_consistent(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void test_given_up(void **state)
{
    struct peer a, b;
    (void)state;
    make(2);
    lose_a_writer();
    peer_start(&a);
    peer_start(&b);
    assert_result(weir_rwlock_write_lock(&lock), WEIR_OWNER_DIED);
    peer_tell(&a, READ, 0, LONG_NS);
    peer_tell(&b, WRITE, 0, LONG_NS);
    peer_see_asleep(&a);
    peer_see_asleep(&b);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_answer(a, -ENOTRECOVERABLE);
    assert_answer(b, -ENOTRECOVERABLE);
    assert_result(weir_rwlock_try_read_lock(&lock), -ENOTRECOVERABLE);
    assert_result(weir_rwlock_try_write_lock(&lock), -ENOTRECOVERABLE);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
    peer_end(&a);
    peer_end(&b);
}

static void test_a_writer_dies_that_only_waited(void **state)
{
    struct peer a, b;
    (void)state;
    make(2);
    for (int i = 0; i < 3; i++) {
        peer_start(&a);
        peer_start(&b);
        assert_result(weir_rwlock_read_lock(&lock), 0);
        peer_tell(&a, WRITE, 0, LONG_NS);
        peer_see_asleep(&a);
        peer_kill(&a);
        if (i == 0)
            assert_ask(b, READ, NOW, 0);
        else if (i == 1)
            assert_ask(b, READ, LONG_NS, 0);
        assert_result(weir_rwlock_read_unlock(&lock), 0);
        assert_ask(b, i < 2 ? UNREAD : WRITE, LONG_NS, 0); /* no news */
        if (i == 2)
            assert_ask(b, UNWRITE, NOW, 0);
        assert_int_equal(weir_rwlock_readers(&lock), 0);
        peer_end(&b);
    }
}

static void test_an_heir_that_is_too_late_gives_nothing_up(void **state)
{
    struct peer a;
    uint64_t identity;
    (void)state;
    make(2);
    peer_start(&a);
    assert_ask(a, READ, NOW, 0);
    assert_ask(a, UNREAD, NOW, 0);
    identity = weir__owner(shm()->place[0].owned.word);
    lose_a_writer();
    /* A reader that was stopped between its count and its look. */
    shm()->place[0].owned.word = identity | 1;
    assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN);
    assert_result(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
    assert_result(weir_rwlock_read_lock(&lock), -EOWNERDEAD);
    shm()->place[0].owned.word = identity;
    assert_result(weir_rwlock_write_lock(&lock), WEIR_OWNER_DIED);
    assert_result(weir_rwlock_consistent(&lock), 0);
    /* And no place to read in. */
    shm()->place[0].owned.word = shm()->place[1].owned.word = identity | 1;
    assert_result(weir_rwlock_downgrade(&lock), -ENOSPC);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    peer_end(&a);
}

static void test_who_is_stopped_is_not_robbed(void **state)
{
    struct peer a, b;
    (void)state;
    make(2);
    peer_start(&a);
    peer_start(&b);
    assert_ask(a, READ, NOW, 0);
    peer_stop(&a);
    assert_ask(b, WRITE, 2 * SHORT_NS, -ETIMEDOUT);
    assert_ask(b, READ, NOW, 0);
    assert_ask(b, UNREAD, NOW, 0);
    peer_go_on(&a);
    assert_ask(a, UNREAD, NOW, 0);
    assert_ask(a, WRITE, NOW, 0);
    peer_stop(&a);
    assert_ask(b, WRITE, 2 * SHORT_NS, -ETIMEDOUT);
    assert_ask(b, READ, 2 * SHORT_NS, -ETIMEDOUT);
    assert_ask(b, READ, NOW, -EAGAIN);
    peer_go_on(&a);
    assert_ask(a, UNWRITE, NOW, 0);
    assert_ask(b, WRITE, LONG_NS, 0);
    peer_end(&a);
    peer_end(&b);
}

static void test_more_processes_than_places(void **state)
{
    struct peer a, b, c;
    (void)state;
    make(2);
    peer_start(&a);
    peer_start(&b);
    peer_start(&c);
    for (int i = 0; i < 3; i++) {
        assert_ask(a, READ, NOW, 0);
        assert_ask(b, READ, NOW, 0);
        assert_ask(c, READ, FOREVER, -ENOSPC);
        assert_ask(a, READ, NOW, 0); /* it has its place */
        assert_ask(a, UNREAD, NOW, 0);
        assert_ask(a, UNREAD, NOW, 0);
        assert_ask(c, READ, NOW, 0); /* in the place of one that does not read */
        assert_ask(a, READ, NOW, -ENOSPC);
        assert_ask(b, UNREAD, NOW, 0);
        assert_ask(a, READ, NOW, 0);
        assert_ask(a, UNREAD, NOW, 0);
        assert_ask(c, UNREAD, NOW, 0);
    }
    assert_ask(a, READ, NOW, 0);
    assert_ask(b, READ, NOW, 0);
    peer_kill(&b);
    assert_ask(c, READ, NOW, 0); /* or of a dead one */
    assert_int_equal(weir_rwlock_readers(&lock), 2);
    assert_result(weir_rwlock_read_lock(&lock), -ENOSPC);
    assert_true(has_word(weir_last_error(), "2"));
    peer_end(&a);
    peer_end(&c);
}

static void test_how_many_a_process_may_hold(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_int_equal(peer_ask(&a, READ_MANY, 8191, NOW).value, 8191);
    assert_ask(a, READ, FOREVER, -EOVERFLOW);
    assert_int_equal(weir_rwlock_readers(&lock), 8191);
    assert_result(weir_rwlock_try_read_lock(&lock), 0);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_ask(a, UNREAD, NOW, 0);
    assert_ask(a, READ, NOW, 0);
    peer_kill(&a);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void as_child_of_reader(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_read_unlock(&lock), -EPERM);
    CHECK_RESULT(weir_rwlock_try_write_lock(&lock), -EAGAIN); /* the parent lives and reads */
    CHECK_RESULT(weir_rwlock_read_lock(&lock), 0);
    CHECK(weir_rwlock_readers(&lock) == 2);
    CHECK_RESULT(weir_rwlock_read_unlock(&lock), 0);
    CHECK_RESULT(weir_rwlock_read_unlock(&lock), -EPERM);
}

static void as_child_of_writer(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_write_unlock(&lock), -EPERM);
    CHECK_RESULT(weir_rwlock_downgrade(&lock), -EPERM);
    CHECK_RESULT(weir_rwlock_try_read_lock(&lock), -EAGAIN);
    CHECK_RESULT(weir_rwlock_try_write_lock(&lock), -EAGAIN);
}

static void test_fork(void **state)
{
    (void)state;
    make(2);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    in_child(as_child_of_reader, NULL);
    assert_int_equal(weir_rwlock_readers(&lock), 1);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    in_child(as_child_of_writer, NULL);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

/* --- threads -------------------------------------------------------------------------------- */

/* Rounds: how the threads' counts are spread over the places is settled in the first turns. */
enum { THREADS = 4, TURNS = 40, ROUNDS = SANITIZED ? 20 : 4000 };

/* Not atomic: the sanitizer sees whether the lock orders what it guards. */
static struct {
    uint64_t first, second;
} guarded;

static struct weir_rwlock handles[2];

static void *work(void *argument)
{
    unsigned which = (unsigned)(uintptr_t)argument;
    struct weir_rwlock *own = &handles[which % 2];
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        bool writes = (i + which) % 4 == 0;
        if ((writes ? weir_rwlock_write_lock(own) : weir_rwlock_read_lock(own)) != 0)
            return (void *)(wrong + 1000);
        if (writes)
            guarded.first++;
        wrong += guarded.first - guarded.second != (writes ? 1 : 0);
        if (writes)
            guarded.second++;
        bool reads = !writes || (i % 8 == 0 && weir_rwlock_downgrade(own) == 0);
        /* A thread may unlock what another one has locked, through any handle. */
        if (reads)
            wrong += weir_rwlock_read_unlock(&handles[i % 2]) != 0;
        else
            wrong += weir_rwlock_write_unlock(own) != 0;
    }
    return (void *)wrong;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    make(4);
    memset(&guarded, 0, sizeof guarded);
    for (int i = 0; i < 2; i++)
        assert_result(weir_rwlock_open(&handles[i], peers_memory, peers_bytes), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_int_equal((uintptr_t)wrong, 0);
    }
    assert_int_equal(guarded.first, THREADS * TURNS / 4);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_result(weir_rwlock_try_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void test_threads(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        run_threads();
}

static void *write_elsewhere(void *argument)
{
    (void)argument;
    if (weir_rwlock_try_read_lock(&lock) != -EAGAIN || weir_rwlock_write_unlock(&lock) != -EPERM)
        return (void *)1;
    return weir_rwlock_try_write_lock(&lock) == -EAGAIN ? NULL : (void *)2;
}

static void test_writing_is_a_threads(void **state)
{
    pthread_t thread;
    void *wrong;
    (void)state;
    make(2);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_int_equal((uintptr_t)wrong, 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void test_success_leaves_the_sentence(void **state)
{
    struct peer a;
    (void)state;
    make(2);
    peer_start(&a);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    peer_tell(&a, WRITE, 0, LONG_NS);
    peer_see_asleep(&a);
    peer_kill(&a);
    assert_result(weir_rwlock_write_unlock(&lock), -EPERM);
    char before[512];
    snprintf(before, sizeof before, "%s", weir_last_error());
    assert_result(weir_rwlock_read_lock(&lock), 0); /* puts a dead one out of the way */
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_string_equal(weir_last_error(), before);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_together_and_one_writer),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_who_sleeps_is_woken),
        cmocka_unit_test(test_writers_go_first),
        cmocka_unit_test(test_dead_readers),
        cmocka_unit_test(test_a_reader_dies_while_a_writer_sleeps),
        cmocka_unit_test(test_a_writer_dies),
        cmocka_unit_test(test_a_short_deadline_sees_a_death),
        cmocka_unit_test(test_every_writer_is_told_until_it_is_repaired),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_a_writer_dies_that_only_waited),
        cmocka_unit_test(test_an_heir_that_is_too_late_gives_nothing_up),
        cmocka_unit_test(test_who_is_stopped_is_not_robbed),
        cmocka_unit_test(test_more_processes_than_places),
        cmocka_unit_test(test_how_many_a_process_may_hold),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_writing_is_a_threads),
        cmocka_unit_test(test_success_leaves_the_sentence),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
