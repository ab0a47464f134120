/* SPDX-License-Identifier: MIT */
#ifndef WEIR_BASE_AWAY_H
#define WEIR_BASE_AWAY_H

/*
 * Looking away from a line that another core is writing. Who has read all of a stream, and asks for its next
 * line again and again, takes it from the writer each time: both go at the pace of that line. So for a moment
 * nothing is asked for. How long a moment is, is learnt:
 *
 *   what     | is             | moved on by
 *   ---------+----------------+------------------------------------------------------------------------
 *   turns    | 0, 4 to 64     | less than 2 messages since the last look away, or an end -> 0; else, from
 *            |                | 0 -> 4; less than RUN -> twice as many
 *   is_long  | false, true    | a trial turns it over; unless that was worth it, a long one WINS times in a
 *            |                | row, back; a trial, or BROKEN_OFF windows in a row, that turns or an end break
 *            |                | off -> false
 *   spent    | 0 to WINDOW    | a look away: its turns more; at WINDOW the rate is known: what has come
 *            |                | since the first one, by the time that it took -> 0. turns move on -> 0
 *   rest     | 0 to patience  | a rate of no trial: one less; at 0 it is time for one; trials are over ->
 *            |                | patience; an end where is_long: BROKEN_OFF at most
 *   patience | 0 to PATIENCE  | trials are over: one was not worth it, or long ones were broken off: twice as
 *            |                | much, and 1 at least; else 1
 *
 * A moment is turns; but LONG where is_long, once turns are what they were the last time. It is long only
 * where more comes of it: a writer that goes at a pace of its own gains nothing, and what it has sent waits for
 * longer. But one that writes as fast as it can goes faster the longer it is left alone: each time that it has
 * been caught up with, lines that it is about to write are elsewhere again, and more of them than were asked
 * for, as processors fetch ahead.
 *
 * That is known from the rate alone. Of a long moment it must be a tenth more than just before, else it was not
 * worth it; once may be chance, so it takes several times in a row, in one stream. Of a short one it may be a
 * tenth less, once. Trials that are not worth it become rare, so that they cost nothing. A short moment in which
 * too little comes for a stream is the end of long ones, as there is no stream at their pace, if that is a trial;
 * so are several streams in a row that are over before a window is: who sends bursts.
 */

#include <stdbool.h>
#include <stdint.h>

/* In turns of pause: mostly 10 to 50 ns each. Where they are less, so are all of these moments. */
#define WEIR__AWAY_TURNS_MIN 4
#define WEIR__AWAY_TURNS_MAX 64
#define WEIR__AWAY_LONG 256
#define WEIR__AWAY_LONG_NS INT64_C(12800) /* that takes so long at most */
#define WEIR__AWAY_WINDOW 2048

#define WEIR__AWAY_RUN 64
#define WEIR__AWAY_WORTH 10 /* one part in so many */
#define WEIR__AWAY_WINS 3
#define WEIR__AWAY_BROKEN_OFF 4
#define WEIR__AWAY_PATIENCE 256

/* All 0: no stream is known. Of one thread at a time. */
struct weir__away {
    uint32_t turns;
    bool is_long;
    bool is_trial; /* then is_long is what is tried */
    uint32_t wins;
    uint32_t broken_off; /* windows, since one came to its end */
    uint32_t spent;
    uint32_t rest, patience;
    uint64_t former_rate; /* before the trial */
    uint64_t messages;    /* since the first look away of the window */
    int64_t begun_ns;     /* when that was */
};

/*
 * How many turns the next look away is to have. run: messages since the last one, of each of those who had any;
 * messages: of all of them together. Reads the clock once a window, and where one begins.
 */
uint32_t weir__away_next(struct weir__away *away, uint64_t run, uint64_t messages);

/* Of so many turns those for which there is time: no long moment where one may take all that is left. */
static inline uint32_t weir__away_within(uint32_t turns, int64_t left_ns)
{
    return turns > WEIR__AWAY_TURNS_MAX && left_ns < WEIR__AWAY_LONG_NS ? WEIR__AWAY_TURNS_MAX
                                                                        : turns;
}

/* So many have come, and were followed by no look away. */
static inline void weir__away_passed(struct weir__away *away, uint64_t messages)
{
    away->messages += messages;
}

/* Nothing has come meanwhile: the stream is over. */
void weir__away_end(struct weir__away *away);

#endif
