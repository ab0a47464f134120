/* SPDX-License-Identifier: MIT */
/*
 * Goal: a publisher and a subscriber that have met go on, whatever a third member writes into their
 *       slots of the directory: each message comes, whole, once and in order, and nothing that was
 *       not read is overwritten. One whose place a living member has taken is told so. Who dies
 *       meanwhile is not waited for. Slots that are full of what nobody has claimed can be claimed.
 *       Who polls, by a descriptor or a wait set, is told of either as well.
 * Method: a publisher, a subscriber and a scribbler, three programs that share nothing else, each
 *       executed anew. It writes 0, all ones and random bits, at rest, with a full ring, and in a
 *       stream.
 */
#include "crowd.h"
#include "fixture.h"
#include "peers.h"
#include "silence.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include <weir/clock.h>
#include <weir/waitset.h>

#include "channel/publisher.h"
#include "channel/subscriber.h"

#define LONG_NS (20 * SECOND_NS)

enum { BYTES = 500, STREAM = 20000, STREAM_STEP = 100, WHO = 1 };

enum verb {
    OPEN_PUBLISHER,
    OPEN_SUBSCRIBER, /* argument: its number on the board */
    OPEN_SCRIBBLER,
    WAIT_SUBSCRIBERS,
    SEND,     /* argument: so many; value: how many were sent */
    TAKE,     /* likewise */
    SCRIBBLE, /* argument: role and kind */
    SCRIBBLE_ALL,
    SCRIBBLE_LIVING, /* each slot is this process's */
    SCRIBBLE_BESIDE, /* as long as the stream goes on; value: how often */
    LISTEN,          /* argument: how */
    POLLED,          /* once it is told, a take or a send; again, unless that is all (argument 1) */
    OWNED,           /* argument: role; value: whether its first slot has an owner */
    CLOSE,
};

/* How one polls. */
enum how {
    BY_DESCRIPTOR,
    BY_THREAD,
    BY_SET,
    HOWS
}; /* a descriptor by io_uring, where it is, or a thread */

enum kind {
    OWNER_0,
    OWNER_ONES,
    OWNER_RANDOM,
    PAGE_0,
    PAGE_ONES,
    PAGE_RANDOM,
    SLOT_0,
    SLOT_ONES,
    SLOT_RANDOM,
    FREED_BESIDE, /* its owner 0, and what its page says another segment's, by the same key */
    KINDS,
};

/* --- in a peer --------------------------------------------------------------------------- */

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static unsigned number;
static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static int open_publisher(void)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    return weir_publisher_open(&publisher, CHANNEL, &options);
}

static int open_subscriber(enum weir_delivery delivery)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.delivery = delivery;
    return weir_subscriber_open(&subscriber, CHANNEL, &options);
}

static struct peers_reply send_some(uint32_t count, int64_t timeout_ns)
{
    struct peers_reply reply = { 0, 0 };
    for (; reply.result == 0 && reply.value < count; reply.value += reply.result == 0)
        reply.result =
            crowd_send(publisher, WHO, BYTES, timeout_ns ? weir_deadline_ns(timeout_ns) : NOW);
    return reply;
}

static struct peers_reply take_some(uint32_t count, int64_t timeout_ns)
{
    struct peers_reply reply = { 0, 0 };
    struct weir_message message;
    while (reply.result == 0 && reply.value < count) {
        reply.result = weir_subscriber_take_until(subscriber, &message,
                                                  timeout_ns ? weir_deadline_ns(timeout_ns) : NOW);
        if (reply.result != 0)
            break;
        CHECK(message.missed == 0);
        crowd_note(number, &message);
        CHECK_RESULT(weir_subscriber_release(subscriber, &message), 0);
        reply.value++;
    }
    return reply;
}

static uint64_t random_word(void)
{
    crowd_draw(&seed, 1);
    return seed;
}

static void scribble(struct weir__slot_shm *slot, enum kind kind)
{
    if (kind == FREED_BESIDE) {
        atomic_fetch_xor(&slot->page, UINT64_C(1) << 40);
        atomic_store(&slot->owner, 0);
        return;
    }
    uint64_t word = kind % 3 == 0 ? 0 : kind % 3 == 1 ? UINT64_MAX : random_word();
    if (kind / 3 != PAGE_0 / 3)
        atomic_store(&slot->owner, word);
    if (kind / 3 != OWNER_0 / 3)
        atomic_store(&slot->page, word);
    if (kind / 3 == SLOT_0 / 3)
        atomic_store(&slot->doorbell, (uint32_t)word);
}

static struct weir__slots *slots_of(uint32_t role)
{
    return &subscriber->side.directory.roles[role];
}

static void scribble_all(enum kind kind)
{
    for (uint32_t role = 0; role < WEIR__ROLES; role++)
        for (uint32_t i = 0; i < slots_of(role)->count; i++)
            scribble(&slots_of(role)->at[i], kind);
}

static void be_everybody(void)
{
    for (uint32_t role = 0; role < WEIR__ROLES; role++)
        for (uint32_t i = 0; i < slots_of(role)->count; i++)
            atomic_store(&slots_of(role)->at[i].owner, subscriber->side.identity | (2 * i + 2));
}

/* Whom to poll: one's descriptor, or a set's with the handle in it. */
static int polled_fd = -1;
static struct weir_wait_set *set;

static int listen_by(enum how how)
{
    int result;
    if (how == BY_THREAD)
        CHECK(forbid_call(SYS_io_uring_setup, EPERM));
    if (how != BY_SET) {
        polled_fd = publisher ? weir_publisher_fd(publisher) : weir_subscriber_fd(subscriber);
        return polled_fd < 0 ? polled_fd : 0;
    }
    result = weir_wait_set_open(&set, NULL);
    if (result == 0)
        result = publisher ? weir_wait_set_add_publisher(set, publisher, 0)
                           : weir_wait_set_add_subscriber(set, subscriber, 0);
    return result;
}

static int listen_on(int64_t deadline_ns)
{
    struct weir_wait_event event;
    if (set)
        return weir_wait_set_wait_until(set, &event, 1, deadline_ns) == 1 ? 0 : -ETIMEDOUT;
    struct pollfd entry = { .fd = polled_fd, .events = POLLIN };
    int64_t left_ns = deadline_ns - weir_now_ns();
    return poll(&entry, 1, (int)(left_ns > 0 ? left_ns / MS_NS : 0)) == 1 ? 0 : -ETIMEDOUT;
}

static struct peers_reply polled(bool is_once, int64_t timeout_ns)
{
    struct peers_reply reply = { 0, 0 };
    int64_t deadline_ns = weir_deadline_ns(timeout_ns);
    do {
        reply.result = listen_on(deadline_ns);
        if (reply.result == 0)
            reply = publisher ? send_some(1, 0) : take_some(1, 0);
    } while (reply.result == -EAGAIN && !is_once);
    return reply;
}

static void stop_listening(void)
{
    weir_wait_set_close(set);
    set = NULL;
    polled_fd = -1;
}

/* The slots of publisher and subscriber, in turns; then it waits for the stream to go on. */
static uint32_t scribble_beside(void)
{
    uint32_t count = 0;
    for (uint64_t seen = 0; seen + STREAM_STEP < STREAM; count++) {
        scribble(&slots_of(count % WEIR__ROLES)->at[0], (enum kind)crowd_draw(&seed, KINDS));
        seen += STREAM_STEP;
        crowd_await(&board->received[0], seen);
    }
    return count;
}

static int close_all(void)
{
    stop_listening();
    weir_publisher_close(publisher);
    weir_subscriber_close(subscriber);
    publisher = NULL;
    subscriber = NULL;
    return 0;
}

struct peers_reply peers_serve(const struct peers_order *order)
{
    uint32_t argument = order->argument;
    board = peers_memory;
    switch ((enum verb)order->verb) {
    case OPEN_PUBLISHER:
        return (struct peers_reply){ open_publisher(), 0 };
    case OPEN_SUBSCRIBER:
        number = argument;
        return (struct peers_reply){ open_subscriber(WEIR_DELIVERY_RELIABLE), 0 };
    case OPEN_SCRIBBLER:
        return (struct peers_reply){ open_subscriber(WEIR_DELIVERY_LOSSY), 0 };
    case WAIT_SUBSCRIBERS:
        return (struct peers_reply){
            weir_publisher_wait_subscribers(publisher, argument, weir_deadline_ns(LONG_NS)), 0
        };
    case SEND:
        return send_some(argument, order->timeout_ns);
    case TAKE:
        return take_some(argument, order->timeout_ns);
    case SCRIBBLE:
        scribble(&slots_of(argument / KINDS)->at[0], (enum kind)(argument % KINDS));
        break;
    case SCRIBBLE_ALL:
        scribble_all((enum kind)argument);
        break;
    case SCRIBBLE_LIVING:
        be_everybody();
        break;
    case SCRIBBLE_BESIDE:
        return (struct peers_reply){ 0, scribble_beside() };
    case LISTEN:
        return (struct peers_reply){ listen_by((enum how)argument), 0 };
    case POLLED:
        return polled(argument == 1, order->timeout_ns);
    case OWNED:
        return (struct peers_reply){ 0, atomic_load(&slots_of(argument)->at[0].owner) != 0 };
    case CLOSE:
        return (struct peers_reply){ close_all(), 0 };
    }
    return (struct peers_reply){ 0, 0 };
}

/* --- in the test ------------------------------------------------------------------------- */

enum { P, S, SCRIBBLER, NEWCOMER, PEERS };

static struct peer peers[PEERS];

static void tell(int who, enum verb verb, uint32_t argument)
{
    struct peers_reply reply = peer_ask(&peers[who], (int)verb, argument, 0);
    if (reply.result != 0)
        print_error("peer %d, verb %d\n", who, (int)verb);
    assert_int_equal(reply.result, 0);
}

static void start(int who)
{
    peer_start(&peers[who]);
}

static void end(int who)
{
    tell(who, CLOSE, 0);
    peer_end(&peers[who]);
    peers[who].pid = 0;
}

/* Exactly so many, and no more is asked for. */
static void expect(struct peers_reply reply, int result, uint32_t value)
{
    assert_int_equal(reply.result, result);
    assert_int_equal(reply.value, value);
}

static void take(int who, uint32_t count)
{
    expect(peer_ask(&peers[who], TAKE, count, LONG_NS), 0, count);
}

/* As many as there is room for: fewer than that. */
static uint32_t fill(void)
{
    struct peers_reply reply = peer_ask(&peers[P], SEND, 1000, NOW);
    assert_int_equal(reply.result, -EAGAIN);
    return reply.value;
}

/* The publisher and the subscriber in the first slots; they have met. */
static void begin(void)
{
    for (int i = 0; i < NEWCOMER; i++)
        start(i);
    tell(P, OPEN_PUBLISHER, 0);
    tell(S, OPEN_SUBSCRIBER, 0);
    tell(SCRIBBLER, OPEN_SCRIBBLER, 0);
    tell(P, WAIT_SUBSCRIBERS, 2);
}

static int start_group(void **state)
{
    peers_share(sizeof *board);
    board = peers_memory;
    return fixture_start_alive(state);
}

static int clear(void **state)
{
    memset(peers, 0, sizeof peers);
    return crowd_clear(state);
}

static int check(void **state)
{
    for (int i = 0; i < PEERS; i++)
        if (peers[i].pid > 0)
            crowd_kill(peers[i].pid);
    return crowd_check(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, clear, check)

static void test_what_is_not_read_stays(void **state)
{
    (void)state;
    begin();
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        uint32_t count = fill();
        assert_true(count > 50);
        tell(SCRIBBLER, SCRIBBLE, WEIR__SUBSCRIBER * KINDS + kind);
        for (int i = 0; i < 3; i++)
            assert_int_equal(fill(), 0);
        take(S, count);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        /* Its place is its own again, and who comes can find it. */
        expect(peer_ask(&peers[P], SEND, 1, LONG_NS), 0, 1);
        take(S, 1);
    }
    for (int i = 0; i < NEWCOMER; i++)
        end(i);
}

static void test_the_publisher_is_there(void **state)
{
    (void)state;
    begin();
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        tell(SCRIBBLER, SCRIBBLE, WEIR__PUBLISHER * KINDS + kind);
        for (int i = 0; i < 3; i++)
            expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        uint32_t count = fill();
        take(S, count);
    }
    /* Its place is its own again: who comes finds it, too. */
    start(NEWCOMER);
    tell(NEWCOMER, OPEN_SUBSCRIBER, 1);
    tell(P, WAIT_SUBSCRIBERS, 3);
    expect(peer_ask(&peers[P], SEND, 10, LONG_NS), 0, 10);
    take(S, 10);
    take(NEWCOMER, 10);
    for (int i = 0; i < PEERS; i++)
        end(i);
}

static void test_a_stream(void **state)
{
    (void)state;
    begin();
    peer_tell(&peers[SCRIBBLER], SCRIBBLE_BESIDE, 0, 0);
    peer_tell(&peers[S], TAKE, STREAM, LONG_NS);
    peer_tell(&peers[P], SEND, STREAM, LONG_NS);
    expect(peer_answer(&peers[P]), 0, STREAM);
    expect(peer_answer(&peers[S]), 0, STREAM);
    expect(peer_answer(&peers[SCRIBBLER]), 0, STREAM / STREAM_STEP - 1);
    for (int i = 0; i < NEWCOMER; i++)
        end(i);
}

/* A living member has come in its place: both get all, and the first one is told. */
static void test_its_place_is_taken(void **state)
{
    (void)state;
    begin();
    start(NEWCOMER);
    uint32_t count = fill();
    tell(SCRIBBLER, SCRIBBLE, WEIR__SUBSCRIBER * KINDS + SLOT_0);
    tell(NEWCOMER, OPEN_SUBSCRIBER, 1);
    assert_int_equal(fill(), 0);
    take(S, count - 1);
    take(S, 1);
    count = fill();
    assert_true(count > 50);
    assert_int_equal(fill(), 0);
    take(S, count);
    assert_int_equal(fill(), 0); /* the other one has not read it */
    take(NEWCOMER, count);
    expect(peer_ask(&peers[S], TAKE, 1, LONG_NS), -EUCLEAN, 0);
    expect(peer_ask(&peers[P], SEND, 1, LONG_NS), 0, 1);
    take(S, 1);
    take(NEWCOMER, 1);
    /* It closes, and opens again. */
    tell(S, CLOSE, 0);
    tell(S, OPEN_SUBSCRIBER, 2);
    tell(P, WAIT_SUBSCRIBERS, 3);
    count = fill();
    assert_true(count > 50);
    take(S, count);
    take(NEWCOMER, count);
    for (int i = 0; i < PEERS; i++)
        end(i);
}

/*
 * A publisher that has not met it cannot know of it. What is whole is read; if something was
 * overwritten, that is told, before anything of it is read, and the publisher goes on without it.
 */
static void test_not_met(void **state)
{
    /* Whole; overwritten by a few, behind the publisher's last boundary; all of it, many times. */
    static const uint32_t counts[] = { 20, 132, 1000 };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        for (int j = 0; j < NEWCOMER; j++)
            start(j);
        tell(P, OPEN_PUBLISHER, 0);
        expect(peer_ask(&peers[P], SEND, 10, NOW), 0, 10);
        tell(S, OPEN_SUBSCRIBER, i);
        tell(SCRIBBLER, OPEN_SCRIBBLER, 0);
        tell(SCRIBBLER, SCRIBBLE, WEIR__SUBSCRIBER * KINDS + OWNER_0);
        expect(peer_ask(&peers[P], SEND, counts[i], NOW), 0, counts[i]);
        if (i == 0)
            take(S, counts[i]);
        else
            expect(peer_ask(&peers[S], TAKE, 1, NOW), -EUCLEAN, 0);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        expect(peer_ask(&peers[P], SEND, 20, LONG_NS), 0, 20);
        if (i == 0)
            take(S, 20);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        for (int j = 0; j < NEWCOMER; j++)
            end(j);
    }
}

static void test_it_dies(void **state)
{
    (void)state;
    begin();
    uint32_t count = fill();
    tell(SCRIBBLER, SCRIBBLE, WEIR__SUBSCRIBER * KINDS + SLOT_0);
    assert_int_equal(fill(), 0);
    peer_kill(&peers[S]);
    expect(peer_ask(&peers[P], SEND, 2 * count, LONG_NS), 0, 2 * count);
    start(S);
    tell(S, OPEN_SUBSCRIBER, 1);
    tell(P, WAIT_SUBSCRIBERS, 2);
    count = fill();
    tell(SCRIBBLER, SCRIBBLE, WEIR__PUBLISHER * KINDS + SLOT_0);
    peer_kill(&peers[P]);
    peers[P].pid = 0;
    take(S, count);
    expect(peer_ask(&peers[S], TAKE, 1, LONG_NS), -EPIPE, 0);
    end(S);
    end(SCRIBBLER);
}

/* The same, and the other one is asleep until it is told. */
static void test_it_dies_while_the_other_polls(void **state)
{
    (void)state;
    for (uint32_t how = 0; how < HOWS; how++) {
        begin();
        tell(S, LISTEN, how);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        tell(SCRIBBLER, SCRIBBLE, WEIR__PUBLISHER * KINDS + SLOT_0);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0); /* it lives */
        peer_kill(&peers[P]);
        expect(peer_ask(&peers[S], POLLED, 0, LONG_NS), -EPIPE, 0);
        start(P);
        tell(P, OPEN_PUBLISHER, 0);
        expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
        tell(P, WAIT_SUBSCRIBERS, 1);
        tell(P, LISTEN, how);
        fill();
        tell(SCRIBBLER, SCRIBBLE, WEIR__SUBSCRIBER * KINDS + SLOT_0);
        assert_int_equal(fill(), 0);
        peer_kill(&peers[S]);
        peers[S].pid = 0;
        expect(peer_ask(&peers[P], POLLED, 0, LONG_NS), 0, 1);
        end(P);
        end(SCRIBBLER);
    }
}

/* Who is put out while it polls is told, so that its next call takes the place again. */
static void test_put_out_while_it_polls(void **state)
{
    (void)state;
    for (uint32_t how = 0; how < HOWS; how++) {
        for (uint32_t role = 0; role < WEIR__ROLES; role++) {
            int who = role == WEIR__SUBSCRIBER ? S : P;
            begin();
            tell(who, LISTEN, how);
            if (who == P)
                fill();
            else
                expect(peer_ask(&peers[S], TAKE, 1, NOW), -EAGAIN, 0);
            tell(SCRIBBLER, SCRIBBLE, role * KINDS + OWNER_0);
            expect(peer_ask(&peers[SCRIBBLER], OWNED, role, 0), 0, 0);
            expect(peer_ask(&peers[who], POLLED, 1, LONG_NS), -EAGAIN, 0);
            expect(peer_ask(&peers[SCRIBBLER], OWNED, role, 0), 0, 1);
            for (int i = 0; i < NEWCOMER; i++)
                end(i);
        }
    }
}

static void test_joins_over_garbage(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        start(SCRIBBLER);
        tell(SCRIBBLER, OPEN_SCRIBBLER, 0);
        tell(SCRIBBLER, SCRIBBLE_ALL, kind);
        start(P);
        start(S);
        tell(P, OPEN_PUBLISHER, 0);
        tell(S, OPEN_SUBSCRIBER, kind);
        tell(P, WAIT_SUBSCRIBERS, 1);
        expect(peer_ask(&peers[P], SEND, 10, LONG_NS), 0, 10);
        take(S, 10);
        for (int i = 0; i < NEWCOMER; i++)
            end(i);
    }
    /* Who says that all of them are its own takes all places; its end makes them free. */
    start(SCRIBBLER);
    start(P);
    start(S);
    tell(SCRIBBLER, OPEN_SCRIBBLER, 0);
    tell(SCRIBBLER, SCRIBBLE_LIVING, 0);
    expect(peer_ask(&peers[P], OPEN_PUBLISHER, 0, 0), -EBUSY, 0);
    expect(peer_ask(&peers[S], OPEN_SUBSCRIBER, KINDS, 0), -EBUSY, 0);
    for (int i = 0; i < NEWCOMER; i++)
        end(i);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_not_read_stays),
        TEST(test_the_publisher_is_there),
        TEST(test_a_stream),
        TEST(test_its_place_is_taken),
        TEST(test_not_met),
        TEST(test_it_dies),
        TEST(test_it_dies_while_the_other_polls),
        TEST(test_put_out_while_it_polls),
        TEST(test_joins_over_garbage),
    };
    peers_begin(argc, argv);
    return cmocka_run_group_tests(tests, start_group, fixture_end);
}
