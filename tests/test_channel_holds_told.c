/* SPDX-License-Identifier: MIT */
/*
 * Goal: what the publisher is told of what is held: when a subscriber announces it, for whom it
 *       waits, what is taken, and when its descriptor is readable; and the subscriber of the pads
 *       round it: nothing.
 * Method: each in order, in one thread.
 */
#include "fixture.h"
#include "holders.h"
#include "lossy.h"
#include "readable.h"

#include <errno.h>
#include <string.h>

/* Before a call waits, whatever is held; of who always finds messages, what is far behind. */
static void test_when_it_is_announced(void **state)
{
    static unsigned char bytes[1000];
    (void)state;
    holders_begin(1);
    assert_result(holders_send(100, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(holders_send(7000, 1), 0); /* less than an eighth of the ring */
    holder_drain(&holders[0]);
    assert_in_range(holders_send_all(1000), 60000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_release(&holders[0], 0);
    assert_result(holders_send(100, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(holders_send(1000, 20), 0);
    for (unsigned i = 0; i < 300; i++) {
        assert_result(holders_send(1000, 1), 0);
        assert_result(
            weir_subscriber_receive_until(holders[0].subscriber, bytes, sizeof bytes, NULL, NOW),
            0);
        holders[0].next++;
    }
    holders_end(1);
}

/* Who waits for others is told for whom. */
static void test_told_for_whom(void **state)
{
    (void)state;
    holders_begin(1);
    assert_result(weir_publisher_wait_subscribers(holders_publisher, 2, NOW), -EAGAIN);
    assert_non_null(strstr(weir_last_error(), "1 of 2 subscribers have attached"));
    assert_result(holders_send(100, 1), 0);
    assert_result(weir_publisher_wait_taken(holders_publisher, weir_deadline_ns(MS_NS)),
                  -ETIMEDOUT);
    assert_non_null(strstr(weir_last_error(), "has not released every message"));
    holder_drain(&holders[0]);
    lossy_claim(false);
    int result;
    do /* as far as it was known that there is room */
        result = holders_send(100, 1);
    while (result == 0);
    assert_result(result, -EAGAIN);
    assert_non_null(strstr(weir_last_error(), "has not attached"));
    lossy_unclaim();
    holders_end(1);
}

/* What is announced is not released. */
static void test_wait_taken(void **state)
{
    (void)state;
    holders_begin(2);
    assert_result(holders_send(100, 3), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), -EAGAIN);
    assert_result(weir_publisher_end(holders_publisher), 0);
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_until(holders[0].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA); /* the lane is left, and what is held of it stays */
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), -EAGAIN);
    holder_release(&holders[0], 0);
    assert_result(weir_subscriber_receive_until(holders[1].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA);
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), 0);
    holders_end(2);
    holders_begin(1); /* who closes with it has not released it either */
    assert_result(holders_send(100, 3), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    weir_subscriber_close(holders[0].subscriber);
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), -EPIPE);
    holders_end(0);
}

/* Refused for want of a place: what is released, in the table alone, is told. */
static void test_descriptor(void **state)
{
    (void)state;
    holders_begin(1);
    int fd = weir_publisher_fd(holders_publisher);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 5; i++) { /* gaps of a fifth */
        assert_result(holders_send(100, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        for (unsigned more = 0; more < 13; more++) {
            assert_result(holders_send(1000, 1), 0);
            holder_drain(&holders[0]);
        }
    }
    assert_result(holders_send(HOLDERS_LONGEST, 1), -EAGAIN);
    assert_false(is_readable(fd, 0));
    assert_result(holders_send(1000, 1), 0); /* a shorter one has a place */
    holder_drain(&holders[0]);
    assert_result(holders_send(HOLDERS_LONGEST, 1), -EAGAIN);
    assert_false(is_readable(fd, 0));
    holder_check(&holders[0]);
    holder_release(&holders[0], 2);
    assert_true(is_readable(fd, 20000));
    assert_result(holders_send(HOLDERS_LONGEST, 1), 0);
    holder_drain(&holders[0]);
    holders_end(1);
}

static void abandon(size_t size_bytes)
{
    void *data;
    assert_result(weir_publisher_loan_until(holders_publisher, size_bytes, &data, NOW), 0);
    weir_publisher_abandon(holders_publisher);
}

/* The first holder keeps it, or reads it; the second one reads it, or does not yet. */
static void send_to_both(size_t size_bytes, bool is_kept, bool is_read)
{
    assert_result(holders_send(size_bytes, 1), 0);
    if (is_kept)
        assert_result(holder_keep(&holders[0]), 0);
    else
        holder_drain(&holders[0]);
    if (is_read)
        holder_drain(&holders[1]);
}

/*
 * Who holds nothing itself, and has read all, is no reason to wait when the one whose holds were in the
 * way is gone.
 */
static void refuse_and_lose(bool is_short_of_room)
{
    struct weir_wait_set *set;
    struct weir_wait_event event;
    holders_begin(2);
    int fd = weir_publisher_fd(holders_publisher);
    assert_true(fd >= 0);
    assert_result(weir_wait_set_open(&set, NULL), 0);
    assert_true(weir_wait_set_add_publisher(set, holders_publisher, 0) >= 0);
    for (unsigned i = 0; i < (is_short_of_room ? 2 : 4); i++) {
        send_to_both(12280, false, true);
        send_to_both(4088, true, true);
    }
    for (unsigned i = 0; is_short_of_room && i < 2; i++)
        send_to_both(HOLDERS_LONGEST, false, i == 0);
    holder_drain(&holders[0]); /* and says what it holds */
    assert_result(holders_send(HOLDERS_LONGEST, 1), -EAGAIN);
    assert_false(is_readable(fd, 0));
    assert_result(weir_wait_set_wait_until(set, &event, 1, NOW), -EAGAIN);
    weir_subscriber_close(holders[0].subscriber);
    holders[0].kept_count = 0;
    assert_true(is_readable(fd, 20000));
    assert_int_equal(weir_wait_set_wait_until(set, &event, 1, weir_deadline_ns(20000 * MS_NS)), 1);
    assert_result(holders_send(HOLDERS_LONGEST, 1), 0);
    weir_wait_set_close(set);
    weir_subscriber_close(holders[1].subscriber);
    holders_end(0);
}

static void test_who_was_in_the_way_leaves(void **state)
{
    (void)state;
    refuse_and_lose(false);
    refuse_and_lose(true);
}

/*
 * A loan that went round what is held, and is abandoned, leaves nothing: when that is released, the
 * whole ring is free, also if the subscriber looks for nothing meanwhile.
 */
static void test_an_abandoned_loan_leaves_no_pad(void **state)
{
    static const size_t sizes[] = { 12792, 11992, 8184, 11992, 8184, 12344, 12792 };
    (void)state;
    for (unsigned form = 0; form < 3; form++) {
        void *data[1];
        holders_begin(1);
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
            assert_result(holders_send(sizes[i], 1), 0);
            if (sizes[i] == 8184)
                assert_result(holder_keep(&holders[0]), 0);
            else
                holder_drain(&holders[0]);
        }
        holder_drain(&holders[0]);
        int fd = weir_subscriber_fd(holders[0].subscriber);
        assert_true(fd >= 0);
        if (form == 1)
            assert_int_equal(weir_publisher_loan_many_until(holders_publisher, 12280, data, 1, NOW),
                             1);
        else
            assert_result(weir_publisher_loan_until(holders_publisher, 12280, data, NOW), 0);
        if (form == 2) /* looks while the loan is out */
            assert_result(weir_publisher_wait_taken(holders_publisher, NOW), -EAGAIN);
        weir_publisher_abandon(holders_publisher);
        while (holders[0].kept_count > 0)
            holder_release(&holders[0], 0);
        assert_result(weir_publisher_wait_taken(holders_publisher, NOW), 0);
        for (unsigned i = 0; i < 3; i++)
            assert_result(holders_send(HOLDERS_LONGEST, 1), 0);
        holder_drain(&holders[0]);
        holders_pass_rings(form, 3);
        holders_end(1);
    }
}

/* Each loan finds a gap that is too small for the next one: what they leave is no message. */
static void test_pads_in_a_row(void **state)
{
    static const size_t gaps[] = { 100, 1000, 5000 };
    struct weir_message message;
    (void)state;
    holders_begin(1);
    struct weir_subscriber *subscriber = holders[0].subscriber;
    for (unsigned i = 0; i < ARRAY_SIZE(gaps); i++) {
        assert_result(holders_send(40, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(holders_send(gaps[i], 1), 0);
        holder_drain(&holders[0]);
    }
    assert_result(holders_send(40, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(holders_send(10000, 5), 0);
    assert_result(holders_send(9100, 1), 0); /* 68 bytes are left to the end */
    holder_drain(&holders[0]);
    int fd = weir_subscriber_fd(subscriber);
    assert_true(fd >= 0 && !is_readable(fd, 0));
    abandon(90);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    abandon(900);
    abandon(4500);
    abandon(12000);
    assert_false(is_readable(fd, 0));
    while (holders[0].kept_count > 0)
        holder_release(&holders[0], 0);
    assert_false(is_readable(fd, 0));
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), 0);
    holders_expect_exact();
    assert_result(holders_send(12000, 1), 0);
    assert_true(is_readable(fd, 0));
    holder_drain(&holders[0]);
    assert_int_equal(holders[0].next, holders_number);
    holders_pass_rings(2, 5);
    holders_end(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_when_it_is_announced),
        CROWD_TEST(test_told_for_whom),
        CROWD_TEST(test_wait_taken),
        CROWD_TEST(test_descriptor),
        CROWD_TEST(test_pads_in_a_row),
        CROWD_TEST(test_who_was_in_the_way_leaves),
        CROWD_TEST(test_an_abandoned_loan_leaves_no_pad),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
