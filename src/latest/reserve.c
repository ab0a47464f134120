/* SPDX-License-Identifier: MIT */
/*
 * Which buffers the writer may write next.
 *
 * With holds, several are reserved at once, so that the full fence between "seq is 0" and the
 * look at the holds is not paid for each value. Without, one at a time: then old values stay
 * readable the longest.
 */
#include <string.h>

#include "latest/writer.h"

/* No C library copies less than this past the caches: the lowest that glibc can be tuned to. */
#define STREAMED_BYTES 16384

struct buffers {
    uint64_t bits[4];
};

static void mark(struct buffers *set, uint32_t buffer)
{
    set->bits[buffer / 64] |= UINT64_C(1) << buffer % 64;
}

static bool is_marked(const struct buffers *set, uint32_t buffer)
{
    return set->bits[buffer / 64] >> buffer % 64 & 1;
}

/* What the hold words name, whoever wrote them: as many buffers as there are words, at most. */
static struct buffers held_now(const struct weir__latest *memory)
{
    struct buffers held = { { 0 } };
    for (uint32_t i = 0; i < memory->holds; i++) {
        /* Acquire [latest.free]: who gave it back has read its last byte. Pairs with
         * weir__latest_put_back(). */
        uint64_t word = atomic_load_explicit(&memory->readers->hold[i].word, memory_order_acquire);
        uint64_t buffer = (word & WEIR_IDENTITY_SESSION_MAX) - 1;
        if (buffer < memory->buffer_count)
            mark(&held, (uint32_t)buffer);
    }
    return held;
}

struct candidate {
    uint64_t seq; /* what it was */
    uint32_t buffer;
};

/* Up to most buffers that are neither the latest nor avoided, the oldest first: seq 0. */
static uint32_t invalidate(struct weir_latest_writer *writer, const struct buffers *avoided,
                           uint32_t most, struct candidate *candidates)
{
    uint32_t count = 0, buffer = writer->cursor;
    for (uint32_t i = 0; i < writer->memory.buffer_count && count < most; i++) {
        if (buffer != writer->latest && !is_marked(avoided, buffer)) {
            struct weir__latest_head_shm *head = weir__latest_head(&writer->memory, buffer);
            candidates[count].buffer = buffer;
            candidates[count++].seq = atomic_load_explicit(&head->seq, memory_order_relaxed);
            /* Release [latest.reserve]: who finds 0 here, and looks for the index again, finds
             * one that is newer than what was here. Pairs with weir__latest_is_same(). */
            atomic_store_explicit(&head->seq, 0, memory_order_release);
        }
        buffer = buffer + 1 == writer->memory.buffer_count ? 0 : buffer + 1;
    }
    writer->cursor = buffer;
    return count;
}

/* Those of the candidates that nobody holds become spare, most of them; the others what they were. */
static void keep(struct weir_latest_writer *writer, const struct candidate *candidates,
                 uint32_t count, uint32_t most)
{
    struct buffers held = { { 0 } };
    /* CRASH latest.reserved */
    if (writer->memory.holds > 0) {
        /* Full fence [latest.hold]: seq 0, then the look at the holds. Pairs with the fence in
         * weir__latest_take_hold(): of a hold and a reservation one sees the other. */
        atomic_thread_fence(memory_order_seq_cst);
        held = held_now(&writer->memory);
    } else {
        /* Release [latest.seq]: seq 0 before the bytes of the next value. Pairs with
         * weir__latest_is_same(). */
        atomic_thread_fence(memory_order_release);
        /* memcpy(3) writes large values past the caches, and no release holds such stores back. */
        if (writer->memory.max_bytes >= STREAMED_BYTES)
            atomic_thread_fence(memory_order_seq_cst);
    }
    writer->spare_at = writer->spare_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t buffer = candidates[i].buffer;
        if (writer->spare_count < most && !is_marked(&held, buffer))
            writer->spare[writer->spare_count++] = (uint8_t)buffer;
        else /* Relaxed: no byte of it was touched. */
            atomic_store_explicit(&weir__latest_head(&writer->memory, buffer)->seq,
                                  candidates[i].seq, memory_order_relaxed);
    }
}

void weir__latest_reserve(struct weir_latest_writer *writer)
{
    struct candidate candidates[WEIR_LATEST_BUFFERS_MAX];
    struct buffers avoided = held_now(&writer->memory);
    uint32_t most = writer->stride_count;
    keep(writer, candidates, invalidate(writer, &avoided, most, candidates), most);
    if (writer->spare_count > 0)
        return;
    /* Somebody came in between, on each of them. All but the latest are more than can be held. */
    memset(&avoided, 0, sizeof avoided);
    keep(writer, candidates, invalidate(writer, &avoided, writer->memory.buffer_count, candidates),
         most);
}
