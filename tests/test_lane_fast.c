/* SPDX-License-Identifier: MIT */
/*
 * Goal: between two sides that are awake, a message costs no system call, no
 * read-modify-write and no full fence. Method: a child of which seccomp allows no system
 * call; and a child stepped from instruction to instruction, each one decoded.
 */
#include "fixture.h"
#include "silence.h"
#include "tracer.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/channel.h>

#define NOW INT64_C(0)

enum { FREE_LAPS = 20, STEPPED_MESSAGES = 8 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

/* In a child, without cmocka: what fails ends it. */
static void need(bool holds)
{
    if (!holds)
        _exit(98);
}

static void open_both(void *argument)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)argument;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.flags = WEIR_CHANNEL_SPIN_ONLY;
    need(weir_publisher_open(&publisher, "fast", &options) == 0);
    need(weir_subscriber_open(&subscriber, "fast", &options) == 0);
}

static void copy_one(size_t size)
{
    static unsigned char bytes[4096];
    need(weir_publisher_send(publisher, bytes, size) == 0);
    need(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW) == 0);
}

static void lend_one(size_t size)
{
    struct weir_message message;
    void *data;
    need(weir_publisher_loan_until(publisher, size, &data, NOW) == 0);
    memset(data, 1, size);
    need(weir_publisher_commit(publisher, size, 7) == 0);
    need(weir_subscriber_take_until(subscriber, &message, NOW) == 0);
    need(weir_subscriber_release(subscriber, &message) == 0);
}

static void batch(unsigned count)
{
    need(weir_publisher_batch_begin(publisher) == 0);
    for (unsigned i = 0; i < count; i++)
        need(weir_publisher_send(publisher, "12345678", 8) == 0);
    need(weir_publisher_batch_end(publisher) == 0);
    for (unsigned i = 0; i < count; i++)
        need(weir_subscriber_receive_until(subscriber, (char[8]){ 0 }, 8, NULL, NOW) == 0);
}

/* The calls for many messages: copied, and in place. */
static void burst(size_t size)
{
    static unsigned char bytes[8 * 64];
    static const struct weir_outgoing sent[4] = {
        { bytes, 64, 0 }, { bytes, 8, 1 }, { bytes, 0, 2 }, { bytes, 33, 3 }
    };
    struct weir_message messages[8];
    void *places[4];
    need(weir_publisher_send_many_until(publisher, sent, 4, NOW) == 4);
    int count = weir_publisher_loan_many_until(publisher, size, places, 4, NOW);
    need(count > 0);
    for (int i = 0; i < count; i++)
        memset(places[i], 1, size);
    need(weir_publisher_commit_many(publisher, NULL, NULL, (size_t)count) == 0);
    need(weir_subscriber_receive_many_until(subscriber, bytes, sizeof bytes, messages, 2, NOW) ==
         2);
    need(weir_subscriber_take_many_until(subscriber, messages, 8, NOW) == 2 + count);
    need(weir_subscriber_release_many(subscriber, messages, 2 + (size_t)count) == 0);
}

/* Around the ring many times, so that the limit is used up and looked for, too. */
static void go_round(unsigned laps)
{
    for (uint64_t bytes = 0; bytes < laps * WEIR_RING_BYTES_MIN; bytes += 8192) {
        copy_one(8);
        copy_one(1000);
        lend_one(64);
        lend_one(3000);
        batch(64);
        burst(64);
    }
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
    open_both(NULL);
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

#if defined(__x86_64__)

/* What an instruction is, as far as this test is concerned. */
enum sort { SORT_PLAIN, SORT_LOCKED, SORT_FENCE, SORT_CALL };

static bool is_prefix(unsigned char byte)
{
    return byte == 0x66 || byte == 0xf2 || byte == 0xf3 || byte == 0x2e || byte == 0x36 ||
           byte == 0x3e || byte == 0x26 || byte == 0x64 || byte == 0x65 || byte == 0x67;
}

static enum sort sort_of(const unsigned char *code)
{
    while (is_prefix(*code))
        code++;
    if (*code == 0xf0)
        return SORT_LOCKED;
    if ((*code & 0xf0) == 0x40) /* REX */
        code++;
    if ((*code == 0x86 || *code == 0x87) && code[1] < 0xc0) /* xchg with memory locks */
        return SORT_LOCKED;
    if (code[0] == 0x0f && code[1] == 0x05)
        return SORT_CALL;
    if (code[0] == 0x0f && code[1] == 0xae && code[2] == 0xf0) /* mfence */
        return SORT_FENCE;
    return SORT_PLAIN;
}

/* Where the counting begins and ends. A breakpoint, which the parent sees. */
#define MARK() __asm__ volatile("int3")
#define MARK_CODE 0xcc

static void act_between_marks(void *argument)
{
    void (*one)(size_t) = *(void (**)(size_t))argument;
    go_round(1);
    for (int i = 0; i < 10; i++) /* the limit was looked for just before */
        one(64);
    MARK();
    for (int i = 0; i < STEPPED_MESSAGES; i++)
        one(64);
    MARK();
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static unsigned counts[SORT_CALL + 1];

static void expect_trap(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(WSTOPSIG(status), SIGTRAP);
}

/* Freely to the first mark, then step by step over the second. */
static void count_between_marks(pid_t child)
{
    struct user_regs_struct registers;
    unsigned char code[16];
    memset(counts, 0, sizeof counts);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    expect_trap(child);
    do {
        assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
        struct iovec to = { code, sizeof code };
        struct iovec from = { (void *)(uintptr_t)registers.rip, sizeof code };
        /* Less than asked for where a page ends and no other follows. */
        memset(code, 0x90, sizeof code);
        assert_true(process_vm_readv(child, &to, 1, &from, 1, 0) > 0);
        if (code[0] != MARK_CODE)
            counts[sort_of(code)]++;
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        expect_trap(child);
    } while (code[0] != MARK_CODE);
}

static void count(void (*one)(size_t))
{
    pid_t child = tracee_start(open_both, act_between_marks, (void *)&one);
    count_between_marks(child);
    assert_int_equal(tracee_finish(child), 0);
}

static void expect_plain(const char *what, void (*one)(size_t))
{
    count(one);
    print_message("%s, 64 bytes, there and taken: %u instructions a message\n", what,
                  counts[SORT_PLAIN] / STEPPED_MESSAGES);
    assert_true(counts[SORT_PLAIN] > 20 * STEPPED_MESSAGES);
    assert_int_equal(counts[SORT_LOCKED], 0);
    assert_int_equal(counts[SORT_FENCE], 0);
    assert_int_equal(counts[SORT_CALL], 0);
}

/* One of each that must be found: else the test below would find nothing either. */
static void one_of_each(size_t size)
{
    static int word;
    (void)size;
    for (int i = 0; i < 30; i++)
        __asm__ volatile("nop");
    __asm__ volatile("lock incl %0\n\tmfence\n\txchgl %%eax, %0" : "+m"(word) : : "eax", "memory");
    syscall(SYS_getppid);
}

static void test_no_fence_and_no_read_modify_write(void **state)
{
    (void)state;
    if (SANITIZED || COUNTED || !tracer_works()) {
        print_message("nobody may trace here, or sanitizers that have atomics of their own\n");
        skip();
    }
    count(one_of_each);
    assert_int_equal(counts[SORT_LOCKED], 2 * STEPPED_MESSAGES);
    assert_int_equal(counts[SORT_FENCE], STEPPED_MESSAGES);
    assert_int_equal(counts[SORT_CALL], STEPPED_MESSAGES);
    expect_plain("copied", copy_one);
    expect_plain("in place", lend_one);
    expect_plain("in bursts, 8 of them", burst);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_system_call),
#if defined(__x86_64__)
        cmocka_unit_test(test_no_fence_and_no_read_modify_write),
#endif
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
