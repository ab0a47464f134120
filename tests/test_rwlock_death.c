/* SPDX-License-Identifier: MIT */
/*
 * Goal: whoever dies in a read-write lock leaves it to others: readers without a word, a writer with
 *       one to every heir until what it wrote is repaired, or given up.
 * Method: peers that share its memory alone are killed where they read, write or wait; the test
 *       looks at times only where a wait must end soon.
 */
#include "rwlock_peers.h"

#include <errno.h>

static struct weir__rwlock_shm *shm(void)
{
    return peers_memory;
}

static void test_dead_readers(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(3);
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
    rwlock_make(2);
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
    rwlock_make(2);
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
    rwlock_make(2);
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
    rwlock_make(2);
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

/* What is repaired is written on; who dies in that leaves it half-written as anybody does. */
static void test_who_has_repaired_dies(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(2);
    lose_a_writer();
    peer_start(&a);
    peer_start(&b);
    assert_ask(a, WRITE, LONG_NS, WEIR_OWNER_DIED);
    assert_ask(a, CONSISTENT, NOW, 0);
    peer_kill(&a);
    assert_ask(b, READ, LONG_NS, -EOWNERDEAD);
    assert_ask(b, WRITE, LONG_NS, WEIR_OWNER_DIED);
    assert_ask(b, CONSISTENT, NOW, 0);
    assert_ask(b, UNWRITE, NOW, 0);
    assert_ask(b, READ, NOW, 0);
    assert_ask(b, UNREAD, NOW, 0);
    peer_end(&b);
}

static void test_given_up(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(2);
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
    assert_result(weir_rwlock_read_unlock(&lock), -EPERM);
    assert_result(weir_rwlock_write_unlock(&lock), -EPERM);
    assert_result(weir_rwlock_downgrade(&lock), -EPERM);
    assert_result(weir_rwlock_consistent(&lock), -EPERM);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
    peer_end(&a);
    peer_end(&b);
}

static void test_a_writer_dies_that_only_waited(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(2);
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
    rwlock_make(2);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_readers),
        cmocka_unit_test(test_a_reader_dies_while_a_writer_sleeps),
        cmocka_unit_test(test_a_writer_dies),
        cmocka_unit_test(test_a_short_deadline_sees_a_death),
        cmocka_unit_test(test_every_writer_is_told_until_it_is_repaired),
        cmocka_unit_test(test_who_has_repaired_dies),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_a_writer_dies_that_only_waited),
        cmocka_unit_test(test_an_heir_that_is_too_late_gives_nothing_up),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
