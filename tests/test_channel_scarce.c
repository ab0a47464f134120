/* SPDX-License-Identifier: MIT */
/*
 * Goal: where memory or mappings are scarce at the moment that a member is met, the call says -ENOMEM and is
 *       tried again by the next one: nobody is taken for somebody of another kind, and no message is lost.
 * Method: handles of one process; madvise(2) is replaced by one that fails as the kernel's does at
 *         vm.max_map_count, where advice for a part of a mapping would split it.
 */
#include "fixture.h"
#include "pair.h"

#include <errno.h>
#include <sys/mman.h>

#include <weir/inspect.h>
#include <weir/tap.h>

static bool is_scarce;

int __real_madvise(void *memory, size_t length, int advice);
int __wrap_madvise(void *memory, size_t length, int advice);

int __wrap_madvise(void *memory, size_t length, int advice)
{
    if (!is_scarce || advice != MADV_RANDOM)
        return __real_madvise(memory, length, advice);
    errno = ENOMEM;
    return -1;
}

static struct pair pair;

static int take(void)
{
    struct weir_message message;
    int result = weir_subscriber_take_until(pair.subscriber, &message, NOW);
    return result == 0 ? weir_subscriber_release(pair.subscriber, &message) : result;
}

static int send(void)
{
    return weir_publisher_send_until(pair.publisher, "text", 4, 0, NOW);
}

static void test_a_take_that_meets_a_publisher(void **state)
{
    (void)state;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(take(), -ENOMEM);
    assert_result(send(), -ENOMEM); /* it has not met the subscriber either */
    is_scarce = false;
    assert_result(take(), -EAGAIN);
    assert_result(send(), 0);
    assert_result(take(), 0);
    pair_close(&pair);
}

/* It must not write on as if that one were no reader of it. */
static void test_a_send_that_meets_a_subscriber(void **state)
{
    unsigned sent = 0;
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(send(), -ENOMEM);
    is_scarce = false;
    while (send() == 0)
        sent++;
    assert_true(sent > 0);
    for (; sent > 0; sent--)
        assert_result(take(), 0);
    assert_result(take(), -EAGAIN);
    pair_close(&pair);
}

/* An open that says 0 has attached who is there. */
static void test_an_open(void **state)
{
    (void)state;
    assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    is_scarce = true;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), -ENOMEM);
    is_scarce = false;
    assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    assert_result(send(), 0);
    assert_result(take(), 0);
    pair_close(&pair);
}

static void test_a_tap(void **state)
{
    struct weir_tap *tap;
    struct weir_message message;
    char text[4];
    (void)state;
    pair_open(&pair);
    assert_result(weir_tap_open(&tap, "lane", NULL), 0);
    struct weir_publisher *later;
    assert_result(weir_publisher_open(&later, "lane", &small_ring), 0);
    assert_result(take(), -EAGAIN);
    assert_result(weir_publisher_send_until(later, "text", 4, 0, NOW), 0);
    is_scarce = true;
    for (int i = 0; i < 3; i++)
        assert_result(weir_tap_receive_until(tap, text, sizeof text, &message, NOW), -ENOMEM);
    struct weir_tap *other;
    assert_result(weir_tap_open(&other, "lane", NULL), -ENOMEM);
    is_scarce = false;
    assert_result(weir_tap_receive_until(tap, text, sizeof text, &message, NOW), 0);
    weir_tap_close(tap);
    weir_publisher_close(later);
    assert_result(take(), 0);
    pair_close(&pair);
}

static int count(const struct weir_channel_member *member, void *argument)
{
    assert_int_equal(member->state, WEIR_MEMBER_SHOWN);
    ++*(unsigned *)argument;
    return 0;
}

static void test_who_inspects(void **state)
{
    unsigned found = 0;
    (void)state;
    pair_open(&pair);
    is_scarce = true;
    assert_result(weir_inspect_channel("lane", count, &found), -ENOMEM);
    is_scarce = false;
    assert_int_equal(found, 0);
    assert_result(weir_inspect_channel("lane", count, &found), 0);
    assert_int_equal(found, 2);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_take_that_meets_a_publisher),
        PAIR_TEST(test_a_send_that_meets_a_subscriber),
        PAIR_TEST(test_an_open),
        PAIR_TEST(test_a_tap),
        PAIR_TEST(test_who_inspects),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
