/* SPDX-License-Identifier: MIT */
/*
 * slot.pml - one slot of the directory: claim, list, leave, reap, and who believes what
 *
 * Read beside docs/lane.md, section Joining and leaving, Slots.
 *
 * Modelled:
 * - MEMBERS processes that want the slot, each SESSIONS times; RECOVERERS that do nothing but
 *   reap, ROUNDS times. Every load, verdict, compare-and-swap and store is a step of its own, so
 *   that all may be stopped between any two and go on at any later time: with the slot freed,
 *   taken by another, or taken again by the same process in a new session;
 * - KILLS members killed at any step; the kernel's verdict comes at any time after the kill,
 *   and may be "unknown" as often as it likes;
 * - an observer that finds the owner's page, remembers both, and looks again later (LOOKS
 *   steps; 0: none).
 *
 * Session numbers are per process and begin at 1, so that two processes have the same ones:
 * that is what a page must not be trusted by.
 *
 * Not modelled: identities or sessions that come round (2^13 joinings of one process between
 * two steps of another: page and lane are told apart by their nonce for that reason); memory
 * order: owner is moved by compare-and-swap alone, page is a release store.
 */

#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef SESSIONS
#define SESSIONS 2
#endif
#ifndef RECOVERERS
#define RECOVERERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef LOOKS
#define LOOKS 3
#endif
#ifndef KILLS
#define KILLS 1
#endif

/* The owner's word: identity and session; 0 is nobody. */
#define WORD(member, session) (4 + 4 * (member) + (session))
#define MEMBER(word) (((word)-4) / 4)
#define SESSION(word) ((word) % 4)

byte owner;
byte page; /* the id of a segment, which is named here by the word of who made it */

bool killed[MEMBERS];
bool verdict[MEMBERS];

/* For the assertions alone. */
bool believes[MEMBERS];
byte true_owner; /* owner with its session, whatever the word in the slot says */

#ifdef MUTANT_NO_SESSION
#define SHOWN(word) WORD(MEMBER(word), 0)
#else
#define SHOWN(word) (word)
#endif

/* The kernel answers dead only for the dead; "unknown" is alive. */
#ifdef MUTANT_STOPPED_IS_DEAD
#define DEAD(word) true
#else
#define DEAD(word) verdict[MEMBER(word)]
#endif

#if MEMBERS > 2
#define OTHERS_BELIEVE(me) \
    ((me != 0 && believes[0] && !killed[0]) || (me != 1 && believes[1] && !killed[1]) || \
     (me != 2 && believes[2] && !killed[2]))
#else
#define OTHERS_BELIEVE(me) \
    ((me != 0 && believes[0] && !killed[0]) || (me != 1 && believes[1] && !killed[1]))
#endif

inline became_owner(me, word)
{
    owner = SHOWN(word);
    true_owner = word;
    believes[me] = true;
    assert(!OTHERS_BELIEVE(me)) /* I4 */
}

inline reap()
{
    /* I4: nobody frees the slot of a living one. */
    assert(true_owner == 0 || killed[MEMBER(true_owner)]);
    owner = 0;
    true_owner = 0
}

proctype member(byte me)
{
    byte session, found, word;

    {
        skip;
again:
        if
        :: session == SESSIONS -> goto done
        :: session < SESSIONS -> d_step { session++; word = WORD(me, session) }
        fi;
claim:
        found = owner;
        if
        :: found == 0
        :: found != 0 && DEAD(found)
        :: found != 0 -> found = 0; goto busy /* alive or unknown: EBUSY */
        fi;
        atomic {
            if
#ifdef MUTANT_PLAIN_CLAIM
            :: true -> became_owner(me, word); found = 0
#else
            :: owner == found -> became_owner(me, word); found = 0
            :: owner != found -> found = 0; goto busy
#endif
            fi
        };
        page = word; /* Release [slot.page] */
        skip;        /* at work */
        believes[me] = false;
        atomic {
            if
            :: owner == SHOWN(word) -> owner = 0; true_owner = 0
            :: else
            fi
        };
        goto again;
busy:
        if
        :: goto again
        :: owner == 0 || verdict[MEMBER(owner)] -> goto claim
        fi;
done:
        skip
    } unless { d_step { killed[me] -> session = 0; found = 0; word = 0 } }
}

proctype recoverer()
{
    byte found, round;

    do
    :: round < ROUNDS ->
        round++;
        found = owner;
        if
        :: found != 0 && DEAD(found) ->
            /* Stopped here, and resumed late. */
            atomic {
                if
#ifdef MUTANT_PLAIN_REAP
                :: true -> reap()
#else
                :: owner == found -> reap()
                :: owner != found
#endif
                fi
            }
        :: true
        fi;
        found = 0
    :: round == ROUNDS -> break
    od
}

/* Who looks for the owner's page: a publisher at a look, a subscriber at an attach. */
proctype observer()
{
    byte found, segment, round;

    do
    :: round < LOOKS ->
        round++;
        if
        :: segment != 0 ->
            /* The same owner as before has the same page. */
            d_step {
                if
                :: owner == found && owner != 0 -> assert(true_owner == segment)
                :: else
                fi;
                found = 0;
                segment = 0
            }
        :: segment == 0 ->
            found = owner;
            segment = page; /* Acquire [slot.page]; attach it */
            if
            :: found == 0 || segment == 0 -> found = 0; segment = 0
#ifdef MUTANT_PAGE_BY_SESSION
            :: found != 0 && segment != 0 && SESSION(found) == SESSION(segment) ->
#else
            /* The page itself says whose it is. */
            :: found != 0 && segment != 0 && found == SHOWN(segment) ->
#endif
                assert(MEMBER(found) == MEMBER(segment))
            :: else -> found = 0; segment = 0 /* no page yet */
            fi
        fi
    :: round == LOOKS -> break
    od
}

proctype kernel()
{
    byte kills;

    do
    :: kills < KILLS ->
        kills++;
        if
        :: !killed[0] -> killed[0] = true; verdict[0] = true
        :: !killed[1] -> killed[1] = true; verdict[1] = true
#if MEMBERS > 2
        :: !killed[2] -> killed[2] = true; verdict[2] = true
#endif
        fi
    :: true -> break
    od
}

init
{
    byte i;

    atomic {
        do
        :: i < MEMBERS -> run member(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < RECOVERERS -> run recoverer(); i++
        :: else -> break
        od;
        i = 0;
        run observer();
        run kernel()
    };
    /* Nothing is left that needs a second step: the next one finds the slot free, or dead. */
    timeout -> assert(owner == 0 || verdict[MEMBER(owner)])
}
