/* SPDX-License-Identifier: MIT */
/*
 * Goal: a reader finds the last complete value, in every kind of memory, and each call says
 *       clearly when it cannot do what it is for.
 * Method: writer and reader in one process; every size, every geometry, every kind of memory.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

static void test_each_size_comes_whole(void **state)
{
    struct weir_latest_options options = latest_options(VALUE_BYTES_MAX, 0, 2);
    struct weir_latest_value value = { .size_bytes = 1 };
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    assert_int_equal(weir_latest_version(pair.reader), 0);
    assert_result(weir_latest_read(pair.reader, NULL, 0, &value), -EAGAIN);
    assert_result(weir_latest_hold(pair.reader, &value), -EAGAIN);
    assert_result(weir_latest_peek(pair.reader, &value), -EAGAIN);
    assert_int_equal(weir_latest_writer_max_bytes(pair.writer), VALUE_BYTES_MAX);
    assert_int_equal(weir_latest_reader_max_bytes(pair.reader), VALUE_BYTES_MAX);
    for (uint64_t size = 0; size <= 300; size++) {
        value_write(pair.writer, size & 0xff, size);
        value_expect(pair.reader, size == 0 ? 0 : size & 0xff, size);
        assert_int_equal(weir_latest_version(pair.reader), size + 1);
    }
    value_write(pair.writer, 77777, VALUE_BYTES_MAX);
    value_expect(pair.reader, 77777, VALUE_BYTES_MAX);
    unsigned char more[VALUE_BYTES_MAX + 1] = { 0 };
    assert_result(weir_latest_write(pair.writer, more, sizeof more), -EMSGSIZE);
    assert_result(weir_latest_read(pair.reader, more, VALUE_BYTES_MAX - 1, &value), -EMSGSIZE);
    assert_int_equal(value.size_bytes, VALUE_BYTES_MAX);
    value_expect(pair.reader, 77777, VALUE_BYTES_MAX);
    value_pair_close(&pair);
}

static void test_a_loan_is_seen_when_committed(void **state)
{
    struct weir_latest_options options = latest_options(100, 3, 1);
    struct value_pair pair;
    void *data, *again;
    (void)state;
    value_pair_open(&pair, &options);
    assert_result(weir_latest_commit(pair.writer, 8), -EINVAL);
    value_write(pair.writer, 1, 100);
    for (uint64_t number = 2; number < 20; number++) {
        assert_result(weir_latest_loan(pair.writer, &data), 0);
        assert_int_equal((uintptr_t)data % 16, 0);
        value_fill(data, 100, number);
        value_expect(pair.reader, number - 1, 100);
        assert_result(weir_latest_loan(pair.writer, &again), -EINVAL);
        assert_result(weir_latest_write(pair.writer, "", 1), -EINVAL);
        assert_result(weir_latest_commit(pair.writer, 101), -EMSGSIZE);
        weir_latest_abandon(pair.writer);
        weir_latest_abandon(pair.writer);
        value_expect(pair.reader, number - 1, 100);
        assert_result(weir_latest_loan(pair.writer, &again), 0);
        value_fill(again, 100, number);
        assert_result(weir_latest_commit(pair.writer, 100), 0);
        value_expect(pair.reader, number, 100);
    }
    value_pair_close(&pair);
}

/* What is given back unused is the next one's: so it costs no old value, which a slow reader copies still. */
static void test_a_loan_that_is_abandoned_costs_nothing(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 0);
    struct weir_latest_value old;
    struct value_pair pair;
    void *data;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 1, 100);
    assert_result(weir_latest_peek(pair.reader, &old), 0);
    value_write(pair.writer, 2, 100);
    for (int i = 0; i < 10; i++) {
        assert_result(weir_latest_loan(pair.writer, &data), 0);
        weir_latest_abandon(pair.writer);
        assert_result(weir_latest_check(pair.reader, &old), 0);
    }
    assert_int_equal(value_number(old.data, 100), 1);
    value_pair_close(&pair);
}

/* Another value than its own for a word of a head, or of the hot cell. Returns what it was. */
static uint64_t exchange(weir__atomic_u64 *word, uint64_t value)
{
    return atomic_exchange_explicit(word, value, memory_order_relaxed);
}

/* A value of size bytes: found without its buffer if it is small, and without the hot cell. */
static void expect_twice(struct value_pair *pair, uint64_t number, uint64_t size)
{
    struct weir__latest_values_shm *values = pair->world.memory.values;
    bool is_hot = size <= WEIR__LATEST_HOT_MAX;
    uint64_t stride = (64 + VALUE_BYTES_MAX + 127) / 128 * 128;
    uint64_t buffer = atomic_load(&values->index) & WEIR__LATEST_BUFFER_MASK;
    struct weir__latest_head_shm *head =
        (void *)((char *)values + WEIR__LATEST_BUFFERS_OFFSET + buffer * stride);
    weir__atomic_u64 *part = size > WEIR__LATEST_HOT_FIRST ? &values->more_seq : &values->hot_seq;
    struct weir_latest_value value;
    unsigned char bytes[VALUE_BYTES_MAX];
    uint64_t seq = exchange(&head->seq, 0);
    memset(bytes, 0xee, sizeof bytes);
    assert_result(weir_latest_read(pair->reader, bytes, sizeof bytes, &value),
                  is_hot ? 0 : -EUCLEAN);
    if (is_hot) {
        assert_int_equal(value_number(bytes, size), number);
        assert_int_equal(bytes[size], 0xee);
        assert_int_equal(value.size_bytes, size);
        assert_int_equal(weir__latest_index(value.version, value.buffer), seq);
    }
    uint64_t word = exchange(part, 0); /* as while it is written */
    assert_result(weir_latest_read(pair->reader, bytes, sizeof bytes, &value), -EUCLEAN);
    exchange(&head->seq, seq);
    value_expect(pair->reader, number, size);
    exchange(part, word);
}

static void test_a_small_value_stands_twice(void **state)
{
    struct weir_latest_options options = latest_options(VALUE_BYTES_MAX, 3, 1);
    struct weir_latest_value value;
    unsigned char bytes[VALUE_BYTES_MAX];
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    for (uint64_t size = 0; size <= WEIR__LATEST_HOT_MAX + 2; size++) {
        value_write(pair.writer, size, size);
        expect_twice(&pair, size, size);
        if (size == 0)
            continue;
        assert_result(weir_latest_read(pair.reader, bytes, size - 1, &value), -EMSGSIZE);
        assert_int_equal(value.size_bytes, size);
    }
    value_pair_close(&pair);
}

/* The hot cell says of its value that it is larger than any value may be: the buffer is read. */
static void test_a_small_value_that_says_too_much(void **state)
{
    static const uint64_t said[] = { 8, 9, 64, 65, WEIR__LATEST_HOT_MAX, 255 };
    struct weir_latest_options options = latest_options(7, 3, 1);
    struct weir_latest_value value;
    unsigned char bytes[VALUE_BYTES_MAX];
    struct value_pair pair;
    (void)state;
    value_pair_open(&pair, &options);
    value_write(pair.writer, 3, 7);
    struct weir__latest_values_shm *values = pair.world.memory.values;
    for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
        atomic_store(&values->hot_seq, weir__latest_hot_word(1, said[i]));
        atomic_store(&values->more_seq, weir__latest_hot_word(1, said[i]));
        assert_result(weir_latest_read(pair.reader, bytes, sizeof bytes, &value), 0);
        assert_int_equal(value.size_bytes, 7);
        assert_int_equal(value.version, 1);
    }
    value_pair_close(&pair);
}

static void refused(const char *what, struct weir_latest_options options)
{
    struct weir_latest_memory memory;
    if (weir_latest_bytes(&options, &memory) != -EINVAL)
        fail_msg("%s is taken", what);
}

static void expect_as_large(uint64_t value_bytes_max, uint32_t holds, uint32_t buffers)
{
    struct weir_latest_options implied = latest_options(value_bytes_max, 0, holds);
    struct weir_latest_options named = latest_options(value_bytes_max, buffers, holds);
    struct weir_latest_memory found = { .values = NULL }, expected = found;
    assert_result(weir_latest_bytes(&implied, &found), 0);
    assert_result(weir_latest_bytes(&named, &expected), 0);
    assert_int_equal(found.values_bytes, expected.values_bytes);
    assert_int_equal(found.readers_bytes, expected.readers_bytes);
}

/* How many buffers there are when nobody says it, and the ends of each range. */
static void test_geometry_that_is_not_said(void **state)
{
    (void)state;
    expect_as_large(1, 0, 12);
    expect_as_large(4096, 4, 16);
    expect_as_large(4097, 4, 8);
    expect_as_large(1 << 20, 0, 4);
    expect_as_large((1 << 20) + 1, 4, 6);
    expect_as_large(8, 243, 255);
    expect_as_large(8, 244, 255);
    expect_as_large(8, WEIR_LATEST_HOLDS_MAX, WEIR_LATEST_BUFFERS_MAX);
    expect_as_large(WEIR_LATEST_VALUE_BYTES_MAX, 0, 2);
}

/* A value as a writer leaves it, all of whose bytes are 0: so that whatever is taken for fresh memory shows. */
static void make_zeros(struct world *world, struct weir_latest_writer **writer)
{
    static const unsigned char zeros[16384];
    struct weir_latest_options options = latest_options(sizeof zeros, 3, 1);
    world_open(world, INHERITED, &options);
    assert_result(weir_latest_writer_open(writer, &world->memory), 0);
    for (int i = 0; i < 4; i++)
        assert_result(weir_latest_write(*writer, zeros, sizeof zeros), 0);
}

/* Both parts side by side, as they are by name: where another geometry has its readers' part, a value lies. */
static void test_another_geometry_writes_nothing(void **state)
{
    struct weir_latest_options other = latest_options(64, 3, 1);
    struct weir_latest_writer *writer;
    struct world world;
    (void)state;
    make_zeros(&world, &writer);
    unsigned char *values = world.memory.values;
    uint64_t bytes = world.memory.values_bytes;
    unsigned char *before = malloc(bytes);
    assert_non_null(before);
    for (int is_foreign = 0; is_foreign <= 1; is_foreign++) {
        if (is_foreign) /* nor into memory of somebody else */
            memset(values, 0x5a, 16);
        memcpy(before, values, bytes);
        struct weir_latest_memory memory;
        assert_result(weir_latest_bytes(&other, &memory), 0);
        memory.values = values;
        memory.readers = values + memory.values_bytes;
        assert_result(weir_latest_init(&memory, &other), is_foreign ? -EPROTO : -EINVAL);
        assert_memory_equal(values, before, bytes);
    }
    free(before);
    weir_latest_writer_close(writer);
    world_close(&world);
}

static void test_geometry_is_checked(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 2), other = options;
    struct world world;
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
    (void)state;
    refused("no size", latest_options(0, 0, 0));
    refused("a size above the largest", latest_options(WEIR_LATEST_VALUE_BYTES_MAX + 1, 0, 0));
    refused("too few buffers", latest_options(8, 3, 2));
    refused("too many buffers", latest_options(8, 256, 2));
    refused("too many holds", latest_options(8, 0, 254));
    other.flags = 1 << 7;
    refused("a flag", other);
    other.flags = WEIR_LATEST_READ_ONLY;
    refused("a value that its maker cannot write", other);
    other = options;
    for (int i = 0; i < 3; i++) {
        other.reserved[i] = 1;
        refused("a reserved word", other);
        other.reserved[i] = 0;
    }
    other.size = 1;
    refused("another struct", other);
    world_make(&world, INHERITED, &options);
    assert_int_equal(world.memory.values_bytes % 4096, 0);
    assert_result(weir_latest_writer_open(&writer, &world.memory), -EAGAIN);
    assert_result(weir_latest_reader_open(&reader, &world.memory), -EAGAIN);
    struct weir_latest_memory small = world.memory;
    small.values_bytes--;
    assert_result(weir_latest_init(&small, &options), -EINVAL);
    small = world.memory;
    small.readers_bytes--;
    assert_result(weir_latest_init(&small, &options), -EINVAL);
    small = world.memory;
    small.values = (char *)small.values + 64;
    assert_result(weir_latest_init(&small, &options), -EINVAL);
    small = world.memory;
    small.readers = (char *)small.readers + 64;
    assert_result(weir_latest_init(&small, &options), -EINVAL);
    for (int i = 0; i < 2; i++)
        assert_result(weir_latest_init(&world.memory, &options), 0);
    other = latest_options(99, 4, 2);
    assert_result(weir_latest_init(&world.memory, &other), -EINVAL);
    assert_true(has_word(weir_last_error(), "100") && has_word(weir_last_error(), "99"));
    small = world.memory;
    small.values_bytes--;
    assert_result(weir_latest_reader_open(&reader, &small), -EINVAL);
    small.values_bytes = 0;
    assert_result(weir_latest_reader_open(&reader, &small), -EINVAL);
    small = world.memory;
    small.readers_bytes--;
    assert_result(weir_latest_reader_open(&reader, &small), -EINVAL);
    assert_result(weir_latest_writer_open(&writer, &small), -EINVAL);
    small = world.memory;
    small.readers = NULL;
    assert_result(weir_latest_writer_open(&writer, &small), -EINVAL);
    small.readers = small.values;
    assert_result(weir_latest_reader_open(&reader, &small), -EPROTO);
    struct weir_latest_options others = latest_options(200, 4, 2);
    struct world other_world;
    world_open(&other_world, INHERITED, &others);
    small.readers = other_world.memory.readers;
    assert_result(weir_latest_reader_open(&reader, &small), -EINVAL);
    assert_result(weir_latest_writer_open(&writer, &small), -EINVAL);
    world_close(&other_world);
    world_close(&world);
}

static void test_what_is_not_ours_is_refused(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 2);
    struct weir_latest_reader *reader;
    struct world world;
    (void)state;
    world_make(&world, INHERITED, &options);
    memset(world.memory.values, 'x', 4096);
    assert_result(weir_latest_init(&world.memory, &options), -EPROTO);
    assert_result(weir_latest_reader_open(&reader, &world.memory), -EPROTO);
    memset(world.memory.values, 0, 8);
    assert_result(weir_latest_init(&world.memory, &options), -EPROTO);
    world_close(&world);
}

/* What is refused for what stands in the readers' part has set nothing in the values. */
static void test_a_foreign_part_leaves_the_other(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 2),
                               other = latest_options(99, 4, 2);
    struct world world;
    (void)state;
    world_make(&world, INHERITED, &options);
    memset(world.memory.readers, 'x', 16);
    assert_result(weir_latest_init(&world.memory, &options), -EPROTO);
    memset(world.memory.readers, 0, 16);
    assert_result(weir_latest_init(&world.memory, &other), 0);
    world_close(&world);
}

/* One digit of the first word: another weir's layout, of either part; by each call that comes. */
static void test_another_layout_is_told(void **state)
{
    struct weir_latest_options options = latest_options(100, 4, 2);
    struct weir_latest_reader *reader;
    struct weir_latest_writer *writer;
    struct world world;
    (void)state;
    world_make(&world, INHERITED, &options);
    assert_result(weir_latest_init(&world.memory, &options), 0);
    char *parts[] = { world.memory.values, world.memory.readers };
    for (int part = 0; part < 2; part++) {
        parts[part][7] = '2';
        assert_result(weir_latest_init(&world.memory, &options), -EPROTONOSUPPORT);
        assert_true(has_word(weir_last_error(), "layout 2, this weir knows 1"));
        assert_result(weir_latest_reader_open(&reader, &world.memory), -EPROTONOSUPPORT);
        assert_result(weir_latest_writer_open(&writer, &world.memory), -EPROTONOSUPPORT);
        parts[part][7] = ':'; /* no digit */
        assert_result(weir_latest_init(&world.memory, &options), -EPROTO);
        assert_result(weir_latest_reader_open(&reader, &world.memory), -EPROTO);
        parts[part][7] = '1';
    }
    assert_result(weir_latest_init(&world.memory, &options), 0);
    world_close(&world);
}

enum { RACERS = 6, RACES = 50 };

static void test_init_of_many_at_once(void **state)
{
    struct weir_latest_options options[2] = { latest_options(100, 4, 2), latest_options(96, 4, 2) };
    (void)state;
    for (int race = 0; race < (SANITIZED ? 5 : RACES); race++) {
        struct world world;
        int status, won[2] = { 0, 0 };
        world_make(&world, INHERITED, &options[0]);
        for (int i = 0; i < RACERS; i++) {
            if (fork() == 0)
                _exit(weir_latest_init(&world.memory, &options[i % 2]) == 0 ? i % 2 : 7);
        }
        for (int i = 0; i < RACERS; i++) {
            assert_true(wait(&status) > 0 && WIFEXITED(status));
            if (WEXITSTATUS(status) < 2)
                won[WEXITSTATUS(status)]++;
        }
        assert_true((won[0] == RACERS / 2 && won[1] == 0) || (won[1] == RACERS / 2 && won[0] == 0));
        world_close(&world);
    }
}

static void read_in_child(void *argument)
{
    struct world *world = argument;
    struct weir_latest_memory memory = world->memory;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    unsigned char bytes[100];
    if (world->fd >= 0) { /* an address of its own, for reading alone */
        memory.values = mmap(NULL, memory.values_bytes, PROT_READ, MAP_SHARED, world->fd, 0);
        memory.readers = NULL;
        CHECK(memory.values != MAP_FAILED);
    }
    CHECK_RESULT(weir_latest_reader_open(&reader, &memory), 0);
    CHECK_RESULT(weir_latest_read(reader, bytes, sizeof bytes, &value), 0);
    CHECK(value_number(bytes, sizeof bytes) == 9 && value.version == 9);
    CHECK_RESULT(weir_latest_peek(reader, &value), 0);
    CHECK(value_number(value.data, sizeof bytes) == 9);
    CHECK_RESULT(weir_latest_check(reader, &value), 0);
    CHECK_RESULT(weir_latest_hold(reader, &value), memory.readers ? 0 : -EOPNOTSUPP);
    weir_latest_reader_close(reader);
}

static void test_every_kind_of_memory(void **state)
{
    struct weir_latest_options options = latest_options(100, 0, 2);
    (void)state;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct world world;
        struct weir_latest_writer *writer;
        world_open(&world, kind, &options);
        assert_result(weir_latest_writer_open(&writer, &world.memory), 0);
        for (uint64_t number = 1; number < 10; number++)
            value_write(writer, number, 100);
        weir_latest_writer_close(writer);
        in_child(read_in_child, &world);
        world_close(&world);
    }
}

static void test_a_value_above_four_gibibytes(void **state)
{
    struct weir_latest_options options = latest_options(UINT64_C(5) << 30, 2, 0);
    struct weir_latest_value value;
    struct value_pair pair;
    uint64_t size = (UINT64_C(9) << 29) + 1;
    void *data;
    (void)state;
    value_pair_open(&pair, &options);
    for (unsigned char number = 1; number < 4; number++) {
        assert_result(weir_latest_loan(pair.writer, &data), 0);
        ((unsigned char *)data)[0] = ((unsigned char *)data)[size - 1] = number;
        assert_result(weir_latest_commit(pair.writer, size), 0);
        assert_result(weir_latest_peek(pair.reader, &value), 0);
        assert_true(value.size_bytes == size);
        assert_int_equal(((const unsigned char *)value.data)[size - 1], number);
        assert_result(weir_latest_check(pair.reader, &value), 0);
    }
    value_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VALUE_TEST(test_each_size_comes_whole),
        VALUE_TEST(test_a_small_value_stands_twice),
        VALUE_TEST(test_a_small_value_that_says_too_much),
        VALUE_TEST(test_a_loan_is_seen_when_committed),
        VALUE_TEST(test_a_loan_that_is_abandoned_costs_nothing),
        VALUE_TEST(test_geometry_is_checked),
        VALUE_TEST(test_geometry_that_is_not_said),
        VALUE_TEST(test_another_geometry_writes_nothing),
        VALUE_TEST(test_what_is_not_ours_is_refused),
        VALUE_TEST(test_another_layout_is_told),
        VALUE_TEST(test_a_foreign_part_leaves_the_other),
        VALUE_TEST(test_init_of_many_at_once),
        VALUE_TEST(test_every_kind_of_memory),
        VALUE_TEST(test_a_value_above_four_gibibytes),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
