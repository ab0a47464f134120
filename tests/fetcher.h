/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_FETCHER_H
#define WEIR_TESTS_FETCHER_H

/*
 * A child that makes one call, again and again, each time in a channel that is new, and is halted
 * meanwhile by who lies to it: before the call, behind each load (watch.h), and when it is over. It
 * checks what the call gave, and that it goes on as it should once the truth is back.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "liar.h"

/* Where it halts itself, by SIGSTOP. */
enum fetcher_stop {
    FETCHER_READY,    /* for another round: scene and lie are to be said */
    FETCHER_CALLS,    /* before the call; the words are listed */
    FETCHER_ATTACHED, /* in the call: more of the words have an address by now */
    FETCHER_RETURNED,
};

struct fetcher_word {
    char what[64];
    uintptr_t watched; /* where the call loads it; 0: nowhere yet */
    uintptr_t written; /* where one may write it */
    unsigned size_bytes;
    bool is_header; /* of a record */
    uint64_t truth;
};

/* Shared with the child. */
struct fetcher_board {
    unsigned scene;
    bool is_over; /* no more rounds */
    bool is_lie;  /* this round has one: about the word number which */
    unsigned which;
    uint64_t lie;
    char place[200]; /* for messages */

    enum fetcher_stop stop;
    int result; /* of the call: of messages their count */
    unsigned word_count;
    struct fetcher_word words[LIAR_WORDS_MAX];
};

extern struct fetcher_board *fetcher_board;

/* Who makes the call; with the lossy: a tap, too. */
enum fetcher_part { FETCHER_RELIABLE, FETCHER_LOSSY, FETCHER_PUBLISHER };

unsigned fetcher_scene_count(void);
enum fetcher_part fetcher_scene_part(unsigned scene);
const char *fetcher_scene_what(unsigned scene);
/* How often it loads what depends on the time. */
bool fetcher_scene_waits(unsigned scene);

/* For tracee_start(). */
void fetcher_live(void *argument);

#endif
