/* SPDX-License-Identifier: MIT */
/*
 * Goal: who comes late starts with the oldest message that is kept, or so many back, exactly; of
 *       a reliable one nothing is lost from there on, and none is held up for longer than it joins.
 * Method: rings that are filled by nobody's asking, in many shapes; then joiners, one after
 *       another, beside a publisher at full speed, that check every byte from their first message on.
 */
#include "fixture.h"
#include "lossy.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* BATCH: as many may be sent, and held back. */
enum {
    BATCH = 40,
    RING = 64 << 10,
    LITTLE = 104 + 8 /* of the ring, for a message of 104 bytes */
};

static void send_alike(struct weir_publisher *publisher, uint64_t count)
{
    for (; count > 0; count--)
        CHECK_RESULT(crowd_send(publisher, 0, 104, weir_deadline_ns(20 * SECOND_NS)), 0);
}

/* What comes first to one that opens so: all from there on to the last is read, and none missed. */
static uint64_t first_of(enum weir_delivery delivery, enum weir_start start, uint64_t back)
{
    struct books books = { .subscriber = lossy_open(delivery, start, back) };
    struct weir_message message;
    uint64_t sent = atomic_load(&board->sure[0]);
    int result = weir_subscriber_take_until(books.subscriber, &message, NOW);
    if (result != 0) {
        assert_int_equal(result, -EAGAIN);
        weir_subscriber_close(books.subscriber);
        return sent;
    }
    assert_int_equal(message.missed, 0);
    assert_result(weir_subscriber_release(books.subscriber, &message), 0);
    books.next = message.sequence + 1;
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_int_equal(books.missed, 0);
    assert_int_equal(books.next, sent);
    weir_subscriber_close(books.subscriber);
    return message.sequence;
}

/* As many messages as are asked for, or as are kept; and those are three quarters of the ring. */
static void expect_history(uint64_t sent)
{
    static const enum weir_delivery deliveries[] = { WEIR_DELIVERY_RELIABLE, WEIR_DELIVERY_LOSSY };
    for (unsigned i = 0; i < 2; i++) {
        uint64_t oldest = first_of(deliveries[i], WEIR_START_OLDEST, 0);
        assert_true(sent - oldest == sent || (sent - oldest) * LITTLE >= RING / 4 * 3);
        assert_int_equal(first_of(deliveries[i], WEIR_START_NOW, 0), sent);
        assert_int_equal(first_of(deliveries[i], WEIR_START_BACK, 0), sent);
        assert_int_equal(first_of(deliveries[i], WEIR_START_BACK, UINT64_MAX), oldest);
        for (uint64_t back = 1; back < sent - oldest; back += 1 + back / 3)
            assert_int_equal(first_of(deliveries[i], WEIR_START_BACK, back), sent - back);
    }
}

static void test_exactly_so_many(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    uint64_t seed = 4, sent = 0;
    expect_history(0);
    for (int round = 0; round < 40; round++) {
        uint64_t count = 1 + crowd_draw(&seed, round < 20 ? 60 : 700);
        send_alike(publisher, count);
        sent += count;
        expect_history(sent);
    }
    weir_publisher_close(publisher);
}

/* A ring that is full all the time, of which there is room for one message now and then. */
static void test_behind_a_full_ring(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *slow = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    struct weir_message message;
    for (int i = 0; i < 2000; i++) {
        while (crowd_send(publisher, 0, 104, NOW) == 0)
            ;
        assert_result(weir_subscriber_take_until(slow, &message, NOW), 0);
        assert_result(weir_subscriber_release(slow, &message), 0);
    }
    weir_subscriber_close(slow);
    uint64_t sent = atomic_load(&board->sure[0]);
    uint64_t oldest = first_of(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0);
    assert_true((sent - oldest) * LITTLE >= RING / 4 * 3);
    weir_publisher_close(publisher);
}

/* Each loan of the longest message reserves far ahead, and leaves a place to begin at: not all of the last ones. */
static void test_behind_loans_that_were_abandoned(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    send_alike(publisher, 2 * RING / LITTLE);
    for (int i = 0; i < 40; i++) {
        void *data;
        assert_result(weir_publisher_loan_until(publisher, RING / 4 - 8, &data, NOW), 0);
        weir_publisher_abandon(publisher);
        send_alike(publisher, 1);
    }
    uint64_t sent = atomic_load(&board->sure[0]);
    uint64_t oldest = first_of(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0);
    assert_true((sent - oldest) * LITTLE > RING / 4); /* as for the longest */
    weir_publisher_close(publisher);
}

/* What a batch holds back is not there yet; a joiner in its midst begins before it. */
static void test_in_a_batch(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    send_alike(publisher, 900);
    for (int round = 0; round < 20; round++) {
        assert_result(weir_publisher_batch_begin(publisher), 0);
        send_alike(publisher, 50);
        struct books books = { .subscriber =
                                   lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_BACK, 10) };
        struct weir_message message;
        assert_result(weir_subscriber_take_until(books.subscriber, &message, NOW), 0);
        assert_result(weir_subscriber_release(books.subscriber, &message), 0);
        books.next = message.sequence + 1;
        assert_result(weir_publisher_batch_end(publisher), 0);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
        assert_int_equal(books.next, atomic_load(&board->sure[0]));
        assert_int_equal(books.missed, 0);
        weir_subscriber_close(books.subscriber);
    }
    weir_publisher_close(publisher);
}

static void test_of_each_publisher(void **state)
{
    (void)state;
    struct weir_publisher *publishers[3];
    uint64_t counts[3] = { 0, 0, 0 };
    struct weir_message message;
    for (unsigned i = 0; i < 3; i++) {
        publishers[i] = lossy_publisher(RING, 0);
        for (unsigned k = 0; k < 1000 * i + 5; k++)
            assert_result(crowd_send(publishers[i], i, 104, NOW), 0);
    }
    struct weir_subscriber *subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_BACK, 20);
    while (weir_subscriber_take_until(subscriber, &message, NOW) == 0) {
        uint32_t who;
        uint64_t number;
        crowd_read(&message, &who, &number);
        counts[who]++;
        assert_int_equal(number, message.sequence);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
    }
    assert_int_equal(counts[0], 5);
    assert_int_equal(counts[1], 20);
    assert_int_equal(counts[2], 20);
    weir_subscriber_close(subscriber);
    for (unsigned i = 0; i < 3; i++)
        weir_publisher_close(publishers[i]);
}

/* The longest messages leave a quarter of the ring at least. */
static void test_long_messages(void **state)
{
    (void)state;
    static const unsigned char bytes[RING / 4];
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    uint64_t seed = 31;
    for (uint64_t sent = 1; sent < 300; sent++) {
        struct weir_message message;
        uint64_t kept = 0;
        assert_result(weir_publisher_send_until(publisher, bytes,
                                                crowd_draw(&seed, RING / 4 - 8 + 1), 0, NOW),
                      0);
        struct weir_subscriber *subscriber =
            lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0);
        bool is_first = true, is_all = false;
        while (weir_subscriber_take_until(subscriber, &message, NOW) == 0) {
            is_all |= is_first && message.sequence == 0;
            is_first = false;
            kept += message.size_bytes + 8;
            assert_int_equal(message.missed, 0);
            assert_result(weir_subscriber_release(subscriber, &message), 0);
        }
        assert_int_equal(message.sequence, sent - 1);
        assert_true(is_all || kept >= RING / 4 - 16);
        weir_subscriber_close(subscriber);
    }
    weir_publisher_close(publisher);
}

/*
 * Records of so many bytes, header included, of which more than so much of the ring is kept; a pad
 * is in it. One who has read all leaves room for all that is reserved.
 */
static void expect_kept(uint64_t record, uint64_t kept)
{
    static const unsigned char bytes[RING / 4];
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *first = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    struct weir_message message;
    for (uint64_t sent = 1; sent <= 100; sent++) {
        assert_result(weir_publisher_send_until(publisher, bytes, record - 8, 0, NOW), 0);
        assert_result(weir_subscriber_take_until(first, &message, NOW), 0);
        assert_result(weir_subscriber_release(first, &message), 0);
        struct weir_subscriber *subscriber =
            lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
        assert_true(message.sequence == 0 ||
                    (sent - message.sequence) * record + RING % record > kept);
        weir_subscriber_close(subscriber);
    }
    weir_subscriber_close(first);
    weir_publisher_close(publisher);
}

/* What is reserved ahead of long messages, of which two are just more than a stride, leaves what is promised. */
static void test_of_two_that_are_a_stride(void **state)
{
    (void)state;
    expect_kept(RING / 16 - 8, RING / 4 * 3);
    expect_kept(RING / 16, RING / 4 * 3);
    expect_kept(RING / 16 + 8, RING - 4 * (RING / 16 + 8) - 8);
    expect_kept(RING / 16 + RING / 256, RING - 4 * (RING / 16 + RING / 256) - 8);
    expect_kept(RING / 16 + RING / 128, RING - RING / 8 - 2 * (RING / 16 + RING / 128));
    expect_kept(RING / 8, RING / 8 * 5);
    expect_kept(RING / 8 + 8, RING - 3 * (RING / 8 + 8));
}

/* Whether a message has the bytes that it was sent with: all are its number. */
static void expect_number(const struct weir_message *message, uint64_t number)
{
    const unsigned char *data = message->data;
    assert_int_equal(message->sequence, number);
    assert_int_equal(message->missed, 0);
    for (size_t i = 0; i < message->size_bytes; i++)
        assert_int_equal(data[i], number & 255);
}

/*
 * Beside one who has read all, and so leaves much room, another begins with the oldest message. What
 * is sent next needs a further stride, now and then: it must not be where that one begins.
 */
static void test_begins_where_a_stride_would(void **state)
{
    static unsigned char bytes[RING / 4];
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *first = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    uint64_t seed = 12, sent = 0, refused = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        struct weir_message message;
        struct weir_subscriber *second = NULL;
        if (i % 3 == 2)
            second = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0);
        memset(bytes, (int)(sent & 255), sizeof bytes);
        int result =
            weir_publisher_send_until(publisher, bytes, crowd_draw(&seed, RING / 4 - 7), 0, NOW);
        assert_true(result == 0 || (result == -EAGAIN && second));
        refused += result != 0;
        sent += result == 0;
        while (weir_subscriber_take_until(first, &message, NOW) == 0) {
            expect_number(&message, sent - 1);
            assert_result(weir_subscriber_release(first, &message), 0);
        }
        if (!second)
            continue;
        assert_result(weir_subscriber_take_until(second, &message, NOW), 0);
        for (uint64_t number = message.sequence; number < sent; number++) {
            expect_number(&message, number);
            assert_result(weir_subscriber_release(second, &message), 0);
            assert_result(weir_subscriber_take_until(second, &message, NOW),
                          number + 1 < sent ? 0 : -EAGAIN);
        }
        weir_subscriber_close(second);
    }
    assert_true(refused > 10 && refused < 600);
    weir_subscriber_close(first);
    weir_publisher_close(publisher);
}

static size_t draw_size(uint64_t *seed)
{
    return 16 + crowd_draw(seed, crowd_draw(seed, 30) == 0 ? CROWD_BYTES_MAX - 15 : 200);
}

/* Until the test is over, with and without batches. */
static void publish(void *argument)
{
    uint64_t seed = 5;
    (void)argument;
    struct weir_publisher *publisher = crowd_publisher(RING);
    atomic_fetch_add(&board->ready, 1);
    while (!crowd_is_over()) {
        bool is_batch = crowd_draw(&seed, 4) == 0;
        if (is_batch)
            CHECK_RESULT(weir_publisher_batch_begin(publisher), 0);
        for (uint64_t count = crowd_draw(&seed, BATCH); count > 0; count--)
            CHECK_RESULT(
                crowd_send(publisher, 0, draw_size(&seed), weir_deadline_ns(20 * SECOND_NS)), 0);
        if (is_batch)
            CHECK_RESULT(weir_publisher_batch_end(publisher), 0);
    }
    weir_publisher_close(publisher);
}

/* Joins, checks some hundred messages from wherever it begins, and leaves. */
static void join_and_read(enum weir_delivery delivery, enum weir_start start, uint64_t back)
{
    uint64_t before = atomic_load(&board->sure[0]);
    struct books books = { .subscriber = lossy_open(delivery, start, back) };
    struct weir_message message;
    assert_result(
        weir_subscriber_take_until(books.subscriber, &message, weir_deadline_ns(20 * SECOND_NS)),
        0);
    uint32_t who;
    uint64_t number;
    if (delivery == WEIR_DELIVERY_RELIABLE) { /* else it may be overwritten under us */
        crowd_read(&message, &who, &number);
        assert_int_equal(number, message.sequence);
        assert_true(start != WEIR_START_BACK || message.sequence + back + BATCH >= before);
    }
    assert_result(weir_subscriber_release(books.subscriber, &message), 0);
    books.next = message.sequence + 1;
    while (books.received < 300)
        assert_int_equal(lossy_read(&books, weir_deadline_ns(20 * SECOND_NS)), 0);
    assert_true(delivery == WEIR_DELIVERY_LOSSY || books.missed == 0);
    weir_subscriber_close(books.subscriber);
}

static void test_joiners_beside_a_stream(void **state)
{
    (void)state;
    uint64_t seed = 8;
    pid_t publisher = crowd_fork(publish, NULL);
    crowd_await_ready(1);
    for (int i = 0; i < (SANITIZED ? 60 : 600); i++)
        join_and_read(crowd_draw(&seed, 3) ? WEIR_DELIVERY_RELIABLE : WEIR_DELIVERY_LOSSY,
                      (enum weir_start)crowd_draw(&seed, 3), crowd_draw(&seed, 300));
    atomic_store(&board->is_over, 1);
    crowd_end(publisher);
}

/*
 * The publisher is killed: what it has committed is read from the oldest on, while it is listed, and
 * somebody else still has its ring, who keeps it.
 */
static void test_of_the_dead(void **state)
{
    (void)state;
    struct weir_subscriber *keeper;
    pid_t publisher = crowd_fork(publish, NULL);
    crowd_await(&board->sure[0], 3000);
    keeper = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    crowd_kill(publisher);
    struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, 0) };
    struct weir_message message;
    assert_result(weir_subscriber_take_until(books.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(books.subscriber, &message), 0);
    books.next = message.sequence + 1;
    int result;
    do
        result = lossy_read(&books, weir_deadline_ns(20 * SECOND_NS));
    while (result == 0);
    assert_int_equal(result, -EPIPE);
    assert_in_range(books.next, 3000 - BATCH, atomic_load(&board->at_most[0]));
    assert_int_equal(books.missed, 0);
    weir_subscriber_close(books.subscriber);
    weir_subscriber_close(keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_exactly_so_many),
        CROWD_TEST(test_behind_a_full_ring),
        CROWD_TEST(test_behind_loans_that_were_abandoned),
        CROWD_TEST(test_begins_where_a_stride_would),
        CROWD_TEST(test_in_a_batch),
        CROWD_TEST(test_of_each_publisher),
        CROWD_TEST(test_long_messages),
        CROWD_TEST(test_joiners_beside_a_stream),
        CROWD_TEST(test_of_the_dead),
        CROWD_TEST(test_of_two_that_are_a_stride),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
