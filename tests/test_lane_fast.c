/* SPDX-License-Identifier: MIT */
/*
 * Goal: between two sides that are awake, a message costs no system call, no read-modify-write and no full
 *       fence, whatever its size and by whichever calls; a stride of the ring (an eighth) takes one fence.
 * Method: a child of which seccomp allows no system call; and a child stepped from instruction to
 *         instruction, each one decoded.
 */
#include "fixture.h"
#include "silence.h"
#include "stepped.h"
#include "tracer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>

#include "channel/layout.h"
#include "channel/publisher.h"

#define NOW INT64_C(0)

enum { FREE_LAPS = 20, STEPPED_CALLS = 4, MOST_BYTES = 3000 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

/* In a child, without cmocka: what fails ends it. */
static void need(bool holds)
{
    if (!holds)
        _exit(98);
}

static const uint64_t small_ring = WEIR_RING_BYTES_MIN, large_ring = UINT64_C(4) << 20;

static void open_both(void *ring_bytes)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = *(const uint64_t *)ring_bytes;
    options.flags = WEIR_CHANNEL_SPIN_ONLY;
    need(weir_publisher_open(&publisher, "fast", &options) == 0);
    need(weir_subscriber_open(&subscriber, "fast", &options) == 0);
}

static void copy_one(size_t size)
{
    static unsigned char bytes[MOST_BYTES];
    need(weir_publisher_send(publisher, bytes, size) == 0);
    need(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW) == 0);
}

static void lend_one(size_t size)
{
    struct weir_message message;
    void *data;
    need(weir_publisher_loan_until(publisher, size, &data, NOW) == 0);
    *(unsigned char *)data = 1; /* all of it is the user's own work */
    need(weir_publisher_commit(publisher, size, 7) == 0);
    need(weir_subscriber_take_until(subscriber, &message, NOW) == 0);
    need(weir_subscriber_release(subscriber, &message) == 0);
}

enum { BATCH = 4 };

static void batch(size_t size)
{
    static unsigned char bytes[MOST_BYTES];
    need(weir_publisher_batch_begin(publisher) == 0);
    for (unsigned i = 0; i < BATCH; i++)
        need(weir_publisher_send(publisher, bytes, size) == 0);
    need(weir_publisher_batch_end(publisher) == 0);
    for (unsigned i = 0; i < BATCH; i++)
        need(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW) == 0);
}

/* The calls for many messages: in place. */
static void lend_many(size_t size)
{
    struct weir_message messages[BATCH];
    void *places[BATCH];
    int count = weir_publisher_loan_many_until(publisher, size, places, BATCH, NOW);
    need(count > 0);
    for (int i = 0; i < count; i++)
        *(unsigned char *)places[i] = 1;
    need(weir_publisher_commit_many(publisher, NULL, NULL, (size_t)count) == 0);
    need(weir_subscriber_take_many_until(subscriber, messages, BATCH, NOW) == count);
    need(weir_subscriber_release_many(subscriber, messages, (size_t)count) == 0);
}

/* And copied: of many sizes, this one is the largest. */
static void copy_many(size_t size)
{
    static unsigned char bytes[BATCH * MOST_BYTES];
    const struct weir_outgoing sent[BATCH] = {
        { bytes, size, 0 }, { bytes, 8, 1 }, { bytes, 0, 2 }, { bytes, size / 2 + 1, 3 }
    };
    struct weir_message messages[BATCH];
    need(weir_publisher_send_many_until(publisher, sent, BATCH, NOW) == BATCH);
    need(weir_subscriber_receive_many_until(subscriber, bytes, sizeof bytes, messages, BATCH,
                                            NOW) == BATCH);
}

static const struct {
    const char *what;
    void (*one)(size_t size);
} ways[] = {
    { "copied", copy_one },        { "in place", lend_one },        { "in a batch", batch },
    { "copied, many", copy_many }, { "in place, many", lend_many },
};

/* By words, in two loads that overlap, by memcpy(), and piece by piece. */
static const size_t sizes[] = { 8, 64, 1000, 3000 };

/* Around the ring many times, so that the limit is used up and looked for, too. */
static void go_round(unsigned laps)
{
    for (uint64_t bytes = 0; bytes < laps * WEIR_RING_BYTES_MIN; bytes += 8192)
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
            for (size_t j = 0; j < ARRAY_SIZE(sizes); j++)
                ways[i].one(sizes[j]);
}

static int run_child(void (*act)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        act();
        syscall(SYS_exit_group, 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void act_without_calls(void)
{
    open_both((void *)(uintptr_t)&small_ring);
    go_round(1);
    forbid_calls();
    go_round(FREE_LAPS);
}

static void act_with_a_call(void)
{
    forbid_calls();
    syscall(SYS_getppid);
}

static void test_no_system_call(void **state)
{
    (void)state;
    int status = run_child(act_with_a_call);
    if (SANITIZED || (WIFEXITED(status) && WEXITSTATUS(status) == 77)) {
        print_message("no seccomp filter here, or sanitizers that make calls of their own\n");
        skip();
    }
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
    status = run_child(act_without_calls);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

struct stepped {
    uint64_t ring_bytes; /* first, for open_both() */
    void (*one)(size_t size);
    size_t size;
    unsigned calls;
    uint64_t room_bytes; /* at least, that is ours to overwrite when the counting begins */
};

static void act_between_marks(void *argument)
{
    const struct stepped *stepped = argument;
    go_round(1);
    do
        stepped->one(stepped->size);
    while (publisher->reserved - publisher->tail < stepped->room_bytes);
    STEPPED_MARK();
    for (unsigned i = 0; i < stepped->calls; i++)
        stepped->one(stepped->size);
    STEPPED_MARK();
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void count(struct stepped *stepped)
{
    pid_t child = tracee_start(open_both, act_between_marks, stepped);
    stepped_count(child);
    assert_int_equal(tracee_finish(child), 0);
}

/* Within a stride: an eighth of the ring, of which the publisher says at once that it may be overwritten. */
static void expect_plain(const char *what, void (*one)(size_t), size_t size)
{
    struct stepped stepped = { large_ring, one, size, STEPPED_CALLS, 0 };
    stepped.room_bytes = large_ring / WEIR__STRIDE_SHARE / 2;
    count(&stepped);
    print_message("%s, %zu bytes, there and taken: %u instructions\n", what, size,
                  stepped_counts[STEPPED_PLAIN] / STEPPED_CALLS);
    assert_true(stepped_counts[STEPPED_PLAIN] > 20 * STEPPED_CALLS);
    assert_int_equal(stepped_counts[STEPPED_LOCKED], 0);
    assert_int_equal(stepped_counts[STEPPED_FENCE], 0);
    assert_int_equal(stepped_counts[STEPPED_CALL], 0);
}

/* Once around a ring: a fence for each stride, which holds several of these, and for a look for room. */
static void expect_a_fence_a_stride(const char *what, void (*one)(size_t))
{
    enum { BYTES = 1000, A_STRIDE = 7, CALLS = 63 };
    struct stepped stepped = { small_ring, one, BYTES, CALLS, 0 };
    count(&stepped);
    unsigned fences = stepped_counts[STEPPED_LOCKED] + stepped_counts[STEPPED_FENCE];
    print_message("%s, once around the ring, %u calls: %u fences\n", what, stepped.calls, fences);
    assert_in_range(fences, 1, CALLS / A_STRIDE + 1);
    assert_int_equal(stepped_counts[STEPPED_CALL], 0);
}

#if defined(__x86_64__)

/* Those of vectors, whose bytes would be a lock, an xchg or a fence elsewhere, are none. */
__attribute__((target("avx"))) static void vectors(void)
{
    static unsigned char bytes[64];
    __asm__ volatile("vmovups %0, %%ymm0\n\tvmovups %%ymm0, %0\n\t"
                     "vpinsrb $0xf0, %%eax, %%xmm6, %%xmm0\n\tvzeroupper"
                     : "+m"(*(unsigned char(*)[32])bytes)
                     :
                     : "xmm0", "memory");
}

/* One of each that must be found: else the test below would find nothing either. */
static void one_of_each(size_t size)
{
    static int word;
    (void)size;
    for (int i = 0; i < 30; i++)
        __asm__ volatile("nop");
    __asm__ volatile("lock incl %0\n\tmfence\n\txchgl %%eax, %0" : "+m"(word) : : "eax", "memory");
    if (__builtin_cpu_supports("avx"))
        vectors();
    syscall(SYS_getppid);
}

#else

static void one_of_each(size_t size)
{
    (void)size;
}

#endif

static void test_no_fence_and_no_read_modify_write(void **state)
{
    (void)state;
    if (!stepped_works()) {
        print_message("not x86-64, nobody may trace here, or sanitizers\n");
        skip();
    }
    struct stepped stepped = { small_ring, one_of_each, 0, STEPPED_CALLS, 0 };
    count(&stepped);
    assert_int_equal(stepped_counts[STEPPED_LOCKED], 2 * STEPPED_CALLS);
    assert_int_equal(stepped_counts[STEPPED_FENCE], STEPPED_CALLS);
    assert_int_equal(stepped_counts[STEPPED_CALL], STEPPED_CALLS);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        for (size_t j = 0; j < ARRAY_SIZE(sizes); j++)
            expect_plain(ways[i].what, ways[i].one, sizes[j]);
    expect_a_fence_a_stride("copied", copy_one);
    expect_a_fence_a_stride("in place", lend_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_system_call),
        cmocka_unit_test(test_no_fence_and_no_read_modify_write),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
