/* SPDX-License-Identifier: MIT */
/*
 * event.pml - prepare, look, wait against change, notify; and a semaphore
 *
 * Read beside docs/sync.md, sections Event and Semaphore. The word is in event_word.pml.
 *
 * Modelled:
 * - without SEMAPHORE: a number that the waiters read. One notifier changes it CHANGES times, and
 *   notifies all; the other notifies one or all for nothing, NOTHINGS times (one: that clears WAITED
 *   when nobody sleeps). A waiter waits until the number is another than it was, again and again, and may
 *   leave whenever it has seen a change. A change is a plain store: it waits in the notifier's store
 *   buffer for any time, until the fence;
 * - with SEMAPHORE: each notifier posts CHANGES units, each waiter takes as many. Value and word are
 *   moved by read-modify-writes alone. A post wakes one or all: it follows a hint, which may be wrong;
 * - KILLS, STOPS of waiters and notifiers at any step; waits that end for nothing (SLICES a waiter);
 *   and the end of a slice, when nobody can do anything else.
 *
 * Checked: E1, S1, S2: whose wait ends by a slice although what it waits for is there, was to be
 * woken by one that is dead or stopped; nobody stays asleep while it is there.
 *
 * Left out: the count that comes round; deadlines (a wait that ends for nothing, and then leaves).
 */

#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef NOTHINGS
#define NOTHINGS 1
#endif

#ifdef SEMAPHORE

byte value;
byte posted, taken; /* for the assertions alone */

#define READY(me) (value > 0)

#else

/* As seen by all, and as stored by its notifier. */
byte number, own_number;

byte last[2]; /* what a waiter has seen */
#define READY(me) (number != last[me])

#endif

#define IS_BLOCKED false

#include "event_word.pml"

#ifdef SEMAPHORE
inline take(me)
{
    atomic {
        owes[me] = false;
        if
        :: value > 0 ->
            value--;
            taken++;
            assert(taken <= posted); /* S1 */
            got++;
            ticket = 0;
            goto next
        :: value == 0
        fi
    }
}
#define LOOK(me) take(me)
#else
inline look(me)
{
    atomic {
        owes[me] = false;
        if
        :: number != last[me] -> last[me] = number; ticket = 0; goto next
        :: number == last[me]
        fi
    }
}
#define LOOK(me) look(me)
#endif

proctype waiter(byte me)
{
    byte ticket, slices, early;
#ifdef SEMAPHORE
    byte got;
#endif

    {
        skip;
        goto again;
next:
#ifdef SEMAPHORE
        if
        :: got == CHANGES -> goto done
        :: got < CHANGES
        fi;
#else
        if
        :: goto done
        :: goto again
        fi;
#endif
again:
        LOOK(me);
#ifdef MUTANT_LOOK_BEFORE_BIT
        LOOK(me);
        prepare();
#else
        prepare();
        LOOK(me);
#endif
        wait(me);
done:
        skip
    } unless {
        d_step {
            IS_OUT(me) ->
            ticket = 0;
            slices = 0;
            early = 0;
#ifdef SEMAPHORE
            got = 0;
#endif
        }
    }
}

#ifdef SEMAPHORE
#define ROUNDS(me) CHANGES
#else
#define ROUNDS(me) ((me) == 2 -> CHANGES : NOTHINGS)
#endif

proctype notifier(byte me)
{
    byte now, changes;

    {
        do
        :: changes == ROUNDS(me) -> break
        :: changes < ROUNDS(me) ->
#ifdef SEMAPHORE
#ifdef MUTANT_LOOK_BEFORE_POST
            now = event;
#endif
            d_step { changes++; value++; posted++; owes[me] = true };
#ifdef MUTANT_LOOK_BEFORE_POST
            if
            :: now & WAITED -> notify(false)
            :: else -> now = 0
            fi;
#else
            if
            :: notify(false)
            :: notify(true)
            fi;
#endif
            owes[me] = false
#else
            d_step { changes++; owes[me] = true };
            if
            :: me == 2 ->
                own_number++;
#ifndef MUTANT_NO_FENCE
                number = own_number;
#endif
                notify(true)
            :: me == 3 -> notify(false)
            :: me == 3 -> notify(true)
            fi;
            owes[me] = false
#endif
        od
    } unless { d_step { IS_OUT(me) -> now = 0; changes = 0 } }
}

#ifndef SEMAPHORE
proctype memory()
{
end:
    do
    :: d_step { number != own_number -> number++ }
    od
}
#endif

init
{
    atomic {
        run waiter(0);
        run waiter(1);
        run notifier(2);
        run notifier(3);
        run undertaker();
#if KILLS + STOPS > 0
        run kernel();
#endif
#ifndef SEMAPHORE
        run memory()
#endif
    }
}
