/* SPDX-License-Identifier: MIT */
/*
 * latest.pml - the latest value: reserving, writing, reading, holding, taking over
 *
 * Read beside docs/latest.md.
 *
 * Modelled:
 * - a writer, and up to TAKEOVERS that take its place one after the other, each when the kernel
 *   has said that the one before is dead. Any of them may be killed at any step;
 * - COPIERS readers that copy a value of two words and check; HOLDERS that hold it, read it in place
 *   twice, and give it back; one of these may be killed at any step, too, and the other one takes
 *   its hold word over;
 * - with HOT the hot cell: two lines, each with a seq and one of the two words, which the copiers look
 *   at first; a value that is not there whole they read from its buffer;
 * - the writer's stores: each becomes visible at any later time, and they overtake one another, but
 *   where an order says that they must not. A release store waits for what was stored before it, and
 *   holds back nothing that is stored after it; a release fence holds back what comes after from
 *   what came before; a full fence waits until all is visible.
 *
 * Readers load in the order that their acquires demand. Every load, store, compare-and-swap and
 * verdict is a step of its own: whoever is not killed may be stopped between any two.
 *
 * Checked, by names as in layout.h and docs/latest.md:
 * - L1, at every moment: the buffer that index names has its seq, and both words of the value;
 * - what a reader believes is whole; versions do not fall; what is held stays;
 * - a seq that is not the index's means that there is another index: else it is corruption;
 * - L2: at its second try, at most, the writer has a buffer that it may write.
 *
 * Not modelled: sleeping and waking (as in sleep.pml, with the index in the place of the doorbell),
 * lies, sizes.
 */

#ifndef BUFFERS
#define BUFFERS 3
#endif
#ifndef STRIDE
#define STRIDE 1
#endif
#ifndef VERSIONS
#define VERSIONS 4
#endif
#ifndef COPIERS
#define COPIERS 1
#endif
#ifndef HOLDERS
#define HOLDERS 1
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
#ifndef READS
#define READS 2
#endif
/* Stores on their way at once. */
#ifndef PENDING
#define PENDING 4
#endif
#ifndef KILLS
#define KILLS 1
#endif

/* Words that the writer stores. */
#define INDEX 0
#define SEQ(b) (1 + (b))
#define DATA(b, w) (1 + BUFFERS + 2 * (b) + (w))
#define PLAIN (1 + 3 * BUFFERS)
#ifdef HOT
#define HOT_SEQ(line) (PLAIN + 2 * (line))
#define HOT_DATA(line) (PLAIN + 2 * (line) + 1)
#define WORDS (PLAIN + 4)
#define HOT_NOT_BEFORE(l)                                                                          \
    &&NOT_BEFORE(l, HOT_SEQ(0)) && NOT_BEFORE(l, HOT_DATA(0)) && NOT_BEFORE(l, HOT_SEQ(1)) &&       \
        NOT_BEFORE(l, HOT_DATA(1))
#else
#define WORDS PLAIN
#define HOT_NOT_BEFORE(l)
#endif

#define MAKE(version, b) ((version) * 4 + (b))
#define BUFFER(index) ((index) % 4)
#define VERSION(index) ((index) / 4)

byte mem[WORDS];
bool pending[WORDS];
byte value_of[WORDS];
byte epoch_of[WORDS];
byte epoch;
byte waiting; /* pending stores */

/* One hold word: 0, or who + 1 and the buffer. */
byte hold;
#define HOLD(who, b) (((who) + 1) * 4 + (b))
#define HOLDER(word) ((word) / 4 - 1)

bool writer_killed, writer_free; /* free: the kernel has said so, or it has ended */
bool holder_killed[2];
byte kills;

inline visible(l)
{
    mem[l] = value_of[l];
    pending[l] = false;
    value_of[l] = 0;
    epoch_of[l] = 0;
    waiting--;
    if
    :: waiting == 0 -> epoch = 0
    :: else
    fi
}

/* To the same word one after the other. */
inline store(l, value)
{
    atomic {
        !pending[l] && waiting < PENDING -> pending[l] = true; value_of[l] = value; epoch_of[l] = epoch; waiting++
    }
}

/* Whatever is stored from now on becomes visible after all that was stored before. */
inline release()
{
    d_step {
        if
        :: waiting > 0 -> epoch++
        :: else
        fi
    }
}

inline full_fence()
{
    waiting == 0
}

#define OWN(l) (pending[l] -> value_of[l] : mem[l])

#define NOT_BEFORE(l, other) (!pending[other] || epoch_of[other] >= epoch_of[l])
#if BUFFERS == 2
#define IS_FIRST(l)                                                                                \
    (pending[l] && NOT_BEFORE(l, 0) && NOT_BEFORE(l, 1) && NOT_BEFORE(l, 2) && NOT_BEFORE(l, 3) &&   \
     NOT_BEFORE(l, 4) && NOT_BEFORE(l, 5) && NOT_BEFORE(l, 6) HOT_NOT_BEFORE(l))
#else
#define IS_FIRST(l)                                                                                \
    (pending[l] && NOT_BEFORE(l, 0) && NOT_BEFORE(l, 1) && NOT_BEFORE(l, 2) && NOT_BEFORE(l, 3) &&   \
     NOT_BEFORE(l, 4) && NOT_BEFORE(l, 5) && NOT_BEFORE(l, 6) && NOT_BEFORE(l, 7) &&                 \
     NOT_BEFORE(l, 8) && NOT_BEFORE(l, 9) HOT_NOT_BEFORE(l))
#endif

proctype memory()
{
end:
    do
    :: d_step { IS_FIRST(0) -> visible(0) }
    :: d_step { IS_FIRST(1) -> visible(1) }
    :: d_step { IS_FIRST(2) -> visible(2) }
    :: d_step { IS_FIRST(3) -> visible(3) }
    :: d_step { IS_FIRST(4) -> visible(4) }
    :: d_step { IS_FIRST(5) -> visible(5) }
    :: d_step { IS_FIRST(6) -> visible(6) }
#if BUFFERS > 2
    :: d_step { IS_FIRST(7) -> visible(7) }
    :: d_step { IS_FIRST(8) -> visible(8) }
    :: d_step { IS_FIRST(9) -> visible(9) }
#endif
#ifdef HOT
    :: d_step { IS_FIRST(HOT_SEQ(0)) -> visible(HOT_SEQ(0)) }
    :: d_step { IS_FIRST(HOT_DATA(0)) -> visible(HOT_DATA(0)) }
    :: d_step { IS_FIRST(HOT_SEQ(1)) -> visible(HOT_SEQ(1)) }
    :: d_step { IS_FIRST(HOT_DATA(1)) -> visible(HOT_DATA(1)) }
#endif
    od
}

/* All that was executed before the end becomes visible. */
inline flush_all()
{
    d_step {
        byte f = 0;
        do
        :: f < WORDS ->
            if
            :: pending[f] -> visible(f)
            :: else
            fi;
            f++
        :: else -> break
        od;
        f = 0
    }
}

#define HELD(b) (hold != 0 && BUFFER(hold) == (b))

/* Reserves up to most of what is not the latest; those that looked held before are left out. */
inline invalidate(most, avoids)
{
    count = 0;
    i = 0;
    do
    :: i < BUFFERS && count < most ->
        d_step {
            b = (cursor + i) % BUFFERS;
            i++
        };
        if
#ifdef MUTANT_REUSES_LATEST
        :: !(avoids && avoided == b + 1) ->
#else
        :: b != latest && !(avoids && avoided == b + 1) ->
#endif
            d_step { old[count] = OWN(SEQ(b)); chosen[count] = b; count++ };
#ifndef MUTANT_NO_RESERVE
#ifndef MUTANT_RESERVE_RELAXED
            release(); /* Release [latest.reserve] */
#endif
            store(SEQ(b), 0)
#endif
        :: else
        fi
    :: else -> break
    od;
    cursor = (cursor + i) % BUFFERS;
    i = 0;
    b = 0
}

inline keep(most)
{
#ifdef MUTANT_RESERVE_UNFENCED
    skip;
#elif HOLDERS == 0 || defined(MUTANT_NO_FULL_FENCE)
    release(); /* Release [latest.seq] */
#else
    full_fence(); /* [latest.hold], and so [latest.seq] */
#endif
#ifdef MUTANT_NO_SECOND_LOOK
    avoided = 0;
#else
    avoided = (hold != 0 -> BUFFER(hold) + 1 : 0);
#endif
    i = 0;
    spares = 0;
    do
    :: i < count ->
        if
        :: spares < most && avoided != chosen[i] + 1 -> d_step { spare[spares] = chosen[i]; spares++ }
        :: else -> store(SEQ(chosen[i]), old[i])
        fi;
        i++
    :: else -> break
    od;
    skip;
    d_step {
        i = 0;
        do
        :: i < BUFFERS -> old[i] = 0; chosen[i] = 0; i++
        :: else -> break
        od;
        i = 0; count = 0; avoided = 0
    }
}

inline reserve()
{
    avoided = (hold != 0 -> BUFFER(hold) + 1 : 0);
    invalidate(STRIDE, true);
    keep(STRIDE);
    if
    :: spares == 0 ->
        invalidate(BUFFERS, false);
        keep(STRIDE);
        assert(spares > 0) /* L2 */
    :: else
    fi
}

/* One line of the hot cell, but for its seq. */
inline fill_line(line)
{
#ifndef MUTANT_HOT_NOT_EMPTIED
    store(HOT_SEQ(line), 0);
#endif
#ifndef MUTANT_HOT_UNFENCED
    release(); /* Release [latest.hot], a fence */
#endif
    store(HOT_DATA(line), version + 1)
}

inline complete_line(line)
{
#ifndef MUTANT_HOT_RELAXED
    release(); /* Release [latest.hot] */
#endif
    store(HOT_SEQ(line), version + 1)
}

proctype writer(byte number)
{
    byte version, latest, cursor, b, i, count, avoided, spares, next;
    byte old[BUFFERS], chosen[BUFFERS], spare[BUFFERS];

    atomic {
        writer_free -> writer_free = false; /* the compare-and-swap of the owner */
        latest = BUFFERS;
        if
        :: mem[INDEX] != 0 -> latest = BUFFER(mem[INDEX])
        :: else
        fi;
#ifdef MUTANT_VERSIONS_ANEW
        version = 0;
#else
        version = VERSION(mem[INDEX]);
#endif
        cursor = (latest == BUFFERS -> 0 : (latest + 1) % BUFFERS)
    };
    {
        do
        :: version < VERSIONS ->
            if
            :: next == spares -> next = 0; reserve()
            :: else
            fi;
            b = spare[next];
            store(DATA(b, 0), version + 1);
            store(DATA(b, 1), version + 1);
            store(SEQ(b), MAKE(version + 1, b));
#ifdef HOT
            fill_line(0);
#endif
#ifndef MUTANT_RELAXED_INDEX
            release(); /* Release [latest.value] */
#endif
            store(INDEX, MAKE(version + 1, b));
#ifdef HOT
            complete_line(0);
            fill_line(1);
            complete_line(1);
#endif
            d_step { version++; latest = b; next++; b = 0 }
        :: else -> break
        od;
        flush_all();
        writer_free = true
    } unless {
        writer_killed;
        flush_all();
        d_step {
            version = 0; latest = 0; cursor = 0; b = 0; i = 0; count = 0; avoided = 0; spares = 0; next = 0;
            do
            :: i < BUFFERS -> old[i] = 0; chosen[i] = 0; spare[i] = 0; i++
            :: else -> break
            od;
            i = 0
        };
        atomic { writer_killed = false; writer_free = true }
    }
}

#ifdef HOT
#ifdef MUTANT_HOT_ONE_SEQ
#define IS_IN_LINE(line, version) (line == 1 || mem[HOT_SEQ(line)] == (version))
#else
#define IS_IN_LINE(line, version) (mem[HOT_SEQ(line)] == (version))
#endif
#ifdef MUTANT_HOT_UNCHECKED
#define IS_STILL_IN_LINE(line, version) true
#else
#define IS_STILL_IN_LINE(line, version) IS_IN_LINE(line, version)
#endif

/* Falls through to the buffer with found == 0. */
inline copy_line(line, to)
{
    if
    :: found && IS_IN_LINE(line, VERSION(index)) ->
        to = mem[HOT_DATA(line)];
        found = IS_STILL_IN_LINE(line, VERSION(index)) /* Acquire [latest.hot], a fence */
    :: else -> found = false
    fi
}
#endif

proctype copier()
{
    byte index, first, second, seq, last, n;
#ifdef HOT
    bool found;
#endif

    do
    :: n < READS ->
        n++;
        index = mem[INDEX]; /* Acquire [latest.value] */
#ifdef HOT
        found = (index != 0);
        copy_line(0, first);
        copy_line(1, second);
#endif
        if
        :: index == 0
#ifdef HOT
        :: index != 0 && found ->
            assert(first == VERSION(index) && second == VERSION(index));
            assert(VERSION(index) >= last);
            last = VERSION(index)
        :: index != 0 && !found ->
#else
        :: else ->
#endif
            first = mem[DATA(BUFFER(index), 0)];
            second = mem[DATA(BUFFER(index), 1)];
#ifdef MUTANT_UNCHECKED
            seq = index;
#else
            seq = mem[SEQ(BUFFER(index))]; /* Acquire [latest.seq] */
#endif
            if
            :: seq == index ->
                assert(first == VERSION(index) && second == VERSION(index));
                assert(VERSION(index) >= last);
                last = VERSION(index)
            :: else -> assert(mem[INDEX] != index)
            fi
        fi;
        skip;
        d_step {
            index = 0; first = 0; second = 0; seq = 0;
#ifdef HOT
            found = false
#endif
        }
    :: else -> break
    od
}

#ifdef MUTANT_STOPPED_IS_DEAD
#define IS_DEAD(word) true
#else
#define IS_DEAD(word) holder_killed[HOLDER(word)]
#endif

proctype holder(byte me)
{
    byte index, seq, n, was;

    {
        do
        :: n < READS ->
            n++;
            index = mem[INDEX]; /* Acquire [latest.value] */
            if
            :: index == 0 -> goto next
            :: else
            fi;
            was = hold;
            if
            :: was != 0 && !IS_DEAD(was) -> goto next
            :: else
            fi;
            atomic {
                if
                :: hold == was -> hold = HOLD(me, BUFFER(index))
                :: else -> goto next
                fi
            };
again:
#ifdef MUTANT_HOLD_UNCHECKED
            seq = index;
#else
            /* Full fence [latest.hold]; Acquire [latest.reserve] */
            seq = mem[SEQ(BUFFER(index))];
#endif
            if
            :: seq == index ->
                assert(mem[DATA(BUFFER(index), 0)] == VERSION(index));
                assert(mem[DATA(BUFFER(index), 1)] == VERSION(index));
                assert(mem[DATA(BUFFER(index), 0)] == VERSION(index))
            :: else ->
                seq = mem[INDEX];
                assert(seq != index);
                index = seq;
                hold = HOLD(me, BUFFER(index));
                goto again
            fi;
            hold = 0; /* Release [latest.free] */
next:
            skip;
            d_step { index = 0; seq = 0; was = 0 }
        :: else -> break
        od
    } unless { d_step { holder_killed[me] -> index = 0; seq = 0; n = 0; was = 0 } }
}

/* L1, between any two steps. */
#define IS_SOUND                                                                                   \
    (mem[INDEX] == 0 ||                                                                            \
     (mem[SEQ(BUFFER(mem[INDEX]))] == mem[INDEX] &&                                                \
      mem[DATA(BUFFER(mem[INDEX]), 0)] == VERSION(mem[INDEX]) &&                                   \
      mem[DATA(BUFFER(mem[INDEX]), 1)] == VERSION(mem[INDEX])))

proctype observer()
{
end:
    atomic { !IS_SOUND -> assert(false) }
}

proctype kernel()
{
    byte n;
end:
    do
    :: atomic { n < KILLS && !writer_free && !writer_killed -> n++; writer_killed = true }
#if HOLDERS > 1
    :: n < KILLS -> n++; holder_killed[0] = true
#endif
    :: n == KILLS -> break
    :: true -> break
    od
}

init
{
    atomic {
        writer_free = true;
        run writer(0);
#if COPIERS > 0
        run copier();
#endif
#if COPIERS > 1
        run copier();
#endif
#if HOLDERS > 0
        run holder(0);
#endif
#if HOLDERS > 1
        run holder(1);
#endif
#if TAKEOVERS > 0
        run writer(1);
#endif
        run memory();
        run observer();
        run kernel()
    }
}
