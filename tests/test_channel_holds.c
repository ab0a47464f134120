/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is held in place stays unchanged, for ever, and the ring goes round it, as far as the
 *       quota goes; beyond that the publisher waits, as for what is not read.
 * Method: every message's bytes follow from its number. One thread keeps some messages, wherever
 *       they lie, while many rings' worth of all sizes pass, sent in every way; processes that are
 *       stopped and killed meanwhile.
 */
#include "fixture.h"
#include "holders.h"
#include "lossy.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <weir/inspect.h>

static uint64_t number; /* of the next message */
static struct weir_publisher *publisher;
static struct holder holders[3];

static void begin(unsigned count)
{
    number = 0;
    holders_wait_ns = 0;
    publisher = lossy_publisher(HOLDERS_RING, 0);
    for (unsigned i = 0; i < count; i++)
        holders[i] = (struct holder){ .subscriber = crowd_subscriber() };
    for (unsigned i = count; i < ARRAY_SIZE(holders); i++)
        holders[i].subscriber = NULL;
}

static void end(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        holder_close(&holders[i]);
    weir_publisher_close(publisher);
}

static int send_some(size_t size_bytes, unsigned count)
{
    return holders_send(publisher, ONE, &number, size_bytes, count);
}

/* As many as there is room for; their bytes, without headers. */
static uint64_t send_all(size_t size_bytes)
{
    uint64_t before = number;
    int result;
    do
        result = send_some(size_bytes, 1);
    while (result == 0);
    assert_result(result, -EAGAIN);
    return (number - before) * size_bytes;
}

/* Of all sizes, the longest often: 100 rings' worth and more, which all read. */
static void pass_rings(uint64_t seed, uint64_t rings)
{
    for (uint64_t sent = 0; sent < rings * HOLDERS_RING;) {
        size_t size_bytes =
            crowd_draw(&seed, 4) == 0
                ? HOLDERS_LONGEST
                : crowd_draw(&seed, crowd_draw(&seed, 2) ? 300 : HOLDERS_LONGEST + 1);
        assert_result(
            holders_send(publisher, (enum way)crowd_draw(&seed, MANY), &number, size_bytes, 1), 0);
        sent += size_bytes;
        holder_drain(&holders[0]);
        if (holders[1].subscriber)
            holder_drain(&holders[1]);
    }
    holder_check(&holders[0]);
}

static void test_one_is_kept_for_ever(void **state)
{
    static const size_t sizes[] = { 0, 40, 3000, HOLDERS_LONGEST - 8, HOLDERS_LONGEST };
    (void)state;
    begin(2);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_result(send_some(777 * i, 1), 0);
        holder_drain(&holders[0]);
        assert_result(send_some(sizes[i], 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        pass_rings(7 + i, i == 2 ? 100 : 20);
        assert_result(weir_subscriber_check(holders[0].subscriber, &holders[0].kept[0]), 0);
        holder_release(&holders[0], 0);
    }
    end(2);
}

static void test_many_are_kept(void **state)
{
    uint64_t seed = 5;
    (void)state;
    begin(2);
    for (unsigned i = 0; i < 16; i++) { /* wherever, over many laps */
        assert_result(send_some(crowd_draw(&seed, 1000), 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        for (uint64_t more = crowd_draw(&seed, 300); more > 0; more--) {
            assert_result(send_some(crowd_draw(&seed, 1000), 1), 0);
            holder_drain(&holders[0]);
            holder_drain(&holders[1]);
        }
    }
    for (unsigned i = 16; i > 0; i--) {
        for (unsigned more = 0; more < 500; more++) {
            assert_result(send_some(crowd_draw(&seed, 1000), 1), 0);
            holder_drain(&holders[0]);
            holder_drain(&holders[1]);
        }
        holder_check(&holders[0]);
        holder_release(&holders[0], (unsigned)crowd_draw(&seed, i));
    }
    end(2);
}

/* All places are used: the next hold stops the ring, and a release lets it go on. */
static void test_more_than_there_are_places(void **state)
{
    (void)state;
    begin(2);
    assert_result(send_some(100, 17), 0);
    for (unsigned i = 0; i < 17; i++)
        assert_result(holder_keep(&holders[0]), 0);
    for (int round = 0; round < 3; round++) {
        holder_drain(&holders[0]);
        holder_drain(&holders[1]);
        assert_in_range(send_all(1000), round == 0 ? 60000 : 0, HOLDERS_RING);
    }
    assert_result(send_some(1000, 1), -EAGAIN);
    holder_release(&holders[0], 4);
    for (int round = 0; round < 3; round++) {
        assert_in_range(send_all(1000), 50000, HOLDERS_RING);
        holder_drain(&holders[0]);
        holder_drain(&holders[1]);
    }
    holder_check(&holders[0]);
    end(2);
}

/* A quarter of the ring may be kept; the cursor stays at what is more. */
static void test_more_than_a_quarter(void **state)
{
    (void)state;
    begin(2);
    assert_result(send_some(HOLDERS_LONGEST, 2), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_in_range(send_all(1000), 1000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_int_equal(send_all(1000), 0);
    holder_check(&holders[0]);
    holder_release(&holders[0], 1); /* the one that is not announced */
    assert_in_range(send_all(1000), 16000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    pass_rings(3, 10);
    end(2);
}

/*
 * Short ones that are kept all over the ring: the longest finds no room in one piece, and is told so;
 * not that the ring is full.
 */
static void test_scattered(void **state)
{
    (void)state;
    begin(1);
    for (unsigned i = 0; i < 12; i++) {
        assert_result(send_some(100, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(send_some(HOLDERS_RING / 13 - 120, 1), 0);
        holder_drain(&holders[0]);
    }
    for (unsigned i = 0; i < 2; i++) {
        holders_wait_ns = i * MS_NS;
        assert_result(send_some(HOLDERS_LONGEST, 1), i == 0 ? -EAGAIN : -ETIMEDOUT);
        assert_non_null(strstr(weir_last_error(), "no room in one piece"));
    }
    holders_wait_ns = 0;
    assert_in_range(send_all(1000), 20000, HOLDERS_RING); /* shorter ones go in between */
    assert_non_null(strstr(weir_last_error(), "the ring is full"));
    holder_drain(&holders[0]);
    while (holders[0].kept_count > 2)
        holder_release(&holders[0], 0);
    assert_result(send_some(HOLDERS_LONGEST, 1), 0);
    end(1);
}

/* Who waits for others is told for whom. */
static void test_told_for_whom(void **state)
{
    (void)state;
    begin(1);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), -EAGAIN);
    assert_non_null(strstr(weir_last_error(), "fewer subscribers"));
    assert_result(send_some(100, 1), 0);
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(MS_NS)), -ETIMEDOUT);
    assert_non_null(strstr(weir_last_error(), "has not released every message"));
    holder_drain(&holders[0]);
    lossy_claim(false);
    int result;
    do /* as far as it was known that there is room */
        result = send_some(100, 1);
    while (result == 0);
    assert_result(result, -EAGAIN);
    assert_non_null(strstr(weir_last_error(), "has just come"));
    lossy_unclaim();
    end(1);
}

/* Before a call waits, whatever is held; of who always finds messages, what is far behind. */
static void test_when_it_is_announced(void **state)
{
    static unsigned char bytes[1000];
    (void)state;
    begin(1);
    assert_result(send_some(100, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(send_some(7000, 1), 0); /* less than an eighth of the ring */
    holder_drain(&holders[0]);
    assert_in_range(send_all(1000), 60000, HOLDERS_RING);
    holder_drain(&holders[0]);
    holder_release(&holders[0], 0);
    assert_result(send_some(100, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(send_some(1000, 20), 0);
    for (unsigned i = 0; i < 300; i++) {
        assert_result(send_some(1000, 1), 0);
        assert_result(
            weir_subscriber_receive_until(holders[0].subscriber, bytes, sizeof bytes, NULL, NOW),
            0);
        holders[0].next++;
    }
    end(1);
}

static void do_something(struct holder *holder, uint64_t *seed)
{
    switch (crowd_draw(seed, 6)) {
    case 0:
        holder_drain(holder);
        break;
    case 1:
        if (holder->kept_count > 0)
            holder_release(holder, (unsigned)crowd_draw(seed, holder->kept_count));
        break;
    default:
        if (holder->kept_count < 24)
            holder_keep(holder);
    }
}

/* Releases some, reads all: then there must be room, sooner or later. */
static void make_room(uint64_t *seed, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        holder_check(&holders[i]);
        while (holders[i].kept_count > 0 && crowd_draw(seed, 3))
            holder_release(&holders[i], (unsigned)crowd_draw(seed, holders[i].kept_count));
        holder_drain(&holders[i]);
    }
}

/* Three subscribers keep and release at random, and messages come in every way. */
static void test_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1, round = 0; round < 20; round++) {
        unsigned refused = 0;
        begin(3);
        while (number < (SANITIZED ? 500 : 4000)) {
            enum way way = (enum way)crowd_draw(&seed, WAYS);
            size_t size_bytes = crowd_draw(&seed, crowd_draw(&seed, 10) ? 500 : HOLDERS_LONGEST);
            int result = holders_send(publisher, way, &number, size_bytes,
                                      1 + (unsigned)crowd_draw(&seed, 20));
            void *data;
            if (crowd_draw(&seed, 8) == 0 &&
                weir_publisher_loan_until(publisher, crowd_draw(&seed, 3000), &data, NOW) == 0)
                weir_publisher_abandon(publisher);
            if (result != 0) {
                assert_result(result, -EAGAIN);
                refused++;
                make_room(&seed, 3);
            }
            for (unsigned i = 0; i < 30; i++)
                do_something(&holders[i % 3], &seed);
        }
        assert_true(refused > 0);
        for (unsigned i = 0; i < 3; i++)
            holder_drain(&holders[i]);
        assert_result(weir_publisher_wait_taken(publisher, NOW),
                      holders[0].kept_count + holders[1].kept_count + holders[2].kept_count > 0
                          ? -EAGAIN
                          : 0);
        end(3);
    }
}

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
    assert_result(weir_publisher_wait_subscribers(publisher, 1, weir_deadline_ns(20 * SECOND_NS)),
                  0);
    assert_result(send_some(200, 5000), 0);
    crowd_await(&board->words[0], number);
    /* Nothing is taken as long as one is kept; by then it has looked around, and announced it. */
    assert_result(weir_publisher_wait_taken(publisher, weir_deadline_ns(300 * MS_NS)), -ETIMEDOUT);
    holders_wait_ns = 0;
    return keeper;
}

static void test_stopped(void **state)
{
    int status;
    (void)state;
    begin(0);
    pid_t keeper = start_keeper();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kill(keeper, SIGSTOP), 0);
        assert_int_equal(waitpid(keeper, &status, WUNTRACED), keeper);
        assert_in_range(send_all(1000), 60000, HOLDERS_RING); /* until the cursor is in the way */
        assert_int_equal(kill(keeper, SIGCONT), 0);
        crowd_await(&board->words[0], number);
    }
    assert_result(weir_publisher_end(publisher), 0);
    crowd_end(keeper);
    end(0);
}

static void test_killed(void **state)
{
    (void)state;
    begin(0);
    pid_t keeper = start_keeper();
    holders[0] = (struct holder){ .subscriber = crowd_subscriber(), .next = number };
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    crowd_kill(keeper);
    send_all(1000); /* to where its cursor is in the way, at most */
    holders_wait_ns = 20 * SECOND_NS;
    holder_drain(&holders[0]);
    for (int i = 0; i < 20; i++) {
        assert_result(send_some(HOLDERS_LONGEST, 1), 0);
        holder_drain(&holders[0]);
    }
    holders_wait_ns = 0;
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    end(1);
}

/* All that a subscriber that begins so reads, in a row and to the newest: how many. */
static uint64_t read_history(enum weir_start start, uint64_t back)
{
    struct holder joiner = { .subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, start, back) };
    struct weir_message first;
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    assert_result(weir_subscriber_take_until(joiner.subscriber, &first, NOW), 0);
    holders_check(&first);
    assert_result(weir_subscriber_release(joiner.subscriber, &first), 0);
    joiner.next = first.sequence + 1;
    holder_drain(&joiner);
    assert_int_equal(joiner.next, number);
    holder_close(&joiner);
    return number - first.sequence;
}

static int expect_exact(const struct weir_channel_member *member, void *argument)
{
    (void)argument;
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        assert_true(member->is_exact);
        assert_int_equal(member->committed_messages, number);
    }
    return 0;
}

/* Walls of a quarter of the ring in all, at many places of a lap: who joins walks round them. */
static void test_who_joins_beside_them(void **state)
{
    (void)state;
    begin(1);
    for (unsigned i = 0; i < 5; i++) {
        assert_result(send_some(3000, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(send_some(400, 22), 0);
        holder_drain(&holders[0]);
    }
    for (unsigned i = 0; i < 300; i++) {
        assert_result(send_some(i % 7 == 0 ? 8000 : 500 + i, 1), 0);
        holder_drain(&holders[0]);
        assert_true(read_history(WEIR_START_OLDEST, 0) >= 3);
        assert_int_equal(read_history(WEIR_START_BACK, 2), 2);
        assert_result(weir_inspect_channel(CHANNEL, expect_exact, NULL), 0);
        holder_check(&holders[0]);
    }
    end(1);
}

static void test_a_lossy_one_beside_them(void **state)
{
    static unsigned char bytes[HOLDERS_LONGEST];
    struct weir_message message;
    uint64_t received = 0, missed = 0, seed = 11;
    (void)state;
    begin(1);
    struct weir_subscriber *lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    for (unsigned i = 0; i < 3000; i++) {
        size_t size_bytes = crowd_draw(&seed, i % 50 == 0 ? HOLDERS_LONGEST / 2 : 900);
        assert_result(send_some(size_bytes, 1), 0);
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
        assert_int_equal(received + missed, number);
    }
    print_message("           received %llu, missed %llu\n", (unsigned long long)received,
                  (unsigned long long)missed);
    assert_true(received > 1500 && missed > 0);
    assert_int_equal(holders[0].kept_count, 3);
    weir_subscriber_close(lossy);
    end(1);
}

/* What is announced is not released. */
static void test_wait_taken(void **state)
{
    (void)state;
    begin(2);
    assert_result(send_some(100, 3), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    holder_drain(&holders[1]);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_publisher_end(publisher), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_until(holders[0].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA); /* the lane is left, and what is held of it stays */
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    holder_release(&holders[0], 0);
    assert_result(weir_subscriber_receive_until(holders[1].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    end(2);
    begin(1); /* who closes with it has not released it either */
    assert_result(send_some(100, 3), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    weir_subscriber_close(holders[0].subscriber);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    end(0);
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = { fd, POLLIN, 0 };
    return poll(&poll_fd, 1, 0) == 1;
}

/* Refused for want of a place: what is released, in the table alone, is told. */
static void test_descriptor(void **state)
{
    (void)state;
    begin(1);
    int fd = weir_publisher_fd(publisher);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 5; i++) { /* gaps of a fifth */
        assert_result(send_some(100, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        for (unsigned more = 0; more < 13; more++) {
            assert_result(send_some(1000, 1), 0);
            holder_drain(&holders[0]);
        }
    }
    assert_result(send_some(HOLDERS_LONGEST, 1), -EAGAIN);
    assert_false(is_readable(fd));
    assert_result(send_some(1000, 1), 0); /* a shorter one has a place */
    holder_drain(&holders[0]);
    assert_result(send_some(HOLDERS_LONGEST, 1), -EAGAIN);
    assert_false(is_readable(fd));
    holder_check(&holders[0]);
    holder_release(&holders[0], 2);
    struct pollfd poll_fd = { fd, POLLIN, 0 };
    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    assert_result(send_some(HOLDERS_LONGEST, 1), 0);
    holder_drain(&holders[0]);
    end(1);
}

/* What is held of one publisher is in no other one's way. */
static void test_of_two_publishers(void **state)
{
    struct weir_message kept[2], message;
    (void)state;
    begin(0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_result(send_some(10000, 3), 0);
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
    end(0);
}

static void abandon(size_t size_bytes)
{
    void *data;
    assert_result(weir_publisher_loan_until(publisher, size_bytes, &data, NOW), 0);
    weir_publisher_abandon(publisher);
}

/* Each loan finds a gap that is too small for the next one: what they leave is no message. */
static void test_pads_in_a_row(void **state)
{
    static const size_t gaps[] = { 100, 1000, 5000 };
    struct weir_message message;
    (void)state;
    begin(1);
    struct weir_subscriber *subscriber = holders[0].subscriber;
    for (unsigned i = 0; i < ARRAY_SIZE(gaps); i++) {
        assert_result(send_some(40, 1), 0);
        assert_result(holder_keep(&holders[0]), 0);
        assert_result(send_some(gaps[i], 1), 0);
        holder_drain(&holders[0]);
    }
    assert_result(send_some(40, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    assert_result(send_some(10000, 5), 0);
    assert_result(send_some(9100, 1), 0); /* 68 bytes are left to the end */
    holder_drain(&holders[0]);
    int fd = weir_subscriber_fd(subscriber);
    assert_true(fd >= 0 && !is_readable(fd));
    abandon(90);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    abandon(900);
    abandon(4500);
    abandon(12000);
    assert_false(is_readable(fd));
    while (holders[0].kept_count > 0)
        holder_release(&holders[0], 0);
    assert_false(is_readable(fd));
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    assert_result(weir_inspect_channel(CHANNEL, expect_exact, NULL), 0);
    assert_result(send_some(12000, 1), 0);
    assert_true(is_readable(fd));
    holder_drain(&holders[0]);
    assert_int_equal(holders[0].next, number);
    pass_rings(2, 5);
    end(1);
}

/* A publisher in the slot of a former one has nothing to do with what is held of that. */
static void test_the_next_publisher(void **state)
{
    (void)state;
    begin(1);
    assert_result(send_some(3000, 1), 0);
    assert_result(holder_keep(&holders[0]), 0);
    holder_drain(&holders[0]);
    struct weir_message kept = holders[0].kept[0];
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_receive_until(holders[0].subscriber, NULL, 0, NULL, NOW),
                  -ENODATA);
    publisher = lossy_publisher(HOLDERS_RING, 0);
    number = holders[0].next = 0;
    holder_drain(&holders[0]); /* attaches it */
    for (unsigned i = 0; i < 200; i++) {
        assert_result(send_some(i % 5 ? 1000 : HOLDERS_LONGEST, 1), 0);
        holder_drain(&holders[0]);
        if (i == 50)
            assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
        holders_check(&kept);
    }
    end(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_one_is_kept_for_ever),
        CROWD_TEST(test_many_are_kept),
        CROWD_TEST(test_more_than_there_are_places),
        CROWD_TEST(test_more_than_a_quarter),
        CROWD_TEST(test_scattered),
        CROWD_TEST(test_told_for_whom),
        CROWD_TEST(test_when_it_is_announced),
        CROWD_TEST(test_at_random),
        CROWD_TEST(test_stopped),
        CROWD_TEST(test_killed),
        CROWD_TEST(test_who_joins_beside_them),
        CROWD_TEST(test_a_lossy_one_beside_them),
        CROWD_TEST(test_wait_taken),
        CROWD_TEST(test_descriptor),
        CROWD_TEST(test_of_two_publishers),
        CROWD_TEST(test_pads_in_a_row),
        CROWD_TEST(test_the_next_publisher),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
