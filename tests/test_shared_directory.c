/* SPDX-License-Identifier: MIT */
/*
 * Goal: in a run directory that several users share, no member can turn another user's weir
 *       against that user: its other files, segments and sets, or its objects that are in use.
 * Method: another uid rewrites, moves and exchanges what stands there, links included, while root
 *       creates, removes and collects; then root's things are looked at.
 */
#include "fixture.h"
#include "records.h"
#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define VICTIM_KEY 0x76696374
#define TEST_SIZE 5000

static struct record seen; /* of the object that the test is about */

static int share(void **state)
{
    (void)state;
    if (!has_other_users())
        return 0;
    return mkdir(fixture_path("run"), 0777) == 0 && chmod(fixture_path("run"), 0777) == 0 ? 0 : -1;
}

/* --- root's acts ------------------------------------------------------------------------- */

static void make(uint32_t lifetime, uint32_t semaphores, struct weir_segment **segment)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = lifetime;
    options.semaphores = semaphores;
    CHECK_RESULT(weir_segment_create(segment, weir_by_name("mine"), TEST_SIZE, &options), 0);
}

static void make_persistent(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    make(WEIR_PERSISTENT, 2, &segment);
    weir_segment_close(segment);
}

static void hold(struct companion *companion, void *argument)
{
    struct weir_segment *segment;
    uid_t uid = *(uid_t *)argument;
    if (uid != 0)
        become(uid);
    make(WEIR_EPHEMERAL, 2, &segment);
    companion_arrive(companion);
    CHECK_RESULT(weir_semset_value(weir_segment_semset(segment), 1), 0);
    weir_segment_close(segment);
}

static void collect(void *argument)
{
    (void)argument;
    CHECK(weir_collect(0, NULL, NULL) >= 0);
}

static void remove_mine(void *argument)
{
    (void)argument;
    (void)weir_segment_remove(weir_by_name("mine"));
}

static void try_create(void *argument)
{
    struct weir_segment *segment;
    (void)argument;
    if (weir_segment_create(&segment, weir_by_name("mine"), TEST_SIZE, NULL) == 0)
        weir_segment_close(segment);
}

/* --- the record is its creator's --------------------------------------------------------- */

static struct record false_record;

static void rewrite(void *argument)
{
    char text[RECORD_BYTES + 1];
    (void)argument;
    become(OTHER_UID);
    record_text(&false_record, text);
    const char *path = entry_file("mine");
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd >= 0)
        CHECK(pwrite(fd, text, RECORD_BYTES, 0) == RECORD_BYTES);
}

static void test_record_is_not_rewritten(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    int set = semget(VICTIM_KEY, 2, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(set >= 0);
    in_child(make_persistent, NULL);
    assert_true(record_read("mine", &seen));
    false_record = seen;
    false_record.shm_id = 0x7ffffff0; /* gone: so the set would be a leftover */
    false_record.sem_key = VICTIM_KEY;
    false_record.sem_id = set;
    in_child(rewrite, NULL);
    in_child(collect, NULL);
    assert_true(semctl(set, 0, GETVAL) == 0); /* it is no weir's */
    semctl(set, 0, IPC_RMID);
    in_child(remove_mine, NULL);
}

/* --- a published object is no draft ------------------------------------------------------ */

static void move_to_draft(void *argument)
{
    char draft[32];
    (void)argument;
    become(OTHER_UID);
    snprintf(draft, sizeof draft, "#%016llx", (unsigned long long)seen.nonce);
    CHECK(rename(entry_path("mine"), entry_path(draft)) == 0);
}

/* The record file itself, as a draft that has no directory. */
static void move_file_to_draft(void *argument)
{
    char draft[32], file[64];
    (void)argument;
    become(OTHER_UID);
    snprintf(draft, sizeof draft, "#%016llx", (unsigned long long)seen.nonce);
    snprintf(file, sizeof file, "mine/%s", draft + 1);
    CHECK(rename(entry_path(file), entry_path(draft)) == 0);
}

static void test_file_moved_to_draft(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(make_persistent, NULL);
    assert_true(record_read("mine", &seen));
    in_child(move_file_to_draft, NULL);
    in_child(collect, NULL);
    assert_int_equal(segments_now(), 1);
    assert_int_equal(sets_now(), 1);
    clear_everything();
}

static void test_name_moved_to_draft(void **state)
{
    (void)state;
    uid_t root = 0;
    struct companion companion;
    if (!has_other_users())
        skip();
    in_child(make_persistent, NULL);
    assert_true(record_read("mine", &seen));
    in_child(move_to_draft, NULL);
    in_child(collect, NULL);
    assert_int_equal(segments_now(), 1);
    assert_int_equal(sets_now(), 1);
    clear_everything();
    share(NULL);
    companion_start(&companion, hold, &root);
    companion_meet(&companion);
    assert_true(record_read("mine", &seen));
    in_child(move_to_draft, NULL);
    in_child(collect, NULL);
    assert_int_equal(sets_now(), 1); /* in use */
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    in_child(collect, NULL);
    assert_int_equal(sets_now(), 0);
}

/* --- root in a user's own directory ------------------------------------------------------ */

static void collect_as_other(void *argument)
{
    become(OTHER_UID);
    collect(argument);
}

static void hold_until_killed(struct companion *companion, void *argument)
{
    uid_t other = OTHER_UID;
    (void)argument;
    hold(companion, &other);
}

/* The record of what root took the name of stays within its owner's reach. */
static void test_name_taken_by_root(void **state)
{
    (void)state;
    struct companion companion;
    if (!has_other_users())
        skip();
    assert_int_equal(chown(fixture_path("run"), OTHER_UID, OTHER_UID), 0);
    assert_int_equal(chmod(fixture_path("run"), 0700), 0);
    companion_start(&companion, hold_until_killed, NULL);
    companion_meet(&companion);
    assert_result(weir_segment_remove(weir_by_name("mine")), 0);
    kill(companion.pid, SIGKILL);
    companion_end(&companion);
    assert_int_equal(sets_now(), 1);
    in_child(collect_as_other, NULL);
    assert_int_equal(sets_now(), 0);
    assert_int_equal(names_now(), 0);
    clear_everything();
}

/* --- links ------------------------------------------------------------------------------- */

/* A directory of root's that links will point to, with one file. */
static void make_precious(void)
{
    assert_true(mkdir(fixture_path("precious"), 0755) == 0 || errno == EEXIST);
    assert_int_equal(chmod(fixture_path("precious"), 0755), 0);
    assert_true(file_fill(fixture_path("precious/file"), "x", 1));
}

static void expect_precious(void)
{
    struct stat found;
    unsigned count = 0;
    assert_int_equal(stat(fixture_path("precious"), &found), 0);
    DIR *listing = opendir(fixture_path("precious"));
    while (readdir(listing))
        count++;
    closedir(listing);
    if ((found.st_mode & 07777) != 0755 || count != 3)
        walk_print_place();
    assert_int_equal(found.st_mode & 07777, 0755);
    assert_int_equal(count, 3); /* ".", ".." and the file */
}

static void end_precious(void)
{
    expect_precious();
    unlink(fixture_path("precious/file"));
    rmdir(fixture_path("precious"));
}

static void link_nameless(void *argument)
{
    char nameless[32];
    (void)argument;
    become(OTHER_UID);
    snprintf(nameless, sizeof nameless, "~%016llx", (unsigned long long)seen.nonce);
    CHECK(symlink(fixture_path("precious"), entry_path(nameless)) == 0);
}

/* Taking the name of an object in use away makes "~NONCE": not through a link. */
static void test_link_for_nameless(void **state)
{
    (void)state;
    uid_t other = OTHER_UID;
    struct companion companion;
    if (!has_other_users())
        skip();
    make_precious();
    companion_start(&companion, hold, &other);
    companion_meet(&companion);
    assert_true(record_read("mine", &seen));
    in_child(link_nameless, NULL);
    in_child(remove_mine, NULL);
    end_precious();
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    clear_everything();
}

static void link_draft(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    CHECK(symlink(fixture_path("precious"), entry_path("#file")) == 0);
    CHECK(symlink(fixture_path("precious/file"), entry_path("#a-file")) == 0);
}

/* The collector opens nothing through a link: a device may take that for an order. */
static void test_link_for_draft(void **state)
{
    (void)state;
    char event[4096];
    if (!has_other_users())
        skip();
    in_child(make_persistent, NULL); /* so that there is a run directory */
    make_precious();
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(inotify_add_watch(watch, fixture_path("precious/file"), IN_OPEN) >= 0);
    in_child(link_draft, NULL);
    in_child(collect, NULL);
    assert_true(read(watch, event, sizeof event) < 0 && errno == EAGAIN);
    close(watch);
    end_precious();
    in_child(remove_mine, NULL);
    clear_everything();
}

/* Exchanges every directory of that beginning for a link. */
static void exchange(const char *parent, const char *beginning)
{
    char from[4700], to[4700];
    DIR *listing = opendir(parent);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        if (strncmp(entry->d_name, beginning, strlen(beginning)) != 0)
            continue;
        snprintf(from, sizeof from, "%s/%s", parent, entry->d_name);
        snprintf(to, sizeof to, "%s/moved-%s", parent, entry->d_name + 1);
        CHECK(rename(from, to) == 0 && symlink(fixture_path("precious"), from) == 0);
    }
    if (listing)
        closedir(listing);
}

static void exchange_all(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    exchange(fixture_path("run"), ".new-");
    exchange(run_directory(), "#");
}

static void at_stop(pid_t child, void *argument)
{
    (void)argument;
    in_child(exchange_all, NULL);
    tracee_finish(child); /* how it ends is not the question */
    expect_precious();
    clear_everything();
}

static void stage(void *argument)
{
    (void)argument;
    share(NULL);
}

/* A draft's directory, and the run directory's, are exchanged while they are made. */
static void test_links_for_what_is_made(void **state)
{
    (void)state;
    if (!has_other_users() || !tracer_works())
        skip();
    clear_everything();
    make_precious();
    struct walk walk = { "create, directories exchanged", stage, NULL, try_create, at_stop, NULL };
    assert_true(walk_stops(&walk) >= 10);
    clear_everything();
    end_precious();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_record_is_not_rewritten, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_name_moved_to_draft, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_file_moved_to_draft, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_name_taken_by_root, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_link_for_nameless, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_link_for_draft, share, fixture_check),
        cmocka_unit_test_setup_teardown(test_links_for_what_is_made, share, fixture_check),
    };
    return cmocka_run_group_tests_name("shared directory", tests, fixture_start, fixture_end);
}
