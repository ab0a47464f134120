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

static void try_create(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    if (weir_segment_create(&segment, weir_by_name("mine"), 5000, NULL) == 0)
        weir_segment_close(segment);
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
        cmocka_unit_test_teardown(test_a_vault_for_what_is_made, fixture_check),
    };
    return cmocka_run_group_tests_name("moved directory", tests, fixture_start, fixture_end);
}
