/* SPDX-License-Identifier: MIT */
/*
 * Goal: an entry that stands under another name than it was made with is not used by that name: no
 *       call takes one segment for another; and what is dead is collected wherever it stands.
 * Method: another user exchanges the names of two segments, which are then opened, looked up, made,
 *       removed and collected; the name of a dead one is moved.
 */
#include "fixture.h"
#include "records.h"
#include "vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void exchange_names(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK(rename(entry_path("keys"), entry_path("moved")) == 0);
    CHECK(rename(entry_path("news"), entry_path("keys")) == 0);
    CHECK(rename(entry_path("moved"), entry_path("news")) == 0);
}

static void make_kept(const char *name, uint64_t size_bytes)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.lifetime = WEIR_PERSISTENT;
    assert_result(weir_segment_create(&segment, weir_by_name(name), size_bytes, &options), 0);
    weir_segment_close(segment);
}

static void expect_kept(const char *name, uint64_t size_bytes)
{
    struct weir_segment *segment;
    assert_result(weir_segment_open(&segment, weir_by_name(name), 0, NULL), 0);
    assert_int_equal(weir_segment_size(segment), size_bytes);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_name(name)), 0);
}

/* Who writes to the one must not write to the other: neither is found, and neither is lost. */
static void test_names_exchanged(void **state)
{
    static const char *const names[] = { "keys", "news" };
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment = NULL;
    (void)state;
    if (!has_other_users())
        skip();
    make_inside();
    make_kept("keys", 100);
    make_kept("news", 100);
    in_child(exchange_names, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct weir_ref ref = weir_by_name(names[i]);
        assert_result(weir_segment_open(&segment, ref, 0, NULL), -EPERM);
        assert_non_null(strstr(weir_last_error(), "another name"));
        assert_result(weir_segment_lookup(ref, &stat), -EPERM);
        assert_result(weir_segment_create(&segment, ref, 100, NULL), -EPERM);
        assert_result(weir_segment_create_or_open(&segment, ref, 100, NULL), -EPERM);
        assert_result(weir_segment_remove(ref), -EPERM);
        assert_null(segment);
    }
    assert_result(weir_collect(0, NULL, NULL), 0);
    in_child(exchange_names, NULL);
    expect_kept("keys", 100);
    expect_kept("news", 100);
    clear_everything();
}

static void end_with_a_name(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    (void)argument;
    options.semaphores = 1;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("keys"), 100, &options), 0);
}

/* Where it was moved to does not matter to the collector. */
static void test_a_dead_name_moved(void **state)
{
    (void)state;
    make_inside();
    in_child(end_with_a_name, NULL);
    assert_int_equal(rename(entry_path("keys"), entry_path("news")), 0);
    assert_result(weir_collect(0, NULL, NULL), 1);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names_exchanged, fixture_check),
        cmocka_unit_test_teardown(test_a_dead_name_moved, fixture_check),
    };
    return cmocka_run_group_tests_name("moved_name", tests, fixture_start, fixture_end);
}
