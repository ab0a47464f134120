/* SPDX-License-Identifier: MIT */
/*
 * mutex.pml - the mutex's word, its futex, its thread; hand-over, inheritance, giving up
 *
 * Read beside docs/sync.md, section Mutex, and src/sync/mutex.c: names are the same.
 *
 * Modelled:
 * - ACTORS threads of as many processes, or of two (TWO_THREADS: the second process has two). Each
 *   locks ROUNDS times, or asks without holding it whether it does, as unlock and consistent ask;
 * - every load, verdict, compare-and-swap, store, exchange and system call is a step of its own, so
 *   that each may be stopped between any two, and go on at any later time;
 * - the futex: compared and slept on in one step (the word, or its half); a wake takes one, perhaps
 *   one that is dying;
 * - slices that end early (SLICES an actor), and, when nobody can do anything else, the end of a
 *   slice: then there must be a reason for it, see below;
 * - deadlines (DEADLINES): who tries, or whose time is over, asks once for the holder, and goes;
 * - KILLS processes killed at any step, with all their threads; the kernel's verdict comes at any
 *   time after the kill. STOPS processes stopped for ever at any step. DEAD_HOLDER: one more has
 *   died with the lock before.
 *
 * Checked: M1; a holder's death is told to every next holder until one has said that it is
 * consistent; given up is for ever; who does not hold it never finds that it does, who holds it
 * always does; M2: a slice is needed only where the holder is dead, or where a dead or stopped one
 * owed a wake. It owes one from its exchange to its wake, and from being woken until it has taken
 * the lock, or has seen or set WAITED. Nobody stays asleep but behind a stopped holder.
 *
 * Left out: spinning (a look more), recursion (depth is the holder's own), identities that come
 * round, owned.name (which uid is asked for), memory order but for the loads of word and thread,
 * which pass one another: word is moved by read-modify-writes alone, thread is written by the holder,
 * and cleared before a release.
 */

#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SLICES
#define SLICES 0
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef DEADLINES
#define DEADLINES false
#endif

#define ACTORS 3
#ifdef TWO_THREADS
#define PROCESSES 2
#define PROCESS(actor) ((actor) == 0 -> 0 : 1)
#else
#define PROCESSES 3
#define PROCESS(actor) (actor)
#endif
/* What stands in thread: another one for each thread of each process. */
#ifdef MUTANT_SAME_NUMBERS
#define NUMBER(actor) ((actor) == 2 -> 2 : 1)
#else
#define NUMBER(actor) ((actor) + 1)
#endif

#define WAITED 1
#define INHERITED 2
#define LOST 4
#define OWNER(word) ((word) / 8)
#define MINE(me) (8 * (PROCESS(me) + 1))
/* What the futex compares. ALIKE: owners differ in the other half only. */
#ifdef ALIKE
#define HALF(word) ((word) % 8)
#else
#define HALF(word) (word)
#endif
#define DEAD(word) (verdict[OWNER(word) - 1])

byte word;
byte thread;

bool asleep[ACTORS];
bool killed[PROCESSES + 1]; /* the last one: DEAD_HOLDER */
bool verdict[PROCESSES + 1];
bool stopped[PROCESSES];

/* For the assertions alone. */
bool holds[ACTORS];
bool owes[ACTORS];
bool damaged;  /* a holder has died, and nobody has said since that it is consistent */
bool given_up;

#define LIVES(actor) (!killed[PROCESS(actor)])
#define IS_HELD ((holds[0] && LIVES(0)) || (holds[1] && LIVES(1)) || (holds[2] && LIVES(2)))
#define IS_OUT(actor) (killed[PROCESS(actor)] || stopped[PROCESS(actor)])
#define OWED_BY(actor) (owes[actor] && IS_OUT(actor))
#define IS_EXCUSED (OWED_BY(0) || OWED_BY(1) || OWED_BY(2))

/* The lock call has the lock. */
inline took(me, told)
{
    assert(!IS_HELD); /* M1 */
    assert(!given_up);
    assert(told || !damaged);
    holds[me] = true;
    owes[me] = false
}

inline wake_one()
{
    if
    :: asleep[0] -> asleep[0] = false; owes[0] = true
    :: asleep[1] -> asleep[1] = false; owes[1] = true
    :: asleep[2] -> asleep[2] = false; owes[2] = true
    :: !asleep[0] && !asleep[1] && !asleep[2]
    fi
}

inline wake_all()
{
    asleep[0] = false;
    asleep[1] = false;
    asleep[2] = false
}

/* Two loads, in either order: does this thread find that it holds it? LOADS_TOGETHER: in one step. */
#ifdef LOADS_TOGETHER
#define LOADS atomic
#else
#define LOADS
#endif
inline ask(me)
{
#if defined(TWO_THREADS) && !defined(LOADS_TOGETHER)
    if
    :: number = thread
    :: true
    fi;
#endif
    LOADS {
        seen = word;
        if
        :: OWNER(seen) - 1 == PROCESS(me) ->
            d_step {
                if
                :: number == 0 -> number = thread
                :: else
                fi;
                assert(number != NUMBER(me) || holds[me]);
                number = 0
            }
        :: OWNER(seen) - 1 != PROCESS(me) -> number = 0
        fi
    }
}

proctype actor(byte me)
{
    byte round, seen, number, waited, slices, early;

    {
        skip;
next:
        atomic { seen = 0; waited = 0 };
        if
        :: round == ROUNDS -> goto done
        :: round < ROUNDS -> round++
        :: round < ROUNDS -> round++; ask(me); goto next
        fi;
        atomic {
            if
            :: word == 0 -> word = MINE(me); took(me, false); goto taken
            :: else
            fi
        };
look:
        ask(me);
        if
        :: OWNER(seen) == 0 && seen == LOST -> d_step { assert(given_up); owes[me] = false }; goto next
        :: OWNER(seen) == 0 && seen != LOST ->
            atomic {
                if
                :: word == seen ->
#ifdef MUTANT_SLEPT_TAKES_BARE
                    word = MINE(me);
#else
                    word = MINE(me) | waited;
#endif
                    took(me, false);
                    goto taken
                :: word != seen -> goto look
                :: word != seen -> waited = WAITED; goto look /* the last turn of the spinning */
                fi
            }
        :: OWNER(seen) != 0
        fi;
        if
        :: true
        :: DEADLINES && waited == 0 -> goto verdict_of /* try_once() */
        fi;
        atomic { /* sleep_once() */
            if
            :: seen & WAITED -> owes[me] = false
            :: !(seen & WAITED) && word == seen ->
                seen = seen | WAITED;
                word = seen;
                owes[me] = false
            :: !(seen & WAITED) && word != seen -> waited = WAITED; goto look
            fi
        };
        if
        :: true
        :: DEADLINES -> waited = 0; goto verdict_of
        fi;
        atomic {
            waited = WAITED;
            if
            :: HALF(word) == HALF(seen) -> asleep[me] = true
            :: HALF(word) != HALF(seen) -> goto look
            fi
        };
        if
        :: true
        :: slices < SLICES -> d_step { slices++; early = 1 }
        :: DEADLINES -> early = 2
        fi;
        if
        :: !asleep[me] -> early = 0; goto look
        :: d_step { early == 1 && asleep[me] -> early = 0; asleep[me] = false }
        :: d_step { early == 2 && asleep[me] -> early = 0; asleep[me] = false; waited = 0 }
        :: timeout ->
            atomic {
                if
                :: OWNER(word) != 0 && killed[OWNER(word) - 1]
                :: OWNER(word) != 0 && !killed[OWNER(word) - 1] ->
                    assert(stopped[OWNER(word) - 1]);
                    goto done
                :: OWNER(word) == 0 ->
                    /* M2 */
                    assert(IS_EXCUSED);
                    if
                    :: word != LOST ->
                        d_step { /* the debt is ours now */
                            if
                            :: OWED_BY(0) -> owes[0] = false
                            :: OWED_BY(1) -> owes[1] = false
                            :: OWED_BY(2) -> owes[2] = false
                            fi;
                            owes[me] = true
                        }
                    :: else
                    fi
                fi;
                asleep[me] = false
            }
        fi;
verdict_of: /* inherit(); waited is 0: and then no longer */
        if
        :: DEAD(seen)
#ifdef MUTANT_STOPPED_IS_DEAD
        :: stopped[OWNER(seen) - 1]
#endif
        :: !DEAD(seen) && waited -> goto look
        :: !DEAD(seen) && !waited -> goto next
        fi;
#ifdef MUTANT_VERDICT_REREAD
        seen = word;
#endif
        atomic {
            if
#ifdef MUTANT_PLAIN_INHERIT
            :: true ->
#else
            :: OWNER(word) != OWNER(seen) && waited -> goto look
            :: OWNER(word) != OWNER(seen) && !waited -> goto next
            :: OWNER(word) == OWNER(seen) ->
#endif
#ifdef MUTANT_INHERIT_UNTOLD
                word = MINE(me) | WAITED;
#else
                word = MINE(me) | INHERITED | WAITED;
#endif
                took(me, true)
            fi
        };
        thread = NUMBER(me);
        if
        :: goto leave /* gives it up */
        :: d_step { word = word & ~INHERITED; damaged = false }
        fi;
        goto leave;
taken:
        thread = NUMBER(me);
leave:
        atomic { seen = 0; waited = 0 };
        assert(OWNER(word) - 1 == PROCESS(me) && thread == NUMBER(me));
#ifndef MUTANT_THREAD_KEPT
#ifndef MUTANT_THREAD_CLEARED_LATE
        thread = 0;
#endif
#endif
        atomic {
            seen = word;
            holds[me] = false;
            if
            :: seen & INHERITED -> word = LOST; given_up = true
            :: else -> word = 0
            fi;
            if
            :: seen & WAITED -> owes[me] = true
            :: else
            fi
        };
#ifdef MUTANT_THREAD_CLEARED_LATE
        thread = 0;
#endif
        if
        :: seen & WAITED ->
            atomic {
#ifdef MUTANT_LOST_WAKES_ONE
                if
                :: wake_one()
                fi;
#elif !defined(MUTANT_NO_WAKE)
                if
                :: seen & INHERITED -> wake_all()
                :: else -> wake_one()
                fi;
#endif
                owes[me] = false
            }
        :: else
        fi;
        goto next;
done:
        skip
    } unless { d_step { IS_OUT(me) -> round = 0; seen = 0; number = 0; waited = 0; slices = 0; early = 0 } }
}

/* Whoever of this process holds it dies with it. */
inline kill(process)
{
    d_step {
        !killed[process];
        killed[process] = true;
        if
        :: (holds[0] && PROCESS(0) == process) || (holds[1] && PROCESS(1) == process) ||
                (holds[2] && PROCESS(2) == process) -> damaged = true
        :: else
        fi
    }
}

/* It is torn down: off the futex's list, and dead for everybody. */
inline bury(process)
{
    d_step {
        killed[process] && !verdict[process];
        verdict[process] = true;
        if
        :: PROCESS(0) == process -> asleep[0] = false
        :: else
        fi;
        if
        :: PROCESS(1) == process -> asleep[1] = false
        :: else
        fi;
        if
        :: PROCESS(2) == process -> asleep[2] = false
        :: else
        fi
    }
}

proctype undertaker()
{
end:
    do
    :: bury(0)
    :: bury(1)
#if PROCESSES > 2
    :: bury(2)
#endif
#ifdef DEAD_HOLDER
    :: d_step { !verdict[PROCESSES] -> verdict[PROCESSES] = true }
#endif
    od
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
#if PROCESSES > 2
        :: kill(2)
#endif
        :: true
        fi
    :: stops < STOPS ->
        stops++;
        if
        :: d_step { !killed[0] && !stopped[0] -> stopped[0] = true }
        :: d_step { !killed[1] && !stopped[1] -> stopped[1] = true }
#if PROCESSES > 2
        :: d_step { !killed[2] && !stopped[2] -> stopped[2] = true }
#endif
        :: true
        fi
    :: true -> break
    od
}

init
{
    atomic {
#ifdef DEAD_HOLDER
        word = 8 * (PROCESSES + 1);
        thread = NUMBER(ACTORS);
        killed[PROCESSES] = true;
        damaged = true;
#endif
        run actor(0);
        run actor(1);
        run actor(2);
#if KILLS + STOPS > 0
        run kernel();
#endif
        run undertaker()
    }
}
