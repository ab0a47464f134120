/* SPDX-License-Identifier: MIT */
/*
 * Goal: a death is learned of in time, and what a call meets on its way to success leaves no sentence.
 * Method: the other side is killed where only we can see it; the last sentence is compared.
 */
#include "in_time.h"
#include "pair.h"
#include "silence.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

static struct pair pair;

static void publish_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    companion_arrive(companion);
}

static void subscribe_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    companion_arrive(companion);
}

static int64_t take_until_a_death(void *unused)
{
    struct companion companion;
    struct weir_message message;
    int result;
    (void)unused;
    companion_start(&companion, publish_until_killed, NULL);
    companion_meet(&companion);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns(), until_ns = SOON;
    do
        result = weir_subscriber_take_until(pair.subscriber, &message, NOW);
    while (result == -EAGAIN && weir_now_ns() < until_ns);
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_result(result, -EPIPE);
    weir_subscriber_close(pair.subscriber);
    return took_ns;
}

static int64_t send_until_a_death(void *unused)
{
    struct companion companion;
    int result;
    (void)unused;
    companion_start(&companion, subscribe_until_killed, NULL);
    companion_meet(&companion); /* and has seen no publisher */
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 0, NOW), -EAGAIN);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns(), until_ns = SOON;
    do
        result = weir_publisher_send_until(pair.publisher, "x", 1, 0, NOW);
    while (result == -EAGAIN && weir_now_ns() < until_ns);
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_result(result, 0);
    weir_publisher_close(pair.publisher);
    return took_ns;
}

/* Who never waits learns of a death as well, within the same second. */
static void test_pollers_learn_of_a_death(void **state)
{
    (void)state;
    expect_in_time(take_until_a_death, NULL, SECOND_NS);
    expect_in_time(send_until_a_death, NULL, SECOND_NS);
}

#define SLICE_MS 200

/* In a slice: the reader, whom nobody reaps, is killed at its begin, and we are rung for nothing before its end. */
static void *kill_and_ring(void *argument)
{
    struct companion *companion = argument;
    const struct timespec most = { 0, (SLICE_MS - 30) *
                                          1000000 }; /* it is the time that is asked about */
    while (atomic_load(&weir__side_stats(&pair.publisher->side)->asleep) == 0)
        sched_yield();
    kill(companion->pid, SIGKILL);
    nanosleep(&most, NULL);
    weir__ring(pair.publisher->side.waiter.doorbell);
    return NULL;
}

/* How long a publisher waits for one that has been killed: there is nobody else to read. */
static int64_t wait_for_the_killed(void)
{
    struct companion companion;
    pthread_t thread;
    companion_start(&companion, subscribe_until_killed, NULL);
    companion_meet(&companion);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, weir_deadline_ns(50 * 1000)),
                  -ETIMEDOUT);
    pair.publisher->side.waiter.asked_ns = weir_now_ns();
    int64_t begun_ns = weir_now_ns();
    assert_int_equal(pthread_create(&thread, NULL, kill_and_ring, &companion), 0);
    assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 0, SOON), 0);
    int64_t took_ns = weir_now_ns() - begun_ns;
    pthread_join(thread, NULL);
    companion_end(&companion);
    weir_publisher_close(pair.publisher);
    return took_ns;
}

/* A ring for nothing does not put off the question who lives: it would be two slices. The best of some is told. */
static void test_a_ring_puts_nothing_off(void **state)
{
    int64_t least_ns = INT64_MAX;
    (void)state;
    for (int i = 0; i < 5 && least_ns >= (SLICE_MS + 100) * INT64_C(1000000); i++) {
        int64_t took_ns = wait_for_the_killed();
        if (took_ns < least_ns)
            least_ns = took_ns;
    }
    assert_true(least_ns < (SLICE_MS + 100) * INT64_C(1000000));
}

/*
 * A send that succeeds leaves the sentence of the last call that failed, whatever it met on its way.
 * How long it took, at longest.
 */
static void send_silently(int64_t *longest_ns)
{
    char sentence[512];
    int64_t before_ns = weir_now_ns(), until_ns = SOON;
    int result;
    do {
        assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 65536, NOW), -EINVAL);
        strcpy(sentence, weir_last_error());
        result = weir_publisher_send_until(pair.publisher, "x", 1, 0, NOW);
    } while (result == -EAGAIN && weir_now_ns() < until_ns);
    int64_t took_ns = weir_now_ns() - before_ns;
    *longest_ns = took_ns > *longest_ns ? took_ns : *longest_ns;
    assert_result(result, 0);
    assert_string_equal(weir_last_error(), sentence);
}

static void join_and_die(struct companion *companion,
                         void (*join)(struct companion *companion, void *unused))
{
    companion_start(companion, join, NULL);
    companion_meet(companion);
    assert_int_equal(kill(companion->pid, SIGKILL), 0);
    companion_end(companion);
}

static int64_t send_past_the_dead(void *unused)
{
    struct companion companion;
    int64_t longest_ns = 0;
    (void)unused;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    join_and_die(&companion, subscribe_until_killed); /* its page is gone before it was met */
    send_silently(&longest_ns);
    companion_start(&companion, subscribe_until_killed, NULL);
    companion_meet(&companion);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, SOON), 0);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    for (uint64_t i = 0; i < small_ring.ring_bytes / 16 + 1; i++) /* a ring later it is asked for */
        send_silently(&longest_ns);
    weir_publisher_close(pair.publisher);
    return longest_ns;
}

static void test_a_send_past_the_dead_says_nothing(void **state)
{
    (void)state;
    expect_in_time(send_past_the_dead, NULL, SECOND_NS);
}

/* Why the last send failed is still to be read behind the close, though that has met with nonsense. */
static void test_a_close_says_nothing(void **state)
{
    char sentence[512];
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "one");
    atomic_store(&pair.subscriber->lanes[0]->entry->cursor, UINT64_MAX / 2);
    assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 65536, NOW), -EINVAL);
    strcpy(sentence, weir_last_error());
    weir_publisher_close(pair.publisher);
    assert_string_equal(weir_last_error(), sentence);
    weir_subscriber_close(pair.subscriber);
}

static void take_without_shmat(struct companion *companion, void *argument)
{
    struct weir_message message;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    CHECK(forbid_call(SYS_shmat, ENOSYS));
    companion_arrive(companion);
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EPERM);
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    weir_subscriber_close(pair.subscriber);
}

/* A filter that says that there is no such call forbids it: that is told once, and not of each take. */
static void test_a_filter_that_lies(void **state)
{
    struct companion companion;
    (void)state;
    companion_start(&companion, take_without_shmat, NULL);
    companion_meet(&companion);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(pair.publisher);
}

static void test_a_take_past_the_dead_says_nothing(void **state)
{
    struct companion companion;
    struct weir_message message;
    char sentence[512];
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 0, NOW), 0);
    join_and_die(&companion, publish_until_killed);
    assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 65536, NOW), -EINVAL);
    strcpy(sentence, weir_last_error());
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_string_equal(weir_last_error(), sentence);
    weir_subscriber_close(pair.subscriber);
    weir_publisher_close(pair.publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_pollers_learn_of_a_death),
        PAIR_TEST(test_a_ring_puts_nothing_off),
        PAIR_TEST(test_a_send_past_the_dead_says_nothing),
        PAIR_TEST(test_a_take_past_the_dead_says_nothing),
        PAIR_TEST(test_a_close_says_nothing),
        PAIR_TEST(test_a_filter_that_lies),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
