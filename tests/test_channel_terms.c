/* SPDX-License-Identifier: MIT */
/*
 * Goal: who makes a channel says what its messages are, and whoever comes later is held to it, with a
 *       sentence that names both sides.
 * Method: processes that open with each kind of type, against makers with each.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/inspect.h>

struct point {
    double x, y;
};

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
    for (options.type_bytes = 16377; options.type_bytes <= 32760; options.type_bytes += 16383) {
        assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
        assert_non_null(strstr(weir_last_error(), "one of 131072 (options.ring_bytes) suffices"));
    }
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
        CROWD_TEST(test_terms_for_a_wrong_caller),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
