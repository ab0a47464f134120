/* SPDX-License-Identifier: MIT */
/*
 * Goal: who waits for a dead one asks the kernel in time, though its waits never last a slice:
 *       signals end them, or wakes that are meant for others.
 * Method: a child holds a lock, a permit, or is a party, and is killed while this process waits with
 *       a timer that signals faster than a slice; and a writer waits for a dead reader while two
 *       living ones come and go.
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/barrier.h>
#include <weir/permits.h>
#include <weir/rwlock.h>

#define MEMORY_BYTES 8192
#define BOUND_NS ((SANITIZED ? 20 : 5) * WEIR_SECOND_NS)

static unsigned char *memory;
static atomic_bool *is_holding;
static struct weir_rwlock lock;
static struct weir_permits permits;
static struct weir_barrier barrier;

static int fresh_memory(void **state)
{
    uint64_t identity;
    (void)state;
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    is_holding = (atomic_bool *)(memory + MEMORY_BYTES - 64);
    return weir_identity(&identity);
}

static int drop_memory(void **state)
{
    (void)state;
    return munmap(memory, MEMORY_BYTES);
}

static void ring(int number)
{
    (void)number;
}

static void set_timer(long microseconds)
{
    const struct sigaction action = { .sa_handler = ring };
    const struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* A child that takes and stays; it holds when this returns. */
static pid_t hold(int (*take)(void))
{
    atomic_store(is_holding, false);
    pid_t child = fork();
    if (child == 0) {
        CHECK(take() >= 0);
        atomic_store(is_holding, true);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    while (!atomic_load(is_holding))
        usleep(1000);
    return child;
}

static void kill_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Another process kills the holder when we wait already. */
static void expect_heard_of(pid_t holder, int (*wait)(void), int expected)
{
    pid_t killer = fork();
    if (killer == 0) {
        usleep(100000);
        kill(holder, SIGKILL);
        _exit(0);
    }
    set_timer(20000);
    int64_t begin_ns = weir_now_ns();
    int result = wait();
    int64_t took_ns = weir_now_ns() - begin_ns;
    set_timer(0);
    assert_int_equal(result, expected);
    assert_true(took_ns < BOUND_NS);
    assert_int_equal(waitpid(killer, NULL, 0), killer);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
}

static int take_read(void)
{
    return weir_rwlock_read_lock(&lock);
}

static int take_write(void)
{
    return weir_rwlock_write_lock_until(&lock, weir_deadline_ns(2 * BOUND_NS));
}

static int wait_to_read(void)
{
    return weir_rwlock_read_lock_until(&lock, weir_deadline_ns(2 * BOUND_NS));
}

static void make_lock(uint32_t readers)
{
    uint64_t bytes = weir_rwlock_bytes(readers);
    memset(memory, 0, MEMORY_BYTES);
    assert_result(weir_rwlock_init(memory, bytes, readers), 0);
    assert_result(weir_rwlock_open(&lock, memory, bytes), 0);
}

static void test_lock_under_signals(void **state)
{
    (void)state;
    make_lock(4);
    expect_heard_of(hold(take_read), take_write, 0);
    assert_result(weir_rwlock_write_unlock(&lock), 0);
    expect_heard_of(hold(take_write), wait_to_read, -EOWNERDEAD);
}

static int take_permit(void)
{
    uint32_t index;
    return weir_permits_take_until(&permits, &index, weir_deadline_ns(2 * BOUND_NS));
}

static void test_permits_under_signals(void **state)
{
    uint64_t bytes = weir_permits_bytes(1);
    (void)state;
    memset(memory, 0, MEMORY_BYTES);
    assert_result(weir_permits_init(memory, bytes, 1), 0);
    assert_result(weir_permits_open(&permits, memory, bytes), 0);
    expect_heard_of(hold(take_permit), take_permit, WEIR_OWNER_DIED);
}

static int join(void)
{
    uint32_t party;
    return weir_barrier_join(&barrier, &party);
}

static int wait_as_party(void)
{
    uint32_t party;
    int result = weir_barrier_join(&barrier, &party);
    return result < 0 ? result
                      : weir_barrier_wait_until(&barrier, party, weir_deadline_ns(2 * BOUND_NS));
}

static void test_barrier_under_signals(void **state)
{
    uint64_t bytes = weir_barrier_bytes(2);
    (void)state;
    memset(memory, 0, MEMORY_BYTES);
    assert_result(weir_barrier_init(memory, bytes, 2), 0);
    assert_result(weir_barrier_open(&barrier, memory, bytes), 0);
    expect_heard_of(hold(join), wait_as_party, 1);
}

/* They wait for the writer, and look once a slice, each at another moment: so the writer is woken. */
static void test_dead_reader_among_others_that_wait(void **state)
{
    pid_t readers[3];
    (void)state;
    make_lock(8);
    pid_t dead = hold(take_read), writer = fork();
    if (writer == 0)
        _exit(take_write() == 0 ? 0 : 1);
    while (weir_rwlock_writer(&lock) == WEIR_IDENTITY_NOBODY)
        usleep(1000);
    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
        readers[i] = fork();
        if (readers[i] == 0) {
            usleep(60000 * i);
            weir_rwlock_read_lock(&lock);
            _exit(0);
        }
    }
    usleep(300000);
    int64_t begin_ns = weir_now_ns();
    int status = -1;
    kill_child(dead);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    assert_true(weir_now_ns() - begin_ns < BOUND_NS);
    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++)
        kill_child(readers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lock_under_signals, fresh_memory, drop_memory),
        cmocka_unit_test_setup_teardown(test_permits_under_signals, fresh_memory, drop_memory),
        cmocka_unit_test_setup_teardown(test_barrier_under_signals, fresh_memory, drop_memory),
        cmocka_unit_test_setup_teardown(test_dead_reader_among_others_that_wait, fresh_memory,
                                        drop_memory),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
