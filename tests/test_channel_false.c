/* SPDX-License-Identifier: MIT */
/*
 * Goal: a member that shows what is not there keeps nobody busy: a loop that polls is told a few times, and
 *       then once a slice; and once it shows what is there it is met at once.
 * Method: the test writes into the slot of a member of its own, which the other side has not met.
 */
#include "fixture.h"
#include "pair.h"
#include "readable.h"

#include <errno.h>
#include <sys/shm.h>

#include <weir/clock.h>
#include <weir/waitset.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

/* How often it may be for nothing: as it has come, and once or twice if the test is held up for a slice. */
enum { FEW = 10, MANY = 100, A_MOMENT_MS = 50 };

static struct pair pair;

static const struct weir__side *side_of(bool is_publisher)
{
    return is_publisher ? &pair.publisher->side : &pair.subscriber->side;
}

static int removed_id(void)
{
    int id = shmget(IPC_PRIVATE, 4096, 0600);
    assert_true(id >= 0);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    return id;
}

/* As its owner does it, who is the liar. */
static void show(const struct weir__side *liar, uint64_t page)
{
    const struct weir__slots *own = weir__side_own(liar);
    atomic_store(&own->at[liar->number].page, page);
    weir__slots_changed(own);
    weir__slots_ring(weir__side_others(liar));
}

static void show_what_is_gone(const struct weir__side *liar)
{
    show(liar, weir__page_word(liar->me, removed_id()));
}

/* Of the victim: there is nothing, and no room. */
static void call_in_vain(bool is_publisher, int64_t deadline_ns, int expected)
{
    struct weir_message message;
    int result = is_publisher ? weir_publisher_send_until(pair.publisher, "text", 4, 0, deadline_ns)
                              : weir_subscriber_take_until(pair.subscriber, &message, deadline_ns);
    assert_result(result, expected);
}

/* The victim is there, and has called; then the liar comes, and lies before it is met. */
static void begin(bool is_publisher)
{
    if (is_publisher) {
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
        assert_result(weir_publisher_wait_subscribers(pair.publisher, 1, NOW), -EAGAIN);
        assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
    } else {
        assert_result(weir_subscriber_open(&pair.subscriber, "lane", NULL), 0);
        call_in_vain(false, NOW, -EAGAIN);
        assert_result(weir_publisher_open(&pair.publisher, "lane", &small_ring), 0);
    }
    show_what_is_gone(side_of(!is_publisher));
}

/* It has been in the middle of showing: no note of what was there before hides it. */
static void expect_sound(bool is_publisher)
{
    const struct weir__side *liar = side_of(!is_publisher);
    show(liar, liar->shown);
    if (is_publisher) {
        assert_true(weir__publisher_is_ready(pair.publisher));
    } else {
        assert_true(weir__subscriber_is_ready(pair.subscriber));
        call_in_vain(false, NOW, -EAGAIN); /* it attaches */
    }
    pair_send_text(&pair, "text");
    struct weir_message message = pair_take_text(&pair, "text");
    assert_result(weir_subscriber_release(pair.subscriber, &message), 0);
    pair_close(&pair);
}

static void poll_in_vain(bool is_publisher)
{
    unsigned told = 0;
    begin(is_publisher);
    int fd = is_publisher ? weir_publisher_fd(pair.publisher) : weir_subscriber_fd(pair.subscriber);
    assert_true(fd >= 0);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    for (; told < MANY && is_readable(fd, A_MOMENT_MS); told++)
        call_in_vain(is_publisher, NOW, -EAGAIN);
    assert_in_range(told, 0, FEW);
    /* It may be there by now. */
    assert_true(is_readable(fd, 20000));
    call_in_vain(is_publisher, NOW, -EAGAIN);
    expect_sound(is_publisher);
}

static void test_a_subscriber_that_polls(void **state)
{
    (void)state;
    poll_in_vain(false);
}

static void test_a_publisher_that_polls(void **state)
{
    (void)state;
    poll_in_vain(true);
}

static void wait_in_vain(bool is_publisher)
{
    struct weir_wait_event event;
    struct weir_wait_set *set;
    unsigned told = 0;
    begin(is_publisher);
    assert_result(weir_wait_set_open(&set, NULL), 0);
    if (is_publisher)
        assert_true(weir_wait_set_add_publisher(set, pair.publisher, 1) >= 0);
    else
        assert_true(weir_wait_set_add_subscriber(set, pair.subscriber, 1) >= 0);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    for (; told < MANY; told++) {
        int64_t until_ns = weir_deadline_ns(A_MOMENT_MS * WEIR_MILLISECOND_NS);
        if (weir_wait_set_wait_until(set, &event, 1, until_ns) != 1)
            break;
        call_in_vain(is_publisher, NOW, -EAGAIN);
    }
    assert_in_range(told, 0, FEW);
    assert_int_equal(weir_wait_set_wait_until(set, &event, 1, SOON), 1);
    weir_wait_set_close(set);
    call_in_vain(is_publisher, NOW, -EAGAIN);
    expect_sound(is_publisher);
}

static void test_wait_sets(void **state)
{
    (void)state;
    wait_in_vain(false);
    wait_in_vain(true);
}

/* A call that waits sleeps meanwhile: without it it would look once a millisecond. */
static void test_calls_that_wait(void **state)
{
    (void)state;
    for (int is_publisher = 0; is_publisher < 2; is_publisher++) {
        begin(is_publisher);
        struct weir__stats_shm *stats = weir__side_stats(side_of(is_publisher));
        uint64_t before = atomic_load(&stats->looks);
        call_in_vain(is_publisher, weir_deadline_ns(MANY * WEIR_MILLISECOND_NS), -ETIMEDOUT);
        assert_in_range(atomic_load(&stats->looks) - before, 1, FEW);
        expect_sound(is_publisher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_subscriber_that_polls),
        PAIR_TEST(test_a_publisher_that_polls),
        PAIR_TEST(test_wait_sets),
        PAIR_TEST(test_calls_that_wait),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
