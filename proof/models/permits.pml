/* SPDX-License-Identifier: MIT */
/*
 * permits.pml - permits that come back from the dead: take, try, deadline, release; who is woken
 *
 * Read beside docs/sync.md, section Permits, and src/sync/permits.[ch], src/sync/await.h: names are
 * the same. The event's word is in event_word.pml.
 *
 * Modelled:
 * - three processes, and PERMITS permits, fewer. Each process takes one and releases it, TAKES times. Every
 *   load, verdict and compare-and-swap of each permit is a step of its own, so that each may be
 *   stopped between any two, and go on at any later time. Each begins its search at another place;
 * - deadlines (DEADLINES): who tries, or whose time is over, asks once more, and goes;
 * - KILLS, STOPS of processes at any step, with a permit or without; the kernel's verdict comes at
 *   any time after the kill; waits that end for nothing (SLICES a process); and the end of a slice, when
 *   nobody can do anything else.
 *
 * Checked: P1, P2: who takes a permit takes a free one, or a dead one's, and is told which; whoever
 * lives finds his permit to be his when he releases it; P3: whose wait ends by a slice although a
 * permit is free was to be woken by one that is dead or stopped; nobody stays asleep but when all
 * permits are held by stopped ones; none is lost.
 *
 * Left out: glancing (a look more), several threads of a process (a permit is the process's),
 * identities that come round, the name beside the word, memory order: permits and the event's word
 * are moved by read-modify-writes alone, and MUTANT_LOOK_BEFORE_RELEASE is a store that is delayed.
 */

#ifndef PERMITS
#define PERMITS 1
#endif
#ifndef TAKES
#define TAKES 1
#endif
#ifndef DEADLINES
#define DEADLINES false
#endif

#define WAITERS 3
#define READY(me) false /* that wait is another's */
#define IS_BLOCKED false

#include "event_word.pml"

/* Who holds it, and 1; 0: nobody. */
byte permit[PERMITS];

/* For the assertions alone: the same, as those know it whose calls have returned. */
byte held[PERMITS];

#ifdef MUTANT_STOPPED_IS_DEAD
#define DEAD(word) (verdict[(word) - 1] || stopped[(word) - 1])
#else
#define DEAD(word) (verdict[(word) - 1])
#endif

#define IS_FREE(i) (permit[i] == 0)
#define IS_DEAD_ONES(i) (permit[i] != 0 && killed[permit[i] - 1])
#define IS_STOPPED_ONES(i) (permit[i] != 0 && stopped[permit[i] - 1])
#if PERMITS > 1
#define ANY(what) (what(0) || what(1))
#define ALL(what) (what(0) && what(1))
#else
#define ANY(what) what(0)
#define ALL(what) what(0)
#endif

/* The take call has it. */
inline took(me, told)
{
    assert(held[at] == 0 || killed[held[at] - 1]); /* P1 */
    assert(told == (held[at] != 0));
    held[at] = me + 1;
    owes[me] = false;
    tries = 0;
    ticket = 0;
    is_late = false
}

inline take_free(me)
{
    at = me % PERMITS;
    do
    :: tries == PERMITS -> d_step { tries = 0; at = 0; owes[me] = false }; break
    :: tries < PERMITS ->
        if
        :: permit[at] != 0
        :: permit[at] == 0 ->
            atomic {
                if
#ifdef MUTANT_PLAIN_TAKE
                :: true ->
#else
                :: permit[at] != 0
                :: permit[at] == 0 ->
#endif
                    permit[at] = me + 1;
                    took(me, false);
                    goto taken
                fi
            }
        fi;
        d_step { tries++; at = (at + 1) % PERMITS }
    od
}

inline take_dead(me)
{
    do
    :: at == PERMITS -> break
    :: at < PERMITS ->
        atomic {
            if
            :: permit[at] != 0 && DEAD(permit[at]) -> seen = permit[at]
            :: else
            fi
        };
        atomic {
            if
            :: seen == 0
#ifdef MUTANT_PLAIN_INHERIT
            :: seen != 0 ->
#else
            :: seen != 0 && permit[at] != seen -> seen = 0
            :: seen != 0 && permit[at] == seen ->
#endif
                seen = 0;
                permit[at] = me + 1;
                took(me, true);
                goto taken
            fi;
            at++
        }
    od;
    at = 0
}

proctype process(byte me)
{
    byte takes, at, tries, seen, now, ticket, slices, early;
    bool is_late;

    {
        skip;
next:
        if
        :: takes == TAKES -> goto done
        :: takes < TAKES -> takes++
        fi;
again:
        if
        :: true
        :: DEADLINES -> is_late = true; goto ask
        fi;
        take_free(me);
        prepare();
#ifndef MUTANT_LOOKS_ONCE
        take_free(me);
#endif
        atomic {
            if
            :: event == ticket -> asleep[me] = true; ticket = 0
            :: event != ticket -> ticket = 0; goto again
            fi
        };
        if
        :: true
        :: slices < SLICES -> d_step { slices++; early = 1 }
        :: DEADLINES -> early = 2
        fi;
        if
        :: !asleep[me] && early == 0 -> goto again
        :: !asleep[me] && early == 1 -> early = 0
        :: !asleep[me] && early == 2 -> early = 0; is_late = true
        :: d_step { early == 1 && asleep[me] -> early = 0; asleep[me] = false }
        :: d_step { early == 2 && asleep[me] -> early = 0; asleep[me] = false; is_late = true }
        :: timeout ->
            atomic {
                if
                :: ANY(IS_FREE) -> assert(IS_EXCUSED) /* P3 */
                :: !ANY(IS_FREE) && ANY(IS_DEAD_ONES)
                :: !ANY(IS_FREE) && !ANY(IS_DEAD_ONES) -> assert(ALL(IS_STOPPED_ONES)); goto done
                fi;
                early = 0;
                asleep[me] = false
            }
        fi;
ask:
        take_free(me);
        take_dead(me);
        if
        :: is_late -> is_late = false; goto next
        :: else -> goto again
        fi;
taken:
#ifdef MUTANT_LOOK_BEFORE_RELEASE
        now = event;
#endif
        atomic {
            assert(permit[at] == me + 1 && held[at] == me + 1); /* P2 */
            permit[at] = 0;
            held[at] = 0;
            at = 0;
            owes[me] = true
        };
#ifdef MUTANT_LOOK_BEFORE_RELEASE
        if
        :: now & WAITED -> notify(false)
        :: else -> now = 0
        fi;
#else
        notify(false);
#endif
        owes[me] = false;
        goto next;
done:
        skip
    } unless {
        d_step {
            IS_OUT(me) ->
            takes = 0; at = 0; tries = 0; seen = 0; now = 0; ticket = 0; slices = 0; early = 0;
            is_late = false
        }
    }
}

init
{
    atomic {
        run process(0);
        run process(1);
        run process(2);
#if KILLS + STOPS > 0
        run kernel();
#endif
        run undertaker()
    }
}
