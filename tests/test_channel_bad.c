/* SPDX-License-Identifier: MIT */
/*
 * Goal: one member that writes nonsense, or shows what is no lane, costs the others nothing but
 *       one error; and a child of fork can do neither itself nor its parent harm.
 * Method: the test writes into the ring of a publisher of its own.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

/* The record that comes next is none. */
static void write_nonsense(struct weir_publisher *publisher)
{
    atomic_store(weir__header_at(publisher->ring, publisher->capacity, publisher->tail),
                 UINT64_MAX);
}

enum { GOOD = 3 };

static struct weir_publisher *good[GOOD];

static void open_good(void)
{
    for (int i = 0; i < GOOD; i++)
        good[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
}

static void close_good(void)
{
    for (int i = 0; i < GOOD; i++)
        weir_publisher_close(good[i]);
}

/* Each of the good ones sends some; all of it comes. An error comes expected times. */
static void hear_all(struct weir_subscriber *subscriber, unsigned number, int error,
                     unsigned expected)
{
    unsigned errors = 0, heard = 0;
    for (uint32_t i = 0; i < GOOD; i++)
        for (int j = 0; j < 20; j++)
            assert_int_equal(crowd_send(good[i], i, 300, NOW), 0);
    for (int result = 0; result == 0 || result == error;) {
        result = crowd_take(subscriber, number, NOW);
        errors += result == error;
        heard += result == 0;
        if (result != 0 && result != error)
            assert_result(result, -EAGAIN);
    }
    assert_int_equal(errors, expected);
    assert_int_equal(heard, 20 * GOOD);
}

static void test_nonsense(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    open_good();
    struct weir_publisher *liar = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    hear_all(subscriber, 0, -EUCLEAN, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(crowd_send(liar, 9, 100, NOW), 0);
    write_nonsense(liar);
    struct weir_message held[5];
    for (int i = 0; i < 5; i++)
        assert_result(weir_subscriber_take_until(subscriber, &held[i], NOW), 0);
    hear_all(subscriber, 0, -EUCLEAN, 1);
    hear_all(subscriber, 0, -EUCLEAN, 0);
    for (int i = 0; i < 5; i++) { /* what was held of it stays */
        crowd_note(0, &held[i]);
        assert_result(weir_subscriber_release(subscriber, &held[i]), 0);
    }
    /* Its end is nobody's; the last good one's is told. */
    weir_publisher_close(liar);
    hear_all(subscriber, 0, -EUCLEAN, 0);
    close_good();
    assert_result(crowd_take(subscriber, 0, NOW), -ENODATA);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    weir_subscriber_close(subscriber);
}

/* Ways to read: one message, or two in a burst. */

static int take_one(struct weir_subscriber *subscriber)
{
    struct weir_message message;
    return weir_subscriber_take_until(subscriber, &message, NOW);
}

static int receive_one(struct weir_subscriber *subscriber)
{
    char data[64];
    return weir_subscriber_receive_until(subscriber, data, sizeof data, NULL, NOW);
}

static int take_two(struct weir_subscriber *subscriber)
{
    struct weir_message messages[2];
    return weir_subscriber_take_many_until(subscriber, messages, 2, NOW);
}

static int receive_two(struct weir_subscriber *subscriber)
{
    struct weir_message messages[2];
    char data[128];
    return weir_subscriber_receive_many_until(subscriber, data, sizeof data, messages, 2, NOW);
}

typedef int (*way)(struct weir_subscriber *);

enum { LIKE_BYTES = 24, LIKE_RECORD = 32 };

static void send_some(struct weir_publisher *publisher, size_t size_bytes)
{
    static const char data[LIKE_BYTES];
    assert_result(weir_publisher_send_until(publisher, data, size_bytes, 0, NOW), 0);
}

/* Half a record is left in front of the ring's end, behind count messages that are alike and not read. */
static void come_near_the_end(struct weir_publisher *liar, struct weir_subscriber *subscriber,
                              unsigned count)
{
    uint64_t place = liar->capacity - LIKE_RECORD / 2;
    send_some(liar, LIKE_RECORD / 2 - WEIR__RECORD_HEADER_BYTES);
    assert_result(receive_one(subscriber), 0);
    while (liar->tail < place - count * LIKE_RECORD) {
        send_some(liar, LIKE_BYTES);
        assert_result(receive_one(subscriber), 0);
    }
    for (unsigned i = 0; i < count; i++)
        send_some(liar, LIKE_BYTES);
    assert_int_equal(liar->tail, place);
}

/* Behind count good messages one more like them, with less of the ring left than it says. */
static void beyond_the_end(way read_on, unsigned count, bool has_neighbour)
{
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *liar = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_publisher *neighbour = has_neighbour ? crowd_publisher(WEIR_RING_BYTES_MIN) : NULL;
    assert_result(receive_one(subscriber), -EAGAIN);
    come_near_the_end(liar, subscriber, count);
    atomic_store(weir__header_at(liar->ring, liar->capacity, liar->tail),
                 weir__record_header(LIKE_BYTES, 0, 0));
    for (unsigned left = count; left > 0;) { /* what was good comes first */
        int expected = left < 2 ? 1 : 2;
        assert_int_equal(read_on(subscriber), expected);
        left -= (unsigned)expected;
    }
    assert_result(read_on(subscriber), -EUCLEAN);
    weir_subscriber_close(subscriber);
    weir_publisher_close(neighbour);
    weir_publisher_close(liar);
}

static void test_a_header_like_the_last(void **state)
{
    (void)state;
    for (int has_neighbour = 0; has_neighbour < 2; has_neighbour++) {
        beyond_the_end(take_one, 0, has_neighbour);
        beyond_the_end(receive_one, 0, has_neighbour);
        /* Behind the first message of the first burst; and of one whose reader was behind. */
        for (unsigned count = 1; count <= 3; count += 2) {
            beyond_the_end(take_two, count, has_neighbour);
            beyond_the_end(receive_two, count, has_neighbour);
        }
    }
}

/* One empty message, and pads up to where it stands: no header is 0. */
static void close_the_circle(struct weir_publisher *liar)
{
    for (uint64_t at = WEIR__RECORD_HEADER_BYTES; at < liar->capacity;
         at += WEIR__RECORD_HEADER_BYTES)
        atomic_store(weir__header_at(liar->ring, liar->capacity, at),
                     weir__pad_header(WEIR__RECORD_HEADER_BYTES));
    atomic_store(weir__header_at(liar->ring, liar->capacity, 0), weir__record_header(0, 0, 0));
}

/* A burst comes round once, whatever room there is for messages. */
static void test_records_without_an_end(void **state)
{
    (void)state;
    static struct weir_message messages[1000];
    struct weir_channel_options lossy = WEIR_CHANNEL_OPTIONS;
    char data[8];
    lossy.delivery = WEIR_DELIVERY_LOSSY;
    for (int is_lossy = 0; is_lossy < 2; is_lossy++) {
        struct weir_subscriber *subscriber;
        assert_result(weir_subscriber_open(&subscriber, CHANNEL, is_lossy ? &lossy : NULL), 0);
        struct weir_publisher *liar = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(receive_one(subscriber), -EAGAIN);
        close_the_circle(liar);
        for (int i = 0; i < 3; i++)
            assert_int_equal(weir_subscriber_receive_many_until(subscriber, data, sizeof data,
                                                                messages, ARRAY_SIZE(messages),
                                                                NOW),
                             1);
        assert_int_equal(
            weir_subscriber_take_many_until(subscriber, messages, ARRAY_SIZE(messages), NOW), 1);
        weir_subscriber_close(subscriber);
        weir_publisher_close(liar);
    }
}

static void test_no_lane(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    open_good();
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    struct weir_publisher *stranger = crowd_publisher(WEIR_RING_BYTES_MIN);
    uint64_t magic = stranger->lane->member.magic;
    stranger->lane->member.magic = 1;
    hear_all(subscriber, 0, -EPROTO, 1);
    hear_all(subscriber, 0, -EPROTO, 0);
    stranger->lane->member.magic = magic;
    weir_publisher_close(stranger);
    /* In its place: one as it should be. */
    stranger = crowd_publisher(WEIR_RING_BYTES_MIN);
    hear_all(subscriber, 0, -EPROTO, 0);
    assert_int_equal(crowd_send(stranger, 8, 50, NOW), 0);
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    weir_publisher_close(stranger);
    close_good();
    weir_subscriber_close(subscriber);
}

/*
 * A subscriber whose cursor cannot be is an error of the publisher whose it is, as long as it
 * stands; the other publishers go on.
 */
static void test_cursor(void **state)
{
    (void)state;
    struct weir_subscriber *a = crowd_subscriber(), *b = crowd_subscriber();
    open_good();
    assert_result(crowd_take(a, 0, NOW), -EAGAIN);
    assert_result(crowd_take(b, 1, NOW), -EAGAIN);
    uint32_t line = weir__page_epoch_line(WEIR_CHANNEL_MEMBERS_DEFAULT, b->side.number);
    struct weir__entry_shm *entry =
        (struct weir__entry_shm *)(uintptr_t)weir__page_entry(b->page, line, good[1]->side.number);
    uint64_t truth = atomic_load(&entry->cursor);
    atomic_store(&entry->cursor, truth + 8);
    assert_result(weir_publisher_wait_taken(good[1], NOW), -EUCLEAN);
    assert_result(weir_publisher_wait_subscribers(good[1], 2, NOW), -EUCLEAN);
    assert_result(weir_publisher_wait_subscribers(good[0], 2, NOW), 0);
    assert_int_equal(crowd_send(good[0], 0, 300, NOW), 0);
    assert_result(crowd_take(a, 0, NOW), 0);
    assert_result(crowd_take(b, 1, NOW), 0);
    atomic_store(&entry->cursor, truth);
    hear_all(a, 0, -EUCLEAN, 0);
    close_good();
    weir_subscriber_close(a);
    weir_subscriber_close(b);
}

static void use_in_a_child(void *argument)
{
    struct weir_subscriber *subscriber = argument;
    struct weir_message message;
    struct weir_publisher *own_publisher;
    struct weir_subscriber *own;
    unsigned char bytes[64];
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, bytes, 64, NULL, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_wait_publisher(subscriber, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_fd(subscriber), -ECHILD);
    for (int i = 0; i < GOOD; i++) {
        CHECK_RESULT(weir_publisher_send_until(good[i], "no", 2, 0, NOW), -ECHILD);
        CHECK_RESULT(weir_publisher_wait_subscribers(good[i], 0, NOW), -ECHILD);
        CHECK_RESULT(weir_publisher_wait_taken(good[i], NOW), -ECHILD);
        CHECK_RESULT(weir_publisher_end(good[i]), -ECHILD);
        CHECK_RESULT(weir_publisher_fd(good[i]), -ECHILD);
    }
    /* Its own are others than its parent's. */
    CHECK_RESULT(weir_publisher_open(&own_publisher, "child", NULL), 0);
    CHECK_RESULT(weir_subscriber_open(&own, "child", NULL), 0);
    CHECK_RESULT(weir_publisher_send(own_publisher, "own", 4), 0);
    CHECK_RESULT(weir_subscriber_receive(own, bytes, sizeof bytes), 0);
    weir_subscriber_close(own);
    weir_publisher_close(own_publisher);
    close_good();
    weir_subscriber_close(subscriber);
}

static void test_fork(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_message held;
    open_good();
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    assert_true(weir_publisher_fd(good[0]) >= 0);
    hear_all(subscriber, 0, -EUCLEAN, 0);
    assert_int_equal(crowd_send(good[1], 1, 300, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &held, NOW), 0);
    crowd_end(crowd_fork(use_in_a_child, subscriber));
    crowd_note(0, &held);
    assert_result(weir_publisher_wait_taken(good[1], NOW), -EAGAIN);
    assert_result(weir_subscriber_release(subscriber, &held), 0);
    assert_result(weir_publisher_wait_taken(good[1], NOW), 0);
    hear_all(subscriber, 0, -EUCLEAN, 0);
    close_good();
    assert_result(crowd_take(subscriber, 0, NOW), -ENODATA);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_nonsense),
        CROWD_TEST(test_a_header_like_the_last),
        CROWD_TEST(test_records_without_an_end),
        CROWD_TEST(test_no_lane),
        CROWD_TEST(test_cursor),
        CROWD_TEST(test_fork),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
