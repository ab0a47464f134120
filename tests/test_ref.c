/* SPDX-License-Identifier: MIT */
/*
 * Goal: a name is accepted or refused exactly as <weir/ref.h> says, and ftok's faults are errors.
 * Method: tables over every byte and every shape of a component; ftok on real and missing files.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    int result;
} names[] = {
    { "a", 0 },
    { "A", 0 },
    { "0", 0 },
    { "_", 0 },
    { "-", 0 },
    { "a.b", 0 },
    { ".a", 0 },
    { "a.", 0 },
    { "...", 0 },
    { "a/...", 0 },
    { "a/b", 0 },
    { "a/b/c/d/e/f", 0 },
    { "camera/front-left/frames.v2", 0 },
    { "AZaz09_.-", 0 },
    { "", -EINVAL },
    { ".", -EINVAL },
    { "..", -EINVAL },
    { "/", -EINVAL },
    { "//", -EINVAL },
    { "/a", -EINVAL },
    { "a/", -EINVAL },
    { "a//b", -EINVAL },
    { "./a", -EINVAL },
    { "../a", -EINVAL },
    { "a/.", -EINVAL },
    { "a/..", -EINVAL },
    { "a/./b", -EINVAL },
    { "a/../b", -EINVAL },
    { "a,b", -EINVAL },
    { "#a", -EINVAL },
    { "~a", -EINVAL },
    { "a b", -EINVAL },
    { " a", -EINVAL },
    { "a\n", -EINVAL },
    { "caf\303\251", -EINVAL },
    { "a\\b", -EINVAL },
    { "key:0x1", -EINVAL },
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int result = weir_name_check(names[i].name);
        if (result != names[i].result)
            print_error("name \"%s\"\n", names[i].name);
        assert_result(result, names[i].result);
    }
    assert_result(weir_name_check(NULL), -EINVAL);
}

static bool allowed(unsigned byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == '-';
}

static void test_every_byte(void **state)
{
    (void)state;
    for (unsigned byte = 1; byte <= 255; byte++) {
        char shapes[4][4] = { { (char)byte, 'a', 0 },
                              { 'a', (char)byte, 0 },
                              { 'a', (char)byte, 'a', 0 },
                              { (char)byte, 0 } };
        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
            bool good = allowed(byte);
            if (byte == '/')
                good = i == 2;
            if (byte == '.')
                good = i != 3;
            int result = weir_name_check(shapes[i]);
            if (result != (good ? 0 : -EINVAL))
                print_error("byte 0x%02x, shape %zu\n", byte, i);
            assert_result(result, good ? 0 : -EINVAL);
        }
    }
}

static void test_length(void **state)
{
    (void)state;
    char name[4096];
    for (size_t length = 1; length < 300; length++) {
        memset(name, 'n', length);
        name[length] = 0;
        assert_result(weir_name_check(name), length <= WEIR_NAME_MAX ? 0 : -ENAMETOOLONG);
        for (size_t i = 1; i + 1 < length; i += 2)
            name[i] = '/';
        assert_result(weir_name_check(name), length <= WEIR_NAME_MAX ? 0 : -ENAMETOOLONG);
    }
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_result(weir_name_check(name), -ENAMETOOLONG);
    assert_true(has_word(weir_last_error(), "200"));
}

/* The longest name is not only accepted by the check but by what makes files of it. */
static void test_longest_name_works(void **state)
{
    (void)state;
    char name[WEIR_NAME_MAX + 1];
    memset(name, 'n', WEIR_NAME_MAX);
    name[WEIR_NAME_MAX] = 0;
    for (size_t i = 1; i < WEIR_NAME_MAX - 1; i += 2)
        name[i] = '/';
    struct weir_segment *segment;
    struct weir_segment *again;
    assert_result(weir_segment_create(&segment, weir_by_name(name), 10, NULL), 0);
    assert_result(weir_segment_open(&again, weir_by_name(name), 10, NULL), 0);
    name[WEIR_NAME_MAX - 1] = 'm';
    struct weir_segment *other;
    assert_result(weir_segment_open(&other, weir_by_name(name), 10, NULL), -ENOENT);
    weir_segment_close(again);
    weir_segment_close(segment);
}

static void test_sentence_names_the_byte(void **state)
{
    (void)state;
    assert_result(weir_name_check("abc,def"), -EINVAL);
    assert_true(strchr(weir_last_error(), ',') || strstr(weir_last_error(), "2c") ||
                strstr(weir_last_error(), "2C"));
    assert_result(weir_name_check("abc\001def"), -EINVAL);
    assert_non_null(strstr(weir_last_error(), "01"));
    for (const char *at = weir_last_error(); *at; at++)
        assert_true((unsigned char)*at >= ' '); /* no control byte reaches a terminal */
    assert_result(weir_name_check("abc\033[31mdef"), -EINVAL);
    for (const char *at = weir_last_error(); *at; at++)
        assert_true((unsigned char)*at >= ' ' && (unsigned char)*at < 127);
}

/* Every call that takes a name refuses a bad one with the same code, and leaves nothing. */
static void test_every_call_checks_the_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int result;
    } bad[] = { { "", -EINVAL },
                { "..", -EINVAL },
                { "../x", -EINVAL },
                { "a,b", -EINVAL },
                { NULL, -EINVAL } };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct weir_ref ref = weir_by_name(bad[i].name);
        struct weir_segment *segment = NULL;
        struct weir_segment_stat stat = { .size = sizeof stat };
        assert_result(weir_segment_create(&segment, ref, 1, NULL), bad[i].result);
        assert_result(weir_segment_open(&segment, ref, 1, NULL), bad[i].result);
        assert_result(weir_segment_create_or_open(&segment, ref, 1, NULL), bad[i].result);
        assert_result(weir_segment_lookup(ref, &stat), bad[i].result);
        assert_result(weir_segment_remove(ref), bad[i].result);
        assert_null(segment);
    }
    char name[WEIR_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct weir_segment *segment = NULL;
    assert_result(weir_segment_create(&segment, weir_by_name(name), 1, NULL), -ENAMETOOLONG);
    assert_result(weir_segment_open(&segment, weir_by_name(name), 1, NULL), -ENAMETOOLONG);
    assert_result(weir_segment_remove(weir_by_name(name)), -ENAMETOOLONG);
    assert_int_equal(segments_now(), 0);
}

static void test_references(void **state)
{
    (void)state;
    const char *text = "some/name";
    struct weir_ref ref = weir_by_name(text);
    assert_int_equal(ref.by, WEIR_BY_NAME);
    assert_ptr_equal(ref.text, text);
    ref = weir_by_ftok(text, 65);
    assert_int_equal(ref.by, WEIR_BY_FTOK);
    assert_ptr_equal(ref.text, text);
    assert_int_equal(ref.project, 65);
    ref = weir_by_key(0xfffffffe);
    assert_int_equal(ref.by, WEIR_BY_KEY);
    assert_int_equal(ref.key, 0xfffffffe);
    ref = weir_by_id(77);
    assert_int_equal(ref.by, WEIR_BY_ID);
    assert_int_equal(ref.id, 77);
    assert_int_equal(weir_private().by, WEIR_BY_NONE);
}

static void test_bad_references(void **state)
{
    (void)state;
    struct weir_ref nonsense[] = { { .by = 0 },
                                   { .by = 6, .text = "a" },
                                   { .by = 9, .text = "a" },
                                   { .by = UINT32_MAX, .key = 1 },
                                   weir_by_ftok(NULL, 1),
                                   weir_by_ftok("/", 0),
                                   weir_by_ftok("/", 256),
                                   weir_by_ftok("/", -1),
                                   weir_by_key(0),
                                   weir_by_key(0xffffffff),
                                   weir_by_id(-1),
                                   weir_by_id(INT32_MIN) };
    for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
        struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
        options.lifetime = WEIR_PERSISTENT;
        struct weir_segment *segment = NULL;
        struct weir_segment_stat stat = { .size = sizeof stat };
        assert_result(weir_segment_create(&segment, nonsense[i], 1, &options), -EINVAL);
        assert_result(weir_segment_open(&segment, nonsense[i], 1, NULL), -EINVAL);
        assert_result(weir_segment_create_or_open(&segment, nonsense[i], 1, &options), -EINVAL);
        assert_result(weir_segment_lookup(nonsense[i], &stat), -EINVAL);
        assert_result(weir_segment_remove(nonsense[i]), -EINVAL);
        assert_null(segment);
    }
    assert_int_equal(segments_now(), 0);
}

static void test_ftok_agrees_with_libc(void **state)
{
    (void)state;
    const char *path = fixture_path("ftok-file");
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    for (int project = 1; project <= 255; project++) {
        key_t expected = ftok(path, project);
        uint32_t key = 0;
        int result = weir_ftok(path, project, &key);
        if (expected == -1 || expected == 0) {
            assert_result(result, -EINVAL);
        } else {
            assert_result(result, 0);
            assert_int_equal(key, (uint32_t)expected);
        }
    }
    assert_int_equal(unlink(path), 0);
}

static void test_ftok_faults(void **state)
{
    (void)state;
    uint32_t key = 0x1234;
    assert_result(weir_ftok(fixture_path("not-there"), 'A', &key), -ENOENT);
    assert_non_null(strstr(weir_last_error(), "not-there"));
    assert_result(weir_ftok("", 'A', &key), -ENOENT);
    assert_result(weir_ftok("/dev/null/x", 'A', &key), -ENOTDIR);
    assert_result(weir_ftok(NULL, 'A', &key), -EINVAL);
    static const int projects[] = { 0, -1, 256, 257, 0x10041, INT32_MAX, INT32_MIN };
    for (size_t i = 0; i < ARRAY_SIZE(projects); i++)
        assert_result(weir_ftok("/", projects[i], &key), -EINVAL);
    char longer[5000];
    memset(longer, 'l', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_result(weir_ftok(longer, 'A', &key), -ENAMETOOLONG);
    assert_int_equal(key, 0x1234); /* negative: nothing was changed */
}

static void unreadable_path(void *argument)
{
    become(OTHER_UID);
    uint32_t key;
    CHECK_RESULT(weir_ftok(argument, 'A', &key), -EACCES);
}

static void test_ftok_without_permission(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    char path[4400];
    assert_int_equal(mkdir(fixture_path("closed"), 0700), 0);
    snprintf(path, sizeof path, "%s/file", fixture_path("closed"));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    in_child(unreadable_path, path);
    unlink(path);
    rmdir(fixture_path("closed"));
}

/* A missing file gives every textbook program the same key -1; with weir it gives nobody one. */
static void test_ftok_of_missing_file_is_no_key(void **state)
{
    (void)state;
    struct weir_ref ref = weir_by_ftok(fixture_path("not-there"), 'A');
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.lifetime = WEIR_PERSISTENT;
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    assert_result(weir_segment_create(&segment, ref, 1, &options), -ENOENT);
    assert_result(weir_segment_create_or_open(&segment, ref, 1, &options), -ENOENT);
    assert_result(weir_segment_open(&segment, ref, 1, NULL), -ENOENT);
    assert_result(weir_segment_lookup(ref, &stat), -ENOENT);
    assert_result(weir_segment_remove(ref), -ENOENT);
    assert_int_equal(segments_now(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names, fixture_check),
        cmocka_unit_test_teardown(test_every_byte, fixture_check),
        cmocka_unit_test_teardown(test_length, fixture_check),
        cmocka_unit_test_teardown(test_longest_name_works, fixture_check),
        cmocka_unit_test_teardown(test_sentence_names_the_byte, fixture_check),
        cmocka_unit_test_teardown(test_every_call_checks_the_name, fixture_check),
        cmocka_unit_test_teardown(test_references, fixture_check),
        cmocka_unit_test_teardown(test_bad_references, fixture_check),
        cmocka_unit_test_teardown(test_ftok_agrees_with_libc, fixture_check),
        cmocka_unit_test_teardown(test_ftok_faults, fixture_check),
        cmocka_unit_test_teardown(test_ftok_without_permission, fixture_check),
        cmocka_unit_test_teardown(test_ftok_of_missing_file_is_no_key, fixture_check),
    };
    return cmocka_run_group_tests_name("ref", tests, fixture_start, fixture_end);
}
