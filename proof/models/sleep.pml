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
 *   credit meanwhile) with a new page and epoch: DETACHES times, 0 or 1. It claims, raises `changes`,
 *   shows its page and raises again, attaches, and may sleep at once; the publisher reads `changes` after
 *   its commit, and not the slot;
 * - a publisher that has room from before (a loan) and looks who is there before it commits: it
 *   finds one that has shown no page yet, and whose epoch it cannot read;
 * - a side that does other things for ever, alive and listed, after any message;
 * - a wait that returns for nothing (a signal, a slice): SPURIOUS times a side, at any time;
 * - the end of a slice: when nobody can do anything else. A sleeper that then finds what it
 *   waits for, while the other side runs, has lost a wake: I6 fails;
 * - at any step either side may be killed, or stopped for ever; the verdict of death comes
 *   after the kill, when all that the dead one stored is visible.
 *
 * DESCRIPTOR: the subscriber lives on poll alone, and a ring of io_uring waits in its place.
 * - A wait hears the rings of its epoch's bit, of BITS bits, so that they come round. A ring is
 *   an add and, any time later, a wake: it may be late by many epochs.
 * - Nobody looks between a ring and poll: whoever wakes the wait makes the descriptor readable.
 * - Arming is three steps: the new wait in place of the former; the descriptor cleared; whether
 *   the wait is over already.
 * - The end of a slice is that of the thread beside the ring, which looks. SPURIOUS is a call
 *   that nothing has asked for.
 * Checked besides I6: who polls and is told finds something; or the ring was for its epoch or
 * one BITS, twice BITS... before (so with BITS above all epochs: for its own), and each ring
 * costs two calls in vain at most. CLAIM_NO_LATE and CLAIM_EXACT say more, and must fail.
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

/* Of how many bits is that of an epoch. */
#ifndef BITS
#define BITS 2
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

/* DESCRIPTOR: the wait of the kernel, and the eventfd. */
bool waits_on; /* the wait is not over */
byte waits_for; /* its epoch */
bool readable;
byte rung_for; /* the epoch of the ring that made it so, or EVERY */

byte fate[2];
bool verdict[2];

/* For the assertions alone. */
bool idle[2];  /* alive, and busy elsewhere for ever */
byte rings[2]; /* that were given to a side because of its epoch */
byte waits[2]; /* epochs that a side took */

/* A subscriber that has come back has a new page, with an epoch of its own. The publisher
 * reads the epoch in the page that it found at its last look. */
byte old_page_epoch;
byte changes, changes_seen; /* of the directory; as the publisher knows it */
bool sub_is_new;            /* it has claimed anew */
bool sub_is_shown;          /* its new page is */
bool pub_found, pub_met;    /* the publisher knows of the new owner; of its page */

inline flush(side)
{
    data[side] = own_data[side];
    epoch[side] = own_epoch[side];
    if
    :: side == PUB -> ended = own_ended
    :: else
    fi
}

/* A ring that follows from no epoch. */
#define EVERY 255
#ifdef MUTANT_WAKE_ALL
#define HEARS(cause) true
#else
#define HEARS(cause) (cause == EVERY || cause % BITS == waits_for % BITS)
#endif

inline ring(to, cause)
{
    d_step { flush(OTHER(to)); doorbell[to]++ };
    d_step { /* futex_wake */
        asleep[to] = false;
        if
        :: to == SUB && waits_on && HEARS(cause) ->
            waits_on = false;
            readable = true;
            rung_for = cause
        :: else
        fi
    }
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

/* What may be said of a descriptor that became readable. */
#if defined(CLAIM_EXACT)
#define MAY_TELL SUB_SEES
#elif defined(CLAIM_NO_LATE)
#define MAY_TELL (SUB_SEES || rung_for == waits_for)
#else
#define MAY_TELL (SUB_SEES || (rung_for != EVERY && rung_for % BITS == waits_for % BITS))
#endif

/* The new wait in place of the former; over at once if the doorbell has been rung. */
inline place_wait()
{
    atomic {
        waits_for = own_epoch[SUB];
        waits_on = doorbell[SUB] == bell;
        bell = 0
    }
}

/* A call found nothing: arms, and polls. Returns when there may be something. */
inline arm_and_poll()
{
    bell = doorbell[SUB];
#ifdef MUTANT_FORMER_EPOCH
    place_wait();
#endif
    take_epoch(SUB);
    /* Nobody calls for ever: a call before this one found a message, or was told by a ring. */
    assert(waits[SUB] <= 1 + SPURIOUS + own_data[SUB] + 2 * doorbell[SUB]);
    barrier(SUB);
#ifndef MUTANT_FORMER_EPOCH
    place_wait();
#endif
    readable = false;
#ifndef MUTANT_CLEAR_UNSEEN
    if
    :: !waits_on -> goto again
    :: else
    fi;
#endif
#ifndef MUTANT_NO_LOOK
    if
    :: SUB_SEES -> goto again
    :: else
    fi;
#endif
    if
    :: readable -> assert(MAY_TELL)
    :: spurious < SPURIOUS -> spurious++
    :: timeout ->
        /* I6, as in wait(). */
        assert(fate[PUB] != RUNS || (idle[PUB] && !SUB_SEES));
        if
        :: SUB_SEES /* the thread has looked */
        :: else -> goto done
        fi
    fi
}

/* Of one that was found and not met there is no epoch to read. */
#define EPOCH_READ(me)                                                                             \
    ((me) == PUB && sub_is_new && !pub_met -> (pub_found -> rung : old_page_epoch)                 \
                                           : epoch[OTHER(me)])
#ifdef MUTANT_FOUND_IS_KNOWN
#define IS_NEWCOMER (sub_is_new && !pub_found)
#else
#define IS_NEWCOMER (sub_is_new && !pub_met)
#endif

/* Waking, after the commit (6) or the cursor. */
inline wake(me)
{
    if
    :: WAKER_FENCES(me) -> d_step { flush(me) }
    :: else
    fi;
    if
#ifndef MUTANT_NO_CHANGES_LOOK
    /* Somebody has come since the last look: ring who was not met, and look at the next record. */
    :: me == PUB && changes != changes_seen ->
        limit = 0;
        if
        :: IS_NEWCOMER -> ring(SUB, EVERY)
        :: else
        fi;
        goto again
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
        ring(OTHER(me), rung)
    :: else -> seen = 0
    fi
}

inline leave(me)
{
    d_step { flush(me); listed[me] = false };
#ifndef MUTANT_LEAVE_WITHOUT_RING
    ring(OTHER(me), EVERY)
#endif
}

/* A look: whoever has raised `changes` is found, and met if its page is there. */
inline meet()
{
    if
    :: changes != changes_seen ->
        changes_seen = changes;
        pub_found = true
    :: else
    fi;
    if
    :: pub_found && sub_is_shown && !pub_met -> pub_met = true; rung = 0
    :: else
    fi
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
        /* A loan is out, and it looks who is there: whoever has raised `changes` is found. */
        :: own_data[PUB] < MESSAGES && own_data[PUB] < limit && changes != changes_seen ->
            d_step { meet() }
        :: own_data[PUB] < MESSAGES && own_data[PUB] >= limit ->
            if
            :: !listed[SUB] || verdict[SUB] -> goto end_of_stream
            :: ROOM_SEEN ->
                /* The look by itself: what has changed since gives no credit. */
                d_step {
                    meet();
                    limit = (attached -> data[SUB] + ROOM : 0)
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
#ifdef DESCRIPTOR
            arm_and_poll();
#else
            wait(SUB);
#endif
            goto again
        :: own_data[SUB] > 0 -> idle[SUB] = true; goto done
        :: true -> goto gone
        :: detaches < DETACHES ->
            /* Leaves and comes back: a read-modify-write on the slot each time, and a ring. */
            d_step { flush(SUB); detaches++; attached = false };
            ring(PUB, EVERY);
            d_step { flush(SUB); sub_is_new = true; old_page_epoch = epoch[SUB] }; /* claim */
            changes++;
            d_step { /* show: a new page */
                own_epoch[SUB] = 0;
                epoch[SUB] = 0;
                sub_is_shown = true;
                changes++
            };
            d_step { flush(SUB); attached = true };
            ring(PUB, EVERY);
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
