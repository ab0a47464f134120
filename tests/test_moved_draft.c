/* SPDX-License-Identifier: MIT */
/*
 * Goal: what has a draft's name is collected if it is a dead one of weir's, and of that no more
 *       than weir wrote; one that is moved while it is made is neither lost nor taken from its
 *       user.
 * Method: directories that look like drafts, with files and records in them, are collected;
 *       another user moves the draft of a traced creator away at each of its stops, and back when
 *       it has ended.
 */
#include "fixture.h"
#include "records.h"
#include "tracer.h"
#include "vault.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void collect(void *argument)
{
    become_member(*(uid_t *)argument);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
}

/* What has a draft's name, and files of that name in it, is a draft if the record says so. */
static void test_a_vault_for_a_draft(void **state)
{
    static const char *const names[] = { "#file", "#file#", "#" NONCE, "~" NONCE, "file" };
    static char record[256];
    uid_t root = 0;
    (void)state;
    memset(record, ' ', sizeof record);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make_inside();
        make_vault(entry_path(names[i]), 0);
        fill(names[i], "file", "x", 1);
        fill(names[i], "file#", "x", 1);
        fill(names[i], NONCE, record, i % 2 ? sizeof record : 1);
        in_child(collect, &root);
        assert_true(is_there(names[i], "file") && is_there(names[i], "file#"));
        assert_true(is_there(names[i], NONCE));
        expect_vault();
    }
    /* In an empty directory, which is not weir's, nothing is but its name. */
    make_inside();
    assert_int_equal(mkdir(entry_path("#notes"), 0700), 0);
    in_child(collect, &root);
    assert_true(is_there("#notes", "."));
    clear_everything();
}

static void collect_one(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_collect(0, NULL, NULL), 1);
}

/* Of a dead draft the record goes, whole or not begun, and what lies beside it stays. */
static void test_a_draft_with_more_in_it(void **state)
{
    struct record record = { .nonce = 0x1122334455667788, .creator = geteuid(), .pid = 1 };
    (void)state;
    record.shm_id = record.sem_id = -1;
    strcpy(record.kind, "segment");
    for (int i = 0; i < 2; i++) {
        make_inside();
        assert_true(record_forge("#" NONCE, &record));
        if (i == 1)
            fill("#" NONCE, NONCE, "", 0);
        fill("#" NONCE, "file", "x", 1);
        in_child(collect_one, NULL);
        assert_true(is_there("#" NONCE, "file") && !is_there("#" NONCE, NONCE));
    }
    clear_everything();
}

struct hider {
    bool is_back;
};

/* Moves what stands under its beginning to the other, the same otherwise. */
static void move_all(void *argument)
{
    const struct hider *hider = argument;
    char from[4700], to[4700];
    become_member(THIRD_UID);
    DIR *listing = opendir(run_directory());
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] != (hider->is_back ? '%' : '#'))
            continue;
        snprintf(from, sizeof from, "%s/%s", run_directory(), entry->d_name);
        snprintf(to, sizeof to, "%s/%c%s", run_directory(), hider->is_back ? '#' : '%',
                 entry->d_name + 1);
        CHECK(rename(from, to) == 0);
    }
    if (listing)
        closedir(listing);
}

static void make_private(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    (void)argument;
    options.lifetime = WEIR_PERSISTENT;
    if (weir_segment_create(&segment, weir_private(), 5000, &options) == 0)
        weir_segment_close(segment);
}

static void stage_private(void *argument)
{
    (void)argument;
    make_inside();
}

/* However the creation ends, what it has made is not taken from its user by what it wrote. */
static void at_stop_hide(pid_t child, void *argument)
{
    struct hider hider = { false };
    (void)argument;
    in_child(move_all, &hider);
    assert_int_equal(tracee_finish(child), 0);
    uint64_t made = segments_now();
    hider.is_back = true;
    in_child(move_all, &hider);
    in_child(collect_all, NULL);
    if (segments_now() != made || names_now() != 0)
        walk_print_place();
    assert_int_equal(segments_now(), made);
    assert_int_equal(names_now(), 0); /* nor is it left */
    clear_everything();
}

static void test_a_draft_that_is_hidden(void **state)
{
    struct walk walk = {
        "create, its draft hidden", stage_private, NULL, make_private, at_stop_hide, NULL
    };
    (void)state;
    if (!has_other_users() || !tracer_works())
        skip();
    assert_true(walk_stops(&walk) >= 10);
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_vault_for_a_draft, fixture_check),
        cmocka_unit_test_teardown(test_a_draft_with_more_in_it, fixture_check),
        cmocka_unit_test_teardown(test_a_draft_that_is_hidden, fixture_check),
    };
    return cmocka_run_group_tests_name("moved_draft", tests, fixture_start, fixture_end);
}
