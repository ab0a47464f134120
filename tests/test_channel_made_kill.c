/* SPDX-License-Identifier: MIT */
/*
 * Goal: a SIGKILL at any system call of who makes a channel, and its own memory beside it, leaves
 *       nothing that the next collect does not clear; of a persistent channel, all or nothing.
 * Method: a traced child killed at its n-th system call stop, for every n until it finishes; then the
 *         kernel's tables and the run directory are counted, and a survivor opens and closes.
 */
#include "killed.h"

#include <errno.h>

#include <weir/channel.h>

struct making {
    const char *what;
    bool is_publisher;
    uint32_t flags;
};

static const struct making makings[] = {
    { "publisher", true, 0 },
    { "subscriber", false, 0 },
    { "publisher, persistent", true, WEIR_CHANNEL_PERSISTENT },
    { "subscriber, persistent", false, WEIR_CHANNEL_PERSISTENT },
};

static void open_and_close(void *argument)
{
    const struct making *making = argument;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.flags = making->flags;
    if (making->is_publisher) {
        struct weir_publisher *publisher;
        CHECK_RESULT(weir_publisher_open(&publisher, "made", &options), 0);
        weir_publisher_close(publisher);
    } else {
        struct weir_subscriber *subscriber;
        CHECK_RESULT(weir_subscriber_open(&subscriber, "made", &options), 0);
        weir_subscriber_close(subscriber);
    }
}

static void remove_channel(void *argument)
{
    (void)argument;
    int result = weir_segment_remove(weir_by_name("made"));
    CHECK(result == 0 || result == -ENOENT);
}

static void at_stop_of(pid_t child, void *argument)
{
    const struct making *making = argument;
    kill_and_collect(child);
    if (making->flags & WEIR_CHANNEL_PERSISTENT)
        in_child_at(remove_channel, NULL);
    expect_counts(0, 0, 0);
    in_child_at(open_and_close, argument);
    if (making->flags & WEIR_CHANNEL_PERSISTENT)
        in_child_at(remove_channel, NULL);
    expect_counts(0, 0, 0);
}

static void test_kill(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(makings); i++) {
        struct making making = makings[i];
        struct walk walk = { making.what, NULL, NULL, open_and_close, at_stop_of, &making };
        print_message("           %s killed: %u stops\n", making.what, walk_stops(&walk));
        if (making.flags & WEIR_CHANNEL_PERSISTENT)
            in_child(remove_channel, NULL);
        expect_counts(0, 0, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_kill, fixture_check),
    };
    if (!tracer_works())
        return 77;
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
