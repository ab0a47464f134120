/* SPDX-License-Identifier: MIT */
/* The writer's calls. docs/latest.md, "Writing" and "The writer's place". */
#include "latest/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/copy.h"
#include "base/copy_large.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/random.h"
#include "segment/identity.h"
#include "segment/sysv.h"
#include "sync/owner.h"

/* How often the place may change hands under us before we give up. */
#define RETRIES 100

/* Who has the place is named by its beacon, which the kernel says the maker of. */
static int refuse_taken(uint64_t owner)
{
    int id = weir__identity_unpack(owner).id;
    struct shmid_ds beacon;
    if (weir__shm_stat(id, &beacon) == 0 && beacon.shm_cpid > 0)
        return weir__fail(EBUSY, "there is a writer already, which lives: process %d",
                          (int)beacon.shm_cpid);
    return weir__fail(
        EBUSY,
        "there is a writer already, which lives (segment %d is its beacon; its process "
        "is not visible here)",
        id);
}

/* The writer's place: 0, or WEIR_OWNER_DIED. */
static int claim(struct weir_latest_writer *writer)
{
    struct weir__owned *place = &writer->memory.values->owner;
    for (int attempt = 0; attempt < RETRIES; attempt++) {
        /* Acquire [latest.owner]: all that the former writer did. Pairs with leave(). */
        uint64_t owner = atomic_load_explicit(&place->word, memory_order_acquire);
        bool is_taken = owner != 0 && !weir__owned_is_dead(place, owner);
        /* Acquire [latest.owner]: as above. Another one may have come and gone while we asked. */
        if (is_taken && atomic_load_explicit(&place->word, memory_order_acquire) != owner)
            continue;
        if (is_taken)
            return refuse_taken(owner);
        /* Acquire [latest.owner]: as above; exactly the value that was seen to be free. */
        if (!atomic_compare_exchange_strong_explicit(&place->word, &owner, writer->me,
                                                     memory_order_acquire, memory_order_relaxed))
            continue;
        /* CRASH latest.claimed */
        weir__owned_name(place);
        return owner != 0 ? WEIR_OWNER_DIED : 0;
    }
    return weir__fail(EBUSY, "the writer's place changes hands again and again");
}

static void leave(const struct weir_latest_writer *writer)
{
    uint64_t me = writer->me;
    /* Release [latest.owner]: all that we did comes before. Pairs with claim(). */
    atomic_compare_exchange_strong_explicit(&writer->memory.values->owner.word, &me, 0,
                                            memory_order_release, memory_order_relaxed);
}

/* Where the former writer stopped. Nothing is to be repaired: what it had not finished has seq 0. */
static int go_on(struct weir_latest_writer *writer)
{
    /* Relaxed: ordered by [latest.owner]; of a dead one, by the kernel, which took its place. */
    uint64_t index = atomic_load_explicit(&writer->memory.values->index, memory_order_relaxed);
    uint64_t buffer = index & WEIR__LATEST_BUFFER_MASK;
    writer->version = weir__latest_version_of(index);
    if (index != 0 && (buffer >= writer->memory.buffer_count || writer->version == 0 ||
                       writer->version > WEIR__LATEST_VERSION_MAX))
        return weir__fail(EUCLEAN, "the index 0x%llx cannot be true", (unsigned long long)index);
    writer->latest = index == 0 ? WEIR__LATEST_NONE : (uint32_t)buffer;
    writer->cursor =
        index == 0 || buffer + 1 == writer->memory.buffer_count ? 0 : (uint32_t)buffer + 1;
    return 0;
}

int weir__latest_writer_open(struct weir_latest_writer **to,
                             const struct weir_latest_memory *memory, struct weir_segment *segment)
{
    struct weir_latest_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return weir__fail(ENOMEM, "no memory for a handle");
    int result = weir__latest_attach(&writer->memory, memory, true);
    if (result == 0)
        result = weir_identity(&writer->identity);
    if (result == 0) {
        writer->me = writer->identity | (weir__random_nonzero() & WEIR_IDENTITY_SESSION_MAX);
        result = claim(writer);
    }
    if (result < 0) {
        free(writer);
        return result;
    }
    int moved = go_on(writer);
    if (moved != 0) {
        leave(writer);
        free(writer);
        return moved;
    }
    writer->identity_now = weir__identity_word();
    writer->must_fence = !weir__membarrier_register();
    writer->must_wake = true; /* the former one may have owed it */
    writer->loan = WEIR__LATEST_NONE;
    writer->stride_count = 1;
    if (writer->memory.holds > 0) /* half of what nobody can hold */
        writer->stride_count = (writer->memory.buffer_count - writer->memory.holds) / 2;
    writer->segment = segment;
    *to = writer;
    return result;
}

int weir_latest_writer_open(struct weir_latest_writer **writer,
                            const struct weir_latest_memory *memory)
{
    return weir__latest_writer_open(writer, memory, NULL);
}

static inline bool is_ours(const struct weir_latest_writer *writer)
{
    return *writer->identity_now == writer->identity;
}

void weir_latest_writer_close(struct weir_latest_writer *writer)
{
    if (!writer)
        return;
    if (is_ours(writer))
        leave(writer);
    weir_segment_close(writer->segment);
    free(writer);
}

uint64_t weir_latest_writer_max_bytes(const struct weir_latest_writer *writer)
{
    return writer->memory.max_bytes;
}

static int refuse(const struct weir_latest_writer *writer, uint64_t size_bytes)
{
    if (!is_ours(writer))
        return weir__fail(ECHILD, "this handle was opened by the parent process: a child opens its "
                                  "own");
    if (size_bytes > writer->memory.max_bytes)
        return weir__fail(EMSGSIZE, "a value of %llu bytes: the largest has %llu",
                          (unsigned long long)size_bytes,
                          (unsigned long long)writer->memory.max_bytes);
    return weir__fail(EINVAL, "a loan is out: commit or abandon it first");
}

/*
 * Rare: somebody waits, or may. A bit that is taken here may be of one that knows this value, has set it behind the
 * index, and is about to sleep for the next: so that one wakes, too.
 */
static __attribute__((cold, noinline)) void wake(struct weir_latest_writer *writer)
{
    struct weir__latest *memory = &writer->memory;
    writer->must_wake = memory->flags & WEIR_LATEST_ALWAYS_WAKE;
    if (memory->readers) {
        /* Sequentially consistent [latest.watch]: who had set it before sleeps on this value, or an older
         * one. Pairs with the one in watch(). */
        uint32_t was = atomic_exchange(&memory->readers->watch, 0);
        writer->must_wake |= was != 0;
        if (was & WEIR__LATEST_NEEDS_FENCE)
            writer->must_fence = true;
    }
    weir__futex_wake(&memory->values->index_low);
}

static inline void copy(void *to, const void *from, uint64_t size_bytes)
{
    if (size_bytes <= WEIR__COPY_SMALL_MAX)
        weir__copy_small(to, from, size_bytes);
    else
        weir__copy_to_shared(to, from, size_bytes);
}

/* One line of the hot cell, from nothing to its bytes; its seq is stored afterwards. */
static inline void fill_line(weir__atomic_u64 *seq, void *to, const void *from, uint64_t size_bytes)
{
    /* Relaxed [latest.hot]: the fence behind it counts. */
    atomic_store_explicit(seq, 0, memory_order_relaxed);
    /* Release [latest.hot]: who saw a byte of the next value sees that the seq has changed. Pairs
     * with is_unchanged(). */
    atomic_thread_fence(memory_order_release);
    copy(to, from, size_bytes);
}

/* Behind the index, and behind the first line's bytes. */
static inline void put_hot(struct weir__latest_values_shm *values, uint64_t word, const void *data,
                           uint64_t size_bytes)
{
    /* Release [latest.hot]: the bytes, and the index. Pairs with weir_latest_read()
     * and is_unchanged(). */
    atomic_store_explicit(&values->hot_seq, word, memory_order_release);
    if (size_bytes <= WEIR__LATEST_HOT_FIRST)
        return;
    fill_line(&values->more_seq, values->more, (const unsigned char *)data + WEIR__LATEST_HOT_FIRST,
              size_bytes - WEIR__LATEST_HOT_FIRST);
    /* Release [latest.hot]: as above. */
    atomic_store_explicit(&values->more_seq, word, memory_order_release);
}

/*
 * The value in buffer is complete, and data is where its bytes are to be had: all see it from here
 * on. The hot cell's lines one after the other, the first one first: a reader that has taken it
 * keeps the writer there until both have been read.
 */
static inline void publish(struct weir_latest_writer *writer, uint32_t buffer, const void *data,
                           uint64_t size_bytes)
{
    struct weir__latest *memory = &writer->memory;
    struct weir__latest_values_shm *values = memory->values;
    struct weir__latest_head_shm *head = weir__latest_head(memory, buffer);
    uint64_t index = weir__latest_index(writer->version + 1, buffer);
    /* Relaxed, both: before the index. */
    atomic_store_explicit(&head->size_bytes, size_bytes, memory_order_relaxed);
    atomic_store_explicit(&head->seq, index, memory_order_relaxed);
    /* CRASH latest.filled */
    bool is_hot = size_bytes <= WEIR__LATEST_HOT_MAX;
    uint64_t first_bytes =
        size_bytes < WEIR__LATEST_HOT_FIRST ? size_bytes : WEIR__LATEST_HOT_FIRST;
    if (is_hot)
        fill_line(&values->hot_seq, values->hot, data, first_bytes);
    /* CRASH latest.hot */
    /* Release [latest.value]: the value, its size and its seq before the index. Pairs with
     * weir__latest_look() and weir_latest_read(). */
    atomic_store_explicit(&values->index, index, memory_order_release);
    if (is_hot)
        put_hot(values, weir__latest_hot_word(writer->version + 1, size_bytes), data, size_bytes);
    /* CRASH latest.unwoken */
    writer->version++;
    writer->latest = buffer;
    if (__builtin_expect(writer->must_fence, 0))
        atomic_thread_fence(memory_order_seq_cst); /* in place of the waiter's membarrier */
    else
        atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps the order, too */
    bool is_watched = writer->must_wake;
    /* Relaxed [latest.watch]: ordered after the index by the waiter's membarrier. Pairs with
     * watch(). */
    if (memory->readers)
        is_watched |= atomic_load_explicit(&memory->readers->watch, memory_order_relaxed) != 0;
    if (__builtin_expect(is_watched, 0))
        wake(writer);
}

static inline uint32_t take_spare(struct weir_latest_writer *writer)
{
    if (__builtin_expect(writer->spare_at == writer->spare_count, 0))
        weir__latest_reserve(writer);
    return writer->spare[writer->spare_at++];
}

int weir_latest_write(struct weir_latest_writer *writer, const void *data, size_t size_bytes)
{
    if (__builtin_expect(!is_ours(writer) || size_bytes > writer->memory.max_bytes ||
                             writer->loan != WEIR__LATEST_NONE,
                         0))
        return refuse(writer, size_bytes);
    uint32_t buffer = take_spare(writer);
    unsigned char *payload =
        weir__latest_payload(&writer->memory, weir__latest_head(&writer->memory, buffer));
    copy(payload, data, size_bytes);
    publish(writer, buffer, data, size_bytes);
    return 0;
}

int weir_latest_loan(struct weir_latest_writer *writer, void **data)
{
    if (!is_ours(writer) || writer->loan != WEIR__LATEST_NONE)
        return refuse(writer, 0);
    writer->loan = take_spare(writer);
    *data = weir__latest_payload(&writer->memory, weir__latest_head(&writer->memory, writer->loan));
    return 0;
}

int weir_latest_commit(struct weir_latest_writer *writer, uint64_t size_bytes)
{
    if (!is_ours(writer) || size_bytes > writer->memory.max_bytes)
        return refuse(writer, size_bytes);
    if (writer->loan == WEIR__LATEST_NONE)
        return weir__fail(EINVAL, "no loan is out");
    uint32_t buffer = writer->loan;
    writer->loan = WEIR__LATEST_NONE;
    publish(writer, buffer,
            weir__latest_payload(&writer->memory, weir__latest_head(&writer->memory, buffer)),
            size_bytes);
    return 0;
}

void weir_latest_abandon(struct weir_latest_writer *writer)
{
    if (writer->loan == WEIR__LATEST_NONE || !is_ours(writer))
        return;
    writer->loan = WEIR__LATEST_NONE;
    writer->spare_at--; /* the one that was taken last */
}
