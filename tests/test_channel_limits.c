/* SPDX-License-Identifier: MIT */
/*
 * Goal: a channel at its limits and in bad company: a thousand subscribers, a kernel without
 *       another segment, a directory of another layout or that a member has corrupted, two IPC
 *       namespaces on one run directory. Each has a clear result; who is connected goes on. What
 *       members touch ahead of each other's memory is counted while they have it.
 * Method: a thousand handles in a few processes; kernel.shmmni of a namespace of its own; each word
 *       of the head written over; children in a namespace of their own.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel/ahead.h"
#include "channel/layout.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"
#include "segment/handle.h"

/* --- a thousand subscribers -------------------------------------------------------------- */

enum { THOUSAND = 1000, PROCESSES = 4, EACH = THOUSAND / PROCESSES, MESSAGES = 5 };

static struct weir_channel_options thousand(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.publishers_max = 2;
    options.subscribers_max = THOUSAND;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    return options;
}

static void be_many(void *argument)
{
    static struct weir_subscriber *handles[EACH];
    const struct weir_channel_options options = thousand();
    (void)argument;
    for (int i = 0; i < EACH; i++)
        CHECK_RESULT(weir_subscriber_open(&handles[i], CHANNEL, &options), 0);
    atomic_fetch_add(&board->ready, 1);
    for (int j = 0; j < MESSAGES; j++)
        for (int i = 0; i < EACH; i++) {
            struct weir_message message;
            uint32_t who;
            uint64_t number;
            CHECK_RESULT(
                weir_subscriber_take_until(handles[i], &message, weir_deadline_ns(20 * SECOND_NS)),
                0);
            crowd_read(&message, &who, &number);
            CHECK(who == 1 && number == (uint64_t)j);
            CHECK_RESULT(weir_subscriber_release(handles[i], &message), 0);
        }
    atomic_fetch_add(&board->words[0], 1);
    crowd_await(&board->words[1], 1);
    for (int i = 0; i < EACH; i++)
        weir_subscriber_close(handles[i]);
}

static void test_a_thousand_subscribers(void **state)
{
    (void)state;
    struct weir_channel_options options = thousand();
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber = NULL;
    pid_t pids[PROCESSES];
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = crowd_fork(be_many, NULL);
    crowd_await_ready(PROCESSES);
    assert_result(
        weir_publisher_wait_subscribers(publisher, THOUSAND, weir_deadline_ns(20 * SECOND_NS)), 0);
    /* One more is one too many, and told so. */
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), -EBUSY);
    assert_non_null(strstr(weir_last_error(), "1000 subscribers"));
    options.subscribers_max++;
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), -EINVAL);
    for (int j = 0; j < MESSAGES; j++)
        assert_int_equal(crowd_send(publisher, 1, 300, weir_deadline_ns(20 * SECOND_NS)), 0);
    crowd_await(&board->words[0], PROCESSES);
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(20 * SECOND_NS)), 0);
    /* A quarter of them is killed at once: the others' places are not touched, theirs are free. */
    crowd_kill(pids[0]);
    options.subscribers_max = THOUSAND;
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, weir_deadline_ns(20 * SECOND_NS)),
                  0);
    assert_int_equal(crowd_send(publisher, 1, 300, weir_deadline_ns(20 * SECOND_NS)), 0);
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    atomic_store(&board->words[1], 1);
    for (int i = 1; i < PROCESSES; i++)
        crowd_end(pids[i]);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

/* --- no further segment ------------------------------------------------------------------ */

static void reach_the_limit(void *argument)
{
    struct weir_publisher *publisher, *other = NULL;
    struct weir_subscriber *subscriber, *further = NULL;
    int failed = 0;
    (void)argument;
    new_ipc_namespace();
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, NULL), 0);
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, NULL), 0);
    /* Beacon, directory, lane and page are there. */
    set_sysctl("/proc/sys/kernel/shmmni", "4");
    for (int i = 0; i < 3; i++) {
        failed += weir_publisher_open(&other, CHANNEL, NULL) == -ENOSPC;
        CHECK(strstr(weir_last_error(), "shmmni"));
        failed += weir_subscriber_open(&further, CHANNEL, NULL) == -ENOSPC;
        CHECK(strstr(weir_last_error(), "shmmni"));
        failed += weir_publisher_open(&other, "another", NULL) == -ENOSPC;
    }
    CHECK(failed == 9 && !other && !further);
    /* Nothing is left of them: no place is taken, no name, no segment; and the two go on. */
    CHECK(segments_now() == 4);
    CHECK(names_now() == 1);
    CHECK_RESULT(weir_publisher_send(publisher, "x", 1), 0);
    char byte;
    CHECK_RESULT(weir_subscriber_receive(subscriber, &byte, 1), 0);
    set_sysctl("/proc/sys/kernel/shmmni", "5");
    CHECK_RESULT(weir_subscriber_open(&further, CHANNEL, NULL), 0);
    weir_subscriber_close(further);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void test_no_further_segment(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(reach_the_limit, NULL);
}

/* --- a directory that a member has corrupted --------------------------------------------- */

static void join_in_vain(void *argument)
{
    int expected = *(int *)argument;
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, NULL), expected);
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, NULL), expected);
    CHECK(!publisher && !subscriber);
}

static const struct {
    size_t at;
    unsigned char byte;
    int expected;
} corruptions[] = {
    { offsetof(struct weir__directory_shm, magic), '1', -EUCLEAN }, /* "1dir4" */
    { offsetof(struct weir__directory_shm, magic), 0, -EUCLEAN },
    { offsetof(struct weir__directory_shm, magic) + 4, 'x', -EUCLEAN },
    { offsetof(struct weir__directory_shm, magic) + 7, 1, -EUCLEAN },
    { offsetof(struct weir__directory_shm, magic) + 4, '3', -EPROTONOSUPPORT },
    { offsetof(struct weir__directory_shm, magic) + 4, '5', -EPROTONOSUPPORT },
    { offsetof(struct weir__directory_shm, counts), 0, -EUCLEAN },
    { offsetof(struct weir__directory_shm, counts) + 1, 0xff, -EUCLEAN },
    { offsetof(struct weir__directory_shm, counts) + 4, 0, -EUCLEAN },
    { offsetof(struct weir__directory_shm, counts) + 4, 65, -EUCLEAN }, /* more than its memory */
    { offsetof(struct weir__directory_shm, delivery), 2, -EUCLEAN },
    { offsetof(struct weir__directory_shm, type_bytes), 1, -EUCLEAN },
    { offsetof(struct weir__directory_shm, type_name), '\n', -EUCLEAN },
    { offsetof(struct weir__directory_shm, type_name) + 1, 'x', -EUCLEAN },
    { offsetof(struct weir__directory_shm, type_name) + 63, 'x', -EUCLEAN },
};

static void test_corrupted_directory(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscriber = crowd_subscriber();
    unsigned char *head = weir_segment_data(publisher->side.directory.segment);
    for (size_t i = 0; i < ARRAY_SIZE(corruptions); i++) {
        unsigned char truth = head[corruptions[i].at];
        int expected = corruptions[i].expected;
        head[corruptions[i].at] = corruptions[i].byte;
        int status = status_in_child(join_in_vain, &expected);
        if (status != 0)
            print_error("corruption %zu\n", i);
        assert_int_equal(status, 0);
        /* Who is connected has its own copy, and goes on. */
        for (int j = 0; j < 300; j++) {
            assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
            assert_result(crowd_take(subscriber, 0, NOW), 0);
        }
        head[corruptions[i].at] = truth;
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Who was put out of its place takes it again where it would wait; those who have met it go on. */
static void test_put_out(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir__directory_shm *shm = weir_segment_data(publisher->side.directory.segment);
    weir__atomic_u64 *places[] = { &shm->slots[subscriber->side.directory.terms.counts[0]].owner,
                                   &shm->slots[0].owner };
    assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
    atomic_store(places[0], 0);
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    assert_int_equal(atomic_load(places[0]), subscriber->side.me);
    atomic_store(places[1], 0);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_int_equal(atomic_load(places[1]), publisher->side.me);
    assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* If somebody who lives has it, it is told, instead of waiting for those who cannot know of it. */
static void test_place_taken(void **state)
{
    (void)state;
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN), *second;
    struct weir_subscriber *subscriber = crowd_subscriber(), *other;
    struct weir__directory_shm *shm = weir_segment_data(publisher->side.directory.segment);
    assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
    atomic_store(&shm->slots[subscriber->side.directory.terms.counts[0]].owner, 0);
    other = crowd_subscriber();
    assert_int_equal(other->side.number, subscriber->side.number);
    assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
    assert_result(crowd_take(other, 1, NOW), 0);
    for (int i = 0; i < 2; i++)
        assert_result(crowd_take(subscriber, 0, NOW), 0);
    assert_result(crowd_take(subscriber, 0, NOW), -EUCLEAN);
    assert_result(crowd_take(subscriber, 0, WEIR_NEVER), -EUCLEAN);
    weir_subscriber_close(subscriber);
    atomic_store(&shm->slots[0].owner, 0);
    second = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_int_equal(second->side.number, publisher->side.number);
    /* The entry of that place is the former one's, until it leaves. */
    assert_result(weir_publisher_wait_subscribers(second, 1, NOW), -EAGAIN);
    assert_int_equal(crowd_send(publisher, 1, 500, NOW), 0);
    assert_result(crowd_take(other, 1, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, WEIR_NEVER), -EUCLEAN);
    weir_publisher_close(publisher);
    assert_result(crowd_take(other, 1, NOW), -EAGAIN);
    assert_int_equal(crowd_send(second, 2, 500, NOW), 0);
    assert_result(crowd_take(other, 1, NOW), 0);
    weir_publisher_close(second);
    weir_subscriber_close(other);
}

/* --- two IPC namespaces on one run directory --------------------------------------------- */

static void publish_elsewhere(struct companion *companion, void *argument)
{
    (void)argument;
    new_ipc_namespace();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *subscriber = crowd_subscriber();
    companion_arrive(companion);
    CHECK(crowd_send(publisher, 2, 100, NOW) == 0);
    CHECK_RESULT(crowd_take(subscriber, 1, NOW), 0);
    CHECK_RESULT(crowd_take(subscriber, 1, NOW), -EAGAIN);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    CHECK(names_now() == 0);
}

/* The same name is a channel of its own in each; neither sees, nor cleans away, the other's. */
static void test_two_namespaces(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    struct companion companion;
    companion_start(&companion, publish_elsewhere, NULL);
    companion_meet(&companion);
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_true(weir_collect(0, NULL, NULL) >= 0);
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    assert_int_equal(crowd_send(publisher, 1, 100, NOW), 0);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
    assert_result(crowd_take(subscriber, 0, NOW), 0);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* --- memory of others, touched ahead ------------------------------------------------------- */

/* How much of the ring that a subscriber has attached is in its page table, in KiB. */
static long mapped_in(const struct weir_subscriber *subscriber)
{
    return smaps_field(subscriber->lanes[0]->ring.bytes, "Rss");
}

/* A large ring is brought in where its publisher has done so, and left alone where it only says so. */
static void test_large_rings(void **state)
{
    (void)state;
    uint64_t ring_bytes = UINT64_C(128) << 20;
    struct weir_publisher *publisher = crowd_publisher(ring_bytes);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    assert_true(mapped_in(subscriber) >= (long)(ring_bytes >> 10));
    weir_subscriber_close(subscriber);
    assert_int_equal(madvise(publisher->ring, ring_bytes, MADV_REMOVE), 0);
    subscriber = crowd_subscriber();
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    assert_true(mapped_in(subscriber) < (long)(ring_bytes >> 10) / 2);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

/* Of another user's, who is asked for in another way, it is the same. */
static void test_large_rings_of_others(void **state)
{
    (void)state;
    uint64_t ring_bytes = UINT64_C(128) << 20;
    struct weir_publisher *publisher = crowd_publisher(ring_bytes);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    struct weir__lane *lane = subscriber->lanes[0];
    const struct weir__ahead foreign = { .id = weir__shown_id(lane->peer.shown, lane->peer.owner),
                                         .is_wanted = true };
    for (int is_empty = 0; is_empty < 2; is_empty++) {
        if (is_empty)
            assert_int_equal(madvise(publisher->ring, ring_bytes, MADV_REMOVE), 0);
        assert_int_equal(madvise(lane->ring.bytes, ring_bytes, MADV_DONTNEED), 0);
        assert_true(mapped_in(subscriber) < (long)(ring_bytes >> 10) / 2);
        assert_result(weir__ahead_bring(&foreign, lane->peer.memory), 0);
        bool is_left = mapped_in(subscriber) < (long)(ring_bytes >> 10) / 2;
        assert_int_equal(is_left, is_empty);
    }
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

/* What a lane, or a page, took of how much is touched unasked is there again for the next one. */
static void test_what_is_left_is_given_back(void **state)
{
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_message message;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct weir_publisher *publisher = crowd_publisher(UINT64_C(1) << 20);
        assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
        assert_true(subscriber->side.touched_bytes > UINT64_C(1) << 20);
        assert_int_equal(crowd_send(publisher, 0, 16, NOW), 0);
        assert_true(publisher->side.touched_bytes > 0);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
        if (i == 2) { /* the page goes before the lane */
            weir_subscriber_close(subscriber);
            assert_int_equal(crowd_send(publisher, 0, 16, NOW), 0); /* finds that it has left */
            assert_int_equal(crowd_send(publisher, 0, 16, NOW), 0);
            assert_int_equal(publisher->side.touched_bytes, 0);
            weir_publisher_close(publisher);
            break;
        }
        weir_publisher_close(publisher);
        struct weir_message none;
        assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -ENODATA);
        assert_true(subscriber->side.touched_bytes > UINT64_C(1) << 20); /* it is still held */
        assert_result(weir_subscriber_release(subscriber, &message), 0);
        assert_int_equal(subscriber->side.touched_bytes, 0);
    }
}

/* Nor does what was refused take any. */
static void test_what_is_refused_is_given_back(void **state)
{
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publisher = crowd_publisher(0);
    struct weir_message message;
    (void)state;
    publisher->lane->member.magic ^= 1;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPROTO);
    assert_int_equal(subscriber->side.touched_bytes, 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_a_thousand_subscribers),
        CROWD_TEST(test_no_further_segment),
        CROWD_TEST(test_corrupted_directory),
        CROWD_TEST(test_put_out),
        CROWD_TEST(test_place_taken),
        CROWD_TEST(test_two_namespaces),
        CROWD_TEST(test_large_rings),
        CROWD_TEST(test_large_rings_of_others),
        CROWD_TEST(test_what_is_left_is_given_back),
        CROWD_TEST(test_what_is_refused_is_given_back),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
