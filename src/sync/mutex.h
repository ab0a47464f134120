/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_MUTEX_H
#define WEIR_SYNC_MUTEX_H

/*
 * The mutex's memory.
 *
 *   field        | who writes it             | under what
 *   -------------+---------------------------+------------------------------------------------
 *   owned.word   | anyone                    | compare-and-swap, as in the table below
 *                | its holder                | exchange with 0 or LOST: unlock
 *   owned.name   | its holder                | see sync/owner.h
 *   thread       | its holder                | which of its threads; 0 before the unlock
 *   depth        | its holder                | how often again (recursive)
 *   flags        | weir_mutex_init()         | before others use it
 *
 * The word: an owner (0: none), and three bits where its session would be:
 *
 *   WAITED       somebody may sleep: the unlock wakes one
 *   INHERITED    from a dead holder, and not consistent yet
 *   LOST         given up, for ever; with no owner
 *
 *   from                 | to                       | by
 *   ---------------------+--------------------------+-----------------------------------------
 *   0                    | O                        | lock
 *   0                    | O, WAITED                | lock of one that has slept: there may be others
 *   O, any               | O, any, WAITED           | one that is about to sleep
 *   D, any: D is dead    | O, INHERITED, WAITED     | lock of one that asked the kernel for D
 *   O, INHERITED, any    | O, any                   | consistent
 *   O; O, WAITED         | 0; then one is woken     | unlock
 *   O, INHERITED, any    | LOST; then all are woken | unlock
 *
 * M1: at any moment at most one living thread finds word's owner and thread to be itself.
 * M2: while somebody sleeps, the word is not 0, or one that has slept is about to look, or the wake
 *     is under way; if it is not (its sender or who was woken is dead) a slice ends every sleep.
 * M3: the owner of a word that is not its own is changed by a compare-and-swap alone, from a word of the
 *     very owner that was asked for, whatever its bits are by then; so a verdict that comes late, from
 *     one that was stopped with it, fails.
 *
 * thread is the identity, with a number in it that no other thread of the process has or ever had, and
 * never 0.
 * It counts only where the word names this process. That alone would not do, with a number that
 * another process's thread may have: between the loads of word and thread the one may let go, and
 * the other take it; and when a dead one's word is taken, its thread still stands there.
 *
 * CRASH mutex.unnamed: taken, thread is 0: the word names the dead one, that is enough.
 * CRASH mutex.held: as any holder's death.
 * CRASH mutex.nameless: thread is 0 again, the word still names it: as held.
 * CRASH mutex.unwoken: free, the wake is missing: who sleeps looks after a slice.
 */

#include <stdbool.h>

#include <weir/mutex.h>

#include "sync/owner.h"

#define WEIR__MUTEX_WAITED UINT64_C(1)
#define WEIR__MUTEX_INHERITED UINT64_C(2)
#define WEIR__MUTEX_LOST UINT64_C(4)

struct weir__mutex_shm {
    struct weir__owned owned;
    weir__atomic_u64 thread;
    weir__atomic_u32 depth;
    weir__atomic_u32 flags;
    uint64_t reserved; /* 0 */
};

_Static_assert(sizeof(struct weir__mutex_shm) == sizeof(struct weir_mutex), "mutex");

/* Whether this thread holds it, and the word as it was read. */
bool weir__mutex_is_ours(struct weir__mutex_shm *mutex, uint64_t *word);

#endif
