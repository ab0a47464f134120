/* SPDX-License-Identifier: MIT */
/*
 * Goal: the rare turns of a channel: the end while the publisher waits for it, session
 * numbers that come round, another subscriber in the place of the former, polling beside
 * a dead one, a publisher halted between two stores, one that comes where another one has left. Method: each is brought about in
 * order, in one process or with a child that is killed.
 */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include <weir/channel.h>

#include "channel/layout.h"

#define NOW INT64_C(0)
#define SECOND_NS INT64_C(1000000000)
#define SOON weir_deadline_ns(20 * SECOND_NS)
#define SESSIONS (WEIR_IDENTITY_SESSION_MAX + 1)

static const struct weir_channel_options small_ring = { .size = sizeof small_ring,
                                                        .ring_bytes = WEIR_RING_BYTES_MIN };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;

static void open_both(void)
{
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
}

static void close_both(void)
{
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void send_text(const char *text)
{
    assert_result(weir_publisher_send_until(publisher, text, strlen(text), 0, NOW), 0);
}

static struct weir_message take_text(const char *text)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_int_equal(message.size_bytes, strlen(text));
    assert_memory_equal(message.data, text, strlen(text));
    return message;
}

/* Whoever has seen the end has not stopped to say what it has released. */
static void test_wait_taken_after_the_end(void **state)
{
    struct weir_message message, none;
    (void)state;
    open_both();
    send_text("last");
    assert_result(weir_publisher_end(publisher), 0);
    message = take_text("last");
    assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -ENODATA);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN); /* held still */
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    close_both();
}

/* What was released stays said when the subscriber leaves the next instant, or is put out. */
static void test_wait_taken_after_the_subscriber(void **state)
{
    (void)state;
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        open_both();
        send_text("last");
        struct weir_message message = take_text("last");
        if (is_ended)
            assert_result(weir_publisher_end(publisher), 0);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
        weir_subscriber_close(subscriber);
        assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
        assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
        weir_publisher_close(publisher);
        /* And one that leaves with a message is told of as before. */
        open_both();
        send_text("held");
        take_text("held");
        weir_subscriber_close(subscriber);
        assert_result(weir_publisher_wait_taken(publisher, NOW), -EPIPE);
        weir_publisher_close(publisher);
    }
}

/* A pad behind the last message, from a loan that was abandoned, is nothing to be taken. */
static void test_wait_taken_before_a_pad(void **state)
{
    static char bytes[10000];
    void *loan;
    (void)state;
    open_both();
    for (int i = 0; i < 60; i++) {
        assert_result(weir_publisher_send_until(publisher, bytes, 1000, 0, NOW), 0);
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    assert_result(weir_publisher_loan_until(publisher, 10000, &loan, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    weir_publisher_abandon(publisher);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    send_text("behind");
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    close_both();
}

/* What is held of a former publisher's does not keep a pad of the present one's. */
static void test_a_pad_beside_a_former_hold(void **state)
{
    static char bytes[10000];
    struct weir_message former, none;
    void *loan;
    (void)state;
    open_both();
    send_text("former");
    former = take_text("former");
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -ENODATA);
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -EAGAIN);
    for (int i = 0; i < 60; i++) {
        assert_result(weir_publisher_send_until(publisher, bytes, 1000, 0, NOW), 0);
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    }
    assert_result(weir_publisher_loan_until(publisher, 10000, &loan, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -EAGAIN);
    assert_result(weir_publisher_commit(publisher, 0, 0), 0);
    /* The ring is free from behind the pad: three of the longest, and one nearly so. */
    static char large[16376];
    for (int i = 0; i < 3; i++)
        assert_result(weir_publisher_send_until(publisher, large, sizeof large, 0, NOW), 0);
    assert_result(weir_publisher_send_until(publisher, large, 16000, 0, NOW), 0);
    assert_result(weir_subscriber_release(subscriber, &former), 0);
    close_both();
}

static void test_one_held_does_not_fill_the_table(void **state)
{
    struct weir_message first, message;
    (void)state;
    open_both();
    send_text("first");
    first = take_text("first");
    for (int i = 0; i < 3 * WEIR_HOLDS_MAX; i++) {
        send_text("x");
        message = take_text("x");
        assert_result(weir_subscriber_release(subscriber, &message), 0);
        assert_result(weir_subscriber_release(subscriber, &message), -EINVAL);
    }
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_release(subscriber, &first), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    close_both();
}

/* The subscriber's word in the slot is, after so many joinings, what it was. */
static void test_subscriber_sessions_come_round(void **state)
{
    (void)state;
    open_both();
    send_text("one");
    take_text("one");
    for (unsigned i = 1; i < SESSIONS; i++) {
        weir_subscriber_close(subscriber);
        assert_result(weir_subscriber_open(&subscriber, "other", NULL), 0);
    }
    weir_subscriber_close(subscriber);
    for (unsigned i = 0; i < 2; i++) { /* the first has the number again */
        assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
        send_text("two");
        take_text("two");
        weir_subscriber_close(subscriber);
    }
    weir_publisher_close(publisher);
}

/* The same for the publisher; and a message held from then is not taken for one of now. */
static void test_publisher_sessions_come_round(void **state)
{
    struct weir_message held, message;
    (void)state;
    open_both();
    send_text("held");
    held = take_text("held");
    weir_publisher_close(publisher);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENODATA);
    for (unsigned i = 1; i < SESSIONS - 1; i++) {
        assert_result(weir_publisher_open(&publisher, "other", &small_ring), 0);
        weir_publisher_close(publisher);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
        send_text("now!");
        message = take_text("now!");
        assert_true(message.session != held.session);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
        assert_memory_equal(held.data, "held", 4);
        weir_publisher_close(publisher);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENODATA);
    }
    assert_result(weir_subscriber_release(subscriber, &held), 0);
    weir_subscriber_close(subscriber);
}

#define ROUNDS 100

static void take_all_asleep(struct companion *companion, void *argument)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_message message;
    char byte = 0;
    (void)argument;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &options), 0);
    companion_arrive(companion);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, SOON), 0);
        CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
        CHECK(write(companion->from_child, &byte, 1) == 1);
    }
    weir_subscriber_close(subscriber);
}

/* A wake that is lost costs a slice of 200 ms: a twentieth of them exceeds the bound. */
static void test_the_next_subscriber_is_rung(void **state)
{
    struct companion companion;
    (void)state;
    open_both();
    send_text("x");
    weir_subscriber_close(subscriber);
    companion_start(&companion, take_all_asleep, NULL);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        assert_result(weir_publisher_send(publisher, "x", 1), 0);
        companion_meet(&companion); /* it has taken it, and will sleep */
    }
    assert_true(weir_now_ns() - before_ns < ROUNDS / 20 * INT64_C(200000000));
    assert_int_equal(companion_end(&companion), 0);
    weir_publisher_close(publisher);
}

/*
 * One that has claimed its slot and shown nothing is found by a look. It shows its page, attaches
 * and sleeps while a loan from before that look is out; the commit rings it.
 */
static void test_who_was_found_is_rung_for_a_loan(void **state)
{
    struct weir_segment *directory_segment;
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    uint64_t identity;
    void *loan;
    (void)state;
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    assert_result(weir_segment_open(&directory_segment, weir_by_name("lane"), 0, &options), 0);
    struct weir__directory_shm *directory = weir_segment_data(directory_segment);
    struct weir__slot_shm *slot = &directory->slots[WEIR_CHANNEL_MEMBERS_DEFAULT];
    assert_result(weir_publisher_loan_until(publisher, 8, &loan, NOW), 0);
    atomic_store(&slot->owner, identity | 5); /* claims */
    atomic_fetch_add(&directory->roles[WEIR__SUBSCRIBER].changes, 1);
    assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
    atomic_fetch_add(&directory->roles[WEIR__SUBSCRIBER].changes, 1); /* shows */
    uint32_t bell = atomic_load(&slot->doorbell);
    assert_result(weir_publisher_commit(publisher, 8, 0), 0);
    assert_int_equal(atomic_load(&slot->doorbell), bell + 1);
    atomic_store(&slot->owner, 0);
    weir_segment_close(directory_segment);
    weir_publisher_close(publisher);
}

/* Attached by the wait alone; an end is told before the next one is waited for. */
static void test_wait_for_a_publisher(void **state)
{
    struct weir_message message;
    (void)state;
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), -EAGAIN);
    assert_result(weir_subscriber_wait_publisher(subscriber, weir_deadline_ns(1000000)),
                  -ETIMEDOUT);
    for (unsigned turn = 1; turn <= 2; turn++) {
        assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), -EAGAIN);
        assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, NOW), 0);
        send_text("mine");
        message = take_text("mine");
        assert_int_equal(message.session, turn);
        assert_result(weir_subscriber_release(subscriber, &message), 0);
        weir_publisher_close(publisher);
        assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENODATA);
        assert_result(weir_subscriber_wait_publisher(subscriber, NOW), -EAGAIN);
    }
    weir_subscriber_close(subscriber);
}

static void meet_publishers_asleep(struct companion *companion, void *argument)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_message message;
    char byte = 0;
    (void)argument;
    options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", &options), 0);
    companion_arrive(companion);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(weir_subscriber_wait_publisher(subscriber, SOON), 0);
        CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, SOON), -ENODATA);
        CHECK(write(companion->from_child, &byte, 1) == 1);
    }
    weir_subscriber_close(subscriber);
}

/* As above: a wake that is lost costs a slice. */
static void test_who_waits_for_a_publisher_is_rung(void **state)
{
    struct companion companion;
    (void)state;
    companion_start(&companion, meet_publishers_asleep, NULL);
    companion_meet(&companion);
    companion_release(&companion);
    int64_t before_ns = weir_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
        assert_result(weir_publisher_wait_subscribers(publisher, 1, SOON), 0);
        weir_publisher_close(publisher);
        companion_meet(&companion); /* it waits for the next one, or will */
    }
    assert_true(weir_now_ns() - before_ns < ROUNDS / 20 * INT64_C(200000000));
    assert_int_equal(companion_end(&companion), 0);
}

static void publish_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    companion_arrive(companion);
}

static void subscribe_until_killed(struct companion *companion, void *argument)
{
    (void)argument;
    CHECK_RESULT(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    companion_arrive(companion);
}

/* Who never waits learns of a death as well, within the same second. */
static void test_pollers_learn_of_a_death(void **state)
{
    struct companion companion;
    struct weir_message message;
    int result;
    (void)state;
    companion_start(&companion, publish_until_killed, NULL);
    companion_meet(&companion);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    int64_t until_ns = weir_now_ns() + SECOND_NS;
    do
        result = weir_subscriber_take_until(subscriber, &message, NOW);
    while (result == -EAGAIN && weir_now_ns() < until_ns);
    assert_result(result, -EPIPE);
    weir_subscriber_close(subscriber);

    companion_start(&companion, subscribe_until_killed, NULL);
    companion_meet(&companion); /* and has seen no publisher */
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    assert_result(weir_publisher_send_until(publisher, "x", 1, 0, NOW), -EAGAIN);
    assert_int_equal(kill(companion.pid, SIGKILL), 0);
    companion_end(&companion);
    until_ns = weir_now_ns() + SECOND_NS;
    do
        result = weir_publisher_send_until(publisher, "x", 1, 0, NOW);
    while (result == -EAGAIN && weir_now_ns() < until_ns);
    assert_result(result, 0);
    weir_publisher_close(publisher);
}

/* The lane of the publisher, as itself writes it. */
static struct weir__lane_shm *find_lane(char **base)
{
    struct shm_info info;
    struct shmid_ds found;
    /* shmctl(2): the address is of the type that the command says. */
    int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);
    for (int index = 0; index <= last; index++) {
        int id = shmctl(index, SHM_STAT, &found);
        char *memory = id >= 0 ? shmat(id, NULL, 0) : (void *)-1;
        if (memory == (void *)-1)
            continue;
        for (size_t at = 0; at <= 4096 && found.shm_segsz >= 3 * (size_t)4096; at += 4096) {
            struct weir__lane_shm *lane = (void *)(memory + at);
            if (lane->member.magic == WEIR__LANE_MAGIC)
                return *base = memory, lane;
        }
        shmdt(memory);
    }
    return NULL;
}

/* Halted between the stores of the boundary, it cannot be joined; afterwards it can. */
static void test_a_boundary_that_is_being_stored(void **state)
{
    struct weir_message message;
    (void)state;
    if (geteuid() != 0)
        skip(); /* a lane has mode 0400 */
    assert_result(weir_publisher_open(&publisher, "lane", &small_ring), 0);
    char *base = NULL;
    struct weir__lane_shm *lane = find_lane(&base);
    assert_non_null(lane);
    atomic_store(&lane->boundary_before, 8);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    int64_t before_ns = weir_now_ns();
    assert_result(
        weir_subscriber_take_until(subscriber, &message, weir_deadline_ns(SECOND_NS / 20)),
        -ETIMEDOUT);
    assert_true(weir_now_ns() - before_ns < SECOND_NS);
    atomic_store(&lane->boundary_before, 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    send_text("now");
    take_text("now");
    shmdt(base);
    close_both();
}

static void take_in_child(void *argument)
{
    struct weir_message message;
    (void)argument;
    CHECK_RESULT(weir_subscriber_take_until(subscriber, &message, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_wait_publisher(subscriber, NOW), -ECHILD);
    CHECK_RESULT(weir_subscriber_fd(subscriber), -ECHILD);
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

static void test_a_child_with_a_full_table(void **state)
{
    (void)state;
    open_both();
    for (int i = 0; i < WEIR_HOLDS_MAX; i++) {
        send_text("x");
        take_text("x");
    }
    in_child(take_in_child, NULL);
    close_both();
}

/* The child has the descriptor, and neither its thread nor the memory that it looks at. */
static void test_a_child_with_a_descriptor(void **state)
{
    (void)state;
    open_both();
    struct pollfd poll_fd = { .events = POLLIN };
    assert_true((poll_fd.fd = weir_subscriber_fd(subscriber)) >= 0);
    in_child(take_in_child, NULL);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    send_text("x");
    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    take_text("x");
    close_both();
}

static void open_as_another(void *argument)
{
    uint64_t identity;
    (void)argument;
    CHECK_RESULT(weir_identity(&identity), 0);
    CHECK(seteuid(OTHER_UID) == 0);
    CHECK_RESULT(weir_publisher_open(&publisher, "lane", NULL), -EPERM);
}

/* The kernel would confirm its life for the former uid alone: it would be taken for dead. */
static void test_a_beacon_of_another_uid(void **state)
{
    (void)state;
    if (!has_other_users())
        skip();
    in_child(open_as_another, NULL);
}

/* A lane of huge pages that are not there: whoever touched one would be killed. */
static void test_a_lane_of_huge_pages(void **state)
{
    const size_t size_bytes = WEIR__LANE_RING_OFFSET + ((size_t)1 << 27);
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    struct weir_segment *handle;
    struct weir_message message;
    uint64_t identity;
    (void)state;
    int id = shmget(IPC_PRIVATE, size_bytes, 0600 | SHM_HUGETLB | SHM_NORESERVE);
    if (id < 0) {
        print_message("no segment of huge pages may be made here\n");
        skip();
    }
    assert_result(weir_identity(&identity), 0);
    assert_result(weir_subscriber_open(&subscriber, "lane", NULL), 0);
    options.kind = WEIR__DIRECTORY_KIND;
    assert_result(weir_segment_open(&handle, weir_by_name("lane"), 0, &options), 0);
    struct weir__directory_shm *directory = weir_segment_data(handle);
    atomic_store(&directory->slots[0].owner, identity | 5);
    atomic_store(&directory->slots[0].page, ((uint64_t)(uint32_t)id + 1) << 13 | 5);
    atomic_fetch_add(&directory->roles[WEIR__PUBLISHER].changes, 1);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EPROTO);
    atomic_store(&directory->slots[0].owner, 0);
    shmctl(id, IPC_RMID, NULL);
    weir_segment_close(handle);
    weir_subscriber_close(subscriber);
}

/*
 * The lane of one that has left is left by a subscriber that finds messages always: who comes in
 * the same slot waits for no more than that.
 */
static void test_the_next_publisher_beside_a_stream(void **state)
{
    char bytes[1000] = { 0 };
    struct weir_publisher *left, *next;
    struct weir_message message;
    (void)state;
    open_both();
    assert_result(weir_publisher_open(&left, "lane", &small_ring), 0);
    for (int i = 0; i < 20; i++)
        assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, NOW), 0);
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    assert_result(weir_publisher_send_until(left, "last", 4, 1, NOW), 0);
    weir_publisher_close(left);
    assert_result(weir_publisher_open(&next, "lane", &small_ring), 0);
    int result = -EAGAIN;
    for (int i = 0; i < 1000 && result == -EAGAIN; i++) {
        assert_result(weir_publisher_send_until(publisher, bytes, sizeof bytes, 0, NOW), 0);
        assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, &message, NOW),
                      0);
        result = weir_publisher_send_until(next, "next", 4, 2, NOW);
    }
    assert_result(result, 0);
    weir_publisher_close(next);
    close_both();
}

/* Who has come since the last look, and has a message, is asked for it, too. */
static void test_wait_taken_asks_a_newcomer(void **state)
{
    struct weir_subscriber *newcomer;
    char bytes[8];
    (void)state;
    open_both();
    send_text("first"); /* room for more is known from now on */
    assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    assert_result(weir_subscriber_open(&newcomer, "lane", NULL), 0);
    send_text("second");
    assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), -EAGAIN);
    assert_result(weir_subscriber_receive_until(newcomer, bytes, sizeof bytes, NULL, NOW), 0);
    assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    weir_subscriber_close(newcomer);
    close_both();
}

int main(void)
{
#define TURNS_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, fixture_check_alive)
    const struct CMUnitTest tests[] = {
        TURNS_TEST(test_wait_taken_after_the_end),
        TURNS_TEST(test_a_lane_of_huge_pages),
        TURNS_TEST(test_wait_taken_after_the_subscriber),
        TURNS_TEST(test_wait_taken_before_a_pad),
        TURNS_TEST(test_a_pad_beside_a_former_hold),
        TURNS_TEST(test_one_held_does_not_fill_the_table),
        TURNS_TEST(test_subscriber_sessions_come_round),
        TURNS_TEST(test_publisher_sessions_come_round),
        TURNS_TEST(test_the_next_subscriber_is_rung),
        TURNS_TEST(test_who_was_found_is_rung_for_a_loan),
        TURNS_TEST(test_wait_for_a_publisher),
        TURNS_TEST(test_who_waits_for_a_publisher_is_rung),
        TURNS_TEST(test_pollers_learn_of_a_death),
        TURNS_TEST(test_a_boundary_that_is_being_stored),
        TURNS_TEST(test_a_child_with_a_full_table),
        TURNS_TEST(test_a_child_with_a_descriptor),
        TURNS_TEST(test_a_beacon_of_another_uid),
        TURNS_TEST(test_the_next_publisher_beside_a_stream),
        TURNS_TEST(test_wait_taken_asks_a_newcomer),
    };
    return cmocka_run_group_tests(tests, fixture_start_alive, fixture_end);
}
