/* SPDX-License-Identifier: MIT */
/*
 * Many messages in one call: a batch for the time of the call, unless one is open. docs/lane.md,
 * "Publishing"; publisher.h has the invariants.
 *
 * The loops keep what they use in registers: whatever is stored into the ring may, for all that
 * the compiler knows, be a field of the handle.
 */
#include "channel/publisher.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/copy.h"
#include "base/copy_large.h"
#include "base/error.h"

/* Where the next header goes, and the first one of the batch, which is held back. */
struct run {
    unsigned char *at;
    uint64_t tail;
    uint64_t held, held_at;
};

static inline struct run begin_run(const struct weir_publisher *publisher)
{
    return (struct run){ weir__ring_at(publisher->ring, publisher->capacity, publisher->tail),
                         publisher->tail, publisher->batch_header, publisher->batch_start };
}

/* A record whose payload is written. */
static inline void put_record(struct run *run, uint64_t header, uint64_t bytes)
{
    if (__builtin_expect(run->held == 0, 0)) {
        run->held = header;
        run->held_at = run->tail;
    } else {
        /* Relaxed: behind the one that is held back. */
        atomic_store_explicit((weir__atomic_u64 *)(void *)run->at, header, memory_order_relaxed);
    }
    run->at += bytes;
    run->tail += bytes;
}

static inline void end_run(struct weir_publisher *publisher, const struct run *run, uint64_t count)
{
    weir__publisher_end_usual(publisher);
    publisher->tail = run->tail;
    if (publisher->batch_header == 0)
        publisher->batch_count = publisher->count; /* of what the run has held back, if anything */
    publisher->count += count;
    publisher->batch_header = run->held;
    publisher->batch_start = run->held_at;
}

static inline void copy(unsigned char *to, const struct weir_outgoing *message)
{
    if (message->size_bytes <= WEIR__COPY_SMALL_MAX) {
        weir__copy_small(to, message->data, message->size_bytes);
    } else {
        weir__copy_to_shared(to, message->data, message->size_bytes);
    }
}

/* As many as need neither a look nor a pad, and can be sent. Returns how many. */
static size_t put_messages(struct weir_publisher *publisher, const struct weir_outgoing *messages,
                           size_t count)
{
    uint64_t stop = publisher->live->stop, most_bytes = publisher->most_bytes;
    struct run run = begin_run(publisher);
    size_t done = 0;
    for (; done < count; done++) {
        uint64_t length = messages[done].size_bytes, bytes = weir__record_bytes(length);
        uint32_t type = messages[done].type;
        if (__builtin_expect(length > most_bytes || type > UINT16_MAX || run.tail + bytes > stop,
                             0))
            break;
        if (__builtin_expect(run.tail >= publisher->ahead_at, 0) && length <= WEIR__COPY_SMALL_MAX)
            weir__publisher_take_ahead(publisher, run.tail, 2 * WEIR__AHEAD_BYTES);
        copy(run.at + WEIR__RECORD_HEADER_BYTES, &messages[done]);
        put_record(&run, weir__record_header(length, type, 0), bytes);
    }
    end_run(publisher, &run, done);
    return done;
}

/*
 * Whether the batch is this call's. quick_stop is not settled for the time of it: nothing within is written the
 * quick way.
 */
static inline bool begin_batch(struct weir_publisher *publisher)
{
    bool is_ours = !publisher->has_batch;
    publisher->has_batch = true;
    return is_ours;
}

static inline void end_batch(struct weir_publisher *publisher, bool is_ours)
{
    if (!is_ours)
        return;
    weir__publisher_commit_batch(publisher);
    publisher->has_batch = false;
    weir__publisher_settle_special(publisher); /* a look on the way may have counted the batch */
}

/* The message that is in the way of put_messages() no longer is; or why it is. */
static int make_way(struct weir_publisher *publisher, const struct weir_outgoing *message,
                    int64_t deadline_ns)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && message->type > UINT16_MAX)
        result = weir__fail(EINVAL, "type %u: types go to 65535", message->type);
    if (result == 0)
        result = weir__publisher_make_ready(publisher, message->size_bytes, deadline_ns);
    if (result == 0)
        weir__publisher_put_pad(publisher);
    return result;
}

/* How many, from the first on, have the size of the channel's type. */
static size_t of_type(const struct weir_publisher *publisher, const struct weir_outgoing *messages,
                      size_t count)
{
    size_t fit = 0;
    if (publisher->type_bytes == 0)
        return count;
    while (fit < count && messages[fit].size_bytes == publisher->type_bytes)
        fit++;
    return fit;
}

int weir_publisher_send_many_until(struct weir_publisher *publisher,
                                   const struct weir_outgoing *messages, size_t count,
                                   int64_t deadline_ns)
{
    struct weir__error_saved saved;
    size_t done = 0;
    int result = 0;
    if (count == 0 || !weir__side_is_ours(&publisher->side))
        return weir__side_check(&publisher->side);
    if (count > INT_MAX)
        count = INT_MAX;
    size_t fit = of_type(publisher, messages, count);
    bool is_ours = begin_batch(publisher);
    if (weir__publisher_has_loan(publisher))
        result = make_way(publisher, messages, deadline_ns);
    while (result == 0) {
        done += put_messages(publisher, messages + done, fit - done);
        if (done == count)
            break;
        weir__error_save(&saved);
        result = make_way(publisher, &messages[done], deadline_ns);
    }
    end_batch(publisher, is_ours);
    if (result != 0 && done > 0) /* then the call has succeeded */
        weir__error_restore(&saved);
    return done > 0 ? (int)done : result;
}

/*
 * The room that we know of was seen long ago; where it is too little for all, it is forgotten,
 * and so looked for. Not while a batch holds something back, which a look would commit.
 */
static void forget_little_room(struct weir_publisher *publisher, uint64_t bytes, size_t count)
{
    uint64_t room = publisher->live->stop - publisher->tail;
    bool is_limited = publisher->live->stop == publisher->limit - WEIR__RECORD_HEADER_BYTES;
    if (is_limited && publisher->batch_header == 0 &&
        room < publisher->capacity / WEIR__ROOM_SHARE && room / bytes < count)
        weir__publisher_forget_room(publisher);
}

/*
 * Where a stride is too little for all of a loan, and there is more room, it is made longer: then
 * less is left for who wants to begin in the past.
 */
static void reserve_more(struct weir_publisher *publisher, uint64_t bytes, size_t count)
{
    uint64_t room = publisher->live->stop - publisher->tail, wanted = publisher->limit;
    if (publisher->live->stop != publisher->reserved - WEIR__RECORD_HEADER_BYTES ||
        room / bytes >= count)
        return;
    if (count < publisher->capacity / bytes &&
        publisher->tail + count * bytes + WEIR__RECORD_HEADER_BYTES < wanted)
        wanted = publisher->tail + count * bytes + WEIR__RECORD_HEADER_BYTES;
    if (wanted > publisher->reserved && weir__publisher_reserve(publisher, wanted, bytes))
        weir__publisher_set_stop(publisher);
}

/* As many places as there is room for, behind the first one, which there is. */
static size_t place_count(const struct weir_publisher *publisher, uint64_t bytes, size_t count)
{
    uint64_t room = publisher->live->stop - publisher->tail;
    if (count > INT_MAX)
        count = INT_MAX;
    return count <= room / bytes ? count : (size_t)(room / bytes);
}

int weir_publisher_loan_many_until(struct weir_publisher *publisher, size_t size_bytes, void **data,
                                   size_t count, int64_t deadline_ns)
{
    if (count == 0)
        return weir__side_check(&publisher->side);
    if (size_bytes >
        publisher->most_bytes) /* refused there: its record has no length to count with */
        return weir__publisher_make_ready(publisher, size_bytes, deadline_ns);
    uint64_t bytes = weir__record_bytes(size_bytes);
    if (weir__side_is_ours(&publisher->side) && !weir__publisher_has_loan(publisher))
        forget_little_room(publisher, bytes, count);
    if (!weir__side_is_ours(&publisher->side) || size_bytes >= publisher->plain_end ||
        weir__publisher_has_loan(publisher) || publisher->tail + bytes > publisher->live->stop) {
        int result = weir__publisher_make_ready(publisher, size_bytes, deadline_ns);
        if (result != 0)
            return result;
    }
    reserve_more(publisher, bytes, count);
    count = place_count(publisher, bytes, count);
    if (size_bytes == publisher->usual.length)
        weir__publisher_end_usual(publisher); /* its first place may be committed alone: PU12 */
    publisher->live->loan_end = weir__publisher_payload_end(publisher, size_bytes);
    publisher->many_at = publisher->tail;
    publisher->many_count = count;
    unsigned char *at = weir__ring_at(publisher->ring, publisher->capacity, publisher->tail) +
                        WEIR__RECORD_HEADER_BYTES;
    if (size_bytes >= WEIR__AHEAD_MIN) /* for many small ones it was slower */
        weir__want_lines(at, count * bytes);
    for (size_t i = 0; i < count; i++, at += bytes)
        data[i] = at;
    return (int)count;
}

/* Changes nothing. */
static int check_commit(const struct weir_publisher *publisher, const size_t *sizes_bytes,
                        const uint32_t *types, size_t count)
{
    if (!weir__publisher_has_loan(publisher) || publisher->many_at != publisher->tail ||
        count > publisher->many_count)
        return weir__fail(EINVAL, "commit of %zu messages: there is no loan of so many", count);
    uint64_t most = weir__publisher_loan_bytes(publisher);
    bool are_alike = !sizes_bytes && !types; /* then the first one stands for all */
    for (size_t i = 0; i < (are_alike && count > 0 ? 1 : count); i++) {
        uint64_t size_bytes = sizes_bytes ? sizes_bytes[i] : most;
        if (size_bytes > most || (types && types[i] > UINT16_MAX))
            return weir__fail(EINVAL,
                              "commit of %llu bytes, type %u, at %zu: the loan is of %llu bytes "
                              "each, types go to 65535",
                              (unsigned long long)size_bytes, types ? types[i] : 0, i,
                              (unsigned long long)most);
        if (!weir__publisher_is_of_type(publisher, size_bytes))
            return weir__publisher_refuse_size(publisher, size_bytes);
    }
    return 0;
}

/* All of one size, and type 0. */
static void put_alike(struct weir_publisher *publisher, size_t count)
{
    uint64_t most = weir__publisher_loan_bytes(publisher);
    uint64_t header = weir__record_header(most, 0, 0), bytes = weir__record_bytes(most);
    struct run run = begin_run(publisher);
    for (size_t i = 0; i < count; i++)
        put_record(&run, header, bytes);
    end_run(publisher, &run, count);
}

/* Each closed up to the one before. */
static void put_each(struct weir_publisher *publisher, const size_t *sizes_bytes,
                     const uint32_t *types, size_t count)
{
    uint64_t most = weir__publisher_loan_bytes(publisher);
    struct run run = begin_run(publisher);
    const unsigned char *place = run.at;
    for (size_t i = 0; i < count; i++, place += weir__record_bytes(most)) {
        uint64_t length = sizes_bytes ? sizes_bytes[i] : most;
        if (run.at != place) /* the header will not reach into it: it lies before the place */
            memmove(run.at + WEIR__RECORD_HEADER_BYTES, place + WEIR__RECORD_HEADER_BYTES, length);
        put_record(&run, weir__record_header(length, types ? types[i] : 0, 0),
                   weir__record_bytes(length));
    }
    end_run(publisher, &run, count);
}

/* While the caller makes the next messages, with records as those of the last loan, their lines may come. */
static void take_next(struct weir_publisher *publisher, uint64_t bytes)
{
    uint64_t all = publisher->many_count * bytes;
    if (bytes < WEIR__AHEAD_MIN) /* of larger ones they are asked for with the loan */
        weir__publisher_take_ahead(publisher, publisher->tail,
                                   all < WEIR__AHEAD_NEXT_BYTES ? all : WEIR__AHEAD_NEXT_BYTES);
}

int weir_publisher_commit_many(struct weir_publisher *publisher, const size_t *sizes_bytes,
                               const uint32_t *types, size_t count)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0)
        result = check_commit(publisher, sizes_bytes, types, count);
    if (result != 0)
        return result;
    if (count == 0) {
        weir_publisher_abandon(publisher);
        return 0;
    }
    uint64_t bytes = weir__record_bytes(weir__publisher_loan_bytes(publisher));
    bool is_ours = begin_batch(publisher);
    weir__publisher_put_pad(publisher);
    if (sizes_bytes || types)
        put_each(publisher, sizes_bytes, types, count);
    else
        put_alike(publisher, count);
    weir_publisher_abandon(publisher);
    end_batch(publisher, is_ours);
    take_next(publisher, bytes);
    return 0;
}
