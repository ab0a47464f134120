/* SPDX-License-Identifier: MIT */
/*
 * Goal: others beside what is held: who holds it is stopped or killed, one joins or falls behind,
 *       another publisher is there or comes next; what is held is in the way of none of them.
 * Method: as in test_channel_holds.c, with processes that are stopped and killed meanwhile.
 */
#include "fixture.h"
#include "holders.h"
#include "lossy.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* Keeps the first, and reads on to the end. */
static void keep_one(void *argument)
{
    struct holder holder = { .subscriber = crowd_subscriber() };
    struct weir_message message;
    int result;
    (void)argument;
    atomic_fetch_add(&board->ready, 1);
    CHECK_RESULT(weir_subscriber_take(holder.subscriber, &holder.kept[0]), 0);
    holder.kept_count = 1;
    holder.next = holder.kept[0].sequence + 1;
    while ((result = weir_subscriber_take(holder.subscriber, &message)) == 0) {
        CHECK(message.sequence == holder.next++);
        holders_check(&message);
        CHECK_RESULT(weir_subscriber_release(holder.subscriber, &message), 0);
        atomic_store(&board->words[0], holder.next);
    }
    CHECK_RESULT(result, -ENODATA);
    holder_close(&holder);
}

/* One that keeps the first message, and has read all: it sleeps, or is about to. */
static pid_t start_keeper(void)
{
    pid_t keeper = crowd_fork(keep_one, NULL);
    crowd_await_ready(1);
    holders_wait_ns = 20 * SECOND_NS;
    assert_result(
        weir_publisher_wait_subscribers(holders_publisher, 1, weir_deadline_ns(20 * SECOND_NS)), 0);
    assert_result(holders_send(200, 5000), 0);
    crowd_await(&board->words[0], holders_number);
    /* Nothing is taken as long as one is kept; by then it has looked around, and announced it. */
    assert_result(weir_publisher_wait_taken(holders_publisher, weir_deadline_ns(300 * MS_NS)),
                  -ETIMEDOUT);
    holders_wait_ns = 0;
    return keeper;
}

static void test_stopped(void **state)
{
    int status;
    (void)state;
    holders_begin(0);
    pid_t keeper = start_keeper();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kill(keeper, SIGSTOP), 0);
        assert_int_equal(waitpid(keeper, &status, WUNTRACED), keeper);
        assert_in_range(holders_send_all(1000), 60000,
                        HOLDERS_RING); /* until the cursor is in the way */
        assert_int_equal(kill(keeper, SIGCONT), 0);
        crowd_await(&board->words[0], holders_number);
    }
    assert_result(weir_publisher_end(holders_publisher), 0);
    crowd_end(keeper);
    holders_end(0);
}

static void test_killed(void **state)
{
    (void)state;
    holders_begin(0);
    pid_t keeper = start_keeper();
    holders[0] = (struct holder){ .subscriber = crowd_subscriber(), .next = holders_number };
    assert_result(weir_publisher_wait_subscribers(holders_publisher, 2, NOW), 0);
    crowd_kill(keeper);
    holders_send_all(1000); /* to where its cursor is in the way, at most */
    holders_wait_ns = 20 * SECOND_NS;
    holder_drain(&holders[0]);
    for (int i = 0; i < 20; i++) {
        assert_result(holders_send(HOLDERS_LONGEST, 1), 0);
        holder_drain(&holders[0]);
    }
    holders_wait_ns = 0;
    assert_result(weir_publisher_wait_taken(holders_publisher, NOW), 0);
    holders_end(1);
}

/* All that a subscriber that begins so reads, in a row and to the newest: how many. */
static uint64_t read_history(enum weir_start start, uint64_t back)
{
    struct holder joiner = { .subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, start, back) };
    struct weir_message first;
    assert_result(weir_publisher_wait_subscribers(holders_publisher, 2, NOW), 0);
    assert_result(weir_subscriber_take_until(joiner.subscriber, &first, NOW), 0);
    holders_check(&first);
    assert_result(weir_subscriber_release(joiner.subscriber, &first), 0);
    joiner.next = first.sequence + 1;
    holder_drain(&joiner);
    assert_int_equal(joiner.next, holders_number);
    holder_close(&joiner);
    return holders_number - first.sequence;
}

/* Walls of a quarter of the ring in all, at many places of a lap: who joins walks round them. */
static void test_who_joins_beside_them(void **state)
{
    (void)state;
    holders_begin(1);
    for (unsigned i = 0; i < 5; i++) {
        assert_result(holders_send(3000, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(holders_send(400, 22), 0);
        holder_drain(&holders[0]);
    }
    for (unsigned i = 0; i < 300; i++) {
        assert_result(holders_send(i % 7 == 0 ? 8000 : 500 + i, 1), 0);
        holder_drain(&holders[0]);
        assert_true(read_history(WEIR_START_OLDEST, 0) >= 3);
        assert_int_equal(read_history(WEIR_START_BACK, 2), 2);
        holders_expect_exact();
        holder_check(&holders[0]);
    }
    holders_end(1);
}

static void test_a_lossy_one_beside_them(void **state)
{
    static unsigned char bytes[HOLDERS_LONGEST];
    struct weir_message message;
    uint64_t received = 0, missed = 0, seed = 11;
    (void)state;
    holders_begin(1);
    struct weir_subscriber *lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    for (unsigned i = 0; i < 3000; i++) {
        size_t size_bytes = crowd_draw(&seed, i % 50 == 0 ? HOLDERS_LONGEST / 2 : 900);
        assert_result(holders_send(size_bytes, 1), 0);
        if (i % 400 == 7 && holders[0].kept_count < 3)
            assert_result(holder_keep(&holders[0]), 0);
        holder_drain(&holders[0]);
        if (i % 500 < 100) /* falls behind, and comes back */
            continue;
        while (weir_subscriber_receive_until(lossy, bytes, sizeof bytes, &message, NOW) == 0) {
            assert_int_equal(message.sequence, received + missed + message.missed);
            holders_check(&message);
            missed += message.missed;
            received++;
        }
        assert_int_equal(received + missed, holders_number);
    }
    print_message("           received %llu, missed %llu\n", (unsigned long long)received,
                  (unsigned long long)missed);
    assert_true(received > 1500 && missed > 0);
    assert_int_equal(holders[0].kept_count, 3);
    weir_subscriber_close(lossy);
    holders_end(1);
}

/* What is held of one publisher is in no other one's way. */
static void test_of_two_publishers(void **state)
{
    struct weir_message kept[2], message;
    (void)state;
    holders_begin(0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(holders_publisher, 1, NOW), 0);
    assert_result(holders_send(10000, 3), 0);
    for (int i = 0; i < 3; i++) {
        assert_result(weir_subscriber_take_until(subscriber, &kept[0], NOW), 0);
        if (i < 2)
            assert_result(weir_subscriber_release(subscriber, &kept[0]), 0);
    }
    struct weir_publisher *other = lossy_publisher(HOLDERS_RING, 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    assert_result(weir_publisher_send_until(other, NULL, 0, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &kept[1], NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    static unsigned char bytes[1000];
    for (int i = 0; i < 40; i++) {
        assert_result(weir_publisher_send_until(other, bytes, sizeof bytes, 0, NOW), 0);
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    for (int i = 0; i < 64;
         i++) /* as many as the rest of this lap holds, and the next one's begin */
        assert_result(weir_publisher_send_until(other, bytes, sizeof bytes, 0, NOW), 0);
    assert_result(weir_publisher_send_until(other, bytes, sizeof bytes, 0, NOW), -EAGAIN);
    holders_check(&kept[0]);
    weir_publisher_close(other);
    weir_subscriber_close(subscriber);
    holders_end(0);
}

/* A publisher in the slot of a former one has nothing to do with what is held of that. */
static void test_the_next_publisher(void **state)
{
    (void)state;
    holders_begin(1);
    assert_result(holders_send(3000, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    struct weir_message kept = holders[0].kept[0];
    weir_publisher_close(holders_publisher);
    assert_result(weir_subscriber_receive_until(holders[0].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA);
    holders_publisher = lossy_publisher(HOLDERS_RING, 0);
    holders_number = holders[0].next = 0;
    holder_drain(&holders[0]); /* attaches it */
    for (unsigned i = 0; i < 200; i++) {
        assert_result(holders_send(i % 5 ? 1000 : HOLDERS_LONGEST, 1), 0);
        holder_drain(&holders[0]);
        if (i == 50)
            assert_result(weir_publisher_wait_taken(holders_publisher, NOW), 0);
        holders_check(&kept);
    }
    holders_end(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_stopped),
        CROWD_TEST(test_killed),
        CROWD_TEST(test_who_joins_beside_them),
        CROWD_TEST(test_a_lossy_one_beside_them),
        CROWD_TEST(test_of_two_publishers),
        CROWD_TEST(test_the_next_publisher),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
