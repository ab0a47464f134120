/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_HOLDERS_H
#define WEIR_TESTS_HOLDERS_H

/*
 * One publisher's messages of any size, each with bytes that follow from its number, and holders:
 * subscribers that keep some of them, and know each that they keep.
 */

#include "crowd.h"

enum { HOLDERS_RING = 64 << 10, HOLDERS_LONGEST = HOLDERS_RING / 4 - 8 };

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

/*
 * Sends count messages, whose numbers begin at *number, which is moved; from 0 on the numbers are
 * those of the sequence. 0; or why the rest was not sent.
 */
int holders_send(struct weir_publisher *publisher, enum way way, uint64_t *number,
                 size_t size_bytes, unsigned count);

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
