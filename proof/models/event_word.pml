/* SPDX-License-Identifier: MIT */
/*
 * event_word.pml - the event's word and its futex, for event.pml, condition.pml, permits.pml, barrier.pml
 *
 * Read beside docs/sync.md, section Event, and src/sync/event.[ch]: names are the same. Two waiters
 * and two notifiers, or three that are both, each a process of its own; each step may be followed by
 * a stop of any length.
 * A compare-and-swap that is tried until it succeeds is one step.
 */

#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef SLICES
#define SLICES 0
#endif

/* Waiters are 0 and 1, notifiers 2 and 3; or, where WAITERS is 3, all are both. */
#ifdef WAITERS
#define ACTORS 3
#else
#define WAITERS 2
#define ACTORS 4
#endif

#define WAITED 1 /* and the count above it */

byte event;
bool asleep[WAITERS];
bool killed[ACTORS];
bool verdict[ACTORS];
bool stopped[ACTORS];

/*
 * For the assertions alone: a notifier owes from its change to the end of its wakes; a waiter that
 * was woken as the only one, until it has looked.
 */
bool owes[ACTORS];

#define IS_OUT(actor) (killed[actor] || stopped[actor])
#define OWED_BY(actor) (owes[actor] && IS_OUT(actor))
#if ACTORS > 3
#define IS_EXCUSED (OWED_BY(0) || OWED_BY(1) || OWED_BY(2) || OWED_BY(3))
#else
#define IS_EXCUSED (OWED_BY(0) || OWED_BY(1) || OWED_BY(2))
#endif

inline prepare()
{
    d_step {
        ticket = event | WAITED;
        event = ticket
    }
}

/* Goes to the label again when it was woken, or need not sleep. */
inline wait(me)
{
#ifdef MUTANT_TICKET_LATE
    ticket = event | WAITED;
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
    fi;
    if
    :: !asleep[me] -> early = 0; goto again
    :: d_step { early && asleep[me] -> early = 0; asleep[me] = false }; goto again
    :: timeout ->
        if
        :: READY(me) && !IS_BLOCKED ->
            assert(IS_EXCUSED);
            asleep[me] = false;
            goto again
        :: !READY(me) || IS_BLOCKED -> goto done
        fi
    fi
}

inline wake_all()
{
    atomic {
        asleep[0] = false;
#if WAITERS > 2
        asleep[2] = false;
#endif
        asleep[1] = false
    }
}

/* The second half of notify, is_all: notify_all. now is the notifier's own. */
inline notify(is_all)
{
    now = event;
    if
    :: now & WAITED ->
#ifdef MUTANT_WAKE_BEFORE_COUNT
        wake_all();
#endif
        atomic { /* count_on() */
            if
            :: !(event & WAITED) -> now = 0
            :: (event & WAITED) && is_all -> event = event + 1; now = event
            :: (event & WAITED) && !is_all -> event = event + 2; now = event
            fi
        };
#ifdef MUTANT_WAKE_BEFORE_COUNT
        now = 0;
#endif
        if
        :: now && is_all -> wake_all()
        :: now && !is_all ->
            atomic { /* the kernel wakes one, and says whether there was one */
                if
                :: asleep[0] -> asleep[0] = false; owes[0] = true; now = 0
                :: asleep[1] -> asleep[1] = false; owes[1] = true; now = 0
#if WAITERS > 2
                :: asleep[2] -> asleep[2] = false; owes[2] = true; now = 0
                :: !asleep[0] && !asleep[1] && !asleep[2]
#else
                :: !asleep[0] && !asleep[1]
#endif
                fi
            };
            if
            :: now ->
                atomic {
                    if
#ifdef MUTANT_CLEAR_KEEPS_COUNT
                    :: event == now -> event = event - 1
#else
                    :: event == now -> event = event + 1
#endif
                    :: event != now -> now = 0
                    fi
                };
                if
#ifndef MUTANT_NO_SECOND_WAKE
                :: now -> wake_all()
#endif
                :: else
                fi
            :: !now
            fi
        :: !now
        fi
    :: else
    fi;
    now = 0
}

inline kill(actor)
{
    d_step { !killed[actor] -> killed[actor] = true }
}

inline stop(actor)
{
    d_step { !killed[actor] && !stopped[actor] -> stopped[actor] = true }
}

proctype kernel()
{
    byte kills, stops;

    do
    :: kills < KILLS ->
        kills++;
        if
        :: kill(0)
        :: kill(1)
        :: kill(2)
#if ACTORS > 3
        :: kill(3)
#endif
        fi
    :: stops < STOPS ->
        stops++;
        if
        :: stop(0)
        :: stop(1)
        :: stop(2)
#if ACTORS > 3
        :: stop(3)
#endif
        fi
    :: true -> break
    od
}

/* A killed one is torn down: off the futex's list, and dead for everybody. */
proctype undertaker()
{
end:
    do
    :: d_step { killed[0] && !verdict[0] -> verdict[0] = true; asleep[0] = false }
    :: d_step { killed[1] && !verdict[1] -> verdict[1] = true; asleep[1] = false }
#if WAITERS > 2
    :: d_step { killed[2] && !verdict[2] -> verdict[2] = true; asleep[2] = false }
#else
    :: d_step { killed[2] && !verdict[2] -> verdict[2] = true }
    :: d_step { killed[3] && !verdict[3] -> verdict[3] = true }
#endif
    od
}
