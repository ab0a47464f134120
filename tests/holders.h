/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_HOLDERS_H
#define WEIR_TESTS_HOLDERS_H

/*
 * One publisher's messages of any size, each with bytes that follow from its number, and holders:
 * subscribers that keep some of them, and know each that they keep.
 */

#include "crowd.h"

enum { HOLDERS_RING = 64 << 10, HOLDERS_LONGEST = HOLDERS_RING / 4 - 8, HOLDERS_MAX = 3 };

struct holder {
    struct weir_subscriber *subscriber;
    uint64_t next; /* the sequence that must come */
    unsigned kept_count;
    struct weir_message kept[WEIR_HOLDS_MAX];
};

/* How the messages are sent; each is as good as any other. */
enum way { ONE, LOAN, BATCH, MANY, LOAN_MANY, WAYS };

/* Of each send: how long it waits for room; 0: not at all. */
extern int64_t holders_wait_ns;

extern struct weir_publisher *holders_publisher;
extern uint64_t holders_number; /* of its next message: from 0 on, that of the sequence */
extern struct holder holders[HOLDERS_MAX];

/* The publisher, and the first count of the holders; and their end. */
void holders_begin(unsigned count);
void holders_end(unsigned count);

/* Sends count messages. 0; or why the rest was not sent. */
int holders_send_by(enum way way, size_t size_bytes, unsigned count);
/* One by one. */
int holders_send(size_t size_bytes, unsigned count);
/* As many as there is room for; their bytes, without headers. */
uint64_t holders_send_all(size_t size_bytes);
/* Of all sizes, the longest often, in every way: so many rings' worth, which the first two read. */
void holders_pass_rings(uint64_t seed, uint64_t rings);
/* Who inspects the channel is told how many messages there were, exactly. */
void holders_expect_exact(void);

/* The message is the one that it says it is, whole. */
void holders_check(const struct weir_message *message);

/* Takes the next one, which is checked, and keeps it. What the take gave. */
int holder_keep(struct holder *holder);
/* Reads and checks all that there is. */
void holder_drain(struct holder *holder);
/* Checks all that it keeps. */
void holder_check(const struct holder *holder);
/* Checks the one at this index, and releases it. */
void holder_release(struct holder *holder, unsigned index);
/* All; and closes. */
void holder_close(struct holder *holder);

#endif
