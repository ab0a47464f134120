/* SPDX-License-Identifier: MIT */
/*
 * Goal: one process writes at a time, what it leaves by its death is whole, and a child of fork is
 *       another one.
 * Method: a writer that is stopped in the middle of a value, and killed; a child with its parent's
 *       handles; an index that cannot be true.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

static void write_and_wait(struct companion *companion, void *argument)
{
    struct value_pair *pair = argument;
    struct weir_latest_writer *writer;
    unsigned char bytes[64];
    void *data;
    CHECK_RESULT(weir_latest_writer_open(&writer, &pair->world.memory), 0);
    value_fill(bytes, sizeof bytes, 41);
    CHECK_RESULT(weir_latest_write(writer, bytes, sizeof bytes), 0);
    CHECK_RESULT(weir_latest_loan(writer, &data), 0);
    memset(data, 0xee, 30); /* in the middle of the next one */
    companion_arrive(companion);
    weir_latest_writer_close(writer);
}

static void test_one_writer_at_a_time(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer = NULL;
    struct companion companion;
    struct value_pair pair;
    int status;
    (void)state;
    value_pair_open(&pair, &options);
    weir_latest_writer_close(pair.writer);
    companion_start(&companion, write_and_wait, &pair);
    companion_meet(&companion);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    assert_int_equal(kill(companion.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(companion.pid, &status, WUNTRACED), companion.pid);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    assert_null(writer);
    value_expect(pair.reader, 41, 64);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
    value_expect(pair.reader, 41, 64);
    uint64_t version = weir_latest_version(pair.reader);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), WEIR_OWNER_DIED);
    value_expect(pair.reader, 41, 64);
    value_write(writer, 42, 64);
    value_expect(pair.reader, 42, 64);
    assert_int_equal(weir_latest_version(pair.reader), version + 1);
    weir_latest_writer_close(writer);
    assert_result(weir_latest_writer_open(&pair.writer, &pair.world.memory), 0);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY); /* our own */
    char who[64];
    snprintf(who, sizeof who, "a writer already, which lives: process %d", (int)getpid());
    assert_string_equal(strstr(weir_last_error(), "a writer"), who);
    value_pair_close(&pair);
}

static void use_the_parents(void *argument)
{
    struct value_pair *pair = argument;
    struct weir_latest_value value;
    void *data;
    unsigned char bytes[64];
    CHECK_RESULT(weir_latest_write(pair->writer, "x", 1), -ECHILD);
    CHECK_RESULT(weir_latest_loan(pair->writer, &data), -ECHILD);
    CHECK_RESULT(weir_latest_commit(pair->writer, 1), -ECHILD);
    weir_latest_abandon(pair->writer);
    CHECK_RESULT(weir_latest_read(pair->reader, bytes, sizeof bytes, &value), 0);
    CHECK(value_number(bytes, sizeof bytes) == 5);
    CHECK_RESULT(weir_latest_hold(pair->reader, &value), -ECHILD);
    value.hold = 1;
    CHECK_RESULT(weir_latest_release(pair->reader, &value), -ECHILD);
    weir_latest_writer_close(pair->writer);
    weir_latest_reader_close(pair->reader);
}

static void test_a_child_is_not_its_parent(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer;
    struct weir_latest_value value;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 5, 64);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    in_child(use_the_parents, &pair);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    for (uint64_t number = 6; number < 60; number++)
        value_write(pair.writer, number, 64);
    assert_int_equal(value_number(value.data, 64), 5);
    assert_result(weir_latest_release(pair.reader, &value), 0);
    value_pair_close(&pair);
}

/* An index that cannot be true: who is refused for it is in nobody's way afterwards. */
static void test_who_is_refused_leaves_the_place(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer = NULL;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 5, 64);
    weir_latest_writer_close(pair.writer);
    struct weir__latest_values_shm *values = pair.world.memory.values;
    const uint64_t lies[] = { weir__latest_index(1, 99), weir__latest_index(0, 1),
                              weir__latest_index(WEIR__LATEST_VERSION_MAX + 1, 1) };
    uint64_t index = atomic_load(&values->index);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(lies); i++) {
        atomic_store(&values->index, lies[i / 2]);
        assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EUCLEAN);
    }
    assert_null(writer);
    atomic_store(&values->index, index);
    assert_result(weir_latest_writer_open(&pair.writer, &pair.world.memory), 0);
    value_write(pair.writer, 6, 64);
    value_expect(pair.reader, 6, 64);
    value_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(test_one_writer_at_a_time),
        VALUE_TEST(test_a_child_is_not_its_parent),
        VALUE_TEST(test_who_is_refused_leaves_the_place),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
