/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher with a lag limit waits for nobody once its ring is full; who is in its way is
 *       told so, once each time, and how many messages it missed; who keeps up misses none.
 * Method: readers of one process, whose pace is given; and processes that are stopped, and go on.
 */
#include "fixture.h"
#include "lossy.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

enum { RING = 64 << 10 };

static void send_alike(struct weir_publisher *publisher, uint64_t count)
{
    for (; count > 0; count--)
        CHECK_RESULT(crowd_send(publisher, 0, 104, NOW), 0);
}

static void test_told_once(void **state)
{
    (void)state;
    static const uint64_t lags[] = { 1, RING / 2, RING };
    for (unsigned i = 0; i < ARRAY_SIZE(lags); i++) {
        struct weir_publisher *publisher = lossy_publisher(RING, lags[i]);
        struct books quick = { .subscriber = crowd_subscriber() };
        struct books slow = { .subscriber = crowd_subscriber() };
        atomic_store(&board->sure[0], 0);
        assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
        for (unsigned k = 0; k < 40; k++) { /* 64 KiB are 585 of them */
            send_alike(publisher, 100);
            assert_int_equal(lossy_drain(&quick), -EAGAIN);
            if (k % 10 == 9) {
                uint64_t missed = slow.missed;
                assert_int_equal(lossy_read(&slow, NOW), -EOVERFLOW);
                assert_int_equal(lossy_drain(&slow), -EAGAIN);
                assert_int_equal(slow.evictions, k / 10 + 1);
                assert_true(slow.missed > missed);
                assert_int_equal(slow.next, atomic_load(&board->sure[0]));
            }
        }
        assert_int_equal(quick.evictions + quick.missed, 0);
        assert_int_equal(quick.received, 4000);
        assert_int_equal(slow.received + slow.missed, 4000);
        weir_subscriber_close(quick.subscriber);
        weir_subscriber_close(slow.subscriber);
        weir_publisher_close(publisher);
    }
}

/* Behind, but not in the way: it is not touched. */
static void test_behind_within_the_ring(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 1);
    struct books books = { .subscriber = crowd_subscriber() };
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    for (int round = 0; round < 50; round++) {
        send_alike(publisher, 500);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
    }
    assert_int_equal(books.received, 25000);
    assert_int_equal(books.evictions + books.missed, 0);
    weir_subscriber_close(books.subscriber);
    weir_publisher_close(publisher);
}

/* Of the largest messages a quarter of the ring each: whoever is in the way goes. */
static void test_large_messages(void **state)
{
    (void)state;
    static const unsigned char bytes[RING / 4];
    static unsigned char room[RING / 4];
    uint64_t seed = 9, sent = 0, received = 0, missed = 0;
    struct weir_message message;
    struct weir_publisher *publisher = lossy_publisher(RING, RING);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    for (int round = 0; round < 500; round++) {
        for (uint64_t count = crowd_draw(&seed, 20); count > 0; count--, sent++)
            assert_result(weir_publisher_send_until(publisher, bytes,
                                                    crowd_draw(&seed, RING / 4 - 8 + 1), 0, NOW),
                          0);
        for (int result = 0; result == 0 || result == -EOVERFLOW;) {
            result = weir_subscriber_receive_until(subscriber, room, sizeof room, &message, NOW);
            received += result == 0;
            missed += result == 0 ? message.missed : 0;
        }
    }
    assert_int_equal(received + missed, sent);
    assert_true(missed > 0);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

/* Without a limit the same publisher waits; with it, not even for one that never attaches. */
static void test_waits_for_nobody(void **state)
{
    (void)state;
    struct weir_publisher *patient = lossy_publisher(RING, 0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(patient, 1, NOW), 0);
    while (crowd_send(patient, 1, 104, NOW) == 0)
        ;
    assert_result(crowd_send(patient, 1, 104, NOW), -EAGAIN);
    weir_publisher_close(patient);
    weir_subscriber_close(subscriber);
    struct weir_publisher *publisher = lossy_publisher(RING, RING / 4);
    lossy_claim(false);
    send_alike(publisher, 5000);
    lossy_unclaim();
    weir_publisher_close(publisher);
}

static void test_held(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, RING);
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_message held;
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    send_alike(publisher, 1);
    assert_result(weir_subscriber_take_until(subscriber, &held, NOW), 0);
    struct books books = { .subscriber = subscriber, .next = 1 };
    for (int i = 0; i < 5; i++) {
        send_alike(publisher, 100);
        assert_result(weir_subscriber_check(subscriber, &held), 0);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
    }
    send_alike(publisher, 100); /* it is in the way, and what it has read since does not help */
    assert_result(weir_subscriber_check(subscriber, &held), -EOVERFLOW);
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_int_equal(books.evictions + books.missed, 0);
    assert_result(weir_subscriber_release(subscriber, &held), 0);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void follow(void *argument)
{
    struct books books = { .subscriber = crowd_subscriber() };
    int result;
    (void)argument;
    atomic_fetch_add(&board->ready, 1);
    do
        result = lossy_read(&books, weir_deadline_ns(20 * SECOND_NS));
    while (result == 0 || result == -EOVERFLOW);
    CHECK_RESULT(result, -ENODATA);
    atomic_store(&board->received[0], books.received);
    atomic_store(&board->words[0], books.missed);
    atomic_store(&board->words[1], books.evictions);
    weir_subscriber_close(books.subscriber);
}

static void test_stopped(void **state)
{
    (void)state;
    int status;
    struct weir_publisher *publisher = lossy_publisher(RING, RING);
    pid_t reader = crowd_fork(follow, NULL);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, weir_deadline_ns(20 * SECOND_NS)),
                  0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(kill(reader, SIGSTOP), 0);
        assert_int_equal(waitpid(reader, &status, WUNTRACED), reader);
        send_alike(publisher, 2000);
        assert_int_equal(kill(reader, SIGCONT), 0);
        assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(20 * SECOND_NS)), 0);
    }
    assert_result(weir_publisher_end(publisher), 0);
    crowd_end(reader);
    assert_int_equal(atomic_load(&board->received[0]) + atomic_load(&board->words[0]), 40000);
    assert_true(atomic_load(&board->words[1]) >= 20);
    weir_publisher_close(publisher);
}

static void test_options(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = RING;
    options.lag_max_bytes = RING + 1;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_told_once),      CROWD_TEST(test_behind_within_the_ring),
        CROWD_TEST(test_large_messages), CROWD_TEST(test_waits_for_nobody),
        CROWD_TEST(test_held),           CROWD_TEST(test_stopped),
        CROWD_TEST(test_options),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
