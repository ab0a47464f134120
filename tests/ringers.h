/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_RINGERS_H
#define WEIR_TESTS_RINGERS_H

/*
 * Ringers: processes that publish, each in a channel of its own, and the test, which waits for them
 * all in one wait set (waiting.h). What they tell each other outside weir are words on the board
 * that only rise, each a futex of the kernel's.
 */

#include <stdint.h>

#include <sys/types.h>

#include "crowd.h"
#include "waiting.h"

/* So many processes; so many channels. */
enum { RINGERS = 8, RINGERS_MAX = 140 };

/* A wake-up that is so late came by a slice. */
#define RINGERS_LATE_NS (150 * MS_NS)

/* By the number of the channel: the subscriber, which is the set's, and who publishes there. */
extern struct ringer {
    struct weir_subscriber *subscriber;
    pid_t pid;
} ringers[RINGERS_MAX];

/* What a wait has given. */
extern struct weir_wait_event ringers_events[RINGERS_MAX];

/* On the board, by the number: its identity, once it is known; how many were taken. */
#define ringer_identity(number) (&board->notes[number])
#define ringer_taken(number)                                                                       \
    (&board->notes[CROWD_WHO_MAX / 2 + (number)]) /* more than subscribers can be */

void ringers_tell(weir__atomic_u64 *word, uint64_t value);
/* Until the word is at least so much; the test, or child, fails after 20 seconds. */
void ringers_await(weir__atomic_u64 *word, uint64_t least);
/* All is over: no ringer need wait for a word any more. */
void ringers_stop(void);

const char *ringer_name(unsigned number);

/* In the test: the first count of them are members of the set, and their numbers its tokens. */
void ringers_subscribe(unsigned count);
void ringers_unsubscribe(unsigned count);
/* How late the next message of this one is; -1: there is none. */
int64_t ringers_take(unsigned number);
/* The processes, each of which sends one after the other, as soon as the former is taken. */
void ringers_start(void);

/* In a child that is this one; what it sends is the time. */
void ringer_tell_identity(unsigned number);
struct weir_publisher *ringer_publisher(unsigned number);
void ringer_send(struct weir_publisher *publisher);

/* In the test: such a child. It ends as crowd_fork()'s do. */
pid_t ringer_fork(void (*function)(unsigned), unsigned number);

#endif
