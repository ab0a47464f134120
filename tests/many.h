/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_MANY_H
#define WEIR_TESTS_MANY_H

/* Messages for the calls that take many: all of one follows from its number. */

#include "pair.h"

enum { MANY = 40, MESSAGE_BYTES_MAX = 2000, HOLDS = WEIR_HOLDS_MAX };

/* Of message n: its size, 0 among them, and its type; its bytes are pair_fill()'s. */
size_t many_size(unsigned n);
uint32_t many_type(unsigned n);

/* Whether it is message n. */
void many_expect(const struct weir_message *message, unsigned n);

/* Message n and those behind it, MANY at most, with their bytes, in static memory. */
const struct weir_outgoing *many_outgoing(unsigned n, unsigned count);

/* Takes and releases all there is, which is from *n to end. */
void many_take_all(struct weir_subscriber *subscriber, unsigned *n, unsigned end);

#endif
