/* SPDX-License-Identifier: MIT */
/*
 * Goal: a tap has copies of the messages of all publishers, whole and in order, knows exactly how
 *       many it missed, and nobody notices it, whatever is written while it looks.
 * Method: traffic of this process and of others, one of them killed; what is shared, before and
 *       after; then every word with every lie, between guard pages.
 */
#include "fixture.h"
#include "guard.h"
#include "liar.h"
#include "onlooker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct weir_tap *open_tap(enum weir_start from, uint64_t back)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct weir_tap *tap;
    options.start = from;
    options.start_back = back;
    assert_result(weir_tap_open(&tap, "lane", &options), 0);
    return tap;
}

static void send_number(struct weir_publisher *publisher, uint64_t number)
{
    assert_result(weir_publisher_send_until(publisher, &number, sizeof number, 0, NOW), 0);
}

static void expect_number(struct weir_tap *tap, uint64_t number)
{
    struct weir_message message;
    uint64_t got = 0;
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, &message, NOW), 0);
    assert_int_equal(got, number);
    assert_int_equal(message.sequence, number);
    assert_int_equal(message.size_bytes, sizeof got);
    assert_int_equal(message.missed, 0);
    assert_ptr_equal(message.data, &got);
}

static void expect_nothing(struct weir_tap *tap)
{
    uint64_t got;
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EAGAIN);
}

static void test_where_it_starts(void **state)
{
    struct weir_tap *taps[4];
    (void)state;
    assert_result(victim_open(true), 0);
    for (uint64_t i = 0; i < 10; i++)
        send_number(victim_publisher, i);
    taps[0] = open_tap(WEIR_START_NOW, 0);
    taps[1] = open_tap(WEIR_START_OLDEST, 0);
    taps[2] = open_tap(WEIR_START_BACK, 3);
    taps[3] = open_tap(WEIR_START_BACK, 100);
    for (uint64_t i = 0; i < 10; i++) {
        expect_number(taps[1], i);
        expect_number(taps[3], i);
        if (i >= 7)
            expect_number(taps[2], i);
    }
    send_number(victim_publisher, 10);
    for (int i = 0; i < 4; i++) {
        expect_number(taps[i], 10);
        expect_nothing(taps[i]);
        weir_tap_close(taps[i]);
    }
    victim_close();
}

/* Who joins later is read from its begin, and its end loses nothing. */
static void test_who_comes_and_goes(void **state)
{
    struct weir_publisher *publishers[2];
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    for (int round = 0; round < 20; round++) {
        uint64_t sum = 0, got;
        for (int i = 0; i < 2; i++) {
            assert_result(weir_publisher_open(&publishers[i], "lane", NULL), 0);
            for (uint64_t k = 0; k < 5; k++)
                send_number(publishers[i], k);
            if (round % 2 == 0) /* it has gone before the tap has seen it: nothing is there */
                weir_publisher_close(publishers[i]);
        }
        for (int i = 0; round % 2 == 1 && i < 10; i++) {
            assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), 0);
            sum += got;
            if (i < 2) /* attached, each in its turn: what is there stays there */
                weir_publisher_close(publishers[i]);
        }
        assert_int_equal(sum, round % 2 == 1 ? 20 : 0);
        expect_nothing(tap);
    }
    weir_tap_close(tap);
    victim_close();
}

static void test_what_was_missed(void **state)
{
    struct weir_message message;
    uint64_t sent = 0, received = 0, missed = 0, last = 0, number;
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    for (int round = 1; round <= 50; round++) {
        for (unsigned i = 0; i < (unsigned)round * 200; i++)
            send_number(victim_publisher, sent++);
        while (weir_tap_receive_until(tap, &number, sizeof number, &message, NOW) == 0) {
            received++;
            missed += message.missed;
            assert_int_equal(number, message.sequence);
            assert_int_equal(number + 1, received + missed);
            last = number;
        }
        assert_int_equal(received + missed, sent);
        assert_int_equal(last + 1, sent);
    }
    assert_true(missed > 0 && received > 50 * 200);
    weir_tap_close(tap);
    victim_close();
}

/* Messages that do not fill the ring to its end: what fills it is none. */
static void test_pads(void **state)
{
    static unsigned char data[1000], got[sizeof data];
    struct weir_message message;
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    for (uint64_t i = 0; i < 5 * CAPACITY / sizeof data; i++) {
        assert_result(weir_publisher_send_until(victim_publisher, data, sizeof data, 3, NOW), 0);
        assert_result(weir_tap_receive_until(tap, got, sizeof got, &message, NOW), 0);
        assert_int_equal(message.size_bytes, sizeof data);
        assert_int_equal(message.type, 3);
        assert_int_equal(message.sequence, i);
        expect_nothing(tap);
    }
    weir_tap_close(tap);
    victim_close();
}

/* What no message of this channel is: another size, or a header without the mark. */
static void test_nonsense(void **state)
{
    static const uint64_t headers[] = { UINT64_C(16) << 32 | 1, UINT64_C(8) << 32,
                                        UINT64_C(8) << 32 | 5 };
    uint64_t got;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        victim_options.type_name = "uint64_t";
        victim_options.type_bytes = 8;
        assert_result(victim_open(true), 0);
        victim_options.type_name = NULL;
        victim_options.type_bytes = 0;
        struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
        send_number(victim_publisher, 0);
        assert_true(liar_attach());
        weir__atomic_u64 *header =
            (weir__atomic_u64 *)(void *)((unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET);
        atomic_store(header, headers[i]);
        assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EUCLEAN);
        expect_nothing(tap);
        weir_tap_close(tap);
        victim_close();
        liar_detach();
    }
}

static void test_too_large_at_first(void **state)
{
    static unsigned char data[1000], got[1000];
    struct weir_message message;
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    memset(data, 7, sizeof data);
    assert_result(weir_publisher_send_until(victim_publisher, data, sizeof data, 3, NOW), 0);
    for (int i = 0; i < 2; i++) {
        assert_result(weir_tap_receive_until(tap, got, 999, &message, NOW), -EMSGSIZE);
        assert_int_equal(message.size_bytes, sizeof data);
        assert_int_equal(got[0], 0);
    }
    assert_result(weir_tap_receive_until(tap, got, sizeof got, &message, NOW), 0);
    assert_memory_equal(got, data, sizeof data);
    assert_int_equal(message.type, 3);
    weir_tap_close(tap);
    victim_close();
}

/* Of two publishers, too, it is the same one until there is room for it. */
static void test_too_large_of_two(void **state)
{
    static unsigned char data[1000], got[1000];
    struct weir_publisher *other;
    struct weir_message refused, message;
    (void)state;
    assert_result(victim_open(true), 0);
    assert_result(weir_publisher_open(&other, "lane", NULL), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    assert_result(weir_publisher_send(victim_publisher, data, sizeof data), 0);
    assert_result(weir_publisher_send(other, data, sizeof data), 0);
    assert_result(weir_tap_receive_until(tap, got, 999, &refused, NOW), -EMSGSIZE);
    for (int i = 0; i < 3; i++) {
        assert_result(weir_tap_receive_until(tap, got, 999, &message, NOW), -EMSGSIZE);
        assert_int_equal(message.session, refused.session);
    }
    assert_result(weir_tap_receive_until(tap, got, sizeof got, &message, NOW), 0);
    assert_int_equal(message.session, refused.session);
    assert_result(weir_tap_receive_until(tap, got, sizeof got, &message, NOW), 0);
    assert_int_not_equal(message.session, refused.session);
    weir_tap_close(tap);
    weir_publisher_close(other);
    victim_close();
}

/* Every mapping that the tap made is read-only; nothing that is shared has changed. */
static void test_nobody_notices(void **state)
{
    static unsigned char directory[16384], page[4096], lane[WEIR__LANE_RING_OFFSET];
    (void)state;
    assert_result(victim_open(true), 0);
    assert_result(victim_open(false), 0);
    assert_result(weir_publisher_wait_subscribers(victim_publisher, 1, NOW), 0);
    send_number(victim_publisher, 0);
    assert_true(liar_attach());
    size_t bytes = weir__directory_bytes(liar_directory->counts);
    size_t page_bytes = weir__page_bytes(WEIR_CHANNEL_MEMBERS_DEFAULT);
    assert_true(bytes <= sizeof directory && page_bytes <= sizeof page);
    memcpy(directory, liar_directory, bytes);
    memcpy(page, liar_page, page_bytes);
    memcpy(lane, liar_lane, sizeof lane);
    uint64_t segments = segments_now();
    size_t attached = guard_count(), writable = guard_writable_count();
    struct weir_tap *tap = open_tap(WEIR_START_OLDEST, 0);
    expect_number(tap, 0);
    expect_nothing(tap);
    assert_int_equal(guard_count(), attached + 2);
    assert_int_equal(guard_writable_count(), writable);
    assert_memory_equal(directory, liar_directory, bytes);
    assert_memory_equal(page, liar_page, page_bytes);
    assert_memory_equal(lane, liar_lane, sizeof lane);
    assert_int_equal(segments_now(), segments);
    /* The ring is full of what the subscriber has not read: the tap's reading makes no room. */
    uint64_t sent = 1;
    while (weir_publisher_send_until(victim_publisher, &sent, sizeof sent, 0, NOW) == 0)
        sent++;
    for (uint64_t i = 1; i < sent; i++)
        expect_number(tap, i);
    assert_result(weir_publisher_send_until(victim_publisher, "x", 1, 0, NOW), -EAGAIN);
    weir_tap_close(tap);
    assert_int_equal(guard_count(), attached);
    victim_close();
    liar_restore_directory();
    liar_detach();
}

static void publish_and_die(void *argument)
{
    struct weir_publisher *publisher;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    for (uint64_t i = 0; i < 100; i++)
        CHECK_RESULT(weir_publisher_send_until(publisher, &i, sizeof i, 0, NOW), 0);
    CHECK(write(*(int *)argument, "s", 1) == 1);
    char byte;
    CHECK(read(((int *)argument)[3], &byte, 1) == 1);
    raise(SIGKILL);
}

/* Its memory is there as long as the tap reads it; then the next one's. */
static void test_one_that_is_killed(void **state)
{
    int pipes[4]; /* up: write pipes[0], read pipes[1]; down: write pipes[2], read pipes[3] */
    char byte;
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(pipe(pipes + 2), 0);
    int ends[4] = { pipes[1], pipes[0], pipes[3], pipes[2] };
    pid_t child = fork();
    if (child == 0) {
        publish_and_die(ends);
        _exit(1);
    }
    close(ends[0]); /* so that a child that fails is not waited for */
    close(ends[3]);
    assert_int_equal(read(ends[1], &byte, 1), 1);
    expect_number(tap, 0); /* attached */
    assert_int_equal(write(ends[2], "g", 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (uint64_t i = 1; i < 100; i++)
        expect_number(tap, i);
    expect_nothing(tap);
    weir_tap_close(tap);
    close(ends[1]);
    close(ends[2]);
    victim_close();
}

static void join_and_die(void *unused)
{
    struct weir_publisher *publisher;
    (void)unused;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), 0);
    raise(SIGKILL);
}

/* One whose memory went before it was met has nothing to do with the message that another one sent. */
static void test_one_that_died_unseen(void **state)
{
    char sentence[512];
    (void)state;
    assert_result(victim_open(true), 0);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    assert_int_equal(status_in_child(join_and_die, NULL), SIGKILL);
    send_number(victim_publisher, 0);
    assert_result(weir_publisher_send_until(victim_publisher, "x", 1, 65536, NOW), -EINVAL);
    snprintf(sentence, sizeof sentence, "%s", weir_last_error());
    expect_number(tap, 0);
    assert_string_equal(weir_last_error(), sentence);
    weir_tap_close(tap);
    victim_close();
}

static void test_what_is_refused(void **state)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct weir_tap *tap;
    uint64_t got;
    (void)state;
    assert_result(weir_tap_open(&tap, "lane", NULL), -ENOENT);
    assert_result(weir_tap_open(&tap, "", NULL), -EINVAL);
    options.start = WEIR_START_BACK + 1;
    assert_result(weir_tap_open(&tap, "lane", &options), -EINVAL);
    options = (struct weir_tap_options){ .size = 4 };
    assert_result(weir_tap_open(&tap, "lane", &options), -EINVAL);
    assert_result(victim_open(true), 0);
    tap = open_tap(WEIR_START_NOW, 0);
    int64_t before_ns = weir_now_ns();
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, weir_deadline_ns(30 * MS_NS)),
                  -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns >= 30 * MS_NS);
    assert_result(weir_tap_receive_until(tap, &got, sizeof got, NULL, INT64_MIN), -ETIMEDOUT);
    weir_tap_close(tap);
    weir_tap_close(NULL);
    victim_close();
}

/* Another user whose publisher does not let us read its memory is told of once. */
static void be_hidden(struct companion *companion, void *argument)
{
    struct weir_publisher *publisher;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    (void)argument;
    options.trust = WEIR_TRUST_ANYONE;
    options.mode = 0600;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &options), 0);
    companion_arrive(companion);
    weir_publisher_close(publisher);
}

static void look_as_another(void *argument)
{
    struct weir_tap *tap;
    uint64_t got;
    (void)argument;
    become(OTHER_UID);
    int result = weir_tap_open(&tap, "lane", NULL);
    if (result == -EACCES || result == -EPERM)
        return; /* not even the directory */
    CHECK_RESULT(result, 0);
    result = weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW);
    CHECK(result == -EACCES || result == -EPERM);
    CHECK_RESULT(weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW), -EAGAIN);
    weir_tap_close(tap);
}

static void test_who_may_not_be_read(void **state)
{
    struct companion companion;
    (void)state;
    if (!has_other_users())
        skip();
    companion_start(&companion, be_hidden, NULL);
    companion_meet(&companion);
    in_child(look_as_another, NULL);
    companion_release(&companion);
    assert_int_equal(companion_end(&companion), 0);
}

/* Opens, and reads some, with what results may come of lies. */
static void tap_at_lies(const char *what)
{
    static unsigned char *room;
    const size_t bytes = 128;
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    static unsigned from;
    struct weir_message message;
    struct weir_tap *tap;
    if (!room)
        room = (unsigned char *)guard_new(4096) + 4096 - bytes;
    int64_t before_ns = weir_now_ns();
    options.start = from++ % (WEIR_START_BACK + 1);
    options.start_back = from % 7;
    int result = weir_tap_open(&tap, "lane", &options);
    for (int i = 0; result == 0 && i < 6; i++) {
        int one = weir_tap_receive_until(tap, room, bytes, &message, NOW);
        if (one != 0 && one != -EAGAIN && one != -EMSGSIZE && one != -EUCLEAN && one != -EPROTO)
            fail_msg("%s: receive gives %d, %s", what, one, weir_last_error());
        if (one == 0 && message.size_bytes > bytes)
            fail_msg("%s: a message of %zu bytes", what, message.size_bytes);
    }
    if (result == 0)
        weir_tap_close(tap);
    else if (result != -EPROTO && result != -EPROTONOSUPPORT && result != -EUCLEAN)
        fail_msg("%s: open gives %d, %s", what, result, weir_last_error());
    onlooker_expect_soon(before_ns);
}

/* From each place where a tap may begin. */
static void tap_at_lies_everywhere(const char *what)
{
    for (int i = 0; i <= WEIR_START_BACK; i++)
        tap_at_lies(what);
}

static void test_each_lie(void **state)
{
    char got[8];
    (void)state;
    onlooker_begin();
    onlooker_meet_each_lie(LIAR_ALL | LIAR_MARKS, tap_at_lies_everywhere);
    struct weir_tap *tap = open_tap(WEIR_START_OLDEST, 0);
    for (int i = 0; i < 3; i++)
        assert_result(weir_tap_receive_until(tap, got, sizeof got, NULL, NOW), 0);
    assert_memory_equal(got, "abcdefgh", 8);
    weir_tap_close(tap);
    onlooker_end();
}

static void tap_a_full_ring(void *argument)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct weir_tap *tap;
    uint64_t got;
    (void)argument;
    alarm(10);
    for (int i = 0; i <= WEIR_START_BACK; i++) {
        options.start = (uint32_t)i;
        options.start_back = 3;
        CHECK_RESULT(weir_tap_open(&tap, "lane", &options), 0);
        for (int k = 0; k < 6; k++) {
            int result = weir_tap_receive_until(tap, &got, sizeof got, NULL, NOW);
            CHECK(result == 0 || result == -EAGAIN || result == -EUCLEAN);
        }
        weir_tap_close(tap);
    }
}

/* A ring full of messages, where behind one nothing should be: whoever looks for the newest goes round once. */
static void test_a_ring_without_an_end(void **state)
{
    (void)state;
    assert_result(victim_open(true), 0);
    send_number(victim_publisher, 0);
    assert_true(liar_attach());
    uint64_t *ring = (uint64_t *)(void *)((unsigned char *)liar_lane + WEIR__LANE_RING_OFFSET);
    for (size_t i = 2; i < CAPACITY / 8; i += 2)
        ring[i] = ring[0];
    in_child(tap_a_full_ring, NULL);
    victim_close();
    liar_restore_directory();
    liar_detach();
}

static void test_lies_while_it_looks(void **state)
{
    (void)state;
    onlooker_begin();
    onlooker_meet_a_liar(LIAR_ALL | LIAR_MARKS, tap_at_lies);
    onlooker_end();
}

/* Messages that say whether they are whole, as fast as can be, until it is killed. */
static void be_fast(struct companion *companion, void *argument)
{
    static uint64_t words[40];
    (void)argument;
    CHECK(victim_open(true) == 0);
    companion_arrive(companion);
    for (uint64_t number = 0;; number++) {
        size_t count = 1 + number % 40;
        for (size_t i = 0; i < count; i++)
            words[i] = number * UINT64_C(0x9e3779b97f4a7c15) + i;
        CHECK_RESULT(weir_publisher_send(victim_publisher, words, count * 8), 0);
    }
}

static void test_never_torn(void **state)
{
    struct companion companion;
    struct weir_message message;
    uint64_t words[40], received = 0, missed = 0, first = UINT64_MAX;
    int64_t until_ns = weir_deadline_ns(SECOND_NS), most_ns = weir_deadline_ns(60 * SECOND_NS);
    (void)state;
    companion_start(&companion, be_fast, NULL);
    companion_meet(&companion);
    struct weir_tap *tap = open_tap(WEIR_START_NOW, 0);
    companion_release(&companion);
    /* A second's; more of it on a machine that has little time for us. */
    while (weir_now_ns() < until_ns || (received <= 1000 && weir_now_ns() < most_ns)) {
        int result = weir_tap_receive_until(tap, words, sizeof words, &message, NOW);
        if (result == -EAGAIN)
            continue;
        assert_result(result, 0);
        received++;
        missed += message.missed;
        if (first == UINT64_MAX)
            first = message.sequence - message.missed;
        assert_int_equal(message.sequence + 1 - first, received + missed);
        assert_int_equal(message.size_bytes, 8 * (1 + message.sequence % 40));
        for (size_t i = 0; i < message.size_bytes / 8; i++)
            assert_true(words[i] == message.sequence * UINT64_C(0x9e3779b97f4a7c15) + i);
    }
    assert_true(received > 1000);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    assert_int_equal(companion_end(&companion), SIGKILL);
    weir_tap_close(tap);
    clear_everything();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pads),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_where_it_starts),
        cmocka_unit_test(test_who_comes_and_goes),
        cmocka_unit_test(test_what_was_missed),
        cmocka_unit_test(test_too_large_at_first),
        cmocka_unit_test(test_too_large_of_two),
        cmocka_unit_test(test_nobody_notices),
        cmocka_unit_test(test_one_that_is_killed),
        cmocka_unit_test(test_one_that_died_unseen),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_who_may_not_be_read),
        cmocka_unit_test(test_each_lie),
        cmocka_unit_test(test_a_ring_without_an_end),
        cmocka_unit_test(test_lies_while_it_looks),
        cmocka_unit_test(test_never_torn),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
