/* SPDX-License-Identifier: MIT */
/*
 * The target: does what an input says (input.h), and checks after each call that its result
 * is one that is documented, that it came in time, that what it gave lies inside the ring of
 * a lane, and that a publisher believes no cursor that cannot be. As long as nothing was
 * falsified, messages arrive as they were sent, and nobody is called a liar.
 */
#include "input.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/error.h>

#include "guard.h"
#include "lies.h"
#include "world.h"

#define MOST (WORLD_CAPACITY / 4 - 8)
/* A call that takes longer is late; see LLVMFuzzerTestOneInput(). */
#define LATE_NS INT64_C(2000000000)
#define WAIT_NS INT64_C(30000)
/* Of a channel with a type that has a size. */
#define TYPE_BYTES 8u

/* Openings: what one execution takes of the store. */
enum { LOG_MAX = 8192, MANY_MAX = 16, HELD_MAX = WEIR_HOLDS_MAX, OPENINGS_MAX = 24 };

static struct weir_publisher *publisher;
static struct weir_subscriber *subscriber;
static bool is_honest;                  /* nothing was falsified in this execution */
static bool is_lossy_channel, is_lossy; /* the channel; the subscriber that is open */
static bool has_evicted;  /* a publisher of this execution need not wait for the reliable */
static bool may_send_any; /* no type says a size */
static bool is_late;      /* a call of this execution was */
static bool is_ring_true; /* no ring was falsified */

/* What the handle should know of itself. */
static bool has_loan, has_batch, has_ended;
static unsigned char *loan;
static size_t loan_bytes;
static unsigned loan_count; /* its places; 0: it is one of a single message */
static void *places[MANY_MAX];

static struct weir_message held[HELD_MAX];
static unsigned held_count, openings;

/* What was sent, by number; messages of eight bytes or more begin with theirs. */
static struct {
    size_t size_bytes;
    uint32_t type;
} sent[LOG_MAX];
static uint64_t sent_count, last_received;

/* Of the lane that was read last: each message says how many of it were missed before. */
static uint32_t last_session;
static uint64_t next_sequence;

static int expect(const char *call, int result, int64_t before_ns, const int *allowed)
{
    bool is_allowed = result == 0;
    int64_t took_ns = weir_now_ns() - before_ns;
    for (; *allowed; allowed++)
        is_allowed |= result == -*allowed;
    if (is_honest && (result == -EUCLEAN || result == -EPROTO))
        is_allowed = false;
    if (!is_honest &&
        (result == -EACCES || result == -EPERM)) /* not for us, or not to be trusted */
        is_allowed = true;
    if (result == -EOVERFLOW) /* of a take: a publisher has not waited */
        is_allowed = !is_honest || (has_evicted && !is_lossy);
    if (!is_allowed)
        world_fail("%s gives %s: %s", call, weir_strerror_name(result), weir_last_error());
    if (took_ns > LATE_NS) {
        fprintf(stderr, "fuzz: %s takes %lld ms\n", call, (long long)(took_ns / 1000000));
        is_late = true;
    }
    return result;
}

#define EXPECT(call, result, ...)                                                                  \
    expect((call), (result), before_ns, (const int[]){ __VA_ARGS__, 0 })

/* The first quarter up to 255 bytes, then around the largest, around a power of two, and any. */
static size_t size_of(unsigned class_and_number)
{
    size_t number = class_and_number & 63;
    switch (class_and_number >> 6 & 3) {
    case 0:
        return number;
    case 1:
        return MOST - 56 + number; /* 7 more than there may be */
    case 2:
        return (size_t)1 << number % 15;
    default:
        return number * 250;
    }
}

static int64_t deadline_of(unsigned wait)
{
    return (wait & 0xe0) == 128 ? weir_deadline_ns(WAIT_NS) : 0;
}

static void fill(unsigned char *data, size_t size_bytes, uint32_t type)
{
    memset(data, (int)sent_count, size_bytes);
    if (size_bytes >= sizeof sent_count)
        memcpy(data, &sent_count, sizeof sent_count);
    sent[sent_count % LOG_MAX].size_bytes = size_bytes;
    sent[sent_count % LOG_MAX].type = type;
}

/* Whether this publisher, or what it finds said of the channel, may refuse the size. */
static bool may_be_refused(size_t size_bytes)
{
    return size_bytes > MOST || (!may_send_any && size_bytes != TYPE_BYTES) || !is_honest;
}

/* What is missed is missed by a lossy one, or one that was evicted, and all of it is told. */
static void check_sequence(const struct weir_message *message)
{
    if (message->missed != 0 && !is_lossy && !has_evicted)
        world_fail("%llu messages were missed", (unsigned long long)message->missed);
    if (message->session == last_session && message->sequence != next_sequence + message->missed)
        world_fail("message %llu comes after %llu, %llu were missed",
                   (unsigned long long)message->sequence, (unsigned long long)next_sequence - 1,
                   (unsigned long long)message->missed);
    last_session = message->session;
    next_sequence = message->sequence + 1;
}

/*
 * A message is inside a ring, and readable to its last byte; and it is what was sent, unless it
 * was overwritten while it was held.
 */
static void check_message(const struct weir_message *message, bool is_new, bool is_held)
{
    static volatile unsigned sum;
    const unsigned char *bytes = message->data;
    uint64_t number;
    if (((uintptr_t)bytes & 7) != 0)
        world_fail("a message of %zu bytes at %p", message->size_bytes, message->data);
    for (size_t i = 0; i < message->size_bytes; i++)
        sum = sum + bytes[i];
    int overwritten = is_held && subscriber ? weir_subscriber_check(subscriber, message) : 0;
    if (overwritten != 0 &&
        (overwritten != -EOVERFLOW || (is_honest && ((!is_lossy && !has_evicted) || is_new))))
        world_fail("check gives %s", weir_strerror_name(overwritten));
    if (is_honest && is_new)
        check_sequence(message);
    if (!is_honest || overwritten != 0 || message->size_bytes < sizeof number)
        return;
    memcpy(&number, bytes, sizeof number);
    if (number >= sent_count || sent[number % LOG_MAX].size_bytes != message->size_bytes ||
        sent[number % LOG_MAX].type != message->type ||
        bytes[message->size_bytes - 1] !=
            (message->size_bytes > sizeof number ? number & 0xff : bytes[sizeof number - 1]))
        world_fail("message %llu is not what was sent", (unsigned long long)number);
    if (is_new && last_received != UINT64_MAX && number <= last_received)
        world_fail("message %llu comes after %llu", (unsigned long long)number,
                   (unsigned long long)last_received);
    if (is_new)
        last_received = number;
}

static void check_place(const struct weir_message *message)
{
    if (!guard_holds(message->data, message->size_bytes) ||
        message->size_bytes > world_longest(message->data))
        world_fail("a message of %zu bytes is not inside a ring", message->size_bytes);
}

static void check_held(void)
{
    for (unsigned i = 0; i < held_count; i++) {
        check_place(&held[i]);
        check_message(&held[i], false, true);
    }
}

/* Nothing behind the cursor, or pads alone; unless a lie stands there, which the publisher does not
 * read. */
static bool is_all(const struct weir__lane_shm *lane, uint64_t cursor, uint64_t committed)
{
    const char *ring = (const char *)lane + WEIR__LANE_RING_OFFSET;
    while (cursor != committed) {
        uint64_t header;
        memcpy(&header, ring + cursor % WORLD_CAPACITY, sizeof header);
        if ((header & WEIR__RECORD_PAD) == 0 || weir__pad_bytes(header) > committed - cursor)
            return !is_ring_true;
        cursor += weir__pad_bytes(header);
    }
    return true;
}

/*
 * A publisher that says that somebody has attached its lane has seen a cursor that can be. One that
 * says that all was taken may have it from a subscriber that has left since.
 */
static void check_cursor(bool is_taken)
{
    struct weir__directory_shm *directory = world_directory();
    uint64_t shown = atomic_load(&directory->slots[WORLD_MEMBERS].page);
    struct world_memory memory = world_by_id((int)((shown >> 13) - 1));
    const struct weir__page_shm *page = memory.memory;
    const struct weir__lane_shm *lane = world_lane().memory;
    bool is_there = page && memory.size_bytes >= weir__page_bytes(WORLD_MEMBERS);
    if (is_taken && (!is_there || atomic_load(&page->entries[0].lane) != lane->member.owner))
        return;
    if (!is_there)
        world_fail("attached, and no page is shown");
    uint64_t owner = atomic_load(&directory->slots[WORLD_MEMBERS].owner);
    /* Nobody asks for the cursor of a lossy one; of others one that is too far behind is evicted. */
    if (has_evicted || weir__owner_is_lossy(owner) || owner != page->member.owner)
        return; /* or it was a lossy one, perhaps, when it was met */
    uint64_t cursor = atomic_load(&page->entries[0].cursor),
             committed = atomic_load(&lane->boundary);
    if (cursor > committed || committed - cursor > WORLD_CAPACITY ||
        (is_taken && !is_all(lane, cursor, committed)))
        world_fail("the cursor %llu was believed, %llu is committed", (unsigned long long)cursor,
                   (unsigned long long)committed);
}

/* Bits 0 and 1: none, of any size, of eight bytes, another of eight bytes. */
static uint32_t terms_of(unsigned number, const char **type_name)
{
    static const char *const names[] = { NULL, "one", "one", "two" };
    *type_name = names[number & 3];
    return number & 2 ? TYPE_BYTES : 0;
}

static void do_terms(bool is_lossy_one, unsigned number)
{
    const char *type_name;
    uint32_t type_bytes = terms_of(number, &type_name);
    if (openings > 0) /* a channel says so before anybody is there */
        return;
    world_terms(is_lossy_one, type_name, type_bytes);
    is_lossy_channel = is_lossy_one;
    may_send_any = type_bytes == 0;
}

/* what: bit 0 sleeps; 1 and 2: the delivery; 3 and 4: where it starts; 5 and 6: terms_of(). */
static void do_open(bool is_publisher, unsigned what, unsigned number)
{
    static const uint64_t lags[] = { 0, 0, 1, MOST, WORLD_CAPACITY / 2, WORLD_CAPACITY };
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    if (openings++ >= OPENINGS_MAX)
        return;
    options.ring_bytes = WORLD_CAPACITY;
    options.publishers_max = options.subscribers_max = WORLD_MEMBERS;
    options.spin_ns = 1000;
    options.flags = what & 1 ? WEIR_CHANNEL_SLEEP_ONLY : 0;
    options.delivery = what >> 1 & 3;
    options.start = what >> 3 & 3;
    options.start_back = number == 255 ? UINT64_MAX : number;
    options.lag_max_bytes = is_publisher ? lags[number % (sizeof lags / sizeof *lags)] : 0;
    options.type_bytes = terms_of(what >> 5, &options.type_name);
    int64_t before_ns = weir_now_ns();
    if (is_publisher && !publisher) {
        has_loan = has_batch = has_ended = false;
        int result = weir_publisher_open(&publisher, "fuzz", &options);
        EXPECT("publisher_open", result, EBUSY, EUCLEAN, EPROTO, EINVAL, EPROTOTYPE);
        has_evicted |= result == 0 && options.lag_max_bytes > 0;
    } else if (!is_publisher && !subscriber) {
        int result = weir_subscriber_open(&subscriber, "fuzz", &options);
        EXPECT("subscriber_open", result, EBUSY, EUCLEAN, EPROTO, EINVAL, EPROTOTYPE);
        if (result != 0)
            return;
        last_received = UINT64_MAX; /* it may read again what is kept */
        last_session = 0;
        is_lossy = weir_subscriber_delivery(subscriber) == WEIR_DELIVERY_LOSSY;
        if (is_honest && is_lossy != (options.delivery == WEIR_DELIVERY_LOSSY ||
                                      (options.delivery == 0 && is_lossy_channel)))
            world_fail("delivery: %d", is_lossy);
    }
}

static void do_close(bool is_publisher)
{
    int64_t before_ns = weir_now_ns();
    if (is_publisher) {
        weir_publisher_close(publisher);
        publisher = NULL;
        has_loan = false;
    } else {
        weir_subscriber_close(subscriber);
        subscriber = NULL;
        held_count = 0;
    }
    expect("close", 0, before_ns, (const int[]){ 0 });
}

static void do_send(unsigned size, unsigned count, unsigned type_and_wait)
{
    static unsigned char bytes[MOST + 64];
    size_t size_bytes = size_of(size);
    uint32_t type = type_and_wait & 64 ? 65535 + (type_and_wait & 1) : type_and_wait & 63;
    for (unsigned i = 0; i <= (count & 15); i++) {
        fill(bytes, size_bytes, type);
        int64_t before_ns = weir_now_ns();
        int result = weir_publisher_send_until(publisher, bytes, size_bytes, type,
                                               deadline_of(type_and_wait));
        EXPECT("send", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO, EMSGSIZE, EINVAL, EPIPE);
        if ((result == -EINVAL) > (has_loan || type > 65535) ||
            (result == -EMSGSIZE) > may_be_refused(size_bytes) || (result == -EPIPE) > has_ended)
            world_fail("send gives %s", weir_strerror_name(result));
        if (is_honest && (result == -EAGAIN || result == -ETIMEDOUT) && (!subscriber || is_lossy))
            world_fail("send waits for nobody");
        if (result == 0 && (size_bytes > MOST || (is_honest && may_be_refused(size_bytes))))
            world_fail("%zu bytes were sent", size_bytes);
        if (result != 0)
            break;
        sent_count++;
    }
}

static void do_loan(unsigned size, unsigned wait)
{
    void *data;
    size_t size_bytes = size_of(size);
    int64_t before_ns = weir_now_ns();
    int result = weir_publisher_loan_until(publisher, size_bytes, &data, deadline_of(wait));
    EXPECT("loan", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO, EMSGSIZE, EINVAL, EPIPE);
    if ((result == -EINVAL) > has_loan || (result == -EMSGSIZE) > may_be_refused(size_bytes) ||
        (result == -EPIPE) > has_ended)
        world_fail("loan gives %s", weir_strerror_name(result));
    if (result == 0 && size_bytes > MOST)
        world_fail("%zu bytes were lent", size_bytes);
    if (result != 0)
        return;
    struct world_memory lane = world_lane();
    if ((unsigned char *)data < (unsigned char *)lane.memory + WEIR__LANE_RING_OFFSET + 8 ||
        !guard_holds(data, size_bytes))
        world_fail("a loan of %zu bytes is not inside the ring", size_bytes);
    has_loan = true;
    loan_count = 0;
    loan = data;
    loan_bytes = size_bytes;
    memset(loan, 0xee, loan_bytes);
}

static void do_commit(unsigned part, uint32_t type)
{
    size_t size_bytes = has_loan ? loan_bytes * (part + 1) / 256 : part;
    if (has_loan)
        fill(loan, size_bytes, type);
    int result = weir_publisher_commit(publisher, size_bytes, type);
    if (has_loan && result == -EMSGSIZE && may_be_refused(size_bytes))
        return; /* the loan is there still */
    if (result != (has_loan ? 0 : -EINVAL))
        world_fail("commit: %s", weir_last_error());
    sent_count += has_loan;
    has_loan = false;
}

static void do_send_many(unsigned size, unsigned count, unsigned type_and_wait)
{
    static unsigned char bytes[MANY_MAX][MOST + 64];
    struct weir_outgoing messages[MANY_MAX];
    size_t size_bytes = size_of(size);
    uint64_t before = sent_count;
    count = count % (MANY_MAX + 1);
    for (unsigned i = 0; i < count; i++) { /* the last one may have a type that is none */
        uint32_t type = type_and_wait & 64 && i == count - 1 ? 65536 : type_and_wait & 63;
        size_t shorter = size_bytes > i ? size_bytes - i : 0;
        fill(bytes[i], shorter, type);
        messages[i] = (struct weir_outgoing){ bytes[i], shorter, type };
        sent_count++;
    }
    int64_t before_ns = weir_now_ns();
    int result =
        weir_publisher_send_many_until(publisher, messages, count, deadline_of(type_and_wait));
    EXPECT("send_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO,
           EMSGSIZE, EINVAL, EPIPE);
    if (result > (int)count || (result == 0) != (count == 0) ||
        (result == -EINVAL) > (has_loan || (type_and_wait & 64) != 0) ||
        (result == -EMSGSIZE) > may_be_refused(size_bytes) || (result == -EPIPE) > has_ended ||
        (result > 0 && messages[result - 1].size_bytes > MOST))
        world_fail("send_many of %u gives %d", count, result);
    sent_count = before + (result > 0 ? (uint64_t)result : 0);
}

static void do_loan_many(unsigned size, unsigned count, unsigned wait)
{
    void *given[MANY_MAX];
    size_t size_bytes = size_of(size);
    count = count % (MANY_MAX + 1);
    int64_t before_ns = weir_now_ns();
    int result =
        weir_publisher_loan_many_until(publisher, size_bytes, given, count, deadline_of(wait));
    EXPECT("loan_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN, EPROTO,
           EMSGSIZE, EINVAL, EPIPE);
    if (result > (int)count || (result == 0) != (count == 0) || (result == -EINVAL) > has_loan ||
        (result == -EMSGSIZE) > may_be_refused(size_bytes) || (result == -EPIPE) > has_ended ||
        (result > 0 && size_bytes > MOST))
        world_fail("loan_many of %u gives %d", count, result);
    if (result <= 0)
        return;
    has_loan = true;
    loan_bytes = size_bytes;
    loan_count = (unsigned)result;
    loan = given[0];
    for (unsigned i = 0; i < loan_count; i++) {
        places[i] = given[i];
        if (!guard_holds(places[i], size_bytes))
            world_fail("a place of %zu bytes is not inside the ring", size_bytes);
        memset(places[i], 0xee, size_bytes);
    }
}

static void do_commit_many(unsigned part, unsigned count, uint32_t type)
{
    size_t sizes[MANY_MAX];
    uint32_t types[MANY_MAX];
    uint64_t before = sent_count;
    bool is_sound = has_loan && loan_count > 0;
    count = is_sound ? count % (loan_count + 1) : count % MANY_MAX;
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = is_sound ? loan_bytes * (i % 2 ? part + 1 : 256) / 256 : 0;
        types[i] = type;
        if (is_sound)
            fill(places[i], sizes[i], type);
        sent_count += is_sound;
    }
    int result = weir_publisher_commit_many(publisher, sizes, types, count);
    bool is_refused = is_sound && result == -EMSGSIZE && (!may_send_any || !is_honest);
    if (!is_refused && result != (is_sound ? 0 : -EINVAL))
        world_fail("commit_many: %s", weir_last_error());
    if (!is_sound || is_refused) /* a loan is there still */
        sent_count = before;
    else
        has_loan = false;
}

static void do_batch(bool is_begin)
{
    int result =
        is_begin ? weir_publisher_batch_begin(publisher) : weir_publisher_batch_end(publisher);
    bool is_wrong = has_loan || has_batch == is_begin;
    if (result != (is_wrong ? -EINVAL : 0))
        world_fail("batch: %s", weir_last_error());
    if (result == 0)
        has_batch = is_begin;
}

static void do_end(void)
{
    int result = weir_publisher_end(publisher);
    if (result != (has_batch || has_loan ? -EINVAL : 0))
        world_fail("end: %s", weir_last_error());
    if (result == 0)
        has_ended = true;
}

static void do_wait(bool is_taken, unsigned wait)
{
    int64_t before_ns = weir_now_ns();
    int result = is_taken ? weir_publisher_wait_taken(publisher, deadline_of(wait))
                          : weir_publisher_wait_subscribers(publisher, 1, deadline_of(wait));
    EXPECT(is_taken ? "wait_taken" : "wait_subscriber", result, EAGAIN, ETIMEDOUT, EINTR, EUCLEAN,
           EPROTO, EPIPE);
    if (result == -EPIPE && !is_taken)
        world_fail("wait_subscriber gives EPIPE");
    if (result == 0)
        check_cursor(is_taken);
}

static void do_take(unsigned count, unsigned wait)
{
    for (unsigned i = 0; i <= (count & 63); i++) {
        struct weir_message message;
        int64_t before_ns = weir_now_ns();
        int result = weir_subscriber_take_until(subscriber, &message, deadline_of(wait));
        EXPECT("take", result, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, ENOBUFS, EUCLEAN, EPROTO);
        if ((result == -ENOBUFS) != (held_count == HELD_MAX))
            world_fail("take gives %s with %u held", weir_strerror_name(result), held_count);
        if (result != 0)
            break;
        check_place(&message);
        check_message(&message, true, true);
        held[held_count++] = message;
    }
}

static void do_release(unsigned which)
{
    const struct weir_message none = { .position = 4 };
    if (held_count == 0) {
        if (weir_subscriber_release(subscriber, &none) != -EINVAL)
            world_fail("what is not held was released");
        return;
    }
    which %= held_count;
    check_held();
    struct weir_message message = held[which];
    if (weir_subscriber_release(subscriber, &message) != 0)
        world_fail("release: %s", weir_last_error());
    memmove(&held[which], &held[which + 1], (--held_count - which) * sizeof *held);
    if (weir_subscriber_release(subscriber, &message) != -EINVAL)
        world_fail("a message was released twice");
}

static void do_receive(unsigned size, unsigned count, unsigned wait)
{
    static unsigned char *end;
    size_t room = size_of(size);
    if (!end)
        end = (unsigned char *)guard_new(4 * MOST) + 4 * MOST;
    for (unsigned i = 0; i <= (count & 15); i++) {
        struct weir_message message;
        int64_t before_ns = weir_now_ns();
        int result = weir_subscriber_receive_until(subscriber, end - room, room, &message,
                                                   deadline_of(wait));
        EXPECT("receive", result, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, EMSGSIZE, EUCLEAN,
               EPROTO);
        if ((result == 0 && message.size_bytes > room) ||
            (result == -EMSGSIZE && message.size_bytes <= room))
            world_fail("a message of %zu bytes: %s", message.size_bytes,
                       weir_strerror_name(result));
        if (result != 0)
            break;
        memmove(end - 4 * MOST, end - room, message.size_bytes);
        message.data = end - 4 * MOST; /* aligned */
        check_message(&message, true, false);
    }
}

static void do_take_many(unsigned count, unsigned wait)
{
    struct weir_message messages[HELD_MAX];
    unsigned most = HELD_MAX - held_count;
    count %= HELD_MAX + 1;
    int64_t before_ns = weir_now_ns();
    int result = weir_subscriber_take_many_until(subscriber, messages, count, deadline_of(wait));
    EXPECT("take_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE, ENOBUFS,
           EUCLEAN, EPROTO);
    if ((result == -ENOBUFS) != (most == 0 && count > 0) || (result == 0) != (count == 0) ||
        result > (int)count || result > (int)most)
        world_fail("take_many of %u gives %d with %u held", count, result, held_count);
    for (int i = 0; i < result; i++) {
        check_place(&messages[i]);
        check_message(&messages[i], true, true);
        held[held_count++] = messages[i];
    }
}

static void do_release_many(unsigned from, unsigned count, unsigned how)
{
    struct weir_message messages[HELD_MAX + 1];
    if (held_count == 0)
        return;
    check_held();
    from %= held_count;
    count %= held_count - from + 1;
    for (unsigned i = 0; i < count; i++)
        messages[i] = held[how & 1 ? from + count - 1 - i : from + i];
    if (how & 2) { /* one twice: nothing is released */
        messages[count] = messages[0] = held[from];
        if (weir_subscriber_release_many(subscriber, messages, count + 1) !=
            (count > 0 ? -EINVAL : 0))
            world_fail("a message was released twice");
        count = count > 0 ? 0 : 1;
    } else if (weir_subscriber_release_many(subscriber, messages, count) != 0) {
        world_fail("release_many: %s", weir_last_error());
    }
    held_count -= count;
    memmove(&held[from], &held[from + count], (held_count - from) * sizeof *held);
}

static void do_receive_many(unsigned size, unsigned count, unsigned wait)
{
    static unsigned char *end;
    struct weir_message messages[MANY_MAX];
    size_t room = size_of(size);
    if (!end)
        end = (unsigned char *)guard_new(4 * MOST) + 4 * MOST;
    room &= ~(size_t)7; /* so that what is there is aligned */
    count %= MANY_MAX + 1;
    int64_t before_ns = weir_now_ns();
    int result = weir_subscriber_receive_many_until(subscriber, end - room, room, messages, count,
                                                    deadline_of(wait));
    EXPECT("receive_many", result < 0 ? result : 0, EAGAIN, ETIMEDOUT, EINTR, ENODATA, EPIPE,
           EMSGSIZE, EUCLEAN, EPROTO);
    if ((result == -EMSGSIZE && messages[0].size_bytes <= room) || (result == 0) != (count == 0) ||
        result > (int)count)
        world_fail("receive_many of %u gives %d", count, result);
    const unsigned char *free_from = end - room;
    for (int i = 0; i < result; i++) {
        const unsigned char *data = messages[i].data;
        if (data < free_from || messages[i].size_bytes > (size_t)(end - data))
            world_fail("a message of %zu bytes is not in its room", messages[i].size_bytes);
        free_from = data + messages[i].size_bytes;
        check_message(&messages[i], true, false);
    }
}

static void do_descriptor(void)
{
    int64_t before_ns = weir_now_ns();
    int fd = weir_subscriber_fd(subscriber);
    struct pollfd one = { .fd = fd, .events = POLLIN };
    if (fd < 0 || poll(&one, 1, 0) < 0)
        world_fail("fd: %s", weir_last_error());
    expect("fd", 0, before_ns, (const int[]){ 0 });
}

static void do_publisher(unsigned what, const uint8_t *step)
{
    switch (what) {
    case FUZZ_SEND:
        do_send(step[1], step[2], step[3]);
        break;
    case FUZZ_LOAN:
        do_loan(step[1], step[3]);
        break;
    case FUZZ_COMMIT:
        do_commit(step[1], step[3]);
        break;
    case FUZZ_ABANDON:
        weir_publisher_abandon(publisher);
        has_loan = false;
        break;
    case FUZZ_BATCH:
    case FUZZ_BATCH_END:
        do_batch(what == FUZZ_BATCH);
        break;
    case FUZZ_END:
        do_end();
        break;
    case FUZZ_SEND_MANY:
        do_send_many(step[1], step[2], step[3]);
        break;
    case FUZZ_LOAN_MANY:
        do_loan_many(step[1], step[2], step[3]);
        break;
    case FUZZ_COMMIT_MANY:
        do_commit_many(step[1], step[2], step[3]);
        break;
    default:
        do_wait(what == FUZZ_TAKEN, step[3]);
    }
}

static void do_subscriber(unsigned what, const uint8_t *step)
{
    switch (what) {
    case FUZZ_TAKE:
        do_take(step[2], step[3]);
        break;
    case FUZZ_RELEASE:
        do_release(step[1]);
        break;
    case FUZZ_RECEIVE:
        do_receive(step[1], step[2], step[3]);
        break;
    case FUZZ_TAKE_MANY:
        do_take_many(step[2], step[3]);
        break;
    case FUZZ_RELEASE_MANY:
        do_release_many(step[1], step[2], step[3]);
        break;
    case FUZZ_RECEIVE_MANY:
        do_receive_many(step[1], step[2], step[3]);
        break;
    default:
        if (step[1] < 32)
            do_descriptor();
    }
}

/* Returns how many bytes the step has taken. */
static size_t do_step(const uint8_t *step, size_t left_bytes)
{
    unsigned what = step[0] % FUZZ_STEPS;
    if (what == FUZZ_OPEN) {
        do_open(step[1] & 1, step[2], step[3]);
    } else if (what == FUZZ_TERMS) {
        do_terms(step[1] & 1, step[2]);
    } else if (what == FUZZ_CLOSE) {
        do_close(step[1] & 1);
    } else if (what < FUZZ_TAKE) {
        if (publisher)
            do_publisher(what, step);
    } else if (what < FUZZ_WRITE) {
        if (subscriber)
            do_subscriber(what, step);
    } else {
        is_honest = false;
        is_ring_true = is_ring_true && what == FUZZ_WRITE;
        return lies_tell(step, left_bytes);
    }
    return 4;
}

int LLVMFuzzerInitialize(int *argument_count, char ***arguments)
{
    (void)argument_count;
    (void)arguments;
    world_begin();
    return 0;
}

static void execute(const uint8_t *bytes, size_t size_bytes)
{
    world_reset();
    is_honest = is_ring_true = may_send_any = true;
    is_late = is_lossy_channel = is_lossy = has_evicted = false;
    has_loan = has_batch = has_ended = false;
    held_count = openings = 0;
    sent_count = 0;
    last_received = UINT64_MAX;
    last_session = 0;
    for (size_t at = 0; at + 4 <= size_bytes;)
        at += do_step(bytes + at, size_bytes - at);
    check_held();
    do_close(true);
    check_held();
    do_close(false);
    world_check();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size_bytes)
{
    if (size_bytes > FUZZ_INPUT_MAX)
        return -1;
    execute(bytes, size_bytes);
    if (is_late) /* a whole machine may stand still for seconds, but not at the same input again */
        execute(bytes, size_bytes);
    if (is_late)
        execute(bytes, size_bytes);
    if (is_late)
        world_fail("a call was late three times in a row");
    return 0;
}
