/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ONLOOKER_H
#define WEIR_TESTS_ONLOOKER_H

/*
 * Who looks at the channel "lane" from outside, between guard pages: at members that are true, at
 * every lie, and at a liar (see liar.h) that writes meanwhile. A look takes what stands there, and
 * ends the test when it finds what cannot be, or takes long.
 */

#include <stdint.h>

/* A publisher with three messages, 48 bytes, a subscriber, and the liar attached. */
void onlooker_begin(void);
void onlooker_end(void);

typedef void onlooker_look(const char *what);

/* Each lie about each of these words (liar_words()), one after the other; then all is true. */
void onlooker_meet_each_lie(unsigned which, onlooker_look *look);

/* For a second, while a process writes lies about these words at full speed. */
void onlooker_meet_a_liar(unsigned which, onlooker_look *look);

/* Takes all that weir_inspect_channel() tells of it, which must be what can be. */
void onlooker_look_at_lies(const char *what);

/* Fails when a look that began then has taken too long, without the time in which the machine did not run it. */
void onlooker_expect_soon(int64_t before_ns);

#endif
