/* SPDX-License-Identifier: MIT */
/*
 * Goal: a subscriber of several publishers gives each its turn; nobody starves while others
 *       flood, not even one that comes into another's place; held messages of several lanes are
 *       released in any order; and a message that did not fit stays the next one.
 * Method: handles of one process, so that who has messages at which moment is certain.
 */
#include "crowd.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

enum { FLOODS = 8, BYTES = 512 };

/* A turn, and the message that goes beyond it. */
#define TURN_MOST (8192 / (BYTES + 8) + 1)

/* Who sent the next message, and released. */
static uint32_t next_sender(struct weir_subscriber *subscriber)
{
    struct weir_message message;
    uint32_t who;
    uint64_t number;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    crowd_note(0, &message);
    crowd_read(&message, &who, &number);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
    return who;
}

static void flood(struct weir_publisher *publisher, uint32_t who)
{
    int result;
    do
        result = crowd_send(publisher, who, BYTES, NOW);
    while (result == 0);
    assert_result(result, -EAGAIN);
}

/* All have messages: each round of turns is one of each, and none is longer than a turn. */
static void test_turns(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publishers[FLOODS];
    for (uint32_t i = 0; i < FLOODS; i++)
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
    for (uint32_t i = 0; i < FLOODS; i++) {
        assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN); /* meets the next one */
        flood(publishers[i], i);
        while (crowd_take(subscriber, 0, NOW) == 0)
            ;
    }
    for (uint32_t i = 0; i < FLOODS; i++)
        flood(publishers[i], i);
    uint32_t order[FLOODS], turns = 0, run = 0, last = UINT32_MAX;
    while (turns <= 4 * FLOODS) {
        uint32_t who = next_sender(subscriber);
        run = who == last ? run + 1 : 1;
        assert_true(run <= TURN_MOST);
        if (who != last && turns < FLOODS)
            order[turns] = who;
        turns += who != last;
        if (who != last && turns > FLOODS)
            assert_int_equal(who, order[(turns - 1) % FLOODS]);
        last = who;
        flood(publishers[who], who);
    }
    /* The one with a single message waits for a turn of each of the others at most. */
    struct weir_publisher *quiet = crowd_publisher(WEIR_RING_BYTES_MIN);
    uint32_t others = 0;
    while (crowd_send(quiet, FLOODS, BYTES, NOW) == -EAGAIN) { /* until it is met */
        flood(publishers[last], last);
        last = next_sender(subscriber);
        assert_true(++others <= TURN_MOST + 1);
    }
    for (int i = 0; i < 20; i++) {
        others = 0;
        while ((last = next_sender(subscriber)) != FLOODS) {
            flood(publishers[last], last);
            assert_true(++others <= (FLOODS + 1) * TURN_MOST);
        }
        assert_int_equal(crowd_send(quiet, FLOODS, BYTES, NOW), 0);
    }
    weir_publisher_close(quiet);
    for (uint32_t i = 0; i < FLOODS; i++)
        weir_publisher_close(publishers[i]);
    weir_subscriber_close(subscriber);
}

enum way { RECEIVED, TAKEN, HELD, IN_BURSTS, WAYS };

static void get_one(struct weir_subscriber *subscriber, enum way way)
{
    struct weir_message message;
    uint64_t number;
    if (way == RECEIVED) {
        assert_result(weir_subscriber_receive_until(subscriber, &number, sizeof number, NULL, NOW),
                      0);
    } else if (way == IN_BURSTS) {
        assert_result(weir_subscriber_take_many_until(subscriber, &message, 1, NOW), 1);
        assert_result(weir_subscriber_release_many(subscriber, &message, 1), 0);
    } else {
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
        if (way == TAKEN)
            assert_result(weir_subscriber_release(subscriber, &message), 0);
    }
}

/*
 * A turn may be hundreds of messages, and each of them a long time: who comes meanwhile is met by one of the
 * next two calls, however the messages are read.
 */
static void test_who_comes_is_met_at_once(void **state)
{
    (void)state;
    for (enum way way = RECEIVED; way < WAYS; way++) {
        struct weir_subscriber *subscriber = crowd_subscriber();
        struct weir_publisher *first = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
        for (uint64_t i = 0; i < 2000; i++)
            assert_result(weir_publisher_send_until(first, &i, sizeof i, 0, NOW), 0);
        for (unsigned i = 0; i < 5; i++)
            get_one(subscriber, way);
        struct weir_publisher *second = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(weir_publisher_send_until(second, "x", 1, 0, NOW), -EAGAIN);
        for (unsigned i = 0; i < 2; i++)
            get_one(subscriber, way);
        assert_result(weir_publisher_send_until(second, "x", 1, 0, NOW), 0);
        weir_publisher_close(second);
        weir_publisher_close(first);
        weir_subscriber_close(subscriber);
    }
}

/* So long is the turn of one that is alone, from here on. */
static uint64_t turn_from_here(struct weir_subscriber *subscriber)
{
    struct weir__lane *lane = subscriber->live->lane;
    uint64_t head = lane->head;
    weir__lane_end_turn(lane); /* the next message is looked for all around */
    get_one(subscriber, RECEIVED);
    assert_ptr_equal(subscriber->live->lane, lane);
    return lane->turn_end - head;
}

/*
 * One alone has a long turn; but while something is held, or while one that could not be attached is to be
 * tried again, which a look alone does, it is a short one.
 */
static void test_how_long_one_alone_stays(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *first = crowd_publisher(1 << 20);
    struct weir_message held;
    assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
    for (uint64_t i = 0; i < 5000; i++)
        assert_result(weir_publisher_send_until(first, &i, sizeof i, 0, NOW), 0);
    get_one(subscriber, RECEIVED);
    assert_int_equal(turn_from_here(subscriber), 64 << 10);
    assert_result(weir_subscriber_take_until(subscriber, &held, NOW), 0);
    assert_int_equal(turn_from_here(subscriber), 8 << 10);
    assert_result(weir_subscriber_release(subscriber, &held), 0);
    assert_int_equal(turn_from_here(subscriber), 64 << 10);
    struct weir_publisher *second = crowd_publisher(WEIR_RING_BYTES_MIN);
    /* As one that is stopped in the midst of its boundary. */
    uint64_t before = atomic_fetch_add(&second->lane->boundary_before, 8);
    get_one(subscriber, RECEIVED); /* and who has come is seen */
    get_one(subscriber, RECEIVED);
    assert_int_equal(subscriber->lane_count, 1);
    assert_int_equal(turn_from_here(subscriber), 8 << 10);
    atomic_store(&second->lane->boundary_before, before);
    for (unsigned i = 0; i < (8 << 10) / 16 + 1; i++)
        get_one(subscriber, RECEIVED);
    assert_int_equal(subscriber->lane_count, 2);
    weir_publisher_close(second);
    weir_publisher_close(first);
    weir_subscriber_close(subscriber);
}

/* While one floods without a pause, others come and go in one place: each is met and heard. */
static void test_place_taken_again(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *flooding, *publisher;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.publishers_max = 2;
    assert_result(weir_publisher_open(&flooding, CHANNEL, &options), 0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    for (uint32_t who = 1; who <= 100; who++) {
        unsigned taken = 0;
        assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
        flood(flooding, 0);
        while (crowd_send(publisher, who, BYTES, NOW) == -EAGAIN) {
            next_sender(subscriber);
            flood(flooding, 0);
            assert_true(++taken <= 4 * TURN_MOST);
        }
        weir_publisher_close(publisher); /* it is read all the same */
        for (taken = 0; atomic_load(&board->seen[0][who].next) != 1; taken++) {
            next_sender(subscriber);
            flood(flooding, 0);
            assert_true(taken <= 4 * TURN_MOST);
        }
    }
    weir_publisher_close(flooding);
    weir_subscriber_close(subscriber);
}

/* The place has another owner while messages of the former one are held: they stay whole. */
static void test_held_of_a_former(void **state)
{
    (void)state;
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    struct weir_message held[6], message;
    uint32_t who;
    uint64_t number;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.publishers_max = 1;
    assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    struct weir_subscriber *subscriber = crowd_subscriber();
    for (uint32_t life = 0; life < 3; life++) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(crowd_send(publisher, life, 1000, NOW), 0);
        for (int i = 0; i < 2; i++)
            assert_result(
                weir_subscriber_take_until(subscriber, &held[2 * life + (unsigned)i], NOW), 0);
        weir_publisher_close(publisher);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENODATA);
        assert_result(weir_publisher_open(&publisher, CHANNEL, &options), 0);
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -EAGAIN);
    }
    /* The last one's ring goes round a few times meanwhile. */
    for (int i = 0; i < 500; i++) {
        assert_int_equal(crowd_send(publisher, 3, 1000, NOW), 0);
        assert_result(crowd_take(subscriber, 0, NOW), 0);
        assert_result(weir_publisher_wait_taken(publisher, NOW), 0);
    }
    static const int order[6] = { 3, 0, 5, 4, 1, 2 };
    for (int i = 0; i < 6; i++) {
        crowd_read(&held[order[i]], &who, &number);
        assert_int_equal(who, order[i] / 2);
        assert_int_equal(number, order[i] % 2);
        assert_result(weir_subscriber_release(subscriber, &held[order[i]]), 0);
        assert_result(weir_subscriber_release(subscriber, &held[order[i]]), -EINVAL);
        assert_int_equal(crowd_send(publisher, 3, 1000, NOW), 0);
        assert_result(crowd_take(subscriber, 0, NOW), 0);
    }
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
}

/* Holds of several lanes, released in any order: each lane is given back by its own oldest. */
static void test_held_of_several(void **state)
{
    (void)state;
    enum { LANES = 4, EACH = WEIR_HOLDS_MAX / LANES };
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publishers[LANES];
    struct weir_message held[WEIR_HOLDS_MAX], message;
    uint64_t seed = 88172645463325252;
    for (uint32_t i = 0; i < LANES; i++)
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    for (int round = 0; round < 200; round++) {
        unsigned left[LANES];
        for (uint32_t i = 0; i < LANES; i++) {
            left[i] = EACH;
            for (int j = 0; j < EACH; j++)
                assert_int_equal(crowd_send(publishers[i], i, 16 + crowd_draw(&seed, 900), NOW), 0);
        }
        for (unsigned i = 0; i < WEIR_HOLDS_MAX; i++) {
            assert_result(weir_subscriber_take_until(subscriber, &held[i], NOW), 0);
            crowd_note(0, &held[i]);
        }
        assert_result(weir_subscriber_take_until(subscriber, &message, NOW), -ENOBUFS);
        for (unsigned count = WEIR_HOLDS_MAX; count > 0; count--) {
            unsigned at = (unsigned)crowd_draw(&seed, count);
            uint32_t who;
            uint64_t number;
            crowd_read(&held[at], &who, &number);
            assert_result(weir_subscriber_release(subscriber, &held[at]), 0);
            held[at] = held[count - 1];
            left[who]--;
            for (uint32_t i = 0; i < LANES; i++)
                assert_result(weir_publisher_wait_taken(publishers[i], NOW), left[i] ? -EAGAIN : 0);
        }
    }
    for (uint32_t i = 0; i < LANES; i++)
        weir_publisher_close(publishers[i]);
    weir_subscriber_close(subscriber);
}

/* One message is held, alone, as most are; then comes something else. */
static void then_a_take(struct weir_subscriber *subscriber)
{
    struct weir_message message;
    assert_result(weir_subscriber_take_until(subscriber, &message, NOW), 0);
    assert_result(weir_subscriber_release(subscriber, &message), 0);
}

static void then_many(struct weir_subscriber *subscriber)
{
    struct weir_message messages[8];
    int count = weir_subscriber_take_many_until(subscriber, messages, 8, NOW);
    assert_true(count > 0);
    assert_result(weir_subscriber_release_many(subscriber, messages, (size_t)count), 0);
}

static void then_a_copy(struct weir_subscriber *subscriber)
{
    unsigned char bytes[CROWD_BYTES_MAX];
    assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, NULL, NOW), 0);
}

static void then_a_descriptor(struct weir_subscriber *subscriber)
{
    assert_true(weir_subscriber_fd(subscriber) >= 0);
    then_a_copy(subscriber);
}

static void test_the_only_one_is_kept(void **state)
{
    (void)state;
    static void (*const thens[])(struct weir_subscriber *) = { then_a_take, then_many, then_a_copy,
                                                               then_a_descriptor };
    for (size_t then = 0; then < ARRAY_SIZE(thens); then++) {
        for (int whose = 0; whose < 2; whose++) { /* of the same publisher, or of the other one */
            struct weir_subscriber *subscriber = crowd_subscriber();
            struct weir_publisher *publishers[2];
            struct weir_message only, none;
            uint32_t who;
            uint64_t was, number;
            for (uint32_t i = 0; i < 2; i++)
                publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
            assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
            for (int i = 0; i < 2; i++)
                assert_int_equal(crowd_send(publishers[0], 0, BYTES, NOW), 0);
            then_a_take(subscriber); /* it has the turn from here on */
            assert_result(weir_subscriber_take_until(subscriber, &only, NOW), 0);
            crowd_read(&only, &who, &was);
            assert_int_equal(crowd_send(publishers[whose], (uint32_t)whose, BYTES, NOW), 0);
            thens[then](subscriber);
            assert_result(weir_publisher_wait_taken(publishers[0], NOW), -EAGAIN);
            assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -EAGAIN);
            assert_result(weir_publisher_wait_taken(publishers[0], NOW), -EAGAIN);
            assert_result(weir_publisher_wait_taken(publishers[1], NOW), 0);
            weir_publisher_close(publishers[0]); /* it ends, and the lane is left */
            assert_result(weir_subscriber_take_until(subscriber, &none, NOW), -EAGAIN);
            crowd_read(&only, &who, &number);
            assert_true(who == 0 && number == was);
            assert_result(weir_subscriber_release(subscriber, &only), 0);
            assert_result(weir_subscriber_release(subscriber, &only), -EINVAL);
            weir_publisher_close(publishers[1]);
            weir_subscriber_close(subscriber);
        }
    }
}

/* Who asks for the size of each message first does not keep a publisher from its turn. */
static void test_asking_for_sizes(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *flooding = crowd_publisher(WEIR_RING_BYTES_MIN);
    struct weir_publisher *quiet = crowd_publisher(WEIR_RING_BYTES_MIN);
    unsigned char bytes[CROWD_BYTES_MAX];
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    flood(flooding, 0);
    next_sender(subscriber);                               /* it has the turn */
    assert_int_equal(crowd_send(quiet, 1, BYTES, NOW), 0); /* of type 1 */
    for (unsigned others = 0;; others++) {
        struct weir_message asked, message;
        assert_result(weir_subscriber_receive_until(subscriber, NULL, 0, &asked, NOW), -EMSGSIZE);
        assert_result(
            weir_subscriber_receive_until(subscriber, bytes, asked.size_bytes, &message, NOW), 0);
        assert_true(message.session == asked.session && message.position == asked.position);
        crowd_note(0, &message);
        if (message.type == 1)
            break;
        flood(flooding, 0);
        assert_true(others <= TURN_MOST);
    }
    weir_publisher_close(flooding);
    weir_publisher_close(quiet);
    weir_subscriber_close(subscriber);
}

/* Bursts of one message have turns as long as others. */
static void test_bursts_of_one(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publishers[2];
    for (uint32_t i = 0; i < 2; i++)
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    for (uint32_t i = 0; i < 2; i++)
        flood(publishers[i], i);
    unsigned changes = 0, taken = 0;
    uint32_t last = 0;
    struct weir_message message;
    while (weir_subscriber_take_many_until(subscriber, &message, 1, NOW) == 1) {
        crowd_note(0, &message);
        changes += message.session != last;
        last = message.session;
        taken++;
        assert_result(weir_subscriber_release_many(subscriber, &message, 1), 0);
    }
    assert_true(taken > 3 * TURN_MOST);
    assert_true(changes <= 2 * (taken / TURN_MOST + 2));
    for (uint32_t i = 0; i < 2; i++)
        weir_publisher_close(publishers[i]);
    weir_subscriber_close(subscriber);
}

static void test_too_large_stays(void **state)
{
    (void)state;
    static unsigned char bytes[CROWD_BYTES_MAX];
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publishers[3];
    struct weir_message message;
    for (uint32_t i = 0; i < 3; i++)
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
    assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN);
    for (uint32_t i = 0; i < 3; i++)
        for (int j = 0; j < 8; j++)
            assert_int_equal(crowd_send(publishers[i], i, 3000 + 100 * i, NOW), 0);
    for (int i = 0; i < 24; i++) {
        struct weir_message refused;
        for (int again = 0; again < 3; again++)
            assert_result(weir_subscriber_receive_until(subscriber, bytes, 16, &refused, NOW),
                          -EMSGSIZE);
        assert_result(
            weir_subscriber_receive_until(subscriber, bytes, refused.size_bytes, &message, NOW), 0);
        assert_int_equal(message.session, refused.session);
        assert_int_equal(message.sequence, refused.sequence);
        crowd_note(0, &message);
    }
    for (uint32_t i = 0; i < 3; i++)
        weir_publisher_close(publishers[i]);
    weir_subscriber_close(subscriber);
}

/* A round of all publishers, count messages each, read by calls that would wait. */
static void read_round(struct weir_subscriber *subscriber, struct weir_publisher **publishers,
                       unsigned count)
{
    for (unsigned i = 0; i < FLOODS * count; i++)
        assert_result(crowd_send(publishers[i / count], i / count, BYTES, NOW), 0);
    for (unsigned i = 0; i < FLOODS * count; i++)
        assert_result(crowd_take(subscriber, 0, weir_deadline_ns(SECOND_NS)), 0);
}

static bool asks_for_many; /* by which of the two calls that may find it too large */

static void expect_refused(struct weir_subscriber *subscriber, struct weir_message *refused)
{
    unsigned char bytes[4];
    int result =
        asks_for_many
            ? weir_subscriber_receive_many_until(subscriber, bytes, sizeof bytes, refused, 1, NOW)
            : weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, refused, NOW);
    assert_result(result, -EMSGSIZE);
}

static void expect_again(struct weir_subscriber *subscriber, const struct weir_message *refused)
{
    static unsigned char bytes[CROWD_BYTES_MAX];
    struct weir_message message;
    assert_result(weir_subscriber_receive_until(subscriber, bytes, sizeof bytes, &message, NOW), 0);
    assert_true(message.session == refused->session && message.position == refused->position);
}

/* Whoever comes or goes meanwhile; also of a lossy subscriber, whose lanes have no turns. */
static void test_too_large_stays_beside_others(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
        struct weir_subscriber *subscriber;
        struct weir_publisher *publishers[3];
        struct weir_message refused;
        options.delivery = way % 2 ? WEIR_DELIVERY_LOSSY : WEIR_DELIVERY_RELIABLE;
        asks_for_many = way >= 2;
        publishers[0] = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
        assert_int_equal(crowd_send(publishers[0], 0, 100, NOW), 0);
        expect_refused(subscriber, &refused);
        for (uint32_t i = 1; i < 3; i++) { /* they come */
            publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
            assert_result(weir_subscriber_wait_publisher(subscriber, NOW), 0);
            assert_int_equal(crowd_send(publishers[i], i, 100, NOW), 0);
        }
        expect_again(subscriber, &refused);
        expect_refused(subscriber, &refused);
        expect_again(subscriber, &refused);
        expect_refused(subscriber, &refused); /* of the last one */
        weir_publisher_close(publishers[0]);  /* the first one goes */
        expect_refused(subscriber, &refused);
        expect_again(subscriber, &refused);
        assert_int_equal(crowd_send(publishers[1], 1, 100, NOW), 0);
        assert_int_equal(crowd_send(publishers[2], 2, 100, NOW), 0);
        for (int i = 0; i < 2; i++) {
            expect_refused(subscriber, &refused);
            expect_again(subscriber, &refused);
        }
        for (uint32_t i = 1; i < 3; i++)
            weir_publisher_close(publishers[i]);
        weir_subscriber_close(subscriber);
    }
}

/*
 * Who answers several publishers, one message each, is not held up; in streams of several it looks
 * away once a round, for longer and longer; not while more is there than can be read.
 */
static void test_looks_away_in_streams(void **state)
{
    (void)state;
    struct weir_subscriber *subscriber = crowd_subscriber();
    struct weir_publisher *publishers[FLOODS];
    for (uint32_t i = 0; i < FLOODS; i++) {
        publishers[i] = crowd_publisher(WEIR_RING_BYTES_MIN);
        assert_result(crowd_take(subscriber, 0, NOW), -EAGAIN); /* meets it */
    }
    for (int round = 0; round < 20; round++)
        read_round(subscriber, publishers, 1);
    assert_int_equal(subscriber->away.turns, 0);
    for (int round = 0; round < 2; round++)
        read_round(subscriber, publishers, 4);
    uint32_t turns = subscriber->away.turns;
    for (int round = 0; round < 2; round++)
        read_round(subscriber, publishers, 4);
    assert_true(subscriber->away.turns > turns && turns > 0);
    turns = subscriber->away.turns;
    for (uint32_t i = 0; i < FLOODS; i++)
        flood(publishers[i], i);
    for (unsigned i = 0; i < FLOODS * 5 * (TURN_MOST - 1); i++) /* no turn ends at its very end */
        assert_result(crowd_take(subscriber, 0, weir_deadline_ns(SECOND_NS)), 0);
    assert_int_equal(subscriber->away.turns, turns);
    while (crowd_take(subscriber, 0, NOW) == 0)
        ;
    for (int round = 0; round < 4; round++)
        read_round(subscriber, publishers, 1);
    assert_int_equal(subscriber->away.turns, 0);
    for (uint32_t i = 0; i < FLOODS; i++)
        weir_publisher_close(publishers[i]);
    weir_subscriber_close(subscriber);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_turns),
        CROWD_TEST(test_who_comes_is_met_at_once),
        CROWD_TEST(test_how_long_one_alone_stays),
        CROWD_TEST(test_place_taken_again),
        CROWD_TEST(test_held_of_a_former),
        CROWD_TEST(test_held_of_several),
        CROWD_TEST(test_the_only_one_is_kept),
        CROWD_TEST(test_asking_for_sizes),
        CROWD_TEST(test_bursts_of_one),
        CROWD_TEST(test_too_large_stays),
        CROWD_TEST(test_too_large_stays_beside_others),
        CROWD_TEST(test_looks_away_in_streams),
    };
    return cmocka_run_group_tests(tests, crowd_start, fixture_end);
}
