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
#include "base/copy_large.h"
#include "base/error.h"
#include "base/live.h"

/*
 * Each of the two ways to a message is there three times, inlined: once for a message that is as long
 * as the turn's first one and of its type (a usual one); once for any that is there; and once behind the
 * moment for which one is waited at first. What is rare, and all that makes calls, stands in functions of
 * its own, so that these save no registers: while a line comes from the other core, nothing that is not
 * needed should be in its way.
 *
 * A usual header needs no check but that it is equal; and where the record behind it lies follows from
 * what the handle has, not from what was just loaded: the processor foresees the branch, and goes on.
 */

/* The place at head. */
struct place {
    struct weir__lane *lane; /* NULL: there is none that needs no look around */
    const unsigned char *at;
    uint64_t head;
};

/* Where lap is that of the head: stop was set since it came there. */
static inline const unsigned char *place_in_lap(const struct weir__lane *lane)
{
    return (const unsigned char *)(lane->lap + lane->head);
}

static inline struct place place_at_head(struct weir__lane *lane)
{
    return (struct place){ lane, place_in_lap(lane), lane->head };
}

/* In a child of fork there is none. */
static inline struct place place_of(const struct weir_subscriber *subscriber)
{
    struct weir__lane *lane = subscriber->live->lane;
    if (__builtin_expect(!lane || lane->head >= lane->stop, 0))
        return (struct place){ NULL, NULL, 0 };
    return place_at_head(lane);
}

/* Where the record there ends, which has this header. */
static inline uint64_t end_of(const struct place *place, uint64_t header)
{
    return place->head + weir__record_bytes(weir__record_length(header));
}

/* The header there; 0: not there yet, or not even a lane. */
static inline uint64_t load_header(const struct place *place)
{
    return __builtin_expect(place->lane != NULL, 1) ? weir__load_header_at(place->at) : 0;
}

/* Looks at a header, 10 to 50 ns each with the pause behind it, before a wait is begun in earnest. */
#define BRIEF_LOOKS 100
/* The first one comes sooner: that helps near cores and far ones. More of them are in the writer's way. */
#define CLOSE_LOOKS 1

/*
 * A moment in which the record may come: sooner than a wait could begin. Its header, of whatever
 * kind; 0: not yet, or such a moment is not wanted. With a pause, although that may come between
 * the record and us: who asks for the line again and again is in the way of who writes it.
 */
static inline uint64_t spin(struct weir_subscriber *subscriber, const struct place *place,
                            int64_t deadline_ns)
{
    if (!place->lane || !weir__subscriber_may_spin(subscriber, deadline_ns))
        return 0;
    uint64_t header = weir__load_header_at(place->at);
    for (int i = 0; header == 0 && i < BRIEF_LOOKS; i++) {
        if (i < CLOSE_LOOKS)
            weir__cpu_relax_briefly();
        else
            weir__cpu_relax();
        header = weir__load_header_at(place->at);
    }
    if (header != 0)
        weir__yield_looked(&subscriber->side.waiter.yield);
    return header;
}

static inline bool is_message(const struct place *place, uint64_t header)
{
    return place->lane && weir__is_header(&place->lane->ring, header) &&
           end_of(place, header) <= place->lane->stop;
}

/* 0 and the header of the message at head, checked; or why there is none by the deadline. */
static int find(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    int result = weir__side_check(&subscriber->side);
    if (result == 0)
        result = weir__subscriber_wait(subscriber, header, deadline_ns);
    return result;
}

int weir__subscriber_find(struct weir_subscriber *subscriber, uint64_t *header, int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    *header = load_header(&place);
    if (*header == 0)
        *header = spin(subscriber, &place, deadline_ns);
    return is_message(&place, *header) ? 0 : find(subscriber, header, deadline_ns);
}

/* The last thing that a call does, where somebody sleeps or has come: it is jumped to, and gives 0. */
static __attribute__((noinline, cold)) int look_up(struct weir_subscriber *subscriber,
                                                   struct weir__lane *lane)
{
    weir__lane_mind_others(lane);
    weir__lane_wake(subscriber, lane);
    return 0;
}

/*
 * Gives back all that was read of a lane of which nothing is held: up to head, count messages. What is
 * read of the lane is read first: the page may be, for all that the compiler knows, a part of it.
 */
static inline int store_cursor_at(struct weir_subscriber *subscriber, struct weir__lane *lane,
                                  uint64_t head, uint64_t count, bool must_fence)
{
    struct weir__entry_shm *entry = lane->entry;
    /* Relaxed [lane.released]: who inspects tells it from what the cursor says. Pairs with
     * read_entries(). */
    atomic_store_explicit(&entry->released, count, memory_order_relaxed);
    /* Release [lane.free]: all reads of what is given back come before. Pairs with credit() and
     * weir__publisher_reader_has_released(). */
    atomic_store_explicit(&entry->cursor, head, memory_order_release);
    weir__wake_order(must_fence);
    if (__builtin_expect(
            weir__waker_epoch(&lane->waker) != lane->waker.rung || weir__lane_has_others(lane), 0))
        return look_up(subscriber, lane);
    return 0;
}

static inline int store_cursor(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    return store_cursor_at(subscriber, lane, lane->head, lane->count, lane->waker.must_fence);
}

/* Whether a usual record at head needs no look around, and nothing is held. In a child of fork: no. */
static inline bool may_be_usual(const struct weir__subscriber_live *live)
{
    return __builtin_expect(
        live->lane && live->lane->head < live->lane->usual_stop && live->only == 0, 1);
}

/*
 * A header that is not the usual one: whether it is of a message at all. Then the rest of the turn is read
 * as any is: of messages that differ each would be foreseen wrongly half of the time, for 5 ns.
 */
static inline bool is_unusual(struct weir__lane *lane, uint64_t header)
{
    if (header == 0)
        return false;
    lane->usual_stop = 0;
    return true;
}

/* A message that may not be there yet, or not the only one that is held; or there is a descriptor. */
static __attribute__((noinline)) int take_any(struct weir_subscriber *subscriber,
                                              struct weir_message *message, int64_t deadline_ns)
{
    if (subscriber->live->lane)
        weir__lane_mind_others(subscriber->live->lane); /* it may hold all, and release nothing */
    struct place place = place_of(subscriber);
    uint64_t header = load_header(&place);
    int result = weir__side_check(&subscriber->side);
    if (result == 0 && weir__hold_count(subscriber) == WEIR_HOLDS_MAX)
        result = weir__fail(ENOBUFS, "%d messages are held: release one first", WEIR_HOLDS_MAX);
    if (result == 0 && !is_message(&place, header)) {
        result = find(subscriber, &header, deadline_ns);
        if (result == 0)
            place = place_at_head(subscriber->live->lane);
    }
    if (result != 0)
        return weir__subscriber_without(subscriber, message, result);
    *weir__hold_at(subscriber, weir__hold_count(subscriber)) =
        (struct weir__hold){ .lane = place.lane, .position = place.head };
    weir__holds_add(subscriber, 1);
    weir__lane_describe(place.lane, header, place.at + WEIR__RECORD_HEADER_BYTES,
                        place.lane->missed, message);
    place.lane->missed = 0;
    weir__lane_step_over(place.lane, header);
    return weir__subscriber_told(subscriber, 0);
}

/* Whether it is a message, and will be the only one that is held; to give it back takes no fence. */
static inline bool can_hold(const struct weir_subscriber *subscriber, const struct place *place,
                            uint64_t header)
{
    return __builtin_expect(is_message(place, header) && subscriber->live->only == 0 &&
                                !place->lane->waker.must_fence,
                            1);
}

static inline int hold_only(struct weir_subscriber *subscriber, const struct place *place,
                            uint64_t header, struct weir_message *message)
{
    struct weir__lane *lane = place->lane;
    uint64_t count = lane->count;
    weir__lane_describe(lane, header, place->at + WEIR__RECORD_HEADER_BYTES, 0, message);
    lane->head = end_of(place, header);
    lane->count = count + 1;
    subscriber->live->only = place->head | WEIR__ONLY;
    return 0;
    /* CRASH page.taken */
}

/* The same of a usual one. What is read of the lane is read first: the message may be a part of it. */
static inline int hold_usual(struct weir__subscriber_live *live, struct weir__lane *lane,
                             const unsigned char *at, uint64_t header, struct weir_message *message)
{
    uint64_t head = lane->head, count = lane->count, kind;
    memcpy(&kind, &lane->usual_kind, sizeof kind);
    message->data = at + WEIR__RECORD_HEADER_BYTES;
    message->size_bytes = weir__record_length(header);
    message->sequence = count;
    memcpy(&message->type, &kind, sizeof kind);
    message->position = head;
    message->missed = 0;
    live->only = head | WEIR__ONLY;
    lane->head = head + lane->usual_bytes;
    lane->count = count + 1;
    return 0;
    /* CRASH page.taken */
}

static __attribute__((noinline)) int take_soon(struct weir_subscriber *subscriber,
                                               struct weir_message *message, int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    uint64_t header = spin(subscriber, &place, deadline_ns);
    if (!can_hold(subscriber, &place, header))
        return take_any(subscriber, message, deadline_ns);
    return hold_only(subscriber, &place, header, message);
}

/* A message of whatever kind. */
static __attribute__((noinline)) int take_unusual(struct weir_subscriber *subscriber,
                                                  struct weir_message *message, int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    uint64_t header = load_header(&place);
    if (can_hold(subscriber, &place, header))
        return hold_only(subscriber, &place, header, message);
    return header == 0 ? take_soon(subscriber, message, deadline_ns)
                       : take_any(subscriber, message, deadline_ns);
}

int weir_subscriber_take_until(struct weir_subscriber *subscriber, struct weir_message *message,
                               int64_t deadline_ns)
{
    struct weir__subscriber_live *live = subscriber->live;
    if (!may_be_usual(live))
        return take_unusual(subscriber, message, deadline_ns);
    struct weir__lane *lane = live->lane;
    const unsigned char *at = place_in_lap(lane);
    uint64_t header = weir__load_header_at(at);
    if (__builtin_expect(header != lane->usual, 0))
        return is_unusual(lane, header) ? take_unusual(subscriber, message, deadline_ns)
                                        : take_soon(subscriber, message, deadline_ns);
    return hold_usual(live, lane, at, header, message);
}

int weir_subscriber_take(struct weir_subscriber *subscriber, struct weir_message *message)
{
    return weir_subscriber_take_until(subscriber, message, WEIR_NEVER);
}

static inline bool is_held_at(struct weir_subscriber *subscriber, unsigned index,
                              const struct weir_message *message)
{
    return weir__hold_is_of(weir__hold_at(subscriber, index), message);
}

/* One of several that are held, or none; or there is a descriptor. */
static __attribute__((noinline)) int release_any(struct weir_subscriber *subscriber,
                                                 const struct weir_message *message)
{
    unsigned index = 0;
    if (!weir__side_is_ours(&subscriber->side))
        return weir__side_check(&subscriber->side);
    while (index < weir__hold_count(subscriber) && !is_held_at(subscriber, index, message))
        index++;
    if (index == weir__hold_count(subscriber))
        return weir__fail(EINVAL, "the message at position %llu is not held",
                          (unsigned long long)message->position);
    weir__subscriber_drop_hold(subscriber, index);
    return 0;
}

int weir_subscriber_release(struct weir_subscriber *subscriber, const struct weir_message *message)
{
    struct weir__subscriber_live *live = subscriber->live;
    if (__builtin_expect(live->only != (message->position | WEIR__ONLY) ||
                             live->lane->number != message->session,
                         0))
        return release_any(subscriber, message);
    struct weir__lane *lane = live->lane;
    live->only = 0;
    return store_cursor_at(subscriber, lane, lane->head, lane->count, false);
}

/* Something is held, or there is a descriptor. */
static __attribute__((noinline)) int give_back_rest(struct weir_subscriber *subscriber)
{
    if (subscriber->descriptor)
        weir__subscriber_pause_descriptor(subscriber);
    weir__lane_store_cursor(subscriber, subscriber->live->lane);
    return weir__subscriber_told(subscriber, 0);
}

static inline int give_back(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    return __builtin_expect(subscriber->live->only != 0, 0) ? give_back_rest(subscriber)
                                                            : store_cursor(subscriber, lane);
}

void weir__subscriber_give_back(struct weir_subscriber *subscriber)
{
    give_back(subscriber, subscriber->live->lane);
}

/* Whether all of the message was copied, or it was overwritten meanwhile. */
static inline bool copy_out(const struct place *place, uint64_t header, void *data)
{
    if (place->lane->is_validated)
        return weir__lane_copy(place->lane, header, data);
    if (weir__record_length(header) > 0)
        weir__copy_from_shared(data, place->at + WEIR__RECORD_HEADER_BYTES,
                               weir__record_length(header));
    return true;
}

/* Why there is no message that fits: the descriptor is as it should be afterwards. */
static int refuse_receive(struct weir_subscriber *subscriber, int result, uint64_t header,
                          size_t capacity_bytes, void *data, struct weir_message *message)
{
    if (result == -EMSGSIZE) { /* it stays the next one */
        if (message)
            weir__lane_describe(subscriber->live->lane, header, data,
                                subscriber->live->lane->missed, message);
        weir__subscriber_keep_turn(subscriber);
    }
    weir__subscriber_without(subscriber, message, result);
    if (result == -EMSGSIZE)
        return weir__fail(EMSGSIZE, "the message has %u bytes, there is room for %zu",
                          weir__record_length(header), capacity_bytes);
    return result;
}

int weir__subscriber_in_time(unsigned attempts, int64_t deadline_ns)
{
    if (attempts < WEIR__ATTEMPTS || deadline_ns == WEIR_NEVER)
        return 0;
    if (deadline_ns == 0)
        return weir__fail_plain(EAGAIN, "all was overwritten while it was copied");
    return weir_now_ns() < deadline_ns
               ? 0
               : weir__fail_plain(ETIMEDOUT, "all was overwritten while it was copied");
}

/* A message that may not be there yet, is a large one, or can be overwritten while it is copied. */
static __attribute__((noinline)) int receive_any(struct weir_subscriber *subscriber, void *data,
                                                 size_t capacity_bytes,
                                                 struct weir_message *message, int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    uint64_t header = load_header(&place);
    for (unsigned attempts = 0;;) {
        /* One that did not fit stays the next one: another look could give another lane its turn. */
        int result = is_message(&place, header) ? 0 : find(subscriber, &header, deadline_ns);
        if (result == 0 && weir__record_length(header) > capacity_bytes)
            result = -EMSGSIZE;
        else if (result == 0)
            result = weir__subscriber_in_time(attempts, deadline_ns);
        if (result != 0)
            return refuse_receive(subscriber, result, header, capacity_bytes, data, message);
        place = place_at_head(subscriber->live->lane);
        if (copy_out(&place, header, data))
            break;
        header = 0; /* go on behind it */
        attempts += weir__lane_effort(place.lane);
    }
    if (message)
        weir__lane_describe(place.lane, header, data, place.lane->missed, message);
    place.lane->missed = 0;
    weir__lane_step_over(place.lane, header);
    return give_back(subscriber, place.lane);
}

/* Whether it is a small message, and fits. */
static inline bool can_copy(const struct place *place, uint64_t header, size_t capacity_bytes)
{
    size_t size_bytes = weir__record_length(header);
    return __builtin_expect(is_message(place, header) && size_bytes <= WEIR__COPY_SMALL_MAX &&
                                size_bytes <= capacity_bytes,
                            1);
}

static inline __attribute__((always_inline)) int receive_small(struct weir_subscriber *subscriber,
                                                               const struct place *place,
                                                               uint64_t header, void *data,
                                                               struct weir_message *message)
{
    struct weir__lane *lane = place->lane;
    uint64_t count = lane->count;
    weir__copy_wide(data, place->at + WEIR__RECORD_HEADER_BYTES, weir__record_length(header));
    if (message)
        weir__lane_describe(lane, header, data, 0, message);
    lane->head = end_of(place, header);
    lane->count = count + 1;
    return give_back(subscriber, lane);
}

static __attribute__((noinline)) int receive_soon(struct weir_subscriber *subscriber, void *data,
                                                  size_t capacity_bytes,
                                                  struct weir_message *message, int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    uint64_t header = spin(subscriber, &place, deadline_ns);
    if (!can_copy(&place, header, capacity_bytes))
        return receive_any(subscriber, data, capacity_bytes, message, deadline_ns);
    return receive_small(subscriber, &place, header, data, message);
}

/* A message of whatever kind. */
static __attribute__((noinline)) int receive_unusual(struct weir_subscriber *subscriber, void *data,
                                                     size_t capacity_bytes,
                                                     struct weir_message *message,
                                                     int64_t deadline_ns)
{
    struct place place = place_of(subscriber);
    uint64_t header = load_header(&place);
    if (can_copy(&place, header, capacity_bytes))
        return receive_small(subscriber, &place, header, data, message);
    return header == 0 ? receive_soon(subscriber, data, capacity_bytes, message, deadline_ns)
                       : receive_any(subscriber, data, capacity_bytes, message, deadline_ns);
}

/* A usual message was copied. What is not needed before stands in the handle, not in registers: so none is saved. */
static inline int pass_usual(struct weir_subscriber *subscriber, struct weir__lane *lane)
{
    uint64_t count = lane->count + 1, head = lane->head + lane->usual_bytes;
    lane->head = head;
    lane->count = count;
    return store_cursor_at(subscriber, lane, head, count, false);
}

int weir_subscriber_receive_until(struct weir_subscriber *subscriber, void *data,
                                  size_t capacity_bytes, struct weir_message *message,
                                  int64_t deadline_ns)
{
    const struct weir__subscriber_live *live = subscriber->live;
    if (!may_be_usual(live))
        return receive_unusual(subscriber, data, capacity_bytes, message, deadline_ns);
    struct weir__lane *lane = live->lane;
    const unsigned char *at = place_in_lap(lane);
    uint64_t header = weir__load_header_at(at);
    if (__builtin_expect(header != lane->usual, 0))
        return is_unusual(lane, header)
                   ? receive_unusual(subscriber, data, capacity_bytes, message, deadline_ns)
                   : receive_soon(subscriber, data, capacity_bytes, message, deadline_ns);
    size_t size_bytes = weir__record_length(header);
    if (__builtin_expect(size_bytes > capacity_bytes, 0) ||
        !weir__copy_wide(data, at + WEIR__RECORD_HEADER_BYTES, size_bytes))
        return receive_any(subscriber, data, capacity_bytes, message, deadline_ns);
    if (message)
        weir__lane_describe(lane, lane->usual, data, 0, message);
    return pass_usual(subscriber, lane);
}

int weir_subscriber_receive(struct weir_subscriber *subscriber, void *data, size_t capacity_bytes)
{
    return weir_subscriber_receive_until(subscriber, data, capacity_bytes, NULL, WEIR_NEVER);
}

/* Room for all that may come, so that only lanes are allocated later. */
static int make_lanes(struct weir_subscriber *subscriber)
{
    const struct weir__slots *others = weir__side_others(&subscriber->side);
    subscriber->lanes = calloc(others->count, sizeof(struct weir__lane *));
    subscriber->berths = calloc(others->count, sizeof *subscriber->berths);
    if (!subscriber->lanes || !subscriber->berths)
        return weir__fail(ENOMEM, "no memory for %u publishers", others->count);
    subscriber->changes_seen = weir__slots_changes(others) - 1;
    return weir__subscriber_make_view(subscriber);
}

static int open_subscriber(struct weir_subscriber *subscriber, const char *name,
                           const struct weir_channel_options *options, struct weir__rundir *dir)
{
    struct weir__side *side = &subscriber->side;
    int result = weir__side_join(side, name, WEIR__SUBSCRIBER, options, dir);
    if (result == 0)
        result = make_lanes(subscriber);
    if (result == 0)
        result = weir__side_make(side, WEIR__PAGE_MAGIC, dir);
    if (result != 0)
        return result;
    subscriber->page = weir_segment_data(side->memory);
    weir__side_list(side);
    /* CRASH page.unattached */
    result = weir__subscriber_attach_new(subscriber, true);
    subscriber->is_open = true;
    return result;
}

int weir_subscriber_open(struct weir_subscriber **subscriber, const char *name,
                         const struct weir_channel_options *options)
{
    struct weir__error_saved saved;
    struct weir_subscriber *made = calloc(1, sizeof *made);
    if (made)
        made->live = weir__live_new();
    if (!made || !made->live) {
        free(made);
        return weir__fail(ENOMEM, "no memory for a subscriber's handle");
    }
    struct weir__rundir dir;
    weir__rundir_init(&dir);
    weir__error_save(&saved);
    int result = open_subscriber(made, name, options, &dir);
    weir__rundir_close(&dir);
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
    bool is_ours = weir__side_is_ours(&subscriber->side);
    while (is_ours && subscriber->lane_count > 0) /* what it has released stays said */
        weir__lane_finish(subscriber, subscriber->lanes[subscriber->lane_count - 1]);
    weir__descriptor_close(subscriber->descriptor, is_ours);
    weir__subscriber_forget(subscriber);
    weir__side_leave(&subscriber->side);
    weir__live_free(subscriber->live);
    free(subscriber->lanes);
    free(subscriber->berths);
    free(subscriber->view);
    free(subscriber);
}
