/* SPDX-License-Identifier: MIT */
/*
 * Goal: a loan of many places says how many there are, is committed in one, closed up, and what
 *       it refuses changes nothing.
 * Method: both sides in one process, in rings that wrap and fill; calls in every wrong order.
 */
#include "many.h"

#include <errno.h>
#include <string.h>

/* Of sizes below what was asked for: they are closed up. Some at the end are not used. */
static void test_loans_of_many(void **state)
{
    enum { PLACES = 12 };
    struct pair pair;
    unsigned sent = 0, got = 0, short_loans = 0;
    (void)state;
    pair_open(&pair);
    for (unsigned round = 0; round < 2000; round++) {
        void *places[PLACES];
        size_t sizes[PLACES];
        uint32_t types[PLACES];
        int count =
            weir_publisher_loan_many_until(pair.publisher, MESSAGE_BYTES_MAX, places, PLACES, NOW);
        assert_in_range(count, 1, PLACES);
        short_loans += count < PLACES;
        for (int i = 0; i < count; i++) {
            sizes[i] = many_size(sent + (unsigned)i);
            types[i] = many_type(sent + (unsigned)i);
            memset(places[i], 0xee, MESSAGE_BYTES_MAX);
            pair_fill(places[i], sizes[i], sent + (unsigned)i);
            assert_int_equal((uintptr_t)places[i] % 8, 0);
        }
        size_t used = (size_t)count - round % (unsigned)count;
        assert_result(weir_publisher_commit_many(pair.publisher, sizes, types, used), 0);
        sent += (unsigned)used;
        many_take_all(pair.subscriber, &got, sent);
    }
    print_message("           %u loans cut short, %u messages\n", short_loans, sent);
    assert_true(short_loans > 20 && short_loans < 1900 && sent > 5000);
    pair_close(&pair);
}

static void test_places_that_are_used_in_full(void **state)
{
    struct weir_message messages[8];
    struct pair pair;
    void *places[8];
    uint32_t types[8];
    (void)state;
    pair_open(&pair);
    for (unsigned round = 0; round < 3000; round++) {
        int count = weir_publisher_loan_many_until(pair.publisher, 60, places, 8, NOW);
        assert_in_range(count, 1, 8);
        for (int i = 0; i < count; i++) {
            memset(places[i], (int)(round + (unsigned)i), 60);
            types[i] = round + (unsigned)i;
        }
        assert_result(weir_publisher_commit_many(pair.publisher, NULL, round % 2 ? types : NULL,
                                                 (size_t)count),
                      0);
        assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 8, NOW), count);
        for (int i = 0; i < count; i++) {
            assert_int_equal(messages[i].size_bytes, 60);
            assert_int_equal(messages[i].type, round % 2 ? types[i] : 0);
            assert_true(all_bytes(messages[i].data, 60, (unsigned char)(round + (unsigned)i)));
        }
        assert_result(weir_subscriber_release_many(pair.subscriber, messages, (size_t)count), 0);
    }
    pair_close(&pair);
}

/* Lengths that no message has, those first that are 0 with their header: at each place of a ring. */
static void test_loans_of_nonsense(void **state)
{
    static const unsigned char data[1000];
    struct pair pair;
    void *places[4];
    unsigned sent = 0;
    (void)state;
    pair_open(&pair);
    do {
        for (size_t less = 15; less-- > 0;) /* the first calls find the room that is known */
            assert_result(
                weir_publisher_loan_many_until(pair.publisher, SIZE_MAX - less, places, 4, NOW),
                -EMSGSIZE);
        sent++;
    } while (weir_publisher_send_until(pair.publisher, data, sizeof data, 0, NOW) == 0);
    assert_true(sent > 50);
    pair_close(&pair);
}

static void test_loans_that_are_refused(void **state)
{
    const size_t large[2] = { 8, 17 }, sizes[2] = { 16, 0 };
    const uint32_t types[2] = { 0, 65536 };
    struct weir_message messages[4];
    struct pair pair;
    void *places[4];
    (void)state;
    pair_open(&pair);
    struct weir_publisher *publisher = pair.publisher;
    size_t most = weir_publisher_max_bytes(publisher);
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 1), -EINVAL);
    assert_result(weir_publisher_loan_many_until(publisher, most + 1, places, 4, NOW), -EMSGSIZE);
    assert_result(weir_publisher_loan_many_until(publisher, SIZE_MAX, places, 4, NOW), -EMSGSIZE);
    assert_result(weir_publisher_loan_many_until(publisher, 16, places, 0, NOW), 0);
    assert_result(weir_publisher_loan_many_until(publisher, 16, places, 2, NOW), 2);
    assert_result(weir_publisher_loan_many_until(publisher, 16, places, 2, NOW), -EINVAL);
    assert_result(weir_publisher_loan_until(publisher, 16, places, NOW), -EINVAL);
    assert_result(weir_publisher_batch_begin(publisher), -EINVAL);
    /* What is wrong leaves it out, and commits nothing. */
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 3), -EINVAL);
    assert_result(weir_publisher_commit_many(publisher, large, NULL, 2), -EINVAL);
    assert_result(weir_publisher_commit_many(publisher, NULL, types, 2), -EINVAL);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 4, NOW), -EAGAIN);
    memset(places[0], 1, 16);
    assert_result(weir_publisher_commit_many(publisher, sizes, NULL, 2), 0);
    assert_result(weir_publisher_commit_many(publisher, sizes, NULL, 2), -EINVAL);
    /* With 0 all are abandoned; and the first alone may become a message. */
    assert_result(weir_publisher_loan_many_until(publisher, 16, places, 2, NOW), 2);
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 0), 0);
    assert_result(weir_publisher_commit(publisher, 16, 0), -EINVAL);
    assert_result(weir_publisher_loan_many_until(publisher, 16, places, 2, NOW), 2);
    memset(places[0], 2, 16);
    assert_result(weir_publisher_commit(publisher, 9, 5), 0);
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 1), -EINVAL);
    /* A loan of one is none of many, also where one of many was before it. */
    assert_result(weir_publisher_loan_many_until(publisher, 8, places, 4, NOW), 4);
    weir_publisher_abandon(publisher);
    assert_result(weir_publisher_loan_until(publisher, 4000, places, NOW), 0);
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 4), -EINVAL);
    weir_publisher_abandon(publisher);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 4, NOW), 3);
    assert_true(messages[0].size_bytes == 16 && all_bytes(messages[0].data, 16, 1));
    assert_int_equal(messages[1].size_bytes, 0);
    assert_true(messages[2].size_bytes == 9 && all_bytes(messages[2].data, 9, 2));
    assert_int_equal(messages[2].type, 5);
    pair_close(&pair);
}

/* What was seen long ago is looked at again before a loan is cut short; not within a batch. */
static void test_room_is_looked_for(void **state)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    struct weir_message message;
    struct pair pair;
    void *places[100];
    (void)state;
    pair_open(&pair);
    for (unsigned i = 0; i < 80; i++) { /* the look was at 55 KiB of the first lap */
        size_t size_bytes = i == 40 || i == 41 ? 15352 : 1016;
        assert_result(weir_publisher_send_until(pair.publisher, bytes, size_bytes, 0, NOW), 0);
        assert_result(
            weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    assert_result(weir_publisher_send(pair.publisher, "held", 4), 0);
    int few = weir_publisher_loan_many_until(pair.publisher, 92, places, 100, NOW);
    assert_int_equal(few, 19);
    weir_publisher_abandon(pair.publisher);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_batch_end(pair.publisher), 0);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 92, places, 100, NOW), 100);
    weir_publisher_abandon(pair.publisher);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_loans_of_many),      PAIR_TEST(test_places_that_are_used_in_full),
        PAIR_TEST(test_loans_of_nonsense),  PAIR_TEST(test_loans_that_are_refused),
        PAIR_TEST(test_room_is_looked_for),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
