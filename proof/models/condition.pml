/* SPDX-License-Identifier: MIT */
/*
 * condition.pml - wait and signal, broadcast, on top of a mutex and the event
 *
 * Read beside docs/sync.md, section Condition: the steps have the same numbers. The event's word is
 * in event_word.pml. The mutex is one word here (mutex.pml is about its own): free, or held; a
 * dead holder's goes to the next, who says at once that it is consistent.
 *
 * Modelled:
 * - without BROADCAST: each signaller puts CHANGES units into the state that the mutex guards, and
 *   signals, with the mutex or after it; each waiter takes as many;
 * - with BROADCAST: one signaller raises a number CHANGES times, and broadcasts; the other signals
 *   for nothing, as often. A waiter waits until the number is another than it was, again and again;
 * - KILLS, STOPS of waiters and signallers at any step, with the mutex or without; waits that end
 *   for nothing (SLICES a waiter); and the end of a slice, when nobody can do anything else.
 *
 * Checked: C1: whose wait ends by a slice although the state is as it wants it, was to be woken by
 * one that is dead or stopped; nobody waits for ever but for a stopped holder.
 */

#ifndef CHANGES
#define CHANGES 2
#endif

/* What the mutex guards: units, or a number. */
byte state;
#ifdef BROADCAST
byte last[2]; /* the number that a waiter has seen */
#define READY(me) (state != last[me])
#else
#define READY(me) (state > 0)
#endif

byte mutex; /* its holder, counted from 1 */
/* Nobody can look before a stopped holder goes on. */
#define IS_BLOCKED (mutex != 0 && stopped[mutex - 1])

#include "event_word.pml"

inline lock(me)
{
    if
    :: atomic { mutex == 0 -> mutex = me + 1 }
    :: atomic { mutex != 0 && verdict[mutex - 1] -> mutex = me + 1 }
    :: timeout -> assert(stopped[mutex - 1]); goto done
    fi
}

inline unlock(me)
{
    d_step {
        assert(mutex == me + 1);
        mutex = 0
    }
}

proctype waiter(byte me)
{
    byte ticket, slices, early, got;

    {
        skip;
again:
        lock(me); /* 5 */
next:
        atomic { /* 1 */
            owes[me] = false;
            if
#ifdef BROADCAST
            :: READY(me) -> last[me] = state; goto taken
#else
            :: READY(me) -> state--; goto taken
#endif
            :: !READY(me)
            fi
        };
#ifdef MUTANT_UNLOCK_BEFORE_PREPARE
        unlock(me);
        prepare();
#else
        prepare(); /* 2 */
        unlock(me); /* 3 */
#endif
        wait(me); /* 4 */
taken:
        got++;
        if
        :: got < CHANGES -> goto next
        :: got == CHANGES
#ifdef BROADCAST
        :: got < CHANGES
#endif
        fi;
        unlock(me);
done:
        skip
    } unless {
        d_step {
            IS_OUT(me) ->
            ticket = 0;
            slices = 0;
            early = 0;
            got = 0
        }
    }
}

proctype signaller(byte me)
{
    byte now, changes;

    {
        do
        :: changes == CHANGES -> break
        :: changes < CHANGES ->
            changes++;
#ifdef BROADCAST
            if
            :: me == 3 ->
                owes[me] = true;
                notify(false);
                owes[me] = false
            :: me == 2 ->
                lock(me);
                d_step { state++; owes[me] = true };
                unlock(me);
                notify(true);
                owes[me] = false
            fi
#elif defined(MUTANT_SIGNAL_BEFORE_CHANGE)
            notify(false);
            lock(me);
            state++;
            unlock(me)
#elif defined(MUTANT_CHANGE_WITHOUT_MUTEX)
            state++;
            notify(false)
#else
            lock(me);
            d_step { state++; owes[me] = true };
            if
            :: notify(false);
                owes[me] = false;
                unlock(me)
            :: unlock(me);
                notify(false);
                owes[me] = false
            fi
#endif
        od;
done:
        skip
    } unless { d_step { IS_OUT(me) -> now = 0; changes = 0 } }
}

init
{
    atomic {
        run waiter(0);
        run waiter(1);
        run signaller(2);
        run signaller(3);
#if KILLS + STOPS > 0
        run kernel();
#endif
        run undertaker()
    }
}
