/* SPDX-License-Identifier: MIT */
/*
 * Goal: a side of a channel that is killed at any system call leaves the other one what
 *       was committed, in order and once, and the channel to whoever comes next; one that
 *       is stopped there keeps its place, and goes on when it is let.
 * Method: a traced child is halted at its n-th system call stop, for every n until it
 *       ends, while a companion is the other side; it is killed there, or a rival is
 *       refused while it stands. What it had committed it counts in shared memory.
 */
#include "fixture.h"
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include <weir/channel.h>

#define SECOND_NS INT64_C(1000000000)
#define SOON weir_deadline_ns(20 * SECOND_NS)
#define MESSAGES 18
/* Within a second the survivor knows; a sanitizer takes its time. */
#define BOUND_NS ((SANITIZED ? 5 : 1) * SECOND_NS)

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .flags = WEIR_CHANNEL_SLEEP_ONLY,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN,
                                                        .publishers_max = 1,
                                                        .subscribers_max = 1 };

/* What the three processes tell one another beside the channel. */
static struct notes {
    atomic_uint begun;       /* commits that the publisher has begun, of this round */
    atomic_uint committed;   /* and finished */
    atomic_uint ends;        /* streams that the subscriber saw end */
    atomic_uint received;    /* of the last that ended */
    atomic_int last;         /* how it ended */
    atomic_bool is_final;    /* the next whole stream is the last */
    atomic_bool is_in;       /* the halted side's open has returned */
    atomic_bool is_attached; /* it has met the other */
    atomic_bool is_out;      /* it is about to close */
    atomic_llong longest_ns; /* that a living publisher was held up */
} * notes;

static struct companion other;

static void put(struct weir_publisher *publisher, unsigned number, unsigned mark)
{
    /* Sizes that wrap and pad within a few. */
    static uint64_t words[1500];
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = number;
    CHECK_RESULT(weir_publisher_send_until(publisher, words, 8 + number * 7919 % 11900 / 8 * 8,
                                           number + mark, SOON),
                 0);
}

/* The types of the last publisher's messages begin here: who reads them knows whose they are. */
enum { LAST = 1000 };

/* The last six: three in one call, three in places of a loan, closed up. */
static unsigned put_many(struct weir_publisher *publisher, unsigned number, unsigned mark)
{
    uint64_t words[3] = { number, number + 1, number + 2 };
    struct weir_outgoing messages[3];
    size_t sizes[3];
    uint32_t types[3];
    void *places[3];
    for (unsigned i = 0; i < 3; i++)
        messages[i] = (struct weir_outgoing){ &words[i], sizeof words[i], number + i + mark };
    atomic_store(&notes->begun, number + 3);
    CHECK_RESULT(weir_publisher_send_many_until(publisher, messages, 3, SOON), 3);
    atomic_store(&notes->committed, number += 3);
    CHECK_RESULT(weir_publisher_loan_many_until(publisher, 80, places, 3, SOON), 3);
    for (unsigned i = 0; i < 3; i++) {
        sizes[i] = 16 - 8 * (i == 1);
        types[i] = number + i + mark;
        memcpy(places[i], (uint64_t[2]){ number + i, number + i }, 16);
    }
    atomic_store(&notes->begun, number + 3);
    CHECK_RESULT(weir_publisher_commit_many(publisher, sizes, types, 3), 0);
    atomic_store(&notes->committed, number += 3);
    return number;
}

/* The publisher that is halted: copies, loans, a batch, many at once, the end. */
static void publish(void *argument)
{
    struct weir_publisher *publisher;
    unsigned number = 0, mark = notes->is_final ? LAST : 0;
    void *data;
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    atomic_store(&notes->is_in, true);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
    atomic_store(&notes->is_attached, true);
    while (number < 8) {
        atomic_store(&notes->begun, number + 1);
        put(publisher, number++, mark);
        atomic_store(&notes->committed, number);
    }
    CHECK_RESULT(weir_publisher_loan_until(publisher, 64, &data, SOON), 0);
    weir_publisher_abandon(publisher);
    CHECK_RESULT(weir_publisher_loan_until(publisher, 64, &data, SOON), 0);
    memcpy(data, &(uint64_t){ number }, 8);
    atomic_store(&notes->begun, number + 1);
    CHECK_RESULT(weir_publisher_commit(publisher, 8, number + mark), 0);
    atomic_store(&notes->committed, ++number);
    CHECK_RESULT(weir_publisher_batch_begin(publisher), 0);
    atomic_store(&notes->begun, number + 3);
    for (unsigned end = number + 3; number < end; number++)
        put(publisher, number, mark);
    CHECK_RESULT(weir_publisher_batch_end(publisher), 0);
    atomic_store(&notes->committed, number);
    number = put_many(publisher, number, mark);
    CHECK(number == MESSAGES);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, SOON), 0);
    CHECK_RESULT(weir_publisher_end(publisher), 0);
    atomic_store(&notes->is_out, true);
    weir_publisher_close(publisher);
}

static void check_message(const struct weir_message *message, unsigned number, unsigned mark)
{
    const uint64_t *words = message->data;
    CHECK(message->sequence == number && message->type == number + mark);
    for (size_t i = 0; i < message->size_bytes / 8; i++)
        CHECK(words[i] == number);
}

/* One stream, two messages held at a time, until it ends. */
static int drain(struct weir_subscriber *subscriber, unsigned *number, bool *is_last)
{
    struct weir_message held = { .size_bytes = 0 }, message;
    int result;
    for (*number = 0; (result = weir_subscriber_take_until(subscriber, &message, SOON)) == 0;) {
        *is_last = message.type >= LAST;
        check_message(&message, *number, *is_last ? LAST : 0);
        if ((*number)++ > 0)
            CHECK_RESULT(weir_subscriber_release(subscriber, &held), 0);
        held = message;
        if (*number == MESSAGES)
            CHECK_RESULT(weir_subscriber_release(subscriber, &held), 0);
    }
    if (*number > 0 && *number < MESSAGES)
        CHECK_RESULT(weir_subscriber_release(subscriber, &held), 0);
    return result;
}

/* The subscriber that lives: stream after stream, until the whole one of the last publisher. */
static void outlive_publishers(struct companion *companion, void *argument)
{
    struct weir_subscriber *subscriber;
    unsigned number;
    bool is_last = false;
    int result;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &small_ring), 0);
    companion_arrive(companion);
    do {
        result = drain(subscriber, &number, &is_last);
        CHECK(result == -ENODATA || result == -EPIPE);
        atomic_store(&notes->received, number);
        atomic_store(&notes->last, result);
        atomic_fetch_add(&notes->ends, 1);
    } while (!is_last || result != -ENODATA || number != MESSAGES);
    weir_subscriber_close(subscriber);
}

/* The publisher that lives: goes on sending, whoever comes and goes. */
static void outlive_subscribers(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    uint64_t words[100];
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    companion_arrive(companion);
    for (uint64_t number = 0; !notes->is_final; number++) {
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
            words[i] = number;
        int64_t before_ns = weir_now_ns();
        CHECK_RESULT(
            weir_publisher_send_until(publisher, words, number * 37 % 100 * 8 + 8, 0, SOON), 0);
        int64_t took_ns = weir_now_ns() - before_ns;
        if (took_ns > notes->longest_ns)
            notes->longest_ns = took_ns;
    }
    weir_publisher_close(publisher);
}

static void check_words(const uint64_t *words, const struct weir_message *message, uint64_t number)
{
    CHECK(message->sequence == number);
    for (size_t i = 0; i < message->size_bytes / 8; i++)
        CHECK(words[i] == number);
}

/* From next on, by the calls for many. Returns what comes then. */
static uint64_t take_many(struct weir_subscriber *subscriber, uint64_t next)
{
    struct weir_message messages[3];
    uint64_t words[200];
    int count = weir_subscriber_take_many_until(subscriber, messages, 3, SOON);
    CHECK(count > 0);
    for (int i = 0; i < count; i++)
        check_words(messages[i].data, &messages[i], next++);
    CHECK_RESULT(weir_subscriber_release_many(subscriber, messages, (size_t)count), 0);
    count = weir_subscriber_receive_many_until(subscriber, words, sizeof words, messages, 3, SOON);
    CHECK(count > 0);
    for (int i = 0; i < count; i++)
        check_words(messages[i].data, &messages[i], next++);
    return next;
}

/* The subscriber that is halted: takes, holds, copies, many at once; sees no gap. */
static void subscribe(void *argument)
{
    struct weir_subscriber *subscriber;
    struct weir_message held, message;
    uint64_t words[100], next = 0;
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &small_ring), 0);
    atomic_store(&notes->is_in, true);
    for (uint64_t i = 0; i < 24; i++) {
        CHECK_RESULT(weir_subscriber_take_until(subscriber, &held, SOON), 0);
        atomic_store(&notes->is_attached, true);
        next = i == 0 ? held.sequence : next;
        CHECK_RESULT(weir_subscriber_receive_until(subscriber, words, sizeof words, &message, SOON),
                     0);
        check_words(words, &message, next + 1);
        check_words(held.data, &held, next);
        CHECK_RESULT(weir_subscriber_release(subscriber, &held), 0);
        next = take_many(subscriber, next + 2);
    }
    atomic_store(&notes->is_out, true);
    weir_subscriber_close(subscriber);
}

/* --- the sides that are let run, killed or stopped ----------------------------------------- */

static void clear_notes(void)
{
    *notes = (struct notes){ 0 };
}

static void nothing_is_left(void)
{
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    if (segments_now() != fixture_segments() || names_now() != 0)
        walk_print_place();
    assert_int_equal(segments_now(), fixture_segments());
    assert_int_equal(names_now(), 0);
}

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    walk_print_place();
    fail_msg("%s: begun %u, committed %u, received %u, last %d", what, notes->begun,
             notes->committed, notes->received, notes->last);
}

static void end_other(void)
{
    int status = companion_end(&other);
    if (status != 0)
        walk_print_place();
    assert_int_equal(status, 0);
}

static void run_in_child(void (*side)(void *), const char *what)
{
    expect(status_in_child(side, NULL) == 0, what);
}

static void start_subscriber(void *argument)
{
    clear_notes();
    companion_start(&other, outlive_publishers, argument);
    companion_meet(&other);
    companion_release(&other);
}

/* The halted publisher is to be the last. */
static void start_last_subscriber(void *argument)
{
    clear_notes();
    atomic_store(&notes->is_final, true);
    companion_start(&other, outlive_publishers, argument);
    companion_meet(&other);
    companion_release(&other);
}

static void start_publisher(void *argument)
{
    clear_notes();
    companion_start(&other, outlive_subscribers, argument);
    companion_meet(&other);
    companion_release(&other);
}

/* What had been committed has arrived, and no more than was begun; then the next stream. */
static void kill_publisher(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    int64_t before_ns = weir_now_ns(), until_ns = SOON;
    while (notes->is_attached && notes->ends == 0 && weir_now_ns() < until_ns)
        sched_yield();
    if (notes->is_attached) {
        expect(notes->ends == 1, "no end");
        expect(weir_now_ns() - before_ns < BOUND_NS || walk_again(), "no end within a second");
        expect(notes->received >= notes->committed && notes->received <= notes->begun,
               "not what was committed");
        expect(notes->last == -ENODATA || !notes->is_out, "ended, and found killed");
    }
    atomic_store(&notes->is_final, true);
    run_in_child(publish, "the next publisher fails");
    end_other();
    nothing_is_left();
}

static void kill_subscriber(pid_t child, void *argument)
{
    (void)argument;
    tracee_kill(child);
    run_in_child(subscribe, "the next subscriber fails");
    atomic_store(&notes->is_final, true);
    end_other();
    expect(notes->longest_ns < BOUND_NS || walk_again(), "a publisher was held up");
    nothing_is_left();
}

/* A side that stands still is alive: its place is its own. Then it goes on to its end. */
static void stop_publisher(pid_t child, void *argument)
{
    struct weir_publisher *rival = NULL;
    bool was_in = notes->is_in && !notes->is_out;
    (void)argument;
    int result = weir_publisher_open(&rival, "lane", &small_ring);
    expect(result == -EBUSY || (result == 0 && !was_in), "a rival got in");
    weir_publisher_close(rival);
    expect(tracee_finish(child) == 0, "it does not go on");
    end_other();
    expect(notes->received == MESSAGES, "not all arrived");
    nothing_is_left();
}

static void stop_subscriber(pid_t child, void *argument)
{
    struct weir_subscriber *rival = NULL;
    bool was_in = notes->is_in && !notes->is_out;
    (void)argument;
    int result = weir_subscriber_open(&rival, "lane", &small_ring);
    expect(result == -EBUSY || (result == 0 && !was_in), "a rival got in");
    weir_subscriber_close(rival);
    expect(tracee_finish(child) == 0, "it does not go on");
    atomic_store(&notes->is_final, true);
    end_other();
    nothing_is_left();
}

/* --- the walks ----------------------------------------------------------------------------- */

static void walk(const char *what, void (*stage)(void *), void (*act)(void *),
                 void (*at_stop)(pid_t, void *))
{
    struct walk walk = { what, stage, NULL, act, at_stop, NULL };
    unsigned stops = walk_stops(&walk);
    /* The last round ended by itself: its other side waits for one more. */
    atomic_store(&notes->is_final, true);
    if (stage == start_subscriber)
        run_in_child(publish, "the last publisher fails");
    end_other();
    nothing_is_left();
    print_message("           %s: %u stops\n", what, stops);
}

static void test_kill_publisher(void **state)
{
    (void)state;
    walk("publisher killed", start_subscriber, publish, kill_publisher);
}

static void test_kill_subscriber(void **state)
{
    (void)state;
    walk("subscriber killed", start_publisher, subscribe, kill_subscriber);
}

static void test_stop_publisher(void **state)
{
    (void)state;
    walk("publisher stopped", start_last_subscriber, publish, stop_publisher);
}

static void test_stop_subscriber(void **state)
{
    (void)state;
    walk("subscriber stopped", start_publisher, subscribe, stop_subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_publisher),
        cmocka_unit_test(test_kill_subscriber),
        cmocka_unit_test(test_stop_publisher),
        cmocka_unit_test(test_stop_subscriber),
    };
    if (!tracer_works())
        return 77;
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
