/* SPDX-License-Identifier: MIT */
/*
 * Goal: of any number of processes and threads one does it, the others wait and then see it all;
 *       who dies or gives up in the midst is followed by the next, who is told which of the two.
 * Method: actors (actor.h) that begin, end, abandon, are killed and stopped.
 */
#include "actor.h"
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/once.h>

#include "sync/once.h"

#define MS WEIR_MILLISECOND_NS

enum { SOON_MS = 20000, BOUND_MS = SANITIZED ? 3000 : 1000, ONCES = 200, CROWD = 4 };

static struct board {
    struct weir_once once;
    struct weir_once many[ONCES];
    unsigned built[ONCES], begun[ONCES];
} * board;

static int set_up(void **state)
{
    (void)state;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(board, sizeof *board);
}

static int begin(void *unused)
{
    (void)unused;
    return weir_once_begin(&board->once);
}

static int begin_until(void *argument)
{
    return weir_once_begin_until(&board->once, *(int64_t *)argument);
}

static int begin_for(void *argument)
{
    return weir_once_begin_until(&board->once, weir_deadline_ns(*(int64_t *)argument));
}

static int end(void *unused)
{
    (void)unused;
    return weir_once_end(&board->once);
}

static int abandon(void *unused)
{
    (void)unused;
    return weir_once_abandon(&board->once);
}

#define assert_refused(actor, act, argument, error)                                                \
    do {                                                                                           \
        assert_int_equal(actor_ask(actor, act, argument), error);                                  \
        assert_true((actor)->sentence[0] != 0);                                                    \
    } while (0)

static void test_arguments(void **state)
{
    static uint64_t room[8];
    struct weir_once *odd = (struct weir_once *)(uintptr_t)((char *)room + 4);
    (void)state;
    assert_int_equal(sizeof(struct weir_once), 48);
    assert_int_equal(_Alignof(struct weir_once), 8);
    for (int i = 0; i < 2; i++) {
        struct weir_once *bad = i ? odd : NULL;
        assert_result(weir_once_begin(bad), -EINVAL);
        assert_result(weir_once_begin_until(bad, 0), -EINVAL);
        assert_result(weir_once_end(bad), -EINVAL);
        assert_result(weir_once_abandon(bad), -EINVAL);
    }
    assert_true(all_bytes(room, sizeof room, 0));
    assert_result(weir_once_end(&board->once), -EPERM);
    assert_result(weir_once_abandon(&board->once), -EPERM);
    assert_true(all_bytes(&board->once, sizeof board->once, 0));
}

/* other: a thread or a process. */
static void share(struct actor *other)
{
    static int64_t now = 0, past = 1, short_while = 20 * MS; /* where children have them, too */
    assert_result(begin(NULL), WEIR_ONCE_BEGUN);
    assert_result(begin(NULL), -EDEADLK);
    assert_result(begin_until(&now), -EDEADLK);
    assert_non_null(strstr(weir_last_error(), "building"));
    assert_refused(other, begin_until, &now, -EAGAIN);
    assert_refused(other, begin_until, &past, -ETIMEDOUT);
    assert_non_null(strstr(other->sentence, "built it")); /* of its mutex a user knows nothing */
    assert_refused(other, begin_for, &short_while, -ETIMEDOUT);
    assert_refused(other, end, NULL, -EPERM);
    assert_refused(other, abandon, NULL, -EPERM);
    /* Given up: the next one, who waits, is it. */
    actor_tell(other, begin, NULL);
    actor_see_asleep(other);
    assert_result(abandon(NULL), 0);
    assert_int_equal(actor_answer(other, SOON_MS), WEIR_ONCE_BEGUN);
    assert_result(end(NULL), -EPERM);
    assert_result(begin_until(&now), -EAGAIN);
    assert_non_null(strstr(weir_last_error(), "building"));
    assert_int_equal(actor_ask(other, end, NULL), 0);
    assert_refused(other, end, NULL, -EPERM);
    assert_refused(other, abandon, NULL, -EPERM);
    for (int i = 0; i < 2; i++) {
        assert_result(begin(NULL), 0);
        assert_result(begin_until(&now), 0);
        assert_result(begin_until(&past), 0);
        assert_int_equal(actor_ask(other, begin, NULL), 0);
    }
}

static void test_a_thread(void **state)
{
    struct actor other;
    (void)state;
    actor_start_thread(&other);
    share(&other);
    actor_end(&other);
}

static void test_a_process(void **state)
{
    struct actor other;
    (void)state;
    actor_start(&other);
    share(&other);
    actor_end(&other);
}

/* How long they take to see it. */
static int64_t end_before_waiters(void)
{
    struct actor waiters[CROWD];
    memset(&board->once, 0, sizeof board->once);
    assert_result(begin(NULL), WEIR_ONCE_BEGUN);
    for (int i = 0; i < CROWD; i++) {
        actor_start(&waiters[i]);
        actor_tell(&waiters[i], begin, NULL);
        actor_see_asleep(&waiters[i]);
    }
    int64_t before_ns = weir_now_ns();
    assert_result(end(NULL), 0);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(actor_answer(&waiters[i], SOON_MS), 0);
    int64_t took_ns = weir_now_ns() - before_ns;
    for (int i = 0; i < CROWD; i++) {
        assert_refused(&waiters[i], end, NULL, -EPERM); /* who did not build has nothing to end */
        actor_end(&waiters[i]);
    }
    assert_int_equal(weir_mutex_owner(&board->once.mutex), WEIR_IDENTITY_NOBODY);
    return took_ns;
}

static void test_who_waits_sees_it_done(void **state)
{
    int64_t took_ns = INT64_MAX;
    (void)state;
    /* A busy machine adds to the time: the least of a few counts. */
    for (int attempt = 0; took_ns >= BOUND_MS * MS && attempt < 3; attempt++)
        took_ns = end_before_waiters();
    assert_true(took_ns < BOUND_MS * MS);
}

static void test_who_builds_is_killed(void **state)
{
    struct actor builder, waiter;
    char before[sizeof waiter.sentence]; /* the sentence that actors are born with */
    (void)state;
    snprintf(before, sizeof before, "%s", weir_last_error());
    /* Again and again: each is told. */
    for (int i = 0; i < 3; i++) {
        actor_start(&builder);
        assert_int_equal(actor_ask(&builder, begin, NULL), i ? WEIR_OWNER_DIED : WEIR_ONCE_BEGUN);
        actor_kill(&builder);
    }
    actor_start(&builder);
    actor_start(&waiter);
    assert_int_equal(actor_ask(&builder, begin, NULL), WEIR_OWNER_DIED);
    actor_tell(&waiter, begin, NULL);
    actor_see_asleep(&waiter);
    /* Stopped: it is alive, and waited for. */
    actor_stop(&builder);
    assert_int_equal(actor_answer(&waiter, 700), ACTOR_WAITS);
    actor_kill(&builder);
    assert_int_equal(actor_answer(&waiter, BOUND_MS), WEIR_OWNER_DIED);
    assert_string_equal(waiter.sentence,
                        before); /* what the mutex said of each slice is no matter */
    /* It could not be done: the next is told to begin. */
    assert_int_equal(actor_ask(&waiter, abandon, NULL), 0);
    assert_int_equal(actor_ask(&waiter, begin, NULL), WEIR_ONCE_BEGUN);
    assert_int_equal(actor_ask(&waiter, end, NULL), 0);
    /* Whose death comes after it: it is done. */
    actor_kill(&waiter);
    assert_result(begin(NULL), 0);
}

/* --- who builds is stopped when it is done --------------------------------------------------------- */

static void begin_it(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_once_begin(&board->once), WEIR_ONCE_BEGUN);
}

static void end_it(void *unused)
{
    (void)unused;
    CHECK_RESULT(weir_once_end(&board->once), 0);
}

static bool is_done(void)
{
    struct weir__once_shm *shm = (struct weir__once_shm *)(void *)&board->once;
    return atomic_load(&shm->done) == WEIR__ONCE_DONE;
}

/* And has not let the mutex go. Those who waited before know that it is done as well as those who come. */
static void test_who_builds_is_stopped_when_it_is_done(void **state)
{
    static int64_t a_while = 1000 * MS, long_while = SOON_MS * MS;
    struct actor waiter, patient, late;
    char before[sizeof waiter.sentence];
    (void)state;
    snprintf(before, sizeof before, "%s", weir_last_error());
    if (!tracer_works())
        skip();
    actor_start(&waiter);
    actor_start(&patient);
    actor_start(&late);
    pid_t builder = tracee_start(begin_it, end_it, NULL);
    actor_tell(&waiter, begin, NULL);
    actor_tell(&patient, begin_for, &long_while);
    actor_see_asleep(&waiter);
    actor_see_asleep(&patient);
    actor_tell(&late, begin_for, &a_while);
    actor_see_asleep(&late);
    actor_stop(&late); /* it will find out after its deadline, and no sooner */
    int64_t deadline_ns = weir_deadline_ns(a_while);
    while (!is_done())
        tracee_step_instruction(builder);
    assert_int_equal(actor_answer(&waiter, SOON_MS), 0);
    assert_string_equal(waiter.sentence, before); /* as above */
    assert_int_equal(actor_answer(&patient, SOON_MS), 0);
    assert_result(begin(NULL), 0);
    while (weir_now_ns() < deadline_ns)
        usleep(1000);
    actor_continue(&late);
    assert_int_equal(actor_answer(&late, SOON_MS), 0);
    assert_true(weir_mutex_owner(&board->once.mutex) != WEIR_IDENTITY_NOBODY);
    assert_int_equal(tracee_finish(builder), 0);
    actor_end(&waiter);
    actor_end(&patient);
    actor_end(&late);
}

/* A child of who builds is not the one. */
static void test_fork(void **state)
{
    struct actor child;
    (void)state;
    assert_result(begin(NULL), WEIR_ONCE_BEGUN);
    actor_start(&child);
    static int64_t now = 0;
    assert_refused(&child, end, NULL, -EPERM);
    assert_refused(&child, begin_until, &now, -EAGAIN);
    assert_result(end(NULL), 0);
    assert_int_equal(actor_ask(&child, begin, NULL), 0);
    actor_end(&child);
}

/* All at once: each is built once, by whoever, before anybody sees it done. */
static int build_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < ONCES; i++) {
        int result = weir_once_begin(&board->many[i]);
        if (result == WEIR_ONCE_BEGUN) {
            board->begun[i]++;
            board->built[i] = 17;
            if (weir_once_end(&board->many[i]) != 0)
                return 1;
        } else if (result != 0) {
            return 2;
        }
        if (board->built[i] != 17)
            return 3;
    }
    return 0;
}

static void crowd(void (*start)(struct actor *))
{
    actors_do(start, CROWD, build_many);
    for (int i = 0; i < ONCES; i++)
        assert_int_equal(board->begun[i], 1);
}

static void test_a_crowd_of_processes(void **state)
{
    (void)state;
    crowd(actor_start);
}

static void test_a_crowd_of_threads(void **state)
{
    (void)state;
    crowd(actor_start_thread);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arguments),
        TEST(test_a_thread),
        TEST(test_a_process),
        TEST(test_who_waits_sees_it_done),
        TEST(test_who_builds_is_killed),
        TEST(test_who_builds_is_stopped_when_it_is_done),
        TEST(test_fork),
        TEST(test_a_crowd_of_processes),
        TEST(test_a_crowd_of_threads),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
