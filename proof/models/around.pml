/* SPDX-License-Identifier: MIT */
/*
 * around.pml - the ring goes round what is held
 *
 * Read beside docs/lane.md, section Held messages. One publisher, one reliable subscriber that has
 * the lane attached.
 *
 * Modelled:
 * - a ring of C units of 8 bytes, records of 0 to C/4 - 1 units of payload, several laps; pads at
 *   the ring's end and in front of what is held, of any length;
 * - takes held in place and released in any order, or never; the oldest is put into the page's
 *   table whenever the subscriber likes, as long as the table has room; then the cursor moves past;
 * - the subscriber's stores (a place of the table, the cursor) become visible in their order, each
 *   at any later time; the publisher loads the cursor, then the table, word by word;
 * - of what it takes the subscriber may keep KEEPS for ever; the publisher must find room all the
 *   same;
 * - with KILLS either of them killed at any step; what it stored becomes visible, and then the verdict
 *   can be had. A dead subscriber's page, and its table, are nobody's: the publisher sends all there
 *   is. Of a dead publisher the subscriber reads all that it has committed;
 * - behind a commit the publisher takes lines ahead: a 0 into any word from behind the header at `tail`
 *   up to `stop`, in front of the first wall, each a step; AHEAD of them in all.
 *
 * Not modelled: how a record, or a pad, is written, and a kill in the midst of it (commit.pml: here it
 * is one step); batches; several subscribers, whose tables are a longer one; lies.
 */

#ifndef MESSAGES
#define MESSAGES 6
#endif
#ifndef C
#define C 8
#endif
#ifndef HOLDS
#define HOLDS 2
#endif
#ifndef TABLE
#define TABLE 1
#endif
#ifndef START
#define START (C - 2)
#endif
#ifndef LONGEST
#define LONGEST (C / 4 - 1)
#endif
#ifndef LONG
#define LONG false /* true: all are of the longest */
#endif
#ifndef KEEPS
#define KEEPS 1
#endif
#ifndef AHEAD
#define AHEAD 0 /* words that are taken ahead, in all */
#endif
#ifndef KILLS
#define KILLS 0
#endif
#define QUEUE 4 /* stores of the subscriber that may wait */

#define HEADER(no, length) (1 + (length) + 4 * (no))
#define HEADER_NO(h) (((h)-1) / 4)
#define HEADER_LEN(h) (((h)-1) % 4)
#define IS_PAD(h) ((h) >= 64 && (h) < 96)
#define PAD(units) (64 + (units))
#define PAD_UNITS(h) ((h)-64)
#define IS_PAYLOAD(h) ((h) >= 96)
#define PAYLOAD(no) (96 + (no))

/* The lane and the page. */
byte cell[C];
bool ended;
byte cursor = START;
byte table_at[TABLE];   /* position of what is held; 0: free. Before START nothing is */
byte table_need[TABLE]; /* its units, the header included */

/* Stores of the subscriber that are not visible yet: what, and the value. */
#define CURSOR 0
#define TABLE_AT(i) (1 + (i))
#define TABLE_NEED(i) (1 + TABLE + (i))
byte queue_what[QUEUE], queue_value[QUEUE], queued;

#if KILLS > 0
bool pub_killed, pub_dead, sub_killed, sub_dead; /* dead: the verdict can be had */
#define PUB_MAY_BE_KILLED                                                                          \
    unless { d_step { pub_killed -> limit = 0; no = 0; length = 0; need = 0; place = 0; i = 0; k = 0; at = 0; new_limit = 0; ahead = 0 } }
#define SUB_MAY_BE_KILLED                                                                          \
    unless { d_step { sub_killed -> head = 0; released = 0; told = 0; header = 0; delivered = 0; k = 0; held = 0; was = 0; keeps = 0 } }
#else
#define pub_dead false
#define sub_killed false
#define sub_dead false
#define PUB_MAY_BE_KILLED
#define SUB_MAY_BE_KILLED
#endif
#define ALONE 200 /* a limit that no position comes to */

byte committed, tail = START; /* for the assertions alone */
bool is_gap; /* the table leaves room for the longest record, wherever what it names lies */

/* With all taken, and what is held in the table, there is room for the longest record. */
#define must_go_on (cursor == tail && is_gap)


inline store(what, value)
{
    d_step { queued < QUEUE -> queue_what[queued] = what; queue_value[queued] = value; queued++ }
}

/* The oldest store becomes visible. */
inline appear()
{
    if
    :: queue_what[0] == CURSOR -> cursor = queue_value[0]
    :: queue_what[0] > CURSOR && queue_what[0] <= TABLE -> table_at[queue_what[0] - 1] = queue_value[0]
    :: else -> table_need[queue_what[0] - 1 - TABLE] = queue_value[0]
    fi;
    queued--;
    shown = 0;
    do
    :: shown < queued ->
        queue_what[shown] = queue_what[shown + 1];
        queue_value[shown] = queue_value[shown + 1];
        shown++
    :: else -> break
    od;
    queue_what[queued] = 0;
    queue_value[queued] = 0;
    shown = 0
}

#ifdef MUTANT_WALL_WITHOUT_HEADER
#define NEXT 0
#else
#define NEXT 1
#endif

/* The first position from `tail` on where the record has room, beside the ring's end and what is
 * held: the place, or its next header, must touch nothing of it. */
inline find_place()
{
    place = tail;
    i = 0;
    do
    :: i <= TABLE ->
        if
        :: need > C - place % C -> place = place + C - place % C; i = 0
        :: else ->
            if
            :: i < TABLE && wall[i] != 0 && place < wall[i] + wall_need[i] &&
                place + need + NEXT > wall[i] -> place = wall[i] + wall_need[i]; i = 0
            :: else -> i++
            fi
        fi
    :: else -> break
    od;
    i = 0
}

/* Where what is held at `at` lies in the lap that is written: from tail + 1 on. */
inline note_wall(j, at, units)
{
    wall[j] = 0;
    wall_need[j] = 0;
    if
    :: at != 0 ->
        wall[j] = at;
        wall_need[j] = units;
        do
#ifdef MUTANT_ONE_LAP
        :: wall[j] == at -> wall[j] = wall[j] + C
#else
        :: wall[j] <= tail -> wall[j] = wall[j] + C
#endif
        :: else -> break
        od
    :: else
    fi
}

inline load_table()
{
    k = 0;
    do
    :: k < TABLE ->
        at = table_at[k]; /* Acquire [hold.place] */
        atomic { note_wall(k, at, table_need[k]); at = 0; k++ }
    :: k == TABLE -> k = 0; break
    od
}

/* Behind it nothing is taken ahead: as far as all is free to be written, of the lap that tail is in,
 * and in front of the first wall. */
#define LEAST(a, b) ((a) < (b) -> (a) : (b))
#define LAP_END (tail - tail % C + C)
#ifdef MUTANT_AHEAD_OVER_WALL
#define WALL_OR_END(j) LAP_END
#else
#define WALL_OR_END(j) (wall[j] > tail -> wall[j] : LAP_END)
#endif
#if TABLE > 1
#define WALLS_OR_END LEAST(WALL_OR_END(0), WALL_OR_END(1))
#else
#define WALLS_OR_END WALL_OR_END(0)
#endif
#define STOP (LEAST(LEAST(limit, LAP_END), WALLS_OR_END) - 1)

/* Lines are taken, one after another, by a 0 into any word behind the header at tail; or none is. */
inline take_ahead()
{
    do
    :: atomic {
        ahead < AHEAD && tail + 1 < STOP ->
            ahead++;
            at = tail + 1;
            do
            :: at + 1 < STOP -> at++
            :: true -> break
            od;
            cell[at % C] = 0;
            at = 0
        }
    :: true -> break
    od
}
#if AHEAD > 0
#define TAKE_AHEAD take_ahead();
#else
#define TAKE_AHEAD
#endif

proctype publisher()
{
    byte limit = START, no, length, need, place, i, k, at, new_limit, ahead;
    byte wall[TABLE], wall_need[TABLE];

    {
    skip;
next:
    atomic {
        if
        :: no == MESSAGES -> goto leave
        :: no < MESSAGES ->
            no++;
            if
            :: !LONG -> length = 0
            :: LONGEST > 0 -> length = LONGEST
            fi
        fi;
        need = 1 + length
    };
    goto fit;
look:
#if KILLS > 0
    if
    :: sub_dead ->
        d_step {
            limit = ALONE;
#if TABLE > 1
            wall[1] = 0;
            wall_need[1] = 0;
#endif
            wall[0] = 0;
            wall_need[0] = 0
        };
        goto fit
    :: !sub_dead
    fi;
#endif
#ifdef MUTANT_TABLE_BEFORE_CURSOR
    load_table();
    new_limit = cursor + C;
#else
    new_limit = cursor + C; /* Acquire [lane.free] */
    load_table();
#endif
    skip;
    d_step {
        assert(new_limit >= limit && tail <= new_limit);
        limit = new_limit;
        new_limit = 0
    };
fit:
    skip;
    d_step { find_place() };
    if
    :: place + need + 1 <= limit
    :: place + need + 1 > limit ->
        /* No room: wait until something of the page changes. */
        if
#ifndef MUTANT_DEAD_STAYS
        :: sub_dead && limit != ALONE -> goto look
#endif
        :: !sub_dead && limit != cursor + C -> goto look
        :: TABLE > 0 && wall[0] != 0 && table_at[0] == 0 -> goto look
#if TABLE > 1
        :: wall[1] != 0 && table_at[1] == 0 -> goto look
#endif
        :: timeout -> assert(!must_go_on && !sub_killed); goto done
        fi
    fi;
    d_step {
        if
        :: place > tail -> cell[place % C] = 0; cell[tail % C] = PAD(place - tail - 1); tail = place
        :: else
        fi;
        if
        :: length > 0 -> cell[(tail + 1) % C] = PAYLOAD(no)
        :: else
        fi;
        cell[(tail + need) % C] = 0;
        cell[tail % C] = HEADER(no, length);
        committed = no;
        tail = tail + need;
        place = 0
    };
    TAKE_AHEAD
    goto next;
leave:
    ended = true;
done:
    skip
    } PUB_MAY_BE_KILLED
}

inline check_hold(j)
{
    assert(cell[hold_at[j] % C] == hold_header[j]);
    if
    :: HEADER_LEN(hold_header[j]) > 0 ->
        assert(cell[(hold_at[j] + 1) % C] == PAYLOAD(HEADER_NO(hold_header[j])))
    :: else
    fi
}

/* The cursor is the oldest hold that is not in the table, or the head. */
inline find_cursor()
{
    released = head;
    k = 0;
    do
    :: k < HOLDS ->
        if
        :: hold_header[k] != 0 && hold_place[k] == 0 && hold_at[k] < released -> released = hold_at[k]
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
}

/* Put hold j into place 0 or 1 of the table, then let the cursor pass it. */
inline announce(j, t)
{
    d_step {
        hold_place[j] = 1 + t;
        find_cursor()
    };
    atomic {
#ifdef MUTANT_CURSOR_BEFORE_HOLD
        store(CURSOR, released);
        store(TABLE_NEED(t), 1 + HEADER_LEN(hold_header[j]));
        store(TABLE_AT(t), hold_at[j])
#else
        store(TABLE_NEED(t), 1 + HEADER_LEN(hold_header[j]));
        store(TABLE_AT(t), hold_at[j]); /* Release [hold.place] */
        store(CURSOR, released)         /* Release [lane.free] */
#endif
    }
}

inline release_hold(j)
{
    d_step {
        check_hold(j);
        was = hold_place[j];
        hold_header[j] = 0;
        hold_at[j] = 0;
        hold_place[j] = 0;
        find_cursor();
        held--
    };
    if
    :: was != 0 -> store(TABLE_AT(was - 1), 0)
    :: was == 0 && released != told -> store(CURSOR, released); told = released
    :: else
    fi;
    was = 0
}

#define IS_FREE(t) (hold_place[0] != 1 + (t) && (HOLDS < 2 || hold_place[HOLDS - 1] != 1 + (t)))

proctype subscriber()
{
    byte head = START, released = START, told = START, header, delivered, k, held, was;
    byte hold_at[HOLDS], hold_header[HOLDS], hold_place[HOLDS], keeps;
    bool is_kept[HOLDS];

    {
    skip;
next:
    if
    :: hold_header[0] != 0 && !is_kept[0] -> release_hold(0); goto next
    :: hold_header[0] != 0 && hold_place[0] == 0 && hold_at[0] == told && IS_FREE(0) && queued == 0 ->
        announce(0, 0); told = released; goto next
#if HOLDS > 1
    :: hold_header[1] != 0 && !is_kept[1] -> release_hold(1); goto next
    :: hold_header[1] != 0 && hold_place[1] == 0 && hold_at[1] == told && IS_FREE(0) && queued == 0 ->
        announce(1, 0); told = released; goto next
#endif
#if TABLE > 1
    :: hold_header[0] != 0 && hold_place[0] == 0 && hold_at[0] == told && IS_FREE(1) && queued == 0 ->
        announce(0, 1); told = released; goto next
#if HOLDS > 1
    :: hold_header[1] != 0 && hold_place[1] == 0 && hold_at[1] == told && IS_FREE(1) && queued == 0 ->
        announce(1, 1); told = released; goto next
#endif
#endif
    :: held < HOLDS -> skip
    fi;
    header = cell[head % C];
    if
    :: header == 0 -> goto nothing
    :: IS_PAD(header) ->
        d_step { head = head + 1 + PAD_UNITS(header); find_cursor(); header = 0 };
        if
        :: released != told -> store(CURSOR, released); told = released
        :: else
        fi;
        goto next
    :: header != 0 && !IS_PAD(header) -> skip
    fi;
    assert(!IS_PAYLOAD(header));
    assert(HEADER_NO(header) == delivered + 1 && HEADER_NO(header) <= committed);
    if
    :: HEADER_LEN(header) > 0 -> assert(cell[(head + 1) % C] == PAYLOAD(HEADER_NO(header)))
    :: else
    fi;
    atomic {
        delivered++;
        do
        :: hold_header[k] != 0 -> k++
        :: else -> break
        od;
        hold_at[k] = head;
        hold_header[k] = header;
        held++;
        if
        :: keeps < KEEPS -> is_kept[k] = true; keeps++
        :: true
        fi;
        k = 0;
        head = head + 1 + HEADER_LEN(header);
        header = 0
    };
    goto next;
nothing:
    if
    :: ended || pub_dead ->
        if
        :: cell[head % C] != 0 -> goto next
        :: cell[head % C] == 0
        fi;
        assert(delivered == committed);
        goto done
    :: !ended && !pub_dead
    fi;
    /* Who waits puts into the table what it holds. */
    if
    :: hold_header[0] != 0 && !is_kept[0] -> release_hold(0)
    :: hold_header[0] != 0 && hold_place[0] == 0 && hold_at[0] == told && IS_FREE(0) && queued == 0 ->
        announce(0, 0); told = released
#if HOLDS > 1
    :: hold_header[1] != 0 && !is_kept[1] -> release_hold(1)
    :: hold_header[1] != 0 && hold_place[1] == 0 && hold_at[1] == told && IS_FREE(0) && queued == 0 ->
        announce(1, 0); told = released
#endif
    :: cell[head % C] != 0 || ended || pub_dead
    :: timeout -> goto done
    fi;
    goto next;
done:
    skip
    } SUB_MAY_BE_KILLED
}

#if KILLS > 0
proctype kernel()
{
    if
    :: pub_killed = true; pub_dead = true /* what it stores is visible with the step */
    :: sub_killed = true; queued == 0 -> sub_dead = true
    :: true
    fi
}
#endif

proctype memory()
{
    byte shown;
end:
    do
    :: queued > 0 -> d_step { appear() }
    od
}

init
{
    byte i;

    atomic {
        do
        :: i < C -> cell[i] = HEADER(0, 0); i++
        :: else -> break
        od;
        cell[START % C] = 0;
        i = 0;
        is_gap = (TABLE * (LONGEST + 1) + 2 * (LONGEST + 2) <= C);
        run publisher();
        run subscriber();
        run memory();
#if KILLS > 0
        run kernel()
#endif
    }
}
