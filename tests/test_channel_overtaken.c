/* SPDX-License-Identifier: MIT */
/*
 * Goal: who joins a publisher that does not wait for it, and is overtaken on the way as often as it
 *       tries, begins now all the same; and says exactly how many it has missed since, not what was
 *       sent before it came.
 * Method: the joiner is halted after each of its instructions; at every few of them a publisher
 *       sends a quarter of its ring. It comes by each way to begin: subscribers, lossy and such as
 *       are evicted, and taps.
 */
#include "fixture.h"
#include "lossy.h"
#include "tracer.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include <weir/tap.h>

/* BEFORE: messages that were sent before it comes. */
enum { RING = 64 << 10, BYTES = RING / 4 - 8, BEFORE = 1000, INSTRUCTIONS_A_MESSAGE = 8 };

/* The board's words. */
enum { IS_OPEN, MAY_GO_ON, SEQUENCE, MISSED };

static const struct joining {
    enum weir_start start;
    enum weir_delivery delivery;
    bool is_tap;
} joinings[] = {
    { WEIR_START_NOW, WEIR_DELIVERY_LOSSY, false },
    { WEIR_START_OLDEST, WEIR_DELIVERY_LOSSY, false },
    { WEIR_START_BACK, WEIR_DELIVERY_LOSSY, false },
    { WEIR_START_BACK, WEIR_DELIVERY_RELIABLE, false },
    { WEIR_START_BACK, WEIR_DELIVERY_LOSSY, true },
};

static const unsigned char payload[BYTES];

static void send_one(struct weir_publisher *publisher)
{
    assert_result(weir_publisher_send_until(publisher, payload, BYTES, 0, NOW), 0);
}

/* The channel is open from here on; not halted any more from when it is told to go on. */
static void opened(void)
{
    atomic_store(&board->words[IS_OPEN], 1);
    crowd_await(&board->words[MAY_GO_ON], 1);
}

static void note(const struct weir_message *message)
{
    atomic_store(&board->words[SEQUENCE], message->sequence);
    atomic_store(&board->words[MISSED], message->missed);
}

static void watch(const struct joining *joining)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct weir_message message;
    struct weir_tap *tap;
    static unsigned char data[BYTES];
    options.start = joining->start;
    options.start_back = 3;
    CHECK_RESULT(weir_tap_open(&tap, CHANNEL, &options), 0);
    opened();
    CHECK_RESULT(weir_tap_receive_until(tap, data, sizeof data, &message, NOW), 0);
    note(&message);
    weir_tap_close(tap);
}

static void join(void *argument)
{
    const struct joining *joining = argument;
    struct weir_message message;
    if (joining->is_tap) {
        watch(joining);
        return;
    }
    struct weir_subscriber *subscriber = lossy_open(joining->delivery, joining->start, 3);
    opened();
    if (joining->delivery == WEIR_DELIVERY_RELIABLE)
        CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), -EOVERFLOW);
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    note(&message);
    weir_subscriber_close(subscriber);
}

/* Who uses weir for the first time makes a beacon: not here, one instruction at a time. */
static void prepare(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
}

static void test_overtaken_each_time(void **state)
{
    (void)state;
    /* A sanitizer's instructions are so many that no mark would be read whole. */
    if (SANITIZED || !tracer_works())
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(joinings); i++) {
        struct joining joining = joinings[i];
        struct weir_publisher *publisher =
            lossy_publisher(RING, joining.delivery == WEIR_DELIVERY_RELIABLE ? RING / 8 : 0);
        uint64_t sent = 0;
        for (unsigned word = 0; word <= MISSED; word++)
            atomic_store(&board->words[word], 0);
        for (; sent < BEFORE; sent++)
            send_one(publisher);
        pid_t child = tracee_start(prepare, join, &joining);
        for (unsigned steps = 0; atomic_load(&board->words[IS_OPEN]) == 0; steps++) {
            tracee_step_instruction(child);
            if (steps % INSTRUCTIONS_A_MESSAGE != 0)
                continue;
            send_one(publisher);
            sent++;
        }
        atomic_store(&board->words[MAY_GO_ON], 1);
        assert_int_equal(tracee_finish(child), 0);
        uint64_t sequence = atomic_load(&board->words[SEQUENCE]);
        uint64_t missed = atomic_load(&board->words[MISSED]);
        if (sequence < missed || sequence - missed < BEFORE)
            print_error("joining %zu\n", i);
        assert_in_range(sequence, sent - 4, sent - 1);
        assert_in_range(missed, 1, sequence - BEFORE);
        weir_publisher_close(publisher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { CROWD_TEST(test_overtaken_each_time) };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
