/* SPDX-License-Identifier: MIT */
/*
 * Goal: in a child of fork no handle does anything of its parent's, whatever state it was in, and
 * all that the parent has in hand stays as it is. Method: a message held, a loan out and another
 * message waiting, so that each fast path would go on; then every call, in children of fork() and
 * of the bare system call, for which no handler runs.
 */
#include "pair.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than there are live parts in a page. */
#define PAIRS 20

static struct busy {
    struct pair pair;
    struct weir_message held;
    void *loan;
} all[PAIRS];

static void open_busy(struct busy *busy, const char *name)
{
    assert_result(weir_publisher_open(&busy->pair.publisher, name, &small_ring), 0);
    assert_result(weir_subscriber_open(&busy->pair.subscriber, name, &small_ring), 0);
    pair_send_text(&busy->pair, "held");
    pair_send_text(&busy->pair, "waiting");
    assert_result(weir_subscriber_take_until(busy->pair.subscriber, &busy->held, NOW), 0);
    assert_result(weir_publisher_loan_until(busy->pair.publisher, 5, &busy->loan, NOW), 0);
    memcpy(busy->loan, "loan", 5);
}

static void open_all(void)
{
    char name[32];
    for (int i = 0; i < PAIRS; i++) {
        snprintf(name, sizeof name, "fork/%d", i);
        open_busy(&all[i], name);
    }
}

static void refuse_publisher(struct busy *busy)
{
    struct weir_publisher *publisher = busy->pair.publisher;
    const struct weir_outgoing outgoing = { .data = "no", .size_bytes = 2 };
    void *loan;
    CHECK_RESULT(weir_publisher_send(publisher, "no", 2), -ECHILD);
    CHECK_RESULT(weir_publisher_send_until(publisher, "no", 2, 65536, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_commit(publisher, 5, 0), -ECHILD);
    CHECK_RESULT(weir_publisher_commit_many(publisher, NULL, NULL, 1), -ECHILD);
    weir_publisher_abandon(publisher);
    CHECK_RESULT(weir_publisher_send(publisher, "no", 2), -ECHILD);
    CHECK_RESULT(weir_publisher_loan_until(publisher, 1, &loan, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_send_many_until(publisher, &outgoing, 1, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_batch_begin(publisher), -ECHILD);
    CHECK_RESULT(weir_publisher_end(publisher), -ECHILD);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, NOW), -ECHILD);
    CHECK_RESULT(weir_publisher_subscribers(publisher), -ECHILD);
}

static void refuse_subscriber(struct busy *busy)
{
    struct weir_subscriber *subscriber = busy->pair.subscriber;
    struct weir_message message;
    char bytes[16];
    CHECK_RESULT(weir_subscriber_release(subscriber, &busy->held), -ECHILD);
    CHECK_RESULT(weir_subscriber_release_many(subscriber, &busy->held, 1), -ECHILD);
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, bytes, 16, NULL, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_take_many_until(subscriber, &message, 1, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_check(subscriber, &busy->held), -ECHILD);
    CHECK_RESULT(weir_subscriber_publishers(subscriber), -ECHILD);
}

/* A pair of the child's own, which works, and takes no place of a handle that is open still. */
static void use_own(const char *name)
{
    struct pair own;
    CHECK_RESULT(weir_publisher_open(&own.publisher, name, &small_ring), 0);
    CHECK_RESULT(weir_subscriber_open(&own.subscriber, name, &small_ring), 0);
    for (int i = 0; i < PAIRS; i++) {
        CHECK_RESULT(weir_publisher_send(own.publisher, "own", 4), 0);
        refuse_publisher(&all[i]);
        refuse_subscriber(&all[i]);
        char bytes[4];
        CHECK_RESULT(weir_subscriber_receive(own.subscriber, bytes, 4), 0);
        CHECK(strcmp(bytes, "own") == 0);
    }
    weir_publisher_close(own.publisher);
    weir_subscriber_close(own.subscriber);
}

static void use_in_child(void *argument)
{
    (void)argument;
    for (int i = 0; i < PAIRS; i++) {
        refuse_publisher(&all[i]);
        refuse_subscriber(&all[i]);
    }
    use_own("own/before");
    for (int i = 0; i < PAIRS; i++) {
        weir_publisher_close(all[i].pair.publisher);
        weir_subscriber_close(all[i].pair.subscriber);
    }
}

/* All that was in hand. */
static void go_on(struct busy *busy)
{
    struct pair *pair = &busy->pair;
    assert_memory_equal(busy->held.data, "held", 4);
    assert_result(weir_subscriber_release(pair->subscriber, &busy->held), 0);
    assert_result(weir_publisher_commit(pair->publisher, 5, 0), 0);
    pair_send_text(pair, "sent");
    const char *const texts[] = { "waiting", "loan", "sent" };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char bytes[16] = "";
        assert_result(weir_subscriber_receive_until(pair->subscriber, bytes, 16, NULL, NOW), 0);
        assert_string_equal(bytes, texts[i]);
    }
    pair_close(pair);
}

static void test_fork(void **state)
{
    (void)state;
    open_all();
    in_child(use_in_child, NULL);
    in_child(use_in_child, NULL);
    for (int i = 0; i < PAIRS; i++)
        go_on(&all[i]);
}

/* A child for which no handler of pthread_atfork runs. */
static pid_t bare_fork(void)
{
    fflush(NULL);
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Not so where an emulator takes MADV_WIPEONFORK, and does nothing. */
static bool kernel_wipes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *bytes =
        mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    assert_int_equal(madvise(bytes, page, MADV_WIPEONFORK), 0);
    *bytes = 1;
    pid_t child = bare_fork();
    if (child == 0)
        _exit(*bytes);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    munmap(bytes, page);
    return status == 0;
}

static void test_bare_fork(void **state)
{
    int status;
    (void)state;
    if (!kernel_wipes())
        skip();
    open_all();
    pid_t child = bare_fork();
    if (child == 0) {
        use_in_child(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < PAIRS; i++)
        go_on(&all[i]);
}

/* What a handle leaves in its place is nothing to the next one there, whatever state it is closed in. */
static void test_places_again(void **state)
{
    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        open_all();
        for (int i = 0; i < PAIRS; i++) {
            if ((i + turn) % 2)
                pair_close(&all[i].pair);
            else
                go_on(&all[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_fork),
        PAIR_TEST(test_bare_fork),
        PAIR_TEST(test_places_again),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
