/* SPDX-License-Identifier: MIT */
/*
 * Goal: as many members as a channel can have, 4,096 of a role, all join, are found, and send or
 *       get what there is; the next one is told that there is no place, and disturbs nobody.
 * Method: handles of one process, in an IPC namespace of its own, whose kernel.shmmni allows it.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MOST = WEIR_CHANNEL_MEMBERS_MAX, MESSAGES = 3 };

static struct weir_channel_options most_of(uint32_t publishers, uint32_t subscribers)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = publishers;
    options.subscribers_max = subscribers;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    return options;
}

/* Beacon, directory, and a segment of each member: more than a namespace starts with. */
static void enter_namespace(void)
{
    new_ipc_namespace();
    set_sysctl("/proc/sys/kernel/shmmni", "8192");
}

static void have_most_subscribers(void *argument)
{
    static struct weir_subscriber *subscribers[MOST];
    struct weir_subscriber *further = NULL;
    struct weir_publisher *publisher;
    struct weir_channel_options options = most_of(1, MOST);
    (void)argument;
    enter_namespace();
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    for (int i = 0; i < MOST; i++)
        CHECK_RESULT(weir_subscriber_open(&subscribers[i], CHANNEL, NULL), 0);
    CHECK_RESULT(weir_subscriber_open(&further, CHANNEL, NULL), -EBUSY);
    CHECK(!further && strstr(weir_last_error(), "has 4096 subscribers already"));
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, MOST, NOW), 0);
    for (int i = 0; i < MESSAGES; i++)
        CHECK_RESULT(crowd_send(publisher, 1, 100, NOW), 0);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < MESSAGES; j++) {
            struct weir_message message;
            uint32_t who;
            uint64_t number;
            CHECK_RESULT(weir_subscriber_take_until(subscribers[i], &message, NOW), 0);
            crowd_read(&message, &who, &number);
            CHECK(who == 1 && number == (uint64_t)j);
            CHECK_RESULT(weir_subscriber_release(subscribers[i], &message), 0);
        }
    CHECK_RESULT(weir_publisher_wait_taken(publisher, NOW), 0);
    weir_subscriber_close(subscribers[MOST - 1]); /* the last place is free, and the only one */
    CHECK_RESULT(weir_subscriber_open(&further, CHANNEL, NULL), 0);
    weir_subscriber_close(further);
    for (int i = 0; i < MOST - 1; i++)
        weir_subscriber_close(subscribers[i]);
    weir_publisher_close(publisher);
    CHECK(segments_now() == 1); /* the beacon */
}

static void have_most_publishers(void *argument)
{
    static struct weir_publisher *publishers[MOST];
    struct weir_publisher *further = NULL;
    struct weir_subscriber *subscriber;
    struct weir_channel_options options = most_of(MOST, 1);
    (void)argument;
    enter_namespace();
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    options = most_of(0, 0);
    for (int i = 0; i < MOST; i++)
        CHECK_RESULT(weir_publisher_open(&publishers[i], CHANNEL, &options), 0);
    CHECK_RESULT(weir_publisher_open(&further, CHANNEL, &options), -EBUSY);
    CHECK(!further && strstr(weir_last_error(), "has 4096 publishers already"));
    CHECK_RESULT(crowd_take(subscriber, 0, NOW), -EAGAIN); /* it meets them all */
    for (int j = 0; j < MESSAGES; j++) {
        for (unsigned i = 0; i < MOST; i++)
            CHECK_RESULT(crowd_send(publishers[i], i, 100, NOW), 0);
        for (unsigned i = 0; i < MOST; i++)
            CHECK_RESULT(crowd_take(subscriber, 0, NOW), 0);
        CHECK_RESULT(crowd_take(subscriber, 0, NOW), -EAGAIN);
    }
    for (unsigned i = 0; i < MOST; i++)
        CHECK(atomic_load(&board->seen[0][i].next) == MESSAGES);
    for (int i = 0; i < MOST; i++)
        weir_publisher_close(publishers[i]);
    CHECK_RESULT(crowd_take(subscriber, 0, NOW), -ENODATA);
    weir_subscriber_close(subscriber);
    CHECK(segments_now() == 1);
}

static void test_4096_subscribers(void **state)
{
    (void)state;
    if (SANITIZED || COUNTED || !has_other_users())
        skip();
    in_child(have_most_subscribers, NULL);
}

static void test_4096_publishers(void **state)
{
    (void)state;
    if (SANITIZED || COUNTED || !has_other_users())
        skip();
    in_child(have_most_publishers, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_4096_subscribers),
        CROWD_TEST(test_4096_publishers),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
