/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_PAIR_H
#define WEIR_TESTS_PAIR_H

/* A publisher and a subscriber of the channel "lane", in one process or in two. */

#include <stdbool.h>
#include <stddef.h>

#include <weir/channel.h>

#include "fixture.h"

#define NOW INT64_C(0)
#define SECOND_NS INT64_C(1000000000)
#define SOON weir_deadline_ns(20 * SECOND_NS)

struct pair {
    struct weir_publisher *publisher;
    struct weir_subscriber *subscriber;
};

extern const struct weir_channel_options small_ring;

/* A test that must leave nothing. */
#define PAIR_TEST(function) cmocka_unit_test_setup_teardown(function, NULL, fixture_check_alive)

/* The publisher first: then the subscriber's open attaches its lane. */
void pair_open(struct pair *pair);
void pair_close(struct pair *pair);

/* Each without waiting; the text that comes is this one. It is the subscriber's to release. */
void pair_send_text(struct pair *pair, const char *text);
struct weir_message pair_take_text(struct pair *pair, const char *text);

/* The bytes of message number seed. */
void pair_fill(void *bytes, size_t size_bytes, unsigned seed);

/* In a child, with an int: so many messages, each its number; then waits to be killed, or let go. */
void pair_publish_and_wait(struct companion *companion, void *count);
/* The same number of messages of many sizes, as fast as can be; then it leaves at once. */
void pair_flood(struct companion *companion, void *count);

#endif
