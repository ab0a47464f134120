/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_WAITING_H
#define WEIR_TESTS_WAITING_H

/*
 * A wait set, handles for it, and what it must say. Its wake-ups come by io_uring where that is to
 * be had, and (--without-io-uring, --without-waitv) by a thread, and by one that looks.
 */

#include <stdbool.h>
#include <stdint.h>

#include <weir/waitset.h>

#include "crowd.h"
#include "fixture.h"

/* In main(), first. False: what is to be lacking cannot be forbidden, and the test is skipped. */
bool waiting_begin(int argument_count, char **arguments);
extern bool waiting_is_looking; /* once a millisecond, for want of all else */

/* Of each test: an empty board and an open set; nothing is left. crowd_start() is the group's. */
int waiting_set_up(void **state);
int waiting_tear_down(void **state);
#define WAITING_TEST(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, waiting_set_up, waiting_tear_down)

extern struct weir_wait_set *waiting_set;
extern struct weir_wait_event waiting_events[16];

struct weir_publisher *waiting_publisher(const char *name);
struct weir_subscriber *waiting_subscriber(const char *name);
void waiting_send(struct weir_publisher *publisher);
int waiting_take(struct weir_subscriber *subscriber);

/* What a wait of so long gives, and which events; 0: one look. */
int waiting_within(int64_t ns);

/* Exactly this one is ready, and still so. */
void waiting_expect(uint64_t token, uint32_t kind);
void waiting_expect_nothing(void);

/*
 * A set in poll is told by a ring, or by a slice that finds what nobody has rung for. This one alone is
 * readable by a ring, and not by a slice: so no clock has to tell which of them it was. First: until a wait
 * finds nothing, and it is not readable.
 */
void waiting_settle(struct weir_wait_set *set);
bool waiting_is_rung(const struct weir_wait_set *set);

/* Within the time the set's descriptor says so, and a wait agrees: the slices alone do not count. */
bool waiting_becomes_ready(int descriptor, int64_t within_ns);

#endif
