/* SPDX-License-Identifier: MIT */
/*
 * Goal: whatever stands in the memory of a read-write lock, permits or a barrier, a call returns by
 *       its deadline, touches no byte outside, and gives no number that is out of range.
 * Method: the object ends at a page that nobody may touch, and begins behind a canary. Every word
 *       of it is set to each of a row of values, at rest and while it is held; then all calls are
 *       made. And a process writes such values at random while the calls go on.
 */
#include "asleep.h"
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "sync/barrier.h"

#define SHORT_NS INT64_C(1000000)
/* How late a call may be on a loaded machine; and how busy, on any. */
#define LATE_NS INT64_C(5000000000)
#define BUSY_NS (INT64_C(200000000) * (SANITIZED ? 5 : 1))
#define CANARY 0xa5

enum { PLACES = 2, STATES = 3, RANDOM_MS = SANITIZED ? 1000 : 3000 };

static unsigned char *page; /* the object ends at its end */
static size_t page_bytes;
static unsigned char *memory;
static size_t memory_bytes;
static uint64_t self, dead, living;
static char place[160];

static struct weir_rwlock lock;
static struct weir_permits permits;
static struct weir_barrier barrier;

/* --- the victim's calls ----------------------------------------------------------------------- */

static int64_t began_ns, busy_ns;
static int64_t latest_ns;

static int64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * WEIR_SECOND_NS + now.tv_nsec;
}

static int64_t soon(void)
{
    busy_ns = processor_ns();
    began_ns = weir_now_ns();
    return began_ns + SHORT_NS;
}

/* Also of calls that do not wait. */
static void on_time(const char *call)
{
    int64_t took_ns = weir_now_ns() - began_ns;
    if (took_ns > latest_ns)
        latest_ns = took_ns;
    int64_t used_ns = processor_ns() - busy_ns;
    if (took_ns > LATE_NS || used_ns > BUSY_NS)
        fail_msg("%s took %lld ms, %lld of them busy: %s", call, (long long)took_ns / 1000000,
                 (long long)used_ns / 1000000, place);
    soon();
}

static void use_lock(unsigned state)
{
    weir_rwlock_read_lock_until(&lock, soon());
    on_time("read lock");
    weir_rwlock_try_read_lock(&lock);
    weir_rwlock_read_unlock(&lock);
    weir_rwlock_read_unlock(&lock);
    on_time("read unlock");
    weir_rwlock_write_lock_until(&lock, soon());
    on_time("write lock");
    weir_rwlock_try_write_lock(&lock);
    weir_rwlock_consistent(&lock);
    if (state == 0)
        weir_rwlock_downgrade(&lock);
    weir_rwlock_write_unlock(&lock);
    weir_rwlock_read_unlock(&lock);
    on_time("write unlock");
    weir_rwlock_writer(&lock);
    int readers = weir_rwlock_readers(&lock);
    assert_true(readers >= 0 && readers <= PLACES * (int)WEIR_RWLOCK_READS_MAX);
}

static void use_permits(unsigned state)
{
    uint32_t index = UINT32_MAX;
    (void)state;
    for (int i = 0; i <= PLACES; i++) {
        int result = weir_permits_take_until(&permits, &index, soon());
        on_time("take");
        assert_true(result < 0 || index < PLACES);
    }
    int tried = weir_permits_try_take(&permits, &index);
    on_time("try take");
    assert_true(tried < 0 || index < PLACES);
    int value = weir_permits_value(&permits);
    assert_true(value >= 0 && value <= PLACES);
    for (uint32_t i = 0; i <= PLACES; i++) {
        weir_permits_release(&permits, i);
        weir_permits_owner(&permits, i);
    }
    on_time("release");
}

static void use_barrier(unsigned state)
{
    uint32_t party = UINT32_MAX;
    (void)state;
    int result = weir_barrier_join(&barrier, &party);
    assert_true(result < 0 || party < PLACES);
    for (uint32_t i = 0; i <= PLACES; i++) {
        result = weir_barrier_wait_until(&barrier, i, soon());
        on_time("wait");
        assert_true(result <= (int)WEIR_IDENTITY_SESSION_MAX);
        weir_barrier_wait_until(&barrier, i, 0);
        weir_barrier_owner(&barrier, i);
        weir_barrier_leave(&barrier, i);
    }
    on_time("leave");
}

/* --- objects ---------------------------------------------------------------------------------- */

static void make(size_t bytes)
{
    memset(page, CANARY, page_bytes);
    memory_bytes = bytes;
    memory = page + page_bytes - bytes;
    memset(memory, 0, bytes);
}

static void make_lock(unsigned state)
{
    make(weir_rwlock_bytes(PLACES));
    assert_result(weir_rwlock_init(memory, memory_bytes, PLACES), 0);
    assert_result(weir_rwlock_open(&lock, memory, memory_bytes), 0);
    assert_result(weir_rwlock_read_lock(&lock), 0);
    if (state != 1)
        assert_result(weir_rwlock_read_unlock(&lock), 0);
    if (state == 2)
        assert_result(weir_rwlock_write_lock(&lock), 0);
}

static void make_permits(unsigned state)
{
    uint32_t index;
    make(weir_permits_bytes(PLACES));
    assert_result(weir_permits_init(memory, memory_bytes, PLACES), 0);
    assert_result(weir_permits_open(&permits, memory, memory_bytes), 0);
    for (unsigned i = 0; i < state; i++)
        assert_result(weir_permits_take(&permits, &index), 0);
}

static void make_barrier(unsigned state)
{
    uint32_t party;
    make(weir_barrier_bytes(PLACES));
    assert_result(weir_barrier_init(memory, memory_bytes, PLACES), 0);
    assert_result(weir_barrier_open(&barrier, memory, memory_bytes), 0);
    for (unsigned i = 0; i < state; i++)
        assert_result(weir_barrier_join(&barrier, &party), 0);
}

static const struct kind {
    const char *what;
    void (*make)(unsigned state);
    void (*use)(unsigned state);
} kinds[] = {
    { "read-write lock", make_lock, use_lock },
    { "permits", make_permits, use_permits },
    { "barrier", make_barrier, use_barrier },
};

static void expect_canary(void)
{
    if (!all_bytes(page, page_bytes - memory_bytes, CANARY))
        fail_msg("a byte in front of the object was written: %s", place);
}

/* --- lies ------------------------------------------------------------------------------------- */

#define VALUES 20

static uint64_t lie_of(unsigned which, uint64_t truth)
{
    const uint64_t values[VALUES] = {
        0,
        1,
        2,
        4,
        7,
        UINT64_MAX,
        UINT64_C(1) << 63,
        UINT64_C(0x5555555555555555),
        UINT64_C(0xffffffff),
        UINT64_C(0xffffffff00000000),
        self,
        self | 1,
        self | WEIR_IDENTITY_SESSION_MAX,
        dead,
        dead | 1,
        living | 1,
        living | WEIR_IDENTITY_SESSION_MAX,
        truth + 1,
        truth - 1,
        truth ^ UINT64_C(1) << 32,
    };
    return values[which];
}

static weir__atomic_u64 *word_at(size_t at)
{
    return (weir__atomic_u64 *)(void *)(memory + 8 * at);
}

static void test_every_word(void **state)
{
    unsigned lies = 0;
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        kinds[k].make(0);
        size_t words = memory_bytes / 8;
        for (unsigned n = 0; n < words * VALUES * STATES; n++) {
            unsigned held = n % STATES, which = n / STATES % VALUES;
            size_t at = n / STATES / VALUES;
            kinds[k].make(held);
            uint64_t lie = lie_of(which, atomic_load(word_at(at)));
            snprintf(place, sizeof place, "%s, word %zu, state %u: 0x%llx", kinds[k].what, at, held,
                     (unsigned long long)lie);
            atomic_store(word_at(at), lie);
            kinds[k].use(held);
            expect_canary();
            lies++;
        }
        kinds[k].make(0); /* sound again */
        kinds[k].use(0);
    }
    print_message("           %u lies, the latest call after %lld ms\n", lies,
                  (long long)latest_ns / 1000000);
}

static void lie_for_ever(void)
{
    uint64_t seed = 88172645463325252u;
    size_t words = memory_bytes / 8;
    for (;;) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        weir__atomic_u64 *word = word_at(seed % words);
        atomic_store(word, lie_of(seed >> 32 & 31 ? (seed >> 40) % VALUES : 0, atomic_load(word)));
        for (volatile unsigned i = 0; i < (seed >> 20 & 0xff); i++)
            ;
    }
}

static void test_a_liar_at_work(void **state)
{
    unsigned calls = 0;
    (void)state;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        int status;
        kinds[k].make(0);
        snprintf(place, sizeof place, "%s, a liar at work", kinds[k].what);
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            lie_for_ever();
        }
        int64_t until_ns = weir_deadline_ns(RANDOM_MS * INT64_C(1000000) / 3);
        for (; weir_now_ns() < until_ns; calls++)
            kinds[k].use(calls % STATES);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        expect_canary();
        kinds[k].make(0);
        kinds[k].use(0);
    }
    print_message("           %u rounds\n", calls);
    assert_true(calls > 30);
}

static struct weir__barrier_shm *shm_of_barrier(void)
{
    return (struct weir__barrier_shm *)(void *)memory;
}

static void wait_without_deadline(void *unused)
{
    uint32_t party;
    (void)unused;
    CHECK_RESULT(weir_barrier_open(&barrier, memory, memory_bytes), 0);
    CHECK_RESULT(weir_barrier_join(&barrier, &party), 0);
    int result = weir_barrier_wait(&barrier, party); /* for a second party, which never comes */
    CHECK(result == -EUCLEAN || (result >= 0 && result <= (int)WEIR_IDENTITY_SESSION_MAX));
}

/*
 * A barrier's wait that has no deadline ends when the memory says that another round has come, whatever else it
 * says, by the next slice; nobody wakes it.
 */
static void test_a_wait_without_deadline(void **state)
{
    (void)state;
    for (unsigned which = 0; which < VALUES; which++) {
        make_barrier(0);
        weir__atomic_u64 *round = &shm_of_barrier()->round;
        uint64_t truth = atomic_load(round), lie = lie_of(which, truth);
        if (lie >> 32 == truth >> 32)
            continue; /* the same round: it is waited for */
        snprintf(place, sizeof place, "a waiter's round: 0x%llx", (unsigned long long)lie);
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            wait_without_deadline(NULL);
            _exit(0);
        }
        see_asleep(child);
        while (weir_barrier_owner(&barrier, 0) == WEIR_IDENTITY_NOBODY)
            sched_yield();
        see_asleep(child);
        atomic_store(round, lie);
        soon();
        int status = -1;
        while (waitpid(child, &status, WNOHANG) == 0 && weir_now_ns() < began_ns + LATE_NS)
            sched_yield();
        kill(child, SIGKILL);
        if (status != 0)
            fail_msg("the wait gives status 0x%x, or does not end: %s", (unsigned)status, place);
    }
}

static void tell_identity(void *argument)
{
    CHECK_RESULT(weir_identity(argument), 0);
}

static void tell_and_stay(struct companion *companion, void *argument)
{
    tell_identity(argument);
    companion_arrive(companion);
}

static struct companion neighbour;

static int lies_start(void **state)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    page = mmap(NULL, 2 * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page + page_bytes, page_bytes, PROT_NONE) != 0)
        return -1;
    int result = fixture_start(state);
    if (result != 0)
        return result;
    memory = page;
    memory_bytes = page_bytes;
    in_child(tell_identity, page);
    dead = *(uint64_t *)(void *)page;
    companion_start(&neighbour, tell_and_stay, page);
    companion_meet(&neighbour);
    living = *(uint64_t *)(void *)page;
    return weir_identity(&self);
}

static int lies_end(void **state)
{
    companion_release(&neighbour);
    return companion_end(&neighbour) == 0 ? fixture_end(state) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word),
        cmocka_unit_test(test_a_liar_at_work),
        cmocka_unit_test(test_a_wait_without_deadline),
    };
    return cmocka_run_group_tests(tests, lies_start, lies_end);
}
