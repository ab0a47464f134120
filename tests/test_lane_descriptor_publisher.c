/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher's descriptor is readable exactly while the call that was refused would not wait,
 * also after its subscriber has left, or died.
 * Method: each turn in order, with both sides here; then with another process that is killed.
 */
#include "given.h"
#include "in_time.h"
#include "sides.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "channel/descriptor.h"
#include "channel/publisher.h"

/*
 * A channel with the same messages, and no descriptor. After how many takes there is room for one is
 * asked of it: a pad takes the room of several, and a descriptor that is late must not look like one.
 */
static struct pair twin;

static void twin_take_one(void)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(twin.subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(twin.subscriber, &message), 0);
}

static int twin_send(size_t size)
{
    static unsigned char bytes[WEIR_RING_BYTES_MIN];
    return weir_publisher_send_until(twin.publisher, bytes, size, 0, NOW);
}

static unsigned twin_takes_for_room(size_t size)
{
    unsigned count = 0;
    int result;
    do {
        twin_take_one();
        count++;
    } while ((result = twin_send(size)) == -EAGAIN);
    assert_result(result, 0);
    return count;
}

static unsigned fill_both(size_t size)
{
    unsigned count = sides_fill(size);
    for (unsigned i = 0; i < count; i++)
        assert_result(twin_send(size), 0);
    assert_result(twin_send(size), -EAGAIN);
    return count;
}

static void drain_both(void)
{
    while (weir_publisher_wait_taken(sides.publisher, NOW) == -EAGAIN) {
        sides_take_one();
        twin_take_one();
    }
    assert_result(weir_publisher_wait_taken(twin.publisher, NOW), 0);
}

enum { PROMPT_MS = 20, TURNS = 50 };

/* So long our threads have stood, all of them: one of them waits for the ring. */
static int64_t stood_ns(void)
{
    char path[300];
    int64_t sum_ns = 0;
    struct dirent *entry;
    DIR *threads = opendir("/proc/self/task");
    assert_non_null(threads);
    while ((entry = readdir(threads))) {
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        sum_ns += given_stood_at(path);
    }
    closedir(threads);
    return sum_ns;
}

/* From a full ring to one that is full again. A ring that is lost costs a slice, or what is left of it. */
static void expect_room_for(size_t size)
{
    assert_false(sides_fd_is_readable(0));
    for (unsigned left = twin_takes_for_room(size); left > 1; left--) {
        sides_take_one();
        assert_false(sides_fd_is_readable(PROMPT_MS));
        assert_result(sides_send(size), -EAGAIN);
    }
    int64_t stood_before_ns = stood_ns(), before_ns = weir_now_ns();
    sides_take_one();
    assert_true(sides_fd_is_readable(5000));
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_true(took_ns - (stood_ns() - stood_before_ns) < PROMPT_MS * INT64_C(1000000));
    assert_result(sides_send(size), 0);
    assert_true(sides_fd_is_readable(0));
    fill_both(size);
}

/* For each size: not readable as soon as refused, readable as soon as there is room. */
static void test_room(void **state)
{
    static const size_t sizes[] = { 0, 8, 1000, 16000 };
    (void)state;
    sides_open();
    assert_result(weir_publisher_open(&twin.publisher, "twin", &small_ring), 0);
    assert_result(weir_subscriber_open(&twin.subscriber, "twin", NULL), 0);
    assert_true(sides_fd_is_readable(0));
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_true(fill_both(sizes[i]) > 2);
        for (int turn = 0; turn < TURNS; turn++)
            expect_room_for(sizes[i]);
        drain_both();
    }
    pair_close(&twin);
    sides_close();
}

/* It stands for the call that was refused, and not for a smaller message. */
static void test_room_for_what_was_refused(void **state)
{
    void *data;
    (void)state;
    sides_open();
    size_t most = weir_publisher_max_bytes(sides.publisher);
    unsigned count = sides_fill(1000);
    assert_result(sides_send(most), -EAGAIN);
    for (int i = 0; i < 4; i++)
        sides_take_one();
    assert_false(sides_fd_is_readable(300)); /* longer than a slice, too */
    assert_result(sides_send(1000), 0);
    assert_true(sides_fd_is_readable(0)); /* nothing is refused any more */
    assert_result(weir_publisher_loan_until(sides.publisher, most, &data, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    for (unsigned i = 4; i < count + 1; i++)
        sides_take_one();
    assert_true(sides_fd_is_readable(5000));
    assert_result(weir_publisher_loan_until(sides.publisher, most, &data, NOW), 0);
    assert_result(weir_publisher_commit(sides.publisher, most, 0), 0);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

/* Who has ended waits for no room any more, whatever it was refused before. */
static void test_the_end_of_what_was_refused(void **state)
{
    (void)state;
    sides_open();
    sides_fill(1000);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_publisher_end(sides.publisher), 0);
    assert_true(sides_fd_is_readable(0));
    assert_result(sides_send(1000), -EPIPE);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

static void test_waiting_for_a_subscriber(void **state)
{
    int result;
    (void)state;
    sides_open_publisher();
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(300));
    assert_result(sides_send(8), 0); /* to nobody; that is not refused */
    assert_true(sides_fd_is_readable(0));
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    do
        assert_true(sides_fd_is_readable(5000));
    while ((result = weir_publisher_wait_subscribers(sides.publisher, 1, NOW)) == -EAGAIN);
    assert_result(result, 0);
    assert_true(sides_fd_is_readable(0));
    sides_close();
}

static void test_waiting_until_all_is_taken(void **state)
{
    struct weir_message message;
    (void)state;
    sides_open();
    assert_result(weir_publisher_wait_subscribers(sides.publisher, 1, NOW), 0);
    assert_result(sides_send(8), 0);
    assert_result(weir_publisher_end(sides.publisher), 0);
    assert_true(sides_fd_is_readable(0));
    assert_result(weir_publisher_wait_taken(sides.publisher, NOW), -EAGAIN);
    assert_false(sides_fd_is_readable(0));
    assert_result(weir_subscriber_take_until(sides.subscriber, &message, NOW), 0);
    assert_false(sides_fd_is_readable(300));
    assert_result(weir_subscriber_release(sides.subscriber, &message), 0);
    assert_true(sides_fd_is_readable(5000));
    assert_result(weir_publisher_wait_taken(sides.publisher, NOW), 0);
    sides_close();
}

static void test_subscriber_that_leaves(void **state)
{
    (void)state;
    sides_open();
    sides_fill(1000);
    assert_false(sides_fd_is_readable(0));
    weir_subscriber_close(sides.subscriber);
    assert_true(sides_fd_is_readable(5000)); /* nobody is there to wait for */
    assert_result(sides_send(1000), 0);
    assert_result(weir_subscriber_open(&sides.subscriber, "lane", NULL), 0);
    sides_fill(1000);
    assert_false(sides_fd_is_readable(300));
    sides_take_one();
    assert_true(sides_fd_is_readable(5000));
    sides_close();
}

static int64_t outlive_subscriber(void *unused)
{
    struct companion companion;
    (void)unused;
    sides_open_publisher();
    companion_start(&companion, sides_subscribe, NULL);
    companion_meet(&companion);
    sides_fill(1000);
    assert_false(sides_fd_is_readable(300));
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t before_ns = weir_now_ns();
    assert_true(sides_fd_is_readable(20000));
    int64_t took_ns = weir_now_ns() - before_ns;
    assert_result(sides_send(1000), 0);
    weir_publisher_close(sides.publisher);
    return took_ns;
}

static void test_subscriber_that_is_killed(void **state)
{
    (void)state;
    expect_in_time(outlive_subscriber, NULL, SECOND_NS);
}

static atomic_uint looks, asks;

static bool look_in_vain(void *unused)
{
    (void)unused;
    atomic_fetch_add(&looks, 1);
    return false;
}

static bool ask_in_vain(void *unused)
{
    (void)unused;
    atomic_fetch_add(&asks, 1);
    return false;
}

/* Rung for nothing, again and again, the thread looks, and asks for lives once a slice all the same. */
static void test_rings_for_nothing(void **state)
{
    struct weir__descriptor *descriptor;
    char view = 0;
    (void)state;
    sides_open();
    const struct weir__descriptor_watch watch = { .waiter = &sides.publisher->side.waiter,
                                                  .is_ready = look_in_vain,
                                                  .ask = ask_in_vain,
                                                  .view_bytes = sizeof view };
    assert_int_equal(weir__descriptor_open(&descriptor, &watch), 0);
    int64_t begun_ns = weir_now_ns();
    weir__descriptor_arm(descriptor, &view, sizeof view, false);
    for (int i = 0; i < 100; i++) {
        unsigned before = atomic_load(&looks);
        while (atomic_load(&looks) < before + 3) /* around one sleep of the thread at least */
            weir__ring(watch.waiter->doorbell);
    }
    weir__descriptor_close(descriptor, true); /* it asks no more: the time is taken behind that */
    unsigned slices = (unsigned)((weir_now_ns() - begun_ns) / WEIR__SLICE_NS) + 1;
    assert_true(atomic_load(&asks) <= slices);
    sides_close();
}

int main(int argument_count, char **arguments)
{
    if (!sides_begin(argument_count, arguments))
        return 77;
    const struct CMUnitTest tests[] = {
        SIDES_TEST(test_room),
        SIDES_TEST(test_room_for_what_was_refused),
        SIDES_TEST(test_the_end_of_what_was_refused),
        SIDES_TEST(test_waiting_for_a_subscriber),
        SIDES_TEST(test_waiting_until_all_is_taken),
        SIDES_TEST(test_subscriber_that_leaves),
        SIDES_TEST(test_subscriber_that_is_killed),
        SIDES_TEST(test_rings_for_nothing),
    };
    return cmocka_run_group_tests(tests, sides_start, fixture_end);
}
