/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ALLOC_INTENT_H
#define WEIR_ALLOC_INTENT_H

/*
 * What stands at the head of a pool and of an arena: a lock, and what its holder is about to do.
 *
 *   field        | who writes it       | under what
 *   -------------+---------------------+--------------------------------------------------
 *   mutex        | see sync/mutex.h    |
 *   place, block | who holds the mutex | while act is 0
 *   act          | who holds the mutex | 0 -> what it is about to do; 0 when that is done
 *
 * What whoever takes the mutex finds, and does before anything else:
 *
 *   act   | place                      | block and the rest   | it
 *   ------+----------------------------+----------------------+------------------------------------
 *   0     | whatever                   | whatever             | goes on
 *   not 0 | in its space, aligned to 8 | can be true          | finishes the act or takes it back,
 *         |                            |                      | act = 0, and goes on
 *   not 0 | in its space, aligned to 8 | cannot               | -EUCLEAN, and writes nothing
 *   not 0 | elsewhere                  | whatever             | -EUCLEAN, and writes nothing
 *
 * It goes by act alone, and not by the mutex's word that its holder has died: that is said once, and
 * may have been said to one whose space ends before the place (spaces begin at the same byte, but
 * need not have one size), or who was killed before it was done. An act that nobody can finish is a
 * liar's: then each call of everybody is -EUCLEAN.
 *
 * T1: while act is not 0, what the holder's steps have changed can be told from place and the
 *     structure: so whoever comes next finishes the act or takes it back, and may be killed
 *     in that as well: each step of it may be done twice.
 * T2: a block belongs to the place that holds its offset: an act counts as done as soon as its store
 *     into the place has happened.
 * T3: while act is not 0, nobody writes a word of the structure but to finish that act or to take it
 *     back, and act is the last of these words: so it waits, as long as it takes and whoever is
 *     killed meanwhile, for one that sees its place.
 *
 * A process that is killed has made a prefix of its stores, in the order of the program: they leave
 * a core once they are retired, and that happens in order. So between two steps the compiler's order
 * is enough for the dead; the stores here are relaxed, with a compiler's fence between.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/mutex.h>
#include <weir/offset.h>

#include "base/atomics.h"

struct weir__intent {
    struct weir_mutex mutex;
    weir__atomic_u64 place; /* offset in the space */
    weir__atomic_u64 block; /* offset or number */
    weir__atomic_u64 act;   /* 0: nothing */
};

/* Between two steps that whoever inherits must find in this order. */
static inline void weir__step(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t weir__word(const weir__atomic_u64 *word)
{
    /* Relaxed: guarded by the mutex; atomic for its width, and for liars. */
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void weir__set_word(weir__atomic_u64 *word, uint64_t value)
{
    /* Relaxed: guarded by the mutex. */
    atomic_store_explicit(word, value, memory_order_relaxed);
    weir__step();
}

/* 0: locked. A dead holder has left its act, if it had begun one, and nothing else. */
int weir__intent_lock(struct weir__intent *intent);

void weir__intend(struct weir__intent *intent, uint64_t act, uint64_t place, uint64_t block);
void weir__intent_done(struct weir__intent *intent);

/* Where the place is here; NULL: outside of the space, or not aligned. */
weir__atomic_u64 *weir__place_at(struct weir_space space, uint64_t offset);

/* -EUCLEAN: there is an act, and its place is not here. */
int weir__place_unseen(struct weir_space space, uint64_t offset, const char *what);

/* The offset of a caller's place, or -EINVAL. */
int weir__place_check(struct weir_space space, const uint64_t *place, uint64_t *offset);

/* -EINVAL, -EPROTO, -ENOENT: of what stands at offset, magic_bytes of it at least. */
int weir__area_find(struct weir_space space, uint64_t offset, uint64_t head_bytes, const char *what,
                    void **area);

#endif
