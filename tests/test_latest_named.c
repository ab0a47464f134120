/* SPDX-License-Identifier: MIT */
/*
 * Goal: a value is found by its name or key, stays if it is to, and may be read by whom its mode
 *       lets in.
 * Method: created, opened and removed in turn, also as another user.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/segment.h>

#include "latest/layout.h"

static void store_into_values(void *argument)
{
    struct weir_latest_value *value = argument;
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)(uintptr_t)value->data = 1;
}

static void test_by_name(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2), other = options;
    struct weir_latest_writer *writer, *second;
    struct weir_latest_reader *reader, *read_only;
    struct weir_latest_value value;
    struct weir_ref ref = weir_by_name("robot/pose");
    (void)state;
    assert_result(weir_latest_open(&reader, ref, NULL), -ENOENT);
    assert_result(weir_latest_create(&writer, ref, NULL), -ENOENT);
    assert_non_null(strstr(weir_last_error(), "value_bytes_max"));
    assert_result(weir_latest_create(&writer, ref, &options), 0);
    assert_result(weir_latest_open(&reader, ref, NULL), 0);
    other.flags = WEIR_LATEST_READ_ONLY;
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    other.value_bytes_max = 0; /* of whatever geometry it has */
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    assert_result(weir_latest_open(&read_only, ref, &other), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct weir_latest_options unknown = WEIR_LATEST_OPTIONS;
        unknown.flags = i == 0 ? 1 << 7 : 0;
        unknown.reserved[1] = i;
        assert_result(weir_latest_open(&reader, ref, &unknown), -EINVAL);
        assert_result(weir_latest_create(&second, ref, &unknown), -EINVAL);
    }
    value_write(writer, 1, 64);
    value_expect(reader, 1, 64);
    value_expect(read_only, 1, 64);
    assert_result(weir_latest_hold(read_only, &value), -EOPNOTSUPP);
    assert_result(weir_latest_hold(reader, &value), 0);
    assert_int_equal(value_number(value.data, 64), 1);
    int status = status_in_child(store_into_values, &value);
    assert_true(status == SIGSEGV || (SANITIZED && status != 0)); /* its report, and status 1 */
    assert_result(weir_latest_create(&second, ref, &options), -EBUSY);
    other = latest_options(65, 0, 2);
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    other = latest_options(64, 0, 60); /* more than there is memory for */
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "2 holds"));
    assert_non_null(strstr(weir_last_error(), "60 holds"));
    weir_latest_writer_close(writer);
    assert_result(weir_latest_create(&writer, ref, NULL), 0);
    value_write(writer, 2, 64);
    value_expect(reader, 2, 64);
    weir_latest_writer_close(writer);
    weir_latest_reader_close(reader);
    weir_latest_reader_close(read_only);
    assert_result(weir_latest_open(&reader, ref, NULL), -ENOENT);
}

/* By another weir, of whatever size: each call says that, and not that there are too few bytes. */
static void test_another_layout(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2), large = options;
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
    struct weir_segment *segment;
    struct weir_segment_options of_segment = WEIR_SEGMENT_OPTIONS;
    struct weir_ref ref = weir_by_name("robot/pose");
    (void)state;
    large.value_bytes_max = 1 << 20;
    assert_result(weir_latest_create(&writer, ref, &options), 0);
    of_segment.kind = WEIR__LATEST_KIND;
    assert_result(weir_segment_open(&segment, ref, 0, &of_segment), 0);
    ((char *)weir_segment_data(segment))[7] = '3';
    weir_latest_writer_close(writer);
    const struct weir_latest_options *const how[] = { NULL, &options, &large };
    for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
        assert_result(weir_latest_create(&writer, ref, how[i]), -EPROTONOSUPPORT);
        assert_non_null(strstr(weir_last_error(), "layout 3"));
    }
    assert_result(weir_latest_open(&reader, ref, NULL), -EPROTONOSUPPORT);
    assert_non_null(strstr(weir_last_error(), "layout 3"));
    weir_segment_close(segment);
}

static void test_by_key_and_persistent(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 0);
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
    struct weir_ref refs[2] = { weir_by_key(0x5e7), weir_by_name("kept") };
    (void)state;
    options.lifetime = WEIR_PERSISTENT;
    for (int i = 0; i < 2; i++) {
        char before[512];
        snprintf(before, sizeof before, "%s", weir_last_error());
        assert_result(weir_latest_create(&writer, refs[i], &options), 0);
        assert_string_equal(weir_last_error(), before); /* that it was not there was no error */
        value_write(writer, 7, 64);
        weir_latest_writer_close(writer);
        assert_result(weir_latest_open(&reader, refs[i], NULL), 0);
        value_expect(reader, 7, 64);
        weir_latest_reader_close(reader);
        assert_result(weir_latest_create(&writer, refs[i], NULL), 0);
        weir_latest_writer_close(writer);
        assert_result(weir_segment_remove(refs[i]), 0);
    }
}

static void read_as_another_user(void *argument)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    unsigned char bytes[64];
    char before[512];
    (void)argument;
    become(OTHER_UID);
    options.trust = WEIR_TRUST_ANYONE;
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e9), NULL), -ENOENT);
    snprintf(before, sizeof before, "%s", weir_last_error());
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e8), &options), 0);
    CHECK(strcmp(weir_last_error(), before) == 0); /* that it may not be written was no error */
    CHECK_RESULT(weir_latest_read(reader, bytes, sizeof bytes, &value), 0);
    CHECK(value_number(bytes, sizeof bytes) == 8);
    CHECK_RESULT(weir_latest_hold(reader, &value), -EOPNOTSUPP);
    CHECK_RESULT(weir_latest_wait_until(reader, 1, weir_deadline_ns(3000000)), -ETIMEDOUT);
    weir_latest_reader_close(reader);
}

/* Who may only read finds the values as well, and cannot hold. */
static void test_another_user(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer;
    (void)state;
    if (!has_other_users())
        skip();
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0644;
    assert_result(weir_latest_create(&writer, weir_by_key(0x5e8), &options), 0);
    value_write(writer, 8, 64);
    in_child(read_as_another_user, NULL);
    weir_latest_writer_close(writer);
    assert_result(weir_segment_remove(weir_by_key(0x5e8)), 0);
}

/* Of the group: holds, and writes on. It has a run directory of its own. */
static void share(void *argument)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    struct weir_latest_writer *writer;
    struct weir_latest_value value;
    (void)argument;
    CHECK(mkdir(fixture_path("other"), 0700) == 0);
    CHECK(chown(fixture_path("other"), OTHER_UID, OTHER_UID) == 0);
    CHECK(setenv("WEIR_DIR", fixture_path("other"), 1) == 0);
    become(OTHER_UID);
    options.trust = WEIR_TRUST_ANYONE;
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e8), &options), 0);
    CHECK_RESULT(weir_latest_hold(reader, &value), 0);
    CHECK(value_number(value.data, value.size_bytes) == 9);
    weir_latest_release(reader, &value);
    weir_latest_reader_close(reader);
    options.flags = WEIR_LATEST_SET_GID; /* it is there: of no effect */
    options.gid = THIRD_UID;
    CHECK_RESULT(weir_latest_create(&writer, weir_by_key(0x5e8), &options), 0);
    weir_latest_writer_close(writer);
}

static void be_refused(void *argument)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    (void)argument;
    become(THIRD_UID);
    options.trust = WEIR_TRUST_ANYONE;
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e8), &options), -EACCES);
}

static void test_a_group(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer;
    (void)state;
    if (!has_other_users())
        skip();
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0660;
    options.flags = WEIR_LATEST_SET_GID;
    options.gid = UINT32_MAX;
    assert_result(weir_latest_create(&writer, weir_by_key(0x5e8), &options), -EINVAL);
    options.gid = OTHER_UID;
    assert_result(weir_latest_create(&writer, weir_by_key(0x5e8), &options), 0);
    value_write(writer, 9, 64);
    weir_latest_writer_close(writer);
    in_child(share, NULL);
    in_child(be_refused, NULL);
    assert_result(weir_segment_remove(weir_by_key(0x5e8)), 0);
}

static void make_as_another_user(void *argument)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer;
    (void)argument;
    CHECK(mkdir(fixture_path("maker"), 0700) == 0);
    CHECK(chown(fixture_path("maker"), OTHER_UID, OTHER_UID) == 0);
    CHECK(setenv("WEIR_DIR", fixture_path("maker"), 1) == 0);
    become(OTHER_UID);
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0644;
    CHECK_RESULT(weir_latest_create(&writer, weir_by_key(0x5e8), &options), 0);
    value_write(writer, 10, 64);
    weir_latest_writer_close(writer);
}

static void expect_open(uint32_t trust, uint32_t trust_uid, int expected)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    options.trust = trust;
    options.trust_uid = trust_uid;
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e8), &options), expected);
    if (expected != 0)
        return;
    value_expect(reader, 10, 64);
    weir_latest_reader_close(reader);
}

static void open_as_a_third_user(void *argument)
{
    (void)argument;
    become(THIRD_UID);
    expect_open(WEIR_TRUST_SELF, OTHER_UID, -EPERM);
    expect_open(WEIR_TRUST_UID, OTHER_UID + 10, -EPERM);
    expect_open(WEIR_TRUST_UID, OTHER_UID, 0);
    expect_open(WEIR_TRUST_ANYONE, 0, 0);
}

/* A value that anybody may read is not everybody's: its maker must be trusted. */
static void test_whom_a_reader_trusts(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(make_as_another_user, NULL);
    in_child(open_as_a_third_user, NULL);
    assert_result(weir_segment_remove(weir_by_key(0x5e8)), 0);
}

/* A segment of somebody else's making is as large as it is: nothing is written behind its end. */
static void test_a_segment_that_is_too_small(void **state)
{
    struct weir_latest_options options = latest_options(60000, 0, 2);
    struct weir_segment_options of_segment = WEIR_SEGMENT_OPTIONS;
    struct weir_latest_writer *writer = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    (void)state;
    of_segment.kind = WEIR__LATEST_KIND;
    assert_result(weir_segment_create(&segment, weir_private(), 4096, &of_segment), 0);
    assert_result(weir_segment_stat(segment, &stat), 0);
    struct weir_ref ref = weir_by_id(stat.id);
    assert_result(weir_latest_create(&writer, ref, &options), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "has 4096 bytes, and needs"));
    assert_null(writer);
    assert_true(all_bytes(weir_segment_data(segment), 4096, 0));
    weir_segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(test_by_name),
        VALUE_TEST(test_another_layout),
        VALUE_TEST(test_by_key_and_persistent),
        VALUE_TEST(test_another_user),
        VALUE_TEST(test_a_group),
        VALUE_TEST(test_whom_a_reader_trusts),
        VALUE_TEST(test_a_segment_that_is_too_small),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
