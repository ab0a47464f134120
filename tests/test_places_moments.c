/* SPDX-License-Identifier: MIT */
/*
 * Goal: what one process does in the middle of another's call is not missed, and a verdict that
 *       comes late takes nothing: one permit is given once, no round of a barrier ends without who
 *       has joined, who withdraws is either counted or not, and who tries what a dead one holds gets it.
 * Method: a child is halted after 0, 2, 4 ... instructions of its call; the test makes its own; then
 *       the child goes on, and both results must fit together. See trail.h.
 */
#include "fixture.h"
#include "peers.h"
#include "tracer.h"
#include "trail.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sync/barrier.h"
#include "sync/rwlock.h"

#define NOW INT64_C(0)

/* What must not be missed is several instructions long; with the kernel asked in it, hundreds. */
enum { INSTRUCTIONS_MAX = 8000, STRIDE = 2, LONG_STRIDE = 8 };

static struct notes {
    weir__atomic_u32 has_begun, has_ended;
    int result;
    uint32_t number;
} * notes; /* of the child; the next ones of the other */

static struct weir_permits permits;
static struct weir_barrier barrier;
static struct weir_rwlock lock;

struct peers_reply peers_serve(const struct peers_order *order)
{
    (void)order;
    return (struct peers_reply){ -EOPNOTSUPP, 0 };
}

static uint32_t round_now(void)
{
    return (uint32_t)(((struct weir__barrier_shm *)peers_memory)->round >> 32);
}

struct moment {
    const char *what;
    void (*stage)(void);
    void (*prepare)(void);      /* in the child, at full speed */
    int (*act)(void);           /* in the child, halted */
    void (*meanwhile)(void);    /* in the test */
    void (*expect)(int result); /* of the child */
    void (*clear)(void);        /* what the stage has started; may be NULL */
    unsigned stride;            /* instructions from one halt to the next */
};

static const struct moment *present;
static int ours; /* the result of the test's own call */
static uint32_t round_then;

/* --- one permit, of a dead one, and two that want it ------------------------------------------- */

static void be_somebody(void)
{
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
}

static void take_and_die(void *argument)
{
    uint32_t index;
    (void)argument;
    CHECK_RESULT(weir_permits_take(&permits, &index), 0);
}

static void stage_permits(void)
{
    peers_share(weir_permits_bytes(1));
    assert_result(weir_permits_init(peers_memory, peers_bytes, 1), 0);
    assert_result(weir_permits_open(&permits, peers_memory, peers_bytes), 0);
    in_child(take_and_die, NULL);
}

static int take(void)
{
    return weir_permits_try_take(&permits, &notes->number);
}

static void take_meanwhile(void)
{
    uint32_t index;
    ours = weir_permits_try_take(&permits, &index);
}

static void expect_one_holder(int result)
{
    assert_true(ours == WEIR_OWNER_DIED || ours == -EAGAIN);
    assert_int_equal(result, ours == -EAGAIN ? WEIR_OWNER_DIED : -EAGAIN);
    assert_result(weir_permits_release(&permits, 0), ours == -EAGAIN ? -EPERM : 0);
}

/* --- a round that ends without a dead one, and one that joins in its place ---------------------- */

static void join_and_die(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_barrier_join(&barrier, &notes->number), 0);
}

static void make_barrier(void)
{
    peers_share(weir_barrier_bytes(2));
    assert_result(weir_barrier_init(peers_memory, peers_bytes, 2), 0);
    assert_result(weir_barrier_open(&barrier, peers_memory, peers_bytes), 0);
}

static void stage_barrier_of_a_dead_one(void)
{
    make_barrier();
    in_child(join_and_die, NULL);
}

static void join(void)
{
    be_somebody();
    CHECK_RESULT(weir_barrier_join(&barrier, &notes->number), 0);
    CHECK(notes->number == 1);
}

static int arrive(void)
{
    return weir_barrier_wait_until(&barrier, 1, NOW);
}

static void join_meanwhile(void)
{
    uint32_t party;
    assert_result(weir_barrier_join(&barrier, &party), WEIR_OWNER_DIED);
    assert_int_equal(party, 0);
    round_then = round_now();
}

static void expect_it_ended_before(int result)
{
    /* Ended before we had joined, or not at all. */
    assert_int_equal(round_now(), round_then);
    assert_int_equal(result, round_then == 1 ? 1 : -EAGAIN);
}

/* --- one joins in a dead one's place, and another finds that it is dead --------------------------- */

static void stage_barrier_of_a_dead_one_and_ours(void)
{
    uint32_t party;
    stage_barrier_of_a_dead_one();
    assert_result(weir_barrier_join(&barrier, &party), 0);
    assert_int_equal(party, 1);
}

static int join_where_one_died(void)
{
    return weir_barrier_join(&barrier, &notes->number);
}

static void find_it_gone_meanwhile(void)
{
    ours = weir_barrier_wait_until(&barrier, 1, NOW);
}

static void expect_it_joined(int result)
{
    assert_true(ours == 1 || ours == -EAGAIN);
    assert_int_equal(result, WEIR_OWNER_DIED);
    assert_int_equal(notes->number, 0);
}

/* --- one withdraws while the other arrives ------------------------------------------------------ */

static void stage_barrier_of_ours(void)
{
    uint32_t party;
    make_barrier();
    assert_result(weir_barrier_join(&barrier, &party), 0);
}

static void arrive_meanwhile(void)
{
    ours = weir_barrier_wait_until(&barrier, 0, NOW);
}

static void expect_both_or_none(int result)
{
    assert_true(ours == 0 || ours == -EAGAIN);
    assert_int_equal(result, ours);
    assert_int_equal(round_now(), ours == 0 ? 1 : 0);
}

/* --- one arrives, and the other, who had arrived, withdraws -------------------------------------- */

static pid_t other;
static struct trail other_trail; /* from its arrival to its withdrawal, and no further */

static void join_first(void *argument)
{
    (void)argument;
    be_somebody();
    CHECK_RESULT(weir_barrier_join(&barrier, &notes[1].number), 0);
    CHECK(notes[1].number == 0);
}

static void arrive_and_withdraw(void *argument)
{
    (void)argument;
    notes[1].result = weir_barrier_wait_until(&barrier, 0, NOW);
    /* Release: the result. */
    atomic_store_explicit(&notes[1].has_ended, 1, memory_order_release);
    for (;;)
        pause();
}

static bool has_arrived(void)
{
    const struct weir__barrier_shm *shm = peers_memory;
    uint64_t word = shm->place[0].owned.word;
    return word != 0 && (word & WEIR_IDENTITY_SESSION_MAX) == 0;
}

/* The other, where it has arrived. */
static void start_other(void)
{
    make_barrier();
    notes[1].has_ended = 0;
    other = tracee_start(join_first, arrive_and_withdraw, NULL);
    while (!has_arrived())
        tracee_step_instruction(other);
}

static bool has_withdrawn(void)
{
    return !has_arrived();
}

static void kill_other(void)
{
    tracee_kill(other);
}

/* Where it has looked, too, and is about to withdraw. */
static void stage_one_that_has_looked(void)
{
    if (!other_trail.at) {
        start_other();
        trail_record(&other_trail, other, INSTRUCTIONS_MAX, has_withdrawn);
        kill_other();
    }
    /* The clock that it reads on its way takes now a few more, now a few less. */
    for (unsigned margin = 4;; margin++) {
        assert_true(margin < other_trail.count);
        start_other();
        if (trail_follow(&other_trail, other, other_trail.count - margin, has_withdrawn))
            return;
        kill_other();
    }
}

static void withdraw_meanwhile(void)
{
    tracee_release(other);
    /* Acquire: the result. */
    while (atomic_load_explicit(&notes[1].has_ended, memory_order_acquire) == 0)
        sched_yield();
    ours = notes[1].result;
}

static void expect_both_or_none_of_two(int result)
{
    expect_both_or_none(result);
    kill_other();
}

/* --- one writes, and one reads, or writes ------------------------------------------------------- */

static void stage_lock(void)
{
    peers_share(weir_rwlock_bytes(2));
    assert_result(weir_rwlock_init(peers_memory, peers_bytes, 2), 0);
    assert_result(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
}

static int try_write(void)
{
    return weir_rwlock_try_write_lock(&lock);
}

static int try_read(void)
{
    return weir_rwlock_try_read_lock(&lock);
}

static void read_meanwhile(void)
{
    ours = try_read();
}

static void write_meanwhile(void)
{
    ours = try_write();
}

static void expect_not_both(int result)
{
    assert_true(ours == 0 || ours == -EAGAIN);
    assert_true(result == 0 || result == -EAGAIN);
    assert_true(ours != 0 || result != 0);
}

/* --- one reads in a dead one's place, and a writer clears it ------------------------------------- */

static void read_and_die(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_read_lock(&lock), 0);
}

static void stage_lock_of_a_dead_one(void)
{
    peers_share(weir_rwlock_bytes(1));
    assert_result(weir_rwlock_init(peers_memory, peers_bytes, 1), 0);
    assert_result(weir_rwlock_open(&lock, peers_memory, peers_bytes), 0);
    in_child(read_and_die, NULL);
}

static void clear_it_meanwhile(void)
{
    ours = try_write();
    if (ours == 0)
        assert_result(weir_rwlock_write_unlock(&lock), 0);
}

static void expect_it_reads(int result)
{
    assert_true(ours == 0 || ours == -EAGAIN);
    assert_int_equal(result, 0);
}

/* --- one tries what a dead one holds, and another comes to sleep for it -------------------------- */

static struct weir_mutex *mutex(void)
{
    return peers_memory;
}

static void lock_and_die(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_mutex_lock(mutex()), 0);
}

static uint64_t dead_word;

static void stage_mutex_of_a_dead_one(void)
{
    peers_share(sizeof(struct weir_mutex));
    in_child(lock_and_die, NULL);
    dead_word = ((struct weir__mutex_shm *)peers_memory)->owned.word;
}

static int try_lock(void)
{
    return weir_mutex_try_lock(mutex());
}

/* All that others see of it: nobody else is named. */
static void come_to_sleep(struct weir__mutex_shm *shm)
{
    uint64_t word = dead_word;
    atomic_compare_exchange_strong(&shm->owned.word, &word, word | WEIR__MUTEX_WAITED);
}

static void come_to_sleep_meanwhile(void)
{
    come_to_sleep(peers_memory);
}

static void expect_it_inherits(int result)
{
    assert_int_equal(result, WEIR_OWNER_DIED);
}

static void write_and_die(void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_rwlock_write_lock(&lock), 0);
}

static void stage_lock_of_a_dead_writer(void)
{
    stage_lock();
    in_child(write_and_die, NULL);
    dead_word = weir__rwlock_writer(peers_memory)->owned.word;
}

static void come_to_write_meanwhile(void)
{
    come_to_sleep(weir__rwlock_writer(peers_memory));
}

static void expect_it_is_told(int result)
{
    assert_int_equal(result, -EOWNERDEAD);
}

/* --- one reads where a writer died before it began, and another one writes -------------------------- */

static void die_before_it_writes(void *argument)
{
    struct weir__rwlock_shm *shm = peers_memory;
    (void)argument;
    CHECK_RESULT(weir_mutex_lock(&shm->writer), 0);
}

static void stage_lock_of_one_that_had_not_begun(void)
{
    stage_lock();
    in_child(die_before_it_writes, NULL);
}

/* --- one reads in a place that has its name, and another process takes it from another thread of it -- */

static struct weir__owned *place(void)
{
    return &((struct weir__rwlock_shm *)peers_memory)->place[0].owned;
}

/* From a former claim. */
static void name_the_place(void)
{
    be_somebody();
    place()->name = weir__self()->name;
}

/*
 * All that others see of it: another thread of the child's unlocks the read lock that the child
 * has counted, and we take the place that counts no more, name it, read, and unlock.
 */
static void take_the_place_meanwhile(void)
{
    uint64_t self, word = place()->word;
    assert_result(weir_identity(&self), 0);
    ours = (word & WEIR_IDENTITY_SESSION_MAX) == 1 &&
           atomic_compare_exchange_strong(&place()->word, &word, self);
    if (ours)
        place()->name = weir__self()->name;
}

static void expect_our_name(int result)
{
    assert_int_equal(result, 0);
    if (ours)
        assert_true(weir__owned_is_named(place(), place()->word));
}

static const struct moment moments[] = {
    { "take a dead one's permit", stage_permits, be_somebody, take, take_meanwhile,
      expect_one_holder, NULL, STRIDE },
    { "join while a round ends", stage_barrier_of_a_dead_one, join, arrive, join_meanwhile,
      expect_it_ended_before, NULL, STRIDE },
    { "join where one died, while it is found", stage_barrier_of_a_dead_one_and_ours, be_somebody,
      join_where_one_died, find_it_gone_meanwhile, expect_it_joined, NULL, LONG_STRIDE },
    { "read where one died, while it is cleared", stage_lock_of_a_dead_one, be_somebody, try_read,
      clear_it_meanwhile, expect_it_reads, NULL, LONG_STRIDE },
    { "arrive while one withdraws", stage_barrier_of_ours, join, arrive, arrive_meanwhile,
      expect_both_or_none, NULL, STRIDE },
    { "withdraw while one arrives", stage_one_that_has_looked, join, arrive, withdraw_meanwhile,
      expect_both_or_none_of_two, kill_other, STRIDE },
    { "read while one comes to write", stage_lock, be_somebody, try_write, read_meanwhile,
      expect_not_both, NULL, STRIDE },
    { "write while one comes to read", stage_lock, be_somebody, try_read, write_meanwhile,
      expect_not_both, NULL, STRIDE },
    { "try what a dead one holds, while one comes to sleep", stage_mutex_of_a_dead_one, be_somebody,
      try_lock, come_to_sleep_meanwhile, expect_it_inherits, NULL, LONG_STRIDE },
    { "try to write where one died, while one comes to", stage_lock_of_a_dead_writer, be_somebody,
      try_write, come_to_write_meanwhile, expect_it_inherits, NULL, LONG_STRIDE },
    { "read where one died before it wrote, while one writes", stage_lock_of_one_that_had_not_begun,
      be_somebody, try_read, write_meanwhile, expect_not_both, NULL, LONG_STRIDE },
    { "try to read where one died, while one comes to write", stage_lock_of_a_dead_writer,
      be_somebody, try_read, come_to_write_meanwhile, expect_it_is_told, NULL, LONG_STRIDE },
    { "read in a place that another takes", stage_lock, name_the_place, try_read,
      take_the_place_meanwhile, expect_our_name, NULL, 1 },
};

/* --- the walk ----------------------------------------------------------------------------------- */

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
    notes->result = present->act();
    /* Release: the result. It stays alive, that nothing is taken from it for its death. */
    atomic_store_explicit(&notes->has_ended, 1, memory_order_release);
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
    notes->has_begun = notes->has_ended = 0;
    pid_t child = tracee_start(prepare_child, act_in_child, NULL);
    while (!notes->has_begun)
        tracee_step_instruction(child);
    return child;
}

/* Without anything in the middle of it. */
static void record(struct trail *trail)
{
    pid_t child = start_child();
    trail_record(trail, child, INSTRUCTIONS_MAX, has_ended);
    tracee_kill(child);
    if (present->clear)
        present->clear();
}

/* Whether the child was still in its call. */
static bool meet_after(unsigned instructions, const struct trail *trail)
{
    pid_t child = start_child();
    bool is_inside = trail ? trail_follow(trail, child, instructions, has_ended)
                           : trail_step(child, instructions, has_ended);
    present->meanwhile();
    tracee_release(child);
    /* Acquire: the result. */
    while (atomic_load_explicit(&notes->has_ended, memory_order_acquire) == 0)
        sched_yield();
    present->expect(notes->result);
    tracee_kill(child);
    return is_inside;
}

static void test_moments(void **state)
{
    (void)state;
    if (SANITIZED || COUNTED || !tracer_works()) {
        print_message("nobody may trace here, or an instruction is not one of the library's\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
        struct trail trail = { .at = NULL };
        unsigned strayed = 0;
        present = &moments[i];
        meet_after(
            0,
            NULL); /* What is linked at the first call (lazily, libc's) is by then, so that all go the same way. */
        record(&trail);
        for (unsigned instructions = 0; instructions < trail.count; instructions += present->stride)
            if (!meet_after(instructions, &trail)) {
                meet_after(instructions, NULL);
                strayed++;
            }
        print_message("           %s: %u instructions, strayed %u times\n", present->what,
                      trail.count, strayed);
        assert_true(trail.count > 20);
        trail_free(&trail);
    }
    trail_free(&other_trail);
}

static int moments_start(void **state)
{
    notes =
        mmap(NULL, 2 * sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notes == MAP_FAILED ? -1 : fixture_start(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, moments_start, fixture_end);
}
