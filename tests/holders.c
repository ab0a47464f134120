/* SPDX-License-Identifier: MIT */
/* Subscribers that keep some of what they take. */
#include "holders.h"

#include "fixture.h"
#include "lossy.h"

#include <errno.h>
#include <string.h>

#include <weir/inspect.h>

enum { MANY_MAX = 8 };

int64_t holders_wait_ns;
uint64_t holders_number;
struct weir_publisher *holders_publisher;
struct holder holders[HOLDERS_MAX];

static int64_t deadline(void)
{
    return holders_wait_ns == 0 ? NOW : weir_deadline_ns(holders_wait_ns);
}

static void fill(unsigned char *bytes, uint64_t number, size_t size_bytes)
{
    uint64_t word = (number + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ size_bytes;
    for (size_t at = 0; at < size_bytes; at += sizeof word, word++)
        memcpy(bytes + at, &word, size_bytes - at < sizeof word ? size_bytes - at : sizeof word);
}

void holders_check(const struct weir_message *message)
{
    static unsigned char expected[HOLDERS_LONGEST];
    CHECK(message->size_bytes <= sizeof expected);
    fill(expected, message->sequence, message->size_bytes);
    CHECK(memcmp(message->data, expected, message->size_bytes) == 0);
}

static int send_copies(struct weir_publisher *publisher, uint64_t *number, size_t size_bytes,
                       unsigned count)
{
    static unsigned char bytes[HOLDERS_LONGEST];
    int result = 0;
    for (; count > 0 && result == 0; count--) {
        fill(bytes, *number, size_bytes);
        result = weir_publisher_send_until(publisher, bytes, size_bytes, 0, deadline());
        *number += result == 0;
    }
    return result;
}

static int send_loans(struct weir_publisher *publisher, uint64_t *number, size_t size_bytes,
                      unsigned count)
{
    int result = 0;
    for (; count > 0 && result == 0; count--) {
        void *data;
        result = weir_publisher_loan_until(publisher, size_bytes + *number % 2, &data, deadline());
        if (result != 0 && size_bytes + 1 > weir_publisher_max_bytes(publisher))
            result = weir_publisher_loan_until(publisher, size_bytes, &data, deadline());
        if (result == 0) {
            fill(data, *number, size_bytes);
            CHECK_RESULT(weir_publisher_commit(publisher, size_bytes, 0), 0);
            ++*number;
        }
    }
    return result;
}

static int send_many(struct weir_publisher *publisher, uint64_t *number, size_t size_bytes,
                     unsigned count)
{
    static unsigned char bytes[MANY_MAX][HOLDERS_LONGEST];
    struct weir_outgoing messages[MANY_MAX];
    int result = 0;
    while (count > 0 && result >= 0) {
        unsigned some = count < MANY_MAX ? count : MANY_MAX;
        for (unsigned i = 0; i < some; i++) {
            fill(bytes[i], *number + i, size_bytes);
            messages[i] = (struct weir_outgoing){ bytes[i], size_bytes, 0 };
        }
        result = weir_publisher_send_many_until(publisher, messages, some, deadline());
        *number += result > 0 ? (unsigned)result : 0;
        count -= result > 0 ? (unsigned)result : 0;
    }
    return result < 0 ? result : 0;
}

/* Every other place is used to its end; what is behind a shorter one is moved down. */
static int loan_many(struct weir_publisher *publisher, uint64_t *number, size_t size_bytes,
                     unsigned count)
{
    int result = 0;
    while (count > 0 && result >= 0) {
        void *data[MANY_MAX];
        size_t sizes[MANY_MAX];
        result = weir_publisher_loan_many_until(publisher, size_bytes, data,
                                                count < MANY_MAX ? count : MANY_MAX, deadline());
        for (int i = 0; i < result; i++) {
            sizes[i] = (*number + (unsigned)i) % 2 ? size_bytes / 2 : size_bytes;
            fill(data[i], *number + (unsigned)i, sizes[i]);
        }
        if (result > 0) {
            CHECK_RESULT(weir_publisher_commit_many(publisher, sizes, NULL, (size_t)result), 0);
            *number += (unsigned)result;
            count -= (unsigned)result;
        }
    }
    return result < 0 ? result : 0;
}

int holders_send_by(enum way way, size_t size_bytes, unsigned count)
{
    struct weir_publisher *publisher = holders_publisher;
    uint64_t *number = &holders_number;
    switch (way) {
    case LOAN:
        return send_loans(publisher, number, size_bytes, count);
    case BATCH: {
        CHECK_RESULT(weir_publisher_batch_begin(publisher), 0);
        int result = send_copies(publisher, number, size_bytes, count);
        CHECK_RESULT(weir_publisher_batch_end(publisher), 0);
        return result;
    }
    case MANY:
        return send_many(publisher, number, size_bytes, count);
    case LOAN_MANY:
        return loan_many(publisher, number, size_bytes, count);
    default:
        return send_copies(publisher, number, size_bytes, count);
    }
}

static int take(struct holder *holder, struct weir_message *message)
{
    int result = weir_subscriber_take_until(holder->subscriber, message, NOW);
    if (result == 0) {
        CHECK(message->sequence == holder->next && message->missed == 0);
        holder->next++;
        holders_check(message);
    }
    return result;
}

int holder_keep(struct holder *holder)
{
    CHECK(holder->kept_count < WEIR_HOLDS_MAX);
    int result = take(holder, &holder->kept[holder->kept_count]);
    holder->kept_count += result == 0;
    return result;
}

void holder_drain(struct holder *holder)
{
    static unsigned char bytes[2 * HOLDERS_LONGEST];
    struct weir_message messages[MANY_MAX];
    int result;
    do {
        if (holder->next % 3 == 0 && holder->kept_count < WEIR_HOLDS_MAX) {
            result = take(holder, messages);
            if (result == 0)
                CHECK_RESULT(weir_subscriber_release(holder->subscriber, messages), 0);
            continue;
        }
        result = weir_subscriber_receive_many_until(holder->subscriber, bytes, sizeof bytes,
                                                    messages, MANY_MAX, NOW);
        for (int i = 0; i < result; i++) {
            CHECK(messages[i].sequence == holder->next++ && messages[i].missed == 0);
            holders_check(&messages[i]);
        }
    } while (result >= 0);
    CHECK_RESULT(result, -EAGAIN);
}

void holder_check(const struct holder *holder)
{
    for (unsigned i = 0; i < holder->kept_count; i++)
        holders_check(&holder->kept[i]);
}

void holder_release(struct holder *holder, unsigned index)
{
    holders_check(&holder->kept[index]);
    CHECK_RESULT(weir_subscriber_release(holder->subscriber, &holder->kept[index]), 0);
    holder->kept[index] = holder->kept[--holder->kept_count];
}

void holder_close(struct holder *holder)
{
    while (holder->kept_count > 0)
        holder_release(holder, 0);
    weir_subscriber_close(holder->subscriber);
}

void holders_begin(unsigned count)
{
    holders_number = 0;
    holders_wait_ns = 0;
    holders_publisher = lossy_publisher(HOLDERS_RING, 0);
    for (unsigned i = 0; i < count; i++)
        holders[i] = (struct holder){ .subscriber = crowd_subscriber() };
    for (unsigned i = count; i < ARRAY_SIZE(holders); i++)
        holders[i].subscriber = NULL;
}

void holders_end(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        holder_close(&holders[i]);
    weir_publisher_close(holders_publisher);
}

int holders_send(size_t size_bytes, unsigned count)
{
    return holders_send_by(ONE, size_bytes, count);
}

uint64_t holders_send_all(size_t size_bytes)
{
    uint64_t before = holders_number;
    int result;
    do
        result = holders_send(size_bytes, 1);
    while (result == 0);
    assert_result(result, -EAGAIN);
    return (holders_number - before) * size_bytes;
}

void holders_pass_rings(uint64_t seed, uint64_t rings)
{
    for (uint64_t sent = 0; sent < rings * HOLDERS_RING;) {
        size_t size_bytes =
            crowd_draw(&seed, 4) == 0
                ? HOLDERS_LONGEST
                : crowd_draw(&seed, crowd_draw(&seed, 2) ? 300 : HOLDERS_LONGEST + 1);
        assert_result(holders_send_by((enum way)crowd_draw(&seed, MANY), size_bytes, 1), 0);
        sent += size_bytes;
        holder_drain(&holders[0]);
        if (holders[1].subscriber)
            holder_drain(&holders[1]);
    }
    holder_check(&holders[0]);
}

static int expect_exact(const struct weir_channel_member *member, void *argument)
{
    (void)argument;
    if (member->role == WEIR_MEMBER_PUBLISHER) {
        assert_true(member->is_exact);
        assert_int_equal(member->committed_messages, holders_number);
    }
    return 0;
}

void holders_expect_exact(void)
{
    assert_result(weir_inspect_channel(CHANNEL, expect_exact, NULL), 0);
}
