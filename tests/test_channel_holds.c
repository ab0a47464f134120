/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is held in place stays unchanged, for ever, and the ring goes round it, as far as the
 *       quota goes; beyond that the publisher waits, as for what is not read.
 * Method: every message's bytes follow from its number. One thread keeps some messages, wherever
 *       they lie, while many rings' worth of all sizes pass, sent in every way.
 */
#include "fixture.h"
#include "holders.h"

#include <errno.h>
#include <string.h>

static void test_one_is_kept_for_ever(void **state)
{
    static const size_t sizes[] = { 0, 40, 3000, HOLDERS_LONGEST - 8, HOLDERS_LONGEST };
    (void)state;
    holders_begin(2);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_result(holders_send(777 * i, 1), 0);
        holder_drain(&holders[0]);
        assert_result(holders_send(sizes[i], 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        holders_pass_rings(7 + i, i == 2 ? 100 : 20);
        assert_result(weir_subscriber_check(holders[0].subscriber, &holders[0].kept[0]), 0);
        holder_release(&holders[0], 0);
    }
    holders_end(2);
}

static void test_many_are_kept(void **state)
{
    uint64_t seed = 5;
    (void)state;
    holders_begin(2);
    for (unsigned i = 0; i < 16; i++) { /* wherever, over many laps */
        assert_result(holders_send(crowd_draw(&seed, 1000), 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        for (uint64_t more = crowd_draw(&seed, 300); more > 0; more--) {
            assert_result(holders_send(crowd_draw(&seed, 1000), 1), 0);
            holder_drain(&holders[0]);
            holder_drain(&holders[1]);
        }
    }
    for (unsigned i = 16; i > 0; i--) {
        for (unsigned more = 0; more < 500; more++) {
            assert_result(holders_send(crowd_draw(&seed, 1000), 1), 0);
            holder_drain(&holders[0]);
            holder_drain(&holders[1]);
        }
        holder_check(&holders[0]);
        holder_release(&holders[0], (unsigned)crowd_draw(&seed, i));
    }
    holders_end(2);
}

/* All places are used: the next hold stops the ring, and a release lets it go on. */
static void test_more_than_there_are_places(void **state)
{
    (void)state;
    holders_begin(2);
    assert_result(holders_send(100, 17), 0);
    for (unsigned i = 0; i < 17; i++)
        assert_result(holder_keep(&holders[0]), 0);
    for (int round = 0; round < 3; round++) {
        holder_drain(&holders[0]);
        holder_drain(&holders[1]);
        assert_in_range(holders_send_all(1000), round == 0 ? 60000 : 0, HOLDERS_RING);
    }
    assert_result(holders_send(1000, 1), -EAGAIN);
    holder_release(&holders[0], 4);
    for (int round = 0; round < 3; round++) {
        assert_in_range(holders_send_all(1000), 50000, HOLDERS_RING);
        holder_drain(&holders[0]);
        holder_drain(&holders[1]);
    }
    holder_check(&holders[0]);
    holders_end(2);
}

/* A quarter of the ring may be kept; the cursor stays at what is more. */
static void test_more_than_a_quarter(void **state)
{
    (void)state;
    holders_begin(2);
    assert_result(holders_send(HOLDERS_LONGEST, 2), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_in_range(holders_send_all(1000), 1000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_int_equal(holders_send_all(1000), 0);
    holder_check(&holders[0]);
    holder_release(&holders[0], 1); /* the one that is not announced */
    assert_in_range(holders_send_all(1000), 16000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    holders_pass_rings(3, 10);
    holders_end(2);
}

/*
 * Short ones that are kept all over the ring: the longest finds no room in one piece, and is told so;
 * not that the ring is full.
 */
static void test_scattered(void **state)
{
    (void)state;
    holders_begin(1);
    for (unsigned i = 0; i < 12; i++) {
        assert_result(holders_send(100, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(holders_send(HOLDERS_RING / 13 - 120, 1), 0);
        holder_drain(&holders[0]);
    }
    for (unsigned i = 0; i < 2; i++) {
        holders_wait_ns = i * MS_NS;
        assert_result(holders_send(HOLDERS_LONGEST, 1), i == 0 ? -EAGAIN : -ETIMEDOUT);
        assert_non_null(strstr(weir_last_error(), "no room in one piece"));
    }
    holders_wait_ns = 0;
    assert_in_range(holders_send_all(1000), 20000, HOLDERS_RING); /* shorter ones go in between */
    assert_non_null(strstr(weir_last_error(), "the ring is full"));
    holder_drain(&holders[0]);
    while (holders[0].kept_count > 2)
        holder_release(&holders[0], 0);
    assert_result(holders_send(HOLDERS_LONGEST, 1), 0);
    holders_end(1);
}

static void do_something(struct holder *holder, uint64_t *seed)
{
    switch (crowd_draw(seed, 6)) {
    case 0:
        holder_drain(holder);
        break;
    case 1:
        if (holder->kept_count > 0)
            holder_release(holder, (unsigned)crowd_draw(seed, holder->kept_count));
        break;
    default:
        if (holder->kept_count < 24)
            holder_keep(holder);
    }
}

/* Releases some, reads all: then there must be room, sooner or later. */
static void make_room(uint64_t *seed, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        holder_check(&holders[i]);
        while (holders[i].kept_count > 0 && crowd_draw(seed, 3))
            holder_release(&holders[i], (unsigned)crowd_draw(seed, holders[i].kept_count));
        holder_drain(&holders[i]);
    }
}

/* Three subscribers keep and release at random, and messages come in every way. */
static void test_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1, round = 0; round < 20; round++) {
        unsigned refused = 0;
        holders_begin(3);
        while (holders_number < (SANITIZED ? 500 : 4000)) {
            enum way way = (enum way)crowd_draw(&seed, WAYS);
            size_t size_bytes = crowd_draw(&seed, crowd_draw(&seed, 10) ? 500 : HOLDERS_LONGEST);
            int result = holders_send_by(way, size_bytes, 1 + (unsigned)crowd_draw(&seed, 20));
            void *data;
            if (crowd_draw(&seed, 8) == 0 &&
                weir_publisher_loan_until(holders_publisher, crowd_draw(&seed, 3000), &data, NOW) ==
                    0)
                weir_publisher_abandon(holders_publisher);
            if (result != 0) {
                assert_result(result, -EAGAIN);
                refused++;
                make_room(&seed, 3);
            }
            for (unsigned i = 0; i < 30; i++)
                do_something(&holders[i % 3], &seed);
        }
        assert_true(refused > 0);
        for (unsigned i = 0; i < 3; i++)
            holder_drain(&holders[i]);
        assert_result(weir_publisher_wait_taken(holders_publisher, NOW),
                      holders[0].kept_count + holders[1].kept_count + holders[2].kept_count > 0
                          ? -EAGAIN
                          : 0);
        holders_end(3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_one_is_kept_for_ever),
        CROWD_TEST(test_many_are_kept),
        CROWD_TEST(test_more_than_there_are_places),
        CROWD_TEST(test_more_than_a_quarter),
        CROWD_TEST(test_scattered),
        CROWD_TEST(test_at_random),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
