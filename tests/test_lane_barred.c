/* SPDX-License-Identifier: MIT */
/*
 * Goal: who may not call membarrier(2), by a filter that was there before its open, as a container has
 *       one, fences whenever it may have to wake somebody; and so does whoever may have to wake it, from
 *       the first message on. Who may, and meets who may, does not.
 * Method: two processes, of which one, the other, both or none are forbidden the call, open a channel,
 *         and nobody ever sleeps. One of them is stepped from instruction to instruction through each
 *         kind of call that can wake the other, and its fences are counted. What is woken in time, under
 *         the same filter, is in lane_processes and lane_moments.
 */
#include "crowd.h"
#include "fixture.h"
#include "silence.h"
#include "stepped.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/publisher.h"

enum { NOBODY = 0, PUBLISHER = 1, SUBSCRIBER = 2 }; /* to whom the call is forbidden */
enum { CALLS = 4, MANY = 4, BYTES = 64, LAID_OUT = 4 * CALLS * MANY, ROOM_BYTES = 16384 };

static unsigned forbidden;
static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static unsigned char bytes[MANY * BYTES];

static void be_forbidden(unsigned who)
{
    if (forbidden & who)
        CHECK(forbid_call(SYS_membarrier, EPERM));
}

/* Neither call below sleeps, so that nothing is learnt from a sleep. */
static void open_publisher(void)
{
    int result;
    be_forbidden(PUBLISHER);
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, NULL), 0);
    while ((result = weir_publisher_wait_subscribers(publisher, 1, NOW)) == -EAGAIN)
        sched_yield();
    CHECK_RESULT(result, 0);
}

static void open_subscriber(void)
{
    int result;
    be_forbidden(SUBSCRIBER);
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, NULL), 0);
    while ((result = weir_subscriber_wait_publisher(subscriber, NOW)) == -EAGAIN)
        sched_yield();
    CHECK_RESULT(result, 0);
}

/* --- what wakes a subscriber --------------------------------------------------------------- */

static void send_one(void)
{
    CHECK_RESULT(weir_publisher_send_until(publisher, bytes, BYTES, 0, NOW), 0);
}

static void lend_one(void)
{
    void *data;
    CHECK_RESULT(weir_publisher_loan_until(publisher, BYTES, &data, NOW), 0);
    CHECK_RESULT(weir_publisher_commit(publisher, BYTES, 0), 0);
}

static void send_batch(void)
{
    CHECK_RESULT(weir_publisher_batch_begin(publisher), 0);
    send_one();
    send_one();
    CHECK_RESULT(weir_publisher_batch_end(publisher), 0);
}

static void send_many(void)
{
    static const struct weir_outgoing sent[MANY] = {
        { bytes, BYTES, 0 }, { bytes, BYTES, 0 }, { bytes, 8, 1 }, { bytes, 0, 2 }
    };
    CHECK_RESULT(weir_publisher_send_many_until(publisher, sent, MANY, NOW), MANY);
}

static void lend_many(void)
{
    void *places[MANY];
    CHECK_RESULT(weir_publisher_loan_many_until(publisher, BYTES, places, MANY, NOW), MANY);
    CHECK_RESULT(weir_publisher_commit_many(publisher, NULL, NULL, MANY), 0);
}

/* --- what wakes a publisher ---------------------------------------------------------------- */

static void receive_one(void)
{
    CHECK_RESULT(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
}

static void take_one(void)
{
    struct weir_message message;
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
}

static void receive_many(void)
{
    struct weir_message messages[MANY];
    CHECK_RESULT(
        weir_subscriber_receive_many_until(subscriber, bytes, sizeof bytes, messages, MANY, NOW),
        MANY);
}

static void take_many(void)
{
    struct weir_message messages[MANY];
    CHECK_RESULT(weir_subscriber_take_many_until(subscriber, messages, MANY, NOW), MANY);
    CHECK_RESULT(weir_subscriber_release_many(subscriber, messages, MANY), 0);
}

/* ------------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    void (*call)(void);
    unsigned who;
} calls[] = {
    { "send", send_one, PUBLISHER },           { "commit", lend_one, PUBLISHER },
    { "batch_end", send_batch, PUBLISHER },    { "send_many", send_many, PUBLISHER },
    { "commit_many", lend_many, PUBLISHER },   { "receive", receive_one, SUBSCRIBER },
    { "release", take_one, SUBSCRIBER },       { "receive_many", receive_many, SUBSCRIBER },
    { "release_many", take_many, SUBSCRIBER },
};

static void be_stepped(void *argument)
{
    void (*call)(void) = calls[*(const size_t *)argument].call;
    do /* a stride of the ring takes a fence of its own: none ends between the marks */
        call();
    while (publisher && publisher->reserved - publisher->tail < ROOM_BYTES);
    STEPPED_MARK();
    for (int i = 0; i < CALLS; i++)
        call();
    STEPPED_MARK();
}

static void publish(void *argument)
{
    (void)argument;
    open_publisher();
}

static void subscribe(void *argument)
{
    (void)argument;
    open_subscriber();
    crowd_await(&board->words[0], 1);
}

/* The other one: it lays the messages out, or leaves room for them; and stays. */
static void be_there(void *argument)
{
    if (calls[*(const size_t *)argument].who == SUBSCRIBER) {
        open_publisher();
        for (int i = 0; i < LAID_OUT; i++)
            CHECK_RESULT(weir_publisher_send_until(publisher, bytes, BYTES, 0, NOW), 0);
        atomic_store(&board->words[0], 1);
    } else {
        open_subscriber();
    }
    crowd_await(&board->words[1], 1);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* The fences of so many calls. */
static unsigned fences_of(size_t which)
{
    pid_t other = crowd_fork(be_there, &which);
    pid_t child =
        tracee_start(calls[which].who == PUBLISHER ? publish : subscribe, be_stepped, &which);
    stepped_count(child);
    assert_int_equal(tracee_finish(child), 0);
    atomic_store(&board->words[1], 1);
    crowd_end(other);
    assert_int_equal(crowd_clear(NULL), 0);
    assert_int_equal(stepped_counts[STEPPED_CALL], 0);
    return stepped_counts[STEPPED_FENCE] + stepped_counts[STEPPED_LOCKED];
}

static void count_fences(unsigned forbidden_to, unsigned a_call)
{
    unsigned wrong = 0;
    forbidden = forbidden_to;
    if (!stepped_works()) {
        print_message("not x86-64, nobody may trace here, or sanitizers\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        unsigned fences = fences_of(i);
        if (fences == a_call * CALLS)
            continue;
        print_error("%s: %u fences in %d calls\n", calls[i].what, fences, CALLS);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void test_nobody(void **state)
{
    (void)state;
    count_fences(NOBODY, 0);
}

static void test_a_publisher(void **state)
{
    (void)state;
    count_fences(PUBLISHER, 1);
}

static void test_a_subscriber(void **state)
{
    (void)state;
    count_fences(SUBSCRIBER, 1);
}

static void test_both(void **state)
{
    (void)state;
    count_fences(PUBLISHER | SUBSCRIBER, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_nobody),
        CROWD_TEST(test_a_publisher),
        CROWD_TEST(test_a_subscriber),
        CROWD_TEST(test_both),
    };
    if (!can_forbid_call(SYS_membarrier))
        return 77;
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
