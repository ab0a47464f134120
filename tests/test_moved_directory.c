/* SPDX-License-Identifier: MIT */
/*
 * Goal: who may move directories within a shared run directory cannot have weir take another
 *       user's directory for one of its own: that one keeps its owner, its mode and its files.
 * Method: a vault, a directory with a file that is of the user who runs weir, is moved to where
 *       weir makes or looks for its directories, at every stop of a traced creator or beforehand;
 *       then the vault is looked at.
 */
#include "fixture.h"
#include "records.h"
#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_GID 55555

static void make_run(uid_t owner, gid_t group, mode_t mode)
{
    clear_everything();
    assert_int_equal(mkdir(fixture_path("run"), 0700), 0);
    assert_int_equal(chown(fixture_path("run"), owner, group), 0);
    assert_int_equal(chmod(fixture_path("run"), mode), 0);
}

/* Root, or a member of the group, from here on. */
static void be(uid_t uid)
{
    gid_t group = GROUP_GID;
    if (uid == 0)
        return;
    CHECK(setgroups(1, &group) == 0);
    CHECK(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
}

/* --- the vault --------------------------------------------------------------------------- */

static struct {
    int fd; /* wherever it is moved to */
    uid_t owner;
} vault;

static void make_vault(const char *path, uid_t owner)
{
    vault.owner = owner;
    assert_int_equal(mkdir(path, 0700), 0);
    vault.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(vault.fd >= 0);
    int file = openat(vault.fd, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(fchown(file, owner, owner), 0);
    assert_int_equal(fchown(vault.fd, owner, owner), 0);
    assert_int_equal(fchmod(vault.fd, 0700), 0); /* a setgid parent gives its bit */
    close(file);
}

static void expect_vault(void)
{
    struct stat found;
    assert_int_equal(fstat(vault.fd, &found), 0);
    if (found.st_uid != vault.owner || (found.st_mode & 07777) != 0700)
        walk_print_place();
    assert_int_equal(found.st_uid, vault.owner);
    assert_int_equal(found.st_mode & 07777, 0700);
    assert_int_equal(faccessat(vault.fd, "file", F_OK, 0), 0);
    close(vault.fd);
}

/* --- "~NONCE" ---------------------------------------------------------------------------- */

static void hold(struct companion *companion, void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    be(*(uid_t *)argument);
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
    be(taking->uid);
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

/* --- drafts and names ---------------------------------------------------------------------- */

#define NONCE "1122334455667788"

static void fill(const char *directory, const char *file, const char *bytes, size_t length)
{
    char path[4800];
    snprintf(path, sizeof path, "%s/%s", entry_path(directory), file);
    assert_true(file_fill(path, bytes, length));
}

static bool is_there(const char *directory, const char *file)
{
    char path[4800];
    struct stat found;
    snprintf(path, sizeof path, "%s/%s", entry_path(directory), file);
    return lstat(path, &found) == 0;
}

static void make_inside(void)
{
    make_run(0, 0, 0777);
    assert_true(mkdir(run_directory(), 0777) == 0 && chmod(run_directory(), 0777) == 0);
}

static void collect(void *argument)
{
    be(*(uid_t *)argument);
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
    be(THIRD_UID);
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

static void collect_all(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
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

static void remove_mine(void *argument)
{
    be(((struct taking *)argument)->uid);
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

/* --- names that are exchanged -------------------------------------------------------------- */

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

static void try_create(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    if (weir_segment_create(&segment, weir_by_name("mine"), 5000, NULL) == 0)
        weir_segment_close(segment);
}

/* --- root in a user's directory ------------------------------------------------------------ */

static void create_as_user(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    be(OTHER_UID);
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("theirs"), 1, NULL), 0);
    weir_segment_close(segment);
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

static void stage_users(void *argument)
{
    (void)argument;
    make_run(OTHER_UID, OTHER_UID, 0700);
}

/* Whatever root leaves there: the user can go on, and of what was begun each takes its own away. */
static void at_stop_killed(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    int status = status_in_child(create_as_user, NULL);
    in_child(collect_all, NULL);
    in_child(create_as_user, NULL);
    if (status != 0 || names_now() != 0 || segments_now() != 0)
        walk_print_place();
    assert_int_equal(status, 0);
    assert_int_equal(names_now(), 0);
    assert_int_equal(segments_now(), 0);
}

static void test_root_killed_in_a_users_directory(void **state)
{
    struct walk walk = {
        "create, root killed", stage_users, NULL, try_create, at_stop_killed, NULL
    };
    (void)state;
    if (!has_other_users() || !tracer_works())
        skip();
    assert_true(walk_stops(&walk) >= 10);
    clear_everything();
}

static void collect_leftover(void *argument)
{
    (void)argument;
    be(OTHER_UID);
    CHECK_RESULT(weir_collect(0, NULL, NULL), 0);
    CHECK(names_now() == 0);
}

/* Root was killed before it gave them away. */
static void test_empty_ones_of_root(void **state)
{
    static const char *const names[] = { "#" NONCE, "~" NONCE, "mine" };
    (void)state;
    if (!has_other_users())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make_run(OTHER_UID, OTHER_UID, 0700);
        assert_int_equal(mkdir(run_directory(), 0700), 0);
        assert_int_equal(chown(run_directory(), OTHER_UID, OTHER_UID), 0);
        assert_int_equal(mkdir(entry_path(names[i]), 0700), 0);
        in_child(collect_leftover, NULL);
    }
    clear_everything();
}

/* --- the namespace's directory ------------------------------------------------------------- */

static void be_refused(void *argument)
{
    struct weir_segment *segment = NULL;
    be(*(uid_t *)argument);
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
        cmocka_unit_test_teardown(test_a_vault_for_a_draft, fixture_check),
        cmocka_unit_test_teardown(test_a_draft_with_more_in_it, fixture_check),
        cmocka_unit_test_teardown(test_a_draft_that_is_hidden, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_a_name, fixture_check),
        cmocka_unit_test_teardown(test_names_exchanged, fixture_check),
        cmocka_unit_test_teardown(test_a_dead_name_moved, fixture_check),
        cmocka_unit_test_teardown(test_root_killed_in_a_users_directory, fixture_check),
        cmocka_unit_test_teardown(test_empty_ones_of_root, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_all, fixture_check),
        cmocka_unit_test_teardown(test_a_vault_for_what_is_made, fixture_check),
    };
    return cmocka_run_group_tests_name("moved directory", tests, fixture_start, fixture_end);
}
