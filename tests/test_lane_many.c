/* SPDX-License-Identifier: MIT */
/*
 * Goal: the calls for many messages do what as many calls for one would do, in one commit; they
 *       say how many, and what they refuse changes nothing.
 * Method: both sides in one process, messages that are checked to the byte, in rings that wrap
 *       and fill; a second process where one side sleeps, or is a child of fork.
 */
#include "many.h"
#include "readable.h"

#include <errno.h>
#include <string.h>

static void test_every_size_in_every_count(void **state)
{
    static unsigned char room[MANY * MESSAGE_BYTES_MAX];
    struct weir_message messages[MANY];
    struct pair pair;
    unsigned sent = 0, got = 0;
    (void)state;
    pair_open(&pair);
    for (unsigned round = 0; round < 2000; round++) { /* some twenty laps */
        unsigned count = 1 + round % MANY;
        assert_result(
            weir_publisher_send_many_until(pair.publisher, many_outgoing(sent, count), count, NOW),
            (int)count);
        sent += count;
        if (round % 2) {
            many_take_all(pair.subscriber, &got, sent);
            continue;
        }
        int here = weir_subscriber_receive_many_until(pair.subscriber, room, sizeof room, messages,
                                                      count + 1 <= MANY ? count + 1 : MANY, NOW);
        assert_result(here, (int)count); /* all that are there */
        for (unsigned i = 0; i < count; i++)
            many_expect(&messages[i], got++);
    }
    pair_close(&pair);
}

/* Bytes that a failing call must not have touched are looked at by whoever calls next. */
static void test_a_full_ring_takes_some(void **state)
{
    struct weir_outgoing messages[100];
    static unsigned char bytes[1000];
    struct weir_message taken[HOLDS];
    struct pair pair;
    (void)state;
    pair_open(&pair);
    for (unsigned i = 0; i < 100; i++)
        messages[i] = (struct weir_outgoing){ bytes, sizeof bytes, i };
    for (unsigned lap = 0; lap < 30; lap++) {
        char sentence[512];
        assert_result(weir_publisher_send_until(pair.publisher, "x", 1, 65536, NOW), -EINVAL);
        strcpy(sentence, weir_last_error());
        int sent = weir_publisher_send_many_until(pair.publisher, messages, 100, NOW);
        assert_in_range(sent, 60, 65);
        assert_string_equal(weir_last_error(), sentence); /* it has succeeded */
        assert_result(weir_publisher_send_many_until(pair.publisher, &messages[sent], 3, NOW),
                      -EAGAIN);
        assert_result(weir_publisher_send_many_until(pair.publisher, &messages[sent], 3,
                                                     weir_deadline_ns(1000)),
                      -ETIMEDOUT);
        int got = 0;
        for (int count; got < sent; got += count) {
            count = weir_subscriber_take_many_until(pair.subscriber, taken, 20, NOW);
            assert_true(count > 0 && count <= 20);
            for (int i = 0; i < count; i++)
                assert_int_equal(taken[i].type, got + i);
            assert_result(weir_subscriber_release_many(pair.subscriber, taken, (size_t)count), 0);
        }
        assert_int_equal(got, sent);
    }
    pair_close(&pair);
}

static void test_one_commit(void **state)
{
    struct weir_message messages[MANY];
    struct pair pair;
    void *places[4];
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, many_outgoing(0, 3), 3, NOW), 3);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 8, places, 4, NOW), 4);
    assert_result(weir_publisher_commit_many(pair.publisher, NULL, NULL, 4), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, many_outgoing(7, 3), 3, NOW), 3);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), -EAGAIN);
    assert_result(weir_publisher_batch_begin(pair.publisher), -EINVAL); /* it is still open */
    assert_result(weir_publisher_batch_end(pair.publisher), 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), 10);
    for (unsigned n = 0; n < 10; n++)
        if (n < 3 || n >= 7)
            many_expect(&messages[n], n);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 10), 0);
    /* None is left open by a call that makes its own. */
    assert_result(weir_publisher_send_many_until(pair.publisher, many_outgoing(10, 1), 1, NOW), 1);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), 1);
    many_expect(&messages[0], 10);
    pair_close(&pair);
}

static void test_sends_that_are_refused(void **state)
{
    struct weir_outgoing messages[3] = { { "a", 1, 0 }, { "b", 1, 0 }, { "c", 1, 65536 } };
    struct weir_message message;
    struct pair pair;
    void *loan;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_send_many_until(pair.publisher, NULL, 0, NOW), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, messages, 3, NOW), 2);
    assert_result(weir_publisher_send_many_until(pair.publisher, &messages[2], 1, NOW), -EINVAL);
    messages[1].size_bytes = weir_publisher_max_bytes(pair.publisher) + 1;
    assert_result(weir_publisher_send_many_until(pair.publisher, messages, 3, NOW), 1);
    assert_result(weir_publisher_send_many_until(pair.publisher, &messages[1], 2, NOW), -EMSGSIZE);
    messages[1].size_bytes = SIZE_MAX;
    assert_result(weir_publisher_send_many_until(pair.publisher, &messages[1], 2, NOW), -EMSGSIZE);
    assert_result(weir_publisher_loan_until(pair.publisher, 1, &loan, NOW), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, messages, 1, NOW), -EINVAL);
    weir_publisher_abandon(pair.publisher);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL); /* no batch stayed open */
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, messages, 1, NOW), -EPIPE);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 1, &loan, 1, NOW), -EPIPE);
    for (const char *text = "aba"; *text; text++) {
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
        assert_memory_equal(message.data, text, 1);
    }
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &message, 1, NOW), -ENODATA);
    pair_close(&pair);
}

/* Asleep on both sides: more than the ring holds goes through it, and each burst wakes. */
static void drink(struct companion *companion, void *argument)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct weir_message messages[HOLDS];
    uint64_t room[64], next = 0;
    int result;
    options.flags = *(uint32_t *)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &options), 0);
    companion_arrive(companion);
    for (;;) {
        bool is_copied = next % 3 == 0;
        result = is_copied ? weir_subscriber_receive_many_until(subscriber, room, sizeof room,
                                                                messages, HOLDS, SOON)
                           : weir_subscriber_take_many_until(subscriber, messages, HOLDS, SOON);
        if (result <= 0)
            break;
        for (int i = 0; i < result; i++)
            CHECK(messages[i].sequence == next && *(const uint64_t *)messages[i].data == next++);
        if (!is_copied)
            CHECK_RESULT(weir_subscriber_release_many(subscriber, messages, (size_t)result), 0);
    }
    CHECK_RESULT(result, -ENODATA);
    CHECK(next == 300000);
    weir_subscriber_close(subscriber);
}

static void flow(uint32_t flags)
{
    struct weir_channel_options options = small_ring;
    struct weir_outgoing messages[50];
    uint64_t numbers[50], next = 0;
    struct weir_publisher *publisher;
    struct companion companion;
    options.flags = flags;
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
    companion_start(&companion, drink, &flags);
    companion_meet(&companion);
    companion_release(&companion);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    while (next < 300000) {
        for (unsigned i = 0; i < 50; i++) {
            numbers[i] = next++;
            messages[i] = (struct weir_outgoing){ &numbers[i], sizeof numbers[i], 0 };
        }
        assert_result(weir_publisher_send_many_until(publisher, messages, 50, SOON), 50);
    }
    weir_publisher_close(publisher);
    assert_int_equal(companion_end(&companion), 0);
}

static void test_bursts_between_two_that_sleep(void **state)
{
    (void)state;
    flow(WEIR_CHANNEL_SLEEP_ONLY);
}

static void test_bursts_between_two_that_spin_first(void **state)
{
    (void)state;
    flow(0);
}

static void test_descriptors(void **state)
{
    static unsigned char bytes[8000];
    struct weir_outgoing messages[20];
    struct weir_message taken[8];
    struct pair pair;
    (void)state;
    pair_open(&pair);
    int in = weir_subscriber_fd(pair.subscriber), out = weir_publisher_fd(pair.publisher);
    for (unsigned i = 0; i < 20; i++)
        messages[i] = (struct weir_outgoing){ bytes, sizeof bytes, i };
    for (unsigned round = 0; round < 50; round++) {
        assert_false(is_readable(in, 0));
        assert_true(is_readable(out, 0));
        int sent = weir_publisher_send_many_until(pair.publisher, messages, 20, NOW);
        assert_in_range(sent, 7, 8);
        assert_false(is_readable(out, 0)); /* it stands for the one that found no room */
        assert_true(is_readable(in, 5000));
        assert_result(weir_subscriber_take_many_until(pair.subscriber, taken, 4, NOW), 4);
        assert_true(is_readable(in, 0));
        assert_false(is_readable(out, 0));
        assert_result(weir_subscriber_release_many(pair.subscriber, taken, 4), 0);
        assert_true(is_readable(out, 5000));
        assert_result(
            weir_subscriber_receive_many_until(pair.subscriber, bytes, sizeof bytes, taken, 8, NOW),
            1);
        assert_true(is_readable(in, 0));
        assert_result(weir_subscriber_take_many_until(pair.subscriber, taken, 8, NOW), sent - 5);
        assert_result(weir_subscriber_release_many(pair.subscriber, taken, (size_t)sent - 5), 0);
        /* All are gone; who is told that nothing waits may ask again, and then polls. */
        assert_result(weir_subscriber_take_many_until(pair.subscriber, taken, 8, NOW), -EAGAIN);
    }
    pair_close(&pair);
}

static void use_in_child(void *argument)
{
    struct pair *pair = argument;
    struct weir_message message;
    uint64_t room;
    void *place;
    CHECK_RESULT(weir_publisher_send_many_until(pair->publisher, many_outgoing(0, 1), 1, NOW),
                 -ECHILD);
    CHECK_RESULT(weir_publisher_send_many_until(pair->publisher, NULL, 0, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_loan_many_until(pair->publisher, 8, &place, 1, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_loan_many_until(pair->publisher, 8, &place, 0, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_commit_many(pair->publisher, NULL, NULL, 1), -ECHILD);
    CHECK_RESULT(weir_subscriber_take_many_until(pair->subscriber, &message, 1, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_receive_many_until(pair->subscriber, &room, 8, &message, 1, NOW),
                 -ECHILD);
    CHECK_RESULT(weir_subscriber_release_many(pair->subscriber, &message, 1), -ECHILD);
    weir_publisher_close(pair->publisher);
    weir_subscriber_close(pair->subscriber);
}

static void test_fork(void **state)
{
    struct weir_message messages[4];
    struct pair pair;
    void *places[2];
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_send_many_until(pair.publisher, many_outgoing(0, 2), 2, NOW), 2);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 8, places, 2, NOW), 2);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 1, NOW), 1);
    in_child(use_in_child, &pair);
    assert_result(weir_publisher_commit_many(pair.publisher, NULL, NULL, 2), 0);
    many_expect(&messages[0], 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &messages[1], 3, NOW), 3);
    many_expect(&messages[1], 1);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 4), 0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_every_size_in_every_count),
        PAIR_TEST(test_a_full_ring_takes_some),
        PAIR_TEST(test_one_commit),
        PAIR_TEST(test_sends_that_are_refused),
        PAIR_TEST(test_bursts_between_two_that_sleep),
        PAIR_TEST(test_bursts_between_two_that_spin_first),
        PAIR_TEST(test_descriptors),
        PAIR_TEST(test_fork),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
