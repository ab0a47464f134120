/* SPDX-License-Identifier: MIT */
/*
 * The publisher's calls: copying, loans, batches. docs/lane.md, "Publishing"; publisher.h
 * has the invariants.
 *
 * What a message costs beside its payload is in send and commit, and inlined there; all
 * that is rare stands in functions that are not. From the shortest way to the longest, each asked for first:
 *
 *   usual     as long as those before it, and of their type; where it begins is all that is asked
 *   quick     any that ends at quick_stop at most, while there are no usual ones
 *   ready     any that ends at stop at most: it may end with the ring, or change what usual ones are
 *   special   in a batch, behind a pad, or with a fence
 *
 * and what is none of them is made ready first (publisher_room.c).
 */
#include "channel/publisher.h"

#include <errno.h>
#include <string.h>

#include <weir/clock.h>

#include "base/copy.h"
#include "base/copy_large.h"
#include "base/error.h"

static inline bool is_rung(const struct weir__waker *waker)
{
    /* Relaxed [sleep.epoch]: ordered after our commit by the waiter's membarrier, or by the fence of
     * wake_subscribers(). Pairs with weir__sleep_announce(). */
    return atomic_load_explicit(waker->epoch, memory_order_relaxed) == waker->rung;
}

/* Each of these is the last thing that a commit does: it is jumped to, and gives 0. */

static __attribute__((noinline, cold)) int wake(struct weir_publisher *publisher)
{
    weir__publisher_wake(publisher);
    return 0;
}

/* Of several subscribers, mostly nobody is to be rung: so this saves no register. */
static __attribute__((noinline)) int wake_others(struct weir_publisher *publisher)
{
    const struct weir__waker *waker = publisher->wakers, *end = waker + publisher->more;
    do { /* there is one */
        if (!is_rung(waker))
            return wake(publisher);
    } while (++waker != end);
    return 0;
}

/* After a commit. */
static inline int wake_subscribers(struct weir_publisher *publisher, bool must_fence)
{
    /* CRASH lane.unrung */
    weir__wake_order(must_fence);
    /* Relaxed [sleep.epoch]: ordered after our commit by the waiter's membarrier. Pairs with
     * weir__sleep_announce(). */
    uint32_t epoch = atomic_load_explicit(publisher->waker.epoch, memory_order_relaxed);
    /* Relaxed [slot.changes]: likewise; who joins raises it before it sleeps. */
    uint32_t changes = atomic_load_explicit(publisher->changes, memory_order_relaxed);
    if (__builtin_expect(epoch != publisher->waker.rung || changes != publisher->changes_seen, 0))
        return wake(publisher);
    return __builtin_expect(publisher->more != 0, 0) ? wake_others(publisher) : 0;
}

static inline weir__atomic_u64 *header_at(const struct weir_publisher *publisher, uint64_t position)
{
    return weir__header_at(publisher->ring, publisher->capacity, position);
}

static inline void zero(weir__atomic_u64 *header)
{
    /* Relaxed: before the commit of the record in front of it. */
    atomic_store_explicit(header, 0, memory_order_relaxed);
}

void weir__publisher_commit_batch(struct weir_publisher *publisher)
{
    if (publisher->batch_header == 0)
        return;
    zero(header_at(publisher, publisher->tail));
    /* Release [lane.commit]: all records of the batch, and the 0 behind them, before this
     * header. Pairs with weir__load_header_at(). CRASH lane.batch */
    atomic_store_explicit(header_at(publisher, publisher->batch_start), publisher->batch_header,
                          memory_order_release);
    publisher->batch_header = 0;
    wake_subscribers(publisher, publisher->must_fence);
}

/*
 * In a batch the first header is held back, so that those behind it are not read either, and
 * the 0 behind the last of them need not be there before its end.
 */
static inline void put_batched(struct weir_publisher *publisher, weir__atomic_u64 *here,
                               uint64_t header)
{
    if (publisher->batch_header == 0) {
        publisher->batch_header = header;
        publisher->batch_start = publisher->tail;
        publisher->batch_count = publisher->count;
    } else {
        /* Relaxed: behind the one that is held back. */
        atomic_store_explicit(here, header, memory_order_relaxed);
    }
}

/*
 * The header of a record at tail, that lies here, and whose payload is written: the next header 0, where
 * that lies, then this one. What is read of the handle is read first: whatever is stored into the ring may, for
 * all that the compiler knows, be a field of it.
 */
static inline void commit_header(struct weir_publisher *publisher, weir__atomic_u64 *here,
                                 weir__atomic_u64 *next, uint64_t header, uint64_t bytes)
{
    uint64_t end = publisher->tail + bytes;
    zero(next);
    /* Release [lane.commit]: payload and next header before it. Pairs with
     * weir__load_header_at(). CRASH lane.filling */
    atomic_store_explicit(here, header, memory_order_release);
    publisher->tail = end;
}

/* Likewise, of any record. */
static void put_header(struct weir_publisher *publisher, uint64_t header, uint64_t bytes)
{
    weir__atomic_u64 *here = header_at(publisher, publisher->tail);
    if (!publisher->has_batch) {
        commit_header(publisher, here, header_at(publisher, publisher->tail + bytes), header,
                      bytes);
    } else {
        put_batched(publisher, here, header);
        publisher->tail += bytes;
    }
}

/* From pad_from to tail there is no message: said when the one behind it is. */
void weir__publisher_put_pad(struct weir_publisher *publisher)
{
    uint64_t place = publisher->tail, from = publisher->pad_from, bytes = place - from;
    if (from == WEIR__NOWHERE)
        return;
    if (publisher->pad_end != from)
        publisher->pad_start = from;
    publisher->pad_end = place;
    publisher->tail = from;
    put_header(publisher, weir__pad_header(bytes), bytes);
    publisher->pad_from = WEIR__NOWHERE;
    weir__publisher_settle_special(publisher);
}

/* In a batch, behind a pad, or for one who is not reached by membarrier. */
static __attribute__((noinline)) int put_special(struct weir_publisher *publisher, uint64_t header,
                                                 uint64_t bytes)
{
    weir__publisher_put_pad(publisher);
    put_header(publisher, header, bytes);
    publisher->count++; /* no message is a usual one: PU13 */
    return publisher->has_batch ? 0 : wake_subscribers(publisher, publisher->must_fence);
}

/* Whether a message that is not a usual one changes what they are: it may be the first of them, or ends them. */
static inline bool changes_usual(const struct weir_publisher *publisher)
{
    return publisher->may_be_usual || publisher->usual.bytes != 0;
}

/*
 * Such a message, at tail, before it is written. None is the first whose record does not end where plain ones may: behind
 * a look, which may have come while it was lent, nothing is known of the room.
 */
static __attribute__((noinline)) void change_usual(struct weir_publisher *publisher,
                                                   uint64_t length, uint32_t type)
{
    uint64_t bytes = weir__record_bytes(length), stop = weir__publisher_plain_stop(publisher);
    bool is_first = publisher->may_be_usual && length <= WEIR__COPY_SMALL_MAX &&
                    publisher->tail + bytes <= stop;
    weir__publisher_end_usual(publisher);
    if (!is_first)
        return;
    publisher->usual =
        (struct weir__usual){ length, weir__record_header(length, type, 0), bytes, type };
    publisher->usual_from = publisher->tail;
    publisher->live->usual_stop = stop - bytes + 1;
}

/* Any message that is not a usual one, before it is written. */
static inline void count_message(struct weir_publisher *publisher, uint64_t length, uint32_t type)
{
    if (__builtin_expect(changes_usual(publisher), 0))
        change_usual(publisher, length, type);
    if (publisher->usual.bytes == 0)
        publisher->count++;
}

static inline __attribute__((always_inline)) int put_message(struct weir_publisher *publisher,
                                                             uint64_t length, uint32_t type)
{
    uint64_t header = weir__record_header(length, type, 0), bytes = weir__record_bytes(length);
    if (__builtin_expect(publisher->is_special, 0))
        return put_special(publisher, header, bytes);
    count_message(publisher, length, type);
    commit_header(publisher, (weir__atomic_u64 *)(publisher->lap + publisher->tail),
                  header_at(publisher, publisher->tail + bytes), header, bytes);
    return wake_subscribers(publisher, false);
}

/* After the commit, and the wake: so neither waits for the lines. */
static __attribute__((noinline)) int wake_and_take_ahead(struct weir_publisher *publisher)
{
    int result = wake_subscribers(publisher, false);
    weir__publisher_take_ahead(publisher, publisher->tail, 2 * WEIR__AHEAD_BYTES);
    return result;
}

/* The same of a record of which is known that nothing is to be asked any more, and which lies here. */
static inline __attribute__((always_inline)) int
put_known(struct weir_publisher *publisher, uintptr_t here, uint64_t header, uint64_t bytes)
{
    commit_header(publisher, (weir__atomic_u64 *)here, (weir__atomic_u64 *)(here + bytes), header,
                  bytes);
    if (__builtin_expect(publisher->tail >= publisher->ahead_at, 0))
        return wake_and_take_ahead(publisher);
    return wake_subscribers(publisher, false);
}

/* One that ends at quick_stop at most, and changes nothing of the usual ones: there are none. */
static inline __attribute__((always_inline)) int
put_quick(struct weir_publisher *publisher, uintptr_t here, uint64_t length, uint32_t type)
{
    publisher->count++;
    return put_known(publisher, here, weir__record_header(length, type, 0),
                     weir__record_bytes(length));
}

/* A usual one, that begins before usual_stop. */
static inline __attribute__((always_inline)) int put_usual(struct weir_publisher *publisher,
                                                           uintptr_t here)
{
    return put_known(publisher, here, publisher->usual.header, publisher->usual.bytes);
}

/* Whether a message would be one that needs nothing but to be written. In a child of fork none is. */
static inline bool is_usual(const struct weir_publisher *publisher, uint64_t length)
{
    return length == publisher->usual.length && !weir__publisher_has_loan(publisher) &&
           publisher->tail < publisher->live->usual_stop;
}

/* Whether a record of so many bytes is to be written by put_quick(), which calls nothing, and saves no register. */
static inline bool is_quick(const struct weir_publisher *publisher, uint64_t bytes)
{
    return publisher->tail + bytes <= publisher->live->quick_stop && !changes_usual(publisher);
}

/* The record at tail, once there is room for it. */
static inline uintptr_t here(const struct weir_publisher *publisher)
{
    return publisher->lap + publisher->tail;
}

/* And its payload. */
static inline unsigned char *payload(const struct weir_publisher *publisher)
{
    return (unsigned char *)here(publisher) + WEIR__RECORD_HEADER_BYTES;
}

/*
 * Whether nothing is in the way of a message of this length, neither state nor room. In a child of
 * fork there is no room.
 */
static inline bool is_ready(const struct weir_publisher *publisher, uint64_t length)
{
    return !weir__publisher_has_loan(publisher) &&
           publisher->tail + weir__record_bytes(length) <= publisher->live->stop;
}

static inline int lend(struct weir_publisher *publisher, uint64_t length, void **data)
{
    unsigned char *place = payload(publisher);
    publisher->live->loan_end = weir__publisher_payload_end(publisher, length);
    *data = place;
    return 0;
}

/* With a look, or a pad. */
static __attribute__((noinline)) int lend_later(struct weir_publisher *publisher, uint64_t length,
                                                void **data, int64_t deadline_ns)
{
    int result = weir__publisher_make_ready(publisher, length, deadline_ns);
    if (result == 0) {
        lend(publisher, length, data);
        weir__want_lines(*data, length);
    }
    return result;
}

/*
 * Not as long as a usual message. Or it is, and begins behind usual_stop: then they end, so that its commit does not
 * take it for one (PU12).
 */
static __attribute__((noinline)) int lend_any(struct weir_publisher *publisher, uint64_t length,
                                              void **data, int64_t deadline_ns)
{
    if (__builtin_expect(length >= publisher->plain_end || !is_ready(publisher, length), 0))
        return lend_later(publisher, length, data, deadline_ns);
    if (length == publisher->usual.length)
        weir__publisher_end_usual(publisher);
    lend(publisher, length, data);
    weir__want_lines(*data, length);
    return 0;
}

int weir_publisher_loan_until(struct weir_publisher *publisher, size_t size_bytes, void **data,
                              int64_t deadline_ns)
{
    if (__builtin_expect(!is_usual(publisher, size_bytes), 0))
        return lend_any(publisher, size_bytes, data, deadline_ns);
    return lend(publisher, size_bytes, data);
}

/* Why there is nothing of this kind to commit. */
static __attribute__((noinline, cold)) int refuse_commit(const struct weir_publisher *publisher,
                                                         size_t size_bytes, uint32_t type)
{
    if (!weir__side_is_ours(&publisher->side))
        return weir__side_check(&publisher->side);
    if (!weir__publisher_has_loan(publisher))
        return weir__fail(EINVAL, "there is no loan to commit");
    return weir__fail(EINVAL,
                      "commit of %zu bytes, type %u: the loan is of %llu bytes, types go to "
                      "65535",
                      size_bytes, type, (unsigned long long)weir__publisher_loan_bytes(publisher));
}

/*
 * In a batch, behind a pad, at the ring's end, of a channel with a type, for one who needs a fence, where the usual ones
 * change, or a look came while it was lent.
 */
static __attribute__((noinline)) int commit_slowly(struct weir_publisher *publisher,
                                                   size_t size_bytes, uint32_t type)
{
    if (!weir__publisher_is_of_type(publisher, size_bytes))
        return weir__publisher_refuse_size(publisher, size_bytes);
    publisher->live->loan_end = 0;
    return put_message(publisher, size_bytes, type);
}

static __attribute__((noinline)) int commit_any(struct weir_publisher *publisher, size_t size_bytes,
                                                uint32_t type)
{
    if (__builtin_expect(!weir__publisher_has_loan(publisher) ||
                             size_bytes > weir__publisher_loan_bytes(publisher) ||
                             type > UINT16_MAX,
                         0))
        return refuse_commit(publisher, size_bytes, type);
    if (__builtin_expect(!is_quick(publisher, weir__record_bytes(size_bytes)), 0))
        return commit_slowly(publisher, size_bytes, type);
    publisher->live->loan_end = 0; /* it may have been longer than the record */
    return put_quick(publisher, here(publisher), size_bytes, type);
}

/* In a child of fork loan_end is 0. */
int weir_publisher_commit(struct weir_publisher *publisher, size_t size_bytes, uint32_t type)
{
    if (__builtin_expect(size_bytes != publisher->usual.length || type != publisher->usual.type ||
                             weir__publisher_payload_end(publisher, size_bytes) !=
                                 publisher->live->loan_end,
                         0))
        return commit_any(publisher, size_bytes, type);
    return put_usual(publisher, here(publisher));
}

void weir_publisher_abandon(struct weir_publisher *publisher)
{
    if (weir__publisher_has_loan(publisher) && publisher->pad_from != WEIR__NOWHERE) {
        publisher->tail = publisher->pad_from;
        publisher->pad_from = WEIR__NOWHERE;
        weir__publisher_forget_stop(publisher); /* it was worked out for the place behind the pad */
        weir__publisher_settle_special(publisher);
    }
    publisher->live->loan_end = 0;
    publisher->many_at = WEIR__NOWHERE;
}

static int refuse_type(const struct weir_publisher *publisher, uint32_t type)
{
    int result = weir__side_check(&publisher->side);
    return result != 0 ? result : weir__fail(EINVAL, "type %u: types go to 65535", type);
}

/* A message for which there may be no room yet, or a large one. */
static __attribute__((noinline)) int send_any(struct weir_publisher *publisher, const void *data,
                                              size_t size_bytes, uint32_t type, int64_t deadline_ns)
{
    if (type > UINT16_MAX)
        return refuse_type(publisher, type);
    /* The length first: is_ready() knows of no longest message, and adds to what it is given. */
    bool is_there = size_bytes < publisher->plain_end && is_ready(publisher, size_bytes);
    int result = is_there ? 0 : weir__publisher_make_ready(publisher, size_bytes, deadline_ns);
    if (result != 0)
        return result;
    if (size_bytes > 0)
        weir__copy_to_shared(payload(publisher), data, size_bytes);
    return put_message(publisher, size_bytes, type);
}

/* A small message, of whatever is_quick() says. */
static __attribute__((noinline)) int send_slowly(struct weir_publisher *publisher, const void *data,
                                                 size_t size_bytes, uint32_t type,
                                                 int64_t deadline_ns)
{
    if (size_bytes >= publisher->small_end || type > UINT16_MAX || !is_ready(publisher, size_bytes))
        return send_any(publisher, data, size_bytes, type, deadline_ns);
    weir__copy_small(payload(publisher), data, size_bytes);
    return put_message(publisher, size_bytes, type);
}

static __attribute__((noinline)) int send_unusual(struct weir_publisher *publisher,
                                                  const void *data, size_t size_bytes,
                                                  uint32_t type, int64_t deadline_ns)
{
    if (__builtin_expect(size_bytes > WEIR__COPY_SMALL_MAX || type > UINT16_MAX ||
                             weir__publisher_has_loan(publisher) ||
                             !is_quick(publisher, weir__record_bytes(size_bytes)),
                         0))
        return send_slowly(publisher, data, size_bytes, type, deadline_ns);
    uintptr_t place = here(publisher);
    weir__copy_small((unsigned char *)place + WEIR__RECORD_HEADER_BYTES, data, size_bytes);
    return put_quick(publisher, place, size_bytes, type);
}

/*
 * A small message for which there is room is sent without a call: while a line comes from the
 * other core, the processor goes on only as far as its store buffer reaches, and registers
 * saved for a call would take places there.
 */
int weir_publisher_send_until(struct weir_publisher *publisher, const void *data, size_t size_bytes,
                              uint32_t type, int64_t deadline_ns)
{
    if (__builtin_expect(!is_usual(publisher, size_bytes) || type != publisher->usual.type, 0))
        return send_unusual(publisher, data, size_bytes, type, deadline_ns);
    uintptr_t place = here(publisher);
    weir__copy_small((unsigned char *)place + WEIR__RECORD_HEADER_BYTES, data, size_bytes);
    return put_usual(publisher, place);
}

int weir_publisher_send(struct weir_publisher *publisher, const void *data, size_t size_bytes)
{
    return weir_publisher_send_until(publisher, data, size_bytes, 0, WEIR_NEVER);
}

int weir_publisher_batch_begin(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (publisher->has_batch || weir__publisher_has_loan(publisher)))
        result = weir__fail(EINVAL, "a batch or a loan is open already");
    if (result == 0)
        publisher->has_batch = true;
    weir__publisher_settle_special(publisher);
    return result;
}

int weir_publisher_batch_end(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (!publisher->has_batch || weir__publisher_has_loan(publisher)))
        result = weir__fail(EINVAL, "no batch is open, or a loan is out");
    if (result != 0)
        return result;
    weir__publisher_commit_batch(publisher);
    publisher->has_batch = false;
    weir__publisher_settle_special(publisher);
    return 0;
}

int weir_publisher_end(struct weir_publisher *publisher)
{
    int result = weir__side_check(&publisher->side);
    if (result == 0 && (publisher->has_batch || weir__publisher_has_loan(publisher)))
        result = weir__fail(EINVAL, "a batch or a loan is open");
    if (result != 0)
        return result;
    publisher->has_ended = true;
    weir__publisher_forget_stop(publisher);
    /* Release [lane.end]: the last commit before it. Pairs with look_for_end(). */
    atomic_store_explicit(&publisher->lane->ended, 1, memory_order_release);
    /* CRASH lane.ended */
    weir__side_ring_all(&publisher->side);
    return weir__publisher_note(publisher, WEIR__REFUSED_NOTHING, 0);
}

size_t weir_publisher_max_bytes(const struct weir_publisher *publisher)
{
    return (size_t)publisher->most_bytes;
}
