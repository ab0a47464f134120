/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a member shows that cannot be is told once to whoever meets it, who then does not wait
 *       for it; and who was not waited for is told so before it takes what was not promised.
 * Method: the test writes into the memory of members of its own: as if one had refused, what is no
 *       page, what is no record.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

/* Rings of 64 KiB, messages of 500 bytes: so many are several rings. */
enum { RINGS = 700 };

/*
 * A publisher that goes on without a subscriber, which knows nothing of it, for whatever reason:
 * that one is told so before it takes anything that is not what was promised.
 */
static void test_lapped(void **state)
{
    (void)state;
    struct weir_subscriber *left_out = crowd_subscriber();
    struct weir_publisher *handle = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_message message;
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EAGAIN);
    const struct weir__lane *lane = left_out->lanes[0];
    /* As if it had refused. */
    atomic_store(&weir__subscriber_aside(left_out, lane->peer.number)->refused, lane->peer.shown);
    atomic_store(&lane->entry->lane, 0);
    for (int i = 0; i < RINGS; i++)
        assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EUCLEAN);
    assert_non_null(strstr(weir_last_error(), "has not waited for this subscriber"));
    assert_result(weir_subscriber_take_until(left_out, &message, NOW), -EAGAIN);
    weir_publisher_close(handle);
    weir_subscriber_close(left_out);
}

/* What a subscriber shows is no page: told once, and nobody waits for it. */
static void test_no_page(void **state)
{
    (void)state;
    struct weir_subscriber *good = crowd_subscriber(), *liar = crowd_subscriber();
    struct weir_publisher *handle = crowd_publisher(WEIR_RING_BYTES_MIN);
    liar->page->member.magic++;
    assert_result(crowd_take(good, 0, NOW), -EAGAIN);
    assert_int_equal(crowd_send(handle, 1, 500, NOW), -EPROTO);
    for (int i = 0; i < RINGS; i++) {
        assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
        assert_result(crowd_take(good, 0, NOW), 0);
    }
    assert_result(weir_publisher_wait_taken(handle, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(handle, 2, NOW), -EAGAIN);
    weir_subscriber_close(liar);
    /* In its slot: one as it should be. */
    liar = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(handle, 2, NOW), 0);
    assert_int_equal(crowd_send(handle, 1, 500, NOW), 0);
    assert_result(crowd_take(good, 0, NOW), 0);
    assert_result(crowd_take(liar, 1, NOW), 0);
    weir_subscriber_close(liar);
    weir_subscriber_close(good);
    weir_publisher_close(handle);
}

/*
 * One that writes nonsense does not keep an open from the others, and is told by a take; and it
 * is not waited for by it, once nothing of it is held.
 */
static void test_nonsense(void **state)
{
    (void)state;
    struct weir_publisher *good = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_publisher *liar = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_subscriber *early = crowd_subscriber(), *late;
    struct weir_message held;
    assert_int_equal(crowd_send(liar, 2, 500, NOW), 0);
    assert_result(weir_subscriber_take_until(early, &held, NOW), 0);
    atomic_store(weir__header_at(liar->ring, liar->capacity, liar->tail), UINT64_MAX);
    assert_result(weir_subscriber_open(&late, CHANNEL, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(crowd_send(good, 1, 500, NOW), 0);
    unsigned told = 0, heard = 0;
    for (int i = 0; i < 5; i++) {
        int result = crowd_take(late, 1, NOW);
        told += result == -EUCLEAN;
        heard += result == 0;
    }
    assert_int_equal(told, 1);
    assert_int_equal(heard, 3);
    told = heard = 0;
    for (int i = 0; i < 5; i++) {
        int result = crowd_take(early, 0, NOW);
        told += result == -EUCLEAN;
        heard += result == 0;
    }
    assert_int_equal(told, 1);
    assert_int_equal(heard, 3);
    /* It goes on as if it knew nothing: what is held is not written over. */
    assert_result(weir_publisher_wait_subscribers(liar, 0, NOW), 0);
    assert_int_equal(crowd_send(liar, 2, 500, NOW), -EAGAIN);
    crowd_note(0, &held);
    assert_result(weir_subscriber_release(early, &held), 0);
    for (int i = 0; i < RINGS; i++)
        assert_int_equal(crowd_send(liar, 2, 500, NOW), 0);
    assert_result(crowd_take(early, 0, NOW), -EAGAIN);
    assert_result(crowd_take(late, 1, NOW), -EAGAIN);
    weir_subscriber_close(early);
    weir_subscriber_close(late);
    weir_publisher_close(liar);
    weir_publisher_close(good);
}

/* A channel whose directory says this, to one that comes: refused, in these words; the members go on. */
static void expect_refusal(int expected, const char *words)
{
    struct weir_subscriber *subscriber;
    assert_result(weir_subscriber_open(&subscriber, CHANNEL, NULL), expected);
    assert_non_null(strstr(weir_last_error(), words));
}

/* What stands in a directory is weir's making, or it is told what cannot be. */
static void test_directories_that_cannot_be(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.type_name = "point";
    options.type_bytes = 16;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir__directory_shm *shm = weir_segment_data(publisher->side.directory.segment);
    uint64_t magic = shm->magic, digit = UINT64_C(1) << 32;
    shm->type_name[10] = 'x';
    expect_refusal(-EUCLEAN, "has a type that cannot be");
    shm->type_name[10] = '\0';
    shm->delivery = 2;
    expect_refusal(-EUCLEAN, "says that its delivery is 2");
    shm->delivery = 0;
    shm->magic = magic + digit; /* a newer weir's */
    expect_refusal(-EPROTONOSUPPORT, "has layout 5, this weir knows 4: use one version");
    shm->magic = magic - digit;
    expect_refusal(-EPROTONOSUPPORT, "has layout 3, this weir knows 4: use one version");
    shm->magic = magic + 1;
    expect_refusal(-EUCLEAN, "its first word was written over");
    shm->magic = magic + 10 * digit; /* no digit */
    expect_refusal(-EUCLEAN, "its first word was written over");
    shm->magic = magic;
    assert_result(weir_publisher_send(publisher, "0123456789abcdef", 16), 0);
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_lapped),
        CROWD_TEST(test_no_page),
        CROWD_TEST(test_nonsense),
        CROWD_TEST(test_directories_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
