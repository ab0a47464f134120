/* SPDX-License-Identifier: MIT */
/*
 * Goal: one after the other in the same place of a channel: session numbers that come round, a
 * subscriber in the place of the former, a publisher that is waited for, or comes where another one
 * has left; who comes is rung. Method: each in order, in one process or with a child that sleeps.
 */
#include "in_time.h"
#include "pair.h"

#include <errno.h>
#include <unistd.h>

#include "channel/layout.h"

#define SESSIONS (WEIR_IDENTITY_SESSION_MAX + 1)

static struct pair pair;

/* The subscriber's word in the slot is, after so many joinings, what it was. */
static void test_subscriber_sessions_come_round(void **state)
{
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "one");
    pair_take_text(&pair, "one");
    for (unsigned i = 1; i < SESSIONS; i++) {
        weir_subscriber_close(pair.subscriber);
        assert_result(weir_subscriber_open(&pair.subscriber, "other", NULL), 0);
    }
    weir_subscriber_close(pair.subscriber);
    for (unsigned i = 0; i < 2; i++) { /* the first has the number again */
        assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), 0);
        pair_send_text(&pair, "two");
        pair_take_text(&pair, "two");
        weir_subscriber_close(pair.subscriber);
    }
    weir_publisher_close(pair.publisher);
}

/* The same for the publisher; and a message held from then is not taken for one of now. */
static void test_publisher_sessions_come_round(void **state)
{
    struct weir_message held, message;
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "held");
    held = pair_take_text(&pair, "held");
    weir_publisher_close(pair.publisher);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    for (unsigned i = 1; i < SESSIONS - 1; i++) {
        assert_result(weir_publisher_open(&pair.publisher, "other", &small_ring), 0);
        weir_publisher_close(pair.publisher);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
        pair_send_text(&pair, "now!");
        message = pair_take_text(&pair, "now!");
        assert_true(message.session != held.session);
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        assert_memory_equal(held.data, "held", 4);
        weir_publisher_close(pair.publisher);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    }
    assert_result(weir_subscriber_release(pair.subscriber, &held), 0);
    weir_subscriber_close(pair.subscriber);
}

enum { ROUNDS = 100 };

/* In a child: subscribes, does one thing again and again, asleep, and says each time that it did. */
static void do_asleep(struct companion *companion, void *argument)
{
    void (*const *one_thing)(void) = argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    char byte = 0;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&pair.subscriber, "lane", &options), 0);
    companion_arrive(companion);
    for (int i = 0; i < ROUNDS; i++) {
        (*one_thing)();
        CHECK(write(companion->from_child, &byte, 1) == 1);
    }
    weir_subscriber_close(pair.subscriber);
}

struct turn {
    void (*one_thing)(void);
    void (*what_rings)(void);
};

static int64_t ring_again_and_again(void *argument)
{
    struct turn *turn = argument;
    struct companion companion;
    companion_start(&companion, do_asleep, &turn->one_thing);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        turn->what_rings();
        companion_meet(&companion); /* it has done it, and will sleep */
    }
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_int_equal(companion_end(&companion), 0);
    return took_ns;
}

/* A wake that is lost costs a slice of 200 ms: a twentieth of them exceeds the bound. */
static void expect_rung(void (*one_thing)(void), void (*what_rings)(void))
{
    struct turn turn = { one_thing, what_rings };
    expect_in_time(ring_again_and_again, &turn, ROUNDS / 20 * INT64_C(200000000));
}

static void take_one(void)
{
    struct weir_message message;
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, SOON), 0);
    CHECK_RESULT(weir_subscriber_release(pair.subscriber, &message), 0);
}

static void send_one(void)
{
    assert_result(weir_publisher_send(pair.publisher, "x", 1), 0);
}

static void test_the_next_subscriber_is_rung(void **state)
{
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "x");
    weir_subscriber_close(pair.subscriber);
    expect_rung(take_one, send_one);
    weir_publisher_close(pair.publisher);
}

static void meet_a_publisher(void)
{
    struct weir_message message;
    CHECK_RESULT(weir_subscriber_wait_publisher(pair.subscriber, SOON), 0);
    CHECK_RESULT(weir_subscriber_take_until(pair.subscriber, &message, SOON), -ENODATA);
}

static void publish_and_leave(void)
{
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, SOON), 0);
    weir_publisher_close(pair.publisher);
}

static void test_who_waits_for_a_publisher_is_rung(void **state)
{
    (void)state;
    expect_rung(meet_a_publisher, publish_and_leave);
}

/*
 * One that has claimed its slot and shown nothing is found by a look. It shows its page, attaches
 * and sleeps while a loan from before that look is out; the commit rings it.
 */
static void test_who_was_found_is_rung_for_a_loan(void **state)
{
    struct weir_segment *directory_segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    uint64_t identity;
    void *loan;
    (void)state;
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_segment_open(&directory_segment, weir_by_name("lane"), 0, &options), 0);
    struct weir__directory_shm *directory = weir_segment_data(directory_segment);
    struct weir__slot_shm *slot = &directory->slots[WEIR_CHANNEL_MEMBERS_DEFAULT];
    assert_result(weir_publisher_loan_until(pair.publisher, 8, &loan, NOW), 0);
    atomic_store(&slot->owner, identity | 5); /* claims */
    atomic_fetch_add(&directory->roles[WEIR__SUBSCRIBER].changes, 1);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), -EAGAIN);
    atomic_fetch_add(&directory->roles[WEIR__SUBSCRIBER].changes, 1); /* shows */
    uint32_t bell = atomic_load(&slot->doorbell);
    assert_result(weir_publisher_commit(pair.publisher, 8, 0), 0);
    assert_int_equal(atomic_load(&slot->doorbell), bell + 1);
    atomic_store(&slot->owner, 0);
    weir_segment_close(directory_segment);
    weir_publisher_close(pair.publisher);
}

/* Attached by the wait alone; an end is told before the next one is waited for. */
static void test_wait_for_a_publisher(void **state)
{
    struct weir_message message;
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), -EAGAIN);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, weir_deadline_ns(1000000)),
                  -ETIMEDOUT);
    for (unsigned turn = 1; turn <= 2; turn++) {
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), -EAGAIN);
        assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), 0);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), 0);
        pair_send_text(&pair, "mine");
        message = pair_take_text(&pair, "mine");
        assert_int_equal(message.session, turn);
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        weir_publisher_close(pair.publisher);
        assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
        assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), -EAGAIN);
    }
    weir_subscriber_close(pair.subscriber);
}

/*
 * The lane of one that has left is left by a subscriber that finds messages always: who comes in
 * the same slot waits for no more than that.
 */
static void test_the_next_publisher_beside_a_stream(void **state)
{
    char bytes[1000] = { 0 };
    struct weir_publisher *left, *next;
    struct weir_message message;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_open(&left, "lane", &small_ring), 0);
    for (int i = 0; i < 20; i++)
        assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    assert_result(weir_publisher_send_until(left, "last", 4, 1, NOW), 0);
    weir_publisher_close(left);
    assert_result(weir_publisher_open(&next, "lane", &small_ring), 0);
    int result = -EAGAIN;
    for (int i = 0; i < 1000 && result == -EAGAIN; i++) {
        assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), 0);
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, &message, NOW), 0);
        result = weir_publisher_send_until(next, "next", 4, 2, NOW);
    }
    assert_result(result, 0);
    weir_publisher_close(next);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_subscriber_sessions_come_round),
        PAIR_TEST(test_publisher_sessions_come_round),
        PAIR_TEST(test_the_next_subscriber_is_rung),
        PAIR_TEST(test_who_waits_for_a_publisher_is_rung),
        PAIR_TEST(test_who_was_found_is_rung_for_a_loan),
        PAIR_TEST(test_wait_for_a_publisher),
        PAIR_TEST(test_the_next_publisher_beside_a_stream),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
