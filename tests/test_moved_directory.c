/* SPDX-License-Identifier: MIT */
/*
 * Goal: who may move directories within a shared run directory cannot have weir take another
 *       user's directory for one of its own: that one keeps its owner, its mode and its files.
 * Method: a vault (vault.h), of the user who runs weir, is moved to where weir makes or looks for
 *       its directories, at every stop of a traced creator or beforehand; then the vault is looked
 *       at.
 */
#include "fixture.h"
#include "records.h"
#include "tracer.h"
#include "vault.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- "~NONCE" ---------------------------------------------------------------------------- */

static void hold(struct companion *companion, void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    become_member(*(uid_t *)argument);
    options.semaphores = 2;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("mine"), 5000, &options), 0);
    companion_arrive(companion);
    weir_segment_close(segment);
}

struct taking {
    uid_t uid;
    int result;
};

static void take_name(void *argument)
{
    const struct taking *taking = argument;
    become_member(taking->uid);
    CHECK_RESULT(weir_segment_remove(weir_by_name("mine")), taking->result);
}

/* In use, and with a set: so its record goes to "~NONCE", where a directory stands already. */
static void take_with(uid_t holder, const struct taking *taking, bool has_vault, mode_t mode)
{
    struct companion companion;
    struct record seen;
    struct stat found;
    char nameless[32];
    make_run(holder, GROUP_GID, mode);
    companion_start(&companion, hold, &holder);
    companion_meet(&companion);
    assert_true(record_read("mine", &seen));
    snprintf(nameless, sizeof nameless, "~%016llx", (unsigned long long)seen.nonce);
    if (has_vault)
        make_vault(entry_path(nameless), taking->uid);
    else
        assert_int_equal(mkdir(entry_path(nameless), 0700), 0);
    in_child(take_name, (void *)(uintptr_t)taking);
    if (has_vault) {
        expect_vault();
    } else { /* what was left there in the midst of the same is the user's now */
        assert_int_equal(stat(entry_path(nameless), &found), 0);
        assert_int_equal(found.st_uid, holder);
        assert_true(record_read(nameless, &seen));
    }
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(has_vault ? 0 : names_now(), 0);
    clear_everything();
}

static void test_a_vault_for_nameless(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    /* Root in a user's directory; a member in the group's. */
    take_with(OTHER_UID, &(struct taking){ 0, -ENOTEMPTY }, true, 0755);
    take_with(OTHER_UID, &(struct taking){ OTHER_UID, -ENOTEMPTY }, true, 02770);
}

static void test_an_empty_nameless_of_root(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    take_with(OTHER_UID, &(struct taking){ 0, 0 }, false, 0700);
    take_with(OTHER_UID, &(struct taking){ OTHER_UID, 0 }, false, 0700);
}

/* --- a name ------------------------------------------------------------------------------ */

static void remove_mine(void *argument)
{
    become_member(((struct taking *)argument)->uid);
    CHECK_RESULT(weir_segment_remove(weir_by_name("mine")), ((struct taking *)argument)->result);
}

/* What is no record of weir's, and no file of its kind, is not taken away. */
static void test_a_vault_for_a_name(void **state)
{
    struct taking root = { 0, -EUCLEAN }, third = { THIRD_UID, -EPERM }, other = { OTHER_UID, 0 };
    (void)state;
    make_inside();
    make_vault(entry_path("mine"), geteuid());
    in_child(remove_mine, &root);
    expect_vault();
    if (!has_other_users()) {
        clear_everything();
        return;
    }
    /* Another one's, which this user could empty. */
    make_inside();
    assert_true(mkdir(entry_path("mine"), 0777) == 0 && chmod(entry_path("mine"), 0777) == 0);
    assert_int_equal(chown(entry_path("mine"), OTHER_UID, OTHER_UID), 0);
    fill("mine", NONCE, "x", 1);
    in_child(remove_mine, &third);
    assert_true(is_there("mine", NONCE));
    in_child(remove_mine, &other);
    assert_false(is_there("mine", "."));
    /* Root's, moved there by the user whose run directory it is, with what could be a record. */
    make_run(OTHER_UID, OTHER_UID, 0700);
    assert_int_equal(mkdir(run_directory(), 0700), 0);
    assert_int_equal(chown(run_directory(), OTHER_UID, OTHER_UID), 0);
    make_vault(entry_path("mine"), 0);
    fill("mine", NONCE, "x", 1);
    root.result = -EPERM;
    in_child(remove_mine, &root);
    assert_true(is_there("mine", NONCE));
    expect_vault();
    clear_everything();
}

/* --- the namespace's directory ------------------------------------------------------------- */

static void be_refused(void *argument)
{
    struct weir_segment *segment = NULL;
    become_member(*(uid_t *)argument);
    CHECK_RESULT(weir_collect(0, NULL, NULL), -EPERM);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("mine"), 1, NULL), -EPERM);
    CHECK(strstr(weir_last_error(), "weir did not make it so"));
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("mine"), 1, NULL), -EPERM);
    CHECK_RESULT(weir_segment_remove(weir_by_name("mine")), -EPERM);
    CHECK(segment == NULL);
}

static void test_a_vault_for_all(void **state)
{
    static const struct {
        uid_t owner, victim;
        mode_t mode;
    } rows[] = {
        { 0, OTHER_UID, 02770 },
        { OTHER_UID, OTHER_UID, 0770 },
        { OTHER_UID, OTHER_UID, 0777 },
        { OTHER_UID, 0, 0700 },
    };
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uid_t victim = rows[i].victim;
        make_run(rows[i].owner, GROUP_GID, rows[i].mode);
        make_vault(run_directory(), victim);
        assert_int_equal(mkdir(entry_path("empty"), 0700), 0);
        in_child(be_refused, &victim);
        assert_true(is_there("empty", "."));
        expect_vault();
    }
    clear_everything();
}

/* --- what is made ------------------------------------------------------------------------ */

/* What is exchanged for the vault, and where. */
static struct {
    bool is_inside; /* the namespace's directory */
    const char *beginning;
} place;

static const char *place_parent(void)
{
    return place.is_inside ? run_directory() : fixture_path("run");
}

static void stage(void *argument)
{
    char path[4700];
    (void)argument;
    make_run(0, 0, 0777);
    if (place.is_inside)
        assert_true(mkdir(run_directory(), 0777) == 0 && chmod(run_directory(), 0777) == 0);
    snprintf(path, sizeof path, "%s/vault", place_parent());
    make_vault(path, 0);
}

static void exchange(void *argument)
{
    char parent[4400], from[4700], to[4700];
    (void)argument;
    become(OTHER_UID);
    snprintf(parent, sizeof parent, "%s", place_parent());
    DIR *listing = opendir(parent);
    CHECK(listing != NULL);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (strncmp(entry->d_name, place.beginning, strlen(place.beginning)) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", parent, entry->d_name);
        snprintf(to, sizeof to, "%s/moved", parent);
        CHECK(rename(from, to) == 0);
        snprintf(to, sizeof to, "%s/vault", parent);
        CHECK(rename(to, from) == 0);
        break;
    }
    closedir(listing);
}

static void at_stop(pid_t child, void *argument)
{
    (void)argument;
    in_child(exchange, NULL);
    tracee_finish(child); /* how it ends is not the question */
    expect_vault();
}

static void test_a_vault_for_what_is_made(void **state)
{
    (void)state;
    if (!has_other_users() || !tracer_works())
        skip();
    for (int i = 0; i < 2; i++) {
        struct walk walk = {
            "create, exchanged for a vault", stage, NULL, try_create, at_stop, NULL
        };
        place.is_inside = i == 0;
        place.beginning = i == 0 ? "#" : ".new-";
        assert_true(walk_stops(&walk) >= 10);
        clear_everything();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_vault_for_nameless, fixture_check),
        cmocka_unit_test_teardown(test_an_empty_nameless_of_root, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_a_name, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_all, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_what_is_made, fixture_check),
    };
    return cmocka_run_group_tests_name("moved_directory", tests, fixture_start, fixture_end);
}
