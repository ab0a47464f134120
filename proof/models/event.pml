/* SPDX-License-Identifier: MIT */
/*
 * event.pml - prepare, look, wait against change, notify
 *
 * Read beside docs/sync.md, section Event. The word is in event_word.pml.
 *
 * Modelled:
 * - a number that the waiters read. One notifier changes it CHANGES times, and
 *   notifies all; the other notifies one or all for nothing, NOTHINGS times (one: that clears WAITED
 *   when nobody sleeps). A waiter waits until the number is another than it was, again and again, and may
 *   leave whenever it has seen a change. A change is a plain store: it waits in the notifier's store
 *   buffer for any time, until the fence;
 * - KILLS, STOPS of waiters and notifiers at any step; waits that end for nothing (SLICES a waiter);
 *   and the end of a slice, when nobody can do anything else.
 *
 * Checked: E1: whose wait ends by a slice although what it waits for is there, was to be
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

/* As seen by all, and as stored by its notifier. */
byte number, own_number;

byte last[2]; /* what a waiter has seen */
#define READY(me) (number != last[me])

#define IS_BLOCKED false

#include "event_word.pml"

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

proctype waiter(byte me)
{
    byte ticket, slices, early;

    {
        skip;
        goto again;
next:
        if
        :: goto done
        :: goto again
        fi;
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
            early = 0
        }
    }
}

#define ROUNDS(me) ((me) == 2 -> CHANGES : NOTHINGS)

proctype notifier(byte me)
{
    byte now, changes;

    {
        do
        :: changes == ROUNDS(me) -> break
        :: changes < ROUNDS(me) ->
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
        od
    } unless { d_step { IS_OUT(me) -> now = 0; changes = 0 } }
}

proctype memory()
{
end:
    do
    :: d_step { number != own_number -> number++ }
    od
}

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
        run memory()
    }
}
