/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_OWNER_H
#define WEIR_SYNC_OWNER_H

/*
 * Words of shared memory that name who holds them.
 *
 *   word            | who writes it                       | under what
 *   ----------------+-------------------------------------+---------------------------------------
 *   owned.word      | anyone                              | compare-and-swap: nobody's -> mine;
 *                   |                                     | exactly a dead one's -> mine, nobody's
 *                   | its owner                           | mine -> nobody's
 *   owned.name      | its owner, when it has the word     | a store; believed only when it fits the
 *                   |                                     | owner in the word
 *
 * The 13 low bits of the word, where an identity has its session, are free for small numbers.
 *
 * The name says in which IPC namespace the owner is: from another one nobody declares it dead.
 *
 * CRASH owned.unnamed: the word is taken and the name is still the former owner's: it does not fit,
 * so that the uid of the dead one is not known, and any creator's beacon of that id and size counts
 * as its life. Two processes with ids that come round would be needed in these few instructions.
 * (Of 2^28 pairs of owners, one's name fits the other by chance: then one that lives, is of another user than the former, and
 * is stopped in these few instructions would be taken for dead.)
 * Nor is its namespace known: one of another namespace that is stopped in these few instructions
 * would be taken for dead. (A name that does not fit, because the word has changed hands between the
 * loads, is seen: both must be the same after the kernel's answer. Only a word that goes and comes
 * back meanwhile, its name with it, is not.)
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/identity.h>

#include "base/atomics.h"
#include "segment/identity.h"

struct weir__owned {
    weir__atomic_u64 word;
    weir__atomic_u64 name;
};

#define WEIR__OWNER_MASK (~WEIR_IDENTITY_SESSION_MAX)

static inline uint64_t weir__owner(uint64_t word)
{
    return word & WEIR__OWNER_MASK;
}

/* This process's identity; the first call makes it. 0, or an error of weir_identity(). */
int weir__owner_self(uint64_t *self);

/* After the word was taken. */
static inline void weir__owned_name(struct weir__owned *owned)
{
    uint64_t name = weir__self()->name;
    /* Relaxed [owned.name]: whoever reads it checks that it fits. Pairs with load_name(). */
    if (atomic_load_explicit(&owned->name, memory_order_relaxed) != name)
        atomic_store_explicit(&owned->name, name, memory_order_relaxed);
}

/* Whether the name beside word, which was read from owned, is its owner's. */
bool weir__owned_is_named(const struct weir__owned *owned, uint64_t word);

/*
 * Whether the owner in word, which was read from owned, is dead. A few system calls. Word and name
 * still stand there after the kernel's answer: else the name may have been another's.
 */
bool weir__owned_is_dead(const struct weir__owned *owned, uint64_t word);

/*
 * Whether all places of a row are taken shows in no single look: while it goes from one to the next, a
 * dead one's may be cleared behind it, and the next one ahead of it be taken. So those who are found are
 * summed up, and it is looked again until two looks in a row have found the same ones everywhere, all
 * alive: then all places were taken at one moment, unless somebody has left and come back to its
 * own meanwhile. So often at most, since each look may ask the kernel for all of them.
 */
#define WEIR__OWNERS_LOOKS 16

/* With one place's owner more; the first sum is 1. One that is another one makes another sum. */
static inline uint64_t weir__owners_sum(uint64_t sum, uint64_t word)
{
    return (sum ^ weir__owner(word)) * UINT64_C(0x9e3779b97f4a7c15);
}

/* The half of a 64-bit word that a futex can wait for: the one with the 13 bits. */
static inline weir__atomic_u32 *weir__futex_half(weir__atomic_u64 *word)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half stands first");
    return (weir__atomic_u32 *)(uintptr_t)word;
}

#endif
