/* SPDX-License-Identifier: MIT */
/*
 * Goal: what the calls say in a channel of several publishers and subscribers is what the header
 *       says: who may join, whom one waits for, and when it is the end.
 * Method: handles of one process, in an order that the test chooses; a child where somebody is
 *       to be killed.
 */
#include "crowd.h"
#include "fixture.h"
#include "unrun.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct weir_channel_options made_for(uint32_t publishers, uint32_t subscribers)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = publishers;
    options.subscribers_max = subscribers;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    return options;
}

static void has_said(const char *text)
{
    if (!strstr(weir_last_error(), text))
        fail_msg("'%s' is not in: %s", text, weir_last_error());
}

static void test_numbers_must_agree(void **state)
{
    (void)state;
    struct weir_channel_options options = made_for(3, 5);
    struct weir_publisher *publisher, *none = NULL;
    struct weir_subscriber *subscriber;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    options = made_for(4, 0);
    assert_result(weir_publisher_open(&none, CHANNEL, &options), -EINVAL);
    has_said("was made for 3 publishers, not for 4");
    options = made_for(3, 64);
    assert_result(weir_publisher_open(&none, CHANNEL, &options), -EINVAL);
    has_said("was made for 5 subscribers, not for 64");
    assert_null(none);
    options = made_for(0, 5);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 6, NOW), -EINVAL);
    has_said("6 subscribers: this channel was made for 5");
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    /* With the last member the numbers are forgotten. */
    options = made_for(7, 1);
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    weir_publisher_close(publisher);
}

static void test_4096_of_each(void **state)
{
    (void)state;
    const uint32_t most = WEIR_CHANNEL_MEMBERS_MAX;
    struct weir_channel_options options = made_for(most + 1, 1);
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    has_said("4096 each at most");
    options = made_for(1, UINT32_MAX);
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    options = made_for(most, most);
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    assert_int_equal(crowd_send(publisher, 1, 100, weir_deadline_ns(SECOND_NS)), 0);
    assert_result(crowd_take(subscriber, 0, weir_deadline_ns(SECOND_NS)), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, most, NOW), -EAGAIN);
    weir_publisher_close(publisher);
    assert_result(crowd_take(subscriber, 0, weir_deadline_ns(SECOND_NS)), -ENODATA);
    weir_subscriber_close(subscriber);
}

static void join_and_wait(struct companion *companion, void *argument)
{
    struct weir_channel_options options = made_for(3, 3);
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    if (argument)
        CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    else
        CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    companion_arrive(companion);
}

/* Three places, two of them this process's, one of a child that is killed: its place is the next one's. */
static void fill_three(bool of_publishers)
{
    struct weir_channel_options options = made_for(3, 3);
    struct weir_publisher *publishers[3] = { NULL };
    struct weir_subscriber *subscribers[3] = { NULL };
    struct companion companion;
    char role = 'p';
    for (int i = 0; i < 2; i++)
        assert_result(of_publishers ? weir_publisher_open(&publishers[i], CHANNEL, &options)
                                    : weir_subscriber_open(&subscribers[i], CHANNEL, &options),
                      0);
    companion_start(&companion, join_and_wait, of_publishers ? &role : NULL);
    companion_meet(&companion);
    for (int i = 0; i < 2; i++) {
        assert_result(of_publishers ? weir_publisher_open(&publishers[2], CHANNEL, NULL)
                                    : weir_subscriber_open(&subscribers[2], CHANNEL, NULL),
                      -EBUSY);
        has_said(of_publishers ? "has 3 publishers already: it was made for no more"
                               : "has 3 subscribers already: it was made for no more");
    }
    crowd_kill(companion.pid);
    close(companion.to_child);
    close(companion.from_child);
    assert_result(of_publishers ? weir_publisher_open(&publishers[2], CHANNEL, NULL)
                                : weir_subscriber_open(&subscribers[2], CHANNEL, NULL),
                  0);
    for (int i = 0; i < 3; i++) {
        weir_publisher_close(publishers[i]);
        weir_subscriber_close(subscribers[i]);
    }
}

static void test_full(void **state)
{
    (void)state;
    struct weir_channel_options options = made_for(1, 1);
    struct weir_publisher *publisher, *other = NULL;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    assert_result(weir_publisher_open(&other, CHANNEL, &options), -EBUSY);
    has_said("has a publisher already");
    assert_null(other);
    weir_publisher_close(publisher);
    fill_three(true);
    fill_three(false);
}

/* Who is made for none in particular is made for 64 of each: the 65th is told so. */
static void test_the_65th(void **state)
{
    (void)state;
    enum { MOST = WEIR_CHANNEL_MEMBERS_DEFAULT };
    struct weir_publisher *publishers[MOST], *publisher = NULL;
    struct weir_subscriber *subscribers[MOST], *subscriber = NULL;
    for (int i = 0; i < MOST; i++) {
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
        subscribers[i] = crowd_subscriber();
    }
    assert_result(weir_publisher_open(&publisher, CHANNEL, NULL), -EBUSY);
    has_said("has 64 publishers already: it was made for no more");
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, NULL), -EBUSY);
    has_said("has 64 subscribers already: it was made for no more");
    assert_true(!publisher && !subscriber);
    /* It disturbs nobody; and as soon as one has left, it may come. */
    for (int i = 0; i < MOST; i++)
        assert_result(crowd_take(subscribers[i], (unsigned)i, NOW), -EAGAIN);
    assert_result(crowd_send(publishers[MOST - 1], 1, 100, NOW), 0);
    for (int i = 0; i < MOST; i++)
        assert_result(crowd_take(subscribers[i], (unsigned)i, NOW), 0);
    weir_publisher_close(publishers[7]);
    publishers[7] = crowd_publisher(WEIR_RING_BYTES_MIN);
    weir_subscriber_close(subscribers[9]);
    subscribers[9] = crowd_subscriber();
    for (int i = 0; i < MOST; i++) {
        weir_publisher_close(publishers[i]);
        weir_subscriber_close(subscribers[i]);
    }
}

/* What was committed is no loan any more: a second commit changes nothing, and sends nothing. */
static void test_committed_twice(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_message message;
    void *loan, *loans[3];
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    for (int is_batch = 0; is_batch < 2; is_batch++) {
        if (is_batch)
            assert_result(weir_publisher_batch_begin(publisher), 0);
        assert_result(weir_publisher_loan_until(publisher, 16, &loan, NOW), 0);
        memcpy(loan, "once", 4);
        assert_result(weir_publisher_commit(publisher, 4, 1), 0);
        assert_result(weir_publisher_commit(publisher, 4, 2), -EINVAL);
        assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 1), -EINVAL);
        assert_int_equal(weir_publisher_loan_many_until(publisher, 4, loans, 3, NOW), 3);
        for (int i = 0; i < 3; i++)
            memcpy(loans[i], "many", 4);
        assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 3), 0);
        assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 3), -EINVAL);
        assert_result(weir_publisher_commit(publisher, 4, 3), -EINVAL);
        if (is_batch)
            assert_result(weir_publisher_batch_end(publisher), 0);
        for (int i = 0; i < 4; i++) {
            assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
            assert_int_equal(message.size_bytes, 4);
            assert_int_equal(message.type, i == 0);
            assert_memory_equal(message.data, i == 0 ? "once" : "many", 4);
            assert_result(weir_subscriber_release(subscriber, &message), 0);
        }
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* What a subscriber does not hold it cannot give back: what is held, by whomever, stays held. */
static void expect_not_held(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    assert_result(weir_subscriber_release(subscriber, message), -EINVAL);
    assert_result(weir_subscriber_release_many(subscriber, message, 1), -EINVAL);
    assert_result(weir_subscriber_check(subscriber, message), -EINVAL);
}

static void test_released_by_another(void **state)
{
    (void)state;
    struct weir_subscriber *a = crowd_subscriber(), *b = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_message of_a[2], of_b;
    assert_result(crowd_take(a, 0, NOW), -EAGAIN);
    assert_result(crowd_take(b, 1, NOW), -EAGAIN);
    for (int i = 0; i < 2; i++)
        assert_result(crowd_send(publisher, 1, 100, NOW), 0);
    for (int i = 0; i < 2; i++)
        assert_result(weir_subscriber_take_until(a, &of_a[i], NOW), 0);
    expect_not_held(b, &of_a[0]); /* it holds nothing */
    assert_result(weir_subscriber_take_until(b, &of_b, NOW), 0);
    expect_not_held(b, &of_a[1]); /* and now another one */
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    crowd_note(0, &of_a[0]);
    crowd_note(0, &of_a[1]);
    crowd_note(1, &of_b);
    assert_result(weir_subscriber_release_many(a, of_a, 2), 0);
    assert_result(weir_subscriber_release(b, &of_b), 0);
    assert_result(crowd_take(b, 1, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(a);
    weir_subscriber_close(b);
}

/* Of a handle that is closed, in another one of the same channel; of a publisher that has gone. */
static void test_released_after_close(void **state)
{
    (void)state;
    struct weir_subscriber *former = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_message held, next;
    assert_result(crowd_take(former, 0, NOW), -EAGAIN);
    assert_result(crowd_send(publisher, 1, 100, NOW), 0);
    assert_result(weir_subscriber_take_until(former, &held, NOW), 0);
    weir_subscriber_close(former);
    struct weir_subscriber *subscriber = crowd_subscriber();
    expect_not_held(subscriber, &held);
    assert_result(crowd_send(publisher, 1, 100, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &next, NOW), 0);
    expect_not_held(subscriber, &held);
    /* What is held stays when its publisher closes, and is given back once. */
    weir_publisher_close(publisher);
    assert_result(crowd_take(subscriber, 0, NOW), -ENODATA);
    crowd_note(0, &next);
    assert_result(weir_subscriber_release(subscriber, &next), 0);
    expect_not_held(subscriber, &next);
    weir_subscriber_close(subscriber);
}

static void test_wait_subscribers(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscribers[3];
    for (uint32_t i = 0; i < 3; i++) {
        assert_result(weir_publisher_wait_subscribers(publisher, i + 1, NOW), -EAGAIN);
        assert_result(weir_publisher_wait_subscribers(publisher, i + 1, weir_deadline_ns(MS_NS)),
                      -ETIMEDOUT);
        subscribers[i] = crowd_subscriber();
        assert_result(weir_publisher_wait_subscribers(publisher, i + 1, NOW), 0);
    }
    weir_subscriber_close(subscribers[1]);
    assert_result(weir_publisher_wait_subscribers(publisher, 3, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    weir_subscriber_close(subscribers[0]);
    weir_subscriber_close(subscribers[2]);
    assert_result(weir_publisher_wait_subscribers(publisher, 0, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
    weir_publisher_close(publisher);
}

static void subscribe_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    struct weir_subscriber *subscriber = crowd_subscriber();
    companion_arrive(companion);
    CHECK_RESULT(crowd_take(subscriber, 0, WEIR_NEVER), 0);
}

/* Nobody waits while they are killed: the one that the publisher knows, and the one that it does not. */
static void test_wait_subscribers_counts_no_dead(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    for (int is_known = 0; is_known < 2; is_known++) {
        struct companion companion;
        companion_start(&companion, subscribe_until_killed, NULL);
        companion_meet(&companion);
        if (is_known)
            assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
        crowd_kill(companion.pid);
        close(companion.to_child);
        close(companion.from_child);
        assert_int_equal(weir_publisher_subscribers(publisher), 1);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
        assert_int_equal(weir_publisher_subscribers(publisher), 0);
    }
    weir_publisher_close(publisher);
}

static void test_wait_taken(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *a = crowd_subscriber(), *b = crowd_subscriber();
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(crowd_take(a, 0, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(MS_NS)), -ETIMEDOUT);
    assert_result(crowd_take(b, 1, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);

    /* One leaves without it: the others count. */
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_result(crowd_take(a, 0, NOW), 0);
    weir_subscriber_close(b);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);

    /* All have released all, and have left since. */
    b = crowd_subscriber();
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_result(crowd_take(a, 0, NOW), 0);
    assert_result(crowd_take(b, 2, NOW), 0);
    weir_subscriber_close(a);
    weir_subscriber_close(b);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);

    /* The last one has not. */
    a = crowd_subscriber();
    b = crowd_subscriber();
    assert_int_equal(crowd_send(publisher, 1, 64, NOW), 0);
    assert_result(crowd_take(a, 3, NOW), 0);
    weir_subscriber_close(a);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    weir_subscriber_close(b);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    weir_publisher_close(publisher);
}

static void publish_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    CHECK_RESULT(crowd_send(publisher, 9, 40, weir_deadline_ns(10 * SECOND_NS)), 0);
    companion_arrive(companion);
}

/* What a take gives that waits for an end, within a second of what it was run. */
static int take_end(struct weir_subscriber *subscriber)
{
    struct unrun unrun;
    int64_t begun_ns = weir_now_ns();
    unrun_begin(&unrun, &(pid_t){ getpid() }, 1);
    int result = crowd_take(subscriber, 0, weir_deadline_ns(20 * SECOND_NS));
    assert_true(weir_now_ns() - begun_ns - unrun_ns(&unrun) < SECOND_NS);
    return result;
}

/* The end is told once, and only after the last publisher: how that one went is what is told. */
static void test_end(void **state)
{
    (void)state;
    for (int is_killed_last = 0; is_killed_last < 2; is_killed_last++) {
        struct weir_subscriber *subscriber = crowd_subscriber();
        struct weir_publisher *first = crowd_publisher(WEIR_RING_BYTES_MIN);
        struct weir_publisher *second = crowd_publisher(WEIR_RING_BYTES_MIN);
        struct companion companion;
        companion_start(&companion, publish_until_killed, NULL);
        assert_result(crowd_take(subscriber, 0, weir_deadline_ns(10 * SECOND_NS)), 0);
        companion_meet(&companion);
        assert_result(weir_publisher_end(first), 0);
        assert_result(crowd_take(subscriber, 0, weir_deadline_ns(MS_NS)), -ETIMEDOUT);
        weir_publisher_close(is_killed_last ? second : first);
        assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
        if (!is_killed_last)
            assert_int_equal(crowd_send(second, 2, 40, NOW), 0);
        crowd_kill(companion.pid);
        close(companion.to_child);
        close(companion.from_child);
        if (!is_killed_last) {
            assert_result(crowd_take(subscriber, 0, NOW), 0);
            assert_result(crowd_take(subscriber, 0, weir_deadline_ns(500 * MS_NS)), -ETIMEDOUT);
            weir_publisher_close(second);
        }
        assert_result(take_end(subscriber), is_killed_last ? -EPIPE : -ENODATA);
        assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
        if (is_killed_last)
            weir_publisher_close(first);
        weir_subscriber_close(subscriber);
    }
}

static void subscribe_for_all(void *argument)
{
    uint32_t count = *(const uint32_t *)argument;
    struct weir_subscriber **subscribers = calloc(count, sizeof(struct weir_subscriber *));
    struct weir_channel_options options = made_for(1, count);
    struct weir_publisher *publisher;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    for (uint32_t i = 0; i < count; i++)
        CHECK_RESULT(weir_subscriber_open(&subscribers[i], CHANNEL, NULL), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, count, NOW), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(crowd_send(publisher, 1, 200, NOW), 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t who;
        uint64_t number;
        struct weir_message message;
        for (uint64_t expected = 0; expected < 3; expected++) {
            CHECK_RESULT(weir_subscriber_take_until(subscribers[i], &message, NOW), 0);
            crowd_read(&message, &who, &number);
            CHECK(number == expected && message.sequence == expected);
            CHECK_RESULT(weir_subscriber_release(subscribers[i], &message), 0);
        }
        CHECK_RESULT(weir_publisher_wait_taken(publisher, NOW), i + 1 < count ? -EAGAIN : 0);
    }
    weir_publisher_close(publisher);
    for (uint32_t i = 0; i < count; i++) {
        struct weir_message message;
        CHECK_RESULT(weir_subscriber_take_until(subscribers[i], &message, NOW), -ENODATA);
        weir_subscriber_close(subscribers[i]);
    }
    free(subscribers);
}

static void test_1000_subscribers(void **state)
{
    (void)state;
    uint32_t count = SANITIZED ? 100 : 1000;
    in_child(subscribe_for_all, &count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_numbers_must_agree),
        CROWD_TEST(test_4096_of_each),
        CROWD_TEST(test_full),
        CROWD_TEST(test_the_65th),
        CROWD_TEST(test_committed_twice),
        CROWD_TEST(test_released_by_another),
        CROWD_TEST(test_released_after_close),
        CROWD_TEST(test_wait_subscribers),
        CROWD_TEST(test_wait_subscribers_counts_no_dead),
        CROWD_TEST(test_wait_taken),
        CROWD_TEST(test_end),
        CROWD_TEST(test_1000_subscribers),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
