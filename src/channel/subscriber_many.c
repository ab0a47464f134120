/* SPDX-License-Identifier: MIT */
/*
 * Many messages in one call: a wait for the first, then those that lie behind it. docs/lane.md,
 * "Receiving"; subscriber.h has the invariants.
 */
#include "channel/subscriber.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/copy.h"
#include "base/error.h"

/*
 * Where the next message lies. A copy of what the handle knows: whatever is stored into messages
 * may, for all that the compiler knows, be a field of the handle.
 */
struct reader {
    const struct weir__ring *ring;
    unsigned char *at;
    uint64_t head, count;
    uint64_t end; /* no message from there on: it is another lane's turn */
    uint32_t number;
};

static inline struct reader begin_reading(const struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->lane;
    const struct weir__ring *ring = &lane->ring;
    return (struct reader){ .ring = ring,
                            .at = weir__ring_at(ring->bytes, ring->capacity, lane->head),
                            .head = lane->head,
                            .count = lane->count,
                            .end = subscriber->lane_count > 1 ? lane->turn_end : UINT64_MAX,
                            .number = lane->number };
}

static inline void end_reading(struct weir_subscriber *subscriber, const struct reader *reader)
{
    subscriber->lane->head = reader->head;
    subscriber->lane->count = reader->count;
}

static inline void step_to(struct reader *reader, uint64_t head)
{
    reader->head = head;
    reader->at = weir__ring_at(reader->ring->bytes, reader->ring->capacity, head);
}

/* Behind the pads at *head; 0: there is none, before end. */
static __attribute__((noinline, cold)) uint64_t look_behind_pads(const struct weir__ring *ring,
                                                                 uint64_t *head, uint64_t end)
{
    uint64_t header = weir__pass_pads(ring, head);
    const unsigned char *at = weir__ring_at(ring->bytes, ring->capacity, *head);
    return *head < end && header != 0 && weir__is_message(ring, at, header) ? header : 0;
}

/*
 * The header of the next message if it is there, behind pads perhaps; 0 also for what cannot be
 * true: the next call says so, since what this one has found is good. Inlined, and with a head of
 * its own for the pads, so that the reader stays in registers: kept in memory, each message would
 * wait for the one before it to be stored.
 */
static inline __attribute__((always_inline)) uint64_t look_behind(struct reader *reader)
{
    if (reader->head >= reader->end)
        return 0;
    uint64_t header = weir__load_header(reader->ring, reader->head);
    if (__builtin_expect(header != 0 && weir__is_message(reader->ring, reader->at, header), 1))
        return header;
    if (!weir__is_pad(reader->ring, header))
        return 0;
    uint64_t head = reader->head;
    header = look_behind_pads(reader->ring, &head, reader->end);
    step_to(reader, head);
    return header;
}

/* Describes the message with this header, which is, or is to be, at data, and steps over it. */
static inline void pass(struct reader *reader, uint64_t header, const void *data,
                        struct weir_message *message)
{
    message->data = data;
    message->size_bytes = weir__record_length(header);
    message->sequence = reader->count++;
    message->type = weir__record_type(header);
    message->session = reader->number;
    message->position = reader->head;
    message->missed = 0;
    step_to(reader, reader->head + weir__record_bytes(weir__record_length(header)));
}

static int update_descriptor(struct weir_subscriber *subscriber, int result)
{
    if (subscriber->descriptor)
        weir__subscriber_update_descriptor(subscriber, result);
    return result;
}

/* The message at head has this header, and is held; so are those behind it, count in all at most. */
static size_t hold_many(struct weir_subscriber *subscriber, uint64_t header,
                        struct weir_message *messages, size_t count)
{
    struct reader reader = begin_reading(subscriber);
    uint32_t taken = subscriber->taken;
    size_t done = 0;
    do {
        subscriber->holds[taken++ % WEIR_HOLDS_MAX] =
            (struct weir__hold){ .lane = subscriber->lane, .position = reader.head };
        pass(&reader, header, reader.at + WEIR__RECORD_HEADER_BYTES, &messages[done]);
        done++;
        /* CRASH page.taken */
    } while (done < count && (header = look_behind(&reader)) != 0);
    end_reading(subscriber, &reader);
    subscriber->taken = taken;
    subscriber->lane->held += (uint32_t)done;
    return done;
}

int weir_subscriber_take_many_until(struct weir_subscriber *subscriber,
                                    struct weir_message *messages, size_t count,
                                    int64_t deadline_ns)
{
    uint64_t header;
    int result = weir__side_check(&subscriber->side);
    if (result != 0 || count == 0)
        return result;
    size_t most = WEIR_HOLDS_MAX - weir__hold_count(subscriber);
    if (most == 0)
        result = weir__fail(ENOBUFS, "%d messages are held: release one first", WEIR_HOLDS_MAX);
    else
        result = weir__subscriber_find(subscriber, &header, deadline_ns);
    if (result == 0)
        result = (int)(subscriber->lane->is_validated ? weir__lane_hold_many : hold_many)(
            subscriber, header, messages, count < most ? count : most);
    return update_descriptor(subscriber, result);
}

/* Whether the messages are the oldest holds, all of the present lane, in their order. */
static bool are_oldest(const struct weir_subscriber *subscriber,
                       const struct weir_message *messages, size_t count)
{
    const struct weir__lane *lane = subscriber->lane;
    uint32_t dropped = subscriber->dropped;
    if (count > weir__hold_count(subscriber))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct weir__hold *hold = &subscriber->holds[(dropped + i) % WEIR_HOLDS_MAX];
        if (hold->lane != lane || hold->position != messages[i].position ||
            messages[i].session != lane->number)
            return false;
    }
    return true;
}

static_assert(WEIR_HOLDS_MAX <= 64, "a bit for each");

/* The bit of the hold that is the message; 0: it is not held. */
static uint64_t bit_of(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    for (unsigned index = 0; index < weir__hold_count(subscriber); index++)
        if (weir__hold_is_of(weir__hold_at(subscriber, index), message))
            return UINT64_C(1) << index;
    return 0;
}

/* In any order, of any lanes. */
static int release_any(struct weir_subscriber *subscriber, const struct weir_message *messages,
                       size_t count)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bit = bit_of(subscriber, &messages[i]);
        if ((bit & ~bits) == 0)
            return weir__fail(EINVAL, "the message at position %llu is not held, or named twice",
                              (unsigned long long)messages[i].position);
        bits |= bit;
    }
    for (unsigned index = WEIR_HOLDS_MAX; index-- > 0;) /* older ones keep their index */
        if (bits & UINT64_C(1) << index)
            weir__subscriber_drop_hold(subscriber, index);
    return 0;
}

int weir_subscriber_release_many(struct weir_subscriber *subscriber,
                                 const struct weir_message *messages, size_t count)
{
    int result = weir__side_check(&subscriber->side);
    if (result != 0 || count == 0)
        return result;
    if (!subscriber->lane || !are_oldest(subscriber, messages, count))
        return release_any(subscriber, messages, count);
    subscriber->dropped += (uint32_t)count;
    subscriber->lane->held -= (uint32_t)count;
    weir__lane_store_cursor(subscriber, subscriber->lane);
    return 0;
}

static inline void copy(unsigned char *to, const unsigned char *from, size_t size_bytes)
{
    if (size_bytes <= WEIR__COPY_SMALL_MAX)
        weir__copy_wide(to, from, size_bytes);
    else
        memcpy(to, from, size_bytes);
}

/* Copies what fits, from the message at head on, which has this header. Returns how many. */
static size_t copy_many(struct weir_subscriber *subscriber, uint64_t header, unsigned char *data,
                        size_t capacity_bytes, struct weir_message *messages, size_t count)
{
    struct reader reader = begin_reading(subscriber);
    size_t done = 0, used = 0;
    do {
        size_t size_bytes = weir__record_length(header);
        if (used > capacity_bytes || size_bytes > capacity_bytes - used)
            break;
        copy(data + used, reader.at + WEIR__RECORD_HEADER_BYTES, size_bytes);
        pass(&reader, header, data + used, &messages[done]);
        done++;
        used += (size_bytes + 7) & ~(size_t)7;
    } while (done < count && (header = look_behind(&reader)) != 0);
    end_reading(subscriber, &reader);
    return done;
}

int weir_subscriber_receive_many_until(struct weir_subscriber *subscriber, void *data,
                                       size_t capacity_bytes, struct weir_message *messages,
                                       size_t count, int64_t deadline_ns)
{
    uint64_t header;
    size_t copied;
    unsigned attempts = 0;
    int result = weir__side_check(&subscriber->side);
    if (result != 0 || count == 0)
        return result;
    if (count > INT_MAX)
        count = INT_MAX;
    do {
        result = weir__subscriber_find(subscriber, &header, deadline_ns);
        if (result == 0)
            result = weir__subscriber_in_time(attempts++, deadline_ns);
        if (result != 0)
            return update_descriptor(subscriber, result);
        if (weir__record_length(header) > capacity_bytes) { /* it stays the next one */
            weir__lane_describe(subscriber->lane, header, data, messages);
            weir__subscriber_keep_turn(subscriber);
            update_descriptor(subscriber, 0);
            return weir__fail(EMSGSIZE, "the message has %zu bytes, there is room for %zu",
                              messages->size_bytes, capacity_bytes);
        }
        copied = (subscriber->lane->is_validated ? weir__lane_copy_many : copy_many)(
            subscriber, header, data, capacity_bytes, messages, count);
    } while (copied == 0); /* overwritten while it was copied: go on behind it */
    weir__subscriber_give_back(subscriber);
    return (int)copied;
}
