/* SPDX-License-Identifier: MIT */
/*
 * Goal: a channel delivers what was committed once, whole and in order, and says clearly
 * when it cannot. Method: both sides in one process where order alone matters, in two
 * where one waits, is killed or stopped.
 */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(INT64_C(20000000000))
#define SECOND_NS INT64_C(1000000000)

struct pair {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
};

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN };

/* The publisher first: then the subscriber's open attaches its lane. */
static void open_pair(struct pair *pair)
{
    assert_result(weir_publisher_open(&pair->publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair->subscriber, "lane", NULL), 0);
}

static void close_pair(struct pair *pair)
{
    weir_publisher_close(pair->publisher);
    weir_subscriber_close(pair->subscriber);
}

static void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static void expect_message(struct weir_subscriber *subscriber, unsigned seed, size_t size)
{
    static unsigned char expected[WEIR_RING_BYTES_MIN];
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_int_equal(message.size_bytes, size);
    assert_int_equal(message.type, seed & 0xffff);
    assert_int_equal((uintptr_t)message.data % 8, 0);
    fill(expected, size, seed);
    assert_memory_equal(message.data, expected, size);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
}

static void test_every_size_wraps_and_keeps_order(void **state)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    struct pair pair;
    (void)state;
    open_pair(&pair);
    size_t most = weir_publisher_max_bytes(pair.publisher);
    assert_int_equal(most, WEIR_RING_BYTES_MIN / 4 - 8);
    unsigned seed = 0;
    for (size_t size = 0; size <= most; size = size < 300 ? size + 1 : size * 5 / 4 + 3) {
        for (int i = 0; i < 9; i++, seed++) {
            fill(bytes, size, seed);
            assert_result(
                weir_publisher_send_until(pair.publisher, bytes, size, seed & 0xffff, NOW), 0);
            expect_message(pair.subscriber, seed, size);
        }
    }
    fill(bytes, most, seed);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, most, seed & 0xffff, NOW), 0);
    expect_message(pair.subscriber, seed, most);
    assert_result(weir_publisher_send(pair.publisher, bytes, most + 1), -EMSGSIZE);
    /* Also where there is room for more, and where the sum of length and header wraps. */
    assert_result(weir_publisher_send_until(pair.publisher, bytes, 8, 0, 0), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, most + 1, 0, 0), -EMSGSIZE);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, SIZE_MAX, 0, 0), -EMSGSIZE);
    assert_result(weir_subscriber_receive_until(pair.subscriber, bytes, most, NULL, 0), 0);
    close_pair(&pair);
}

static void test_full_then_room(void **state)
{
    static unsigned char bytes[1000];
    struct pair pair;
    int sent = 0, taken = 0;
    (void)state;
    open_pair(&pair);
    for (int lap = 0; lap < 50; lap++) {
        int result;
        for (;;) {
            fill(bytes, sizeof bytes, (unsigned)sent);
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
    close_pair(&pair);
}

static void test_loans(void **state)
{
    struct pair pair;
    struct weir_message message;
    void *loan, *second;
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

static void test_holds_in_any_order(void **state)
{
    static unsigned char bytes[900];
    struct weir_message held[WEIR_HOLDS_MAX], message;
    struct pair pair;
    unsigned sent = 0;
    (void)state;
    open_pair(&pair);
    for (int lap = 0; lap < 20; lap++) {
        unsigned first = sent;
        for (int i = 0; i < WEIR_HOLDS_MAX; i++, sent++) {
            fill(bytes, sizeof bytes, sent);
            assert_result(weir_publisher_send(pair.publisher, bytes, sizeof bytes), 0);
            assert_result(weir_subscriber_take_until(pair.subscriber, &held[i], NOW), 0);
        }
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENOBUFS);
        /* All but the oldest are given back, in a scattered order: the oldest pins the ring. */
        for (int i = 0; i < WEIR_HOLDS_MAX; i++) {
            int which = i * 37 % WEIR_HOLDS_MAX;
            if (which != 0)
                assert_result(weir_subscriber_release(pair.subscriber, &held[which]), 0);
        }
        assert_result(weir_subscriber_release(pair.subscriber, &held[5]), -EINVAL);
        while (weir_publisher_send_until(pair.publisher, bytes, 8, 0, NOW) == 0)
            sent++;
        fill(bytes, sizeof bytes, first);
        assert_memory_equal(held[0].data, bytes, sizeof bytes);
        assert_result(weir_subscriber_release(pair.subscriber, &held[0]), 0);
        assert_result(weir_subscriber_release(pair.subscriber, &held[0]), -EINVAL);
        while (weir_subscriber_receive_until(pair.subscriber, bytes, sizeof bytes, &message, NOW) ==
               0)
            assert_true(message.sequence < sent);
    }
    close_pair(&pair);
}

static void test_receive_copies(void **state)
{
    struct pair pair;
    struct weir_message message;
    char text[8];
    (void)state;
    open_pair(&pair);
    assert_result(weir_publisher_send(pair.publisher, "too long for it", 15), 0);
    assert_result(weir_subscriber_receive_until(pair.subscriber, text, sizeof text, &message, NOW),
                  -EMSGSIZE);
    assert_int_equal(message.size_bytes, 15);
    char enough[15];
    assert_result(weir_subscriber_receive_until(pair.subscriber, enough, 15, &message, NOW), 0);
    assert_memory_equal(enough, "too long for it", 15);
    assert_ptr_equal(message.data, enough);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    close_pair(&pair);
}

static void test_batches(void **state)
{
    struct pair pair;
    struct weir_message message;
    (void)state;
    open_pair(&pair);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL);
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    assert_result(weir_publisher_batch_begin(pair.publisher), -EINVAL);
    for (int i = 0; i < 100; i++) {
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    }
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
    open_pair(&pair);
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
    close_pair(&pair);
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
    close_pair(&pair);
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
    close_pair(&pair);
    open_pair(&pair);
    close_pair(&pair);
}

static void test_receive_waits_for_ever(void **state)
{
    struct pair pair;
    char text[8] = "";
    (void)state;
    open_pair(&pair);
    assert_result(weir_publisher_send(pair.publisher, "short", 6), 0);
    assert_result(weir_subscriber_receive(pair.subscriber, text, 2), -EMSGSIZE);
    assert_result(weir_subscriber_receive(pair.subscriber, text, sizeof text), 0);
    assert_string_equal(text, "short");
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_subscriber_receive(pair.subscriber, text, sizeof text), -ENODATA);
    close_pair(&pair);
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

static void use_in_child(void *argument)
{
    struct pair *pair = argument;
    struct weir_message message;
    void *loan;
    CHECK_RESULT(weir_publisher_send(pair->publisher, "x", 1), -ECHILD);
    CHECK_RESULT(weir_publisher_loan_until(pair->publisher, 1, &loan, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_commit(pair->publisher, 1, 0), -ECHILD);
    CHECK_RESULT(weir_publisher_end(pair->publisher), -ECHILD);
    CHECK_RESULT(weir_publisher_wait_taken(pair->publisher, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_take_until(pair->subscriber, &message, NOW), -ECHILD);
    weir_publisher_close(pair->publisher);
    weir_subscriber_close(pair->subscriber);
}

static void test_fork(void **state)
{
    struct pair pair;
    struct weir_message message;
    (void)state;
    open_pair(&pair);
    assert_result(weir_publisher_send(pair.publisher, "before", 6), 0);
    in_child(use_in_child, &pair);
    assert_result(weir_publisher_send(pair.publisher, "after", 5), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_memory_equal(message.data, "before", 6);
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
    assert_memory_equal(message.data, "after", 5);
    close_pair(&pair);
}

/*
 * Two processes
 */

static void publish_and_wait(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    int count = *(int *)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    for (int i = 0; i < count; i++)
        CHECK_RESULT(weir_publisher_send(publisher, &i, sizeof i), 0);
    companion_arrive(companion);
}

static void test_killed_publisher(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    (void)state;
    for (int count = 0; count < 300; count += 37) {
        struct companion companion;
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        companion_start(&companion, publish_and_wait, &count);
        if (count == 0) /* any call of ours attaches its lane */
            assert_result(
                weir_subscriber_take_until(subscriber, &message, weir_deadline_ns(SECOND_NS / 10)),
                -ETIMEDOUT);
        for (int i = 0; i < count; i++) {
            assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
            if (i == 0) {
                companion_meet(&companion);
                assert_int_equal(kill(companion.pid, SIGKILL), 0);
                companion_end(&companion);
            }
            assert_memory_equal(message.data, &i, sizeof i);
            assert_result(weir_subscriber_release(subscriber, &message), 0);
        }
        if (count == 0) {
            companion_meet(&companion);
            assert_int_equal(kill(companion.pid, SIGKILL), 0);
            companion_end(&companion);
        }
        int64_t before_ns = weir_now_ns();
        assert_result(weir_subscriber_take_until(subscriber, &message, SOON), -EPIPE);
        assert_true(weir_now_ns() - before_ns < SECOND_NS);
        weir_subscriber_close(subscriber);
    }
}

static void subscribe_and_wait(struct companion *companion, void *argument)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, SOON), 0);
    companion_arrive(companion);
}

static void test_killed_subscriber(void **state)
{
    static unsigned char bytes[1000];
    struct weir_publisher *publisher;
    struct companion companion;
    (void)state;
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    companion_start(&companion, subscribe_and_wait, NULL);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    /* It takes one message, and holds it: the ring fills up behind it. */
    int result;
    while ((result = weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, NOW)) == 0)
        ;
    assert_result(result, -EAGAIN);
    companion_meet(&companion);
    assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0,
                                            weir_deadline_ns(SECOND_NS / 10)),
                  -ETIMEDOUT);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, SOON), 0);
    assert_true(weir_now_ns() - before_ns < SECOND_NS);
    assert_result(weir_publisher_wait_taken(publisher, SOON), -EPIPE);
    weir_publisher_close(publisher);
}

#define ROUNDS 500

/* Answers each message of "there" with one on "back"; both sides sleep each time. */
static void echo(struct companion *companion, void *argument)
{
    struct weir_channel_options options = *(struct weir_channel_options *)argument;
    struct weir_subscriber *there;
    struct weir_publisher *back;
    struct weir_message message;
    CHECK_RESULT(weir_subscriber_open(&there, "there", &options), 0);
    CHECK_RESULT(weir_publisher_open(&back, "back", &options), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(back, 1, SOON), 0);
    companion_arrive(companion);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(weir_subscriber_take_until(there, &message, SOON), 0);
        CHECK_RESULT(weir_publisher_send(back, message.data, message.size_bytes), 0);
        CHECK_RESULT(weir_subscriber_release(there, &message), 0);
    }
    CHECK_RESULT(weir_publisher_wait_taken(back, SOON), 0);
    weir_subscriber_close(there);
    weir_publisher_close(back);
}

/* A wake that is lost costs a slice of 200 ms: a tenth of them would exceed the bound. */
static void ping_pong(const struct weir_channel_options *options)
{
    struct weir_channel_options copy = *options;
    struct companion companion;
    struct weir_publisher *there;
    struct weir_subscriber *back;
    struct weir_message message;
    assert_result(weir_publisher_open(&there, "there", options), 0);
    assert_result(weir_subscriber_open(&back, "back", options), 0);
    companion_start(&companion, echo, &copy);
    assert_result(weir_publisher_wait_subscribers(there, 1, SOON), 0);
    /* Attaches the lane of "back", so that its publisher sees us. */
    assert_result(weir_subscriber_take_until(back, &message, weir_deadline_ns(SECOND_NS / 4)),
                  -ETIMEDOUT);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        assert_result(weir_publisher_send(there, &i, sizeof i), 0);
        assert_result(weir_subscriber_take_until(back, &message, SOON), 0);
        assert_memory_equal(message.data, &i, sizeof i);
        assert_result(weir_subscriber_release(back, &message), 0);
    }
    assert_true(weir_now_ns() - before_ns < ROUNDS / 10 * INT64_C(200000000));
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(there);
    weir_subscriber_close(back);
}

static void test_no_wake_is_lost(void **state)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)state;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    ping_pong(&options);
    options.flags = 0;
    ping_pong(&options);
}

static void flood(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    uint64_t words[64];
    int count = *(int *)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    for (int i = 0; i < count; i++) {
        size_t words_now = (size_t)i * 7 % 64 + 1;
        for (size_t k = 0; k < words_now; k++)
            words[k] = (uint64_t)i;
        CHECK_RESULT(weir_publisher_send(publisher, words, words_now * 8), 0);
    }
    weir_publisher_close(publisher); /* at once: what was committed still arrives */
    (void)companion;
}

static void test_flood_of_one_that_leaves_at_once(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 200000;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_start(&companion, flood, &count);
    for (int i = 0; i < count; i++) {
        assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
        const uint64_t *words = message.data;
        assert_int_equal(message.size_bytes, (i * 7 % 64 + 1) * 8);
        for (size_t k = 0; k < message.size_bytes / 8; k++)
            if (words[k] != (uint64_t)i)
                fail_msg("message %d is torn at word %zu", i, k);
        assert_int_equal(message.sequence, i);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
    }
    assert_result(weir_subscriber_take_until(subscriber, &message, SOON), -ENODATA);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(subscriber);
}

/*
 * The descriptor
 */

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    int count = poll(&poll_fd, 1, timeout_ms);
    return count == 1 && poll_fd.revents == POLLIN;
}

static void test_descriptor_tells_exactly(void **state)
{
    struct pair pair;
    struct weir_message message;
    (void)state;
    open_pair(&pair);
    int fd = weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    assert_int_equal(weir_subscriber_fd(pair.subscriber), fd);
    for (int i = 0; i < 200; i++) {
        assert_false(is_readable(fd, 0));
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_result(weir_publisher_send(pair.publisher, &i, sizeof i), 0);
        assert_true(is_readable(fd, 5000));
        assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), 0);
        assert_true(is_readable(fd, 0)); /* one is still there */
        assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
        assert_result(weir_subscriber_receive_until(pair.subscriber, &i, sizeof i, NULL, NOW), 0);
    }
    assert_false(is_readable(fd, 0));
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_true(is_readable(fd, 5000));
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -ENODATA);
    assert_false(is_readable(fd, 0));
    weir_publisher_close(pair.publisher);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_true(is_readable(fd, 5000)); /* a publisher has come: a call attaches its lane */
    assert_result(weir_subscriber_take_until(pair.subscriber, &message, NOW), -EAGAIN);
    assert_false(is_readable(fd, 0));
    close_pair(&pair);
}

static void test_descriptor_and_a_killed_publisher(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 1;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    int fd = weir_subscriber_fd(subscriber);
    companion_start(&companion, publish_and_wait, &count);
    assert_true(is_readable(fd, 20000)); /* it has come */
    assert_result(weir_subscriber_take_until(subscriber, &message, SOON), 0);
    companion_meet(&companion);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    assert_false(is_readable(fd, 0));
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    assert_true(is_readable(fd, 1000));
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPIPE);
    assert_false(is_readable(fd, 0));
    weir_subscriber_close(subscriber);
}

/* Driven by poll alone: a readiness that is lost shows as a poll that times out. */
static void test_descriptor_drives_a_loop(void **state)
{
    struct weir_subscriber *subscriber;
    struct weir_message message;
    struct companion companion;
    int count = 20000, got = 0, result;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    int fd = weir_subscriber_fd(subscriber);
    companion_start(&companion, flood, &count);
    do {
        assert_true(is_readable(fd, 20000));
        while ((result = weir_subscriber_take_until(subscriber, &message, NOW)) == 0) {
            assert_int_equal(message.sequence, got++);
            assert_result(weir_subscriber_release(subscriber, &message), 0);
        }
    } while (result == -EAGAIN);
    assert_result(result, -ENODATA);
    assert_int_equal(got, count);
    assert_int_equal(companion_end(&companion), 0);
    weir_subscriber_close(subscriber);
}

static void close_with_descriptor(void *argument)
{
    struct pair *pair = argument;
    CHECK_RESULT(weir_subscriber_fd(pair->subscriber), -ECHILD);
    weir_subscriber_close(pair->subscriber);
}

static void test_descriptor_and_fork(void **state)
{
    struct pair pair;
    (void)state;
    open_pair(&pair);
    int fd = weir_subscriber_fd(pair.subscriber);
    in_child(close_with_descriptor, &pair);
    assert_result(weir_publisher_send(pair.publisher, "x", 1), 0);
    assert_true(is_readable(fd, 5000));
    close_pair(&pair);
}

int main(void)
{
#define LANE_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, fixture_check_alive)
    const struct CMUnitTest tests[] = {
        LANE_TEST(test_every_size_wraps_and_keeps_order),
        LANE_TEST(test_full_then_room),
        LANE_TEST(test_loans),
        LANE_TEST(test_holds_in_any_order),
        LANE_TEST(test_receive_copies),
        LANE_TEST(test_batches),
        LANE_TEST(test_end_and_the_next_publisher),
        LANE_TEST(test_without_a_subscriber_nothing_waits),
        LANE_TEST(test_one_of_each),
        LANE_TEST(test_receive_waits_for_ever),
        LANE_TEST(test_bad_options),
        LANE_TEST(test_fork),
        LANE_TEST(test_killed_publisher),
        LANE_TEST(test_killed_subscriber),
        LANE_TEST(test_no_wake_is_lost),
        LANE_TEST(test_flood_of_one_that_leaves_at_once),
        LANE_TEST(test_descriptor_tells_exactly),
        LANE_TEST(test_descriptor_and_a_killed_publisher),
        LANE_TEST(test_descriptor_drives_a_loop),
        LANE_TEST(test_descriptor_and_fork),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
