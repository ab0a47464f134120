/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever one side of a channel has written, the other gets an error or what does no
 *       harm: never a crash, a message outside the ring, or a wait beyond its deadline.
 * Method: every word of the directory and its header, of the lane, the page and the headers
 *       of records, in a fresh ring and at a ring's end, is set to each of a row of values,
 *       before the other side attaches and while it is attached; then both sides do all they
 *       can, between guard pages.
 */
#include "fixture.h"
#include "guard.h"
#include "liar.h"

#include <stdio.h>

/* Three records; in a ring that is used up to its end, a pad is the third. */
static void send_three(bool is_at_end)
{
    static const unsigned char bytes[CAPACITY / 4];
    static unsigned char room[CAPACITY / 4];
    const size_t most = CAPACITY / 4 - 8;
    for (int i = 0; i < 4 && is_at_end; i++) {
        assert_result(
            weir_publisher_send_until(victim_publisher, bytes, i < 3 ? most : most - 64, 0, NOW),
            0);
        if (victim_subscriber)
            assert_result(
                weir_subscriber_receive_until(victim_subscriber, room, sizeof room, NULL, NOW), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_result(weir_publisher_send_until(victim_publisher, bytes, i < 2 ? 8 : 40, 0, NOW),
                      0);
}

/* Closes all, and makes the directory what it was at first. */
static void recover(void)
{
    victim_close();
    if (liar_directory)
        liar_restore_directory();
    liar_detach();
}

static void expect_sound(void)
{
    victim_expect_sound();
    recover();
    assert_int_equal(guard_count(), 1); /* the beacon */
}

/* Which words are lied about. */
static unsigned lied_about = LIAR_ALL;

/* One lie about a word. False: there is no such word, or no more lies about it. */
static bool lie(struct liar_word *word, uint64_t *truth, unsigned which, unsigned index,
                const char *when)
{
    struct liar_word words[LIAR_WORDS_MAX];
    uint64_t value;
    assert_true(liar_attach());
    if (which >= liar_words(words, lied_about))
        return false;
    *word = words[which];
    *truth = liar_load(word);
    if (!liar_value(index, *truth, &value))
        return false;
    snprintf(victim_place, sizeof victim_place, "%s, %s: 0x%llx in place of 0x%llx", when,
             word->what, (unsigned long long)value, (unsigned long long)*truth);
    liar_store(word, value);
    return true;
}

/* One lie, of a word in use: true while there are more. */
static bool lie_attached(unsigned which, unsigned index, bool is_at_end)
{
    struct liar_word word;
    uint64_t truth;
    assert_result(victim_open(true), 0);
    assert_result(victim_open(false), 0);
    send_three(is_at_end);
    bool is_more = lie(&word, &truth, which, index, is_at_end ? "at the end" : "in use");
    assert_true(liar_lane && liar_page);
    if (is_more) {
        victim_use_subscriber(MS_NS / 20);
        victim_use_publisher(MS_NS / 20);
        victim_use_subscriber(MS_NS / 20);
        liar_store(&word, truth);
    }
    recover();
    return is_more;
}

/* The same before the other side comes: first the subscriber joins a liar, then the publisher. */
static bool lie_to_joiner(unsigned which, unsigned index, bool is_publisher)
{
    struct liar_word word;
    uint64_t truth;
    assert_result(victim_open(is_publisher), 0);
    if (is_publisher)
        send_three(false);
    bool is_more = lie(&word, &truth, which, index, "to a joiner");
    if (is_more) {
        victim_open(!is_publisher);
        for (int i = 0; i < 2; i++) {
            if (victim_publisher)
                victim_use_publisher(MS_NS / 20);
            if (victim_subscriber)
                victim_use_subscriber(MS_NS / 20);
        }
        liar_store(&word, truth);
    }
    recover();
    return is_more;
}

/* Every word, every value: how many lies there were. */
static unsigned tell_all(bool (*tell)(unsigned, unsigned, bool), bool argument)
{
    unsigned lies = 0;
    for (unsigned which = 0; tell(which, 0, argument); which++) {
        for (unsigned index = 0; tell(which, index, argument); index++)
            lies++;
    }
    expect_sound();
    print_message("           %u lies\n", lies);
    return lies;
}

static void test_lies_in_use(void **state)
{
    (void)state;
    victim_bursts_first = false;
    /* 11 words of the header, 15 of the directory, 19 of the lane, 17 of the page, 4 records. */
    assert_int_equal(tell_all(lie_attached, false), 66 * liar_value_count());
}

static void test_lies_in_use_behind_a_message(void **state)
{
    (void)state;
    victim_bursts_first = true;
    assert_int_equal(tell_all(lie_attached, false), 66 * liar_value_count());
    assert_int_equal(tell_all(lie_attached, true), 67 * liar_value_count());
    victim_bursts_first = false;
}

static void test_lies_at_the_rings_end(void **state)
{
    (void)state;
    assert_int_equal(tell_all(lie_attached, true), 67 * liar_value_count()); /* and a pad */
}

static void test_lies_to_a_subscriber_that_joins(void **state)
{
    (void)state;
    /* The boundary is behind all three. */
    assert_true(tell_all(lie_to_joiner, true) >= 45 * liar_value_count());
}

static void test_lies_to_a_publisher_that_joins(void **state)
{
    (void)state;
    assert_int_equal(tell_all(lie_to_joiner, false), 43 * liar_value_count());
}

/* Who validates, and begins in the past: reserved and the marks are read, too. */
static void test_lies_to_the_lossy(void **state)
{
    (void)state;
    victim_bursts_first = false;
    victim_options.delivery = WEIR_DELIVERY_LOSSY;
    assert_int_equal(tell_all(lie_attached, true), 67 * liar_value_count());
    for (uint32_t start = WEIR_START_NOW; start <= WEIR_START_BACK; start++) {
        victim_options.start = start;
        victim_options.start_back = 2;
        /* Who has attached a lane asks no more where to begin, unless the directory makes it attach again. */
        lied_about = LIAR_HEADER | LIAR_DIRECTORY;
        assert_int_equal(tell_all(lie_attached, true), 26 * liar_value_count());
        lied_about = LIAR_ALL;
        assert_true(tell_all(lie_to_joiner, true) >= 43 * liar_value_count());
    }
    victim_options.delivery = WEIR_DELIVERY_CHANNEL;
    victim_options.start = WEIR_START_NOW;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies_in_use),
        cmocka_unit_test(test_lies_in_use_behind_a_message),
        cmocka_unit_test(test_lies_at_the_rings_end),
        cmocka_unit_test(test_lies_to_a_subscriber_that_joins),
        cmocka_unit_test(test_lies_to_a_publisher_that_joins),
        cmocka_unit_test(test_lies_to_the_lossy),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
