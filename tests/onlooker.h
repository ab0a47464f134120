/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TESTS_ONLOOKER_H
#define WEIR_TESTS_ONLOOKER_H

/*
 * Who looks at the channel "lane" from outside, between guard pages: at members that are true, at
 * every lie, and at a liar (see liar.h) that writes meanwhile. A look takes what stands there, and
 * ends the test when it finds what cannot be.
 */

#include <stdbool.h>
#include <stdint.h>

/* A publisher with three messages, 48 bytes, a subscriber, and the liar attached. */
void onlooker_begin(void);
void onlooker_end(void);

typedef void onlooker_look(const char *what);

/*
 * Each lie about each of these words (liar_words()), one after the other; then all is true. A look that has
 * taken too long is made again, the same one: it fails when it does so each time.
 */
void onlooker_meet_each_lie(unsigned which, onlooker_look *look);

/* For a second, while a process writes lies about these words at full speed. One look may take too long. */
void onlooker_meet_a_liar(unsigned which, onlooker_look *look);

/* Takes all that weir_inspect_channel() tells of it, which must be what can be. */
void onlooker_look_at_lies(const char *what);

/* Part of each look, at its end: whether one that began then has not taken too long. */
bool onlooker_was_soon(int64_t before_ns);

#endif
