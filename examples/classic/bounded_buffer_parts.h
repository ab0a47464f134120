/* SPDX-License-Identifier: MIT */
#ifndef BOUNDED_BUFFER_PARTS_H
#define BOUNDED_BUFFER_PARTS_H

/*
 * A bounded buffer whose two sides may be killed at any instruction.
 *
 * The object: an ephemeral segment of kind "stream" under the name, and a set
 * of semaphores that lives as long.
 *
 *   semaphore     first  who changes it, and how
 *   ------------- -----  ----------------------------------------------------------
 *   EMPTY         N      sender -1 (waits); receiver +1 for a slot that it freed
 *   FULL          0      receiver -1 (waits); sender +1 for a slot that it committed
 *   DONE          0      sender -1 (waits); receiver +1 with its verdict
 *   x_CAME        0      +1 by the claim of the role x, for good
 *   x_LIVES       0      +1 with UNDO by the same claim: 0 again when x has ended
 *   ENDING        0      a lock, with UNDO: who takes the name away
 *
 * A role is claimed in one semop: {CAME,0} {CAME,+1} {LIVES,+1,UNDO}, and with it
 * a shot is set up for each semaphore on which the other side may wait:
 * {FULL,+2} {FULL,-2,UNDO} changes nothing now, and has the kernel add 2 when
 * this process ends. So the other side is woken at that moment, and no sooner:
 *
 *   the sender's end    S_LIVES 0, FULL +2, at one moment
 *   the receiver's end  R_LIVES 0, EMPTY +2, DONE +1, at one moment
 *
 * The shared memory; each word has one writer:
 *
 *   word                 writer    why its reader is safe
 *   -------------------  --------  ------------------------------------------------
 *   slot.sequence        sender    stored last, with release: the slot is committed
 *                                  when it is 1 + the number of slots before it
 *   slot.length, .flags, sender    read after sequence, copied once, checked against
 *   slot.total                     the slot's size and the reader's own count
 *   slot's bytes         sender    never interpreted
 *   sender.failed        sender    one atomic word, checked
 *   receiver.freed       receiver  stored with release before EMPTY is posted;
 *                                  checked: never falls, never above what was sent
 *   receiver.verdict     receiver  one atomic word, stored before DONE is posted
 *
 * Invariants (c: slots committed, p: units posted to FULL; f: freed, q: units
 * posted to EMPTY):
 *   I1  p <= c <= p + 1     I2  q <= f <= q + 1     I3  f <= c <= f + N
 *   I4  total of slot k = sum of the lengths of slots 0 to k
 *
 * A unit is only a reason to look: by I1 and I2 at most one slot is committed
 * (freed) and unposted at a death, and the shot adds 2. So a survivor takes all
 * that was committed, then finds a unit without a slot, and knows. It never
 * waits on the dead; a unit without a slot while the other lives is EUCLEAN.
 *
 *   killed                                        what the other one does
 *   -------------------------------------------   -------------------------------
 *   CRASH 1  before the claim                     nothing happened
 *   CRASH 2  claimed, alone                       nobody is there: the kernel frees
 *                                                 the object; or a newcomer finds it
 *                                                 used up, and makes another
 *   CRASH 3  slot filled, not committed           it is as if never filled: EPIPE
 *   CRASH 4  committed, FULL not posted           it is taken, then EPIPE
 *   CRASH 5  freed, EMPTY not posted              it is used, then EPIPE
 *   CRASH 6  END committed, sender killed         all is there: the receiver ends well
 *   CRASH 7  all accepted, name taken away,       the sender says that it does not
 *            verdict not stored                   know: EPIPE. Never the other way
 *   CRASH 8  verdict stored, DONE not posted      the shot posts DONE; the verdict holds
 *   CRASH 9  in the lock ENDING                   undone; the next one takes the name
 *
 * One pair: an object whose sender or receiver has come and ended is used up.
 * A newcomer takes the name away from it and makes another, without waiting for
 * whoever is left. Its role taken by one who lives, it waits a moment for that
 * one's end (who was killed just now is not dead before the kernel says so, and
 * then the kernel wakes us), and is refused. CAME is read before LIVES, and
 * neither turns back, so "used up" stays true once it was seen. The receiver
 * takes the name away before it accepts: a sender that comes after the former
 * one has returned cannot meet the former object. Who waits alone and gives up
 * checks, in the same semop that takes LIVES back, that nobody has come meanwhile.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounded_buffer.h"

enum semaphore {
    EMPTY,
    FULL,
    DONE,
    CAME,             /* + role */
    LIVES = CAME + 2, /* + role */
    ENDING = LIVES + 2,
    SEMAPHORES,
};

#define SENDER BOUNDED_BUFFER_SENDER
#define RECEIVER BOUNDED_BUFFER_RECEIVER

#define SLOT_END 1u       /* in slot.flags: nothing comes after this one */
#define ACCEPTED 0x10000u /* the receiver's verdict */
#define FAILED 0x20000u   /* either side's; with an errno in the low bits */
#define ERROR_MASK 0xffffu

struct slot_shm {
    _Alignas(64) _Atomic uint64_t sequence;
    uint64_t total;
    uint32_t length;
    uint32_t flags;
};

struct buffer_shm {
    struct {
        _Alignas(64) _Atomic uint32_t failed;
    } sender;
    struct {
        _Alignas(64) _Atomic uint64_t freed;
        _Atomic uint32_t verdict;
    } receiver;
    struct slot_shm slot[]; /* then, at a page boundary, the bytes */
};

struct bounded_buffer {
    struct weir_segment *segment;
    struct weir_semset *set;
    struct buffer_shm *shm;
    unsigned char *bytes;
    char *name;
    enum bounded_buffer_role role;
    uint32_t slots;
    uint32_t slot_bytes;
    uint64_t sequence;   /* slots that this side is done with */
    uint64_t total;      /* bytes in them */
    uint64_t freed_seen; /* sender: the last word of the receiver */
    bool joined;         /* the role is ours */
    bool reserved;       /* sender: a unit of EMPTY is taken for the next slot */
    bool ended;          /* sender: END is committed. Receiver: it was read */
    int broken;          /* the error that ended it; stays */
};

/*
 * bounded_buffer_pair.c
 */

static inline enum bounded_buffer_role bounded_buffer_other(const struct bounded_buffer *buffer)
{
    return buffer->role == SENDER ? RECEIVER : SENDER;
}

/* The verdict that the other side has given, 0: none. */
uint32_t bounded_buffer_peer_word(const struct bounded_buffer *buffer);

/*
 * Takes the name away from this object, if it still has it. All who do so hold
 * the lock ENDING of this object, so that between the look and the removal the
 * name cannot go to another one.
 */
int bounded_buffer_take_name_away(struct bounded_buffer *buffer, int64_t deadline_ns);

#endif
