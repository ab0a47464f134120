/* SPDX-License-Identifier: MIT */
/*
 * Goal: under load, with processes killed at random instants, some of them while stopped, a
 *       read-write lock never lets a writer and another in together, a permit is never two living
 *       processes' at once, no round of a barrier ends without a party that lives; and nobody is stuck.
 * Method: four peers use all in a loop and check what they guard; the test stops, kills and
 *       replaces them by a seeded draw, and sees each survivor go on after each kill.
 */
#include "fixture.h"
#include "peers.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sync/barrier.h"

enum { PEERS = 4, PERMITS = 3, KILLS = SANITIZED ? 30 : 150 };

#define BOUND_NS INT64_C(20000000000)
#define MS_NS INT64_C(1000000)

enum verb { WORK_LOCK, WORK_PERMITS, WORK_BARRIER };

/* Behind the object. */
struct board {
    weir__atomic_u64 steps[PEERS]; /* of each peer */
    weir__atomic_u32 fault;        /* the line of the first check that failed */
    weir__atomic_u32 went_without; /* rounds */
    weir__atomic_u64 reached[PEERS];
    weir__atomic_u64 holder[PERMITS]; /* who uses it; 0: nobody */
    uint64_t first, second;           /* equal while nobody writes */
    uint64_t repairs;
};

#define OBJECT_BYTES 4096

static struct board *board(void)
{
    return (struct board *)(void *)((unsigned char *)peers_memory + OBJECT_BYTES);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* --- what the peers do ------------------------------------------------------------------------ */

/* The first that fails is told; whoever fails stands still. */
#define MUST(condition) must((condition), __LINE__)
static void must(bool condition, uint32_t line)
{
    uint32_t none = 0;
    if (condition)
        return;
    atomic_compare_exchange_strong(&board()->fault, &none, line);
    fprintf(stderr, "line %u: %s\n", line, weir_last_error());
    _exit(1);
}

static void repair(struct weir_rwlock *lock)
{
    volatile struct board *shared = board();
    MUST(shared->first - shared->second <= 1);
    shared->second = shared->first;
    shared->repairs++;
    MUST(weir_rwlock_consistent(lock) == 0);
}

static void write_once(struct weir_rwlock *lock, uint64_t draw)
{
    volatile struct board *shared = board();
    int result = weir_rwlock_write_lock(lock);
    MUST(result >= 0);
    if (result == WEIR_OWNER_DIED)
        repair(lock);
    MUST(shared->first == shared->second);
    shared->first++;
    for (volatile unsigned i = 0; i < draw % 4096; i++)
        ;
    shared->second++;
    if (draw % 5 == 0) {
        MUST(weir_rwlock_downgrade(lock) == 0);
        MUST(shared->first == shared->second);
        MUST(weir_rwlock_read_unlock(lock) == 0);
    } else {
        MUST(weir_rwlock_write_unlock(lock) == 0);
    }
}

static void use_lock(struct weir_rwlock *lock, uint64_t draw)
{
    volatile struct board *shared = board();
    int result = draw % 4 == 0 ? -EOWNERDEAD
                               : weir_rwlock_read_lock_until(lock, draw % 8 == 1 ? 0 : WEIR_NEVER);
    if (result == -EOWNERDEAD) {
        write_once(lock, draw >> 8);
        return;
    }
    MUST(result == 0 || result == -EAGAIN);
    if (result != 0)
        return;
    uint64_t first = shared->first;
    for (volatile unsigned i = 0; i < (draw >> 8) % 64; i++)
        ;
    MUST(shared->second == first);
    MUST(weir_rwlock_read_unlock(lock) == 0);
}

static void use_permits(struct weir_permits *permits, uint64_t draw, uint64_t self)
{
    uint32_t index;
    int result = weir_permits_take(permits, &index);
    MUST(result >= 0 && index < PERMITS);
    uint64_t before = atomic_exchange(&board()->holder[index], self);
    MUST(result == WEIR_OWNER_DIED || before == 0);
    for (volatile unsigned i = 0; i < draw % 256; i++)
        ;
    MUST(atomic_exchange(&board()->holder[index], 0) == self);
    MUST(weir_permits_release(permits, index) == 0);
}

static void use_barrier(struct weir_barrier *barrier, uint32_t party)
{
    struct weir__barrier_shm *shm = peers_memory;
    unsigned arrived = 0;
    uint64_t round = (atomic_load(&shm->round) >> 32) + 1;
    atomic_store(&board()->reached[party], round);
    int missing = weir_barrier_wait(barrier, party);
    MUST(missing >= 0 && missing < PEERS);
    for (uint32_t i = 0; i < PEERS; i++)
        arrived += atomic_load(&board()->reached[i]) >= round;
    MUST(arrived + (unsigned)missing >= PEERS);
    if (missing > 0)
        atomic_fetch_add(&board()->went_without, 1);
}

struct peers_reply peers_serve(const struct peers_order *order)
{
    struct weir_rwlock lock;
    struct weir_permits permits;
    struct weir_barrier barrier;
    uint32_t party = 0;
    uint64_t self, seed = (uint64_t)weir_now_ns() | 1;
    MUST(weir_identity(&self) == 0);
    switch ((enum verb)order->verb) {
    case WORK_LOCK:
        MUST(weir_rwlock_open(&lock, peers_memory, OBJECT_BYTES) == 0);
        break;
    case WORK_PERMITS:
        MUST(weir_permits_open(&permits, peers_memory, OBJECT_BYTES) == 0);
        break;
    case WORK_BARRIER:
        MUST(weir_barrier_open(&barrier, peers_memory, OBJECT_BYTES) == 0);
        MUST(weir_barrier_join(&barrier, &party) >= 0);
        break;
    }
    for (;;) {
        uint64_t draw = next_random(&seed);
        if (order->verb == WORK_LOCK)
            use_lock(&lock, draw);
        else if (order->verb == WORK_PERMITS)
            use_permits(&permits, draw, self);
        else
            use_barrier(&barrier, party);
        atomic_fetch_add(&board()->steps[order->argument], 1);
    }
}

/* --- the test --------------------------------------------------------------------------------- */

static void expect_no_fault(void)
{
    if (atomic_load(&board()->fault) != 0)
        fail_msg("a check of a peer failed, in line %u", atomic_load(&board()->fault));
}

/* Each has gone on since. */
static void expect_progress(void)
{
    uint64_t before[PEERS];
    int64_t until_ns = weir_deadline_ns(BOUND_NS);
    for (int i = 0; i < PEERS; i++)
        before[i] = atomic_load(&board()->steps[i]);
    for (int i = 0; i < PEERS; i++) {
        while (atomic_load(&board()->steps[i]) == before[i]) {
            expect_no_fault();
            if (weir_now_ns() > until_ns)
                fail_msg("peer %d does not go on", i);
            sched_yield();
        }
    }
}

static void rest(uint64_t ns)
{
    const struct timespec nap = { 0, (long)ns };
    nanosleep(&nap, NULL);
}

static void kill_some(enum verb verb)
{
    struct peer peers[PEERS];
    uint64_t seed = 88172645463325252u + (uint64_t)verb;
    for (uint32_t i = 0; i < PEERS; i++) {
        peer_start(&peers[i]);
        peer_tell(&peers[i], (int)verb, i, 0);
    }
    expect_progress();
    for (unsigned n = 0; n < KILLS; n++) {
        uint64_t draw = next_random(&seed);
        uint32_t which = draw % PEERS;
        rest(draw >> 8 & 0x1fffff); /* 2 ms at most */
        if (draw >> 40 & 1) {
            peer_stop(&peers[which]);
            rest(draw >> 16 & 0x3fffff);
        }
        peer_kill(&peers[which]);
        peer_start(&peers[which]);
        peer_tell(&peers[which], (int)verb, which, 0);
        if (n % 4 == 0)
            expect_progress();
        expect_no_fault();
    }
    expect_progress();
    for (uint32_t i = 0; i < PEERS; i++)
        peer_kill(&peers[i]);
    expect_no_fault();
}

static void report(const char *what, uint64_t news)
{
    uint64_t steps = 0;
    for (int i = 0; i < PEERS; i++)
        steps += board()->steps[i];
    print_message("           %u kills, %llu steps, %llu %s\n", KILLS, (unsigned long long)steps,
                  (unsigned long long)news, what);
}

static void test_lock(void **state)
{
    struct weir_rwlock lock;
    (void)state;
    peers_share(OBJECT_BYTES + sizeof(struct board));
    assert_result(weir_rwlock_init(peers_memory, OBJECT_BYTES, PEERS), 0);
    kill_some(WORK_LOCK);
    assert_result(weir_rwlock_open(&lock, peers_memory, OBJECT_BYTES), 0);
    int result = weir_rwlock_write_lock(&lock);
    assert_true(result == 0 || result == WEIR_OWNER_DIED);
    assert_int_equal(weir_rwlock_readers(&lock), 0);
    assert_true(result != 0 || board()->first == board()->second);
    report("repairs", board()->repairs);
}

static void test_permits(void **state)
{
    struct weir_permits permits;
    (void)state;
    peers_share(OBJECT_BYTES + sizeof(struct board));
    assert_result(weir_permits_init(peers_memory, OBJECT_BYTES, PERMITS), 0);
    kill_some(WORK_PERMITS);
    assert_result(weir_permits_open(&permits, peers_memory, OBJECT_BYTES), 0);
    unsigned held = 0, died = 0;
    uint32_t index;
    for (int i = 0; i < PERMITS; i++)
        held += weir_permits_owner(&permits, (uint32_t)i) != WEIR_IDENTITY_NOBODY;
    assert_int_equal(weir_permits_value(&permits), PERMITS);
    for (int i = 0; i < PERMITS; i++)
        died += weir_permits_try_take(&permits, &index) == WEIR_OWNER_DIED;
    assert_int_equal(died, held);
    report("held at the end", held);
}

static void test_barrier(void **state)
{
    (void)state;
    peers_share(OBJECT_BYTES + sizeof(struct board));
    assert_result(weir_barrier_init(peers_memory, OBJECT_BYTES, PEERS), 0);
    kill_some(WORK_BARRIER);
    report("times a party went on without a dead one", board()->went_without);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_permits),
        cmocka_unit_test(test_barrier),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
