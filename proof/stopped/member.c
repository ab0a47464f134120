/* SPDX-License-Identifier: MIT */
/* A publisher, and a subscriber: what each does, and checks. */
#include "stopped.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <weir/weir.h>

#include "../members.h"

#define WORDS_MAX 96
#define REFUSED_NS INT64_C(50000000)

static struct weir_channel_options options_of(unsigned member)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    options.ring_bytes = WEIR_RING_BYTES_MIN;
    options.delivery = roles[member].is_lossy    ? WEIR_DELIVERY_LOSSY
                       : roles[member].is_sender ? WEIR_DELIVERY_CHANNEL
                                                 : WEIR_DELIVERY_RELIABLE;
    return options;
}

static void be_there(unsigned member)
{
    board->member[member].is_there = 1;
}

/* One more, sent or received. */
static void beat(unsigned member)
{
    static bool was_stopped; /* the others, when the last one was */
    struct member *self = &board->member[member];
    bool are_stopped = board->phase == STOPPED;
    int64_t now_ns = weir_now_ns(), since_ns = self->beat_ns;
    if (was_stopped && are_stopped && now_ns - since_ns > self->longest_ns)
        self->longest_ns = now_ns - since_ns;
    was_stopped = are_stopped;
    self->beat_ns = now_ns;
    atomic_fetch_add(&self->messages, 1);
}

/* --- sending --------------------------------------------------------------------------------- */

/* The slow one's are short: all of its time has room in a ring. */
static unsigned words_of(unsigned member, uint64_t number)
{
    return member == SLOW_SENDER ? 1 : 1 + (unsigned)(number % WORDS_MAX);
}

/* What keeps the machine from being all theirs: those who are stopped go at full speed before. */
static void pace(unsigned member, uint64_t number)
{
    struct timespec nap = { 0, 1000000 };
    if (member == SLOW_SENDER)
        nap = (struct timespec){ board->slow_ns / 1000000000, board->slow_ns % 1000000000 };
    else if (roles[member].is_stopped || number % 64 != 0)
        return;
    nanosleep(&nap, NULL);
    while (member == SLOW_SENDER && board->phase == STOPPING)
        sched_yield(); /* so that who waits for it sleeps */
}

/* False: there was no room in time. */
static bool send_one(unsigned member, struct weir_publisher *publisher, uint64_t number)
{
    uint64_t letter[WORDS_MAX];
    unsigned count = words_of(member, number);
    for (unsigned i = 0; i < count; i++)
        letter[i] = word_of((uint64_t)member << 48 | number, i);
    int result = weir_publisher_send_until(publisher, letter, (size_t)8 * count, member,
                                           weir_deadline_ns(REFUSED_NS));
    board->member[member].was_refused = result == -ETIMEDOUT;
    if (result == -ETIMEDOUT)
        return false;
    must_be("send", result, 0);
    beat(member);
    return true;
}

void send_on(unsigned member)
{
    struct weir_channel_options options = options_of(member);
    struct weir_publisher *publisher;
    uint64_t number = 0;
    must_be("open", weir_publisher_open(&publisher, roles[member].channel, &options), 0);
    must_be("wait_subscribers",
            weir_publisher_wait_subscribers(publisher, 2, weir_deadline_ns(BOUND_NS)), 0);
    be_there(member);
    while (board->phase != OVER)
        if (send_one(member, publisher, number))
            pace(member, ++number);
    weir_publisher_close(publisher);
}

/* --- receiving ------------------------------------------------------------------------------- */

/* Just the one that follows; what was missed of the same publisher is counted. */
static void note(unsigned member, const struct weir_message *message, bool is_whole)
{
    struct member *self = &board->member[member];
    unsigned sender = message->type;
    if (sender >= MEMBERS || strcmp(roles[sender].channel, roles[member].channel) != 0)
        broken("message %llu is of nobody", (unsigned long long)message->sequence);
    if (message->missed > 0 && !roles[member].is_lossy)
        broken("%llu were missed", (unsigned long long)message->missed);
    if (self->received[sender] + self->missed[sender] + message->missed != message->sequence)
        broken("message %llu came after %llu, and %llu missed",
               (unsigned long long)message->sequence,
               (unsigned long long)(self->received[sender] + self->missed[sender]),
               (unsigned long long)message->missed);
    self->missed[sender] += message->missed + !is_whole;
    self->received[sender] += is_whole;
    beat(member);
}

static void check_letter(const struct weir_message *message, const uint64_t *words)
{
    unsigned count = (unsigned)(message->size_bytes / 8);
    if (words[0] != ((uint64_t)message->type << 48 | message->sequence) ||
        count != words_of(message->type, message->sequence))
        broken("message %llu is not what it says", (unsigned long long)message->sequence);
    for (unsigned i = 0; i < count; i++)
        if (words[i] != word_of(words[0], i))
            broken("message %llu is torn at word %u", (unsigned long long)message->sequence, i);
}

static void release(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    must_be("release", weir_subscriber_release(subscriber, message), 0);
}

/* Held from the beginning to the end, among them the time in which it is stopped. */
struct held {
    struct weir_message message[HELD];
    uint64_t copy[HELD][WORDS_MAX];
};

static void hold(unsigned member, struct held *held, const struct weir_message *message)
{
    unsigned index = board->member[member].held;
    held->message[index] = *message;
    memcpy(held->copy[index], message->data, message->size_bytes);
    board->member[member].held = index + 1;
}

static void give_back_held(unsigned member, struct weir_subscriber *subscriber,
                           const struct held *held)
{
    for (unsigned i = board->member[member].held; i-- > 0;) {
        const struct weir_message *message = &held->message[i];
        must_be("check", weir_subscriber_check(subscriber, message), 0);
        if (memcmp(message->data, held->copy[i], message->size_bytes) != 0)
            broken("a message has changed while it was held");
        release(subscriber, message);
    }
}

/*
 * The lossy one is stopped with a message in its hands, which is overwritten meanwhile: it is of the
 * publisher that goes on.
 */
static void be_stopped_with(unsigned member, struct weir_subscriber *subscriber,
                            const struct weir_message *message)
{
    struct member *self = &board->member[member];
    self->held = 1;
    while (board->phase == STOPPING || board->phase == STOPPED)
        sched_yield();
    must_be("check", weir_subscriber_check(subscriber, message), -EOVERFLOW);
    self->overwritten = 1;
    self->held = 0;
}

static int take_one(unsigned member, struct weir_subscriber *subscriber, struct held *held)
{
    uint64_t copy[WORDS_MAX];
    struct weir_message message;
    int result = weir_subscriber_take_until(subscriber, &message, weir_deadline_ns(2 * BOUND_NS));
    if (result == -ETIMEDOUT && (member == HELD_READER || roles[member].is_lossy))
        return 0; /* its publishers may be stopped, or wait */
    if (result != 0)
        return result;
    if (message.size_bytes > sizeof copy)
        broken("a message of %zu bytes", message.size_bytes);
    memcpy(copy, message.data, message.size_bytes);
    result = weir_subscriber_check(subscriber, &message);
    bool is_whole = result == 0;
    if (is_whole)
        check_letter(&message, copy);
    else
        must_be("check", result, roles[member].is_lossy ? -EOVERFLOW : 0);
    note(member, &message, is_whole);
    if (member == STOPPED_HOLDER && board->member[member].held < HELD) {
        hold(member, held, &message);
        return 0;
    }
    if (member == STOPPED_LOSSY && board->phase == STOPPING && message.type == SENDER)
        be_stopped_with(member, subscriber, &message);
    release(subscriber, &message);
    return 0;
}

void receive_on(unsigned member)
{
    struct weir_channel_options options = options_of(member);
    struct weir_subscriber *subscriber;
    struct held held;
    int result;
    if (member == WAITER || member == STOPPED_WAITER)
        options.flags = WEIR_CHANNEL_SLEEP_ONLY;
    must_be("open", weir_subscriber_open(&subscriber, roles[member].channel, &options), 0);
    be_there(member);
    do
        result = take_one(member, subscriber, &held);
    while (result == 0);
    if (result != -ENODATA || board->phase != OVER)
        must_be("take", result, 0);
    if (member == STOPPED_HOLDER)
        give_back_held(member, subscriber, &held);
    weir_subscriber_close(subscriber);
}
