/* SPDX-License-Identifier: MIT */
/*
 * rwlock.pml - the read-write lock: who is in, who is told of a death, who is stuck
 *
 * Read beside src/sync/rwlock.h: the words and their tables are the same.
 *
 * Modelled:
 * - READERS processes that read, READS times each, in PLACES places: fewer than readers, and they
 *   take each other's; WRITERS that write, WRITES times each. Every load, verdict, compare-and-swap
 *   and store is a step of its own;
 * - KILLS processes killed at any step; the kernel's verdict comes at any time after the kill;
 * - a writer that reaches its deadline while it waits for readers, one that downgrades, and one that
 *   was told and gives the lock up, by choice at each occasion;
 * - what is guarded: two numbers, written one after the other.
 *
 * A wait is a step that is enabled by what it waits for: that a lost wake is repaired by the slice is
 * assumed. A process that has nothing to do but wait, with nobody left who could change that, is an
 * invalid end state.
 *
 * Store then look, on both sides, is a full fence in the code; a store that is delayed past the look
 * is the two in the other order: MUTANT_READER_LOOKS_FIRST, MUTANT_WRITER_LOOKS_FIRST.
 *
 * Not modelled: several threads of a process (a count above 1), the mutex itself beyond its words'
 * owner (its INHERITED bit is taken away at once), identities that come round.
 */

#ifndef READERS
#define READERS 2
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef PLACES
#define PLACES READERS
#endif
#ifndef READS
#define READS 1
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define PROCESSES (READERS + WRITERS)
#define NOBODY 255

#define WRITING 1
#define INHERITED 2
#define LOST 4

/* Shared. */
byte writer = NOBODY;
byte state;
byte place_owner[PLACES] = NOBODY;
bool place_counts[PLACES];
byte first, second;

bool killed[PROCESSES];
bool verdict[PROCESSES];
byte kills;

/* For the assertions alone. */
bool reads[PROCESSES]; /* has locked for reading */
bool writes[PROCESSES];
bool died_writing;

#ifdef MUTANT_STOPPED_IS_DEAD
#define DEAD(process) ((process) != NOBODY)
#else
#define DEAD(process) ((process) != NOBODY && verdict[process])
#endif

#define LIVES_AND(what, process) (what[process] && !killed[process])
#if PROCESSES > 3
#define ANY(what) \
    (LIVES_AND(what, 0) || LIVES_AND(what, 1) || LIVES_AND(what, 2) || LIVES_AND(what, 3))
#elif PROCESSES > 2
#define ANY(what) (LIVES_AND(what, 0) || LIVES_AND(what, 1) || LIVES_AND(what, 2))
#else
#define ANY(what) (LIVES_AND(what, 0) || LIVES_AND(what, 1))
#endif

/* A place of one's own, free, a dead one's, or of one that does not read; and the count. */
inline count_up(me)
{
    d_step { at = 0; tries = 0 };
    do
    :: tries == 4 * PLACES -> at = NOBODY; break /* -ENOSPC */
    :: tries < 4 * PLACES ->
        found = place_owner[at];
        found_counts = place_counts[at];
        if
        :: (tries < PLACES && found == me) ||
           (tries >= PLACES && tries < 2 * PLACES && found == NOBODY) ||
           (tries >= 2 * PLACES && tries < 3 * PLACES && DEAD(found)) ||
#ifdef MUTANT_TAKES_ANY_PLACE
           (tries >= 3 * PLACES) ->
#else
           (tries >= 3 * PLACES && !found_counts) ->
#endif
            atomic {
                if
                :: place_owner[at] == found && place_counts[at] == found_counts ->
                    place_owner[at] = me;
                    place_counts[at] = true;
                    found = NOBODY;
                    found_counts = false;
                    break
                :: else
                fi
            }
        :: else
        fi;
        d_step { found = NOBODY; found_counts = false; tries++; at = (at + 1) % PLACES }
    od;
    tries = 0
}

inline count_down(me)
{
    d_step {
        if
        :: place_owner[at] == me -> place_counts[at] = false
        :: else
        fi;
        reads[me] = false
    };
    at = NOBODY
}

/* Between the two a writer that is in would be seen. */
inline read_both(me)
{
    copy = first;
    assert(copy == second && !ANY(writes));
    copy = 0
}

proctype reader(byte me)
{
    byte at = NOBODY, tries, found = NOBODY, copy, done, seen;
    bool found_counts;

    {
        skip;
again:
        if
        :: done == READS -> goto end_of_reader
        :: else
        fi;
#ifdef MUTANT_READER_LOOKS_FIRST
        if
        :: writer != NOBODY -> goto in_the_way
        :: else
        fi;
        count_up(me);
        if
        :: at == NOBODY -> goto end_of_reader
        :: else
        fi;
#else
#ifdef MUTANT_JUDGES_UNCOUNTED
        if
        :: writer == NOBODY ->
            seen = state;
            if
            :: seen != 0 -> goto judge
            :: else
            fi
        :: else -> goto in_the_way
        fi;
#endif
        count_up(me);
        if
        :: at == NOBODY -> goto end_of_reader
        :: else
        fi;
        if
        :: writer != NOBODY -> count_down(me); goto in_the_way
        :: else
        fi;
#endif
        seen = state;
        if
        :: seen != 0 -> count_down(me); goto judge
        :: else
        fi;
        reads[me] = true;
        assert(!ANY(writes)); /* R1 */
        read_both(me);
        count_down(me);
        done++;
        goto again;
judge:
        /* -EOWNERDEAD, -ENOTRECOVERABLE: somebody has died in writing. */
        assert(died_writing);
        seen = 0;
        goto end_of_reader;
in_the_way:
        /* Waits for a release, or the verdict: settle(). */
        if
        :: writer == NOBODY -> goto again
        :: atomic { DEAD(writer) -> found = writer }
        fi;
        seen = state;
        if
        :: writer != found -> found = NOBODY; seen = 0; goto again
        :: writer == found && seen != 0 -> found = NOBODY; goto judge
        :: writer == found && seen == 0
        fi;
        atomic {
            if
            :: writer == found -> writer = me
            :: else -> found = NOBODY; goto again
            fi
        };
        found = NOBODY;
        writer = NOBODY;
        goto again;
end_of_reader:
        skip
    } unless {
        d_step {
            killed[me] -> at = NOBODY; tries = 0; found = NOBODY; copy = 0; done = 0; seen = 0;
            found_counts = false
        }
    }
}

inline release()
{
#ifdef MUTANT_RELEASES_FIRST
    d_step { writes[me] = false; writer = NOBODY };
    state = after
#else
    d_step { writes[me] = false; state = after };
    writer = NOBODY
#endif
    ;
    after = 0
}

/* Until all places are at 0; or the deadline. */
inline drain()
{
    at = 0;
    do
    :: at == PLACES -> break
    :: at < PLACES && !place_counts[at] -> at++
    :: at < PLACES && place_counts[at] && DEAD(place_owner[at]) ->
        found = place_owner[at];
        d_step {
            if
            :: place_owner[at] == found && DEAD(found) ->
                place_owner[at] = NOBODY;
                place_counts[at] = false
            :: else
            fi
        };
        found = NOBODY
    :: at < PLACES && place_counts[at] -> is_late = true; break
    od;
    at = NOBODY
}

proctype writer_process(byte me)
{
    byte at = NOBODY, tries, found = NOBODY, copy, done, after;
    bool found_counts, is_late;

    {
        skip;
again:
        if
        :: done == WRITES -> goto end_of_writer
        :: else
        fi;
#ifdef MUTANT_WRITER_LOOKS_FIRST
        drain();
        if
        :: is_late -> is_late = false; goto end_of_writer
        :: else
        fi;
#endif
        /* The mutex. */
        if
        :: writer == NOBODY -> found = NOBODY
        :: atomic { DEAD(writer) -> found = writer }
        fi;
        atomic {
            if
            :: writer == found -> writer = me; found = NOBODY
            :: else -> found = NOBODY; goto again
            fi
        };
        if
        :: state == LOST -> writer = NOBODY; goto end_of_writer
        :: else
        fi;
#ifndef MUTANT_WRITER_LOOKS_FIRST
        drain();
        if
        :: is_late -> is_late = false; writer = NOBODY; goto end_of_writer
        :: else
        fi;
#endif
        d_step {
            writes[me] = true;
#ifdef MUTANT_TELLS_NOBODY
            state = WRITING;
#else
            state = (state -> WRITING + INHERITED : WRITING);
#endif
            assert(!ANY(reads)); /* R1 */
            /* Who is not told finds it whole. */
            assert((state & INHERITED) || first == second);
            assert(!(state & INHERITED) || died_writing)
        };
        if
        :: state & INHERITED ->
            if
            :: true -> after = LOST; release(); goto end_of_writer
            :: true -> second = first; state = WRITING
            fi
        :: else
        fi;
        first++;
        second++;
        if
        :: true -> release()
        :: true -> /* downgrade */
            count_up(me);
            if
            :: at == NOBODY -> release()
            :: else ->
                release();
                reads[me] = true;
                read_both(me);
                count_down(me)
            fi
        fi;
        done++;
        goto again;
end_of_writer:
        skip
    } unless {
        d_step {
            killed[me] ->
            at = NOBODY; tries = 0; found = NOBODY; copy = 0; done = 0; after = 0;
            found_counts = false; is_late = false
        }
    }
}

inline kill(which)
{
    d_step {
        kills < KILLS && !killed[which] ->
        kills++;
        killed[which] = true;
        if
        :: writes[which] -> died_writing = true
        :: else
        fi
    }
}

#define TELL(which) d_step { killed[which] && !verdict[which] -> verdict[which] = true }

proctype kernel()
{
end:
    do
    :: kill(0)
    :: kill(1)
    :: TELL(0)
    :: TELL(1)
#if PROCESSES > 2
    :: kill(2)
    :: TELL(2)
#endif
#if PROCESSES > 3
    :: kill(3)
    :: TELL(3)
#endif
    od
}

init
{
    atomic {
        run reader(0);
#if READERS > 1
        run reader(1);
#endif
#if READERS > 2
        run reader(2);
#endif
        run writer_process(READERS);
#if WRITERS > 1
        run writer_process(READERS + 1);
#endif
        run kernel()
    }
}
