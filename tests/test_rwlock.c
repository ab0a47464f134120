/* SPDX-License-Identifier: MIT */
/*
 * Goal: a read-write lock between processes does what its header says: who reads and writes
 *       together, every error, what a stop and a fork leave.
 * Method: peers that share its memory alone do one call after the other; the test does its own
 *       between them, and looks at times only where a wait must end soon.
 */
#include "rwlock_peers.h"
#include "wakes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void test_readers_together_and_one_writer(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(3);
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
    assert_non_null(strstr(weir_last_error(), "reads or writes"));
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
    rwlock_make(2);
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
    assert_non_null(
        strstr(weir_last_error(), "writes already")); /* of its mutex a user knows nothing */
    assert_result(weir_rwlock_read_lock(&lock), -EDEADLK);
    assert_non_null(strstr(weir_last_error(), "weir_rwlock_downgrade()"));
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
    rwlock_make(2);
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
    assert_non_null(strstr(weir_last_error(), "read or wrote"));
    assert_true(weir_now_ns() - before_ns >= 2 * SHORT_NS);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_ask(a, UNWRITE, NOW, 0);
    peer_end(&a);
}

/* A peer sleeps for the lock, is stopped, and it is free: by the deadline, or false. */
static bool is_stopped_in_time(struct peer *peer, int64_t timeout_ns, int64_t *deadline_ns)
{
    assert_result(weir_rwlock_write_lock(&lock), 0);
    *deadline_ns = weir_deadline_ns(timeout_ns);
    peer_tell(peer, READ, 0, timeout_ns);
    bool is_asleep = peer_is_seen_fast_asleep(peer);
    assert_int_equal(kill(peer->pid, SIGSTOP), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    return is_asleep && weir_now_ns() < *deadline_ns;
}

/* It was free before the deadline, and who waited was not running: it reads all the same. */
static void test_stopped_at_the_deadline(void **state)
{
    struct peer a;
    int64_t timeout_ns = SHORT_NS, deadline_ns;
    (void)state;
    rwlock_make(2);
    peer_start(&a);
    /* On a busy machine the test may come too late: it is given more time. */
    for (int attempt = 0; !is_stopped_in_time(&a, timeout_ns, &deadline_ns); attempt++) {
        assert_true(attempt < 3);
        timeout_ns *= 3;
        assert_int_equal(kill(a.pid, SIGCONT), 0);
        if (peer_answer(&a).result == 0)
            assert_ask(a, UNREAD, NOW, 0);
    }
    const int64_t after_ns = deadline_ns + SHORT_NS;
    const struct timespec after = { after_ns / 1000000000, after_ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &after, NULL) != 0)
        ;
    assert_int_equal(kill(a.pid, SIGCONT), 0);
    assert_answer(a, 0);
    assert_ask(a, UNREAD, NOW, 0);
    peer_end(&a);
}

static void test_who_sleeps_is_woken(void **state)
{
    enum { TURNS = 10 };
    struct peer a;
    struct wakes wakes = { 0 };
    (void)state;
    rwlock_make(2);
    peer_start(&a);
    for (int i = 0; i < TURNS; i++) {
        bool writes = i % 2;
        assert_result(writes ? weir_rwlock_write_lock(&lock) : weir_rwlock_read_lock(&lock), 0);
        peer_tell(&a, writes ? READ : WRITE, 0, LONG_NS);
        peer_see_fast_asleep(&a);
        int64_t before_ns = weir_now_ns();
        assert_result(writes ? weir_rwlock_write_unlock(&lock) : weir_rwlock_read_unlock(&lock), 0);
        assert_answer(a, 0);
        wakes_add(&wakes, weir_now_ns() - before_ns);
        assert_ask(a, writes ? UNREAD : UNWRITE, NOW, 0);
    }
    print_message("           woken after %lld us on the average\n",
                  (long long)wakes_average_ns(&wakes) / 1000);
    assert_true(wakes_average_ns(&wakes) < WAKES_ENOUGH_NS);
    peer_end(&a);
}

enum { FEW_TURNS = 4 };

/* Unwoken they would sleep on for most of a slice. */
static void test_all_that_read_are_woken(void **state)
{
    struct peer readers[3];
    struct wakes wakes = { 0 };
    (void)state;
    rwlock_make(3);
    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
        peer_start(&readers[i]);
    for (int turn = 0; turn < FEW_TURNS; turn++) {
        assert_result(weir_rwlock_write_lock(&lock), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
            peer_tell(&readers[i], READ, 0, LONG_NS);
            peer_see_fast_asleep(&readers[i]);
        }
        int64_t before_ns = weir_now_ns();
        assert_result(weir_rwlock_write_unlock(&lock), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
            assert_answer(readers[i], 0);
        wakes_add(&wakes, weir_now_ns() - before_ns);
        for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
            assert_ask(readers[i], UNREAD, NOW, 0);
    }
    assert_true(wakes_average_ns(&wakes) < WAKES_ENOUGH_NS);
    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
        peer_end(&readers[i]);
}

/* One waits to write, and one to read, which the first keeps out; or false: its time was over before. */
static bool wait_one_after_the_other(struct peer *writer, struct peer *late, int64_t timeout_ns)
{
    peer_tell(writer, WRITE, 0, timeout_ns);
    if (!peer_is_seen_asleep(writer)) {
        assert_answer(*writer, -ETIMEDOUT);
        return false;
    }
    peer_tell(late, READ, 0, LONG_NS);
    if (!peer_is_seen_fast_asleep(late)) {
        assert_answer(*writer, -ETIMEDOUT);
        assert_answer(*late, 0);
        assert_ask(*late, UNREAD, NOW, 0);
        return false;
    }
    return true;
}

/* It has never written, but kept readers out until its deadline. */
static void test_a_writer_that_gives_up_wakes_readers(void **state)
{
    struct peer reader, writer, late;
    struct wakes wakes = { 0 };
    (void)state;
    rwlock_make(3);
    peer_start(&reader);
    peer_start(&writer);
    peer_start(&late);
    assert_ask(reader, READ, NOW, 0);
    for (int turn = 0; turn < FEW_TURNS; turn++) {
        int64_t timeout_ns = INT64_C(250000000); /* more on a busy machine: by whole slices */
        for (int attempt = 0; !wait_one_after_the_other(&writer, &late, timeout_ns); attempt++) {
            assert_true(attempt < 3);
            timeout_ns += INT64_C(800000000);
        }
        assert_answer(writer, -ETIMEDOUT);
        int64_t before_ns = weir_now_ns();
        assert_answer(late, 0);
        wakes_add(&wakes, weir_now_ns() - before_ns);
        assert_ask(late, UNREAD, NOW, 0);
    }
    assert_true(wakes_average_ns(&wakes) < WAKES_ENOUGH_NS);
    peer_end(&reader);
    peer_end(&writer);
    peer_end(&late);
}

static void test_writers_go_first(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(3);
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

static void test_who_is_stopped_is_not_robbed(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(2);
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

/* Its segments are not to be seen here: that is no sign of its death, as the name beside its count says. */
static void test_who_is_of_another_namespace_is_not_robbed(void **state)
{
    struct peer a;
    (void)state;
    rwlock_make(2);
    peer_start(&a);
    int left = peer_ask(&a, LEAVE_NAMESPACE, 0, NOW).result;
    if (left == 0) {
        assert_ask(a, READ, NOW, 0);
        assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN);
        assert_result(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
        assert_int_equal(weir_rwlock_readers(&lock), 1);
        assert_ask(a, UNREAD, NOW, 0);
        assert_ask(a, WRITE, NOW, 0);
        assert_result(weir_rwlock_try_read_lock(&lock), -EAGAIN);
        assert_result(weir_rwlock_try_write_lock(&lock), -EAGAIN);
        assert_ask(a, UNWRITE, NOW, 0);
    }
    peer_end(&a);
    if (left != 0)
        skip();
}

static void test_more_processes_than_places(void **state)
{
    struct peer a, b, c;
    (void)state;
    rwlock_make(2);
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

/* A writer that finds no place lets others run: the third time, one of them takes its count back. */
static weir__atomic_u64 *leaves;
static unsigned yields;

int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    if (leaves && ++yields == 3)
        *leaves &= ~WEIR_IDENTITY_SESSION_MAX;
    return 0;
}

/* A place that is counted in by one that has not looked yet, or has seen the writer, is not read in. */
static void test_no_place_while_one_writes(void **state)
{
    struct peer a, b;
    (void)state;
    rwlock_make(1);
    peer_start(&a);
    peer_start(&b);
    assert_ask(a, READ, NOW, 0);
    assert_ask(a, UNREAD, NOW, 0);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    weir__atomic_u64 *word = &weir__rwlock_handle(&lock)->shm->place[0].owned.word;
    /* a is stopped between its count and its look. */
    ++*word;
    assert_ask(b, READ, NOW, -EAGAIN);
    assert_ask(b, READ, SHORT_NS, -ETIMEDOUT);
    peer_tell(&b, READ, 0, LONG_NS);
    peer_see_asleep(&b);
    leaves = word;
    assert_result(weir_rwlock_downgrade(&lock), 0);
    leaves = NULL;
    assert_answer(b, -ENOSPC); /* now we do read */
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    peer_end(&a);
    peer_end(&b);
}

static void test_given_up_and_no_place(void **state)
{
    struct peer a;
    (void)state;
    rwlock_make(1);
    peer_start(&a);
    assert_ask(a, READ, NOW, 0);
    struct weir__rwlock_shm *shm = weir__rwlock_handle(&lock)->shm;
    shm->state = WEIR__RWLOCK_LOST;
    assert_result(weir_rwlock_read_lock(&lock), -ENOTRECOVERABLE);
    peer_end(&a);
}

static void test_how_many_a_process_may_hold(void **state)
{
    struct peer a;
    (void)state;
    rwlock_make(2);
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
    rwlock_make(2);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    in_child(as_child_of_reader, NULL);
    assert_int_equal(weir_rwlock_readers(&lock), 1);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_result(weir_rwlock_write_lock(&lock), 0);
    in_child(as_child_of_writer, NULL);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void test_success_leaves_the_sentence(void **state)
{
    struct peer a;
    (void)state;
    rwlock_make(2);
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
        cmocka_unit_test(test_stopped_at_the_deadline),
        cmocka_unit_test(test_who_sleeps_is_woken),
        cmocka_unit_test(test_all_that_read_are_woken),
        cmocka_unit_test(test_a_writer_that_gives_up_wakes_readers),
        cmocka_unit_test(test_writers_go_first),
        cmocka_unit_test(test_who_is_stopped_is_not_robbed),
        cmocka_unit_test(test_who_is_of_another_namespace_is_not_robbed),
        cmocka_unit_test(test_more_processes_than_places),
        cmocka_unit_test(test_no_place_while_one_writes),
        cmocka_unit_test(test_given_up_and_no_place),
        cmocka_unit_test(test_how_many_a_process_may_hold),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_success_leaves_the_sentence),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
