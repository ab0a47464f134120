/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_SIDES_H
#define WEIR_TESTS_SIDES_H

/*
 * Both sides of the channel "lane", and the descriptor of the one that a test is about. The
 * subscriber's is served by io_uring where that is to be had, and (--without-io-uring) by a thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "pair.h"

/* What takes so long was found at the end of a slice. */
enum { SIDES_SLOW_MS = 150 };

extern struct sides {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
    int fd; /* of the side that a test is about */
} sides;

/* The first line of main(). False: the ring cannot be forbidden, and the test is skipped. */
bool sides_begin(int argument_count, char **arguments);
extern bool sides_without_rings;

/* Of a group, and of each test: no segment, no name and no open file is left. */
int sides_start(void **state);
int sides_check(void **state);
#define SIDES_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, sides_check)

/* Open files of this process whose kind contains the word. */
unsigned sides_files(const char *word);
unsigned sides_rings(void);

/* The publisher's descriptor is the one that the test is about. */
void sides_open_publisher(void);
void sides_open(void);
void sides_close(void);
bool sides_fd_is_readable(int timeout_ms);

/* One of so many bytes, without waiting. */
int sides_send(size_t size);
/* Until the ring is full; how many it took. */
unsigned sides_fill(size_t size);
void sides_take_one(void);

/* In a child: subscribes, and waits to be killed, or let go. */
void sides_subscribe(struct companion *companion, void *argument);

#endif
