/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever stands in a header, a record or a run directory, a call ends with one of the
 *       codes that say so; it never crashes, never hangs, and never opens what is not whole.
 * Method: every 4-byte word of the header page set to boundary values; records cut, emptied and
 *       replaced; things that are no directories or no files; run directories of every wrong sort.
 */
#include "fixture.h"
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 4096
#define FIELD_BYTES 112 /* of these, the fields */
#define TEST_SIZE 5000
#define NAME_AT 34 /* the digits of the name's hash in a record */

static struct weir_segment *make(const char *name, uint32_t lifetime)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    options.lifetime = lifetime;
    assert_result(weir_segment_create(&segment, weir_by_name(name), TEST_SIZE, &options), 0);
    return segment;
}

/* --- header ----------------------------------------------------------------------------- */

static bool is_refusal(int result)
{
    return result == -EPROTO || result == -EPROTONOSUPPORT || result == -EUCLEAN;
}

/* Who writes, and who only reads: whether each was let in by the header as it is now. */
static void try_header(bool *writer, bool *reader)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment = NULL;
    int results[3];
    options.lifetime = WEIR_PERSISTENT;
    results[0] = weir_segment_open(&segment, weir_by_name("header"), 0, NULL);
    weir_segment_close(segment);
    segment = NULL;
    results[1] = weir_segment_create_or_open(&segment, weir_by_name("header"), 1, &options);
    weir_segment_close(segment);
    segment = NULL;
    options.flags = WEIR_SEGMENT_READ_ONLY;
    results[2] = weir_segment_open(&segment, weir_by_name("header"), 0, &options);
    weir_segment_close(segment);
    for (size_t i = 0; i < ARRAY_SIZE(results); i++)
        assert_true(results[i] == 0 || is_refusal(results[i]));
    assert_int_equal(results[0], results[1]);
    *writer = results[0] == 0;
    *reader = results[2] == 0;
}

static void test_header_words(void **state)
{
    (void)state;
    struct weir_segment *segment = make("header", WEIR_PERSISTENT);
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *raw;
    assert_result(weir_segment_stat(segment, &stat), 0);
    assert_int_equal(stat.shm_segsz, stat.size_bytes + HEADER_BYTES);
    weir_segment_close(segment);
    assert_result(weir_segment_open(&raw, weir_by_id(stat.id), 0, NULL), 0);
    uint32_t *words = weir_segment_data(raw);
    static uint32_t original[HEADER_BYTES / 4];
    memcpy(original, words, HEADER_BYTES);
    unsigned written[HEADER_BYTES / 4] = { 0 }, read[HEADER_BYTES / 4] = { 0 };
    for (size_t i = 0; i < HEADER_BYTES / 4; i++) {
        uint32_t values[38] = { 0, 1, UINT32_MAX, 0x7fffffff, 0x80000000, ~original[i] };
        size_t count = 6;
        for (unsigned bit = 0; bit < 32 && i < 64; bit++)
            values[count++] = original[i] ^ UINT32_C(1) << bit;
        for (size_t j = 0; j < count; j++) {
            if (values[j] == original[i])
                continue;
            bool writer, reader;
            words[i] = values[j];
            try_header(&writer, &reader);
            words[i] = original[i];
            written[i] += writer;
            read[i] += reader;
        }
    }
    assert_memory_equal(words, original, HEADER_BYTES);
    /* Two words may be anything, as the layout says: features that every reader, and every user,
     * may ignore. The rest of the page is nobody's and is not looked at. */
    unsigned writable = 0, readable = 0;
    for (size_t i = 0; i < FIELD_BYTES / 4; i++) {
        writable += written[i] != 0;
        readable += read[i] != 0;
    }
    assert_int_equal(writable, 1);
    assert_int_equal(readable, 2);
    assert_result(weir_segment_open(&segment, weir_by_name("header"), 0, NULL), 0);
    weir_segment_close(segment);
    weir_segment_close(raw);
    assert_result(weir_segment_remove(weir_by_name("header")), 0);
    clear_everything();
}

/* Many words at once. */
static void test_header_random(void **state)
{
    (void)state;
    struct weir_segment *segment = make("header", WEIR_PERSISTENT);
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_segment *raw;
    assert_result(weir_segment_stat(segment, &stat), 0);
    weir_segment_close(segment);
    assert_result(weir_segment_open(&raw, weir_by_id(stat.id), 0, NULL), 0);
    unsigned char *bytes = weir_segment_data(raw);
    unsigned char original[FIELD_BYTES];
    memcpy(original, bytes, sizeof original);
    srand(42);
    for (int round = 0; round < 3000; round++) {
        size_t first = (size_t)rand() % sizeof original;
        size_t length = 1 + (size_t)rand() % (sizeof original - first);
        for (size_t i = first; i < first + length; i++)
            bytes[i] = (unsigned char)rand();
        struct weir_segment *opened = NULL;
        int result = weir_segment_open(&opened, weir_by_name("header"), 0, NULL);
        if (result == 0) {
            assert_int_equal(weir_segment_size(opened), TEST_SIZE);
            weir_segment_close(opened);
        } else {
            assert_true(is_refusal(result));
        }
        memcpy(bytes, original, sizeof original);
    }
    weir_segment_close(raw);
    assert_result(weir_segment_remove(weir_by_name("header")), 0);
}

/* --- records ---------------------------------------------------------------------------- */

/* Every call on the name ends; create and remove clear the way or say why not. */
static void expect_corrupt(const char *what)
{
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    int results[] = {
        weir_segment_open(&segment, weir_by_name("broken"), 0, NULL),
        weir_segment_lookup(weir_by_name("broken"), &stat),
        weir_segment_create(&segment, weir_by_name("broken"), 10, NULL),
        weir_segment_create_or_open(&segment, weir_by_name("broken"), 10, NULL),
    };
    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        if (results[i] != -EUCLEAN)
            print_error("%s, call %zu: ", what, i);
        assert_result(results[i], -EUCLEAN);
        assert_null(segment);
    }
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    static bool is_set; /* by turns: who removes a set clears it away as well */
    is_set = !is_set;
    assert_result(weir_segment_open(&segment, weir_by_name("nobody"), 0, NULL), -ENOENT);
    int result = is_set ? weir_semset_remove(weir_by_name("broken"))
                        : weir_segment_remove(weir_by_name("broken"));
    if (result != 0)
        print_error("%s: ", what);
    assert_result(result, 0);
    assert_non_null(strstr(weir_last_error(), "nobody")); /* a call that succeeds leaves it */
    assert_result(weir_segment_open(&segment, weir_by_name("broken"), 0, NULL), -ENOENT);
    assert_result(weir_segment_create(&segment, weir_by_name("broken"), 10, NULL), 0);
    weir_segment_close(segment);
    assert_int_equal(segments_now(), 0);
    assert_int_equal(names_now(), 0);
}

/* A live ephemeral segment's record, whose text is then replaced. The segment's user has died. */
static void make_and_leave(void *argument)
{
    (void)argument;
    struct weir_segment *segment;
    CHECK_RESULT(weir_segment_create(&segment, weir_by_name("broken"), TEST_SIZE, NULL), 0);
}

static struct record fresh_record(void)
{
    struct record record;
    in_child(make_and_leave, NULL);
    assert_true(record_read("broken", &record));
    return record;
}

static void test_record_lengths(void **state)
{
    (void)state;
    for (size_t length = 0; length < 2 * RECORD_BYTES; length += 1 + length / 40 * 7) {
        char text[2 * RECORD_BYTES + 1], what[32];
        struct record record = fresh_record();
        memset(text, ' ', sizeof text);
        record_text(&record, text);
        text[RECORD_BYTES] = ' ';
        assert_true(file_fill(entry_file("broken"), text, length));
        snprintf(what, sizeof what, "length %zu", length);
        if (length != RECORD_BYTES)
            expect_corrupt(what);
        clear_everything();
    }
}

static void test_record_bytes(void **state)
{
    (void)state;
    static const unsigned char bytes[] = { 0, 1, '\n', ' ', '9', 'z', '%', 0x7f, 0x80, 0xff };
    for (size_t at = 0; at < RECORD_BYTES; at += at < 152 ? 1 : 13) {
        struct record record = fresh_record();
        char text[RECORD_BYTES + 1], what[48];
        record_text(&record, text);
        unsigned char byte = bytes[at % ARRAY_SIZE(bytes)];
        if ((unsigned char)text[at] == byte)
            byte = '!';
        text[at] = (char)byte;
        assert_true(file_fill(entry_file("broken"), text, RECORD_BYTES));
        snprintf(what, sizeof what, "byte 0x%02x at %zu", byte, at);
        /* Another digit may be another truth; nothing of it may be opened, as its user is dead. */
        struct weir_segment *segment = NULL;
        int result = weir_segment_open(&segment, weir_by_name("broken"), 0, NULL);
        bool is_of_name = at >= NAME_AT && at < NAME_AT + 16 && byte == '9'; /* another's record */
        bool is_told = is_of_name ? result == -EPERM
                       : at == 4  ? result == -EPROTONOSUPPORT /* the layout's digit */
                                  : result == -EUCLEAN || result == -ENOENT || result == -EPROTO;
        if (!is_told)
            print_error("%s: ", what);
        assert_true(is_told);
        if (result == -EUCLEAN)
            expect_corrupt(what);
        clear_everything();
    }
}

/* The digit behind "weir": no call touches what another weir keeps, nor takes it away. */
static void test_record_of_another_layout(void **state)
{
    struct weir_segment *segment = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    struct weir_ref ref = weir_by_name("broken");
    struct record record = fresh_record();
    char text[RECORD_BYTES + 1];
    (void)state;
    record_text(&record, text);
    for (size_t length = RECORD_BYTES; length >= 6; length = length == 6 ? 0 : 6) {
        text[4] = '2';
        assert_true(file_fill(entry_file("broken"), text, length));
        assert_result(weir_segment_open(&segment, ref, 0, NULL), -EPROTONOSUPPORT);
        assert_non_null(strstr(weir_last_error(), "layout 2, this weir knows 1"));
        assert_result(weir_segment_lookup(ref, &stat), -EPROTONOSUPPORT);
        assert_result(weir_segment_create(&segment, ref, 10, NULL), -EPROTONOSUPPORT);
        assert_result(weir_segment_create_or_open(&segment, ref, 10, NULL), -EPROTONOSUPPORT);
        assert_result(weir_segment_remove(ref), -EPROTONOSUPPORT);
        assert_true(weir_collect(0, NULL, NULL) >= 0);
        assert_int_equal(names_now(), 1);
    }
    clear_everything();
}

static void test_record_texts(void **state)
{
    (void)state;
    static char huge[1 << 20];
    memset(huge, 'A', sizeof huge);
    struct record record = fresh_record();
    struct record rows[] = { record, record, record, record, record, record };
    rows[0].lifetime = 2;
    rows[1].nonce++;
    rows[2].shm_id = -2;
    rows[3].sem_id = -7;
    strcpy(rows[4].kind, "abcdefghijklmnopqrstuvwxyz");
    strcpy(rows[5].kind, "a\033[31m");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[RECORD_BYTES + 1], what[32];
        record = fresh_record();
        uint64_t nonce = record.nonce;
        record = rows[i];
        record.nonce = i == 1 ? nonce + 1 : nonce;
        record_text(&record, text);
        assert_true(file_fill(entry_file("broken"), text, RECORD_BYTES));
        snprintf(what, sizeof what, "row %zu", i);
        expect_corrupt(what);
        clear_everything();
    }
    fresh_record();
    assert_true(file_fill(entry_file("broken"), huge, sizeof huge));
    expect_corrupt("a megabyte");
}

/* A record that names another creator than its owner is whole: of another user namespace, or forged. */
static void test_another_creator(void **state)
{
    struct weir_segment *segment = NULL;
    struct weir_semset *set = NULL;
    struct weir_segment_stat stat = { .size = sizeof stat };
    char text[RECORD_BYTES + 1];
    struct record record;
    (void)state;
    weir_segment_close(make("broken", WEIR_PERSISTENT));
    assert_true(record_read("broken", &record));
    record.creator = 4711;
    record_text(&record, text);
    assert_true(file_fill(entry_file("broken"), text, RECORD_BYTES));
    assert_result(weir_segment_open(&segment, weir_by_name("broken"), 0, NULL), -EPERM);
    assert_non_null(strstr(weir_last_error(), "another user namespace"));
    assert_null(strstr(weir_last_error(), "weir rm"));
    assert_result(weir_segment_lookup(weir_by_name("broken"), &stat), -EPERM);
    assert_result(weir_segment_create(&segment, weir_by_name("broken"), 10, NULL), -EPERM);
    assert_result(weir_semset_open(&set, weir_by_name("broken"), 0, NULL), -EPERM);
    assert_result(weir_collect(0, NULL, NULL), 0);
    assert_result(weir_segment_remove(weir_by_name("broken")), -EPERM);
    assert_result(weir_semset_remove(weir_by_name("broken")), -EPERM);
    assert_true(record_read("broken", &record));
    assert_int_equal(record.creator, 4711);
    clear_everything();
}

/* The same of what is gone: its owner takes it away. */
static void test_another_creator_of_what_is_gone(void **state)
{
    struct weir_segment *segment = NULL;
    char text[RECORD_BYTES + 1];
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct record record = fresh_record();
        record.creator = 4711;
        record_text(&record, text);
        assert_true(file_fill(entry_file("broken"), text, RECORD_BYTES));
        if (i == 0) {
            assert_result(weir_segment_create(&segment, weir_by_name("broken"), 10, NULL), 0);
            weir_segment_close(segment);
        } else if (i == 1) {
            assert_result(weir_collect(0, NULL, NULL), 1);
        } else {
            assert_result(weir_segment_remove(weir_by_name("broken")), 0);
        }
        assert_int_equal(names_now(), 0);
    }
}

/* --- what stands where an entry should be ----------------------------------------------- */

static void stand_file(const char *path)
{
    assert_true(file_fill(path, "x", 1));
}

static void stand_link(const char *path)
{
    assert_int_equal(symlink("/", path), 0);
}

static void stand_dangling_link(const char *path)
{
    assert_int_equal(symlink("nowhere", path), 0);
}

static void stand_fifo(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void stand_directory(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

static void (*const stands[])(const char *) = { stand_file, stand_link, stand_dangling_link,
                                                stand_fifo, stand_directory };

/* In the place of the name's directory. An empty directory is as good as none. */
static void test_no_directory(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < ARRAY_SIZE(stands); i++) {
        char what[48];
        fresh_record();
        assert_true(weir_collect(0, NULL, NULL) == 1);
        mkdir(run_directory(), 0700);
        stands[i](entry_path("broken"));
        snprintf(what, sizeof what, "instead of the directory, row %zu", i);
        expect_corrupt(what);
        clear_everything();
    }
    struct weir_segment *segment;
    fresh_record();
    assert_true(weir_collect(0, NULL, NULL) == 1);
    mkdir(run_directory(), 0700);
    stand_directory(entry_path("broken"));
    assert_result(weir_segment_open(&segment, weir_by_name("broken"), 0, NULL), -ENOENT);
    assert_result(weir_segment_create(&segment, weir_by_name("broken"), 10, NULL), 0);
    weir_segment_close(segment);
}

/* In the place of the record, under its own name. */
static void test_no_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stands); i++) {
        char path[4700], what[48];
        fresh_record();
        snprintf(path, sizeof path, "%s", entry_file("broken"));
        assert_int_equal(unlink(path), 0);
        stands[i](path);
        snprintf(what, sizeof what, "instead of the record, row %zu", i);
        expect_corrupt(what);
        clear_everything();
    }
}

/* Beside the record: two records are none. */
static void test_extra_entries(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stands); i++) {
        char path[4700], what[48];
        fresh_record();
        snprintf(path, sizeof path, "%s/0000000000000001", entry_path("broken"));
        stands[i](path);
        snprintf(what, sizeof what, "beside the record, row %zu", i);
        expect_corrupt(what);
        clear_everything();
    }
}

/* Rubbish in the run directory itself is in nobody's way, and is not ours to remove. */
static void test_rubbish_beside_names(void **state)
{
    (void)state;
    static const char *const rubbish[] = {
        "#",       "#zz",        "#0123456789abcdef", "~",         "~0123456789abcdef",
        ".hidden", "with space", "caf\303\251",       "lost+found"
    };
    for (size_t i = 0; i < ARRAY_SIZE(stands); i++) {
        struct weir_segment *segment = make("beside", WEIR_PERSISTENT);
        struct weir_segment *second;
        for (size_t j = 0; j < ARRAY_SIZE(rubbish); j++)
            stands[i](entry_path(rubbish[j]));
        assert_true(weir_collect(WEIR_COLLECT_DRY_RUN, NULL, NULL) >= 0);
        assert_true(weir_collect(0, NULL, NULL) >= 0);
        assert_result(weir_segment_open(&second, weir_by_name("beside"), 0, NULL), 0);
        weir_segment_close(second);
        weir_segment_close(segment);
        assert_result(weir_segment_remove(weir_by_name("beside")), 0);
        assert_int_equal(segments_now(), 0);
        clear_everything();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_header_words, fixture_check),
        cmocka_unit_test_teardown(test_header_random, fixture_check),
        cmocka_unit_test_teardown(test_record_lengths, fixture_check),
        cmocka_unit_test_teardown(test_record_of_another_layout, fixture_check),
        cmocka_unit_test_teardown(test_record_bytes, fixture_check),
        cmocka_unit_test_teardown(test_record_texts, fixture_check),
        cmocka_unit_test_teardown(test_another_creator, fixture_check),
        cmocka_unit_test_teardown(test_another_creator_of_what_is_gone, fixture_check),
        cmocka_unit_test_teardown(test_no_directory, fixture_check),
        cmocka_unit_test_teardown(test_no_record, fixture_check),
        cmocka_unit_test_teardown(test_extra_entries, fixture_check),
        cmocka_unit_test_teardown(test_rubbish_beside_names, fixture_check),
    };
    return cmocka_run_group_tests_name("corrupt", tests, fixture_start, fixture_end);
}
