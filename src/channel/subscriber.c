/* SPDX-License-Identifier: MIT */
/*
 * The subscriber's calls. docs/lane.md, "Receiving"; subscriber.h has the invariants.
 *
 * What a message costs beside its payload is inlined here; all that is rare stands in
 * functions that are not.
 */
#include "channel/subscriber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "base/copy.h"
#include "base/error.h"

/*
 * Each of the two ways to a message is there twice, inlined: once for a message that is there,
 * and once behind the moment for which one is waited at first. What is rare, and all that makes
 * calls, stands in functions of its own, so that these save no registers: while a line comes
 * from the other core, nothing that is not needed should be in its way.
 */

/* The header at head; 0: not there yet, or not even a lane. */
static inline uint64_t load_header(const struct weir_subscriber *subscriber)
{
    if (__builtin_expect(!weir__side_is_ours(&subscriber->side) || !subscriber->lane, 0))
        return 0;
    return weir__load_header(subscriber->lane, subscriber->head);
}

static inline bool is_message(const struct weir_subscriber *subscriber, uint64_t header)
{
    return header != 0 && weir__is_message(subscriber->lane, subscriber->head, header);
}

/* 0 and the header of the message at head, checked; or why there is none by the deadline. */
static int find(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    int result = weir__side_check(&subscriber->side);
    if (result == 0)
        result = weir__subscriber_wait(subscriber, header, deadline_ns);
    return result;
}

static inline void describe(const struct weir_subscriber *subscriber, uint64_t header,
                            const void *data, struct weir_message *message)
{
    message->data = data;
    message->size_bytes = weir__record_length(header);
    message->sequence = subscriber->count;
    message->type = weir__record_type(header);
    message->session = subscriber->lane->number;
    message->position = subscriber->head;
}

static inline const void *payload(const struct weir_subscriber *subscriber)
{
    const struct weir__lane *lane = subscriber->lane;
    return weir__ring_at(lane->ring, lane->capacity, subscriber->head) + WEIR__RECORD_HEADER_BYTES;
}

static inline void step_over(struct weir_subscriber *subscriber, uint64_t header)
{
    subscriber->head += weir__record_bytes(weir__record_length(header));
    subscriber->count++;
}

/* Gives back what is not held. */
static inline void store_cursor(struct weir_subscriber *subscriber)
{
    if (__builtin_expect(subscriber->hold_count != 0, 0)) {
        weir__subscriber_store_cursor(subscriber);
        return;
    }
    /* Release [lane.free]: all reads of what is given back come before. Pairs with
     * look_at_page(). */
    atomic_store_explicit(&subscriber->page->cursor, subscriber->head, memory_order_release);
    weir__wake(&subscriber->side.waker);
}

static inline void update_descriptor(struct weir_subscriber *subscriber)
{
    if (__builtin_expect(subscriber->descriptor != NULL, 0))
        weir__subscriber_update_descriptor(subscriber);
}

static inline void hold(struct weir_subscriber *subscriber, uint64_t header,
                        struct weir_message *message)
{
    describe(subscriber, header, payload(subscriber), message);
    *weir__hold_at(subscriber, subscriber->hold_count) =
        (struct weir__hold){ .lane = subscriber->lane, .position = subscriber->head };
    subscriber->hold_count++;
    subscriber->lane->holds++;
    step_over(subscriber, header);
    update_descriptor(subscriber);
    /* CRASH page.taken */
}

/* A message that may not be there yet, or a place that may not. */
static __attribute__((noinline)) int take_any(struct weir_subscriber *subscriber,
                                              struct weir_message *message, int64_t deadline_ns)
{
    uint64_t header;
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && subscriber->hold_count == WEIR_HOLDS_MAX)
        result = weir__fail(ENOBUFS, "%d messages are held: release one first", WEIR_HOLDS_MAX);
    if (result == 0)
        result = find(subscriber, &header, deadline_ns);
    if (result == 0)
        hold(subscriber, header, message);
    else
        update_descriptor(subscriber);
    return result;
}

static inline int take_found(struct weir_subscriber *subscriber, uint64_t header,
                             struct weir_message *message, int64_t deadline_ns)
{
    if (__builtin_expect(
            !is_message(subscriber, header) || subscriber->hold_count == WEIR_HOLDS_MAX, 0))
        return take_any(subscriber, message, deadline_ns);
    hold(subscriber, header, message);
    return 0;
}

static __attribute__((noinline)) int take_soon(struct weir_subscriber *subscriber,
                                               struct weir_message *message, int64_t deadline_ns)
{
    return take_found(subscriber, weir__subscriber_spin(subscriber, deadline_ns), message,
                      deadline_ns);
}

int weir_subscriber_take_until(struct weir_subscriber *subscriber, struct weir_message *message,
                               int64_t deadline_ns)
{
    uint64_t header = load_header(subscriber);
    if (header == 0)
        return take_soon(subscriber, message, deadline_ns);
    return take_found(subscriber, header, message, deadline_ns);
}

int weir_subscriber_take(struct weir_subscriber *subscriber, struct weir_message *message)
{
    return weir_subscriber_take_until(subscriber, message, WEIR_NEVER);
}

static inline bool is_held_at(struct weir_subscriber *subscriber, unsigned index,
                              const struct weir_message *message)
{
    const struct weir__hold *hold = weir__hold_at(subscriber, index);
    return hold->position == message->position && hold->lane->number == message->session;
}

/* Any hold but the oldest one of the present lane, or none. */
static __attribute__((noinline)) int release_any(struct weir_subscriber *subscriber,
                                                 const struct weir_message *message)
{
    unsigned index = 0;
    while (index < subscriber->hold_count && !is_held_at(subscriber, index, message))
        index++;
    if (index == subscriber->hold_count)
        return weir__fail(EINVAL, "the message at position %llu is not held",
                          (unsigned long long)message->position);
    weir__subscriber_drop_hold(subscriber, index);
    if (subscriber->number)
        weir__subscriber_store_cursor(subscriber);
    if (!subscriber->lane)
        weir__ring(&subscriber->side.other->doorbell); /* it has ended, and may wait for this */
    return 0;
}

int weir_subscriber_release(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    if (__builtin_expect(!weir__side_is_ours(&subscriber->side), 0))
        return weir__side_check(&subscriber->side);
    const struct weir__hold *oldest = weir__hold_at(subscriber, 0);
    if (__builtin_expect(subscriber->hold_count == 0 || oldest->lane != subscriber->lane ||
                             !is_held_at(subscriber, 0, message),
                         0))
        return release_any(subscriber, message);
    subscriber->first_hold = (subscriber->first_hold + 1) % WEIR_HOLDS_MAX;
    subscriber->hold_count--;
    subscriber->lane->holds--;
    store_cursor(subscriber);
    return 0;
}

static __attribute__((noinline)) void give_back_watched(struct weir_subscriber *subscriber)
{
    weir__subscriber_pause_descriptor(subscriber);
    weir__subscriber_store_cursor(subscriber);
    weir__subscriber_update_descriptor(subscriber);
}

static inline void give_back(struct weir_subscriber *subscriber, uint64_t header)
{
    step_over(subscriber, header);
    if (__builtin_expect(subscriber->descriptor != NULL, 0))
        give_back_watched(subscriber);
    else
        store_cursor(subscriber);
}

/* A message that may not be there yet, or is a large one. */
static __attribute__((noinline)) int receive_any(struct weir_subscriber *subscriber, void *data,
                                                 size_t capacity_bytes,
                                                 struct weir_message *message, int64_t deadline_ns)
{
    uint64_t header;
    int result = find(subscriber, &header, deadline_ns);
    if (result != 0) {
        update_descriptor(subscriber);
        return result;
    }
    size_t size_bytes = weir__record_length(header);
    if (message)
        describe(subscriber, header, data, message);
    if (size_bytes > capacity_bytes) { /* it stays the next one */
        update_descriptor(subscriber);
        return weir__fail(EMSGSIZE, "the message has %zu bytes, there is room for %zu", size_bytes,
                          capacity_bytes);
    }
    if (size_bytes > 0)
        memcpy(data, payload(subscriber), size_bytes);
    give_back(subscriber, header);
    return 0;
}

static inline int receive_found(struct weir_subscriber *subscriber, uint64_t header, void *data,
                                size_t capacity_bytes, struct weir_message *message,
                                int64_t deadline_ns)
{
    size_t size_bytes = weir__record_length(header);
    if (__builtin_expect(!is_message(subscriber, header) || size_bytes > WEIR__COPY_SMALL_MAX ||
                             size_bytes > capacity_bytes,
                         0))
        return receive_any(subscriber, data, capacity_bytes, message, deadline_ns);
    weir__copy_small(data, payload(subscriber), size_bytes);
    if (message)
        describe(subscriber, header, data, message);
    give_back(subscriber, header);
    return 0;
}

static __attribute__((noinline)) int receive_soon(struct weir_subscriber *subscriber, void *data,
                                                  size_t capacity_bytes,
                                                  struct weir_message *message, int64_t deadline_ns)
{
    return receive_found(subscriber, weir__subscriber_spin(subscriber, deadline_ns), data,
                         capacity_bytes, message, deadline_ns);
}

int weir_subscriber_receive_until(struct weir_subscriber *subscriber, void *data,
                                  size_t capacity_bytes, struct weir_message *message,
                                  int64_t deadline_ns)
{
    uint64_t header = load_header(subscriber);
    if (header == 0)
        return receive_soon(subscriber, data, capacity_bytes, message, deadline_ns);
    return receive_found(subscriber, header, data, capacity_bytes, message, deadline_ns);
}

int weir_subscriber_receive(struct weir_subscriber *subscriber, void *data, size_t capacity_bytes)
{
    return weir_subscriber_receive_until(subscriber, data, capacity_bytes, NULL, WEIR_NEVER);
}

static int open_subscriber(struct weir_subscriber *subscriber, const char *name,
                           const struct weir_channel_options *options)
{
    int result = weir__side_join(&subscriber->side, name, false, WEIR__PAGE_MAGIC,
                                 sizeof(struct weir__page_shm), options);
    if (result != 0)
        return result;
    subscriber->page = weir_segment_data(subscriber->side.memory);
    subscriber->side.waiter.epoch = &subscriber->page->epoch;
    weir__side_list(&subscriber->side);
    /* CRASH page.unattached */
    return weir__subscriber_find_lane(subscriber);
}

int weir_subscriber_open(struct weir_subscriber **subscriber, const char *name,
                         const struct weir_channel_options *options)
{
    struct weir__error_saved saved;
    struct weir_subscriber *made = calloc(1, sizeof *made);
    if (!made)
        return weir__fail(ENOMEM, "no memory for a subscriber's handle");
    weir__error_save(&saved);
    int result = open_subscriber(made, name, options);
    if (result == 0) {
        *subscriber = made;
        weir__error_restore(&saved);
    } else {
        weir__error_save(&saved);
        weir_subscriber_close(made);
        weir__error_restore(&saved);
    }
    return result;
}

void weir_subscriber_close(struct weir_subscriber *subscriber)
{
    if (!subscriber)
        return;
    if (subscriber->lane && weir__side_is_ours(&subscriber->side)) /* a child has no page */
        weir__subscriber_finish_lane(subscriber); /* what it has released stays said */
    weir__descriptor_close(subscriber->descriptor, weir__side_is_ours(&subscriber->side));
    while (subscriber->hold_count > 0)
        weir__subscriber_drop_hold(subscriber, 0);
    weir__side_leave(&subscriber->side);
    free(subscriber->lane); /* in a child of fork, which did not leave it */
    free(subscriber);
}
