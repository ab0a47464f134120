/* SPDX-License-Identifier: MIT */
/*
 * Goal: who waits for a newer version is woken at once, with every kind of mapping; and told when
 *       no writer is left that could wake it.
 * Method: a child sleeps, as the kernel says, and tells when it woke; writers are closed and killed.
 */
#include "asleep.h"
#include "fixture.h"
#include "latest_world.h"
#include "wakes.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)

enum { WAKES = 20 };

static struct board {
    atomic_uint woken;
    atomic_llong woken_ns;
} * board;

static void wait_asleep(struct world *world, bool is_read_only)
{
    struct weir_latest_memory memory = world->memory;
    struct weir_latest_reader *reader;
    if (is_read_only) {
        memory.values = mmap(NULL, memory.values_bytes, PROT_READ, MAP_SHARED, world->fd, 0);
        memory.readers = NULL;
        CHECK(memory.values != MAP_FAILED);
    }
    CHECK_RESULT(weir_latest_reader_open(&reader, &memory), 0);
    for (unsigned i = 0; i < WAKES; i++) {
        CHECK_RESULT(weir_latest_wait_until(reader, i, weir_deadline_ns(20 * WEIR_SECOND_NS)), 0);
        CHECK(weir_latest_version(reader) == i + 1);
        atomic_store(&board->woken_ns, weir_now_ns());
        atomic_store(&board->woken, i + 1);
    }
    weir_latest_reader_close(reader);
}

/* The average time from the write to the wake. */
static int64_t wake(uint32_t flags, uint32_t holds, bool is_read_only)
{
    struct weir_latest_options options = latest_options(8, 0, holds);
    struct weir_latest_writer *writer;
    struct world world;
    struct wakes wakes = { 0 };
    int status;
    options.flags = flags;
    world_open(&world, MEMFD, &options);
    assert_result(weir_latest_writer_open(&writer, &world.memory), 0);
    board->woken = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        wait_asleep(&world, is_read_only);
        _exit(0);
    }
    assert_true(child > 0);
    for (unsigned i = 1; i <= WAKES; i++) {
        see_asleep(child);
        int64_t before_ns = weir_now_ns();
        assert_result(weir_latest_write(writer, "12345678", 8), 0);
        while (board->woken != i)
            sched_yield();
        wakes_add(&wakes, board->woken_ns - before_ns);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    weir_latest_writer_close(writer);
    world_close(&world);
    return wakes_average_ns(&wakes);
}

/* Unwoken it would sleep on for half a slice, 100 ms, on the average. */
static void test_who_sleeps_is_woken(void **state)
{
    (void)state;
    int64_t watched_ns = wake(0, 2, false);
    int64_t always_ns = wake(WEIR_LATEST_ALWAYS_WAKE, 0, true);
    int64_t both_ns = wake(WEIR_LATEST_ALWAYS_WAKE, 2, true);
    int64_t napping_ns = wake(0, 2, true);
    print_message("           woken after %lld us, always %lld and %lld, napping %lld\n",
                  (long long)watched_ns / 1000, (long long)always_ns / 1000,
                  (long long)both_ns / 1000, (long long)napping_ns / 1000);
    assert_true(watched_ns < WAKES_ENOUGH_NS && always_ns < WAKES_ENOUGH_NS);
    assert_true(both_ns < WAKES_ENOUGH_NS && napping_ns < WAKES_ENOUGH_NS);
}

struct pair {
    struct world world;
    struct weir_latest_reader *reader;
};

static void open_pair(struct pair *pair)
{
    struct weir_latest_options options = latest_options(8, 0, 2);
    world_open(&pair->world, INHERITED, &options);
    assert_result(weir_latest_reader_open(&pair->reader, &pair->world.memory), 0);
}

static void close_pair(struct pair *pair)
{
    weir_latest_reader_close(pair->reader);
    world_close(&pair->world);
}

static void test_deadlines_hold(void **state)
{
    struct weir_latest_writer *writer;
    struct pair pair;
    (void)state;
    open_pair(&pair);
    assert_result(weir_latest_wait_until(pair.reader, 0, 0), -EAGAIN);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_latest_wait_until(pair.reader, 0, weir_deadline_ns(30 * MS_NS)), -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= 30 * MS_NS);
    assert_result(weir_latest_wait_until(pair.reader, 0, INT64_MIN), -ETIMEDOUT);
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), 0);
    assert_result(weir_latest_write(writer, "x", 1), 0);
    weir_latest_writer_close(writer);
    assert_result(weir_latest_wait_until(pair.reader, 0, 0), 0);
    /* A writer that has left is waited for, longer than a slice. */
    assert_result(weir_latest_wait_until(pair.reader, 1, weir_deadline_ns(450 * MS_NS)),
                  -ETIMEDOUT);
    close_pair(&pair);
}

static void ignore(int number)
{
    (void)number;
}

static void test_a_signal_ends_the_wait(void **state)
{
    struct sigaction action = { .sa_handler = ignore };
    /* Again and again: the first may come before it sleeps. */
    struct itimerval timer = { { 0, 50000 }, { 0, 50000 } }, off = { { 0, 0 }, { 0, 0 } };
    struct pair pair;
    (void)state;
    open_pair(&pair);
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    assert_result(weir_latest_wait_until(pair.reader, 0, WEIR_NEVER), -EINTR);
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    close_pair(&pair);
}

static void write_and_die(void *argument)
{
    struct pair *pair = argument;
    struct weir_latest_writer *writer;
    int result = weir_latest_writer_open(&writer, &pair->world.memory);
    CHECK(result == 0 || result == WEIR_OWNER_DIED);
    CHECK_RESULT(weir_latest_write(writer, "x", 1), 0);
    raise(SIGKILL);
}

static void test_a_killed_writer_is_told(void **state)
{
    struct weir_latest_writer *writer;
    struct pair pair;
    (void)state;
    open_pair(&pair);
    for (uint64_t version = 1; version < 3; version++) {
        assert_int_equal(status_in_child(write_and_die, &pair), SIGKILL);
        assert_result(weir_latest_wait_until(pair.reader, version - 1, 0), 0);
        /* Who waits for short times alone learns it, too. */
        assert_result(weir_latest_wait_until(pair.reader, version, weir_deadline_ns(MS_NS)),
                      -EPIPE);
        int64_t before_ns = weir_now_ns();
        assert_result(weir_latest_wait_until(pair.reader, version, WEIR_NEVER), -EPIPE);
        assert_true(weir_now_ns() - before_ns < 2 * WEIR_SECOND_NS);
    }
    assert_result(weir_latest_writer_open(&writer, &pair.world.memory), WEIR_OWNER_DIED);
    assert_result(weir_latest_wait_until(pair.reader, 2, weir_deadline_ns(450 * MS_NS)),
                  -ETIMEDOUT);
    weir_latest_writer_close(writer);
    close_pair(&pair);
}

static void find_no_writer(void *argument)
{
    const struct pair *pair = argument;
    CHECK_RESULT(weir_latest_wait_until(pair->reader, 1, weir_deadline_ns(20 * WEIR_SECOND_NS)),
                 -EPIPE);
}

/* Who only reads has no identity until it asks: a child has its parent's no more. */
static void test_who_only_reads_is_told(void **state)
{
    struct pair pair;
    (void)state;
    open_pair(&pair);
    assert_int_equal(status_in_child(write_and_die, &pair), SIGKILL);
    in_child(find_no_writer, &pair);
    close_pair(&pair);
}

static int wait_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_sleeps_is_woken),
        cmocka_unit_test(test_deadlines_hold),
        cmocka_unit_test(test_a_signal_ends_the_wait),
        cmocka_unit_test(test_a_killed_writer_is_told),
        cmocka_unit_test(test_who_only_reads_is_told),
    };
    return cmocka_run_group_tests(tests, wait_start, fixture_end);
}
