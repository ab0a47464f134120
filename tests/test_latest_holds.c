/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is held stays, whatever is written; the dead give their holds back, and nobody else's
 *       is taken.
 * Method: holds in one process; then of children that are killed, or in another IPC namespace.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

static void test_what_is_held_stays(void **state)
{
    struct weir_latest_options options = latest_options(64, 5, 3);
    struct weir_latest_value held[4], other;
    struct weir_latest_reader *second;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    assert_result(weir_latest_reader_open(&second, &pair.world.memory), 0);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            value_write(pair.writer, 10 * round + i, 64);
            assert_result(weir_latest_hold(i == 1 ? second : pair.reader, &held[i]), 0);
        }
        assert_result(weir_latest_hold(second, &held[3]), -ENOBUFS);
        for (uint64_t number = 500; number < 600; number++) {
            value_write(pair.writer, number, 64);
            value_expect(second, number, 64); /* without a hold to be had */
        }
        for (uint64_t i = 0; i < 3; i++) {
            assert_int_equal(value_number(held[i].data, 64), 10 * round + i);
            assert_result(weir_latest_check(second, &held[i]), 0);
        }
        assert_result(weir_latest_release(second, &held[0]), -EINVAL); /* of another handle */
        assert_result(weir_latest_release(pair.reader, &held[0]), 0);
        assert_result(weir_latest_release(pair.reader, &held[0]), -EINVAL);
        assert_result(weir_latest_hold(second, &other), 0);
        assert_result(weir_latest_release(second, &other), 0);
        assert_result(weir_latest_release(second, &held[1]), 0);
        assert_result(weir_latest_release(pair.reader, &held[2]), 0);
        for (uint64_t number = 0; number < 6; number++)
            value_write(pair.writer, number, 64);
        assert_int_equal(weir_latest_check(second, &held[0]), -EAGAIN);
    }
    other.buffer = 99;
    assert_result(weir_latest_check(second, &other), -EINVAL);
    other = (struct weir_latest_value){ .buffer = 0, .version = 0 }; /* nothing was ever read */
    assert_result(weir_latest_check(second, &other), -EINVAL);
    assert_result(weir_latest_hold(second, &other), 0);
    weir_latest_reader_close(second); /* gives it back */
    for (uint64_t i = 0; i < 3; i++)
        assert_result(weir_latest_hold(pair.reader, &held[i]), 0);
    value_pair_close(&pair);
}

static void hold_and_die(void *argument)
{
    struct value_pair *pair = argument;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    CHECK_RESULT(weir_latest_reader_open(&reader, &pair->world.memory), 0);
    CHECK_RESULT(weir_latest_hold(reader, &value), 0);
    raise(SIGKILL);
}

static void test_the_holds_of_the_dead_come_back(void **state)
{
    struct weir_latest_options options = latest_options(64, 4, 2);
    struct weir_latest_value value[2];
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 64);
    for (int i = 0; i < 2; i++)
        assert_int_equal(status_in_child(hold_and_die, &pair), SIGKILL);
    for (uint64_t number = 2; number < 50; number++)
        value_write(pair.writer, number, 64);
    for (int i = 0; i < 2; i++)
        assert_result(weir_latest_hold(pair.reader, &value[i]), 0);
    assert_int_equal(value_number(value[1].data, 64), 49);
    value_pair_close(&pair);
}

enum { NOT_HERE = 77 }; /* no namespaces are to be had */

static void hold_elsewhere(void *argument)
{
    struct value_pair *pair = argument;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    if (unshare(CLONE_NEWIPC) != 0)
        _exit(NOT_HERE);
    CHECK_RESULT(weir_latest_reader_open(&reader, &pair->world.memory), 0);
    CHECK_RESULT(weir_latest_hold(reader, &value), -ENOBUFS);
}

/* Who asks from another IPC namespace learns nothing of a holder here, and takes nothing from it. */
static void test_a_hold_is_not_taken_from_elsewhere(void **state)
{
    struct weir_latest_options options = latest_options(64, 4, 1);
    struct weir_latest_value value;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 64);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    int status = status_in_child(hold_elsewhere, &pair);
    assert_true(status == 0 || WEXITSTATUS(status) == NOT_HERE);
    for (uint64_t number = 2; number < 20; number++)
        value_write(pair.writer, number, 64);
    assert_result(weir_latest_check(pair.reader, &value), 0);
    assert_int_equal(value_number(value.data, 64), 1);
    value_pair_close(&pair);
}

/* A release counts once: the place may be another hold's by now. */
static void test_a_hold_is_released_once(void **state)
{
    struct weir_latest_options options = latest_options(64, 4, 1);
    struct weir_latest_value first, second;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 64);
    assert_result(weir_latest_hold(pair.reader, &first), 0);
    assert_result(weir_latest_release(pair.reader, &first), 0);
    value_write(pair.writer, 2, 64);
    assert_result(weir_latest_hold(pair.reader, &second), 0);
    assert_result(weir_latest_release(pair.reader, &first), -EINVAL);
    for (uint64_t number = 3; number < 20; number++)
        value_write(pair.writer, number, 64);
    assert_result(weir_latest_check(pair.reader, &second), 0);
    assert_int_equal(value_number(second.data, 64), 2);
    assert_result(weir_latest_release(pair.reader, &second), 0);
    value_pair_close(&pair);
}

/* The seq of the value's buffer. */
static weir__atomic_u64 *seq_of(const struct weir_latest_value *value)
{
    return (weir__atomic_u64 *)(uintptr_t)((const char *)value->data -
                                           WEIR__LATEST_HEAD_BYTES_LARGE);
}

/* As often as that: more often than there are holds. */
static void expect_no_hold(struct weir_latest_reader *reader)
{
    struct weir_latest_value value;
    for (int i = 0; i < 5; i++)
        assert_result(weir_latest_hold(reader, &value), -EUCLEAN);
}

/* A hold that fails, for a seq or a size that is a lie, keeps none of the words. */
static void test_a_hold_that_fails_keeps_nothing(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 2);
    struct weir_latest_value values[2];
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 100);
    assert_result(weir_latest_hold(pair.reader, &values[0]), 0);
    assert_result(weir_latest_release(pair.reader, &values[0]), 0);
    weir__atomic_u64 *seq = seq_of(&values[0]), *size_bytes = seq + 1;
    uint64_t index = atomic_exchange(seq, weir__latest_index(9, values[0].buffer));
    expect_no_hold(pair.reader);
    atomic_store(seq, index);
    atomic_store(size_bytes, 101);
    expect_no_hold(pair.reader);
    atomic_store(size_bytes, 100);
    for (int i = 0; i < 2; i++)
        assert_result(weir_latest_hold(pair.reader, &values[i]), 0);
    value_pair_close(&pair);
}

/* A large value is held to be copied; where no hold is to be had it is copied all the same, and nothing is said. */
static void test_success_leaves_the_sentence(void **state)
{
    static unsigned char bytes[20000];
    struct weir_latest_options options = latest_options(sizeof bytes, 4, 1);
    struct weir_latest_value held;
    struct value_pair pair;
    char before[512];
    (void)state;
    value_pair_open(&pair, &options);
    assert_result(weir_latest_write(pair.writer, bytes, sizeof bytes), 0);
    assert_result(weir_latest_hold(pair.reader, &held), 0);
    assert_result(weir_latest_read(pair.reader, bytes, 1, NULL), -EMSGSIZE);
    snprintf(before, sizeof before, "%s", weir_last_error());
    errno = ERANGE;
    assert_result(weir_latest_read(pair.reader, bytes, sizeof bytes, NULL), 0);
    assert_string_equal(weir_last_error(), before);
    assert_int_equal(errno, ERANGE);
    assert_result(weir_latest_release(pair.reader, &held), 0);
    value_pair_close(&pair);
}

/*
 * A writer that was killed between its reservation and its second look at the holds leaves 0 in seq:
 * what is held is whole as long as our word stands, and not any longer.
 */
static void test_a_hold_stands_while_the_buffer_is_reserved(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 1);
    struct weir_latest_value value;
    unsigned char copy[100];
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 100);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    value_write(pair.writer, 2, 100);
    struct weir__latest_readers_shm *readers = pair.world.memory.readers;
    weir__atomic_u64 *seq = seq_of(&value);
    uint64_t index = atomic_exchange(seq, 0);
    assert_int_equal(index, weir__latest_index(1, value.buffer));
    assert_result(weir_latest_check(pair.reader, &value), 0);
    uint64_t word = atomic_exchange(&readers->hold[value.hold - 1].word, 0);
    assert_int_equal(weir_latest_check(pair.reader, &value), -EAGAIN);
    atomic_store(&readers->hold[value.hold - 1].word, word);
    atomic_store(seq, weir__latest_index(9, value.buffer));
    assert_int_equal(weir_latest_check(pair.reader, &value), -EAGAIN);
    atomic_store(seq, index);
    assert_result(weir_latest_release(pair.reader, &value), 0);
    assert_result(weir_latest_read(pair.reader, copy, sizeof copy, NULL), 0);
    value_pair_close(&pair);
}

/* As many as there may be, of one handle: each is given back for itself, and the rest when it is closed. */
static void test_as_many_holds_as_there_can_be(void **state)
{
    enum { HOLDS = WEIR_LATEST_HOLDS_MAX };
    struct weir_latest_options options = latest_options(8, 0, HOLDS);
    static struct weir_latest_value values[HOLDS];
    struct weir_latest_value more;
    struct weir_latest_reader *second;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 8);
    assert_result(weir_latest_reader_open(&second, &pair.world.memory), 0);
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < HOLDS; i++)
            assert_result(weir_latest_hold(second, &values[i]), 0);
        assert_result(weir_latest_hold(pair.reader, &more), -ENOBUFS);
        for (unsigned i = 0; turn == 0 && i < HOLDS; i++) {
            assert_result(weir_latest_release(second, &values[i]), 0);
            assert_result(weir_latest_hold(pair.reader, &more), 0);
            assert_result(weir_latest_release(pair.reader, &more), 0);
        }
    }
    weir_latest_reader_close(second);
    for (unsigned i = 0; i < HOLDS; i++)
        assert_result(weir_latest_hold(pair.reader, &values[i]), 0);
    value_pair_close(&pair);
}

/* "Nothing is held there" is no value, which could be given back: the place may be another handle's. */
static void test_what_is_no_value_is_not_released(void **state)
{
    struct weir_latest_options options = latest_options(64, 4, 1);
    struct weir_latest_value value, none = { .hold = 1 };
    struct weir_latest_reader *second;
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 64);
    assert_result(weir_latest_reader_open(&second, &pair.world.memory), 0);
    assert_result(weir_latest_hold(second, &value), 0); /* from here on it has its identity */
    assert_result(weir_latest_release(second, &value), 0);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    assert_result(weir_latest_release(second, &none), -EINVAL);
    assert_result(weir_latest_hold(second, &none), -ENOBUFS);
    assert_result(weir_latest_release(pair.reader, &value), 0);
    weir_latest_reader_close(second);
    value_pair_close(&pair);
}

struct inherited {
    struct value_pair pair;
    struct weir_latest_value value;
};

static void check_what_was_inherited(void *argument)
{
    const struct inherited *of = argument;
    CHECK(weir_latest_check(of->pair.reader, &of->value) == -EAGAIN);
}

/*
 * A child's handle still says that its parent holds the value; the parent has given it back, and its word for
 * the next one that it wants, in the same buffer, keeps nobody from writing there until it has looked.
 */
static void test_a_child_holds_nothing(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 1);
    struct inherited of;
    (void)state;
    value_pair_open(&of.pair, &options);
    value_write(of.pair.writer, 1, 100);
    assert_result(weir_latest_hold(of.pair.reader, &of.value), 0);
    value_write(of.pair.writer, 2, 100);
    uint64_t index = atomic_exchange(seq_of(&of.value), 0);
    in_child(check_what_was_inherited, &of);
    assert_result(weir_latest_check(of.pair.reader, &of.value), 0);
    atomic_store(seq_of(&of.value), index);
    value_pair_close(&of.pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(test_what_is_held_stays),
        VALUE_TEST(test_the_holds_of_the_dead_come_back),
        VALUE_TEST(test_a_hold_is_not_taken_from_elsewhere),
        VALUE_TEST(test_a_hold_is_released_once),
        VALUE_TEST(test_a_hold_that_fails_keeps_nothing),
        VALUE_TEST(test_success_leaves_the_sentence),
        VALUE_TEST(test_a_hold_stands_while_the_buffer_is_reserved),
        VALUE_TEST(test_as_many_holds_as_there_can_be),
        VALUE_TEST(test_what_is_no_value_is_not_released),
        VALUE_TEST(test_a_child_holds_nothing),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
