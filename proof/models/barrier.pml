/* SPDX-License-Identifier: MIT */
/*
 * barrier.pml - the end of a round: who is waited for, who is counted as dead, who joins late
 *
 * Read beside docs/sync.md, section Barrier, and src/sync/barrier.[ch], src/sync/await.h: names are
 * the same. The event's word is in event_word.pml.
 *
 * Modelled:
 * - three processes. Of the PLACES places the first processes are in one each; with two places the
 *   third process joins when it finds one that was left, is gone, or is a dead one's. Each waits WAITS
 *   times, and may leave before each (LEAVES) and at the end. Every load, verdict and compare-and-swap
 *   of each place and of the round's word is a step of its own, so that each may be stopped between
 *   any two, and go on at any later time;
 * - deadlines, of the first DEADLINES processes: who waits may withdraw, and may wait again;
 * - the number of a round in a place, which comes round after MODULUS rounds;
 * - KILLS, STOPS at any step; the kernel's verdict comes at any time after the kill; waits that end
 *   for nothing (SLICES a process); and the end of a slice, when nobody can do anything else.
 *
 * Checked: B1: no round ends twice before one that arrived has seen it, and it gets its number; B2:
 * no round ends without a living party whose join, wait or withdrawal has returned; B3: the number is
 * that of the places whose dead party had not arrived; B4; B5: whose wait ends by a slice although
 * the round is over, or might be, was to be woken, or the round to be ended, by one that is dead or
 * stopped; nobody stays asleep but for a living party that has not arrived.
 *
 * Left out: glancing (a look less), several threads of a process, EMPTY (no round ends while there is
 * one), identities that come round, the name beside the word, the number of changes that comes
 * round, memory order: places and the round's word are loaded and moved sequentially consistent.
 */

#ifndef PLACES
#define PLACES 2
#endif
#ifndef WAITS
#define WAITS 1
#endif
#ifndef LEAVES
#define LEAVES false
#endif
#ifndef DEADLINES
#define DEADLINES 0
#endif
#ifndef MODULUS
#define MODULUS 4
#endif

#define WAITERS 3
#define READY(me) false /* that wait is another's */
#define IS_BLOCKED false

#include "event_word.pml"

/* A place: whose, and 1, or nobody's: LEFT or GONE; and the round that it has arrived at. */
#define LEFT 8
#define GONE 16
#define OWNED(place) ((place) < LEFT)
byte place_owner[PLACES];
byte place_round[PLACES];

byte round = 1, changes, missing;

/*
 * For the assertions alone: what a process may ask of a round that ends. OUTSIDE: nothing; INSIDE: that
 * it does not end without it; ARRIVED: anything, since it has come; and then it is INSIDE, and is
 * owed the number.
 */
#define OUTSIDE 0
#define INSIDE 1
#define ARRIVED 2
byte stands[3];
byte owed_number[3];
bool has_joined; /* somebody, so that a place that was GONE may be no more */

#define NOT_ARRIVED(round) (((round) + MODULUS - 1) % MODULUS)
#define HAS_ARRIVED(i, round) (OWNED(place_owner[i]) && place_round[i] == (round) % MODULUS)

#ifdef MUTANT_STOPPED_IS_DEAD
#define DEAD(owner) (verdict[(owner) - 1] || stopped[(owner) - 1])
#else
#define DEAD(owner) (verdict[(owner) - 1])
#endif

#define IS_COMPLETE(i) (!OWNED(place_owner[i]) || HAS_ARRIVED(i, round))
#define IS_DEAD_ONES(i) (OWNED(place_owner[i]) && killed[place_owner[i] - 1] && !HAS_ARRIVED(i, round))
#define IS_ALIVE_AND_MISSING(i) \
    (OWNED(place_owner[i]) && !killed[place_owner[i] - 1] && !HAS_ARRIVED(i, round))
#define IS_GONE(i) (place_owner[i] == GONE)
#if PLACES > 2
#define ANY(what) (what(0) || what(1) || what(2))
#define ALL(what) (what(0) && what(1) && what(2))
#define COUNT(what) (what(0) + what(1) + what(2))
#else
#define ANY(what) (what(0) || what(1))
#define ALL(what) (what(0) && what(1))
#define COUNT(what) (what(0) + what(1))
#endif

inline counts_for(who)
{
    assert(stands[who] != INSIDE || killed[who]); /* B2 */
    if
    :: stands[who] == ARRIVED -> stands[who] = INSIDE; owed_number[who] = seen_missing
    :: else
    fi
}

inline end_round(me)
{
    atomic { seen_round = round; seen_changes = changes; i = 0 };
    do
    :: i == PLACES ->
        atomic { /* all have arrived, left or gone: the step of the round's word */
            if
#ifndef MUTANT_ENDS_PLAINLY
            :: round != seen_round || changes != seen_changes -> now = 0
            :: round == seen_round && changes == seen_changes ->
#else
            :: true ->
#endif
                round = seen_round + 1;
                missing = seen_missing;
                assert(missing == COUNT(IS_GONE) || (has_joined && missing > COUNT(IS_GONE))); /* B3 */
                counts_for(0);
                counts_for(1);
                counts_for(2);
                owes[me] = true;
                now = 1
            fi;
            seen_missing = 0;
            seen_round = 0;
            seen_changes = 0;
            i = 0
        };
        if
        :: now -> now = 0; notify(true)
        :: else
        fi;
        break
    :: i < PLACES ->
        atomic {
            if
            :: place_owner[i] == GONE -> seen_missing++; i++
            :: place_owner[i] == LEFT || HAS_ARRIVED(i, seen_round) -> i++
#ifdef MUTANT_DEAD_STAYS
            :: OWNED(place_owner[i]) && DEAD(place_owner[i]) && !HAS_ARRIVED(i, seen_round) ->
                seen_missing++;
                i++
#endif
            :: else -> seen_missing = 0; seen_round = 0; seen_changes = 0; i = 0; break
            fi
        }
    od;
    owes[me] = false
}

/* The round has ended, and we have arrived at it. */
inline look(me)
{
    atomic {
        if
        :: round != our_round ->
            assert(round == our_round + 1); /* B1 */
            assert(stands[me] == INSIDE && owed_number[me] == missing);
            our_round = 0;
            ticket = 0;
            goto next
        :: round == our_round
        fi
    }
}

inline find_gone(me)
{
    do
    :: i == PLACES -> i = 0; break
    :: i < PLACES ->
        atomic { /* the load; the verdict comes at once, or any time later in the next step */
            if
            :: OWNED(place_owner[i]) && place_owner[i] != me + 1 && !HAS_ARRIVED(i, our_round) ->
                seen_owner = place_owner[i];
                seen_number = place_round[i]
            :: else
            fi
        };
        if
        :: seen_owner && DEAD(seen_owner)
        :: seen_owner && !DEAD(seen_owner) -> d_step { seen_owner = 0; seen_number = 0 }
        :: seen_owner == 0
        fi;
#ifndef MUTANT_ROUND_UNCHECKED
        if
        :: seen_owner && round != our_round ->
            atomic { seen_owner = 0; seen_number = 0; i = 0 };
            break
        :: seen_owner && round == our_round
        :: seen_owner == 0
        fi;
#endif
        atomic {
            if
            :: seen_owner == 0
#ifdef MUTANT_PLAIN_GONE
            :: seen_owner != 0 ->
#else
            :: seen_owner != 0 && (place_owner[i] != seen_owner || place_round[i] != seen_number)
            :: seen_owner != 0 && place_owner[i] == seen_owner && place_round[i] == seen_number ->
#endif
                assert(IS_DEAD_ONES(i)); /* B4 */
                place_owner[i] = GONE;
                place_round[i] = 0;
                owes[me] = true
            fi;
            seen_owner = 0;
            seen_number = 0;
            i++
        }
    od
}

/* Out comes place, or PLACES: all of them live. */
inline take_place(me)
{
    place = 0;
    do
    :: place == PLACES -> break
    :: place < PLACES ->
        atomic { seen_owner = place_owner[place]; seen_number = place_round[place] };
        our_round = round;
        if
        :: OWNED(seen_owner) && !DEAD(seen_owner)
        :: !OWNED(seen_owner) || DEAD(seen_owner) ->
            atomic {
                if
                :: place_owner[place] == seen_owner && place_round[place] == seen_number ->
                    place_owner[place] = me + 1;
                    place_round[place] = NOT_ARRIVED(our_round);
                    seen_owner = 0;
                    seen_number = 0;
                    has_joined = true;
                    owes[me] = true; /* who is killed here may seem to have arrived */
                    break
                :: else
                fi
            }
        fi;
        atomic { seen_owner = 0; seen_number = 0; our_round = 0; place++ }
    od
}

proctype process(byte me)
{
    byte waits, place, i, our_round, seen_round, seen_changes, seen_missing, seen_owner, seen_number;
    byte now, ticket, slices, early;

    {
        if
        :: me < PLACES -> place = me; goto next
        :: me >= PLACES
        fi;
        take_place(me);
        if
        :: place == PLACES -> place = 0; goto done
        :: place < PLACES
        fi;
#ifdef MUTANT_JOIN_UNCHANGED
        d_step { our_round = 0; stands[me] = INSIDE; owes[me] = false };
#else
        atomic { /* change() */
            changes++;
            if
            :: place_round[place] == NOT_ARRIVED(round) -> stands[me] = INSIDE; owes[me] = false; our_round = 0
#ifdef MUTANT_JOINS_ONCE
            :: else -> stands[me] = INSIDE; owes[me] = false; our_round = 0
#else
            :: else -> our_round = round
#endif
            fi
        };
        if
        :: our_round ->
            place_round[place] = NOT_ARRIVED(our_round);
            atomic { changes++; stands[me] = INSIDE; owes[me] = false; our_round = 0 }
        :: else
        fi;
#endif
next:
        if
        :: waits == WAITS -> goto leave
        :: waits == WAITS -> goto done /* and is waited for */
        :: waits < WAITS && LEAVES -> goto leave
        :: waits < WAITS -> waits++
        fi;
        our_round = round;
#ifdef MUTANT_LOOKS_FIRST
        end_round(me);
#endif
        atomic {
            assert(place_owner[place] == me + 1 && !HAS_ARRIVED(place, our_round)); /* B4 */
            place_round[place] = our_round % MODULUS;
            stands[me] = ARRIVED;
            owes[me] = true
        };
#ifdef MUTANT_LOOKS_FIRST
        owes[me] = false;
#endif
again:
        if
        :: true
        :: me < DEADLINES -> goto withdraw
        fi;
#ifndef MUTANT_LOOKS_FIRST
        end_round(me);
#endif
        look(me);
        prepare();
#ifndef MUTANT_LOOKS_FIRST
        end_round(me);
#endif
        look(me);
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
        :: !asleep[me] && early == 0 -> goto again
        :: !asleep[me] && early == 1 -> early = 0
        :: d_step { early == 1 && asleep[me] -> early = 0; asleep[me] = false }
        :: timeout ->
            atomic {
                if
                :: round != our_round || ALL(IS_COMPLETE) -> assert(IS_EXCUSED) /* B5 */
                :: round == our_round && ANY(IS_DEAD_ONES)
                :: round == our_round && !ALL(IS_COMPLETE) && !ANY(IS_DEAD_ONES) ->
                    assert(ANY(IS_ALIVE_AND_MISSING));
                    goto done
                fi;
                early = 0;
                asleep[me] = false
            }
        fi;
        find_gone(me);
        goto again;
withdraw:
        find_gone(me);
        end_round(me);
        look(me);
        place_round[place] = NOT_ARRIVED(our_round);
        atomic {
#ifndef MUTANT_WITHDRAW_UNCHANGED
            changes++;
#endif
            if
            :: round == our_round -> assert(stands[me] == ARRIVED); stands[me] = INSIDE
            :: round != our_round ->
                assert(round == our_round + 1); /* B1 */
                assert(stands[me] == INSIDE && owed_number[me] == missing)
            fi;
            our_round = 0
        };
        goto next;
leave:
        atomic {
            assert(place_owner[place] == me + 1); /* B4 */
            place_owner[place] = LEFT;
            place_round[place] = 0;
            stands[me] = OUTSIDE;
            owes[me] = true
        };
#ifndef MUTANT_LEAVES_SILENTLY
        notify(true);
#endif
        owes[me] = false;
done:
        skip
    } unless {
        d_step {
            IS_OUT(me) ->
            waits = 0; place = 0; i = 0; our_round = 0; seen_round = 0; seen_changes = 0;
            seen_missing = 0; seen_owner = 0; seen_number = 0; now = 0; ticket = 0; slices = 0; early = 0
        }
    }
}

init
{
    atomic {
        place_owner[0] = 1;
        stands[0] = INSIDE;
        place_owner[1] = 2;
        stands[1] = INSIDE;
#if PLACES > 2
        place_owner[2] = 3;
        stands[2] = INSIDE;
#endif
        run process(0);
        run process(1);
        run process(2);
#if KILLS + STOPS > 0
        run kernel();
#endif
        run undertaker()
    }
}
