/* SPDX-License-Identifier: MIT */
/*
 * join.pml - claim, raise, list, attach; the boundary and the walk; no credit; leave and reap
 *
 * Read beside docs/lane.md, sections Publishing (Look), Receiving and Joining and leaving. A slot by
 * itself is slot.pml's subject, the ring's records commit.pml's, sleeping sleep.pml's.
 *
 * Modelled:
 * - the directory: SLOTS slots of subscribers and PLACES of publishers, and `changes` of each
 *   role, raised in a step of its own after claim (of a subscriber), show, leave and reap;
 * - LANES publishers. With PLACES=1 the next takes the slot after the former has left or is dead; with
 *   PLACES=2 each has a slot, and both publish at once. Each has a lane, a ring of R records of
 *   one unit, N messages; and what it knows: the owner of each slot, and `changes` as it was. It
 *   reads slots that it knows nobody in only when `changes` differ; after a commit it looks at
 *   `changes` alone;
 * - SUBS subscribers that want a slot, at any time: before the publishers, in the middle,
 *   after one another, beside one another; each attaches all lanes that it finds, reads as long as it
 *   likes and leaves, or reads to the ends and goes on with the next publisher's lane. It looks for
 *   lanes only when the publishers' `changes` differ;
 * - the publishers' store buffers, BUFFER stores long, first in first out (release stores do
 *   not overtake one another; what plain stores may do is in commit.pml): boundary, headers
 *   and `ended` become visible to a joiner at any later time; a fence waits until it is empty;
 * - the kernel's count of who has a lane attached: it is gone with the last;
 * - any process killed at any step, KILLS of them, also between claim and raise; the verdict at
 *   any time after that. With KILLS_PUBLISHER or KILLS_SUBSCRIBER the one of that number
 *   alone: both and each publisher together try what a kill of anyone does. (Of subscribers one number is
 *   enough: they are alike, and either may take either slot.)
 *   (Stopped and resumed later is a pause, and every interleaving is tried.)
 *
 * Checked: a joiner reads whole records only, with the numbers that they have, from the
 * boundary on and never more than a ring; from the moment it has
 * stored `lane`, it gets every message of that lane (I5), whoever leaves or dies; the publishers are
 * never stuck: each commits and leaves, unless it is killed, so that every living subscriber is found,
 * and finds every lane; I1 for each subscriber.
 *
 * Variant TWO_PAIRS: the boundary as two pairs and an index that names the valid one, instead
 * of one pair between two equal positions: no second try is needed then, so that a publisher
 * which is stopped between its stores holds no joiner up.
 *
 * Variant REFUSES: a subscriber refuses the first lane that it finds, so that the publisher goes on
 * without it; later it takes that back, and attaches the lane after all.
 *
 * Not modelled: a subscriber stopped for ever (it holds the publishers up, by design, once one has found
 * it); the order of a side's loads on a weak machine (they are acquires, as the page says; that a
 * joiner's loads of the boundary stay behind its raise is its fence's work:
 * MUTANT_RAISE_AFTER_BOUNDARY is what happens without it); `finished`, which is there for
 * weir_publisher_wait_taken() alone.
 */

#ifndef LANES
#define LANES 1
#endif
#ifndef PLACES
#define PLACES 1
#endif
#ifndef SUBS
#define SUBS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef N
#define N 6
#endif
#ifndef R
#define R 4
#endif
/* The credit while nobody listens; R is the most that the walk bears. */
#ifndef STRIDE
#define STRIDE R
#endif
#ifndef BUFFER
#define BUFFER 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifdef KILLS_PUBLISHER
#define MAY_KILL_PUBLISHER(i) (KILLS_PUBLISHER == (i))
#define MAY_KILL_SUBSCRIBER(i) 0
#elif defined(KILLS_SUBSCRIBER)
#define MAY_KILL_PUBLISHER(i) 0
#define MAY_KILL_SUBSCRIBER(i) (KILLS_SUBSCRIBER == (i))
#else
#define MAY_KILL_PUBLISHER(i) 1
#define MAY_KILL_SUBSCRIBER(i) 1
#endif
/* May a subscriber leave before the end? */
#ifndef LEAVES
#define LEAVES true
#endif

/* What the publishers store; a lane is WORDS of it. */
#define HEADER(lane, position) ((lane)*WORDS + (position) % R)
#define BOUNDARY_POSITION(lane, index) ((lane)*WORDS + R + (index) % 2)
#define BOUNDARY_COUNT(lane, index) ((lane)*WORDS + R + 2 + (index) % 2)
#define BOUNDARY_BEFORE(lane) BOUNDARY_INDEX(lane)
#define BOUNDARY_INDEX(lane) ((lane)*WORDS + R + 4)
#define ENDED(lane) ((lane)*WORDS + R + 5)
#define WORDS (R + 6)

byte memory[LANES * WORDS];
chan buffer[LANES] = [BUFFER] of { byte, byte };

/* The directory. Owner, and page as it is shown: 0, or 1 + lane of a publisher, 1 + subscriber. */
byte pub_owner[PLACES], pub_page[PLACES], pub_changes;
byte sub_owner[SLOTS], sub_page[SLOTS], sub_changes;
#define PLACE(lane) ((lane) % PLACES)

/* The entries of the subscribers' pages. */
#define ENTRY(sub, place) ((sub)*PLACES + (place))
byte entry_lane[SUBS * PLACES]; /* the name of the lane that is attached */
byte entry_cursor[SUBS * PLACES];
#ifdef REFUSES
byte entry_refused[SUBS * PLACES]; /* the name of the lane that is not read */
#endif
#ifdef MUTANT_LANE_BY_SESSION
#define NAME(lane) 1 /* two processes have the same session number */
#else
#define NAME(lane) (1 + (lane))
#endif

/* The kernel. */
bool pub_attached[LANES], sub_attached[LANES * SUBS];
#define AT(lane, sub) ((lane)*SUBS + (sub))
#if SUBS > 1
#define GONE(lane) (!pub_attached[lane] && !sub_attached[AT(lane, 0)] && !sub_attached[AT(lane, 1)])
#else
#define GONE(lane) (!pub_attached[lane] && !sub_attached[AT(lane, 0)])
#endif
bool pub_killed[LANES], pub_dead[LANES]; /* dead: the verdict can be had */
bool sub_killed[SUBS], sub_dead[SUBS];

/* For the assertions alone. */
byte committed[LANES];
bool pub_left[LANES], sub_left[SUBS];

inline store(address, value)
{
    buffer[lane]!address, value
}

/* Not equal to any `changes`: look at the slots again. */
#define NEVER 255

/* What a publisher's wait looks at. Of a slot that it knows somebody in: */
#ifdef MUTANT_DEAD_STAYS
#define IS_DEAD(i) false
#else
#define IS_DEAD(i) (sub_owner[i] != 0 && sub_dead[sub_owner[i] - 1])
#endif
#define IS_READING(i)                                                                              \
    (sub_page[i] == known[i] && entry_lane[ENTRY(known[i] - 1, PLACE(lane))] == NAME(lane))
#ifdef REFUSES
#define IS_OUT(i)                                                                                  \
    (sub_page[i] == known[i] && !IS_READING(i) &&                                                  \
     entry_refused[ENTRY(known[i] - 1, PLACE(lane))] == NAME(lane))
#else
#define IS_OUT(i) false
#endif
#define HAS_ROOM(i) (IS_READING(i) && tail + 2 <= entry_cursor[ENTRY(known[i] - 1, PLACE(lane))] + R)
/* ... and of one that has come since. */
#define IS_NEWCOMER(i) (seen != sub_changes && sub_owner[i] != 0 && sub_owner[i] != known[i])
#define IS_NEWS(i) (IS_NEWCOMER(i) && sub_page[i] == sub_owner[i])
#define IS_BLOCKING(i)                                                                             \
    (IS_NEWCOMER(i) || (known[i] != 0 && sub_owner[i] == known[i] && !HAS_ROOM(i) && !IS_OUT(i)))
#if SLOTS > 1
#define ANY(predicate) (predicate(0) || predicate(1))
#else
#define ANY(predicate) predicate(0)
#endif
#define IS_OVER (ANY(IS_NEWS) || !ANY(IS_BLOCKING))

inline scan()
{
    do
    :: i < SLOTS ->
        atomic {
            if
            :: sub_owner[i] != 0 && known[i] == 0 -> known[i] = sub_owner[i]
#ifndef MUTANT_NO_LOOK_AGAIN
            :: sub_owner[i] != 0 && known[i] != 0 && sub_owner[i] != known[i] -> seen = NEVER
#endif
            :: else
            fi;
            i++
        }
    :: else -> i = 0; break
    od
}

/* 3 of the look: `changes`, and the slots. */
inline find_new()
{
#ifndef MUTANT_CHANGES_BEFORE_BOUNDARY
    changes = sub_changes; /* Acquire [slot.changes] */
#endif
    if
    :: changes != seen ->
#ifdef MUTANT_KEPT_AFTER_SCAN
        scan();
        seen = sub_changes
#else
        seen = changes;
        scan()
#endif
    :: else
    fi;
    changes = 0
}

inline reap_subscribers()
{
    do
    :: i < SLOTS ->
        atomic {
            if
            :: IS_DEAD(i) -> sub_owner[i] = 0
            :: else -> i++; goto next_slot
            fi
        };
        atomic { sub_changes++; i++ };
next_slot:
        skip
    :: else -> i = 0; break
    od
}

proctype publisher(byte lane)
{
    byte limit, tail, count, index, boundary, cursor, changes, seen, i;
    byte known[SLOTS];

    {
        /* Claim: free, or the slot of the dead. */
        atomic {
            pub_owner[PLACE(lane)] == 0 || pub_dead[pub_owner[PLACE(lane)] - 1] ->
            if
            :: lane >= PLACES -> (pub_left[lane - PLACES] || pub_dead[lane - PLACES])
            :: else
            fi;
            pub_owner[PLACE(lane)] = 1 + lane;
            pub_attached[lane] = true;
            seen = NEVER
        };
        pub_page[PLACE(lane)] = 1 + lane; /* Release [slot.page]; the lane is whole, all 0 */
        pub_changes++;
next:
        if
        :: count == N -> goto leave
        :: count < N && tail + 2 <= limit -> goto publish
        :: count < N && tail + 2 > limit
        fi;
#ifdef MUTANT_CHANGES_BEFORE_BOUNDARY
        changes = sub_changes;
#endif
        /* Look: 1. The boundary first. */
#ifdef MUTANT_BOUNDARY_WHEN_ALONE
        if
        :: boundary != tail && sub_owner[0] == 0 ->
#else
        if
        :: boundary != tail ->
#endif
#ifdef TWO_PAIRS
            store(BOUNDARY_POSITION(lane, index + 1), tail);
            store(BOUNDARY_COUNT(lane, index + 1), count);
            store(BOUNDARY_INDEX(lane), index + 1);
#else
            store(BOUNDARY_BEFORE(lane), tail);
            store(BOUNDARY_COUNT(lane, 0), count);
            store(BOUNDARY_POSITION(lane, 0), tail);
#endif
            d_step { index = (index + 1) % 2; boundary = tail };
        :: else
        fi;
#ifndef MUTANT_NO_FENCE
        empty(buffer[lane]); /* Full: claim/look */
#endif
        /* 2. Who is known. */
        do
        :: i < SLOTS ->
            atomic {
                if
                :: known[i] != 0 && sub_owner[i] != known[i] -> known[i] = 0
                :: else
                fi;
                i++
            }
        :: else -> i = 0; break
        od;
        /* 3. */
        find_new();
        /* 5, 6. Nobody: a stride, a record at least, and the boundary stays in the ring. */
        limit = tail + STRIDE;
        do
        :: i < SLOTS && known[i] == 0 -> i++
        :: i < SLOTS && known[i] != 0 ->
            if
#ifdef MUTANT_CREDIT_UNATTACHED
            :: !IS_READING(i)
#else
            :: !IS_READING(i) && !IS_OUT(i) -> limit = tail /* no credit until attached */
            :: IS_OUT(i) /* as if it were not there */
#endif
            :: else ->
                cursor = entry_cursor[ENTRY(known[i] - 1, PLACE(lane))]; /* Acquire [lane.free] */
                d_step {
                    assert(cursor <= tail); /* I1 */
                    if
#ifdef MUTANT_CREDIT_OF_THE_LAST
                    :: true -> limit = cursor + R
#else
                    :: cursor + R < limit -> limit = cursor + R
                    :: else
#endif
                    fi;
                    cursor = 0
                }
            fi;
            i++
        :: else -> i = 0; break
        od;
        if
        :: tail + 2 <= limit -> goto publish
        :: else
        fi;
        limit = tail;
        /* No room: wait. A slice ends where somebody has died. */
        if
        :: IS_OVER
        :: ANY(IS_DEAD) -> reap_subscribers()
        fi;
        goto next;
publish:
        store(HEADER(lane, tail + 1), 0); /* 4 */
        atomic {
            store(HEADER(lane, tail), count + 1); /* 5. Release [lane.commit] */
            count++;
            tail++;
            committed[lane] = count
        };
        /* 6. Has somebody come? Then the next record looks. */
        if
        :: sub_changes != seen -> limit = tail
        :: else
        fi;
        goto next;
leave:
        store(ENDED(lane), 1);
        atomic {
            empty(buffer[lane]) -> /* the compare-and-swap is a fence */
            if
            :: pub_owner[PLACE(lane)] == 1 + lane -> pub_owner[PLACE(lane)] = 0
            :: else
            fi;
            pub_left[lane] = true;
            limit = 0; tail = 0; count = 0; index = 0; boundary = 0; seen = 0; known[0] = 0;
#if SLOTS > 1
            known[1] = 0
#endif
        };
        pub_changes++;
        pub_attached[lane] = false
    } unless {
        d_step {
            pub_killed[lane] ->
            limit = 0; tail = 0; count = 0; index = 0; boundary = 0; cursor = 0; changes = 0;
            seen = 0; i = 0; known[0] = 0;
#if SLOTS > 1
            known[1] = 0
#endif
        }
    }
}

/* What a subscriber's wait looks at, of a place: a lane's, and one that is new there. */
#define LANE(place) (lane_at[place] - 1)
#define HAS_HEADER(place) (lane_at[place] != 0 && memory[HEADER(LANE(place), head[place])] != 0)
#define IS_OVER_THERE(place)                                                                       \
    (lane_at[place] != 0 &&                                                                        \
     (memory[ENDED(LANE(place))] != 0 || pub_owner[place] != lane_at[place]))
#define IS_NEW(place)                                                                              \
    (pub_owner[place] != 0 && pub_page[place] == pub_owner[place] && lane_at[place] == 0 &&        \
     pub_owner[place] != finished[place])
#define IS_NEW_THERE(place) (pub_changes != seen && IS_NEW(place))
#define IS_DEAD_THERE(place) (pub_owner[place] != 0 && pub_dead[pub_owner[place] - 1])
#if PLACES > 1
#define ANYWHERE(predicate) (predicate(0) || predicate(1))
#else
#define ANYWHERE(predicate) predicate(0)
#endif

inline forget()
{
    slot = 0; seen = 0;
    lane_at[0] = 0; head[0] = 0; expected[0] = 0; finished[0] = 0;
#if PLACES > 1
    lane_at[1] = 0; head[1] = 0; expected[1] = 0; finished[1] = 0
#endif
}

inline detach(sub)
{
    sub_attached[AT(0, sub)] = false;
#if LANES > 1
    sub_attached[AT(1, sub)] = false
#endif
}

proctype subscriber(byte me)
{
    byte slot, position, counted, index, found, lane, changes, seen, i;
    byte lane_at[PLACES], head[PLACES], expected[PLACES], finished[PLACES];
#ifdef MUTANT_RAISE_AFTER_BOUNDARY
    bool has_raised;
#endif
#ifdef REFUSES
    bool has_refused;
#endif

    {
        skip;
        /* Claim: free, or the slot of the dead; else EBUSY, and again later. */
#ifdef MUTANT_RAISE_BEFORE_CLAIM
        sub_changes++;
#endif
end_busy:
        atomic {
            if
            :: sub_owner[0] == 0 || IS_DEAD(0) -> slot = 0
#if SLOTS > 1
            :: !(sub_owner[0] == 0 || IS_DEAD(0)) && (sub_owner[1] == 0 || IS_DEAD(1)) -> slot = 1
#endif
            fi;
            sub_owner[slot] = 1 + me;
            seen = NEVER
        };
#if !defined(MUTANT_RAISE_BEFORE_CLAIM) && !defined(MUTANT_RAISE_AFTER_BOUNDARY)
        sub_changes++; /* and a full fence: the read of the boundary comes after it */
#endif
        d_step {
            sub_page[slot] = 1 + me; /* Release [slot.page]; seen with or without its raise, it is */
#if !defined(MUTANT_RAISE_BEFORE_CLAIM) && !defined(MUTANT_RAISE_AFTER_BOUNDARY)
            sub_changes++ /* the same to who knows of the claim */
#endif
        };
again:
        /* Look around: what is new is attached. */
#ifdef MUTANT_SUB_SLOTS_BEFORE_CHANGES
        changes = NEVER - 1;
#else
        changes = pub_changes; /* Acquire [slot.changes] */
#endif
        if
        :: changes != seen ->
            d_step { seen = changes; changes = 0 };
#if PLACES > 1
next_place:
#endif
            if
            :: i < PLACES && IS_NEW(i) -> goto attach
            :: i < PLACES && !IS_NEW(i) -> skip
            fi;
attached:
#if PLACES > 1
            i++;
            if
            :: i < PLACES -> goto next_place
            :: else
            fi;
            i = 0;
#endif
#ifdef MUTANT_SUB_SLOTS_BEFORE_CHANGES
            seen = pub_changes;
#endif
        :: else -> changes = 0
        fi;
        /* Receive, of any lane; leave; or wait. */
end_idle:
        if
        :: HAS_HEADER(0) -> i = 0; goto receive
#if PLACES > 1
        :: HAS_HEADER(1) -> i = 1; goto receive
#endif
        :: !HAS_HEADER(0) && IS_OVER_THERE(0) -> i = 0; goto over
#if PLACES > 1
        :: !HAS_HEADER(1) && IS_OVER_THERE(1) -> i = 1; goto over
#endif
        :: ANYWHERE(IS_NEW_THERE) -> goto again
        :: ANYWHERE(IS_DEAD_THERE) -> goto reap
        :: LEAVES && lane_at[0] != 0 -> goto leave
        fi;

receive:
        assert(memory[HEADER(LANE(i), head[i])] == expected[i] + 1); /* I5 */
        d_step {
            head[i]++;
            expected[i]++
        };
        entry_cursor[ENTRY(me, i)] = head[i];
        i = 0;
        goto again;

over:
        /* Ended, or gone: then what is still 0 stays so. */
        if
        :: HAS_HEADER(i) -> i = 0; goto end_idle
        :: else
        fi;
        /* The end, or EPIPE: everything that was committed has come (I5). */
        assert(expected[i] == committed[LANE(i)]);
drop:
        entry_lane[ENTRY(me, i)] = 0;
        d_step {
            sub_attached[AT(LANE(i), me)] = false;
            finished[i] = lane_at[i];
            lane_at[i] = 0; head[i] = 0; expected[i] = 0; i = 0;
            seen = NEVER /* another may stand in its slot by now */
        };
        goto again;

reap:
        atomic {
            if
            :: IS_DEAD_THERE(0) -> pub_owner[0] = 0
#if PLACES > 1
            :: !IS_DEAD_THERE(0) && IS_DEAD_THERE(1) -> pub_owner[1] = 0
#endif
            :: !ANYWHERE(IS_DEAD_THERE) -> goto again
            fi
        };
        pub_changes++;
        goto again;

attach:
        /* The lane of the owner that was found: its owner's word stands in it. */
        atomic {
            if
            :: IS_NEW(i) ->
                lane = pub_owner[i] - 1;
                if
                :: GONE(lane) -> lane = 0; seen = NEVER - 1; goto attached
                :: else -> sub_attached[AT(lane, me)] = true; lane_at[i] = 1 + lane
                fi
            :: else -> seen = NEVER - 1; goto attached
            fi
        };
#ifdef REFUSES
        if
        :: !has_refused ->
            d_step { has_refused = true; entry_refused[ENTRY(me, i)] = NAME(lane) };
#ifndef MUTANT_TAKEN_BACK_LATE
            entry_refused[ENTRY(me, i)] = 0;
            sub_changes++ /* and a full fence, as after the claim */
#endif
        :: else
        fi;
#endif
        /* The boundary. */
#ifdef TWO_PAIRS
        index = memory[BOUNDARY_INDEX(lane)];
        position = memory[BOUNDARY_POSITION(lane, index)];
        counted = memory[BOUNDARY_COUNT(lane, index)];
#else
torn:
        position = memory[BOUNDARY_POSITION(lane, 0)];
        counted = memory[BOUNDARY_COUNT(lane, 0)];
#ifndef MUTANT_PAIR_UNCHECKED
        if
        :: memory[BOUNDARY_BEFORE(lane)] == position
        :: memory[BOUNDARY_BEFORE(lane)] != position ->
            position = 0;
            counted = 0;
            if
            :: pub_dead[lane] -> lane = 0; goto drop /* died between the stores */
            :: memory[BOUNDARY_BEFORE(lane)] == memory[BOUNDARY_POSITION(lane, 0)] -> goto torn
            fi
        fi;
#endif
#endif
        d_step { head[i] = position; expected[i] = counted; index = 0; counted = 0 };
#ifdef MUTANT_RAISE_AFTER_BOUNDARY
        if
        :: !has_raised -> sub_changes++; has_raised = true
        :: else
        fi;
#endif
#ifdef MUTANT_TAKEN_BACK_LATE
        entry_refused[ENTRY(me, i)] = 0;
        sub_changes++;
#endif
        /* The walk. */
walk:
        found = memory[HEADER(lane, head[i])]; /* Acquire [lane.commit] */
        if
        :: found != 0 ->
            d_step {
                assert(found == expected[i] + 1 && head[i] - position < R);
                head[i]++;
                expected[i]++;
                found = 0
            };
            goto walk
        :: found == 0 -> position = 0
        fi;
#ifdef MUTANT_LANE_BEFORE_CURSOR
        entry_lane[ENTRY(me, i)] = NAME(lane);
        entry_cursor[ENTRY(me, i)] = head[i];
#else
        entry_cursor[ENTRY(me, i)] = head[i];
        entry_lane[ENTRY(me, i)] = NAME(lane); /* Release [lane.attached] */
#endif
        lane = 0;
        goto attached;

leave:
        entry_lane[ENTRY(me, 0)] = 0;
#if PLACES > 1
        entry_lane[ENTRY(me, 1)] = 0;
#endif
        atomic {
            if
            :: sub_owner[slot] == 1 + me -> sub_owner[slot] = 0
            :: else
            fi
        };
        sub_changes++;
        d_step { detach(me); forget(); sub_left[me] = true }
    } unless {
        d_step {
            sub_killed[me] ->
            position = 0; counted = 0; index = 0; found = 0; lane = 0; changes = 0; i = 0;
            forget()
        }
    }
}

proctype store_buffer(byte lane)
{
    byte address, value;

end:
    do
    :: atomic { buffer[lane]?address, value -> memory[address] = value; address = 0; value = 0 }
    od
}

inline kill_publisher(lane)
{
    pub_killed[lane] = true;
    atomic { empty(buffer[lane]) -> pub_dead[lane] = true; pub_attached[lane] = false }
}

inline kill_subscriber(sub)
{
    sub_killed[sub] = true;
    d_step { sub_dead[sub] = true; detach(sub) }
}

proctype kernel()
{
    byte kills;

    do
    :: kills < KILLS ->
        kills++;
        if
#if MAY_KILL_PUBLISHER(0)
        :: !pub_killed[0] && !pub_left[0] -> kill_publisher(0)
#endif
#if LANES > 1 && MAY_KILL_PUBLISHER(1)
        :: pub_owner[PLACE(1)] == 2 && !pub_killed[1] -> kill_publisher(1)
#endif
#if MAY_KILL_SUBSCRIBER(0)
        :: !sub_killed[0] && !sub_left[0] -> kill_subscriber(0)
#endif
#if SUBS > 1 && MAY_KILL_SUBSCRIBER(1)
        :: !sub_killed[1] && !sub_left[1] -> kill_subscriber(1)
#endif
        :: else /* all have gone */
        fi
    :: true -> break
    od
}

init
{
    atomic {
        run publisher(0);
        run store_buffer(0);
#if LANES > 1
        run publisher(1);
        run store_buffer(1);
#endif
        run subscriber(0);
#if SUBS > 1
        run subscriber(1);
#endif
        run kernel()
    }
}
