/* SPDX-License-Identifier: MIT */
/* The books of subscribers that may miss messages. */
#include "lossy.h"

#include "fixture.h"

#include <errno.h>

#include <weir/identity.h>
#include <weir/segment.h>

#include "channel/layout.h"

enum { MANY = 7 };

struct weir_subscriber *lossy_open(enum weir_delivery delivery, enum weir_start start,
                                   uint64_t back)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_subscriber *subscriber;
    options.delivery = delivery;
    options.start = start;
    options.start_back = back;
    CHECK_RESULT(weir_subscriber_open(&subscriber, CHANNEL, &options), 0);
    return subscriber;
}

struct weir_publisher *lossy_publisher(uint64_t ring_bytes, uint64_t lag_max_bytes)
{
    struct weir_channel_options options = WEIR_CHANNEL_OPTIONS;
    struct weir_publisher *publisher;
    options.ring_bytes = ring_bytes;
    options.lag_max_bytes = lag_max_bytes;
    CHECK_RESULT(weir_publisher_open(&publisher, CHANNEL, &options), 0);
    return publisher;
}

/* is_sound: its bytes can be believed. */
static void note(struct books *books, const struct weir_message *message, bool is_sound)
{
    uint32_t who;
    uint64_t number = 0;
    if (is_sound)
        crowd_read(message, &who, &number);
    CHECK(!is_sound || number == message->sequence);
    CHECK(message->sequence == books->next + message->missed);
    books->next = message->sequence + 1;
    books->missed += message->missed;
    books->received++;
}

/* A copy out of memory that may be overwritten under it. */
__attribute__((no_sanitize("thread", "address"))) static void
copy_bytes(unsigned char *to, const unsigned char *from, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        to[i] = ((const volatile unsigned char *)from)[i];
}

/* What is held is copied, then asked for: only then is it looked at. */
static void note_held(struct books *books, const struct weir_message *message)
{
    static _Alignas(8) unsigned char bytes[CROWD_BYTES_MAX];
    struct weir_message copy = *message;
    copy_bytes(bytes, message->data, message->size_bytes);
    copy.data = bytes;
    int result = weir_subscriber_check(books->subscriber, message);
    CHECK(result == 0 || result == -EOVERFLOW);
    note(books, &copy, result == 0);
}

/* At an end there is no message, and what it says is missed lies behind the last one. */
static int note_end(struct books *books, const struct weir_message *message, int result)
{
    if (result != -ENODATA && result != -EPIPE)
        return result;
    CHECK(message->data == NULL && message->size_bytes == 0 && message->sequence == 0);
    books->next += message->missed;
    books->missed += message->missed;
    return result;
}

static int take_many(struct books *books, int64_t deadline_ns)
{
    struct weir_message messages[MANY];
    int count = weir_subscriber_take_many_until(books->subscriber, messages, MANY, deadline_ns);
    for (int i = 0; i < count; i++)
        note_held(books, &messages[i]);
    if (count > 0)
        CHECK_RESULT(weir_subscriber_release_many(books->subscriber, messages, (size_t)count), 0);
    return count < 0 ? note_end(books, messages, count) : 0;
}

static int take_one(struct books *books, int64_t deadline_ns)
{
    struct weir_message message;
    int result = weir_subscriber_take_until(books->subscriber, &message, deadline_ns);
    if (result != 0)
        return note_end(books, &message, result);
    note_held(books, &message);
    CHECK_RESULT(weir_subscriber_release(books->subscriber, &message), 0);
    return 0;
}

static int receive_many(struct books *books, int64_t deadline_ns)
{
    static _Alignas(8) unsigned char bytes[MANY * CROWD_BYTES_MAX];
    struct weir_message messages[MANY];
    int count = weir_subscriber_receive_many_until(books->subscriber, bytes, sizeof bytes, messages,
                                                   MANY, deadline_ns);
    for (int i = 0; i < count; i++)
        note(books, &messages[i], true);
    return count < 0 ? note_end(books, messages, count) : 0;
}

static int receive_one(struct books *books, int64_t deadline_ns)
{
    static _Alignas(8) unsigned char bytes[CROWD_BYTES_MAX];
    struct weir_message message;
    int result = weir_subscriber_receive_until(books->subscriber, bytes, 8, &message, deadline_ns);
    if (result == -EMSGSIZE) /* that is the next one, unless it is overwritten by now */
        result =
            weir_subscriber_receive_until(books->subscriber, bytes, sizeof bytes, &message, NOW);
    if (result == 0)
        note(books, &message, true);
    return note_end(books, &message, result);
}

int lossy_read(struct books *books, int64_t deadline_ns)
{
    static int (*const ways[])(struct books *, int64_t) = { take_one, take_many, receive_one,
                                                            receive_many };
    int result = ways[books->way++ % (books->is_in_place ? 2 : 4)](books, deadline_ns);
    books->evictions += result == -EOVERFLOW;
    return result;
}

int lossy_drain(struct books *books)
{
    int result;
    do
        result = lossy_read(books, NOW);
    while (result == 0 || result == -EOVERFLOW);
    return result;
}

static struct weir_segment *claimed;

static struct weir__directory_shm *attach_directory(void)
{
    struct weir_segment_options options = WEIR_SEGMENT_OPTIONS;
    options.kind = WEIR__DIRECTORY_KIND;
    CHECK_RESULT(weir_segment_open(&claimed, weir_by_name(CHANNEL), 0, &options), 0);
    return weir_segment_data(claimed);
}

static void put_claim(uint64_t owner)
{
    struct weir__directory_shm *shm = attach_directory();
    atomic_store(&shm->slots[WEIR_CHANNEL_MEMBERS_DEFAULT + 1].owner, owner);
    atomic_fetch_add(&shm->roles[WEIR__SUBSCRIBER].changes, 1);
    weir_segment_close(claimed);
}

void lossy_claim(bool is_lossy)
{
    uint64_t identity;
    CHECK_RESULT(weir_identity(&identity), 0);
    put_claim(identity | 0x700 | (is_lossy ? WEIR__SESSION_LOSSY : 0));
}

void lossy_unclaim(void)
{
    put_claim(0);
}
