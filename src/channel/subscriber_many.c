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
#include "base/copy_large.h"
#include "base/error.h"

/*
 * Where the next message lies. A copy of what the handle knows: whatever is stored into messages
 * may, for all that the compiler knows, be a field of the handle. What each message needs of the ring
 * is copied, too; ring itself is for what is rare.
 */
struct reader {
    const struct weir__ring *ring;
    unsigned char *bytes, *bytes_end;
    uint64_t capacity;
    uint64_t header, record_bytes; /* of the message at head, once it was found; it is sound */
    unsigned char *at;             /* where head lies */
    uint64_t head, count;
    uint64_t end; /* no message from there on */
    uint32_t number;
    bool had_more; /* the burst before */
};

/*
 * It is another lane's turn; or all that the ring can have was read, and a publisher that lets us go
 * round and round in it lies.
 */
static inline uint64_t burst_end(const struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->live->lane;
    return subscriber->lane_count > 1 ? lane->turn_end : lane->head + lane->ring.capacity;
}

/* The message at head has this header, which is sound. */
static inline struct reader begin_reading(const struct weir_subscriber *subscriber, uint64_t header)
{
    const struct weir__lane *lane = subscriber->live->lane;
    const struct weir__ring *ring = &lane->ring;
    return (struct reader){ .ring = ring,
                            .bytes = ring->bytes,
                            .bytes_end = ring->end,
                            .capacity = ring->capacity,
                            .header = header,
                            .record_bytes = weir__record_bytes(weir__record_length(header)),
                            .at = weir__ring_at(ring->bytes, ring->capacity, lane->head),
                            .head = lane->head,
                            .count = lane->count,
                            .end = burst_end(subscriber),
                            .number = lane->number,
                            .had_more = lane->had_more };
}

/* has_more: nothing said that there is none. So it is at the end of a turn, too. */
static inline void end_reading(struct weir_subscriber *subscriber, const struct reader *reader,
                               bool has_more)
{
    subscriber->live->lane->head = reader->head;
    subscriber->live->lane->count = reader->count;
    subscriber->live->lane->had_more = has_more || reader->head >= reader->end;
}

static inline void step_to(struct reader *reader, uint64_t head)
{
    reader->head = head;
    reader->at = weir__ring_at(reader->bytes, reader->capacity, head);
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
 * Whether the next message is there, behind pads perhaps; false, too, where something stands that
 * cannot be true: the next call says that, since what this one has found is good. Inlined, and with a head of its own for the
 * pads, so that the reader stays in registers: kept in memory, each message would wait for the one
 * before it to be stored.
 *
 * A header that is the same as the last one (so of a stream of one size and one type) is as sound,
 * where it fits. And then the place of the one behind it does not come from what was loaded, but from
 * a branch, which the processor foresees: so it may load the next headers before this one is there. Not
 * a reader that has caught up: those lines are being written, and it would take them from the writer.
 */
static inline __attribute__((always_inline)) bool look_behind(struct reader *reader)
{
    if (reader->head >= reader->end)
        return false;
    uint64_t header = weir__load_header_at(reader->at);
    if (__builtin_expect(reader->had_more && header == reader->header, 1))
        return reader->record_bytes <= (uint64_t)(reader->bytes_end - reader->at);
    if (!weir__is_message(reader->ring, reader->at, header)) {
        if (!weir__is_pad(reader->ring, header))
            return false;
        uint64_t head = reader->head;
        header = look_behind_pads(reader->ring, &head, reader->end);
        if (header == 0)
            return false; /* the next call passes the pads, and gives them back */
        step_to(reader, head);
    }
    reader->header = header;
    reader->record_bytes = weir__record_bytes(weir__record_length(header));
    return true;
}

/* Describes the message at head, which is, or is to be, at data, and steps over it. */
static inline void pass(struct reader *reader, const void *data, struct weir_message *message)
{
    uint64_t header = reader->header;
    message->data = data;
    message->size_bytes = weir__record_length(header);
    message->sequence = reader->count++;
    message->type = weir__record_type(header);
    message->session = reader->number;
    message->position = reader->head;
    message->missed = 0;
    step_to(reader, reader->head + reader->record_bytes);
}

/* Its neighbour in the queue, which goes round. */
static inline struct weir__hold *next_of(struct weir_subscriber *subscriber,
                                         struct weir__hold *hold)
{
    return hold + 1 == subscriber->holds + WEIR_HOLDS_MAX ? subscriber->holds : hold + 1;
}

static inline size_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many records like the last one there may be from head on, before end, and before the ring's: one is. */
static inline size_t alike_most(const struct reader *reader, size_t most)
{
    if (most == 0 || !reader->had_more || reader->head >= reader->end ||
        weir__load_header_at(reader->at) != reader->header)
        return 0; /* before it is divided, which of messages that differ would be for each */
    uint64_t room = least_of(reader->end - reader->head, reader->bytes_end - reader->at);
    return least_of(most, room / reader->record_bytes);
}

/*
 * Holds the messages at head that are like the last one, most of them at most. Of a stream of one size
 * and one type that is all of a burst: then a message is its description, its hold, and one comparison
 * (see look_behind()). Returns how many.
 */
static inline size_t hold_alike(struct reader *reader, struct weir__lane *lane,
                                struct weir__hold *hold, struct weir_message *message, size_t most)
{
    uint64_t header = reader->header, head = reader->head, count = reader->count;
    uint64_t bytes = reader->record_bytes, size_bytes = weir__record_length(header), kind_word;
    struct weir__kind kind = { weir__record_type(header), reader->number };
    memcpy(&kind_word, &kind, sizeof kind);
    const unsigned char *at = reader->at;
    size_t done = 0;
    for (; done < most && weir__load_header_at(at) == header; done++) {
        hold[done] = (struct weir__hold){ .lane = lane, .position = head };
        message[done].data = at + WEIR__RECORD_HEADER_BYTES;
        message[done].size_bytes = size_bytes;
        message[done].sequence = count + done;
        memcpy(&message[done].type, &kind_word, sizeof kind_word);
        message[done].position = head;
        message[done].missed = 0;
        at += bytes;
        head += bytes;
        /* CRASH page.taken */
    }
    reader->count += done;
    step_to(reader, head);
    return done;
}

/* The message at head has this header, and is held; so are those behind it, count in all at most. */
static size_t hold_many(struct weir_subscriber *subscriber, uint64_t header,
                        struct weir_message *messages, size_t count)
{
    struct reader reader = begin_reading(subscriber, header);
    struct weir__lane *lane = subscriber->live->lane;
    const struct weir__hold *holds_end = subscriber->holds + WEIR_HOLDS_MAX;
    struct weir__hold *hold = weir__hold_at(subscriber, weir__hold_count(subscriber));
    size_t done = 0;
    bool has_more = true;
    do {
        *hold = (struct weir__hold){ .lane = lane, .position = reader.head };
        pass(&reader, reader.at + WEIR__RECORD_HEADER_BYTES, &messages[done]);
        done++;
        /* CRASH page.taken */
        size_t most = least_of(count - done, (uint64_t)(holds_end - hold - 1));
        size_t alike =
            hold_alike(&reader, lane, hold + 1, messages + done, alike_most(&reader, most));
        done += alike;
        hold = next_of(subscriber, hold + alike);
    } while (done < count && (has_more = look_behind(&reader)));
    end_reading(subscriber, &reader, has_more);
    weir__holds_add(subscriber, (unsigned)done);
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
        result = (int)(subscriber->live->lane->is_validated ? weir__lane_hold_many : hold_many)(
            subscriber, header, messages, count < most ? count : most);
    return weir__subscriber_without(subscriber, messages, result);
}

/* Whether the messages are the oldest holds, all of the present lane, in their order. */
static bool are_oldest(struct weir_subscriber *subscriber, const struct weir_message *messages,
                       size_t count)
{
    const struct weir__lane *lane = subscriber->live->lane;
    struct weir__hold *hold = weir__hold_at(subscriber, 0);
    uint32_t number = lane->number;
    if (count > weir__hold_count(subscriber))
        return false;
    for (size_t i = 0; i < count; i++, hold = next_of(subscriber, hold)) {
        if (hold->lane != lane || hold->position != messages[i].position ||
            messages[i].session != number)
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
    if (!subscriber->live->lane || !are_oldest(subscriber, messages, count))
        return release_any(subscriber, messages, count);
    weir__holds_drop(subscriber, (unsigned)count);
    weir__lane_store_cursor(subscriber, subscriber->live->lane);
    return 0;
}

static inline void copy(unsigned char *to, const unsigned char *from, size_t size_bytes)
{
    if (size_bytes <= WEIR__COPY_SMALL_MAX)
        weir__copy_wide(to, from, size_bytes);
    else
        weir__copy_from_shared(to, from, size_bytes);
}

/* Copies what fits, from the message at head on, which has this header. Returns how many. */
static size_t copy_many(struct weir_subscriber *subscriber, uint64_t header, unsigned char *data,
                        size_t capacity_bytes, struct weir_message *messages, size_t count)
{
    struct reader reader = begin_reading(subscriber, header);
    size_t done = 0, used = 0;
    bool has_more = true;
    do {
        size_t size_bytes = weir__record_length(reader.header);
        if (used > capacity_bytes || size_bytes > capacity_bytes - used)
            break;
        copy(data + used, reader.at + WEIR__RECORD_HEADER_BYTES, size_bytes);
        pass(&reader, data + used, &messages[done]);
        done++;
        used += (size_bytes + 7) & ~(size_t)7;
    } while (done < count && (has_more = look_behind(&reader)));
    end_reading(subscriber, &reader, has_more);
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
            result = weir__subscriber_in_time(attempts, deadline_ns);
        if (result != 0)
            return weir__subscriber_without(subscriber, messages, result);
        if (weir__record_length(header) > capacity_bytes) { /* it stays the next one */
            weir__lane_describe(subscriber->live->lane, header, data,
                                subscriber->live->lane->missed, messages);
            weir__subscriber_keep_turn(subscriber);
            weir__subscriber_told(subscriber, 0);
            return weir__fail(EMSGSIZE, "the message has %zu bytes, there is room for %zu",
                              messages->size_bytes, capacity_bytes);
        }
        copied = (subscriber->live->lane->is_validated ? weir__lane_copy_many : copy_many)(
            subscriber, header, data, capacity_bytes, messages, count);
        attempts += weir__lane_effort(subscriber->live->lane);
    } while (copied == 0); /* overwritten while it was copied: go on behind it */
    weir__subscriber_give_back(subscriber);
    return (int)copied;
}
