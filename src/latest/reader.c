/* SPDX-License-Identifier: MIT */
/* The reader's calls, but for weir_latest_read(), holds and waits. docs/latest.md, "Reading". */
#include "latest/reader.h"

#include <stdlib.h>

#include "base/error.h"

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

int weir_latest_peek(struct weir_latest_reader *reader, struct weir_latest_value *value)
{
    const struct weir__latest *memory = &reader->memory;
    struct weir__latest_seen seen = { .index = 0 };
    for (int attempt = 0; attempt < WEIR__LATEST_TRIES; attempt++) {
        int result = weir__latest_look(memory, &seen);
        if (result != 0)
            return result;
        if (weir__latest_is_same(seen.head, seen.index)) {
            if (seen.size_bytes > memory->max_bytes)
                return weir__latest_corrupt(seen.index, seen.size_bytes);
            weir__latest_tell(value, weir__latest_payload(memory, seen.head), &seen);
            return 0;
        }
        result = weir__latest_changed(memory, seen.index);
        if (result != -EAGAIN)
            return result;
    }
    return weir__fail(EAGAIN, "the value was overwritten %d times while it was looked for",
                      WEIR__LATEST_TRIES);
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
