/* SPDX-License-Identifier: MIT */
/*
 * Goal: a take, a receive or a release of many says how many, whatever limits it: the holds, their
 *       order, the lanes that they are of, the room.
 * Method: both sides in one process; each limit met exactly, and overstepped.
 */
#include "many.h"

#include <errno.h>
#include <string.h>

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
    pair_open(&pair);
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
    pair_close(&pair);
}

/* What is held in front keeps its place, whatever is released behind it. */
static void test_the_oldest_hold_keeps_its_place(void **state)
{
    static unsigned char bytes[8000];
    struct weir_message messages[HOLDS];
    struct pair pair;
    unsigned sent = 0;
    (void)state;
    pair_open(&pair);
    for (; weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW) == 0; sent++)
        continue;
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, HOLDS, NOW),
                  (int)sent);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[1], sent - 1), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), -EAGAIN);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 1), 0);
    assert_result(weir_publisher_send_until(pair.publisher, bytes, sizeof bytes, 0, NOW), 0);
    pair_close(&pair);
}

/* Of two publishers, the former gone. */
static void test_holds_of_two_lanes(void **state)
{
    struct weir_message messages[8], none;
    struct pair pair;
    (void)state;
    pair_open(&pair);
    send_numbers(pair.publisher, 0, 4);
    weir_publisher_close(pair.publisher);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, messages, 8, NOW), 4);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &none, 1, NOW), -ENODATA);
    assert_result(weir_subscriber_release_many(pair.subscriber, messages, 1), 0);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, SOON), 0);
    send_numbers(pair.publisher, 4, 6);
    assert_result(weir_subscriber_take_many_until(pair.subscriber, &messages[4], 4, NOW), 2);
    assert_true(messages[4].session != messages[3].session);
    for (unsigned i = 1; i < 6; i++)
        assert_memory_equal(messages[i].data, &i, sizeof i);
    assert_result(weir_subscriber_release_many(pair.subscriber, &messages[1], 5), 0);
    assert_result(weir_publisher_wait_taken(pair.publisher, NOW), 0);
    assert_int_equal(segments_now() - fixture_segments(), 3); /* directory, lane, page */
    pair_close(&pair);
}

/* What was given back is not held, although another publisher's message lies at the same place. */
static void test_the_same_place_of_two_lanes(void **state)
{
    enum { EACH = 3 }; /* the last of them needs no look around, and is held by the short way */
    struct weir_message messages[2 * EACH], *former = &messages[EACH - 1];
    struct weir_message *held = &messages[2 * EACH - 1];
    struct weir_publisher *other;
    struct pair pair;
    (void)state;
    pair_open(&pair);
    assert_result(weir_publisher_open(&other, "lane", &small_ring), 0);
    assert_result(weir_subscriber_wait_publisher(pair.subscriber, NOW), 0);
    send_numbers(pair.publisher, 0, EACH);
    send_numbers(other, EACH, 2 * EACH);
    for (int i = 0; i < 2 * EACH; i++) {
        assert_result(weir_subscriber_take_until(pair.subscriber, &messages[i], NOW), 0);
        if (&messages[i] != held)
            assert_result(weir_subscriber_release(pair.subscriber, &messages[i]), 0);
    }
    assert_true(held->position == former->position && held->session != former->session);
    assert_result(weir_subscriber_release(pair.subscriber, former), -EINVAL);
    assert_result(weir_subscriber_release_many(pair.subscriber, former, 1), -EINVAL);
    assert_result(weir_subscriber_check(pair.subscriber, former), -EINVAL);
    assert_result(weir_subscriber_check(pair.subscriber, held), 0);
    assert_result(weir_subscriber_release(pair.subscriber, held), 0);
    weir_publisher_close(other);
    pair_close(&pair);
}

static void test_room_limits_a_receive(void **state)
{
    unsigned char room[64];
    struct weir_message messages[8];
    struct pair pair;
    (void)state;
    pair_open(&pair);
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
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_holds_limit_a_take),    PAIR_TEST(test_the_oldest_hold_keeps_its_place),
        PAIR_TEST(test_holds_of_two_lanes),    PAIR_TEST(test_the_same_place_of_two_lanes),
        PAIR_TEST(test_room_limits_a_receive),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
