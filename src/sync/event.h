/* SPDX-License-Identifier: MIT */
#ifndef WEIR_SYNC_EVENT_H
#define WEIR_SYNC_EVENT_H

/*
 * The event's word, a futex:
 *
 *   bit 0       WAITED: somebody has prepared since the last notification that found nobody asleep
 *   bits 31..1  counts on with each notification while somebody waits, and when WAITED is cleared
 *
 *   from            | to              | by
 *   ----------------+-----------------+--------------------------------------------------
 *   n               | n, WAITED       | prepare; the ticket is what the word is then
 *   n               | n               | notify: nobody waits, nothing is written
 *   n, WAITED       | n + 1, WAITED   | notify, before it wakes one
 *   n + 1, WAITED   | n + 2           | notify, when nobody slept; then it wakes all
 *   n, WAITED       | n + 1           | notify_all, before it wakes all
 *
 * A wait sleeps while the word is the ticket, so a notification between prepare and wait ends it.
 *
 * E1: while somebody sleeps, WAITED is set, so that the next notification wakes; or whoever cleared
 *     it is about to wake all. (notify clears it when the kernel has said that nobody slept. One
 *     may have come since, with the very same word for a ticket, and sleep: so it wakes all once
 *     more after it has cleared. Who comes later does not sleep: the word is not the ticket.)
 * E2: a word whose WAITED was cleared does not come back: who clears it counts on. (With n + 1 alone
 *     the next prepare would make it n + 1, WAITED again, and one that took this ticket before, and
 *     comes late, would sleep through the changes between: they found no WAITED, and counted nothing.)
 *
 * Why no notification is lost: prepare is a full fence between the bit and the second look; notify
 * is one between the change and its look at the bit. One of the two sees the other.
 *
 * After 2,147,483,648 notifications between a prepare and its wait the ticket fits again: the wait
 * then lasts a slice.
 *
 * CRASH event.unwoken: the word counts on, with WAITED or without, the wake is missing: who slept
 * looks after a slice.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/event.h>

#include "base/atomics.h"

#define WEIR__EVENT_WAITED UINT32_C(1)

struct weir__event_shm {
    weir__atomic_u32 word;
    uint32_t reserved; /* 0 */
};

_Static_assert(sizeof(struct weir__event_shm) == sizeof(struct weir_event), "event");

static inline uint32_t weir__event_prepare(struct weir__event_shm *event)
{
    /* Sequentially consistent [event.word]: the bit, then the caller's second look. Pairs with
     * weir__event_is_waited(). */
    uint32_t before = atomic_fetch_or(&event->word, WEIR__EVENT_WAITED);
    atomic_thread_fence(memory_order_seq_cst);
    return before | WEIR__EVENT_WAITED;
}

/* Sleeps a slice at most, as weir__sleep(). */
int weir__event_wait(struct weir__event_shm *event, uint32_t ticket, int64_t deadline_ns);

/* The same of any word, while it is value, with another slice. 1: it is over, and the word is the same. */
int weir__event_wait_word(const weir__atomic_u32 *word, uint32_t value, int64_t slice_ns,
                          int64_t deadline_ns);

static inline int weir__event_wait_slice(const struct weir__event_shm *event, uint32_t ticket,
                                         int64_t slice_ns, int64_t deadline_ns)
{
    return weir__event_wait_word(&event->word, ticket, slice_ns, deadline_ns);
}

/* The slow half of notify. */
void weir__event_wake_one(struct weir__event_shm *event) __attribute__((cold));
void weir__event_wake_all(struct weir__event_shm *event) __attribute__((cold));

/* Without a fence: the caller's change was a read-modify-write, sequentially consistent. */
static inline bool weir__event_is_waited(const struct weir__event_shm *event)
{
    /* Sequentially consistent [event.word]: the caller's change, then this look. Pairs with
     * weir__event_prepare(). */
    return (atomic_load(&event->word) & WEIR__EVENT_WAITED) != 0;
}

static inline void weir__event_notify(struct weir__event_shm *event)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (__builtin_expect(weir__event_is_waited(event), 0))
        weir__event_wake_one(event);
}

static inline void weir__event_notify_all(struct weir__event_shm *event)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (__builtin_expect(weir__event_is_waited(event), 0))
        weir__event_wake_all(event);
}

#endif
