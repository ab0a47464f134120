/* SPDX-License-Identifier: MIT */
/*
 * latest_wait.pml - who waits for a newer latest value, and the writer that wakes it
 *
 * Read beside docs/latest.md, section Waiting: the numbers of the steps are the same.
 *
 * Modelled:
 * - a writer of VERSIONS values, which may stop writing after any; its index becomes visible at any later
 *   time, one after the other; an exchange, a fence, a wake, and a membarrier of who waits make it so at once.
 *   It may be followed by another before each, which knows nothing of what it owed;
 * - WAITERS, each of which waits once for a version above any number that the writer may go beyond: the one that
 *   is there, an older one, or one that is yet to come;
 * - the low half of the index as the futex: compared and slept on in one step;
 * - a wait that returns for nothing (a signal, a slice), SPURIOUS times a waiter, at any time;
 * - the end of a slice: when nobody can do anything else. Who sleeps then, with what it waits for there, has lost a
 *   wake; so has one that sleeps, while the writer is between two values, no bit stands for it and no wake is owed
 *   (the next value would not wake it).
 *
 * NEEDS_FENCE: who waits cannot call membarrier, and the writer, which has seen that, fences.
 *
 * Not modelled: the values (latest.pml), death (a slice, and then the kernel is asked), the moment at which the writer
 * learns that it has to fence (a slice makes it good), an index whose low half comes round.
 */

#ifndef VERSIONS
#define VERSIONS 3
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif

/* As seen by all, and as stored by the writer: what differs is in its buffer. */
byte index, own_index;
bool watch;

bool asleep[WAITERS];
bool at_it; /* the writer, in a call */
bool owes = true; /* must_wake */

inline flush()
{
    index = own_index
}

inline wake_all()
{
    d_step {
        flush();
        i = 0;
        do
        :: i < WAITERS -> asleep[i] = false; i++
        :: else -> break
        od;
        i = 0
    }
}

proctype writer()
{
    bool now;
    byte i;

    do
    :: own_index < VERSIONS ->
        at_it = true;
        if
        :: true
        :: true -> /* another one */
            d_step {
                flush();
#ifdef MUTANT_OWES_NOTHING
                owes = false
#else
                owes = true
#endif
            }
        fi;
        own_index++;
#ifdef NEEDS_FENCE
        d_step { flush() };
#endif
        now = watch;
        if
        :: now || owes ->
            d_step {
                flush();
                owes = watch;
#ifdef MUTANT_BIT_TAKEN_LATE
                owes = false;
#endif
                watch = false
            };
            wake_all()
        :: else
        fi;
        d_step { now = false; at_it = false }
    :: own_index > 0 -> break
    od
}

proctype memory()
{
end:
    do
    :: d_step { index != own_index -> index++ }
    od
}

inline barrier()
{
#if !defined(MUTANT_NO_MEMBARRIER) && !defined(NEEDS_FENCE)
    d_step { flush() }
#else
    skip
#endif
}

proctype waiter(byte me)
{
    byte newer_than, before, found, spurious;

    do
    :: newer_than + 1 < VERSIONS -> newer_than++
    :: break
    od;
    do
    :: index > newer_than -> break
    :: else ->
#ifdef MUTANT_LOOKS_LATE
        watch = true;
        before = index;
#else
        before = index; /* 1 */
        watch = true;   /* 2 */
#endif
        barrier();      /* 3 */
        found = index;  /* 4 */
        if
        :: found > newer_than -> break
        :: else
        fi;
#ifdef MUTANT_SLEEPS_ON_FOUND
        before = found;
#endif
        atomic { /* 5 */
            asleep[me] = index == before;
            before = 0;
            found = 0
        };
        if
        :: !asleep[me]
        :: spurious < SPURIOUS -> d_step { spurious++; asleep[me] = false }
        :: timeout ->
            assert(index <= newer_than);
            assert(at_it || watch || owes);
            asleep[me] = false;
            break
        fi
    od
}

init
{
    byte n;
    atomic {
        run writer();
        run memory();
        do
        :: n < WAITERS -> run waiter(n); n++
        :: else -> break
        od
    }
}
