/* SPDX-License-Identifier: MIT */
/* The reader's calls, but for holds and waits. docs/latest.md, "Reading". */
#include "latest/reader.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/racing_copy.h"

/* Copies that may be overwritten before a hold is tried, and before we give up. */
#define TRIES_BEFORE_HOLD 4
#define TRIES 100

/* A larger value is held at once: it costs more to copy it twice than to hold it. */
#define HOLD_ABOVE_BYTES 16384

int weir__latest_reader_open(struct weir_latest_reader **to,
                             const struct weir_latest_memory *memory, struct weir_segment *segment)
{
    struct weir_latest_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return weir__fail(ENOMEM, "no memory for a handle");
    int result = weir__latest_attach(&reader->memory, memory, false);
    if (result != 0) {
        free(reader);
        return result;
    }
    reader->segment = segment;
    *to = reader;
    return 0;
}

int weir_latest_reader_open(struct weir_latest_reader **reader,
                            const struct weir_latest_memory *memory)
{
    return weir__latest_reader_open(reader, memory, NULL);
}

void weir_latest_reader_close(struct weir_latest_reader *reader)
{
    if (!reader)
        return;
    for (uint32_t place = 0; weir__latest_reader_is_ours(reader) && place < reader->memory.holds;
         place++)
        if (reader->held[place / 64] >> place % 64 & 1)
            weir__latest_put_back(reader, place);
    weir_segment_close(reader->segment);
    free(reader);
}

uint64_t weir_latest_reader_max_bytes(const struct weir_latest_reader *reader)
{
    return reader->memory.max_bytes;
}

uint64_t weir_latest_version(const struct weir_latest_reader *reader)
{
    /* Acquire [latest.value]: who reads on finds this version or a later one. Pairs with publish(). */
    return weir__latest_version_of(
        atomic_load_explicit(&reader->memory.values->index, memory_order_acquire));
}

__attribute__((cold)) int weir__latest_nothing_yet(void)
{
    return weir__fail_plain(EAGAIN, "there is no value yet");
}

__attribute__((cold)) int weir__latest_corrupt(uint64_t index, uint64_t size_bytes)
{
    return weir__fail(EUCLEAN, "the index 0x%llx with a value of %llu bytes cannot be true",
                      (unsigned long long)index, (unsigned long long)size_bytes);
}

__attribute__((cold)) int weir__latest_changed(const struct weir__latest *memory, uint64_t index)
{
    /* Acquire [latest.value], and after the acquire of [latest.reserve]. Pairs with publish(). */
    if (atomic_load_explicit(&memory->values->index, memory_order_acquire) != index)
        return -EAGAIN;
    return weir__latest_corrupt(index, 0);
}

static inline void tell(struct weir_latest_value *value, const void *data,
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

/* The value is the one that was looked for; how large is it? */
static __attribute__((cold)) int refuse(const struct weir__latest *memory, size_t capacity_bytes,
                                        const struct weir__latest_seen *seen)
{
    if (seen->size_bytes > memory->max_bytes)
        return weir__latest_corrupt(seen->index, seen->size_bytes);
    return weir__fail(EMSGSIZE, "the value has %llu bytes, the buffer %zu",
                      (unsigned long long)seen->size_bytes, capacity_bytes);
}

/* One try. -EAGAIN without a sentence: overwritten meanwhile. */
static inline int copy_once(const struct weir__latest *memory, struct weir__latest_seen *seen,
                            void *buffer, size_t capacity_bytes)
{
    bool fits = seen->size_bytes <= capacity_bytes && seen->size_bytes <= memory->max_bytes;
    if (__builtin_expect(fits, 1))
        weir__copy_racing(buffer, weir__latest_payload(memory, seen->head), seen->size_bytes);
    if (!weir__latest_is_same(seen->head, seen->index))
        return weir__latest_changed(memory, seen->index);
    return __builtin_expect(fits, 1) ? 0 : refuse(memory, capacity_bytes, seen);
}

/* Checked as any other: who lies may have freed our hold. */
static int copy_held(struct weir_latest_reader *reader, struct weir__latest_seen *seen,
                     void *buffer, size_t capacity_bytes)
{
    uint32_t place;
    int result = weir__latest_take_hold(reader, seen, &place);
    if (result != 0)
        return result;
    seen->size_bytes = atomic_load_explicit(&seen->head->size_bytes, memory_order_relaxed);
    bool fits = seen->size_bytes <= capacity_bytes && seen->size_bytes <= reader->memory.max_bytes;
    if (fits)
        weir__copy_racing(buffer, weir__latest_payload(&reader->memory, seen->head),
                          seen->size_bytes);
    if (!weir__latest_is_kept(reader, seen->head, seen->index, place))
        result = weir__latest_changed(&reader->memory, seen->index);
    else if (!fits)
        result = refuse(&reader->memory, capacity_bytes, seen);
    weir__latest_put_back(reader, place);
    return result;
}

/* Overwritten again and again, or large. Without a hold to be had it goes on as before. */
static __attribute__((noinline)) int read_patiently(struct weir_latest_reader *reader,
                                                    struct weir__latest_seen *seen, void *buffer,
                                                    size_t capacity_bytes)
{
    struct weir__error_saved saved;
    weir__error_save(&saved);
    int result = copy_held(reader, seen, buffer, capacity_bytes);
    if (result == 0 || result == -EUCLEAN || result == -EMSGSIZE)
        return result;
    weir__error_restore(&saved);
    for (int attempt = 0; attempt < TRIES; attempt++) {
        result = weir__latest_look(&reader->memory, seen);
        if (result != 0)
            return result;
        result = copy_once(&reader->memory, seen, buffer, capacity_bytes);
        if (result != -EAGAIN)
            return result;
    }
    return weir__fail(EAGAIN,
                      "the value was overwritten %d times while it was read: more buffers, or "
                      "holds, would help",
                      TRIES);
}

/* Whether all that was copied of this line of the hot cell until now was the word's. */
static inline bool is_kept(const weir__atomic_u64 *seq, uint64_t word)
{
    /* Acquire [latest.hot]: the bytes before the seq. Pairs with fill_line(). */
    atomic_thread_fence(memory_order_acquire);
    return __builtin_expect(atomic_load_explicit(seq, memory_order_relaxed) == word, 1);
}

/* The hot cell's second line. False: it is not that value's, or was overwritten meanwhile. */
static WEIR__RACING_INLINE bool copy_more(const struct weir__latest_values_shm *values,
                                          uint64_t word, void *to, size_t size_bytes)
{
    /* Acquire [latest.hot]: the bytes. Pairs with put_hot(). */
    if (__builtin_expect(atomic_load_explicit(&values->more_seq, memory_order_acquire) != word, 0))
        return false;
    weir__copy_racing_line(to, values->more, size_bytes);
    return is_kept(&values->more_seq, word);
}

/*
 * A small value, from the hot cell. It is the one that index named when it was looked for: so there
 * is none older after a newer one. Whatever does not fit, or cannot be true, is left to
 * the way over the buffers, which tells what is wrong. Few instructions, and none that depends
 * on whether the value is new: what a processor has under way while a line comes is more than one read.
 */
static WEIR__RACING_INLINE bool copy_hot(const struct weir__latest *memory, void *buffer,
                                         size_t capacity_bytes, struct weir__latest_seen *seen)
{
    const struct weir__latest_values_shm *values = memory->values;
    /* Acquire [latest.value]: a version that others can see, too. Pairs with publish(). */
    uint64_t index = atomic_load_explicit(&values->index, memory_order_acquire);
    /* Acquire [latest.hot]: the bytes. Pairs with put_hot(). */
    uint64_t word = atomic_load_explicit(&values->hot_seq, memory_order_acquire);
    uint64_t size_bytes = word & WEIR__LATEST_BUFFER_MASK;
    uint64_t most = memory->hot_max_bytes < capacity_bytes ? memory->hot_max_bytes : capacity_bytes;
    if (__builtin_expect((index ^ word) > WEIR__LATEST_BUFFER_MASK ||
                             index <= WEIR__LATEST_BUFFER_MASK || size_bytes > most,
                         0))
        return false;
    seen->index = index;
    seen->size_bytes = size_bytes;
    if (size_bytes <= WEIR__LATEST_HOT_FIRST) {
        weir__copy_racing_line(buffer, values->hot, size_bytes);
        return is_kept(&values->hot_seq, word);
    }
    weir__copy_racing_constant(buffer, values->hot, WEIR__LATEST_HOT_FIRST);
    return is_kept(&values->hot_seq, word) &&
           copy_more(values, word, (unsigned char *)buffer + WEIR__LATEST_HOT_FIRST,
                     size_bytes - WEIR__LATEST_HOT_FIRST);
}

/* From the buffers. */
static __attribute__((noinline)) int read_buffer(struct weir_latest_reader *reader, void *buffer,
                                                 size_t capacity_bytes,
                                                 struct weir_latest_value *value)
{
    const struct weir__latest *memory = &reader->memory;
    struct weir__latest_seen seen = { .index = 0 };
    int result = -EAGAIN;
    for (int attempt = 0; attempt < TRIES_BEFORE_HOLD && result == -EAGAIN; attempt++) {
        result = weir__latest_look(memory, &seen);
        if (__builtin_expect(result != 0, 0))
            return result;
        if (seen.size_bytes > HOLD_ABOVE_BYTES && memory->readers) {
            result = -EAGAIN;
            break;
        }
        result = copy_once(memory, &seen, buffer, capacity_bytes);
    }
    if (__builtin_expect(result == -EAGAIN, 0))
        result = read_patiently(reader, &seen, buffer, capacity_bytes);
    if (result == 0 || result == -EMSGSIZE)
        tell(value, buffer, &seen);
    return result;
}

int weir_latest_read(struct weir_latest_reader *reader, void *buffer, size_t capacity_bytes,
                     struct weir_latest_value *value)
{
    struct weir__latest_seen seen;
    if (__builtin_expect(!copy_hot(&reader->memory, buffer, capacity_bytes, &seen), 0))
        return read_buffer(reader, buffer, capacity_bytes, value);
    tell(value, buffer, &seen);
    return 0;
}

int weir_latest_peek(struct weir_latest_reader *reader, struct weir_latest_value *value)
{
    const struct weir__latest *memory = &reader->memory;
    struct weir__latest_seen seen = { .index = 0 };
    for (int attempt = 0; attempt < TRIES; attempt++) {
        int result = weir__latest_look(memory, &seen);
        if (result != 0)
            return result;
        if (weir__latest_is_same(seen.head, seen.index)) {
            if (seen.size_bytes > memory->max_bytes)
                return weir__latest_corrupt(seen.index, seen.size_bytes);
            tell(value, weir__latest_payload(memory, seen.head), &seen);
            return 0;
        }
        result = weir__latest_changed(memory, seen.index);
        if (result != -EAGAIN)
            return result;
    }
    return weir__fail(EAGAIN, "the value was overwritten %d times while it was looked for", TRIES);
}

int weir_latest_check(const struct weir_latest_reader *reader,
                      const struct weir_latest_value *value)
{
    if (value->buffer >= reader->memory.buffer_count || value->version == 0)
        return weir__fail(EINVAL, "this is no value of this object");
    const struct weir__latest_head_shm *head = weir__latest_head(&reader->memory, value->buffer);
    uint64_t index = weir__latest_index(value->version, value->buffer);
    /* A child's copy says what its parent held at the fork: the word may stand for another hold by now. */
    bool is_held = weir__latest_is_held(reader, value) && weir__latest_reader_is_ours(reader);
    bool is_whole = is_held ? weir__latest_is_kept(reader, head, index, value->hold - 1)
                            : weir__latest_is_same(head, index);
    return is_whole ? 0 : -EAGAIN;
}
