/* SPDX-License-Identifier: MIT */
/*
 * Goal: a type costs nobody a message, and lets no other size through.
 * Method: every call that sends, with sizes around the type's; a publisher that writes another size
 *       into its ring all the same.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include <weir/inspect.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

struct point {
    double x, y;
};

static void open_points_as(uint32_t delivery, struct weir_publisher **publisher,
                           struct weir_subscriber **subscriber)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.delivery = delivery;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    WEIR_CHANNEL_TYPE(&options, struct point);
    assert_result(weir_publisher_open(publisher, CHANNEL, &options), 0);
    assert_result(weir_subscriber_open(subscriber, CHANNEL, &options), 0);
}

static void open_points(struct weir_publisher **publisher, struct weir_subscriber **subscriber)
{
    open_points_as(WEIR_DELIVERY_RELIABLE, publisher, subscriber);
}

static void expect_point(struct weir_subscriber *subscriber, double x)
{
    struct point point;
    struct weir_message message;
    assert_result(weir_subscriber_receive_until(subscriber, &point, sizeof point, &message, NOW),
                  0);
    assert_int_equal(message.size_bytes, sizeof point);
    assert_true(point.x == x);
}

static void expect_nothing(struct weir_subscriber *subscriber)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
}

static void test_sizes_of_sends(void **state)
{
    (void)state;
    static const unsigned char bytes[100];
    static const size_t wrong[] = { 0, 1, 8, 15, 17, 24, 32, 64, 65, 100 };
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    void *place;
    open_points(&publisher, &subscriber);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_result(weir_publisher_send(publisher, bytes, wrong[i]), -EMSGSIZE);
        assert_non_null(strstr(weir_last_error(), "type 'struct point' has 16"));
        assert_result(weir_publisher_loan_until(publisher, wrong[i], &place, NOW), -EMSGSIZE);
        assert_result(weir_publisher_loan_many_until(publisher, wrong[i], &place, 1, NOW),
                      -EMSGSIZE);
        expect_nothing(subscriber);
        /* In between, all goes on. */
        assert_result(
            weir_publisher_send(publisher, &(struct point){ (double)i, 0 }, sizeof(struct point)),
            0);
        expect_point(subscriber, (double)i);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_sizes_of_commits(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    void *place, *places[3];
    open_points(&publisher, &subscriber);
    for (size_t size = 0; size < sizeof(struct point); size++) {
        assert_result(weir_publisher_loan_until(publisher, sizeof(struct point), &place, NOW), 0);
        assert_result(weir_publisher_commit(publisher, size, 0), -EMSGSIZE);
        assert_result(weir_publisher_commit(publisher, sizeof(struct point) + 1, 0), -EINVAL);
        assert_result(weir_publisher_commit(publisher, sizeof(struct point), 65536), -EINVAL);
        expect_nothing(subscriber);
        *(struct point *)place = (struct point){ (double)size, 0 }; /* it is out still */
        assert_result(weir_publisher_commit(publisher, sizeof(struct point), 0), 0);
        assert_result(weir_publisher_commit(publisher, sizeof(struct point), 0), -EINVAL);
        expect_point(subscriber, (double)size);
    }
    assert_result(weir_publisher_loan_many_until(publisher, sizeof(struct point), places, 3, NOW),
                  3);
    for (int i = 0; i < 3; i++)
        *(struct point *)places[i] = (struct point){ i, 0 };
    const size_t sizes[] = { sizeof(struct point), 8, sizeof(struct point) };
    assert_result(weir_publisher_commit_many(publisher, sizes, NULL, 3), -EMSGSIZE);
    expect_nothing(subscriber);
    assert_result(weir_publisher_commit_many(publisher, NULL, NULL, 3), 0);
    for (int i = 0; i < 3; i++)
        expect_point(subscriber, i);
    /* A loan of many whose first place alone becomes a message. */
    assert_result(weir_publisher_loan_many_until(publisher, sizeof(struct point), places, 2, NOW),
                  2);
    assert_result(weir_publisher_commit(publisher, 8, 0), -EMSGSIZE);
    *(struct point *)places[0] = (struct point){ 7, 0 };
    assert_result(weir_publisher_commit(publisher, sizeof(struct point), 0), 0);
    expect_point(subscriber, 7);
    expect_nothing(subscriber);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_sizes_of_many(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct point points[4] = { { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 0 } };
    struct weir_outgoing messages[4];
    open_points(&publisher, &subscriber);
    for (int wrong = 0; wrong < 4; wrong++) {
        for (int i = 0; i < 4; i++)
            messages[i] = (struct weir_outgoing){ &points[i], i == wrong ? 8 : 16, 0 };
        /* Those in front of it are sent; it is told when it is the first. */
        assert_result(weir_publisher_send_many_until(publisher, messages, 4, NOW),
                      wrong == 0 ? -EMSGSIZE : wrong);
        for (int i = 0; i < wrong; i++)
            expect_point(subscriber, i);
        expect_nothing(subscriber);
        assert_result(
            weir_publisher_send_many_until(publisher, messages + wrong, (size_t)(4 - wrong), NOW),
            -EMSGSIZE);
    }
    messages[3].size_bytes = 16;
    assert_result(weir_publisher_send_many_until(publisher, messages, 4, NOW), 4);
    for (int i = 0; i < 4; i++)
        expect_point(subscriber, i);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Round the ring many times, in every way: nothing is lost, and a full ring is told as always. */
static void test_points_go_round(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    void *place;
    open_points(&publisher, &subscriber);
    for (int i = 0; i < ROUNDS; i++) {
        struct point point = { i, 0 };
        if (i % 3 == 0) {
            assert_result(weir_publisher_send(publisher, &point, sizeof point), 0);
        } else if (i % 3 == 1) {
            assert_result(weir_publisher_loan_until(publisher, sizeof point, &place, NOW), 0);
            memcpy(place, &point, sizeof point);
            assert_result(weir_publisher_commit(publisher, sizeof point, 0), 0);
        } else {
            const struct weir_outgoing one = { &point, sizeof point, 0 };
            assert_result(weir_publisher_send_many_until(publisher, &one, 1, NOW), 1);
        }
        expect_point(subscriber, i);
    }
    int sent = 0, result;
    while ((result = weir_publisher_send_until(publisher, &(struct point){ sent, 0 },
                                               sizeof(struct point), 0, NOW)) == 0)
        sent++;
    assert_result(result, -EAGAIN);
    assert_true(sent > 2000);
    for (int i = 0; i < sent; i++)
        expect_point(subscriber, i);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Who opens without a type is held to the channel's. */
static void test_untyped_in_a_typed_channel(void **state)
{
    (void)state;
    struct weir_publisher *publisher, *plain;
    struct weir_subscriber *subscriber;
    open_points(&publisher, &subscriber);
    assert_result(weir_publisher_open(&plain, CHANNEL, NULL), 0);
    expect_nothing(subscriber); /* and it is attached */
    assert_result(weir_publisher_send(plain, "12345678", 8), -EMSGSIZE);
    assert_result(weir_publisher_send(plain, &(struct point){ 5, 0 }, sizeof(struct point)), 0);
    expect_point(subscriber, 5);
    weir_publisher_close(plain);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Small ones have ways of their own, and no usual message is in these: they are refused all the same. */
static void test_small_ones_beside_a_large_type(void **state)
{
    (void)state;
    static const unsigned char bytes[200];
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    unsigned char room[200];
    void *place;
    options.type_name = "large";
    options.type_bytes = sizeof bytes;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    for (size_t size = 0; size <= 64; size++) {
        struct weir_message message;
        assert_result(weir_publisher_send(publisher, bytes, sizeof bytes), 0);
        assert_result(weir_publisher_send(publisher, bytes, size), -EMSGSIZE);
        assert_result(weir_publisher_loan_until(publisher, size, &place, NOW), -EMSGSIZE);
        assert_result(weir_subscriber_receive_until(subscriber, room, sizeof room, &message, NOW),
                      0);
        assert_int_equal(message.size_bytes, sizeof bytes);
        expect_nothing(subscriber);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* A name without a size: messages of any. */
static void test_type_of_any_size(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    char text[8];
    options.type_name = "text";
    options.type_bytes = 0;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    for (size_t size = 0; size <= 8; size++) {
        struct weir_message message;
        assert_result(weir_publisher_send(publisher, "12345678", size), 0);
        assert_result(weir_subscriber_receive_until(subscriber, text, sizeof text, &message, NOW),
                      0);
        assert_int_equal(message.size_bytes, size);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static int add_refusals(const struct weir_channel_member *member, void *argument)
{
    uint64_t *refusals = argument;
    *refusals += member->role == WEIR_MEMBER_SUBSCRIBER ? member->refusals : 0;
    return 0;
}

static void expect_refusals_of_subscribers(uint64_t expected)
{
    uint64_t refusals = 0;
    assert_result(weir_inspect_channel(CHANNEL, add_refusals, &refusals), 0);
    assert_int_equal(refusals, expected);
}

/*
 * A publisher that believes in another size, as a broken one would: one error, that names both
 * sizes; the other publisher goes on.
 */
static void play_wrong_size(uint32_t delivery)
{
    for (int way = 0; way < 3; way++) {
        struct weir_publisher *publisher, *liar;
        struct weir_subscriber *subscriber;
        struct weir_message messages[4];
        unsigned char room[256];
        open_points_as(delivery, &publisher, &subscriber);
        assert_result(weir_publisher_open(&liar, CHANNEL, NULL), 0);
        expect_nothing(subscriber); /* and it is attached */
        liar->type_bytes = 8;
        assert_result(weir_publisher_send(liar, "12345678", 8), 0);
        int result =
            way == 0   ? weir_subscriber_take_until(subscriber, messages, NOW)
            : way == 1 ? weir_subscriber_receive_until(subscriber, room, sizeof room, messages, NOW)
                       : weir_subscriber_take_many_until(subscriber, messages, 4, NOW);
        assert_result(result, -EUCLEAN);
        assert_non_null(strstr(weir_last_error(), "of 8 bytes: this channel's type 'struct point' "
                                                  "has 16"));
        expect_nothing(subscriber);
        expect_refusals_of_subscribers(1);
        assert_result(weir_publisher_send(publisher, &(struct point){ 9, 0 }, sizeof(struct point)),
                      0);
        expect_point(subscriber, 9);
        weir_publisher_close(liar);
        weir_publisher_close(publisher);
        weir_subscriber_close(subscriber);
    }
}

static void test_wrong_size_in_the_ring(void **state)
{
    (void)state;
    play_wrong_size(WEIR_DELIVERY_RELIABLE);
    play_wrong_size(WEIR_DELIVERY_LOSSY);
}

/* Behind a good one, in a burst: the good one comes, then the error. */
static void test_wrong_size_behind_a_right_one(void **state)
{
    (void)state;
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    struct weir_message messages[4];
    open_points(&publisher, &subscriber);
    assert_result(weir_publisher_send(publisher, &(struct point){ 3, 0 }, sizeof(struct point)), 0);
    publisher->type_bytes = 24;
    assert_result(weir_publisher_send(publisher, "123456781234567812345678", 24), 0);
    assert_result(weir_subscriber_take_many_until(subscriber, messages, 4, NOW), 1);
    assert_result(weir_subscriber_release(subscriber, messages), 0);
    assert_result(weir_subscriber_take_many_until(subscriber, messages, 4, NOW), -EUCLEAN);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_sizes_of_sends),
        CROWD_TEST(test_sizes_of_commits),
        CROWD_TEST(test_sizes_of_many),
        CROWD_TEST(test_points_go_round),
        CROWD_TEST(test_untyped_in_a_typed_channel),
        CROWD_TEST(test_small_ones_beside_a_large_type),
        CROWD_TEST(test_type_of_any_size),
        CROWD_TEST(test_wrong_size_in_the_ring),
        CROWD_TEST(test_wrong_size_behind_a_right_one),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
