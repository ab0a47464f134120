/* SPDX-License-Identifier: MIT */
/*
 * Holds. docs/latest.md, "Holding".
 *
 *   step                              | killed here, it leaves           (CRASH ...)
 *   ----------------------------------+-----------------------------------------------
 *   hold word 0 or a dead one's -> me | latest.held: one buffer out of use, until another
 *                                     | reader needs the word
 *   fence, look at seq: held          | the same
 *   hold word me -> 0                 | nothing
 */
#include <errno.h>

#include "base/error.h"
#include "latest/reader.h"
#include "segment/identity.h"

/* Values that may come between a look and a hold; half of the buffers each time. */
#define TRIES 100

static bool swap(struct weir__owned *hold, uint64_t was, uint64_t word)
{
    /* Relaxed: the fence in weir__latest_take_hold() comes behind it. */
    if (!atomic_compare_exchange_strong_explicit(&hold->word, &was, word, memory_order_relaxed,
                                                 memory_order_relaxed))
        return false;
    weir__owned_name(hold);
    return true;
}

static int identify(struct weir_latest_reader *reader)
{
    if (!reader->memory.readers)
        return weir__fail_plain(EOPNOTSUPP,
                                "there is no readers' part that may be written: nothing "
                                "can be held");
    if (!weir__latest_reader_is_ours(reader))
        return weir__fail_plain(ECHILD, "this handle holds for the parent process: a child opens "
                                        "its own");
    if (reader->identity != 0)
        return 0;
    uint64_t identity;
    int result = weir_identity(&identity);
    if (result != 0)
        return result;
    /* In this order: another thread may fork in between. */
    reader->identity_now = weir__identity_word();
    reader->identity = identity;
    return 0;
}

static bool claim_any(struct weir_latest_reader *reader, uint64_t word, uint32_t *place)
{
    struct weir__latest *memory = &reader->memory;
    for (uint32_t i = 0; i < memory->holds; i++) {
        uint32_t at = (reader->place + i) % memory->holds;
        struct weir__owned *hold = &memory->readers->hold[at];
        if (atomic_load_explicit(&hold->word, memory_order_relaxed) == 0 && swap(hold, 0, word)) {
            *place = reader->place = at;
            return true;
        }
    }
    for (uint32_t at = 0; at < memory->holds; at++) {
        struct weir__owned *hold = &memory->readers->hold[at];
        uint64_t owner = atomic_load_explicit(&hold->word, memory_order_relaxed);
        if ((owner == 0 || weir__owned_is_dead(hold, owner)) && swap(hold, owner, word)) {
            *place = reader->place = at;
            return true;
        }
    }
    return false;
}

/* All words as they stand, so that a process's next hold is not taken for its former one. 0: one is free. */
static uint64_t sum_holds(const struct weir__latest *memory)
{
    uint64_t sum = 1;
    for (uint32_t at = 0; at < memory->holds; at++) {
        /* Acquire: the looks at all, one after the other. */
        uint64_t word = atomic_load_explicit(&memory->readers->hold[at].word, memory_order_acquire);
        if (word == 0)
            return 0;
        sum = weir__owners_sum(sum ^ (word & WEIR_IDENTITY_SESSION_MAX), word);
    }
    return sum;
}

/*
 * A free hold word, or one that the dead have left: it names us and the buffer then. No single look shows that
 * there is none: see weir__owners_sum().
 */
static int claim(struct weir_latest_reader *reader, uint64_t word, uint32_t *place)
{
    uint64_t before, holds = 0;
    for (int look = 0; look < WEIR__OWNERS_LOOKS; look++) {
        if (claim_any(reader, word, place))
            return 0;
        before = holds;
        holds = sum_holds(&reader->memory);
        if (holds != 0 && holds == before)
            break;
    }
    return weir__fail_plain(ENOBUFS, "living readers hold as many values as there may be held");
}

int weir__latest_take_hold(struct weir_latest_reader *reader, struct weir__latest_seen *seen,
                           uint32_t *place)
{
    struct weir__latest *memory = &reader->memory;
    int result = identify(reader);
    if (result == 0)
        result = weir__latest_look(memory, seen);
    if (result == 0)
        result = claim(reader, weir__latest_hold_word(reader, seen->index), place);
    if (result != 0)
        return result;
    reader->held[*place / 64] |= UINT64_C(1) << *place % 64;
    for (int attempt = 0; attempt < TRIES; attempt++) {
        /* CRASH latest.held */
        /* Full fence [latest.hold]: the hold, then the look at seq. Pairs with the fence in
         * keep(): of a hold and a reservation one sees the other. */
        atomic_thread_fence(memory_order_seq_cst);
        if (weir__latest_is_same(seen->head, seen->index))
            return 0;
        result = weir__latest_changed(memory, seen->index);
        if (result == -EAGAIN)
            result = weir__latest_look(memory, seen);
        if (result != 0)
            break;
        /* Release [latest.free]: what a former holder of the place read comes before it, too. Nobody
         * else stores it while we live. */
        atomic_store_explicit(&memory->readers->hold[*place].word,
                              weir__latest_hold_word(reader, seen->index), memory_order_release);
    }
    weir__latest_put_back(reader, *place);
    return result != 0 ? result
                       : weir__fail_plain(EAGAIN, "the value changes faster than it can be held");
}

void weir__latest_put_back(struct weir_latest_reader *reader, uint32_t place)
{
    weir__atomic_u64 *hold = &reader->memory.readers->hold[place].word;
    uint64_t word = atomic_load_explicit(hold, memory_order_relaxed);
    reader->held_index[place] = 0;
    reader->held[place / 64] &= ~(UINT64_C(1) << place % 64);
    /* Somebody who lies may have stored another's name. */
    if ((word & ~WEIR_IDENTITY_SESSION_MAX) != reader->identity)
        return;
    /* Release [latest.free]: we have read the last byte. Pairs with held_now(). */
    atomic_compare_exchange_strong_explicit(hold, &word, 0, memory_order_release,
                                            memory_order_relaxed);
}

int weir_latest_hold(struct weir_latest_reader *reader, struct weir_latest_value *value)
{
    struct weir__latest_seen seen;
    uint32_t place;
    int result = weir__latest_take_hold(reader, &seen, &place);
    if (result != 0)
        return result;
    reader->held_index[place] = seen.index;
    /* Once more, now that it cannot change. */
    seen.size_bytes = atomic_load_explicit(&seen.head->size_bytes, memory_order_relaxed);
    if (seen.size_bytes > reader->memory.max_bytes) {
        weir__latest_put_back(reader, place);
        return weir__latest_corrupt(seen.index, seen.size_bytes);
    }
    *value =
        (struct weir_latest_value){ .data = weir__latest_payload(&reader->memory, seen.head),
                                    .size_bytes = seen.size_bytes,
                                    .version = weir__latest_version_of(seen.index),
                                    .hold = place + 1,
                                    .buffer = (uint32_t)(seen.index & WEIR__LATEST_BUFFER_MASK) };
    return 0;
}

int weir_latest_release(struct weir_latest_reader *reader, const struct weir_latest_value *value)
{
    if (!weir__latest_reader_is_ours(reader))
        return weir__fail(ECHILD, "this handle holds for the parent process");
    if (!weir__latest_is_held(reader, value))
        return weir__fail(EINVAL, "version %llu is not held by this handle: released twice?",
                          (unsigned long long)value->version);
    weir__latest_put_back(reader, value->hold - 1);
    return 0;
}
