/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher that asks whether all is taken is told so exactly if nothing is held or unread:
 * after the end, once the subscriber has left, before a pad, of who has just come. Method: each turn
 * in order, with both sides in one process.
 */
#include "pair.h"

#include <errno.h>

static struct pair pair;

/* Whoever has seen the end has not stopped to say what it has released. */
static void test_wait_taken_after_the_end(void **state)
{
    struct weir_message message, none;
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "last");
    assert_result(weir_publisher_end(pair.publisher), 0);
    message = pair_take_text(&pair, "last");
    assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -ENODATA);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN); /* held still */
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    pair_close(&pair);
}

/* What was released stays said when the subscriber leaves the next instant, or is put out. */
static void test_wait_taken_after_the_subscriber(void **state)
{
    (void)state;
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        pair_open(&pair);
        pair_send_text(&pair, "last");
        struct weir_message message = pair_take_text(&pair, "last");
        if (is_ended)
            assert_result(weir_publisher_end(pair.publisher), 0);
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        weir_subscriber_close(pair.subscriber);
        assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
        assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
        weir_publisher_close(pair.publisher);
        /* And one that leaves with a message is told of as before. */
        pair_open(&pair);
        pair_send_text(&pair, "held");
        pair_take_text(&pair, "held");
        weir_subscriber_close(pair.subscriber);
        assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EPIPE);
        weir_publisher_close(pair.publisher);
    }
}

/* A pad behind the last message, from a loan that was abandoned, is nothing to be taken. */
static void test_wait_taken_before_a_pad(void **state)
{
    static char bytes[10000];
    void *loan;
    (void)state;
    pair_open(&pair);
    for (int i = 0; i < 60; i++) {
        assert_result(weir_publisher_send_until(pair.publisher, bytes, 1000, 0, NOW), 0);
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    assert_result(weir_publisher_loan_until(pair.publisher, 10000, &loan, NOW), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    weir_publisher_abandon(pair.publisher);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    pair_send_text(&pair, "behind");
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    pair_close(&pair);
}

/* What is held of a former publisher's does not keep a pad of the present one's. */
static void test_a_pad_beside_a_former_hold(void **state)
{
    static char bytes[10000];
    struct weir_message former, behind, none;
    void *loan;
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "former");
    former = pair_take_text(&pair, "former");
    weir_publisher_close(pair.publisher);
    assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -ENODATA);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -EAGAIN);
    for (int i = 0; i < 60; i++) {
        assert_result(weir_publisher_send_until(pair.publisher, bytes, 1000, 0, NOW), 0);
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    assert_result(weir_publisher_loan_until(pair.publisher, 10000, &loan, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &none, NOW), -EAGAIN);
    assert_result(weir_publisher_commit(pair.publisher, 0, 0), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &behind, NOW), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &behind), 0);
    /* The ring is free from behind the pad: three of the longest, and one nearly so. */
    static char large[16376];
    for (int i = 0; i < 3; i++)
        assert_result(weir_publisher_send_until(pair.publisher, large, sizeof large, 0, NOW), 0);
    assert_result(weir_publisher_send_until(pair.publisher, large, 16000, 0, NOW), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &former), 0);
    pair_close(&pair);
}

static void test_one_held_does_not_fill_the_table(void **state)
{
    struct weir_message first, message;
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "first");
    first = pair_take_text(&pair, "first");
    for (int i = 0; i < 3 * WEIR_HOLDS_MAX; i++) {
        pair_send_text(&pair, "x");
        message = pair_take_text(&pair, "x");
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        assert_result(weir_subscriber_release(pair.subscriber, &message), -EINVAL);
    }
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_release(pair.subscriber, &first), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    pair_close(&pair);
}

/* Who has come since the last look, and has a message, is asked for it, too. */
static void test_wait_taken_asks_a_newcomer(void **state)
{
    struct weir_subscriber *newcomer;
    char bytes[8];
    (void)state;
    pair_open(&pair);
    pair_send_text(&pair, "first"); /* room for more is known from now on */
    assert_result(weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, NULL, NOW),
                  0);
    assert_result(weir_subscriber_open(&newcomer, "lane", NULL), 0);
    pair_send_text(&pair, "second");
    assert_result(weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, NULL, NOW),
                  0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_until(newcomer, bytes, sizeof bytes, NULL, NOW), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    weir_subscriber_close(newcomer);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_wait_taken_after_the_end),
        PAIR_TEST(test_wait_taken_after_the_subscriber),
        PAIR_TEST(test_wait_taken_before_a_pad),
        PAIR_TEST(test_a_pad_beside_a_former_hold),
        PAIR_TEST(test_one_held_does_not_fill_the_table),
        PAIR_TEST(test_wait_taken_asks_a_newcomer),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
