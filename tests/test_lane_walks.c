/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher that lies, and has whoever reads its lane go over the whole ring and then find that
 *       it was overtaken, again and again, keeps a call that is not to wait for as long as a few walks
 *       take, and not for hundreds.
 * Method: a large ring full of pads of the shortest kind, and a thread that moves what is reserved, and
 *       all marks, as fast as it is run. What a call takes is counted in its own processor time, so that
 *       a busy machine does not matter: one walk takes some 50 ms, and hundreds did 5 to 10 s.
 */
#include "fixture.h"
#include "liar.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "channel/subscriber.h"

/* The release shows the time, the others the rest. */
#define LARGE_BYTES ((uint64_t)(SANITIZED ? 4 : 64) << 20)
/* Each load costs ten times as much and more where a sanitizer looks at it. */
#define SLOWNESS (SANITIZED ? 20 : 1)
#define CALL_MOST_NS (2 * SLOWNESS * SECOND_NS)

static struct weir_publisher *publisher;
static atomic_bool is_over;

static weir__atomic_u64 *ring_word(uint64_t position)
{
    return weir__header_at((unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET, LARGE_BYTES,
                           position);
}

static void move_marks(uint64_t reserved)
{
    for (unsigned i = 0; i < WEIR__MARKS; i++) {
        atomic_store(&liar_lane->marks[i].before, reserved - 16);
        atomic_store(&liar_lane->marks[i].count, 0);
        atomic_store(&liar_lane->marks[i].position, reserved - 16);
    }
}

static void *overtake(void *unused)
{
    const struct timespec pause = { 0, 2 * MS_NS };
    uint64_t reserved = LARGE_BYTES;
    while (!atomic_load(&is_over)) {
        reserved += 2 * LARGE_BYTES;
        atomic_store(&liar_lane->reserved, reserved);
        move_marks(reserved);
        nanosleep(&pause, NULL); /* the pace of its lies: nothing waits for it */
    }
    return unused;
}

static int64_t used_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Nobody is there yet but the publisher, who evicts if lag_bytes is not 0. */
static void open_publisher(uint64_t lag_bytes)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = LARGE_BYTES;
    options.lag_max_bytes = lag_bytes;
    assert_result(weir_publisher_open(&publisher, "lane", &options), 0);
}

static int open_subscriber(uint32_t delivery, uint32_t start)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.delivery = delivery;
    options.start = start;
    options.start_back = 1000;
    return weir_subscriber_open(&victim_subscriber, "lane", &options);
}

static pthread_t begin_lies(void)
{
    pthread_t liar;
    assert_true(liar_attach());
    for (uint64_t at = 0; at < LARGE_BYTES; at += WEIR__RECORD_HEADER_BYTES)
        atomic_store_explicit(ring_word(at), weir__pad_header(WEIR__RECORD_HEADER_BYTES),
                              memory_order_relaxed);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&liar, NULL, overtake, NULL), 0);
    return liar;
}

static pthread_t begin_to_lie(void)
{
    open_publisher(0);
    assert_result(open_subscriber(WEIR_DELIVERY_LOSSY, WEIR_START_NOW), 0);
    return begin_lies();
}

static void end_lies(pthread_t liar)
{
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(liar, NULL), 0);
    liar_restore_directory();
    liar_detach();
    weir_subscriber_close(victim_subscriber);
    victim_subscriber = NULL;
    weir_publisher_close(publisher);
}

static void receive_in_time(void)
{
    unsigned char bytes[64];
    for (int i = 0; i < 2; i++) {
        int64_t before_ns = used_ns();
        int result =
            weir_subscriber_receive_until(victim_subscriber, bytes, sizeof bytes, NULL, NOW);
        assert_true(result < 0);
        assert_true(used_ns() - before_ns < CALL_MOST_NS);
    }
}

static void test_a_receive(void **state)
{
    pthread_t liar = begin_to_lie();
    (void)state;
    receive_in_time();
    end_lies(liar);
}

/* A reliable one whose publisher evicts reads as a lossy one does. */
static void test_a_receive_of_an_evicted_one(void **state)
{
    open_publisher(LARGE_BYTES / 2);
    assert_result(open_subscriber(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW), 0);
    pthread_t liar = begin_lies();
    (void)state;
    receive_in_time();
    end_lies(liar);
}

/* Who opens while the publisher lies looks for where to begin, now or in the past. */
static void test_opens(void **state)
{
    static const struct {
        uint32_t delivery, start;
        bool is_evicting;
    } rows[] = {
        { WEIR_DELIVERY_LOSSY, WEIR_START_NOW, false },
        { WEIR_DELIVERY_LOSSY, WEIR_START_OLDEST, false },
        { WEIR_DELIVERY_LOSSY, WEIR_START_BACK, false },
        { WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, true },
        { WEIR_DELIVERY_RELIABLE, WEIR_START_OLDEST, true },
        { WEIR_DELIVERY_RELIABLE, WEIR_START_BACK, true },
        { WEIR_DELIVERY_RELIABLE, WEIR_START_BACK, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        open_publisher(rows[i].is_evicting ? LARGE_BYTES / 2 : 0);
        pthread_t liar = begin_lies();
        int64_t before_ns = used_ns();
        int result = open_subscriber(rows[i].delivery, rows[i].start);
        assert_true(used_ns() - before_ns < CALL_MOST_NS);
        if (result == 0)
            receive_in_time();
        else
            assert_result(result, -EUCLEAN);
        end_lies(liar);
    }
}

static int count_member(const struct weir_channel_member *member, void *count)
{
    *(unsigned *)count += member->role == WEIR_MEMBER_PUBLISHER;
    return 0;
}

static void test_onlookers(void **state)
{
    struct weir_tap *tap;
    unsigned char bytes[64];
    unsigned publishers = 0;
    pthread_t liar = begin_to_lie();
    (void)state;
    int64_t before_ns = used_ns();
    if (weir_tap_open(&tap, "lane", NULL) == 0) {
        assert_true(weir_tap_receive_until(tap, bytes, sizeof bytes, NULL, NOW) < 0);
        weir_tap_close(tap);
    }
    assert_true(used_ns() - before_ns < CALL_MOST_NS);
    before_ns = used_ns();
    assert_result(weir_inspect_channel("lane", count_member, &publishers), 0);
    assert_int_equal(publishers, 1);
    assert_true(used_ns() - before_ns < CALL_MOST_NS / 8);
    end_lies(liar);
}

/* Who asks between two looks at the clock passes a few pads, and leaves the rest to the look. */
static void test_pads_that_are_worth_a_look(void **state)
{
    _Alignas(64) static unsigned char bytes[CAPACITY];
    const struct weir__ring ring = { .bytes = bytes, .capacity = CAPACITY };
    weir__atomic_u64 *words = (weir__atomic_u64 *)(void *)bytes;
    (void)state;
    assert_false(weir__is_worth_a_look(&ring, 0));
    for (unsigned pads = 0; pads < 8; pads++)
        atomic_store(&words[pads], weir__pad_header(WEIR__RECORD_HEADER_BYTES));
    assert_false(weir__is_worth_a_look(&ring, 0)); /* nothing behind them */
    atomic_store(&words[8], weir__record_header(8, 0, 0));
    assert_true(weir__is_worth_a_look(&ring, 0));
    for (unsigned pads = 8; pads < CAPACITY / 8; pads++)
        atomic_store(&words[pads], weir__pad_header(WEIR__RECORD_HEADER_BYTES));
    int64_t before_ns = used_ns();
    for (int i = 0; i < 10000; i++)
        assert_true(weir__is_worth_a_look(&ring, 8));
    assert_true(used_ns() - before_ns <
                SLOWNESS * SECOND_NS / 10); /* all of them each time: 0.3 s */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_receive),
        cmocka_unit_test(test_a_receive_of_an_evicted_one),
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_onlookers),
        cmocka_unit_test(test_pads_that_are_worth_a_look),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
