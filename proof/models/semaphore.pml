/* SPDX-License-Identifier: MIT */
/*
 * semaphore.pml - post and wait by one word, which is the futex
 *
 * Read beside docs/sync.md, section Semaphore, and src/sync/semaphore.[ch]: names are the same.
 *
 * Modelled: each of two posters posts CHANGES units, each of two waiters takes as many. A waiter sets
 * WAITED where the value is 0, and sleeps while the word is 0, WAITED. A post that finds WAITED wakes all and
 * clears it, or wakes one and leaves it: it follows a hint, which may be wrong. KILLS, STOPS at any
 * step. MANY: a post may give all that the poster has left, and wakes all then. Waits that end for nothing (SLICES a waiter); and the end of a slice, when nobody can do anything else.
 *
 * Checked: S1, S2: whose wait ends by a slice although there is a unit, was to be woken by one that is dead
 * or stopped; nobody stays asleep while there is one.
 *
 * Left out: S3, which stands in the code (a post's last step but the kernel's list is its unit); the highest value, deadlines (a wait that ends for
 * nothing).
 */

#ifndef CHANGES
#define CHANGES 2
#endif

byte value;
bool waited;
byte posted, taken; /* for the assertions alone */

#define READY(me) (value > 0)
#define IS_BLOCKED false

/* The kernel, and who owes a wake; its event is not used. */
#include "event_word.pml"

/* The compare-and-swap of the take, or it finds none. */
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
            goto next
        :: value == 0
        fi
    }
}

proctype waiter(byte me)
{
    byte got, slices;
    bool early;

    {
        skip;
next:
        if
        :: got == CHANGES -> goto done
        :: got < CHANGES
        fi;
again:
        take(me);
        /* prepare(): where there is a unit, WAITED is not set, and the look finds it, or another has. */
#ifndef MUTANT_SLEEPS_UNANNOUNCED
        atomic {
            if
            :: value == 0 -> waited = true
            :: value > 0
            fi
        };
#endif
        take(me);
        atomic { /* the kernel compares, and puts it on its list */
            if
#if defined(MUTANT_SLEEPS_AT_ANY_ZERO) || defined(MUTANT_SLEEPS_UNANNOUNCED)
            :: value == 0 -> asleep[me] = true
            :: value > 0 -> goto again
#else
            :: value == 0 && waited -> asleep[me] = true
            :: else -> goto again
#endif
            fi
        };
        if
        :: true
        :: slices < SLICES -> d_step { slices++; early = true }
        fi;
        if
        :: !asleep[me] -> early = false; goto again
        :: d_step { early && asleep[me] -> early = false; asleep[me] = false }; goto again
        :: timeout ->
            if
            :: READY(me) ->
                assert(IS_EXCUSED); /* S2 */
                asleep[me] = false;
                goto again
            :: !READY(me) -> goto done
            fi
        fi;
done:
        skip
    } unless {
        d_step {
            IS_OUT(me) ->
            got = 0;
            slices = 0;
            early = false
        }
    }
}

proctype poster(byte me)
{
    byte posts, units;
    bool found, one;

    {
        do
        :: posts == CHANGES -> break
        :: posts < CHANGES ->
#ifdef MUTANT_LOOK_BEFORE_POST
            found = waited;
#endif
            if
            :: units = 1
#ifdef MANY
            :: CHANGES - posts > 1 -> units = CHANGES - posts
#endif
            fi;
            if /* the hint, which is read before, for a post of one */
            :: one = false
#ifdef MUTANT_MANY_WAKES_ONE
            :: one = true
#else
            :: units == 1 -> one = true
#endif
            fi;
            atomic { /* the compare-and-swap */
                posts = posts + units;
                value = value + units;
                posted = posted + units;
                units = 0;
                owes[me] = true;
#ifndef MUTANT_LOOK_BEFORE_POST
                found = waited;
#endif
#ifdef MUTANT_ONE_CLEARS
                waited = false
#else
                waited = waited && one
#endif
            };
            if
            :: found && one ->
                atomic { /* the kernel wakes one */
                    if
                    :: asleep[0] -> asleep[0] = false; owes[0] = true
                    :: asleep[1] -> asleep[1] = false; owes[1] = true
                    :: !asleep[0] && !asleep[1]
                    fi
                }
#ifdef MUTANT_ALL_WAKES_ONE
            :: found && !one ->
                atomic {
                    if
                    :: asleep[0] -> asleep[0] = false; owes[0] = true
                    :: asleep[1] -> asleep[1] = false; owes[1] = true
                    :: !asleep[0] && !asleep[1]
                    fi
                }
#else
            :: found && !one -> wake_all()
#endif
            :: !found
            fi;
            d_step { owes[me] = false; found = false; one = false }
        od
    } unless { d_step { IS_OUT(me) -> posts = 0; units = 0; found = false; one = false } }
}

init
{
    atomic {
        run waiter(0);
        run waiter(1);
        run poster(2);
        run poster(3);
        run undertaker();
#if KILLS + STOPS > 0
        run kernel()
#endif
    }
}
