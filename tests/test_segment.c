/* SPDX-License-Identifier: MIT */
/*
 * Goal: the matrix of <weir/segment.h> {name, ftok, key, id, private} x {ephemeral, persistent}
 *       holds cell by cell, and a segment lives exactly as long as it should.
 * Method: a table of expected results for each call on an absent and an existing object; then
 *       users that come, go and die, counted by the kernel.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_KEY 0x77656972u
#define UNUSED_ID 0x7ffffff0

static const char *ftok_file(void)
{
    const char *path = fixture_path("ftok-file");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return path;
}

static struct weir_segment_options lasting(enum weir_lifetime lifetime)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = lifetime;
    return options;
}

struct cell {
    const char *what;
    enum weir_by by;
    enum weir_lifetime lifetime;
    /* nothing is there yet */
    int open_absent, lookup_absent, remove_absent;
    int create, create_or_open;
    /* it is there, and attached */
    int create_again, open, create_or_open_again, lookup, remove;
};

static const struct cell cells[] = {
    { "name, ephemeral", WEIR_BY_NAME, WEIR_EPHEMERAL, -ENOENT, -ENOENT, -ENOENT, 0, WEIR_CREATED,
      -EEXIST, 0, 0, 0, 0 },
    { "name, persistent", WEIR_BY_NAME, WEIR_PERSISTENT, -ENOENT, -ENOENT, -ENOENT, 0, WEIR_CREATED,
      -EEXIST, 0, 0, 0, 0 },
    { "ftok, persistent", WEIR_BY_FTOK, WEIR_PERSISTENT, -ENOENT, -ENOENT, -ENOENT, 0, WEIR_CREATED,
      -EEXIST, 0, 0, 0, 0 },
    { "key, persistent", WEIR_BY_KEY, WEIR_PERSISTENT, -ENOENT, -ENOENT, -ENOENT, 0, WEIR_CREATED,
      -EEXIST, 0, 0, 0, 0 },
};

static struct weir_ref cell_ref(const struct cell *cell)
{
    switch (cell->by) {
    case WEIR_BY_NAME:
        return weir_by_name("matrix/cell");
    case WEIR_BY_FTOK:
        return weir_by_ftok(ftok_file(), 'M');
    default:
        return weir_by_key(TEST_KEY);
    }
}

static void check_cell(const struct cell *cell)
{
    struct weir_ref ref = cell_ref(cell);
    struct weir_segment_options options = lasting(cell->lifetime);
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *nothing = NULL;
    struct weir_segment *first = NULL;
    struct weir_segment *second = NULL;
    struct weir_segment *third = NULL;

    assert_result(weir_segment_open(&nothing, ref, 0, NULL), cell->open_absent);
    assert_result(weir_segment_lookup(ref, &stat), cell->lookup_absent);
    assert_result(weir_segment_remove(ref), cell->remove_absent);
    assert_null(nothing);
    assert_int_equal(segments_now(), 0);

    assert_result(weir_segment_create(&first, ref, 100, &options), cell->create);
    assert_result(weir_segment_create(&nothing, ref, 100, &options), cell->create_again);
    assert_null(nothing);
    assert_result(weir_segment_open(&second, ref, 100, NULL), cell->open);
    assert_result(weir_segment_create_or_open(&third, ref, 100, &options),
                  cell->create_or_open_again);
    assert_result(weir_segment_lookup(ref, &stat), cell->lookup);
    assert_int_equal(segments_now(), 1);
    assert_int_equal(stat.lifetime, cell->lifetime);
    assert_int_equal(stat.size_bytes, 100);
    memset(weir_segment_data(first), 0x5a, 100);
    assert_true(all_bytes(weir_segment_data(second), 100, 0x5a));
    assert_true(all_bytes(weir_segment_data(third), 100, 0x5a));

    assert_result(weir_segment_remove(ref), cell->remove);
    assert_result(weir_segment_remove(ref), -ENOENT);
    assert_result(weir_segment_open(&nothing, ref, 0, NULL), -ENOENT);
    assert_result(weir_segment_lookup(ref, &stat), -ENOENT);
    assert_int_equal(segments_now(), 1); /* the attached keep it */
    memset(weir_segment_data(third), 0x5b, 100);
    weir_segment_close(third);
    weir_segment_close(first);
    assert_true(all_bytes(weir_segment_data(second), 100, 0x5b));
    weir_segment_close(second);
    assert_int_equal(segments_now(), 0);

    assert_result(weir_segment_create_or_open(&first, ref, 100, &options), cell->create_or_open);
    assert_true(all_bytes(weir_segment_data(first), 100, 0));
    assert_result(weir_segment_remove(ref), 0);
    weir_segment_close(first);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(names_now(), 0);
}

static void test_matrix_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cells); i++) {
        print_message("           cell: %s\n", cells[i].what);
        check_cell(&cells[i]);
    }
    unlink(ftok_file());
}

/* ftok, key x ephemeral: there is no such thing, whether something has the key or not. */
static void test_matrix_no_ephemeral_key(void **state)
{
    (void)state;
    struct weir_ref refs[] = { weir_by_ftok(ftok_file(), 'M'), weir_by_key(TEST_KEY) };
    struct weir_segment_options persistent = lasting(WEIR_PERSISTENT);
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        struct weir_segment *segment = NULL;
        assert_result(weir_segment_create(&segment, refs[i], 1, NULL), -EOPNOTSUPP);
        assert_result(weir_segment_create_or_open(&segment, refs[i], 1, NULL), -EOPNOTSUPP);
        assert_null(segment);
        assert_int_equal(segments_now(), 0);
        assert_result(weir_segment_create(&segment, refs[i], 1, &persistent), 0);
        struct weir_segment *second = NULL;
        assert_result(weir_segment_create(&second, refs[i], 1, NULL), -EOPNOTSUPP);
        assert_null(second);
        weir_segment_close(segment);
        assert_result(weir_segment_remove(refs[i]), 0);
    }
    unlink(ftok_file());
}

/* id x {ephemeral, persistent}: opens either, creates neither. */
static void test_matrix_id(void **state)
{
    (void)state;
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = lasting((enum weir_lifetime)lifetime);
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment = NULL;
        struct weir_ref unused = weir_by_id(UNUSED_ID);
        assert_result(weir_segment_create(&segment, unused, 1, &options), -EINVAL);
        assert_result(weir_segment_create_or_open(&segment, unused, 1, &options), -EINVAL);
        assert_result(weir_segment_open(&segment, unused, 0, NULL), -ENOENT);
        assert_result(weir_segment_lookup(unused, &stat), -ENOENT);
        assert_result(weir_segment_remove(unused), -ENOENT);
        assert_null(segment);
        assert_int_equal(segments_now(), 0);

        assert_result(weir_segment_create(&segment, weir_private(), 5000, &options), 0);
        assert_result(weir_segment_stat(segment, &stat), 0);
        struct weir_ref ref = weir_by_id(stat.id);
        struct weir_segment *second = NULL;
        assert_result(weir_segment_create(&second, ref, 1, &options), -EINVAL);
        assert_null(second);
        assert_result(weir_segment_open(&second, ref, 5000, NULL), 0);
        assert_int_equal(weir_segment_size(second), 5000);
        memset(weir_segment_data(segment), 7, 5000);
        assert_true(all_bytes(weir_segment_data(second), 5000, 7));
        assert_result(weir_segment_lookup(ref, &stat), 0);
        assert_int_equal(stat.lifetime, lifetime);
        assert_int_equal(stat.shm_nattch, 2);
        weir_segment_close(segment);
        assert_true(all_bytes(weir_segment_data(second), 5000, 7));
        assert_result(weir_segment_remove(ref), 0);
        assert_result(weir_segment_stat(second, &stat), 0);
        assert_int_equal(stat.removed, 1);
        assert_int_equal(stat.lifetime, WEIR_EPHEMERAL);
        weir_segment_close(second);
        assert_int_equal(segments_now(), 0);
        assert_result(weir_segment_open(&second, ref, 0, NULL), -ENOENT);
    }
}

/* private x {ephemeral, persistent}: creates; finds, looks up and removes nothing. */
static void test_matrix_private(void **state)
{
    (void)state;
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = lasting((enum weir_lifetime)lifetime);
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *one = NULL;
        struct weir_segment *two = NULL;
        struct weir_segment *nothing = NULL;
        assert_result(weir_segment_create(&one, weir_private(), 64, &options), 0);
        assert_result(weir_segment_create_or_open(&two, weir_private(), 64, &options),
                      WEIR_CREATED);
        assert_result(weir_segment_open(&nothing, weir_private(), 0, NULL), -EINVAL);
        assert_result(weir_segment_lookup(weir_private(), &stat), -EINVAL);
        assert_result(weir_segment_remove(weir_private()), -EINVAL);
        assert_null(nothing);
        assert_int_equal(segments_now(), 2);
        memset(weir_segment_data(one), 1, 64);
        assert_true(all_bytes(weir_segment_data(two), 64, 0));
        assert_int_equal(names_now(), 0);

        int ids[2];
        struct weir_segment *both[] = { one, two };
        for (int i = 0; i < 2; i++) {
            assert_result(weir_segment_stat(both[i], &stat), 0);
            ids[i] = stat.id;
            assert_int_equal(stat.lifetime, lifetime);
            assert_int_equal(stat.removed, lifetime == WEIR_EPHEMERAL);
            assert_int_equal(stat.key == 0, lifetime == WEIR_EPHEMERAL);
            assert_int_equal(stat.nonce, 0);
            weir_segment_close(both[i]);
        }
        assert_int_equal(segments_now(), lifetime == WEIR_EPHEMERAL ? 0 : 2);
        for (int i = 0; i < 2 && lifetime == WEIR_PERSISTENT; i++)
            assert_result(weir_segment_remove(weir_by_id(ids[i])), 0);
        assert_int_equal(segments_now(), 0);
    }
}

/* Made by shmget(2) elsewhere: key and id open it, byte 0 is the program's own. */
static void test_meets_plain_programs(void **state)
{
    (void)state;
    int id = shmget(TEST_KEY, 12345, IPC_CREAT | IPC_EXCL | 0600);
    assert_true(id >= 0);
    char *plain = shmat(id, NULL, 0);
    strcpy(plain, "Hello from parent via shared memory");
    struct weir_segment *segment;
    struct weir_ref refs[] = { weir_by_key(TEST_KEY), weir_by_id(id) };
    for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
        assert_result(weir_segment_open(&segment, refs[i], 0, NULL), 0);
        assert_int_equal(weir_segment_size(segment), 12345);
        assert_string_equal(weir_segment_data(segment), plain);
        weir_segment_close(segment);
    }
    assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, NULL), -EOPNOTSUPP);
    struct weir_segment_options options = lasting(WEIR_PERSISTENT);
    assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 1, &options), -EEXIST);
    shmdt(plain);
    assert_result(weir_segment_remove(weir_by_id(id)), 0);

    /* And the other way round. */
    assert_result(weir_segment_create(&segment, weir_by_key(TEST_KEY), 77, &options), 0);
    strcpy(weir_segment_data(segment), "from weir");
    assert_int_equal(shmget(TEST_KEY, 78, 0600), -1);
    id = shmget(TEST_KEY, 77, 0600);
    assert_true(id >= 0);
    plain = shmat(id, NULL, SHM_RDONLY);
    assert_string_equal(plain, "from weir");
    shmdt(plain);
    weir_segment_close(segment);
    assert_result(weir_segment_remove(weir_by_key(TEST_KEY)), 0);
}

static void create_and_leave(void *lifetime)
{
    struct weir_segment_options options = lasting(*(enum weir_lifetime *)lifetime);
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("left"), 100, &options), 0);
    strcpy(weir_segment_data(segment), "still here");
}

/* By its id a named one is raw: the header is in front. Removed so, its name is as good as none. */
static void test_named_by_id(void **state)
{
    (void)state;
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = lasting((enum weir_lifetime)lifetime);
        struct weir_segment_stat stat = { .size = sizeof stat };
        struct weir_segment *segment;
        struct weir_segment *raw;
        struct weir_ref ref = weir_by_name("by-id");
        options.semaphores = 1;
        assert_result(weir_segment_create(&segment, ref, 100, &options), 0);
        strcpy(weir_segment_data(segment), "behind the header");
        assert_result(weir_segment_stat(segment, &stat), 0);
        assert_result(weir_segment_open(&raw, weir_by_id(stat.id), 0, NULL), 0);
        assert_int_equal(weir_segment_size(raw), stat.shm_segsz);
        assert_string_equal((char *)weir_segment_data(raw) + (stat.shm_segsz - 100),
                            "behind the header");
        assert_null(weir_segment_semset(raw));
        weir_segment_close(raw);
        weir_segment_close(segment);
        if (lifetime == WEIR_PERSISTENT) {
            assert_result(weir_segment_remove(weir_by_id(stat.id)), 0);
            assert_result(weir_segment_open(&segment, ref, 0, NULL), -ENOENT);
            assert_result(weir_segment_create(&segment, ref, 100, &options), 0);
            assert_true(all_bytes(weir_segment_data(segment), 100, 0));
            weir_segment_close(segment);
            assert_result(weir_segment_remove(ref), 0);
        }
        assert_int_equal(segments_now(), 0);
        assert_int_equal(sets_now(), 0);
    }
}

/* No close: the end of the process is enough. */
static void test_lifetime_without_close(void **state)
{
    (void)state;
    enum weir_lifetime lifetime = WEIR_EPHEMERAL;
    struct weir_segment *segment;
    in_child(create_and_leave, &lifetime);
    assert_int_equal(segments_now(), 0);
    assert_result(weir_segment_open(&segment, weir_by_name("left"), 0, NULL), -ENOENT);
    in_child(create_and_leave, &lifetime); /* the stale name is in nobody's way */
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    assert_int_equal(names_now(), 0);

    lifetime = WEIR_PERSISTENT;
    in_child(create_and_leave, &lifetime);
    assert_int_equal(segments_now(), 1);
    assert_result(weir_collect(0, NULL, NULL), 0);
    assert_result(weir_segment_open(&segment, weir_by_name("left"), 100, NULL), 0);
    assert_string_equal(weir_segment_data(segment), "still here");
    weir_segment_close(segment);
    assert_int_equal(segments_now(), 1);
    assert_result(weir_segment_remove(weir_by_name("left")), 0);
    assert_int_equal(segments_now(), 0);
}

/* A name taken away and given anew while somebody still uses the old one: two objects. */
static void test_old_user_does_not_hurt_new_name(void **state)
{
    (void)state;
    for (int lifetime = WEIR_EPHEMERAL; lifetime <= WEIR_PERSISTENT; lifetime++) {
        struct weir_segment_options options = lasting((enum weir_lifetime)lifetime);
        struct weir_segment *old;
        struct weir_segment *fresh;
        struct weir_segment *opened;
        struct weir_ref ref = weir_by_name("again");
        assert_result(weir_segment_create(&old, ref, 100, &options), 0);
        strcpy(weir_segment_data(old), "old");
        assert_result(weir_segment_remove(ref), 0);
        assert_result(weir_segment_create(&fresh, ref, 100, &options), 0);
        strcpy(weir_segment_data(fresh), "new");
        struct weir_segment_stat old_stat = { .size = sizeof old_stat };
        struct weir_segment_stat new_stat = { .size = sizeof new_stat };
        assert_result(weir_segment_stat(old, &old_stat), 0);
        assert_result(weir_segment_stat(fresh, &new_stat), 0);
        assert_true(old_stat.nonce != 0 && new_stat.nonce != 0);
        assert_true(old_stat.nonce != new_stat.nonce);
        weir_segment_close(old);
        assert_result(weir_segment_open(&opened, ref, 100, NULL), 0);
        assert_string_equal(weir_segment_data(opened), "new");
        weir_segment_close(opened);
        weir_segment_close(fresh);
        assert_result(weir_segment_remove(ref), lifetime == WEIR_EPHEMERAL ? -ENOENT : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_matrix_found, fixture_check),
        cmocka_unit_test_teardown(test_matrix_no_ephemeral_key, fixture_check),
        cmocka_unit_test_teardown(test_matrix_id, fixture_check),
        cmocka_unit_test_teardown(test_matrix_private, fixture_check),
        cmocka_unit_test_teardown(test_meets_plain_programs, fixture_check),
        cmocka_unit_test_teardown(test_named_by_id, fixture_check),
        cmocka_unit_test_teardown(test_lifetime_without_close, fixture_check),
        cmocka_unit_test_teardown(test_old_user_does_not_hurt_new_name, fixture_check),
    };
    return cmocka_run_group_tests_name("segment", tests, fixture_start, fixture_end);
}
