/* SPDX-License-Identifier: MIT */
/*
 * Goal: who makes a channel says what its messages are and whether it stays, and whoever comes
 *       later is held to it, with a sentence that names both sides; a type costs nobody a message,
 *       and lets no other size through. What stays of a persistent channel stays, and nothing else.
 * Method: processes that open with each kind of type, against makers with each; every call that
 *       sends, with sizes around the type's; a publisher that writes another size into its ring
 *       all the same; makers that are killed.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/inspect.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

struct point {
    double x, y;
};

/* --- who may open what ------------------------------------------------------------------- */

struct typed {
    const char *name;
    uint32_t bytes;
};

struct meeting {
    struct typed maker, opener;
    int result;
    const char *in_sentence[2];
};

static const struct meeting meetings[] = {
    { { NULL, 0 }, { NULL, 0 }, 0, { NULL, NULL } },
    { { "point", 16 }, { "point", 16 }, 0, { NULL, NULL } },
    { { "point", 16 }, { NULL, 0 }, 0, { NULL, NULL } }, /* and takes it as it is */
    { { "text", 0 }, { "text", 0 }, 0, { NULL, NULL } },
    { { NULL, 0 }, { "point", 16 }, -EPROTOTYPE, { "of no type", "'point' of 16 bytes" } },
    { { "point", 16 },
      { "point", 24 },
      -EPROTOTYPE,
      { "'point' of 16 bytes", "'point' of 24 bytes" } },
    { { "point", 16 },
      { "points", 16 },
      -EPROTOTYPE,
      { "'point' of 16 bytes", "'points' of 16 bytes" } },
    { { "points", 16 },
      { "point", 16 },
      -EPROTOTYPE,
      { "'points' of 16 bytes", "'point' of 16 bytes" } },
    { { "text", 0 }, { "text", 16 }, -EPROTOTYPE, { "'text' of any size", "'text' of 16 bytes" } },
    { { "text", 16 }, { "text", 0 }, -EPROTOTYPE, { "'text' of 16 bytes", "'text' of any size" } },
};

static struct weir_channel_options options_of(const struct typed *typed)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.type_name = typed->name;
    options.type_bytes = typed->bytes;
    return options;
}

static void make(struct companion *companion, void *argument)
{
    const struct meeting *meeting = argument;
    struct weir_channel_options options = options_of(&meeting->maker);
    struct weir_publisher *publisher;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    companion_arrive(companion);
    weir_publisher_close(publisher);
}

static void open_both(void *argument)
{
    const struct meeting *meeting = argument;
    struct weir_channel_options options = options_of(&meeting->opener);
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), meeting->result);
    for (int i = 0; i < 2 && meeting->result != 0; i++)
        CHECK(strstr(weir_last_error(), meeting->in_sentence[i]));
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), meeting->result);
    CHECK((publisher != NULL) == (meeting->result == 0));
    CHECK((subscriber != NULL) == (meeting->result == 0));
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_who_may_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(meetings); i++) {
        struct meeting meeting = meetings[i];
        struct companion maker;
        companion_start(&maker, make, &meeting);
        companion_meet(&maker);
        int status = status_in_child(open_both, &meeting);
        if (status != 0)
            print_error("meeting %zu\n", i);
        assert_int_equal(status, 0);
        companion_release(&maker);
        assert_int_equal(companion_end(&maker), 0);
    }
}

static void test_types_that_cannot_be(void **state)
{
    (void)state;
    char longest[WEIR_TYPE_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[WEIR_TYPE_NAME_MAX + 1] = '\0';
    const struct typed bad[] = { { NULL, 16 },  { "", 0 },         { "a\nb", 4 },
                                 { "\x7f", 4 }, { "\xc3\xa4", 4 }, { longest, 4 } };
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct weir_channel_options options = options_of(&bad[i]);
        assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
        assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), -EINVAL);
    }
    longest[WEIR_TYPE_NAME_MAX] = '\0';
    struct weir_channel_options options = options_of(&(struct typed){ longest, UINT32_MAX });
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    /* What the ring cannot take is said at once, not at the first message. */
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "16376 at most"));
    /* A ring that suffices is named, if there is one. */
    assert_null(strstr(weir_last_error(), "suffices"));
    options.type_bytes = 16377;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "one of 131072 (options.ring_bytes) suffices"));
    weir_subscriber_close(subscriber);
}

static void test_macro(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    WEIR_CHANNEL_TYPE(&options, struct point);
    assert_string_equal(options.type_name, "struct point");
    assert_int_equal(options.type_bytes, 16);
}

/* --- sizes ------------------------------------------------------------------------------- */

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

/* A name without a size: messages of any. */
static void test_type_of_any_size(void **state)
{
    (void)state;
    struct weir_channel_options options = options_of(&(struct typed){ "text", 0 });
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    char text[8];
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

/* --- what stays -------------------------------------------------------------------------- */

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
    assert_result(weir_publisher_open(&publisher, CHANNEL, &persistent), 0);
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &persistent), 0);
    assert_result(weir_segment_remove(weir_by_name(CHANNEL)), 0);
    assert_result(weir_publisher_open(&other, CHANNEL, &persistent), 0);
    assert_result(weir_publisher_send(other, &(struct point){ 1, 0 }, sizeof(struct point)), 0);
    expect_nothing(subscriber);
    assert_result(weir_publisher_send(publisher, &(struct point){ 2, 0 }, sizeof(struct point)), 0);
    expect_point(subscriber, 2);
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

static void test_terms_for_a_wrong_caller(void **state)
{
    (void)state;
    struct weir_channel_terms terms = { .size = sizeof terms - 1 };
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), -EINVAL);
    terms.size = sizeof terms;
    assert_result(weir_inspect_channel_terms(CHANNEL, &terms), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_who_may_open),
        CROWD_TEST(test_types_that_cannot_be),
        CROWD_TEST(test_macro),
        CROWD_TEST(test_sizes_of_sends),
        CROWD_TEST(test_sizes_of_commits),
        CROWD_TEST(test_sizes_of_many),
        CROWD_TEST(test_points_go_round),
        CROWD_TEST(test_untyped_in_a_typed_channel),
        CROWD_TEST(test_type_of_any_size),
        CROWD_TEST(test_wrong_size_in_the_ring),
        CROWD_TEST(test_wrong_size_behind_a_right_one),
        CROWD_TEST(test_persistent),
        CROWD_TEST(test_persistent_is_the_makers_word),
        CROWD_TEST(test_persistent_is_not_made_in_vain),
        CROWD_TEST(test_persistent_removed_under_members),
        CROWD_TEST(test_persistent_removed_by_the_kernel),
        CROWD_TEST(test_terms_for_a_wrong_caller),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
