/* SPDX-License-Identifier: MIT */
/*
 * Goal: with publisher and subscriber each in a thread, whatever they do in whatever order,
 *       everything arrives once, whole and in order, and no access to the shared memory races.
 * Method: seeded draws for some seconds, both over one mapping of each segment, so that the
 *       thread sanitizer sees the race between two sides that would lie at two addresses else.
 */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/channel.h>

#include "attach.h"
#include "base/atomics.h"

/* At least so many seconds; and then until each kind of thing has happened, PATIENCE at most. */
enum { SECONDS = 2, PATIENCE = 40, LIVES_MAX = 65536, MESSAGE_BYTES_MAX = 32768, BURST = 40 };

/* What a life of the publisher has committed: so much surely, and so much at the most. */
static weir__atomic_u64 sure[LIVES_MAX], at_most[LIVES_MAX];
static weir__atomic_u32 is_over;

struct role {
    pthread_t id;
    uint64_t seed;
    char wrong[256];
    weir__atomic_u32 has_enough; /* of each kind of thing, for the main thread */
    unsigned lives, messages;
    unsigned batches, loans, waits; /* the publisher's */
    unsigned bursts;                /* of each */
    unsigned turns, sessions, ends; /* the subscriber's: releases out of order, lanes */
};

#define WANT(role, condition)                                                                      \
    do {                                                                                           \
        if (!(condition) && !(role)->wrong[0]) {                                                   \
            snprintf((role)->wrong, sizeof(role)->wrong, "line %d: %s (%.100s)", __LINE__,         \
                     #condition, weir_last_error());                                               \
            atomic_store_explicit(&is_over, 1, memory_order_relaxed);                              \
        }                                                                                          \
    } while (0)

static uint64_t draw(struct role *role, uint64_t below)
{
    role->seed ^= role->seed << 13;
    role->seed ^= role->seed >> 7;
    role->seed ^= role->seed << 17;
    return role->seed % below;
}

static bool goes_on(const struct role *role)
{
    /* Relaxed: it is only to end. */
    return !role->wrong[0] && atomic_load_explicit(&is_over, memory_order_relaxed) == 0;
}

/* Every byte of a message follows from which one it is. */
static void fill(unsigned char *bytes, size_t size_bytes, uint32_t life, uint64_t index)
{
    uint64_t word = ((uint64_t)life << 32 | index) * UINT64_C(0x9e3779b97f4a7c15);
    for (; size_bytes >= sizeof word; size_bytes -= sizeof word, bytes += sizeof word) {
        memcpy(bytes, &word, sizeof word);
        word += UINT64_C(0x0101010101010101);
    }
    if (size_bytes)
        memcpy(bytes, &word, size_bytes);
}

/* Mostly small, now and then the largest. */
static size_t draw_size(struct role *role, size_t most_bytes)
{
    static const size_t below[10] = { 9, 9, 65, 65, 65, 65, 1025, 1025, 5000, SIZE_MAX };
    size_t limit = below[draw(role, ARRAY_SIZE(below))];
    return draw(role, limit <= most_bytes ? limit : most_bytes + 1);
}

static struct weir_channel_options draw_options(struct role *role)
{
    static const uint32_t flags[4] = { 0, 0, WEIR_CHANNEL_SPIN_ONLY, WEIR_CHANNEL_SLEEP_ONLY };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.flags = flags[draw(role, ARRAY_SIZE(flags))];
    options.ring_bytes = WEIR_RING_BYTES_MIN << draw(role, 2);
    return options;
}

/* Now, soon, or long enough: then it must not come. */
static int64_t draw_deadline(struct role *role, bool *may_fail)
{
    uint64_t kind = draw(role, 4);
    *may_fail = kind < 2;
    return kind == 0   ? 0
           : kind == 1 ? weir_deadline_ns((int64_t)draw(role, 200000))
                       : weir_deadline_ns(INT64_C(20000000000));
}

static bool is_late(int result)
{
    return result == -EAGAIN || result == -ETIMEDOUT;
}

/* Time in which the other side runs dry, and falls asleep. */
static void idle(struct role *role)
{
    const struct timespec time = { 0, (long)draw(role, 400000) };
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/*
 * The publisher
 */

struct publishing {
    struct role *role;
    struct weir_publisher *publisher;
    uint32_t life;
    uint64_t index;   /* of the next message */
    uint64_t certain; /* all before are committed */
    bool has_batch;   /* that stays open, to be closed half-way */
};

/* One message, copied or written in place. false: no room in the time given. */
static bool publish_one(struct publishing *now)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    struct role *role = now->role;
    size_t size_bytes = draw_size(role, weir_publisher_max_bytes(now->publisher));
    bool may_fail;
    int64_t deadline_ns = draw_deadline(role, &may_fail);
    int result;
    if (draw(role, 4) == 0) {
        void *data;
        size_t more = draw_size(role, weir_publisher_max_bytes(now->publisher) - size_bytes);
        result = weir_publisher_loan_until(now->publisher, size_bytes + more, &data, deadline_ns);
        if (result == 0)
            fill(data, size_bytes, now->life, now->index);
        if (result == 0 && draw(role, 4) == 0) {
            weir_publisher_abandon(now->publisher);
            return true;
        }
        if (result == 0)
            WANT(role, weir_publisher_commit(now->publisher, size_bytes, now->life) == 0);
        role->loans += result == 0;
    } else {
        fill(bytes, size_bytes, now->life, now->index);
        result =
            weir_publisher_send_until(now->publisher, bytes, size_bytes, now->life, deadline_ns);
    }
    WANT(role, result == 0 || (may_fail && is_late(result)));
    role->waits += result != 0;
    now->index += result == 0;
    return result == 0;
}

/* Places in one loan, some of them used in part, and not all of them at times. */
static int loan_burst(struct publishing *now, size_t most_bytes, unsigned count,
                      int64_t deadline_ns)
{
    struct role *role = now->role;
    void *places[BURST];
    size_t sizes[BURST];
    uint32_t types[BURST];
    int given =
        weir_publisher_loan_many_until(now->publisher, most_bytes, places, count, deadline_ns);
    if (given <= 0)
        return given;
    unsigned used = (unsigned)given - (unsigned)draw(role, draw(role, 4) ? 1 : (unsigned)given);
    for (unsigned i = 0; i < used; i++) {
        sizes[i] = draw(role, 2) ? most_bytes : draw(role, most_bytes + 1);
        types[i] = now->life;
        fill(places[i], sizes[i], now->life, now->index + i);
    }
    WANT(role, weir_publisher_commit_many(now->publisher, sizes, types, used) == 0);
    return (int)used;
}

static int send_burst(struct publishing *now, size_t most_bytes, unsigned count,
                      int64_t deadline_ns)
{
    static unsigned char bytes[BURST][1024];
    struct weir_outgoing messages[BURST];
    for (unsigned i = 0; i < count; i++) {
        size_t size_bytes = draw(now->role, most_bytes + 1);
        fill(bytes[i], size_bytes, now->life, now->index + i);
        messages[i] = (struct weir_outgoing){ bytes[i], size_bytes, now->life };
    }
    return weir_publisher_send_many_until(now->publisher, messages, count, deadline_ns);
}

/* Some messages by one call. false: no room in the time given. */
static bool publish_burst(struct publishing *now)
{
    struct role *role = now->role;
    bool may_fail, is_loan = draw(role, 2) == 0;
    int64_t deadline_ns = draw_deadline(role, &may_fail);
    unsigned count = 1 + (unsigned)draw(role, BURST);
    size_t most_bytes = draw(role, draw(role, 2) ? 40 : 1024);
    int result = is_loan ? loan_burst(now, most_bytes, count, deadline_ns)
                         : send_burst(now, most_bytes, count, deadline_ns);
    WANT(role, result > 0 || (may_fail && is_late(result)));
    WANT(role, is_loan || may_fail || result == (int)count);
    role->waits += result < 0;
    role->bursts += result > 1;
    now->index += result > 0 ? (uint64_t)result : 0;
    return result > 0;
}

static bool publish_next(struct publishing *now)
{
    return draw(now->role, 4) == 0 ? publish_burst(now) : publish_one(now);
}

static void publish_some(struct publishing *now)
{
    struct role *role = now->role;
    bool is_batch = draw(role, 4) == 0;
    if (is_batch)
        WANT(role, weir_publisher_batch_begin(now->publisher) == 0);
    for (uint64_t left = draw(role, 64); left > 0 && publish_next(now) && goes_on(role);)
        left--;
    now->has_batch = is_batch && draw(role, 50) == 0;
    if (now->has_batch)
        return;
    if (is_batch)
        WANT(role, weir_publisher_batch_end(now->publisher) == 0);
    role->batches += is_batch;
    now->certain = now->index;
}

static void publish_a_life(struct role *role)
{
    struct weir_channel_options options = draw_options(role);
    struct publishing now = { .role = role, .life = ++role->lives };
    bool may_fail;
    WANT(role, now.life < LIVES_MAX);
    WANT(role, weir_publisher_open(&now.publisher, "stress", &options) == 0);
    if (role->wrong[0])
        return;
    if (draw(role, 2)) {
        int64_t deadline_ns = weir_deadline_ns((int64_t)draw(role, 2000000));
        int result = weir_publisher_wait_subscribers(now.publisher, 1, deadline_ns);
        WANT(role, result == 0 || is_late(result));
    }
    for (uint64_t left = draw(role, 30); left > 0 && !now.has_batch && goes_on(role); left--) {
        publish_some(&now);
        if (draw(role, 4) == 0)
            idle(role);
    }
    /* Relaxed: the end of the lane, or its absence, tells the subscriber to look. */
    atomic_store_explicit(&sure[now.life], now.certain, memory_order_relaxed);
    atomic_store_explicit(&at_most[now.life], now.index, memory_order_relaxed);
    if (!now.has_batch && draw(role, 2)) {
        WANT(role, weir_publisher_end(now.publisher) == 0);
        int result = weir_publisher_wait_taken(now.publisher, draw_deadline(role, &may_fail));
        WANT(role, result == 0 || result == -EPIPE || (may_fail && is_late(result)));
    }
    role->messages += (unsigned)now.index;
    weir_publisher_close(now.publisher);
}

static bool has_published_enough(const struct role *role)
{
    return role->lives > 10 && role->loans > 10 && role->batches > 10 && role->waits > 10 &&
           role->messages > 1000 && role->bursts > 10;
}

static void *publish(void *argument)
{
    struct role *role = argument;
    while (goes_on(role)) {
        publish_a_life(role);
        /* Relaxed: a number alone. */
        atomic_store_explicit(&role->has_enough, has_published_enough(role), memory_order_relaxed);
        if (draw(role, 4) == 0)
            idle(role);
    }
    return NULL;
}

/*
 * The subscriber
 */

struct receiving {
    struct role *role;
    struct weir_subscriber *subscriber;
    uint32_t session, life; /* of the last message; session 0: none yet */
    uint64_t expected;      /* the next sequence */
    struct weir_message holds[WEIR_HOLDS_MAX];
    unsigned hold_count;
};

static void check_bytes(struct role *role, const struct weir_message *message)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    fill(bytes, message->size_bytes, message->type, message->sequence);
    WANT(role, message->size_bytes <= sizeof bytes);
    WANT(role, memcmp(message->data, bytes, message->size_bytes) == 0);
}

/*
 * The next one of its lane; or the first of another. Who was there before that publisher came
 * misses nothing of it, nor of those between.
 */
static void check_order(struct receiving *now, const struct weir_message *message)
{
    struct role *role = now->role;
    if (message->session == now->session) {
        WANT(role, message->type == now->life);
        WANT(role, message->sequence == now->expected);
    } else {
        WANT(role, message->session > now->session);
        WANT(role, now->session == 0 || message->sequence == 0);
        WANT(role, message->type > now->life);
        for (uint32_t life = now->life + 1; now->session && life < message->type; life++)
            WANT(role, atomic_load_explicit(&sure[life], memory_order_relaxed) == 0);
        role->sessions++;
    }
    now->session = message->session;
    now->life = message->type;
    now->expected = message->sequence + 1;
    role->messages++;
}

/* The end is the end: everything that was committed has come. */
static void check_end(struct receiving *now)
{
    uint64_t least = atomic_load_explicit(&sure[now->life], memory_order_relaxed);
    uint64_t most = atomic_load_explicit(&at_most[now->life], memory_order_relaxed);
    WANT(now->role, now->session == 0 || (now->expected >= least && now->expected <= most));
    now->role->ends++;
}

/* What was held is still what it was, whatever the publisher did meanwhile. */
static void release_one(struct receiving *now)
{
    struct role *role = now->role;
    unsigned which = (unsigned)draw(role, now->hold_count);
    check_bytes(role, &now->holds[which]);
    WANT(role, weir_subscriber_release(now->subscriber, &now->holds[which]) == 0);
    role->turns += which > 0;
    now->hold_count--;
    memmove(&now->holds[which], &now->holds[which + 1],
            (now->hold_count - which) * sizeof now->holds[0]);
}

static int take_one(struct receiving *now, int64_t deadline_ns)
{
    struct weir_message *message = &now->holds[now->hold_count];
    int result = weir_subscriber_take_until(now->subscriber, message, deadline_ns);
    if (result != 0)
        return result;
    now->hold_count++;
    check_order(now, message);
    check_bytes(now->role, message);
    return 0;
}

static int receive_one(struct receiving *now, int64_t deadline_ns)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    struct weir_message message;
    size_t capacity_bytes = draw(now->role, 4) ? sizeof bytes : 30;
    int result = weir_subscriber_receive_until(now->subscriber, bytes, capacity_bytes, &message,
                                               deadline_ns);
    if (result == -EMSGSIZE) {
        WANT(now->role, message.size_bytes > capacity_bytes);
        result = weir_subscriber_receive_until(now->subscriber, bytes, sizeof bytes, &message, 0);
        WANT(now->role, result == 0);
    }
    if (result != 0)
        return result;
    check_order(now, &message);
    check_bytes(now->role, &message);
    return 0;
}

/* Those that are there, in place: held, or released at once in one call, in some order. */
static int take_burst(struct receiving *now, int64_t deadline_ns)
{
    struct role *role = now->role;
    struct weir_message *messages = &now->holds[now->hold_count];
    size_t most = 1 + draw(role, BURST), left = WEIR_HOLDS_MAX - now->hold_count;
    int count = weir_subscriber_take_many_until(now->subscriber, messages, most, deadline_ns);
    if (count <= 0)
        return count;
    WANT(role, (size_t)count <= most && (size_t)count <= left);
    for (int i = 0; i < count; i++) {
        check_order(now, &messages[i]);
        check_bytes(role, &messages[i]);
    }
    role->bursts += count > 1;
    now->hold_count += (unsigned)count;
    if (draw(role, 4) == 0)
        return 0;
    /* These alone, or with others: a hold in front of them keeps its place. */
    unsigned from = (unsigned)draw(role, now->hold_count - (unsigned)count + 1);
    unsigned end = now->hold_count;
    if (draw(role, 4) == 0) { /* not in their order */
        struct weir_message first = now->holds[from];
        now->holds[from] = now->holds[end - 1];
        now->holds[end - 1] = first;
    }
    WANT(role, weir_subscriber_release_many(now->subscriber, &now->holds[from], end - from) == 0);
    now->hold_count = from;
    return 0;
}

static int receive_burst(struct receiving *now, int64_t deadline_ns)
{
    static unsigned char bytes[MESSAGE_BYTES_MAX];
    struct weir_message messages[BURST];
    size_t most = 1 + draw(now->role, BURST);
    int count = weir_subscriber_receive_many_until(now->subscriber, bytes, sizeof bytes, messages,
                                                   most, deadline_ns);
    WANT(now->role, count <= (int)most);
    for (int i = 0; i < count; i++) {
        check_order(now, &messages[i]);
        check_bytes(now->role, &messages[i]);
    }
    now->role->bursts += count > 1;
    return count < 0 ? count : 0;
}

static int get_some(struct receiving *now, int64_t deadline_ns)
{
    bool is_burst = draw(now->role, 4) == 0;
    if (now->hold_count < WEIR_HOLDS_MAX && draw(now->role, 2))
        return is_burst ? take_burst(now, deadline_ns) : take_one(now, deadline_ns);
    return is_burst ? receive_burst(now, deadline_ns) : receive_one(now, deadline_ns);
}

static void receive_a_life(struct role *role)
{
    static const int64_t waits_ns[4] = { 0, 100000, 1000000, 10000000 };
    struct weir_channel_options options = draw_options(role);
    struct receiving now = { .role = role };
    role->lives++;
    WANT(role, weir_subscriber_open(&now.subscriber, "stress", &options) == 0);
    if (role->wrong[0])
        return;
    int fd = draw(role, 4) == 0 ? weir_subscriber_fd(now.subscriber) : -1;
    for (uint64_t left = 1 + draw(role, 1000); left > 0 && goes_on(role); left--) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (fd >= 0 && draw(role, 8) == 0)
            WANT(role, poll(&ready, 1, 1) >= 0);
        /* Who holds what the publisher waits for must not wait for the publisher. */
        int64_t wait_ns = waits_ns[draw(role, now.hold_count ? 3 : 4)];
        int64_t deadline_ns = wait_ns ? weir_deadline_ns(wait_ns) : 0;
        int result = get_some(&now, deadline_ns);
        WANT(role, result == 0 || result == -ENODATA || is_late(result));
        if (result == -ENODATA)
            check_end(&now);
        for (uint64_t few = draw(role, 4); few > 0 && now.hold_count > 0 && result != -ENODATA;
             few--)
            release_one(&now);
        if (draw(role, 256) == 0)
            idle(role);
    }
    while (now.hold_count > 0 && draw(role, 8) != 0)
        release_one(&now);
    for (unsigned i = 0; i < now.hold_count; i++)
        check_bytes(role, &now.holds[i]);
    weir_subscriber_close(now.subscriber);
}

static bool has_received_enough(const struct role *role)
{
    return role->lives > 10 && role->sessions > 10 && role->ends > 5 && role->turns > 10 &&
           role->messages > 1000 && role->bursts > 10;
}

static void *receive(void *argument)
{
    struct role *role = argument;
    while (goes_on(role)) {
        receive_a_life(role);
        /* Relaxed: a number alone. */
        atomic_store_explicit(&role->has_enough, has_received_enough(role), memory_order_relaxed);
        if (draw(role, 4) == 0)
            idle(role);
    }
    return NULL;
}

static void run_both(struct role *publisher, struct role *subscriber)
{
    const char *text = getenv("WEIR_STRESS_SECONDS");
    const struct timespec tick = { 0, 20000000 };
    const int64_t second_ns = INT64_C(1000000000), start_ns = weir_now_ns();
    const int64_t least_ns = (text ? atoi(text) : SECONDS) * second_ns;
    int64_t past_ns;
    assert_int_equal(pthread_create(&publisher->id, NULL, publish, publisher), 0);
    assert_int_equal(pthread_create(&subscriber->id, NULL, receive, subscriber), 0);
    do {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
        past_ns = weir_now_ns() - start_ns;
        /* Relaxed, also below: numbers alone. */
        if (past_ns >= least_ns &&
            atomic_load_explicit(&publisher->has_enough, memory_order_relaxed) &&
            atomic_load_explicit(&subscriber->has_enough, memory_order_relaxed))
            break;
    } while (past_ns < least_ns + PATIENCE * second_ns &&
             atomic_load_explicit(&is_over, memory_order_relaxed) == 0);
    atomic_store_explicit(&is_over, 1, memory_order_relaxed);
    assert_int_equal(pthread_join(publisher->id, NULL), 0);
    assert_int_equal(pthread_join(subscriber->id, NULL), 0);
}

static void test_stress(void **state)
{
    const char *text = getenv("WEIR_TEST_SEED");
    static struct role publisher, subscriber;
    uint64_t segments_before, identity;
    (void)state;
    attach_shares = true;
    assert_result(weir_identity(&identity), 0);
    segments_before = segments_now();
    publisher.seed = text ? strtoull(text, NULL, 0) : (uint64_t)weir_now_ns() | 1;
    subscriber.seed = publisher.seed * UINT64_C(0x9e3779b97f4a7c15);
    print_message("           WEIR_TEST_SEED=%llu\n", (unsigned long long)publisher.seed);
    run_both(&publisher, &subscriber);
    print_message("           %u messages of %u publishers, %u in loans, %u batches, %u without "
                  "room\n           %u received by %u subscribers of %u lanes, %u to their ends, "
                  "%u released out of order\n           %u and %u bursts\n",
                  publisher.messages, publisher.lives, publisher.loans, publisher.batches,
                  publisher.waits, subscriber.messages, subscriber.lives, subscriber.sessions,
                  subscriber.ends, subscriber.turns, publisher.bursts, subscriber.bursts);
    if (publisher.wrong[0] || subscriber.wrong[0])
        print_error("publisher: %s\nsubscriber: %s\n", publisher.wrong, subscriber.wrong);
    assert_true(!publisher.wrong[0] && !subscriber.wrong[0]);
    assert_int_equal(segments_now(), segments_before);
    assert_int_equal(names_now(), 0);
    assert_true(has_published_enough(&publisher) && has_received_enough(&subscriber));
    /* Over one mapping: each lane of which something came was attached by both. */
    assert_true(attach_shared >= subscriber.sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_stress) };
    return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
