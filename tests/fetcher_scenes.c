/* SPDX-License-Identifier: MIT */
#include "fetcher_scenes.h"

#include "fixture.h"

#include <errno.h>
#include <string.h>

#include <weir/tap.h>

#include "channel/layout.h"

enum {
    SMALL_ROOM = 40, /* for one message; and */
    MANY_ROOM = 72,  /* for several */
};

struct played played;

/* --- what lies in the ring before the call ------------------------------------------------------ */

/* Its number first. */
static int send_until(size_t size_bytes, uint32_t type, int64_t deadline_ns)
{
    static unsigned char bytes[CAPACITY / 4];
    memset(bytes, (int)(played.sent % 251), size_bytes);
    memcpy(bytes, &played.sent, size_bytes < sizeof played.sent ? size_bytes : sizeof played.sent);
    int result = weir_publisher_send_until(victim_publisher, bytes, size_bytes, type, deadline_ns);
    played.sent += result == 0;
    return result;
}

int scene_send(size_t size_bytes, uint32_t type)
{
    return send_until(size_bytes, type, NOW);
}

static void send_all(const size_t *sizes, size_t count, uint32_t type)
{
    for (size_t i = 0; i < count; i++)
        CHECK_RESULT(scene_send(sizes[i], type * (uint32_t)i), 0);
}

/* Taken and given back. */
static void pass(unsigned count)
{
    struct weir_message message;
    for (unsigned i = 0; i < count; i++) {
        CHECK_RESULT(weir_subscriber_take_until(victim_subscriber, &message, NOW), 0);
        CHECK_RESULT(weir_subscriber_release(victim_subscriber, &message), 0);
    }
}

static void hold(void)
{
    CHECK_RESULT(weir_subscriber_take_until(victim_subscriber, &played.held, NOW), 0);
    played.is_held = true;
}

static void open_both(void)
{
    CHECK_RESULT(victim_open(true), 0);
    CHECK_RESULT(victim_open(false), 0);
}

static void lay_first(void)
{
    static const size_t sizes[] = { 8, 8, 8, 8, 8, 8 };
    open_both();
    send_all(sizes, ARRAY_SIZE(sizes), 0);
}

static void lay_alike(void)
{
    lay_first();
    pass(1);
}

static void lay_held(void)
{
    lay_first();
    hold();
}

static void lay_two_held(void)
{
    lay_first();
    pass(1);
    hold();
    CHECK_RESULT(weir_subscriber_take_until(victim_subscriber, &played.messages[0], NOW), 0);
}

static void lay_mixed(void)
{
    static const size_t sizes[] = { 8, 24, 40, 0, 16, 100, 8 };
    open_both();
    send_all(sizes, ARRAY_SIZE(sizes), 3);
    pass(1);
}

static void lay_large(void)
{
    static const size_t sizes[] = { 8, LARGE, LARGE, 8 };
    open_both();
    send_all(sizes, ARRAY_SIZE(sizes), 0);
    pass(1);
}

static void lay_empty(void)
{
    open_both();
    CHECK_RESULT(scene_send(8, 0), 0);
    pass(1);
}

/* The next one stands before the ring's end, and behind it a pad. */
static void lay_before_end(void)
{
    static const size_t sizes[] = { 8, 8, 40, 8 };
    const size_t most = CAPACITY / 4 - 8;
    open_both();
    for (int i = 0; i < 4; i++) {
        CHECK_RESULT(scene_send(i < 3 ? most : most - 64, 0), 0);
        pass(1);
    }
    send_all(sizes, ARRAY_SIZE(sizes), 0);
    pass(1);
}

static void lay_at_pad(void)
{
    lay_before_end();
    pass(1);
}

/* More than the ring has: only for one whom nobody waits for. */
static void lay_overrun(void)
{
    lay_alike();
    for (int i = 0; i < 100; i++)
        CHECK_RESULT(scene_send(LARGE, 0), 0);
}

/* --- a publisher that has no room left in its last look ------------------------------------------ */

static void fill(void)
{
    int result = 0;
    while (result == 0)
        result = scene_send(LARGE, 0);
    CHECK_RESULT(result, -EAGAIN);
}

/* It needs a look, which finds room. */
static void lay_short(void)
{
    open_both();
    fill();
    pass(5);
}

static void lay_full(void)
{
    open_both();
    fill();
}

/* What is held, and announced, stands in the way. */
static void lay_walls(void)
{
    open_both();
    CHECK_RESULT(scene_send(LARGE, 0), 0);
    hold();
    fill();
    pass(20);
    fill();
    pass(5);
}

/* Who is far behind is not waited for. */
static void lay_lagging(void)
{
    victim_options.lag_max_bytes = CAPACITY / 2;
    open_both();
    victim_options.lag_max_bytes = 0;
    for (uint64_t i = 0; i < CAPACITY / weir__record_bytes(LARGE); i++)
        CHECK_RESULT(scene_send(LARGE, 0), 0);
}

static void lay_publisher(void)
{
    CHECK_RESULT(victim_open(true), 0);
    for (int i = 0; i < 4; i++)
        CHECK_RESULT(scene_send(8, 0), 0);
}

static void lay_subscriber(void)
{
    CHECK_RESULT(victim_open(false), 0);
}

/* --- the call ------------------------------------------------------------------------------------ */

/* The last bytes before the guard page. */
static void *room_for(size_t size_bytes)
{
    return played.room + ROOM_BYTES - size_bytes;
}

static int receive(void)
{
    int result = weir_subscriber_receive_until(victim_subscriber, room_for(SMALL_ROOM), SMALL_ROOM,
                                               &played.messages[0], NOW);
    return result == 0 ? 1 : result;
}

static int receive_large(void)
{
    int result = weir_subscriber_receive_until(victim_subscriber, room_for(LARGE), LARGE,
                                               &played.messages[0], NOW);
    return result == 0 ? 1 : result;
}

static int receive_soon(void)
{
    int result = weir_subscriber_receive_until(victim_subscriber, room_for(SMALL_ROOM), SMALL_ROOM,
                                               &played.messages[0], weir_deadline_ns(MS_NS));
    return result == 0 ? 1 : result;
}

static int receive_many(void)
{
    return weir_subscriber_receive_many_until(victim_subscriber, room_for(MANY_ROOM), MANY_ROOM,
                                              played.messages, MANY, NOW);
}

static int receive_many_large(void)
{
    return weir_subscriber_receive_many_until(victim_subscriber, room_for(3 * LARGE), 3 * LARGE,
                                              played.messages, MANY, NOW);
}

static int take(void)
{
    int result = weir_subscriber_take_until(victim_subscriber, &played.messages[0], NOW);
    return result == 0 ? 1 : result;
}

static int take_many(void)
{
    return weir_subscriber_take_many_until(victim_subscriber, played.messages, MANY, NOW);
}

static int release(void)
{
    played.is_held = false;
    return weir_subscriber_release(victim_subscriber, &played.held);
}

static int release_many(void)
{
    struct weir_message both[] = { played.held, played.messages[0] };
    played.is_held = false;
    return weir_subscriber_release_many(victim_subscriber, both, ARRAY_SIZE(both));
}

static int check_held(void)
{
    return weir_subscriber_check(victim_subscriber, &played.held);
}

/* From its open to its close. */
static int tap(void)
{
    struct weir_tap_options options = WEIR_TAP_OPTIONS;
    struct weir_tap *made;
    options.start = WEIR_START_OLDEST;
    int result = weir_tap_open(&made, "lane", &options);
    if (result != 0)
        return result;
    result = weir_tap_receive_until(made, room_for(LARGE), LARGE, &played.messages[0], NOW);
    weir_tap_close(made);
    return result == 0 ? 1 : result;
}

static int send_small(void)
{
    return scene_send(8, 0);
}

static int send_large(void)
{
    return scene_send(LARGE, 0);
}

static int send_soon(void)
{
    return send_until(LARGE, 0, weir_deadline_ns(MS_NS));
}

static int send_many(void)
{
    static unsigned char bytes[MANY][300];
    struct weir_outgoing outgoing[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t number = played.sent + i;
        memcpy(bytes[i], &number, sizeof number);
        outgoing[i] = (struct weir_outgoing){ bytes[i], sizeof bytes[i], 0 };
    }
    int result = weir_publisher_send_many_until(victim_publisher, outgoing, MANY, NOW);
    played.sent += result > 0 ? (uint64_t)result : 0;
    return result;
}

static int loan(void)
{
    int result = weir_publisher_loan_until(victim_publisher, LARGE, &played.places[0], NOW);
    return result == 0 ? 1 : result;
}

static int loan_many(void)
{
    return weir_publisher_loan_many_until(victim_publisher, LARGE, played.places, MANY, NOW);
}

static int wait_taken(void)
{
    return weir_publisher_wait_taken(victim_publisher, NOW);
}

static int wait_subscribers(void)
{
    return weir_publisher_wait_subscribers(victim_publisher, 1, NOW);
}

static int open_subscriber(void)
{
    return victim_open(false);
}

static int open_publisher(void)
{
    int result = victim_open(true);
    return result == 0 ? weir_publisher_wait_subscribers(victim_publisher, 1, NOW) : result;
}

const struct scene scenes[] = {
    { "receive, of those alike", lay_alike, receive, 1, COPIES },
    { "receive, the first", lay_first, receive, 1, COPIES },
    { "receive, of any", lay_mixed, receive, 1, COPIES },
    { "receive, of large ones", lay_large, receive_large, 1, COPIES },
    { "receive, behind a pad", lay_at_pad, receive, 1, COPIES },
    { "receive, one held", lay_held, receive, 1, COPIES },
    { "receive, nothing there", lay_empty, receive_soon, -ETIMEDOUT, COPIES | WAITS },
    { "take, of those alike", lay_alike, take, 1, 0 },
    { "take, the first", lay_first, take, 1, 0 },
    { "take, of any", lay_mixed, take, 1, 0 },
    { "take, behind a pad", lay_at_pad, take, 1, 0 },
    { "take, one held", lay_held, take, 1, 0 },
    { "release, the only one", lay_held, release, 0, GIVES },
    { "release, one of two", lay_two_held, release, 0, GIVES },
    { "release_many", lay_two_held, release_many, 0, GIVES },
    { "take_many, of those alike", lay_alike, take_many, 4, 0 },
    { "take_many, of any", lay_mixed, take_many, 4, 0 },
    { "take_many, before a pad", lay_before_end, take_many, 3, 0 },
    { "take_many, one held", lay_held, take_many, 4, 0 },
    { "receive_many, of those alike", lay_alike, receive_many, 4, COPIES },
    { "receive_many, of any", lay_mixed, receive_many, 3, COPIES },
    { "receive_many, before a pad", lay_before_end, receive_many, 3, COPIES },
    { "receive, of a type", lay_alike, receive, 1, COPIES | TYPED },
    { "take, of a type, the first", lay_first, take, 1, TYPED },
    { "take_many, of a type", lay_alike, take_many, 4, TYPED },
    { "open, to receive", lay_publisher, open_subscriber, 0, JOINS },
    { "lossy receive, of those alike", lay_alike, receive, 1, COPIES | LOSSY },
    { "lossy receive, behind a pad", lay_at_pad, receive, 1, COPIES | LOSSY },
    { "lossy receive, of large ones", lay_large, receive_large, 1, COPIES | LOSSY },
    { "lossy receive, overrun", lay_overrun, receive_large, 1, COPIES | LOSSY },
    { "lossy take, of any", lay_mixed, take, 1, LOSSY },
    { "lossy take, overrun", lay_overrun, take, 1, LOSSY },
    { "lossy check", lay_held, check_held, 0, GIVES | LOSSY },
    { "lossy take_many, of any", lay_mixed, take_many, 4, LOSSY },
    { "lossy take_many, before a pad", lay_before_end, take_many, 3, LOSSY },
    { "lossy receive_many, of any", lay_mixed, receive_many, 3, COPIES | LOSSY },
    { "lossy receive_many, overrun", lay_overrun, receive_many_large, 3, COPIES | LOSSY },
    { "lossy open", lay_publisher, open_subscriber, 0, JOINS | LOSSY },
    { "tap, from the begin", lay_first, tap, 1, COPIES | LOSSY | TAPS },
    { "tap, overrun", lay_overrun, tap, 1, COPIES | LOSSY | TAPS },
    { "send, room in the last look", lay_first, send_small, 0, PUBLISHER },
    { "send, room by a look", lay_short, send_large, 0, PUBLISHER },
    { "send, no room", lay_full, send_large, -EAGAIN, PUBLISHER },
    { "send, no room for a while", lay_full, send_soon, -ETIMEDOUT, PUBLISHER | WAITS },
    { "send, round what is held", lay_walls, send_large, 0, PUBLISHER },
    { "send, past who lags", lay_lagging, send_large, 0, PUBLISHER | EVICTS },
    { "send_many, room by a look", lay_short, send_many, 4, PUBLISHER },
    { "loan, room by a look", lay_short, loan, 1, PUBLISHER | LENDS },
    { "loan, round what is held", lay_walls, loan, 1, PUBLISHER | LENDS },
    { "loan_many, room by a look", lay_short, loan_many, 4, PUBLISHER | LENDS | MANY_LENT },
    { "wait_taken", lay_alike, wait_taken, -EAGAIN, PUBLISHER },
    { "wait_subscribers", lay_alike, wait_subscribers, 0, PUBLISHER },
    { "open, to send", lay_subscriber, open_publisher, -EAGAIN, PUBLISHER | JOINS },
};

const unsigned scene_count = ARRAY_SIZE(scenes);
