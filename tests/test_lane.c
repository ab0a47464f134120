/* SPDX-License-Identifier: MIT */
/*
 * Goal: a channel delivers what was committed once, whole and in order, and says clearly
 * when it cannot. Method: both sides in one process, where order alone matters.
 */
#include "pair.h"

#include <errno.h>
#include <string.h>

#include "channel/layout.h"

static void expect_message(struct weir_subscriber *subscriber, unsigned seed, size_t size)
{
    static unsigned char expected[WEIR_RING_BYTES_MIN];
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_int_equal(message.size_bytes, size);
    assert_int_equal(message.type, seed & 0xffff);
    assert_int_equal((uintptr_t)message.data % 8, 0);
    pair_fill(expected, size, seed);
    assert_memory_equal(message.data, expected, size);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
}

static void test_every_size_wraps_and_keeps_order(void **state)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    struct pair pair;
    (void)state;
    pair_open(&pair);
    size_t most = weir_publisher_max_bytes(pair.publisher);
    assert_int_equal(most, WEIR_RING_BYTES_MIN / 4 - 8);
    unsigned seed = 0;
    for (size_t size = 0; size <= most; size = size < 300 ? size + 1 : size * 5 / 4 + 3) {
        for (int i = 0; i < 9; i++, seed++) {
            pair_fill(bytes, size, seed);
            assert_result(
                weir_publisher_send_until(pair.publisher, bytes, size, seed & 0xffff, NOW), 0);
            expect_message(pair.subscriber, seed, size);
        }
    }
    pair_fill(bytes, most, seed);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, most, seed & 0xffff, NOW), 0);
    expect_message(pair.subscriber, seed, most);
    assert_result(weir_publisher_send(pair.publisher, bytes, most + 1), -EMSGSIZE);
    /* Also where there is room for more, and where the sum of length and header wraps. */
    assert_result(weir_publisher_send_until(pair.publisher, bytes, 8, 0, 0), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, most + 1, 0, 0), -EMSGSIZE);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, SIZE_MAX, 0, 0), -EMSGSIZE);
    assert_result(weir_subscriber_receive_until(pair.subscriber, bytes, most, NULL, 0), 0);
    pair_close(&pair);
}

static void test_full_then_room(void **state)
{
    static unsigned char bytes[1000];
    struct pair pair;
    int sent = 0, taken = 0;
    (void)state;
    pair_open(&pair);
    for (int lap = 0; lap < 50; lap++) {
        int result;
        for (;;) {
            pair_fill(bytes, sizeof bytes, (unsigned)sent);
            result =
                weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, (uint32_t)sent, NOW);
            if (result != 0)
                break;
            sent++;
        }
        assert_result(result, -EAGAIN);
        assert_true(sent - taken >= 63 && sent - taken <= 65);
        assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0,
                                                weir_deadline_ns(1000)),
                      -ETIMEDOUT);
        for (int i = 0; i < 20; i++)
            expect_message(pair.subscriber, (unsigned)taken++, sizeof bytes);
    }
    pair_close(&pair);
}

static void test_loans(void **state)
{
    struct pair pair;
    struct weir_message message;
    void *loan, *second;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_commit(pair.publisher, 0, 0), -EINVAL);
    assert_result(weir_publisher_loan_until(pair.publisher, 5000, &loan, NOW), 0);
    assert_result(weir_publisher_loan_until(pair.publisher, 1, &second, NOW), -EINVAL);
    assert_result(weir_publisher_send(pair.publisher, "x", 1), -EINVAL);
    memset(loan, 'a', 5000);
    weir_publisher_abandon(pair.publisher);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_loan_until(pair.publisher, 5000, &loan, NOW), 0);
    memcpy(loan, "shrunk", 6);
    assert_result(weir_publisher_commit(pair.publisher, 5001, 0), -EINVAL);
    assert_result(weir_publisher_commit(pair.publisher, 6, 65536), -EINVAL);
    assert_result(weir_publisher_commit(pair.publisher, 6, 65535), 0);
    assert_result(weir_publisher_send(pair.publisher, "next", 4), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_int_equal(message.size_bytes, 6);
    assert_int_equal(message.type, 65535);
    assert_int_equal(message.sequence, 0);
    assert_memory_equal(message.data, "shrunk", 6);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_int_equal(message.sequence, 1);
    assert_memory_equal(message.data, "next", 4);
    pair_close(&pair);
}

/* So many are announced; one more that is held is kept by the cursor alone. */
#define KEPT (WEIR__HOLDS_ANNOUNCED + 1)

static void test_holds_in_any_order(void **state)
{
    static unsigned char bytes[900];
    struct weir_message held[WEIR_HOLDS_MAX], message;
    struct pair pair;
    unsigned sent = 0;
    (void)state;
    pair_open(&pair);
    for (int lap = 0; lap < 20; lap++) {
        unsigned first = sent;
        for (int i = 0; i < WEIR_HOLDS_MAX; i++, sent++) {
            pair_fill(bytes, sizeof bytes, sent);
            assert_result(weir_publisher_send(pair.publisher, bytes, sizeof bytes), 0);
            assert_result(weir_subscriber_take_until(pair.subscriber, &held[i], NOW), 0);
        }
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENOBUFS);
        /* All but the first ones are given back, in a scattered order: these pin the ring. */
        for (int i = 0; i < WEIR_HOLDS_MAX; i++) {
            int which = i * 37 % WEIR_HOLDS_MAX;
            if (which >= KEPT)
                assert_result(weir_subscriber_release(pair.subscriber, &held[which]), 0);
        }
        assert_result(weir_subscriber_release(pair.subscriber, &held[KEPT]), -EINVAL);
        while (weir_publisher_send_until(pair.publisher, bytes, 8, 0, NOW) == 0)
            sent++;
        for (unsigned which = 0; which < KEPT; which++) {
            pair_fill(bytes, sizeof bytes, first + which);
            assert_memory_equal(held[which].data, bytes, sizeof bytes);
            assert_result(weir_subscriber_release(pair.subscriber, &held[which]), 0);
        }
        assert_result(weir_subscriber_release(pair.subscriber, &held[0]), -EINVAL);
        while (weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, &message, NOW) ==
               0)
            assert_true(message.sequence < sent);
    }
    pair_close(&pair);
}

static void test_receive_copies(void **state)
{
    struct pair pair;
    struct weir_message message;
    char text[8];
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_send(pair.publisher, "too long for it", 15), 0);
    assert_result(weir_subscriber_receive_until(pair.subscriber, text, sizeof text, &message, NOW),
                  -EMSGSIZE);
    assert_int_equal(message.size_bytes, 15);
    char enough[15];
    assert_result(weir_subscriber_receive_until(pair.subscriber, enough, 15, &message, NOW), 0);
    assert_memory_equal(enough, "too long for it", 15);
    assert_ptr_equal(message.data, enough);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    pair_close(&pair);
}

static void test_batches(void **state)
{
    struct pair pair;
    struct weir_message message;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL);
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    assert_result(weir_publisher_batch_begin(pair.publisher), -EINVAL);
    for (int i = 0; i < 100; i++) {
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    }
    void *loan;
    assert_result(weir_publisher_loan_until(pair.publisher, 8, &loan, NOW), 0);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL);
    weir_publisher_abandon(pair.publisher);
    assert_result(weir_publisher_batch_end(pair.publisher), 0);
    for (int i = 0; i < 100; i++) {
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
        assert_memory_equal(message.data, &i, sizeof i);
        assert_int_equal(message.sequence, i);
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    }
    /* More than the ring holds: what does not fit is preceded by a commit of what is there. */
    int sent = 0, taken = 0;
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    while (sent < 20000) {
        if (weir_publisher_send_until(pair.publisher, &sent, sizeof sent, 0, NOW) == 0) {
            sent++;
            continue;
        }
        for (; weir_subscriber_take_until(pair.subscriber, &message, NOW) == 0; taken++) {
            assert_memory_equal(message.data, &taken, sizeof taken);
            assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        }
    }
    /* A batch that is never ended was never sent. */
    int seen = taken;
    while (weir_subscriber_take_until(pair.subscriber, &message, NOW) == 0)
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0), seen++;
    weir_publisher_close(pair.publisher);
    assert_true(seen < sent);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    weir_subscriber_close(pair.subscriber);
}

static void test_end_and_the_next_publisher(void **state)
{
    struct pair pair;
    struct weir_message message, kept;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_send(pair.publisher, "kept", 4), 0);
    assert_result(weir_publisher_send(pair.publisher, "last", 4), 0);
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_publisher_send(pair.publisher, "late", 4), -EPIPE);
    assert_result(weir_subscriber_take_until(pair.subscriber, &kept, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    /* It has ended, and has not left: there is nothing to wait for, and no other yet. */
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    weir_publisher_close(pair.publisher);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);

    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    /* Listed and not attached yet: no credit. */
    assert_result(weir_publisher_send_until(pair.publisher, "first", 5, 0, NOW), -EAGAIN);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_send_until(pair.publisher, "first", 5, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_int_equal(message.sequence, 0);
    assert_true(message.session != kept.session);
    /* What is held of a publisher that is gone is still there. */
    assert_memory_equal(kept.data, "kept", 4);
    assert_result(weir_subscriber_release(pair.subscriber, &kept), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    pair_close(&pair);
}

static void test_without_a_subscriber_nothing_waits(void **state)
{
    static unsigned char bytes[3000];
    struct pair pair;
    struct weir_message message;
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    for (int i = 0; i < 1000; i++)
        assert_result(weir_publisher_send_until(pair.publisher, bytes, (size_t)i * 3, 0, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EPIPE);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_send_until(pair.publisher, "now", 3, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_memory_equal(message.data, "now", 3);
    assert_int_equal(message.sequence, 1000);
    pair_close(&pair);
}

/*
 * One has ended, and the next one is there already. Where there may be several, that is no end; in a
 * channel for one it is, told before the next one's messages: those are another publisher's.
 */
static void expect_the_next(uint32_t publishers, bool is_told)
{
    struct pair pair;
    struct weir_channel_options options = small_ring;
    options.publishers_max = publishers;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    pair_send_text(&pair, "former");
    weir_publisher_close(pair.publisher);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    struct weir_message message = pair_take_text(&pair, "former");
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    if (is_told)
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    pair_send_text(&pair, "next");
    message = pair_take_text(&pair, "next");
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    pair_close(&pair);
}

static void test_the_next_is_there_already(void **state)
{
    (void)state;
    expect_the_next(1, true);
    expect_the_next(2, false);
}

static void test_one_of_each(void **state)
{
    struct pair pair;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = options.subscribers_max = 1;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &options), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_open(&publisher, "lane", NULL), -EBUSY);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), -EBUSY);
    pair_close(&pair);
    pair_open(&pair);
    pair_close(&pair);
}

static void test_receive_waits_for_ever(void **state)
{
    struct pair pair;
    char text[8] = "";
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_send(pair.publisher, "short", 6), 0);
    assert_result(weir_subscriber_receive(pair.subscriber, text, 2), -EMSGSIZE);
    assert_result(weir_subscriber_receive(pair.subscriber, text, sizeof text), 0);
    assert_string_equal(text, "short");
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_subscriber_receive(pair.subscriber, text, sizeof text), -ENODATA);
    pair_close(&pair);
}

static void test_bad_options(void **state)
{
    struct weir_channel_options rows[] = {
        { .size = 4 },
        { .size = sizeof rows[0], .flags = 1 << 15 },
        { .size = sizeof rows[0], .flags = 3 },
        { .size = sizeof rows[0], .ring_bytes = 65535 },
        { .size = sizeof rows[0], .ring_bytes = 32768 },
        { .size = sizeof rows[0], .ring_bytes = 65536 * 3 },
        { .size = sizeof rows[0], .reserved = { 1, 0 } },
        { .size = sizeof rows[0], .mode = 0777 },
        { .size = sizeof rows[0], .trust = 99 },
        { .size = sizeof rows[0], .delivery = WEIR_DELIVERY_LOSSY + 1 },
        { .size = sizeof rows[0], .start = WEIR_START_BACK + 1 },
    };
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_result(weir_publisher_open(&publisher, "lane", &rows[i]), -EINVAL);
        assert_result(weir_subscriber_open(&subscriber, "lane", &rows[i]), -EINVAL);
    }
    assert_result(weir_subscriber_open(&subscriber, "no//name", NULL), -EINVAL);
    assert_result(weir_publisher_open(&publisher, "no//name", NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_every_size_wraps_and_keeps_order),
        PAIR_TEST(test_full_then_room),
        PAIR_TEST(test_loans),
        PAIR_TEST(test_holds_in_any_order),
        PAIR_TEST(test_receive_copies),
        PAIR_TEST(test_batches),
        PAIR_TEST(test_end_and_the_next_publisher),
        PAIR_TEST(test_without_a_subscriber_nothing_waits),
        PAIR_TEST(test_the_next_is_there_already),
        PAIR_TEST(test_one_of_each),
        PAIR_TEST(test_receive_waits_for_ever),
        PAIR_TEST(test_bad_options),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
