/* SPDX-License-Identifier: MIT */
/*
 * Goal: users are kept apart and let in as mode, gid and trust policy say; the last user of an
 *       ephemeral segment takes its name and its semaphores along, whoever that is.
 * Method: real other uids (children after setresuid) in a shared run directory; parents and
 *       children that close in every order, counted by the kernel.
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x77656972u

/* A run directory that everybody may use, as WEIR_DIR of a group would be; not sticky. */
static void shared_run_directory(void)
{
    assert_int_equal(mkdir(fixture_path("run"), 0777), 0);
    assert_int_equal(chmod(fixture_path("run"), 0777), 0);
}

/* --- trust ------------------------------------------------------------------------------ */

struct trust_row {
    uid_t opener;
    enum weir_trust trust;
    uint32_t trust_uid;
    int by_name, by_key;
};

/* The object is OTHER_UID's, mode 0666. */
static const struct trust_row trust_rows[] = {
    { OTHER_UID, WEIR_TRUST_SELF, 0, 0, 0 },
    { OTHER_UID, WEIR_TRUST_UID, THIRD_UID, 0, 0 }, /* "or myself" */
    { THIRD_UID, WEIR_TRUST_SELF, 0, -EPERM, -EPERM },
    { THIRD_UID, WEIR_TRUST_UID, OTHER_UID, 0, 0 },
    { THIRD_UID, WEIR_TRUST_UID, THIRD_UID, -EPERM, -EPERM },
    { THIRD_UID, WEIR_TRUST_UID, 0, -EPERM, -EPERM },
    { THIRD_UID, WEIR_TRUST_ANYONE, 0, 0, 0 },
    { THIRD_UID, WEIR_TRUST_DIRECTORY, 0, 0, -EINVAL },
    { 0, WEIR_TRUST_SELF, 0, -EPERM, -EPERM },
    { 0, WEIR_TRUST_UID, OTHER_UID, 0, 0 },
    { 0, WEIR_TRUST_ANYONE, 0, 0, 0 },
};

static void hold_shared(struct companion *companion, void *argument)
{
    const uid_t *uid = argument;
    become(*uid);
    umask(0);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.mode = 0666;
    struct weir_segment *named;
    struct weir_segment *keyed;
    CHECK_RESULT(weir_segment_create(&named, weir_by_name("shared"), 100, &options), 0);
    options.lifetime = WEIR_PERSISTENT;
    CHECK_RESULT(weir_segment_create(&keyed, weir_by_key(TEST_KEY), 100, &options), 0);
    companion_arrive(companion);
    weir_segment_close(named);
    weir_segment_close(keyed);
    CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
}

static void open_as(void *argument)
{
    const struct trust_row *row = argument;
    if (row->opener != 0)
        become(row->opener);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = row->trust;
    options.trust_uid = row->trust_uid;
    struct weir_segment *segment = NULL;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("shared"), 0, &options), row->by_name);
    CHECK((segment != NULL) == (row->by_name == 0));
    weir_segment_close(segment);
    segment = NULL;
    int result = weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options);
    CHECK_RESULT(result, row->by_key);
    if (result == -EPERM)
        CHECK(has_word(weir_last_error(), "54321"));
    weir_segment_close(segment);
}

static void test_trust(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    shared_run_directory();
    struct companion companion;
    uid_t uid = OTHER_UID;
    companion_start(&companion, hold_shared, &uid);
    companion_meet(&companion);
    for (size_t i = 0; i < ARRAY_SIZE(trust_rows); i++) {
        struct trust_row row = trust_rows[i];
        int status = status_in_child(open_as, &row);
        if (status != 0)
            print_error("row %zu: uid %u, trust %d\n", i, row.opener, row.trust);
        assert_int_equal(status, 0);
    }
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
}

static void open_roots(void *argument)
{
    (void)argument;
    become(THIRD_UID);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("shared"), 0, NULL), 0);
    weir_segment_close(segment);
    options.trust = WEIR_TRUST_UID;
    options.trust_uid = OTHER_UID;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options), 0);
    weir_segment_close(segment);
    CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY)), -EPERM);
}

static void test_root_is_trusted(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    shared_run_directory();
    struct companion companion;
    uid_t root = 0;
    companion_start(&companion, hold_shared, &root);
    companion_meet(&companion);
    in_child(open_roots, NULL);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
}

/* Ownership can be given away, creation cannot: both must be right. */
static void test_changed_owner(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct shmid_ds raw;
    struct weir_segment *segment = NULL;
    int id = shmget(TEST_KEY, 100, IPC_CREAT | 0666);
    assert_int_equal(shmctl(id, IPC_STAT, &raw), 0);
    raw.shm_perm.uid = OTHER_UID;
    assert_int_equal(shmctl(id, IPC_SET, &raw), 0);
    assert_result(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, NULL), -EPERM);
    assert_result(weir_segment_open(&segment, weir_by_id(id), 0, NULL), -EPERM);
    raw.shm_perm.uid = 0;
    assert_int_equal(shmctl(id, IPC_SET, &raw), 0);
    assert_result(weir_segment_open(&segment, weir_by_id(id), 0, NULL), 0);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_id(id)), 0);
}

static void gift_to_root(void *argument)
{
    (void)argument;
    become(OTHER_UID);
    struct shmid_ds raw;
    int id = shmget(TEST_KEY, 100, IPC_CREAT | 0666);
    CHECK(shmctl(id, IPC_STAT, &raw) == 0);
    raw.shm_perm.uid = 0;
    CHECK(shmctl(id, IPC_SET, &raw) == 0);
}

static void test_gift_is_refused(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(gift_to_root, NULL);
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, NULL), -EPERM);
    assert_true(has_word(weir_last_error(), "54321"));
    assert_result(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
}

/* --- modes ------------------------------------------------------------------------------ */

static void expect_nothing(void *argument)
{
    become(*(uid_t *)argument);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = WEIR_TRUST_ANYONE;
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options), -EACCES);
    options.flags = WEIR_SEGMENT_READ_ONLY;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options), -EACCES);
    /* What every user sees in ipcs -m anyway is no secret: a lookup by key attaches nothing. */
    CHECK_RESULT(weir_segment_lookup(weir_by_key(TEST_KEY), &stat), 0);
    CHECK(stat.uid == 0 && stat.size_bytes == 1);
    CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY)), -EPERM);
    CHECK(segment == NULL);
}

static void expect_reading(void *argument)
{
    become(*(uid_t *)argument);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = WEIR_TRUST_ANYONE;
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options), -EACCES);
    CHECK(segment == NULL);
    CHECK_RESULT(weir_segment_lookup(weir_by_key(TEST_KEY), &stat), 0);
    options.flags = WEIR_SEGMENT_READ_ONLY;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_key(TEST_KEY), 0, &options), 0);
    void *more = NULL;
    CHECK_RESULT(weir_segment_attach(segment, NULL, 0, &more), -EACCES);
    CHECK_RESULT(weir_segment_attach(segment, NULL, WEIR_SEGMENT_READ_ONLY, &more), 0);
    weir_segment_close(segment);
}

static void test_modes(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    static const struct {
        uint32_t mode;
        void (*expectation)(void *);
    } rows[] = { { 0, expect_nothing }, { 0660, expect_nothing }, { 0604, expect_reading } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        options.lifetime = WEIR_PERSISTENT;
        options.mode = rows[i].mode;
        struct weir_segment *segment;
        uid_t uid = OTHER_UID;
        assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, &options), 0);
        in_child(rows[i].expectation, &uid);
        weir_segment_close(segment);
        assert_result(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
    }
}

static void create_without_rights(void *argument)
{
    static const uint32_t modes[] = { 0400, 0200, 0040, 0606 };
    (void)argument;
    become(OTHER_UID);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment *segment;
        struct weir_object object = { .size = sizeof object };
        char texts[300];
        options.lifetime = WEIR_PERSISTENT;
        options.mode = modes[i];
        CHECK_RESULT(weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, &options), 0);
        *(char *)weir_segment_data(segment) = 1;
        weir_segment_close(segment);
        CHECK_RESULT(weir_inspect_one(weir_by_key(TEST_KEY), 0, &object, texts, sizeof texts), 0);
        CHECK(object.mode == modes[i]);
        CHECK_RESULT(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
    }
}

/* A mode that forbids its creator to come back does not forbid it to create. */
static void test_modes_without_the_creators_rights(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(create_without_rights, NULL);
}

static void test_set_gid(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct weir_ref refs[] = { weir_by_name("grouped"), weir_by_key(TEST_KEY), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment;
        options.lifetime = refs[i].by == WEIR_BY_KEY ? WEIR_PERSISTENT : WEIR_EPHEMERAL;
        options.mode = 0640;
        options.flags = WEIR_SEGMENT_SET_GID;
        options.gid = THIRD_UID;
        assert_result(weir_segment_create(&segment, refs[i], 1, &options), 0);
        assert_result(weir_segment_stat(segment, &stat), 0);
        assert_int_equal(stat.gid, THIRD_UID);
        assert_int_equal(stat.uid, 0);
        assert_int_equal(stat.mode, 0640);
        uid_t member = THIRD_UID;
        if (refs[i].by == WEIR_BY_KEY) {
            in_child(expect_reading, &member);
            assert_result(weir_segment_remove(refs[i]), 0);
        }
        weir_segment_close(segment);
    }
}

/* --- one writer ------------------------------------------------------------------------- */

static void write_alone(struct companion *companion, void *argument)
{
    (void)argument;
    become(OTHER_UID);
    umask(0);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *segment;
    options.flags = WEIR_SEGMENT_ONE_WRITER;
    options.mode = 0666;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("alone"), 100, &options), 0);
    CHECK_RESULT(weir_segment_stat(segment, &stat), 0);
    CHECK(stat.mode == 0444);
    companion_arrive(companion);
    strcpy(weir_segment_data(segment), "the only writer");
    companion_arrive(companion);
    weir_segment_close(segment);
}

static void read_beside(void *argument)
{
    become(*(uid_t *)argument);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.trust = WEIR_TRUST_ANYONE;
    struct weir_segment *segment = NULL;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("alone"), 0, &options), -EACCES);
    CHECK(segment == NULL);
    options.flags = WEIR_SEGMENT_READ_ONLY;
    CHECK_RESULT(weir_segment_open(&segment, weir_by_name("alone"), 0, &options), 0);
    CHECK(strcmp(weir_segment_data(segment), "the only writer") == 0);
    void *more = NULL;
    CHECK_RESULT(weir_segment_attach(segment, NULL, 0, &more), -EACCES);
    weir_segment_close(segment);
}

static void test_one_writer(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    shared_run_directory();
    struct companion companion;
    companion_start(&companion, write_alone, NULL);
    companion_meet(&companion);
    companion_release(&companion);
    companion_meet(&companion);
    uid_t uids[] = { THIRD_UID, OTHER_UID }; /* another user, and another process of its own */
    for (size_t i = 0; i < ARRAY_SIZE(uids); i++)
        in_child(read_beside, &uids[i]);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
}

static void test_one_writer_modes(void **state)
{
    (void)state;
    static const uint32_t modes[][2] = { { 0, 0400 }, { 0640, 0440 }, { 0644, 0444 } };
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
            struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
            struct weir_segment_stat stat = { .size = sizeof stat };
            struct weir_segment *segment;
            options.lifetime = (uint32_t)lifetime;
            options.mode = modes[i][0];
            options.flags = WEIR_SEGMENT_ONE_WRITER;
            assert_result(weir_segment_create(&segment, weir_by_name("w"), 1, &options), 0);
            assert_result(weir_segment_stat(segment, &stat), 0);
            assert_int_equal(stat.mode, modes[i][1]);
            *(char *)weir_segment_data(segment) = 1;
            weir_segment_close(segment);
            if (lifetime == WEIR_PERSISTENT)
                assert_result(weir_segment_remove(weir_by_name("w")), 0);
        }
    }
}

/* --- the last user ---------------------------------------------------------------------- */

static void use_and_close(void *segment)
{
    strcpy(weir_segment_data(segment), "child was here");
    weir_segment_close(segment);
}

static void test_child_close_spares_parent(void **state)
{
    (void)state;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    struct weir_segment *again;
    options.semaphores = 2;
    assert_result(weir_segment_create(&segment, weir_by_name("family"), 100, &options), 0);
    for (int round = 0; round < 3; round++) {
        in_child(use_and_close, segment);
        assert_string_equal(weir_segment_data(segment), "child was here");
        assert_int_equal(sets_now(), 1);
        assert_result(weir_semset_post(weir_segment_semset(segment), 1, 0), 0);
        assert_result(weir_segment_open(&again, weir_by_name("family"), 0, NULL), 0);
        weir_segment_close(again);
    }
    weir_segment_close(segment);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(sets_now(), 0);
}

static void close_last(struct companion *companion, void *segment)
{
    companion_arrive(companion);
    struct weir_semset *set = weir_segment_semset(segment);
    if (set)
        CHECK_RESULT(weir_semset_post(set, 0, 0), 0);
    CHECK(strcmp(weir_segment_data(segment), "inherited") == 0);
    weir_segment_close(segment);
}

static void test_last_closer_in_a_child(void **state)
{
    (void)state;
    struct weir_ref refs[] = { weir_by_name("inherited"), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        for (uint32_t semaphores = 0; semaphores < 2; semaphores++) {
            struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
            struct weir_segment *segment;
            struct companion companion;
            options.semaphores = semaphores;
            assert_result(weir_segment_create(&segment, refs[i], 100, &options), 0);
            strcpy(weir_segment_data(segment), "inherited");
            companion_start(&companion, close_last, segment);
            companion_meet(&companion);
            weir_segment_close(segment);
            assert_int_equal(segments_now(), 1);
            assert_int_equal(sets_now(), semaphores);
            companion_release(&companion);
            assert_int_equal(companion_end(&companion), 0);
            assert_int_equal(segments_now(), 0);
            assert_int_equal(sets_now(), 0);
            assert_int_equal(names_now(), 0);
        }
    }
}

/* Nobody closes: the kernel frees the segment; the name and the set go with the next collect. */
static void die_attached(void *segment)
{
    (void)segment;
    raise(SIGKILL);
}

static void create_with_set_and_die(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.semaphores = 3;
    CHECK_RESULT(weir_segment_create(&segment, *(struct weir_ref *)argument, 1, &options), 0);
    CHECK(sets_now() == 1);
    die_attached(segment);
}

static void test_killed_users_set_is_collected(void **state)
{
    (void)state;
    struct weir_ref refs[] = { weir_by_name("killed"), weir_private() };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        int status = status_in_child(create_with_set_and_die, &refs[i]);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(segments_now(), 0);
        assert_int_equal(sets_now(), 1);
        assert_result(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL), 1);
        assert_int_equal(sets_now(), 1);
        assert_result(weir_collect(0, NULL, NULL), 1);
        assert_int_equal(sets_now(), 0);
        assert_int_equal(names_now(), 0);
        assert_result(weir_collect(0, NULL, NULL), 0);
    }
}

/* Semaphores: their first values, seen by who opens; they stay with a persistent segment. */
static void test_semaphores_of_a_segment(void **state)
{
    (void)state;
    static const uint16_t values[3] = { 5, 0, WEIR_SEM_VALUE_MAX };
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment;
        struct weir_segment *second;
        options.lifetime = (uint32_t)lifetime;
        options.semaphores = 3;
        options.semaphore_values = values;
        assert_result(weir_segment_create(&segment, weir_by_name("sems"), 1, &options), 0);
        assert_result(weir_segment_stat(segment, &stat), 0);
        assert_int_equal(stat.semaphores, 3);
        assert_true(stat.semset_id >= 0);
        for (unsigned short i = 0; i < 3; i++)
            assert_int_equal(semctl(stat.semset_id, i, GETVAL), values[i]);
        assert_result(weir_segment_open(&second, weir_by_name("sems"), 0, NULL), 0);
        struct weir_semset *set = weir_segment_semset(second);
        assert_non_null(set);
        assert_result(weir_semset_wait(set, 0, 0), 0);
        assert_result(weir_semset_value(weir_segment_semset(segment), 0), 4);
        assert_result(weir_semset_try_wait(set, 1, 0), -EAGAIN);
        assert_result(weir_semset_post(set, 3, 0), -EINVAL);
        weir_segment_close(segment);
        assert_result(weir_semset_value(set, 0), 4);
        weir_segment_close(second);
        if (lifetime == WEIR_PERSISTENT) {
            assert_int_equal(sets_now(), 1);
            assert_result(weir_segment_remove(weir_by_name("sems")), 0);
        }
        assert_int_equal(sets_now(), 0);
        assert_int_equal(segments_now(), 0);
    }
}

/* Removed while attached: when the last user has closed, the set has gone too. */
static void test_removed_while_attached(void **state)
{
    (void)state;
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        struct weir_segment *segment;
        struct weir_segment *second;
        options.lifetime = (uint32_t)lifetime;
        options.semaphores = 1;
        assert_result(weir_segment_create(&segment, weir_by_name("gone"), 1, &options), 0);
        assert_result(weir_segment_open(&second, weir_by_name("gone"), 0, NULL), 0);
        assert_result(weir_segment_remove(weir_by_name("gone")), 0);
        *(char *)weir_segment_data(second) = 1;
        weir_segment_close(segment);
        weir_segment_close(second);
        assert_int_equal(segments_now(), 0);
        assert_int_equal(sets_now(), 0);
        assert_int_equal(names_now(), 0);
    }
}

static void remove_where_nothing_goes(void *argument)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    char entry[4200];
    (void)argument;
    CHECK(mkdir(fixture_path("own"), 0700) == 0);
    CHECK(chown(fixture_path("own"), OTHER_UID, OTHER_UID) == 0);
    become(OTHER_UID);
    CHECK(setenv("WEIR_DIR", fixture_path("own"), 1) == 0);
    options.lifetime = WEIR_PERSISTENT;
    options.semaphores = 1;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("kept"), 1, &options), 0);
    weir_segment_close(segment);
    snprintf(entry, sizeof entry, "%s/kept", run_directory());
    const char *paths[] = { entry, run_directory() };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct stat found;
        CHECK(stat(paths[i], &found) == 0 && chmod(paths[i], 0500) == 0);
        CHECK_RESULT(weir_segment_remove(weir_by_name("kept")), -EACCES);
        CHECK(strstr(weir_last_error(), "cannot take the name 'kept' away"));
        CHECK_RESULT(weir_segment_open(&segment, weir_by_name("kept"), 1, NULL), 0);
        CHECK_RESULT(weir_semset_post(weir_segment_semset(segment), 0, 0), 0);
        weir_segment_close(segment);
        CHECK(chmod(paths[i], found.st_mode & 07777) == 0);
    }
    CHECK_RESULT(weir_segment_remove(weir_by_name("kept")), 0);
}

/* Where the name cannot follow, its segment stays as well. */
static void test_refused_removal_takes_nothing(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(remove_where_nothing_goes, NULL);
    assert_int_equal(rmdir(fixture_path("own")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_trust, fixture_check),
        cmocka_unit_test_teardown(test_root_is_trusted, fixture_check),
        cmocka_unit_test_teardown(test_changed_owner, fixture_check),
        cmocka_unit_test_teardown(test_gift_is_refused, fixture_check),
        cmocka_unit_test_teardown(test_modes, fixture_check),
        cmocka_unit_test_teardown(test_modes_without_the_creators_rights, fixture_check),
        cmocka_unit_test_teardown(test_set_gid, fixture_check),
        cmocka_unit_test_teardown(test_one_writer, fixture_check),
        cmocka_unit_test_teardown(test_one_writer_modes, fixture_check),
        cmocka_unit_test_teardown(test_child_close_spares_parent, fixture_check),
        cmocka_unit_test_teardown(test_last_closer_in_a_child, fixture_check),
        cmocka_unit_test_teardown(test_killed_users_set_is_collected, fixture_check),
        cmocka_unit_test_teardown(test_semaphores_of_a_segment, fixture_check),
        cmocka_unit_test_teardown(test_removed_while_attached, fixture_check),
        cmocka_unit_test_teardown(test_refused_removal_takes_nothing, fixture_check),
    };
    return cmocka_run_group_tests_name("segment_users", tests, fixture_start, fixture_end);
}
