/* SPDX-License-Identifier: MIT */
/*
 * sleep.pml - epochs, doorbells, store buffers, membarrier; the fence variants
 *
 * Read beside docs/lane.md, section Sleeping and waking: names and step numbers are the same.
 * The publisher sleeps for room, the subscriber for messages: each side is a waiter and the
 * other's waker. The ring is a pair of counts, ROOM messages large.
 *
 * Modelled:
 * - the store buffer of each side: its commits (cursors), its epoch and `ended` become visible
 *   to the other at any later time, the epoch in any order against the others; a fence, a
 *   read-modify-write, and a membarrier of the other side empty it. membarrier is two steps:
 *   a fence in the caller, and a fence in the other between any two of its steps, also while
 *   it is stopped; it reaches a registered process alone;
 * - the doorbell as the futex: compared and slept on in one step, woken by a step after the add;
 * - a subscriber that leaves for good, at any message, and one that leaves and comes back (no
 *   credit meanwhile) with a new page and epoch: DETACHES times, 0 or 1;
 * - a side that does other things for ever, alive and listed, after any message;
 * - a wait that returns for nothing (a signal, a slice): SPURIOUS times a side, at any time;
 * - the end of a slice: when nobody can do anything else. A sleeper that then finds what it
 *   waits for, while the other side runs, has lost a wake: I6 fails;
 * - at any step either side may be killed, or stopped for ever; the verdict of death comes
 *   after the kill, when all that the dead one stored is visible.
 *
 * Variants (at most one each): NO_MEMBARRIER_SUB, NO_MEMBARRIER_PUB: that side may not call
 * membarrier, and has said so in its slot, so that the other fences; UNREGISTERED_SUB,
 * UNREGISTERED_PUB: membarrier does not reach that side, so it fences itself.
 *
 * Not modelled: the payload (commit.pml), where a joiner begins (join.pml: here it goes on
 * where it was), the moment at which the publisher learns of another needs_fence (a slice
 * covers it), time.
 */

#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef ROOM
#define ROOM 2
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif
/* Are there kills and stops? */
#ifndef FATES
#define FATES true
#endif
#ifndef DETACHES
#define DETACHES 0
#endif

#ifdef NO_MEMBARRIER_SUB
#define HAS_MEMBARRIER_SUB false
#else
#define HAS_MEMBARRIER_SUB true
#endif
#ifdef NO_MEMBARRIER_PUB
#define HAS_MEMBARRIER_PUB false
#else
#define HAS_MEMBARRIER_PUB true
#endif
#ifdef UNREGISTERED_SUB
#define REGISTERED_SUB false
#else
#define REGISTERED_SUB true
#endif
#ifdef UNREGISTERED_PUB
#define REGISTERED_PUB false
#else
#define REGISTERED_PUB true
#endif

#define PUB 0
#define SUB 1
#define OTHER(side) (1 - (side))
#define HAS_MEMBARRIER(side) ((side) == PUB -> HAS_MEMBARRIER_PUB : HAS_MEMBARRIER_SUB)
#define REGISTERED(side) ((side) == PUB -> REGISTERED_PUB : REGISTERED_SUB)
/* Who wakes a side that has no membarrier, or is not reached by one, fences. */
#ifdef MUTANT_NO_WAKER_FENCE
#define WAKER_FENCES(me) false
#else
#define WAKER_FENCES(me) (!HAS_MEMBARRIER(OTHER(me)) || !REGISTERED(me))
#endif

#define RUNS 0
#define STOPPED 1
#define KILLED 2

/* As seen by all, and as stored by its writer: what differs is in the writer's buffer. */
byte data[2], own_data[2]; /* tail of PUB, cursor of SUB */
byte epoch[2], own_epoch[2];
bool ended, own_ended;

/* The directory. */
bool listed[2];
bool attached; /* page.lane is this lane */
byte doorbell[2];

bool asleep[2];
byte fate[2];
bool verdict[2];

/* For the assertions alone. */
bool idle[2];  /* alive, and busy elsewhere for ever */
byte rings[2]; /* that were given to a side because of its epoch */
byte waits[2]; /* epochs that a side took */

/* A subscriber that has come back has a new page, with an epoch of its own. The publisher
 * reads the epoch in the page that it found at its last look. */
byte old_page_epoch;
bool sub_is_new, pub_knows_it;

inline flush(side)
{
    data[side] = own_data[side];
    epoch[side] = own_epoch[side];
    if
    :: side == PUB -> ended = own_ended
    :: else
    fi
}

inline ring(to)
{
    d_step { flush(OTHER(to)); doorbell[to]++ };
    asleep[to] = false /* futex_wake */
}

#define ROOM_SEEN (attached && own_data[PUB] < data[SUB] + ROOM)
#define PUB_SEES (ROOM_SEEN || !listed[SUB] || verdict[SUB])
#define SUB_SEES (data[PUB] > own_data[SUB] || ended || verdict[PUB])
#define SEES(me) ((me) == PUB -> PUB_SEES : SUB_SEES)

inline take_epoch(me)
{
    d_step { own_epoch[me]++; waits[me]++ }
}

inline barrier(me)
{
    d_step { flush(me) };
    if
#ifndef MUTANT_NO_MEMBARRIER
    :: HAS_MEMBARRIER(me) && REGISTERED(OTHER(me)) -> d_step { flush(OTHER(me)) }
#endif
    :: else
    fi
}

/* Waiting: returns when there is something, or on any wake. */
inline wait(me)
{
#ifndef MUTANT_BELL_LATE
    bell = doorbell[me]; /* 1 */
#endif
#ifndef MUTANT_EPOCH_AFTER_LOOK
    take_epoch(me); /* 2 */
    barrier(me);    /* 3 */
#endif
    if
    :: SEES(me) -> goto again /* 4 */
    :: else
    fi;
#ifdef MUTANT_EPOCH_AFTER_LOOK
    take_epoch(me);
    barrier(me);
#endif
#ifdef MUTANT_BELL_LATE
    bell = doorbell[me];
#endif
    atomic { /* 5 */
        if
        :: doorbell[me] != bell -> bell = 0; goto again
        :: doorbell[me] == bell -> bell = 0; asleep[me] = true
        fi
    };
    if
    :: !asleep[me]
    :: spurious < SPURIOUS -> d_step { spurious++; asleep[me] = false }
    :: timeout ->
        /* I6: the slice ends, and only a stopped or dead one may be the reason. */
        assert(fate[OTHER(me)] != RUNS || (idle[OTHER(me)] && !SEES(me)));
        if
        :: SEES(me) -> asleep[me] = false
        :: else -> goto done
        fi
    fi
}

#define IS_UNKNOWN(me) ((me) == PUB && sub_is_new && !pub_knows_it)
#define EPOCH_READ(me) (IS_UNKNOWN(me) -> old_page_epoch : epoch[OTHER(me)])

/* Waking, after the commit (6) or the cursor. */
inline wake(me)
{
    if
    :: WAKER_FENCES(me) -> d_step { flush(me) }
    :: else
    fi;
    if
#ifndef MUTANT_NO_OWNER_LOOK
    /* The slot's owner is another than at the last look: ring, and look at the next record. */
    :: IS_UNKNOWN(me) -> limit = 0; ring(OTHER(me)); goto again
#endif
    :: else
    fi;
    seen = EPOCH_READ(me);
    if
#ifdef MUTANT_RING_EVERY
    :: seen != 0 ->
#else
    :: seen != rung ->
#endif
        d_step {
            rung = seen;
            seen = 0;
            rings[OTHER(me)]++;
            /* A wake once an epoch. */
            assert(rings[OTHER(me)] <= waits[OTHER(me)])
        };
        ring(OTHER(me))
    :: else -> seen = 0
    fi
}

inline leave(me)
{
    d_step { flush(me); listed[me] = false };
#ifndef MUTANT_LEAVE_WITHOUT_RING
    ring(OTHER(me))
#endif
}

proctype publisher()
{
    byte bell, seen, rung, spurious, limit;

    {
        skip;
again:
        if
        :: own_data[PUB] > 0 -> idle[PUB] = true; goto done
        :: own_data[PUB] == MESSAGES -> goto end_of_stream
        :: own_data[PUB] < MESSAGES && own_data[PUB] < limit
        :: own_data[PUB] < MESSAGES && own_data[PUB] >= limit ->
            if
            :: !listed[SUB] || verdict[SUB] -> goto end_of_stream
            :: ROOM_SEEN ->
                d_step {
                    limit = data[SUB] + ROOM;
                    if
                    :: sub_is_new && !pub_knows_it -> pub_knows_it = true; rung = 0
                    :: else
                    fi
                }
            :: else ->
                wait(PUB);
                goto again
            fi
        fi;
#ifdef MUTANT_RING_BEFORE_COMMIT
        wake(PUB);
        own_data[PUB]++;
#else
        own_data[PUB]++; /* commit */
        wake(PUB);
#endif
        goto again;
end_of_stream:
        own_ended = true;
        leave(PUB);
done:
        skip
    } unless { d_step { fate[PUB] != RUNS -> bell = 0; seen = 0; rung = 0; spurious = 0; limit = 0 } }
}

proctype subscriber()
{
    byte bell, seen, rung, spurious, detaches, limit; /* limit: not used here */

    {
        skip;
again:
        if
        :: data[PUB] > own_data[SUB] ->
            own_data[SUB]++; /* take, release: the cursor */
            wake(SUB);
            goto again
        :: data[PUB] == own_data[SUB] && (ended || verdict[PUB]) ->
            if
            :: data[PUB] > own_data[SUB] -> goto again
            :: else
            fi;
            assert(own_data[SUB] == own_data[PUB]);
            goto gone
        :: data[PUB] == own_data[SUB] && !(ended || verdict[PUB]) ->
            wait(SUB);
            goto again
        :: own_data[SUB] > 0 -> idle[SUB] = true; goto done
        :: true -> goto gone
        :: detaches < DETACHES ->
            /* Leaves and comes back: a read-modify-write on the slot each time, and a ring. */
            d_step { flush(SUB); detaches++; attached = false };
            ring(PUB);
            d_step { /* claim, and a new page */
                flush(SUB);
                old_page_epoch = epoch[SUB];
                own_epoch[SUB] = 0;
                epoch[SUB] = 0;
                sub_is_new = true
            };
            d_step { flush(SUB); attached = true };
            ring(PUB);
            goto again
        fi;
gone:
        leave(SUB);
done:
        skip
    } unless { d_step { fate[SUB] != RUNS -> bell = 0; seen = 0; rung = 0; spurious = 0; detaches = 0 } }
}

proctype memory()
{
end:
    do
    :: d_step { data[PUB] != own_data[PUB] -> data[PUB]++ }
    :: d_step { data[SUB] != own_data[SUB] -> data[SUB]++ }
    :: d_step { epoch[PUB] != own_epoch[PUB] -> epoch[PUB]++ }
    :: d_step { epoch[SUB] != own_epoch[SUB] -> epoch[SUB]++ }
    :: d_step { ended != own_ended && data[PUB] == own_data[PUB] -> ended = true }
    od
}

proctype kernel()
{
    if
    :: !FATES
    :: FATES -> fate[PUB] = KILLED; d_step { flush(PUB); verdict[PUB] = true }
    :: FATES -> fate[SUB] = KILLED; d_step { flush(SUB); verdict[SUB] = true }
    :: FATES -> fate[PUB] = STOPPED
    :: FATES -> fate[SUB] = STOPPED
    :: true
    fi
}

init
{
    atomic {
        listed[PUB] = true;
        listed[SUB] = true;
        attached = true;
        run publisher();
        run subscriber();
        run memory();
        run kernel()
    }
}
