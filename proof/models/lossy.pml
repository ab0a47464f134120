/* SPDX-License-Identifier: MIT */
/*
 * lossy.pml - overwriting: what is reserved, marks, validated reading, history, eviction
 *
 * Read beside docs/lane.md, sections Overwriting and History. The ring's records are commit.pml's
 * subject, claim and boundary join.pml's.
 *
 * Modelled:
 * - one publisher and its lane: a ring of C units, odd, so that the records of two units, a header and
 *   a payload, lie otherwise in each lap (the abstract ring has no end, so no pads); N messages;
 *   `reserved`, raised in strides and at looks, lowered again; MARKS marks, each of three words; with
 *   REPLACES a new one takes the place of the oldest, or of the newest, whenever it likes;
 * - weak memory on its side: each store is visible at any later time, and they overtake one
 *   another in every order, but that a release store waits for those before it, and a full fence
 *   for all. Loads are in the order in which the acquires and fences of the page put them;
 * - LOSSY: a reader that validates, and goes on at a mark when it was overrun. It may be paused
 *   at every step. With EVICTS it is a reliable one, which may also stop for ever, of a publisher that
 *   waits for it while it is less than LAG behind;
 * - behind a commit, and before a record is written, it takes lines ahead: a plain store of 0 into any
 *   word from behind the header at `tail` up to `stop`, each a step; AHEAD of them in all;
 * - HISTORY: a reliable joiner, at any time, that picks any mark, and then reads without asking;
 * - the publisher's kill at any step (KILLS), the verdict of death at any time after that, when
 *   all that it stored is visible;
 * - with KILLS_READER the kill of the joiner, or of the reader that EVICTS, at any step, from before the
 *   claim on; later it is reaped, and `changes` raised, each a step. (A LOSSY reader by itself writes
 *   nothing that anybody reads here: its death is a pause that never ends, which is tried.)
 *
 * Checked: what a reader believes is true, header and payload; what a lossy one missed is counted
 * exactly; it takes a lane for ended, or dead, only behind the last message; a joiner in the past
 * reads all from its mark on; a publisher is stuck for nobody but a reliable one that it waits for.
 *
 * Not modelled: pads, sizes, batches (a mark is put where all is committed), how far apart marks
 * stand, the boundary as one place more to go on from, lies.
 */

#ifndef N
#define N 6
#endif
#ifndef C
#define C 5
#endif
#ifndef STRIDE
#define STRIDE 3
#endif
#ifndef MARKS
#define MARKS 2
#endif
#ifndef REPLACES
#define REPLACES false
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef AHEAD
#define AHEAD 0 /* words that are taken ahead, in all */
#endif
#ifndef LAG
#define LAG 2
#endif

/* The lane, word by word. Record n, from 0, lies at 2 * n: a header, not 0, and a payload. */
#define UNIT(position) ((position) % C)
#define HEADER_OF(position) ((position) + 2)
#define PAYLOAD_OF(position) ((position) + 3)
#define RESERVED C
#define ENDED (C + 1)
#define BEFORE(mark) (C + 2 + 3 * (mark))
#define COUNT(mark) (C + 3 + 3 * (mark))
#define POSITION(mark) (C + 4 + 3 * (mark))
#define WORDS (C + 2 + 3 * MARKS)
#define NONE 255

byte memory[WORDS];
byte pending[WORDS]; /* stored and not visible yet; NONE: nothing */

/* Joiner and reader: their slot and page. */
byte changes;
bool claimed, attached;
byte cursor;

bool dead; /* the verdict can be had */
#ifdef KILLS_READER
bool reader_killed;
#define MAY_BE_KILLED unless { d_step { reader_killed -> forget() } }
#else
#define MAY_BE_KILLED
#endif
bool is_over;

/* For the assertions alone. */
byte committed;

inline plain(address, value)
{
    pending[address] = value
}

inline flush()
{
    unit = 0;
    do
    :: unit < WORDS ->
        if
        :: pending[unit] != NONE -> memory[unit] = pending[unit]; pending[unit] = NONE
        :: else
        fi;
        unit++
    :: else -> unit = 0; break
    od
}

inline release(address, value)
{
    d_step { flush(); pending[address] = value }
}

/* mark is where the next one goes; the newest may be written over instead. */
inline put_mark()
{
    if
    :: tail != mark_at ->
        if
        :: true
        :: REPLACES && mark_at != 0 -> mark = (mark + MARKS - 1) % MARKS
        fi;
        release(BEFORE(mark), tail);
        release(COUNT(mark), tail / 2);
        release(POSITION(mark), tail);
        d_step { mark_at = tail; mark = (mark + 1) % MARKS }
    :: else
    fi
}

#define NEED (tail + 3)
#define LEAST(a, b) ((a) < (b) -> (a) : (b))

/* Behind it nothing is taken ahead: as far as all is free to be written, and reserved. */
#define STOP (LEAST(limit, reserved) - 1)
#if defined(MUTANT_AHEAD_BEYOND)
#define AHEAD_END (reserved + 1)
#elif defined(MUTANT_AHEAD_UNRESERVED)
#define AHEAD_END (limit - 1)
#else
#define AHEAD_END STOP
#endif

/* Lines are taken, one after another, by a 0 into any word behind the header at tail; or none is. */
inline take_ahead()
{
    do
    :: atomic {
        ahead < AHEAD && tail + 1 < AHEAD_END ->
            ahead++;
            word = tail + 1;
            do
            :: word + 1 < AHEAD_END -> word++
            :: true -> break
            od;
            plain(UNIT(word), 0);
            word = 0
        }
    :: true -> break
    od
}
#if AHEAD > 0
#define TAKE_AHEAD take_ahead();
#else
#define TAKE_AHEAD
#endif

#if defined(EVICTS) && !defined(MUTANT_EVICTS_NOBODY)
#define IS_EVICTED (cursor + C < NEED && tail - cursor >= LAG)
#else
#define IS_EVICTED false
#endif

/* What it knows of the joiner, and how far it may write then. */
inline look()
{
    d_step { former = reserved; goal = reserved };
    if
    :: NEED > reserved ->
        put_mark();
        d_step { goal = NEED; reserved = goal };
        release(RESERVED, goal)
    :: else
    fi;
#ifndef MUTANT_NO_LOOK_FENCE
    d_step { flush() };
#endif
    seen = changes;
    if
    :: claimed && !attached -> limit = tail
    :: claimed && attached && !IS_EVICTED -> limit = cursor + C
    :: else -> limit = tail + C
    fi;
    if
    :: limit < NEED && reserved != former ->
        d_step { reserved = former };
        release(RESERVED, former)
    :: else
    fi
}

proctype publisher()
{
    byte tail, limit, reserved, goal, former, seen, mark, mark_at, unit, ahead, word;
#ifdef MUTANT_RAISED_LATE
    byte raise = NONE;
#endif

    {
        skip;
next:
        if
        :: tail == 2 * N -> goto leave
        :: else
        fi;
        if
        :: NEED <= limit && NEED <= reserved -> goto publish
        :: NEED <= limit && NEED > reserved ->
            /* A stride. */
            former = reserved;
            put_mark();
            d_step { goal = LEAST(limit, tail + STRIDE); reserved = (goal > NEED -> goal : NEED) };
#ifdef MUTANT_RAISED_LATE
            raise = reserved;
            goto publish;
#endif
            release(RESERVED, reserved);
#ifndef MUTANT_NO_FENCE
            d_step { flush() };
#endif
            if
#ifdef MUTANT_NO_CHANGES
            :: true -> goto publish
#else
            :: changes == seen -> goto publish
            :: changes != seen -> reserved = former; release(RESERVED, former)
#endif
            fi
        :: else
        fi;
        look();
        if
        :: NEED <= limit -> goto publish
        :: else
        fi;
        /* No room: whom it waits for has done something. */
        (!claimed || (attached && (cursor + C >= NEED || IS_EVICTED)));
        goto next;
publish:
        TAKE_AHEAD
        plain(UNIT(tail + 1), PAYLOAD_OF(tail));
        plain(UNIT(tail + 2), 0);
#ifdef MUTANT_RAISED_LATE
        if
        :: raise != NONE -> release(RESERVED, raise); raise = NONE
        :: else
        fi;
#endif
        atomic { release(UNIT(tail), HEADER_OF(tail)); tail = tail + 2; committed = tail };
        if
        :: changes != seen -> limit = tail
        :: else
        fi;
        TAKE_AHEAD
        goto next;
leave:
        release(ENDED, 1);
        d_step { flush(); is_over = true; tail = 0; limit = 0; reserved = 0; goal = 0; former = 0; seen = 0;
                 mark = 0; mark_at = 0; ahead = 0 }
    } unless {
        d_step {
            dead -> is_over = true; tail = 0; limit = 0; reserved = 0; goal = 0; former = 0; seen = 0;
            mark = 0; mark_at = 0; unit = 0; ahead = 0; word = 0
        }
    }
}

/* Stores become visible, in whatever order; after a kill all of them do. */
#define SHOW(word)                                                                                 \
    :: d_step { pending[word] != NONE -> memory[word] = pending[word]; pending[word] = NONE }

proctype store_buffers()
{
    byte unit;
#if KILLS > 0
    byte kills;
#endif

end:
    do
    SHOW(0)
    SHOW(1)
    SHOW(2)
    SHOW(3)
    SHOW(4)
    SHOW(5)
    SHOW(6)
    SHOW(7)
#if WORDS > 8
    SHOW(8)
#endif
#if WORDS > 9
    SHOW(9)
#endif
#if WORDS > 10
    SHOW(10)
#endif
#if WORDS > 11
    SHOW(11)
#endif
#if WORDS > 12
    SHOW(12)
#endif
#if WORDS > 13
    SHOW(13)
#endif
#if WORDS > 14
    SHOW(14)
#endif
#if WORDS > 15
    SHOW(15)
#endif
#if WORDS > 16
    SHOW(16)
#endif
#if WORDS > 17
    SHOW(17)
#endif
#if WORDS > 18
    SHOW(18)
#endif
#if WORDS > 19
    SHOW(19)
#endif
#if WORDS > 20
    SHOW(20)
#endif
#if WORDS > 21
    SHOW(21)
#endif
#if KILLS > 0
    :: d_step { kills < KILLS && !is_over -> kills++; flush(); dead = true }
#endif
    od
}

/* Whether what was read from a place on can be believed. */
#define IS_INTACT(position) (memory[RESERVED] <= (position) + C)

#ifdef EVICTS
#define MAY_STOP true
#else
#define MAY_STOP false
#endif

#define forget()                                                                                   \
    head = 0; count = 0; header = 0; payload = 0; position = 0; counted = 0; which = 0; kept = 0;  \
    gone = false

proctype reader()
{
    byte head, count, header, payload, position, counted, which, kept;
    bool gone;

    {
        skip;
#ifdef EVICTS
    d_step { claimed = true; changes++ };
    attached = true;
#endif
next:
    skip;
    d_step { header = 0; payload = 0; position = 0; counted = 0; which = 0; kept = 0 };
    gone = dead || memory[ENDED] == 1; /* Acquire [lane.end] */
#ifdef MUTANT_ASKS_FIRST
    kept = memory[RESERVED];
#endif
    header = memory[UNIT(head)]; /* Acquire [lane.commit] */
    payload = memory[UNIT(head + 1)];
    /* Acquire fence [lane.reserved], and the load behind it. */
    if
#ifdef MUTANT_UNVALIDATED_EMPTY
    :: header == 0 -> skip
    :: header != 0 && IS_INTACT(head) -> skip
    :: header != 0 && !IS_INTACT(head) -> goto overrun
#else
#ifdef MUTANT_ASKS_FIRST
    :: kept <= head + C -> skip
    :: kept > head + C -> goto overrun
#else
#ifdef MUTANT_UNVALIDATED
    :: true
#else
    :: IS_INTACT(head) -> skip
    :: !IS_INTACT(head) -> goto overrun
#endif
#endif
#endif
    fi;
    if
    :: header != 0 ->
        assert(header == HEADER_OF(head) && payload == PAYLOAD_OF(head));
        d_step { head = head + 2; count++ };
#ifdef EVICTS
        cursor = head;
#endif
        goto next
    :: header == 0 && gone ->
        assert(head == committed && 2 * count == committed); /* all has come, or is counted */
        goto done
    :: header == 0 && !gone ->
        if
        :: memory[UNIT(head)] != 0 || !IS_INTACT(head) || memory[ENDED] == 1 || dead -> goto next
        :: MAY_STOP -> goto done
        fi
    fi;

overrun:
    /* Any mark that is kept. */
    if
    :: which = 0
    :: which = 1
    :: MARKS > 2 -> which = 2
    :: MARKS > 3 -> which = 3
    :: MAY_STOP -> goto done
    fi;
    position = memory[POSITION(which)]; /* Acquire [lane.mark] */
    counted = memory[COUNT(which)];
    if
#ifndef MUTANT_MARK_UNCHECKED
    :: memory[BEFORE(which)] != position -> goto next
    :: memory[BEFORE(which)] == position ->
#else
    :: true ->
#endif
        if
        :: IS_INTACT(position) && position > head ->
            assert(2 * counted == position); /* so what was missed is known */
            d_step { head = position; count = counted };
#ifdef EVICTS
            cursor = head
#endif
        :: else
        fi
    fi;
    goto next;
done:
    skip
    } MAY_BE_KILLED
}

#undef forget
#define forget()                                                                                   \
    head = 0; header = 0; position = 0; counted = 0; which = 0; kept = 0; gone = false

proctype joiner()
{
    byte head, header, position, counted, which, kept;
    bool gone;

    {
    skip;
#ifdef MUTANT_LOOKS_FIRST
    kept = memory[RESERVED];
#endif
    claimed = true;
    changes++; /* and a full fence */
pick:
    if
    :: which = 0
    :: which = 1
    :: MARKS > 2 -> which = 2
    :: MARKS > 3 -> which = 3
    fi;
    position = memory[POSITION(which)];
    counted = memory[COUNT(which)];
    if
    :: memory[BEFORE(which)] == position
    :: else -> goto pick
    fi;
#ifndef MUTANT_LOOKS_FIRST
    kept = memory[RESERVED];
#endif
#ifndef MUTANT_MARK_STALE
    if
    :: kept <= position + C
    :: else -> goto pick
    fi;
#endif
    assert(2 * counted == position);
    d_step { head = position; cursor = position; position = 0; counted = 0; which = 0; kept = 0 };
    attached = true; /* Release [lane.attached] */
next:
    gone = dead || memory[ENDED] == 1;
    header = memory[UNIT(head)];
    if
    :: header != 0 ->
        assert(header == HEADER_OF(head) && memory[UNIT(head + 1)] == PAYLOAD_OF(head));
        head = head + 2;
        header = 0;
        cursor = head;
        goto next
    :: header == 0 && gone -> assert(head == committed)
    :: header == 0 && !gone ->
        (memory[UNIT(head)] != 0 || memory[ENDED] == 1 || dead);
        goto next
    fi
    } MAY_BE_KILLED
}

#ifdef KILLS_READER
/* At any step, or behind all of them. */
proctype reaper()
{
    reader_killed = true;
#ifndef MUTANT_DEAD_STAYS
    d_step { claimed = false; attached = false };
#endif
    changes++
}
#endif

init
{
    byte k;
    atomic {
        do
        :: k < WORDS -> pending[k] = NONE; k++
        :: else -> k = 0; break
        od;
        run publisher();
        run store_buffers();
#ifdef KILLS_READER
        run reaper();
#endif
#ifdef HISTORY
        run joiner();
#endif
#ifdef LOSSY
        run reader();
#endif
    }
}
