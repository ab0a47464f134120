/* SPDX-License-Identifier: MIT */
/*
 * Goal: a lossy subscriber never holds a publisher up, stopped, half joined or slow; what it
 *       gets is whole, and what it misses is counted exactly, whatever call reads it.
 * Method: every message's bytes follow from its number; received and missed add up to what was
 *       sent. One thread for what can be told in advance, and processes for what cannot.
 */
#include "fixture.h"
#include "lossy.h"
#include "readable.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <weir/segment.h>
#include <weir/tap.h>

#include "channel/publisher.h"

enum { RING = 64 << 10 };

static size_t draw_size(uint64_t *seed)
{
    return 16 + crowd_draw(seed, crowd_draw(seed, 20) == 0 ? CROWD_BYTES_MAX - 15 : 200);
}

static void send_some(struct weir_publisher *publisher, uint64_t *seed, uint64_t count)
{
    bool is_batch = crowd_draw(seed, 3) == 0;
    if (is_batch)
        CHECK_RESULT(weir_publisher_batch_begin(publisher), 0);
    for (; count > 0; count--)
        CHECK_RESULT(crowd_send(publisher, 0, draw_size(seed), NOW), 0);
    if (is_batch)
        CHECK_RESULT(weir_publisher_batch_end(publisher), 0);
}

/* Rounds of more or fewer messages than the ring holds; all is read between them. */
static void test_missed_is_exact(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        struct weir_publisher *publisher = lossy_publisher(RING, 0);
        struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
        uint64_t seed = 99 + way;
        atomic_store(&board->sure[0], 0);
        for (int round = 0; round < 300; round++) {
            uint64_t before = books.missed, count = crowd_draw(&seed, 900);
            send_some(publisher, &seed, count);
            books.way = way;
            assert_int_equal(lossy_drain(&books), -EAGAIN);
            assert_int_equal(books.next, atomic_load(&board->sure[0]));
            assert_true(count > 100 || books.missed == before);
            assert_true(count < 700 || books.missed > before);
        }
        assert_int_equal(books.received + books.missed, atomic_load(&board->sure[0]));
        assert_true(books.received > 10000 && books.missed > 10000);
        assert_int_equal(books.evictions, 0);
        weir_publisher_close(publisher);
        weir_subscriber_close(books.subscriber);
    }
}

/*
 * What was reserved for a loan that is given up takes from who is behind what lies there, and no
 * more: the last messages are whole, and are received, although no other follows them.
 */
static void test_abandoned_loan(void **state)
{
    (void)state;
    for (size_t many = 1; many <= 2; many++) {
        struct weir_publisher *publisher = lossy_publisher(RING, 0);
        struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
        size_t most = weir_publisher_max_bytes(publisher);
        void *places[2];
        atomic_store(&board->sure[0], 0);
        /* A loan that needs a pad as long as itself before the ring's end: half a ring is taken. */
        while (publisher->tail < 3 * RING ||
               (publisher->tail & (RING - 1)) != RING - RING / 4 + 128)
            CHECK_RESULT(crowd_send(publisher, 0, 120, NOW), 0);
        assert_true(weir_publisher_loan_many_until(publisher, most, places, many, NOW) >= 1);
        weir_publisher_abandon(publisher);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
        assert_int_equal(books.next, atomic_load(&board->sure[0]));
        assert_true(books.received > 0);
        assert_int_equal(books.received + books.missed, atomic_load(&board->sure[0]));
        weir_publisher_close(publisher);
        assert_int_equal(lossy_drain(&books), -ENODATA);
        weir_subscriber_close(books.subscriber);
    }
}

enum { LAST = 100 };

/*
 * Sends, and once all is read by whoever is waited for has a loan of all the ring, which is given up:
 * nothing of what was sent is kept, nor does a message follow that could say how many there were.
 */
static void take_all_room(void *is_killed)
{
    static void *places[RING / 128];
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 2, until_ns), 0);
    for (int i = 0; i < LAST; i++)
        CHECK_RESULT(crowd_send(publisher, 0, 120, NOW), 0);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, until_ns), 0);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 2, NOW), 0); /* looks for room */
    CHECK(weir_publisher_loan_many_until(publisher, 120, places, RING / 128, NOW) > 0);
    weir_publisher_abandon(publisher);
    if (is_killed)
        raise(SIGKILL);
    weir_publisher_close(publisher);
}

/* Attaches whoever is there. */
static uint64_t drain_tap(struct weir_tap *tap)
{
    unsigned char bytes[120];
    uint64_t received = 0;
    int result;
    while ((result = weir_tap_receive_until(tap, bytes, sizeof bytes, NULL, NOW)) == 0)
        received++;
    assert_result(result, -EAGAIN);
    return received;
}

/* What was overwritten behind the last message is told with the end, whatever call comes to it. */
static void test_missed_behind_the_last(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 8; way++) {
        int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
        bool is_killed = way >= 4;
        struct books lossy = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
        struct books other = { .subscriber =
                                   lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0) };
        struct weir_tap *tap;
        int status;
        assert_result(weir_tap_open(&tap, CHANNEL, NULL), 0);
        atomic_store(&board->sure[0], 0);
        pid_t publisher = crowd_fork(take_all_room, is_killed ? &is_killed : NULL);
        assert_result(weir_subscriber_wait_publisher(lossy.subscriber, until_ns), 0);
        uint64_t tapped = drain_tap(tap);
        while (other.received < LAST)
            assert_result(lossy_read(&other, until_ns), 0);
        assert_int_equal(waitpid(publisher, &status, 0), publisher);
        assert_int_equal(status, is_killed ? SIGKILL : 0);
        assert_int_equal(drain_tap(tap), 0);
        assert_int_equal(weir_tap_missed(tap), LAST - tapped);
        weir_tap_close(tap);
        lossy.way = other.way = way;
        assert_result(lossy_read(&lossy, until_ns), is_killed ? -EPIPE : -ENODATA);
        assert_int_equal(lossy.received, 0);
        assert_int_equal(lossy.missed, LAST);
        assert_non_null(strstr(weir_last_error(), "100 messages"));
        assert_result(lossy_read(&other, until_ns), is_killed ? -EPIPE : -ENODATA);
        assert_int_equal(other.missed, 0);
        weir_subscriber_close(lossy.subscriber);
        weir_subscriber_close(other.subscriber);
        if (is_killed)
            assert_true(weir_collect(0, NULL, NULL) >= 0); /* the killed one's names */
    }
}

/* That one of several has gone is not told; what was missed of it is, with the last one's end, once. */
static void test_missed_of_one_of_several(void **state)
{
    (void)state;
    int64_t until_ns = weir_deadline_ns(20 * SECOND_NS);
    struct weir_message message;
    struct books lossy = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
    struct books other = { .subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0) };
    pid_t first = crowd_fork(take_all_room, NULL);
    assert_result(weir_subscriber_wait_publisher(lossy.subscriber, until_ns), 0);
    while (other.received < LAST)
        assert_result(lossy_read(&other, until_ns), 0);
    struct weir_publisher *last = lossy_publisher(RING, 0);
    crowd_end(first);
    assert_int_equal(lossy_drain(&lossy), -EAGAIN);
    assert_int_equal(lossy_drain(&other), -EAGAIN);
    assert_result(crowd_send(last, 1, 100, NOW), 0);
    assert_result(weir_subscriber_take_until(lossy.subscriber, &message, NOW), 0);
    assert_int_equal(message.missed, 0); /* none of its own publisher */
    assert_result(weir_subscriber_release(lossy.subscriber, &message), 0);
    weir_publisher_close(last);
    assert_result(weir_subscriber_take_until(lossy.subscriber, &message, NOW), -ENODATA);
    assert_int_equal(message.missed, LAST);
    last = lossy_publisher(RING, 0);
    assert_result(weir_subscriber_wait_publisher(lossy.subscriber, NOW), 0);
    weir_publisher_close(last);
    assert_result(weir_subscriber_take_until(lossy.subscriber, &message, NOW), -ENODATA);
    assert_int_equal(message.missed, 0);
    weir_subscriber_close(lossy.subscriber);
    weir_subscriber_close(other.subscriber);
}

/* Until all have ended; what it was sent is on the board by then. */
static void follow(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    struct books books = { .is_in_place = number == 1 };
    books.subscriber =
        lossy_open(number == 2 ? WEIR_DELIVERY_RELIABLE : WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    int result;
    atomic_fetch_add(&board->ready, 1);
    do
        result = lossy_read(&books, weir_deadline_ns(20 * SECOND_NS));
    while (result == 0);
    CHECK(result == -ENODATA || result == -EPIPE);
    CHECK(number != 2 || books.missed == 0);
    atomic_store(&board->notes[number], books.next);
    atomic_store(&board->received[number], books.received);
    atomic_store(&board->words[number], books.missed);
    weir_subscriber_close(books.subscriber);
}

static void publish(void *argument)
{
    uint64_t seed = 5, count = *(const uint64_t *)argument;
    struct weir_publisher *publisher = crowd_publisher(RING);
    CHECK_RESULT(weir_publisher_wait_subscribers(publisher, 3, weir_deadline_ns(20 * SECOND_NS)),
                 0);
    for (uint64_t i = 0; i < count; i++)
        CHECK_RESULT(crowd_send(publisher, 0, draw_size(&seed), weir_deadline_ns(20 * SECOND_NS)),
                     0);
    CHECK_RESULT(weir_publisher_wait_taken(publisher, weir_deadline_ns(20 * SECOND_NS)), 0);
    if (count % 2)
        raise(SIGKILL);
    weir_publisher_close(publisher);
}

/* Two lossy ones and a reliable one, with a publisher that leaves or is killed. */
static void test_at_full_speed(void **state)
{
    (void)state;
    for (unsigned kill = 0; kill < 2; kill++) {
        pid_t readers[3], publisher;
        int status;
        uint64_t count = (SANITIZED ? 10000 : 100000) + kill;
        crowd_clear(NULL);
        for (unsigned i = 0; i < 3; i++)
            readers[i] = crowd_fork(follow, &i);
        crowd_await_ready(3);
        publisher = crowd_fork(publish, &count);
        assert_int_equal(waitpid(publisher, &status, 0), publisher);
        assert_int_equal(status, kill ? SIGKILL : 0);
        for (unsigned i = 0; i < 3; i++) {
            crowd_end(readers[i]);
            print_message("           received %llu, missed %llu\n",
                          (unsigned long long)atomic_load(&board->received[i]),
                          (unsigned long long)atomic_load(&board->words[i]));
            assert_int_equal(atomic_load(&board->notes[i]), count);
            assert_int_equal(atomic_load(&board->received[i]) + atomic_load(&board->words[i]),
                             count);
        }
    }
}

static void test_stopped(void **state)
{
    (void)state;
    uint64_t seed = 3;
    unsigned number = 0;
    int status;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    pid_t reader = crowd_fork(follow, &number);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, weir_deadline_ns(20 * SECOND_NS)),
                  0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(kill(reader, SIGSTOP), 0);
        assert_int_equal(waitpid(reader, &status, WUNTRACED), reader);
        send_some(publisher, &seed, 2000); /* none of them waits */
        assert_int_equal(kill(reader, SIGCONT), 0);
    }
    assert_result(weir_publisher_end(publisher), 0);
    crowd_end(reader);
    assert_int_equal(atomic_load(&board->notes[0]), 40000);
    assert_int_equal(atomic_load(&board->received[0]) + atomic_load(&board->words[0]), 40000);
    assert_true(atomic_load(&board->words[0]) > 0);
    weir_publisher_close(publisher);
}

/* One that has claimed its slot, and shows nothing yet, for whatever reason. */
static void test_half_joined(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *subscriber = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    lossy_claim(true);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    lossy_claim(false);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0); /* the commit that sees it */
    assert_result(crowd_send(publisher, 0, 100, NOW), -EAGAIN);
    lossy_unclaim();
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    weir_subscriber_close(subscriber);
    weir_publisher_close(publisher);
}

static void test_held(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    struct weir_message held, next;
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_subscriber_take_until(lossy, &held, NOW), 0);
    assert_result(weir_subscriber_check(lossy, &held), 0);
    for (int i = 0; i < 400; i++) /* five eighths of the ring */
        assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_subscriber_check(lossy, &held), 0);
    for (int i = 0; i < 400; i++)
        assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_subscriber_check(lossy, &held), -EOVERFLOW);
    assert_result(weir_subscriber_take_until(lossy, &next, NOW), 0);
    assert_true(next.missed > 0 && next.sequence == 1 + next.missed);
    assert_result(weir_subscriber_check(lossy, &next), 0);
    assert_result(weir_subscriber_release(lossy, &held), 0);
    assert_result(weir_subscriber_check(lossy, &held), -EINVAL);
    assert_result(weir_subscriber_release(lossy, &next), 0);
    weir_subscriber_close(lossy);
    struct weir_subscriber *reliable = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_subscriber_take_until(reliable, &held, NOW), 0);
    while (crowd_send(publisher, 0, 100, NOW) == 0)
        assert_result(weir_subscriber_check(reliable, &held), 0);
    assert_result(weir_subscriber_release(reliable, &held), 0);
    weir_subscriber_close(reliable);
    weir_publisher_close(publisher);
}

/* wait_taken asks reliable ones alone; wait_subscribers counts both. */
static void test_waits(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    struct weir_subscriber *lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    struct weir_subscriber *reliable = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    struct books books = { .subscriber = reliable, .next = 1 };
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    weir_subscriber_close(reliable);
    weir_subscriber_close(lossy);
    weir_publisher_close(publisher);
}

/* Lossy ones alone are not asked, also while they join; a reliable one is. */
static void test_nobody_to_ask(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    lossy_claim(true);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
    lossy_claim(false);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    lossy_unclaim();
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    weir_publisher_close(publisher);
}

/* Nor are those asked that have left: what a lossy one took, or did not, says nothing of the others. */
static void test_nobody_is_left_to_ask(void **state)
{
    (void)state;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct weir_subscriber *lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    struct weir_subscriber *reliable = lossy_open(WEIR_DELIVERY_RELIABLE, WEIR_START_NOW, 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 2, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    struct books books = { .subscriber = reliable };
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    weir_subscriber_close(reliable);
    weir_subscriber_close(lossy);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    lossy = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0);
    books = (struct books){ .subscriber = lossy, .next = 1 };
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    weir_subscriber_close(lossy);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
    weir_publisher_close(publisher);
}

static void set_page(uint64_t *page)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *segment;
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&segment, weir_by_name(CHANNEL), 0, &options), 0);
    struct weir__directory_shm *shm = weir_segment_data(segment);
    *page = atomic_exchange(&shm->slots[0].page, *page);
    atomic_fetch_add(&shm->roles[WEIR__PUBLISHER].changes, 1);
    weir_segment_close(segment);
}

/*
 * A publisher that is stopped in the middle of something while a subscriber opens, and goes on: what
 * it sends before that one reads is read, or told as missed. Once it stands between the stores of its
 * boundary; once between its claim and its page, so that the page of a former owner stands there.
 */
static void test_stopped_publisher(void **state)
{
    (void)state;
    for (int way = 0; way < 6; way++) {
        struct weir_publisher *publisher = lossy_publisher(RING, way % 2 ? 4096 : 0);
        uint64_t seed = 31, torn = 0, page = UINT64_MAX;
        atomic_store(&board->sure[0], 0);
        if (way < 4)
            send_some(publisher, &seed, way < 2 ? 0 : 1000);
        uint64_t before = atomic_load(&board->sure[0]);
        if (way < 4)
            torn = atomic_fetch_add(&publisher->lane->boundary_before, 8);
        else
            set_page(&page);
        struct books books = { .subscriber = lossy_open(way % 2 ? WEIR_DELIVERY_RELIABLE
                                                                : WEIR_DELIVERY_LOSSY,
                                                        WEIR_START_NOW, 0),
                               .next = before };
        if (way < 4)
            atomic_store(&publisher->lane->boundary_before, torn);
        else
            set_page(&page);
        send_some(publisher, &seed, 10);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
        assert_int_equal(books.received, 10);
        send_some(publisher, &seed, 1000);
        assert_int_equal(lossy_drain(&books), -EAGAIN);
        assert_int_equal(books.received + books.missed, 1010);
        weir_publisher_close(publisher);
        weir_subscriber_close(books.subscriber);
    }
}

static void test_descriptor(void **state)
{
    (void)state;
    uint64_t seed = 17;
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
    int fd = weir_subscriber_fd(books.subscriber);
    assert_true(fd >= 0);
    send_some(publisher, &seed, 1); /* meets it: from here on it rings for messages */
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_false(is_readable(fd, 0));
    for (int round = 0; round < 20; round++) {
        send_some(publisher, &seed, 1 + crowd_draw(&seed, 2000));
        assert_true(is_readable(fd, 20000));
        assert_int_equal(lossy_drain(&books), -EAGAIN);
        assert_false(is_readable(fd, 0));
    }
    assert_int_equal(books.received + books.missed, atomic_load(&board->sure[0]));
    assert_true(books.missed > 0);
    weir_subscriber_close(books.subscriber);
    weir_publisher_close(publisher);
}

/* A publisher that comes later is read from its begin, or what was missed of that is told. */
static void test_later_publisher(void **state)
{
    (void)state;
    uint64_t seed = 23;
    struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
    struct weir_publisher *publisher = lossy_publisher(RING, 0);
    send_some(publisher, &seed, 10);
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_int_equal(books.received, 10);
    weir_publisher_close(publisher);
    assert_int_equal(lossy_read(&books, NOW), -ENODATA);
    publisher = lossy_publisher(RING, 0);
    atomic_store(&board->sure[0], 0);
    books.next = books.received = 0;
    send_some(publisher, &seed, 5000);
    assert_int_equal(lossy_drain(&books), -EAGAIN);
    assert_int_equal(books.received + books.missed, 5000);
    assert_true(books.missed > 0);
    weir_publisher_close(publisher);
    weir_subscriber_close(books.subscriber);
}

enum { VISITS = 20, VISITS_MOST = VISITS + 10 };

/* Busy with something else most of the time, so that who comes has left before it looks. */
static void look_seldom(void *argument)
{
    const struct timespec busy = { 0, 20 * MS_NS };
    struct books books = { .subscriber = lossy_open(WEIR_DELIVERY_LOSSY, WEIR_START_NOW, 0) };
    int result = 0;
    (void)argument;
    atomic_fetch_add(&board->ready, 1);
    do {
        nanosleep(&busy, NULL);
        books.next = 0; /* each is another publisher's first */
        result = lossy_read(&books, weir_deadline_ns(20 * SECOND_NS));
        CHECK(result == 0 || result == -ENODATA);
        atomic_store(&board->received[0], books.received);
    } while (!crowd_is_over());
    weir_subscriber_close(books.subscriber);
}

static int64_t visit(void)
{
    struct weir_publisher *publisher = lossy_publisher(WEIR_RING_BYTES_MIN, 0);
    atomic_store(&board->sure[0], 0);
    assert_result(crowd_send(publisher, 0, 100, NOW), 0); /* waits for nobody */
    int64_t began_ns = weir_now_ns();
    weir_publisher_close(publisher);
    return weir_now_ns() - began_ns;
}

/* A slice: so long a visit takes that is not heard, since the reader was not run. */
#define UNHEARD_NS (190 * MS_NS)

/* Who sends one message and closes is heard; by one that is stopped, not, and does not wait for it. */
static void test_short_lived(void **state)
{
    (void)state;
    int status;
    pid_t reader = crowd_fork(look_seldom, NULL);
    crowd_await_ready(1);
    for (unsigned heard = 0, visits = 0; heard < VISITS;) {
        uint64_t before = atomic_load(&board->received[0]);
        assert_in_range(++visits, 1, VISITS_MOST);
        if (visit() >= UNHEARD_NS)
            continue;
        crowd_await(&board->received[0], before + 1);
        heard++;
    }
    atomic_store(&board->is_over, 1);
    do
        visit(); /* it may wait for one */
    while (waitpid(reader, &status, WNOHANG) == 0);
    assert_int_equal(status, 0);
    atomic_store(&board->is_over, 0);
    reader = crowd_fork(look_seldom, NULL);
    crowd_await_ready(2);
    assert_int_equal(kill(reader, SIGSTOP), 0);
    assert_int_equal(waitpid(reader, &status, WUNTRACED), reader);
    int64_t took_ns = visit();
    assert_true(took_ns >= UNHEARD_NS && took_ns < 5 * SECOND_NS);
    assert_int_equal(kill(reader, SIGKILL), 0);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_true(weir_collect(0, NULL, NULL) >= 0); /* the last one's names */
}

static void expect_open(bool is_publisher, uint32_t delivery, int expected)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher = NULL;
    struct weir_subscriber *subscriber = NULL;
    options.delivery = delivery;
    if (is_publisher)
        assert_result(weir_publisher_open(&publisher, CHANNEL, &options), expected);
    else
        assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), expected);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Whether a subscriber that says so is lossy: a full ring does not hold the publisher up then. */
static bool is_lossy(struct weir_publisher *publisher, enum weir_delivery delivery)
{
    struct weir_subscriber *subscriber = lossy_open(delivery, WEIR_START_NOW, 0);
    int result = weir_publisher_wait_subscribers(publisher, 1, NOW);
    for (int i = 0; i < 2000 && result == 0; i++)
        result = crowd_send(publisher, 0, 100, NOW);
    assert_true(result == 0 || result == -EAGAIN);
    weir_subscriber_close(subscriber);
    return result == 0;
}

static void test_options(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    expect_open(true, 3, -EINVAL);
    expect_open(false, 3, -EINVAL);
    options.start = 3;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), -EINVAL);
    options = (struct weir_channel_options)WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = RING;
    options.delivery = WEIR_DELIVERY_LOSSY;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    expect_open(true, WEIR_DELIVERY_RELIABLE, -EINVAL);
    expect_open(true, WEIR_DELIVERY_LOSSY, 0);
    expect_open(true, WEIR_DELIVERY_CHANNEL, 0);
    assert_true(is_lossy(publisher, WEIR_DELIVERY_CHANNEL));
    assert_true(is_lossy(publisher, WEIR_DELIVERY_LOSSY));
    assert_false(is_lossy(publisher, WEIR_DELIVERY_RELIABLE));
    weir_publisher_close(publisher);
    publisher = lossy_publisher(RING, 0);
    expect_open(true, WEIR_DELIVERY_LOSSY, -EINVAL);
    expect_open(true, WEIR_DELIVERY_RELIABLE, 0);
    assert_false(is_lossy(publisher, WEIR_DELIVERY_CHANNEL));
    assert_true(is_lossy(publisher, WEIR_DELIVERY_LOSSY));
    weir_publisher_close(publisher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_missed_is_exact),
        CROWD_TEST(test_abandoned_loan),
        CROWD_TEST(test_missed_behind_the_last),
        CROWD_TEST(test_missed_of_one_of_several),
        CROWD_TEST(test_at_full_speed),
        CROWD_TEST(test_stopped),
        CROWD_TEST(test_half_joined),
        CROWD_TEST(test_held),
        CROWD_TEST(test_waits),
        CROWD_TEST(test_nobody_to_ask),
        CROWD_TEST(test_nobody_is_left_to_ask),
        CROWD_TEST(test_stopped_publisher),
        CROWD_TEST(test_descriptor),
        CROWD_TEST(test_later_publisher),
        CROWD_TEST(test_short_lived),
        CROWD_TEST(test_options),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
