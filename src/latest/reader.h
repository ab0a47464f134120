/* SPDX-License-Identifier: MIT */
#ifndef WEIR_LATEST_READER_H
#define WEIR_LATEST_READER_H

/* A reader's handle. docs/latest.md, "Reading", "Holding" and "Waiting". */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/identity.h>
#include <weir/segment.h>

#include "latest/geometry.h"

/* Looks at values that are overwritten meanwhile before a call gives up. */
#define WEIR__LATEST_TRIES 100

struct weir_latest_reader {
    struct weir__latest memory;
    uint64_t identity; /* of this process, from the first hold on; 0 before */
    const uint64_t *identity_now;
    uint32_t place;               /* the hold word that was free last */
    bool needs_fence;             /* membarrier is not for us: the writer has to fence */
    struct weir_segment *segment; /* of weir_latest_open(), or NULL */
    uint64_t held[4];             /* the hold words that are ours, a bit each */
    uint64_t held_index[WEIR_LATEST_HOLDS_MAX]; /* what weir_latest_hold() gave; 0: nothing */
};

/* weir_latest_reader_open() for what weir_latest_open() has attached. */
int weir__latest_reader_open(struct weir_latest_reader **reader,
                             const struct weir_latest_memory *memory, struct weir_segment *segment);

/* What a look finds. */
struct weir__latest_seen {
    uint64_t index;
    struct weir__latest_head_shm *head;
    uint64_t size_bytes; /* not checked */
};

/* -EAGAIN: no value yet. */
int weir__latest_nothing_yet(void);
int weir__latest_corrupt(uint64_t index, uint64_t size_bytes);

/*
 * The value of an index that was loaded with acquire [latest.value]: which buffer, and what it says of its size. 0,
 * -EAGAIN, -EUCLEAN.
 */
static inline int weir__latest_look_at(const struct weir__latest *memory, uint64_t index,
                                       struct weir__latest_seen *seen)
{
    seen->index = index;
    uint64_t buffer = seen->index & WEIR__LATEST_BUFFER_MASK;
    if (__builtin_expect(seen->index == 0, 0))
        return weir__latest_nothing_yet();
    if (__builtin_expect(buffer >= memory->buffer_count || seen->index <= WEIR__LATEST_BUFFER_MASK,
                         0)) /* no such buffer, or no version */
        return weir__latest_corrupt(seen->index, 0);
    seen->head = weir__latest_head(memory, buffer);
    seen->size_bytes = atomic_load_explicit(&seen->head->size_bytes, memory_order_relaxed);
    return 0;
}

/* The latest value. As above. */
static inline int weir__latest_look(const struct weir__latest *memory,
                                    struct weir__latest_seen *seen)
{
    /* Acquire [latest.value]: all of the value. Pairs with publish(). */
    return weir__latest_look_at(
        memory, atomic_load_explicit(&memory->values->index, memory_order_acquire), seen);
}

static inline void weir__latest_tell(struct weir_latest_value *value, const void *data,
                                     const struct weir__latest_seen *seen)
{
    if (!value)
        return;
    value->data = data;
    value->size_bytes = seen->size_bytes;
    value->version = weir__latest_version_of(seen->index);
    value->hold = 0;
    value->buffer = (uint32_t)(seen->index & WEIR__LATEST_BUFFER_MASK);
}

/* Whether all that was read of the buffer until now was that value. */
static inline bool weir__latest_is_same(const struct weir__latest_head_shm *head, uint64_t index)
{
    /* Acquire [latest.seq]: the bytes that were read before the seq. Pairs with keep(). */
    atomic_thread_fence(memory_order_acquire);
    /* Acquire [latest.reserve]: a 0, and then the index. Pairs with invalidate(). */
    return __builtin_expect(atomic_load_explicit(&head->seq, memory_order_acquire) == index, 1);
}

/* What a hold word of ours says of that value. */
static inline uint64_t weir__latest_hold_word(const struct weir_latest_reader *reader,
                                              uint64_t index)
{
    return reader->identity | ((index & WEIR__LATEST_BUFFER_MASK) + 1);
}

/*
 * The same of a value that we hold: the writer may just be reserving its buffer, and look at the
 * holds next, or have been killed between the two; as long as ours stands, no byte is touched.
 */
static inline bool weir__latest_is_kept(const struct weir_latest_reader *reader,
                                        const struct weir__latest_head_shm *head, uint64_t index,
                                        uint32_t place)
{
    /* Acquire [latest.seq]: the bytes that were read before the seq. Pairs with keep(). */
    atomic_thread_fence(memory_order_acquire);
    /* Acquire [latest.reserve]: a 0, and then the index. Pairs with invalidate(). Once: the writer, which
     * had not seen our hold before, puts the index back when it sees it. */
    uint64_t seq = atomic_load_explicit(&head->seq, memory_order_acquire);
    if (__builtin_expect(seq == index, 1))
        return true;
    /* Relaxed: the acquire above came after the bytes; who lies may free our hold. */
    return seq == 0 &&
           atomic_load_explicit(&reader->memory.readers->hold[place].word, memory_order_relaxed) ==
               weir__latest_hold_word(reader, index);
}

/*
 * After weir__latest_is_same() said no. -EAGAIN: there is a newer value by now. -EUCLEAN: there is
 * not, which cannot be: the latest is never reserved.
 */
int weir__latest_changed(const struct weir__latest *memory, uint64_t index);

/* A hold as weir_latest_hold() makes it; without a sentence where the caller goes on by itself. */
int weir__latest_take_hold(struct weir_latest_reader *reader, struct weir__latest_seen *seen,
                           uint32_t *place);
void weir__latest_put_back(struct weir_latest_reader *reader, uint32_t place);

/* Whether the holds of this handle are this process's. */
static inline bool weir__latest_reader_is_ours(const struct weir_latest_reader *reader)
{
    return reader->identity == 0 || *reader->identity_now == reader->identity;
}

/* Whether it holds that value. 0 is no value's index: it says of a place that nothing is held there. */
static inline bool weir__latest_is_held(const struct weir_latest_reader *reader,
                                        const struct weir_latest_value *value)
{
    uint32_t place = value->hold - 1;
    return value->version != 0 && place < reader->memory.holds &&
           reader->held_index[place] == weir__latest_index(value->version, value->buffer);
}

#endif
