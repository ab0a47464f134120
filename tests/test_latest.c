/* SPDX-License-Identifier: MIT */
/*
 * Goal: a reader finds the last complete value, in every kind of memory, and each call says
 *       clearly when it cannot do what it is for.
 * Method: writer and readers in one process where order alone matters; in two where one is
 *       stopped, killed or forked.
 */
#include "fixture.h"
#include "latest_world.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

#define MAX_BYTES 3000

struct pair {
    struct world world;
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
};

static void open_pair(struct pair *pair, const struct weir_latest_options *options)
{
    world_open(&pair->world, INHERITED, options);
    assert_result(weir_latest_writer_open(&pair->writer, &pair->world.memory), 0);
    assert_result(weir_latest_reader_open(&pair->reader, &pair->world.memory), 0);
}

static void close_pair(struct pair *pair)
{
    weir_latest_writer_close(pair->writer);
    weir_latest_reader_close(pair->reader);
    world_close(&pair->world);
}

static void write_number(struct weir_latest_writer *writer, uint64_t number, uint64_t size_bytes)
{
    static unsigned char bytes[MAX_BYTES];
    value_fill(bytes, size_bytes, number);
    assert_result(weir_latest_write(writer, bytes, size_bytes), 0);
}

static void expect_number(struct weir_latest_reader *reader, uint64_t number, uint64_t size_bytes)
{
    static unsigned char bytes[MAX_BYTES];
    struct weir_latest_value value;
    assert_result(weir_latest_read(reader, bytes, sizeof bytes, &value), 0);
    assert_int_equal(value.size_bytes, size_bytes);
    assert_int_equal(value_number(bytes, size_bytes), number);
    assert_int_equal(weir_latest_version(reader), value.version);
}

static void test_each_size_comes_whole(void **state)
{
    struct weir_latest_options options = latest_options(MAX_BYTES, 0, 2);
    struct weir_latest_value value = { .size_bytes = 1 };
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    assert_int_equal(weir_latest_version(pair.reader), 0);
    assert_result(weir_latest_read(pair.reader, NULL, 0, &value), -EAGAIN);
    assert_result(weir_latest_hold(pair.reader, &value), -EAGAIN);
    assert_result(weir_latest_peek(pair.reader, &value), -EAGAIN);
    assert_int_equal(weir_latest_writer_max_bytes(pair.writer), MAX_BYTES);
    assert_int_equal(weir_latest_reader_max_bytes(pair.reader), MAX_BYTES);
    for (uint64_t size = 0; size <= 300; size++) {
        write_number(pair.writer, size & 0xff, size);
        expect_number(pair.reader, size == 0 ? 0 : size & 0xff, size);
        assert_int_equal(weir_latest_version(pair.reader), size + 1);
    }
    write_number(pair.writer, 77777, MAX_BYTES);
    expect_number(pair.reader, 77777, MAX_BYTES);
    unsigned char more[MAX_BYTES + 1] = { 0 };
    assert_result(weir_latest_write(pair.writer, more, sizeof more), -EMSGSIZE);
    assert_result(weir_latest_read(pair.reader, more, MAX_BYTES - 1, &value), -EMSGSIZE);
    assert_int_equal(value.size_bytes, MAX_BYTES);
    expect_number(pair.reader, 77777, MAX_BYTES);
    close_pair(&pair);
}

static void test_a_loan_is_seen_when_committed(void **state)
{
    struct weir_latest_options options = latest_options(100, 3, 1);
    struct pair pair;
    void *data, *again;
    (void)state;
    open_pair(&pair, &options);
    assert_result(weir_latest_commit(pair.writer, 8), -EINVAL);
    write_number(pair.writer, 1, 100);
    for (uint64_t number = 2; number < 20; number++) {
        assert_result(weir_latest_loan(pair.writer, &data), 0);
        assert_int_equal((uintptr_t)data % 16, 0);
        value_fill(data, 100, number);
        expect_number(pair.reader, number - 1, 100);
        assert_result(weir_latest_loan(pair.writer, &again), -EINVAL);
        assert_result(weir_latest_write(pair.writer, "", 1), -EINVAL);
        assert_result(weir_latest_commit(pair.writer, 101), -EMSGSIZE);
        weir_latest_abandon(pair.writer);
        weir_latest_abandon(pair.writer);
        expect_number(pair.reader, number - 1, 100);
        assert_result(weir_latest_loan(pair.writer, &again), 0);
        value_fill(again, 100, number);
        assert_result(weir_latest_commit(pair.writer, 100), 0);
        expect_number(pair.reader, number, 100);
    }
    close_pair(&pair);
}

/* Another value than its own for a word of a head, or of the hot cell. Returns what it was. */
static uint64_t exchange(weir__atomic_u64 *word, uint64_t value)
{
    return atomic_exchange_explicit(word, value, memory_order_relaxed);
}

/* A value of size bytes: found without its buffer if it is small, and without the hot cell. */
static void expect_twice(struct pair *pair, uint64_t number, uint64_t size)
{
    struct weir__latest_values_shm *values = pair->world.memory.values;
    bool is_hot = size <= WEIR__LATEST_HOT_MAX;
    uint64_t stride = (64 + MAX_BYTES + 127) / 128 * 128;
    uint64_t buffer = atomic_load(&values->index) & WEIR__LATEST_BUFFER_MASK;
    struct weir__latest_head_shm *head =
        (void *)((char *)values + WEIR__LATEST_BUFFERS_OFFSET + buffer * stride);
    weir__atomic_u64 *part = size > WEIR__LATEST_HOT_FIRST ? &values->more_seq : &values->hot_seq;
    struct weir_latest_value value;
    unsigned char bytes[MAX_BYTES];
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
    expect_number(pair->reader, number, size);
    exchange(part, word);
}

static void test_a_small_value_stands_twice(void **state)
{
    struct weir_latest_options options = latest_options(MAX_BYTES, 3, 1);
    struct weir_latest_value value;
    unsigned char bytes[MAX_BYTES];
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    for (uint64_t size = 0; size <= WEIR__LATEST_HOT_MAX + 2; size++) {
        write_number(pair.writer, size, size);
        expect_twice(&pair, size, size);
        if (size == 0)
            continue;
        assert_result(weir_latest_read(pair.reader, bytes, size - 1, &value), -EMSGSIZE);
        assert_int_equal(value.size_bytes, size);
    }
    close_pair(&pair);
}

static void refused(const char *what, struct weir_latest_options options)
{
    struct weir_latest_memory memory;
    if (weir_latest_bytes(&options, &memory) != -EINVAL)
        fail_msg("%s is taken", what);
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
    other = options;
    other.reserved[1] = 1;
    refused("a reserved word", other);
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
    for (int i = 0; i < 2; i++)
        assert_result(weir_latest_init(&world.memory, &options), 0);
    other = latest_options(99, 4, 2);
    assert_result(weir_latest_init(&world.memory, &other), -EINVAL);
    assert_true(has_word(weir_last_error(), "100") && has_word(weir_last_error(), "99"));
    small = world.memory;
    small.values_bytes--;
    assert_result(weir_latest_reader_open(&reader, &small), -EINVAL);
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
            write_number(writer, number, 100);
        weir_latest_writer_close(writer);
        in_child(read_in_child, &world);
        world_close(&world);
    }
}

static void test_a_value_above_four_gibibytes(void **state)
{
    struct weir_latest_options options = latest_options(UINT64_C(5) << 30, 2, 0);
    struct weir_latest_value value;
    struct pair pair;
    uint64_t size = (UINT64_C(9) << 29) + 1;
    void *data;
    (void)state;
    open_pair(&pair, &options);
    for (unsigned char number = 1; number < 4; number++) {
        assert_result(weir_latest_loan(pair.writer, &data), 0);
        ((unsigned char *)data)[0] = ((unsigned char *)data)[size - 1] = number;
        assert_result(weir_latest_commit(pair.writer, size), 0);
        assert_result(weir_latest_peek(pair.reader, &value), 0);
        assert_true(value.size_bytes == size);
        assert_int_equal(((const unsigned char *)value.data)[size - 1], number);
        assert_result(weir_latest_check(pair.reader, &value), 0);
    }
    close_pair(&pair);
}

/* --- holds ---------------------------------------------------------------------------------- */

static void test_what_is_held_stays(void **state)
{
    struct weir_latest_options options = latest_options(64, 5, 3);
    struct weir_latest_value held[4], other;
    struct weir_latest_reader *second;
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    assert_result(weir_latest_reader_open(&second, &pair.world.memory), 0);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            write_number(pair.writer, 10 * round + i, 64);
            assert_result(weir_latest_hold(i == 1 ? second : pair.reader, &held[i]), 0);
        }
        assert_result(weir_latest_hold(second, &held[3]), -ENOBUFS);
        for (uint64_t number = 500; number < 600; number++) {
            write_number(pair.writer, number, 64);
            expect_number(second, number, 64); /* without a hold to be had */
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
            write_number(pair.writer, number, 64);
        assert_int_equal(weir_latest_check(second, &held[0]), -EAGAIN);
    }
    other.buffer = 99;
    assert_result(weir_latest_check(second, &other), -EINVAL);
    assert_result(weir_latest_hold(second, &other), 0);
    weir_latest_reader_close(second); /* gives it back */
    for (uint64_t i = 0; i < 3; i++)
        assert_result(weir_latest_hold(pair.reader, &held[i]), 0);
    close_pair(&pair);
}

static void hold_and_die(void *argument)
{
    struct pair *pair = argument;
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
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    write_number(pair.writer, 1, 64);
    for (int i = 0; i < 2; i++)
        assert_int_equal(status_in_child(hold_and_die, &pair), SIGKILL);
    for (uint64_t number = 2; number < 50; number++)
        write_number(pair.writer, number, 64);
    for (int i = 0; i < 2; i++)
        assert_result(weir_latest_hold(pair.reader, &value[i]), 0);
    assert_int_equal(value_number(value[1].data, 64), 49);
    close_pair(&pair);
}

enum { NOT_HERE = 77 }; /* no namespaces are to be had */

static void hold_elsewhere(void *argument)
{
    struct pair *pair = argument;
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
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    write_number(pair.writer, 1, 64);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    int status = status_in_child(hold_elsewhere, &pair);
    assert_true(status == 0 || WEXITSTATUS(status) == NOT_HERE);
    for (uint64_t number = 2; number < 20; number++)
        write_number(pair.writer, number, 64);
    assert_result(weir_latest_check(pair.reader, &value), 0);
    assert_int_equal(value_number(value.data, 64), 1);
    close_pair(&pair);
}

/* A release counts once: the place may be another hold's by now. */
static void test_a_hold_is_released_once(void **state)
{
    struct weir_latest_options options = latest_options(64, 4, 1);
    struct weir_latest_value first, second;
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    write_number(pair.writer, 1, 64);
    assert_result(weir_latest_hold(pair.reader, &first), 0);
    assert_result(weir_latest_release(pair.reader, &first), 0);
    write_number(pair.writer, 2, 64);
    assert_result(weir_latest_hold(pair.reader, &second), 0);
    assert_result(weir_latest_release(pair.reader, &first), -EINVAL);
    for (uint64_t number = 3; number < 20; number++)
        write_number(pair.writer, number, 64);
    assert_result(weir_latest_check(pair.reader, &second), 0);
    assert_int_equal(value_number(second.data, 64), 2);
    assert_result(weir_latest_release(pair.reader, &second), 0);
    close_pair(&pair);
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
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    write_number(pair.writer, 1, 100);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    write_number(pair.writer, 2, 100);
    struct weir__latest_readers_shm *readers = pair.world.memory.readers;
    weir__atomic_u64 *seq =
        (weir__atomic_u64 *)(uintptr_t)((const char *)value.data - WEIR__LATEST_HEAD_BYTES_LARGE);
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
    close_pair(&pair);
}

/* --- the writer's place --------------------------------------------------------------------- */

static void write_and_wait(struct companion *companion, void *argument)
{
    struct pair *pair = argument;
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
    struct pair pair;
    int status;
    (void)state;
    open_pair(&pair, &options);
    weir_latest_writer_close(pair.writer);
    companion_start(&companion, write_and_wait, &pair);
    companion_meet(&companion);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    assert_int_equal(kill(companion.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(companion.pid, &status, WUNTRACED), companion.pid);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    assert_null(writer);
    expect_number(pair.reader, 41, 64);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
    expect_number(pair.reader, 41, 64);
    uint64_t version = weir_latest_version(pair.reader);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), WEIR_OWNER_DIED);
    expect_number(pair.reader, 41, 64);
    write_number(writer, 42, 64);
    expect_number(pair.reader, 42, 64);
    assert_int_equal(weir_latest_version(pair.reader), version + 1);
    weir_latest_writer_close(writer);
    assert_result(weir_latest_writer_open(&pair.writer, &pair.world.memory), 0);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY); /* our own */
    close_pair(&pair);
}

static void use_the_parents(void *argument)
{
    struct pair *pair = argument;
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
    struct pair pair;
    (void)state;
    open_pair(&pair, &options);
    write_number(pair.writer, 5, 64);
    assert_result(weir_latest_hold(pair.reader, &value), 0);
    in_child(use_the_parents, &pair);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), -EBUSY);
    for (uint64_t number = 6; number < 60; number++)
        write_number(pair.writer, number, 64);
    assert_int_equal(value_number(value.data, 64), 5);
    assert_result(weir_latest_release(pair.reader, &value), 0);
    close_pair(&pair);
}

/* --- names ---------------------------------------------------------------------------------- */

static void store_into_values(void *argument)
{
    struct weir_latest_value *value = argument;
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)(uintptr_t)value->data = 1;
}

static void test_by_name(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2), other = options;
    struct weir_latest_writer *writer, *second;
    struct weir_latest_reader *reader, *read_only;
    struct weir_latest_value value;
    struct weir_ref ref = weir_by_name("robot/pose");
    (void)state;
    assert_result(weir_latest_open(&reader, ref, NULL), -ENOENT);
    assert_result(weir_latest_create(&writer, ref, NULL), -ENOENT);
    assert_result(weir_latest_create(&writer, ref, &options), 0);
    assert_result(weir_latest_open(&reader, ref, NULL), 0);
    other.flags = WEIR_LATEST_READ_ONLY;
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    other.value_bytes_max = 0; /* of whatever geometry it has */
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    assert_result(weir_latest_open(&read_only, ref, &other), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct weir_latest_options unknown = WEIR_LATEST_OPTIONS;
        unknown.flags = i == 0 ? 1 << 7 : 0;
        unknown.reserved[1] = i;
        assert_result(weir_latest_open(&reader, ref, &unknown), -EINVAL);
        assert_result(weir_latest_create(&second, ref, &unknown), -EINVAL);
    }
    write_number(writer, 1, 64);
    expect_number(reader, 1, 64);
    expect_number(read_only, 1, 64);
    assert_result(weir_latest_hold(read_only, &value), -EOPNOTSUPP);
    assert_result(weir_latest_hold(reader, &value), 0);
    assert_int_equal(value_number(value.data, 64), 1);
    int status = status_in_child(store_into_values, &value);
    assert_true(status == SIGSEGV || (SANITIZED && status != 0)); /* its report, and status 1 */
    assert_result(weir_latest_create(&second, ref, &options), -EBUSY);
    other = latest_options(65, 0, 2);
    assert_result(weir_latest_create(&second, ref, &other), -EINVAL);
    weir_latest_writer_close(writer);
    assert_result(weir_latest_create(&writer, ref, NULL), 0);
    write_number(writer, 2, 64);
    expect_number(reader, 2, 64);
    weir_latest_writer_close(writer);
    weir_latest_reader_close(reader);
    weir_latest_reader_close(read_only);
    assert_result(weir_latest_open(&reader, ref, NULL), -ENOENT);
}

static void test_by_key_and_persistent(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 0);
    struct weir_latest_writer *writer;
    struct weir_latest_reader *reader;
    struct weir_ref refs[2] = { weir_by_key(0x5e7), weir_by_name("kept") };
    (void)state;
    options.lifetime = WEIR_PERSISTENT;
    for (int i = 0; i < 2; i++) {
        assert_result(weir_latest_create(&writer, refs[i], &options), 0);
        write_number(writer, 7, 64);
        weir_latest_writer_close(writer);
        assert_result(weir_latest_open(&reader, refs[i], NULL), 0);
        expect_number(reader, 7, 64);
        weir_latest_reader_close(reader);
        assert_result(weir_latest_create(&writer, refs[i], NULL), 0);
        weir_latest_writer_close(writer);
        assert_result(weir_segment_remove(refs[i]), 0);
    }
}

static void read_as_another_user(void *argument)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    struct weir_latest_reader *reader;
    struct weir_latest_value value;
    unsigned char bytes[64];
    (void)argument;
    become(OTHER_UID);
    options.trust = WEIR_TRUST_ANYONE;
    CHECK_RESULT(weir_latest_open(&reader, weir_by_key(0x5e8), &options), 0);
    CHECK_RESULT(weir_latest_read(reader, bytes, sizeof bytes, &value), 0);
    CHECK(value_number(bytes, sizeof bytes) == 8);
    CHECK_RESULT(weir_latest_hold(reader, &value), -EOPNOTSUPP);
    CHECK_RESULT(weir_latest_wait_until(reader, 1, weir_deadline_ns(3000000)), -ETIMEDOUT);
    weir_latest_reader_close(reader);
}

/* Who may only read finds the values as well, and cannot hold. */
static void test_another_user(void **state)
{
    struct weir_latest_options options = latest_options(64, 0, 2);
    struct weir_latest_writer *writer;
    (void)state;
    if (!has_other_users())
        skip();
    options.lifetime = WEIR_PERSISTENT;
    options.mode = 0644;
    assert_result(weir_latest_create(&writer, weir_by_key(0x5e8), &options), 0);
    write_number(writer, 8, 64);
    in_child(read_as_another_user, NULL);
    weir_latest_writer_close(writer);
    assert_result(weir_segment_remove(weir_by_key(0x5e8)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_each_size_comes_whole, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_small_value_stands_twice, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_loan_is_seen_when_committed, fixture_check_alive),
        cmocka_unit_test_teardown(test_geometry_is_checked, fixture_check_alive),
        cmocka_unit_test_teardown(test_what_is_not_ours_is_refused, fixture_check_alive),
        cmocka_unit_test_teardown(test_init_of_many_at_once, fixture_check_alive),
        cmocka_unit_test_teardown(test_every_kind_of_memory, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_value_above_four_gibibytes, fixture_check_alive),
        cmocka_unit_test_teardown(test_what_is_held_stays, fixture_check_alive),
        cmocka_unit_test_teardown(test_the_holds_of_the_dead_come_back, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_hold_is_not_taken_from_elsewhere, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_hold_is_released_once, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_hold_stands_while_the_buffer_is_reserved,
                                  fixture_check_alive),
        cmocka_unit_test_teardown(test_one_writer_at_a_time, fixture_check_alive),
        cmocka_unit_test_teardown(test_a_child_is_not_its_parent, fixture_check_alive),
        cmocka_unit_test_teardown(test_by_name, fixture_check_alive),
        cmocka_unit_test_teardown(test_by_key_and_persistent, fixture_check_alive),
        cmocka_unit_test_teardown(test_another_user, fixture_check_alive),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
