/* SPDX-License-Identifier: MIT */
/*
 * commit.pml - publishing, receiving, overwriting; batches; wrap and pads
 *
 * Read beside docs/lane.md, sections Records, Publishing and Receiving: names and step
 * numbers are the same. One publisher, one subscriber that has the lane attached.
 *
 * Modelled:
 * - a ring of C units of 8 bytes, records of 0 to C/4 - 1 units of payload, at every place of
 *   the ring, pads and several laps; a loan that is shrunk, or abandoned; batches of any
 *   length; takes held in place, released in any order; the cursor in strides of C/8;
 * - weak memory on the publisher's side: each plain store (payload, next header, a header
 *   inside a batch) becomes visible either at once or not before the next release store, so
 *   that they overtake one another in every order; a release store becomes visible after all
 *   that were made before it, and at any later time up to the next; plain stores that follow
 *   may overtake it. On the subscriber's side a load reads what is visible; loads stay in
 *   order, since each that matters is an acquire;
 * - behind a commit, in a batch behind each record, and before the next is written, the publisher takes
 *   lines ahead: a plain store of 0 into any word from behind the header at `tail` up to `stop`, each a
 *   step; AHEAD of them in all;
 * - the end: at any step either side may be killed, or stopped for ever. (Stopped and resumed
 *   later is a pause, and every interleaving is tried.) The verdict of death comes after the
 *   kill, when all that the dead one stored is visible.
 *
 * Not modelled: sleeping (sleep.pml: here a waiter sees the moment at once), joining
 * (join.pml), lies, more than HOLDS takes, sizes as in life. The subscriber's cursor is
 * visible at once: a later one is the same as a slower subscriber.
 */

#ifndef MESSAGES
#define MESSAGES 5
#endif
#ifndef C
#define C 16
#endif
#ifndef HOLDS
#define HOLDS 2
#endif
#ifndef ODD
#define ODD 1
#endif
#ifndef AHEAD
#define AHEAD 0 /* words that are taken ahead, in all */
#endif
#ifndef BATCHES
#define BATCHES true
#endif
/* Where the run begins: near the end of a lap, the ring full of an earlier lap's records. */
#ifndef START
#define START (C - C / 4 - 1)
#endif
#define LONGEST (C / 4 - 1)
#define STRIDE (C / 8)

#define NONE 255
/* What a unit can hold: 0, the header of a message, of a pad, or payload. */
#define HEADER(no, length) (1 + (length) + 4 * (no))
#define HEADER_NO(h) (((h)-1) / 4)
#define HEADER_LEN(h) (((h)-1) % 4)
#define IS_PAD(h) ((h) >= 64 && (h) < 96)
#define PAD(units) (64 + (units))
#define PAD_UNITS(h) ((h)-64)
#define IS_PAYLOAD(h) ((h) >= 96)
#define PAYLOAD(no) (96 + (no))

#define PUB 0
#define SUB 1
#define RUNS 0
#define STOPPED 1
#define KILLED 2

/* The lane and the page. */
byte cell[C];
bool ended;
byte cursor;

/* Stores of the publisher that are not visible yet. */
byte pending[C];
byte late = NONE; /* the place of the last release store, not visible yet */
byte late_header;

byte fate[2];
bool verdict[2]; /* the kernel's word: dead */

/* For the assertions alone. */
byte committed;
byte tail;

inline flush()
{
    unit = 0;
    do
    :: unit < C ->
        if
        :: pending[unit] != NONE -> cell[unit] = pending[unit]; pending[unit] = NONE
        :: else
        fi;
        unit++
    :: else -> break
    od;
    unit = 0
}

inline show_late()
{
    if
    :: late != NONE -> cell[late] = late_header; late = NONE; late_header = 0
    :: else
    fi
}

inline plain(position, value)
{
    if
    :: d_step { cell[(position) % C] = value; pending[(position) % C] = NONE }
    :: pending[(position) % C] = value
    fi
}

inline release(position, value)
{
    d_step {
#ifndef MUTANT_RELAXED_COMMIT
        flush();
#endif
        show_late();
        late = (position) % C;
        late_header = value;
        pending[late] = NONE
    }
}

#ifdef MUTANT_NO_ZERO
#define zero(position) skip
#else
#define zero(position) plain(position, 0)
#endif

/* 5. Commit what is held back. All numbers up to `no` become visible at once. */
inline commit_held()
{
    atomic {
#ifndef MUTANT_BATCH_UNZEROED
        zero(tail);
#endif
        release(held, held_header);
        committed = held_no;
        held = NONE;
        held_header = 0
    }
}

/* Behind it nothing is taken ahead: as far as all is free to be written, of the lap that tail is in. */
#define LAP_END (tail - tail % C + C)
#define STOP ((limit < LAP_END -> limit : LAP_END) - 1)
#ifdef MUTANT_AHEAD_BEYOND
#define AHEAD_END (limit + 1)
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
            plain(word, 0);
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

#define TOTAL (pad + need + ROOM_FOR_NEXT)
#ifdef MUTANT_ROOM_WITHOUT_HEADER
#define ROOM_FOR_NEXT 0
#else
#define ROOM_FOR_NEXT 1
#endif

proctype publisher()
{
    byte limit = START, no, length, need, pad, k, unit, odd, ahead, word;
    byte held = NONE, held_header, held_no;
    bool batch;

    {
        skip;
next:
        atomic {
            batch = false;
            length = 0;
            need = 0;
            if
            :: no == MESSAGES -> goto leave
            :: no < MESSAGES ->
                no++;
                if
                :: length = 0
                :: length = 1
                :: LONGEST > 1 -> length = LONGEST
                fi;
                if
                :: BATCHES -> batch = true
                :: batch = false
                fi
            fi;
            need = 1 + length;
            if
            :: need > C - tail % C -> pad = C - tail % C
            :: else -> pad = 0
            fi
        }
        /* 2. Room */
look:
        if
        :: tail + TOTAL <= limit
        :: tail + TOTAL > limit && tail + TOTAL <= cursor + C ->
            d_step {
                assert(cursor <= tail && tail <= cursor + C); /* I1 */
                assert(cursor + C >= limit);                  /* I3 */
                limit = cursor + C
            }
        :: tail + TOTAL > limit && tail + TOTAL > cursor + C && verdict[SUB] -> goto leave
        :: tail + TOTAL > limit && tail + TOTAL > cursor + C && !verdict[SUB] ->
#ifndef MUTANT_BATCH_WAITS
            if
            :: held != NONE -> commit_held(); goto look
            :: held == NONE
            fi;
#endif
            if
            :: tail + TOTAL <= cursor + C || verdict[SUB] -> goto look
            :: timeout -> assert(fate[SUB] == STOPPED); goto done
            fi
        fi;
        /* 1. A pad, a record of its own. */
        if
        :: pad > 0 ->
            if
            :: held == NONE && !batch -> zero(tail + pad); release(tail, PAD(pad - 1))
            :: held == NONE && batch ->
                d_step { held = tail; held_header = PAD(pad - 1); held_no = no - 1 }
            :: held != NONE -> plain(tail, PAD(pad - 1))
            fi;
            d_step { tail = tail + pad; pad = 0 }
        :: pad == 0
        fi;
#ifndef MUTANT_AHEAD_LATE
        TAKE_AHEAD /* in a call for many */
#endif
        /* 4. The payload (in a loan: before 3, whose place follows from the size at commit). */
        do
        :: k < length -> d_step { plain(tail + 1 + k, PAYLOAD(no)); k++ }
        :: k == length -> k = 0; break
        od;
#ifdef MUTANT_AHEAD_LATE
        TAKE_AHEAD /* when it is no longer behind tail that nothing is written */
#endif
        if
        :: true
        :: length > 1 && odd < ODD -> d_step { odd++; length = 1; need = 2 } /* shrunk */
        :: length > 0 && odd < ODD -> d_step { odd++; no--; length = 0 }; goto next /* abandoned */
        fi;
        /* 3. Zero the next header; in a batch the last one's alone, at the commit. */
        if
        :: held == NONE && !batch -> zero(tail + need)
        :: else
        fi;
        /* 5. Commit. */
        if
        :: held == NONE && !batch ->
            atomic {
                release(tail, HEADER(no, length));
                committed = no;
                tail = tail + need
            }
        :: held == NONE && batch ->
            d_step {
                held = tail;
                held_header = HEADER(no, length);
                held_no = no;
                tail = tail + need
            }
        :: held != NONE ->
            d_step {
                plain(tail, HEADER(no, length));
                held_no = no;
                tail = tail + need
            };
            if
            :: batch
            :: !batch -> commit_held()
            fi
        fi;
        TAKE_AHEAD
        goto next;
leave:
        if
        :: held != NONE -> commit_held()
        :: held == NONE
        fi;
        d_step {
#ifndef MUTANT_RELAXED_END
            flush(); /* Release [lane.end] */
            show_late();
#endif
            ended = true
        };
done:
        skip
    } unless {
        /* What only the dead one knew is gone. */
        d_step {
            fate[PUB] != RUNS ->
            limit = 0; no = 0; length = 0; need = 0; pad = 0; k = 0; odd = 0; ahead = 0; word = 0;
            held = NONE; held_header = 0; held_no = 0; batch = false; tail = 0
        }
    }
}

inline check_hold(j)
{
    /* I2: what is held is unchanged. */
    assert(cell[hold_at[j] % C] == hold_header[j]);
    k = 0;
    do
    :: k < HEADER_LEN(hold_header[j]) ->
        assert(cell[(hold_at[j] + 1 + k) % C] == PAYLOAD(HEADER_NO(hold_header[j])));
        k++
    :: else -> break
    od;
    k = 0
}

/* Everything below is released: the oldest hold, or all that was read. */
inline find_released()
{
    released = head;
    k = 0;
    do
    :: k < HOLDS ->
        if
        :: hold_header[k] != 0 && hold_at[k] < released -> released = hold_at[k]
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
}

inline store_cursor(value)
{
    assert(cursor <= value); /* I3 */
    cursor = value           /* Release [lane.free] */
}

inline release_hold(j)
{
    d_step {
        check_hold(j);
        hold_header[j] = 0;
        hold_at[j] = 0;
        find_released();
        held--;
    };
    if
    :: released - cursor >= STRIDE -> store_cursor(released)
    :: released - cursor < STRIDE
    fi
}

proctype subscriber()
{
    byte head = START, released = START, header, delivered, k, held;
    byte hold_at[HOLDS], hold_header[HOLDS];

    {
        skip;
next:
        if
        :: hold_header[0] != 0 -> release_hold(0); goto next
#if HOLDS > 1
        :: hold_header[1] != 0 -> release_hold(1); goto next
#endif
        :: held < HOLDS -> skip
        fi;
        header = cell[head % C]; /* 1. Acquire [lane.commit], once. */
        if
        :: header == 0 -> goto nothing
        :: IS_PAD(header) -> /* 2. */
            d_step { head = head + 1 + PAD_UNITS(header); find_released(); header = 0 }
            goto next
        :: header != 0 && !IS_PAD(header) -> skip
        fi;
        /* 3. I5: the next one, once, in order, whole. */
        assert(!IS_PAYLOAD(header));
        assert(HEADER_NO(header) == delivered + 1);
        assert(HEADER_NO(header) <= committed);
        do
        :: k < HEADER_LEN(header) ->
            d_step { assert(cell[(head + 1 + k) % C] == PAYLOAD(HEADER_NO(header))); k++ }
        :: k == HEADER_LEN(header) -> k = 0; break
        od;
        atomic {
            delivered++;
            do
            :: hold_header[k] != 0 -> k++
            :: else -> break
            od;
            hold_at[k] = head;
            hold_header[k] = header;
            held++;
            k = 0;
            head = head + 1 + HEADER_LEN(header);
            header = 0
        };
#ifdef MUTANT_EARLY_CURSOR
        store_cursor(head);
#endif
        goto next;
nothing:
        /* 4. The lane is empty: all that is released is given back. */
        if
        :: cursor != released -> store_cursor(released)
        :: cursor == released
        fi;
        if
        :: ended || verdict[PUB] -> /* Acquire [lane.end] */
#ifndef MUTANT_NO_SECOND_LOOK
            if
            :: cell[head % C] != 0 -> goto next
            :: cell[head % C] == 0
            fi;
#endif
            /* I5: the end, or EPIPE, only after the last committed. */
            assert(delivered == committed);
            goto done
        :: !(ended || verdict[PUB])
        fi;
        if
        :: hold_header[0] != 0 -> release_hold(0)
#if HOLDS > 1
        :: hold_header[1] != 0 -> release_hold(1)
#endif
        :: held == 0 && (cell[head % C] != 0 || ended || verdict[PUB])
        :: held == 0 && timeout -> assert(fate[PUB] == STOPPED); goto done
        fi;
        goto next;
done:
        skip
    } unless {
        d_step {
            fate[SUB] != RUNS ->
            head = 0; released = 0; header = 0; delivered = 0; k = 0; held = 0;
            hold_at[0] = 0; hold_header[0] = 0;
#if HOLDS > 1
            hold_at[1] = 0; hold_header[1] = 0
#endif
        }
    }
}

/* The last release store becomes visible. */
proctype memory()
{
end:
    do
    :: late != NONE -> d_step { show_late() }
    od
}

proctype kernel()
{
    byte unit;

    if
    :: fate[PUB] = KILLED ->
        d_step { flush(); show_late() };
        verdict[PUB] = true
    :: fate[SUB] = KILLED -> verdict[SUB] = true
    :: fate[PUB] = STOPPED -> d_step { flush(); show_late() }
    :: fate[SUB] = STOPPED
    :: true
    fi
}

init
{
    byte i;

    atomic {
        do
        :: i < C -> pending[i] = NONE; cell[i] = HEADER(0, 0); i++
        :: else -> break
        od;
        i = 0;
        tail = START;
        cursor = START;
        cell[START % C] = 0;
        run publisher();
        run subscriber();
        run memory();
        run kernel()
    }
}
