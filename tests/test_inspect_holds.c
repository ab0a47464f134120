/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a subscriber holds is seen from outside, to the byte and of one moment; what it lies
 *       about it stays within bounds.
 * Method: holds that are known, of several publishers, in traffic and where a publisher waits for
 *       them; then false words in the table of holds, and a liar that writes them while we look.
 */
#include "channel/subscriber.h"
#include "fixture.h"
#include "guard.h"
#include "inspect/channel.h"
#include "liar.h"
#include "onlooker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <weir/inspect.h>

enum { PUBLISHERS = 2, SUBSCRIBERS = 4 };

struct seen {
    unsigned publisher_count, subscriber_count;
    struct weir_channel_member publishers[PUBLISHERS], subscribers[SUBSCRIBERS];
    struct weir_channel_reading readings[SUBSCRIBERS][PUBLISHERS];
};

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct seen *seen = argument;
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        assert_true(seen->publisher_count < PUBLISHERS);
        seen->publishers[seen->publisher_count++] = *member;
        return 0;
    }
    assert_true(seen->subscriber_count < SUBSCRIBERS && member->reading_count <= PUBLISHERS);
    for (size_t i = 0; i < member->reading_count; i++)
        seen->readings[seen->subscriber_count][i] = member->readings[i];
    seen->subscribers[seen->subscriber_count++] = *member;
    return 0;
}

static struct seen look(void)
{
    struct seen seen = { .publisher_count = 0 };
    assert_result(weir_inspect_channel("lane", visit, &seen), 0);
    return seen;
}

static void expect_held(const struct weir_channel_reading *reading, unsigned messages,
                        unsigned bytes)
{
    assert_int_equal(reading->has_holds, 1);
    assert_int_equal(reading->held_messages, messages);
    assert_int_equal(reading->held_bytes, bytes);
}

static void expect_unknown(void)
{
    const struct seen seen = look();
    assert_int_equal(seen.readings[0][0].has_holds, 0);
    assert_int_equal(seen.readings[0][0].held_messages, 0);
    assert_int_equal(seen.readings[0][0].held_bytes, 0);
}

static struct weir_message held[3];

/* Takes them all, and looks for one more: so they are announced. */
static void hold_all(void)
{
    struct weir_message none;
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        assert_result(weir_subscriber_take_until(victim_subscriber, &held[i], NOW), 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &none, NOW), -EAGAIN);
}

static void test_what_is_held(void **state)
{
    (void)state;
    onlooker_begin();
    expect_held(&look().readings[0][0], 0, 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &held[0], NOW), 0);
    struct seen seen = look(); /* it is not announced: lag */
    expect_held(&seen.readings[0][0], 0, 0);
    assert_int_equal(seen.readings[0][0].lag_bytes, 48);
    assert_result(weir_subscriber_release(victim_subscriber, &held[0]), 0);
    assert_result(weir_publisher_send_until(victim_publisher, "a", 1, 0, NOW), 0);
    hold_all();
    seen = look();
    expect_held(&seen.readings[0][0], 3, 48);
    assert_int_equal(seen.readings[0][0].released_messages, 1);
    assert_int_equal(seen.readings[0][0].has_lag, WEIR_LAG_BYTES | WEIR_LAG_MESSAGES);
    assert_int_equal(seen.readings[0][0].lag_messages, 0);
    assert_int_equal(seen.readings[0][0].lag_bytes, 0);
    assert_int_equal(seen.readings[0][0].is_slowest, 1);
    assert_int_equal(seen.publishers[0].slowest, 0);
    assert_int_equal(seen.publishers[0].used_bytes, 0);
    assert_result(weir_publisher_send_until(victim_publisher, "a", 1, 0, NOW), 0);
    assert_int_equal(look().readings[0][0].lag_messages, 1);
    assert_result(weir_subscriber_release(victim_subscriber, &held[1]), 0);
    expect_held(&look().readings[0][0], 2, 32);
    assert_result(weir_publisher_end(victim_publisher), 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &held[1], NOW), 0);
    assert_result(weir_subscriber_release(victim_subscriber, &held[1]), 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &held[1], NOW), -ENODATA);
    seen = look(); /* to the end, but for these */
    assert_int_equal(seen.readings[0][0].state, WEIR_READING_FINISHED);
    expect_held(&seen.readings[0][0], 2, 32);
    assert_result(weir_subscriber_release(victim_subscriber, &held[0]), 0);
    assert_result(weir_subscriber_release(victim_subscriber, &held[2]), 0);
    seen = look();
    expect_held(&seen.readings[0][0], 0, 0);
    assert_int_equal(seen.readings[0][0].released_messages, 5);
    assert_int_equal(seen.publishers[0].slowest, WEIR_SLOT_NONE);
    onlooker_end();
}

/* Of each publisher its own. */
static void test_two_publishers(void **state)
{
    static const unsigned char data[1000];
    struct weir_publisher *second;
    struct weir_message message;
    (void)state;
    onlooker_begin();
    hold_all();
    assert_result(weir_publisher_open(&second, "lane", &victim_options), 0);
    assert_result(weir_publisher_send_until(second, data, sizeof data, 0, NOW), -EAGAIN);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_send_until(second, data, sizeof data, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(victim_subscriber, &held[0]), 0); /* a place is free */
    assert_result(weir_subscriber_take_until(victim_subscriber, &held[0], NOW), -EAGAIN);
    struct seen seen = look();
    expect_held(&seen.readings[0][0], 2, 32);
    expect_held(&seen.readings[0][1], 1, 1008);
    assert_result(weir_subscriber_release(victim_subscriber, &message), 0);
    expect_held(&look().readings[0][1], 0, 0);
    weir_publisher_close(second);
    onlooker_end();
}

/* For whom nobody waits, who announces nothing. */
static void test_not_seen(void **state)
{
    const struct weir_channel_options options = victim_options;
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            victim_options.delivery = WEIR_DELIVERY_LOSSY;
        else
            victim_options.lag_max_bytes = CAPACITY / 2;
        onlooker_begin();
        hold_all();
        expect_unknown();
        victim_options = options;
        onlooker_end();
    }
}

static const unsigned sizes[SUBSCRIBERS + 1] = { 15000, 15000, 16000, 15000, 10000 };

static void send_all(struct companion *companion, void *argument)
{
    static const unsigned char data[16000];
    (void)argument;
    CHECK_RESULT(victim_open(true), 0);
    for (int i = 0; i < SUBSCRIBERS; i++)
        CHECK_RESULT(weir_publisher_send(victim_publisher, data, sizes[i]), 0);
    companion_arrive(companion);
    CHECK_RESULT(weir_publisher_send(victim_publisher, data, sizes[SUBSCRIBERS]), 0);
    weir_publisher_close(victim_publisher);
}

/* Each takes all but the last, and keeps one of them: its own. */
static void keep_own(struct weir_subscriber **subscribers, struct weir_message *kept)
{
    unsigned counts[SUBSCRIBERS] = { 0 }, all = 0;
    int64_t deadline_ns = weir_deadline_ns(20 * SECOND_NS);
    struct weir_message message;
    while (all < SUBSCRIBERS * SUBSCRIBERS)
        for (unsigned i = 0; i < SUBSCRIBERS; i++) {
            assert_true(weir_now_ns() < deadline_ns);
            if (counts[i] == SUBSCRIBERS ||
                weir_subscriber_take_until(subscribers[i], &message, NOW) != 0)
                continue;
            if (counts[i] == i)
                kept[i] = message;
            else
                assert_result(weir_subscriber_release(subscribers[i], &message), 0);
            counts[i]++;
            all++;
        }
}

/* A ring that is full of what is held, while nobody is behind: who holds most is named. */
static void test_who_is_in_the_way(void **state)
{
    struct weir_subscriber *subscribers[SUBSCRIBERS];
    struct weir_message kept[SUBSCRIBERS], message;
    struct companion companion;
    int64_t deadline_ns = weir_deadline_ns(20 * SECOND_NS);
    struct seen seen;
    (void)state;
    for (int i = 0; i < SUBSCRIBERS; i++)
        assert_result(weir_subscriber_open(&subscribers[i], "lane", &victim_options), 0);
    companion_start(&companion, send_all, NULL);
    keep_own(subscribers, kept);
    companion_meet(&companion);
    for (int i = 0; i < SUBSCRIBERS; i++) /* announces */
        assert_result(weir_subscriber_take_until(subscribers[i], &message, NOW), -EAGAIN);
    companion_release(&companion);
    do {
        seen = look();
        assert_true(weir_now_ns() < deadline_ns);
    } while (seen.publishers[0].need != WEIR_NEED_ROOM);
    assert_int_equal(seen.publishers[0].used_bytes, 0);
    assert_int_equal(seen.publishers[0].slowest, 2);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        expect_held(&seen.readings[i][0], 1, sizes[i] + 8);
        assert_int_equal(seen.readings[i][0].lag_bytes, 0);
        assert_int_equal(seen.readings[i][0].is_slowest, i == 2);
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        assert_result(weir_subscriber_release(subscribers[i], &kept[i]), 0);
    for (int i = 0; i < SUBSCRIBERS; i++) {
        assert_result(weir_subscriber_take_until(subscribers[i], &message, deadline_ns), 0);
        assert_int_equal(message.size_bytes, sizes[SUBSCRIBERS]);
        weir_subscriber_close(subscribers[i]);
    }
    assert_int_equal(companion_end(&companion), 0);
}

static void test_lies_by_name(void **state)
{
    (void)state;
    onlooker_begin();
    hold_all();
    struct weir__place_shm *place = &liar_page->places[0];
    const struct {
        weir__atomic_u64 *word;
        uint64_t value;
    } lies[] = {
        { &place->bytes, 0 },
        { &place->bytes, 15 },
        { &place->bytes, 56 }, /* beyond the cursor */
        { &place->bytes, UINT64_MAX - 7 },
        { &place->which, 0 },
        { &place->which, 8 },
        { &place->owner, 77 },
        { &liar_aside()->holds, 2 },
        { &liar_aside()->holds, 4 },
        { &liar_aside()->holds, UINT64_MAX },
        { &liar_entry()->cursor, 56 }, /* more than was sent */
    };
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        uint64_t truth = atomic_load(lies[i].word);
        atomic_store(lies[i].word, lies[i].value);
        expect_unknown();
        atomic_store(lies[i].word, truth);
        expect_held(&look().readings[0][0], 3, 48);
    }
    atomic_store(&place->which, 49); /* not passed by the cursor: it would be lag */
    expect_held(&look().readings[0][0], 2, 32);
    onlooker_end();
}

/* In each place a quarter of the ring, and the same one. */
static void test_more_than_the_ring(void **state)
{
    const uint64_t quarter = CAPACITY / 4;
    (void)state;
    onlooker_begin();
    uint64_t owner = atomic_load(&liar_entry()->lane);
    atomic_store(&liar_lane->boundary, CAPACITY);
    atomic_store(&liar_lane->boundary_before, CAPACITY);
    atomic_store(&liar_lane->boundary_count, 100);
    memset((char *)liar_lane + WEIR__LANE_RING_OFFSET, 0, 8);
    atomic_store(&liar_entry()->cursor, CAPACITY);
    for (unsigned i = 0; i < WEIR__HOLDS_ANNOUNCED; i++) {
        atomic_store(&liar_page->places[i].owner, owner);
        atomic_store(&liar_page->places[i].bytes, quarter);
        atomic_store(&liar_page->places[i].which, 8 + 1);
    }
    atomic_store(&liar_aside()->holds, WEIR__HOLDS_ANNOUNCED);
    expect_held(&look().readings[0][0], WEIR__HOLDS_ANNOUNCED, CAPACITY);
    onlooker_end();
}

/*
 * Two publishers' slots show one lane, and all that is held is of both: more than anybody can hold. The
 * second one is false, and how large its ring is not known.
 */
static void test_one_lane_in_two_slots(void **state)
{
    struct {
        struct weir__member_seen seen;
        unsigned char behind[WEIR__HOLDS_ANNOUNCED * sizeof(struct weir__hold_seen)];
    } memory = { .seen = { .hold_count = 0 } };
    struct weir_channel_reading readings[PUBLISHERS] = { { .released_bytes = 48 },
                                                         { .released_bytes = 48 } };
    const uint32_t line = weir__page_epoch_line(WEIR_CHANNEL_MEMBERS_DEFAULT, 0);
    (void)state;
    onlooker_begin();
    hold_all();
    struct weir__entry_shm *second = (void *)(uintptr_t)weir__page_entry(liar_page, line, 1);
    struct weir__slot_shm *slots = liar_directory->slots;
    const uint64_t owner = atomic_load(&slots[0].owner), shown = atomic_load(&slots[0].page);
    assert_int_equal(atomic_load(&liar_entry()->lane), shown);
    for (unsigned i = 0; i < WEIR__HOLDS_ANNOUNCED; i++) {
        atomic_store(&liar_page->places[i].owner, shown);
        atomic_store(&liar_page->places[i].bytes, 16);
        atomic_store(&liar_page->places[i].which, 1);
    }
    for (uint32_t i = 0; i < PUBLISHERS; i++) {
        struct weir__aside_shm *aside =
            (void *)(uintptr_t)weir__page_aside(liar_page, WEIR_CHANNEL_MEMBERS_DEFAULT, i);
        atomic_store(&aside->holds, WEIR__HOLDS_ANNOUNCED);
    }
    atomic_store(&second->cursor, 48);
    atomic_store(&second->lane, shown);
    atomic_store(&slots[1].owner, owner);
    atomic_store(&slots[1].page, shown);
    struct seen seen = look();
    assert_int_equal(seen.subscribers[0].reading_count, PUBLISHERS);
    assert_int_equal(seen.publishers[0].state, WEIR_MEMBER_SHOWN);
    expect_held(&seen.readings[0][0], WEIR__HOLDS_ANNOUNCED, WEIR__HOLDS_ANNOUNCED * 16);
    assert_int_equal(seen.publishers[1].state, WEIR_MEMBER_FALSE);
    assert_int_equal(seen.readings[0][1].has_holds, 0);
    assert_int_equal(seen.readings[0][1].held_bytes, 0);
    /* What is remembered of them has its bound. */
    memory.seen.readings = readings;
    memset(memory.behind, 0xa5, sizeof memory.behind);
    for (size_t i = 0; i < PUBLISHERS; i++) {
        unsigned attempts = WEIR__INSPECT_ATTEMPTS;
        weir__read_holds(liar_page, liar_aside(), shown, &attempts, &memory.seen, i);
        assert_int_equal(memory.seen.hold_count, WEIR__HOLDS_ANNOUNCED);
    }
    assert_true(all_bytes(memory.behind, sizeof memory.behind, 0xa5));
    atomic_store(&slots[1].page, 0);
    atomic_store(&slots[1].owner, 0);
    onlooker_end();
}

/*
 * Where the publisher went round what is held, a pad stands behind the cursor over the same place: it is
 * lag, and not taken twice. Of two who are behind, the other has more of the ring then.
 */
static void test_held_within_the_lag(void **state)
{
    const uint64_t end = 2 * CAPACITY, cursor = end - CAPACITY * 3 / 4;
    struct weir_subscriber *second;
    struct weir_message none;
    (void)state;
    onlooker_begin();
    assert_result(weir_subscriber_open(&second, "lane", &victim_options), 0);
    assert_result(weir_subscriber_take_until(second, &none, NOW), -EAGAIN);
    atomic_store(&liar_lane->boundary, end);
    atomic_store(&liar_lane->boundary_before, end);
    memset((char *)liar_lane + WEIR__LANE_RING_OFFSET, 0, 8);
    atomic_store(&liar_entry()->cursor, cursor);
    atomic_store(&second->lanes[0]->entry->cursor, end - CAPACITY * 7 / 8);
    struct weir__place_shm *place = &liar_page->places[0];
    atomic_store(&place->owner, atomic_load(&liar_entry()->lane));
    atomic_store(&place->bytes, CAPACITY / 4);
    atomic_store(&liar_aside()->holds, 1);
    atomic_store(&place->which,
                 (cursor - CAPACITY * 3 / 4) | 1); /* a quarter behind it, a lap on */
    struct seen seen = look();
    expect_held(&seen.readings[0][0], 1, CAPACITY / 4);
    assert_int_equal(seen.readings[0][0].lag_bytes, CAPACITY * 3 / 4);
    assert_int_equal(seen.publishers[0].slowest, 1);
    atomic_store(&place->which, (cursor - CAPACITY / 4) | 1); /* where the lag does not reach */
    seen = look();
    expect_held(&seen.readings[0][0], 1, CAPACITY / 4);
    assert_int_equal(seen.publishers[0].slowest, 0);
    weir_subscriber_close(second);
    onlooker_end();
}

static void test_each_lie(void **state)
{
    (void)state;
    onlooker_begin();
    hold_all();
    onlooker_meet_each_lie(LIAR_ALL | LIAR_STATISTICS | LIAR_MARKS, onlooker_look_at_lies);
    expect_held(&look().readings[0][0], 3, 48);
    onlooker_end();
}

static void test_lies_while_we_look(void **state)
{
    (void)state;
    onlooker_begin();
    hold_all();
    onlooker_meet_a_liar(LIAR_ALL | LIAR_STATISTICS | LIAR_MARKS, onlooker_look_at_lies);
    onlooker_end();
}

/*
 * Until it is killed: holds and releases messages of two publishers, so that places change hands. Of
 * the first a message has 64 bytes in the ring, of the second 1,008.
 */
static void hold_and_release(struct companion *companion, void *argument)
{
    static const unsigned char data[1000];
    struct weir_publisher *publishers[PUBLISHERS];
    struct weir_message kept[10], none;
    (void)argument;
    for (int i = 0; i < PUBLISHERS; i++)
        CHECK_RESULT(weir_publisher_open(&publishers[i], "lane", &victim_options), 0);
    CHECK_RESULT(victim_open(false), 0);
    companion_arrive(companion);
    for (;;) {
        for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
            bool is_first = i % 2 == 0;
            CHECK_RESULT(weir_publisher_send_until(publishers[!is_first], data,
                                                   is_first ? 56 : sizeof data, 0, NOW),
                         0);
            CHECK_RESULT(weir_subscriber_take_until(victim_subscriber, &kept[i], NOW), 0);
            CHECK_RESULT(weir_subscriber_take_until(victim_subscriber, &none, NOW), -EAGAIN);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) /* not in the order of their places */
            CHECK_RESULT(weir_subscriber_release(victim_subscriber, &kept[7 * i % 10]), 0);
    }
}

static void test_traffic(void **state)
{
    struct companion companion;
    unsigned known = 0, most = 0;
    (void)state;
    companion_start(&companion, hold_and_release, NULL);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t until_ns = weir_deadline_ns(SECOND_NS), most_ns = weir_deadline_ns(60 * SECOND_NS);
    /* A second's; more of it on a machine that has little time for them. */
    while (weir_now_ns() < until_ns || ((known <= 10 || most < 5) && weir_now_ns() < most_ns)) {
        struct seen seen = look();
        for (size_t i = 0; i < seen.subscribers[0].reading_count; i++) {
            const struct weir_channel_reading *reading = &seen.readings[0][i];
            known += reading->has_holds;
            assert_true(reading->held_messages <= 5);
            assert_int_equal(reading->held_bytes,
                             reading->held_messages * (reading->publisher == 0 ? 64 : 1008));
            if (reading->held_messages > most)
                most = (unsigned)reading->held_messages;
        }
    }
    assert_true(known > 10);
    assert_int_equal(most, 5);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_held),
        cmocka_unit_test(test_two_publishers),
        cmocka_unit_test(test_not_seen),
        cmocka_unit_test(test_who_is_in_the_way),
        cmocka_unit_test(test_lies_by_name),
        cmocka_unit_test(test_more_than_the_ring),
        cmocka_unit_test(test_one_lane_in_two_slots),
        cmocka_unit_test(test_held_within_the_lag),
        cmocka_unit_test(test_each_lie),
        cmocka_unit_test(test_lies_while_we_look),
        cmocka_unit_test(test_traffic),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
