/* SPDX-License-Identifier: MIT */
/*
 * Goal: the statistics of a channel say exactly what was done, and who waits for whom now.
 * Method: traffic that is known to the byte between processes, some of them killed, and looks at
 *       it through weir_inspect_channel() by one who is no member, until it says what it must.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEEN_MAX = 8, READINGS_MAX = 4, RING = WEIR_RING_BYTES_MIN };

struct seen {
    struct weir_channel_member publishers[SEEN_MAX], subscribers[SEEN_MAX];
    struct weir_channel_reading readings[SEEN_MAX][READINGS_MAX]; /* of the subscribers */
    unsigned publisher_count, subscriber_count;
};

static const struct weir_channel_options small = { .size = sizeof small, .ring_bytes = RING };

/* Of each test another: what one that failed has left is not in the way of the next. */
static char channel[32];

static int begin(void **state)
{
    static unsigned number;
    (void)state;
    snprintf(channel, sizeof channel, "statistics/%u", ++number);
    return 0;
}

static int visit(const struct weir_channel_member *member, void *argument)
{
    struct seen *seen = argument;
    assert_true(seen->publisher_count < SEEN_MAX && seen->subscriber_count < SEEN_MAX);
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        seen->publishers[seen->publisher_count++] = *member;
        return 0;
    }
    assert_true(member->reading_count <= READINGS_MAX);
    for (size_t i = 0; i < member->reading_count; i++)
        seen->readings[seen->subscriber_count][i] = member->readings[i];
    seen->subscribers[seen->subscriber_count++] = *member;
    return 0;
}

static struct seen look(void)
{
    struct seen seen;
    memset(&seen, 0, sizeof seen);
    assert_result(weir_inspect_channel(channel, visit, &seen), 0);
    return seen;
}

/* Looks until it is as it must be. */
static struct seen look_until(bool (*is_so)(const struct seen *seen))
{
    int64_t deadline_ns = weir_deadline_ns(20 * SECOND_NS);
    struct seen seen = look();
    while (!is_so(&seen)) {
        assert_true(weir_now_ns() < deadline_ns);
        seen = look();
    }
    return seen;
}

/* A child's commands: as many messages as the byte says, of so many bytes each. */
struct orders {
    unsigned messages, bytes;
};

static void send_all(struct companion *companion, void *argument)
{
    static const unsigned char data[1000];
    const struct orders *orders = argument;
    struct weir_publisher *publisher;
    CHECK_RESULT(weir_publisher_open(&publisher, channel, &small), 0);
    for (unsigned i = 0; i < orders->messages; i++)
        CHECK_RESULT(weir_publisher_send(publisher, data, orders->bytes), 0);
    companion_arrive(companion);
    weir_publisher_close(publisher);
}

static void receive(struct weir_subscriber *subscriber, unsigned count)
{
    unsigned char data[1000];
    struct weir_message message;
    for (unsigned i = 0; i < count; i++)
        assert_result(weir_subscriber_receive_until(subscriber, data, sizeof data, &message,
                                                    weir_deadline_ns(20 * SECOND_NS)),
                      0);
}

static void end_well(struct companion *companion)
{
    companion_release(companion);
    assert_int_equal(companion_end(companion), 0);
}

static void test_exact_counts(void **state)
{
    struct orders orders = { .messages = 5000, .bytes = 100 }; /* eight times round the ring */
    struct weir_subscriber *subscriber;
    struct companion companion;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, channel, NULL), 0);
    companion_start(&companion, send_all, &orders);
    receive(subscriber, 4990);
    companion_meet(&companion);
    struct seen seen = look();
    const struct weir_channel_reading *reading = &seen.readings[0][0];
    assert_int_equal(seen.publisher_count, 1);
    assert_int_equal(seen.publishers[0].committed_messages, 5000);
    assert_int_equal(seen.publishers[0].slowest, seen.subscribers[0].slot);
    assert_int_equal(seen.publishers[0].used_bytes, reading->lag_bytes);
    assert_true(seen.publishers[0].looks >= 5000 * 112 / RING);
    assert_int_equal(seen.subscribers[0].released_messages, 4990);
    assert_int_equal(seen.subscribers[0].released_bytes, reading->released_bytes);
    assert_int_equal(reading->released_messages, 4990);
    assert_int_equal(reading->identity, seen.publishers[0].identity);
    assert_int_equal(reading->has_lag, WEIR_LAG_BYTES | WEIR_LAG_MESSAGES);
    assert_int_equal(reading->lag_messages, 10);
    /* 100 bytes take 112 with their header, and a pad at the ring's end less than that. */
    assert_true(reading->lag_bytes >= 1120 && reading->lag_bytes < 1120 + 112);
    assert_int_equal(reading->is_slowest, 1);
    assert_int_equal(seen.subscribers[0].missed_messages, 0);
    receive(subscriber, 10);
    seen = look();
    assert_int_equal(seen.readings[0][0].lag_bytes, 0);
    assert_int_equal(seen.readings[0][0].is_slowest, 0);
    assert_int_equal(seen.publishers[0].slowest, WEIR_SLOT_NONE);
    assert_int_equal(seen.publishers[0].used_bytes, 0);
    end_well(&companion);
    weir_subscriber_close(subscriber);
}

/* The cursor stands before what is held, or, if it had to wait and announced that, behind it. */
static bool is_released(uint64_t bytes, uint64_t before, uint64_t behind)
{
    return bytes == before || bytes == behind;
}

/* What is held when a publisher has gone counts when it is given back, in whatever order. */
static void test_publishers_that_come_and_go(void **state)
{
    struct orders orders[] = { { 7, 8 }, { 30, 50 }, { 3, 1 } };
    const uint64_t bytes = 7 * 16 + 30 * 64 + 3 * 16;
    struct weir_message held[2], message;
    struct weir_subscriber *subscriber;
    struct companion companions[3];
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, channel, NULL), 0);
    for (int i = 0; i < 3; i++) {
        companion_start(&companions[i], send_all, &orders[i]);
        for (int k = 0; i == 1 && k < 2; k++)
            assert_result(
                weir_subscriber_take_until(subscriber, &held[k], weir_deadline_ns(20 * SECOND_NS)),
                0);
        receive(subscriber, orders[i].messages - (i == 1 ? 2 : 0));
        companion_meet(&companions[i]);
        end_well(&companions[i]);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENODATA);
    }
    struct seen seen = look();
    assert_int_equal(seen.subscribers[0].is_exact, 1);
    assert_int_equal(seen.subscribers[0].released_messages, 38);
    uint64_t released = seen.subscribers[0].released_bytes;
    bool is_one_announced = released == bytes - 29 * 64; /* it waited for the second */
    assert_true(is_one_announced || is_released(released, bytes - 30 * 64, bytes));
    assert_result(weir_subscriber_release(subscriber, &held[1]), 0);
    assert_int_equal(look().subscribers[0].released_messages, 39);
    assert_true(is_released(look().subscribers[0].released_bytes, bytes - 30 * 64, bytes));
    assert_result(weir_subscriber_release(subscriber, &held[0]), 0);
    assert_int_equal(look().subscribers[0].released_messages, 40);
    assert_int_equal(look().subscribers[0].released_bytes, bytes);
    weir_subscriber_close(subscriber);
}

/* So many each, of one who gives no room before both have attached it. */
static void receive_both(struct weir_subscriber *one, struct weir_subscriber *other, unsigned count)
{
    struct weir_subscriber *subscribers[] = { one, other };
    int64_t deadline_ns = weir_deadline_ns(20 * SECOND_NS);
    unsigned counts[2] = { 0, 0 };
    unsigned char data[1000];
    while (counts[0] + counts[1] < 2 * count) {
        assert_true(weir_now_ns() < deadline_ns);
        for (int i = 0; i < 2; i++)
            if (weir_subscriber_receive_until(subscribers[i], data, sizeof data, NULL, NOW) == 0)
                counts[i]++;
    }
    assert_int_equal(counts[0], count);
}

/* Two publishers at once, of whom one is killed; a late subscriber has what came after it. */
static void test_totals_of_several(void **state)
{
    struct orders orders[] = { { 20, 8 }, { 10, 8 } };
    struct weir_subscriber *first, *late;
    struct companion companions[2];
    (void)state;
    assert_result(weir_subscriber_open(&first, channel, NULL), 0);
    companion_start(&companions[0], send_all, &orders[0]);
    receive(first, 20);
    companion_meet(&companions[0]);
    assert_result(weir_subscriber_open(&late, channel, NULL), 0);
    companion_start(&companions[1], send_all, &orders[1]);
    receive_both(first, late, 10);
    companion_meet(&companions[1]);
    kill(companions[0].pid, SIGKILL);
    waitpid(companions[0].pid, NULL, 0);
    struct seen seen = look();
    assert_int_equal(seen.subscribers[0].released_messages, 30);
    assert_int_equal(seen.subscribers[1].released_messages, 10);
    assert_int_equal(seen.subscribers[1].released_bytes, 160);
    end_well(&companions[1]);
    weir_subscriber_close(first);
    weir_subscriber_close(late);
    close(companions[0].to_child);
    close(companions[0].from_child);
}

static void receive_one(struct companion *companion, void *argument)
{
    struct weir_subscriber *subscriber;
    unsigned char byte;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, channel, NULL), 0);
    CHECK_RESULT(weir_subscriber_receive(subscriber, &byte, 1), 0);
    companion_arrive(companion);
    weir_subscriber_close(subscriber);
}

static bool subscriber_sleeps(const struct seen *seen)
{
    return seen->subscriber_count == 1 && seen->subscribers[0].reading_count == 1 &&
           seen->subscribers[0].activity == WEIR_ACTIVITY_ASLEEP;
}

static void test_a_sleeper_is_woken_once(void **state)
{
    struct weir_publisher *publisher;
    struct companion companion;
    (void)state;
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    companion_start(&companion, receive_one, NULL);
    struct seen seen = look_until(subscriber_sleeps);
    assert_int_equal(seen.subscribers[0].need, WEIR_NEED_MESSAGE);
    assert_true(seen.subscribers[0].sleeps >= 1);
    assert_true(seen.subscribers[0].waits >= seen.subscribers[0].sleeps);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    uint64_t before = look().publishers[0].wakes;
    look_until(subscriber_sleeps);
    assert_result(weir_publisher_send(publisher, "a", 1), 0);
    companion_meet(&companion);
    seen = look();
    assert_int_equal(seen.publishers[0].wakes, before + 1);
    assert_int_equal(seen.subscribers[0].activity, WEIR_ACTIVITY_AWAKE);
    assert_int_equal(seen.subscribers[0].need, WEIR_NEED_NOTHING);
    /* It is awake, and does not wait for more: nobody is woken. */
    for (int i = 0; i < 10; i++)
        assert_result(weir_publisher_send(publisher, "a", 1), 0);
    assert_int_equal(look().publishers[0].wakes, before + 1);
    end_well(&companion);
    weir_publisher_close(publisher);
}

/* What is refused for another reason than room is not among a publisher's refusals. */
static void test_refusals_are_for_room(void **state)
{
    static const unsigned char data[1000];
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    assert_result(weir_subscriber_open(&subscriber, channel, NULL), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, weir_deadline_ns(1)), -ETIMEDOUT);
    assert_result(weir_publisher_send(publisher, data, sizeof data), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(1)), -ETIMEDOUT);
    assert_int_equal(look().publishers[0].refusals, 0);
    while (weir_publisher_send_until(publisher, data, sizeof data, 0, NOW) == 0) {
    }
    assert_int_equal(look().publishers[0].refusals, 1);
    assert_result(weir_publisher_send_until(publisher, data, sizeof data, 0, weir_deadline_ns(1)),
                  -ETIMEDOUT);
    assert_int_equal(look().publishers[0].refusals, 2);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void fill_and_wait(struct companion *companion, void *argument)
{
    static const unsigned char data[1000];
    struct weir_publisher *publisher;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, channel, &small), 0);
    companion_arrive(companion);
    while (weir_publisher_send_until(publisher, data, sizeof data, 0, NOW) == 0) {
    }
    for (int i = 0; i < 2; i++)
        CHECK_RESULT(weir_publisher_send_until(publisher, data, sizeof data, 0, NOW), -EAGAIN);
    CHECK_RESULT(weir_publisher_send(publisher, data, sizeof data), 0);
    companion_arrive(companion);
    weir_publisher_close(publisher);
}

static bool publisher_sleeps(const struct seen *seen)
{
    return seen->publisher_count == 1 && seen->publishers[0].activity == WEIR_ACTIVITY_ASLEEP;
}

static void test_who_blocks_whom(void **state)
{
    struct weir_subscriber *fast, *slow;
    struct companion companion;
    (void)state;
    assert_result(weir_subscriber_open(&fast, channel, NULL), 0);
    assert_result(weir_subscriber_open(&slow, channel, NULL), 0);
    companion_start(&companion, fill_and_wait, NULL);
    companion_meet(&companion);
    /* The slow one has not attached it yet, and so gives no room at all. */
    assert_result(weir_subscriber_wait_publisher(fast, NOW), 0);
    companion_release(&companion);
    struct seen seen = look_until(publisher_sleeps);
    assert_int_equal(seen.publishers[0].need, WEIR_NEED_ATTACH);
    assert_int_equal(seen.publishers[0].slowest, 1);
    assert_int_equal(seen.publishers[0].refusals, 3);
    assert_int_equal(seen.publishers[0].committed_messages, 0);
    kill(companion.pid, SIGKILL);
    waitpid(companion.pid, NULL, 0);
    weir_subscriber_close(fast);
    weir_subscriber_close(slow);
    close(companion.to_child);
    close(companion.from_child);
}

static void test_who_blocks_whom_in_an_event_loop(void **state)
{
    static const unsigned char data[1000];
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, channel, NULL), 0);
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    assert_true(weir_publisher_fd(publisher) >= 0);
    /* The ring is empty: it is not attached. */
    assert_result(weir_publisher_send_until(publisher, data, sizeof data, 0, NOW), -EAGAIN);
    struct weir_channel_member seen = look().publishers[0];
    assert_int_equal(seen.activity, WEIR_ACTIVITY_POLLING);
    assert_int_equal(seen.need, WEIR_NEED_ATTACH);
    assert_int_equal(seen.slowest, 0);
    assert_string_equal(weir_need_name(seen.need), "attach");
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    int result, count = 0;
    while ((result = weir_publisher_send_until(publisher, data, sizeof data, 0, NOW)) == 0)
        count++;
    assert_result(result, -EAGAIN);
    assert_true(count > 0);
    seen = look().publishers[0];
    assert_int_equal(seen.activity, WEIR_ACTIVITY_POLLING);
    assert_int_equal(seen.need, WEIR_NEED_ROOM);
    assert_int_equal(seen.slowest, 0);
    /* There is room: told by the descriptor, and not waited for any more, whether it has called or not. */
    unsigned char byte[sizeof data];
    for (int i = 0; i < count; i++)
        assert_result(weir_subscriber_receive(subscriber, byte, sizeof byte), 0);
    assert_int_equal(poll(&(struct pollfd){ weir_publisher_fd(publisher), POLLIN, 0 }, 1, -1), 1);
    assert_int_equal(look().publishers[0].need, WEIR_NEED_NOTHING);
    assert_result(weir_publisher_send_until(publisher, data, sizeof data, 0, NOW), 0);
    assert_int_equal(look().publishers[0].need, WEIR_NEED_NOTHING);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void test_the_slowest_of_two(void **state)
{
    struct weir_subscriber *fast, *slow;
    struct companion companion;
    (void)state;
    assert_result(weir_subscriber_open(&slow, channel, NULL), 0);
    assert_result(weir_subscriber_open(&fast, channel, NULL), 0);
    companion_start(&companion, fill_and_wait, NULL);
    companion_meet(&companion);
    assert_result(weir_subscriber_wait_publisher(fast, NOW), 0);
    assert_result(weir_subscriber_wait_publisher(slow, NOW), 0);
    companion_release(&companion);
    struct seen seen = look_until(publisher_sleeps);
    uint64_t sent = seen.publishers[0].committed_messages;
    struct seen before = seen;
    receive(fast, (unsigned)sent);
    seen = look_until(publisher_sleeps); /* all the same: for the other */
    assert_int_equal(seen.publishers[0].slowest, 0);
    assert_int_equal(seen.publishers[0].committed_messages, sent);
    assert_int_equal(seen.publishers[0].used_bytes, seen.publishers[0].committed_bytes);
    assert_int_equal(seen.publishers[0].refusals, 3);
    assert_int_equal(seen.readings[0][0].lag_messages, sent);
    assert_int_equal(seen.readings[0][0].is_slowest, 1);
    assert_int_equal(seen.readings[1][0].lag_messages, 0);
    assert_int_equal(seen.readings[1][0].is_slowest, 0);
    receive(slow, (unsigned)sent);
    companion_meet(&companion);
    seen = look();
    assert_int_equal(seen.publishers[0].committed_messages, sent + 1);
    /* Each rang it where it slept for room, and once more at most for each message. */
    for (int i = 0; i < 2; i++)
        assert_true(seen.subscribers[i].wakes > before.subscribers[i].wakes &&
                    seen.subscribers[i].wakes <= before.subscribers[i].wakes + sent);
    end_well(&companion);
    weir_subscriber_close(fast);
    weir_subscriber_close(slow);
}

static void send_many(struct weir_publisher *publisher, unsigned count)
{
    static const unsigned char data[100];
    for (unsigned i = 0; i < count; i++)
        assert_result(weir_publisher_send_until(publisher, data, sizeof data, 0, NOW), 0);
}

/* Reads what is left: messages, and what each says was missed before it. */
static void read_all(struct weir_subscriber *subscriber, uint64_t *received, uint64_t *missed)
{
    unsigned char data[100];
    struct weir_message message;
    for (int result = 0; result == 0 || result == -EOVERFLOW;) {
        result = weir_subscriber_receive_until(subscriber, data, sizeof data, &message, NOW);
        *received += result == 0;
        *missed += result == 0 ? message.missed : 0;
    }
}

static void test_what_a_lossy_one_missed(void **state)
{
    struct weir_channel_options lossy = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    struct weir_publisher *publisher;
    uint64_t received = 0, missed = 0;
    (void)state;
    lossy.delivery = WEIR_DELIVERY_LOSSY;
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    assert_result(weir_subscriber_open(&subscriber, channel, &lossy), 0);
    for (int round = 1; round <= 3; round++) {
        send_many(publisher, 2000);
        struct seen seen = look();
        assert_int_equal(seen.subscribers[0].is_lossy, 1);
        assert_int_equal(seen.publishers[0].committed_messages, 2000 * round);
        assert_int_equal(seen.publishers[0].is_exact, 1);
        /* It is further behind than the ring is long, and nobody waits for it. */
        assert_int_equal(seen.readings[0][0].lag_messages, 2000);
        assert_true(seen.readings[0][0].lag_bytes >= 2000 * 112);
        assert_int_equal(seen.publishers[0].used_bytes, 0);
        assert_int_equal(seen.publishers[0].slowest, WEIR_SLOT_NONE);
        read_all(subscriber, &received, &missed);
        seen = look();
        assert_int_equal(received + missed, 2000 * round);
        assert_int_equal(seen.subscribers[0].missed_messages, missed);
        assert_int_equal(seen.subscribers[0].released_messages, received);
        assert_int_equal(seen.readings[0][0].lag_messages, 0);
        /* Its own messages, and a pad at each end of the ring that it passed. */
        assert_true(seen.subscribers[0].released_bytes >= received * 112 &&
                    seen.subscribers[0].released_bytes < received * 112 + 8 * 112);
    }
    assert_true(missed > 0 && received > 0);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void test_evictions(void **state)
{
    struct weir_channel_options limited = small;
    struct weir_subscriber *quick, *slow;
    struct weir_publisher *publisher;
    uint64_t received[2] = { 0, 0 }, missed[2] = { 0, 0 };
    (void)state;
    limited.lag_max_bytes = RING / 2;
    assert_result(weir_publisher_open(&publisher, channel, &limited), 0);
    assert_result(weir_subscriber_open(&quick, channel, NULL), 0);
    assert_result(weir_subscriber_open(&slow, channel, NULL), 0);
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 40; i++) {
            send_many(publisher, 50);
            read_all(quick, &received[0], &missed[0]);
        }
        struct seen seen = look();
        assert_int_equal(seen.publishers[0].evicts, 1);
        assert_int_equal(seen.publishers[0].evictions, round);
        read_all(slow, &received[1], &missed[1]);
        seen = look();
        assert_int_equal(seen.subscribers[0].missed_messages, 0);
        assert_int_equal(seen.subscribers[0].released_messages, 2000 * round);
        assert_int_equal(seen.subscribers[1].missed_messages, missed[1]);
        assert_int_equal(seen.subscribers[1].released_messages, received[1]);
        assert_int_equal(received[1] + missed[1], 2000 * round);
    }
    weir_subscriber_close(quick);
    weir_subscriber_close(slow);
    weir_publisher_close(publisher);
}

static void subscribe_and_die(void *argument)
{
    struct weir_subscriber *subscriber;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, channel, NULL), 0);
    raise(SIGKILL);
}

static void publish_and_die(void *argument)
{
    struct weir_publisher *publisher;
    CHECK_RESULT(weir_publisher_open(&publisher, channel, argument), 0);
    raise(SIGKILL);
}

static void test_the_dead_that_are_reaped(void **state)
{
    static const unsigned char data[1000];
    struct weir_publisher *publisher;
    int64_t deadline_ns = weir_deadline_ns(20 * SECOND_NS);
    (void)state;
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(WTERMSIG(status_in_child(subscribe_and_die, NULL)), SIGKILL);
    assert_int_equal(look().publishers[0].reaped, 0);
    /* Until the ring is full, which it is of nobody: it must find that they are dead. */
    for (unsigned i = 0; i < 2 * RING / 1000; i++)
        assert_result(weir_publisher_send_until(publisher, data, sizeof data, 0, deadline_ns), 0);
    struct seen seen = look();
    assert_int_equal(seen.subscriber_count, 0);
    /* The second and the third may have come to the place of the one before. */
    assert_true(seen.publishers[0].reaped >= 1 && seen.publishers[0].reaped <= 3);
    weir_publisher_close(publisher);
}

/* In a channel for one, the next one takes the place. */
static void test_a_place_of_the_dead(void **state)
{
    struct weir_channel_options one = small;
    struct weir_subscriber *subscriber;
    struct weir_publisher *publisher;
    (void)state;
    one.publishers_max = 1;
    one.subscribers_max = 1;
    assert_result(weir_subscriber_open(&subscriber, channel, &one), 0);
    assert_int_equal(WTERMSIG(status_in_child(publish_and_die, &one)), SIGKILL);
    assert_int_equal(look().publishers[0].life, WEIR_LIFE_DEAD);
    assert_int_equal(look().publishers[0].activity, 0);
    assert_result(weir_publisher_open(&publisher, channel, &one), 0);
    assert_int_equal(look().publishers[0].life, WEIR_LIFE_ALIVE);
    assert_int_equal(look().publishers[0].reaped, 1);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_who_polls(void **state)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    unsigned char byte;
    (void)state;
    assert_result(weir_publisher_open(&publisher, channel, &small), 0);
    assert_result(weir_subscriber_open(&subscriber, channel, NULL), 0);
    assert_int_equal(look().subscribers[0].activity, WEIR_ACTIVITY_AWAKE);
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    assert_int_equal(look().subscribers[0].activity, WEIR_ACTIVITY_POLLING);
    assert_result(weir_publisher_send(publisher, "a", 1), 0);
    assert_result(weir_subscriber_receive_until(subscriber, &byte, 1, NULL, NOW), 0);
    assert_int_equal(look().subscribers[0].activity, WEIR_ACTIVITY_POLLING);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, crowd_check)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exact_counts),
        TEST(test_publishers_that_come_and_go),
        TEST(test_totals_of_several),
        TEST(test_a_sleeper_is_woken_once),
        TEST(test_who_blocks_whom),
        TEST(test_who_blocks_whom_in_an_event_loop),
        TEST(test_the_slowest_of_two),
        TEST(test_the_dead_that_are_reaped),
        TEST(test_refusals_are_for_room),
        TEST(test_a_place_of_the_dead),
        TEST(test_what_a_lossy_one_missed),
        TEST(test_evictions),
        TEST(test_who_polls),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
