/* SPDX-License-Identifier: MIT */
/*
 * Goal: between many processes every subscriber gets every message, whole, in the order of its
 *       publisher, while others join and leave at any moment; the slowest sets the pace, and
 *       holds nobody up any more once it has gone; and the end comes after the last publisher.
 * Method: each member a process; each message says whose it is and which, and each subscriber
 *       keeps its books on the board.
 */
#include "asleep.h"
#include "crowd.h"
#include "fixture.h"
#include "unrun.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From 16 bytes, mostly small. */
static size_t draw_size(uint64_t *seed)
{
    return 16 + crowd_draw(seed, crowd_draw(seed, 20) == 0 ? CROWD_BYTES_MAX - 15 : 300);
}

static unsigned number_of(void *argument)
{
    return *(const unsigned *)argument;
}

/* Until all publishers have ended. */
static void follow(void *argument)
{
    struct weir_subscriber *subscriber = crowd_subscriber();
    int result;
    atomic_fetch_add(&board->ready, 1);
    do
        result = crowd_take(subscriber, number_of(argument), weir_deadline_ns(20 * SECOND_NS));
    while (result == 0);
    CHECK_RESULT(result, -ENODATA);
    weir_subscriber_close(subscriber);
}

static void publish_many(void *argument)
{
    unsigned who = number_of(argument);
    uint64_t seed = 1000003 + who;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, weir_deadline_ns(20 * SECOND_NS)),
                 0);
    atomic_fetch_add(&board->ready, 1);
    crowd_await(&board->words[0], 1);
    for (int i = 0; i < 5000; i++)
        CHECK_RESULT(crowd_send(publisher, who, draw_size(&seed), weir_deadline_ns(20 * SECOND_NS)),
                     0);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, weir_deadline_ns(20 * SECOND_NS)), 0);
    weir_publisher_close(publisher);
}

static void has_all(unsigned subscriber, unsigned who)
{
    const struct crowd_seen *seen = &board->seen[subscriber][who];
    assert_int_equal(atomic_load(&seen->first), 1);
    assert_int_equal(atomic_load(&seen->next), atomic_load(&board->sure[who]));
}

static void test_fan_out(void **state)
{
    (void)state;
    pid_t pids[8];
    uint64_t seed = 7;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    for (unsigned i = 0; i < 8; i++)
        pids[i] = crowd_fork(follow, &i);
    assert_result(weir_publisher_wait_subscribers(publisher, 8, weir_deadline_ns(20 * SECOND_NS)),
                  0);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(
            crowd_send(publisher, 5, draw_size(&seed), weir_deadline_ns(20 * SECOND_NS)), 0);
    assert_result(weir_publisher_end(publisher), 0);
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(20 * SECOND_NS)), 0);
    for (unsigned i = 0; i < 8; i++) {
        has_all(i, 5);
        crowd_end(pids[i]);
    }
    weir_publisher_close(publisher);
}

static void test_fan_in(void **state)
{
    (void)state;
    pid_t pids[8], reader;
    unsigned first = 0;
    reader = crowd_fork(follow, &first);
    crowd_await_ready(1);
    for (unsigned i = 0; i < 8; i++)
        pids[i] = crowd_fork(publish_many, &i);
    crowd_await_ready(9);
    atomic_store(&board->words[0], 1);
    for (unsigned i = 0; i < 8; i++)
        crowd_end(pids[i]);
    crowd_end(reader);
    for (unsigned i = 0; i < 8; i++)
        has_all(0, i);
}

/* Lives of a publisher, as many as there are numbers; each is somebody else. */
static void come_and_publish(void *argument)
{
    unsigned who = number_of(argument);
    uint64_t seed = 77 + who;
    for (; !crowd_is_over() && who < CROWD_WHO_MAX; who += 4) {
        struct weir_publisher *publisher =
            crowd_publisher(WEIR_RING_BYTES_MIN << crowd_draw(&seed, 2));
        for (uint64_t left = crowd_draw(&seed, 400); left > 0; left--)
            CHECK_RESULT(
                crowd_send(publisher, who, draw_size(&seed), weir_deadline_ns(20 * SECOND_NS)), 0);
        if (crowd_draw(&seed, 2))
            CHECK_RESULT(weir_publisher_end(publisher), 0);
        weir_publisher_close(publisher);
    }
}

/* Lives of a subscriber: to each of them the numbers come without a gap. */
static void come_and_follow(void *argument)
{
    unsigned number = number_of(argument);
    uint64_t seed = 99 + number;
    while (!crowd_is_over()) {
        for (unsigned who = 0; who < CROWD_WHO_MAX; who++)
            if (atomic_load(&board->seen[number][who].first) != 0)
                atomic_store(&board->seen[number][who].first, 0);
        struct weir_subscriber *subscriber = crowd_subscriber();
        for (uint64_t left = crowd_draw(&seed, 1500); left > 0 && !crowd_is_over(); left--) {
            int result = crowd_take(subscriber, number, weir_deadline_ns(2 * MS_NS));
            CHECK(result == 0 || result == -ETIMEDOUT || result == -ENODATA);
        }
        weir_subscriber_close(subscriber);
    }
}

static void test_joins_and_leaves(void **state)
{
    (void)state;
    pid_t publishers[4], others[4];
    struct weir_subscriber *subscriber = crowd_subscriber(); /* that is there all the time */
    for (unsigned i = 0; i < 4; i++) {
        publishers[i] = crowd_fork(come_and_publish, &i);
        others[i] = crowd_fork(come_and_follow, &(unsigned){ i + 1 });
    }
    int64_t until_ns = weir_deadline_ns(3 * SECOND_NS);
    pid_t all[] = { publishers[0], publishers[1], publishers[2], publishers[3], others[0],
                    others[1],     others[2],     others[3],     getpid() };
    struct unrun unrun;
    int64_t noted_ns = 0, now_ns;
    while ((now_ns = weir_now_ns()) < until_ns) {
        if (now_ns - noted_ns > 100 * MS_NS) { /* not at each take, which is far shorter */
            unrun_begin(&unrun, all, ARRAY_SIZE(all));
            noted_ns = now_ns;
        }
        int result = crowd_take(subscriber, 0, weir_deadline_ns(20 * SECOND_NS));
        int64_t took_ns = weir_now_ns() - now_ns;
        assert_true(result == 0 || result == -ENODATA);
        assert_true(took_ns < SECOND_NS || took_ns - unrun_ns(&unrun) < SECOND_NS);
    }
    atomic_store(&board->is_over, 1);
    for (unsigned gone = 0; gone < 4;) {
        int result = crowd_take(subscriber, 0, weir_deadline_ns(10 * MS_NS));
        assert_true(result == 0 || result == -ENODATA || result == -ETIMEDOUT);
        int status;
        if (result != 0 && waitpid(publishers[gone], &status, WNOHANG) == publishers[gone]) {
            assert_int_equal(status, 0);
            gone++;
        }
    }
    for (unsigned i = 0; i < 4; i++)
        crowd_end(others[i]);
    while (crowd_take(subscriber, 0, NOW) == 0)
        ;
    for (unsigned who = 0; who < CROWD_WHO_MAX; who++)
        if (atomic_load(&board->sure[who]) > 0)
            has_all(0, who);
    assert_true(atomic_load(&board->received[0]) > 1000);
    for (unsigned i = 0; i < 4; i++)
        assert_true(atomic_load(&board->received[i + 1]) > 100);
    weir_subscriber_close(subscriber);
}

/* Each publisher comes before the former one goes: there is no end before the last one's. */
static void test_relay(void **state)
{
    (void)state;
    unsigned first = 0;
    pid_t reader = crowd_fork(follow, &first);
    crowd_await_ready(1);
    struct weir_publisher *former = crowd_publisher(WEIR_RING_BYTES_MIN);
    const uint32_t count = SANITIZED ? 300 : 2000;
    for (uint32_t i = 0; i < count; i++) {
        struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
        weir_publisher_close(former);
        assert_int_equal(crowd_send(publisher, i, 32, weir_deadline_ns(5 * SECOND_NS)), 0);
        former = publisher;
    }
    weir_publisher_close(former);
    crowd_end(reader);
    for (uint32_t i = 0; i < count; i++)
        has_all(0, i);
}

/* Takes one message and keeps it, until it is told to leave. */
static void follow_slowly(void *argument)
{
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_message message;
    (void)argument;
    atomic_fetch_add(&board->ready, 1);
    CHECK_RESULT(weir_subscriber_take(subscriber, &message), 0);
    crowd_note(1, &message);
    atomic_store(&board->words[1], 1);
    crowd_await(&board->words[2], 1);
    weir_subscriber_close(subscriber);
}

static pid_t fast_pid; /* the one that reads on */

enum going { LEAVES, IS_KILLED, IS_STOPPED_AND_KILLED };

/* In a child: sends until somebody holds it up; then one more, which waits. */
static void publish_until_full(void *argument)
{
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    (void)argument;
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 2, weir_deadline_ns(20 * SECOND_NS)),
                 0);
    int result;
    do
        result = crowd_send(publisher, 3, 1000, weir_deadline_ns(300 * MS_NS));
    while (result == 0);
    CHECK_RESULT(result, -ETIMEDOUT);
    CHECK(atomic_load(&board->sure[3]) <= WEIR_RING_BYTES_MIN / 1008);
    atomic_store(&board->words[3], 1);
    CHECK_RESULT(crowd_send(publisher, 3, 1000, weir_deadline_ns(20 * SECOND_NS)), 0);
    atomic_store(&board->words[4], (uint64_t)weir_now_ns());
    struct unrun unrun;
    unrun_begin(&unrun, (pid_t[]){ getpid(), fast_pid }, 2);
    for (int i = 0; i < 500; i++) { /* and it goes on */
        int64_t before_ns = weir_now_ns();
        CHECK_RESULT(crowd_send(publisher, 3, 1000, weir_deadline_ns(20 * SECOND_NS)), 0);
        int64_t took_ns = weir_now_ns() - before_ns;
        CHECK(took_ns < SECOND_NS || took_ns - unrun_ns(&unrun) < SECOND_NS);
    }
    weir_publisher_close(publisher);
}

static void go(enum going how, pid_t slow)
{
    int status;
    if (how == IS_STOPPED_AND_KILLED) {
        assert_int_equal(kill(slow, SIGSTOP), 0);
        assert_int_equal(waitpid(slow, &status, WUNTRACED), slow);
        assert_true(WIFSTOPPED(status));
        usleep(500000); /* it is alive, however long it stands: the publisher waits */
        assert_int_equal(atomic_load(&board->words[4]), 0);
    }
    if (how == LEAVES) {
        atomic_store(&board->words[2], 1);
        crowd_end(slow);
    } else {
        crowd_kill(slow);
    }
}

static void let_go(enum going how)
{
    unsigned first = 0;
    crowd_clear(NULL);
    pid_t fast = crowd_fork(follow, &first), slow = crowd_fork(follow_slowly, NULL);
    fast_pid = fast;
    crowd_await_ready(2);
    pid_t publisher = crowd_fork(publish_until_full, NULL);
    crowd_await(&board->words[3], 1);
    crowd_await(&board->words[1], 1);
    uint64_t sent = atomic_load(&board->sure[3]);
    crowd_await(&board->seen[0][3].next, sent); /* the other one has all that was sent */
    go(how, slow);
    int64_t gone_ns = weir_now_ns();
    struct unrun unrun;
    unrun_begin(&unrun, &publisher, 1);
    while (atomic_load(&board->words[4]) == 0) {
        assert_true(weir_now_ns() - gone_ns < 20 * SECOND_NS);
        unrun_nap(&unrun);
    }
    int64_t took_ns = (int64_t)atomic_load(&board->words[4]) - gone_ns;
    assert_true(took_ns - unrun_ns(&unrun) < SECOND_NS);
    crowd_end(publisher);
    crowd_end(fast);
    has_all(0, 3);
}

static void test_slowest_leaves(void **state)
{
    (void)state;
    let_go(LEAVES);
}

static void test_slowest_is_killed(void **state)
{
    (void)state;
    let_go(IS_KILLED);
}

static void test_slowest_is_stopped(void **state)
{
    (void)state;
    let_go(IS_STOPPED_AND_KILLED);
}

enum { SLEEPERS = 3, WAKES = 20 };

/* Waits for each message, and says when it came: the first one awake, the others asleep. */
static void wait_for_each(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    options.flags = number == 0 ? WEIR_CHANNEL_SPIN_ONLY : WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    atomic_fetch_add(&board->ready, 1);
    for (int i = 0; i < WAKES; i++) {
        CHECK_RESULT(crowd_take(subscriber, number, weir_deadline_ns(20 * SECOND_NS)), 0);
        atomic_fetch_add(&board->words[number], 1);
    }
    weir_subscriber_close(subscriber);
}

/* Each sleeper is rung, also behind one that is awake: none has to wait for its slice. */
static void test_all_sleepers_wake(void **state)
{
    (void)state;
    pid_t sleepers[SLEEPERS];
    unsigned soon = 0;
    const struct timespec until_asleep = { 0, 20 * MS_NS };
    for (unsigned i = 0; i < SLEEPERS; i++) {
        sleepers[i] = crowd_fork(wait_for_each, &i);
        crowd_await_ready(i + 1);
    }
    struct weir_publisher *publisher = crowd_publisher(0);
    assert_result(
        weir_publisher_wait_subscribers(publisher, SLEEPERS, weir_deadline_ns(20 * SECOND_NS)), 0);
    for (uint64_t count = 1; count <= WAKES; count++) {
        nanosleep(&until_asleep, NULL);
        int64_t began_ns = weir_now_ns();
        assert_result(crowd_send(publisher, 0, 100, NOW), 0);
        for (unsigned i = 0; i < SLEEPERS; i++)
            crowd_await(&board->words[i], count);
        soon += weir_now_ns() - began_ns < 100 * MS_NS;
    }
    assert_true(soon > WAKES / 2);
    for (unsigned i = 0; i < SLEEPERS; i++)
        crowd_end(sleepers[i]);
    weir_publisher_close(publisher);
}

enum { FULL_MESSAGES = 300, FULL_BYTES = 1000 };
#define ELSEWHERE "elsewhere"

/* Sends more than its ring takes, asleep while there is no room. */
static void send_into_full(void *argument)
{
    unsigned who = *(const unsigned *)argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    atomic_fetch_add(&board->ready, 1);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 2, weir_deadline_ns(20 * SECOND_NS)),
                 0);
    for (int i = 0; i < FULL_MESSAGES; i++)
        CHECK_RESULT(crowd_send(publisher, who, FULL_BYTES, weir_deadline_ns(20 * SECOND_NS)), 0);
    weir_publisher_close(publisher);
}

/* Holds one message, and sleeps in a take of another channel; then reads all that there is. */
static void hold_and_sleep(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber, *elsewhere;
    struct weir_message held;
    char byte;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&elsewhere, ELSEWHERE, &options), 0);
    crowd_await_ready(2); /* so that the open attaches both */
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &held, weir_deadline_ns(20 * SECOND_NS)),
                 0);
    atomic_store(&board->words[number], 1);
    CHECK_RESULT(weir_subscriber_receive(elsewhere, &byte, 1), 0);
    crowd_note(number, &held);
    CHECK_RESULT(weir_subscriber_release(subscriber, &held), 0);
    int result;
    do
        result = crowd_take(subscriber, number, weir_deadline_ns(20 * SECOND_NS));
    while (result == 0);
    CHECK_RESULT(result, -ENODATA);
    CHECK(atomic_load(&board->received[number]) == 2 * FULL_MESSAGES);
    weir_subscriber_close(elsewhere);
    weir_subscriber_close(subscriber);
}

/* Every lane is full, and everybody asleep: the publishers for room, the subscribers elsewhere, with a
 * message in their hands. Once these come back all goes on, and nothing is lost. */
static void test_all_full_and_asleep(void **state)
{
    (void)state;
    pid_t publishers[2], subscribers[2];
    struct weir_publisher *elsewhere;
    assert_result(weir_publisher_open(&elsewhere, ELSEWHERE, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        subscribers[i] = crowd_fork(hold_and_sleep, &i);
        publishers[i] = crowd_fork(send_into_full, &i);
    }
    for (unsigned i = 0; i < 2; i++)
        crowd_await(&board->words[i], 1);
    for (uint64_t full = 0; full < 2;) { /* both rings, by what is committed */
        full = 0;
        for (unsigned i = 0; i < 2; i++)
            full += atomic_load(&board->sure[i]) >= WEIR_RING_BYTES_MIN / (FULL_BYTES + 8) - 1;
        sched_yield();
    }
    for (unsigned i = 0; i < 2; i++) {
        see_asleep(publishers[i]);
        see_asleep(subscribers[i]);
        assert_true(atomic_load(&board->sure[i]) < FULL_MESSAGES);
    }
    assert_result(weir_publisher_send_until(elsewhere, "x", 1, 0, NOW), 0);
    for (unsigned i = 0; i < 2; i++) {
        crowd_end(publishers[i]);
        crowd_end(subscribers[i]);
    }
    weir_publisher_close(elsewhere);
}

/* Whoever takes all and leaves has taken it, also when a look has forgotten it since. */
static void test_left_with_all(void **state)
{
    (void)state;
    for (int takes = 0; takes < 2; takes++) {
        struct weir_subscriber *subscriber = crowd_subscriber();
        struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN); /* meets it */
        assert_result(crowd_send(publisher, (unsigned)takes, 100, NOW), 0);
        if (takes)
            assert_result(crowd_take(subscriber, 0, NOW), 0);
        weir_subscriber_close(subscriber);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN); /* a look */
        assert_result(weir_publisher_wait_taken(publisher, NOW), takes ? 0 : -EPIPE);
        weir_publisher_close(publisher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_fan_out),
        CROWD_TEST(test_fan_in),
        CROWD_TEST(test_joins_and_leaves),
        CROWD_TEST(test_relay),
        CROWD_TEST(test_slowest_leaves),
        CROWD_TEST(test_slowest_is_killed),
        CROWD_TEST(test_slowest_is_stopped),
        CROWD_TEST(test_all_sleepers_wake),
        CROWD_TEST(test_all_full_and_asleep),
        CROWD_TEST(test_left_with_all),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
