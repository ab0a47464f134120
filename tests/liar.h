/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_LIAR_H
#define WEIR_TESTS_LIAR_H

/*
 * A liar: a process of the same user that writes into every segment of the channel "lane",
 * also where the mode says that nobody may: it sets the mode back. And its victim: what it
 * calls, and what these calls may give, and how long they may take.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/channel.h>

#include "channel/layout.h"
#include "segment/header.h"

#define NOW INT64_C(0)
#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)
#define CAPACITY WEIR_RING_BYTES_MIN

/* The shared structures as the liar has them attached; NULL: there is none. */
extern struct weir__header_shm *liar_header; /* in front of the directory */
extern struct weir__directory_shm *liar_directory;
extern struct weir__lane_shm *liar_lane;
extern struct weir__page_shm *liar_page;

/* In it, of the first publishers' slot: the entry, and what changes seldom. */
struct weir__entry_shm *liar_entry(void);
struct weir__aside_shm *liar_aside(void);

/* What a slot shows, for writing; the owner may set its mode back. NULL: it is not there. */
void *liar_attach_shown(uint64_t shown, uint64_t magic, size_t least_bytes, size_t *size_bytes);

/* Attaches what is shown now. False: there is no channel, or not the directory's memory. */
bool liar_attach(void);
void liar_detach(void);
/* Whether the slots still show what is attached. */
bool liar_is_current(void);

/* The directory as when it was made: nobody in it, and its head true. */
void liar_restore_directory(void);

/* A segment of this id, shown in the first slot of the role by a false owner. */
void liar_show(enum weir__role role, int id, uint64_t owner);

/* A word that somebody may lie with. */
struct liar_word {
    const char *what;
    void *at;
    size_t size_bytes; /* 4 or 8 */
};

enum { LIAR_WORDS_MAX = 112, LIAR_HEADERS_MAX = 8 };

/* What to list. */
enum {
    LIAR_HEADER = 1 << 0,
    LIAR_DIRECTORY = 1 << 1,
    LIAR_LANE = 1 << 2,
    LIAR_PAGE = 1 << 3,
    LIAR_RECORDS = 1 << 4, /* the headers from what the subscriber has released, or the boundary */
    LIAR_ALL = (1 << 5) - 1,
    LIAR_STATISTICS = 1 << 5, /* which no peer reads */
    LIAR_MARKS = 1 << 6,      /* what is reserved, and two of the marks */
};

/* The words of what is attached: their count, LIAR_WORDS_MAX at most. */
size_t liar_words(struct liar_word *words, unsigned which);
uint64_t liar_load(const struct liar_word *word);
void liar_store(const struct liar_word *word, uint64_t value);

/* A lie about a word that holds old. False: there are no more. */
bool liar_value(unsigned index, uint64_t old, uint64_t *value);
unsigned liar_value_count(void);

uint64_t liar_random(uint64_t *state);

/*
 * The victim. A result that is not documented, one that comes late, or a message outside
 * of its ring ends the test, or the child, with a line that names victim_place.
 */
extern char victim_place[160];

extern struct weir_publisher *victim_publisher;
extern struct weir_subscriber *victim_subscriber;

void victim_expect(const char *call, int result, int64_t before_ns, int64_t wait_ns);
/* Ends it likewise. */
void victim_complain(const char *text);
/* A message that was taken in place lies inside a ring; every byte of it is read. */
void victim_expect_inside(const struct weir_message *message);

/* How often this result, 0 or -errno, was given since the last victim_forget(). */
unsigned victim_seen(int result);
void victim_forget(void);

/* The calls for many messages find what there is before those for one. */
extern bool victim_bursts_first;

/* All that one can call, in both forms; each waits for wait_ns at most. */
void victim_use_publisher(int64_t wait_ns);
void victim_use_subscriber(int64_t wait_ns);
/* With which both sides are opened. */
extern struct weir_channel_options victim_options;
/* Opens a side; the result, which is one that open may give. */
int victim_open(bool is_publisher);
void victim_close(void);
/* Both sides, which are opened, are as ever, whoever was there before. */
void victim_expect_sound(void);

#endif
