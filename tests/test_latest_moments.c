/* SPDX-License-Identifier: MIT */
/*
 * Goal: a writer or a reader that is killed, or stopped, at any instruction of a call leaves
 *       the last complete value to all, its place to the next one if it is dead, and to itself if
 *       it is not.
 * Method: a child is led through one call instruction by instruction, and killed, or left
 *       standing, after the n-th, for every n; then everybody else goes on.
 */
#include "fixture.h"
#include "latest_world.h"
#include "tracer.h"
#include "trail.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

#define INSTRUCTIONS_MAX 100000
#define SIZE 200     /* the largest */
#define HOT_SIZE 100 /* has its copy in the hot cell */
#define BEFORE 6     /* the value that is there before the call */

enum verb { WRITE, COMMIT, OPEN, CLOSE, HOLD, READ, VERBS };

static const struct verb_of {
    const char *name;
    bool is_writer, owns_before, owns_after;
    unsigned stride; /* of instructions: opening is long */
} verbs[VERBS] = {
    [WRITE] = { "write", true, true, true, 1 },
    [COMMIT] = { "commit", true, true, true, 1 },
    [OPEN] = { "open the dead one's place", true, false, true, 7 },
    [CLOSE] = { "close", true, true, false, 3 },
    [HOLD] = { "hold and release", false, false, false, 1 },
    [READ] = { "read", false, false, false, 1 },
};

static struct board {
    atomic_bool is_done; /* the call has returned */
    atomic_bool is_held; /* between hold and release */
} * board;

static struct world world;
static struct weir_latest_reader *own; /* the test's, which holds a value all the time */
static struct weir_latest_value own_value;

static enum verb verb;
static uint64_t size_bytes = SIZE;
static struct weir_latest_writer *writer;
static struct weir_latest_reader *reader;
static void *loan;
static unsigned char bytes[SIZE];

static void die_as_writer(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_writer_open(&writer, &world.memory), 0);
    CHECK_RESULT(weir_latest_loan(writer, &loan), 0);
    memset(loan, 0xaa, size_bytes / 2);
    raise(SIGKILL);
}

static void put(struct weir_latest_writer *to, uint64_t number)
{
    value_fill(bytes, size_bytes, number);
    assert_result(weir_latest_write(to, bytes, size_bytes), 0);
}

/* Values 1 to BEFORE, of which the test holds one. */
static void stage(void)
{
    struct weir_latest_options options = latest_options(SIZE, 4, 2);
    struct weir_latest_writer *first;
    world_open(&world, INHERITED, &options);
    assert_result(weir_latest_writer_open(&first, &world.memory), 0);
    assert_result(weir_latest_reader_open(&own, &world.memory), 0);
    for (uint64_t number = 1; number <= BEFORE; number++) {
        put(first, number);
        if (number == 4)
            assert_result(weir_latest_hold(own, &own_value), 0);
    }
    weir_latest_writer_close(first);
    if (verb == OPEN)
        assert_int_equal(status_in_child(die_as_writer, NULL), SIGKILL);
    memset(board, 0, sizeof *board);
}

static void unstage(void)
{
    assert_int_equal(value_number(own_value.data, size_bytes), 4);
    assert_result(weir_latest_check(own, &own_value), 0);
    weir_latest_reader_close(own);
    world_close(&world);
}

/* In the child, before it is led. */
static void prepare(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    if (verbs[verb].owns_before)
        CHECK_RESULT(weir_latest_writer_open(&writer, &world.memory), 0);
    if (!verbs[verb].is_writer)
        CHECK_RESULT(weir_latest_reader_open(&reader, &world.memory), 0);
    if (verb == HOLD) { /* the first one is more than a hold */
        struct weir_latest_value value;
        CHECK_RESULT(weir_latest_hold(reader, &value), 0);
        CHECK_RESULT(weir_latest_release(reader, &value), 0);
    }
    value_fill(bytes, size_bytes, BEFORE + 1);
    if (verb == COMMIT) {
        CHECK_RESULT(weir_latest_loan(writer, &loan), 0);
        memcpy(loan, bytes, size_bytes);
    }
}

static void act(void *argument)
{
    struct weir_latest_value value;
    int result = 0;
    (void)argument;
    if (verb == WRITE)
        result = weir_latest_write(writer, bytes, size_bytes);
    if (verb == COMMIT)
        result = weir_latest_commit(writer, size_bytes);
    if (verb == OPEN)
        result = weir_latest_writer_open(&writer, &world.memory) >= 0 ? 0 : -1;
    if (verb == CLOSE)
        weir_latest_writer_close(writer);
    if (verb == READ)
        result = weir_latest_read(reader, bytes, SIZE, &value);
    if (verb == HOLD) {
        result = weir_latest_hold(reader, &value);
        board->is_held = true;
        CHECK(*(const unsigned char *)value.data == value.version); /* few instructions */
        board->is_held = false;
        CHECK_RESULT(weir_latest_release(reader, &value), 0);
    }
    board->is_done = true;
    CHECK_RESULT(result, 0);
}

static bool is_done(void)
{
    return board->is_done;
}

/* Whole, and of the call or of the time before it. */
static uint64_t expect_a_value(void)
{
    struct weir_latest_value value;
    unsigned char copy[SIZE];
    assert_result(weir_latest_read(own, copy, SIZE, &value), 0);
    assert_int_equal(value.size_bytes, size_bytes);
    assert_int_equal(value_number(copy, size_bytes), value.version);
    uint64_t most = verb == WRITE || verb == COMMIT ? BEFORE + 1 : BEFORE;
    assert_true(value.version >= BEFORE && value.version <= most);
    return value.version;
}

/* Another writer goes on from there; and as many values can be held as ever. */
static void go_on(int expected)
{
    struct weir_latest_writer *next;
    struct weir_latest_value value;
    uint64_t version = expect_a_value();
    int result = weir_latest_writer_open(&next, &world.memory);
    assert_true(result == expected || (verb == CLOSE && result == 0));
    assert_int_equal(expect_a_value(), version);
    for (uint64_t number = version + 1; number < version + 12; number++) {
        put(next, number);
        assert_int_equal(weir_latest_version(own), number);
        assert_result(weir_latest_hold(own, &value), 0);
        assert_int_equal(value_number(value.data, size_bytes), number);
        assert_result(weir_latest_release(own, &value), 0);
    }
    weir_latest_writer_close(next);
}

static void after_kill(pid_t child)
{
    tracee_kill(child);
    go_on(verbs[verb].is_writer ? WEIR_OWNER_DIED : 0);
}

/* It stands there, alive: what is its own stays so. Then it goes on. */
static void after_stop(pid_t child)
{
    struct weir_latest_writer *next = NULL;
    struct weir_latest_value value;
    expect_a_value();
    if (verbs[verb].owns_before && !(verb == CLOSE))
        assert_result(weir_latest_writer_open(&next, &world.memory), -EBUSY);
    if (verb == OPEN) { /* another one may be faster, and leave: it must get in then */
        int result = weir_latest_writer_open(&next, &world.memory);
        assert_true(result == WEIR_OWNER_DIED || result == -EBUSY);
        weir_latest_writer_close(next);
        next = NULL;
    }
    if (!verbs[verb].is_writer) {
        assert_result(weir_latest_writer_open(&next, &world.memory), 0);
        for (uint64_t number = BEFORE + 1; number < BEFORE + 12; number++)
            put(next, number);
        if (board->is_held)
            assert_result(weir_latest_hold(own, &value), -ENOBUFS);
    }
    assert_int_equal(tracee_finish(child), 0);
    if (next)
        weir_latest_writer_close(next);
}

static void record(struct trail *trail)
{
    stage();
    pid_t child = tracee_start(prepare, act, NULL);
    trail_record(trail, child, INSTRUCTIONS_MAX, is_done);
    after_stop(child);
    unstage();
}

/* False: the call was over before. */
static bool try_point(unsigned instructions, const struct trail *trail, bool is_kill)
{
    stage();
    pid_t child = tracee_start(prepare, act, NULL);
    bool is_in = trail ? trail_follow(trail, child, instructions, is_done)
                       : trail_step(child, instructions, is_done);
    if (is_kill)
        after_kill(child);
    else
        after_stop(child);
    unstage();
    return is_in;
}

static void walk(enum verb which)
{
    struct trail trail = { .at = NULL };
    unsigned strayed = 0;
    verb = which;
    try_point(
        0, NULL,
        false); /* What is linked at the first call (lazily, libc's) is by then, so that all go the same way. */
    record(&trail);
    for (unsigned instructions = 0; instructions < trail.count; instructions += verbs[which].stride)
        for (int is_kill = 0; is_kill <= 1; is_kill++)
            if (!try_point(instructions, &trail, is_kill)) {
                try_point(instructions, NULL, is_kill);
                strayed++;
            }
    print_message("           %s, %d bytes: %u instructions, strayed %u times\n", verbs[which].name,
                  (int)size_bytes, trail.count, strayed);
    assert_true(trail.count > 20);
    trail_free(&trail);
}

static void test_each_moment(void **state)
{
    (void)state;
    if (SANITIZED || !tracer_works()) {
        print_message("nobody may trace here, or sanitizers make twenty instructions of one\n");
        skip();
    }
    for (enum verb which = 0; which < VERBS; which++)
        walk(which);
    size_bytes = HOT_SIZE;
    walk(WRITE);
    walk(COMMIT);
    walk(READ);
    for (size_bytes = 8; size_bytes <= 64; size_bytes += 56) /* have ways of their own */
        walk(READ);
}

/* --- a held value is checked while the writer takes its buffer, and puts it back ------------- */

static struct weir_latest_value held;

static void prepare_check(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_reader_open(&reader, &world.memory), 0);
    CHECK_RESULT(weir_latest_hold(reader, &held), 0);
}

static void check(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_check(reader, &held), 0);
    board->is_done = true;
}

/*
 * The writer had seen the hold in its second look alone: so the seq is 0, and then again what it was. After
 * each number of the check's instructions.
 */
static void test_a_hold_that_is_seen_late(void **state)
{
    bool is_in = true;
    (void)state;
    if (SANITIZED || !tracer_works())
        skip();
    for (unsigned instructions = 0; is_in; instructions++) {
        verb = HOLD;
        stage();
        struct weir__latest_values_shm *values = world.memory.values;
        uint64_t buffer = atomic_load(&values->index) & WEIR__LATEST_BUFFER_MASK;
        uint64_t stride = (64 + SIZE + 127) / 128 * 128;
        struct weir__latest_head_shm *head =
            (void *)((char *)values + WEIR__LATEST_BUFFERS_OFFSET + buffer * stride);
        assert_int_equal(atomic_load(&head->seq), atomic_load(&values->index));
        pid_t child = tracee_start(prepare_check, check, NULL);
        uint64_t seq = atomic_exchange(&head->seq, 0);
        is_in = trail_step(child, instructions, is_done);
        atomic_store(&head->seq, seq);
        assert_int_equal(tracee_finish(child), 0);
        unstage();
    }
}

/* --- one of two places is free at every moment, and never the one that is looked at ------------ */

static struct weir_latest_reader *mover[2]; /* the test's, of places 0 and 1 */
static struct weir_latest_value moved[2];
static atomic_bool *asks; /* the child has the kernel asked for a holder */

/* In front of the C library's. */
int shmctl(int id, int command, struct shmid_ds *found)
{
    if (asks)
        atomic_store(asks, true);
    return (int)syscall(SYS_shmctl, id, command, found);
}

/* Where the child has not taken the free one. */
static void move(unsigned from, unsigned to)
{
    const struct weir__latest_readers_shm *readers = world.memory.readers;
    if (readers->hold[to].word != 0)
        return;
    assert_result(weir_latest_hold(mover[to], &moved[to]), 0);
    assert_int_equal(moved[to].hold, to + 1);
    assert_result(weir_latest_release(mover[from], &moved[from]), 0);
}

/* Looks at place 1 first. */
static void prepare_hold(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_reader_open(&reader, &world.memory), 0);
    CHECK_RESULT(weir_latest_hold(reader, &held), 0);
    CHECK(held.hold == 2);
    CHECK_RESULT(weir_latest_release(reader, &held), 0);
    asks = &board->is_held;
}

static void hold(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_hold(reader, &held), 0);
    board->is_done = true;
}

static bool asks_or_is_done(void)
{
    return board->is_held || board->is_done;
}

static void test_a_free_place_that_moves(void **state)
{
    bool is_in = true;
    (void)state;
    if (SANITIZED || !tracer_works())
        skip();
    for (unsigned instructions = 0; is_in; instructions++) {
        struct weir_latest_options options = latest_options(SIZE, 0, 2);
        struct weir_latest_writer *first;
        world_open(&world, INHERITED, &options);
        assert_result(weir_latest_writer_open(&first, &world.memory), 0);
        put(first, 1);
        for (int i = 0; i < 2; i++)
            assert_result(weir_latest_reader_open(&mover[i], &world.memory), 0);
        memset(board, 0, sizeof *board);
        assert_result(weir_latest_hold(mover[0], &moved[0]), 0);
        pid_t child = tracee_start(prepare_hold, hold, NULL);
        move(0, 1);
        is_in = trail_step(child, instructions, is_done);
        move(1, 0);
        trail_step(child, INSTRUCTIONS_MAX, asks_or_is_done);
        move(0, 1);
        assert_int_equal(tracee_finish(child), 0);
        for (int i = 0; i < 2; i++)
            weir_latest_reader_close(mover[i]);
        weir_latest_writer_close(first);
        world_close(&world);
    }
}

static int moments_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_moment),
        cmocka_unit_test(test_a_hold_that_is_seen_late),
        cmocka_unit_test(test_a_free_place_that_moves),
    };
    return cmocka_run_group_tests(tests, moments_start, fixture_end);
}
