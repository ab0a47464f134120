/* SPDX-License-Identifier: MIT */
/*
 * Goal: whoever is killed at any instruction of a call on a read-write lock, permits or a barrier,
 *       the others go on: nobody is kept out, nothing is given twice, and a death that matters is told.
 * Method: a child is halted after 1, 2, 3 ... instructions of each call and killed there; then the
 *       test does everything with the object. Calls that wait are walked by their system calls.
 */
#include "fixture.h"
#include "peers.h"
#include "tracer.h"
#include "trail.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomics.h"

#define NOW INT64_C(0)
#define SOON weir_deadline_ns(INT64_C(20000000000))
#define SHORT_NS INT64_C(20000000)

enum { PLACES = 3, INSTRUCTIONS_MAX = 4000 };

/* What all of them share besides: what the dead one had got. */
static struct notes {
    weir__atomic_u32 has_begun, has_ended;
    uint64_t first, second; /* guarded; equal while nobody writes */
} * notes;

static struct weir_rwlock lock;
static struct weir_permits permits;
static struct weir_barrier barrier;
static uint32_t party; /* of the child */

struct peers_reply peers_serve(const struct peers_order *order)
{
    (void)order;
    return (struct peers_reply){ -EOPNOTSUPP, 0 };
}

static void make(uint64_t bytes)
{
    peers_share(bytes);
    memset(notes, 0, sizeof *notes);
}

static void make_lock(void)
{
    make(weir_rwlock_bytes(PLACES));
    assert_result(weir_rwlock_init(peers_memory, peers_bytes, PLACES), 0);
    assert_result(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
}

static void make_permits(void)
{
    make(weir_permits_bytes(PLACES));
    assert_result(weir_permits_init(peers_memory, peers_bytes, PLACES), 0);
    assert_result(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
}

static void make_barrier(void)
{
    uint32_t own;
    make(weir_barrier_bytes(2));
    assert_result(weir_barrier_init(peers_memory, peers_bytes, 2), 0);
    assert_result(weir_barrier_open(&barrier, peers_memory, peers_bytes), 0);
    assert_result(weir_barrier_join(&barrier, &own), 0);
}

/* --- what the child does; prepare is not walked ----------------------------------------------- */

static void be_somebody(void)
{
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
}

static void read_and_unlock(void)
{
    CHECK_RESULT(weir_rwlock_read_lock(&lock), 0);
    CHECK(notes->first == notes->second);
    CHECK_RESULT(weir_rwlock_read_unlock(&lock), 0);
}

static void read_once(void)
{
    be_somebody();
    read_and_unlock();
}

static void write_and_unlock(void)
{
    CHECK_RESULT(weir_rwlock_write_lock(&lock), 0);
    *(volatile uint64_t *)&notes->first += 1;
    *(volatile uint64_t *)&notes->second += 1;
    CHECK_RESULT(weir_rwlock_write_unlock(&lock), 0);
}

static void write_and_downgrade(void)
{
    CHECK_RESULT(weir_rwlock_write_lock(&lock), 0);
    *(volatile uint64_t *)&notes->first += 1;
    *(volatile uint64_t *)&notes->second += 1;
    CHECK_RESULT(weir_rwlock_downgrade(&lock), 0);
}

static void repair_and_unlock(void)
{
    CHECK_RESULT(weir_rwlock_write_lock(&lock), WEIR_OWNER_DIED);
    *(volatile uint64_t *)&notes->second = notes->first;
    CHECK_RESULT(weir_rwlock_consistent(&lock), 0);
    *(volatile uint64_t *)&notes->first += 1;
    *(volatile uint64_t *)&notes->second += 1;
    CHECK_RESULT(weir_rwlock_write_unlock(&lock), 0);
}

static void try_in_vain(void)
{
    CHECK_RESULT(weir_rwlock_try_write_lock(&lock), -EAGAIN);
    CHECK_RESULT(weir_rwlock_write_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
}

static void read_in_vain(void)
{
    CHECK_RESULT(weir_rwlock_try_read_lock(&lock), -EAGAIN);
    CHECK_RESULT(weir_rwlock_read_lock_until(&lock, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
}

static void put_a_dead_one_away(void)
{
    CHECK_RESULT(weir_rwlock_read_lock(&lock), 0);
    CHECK_RESULT(weir_rwlock_read_unlock(&lock), 0);
}

static void take_and_release(void)
{
    uint32_t index;
    CHECK_RESULT(weir_permits_take(&permits, &index), 0);
    CHECK_RESULT(weir_permits_release(&permits, index), 0);
}

static void take_a_dead_ones(void)
{
    uint32_t index;
    CHECK_RESULT(weir_permits_take(&permits, &index), WEIR_OWNER_DIED);
    CHECK_RESULT(weir_permits_release(&permits, index), 0);
}

static void take_in_vain(void)
{
    uint32_t index;
    CHECK_RESULT(weir_permits_take_until(&permits, &index, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
}

static void join_and_leave(void)
{
    CHECK_RESULT(weir_barrier_join(&barrier, &party), 0);
    CHECK(party == 1);
    CHECK_RESULT(weir_barrier_leave(&barrier, party), 0);
}

static void join(void)
{
    be_somebody();
    CHECK_RESULT(weir_barrier_join(&barrier, &party), 0);
}

static void arrive_and_withdraw(void)
{
    CHECK_RESULT(weir_barrier_wait_until(&barrier, party, NOW), -EAGAIN);
}

static void arrive_in_vain(void)
{
    CHECK_RESULT(weir_barrier_wait_until(&barrier, party, weir_deadline_ns(SHORT_NS)), -ETIMEDOUT);
}

/* --- what must hold afterwards ---------------------------------------------------------------- */

static void expect_lock_works(void)
{
    int result = weir_rwlock_read_lock(&lock);
    assert_true(result == 0 || result == -EOWNERDEAD);
    bool is_dirty = result != 0;
    if (!is_dirty) {
        assert_int_equal(notes->first, notes->second);
        assert_result(weir_rwlock_read_unlock(&lock), 0);
    }
    result = weir_rwlock_write_lock_until(&lock, SOON);
    assert_result(result, is_dirty ? WEIR_OWNER_DIED : 0);
    if (is_dirty) {
        assert_true(notes->first - notes->second <= 1);
        assert_result(weir_rwlock_consistent(&lock), 0);
    }
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    assert_result(weir_rwlock_try_read_lock(&lock), 0);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    assert_int_equal(weir_rwlock_writer(&lock), WEIR_IDENTITY_NOBODY);
}

static void expect_permits_work(void)
{
    bool seen[PLACES] = { false };
    uint32_t index;
    unsigned died = 0;
    assert_int_equal(weir_permits_value(&permits), PLACES);
    for (int i = 0; i < PLACES; i++) {
        int result = weir_permits_try_take(&permits, &index);
        assert_true(result == 0 || result == WEIR_OWNER_DIED);
        assert_true(index < PLACES && !seen[index]);
        seen[index] = true;
        died += result == WEIR_OWNER_DIED;
    }
    assert_true(died <= 1);
    assert_result(weir_permits_try_take(&permits, &index), -EAGAIN);
}

/* The child had no place yet, has one and is dead, or has left. */
static void expect_barrier_works(void)
{
    uint32_t other;
    int result = weir_barrier_wait_until(&barrier, 0, NOW);
    assert_true(result == 0 || result == 1 || result == -EAGAIN);
    bool is_joined = result >= 0;
    if (is_joined)
        assert_result(weir_barrier_wait_until(&barrier, 0, NOW), result);
    result = weir_barrier_join(&barrier, &other);
    assert_true(result == 0 || result == WEIR_OWNER_DIED);
    assert_int_equal(other, 1);
    assert_result(weir_barrier_wait_until(&barrier, 0, NOW), -EAGAIN);
    assert_result(weir_barrier_leave(&barrier, 1), 0);
    assert_result(weir_barrier_wait(&barrier, 0), 0);
}

/* It is a party that has died, and perhaps arrived before. */
static void expect_it_is_counted(void)
{
    int result = weir_barrier_wait_until(&barrier, 0, SOON);
    assert_true(result == 0 || result == 1);
    assert_result(weir_barrier_wait_until(&barrier, 0, SOON), 1);
    expect_barrier_works();
}

/* --- staging ---------------------------------------------------------------------------------- */

static void die_writing(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_write_lock(&lock), 0);
    notes->first++;
    _exit(0);
}

static void make_lock_of_a_dead_writer(void)
{
    make_lock();
    in_child(die_writing, NULL);
}

static void die_reading(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_read_lock(&lock), 0);
    _exit(0);
}

static void make_lock_of_dead_readers(void)
{
    make_lock();
    in_child(die_reading, NULL);
    in_child(die_reading, NULL);
}

static void make_lock_that_we_read(void)
{
    make_lock();
    assert_result(weir_rwlock_read_lock(&lock), 0);
}

static void expect_lock_works_when_we_are_out(void)
{
    assert_result(weir_rwlock_read_unlock(&lock), 0);
    expect_lock_works();
}

static void make_lock_that_we_write(void)
{
    make_lock();
    assert_result(weir_rwlock_write_lock(&lock), 0);
}

static void expect_lock_works_when_we_have_written(void)
{
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    expect_lock_works();
}

static void die_waiting(void *argument)
{
    (void)argument;
    weir_rwlock_write_lock(&lock);
}

/* One has died that waited to write. */
static void make_lock_with_a_dead_announcement(void)
{
    make_lock_that_we_read();
    pid_t child = tracee_start(NULL, die_waiting, NULL);
    int status;
    while (weir_rwlock_writer(&lock) == WEIR_IDENTITY_NOBODY)
        assert_true(tracee_step(child, &status));
    tracee_kill(child);
    assert_result(weir_rwlock_read_unlock(&lock), 0);
}

static void die_with_one(void *argument)
{
    uint32_t index;
    (void)argument;
    CHECK_RESULT(weir_permits_take(&permits, &index), 0);
}

static void make_permits_of_one_dead(void)
{
    uint32_t index;
    make_permits();
    in_child(die_with_one, NULL);
    for (int i = 1; i < PLACES; i++)
        assert_result(weir_permits_take(&permits, &index), 0);
}

static void release_all_of_ours(void)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        int result = weir_permits_release(&permits, i);
        assert_true(result == 0 || result == -EPERM);
    }
}

static void expect_permits_work_when_ours_are_back(void)
{
    release_all_of_ours();
    expect_permits_work();
}

static void make_permits_of_ours(void)
{
    uint32_t index;
    make_permits();
    for (int i = 0; i < PLACES; i++)
        assert_result(weir_permits_take(&permits, &index), 0);
}

struct act {
    const char *what;
    void (*stage)(void);
    void (*prepare)(void);
    void (*act)(void);
    void (*expect)(void);
    bool waits; /* walked by its system calls */
};

static const struct act acts[] = {
    { "read", make_lock, be_somebody, read_and_unlock, expect_lock_works, false },
    { "read again", make_lock, read_once, read_and_unlock, expect_lock_works, false },
    { "write", make_lock, be_somebody, write_and_unlock, expect_lock_works, false },
    { "downgrade", make_lock, read_once, write_and_downgrade, expect_lock_works, false },
    { "repair", make_lock_of_a_dead_writer, be_somebody, repair_and_unlock, expect_lock_works,
      true },
    { "write after dead readers", make_lock_of_dead_readers, be_somebody, write_and_unlock,
      expect_lock_works, true },
    { "write in vain", make_lock_that_we_read, be_somebody, try_in_vain,
      expect_lock_works_when_we_are_out, true },
    { "read in vain", make_lock_that_we_write, be_somebody, read_in_vain,
      expect_lock_works_when_we_have_written, true },
    { "put a dead one away", make_lock_with_a_dead_announcement, be_somebody, put_a_dead_one_away,
      expect_lock_works, true },
    { "take", make_permits, be_somebody, take_and_release, expect_permits_work, false },
    { "take a dead one's", make_permits_of_one_dead, be_somebody, take_a_dead_ones,
      expect_permits_work_when_ours_are_back, true },
    { "take in vain", make_permits_of_ours, be_somebody, take_in_vain,
      expect_permits_work_when_ours_are_back, true },
    { "join", make_barrier, be_somebody, join_and_leave, expect_barrier_works, false },
    { "arrive", make_barrier, join, arrive_and_withdraw, expect_it_is_counted, false },
    { "arrive in vain", make_barrier, join, arrive_in_vain, expect_it_is_counted, true },
};

/* --- the walks -------------------------------------------------------------------------------- */

static const struct act *present;

static void prepare_child(void *argument)
{
    (void)argument;
    present->prepare();
}

static void act_in_child(void *argument)
{
    (void)argument;
    /* Relaxed: the tracer reads it while the child stands. */
    atomic_store_explicit(&notes->has_begun, 1, memory_order_relaxed);
    present->act();
    atomic_store_explicit(&notes->has_ended, 1, memory_order_relaxed);
    for (;;)
        pause();
}

static bool has_ended(void)
{
    return notes->has_ended != 0;
}

static pid_t start_child(void)
{
    present->stage();
    pid_t child = tracee_start(prepare_child, act_in_child, NULL);
    while (!notes->has_begun)
        tracee_step_instruction(child);
    return child;
}

static void record(struct trail *trail)
{
    pid_t child = start_child();
    trail_record(trail, child, INSTRUCTIONS_MAX, has_ended);
    tracee_kill(child);
    present->expect();
}

/* After so many instructions of the act. false: it was over before. */
static bool kill_after(unsigned instructions, const struct trail *trail)
{
    pid_t child = start_child();
    bool is_inside = trail ? trail_follow(trail, child, instructions, has_ended)
                           : trail_step(child, instructions, has_ended);
    tracee_kill(child);
    present->expect();
    return is_inside;
}

static void test_killed_at_every_instruction(void **state)
{
    (void)state;
    if (SANITIZED || COUNTED || !tracer_works()) {
        print_message("nobody may trace here, or an instruction is not one of the library's\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        struct trail trail = { .at = NULL };
        unsigned strayed = 0;
        present = &acts[i];
        if (present->waits)
            continue;
        kill_after(
            0,
            NULL); /* What is linked at the first call (lazily, libc's) is by then, so that all go the same way. */
        record(&trail);
        for (unsigned instructions = 0; instructions < trail.count; instructions++)
            if (!kill_after(instructions, &trail)) {
                kill_after(instructions, NULL);
                strayed++;
            }
        print_message("           %s: %u instructions, strayed %u times\n", present->what,
                      trail.count, strayed);
        assert_true(trail.count > 20);
        trail_free(&trail);
    }
}

static void stage_for_walk(void *argument)
{
    (void)argument;
    present->stage();
}

static void act_to_the_end(void *argument)
{
    (void)argument;
    present->act();
}

static void kill_at_stop(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    present->expect();
}

static void test_killed_at_every_system_call(void **state)
{
    (void)state;
    if (!tracer_works())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        present = &acts[i];
        if (!present->waits)
            continue;
        struct walk walk = { .what = present->what,
                             .stage = stage_for_walk,
                             .prepare = prepare_child,
                             .act = act_to_the_end,
                             .at_stop = kill_at_stop };
        unsigned stops = walk_stops(&walk);
        print_message("           %s: %u stops\n", present->what, stops);
        assert_true(stops > 2);
    }
}

static int kill_start(void **state)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notes == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_every_instruction),
        cmocka_unit_test(test_killed_at_every_system_call),
    };
    return cmocka_run_group_tests(tests, kill_start, fixture_end);
}
