/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_CROWD_H
#define WEIR_TESTS_CROWD_H

/*
 * A crowd: processes that publish and subscribe in one channel, and a board in shared memory on
 * which each writes what it has sent and seen. Every byte of a message follows from who sent it
 * and which one of its messages it is. Who opens again is another one: there is no order between
 * what one handle has sent and the next.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/types.h>

#include <weir/channel.h>

#include "base/atomics.h"

#define CHANNEL "crowd"
#define NOW INT64_C(0)
#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)

enum { CROWD_WHO_MAX = 16384, CROWD_SUBSCRIBERS_MAX = 64, CROWD_BYTES_MAX = 4096 };

struct crowd_seen {
    weir__atomic_u64 first; /* 1 more than the first number; 0: nothing yet */
    weir__atomic_u64 next;  /* the number that must come */
};

struct crowd_board {
    weir__atomic_u32 is_over, ready;
    weir__atomic_u64 words[8]; /* each test's own */
    /* Of a publisher: so many are committed for sure; so many, or one less. */
    weir__atomic_u64 sure[CROWD_WHO_MAX], at_most[CROWD_WHO_MAX];
    weir__atomic_u64 notes[CROWD_WHO_MAX]; /* each test's own */
    weir__atomic_u64 received[CROWD_SUBSCRIBERS_MAX];
    struct crowd_seen seen[CROWD_SUBSCRIBERS_MAX][CROWD_WHO_MAX];
};

extern struct crowd_board *board;

/*
 * Group set-up; set-up and tear-down of each test: an empty board, and nothing left behind.
 * fixture_end() is the group's tear-down.
 */
int crowd_start(void **state);
int crowd_clear(void **state);
int crowd_check(void **state);
#define CROWD_TEST(function) cmocka_unit_test_setup_teardown(function, crowd_clear, crowd_check)

uint64_t crowd_draw(uint64_t *seed, uint64_t below);

/* The next message of who, with its number from the board. What the send gave. */
int crowd_send(struct weir_publisher *publisher, uint32_t who, size_t size_bytes,
               int64_t deadline_ns);

/* Who sent it, and its number; every byte is checked. In the test and in its children. */
void crowd_read(const struct weir_message *message, uint32_t *who, uint64_t *number);
/* The same; and that it is the next one of who for this subscriber. */
void crowd_note(unsigned subscriber, const struct weir_message *message);

/* Takes, notes and releases one. What the take gave. */
int crowd_take(struct weir_subscriber *handle, unsigned subscriber, int64_t deadline_ns);

/* A child that ends with the test; it ends with status 0, or the test fails. */
pid_t crowd_fork(void (*function)(void *), void *argument);
void crowd_end(pid_t pid);
/* SIGKILL, and its end is known. */
void crowd_kill(pid_t pid);

/* Until the word is at least so much; the test, or child, fails after 20 seconds. */
void crowd_await(const weir__atomic_u64 *word, uint64_t least);
void crowd_await_ready(uint32_t least);

/* Opens with the options' defaults, but so many members and so large a ring; 0: the default. */
struct weir_publisher *crowd_publisher(uint64_t ring_bytes);
struct weir_subscriber *crowd_subscriber(void);

static inline bool crowd_is_over(void)
{
    return atomic_load(&board->is_over) != 0;
}

#endif
