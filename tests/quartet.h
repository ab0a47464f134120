/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_QUARTET_H
#define WEIR_TESTS_QUARTET_H

/*
 * Two publishers and two subscribers of one channel, in one process, with a place of each role left
 * for one more, and a liar who may write all of their memory. Books say what each has sent and
 * received; from whose word it is, a lie says whom it may disturb: everybody else must go on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "liar.h"

/* The third of each role: who joins, or is dead. */
enum { QUARTET_PLACES = 3, QUARTET_THIRD = 2 };
enum { QUARTET_WORDS_MAX = 256 };

/* A word, and whose it is: numbers of slots. */
struct quartet_word {
    struct liar_word word;
    enum quartet_part {
        QUARTET_HEAD,   /* of the directory and its segment, and what is a reason to look */
        QUARTET_COUNTS, /* who believes them looks for slots where others are */
        QUARTET_SLOT,
        QUARTET_LANE,
        QUARTET_PAGE,  /* what it has once */
        QUARTET_ENTRY, /* what it has of each publisher */
    } part;
    enum weir__role role;           /* of a slot */
    unsigned publisher, subscriber; /* as far as it is theirs */
};

extern struct weir_publisher *quartet_publishers[QUARTET_PLACES];
extern struct weir_subscriber *quartet_subscribers[QUARTET_PLACES];
extern struct weir__directory_shm *quartet_directory;

/* Set-up and tear-down of each test, in a group of fixture_start_alive(): the channel stays between. */
int quartet_start(void **state);
int quartet_end(void **state);
#define QUARTET_TEST(function) cmocka_unit_test_setup_teardown(function, quartet_start, quartet_end)
/* Two that have joined it once, and were killed: a publisher with messages, and a subscriber. */
void quartet_kill_two(void);
/* They stand in their slots, the subscriber as one that has attached both lanes. */
void quartet_show_dead(void);

/* All four, who have met, and exchanged some messages. lag_max_bytes: of both publishers. */
void quartet_open(uint64_t lag_max_bytes);
/* All leave; the lie is taken back; the directory is empty, and nothing else is attached. */
void quartet_close(void);

/* The words of the four, or those of the dead: how many. */
size_t quartet_words(struct quartet_word *words, bool is_of_dead);
/* One lie about one word. False: there is none of this number, or no more about it. */
bool quartet_lie(unsigned which, unsigned index, bool is_of_dead, const char *when);

/* The third of a role comes; it may be refused. */
void quartet_join(enum weir__role role);
void quartet_leave(enum weir__role role, unsigned number);

/* Everybody who is there sends so many; who is not disturbed must be able to. */
void quartet_publish(unsigned count, size_t size_bytes);
/* The first subscriber takes a message, and keeps it; and gives it back: it is what it was. */
void quartet_hold(void);
void quartet_let_go(void);
/* Everybody who is there reads all there is: of who is not disturbed all that was sent, in its order. */
void quartet_drain(void);

#endif
