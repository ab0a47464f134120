/* SPDX-License-Identifier: MIT */
#include "waiting.h"

#include <errno.h>
#include <string.h>

#include "readable.h"
#include "silence.h"
#include "waitset/set.h"

struct weir_wait_set *waiting_set;
bool waiting_is_looking;
struct weir_wait_event waiting_events[16];

bool waiting_begin(int argument_count, char **arguments)
{
    waiting_is_looking = argument_count > 1 && strcmp(arguments[1], "--without-waitv") == 0;
    if (argument_count > 1 && !forbid_call(SYS_io_uring_setup, EPERM))
        return false;
    return !waiting_is_looking || forbid_call(449, ENOSYS);
}

int waiting_set_up(void **state)
{
    return crowd_clear(state) == 0 ? weir_wait_set_open(&waiting_set, NULL) : -1;
}

int waiting_tear_down(void **state)
{
    weir_wait_set_close(waiting_set);
    return crowd_check(state);
}

struct weir_publisher *waiting_publisher(const char *name)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    assert_result(weir_publisher_open(&publisher, name, &options), 0);
    return publisher;
}

struct weir_subscriber *waiting_subscriber(const char *name)
{
    struct weir_subscriber *subscriber = NULL;
    assert_result(weir_subscriber_open(&subscriber, name, NULL), 0);
    return subscriber;
}

void waiting_send(struct weir_publisher *publisher)
{
    assert_result(weir_publisher_send_until(publisher, "message", 8, 0, NOW), 0);
}

int waiting_take(struct weir_subscriber *subscriber)
{
    char data[1024];
    return weir_subscriber_receive_until(subscriber, data, sizeof data, NULL, NOW);
}

int waiting_within(int64_t ns)
{
    return weir_wait_set_wait_until(waiting_set, waiting_events, ARRAY_SIZE(waiting_events),
                                    ns == 0 ? 0 : weir_deadline_ns(ns));
}

void waiting_expect(uint64_t token, uint32_t kind)
{
    for (int i = 0; i < 2; i++) {
        assert_result(waiting_within(i == 0 ? 5000 * MS_NS : 0), 1);
        assert_int_equal(waiting_events[0].token, token);
        assert_int_equal(waiting_events[0].kind, kind);
    }
}

void waiting_expect_nothing(void)
{
    assert_result(waiting_within(NOW), -EAGAIN);
    assert_result(waiting_within(30 * MS_NS), -ETIMEDOUT);
}

void waiting_settle(struct weir_wait_set *set)
{
    do
        while (weir_wait_set_wait_until(set, waiting_events, ARRAY_SIZE(waiting_events), NOW) !=
               -EAGAIN)
            ;
    while (is_readable(set->news, 0));
}

bool waiting_is_rung(const struct weir_wait_set *set)
{
    return is_readable(set->news, 20000);
}

bool waiting_becomes_ready(int descriptor, int64_t within_ns)
{
    int64_t until_ns = weir_deadline_ns(within_ns);
    do {
        if (!is_readable(descriptor, 20))
            continue;
        int result = waiting_within(NOW);
        if (result > 0)
            return true;
        assert_result(result, -EAGAIN);
    } while (weir_now_ns() < until_ns);
    return false;
}
