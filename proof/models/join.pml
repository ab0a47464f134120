/* SPDX-License-Identifier: MIT */
/*
 * join.pml - claim, list, attach; the boundary and the walk; no credit; leave and reap
 *
 * Read beside docs/lane.md, section Joining and leaving. The slots by themselves are slot.pml's
 * subject, the ring's records commit.pml's, sleeping sleep.pml's.
 *
 * Modelled:
 * - LANES sessions of a publisher, one after the other: the next after the former has left or
 *   is dead. Each has a lane of its own, a ring of R records of one unit, N messages;
 * - SUBS subscribers that want the one slot, at any time: before the publisher, in the middle,
 *   after one another; each reads as long as it likes and leaves, or reads to the end and goes
 *   on with the next publisher's lane;
 * - the publisher's store buffer, BUFFER stores long, first in first out (release stores do
 *   not overtake one another; what plain stores may do is in commit.pml): boundary, headers
 *   and `ended` become visible to a joiner at any later time; a fence waits until it is empty;
 * - the kernel's count of who has a lane attached: it is gone with the last;
 * - any process killed at any step, KILLS of them; the verdict at any time after that.
 *   (Stopped and resumed later is a pause, and every interleaving is tried.)
 *
 * Checked: a joiner reads whole records only, with the numbers that they have, from the
 * boundary on and never more than a ring; from the moment it has
 * stored `lane`, it gets every message (I5), whoever leaves or dies; the publisher is never
 * stuck unless a living subscriber holds the slot; I1.
 *
 * Variant TWO_PAIRS: the boundary as two pairs and an index that names the valid one, instead
 * of one pair between two equal positions: no second try is needed then, so that a publisher
 * which is stopped between its stores holds no joiner up.
 *
 * Not modelled: a subscriber stopped for ever (it holds the publisher up, by design); the
 * order of the joiner's loads on a weak machine (they are acquires, as the page says).
 */

#ifndef LANES
#define LANES 1
#endif
#ifndef SUBS
#define SUBS 2
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
chan buffer = [BUFFER] of { byte, byte };

/* The directory: 0, or 1 + the session of a publisher (its lane), 1 + the subscriber. */
byte pub_owner, pub_page;
byte sub_owner, sub_page;

/* The subscribers' pages. */
byte page_lane[SUBS]; /* the nonce of the lane it has attached: 1 + lane */
byte page_cursor[SUBS];
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
bool pub_left[LANES];

inline store(address, value)
{
    buffer!address, value
}

proctype publisher(byte lane)
{
    byte limit, tail, count, index, boundary, found, cursor;

    {
        /* Claim: free, or the slot of the dead. */
        atomic {
            (lane == 0 && pub_owner == 0) ||
            (lane > 0 && (pub_left[0] || pub_dead[0]) && (pub_owner == 0 || pub_dead[0])) ->
            pub_owner = 1 + lane;
            pub_attached[lane] = true
        };
        pub_page = 1 + lane; /* Release [slot.page]; the lane is whole, all 0 */
next:
        if
        :: count == N -> goto leave
        :: count < N && tail + 2 <= limit -> goto publish
        :: count < N && tail + 2 > limit
        fi;
        /* Look: the boundary first. */
#ifdef MUTANT_BOUNDARY_WHEN_ALONE
        if
        :: boundary != tail && sub_owner == 0 ->
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
            d_step { index++; boundary = tail }
#ifndef MUTANT_NO_FENCE
            empty(buffer) /* Full: claim/look */
#endif
        :: else
        fi;
        found = sub_owner;
        if
        :: found == 0 ->
            /* Nobody: a stride, a record at least, and the boundary stays in the ring. */
            limit = tail + STRIDE
        :: found != 0 && sub_dead[found - 1] ->
            atomic {
                if
                :: sub_owner == found -> sub_owner = 0
                :: else
                fi
            };
            found = 0;
            goto next
        :: found != 0 && !sub_dead[found - 1] ->
            if
#ifdef MUTANT_CREDIT_UNATTACHED
            :: sub_page != found || page_lane[found - 1] != NAME(lane) -> limit = tail + STRIDE
#else
            :: sub_page != found || page_lane[found - 1] != NAME(lane) ->
                /* No credit until attached: wait. */
                limit = tail;
                (sub_owner != found || sub_dead[found - 1] || page_lane[found - 1] == NAME(lane))
#endif
            :: else ->
                cursor = page_cursor[found - 1]; /* Acquire [lane.free] */
                d_step {
                    assert(cursor <= tail); /* I1 */
                    limit = cursor + R
                };
                if
                :: tail + 2 > limit ->
                    /* No room: wait. */
                    (sub_owner != found || sub_dead[found - 1] || page_cursor[found - 1] != cursor ||
                     page_lane[found - 1] != NAME(lane))
                :: else
                fi;
                cursor = 0
            fi
        fi;
        found = 0;
        goto next;
publish:
        store(HEADER(lane, tail + 1), 0); /* 3 */
        atomic {
            store(HEADER(lane, tail), count + 1); /* 5. Release [lane.commit] */
            count++;
            tail++;
            committed[lane] = count
        };
        goto next;
leave:
        store(ENDED(lane), 1);
        atomic {
            empty(buffer) -> /* the compare-and-swap is a fence */
            if
            :: pub_owner == 1 + lane -> pub_owner = 0; pub_left[lane] = true
            :: else
            fi
        };
        pub_attached[lane] = false
    } unless {
        d_step {
            pub_killed[lane] ->
            limit = 0; tail = 0; count = 0; index = 0; boundary = 0; found = 0; cursor = 0
        }
    }
}

proctype subscriber(byte me)
{
    byte head, expected, position, index, found, lane, last;

    {
        skip;
        /* Claim: free, or the slot of the dead; else EBUSY, and again later. */
end_busy:
        atomic { sub_owner == 0 || sub_dead[sub_owner - 1] -> sub_owner = 1 + me };
        sub_page = 1 + me; /* Release [slot.page] */
attach:
        /* Wait for a publisher that is listed with its lane: its owner's word in it. */
end_idle:
        atomic {
            pub_owner != 0 && pub_page == pub_owner && pub_owner != last ->
            lane = pub_owner - 1
        };
        atomic {
            last = 1 + lane;
            if
            :: GONE(lane) -> goto attach
            :: else -> sub_attached[AT(lane, me)] = true
            fi
        };
        /* The boundary. */
#ifdef TWO_PAIRS
        index = memory[BOUNDARY_INDEX(lane)];
        position = memory[BOUNDARY_POSITION(lane, index)];
        expected = memory[BOUNDARY_COUNT(lane, index)];
#else
again:
        position = memory[BOUNDARY_POSITION(lane, 0)];
        expected = memory[BOUNDARY_COUNT(lane, 0)];
#ifndef MUTANT_PAIR_UNCHECKED
        if
        :: memory[BOUNDARY_BEFORE(lane)] == position
        :: memory[BOUNDARY_BEFORE(lane)] != position ->
            position = 0;
            expected = 0;
            if
            :: pub_dead[lane] -> goto nobody /* died between the stores */
            :: else -> goto again
            fi
        fi;
#endif
#endif
        d_step { head = position; index = 0 };
        /* The walk. */
walk:
        found = memory[HEADER(lane, head)]; /* Acquire [lane.commit] */
        if
        :: found != 0 ->
            d_step {
                assert(found == expected + 1 && head - position < R);
                head++;
                expected++;
                found = 0
            };
            goto walk
        :: found == 0 -> position = 0
        fi;
#ifdef MUTANT_LANE_BEFORE_CURSOR
        page_lane[me] = NAME(lane);
        page_cursor[me] = head;
#else
        page_cursor[me] = head;
        page_lane[me] = NAME(lane); /* Release [lane.attached] */
#endif
        /* Receive. */
        do
        :: memory[HEADER(lane, head)] != 0 ->
            assert(memory[HEADER(lane, head)] == expected + 1); /* I5 */
            d_step { head++; expected++ };
            page_cursor[me] = head
        :: memory[HEADER(lane, head)] == 0 && (memory[ENDED(lane)] != 0 || pub_dead[lane]) ->
            if
            :: memory[HEADER(lane, head)] == 0 -> break
            :: else
            fi
        :: LEAVES -> goto leave
        od;
        /* The end, or EPIPE: everything that was committed has come (I5). */
        assert(expected == committed[lane]);
nobody:
        skip;
        d_step { sub_attached[AT(lane, me)] = false; head = 0; expected = 0; lane = 0 };
        /* Reap. */
        atomic {
            if
            :: pub_owner == last && pub_dead[last - 1] -> pub_owner = 0
            :: else
            fi
        };
        goto attach;
leave:
        page_lane[me] = 0;
        atomic {
            if
            :: sub_owner == 1 + me -> sub_owner = 0
            :: else
            fi
        };
        d_step { sub_attached[AT(lane, me)] = false; head = 0; expected = 0; lane = 0 }
    } unless {
        d_step {
            sub_killed[me] ->
            head = 0; expected = 0; position = 0; index = 0; found = 0; lane = 0; last = 0
        }
    }
}

proctype store_buffer()
{
    byte address, value;

end:
    do
    :: atomic { buffer?address, value -> memory[address] = value; address = 0; value = 0 }
    od
}

inline kill_publisher(lane)
{
    pub_killed[lane] = true;
    atomic { empty(buffer) -> pub_dead[lane] = true; pub_attached[lane] = false }
}

inline kill_subscriber(sub)
{
    sub_killed[sub] = true;
    d_step {
        sub_dead[sub] = true;
        sub_attached[AT(0, sub)] = false;
#if LANES > 1
        sub_attached[AT(1, sub)] = false
#endif
    }
}

proctype kernel()
{
    byte kills;

    do
    :: kills < KILLS ->
        kills++;
        if
        :: !pub_killed[0] -> kill_publisher(0)
#if LANES > 1
        :: pub_owner == 2 && !pub_killed[1] -> kill_publisher(1)
#endif
        :: !sub_killed[0] -> kill_subscriber(0)
#if SUBS > 1
        :: !sub_killed[1] -> kill_subscriber(1)
#endif
        fi
    :: true -> break
    od
}

init
{
    atomic {
        run publisher(0);
#if LANES > 1
        run publisher(1);
#endif
        run subscriber(0);
#if SUBS > 1
        run subscriber(1);
#endif
        run store_buffer();
        run kernel()
    }
}
