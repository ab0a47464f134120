/* SPDX-License-Identifier: MIT */
/*
 * Goal: what stays of a persistent channel stays, and nothing else.
 * Method: makers that leave, are killed, or have the channel removed under them, by weir or by the kernel.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/inspect.h>

struct point {
    double x, y;
};

static const struct weir_channel_options persistent = {
    .size = sizeof persistent,
    .flags = WEIR_CHANNEL_PERSISTENT,
    .publishers_max = 3,
    .subscribers_max = 5,
    .type_name = "struct point",
    .type_bytes = sizeof(struct point),
};

static void make_and_die(void *argument)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &persistent), 0);
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, NULL), 0);
    CHECK_RESULT(weir_publisher_send(publisher, &(struct point){ 1, 0 }, sizeof(struct point)), 0);
    raise(SIGKILL);
}

static void make_and_leave(void *argument)
{
    struct weir_publisher *publisher;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &persistent), 0);
    weir_publisher_close(publisher);
}

static void expect_terms(uint32_t lifetime)
{
    struct weir_channel_terms terms = { .size = sizeof terms };
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), 0);
    assert_int_equal(terms.lifetime, lifetime);
    assert_int_equal(terms.publishers_max, 3);
    assert_int_equal(terms.subscribers_max, 5);
    assert_int_equal(terms.delivery, 0);
    assert_string_equal(terms.type_name, "struct point");
    assert_int_equal(terms.type_bytes, sizeof(struct point));
}

static void use_and_leave(void *argument)
{
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct point point;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.flags = *(uint32_t *)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, &point, sizeof point, NULL, NOW),
                 -EAGAIN); /* no message of who was there before */
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, &point, sizeof point, NULL, NOW),
                 -EAGAIN); /* but it is attached */
    CHECK_RESULT(weir_publisher_send(publisher, "12345678", 8), -EMSGSIZE);
    CHECK_RESULT(weir_publisher_send(publisher, &(struct point){ 2, 0 }, sizeof point), 0);
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, &point, sizeof point, NULL, NOW), 0);
    CHECK(point.x == 2);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_persistent(void **state)
{
    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        int status = status_in_child(turn == 0 ? make_and_leave : make_and_die, NULL);
        assert_true(turn == 0 ? status == 0 : WIFSIGNALED(status));
        /* Nobody is there; the channel is. */
        expect_terms(WEIR_PERSISTENT);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t flags = i % 2 ? WEIR_CHANNEL_PERSISTENT : 0;
            in_child(use_and_leave, &flags);
            expect_terms(WEIR_PERSISTENT);
        }
        /* Nor does a collector take it. */
        assert_true(weir_collect(0, NULL, NULL) >= 0);
        expect_terms(WEIR_PERSISTENT);
        assert_result(weir_segment_remove(weir_by_name(CHANNEL)), 0);
        struct weir_channel_terms terms = { .size = sizeof terms };
        assert_result(weir_inspect_channel_terms(CHANNEL, &terms), -ENOENT);
    }
}

/* One that is there for the time being does not become another by who comes later. */
static void test_persistent_is_the_makers_word(void **state)
{
    (void)state;
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.flags = WEIR_CHANNEL_PERSISTENT;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "goes with its last member"));
    assert_null(publisher);
    weir_subscriber_close(subscriber);
    options.flags = 1 << 15;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
}

/* What the open can see is wrong is seen before a channel is made that would stay with it. */
static void test_persistent_is_not_made_in_vain(void **state)
{
    (void)state;
    struct weir_publisher *publisher = NULL;
    struct weir_channel_options options = persistent;
    struct weir_channel_terms terms = { .size = sizeof terms };
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.type_bytes = WEIR_RING_BYTES_MIN / 4 - 7;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "'struct point' has 16377 bytes"));
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), -ENOENT);
    options.type_bytes--;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    weir_publisher_close(publisher);
    assert_result(weir_segment_remove(weir_by_name(CHANNEL)), 0);
}

/* Removed under its members: they go on, and do not meet who comes later. */
static void test_persistent_removed_under_members(void **state)
{
    (void)state;
    struct weir_publisher *publisher, *other;
    struct weir_subscriber *subscriber;
    struct point point;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &persistent), 0);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &persistent), 0);
    assert_result(weir_segment_remove(weir_by_name(CHANNEL)), 0);
    assert_result(weir_publisher_open(&other, CHANNEL, &persistent), 0);
    assert_result(weir_publisher_send(other, &(struct point){ 1, 0 }, sizeof(struct point)), 0);
    assert_result(weir_subscriber_receive_until(subscriber, &point, sizeof point, NULL, NOW),
                  -EAGAIN);
    assert_result(weir_publisher_send(publisher, &(struct point){ 2, 0 }, sizeof(struct point)), 0);
    assert_result(weir_subscriber_receive_until(subscriber, &point, sizeof point, NULL, NOW), 0);
    assert_true(point.x == 2);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    weir_publisher_close(other);
    assert_result(weir_segment_remove(weir_by_name(CHANNEL)), 0);
}

/* As 'ipcrm' does it, or a restart: the name stands alone then, and the next one makes it anew. */
static void test_persistent_removed_by_the_kernel(void **state)
{
    (void)state;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_publisher *publisher;
    in_child(make_and_leave, NULL);
    assert_result(weir_segment_lookup(weir_by_name(CHANNEL), &stat), 0);
    assert_result(weir_segment_remove(weir_by_id(stat.id)), 0);
    struct weir_channel_terms terms = { .size = sizeof terms };
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), -ENOENT);
    /* Anew, and otherwise: nothing is left of what it was. */
    assert_result(weir_publisher_open(&publisher, CHANNEL, NULL), 0);
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), 0);
    assert_int_equal(terms.lifetime, WEIR_EPHEMERAL);
    assert_int_equal(terms.publishers_max, WEIR_CHANNEL_MEMBERS_DEFAULT);
    assert_string_equal(terms.type_name, "");
    weir_publisher_close(publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_persistent),
        CROWD_TEST(test_persistent_is_the_makers_word),
        CROWD_TEST(test_persistent_is_not_made_in_vain),
        CROWD_TEST(test_persistent_removed_under_members),
        CROWD_TEST(test_persistent_removed_by_the_kernel),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
