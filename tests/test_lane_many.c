/* SPDX-License-Identifier: MIT */
/*
 * Goal: the calls for many messages do what as many calls for one would do, in one commit; they
 *       say how many, and what they refuse changes nothing.
 * Method: both sides in one process, messages that are checked to the byte, in rings that wrap
 *       and fill; a second process where one side sleeps, or is a child of fork.
 */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/channel.h>

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(INT64_C(20000000000))

enum { MANY = 40, MESSAGE_BYTES_MAX = 2000, HOLDS = WEIR_HOLDS_MAX };

struct pair {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
};

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN };

static void open_pair(struct pair *pair)
{
    assert_result(weir_publisher_open(&pair->publisher, "many", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair->subscriber, "many", NULL), 0);
}

static void close_pair(struct pair *pair)
{
    weir_publisher_close(pair->publisher);
    weir_subscriber_close(pair->subscriber);
}

/* Of message n: its size, 0 among them, its type and each of its bytes. */
static size_t size_of(unsigned n)
{
    return n % 7 == 3 ? 0 : n % 5 == 1 ? n * 131 % MESSAGE_BYTES_MAX : n * 13 % 90;
}

static uint32_t type_of(unsigned n)
{
    return n * 77 % 65536;
}

static void fill(void *bytes, size_t size_bytes, unsigned n)
{
    for (size_t i = 0; i < size_bytes; i++)
        ((unsigned char *)bytes)[i] = (unsigned char)(n * 31 + i * 7 + (i >> 8));
}

static void expect(const struct weir_message *message, unsigned n)
{
    unsigned char bytes[MESSAGE_BYTES_MAX];
    assert_int_equal(message->sequence, n);
    assert_int_equal(message->size_bytes, size_of(n));
    assert_int_equal(message->type, type_of(n));
    assert_int_equal((uintptr_t)message->data % 8, 0);
    fill(bytes, message->size_bytes, n);
    assert_memory_equal(message->data, bytes, message->size_bytes);
}

/* Message n and those behind it, with their bytes. */
static const struct weir_outgoing *outgoing(unsigned n, unsigned count)
{
    static unsigned char bytes[MANY][MESSAGE_BYTES_MAX];
    static struct weir_outgoing messages[MANY];
    for (unsigned i = 0; i < count; i++) {
        fill(bytes[i], size_of(n + i), n + i);
        messages[i] = (struct weir_outgoing){ size_of(n + i) ? bytes[i] : NULL, size_of(n + i),
                                              type_of(n + i) };
    }
    return messages;
}

static void take_all(struct weir_subscriber *subscriber, unsigned *n, unsigned end)
{
    struct weir_message messages[HOLDS];
    while (*n < end) {
        int count = weir_subscriber_take_many_until(subscriber, messages, HOLDS, NOW);
        assert_true(count > 0);
        for (int i = 0; i < count; i++)
            expect(&messages[i], (*n)++);
        assert_result(weir_subscriber_release_many(subscriber, messages, (size_t)count), 0);
    }
    assert_result(weir_subscriber_take_many_until(subscriber, messages, 1, NOW), -EAGAIN);
}

static void test_every_size_in_every_count(void **state)
{
    static unsigned char room[MANY * MESSAGE_BYTES_MAX];
    struct weir_message messages[MANY];
    struct pair pair;
    unsigned sent = 0, got = 0;
    (void)state;
    open_pair(&pair);
    for (unsigned round = 0; round < 2000; round++) { /* some twenty laps */
        unsigned count = 1 + round % MANY;
        assert_result(
            weir_publisher_send_many_until(pair.publisher, outgoing(sent, count), count, NOW),
            (int)count);
        sent += count;
        if (round % 2) {
            take_all(pair.subscriber, &got, sent);
            continue;
        }
        int here = weir_subscriber_receive_many_until(pair.subscriber, room, sizeof room, messages,
                                                      count + 1 <= MANY ? count + 1 : MANY, NOW);
        assert_result(here, (int)count); /* all that are there */
        for (unsigned i = 0; i < count; i++)
            expect(&messages[i], got++);
    }
    close_pair(&pair);
}

/* Bytes that a failing call must not have touched are looked at by whoever calls next. */
static void test_a_full_ring_takes_some(void **state)
{
    struct weir_outgoing messages[100];
    static unsigned char bytes[1000];
    struct weir_message taken[HOLDS];
    struct pair pair;
    (void)state;
    open_pair(&pair);
    for (unsigned i = 0; i < 100; i++)
        messages[i] = (struct weir_outgoing){ bytes, sizeof bytes, i };
    for (unsigned lap = 0; lap < 30; lap++) {
        int sent = weir_publisher_send_many_until(pair.publisher, messages, 100, NOW);
        assert_in_range(sent, 60, 65);
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
    close_pair(&pair);
}

static void test_one_commit(void **state)
{
    struct weir_message messages[MANY];
    struct pair pair;
    void *places[4];
    (void)state;
    open_pair(&pair);
    assert_result(weir_publisher_batch_begin(pair.publisher), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, outgoing(0, 3), 3, NOW), 3);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 8, places, 4, NOW), 4);
    assert_result(weir_publisher_commit_many(pair.publisher, NULL, NULL, 4), 0);
    assert_result(weir_publisher_send_many_until(pair.publisher, outgoing(7, 3), 3, NOW), 3);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), -EAGAIN);
    assert_result(weir_publisher_batch_begin(pair.publisher), -EINVAL); /* it is still open */
    assert_result(weir_publisher_batch_end(pair.publisher), 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), 10);
    for (unsigned n = 0; n < 10; n++)
        if (n < 3 || n >= 7)
            expect(&messages[n], n);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 10), 0);
    /* None is left open by a call that makes its own. */
    assert_result(weir_publisher_send_many_until(pair.publisher, outgoing(10, 1), 1, NOW), 1);
    assert_result(weir_publisher_batch_end(pair.publisher), -EINVAL);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, MANY, NOW), 1);
    expect(&messages[0], 10);
    close_pair(&pair);
}

static void test_sends_that_are_refused(void **state)
{
    struct weir_outgoing messages[3] = { { "a", 1, 0 }, { "b", 1, 0 }, { "c", 1, 65536 } };
    struct weir_message message;
    struct pair pair;
    void *loan;
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

/* Of sizes below what was asked for: they are closed up. Some at the end are not used. */
static void test_loans_of_many(void **state)
{
    enum { PLACES = 12 };
    struct pair pair;
    unsigned sent = 0, got = 0, short_loans = 0;
    (void)state;
    open_pair(&pair);
    for (unsigned round = 0; round < 2000; round++) {
        void *places[PLACES];
        size_t sizes[PLACES];
        uint32_t types[PLACES];
        int count =
            weir_publisher_loan_many_until(pair.publisher, MESSAGE_BYTES_MAX, places, PLACES, NOW);
        assert_in_range(count, 1, PLACES);
        short_loans += count < PLACES;
        for (int i = 0; i < count; i++) {
            sizes[i] = size_of(sent + (unsigned)i);
            types[i] = type_of(sent + (unsigned)i);
            memset(places[i], 0xee, MESSAGE_BYTES_MAX);
            fill(places[i], sizes[i], sent + (unsigned)i);
            assert_int_equal((uintptr_t)places[i] % 8, 0);
        }
        size_t used = (size_t)count - round % (unsigned)count;
        assert_result(weir_publisher_commit_many(pair.publisher, sizes, types, used), 0);
        sent += (unsigned)used;
        take_all(pair.subscriber, &got, sent);
    }
    print_message("           %u loans cut short, %u messages\n", short_loans, sent);
    assert_true(short_loans > 20 && short_loans < 1900 && sent > 5000);
    close_pair(&pair);
}

static void test_places_that_are_used_in_full(void **state)
{
    struct weir_message messages[8];
    struct pair pair;
    void *places[8];
    uint32_t types[8];
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

/* Lengths that no message has, those first that are 0 with their header: at each place of a ring. */
static void test_loans_of_nonsense(void **state)
{
    static const unsigned char data[1000];
    struct pair pair;
    void *places[4];
    unsigned sent = 0;
    (void)state;
    open_pair(&pair);
    do {
        for (size_t less = 15; less-- > 0;) /* the first calls find the room that is known */
            assert_result(
                weir_publisher_loan_many_until(pair.publisher, SIZE_MAX - less, places, 4, NOW),
                -EMSGSIZE);
        sent++;
    } while (weir_publisher_send_until(pair.publisher, data, sizeof data, 0, NOW) == 0);
    assert_true(sent > 50);
    close_pair(&pair);
}

static void test_loans_that_are_refused(void **state)
{
    const size_t large[2] = { 8, 17 }, sizes[2] = { 16, 0 };
    const uint32_t types[2] = { 0, 65536 };
    struct weir_message messages[4];
    struct pair pair;
    void *places[4];
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

/* What was seen long ago is looked at again before a loan is cut short; not within a batch. */
static void test_room_is_looked_for(void **state)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    struct weir_message message;
    struct pair pair;
    void *places[100];
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

static void send_numbers(struct weir_publisher *publisher, unsigned begin, unsigned end)
{
    for (unsigned n = begin; n < end; n++)
        assert_result(weir_publisher_send_until(publisher, &n, sizeof n, 0, NOW), 0);
}

static void test_holds_limit_a_take(void **state)
{
    struct weir_message messages[HOLDS + 10], more[HOLDS], one;
    struct pair pair;
    (void)state;
    open_pair(&pair);
    send_numbers(pair.publisher, 0, HOLDS + 20);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(pair.subscriber, &one, NOW), 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, HOLDS + 10, NOW),
                  HOLDS - 1);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, more, 1, SOON), -ENOBUFS);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[5], 3), 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, more, HOLDS, NOW), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(more[i].sequence, HOLDS + i);
    /* Not held, not held any more, twice: none of the others is released. */
    struct weir_message wrong[3] = { messages[0], messages[1], messages[5] };
    assert_result(weir_subscriber_release_many(pair.subscriber, wrong, 3), -EINVAL);
    wrong[2] = messages[0];
    assert_result(weir_subscriber_release_many(pair.subscriber, wrong, 3), -EINVAL);
    wrong[2] = one;
    wrong[2].session++;
    assert_result(weir_subscriber_release_many(pair.subscriber, wrong, 3), -EINVAL);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, more, 1, NOW), -ENOBUFS);
    wrong[2] = one; /* the newest first, the oldest last */
    assert_result(weir_subscriber_release_many(pair.subscriber, wrong, 3), 0);
    assert_result(weir_subscriber_release_many(pair.subscriber, wrong, 0), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &messages[0]), -EINVAL);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[2], 3), 0);
    assert_result(weir_subscriber_release(pair.subscriber, &messages[8]), 0);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[9], HOLDS - 10), 0);
    assert_result(weir_subscriber_release_many(pair.subscriber, more, 3), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, HOLDS, NOW), 17);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 17), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    close_pair(&pair);
}

/* What is held in front keeps its place, whatever is released behind it. */
static void test_the_oldest_hold_keeps_its_place(void **state)
{
    static unsigned char bytes[8000];
    struct weir_message messages[HOLDS];
    struct pair pair;
    unsigned sent = 0;
    (void)state;
    open_pair(&pair);
    for (; weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW) == 0; sent++)
        continue;
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, HOLDS, NOW),
                  (int)sent);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[1], sent - 1), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), -EAGAIN);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 1), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), 0);
    close_pair(&pair);
}

/* Of two publishers, the former gone. */
static void test_holds_of_two_lanes(void **state)
{
    struct weir_message messages[8], none;
    struct pair pair;
    (void)state;
    open_pair(&pair);
    send_numbers(pair.publisher, 0, 4);
    weir_publisher_close(pair.publisher);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 8, NOW), 4);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &none, 1, NOW), -ENODATA);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 1), 0);
    assert_result(weir_publisher_open(&pair.publisher, "many", &small_ring), 0);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, SOON), 0);
    send_numbers(pair.publisher, 4, 6);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &messages[4], 4, NOW), 2);
    assert_true(messages[4].session != messages[3].session);
    for (unsigned i = 1; i < 6; i++)
        assert_memory_equal(messages[i].data, &i, sizeof i);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[1], 5), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    assert_int_equal(segments_now() - fixture_segments(), 3); /* directory, lane, page */
    close_pair(&pair);
}

static void test_room_limits_a_receive(void **state)
{
    unsigned char room[64];
    struct weir_message messages[8];
    struct pair pair;
    (void)state;
    open_pair(&pair);
    const struct weir_outgoing sent[4] = {
        { "123456789", 9, 1 }, { "", 0, 2 }, { "abcdefgh", 8, 3 }, { room, 64, 4 }
    };
    assert_result(weir_publisher_send_many_until(pair.publisher, sent, 4, NOW), 4);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 0, messages, 0, NOW),
                  0);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 8, messages, 8, NOW),
                  -EMSGSIZE);
    assert_int_equal(messages[0].size_bytes, 9);
    memset(room, 0xaa, sizeof room);
    /* The second one ends where the room does; the third needs a byte more than there is. */
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 23, messages, 8, NOW),
                  2);
    assert_ptr_equal(messages[1].data, room + 16);
    assert_memory_equal(room, "123456789", 9);
    assert_true(all_bytes(room + 16, sizeof room - 16, 0xaa));
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 8, messages, 8, NOW),
                  1);
    assert_memory_equal(room, "abcdefgh", 8);
    assert_int_equal(messages[0].type, 3);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 63, messages, 8, NOW),
                  -EMSGSIZE);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 64, messages, 8, NOW),
                  1);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 64, messages, 8, NOW),
                  -EAGAIN);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 64, messages, 8,
                                                     weir_deadline_ns(1000)),
                  -ETIMEDOUT);
    assert_result(weir_publisher_send_many_until(pair.publisher, sent, 2, NOW), 2);
    assert_result(weir_publisher_end(pair.publisher), 0);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 64, messages, 8, SOON),
                  2);
    assert_result(weir_subscriber_receive_many_until(pair.subscriber, room, 64, messages, 8, SOON),
                  -ENODATA);
    close_pair(&pair);
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
    CHECK_RESULT(weir_subscriber_open(&subscriber, "many", &options), 0);
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
    assert_result(weir_publisher_open(&publisher, "many", &options), 0);
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

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    return poll(&poll_fd, 1, timeout_ms) == 1 && poll_fd.revents == POLLIN;
}

static void test_descriptors(void **state)
{
    static unsigned char bytes[8000];
    struct weir_outgoing messages[20];
    struct weir_message taken[8];
    struct pair pair;
    (void)state;
    open_pair(&pair);
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
    close_pair(&pair);
}

static void use_in_child(void *argument)
{
    struct pair *pair = argument;
    struct weir_message message;
    uint64_t room;
    void *place;
    CHECK_RESULT(weir_publisher_send_many_until(pair->publisher, outgoing(0, 1), 1, NOW), -ECHILD);
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
    open_pair(&pair);
    assert_result(weir_publisher_send_many_until(pair.publisher, outgoing(0, 2), 2, NOW), 2);
    assert_result(weir_publisher_loan_many_until(pair.publisher, 8, places, 2, NOW), 2);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 1, NOW), 1);
    in_child(use_in_child, &pair);
    assert_result(weir_publisher_commit_many(pair.publisher, NULL, NULL, 2), 0);
    expect(&messages[0], 0);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &messages[1], 3, NOW), 3);
    expect(&messages[1], 1);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 4), 0);
    close_pair(&pair);
}

int main(void)
{
#define MANY_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, fixture_check_alive)
    const struct CMUnitTest tests[] = {
        MANY_TEST(test_every_size_in_every_count),
        MANY_TEST(test_a_full_ring_takes_some),
        MANY_TEST(test_one_commit),
        MANY_TEST(test_sends_that_are_refused),
        MANY_TEST(test_loans_of_many),
        MANY_TEST(test_places_that_are_used_in_full),
        MANY_TEST(test_loans_of_nonsense),
        MANY_TEST(test_loans_that_are_refused),
        MANY_TEST(test_room_is_looked_for),
        MANY_TEST(test_holds_limit_a_take),
        MANY_TEST(test_the_oldest_hold_keeps_its_place),
        MANY_TEST(test_holds_of_two_lanes),
        MANY_TEST(test_room_limits_a_receive),
        MANY_TEST(test_bursts_between_two_that_sleep),
        MANY_TEST(test_bursts_between_two_that_spin_first),
        MANY_TEST(test_descriptors),
        MANY_TEST(test_fork),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
