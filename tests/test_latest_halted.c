/* SPDX-License-Identifier: MIT */
/*
 * Goal: what comes to pass in the middle of a reader's call is seen: the last value of a writer that
 *       is killed after it, and a hold that somebody took away while the value was copied. Who sleeps
 *       is to be woken, whoever was held up on the way to it.
 * Method: a child is halted after so many instructions of its call, or before a system call; the others
 *       act; then it goes on. See trail.h.
 */
#include "asleep.h"
#include "fixture.h"
#include "latest_world.h"
#include "tracer.h"
#include "trail.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latest/layout.h"

/* More than is copied without a hold. */
enum { LARGE = 20000, BUFFERS = 4, INSTRUCTIONS_MAX = 100000 };

/*
 * What must not be missed is hundreds of instructions long, as the kernel is asked in it; of the copy any
 * moment will do, and its steps are many.
 */
enum { WAIT_STRIDE = 40, COPY_MOMENTS = 3 };

/* Of what takes a slice if the machine holds the test up for so long. */
enum { TRIES = 20 };

static struct board {
    atomic_bool is_done; /* the call has returned */
    atomic_int waiter;   /* who is to be asleep before the last value comes */
} * board;

static struct value_pair pair;
static unsigned char bytes[LARGE];

static void skip_where_nobody_traces(void)
{
    if (!SANITIZED && tracer_works())
        return;
    print_message("nobody may trace here, or sanitizers make twenty instructions of one\n");
    skip();
}

static bool is_done(void)
{
    return board->is_done;
}

static void put(struct weir_latest_writer *writer, uint64_t number, uint64_t size_bytes)
{
    static unsigned char value[LARGE];
    value_fill(value, size_bytes, number);
    CHECK_RESULT(weir_latest_write(writer, value, size_bytes), 0);
}

/* Value 1 is there. */
static void stage(uint64_t size_bytes)
{
    struct weir_latest_options options = latest_options(size_bytes, BUFFERS, 1);
    value_pair_open(&pair, &options);
    put(pair.writer, 1, size_bytes);
    board->is_done = false;
    board->waiter = 0;
}

/* In the child, before it is led: the first question for an identity is long. */
static void be_somebody(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
}

static struct companion companion; /* the writer, where it is another process */

struct moment {
    uint64_t size_bytes;
    void (*prepare)(void);   /* in the test; may be NULL */
    void (*act)(void *);     /* in the child, halted */
    void (*meanwhile)(void); /* in the test */
};

static pid_t start_child(const struct moment *moment)
{
    stage(moment->size_bytes);
    if (moment->prepare)
        moment->prepare();
    return tracee_start(be_somebody, moment->act, NULL);
}

/* False: the call was over before. */
static bool meet_after(const struct moment *moment, unsigned instructions,
                       const struct trail *trail)
{
    pid_t child = start_child(moment);
    bool is_inside = trail ? trail_follow(trail, child, instructions, is_done)
                           : trail_step(child, instructions, is_done);
    moment->meanwhile();
    int status = tracee_finish(child);
    if (status != 0)
        print_error("after %u instructions\n", instructions);
    assert_int_equal(status, 0);
    value_pair_close(&pair);
    return is_inside;
}

static void record(const struct moment *moment, struct trail *trail)
{
    pid_t child = start_child(moment);
    trail_record(trail, child, INSTRUCTIONS_MAX, is_done);
    moment->meanwhile();
    assert_int_equal(tracee_finish(child), 0);
    value_pair_close(&pair);
}

/* --- a writer writes, and is killed --------------------------------------------------------------- */

static void wait_for_the_next(void *argument)
{
    (void)argument;
    int result = weir_latest_wait_until(pair.reader, 1, 1);
    board->is_done = true;
    CHECK(result == 0 || result == -ETIMEDOUT);
}

static void write_and_die(struct companion *self, void *argument)
{
    struct weir_latest_writer *writer;
    (void)argument;
    CHECK_RESULT(weir_latest_writer_open(&writer, &pair.world.memory), 0);
    companion_arrive(self);
    put(writer, 2, 8);
    raise(SIGKILL);
}

static void start_writer(void)
{
    weir_latest_writer_close(pair.writer);
    pair.writer = NULL;
    companion_start(&companion, write_and_die, NULL);
    companion_meet(&companion);
}

static void let_it_write_and_die(void)
{
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), SIGKILL);
}

/* Its value is there, so nobody may be told that none will come. */
static void test_the_last_value_counts(void **state)
{
    const struct moment moment = { 8, start_writer, wait_for_the_next, let_it_write_and_die };
    struct trail trail = { .at = NULL };
    unsigned strayed = 0;
    (void)state;
    skip_where_nobody_traces();
    meet_after(&moment, 0,
               NULL); /* What is linked at the first call (lazily, libc's) is by then. */
    record(&moment, &trail);
    for (unsigned instructions = 0; instructions < trail.count; instructions += WAIT_STRIDE)
        if (!meet_after(&moment, instructions, &trail)) {
            meet_after(&moment, instructions, NULL);
            strayed++;
        }
    print_message("           %u instructions, strayed %u times\n", trail.count, strayed);
    assert_true(trail.count > 100);
    trail_free(&trail);
}

/* --- a liar frees the hold of who copies ------------------------------------------------------------- */

static void read_large(void *argument)
{
    struct weir_latest_value value;
    (void)argument;
    int result = weir_latest_read(pair.reader, bytes, LARGE, &value);
    board->is_done = true;
    CHECK_RESULT(result, 0);
    CHECK(value.size_bytes == LARGE && value_number(bytes, LARGE) == value.version);
}

static void free_and_overwrite(void)
{
    struct weir__latest_readers_shm *readers = pair.world.memory.readers;
    atomic_store(&readers->hold[0].word, 0);
    for (uint64_t number = 2; number < 2 + 2 * BUFFERS; number++)
        put(pair.writer, number, LARGE);
}

/* What is copied meanwhile is torn, and must not be given out. */
static void test_a_hold_that_is_taken_away(void **state)
{
    const struct moment moment = { LARGE, NULL, read_large, free_and_overwrite };
    struct trail trail = { .at = NULL };
    (void)state;
    skip_where_nobody_traces();
    record(&moment, &trail);
    for (unsigned i = 1; i < COPY_MOMENTS; i++)
        meet_after(&moment, trail.count / COPY_MOMENTS * i, NULL);
    assert_true(trail.count > 100);
    trail_free(&trail);
}

/* --- a bit of the watch word is taken from who has just set it --------------------------------------- */

/* The child stands before its next call of this. */
static void lead_before(pid_t child, long call)
{
    char there[64];
    int status;
    snprintf(there, sizeof there, "before system call %ld", call);
    do
        assert_true(tracee_step(child, &status));
    while (strcmp(tracee_where(child), there) != 0);
}

static void wait_for_the_third(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_wait_until(pair.reader, 2, weir_deadline_ns(20 * WEIR_SECOND_NS)), 0);
}

static void wait_for_the_fourth(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_wait_until(pair.reader, 3, weir_deadline_ns(20 * WEIR_SECOND_NS)), 0);
}

static void open_as_writer(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_latest_writer_open(&pair.writer, &pair.world.memory), 0);
}

static void write_and_see_it_asleep(void *argument)
{
    (void)argument;
    put(pair.writer, 2, 8);
    board->is_done = true;
    while (!board->waiter)
        sched_yield();
    see_asleep(board->waiter);
    put(pair.writer, 3, 8);
}

/* Closes, and is followed by another. */
static void write_and_be_followed(void *argument)
{
    (void)argument;
    put(pair.writer, 2, 8);
    weir_latest_writer_close(pair.writer);
    CHECK_RESULT(weir_latest_writer_open(&pair.writer, &pair.world.memory), 0);
    board->is_done = true;
    while (!board->waiter)
        sched_yield();
    see_asleep(board->waiter);
    put(pair.writer, 3, 8);
}

static void write_the_rest(void *argument)
{
    (void)argument;
    put(pair.writer, 2, 8);
    put(pair.writer, 3, 8);
    board->is_done = true;
    while (!board->waiter)
        sched_yield();
    see_asleep(board->waiter);
    put(pair.writer, 4, 8);
}

static void expect_its_end(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The child stands before a futex wait. Whether a wake ends the one in which it sleeps. */
static bool sleeps_until_woken(pid_t child)
{
    int status;
    assert_true(tracee_step(child, &status));
    while (strcmp(tracee_where(child), "after the same, result -11") ==
           0) { /* EAGAIN: it did not sleep */
        lead_before(child, SYS_futex);
        assert_true(tracee_step(child, &status));
    }
    return strcmp(tracee_where(child), "after the same, result 0") == 0;
}

/*
 * A writer is held up right behind its second value's index; who waits is halted before this system call; the writer goes on, and
 * so does who waits; when it sleeps, the next value comes. Whether it was woken: else its slice was over.
 */
static bool is_woken(void (*wait)(void *), long call, void (*write)(void *))
{
    stage(8);
    weir_latest_writer_close(pair.writer);
    pair.writer = NULL;
    pid_t writer = tracee_start(open_as_writer, write, NULL);
    while (weir_latest_version(pair.reader) == 1)
        tracee_step_instruction(writer);
    pid_t waiter = tracee_start(be_somebody, wait, NULL);
    lead_before(waiter, call);
    tracee_release(writer);
    while (!is_done())
        sched_yield();
    board->waiter = waiter;
    if (call != SYS_futex)
        lead_before(waiter, SYS_futex);
    bool result = sleeps_until_woken(waiter);
    tracee_release(waiter);
    expect_its_end(waiter);
    expect_its_end(writer);
    value_pair_close(&pair);
    return result;
}

/* Where the test is held up itself, a slice may well be over. */
static void expect_it_is_woken(void (*wait)(void *), long call, void (*write)(void *))
{
    unsigned tries = 1;
    while (!is_woken(wait, call, write))
        assert_true(tries++ < TRIES);
}

/* It knows the value behind which the writer is held up, and waits for the next. */
static void test_a_writer_that_is_held_up(void **state)
{
    (void)state;
    skip_where_nobody_traces();
    expect_it_is_woken(wait_for_the_third, SYS_futex, write_and_see_it_asleep);
    expect_it_is_woken(wait_for_the_third, SYS_futex, write_and_be_followed);
}

/*
 * The value after the one for which its bit was taken is not yet the one that it waits for, and is found at the look
 * behind the bit: that is not the one to sleep on.
 */
static void test_a_value_before_the_one_that_is_wanted(void **state)
{
    (void)state;
    skip_where_nobody_traces();
    expect_it_is_woken(wait_for_the_fourth, SYS_membarrier, write_the_rest);
}

/* --- who holds moves on to the buffer that was about to be reserved ---------------------------------- */

static void open_and_write_two(void *argument)
{
    open_as_writer(argument);
    put(pair.writer, 2, 8);
    put(pair.writer, 3, 8);
}

static void write_one(void *argument)
{
    (void)argument;
    put(pair.writer, 4, 8);
    board->is_done = true;
}

static uint32_t latest_buffer(void)
{
    const struct weir__latest_values_shm *values = pair.world.memory.values;
    return (uint32_t)(atomic_load(&values->index) & 255);
}

/* The one hold names it, as a reader would that has it, or is about to look whether it may. */
static void hold(uint32_t buffer)
{
    struct weir__latest_readers_shm *readers = pair.world.memory.readers;
    atomic_store(&readers->hold[0].word, (WEIR_IDENTITY_SESSION_MAX + 1) | (buffer + 1));
}

/*
 * Of three buffers one is the latest, one is held, and the third is to be the next; after so many instructions of the write
 * the hold moves to that. Whether the write was under way; and where its value went.
 */
static bool move_the_hold_after(unsigned instructions, bool *is_avoided)
{
    struct weir_latest_options options = latest_options(8, 3, 1);
    value_pair_open(&pair, &options);
    put(pair.writer, 1, 8);
    weir_latest_writer_close(pair.writer);
    pair.writer = NULL;
    board->is_done = false;
    pid_t child = tracee_start(open_and_write_two, write_one, NULL);
    uint32_t latest = latest_buffer(), held = (latest + 1) % 3, next = (latest + 2) % 3;
    hold(held);
    bool is_inside = trail_step(child, instructions, is_done);
    hold(next);
    assert_int_equal(tracee_finish(child), 0);
    uint32_t written = latest_buffer();
    assert_true(written == next || written == held); /* never where the latest was being read */
    *is_avoided = written == held;
    value_pair_close(&pair);
    return is_inside;
}

/* Somebody came between the two looks at the holds: another look at all of them finds one that is free. */
static void test_a_hold_that_moves(void **state)
{
    unsigned instructions = 0, avoided = 0;
    bool is_avoided;
    (void)state;
    skip_where_nobody_traces();
    while (move_the_hold_after(instructions, &is_avoided)) {
        avoided += is_avoided;
        instructions++;
    }
    print_message("           %u of %u\n", avoided, instructions);
    assert_true(avoided > 10 && avoided < instructions);
}

static int halted_start(void **state)
{
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_value_counts),
        cmocka_unit_test(test_a_hold_that_is_taken_away),
        cmocka_unit_test(test_a_writer_that_is_held_up),
        cmocka_unit_test(test_a_value_before_the_one_that_is_wanted),
        cmocka_unit_test(test_a_hold_that_moves),
    };
    return cmocka_run_group_tests(tests, halted_start, fixture_end);
}
