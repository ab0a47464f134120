/* SPDX-License-Identifier: MIT */
/* A publisher, and a subscriber: what each does without a pause, and checks. */
#include "cycles.h"

#include <errno.h>
#include <time.h>

#include <weir/weir.h>

#include "../members.h"

#define WORDS_MAX 96
#define MANY_MAX 8
#define HELD_MAX 8

struct letter {
    uint64_t words[WORDS_MAX]; /* life and number, then what follows from them */
};

uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % below;
}

/* It has done something that it began after it could know of this cycle's kill. */
static void answer(unsigned member, unsigned cycle)
{
    struct member *self = &board->member[member];
    if (self->answered == cycle)
        return;
    self->answered_ns = weir_now_ns();
    self->answered = cycle; /* after its time */
}

static void be_there(unsigned member)
{
    uint64_t identity;
    must_be("weir_identity", weir_identity(&identity), 0);
    board->member[member].answered = board->cycle;
    board->member[member].identity = identity;
}

static const struct weir_channel_options small = { .size = sizeof small,
                                                   .ring_bytes = WEIR_RING_BYTES_MIN,
                                                   .publishers_max = PUBLISHERS,
                                                   .subscribers_max = SUBSCRIBERS };

/* --- publishing ------------------------------------------------------------------------------ */

static void write_letter(uint64_t *words, unsigned count, unsigned life, unsigned number)
{
    for (unsigned i = 0; i < count; i++)
        words[i] = word_of((uint64_t)life << 32 | number, i);
}

static int send_loan(struct weir_publisher *publisher, unsigned count, unsigned life,
                     unsigned number, int64_t deadline_ns)
{
    void *place;
    int result = weir_publisher_loan_until(publisher, (size_t)8 * count, &place, deadline_ns);
    if (result != 0)
        return result;
    write_letter(place, count, life, number);
    return weir_publisher_commit(publisher, (size_t)8 * count, number & 0xffff);
}

static int send_some(struct weir_publisher *publisher, unsigned words, unsigned count,
                     unsigned life, unsigned number, int64_t deadline_ns)
{
    struct letter letter;
    int result = count > 1 ? weir_publisher_batch_begin(publisher) : 0;
    for (unsigned i = 0; i < count && result == 0; i++) {
        write_letter(letter.words, words, life, number + i);
        result = weir_publisher_send_until(publisher, letter.words, (size_t)8 * words,
                                           (number + i) & 0xffff, deadline_ns);
    }
    return count > 1 && result == 0 ? weir_publisher_batch_end(publisher) : result;
}

void publish(unsigned member, unsigned number, uint64_t seed)
{
    struct weir_publisher *publisher;
    struct life *life = &board->life[number];
    must_be("open", weir_publisher_open(&publisher, "cycles", &small), 0);
    be_there(member);
    while (!board->is_over) {
        unsigned cycle = board->cycle, words = 1 + (unsigned)draw(&seed, WORDS_MAX);
        unsigned how = (unsigned)draw(&seed, 8), sent = life->sure;
        unsigned count = how == 0 ? 2 + (unsigned)draw(&seed, MANY_MAX - 1) : 1;
        life->at_most = sent + count;
        int64_t deadline_ns = weir_deadline_ns(2 * BOUND_NS);
        must_be("send",
                how == 1 ? send_loan(publisher, words, number, sent, deadline_ns)
                         : send_some(publisher, words, count, number, sent, deadline_ns),
                0);
        life->sure = sent + count;
        atomic_fetch_add(&board->member[member].messages, count);
        answer(member, cycle);
    }
    weir_publisher_close(publisher);
}

/* --- subscribing ----------------------------------------------------------------------------- */

/* Whole, and just the one that follows; what was missed of the same publisher is counted. */
static void note(unsigned member, const struct weir_message *message)
{
    const uint64_t *words = message->data;
    unsigned life = (unsigned)(words[0] >> 32), number = (unsigned)words[0];
    unsigned count = (unsigned)(message->size_bytes / 8), missed = (unsigned)message->missed;
    bool is_lossy = member >= PUBLISHERS + RELIABLE;
    if (count == 0 || count > WORDS_MAX || life >= LIVES_MAX || number != message->sequence ||
        message->type != (number & 0xffff))
        broken("message %llu of type %u is not what it says", (unsigned long long)message->sequence,
               message->type);
    for (unsigned i = 0; i < count; i++)
        if (words[i] != word_of(words[0], i))
            broken("message %u of life %u is torn at word %u", number, life, i);
    struct seen *seen = &board->seen[member - PUBLISHERS][life];
    if (number >= board->life[life].at_most)
        broken("message %u of life %u was not sent", number, life);
    if (missed > (is_lossy ? number : 0))
        broken("message %u of life %u says that %u were missed", number, life, missed);
    if (seen->first == 0)
        seen->first = number - missed + 1;
    else if (seen->next + missed != number)
        broken("of life %u came %u, not %u", life, number, seen->next + missed);
    seen->next = number + 1;
    atomic_fetch_add(&board->member[member].messages, 1);
    atomic_fetch_add(&board->member[member].missed, missed);
}

struct held {
    struct weir_message message[HELD_MAX];
    unsigned count;
};

/* It is still what it was. */
static void release_one(struct weir_subscriber *subscriber, struct held *held, unsigned index)
{
    struct weir_message *message = &held->message[index];
    const uint64_t *words = message->data;
    unsigned last = (unsigned)(message->size_bytes / 8) - 1;
    if ((unsigned)words[0] != message->sequence || words[last] != word_of(words[0], last))
        broken("message %u has changed while it was held", (unsigned)message->sequence);
    must_be("release", weir_subscriber_release(subscriber, message), 0);
    *message = held->message[--held->count];
}

/* In place, some held for a while, and released in any order. */
static int take_one(unsigned member, struct weir_subscriber *subscriber, struct held *held,
                    uint64_t *seed)
{
    struct weir_message *message = &held->message[held->count];
    int result = weir_subscriber_take_until(subscriber, message, weir_deadline_ns(2 * BOUND_NS));
    if (result != 0)
        return result;
    note(member, message);
    held->count++;
    while (held->count > draw(seed, HELD_MAX))
        release_one(subscriber, held, (unsigned)draw(seed, held->count));
    return 0;
}

/* What a lossy one reads in place may be overwritten: it copies. And it naps, so that it misses. */
static int copy_one(unsigned member, struct weir_subscriber *subscriber, uint64_t *seed)
{
    struct letter letter;
    struct weir_message message;
    const struct timespec nap = { 0, 1000000 };
    int result = weir_subscriber_receive_until(subscriber, letter.words, sizeof letter, &message,
                                               weir_deadline_ns(2 * BOUND_NS));
    if (result != 0)
        return result;
    note(member, &message);
    if (board->member[member].answered == board->cycle && draw(seed, 2000) == 0)
        nanosleep(&nap, NULL);
    return 0;
}

/* Until all is over and the last publisher has left; that one was killed is told of the last alone. */
void subscribe(unsigned member, unsigned lives, uint64_t seed)
{
    struct weir_channel_options options = small;
    struct weir_subscriber *subscriber;
    struct held held = { .count = 0 };
    bool is_lossy = member >= PUBLISHERS + RELIABLE;
    options.delivery = is_lossy ? WEIR_DELIVERY_LOSSY : WEIR_DELIVERY_RELIABLE;
    for (unsigned life = 0; life < lives; life++)
        board->seen[member - PUBLISHERS][life].first = 0;
    must_be("open", weir_subscriber_open(&subscriber, "cycles", &options), 0);
    be_there(member);
    for (;;) {
        unsigned cycle = board->cycle;
        int result = is_lossy ? copy_one(member, subscriber, &seed)
                              : take_one(member, subscriber, &held, &seed);
        if (result == 0)
            answer(member, cycle);
        else if ((result == -ENODATA || result == -EPIPE) && board->is_over)
            break;
        else
            must_be("take", result, 0);
    }
    weir_subscriber_close(subscriber);
}
