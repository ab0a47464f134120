/* SPDX-License-Identifier: MIT */
/* weir_latest_read(). docs/latest.md, "Reading". */
#include "latest/reader.h"

#include "base/error.h"
#include "base/racing_copy.h"

/* Copies that may be overwritten before a hold is tried. */
#define TRIES_BEFORE_HOLD 4

/* A larger value is held at once: it costs more to copy it twice than to hold it. */
#define HOLD_ABOVE_BYTES 16384

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
    for (int attempt = 0; attempt < WEIR__LATEST_TRIES; attempt++) {
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
                      WEIR__LATEST_TRIES);
}

/*
 * From the buffers, that of index first, which was the latest when the caller loaded it: to load it again would
 * be one more way to a line that the writer is at.
 */
static __attribute__((noinline)) int read_buffer(struct weir_latest_reader *reader, void *buffer,
                                                 size_t capacity_bytes,
                                                 struct weir_latest_value *value, uint64_t index)
{
    const struct weir__latest *memory = &reader->memory;
    struct weir__latest_seen seen;
    int result = weir__latest_look_at(memory, index, &seen);
    for (int attempt = 0; result == 0; attempt++) {
        if (attempt == TRIES_BEFORE_HOLD ||
            (seen.size_bytes > HOLD_ABOVE_BYTES && memory->readers)) {
            result = read_patiently(reader, &seen, buffer, capacity_bytes);
            break;
        }
        result = copy_once(memory, &seen, buffer, capacity_bytes);
        if (__builtin_expect(result != -EAGAIN, 1))
            break;
        result = weir__latest_look(memory, &seen);
    }
    if (result == 0 || result == -EMSGSIZE)
        weir__latest_tell(value, buffer, &seen);
    return result;
}

/*
 * Whether it is the word, and was while all was read that came before. One instruction where loads come in their
 * order anyway; the compilers make two of an atomic load and a comparison.
 */
static WEIR__RACING_INLINE bool is_unchanged(const weir__atomic_u64 *seq, uint64_t word)
{
#if defined(__x86_64__) && !defined(WEIR__RACES_SEEN)
    bool is_same;
    /* Acquire [latest.hot], both ways: the bytes before the seq, and those behind it. Pairs with
     * fill_line() and put_hot(). */
    __asm__ volatile("cmpq %2, %1" : "=@cce"(is_same) : "m"(*seq), "r"(word) : "memory");
#else
    /* Acquire [latest.hot]: the bytes before the seq. Pairs with fill_line(). */
    atomic_thread_fence(memory_order_acquire);
    /* Acquire [latest.hot]: the bytes behind it. Pairs with put_hot(). */
    bool is_same = atomic_load_explicit(seq, memory_order_acquire) == word;
#endif
    return __builtin_expect(is_same, 1);
}

/* The value of that word, from the hot cell. False: it is not there any more, or not yet as a whole. */
static WEIR__RACING_INLINE bool copy_hot(const struct weir__latest_values_shm *values,
                                         uint64_t word, unsigned char *to, uint64_t size_bytes)
{
    if (size_bytes <= WEIR__LATEST_HOT_FIRST) {
        weir__copy_racing_line(to, values->hot, size_bytes);
        return is_unchanged(&values->hot_seq, word);
    }
    weir__copy_racing_constant(to, values->hot, WEIR__LATEST_HOT_FIRST);
    if (!is_unchanged(&values->hot_seq, word) || !is_unchanged(&values->more_seq, word))
        return false;
    weir__copy_racing_line(to + WEIR__LATEST_HOT_FIRST, values->more,
                           size_bytes - WEIR__LATEST_HOT_FIRST);
    return is_unchanged(&values->more_seq, word);
}

/*
 * A value that word says to be in the hot cell. What does not fit, or cannot be true, the way over the
 * buffers tells.
 */
static WEIR__RACING_INLINE int read_hot(struct weir_latest_reader *reader, void *buffer,
                                        size_t capacity_bytes, struct weir_latest_value *value,
                                        uint64_t index, uint64_t word, uint64_t size_bytes)
{
    const struct weir__latest *memory = &reader->memory;
    if (__builtin_expect(size_bytes > memory->hot_max_bytes || size_bytes > capacity_bytes, 0) ||
        !copy_hot(memory->values, word, buffer, size_bytes))
        return read_buffer(reader, buffer, capacity_bytes, value, index);
    const struct weir__latest_seen seen = { .index = index, .size_bytes = size_bytes };
    weir__latest_tell(value, buffer, &seen);
    return 0;
}

static __attribute__((noinline)) int read_hot_any(struct weir_latest_reader *reader, void *buffer,
                                                  size_t capacity_bytes,
                                                  struct weir_latest_value *value, uint64_t index,
                                                  uint64_t word)
{
    return read_hot(reader, buffer, capacity_bytes, value, index, word,
                    word & WEIR__LATEST_BUFFER_MASK);
}

/*
 * A small value is read from the hot cell. It is the one that index named when it was looked for: so
 * there is none older after a newer one. Few instructions, and none that depends on whether the value is new:
 * what a processor has under way while a line comes is more than one read. So a word and a
 * line have each a way of their own, with nothing in it of other sizes.
 */
int weir_latest_read(struct weir_latest_reader *reader, void *buffer, size_t capacity_bytes,
                     struct weir_latest_value *value)
{
    const struct weir__latest_values_shm *values = reader->memory.values;
    /* Acquire [latest.value]: a version that others can see, too. Pairs with publish(). */
    uint64_t index = atomic_load_explicit(&values->index, memory_order_acquire);
    /* Acquire [latest.hot]: the bytes. Pairs with put_hot(). */
    uint64_t word = atomic_load_explicit(&values->hot_seq, memory_order_acquire);
    if (__builtin_expect(
            (index ^ word) > WEIR__LATEST_BUFFER_MASK || index <= WEIR__LATEST_BUFFER_MASK, 0))
        return read_buffer(reader, buffer, capacity_bytes, value, index);
    uint64_t size_bytes = word & WEIR__LATEST_BUFFER_MASK;
    if (size_bytes == 64)
        return read_hot(reader, buffer, capacity_bytes, value, index, word, 64);
    if (size_bytes == 8)
        return read_hot(reader, buffer, capacity_bytes, value, index, word, 8);
    return read_hot_any(reader, buffer, capacity_bytes, value, index, word);
}
